import numpy as np
import pytest

from experiments.report.statistics.decay_effect import effect, judged
from tests.report.report_data import frame
from tests.report.sweep_data import LOSS_DECAYS, losses


def test_what_decay_does_is_the_difference_of_two_tuned_settings():
    found, without, with_decay = effect(frame(losses()), "test_loss")
    assert (without, with_decay) == pytest.approx((2.0, 1.9))
    assert found.value == pytest.approx(-0.1)
    assert effect(frame(losses()), "train_loss")[0].value == pytest.approx(-0.05)


def test_a_cell_is_chosen_on_the_other_seeds_so_that_luck_does_not_count():
    """The second cell is lucky at seed 0: seed 1 does not choose it, and seed 0 is not judged."""
    values = np.array([[1.0, 1.0], [0.0, 2.0]])
    assert judged(values) == pytest.approx([1.0, 2.0])
    noise = np.random.default_rng(0).normal(0, 1, (500, 40, 2))
    assert np.mean([judged(one) for one in noise]) == pytest.approx(0, abs=0.1)
    assert noise.mean(2).min(1).mean() < -1  # what the lowest mean would have promised


def test_pure_noise_is_no_effect_and_a_real_one_is():
    sides = [effect(frame(losses(gain, 0.01)), "test_loss")[0] for gain in (0.0, 0.1)]
    assert sides[0].low < 0 < sides[0].high
    assert sides[1].low < -0.1 < sides[1].high < 0


def test_the_interval_grows_with_the_noise_of_a_run():
    widths = []
    for sd in (0.002, 0.02):
        found = effect(frame(losses(0.3, sd)), "test_loss")[0]
        widths.append(found.high - found.low)
    assert 4 < widths[1] / widths[0] < 25


@pytest.mark.parametrize(
    "change", [{"seeds": (0,)}, {"decays": (0.0,)}, {"decays": LOSS_DECAYS[1:]}]
)
def test_without_seeds_or_without_both_sides_nothing_is_said(change):
    found, *_ = effect(frame(losses(**change)), "test_loss")
    assert "needs cells with and without decay that several seeds share" in found.reason


def test_a_diverged_cell_is_left_out_with_all_its_seeds():
    found = losses()
    found[-1] |= {"status": "diverged", "test_loss": None}
    runs = frame(found)
    assert effect(runs, "test_loss")[0].n == 3


def test_what_a_seed_adds_to_all_cells_does_not_widen_the_interval():
    found = losses(sd=0.002)
    shifted = [row | {"test_loss": row["test_loss"] + row["seed"]} for row in found]
    plain, moved = (effect(frame(rows), "test_loss")[0] for rows in (found, shifted))
    assert (moved.low, moved.high) == pytest.approx((plain.low, plain.high))

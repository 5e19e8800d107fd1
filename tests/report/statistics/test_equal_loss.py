import numpy as np
import pandas as pd
import pytest

from experiments.report.statistics import equal_loss
from tests.report.report_data import frame, run


def method(losses, error, seeds=(0,), sd=0.0, draw=3, **values):
    """Runs with these training losses; ``error`` maps log loss to test error."""
    generator = np.random.default_rng(draw)
    return frame(
        [
            run(wd=10.0**i, seed=seed, train_loss=loss, test_error=error(np.log(loss)) + noise)
            | values
            for i, loss in enumerate(losses)
            for seed in seeds
            for noise in [sd * generator.standard_normal()]
        ]
    )


def bend(x):
    return 50 + 0.5 * (x + 2) ** 2


def test_a_shift_of_a_bent_relation_is_found_exactly_on_equal_losses():
    losses = np.exp(np.linspace(-4, 0, 9))
    found = equal_loss.compare(method(losses, bend), method(losses, lambda x: bend(x) - 1.5))
    assert found.value == pytest.approx(-1.5)
    assert found.n == 1
    assert np.isnan(found.low)


def test_only_the_losses_that_both_reach_are_compared():
    first = method(np.exp(np.linspace(-4, 0, 41)), lambda x: 50 + x)
    second = method(np.exp(np.linspace(-2, 2, 41)), lambda x: 50 + 2 * x)
    # Over [-2, 0] the difference is x, on average -1.
    found = equal_loss.compare(first, second)
    assert found.value == pytest.approx(-1, abs=1e-6)
    assert "losses 0.14 to 1" in found.note


def test_cells_where_training_failed_are_left_out():
    losses = np.exp(np.linspace(-4, 0, 9))
    first, second = method(losses, bend), method(losses, lambda x: bend(x) - 1)
    failed = method([2.3], lambda x: 90.0)
    failed = failed.assign(wd=99.0)
    both = [pd.concat([one, failed]) for one in (first, second)]
    assert equal_loss.compare(*both).value == pytest.approx(-1)


def test_losses_that_do_not_overlap_identify_nothing_and_are_told():
    low, high = method([0.01, 0.02], bend), method([0.1, 0.2], bend)
    found = equal_loss.compare(low, high)
    assert found.reason == "the training losses overlap at no learning rate"
    assert np.isnan(found.value)


def test_methods_are_compared_at_each_learning_rate_on_its_own():
    losses = np.exp(np.linspace(-4, 0, 9))

    def at_rates(shifts, offset):
        return pd.concat(
            method(losses, lambda x, by=by, lr=lr: 50 + x + offset * lr + by, lr=lr)
            for lr, by in shifts.items()
        )

    # of two rates of one method the second is 4 points worse at equal loss
    found = equal_loss.compare(at_rates({1.0: 0, 2.0: 0}, 4), at_rates({1.0: -1, 2.0: -2}, 4))
    assert found.value == pytest.approx(-1.5)
    assert found.note.endswith("losses 0.018 to 1 at 2 learning rates")
    alone = equal_loss.compare(at_rates({1.0: 0, 2.0: 0}, 4), at_rates({2.0: -2, 4.0: 0}, 4))
    assert alone.value == pytest.approx(-2)
    apart = equal_loss.compare(at_rates({1.0: 0}, 0), at_rates({2.0: 0}, 0))
    assert apart.reason == "the training losses overlap at no learning rate"


def test_runs_without_a_training_loss_identify_nothing():
    known = method([0.1, 0.2], bend)
    for missing in ({"train_loss": 0.0}, {"status": "diverged", "test_error": None}):
        found = equal_loss.compare(known, method([0.1, 0.2], bend, **missing))
        assert found.reason == "no runs with a training loss"


def test_the_interval_covers_the_shift_and_shrinks_with_seeds():
    losses, widths = np.exp(np.linspace(-4, 0, 9)), []
    for seeds in (2, 12):
        first = method(losses, bend, range(seeds), sd=0.3, draw=3)
        second = method(losses, lambda x: bend(x) - 1, range(seeds), sd=0.3, draw=4)
        found = equal_loss.compare(first, second)
        assert found.low < -1 < found.high
        widths.append(found.high - found.low)
    assert widths[1] < 0.6 * widths[0]


def test_what_a_seed_adds_to_both_methods_does_not_widen_the_interval():
    losses = np.exp(np.linspace(-4, 0, 9))
    both = [method(losses, bend, range(3), sd=0.1), method(losses, bend, range(3), sd=0.2)]
    moved = [one.assign(test_error=one["test_error"] + one["seed"]) for one in both]
    plain, shifted = equal_loss.compare(*both), equal_loss.compare(*moved)
    assert (shifted.low, shifted.high) == pytest.approx((plain.low, plain.high))


def test_methods_with_other_seeds_are_not_compared():
    losses = np.exp(np.linspace(-4, 0, 9))
    found = equal_loss.compare(method(losses, bend, [0]), method(losses, bend, [1]))
    assert found.reason == "the two share no seed"


def test_a_method_that_failed_in_all_its_cells_identifies_nothing():
    losses = np.exp(np.linspace(-4, 0, 9))
    found = equal_loss.compare(method(losses, bend), method(losses, lambda x: 90.0))
    assert found.reason == "a method has no cell within 10 points of the best"

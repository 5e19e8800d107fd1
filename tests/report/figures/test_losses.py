import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from experiments.report.data.panels import panels
from experiments.report.figures import losses
from experiments.report.statistics.measure import Settings, measure
from tests.report.report_data import frame, run

RATES, DECAYS = (0.001, 0.002, 0.004), (0.0, 1e-4, 2e-4, 4e-4, 8e-4)
SETTINGS = Settings(metric="test_loss", samples=200, figures=("losses",))


def rows(gain=0.1, sd=0.0, seeds=(0, 1, 2), optim="adamw", decays=DECAYS):
    """Runs whose best rate is 0.002; the best decay, 2e-4, lowers test and half the train loss."""
    generator = np.random.default_rng(0)
    found = []
    for lr in RATES:
        for wd in decays:
            for seed in seeds:
                off = abs(np.log2(lr / 0.002)) + (abs(np.log2(wd / 2e-4)) if wd else 0)
                fall = gain / (1 + off) if wd else 0
                noise = sd * generator.standard_normal(2)
                base = 2 + 0.05 * abs(np.log2(lr / 0.002))
                found.append(
                    run(optim=optim, lr=lr, wd=wd, seed=seed, test_loss=base - fall + noise[0],
                        train_loss=base - 0.5 - fall / 2 + noise[1])
                )  # fmt: skip
    return found


def measured(found):
    return measure(panels(frame(found), "test_loss"), SETTINGS)


def test_what_decay_does_is_the_difference_of_two_tuned_settings():
    found, without, with_decay = losses.effect(frame(rows()), "test_loss", 100)
    assert (without, with_decay) == pytest.approx((2.0, 1.9))
    assert found.value == pytest.approx(-0.1)
    assert losses.effect(frame(rows()), "train_loss", 100)[0].value == pytest.approx(-0.05)


def test_a_cell_is_chosen_on_the_other_seeds_so_that_luck_does_not_count():
    """The second cell is lucky at seed 0: seed 1 does not choose it, and seed 0 is not judged."""
    values = np.array([[[1.0, 1.0], [0.0, 2.0]]])
    assert losses.judged(values) == pytest.approx([1.5])
    noise = np.random.default_rng(0).normal(0, 1, (500, 40, 2))
    assert losses.judged(noise).mean() == pytest.approx(0, abs=0.1)
    assert noise.mean(2).min(1).mean() < -1  # what the lowest mean would have promised


def test_pure_noise_is_no_effect_and_a_real_one_is():
    sides = [losses.effect(frame(rows(gain, 0.01)), "test_loss", 400)[0] for gain in (0.0, 0.1)]
    assert sides[0].low < 0 < sides[0].high
    assert sides[1].low < -0.1 < sides[1].high < 0


def test_the_interval_grows_with_the_noise_of_a_run():
    widths = []
    for sd in (0.002, 0.02):
        found = losses.effect(frame(rows(0.3, sd)), "test_loss", 400)[0]
        widths.append(found.high - found.low)
    assert 4 < widths[1] / widths[0] < 25


@pytest.mark.parametrize("change", [{"seeds": (0,)}, {"decays": (0.0,)}, {"decays": DECAYS[1:]}])
def test_without_seeds_or_without_both_sides_nothing_is_said(change):
    found, *_ = losses.effect(frame(rows(**change)), "test_loss", 50)
    assert "needs cells with and without decay that several seeds share" in found.reason
    text = losses.section(measured(rows(**change))).markdown()
    assert "nothing is known of the test loss (needs cells" in text


def test_a_diverged_cell_is_left_out_with_all_its_seeds():
    found = rows()
    found[-1] |= {"status": "diverged", "test_loss": None}
    runs = frame(found)
    assert losses.effect(runs, "test_loss", 10)[0].n == len(runs) - 3


def test_the_verdicts_follow_the_intervals():
    def lines(**change):
        return losses.section(measured(rows(sd=0.001, **change))).verdicts

    assert "decay lowers the test loss: -0.1" in lines(gain=0.12)[0]
    assert lines(gain=0.12)[1].startswith("AdamW: decay lowers the training loss: -0.0")
    assert lines(gain=-0.1)[0].startswith("AdamW: decay raises the test loss: 0.0")
    assert "does not resolvably change" in lines(gain=0.0)[0]


def test_the_picture_has_a_line_a_rate_in_both_rows_and_no_decay_apart():
    page = measured(rows() + rows(optim="adam"))
    figure = losses.figure(page)
    above, below = np.array(figure.axes).reshape(2, 2)[:, 1]
    assert above.get_ylabel() == ""
    for ax, lowest in ((above, 1.9), (below, 1.45)):
        lines = [line for line in ax.lines if line.get_linewidth() == 1.1]
        assert len(lines) == len(RATES)
        assert all(len(line.get_xdata()) == len(DECAYS) - 1 for line in lines)
        brightness = [sum(to_rgb(line.get_color())) for line in lines]
        assert brightness == sorted(brightness, reverse=True)
        (star,) = [line for line in ax.lines if line.get_gid() == "best"]
        assert star.get_xydata()[0] == pytest.approx([np.log2(2e-4), lowest])
    apart = [line for line in above.lines if line.get_linewidth() == 0 and len(line.get_xdata())]
    left = [float(line.get_xdata()[0]) for line in apart]
    assert left == pytest.approx([np.log2(1e-4) - 1.6] * len(RATES))


def test_a_panel_without_a_finished_run_is_an_empty_one_and_says_nothing(recwarn):
    lost = [row | {"status": "diverged", "test_loss": None} for row in rows(optim="adam")]
    figure = losses.figure(measured(rows() + lost))
    assert not [str(warning.message) for warning in recwarn]
    assert sorted(len(ax.lines) > 0 for ax in figure.axes) == [False, False, True, True]


def test_every_number_is_in_the_file():
    section = losses.section(measured(rows()))
    assert isinstance(section.data, pd.DataFrame)
    assert list(section.data["loss"]) == ["test_loss", "train_loss"]
    assert section.data["with_decay"].tolist() == pytest.approx([1.9, 1.45])


def test_seeds_that_agree_by_chance_in_the_cells_that_count_do_not_make_it_sure():
    found = rows(sd=0.02, seeds=(0, 1))
    for row in found:
        if row["lr"] == 0.002 and row["wd"] in (0.0, 2e-4):
            row["test_loss"] = 1.9 if row["wd"] else 1.901
    one = losses.effect(frame(found), "test_loss", 400)[0]
    assert one.low < 0 < one.high
    assert one.high - one.low > 0.02

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from experiments.report.figures import losses
from tests.report import sweep_data
from tests.report.sweep_data import LOSS_DECAYS, LOSS_RATES


def rows(**values):
    return sweep_data.losses(**values)


def measured(found):
    return sweep_data.measured(found, "test_loss")


def test_the_verdicts_follow_the_intervals():
    def lines(**change):
        return losses.section(measured(rows(sd=0.001, **change))).verdicts

    assert "decay lowers the test loss: -0.1" in lines(gain=0.12)[0]
    assert lines(gain=0.12)[1].startswith("AdamW: decay lowers the training loss: -0.0")
    assert lines(gain=-0.1)[0].startswith("AdamW: decay raises the test loss: 0.0")
    assert "does not resolvably change" in lines(gain=0.0)[0]
    assert "nothing is known of the test loss (needs cells" in lines(seeds=(0,))[0]


def test_the_picture_has_a_line_a_rate_in_both_rows_and_no_decay_apart():
    page = measured(rows() + rows(optim="adam"))
    figure = losses.figure(page)
    above, below = np.array(figure.axes).reshape(2, 2)[:, 1]
    assert above.get_ylabel() == ""
    for ax, lowest in ((above, 1.9), (below, 1.45)):
        lines = [line for line in ax.lines if line.get_linewidth() == 1.1]
        assert len(lines) == len(LOSS_RATES)
        assert all(len(line.get_xdata()) == len(LOSS_DECAYS) - 1 for line in lines)
        brightness = [sum(to_rgb(line.get_color())) for line in lines]
        assert brightness == sorted(brightness, reverse=True)
        (star,) = [line for line in ax.lines if line.get_gid() == "best"]
        assert star.get_xydata()[0] == pytest.approx([np.log2(2e-4), lowest])
    apart = [line for line in above.lines if line.get_linewidth() == 0 and len(line.get_xdata())]
    left = [float(line.get_xdata()[0]) for line in apart]
    assert left == pytest.approx([np.log2(1e-4) - 1.6] * len(LOSS_RATES))


def test_a_panel_without_a_finished_run_is_an_empty_one_and_says_nothing(recwarn):
    lost = [row | {"status": "diverged", "test_loss": None} for row in rows(optim="adam")]
    figure = losses.figure(measured(rows() + lost))
    assert not [str(warning.message) for warning in recwarn]
    assert sorted(len(ax.lines) > 0 for ax in figure.axes) == [False, False, True, True]


def test_every_number_is_in_the_file():
    section = losses.section(measured(rows()))
    data = section.data["losses"]
    assert list(data["loss"]) == ["test_loss", "train_loss"]
    assert data["with_decay"].tolist() == pytest.approx([1.9, 1.45])

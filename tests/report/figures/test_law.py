"""The picture of a law: the points, the rules through them, and the surfaces beneath."""

import numpy as np
import pytest

from experiments.report.figures import kinds
from experiments.report.figures.law import part
from tests.report import sweep_data
from tests.report.figures.test_readable import page


def lines(drawn, gid):
    return [line for line in drawn.subfigs[0].axes[0].get_lines() if line.get_gid() == gid]


def slope(line):
    x, y = (np.log(np.asarray(line.get_data()[i], float)) for i in (0, 1))
    return (y[-1] - y[0]) / (x[-1] - x[0])


@pytest.mark.parametrize("power", [-1.0, -0.5])
def test_points_and_fit_follow_the_rows_and_the_rules_their_exponents(power):
    drawn = part(page(sweep_data.sizes(power))).pictures["law"].figure
    assert slope(lines(drawn, "fit")[0]) == pytest.approx(power, abs=0.05)
    assert [slope(line) for line in lines(drawn, "predicted")] == pytest.approx([-1.0, -0.5])
    dots = {line.get_xdata()[0]: line.get_ydata()[0] for line in lines(drawn, "point")}
    assert list(dots) == [1000, 2000, 4000]
    assert dots[2000] == pytest.approx(2**-7, rel=0.05)
    ends = lines(drawn, "interval")
    assert all(
        line.get_ydata()[0] < dots[line.get_xdata()[0]] < line.get_ydata()[1] for line in ends
    )
    assert len(ends) == 3
    assert len(drawn.subfigs[1].axes) == 3  # the surfaces


def test_an_experiment_that_no_law_is_about_has_no_such_picture():
    other = [one | {"experiment": "modular"} for one in sweep_data.sizes()]
    assert part(page(other)) is None
    one_size = [one for one in sweep_data.sizes() if one["train_size"] == 1000]
    assert part(page(one_size)) is None
    assert kinds.kinds()["law"] is part

import math

import numpy as np
import pytest

from experiments.report.statistics.estimate import (
    from_draws,
    from_row,
    interval,
    over_seeds,
    student_t,
)


def test_an_interval_over_seeds_is_students():
    found = over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.n) == (2, 3)
    assert found.high - found.value == pytest.approx(4.303 / math.sqrt(3))
    assert over_seeds([1.0, 2.0, 3.0], n=12).n == 12
    assert over_seeds([1.0, math.inf]).reason
    assert over_seeds([]).reason


@pytest.mark.parametrize(
    ("n", "t"), [(2, 12.706), (10, 2.262), (11, 2.228), (31, 2.042), (10**6, 1.960)]
)
def test_students_t_for_few_and_for_many(n, t):
    assert student_t(n) == pytest.approx(t, abs=0.003)


def test_interval_is_around_the_estimate_and_within_the_limits():
    values = np.linspace(1.0, 2.0, 101)
    assert interval(values, 0.3) == pytest.approx((0.3 - 0.475, 0.3 + 0.475))
    assert interval(values, 0.3, (0.0, 0.5)) == (0.0, 0.5)


def test_interval_needs_half_of_the_samples():
    values = np.full(100, np.nan)
    values[:49] = 1.0
    assert np.isnan(interval(values, 1.0)).all()


def test_an_estimate_says_what_its_interval_lacks():
    values = np.concatenate([[1.0], np.linspace(0, 2, 100)])
    assert from_draws(values).with_interval(7).note == ""
    assert from_draws(values[:1], note="3 rows").with_interval(7).note == (
        "3 rows; no interval without replicates"
    )
    values[1:61] = np.nan
    found = from_draws(values).with_interval(7)
    assert found.note == "not identified in 60% of the bootstrap samples"
    assert np.isnan(found.low)
    lost = from_draws(np.array([np.nan]), "a plateau").with_interval(7)
    assert (lost.text(), lost.remark, lost.n) == ("not identified", "a plateau", 7)


def test_its_text_has_the_interval_and_says_a_lower_bound():
    found = from_draws(np.array([-0.001, *np.linspace(-1, 1, 101)])).with_interval(3)
    assert found.text(".1f") == "0.0 [-1.0, 0.9]"
    assert found.noted("a lower bound").text("+.0f").startswith("≥ +0 [-1")
    assert found.mapped(np.exp).text(".3f") == "0.999 [0.386, 2.583]"


@pytest.mark.parametrize("note", ["", "5 of 8 rows"])
def test_a_row_of_a_file_gives_it_back(note):
    found = from_draws(np.array([0.5, *np.linspace(0, 1, 50)]), note=note).with_interval(9)
    assert from_row(found.row()) == found

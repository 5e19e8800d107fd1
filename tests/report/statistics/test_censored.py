import numpy as np
import pytest

from experiments.report.statistics.censored import fit


def line(x):
    return np.stack([x, np.ones(len(x))], axis=1)


def test_it_agrees_with_a_library_for_survival():
    """The numbers are those of lifelines 0.30.3, LogNormalAFTFitter.fit_interval_censoring."""
    low = np.array([90, 60, 55, 20, 24, 1e-8, 9, 2])
    high = np.array([np.inf, 75, 70, 35, 39, 15, 24, 17])
    found = fit(line(np.arange(8.0)), np.log(low)[None], np.log(high)[None])
    assert found.coefficients[0] == pytest.approx([-0.398539, 4.734373], abs=1e-5)
    assert found.errors[0] == pytest.approx([0.040015, 0.139625], abs=1e-5)
    assert np.log(found.scatter[0]) == pytest.approx(-1.956419, abs=1e-4)


def test_numbers_that_are_known_well_give_least_squares():
    design = line(np.linspace(-1, 1, 20))
    y = design @ [2.0, 5.0] + np.random.default_rng(0).standard_normal((3, 20))
    found = fit(design, y - 1e-4, y + 1e-4)
    expected = np.linalg.lstsq(design, y.T)[0].T
    assert found.coefficients == pytest.approx(expected, abs=1e-5)
    assert found.scatter == pytest.approx((y - expected @ design.T).std(axis=1), abs=1e-5)


def test_of_censored_numbers_it_finds_the_slope_that_the_others_alone_do_not():
    design = line(np.linspace(-2, 2, 40))
    y = design @ [-1.0, 0.0] + 0.5 * np.random.default_rng(0).standard_normal((300, 40))
    low, high = np.where(y > 0.5, 0.5, y - 0.01), np.where(y > 0.5, np.inf, y + 0.01)
    found = fit(design, low, high)
    slopes = found.coefficients[:, 0]
    assert slopes.mean() == pytest.approx(-1, abs=0.03)
    assert found.scatter.mean() == pytest.approx(0.5, abs=0.03)
    inside = np.abs(slopes + 1) < 1.96 * found.errors[:, 0]
    assert 0.9 < inside.mean() < 0.99
    ignoring = [fit(design[own < 0.5], own[None, own < 0.5] - 0.01, own[None, own < 0.5] + 0.01)
                for own in y]  # fmt: skip
    assert np.mean([one.coefficients[0, 0] for one in ignoring]) > -0.9
    as_seen = fit(design, np.minimum(y, 0.5) - 0.01, np.minimum(y, 0.5) + 0.01)
    assert as_seen.coefficients[:, 0].mean() > -0.9


@pytest.mark.parametrize(
    ("x", "low", "high"),
    [
        ([0, 1, 2, 3], [5.0, 5, 5, 5], [np.inf] * 4),
        ([0, 1, 2, 3], [1.0, 2, 3, 4], [1.5, 2.5, 3.5, 4.5]),
        ([2, 2, 2, 2], [1.0, 3, 2, 5], [1.5, 3.5, 2.5, 5.5]),
    ],
    ids=["all censored", "on a line", "one value of x"],
)
def test_without_a_maximum_there_is_no_number(x, low, high):
    found = fit(line(np.array(x, float)), np.array([low]), np.array([high]))
    assert np.isnan(found.coefficients).all()
    assert np.isnan(found.errors).all()
    assert np.isnan(found.scatter).all()

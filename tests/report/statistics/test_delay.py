import numpy as np
import pytest

from experiments.report.statistics.delay import CLAIMS, contrasts, rulings, simulated
from experiments.report.statistics.judge import FAILS, HOLDS, NOT_RESOLVED, UNDECIDABLE
from tests.report.sweep_data import delayed, delays_of


def curve(points, found, wd, **change):
    """Change a sweep's points of one decay at the lowest rate and the first seed."""
    row = next(r for r in found if r["wd"] == pytest.approx(wd) and r["lr"] == 5e-4)
    for point in points[row["id"]]:
        point.update({name: new(point["step"]) for name, new in change.items()})


def values(exponents):
    return [one.value for one in exponents.values()]


def test_the_law_is_found_where_leaving_out_censored_runs_misses_it():
    (one,) = delays_of(delayed(exponents=(-1.0, -0.3)))
    assert one.never > len(one.runs) / 8
    assert values(one.exponents) == pytest.approx([-1, -0.3], abs=0.05)
    assert all(
        e.low < at < e.high for e, at in zip(one.exponents.values(), (-1, -0.3), strict=True)
    )
    assert values(one.others["without censored runs"])[0] > -0.93
    assert values(one.others["runs as independent"]) == pytest.approx([-1, -0.3], abs=0.05)
    assert one.scatter == pytest.approx(0.4, abs=0.05)


def test_a_delay_lies_within_an_evaluation_of_what_was_seen_or_beyond_the_budget():
    (one,) = delays_of(delayed(sd=0.0, seeds=(0,)))
    runs = one.runs[one.runs["lr"] == 5e-4]
    runs = runs.set_index(np.round(runs["lambda"] / 2e-3, 6))
    assert runs.loc[1, ["low", "high"]].tolist() == [390, 420]  # 105 and 510 were looked at
    assert runs.loc[1 / 8, ["low", "high"]].tolist() == [2490 - 105, np.inf]
    assert len(runs) == 8
    assert (runs["low"] < 400 / runs.index).all()
    assert (runs["high"] > 400 / runs.index).all()


def test_a_network_that_generalizes_before_it_fits_has_a_delay_near_0():
    found, points = delayed(seeds=(0,))
    curve(points, found, 2e-3, test_error=lambda step: 1.0 if step >= 60 else 50.0)
    (one,) = delays_of((found, points))
    run = one.runs[(one.runs["lr"] == 5e-4) & np.isclose(one.runs["lambda"], 2e-3)].iloc[0]
    assert (run["low"], run["high"]) == (0, 15)


def test_runs_that_decay_keeps_from_fitting_are_left_out():
    found, points = delayed()
    curve(points, found, 1.6e-2, train_error=lambda step: 90.0)
    curve(points, found, 8e-3, train_error=lambda step: 0.0 if step >= 495 else 90.0,
          test_error=lambda step: 50.0)  # fmt: skip
    (one,) = delays_of((found, points))
    assert one.unfitted == 1
    assert one.runs["slowed"].sum() == 1
    assert len(one.used) == len(found) - 6 * 3 - 2
    slowed = one.others["with slowed runs"]["on_lambda"]
    assert slowed.n == len(one.used) + 1
    assert abs(slowed.value + 1) > abs(one.exponents["on_lambda"].value + 1)


@pytest.mark.parametrize(
    ("exponents", "seeds", "verdicts"),
    [
        ((-1.0, 0.0), 6, [HOLDS, HOLDS]),
        ((-0.4, -0.8), 6, [FAILS, FAILS]),
        ((-1.0, 0.0), 1, [UNDECIDABLE, UNDECIDABLE]),
    ],
)
def test_the_claims_are_judged_with_what_the_design_could_decide(exponents, seeds, verdicts):
    (one,) = delays_of(delayed(exponents=exponents, seeds=range(seeds)))
    found = rulings(one)
    assert [ruling.claim for ruling in found] == list(CLAIMS)
    assert [ruling.verdict for ruling in found] == verdicts
    for ruling in found:
        assert list(ruling.by_seeds) == ([1, 4, 8] if seeds == 1 else [6, 8])
        assert ruling.by_seeds[8] > 0.9
        assert ruling.by_seeds.get(1, 0) == 0


def test_of_other_optimizers_nothing_is_claimed():
    (one,) = delays_of(delayed("adam", convention="l2"))
    assert rulings(one) == []


def test_runs_are_simulated_by_the_law_with_the_budget_and_the_scatter_of_the_panel():
    (one,) = delays_of(delayed(seeds=(0, 1)))
    (other,) = delays_of(delayed(exponents=(-0.4, -0.8), seeds=(0, 1)))
    drawn = simulated(one, 3)
    assert drawn.shape[1:] == (3, 2)
    assert (simulated(one, 3) == drawn).all()
    for exponents in (drawn, simulated(other, 3)):
        assert exponents.mean((0, 1)) == pytest.approx([-1, 0], abs=0.02)
    known = one.others["runs as independent"]["on_lambda"]
    error = (known.high - known.low) / 2 / 1.96 * np.sqrt(2)  # of one seed instead of two
    assert drawn[..., 0].std() == pytest.approx(error, rel=0.25)


def test_optimizers_are_compared_seed_by_seed():
    found = delays_of(delayed(), delayed("adam", (-0.5, -0.6), convention="l2"))
    ((name, apart),) = contrasts(found)
    assert name == "Adam + L2, AdamW"
    assert values(apart) == pytest.approx([-0.5, 0.6], abs=0.1)
    assert apart["on_lambda"].high < 0 < apart["on_lr"].low


def test_what_the_runs_do_not_determine_is_not_said():
    (one,) = delays_of(delayed(budget=150))
    assert one.never > 0
    assert all(estimate.reason for estimate in one.exponents.values())
    assert [ruling.verdict for ruling in rulings(one)] == [NOT_RESOLVED] * 2
    assert not any(ruling.by_seeds for ruling in rulings(one))

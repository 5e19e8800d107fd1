from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.record import tables
from experiments.report.data import frames
from experiments.report.data.panels import panels
from experiments.report.statistics import counterpart
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings
from tests.report.report_data import frame, run, sweep, valley

RESULTS = Path(__file__).parents[3] / "results"
QUICK = Settings(samples=200)


def measured(rows):
    return measure(panels(frame(rows), "test_error"), QUICK)


def budget(decay, epochs):
    rows = sweep(seeds=[0], decay=decay, epochs=epochs, task="cifar10_tiny")
    return [row | {"id": f"{decay}-{row['id']}"} for row in rows]


def averaged(errors, bound=""):
    """Cells as averaged ones, from {(lr, wd): error}."""
    rows = [{"lr": lr, "wd": wd, "test_error": e} for (lr, wd), e in errors.items()]
    status = {"status": "finished", "bound": bound, "tie": 0.0, "diverged": 0}
    return pd.DataFrame(rows).assign(**status)


def test_every_panel_of_figure_1_finds_the_one_of_its_schedule():
    rows = [
        row
        for optim in ("adam", "adamw")
        for schedule in ("constant", "step", "cosine")
        for row in sweep(seeds=[0], optim=optim, schedule=schedule, task="cifar10_tiny")
    ]
    found = counterpart.pairs(measured(rows), RESULTS, "figure1")
    assert [(p.theirs.optim, p.theirs.key["schedule"]) for p in found] == [
        (optim, schedule)
        for optim in ("adam", "adamw")
        for schedule in ("constant", "step", "cosine")
    ]
    assert found[-1].statistics["ridge_slope"].value == pytest.approx(0.01, abs=0.02)


def test_budgets_that_are_the_same_share_of_the_longest_match_and_imagenet_stands_beside_none():
    rows = [
        row
        for decay in ("raw", "normalized")
        for epochs in (15.0, 30.0, 60.0, 120.0)
        for row in budget(decay, epochs)
    ]
    found = counterpart.pairs(measured(rows), RESULTS, "figureS3")
    assert [(p.ours.panel.key["epochs"], p.theirs.key["epochs"]) for p in found] == [
        (30.0, 100.0),
        (120.0, 400.0),
    ] * 2
    assert {p.theirs.key["task"] for p in found} == {"cifar10"}
    assert all("ridge_slope" in pair.statistics for pair in found)


def test_a_budget_without_a_run_has_no_counterpart():
    planned = [{"optim": "adamw", "epochs": 120.0, "lr": 0.25, "wd": 0.25, "seed": 0}]
    rows = [row for epochs in (7.5, 30.0) for row in budget("raw", epochs)]
    ours = panels(frame(rows), "test_error", planned)
    theirs = [one.theirs for one in counterpart.pairs(measured(rows), RESULTS, "figureS3")]
    assert [one.setting("epochs") for one in theirs] == [100.0, 400.0]
    assert [one.done > 0 for one in ours] == [True, True, False]
    found = counterpart.counterparts(ours, theirs)
    assert [one and one.setting("epochs") for one in found] == [None, 100.0, None]


def test_an_optimizer_or_schedule_that_the_figure_lacks_has_no_counterpart():
    rows = sweep(seeds=[0], optim="sgd") + sweep(seeds=[0], schedule="step")
    assert counterpart.pairs(measured(rows), RESULTS, "figure1")[0].theirs.optim == "adamw"
    assert len(counterpart.pairs(measured(rows), RESULTS, "figure1")) == 1
    with pytest.raises(UserError, match="paper=figure9 is not one of figure1, figure2, figureS3"):
        counterpart.pairs(measured(rows), RESULTS, "figure9")


def test_without_the_papers_tables_nothing_stands_beside(tmp_path):
    assert counterpart.pairs(measured(sweep(seeds=[0])), tmp_path, "figure2") == []


def shifted(cells, lr, wd):
    return cells.assign(lr=cells.lr * lr, wd=cells.wd * wd)


def grid(error, zero=True):
    wds = [2.0**k for k in range(-4, 5)] + [0.0] * zero
    return averaged({(2.0**i, wd): error(i, wd) for i in range(-3, 4) for wd in wds})


def bowl(i, wd):
    return 20 + i if wd == 0 else 5 + i**2 + (np.log2(wd) - 1) ** 2 + 0.1 * i


def test_the_same_surface_elsewhere_matches_cell_by_cell():
    ours, theirs = grid(bowl), shifted(grid(bowl), 1 / 64, 1e-3)
    found = counterpart.match_cells(ours, theirs, "test_error")
    assert len(found) == len(ours) - 1  # all but the best
    assert (found.ours == found.theirs).all()


def test_a_coarser_grid_matches_the_nearest_cells_once():
    theirs = grid(bowl)
    ours = averaged({(1.0, 2 * 10.0**k): float(abs(k)) for k in (-1, -0.5, 0, 0.5, 1)})
    found = counterpart.match_cells(ours, theirs, "test_error")
    # Relative to wd* = 2: factors 10^-1, 10^-1/2, 10^1/2, 10 are 2^-3.3, 2^-1.7, 2^1.7, 2^3.3, next
    # to 2^-3, 2^-2, 2^2, 2^3 of the paper.
    assert found.theirs.tolist() == [bowl(0, 2 * 2.0**k) for k in (-3, -2, 2, 3)]


def test_cells_beyond_the_other_grid_have_no_match():
    ours = grid(bowl)
    theirs = ours[(ours.lr < 4) & (ours.wd != 0.0625)]
    found = counterpart.match_cells(ours, theirs, "test_error")
    assert set(zip(found.lr, found.wd, strict=True)) == {
        (lr, wd) for lr, wd in zip(theirs.lr, theirs.wd, strict=True) if (lr, wd) != (1.0, 2.0)
    }


def test_a_cell_between_two_of_the_papers_matches_one_and_one_further_off_none():
    theirs = grid(bowl, zero=False)
    ours = averaged({(1.0, wd): 5 + wd for wd in (2.0, 2 * 2**1.45, 2 * 2**3.6, 2 * 2**0.9)})
    ours.loc[0, "test_error"] = 0.0  # the best, at wd = 2 as theirs
    found = counterpart.match_cells(ours, theirs, "test_error")
    # 2^0.9 and 2^1.45 reach 2^1 only, which the nearer one takes; 2^3.6 is 0.6 from 2^3.
    assert found.theirs.tolist() == [bowl(0, 4)]
    far = averaged({(1.0, 2.0): 0.0, (1.0, 2 * 2**3.4): 7.0, (1.0, 2 * 2**3.6): 8.0})
    assert counterpart.match_cells(far, theirs, "test_error").ours.tolist() == [7.0]


def test_cells_without_a_number_are_left_out_and_diverged_ones_are_worst():
    ours = grid(bowl)
    ours.loc[0, "test_error"] = np.nan
    ours.loc[1, ["test_error", "diverged"]] = np.nan, 1
    found = counterpart.match_cells(ours, grid(bowl), "test_error")
    assert len(found) == len(ours) - 2
    assert np.isinf(found.ours).sum() == 1


@pytest.mark.parametrize(("sign", "rho"), [(1.0, 1.0), (-1.0, -1.0)])
def test_spearman_is_one_for_any_monotone_relation(sign, rho):
    x = np.array([[3.0, 1.0, 2.0, 9.0]])
    assert counterpart.spearman(x, sign * np.exp(x)) == pytest.approx([rho])


def test_spearman_takes_mean_ranks_of_ties_and_is_unknown_for_a_constant():
    # Ranks 1 2 3 4 and 1.5 1.5 3.5 3.5: covariance 1, variances 1.25 and 1.
    assert counterpart.spearman(
        np.array([[1.0, 2, 3, 4]]), np.array([[5.0, 5, 7, 7]])
    ) == pytest.approx([1 / np.sqrt(1.25)])
    assert np.isnan(counterpart.spearman(np.array([[1.0, 2]]), np.array([[5.0, 5]])))


def test_the_papers_figure_2_ranks_its_cells_like_itself():
    runs = frames.frame(tables.read(RESULTS / "paper" / "runs.csv"))
    theirs = [p for p in panels(runs, "test_error") if p.figure == "figure2"]
    one = measure(theirs, QUICK)[3]
    same = counterpart.rank_correlation(one, theirs[3])
    assert (same.value, same.n) == (1.0, 120)
    other = counterpart.rank_correlation(one, theirs[2])  # Adam's diagonal, AdamW's band
    assert other.low < other.value < other.high < 0.9


def test_too_few_matching_cells_are_not_ranked():
    rows = sweep(valley(0.0), lrs=[1.0], seeds=[0], task="cifar10_tiny", optim="sgd")
    (pair,) = counterpart.pairs(measured(rows), RESULTS, "figure2")
    assert "cells match, fewer than 8" in pair.ranks.reason


def test_a_panel_that_only_diverged_matches_nothing():
    rows = [run(lr=lr, status="diverged", test_error=None) for lr in (0.1, 0.2)]
    (one,) = panels(frame(rows), "test_error")
    assert not len(counterpart.match_cells(one.cells, grid(bowl), "test_error"))

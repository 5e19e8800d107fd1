import numpy as np
import pytest

from experiments.errors import UserError
from experiments.report.data.panels import best_cell, panels, seed_table
from tests.report.report_data import frame, run, sweep


def test_cells_are_means_over_seeds_with_their_count_and_spread():
    rows = [run(seed=seed, test_error=value) for seed, value in enumerate((4.0, 5.0, 9.0))]
    (panel,) = panels(frame(rows), "test_error")
    cell = panel.cells.iloc[0]
    assert (cell.test_error, cell.n, cell.status) == (6.0, 3, "finished")
    assert cell.sd == pytest.approx(7**0.5)


def test_a_cell_with_a_diverged_seed_is_partial_and_never_the_best():
    rows = [run(lr=0.1, seed=0, test_error=1.0), run(lr=0.2, test_error=2.0), run(lr=0.4)]
    rows.append(run(lr=0.1, seed=1, test_error=None, status="diverged"))
    rows[2] |= {"test_error": None, "status": "diverged"}
    (panel,) = panels(frame(rows), "test_error")
    assert list(panel.cells.status) == ["partial", "finished", "diverged"]
    assert best_cell(panel.cells, "test_error").lr == 0.2


def test_among_equal_errors_the_lower_loss_is_the_best():
    rows = [run(lr=lr, test_error=0.0, test_loss=loss) for lr, loss in ((0.1, 3.0), (0.2, 1.0))]
    (panel,) = panels(frame(rows), "test_error")
    assert best_cell(panel.cells, "test_error").lr == 0.2


def test_panels_are_told_apart_by_what_varies_and_named_by_no_more():
    rows = [
        run(optim=optim, schedule=schedule, epochs=epochs, steps=int(100 * epochs))
        for optim in ("adamw", "adam")
        for schedule, epochs in (("cosine", 5.0), ("constant", 10.0))
    ]
    names = [panel.name for panel in panels(frame(rows), "test_error")]
    assert names == [
        "Adam + L2, constant",
        "Adam + L2, cosine",
        "AdamW, constant",
        "AdamW, cosine",
    ]


def test_runs_that_nothing_tells_apart_are_refused():
    with pytest.raises(
        UserError, match=r"several runs share optim=adamw lr=0\.001 wd=0\.01 seed=0"
    ):
        panels(frame([run(id="a"), run(id="b")]), "test_error")


def test_runs_on_other_data_are_not_mixed_with_those_on_the_committed_results_data():
    rows = [run(seed=seed, test_error=value) for seed, value in enumerate((4.0, 5.0))]
    for data in ([None, "0123"], ["", "0123"], ["4567", "0123"]):
        mixed = [row | {"data": value} for row, value in zip(rows, data, strict=True)]
        with pytest.raises(UserError, match=r"task=modular were trained on different data.*0123"):
            panels(frame(mixed), "test_error")


def test_the_fingerprint_of_the_data_splits_no_panel():
    rows = [run(seed=0), run(seed=1, data=None), run(seed=2, data="")]
    others = [run(seed=seed, id=seed, task="images", data="0123") for seed in range(2)]
    first, second = panels(frame(rows + others), "test_error")
    assert {len(first.runs), len(second.runs)} == {2, 3}
    assert "data" not in first.key


def test_an_unknown_or_empty_metric_is_refused():
    with pytest.raises(UserError, match="metric=loss is not one of test_error"):
        panels(frame([run()]), "loss")
    with pytest.raises(UserError, match="metric=val_error is empty in every run"):
        panels(frame([run()]), "val_error")


def test_planned_runs_that_are_not_there_become_missing_cells():
    plan = [
        {"optim": optim, "lr": lr, "wd": 1e-2, "seed": seed}
        for optim in ("adam", "adamw")
        for lr in (1e-3, 2e-3)
        for seed in (0, 1)
    ]
    done = [run(optim="adamw", lr=1e-3, seed=seed) for seed in (0, 1)]
    done += [run(optim="adamw", lr=2e-3, seed=0)]
    adam, adamw = panels(frame(done), "test_error", plan)
    assert list(adam.cells.status) == ["missing", "missing"]
    assert set(adam.cells.convention) == {"l2"}
    assert list(adamw.cells.status) == ["finished", "finished"]
    assert list(adamw.cells.missing) == [0, 1]
    assert list(adamw.cells.n) == [2, 1]


def test_a_plan_may_leave_the_seed_and_the_rest_unsaid():
    plan = [{"lr": 1e-3, "wd": wd} for wd in (0, 1e-2, 1)]
    (panel,) = panels(frame([run()]), "test_error", plan)
    assert list(panel.cells.status) == ["missing", "finished", "missing"]
    assert list(panel.cells.weight_decay) == [0, 0.01, 1]


def test_an_axis_that_a_run_does_not_have_is_the_same_as_one_without_a_value():
    plain = {"optim": "adamw", "schedule": "cosine", "schedule.t_0": None, "lr": 1e-3, "wd": 1e-2}
    plan = [plain, plain | {"schedule": "warm_restarts", "schedule.t_0": 20}]
    done = [run(), run(schedule="warm_restarts", **{"schedule.t_0": 20})]
    for panel in panels(frame(done), "test_error", plan):
        assert list(panel.cells.status) == ["finished"]
    only = panels(frame(done[1:]), "test_error", plan)
    assert [list(panel.cells.status) for panel in only] == [["missing"], ["finished"]]


def test_a_missing_run_has_the_settings_of_its_schedule_not_of_its_optimizer():
    plan = [
        {"optim": optim, "schedule": schedule, "lr": 1e-3, "wd": wd}
        for optim in ("adam", "adamw")
        for schedule in ("constant", "step")
        for wd in (1e-2, 1e-1)
    ]
    factors = {"constant": None, "step": 0.1}
    done = [
        run(schedule=schedule, eta_sum=eta, **{"schedule.factor": factors[schedule]})
        for schedule, eta in (("constant", 1000.0), ("step", 300.0))
    ]
    found = panels(frame(done), "test_error", plan)
    assert [panel.name for panel in found] == [
        "Adam + L2, constant",
        "Adam + L2, step",
        "AdamW, constant",
        "AdamW, step",
    ]
    assert [list(panel.cells.status) for panel in found] == [
        ["missing", "missing"],
        ["missing", "missing"],
        ["finished", "missing"],
        ["finished", "missing"],
    ]
    assert list(found[3].cells.eta_sum) == [300, 300]
    assert [panel.key["schedule.factor"] == 0.1 for panel in found] == [False, True] * 2


def test_a_missing_run_has_the_normalization_of_its_budget():
    plan = [{"epochs": epochs, "wd": wd} for epochs in (10.0, 40.0) for wd in (0.1, 0.2)]
    done = [run(epochs=e, wd=0.1, weight_decay=0.1 / e**0.5, id=str(e)) for e in (10.0, 40.0)]
    for panel, epochs in zip(panels(frame(done), "test_error", plan), (10, 40), strict=True):
        assert list(panel.cells.weight_decay) == pytest.approx(
            [0.1 / epochs**0.5, 0.2 / epochs**0.5]
        )


def test_a_table_that_holds_its_whole_plan_has_nothing_missing():
    rows = sweep()
    plan = [{key: row[key] for key in ("optim", "lr", "wd", "seed")} for row in rows]
    (panel,) = panels(frame(rows), "test_error", plan)
    assert set(panel.cells.status) == {"finished"}


def test_runs_in_any_order_are_arranged_by_cell_and_seed():
    rows = [run(wd=wd, seed=seed, test_error=e) for wd, seed, e in
            ((0.2, 1, 3.0), (0.1, 0, 1.0), (0.2, 0, 2.0), (0.4, 5, 4.0))]  # fmt: skip
    (panel,) = panels(frame(rows), "test_error")
    table = seed_table(panel, "test_error")
    none = np.nan
    np.testing.assert_array_equal(table, [[1.0, none, none], [2.0, 3.0, none], [none, none, 4.0]])

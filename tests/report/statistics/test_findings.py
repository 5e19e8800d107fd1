import numpy as np
import pandas as pd
import pytest

from experiments.report.data import curves
from experiments.report.data.panels import panels
from experiments.report.statistics import findings
from experiments.report.statistics.measure import measure
from experiments.report.statistics.settings import Settings
from tests.report.report_data import LRS, frame, run, sweep, valley

SOME = {"lrs": LRS[2:7:2], "wds": (0.0, *2.0 ** np.arange(-11, -4))}
QUICK = Settings(samples=100)
NOTHING = curves.frame(pd.DataFrame(columns=list(curves.COLUMNS), dtype=str))


def found(*sweeps, points=NOTHING, settings=QUICK):
    rows = [row for rows in sweeps for row in rows]
    everything = findings.findings(measure(panels(frame(rows), "test_error"), settings), points)
    return {(one.kind, one.of, one.where): one.estimate for one in everything}


def pair(schedule="cosine", worse=1.0, **values):
    """Sweeps of Adam and AdamW, Adam's best cell ``worse`` points above AdamW's."""
    own = sweep(lambda lr, wd: valley(0.0)(lr, wd) + worse, optim="adam", convention="l2",
                schedule=schedule, sd=0.05, **SOME, **values)  # fmt: skip
    return own, sweep(schedule=schedule, sd=0.05, optim="adamw", **SOME, **values)


ADAMS = ("Adam + L2", "AdamW")


def test_rivals_are_compared_at_their_best_cells():
    estimates = found(*pair())
    one = estimates["best_difference", ADAMS, ""]
    assert one.low < -1 < one.high
    assert one.n == 2 * 3 * 8 * 3
    assert estimates["gain", ADAMS, ""].value == pytest.approx(100 / 6, abs=3)


def test_a_cosine_is_compared_with_a_constant_rate_and_only_where_both_have_all_four():
    sweeps = [*pair("constant", worse=0.0), *pair("step"), *pair("cosine")]
    estimates = found(*sweeps)
    one = estimates["schedule_helps", ADAMS, ""]
    assert one.low < 1 < one.high
    assert {where for kind, _, where in estimates if kind == "gain"} == {
        "constant", "step", "cosine",
    }  # fmt: skip
    assert ("schedule_helps", ADAMS, "") not in found(*sweeps[1:])


def test_decay_may_differ_between_rivals_and_settings_of_the_optimizer_too():
    adam, adamw = pair()
    adam = [row | {"decay": "raw", "optim.fused": None} for row in adam]
    adamw = [row | {"decay": "normalized", "optim.fused": True} for row in adamw]
    assert ("best_difference", ADAMS, "") in found(adam, adamw)


def test_equal_training_loss_is_compared_where_losses_are_known():
    adam, adamw = pair()
    for rows in (adam, adamw):
        for row in rows:
            row["train_loss"] = 0.01 + row["wd"]
    one = found(adam, adamw)["equal_loss", ADAMS, ""]
    assert one.value == pytest.approx(-1, abs=0.3)
    for row in adam:
        row["train_loss"] = None
    assert ("equal_loss", ADAMS, "") not in found(adam, adamw)


def budget(decay, power, id_):
    return [
        row | {"id": f"{id_}{row['id']}{row['steps']}"}
        for steps in (250, 1000, 4000)
        for row in sweep(
            lambda lr, wd, steps=steps: 5 + 0.5 * abs(wd + 8 + power * np.log2(steps / 1000)),
            sd=0.3, steps=steps, epochs=steps / 100, decay=decay, **SOME,
        )
    ]  # fmt: skip


def test_a_budget_grows_with_the_images_too_which_a_task_may_name_as_a_key_of_its_own():
    rows = budget("raw", 0.5, "r")
    for row in rows:
        row["train_size"] = row["task.train_size"] = 32 * row["steps"]
        row["epochs"] = 1.0
    one = found(rows)["exponent", ("AdamW",), "raw wd"]
    assert one.value == pytest.approx(0.5, abs=0.1)


def test_exponents_of_raw_and_normalized_decay():
    estimates = found(budget("raw", 0.5, "r"), budget("normalized", 0.0, "n"))
    assert estimates["exponent", ("AdamW",), "raw wd"].value == pytest.approx(0.5, abs=0.1)
    assert estimates["exponent", ("AdamW",), "normalized wd"].value == pytest.approx(0, abs=0.1)


def test_restarts_are_compared_at_best_cells_where_there_are_curves():
    rows, points = [], []
    for schedule, speed, other in (("cosine", 1.0, 99.0), ("warm_restarts", 2.0, 5.0)):
        for wd in (0.1, 0.2):
            for seed in (0, 1):
                row = run(schedule=schedule, wd=wd, seed=seed, test_error=10.0 + 100 * wd)
                row["epochs"] = 100.0 * speed  # the paper's, too, need not be equally long
                row["id"] = f"{schedule}{wd}{seed}"
                rows.append(row)
                points += [
                    {"id": row["id"], "step": t, "epoch": t,
                     "test_error": max(100 - speed * t, 20) if wd == 0.1 else other}
                    for t in range(1, 101)
                ]  # fmt: skip
    table = curves.frame(pd.DataFrame([curves._point(p["id"], p) for p in points]))
    one = found(rows, points=table)["restarts", ("AdamW",), ""]
    assert one.value == pytest.approx(0.5, abs=0.02)
    assert one.n == 2
    assert ("restarts", ("AdamW",), "") not in found(rows)
    apart = [row | {"task": "text"} if row["schedule"] == "cosine" else row for row in rows]
    assert not any(kind == "restarts" for kind, *_ in found(apart, points=table))


def test_one_seed_has_an_interval_too_whose_noise_the_fit_finds():
    lone = [row for rows in pair() for row in rows if row["seed"] == 0]
    one = found(lone)["best_difference", ADAMS, ""]
    assert one.low < -1 < one.high


def test_missing_runs_are_said():
    adam, adamw = pair()
    rows = adam[:-2] + adamw
    plan = [{k: row[k] for k in ("optim", "lr", "wd", "seed")} for row in adam + adamw]
    measured = measure(panels(frame(rows), "test_error", plan), QUICK)
    (one, *_) = findings.findings(measured, NOTHING)
    assert "2 planned runs are missing" in one.estimate.note
    assert one.estimate.n == len(rows)
    assert one.text("test_error") == [
        "Adam + L2, AdamW",
        "AdamW minus Adam + L2, best test error with decay, points",
        one.estimate.text(),
        "48 cells x 1 to 3 seeds",
        one.estimate.note,
    ]

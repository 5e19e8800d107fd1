import json

import numpy as np
import pandas as pd
import pytest

from experiments.report.data import curves
from experiments.report.data.panels import panels
from experiments.report.figures import accuracy, grokking, style
from experiments.report.pages.sweep import analyze
from experiments.report.statistics.measure import Settings, measure
from tests.report.report_data import frame, run, write_runs

RATES = tuple(2.0 ** np.arange(-10, -5))
DECAYS = (0.0, *(2.0 ** np.arange(-12, -3)))
SETTINGS = Settings(level=5.0, samples=200, curves=True, figures=("steps", "accuracy"))
STEPS = (50, 100, 200, 400, 800, 1000)


def time(slope, lr, wd, seed):
    """Steps until it generalizes: 400 at the threshold 2^-8, half as many at twice the decay.

    At half of it never, as at no decay.
    """
    away = np.log2(wd) + 8 - slope * (np.log2(lr) + 8) if wd else -9
    return 400 * 2.0 ** (-away) * (1 + 0.1 * seed) if away > -0.5 else np.inf


def rows(slope=-1.0, optim="adamw", task="modular", seeds=(0, 1), **values):
    """Runs of 1,000 steps, and their points."""
    found, points = [], {}
    for lr in RATES:
        for wd in DECAYS:
            for seed in seeds:
                name = f"{optim}{task}{lr}{wd}{seed}"
                at = time(slope, lr, wd, seed)
                found.append(
                    run(id=name, optim=optim, task=task, lr=lr, wd=wd, seed=seed, steps=1000,
                        test_error=0.0 if at <= 1000 else 50.0, **values)
                )  # fmt: skip
                points[name] = [
                    {"step": step, "epoch": step / 10, "test_error": 1.0 if step >= at else 50.0,
                     "train_error": 0.0 if step >= 100 else 90.0}
                    for step in STEPS
                ]  # fmt: skip
    return found, points


def typed(points):
    return curves.frame(
        pd.DataFrame([curves._point(name, p) for name, own in points.items() for p in own])
    )


def timed(*sweeps):
    runs = [row for found, _ in sweeps for row in found]
    points = typed({name: own for _, part in sweeps for name, own in part.items()})
    page = measure(panels(frame(runs), "test_error"), SETTINGS)
    return [grokking.timed(one, points) for one in page], points


def test_a_cell_is_the_first_evaluation_below_the_level_and_never_is_a_bound():
    (one,), _ = timed(rows(seeds=(0,)))
    cells = one.panel.cells.set_index(["lr", "wd"])
    lr = 2.0**-8
    assert cells.loc[(lr, 2.0**-8), "steps_to"] == pytest.approx(400)
    assert cells.loc[(lr, 2.0**-6), "steps_to"] == pytest.approx(100)
    assert cells.loc[(lr, 2.0**-8), "bound"] == ""
    assert cells.loc[(lr, 2.0**-9), "bound"] == cells.loc[(lr, 0.0), "bound"] == "high"
    assert len(one.there) + (cells["bound"] == "high").sum() == len(cells)


@pytest.mark.parametrize("slope", [0.0, -1.0])
def test_the_slope_of_the_threshold_is_found(slope):
    (one,), _ = timed(rows(slope))
    assert one.slope["value"] == pytest.approx(slope, abs=1e-6)
    assert one.slope["low"] <= slope + 1e-6
    assert one.slope["high"] >= slope - 1e-6
    assert one.draws[0] == pytest.approx(slope, abs=1e-6)


def test_it_counts_when_a_run_got_there_and_not_whether_it_stayed():
    """Those two seeds forget at the end; the final errors alone would miss the threshold."""
    found, points = rows(0.0)
    for row in found:
        row["test_error"] = 50.0
        points[row["id"]][-1]["test_error"] = 50.0
    (one,), _ = timed((found, points))
    assert one.slope["value"] == pytest.approx(0, abs=1e-6)


def test_seeds_that_disagree_make_the_slope_unsure():
    found, points = rows(0.0)
    for row in found:
        late = row["lr"] == RATES[0] and row["wd"] == 2.0**-8 and row["seed"] == 1
        if late:
            for point in points[row["id"]]:
                point["test_error"] = 50.0
    (one,), _ = timed((found, points))
    assert one.slope["low"] < one.slope["high"]
    cell = one.panel.cells.set_index(["lr", "wd"]).loc[(RATES[0], 2.0**-8)]
    assert cell["bound"] == "high"
    assert cell["steps_to"] == pytest.approx(np.sqrt(400 * 2000))


def test_a_run_without_points_is_left_out_and_missing_ones_are_no_bounds():
    found, points = rows()
    del points[found[0]["id"]]
    plan = [{k: row[k] for k in ("optim", "lr", "wd", "seed")} for row in found]
    plan.append({"optim": "adamw", "lr": RATES[0], "wd": 2.0**-3, "seed": 0})
    page = measure(panels(frame(found), "test_error", plan), SETTINGS)
    one = grokking.timed(page[0], typed(points))
    assert len(one.runs) == len(found)
    cell = one.panel.cells.set_index(["lr", "wd"]).loc[(RATES[0], 2.0**-3)]
    assert (cell["status"], cell["bound"]) == ("missing", "")


def test_a_sweep_that_has_begun_is_drawn_with_what_is_there(recwarn):
    found, points = rows(seeds=(0,))
    plan = [
        {k: row[k] for k in ("lr", "wd")} | {"optim": optim, "seed": seed}
        for row in found
        for optim in ("adam", "adamw")
        for seed in (0, 1)
    ]
    page = measure(panels(frame(found), "test_error", plan), SETTINGS)
    begun = [grokking.timed(one, typed(points)) for one in page]
    by_name = {row[0]: row for row in grokking.section(begun).table[1:]}
    assert by_name["AdamW"][2:6] == ["50", "2e-3", "0.062", "100"]
    assert by_name["Adam + L2"][1:6] == ["0 of 0", "-", "-", "-", "-"]
    grokking.heatmaps(begun)
    assert grokking.caption(begun) == "Steps until the test accuracy is 95 %; one seed."
    accuracy.figure(begun, typed(points))
    assert not [str(one.message) for one in recwarn if "legend" in str(one.message)]


def test_rivals_are_compared_task_by_task():
    kinds = [("adam", -2.0, "l2"), ("adamw", 0.0, "decoupled")]
    sweeps = [
        rows(slope, optim, task, convention=convention)
        for task in ("modular", "modular_divide")
        for optim, slope, convention in kinds
    ]
    found, points = timed(*sweeps)
    names, differences = zip(*grokking.rivals(found), strict=True)
    assert names == ("Adam + L2, AdamW, modular", "Adam + L2, AdamW, modular_divide")
    assert [one.value for one in differences] == pytest.approx([2, 2], abs=0.35)
    section = grokking.section(found)
    assert "the threshold moves less under decoupled decay" in section.verdicts[0]
    assert section.table[1][0] == "Adam + L2, modular"
    figure = grokking.heatmaps(found)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [one.panel.name for one in found]
    norms = {id(ax.collections[0].norm) for ax in figure.axes[:4]}
    assert len(norms) == 1
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "a seed never does in 1000 steps" in legend
    assert figure.legends[0].get_title().get_text().startswith("Steps until the test accuracy")


def test_the_black_cells_are_those_that_never_get_there():
    found, _ = timed(rows(seeds=(0,)))
    ax = grokking.heatmaps(found).axes[0]
    values = ax.collections[0].get_array()
    above = values > ax.collections[0].norm.vmax
    assert above.sum() == (found[0].panel.cells["bound"] == "high").sum()
    assert values[~above].max() <= 1000


def test_a_curve_is_the_mean_accuracy_over_steps_at_the_middle_rate():
    found, points = timed(rows())
    axes = accuracy.figure(found, points).axes
    ax = axes[0]
    assert ax.get_xscale() == "log"
    assert ax.get_title() == "AdamW, lr 3.9e-3"
    solid = [line for line in ax.lines if line.get_linestyle() == "-"]
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert len(solid) == len(dotted) == len(DECAYS)
    label = {line.get_label(): line for line in solid}
    at = dict(zip(label["3.9e-3"].get_xdata(), label["3.9e-3"].get_ydata(), strict=True))
    assert (at[200], at[400], at[800]) == pytest.approx((50.0, (99 + 50) / 2, 99.0))
    assert at.keys() == set(STEPS)
    assert list(dotted[0].get_ydata()) == [10.0, 100.0, 100.0, 100.0, 100.0, 100.0]
    assert all(style.colour("adamw") for _ in solid)


def test_a_curve_has_the_steps_that_all_seeds_have():
    found, points = rows()
    lost = next(r["id"] for r in found if r["lr"] == 2.0**-8 and r["wd"] and r["seed"])
    del points[lost][2]
    panels_, table = timed((found, points))
    ax = accuracy.figure(panels_, table).axes[0]
    lengths = {len(line.get_xdata()) for line in ax.lines}
    assert lengths == {len(STEPS), len(STEPS) - 1}


def test_the_report_of_a_sweep_has_it_all_and_draws_again_from_its_tables(tmp_path):
    found, points = rows(0.0)
    folder = tmp_path / "runs" / "toy"
    write_runs(folder, found)
    for number, row in enumerate(found):
        lines = "".join(json.dumps(point) + "\n" for point in points[row["id"]])
        (folder / f"adamw-{number}" / "metrics.jsonl").write_text(lines)
    where = {"results_dir": tmp_path / "results", "settings": SETTINGS}
    made = analyze("toy", runs_dir=tmp_path / "runs", **where)
    assert "cells there" in made.text
    files = {p.name: p.read_bytes() for p in made.paths}
    assert {"steps.png", "accuracy.svg", "grokking.csv", "curves.csv", "README.md"} <= set(files)
    assert b"## Steps until it generalizes" in files["README.md"]
    assert b"![" in files["README.md"]
    analyze("toy", runs_dir=tmp_path / "nowhere", **where)
    again = {name: (tmp_path / "results" / "toy" / name).read_bytes() for name in files}
    assert again == files

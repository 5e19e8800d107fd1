import json

import pytest

from experiments.report.figures import accuracy, steps, style
from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import analyze
from experiments.report.statistics.grokking import in_steps
from tests.report import sweep_data
from tests.report.report_data import write_runs
from tests.report.sweep_data import EVALUATED, STEP_DECAYS, measured, panels_in_steps, typed

SETTINGS = Settings(level=5.0, samples=200, curves=True, figures=("steps", "accuracy"))


def rows(*values, **named):
    return sweep_data.steps(*values, **named)


def test_a_sweep_that_has_begun_is_drawn_with_what_is_there(recwarn):
    found, points = rows(seeds=(0,))
    plan = [
        {k: row[k] for k in ("lr", "wd")} | {"optim": optim, "seed": seed}
        for row in found
        for optim in ("adam", "adamw")
        for seed in (0, 1)
    ]
    page = measured(found, planned=plan)
    begun = [in_steps(one, typed(points), 5.0) for one in page]
    by_name = {row[0]: row for row in steps.section(begun).tables[0][1:]}
    assert by_name["AdamW"][2:6] == ["50", "1.95e-3", "0.0625", "100"]
    assert by_name["Adam + L2"][1:6] == ["0 of 0", "-", "-", "-", "-"]
    steps.heatmaps(begun)
    assert steps.caption(begun) == "Steps until the test accuracy is 95 %; one seed."
    accuracy.figure(page, typed(points))
    assert not [str(one.message) for one in recwarn if "legend" in str(one.message)]


def test_rivals_are_said_and_drawn_task_by_task():
    kinds = [("adam", -2.0, "l2"), ("adamw", 0.0, "decoupled")]
    sweeps = [
        rows(slope, optim, task, convention=convention)
        for task in ("modular", "modular_divide")
        for optim, slope, convention in kinds
    ]
    found, points = panels_in_steps(*sweeps)
    section = steps.section(found)
    assert "the threshold moves less under decoupled decay" in section.verdicts[0]
    assert section.tables[0][1][0] == "Adam + L2, a + b mod p"
    figure = steps.heatmaps(found)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [one.panel.name for one in found]
    norms = {id(ax.collections[0].norm) for ax in figure.axes[:4]}
    assert len(norms) == 1
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "a seed never does in 1000 steps" in legend
    assert figure.legends[0].get_title().get_text().startswith("Steps until the test accuracy")


def test_the_black_cells_are_those_that_never_get_there():
    found, _ = panels_in_steps(rows(seeds=(0,)))
    ax = steps.heatmaps(found).axes[0]
    values = ax.collections[0].get_array()
    above = values > ax.collections[0].norm.vmax
    assert above.sum() == (found[0].cells["bound"] == "high").sum()
    assert values[~above].max() <= 1000


def test_a_curve_is_the_mean_accuracy_over_steps_at_the_middle_rate():
    found, points = panels_in_steps(rows())
    axes = accuracy.figure([one.measured for one in found], points).axes
    ax = axes[0]
    assert ax.get_xscale() == "log"
    assert ax.get_title() == "AdamW, lr 3.91e-3"
    solid = [line for line in ax.lines if line.get_linestyle() == "-"]
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert len(solid) == len(dotted) == len(STEP_DECAYS)
    label = {line.get_label(): line for line in solid}
    at = dict(zip(label["3.91e-3"].get_xdata(), label["3.91e-3"].get_ydata(), strict=True))
    assert (at[200], at[400], at[800]) == pytest.approx((50.0, (99 + 50) / 2, 99.0))
    assert at.keys() == set(EVALUATED)
    assert list(dotted[0].get_ydata()) == [10.0, 100.0, 100.0, 100.0, 100.0, 100.0]
    colours = [line.get_color() for line in solid]
    assert colours == [line.get_color() for line in dotted] == style.sequence(len(solid))


def test_a_curve_has_the_steps_that_all_seeds_have():
    found, points = rows()
    lost = next(r["id"] for r in found if r["lr"] == 2.0**-8 and r["wd"] and r["seed"])
    del points[lost][2]
    panels_, table = panels_in_steps((found, points))
    ax = accuracy.figure([one.measured for one in panels_], table).axes[0]
    lengths = {len(line.get_xdata()) for line in ax.lines}
    assert lengths == {len(EVALUATED), len(EVALUATED) - 1}


def test_the_report_of_a_sweep_has_it_all_and_draws_again_from_its_tables(tmp_path):
    found, points = rows(0.0)
    folder = tmp_path / "runs" / "toy"
    write_runs(folder, found)
    for number, row in enumerate(found):
        lines = "".join(json.dumps(point) + "\n" for point in points[row["id"]])
        (folder / f"adamw-{number}" / "metrics.jsonl").write_text(lines)
    where = {"results_dir": tmp_path / "results", "settings": SETTINGS}
    made = analyze("toy", runs_dir=tmp_path / "runs", **where)
    assert "cells that generalize" in made.text
    files = {p.name: p.read_bytes() for p in made.paths}
    assert {"steps.png", "accuracy.svg", "grokking.csv", "curves.csv", "README.md"} <= set(files)
    assert b"## Steps until it generalizes" in files["README.md"]
    assert b"![" in files["README.md"]
    analyze("toy", runs_dir=tmp_path / "nowhere", **where)
    again = {name: (tmp_path / "results" / "toy" / name).read_bytes() for name in files}
    assert again == files

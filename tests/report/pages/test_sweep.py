import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.report.data.panels import panels
from experiments.report.figures import style
from experiments.report.figures.kinds import kinds
from experiments.report.pages import sections
from experiments.report.pages.request import report
from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import analyze
from experiments.report.statistics.matching import match, matches
from experiments.report.statistics.measure import measure
from tests.report.report_data import LRS, WDS, frame, run, sweep, valley, write_runs

ROOT = Path(__file__).parents[3]
QUICK = Settings(samples=50)
OPTIONS = {
    "source": "local",
    "log_figures": False,
    "metric": "test_error",
    "axis": "typed",
    "tolerance": 2.0,
    "near": 0.5,
    "level": None,
    "samples": 0,
    "panels": [],
    "paper": None,
}


@pytest.fixture
def toy(tmp_path):
    """Run folders of a small sweep of two optimizers, and where they and the results are."""
    rows = sweep(lrs=LRS[::2], optim="adam", convention="l2")
    rows += sweep(valley(0.0), lrs=LRS[::2], optim="adamw")
    write_runs(tmp_path / "runs" / "toy", rows)
    return {"runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results"}


@pytest.fixture
def no_pictures(monkeypatch):
    """Skip the drawing, which takes most of the time, where a test is not about it."""
    monkeypatch.setattr(style, "render", lambda figure: {"png": b"", "svg": b""})


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_report_writes_table_figures_statistics_and_readme(toy):
    made = analyze("toy", settings=QUICK, **toy)
    names = {path.name for path in made.paths}
    assert names == {path.name for path in (toy["results_dir"] / "toy").iterdir()}
    assert names >= {"runs.csv", "heatmap.png", "heatmap.svg", "decoupling.csv", "README.md"}
    assert names >= {"collapse.png", "collapse.csv"}
    assert names >= {"twin.png", "tuning.png", "tuning.csv"}
    assert "Adam + L2" in made.text
    assert "ridge slope" in made.text


def test_the_decay_of_the_best_cell_stands_in_torchs_units_too():
    rows = [run(lr=0.1, wd=wd, test_error=5 + wd) for wd in (0.02, 0.05)]
    rows += [run(lr=0.1, wd=0.02, optim="adam", convention="l2", id="adam")]
    measured = measure(panels(frame(rows), "test_error"), QUICK)
    head, *found = sections.best_cells(measured)
    at = head.index("torch's weight_decay")
    assert [(row[0], row[at - 1], row[at]) for row in found] == [
        ("Adam + L2", "0.02", "0.02"), ("AdamW", "0.02", "0.2"),
    ]  # fmt: skip


def test_a_report_made_again_from_its_own_table_has_the_same_bytes(toy, tmp_path):
    analyze("toy", settings=QUICK, **toy)
    before = snapshot(toy["results_dir"] / "toy")
    analyze("toy", settings=QUICK, **toy | {"runs_dir": tmp_path / "nowhere"})
    assert snapshot(toy["results_dir"] / "toy") == before


def test_corrupt_and_unfinished_folders_are_said_and_the_rest_is_drawn(toy, caplog, no_pictures):
    (toy["runs_dir"] / "toy" / "half").mkdir()
    (toy["runs_dir"] / "toy" / "half" / "result.json").write_text('{"id": ')
    (toy["runs_dir"] / "toy" / "going").mkdir()
    (toy["runs_dir"] / "toy" / "going" / "config.yaml").write_text("lr: 1")
    made = analyze("toy", settings=QUICK, **toy)
    assert "skipped corrupt runs: half (" in caplog.text
    assert "1 runs have begun and not ended" in made.text
    assert "heatmap.png" in made.text


def test_missing_cells_are_counted(toy, no_pictures):
    plan = [
        {"optim": "adamw", "lr": float(lr), "wd": float(wd), "seed": 0}
        for lr in LRS[::2]
        for wd in (0.0, *WDS[::3], 4.0)
    ]
    made = analyze("toy", settings=QUICK, planned=plan, **toy)
    assert "5 planned runs are missing" in made.text
    assert "90/95" in made.text  # three seeds of 30 cells, and five runs planned


def test_an_experiment_without_runs_is_refused_and_the_known_are_listed(toy):
    with pytest.raises(
        UserError, match=r"experiment=tow has no finished run in .*tow; did you mean toy\?$"
    ):
        analyze("tow", **toy)
    assert not toy["results_dir"].exists()


def test_statistics_are_traceable_and_intervals_contain_the_estimates(toy, no_pictures):
    analyze("toy", settings=QUICK, **toy)
    table = pd.read_csv(toy["results_dir"] / "toy" / "decoupling.csv")
    known = table[table.low.notna()]
    assert len(known) > 8
    assert ((known.low <= known.value + 1e-9) & (known.value <= known.high + 1e-9)).all()
    assert set(table.statistic) >= {"ridge_slope", "freezing_cost", "run_noise", "best_of_10"}


def test_readme_tells_seeds_code_hardware_hours_and_the_note(toy, no_pictures):
    folder = toy["results_dir"] / "toy"
    folder.mkdir(parents=True)
    (folder / "NOTE.md").write_text("Images are re-encoded.\n\nMore.")
    analyze("toy", settings=QUICK, **toy)
    text = (folder / "README.md").read_text()
    for fact in ("seeds: 0, 1, 2", "code: 0123abc", "a processor", "run hours: 1.80", "re-encoded"):
        assert fact in text
    assert "![" in text
    assert "heatmap.png" in text


def test_the_papers_numbers_stand_beside_ours_where_asked(toy, no_pictures):
    theirs = toy["results_dir"] / "paper"
    theirs.mkdir(parents=True)
    (theirs / "runs.csv").write_bytes((ROOT / "results" / "paper" / "runs.csv").read_bytes())
    analyze("paper", settings=Settings(samples=0), **toy)
    analyze("toy", settings=Settings(samples=0, paper="figure2"), **toy)
    text = (toy["results_dir"] / "toy" / "README.md").read_text()
    section = text.split("## Beside the paper")[1]
    ours, theirs = re.search(r"\| AdamW \| (\S+) \| (\S+) \|", section).groups()
    assert (float(ours), float(theirs)) == pytest.approx((0, 0.01), abs=0.05)
    assert (toy["results_dir"] / "toy" / "beside.png").exists()
    assert "| Adam + L2 | " in section
    assert "rank correlation | cells |" in section
    with pytest.raises(UserError, match="paper=figure9 is not one of figure1, figure2, figureS3"):
        analyze("toy", settings=Settings(samples=0, paper="figure9"), **toy)


def test_another_axis_adds_figures_and_leaves_the_others(toy):
    analyze("toy", settings=QUICK, **toy)
    before = snapshot(toy["results_dir"] / "toy")
    options = {"experiment": "toy"} | toy | OPTIONS | {"samples": 50}
    report(options | {"axis": "torch_wd"}, typed={"axis"})
    after = snapshot(toy["results_dir"] / "toy")
    assert set(after) - set(before) >= {"heatmap_torch_wd.png", "decoupling_torch_wd.csv"}
    assert all(after[name] == content for name, content in before.items())


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ({"tolerance": 4}, "heatmap_tolerance-4.png"),
        ({"panels": ["adamw"]}, "heatmap_panels-adamw.png"),
        ({"samples": 0}, "decoupling_samples-0.csv"),
        ({"level": 6}, "decoupling_level-6.csv"),
        ({"metric": "test_loss", "figures": ["losses"]}, "losses_test_loss_figures-losses.csv"),
    ],
)
def test_what_is_typed_leaves_all_files_of_the_usual_report_alone(toy, no_pictures, typed, name):
    options = {"experiment": "toy"} | toy | OPTIONS | {"samples": 50, "near": 1.0}
    preset = {"near": 0.25, "samples": 20}
    report(options, preset=preset)
    before = snapshot(toy["results_dir"] / "toy")
    report(options | typed, preset=preset, typed=set(typed))
    after = snapshot(toy["results_dir"] / "toy")
    assert name in after
    assert {key: after[key] for key in before} == before


def test_what_is_typed_as_the_preset_has_it_is_the_usual_report(toy, no_pictures):
    options = {"experiment": "toy"} | toy | OPTIONS
    report(options | {"near": 0.25}, preset={"near": 0.25}, typed={"near"})
    assert "README.md" in snapshot(toy["results_dir"] / "toy")


def test_panels_chooses_optimizers_and_their_order(toy, no_pictures):
    made = analyze("toy", settings=Settings(samples=0, panels=("adamw", "adam")), **toy)
    assert made.text.index("AdamW") < made.text.index("Adam + L2")
    with pytest.raises(UserError, match="the runs have only adam, adamw"):
        analyze("toy", settings=Settings(samples=0, panels=("sgd",)), **toy)


def test_an_exported_table_takes_the_place_of_run_folders(toy, tmp_path, no_pictures):
    exported = pd.DataFrame([run(lr=lr) for lr in (0.1, 0.2)] + [run(id="odd", status="lost")])
    made = analyze(
        "far", settings=QUICK, exported=exported, results_dir=tmp_path / "r", runs_dir=tmp_path
    )
    assert "2/2" in made.text
    assert "1 runs are corrupt" in made.text


def test_torch_runs_are_compared_with_ours_at_equal_lambda(toy):
    ours = [run(lr=0.1, wd=wd, test_error=5.0) for wd in (0.01, 0.02)]
    theirs = [
        run(optim="torch_adamw", convention="lr_coupled", lr=0.1, wd=wd, test_error=5.5)
        for wd in (0.1, 0.5)
    ]
    pairs = match(frame(ours), frame(theirs), "test_error")
    assert pairs[["lambda", "difference"]].to_numpy().tolist() == [[0.01, 0.5]]
    (found,) = matches(panels(frame(ours + theirs), "test_error"), "test_error")
    assert "1 matching runs, mean difference +0.50" in found.text()


def test_namesakes_are_compared_where_all_settings_that_both_have_agree():
    ours = {"optim": "adamw", "convention": "decoupled", "wd": 0.01, "optim.fused": None}
    torchs = {"optim": "torch_adamw", "convention": "lr_coupled", "wd": 0.1, "optim.fused": True}
    cells = [(ours, 64, 5.0), (ours, 128, 3.0)]
    cells += [(torchs, 64, 5.5), (torchs, 128, 3.0), (torchs, 256, 2.0)]
    rows = [
        run(**one | {"id": str(at), "lr": 0.1, "model.width": width, "test_error": error})
        for at, (one, width, error) in enumerate(cells)
    ]
    found = matches(panels(frame(rows), "test_error"), "test_error")
    tables = pd.concat([one.table() for one in found])
    assert tables[["model.width", "difference"]].to_numpy().tolist() == [[64, 0.5], [128, 0.0]]
    assert "AdamW, width 64" in found[0].text()


def test_runs_without_decay_say_nothing_about_its_convention():
    pair = [
        run(optim="adamw", lr=0.1, wd=0.0),
        run(optim="torch_adamw", convention="lr_coupled", lr=0.1, wd=0.0),
    ]
    assert matches(panels(frame(pair), "test_error"), "test_error") == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"axis": "tau"}, "axis=tau is not one of"),
        ({"tolerance": -1.0}, "tolerance=-1.0 must be a positive number"),
        ({"tolerance": "abc"}, "tolerance=abc must be a positive number"),
        ({"level": 0}, "level=0 must be a positive number"),
        ({"panels": "sgd"}, r"panels=\['sgd'\]: the runs have only adam, adamw"),
        ({"samples": -5}, "samples=-5 must be a whole number"),
        ({"metric": "speed"}, "metric=speed is not one of"),
        ({"source": "cloud"}, "source=wandb:ENTITY/PROJECT, not cloud"),
        ({"log_figures": True}, "log_figures=true needs source=wandb"),
        ({"experiment": "???"}, "give experiment=NAME; experiments with runs: toy"),
        ({"colour": "red"}, "unknown analysis settings: colour"),
    ],
)
def test_bad_settings_are_refused_in_one_line(toy, bad, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")) as caught:
        report({"experiment": "toy"} | toy | OPTIONS | bad, None)
    assert "\n" not in str(caught.value)
    assert not toy["results_dir"].exists()


def command(*arguments, folder):
    """Run analyze.py as a person does, in an empty folder."""
    words = [sys.executable, str(ROOT / "analyze.py"), *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_draws_an_experiment_and_prints_its_table(toy, tmp_path):
    done = command("experiment=toy", "samples=0", "metric=test_loss", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "best test loss" in done.stdout
    assert "wrote results/toy/runs.csv results/toy/heatmap_test_loss_samples-0.png" in done.stdout
    names = {path.name for path in (tmp_path / "results" / "toy").iterdir()}
    assert names >= {"heatmap_test_loss_samples-0.svg", "decoupling_test_loss_samples-0.csv"}
    assert not names & {"README.md", "heatmap.png", "twin.png"}


def test_the_command_refuses_an_experiment_without_runs_in_one_line(toy, tmp_path):
    done = command("experiment=tyo", folder=tmp_path)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) == 1
    assert "did you mean toy?" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]


def test_importing_reports_pulls_in_neither_torch_nor_hydra_nor_wandb():
    code = (
        "import sys, experiments.report, experiments.report.pages.request; "
        "print(sorted({'torch', 'wandb', 'hydra', 'omegaconf', 'optim'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_one_seed_borrows_the_noise_of_a_run_where_asked(toy, tmp_path, caplog, no_pictures):
    analyze("toy", settings=QUICK, **toy)
    lone = [row | {"seed": 0, "id": f"lone{i}"} for i, row in enumerate(sweep(seeds=[0], sd=0))]
    write_runs(tmp_path / "runs" / "lone", lone)
    analyze("lone", settings=QUICK, **toy)
    table = toy["results_dir"] / "lone" / "decoupling.csv"
    assert "run_noise" not in table.read_text()
    analyze("lone", settings=Settings(samples=50, noise="toy"), **toy)
    noise = pd.read_csv(table).set_index("statistic").loc["run_noise"]
    assert noise["value"] == pytest.approx(0.1, rel=0.2)
    assert noise["note"].startswith("lent by toy: ")
    assert pd.read_csv(table).set_index("statistic").loc["best_of_10", "low"] > 0
    analyze("lone", settings=Settings(samples=50, noise="nobody"), **toy)
    assert "noise=nobody has no committed runs.csv" in caplog.text


def test_committed_runs_of_another_experiment_belong_to_a_report_that_names_it(
    toy, tmp_path, caplog, no_pictures
):
    analyze("toy", settings=QUICK, **toy)
    own = [
        row | {"id": f"c{i}", "experiment": "fixed"}
        for i, row in enumerate(sweep(schedule="constant", sd=0.1))
    ]
    write_runs(tmp_path / "runs" / "fixed", own)
    settings = replace(QUICK, also=("toy", "nobody", "fixed"))
    cell = {"lr": 0.0625, "wd": 0.25, "seed": 7}
    plan = [cell | {"optim": optim} for optim in ("adamw", "adam")]
    made = analyze(
        "fixed", settings=settings, plan_of=lambda name: plan[: 2 * (name == "toy")], **toy
    )
    assert "AdamW, cosine" in made.text
    assert "AdamW, constant" in made.text
    assert "Adam + L2" not in made.text  # an optimizer that fixed does not have
    assert made.text.count("1 planned runs are missing") == 1
    folder = toy["results_dir"] / "fixed"
    assert set(pd.read_csv(folder / "runs.csv")["schedule"]) == {"constant"}
    readme = (folder / "README.md").read_text()
    assert f"- runs of: fixed ({len(own)} runs), toy (" in readme
    assert "also=nobody has no committed runs.csv" in caplog.text


def test_noise_is_lent_by_panels_of_the_same_task_and_if_possible_schedule():
    lenders = [
        *sweep(lrs=LRS[::4], sd=0.1, schedule="cosine"),
        *sweep(lrs=LRS[::4], sd=2.0, schedule="restarts"),
        *sweep(lrs=LRS[::4], sd=9.0, schedule="cosine", task="shakespeare"),
    ]
    lenders = panels(frame([row | {"id": str(i)} for i, row in enumerate(lenders)]), "test_error")
    for schedule, sd in (("cosine", 0.1), ("constant", 2**0.5)):
        lone = panels(frame(sweep(lrs=LRS[::4], seeds=[0], schedule=schedule)), "test_error")
        (measured,) = measure(lone, Settings(samples=0, noise="far"), lenders)
        assert measured.noise.sd == pytest.approx(sd, rel=0.3)


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_every_kind_of_picture_is_drawn_or_left_out_from_the_first_run_on(tmp_path, kind, status):
    lost = {} if status == "finished" else {"test_error": None, "test_loss": None}
    write_runs(tmp_path / "runs" / "toy", [run(status=status, **lost, **{"model.width": 64})])
    folders = {"runs_dir": tmp_path / "runs", "results_dir": tmp_path / "results"}
    settings = Settings(samples=20, figures=(kind,), level=5.0, curves=True)
    made = analyze("toy", settings=settings, **folders)
    assert "toy" in made.text
    assert (tmp_path / "results" / "toy" / "README.md").exists()


def test_pictures_of_other_kinds_need_no_statistics_of_a_grid(toy):
    settings = Settings(samples=0, figures=("final", "scatter"))
    made = analyze("toy", settings=settings, **toy)
    assert {path.name for path in made.figures} == {"final.png", "scatter.png"}
    assert "ridge slope" not in made.text
    readme = (toy["results_dir"] / "toy" / "README.md").read_text()
    assert "ridge slope" not in readme
    assert "final.png" in readme


def test_findings_are_a_table_and_a_section(toy, no_pictures):
    made = analyze("toy", settings=QUICK, **toy)
    found = pd.read_csv(toy["results_dir"] / "toy" / "findings.csv")
    assert set(found.kind) >= {"best_difference", "gain"}
    assert "AdamW minus Adam + L2, best test error with decay, points" in made.text
    assert "## Comparisons" in (toy["results_dir"] / "toy" / "README.md").read_text()


def test_a_task_that_switches_has_no_findings(toy, no_pictures):
    analyze("toy", settings=Settings(samples=0, level=10.0), **toy)
    assert not (toy["results_dir"] / "toy" / "findings.csv").exists()

"""The report on why: gathers the probe's tables and writes pictures, claims and docs/why.md."""

from pathlib import Path

import pandas as pd

from experiments.errors import UserError
from experiments.record import tables
from experiments.report.data import probes
from experiments.report.data.frames import frame
from experiments.report.data.text import aligned, csv
from experiments.report.figures import decay_shares, loss_scale
from experiments.report.pages import files, why_page
from experiments.report.pages.readme import read_note
from experiments.report.statistics import factors, shares, why_claims

NAME = "why"
FACTORIALS = ("factorial_modular", "factorial_cifar")


def write_why(runs_dir: Path, results_dir: Path) -> str:
    """Write results/why and docs/why.md beside ``results_dir``; return the claims as text.

    Tables that are there are kept, what run folders have is added to them, and the committed
    tables suffice to draw everything again.

    Raises:
        UserError: No run has been watched yet; or a committed table is damaged.
    """
    folder = results_dir / NAME
    kept = probes.known(runs_dir / NAME, folder)
    runs = tables.known(NAME, runs_dir, results_dir)
    if not kept or not runs:
        raise UserError(
            f"no run of {NAME} has been watched; type: python train.py -m experiment=why"
        )
    rows = probes.joined(probes.frame(kept), frame(runs))
    looks = shares.looks(rows)
    per_run = shares.per_run(looks)
    rulings = why_claims.rulings(per_run)
    contents: files.Contents = {
        tables.file(results_dir, NAME): tables.render(runs),
        folder / probes.FILE: tables.render(kept, probes.KIND),
        folder / "claims.csv": csv(why_claims.frame(rulings)),
    }
    for task in sorted(rows["task"].unique()):
        own = [part[part["task"] == task] for part in (rows, looks, per_run)]
        contents |= files.pictures(folder / f"why_{task}", decay_shares.picture(*own))
    scaled = _runs("loss_scale", runs_dir, results_dir)
    thresholds = factors.thresholds(scaled) if len(scaled) else None
    if thresholds is not None:
        contents |= files.pictures(folder / "loss_scale", loss_scale.figure(thresholds))
    factorials = {name: _runs(name, runs_dir, results_dir) for name in FACTORIALS}
    contents[results_dir.parent / "docs" / "why.md"] = why_page.page(
        rulings,
        per_run,
        looks=looks.groupby("id").size().max(),
        arms={name: factors.arms(found) for name, found in factorials.items() if len(found)},
        thresholds=thresholds,
        note=read_note(folder),
    )
    return f"{aligned(why_page.summary_rows(rulings))}\n\n{files.write(contents)}"


def _runs(experiment: str, runs_dir: Path, results_dir: Path) -> pd.DataFrame:
    """Return the typed runs of an experiment, from its folders and its table."""
    return frame(tables.known(experiment, runs_dir, results_dir))

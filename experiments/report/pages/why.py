"""The report on why: gathers the probe's tables and writes pictures, claims and docs/why.md."""

import logging
from pathlib import Path

from experiments.errors import UserError
from experiments.record import files, tables
from experiments.report.data import probes
from experiments.report.data.frames import frame
from experiments.report.data.text import aligned, csv
from experiments.report.figures import factors, picture, probe_panels
from experiments.report.pages import readme, why_page
from experiments.report.statistics import claims, shares

log = logging.getLogger(__name__)

NAME = "why"
FACTORIALS = ("factorial_modular", "factorial_cifar")


def report(runs_dir: Path, results_dir: Path) -> str:
    """Write results/why and docs/why.md beside ``results_dir``; return the claims as text.

    Tables that are there are kept, what run folders have is added to them, and the committed
    tables suffice to draw everything again.

    Raises:
        UserError: No run has been watched yet; or a committed table is damaged.
    """
    folder = results_dir / NAME
    gathered, corrupt = probes.gather(runs_dir / NAME)
    if corrupt:
        log.warning("skipped corrupt probes: %s", "; ".join(corrupt))
    kept = tables.merge(tables.read(folder / probes.FILE, probes.KIND), gathered, probes.KIND)
    runs = tables.known(NAME, runs_dir, results_dir)
    if not kept or not runs:
        raise UserError(
            f"no run of {NAME} has been watched; type: python train.py -m experiment=why"
        )
    rows = probes.joined(probes.frame(kept), frame(runs))
    looks = shares.looks(rows)
    per_run = shares.per_run(looks)
    ruled = claims.rulings(per_run)
    shown = claims.shown(ruled)
    contents: dict[Path, str | bytes] = {
        tables.file(results_dir, NAME): tables.render(runs),
        folder / probes.FILE: tables.render(kept, probes.KIND),
        folder / "claims.csv": csv(ruled),
    }
    pictures = why_page.picture_files(sorted(rows["task"].unique()))
    for task, name in pictures.items():
        own = [part[part["task"] == task] for part in (rows, looks, per_run)]
        for kind, data in picture.render(probe_panels.picture(*own)).items():
            contents[(folder / name).with_suffix(f".{kind}")] = data
    arms, scales = {}, []
    for name in FACTORIALS:
        found = factors.runs_of(name, runs_dir, results_dir)
        if found is not None:
            arms[name] = factors.arms(found)
    found = factors.runs_of("loss_scale", runs_dir, results_dir)
    if found is not None:
        moved = factors.thresholds(found)
        scales = factors.scale_rows(moved)
        for kind, data in picture.render(factors.scale_picture(moved)).items():
            contents[folder / f"loss_scale.{kind}"] = data
    parts = why_page.Parts(
        pictures,
        shown,
        per_run,
        looks.groupby("id").size().max(),
        arms,
        scales,
        readme.read_note(folder),
    )
    text = why_page.page(parts)
    contents[results_dir.parent / "docs" / "why.md"] = text
    for path, content in contents.items():
        files.write(path, content)
    return f"{aligned(shown)}\n\nwrote {' '.join(map(str, contents))}"

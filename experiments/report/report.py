"""A report: the runs of an experiment become its table, statistics, figures and a summary."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import UserError
from experiments.report import picture, summary, table
from experiments.report.cells import Panel, panels
from experiments.report.measure import Measured, Settings, measure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What was found and written: ``text`` to print, and the paths, pictures among them."""

    text: str
    paths: list[Path]

    @property
    def figures(self) -> list[Path]:
        return [path for path in self.paths if path.suffix == ".png"]


def analyze(
    experiment: str,
    *,
    runs_dir: Path | str = "runs",
    results_dir: Path | str = "results",
    settings: Settings | None = None,
    planned: Sequence[Mapping[str, object]] | None = None,
    exported: pd.DataFrame | None = None,
) -> Report:
    """Draw all that has been run of an experiment so far; safe while its sweep goes on.

    Args:
        experiment: Its name: the folder below ``runs_dir`` and below ``results_dir``.
        runs_dir: Where run folders are; read only.
        results_dir: Where ``runs.csv``, figures and tables go.
        settings: Metric, axis, tolerances and the order of the panels.
        planned: The runs of its preset, to count and hatch those that are missing.
        exported: A runs table from elsewhere, used instead of the run folders.

    Raises:
        UserError: There is no run of it; or a setting or the committed table is wrong.
    """
    settings = settings or Settings()
    runs_dir, results_dir = Path(runs_dir), Path(results_dir)
    gathered = table.Gathered() if exported is not None else table.gather(runs_dir / experiment)
    if exported is not None:
        gathered.rows = exported.astype(object).where(exported.notna(), None).to_dict("records")
    if gathered.corrupt:
        names = "; ".join(gathered.corrupt)
        log.warning("skipped %d corrupt run folders: %s", len(gathered.corrupt), names)
    path = results_dir / experiment / "runs.csv"
    rows = table.merge(table.read(path), gathered.rows)
    if not rows:
        raise UserError(_nothing(experiment, gathered, runs_dir, results_dir))
    chosen = _chosen(panels(table.frame(rows), settings.metric, planned), settings.panels)
    measured = measure(chosen, settings)
    contents: dict[str, str | bytes] = {"runs.csv": table.render(rows)}
    contents |= _figures(measured, settings)
    for name, content in contents.items():
        table.write(path.with_name(name), content)
    paths = [path.with_name(name) for name in contents]
    return Report(_text(experiment, measured, settings, gathered, paths), paths)


def _chosen(found: list[Panel], optims: Sequence[str]) -> list[Panel]:
    """Keep the panels of the optimizers asked for, in that order; all when none is named."""
    if not optims:
        return found
    there = {panel.optim for panel in found}
    if not there & set(optims):
        raise UserError(f"panels={list(optims)}: the runs have only {', '.join(sorted(there))}")
    order = list(optims)
    shown = [panel for panel in found if panel.optim in order]
    return sorted(shown, key=lambda panel: order.index(panel.optim))


def _nothing(experiment: str, gathered: table.Gathered, runs: Path, results: Path) -> str:
    known = ", ".join(table.experiments(runs, results)) or "none yet"
    text = f"experiment={experiment} has no finished run in {runs}/{experiment}"
    if gathered.unfinished:
        text += f" ({gathered.unfinished} unfinished)"
    return f"{text}; experiments with runs: {known}"


def _figures(measured: list[Measured], settings: Settings) -> dict[str, bytes]:
    """Render one page of heatmaps for each figure that the table names, or one for all."""
    pages: dict[str, list[Measured]] = {}
    for one in measured:
        pages.setdefault(str(one.panel.key.get("figure", "heatmap")), []).append(one)
    suffix = "" if settings.axis == "typed" else f"_{settings.axis}"
    return {
        f"{name}{suffix}.{kind}": content
        for name, page in pages.items()
        for kind, content in picture.render(picture.heatmaps(page, settings)).items()
    }


def _text(
    experiment: str,
    measured: list[Measured],
    settings: Settings,
    gathered: table.Gathered,
    paths: list[Path],
) -> str:
    text = [f"{experiment}", "", summary.aligned(summary.lines(measured, settings)), ""]
    text += summary.reasons(measured)
    if missing := summary.unfinished(measured):
        text.append(f"{missing} planned runs are missing")
    if gathered.unfinished:
        text.append(f"{gathered.unfinished} run folders are unfinished (running, or killed)")
    text.append("wrote " + " ".join(str(path) for path in paths))
    return "\n".join(text)


def report(options: Mapping[str, Any], planned: Sequence[Mapping[str, object]] | None) -> str:
    """Make the report that the keys of ``configs/analyze.yaml`` ask for; return its summary.

    Raises:
        UserError: A key is unknown or has a value that it cannot have, or there are no runs.
    """
    options = dict(options)
    name, source = options.pop("experiment"), options.pop("source")
    folders = {key: options.pop(key) for key in ("runs_dir", "results_dir")}
    mirror = options.pop("log_figures")
    unknown = set(options) - {field.name for field in fields(Settings)}
    if unknown:
        raise UserError(f"unknown analysis settings: {', '.join(sorted(unknown))}")
    if name == "???":
        known = ", ".join(
            table.experiments(Path(folders["runs_dir"]), Path(folders["results_dir"]))
        )
        raise UserError(f"give experiment=NAME; experiments with runs: {known or 'none yet'}")
    settings = Settings(**options | {"panels": tuple(options["panels"] or ())})
    project = _project(source, mirror)
    exported = None
    if project:
        from experiments.wandb_runs import log_figures, runs_table

        exported = runs_table(project, name)
    made = analyze(name, **folders, settings=settings, planned=planned, exported=exported)
    if mirror:
        log_figures(project, name, [str(path) for path in made.figures])
    return made.text


def _project(source: str, mirror: bool) -> str | None:
    kind, _, project = source.partition(":")
    if kind == "local" and not mirror:
        return None
    if kind != "wandb" or project.count("/") != 1:
        raise UserError(f"source={source} must be local or wandb:ENTITY/PROJECT")
    return project

"""A report: the runs of an experiment become its table, statistics, figures and a summary."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from experiments.errors import UserError
from experiments.record import files, tables
from experiments.record.tables import Row
from experiments.report.data import curves
from experiments.report.data.frames import frame
from experiments.report.data.panels import Panel, panels
from experiments.report.data.text import aligned, csv
from experiments.report.figures import picture
from experiments.report.figures.section import Section
from experiments.report.pages import readme, summary
from experiments.report.pages.pages import Page
from experiments.report.statistics import counterpart, findings, matching
from experiments.report.statistics.measure import Measured, Settings, measure

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
        settings: Metric, axis, tolerances and the order of the panels. A passing look writes files
            of its own, no README.md, and leaves the usual ones alone.
        planned: The runs of its preset, to count and hatch those that are missing.
        exported: A runs table from elsewhere, used instead of the run folders.

    Raises:
        UserError: There is no run of it; or a setting or the committed table is wrong.
    """
    settings = settings or Settings()
    runs_dir, folder = Path(runs_dir), Path(results_dir) / experiment
    if exported is None:
        gathered = tables.gather(runs_dir / experiment)
    else:
        values = exported.astype(object).where(exported.notna(), None)
        gathered = tables.adopt(values.to_dict("records"))
    if gathered.corrupt:
        log.warning("skipped corrupt runs: %s", "; ".join(gathered.corrupt))
    committed = tables.file(results_dir, experiment)
    rows = tables.merge(tables.read(committed), gathered.rows)
    if not rows:
        raise UserError(_nothing(experiment, gathered, runs_dir, Path(results_dir)))
    runs = frame(rows)
    shown = _chosen(panels(runs, settings.metric, planned), settings.panels)
    measured = measure(shown, settings, _lenders(Path(results_dir), settings))
    contents: dict[str, str | bytes] = {committed.name: tables.render(rows)}
    points = tables.read(folder / curves.FILE, curves.KIND)
    if settings.curves:
        points = _curves(runs_dir / experiment, points, settings.level)
        if not settings.look:
            contents[curves.FILE] = tables.render(points, curves.KIND)
    typed = curves.frame(points)
    text = _fill(contents, experiment, measured, runs, typed, folder)
    for name, content in contents.items():
        files.write(folder / name, content)
    paths = [folder / name for name in contents]
    text += _open_ends(measured, gathered) + [f"wrote {' '.join(map(str, paths))}"]
    return Report("\n".join(text), paths)


def _curves(runs: Path, committed: list[Row], level: float | None) -> list[Row]:
    """Return the committed points with those of the run folders, few of these with a level."""
    found = curves.gather(runs)
    if found.corrupt:
        log.warning("skipped corrupt curves: %s", "; ".join(found.corrupt))
    new = found.points if level is None else curves.thin(found.points, level)
    return tables.merge(committed, new, curves.KIND)


def _fill(
    contents: dict[str, str | bytes],
    experiment: str,
    measured: list[Measured],
    runs: pd.DataFrame,
    points: pd.DataFrame,
    folder: Path,
) -> list[str]:
    """Add every table and figure to ``contents``; return the lines to print."""
    settings, look = measured[0].settings, measured[0].settings.look
    note = readme.read_note(folder)
    figures: dict[str, str] = {}
    sections: list[Section] = []
    for name, panels_of_page in summary.pages(measured).items():
        page = Page(name, panels_of_page, points, _first(note))
        for file, (figure, caption) in page.pictures().items():
            contents |= {f"{file}.{k}": data for k, data in picture.render(figure).items()}
            figures |= {f"{file}.png": caption} if caption else {}
        sections += page.sections()
    contents |= {f"{one.file}{look}.csv": csv(one.data) for one in sections}
    contents[f"decoupling{look}.csv"] = csv(summary.tidy(measured))
    contents[f"tuning{look}.csv"] = csv(summary.curves(measured))
    matched = matching.matches([one.panel for one in measured], settings.metric)
    for optim in dict.fromkeys(match.second.optim for match in matched):
        pairs = [match.table() for match in matched if match.second.optim == optim]
        contents[f"matching_{optim}{look}.csv"] = csv(pd.concat(pairs))
    remarks = [match.text() for match in matched]
    found = [] if settings.level or look else findings.findings(measured, points)
    if found:
        contents["findings.csv"] = csv(findings.table(found))
    if not look:
        paper = counterpart.pairs(measured, folder.parent, settings.paper) if settings.paper else []
        options = {"note": note, "paper": paper, "remarks": remarks, "findings": found}
        options["sections"] = [one.markdown() for one in sections]
        contents["README.md"] = readme.readme(experiment, measured, runs, figures, **options)
    told = [aligned(findings.rows(found, settings.metric)), ""] if found else []
    special = [line for one in sections for line in [*one.text(), ""]]
    return [*_tables(experiment, measured), *special, *told, *remarks]


def _first(note: str) -> str:
    """Return the first paragraph of a note on one line, for the captions."""
    return " ".join(note.strip().split("\n\n")[0].split())


def _lenders(results_dir: Path, settings: Settings) -> list[Panel]:
    """Return the panels of the experiment that lends the noise of a run, if one is named."""
    if settings.noise is None:
        return []
    rows = tables.read(tables.file(results_dir, settings.noise))
    if not rows:
        log.warning("noise=%s has no committed runs.csv, so it lends none", settings.noise)
        return []
    return panels(frame(rows), settings.metric)


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


def _nothing(experiment: str, gathered: tables.Gathered, runs: Path, results: Path) -> str:
    known = tables.experiments(runs, results)
    near = get_close_matches(experiment, known, n=1)
    text = f"experiment={experiment} has no finished run in {runs / experiment}"
    if gathered.unfinished:
        text += f" ({gathered.unfinished} unfinished)"
    text += f"; did you mean {near[0]}?" if near else ""
    return f"{text}; experiments with runs: {', '.join(known) or 'none yet'}"


def _tables(experiment: str, measured: list[Measured]) -> list[str]:
    text = []
    for figure, page in summary.pages(measured).items():
        text += [
            f"{experiment} {figure}".strip(),
            "",
            aligned(summary.cells_table(page)),
            "",
        ]
        if page[0].settings.is_grid:
            for names in (summary.DECOUPLING, summary.TUNING):
                text += [aligned(summary.statistics_table(page, names)), ""]
            text += [*summary.reasons(page), ""]
    return text


def _open_ends(measured: list[Measured], gathered: tables.Gathered) -> list[str]:
    lines = []
    if missing := summary.unfinished(measured):
        lines.append(f"{missing} planned runs are missing")
    if gathered.unfinished:
        lines.append(f"{gathered.unfinished} runs are unfinished (running, or killed)")
    if gathered.corrupt:
        lines.append(f"{len(gathered.corrupt)} runs are corrupt and were skipped")
    return lines

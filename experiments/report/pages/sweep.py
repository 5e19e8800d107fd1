"""A report: the runs of an experiment become its table, statistics, figures and a summary."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.tables import Row
from experiments.report.data import commands, curves, probes
from experiments.report.data.commands import Shorten
from experiments.report.data.frames import frame
from experiments.report.data.panels import MISSING, Panel, best_cell, missing_runs, panels
from experiments.report.data.text import booktabs, csv
from experiments.report.figures.heatmap import beside
from experiments.report.figures.kinds import Page, Picture, Section, kinds
from experiments.report.pages import files, readme, sections
from experiments.report.pages.html import page
from experiments.report.pages.settings import Settings
from experiments.report.statistics import counterpart, findings, matching
from experiments.report.statistics import settings as statistics_settings
from experiments.report.statistics.measure import Measured, measure
from experiments.report.statistics.rivals import by_figure

log = logging.getLogger(__name__)
Plan = Sequence[Mapping[str, object]] | None
PlanOf = Callable[[str], Plan]
#: More panels than this are too many for one picture with the paper's.
MOST_BESIDE = 6


def no_plan(experiment: str) -> Plan:
    """Know of no planned runs."""
    return None


@dataclass(frozen=True)
class Report:
    """What was found and written: ``text`` to print, and the paths, pictures among them."""

    text: str
    paths: list[Path]

    @property
    def figures(self) -> list[Path]:
        """What a person looks at: pictures, and the page."""
        return [path for path in self.paths if path.suffix in (".png", ".html")]


def analyze(
    experiment: str,
    *,
    runs_dir: Path | str = "runs",
    results_dir: Path | str = "results",
    settings: Settings | None = None,
    planned: Sequence[Mapping[str, object]] | None = None,
    plan_of: PlanOf = no_plan,
    exported: pd.DataFrame | None = None,
    shorten: Shorten = list,
    html: bool = False,
    refresh: bool = False,
    latex: bool = False,
) -> Report:
    """Draw all that has been run of an experiment so far; safe while its sweep goes on.

    Args:
        experiment: Its name: the folder below ``runs_dir`` and below ``results_dir``.
        runs_dir: Where run folders are; read only.
        results_dir: Where ``runs.csv``, figures and tables go.
        settings: Metric, axis, tolerances and the order of the panels. With a ``suffix`` all files
            but ``runs.csv`` are the report's own, and there is no README.md.
        planned: The runs of its preset, to count and hatch those that are missing.
        plan_of: From the name of another experiment whose runs belong to the report to its plan.
        exported: A runs table from elsewhere, used instead of the run folders.
        shorten: How to leave out of a command what the configuration has anyway.
        html: Whether to make report.html.
        refresh: Whether an open report.html loads itself again, as the sweep goes on.
        latex: Whether to write the tables to tables.tex.

    Raises:
        UserError: There is no run of it; or a setting or the committed table is wrong.
    """
    settings = settings or Settings()
    runs_dir, results_dir = Path(runs_dir), Path(results_dir)
    folder, committed = results_dir / experiment, tables.file(results_dir, experiment)
    rows, gathered = _rows(experiment, runs_dir, results_dir, exported)
    runs = pd.concat([frame(rows), *_also(results_dir, settings, rows, plan_of)])
    ended = runs[runs["status"] != MISSING]
    shown = _chosen(panels(runs, settings.metric, planned), settings.panels)
    measured = measure(shown, settings, _lenders(results_dir, settings))
    contents: files.Contents = {committed: tables.render(rows)}
    points = tables.read(folder / curves.FILE, curves.KIND)
    fresh = tables.Gathered()
    if settings.curves or html:
        fresh = curves.gather(runs_dir / experiment)
    if settings.curves:
        points = _curves(fresh, points, settings.level)
        if not settings.suffix:
            contents[folder / curves.FILE] = tables.render(points, curves.KIND)
    if "probe" in runs and not settings.suffix:
        contents |= _probe(runs_dir / experiment, folder)
    note, typed = readme.read_note(folder), curves.frame(points)
    pictures: dict[str, Picture] = {}
    said: list[Section] = []
    for name, own in by_figure(measured).items():
        drawn, told = draw(Page(name, own, typed, _first(note)), settings)
        pictures |= drawn
        said += [sections.numbers(name, own, is_grid=settings.is_grid), *told]
    pairs = []
    if settings.paper and not settings.suffix:
        pairs = counterpart.pairs(measured, results_dir, settings.paper)
        said += [sections.beside(pairs)] if pairs else []
    if pairs and len(pairs) <= MOST_BESIDE:
        pictures["beside"] = _beside(pairs, _first(note))
    compared = [] if settings.level or settings.suffix else findings.findings(measured, typed)
    said += _comparisons(measured, settings, compared)
    best_cells = commands.best_again(experiment, shown, settings.metric, shorten)
    for name, picture in pictures.items():
        contents |= files.pictures(folder / name, picture.figure)
    for name in dict.fromkeys(name for one in said for name in one.data):
        data = pd.concat([one.data[name] for one in said if name in one.data])
        contents[folder / f"{name}{settings.suffix}.csv"] = csv(data)
    if not settings.suffix:
        captions = {f"{name}.png": one.caption for name, one in pictures.items() if one.caption}
        contents[folder / "README.md"] = readme.readme(
            experiment, note, captions, said, ended, best_cells
        )
    if latex:
        tables_of = [table for one in said for table in one.tables]
        contents[folder / f"tables{settings.suffix}.tex"] = (
            "\n\n".join(map(booktabs, tables_of)) + "\n"
        )
    if html:
        lent = [one for name in settings.also for one in curves.gather(runs_dir / name).rows]
        replaced = {"heatmap", "twin"} | set(by_figure(measured))
        shown_there = {
            one.caption: bytes(contents[folder / f"{name}.png"])  # type: ignore[arg-type]
            for name, one in pictures.items()
            if one.caption and name.removesuffix(settings.suffix) not in replaced
        }
        contents[folder / f"report{settings.suffix}.html"] = page(
            experiment, note, measured,
            curves.frame(tables.merge(points, [*fresh.rows, *lent], curves.KIND)),
            [*said, readme.provenance(ended)], shown_there, compared, best_cells,
            shorten=shorten, refresh=refresh,
        )  # fmt: skip
    text = [experiment, *(one.text() for one in said), readme.again(best_cells)]
    text.append("\n".join([*_open_ends(measured, gathered), files.write(contents)]))
    return Report("\n\n".join(filter(None, text)), list(contents))


def best(
    experiment: str,
    *,
    runs_dir: Path | str,
    results_dir: Path | str,
    settings: Settings,
    exported: pd.DataFrame | None = None,
    shorten: Shorten = list,
) -> str:
    """Return the overrides of the best cell of all panels, to stand behind ``python train.py``.

    Raises:
        UserError: There is no run of the experiment, or none that can be best; or a setting or the
            committed table is wrong.
    """
    rows, _ = _rows(experiment, Path(runs_dir), Path(results_dir), exported)
    runs = pd.concat([frame(rows), *_also(Path(results_dir), settings, rows, no_plan)])
    shown = _chosen(panels(runs, settings.metric), settings.panels)
    found = [
        (cell, panel)
        for panel in shown
        if (cell := best_cell(panel.cells, settings.metric)) is not None
    ]
    if not found:
        raise UserError(f"experiment={experiment} has no cell of which all runs have finished")
    cell, panel = min(found, key=lambda pair: (pair[0][settings.metric], pair[0]["tie"]))
    return " ".join(commands.overrides(commands.settings(panel, shorten), cell))


def _rows(
    experiment: str, runs_dir: Path, results_dir: Path, exported: pd.DataFrame | None
) -> tuple[list[Row], tables.Gathered]:
    """Return the rows of an experiment, and what was gathered beside the committed ones."""
    gathered = _gathered(runs_dir / experiment, exported)
    rows = tables.merge(tables.read(tables.file(results_dir, experiment)), gathered.rows)
    if not rows:
        raise UserError(_nothing(experiment, gathered, runs_dir, results_dir))
    return rows, gathered


def _gathered(runs: Path, exported: pd.DataFrame | None) -> tables.Gathered:
    """Return the rows of the run folders, or of an exported table."""
    if exported is None:
        gathered = tables.gather(runs)
    else:
        records: Any = exported.astype(object).where(exported.notna(), None).to_dict("records")
        gathered = tables.adopt(records)
    if gathered.corrupt:
        log.warning("skipped corrupt runs: %s", "; ".join(gathered.corrupt))
    return gathered


def draw(page: Page, settings: Settings) -> tuple[dict[str, Picture], list[Section]]:
    """Draw a page of panels: pictures by the names of their files, and what is said of them."""
    parts = (kinds()[name](page) for name in settings.figures)
    known = [part for part in parts if part]
    pictures = {
        "_".join(filter(None, [page.name, name])) + settings.suffix: picture
        for part in known
        for name, picture in part.pictures.items()
    }
    return pictures, [part.section for part in known if part.section]


def _beside(pairs: Sequence[counterpart.Pair], note: str) -> Picture:
    """Draw the paper's panels above ours."""
    theirs = measure([pair.theirs for pair in pairs], statistics_settings.Settings())
    text = "The paper's cells above, ours below, each on a colour scale of its own."
    return Picture(beside([pair.ours for pair in pairs], theirs, note), text)


def _comparisons(
    measured: Sequence[Measured], settings: Settings, compared: Sequence[findings.Finding]
) -> list[Section]:
    """Compare panels with each other, and with those of another convention."""
    found: list[Section] = []
    found += [sections.comparisons(compared, settings.metric)] if compared else []
    matches = matching.matches([one.panel for one in measured], settings.metric)
    found += sections.conventions(matches)
    return found + ([sections.explained(settings)] if settings.is_grid else [])


def _curves(found: tables.Gathered, committed: list[Row], level: float | None) -> list[Row]:
    """Return the committed points with those of the run folders, few of these with a level."""
    if found.corrupt:
        log.warning("skipped corrupt curves: %s", "; ".join(found.corrupt))
    new = found.rows if level is None else curves.thin(found.rows, level)
    return tables.merge(committed, new, curves.KIND)


def _probe(runs: Path, folder: Path) -> files.Contents:
    """Return the committed table of what probes saw, with that of the run folders."""
    kept = probes.known(runs, folder)
    return {folder / probes.FILE: tables.render(kept, probes.KIND)} if kept else {}


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


def _also(
    results_dir: Path, settings: Settings, own: Sequence[Row], plan_of: PlanOf
) -> list[pd.DataFrame]:
    """Return the committed runs of other experiments that belong to a report with these rows.

    They are those of its optimizers, with the planned ones that are missing.
    """
    optims, ids = {row["optim"] for row in own}, {row["id"] for row in own}
    found = []
    for name in settings.also:
        rows = tables.read(tables.file(results_dir, name))
        if not rows:
            log.warning("also=%s has no committed runs.csv, so its runs are left out", name)
        runs = frame([row for row in rows if row["optim"] in optims and row["id"] not in ids])
        plan = [one for one in plan_of(name) or [] if one.get("optim") in optims]
        found += [runs, missing_runs(runs, plan)] if len(runs) else []
        ids |= {row["id"] for row in rows}
    return found


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
    if near:
        return f"{text}; did you mean {near[0]}?"
    return f"{text}; experiments with runs or a committed table: {', '.join(known) or 'none yet'}"


def _open_ends(measured: list[Measured], gathered: tables.Gathered) -> list[str]:
    lines = []
    if missing := sum(len(one.panel.runs) - one.panel.done for one in measured):
        lines.append(f"{missing} planned runs are missing")
    if gathered.unfinished:
        lines.append(f"{gathered.unfinished} runs have begun and not ended (running, or stopped)")
    if gathered.corrupt:
        lines.append(f"{len(gathered.corrupt)} runs are corrupt and were skipped")
    return lines

"""A report: the runs of an experiment become its table, statistics, figures and a summary."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from experiments.errors import UserError
from experiments.report import (
    counterpart,
    curves,
    matching,
    picture,
    readme,
    style,
    summary,
    table,
    tuning_curves,
)
from experiments.report.cells import Panel, panels
from experiments.report.measure import Measured, Settings, measure, measure_one

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
    with_readme: bool = True,
) -> Report:
    """Draw all that has been run of an experiment so far; safe while its sweep goes on.

    Args:
        experiment: Its name: the folder below ``runs_dir`` and below ``results_dir``.
        runs_dir: Where run folders are; read only.
        results_dir: Where ``runs.csv``, figures and tables go.
        settings: Metric, axis, tolerances and the order of the panels.
        planned: The runs of its preset, to count and hatch those that are missing.
        exported: A runs table from elsewhere, used instead of the run folders.
        with_readme: Write README.md too; a passing look in another metric or axis leaves it alone.

    Raises:
        UserError: There is no run of it; or a setting or the committed table is wrong.
    """
    settings = settings or Settings()
    runs_dir, folder = Path(runs_dir), Path(results_dir) / experiment
    if exported is None:
        gathered = table.gather(runs_dir / experiment)
    else:
        values = exported.astype(object).where(exported.notna(), None)
        gathered = table.adopt(values.to_dict("records"))
    if gathered.corrupt:
        log.warning("skipped corrupt runs: %s", "; ".join(gathered.corrupt))
    rows = table.merge(table.read(folder / "runs.csv"), gathered.rows)
    if not rows:
        raise UserError(_nothing(experiment, gathered, runs_dir, Path(results_dir)))
    runs = table.frame(rows)
    measured = measure(_chosen(panels(runs, settings.metric, planned), settings.panels), settings)
    contents: dict[str, str | bytes] = {"runs.csv": table.render(rows)}
    if settings.curves:
        contents["curves.csv"] = _curves(runs_dir / experiment, folder / "curves.csv")
    text = _fill(contents, experiment, measured, runs, folder, with_readme)
    for name, content in contents.items():
        table.write(folder / name, content)
    paths = [folder / name for name in contents]
    text += _open_ends(measured, gathered) + [f"wrote {' '.join(map(str, paths))}"]
    return Report("\n".join(text), paths)


def _curves(runs: Path, committed: Path) -> str:
    """Return curves.csv with the points of the run folders added."""
    found = curves.gather(runs)
    if found.corrupt:
        log.warning("skipped corrupt curves: %s", "; ".join(found.corrupt))
    return curves.render(curves.merge(curves.read(committed), found.points))


def _fill(contents, experiment, measured, runs, folder: Path, with_readme: bool) -> list[str]:
    """Add every table and figure to ``contents``; return the lines to print."""
    settings = measured[0].settings
    of = "" if settings.metric == "test_error" else f"_{settings.metric}"
    suffix = of if settings.axis == "typed" else f"{of}_{settings.axis}"
    note = (folder / "NOTE.md").read_text() if (folder / "NOTE.md").exists() else ""
    figures: dict[str, str] = {}
    for name, page in summary.pages(measured).items():
        stem, part = name or "heatmap", f"{name}_" if name else ""
        figures[f"{stem}{suffix}"] = readme.page_caption(page)
        drawn = {f"{stem}{suffix}": picture.heatmaps(picture.arrange(page), _first(note))}
        if both := twin(page):
            drawn[f"{part}twin{of}"] = picture.heatmaps([both], _first(note))
            figures[f"{part}twin{of}"] = TWIN.format(style.label("adamw"))
        drawn[f"{part}tuning{of}"] = tuning_curves.tuning_curves(page)
        for file, figure in drawn.items():
            contents |= {f"{file}.{k}": data for k, data in picture.render(figure).items()}
    contents[f"decoupling{suffix}.csv"] = summary.csv(summary.tidy(measured))
    contents[f"tuning{of}.csv"] = summary.csv(summary.curves(measured))
    found = matching.matches([one.panel for one in measured], settings.metric)
    for match in found:
        contents[f"matching_{match.second.optim}{of}.csv"] = summary.csv(match.pairs)
    remarks = [match.text() for match in found]
    if with_readme:
        shown = {f"{name}.png": text for name, text in figures.items()}
        paper = counterpart.pairs(measured, folder.parent, settings.paper) if settings.paper else []
        options = {"note": note, "paper": paper, "remarks": remarks}
        contents["README.md"] = readme.readme(experiment, measured, runs, shown, **options)
    return [*_tables(experiment, measured), *remarks]


TWIN = "The same {} runs in the paper's coordinate and in torch's"


def twin(page: Sequence[Measured]) -> list[Measured]:
    """Measure a page's one AdamW panel in the paper's coordinate and in torch's; else nothing."""
    own = [one for one in page if one.panel.optim == "adamw"]
    if len(own) != 1:
        return []
    views = {"lambda": "the paper's axes", "torch_wd": "torch's axes"}
    label, (one,) = style.label("adamw"), own
    return [
        measure_one(
            replace(one.panel, name=f"{label}, {view}"),
            one.noise,
            replace(one.settings, axis=axis),
            only=[one.settings.slope],
        )
        for axis, view in views.items()
    ]


def _first(note: str) -> str:
    """Return the first paragraph of a note on one line, for the captions."""
    return " ".join(note.strip().split("\n\n")[0].split())


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
    known = table.experiments(runs, results)
    near = get_close_matches(experiment, known, n=1)
    text = f"experiment={experiment} has no finished run in {runs / experiment}"
    if gathered.unfinished:
        text += f" ({gathered.unfinished} unfinished)"
    text += f"; did you mean {near[0]}?" if near else ""
    return f"{text}; experiments with runs: {', '.join(known) or 'none yet'}"


def _tables(experiment: str, measured: list[Measured]) -> list[str]:
    text = []
    for figure, page in summary.pages(measured).items():
        tables = [summary.cells_table(page), summary.statistics_table(page, summary.DECOUPLING)]
        tables += [summary.statistics_table(page, summary.TUNING)]
        text += [f"{experiment} {figure}".strip(), ""]
        for one in tables:
            text += [summary.aligned(one), ""]
        text += [*summary.reasons(page), ""]
    return text


def _open_ends(measured: list[Measured], gathered: table.Gathered) -> list[str]:
    lines = []
    if missing := summary.unfinished(measured):
        lines.append(f"{missing} planned runs are missing")
    if gathered.unfinished:
        lines.append(f"{gathered.unfinished} runs are unfinished (running, or killed)")
    if gathered.corrupt:
        lines.append(f"{len(gathered.corrupt)} runs are corrupt and were skipped")
    return lines

"""A report as one HTML file, to point at its cells: it needs no network and no file beside it."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.record.schema import DIVERGED, FINISHED
from experiments.report.data import commands, names
from experiments.report.data.commands import Shorten
from experiments.report.data.panels import MISSING, Panel, best_cell
from experiments.report.data.text import short
from experiments.report.data.units import form, unit
from experiments.report.figures.kinds import Section
from experiments.report.figures.marks import averaged
from experiments.report.pages import pointing
from experiments.report.pages.readme import AGAIN
from experiments.report.statistics.findings import Finding
from experiments.report.statistics.measure import Measured
from experiments.report.statistics.statistic import STATISTICS

#: The page's frame, its looks, and what of its behaviour Vega-Lite does not have.
FRAME, LOOKS, BEHAVIOUR = (
    Path(__file__).parent / "page" / name for name in ("page.html", "page.css", "page.js")
)
#: Pixels: pictures that are wider are made smaller.
WIDEST = 1200
#: Seconds between two looks of an open page for results.
REFRESH = 20
#: Panels that the page begins with the best cells of, and those that its finding is about.
FIRST = 4
NO_CURVES = (
    "No learning curves of these cells are known here. They are read from the run folders "
    "(`runs/{name}/*/metrics.jsonl`) or from `results/{name}/curves.csv`, which `python analyze.py "
    "experiment={name} curves=true` writes where the run folders are."
)
THINNED = " Of up to {} points of a run the page keeps {}, evenly spread."
MARKS = (
    "★ the best cell (all its runs finished; of equal errors the lower loss). × all seeds "
    "diverged, / some did, ⋯ planned and not run yet. Dark grey: above the scale. {ridge}"
    "Letters: the chosen cells; a thin curve is a seed, a thick one the mean.{thinned}"
)
RIDGE = "Line: what the {slope} was fitted to, and its 95 % interval. "
NOBODY = "This cell was read off the paper; no command of ours runs it."
MOVES = (
    "The {what} moves with the learning rate, both in doublings, by {slopes}: 0 would be "
    "decoupled, -1 fully coupled; brackets are 95 % intervals."
)
STAYS_OPEN = "How the {what} moves with the learning rate is not identified by these runs."


def page(
    experiment: str,
    note: str,
    measured: Sequence[Measured],
    points: pd.DataFrame,
    said: Sequence[Section],
    pictures: Mapping[str, bytes],
    found: Sequence[Finding],
    best_again: Sequence[str],
    *,
    shorten: Shorten = list,
    refresh: bool = False,
) -> str:
    """Return the page; the same bytes whenever it is made of the same rows.

    Args:
        experiment: Its name.
        note: What the reader must know of the data, as markdown.
        measured: The panels, in order.
        points: Typed learning curves of their runs; there may be none.
        said: The sections of the report, numbers first.
        pictures: PNGs of the other figures by their captions.
        found: Comparisons of panels.
        best_again: The commands that train the best cells again at fresh seeds.
        shorten: How to leave out of a command what the configuration has anyway.
        refresh: Whether an open page loads itself again, as the sweep goes on.
    """
    import jinja2
    from markupsafe import Markup

    from experiments.report.pages import chart  # brings in Altair, for the page only

    panels, settings = [one.panel for one in measured], measured[0].settings
    tables, curves = pointing.tables(measured), pointing.curves(measured, points)
    best = pointing.best(tables)
    start = {
        "metric": settings.metric,
        "coordinate": settings.axis if settings.axis in pointing.COORDINATES else "typed",
        "seed": 0,
        "picked": [own[settings.metric] for own in best if settings.metric in own][:FIRST],
    }
    cells = pointing.cells(measured, tables)
    asked = [
        line
        for panel in panels
        for line in commands.again(experiment, panel, commands.settings(panel, shorten))
    ]
    state = {
        "rows": {
            "cells": [row | {"command": line} for row, line in zip(cells, asked, strict=True)],
            "lines": pointing.lines(measured),
            "runs": curves.rows,
        },
        "start": start,
        "metric": pointing.metrics(tables),
        "coordinate": pointing.COORDINATES,
        "seeds": ["mean over seeds", *map(str, pointing.seeds(measured))],
        "best": best,
        "letters": chart.LETTERS,
        "colours": chart.PICKED,
        "nobody": NOBODY,
        "refresh": REFRESH if refresh else 0,
    }
    has_line = not all(one.slope.reason for one in measured)
    ridge = RIDGE.format(slope=settings.slope.replace("_", " ")) if has_line else ""
    thinned = THINNED.format(*curves.thinned) if curves.thinned else ""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False}
    environment.filters["prose"] = _prose
    return environment.from_string(FRAME.read_text(encoding="utf-8")).render(
        experiment=experiment,
        note=[" ".join(text.split()) for text in note.strip().split("\n\n") if text],
        facts=_facts(panels),
        finding=finding(measured, found),
        page=state,
        panels=[panel.name for panel in panels],
        marks=MARKS.format(ridge=ridge, thinned=thinned),
        curves=NO_CURVES.format(name=experiment),
        sections=[one for one in said if one.tables or one.lines or one.verdicts or one.explained],
        meanings=_meanings(measured),
        pictures=[{"caption": text, "data": _small(data)} for text, data in pictures.items()],
        again=AGAIN,
        commands=best_again,
        spec=chart.chart(measured, tables, curves, start),
        css=Markup(LOOKS.read_text(encoding="utf-8")),
        script=Markup(BEHAVIOUR.read_text(encoding="utf-8")),
        library=Markup(_library()),
    )


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that makes no request."""
    import altair
    import vl_convert

    version = altair.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    everything = "window.vegaEmbed = vegaEmbed;"
    script = vl_convert.javascript_bundle(everything, vl_version=version)
    return str(script).replace("</script", "<\\/script")


def _facts(panels: Sequence[Panel]) -> dict[str, str]:
    """Say what was run."""
    runs = pd.concat([panel.runs for panel in panels])
    count = runs["status"].value_counts()
    facts = {
        "task": ", ".join(dict.fromkeys(panel.named("task") for panel in panels)),
        "network": ", ".join(dict.fromkeys(panel.named("model") for panel in panels)),
        "optimizers": ", ".join(dict.fromkeys(names.label(panel.optim) for panel in panels)),
        "epochs": _range(runs["epochs"]),
        "steps": _range(runs["steps"]),
        "batch": _range(runs["batch_size"]),
        "learning rates": _range(runs["lr"]),
        "weight decay": _range(runs["wd"]),
        "seeds": ", ".join(map(str, sorted(runs["seed"].dropna().astype(int).unique()))),
        "finished": str(count.get(FINISHED, 0)),
        "diverged": str(count.get(DIVERGED, 0)),
        "missing": str(count.get(MISSING, 0)),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _range(values: pd.Series) -> str:
    """Say numbers: the only one, or the lowest and the highest; '' if there is none."""
    known = sorted(values.dropna().unique())
    return " to ".join(map(short, dict.fromkeys([*known[:1], *known[-1:]])))


def _meanings(measured: Sequence[Measured]) -> dict[str, str]:
    """Say in a line what each statistic is that some panel has."""
    known = {name for one in measured for name, e in one.estimates.items() if not e.reason}
    return {one.head: one.meaning for one in STATISTICS.values() if one.name in known}


def finding(measured: Sequence[Measured], found: Sequence[Finding]) -> str:
    """Say in two sentences how the best decay moves with the learning rate, and who is best."""
    settings = measured[0].settings
    what = "best decay" if settings.level is None else "decay at which the task switches"
    known = [one for one in measured if not one.slope.reason][:FIRST]
    slopes = [f"{one.slope.text()} under {one.panel.name} ({one.slope.support})" for one in known]
    first = (MOVES if slopes else STAYS_OPEN).format(what=what, slopes=", ".join(slopes))
    return " ".join(filter(None, [first, _compared(found, settings.metric) or _lowest(measured)]))


def _compared(found: Sequence[Finding], metric: str) -> str:
    known = [one for one in found if one.kind == "best_difference" and not one.estimate.reason]
    parts = []
    for one in known[: FIRST // 2]:
        _, what, number, support, _ = one.text(metric)
        parts.append(f"{what}: {number} ({', '.join(filter(None, [support, one.where]))})")
    return f"{'; '.join(parts)}." if parts else ""


def _lowest(measured: Sequence[Measured]) -> str:
    metric = measured[0].settings.metric
    shape, bests = form(metric), []
    for one in measured[:FIRST]:
        cell = best_cell(one.panel.cells, metric)
        if cell is not None:
            spread = f" ± {cell['sd']:{shape}}" if cell["n"] > 1 else ""
            bests.append(f"{cell[metric]:{shape}}{spread} under {one.panel.name}")
    if not bests:
        return ""
    over = averaged(measured)
    return f"The lowest {unit(metric)} is {', '.join(bests)} ({over}; ± standard deviation)."


def _prose(text: str) -> Any:
    """Return markdown of a few words as HTML: code and emphasis, links as their words."""
    from markupsafe import Markup, escape

    plain = re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", str(escape(text)))
    parts = re.split(r"`([^`]+)`", plain)
    parts[::2] = [re.sub(r"\*([^*]+)\*", r"<em>\1</em>", part) for part in parts[::2]]
    parts[1::2] = [f"<code>{part}</code>" for part in parts[1::2]]
    return Markup("".join(parts))


def _small(png: bytes) -> str:
    """Return a picture in base64, in fewer pixels and colours than its file."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    if image.width > WIDEST:
        size = WIDEST, round(image.height * WIDEST / image.width)
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.quantize(256).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()

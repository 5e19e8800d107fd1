"""The chart of the page, in Vega-Lite: heatmaps to point at, and the curves of the chosen cells.

The page sets its signals: ``metric``, ``coordinate``, ``seed`` (0 for the mean, else the place of
one in the list), and ``picked``, the ids of the chosen cells in the order of choosing. Its rows are
those of ``pointing``, by name: ``cells``, ``lines``, ``runs``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from experiments.record.schema import DIVERGED, FINISHED
from experiments.report.data import coordinates, names
from experiments.report.data.panels import MISSING
from experiments.report.data.text import MINUS, short
from experiments.report.data.units import unit
from experiments.report.figures import heatmap, panel_axes, style
from experiments.report.pages import pointing
from experiments.report.pages.pointing import COORDINATES, CURVES, Curves, Limits, Tables
from experiments.report.statistics.collapse import slope
from experiments.report.statistics.measure import Measured

#: Colours of chosen cells, apart for the colour-blind, on white and on black; letters tell more.
PICKED = ("#d55e00", "#0a84d0", "#009e73", "#cc79a7", "#b8860b", "#8f6fd6", "#7f7f7f", "#56b4e9")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: By how many panels there are: how many stand in a row, and how wide each is, in pixels.
COLUMNS, WIDTHS = {2: 2, 4: 2}, {1: 560, 2: 470, 4: 470}
#: Pixels that a number in a cell needs.
NUMBER = 22
#: What a cell is told to be, by its status.
TOLD = {
    FINISHED: "finished",
    DIVERGED: "diverged",
    "partial": "some seeds diverged",
    "hidden": "finished, without this number",
    MISSING: "not run yet",
    "": "this seed was not asked for",
}
SIGNS = {DIVERGED: "×", "partial": "/", MISSING: "⋯"}
#: Mathematical text -> what a page shows.
PLAIN = {
    " $=": " = $", r"\eta_t": "ηₜ", "lr_t": "lrₜ", r"\lambda": "λ", r"\alpha": "α", r"\sum": "Σ",
    r"\times": " × ", r"\cdot": " · ", r"\sqrt{b/(BT)}": "√(b/(BT))", "_{norm}": " norm",
    "\\ ": " ", "$": "", "  ": " ",
}  # fmt: skip
COLOUR = {"labelColor": "currentColor", "titleColor": "currentColor", "tickColor": "currentColor"}
#: Marks that are no cell: nobody points at them, or hears of them.
SILENT: dict[str, Any] = {"aria": False, "tooltip": None}


def chart(
    page: Sequence[Measured], found: Tables, curves: Curves, start: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the chart of panels, without its rows.

    Args:
        page: The panels.
        found: Their cells by metric, from ``pointing.tables``.
        curves: Their learning curves; there may be none.
        start: The signals that the page begins with.
    """
    limits, best = pointing.limits(page, found), pointing.best(found)
    width, columns = WIDTHS.get(len(page), 290), COLUMNS.get(len(page), 3)
    panels = [_panel(i, one, found[i], limits[i], best[i], width) for i, one in enumerate(page)]
    parts = [
        alt.concat(*_bars(page, limits), columns=3, spacing=30),
        alt.concat(*panels, columns=columns, spacing=24).resolve_scale(
            x="independent", y="independent"
        ),
    ]
    if curves.rows:
        parts.append(_curves(curves))
    whole = (
        alt.vconcat(*parts, spacing=24)
        .add_params(*(alt.param(name=name, value=value) for name, value in start.items()))
        .configure(background="transparent", font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            **COLOUR, domain=False, gridColor="currentColor", gridOpacity=0.12, labelFontSize=11,
            titleFontSize=12, titleFontWeight="normal",
        )
        .configure_title(color="currentColor", fontSize=13, anchor="middle")
        .to_dict()
    )  # fmt: skip
    constants = {"grids": curves.grids, "letters": list(LETTERS), "colours": list(PICKED)}
    whole["params"] += [{"name": name, "value": value} for name, value in constants.items()]
    return whole


def _literal(value: Any) -> str:
    """Return a value as Vega's expressions have it."""
    return json.dumps(value, separators=(",", ":"))


def _scale() -> alt.Scale:
    """Return the colour map of the pictures, from 0 for the best to 1 for the scale's end."""
    at = np.linspace(0, 1, 65)
    palette = [to_hex(style.colour_map()(x)) for x in at]
    return alt.Scale(domain=at.tolist(), range=palette, clamp=True)


def _own(channel: Any) -> Any:
    """Return the colour that a row of a chosen cell has."""
    return channel("own:N", scale=alt.Scale(domain=list(PICKED), range=list(PICKED)), legend=None)


def _bars(page: Sequence[Measured], limits: Sequence[Limits]) -> list[alt.Chart]:
    """Draw the colours of the panels with their numbers, once for those that are comparable."""
    groups = [heatmap.settings(one, heatmap.COMPARABLE) for one in page]
    varying = [n for i, n in enumerate(heatmap.COMPARABLE) if len({g[i] for g in groups}) > 1]
    bars = []
    for group in dict.fromkeys(groups):
        at = groups.index(group)
        of = ", ".join(page[at].panel.named(name) for name in varying)
        bars.append(_bar(limits[at], f"{of}: " if of else ""))
    return bars


def _bar(limits: Limits, name: str) -> alt.Chart:
    ends = f"{_literal(limits)}[metric]"
    number = f"format({ends}[0] + datum.value * ({ends}[1] - {ends}[0]), '.3~g')"
    units = _literal({metric: unit(metric) for metric in limits})
    title = alt.ExprRef(f"{_literal(name)} + {units}[metric]")
    axis = alt.Axis(
        title=None, grid=False, values=[0, 0.25, 0.5, 0.75, 1], labelExpr=number, labelFlush=True
    )
    rows = alt.Data(sequence=alt.SequenceParams(start=0, stop=1, step=1 / 64, **{"as": "t"}))
    return (
        alt.Chart(rows)
        .transform_calculate(end="datum.t + 1/64")
        .mark_rect(strokeWidth=0, aria=False)
        .encode(
            x=alt.X("t:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=axis),
            x2="end:Q",
            color=alt.Color("t:Q", scale=_scale(), legend=None),
        )
        .properties(
            width=270,
            height=12,
            title=alt.TitleParams(title, fontWeight="normal", fontSize=12, anchor="start"),
        )
    )


def _panel(
    number: int,
    one: Measured,
    found: Mapping[str, pd.DataFrame],
    limits: Limits,
    best: Mapping[str, str],
    width: int,
) -> alt.LayerChart:
    """Draw one heatmap: a box a cell, marks, the best, the ridge, letters on the chosen."""
    cells, panel = next(iter(found.values())), one.panel
    height = int(np.clip(24 * cells["lr"].nunique(), 110, 260))
    base = _base(number, limits)
    middle = {"x": "xm:Q", "y": "ym:Q"}
    free = base.transform_filter("datum.order < 0")
    signs = (
        free.transform_calculate(sign=f"{_literal(SIGNS)}[datum.state]")
        .transform_filter("isValid(datum.sign)")
        .mark_text(fontSize=12, color="#555", **SILENT)
        .encode(**middle, text="sign:N")
    )
    star = (
        free.transform_filter(f"datum.id === {_literal(dict(best))}[metric]")
        .mark_text(text="★", fontSize=15, stroke="white", strokeWidth=0.7, dx=5, dy=-6, **SILENT)
        .encode(**middle)
    )
    chosen = base.transform_filter("datum.order >= 0").transform_calculate(
        letter="letters[datum.order % 26]", own="colours[datum.order % length(colours)]"
    )
    badge = (
        chosen.mark_point(
            shape="circle", size=230, filled=True, opacity=1, stroke="white", strokeWidth=1.5,
            **SILENT,
        )
        .encode(**middle, fill=_own(alt.Fill))
        .properties(name=f"badge{number}")
    )  # fmt: skip
    letter = chosen.mark_text(fontSize=11, fontWeight="bold", color="white", **SILENT).encode(
        **middle, text="letter:N"
    )
    layers = [_boxes(base, cells), signs]
    boxes = {axis: panel_axes.layout(cells, axis) for axis in COORDINATES}
    wide = [axis for axis, box in boxes.items() if width * _share(box) > NUMBER]
    if wide:
        roomy = free.transform_filter(f"indexof({_literal(wide)}, coordinate) >= 0")
        layers.append(_numbers(roomy, found))
    layers += [*_ridge(number, one), star, badge, letter]
    labels = {
        axis: _plain(coordinates.label(axis, panel.setting("convention"), panel.setting("decay")))
        for axis in COORDINATES
    }
    slopes = f"metric === '{one.settings.metric}' ? {_literal(_slopes(one))}[coordinate] : ''"
    layers += [
        _words(alt.ExprRef(f"{_literal(labels)}[coordinate]"), width / 2, height + 31),
        _words(alt.ExprRef(slopes), width / 2, -9),
    ]
    if (cells["wd"] == 0).any():
        lowest = pointing.name(number, {"lr": cells["lr"].min(), "wd": 0.0})
        layers.append(
            base.transform_filter(f"datum.id === '{lowest}'")
            .mark_text(text="wd 0", color="currentColor", fontSize=11, **SILENT)
            .encode(x="xm:Q", y=alt.value(height + 12))
        )
    name = f"{names.setting('figure', panel.figure)}, {panel.name}" if panel.figure else panel.name
    title = alt.TitleParams(name, color=style.colour(panel.optim), offset=2)
    return alt.layer(*layers).properties(width=width, height=height, title=title)


def _base(number: int, limits: Limits) -> alt.Chart:
    """Return the cells of a panel as the signals have them."""
    ends = f"{_literal(limits)}[metric]"
    return (
        alt.Chart(alt.NamedData("cells"))
        .transform_filter(f"datum.panel === {number}")
        .transform_calculate(
            x0="datum.box[coordinate][0]",
            x1="datum.box[coordinate][1]",
            y0="datum.y[0]",
            y1="datum.y[1]",
            xm="sqrt(datum.box[coordinate][0] * datum.box[coordinate][1])",
            ym="sqrt(datum.y[0] * datum.y[1])",
            value="datum.v[metric][seed]",
            t=f"(datum.v[metric][seed] - {ends}[0]) / ({ends}[1] - {ends}[0])",
            state=(
                f"datum.status[seed] === '{FINISHED}' && !isValid(datum.v[metric][seed])"
                " ? 'hidden' : datum.status[seed]"
            ),
            order="indexof(picked, datum.id)",
        )
    )


def _boxes(base: alt.Chart, cells: pd.DataFrame) -> alt.Chart:
    """Draw the cells themselves: what one points at."""
    empty = f"datum.state === '{MISSING}' || datum.state === ''"
    greys = {
        f"datum.state === '{DIVERGED}'": style.DIVERGED,
        "datum.state === 'partial'": style.PARTIAL,
        "datum.state === 'hidden'": style.HIDDEN,
        empty: "transparent",
        "datum.t > 1 || datum.bound === 'high'": style.ABOVE,
    }
    colour = alt.Color(
        condition=[{"test": test, "value": grey} for test, grey in greys.items()],
        field="t", type="quantitative", scale=_scale(), legend=None,
    )  # fmt: skip
    bound = "datum.bound === 'high' ? '≥ ' : datum.bound === 'low' ? '≤ ' : ''"
    spread = "seed === 0 && isValid(datum.sd[metric])"
    said = base.transform_calculate(
        told=f"{_literal(TOLD)}[datum.state]",
        shown=(
            f"isValid(datum.value) ? ({bound}) + format(datum.value, '.4~r') + ({spread} ? "
            "' ± ' + format(datum.sd[metric], '.2~r') : '') : '–'"
        ),
        over="seed === 0 ? datum.n + ' finished' : 'one'",
        training=(
            "isValid((datum.v.train_error || [])[seed]) ? "
            "format(datum.v.train_error[seed], '.3~r') + ' %' : '–'"
        ),
        **{f"at_{axis}": _place(axis) for axis in COORDINATES if axis != "typed"},
    ).transform_calculate(
        spoken=(
            "datum.name + ', lr ' + datum.lr + ', wd ' + datum.wd + ', ' + "
            "replace(metric, '_', ' ') + ' ' + datum.shown + ', ' + datum.told"
        )
    )
    tips = {
        "name": "cell of", "lr": "lr", "wd": "wd as typed", "at_lambda": "λ, shrink per step",
        "at_torch_wd": "torch's weight_decay", "at_shrink": "shrink of the run, nepers",
        "at_timescale": "averaging time, epochs", "shown": "mean ± sd, as coloured",
        "over": "seeds", "told": "status", "training": "training error",
    }  # fmt: skip
    log = alt.Scale(type="log", nice=False)
    across = alt.Axis(
        title=None, grid=False, tickCount=20, labelOverlap="greedy", ticks=False, labelPadding=5,
        labelExpr=_tick(cells),
    )  # fmt: skip
    rates = sorted(set(cells["lr"]))
    rates = rates[:: -(-len(rates) // 8)]
    written = _literal({f"{rate:.4g}": short(rate) for rate in rates})
    label = (
        f"{written}[replace(format(datum.value, '.4~g'), '−', '-')] || format(datum.value, '.3~g')"
    )
    up = alt.Axis(title=None, grid=False, values=rates, labelExpr=label)
    return said.mark_rect(strokeWidth=0.4, cursor="pointer").encode(
        x=alt.X("x0:Q", scale=log, axis=across),
        x2="x1:Q",
        y=alt.Y("y0:Q", scale=log, axis=up),
        y2="y1:Q",
        color=colour,
        stroke=alt.condition(empty, alt.value("#999"), alt.value("#fff")),
        tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tips.items()],
        description="spoken:N",
    )


def _place(axis: str) -> str:
    return f"isValid(datum.at.{axis}) ? format(datum.at.{axis}, '.3~g') : '∞'"


def _tick(cells: pd.DataFrame) -> str:
    """Return the label of a tick: of few numbers, none of them beneath the cells at wd = 0."""
    decayed = cells[cells["wd"] > 0]
    ends = {axis: (1.0, 1.0) for axis in COORDINATES}
    if len(decayed):
        boxes = {axis: 2.0 ** panel_axes.layout(decayed, axis) for axis in COORDINATES}
        ends = {axis: (box[:, 0].min(), box[:, 1].max()) for axis, box in boxes.items()}
    decades = max(np.log10(high / low) for low, high in ends.values())
    digits = [1, 2, 5] if decades < 2.2 else [1, 3] if decades < 4 else [1]
    number = "replace(format(datum.value, '.0e'), '+', '')"
    within = f"inrange(datum.value, {_literal(ends)}[coordinate])"
    small = "datum.value < 0.01 || datum.value >= 1e5"
    return (
        f"{within} && indexof({digits}, toNumber(slice({number}, 0, 1))) >= 0 ? "
        f"({small} ? replace({number}, '−', '-') : format(datum.value, '~g')) : ''"
    )


def _share(boxes: np.ndarray) -> float:
    """Return the narrowest box's share of the panel's width."""
    return float(np.diff(boxes[:, :2]).min() / np.ptp(boxes[:, :2]))


def _numbers(free: alt.Chart, found: Mapping[str, pd.DataFrame]) -> alt.Chart:
    """Print the value of each cell, as the pictures do."""
    forms = {metric: heatmap.cell_form(cells, metric) for metric, cells in found.items()}
    return (
        free.transform_filter(f"datum.state === '{FINISHED}'")
        .transform_calculate(printed=f"format(datum.value, {_literal(forms)}[metric])")
        .mark_text(fontSize=9, **SILENT)
        .encode(
            x="xm:Q",
            y="ym:Q",
            text="printed:N",
            color=alt.condition(
                "datum.t > 0.45 || datum.bound === 'high'", alt.value("white"), alt.value("black")
            ),
        )
    )


def _ridge(number: int, one: Measured) -> list[alt.Chart]:
    """Draw the line that the slope was fitted to, over the cells of its metric."""
    if one.slope.reason:
        return []
    metric, colour = one.settings.metric, style.colour(one.panel.optim)
    base = alt.Chart(alt.NamedData("lines")).transform_filter(
        f"datum.panel === {number} && datum.a === coordinate && metric === '{metric}'"
    )
    held = base.transform_filter("isValid(datum.low)")
    ends = [
        held.mark_line(color=colour, strokeWidth=1, strokeDash=[4, 3], **SILENT).encode(
            x=f"{end}:Q", y="lr:Q", order="lr:Q"
        )
        for end in ("low", "high")
    ]
    along = {"x": "x:Q", "y": "lr:Q", "order": "lr:Q"}
    halo = base.mark_line(color="white", strokeWidth=4, **SILENT).encode(**along)
    dots = alt.OverlayMarkDef(color=colour, size=20)
    line = base.mark_line(color=colour, strokeWidth=2, point=dots, **SILENT).encode(**along)
    return [*ends, halo, line.properties(name=f"ridge{number}")]


def _slopes(one: Measured) -> dict[str, str]:
    """Say the slope of a panel in each coordinate."""
    words = one.settings.slope.replace("_", " ")
    return {
        axis: f"{words} {slope(one, axis).text('+.2f')}".replace("-", MINUS) for axis in COORDINATES
    }


def _plain(mathtext: str) -> str:
    """Return a label of matplotlib's as a page shows it."""
    for code, text in PLAIN.items():
        mathtext = mathtext.replace(code, text)
    return mathtext


def _words(text: alt.ExprRef, x: float, y: float) -> alt.Chart:
    """Write something that signals decide at a place of a panel, in pixels."""
    return (
        alt.Chart(alt.Data(values=[{}]))
        .mark_text(text=text, color="currentColor", fontSize=12, **SILENT)
        .encode(x=alt.value(x), y=alt.value(y))
    )


def _curves(curves: Curves) -> alt.ConcatChart:
    """Draw curves of the chosen cells: training loss at the left, at the right the metric."""
    there = {name for run in curves.rows for name in run["c"]}
    right = [name for name in CURVES if name in there and name != "batch_loss"]
    charts = [_curve("'batch_loss'", log=True)] if "batch_loss" in there else []
    if right:
        shown = f"(indexof({_literal(right)}, metric) >= 0 ? metric : '{right[0]}')"
        charts.append(_curve(shown, log=False))
    return alt.concat(*charts, columns=2, spacing=40).resolve_scale(
        x="independent", y="independent"
    )


def _curve(metric: str, *, log: bool) -> alt.LayerChart:
    place = "indexof(picked, datum.cell)"
    base = (
        alt.Chart(alt.NamedData("runs"))
        .transform_filter(f"{place} >= 0 && (seed === 0 || datum.seed === seed)")
        .transform_calculate(epoch="grids[datum.e]", y=f"datum.c[{metric}] || []")
        .transform_flatten(["epoch", "y"])
        .transform_filter(f"isValid(datum.y){' && datum.y > 0' if log else ''}")
        .transform_calculate(
            own=f"colours[{place} % length(colours)]", letter=f"letters[{place} % 26]"
        )
    )
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False, nice=False)
    ticks = alt.Axis(title=None, tickCount=5, labelExpr="format(datum.value, '~g')")
    at: dict[str, Any] = {"x": "epoch:Q", "y": "y:Q"}
    thin = base.mark_line(strokeWidth=1, opacity=0.55, aria=False).encode(
        x=alt.X("epoch:Q", axis=alt.Axis(title="epoch", tickCount=6)),
        y=alt.Y("y:Q", scale=scale, axis=ticks),
        color=_own(alt.Color),
        detail=["cell:N", "seed:N"],
    )
    mean = base.transform_aggregate(y="mean(y)", groupby=["cell", "epoch", "own", "letter"])
    thick = mean.mark_line(strokeWidth=2.4, aria=False).encode(
        **at, color=_own(alt.Color), detail="cell:N"
    )
    tips = [
        alt.Tooltip("letter:N", title="cell"),
        alt.Tooltip("epoch:Q", format=".4~g"),
        alt.Tooltip("y:Q", title="mean over seeds", format=".4~g"),
    ]
    dots = mean.mark_point(size=60, opacity=0, aria=False).encode(**at, tooltip=tips)
    ends = (
        mean.transform_aggregate(end="argmax(epoch)", groupby=["cell", "own", "letter"])
        .transform_calculate(epoch="datum.end.epoch", y="datum.end.y")
        .mark_text(dx=10, fontWeight="bold", fontSize=12)
        .encode(**at, text="letter:N", color=_own(alt.Color))
        .properties(name=f"ends{int(log)}")
    )
    title = alt.TitleParams(
        alt.ExprRef(f"{_literal(CURVES)}[{metric}]"), anchor="start", fontWeight="normal"
    )
    return alt.layer(thin, thick, dots, ends).properties(width=470, height=220, title=title)

"""Delay between fitting the training set and generalizing, over lambda (``statistics.delay``)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.data import coordinates
from experiments.report.data.panels import grouped
from experiments.report.data.text import short
from experiments.report.figures import marks, style
from experiments.report.figures.kinds import Page, Part, Picture, Section, kind
from experiments.report.statistics.delay import (
    EXPONENTS,
    LAW,
    SIMULATED,
    SLOWED,
    Delays,
    contrasts,
    delays,
    rulings,
)
from experiments.report.statistics.estimate import Estimate, unidentified
from experiments.report.statistics.judge import Ruling, by_sign

CLAIM_HEAD = ["", "claim", "claimed", "exponent", "verdict", "power (seeds)"]
#: A mark a learning rate.
MARKS = ("o", "s", "D", "P", "X")
WORDS = {
    "delay": "a run (one seed)",
    "delay, censored": "not yet at the end of the budget: the delay is longer",
    "slowed": "left out of the fit: decay slows the fitting of the training set",
    "slowed, censored": "left out, and not yet at the end",
    "law": "fitted law",
    marks.BEYOND: marks.GOES_ON,
}
CAPTION = (
    "{}: steps from fitting the training set to generalizing over λ, a mark a run, darker with "
    "more learning rate. Open triangles: still not at the end of the budget, so that the delay is "
    "longer. Grey: left out of the fit, because decay slows the fitting of the training set. "
    "Lines: the fitted law; dashed: the slope of {:g} that is predicted for AdamW"
)
EXPLAINED = """\
The delay is the number of steps from the first evaluation with at most {level:g} % training error
to the first with at most {level:g} % test error. The law is delay ~ λ^a α^b, with λ the paper's
decay per step (under L2 the coefficient) and α the learning rate. Predicted for AdamW are a = {a:g}
and b = {b:g}: in torch's decay w = λ / α the delay goes as 1 / αw (arXiv 2603.13331, 2605.18845).

The law is fitted to each seed by maximum likelihood with log-normal scatter. A run that does not
generalize within its budget has a delay of at least what was left of it (right-censored); of any
other run the delay is known up to the distance of two evaluations. Brackets are 95 % intervals by
Student's t over the exponents of the seeds; of two seeds, t is 12.7. Left out are runs without
decay, runs that never fit their training set, and runs that take more than {slowed:g} times the
steps of the quickest fit at their learning rate and seed. Scatter is the factor by which a delay
typically differs from the law.

Power is how often this design, with so many seeds, decides that a claim holds when it is exactly
true, in {simulated} simulations with the fitted scatter. That exponents may themselves differ from
seed to seed is not in it. The last table shows what other choices give: to leave out the runs that
never generalize, to keep those whose fit decay slows, or to take all runs as independent (one fit
with a constant for each seed; its intervals are the likelihood's)."""


@kind("delay")
def part(page: Page) -> Part | None:
    """Draw the delays of runs with decay and judge the law, if there are curves, and a level."""
    level = page.settings.level
    if level is None or not page.has_points:
        return None
    found = [delays(one, page.points, level) for one in page.panels]
    found = [one for one in found if len(one.runs)]
    if not found:
        return None
    text = CAPTION.format(page.optimizers, LAW[0])
    return Part({"delay": Picture(figure(found), text)}, section(found, level))


def figure(found: Sequence[Delays]) -> Figure:
    """Draw a task a row, its optimizers side by side, all on one scale of the delay."""
    rows = list(grouped(found, lambda one: one.panel.setting("task")).values())
    width = max(map(len, rows))
    drawn = style.figure(0.4 + 3.2 * width, 0.4 + 2.4 * len(rows))
    axes = drawn.subplots(len(rows), width, sharex="col", sharey=True, squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        for ax in line[len(row) :]:
            ax.set_visible(False)
        for one, ax in zip(row, line, strict=False):
            draw(one, ax=ax)
        line[0].set_ylabel("delay (steps)", fontsize=style.FONT)
    for ax in axes[0][: len(rows[0])]:
        ax.legend(frameon=False, fontsize=style.FONT - 1.5, loc="lower left")
    for ax in drawn.axes:
        marks.mark_beyond(ax)
    style.legend_below(drawn, (), marks=marks.key(drawn.axes, WORDS))
    for ax in axes[-1]:
        ax.set_xlabel(r"weight decay $\lambda$ per step", fontsize=style.FONT)
    return drawn


def draw(one: Delays, *, ax: Axes) -> Axes:
    """Draw the delays of a panel over lambda, and the law, a line a learning rate.

    Triangles of one lambda stand side by side, in the order of the learning rates.
    """
    decays = coordinates.convert(one.panel.cells, "lambda")
    ticks = sorted(decays[decays > 0].unique())
    rates = sorted(one.runs["lr"].unique())
    aside = np.log(ticks[-1] / ticks[0]) * 0.012 * (np.arange(len(rates)) - (len(rates) - 1) / 2)
    shades = style.sequence(len(rates))
    for i, rate in enumerate(rates):
        own = one.runs[one.runs["lr"] == rate]
        line: dict[str, Any] = {"color": shades[i], "marker": MARKS[i % len(MARKS)], "ms": 4}
        for slowed, some in own.groupby("slowed"):
            dots = line | {"ls": "", "gid": "slowed" if slowed else "delay"}
            dots |= {"color": "0.6"} if slowed else {}
            never = np.isinf(some["high"])
            seen, late = some[~never], some[never]
            ax.plot(seen["lambda"], _middle(seen), mec="white", mew=0.3, **dots)
            dots |= {"marker": "^", "mfc": "none", "mew": 0.8, "gid": f"{dots['gid']}, censored"}
            ax.plot(late["lambda"] * np.exp(aside[i]), late["low"], **dots)
        ends = own["lambda"].agg(["min", "max"]).to_numpy()
        line |= {"lw": 1, "markevery": [], "label": f"lr {short(rate)}", "gid": "law"}
        ax.plot(ends, _law(one, ends, rate), **line)
    seen = one.used[np.isfinite(one.used["high"])]
    if len(seen):
        ends = seen["lambda"].agg(["min", "max"]).to_numpy()
        middle, height = (np.exp(np.log(x).mean()) for x in (seen["lambda"], _middle(seen)))
        line = {"color": "black", "lw": 1, "ls": "--", "gid": "predicted"}
        line["label"] = f"slope {LAW[0]:g}, predicted for AdamW"
        ax.plot(ends, height * (ends / middle) ** LAW[0], **line)
    ax.set(xscale="log", yscale="log")
    ax.minorticks_off()
    ticks = ticks[:: -(-len(ticks) // 8)]
    ax.set_xticks(ticks, [short(tick) for tick in ticks])
    ax.set_ylim(one.runs["apart"].min() / 2, 2 * one.runs["left"].max())
    law = ""
    if np.isfinite(one.line).all():
        law = rf": delay ~ $\lambda^{{{one.line[0]:.2f}}}\ \alpha^{{{one.line[1]:.2f}}}$"
    style.title(ax, one.panel.name + law, one.panel.optim, style.FONT)
    style.plain(ax)
    return ax


def _middle(runs: pd.DataFrame) -> pd.Series:
    return (runs["low"] + runs["high"]) / 2


def _law(one: Delays, decays: np.ndarray, rate: float) -> np.ndarray:
    """Return the delays that a panel's law gives at some lambda and one learning rate."""
    a, b, constant = one.line
    return np.exp(a * np.log(decays) + b * np.log(rate) + constant)


def section(found: Sequence[Delays], level: float) -> Section:
    """Return each panel's law, other choices beside it, and what follows for the claims."""
    on = [f"exponent on {name}" for name in EXPONENTS.values()]
    laws = [["", "runs", "seeds", "never generalize", "left out", *on, "scatter"]]
    beside, judged = [["", "choice", "runs", *on]], [CLAIM_HEAD]
    data, verdicts = [], []
    for one in found:
        name, ruled = one.panel.name, {ruling.claim.statistic: ruling for ruling in rulings(one)}
        left_out = one.unfitted + int(one.runs["slowed"].sum())
        counts = [len(one.used), len(one.fits), one.never, left_out]
        scatter = f"{np.exp(one.scatter):.2f}" if np.isfinite(one.scatter) else "-"
        laws.append([name, *map(str, counts), *_texts(one.exponents), scatter])
        for exponent, estimate in one.exponents.items():
            note = f"{len(one.fits)} seeds, {one.never} runs never generalize"
            row = _row(name, "the law", exponent, estimate.noted(note))
            data.append(row | (_judged(ruled[exponent]) if exponent in ruled else {}))
        for choice, others in one.others.items():
            beside.append([name, choice, str(others["on_lambda"].n), *_texts(others)])
            data += [_row(name, choice, *item) for item in others.items()]
        judged += [_claim_row(ruling) for ruling in ruled.values()]
        verdicts += [_said(ruling) for ruling in ruled.values()]
    for name, apart in contrasts(found):
        verdicts.append(f"{name}: {_difference(apart)}")
        data += [_row(name, "difference", *item) for item in apart.items()]
    text = EXPLAINED.format(level=level, a=LAW[0], b=LAW[1], slowed=SLOWED, simulated=SIMULATED)
    tables = [laws, *([judged] if len(judged) > 1 else []), beside]
    return Section(
        "Delay between fitting and generalizing", tables, text, verdicts=verdicts,
        data={"delay": pd.DataFrame(data)},
    )  # fmt: skip


def _texts(exponents: Mapping[str, Estimate]) -> list[str]:
    return [one.text() for one in exponents.values()]


def _row(name: str, choice: str, exponent: str, estimate: Estimate) -> dict[str, Any]:
    return {"panel": name, "choice": choice, "statistic": exponent} | estimate.row()


def _judged(ruling: Ruling) -> dict[str, Any]:
    """Return a ruling as further columns of the row of its number."""
    power = {f"power_{seeds}_seeds": share for seeds, share in ruling.by_seeds.items()}
    return {"claimed": ruling.claim.range, "verdict": ruling.verdict} | power


def _claim_row(ruling: Ruling) -> list[str]:
    power = (
        ", ".join(f"{100 * share:.0f} % ({seeds})" for seeds, share in ruling.by_seeds.items())
        or "-"
    )
    claim, found = ruling.claim, ruling.found or unidentified("not run")
    return [ruling.task, claim.text, claim.range, found.text(), ruling.verdict, power]


def _said(ruling: Ruling) -> str:
    """Say a ruling, and what the design could have decided."""
    found = ruling.found or unidentified("not run")
    text = f"{ruling.task}: {ruling.claim.text}: {ruling.verdict}, {found.text()}"
    if not ruling.by_seeds:
        return text
    seeds, share = next(iter(ruling.by_seeds.items()))
    return f"{text}; were it so, {seeds} seeds would decide it in {100 * share:.0f} % of all cases"


def _difference(apart: Mapping[str, Estimate]) -> str:
    """Say under which decay the delay falls more steeply, with lambda and with the rate."""
    said = []
    for exponent, on in EXPONENTS.items():
        one = apart[exponent]
        how = by_sign(one, "steeper", "flatter", "not resolvably steeper or flatter")
        said.append(f"the fall with {on} is {how} under decoupled decay ({one.text()})")
    return ", ".join(said)

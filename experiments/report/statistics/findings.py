"""What a page of panels says about the paper's claims: every comparison that its runs allow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from experiments.report.data import names, units
from experiments.report.data.panels import MISSING, best_cell
from experiments.report.data.text import Table
from experiments.report.pages import summary
from experiments.report.statistics import budget, compare, equal_loss, speed
from experiments.report.statistics.bootstrap import Noise, mean_noise
from experiments.report.statistics.estimate import Estimate, draws
from experiments.report.statistics.measure import Measured

RESTARTS, COSINE, CONSTANT = "warm_restarts", "cosine", "constant"
#: Kind of finding -> what the number is, with its unit; {metric} and {unit} are the report's.
KINDS = {
    "best_difference": "second's best {metric} minus the first's, {unit}",
    "gain": "what the second saves of the first's best {metric}, %",
    "schedule_helps": "how much more a cosine gives the second than the first, {unit}",
    "equal_loss": "second's test error minus the first's at equal training loss, points",
    "exponent": "p of wd* ~ steps^-p",
    "exponent_drop": "size of p, raw wd minus normalized wd",
    "restarts": "epochs to a level with restarts over those without",
}


@dataclass(frozen=True)
class Finding:
    """One comparison: its kind (of ``KINDS``), what it is about, under which protocol."""

    kind: str
    of: str
    where: str
    estimate: Estimate
    figure: str = ""


def findings(measured: Sequence[Measured], points: pd.DataFrame) -> list[Finding]:
    """Return every finding that the panels allow, figure by figure, in the order of ``KINDS``.

    A panel without noise of its own gets that of the others under its schedule (the mean of their
    variances): the paper's Figure S3 has no replicates, its Figures 1 and 2 have.

    Args:
        measured: Panels of one experiment.
        points: Typed learning curves of their runs; without any nothing is said of restarts.
    """
    known = [(_schedule(one), one.noise) for one in measured if one.noise]
    found = []
    for figure, page in summary.pages(measured).items():
        page = [replace(one, noise=one.noise or _shared(one, known)) for one in page]
        own = [*_rivals(page), *_schedules(page), *_budgets(page), *_restarts(page, points)]
        own.sort(key=lambda one: list(KINDS).index(one.kind))
        found += [replace(one, figure=figure) for one in own]
    return found


def _shared(one: Measured, known: Sequence[tuple[str, Noise]]) -> Noise | None:
    alike = [noise for schedule, noise in known if schedule == _schedule(one)]
    return mean_noise(alike, "other panels")


def _schedule(one: Measured) -> str:
    return str(one.panel.runs["schedule"].iloc[0])


def table(found: Sequence[Finding]) -> pd.DataFrame:
    """Return findings as rows: figure, kind, of, where, value, low, high, n, reason, note."""
    numbers = ("value", "low", "high", "n", "reason", "note")
    rows = [
        {name: getattr(one, name) for name in ("figure", "kind", "of", "where")}
        | {name: getattr(one.estimate, name) for name in numbers}
        for one in found
    ]
    return pd.DataFrame(rows, columns=["figure", "kind", "of", "where", *numbers])


def rows(found: Sequence[Finding], metric: str) -> Table:
    """Return findings as text under a head: what of whom, the number, n and what to know of it."""
    known = {"metric": metric.split("_")[1], "unit": units.difference(metric)}
    body = [
        [
            _subject(one),
            KINDS[one.kind].format(**known),
            one.estimate.text(units.decimals(metric) if "{unit}" in KINDS[one.kind] else 2),
            str(one.estimate.n),
            one.estimate.reason or one.estimate.note,
        ]
        for one in found
    ]
    return [["", "number", "value", "n", "remark"], *body]


def _subject(one: Finding) -> str:
    return ", ".join(filter(None, [one.figure.replace("figure", "Figure "), one.of, one.where]))


def _protocol(one: Measured, *free: str) -> tuple:
    """What is held fixed when optimizers are compared, and not ``free``; decay goes with them."""
    loose = ("optim", "convention", "decay", *free)
    return tuple(
        (name, str(value))
        for name, value in one.panel.key.items()
        if name not in loose and name.split(".")[0] not in loose
    )


def groups(page: Sequence[Measured], *free: str) -> Iterator[tuple[str, dict[str, list[Measured]]]]:
    """Yield each protocol's panels by optimizer, and how a reader would call the protocol."""
    found: dict[tuple, dict[str, list[Measured]]] = {}
    for one in page:
        panels = found.setdefault(_protocol(one, *free), {})
        panels.setdefault(one.panel.optim, []).append(one)
    for protocol, panels in found.items():
        shown = [(k, v) for k, v in protocol if k in ("schedule", "epochs", "task")]
        varying = {k for k, v in shown if len({dict(p).get(k) for p in found}) > 1}
        words = [names.setting(k, v.removesuffix(".0")) for k, v in shown if k in varying]
        yield ", ".join(words), panels


def pairs(panels: Mapping[str, list[Measured]]) -> Iterator[tuple[str, Measured, Measured]]:
    """Yield each L2 optimizer's one panel with its decoupled twin's."""
    for optim, own in panels.items():
        twin = panels.get(optim + "w", [])
        if len(own) == len(twin) == 1:
            yield f"{names.label(optim)}, {names.label(optim + 'w')}", own[0], twin[0]


def _best(one: Measured) -> np.ndarray:
    return draws(one.panel, compare.best_error, one.settings, one.noise)


def _count(*measured: Measured) -> int:
    return int(sum((one.panel.runs["status"] != MISSING).sum() for one in measured))


def _noted(estimate: Estimate, *measured: Measured) -> Estimate:
    """Say how many planned runs an estimate had to do without."""
    missing = sum(len(one.panel.runs) for one in measured) - _count(*measured)
    parts = [estimate.note] + [f"{missing} planned runs are missing"] * (missing > 0)
    return replace(estimate, note="; ".join(filter(None, parts)))


def _rivals(page: Sequence[Measured]) -> Iterator[Finding]:
    """Compare L2 with decoupled decay under each protocol."""
    for where, panels in groups(page):
        for name, own, twin in pairs(panels):
            best, n = (_best(own), _best(twin)), _count(own, twin)
            for kind, contrast in (
                ("best_difference", compare.difference),
                ("gain", compare.gain),
            ):
                yield Finding(kind, name, where, _noted(contrast(*best, n), own, twin))
            runs = own.panel.runs, twin.panel.runs
            if all(len(equal_loss.usable(one)) for one in runs):
                estimate = equal_loss.compare(*runs, own.settings.samples, (own.noise, twin.noise))
                yield Finding("equal_loss", name, where, _noted(estimate, own, twin))


def _schedules(page: Sequence[Measured]) -> Iterator[Finding]:
    """Compare what a cosine gives to L2 and to decoupled decay."""
    for where, panels in groups(page, "schedule"):
        by_schedule: dict[str, dict[str, list[Measured]]] = {}
        for one in (one for group in panels.values() for one in group):
            schedule = by_schedule.setdefault(_schedule(one), {})
            schedule.setdefault(one.panel.optim, []).append(one)
        plain, cosine = (by_schedule.get(name, {}) for name in (CONSTANT, COSINE))
        cosines = {name: pair for name, *pair in pairs(cosine)}
        for name, *pair in pairs(plain):
            if name in cosines:
                four = (*pair, *cosines[name])
                best = [_best(one) for one in four]
                estimate = compare.difference_of_gains(best[:2], best[2:], _count(*four))
                yield Finding("schedule_helps", name, where, _noted(estimate, *four))


def _budgets(page: Sequence[Measured]) -> Iterator[Finding]:
    """Fit how the best decay moves with the budget, raw and normalized."""
    families: dict[tuple, list[Measured]] = {}
    for one in page:
        rest = _protocol(one, "epochs", "train_size", "task.train_size")
        decay = str(one.panel.runs["decay"].iloc[0])
        families.setdefault((one.panel.optim, rest, decay), []).append(one)
    exponents: dict[tuple, dict[str, budget.Exponent]] = {}
    for (optim, rest, decay), family in families.items():
        if len({one.panel.runs["steps"].iloc[0] for one in family}) < 2:
            continue
        noise = [one.noise for one in family]
        found = budget.exponent([one.panel for one in family], noise, family[0].settings)
        exponents.setdefault((optim, rest), {})[decay] = found
        where = ", ".join([value for name, value in rest if name == "task"] + [f"{decay} wd"])
        estimate = _noted(found.estimate, *family)
        yield Finding("exponent", names.label(optim), where, estimate)
    for (optim, rest), by_decay in exponents.items():
        if {"raw", "normalized"} <= set(by_decay):
            where = ", ".join(value for name, value in rest if name == "task")
            estimate = budget.drop(by_decay["raw"], by_decay["normalized"])
            yield Finding("exponent_drop", names.label(optim), where, estimate)


def _restarts(page: Sequence[Measured], points: pd.DataFrame) -> Iterator[Finding]:
    """Compare how soon a level is reached with restarts and without, each at its best cell."""
    for where, panels in groups(page, "schedule", "epochs"):
        for optim, group in panels.items():
            by_schedule = {_schedule(one): one for one in group}
            if len(by_schedule) == len(group) and {COSINE, RESTARTS} <= set(by_schedule):
                both = [by_schedule[COSINE], by_schedule[RESTARTS]]
                seeds = [best_curve(one, points) for one in both]
                if all(map(len, seeds)):
                    estimate = speed.compare(*seeds, both[0].settings.samples)
                    yield Finding("restarts", names.label(optim), where, _noted(estimate, *both))


def best_curve(one: Measured, points: pd.DataFrame) -> pd.DataFrame:
    """Return the learning curves of the seeds of a panel's best cell: seed and the points."""
    best = best_cell(one.panel.cells, one.settings.metric)
    runs = one.panel.runs
    if best is not None:
        runs = runs[(runs["lr"] == best["lr"]) & (runs["wd"] == best["wd"])]
    return runs[["id", "seed"]].merge(points, on="id")

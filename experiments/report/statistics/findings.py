"""What a page of panels says about the paper's claims: every comparison that its runs allow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from experiments.report.data import units
from experiments.report.data.panels import best_cell, grouped
from experiments.report.statistics import budget, compare, equal_loss, speed
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.measure import Measured, contrast
from experiments.report.statistics.rivals import by_figure, by_protocol, labels, protocol, twins

RESTARTS, COSINE, CONSTANT = "warm_restarts", "cosine", "constant"
#: Kind of finding -> what the number is, with its unit: of {first} and {second}, two optimizers,
#: and {metric} in {unit}, the report's.
KINDS = {
    "best_difference": "{second} minus {first}, best {metric} with decay, {unit}",
    "gain": "what {second} saves of {first}'s best {metric} with decay, %",
    "schedule_helps": "how much more a cosine gives {second} than {first}, best {metric}, {unit}",
    "equal_loss": "{second} minus {first}, test error at equal training loss, points",
    "exponent": "p of wd* ~ steps^-p",
    "restarts": "epochs to a level of the error, with restarts over without",
}


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        kind: One of ``KINDS``.
        of: Names of the optimizers that it is about.
        where: The protocol, in words.
        estimate: The number.
        figure: The figure whose panels were compared; '' if the runs name none.
    """

    kind: str
    of: tuple[str, ...]
    where: str
    estimate: Estimate
    figure: str = ""

    def row(self) -> dict[str, object]:
        """Return it as a row of findings.csv."""
        of = ", ".join(self.of)
        found = {"figure": self.figure, "kind": self.kind, "of": of, "where": self.where}
        return found | self.estimate.row()

    def text(self, metric: str) -> list[str]:
        """Return it as a row of text: what of whom, the number, n and what to know of it."""
        subject = [self.figure.replace("figure", "Figure "), ", ".join(self.of), self.where]
        first, second = self.of[0], self.of[-1]
        known = {"metric": metric.replace("_", " "), "unit": units.difference(metric)}
        what = KINDS[self.kind].format(first=first, second=second, **known)
        form = units.form(metric) if "{unit}" in KINDS[self.kind] else ".2f"
        number = [self.estimate.text(form), self.estimate.support, self.estimate.remark]
        return [", ".join(filter(None, subject)), what, *number]


def findings(measured: Sequence[Measured], points: pd.DataFrame) -> list[Finding]:
    """Return every finding that the panels allow, figure by figure, in the order of ``KINDS``.

    Args:
        measured: Panels of one experiment.
        points: Typed learning curves of their runs; without any nothing is said of restarts.
    """
    found = []
    for figure, page in by_figure(measured).items():
        own = [*_rivals(page), *_schedules(page), *_budgets(page), *_restarts(page, points)]
        own.sort(key=lambda one: list(KINDS).index(one.kind))
        found += [replace(one, figure=figure) for one in own]
    return found


def _schedule(one: Measured) -> str:
    return str(one.panel.setting("schedule"))


def _noted(estimate: Estimate, *measured: Measured) -> Estimate:
    """Say how many planned runs an estimate had to do without."""
    missing = sum(len(one.panel.runs) - one.panel.done for one in measured)
    return estimate.noted(f"{missing} planned runs are missing" if missing else "")


def _rivals(page: Sequence[Measured]) -> Iterator[Finding]:
    """Compare L2 with decoupled decay under each protocol."""
    for where, panels in by_protocol(page):
        for pair in twins(panels):
            for kind, number in (("best_difference", compare.difference), ("gain", compare.gain)):
                estimate = contrast(pair, compare.best_error, number, is_error=True)
                yield Finding(kind, labels(*pair), where, _noted(estimate, *pair))
            first, second = (one.panel.runs for one in pair)
            if len(equal_loss.usable(first)) and len(equal_loss.usable(second)):
                estimate = equal_loss.compare(first, second)
                yield Finding("equal_loss", labels(*pair), where, _noted(estimate, *pair))


def _schedules(page: Sequence[Measured]) -> Iterator[Finding]:
    """Compare what a cosine gives to L2 and to decoupled decay."""
    for where, panels in by_protocol(page, "schedule"):
        plain, cosine = (
            {optim: [one for one in own if _schedule(one) == name] for optim, own in panels.items()}
            for name in (CONSTANT, COSINE)
        )
        cosines = {labels(*pair): pair for pair in twins(cosine)}
        for pair in twins(plain):
            if labels(*pair) in cosines:
                four = (*pair, *cosines[labels(*pair)])
                estimate = contrast(
                    four, compare.best_error, compare.difference_of_gains, is_error=True
                )
                yield Finding("schedule_helps", labels(*pair), where, _noted(estimate, *four))


def _budgets(page: Sequence[Measured]) -> Iterator[Finding]:
    """Fit how the best decay moves with the budget, raw and normalized."""
    free = ("epochs", "train_size", "task.train_size")
    for (of, rest), own in grouped(page, lambda one: (labels(one), protocol(one, *free))).items():
        task = [own[0].panel.named(name) for name, _ in rest if name == "task"]
        by_decay = {
            decay: family
            for decay, family in grouped(own, lambda one: str(one.panel.setting("decay"))).items()
            if len({one.panel.setting("steps") for one in family}) > 1
        }
        for decay, family in by_decay.items():
            estimate = _noted(budget.exponent(family), *family)
            yield Finding("exponent", of, ", ".join([*task, f"{decay} wd"]), estimate)


def _restarts(page: Sequence[Measured], points: pd.DataFrame) -> Iterator[Finding]:
    """Compare how soon a level is reached with restarts and without, each at its best cell."""
    for where, panels in by_protocol(page, "schedule", "epochs"):
        for group in panels.values():
            by_schedule = {_schedule(one): one for one in group}
            if len(by_schedule) == len(group) and {COSINE, RESTARTS} <= set(by_schedule):
                both = by_schedule[COSINE], by_schedule[RESTARTS]
                first, second = (best_curve(one, points) for one in both)
                if len(first) and len(second):
                    estimate = speed.compare(first, second)
                    yield Finding("restarts", labels(both[0]), where, _noted(estimate, *both))


def best_curve(one: Measured, points: pd.DataFrame) -> pd.DataFrame:
    """Return the learning curves of the seeds of a panel's best cell: seed and the points."""
    best = best_cell(one.panel.cells, one.settings.metric)
    runs = one.panel.runs
    if best is not None:
        runs = runs[(runs["lr"] == best["lr"]) & (runs["wd"] == best["wd"])]
    return runs[["id", "seed"]].merge(points, on="id")

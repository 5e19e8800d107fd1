r"""Carry a weight decay over to another budget: :math:`\lambda' = \lambda \prod (x' / x)^q`.

The exponents q are those of the rules that ``laws`` judges, and those that its rows give.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.errors import UserError
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.judge import Ruling
from experiments.report.statistics.laws import LAWS, QUANTITIES, RULES, Rule

#: Key of the calculator -> column of the runs table.
KEYS = {
    "train_size": "train_size",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "width": "model.width",
}
DECOUPLED, COUPLED = "decoupled", "lr_coupled"
#: By the column of a quantity: which rows -> the exponent that they give.
Exponents = Mapping[str, Mapping[str, Estimate]]
#: From this share on, what a step takes of a weight looks like torch's number.
LARGE = 0.1


@dataclass(frozen=True)
class Moved:
    """The decay that a rule gives.

    Attributes:
        by: The rule's name, or whose rows say it.
        decay: Lambda; with an interval where rows give one.
    """

    by: str
    decay: Estimate


def measured(found: Mapping[str, Sequence[Ruling]]) -> Exponents:
    """Return the exponents that rows give of each quantity, by which rows, of rulings by law."""
    known: dict[str, dict[str, Estimate]] = {}
    for law in LAWS:
        for one in found.get(law.name, ()):
            usable = one.claim.statistic == "exponent" and one.found and not one.found.reason
            if usable and one.found and law.name != "repeat":
                rows = one.task.partition(":")[0]
                known.setdefault(law.quantity, {}).setdefault(rows, one.found)
    return known


def transfer(
    known: Mapping[str, Any],
    new: Mapping[str, Any],
    exponents: Exponents,
) -> tuple[float, list[Moved], list[str]]:
    """Carry a known good decay over to new values.

    Args:
        known: lr, wd, convention; and of what changes its value: train_size, epochs, batch_size,
            width.
        new: Values of what changes; of lr, by default the known one, times the inverse ratio of
            widths.
        exponents: From :func:`measured`.

    Returns:
        The new learning rate; the new decay by each rule and by each set of rows; and remarks.

    Raises:
        UserError: Names what is missing, or has a value that it cannot have.
    """
    for side, values in (("known", known), ("new", new)):
        if not isinstance(values, Mapping):
            raise UserError(f"{side}={values} must name what it gives, as in {side}.lr=1e-3")
    lr, wd = (_positive("known", known, key) for key in ("lr", "wd"))
    convention = known.get("convention")
    if convention not in (DECOUPLED, COUPLED):
        allowed = f"{DECOUPLED} (the paper, optimi, composer) or {COUPLED} (torch, optax, timm)"
        if convention is None:
            raise UserError(f"known.convention is missing; it must be {allowed}")
        l2 = "; an L2 coefficient has no λ" if convention == "l2" else ""
        raise UserError(f"known.convention must be {allowed}, got {convention}{l2}")
    ratios = {}
    for key, column in KEYS.items():
        if new.get(key) is None:
            continue
        if known.get(key) is None:
            raise UserError(f"new.{key}={new[key]} needs known.{key}, at which known.wd is good")
        ratios[column] = _positive("new", new, key) / _positive("known", known, key)
    if not ratios and new.get("lr") is None:
        raise UserError(
            f"nothing changes; give one of {', '.join(f'new.{key}' for key in ('lr', *KEYS))}"
        )
    remarks = []
    width = ratios.get("model.width", 1.0)
    rate = lr / width if new.get("lr") is None else _positive("new", new, "lr")
    if width != 1:
        supposed = f"the rules on the width suppose lr ~ 1 / width, here {lr / width:g}"
        remarks.append(
            supposed if rate == lr / width else f"{supposed}: they say nothing of {rate:g}"
        )
    if "batch_size" in ratios and new.get("lr") is None:
        remarks.append("the rules on the batch suppose that lr is tuned anew: give new.lr")
    decay = wd if convention == DECOUPLED else lr * wd
    if not 0 < decay < 1:
        raise UserError(f"known.wd={wd:g} removes {decay:g} of a weight a step; λ must be below 1")
    if convention == DECOUPLED and decay >= LARGE:
        remarks.append(
            f"λ = {decay:g} removes {100 * decay:.3g} % of a weight in every step; if known.wd is "
            f"torch's, say known.convention={COUPLED}"
        )
    budget = [rule for rule in RULES if not rule.exponents.keys() & {"model.width"}]
    across = [rule for rule in RULES if rule.exponents.keys() & {"model.width"}]
    chosen: list[Sequence[Rule]] = [[rule] for rule in budget]
    if "model.width" in ratios:
        only_width = len(ratios) == 1
        chosen = [[*([] if only_width else [b]), w] for b in (budget[:1] if only_width else budget)
                  for w in across]  # fmt: skip
    elif not ratios:
        chosen = [[]]
    moved = []
    for rules in chosen:
        q = {name: x for rule in rules for name, x in rule.exponents.items()}
        factor = math.prod(ratio ** q.get(name, 0.0) for name, ratio in ratios.items())
        by = " and ".join(rule.name for rule in rules) or "λ stays as lr moves"
        moved.append(Moved(by, Estimate(decay * factor)))
    lacking = [name for name in ratios if not exponents.get(name)]
    if ratios and not lacking:
        for chosen_rows in itertools.product(*(exponents[name] for name in ratios)):
            rows = dict(zip(ratios, chosen_rows, strict=True))
            moved.append(_by_rows(decay, ratios, {n: exponents[n][one] for n, one in rows.items()},
                                  " and ".join(dict.fromkeys(rows.values()))))  # fmt: skip
        remarks += [
            f"{rows}: λ* ~ {QUANTITIES[name][1]}^q, q = {found.text()}"
            + (f"; {found.note}" if found.note else "")
            for name in ratios
            for rows, found in exponents[name].items()
        ]
        remarks.append("beyond what was measured, and on other tasks, rows are no guide")
    for law in LAWS:
        if law.quantity in lacking and law.name != "repeat":
            remarks.append(f"no rows on {law.name} yet: python train.py -m experiment={law.preset}")
    return rate, moved, remarks


def _by_rows(
    decay: float, ratios: Mapping[str, float], exponents: Mapping[str, Estimate], rows: str
) -> Moved:
    """Multiply what rows give; the exponents of several laws are independent."""
    logs = {name: math.log(ratio) for name, ratio in ratios.items()}
    value = sum(log * exponents[name].value for name, log in logs.items())
    below = above = 0.0
    for name, log in logs.items():
        one = exponents[name]
        ends = sorted((log * (one.low - one.value), log * (one.high - one.value)))
        below, above = below + ends[0] ** 2, above + ends[1] ** 2
    low, high = (decay * math.exp(value + s) for s in (-math.sqrt(below), math.sqrt(above)))
    return Moved(rows, Estimate(decay * math.exp(value), low, high))


def _positive(side: str, values: Mapping[str, Any], key: str) -> float:
    value = values.get(key)
    if value is None:
        raise UserError(f"{side}.{key} is missing; it must be a positive number")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UserError(f"{side}.{key} must be a positive number, got {value}")
    return float(value)

"""Looks at a weight decay before the hours are spent: does it read like another convention's?

It follows a weight on which no gradient acts. Over a run, decoupled decay leaves exp(-S) of it,
with the total shrink S = sum(eta_t) * lambda. Under torch's convention lambda is lr * wd; under
momentum SGD with L2 it is, in the long run, lr * wd / (1 - momentum). Adam's L2 has no such number:
where no gradient acts it takes up to lr * wd / eps a step, so a value can only be too small to act.

And it looks at restarts: a budget that ends inside one ends at a learning rate that is still high.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

from experiments.run.schema import Entry, RunConfig
from optim.schedule import Schedule

#: Total shrink below which a decay hardly acts, and above which it leaves nothing of a weight.
FAINT, FATAL = 0.01, 20.0


def lint(config: RunConfig, etas: float, normalizer: float) -> str | None:
    """Return one line that warns of a run's weight decay, or None if nothing is wrong with it.

    Args:
        config: The run's configuration.
        etas: sum(eta_t) over the budget.
        normalizer: sqrt(b / (B T)) of Appendix B.1, what normalized decay is multiplied by.
    """
    wd, optim = config.wd, config.optim
    unit = etas * _share(optim, config.lr)
    if config.decay.name == "normalized":
        unit *= normalizer
    shrink = unit * wd
    bounded = _adaptive_l2(optim)
    if wd == 0 or FAINT <= shrink <= FATAL or (bounded and shrink > FATAL):
        return None
    if shrink < FAINT:
        effect = (
            f"{'at most ' if bounded else ''}{100 * -math.expm1(-shrink):.2g} % of a weight goes"
        )
    else:
        effect = f"exp(-{shrink:.3g}) of a weight is left where no gradient acts"
    meant = [
        f"{reading}: {override}"
        for reading, override, other in _readings(config, etas, normalizer)
        if FAINT <= other <= FATAL
    ]
    advice = "; did you mean " + ", or ".join(meant) + "?" if meant else (
        f"; what acts lies between wd={FAINT / unit:.1g}"
        + ("" if bounded else f" and wd={FATAL / unit:.1g}")
    )  # fmt: skip
    return f"wd={wd:g} under optim={optim.name}: over the whole run {effect}{advice}"


@lru_cache(maxsize=64)
def cut_restart(schedule: Schedule, steps_per_epoch: int) -> str | None:
    """Return one line that warns of a last restart which the budget cuts short, or None.

    Args:
        schedule: One with warm restarts.
        steps_per_epoch: Of the run.
    """
    ends = [schedule.warmup_steps]
    while ends[-1] < schedule.steps:
        ends.append(ends[-1] + schedule.period(ends[-1]))
    if ends[-1] == schedule.steps:
        return None
    around = " or ".join(f"epochs={end / steps_per_epoch:g}" for end in ends[1:][-2:])
    return (
        f"epochs={schedule.steps / steps_per_epoch:g} ends inside a restart, where eta is still "
        f"{schedule(schedule.steps - 1):.2g}; whole restarts end at {around}"
    )


def _share(optim: Entry, lr: float) -> float:
    """Return what a step at eta = 1 takes of a weight, per unit of wd, where no gradient acts."""
    if optim.convention == "decoupled":
        return 1.0
    if optim.convention == "lr_coupled":
        return lr
    if _adaptive_l2(optim):
        eps = optim.get("eps", 1e-8)
        return lr / eps if eps else math.inf
    return lr / (1 - optim.get("momentum", 0.0))


def _adaptive_l2(optim: Entry) -> bool:
    return optim.convention == "l2" and "sgd" not in optim.name


def _readings(
    config: RunConfig, etas: float, normalizer: float
) -> Iterator[tuple[str, str, float]]:
    """Yield what else the number could be: its name, the override to type, the total shrink."""
    wd, lr, optim = config.wd, config.lr, config.optim
    convention, normalized = optim.convention, config.decay.name == "normalized"
    if convention == "decoupled" and normalized:
        yield "raw lambda", "decay=raw", etas * wd
    elif convention == "decoupled":
        yield "torch's weight_decay", f"wd={lr * wd:.3g}", etas * lr * wd
        yield "normalized wd", "decay=normalized", etas * normalizer * wd
    elif convention == "lr_coupled":
        yield "the paper's lambda", f"wd={wd / lr:.3g}", etas * wd
    elif not _adaptive_l2(optim):
        yield "the paper's lambda", f"wd={wd / _share(optim, lr):.3g}", etas * wd

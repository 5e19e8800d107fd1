"""Which panels are compared with which: those of one figure, one protocol, L2 with decoupled."""

from collections.abc import Iterator, Mapping, Sequence

from experiments.report.data import names
from experiments.report.data.panels import grouped
from experiments.report.statistics.measure import Measured


def by_figure(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Group panels by the figure that they belong to; '' when the table names none."""
    return grouped(measured, lambda one: one.panel.figure)


def protocol(one: Measured, *free: str) -> tuple[tuple[str, str], ...]:
    """Return what is held fixed when optimizers are compared, without ``free``.

    The decay goes with the optimizer, and so do an optimizer's own settings.
    """
    loose = ("optim", "convention", "decay", *free)
    return tuple(
        (name, str(value))
        for name, value in one.panel.key.items()
        if name not in loose and name.split(".")[0] not in loose
    )


def by_protocol(
    page: Sequence[Measured], *free: str
) -> Iterator[tuple[str, dict[str, list[Measured]]]]:
    """Yield each protocol's panels by optimizer, after what a reader would call the protocol."""
    found = grouped(page, lambda one: protocol(one, *free))
    for fixed, own in found.items():
        shown = [(k, v) for k, v in fixed if k in ("schedule", "epochs", "task")]
        varying = {k for k, v in shown if len({dict(other).get(k) for other in found}) > 1}
        words = [own[0].panel.named(k) for k, _ in shown if k in varying]
        yield ", ".join(words), grouped(own, lambda one: one.panel.optim)


def twins(panels: Mapping[str, list[Measured]]) -> Iterator[tuple[Measured, Measured]]:
    """Yield each L2 optimizer's one panel with that of its decoupled twin."""
    for optim, own in panels.items():
        twin = panels.get(optim + "w", [])
        if len(own) == len(twin) == 1:
            yield own[0], twin[0]


def labels(*measured: Measured) -> tuple[str, ...]:
    """Return the names of the optimizers of panels."""
    return tuple(names.label(one.panel.optim) for one in measured)

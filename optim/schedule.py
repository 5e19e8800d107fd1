r"""Learning-rate schedules: pure functions from the step to the multiplier :math:`\eta_t`.

Hand one to ``torch.optim.lr_scheduler.LambdaLR`` and call ``scheduler.step()`` after every batch.
The first batch is step 0. All have :math:`\eta_{max} = 1` and :math:`\eta_{min} = 0`.

A warm-up precedes the shape: :math:`\eta = (t + 1) / w` in its :math:`w` steps, so the first is
positive and the last is 1, and the shape then starts from its beginning over the remaining steps.

Torch's own schedulers do as well. With one that rises above the rate at which it starts, other than
``OneCycleLR``, the optimizer must be told :math:`\alpha` by ``max_lr``.

Source: https://arxiv.org/abs/1711.05101v3, Appendix B.2, and https://arxiv.org/abs/1608.03983.
"""

from dataclasses import dataclass
from math import cos, pi


@dataclass(frozen=True)
class Schedule:
    """A multiplier for each step of a budget; made by the functions of this module.

    Attributes:
        steps: The whole budget, the warm-up included.
        warmup_steps: Steps of linear warm-up, fewer than ``steps``.
    """

    steps: int
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _check_whole("steps", self.steps, 1)
        _check_whole("warmup_steps", self.warmup_steps, 0)
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps must lie in [0, steps={self.steps}), got {self.warmup_steps}"
            )

    def __call__(self, step: int) -> float:
        """Return the multiplier of ``step``, counted from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self.shape(step - self.warmup_steps)

    def period(self, step: int) -> int:
        """Return the length, in steps, of the cycle that ``step`` belongs to.

        Without restarts that is the whole budget. During a warm-up it is the first cycle's.
        """
        return self.steps

    def shape(self, step: int) -> float:
        """Return the multiplier of the ``step``-th step after the warm-up."""
        return 1.0


@dataclass(frozen=True)
class _Step(Schedule):
    milestones: tuple[float, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds = (0, *self.milestones, 1)
        if not all(a < b for a, b in zip(bounds, bounds[1:], strict=False)):
            raise ValueError(f"milestones must increase within (0, 1), got {self.milestones}")
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must lie in (0, 1), got {self.factor}")

    def shape(self, step: int) -> float:
        remaining = self.steps - self.warmup_steps
        return self.factor ** sum(step >= round(share * remaining) for share in self.milestones)


@dataclass(frozen=True)
class _Cosine(Schedule):
    def shape(self, step: int) -> float:
        remaining = self.steps - self.warmup_steps
        return _annealed(min(step, remaining) / remaining)


@dataclass(frozen=True)
class _WarmRestarts(Schedule):
    t_0: int = 1
    t_mult: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_whole("t_0", self.t_0, 1)
        _check_whole("t_mult", self.t_mult, 1)

    def shape(self, step: int) -> float:
        current, period = self._locate(step)
        return _annealed(current / period)

    def period(self, step: int) -> int:
        return self._locate(max(0, step - self.warmup_steps))[1]

    def _locate(self, step: int) -> tuple[int, int]:
        """Return T_cur, the steps since the last restart, and T_i, those between two restarts."""
        if self.t_mult == 1:
            return step % self.t_0, self.t_0
        period = self.t_0
        while step >= period:
            step, period = step - period, period * self.t_mult
        return step, period


def constant(steps: int, warmup_steps: int = 0) -> Schedule:
    """Keep the multiplier at 1 after the warm-up.

    Args:
        steps: The whole budget, in steps.
        warmup_steps: Steps of linear warm-up, fewer than ``steps``.

    Raises:
        ValueError: An argument is out of range.
    """
    return Schedule(steps, warmup_steps)


def step(
    steps: int,
    milestones: tuple[float, ...] = (0.3, 0.6, 0.8),
    factor: float = 0.1,
    warmup_steps: int = 0,
) -> Schedule:
    """Multiply by ``factor`` at each milestone: the paper's step-drop schedule of Figure 1.

    Args:
        steps: The whole budget, in steps.
        milestones: Where to drop, as increasing shares in (0, 1) of the steps after the warm-up.
            The paper drops at epochs 30, 60 and 80 of 100.
        factor: In (0, 1). The paper does not state its own.
        warmup_steps: Steps of linear warm-up, fewer than ``steps``.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from optim import schedule
        >>> eta = schedule.step(100, milestones=(0.5, 0.75), factor=0.5)
        >>> [eta(t) for t in (0, 49, 50, 75)]
        [1.0, 1.0, 0.5, 0.25]
    """
    return _Step(steps, warmup_steps, tuple(milestones), factor)


def cosine(steps: int, warmup_steps: int = 0) -> Schedule:
    r"""Anneal along half a cosine: :math:`\eta_t = 0.5 + 0.5 \cos(\pi T_{cur} / T)`.

    Args:
        steps: The whole budget, in steps; :math:`T` is what the warm-up leaves of it.
        warmup_steps: Steps of linear warm-up, fewer than ``steps``.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import torch
        >>> from optim import AdamW, schedule
        >>> theta = torch.ones(1, requires_grad=True)
        >>> optimizer = AdamW([theta], lr=1e-3, weight_decay=2.5e-4)
        >>> scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.cosine(steps=100))
        >>> for _ in range(50):
        ...     theta.square().sum().backward()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> round(optimizer.param_groups[0]["lr"], 9)
        0.0005
    """
    return _Cosine(steps, warmup_steps)


def warm_restarts(steps: int, t_0: int, t_mult: int = 2, warmup_steps: int = 0) -> Schedule:
    r"""Anneal along a cosine that starts again: :math:`T_{i+1} = T_{mult} T_i` (Appendix B.2).

    The paper starts with 1 to 10 % of the budget. Normalized decay takes the epochs of the current
    restart (AdamWR), so ``period(step)`` tells how many steps that restart lasts.

    Args:
        steps: The whole budget, in steps. The last cycle may be cut short by it.
        t_0: :math:`T_0 \ge 1`, the length of the first cycle in steps.
        t_mult: :math:`T_{mult} \ge 1`, a whole number.
        warmup_steps: Steps of linear warm-up, fewer than ``steps``; the first cycle follows it.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from optim import schedule
        >>> eta = schedule.warm_restarts(steps=700, t_0=100)
        >>> eta(0), eta(50), eta(100), eta.period(50), eta.period(100)
        (1.0, 0.5, 1.0, 100, 200)
    """
    return _WarmRestarts(steps, warmup_steps, t_0, t_mult)


def _annealed(share: float) -> float:
    return 0.5 + 0.5 * cos(pi * share)


def _check_whole(key: str, value: int, low: int) -> None:
    if not isinstance(value, int) or value < low:
        raise ValueError(f"{key} must be a whole number in [{low}, inf), got {value!r}")

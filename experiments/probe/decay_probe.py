"""Watches a run's weight decay: at chosen steps, what it took of every weight, layer by layer.

It only looks. The weights of a run that is watched are those of one that is not, bit for bit, and
since what it remembers is in the checkpoint, a resumed run gives the table of an undisturbed one.
"""

from collections.abc import Callable, Iterator, Mapping
from math import atan2, nan, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from experiments.errors import UserError
from experiments.probe.decay_split import (
    Group,
    Memory,
    State,
    momentum,
    root_v,
    rule_of,
    second_moment,
)
from experiments.probe.table import QUANTILES, compact, of_quantiles
from experiments.seeding import stream


class DecayProbe:
    """Splits each update into loss and decay, and writes what that comes to, a row a layer.

    Args:
        optimizer: One of those that ``decay_split`` knows.
        layers: The model's parameters by name.
        steps: Of the whole budget.
        seed: The run's; the sampled weights are drawn from its stream ``probe``.
        write: Takes the rows of a look, see ``table``.
        looks: Steps at which to look, in the middles of equal parts of the budget; at the last
            step of a cosine nothing moves any more.
        sample: Weights of a layer whose r and root v are kept one by one.
        sample_every: Looks between two that keep the sample, counted so that the last look does.

    Raises:
        UserError: The optimizer is not known, a number is less than 1, or the device knows no
            double precision.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        layers: Mapping[str, Tensor],
        steps: int,
        seed: int,
        write: Callable[[list[dict[str, Any]]], None],
        *,
        looks: int = 12,
        sample: int = 16,
        sample_every: int = 6,
    ):
        numbers = {"looks": looks, "sample": sample, "sample_every": sample_every}
        for key, value in numbers.items():
            if not isinstance(value, int) or value < 1:
                raise UserError(f"probe.{key} must be a whole number of at least 1, got {value}")
        if any(theta.device.type == "mps" for theta in layers.values()):
            raise UserError(
                "probe=decay computes in double precision, which device=mps does not know; "
                "use device=cpu"
            )
        self._rule = rule_of(optimizer)
        self._optimizer, self._layers, self._write = optimizer, dict(layers), write
        self._memory: dict[str, Memory] = {name: {} for name in self._layers}
        self._before: dict[str, Tensor] = {}
        due = sorted({(2 * k + 1) * steps // (2 * looks) for k in range(looks)})
        self._looks = {step: (len(due) - 1 - k) % sample_every == 0 for k, step in enumerate(due)}
        self._sample = {
            name: torch.randperm(theta.numel(), generator=stream(seed, "probe", k))[:sample].numpy()
            for k, (name, theta) in enumerate(self._layers.items())
        }

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"memory": self._memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._memory = state["memory"]

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Follow the step that is to come, whose gradients are there; ``step`` counts from 0."""
        for name, theta, grad, group in self._stepped():
            self._rule.remember(self._memory[name], theta, grad, group)
            if step in self._looks:
                self._before[name] = theta.clone()

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Write a row for every layer, if it is time to look."""
        if step not in self._looks:
            return
        rows = [
            {"step": step + 1, "layer": name}
            | self._row(name, theta, grad, group, self._looks[step])
            for name, theta, grad, group in self._stepped()
        ]
        self._before.clear()
        self._write([compact(row) for row in rows])

    def _stepped(self) -> Iterator[tuple[str, Tensor, Tensor, Group]]:
        """Yield the layers that the optimizer moves in this step, each with gradient and group."""
        groups = {
            theta: group for group in self._optimizer.param_groups for theta in group["params"]
        }
        for name, theta in self._layers.items():
            if theta.grad is not None and theta in groups:
                yield name, theta, theta.grad, groups[theta]

    def _row(
        self, name: str, theta: Tensor, grad: Tensor, group: Group, sampled: bool
    ) -> dict[str, Any]:
        state, memory = self._optimizer.state[theta], self._memory[name]
        before, after = self._before[name].double(), theta.double()
        decay = self._rule.part(memory, self._before[name], state, group)
        norm = before.norm().item()
        shrink = -(decay * before).sum().item() / norm**2 if norm else nan
        root = root_v(state, group)
        r = _array(-decay / before)  # not finite where the weight is 0
        roots = _array(root) if root is not None else np.full_like(r, nan)
        keep = self._sample[name] if sampled else np.array([], int)
        return {
            "size": theta.numel(),
            "eta": group["lr"] / group.get("max_lr", group.get("initial_lr")),  # ours, torch's
            "nominal": self._rule.nominal(group),
            "shrink": shrink,
            "weight_norm": norm,
            "gradient_norm": grad.double().norm().item(),
            "update_norm": (after - before).norm().item(),
            "rotation": angle(before, after),
            "rotation_predicted": equilibrium(shrink, momentum(group)),
            **_quantiles("r", r),
            **_quantiles("root_v", roots),
            "v_from_l2": _share_of_l2(state, self._rule.v_without_l2(memory)),
            **_logs(roots, r),
            "sample_r": r[keep],
            "sample_root_v": roots[keep],
        }


def angle(before: Tensor, after: Tensor) -> float:
    """Return the angle between two tensors taken as vectors, in radians; NaN beside a zero.

    It is exact for small angles too, where the arc cosine is not.
    """
    if not before.any() or not after.any():
        return nan
    a, b = before / before.norm(), after / after.norm()
    return 2 * atan2((a - b).norm().item(), (a + b).norm().item())


def equilibrium(shrink: float, beta1: float) -> float:
    r"""Return the angle by which a layer turns in a step once its norm has settled, in radians.

    There steps lengthen the layer by as much as decay shortens it. With :math:`\lambda` for the
    shrink it is AdamW's of Kosson et al. (2024), :math:`\sqrt{2 \lambda (1 - \beta_1) / (1 +
    \beta_1)}`, in the paper's units; with :math:`\alpha \lambda / (1 - \beta_1)`, SGD's in the long
    run, it is :math:`\sqrt{2 \alpha \lambda / (1 + \beta_1)}`. NaN where decay lengthens.
    """
    return sqrt(2 * shrink * (1 - beta1) / (1 + beta1)) if shrink >= 0 else nan


def _array(values: Tensor) -> np.ndarray:
    return values.flatten().cpu().numpy()


def _quantiles(name: str, values: np.ndarray) -> dict[str, float]:
    values = values[np.isfinite(values)]
    found = np.quantile(values, QUANTILES) if len(values) else [nan] * len(QUANTILES)
    return dict(zip(of_quantiles(name), map(float, found), strict=True))


def _logs(root: np.ndarray, r: np.ndarray) -> dict[str, float]:
    """Return the moments of log10 root v and log10 r that a straight line through them needs."""
    fit = (root > 0) & (r > 0) & np.isfinite(root) & np.isfinite(r)
    x, y = np.log10(root[fit]), np.log10(r[fit])
    names = ("mean_log_v", "mean_log_r", "var_log_v", "var_log_r", "cov_logs")
    if not len(x):
        return {"logs": 0} | dict.fromkeys(names, nan)
    dx, dy = x - x.mean(), y - y.mean()
    values = (x.mean(), y.mean(), (dx * dx).mean(), (dy * dy).mean(), (dx * dy).mean())
    return {"logs": len(x)} | dict(zip(names, map(float, values), strict=True))


def _share_of_l2(state: State, alone: Tensor | None) -> float:
    """Return the median over weights of 1 - v without L2 / v; NaN if L2 does not enter v."""
    whole = second_moment(state)
    if alone is None or whole is None:
        return nan
    v, without = _array(whole.double()), _array(alone.double())
    there = v > 0
    return float(np.median(1 - without[there] / v[there])) if there.any() else nan

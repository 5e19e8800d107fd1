r"""The coordinates of weight decay, each computed from the same row of the runs table.

With :math:`\lambda` the share of a weight that one step at :math:`\eta_t = 1` removes,

==========  =============================================  =========================
name        value                                          unit
==========  =============================================  =========================
typed       ``wd`` as it was typed                         of the row's convention
lambda      :math:`\lambda`                                per step
torch_wd    :math:`\lambda / \alpha`                       of torch's weight_decay
step_shrink torch_wd times :math:`\alpha`                  per step
shrink      :math:`\lambda \sum_t \eta_t`                  nepers over the whole run
timescale   :math:`1 / \lambda` steps, in epochs           epochs
==========  =============================================  =========================

where :math:`\lambda` is ``weight_decay`` under the ``decoupled`` convention and ``lr *
weight_decay`` under ``lr_coupled``. Under ``l2`` nothing shrinks evenly: ``weight_decay`` is the
coefficient added to the gradient, it stands in place of :math:`\lambda`, and torch's is the same
number. So ``step_shrink`` is :math:`\lambda`, but :math:`\alpha` times an L2 coefficient: what a
step of SGD without momentum shrinks (Proposition 1). Source: Loshchilov & Hutter (2019),
Algorithms 1 and 2; averaging time: Wang & Aitchison, https://arxiv.org/abs/2405.13698.
"""

import pandas as pd

from experiments.errors import UserError

AXES = ("typed", "lambda", "torch_wd", "step_shrink", "shrink", "timescale")
L2, LR_COUPLED = "l2", "lr_coupled"


def convention_of(optim: str) -> str:
    """Guess the convention of an optimizer that has no run yet from its name in configs/optim."""
    if not optim.endswith("w"):
        return L2
    return LR_COUPLED if optim.startswith("torch_") else "decoupled"


def check(axis: str) -> None:
    """Refuse an axis that does not exist."""
    if axis not in AXES:
        raise UserError(f"axis={axis} is not one of {', '.join(AXES)}")


def convert(cells: pd.DataFrame, axis: str) -> pd.Series:
    """Return the coordinate ``axis`` of every row; at wd = 0 it is 0, for ``timescale`` inf.

    Args:
        cells: Rows with lr, wd, weight_decay, convention, eta_sum, steps and epochs.
        axis: One of ``AXES``.

    Raises:
        UserError: ``axis`` is none of them.
    """
    check(axis)
    if axis == "typed":
        return cells["wd"]
    coupled, l2 = cells["convention"] == LR_COUPLED, cells["convention"] == L2
    decay = cells["weight_decay"].where(~coupled, cells["lr"] * cells["weight_decay"])
    if axis == "lambda":
        return decay
    if axis == "torch_wd":
        return decay.where(l2, decay / cells["lr"])
    if axis == "step_shrink":
        return decay.where(~l2, decay * cells["lr"])
    if axis == "shrink":
        return decay * cells["eta_sum"]
    return cells["epochs"] / (cells["steps"] * decay)


def label(axis: str, convention: str, decay: str = "raw") -> str:
    """Return the axis label: the quantity, and in which convention it acts."""
    if convention == L2:
        return {
            "step_shrink": r"$\alpha\times$ L2 coefficient: SGD's shrink per step",
            "shrink": r"L2 coefficient $\times\ \sum\eta_t$ (no even shrink)",
            "timescale": r"epochs / (steps $\times$ L2 coefficient)",
        }.get(axis, "L2 coefficient, added to the gradient")
    if axis == "typed" and decay == "normalized":
        return r"$\lambda_{norm}$; $\lambda=\lambda_{norm}\sqrt{b/(BT)}$"
    if axis == "typed":
        axis = "torch_wd" if convention == LR_COUPLED else "lambda"
    paper = r"$\lambda$: shrink per step $=\eta_t\lambda$ (paper)"
    return {
        "lambda": paper,
        "step_shrink": paper,
        "torch_wd": r"torch weight_decay: shrink $=lr_t\cdot wd$",
        "shrink": r"total shrink $\lambda\sum\eta_t$ (nepers)",
        "timescale": r"averaging time $1/\lambda$ (epochs)",
    }[axis]

"""Adam and AdamW: Algorithm 2 of Loshchilov & Hutter (2019)."""

from math import inf, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optim.base import (
    Group,
    Number,
    PaperOptimizer,
    State,
    add_scaled_,
    check_range,
    fitted,
    in_graph,
    widened,
)

FUSED_DEVICES = {"cpu", "cuda"}
FUSED_DTYPES = {torch.float32, torch.float64, torch.bfloat16}


class Adam(PaperOptimizer):
    r"""Adam with L2 regularization, the baseline for :class:`AdamW`.

    With initial learning rate :math:`\alpha`, schedule multiplier :math:`\eta_t`, weight decay
    :math:`\lambda` and elementwise products, quotients and roots, step :math:`t` is

    .. math::
        g_t       &= \nabla f_t(\theta_{t-1}) \;[+ \lambda \theta_{t-1}]_{\text{Adam}} \\
        m_t       &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t        = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \hat m_t  &= m_t / (1 - \beta_1^t), \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t  &= \theta_{t-1} - \eta_t \bigl( \alpha \hat m_t / (\sqrt{\hat v_t} + \epsilon)
                     \;[+ \lambda \theta_{t-1}]_{\text{AdamW}} \bigr)

    Two variants of the decay term of AdamW are not the paper's. ``decay_power`` :math:`p` makes it
    :math:`\eta_t^p \lambda \theta_{t-1}`, and ``cautious`` multiplies it by
    :math:`\mathbb{I}(u_t \theta_{t-1} \ge 0)`, where :math:`u_t` is the update
    :math:`\alpha \hat m_t / (\sqrt{\hat v_t} + \epsilon)` that is subtracted: a weight that the
    update lengthens does not decay.

    Here :math:`t` counts the steps in which a tensor had a gradient, as in torch. AdamW differs
    from ``torch.optim.AdamW(weight_decay=w)``, which removes :math:`\eta_t \alpha w` of a weight:
    the two agree for :math:`w = \lambda / \alpha`.

    Args:
        params: Tensors of any shape (``m`` and ``v`` have the same), or dicts of parameter groups.
        lr: :math:`\eta_t \alpha`, a number or a tensor of no dimension. What it is here is
            :math:`\alpha > 0`, unless ``max_lr`` is given; schedulers change it.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\epsilon \ge 0`, added to the root. With 0, a weight whose gradient has always
            been 0 becomes NaN.
        weight_decay: :math:`\lambda \ge 0`. For AdamW it is below 1: the share of each weight that
            one step at :math:`\eta_t = 1` removes, whatever the learning rate. Weights kept in
            bfloat16 round to 8 bits after the step, so they lose nothing to a share below 0.002.
        max_lr: :math:`\alpha`, the highest learning rate that the schedule reaches, where it does
            not start there: at ``lr == max_lr`` AdamW removes ``weight_decay``, below it less, and
            above it refuses to step. ``OneCycleLR`` sets it by itself.
        decay_power: :math:`p \ge 0`, for AdamW only. 1 is the paper's; 2 that of AdamC, which
            scales the decay of layers with a norm behind them (Defazio, 2025); 0 leaves the decay
            out of the schedule, but for steps at a rate of 0, which move nothing.
        cautious: Whether only those weights decay that the update does not lengthen, for AdamW only
            (Chen et al., 2025). ``weight_decay`` is then the most that a weight loses.
        fused: True for torch's fused kernel, False for a few passes over lists of tensors, None
            for the kernel wherever it applies. Both compute the recurrence above and differ in
            rounding only. ``torch.compile`` takes the lists and fuses them itself.
        capturable: Whether a CUDA graph may hold the step: it then keeps ``step``, and ``lr`` where
            that is a tensor, on the device and reads neither. A device then finds ``lr`` above
            ``max_lr`` by an assertion of its own. ``torch.compile`` steps so in any case.

    Raises:
        ValueError: A hyperparameter of some group is out of range, on construction, loading or at a
            step, or is not for this class; ``lr`` is above ``max_lr``; a state dict is not of this
            class (see :func:`~optim.from_torch`); or, at a step, ``fused=True`` meets tensors or
            a decay that the kernel cannot take.

    Source: https://arxiv.org/abs/1711.05101v3, Algorithm 2; ``decay_power=2``:
    https://arxiv.org/abs/2506.02285; ``cautious``: https://arxiv.org/abs/2510.12402, Algorithm 1.

    Example:
        The first step of Adam is alpha long, whatever the gradient; AdamW also removes 1 %.

        >>> import torch
        >>> from optim import AdamW
        >>> theta = torch.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = AdamW([theta], lr=0.1, weight_decay=0.01)
        >>> theta.grad = torch.tensor([3.0, 500.0])
        >>> optimizer.step()
        >>> theta.detach()
        tensor([ 0.8900, -2.0800])

        The second weight was moved away from 0, so a cautious decay spares it. With a power of 2,
        a step at half of ``max_lr`` removes a quarter of ``weight_decay``.

        >>> def after_one_step(**options):
        ...     theta = torch.tensor([1.0, -2.0], requires_grad=True)
        ...     theta.grad = torch.tensor([3.0, 500.0])
        ...     AdamW([theta], weight_decay=0.01, **options).step()
        ...     return theta.detach()
        >>> after_one_step(lr=0.1, cautious=True)
        tensor([ 0.8900, -2.1000])
        >>> after_one_step(lr=0.05, max_lr=0.1, decay_power=2)
        tensor([ 0.9475, -2.0450])
    """

    moments = ("m", "v")
    #: Which lines of the step take the L2 term, out of ``m``, ``v`` and ``step``; see optim.mixing.
    l2_in = frozenset({"m", "v"})

    def __init__(
        self,
        params: ParamsT,
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        max_lr: float | None = None,
        decay_power: float = 1.0,
        cautious: bool = False,
        fused: bool | None = None,
        capturable: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            max_lr=max_lr,
            decay_power=decay_power,
            cautious=cautious,
            fused=fused,
            capturable=capturable,
        )

    def checked(self, group: Group) -> Group:
        try:
            beta1, beta2 = group["betas"]
        except (TypeError, ValueError):
            raise ValueError(
                f"betas must be two numbers in [0, 1), got {group['betas']!r}"
            ) from None
        if group["fused"] not in (None, True, False):
            raise ValueError(f"fused must be None, True or False, got {group['fused']!r}")
        return super().checked(group) | {
            "betas": (check_range("betas[0]", beta1, 0, 1), check_range("betas[1]", beta2, 0, 1)),
            "eps": check_range("eps", group["eps"], 0, inf),
        }

    def update_(
        self,
        theta: list[Tensor],
        grad: list[Tensor],
        state: list[State],
        group: Group,
        lr: Number,
        eta: Number,
    ) -> None:
        m, v = [entry["m"] for entry in state], [entry["v"] for entry in state]
        if self._fuses(group, theta, grad, m, v):
            if group["decay_power"] != 1:  # the kernel decays by a multiple of lr
                self.decay_(theta, m, group, eta)
                group = group | {"weight_decay": 0.0}
            steps = [entry["step"] for entry in state]
            self._fused_step(theta, grad, m, v, steps, group, lr)
            return
        t = state[0]["step"]
        if in_graph(group):
            t = widened(torch.stack([entry["step"] for entry in state]))
        self._foreach_step(theta, grad, m, v, t, group, lr, eta)

    def _foreach_step(
        self,
        theta: list[Tensor],
        grad: list[Tensor],
        m: list[Tensor],
        v: list[Tensor],
        t: Any,  # the age that all share, or a vector of ages
        group: Group,
        lr: Number,
        eta: Number,
    ) -> None:
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        l2_in = self.l2_in if decay and not self.decoupled else frozenset()
        mixed = torch._foreach_add(grad, theta, alpha=decay) if l2_in & {"m", "v"} else grad
        into_m, into_v = (mixed if place in l2_in else grad for place in "mv")  # line 6
        torch._foreach_lerp_(m, into_m, 1 - beta1)  # line 7
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, into_v, into_v, 1 - beta2)  # line 8
        correction1, correction2 = 1 - beta1**t, 1 - beta2**t
        if "step" in l2_in:
            m = list(torch._foreach_mul(m, 1.0))  # a copy
            add_scaled_(m, theta, decay * correction1)
        # Lines 9 and 10, multiplied through by root so that no pass over m and v is needed:
        # mhat / (sqrt(vhat) + eps) = root / (1 - beta1^t) * m / (sqrt(v) + root * eps).
        root = correction2.sqrt() if isinstance(correction2, Tensor) else sqrt(correction2)
        denominator = torch._foreach_sqrt(v)
        torch._foreach_add_(denominator, fitted(root * group["eps"], v[0]))
        self.decay_(theta, m, group, eta)  # line 12, decay
        size = lr * root / correction1  # lr is eta * alpha
        if isinstance(size, Tensor):
            add_scaled_(theta, list(torch._foreach_div(m, denominator)), -size)  # line 12, step
        else:
            torch._foreach_addcdiv_(theta, m, denominator, value=-size)

    def _fused_step(
        self,
        theta: list[Tensor],
        grad: list[Tensor],
        m: list[Tensor],
        v: list[Tensor],
        steps: list[Any],
        group: Group,
        lr: Number,
    ) -> None:
        decay = group["weight_decay"]
        if self.decoupled:
            kernel = torch._fused_adamw_
            decay /= group["max_lr"]  # it shrinks by lr * decay = eta * lambda
        else:
            kernel = torch._fused_adam_
        if not in_graph(group):  # all are of one age
            now = torch.full((), steps[0], dtype=torch.float32, device=theta[0].device)
            steps = [now] * len(theta)
        kernel(
            theta,
            grad,
            m,
            v,
            [],
            steps,
            lr=lr.float() if isinstance(lr, Tensor) and lr.is_cuda else lr,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            weight_decay=decay,
            amsgrad=False,
            maximize=False,
        )

    @classmethod
    def _fuses(
        cls,
        group: Group,
        theta: list[Tensor],
        grad: list[Tensor],
        m: list[Tensor],
        v: list[Tensor],
    ) -> bool:
        if group["fused"] is False or torch.compiler.is_compiling():  # which fuses the lists itself
            return False
        if group["weight_decay"] and (cls.l2_in != Adam.l2_in or group["cautious"]):
            if group["fused"]:
                kind = "a cautious weight decay" if group["cautious"] else "the weight decay"
                raise ValueError(f"fused=True cannot take {kind} of {cls.__name__}")
            return False
        # The kernel walks the four memories side by side, so they must be laid out alike. As m
        # has no gaps, equal strides also rule out a weight that is a slice of a larger tensor.
        fits = (
            theta[0].device.type in FUSED_DEVICES
            and theta[0].dtype in FUSED_DTYPES
            and all(map(_alike, theta, grad, m, v))
        )
        if group["fused"] and not fits:
            raise ValueError(
                "fused=True needs float32, float64 or bfloat16 tensors on cpu or cuda whose "
                f"gradients have the same strides, got {theta[0].dtype} on {theta[0].device}"
            )
        return fits


class AdamW(Adam):
    """Adam with decoupled weight decay; documented with :class:`Adam`, its L2 twin."""

    decoupled = True


def _alike(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> bool:
    if a.stride() == b.stride() == c.stride() == d.stride():
        return True
    # An axis of length 1 has no layout, yet autograd may give it another stride than the weight's.
    axes = [axis for axis, length in enumerate(a.shape) if length > 1]
    return all(len({tensor.stride(axis) for tensor in (a, b, c, d)}) == 1 for axis in axes)

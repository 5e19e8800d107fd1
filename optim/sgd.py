"""SGD and SGDW with momentum: Algorithm 1 of Loshchilov & Hutter (2019)."""

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optim.base import Group, Number, PaperOptimizer, State, add_scaled_, check_range


class SGD(PaperOptimizer):
    r"""Momentum SGD with L2 regularization, the baseline for :class:`SGDW`.

    With initial learning rate :math:`\alpha`, schedule multiplier :math:`\eta_t`, momentum
    :math:`\beta_1` and weight decay :math:`\lambda`, step :math:`t` is

    .. math::
        g_t      &= \nabla f_t(\theta_{t-1}) \;[+ \lambda \theta_{t-1}]_{\text{SGD}} \\
        m_t      &= \beta_1 m_{t-1} + \eta_t \alpha g_t \\
        \theta_t &= \theta_{t-1} - m_t \;[- \eta_t \lambda \theta_{t-1}]_{\text{SGDW}}

    Unlike ``torch.optim.SGD``, the learning rate enters the momentum when it is written, not when
    it is read: the two agree under a constant schedule only. There, in the long run, L2 shrinks a
    weight by :math:`\alpha \lambda / (1 - \beta_1)` a step where SGDW shrinks it by
    :math:`\lambda`.

    ``decay_power`` :math:`p` and ``cautious`` make the decay of SGDW
    :math:`\eta_t^p \lambda \theta_{t-1}` and multiply it by
    :math:`\mathbb{I}(m_t \theta_{t-1} \ge 0)`, as in :class:`~optim.Adam`.

    Args:
        params: Tensors of any shape (``m`` has the same), or dicts of parameter groups.
        lr: :math:`\eta_t \alpha`, a number or a tensor of no dimension. What it is here is
            :math:`\alpha > 0`, unless ``max_lr`` is given; schedulers change it.
        momentum: :math:`\beta_1` in [0, 1).
        weight_decay: :math:`\lambda \ge 0`. For SGDW it is below 1: the share of each weight that
            one step at :math:`\eta_t = 1` removes, whatever the learning rate.
        max_lr: :math:`\alpha` where the schedule does not start there, as in :class:`~optim.Adam`.
        decay_power: :math:`p \ge 0`, for SGDW only; 1 is the paper's.
        cautious: Whether only those weights decay that the update does not lengthen, for SGDW only.
        capturable: As in :class:`~optim.Adam`.

    Raises:
        ValueError: A hyperparameter of some group is out of range, on construction, loading or at a
            step, or is not for this class; ``lr`` is above ``max_lr``; or a state dict is not of
            this class.

    Source: https://arxiv.org/abs/1711.05101v3, Algorithm 1; ``cautious``:
    https://arxiv.org/abs/2510.12402, Algorithm 1.

    Example:
        With a zero gradient only the decay is left: two weights lose 1 % each.

        >>> import torch
        >>> from optim import SGDW
        >>> theta = torch.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = SGDW([theta], lr=0.05, weight_decay=0.01)
        >>> theta.grad = torch.zeros(2)
        >>> optimizer.step()
        >>> theta.detach()
        tensor([ 0.9900, -1.9800])

        A cautious decay spares the weight that the step lengthens, here the second.

        >>> theta = torch.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = SGDW([theta], lr=0.05, weight_decay=0.01, cautious=True)
        >>> theta.grad = torch.ones(2)
        >>> optimizer.step()
        >>> theta.detach()
        tensor([ 0.9400, -2.0500])
    """

    moments = ("m",)

    def __init__(
        self,
        params: ParamsT,
        lr: Number,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        *,
        max_lr: float | None = None,
        decay_power: float = 1.0,
        cautious: bool = False,
        capturable: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            max_lr=max_lr,
            decay_power=decay_power,
            cautious=cautious,
            capturable=capturable,
        )

    def checked(self, group: Group) -> Group:
        return super().checked(group) | {
            "momentum": check_range("momentum", group["momentum"], 0, 1)
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
        m, decay = [entry["m"] for entry in state], group["weight_decay"]  # lr is eta * alpha
        torch._foreach_mul_(m, group["momentum"])
        add_scaled_(m, grad, lr)  # line 8
        if decay and not self.decoupled:
            add_scaled_(m, theta, lr * decay)  # line 6, without a copy of grad
        self.decay_(theta, m, group, eta)  # line 9, decay
        torch._foreach_sub_(theta, m)  # line 9, step


class SGDW(SGD):
    """Momentum SGD with decoupled weight decay; documented with :class:`SGD`, its L2 twin."""

    decoupled = True

"""Normalized weight decay: Appendix B.1 of Loshchilov & Hutter (2019)."""

from math import inf, sqrt

from optim.base import check_range


def normalized_weight_decay(wd: float, *, batch_size: int, train_size: int, epochs: float) -> float:
    r"""Return the decay per step for a decay that is meant for any budget.

    With batch size :math:`b`, :math:`B` training points and :math:`T` epochs,

    .. math:: \lambda = \lambda_{norm} \sqrt{b / (B T)},

    so :math:`\lambda_{norm}` is the decay of a run of one step. The paper calls the rule "merely
    one possibility". Under warm restarts :math:`T` is the epochs of the current restart.

    Args:
        wd: :math:`\lambda_{norm} \ge 0`.
        batch_size: :math:`b`, from 1 to ``train_size``.
        train_size: :math:`B \ge 1`, in training points.
        epochs: :math:`T > 0`, whole or not.

    Raises:
        ValueError: An argument is out of range.

    Source: https://arxiv.org/abs/1711.05101v3, Appendix B.1.

    Example:
        The paper's CIFAR-10 setting:

        >>> from optim import normalized_weight_decay
        >>> f"{normalized_weight_decay(0.05, batch_size=128, train_size=50_000, epochs=100):.2e}"
        '2.53e-04'
    """
    check_range("wd", wd, 0, inf)
    check_range("train_size", train_size, 1, inf)
    check_range("batch_size", batch_size, 1, train_size + 1)
    check_range("epochs", epochs, 0, inf, open_low=True)
    return wd * sqrt(batch_size / (train_size * epochs))

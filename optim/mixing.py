r"""Adam with its L2 term in fewer places: which of them does the harm that decoupling undoes?

Between :class:`~optim.Adam`, whose L2 term passes through both moments, and :class:`~optim.AdamW`,
whose decay passes through none, lie the optimizers of this module. All follow Algorithm 2 of
Loshchilov & Hutter (2019), take the arguments of :class:`~optim.Adam`, raise what it raises, and
are it to the bit where ``weight_decay`` is 0. With :math:`g_t = \nabla f_t(\theta_{t-1})` and
:math:`\lambda` the ``weight_decay``, step :math:`t` differs from Adam's as each says.

Torch's fused kernel knows none of them: with a weight decay they take the passes over lists.

Source of the question: J. Bjorck et al., "Understanding Decoupled and Early Weight Decay", 2021.
"""

from optim.adam import Adam


class AdamL2M(Adam):
    r"""Adam with the L2 term in the first moment only.

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) (g_t + \lambda \theta_{t-1}), \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2
    """

    l2_in = frozenset({"m"})


class AdamL2V(Adam):
    r"""Adam with the L2 term in the second moment only: no weight decays, large ones step less.

    .. math::
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) (g_t + \lambda \theta_{t-1})^2
    """

    l2_in = frozenset({"v"})


class AdamPreconditioned(Adam):
    r"""Adam with the L2 term in neither moment, but divided by the root of the second.

    .. math::
        m_t      &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t       = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \theta_t &= \theta_{t-1} - \eta_t \alpha
                    \frac{\hat m_t + \lambda \theta_{t-1}}{\sqrt{\hat v_t} + \epsilon}
    """

    l2_in = frozenset({"step"})

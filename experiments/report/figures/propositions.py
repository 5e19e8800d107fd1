"""What Propositions 1 to 3 come to in numbers, as a figure of two panels."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.figures import style


def figure(frame: pd.DataFrame) -> Figure:
    """Draw deviations on the left, what L2 leaves of decay on the right.

    Args:
        frame: proposition, case, spread, quantity, value.
    """
    drawn = style.figure(7.2, 2.6)
    left, right = drawn.subplots(1, 2, width_ratios=(1.4, 1))
    deviations(frame[frame["proposition"] != "2"], left)
    residuals(frame[(frame["proposition"] == "2") & (frame["quantity"] == "share")], right)
    return drawn


def deviations(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a bar a case of Propositions 1 and 3, on a log axis."""
    cases = ["P1", "P1, momentum 0.9", "P3, appendix", "P3, equation 2"]
    colours = [style.colour("adamw" if value < 1e-9 else "adam") for value in frame["value"]]
    ax.barh(cases, frame["value"], left=1e-16, color=colours, height=0.6)
    label = "largest deviation of the weights"
    ax.set(xscale="log", xlim=(1e-16, 1e2), xlabel=label, title="P1, P3")
    ax.invert_yaxis()
    return ax


def residuals(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw what the best L2 coefficient leaves of the decay over the preconditioner's spread."""
    ax.plot(frame["spread"], 100 * frame["value"], "o-", color=style.colour("adam"))
    ax.set(xlabel="spread of log s", ylabel="decay left over (%)", ylim=(0, 100), title="P2")
    return ax

"""What Propositions 1 to 3 come to in numbers, as a figure of two panels."""

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.report.figures import marks, style

#: A deviation below this is rounding in float64.
ROUNDING = 1e-9
EQUAL, DIFFER = "equal", "differ"


def figure(frame: pd.DataFrame) -> Figure:
    """Draw deviations on the left, what L2 leaves of decay on the right.

    Args:
        frame: proposition, case, spread, quantity, value.
    """
    drawn = style.figure(7.6, 3.0)
    left, right = drawn.subplots(1, 2, width_ratios=(1.2, 1))
    deviations(frame[frame["proposition"] != "2"], left)
    residuals(frame[(frame["proposition"] == "2") & (frame["quantity"] == "share")], right)
    words = {
        EQUAL: "equal but for rounding",
        DIFFER: "not equal",
        marks.MEAN: "one preconditioner diag(1/s), s log-normal",
    }
    style.legend_below(drawn, (), len(words), marks=marks.key(drawn.axes, words))
    return drawn


def deviations(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw a bar a case of Propositions 1 and 3, on a log axis."""
    for at, row in enumerate(frame.to_dict("records")):
        equal = row["value"] < ROUNDING
        (bar,) = ax.barh(
            at, row["value"], color=style.colour("adamw" if equal else "adam"), height=0.6,
            gid=EQUAL if equal else DIFFER,
        )  # fmt: skip
        ax.annotate(
            f"{row['value']:.2g}", (row["value"], at), (3, 0), textcoords="offset points",
            va="center", fontsize=style.FONT - 1,
        )  # fmt: skip
    ax.set_yticks(range(len(frame)), [_case(row) for row in frame.to_dict("records")])
    ax.set(xscale="log", xlim=(1e-16, 1e3))
    ax.set_xlabel(f"{frame['quantity'].iloc[0]}, of any weight (one seed)", fontsize=style.FONT)
    style.title(ax, "Do L2 and decay give the same weights?")
    ax.invert_yaxis()
    style.plain(ax)
    return ax


def _case(row: Mapping[Any, Any]) -> str:
    text = f"Proposition {row['proposition']}: {row['case']}"
    return textwrap.fill(text.replace("lambda", "λ").replace("alpha", "α"), 36)


def residuals(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Draw what the best L2 coefficient leaves of the decay over the preconditioner's spread."""
    ax.plot(frame["spread"], 100 * frame["value"], "o-", color=style.colour("adam"), gid=marks.MEAN)
    ax.set_xlabel("spread: standard deviation of log s", fontsize=style.FONT)
    ax.set_ylabel("decay that the best L2 leaves undone (%)", fontsize=style.FONT)
    ax.set_ylim(-3, 103)
    style.title(ax, "Proposition 2: decay that L2 cannot do")
    style.plain(ax)
    return ax

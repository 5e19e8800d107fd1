"""What decay takes of each weight: the six panels of one task."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from experiments.report.data import names
from experiments.report.data.text import MINUS
from experiments.report.figures import style
from experiments.report.statistics.shares import R, is_matrix, slope


def picture(rows: pd.DataFrame, table: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draw all six for one task.

    Args:
        rows: From ``probes.joined``.
        table: From ``shares.looks``.
        runs: From ``shares.per_run``.
    """
    figure = style.figure(9.6, 6.2)
    axes = figure.subplots(2, 3).flat
    base = _base(rows)
    seed = base[base["seed"] == base["seed"].min()]
    sampled = seed[seed["sample_r"] != ""]
    look = seed[seed["step"].isin(sampled["step"].unique()[:1])]  # halfway
    spectrum(look, ax=axes[0])
    against_gradients(look, ax=axes[1])
    over_training(_base(table), ax=axes[2])
    against_rate(runs, ax=axes[3])
    turning(seed, ax=axes[4])
    growth(seed, ax=axes[5])
    count = len(axes[2].get_legend_handles_labels()[1])
    style.legend_below(figure, [axes[2]], count, style.FONT)
    return figure


def _base(table: pd.DataFrame) -> pd.DataFrame:
    """Keep each optimizer's lower learning rate."""
    return table[table["lr"] == table.groupby("optim")["lr"].transform("min")]


def _optims(table: pd.DataFrame) -> list[str]:
    return sorted(table["optim"].unique(), key=lambda optim: names.order({"optim": optim}))


def _dash(optim: str) -> str:
    """Torch's are dashed, so that a rival beneath shows through."""
    return "--" if optim.startswith("torch_") else "-"


def _finish(ax: Axes, title: str, across: str, up: str = "") -> Axes:
    ax.set_title(title, fontsize=style.FONT + 0.5, loc="left")
    ax.set_xlabel(across, fontsize=style.FONT)
    ax.set_ylabel(up, fontsize=style.FONT)
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log":
            axis.set_minor_formatter(NullFormatter())
            if high < 100 * low:  # powers of ten alone would leave it without numbers
                axis.set_major_locator(
                    LogLocator(subs=(1, 2, 5) if high > 5 * low else range(1, 10))
                )
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    style.plain(ax)
    return ax


def spectrum(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw r over eta at one look by layer: quartiles thick, 5 to 95 % thin, the median a dot."""
    layers = list(rows["layer"].unique())
    optims = _optims(rows)
    for k, optim in enumerate(optims):
        own = rows[rows["optim"] == optim].set_index("layer").reindex(layers)
        r = own[R].div(own["eta"], axis=0).to_numpy()
        y = np.arange(len(layers)) + 0.7 * ((k + 0.5) / len(optims) - 0.5)
        colour = style.colour(optim)
        shown = np.maximum(r, 1e-12)  # a log axis has no place for what is not positive
        ax.hlines(y, shown[:, 0], shown[:, 4], lw=0.6, color=colour)
        ax.hlines(y, shown[:, 1], shown[:, 3], lw=2.0, color=colour)
        ax.plot(np.where(r[:, 2] > 0, r[:, 2], np.nan), y, ".", ms=3, color=colour)
    positive = (rows[R].div(rows["eta"], axis=0)).to_numpy()
    positive = positive[positive > 0]
    if len(positive):
        ax.set_xlim(np.quantile(positive, 0.01) / 3, positive.max() * 3)
    short = [layer.removesuffix(".weight").replace("blocks.", "") for layer in layers]
    ax.set_yticks(range(len(layers)), short)
    ax.set_ylim(len(layers) - 0.5, -0.5)
    ax.set_xscale("log")
    _finish(ax, "a. what decay takes of a weight, by layer", r"r / $\eta_t$")
    ax.tick_params(axis="y", labelsize=style.FONT - 3)
    return ax


def against_gradients(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw r over eta against root v of sampled weights at one look; the slope is over all."""
    for optim in _optims(rows):
        own = rows[(rows["optim"] == optim) & (rows["logs"] > 0) & (rows["sample_r"] != "")]
        if not len(own):
            continue
        x, y = (
            np.concatenate([np.array(text.split(), float) for text in own[f"sample_{name}"]])
            for name in ("root_v", "r")
        )
        y = y / own["eta"].iloc[0]
        shown = (x > 0) & (y > 0)
        label = f"{names.label(optim)}: slope {slope(own):+.2f}".replace("-", MINUS)
        colour = style.colour(optim)
        ax.plot(x[shown], y[shown], "o", label=label, color=colour, alpha=0.5, ms=2, mew=0)
    ax.set(xscale="log", yscale="log")
    ax.legend(frameon=False, fontsize=style.FONT - 1, markerscale=2)
    across = r"$\sqrt{\hat v}$: size of a weight's gradients"
    return _finish(ax, "b. larger gradients, less decay", across, r"r / $\eta_t$")


def over_training(table: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw the network's median r over eta with its quartiles over steps, mean over seeds."""
    for optim in _optims(table):
        steps = table[table["optim"] == optim].groupby("step")[["r_25", "r_50", "r_75"]].mean()
        steps = steps.where(steps > 0)
        colour, label = style.colour(optim), names.label(optim)
        ax.plot(steps.index, steps["r_50"], lw=1.4, ls=_dash(optim), label=label, color=colour)
        ax.fill_between(steps.index, steps["r_25"], steps["r_75"], alpha=0.2, lw=0, color=colour)
    ax.set_yscale("log")
    return _finish(ax, "c. over training", "step", r"r / $\eta_t$, median, quartiles")


def against_rate(runs: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw each optimizer's median r over eta against the learning rate, a dot a seed."""
    for optim in _optims(runs):
        own = runs[(runs["optim"] == optim) & (runs["r"] > 0)]
        colour = style.colour(optim)
        ax.plot(own["lr"], own["r"], ".", ms=4, color=colour)
        mean = np.exp(np.log(own["r"]).groupby(own["lr"]).mean())
        ax.plot(mean.index, mean, lw=1.2, ls=_dash(optim), color=colour)
    ax.set(xscale="log", yscale="log")
    title = "d. at 8 times the learning rate, wd as it was"
    return _finish(ax, title, r"learning rate $\alpha$", r"r / $\eta_t$, median")


def _line_a_matrix(rows: pd.DataFrame, ax: Axes) -> None:
    """Draw the column ``shown`` over steps for each weight matrix of Adam and AdamW."""
    for optim in ("adam", "adamw"):
        own = rows[(rows["optim"] == optim) & is_matrix(rows["layer"])]
        for _, layer in own.groupby("layer"):
            ax.plot(layer["step"], layer["shown"], color=style.colour(optim), lw=0.8, alpha=0.8)


def turning(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw each weight matrix's angle a step over the predicted one, over the steps of a seed."""
    rows = rows[rows["rotation_predicted"] > 0]
    ratio = rows["rotation"] / rows["rotation_predicted"]
    _line_a_matrix(rows.assign(shown=ratio), ax)
    ax.axhline(1, color="0.6", lw=0.8, ls="--")
    ax.set_yscale("log")
    return _finish(ax, "e. rotation a step, each matrix a line", "step", "measured over predicted")


def growth(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw each weight matrix's norm, relative to that at the first look, over a seed's steps."""
    first = rows.groupby(["optim", "layer"])["weight_norm"].transform("first")
    _line_a_matrix(rows.assign(shown=rows["weight_norm"] / first), ax)
    ax.set_yscale("log")
    return _finish(ax, "f. norm of each matrix", "step", "relative to the first look")

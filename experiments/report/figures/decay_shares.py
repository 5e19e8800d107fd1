"""What decay takes of each weight: the panels of one task, a column a learning rate."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from experiments.report.data import names
from experiments.report.data.text import MINUS, formatted
from experiments.report.figures import style
from experiments.report.statistics.shares import R, is_matrix, slope

#: A norm below this share of the first leaves the range that is shown.
VANISHED = 1e-2
#: Stands for an r that is not positive, for which a logarithmic axis has no place.
NOT_POSITIVE = 1e-12


def picture(rows: pd.DataFrame, table: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draw panels a to e at every learning rate of each optimizer, the lowest first, and f.

    Args:
        rows: From ``probes.joined``, one task.
        table: From ``shares.looks``.
        runs: From ``shares.per_run``.
    """
    rows, table, runs = (_ranked(frame) for frame in (rows, table, runs))
    columns = int(runs["rank"].max())
    figure = style.figure(max(3.9 * columns, 5), 12.2)
    axes = figure.subplots(
        6, columns, sharex="row", sharey="row", squeeze=False, height_ratios=[1.9, 1, 1, 1, 1, 1]
    )
    shown = []
    for k in range(columns):
        own, looks, means = (frame[frame["rank"] == k + 1] for frame in (rows, table, runs))
        seed = own[own["seed"] == own["seed"].min()]
        sampled = seed[seed["sample_r"] != ""]
        look = seed[seed["step"].isin(sampled["step"].unique()[:1])]  # halfway
        spectrum(look, ax=axes[0, k])
        against_gradients(look, ax=axes[1, k])
        over_training(looks, means, ax=axes[2, k])
        turning(seed, means, ax=axes[3, k])
        growth(seed, ax=axes[4, k])
        shown.append(look[R].div(look["eta"], axis=0))
        _heading(means, axes[0, k])
        for ax in axes[:5, k] if k else ():
            ax.set_ylabel("")
            ax.set_title("", loc="left")
    grid = axes[5, 0].get_gridspec()
    for ax in axes[5]:
        ax.remove()
    last = against_rate(runs, ax=figure.add_subplot(grid[5, :]))
    _show_positive(axes[0, 0].set_xlim, pd.concat(shown))
    _show_positive(axes[2, 0].set_ylim, table[["r_25", "r_50", "r_75"]])
    for ax in axes[:5].flat:
        _number_logs(ax)
    style.legend_below(figure, [last], len(_optims(runs)), style.FONT)
    return figure


def _show_positive(set_limits: Callable[[float, float], Any], r: pd.DataFrame) -> None:
    """Limit an axis to what is positive, but for the lowest hundredth of it."""
    positive = r.to_numpy()[r.to_numpy() > 0]
    if len(positive):
        set_limits(np.quantile(positive, 0.01) / 2, positive.max() * 2)


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Add which of its optimizer's learning rates each row has: 1 for the lowest, 2, ..."""
    return table.assign(rank=table.groupby("optim")["lr"].rank("dense").astype(int))


def _heading(runs: pd.DataFrame, ax: Axes) -> None:
    """Name the learning rate of each optimizer over a column, those of one rate together."""
    rates = sorted(runs["lr"].unique(), reverse=True)
    at = [", ".join(map(names.label, _optims(runs[runs["lr"] == lr]))) for lr in rates]
    text = "\n".join(f"lr {lr:g}: {who}" for lr, who in zip(rates, at, strict=True))
    ax.annotate(
        text, (0, 1), (0, 22), xycoords="axes fraction", textcoords="offset points",
        fontsize=style.FONT, weight="bold",
    )  # fmt: skip


def _optims(table: pd.DataFrame) -> list[str]:
    return sorted(table["optim"].unique(), key=lambda optim: names.order({"optim": optim}))


def _stroke(optim: str, optims: list[str], width: float = 1.4) -> dict[str, Any]:
    """Return how to draw a line: torch's thin and dashed, on ours that it would hide, wide."""
    if optim.startswith("torch_"):
        return {"lw": width, "ls": (0, (2, 2)), "color": style.colour(optim), "zorder": 3}
    wide = f"torch_{optim}" in optims
    return {"lw": 2.2 * width if wide else width, "color": style.colour(optim)}


def _short(layer: str) -> str:
    return layer.removesuffix(".weight").replace("blocks.", "")


def _number(value: float) -> str:
    return formatted(value, ".2f").replace("-", MINUS)


def _finish(ax: Axes, title: str, across: str, up: str = "") -> Axes:
    ax.set_title(title, fontsize=style.FONT + 0.5, loc="left")
    ax.set_xlabel(across, fontsize=style.FONT)
    ax.set_ylabel(up, fontsize=style.FONT)
    style.plain(ax)
    return ax


def _number_logs(ax: Axes) -> None:
    """Number the logarithmic axes that have no two powers of ten."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log":
            axis.set_minor_formatter(NullFormatter())
            if high < 100 * low:
                axis.set_major_locator(
                    LogLocator(subs=(1, 2, 5) if high > 5 * low else range(1, 10))
                )
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def spectrum(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw r over eta by layer at one step: quartiles thick, 5 to 95 % thin, the median a dot."""
    layers = list(rows["layer"].unique())
    optims = _optims(rows)
    for k, optim in enumerate(optims):
        own = rows[rows["optim"] == optim].set_index("layer").reindex(layers)
        r = own[R].div(own["eta"], axis=0).to_numpy()
        y = np.arange(len(layers)) + 0.7 * ((k + 0.5) / len(optims) - 0.5)
        colour = style.colour(optim)
        shown = np.maximum(r, NOT_POSITIVE)
        ax.hlines(y, shown[:, 0], shown[:, 4], lw=0.6, color=colour)
        ax.hlines(y, shown[:, 1], shown[:, 3], lw=2.0, color=colour)
        ax.plot(np.where(r[:, 2] > 0, r[:, 2], np.nan), y, ".", ms=4, color=colour)
    ax.set_yticks(range(len(layers)), map(_short, layers))
    ax.set_ylim(len(layers) - 0.5, -0.5)
    ax.set_xscale("log")
    _finish(ax, "a. what decay takes of a weight, by layer", r"r / $\eta_t$")
    ax.tick_params(axis="y", labelsize=style.FONT - 3)
    return ax


def against_gradients(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw r over eta against root v of sampled weights at one step; the slope is over all."""
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
        label = f"{names.label(optim)}: slope {_number(slope(own))}"
        kind: dict[str, Any] = {"marker": "o", "ms": 2, "mew": 0, "alpha": 0.5, "zorder": 3}
        if optim.startswith("torch_"):  # tall and beneath, so that it and ours both show
            kind = {"marker": "|", "ms": 6, "mew": 0.4, "zorder": 2}
        ax.plot(x[shown], y[shown], ls="", label=label, color=style.colour(optim), **kind)
    ax.set(xscale="log", yscale="log")
    ax.legend(frameon=False, fontsize=style.FONT - 1, markerscale=2)
    across = r"$\sqrt{\hat v}$"
    return _finish(ax, "b. against the size of a weight's gradients", across, r"r / $\eta_t$")


def over_training(table: pd.DataFrame, runs: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw the network's median r over eta with its quartiles over steps, mean over seeds.

    The legend says by what r is multiplied from the first measurement to the last, if by 1.1 or
    more.
    """
    optims = _optims(table)
    for optim in optims:
        steps = table[table["optim"] == optim].groupby("step")[["r_25", "r_50", "r_75"]].mean()
        steps = steps.clip(lower=NOT_POSITIVE)
        drift = 2 ** runs.loc[runs["optim"] == optim, "drift"].mean()
        moves = abs(np.log(drift)) > np.log(1.1)
        times = f"{drift:.2f}" if drift < 10 else f"{drift:,.0f}"
        label = f"{names.label(optim)}: × {times} in training" if moves else None
        ax.plot(steps.index, steps["r_50"], label=label, **_stroke(optim, optims))
        colour = style.colour(optim)
        ax.fill_between(steps.index, steps["r_25"], steps["r_75"], alpha=0.2, lw=0, color=colour)
    ax.set_yscale("log")
    if ax.get_legend_handles_labels()[1]:
        style.legend(ax)
    return _finish(ax, "c. over training", "step", r"r / $\eta_t$, median, quartiles")


def _line_a_matrix(rows: pd.DataFrame, ax: Axes) -> None:
    """Draw the column ``shown`` over steps for each weight matrix of Adam and AdamW."""
    for optim in ("adam", "adamw"):
        own = rows[(rows["optim"] == optim) & is_matrix(rows["layer"])]
        for _, layer in own.groupby("layer"):
            ax.plot(layer["step"], layer["shown"], color=style.colour(optim), lw=0.8, alpha=0.8)


def turning(rows: pd.DataFrame, runs: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw each weight matrix's angle a step over the predicted one, over the steps of a seed.

    The legend has its median over matrices and measurements, mean over seeds.
    """
    rows = rows[rows["rotation_predicted"] > 0]
    ratio = rows["rotation"] / rows["rotation_predicted"]
    _line_a_matrix(rows.assign(shown=ratio), ax)
    ax.axhline(1, color="0.6", lw=0.8, ls="--")
    ax.set_yscale("log")
    for optim, own in runs[runs["optim"].isin(["adam", "adamw"])].groupby("optim"):
        label = f"{names.label(str(optim))}: median {_number(own['rotation'].mean())}"
        ax.plot([], [], color=style.colour(str(optim)), lw=0.8, label=label)
    style.legend(ax)
    return _finish(ax, "d. rotation a step, each matrix a line", "step", "measured over predicted")


def growth(rows: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw each weight matrix's norm, relative to the first one measured, over a seed's steps.

    One that falls below ``VANISHED`` is drawn until it does, and named there.
    """
    rows = rows.sort_values("step")
    first = rows.groupby(["optim", "layer"])["weight_norm"].transform("first")
    rows = rows.assign(shown=rows["weight_norm"] / first)
    _line_a_matrix(rows, ax)
    ax.set_yscale("log")
    there = rows[is_matrix(rows["layer"]) & rows["optim"].isin(["adam", "adamw"])]
    for _, own in there.groupby(["optim", "layer"]):
        gone = int((own["shown"] < VANISHED).argmax())  # the first look is at 1
        if not gone:
            continue
        before, leaves, last = own.iloc[gone - 1], own.iloc[gone], own.iloc[-1]
        logs = np.log([leaves["shown"], before["shown"]])
        crossing = np.interp(np.log(VANISHED), logs, [leaves["step"], before["step"]])
        at, colour = (crossing, 1.2 * VANISHED), style.colour(last["optim"])
        ax.plot(*at, "v", color=colour, ms=4)
        text = f"   {_short(leaves['layer'])} falls to {last['shown']:.0e}"
        ax.annotate(text, at, color=colour, fontsize=style.FONT - 1, va="bottom")
        ax.set_ylim(bottom=VANISHED)
    return _finish(ax, "e. norm of each matrix", "step", "relative to the first measurement")


def against_rate(runs: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw each optimizer's median r over eta against the learning rate, a dot a seed."""
    optims = _optims(runs)
    for optim in optims:
        own = runs[(runs["optim"] == optim) & (runs["r"] > 0)]
        ax.plot(own["lr"], own["r"], ".", ms=4, color=style.colour(optim))
        mean = np.exp(np.log(own["r"]).groupby(own["lr"]).mean())
        ax.plot(mean.index, mean, label=names.label(optim), **_stroke(optim, optims))
    ax.set(xscale="log", yscale="log")
    _number_logs(ax)
    rates = sorted(runs["lr"].unique())
    ax.set_xticks(rates, [f"{lr:g}" for lr in rates])
    ax.set_xticks([], minor=True)
    title = "f. at each learning rate, wd as it was"
    return _finish(ax, title, r"learning rate $\alpha$", r"r / $\eta_t$, median")

"""The benchmarks as a table and a picture."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

Rows = list[dict[str, Any]]
MOST = 8  # ratio to a target; a longer bar leaves the picture
COLOURS = {"met": "#0072b2", "missed": "#d55e00"}


def met(row: dict[str, Any]) -> bool | None:
    """Whether a row reaches its target; None without one."""
    if row.get("target") is None:
        return None
    value = row.get("ratio", row["ours"])
    return value <= row["target"] if row.get("lower_is_better") else value >= row["target"]


def table(results: dict[str, Any]) -> str:
    """Return the rows of all parts as a Markdown table."""
    lines = [
        "| what | ours | against | theirs | ratio | spread | target | met |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | :---: |",
    ]
    for part in results.values():
        for row in part["rows"]:
            sign = "≤ " if row.get("lower_is_better") else "≥ "
            target = "" if row.get("target") is None else f"{sign}{row['target']:g}"
            verdict = {True: "yes", False: "**no**", None: ""}[met(row)]
            cells = [
                row["what"], _number(row["ours"]), row.get("against", ""),
                _number(row.get("baseline")), _number(row.get("ratio")),
                f"{row['spread']:.0%}" if row.get("spread") is not None else "", target, verdict,
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def figure(results: dict[str, Any], stem: Path) -> None:
    """Draw the ratio to each target, and save it as PNG and SVG.

    A bar that would be longer than ``MOST`` ends in an arrow; its number is beside it.
    """
    rows = [row for part in results.values() for row in part["rows"] if met(row) is not None]
    values = [to_target(row) for row in rows]
    drawn = Figure(figsize=(8.5, 0.28 * len(rows) + 1.4), layout="constrained")
    axes = drawn.subplots()
    for at, (row, value) in enumerate(zip(rows, values, strict=True)):
        kind, end = "met" if met(row) else "missed", min(value, MOST)
        axes.barh(at, end - 1, left=1, color=COLOURS[kind], height=0.7, gid=kind)
        if value > MOST:
            axes.plot(end, at, ">", color=COLOURS[kind], ms=8, clip_on=False, gid="beyond")
        axes.annotate(
            f"{value:.3g}", (max(end, 1), at),
            (4 if value <= MOST else 8, 0), textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=1, gid="target")
    axes.set_yticks(range(len(rows)), map(_name, rows))
    axes.set(
        xscale="log", xlabel="ratio to the target, inverse where less is better (1 or more: met)"
    )
    axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8]))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(0.7, 0.9 * min(values)), min(1.25 * max(*values, 1), 1.15 * MOST))
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    words = {"met": "target met", "missed": "target missed"}
    kinds = {bar.get_gid() for bar in axes.patches}
    handles = [Patch(color=COLOURS[kind], label=words[kind]) for kind in words if kind in kinds]
    drawn.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=7)
    with rc_context({"svg.hashsalt": "benchmarks"}):
        drawn.savefig(stem.with_suffix(".png"), dpi=150)
        drawn.savefig(stem.with_suffix(".svg"), metadata={"Date": None})


def to_target(row: dict[str, Any]) -> float:
    """Return a row's ratio to its target, the inverse where less is better: 1 just meets it."""
    value = float(row.get("ratio", row["ours"]) / row["target"])
    return 1 / value if row.get("lower_is_better") else value


def _name(row: dict[str, Any]) -> str:
    return row["what"] + (f" (against {row['against']})" if row.get("against") else "")

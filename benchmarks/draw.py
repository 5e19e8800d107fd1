"""The benchmarks as a table and a picture."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

Rows = list[dict[str, Any]]
MOST = 8  # times that a target is met; a longer bar leaves the picture


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
    """Draw how far each target is met, 1 being just met, and save it as PNG and SVG."""
    rows = [row for part in results.values() for row in part["rows"] if met(row) is not None]
    labels, values = [], []
    for row in rows:
        value = row.get("ratio", row["ours"]) / row["target"]
        values.append(1 / value if row.get("lower_is_better") else value)
        against = f" (against {row['against']})" if row.get("against") else ""
        labels.append(row["what"] + against)
    drawn = Figure(figsize=(8, 0.28 * len(rows) + 1), layout="constrained")
    axes = drawn.subplots()
    colours = ["#0072b2" if value >= 1 else "#d55e00" for value in values]
    axes.barh(labels, [value - 1 for value in values], left=1, color=colours, height=0.7)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel="how often the target is met (right of the line: met)")
    axes.xaxis.set_major_locator(FixedLocator([0.5, 0.7, 1, 1.5, 2, 3, 4, 6]))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(0.7, 0.9 * min(values)), min(1.1 * max(values), MOST))
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    drawn.savefig(stem.with_suffix(".png"), dpi=150)
    drawn.savefig(stem.with_suffix(".svg"), metadata={"Date": None})

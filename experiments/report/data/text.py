"""Numbers and tables as text: for a terminal, in markdown, and as CSV."""

from pathlib import Path

import numpy as np
import pandas as pd

MINUS = "\N{MINUS SIGN}"
#: Rows of text, the head first.
Table = list[list[str]]


def formatted(value: float, form: str = ".2f") -> str:
    """Return a number in one of Python's formats, and zero without its sign: never -0.00.

    Of two decimals equally near, as 0.02 and 0.03 to 0.025, it is the even one.
    """
    if form.endswith("f"):
        value = float(np.round(value, int(form[-2])))
    text = f"{value:{form}}"
    return f"{0.0:{form}}" if float(text) == 0 else text


def short(value: float) -> str:
    """Return a number as short as it can be: 0, 0.05, 2.5e-4, 1e-3."""
    if value == 0:
        return "0"
    if 0.01 <= abs(value) < 10000:
        return f"{value:.3g}" if value >= 0.1 else f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def aligned(table: Table) -> str:
    """Return a table as columns for a terminal, the first to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def markdown(table: Table) -> str:
    """Return a table as markdown."""
    head, *rows = [[text.replace("|", r"\|") for text in row] for row in table]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV with six significant digits."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Read estimates back: value and interval as numbers, NaN where empty, all else as it is."""
    blank = {"value": "", "low": "", "high": ""}
    return pd.read_csv(path, keep_default_na=False, na_values=blank)

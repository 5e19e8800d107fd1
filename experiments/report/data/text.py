"""Numbers and tables as text: for a terminal, in markdown, and as CSV."""

import re
from io import StringIO
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
    """Return a decimal as it is typed: 0, 0.0125, 2.5e-4, 1e-3; one of many digits to three."""
    text = _plain(value, 5)
    return text if abs(float(text) - value) <= 1e-6 * abs(value) else _plain(value, 3)


def _plain(value: float, digits: int) -> str:
    """Return a number to so many significant digits, below 0.01 and from 1e5 with an exponent."""
    if value == 0 or 0.01 <= abs(value) < 1e5:
        return f"{float(f'{value:.{digits}g}'):.10g}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    if not exponent:
        return mantissa
    return f"{mantissa.rstrip('0').removesuffix('.')}e{int(exponent)}"


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


def booktabs(table: Table) -> str:
    """Return a table as LaTeX has it, with the rules of the package booktabs."""
    head, *rows = [" & ".join(map(_latex, row)) + r" \\" for row in table]
    columns = "l" + "r" * (len(table[0]) - 1)
    body = [r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])


def _latex(text: str) -> str:
    """Return text so that LaTeX prints it as it is, a sign of a number as a minus."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {char: f"\\{char}" for char in "&%$#_{}"}
    special |= {"±": r"$\pm$", "≥": r"$\geq$", "λ": r"$\lambda$", MINUS: "$-$"}
    text = "".join(special.get(char, char) for char in text)
    return re.sub(r"(?<![\w.])-(?=[\d.])", "$-$", text)


def csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV with six significant digits."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def read_csv(path: Path | StringIO) -> pd.DataFrame:
    """Read estimates back: value and interval as numbers, NaN where empty, all else as it is."""
    blank = {"value": "", "low": "", "high": ""}
    return pd.read_csv(path, keep_default_na=False, na_values=blank)

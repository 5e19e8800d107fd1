"""The files of a report, all written at its end, so that an error leaves none of them."""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.record import files
from experiments.report.figures import style

Contents = dict[Path, str | bytes]


def pictures(stem: Path, figure: Figure) -> Contents:
    """Return a figure as png and svg, under a path without its ending."""
    return {Path(f"{stem}.{kind}"): data for kind, data in style.render(figure).items()}


def write(contents: Contents) -> str:
    """Write all files; return a line that names them."""
    for path, content in contents.items():
        files.write(path, content)
    return f"wrote {' '.join(map(str, contents))}"

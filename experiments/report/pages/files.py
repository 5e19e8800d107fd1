"""The files that a report writes, all at its end, so that an error leaves none of them."""

from pathlib import Path

from matplotlib.figure import Figure

from experiments.report.figures import style

Files = dict[Path, str | bytes]


def add_figure(files: Files, stem: Path, figure: Figure) -> None:
    """Add a figure as png and svg, under a path without its ending."""
    files |= {stem.with_name(f"{stem.name}.{k}"): data for k, data in style.render(figure).items()}


def write(files: Files) -> str:
    """Write all files; return a line that names them."""
    for path, content in files.items():
        files.write(path, content)
    return f"wrote {' '.join(map(str, files))}"

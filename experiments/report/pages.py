"""Which pictures a page of panels has, and what each of them shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.figure import Figure

from experiments.report import (
    equal_loss,
    final_error,
    learning_curves,
    picture,
    readme,
    style,
    tuning_curves,
)
from experiments.report.measure import Measured, measure_one

TWIN = "The same {} runs in the paper's coordinate and in torch's"
CURVES = "{}: training loss (mean over the batches of an interval) and test error, mean over seeds"
FINAL = "{}: final test error against weight decay, at each panel's best learning rate"
SCATTER = "{}: final test error against training loss, a point a cell"
#: File name -> the figure, and its caption for the README or ''.
Pictures = dict[str, tuple[Figure, str]]


@dataclass(frozen=True)
class Page:
    """The panels of one figure.

    Attributes:
        name: The figure; '' when the experiment is one.
        panels: With their statistics.
        points: Typed learning curves of their runs; there may be none.
        note: What captions within heatmaps say beyond the metric.
    """

    name: str
    panels: Sequence[Measured]
    points: pd.DataFrame
    note: str = ""

    def pictures(self) -> Pictures:
        """Draw what the settings ask for; what nothing is known of is left out."""
        kinds = {
            "heatmap": self._heatmaps,
            "curves": self._curves,
            "final": self._final,
            "scatter": self._scatter,
        }
        drawn: Pictures = {}
        for kind in self.panels[0].settings.figures:
            drawn |= kinds[kind]()
        return drawn

    def _file(self, kind: str) -> str:
        of, _ = self.panels[0].settings.suffixes
        return (f"{self.name}_" if self.name else "") + kind + of

    def _heatmaps(self) -> Pictures:
        of, suffix = self.panels[0].settings.suffixes
        heatmaps = picture.heatmaps(picture.arrange(self.panels), self.note)
        drawn = {(self.name or "heatmap") + suffix: (heatmaps, readme.page_caption(self.panels))}
        if both := twin(self.panels):
            text = TWIN.format(style.label("adamw"))
            drawn[self._file("twin")] = (picture.heatmaps([both], self.note), text)
        return drawn | {self._file("tuning"): (tuning_curves.tuning_curves(self.panels), "")}

    def _curves(self) -> Pictures:
        ids = pd.concat([one.panel.runs["id"] for one in self.panels])
        if not self.points["id"].isin(ids).any():
            return {}
        figure = learning_curves.learning_curves(self.panels, self.points)
        return {self._file("curves"): (figure, CURVES.format(self._who()))}

    def _final(self) -> Pictures:
        figure = final_error.final_errors(self.panels)
        return {self._file("final"): (figure, FINAL.format(self._who()))}

    def _scatter(self) -> Pictures:
        if not any(len(equal_loss.usable(one.panel.runs)) for one in self.panels):
            return {}
        return {
            self._file("scatter"): (final_error.scatter(self.panels), SCATTER.format(self._who()))
        }

    def _who(self) -> str:
        return ", ".join(dict.fromkeys(style.label(one.panel.optim) for one in self.panels))


def twin(page: Sequence[Measured]) -> list[Measured]:
    """Measure a page's one AdamW panel in the paper's coordinate and in torch's; else nothing."""
    own = [one for one in page if one.panel.optim == "adamw"]
    if len(own) != 1:
        return []
    views = {"lambda": "the paper's axes", "torch_wd": "torch's axes"}
    label, (one,) = style.label("adamw"), own
    return [
        measure_one(
            replace(one.panel, name=f"{label}, {view}"),
            one.noise,
            replace(one.settings, axis=axis),
            only=[one.settings.slope],
        )
        for axis, view in views.items()
    ]

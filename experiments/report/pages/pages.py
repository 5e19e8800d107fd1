"""Which pictures a page of panels has, and what each of them shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd
from matplotlib.figure import Figure

from experiments.report.data import names
from experiments.report.figures import (
    ablation,
    accuracy,
    final_error,
    grokking,
    learning_curves,
    losses,
    picture,
    sensitivity,
    tuning_curves,
)
from experiments.report.figures.grokking import Timed
from experiments.report.figures.section import Section
from experiments.report.pages import readme
from experiments.report.statistics import equal_loss
from experiments.report.statistics.measure import Measured, Settings, measure_one

TWIN = "The same {} runs in the paper's coordinate and in torch's"
CURVES = "{}: training loss (mean over the batches of an interval) and test error, {}"
FINAL = "{}: final test error against weight decay, at each panel's best learning rate"
SCATTER = "{}: final test error against training loss, a point a cell"
LOSSES = (
    "{}: loss on the test set (above) and on the training set (below) over weight decay, a line a "
    "learning rate, darker with more, mean over seeds; stars: the lowest"
)
ACCURACY = (
    "{}: accuracy on the test set (solid) and on the training set (dotted) over steps at the "
    "middle learning rate, a line a weight decay, mean over seeds"
)
ABLATION = "What changes when some parameters are spared from decay, with 95 % intervals"
SENSITIVITY = (
    "{}: {} over learning rate at one weight decay, mean over seeds with their standard deviation; "
    "vertical lines: the best learning rates"
)
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
            "losses": self._losses,
            "steps": self._steps,
            "accuracy": self._accuracy,
            "ablation": self._ablation,
            "sensitivity": self._sensitivity,
        }
        drawn: Pictures = {}
        for kind in self._settings.figures:
            drawn |= kinds[kind]()
        return drawn

    def sections(self) -> list[Section]:
        """Return what the README says besides, as far as the settings ask for it."""
        kinds = {
            "losses": lambda: losses.section(self.panels) if losses.known(self.panels) else None,
            "steps": lambda: grokking.section(self._timed) if self._timed else None,
            "ablation": lambda: ablation.section(self._differences) if self._differences else None,
            "sensitivity": lambda: sensitivity.section(self.panels),
        }
        asked = (kinds[kind]() for kind in self._settings.figures if kind in kinds)
        return [section for section in asked if section]

    @cached_property
    def _timed(self) -> list[Timed]:
        """The panels in steps until they generalize; none without curves or a level."""
        if self._settings.level is None or not self._has_points:
            return []
        return [grokking.timed(one, self.points) for one in self.panels]

    @cached_property
    def _differences(self) -> list[ablation.Difference]:
        """What sparing parameters changes, as far as pairs of runs are there."""
        return list(ablation.differences(pd.concat([one.panel.runs for one in self.panels])))

    @property
    def _settings(self) -> Settings:
        return self.panels[0].settings

    @property
    def _has_points(self) -> bool:
        ids = pd.concat([one.panel.runs["id"] for one in self.panels])
        return bool(self.points["id"].isin(ids).any())

    def _file(self, kind: str) -> str:
        return (f"{self.name}_" if self.name else "") + kind + self._settings.look

    def _heatmaps(self) -> Pictures:
        heatmaps = picture.heatmaps(picture.arrange(self.panels), self.note)
        drawn = {
            (self.name or "heatmap") + self._settings.look: (
                heatmaps,
                readme.page_caption(self.panels),
            )
        }
        if both := twin(self.panels):
            text = TWIN.format(names.label("adamw"))
            drawn[self._file("twin")] = (picture.heatmaps([both], self.note), text)
        return drawn | {self._file("tuning"): (tuning_curves.tuning_curves(self.panels), "")}

    def _curves(self) -> Pictures:
        if not self._has_points:
            return {}
        figure = learning_curves.learning_curves(self.panels, self.points)
        text = CURVES.format(self._who(), picture.seeds(self.panels))
        return {self._file("curves"): (figure, text)}

    def _final(self) -> Pictures:
        figure = final_error.final_errors(self.panels)
        return {self._file("final"): (figure, FINAL.format(self._who()))}

    def _scatter(self) -> Pictures:
        if not any(len(equal_loss.usable(one.panel.runs)) for one in self.panels):
            return {}
        return {
            self._file("scatter"): (final_error.scatter(self.panels), SCATTER.format(self._who()))
        }

    def _losses(self) -> Pictures:
        if not losses.known(self.panels):
            return {}
        text = LOSSES.format(self._who())
        return {self._file("losses"): (losses.figure(self.panels), text)}

    def _steps(self) -> Pictures:
        if not self._timed:
            return {}
        heatmaps = grokking.heatmaps(self._timed, self.note)
        return {self._file("steps"): (heatmaps, f"{self._who()}. {grokking.caption(self._timed)}")}

    def _accuracy(self) -> Pictures:
        if not self._timed:
            return {}
        figure = accuracy.figure(self._timed, self.points)
        return {self._file("accuracy"): (figure, ACCURACY.format(self._who()))}

    def _ablation(self) -> Pictures:
        if not self._differences:
            return {}
        return {self._file("ablation"): (ablation.figure(self._differences), ABLATION)}

    def _sensitivity(self) -> Pictures:
        metric = self._settings.metric.replace("_", " ")
        text = SENSITIVITY.format(self._who(), metric)
        return {self._file("sensitivity"): (sensitivity.figure(self.panels), text)}

    def _who(self) -> str:
        return ", ".join(dict.fromkeys(names.label(one.panel.optim) for one in self.panels))


def twin(page: Sequence[Measured]) -> list[Measured]:
    """Measure a page's one AdamW panel in the paper's coordinate and in torch's; else nothing."""
    own = [one for one in page if one.panel.optim == "adamw"]
    if len(own) != 1:
        return []
    views = {"lambda": "the paper's axes", "torch_wd": "torch's axes"}
    label, (one,) = names.label("adamw"), own
    return [
        measure_one(
            replace(one.panel, name=f"{label}, {view}"),
            one.noise,
            replace(one.settings, axis=axis),
            only=[one.settings.slope],
        )
        for axis, view in views.items()
    ]

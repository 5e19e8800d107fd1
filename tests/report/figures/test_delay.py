import numpy as np
import pytest

from experiments.report.figures import delay
from experiments.report.figures.kinds import Page
from tests.report.sweep_data import delayed, delays_of, measured, typed

ADAM = {"optim": "adam", "exponents": (-0.5, -0.6), "convention": "l2"}


@pytest.fixture(scope="module")
def found():
    """AdamW beside Adam + L2, two seeds; one run whose fit decay slows."""
    runs, points = delayed(seeds=(0, 1))
    slow = next(row for row in runs if row["wd"] == 1.6e-2)
    for point in points[slow["id"]]:
        point["train_error"] = 0.0 if point["step"] >= 495 else 90.0
    return delays_of((runs, points), delayed(seeds=(0, 1), **ADAM))


def marks(ax, gid):
    """All (x, y) of the marks of one gid."""
    lines = [line.get_xydata() for line in ax.lines if line.get_gid() == gid]
    return np.concatenate(lines) if lines else np.empty((0, 2))


def test_every_run_is_a_mark_and_those_that_never_generalize_are_open_triangles(found):
    drawn = delay.figure(found)
    assert [ax.get_title().split(":")[0] for ax in drawn.axes] == ["Adam + L2", "AdamW"]
    for one, ax in zip(found, drawn.axes, strict=True):
        assert len(marks(ax, "delay, censored")) == one.never > 0
        assert len(marks(ax, "delay")) == len(one.used) - one.never
        assert len(marks(ax, "slowed")) == one.runs["slowed"].sum()
        triangles = [x for x in ax.lines if x.get_gid() == "delay, censored"]
        assert {(x.get_marker(), x.get_markerfacecolor()) for x in triangles} == {("^", "none")}
        assert set(marks(ax, "delay, censored")[:, 1]) == {2490 - 105}
    assert found[1].runs["slowed"].sum() == 1


def test_lines_have_the_slope_of_the_law_and_the_dashed_one_that_of_the_prediction(found):
    for one, ax in zip(found, delay.figure(found).axes, strict=True):
        lines = {gid: [x for x in ax.lines if x.get_gid() == gid] for gid in ("law", "predicted")}
        assert len(lines["law"]) == 3
        for line, slope in ((lines["law"][0], one.line[0]), (lines["predicted"][0], -1)):
            (x, y), (to_x, to_y) = line.get_xydata()
            assert np.log(to_y / y) / np.log(to_x / x) == pytest.approx(slope)
        low, high = (line.get_ydata()[0] for line in (lines["law"][0], lines["law"][2]))
        assert np.log(high / low) / np.log(16) == pytest.approx(one.line[1])


def test_the_section_judges_adamw_and_counts_what_is_censored_and_left_out(found):
    section = delay.section(found, 5.0)
    laws, judged, beside = section.tables
    by_name = {row[0]: row for row in laws[1:]}
    assert by_name["AdamW"][1:5] == ["47", "2", str(found[1].never), "1"]
    assert [row[0] for row in judged[1:]] == ["AdamW", "AdamW"]
    assert "(2), " in judged[1][-1]
    assert len(beside) == 1 + 2 * 3
    table = section.data["delay"]
    assert (table["choice"] == "the law").sum() == 4
    assert table["verdict"].notna().sum() == table["power_2_seeds"].notna().sum() == 2
    assert section.verdicts[0].startswith("AdamW: the delay is inverse to λ: ")
    assert section.verdicts[-1].startswith("Adam + L2, AdamW: the fall with λ is steeper")


def test_without_a_level_curves_or_decay_nothing_is_drawn():
    runs, points = delayed(seeds=(0,))
    assert delay.part(Page("", measured(runs, level=5.0), typed(points)))
    assert delay.part(Page("", measured(runs), typed(points))) is None
    assert delay.part(Page("", measured(runs, level=5.0), typed(points).iloc[:0])) is None
    plain = [row for row in runs if not row["wd"]]
    assert delay.part(Page("", measured(plain, level=5.0), typed(points))) is None

from collections import Counter

import pytest

from experiments import watch
from experiments.errors import UserError


@pytest.fixture
def sweep(monkeypatch):
    """Watch a sweep that is in one state after the other; return what was drawn, and when."""
    monkeypatch.setattr(watch, "PAUSE", 0)

    def watched(*states):
        left, drawn = list(states), []

        def look():
            return Counter(left.pop(0) if len(left) > 1 else left[0])

        def draw(goes_on):
            drawn.append(goes_on)
            return f"report {len(drawn)}"

        return watch.watch(draw, look), drawn

    return watched


def test_it_draws_on_new_results_until_the_sweep_ends(sweep, capsys):
    said, drawn = sweep(
        {"running": 1, "missing": 2},
        {"finished": 1, "running": 1, "missing": 1},
        {"finished": 1, "running": 1, "missing": 1},
        {"finished": 1, "diverged": 1, "running": 1},
        {"finished": 1, "diverged": 1, "failed": 1},
    )
    assert drawn == [True, True, False]
    assert said == "report 3"
    assert "1 of 3 cells drawn" in capsys.readouterr().err


def test_a_sweep_that_was_stopped_is_not_watched_for_ever(sweep):
    said, drawn = sweep({"finished": 2, "missing": 5})
    assert drawn == [True, False]
    assert said == "report 2"


def test_a_sweep_that_nobody_started_is_refused(sweep):
    def look():
        raise UserError("nothing of experiment=toy was started in runs/toy")

    with pytest.raises(UserError, match="nothing of experiment=toy was started"):
        watch.watch(lambda goes_on: "", look)

"""What is shown of a sweep's progress, by a clock that is told the time."""

import multiprocessing

import pytest

from experiments.progress import LoggedBar, SweepProgress, duration
from experiments.sweep.cell import Cell, short_names
from experiments.sweep.pool import progress_of, run_cells
from tests.tiny_runs import build_config


def test_a_run_in_a_log_says_after_ten_seconds_and_every_minute_how_far_it_is(caplog):
    caplog.set_level("INFO")
    now = [0.0]
    with LoggedBar(1000, "step", clock=lambda: now[0]) as bar:
        bar.update(500)  # resumed there
        for second in range(1, 80):
            now[0] = second
            bar.update(1)
            bar.set_postfix_str("test_error=5", refresh=False)
    assert caplog.messages == [
        "510 of 1000 steps, 8 min 10 s left; test_error=5",
        "570 of 1000 steps, 7 min 10 s left; test_error=5",
    ]
    caplog.clear()
    with LoggedBar(9, "step", disable=True, clock=lambda: now[0]) as bar:
        now[0] = 1000.0
        bar.update(1)
    assert bar.n == 1
    assert not caplog.messages


@pytest.fixture
def shown():
    """A sweep of three cells, the lines that it shows, and its clock."""
    lines, now, steps = [], [0.0], [0, 0, 0]
    names = ["lr=1", "lr=2", "lr=3"]
    progress = SweepProgress(names, [1000, 2000, 1000], steps, lambda: now[0], lines.append)

    def at(seconds, running, *done):
        now[0], steps[:] = seconds, done
        progress.look(running)
        return lines[-1] if lines else None

    return at, progress


def test_the_steps_of_all_cells_are_counted_with_what_runs_and_the_time_left(shown):
    at, _ = shown
    assert at(0, [0, 1], 0, 0, 0) is None
    assert at(5, [0, 1], 0, 0, 0) is None
    # 300 steps in the 5 seconds since the first step; 3,700 are left
    said = "0 of 3 cells, 7 % of 4,000 steps, 1 min 2 s left; running: lr=1 (10 %), lr=2 (10 %)"
    assert at(10, [0, 1], 100, 200, 0) == said


def test_a_line_is_shown_after_ten_seconds_and_then_every_minute(shown):
    at, progress = shown
    lines = [at(seconds, [1], 0, seconds, 0) for seconds in range(0, 200)]
    changes = [i for i in range(1, 200) if lines[i] != lines[i - 1]]
    assert changes == [10, 70, 130, 190]


def test_the_time_left_follows_the_pace_of_the_last_two_minutes(shown):
    at, _ = shown
    at(0, [0], 0, 0, 0)
    at(1, [0], 1000, 0, 0)  # a cell that went on from its checkpoint
    for seconds in range(2, 200):
        line = at(seconds, [1], 1000, 2 * seconds, 0)
    assert line.startswith("0 of 3 cells, 34 % of 4,000 steps, 21 min ")  # 2,620 at 2 a second


def test_a_cell_that_ends_early_has_no_steps_left(shown):
    at, progress = shown
    at(0, [0], 0, 0, 0)
    progress.end(0)  # diverged at step 10
    assert at(10, [1], 10, 500, 0).startswith("1 of 3 cells, 37 % of 4,000 steps")


def test_many_running_cells_are_not_all_named():
    lines = []
    names = [f"seed={i}" for i in range(9)]
    progress = SweepProgress(names, [10] * 9, [5] * 9, lambda: 1e3 * len(lines), lines.append)
    progress._due = 0
    progress.look(range(9))
    assert lines[0].endswith("seed=3 (50 %) and 5 more")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90061, "25 h 1 min")],
)
def test_a_duration_is_said_in_two_units(seconds, said):
    assert duration(seconds) == said


def test_cells_are_told_apart_by_the_words_that_not_all_have():
    words = [("a=1", "lr=1"), ("a=1", "lr=2")]
    cells = [Cell({}, None, str(i), own) for i, own in enumerate(words)]
    assert short_names(cells) == ["lr=1", "lr=2"]
    assert short_names(cells[:1]) == ["0"]


def test_cells_in_other_processes_leave_their_steps_where_the_sweep_looks(tmp_path):
    seen = []

    class Watched(SweepProgress):
        def look(self, running):
            seen.append((sorted(running), list(self.steps)))

    cells = [Cell(build_config(f"epochs={4 + i}").plain(), tmp_path, str(i)) for i in (0, 1)]
    totals = progress_of(cells)._totals
    assert totals == [4 * 3, 5 * 3]  # 24 pairs to train on, in batches of 8
    progress = Watched(["a", "b"], totals, multiprocessing.RawArray("q", 2))
    outcomes = list(run_cells(cells, ["cpu"], 1, progress))
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert list(progress.steps) == totals
    assert progress._ended == [True, True]
    assert ([0, 1], [0, 0]) not in seen  # one at a time
    assert {tuple(running) for running, _ in seen} >= {(0,), (1,)}

import numpy as np
import pandas as pd
import pytest

from experiments.report.statistics import speed

EPOCHS = np.arange(1, 101)


def points(error, seeds=(0, 1, 2), epochs=EPOCHS):
    """Curves of several seeds; ``error`` maps (epoch, seed) to percent."""
    rows = [(seed, epoch, error(epoch, seed)) for seed in seeds for epoch in epochs]
    return pd.DataFrame(rows, columns=["seed", "epoch", "test_error"])


def test_twice_as_fast_is_half_the_epochs():
    slow = points(lambda t, seed: 100 - t)
    fast = points(lambda t, seed: max(100 - 2 * t, 20))
    # Both reach 20 % at best (slow ends at 0), so the level is 20.4: epochs 80 and 40.
    found = speed.compare(slow, fast)
    assert found.value == pytest.approx(40 / 80)
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))
    assert "to 20.4 %: 40 against 80 epochs" in found.note
    assert found.n == 3


def test_the_first_time_counts_even_if_a_restart_undoes_it():
    plain = points(lambda t, seed: 100 - 0.5 * t)
    restarted = points(lambda t, seed: 50.0 if t == 30 else 90.0)
    assert speed.compare(plain, restarted).note.startswith("to 51 %: 30 against 98 epochs")


def test_seeds_that_differ_make_an_interval_and_one_seed_makes_none():
    slow = points(lambda t, seed: 100 - t + 8 * seed)
    fast = points(lambda t, seed: max(100 - 2 * t, 20) + 8 * (seed == 1))
    found = speed.compare(slow, fast)
    assert found.low < found.value < found.high
    lone = speed.compare(points(lambda t, s: 200 - t, [0]), points(lambda t, s: 199 - t, [0]))
    assert np.isnan(lone.low)
    assert lone.note.startswith("one seed")


def test_seeds_are_paired():
    # What a seed adds to both curves cancels in the time to a common level.
    slow = points(lambda t, seed: 100 - t + 5 * seed)
    found = speed.compare(slow, slow)
    assert (found.value, found.low, found.high) == (1, 1, 1)


def test_only_evaluations_that_all_seeds_have_are_used():
    some = points(lambda t, seed: 200 - t)
    holes = some[(some.seed > 0) | (some.epoch % 10 == 0)]
    assert "100 against 98 epochs" in speed.compare(some, holes).note
    nothing = some.assign(epoch=some.epoch + 0.1 * some.seed)
    assert speed.compare(some, nothing).reason == "no evaluations that all seeds share"
    assert speed.compare(some.iloc[:0], some).reason == "no evaluations that all seeds share"


def test_a_slow_run_that_ends_worse_has_not_been_overtaken():
    fast = points(lambda t, seed: max(100 - 2 * t, 20))
    overfitted = points(lambda t, seed: 20 if t == 60 else 25 if t > 60 else 90)
    found = speed.compare(overfitted, fast)
    assert found.reason.startswith("the slower one ends at 25 %, above the 20 % that the other")

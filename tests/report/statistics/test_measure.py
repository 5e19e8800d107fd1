from dataclasses import replace

import numpy as np
import pytest

from experiments.report.statistics import compare
from experiments.report.statistics.measure import contrast
from experiments.report.statistics.noise import Noise
from tests.report.report_data import LRS, run
from tests.report.sweep_data import measured


def pair(noise, worse=1.0):
    """Two panels, the best cell of the first ``worse`` points above that of the second."""
    rows = [
        run(optim=optim, lr=float(lr), test_error=5.0 + extra + abs(np.log2(lr) + 4))
        for optim, extra in (("adam", worse), ("adamw", 0.0))
        for lr in LRS
    ]
    own, twin = measured(rows)
    return replace(own, noise=noise[0]), replace(twin, noise=noise[1])


def test_a_contrast_has_the_noise_of_all_its_panels():
    sd = Noise(0.01, "a guess")
    found = contrast(pair((sd, sd)), compare.best_error, compare.difference)
    assert found.value == pytest.approx(-1)
    assert found.low < -1 < found.high
    assert found.high - found.low == pytest.approx(4 * 0.01 * 2**0.5, rel=0.2)
    assert found.n == 2 * len(LRS)


def test_a_contrast_is_as_unsure_as_its_unsurest_panel():
    found = contrast(pair((Noise(0.1, "a guess"), None)), compare.best_error, compare.difference)
    assert found.value == pytest.approx(-1)
    assert np.isnan(found.low)
    assert found.note == "no interval without replicates"


def test_a_panel_without_the_statistic_identifies_nothing_and_is_named():
    own, twin = pair((None, None))
    lost = replace(twin, panel=replace(twin.panel, cells=twin.panel.cells.assign(diverged=1)))
    found = contrast([own, lost], compare.best_error, compare.difference)
    assert found.reason == "AdamW: no cell with a value"

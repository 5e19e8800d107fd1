import numpy as np
import pytest

from experiments.report.statistics import sparing
from tests.report.report_data import frame
from tests.report.sweep_data import SPARING
from tests.report.sweep_data import sparing as rows


def found(*sweeps, metric="test_loss", cell=None):
    return {
        (one.task, one.spared): one.estimate
        for one in differences(*sweeps)
        if one.metric == metric and one.cell == cell
    }


def differences(*sweeps):
    return list(sparing.differences(frame([row for rows in sweeps for row in rows])))


def test_a_difference_is_paired_by_seed_so_that_what_seeds_share_does_not_widen_it():
    estimates = found(rows())
    better, same = (estimates["shakespeare", name] for name in list(SPARING)[1:])
    assert better.value == pytest.approx(-0.1, abs=0.01)
    assert better.high - better.low < 0.05  # the seeds themselves differ by 1
    assert better.high < 0
    assert same.low < 0 < same.high
    assert better.n == 2 * 2 * 4
    assert found(rows(effect={"norm_and_bias": 0.0, "embeddings_too": 0.0})) == {}


def test_a_cell_has_a_difference_of_its_own():
    (one,) = found(rows(effect={"none": 0.0, "norm_and_bias": -0.1}),
                   cell=("adamw", 0.001, 0.04)).values()  # fmt: skip
    assert one.value == pytest.approx(-0.1, abs=0.02)
    assert one.n == 4


def test_one_seed_has_no_interval_and_a_lost_partner_takes_its_pair_along():
    (lone, *_) = found(rows(seeds=range(1))).values()
    assert np.isnan(lone.low)
    sweep = rows()
    sweep[0] |= {"status": "diverged", "test_loss": None, "test_error": None}  # all decay
    (one, *_) = found(sweep, cell=("adamw", 0.001, 0.01)).values()
    assert one.n == 3

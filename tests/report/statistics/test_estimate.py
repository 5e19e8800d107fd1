import math

import pytest

from experiments.report.statistics.estimate import over_seeds


def test_an_interval_over_seeds_is_students():
    found = over_seeds([1.0, 2.0, 3.0])
    assert (found.value, found.n) == (2, 3)
    assert found.high - found.value == pytest.approx(4.303 / math.sqrt(3))
    assert over_seeds([1.0, 2.0, 3.0], n=12).n == 12
    assert over_seeds([1.0, math.inf]).reason
    assert over_seeds([]).reason

from math import nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optim import normalized_weight_decay

CIFAR = {"batch_size": 128, "train_size": 50_000}


@pytest.mark.parametrize(
    ("wd", "epochs", "expected"),
    # sqrt(128 / (50000 * 100)) = 5.06e-3 and sqrt(128 / (50000 * 1800)) = 1.19e-3
    [(1.0, 100, 5.06e-3), (1.0, 1800, 1.19e-3), (0.05, 100, 2.53e-4), (0.0, 100, 0.0)],
)
def test_the_papers_numbers(wd, epochs, expected):
    assert normalized_weight_decay(wd, **CIFAR, epochs=epochs) == pytest.approx(expected, rel=3e-3)


@given(wd=st.floats(0, 1), epochs=st.floats(0.1, 1e4))
def test_is_the_decay_over_the_root_of_the_number_of_steps(wd, epochs):
    steps = epochs * 50_000 / 128
    expected = pytest.approx(wd / sqrt(steps))
    assert normalized_weight_decay(wd, **CIFAR, epochs=epochs) == expected


def test_one_step_takes_the_decay_as_it_is():
    assert normalized_weight_decay(0.05, batch_size=64, train_size=64, epochs=1) == 0.05


@pytest.mark.parametrize(
    "bad",
    [
        {"wd": -0.1}, {"wd": nan}, {"epochs": 0}, {"epochs": nan}, {"batch_size": 0},
        {"batch_size": 50_001}, {"train_size": 0},
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(bad):
    arguments = {"wd": 0.05, **CIFAR, "epochs": 100} | bad
    with pytest.raises(ValueError, match=f"^{next(iter(bad))} must be"):
        normalized_weight_decay(arguments.pop("wd"), **arguments)

import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.report.data import coordinates
from tests.report.report_data import frame, run

ADAMW = {"lr": 0.002, "wd": 0.01, "eta_sum": 500.5, "steps": 1000, "epochs": 10.0}


def coordinate(axis, **values):
    return coordinates.convert(frame([run(**ADAMW | values)]), axis).item()


def test_one_decoupled_row_in_each_coordinate():
    assert coordinate("typed") == 0.01
    assert coordinate("lambda") == 0.01
    assert coordinate("torch_wd") == pytest.approx(0.01 / 0.002)
    assert coordinate("step_shrink") == 0.01
    assert coordinate("shrink") == pytest.approx(0.01 * 500.5)
    # Averaging over 1 / .01 = 100 steps, of which an epoch has 100.
    assert coordinate("timescale") == pytest.approx(1.0)


def test_lr_coupled_row_shrinks_by_lr_times_wd():
    coupled = {"convention": "lr_coupled", "optim": "torch_adamw", "wd": 5.0}
    assert coordinate("lambda", **coupled) == pytest.approx(0.01)
    assert coordinate("torch_wd", **coupled) == pytest.approx(5.0)
    assert coordinate("step_shrink", **coupled) == pytest.approx(0.01)
    assert coordinate("timescale", **coupled) == pytest.approx(1.0)


def test_normalized_wd_is_typed_as_given_and_acts_as_lambda():
    assert coordinate("typed", wd=0.05, weight_decay=0.001) == 0.05
    assert coordinate("lambda", wd=0.05, weight_decay=0.001) == 0.001


def test_l2_coefficient_is_the_same_number_for_torch():
    l2 = {"convention": "l2", "optim": "adam"}
    assert coordinate("lambda", **l2) == coordinate("torch_wd", **l2) == 0.01
    assert coordinate("step_shrink", **l2) == pytest.approx(0.002 * 0.01)
    for axis in coordinates.AXES:
        assert "L2" in coordinates.label(axis, "l2")


def test_no_decay_averages_for_ever():
    assert coordinate("timescale", wd=0.0) == float("inf")
    assert coordinate("shrink", wd=0.0) == 0


def test_labels_name_the_convention():
    assert "paper" in coordinates.label("typed", "decoupled")
    assert "torch" in coordinates.label("typed", "lr_coupled")
    assert "norm" in coordinates.label("typed", "decoupled", "normalized")


def test_unknown_axis_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="axis=tau is not one of typed, lambda, torch_wd"):
        coordinates.convert(pd.DataFrame(), "tau")

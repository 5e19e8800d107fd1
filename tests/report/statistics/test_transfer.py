"""A decay is carried over by the rules and by what rows give."""

import math

import pytest

from experiments.errors import UserError
from experiments.report.statistics import transfer as calculator
from experiments.report.statistics.estimate import Estimate
from experiments.report.statistics.judge import Ruling
from experiments.report.statistics.laws import LAWS

TORCH = {"lr": 1e-3, "wd": 0.1, "convention": "lr_coupled"}
DATA = next(law for law in LAWS if law.name == "data")


def moved(known, new, exponents=None):
    rate, found, remarks = calculator.transfer(known, new, exponents or {})
    return rate, {one.by: one.decay.value for one in found}, remarks


def test_each_rule_has_its_factor():
    known = TORCH | {"train_size": 1000, "epochs": 10, "batch_size": 64}
    new = {"train_size": 4000, "epochs": 20, "batch_size": 128}
    rate, found, _ = moved(known, new)
    assert rate == 1e-3
    # lambda = lr wd = 1e-4; times 2 / 4, and times sqrt(2 / (4 * 2))
    assert found["averaging time in epochs stays"] == pytest.approx(0.5e-4)
    assert found["normalized decay stays"] == pytest.approx(0.5e-4)
    _, found, _ = moved(TORCH | {"epochs": 10}, {"epochs": 40})
    assert found["averaging time in epochs stays"] == pytest.approx(1e-4)
    assert found["normalized decay stays"] == pytest.approx(0.5e-4)


def test_the_width_goes_with_the_learning_rate():
    rate, found, remarks = moved(TORCH | {"width": 64}, {"width": 256})
    assert rate == pytest.approx(2.5e-4)
    assert found == pytest.approx(
        {"λ stays": 1e-4, "torch's w ~ √width": 0.5e-4, "torch's w stays": 0.25e-4}
    )
    assert any("lr ~ 1 / width" in remark for remark in remarks)
    rate, found, _ = moved(TORCH | {"width": 64, "epochs": 1}, {"width": 256, "epochs": 4, "lr": 1})
    assert rate == 1
    assert found["normalized decay stays and λ stays"] == pytest.approx(0.5e-4)
    assert len(found) == 6


def test_the_same_decay_in_the_papers_convention_gives_the_same_answer():
    paper = TORCH | {"wd": 1e-4, "convention": "decoupled", "epochs": 10}
    assert moved(paper, {"epochs": 40}) == moved(TORCH | {"epochs": 10}, {"epochs": 40})


def test_a_new_learning_rate_alone_leaves_lambda():
    assert moved(TORCH, {"lr": 2e-3})[:2] == (2e-3, {"λ stays as lr moves": pytest.approx(1e-4)})


def test_rows_give_a_number_with_its_interval():
    rows = {"train_size": {"some rows": Estimate(-1.0, -1.5, -0.75, note="measured from 1 to 9")}}
    _, found, remarks = calculator.transfer(TORCH | {"train_size": 1}, {"train_size": 4}, rows)
    (own,) = [one.decay for one in found if one.by == "some rows"]
    assert (own.value, own.low, own.high) == pytest.approx((2.5e-5, 1.25e-5, 1e-4 * 4**-0.75))
    told = "some rows: λ* ~ data^q, q = -1.00 [-1.50, -0.75]; measured from 1 to 9"
    assert told in remarks
    both = rows | {"epochs": {"others": Estimate(0.0, -0.5, 0.25)}}
    known, new = TORCH | {"train_size": 1, "epochs": 1}, {"train_size": 4, "epochs": 4}
    _, found, _ = calculator.transfer(known, new, both)
    assert found[-1].by == "some rows and others"
    own = found[-1].decay
    assert math.log(own.high / own.value, 4) == pytest.approx(math.hypot(0.25, 0.25))
    assert math.log(own.value / own.low, 4) == pytest.approx(math.hypot(0.5, 0.5))


def test_rows_that_disagree_are_all_shown():
    rows = {"epochs": {"ours": Estimate(0.0, -0.1, 0.1), "theirs": Estimate(-1.0, -1.1, -0.9)}}
    _, found, _ = moved(TORCH | {"epochs": 1}, {"epochs": 2}, rows)
    assert (found["ours"], found["theirs"]) == pytest.approx((1e-4, 0.5e-4))


def test_what_has_no_rows_is_said_with_the_command_that_makes_them():
    _, found, remarks = moved(TORCH | {"batch_size": 8}, {"batch_size": 16})
    assert set(found) == {"averaging time in epochs stays", "normalized decay stays"}
    assert "no rows on batch yet: python train.py -m experiment=law_batch" in remarks


def test_exponents_are_those_of_all_rows_but_of_unidentified_ones():
    def ruling(value, task, reason=""):
        return Ruling(DATA.claims[0], Estimate(value, value - 1, value + 1, reason=reason), task)

    known = calculator.measured(
        {"data": [ruling(math.nan, "a", "no cell"), ruling(-1.0, "b"), ruling(-0.5, "c: more")]}
    )
    assert {rows: one.value for rows, one in known["train_size"].items()} == {"b": -1.0, "c": -0.5}


def test_a_decay_that_looks_like_torchs_is_asked_about():
    known = {"lr": 1e-3, "wd": 0.25, "convention": "decoupled", "epochs": 1}
    assert any("say known.convention=lr_coupled" in one for one in moved(known, {"epochs": 2})[2])


def test_a_learning_rate_that_the_rules_on_the_width_do_not_suppose_is_said():
    _, _, remarks = moved(TORCH | {"width": 64}, {"width": 128, "lr": 1e-3})
    assert remarks[0].endswith("suppose lr ~ 1 / width, here 0.0005: they say nothing of 0.001")


@pytest.mark.parametrize(
    ("known", "new", "message"),
    [
        ({"lr": None}, {"epochs": 2}, "known.lr is missing; it must be a positive number"),
        ({"wd": -1}, {"epochs": 2}, "known.wd must be a positive number, got -1"),
        ({"convention": "l2"}, {"epochs": 2}, "known.convention must be decoupled .* got l2"),
        ({"convention": None}, {"epochs": 2}, "known.convention is missing; it must be decoupled"),
        ({"epochs": None}, {"epochs": 2}, "new.epochs=2 needs known.epochs, at which known.wd"),
        ({"epochs": "ten"}, {"epochs": 2}, "known.epochs must be a positive number, got ten"),
        ({}, {"epochs": 0}, "new.epochs must be a positive number, got 0"),
        ({}, {}, "nothing changes; give one of new.lr, new.train_size"),
        ({"wd": 5000}, {"epochs": 2}, "known.wd=5000 removes 5 of a weight a step"),
    ],
)
def test_what_is_missing_or_cannot_be_is_said_in_one_line(known, new, message):
    with pytest.raises(UserError, match=message):
        calculator.transfer(TORCH | {"epochs": 1} | known, new, {})

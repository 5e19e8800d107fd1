"""The linter, on numbers worked out by hand: 39,100 steps under a cosine sum to 19,550."""

import pytest

from experiments.run import build
from experiments.run.decay_lint import cut_restart, lint
from optim import schedule
from tests.tiny_runs import build_config, run_config

ETAS = 19_550.0  # the paper's 100 epochs of 391 steps
NORMALIZER = (128 / (50_000 * 100)) ** 0.5  # 5.06e-3


def warning(*words):
    return lint(run_config("task=modular", *words), ETAS, NORMALIZER)


@pytest.mark.parametrize(
    "words",
    [
        ("optim=adamw", "wd=2.5e-4", "lr=1e-3"),  # the paper's best: S = 4.9
        ("optim=torch_adamw", "wd=0.25", "lr=1e-3"),  # the same in torch
        ("optim=adamw", "wd=0.05", "decay=normalized"),  # the same, normalized: 2.5e-4
        ("optim=sgd", "lr=0.05", "wd=5e-4"),  # S = 19,550 * .05 * 5e-4 / .1 = 4.9
        ("optim=adam", "lr=1e-3", "wd=1e-4"),
        ("optim=adam", "lr=1e-3", "wd=0.1"),
        ("optim=adamw", "wd=0"),
        ("optim=adam", "lr=1e-3", "wd=0.1", "optim.eps=0"),
        ("optim=adam", "wd=0", "optim.eps=0"),
    ],
)
def test_sensible_values_pass(words):
    assert warning(*words) is None


def test_torchs_value_given_to_the_papers_adamw_is_recognized():
    # wd=0.25 read as lambda: S = 4,888; as torch's at lr 1e-3: lambda = 2.5e-4
    text = warning("optim=adamw", "wd=0.25", "lr=1e-3")
    assert "exp(-4.89e+03) of a weight is left" in text
    assert "torch's weight_decay: wd=0.00025" in text


def test_a_normalized_value_passed_as_raw_is_recognized():
    # 0.05 normalized is 2.5e-4; read as torch's at lr 1e-6 it would be 5e-8, which does nothing
    text = warning("optim=adamw", "wd=0.05", "lr=1e-6")
    assert "did you mean normalized wd: decay=normalized?" in text


def test_the_papers_value_given_to_torchs_adamw_is_recognized():
    # lambda 2.5e-4 as torch's wd at lr 2e-3: S = 19,550 * 2e-3 * 2.5e-4 = 0.0098
    text = warning("optim=torch_adamw", "wd=2.5e-4", "lr=2e-3")
    assert "0.97 % of a weight goes" in text
    assert "the paper's lambda: wd=0.125" in text


def test_a_raw_value_passed_as_normalized_is_recognized():
    # 2.5e-5 * 5.06e-3 * 19,550 = 0.0025; raw: 0.49
    text = warning("optim=adamw", "wd=2.5e-5", "decay=normalized")
    assert "raw lambda: decay=raw" in text


def test_an_l2_value_that_cannot_act_even_where_no_gradient_does_is_named_with_one_that_can():
    # S <= 19,550 * 1e-3 / 1e-8 * wd, so wd must reach 0.01 / 1.955e9 = 5.1e-12
    text = warning("optim=adam", "lr=1e-3", "wd=1e-13")
    assert "at most 0.02 % of a weight goes" in text
    assert "what acts lies between wd=5e-12" in text


def test_sgds_l2_is_followed_through_its_momentum():
    # 19,550 * .05 / .1 = 9,775 a unit of wd
    text = warning("optim=sgd", "lr=0.05", "wd=1e-7")
    assert "0.098 % of a weight goes" in text
    assert "wd=1e-06 and wd=0.002" in text


def test_a_warning_is_one_line():
    assert "\n" not in warning("optim=adamw", "wd=0.5")


@pytest.mark.parametrize(("epochs", "t_mult"), [(150, 2), (10, 2), (30, 2), (30, 1), (40, 3)])
def test_a_budget_of_whole_restarts_passes(epochs, t_mult):
    eta = schedule.warm_restarts(391 * epochs, 391 * 10, t_mult, warmup_steps=0)
    assert cut_restart(eta, 391) is None


def test_a_budget_that_ends_inside_a_restart_is_named_with_those_around_it():
    # restarts after 10 and 30 epochs; at 50 the third is half over: eta = 0.5
    text = cut_restart(schedule.warm_restarts(391 * 50, 391 * 10), 391)
    assert text == (
        "epochs=50 ends inside a restart, where eta is still 0.5; "
        "whole restarts end at epochs=30 or epochs=70"
    )
    assert cut_restart(schedule.warm_restarts(391 * 5, 391 * 10), 391).endswith("at epochs=10")


def test_restarts_begin_after_the_warm_up():
    eta = schedule.warm_restarts(391 * 32, 391 * 10, warmup_steps=391 * 2)
    assert cut_restart(eta, 391) is None
    assert "epochs=12 or epochs=32" in cut_restart(
        schedule.warm_restarts(391 * 30, 391 * 10, warmup_steps=391 * 2), 391
    )


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (("epochs=6", "schedule=warm_restarts", "schedule.t_0=5"), True),
        (("epochs=5", "schedule=warm_restarts", "schedule.t_0=5"), False),
        (("epochs=6", "schedule=cosine"), False),
        (("epochs=6", "schedule=cosine", "warmup_epochs=1"), False),
    ],
)
def test_only_restarts_that_are_cut_short_are_warned_of(words, warned):
    config = build_config("optim=adamw", "wd=0.01", "warmup_epochs=0", *words)
    text = build.check(config)
    assert (text is not None) == warned
    assert not warned or text.startswith("epochs=6 ends inside a restart")


def test_both_doubts_about_a_run_stand_in_one_line():
    text = build.check(build_config("optim=adamw", "wd=0.9", "epochs=60", "warmup_epochs=0",
                                    "schedule=warm_restarts", "schedule.t_0=50"))  # fmt: skip
    assert "exp(-" in text
    assert "ends inside a restart" in text
    assert "\n" not in text

"""The propositions as the laboratory runs them, against what is known in closed form."""

import math

import pandas as pd
import pytest

from experiments import propositions as p


def test_proposition_1_holds_to_rounding_and_not_with_momentum_inside():
    assert p.proposition_1(0) < 1e-12
    assert p.proposition_1(0, momentum=0.9) > 1e-2


def test_proposition_3_holds_in_the_appendixs_form_and_not_as_equation_2_prints_it():
    assert p.proposition_3(p.LAMBDA / p.ALPHA, 0) < 1e-12
    assert p.proposition_3(p.LAMBDA / p.ALPHA / p.ALPHA, 0) > 1e-2


def test_without_spread_l2_does_what_decay_does():
    best, residual = p.proposition_2(0.0, 0)
    assert best == pytest.approx(1)
    assert residual < 1e-12


def test_what_the_best_l2_coefficient_leaves_grows_with_the_spread_as_a_log_normal_has_it():
    # E[u]^2 / E[u^2] = exp(-sigma^2) for log-normal u; 200 draws come near it while sigma is small
    residuals = [p.proposition_2(spread, 0)[1] for spread in p.SPREADS]
    assert residuals == sorted(residuals)
    for spread, residual in zip(p.SPREADS[:4], residuals, strict=False):
        assert residual == pytest.approx((1 - math.exp(-(spread**2))) ** 0.5, abs=0.06)


def test_the_best_coefficient_is_a_minimum():
    s = p.preconditioner(1.0, 0)
    best, residual = p.proposition_2(1.0, 0)

    def remaining(multiple):
        return ((1 - multiple / s).square().mean() ** 0.5).item()

    assert remaining(best) == pytest.approx(residual)
    assert residual < min(remaining(0.99 * best), remaining(1.01 * best))


def test_every_proposition_is_written_with_its_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(p, "STEPS", 20)
    text = p.check_propositions(tmp_path)
    folder = tmp_path / "propositions"
    frame = pd.read_csv(folder / "propositions.csv", dtype={"proposition": str})
    assert set(frame.proposition) == {"1", "2", "3"}
    assert frame.value.notna().all()
    assert "largest deviation over 20 steps" in text
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {f"propositions.{k}" for k in ("csv", "png", "svg")} | {"README.md"}
    p.check_propositions(tmp_path)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}

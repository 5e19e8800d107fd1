"""A small version of ``python -m benchmarks.calibration``: intervals hold the truth, and decide."""

import pandas as pd
import pytest

from benchmarks import calibration
from benchmarks.calibration import Setting, calibrate
from experiments.report.statistics.judge import judge, power_of


@pytest.mark.parametrize(
    "setting", [Setting(0.0, 1.0, 8, 2), Setting(-1.0, 0.6, 8, 3), Setting(-1.5, 0.3, 3, 2)]
)
def test_intervals_hold_the_true_slope(setting):
    found = calibrate(setting, "gp", 16)
    assert found["coverage"] >= 14 / 16
    assert found["none"] == 0
    assert abs(found["bias"]) < 0.1


def test_a_slope_of_0_is_decided_where_the_lowest_cell_decides_nothing():
    setting = Setting(0.0, 1.0, 8, 2)
    found, rival = (calibrate(setting, estimator, 16) for estimator in ("gp", "argmin"))
    assert found["stays"] >= 0.7
    assert rival["stays"] <= 0.5
    assert found["predicted"] == pytest.approx(found["stays"], abs=0.3)


def test_the_printed_power_says_when_three_rows_cannot_decide():
    one = calibration.slope(Setting(0.0, 1.0, 3, 2), 0, "gp")
    assert power_of(one, -0.25, 0.25, 0.0) < 0.2
    assert judge(one, -0.25, 0.25) == "not resolved"


def test_a_setting_that_was_made_is_not_made_again(tmp_path, monkeypatch):
    few = [Setting(0.0, 1.0, 3, 3)]
    monkeypatch.setattr(calibration, "SETTINGS", few)
    monkeypatch.setattr("sys.argv", ["calibration", "--surfaces", "2", "--results", str(tmp_path)])
    calibration.main()
    first = pd.read_csv(tmp_path / "calibration.csv")
    monkeypatch.setattr(calibration, "calibrate", None)
    calibration.main()
    assert pd.read_csv(tmp_path / "calibration.csv").equals(first)
    assert "2 simulated surfaces a setting" in (tmp_path / "README.md").read_text()

from pathlib import Path

import pandas as pd
import pytest

from experiments.report.data import names

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("group", ["task", "model", "optim"])
def test_no_entry_of_configs_is_shown_under_the_name_of_its_file(group):
    entries = {path.stem for path in (CONFIGS / group).glob("*.yaml")} - {"text", "transformer"}
    shown = {"optim": names.label}.get(group, lambda entry: names.setting(group, entry))
    assert not {entry for entry in entries if shown(entry) == entry}
    assert not {entry for entry in entries if "_" in shown(entry)}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("optim.eps", 1e-8, "epsilon 1e-8"),
        ("loss_scale", 0.1, "loss scale 0.1"),
        ("model.width", 64.0, "width 64"),
        ("schedule", "warm_restarts", "warm restarts"),
        ("no_decay", "norm_and_bias", "norms and biases spared"),
        ("epochs", 1.0, "1 epoch"),
        ("epochs", 1800.0, "1800 epochs"),
        ("figure", "figureS3", "Figure S3"),
    ],
)
def test_a_setting_is_said_in_words_with_its_value_as_it_is_typed(name, value, text):
    assert names.setting(name, value) == text


def test_a_modular_task_says_its_modulus_where_the_run_has_it():
    run = pd.Series({"task.modulus": 53.0})
    assert names.setting("task", "modular_divide", run) == "a / b mod 53"
    assert names.setting("task", "modular_divide") == "a / b mod p"
    assert names.setting("task", "modular", pd.Series({"task.modulus": None})) == "a + b mod p"

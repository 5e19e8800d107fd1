"""The way in for notebooks, and the examples of the documentation, run as they are written."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

import experiments
from experiments import draw, train
from experiments.errors import UserError
from experiments.sweep.objective import objective
from tests.tiny_runs import TINY

ROOT = Path(__file__).parents[1]


def test_a_cell_is_the_one_of_the_command_line(in_tmp):
    row = train(*TINY, optim="sgd", lr=0.1, betas=(0.8, 0.9), threads=None, eval_train=True)
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *TINY, "optim=sgd", "lr=0.1", "eval_train=true"],
        capture_output=True, text=True, cwd=in_tmp,
    )  # fmt: skip
    assert "already finished" in done.stderr
    assert f"test error {row['test_error']:.2f} %" in done.stdout
    assert (row["optim"], row["lr"], row["status"]) == ("sgd", 0.1, "finished")
    assert len(list(in_tmp.rglob("result.json"))) == 1
    again = train(*TINY, optim="sgd", lr=0.1)
    assert again["id"] == row["id"]
    assert again["date"] == row["date"]


def test_words_stay_words(in_tmp):
    assert train(*TINY, name="007", lr=1e-3)["experiment"] == "007"
    with pytest.raises(UserError, match="name must be a plain folder name"):
        train(*TINY, name="a,b")


def test_a_mistake_is_an_exception(in_tmp):
    with pytest.raises(UserError, match="lr must be positive"):
        train(*TINY, lr=-1)
    with pytest.raises(Exception, match="optim/adamm"):
        train(*TINY, optim="adamm")


def test_rows_are_drawn_a_panel_for_each_optimizer(in_tmp):
    rows = [train(*TINY, optim=o, lr=lr, wd=1e-3) for o in ("adam", "adamw") for lr in (0.01, 0.1)]
    for given in (rows, pd.DataFrame(rows), [dict(row) for row in rows]):
        figure = draw(given)
        titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
        assert sorted(title.split("\n")[0] for title in titles) == ["Adam + L2", "AdamW"]
    assert "loss" in str([ax.get_ylabel() for ax in draw(rows, metric="test_loss").axes])
    with pytest.raises(UserError, match="no rows of the runs table"):
        draw([{"lr": 1}])
    with pytest.raises(UserError, match="none given"):
        draw([])


def test_importing_experiments_is_light():
    code = (
        "import sys, experiments;"
        "print({'torch', 'pandas', 'matplotlib', 'hydra', 'omegaconf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n", done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        experiments.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"status": "finished", "test_error": 3.5, "val_error": None}, 3.5),
        ({"status": "finished", "test_error": "3.5", "val_error": ""}, 3.5),
        ({"status": "finished", "test_error": 3.5, "val_error": float("nan")}, 3.5),
        ({"status": "finished", "test_error": 3.5, "val_error": 4.0}, 4.0),
        ({"status": "finished", "test_error": "3.5", "val_error": "4.0"}, 4.0),
        ({"status": "finished", "test_error": 3.5, "val_error": 0.0}, 0.0),
        ({"status": "diverged", "test_error": None, "val_error": None}, float("inf")),
    ],
)
def test_a_search_minimizes_the_validation_error_where_there_is_one(row, expected):
    assert objective(row) == expected


def example(name):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.S)
    return code


def test_the_example_for_notebooks_runs(in_tmp):
    code = example("notebook.md").replace("epochs=300", "epochs=60")
    assert "epochs=60" in code
    space = {}
    exec(code, space)
    assert len(list(in_tmp.rglob("result.json"))) == len(space["rows"]) == 18


def test_the_example_for_optuna_runs(in_tmp, monkeypatch, capsys):
    """With a study of four trials in Optuna's place, which is no dependency."""
    values = []

    class Study(SimpleNamespace):
        best_params, best_value = {"lr": 1}, 2

        def optimize(self, objective, n_trials):
            assert self.direction == "minimize"
            for i in range(min(4, n_trials)):
                trial = SimpleNamespace(
                    suggest_float=lambda key, low, high, log, i=i: low * 2**i,
                    suggest_categorical=lambda key, options, i=i: options[i % 2],
                )
                values.append(objective(trial))

    optuna = ModuleType("optuna")
    optuna.Trial = object
    journal = SimpleNamespace(JournalFileBackend=lambda file: file)
    optuna.storages = SimpleNamespace(journal=journal, JournalStorage=lambda backend: backend)
    optuna.create_study = lambda **settings: Study(**settings)
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    tiny = ", ".join(f'"{word}"' for word in (*TINY, "warmup_epochs=0"))
    code = example("optuna.md").replace("validation_size=200", "validation_size=8")
    exec(code.replace('"name=search"', f'{tiny}, "name=search"'), {})
    assert len(values) == 4
    assert all(0 <= value <= 100 for value in values)
    assert "{'lr': 1} 2" in capsys.readouterr().out
    rows = [path for path in (in_tmp / "runs" / "search").rglob("result.json")]
    assert len(rows) == 4

"""Which cells a sweep has."""

import shutil

import pytest

from experiments.errors import UserError
from experiments.sweep import grid

GRIDS = [{"optim": "adam", "wd": "1e-6,1e-4"}, {"optim": "adamw,torch_adamw", "wd": "1e-3"}]


def cells(arguments=(), params=None, grids=GRIDS):
    shared = {"seed": "range(2)"} if params is None else params
    found = grid.combinations(grid.loader(), shared, grids, list(arguments))
    return [dict(word.lstrip("+").split("=") for word in cell) for cell in found]


def test_the_cells_are_the_union_of_the_products():
    assert len(cells()) == 2 * 2 + 2 * 2
    assert {"seed": "1", "optim": "adam", "wd": "1e-06"} in [
        {**cell, "wd": f"{float(cell['wd']):g}"} for cell in cells()
    ]


def test_an_argument_replaces_a_shared_axis():
    assert {cell["seed"] for cell in cells(["seed=7"])} == {"7"}
    assert len(cells(["seed=7"])) == 4


def test_an_argument_selects_among_the_values_of_the_grids():
    assert {cell["optim"] for cell in cells(["optim=adam"])} == {"adam"}
    assert {cell["optim"] for cell in cells(["optim=adamw"])} == {"adamw"}
    assert {c["optim"] for c in cells(["optim=adam,adamw"])} == {"adam", "adamw"}


def test_a_value_that_no_grid_has_replaces_the_axis_and_no_cell_comes_twice():
    assert {cell["optim"] for cell in cells(["optim=sgd"])} == {"sgd"}
    assert len(cells(["optim=sgd", "wd=1"])) == 2


def test_values_are_compared_by_what_they_mean():
    assert {cell["optim"] for cell in cells(["optim='adam'"])} == {"adam"}
    assert len(cells(["wd=0.000001"])) == len(cells(["wd=1e-6"])) == 2
    assert len(cells(["wd=0,0.0"], params={}, grids=[])) == 1


def test_values_of_the_grids_mixed_with_others_are_refused():
    with pytest.raises(UserError, match="optim=sgd is in no grid"):
        cells(["optim=adam,sgd"])


def test_a_forced_override_is_an_axis_like_any_other_and_removing_is_refused():
    assert {cell["wd"] for cell in cells(["++wd=0.5"])} == {"0.5"}
    with pytest.raises(UserError, match="cannot remove"):
        cells(["~wd"])


def test_without_grids_the_cells_are_a_plain_product():
    assert len(cells(["lr=1e-3,1e-2", "wd=0,1,2"], params={}, grids=[])) == 6


def test_an_interval_is_refused():
    with pytest.raises(UserError, match="lr=interval.*no list"):
        cells(["lr=interval(0,1)"])


def test_the_plan_of_a_preset_has_typed_values():
    plan = grid.planned("modular")
    assert all(isinstance(cell["lr"], float) and isinstance(cell["seed"], int) for cell in plan)
    assert grid.planned("nothing_of_this_name") is None


def test_an_axis_of_some_grids_has_its_default_in_the_others(tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    shutil.copytree(grid.CONFIGS, configs)
    (configs / "experiment" / "mixed.yaml").write_text(
        "# @package _global_\nname: mixed\nhydra:\n  sweeper:\n    params:\n      seed: 0,1\n"
        "    grids:\n      - optim: adam\n        wd: 1e-3\n"
        "      - optim: sgdw\n        decay: normalized\n        schedule: warm_restarts\n"
        "        schedule.t_0: 20\n        lr: 0.2\n        wd: 0.1\n"
    )
    monkeypatch.setattr(grid, "CONFIGS", configs)
    first, *_, last = grid.planned("mixed")
    plain = {"schedule": "cosine", "schedule.t_0": None, "decay": "raw", "lr": 1e-3, "wd": 1e-3}
    assert first == plain | {"optim": "adam", "seed": 0}
    assert (last["schedule.t_0"], last["decay"], last["lr"]) == (20, "normalized", 0.2)


def words_of(*arguments):
    """Return the cells that a command line has, as what sets them apart and what they run."""
    found = grid.cells(grid.loader(), grid.default(), arguments)
    return [(cell.overrides, cell.job) for cell in found]


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("range(0.1,0.4,0.1)", [0.1, 0.2, 0.3]),
        ("range(0.7,1,0.1)", [0.7, 0.8, 0.9]),
        ("range(0.3,0,-0.1)", [0.3, 0.2, 0.1]),
        ("sort(range(0.1,0.4,0.1),reverse=true)", [0.3, 0.2, 0.1]),
        ("sort(range(0.3,0,-0.1))", [0.1, 0.2, 0.3]),
        ("range(1e-3,4e-3,1e-3)", [0.001, 0.002, 0.003]),
        ("float(range(1,3))", [1.0, 2.0]),
        ("sort(0.3,0.1)", [0.1, 0.3]),
    ],
)
def test_a_range_has_the_numbers_that_one_would_type(typed, values):
    found = grid.combinations(grid.loader(), {}, [], [f"lr={typed}"])
    assert [float(word.removeprefix("lr=")) for (word,) in found] == values
    shared = grid.combinations(grid.loader(), {"lr": typed}, [], [])
    assert shared == found == grid.combinations(grid.loader(), {}, [{"lr": typed}], [])


def test_a_shuffled_range_has_the_same_numbers():
    found = grid.combinations(grid.loader(), {}, [], ["lr=shuffle(range(0.1,0.9,0.1))"])
    assert sorted(found) == [(f"lr={i / 10}",) for i in range(1, 9)]


@pytest.mark.parametrize("typed", ["range(0,1,0)", "range(0,inf)", "range(3,1)", "glob(zzz*)"])
def test_an_axis_without_values_or_end_is_refused(typed):
    with pytest.raises(UserError, match="no end|stands for no value"):
        grid.combinations(grid.loader(), {}, [], [f"optim={typed}"])


def test_glob_chooses_among_the_entries_of_a_group_typed_or_in_a_preset():
    def names(*axes):
        return [word for (word,) in grid.combinations(grid.loader(), *axes)]

    adams = ["optim=adam", "optim=adam_l2_m", "optim=adam_l2_v", "optim=adam_preconditioned"]
    assert names({}, [], ["optim=glob(adam*,exclude=adamw)"]) == adams
    assert names({"optim": "glob([adam,sgd])"}, [], []) == ["optim=adam", "optim=sgd"]
    assert names({}, [{"optim": "glob(sgd*)"}], []) == ["optim=sgd", "optim=sgdw"]


def test_values_of_another_kind_are_other_values():
    assert len(cells(["x=1,true,'1'"], params={}, grids=[])) == 3
    assert cells(["name='007'"], params={}, grids=[]) == [{"name": "'007'"}]


def test_a_cell_that_is_written_twice_runs_once():
    found = words_of("lr=1e-3,2e-3", "wd=${lr},1e-3")
    assert [(job["lr"], job["wd"]) for _, job in found] == [
        (0.001, 0.001), (0.002, 0.002), (0.002, 0.001),
    ]  # fmt: skip


def test_two_cells_that_would_share_a_folder_are_named():
    config = grid.default("hydra.sweep.subdir=${optim.name}_${seed}")
    found = grid.cells(grid.loader(), config, ["optim=adam,sgd", "lr=1e-3,2e-3"])
    with pytest.raises(UserError) as refused:
        grid.refuse_shared_folders(found)
    said = "lr=0.001 and lr=0.002 would share the run folder runs/adhoc/adam_0; let "
    assert str(refused.value).startswith(said)
    found = grid.cells(grid.loader(), grid.default(), ["threads=1,2"])
    with pytest.raises(UserError, match="threads=1 and threads=2 are one run"):
        grid.refuse_shared_folders(found)
    grid.refuse_shared_folders(grid.cells(grid.loader(), grid.default(), ["seed=1,2"]))


def test_an_axis_of_a_preset_may_be_given_by_another(tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    shutil.copytree(grid.CONFIGS, configs)
    (configs / "experiment" / "linked.yaml").write_text(
        "# @package _global_\nname: linked\nseed: 7\nhydra:\n  sweeper:\n    params:\n"
        "      lr: 1e-3,2e-3\n      wd: ${lr}\n      epochs: ${seed}\n"
        "    grids:\n      - batch_size: 8,16\n        warmup_epochs: ${batch_size}\n"
    )
    monkeypatch.setattr(grid, "CONFIGS", configs)
    expected = [
        {"lr": lr, "wd": lr, "epochs": 7, "batch_size": size, "warmup_epochs": size}
        for lr in (0.001, 0.002) for size in (8, 16)
    ]  # fmt: skip
    assert [{key: job[key] for key in expected[0]} for job in grid.jobs("linked")] == expected
    assert grid.planned("linked") == expected
    epochs = [job["epochs"] for job in grid.jobs("linked", "seed=1,2", "batch_size=8")]
    assert epochs == [1, 2, 1, 2]


def test_cells_are_composed_without_their_data(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise AssertionError("composing must download nothing")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", no_network)
    assert len(grid.jobs("figure2_cpu_2000", f"data_dir={tmp_path / 'none'}")) == 792


def test_equal_settings_on_other_data_are_cells_of_their_own(fake_cifar, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(fake_cifar, other)
    shutil.copy(
        other / "cifar10" / "test-00000-of-00001.parquet",
        other / "cifar10" / "train-00000-of-00001.parquet",
    )
    same = tmp_path / "same"
    shutil.copytree(fake_cifar, same)
    words = ["task=cifar10_small", "task.train_size=20", f"cache_dir={tmp_path / 'cache'}"]

    def found(*folders):
        typed = [*words, f"data_dir={','.join(map(str, folders))}"]
        return grid.cells(grid.loader(), grid.default(*words), typed)

    grid.refuse_shared_folders(found(fake_cifar, other))
    with pytest.raises(UserError, match="data_dir=.* are one run"):
        grid.refuse_shared_folders(found(fake_cifar, same))

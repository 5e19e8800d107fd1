"""Composing thousands of cells is the same as letting Hydra compose each, and costs less."""

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf, open_dict

from experiments.errors import UserError
from experiments.record.identity import cell_name
from experiments.sweep import compose, grid
from experiments.sweep.compose import plain
from experiments.tasks import cifar_files

#: What somebody may write behind each key.
VALUES = {
    "lr": ["1e-3", "0.002", "${wd}", "${model.width}", "${oc.select:optim.eps,0.5}"],
    "wd": ["0", "'1e-3'", "${lr}", "${betas[0]}"],
    "++wd": ["0.5", "${lr}"],
    "seed": ["3", "4", "${batch_size}"],
    "epochs": ["4", "6.5", "${batch_size}", "${seed}"],
    "batch_size": ["8", "16"],
    "betas": ["[0.8,0.9]", "[${lr},0.9]"],
    "betas.0": ["0.7"],
    "name": ["seed", "'007'", "'null'", "'true'", "a_${seed}", "${optim.name}"],
    "text_file": ["null", "'a b,c'", "${name}.txt", "???"],
    "threads": ["null", "1", "0.5"],
    "eval_train": ["true", "false", "yes"],
    "data_dir": ["${hydra:runtime.cwd}", "${oc.env:HOME}", "there", "'~/x'"],
    "runs_dir": ["a", "'a b'", "${name}", "'${${name}}'"],
    "optim": ["adam", "sgd", "adamw", "'adam'"],
    "optim.eps": ["1e-8", "${lr}"],
    "++optim.momentum": ["0", "0.5"],
    "+optim.more": ["1", "${..lr}"],
    "model.width": ["8", "16", "${.heads}", "${seed}"],
    "model.heads": ["2", "4"],
    "~model.heads": ["4"],
    "task": ["modular", "modular_divide"],
    "task.modulus": ["7", "${batch_size}"],
    "schedule": ["cosine", "step"],
    "++analysis": ["{level: 5}", "{level: ${lr}}"],
    "+analysis.near": ["1", "[1,2]"],
}
SUBDIRS = [
    *("${cell:}", "${optim.name}/${cell:}", "${optim.name}_${seed}", "x${cell:}"),
    *("${hydra.job.num}", "x${hydra.job.override_dirname}", "'${model.${name}}/a'"),
]
DIRS = ["${runs_dir}/${name}", "elsewhere/${now:%H-%M-%S-%f}", "a/${lr}"]
#: Examples are small as they are; making a failure smaller would take minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    """The name of a run's folder needs the data, which are not there and need not be."""

    def refuse(classes, data_dir):
        raise UserError(f"no CIFAR-{classes} in {data_dir}")

    monkeypatch.setattr(cifar_files, "_download", refuse)


def by_hydra(config, words, number):
    """Return a cell's configuration and folder as Hydra's own launchers have them."""
    whole = grid.loader().load_sweep_config(config, list(words))
    with open_dict(whole):
        whole.hydra.job.num, whole.hydra.job.id = number, str(number)
    HydraConfig.instance().set_config(whole)
    try:
        folder = f"{whole.hydra.sweep.dir}/{whole.hydra.sweep.subdir}"
        with open_dict(whole):
            del whole["hydra"]
        return OmegaConf.to_container(whole, resolve=True), folder
    finally:
        HydraConfig.instance().cfg = None


def assert_as_hydra(config, jobs):
    """Compare cells, and refusals, with Hydra's."""
    str(config.hydra.sweep.dir)  # Hydra's launchers begin with it, which fixes the time in it
    try:
        expected = [by_hydra(config, words, i) for i, words in enumerate(jobs)]
    except Exception:
        with pytest.raises(Exception):  # noqa: B017, PT011
            compose.compose(grid.loader(), config, jobs)
        return
    cells = compose.compose(grid.loader(), config, jobs)
    for words, cell, (job, folder) in zip(jobs, cells, expected, strict=True):
        assert repr(cell.job) == repr(job)
        assert str(cell.folder) == folder
        assert cell.overrides == tuple(words)


axes = st.lists(st.sampled_from(list(VALUES)), unique=True, max_size=5).flatmap(
    lambda keys: st.fixed_dictionaries(
        {key: st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=2, unique=True)
         for key in keys}
    )
)  # fmt: skip


@settings(max_examples=20, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(axes, st.sampled_from(SUBDIRS), st.sampled_from(DIRS))
def test_every_cell_is_what_hydra_composes(axes, subdir, folder):
    config = grid.default(f"hydra.sweep.subdir={subdir}", f"hydra.sweep.dir={folder}")
    words = [f"{key}={','.join(values)}" for key, values in axes.items()]
    removed = [word.split(",")[0] for word in words if word[0] == "~"]  # of which Hydra sweeps none
    kept = OverridesParser.create().parse_overrides([word for word in words if word[0] != "~"])
    (jobs,) = BasicSweeper.split_arguments(kept, None)
    assert_as_hydra(config, [[*job, *removed] for job in jobs][:4])


@pytest.mark.parametrize(
    "jobs",
    [
        [["lr=1e-3", "wd=${lr}"], ["lr=2e-3", "wd=${lr}"]],
        [["wd=${lr}", "lr=1e-3"], ["wd=0", "lr=2e-3"], ["wd=${lr}", "lr=3e-3"]],
        [["batch_size=8", "epochs=${batch_size}"], ["batch_size=16", "epochs=${batch_size}"]],
        [["model.width=8", "model.heads=2"], ["model.heads=${.width}", "model.width=8"],
         ["model.heads=${.width}", "model.width=16"]],
        [["optim=adam", "lr=0.01", "wd=0"], ["optim=adam", "wd=1e-3", "task.modulus=31"],
         ["optim=adam", "wd=${lr}"]],  # the first one's lr is not the last one's
        [["optim=sgd", "optim.momentum=0.5", "betas=[0.8,0.9]"], ["optim=adam", "betas=[0.8,0.9]"]],
        [["model=resnet8", "name='007'"], ["model=resnet8", "name=x.y", "seed=3"]],
        [["lr=0.1", "++lr=0.2"], ["++lr=0.2", "lr=0.1"]],
        [["threads=null", "precision=bf16"], ["threads=1", "runs_dir=elsewhere"]],
    ],
)  # fmt: skip
def test_linked_and_repeated_keys_are_what_hydra_makes_of_them(jobs):
    assert_as_hydra(grid.default(), jobs)


@pytest.mark.parametrize("jobs", [[["wd=abc"]], [["lr=0.1"], ["optim=adam", "optim.nothing=1"]]])
def test_what_hydra_refuses_is_refused(jobs):
    assert_as_hydra(grid.default(), jobs)


def test_what_distinguishes_cells_by_plain_values_is_composed_once(monkeypatch):
    loader, config = grid.loader(), grid.default()
    loaded, resolved = [], []
    load = loader.load_sweep_config
    monkeypatch.setattr(loader, "load_sweep_config", lambda *a: loaded.append(a) or load(*a))
    monkeypatch.setattr(compose, "plain", lambda *a: resolved.append(a) or plain(*a))
    jobs = [[f"optim={o}", f"lr={lr}", f"seed={s}"]
            for o in ("adam", "adamw") for lr in (0.1, 0.2) for s in range(100)]  # fmt: skip
    cells = compose.compose(loader, config, jobs)
    assert len({cell.folder for cell in cells}) == len(cells) == 400
    assert (len(loaded), len(resolved)) == (2, 2)


@pytest.mark.parametrize("subdir", ["../${cell:}", "/tmp/x", "", "a/../..", "'a\tb'"])
def test_a_folder_that_is_none_below_the_sweeps_is_refused(subdir):
    config = grid.default(f"hydra.sweep.subdir={subdir}")
    with pytest.raises(UserError, match="must name a folder for each cell below hydra.sweep.dir"):
        compose.compose(grid.loader(), config, [["seed=1"]])


def test_a_cell_keeps_to_the_runs_folder_whatever_its_values():
    job = plain(grid.default("optim=adam"))
    for name in ("../../etc", "/absolute", "line\nbreak", "é" * 300, "a b;rm"):
        job["optim"]["name"] = name
        cell = cell_name(job, "0123456789abcdef")
        assert set(cell) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.=_+-"
        )
        assert "/" not in cell
        assert len(cell) < 120

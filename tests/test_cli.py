"""What a person sees: one clear line for a mistake, one line at the end of a run."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

import train as train_script
from experiments.record import tables
from tests.tiny_runs import TINY

ROOT = Path(__file__).parents[1]
#: Many commands in one process, each through the entry point; prints exit code and stderr.
MANY = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, {root!r})
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
for program, *words in json.loads(sys.stdin.read()):
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    sys.argv = [program, *words]
    errors = io.StringIO()
    code = 0
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            runpy.run_path({root!r} + "/" + program, run_name="__main__")
        except SystemExit as exit:
            code = exit.code
    print(json.dumps([code, errors.getvalue()]))
"""

MISTAKES = {
    "wdd=0.1": "there is no key wdd; did you mean wd?",
    "weight_decay=0.1": "there is no key weight_decay; did you mean wd (the paper's λ, which is "
    "torch's weight_decay times lr)?",
    "optim.betass=1": "did you mean optim.betas?",
    "optim=adamm": "did you mean optim=adam?",
    "optin=adam": "optin",
    "task=cifar": "did you mean task=cifar10?",
    "schedule=cosin": "did you mean schedule=cosine?",
    "experiment=modula": "did you mean experiment=modular?",
    "wd=abc": "wd must be a number, got 'abc'",
    "wd=-1": "wd must be at least 0 and finite, got -1",
    "wd=inf": "wd must be at least 0 and finite, got inf",
    "wd=1.5": "weight_decay",
    "lr=0": "lr must be positive and finite, got 0",
    "lr=nan": "lr must be positive and finite, got nan",
    "seed=0.5": "seed must be a whole number, got '0.5'",
    "loss_scale=0": "loss_scale must be positive and finite, got 0",
    "epochs=0": "epochs must be positive and finite, got 0",
    "batch_size=0": "batch_size must be at least 1 and finite, got 0",
    "task.modulus=1": "task.modulus must be at least 2, got 1",
    "task.train_fraction=0": "task.train_fraction must lie in (0, 1)",
    "task.train_fraction=1": "task.train_fraction must lie in (0, 1)",
    "model.width=abc": "model.width must be a whole number, got 'abc'",
    "model.width=30": "model.width must be a multiple of model.heads, got width 30, heads 4",
    "model=resnet8": "model=resnet8 does not fit task=modular",
    "precision=fp16": "precision must be one of auto, fp32, bf16, got 'fp16'",
    "no_decay=all": "no_decay must be one of none, norm_and_bias, embeddings_too, got 'all'",
    "betas=[0.9,1.0]": "betas",
    "warmup_epochs=900": "warmup_epochs must be less than epochs=834, got 900",
    "schedule.factor=2": "schedule.factor",
    "device=tpu": "device must be auto, cpu or a GPU that is here, got tpu",
    "validation_size=5000": "validation_size must lie in [0, 1104)",
    "name=../up": "name must be a plain folder name",
    "name=/abs": "name must be a plain folder name",
    "+foo=1": "there is no key foo",
    "+optim.foo=1": "optim=adamw reads no key optim.foo",
    "+task.modulos=3": "did you mean task.modulus?",
    "+optim.lr=3": "optim=adamw reads no key optim.lr",
    "+model.classes=3": "model=transformer reads no key model.classes",
    "task=cifar10_small task.modulus=7": "task=cifar10_small has no key modulus",
    "lr=1e-3,2e-3": "a list of values needs -m: python train.py -m ",
    "schedule=warm_restarts schedule.t_0=abc": "schedule.t_0 must be a number of epochs, got abc",
    "schedule=warm_restarts schedule.t_0=0": "schedule.t_0 must be a finite number of epochs "
    "that makes at least one step, got 0",
    "schedule=warm_restarts schedule.t_0=1e-4": "at least one step, got 0.0001",
    "schedule=warm_restarts schedule.t_0=nan": "at least one step, got nan",
    "schedule=warm_restarts schedule.t_mult=0.5": "schedule=warm_restarts: t_mult must be a whole "
    "number in [1, inf), got 0.5",
    "schedule=warm_restarts schedule.t_mult=0": "got 0",
    "experiment=figure9": "there is no experiment=figure9; did you mean experiment=figure4?",
    "optim=zzz": "there is no optim=zzz; there are: adagrad, adagradw, adam, ",
    "task.train_fraction=abc": "task.train_fraction must be a number, got 'abc'",
    "task=shakespeare model.tied=maybe": "model.tied must be true or false, got 'maybe'",
    "task=cifar10_small task.train_size=0.5": "task.train_size must be a whole number or null, "
    "got 0.5",
    "optim=adam optim.convention=decoupled": "optim.convention=decoupled is wrong of optim=adam",
    "device=meta": "device must be auto, cpu or a GPU that is here, got meta",
    "data_dir=null": "data_dir",
    "task=cifar10": "no CIFAR-10 in nowhere, and downloading it failed",
    "task=imagenet32": "no ImageNet32x32 at nowhere/imagenet32",
    """task=text "text_file='~/x'" """: "/x: No such file or directory",
    """task=text "text_file='~nobody9/x'" """: "~nobody9/x: there is no home folder",
    "task=text text_file=/dev/zero": "cannot read /dev/zero: it is no regular file",
    "task=text text_file=": "task=text needs text_file=PATH",
    "hydra.run.dir=/dev/null/x": "/dev/null",
    "text_file=~/x": "cannot read 'text_file=~/x'; type text_file=/",
    "text_file=bücher.txt": """type 'text_file="bücher.txt"'""",
    "text_file=my(1).txt": """type 'text_file="my(1).txt"'""",
    "name=a=b": """type 'name="a=b"'""",
    "'lr =1e-3'": "cannot read 'lr =1e-3'; type lr=1e-3",
    "lr==1e-3": "type lr=1e-3",
    "lr": "cannot read 'lr': an override is KEY=VALUE",
    "lr:3": "cannot read 'lr:3': an override is KEY=VALUE",
    "-m lr=1e-3,,2e-3": "cannot read 'lr=1e-3,,2e-3': ",
    "--lr=1e-3": "there is no option --lr=1e-3; keys go without dashes: lr=1e-3 (in a W&B sweep: "
    "${args_no_hyphens})",
    "--lr 1e-3": "keys go without dashes: lr=1e-3",
    "-lr=1e-3": "keys go without dashes: lr=1e-3",
    "lr=1 -m wd=2,3": "options go before the keys: python train.py -m lr=1 wd=2,3",
    "-m --cfg job": "Only one of --run, --multirun, --cfg",
    "--resolve": "The --resolve flag can only be used in conjunction with --cfg",
    "--cfg jobs": "invalid choice: 'jobs'",
    "--config-name=nothing": "Cannot find primary config 'nothing'",
    "--config-dir=nothing": "nothing' not found",
    "--experimental-rerun=nothing": "File nothing does not exist",
    "optim=3": "Config group override must be a string",
    "optim=glob(adam*)": "a list of values needs -m: python train.py -m 'optim=glob(adam*)'",
    "-m optim=glob(zdam*)": "optim=glob(zdam*) stands for no value at all",
    "-m experiment=modular,why": "one preset a command",
    "-m hydra.sweep.subdir=a,b": "Sweeping over Hydra's configuration is not supported",
    "hydra.sweep.dri=x": "there is no key hydra.sweep.dri; did you mean hydra.sweep.dir?",
    "-m hydra.launcher.jbs=2": "there is no key hydra.launcher.jbs",
    "-m hydra/launcher=slrum": "did you mean hydra/launcher=slurm?",
    "-m lr=interval(0,1)": "lr=interval(0,1) is no list",
    "lr=${wdd}": "lr: Interpolation key 'wdd' not found",
    "~lr": "a run needs lr",
    "~optim": "a run needs lr",
    "analyze.py --axis=lambda": "keys go without dashes: axis=lambda",
    "analyze.py experiment=a,b": "python analyze.py takes one value for each key",
    "analyze.py -m experiment=a,b": "python analyze.py takes one value for each key",
    "analyze.py experimen=a": "there is no key experimen; did you mean experiment?",
    "analyze.py command=transfer known.batch=1": "there is no key known.batch; did you mean "
    "known.batch_size?",
    "analyze.py command=transfer known.x=1": "there is no key known.x; known takes lr, wd, "
    "convention, train_size, epochs, batch_size, width",
    "analyze.py command=transfer known=1": "known=1 must name what it gives, as in known.lr=1e-3",
    "analyze.py command=stats": "command must be one of report, status, cost, verdict, why, "
    "propositions, laws, transfer, got stats",
    "analyze.py command=status experiment=a axis=lambda": "command=status reads no axis; it reads "
    "experiment, runs_dir, results_dir",
    "analyze.py command=verdict experiment=a": "command=verdict reads no experiment; it reads "
    "results_dir",
    "analyze.py command=cost": "give experiment=NAME",
}


QUIET = ["tracker=none", "data_dir=nowhere"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    commands = [
        shlex.split(line) if line.startswith("analyze.py") else
        ["train.py", *shlex.split(line), *([] if " -m" in line else QUIET)]
        for line in MISTAKES
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", MANY.format(root=str(ROOT))], input=json.dumps(commands),
        capture_output=True, text=True, cwd=folder,
        env={"PATH": "", "HOME": str(folder), "http_proxy": "http://127.0.0.1:9",
             "https_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(MISTAKES, lines, strict=True)), folder


@pytest.mark.parametrize("word", MISTAKES)
def test_a_mistake_is_one_clear_line_and_exit_code_2(outcomes, word):
    code, errors = outcomes[0][word]
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    if "rerun" not in word:  # Hydra says first that this is experimental
        assert lines == [line for line in errors.splitlines() if "Downloading" not in line]
    assert code == 2, errors
    assert len(lines) == 1, errors
    assert MISTAKES[word] in lines[0]


def test_a_mistake_leaves_nothing_behind(outcomes):
    left = [path for path in outcomes[1].rglob("*") if path.is_file()]
    assert left == []
    assert not (outcomes[1] / "runs").exists()


def train(*words, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words], capture_output=True, text=True, cwd=cwd
    )


def test_a_mistake_spares_the_persons_own_empty_folders(in_tmp):
    (in_tmp / "out" / "deep").mkdir(parents=True)
    assert train(*TINY, "hydra.run.dir=out/deep/run", "lr=nan", cwd=in_tmp).returncode == 2
    assert (in_tmp / "out" / "deep").is_dir()
    assert not (in_tmp / "out" / "deep" / "run").exists()


def test_a_run_ends_with_one_line_and_the_same_command_finds_it_finished(in_tmp):
    done = train(*TINY, "optim=adamw", "lr=1e-3", "wd=3e-3", cwd=in_tmp)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("adamw lr=0.001 wd=0.003 seed=0: test error ")
    folder = Path(line.rsplit(", ", 1)[1])
    assert (in_tmp / folder / "result.json").exists()
    assert folder.parts[:2] == ("runs", "adhoc")
    again = train(*TINY, "optim=adamw", "lr=1e-3", "wd=3e-3", cwd=in_tmp)
    assert again.stdout == done.stdout
    assert "already finished" in again.stderr


def test_a_preset_sweep_without_m_is_refused_with_the_command_to_type(in_tmp):
    done = train("experiment=quickstart", "seed=1", cwd=in_tmp)
    assert done.returncode == 2
    assert "type: python train.py -m experiment=quickstart seed=1" in done.stderr
    assert not list(in_tmp.iterdir())


def test_a_sweep_runs_every_cell_and_again_only_what_is_missing(in_tmp):
    words = ["-m", *TINY, "optim=adam,adamw", "lr=1e-3,3e-3", "wd=1e-4,1e-3"]
    done = train(*words, cwd=in_tmp)
    assert done.returncode == 0, done.stderr
    results = sorted((in_tmp / "runs" / "adhoc").glob("*/result.json"))
    assert len(results) == 8
    before = {path: path.stat().st_mtime_ns for path in results}
    results[0].unlink()
    again = train(*words, cwd=in_tmp)
    assert "7 of 8 cells are finished already" in again.stderr
    after = {path: path.stat().st_mtime_ns for path in results}
    assert [path for path in results if before[path] != after[path]] == results[:1]
    results[0].write_text("{")
    third = train(*words, cwd=in_tmp)
    assert third.returncode != 0
    assert f"{results[0].relative_to(in_tmp)} is damaged" in third.stderr
    assert results[0].read_text() == "{"


def test_a_decay_that_reads_like_another_conventions_is_warned_of_once(in_tmp):
    one = train(*TINY, "optim=torch_adamw", "lr=1e-3", "wd=1e-3", cwd=in_tmp)
    assert one.stderr.count("WARNING: wd=0.001 under optim=torch_adamw") == 1
    many = train("-m", *TINY, "optim=torch_adamw", "lr=1e-3", "wd=1e-3,2e-3,100", cwd=in_tmp)
    assert many.stderr.count("WARNING") == 1
    assert "2 of 3 cells, as here: wd=0.001 under optim=torch_adamw" in many.stderr


def test_a_bad_cell_is_refused_before_the_first_one_runs(in_tmp):
    done = train("-m", *TINY, "lr=1e-3,-1", cwd=in_tmp)
    assert done.returncode == 2
    assert "error: lr must be positive and finite, got -1" in done.stderr
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "x" * 300])
def test_a_sweep_whose_name_is_no_folder_name_makes_no_folder(in_tmp, name):
    folder = in_tmp / "here"
    folder.mkdir()
    done = train("-m", *TINY, "lr=1e-3,3e-3", f"name={name}", cwd=folder)
    assert done.returncode == 2
    assert "error: name must be a plain folder name" in done.stderr
    assert list(in_tmp.rglob("*")) == [folder]


def test_a_swept_key_without_a_column_is_recorded(in_tmp):
    done = train("-m", *TINY, "model.width=8,16", cwd=in_tmp)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(path.read_text()) for path in in_tmp.rglob("result.json")]
    assert sorted(row["model.width"] for row in rows) == [8, 16]


def test_linked_axes_and_folders_of_their_own_from_the_command_to_the_report(in_tmp):
    words = ["-m", *TINY, "name=linked", "lr=1e-3,2e-3", "wd=${lr}", "optim=adam,adamw"]
    done = train(*words, "hydra.sweep.subdir=${optim.name}/${cell:}", cwd=in_tmp)
    assert done.returncode == 0, done.stderr
    results = [path for path in in_tmp.rglob("result.json") if path.parts[-3] == "adam"]
    rows = [json.loads(path.read_text()) for path in results]
    assert sorted((row["lr"], row["wd"]) for row in rows) == [(0.001, 0.001), (0.002, 0.002)]
    asked = ["command=status", "experiment=linked"]
    told = subprocess.run(
        [sys.executable, str(ROOT / "analyze.py"), *asked], capture_output=True, text=True,
        cwd=in_tmp,
    )  # fmt: skip
    assert told.stdout == "linked: 4 cells: 4 finished\n", told.stderr
    assert {row["id"] for row in tables.gather(in_tmp / "runs" / "linked").rows} > {
        row["id"] for row in rows
    }


def test_under_hydras_own_launcher_a_cell_that_fails_stops_no_other(in_tmp):
    words = ["-m", *TINY, "hydra/launcher=basic", "seed=0,1", "hydra.sweep.subdir=${seed}"]
    (in_tmp / "runs" / "adhoc" / "0").mkdir(parents=True)
    (in_tmp / "runs" / "adhoc" / "0" / "config.yaml").write_text("# id: of another run\n")
    done = train(*words, cwd=in_tmp)
    assert done.returncode == 2
    assert "ERROR: runs/adhoc/0 failed: runs/adhoc/0 holds another run" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 1 of 2 cells failed")
    assert (in_tmp / "runs" / "adhoc" / "1" / "result.json").exists()


def test_other_launchers_can_send_the_task_to_new_processes():
    """As joblib's does: by cloudpickle, before the configuration of a cell is composed there."""
    task = cloudpickle.dumps(train_script.main.__wrapped__.__wrapped__)
    code = (
        "import pickle, sys; pickle.load(sys.stdin.buffer);"
        "from omegaconf import OmegaConf;"
        "print(*map(OmegaConf.has_resolver, ('cell', 'checksum', 'from_env', 'hydra')))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=task, capture_output=True, cwd=ROOT)
    assert done.stdout == b"True True True True\n", done.stderr


@pytest.mark.slow
def test_a_cell_that_fails_or_is_killed_stops_no_other_and_is_named(in_tmp):
    (in_tmp / "sitecustomize.py").write_text(
        "import os, experiments.run.cell as r\n"
        "original = r.course\n"
        "def course(config, folder, **how):\n"
        "    if config.seed == 1: raise RuntimeError('broken cell')\n"
        "    if config.seed == 2: os.kill(os.getpid(), 9)\n"
        "    return original(config, folder, **how)\n"
        "r.course = course\n"
    )
    import os

    env = os.environ | {"PYTHONPATH": f"{in_tmp}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-m", *TINY, "seed=range(4)"],
        capture_output=True, text=True, cwd=in_tmp, env=env,
    )  # fmt: skip
    assert done.returncode == 2
    assert "seed=1" in done.stderr
    assert "broken cell" in done.stderr
    assert "killed" in done.stderr
    assert "2 of 4 cells failed" in done.stderr
    assert len(list(in_tmp.rglob("result.json"))) == 2

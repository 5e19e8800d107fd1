"""One run: from a configuration to a row of the runs table."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from experiments import build, checkpoint
from experiments.device import autocast, device_name, resolve_device, resolve_precision
from experiments.errors import UserError
from experiments.identity import cell_name, identity
from experiments.loop import Diverged, Trainer
from experiments.progress import progress_bar
from experiments.provenance import provenance
from experiments.record import RunFolder, committed
from experiments.runs_table import DIVERGED, FINISHED, MEASURED, complete
from experiments.tracker import NoTracker, WandbTracker
from experiments.validate import validate

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Train what ``cfg`` describes, or go on where a killed run stopped, or find it finished.

    Args:
        cfg: A composed configuration, without Hydra's own part.
        folder: The run folder.

    Returns:
        The run's row of the runs table, also in the folder's result.json.

    Raises:
        UserError: The configuration cannot be run, or the folder not be used.
    """
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)
    validate(config)
    run_id = identity(config)
    row = committed(config["results_dir"], config["name"]).get(run_id)
    if row is not None:
        log.info("already in %s/%s/runs.csv", config["results_dir"], config["name"])
        return row
    warning = build.check(config)
    device = resolve_device(config["device"])
    files = RunFolder(folder, config, run_id)
    row = files.result()
    if row is not None:
        log.info("already finished")
        return row
    if warning:
        logging.getLogger("experiments.lint").warning("%s", warning)
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    return _train(config, run_id, files, device)


def _train(
    config: dict[str, Any], run_id: str, files: RunFolder, device: torch.device
) -> dict[str, Any]:
    started = time.monotonic()
    precision = resolve_precision(config["precision"], device)
    task = build.build_task(config).to(device)
    budget = build.build_budget(config, task)
    schedule = build.build_schedule(config, budget)
    weight_decay, scale = build.build_decay(config, budget, len(task.train), schedule)
    model = build.build_model(config, task).to(device)
    optimizer = build.build_optimizer(config, model, weight_decay)
    trainer = Trainer(
        model, task, optimizer, schedule, scale, budget, config["seed"],
        autocast=lambda: autocast(precision, device),
    )  # fmt: skip
    row = describe(config, run_id) | {
        "weight_decay": weight_decay,
        "epochs": budget.steps / budget.steps_per_epoch,
        "steps": budget.steps,
        "train_size": len(task.train),
        "eta_sum": build.eta_sum(schedule),
    }
    make_tracker = build.build_tracker(config)
    tracker = make_tracker(
        folder=files.path, id=run_id, name=cell_name(config), group=config["name"],
        job_type="train", tags=[row["optim"]], config=config,
    )  # fmt: skip
    bar = progress_bar(budget.steps, "step", disable=not config["progress"])
    with logging_redirect_tqdm(), tracker, bar:
        scribe = _Scribe(files, tracker, bar, config["checkpoint_every"], task.fingerprint, started)
        scribe.resume(trainer)
        row |= _outcome(trainer, scribe)
        row |= {"seconds": round(scribe.seconds(), 3)}
        row |= provenance(device_name(device), precision)
        row = complete(row)
        tracker.finish(row)
    files.finish(row)
    return row


def summarize(row: Mapping[str, Any], folder: Path) -> str:
    """Return the one line with which a run ends."""
    axes = f"{row['optim']} lr={float(row['lr']):g} wd={float(row['wd']):g} seed={row['seed']}"
    if row["status"] == DIVERGED:
        outcome = "diverged"
    else:
        test, train = float(row["test_error"]), float(row["train_error"])
        outcome = f"test error {test:.2f} %, train error {train:.2f} %"
    return f"{axes}: {outcome}, {float(row['seconds']):.1f} s, {folder}"


def describe(config: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Return the columns of a row that the configuration alone decides."""
    row = {key: config[key]["name"] for key in ("task", "model", "optim", "schedule", "decay")}
    row |= {key: config[key] for key in ("no_decay", "lr", "wd", "batch_size", "seed")}
    row |= {"id": run_id, "experiment": config["name"], "convention": config["optim"]["convention"]}
    return row | {key: OmegaConf.select(OmegaConf.create(config), key) for key in config["columns"]}


def _outcome(trainer: Trainer, scribe: "_Scribe") -> dict[str, Any]:
    try:
        final = trainer.run(scribe)
    except Diverged as reason:
        log.warning("diverged: %s", reason)
        scribe.log({"diverged": 1.0}, trainer.step)
        return {"status": DIVERGED}
    return {"status": FINISHED} | {k: v for k, v in final.items() if k in MEASURED}


@dataclass
class _Scribe:
    """Writes what the loop learns to the folder and its mirror."""

    files: RunFolder
    tracker: NoTracker | WandbTracker
    bar: tqdm
    checkpoint_every: float
    fingerprint: str
    started: float
    before: float = 0.0
    _saved: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Seconds spent in this run, earlier attempts included up to their last checkpoint."""
        return self.before + time.monotonic() - self.started

    def resume(self, trainer: Trainer) -> None:
        """Go on from the checkpoint, if there is one."""
        device = trainer.task.train.labels.device
        state = checkpoint.load(self.files.checkpoint, device)
        if state is None:
            self.files.rewind(0)
            return
        if state["data"] != self.fingerprint:
            raise UserError(
                f"the data changed since {self.files.path} was begun (hash {state['data']}, now "
                f"{self.fingerprint}); put the old files back or choose another hydra.run.dir"
            )
        self.files.rewind(state["metrics_size"])
        self.before = state["seconds"]
        trainer.load_state_dict(state["trainer"])
        self.bar.update(trainer.step)
        log.info("going on from step %d of %d", trainer.step, trainer.budget.steps)

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.files.append({"step": step} | metrics)
        self.tracker.log(metrics, step)
        if "test_error" in metrics:
            self.bar.set_postfix_str(f"test error {metrics['test_error']:.1f} %", refresh=False)

    def checkpoint_due(self) -> bool:
        return time.monotonic() - self._saved > self.checkpoint_every

    def checkpoint(self, state: dict[str, Any]) -> None:
        everything = {
            "trainer": state,
            "data": self.fingerprint,
            "metrics_size": self.files.metrics_size(),
            "seconds": self.seconds(),
        }
        checkpoint.save(self.files.checkpoint, everything)
        self._saved = time.monotonic()

    def progress(self, step: int) -> None:
        self.bar.update(step - self.bar.n)

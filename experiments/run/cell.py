"""One run: from a configuration to a row of the runs table."""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from tqdm.contrib.logging import logging_redirect_tqdm

from experiments import interrupt
from experiments.interrupt import Interrupted
from experiments.progress import SharedBar, progress_bar
from experiments.record import tables
from experiments.record.folder import RunFolder, RunWriter, stored_row
from experiments.record.identity import cell_name, identity, settings
from experiments.record.provenance import provenance
from experiments.record.schema import DIVERGED, FINISHED, MEASURED, complete
from experiments.run import build
from experiments.run.device import device_name, resolve_device, resolve_precision
from experiments.run.recorder import Scribe
from experiments.run.trainer import Diverged, Trainer
from experiments.run.validate import validate
from experiments.seeding import stream

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> dict[str, Any]:
    """Run a composed configuration, without Hydra's own part; see :func:`run_cell`."""
    return run_cell(OmegaConf.to_container(cfg, resolve=True), folder)


def run_cell(config: dict[str, Any], folder: Path, bar: SharedBar | None = None) -> dict[str, Any]:
    """Train what ``config`` describes, or go on where a killed run stopped, or find it finished.

    Args:
        config: A resolved configuration, as plain values.
        folder: The run folder.
        bar: Is told the steps as they are done; without one there is a bar on stderr, if
            ``progress`` asks for it.

    Returns:
        The run's row of the runs table, also in the folder's result.json.

    Raises:
        UserError: The configuration cannot be run, or the folder not be used.
        Interrupted: The process was asked to stop; the same call goes on.
    """
    validate(config)
    run_id, probe = identity(config), config["probe"]["name"]
    place = config["results_dir"], config["name"]
    row = stored_row(folder, run_id, probe, tables.committed(*place))
    if row is not None:
        with suppress(OSError):
            folder.rmdir()  # Hydra made it, and the row is in the committed table
        log.info("already finished: %s", folder if folder.exists() else tables.file(*place))
        return row
    warning = build.check(config)
    device = resolve_device(config["device"])
    files = RunWriter(folder, config, run_id)
    if warning:
        logging.getLogger("experiments.run.decay_lint").warning("%s", warning)
    with files.held(), interrupt.listening():
        ended_meanwhile = stored_row(folder, run_id, probe)
        return ended_meanwhile or _attempt(config, run_id, files, device, bar)


def _attempt(
    config: dict[str, Any],
    run_id: str,
    files: RunWriter,
    device: torch.device,
    bar: SharedBar | None,
) -> dict[str, Any]:
    """Train, and leave the reason in the folder if that fails."""
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    try:
        return _train(config, run_id, files, device, bar)
    except Interrupted:
        raise
    except Exception as error:
        files.fail(error)
        raise


def _train(
    config: dict[str, Any],
    run_id: str,
    files: RunWriter,
    device: torch.device,
    bar: SharedBar | None,
) -> dict[str, Any]:
    started = time.monotonic()
    precision = resolve_precision(config["precision"], device)
    trainer = build.build_trainer(config, build.build_task(config), device, files.append_probe)
    task, budget = trainer.task, trainer.budget
    row = describe(config, run_id) | {
        "weight_decay": trainer.optimizer.defaults["weight_decay"],
        "epochs": budget.steps / budget.steps_per_epoch,
        "steps": budget.steps,
        "train_size": len(task.train),
        "eta_sum": build.eta_sum(trainer.eta, trainer.weight_decay_scale),
    }
    if trainer.observer is not None:
        row["probe"] = config["probe"]["name"]
    make_tracker = build.build_tracker(config)
    tracker = make_tracker(
        folder=files.path, id=run_id, name=cell_name(config), group=config["name"],
        job_type="train", tags=[row["optim"]], config=config,
    )  # fmt: skip
    own = progress_bar(budget.steps, "step", disable=bar is not None or not config["progress"])
    with logging_redirect_tqdm(), tracker, own:
        watched = "none" if trainer.observer is None else json.dumps(config["probe"])
        conditions = {"data": task.fingerprint, "precision": precision, "probe": watched}
        scribe = Scribe(files, tracker, bar or own, config["checkpoint_every"], conditions, started)
        scribe.resume(trainer)
        row |= _outcome(trainer, scribe)
        if config["progress"] and row["status"] == FINISHED:
            _write_sample(trainer, row, files)
        row |= {"seconds": round(scribe.seconds(), 3)}
        row |= provenance(device_name(device), precision)
        row = complete(row)
        tracker.finish(row)
    files.finish(row)
    return row


def summarize(row: Mapping[str, Any], folder: Path) -> str:
    """Return the line with which a run ends, below what it has to read."""
    axes = f"{row['optim']} lr={float(row['lr']):g} wd={float(row['wd']):g} seed={row['seed']}"
    if row["status"] == DIVERGED:
        outcome = "diverged"
    else:
        test, train = float(row["test_error"]), float(row["train_error"])
        outcome = f"test error {test:.2f} %, train error {train:.2f} %"
    line = f"{axes}: {outcome}, {float(row['seconds']):.1f} s, {folder}"
    sample = RunFolder(folder).sample()
    return line if sample is None else f"{sample}\n{line}"


def describe(config: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Return the columns of a row that the configuration alone decides."""
    row = {key: config[key]["name"] for key in ("task", "model", "optim", "schedule", "decay")}
    row |= {key: config[key] for key in ("no_decay", "lr", "wd", "batch_size", "seed")}
    row |= {"id": run_id, "experiment": config["name"], "convention": config["optim"]["convention"]}
    return row | settings(config)


@torch.inference_mode()
def _write_sample(trainer: Trainer, final: Mapping[str, float], files: RunWriter) -> None:
    """Leave in the folder what the task has to read, if anything: the same for the same run."""
    if trainer.task.epilogue is None:
        return
    trainer.model.eval()
    with trainer.autocast():
        text = trainer.task.epilogue(trainer.model, final, stream(trainer.seed, "sample"))
    files.write_sample(text + "\n")


def _outcome(trainer: Trainer, scribe: Scribe) -> dict[str, Any]:
    try:
        final = trainer.run(scribe)
    except Diverged as reason:
        log.warning("%s diverged: %s", scribe.files.path.name, reason)
        scribe.log({"diverged": 1.0}, trainer.step)
        return {"status": DIVERGED}
    return {"status": FINISHED} | {k: v for k, v in final.items() if k in MEASURED}

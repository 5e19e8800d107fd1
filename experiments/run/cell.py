"""One run: from a configuration to a row of the runs table."""

import json
import logging
import time
from collections.abc import Generator, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from tqdm.contrib.logging import logging_redirect_tqdm

from experiments import interrupt
from experiments.progress import SharedBar, progress_bar
from experiments.record import tables
from experiments.record.folder import RunFolder, RunWriter, stored_row
from experiments.record.identity import settings
from experiments.record.provenance import now, provenance
from experiments.record.schema import DIVERGED, FINISHED, GROUPS, MEASURED, checked, complete
from experiments.run import build
from experiments.run.device import device_name, resolve_device, resolve_precision
from experiments.run.identify import row_of_other_data, run_identity
from experiments.run.recorder import Recorder
from experiments.run.schema import RunConfig
from experiments.run.trainer import Diverged, Trainer
from experiments.run.validate import validate
from experiments.seeding import stream
from experiments.tracking.mirror import agent_waits

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path) -> Mapping[str, Any]:
    """Run a composed configuration, without Hydra's own part; see :func:`run_cell`."""
    plain = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    return run_cell(RunConfig.from_plain(plain), folder)


def run_cell(
    config: RunConfig, folder: Path, *, warn: bool = True, bar: SharedBar | None = None
) -> Mapping[str, Any]:
    """Train what ``config`` describes, or go on where a killed run stopped, or find it finished.

    Args:
        config: The run's configuration.
        folder: The run folder.
        warn: Whether to say what looks like a mistake; a sweep has said it when it began.
        bar: Is told the steps as they are done; without one there is a bar on stderr, if
            ``progress`` asks for it.

    Returns:
        The run's row of the runs table, also in the folder's result.json.

    Raises:
        UserError: The configuration cannot be run, or the folder not be used.
        Interrupted: The process was asked to stop; the same call goes on.
    """
    cell = course(config, folder, warn=warn, bar=bar)
    try:
        trainer = next(cell)
        while True:
            try:
                trainer.train_step()
            except BaseException as error:
                cell.throw(error)  # the cell leaves its folder in order, and raises it again
            next(cell)
    except StopIteration as end:
        row: Mapping[str, Any] = end.value
        return row


def course(
    config: RunConfig, folder: Path, *, warn: bool = True, bar: SharedBar | None = None
) -> Generator[Trainer, None, Mapping[str, Any]]:
    """Run a cell like :func:`run_cell`, but leave it to the caller to take the steps.

    Many cells can thus train together in one process, each with all that is its own.

    Yields:
        The same trainer whenever its next step is due.
    """
    validate(config)
    plain, probe, place = config.plain(), config.probe.name, (config.results_dir, config.name)
    rows = tables.committed(*place)
    run_id = run_identity(config, rows)
    row = stored_row(folder, run_id, probe, rows)
    if row is not None:
        if agent_waits():
            known = {key: None if value == "" else value for key, value in row.items()}
            with build.build_tracker(config, run_id, folder) as tracker:
                tracker.finish(checked(known))
        with suppress(OSError):
            folder.rmdir()  # Hydra made it, and the row is in the committed table
        log.info("already finished: %s", folder if folder.exists() else tables.file(*place))
        return row
    doubt = build.rehearse(config)
    device = resolve_device(config.device)
    files = RunWriter(folder, plain, run_id)
    if warn and (other := row_of_other_data(config, rows)):
        log.warning("%s", other)
    if doubt and warn:
        log.warning("%s", doubt)
    with files.held(), interrupt.listening():
        ended_meanwhile = stored_row(folder, run_id, probe)
        return ended_meanwhile or (yield from _train(config, run_id, files, device, bar))


def _train(
    config: RunConfig,
    run_id: str,
    files: RunWriter,
    device: torch.device,
    bar: SharedBar | None,
) -> Generator[Trainer, None, dict[str, Any]]:
    started = time.monotonic()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    precision = resolve_precision(config.precision, device)
    trainer = build.build_trainer(config, build.task_on(config, device), device, files.append_probe)
    task, budget = trainer.task, trainer.budget
    row = describe(config, run_id) | {
        "weight_decay": trainer.optimizer.defaults["weight_decay"],
        "epochs": budget.steps / budget.steps_per_epoch,
        "steps": budget.steps,
        "train_size": len(task.train),
        "data": task.data,
        "eta_sum": build.eta_sum(
            trainer.eta, trainer.weight_decay_scale, build.decay_power(config.optim)
        ),
    }
    if trainer.observer is not None:
        row["probe"] = config.probe.name
    if trainer.captured is not None:
        row["capture"] = "true"
    tracker = build.build_tracker(config, run_id, files.path)
    own = progress_bar(budget.steps, "step", disable=bar is not None or not config.progress)
    with nullcontext() if bar else logging_redirect_tqdm(), own:
        watched = "none" if trainer.observer is None else json.dumps(config.probe.plain())
        conditions = {"data": task.fingerprint, "precision": precision, "probe": watched}
        recorder = Recorder(
            files, bar or own, config.checkpoint_every, conditions, started,
            provenance=provenance(device_name(device), precision),
            formerly={"data": task.files_hash},
        )  # fmt: skip
        recorder.resume(trainer)
        with tracker:  # which follows the metrics that resume() has cut back
            row |= yield from _outcome(trainer, recorder)
            if config.progress and row["status"] == FINISHED:
                _write_sample(trainer, row, files)
            row |= recorder.provenance | {"seconds": round(recorder.seconds(), 3), "date": now()}
            row = complete(row)
            files.finish(row)
            tracker.finish(row)
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


def describe(config: RunConfig, run_id: str) -> dict[str, Any]:
    """Return the columns of a row that the configuration alone decides."""
    row = {group: getattr(config, group).name for group in GROUPS}
    row |= {key: getattr(config, key) for key in ("no_decay", "lr", "wd", "batch_size", "seed")}
    row |= {"id": run_id, "experiment": config.name, "convention": config.optim.convention}
    return row | settings(config.plain())


@torch.inference_mode()
def _write_sample(trainer: Trainer, final: Mapping[str, float], files: RunWriter) -> None:
    """Leave in the folder the task's sample of what was learnt: the same for the same run."""
    write_sample = trainer.task.write_sample
    if write_sample is None:
        return
    trainer.model.eval()
    with trainer.autocast():
        text = write_sample(trainer.model, final, stream(trainer.seed, "sample"))
    files.write_sample(text + "\n")


def _outcome(trainer: Trainer, recorder: Recorder) -> Generator[Trainer, None, dict[str, Any]]:
    try:
        final = yield from trainer.run(recorder)
    except Diverged as reason:
        log.warning("%s diverged: %s", recorder.files.path.name, reason)
        recorder.log({"diverged": 1.0}, trainer.step)
        return {"status": DIVERGED}
    return {"status": FINISHED} | {k: v for k, v in final.items() if k in MEASURED}

"""What writes down a run as it goes: metrics to its folder, checkpoints when due."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from experiments import interrupt
from experiments.errors import UserError
from experiments.progress import Bar
from experiments.record.folder import RunWriter
from experiments.record.provenance import continued
from experiments.run.trainer import Trainer

log = logging.getLogger(__name__)

#: Largest share of a run's time that checkpoints may take; costly ones are written less often.
SHARE = 0.02


@dataclass
class Recorder:
    """Writes what the loop learns to the folder.

    Attributes:
        files: The run folder.
        bar: Shows the progress.
        checkpoint_every: Seconds between two checkpoints, at least.
        conditions: What must not change between a stop and the resumption: hash of the data,
            precision, probe.
        started: When the run began, by the monotonic clock.
        formerly: How a condition that still holds was written by earlier versions of this code.
        before: Seconds that earlier attempts took, up to their last checkpoint.
        provenance: What else the bits of the run rest on; it may change while a run is away, which
            the log and the run's row then say.
    """

    files: RunWriter
    bar: Bar
    checkpoint_every: float
    conditions: dict[str, str]
    started: float
    formerly: dict[str, str | None] = field(default_factory=dict)
    before: float = 0.0
    provenance: dict[str, str | int] = field(default_factory=dict)
    _saved: float = field(init=False)  # when, by the same clock
    _cost: float = field(init=False, default=0.0)  # seconds that the last checkpoint took

    def __post_init__(self) -> None:
        self._saved = time.monotonic()

    def seconds(self) -> float:
        """Seconds spent in this run, earlier attempts included up to their last checkpoint."""
        return self.before + time.monotonic() - self.started

    def resume(self, trainer: Trainer) -> None:
        """Go on from the newest whole checkpoint, if there is one.

        Raises:
            UserError: It was written with other data or in another precision.
        """
        for state in self.files.checkpoints.states(trainer.task.test.labels.device):
            for what, now in self.conditions.items():
                begun = state.get(what, "none")  # so was the probe before there were any
                if begun not in (now, self.formerly.get(what)):
                    raise UserError(
                        f"the {what} changed since {self.files.path} was begun ({begun}, "
                        f"now {now}); go on as it was begun, or choose another hydra.run.dir"
                    )
            if not self.files.rewind(state):
                log.warning("%s lost lines that a checkpoint counts on", self.files.path)
                continue
            self.before = state["seconds"]
            known = state.get("provenance", {})  # none in checkpoints from before it was kept
            self.provenance, changes = continued(known, self.provenance)
            if changes:
                log.warning(
                    "%s goes on; its last bits may differ from an uninterrupted run's: %s",
                    self.files.path,
                    "; ".join(changes),
                )
            trainer.load_state_dict(state["trainer"])
            self.bar.update(trainer.step)
            log.info("going on from step %d of %d", trainer.step, trainer.budget.steps)
            return
        self.files.rewind({})

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Keep metrics in the folder."""
        self.files.append({"step": step} | metrics)
        if "test_error" in metrics:
            self.bar.set_postfix_str(f"test error {metrics['test_error']:.1f} %", refresh=False)

    def checkpoint_due(self) -> bool:
        """Whether the time has come, or the process was asked to stop."""
        wait = max(self.checkpoint_every, self._cost / SHARE)
        return time.monotonic() - self._saved > wait or interrupt.received() is not None

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Save, and stop if that was asked for.

        Raises:
            Interrupted: The process was asked to stop.
        """
        begun = time.monotonic()
        everything = {
            "trainer": state,
            "provenance": self.provenance,
            **self.conditions,
            **self.files.sizes(),
            "seconds": self.seconds(),
        }
        self.files.checkpoint(everything)
        self._saved = time.monotonic()
        self._cost = self._saved - begun
        interrupt.raise_if_received()

    def progress(self, step: int) -> None:
        """Show that ``step`` steps are done."""
        self.bar.update(step - self.bar.n)

"""The typed keys of a run's configuration; a wrong name or type is refused when it is composed."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class RunConfig:
    """What configs/train.yaml and the entries it lists may set; the meanings are written there."""

    task: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    decay: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    probe: dict[str, Any] = field(default_factory=dict)
    name: str = MISSING
    lr: float = MISSING
    wd: float = MISSING
    seed: int = MISSING
    epochs: float = MISSING
    batch_size: int = MISSING
    warmup_epochs: float = MISSING
    betas: tuple[float, float] = MISSING
    no_decay: str = MISSING
    loss_scale: float = MISSING
    validation_size: int = MISSING
    eval_every: float = MISSING
    eval_train: bool = MISSING
    precision: str = MISSING
    compile: bool = MISSING
    device: str = MISSING
    threads: int | None = MISSING
    data_dir: str = MISSING
    text_file: str | None = MISSING
    cache_dir: str = MISSING
    runs_dir: str = MISSING
    results_dir: str = MISSING
    checkpoint_every: float = MISSING
    progress: bool = MISSING
    analysis: dict[str, Any] = field(default_factory=dict)


def register() -> None:
    """Make the schema known to Hydra as the entry ``run_schema``."""
    ConfigStore.instance().store(name="run_schema", node=RunConfig)

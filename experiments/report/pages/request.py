"""A request for a report: the keys of ``configs/analyze``, checked and carried out."""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.record import tables
from experiments.record.schema import NAME
from experiments.report.data.commands import Shorten
from experiments.report.pages.settings import Settings
from experiments.report.pages.sweep import Plan, PlanOf, analyze, best, no_plan


def report(
    options: Mapping[str, Any],
    planned: Plan = None,
    preset: Mapping[str, Any] | None = None,
    typed: Collection[str] = (),
    *,
    plan_of: PlanOf = no_plan,
    shorten: Shorten = list,
    refresh: bool = False,
) -> str:
    """Make the report that the keys of ``configs/analyze`` ask for; return its summary.

    Args:
        options: Every key of the configuration.
        planned: The runs of the preset, if there is one.
        preset: Its settings, which hold unless typed.
        typed: The keys that were given on the command line. Where these ask for other settings than
            the preset's, the report has files of its own.
        plan_of: From the name of another experiment to its planned runs, if it is a preset.
        shorten: How to leave out of a command what the configuration has anyway.
        refresh: Whether an open page loads itself again, as the sweep goes on.

    Raises:
        UserError: A key is unknown or has a value that it cannot have, or there are no runs.
    """
    usual = {key: value for key, value in options.items() if key not in typed} | dict(preset or {})
    options = {**usual, **{key: options[key] for key in typed if key in options}}
    name, source, mirror = (options.pop(key) for key in ("experiment", "source", "log_figures"))
    wanted = {key: options.pop(key, False) for key in ("html", "latex", "best")}
    for key, value in wanted.items():
        if not isinstance(value, bool):
            raise UserError(f"{key}={value} must be true or false")
    folders = {key: options.pop(key) for key in ("runs_dir", "results_dir")}
    unknown = set(options) - {field.name for field in fields(Settings)}
    if unknown:
        raise UserError(f"unknown analysis settings: {', '.join(sorted(unknown))}")
    if name == "???":
        known = tables.experiments(*(Path(folder) for folder in folders.values()))
        have = ", ".join(known) or "none yet"
        raise UserError(f"give experiment=NAME; experiments with runs: {have}")
    if not NAME.fullmatch(str(name)):
        raise UserError(f"experiment must be a plain name, as of a folder in runs/, got {name!r}")
    settings = _settings(options)
    own = {key: value for key, value in usual.items() if key in options}
    settings = replace(settings, suffix=_suffix(settings, _settings(own)))
    project, exported = _project(source, mirror), None
    if project:
        from experiments.tracking.wandb_runs import log_figures, runs_table

        exported = runs_table(project, name)
    common = folders | {"settings": settings, "exported": exported, "shorten": shorten}
    if wanted.pop("best"):
        return best(name, **common)
    made = analyze(name, **common, planned=planned, plan_of=plan_of, refresh=refresh, **wanted)
    if mirror and project:
        log_figures(project, name, [str(path) for path in made.figures])
    return made.text


def _settings(options: Mapping[str, Any]) -> Settings:
    options = dict(options)
    for key in ("panels", "figures", "also"):
        chosen: Any = options.get(key) or Settings.__dataclass_fields__[key].default
        options[key] = (chosen,) if isinstance(chosen, str) else tuple(chosen)
    return Settings(**options)


def _suffix(asked: Settings, usual: Settings) -> str:
    """Say in a file name what sets a report apart from the usual one; '' if nothing does."""
    words = []
    for key in (field.name for field in fields(Settings)):
        value = getattr(asked, key)
        if value != getattr(usual, key):
            told = "-".join(value) if isinstance(value, tuple) else str(value)
            words.append(told if key in ("metric", "axis") else f"{key}-{told}")
    return "".join(f"_{word}" for word in words)


def _project(source: str, mirror: bool) -> str | None:
    kind, _, project = source.partition(":")
    if kind == "local" and not mirror and not project:
        return None
    if kind != "wandb" or project.count("/") != 1:
        where = "log_figures=true needs source" if mirror else "source"
        raise UserError(f"{where}=wandb:ENTITY/PROJECT, not {source}")
    return project

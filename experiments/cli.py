"""What a person sees of a mistake: one clear line, no traceback."""

import functools
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, suppress
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    OmegaConfBaseException,
    ValidationError,
)

from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.run.schema import did_you_mean, register
from experiments.sweep import grid

log = logging.getLogger(__name__)

#: What OmegaConf's types take, in words.
TYPES = {"Float": "a number", "Integer": "a whole number"}
#: What keys are called elsewhere -> what they are here.
OTHER_NAMES = {
    "weight_decay": "wd (the paper's λ, which is torch's weight_decay times lr)",
    "learning_rate": "lr",
}
VERBOSE = os.environ.get("HYDRA_FULL_ERROR") == "1"


def entry_point(*, sweeps: bool = True) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Make a decorator of ``hydra.main`` functions that reports mistakes in one line.

    With HYDRA_FULL_ERROR=1 the whole traceback is shown. The exit code is 2 for a mistake in what
    was asked for, 1 for any other failure, 128 plus the signal's number (130 after Ctrl-C) for a
    run that was interrupted.

    Args:
        sweeps: Whether the program takes lists of values, with ``-m``.
    """

    def wrap(main: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(main)
        def wrapper() -> None:
            register()
            os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits before we see it
            with one_line_errors(sweeps=sweeps):
                check_options(sys.argv[1:], sweeps=sweeps)
                main()

        return wrapper

    return wrap


class one_line_errors(ContextDecorator):  # noqa: N801
    """Exit with one line on a mistake in what was asked for; other errors keep their traceback.

    It stands both around Hydra and inside it, since Hydra announces what leaves a task function. A
    cell of a sweep that another launcher than ours runs leaves by its exception, lest it end the
    sweep.

    Args:
        sweeps: Whether the program takes lists of values, with ``-m``.
    """

    def __init__(self, *, sweeps: bool = True):
        self.sweeps = sweeps

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Interrupted | KeyboardInterrupt):
            sys.stderr.write("interrupted; the same command goes on where it stopped\n")
            sys.exit(getattr(error, "code", 130))
        if error is None or not _is_mistake(error):
            return
        _remove_empty_folder()
        line = explain(error, sweeps=self.sweeps)
        if _in_sweep():
            log.error("%s failed: %s", run_folder(), line)
            return
        if not VERBOSE:
            sys.stderr.write(f"error: {line}\n")
            sys.exit(2)


def _is_mistake(error: BaseException) -> bool:
    """Whether an error is about what was asked for, and not about our code."""
    kinds = (UserError, HydraException, OmegaConfBaseException, OSError)
    return isinstance(error, kinds) or (
        isinstance(error, ValueError | AssertionError) and _raised_by_hydra(error)
    )


def _in_sweep() -> bool:
    """Whether this is a cell that Hydra runs as one of several."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether Hydra itself refuses what was typed, and not something that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals["__name__"].startswith("hydra.")


def check_options(arguments: Sequence[str], *, sweeps: bool = True) -> None:
    """Refuse options that Hydra does not have, as it would, but with the words to type instead.

    Args:
        arguments: Those of the command.
        sweeps: Whether the program takes lists of values, with ``-m``.

    Raises:
        UserError: There is no such option, or it stands where it is not read.
    """
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise UserError(message)

    parser.error = fail  # type: ignore[method-assign]
    known, unknown = parser.parse_known_args(arguments)
    if known.multirun and not sweeps:
        raise UserError(f"{command()} takes one value for each key, and no -m")
    if not unknown:
        return
    options = [word for word in unknown if word.startswith("-")]
    if options:
        word = options[0].lstrip("-")
        if "=" not in word and known.overrides and "=" not in known.overrides[0]:
            word = f"{word}={known.overrides[0]}"
        raise UserError(
            f"there is no option {options[0]}; keys go without dashes: {word} "
            "(in a W&B sweep: ${args_no_hyphens})"
        )
    taken = [word for word in arguments if word not in (*known.overrides, *unknown)]
    words = shlex.join([*taken, *known.overrides, *unknown])
    raise UserError(f"options go before the keys: {command()} {words}")


def command() -> str:
    """Return how this program was called."""
    return f"python {Path(sys.argv[0]).name}"


def explain(error: BaseException, *, sweeps: bool = True) -> str:
    """Return one line that says what is wrong with what was typed.

    Args:
        error: What was raised.
        sweeps: Whether the program takes lists of values, with ``-m``.
    """
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return str(cause)
    for cause in chain:
        if isinstance(cause, MissingConfigException):
            return _missing_entry(cause)
        if isinstance(cause, OSError):  # so is a MissingConfigException
            return f"{cause.filename or 'file'}: {cause.strerror or cause}"
        if isinstance(cause, ConfigKeyError | ConfigAttributeError):
            return _unknown_key(cause)
        if isinstance(cause, OverrideParseException):
            return _unreadable(cause)
        if isinstance(cause, ValidationError) and (line := _wrong_type(cause)):
            return line
        if "Ambiguous value for argument" in str(cause) or "requires --multirun" in str(cause):
            if not sweeps:
                return f"{command()} takes one value for each key"
            return f"a list of values needs -m: {command()} -m {shlex.join(sys.argv[1:])}"
    lines = [line.strip() for line in str(chain[-1]).splitlines() if line.strip()]
    keys = [line.split(":", 1)[1].strip() for line in lines if line.startswith("full_key:")]
    if keys:
        return f"{keys[0]}: {' '.join(lines[: 1 + lines[0].endswith(':')])}"
    return " ".join(lines[:2]) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _unreadable(error: OverrideParseException) -> str:
    """Say how a word that Hydra's grammar has no reading for is to be typed."""
    word = error.override
    key, equals, value = (part.strip() for part in word.partition("="))
    if not equals or not key:
        return f"cannot read {word!r}: an override is KEY=VALUE"
    value = os.path.expanduser(value.lstrip("= "))
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    for better in (f"{key}={value}", f'{key}="{quoted}"'):
        with suppress(HydraException):
            OverridesParser.create().parse_override(better)
            if "," not in value:  # which would end in a list of values, or in a long one
                return f"cannot read {word!r}; type {shlex.quote(better)}"
    return f"cannot read {word!r}: {str(error).splitlines()[0]}"


def _wrong_type(error: ValidationError) -> str:
    """Say what a key of the schema takes; empty where OmegaConf says something else."""
    found = re.search(r"Value '(.*)' of type .* could not be converted to (\w+)", str(error))
    if found is None or found[2] not in TYPES or not error.full_key:
        return ""
    return f"{error.full_key} must be {TYPES[found[2]]}, got {found[1]!r}"


def _missing_entry(error: MissingConfigException) -> str:
    if error.options is None:
        return str(error).split("\n")[0]
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    options = sorted(error.options or [])
    hint = did_you_mean(name, {*options}, f"{group}=") or f"; there are: {', '.join(options)}"
    return f"there is no {group}={name}{hint}"


def _unknown_key(error: OmegaConfBaseException) -> str:
    key = error.full_key or str(error.key)
    group, _, name = key.partition(".")
    chosen = next((word for word in sys.argv if word.startswith(f"{group}=")), "")
    if name and chosen:
        return f"{chosen} has no key {name}"
    if key in OTHER_NAMES:
        return f"there is no key {key}; did you mean {OTHER_NAMES[key]}?"
    parent, (above, _, last) = error.parent_node, key.rpartition(".")
    if above and OmegaConf.is_dict(parent):
        there = [str(other) for other in parent if other != last]
        hint = did_you_mean(last, set(there), f"{above}.") or f"; {above} takes {', '.join(there)}"
        return f"there is no key {key}{hint}"
    inside = key.startswith("hydra.")
    known = {k for k in _known_keys() if k.startswith("hydra.") == inside} - {key}
    return f"there is no key {key}{did_you_mean(key, known)}"


def _known_keys() -> Iterator[str]:
    """Yield every key and group of the default configuration."""
    config = grid.default()

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for key in node:
            yield f"{prefix}{key}"
            if OmegaConf.is_dict(node._get_node(key)):
                yield from walk(node._get_node(key), f"{prefix}{key}.")

    yield from walk(config, "")
    yield "experiment"


def refuse_sweep_without_multirun() -> None:
    """Refuse a preset that describes a sweep when one run was asked for.

    Raises:
        UserError: Says the command to type.
    """
    hydra = HydraConfig.get()
    cells = grid.combinations(grid.loader(), *grid.axes_of(hydra.sweeper), [])
    if hydra.mode == RunMode.RUN and len(cells) > 1:
        words, preset = shlex.join(hydra.overrides.task), hydra.runtime.choices["experiment"]
        raise UserError(
            f"experiment={preset} is a sweep of {len(cells)} runs; type: {command()} -m {words}"
        )


def run_folder() -> Path:
    """Return the folder that Hydra gave this run, relative to where the command was typed."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _remove_empty_folder() -> None:
    """Take back the run folder that Hydra made before the mistake was seen."""
    with suppress(Exception):
        hydra = HydraConfig.get()
        folder, sweep = Path(hydra.runtime.output_dir), Path(hydra.sweep.dir).resolve()
        folder.rmdir()
        for parent in (folder.parent, folder.parent.parent):
            if parent.is_relative_to(sweep.parent):
                parent.rmdir()

"""What a person sees of a mistake: one clear line, no traceback."""

import functools
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from experiments.errors import UserError
from experiments.interrupt import Interrupted
from experiments.run.schema import register
from experiments.sweep import grid
from experiments.sweep.compose import register_resolvers

VERBOSE = os.environ.get("HYDRA_FULL_ERROR") == "1"


def entry_point(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap a ``hydra.main`` function: register what it needs, report mistakes in one line.

    With HYDRA_FULL_ERROR=1 the whole traceback is shown. The exit code is 2 for a mistake in what
    was asked for, 1 for any other failure, 128 plus the signal's number (130 after Ctrl-C) for a
    run that was interrupted.
    """

    @functools.wraps(main)
    def wrapper() -> None:
        register()
        register_resolvers()
        os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits before we see it
        with one_line_errors():
            main()

    return wrapper


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Exit with one line on a mistake in what was asked for; other errors keep their traceback.

    It stands both around Hydra and inside it, since Hydra announces what leaves a task function.
    """
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        _remove_empty_folder()
        if VERBOSE:
            raise
        sys.stderr.write(f"error: {explain(error)}\n")
        sys.exit(2)
    except OSError as error:
        if VERBOSE:
            raise
        sys.stderr.write(f"error: {error.filename or 'file'}: {error.strerror or error}\n")
        sys.exit(2)
    except (Interrupted, KeyboardInterrupt) as stop:
        sys.stderr.write("interrupted; the same command goes on where it stopped\n")
        sys.exit(getattr(stop, "code", 130))


def explain(error: Exception) -> str:
    """Return one line that says what is wrong with what was typed."""
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, UserError):
            return str(cause)
    for cause in chain:
        if isinstance(cause, MissingConfigException) and cause.options is not None:
            return _missing_entry(cause)
        if isinstance(cause, ConfigKeyError | ConfigAttributeError):
            return _unknown_key(cause)
        if isinstance(cause, OverrideParseException):
            return _unreadable(cause)
        if "Ambiguous value for argument" in str(cause):
            return f"a list of values needs -m: python train.py -m {' '.join(sys.argv[1:])}"
    lines = [line.strip() for line in str(chain[-1]).splitlines() if line.strip()]
    keys = [line.split(":", 1)[1].strip() for line in lines if line.startswith("full_key:")]
    if keys:
        return f"{keys[0]}: {lines[0]}"
    return " ".join(lines[:2]) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _unreadable(error: OverrideParseException) -> str:
    """Say how to quote what Hydra reads in quotes only, such as ``~`` and letters with accents."""
    reason = str(error).splitlines()[0]
    key, sign, value = error.override.partition("=")
    if not reason.startswith("Lexer") or not sign:
        return f"cannot read {error.override!r}: {reason}"
    quoted = shlex.quote(f'{key}="{value}"')
    return f"cannot read {error.override!r}: the shell and Hydra each need quotes; type {quoted}"


def _missing_entry(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    options = sorted(error.options or [])
    near = get_close_matches(name, options, n=1)
    hint = f"did you mean {group}={near[0]}? " if near else ""
    return f"there is no {group}={name}; {hint}there are: {', '.join(options)}"


def _unknown_key(error: OmegaConfBaseException) -> str:
    key = error.full_key or str(error.key)
    group, _, name = key.partition(".")
    chosen = next((word for word in sys.argv if word.startswith(f"{group}=")), "")
    if name and chosen:
        return f"{chosen} has no key {name}"
    near = get_close_matches(key, set(_known_keys()) - {key}, n=1)
    return f"there is no key {key}" + (f"; did you mean {near[0]}?" if near else "")


def _known_keys() -> Iterator[str]:
    """Yield every key and group of the default configuration."""
    config = grid.default()

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for key in node:
            yield f"{prefix}{key}"
            if OmegaConf.is_dict(node._get_node(key)) and key != "hydra":
                yield from walk(node._get_node(key), f"{prefix}{key}.")

    yield from walk(config, "")
    yield "experiment"


def refuse_sweep_without_multirun() -> None:
    """Refuse a preset that describes a sweep when one run was asked for.

    Raises:
        UserError: Says the command to type.
    """
    hydra = HydraConfig.get()
    cells = grid.combinations(
        hydra.sweeper.get("params") or {}, hydra.sweeper.get("grids") or [], []
    )
    if hydra.mode == RunMode.RUN and len(cells) > 1:
        words = " ".join(hydra.overrides.task)
        raise UserError(
            f"experiment={hydra.runtime.choices.experiment} is a sweep of {len(cells)} runs; "
            f"type: python train.py -m {words}"
        )


def run_folder() -> Path:
    """Return the folder that Hydra gave this run, relative to where the command was typed."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _remove_empty_folder() -> None:
    """Take back the run folder that Hydra made before the mistake was seen."""
    if HydraConfig.initialized():
        folder = Path(HydraConfig.get().runtime.output_dir)
        with suppress(Exception):
            folder.rmdir()
            for parent in (folder.parent, folder.parent.parent):
                if parent.is_relative_to(Path(HydraConfig.get().sweep.dir).parent.resolve()):
                    parent.rmdir()

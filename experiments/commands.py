"""What analyze.py can be asked to do; each command is a function of the keys that it reads."""

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments.errors import UserError

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Command:
    """One thing that analyze.py does.

    Attributes:
        run: Takes the configuration and the keys that were typed; returns what is printed.
        keys: Those of ``configs/analyze`` that it reads; None for all.
    """

    run: Callable[[Options, Collection[str]], str]
    keys: tuple[str, ...] | None


def run(options: Options, typed: Collection[str]) -> str:
    """Do what is asked for and return what a person is to read.

    Args:
        options: Every key of ``configs/analyze``, resolved.
        typed: The keys that were given on the command line.

    Raises:
        UserError: There is no such command, or it reads no key that was typed, or it cannot be
            done.
    """
    name = str(options["command"])
    command = COMMANDS.get(name)
    if command is None:
        raise UserError(f"command must be one of {', '.join(COMMANDS)}, got {name}")
    own = {"command", *CALCULATOR}
    keys = [key for key in options if key not in own] if command.keys is None else command.keys
    for key in sorted({key.split(".")[0] for key in typed} - {"command", *keys}):
        raise UserError(f"command={name} reads no {key}; it reads {', '.join(keys)}")
    rest = {key: options[key] for key in keys if key in options}
    return command.run(rest, set(typed) - own)


def current_form(words: Sequence[str]) -> list[str]:
    """Return a command line in today's words, and say so on stderr if it was in those of before."""
    if any(word.startswith("command=") for word in words):
        return list(words)
    kept = [word for word in words if word not in OLD_NO_OPS]
    now = [OLD_FORMS.get(word, word) for word in kept]
    if now != kept:
        sys.stderr.write(f"now: python analyze.py {shlex.join(now)}\n")
    return now


def _report(options: Options, typed: Collection[str]) -> str:
    from experiments.report.pages.request import report
    from experiments.sweep.grid import analysis, planned, shortest

    preset = analysis(options["experiment"], options["runs_dir"])
    plan = planned(options["experiment"])
    watched = options.get("watch", False)
    if not isinstance(watched, bool):
        raise UserError(f"watch={watched} must be true or false")
    rest = {key: value for key, value in options.items() if key != "watch"}
    report_on = partial(
        report, rest, plan, preset, set(typed) - {"watch"}, plan_of=planned, shorten=shortest
    )
    if not watched:
        return report_on()
    from experiments.sweep.slurm.status import status
    from experiments.watch import watch

    place = options["experiment"], options["runs_dir"], options["results_dir"]
    return watch(
        lambda goes_on: report_on(refresh=goes_on),
        lambda: Counter(cell.state for cell in status(*place)),
    )


def _status(options: Options, typed: Collection[str]) -> str:
    from experiments.sweep.slurm.status import status_of

    return status_of(options)


def _cost(options: Options, typed: Collection[str]) -> str:
    from experiments.sweep.cost import cost_of  # trains for some seconds

    return cost_of(options["experiment"])


def _verdict(options: Options, typed: Collection[str]) -> str:
    from experiments.report.pages.verdict import write_verdict

    return write_verdict(Path(options["results_dir"]))


def _why(options: Options, typed: Collection[str]) -> str:
    from experiments.report.pages.why import write_why

    return write_why(Path(options["runs_dir"]), Path(options["results_dir"]))


def _laws(options: Options, typed: Collection[str]) -> str:
    from experiments.report.pages.laws import write_laws
    from experiments.report.statistics.laws import LAWS
    from experiments.sweep.grid import cost, planned

    presets = [law.preset for law in LAWS]
    costs = {name: cost(name) for name in presets}
    counts = {name: len(planned(name) or []) for name in presets}
    return write_laws(Path(options["results_dir"]), costs, counts)


def _transfer(options: Options, typed: Collection[str]) -> str:
    from experiments.report.pages.transfer import carry_over

    return carry_over(Path(options["results_dir"]), options["known"], options["new"])


def _propositions(options: Options, typed: Collection[str]) -> str:
    from experiments.propositions import check_propositions  # computes with torch

    return check_propositions(Path(options["results_dir"]))


COMMANDS = {
    "report": Command(_report, None),
    "status": Command(_status, ("experiment", "runs_dir", "results_dir")),
    "cost": Command(_cost, ("experiment",)),
    "verdict": Command(_verdict, ("results_dir",)),
    "why": Command(_why, ("runs_dir", "results_dir")),
    "propositions": Command(_propositions, ("results_dir",)),
    "laws": Command(_laws, ("results_dir",)),
    "transfer": Command(_transfer, ("results_dir", "known", "new")),
}
#: Keys that the calculator alone reads, each with keys of its own.
CALCULATOR = ("known", "new")
#: What was typed before there was ``command`` -> what is typed now.
OLD_FORMS = {
    "status=true": "command=status",
    "cost=true": "command=cost",
    "experiment=verdict": "command=verdict",
    "experiment=why": "command=why",
    "experiment=propositions": "command=propositions",
    "experiment=laws": "command=laws",
}
OLD_NO_OPS = ("status=false", "cost=false")

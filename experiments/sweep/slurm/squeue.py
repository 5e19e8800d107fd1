"""What Slurm says of our jobs, asked in one call however many they are."""

import logging
import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass

log = logging.getLogger(__name__)

TIMEOUT = 60.0  # seconds; a controller that is busy may take long
#: States in which a job will still do something; every other state is an end.
ACTIVE = {
    *("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "REQUEUE_HOLD"),
    *("REQUEUE_FED", "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED"),
}


class Unreachable(Exception):
    """Slurm is not here, or does not answer; the message says which."""


@dataclass(frozen=True)
class SlurmTask:
    """One element of an array, or a job that is none.

    Attributes:
        name: The job's name.
        index: Of the job in its array; 0 for a job that is none.
        job: What Slurm calls it, ``1234_5`` or ``1234``.
        state: Slurm's word for it.
        reason: Slurm's word for why it waits.
    """

    name: str
    index: int
    job: str
    state: str
    reason: str

    @property
    def active(self) -> bool:
        """Whether the job waits or runs, and has not ended."""
        return self.state in ACTIVE


def tasks() -> dict[tuple[str, int], SlurmTask]:
    """Return this user's jobs by name and index, with those that Slurm has not forgotten yet.

    Raises:
        Unreachable: There is no answer.
    """
    words = ["--me", "--noheader", "--array", "--states=all"]
    found: dict[tuple[str, int], SlurmTask] = {}
    for line in _ask("squeue", *words, "--format=%j|%F|%K|%T|%r").splitlines():
        if line.count("|") < 4:
            continue
        name, job, index_text, state, reason = line.rsplit("|", 4)
        index = int(index_text) if index_text.isdigit() else 0
        job = f"{job}_{index_text}" if index_text.isdigit() else job
        task = SlurmTask(name, index, job, state, reason)
        if not (known := found.get((name, index))) or task.active or not known.active:
            found[name, index] = task
    return found


def ends(jobs: Collection[str]) -> dict[str, str]:
    """Return how jobs ended that the queue has forgotten, where the cluster keeps accounts.

    Args:
        jobs: Slurm's numbers of the jobs or arrays.
    """
    if not jobs:
        return {}
    words = ["--allocations", "--noheader", "--parsable2", "--jobs", ",".join(sorted(jobs))]
    try:
        answer = _ask("sacct", *words, "--format=JobID,State")
    except Unreachable:
        return {}
    pairs = (line.split("|", 1) for line in answer.splitlines() if "|" in line)
    return {job: state.split()[0] for job, state in pairs if state}


def preempted(job: str) -> bool:
    """Whether a job runs in the grace time of a preemption; if it just ends, it stays ended.

    Args:
        job: Slurm's number of it.
    """
    try:
        answer = _ask("scontrol", "show", "job", job)
    except Unreachable:
        return False
    return "JobState=RUNNING" in answer and bool(re.search(r"\bPreemptTime=\d", answer))


def largest_array() -> int:
    """Return how many jobs one array may have here.

    Raises:
        Unreachable: There is no answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.M)
    return max(1, int(found.group(1)) - 1) if found else 1000


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        raise Unreachable(f"there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{command[0]} does not answer") from None
    if done.returncode:
        raise Unreachable(f"{command[0]}: {' '.join(done.stderr.split()) or done.returncode}")
    return done.stdout

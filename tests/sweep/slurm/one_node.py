"""A real Slurm of one node for the tests: its daemons run from a folder and leave nothing behind.

python tests/slurm/one_node.py FOLDER    # starts one, says what to export, ends with Ctrl-C
"""

import getpass
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
INSTALL = "apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge"

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# a requeued job waits until the credential of its last start has expired
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# more cores than the machine has, since the tests' jobs mostly wait
SlurmdParameters=config_overrides
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# with preempt_send_user_signal a preempted job gets the signal it asked for, without it SIGTERM
{user_signal}
JobRequeue=1
ReturnToService=2
KillWait=5
MinJobAge=300
MaxArraySize={max_array}
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 NodeHostname={host} CPUs=8 RealMemory={memory} Gres=gpu:{gpus}
PartitionName=main Nodes={host} Default=YES PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes={host} PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
"""
USER_SIGNAL = "SlurmctldParameters=preempt_send_user_signal"


def absent():
    """Why there can be no Slurm here, or None."""
    missing = [name for name in NEEDED if not _program(name)]
    if missing:
        return f"no {', '.join(missing)} here; {INSTALL}"
    return None if os.geteuid() == 0 else "Slurm's daemons need root"


def _program(name):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class OneNode:
    """Runs inside a ``with`` block; ``environment`` is what its clients need.

    Args:
        max_array: MaxArraySize.
        gpus: Devices that Slurm takes for GPUs and deals to jobs; they compute nothing.
        user_signal: Whether a preempted job gets the signal it asked for, and not SIGTERM.
    """

    def __init__(self, max_array=1001, gpus=0, user_signal=True):
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # munged insists that its clients can reach it
        self.max_array, self.gpus, self.user_signal = max_array, gpus, user_signal
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        host = socket.gethostname().split(".")[0]
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host, user=getpass.getuser(), folder=self.folder, memory=pages - 512,
                ports=[_free_port(), _free_port()], max_array=self.max_array, gpus=self.gpus,
                user_signal=USER_SIGNAL if self.user_signal else "",
            )
        )  # fmt: skip
        for i in range(self.gpus):  # it must be a device; this one is another /dev/null
            os.mknod(self.folder / f"gpu{i}", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        lines = [f"Name=gpu File={self.folder}/gpu{i}\n" for i in range(self.gpus)]
        (self.folder / "gres.conf").write_text("".join(lines))
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
        try:
            self._start(host)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, host):
        key, socket_file = self.folder / "munge.key", self.folder / "munge.socket"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        self._run(
            "munged", f"--key-file={key}", f"--socket={socket_file}",
            f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )  # fmt: skip
        _until(socket_file.exists, "munged")
        configuration = self.environment["SLURM_CONF"]
        self._run("slurmctld", "-i", "-c", "-f", configuration)
        _until(lambda: "is UP" in self.ask("scontrol", "ping"), "slurmctld")
        self._run("slurmd", "-f", configuration, "-N", host)
        _until(lambda: self.ask("sinfo", "-h", "-p", "main", "-o", "%t").strip() == "idle", "node")

    def _run(self, name, *arguments):
        environment = os.environ | self.environment
        command = [_program(name), *arguments]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=30)

    def ask(self, *command):
        """Run one of Slurm's commands and return what it says."""
        environment = os.environ | self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout

    def __exit__(self, *exception):
        if _alive(self._pid("slurmctld")):
            self.ask("scancel", f"--user={getpass.getuser()}")
            self.ask("scancel", "--signal=KILL", f"--user={getpass.getuser()}")
            end = time.monotonic() + 15
            while self.ask("squeue", "-h").strip() and time.monotonic() < end:
                time.sleep(0.2)
        for name in ("slurmd", "slurmctld", "munged"):
            _end(self._pid(name))
        shutil.rmtree(self.folder)

    def _pid(self, name):
        try:
            return int((self.folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until(happened, what, seconds=30):
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} does not start")
        time.sleep(0.05)


def _alive(pid):
    try:
        return pid is not None and ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def _end(pid):
    if not _alive(pid):
        return
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    if _alive(pid):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    with OneNode() as node:
        sys.stdout.write(f"export SLURM_CONF={node.environment['SLURM_CONF']}\n")
        sys.stdout.flush()
        signal.pause()

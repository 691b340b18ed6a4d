"""A real Slurm of one node in a temporary folder, from Debian's packages slurm-wlm and munge.

It has four CPUs whatever the machine has, two GPUs that nothing stands behind, and two partitions: jobs of `urgent`
preempt those of `normal`, which get `grace` seconds and are queued again. With accounting, from Debian's packages
mariadb-server and slurmdbd, `sacct` answers too.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
ACCOUNTING_PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db")
CONFIGURATION = """
ClusterName=toy
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
MaxArraySize=64
GresTypes=gpu
NodeName={host} CPUs={cpus} RealMemory=4000 Gres=gpu:2 State=UNKNOWN
PartitionName=normal Nodes={host} Default=YES PriorityTier=1 GraceTime={grace} MaxTime=INFINITE
PartitionName=urgent Nodes={host} PriorityTier=10 MaxTime=INFINITE
"""
ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={host}
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=limits
"""
DATABASE_DAEMON = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage_port}
StorageUser=slurm
StoragePass=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
USER = "create user slurm@127.0.0.1 identified by 'slurm'; grant all on *.* to slurm@127.0.0.1"


def missing(programs: Sequence[str] = PROGRAMS) -> str:
    """Why there can be no such cluster here; empty if there can."""
    absent = [name for name in programs if shutil.which(name, path=search_path()) is None]
    return f"no {', '.join(absent)} on this machine" if absent else ""


def search_path() -> str:
    """PATH with the folders of daemons."""
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])


class Cluster:
    """A cluster that runs.

    folder       its files
    environment  of processes that are to find it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": search_path(), "SLURM_CONF": str(folder / "slurm.conf")}

    def command(self, *arguments: str) -> str:
        """What one of Slurm's commands prints."""
        return subprocess.run(
            arguments, env=self.environment, capture_output=True, text=True, check=True, timeout=300
        ).stdout

    def tasks(self) -> dict[str, str]:
        """The state of every task that the controller remembers, by id."""
        lines = self.command("squeue", "--noheader", "--array", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_until_idle(self) -> None:
        """Wait until the node can take jobs."""
        self.wait_for(lambda: "idle" in self.command("sinfo", "--noheader", "--format=%T").split())

    @staticmethod
    def wait_for(condition: object, seconds: float = 300) -> None:
        """Wait until a function without arguments is true.

        Raises:
            TimeoutError: it is not in time.
        """
        assert callable(condition)
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.2)


@contextmanager
def running(cpus: int = 4, grace: int = 5, *, accounting: bool = False) -> Iterator[Cluster]:
    """A cluster, which ends with all that runs on it."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path has at most 107 letters
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cluster = Cluster(folder)
        configure(folder, cpus, grace)
        files = {kind: f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")}
        start = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files.values()]
        stack.enter_context(daemon(start, cluster.environment))
        cluster.wait_for((folder / "munge.socket").exists)
        if accounting:
            stack.enter_context(database(cluster))
        for name in ("slurmctld", "slurmd"):
            stack.enter_context(daemon([name, "-D"], cluster.environment))
        cluster.wait_for(lambda: succeeds(cluster, "sinfo"))
        stack.callback(end_jobs, cluster)
        cluster.wait_until_idle()
        yield cluster


def configure(folder: Path, cpus: int, grace: int) -> None:
    """Write the files that the daemons read."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    text = CONFIGURATION.format(
        host=host(), user=getpass.getuser(), ports=free_ports(2), folder=folder, cpus=cpus, grace=grace
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")


@contextmanager
def database(cluster: Cluster) -> Iterator[None]:
    """What keeps the accounts of the cluster, before its controller starts."""
    folder, user = cluster.folder, getpass.getuser()
    port, storage_port = free_ports(2)
    accounting = ACCOUNTING.format(host=host(), port=port, folder=folder)
    with open(folder / "slurm.conf", "a") as file:
        file.write(accounting)
    own = folder / "slurmdbd.conf"
    own.write_text(DATABASE_DAEMON.format(host=host(), port=port, folder=folder, user=user, storage_port=storage_port))
    own.chmod(0o600)
    data, door = f"--datadir={folder}/data", f"--socket={folder}/database.socket"
    cluster.command("mariadb-install-db", "--no-defaults", f"--user={user}", data)
    where = (f"--port={storage_port}", "--bind-address=127.0.0.1", f"--pid-file={folder}/database.pid")
    with daemon(["mariadbd", "--no-defaults", f"--user={user}", data, door, *where], cluster.environment):
        cluster.wait_for(lambda: succeeds(cluster, "mariadb", "--no-defaults", door, f"--execute={USER}"))
        with daemon(["slurmdbd", "-D"], cluster.environment):
            cluster.wait_for(lambda: succeeds(cluster, "sacctmgr", "--immediate", "add", "cluster", "toy"))
            cluster.command("sacctmgr", "--immediate", "add", "account", "lab")
            cluster.command("sacctmgr", "--immediate", "add", "user", getpass.getuser(), "account=lab")
            yield


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def host() -> str:
    """The name of this machine, as Slurm takes it."""
    return socket.gethostname().partition(".")[0]


@contextmanager
def daemon(command: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """A process that runs meanwhile."""
    path = shutil.which(command[0], path=environment["PATH"])
    assert path is not None
    process = subprocess.Popen(
        [path, *command[1:]], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def succeeds(cluster: Cluster, *command: str) -> bool:
    """Whether a command does."""
    asked = subprocess.run(command, env=cluster.environment, capture_output=True, check=False, timeout=300)
    return asked.returncode == 0


def end_jobs(cluster: Cluster) -> None:
    """Cancel all jobs and wait until their processes are gone, before the daemons are."""
    for task in cluster.tasks():
        subprocess.run(["scancel", "--signal=KILL", task], env=cluster.environment, capture_output=True, check=False)
        subprocess.run(["scancel", task], env=cluster.environment, capture_output=True, check=False)
    active = {"RUNNING", "COMPLETING", "PENDING"}
    cluster.wait_for(lambda: not active & set(cluster.tasks().values()))

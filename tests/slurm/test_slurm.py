"""Sweeps on a real Slurm: whatever happens to tasks, node and launcher, the bytes are those of a local run."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from mfmarl.jobs import slurm
from mfmarl.jobs.execution import Hardware
from mfmarl.jobs.folder import folder
from mfmarl.jobs.workers import Place
from mfmarl.scripting.options import parse
from tests.slurm.cluster import ACCOUNTING_PROGRAMS, Cluster, missing, running
from tests.slurm.sweep import SweepOptions, run, sweep

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
ROOT = Path(__file__).parents[2]
LONG = ("--evaluations", "150")  # far more than are over when a job is stopped at its first checkpoint
ODD = 'o d\'d "é", $x'  # name of a folder
SHARED = ("--workers", "2", "--slurm-tasks", "1")  # both jobs in one task


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("submitit")
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No launcher outlives its test."""
    yield
    while Sweep.started:
        process = Sweep.started.pop().process
        process.kill()
        process.communicate()


class Sweep:
    """A launcher that runs, of tests/slurm/sweep.py or another script, and what it says."""

    started: ClassVar[list[Sweep]] = []

    def __init__(
        self,
        cluster: Cluster,
        out: Path,
        *arguments: str,
        script: tuple[str, ...] = ("-m", "tests.slurm.sweep"),
        cwd: Path = ROOT,
    ):
        self.cluster, self.out = cluster, out
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        common = ("--launcher", "slurm", "--accelerator", "cpu", "--checkpoint-seconds", "0", "--out", str(out))
        self.arguments = [*common, *arguments]
        self.process = subprocess.Popen(
            [sys.executable, *script, *self.arguments],
            cwd=cwd,
            env={**cluster.environment, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(self)

    def end(self) -> tuple[int, str]:
        """Wait for it: its exit code, and what it said."""
        said, _ = self.process.communicate(timeout=1500)
        return self.process.returncode, said

    def stop_workers(self) -> list[psutil.Process]:
        """Stop each worker once its job has saved a checkpoint, so that no job is done before something happens."""
        left = [folder(job, self.out, "32") for job in sweep(parse(SweepOptions, self.arguments))]
        stopped = []

        def all_stopped() -> bool:
            assert self.process.poll() is None, self.process.communicate()[0]
            for each in [each for each in left if (each / "checkpoint.ckpt").exists()]:
                stopped.append(psutil.Process(int((each / ".holder").read_text().split()[1])))
                stopped[-1].suspend()
                left.remove(each)
            return not left

        self.cluster.wait_for(all_stopped, 900)
        return stopped

    def processes(self) -> list[psutil.Process]:
        """Those of its tasks: of each the one that submitit started."""
        here = str(self.out / "jobs" / "slurm")
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if "submitit.core._submit" in (line := each.info["cmdline"] or [])
            and here in line
            and "srun" not in line[0]
        ]


def rows(out: Path) -> dict[str, bytes]:
    """The rows of every job."""
    return {path.parent.name: path.read_bytes() for path in sorted(out.glob("jobs/*/rows.csv"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The rows of a long sweep that nothing happens to."""
    out = tmp_path_factory.mktemp("whole")
    run([*LONG, "--workers", "1", "--accelerator", "cpu", "--out", str(out)])
    return rows(out)


def new_arrays(cluster: Cluster, before: set[str]) -> set[str]:
    """Arrays that were submitted since."""
    return {task.partition("_")[0] for task in cluster.tasks()} - {task.partition("_")[0] for task in before}


def test_shares_on_workers_give_the_bytes_of_a_local_run(cluster: Cluster, tmp_path: Path) -> None:
    before = set(cluster.tasks())
    sizes = ("--jobs", "4")
    code, said = Sweep(cluster, tmp_path / ODD, *sizes, "--slurm-tasks", "2", "--slurm-memory", "1.5").end()
    assert code == 0, said
    assert "no accounting here" in said
    assert "4 jobs in 2 tasks" in said
    assert len(set(cluster.tasks()) - before) == 2
    run([*sizes, "--workers", "1", "--accelerator", "cpu", "--out", str(tmp_path / "here")])
    assert rows(tmp_path / ODD) == rows(tmp_path / "here")
    assert not list(tmp_path.glob("*/jobs/slurm/mfmarl-*.json")), "nothing runs any more"


def test_a_dry_run_submits_nothing(cluster: Cluster, tmp_path: Path) -> None:
    code, said = Sweep(cluster, tmp_path / "out", "--dry-run", "--slurm-minutes", "30").end()
    assert code == 0, said
    assert said.endswith(", on Slurm: 2 tasks, each with 1 CPU, at most 30 minutes\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_tasks_import_nothing_that_lies_where_the_script_is_called(cluster: Cluster, tmp_path: Path) -> None:
    """Another checkout, say; a relative --out is meant from there all the same."""
    (tmp_path / "mfmarl").mkdir()
    (tmp_path / "mfmarl" / "__init__.py").write_text("raise SystemError")
    script = (str(ROOT / "tests/slurm/sweep.py"),)
    code, said = Sweep(cluster, Path("below"), "--jobs", "1", script=script, cwd=tmp_path).end()
    assert code == 0, said
    assert len(rows(tmp_path / "below")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slurm-partition", "nowhere"), "launcher: sbatch refused: .*[Ii]nvalid partition"),
        (
            ("--accelerator", "gpu", "--devices", "3", "--jobs", "3"),
            "refused: .*node configuration is not available",
        ),
        (("--slurm-memory", "4000"), "launcher: sbatch refused: .*(Memory|node configuration)"),
    ],
)
def test_what_sbatch_refuses_is_one_line(
    arguments: tuple[str, ...],
    message: str,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mfmarl.scripting.main import main  # noqa: PLC0415

    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])
    common = ["--launcher", "slurm", "--accelerator", "cpu", "--out", str(tmp_path)]
    with pytest.raises(ValueError, match=message):
        run([*common, *arguments])
    assert main(lambda: run([*common, *arguments])) == 2
    assert list(tmp_path.glob("jobs/slurm/*.json")) == []


def test_a_controller_that_does_not_answer_is_said_before_anything_is_touched(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = (cluster.folder / "slurm.conf").read_text().splitlines()
    deaf = [line.partition("=")[0] + "=1" if line.startswith("SlurmctldPort") else line for line in configuration]
    (tmp_path / "slurm.conf").write_text("\n".join([*deaf, "MessageTimeout=2", "SlurmctldTimeout=2"]))
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    monkeypatch.setenv("PATH", cluster.environment["PATH"])
    with pytest.raises(ValueError, match=r"launcher: scontrol failed: .*Unable to contact slurm controller"):
        run(["--launcher", "slurm", "--accelerator", "cpu", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_torch_does_not_find_is_said(cluster: Cluster, tmp_path: Path) -> None:
    """The node has GPUs only by name, and the task sees what Slurm gives it."""
    code, said = Sweep(cluster, tmp_path / "out", "--accelerator", "gpu", "--jobs", "1").end()
    assert code == 1
    assert "ValueError: devices: got 1, but torch finds 0 GPUs in this task" in said


@pytest.mark.slow
def test_a_launcher_that_is_killed_finds_its_array_again(
    cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    before = set(cluster.tasks())
    first = Sweep(cluster, tmp_path, *LONG, "--slurm-tasks", "2")
    workers = first.stop_workers()
    first.process.kill()
    assert first.end()[0] == -signal.SIGKILL
    assert len(new_arrays(cluster, before)) == 1
    fresh = Sweep(cluster, tmp_path, *LONG, "--slurm-tasks", "2", "--fresh")
    code, said = fresh.end()
    assert code == 2
    assert "fresh: an array of an earlier call still does these jobs; without --fresh this call waits for them" in said
    again = Sweep(cluster, tmp_path, *LONG, "--slurm-tasks", "2")
    for worker in workers:
        worker.resume()
    code, said = again.end()
    assert code == 0, said
    assert "an earlier call has submitted" in said
    assert len(new_arrays(cluster, before)) == 1, "nothing was submitted twice"
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_ctrl_c_cancels_the_tasks_and_sigterm_leaves_them(
    cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    before = set(cluster.tasks())
    first = Sweep(cluster, tmp_path, *LONG, *SHARED)
    first.stop_workers()
    first.process.terminate()
    assert first.end()[0] == 143
    (task,) = set(cluster.tasks()) - before
    assert cluster.tasks()[task] == "RUNNING"
    second = Sweep(cluster, tmp_path, *LONG, *SHARED)
    assert second.process.stdout is not None
    while "is waited for" not in second.process.stdout.readline():
        assert second.process.poll() is None
    second.process.send_signal(signal.SIGINT)
    assert second.end()[0] == 130
    cluster.wait_for(lambda: cluster.tasks()[task] == "CANCELLED")
    code, said = Sweep(cluster, tmp_path, *LONG, *SHARED).end()
    assert code == 0, said
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_a_task_that_was_cancelled_while_nobody_watched_is_submitted_again(
    cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    before = set(cluster.tasks())
    first = Sweep(cluster, tmp_path, *LONG, *SHARED)
    first.stop_workers()
    first.process.kill()
    assert first.end()[0] == -signal.SIGKILL
    (task,) = set(cluster.tasks()) - before
    cluster.command("scancel", task)
    code, said = Sweep(cluster, tmp_path, *LONG, *SHARED).end()
    assert code == 0, said
    assert len(new_arrays(cluster, before)) == 2
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_two_calls_at_once_share_one_array(cluster: Cluster, tmp_path: Path) -> None:
    before = set(cluster.tasks())
    calls = [Sweep(cluster, tmp_path / "out") for _ in range(2)]
    for call in calls:
        code, said = call.end()
        assert code == 0, said
    assert len(new_arrays(cluster, before)) == 1
    run(["--workers", "1", "--accelerator", "cpu", "--out", str(tmp_path / "here")])
    assert rows(tmp_path / "out") == rows(tmp_path / "here")


@pytest.mark.slow
def test_a_partition_that_is_down_is_said_and_waited_for(cluster: Cluster, tmp_path: Path) -> None:
    cluster.command("scontrol", "update", "partitionname=urgent", "state=down")
    try:
        call = Sweep(cluster, tmp_path, "--slurm-partition", "urgent")
        assert call.process.stdout is not None
        while "waits: PartitionDown" not in (line := call.process.stdout.readline()):
            assert line, "it has ended"
    finally:
        cluster.command("scontrol", "update", "partitionname=urgent", "state=up")
    code, said = call.end()
    assert code == 0, said


@pytest.mark.slow
def test_a_launcher_may_be_a_job_itself_and_its_user_have_habits(cluster: Cluster, tmp_path: Path) -> None:
    """Whose variables are not those of the tasks: srun refuses two kinds of memory, squeue shows what it is told."""
    call = ["-m", "tests.slurm.sweep", "--launcher", "slurm", "--accelerator", "cpu", "--slurm-memory", "1"]
    job = ["--wait", "--mem-per-cpu=100", "--ntasks=2", "--export=ALL,SQUEUE_STATES=failed,SBATCH_WAIT=1"]
    command = shlex.join([sys.executable, *call, "--out", str(tmp_path / "out")])
    log = tmp_path / "log.txt"
    done = subprocess.run(
        ["sbatch", *job, f"--output={log}", f"--wrap={command}"],
        cwd=ROOT,
        env={**cluster.environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, log.read_text()
    run(["--workers", "1", "--accelerator", "cpu", "--out", str(tmp_path / "here")])
    assert rows(tmp_path / "out") == rows(tmp_path / "here")


def cancel(cluster: Cluster, task: str, sweep: Sweep) -> None:
    cluster.command("scancel", task)


def kill_task(cluster: Cluster, task: str, sweep: Sweep) -> None:
    (process,) = sweep.processes()
    process.kill()


def kill_worker(cluster: Cluster, task: str, sweep: Sweep) -> None:
    """The one that does the first job: its lock says which."""
    (held,) = sweep.out.glob("jobs/job-0-*/.holder")
    psutil.Process(int(held.read_text().split()[1])).kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (cancel, r"job-0: its task \d+ on Slurm ended: CANCELLED; .*_0_log\.err ends: "),
        (kill_task, r"job-0: its task \d+ on Slurm ended: FAILED; .*_0_log\.err ends: .*Killed"),
        (kill_worker, "1 of 2 jobs failed; the others are done.\njob-0: its worker was killed by SIGKILL"),
    ],
)
def test_a_task_that_is_lost_is_said_and_the_same_command_goes_on(
    fault: Callable[[Cluster, str, Sweep], None],
    message: str,
    cluster: Cluster,
    tmp_path: Path,
    whole: dict[str, bytes],
) -> None:
    before = set(cluster.tasks())
    first = Sweep(cluster, tmp_path, *LONG, *SHARED)
    workers = first.stop_workers()
    (task,) = set(cluster.tasks()) - before
    fault(cluster, task, first)
    for worker in workers:
        with suppress(psutil.NoSuchProcess):
            worker.resume()
    code, said = first.end()
    assert code == 1
    assert re.search(message, said), said
    code, said = Sweep(cluster, tmp_path, *LONG, *SHARED).end()
    assert code == 0, said
    assert rows(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.skipif(bool(missing(ACCOUNTING_PROGRAMS)), reason=missing(ACCOUNTING_PROGRAMS))
def test_accounts_say_what_became_of_a_task_that_squeue_has_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(accounting=True) as accounted:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, accounted.environment[name])
        accounted.command("sbatch", "--output=/dev/null", "--wrap=sleep 100")
        accounted.wait_for(lambda: accounted.tasks() == {"1": "RUNNING"})
        accounted.command("scancel", "1")
        place = Place(tmp_path, Hardware(), 30.0, "none", on_slurm=True)
        accounted.wait_for(lambda: "ended: CANCELLED" in slurm.fate(slurm.Task("mfmarl-abc", 0, [], "1"), place))
        code, said = Sweep(accounted, tmp_path, "--jobs", "1").end()
        assert code == 0, said
        assert "no accounting" not in said
        code, said = Sweep(accounted, tmp_path, "--fresh", "--slurm-account", "nowhere").end()
        assert code == 2
        assert "error: launcher: sbatch refused: " in said
        assert "Invalid account" in said
        accounted.command("sacctmgr", "--immediate", "modify", "user", getpass.getuser(), "set", "maxsubmitjobs=1")
        code, said = Sweep(accounted, tmp_path, "--fresh").end()
        assert code == 2
        assert "error: launcher: sbatch refused: " in said
        assert "job submit limit" in said
        code, said = Sweep(accounted, tmp_path, "--slurm-tasks", "1").end()
        assert code == 0, said


def requeue(cluster: Cluster, task: str) -> None:
    cluster.command("scontrol", "requeue", task)


def preempt(cluster: Cluster, task: str) -> None:
    """By a job that needs the whole node for a moment."""
    cluster.command("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")


def lose_node(cluster: Cluster, task: str) -> None:
    node = cluster.command("sinfo", "--noheader", "--format=%n").split()[0]
    cluster.command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    time.sleep(2)
    if "down" in cluster.command("sinfo", "--noheader", "--format=%T"):  # it may have come back by itself
        cluster.command("scontrol", "update", f"nodename={node}", "state=resume")


@pytest.mark.slow
@pytest.mark.parametrize("fault", [requeue, preempt, lose_node])
def test_a_task_that_is_queued_again_goes_on_and_ends_in_the_same_bytes(
    fault: Callable[[Cluster, str], None], cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    before = set(cluster.tasks())
    launched = Sweep(cluster, tmp_path, *LONG, *SHARED, "--slurm-partition", "normal")
    launched.stop_workers()
    (task,) = set(cluster.tasks()) - before
    fault(cluster, task)
    code, said = launched.end()
    assert code == 0, said
    assert "Restarts=1" in cluster.command("scontrol", "show", "job", task)
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_a_task_is_queued_again_only_so_often(cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]) -> None:
    before = set(cluster.tasks())
    launched = Sweep(cluster, tmp_path, *LONG, *SHARED, "--slurm-requeues", "0")
    launched.stop_workers()
    (task,) = set(cluster.tasks()) - before
    requeue(cluster, task)
    code, said = launched.end()
    assert code == 1
    assert "ValueError: slurm_requeues: queued again 1 times, allowed is 0" in said
    code, said = Sweep(cluster, tmp_path, *LONG, *SHARED).end()
    assert code == 0, said
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_a_task_that_is_preempted_while_it_starts_is_queued_again(
    cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    before = set(cluster.tasks())
    launched = Sweep(cluster, tmp_path, *LONG, *SHARED, "--slurm-partition", "normal")
    cluster.wait_for(launched.processes)
    (task,) = set(cluster.tasks()) - before
    preempt(cluster, task)
    code, said = launched.end()
    assert code == 0, said
    assert "Restarts=1" in cluster.command("scontrol", "show", "job", task)
    assert rows(tmp_path) == whole


@pytest.mark.slow
def test_a_task_whose_time_is_over_is_queued_again(cluster: Cluster, tmp_path: Path, whole: dict[str, bytes]) -> None:
    """Its time is cut short once it has something to go on from, however long that took."""
    before, start = set(cluster.tasks()), time.monotonic()
    launched = Sweep(cluster, tmp_path, *LONG, *SHARED, "--slurm-minutes", "500")
    launched.stop_workers()
    (task,) = set(cluster.tasks()) - before
    assert "TimeLimit=08:20:00" in cluster.command("scontrol", "show", "job", task)
    minutes = int((time.monotonic() - start) / 60) + 2
    cluster.command("scontrol", "update", f"jobid={task}", f"timelimit={minutes}")
    cluster.wait_for(lambda: "Restarts=1" in cluster.command("scontrol", "show", "job", task))
    cluster.command("scontrol", "update", f"jobid={task}", "timelimit=500")
    code, said = launched.end()
    assert code == 0, said
    assert rows(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "tables"),
    [
        ("gaussian_squeeze", ("--agents", "100", "--seeds", "2"), ("curves.csv", "summary.csv")),
        ("ising", ("--seeds", "2"), ("training.csv", "equilibrium.csv")),
        ("battle", (), ("curves.csv", "tournament.csv", "pairings.csv", "ratings.csv")),
    ],
)
def test_a_script_is_one_command_and_gives_the_tables_of_a_local_run(
    script: str, arguments: tuple[str, ...], tables: tuple[str, ...], cluster: Cluster, tmp_path: Path
) -> None:
    """That of Battle trains, and then lets the armies fight."""
    file = f"reproduce/{script}.py"
    quick = ("--quick", *arguments)
    code, said = Sweep(cluster, tmp_path / "out", *quick, "--slurm-tasks", "2", script=(file,)).end()
    assert code == 0, said
    here = [sys.executable, file, *quick, "--accelerator", "cpu", "--workers", "1", "--out", str(tmp_path / "here")]
    subprocess.run(here, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    for table in tables:
        assert (tmp_path / "out" / table).read_bytes() == (tmp_path / "here" / table).read_bytes(), table


@pytest.mark.slow
def test_all_scripts_go_to_slurm_by_one_command(cluster: Cluster, tmp_path: Path) -> None:
    """Of the scripts the one that is soonest done; it stands for the others, which get the same options."""
    calls = "[call for call in every.CALLS if call.task == 'matrix_games']"
    call = f"from reproduce import all as every; every.CALLS = {calls}; raise SystemExit(every.main(every.run))"
    how = ("--quick", "--slurm-partition", "normal", "--slurm-tasks", "2")
    code, said = Sweep(cluster, tmp_path / "out", *how, script=("-c", call)).end()
    assert code == 0, said
    assert re.search(r"^matrix_games: Slurm: \d+ jobs in 2 tasks, array", said, re.M), said
    assert re.search(r"^\d+:\d+ +done .*reproduce/matrix_games\.py --quick .*--slurm-partition normal", said, re.M), (
        said
    )
    here = [sys.executable, "reproduce/matrix_games.py", "--quick", "--workers", "1", "--out", str(tmp_path / "here")]
    subprocess.run(here, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    assert (tmp_path / "out/matrix_games/table.csv").read_bytes() == (tmp_path / "here/table.csv").read_bytes()

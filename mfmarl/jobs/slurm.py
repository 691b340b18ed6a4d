"""Jobs as an array on a Slurm cluster, by submitit: submitted, watched, and found again by a later call.

out/jobs/slurm/mfmarl-*.json names an array that may still run, by which `squeue` finds it, and the jobs of each task.
It is written before the array is submitted. Beside it lie submitit's files and what the tasks printed.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from mfmarl.files import write_json
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.job import Job
from mfmarl.jobs.locks import locked
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.shares import shares
from mfmarl.jobs.slurm_task import Share, reported
from mfmarl.jobs.workers import Place, needs_main

POLL_SECONDS = 5.0  # between looks at the tasks
LOST_SECONDS = 20.0  # after which a task that is over has failed unless its files are there: shared ones come late
NOTICE_SECONDS = 30  # before the end of the time at which a task is queued again; enough for scontrol
LINES = 3  # of what a task printed that are shown when it is lost
MINUTES = 24 * 60  # of a task, if neither the option nor SBATCH_TIMELIMIT says how many
# States of a task that has ended, and reasons to wait that pass by themselves.
ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
)
USUAL = ("None", "Priority", "Resources", "Dependency", "JobArrayTaskLimit", "BeginTime", "Cleaning")
# Variables of sbatch that go before what the script of a job says, each beside the option that goes before them.
VARIABLES = {
    "slurm_partition": ("SBATCH_PARTITION",),
    "slurm_account": ("SBATCH_ACCOUNT",),
    "slurm_minutes": ("SBATCH_TIMELIMIT",),
    "slurm_memory": ("SBATCH_MEM_PER_NODE", "SBATCH_MEM_PER_CPU", "SBATCH_MEM_PER_GPU"),
}
OURS = (
    "SBATCH_ARRAY_INX",
    "SBATCH_JOB_NAME",
    "SBATCH_NO_REQUEUE",
    "SBATCH_OPEN_MODE",
    "SBATCH_SIGNAL",
    "SBATCH_WAIT",
)
# Options of a user's other calls of Slurm's commands: which jobs they show, and whether they ask before they cancel.
HABITS = ("SQUEUE_", "SACCT_", "SCANCEL_")
# A task does not hear what Slurm announces before submitit listens: to be ended by it would be a failure. It starts in
# the root folder, as Python would take modules of any other before all else: see `workers.start_servers`.
BEGINNING = """sh -c 'trap "" TERM USR2; cd /; exec "$0" "$@"' """
UNFIT = "%\\\n"  # in the name of a folder: Slurm replaces them, or what stands beside them


class SilentError(ValueError):
    """Slurm does not answer, or refuses."""


class Seen(NamedTuple):
    """A task as `squeue` shows it."""

    task: str
    state: str
    reason: str


@dataclass
class Task:
    """A task that is watched.

    array    the name of its array
    index    of the task there
    waiting  its jobs that are not done
    task     its id, once Slurm has said it
    state    its last state
    over     when it was first seen to be over, seconds of the monotonic clock
    """

    array: str
    index: int
    waiting: list[Job]
    task: str | None = None
    state: str = "unknown to Slurm"
    over: float | None = None


def check(jobs: Sequence[Job], place: Place, execution: Execution) -> dict[str, str]:
    """Check that the jobs can be submitted; touches nothing.

    Returns:
        What the controller says of the cluster.

    Raises:
        ValueError: submitit or Slurm is not there or does not answer, the folder cannot be named to it, a job needs
            the script that launches it, or jobs that are to start over are in an array that runs.
    """
    if find_spec("submitit") is None:
        raise ValueError("launcher: slurm needs the package submitit: pip install submitit")
    if shutil.which("sbatch") is None:
        raise ValueError("launcher: got slurm, but there is no sbatch on this machine; use local, or --shard")
    if any(letter in str(place.out.absolute()) for letter in UNFIT):
        raise ValueError(f"out: got {str(place.out)!r}, but Slurm takes no %, \\ or line break there")
    limits = configuration()
    if strays := [job.name for job in jobs if needs_main(job)]:
        raise ValueError(f"launcher: got slurm, but tasks cannot import what {strays[0]} holds: move it to a module")
    if execution.fresh and (running := alive(jobs, place)):
        names = ",".join(sorted({task.array for task in running}))
        raise ValueError(f"fresh: an array of an earlier call still does these jobs; first scancel --name={names}")
    return limits


def run(
    jobs: Sequence[Job],
    progress: Progress,
    places: Sequence[Place],
    execution: Execution,
    limits: Mapping[str, str],
) -> dict[str, str]:
    """Have jobs done on Slurm and wait for them; return why jobs failed, by name.

    Jobs that an array of an earlier call still does are waited for, the others submitted. Ctrl-C cancels them all; if
    this process ends in another way they go on, and the same call finds them.

    Args:
        jobs: these.
        progress: is told what becomes of them.
        places: one for each worker of a task.
        execution: how.
        limits: of the cluster, see `check`.

    Raises:
        ValueError: sbatch refuses.
    """
    place = places[0]
    folder = records(place)
    arrays: set[str] = set()
    with cancelling(arrays):
        with locked(folder, wait=True):  # whoever else submits here
            tasks = settled(jobs, progress, place)
            arrays |= {task.array for task in tasks}
            for name in sorted(arrays):
                progress.say(f"Slurm: an earlier call has submitted {name}, which is waited for")
            running = {job.name for task in tasks for job in task.waiting}
            if left := [job for job in jobs if job.name not in running]:
                name = f"mfmarl-{uuid.uuid4().hex[:12]}"
                arrays.add(name)
                tasks += submit(name, left, progress, places, execution, limits)
        failures = watch(tasks, progress, place)
    for name in arrays:
        (folder / f"{name}.json").unlink(missing_ok=True)
    return failures


def settled(jobs: Sequence[Job], progress: Progress, place: Place) -> list[Task]:
    """The tasks of earlier calls, as `alive`, once none of them is about to end: it may be cancelled.

    Raises:
        SilentError: Slurm does not answer.
    """
    said = False
    while True:
        tasks = alive(jobs, place, tidy=True)
        ending = [task.task for task in tasks if task.state == "COMPLETING"]
        if not ending:
            return tasks
        if not said:
            progress.say(f"Slurm: task {ending[0]} of an earlier call is about to end, which is waited for")
        said = True
        time.sleep(POLL_SECONDS)


def submit(
    name: str,
    jobs: Sequence[Job],
    progress: Progress,
    places: Sequence[Place],
    execution: Execution,
    limits: Mapping[str, str],
) -> list[Task]:
    """Submit an array of this name; each task does a share of the jobs on a worker for each place.

    For the other arguments see `run`.

    Raises:
        ValueError: sbatch refuses.
    """
    import submitit  # noqa: PLC0415 - an optional package

    if limits["AccountingStorageType"] in ("accounting_storage/none", "(null)"):
        progress.say(f"Slurm: no accounting here; why a task ended is known for {limits['MinJobAge']} after it")
    count = min(-(-len(jobs) // len(places)), execution.slurm_tasks, int(limits["MaxArraySize"]))
    dealt = shares(jobs, count)
    places = places[: max(map(len, dealt))]
    place = places[0]
    record = records(place) / f"{name}.json"
    folders = [[place.folder(job).name for job in share] for share in dealt]
    write_json({"tasks": folders}, record)
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)  # a task finds what this process finds
    python = f"env PYTHONPATH={shlex.quote(path)} {BEGINNING}{shlex.quote(sys.executable)}"
    executor = submitit.SlurmExecutor(records(place), max_num_timeout=execution.slurm_requeues, python=python)
    executor.update_parameters(**parameters(name, places, execution))
    given = [variable for option in VARIABLES if getattr(execution, option) for variable in VARIABLES[option]]
    try:
        # Submitit prints what it then raises.
        with without([*OURS, *given, *of_this_job()]), redirect_stderr(StringIO()), executor.batch():
            submitted = [executor.submit(Share(tuple(each), tuple(places), execution.slurm_requeues)) for each in dealt]
    except submitit.core.utils.FailedJobError as error:
        record.unlink()
        raise ValueError(f"launcher: sbatch refused: {last_line(str(error))}") from error
    write_json({"id": submitted[0].job_id.partition("_")[0], "tasks": folders}, record)
    progress.say(f"Slurm: {len(jobs)} jobs in {count} tasks, array {submitted[0].job_id.partition('_')[0]} ({name})")
    return [Task(name, index, list(share), submitted[index].job_id) for index, share in enumerate(dealt)]


def of_this_job() -> list[str]:
    """Variables that Slurm has set if this process is in a job itself: those that the tasks will have are others."""
    if "SLURM_JOB_ID" not in os.environ:
        return []
    return [name for name in os.environ if name.startswith(("SLURM_", "SLURMD_")) and name != "SLURM_CONF"]


@contextmanager
def cancelling(arrays: Collection[str]) -> Iterator[None]:
    """Cancel the arrays that are named by then if Ctrl-C is pressed meanwhile.

    Raises:
        SilentError: scancel fails.
    """
    try:
        yield
    except KeyboardInterrupt:
        if arrays:
            ask("scancel", f"--name={','.join(sorted(arrays))}")
        raise


def parameters(name: str, places: Sequence[Place], execution: Execution) -> dict[str, Any]:
    """Those of submitit's executor; what is not among them is left to Slurm's SBATCH_* variables."""
    threads = sum(place.hardware.threads for place in places)
    gpus = {place.hardware.device for place in places if place.hardware.accelerator == "gpu"}
    given = {
        "gpus_per_node": len(gpus) or None,
        "partition": execution.slurm_partition,
        "account": execution.slurm_account,
        "mem": None if execution.slurm_memory is None else f"{math.ceil(execution.slurm_memory * 1024)}M",
    }
    return {
        "job_name": name,
        "time": execution.slurm_minutes or MINUTES,
        "cpus_per_task": threads,
        "srun_args": [f"--cpus-per-task={threads}"],  # since 22.05 srun does not take it from sbatch
        "signal_delay_s": NOTICE_SECONDS,
        "array_parallelism": execution.slurm_tasks,
        "additional_parameters": {"requeue": True},
        **{key: value for key, value in given.items() if value is not None},
    }


def watch(tasks: Sequence[Task], progress: Progress, place: Place) -> dict[str, str]:
    """Wait until all jobs of the tasks are done or failed; return why jobs failed, by name."""
    failures: dict[str, str] = {}
    said: set[str] = set()

    def say_once(text: str) -> None:
        if text not in said:
            said.add(text)
            progress.say(text)

    while any(task.waiting for task in tasks):
        time.sleep(POLL_SECONDS)
        try:
            seen = look({task.array for task in tasks if task.waiting})
        except SilentError as error:
            say_once(f"{error}; asking again")
            continue
        for task in tasks:
            found = seen.get((task.array, task.index))
            if found is not None and found.state == "PENDING" and found.reason not in USUAL:
                say_once(f"Slurm: task {found.task} waits: {found.reason}")
            if task.waiting:
                failures |= look_at(task, found, progress, place)
    return failures


def look_at(task: Task, seen: Seen | None, progress: Progress, place: Place) -> dict[str, str]:
    """Bring a task up to date; return why jobs of it failed, by name."""
    if seen is not None:
        task.task, task.state = seen.task, seen.state
    over = seen is None or seen.state in ENDED
    ended = result(task, place)  # before the rows are looked at: what it was done with is there by now
    work = reported(place.out, task.task) if task.task else {}
    for job in list(task.waiting):
        if (place.folder(job) / "rows.csv").exists() and place.found(job) == "rows":
            progress.update(job, job.work)
            progress.finish(job)
            task.waiting.remove(job)
        elif job.name in work:
            progress.update(job, work[job.name])
    if not over:
        task.over = None
    elif task.over is None:
        task.over = time.monotonic()
    lost = task.over is not None and time.monotonic() - task.over >= LOST_SECONDS
    if not lost and (ended is None or any(job.name not in ended for job in task.waiting)):
        return {}  # it runs, or its files may come late
    failures = {job.name: (ended or {}).get(job.name) or fate(task, place) for job in task.waiting}
    for job in task.waiting:
        progress.finish(job)
    task.waiting.clear()
    return failures


def result(task: Task, place: Place) -> dict[str, str] | None:
    """Why jobs of a task failed, by name, as it has said itself; None if it has not ended so."""
    if task.task is None:
        return None
    import submitit  # noqa: PLC0415 - an optional package

    submitted: submitit.SlurmJob[dict[str, str]] = submitit.SlurmJob(records(place), task.task)
    if not submitted.paths.result_pickle.exists():
        return None
    if (error := submitted.exception()) is not None:
        _, *trace = re.split(r"^-{9,}$", str(error), flags=re.MULTILINE)  # which submitit sets between two lines
        return {job.name: last_line(trace[0] if trace else str(error)) for job in task.waiting}
    return submitted.result()


def fate(task: Task, place: Place) -> str:
    """What became of a task that left no result: its state, and the end of what it printed."""
    state = task.state
    if state not in ENDED and task.task:
        try:
            recorded = ask("sacct", "--allocations", "--noheader", "--parsable2", "--format=State", "-j", task.task)
            state = last_line(recorded) or state
        except SilentError as error:
            state = f"{state} when last seen ({error})"
    text = f"its task {task.task} on Slurm ended: {state}"
    stderr = records(place) / f"{task.task}_0_log.err"
    if stderr.exists() and (lines := last_lines(stderr.read_text(errors="replace"), LINES)):
        text += f"; {stderr} ends: {' | '.join(lines)}"
    return text


def alive(jobs: Sequence[Job], place: Place, *, tidy: bool = False) -> list[Task]:
    """The tasks of earlier calls that Slurm has not ended and that do some of these jobs.

    Args:
        jobs: these.
        place: where.
        tidy: remove the records of arrays that Slurm has ended; nobody may submit meanwhile.

    Raises:
        SilentError: Slurm does not answer.
    """
    mine = {place.folder(job).name: job for job in jobs}
    known = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["tasks"]
        for path in records(place).glob("mfmarl-*.json")
    }
    seen = look(set(known)) if known else {}
    running = {key: one for key, one in seen.items() if one.state not in ENDED}
    for ended in set(known) - {array for array, _ in running} if tidy else ():
        (records(place) / f"{ended}.json").unlink(missing_ok=True)
    tasks = []
    for (array, index), one in sorted(running.items()):
        if waiting := [mine[name] for name in known[array][index] if name in mine]:
            tasks.append(Task(array, index, waiting, one.task, one.state))
    return tasks


def look(arrays: set[str]) -> dict[tuple[str, int], Seen]:
    """The tasks of arrays that Slurm remembers, by array and index.

    Raises:
        SilentError: squeue fails.
    """
    how = ("--all", "--noheader", "--array", "--states=all", "--format=%j|%i|%T|%r")
    seen = {}
    for line in ask("squeue", *how, f"--name={','.join(sorted(arrays))}").splitlines():
        array, task, state, reason = line.split("|", 3)
        seen[array, int(task.partition("_")[2] or 0)] = Seen(task, state, reason)
    return seen


def configuration() -> dict[str, str]:
    """What the controller says of the cluster.

    Raises:
        SilentError: it does not answer.
    """
    lines = ask("scontrol", "show", "config").splitlines()
    return {name.strip(): value.strip() for name, equals, value in (line.partition("=") for line in lines) if equals}


def ask(*command: str) -> str:
    """What one of Slurm's commands prints.

    Raises:
        SilentError: it fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(HABITS)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SilentError(f"launcher: {command[0]} failed: {error}") from error
    if done.returncode:
        raise SilentError(f"launcher: {command[0]} failed: {last_line(done.stderr)}")
    return done.stdout


@contextmanager
def without(variables: Sequence[str]) -> Iterator[None]:
    """Hide environment variables meanwhile."""
    hidden = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def records(place: Place) -> Path:
    """The folder of what is submitted."""
    return place.out / "jobs" / "slurm"


def last_line(text: str) -> str:
    """The last line that says something."""
    return "".join(last_lines(text, 1))


def last_lines(text: str, count: int) -> list[str]:
    """The last so many lines that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()][-count:]

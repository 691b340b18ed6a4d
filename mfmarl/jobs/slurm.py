"""Run jobs as an array on a Slurm cluster, by submitit: submit it, watch it, and find it again in a later call.

The name of out/jobs/slurm/mfmarl-*.json is that of an array that may still be running, by which `squeue` finds it; the
file lists the jobs of each task. It is written before the array is submitted. The same folder holds submitit's files
and the output of the tasks.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from mfmarl.files import write_json
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.job import Job
from mfmarl.jobs.locks import locked
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.shares import shares
from mfmarl.jobs.slurm_commands import ENDED, Seen, SilentError, ask, configuration, last_line, last_lines, look
from mfmarl.jobs.slurm_task import Share, reported
from mfmarl.jobs.workers import Place, needs_main

POLL_SECONDS = 5.0  # between two looks at the tasks
LOST_SECONDS = 20.0  # after its end, a task without its files has failed; shared file systems show files late
NOTICE_SECONDS = 30  # a task is requeued so long before its time limit; enough for scontrol
LINES = 3  # of a lost task's output that are shown
MINUTES = 24 * 60  # time limit of a task without the option and without SBATCH_TIMELIMIT
# Reasons for pending that pass by themselves.
USUAL = ("None", "Priority", "Resources", "Dependency", "JobArrayTaskLimit", "BeginTime", "Cleaning")
# Variables of sbatch that override the job script, under the option that overrides them.
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
# A task ignores Slurm's announcements until submitit handles them, since being ended by one would count as a failure.
# It starts in the root folder, since Python would look for modules in any other folder first, see
# `workers.start_servers`.
BEGINNING = """sh -c 'trap "" TERM USR2; cd /; exec "$0" "$@"' """
UNFIT = "%\\\n"  # not allowed in paths: Slurm replaces these characters, or those next to them


@dataclass
class Task:
    """A task that is being watched.

    Attributes:
        array: name of its array.
        index: index of the task in the array.
        waiting: jobs of the task that are not done.
        task: id of the task, once Slurm has given it.
        state: state of the task when last seen.
        over: time at which it was first seen to be over, in seconds of the monotonic clock.
    """

    array: str
    index: int
    waiting: list[Job]
    task: str | None = None
    state: str = "unknown to Slurm"
    over: float | None = None


def check(jobs: Sequence[Job], place: Place, execution: Execution) -> dict[str, str]:
    """Check that the jobs can be submitted. Changes nothing.

    Returns:
        The configuration of the cluster, see `configuration`.

    Raises:
        ValueError: submitit or Slurm is missing, Slurm does not answer or does not allow the folder's name, a job
            needs the script that launches it, or jobs that should start over are in a running array.
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
        raise ValueError(
            "fresh: an array of an earlier call still does these jobs; without --fresh this call waits for them, and "
            f"scancel --name={names} ends them"
        )
    return limits


def run(
    jobs: Sequence[Job],
    progress: Progress,
    places: Sequence[Place],
    execution: Execution,
    limits: Mapping[str, str],
) -> dict[str, str]:
    """Run jobs on Slurm, wait for them, and return the reasons of failures by job name.

    Jobs in a running array of an earlier call are waited for; the others are submitted. Ctrl-C cancels all of them. If
    this process ends in another way they continue, and the same call finds them again.

    Args:
        jobs: the jobs to run.
        progress: display of their progress.
        places: one place for each worker of a task.
        execution: how to run the jobs.
        limits: configuration of the cluster, see `check`.

    Raises:
        ValueError: sbatch refuses, or Slurm does not answer.
    """
    place = places[0]
    folder = records(place)
    arrays: set[str] = set()
    with cancelling(arrays):
        with locked(folder, wait=True):  # other calls that submit jobs of this folder
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
    """The running tasks of earlier calls, see `alive`, after waiting for those that are just ending, e.g. cancelled.

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
    """Submit an array named `name`; each task runs a share of the jobs on one worker per place.

    `run` describes the other arguments.

    Raises:
        ValueError: sbatch refuses.
    """
    import submitit  # noqa: PLC0415 - an optional package

    if limits["AccountingStorageType"] in ("accounting_storage/none", "(null)"):
        progress.say(f"Slurm: no accounting here; why a task ended is known for {limits['MinJobAge']} after it")
    dealt, places = dealt_out(jobs, places, execution, limits)
    place = places[0]
    record = records(place) / f"{name}.json"
    folders = [[place.folder(job).name for job in share] for share in dealt]
    write_json({"tasks": folders}, record)
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)  # tasks can import what this process can import
    python = f"env PYTHONPATH={shlex.quote(path)} {BEGINNING}{shlex.quote(sys.executable)}"
    executor = submitit.SlurmExecutor(records(place), max_num_timeout=execution.slurm_requeues, python=python)
    executor.update_parameters(**parameters(name, places, execution))
    given = [variable for option in VARIABLES if getattr(execution, option) for variable in VARIABLES[option]]
    try:
        # Submitit prints the error that it raises.
        with without([*OURS, *given, *of_this_job()]), redirect_stderr(StringIO()), executor.batch():
            submitted = [executor.submit(Share(tuple(each), tuple(places), execution.slurm_requeues)) for each in dealt]
    except submitit.core.utils.FailedJobError as error:
        record.unlink()
        raise ValueError(f"launcher: sbatch refused: {last_line(str(error))}") from error
    except submitit.core.utils.FailedSubmissionError as error:
        ask("scancel", f"--name={name}")  # without its id, the tasks of an array that Slurm has taken find no jobs
        record.unlink()
        raise ValueError(f"launcher: {str(error).splitlines()[0]}") from error
    array = submitted[0].job_id.partition("_")[0]
    write_json({"id": array, "tasks": folders}, record)
    progress.say(f"Slurm: {len(jobs)} jobs in {len(dealt)} tasks, array {array} ({name})")
    return [Task(name, index, list(share), submitted[index].job_id) for index, share in enumerate(dealt)]


def dealt_out(
    jobs: Sequence[Job], places: Sequence[Place], execution: Execution, limits: Mapping[str, str]
) -> tuple[list[list[Job]], Sequence[Place]]:
    """The jobs of each task, and the places of a task's workers: no more than the most jobs of a task.

    `run` describes the arguments.
    """
    count = min(-(-len(jobs) // len(places)), execution.slurm_tasks, int(limits["MaxArraySize"]))
    dealt = shares(jobs, count)
    return dealt, places[: max(map(len, dealt))]


def of_this_job() -> list[str]:
    """Names of the variables that Slurm sets if this process is itself in a job; the tasks get their own values."""
    if "SLURM_JOB_ID" not in os.environ:
        return []
    return [name for name in os.environ if name.startswith(("SLURM_", "SLURMD_")) and name != "SLURM_CONF"]


@contextmanager
def cancelling(arrays: Collection[str]) -> Iterator[None]:
    """If Ctrl-C is pressed inside the block, cancel the arrays whose names are then in `arrays`.

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
    """Parameters of submitit's executor. Anything else is left to Slurm's SBATCH_* variables."""
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
        "srun_args": [f"--cpus-per-task={threads}"],  # since Slurm 22.05 srun does not inherit it from sbatch
        "signal_delay_s": NOTICE_SECONDS,
        "array_parallelism": execution.slurm_tasks,
        "additional_parameters": {"requeue": True},
        **{key: value for key, value in given.items() if value is not None},
    }


def watch(tasks: Sequence[Task], progress: Progress, place: Place) -> dict[str, str]:
    """Wait until all jobs of the tasks are done or failed; return the reasons of failures by job name."""
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
    """Update a task, given what `squeue` shows of it, and return the reasons of failures by job name."""
    if seen is not None:
        task.task, task.state = seen.task, seen.state
    over = seen is None or seen.state in ENDED
    ended = result(task, place)  # read before the rows: if it is there, so are all the rows
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
        return {}  # it is running, or its files may show late
    failures = {job.name: (ended or {}).get(job.name) or fate(task, place) for job in task.waiting}
    for job in task.waiting:
        progress.finish(job)
    task.waiting.clear()
    return failures


def result(task: Task, place: Place) -> dict[str, str] | None:
    """The reasons of failures, by job name, that a task itself returned; None if it has not returned."""
    if task.task is None:
        return None
    import submitit  # noqa: PLC0415 - an optional package

    submitted: submitit.SlurmJob[dict[str, str]] = submitit.SlurmJob(records(place), task.task)
    if not submitted.paths.result_pickle.exists():
        return None
    if (error := submitted.exception()) is not None:
        _, *trace = re.split(r"^-{9,}$", str(error), flags=re.MULTILINE)  # submitit puts it between two such lines
        return {job.name: last_line(trace[0] if trace else str(error)) for job in task.waiting}
    return submitted.result()


def fate(task: Task, place: Place) -> str:
    """A description of a task that ended without a result: its state and the end of its output."""
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
    """The tasks of earlier calls that have not ended and that run some of these jobs.

    Args:
        jobs: jobs to look for.
        place: where the jobs run.
        tidy: also remove the records of arrays that have ended; no other call may submit at the same time.

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


@contextmanager
def without(variables: Sequence[str]) -> Iterator[None]:
    """Hide environment variables inside the block."""
    hidden = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def records(place: Place) -> Path:
    """The folder of the records of arrays."""
    return place.out / "jobs" / "slurm"

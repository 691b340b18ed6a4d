"""Run a list of jobs in this process, on worker processes (one per GPU, if there are any), or on Slurm.

The results do not depend on this choice. If jobs contain something that the script itself defines, e.g. a game, the
workers import the script, so it must launch the jobs under `if __name__ == "__main__":`. Runs on Linux and macOS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch

from mfmarl.custom import staying_here
from mfmarl.files import check_writable, remove_abandoned
from mfmarl.jobs import slurm, workers
from mfmarl.jobs.computing import one_at_a_time
from mfmarl.jobs.console import counted
from mfmarl.jobs.execution import Execution, Hardware, share_of
from mfmarl.jobs.folder import check_place, clear, read_rows, tidy
from mfmarl.jobs.job import Job
from mfmarl.jobs.listing import listing
from mfmarl.jobs.locks import check_lockable, locked
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.shares import shares
from mfmarl.jobs.signals import terminable
from mfmarl.jobs.workers import Place

Runner = Callable[[Sequence[Job], Progress], dict[str, str]]  # runs jobs; returns reasons of failures by job name

LOGS = 3  # number of logs shown when jobs fail, often all for one reason
LOG_LINES = 12  # lines shown of each: enough for the exception and the calls that led to it


class ShareDone(Exception):  # noqa: N818 - not an error: this call has nothing more to do
    """The share of the jobs named by `shard` is done, as the message says."""


class DryRun(Exception):  # noqa: N818 - not an error: this call has nothing more to do
    """The jobs of a dry run, listed by the message; none has started."""


class JobsFailedError(RuntimeError):
    """Some jobs failed; the others are done. The message lists them, ends of their logs, and what to do."""


def launch(
    jobs: Sequence[Job], out: str | Path, execution: Execution = Execution(), *, interactive: bool = False
) -> list[pd.DataFrame]:
    """Run `jobs`, each in its folder in `out`/jobs, and resume those that earlier calls left unfinished.

    The largest jobs run first. Progress is shown on stderr.

    Args:
        jobs: jobs with different names.
        out: results folder.
        execution: how to run the jobs.
        interactive: whether this is a call from a prompt or notebook. If so, only long work shows progress, and an
            exception in this process is raised unchanged.

    Returns:
        The rows of each job, in the order of `jobs`.

    Raises:
        ValueError: a job cannot be run, files of an earlier call cannot be read, `out` cannot be written to, or
            hardware or packages are missing. No job has started and no file has changed.
        JobsFailedError: some jobs failed; the others are done.
        ShareDone: the share named by `shard` is done; raised instead of returning rows, with what to do next.
        DryRun: the execution is a dry run, and the jobs can be run.
    """
    out = Path(out)
    places = available(out, execution)
    place = places[0]
    names = [job.name for job in jobs]
    if len(set(names)) < len(names) or any(Path(name).name != name for name in names):
        raise ValueError(f"jobs: got the names {names}, each must be different and name a folder")
    check_writable(out)
    if execution.shard is not None:
        number, count = share_of(execution.shard)
        dealt = shares(jobs, min(count, max(len(jobs), 1)))  # further shares are empty
        jobs = dealt[number - 1] if number <= len(dealt) else []
    for job in jobs:
        check_place(place.folder(job))
    states = {job.name: "nothing" if execution.fresh else place.found(job) for job in jobs}
    done = {name for name, state in states.items() if state == "rows"}
    left = sorted((job for job in jobs if job.name not in done), key=lambda job: -job.work)
    limits = slurm.check(left, place, execution) if left and execution.launcher == "slurm" else None
    do = runner(left, places, execution, limits, reraise=interactive)
    for job in left:
        job.check_precision(execution.precision)
        with one_at_a_time, staying_here():
            job.check()
    if execution.dry_run:
        raise DryRun(listing(jobs, states, places, execution, limits))
    if left:
        prepare(left, place, fresh=execution.fresh)
        with terminable(), Progress(jobs, done, patient=interactive) as progress:
            if emulates_bfloat16(place):
                progress.say("precision: this CPU has no instructions for bfloat16; 32 is several times as fast")
            failures = do(left, progress)
        if failures:
            raise JobsFailedError(report(failures, jobs, place, fresh=execution.fresh))
    else:
        remove_abandoned(out)
    for job in jobs:
        if job.name in done:
            tidy(job, place.folder(job))
    if execution.shard is not None:
        without = "shard and fresh" if execution.fresh else "shard"
        raise ShareDone(
            f"share {execution.shard} is done: {len(jobs)} of the jobs; "
            f"when all are, the same call without {without} gathers them"
        )
    return [read_rows(job, place.folder(job)) for job in jobs]


def runner(
    jobs: Sequence[Job],
    places: Sequence[Place],
    execution: Execution,
    limits: Mapping[str, str] | None,
    *,
    reraise: bool,
) -> Runner:
    """The function that runs the jobs: on Slurm if `limits` are given, in this process, or on workers.

    Raises:
        ValueError: the workers cannot be used.
    """
    if limits is not None:
        return partial(slurm.run, places=places, execution=execution, limits=limits)
    if len(places) == 1 or len(jobs) < 2:
        return partial(workers.run_here, place=places[0], reraise=reraise)
    workers.check_temporary_folder()
    return partial(workers.run, places=places)


def available(out: Path, execution: Execution) -> list[Place]:
    """The places of all workers, one each.

    Raises:
        ValueError: hardware or packages are missing.
    """
    if execution.logger == "tensorboard" and not (find_spec("tensorboard") or find_spec("tensorboardX")):
        raise ValueError("logger: tensorboard needs the package tensorboard: pip install tensorboard")
    if execution.logger == "wandb" and not find_spec("wandb"):
        raise ValueError("logger: wandb needs the package wandb: pip install wandb")
    here = execution.launcher == "local"
    gpus = torch.cuda.device_count() if here and execution.accelerator != "cpu" else 0
    accelerator = "gpu" if execution.uses_gpus else "cpu"
    devices = max(gpus, 1) if execution.devices == "auto" else execution.devices
    if here and accelerator == "gpu" and devices > gpus:
        raise ValueError(f"devices: got {devices} with accelerator gpu, but this machine offers {gpus}")
    if execution.precision == "tf32" and accelerator == "cpu":
        raise ValueError("precision: got tf32, which needs a GPU; allowed on a CPU is 32, 64 or bf16-mixed")
    if devices > 1 and accelerator == "cpu":
        raise ValueError(f"devices: got {devices}, which counts GPUs; use workers instead")
    count = execution.workers
    if count == "auto":
        count = devices if accelerator == "gpu" or not here else cores()
    if accelerator == "gpu" and execution.devices != "auto" and count < devices:
        raise ValueError(f"devices: got {devices}, but {count} workers use at most one each; allowed is up to {count}")
    threads = 1 if execution.threads is None else max(1, execution.threads // count)
    return [
        Place(
            out,
            Hardware(accelerator, index % devices, execution.precision, threads),
            execution.checkpoint_seconds,
            execution.logger,
            on_slurm=not here,
        )
        for index in range(count)
    ]


def emulates_bfloat16(place: Place) -> bool:
    """Whether the worker is a CPU of this machine that computes bf16-mixed without instructions for bfloat16."""
    here = place.hardware.accelerator == "cpu" and not place.on_slurm
    if place.hardware.precision != "bf16-mixed" or not here:
        return False
    known = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return known and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


def prepare(jobs: Sequence[Job], place: Place, *, fresh: bool) -> None:
    """Create the folder of all jobs, remove leftovers of killed calls, and clear the jobs' folders if `fresh`.

    Raises:
        ValueError: the folder cannot be created or locked, or another call is running a job that should start over.
    """
    try:
        (place.out / "jobs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: cannot write to {place.out}: {error.strerror}") from error
    check_lockable(place.out / "jobs")
    remove_abandoned(place.out)
    with ExitStack() as held:
        begun = [job for job in jobs if fresh and place.folder(job).exists()]
        for job in begun:
            held.enter_context(locked(place.folder(job)))
        for job in begun:
            clear(job, place.folder(job))


def report(failures: Mapping[str, str], jobs: Sequence[Job], place: Place, *, fresh: bool) -> str:
    """The message of JobsFailedError; `fresh` says whether this call started all jobs over."""
    others = "; the others are done" if len(failures) < len(jobs) else ""
    parts = [f"{len(failures)} of {counted(len(jobs), 'job')} failed{others}."]
    folders = {job.name: place.folder(job) for job in jobs}
    for number, (name, reason) in enumerate(failures.items()):
        log = folders[name] / "log.txt"
        parts.append(f"{name}: {reason}" + (f" (see {log})" if log.exists() else ""))
        if number < LOGS and log.exists():
            parts += [
                f"    {line}" for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
            ]
    again = "without 'fresh'" if fresh else "again"
    return "\n".join([*parts, f"Make the same call {again} to resume. With 'fresh' all jobs start over."])


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Jobs as an array on a Slurm cluster, by submitit."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any

from mfmarl.files import write_text
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.job import Job
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.workers import Place

POLL_SECONDS = 5.0  # between looks at the jobs: sacct and shared file systems are slow


def executor(place: Place, execution: Execution) -> Any:
    """A submitit executor. Partition, account, time and memory come from Slurm's own SBATCH_* variables.

    Raises:
        ValueError: submitit or Slurm is not there.
    """
    if find_spec("submitit") is None:
        raise ValueError("launcher: slurm needs the package submitit: pip install 'mfmarl[slurm]'")
    if shutil.which("sbatch") is None:
        raise ValueError("launcher: got slurm, but there is no sbatch on this machine; use local")
    import submitit  # noqa: PLC0415  # an optional package

    submit = submitit.AutoExecutor(folder=place.out / "jobs" / "slurm", cluster="slurm")
    submit.update_parameters(
        name="mfmarl",
        timeout_min=24 * 60,
        cpus_per_task=place.hardware.threads,
        gpus_per_node=int(place.hardware.accelerator == "gpu"),
        slurm_array_parallelism=256 if execution.workers == "auto" else execution.workers,
    )
    return submit


def run(jobs: Sequence[Job], progress: Progress, place: Place, executor: Any) -> dict[str, str]:
    """Submit jobs to a submitit `executor` and wait for them; return why jobs failed, by name."""
    for job in jobs:
        (place.folder(job) / "progress.txt").unlink(missing_ok=True)
    waiting = list(zip(jobs, executor.map_array(partial(run_one, place), jobs), strict=True))
    failures = {}
    try:
        while waiting:
            time.sleep(POLL_SECONDS)
            for job, task in list(waiting):
                with suppress(FileNotFoundError):
                    progress.update(job, int((place.folder(job) / "progress.txt").read_text()))
                if task.done():
                    waiting.remove((job, task))
                    if (error := task.exception()) is not None:
                        failures[job.name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                    progress.finish(job)
    finally:
        for _, task in waiting:
            task.cancel()
    return failures


def run_one(place: Place, job: Job) -> None:
    """Do `job` where only its folder connects us with who waits for it."""
    last = -math.inf

    def progress(steps: int) -> None:
        nonlocal last
        if time.monotonic() - last >= POLL_SECONDS or steps == job.work:
            last = time.monotonic()
            write_text(str(steps), place.folder(job) / "progress.txt")

    place.run(job, progress)

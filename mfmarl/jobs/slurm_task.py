"""One task of an array on Slurm, which runs a share of the jobs on its own workers.

Slurm announces by SIGTERM that it will take away the node, and by SIGUSR2 that the time limit is near. Workers block
both. After SIGTERM the task continues until it is killed, since ending by itself would look like success; Slurm then
requeues it if it was preempted, but not if it was cancelled. After SIGUSR2 submitit requeues the task.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mfmarl.files import write_json
from mfmarl.jobs import workers
from mfmarl.jobs.job import Job
from mfmarl.jobs.progress import Counted, Progress
from mfmarl.jobs.workers import Place

REPORT_SECONDS = 5.0  # between two reports of a task: shared file systems are slow


@dataclass(frozen=True)
class Share:
    """The share of the jobs that one task runs.

    Attributes:
        jobs: the jobs, in the order in which they start.
        places: one place for each worker.
        requeues: maximum number of times that the task may be requeued.
        directory: working directory, that of the submitting process, since paths may be relative to it.
    """

    jobs: tuple[Job, ...]
    places: tuple[Place, ...]
    requeues: int
    directory: str = field(default_factory=os.getcwd)

    def __call__(self) -> dict[str, str]:
        """Run the jobs, or the rest of them, and return the reasons of failures by job name.

        Raises:
            ValueError: the task was requeued too often, has fewer GPUs than requested, or the path of its folder of
                temporary files is too long.
        """
        os.chdir(self.directory)
        restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        if restarts > self.requeues:
            raise ValueError(f"slurm_requeues: queued again {restarts} times, allowed is {self.requeues}")
        gpus = {place.hardware.device for place in self.places if place.hardware.accelerator == "gpu"}
        if len(gpus) > torch.cuda.device_count():
            raise ValueError(f"devices: got {len(gpus)}, but torch finds {torch.cuda.device_count()} GPUs in this task")
        workers.check_temporary_folder()
        with TaskProgress(self.jobs, task_file(self.places[0].out, own_id())) as progress:
            return workers.run(self.jobs, progress, self.places)

    def checkpoint(self) -> Any:
        """What submitit runs after a requeue: the same task, since jobs resume from their own checkpoints."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415 - an optional package

        return DelayedSubmission(self)


class TaskProgress(Progress):
    """Progress that is also written to a file, for the process that waits for the task."""

    def __init__(self, jobs: Sequence[Job], path: Path) -> None:
        self.path = path
        self.last_report = -math.inf
        super().__init__(jobs, set())

    def update(self, job: Counted, work: int) -> None:
        """As in Progress; also write the file if the next report is due."""
        super().update(job, work)
        if time.monotonic() - self.last_report >= REPORT_SECONDS:
            self.last_report = time.monotonic()
            write_json(self.work, self.path)


def own_id() -> str:
    """The id of this task as Slurm writes it, e.g. 7_2 for the third task of array 7."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array else os.environ["SLURM_JOB_ID"]


def task_file(out: Path, task: str) -> Path:
    """The file to which a task writes how much of each job is done."""
    return out / "jobs" / "slurm" / f"{task}_progress.json"


def reported(out: Path, task: str) -> dict[str, int]:
    """The work done of each job, by name, according to its task."""
    try:
        return dict(json.loads(task_file(out, task).read_text(encoding="utf-8")))
    except FileNotFoundError:  # it has not started
        return {}

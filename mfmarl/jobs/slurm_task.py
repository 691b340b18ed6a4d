"""What one task of an array on Slurm does: a share of the jobs, on workers of its own.

Slurm announces with SIGTERM that it will take the node away, and with SIGUSR2 that the time is nearly over. Workers
hear neither. After the first the task goes on until it is killed, and Slurm queues it again if it is preempted, not if
it is cancelled: to end by itself would look like having done all. At the second submitit queues the task again.
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

REPORT_SECONDS = 5.0  # between two reports of a task: file systems that machines share are slow


@dataclass(frozen=True)
class Share:
    """Jobs of one task.

    jobs      what is to be done, the first first
    places    one for each worker
    requeues  how often the task may be queued again
    directory where it works: that of whoever submits it, whose paths may be relative
    """

    jobs: tuple[Job, ...]
    places: tuple[Place, ...]
    requeues: int
    directory: str = field(default_factory=os.getcwd)

    def __call__(self) -> dict[str, str]:
        """Do the jobs, or what is left of them; return why some failed, by name.

        Raises:
            ValueError: the task was queued again too often, has fewer GPUs than it asked for, or its folder of
                temporary files does not do.
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
        """What submitit runs when the task is queued again: the same, for jobs go on from their own checkpoints."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415 - an optional package

        return DelayedSubmission(self)


class TaskProgress(Progress):
    """Progress that is also written to a file, where whoever waits for the task reads it."""

    def __init__(self, jobs: Sequence[Job], path: Path) -> None:
        self.path = path
        self.last_report = -math.inf
        super().__init__(jobs, set())

    def update(self, job: Counted, work: int) -> None:
        """As of Progress; written, if it is time."""
        super().update(job, work)
        if time.monotonic() - self.last_report >= REPORT_SECONDS:
            self.last_report = time.monotonic()
            write_json(self.work, self.path)


def own_id() -> str:
    """The id of this task, as Slurm writes it: 7_2 is the third of array 7."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array else os.environ["SLURM_JOB_ID"]


def task_file(out: Path, task: str) -> Path:
    """Where a task writes how much of each job is done."""
    return out / "jobs" / "slurm" / f"{task}_progress.json"


def reported(out: Path, task: str) -> dict[str, int]:
    """The work that a task says it has done of each job, by name."""
    try:
        return dict(json.loads(task_file(out, task).read_text(encoding="utf-8")))
    except FileNotFoundError:  # it has not begun
        return {}

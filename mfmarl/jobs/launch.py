"""Run a list of jobs: in this process, on worker processes (one for each GPU, if there are any), or on Slurm.

The results do not depend on which. Workers import the script, so it must launch its jobs under
`if __name__ == "__main__":`. Linux and macOS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import torch

from mfmarl.files import check_writable
from mfmarl.jobs import slurm, workers
from mfmarl.jobs.folder import (
    Hardware,
    Job,
    clear,
    read_rows,
)
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.workers import Place
from mfmarl.scripting.options import JobsFailedError, Options
from mfmarl.scripting.provenance import cores

LOGS = 3  # that are shown when jobs fail: jobs often fail for one reason
LOG_LINES = 12  # of each: enough for the exception and the calls that led to it


def launch(jobs: Sequence[Job], out: Path, options: Options) -> list[pd.DataFrame]:
    """Do `jobs`, each in its folder in `out`/jobs, resuming what earlier calls left; return the rows of each, in order.

    `options` says where and how: launcher, workers, accelerator, devices, precision, threads, fresh,
    checkpoint_seconds and logger. Largest jobs go first. Progress goes to stderr.

    Raises:
        ValueError: an unknown algorithm, unreadable files of an earlier call, a directory that cannot be
            written to, hardware or packages that are not there. No job has then begun, no file has changed.
        JobsFailedError: some jobs failed; the others were done first.
    """
    places = available(out, options)
    place = places[0]
    names = [job.name for job in jobs]
    if len(set(names)) < len(names) or any(Path(name).name != name for name in names):
        raise ValueError(f"jobs: got the names {names}, each must be different and name a folder")
    check_writable(out)
    done = {job.name for job in jobs if not options.fresh and place.found(job) == "rows"}
    left = sorted((job for job in jobs if job.name not in done), key=lambda job: -job.work)
    algorithms = sorted({job.algorithm for job in left})
    failures: dict[str, str] = {}
    if left and options.launcher == "slurm":
        executor = slurm.executor(place, options)
        workers.check_algorithms(algorithms)
        prepare(left, place, fresh=options.fresh)
        with Progress(jobs, done) as progress:
            failures = slurm.run(left, place, progress, executor)
    elif left and (len(places) == 1 or len(left) == 1):
        workers.check_algorithms(algorithms)
        prepare(left, place, fresh=options.fresh)
        with Progress(jobs, done) as progress:
            failures = workers.run_here(left, place, progress)
    elif left:
        with workers.started(places[: len(left)]) as processes:
            processes[0].check(algorithms)
            prepare(left, place, fresh=options.fresh)
            with Progress(jobs, done) as progress:
                failures = workers.run(left, processes, progress)
    if failures:
        raise JobsFailedError(report(failures, jobs, place))
    return [read_rows(job, place.folder(job)) for job in jobs]


def available(out: Path, options: Options) -> list[Place]:
    """One place for each worker. Raises ValueError for hardware or packages that are not there."""
    if options.logger == "tensorboard" and not (find_spec("tensorboard") or find_spec("tensorboardX")):
        raise ValueError("logger: tensorboard needs the package tensorboard: pip install tensorboard")
    here = options.launcher == "local"
    gpus = torch.cuda.device_count() if here and options.accelerator != "cpu" else 0
    accelerator = options.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if gpus else "cpu"
    devices = max(gpus, 1) if options.devices == "auto" else options.devices
    if here and accelerator == "gpu" and devices > gpus:
        raise ValueError(f"devices: got {devices} with accelerator gpu, but this machine offers {gpus}")
    if devices > 1 and (accelerator == "cpu" or not here):
        raise ValueError(f"devices: got {devices}, which counts GPUs of this machine; use workers instead")
    count = options.workers
    if count == "auto":
        count = devices if accelerator == "gpu" or not here else cores()
    threads = 1 if options.threads is None else max(1, options.threads // (count if here else 1))
    return [
        Place(
            out,
            Hardware(accelerator, index % devices, options.precision, threads),
            options.checkpoint_seconds,
            options.logger,
        )
        for index in range(count)
    ]


def prepare(jobs: Sequence[Job], place: Place, *, fresh: bool) -> None:
    """Make the folder of all jobs, and clear theirs if `fresh`. Raises ValueError if it cannot be made."""
    try:
        (place.out / "jobs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: cannot write to {place.out}: {error.strerror}") from error
    if fresh:
        for job in jobs:
            clear(place.folder(job))


def report(failures: Mapping[str, str], jobs: Sequence[Job], place: Place) -> str:
    """The message of JobsFailedError."""
    parts = [f"{len(failures)} of {len(jobs)} jobs failed; the others are done."]
    folders = {job.name: place.folder(job) for job in jobs}
    for number, (name, reason) in enumerate(failures.items()):
        log = folders[name] / "log.txt"
        parts.append(f"{name}: {reason} (see {log})")
        if number < LOGS and log.exists():
            parts += [f"    {line}" for line in log.read_text(errors="replace").splitlines()[-LOG_LINES:]]
    return "\n".join([*parts, "Run the same command again to resume; --fresh starts all jobs over."])

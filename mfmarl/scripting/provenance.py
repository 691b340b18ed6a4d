"""The file provenance.json, which records where results come from."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mfmarl import __version__
from mfmarl.files import write_json
from mfmarl.jobs.execution import TIMES
from mfmarl.jobs.folder import folder
from mfmarl.jobs.job import Job, TrainingJob
from mfmarl.jobs.launch import cores
from mfmarl.jobs.locks import locked
from mfmarl.scripting.options import Options
from mfmarl.scripting.tables import read_provenance

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "pandas")


def write_provenance(
    jobs: Sequence[Job], options: Options, settings: Mapping[str, object], section: str = "run"
) -> None:
    """Record `jobs` in a section of provenance.json, after `launch` has run them with `options`.

    A section is a list of calls, oldest first, each with the jobs that it ran. A job that an earlier call ran stays
    with that call, unless it was run again or its name now means other settings.

    Times are added up over all calls that resumed a job; the total wall time of jobs that run side by side exceeds the
    time that passed.

    Args:
        jobs: finished jobs.
        options: options of this call.
        settings: values of the settings with their sources, any JSON object.
        section: name of the section.
    """
    with locked(options.out / "jobs", wait=True):
        enter(jobs, options, settings, section)


def enter(jobs: Sequence[Job], options: Options, settings: Mapping[str, object], section: str) -> None:
    """Rewrite the file with these jobs added."""
    path = options.out / "provenance.json"
    sections = read_provenance(path)
    earlier = sections.get(section, [])
    recorded = {name: job for call in earlier for name, job in call["jobs"].items()}
    own = {job.name: job_record(job, options) for job in jobs}
    own = {name: record for name, record in own.items() if not is_known(record, recorded.get(name))}
    calls = [with_jobs(call, {name: job for name, job in call["jobs"].items() if name not in own}) for call in earlier]
    calls.append(with_jobs(this_call(settings), own))
    write_json({**sections, section: [call for call in calls if call["jobs"]]}, path)


def is_known(record: Mapping[str, object], earlier: Mapping[str, object] | None) -> bool:
    """Whether an earlier record is of the same run of a job; records of earlier versions may have fewer keys."""
    return earlier is not None and all(record.get(name) == value for name, value in earlier.items())


def this_call(settings: Mapping[str, object]) -> dict[str, object]:
    """The properties that all jobs of this call share."""
    return {
        "command": command(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "versions": {
            "python": platform.python_version(),
            "mfmarl": __version__,
            **{p: version(p) for p in PACKAGES},
        },
        "commit": commit(),
        "hardware": hardware(),
    }


def with_jobs(call: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The record of a call with these jobs, sorted by name, and their total times."""
    total = {kind: round(sum(job.get(kind, 0.0) for job in jobs.values()), 1) for kind in TIMES}
    return {**call, "total": total, "jobs": dict(sorted(jobs.items()))}


def job_record(job: Job, options: Options) -> dict[str, object]:
    """The record of a finished job. By `labels` and `seeds` one finds the commit that a row comes from."""
    times = job_times(folder(job, options.out, options.precision))
    trained: dict[str, object] = {"seeds": list(job.seeds)} if isinstance(job, TrainingJob) else {}
    if isinstance(job, TrainingJob) and (code := job.code):
        trained["code"] = code
    return {
        "fingerprint": job.fingerprint,
        "labels": dict(job.labels),
        **trained,
        "precision": options.precision,
        **{kind: round(seconds, 1) for kind, seconds in times.items()},
    }


def command() -> str:
    """The command line, with the script's path relative to the working directory."""
    return shlex.join(["python", os.path.relpath(sys.argv[0]) if sys.argv[0] else "", *sys.argv[1:]])


def commit() -> dict[str, object] | None:
    """The commit of the checkout that contains this package, and whether its code differs; None if there is none.

    The checkout may belong to another user.
    """
    checkout = Path(__file__).resolve().parents[2]
    # Inside a hook of git, variables may name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout), *arguments],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "mfmarl/__init__.py")  # else the checkout is another project's
        return {
            "id": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "mfmarl", "reproduce")),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware() -> dict[str, object]:
    """The machine: CPU model, number of usable cores, memory in GiB, GPUs and system."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "system": platform.system(),
    }


def cpu_model() -> str:
    """The name of the CPU if the system gives it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def compute_seconds(out: Path) -> dict[str, float]:
    """Seconds that each job took, by name, from `out`/provenance.json: CPU time, or wall time if there was a GPU.

    Wall time says little on a CPU, where jobs share the cores with each other and with other programs.
    """
    sections = read_provenance(out / "provenance.json").values()
    return {
        name: float(job["wall_seconds" if call["hardware"]["gpus"] else "cpu_seconds"])
        for calls in sections
        for call in calls
        for name, job in call["jobs"].items()
    }


def job_times(directory: Path) -> dict[str, float]:
    """Seconds that a job took, added up over all calls; empty if it is not done."""
    path = directory / "job.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {kind: record[kind] for kind in TIMES if kind in record}

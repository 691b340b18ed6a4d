"""Where results come from: what provenance.json says."""

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
from mfmarl.experiment import Job
from mfmarl.files import write_json

PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "numpy", "pandas")


def write_provenance(jobs: Sequence[Job], out: Path, settings: Mapping[str, object], section: str = "run") -> None:
    """Write a section of `out`/provenance.json after `launch` has done `jobs`; other sections stay as they are.

    `settings` is what the numbers were and where each comes from, any JSON. Times are those of the jobs, the
    calls that they were resumed in added up: of jobs side by side, more wall time than passed on the clock.
    Jobs of earlier calls stay in the section, and the date of the first call if it shares a job with this one;
    the rest is that of the latest call.
    """
    path = out / "provenance.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    content = provenance(jobs, out, settings, earlier.get(section, {}))
    write_json({**earlier, section: content}, path)


def provenance(
    jobs: Sequence[Job], out: Path, settings: Mapping[str, object], earlier: Mapping[str, Any]
) -> dict[str, object]:
    """The content of a section, see `write_provenance`; `earlier` is what it was."""
    own = {
        job.name: {
            "fingerprint": job.fingerprint,
            **{kind: round(seconds, 1) for kind, seconds in job_times(out / "jobs" / job.name).items()},
        }
        for job in jobs
    }
    every: dict[str, dict[str, Any]] = {**earlier.get("jobs", {}), **own}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {
        "command": command(),
        "dates": {"first": first_date(earlier, own) or now, "last": now},
        "settings": dict(settings),
        "seeds": sorted({*earlier.get("seeds", []), *(seed for job in jobs for seed in job.seeds)}),
        "versions": {
            "python": platform.python_version(),
            "mfmarl": __version__,
            **{p: version(p) for p in PACKAGES},
        },
        "commit": commit(),
        "hardware": hardware(),
        "total": {
            kind: round(sum(job.get(kind, 0.0) for job in every.values()), 1)
            for kind in ("wall_seconds", "cpu_seconds")
        },
        "jobs": dict(sorted(every.items())),
    }


def command() -> str:
    """The command line, the script's path relative to the working directory."""
    return shlex.join(["python", os.path.relpath(sys.argv[0]) if sys.argv[0] else "", *sys.argv[1:]])


def commit() -> dict[str, object] | None:
    """The commit of the checkout this package lies in, and whether its code differs; None outside one."""
    package = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package.parent), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "mfmarl/__init__.py")  # else the checkout around us is not ours
        return {
            "id": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "mfmarl", "reproduce")),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware() -> dict[str, object]:
    """The machine: CPU model, cores that may be used, memory in GiB, GPUs."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "system": platform.system(),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """The CPU's name where the system gives it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def compute_seconds(out: Path) -> dict[str, float]:
    """Time that each job took, by name, from `out`/provenance.json: of the CPU, or where there is a GPU, the clock's.

    The clock says little on a CPU, where jobs share cores with each other and with whatever else runs.
    """
    sections = json.loads((out / "provenance.json").read_text()).values()
    return {
        name: float(job["wall_seconds" if section["hardware"]["gpus"] else "cpu_seconds"])
        for section in sections
        for name, job in section["jobs"].items()
    }


def job_times(directory: Path) -> dict[str, float]:
    """Seconds that a job took, in all calls; empty if it is not done."""
    path = directory / "job.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {kind: record[kind] for kind in ("wall_seconds", "cpu_seconds") if kind in record}


def first_date(earlier: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The first date of the section already written, if it shares a job with this one."""
    known = earlier.get("jobs", {})
    shared = any(known.get(name, {}).get("fingerprint") == job["fingerprint"] for name, job in jobs.items())
    return str(earlier["dates"]["first"]) if shared else None

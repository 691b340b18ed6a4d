"""Helpers for several tests: run jobs, and compare states and files."""

from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import Tensor

from mfmarl.jobs.folder import read_rows, run
from mfmarl.jobs.job import Job


def done(job: Job, directory: Path, **how: Any) -> pd.DataFrame:
    """Run a job in a directory and return its rows."""
    run(job, directory, **how)
    return read_rows(job, directory)


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def written(directory: Path) -> dict[str, bytes]:
    """Names and contents of the results in a directory, without checksums and provenance.json, whose dates differ."""
    others = ("provenance.json", "SHA256SUMS")
    files = (path for path in sorted(directory.iterdir()) if path.is_file() and path.name not in others)
    return {path.name: path.read_bytes() for path in files}


def constraints() -> list[Requirement]:
    """The requirements in constraints.txt."""
    lines = (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pins(python: str) -> dict[str, str]:
    """The versions in constraints.txt for a Python version on Linux, by package name."""
    environment = {
        "python_version": python,
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
    }
    pinned: dict[str, str] = {}
    for line in constraints():
        if line.marker is None or line.marker.evaluate(environment):
            name = canonicalize_name(line.name)
            assert name not in pinned, f"{name} is pinned twice for Python {python}"
            pinned[name] = str(line.specifier).removeprefix("==")
    return pinned


def draws_as_committed() -> bool:
    """Whether figures get the same bytes as in results/, which were drawn with the versions for the newest Python."""
    newest = pins("3.13")
    return all(metadata.version(name) == newest[name] for name in ("matplotlib", "pillow", "seaborn"))

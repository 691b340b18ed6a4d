"""What several tests need: jobs done, states and files compared."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mfmarl.jobs.folder import read_rows, run
from mfmarl.jobs.job import Job


def done(job: Job, directory: Path, **how: Any) -> pd.DataFrame:
    """Do a job in a directory; its rows."""
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
    """The results in a directory and what they hold: no checksums, no provenance.json, whose dates differ."""
    others = ("provenance.json", "SHA256SUMS")
    files = (path for path in sorted(directory.iterdir()) if path.is_file() and path.name not in others)
    return {path.name: path.read_bytes() for path in files}

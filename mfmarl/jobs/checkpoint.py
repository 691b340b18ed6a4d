"""Check that a training job can resume from a checkpoint."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

LAYOUT = 4  #: version of the checkpoints' layout; checkpoints with another one are refused.


class EarlierVersionError(ValueError):
    """A checkpoint has another layout, from which this version cannot resume."""


def check_checkpoint(path: Path) -> None:
    """Raise an exception of any kind unless `path` is an intact checkpoint of this layout, loadable without pickle."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"wrong checksum of {damaged}")
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    missing = {"state_dict", "loops", "callbacks"} - set(content)
    if missing:
        raise ValueError(f"it lacks {sorted(missing)}")
    layout = content["callbacks"].get("Checkpointer", {}).get("layout")
    if layout != LAYOUT:
        raise EarlierVersionError(f"its layout is {layout}, this version reads {LAYOUT}")

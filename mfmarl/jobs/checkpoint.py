"""What a training job's checkpoint must be, to go on from it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

LAYOUT = 4  #: of checkpoints; one of another layout is refused.


class EarlierVersionError(ValueError):
    """A checkpoint of another layout, from which this version cannot go on."""


def check_checkpoint(path: Path) -> None:
    """Raise some exception unless `path` is a whole checkpoint of this layout that loads without unpickling."""
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

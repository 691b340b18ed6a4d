"""The trained armies in a results folder: their paths, which of them exist, and how a name is resolved."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mfmarl.evaluation.rounds import SCRIPTED
from mfmarl.files import atomic
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.job import TrainingJob, shortened

if TYPE_CHECKING:
    from mfmarl.algorithms.agent import Agent

# Seeds of Battle in one job on a GPU, our choice: a step of the stack launches hardly more kernels than that of one.
STACKED = 16
LONGEST_NAME = 110  # bytes of a method's name in a file name; the limit of 255 holds for temporary names too


def policy_path(out: Path, agents: int, algorithm: str, seed: int | str) -> Path:
    """Path of a trained army; a custom class is named by its file's name and its own, shortened if very long."""
    name = shortened(algorithm.rpartition("/")[2].replace(".py:", "-"), LONGEST_NAME)
    return out / "policies" / f"{name}-{agents}-seed-{seed}.safetensors"


def keep(trained: Path, path: Path) -> None:
    """Copy the army file `trained` of a job's folder to `path`."""
    path.parent.mkdir(exist_ok=True)
    with atomic(path) as temporary:
        shutil.copyfile(trained, temporary)


def keep_all(job: TrainingJob, directory: Path, out: Path) -> None:
    """Copy the existing armies of a job's seeds from its folder `directory` to `out`/policies."""
    for seed, file in zip(job.seeds, job.load().files_of(job.seeds), strict=True):
        if (directory / file).exists():
            keep(directory / file, policy_path(out, job.environment.agents, str(job.labels["algorithm"]), seed))


def seeds_together(algorithm: type[Agent], execution: Execution) -> int:
    """Number of seeds of a Battle method that train as one job: 16 on a GPU if they can be stacked, else 1.

    On a CPU a stack is no faster: these networks are so large that arithmetic takes most of the time.
    """
    stacks: bool = algorithm.can_be_stacked()  # type: ignore[attr-defined]
    return STACKED if execution.uses_gpus and stacks else 1


def trained_seeds(out: Path, agents: int, algorithm: str) -> list[int]:
    """The seeds whose armies exist.

    Raises:
        ValueError: there are none.
    """
    if not (seeds := kept_seeds(out, agents, algorithm)):
        raise ValueError(f"opponents: there is no {policy_path(out, agents, algorithm, 0)}; train {algorithm} first")
    return seeds


def kept_seeds(out: Path, agents: int, algorithm: str) -> list[int]:
    """The seeds whose armies exist; may be empty."""
    before = policy_path(out, agents, algorithm, "")
    ends = (path.stem.partition(before.stem) for path in before.parent.glob(f"*{before.suffix}"))
    return sorted(int(seed) for start, _, seed in ends if not start and seed.isdecimal())


def army_file(name: str, *folders: Path) -> str:
    """Resolve the name of an army: a script's name is returned unchanged, any other name becomes a path.

    Args:
        name: name of a script, name of an army in policies/ of a folder, or path of a file.
        folders: results folders, searched in this order.

    Raises:
        ValueError: no such army exists.
    """
    if name in SCRIPTED:
        return name
    for path in (*(folder / "policies" / f"{name}.safetensors" for folder in folders), Path(name)):
        if os.path.isfile(path):
            return str(path)
    places = " or ".join(str(folder / "policies") for folder in dict.fromkeys(folders))
    raise ValueError(f"replay: got {name}, allowed are {', '.join(SCRIPTED)}, a file, or the name of one in {places}")

"""The trained armies of a results folder: where each lies, which there are, and what a name stands for."""

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

# Seeds of Battle in a job on a GPU: our choice, a gradient step of all launches little more than one of one.
STACKED = 16
LONGEST_NAME = 110  # bytes of a method's name in that of a file, which takes 255, those of an unfinished one with them


def policy_path(out: Path, agents: int, algorithm: str, seed: int | str) -> Path:
    """File of a trained army; the name of a custom class is made of its file and its own, a very long one shortened."""
    name = shortened(algorithm.rpartition("/")[2].replace(".py:", "-"), LONGEST_NAME)
    return out / "policies" / f"{name}-{agents}-seed-{seed}.safetensors"


def keep(trained: Path, path: Path) -> None:
    """Copy an army from its job's folder to `path`."""
    path.parent.mkdir(exist_ok=True)
    with atomic(path) as temporary:
        shutil.copyfile(trained, temporary)


def keep_all(job: TrainingJob, directory: Path, out: Path) -> None:
    """Copy the armies of a job's seeds from its folder `directory`, those that are there, to policies/ of `out`."""
    for seed, file in zip(job.seeds, job.load().files_of(job.seeds), strict=True):
        if (directory / file).exists():
            keep(directory / file, policy_path(out, job.environment.agents, str(job.labels["algorithm"]), seed))


def seeds_together(algorithm: type[Agent], execution: Execution) -> int:
    """How many seeds of a method of Battle train as one job: on a GPU 16 if they can be stacked, else one.

    On a CPU a stack is no faster: there the networks are large enough to be bound by arithmetic.
    """
    stacks: bool = algorithm.can_be_stacked()  # type: ignore[attr-defined]
    return STACKED if execution.uses_gpus and stacks else 1


def trained_seeds(out: Path, agents: int, algorithm: str) -> list[int]:
    """The seeds whose armies are there.

    Raises:
        ValueError: there are none.
    """
    if not (seeds := kept_seeds(out, agents, algorithm)):
        raise ValueError(f"opponents: there is no {policy_path(out, agents, algorithm, 0)}; train {algorithm} first")
    return seeds


def kept_seeds(out: Path, agents: int, algorithm: str) -> list[int]:
    """The seeds whose armies are there, none perhaps."""
    before = policy_path(out, agents, algorithm, "")
    ends = (path.stem.partition(before.stem) for path in before.parent.glob(f"*{before.suffix}"))
    return sorted(int(seed) for start, _, seed in ends if not start and seed.isdecimal())


def army_file(name: str, *folders: Path) -> str:
    """The name of a script as it is, else the path of an army: in policies/ of a folder, or where the name says.

    Args:
        name: of a script, an army or a file.
        folders: of results, in the order in which they are looked through.

    Raises:
        ValueError: there is none of that name.
    """
    if name in SCRIPTED:
        return name
    for path in (*(folder / "policies" / f"{name}.safetensors" for folder in folders), Path(name)):
        if os.path.isfile(path):
            return str(path)
    places = " or ".join(str(folder / "policies") for folder in dict.fromkeys(folders))
    raise ValueError(f"replay: got {name}, allowed are {', '.join(SCRIPTED)}, a file, or the name of one in {places}")

"""Jobs: each is described by values, and does itself."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, get_args

import numpy as np
import pandas as pd
import torch

from mfmarl import __version__
from mfmarl.algorithms import agent_of_seeds, algorithm_class
from mfmarl.custom import is_in_file, sources
from mfmarl.environments import Game
from mfmarl.jobs.checkpoint import check_checkpoint
from mfmarl.jobs.execution import Attempt, Precision
from mfmarl.values import check_told_by_fields

if TYPE_CHECKING:
    from mfmarl.algorithms.agent import Agent

Label = str | int | float
LONGEST_NAME = 200  # bytes; a file system takes 255, of which a folder's digest needs some


class Job(ABC):
    """Something that is done once, by one process, and gives rows.

    name    of the job's folder, e.g. "calibrated-mf-q-1000-seeds-0-7"
    labels  leading columns of its rows, e.g. {"settings": "appendix", "algorithm": "il", "agents": 100}
    """

    name: str
    labels: Mapping[str, Label]
    checkpoint_name: ClassVar[str] = "checkpoint.ckpt"
    precisions: ClassVar[tuple[str, ...]] = get_args(Precision)  #: in which it can be done.

    @property
    def files(self) -> tuple[str, ...]:
        """What it is asked to leave in its folder besides the rows; without them it is not done."""
        return ()

    @property
    @abstractmethod
    def unit(self) -> str:
        """What `work` is counted in, e.g. agent-steps."""

    @property
    @abstractmethod
    def work(self) -> int:
        """How much there is to do, in `unit`: for progress, and to do the largest jobs first."""

    @property
    @abstractmethod
    def rows(self) -> int | None:
        """How many rows it gives; None if only doing it tells."""

    @property
    @abstractmethod
    def keys(self) -> list[str]:
        """The columns by which its rows are sorted, which tell them apart."""

    @abstractmethod
    def description(self) -> dict[str, object]:
        """What determines the rows: numbers, text, tensors, dataclasses, and lists and mappings of them."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `description` and our version.

        Of the package's own code only the version counts, so that results outlive the edit of a comment.
        """
        content = {**self.description(), "version": __version__}
        return hashlib.sha256(json.dumps(canonical(content), sort_keys=True).encode()).hexdigest()

    def check(self) -> None:  # noqa: B027 - most jobs can be done
        """Raise ValueError if the job cannot be done; called before any job begins."""

    def check_precision(self, precision: str) -> None:
        """Raise ValueError if the job is not done in this precision; called before any job begins."""
        if precision not in self.precisions:
            raise ValueError(f"precision: got {precision}, allowed for {self.name} is {' or '.join(self.precisions)}")

    def check_checkpoint(self, path: Path) -> None:
        """Raise some exception unless `path` is a whole checkpoint of such a job."""
        raise ValueError("such a job saves none")

    @abstractmethod
    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Do the job, or what is left of it, and return its rows."""


@dataclass(frozen=True)
class TrainingJob(Job):
    """Some seeds of one setting, trained together.

    algorithm   a key of ALGORITHMS, or "path/to/file.py:Class"
    environment the game, a frozen dataclass
    seeds       one independent run each
    agent       keyword arguments of the algorithm's class
    data        keyword arguments of its data module, `steps` and `evaluations` among them
    conditions  what differs within the stack besides the seed, e.g. ({"temperature": 0.8}, {"temperature": 1.2}):
                columns of the rows, one run for each condition and seed
    keep        leave the trained agent in the job's folder; it changes no row

    The other fields are described in Job.
    """

    name: str
    labels: Mapping[str, Label]
    algorithm: str
    environment: Game
    seeds: tuple[int, ...]
    agent: Mapping[str, object]
    data: Mapping[str, object]
    conditions: tuple[Mapping[str, float], ...] = ({},)
    keep: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The trained agent, if it is to be kept; of Battle the army of each seed."""
        return self.load().files_of(self.seeds) if self.keep else ()

    @property
    def runs(self) -> list[dict[str, float]]:
        """What names each run of the stack: its condition and its seed."""
        return [{**condition, "seed": seed} for condition in self.conditions for seed in self.seeds]

    @property
    def steps(self) -> int:
        """Steps of each run."""
        return int(self.data["steps"])  # type: ignore[call-overload,no-any-return]

    @property
    def evaluations(self) -> int:
        """Evaluations of each run."""
        return int(self.data["evaluations"])  # type: ignore[call-overload,no-any-return]

    @property
    def unit(self) -> str:
        """What the algorithm's class calls a step of one of its agents."""
        return self.load().unit

    @property
    def work(self) -> int:
        """The steps of every agent of every run."""
        return self.steps * len(self.runs) * self.environment.agents

    @property
    def rows(self) -> int:
        """One an evaluation of each run."""
        return self.evaluations * len(self.runs)

    @property
    def keys(self) -> list[str]:
        """Run, then step."""
        return [*self.runs[0], "step"]

    def description(self) -> dict[str, object]:
        """All fields that determine the rows, and the file of a custom class with the modules beside it."""
        names = [each.name for each in fields(self) if each.name not in ("name", "keep")]
        content = {name: getattr(self, name) for name in names}
        if is_in_file(self.algorithm):
            file = Path(self.algorithm.rpartition(":")[0])
            try:
                digests = sources(file)
            except OSError as error:
                raise ValueError(f"algorithms: cannot read {file}: {error.strerror}") from error
            content["source"] = digests.pop(file.name)
            content |= {"helpers": digests} if digests else {}
        return content

    def check(self) -> None:
        """Raise ValueError unless the algorithm loads, and what it learns can be stored if it is to be."""
        cls = self.load()
        if self.keep or cls.always_saved:
            agent_of_seeds(cls, self.environment, self.seeds, **self.agent).check_saved()

    def load(self) -> type[Agent]:
        """The algorithm's class."""
        return algorithm_class(self.algorithm)

    def check_checkpoint(self, path: Path) -> None:
        """Raise some exception unless `path` is a whole checkpoint."""
        check_checkpoint(path)

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Train; the rows are those of every evaluation."""
        # Lightning takes seconds to import: whoever only describes jobs, or hands them to workers, need not wait.
        from mfmarl.jobs.training import train  # noqa: PLC0415

        curves = train(self.load(), self.environment, self.seeds, self.agent, self.data, attempt, keep=self.keep)
        return curves.frame(self.labels, self.runs)


def job_name(*labels: object, seeds: Sequence[int] = ()) -> str:
    """Name of a job: its labels, its lowest and its highest seed if it has any, in letters all file systems take.

    Of a very long one the middle is left out.
    """
    words = "-".join([*map(str, labels), *(["seeds", str(min(seeds)), str(max(seeds))] if seeds else [])])
    return shortened("".join(letter if letter.isalnum() or letter in "-." else "_" for letter in words), LONGEST_NAME)


def shortened(name: str, longest: int) -> str:
    """A name without its middle if it has more bytes than `longest`, which is at least 103."""
    written = name.encode()
    if len(written) <= longest:
        return name
    return f"{written[:40].decode(errors='ignore')}...{written[-60:].decode(errors='ignore')}"


def canonical(value: object) -> object:
    """`value` as JSON that is equal exactly if the values are."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Integral):  # of numpy, as below
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        check_told_by_fields(value)
        content = {each.name: canonical(getattr(value, each.name)) for each in fields(value)}
        return [type(value).__qualname__, content]
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, type):
        return value.__qualname__
    raise ValueError(f"job: got {value!r}, allowed are dataclasses, mappings, lists, tensors, numbers and text")

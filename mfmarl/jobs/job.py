"""Jobs, which are described by values and can run themselves."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, get_args

import numpy as np
import pandas as pd
import torch

from mfmarl import __version__
from mfmarl.algorithms import agent_of_seeds, algorithm_class
from mfmarl.algorithms.constructors import check_keywords
from mfmarl.custom import is_in_file, sources
from mfmarl.environments import Game
from mfmarl.jobs.checkpoint import check_checkpoint
from mfmarl.jobs.execution import Attempt, Precision
from mfmarl.values import check_told_by_fields

if TYPE_CHECKING:
    from mfmarl.algorithms.agent import Agent

Label = str | int | float
LONGEST_NAME = 200  # bytes; file systems allow 255, of which the digest in a folder's name takes some


class Job(ABC):
    """A piece of work that is done once, by one process, and returns rows.

    Attributes:
        name: name of the job's folder, e.g. "calibrated-mf-q-1000-seeds-0-7".
        labels: leading columns of its rows, e.g. {"settings": "appendix", "algorithm": "il", "agents": 100}.
    """

    name: str
    labels: Mapping[str, Label]
    checkpoint_name: ClassVar[str] = "checkpoint.ckpt"
    precisions: ClassVar[tuple[str, ...]] = get_args(Precision)  #: precisions that the job supports.

    @property
    def files(self) -> tuple[str, ...]:
        """Files besides the rows that must exist in the job's folder for it to count as done."""
        return ()

    @property
    @abstractmethod
    def unit(self) -> str:
        """The unit of `work`, e.g. agent-steps."""

    @property
    @abstractmethod
    def work(self) -> int:
        """Amount of work in `unit`, used to show progress and to run the largest jobs first."""

    @property
    @abstractmethod
    def rows(self) -> int | None:
        """Number of rows; None if it is not known in advance."""

    @property
    @abstractmethod
    def keys(self) -> list[str]:
        """The columns that sort and identify the rows."""

    @abstractmethod
    def description(self) -> dict[str, object]:
        """Everything that determines the rows: numbers, text, tensors, dataclasses, and lists and mappings of these."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of `description` and this package's version.

        The package's source code does not count, so that results stay valid when a comment is edited.
        """
        content = {**self.description(), "version": __version__}
        return hashlib.sha256(json.dumps(canonical(content), sort_keys=True).encode()).hexdigest()

    def check(self) -> None:  # noqa: B027 - most jobs can be done
        """Raise ValueError if the job cannot be run; called before any job starts."""

    def check_precision(self, precision: str) -> None:
        """Raise ValueError if the job does not support this precision; called before any job starts."""
        if precision not in self.precisions:
            raise ValueError(f"precision: got {precision}, allowed for {self.name} is {' or '.join(self.precisions)}")

    def check_checkpoint(self, path: Path) -> None:
        """Raise an exception of any kind unless `path` is an intact checkpoint of such a job."""
        raise ValueError("such a job saves none")

    @abstractmethod
    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Run the job, or the rest of it, and return its rows."""


@dataclass(frozen=True)
class TrainingJob(Job):
    """Several seeds of one setting, trained together.

    Attributes:
        algorithm: a key of ALGORITHMS, or "path/to/file.py:Class".
        environment: the game, a frozen dataclass.
        seeds: seeds, with one independent run each.
        agent: keyword arguments of the algorithm's class.
        data: keyword arguments of its data module, including `steps` and `evaluations`.
        conditions: differences within the stack besides the seed, e.g. ({"temperature": 0.8}, {"temperature": 1.2}).
            They are columns of the rows; there is one run for each condition and seed.
        keep: whether to save the trained agent in the job's folder; the rows do not depend on it.

    Job describes the other fields.
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
        """The file of the trained agent, or of each seed's army in Battle, if `keep` is set."""
        return self.load().files_of(self.seeds) if self.keep else ()

    @property
    def runs(self) -> list[dict[str, float]]:
        """The condition and seed of each run of the stack."""
        return [{**condition, "seed": seed} for condition in self.conditions for seed in self.seeds]

    @property
    def steps(self) -> int:
        """Number of steps of each run."""
        return int(self.data["steps"])  # type: ignore[call-overload,no-any-return]

    @property
    def evaluations(self) -> int:
        """Number of evaluations of each run."""
        return int(self.data["evaluations"])  # type: ignore[call-overload,no-any-return]

    @property
    def unit(self) -> str:
        """The name that the algorithm's class gives to one step of one agent."""
        return self.load().unit

    @property
    def work(self) -> int:
        """Total number of steps over all agents and runs."""
        return self.steps * len(self.runs) * self.environment.agents

    @property
    def rows(self) -> int:
        """Number of rows: one per evaluation and run."""
        return self.evaluations * len(self.runs)

    @property
    def keys(self) -> list[str]:
        """The columns that name the run, then the step."""
        return [*self.runs[0], "step"]

    @property
    def code(self) -> dict[str, str]:
        """Digests of the file of a custom class and of the modules that it imports from beside it; else empty.

        Raises:
            ValueError: the file cannot be read.
        """
        if not is_in_file(self.algorithm):
            return {}
        file = Path(self.algorithm.rpartition(":")[0])
        try:
            return sources(file)
        except OSError as error:
            raise ValueError(f"algorithms: cannot read {file}: {error.strerror}") from error

    def description(self) -> dict[str, object]:
        """All fields that determine the rows and, for a custom class, its code."""
        names = [each.name for each in fields(self) if each.name not in ("name", "keep")]
        content = {name: getattr(self, name) for name in names}
        if digests := self.code:
            content["source"] = digests.pop(Path(self.algorithm.rpartition(":")[0]).name)
            content |= {"helpers": digests} if digests else {}
        return content

    def check(self) -> None:
        """Raise ValueError unless the algorithm loads and takes the arguments, and a file can hold what is saved."""
        cls = self.load()
        check_keywords(cls, self.agent, self.data)
        if self.keep or cls.always_saved:
            agent_of_seeds(cls, self.environment, self.seeds, **self.agent).check_saved()

    def load(self) -> type[Agent]:
        """The algorithm's class."""
        return algorithm_class(self.algorithm)

    def check_checkpoint(self, path: Path) -> None:
        """Raise an exception of any kind unless `path` is an intact checkpoint."""
        check_checkpoint(path)

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Train, and return the rows of all evaluations."""
        # Lightning takes seconds to import, and a process that only describes jobs, or sends them to workers, has no
        # use for it.
        from mfmarl.jobs.training import train  # noqa: PLC0415

        curves = train(self.load(), self.environment, self.seeds, self.agent, self.data, attempt, keep=self.keep)
        return curves.frame(self.labels, self.runs)


@dataclass(frozen=True)
class CustomJob(TrainingJob):
    """A TrainingJob that depends on code outside this package.

    Attributes:
        cls: the algorithm's class, unless it is named as path/to/file.py:Class.
        sources: digests of the outside code by name; edited code makes another job.
    """

    cls: type[Agent] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> dict[str, str]:
        """Empty: `sources` holds the same digests, and more."""
        return {}

    def load(self) -> type[Agent]:
        """The algorithm's class."""
        return super().load() if self.cls is None else self.cls


def job_name(*labels: object, seeds: Sequence[int] = ()) -> str:
    """Name of a job, made of its labels and its lowest and highest seed, if any, in characters all file systems allow.

    The middle of a very long name is left out.
    """
    words = "-".join([*map(str, labels), *(["seeds", str(min(seeds)), str(max(seeds))] if seeds else [])])
    return shortened("".join(letter if letter.isalnum() or letter in "-." else "_" for letter in words), LONGEST_NAME)


def shortened(name: str, longest: int) -> str:
    """`name`, without its middle if it has more than `longest` bytes, which must be at least 103."""
    written = name.encode()
    if len(written) <= longest:
        return name
    return f"{written[:40].decode(errors='ignore')}...{written[-60:].decode(errors='ignore')}"


def canonical(value: object, name: str = "job") -> object:
    """`value`, which an error calls `name`, as JSON that is equal if and only if the values are equal."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Integral):  # a number of numpy, as below
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        check_told_by_fields(value)
        content = {each.name: canonical(getattr(value, each.name), each.name) for each in fields(value)}
        return [type(value).__qualname__, content]
    if isinstance(value, Mapping):
        return {str(key): canonical(item, str(key)) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(item, name) for item in value]
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, type):
        return value.__qualname__
    raise ValueError(f"{name}: got {value!r}, allowed are dataclasses, mappings, lists, tensors, numbers and text")

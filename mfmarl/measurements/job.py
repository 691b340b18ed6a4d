"""A measurement as a job: done once, spread over workers and resumed like all else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

import pandas as pd

from mfmarl.jobs.execution import Attempt
from mfmarl.jobs.job import Job, Label
from mfmarl.measurements.rows import KEYS


@dataclass(frozen=True)
class MeasurementJob(Job):
    """One measurement, begun anew where it was stopped.

    name      of the job's folder
    function  e.g. "mfmarl.measurements.toy.times": from a seed and its sizes to rows
    seed      the first seed
    sizes     keyword arguments of the function
    """

    name: str
    function: str
    seed: int
    sizes: Mapping[str, object]

    labels: Mapping[str, Label] = field(default_factory=dict)
    unit = "measurements"

    @property
    def work(self) -> int:
        """One: how long a measurement takes is not known beforehand."""
        return 1

    @property
    def rows(self) -> None:
        """Not known beforehand."""

    @property
    def keys(self) -> list[str]:
        """Claim, quantity, then setting."""
        return KEYS

    def description(self) -> dict[str, object]:
        """The function's name and its arguments."""
        return {"function": self.function, "seed": self.seed, "sizes": self.sizes}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Measure."""
        module, _, name = self.function.rpartition(".")
        rows: pd.DataFrame = getattr(import_module(module), name)(self.seed, **self.sizes)
        attempt.report(1, 1)
        return rows

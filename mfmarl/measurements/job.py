"""Measurements as jobs, which are spread over workers and resumed like all other jobs."""

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
    """One measurement. If it is interrupted, it starts over.

    Attributes:
        name: name of the job's folder.
        function: full name of the function that measures, e.g. "mfmarl.measurements.toy.times"; it maps a seed and
            sizes to rows.
        seed: first seed.
        sizes: keyword arguments of the function.
    """

    name: str
    function: str
    seed: int
    sizes: Mapping[str, object]

    labels: Mapping[str, Label] = field(default_factory=dict)
    unit = "measurements"

    @property
    def work(self) -> int:
        """1, because the time of a measurement is not known beforehand."""
        return 1

    @property
    def rows(self) -> None:
        """None, because the number of rows is not known beforehand."""

    @property
    def keys(self) -> list[str]:
        """The columns that identify a row: claim, quantity and setting."""
        return KEYS

    def description(self) -> dict[str, object]:
        """Return the function's name and arguments."""
        return {"function": self.function, "seed": self.seed, "sizes": self.sizes}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Measure and return the rows."""
        module, _, name = self.function.rpartition(".")
        rows: pd.DataFrame = getattr(import_module(module), name)(self.seed, **self.sizes)
        attempt.report(1, 1)
        return rows

"""Pictures of lattices as a job: the spins as text, a row for each line of a lattice."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from mfmarl.jobs.execution import Attempt
from mfmarl.jobs.job import TrainingJob


class SnapshotJob(TrainingJob):
    """Trains one seed on lattices, and at each evaluation writes the spins down.

    The fields are those of TrainingJob; a condition is a temperature. It is short and saves no checkpoint: a job that
    was stopped begins again, and gives the same rows.
    """

    @property
    def rows(self) -> int:
        """One a line of each lattice and evaluation."""
        return super().rows * self.environment.size  # type: ignore[attr-defined,no-any-return]

    @property
    def keys(self) -> list[str]:
        """Temperature, step, then the line of the lattice."""
        return ["temperature", "step", "row"]

    def description(self) -> dict[str, object]:
        """As of TrainingJob, and what is written down."""
        return {**super().description(), "rows": "spins"}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Train; the rows are those of snapshots.csv."""
        cls: Any = self.load()
        agent = cls(self.environment, self.seeds, **self.agent).to(attempt.hardware.torch_device)
        data = cls.data_module(self.environment, self.seeds, **self.data)
        between = self.steps // self.evaluations
        lines = []
        for step in range(between, self.steps + 1, between):
            agent.training_step(partial(data.play, steps=between), 0)
            attempt.report(step, self.steps)
            for condition, lattice in zip(self.conditions, data.spins[:, 0].tolist(), strict=True):
                for row, spins in enumerate(lattice):
                    text = "".join("+" if spin > 0 else "-" for spin in spins)
                    lines.append({**self.labels, **condition, "step": step, "row": row, "spins": text})
        return pd.DataFrame(lines)

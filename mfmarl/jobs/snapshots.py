"""A job that records snapshots of lattices: the spins as text, one row for each line of a lattice."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pandas as pd
from torch import Tensor

from mfmarl.jobs.execution import Attempt
from mfmarl.jobs.job import TrainingJob


class SnapshotJob(TrainingJob):
    """Trains on lattices and records the spins at each evaluation; with several seeds, those of the median run.

    The fields are those of TrainingJob; a condition is a temperature. The job is short and saves no checkpoint: if
    stopped it starts again, and gives the same rows.
    """

    @property
    def rows(self) -> int:
        """Number of rows: one per line of the lattice, condition and evaluation."""
        return self.evaluations * len(self.conditions) * self.environment.size  # type: ignore[attr-defined,no-any-return]

    @property
    def keys(self) -> list[str]:
        """The columns temperature, step, and row, the line of the lattice."""
        return ["temperature", "step", "row"]

    def description(self) -> dict[str, object]:
        """The description of TrainingJob, and what is recorded."""
        return {**super().description(), "rows": "spins" if len(self.seeds) == 1 else "spins of the median run"}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Train, and return the rows of snapshots.csv. With several seeds, they name the seed that is shown."""
        cls: Any = self.load()
        agent = cls(self.environment, self.seeds, **self.agent).to(attempt.hardware.torch_device)
        data = cls.data_module(self.environment, self.seeds, **self.data)
        between = self.steps // self.evaluations
        lattices = {}
        for step in range(between, self.steps + 1, between):
            agent.training_step(partial(data.play, steps=between), 0)
            attempt.report(step, self.steps)
            lattices[step] = data.spins.tolist()
        medians = median_runs(data.spins)
        lines = []
        for step, (number, condition) in product(lattices, enumerate(self.conditions)):
            run = medians[number]
            told = {"seed": self.seeds[run], "runs": len(self.seeds)} if len(self.seeds) > 1 else {}
            for row, spins in enumerate(lattices[step][number][run]):
                text = "".join("+" if spin > 0 else "-" for spin in spins)
                lines.append({**self.labels, **condition, "step": step, **told, "row": row, "spins": text})
        return pd.DataFrame(lines)


def median_runs(spins: Tensor) -> list[int]:
    """For each condition, the index of the run with the median order parameter; the lower of two in the middle.

    Args:
        spins: spins, -1 or 1, `[conditions, seeds, L, L]`.
    """
    orders = spins.double().mean((2, 3)).abs()
    return orders.argsort(dim=1, stable=True)[:, (spins.shape[1] - 1) // 2].tolist()

"""Pictures of lattices as a job: the spins as text, a row for each line of a lattice."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pandas as pd
from torch import Tensor

from mfmarl.jobs.execution import Attempt
from mfmarl.jobs.job import TrainingJob


class SnapshotJob(TrainingJob):
    """Trains on lattices, and at each evaluation writes the spins down: of several seeds those of the median run.

    The fields are those of TrainingJob; a condition is a temperature. It is short and saves no checkpoint: a job that
    was stopped begins again, and gives the same rows.
    """

    @property
    def rows(self) -> int:
        """One a line of the lattice of each condition and evaluation."""
        return self.evaluations * len(self.conditions) * self.environment.size  # type: ignore[attr-defined,no-any-return]

    @property
    def keys(self) -> list[str]:
        """Temperature, step, then the line of the lattice."""
        return ["temperature", "step", "row"]

    def description(self) -> dict[str, object]:
        """As of TrainingJob, and what is written down."""
        return {**super().description(), "rows": "spins" if len(self.seeds) == 1 else "spins of the median run"}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Train; the rows are those of snapshots.csv. Of several seeds they name the one that is shown."""
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
    """For each condition the run whose order parameter is the median, of two in the middle the smaller.

    Args:
        spins: +-1, [conditions, seeds, L, L].
    """
    orders = spins.double().mean((2, 3)).abs()
    return orders.argsort(dim=1, stable=True)[:, (spins.shape[1] - 1) // 2].tolist()

"""A torchmetrics Metric: means of every stacked run, the same on one process and, gathered, on several.

`runs` says how runs are stacked: `(seeds,)`, or `(temperatures, seeds)`. A mean is NaN before the first update,
and torchmetrics drops the dimensions of a single number.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanByRun(Metric):
    """Mean of a quantity over time, agents, and whatever else is not a run: `[*runs]` float64."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, *runs: int) -> None:
        super().__init__()
        self.runs = runs
        # Persistent: a checkpoint in the midst of an epoch holds what was seen of it.
        self.add_state("total", torch.zeros(runs, dtype=torch.float64), dist_reduce_fx="sum", persistent=True)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum", persistent=True)

    def update(self, values: Tensor) -> None:
        """Add `values` `[*runs, ...]`, the same number for each run."""
        self._add(values)

    def compute(self) -> Tensor:
        """Means `[*runs]` float64."""
        return self.total / self.count

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.total, self.count = self.total.clone(), self.count.clone()  # else updates would write into what was loaded
        self._update_count = int(self.count > 0)  # torchmetrics warns if it seems that there was no update

    def _add(self, values: Tensor) -> None:
        values = values.reshape(*self.runs, -1)
        self.total += values.sum(-1, dtype=torch.float64)
        self.count += values.shape[-1]

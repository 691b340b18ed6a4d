"""A torchmetrics Metric of means for each stacked run.

`runs` is the shape of the stack: `(seeds,)` or `(temperatures, seeds)`. A mean is NaN before the first update.
torchmetrics drops the dimensions of a single number.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanByRun(Metric):
    """Mean of a quantity for each run, over time, agents and all other dimensions: `[*runs]` float64."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, *runs: int) -> None:
        super().__init__()
        self.runs = runs
        # Persistent, so that a checkpoint within an epoch contains the values so far.
        self.add_state("total", torch.zeros(runs, dtype=torch.float64), dist_reduce_fx="sum", persistent=True)
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum", persistent=True)

    def update(self, values: Tensor) -> None:
        """Add `values` `[*runs, ...]`, equally many for each run."""
        self._add(values)

    def compute(self) -> Tensor:
        """Means `[*runs]` float64."""
        return self.total / self.count

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.total, self.count = self.total.clone(), self.count.clone()  # else updates would change the loaded state
        self._update_count = int(self.count > 0)  # else torchmetrics warns that there was no update

    def _add(self, values: Tensor) -> None:
        values = values.reshape(*self.runs, -1)
        self.total += values.sum(-1, dtype=torch.float64)
        self.count += values.shape[-1]

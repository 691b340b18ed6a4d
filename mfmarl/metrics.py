"""torchmetrics Metrics."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanBySeed(Metric):
    """Mean of a quantity for each of S stacked seeds, NaN before the first update.

    Args:
        seeds: S.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, seeds: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(seeds, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, values: Tensor) -> None:
        """Add ``values`` ``[seeds, ...]``, the same number for each seed."""
        self.total += values.double().flatten(1).sum(1)
        self.count += values[0].numel()

    def compute(self) -> Tensor:
        """Means ``[seeds]`` float64; torchmetrics drops the dimension when there is one seed."""
        return self.total / self.count

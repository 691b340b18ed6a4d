r"""A custom method: hysteretic MF-Q. To run it and compare it with the committed baselines:

python reproduce/gaussian_squeeze.py --settings calibrated --algorithms examples/my_method.py:HystereticMFQ \
    --method.slowness 0.3 --out results/mine
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mfmarl import MFQ, Batch, Environment, chosen


class HystereticMFQ(MFQ):
    """MF-Q that learns slowly from bad news: the square of a negative error is weighted by `slowness`.

    A low reward may be due to other agents that still explore (Matignon, Laurent & Le Fort-Piat 2007).
    """

    def __init__(
        self, environment: Environment, seeds: Sequence[int], *, slowness: float = 0.2, **like_mfq: Any
    ) -> None:
        super().__init__(environment, seeds, **like_mfq)
        self.slowness = slowness

    def losses(self, batch: Batch) -> list[Tensor]:
        """The loss `[seeds]` of the only optimizer."""
        values = self.action_values(self.network, batch.agent, batch.mean_action)
        error = self.td_target(batch) - chosen(values, batch.action)
        weight = torch.where(error < 0, self.slowness, 1.0)
        return [(weight * error.square()).mean(-1)]


if __name__ == "__main__":
    from mfmarl import GaussianSqueeze, train

    for method in (MFQ, HystereticMFQ):
        curves = train(method, GaussianSqueeze(20, 80, 40), range(2), steps=1000, evaluations=5, learning_rate=1e-2)
        print(curves[["algorithm", "seed", "step", "greedy_reward"]])

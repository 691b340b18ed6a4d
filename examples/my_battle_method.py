r"""A custom method for Battle: hysteretic MF-Q. To train it and let it fight the trained armies of MF-Q:

python reproduce/battle.py --algorithms examples/my_battle_method.py:HystereticBattleMFQ --opponents mf-q \
    --out results/my_battle
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mfmarl import Battle, BattleBatch, BattleMFQ, chosen


class HystereticBattleMFQ(BattleMFQ):
    """MF-Q that learns slowly from bad news: the square of a negative error is weighted by `slowness`.

    A low reward may be due to other agents that still explore (Matignon, Laurent & Le Fort-Piat 2007).
    """

    def __init__(self, environment: Battle, seeds: Sequence[int], *, slowness: float = 0.2, **like_mfq: Any) -> None:
        super().__init__(environment, seeds, **like_mfq)
        self.slowness = slowness

    def loss(self, batch: BattleBatch) -> Tensor:
        """The scalar loss of a gradient step."""
        values = self.action_values(self.network, batch.view, batch.feature, batch.mean_action)
        error = self.td_target(batch) - chosen(values, batch.action)
        weight = torch.where(error < 0, self.slowness, 1.0)
        return (weight * error.square()).mean()


if __name__ == "__main__":
    from mfmarl import fight, train

    train(HystereticBattleMFQ, Battle(8), range(1), steps=4, evaluations=2, out="results/quick/my_battle_method")
    army = "results/quick/my_battle_method/policies/HystereticBattleMFQ-8-seed-0.safetensors"
    print(fight(army, "random", rounds=4)[["seat", "result", "reward", "opponent_reward"]])

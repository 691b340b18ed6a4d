"""Custom networks of plain torch layers: MF-Q with one hidden layer, and in Battle without convolutions."""

from typing import Any

import torch
from torch import Generator, Tensor, nn

from mfmarl import MFQ, Battle, BattleMFQ, Copies, GaussianSqueeze, train
from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW


class ShallowMFQ(MFQ):
    """MF-Q with one hidden layer of 50 units. Seeds train side by side, each with its own copy of the network."""

    def make_network(self, *_: Any) -> nn.Module:
        """Make the networks of all seeds, each from one-hot ids and mean actions to action values."""
        agents, actions = self.environment.agents, self.environment.actions

        def one() -> nn.Module:
            return nn.Sequential(nn.Linear(agents + actions, 50), nn.Tanh(), nn.Linear(50, actions))

        return Copies(one, agents, self.start_generators)


class DenseNetwork(nn.Module):
    """An MLP on everything that an agent observes."""

    def __init__(self, uses_mean_action: bool, generator: Generator) -> None:
        super().__init__()
        self.uses_mean_action = uses_mean_action
        inputs = VIEW[0] * VIEW[1] * VIEW[2] + FEATURES + uses_mean_action * ACTIONS
        self.layers = nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, ACTIONS))

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """Action values `[batch, 21]`; a view is `[batch, 13, 13, 7]`, a feature `[batch, 34]`."""
        seen = [view.flatten(1), feature, *([mean_action] if self.uses_mean_action else [])]
        values: Tensor = self.layers(torch.cat(seen, -1))
        return values


class DenseMFQ(BattleMFQ):
    """MF-Q with `DenseNetwork`."""

    def make_network(self) -> nn.Module:
        """Make a network. Inside this method torch draws initial weights from the run's own generator."""
        return DenseNetwork(self.uses_mean_action, self.start_generator)


if __name__ == "__main__":
    print(train(ShallowMFQ, GaussianSqueeze(20, 80, 40), range(2), steps=1000, evaluations=5, learning_rate=1e-2))
    print(train(DenseMFQ, Battle(8), range(1), steps=4, evaluations=4).T)

"""A custom network in Battle: MF-Q on dense layers in place of convolutions."""

import torch
from torch import Generator, Tensor, nn

from mfmarl import Battle, BattleMFQ, train
from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW


class DenseNetwork(nn.Module):
    """An MLP on all that an agent sees."""

    def __init__(self, uses_mean_action: bool, generator: Generator) -> None:
        super().__init__()
        self.uses_mean_action = uses_mean_action
        inputs = VIEW[0] * VIEW[1] * VIEW[2] + FEATURES + uses_mean_action * ACTIONS
        self.layers = nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, ACTIONS))
        for parameter in self.parameters():  # from the seed's generator: the global one is never used
            nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator)

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """Action values `[batch, 21]`; a view is `[batch, 13, 13, 7]`, a feature `[batch, 34]`."""
        seen = [view.flatten(1), feature, *([mean_action] if self.uses_mean_action else [])]
        values: Tensor = self.layers(torch.cat(seen, -1))
        return values


class DenseMFQ(BattleMFQ):
    """MF-Q whose network is the one above."""

    def make_network(self) -> nn.Module:
        """A network that starts from this run's seed."""
        return DenseNetwork(self.uses_mean_action, self.start_generator)


if __name__ == "__main__":
    print(train(DenseMFQ, Battle(8), range(1), steps=4, evaluations=4).T)

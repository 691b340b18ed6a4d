"""The network of the released actor-critics of Battle: dense layers only, with a trunk shared by actor and critic.

It serves the `released-code` settings; the package's own actor-critics use `mfmarl.networks.battle`.
"""

import torch
from torch import Tensor, nn

from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW

TEMPERATURE = 0.1  # divides the actor's last hidden layer: released code


class ActorCriticPerceptron(nn.Module):
    """Maps view and features to logits and a value, with ReLU between layers.

    The flattened view and the features have 256 units each. The actor has 512 units on both, which are divided by a
    temperature of 0.1 before the layer of logits (its bias is not divided). The value of AC is computed from the same
    512 units. The value of MF-AC is computed from 256 units on the first two layers and on 32 units of the mean action,
    which the actor never sees. Weights start Glorot uniform and biases at zero, as in TensorFlow.

    Args:
        uses_mean_action: whether the value depends on the mean action.
        generator: generator of the initial weights.
    """

    def __init__(self, uses_mean_action: bool, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns, planes = VIEW
        with torch.random.fork_rng(devices=[]):  # torch first initializes layers from the global generator
            self.view = nn.Linear(rows * columns * planes, 256)
            self.feature = nn.Linear(FEATURES, 256)
            self.hidden = nn.Linear(512, 512)
            self.logits = nn.Linear(512, ACTIONS)
            self.mean_action = (
                nn.Sequential(nn.Linear(ACTIONS, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
                if uses_mean_action
                else None
            )
            self.value = (
                nn.Sequential(nn.Linear(512 + 32, 256), nn.ReLU(), nn.Linear(256, 1))
                if uses_mean_action
                else nn.Linear(512, 1)
            )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor | None = None) -> Tensor:
        """Compute logits `[batch, 21]`; arguments are as in `both`, but the mean action is ignored."""
        return self._act(self._see(view, feature))[1]

    def both(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits and values for a batch of agents.

        Args:
            view: views, `[batch, 13, 13, 7]`.
            feature: features, `[batch, 34]`.
            mean_action: mean actions, `[batch, 21]`; ignored if the value does not depend on them.

        Returns:
            Logits `[batch, 21]` and values `[batch]`.
        """
        seen = self._see(view, feature)
        hidden, logits = self._act(seen)
        if self.mean_action is not None:
            hidden = torch.cat([seen, self.mean_action(mean_action)], -1)
        return logits, self.value(hidden).squeeze(-1)

    def _see(self, view: Tensor, feature: Tensor) -> Tensor:
        return torch.cat([self.view(view.flatten(1)), self.feature(feature)], -1).relu()

    def _act(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(seen).relu()
        return hidden, self.logits(hidden / TEMPERATURE)

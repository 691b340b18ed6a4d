"""The network of Battle: what an agent sees, knows of itself, and of its army's mean action, to a number an action.

Widths follow the released code (its Q-network; the appendix gives none): two 3 x 3 convolutions of 32 channels and a
layer of 256 for the view, 32 for the features, 64 and 32 for the mean action, and 128 and 64 on top of them all. Actors
and critics have the same form, where the released ones are MLPs (our choice).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import sqrt

import torch
from torch import Tensor, nn

from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW


class BattleNetwork(nn.Module):
    """View, features and perhaps the mean action to one output an action, ReLU between.

    Weights and biases start uniform in `+-1 / sqrt(fan in)`, as in torch.nn.Linear.

    Args:
        uses_mean_action: whether the mean action of the army is an input: all that a mean field method adds.
        generator: draws the start.
    """

    def __init__(self, uses_mean_action: bool, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # torch draws a start of its own from the global generator
            self._build(uses_mean_action)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                assert module.bias is not None
                bound = 1 / sqrt(module.weight[0].numel())
                for parameter in (module.weight, module.bias):
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor | None = None) -> Tensor:
        """Outputs for agents.

        Args:
            view: `[batch, 13, 13, 7]`.
            feature: `[batch, 34]`.
            mean_action: `[batch, 21]`, needed if it is an input and ignored if it is not.

        Returns:
            `[batch, 21]`, one an action.
        """
        parts = [self.eye(view.permute(0, 3, 1, 2)), self.feature(feature)]
        if self.mean_action is not None:
            parts.append(self.mean_action(mean_action))
        return self.head(torch.cat(parts, -1))  # type: ignore[no-any-return]

    def _build(self, uses_mean_action: bool) -> None:
        rows, columns, planes = VIEW
        seen = 32 * (rows - 4) * (columns - 4)
        self.eye = nn.Sequential(
            nn.Conv2d(planes, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(seen, 256)
        )
        self.feature = nn.Linear(FEATURES, 32)
        self.mean_action = (
            nn.Sequential(nn.Linear(ACTIONS, 64), nn.ReLU(), nn.Linear(64, 32)) if uses_mean_action else None
        )
        inputs = 256 + 32 + (32 if uses_mean_action else 0)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, ACTIONS)
        )


@contextmanager
def weights_cast(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Meanwhile hold the weights of those that are BattleNetworks in autocast's type, if it is on.

    Autocast casts them at every call, a fifth of the time of a call with 64 agents. Cast before, the outputs are the
    same, bit for bit. No gradient may be taken meanwhile.
    """
    parameters = [each for network in networks if type(network) is BattleNetwork for each in network.parameters()]
    held = [(each, each.data) for each in parameters if torch.is_autocast_enabled(each.device.type)]
    for each, values in held:
        each.data = values.to(torch.get_autocast_dtype(each.device.type))
    try:
        yield
    finally:
        for each, values in held:
            each.data = values

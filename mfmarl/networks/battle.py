"""The network of Battle, from an agent's view, features and mean action to one number per action.

Widths follow the Q-network of the released code, since the appendix gives none: two 3 x 3 convolutions of 32 channels
and a layer of 256 for the view, 32 for the features, 64 and 32 for the mean action, and joint layers of 128 and 64.
Actors and critics have the same form (our choice; the released ones are MLPs).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import sqrt

import torch
from torch import Tensor, nn

from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW


class BattleNetwork(nn.Module):
    """Maps view, features and optionally the mean action to one output per action, with ReLU between layers.

    Weights and biases start uniform in `+-1 / sqrt(fan in)`, as in torch.nn.Linear.

    Args:
        uses_mean_action: whether the mean action is an input, the only difference of a mean field method.
        generator: generator of the initial weights.
    """

    def __init__(self, uses_mean_action: bool, generator: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # torch first initializes layers from the global generator
            self._build(uses_mean_action)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                assert module.bias is not None
                bound = 1 / sqrt(module.weight[0].numel())
                for parameter in (module.weight, module.bias):
                    nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor | None = None) -> Tensor:
        """Compute the outputs for a batch of agents.

        Args:
            view: views, `[batch, 13, 13, 7]`.
            feature: features, `[batch, 34]`.
            mean_action: mean actions, `[batch, 21]`; required if they are an input, else ignored.

        Returns:
            Outputs `[batch, 21]`, one per action.
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
    """Inside the block, hold the weights of BattleNetworks in autocast's dtype, if autocast is on.

    Otherwise autocast converts them in every call, which takes a fifth of the time of a call with 64 agents. The
    outputs are bitwise the same. No gradient may be taken inside the block.
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

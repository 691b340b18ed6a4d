"""How a round of Battle is played, whoever plays it: self-play and duels alike."""

from collections.abc import Callable

import torch
from torch import Tensor

from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS
from mfmarl.environments.battle.observation import Observation, Outcome
from mfmarl.mean_field import action_counts, frequencies

Act = Callable[[Observation, Tensor], Tensor]
Watch = Callable[[Observation, Tensor, Outcome], None]


def play_round(battles: Battles, act: Act, watch: Watch = lambda observed, actions, outcome: None) -> Tensor:
    """Play a round that has begun to its end.

    Args:
        battles: where it is played.
        act: from what both armies observe, and the mean actions `[battles, 2, 21]` of their living at the previous
            step (zero in the first), to actions `[battles, 2, agents]` int64.
        watch: is shown each step.

    Returns:
        Total rewards of the armies, `[battles, 2]` float64.
    """
    total = torch.zeros(battles.battles, 2, dtype=torch.float64)
    mean_actions = torch.zeros(battles.battles, 2, ACTIONS)
    while not battles.done.all():
        observed = battles.observe()
        actions = act(observed, mean_actions)
        outcome = battles.step(actions)
        watch(observed, actions, outcome)
        total += outcome.rewards.sum(-1)
        mean_actions = frequencies(action_counts(actions, ACTIONS, observed.alive, torch.int64))
    return total

"""Play of a round of Battle, in self-play as in duels."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from mfmarl.data.neighbourhood import JointStep, Neighbourhood
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS
from mfmarl.environments.battle.observation import Observation, Outcome

Act = Callable[[Observation, Tensor], Tensor]
Watch = Callable[[Observation, Tensor, Outcome, Tensor], None]


def play_round(
    battles: Battles,
    act: Act,
    watch: Watch = lambda observed, actions, outcome, mean_actions: None,
    *,
    neighbourhoods: Sequence[Neighbourhood],
    generators: Sequence[Generator],
) -> tuple[Tensor, Tensor]:
    """Play a round, which has already been reset, to its end.

    Args:
        battles: the battles.
        act: function from the observations of both armies and the mean actions `[battles, 2, agents, 21]` that they
            see (zero in the first step) to actions `[battles, 2, agents]` int64.
        watch: function called after each step with observations, actions, outcome, and the mean actions seen.
        neighbourhoods: the neighbourhoods of the two armies.
        generators: one generator per battle, from which a neighbourhood draws after `act`, army 0 first.

    Returns:
        Total rewards of the armies, `[battles, 2]` float64, and the mean actions after the last step.
    """
    total = torch.zeros(battles.battles, 2, dtype=torch.float64)
    mean_actions, played = torch.zeros(battles.battles, 2, battles.game.agents, ACTIONS), False
    while not battles.done.all():
        playing, observed = (~battles.done).tolist(), battles.observe()
        actions = act(observed, mean_actions)
        outcome = battles.step(actions)
        watch(observed, actions, outcome, mean_actions)
        total += outcome.rewards.sum(-1)
        found = [
            next_mean_action(
                neighbourhood,
                actions[:, army],
                observed.alive[:, army],
                mean_actions[:, army] if played else None,
                [own if plays else None for own, plays in zip(generators, playing, strict=True)],
            )
            for army, neighbourhood in enumerate(neighbourhoods)
        ]
        now = torch.stack(found, 1)
        # A battle that has ended keeps its last mean action.
        mean_actions = now if all(playing) else now.where(torch.tensor(playing).view(-1, 1, 1, 1), mean_actions)
        played = True
    return total, mean_actions


def next_mean_action(
    neighbourhood: Neighbourhood,
    actions: Tensor,
    alive: Tensor,
    before: Tensor | None,
    generators: Sequence[Generator | None],
) -> Tensor:
    """The mean action that each agent of an army sees next.

    Args:
        neighbourhood: neighbourhood of the army.
        actions: actions of the step just played, `[battles, agents]` int64.
        alive: whether each agent acted in it, `[battles, agents]` bool.
        before: mean actions seen in it, `[battles, agents, 21]`; None in the first step of a round.
        generators: one generator per battle, None if the battle is over; used only if the neighbourhood draws.

    Returns:
        Mean actions `[battles, agents, 21]` float32.
    """
    battles, agents = actions.shape
    draws = neighbourhood.draws(agents, ACTIONS)
    uniform = torch.empty(battles, 0)
    if draws:
        own = [torch.zeros(draws) if one is None else torch.rand(draws, generator=one) for one in generators]
        uniform = torch.stack(own)
    step = JointStep(actions, ACTIONS, uniform, before, alive)
    return neighbourhood.mean_action(step).expand(battles, agents, -1)

"""How a round of Battle is played, whoever plays it: self-play and duels alike."""

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
    """Play a round that has begun to its end.

    Args:
        battles: where it is played.
        act: from what both armies observe, and the mean actions `[battles, 2, agents, 21]` that they act under (zero in
            the first step), to actions `[battles, 2, agents]` int64.
        watch: is shown each step: what was observed, the actions, their outcome, the mean actions acted under.
        neighbourhoods: of the two armies.
        generators: one a battle; a neighbourhood with draws takes them after those of `act`, army 0 first.

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
        # A battle that is over keeps the mean action that it ended with.
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
    """The mean action that each agent of an army acts under next.

    Args:
        neighbourhood: of the army.
        actions: `[battles, agents]` int64, of the step just played.
        alive: `[battles, agents]` bool, who acted in it.
        before: `[battles, agents, 21]`, what they acted under in it; None in the first step of a round.
        generators: one a battle, None of one that is over; none draws unless the neighbourhood does.

    Returns:
        `[battles, agents, 21]` float32.
    """
    battles, agents = actions.shape
    draws = neighbourhood.draws(agents, ACTIONS)
    uniform = torch.empty(battles, 0)
    if draws:
        own = [torch.zeros(draws) if one is None else torch.rand(draws, generator=one) for one in generators]
        uniform = torch.stack(own)
    step = JointStep(actions, ACTIONS, uniform, before, alive)
    return neighbourhood.mean_action(step).expand(battles, agents, -1)

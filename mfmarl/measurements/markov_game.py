"""TH-3 measured in a Markov game whose Nash Q-values are known, and which games the theorem's assumption holds in."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.stateless_replay import Batch
from mfmarl.exploration import Boltzmann
from mfmarl.mean_field import boltzmann_value, mean_action_of_others
from mfmarl.measurements.rows import Setting, mean_row, row, table
from mfmarl.measurements.training import SAMPLES, Players, descend, slow_down
from mfmarl.theory.learning import (
    MarkovGame,
    congestion_rewards,
    coupled_game,
    has_global_optima,
    literal_q_values,
    nash_q_values,
)

CLAIM = "TH-3"
AGENTS = 5


def markov_game(seed: int, *, seeds: int, updates: int, evaluations: int) -> pd.DataFrame:
    """MF-Q in the coupled game with two targets: the root mean squared distance of Q to two exact tables.

    `fresh` values s' under the mean action of play at s', Eq. 10: all five answer the last mean action there by Eq. 12,
    and what they choose is the mean action. `literal` values it under the stored one, as Algorithm 1's line
    abar_- <- abar says.

    It is not a run of the algorithm as a whole. MF-Q of this package is stateless: the state enters as the id, both
    targets are computed here, by the network's target copy, and come to it as rewards at discount 0; network, loss,
    gradient steps and the target's following are MF-Q's own. Nor does play decide what is visited: states and all
    actions are drawn evenly, which grants the theorem its infinite visits; T falls to 0.02, greedy in the limit.
    """
    game = coupled_game()
    truths = {"Nash": nash_q_values(game), "literal": literal_q_values(game)}
    rows = []
    for target in ("fresh", "literal"):
        # The network's ids are the two states, for the five agents are alike.
        agent = MFQ(Players(2), range(seed, seed + seeds), learning_rate=3e-3, discount=0.0, target_rate=0.05)
        optimizer = agent.configure_optimizers()
        generator = torch.Generator().manual_seed(seed)
        for evaluation in range(evaluations + 1):
            if evaluation:
                first = (evaluation - 1) * updates // evaluations
                last = evaluation * updates // evaluations
                batches = _coupled_batches(agent, optimizer, target, range(first, last), updates, generator)
                descend(agent, batches, optimizer)
            found = _coupled_table(agent)
            for truth, exact in truths.items():
                error = (found - torch.from_numpy(exact)).square().flatten(1).mean(1).sqrt().tolist()
                setting = Setting({"target": target, "truth": truth, "update": evaluation * updates // evaluations})
                rows.append(mean_row(CLAIM, "root mean squared error of Q", error, **setting))
    return table(rows)


def assumption(seed: int) -> pd.DataFrame:
    """Which stage games have a global optimum, as the theorem asks of every one, and what even play earns instead.

    The theorem is content with a saddle point too: an equilibrium at which nobody loses if others deviate. Congestion
    has one in that weak sense only, even play, which is paid 1/2 whatever the others do.
    """
    rows = []
    for name, game in stage_games().items():
        q = nash_q_values(game) if game.states > 1 else game.reward
        rows.append(row(CLAIM, "every stage game has a global optimum", has_global_optima(game, q), game=name))
    others = np.array(list(product((0, 1), repeat=AGENTS - 1)))
    paid = [congestion_rewards(np.insert(others, 0, own, axis=1))[:, 0] for own in (0, 1)]
    even = np.mean(paid, axis=0)
    for which, value in (("least", even.min()), ("most", even.max())):
        rows.append(row(CLAIM, "congestion: even play is paid, over what others do", value, exact=0.5, end=which))
    return table(rows)


def stage_games() -> dict[str, MarkovGame]:
    """Games of two actions by name; all but the first have one state, which says all of a stateless game."""
    alone, pair = np.ones((1, AGENTS + 1, 1)), np.ones((1, 3, 1))
    congested = np.zeros((1, 2, AGENTS))
    for own, ones in product((0, 1), range(AGENTS)):
        others = [1] * ones + [0] * (AGENTS - 1 - ones)
        congested[0, own, ones] = congestion_rewards([own, *others])[0]
    return {
        "the coupled Markov game": coupled_game(AGENTS),
        "Ising site, four neighbours": MarkovGame(_ising_stage(), alone, 0.0),
        "anti-coordination of two": MarkovGame(np.array([[[0.0, 1.0], [1.0, 0.0]]]), pair, 0.0),
        "congestion": MarkovGame(congested, alone, 0.0),
    }


def _ising_stage() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """`r = (a/2) sum_k a^k`, Eq. 33, of an agent among four, all of whom are each other's neighbours."""
    up = np.arange(AGENTS) - (AGENTS - 1) / 2
    return np.stack([-up, up])[None]


def _coupled_batches(
    agent: MFQ,
    optimizer: torch.optim.Optimizer,
    target: str,
    numbers: range,
    updates: int,
    generator: torch.Generator,
) -> Iterator[Batch]:
    """Samples of agent 0 of five, targets as `markov_game` says."""
    game = coupled_game()
    rewards, moves = torch.from_numpy(game.reward).float(), torch.from_numpy(game.transition[..., 1]).float()
    shape = (len(agent.seeds), SAMPLES)
    for update in numbers:
        slow_down(optimizer, 3e-3, update / updates)
        temperature = 0.02 + 0.5 * 0.001 ** (update / updates)
        state = torch.randint(2, shape, generator=generator)
        joint = torch.randint(2, (*shape, 5), generator=generator)
        action, ones = joint[..., 0], joint.sum(-1)
        following = (torch.rand(shape, generator=generator) < moves[state, ones]).long()
        each = mean_action_of_others(joint, 2)
        average = each[..., 0, :]
        with torch.no_grad():
            valued_under = average
            if target == "fresh":
                ids = following.unsqueeze(-1).expand(*shape, 5).flatten(1)
                values = agent.target(ids, each.flatten(1, 2))
                uniform = torch.rand(ids.shape, generator=generator)
                answers = Boltzmann(temperature).choose(values, uniform, 0).view(*shape, 5)
                valued_under = mean_action_of_others(answers, 2)[..., 0, :]
            value = boltzmann_value(agent.target(following, valued_under), temperature)
        reward = rewards[state, action, ones - action] + game.discount * value
        yield Batch(state, action, reward, average, None)


def _coupled_table(agent: MFQ) -> Tensor:
    """Q(s, a, k) `[seeds, 2, 2, 5]` at every mean action of four others."""
    up = torch.arange(5) / 4
    average = torch.stack([1 - up, up], -1).repeat(2, 1).expand(len(agent.seeds), -1, -1)
    state = torch.arange(2).repeat_interleave(5).expand(len(agent.seeds), -1)
    with torch.no_grad():
        values: Tensor = agent.network(state, average)
    return values.double().view(len(agent.seeds), 2, 5, 2).transpose(-1, -2)

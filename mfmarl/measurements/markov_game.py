"""TH-3 measured in a Markov game with known Nash Q-values, and a check of the theorem's assumption in several games."""

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
    """Measure the root mean squared distance of Q to two exact tables when MF-Q learns the coupled game.

    Two targets are compared. `fresh` values s' under the mean action of play at s', Eq. 10: all five agents respond
    there to the last mean action by Eq. 12, and their choices give the mean action. `literal` values s' under the
    stored mean action, as Algorithm 1's line abar_- <- abar says.

    This is not a run of the whole algorithm. The package's MF-Q is stateless, so the state takes the place of the
    agent's id. Both targets are computed here with the target network and passed to MF-Q as rewards at discount 0. The
    network, the loss, the gradient steps and the updates of the target network are MF-Q's own. States and all actions
    are drawn uniformly instead of by play, which ensures the infinite visits of the theorem. T falls to 0.02.
    """
    game = coupled_game()
    truths = {"Nash": nash_q_values(game), "literal": literal_q_values(game)}
    rows = []
    for target in ("fresh", "literal"):
        # The network's ids are the two states, because the five agents are identical.
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
    """Check which games satisfy the theorem's assumption that every stage game has a global optimum.

    A saddle point, an equilibrium at which no agent loses if others deviate, would also satisfy the theorem. Congestion
    has one only in a weak sense: even play, which is paid 1/2 whatever the others do. This reward is measured too.
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
    """Return games of two actions by name. All but the first are stateless and have one state."""
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
    """Return the rewards of Eq. 33, `r = (a/2) sum_k a^k`, for five agents who are all neighbours of each other."""
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
    """Yield samples of agent 0 of five, with the targets that `markov_game` describes."""
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
    """Return Q(s, a, k) at every mean action of four others, `[seeds, 2, 2, 5]`."""
    up = torch.arange(5) / 4
    average = torch.stack([1 - up, up], -1).repeat(2, 1).expand(len(agent.seeds), -1, -1)
    state = torch.arange(2).repeat_interleave(5).expand(len(agent.seeds), -1)
    with torch.no_grad():
        values: Tensor = agent.network(state, average)
    return values.double().view(len(agent.seeds), 2, 5, 2).transpose(-1, -2)

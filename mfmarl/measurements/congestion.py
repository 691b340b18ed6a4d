"""TH-3 measured: herding in the congestion game, a game without a global optimum."""

from collections.abc import Sequence
from math import tanh
from typing import Literal

import pandas as pd
import torch
from scipy.optimize import bisect
from torch import Tensor

from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.stateless_replay import Batch
from mfmarl.exploration import Boltzmann
from mfmarl.mean_field import chosen, mean_action_of_others
from mfmarl.measurements.rows import Setting, mean_row, row, table
from mfmarl.measurements.training import Players, descend
from mfmarl.theory.learning import herding_amplitude, herding_temperature

CLAIM = "TH-3"


def congestion(seed: int, *, agents: int, temperatures: Sequence[float], seeds: int, steps: int) -> pd.DataFrame:
    """Measure how far the share on action 1 swings from step to step when MF-Q plays the congestion game.

    Measured for two orders of play and two kinds of stored mean actions. `same` stores the mean action of the joint
    action that is paid, `previous` the mean action on which the choice was based. In synchronous play all agents
    respond to the last mean action at once; with ten groups in turn, each group responds to the current mean action.
    The exact value is the swing of infinitely many agents; for N agents, chance adds about 1 / sqrt N.
    """
    rows = []
    orders: tuple[Literal["synchronous", "ten groups in turn"], ...] = ("synchronous", "ten groups in turn")
    stores: tuple[Literal["same", "previous"], ...] = ("same", "previous")
    for temperature in temperatures:
        for order in orders:
            for stored in stores:
                played = _congested(seed, agents, temperature, order, stored, seeds, steps)
                m = 2 * played[:, steps // 2 :] - 1
                swing = m.diff(dim=1).abs().mean(1) / 2
                exact = herding_amplitude(temperature) if (order, stored) == ("synchronous", "same") else 0.0
                setting = Setting({"order": order, "stored": stored, "temperature": temperature, "agents": agents})
                rows.append(
                    mean_row(
                        CLAIM, "congestion: mean swing |m(t+1) - m(t)| / 2", swing.tolist(), exact=exact, **setting
                    )
                )
                if temperature == min(temperatures):
                    for step, share in enumerate(played[0, -40:].tolist()):
                        rows.append(row(CLAIM, "congestion: share on action 1", share, step=step, **setting))
    return table(rows)


def herding(seed: int, *, dampings: Sequence[float]) -> pd.DataFrame:
    """Measure the T below which infinitely many agents herd by iterating `m <- (1 - d) m - d tanh(m / (2 T))`."""
    rows = []
    for damping in dampings:
        found = bisect(lambda t, d=damping: -1.0 if _swings(t, d) else 1.0, 1e-3, 2.0, xtol=1e-6)
        exact = herding_temperature(damping)
        rows.append(row(CLAIM, "congestion: herds below", found, exact=exact, damping=damping))
    return table(rows)


def _swings(temperature: float, damping: float) -> bool:
    """Whether the swings of a small mean grow."""
    m = start = 1e-6
    for _ in range(4000):
        m = (1 - damping) * m - damping * tanh(m / (2 * temperature))
    return abs(m) > start


def _congested(seed: int, agents: int, temperature: float, order: str, stored: str, seeds: int, steps: int) -> Tensor:
    """Return the share on action 1 after each step, `[seeds, steps]`, while MF-Q learns."""
    agent = MFQ(
        Players(agents),
        range(seed, seed + seeds),
        learning_rate=3e-3,
        discount=0.0,
        embedding="none",
        exploration=Boltzmann(temperature),
    )
    optimizer = agent.configure_optimizers()
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(2, (seeds, agents), generator=generator)
    everyone = torch.arange(agents).expand(seeds, -1)
    shares = []
    for step in range(steps):
        before = mean_action_of_others(actions, 2)
        # Early steps are random so that both actions are seen at every mean action.
        explore = torch.rand(seeds, 1, generator=generator).expand(-1, agents) if step < steps // 4 else None
        uniform = torch.rand(seeds, agents, generator=generator)
        if explore is not None:
            actions = (uniform < explore).long()
        elif order == "synchronous":
            actions = agent.act(before, uniform, step)
        else:
            # Random groups of a tenth of the agents act in turn, each on the mean action after the last group's turn.
            for group in torch.randperm(agents, generator=generator).chunk(10):
                now = mean_action_of_others(actions, 2)
                answers = agent.act(now, uniform, step)
                actions = actions.index_copy(1, group, answers[:, group])
        after = mean_action_of_others(actions, 2)
        reward = chosen(after, 1 - actions)  # the share of the others on the other action
        batch = Batch(everyone, actions, reward, after if stored == "same" else before, None)
        descend(agent, iter([batch]), optimizer)
        shares.append(actions.double().mean(1))
    return torch.stack(shares, 1)

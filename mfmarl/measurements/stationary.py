"""TH-3 measured against stationary opponents: noise floor, value gap and best response (appendix D.1)."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.stateless_replay import Batch
from mfmarl.data.sweeps import Transition
from mfmarl.environments import GaussianSqueeze, Ising
from mfmarl.measurements.rows import Setting, mean_row, row, table
from mfmarl.measurements.training import SAMPLES, descend, slow_down
from mfmarl.theory.learning import (
    StationarySite,
    averages_value_gap,
    best_response_values,
    boltzmann_value_gap,
    noise_floor,
    reward_deviations,
)

CLAIM = "TH-3"
SIDE = 8  # side of the lattices; every site is an independent learner
CROWDS = {"low": 2.5, "even": 4.5, "high": 6.5}  # mean actions of the opponents in Gaussian Squeeze


def noise(seed: int, *, rates: Sequence[float], seeds: int, visits: int) -> pd.DataFrame:
    """Measure the mean squared error of MF-Q's table against stationary neighbours, for constant alpha and alpha = 1/n.

    All entries are visited in turn, so 1/n is the same for the whole table.
    """
    site = StationarySite(0.8)
    rows = []
    for rate in (*rates, 0.0):
        agent = _table(range(seed, seed + seeds), rate or 1.0)
        generator = torch.Generator().manual_seed(seed)
        _visit(agent, site, visits, rate, generator)
        exact = torch.tensor(site.values)
        error = (agent.q_table.double() - exact).square()[0].flatten(1).mean(1).tolist()
        floor = noise_floor(rate, site.reward_variance) if rate else site.reward_variance / visits
        setting = Setting({"alpha": rate or "1/n", "visits": visits, "p": 0.8})
        rows.append(mean_row(CLAIM, "mean squared error of Q", error, exact=floor, **setting))
    return table(rows)


def value_gap(seed: int, *, temperatures: Sequence[float], curve: int, seeds: int, visits: int) -> pd.DataFrame:
    """Measure the loss of MF-Q's Boltzmann policy against a best response once its table has been learned.

    The exact loss is also given at `curve` temperatures.
    """
    site = StationarySite(0.8)
    gap = site.coupling * site.degree * (2 * site.probability - 1)
    rows = []
    for tau in np.linspace(max(temperatures) / curve, max(temperatures), curve).tolist():
        exact = float(boltzmann_value_gap([0.0, gap], tau))
        rows.append(row(CLAIM, "value gap of Eq. 12, exact", exact, exact=exact, temperature=tau, p=0.8))
    for tau in temperatures:
        agent = _table(range(seed, seed + seeds), 1.0, tau)
        generator = torch.Generator().manual_seed(seed)
        _visit(agent, site, visits, 0.0, generator)
        number = _sites(agent)
        chosen = torch.zeros(number.shape, dtype=torch.float64)
        rounds = 400
        for _ in range(rounds):
            seen = _neighbours(number.shape, site.probability, generator)
            uniform = torch.rand(number.shape, generator=generator)
            chosen += agent.act(number, seen, torch.ones_like(seen), uniform, 0) < 0
        worse = chosen.flatten(2).mean(-1)[0] / rounds
        exact = float(boltzmann_value_gap([0.0, gap], tau))
        rows.append(mean_row(CLAIM, "value gap of Eq. 12", (worse * gap).tolist(), exact=exact, temperature=tau, p=0.8))
    return table(rows)


def best_response(
    seed: int, *, agents: int, crowds: Sequence[str], rate: float, updates: int, seeds: int
) -> pd.DataFrame:
    """Measure the value gap of MF-Q's greedy action in Gaussian Squeeze against stationary opponents.

    The learning rate falls almost to 0 in the second half of training; the theorem requires that it falls.

    MF-Q sees the mean action of one joint action and is paid against the next one, which is independent. So Q(a, abar)
    should become E[r | a] for every abar. For comparison, the rows also give the loss of averages of as many rewards,
    which a table with alpha = 1/n would learn.
    """
    rows = []
    for name in crowds:
        crowd = _Crowd(GaussianSqueeze(agents), CROWDS[name])
        spread = float(np.ptp(crowd.values))
        deviation = float(crowd.deviations.mean())
        lost, error = crowd.learned(range(seed, seed + seeds), rate, updates)
        setting = Setting({"agents": agents, "opponents": name, "mean_action": CROWDS[name], "learning_rate": rate})
        averages = crowd.averages_lose(updates)
        rows += [
            row(CLAIM, "GS: best less worst E[r | a]", spread, exact=spread, **setting),
            row(CLAIM, "GS: standard deviation of r given a", deviation, exact=deviation, **setting),
            row(CLAIM, "GS: value gap of averages over best less worst", averages, exact=averages, **setting),
            mean_row(CLAIM, "GS: value gap of greedy MF-Q", (lost * spread).tolist(), exact=0.0, **setting),
            mean_row(CLAIM, "GS: value gap over best less worst", lost.tolist(), exact=0.0, **setting),
            mean_row(CLAIM, "GS: largest error of Q in reward", error.tolist(), exact=0.0, **setting),
        ]
    return table(rows)


def patience(seed: int, *, agents: int, runs: Sequence[tuple[float, int, int]]) -> pd.DataFrame:
    """Measure the value gap against even opponents by learning rate, updates and seeds, and the loss of averages."""
    crowd = _Crowd(GaussianSqueeze(agents), CROWDS["even"])
    rows = []
    for rate, updates, seeds in runs:
        lost, _ = crowd.learned(range(seed, seed + seeds), rate, updates)
        setting = Setting({"agents": agents, "learning_rate": rate, "updates": updates})
        averages = crowd.averages_lose(updates)
        name = "GS, even opponents: value gap over best less worst"
        rows.append(mean_row(CLAIM, name, lost.tolist(), exact=0.0, **setting))
        name = "GS, even opponents: value gap of averages over best less worst"
        rows.append(row(CLAIM, name, averages, exact=averages, **setting))
    return table(rows)


class _Crowd:
    """Opponents who all follow one policy with a given mean action, and agent 0, which learns against them by MF-Q."""

    def __init__(self, game: GaussianSqueeze, mean: float) -> None:
        self.game = game
        policy = _tilted(mean)
        self.values = best_response_values(game, policy)
        self.deviations = reward_deviations(game, policy)
        self.policy = torch.from_numpy(policy)

    def learned(self, seeds: range, rate: float, updates: int) -> tuple[Tensor, Tensor]:
        """Train MF-Q; return each seed's loss of the greedy action and its largest error of Q in units of reward.

        The loss is divided by the difference between the best and the worst action's value.
        """
        agent = MFQ(self.game, seeds, learning_rate=rate, discount=0.0, reward_scale=0.01)
        optimizer = agent.configure_optimizers()
        generator = torch.Generator().manual_seed(seeds[0])
        descend(agent, self._batches(optimizer, rate, len(seeds), updates, generator), optimizer)
        others = self.game.agents - 1
        seen = totals(self.policy, (len(seeds), 400), others, generator) / others
        with torch.no_grad():
            found = agent.network(torch.zeros(len(seeds), 400, dtype=torch.int64), seen)
        lost = torch.from_numpy(self.values.max() - self.values)[found.argmax(-1)].mean(1)
        error = (found.double().mean(1) / 0.01 - torch.from_numpy(self.values)).abs().amax(1)
        return lost / float(np.ptp(self.values)), error

    def averages_lose(self, updates: int) -> float:
        """Return the loss of averages of as many rewards, divided by the difference of best and worst value."""
        visits = max(1, updates * SAMPLES // self.game.actions)
        return averages_value_gap(self.values, self.deviations, visits) / float(np.ptp(self.values))

    def _batches(
        self, optimizer: torch.optim.Optimizer, rate: float, seeds: int, updates: int, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Yield samples of agent 0, who chooses its actions uniformly."""
        others = self.game.agents - 1
        for update in range(updates):
            slow_down(optimizer, rate, update / updates)
            actions = torch.randint(self.game.actions, (seeds, SAMPLES), generator=generator)
            seen, paid = (totals(self.policy, (seeds, SAMPLES), others, generator) for _ in range(2))
            total = (paid * torch.arange(self.game.actions)).sum(-1) + actions
            reward = self.game.squeeze(total.double()).float()
            yield Batch(torch.zeros_like(actions), actions, reward, seen / others, None)


def _table(seeds: Sequence[int], rate: float, tau: float = 1.0) -> TabularMFQ:
    return TabularMFQ(Ising(SIDE), seeds, temperatures=[tau], learning_rate=rate, start_temperature=0.0)


def _sites(agent: TabularMFQ) -> Tensor:
    """Return the numbers of all sites, `[1, seeds, L, L]`."""
    shape = (1, len(agent.seeds), SIDE, SIDE)
    return torch.arange(int(np.prod(shape))).view(shape)


def _neighbours(shape: Sequence[int], probability: float, generator: torch.Generator) -> Tensor:
    """Draw for every site the sum of four neighbours, each of which is up with `probability`."""
    up = torch.rand(*shape, 4, generator=generator) < probability
    return (2 * up.to(torch.int8) - 1).sum(-1, dtype=torch.int8)


def _visit(agent: TabularMFQ, site: StationarySite, visits: int, rate: float, generator: torch.Generator) -> None:
    """Visit all table entries in turn, `visits` times, with learning rate `rate`; 0 means 1/n at visit n."""
    for visit in range(1, visits + 1):
        agent.learning_rate = rate or 1 / visit
        for neighbours in (-4, -2, 0, 2, 4):
            for action in (-1, 1):
                agent.learn(_paid(agent, site, action, neighbours, generator))


def _paid(
    agent: TabularMFQ, site: StationarySite, action: int, neighbours: int, generator: torch.Generator
) -> Transition:
    """Return a transition in which all sites see `neighbours`, choose `action` and are paid with newly drawn ones."""
    number = _sites(agent)
    actions = torch.full(number.shape, action, dtype=torch.int8)
    seen = torch.full(number.shape, neighbours, dtype=torch.int8)
    after = _neighbours(number.shape, site.probability, generator)
    return Transition(number, seen, actions, agent.environment.reward(actions, after))


def totals(policy: Tensor, shape: tuple[int, int], agents: int, generator: torch.Generator) -> Tensor:
    """Draw how many of `agents` agents with one `policy` `[D]` choose each action, `[*shape, D]`.

    Each agent that chose none of the earlier actions chooses the next one with its share of the remaining probability.
    """
    left, rest = torch.full(shape, float(agents)), policy.flip(0).cumsum(0).flip(0)
    counts = []
    for share in (policy / rest).tolist():
        counts.append(torch.binomial(left, torch.full(shape, share), generator=generator))
        left = left - counts[-1]
    return torch.stack(counts, -1)


def _tilted(mean: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the policy over 0 .. 9 that is proportional to exp(theta a) and has this mean."""
    action = np.arange(10.0)
    low, high = -5.0, 5.0
    for _ in range(100):
        theta = (low + high) / 2
        weights = np.exp(theta * (action - 4.5))
        low, high = (theta, high) if weights @ action / weights.sum() < mean else (low, theta)
    return np.asarray(weights / weights.sum())

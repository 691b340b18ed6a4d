"""TH-3 measured: MF-Q against stationary neighbours, in a Markov game, under GLIE, and where the assumption fails."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.stateless_replay import Batch
from mfmarl.data.sweeps import SweepDataModule, Transition
from mfmarl.environments import GaussianSqueeze, Ising
from mfmarl.exploration import Boltzmann
from mfmarl.mean_field import action_counts, boltzmann_value, mean_action
from mfmarl.measurements.rows import Setting, mean_row, row, table
from mfmarl.measurements.training import descend
from mfmarl.theory.learning import (
    StationarySite,
    best_response_values,
    boltzmann_value_gap,
    coupled_game,
    expected_visits,
    glie_temperature,
    herding_amplitude,
    literal_q_values,
    nash_q_values,
    noise_floor,
)

CLAIM = "TH-3"
SIDE = 8  # sites on a side of the lattices whose every site is one learner
SAMPLES = 64  # a gradient step


def noise(seed: int, *, rates: Sequence[float], seeds: int, visits: int) -> pd.DataFrame:
    """Mean squared error of MF-Q's table for a site among stationary neighbours: constant alpha, and alpha = 1/n.

    Every entry is visited in turn, so that 1/n is one number for the whole table.
    """
    site = StationarySite(0.8)
    rows = []
    for rate in (*rates, 0.0):
        agent = _table(range(seed, seed + seeds), rate or 1.0)
        generator = torch.Generator().manual_seed(seed)
        for visit in range(1, visits + 1):
            agent.learning_rate = rate or 1 / visit
            for neighbours in (-4, -2, 0, 2, 4):
                for action in (-1, 1):
                    agent.learn(_paid(agent, site, action, neighbours, generator))
        exact = torch.tensor(site.values)
        error = (agent.q_table.double() - exact).square()[0].flatten(1).mean(1).tolist()
        floor = noise_floor(rate, site.reward_variance) if rate else site.reward_variance / visits
        setting = Setting({"alpha": rate or "1/n", "visits": visits, "p": 0.8})
        rows.append(mean_row(CLAIM, "mean squared error of Q", error, exact=floor, **setting))
    return table(rows)


def value_gap(seed: int, *, temperatures: Sequence[float], seeds: int, visits: int) -> pd.DataFrame:
    """What MF-Q's Boltzmann policy loses against a best response once its table has been learned."""
    site = StationarySite(0.8)
    rows = []
    for tau in temperatures:
        agent = _table(range(seed, seed + seeds), 1.0, tau)
        generator = torch.Generator().manual_seed(seed)
        for visit in range(1, visits + 1):
            agent.learning_rate = 1 / visit
            for neighbours in (-4, -2, 0, 2, 4):
                for action in (-1, 1):
                    agent.learn(_paid(agent, site, action, neighbours, generator))
        number = _sites(agent)
        chosen = torch.zeros(number.shape, dtype=torch.float64)
        rounds = 400
        for _ in range(rounds):
            seen = _neighbours(number.shape, site.probability, generator)
            uniform = torch.rand(number.shape, generator=generator)
            chosen += agent.act(number, seen, torch.ones_like(seen), uniform, 0) < 0
        worse = chosen.flatten(2).mean(-1)[0] / rounds
        gap = site.coupling * site.degree * (2 * site.probability - 1)
        exact = float(boltzmann_value_gap([0.0, gap], tau))
        rows.append(mean_row(CLAIM, "value gap of Eq. 12", (worse * gap).tolist(), exact=exact, temperature=tau, p=0.8))
    return table(rows)


def best_response(seed: int, *, agents: int, seeds: int, updates: int) -> pd.DataFrame:
    """MF-Q in Gaussian Squeeze against stationary opponents: the value gap of its greedy action, not the action.

    It sees the mean action of one joint step and is paid against the next, which is independent: Q(a, abar) should
    become E[r | a] whatever abar.
    """
    game = GaussianSqueeze(agents)
    rows = []
    for name, mean in (("low", 2.5), ("even", 4.5), ("high", 6.5)):
        policy = _tilted(mean)
        exact = best_response_values(game, policy)
        agent = MFQ(game, range(seed, seed + seeds), learning_rate=3e-3, discount=0.0, reward_scale=0.01)
        optimizer = agent.configure_optimizers()
        generator = torch.Generator().manual_seed(seed)
        batches = _stationary_batches(game, torch.from_numpy(policy), optimizer, seeds, updates, generator)
        descend(agent, batches, optimizer)
        seen = _totals(torch.from_numpy(policy), (seeds, 400), agents - 1, generator) / (agents - 1)
        with torch.no_grad():
            values = agent.network(torch.zeros(seeds, 400, dtype=torch.int64), seen)
        lost = torch.from_numpy(exact.max() - exact)[values.argmax(-1)].mean(1)
        spread = float(np.ptp(exact))
        setting = Setting({"agents": agents, "opponents": name, "mean_action": mean})
        error = (values.double().mean(1) / 0.01 - torch.from_numpy(exact)).abs().amax(1)
        rows += [
            row(CLAIM, "GS: best less worst E[r | a]", spread, exact=spread, **setting),
            mean_row(CLAIM, "GS: value gap of greedy MF-Q", lost.tolist(), exact=0.0, **setting),
            mean_row(CLAIM, "GS: value gap over best less worst", (lost / spread).tolist(), exact=0.0, **setting),
            mean_row(CLAIM, "GS: largest error of Q in reward", error.tolist(), exact=0.0, **setting),
        ]
    return table(rows)


@dataclass(frozen=True)
class _CoupledPlayers:
    """What MF-Q asks of a game: its network's ids are the two states, for the five agents are alike."""

    agents: int = 2
    actions: int = 2
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Never asked for: the batches bring their rewards."""
        raise NotImplementedError


def markov_game(seed: int, *, seeds: int, updates: int, evaluations: int) -> pd.DataFrame:
    """MF-Q in the coupled game with two targets: the root mean squared distance of Q to two exact tables.

    States, actions and the others are drawn evenly (infinite visits), T falls to 0.02 (greedy in the limit). `fresh`
    values s' under the mean action of play at s', Eq. 10; `literal` under the stored one, as Algorithm 1's line
    abar_- <- abar says. MF-Q of this package is stateless: the state enters as the id, and the next state's value
    comes with the reward (discount 0), so that what it descends on is Algorithm 1's target.
    """
    game = coupled_game()
    truths = {"Nash": nash_q_values(game), "literal": literal_q_values(game)}
    rows = []
    for target in ("fresh", "literal"):
        agent = MFQ(_CoupledPlayers(), range(seed, seed + seeds), learning_rate=3e-3, discount=0.0, target_rate=0.05)
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


def glie(seed: int, *, size: int, seeds: int, steps: int, evaluations: int) -> pd.DataFrame:
    """Share of a table's entries that MF-Q never visits on the Ising model when T_t = 2 / ln(2 + t)."""
    game, numbers = Ising(size), range(seed, seed + seeds)
    agent = TabularMFQ(game, numbers, temperatures=[1.0], start_temperature=0.0)
    data = SweepDataModule(game, numbers, temperatures=[1.0], steps=steps, evaluations=1)
    visited = torch.zeros(agent.q_table.numel(), dtype=torch.bool)
    marks = set(np.unique(np.geomspace(1, steps, evaluations).astype(int)).tolist())
    rows = []
    for step in range(steps):
        agent.tau.fill_(glie_temperature(step))
        for transition in data.play(agent, 1):
            agent.learn(transition)
            entry = transition.site * 10 + ((transition.neighbours + 4) >> 1) * 2 + (transition.action > 0)
            visited[entry.flatten()] = True
        if step + 1 in marks:
            missing = (~visited).view(seeds, -1).double().mean(1).tolist()
            setting = Setting({"sweeps": step + 1, "size": size, "scale": 2.0})
            rows.append(mean_row(CLAIM, "GLIE: share of entries never visited", missing, exact=0.0, **setting))
    for gap in (1.0, 2.0, 4.0):
        expected = expected_visits(gap, steps)
        setting = Setting({"gap": gap, "steps": steps, "scale": 2.0})
        rows.append(row(CLAIM, "GLIE: expected visits of the worse action", expected, exact=expected, **setting))
    return table(rows)


def congestion(seed: int, *, agents: int, temperatures: Sequence[float], seeds: int, steps: int) -> pd.DataFrame:
    """MF-Q in the congestion game: how far the share on action 1 swings from step to step, by what is stored and order.

    `same` stores the mean action of the joint step that was paid, `previous` the one that the choice started from.
    Synchronous play lets all answer the last mean action at once; of ten groups in turn each answers what it is then.
    Exact is the swing of infinitely many agents: of N, chance alone adds about 1 / sqrt N.
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


def _table(seeds: Sequence[int], rate: float, tau: float = 1.0) -> TabularMFQ:
    return TabularMFQ(Ising(SIDE), seeds, temperatures=[tau], learning_rate=rate, start_temperature=0.0)


def _sites(agent: TabularMFQ) -> Tensor:
    """Numbers of all sites `[1, seeds, L, L]`."""
    shape = (1, len(agent.seeds), SIDE, SIDE)
    return torch.arange(int(np.prod(shape))).view(shape)


def _neighbours(shape: Sequence[int], probability: float, generator: torch.Generator) -> Tensor:
    """Sums of four neighbours that are each up with a probability, for every site anew."""
    up = torch.rand(*shape, 4, generator=generator) < probability
    return (2 * up.to(torch.int8) - 1).sum(-1, dtype=torch.int8)


def _paid(
    agent: TabularMFQ, site: StationarySite, action: int, neighbours: int, generator: torch.Generator
) -> Transition:
    """All sites did `action` when they saw `neighbours`, and are paid against others drawn anew."""
    number = _sites(agent)
    actions = torch.full(number.shape, action, dtype=torch.int8)
    seen = torch.full(number.shape, neighbours, dtype=torch.int8)
    after = _neighbours(number.shape, site.probability, generator)
    return Transition(number, seen, actions, agent.environment.reward(actions, after))


def _stationary_batches(
    game: GaussianSqueeze,
    policy: Tensor,
    optimizer: torch.optim.Optimizer,
    seeds: int,
    updates: int,
    generator: torch.Generator,
) -> Iterator[Batch]:
    """Samples of agent 0, who acts evenly among opponents of one policy."""
    others = game.agents - 1
    for update in range(updates):
        _slow_down(optimizer, 3e-3, update / updates)
        actions = torch.randint(game.actions, (seeds, SAMPLES), generator=generator)
        seen, paid = (_totals(policy, (seeds, SAMPLES), others, generator) for _ in range(2))
        total = (paid * torch.arange(game.actions)).sum(-1) + actions
        reward = game.squeeze(total.double()).float()
        yield Batch(torch.zeros_like(actions), actions, reward, seen / others, None)


def _totals(policy: Tensor, shape: tuple[int, int], agents: int, generator: torch.Generator) -> Tensor:
    """How many of so many agents of one policy chose each action: `[*shape, D]`."""
    drawn = torch.multinomial(policy, shape[0] * shape[1] * agents, replacement=True, generator=generator)
    return action_counts(drawn.view(*shape, agents), len(policy))


def _tilted(mean: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The policy exp(theta a) over 0 .. 9 with this mean."""
    action = np.arange(10.0)
    low, high = -5.0, 5.0
    for _ in range(100):
        theta = (low + high) / 2
        weights = np.exp(theta * (action - 4.5))
        low, high = (theta, high) if weights @ action / weights.sum() < mean else (low, theta)
    return np.asarray(weights / weights.sum())


def _slow_down(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    """Let the learning rate fall linearly over the second half of training."""
    optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - done) + 0.002)


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
        _slow_down(optimizer, 3e-3, update / updates)
        temperature = 0.02 + 0.5 * 0.001 ** (update / updates)
        state = torch.randint(2, shape, generator=generator)
        joint = torch.randint(2, (*shape, 5), generator=generator)
        action, ones = joint[..., 0], joint.sum(-1)
        following = (torch.rand(shape, generator=generator) < moves[state, ones]).long()
        average = mean_action(joint, action_counts(joint, 2).unsqueeze(-2), 5)[..., 0, :]
        with torch.no_grad():
            valued_under = average
            if target == "fresh":
                # All five answer the last mean action at s', Eq. 12, and those answers are the mean action there.
                each = mean_action(joint, action_counts(joint, 2).unsqueeze(-2), 5)
                for _ in range(2):
                    ids = following.unsqueeze(-1).expand(*shape, 5).flatten(1)
                    values = agent.target(ids, each.flatten(1, 2))
                    uniform = torch.rand(ids.shape, generator=generator)
                    answers = Boltzmann(temperature).choose(values, uniform, 0).view(*shape, 5)
                    each = mean_action(answers, action_counts(answers, 2).unsqueeze(-2), 5)
                valued_under = each[..., 0, :]
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


@dataclass(frozen=True)
class _Congestion:
    """What MF-Q asks of a game; every agent has a reward of its own, which the batches bring."""

    agents: int
    actions: int = 2
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Never asked for."""
        raise NotImplementedError


def _congested(seed: int, agents: int, temperature: float, order: str, stored: str, seeds: int, steps: int) -> Tensor:
    """Share on action 1 after each step `[seeds, steps]`, MF-Q learning all the while."""
    agent = MFQ(
        _Congestion(agents),
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
        before = mean_action(actions, action_counts(actions, 2).unsqueeze(-2), agents)
        # Early steps are random, so that both actions are seen at every mean action.
        explore = torch.rand(seeds, 1, generator=generator).expand(-1, agents) if step < steps // 4 else None
        uniform = torch.rand(seeds, agents, generator=generator)
        if explore is not None:
            actions = (uniform < explore).long()
        elif order == "synchronous":
            actions = agent.act(before, uniform, step)
        else:
            # A tenth of the agents act, chosen evenly, each group on the mean action that the last one left.
            for group in torch.randperm(agents, generator=generator).chunk(10):
                now = mean_action(actions, action_counts(actions, 2).unsqueeze(-2), agents)
                chosen = agent.act(now, uniform, step)
                actions = actions.index_copy(1, group, chosen[:, group])
        after = mean_action(actions, action_counts(actions, 2).unsqueeze(-2), agents)
        reward = after.gather(-1, (1 - actions).unsqueeze(-1)).squeeze(-1)
        batch = Batch(everyone, actions, reward, after if stored == "same" else before, None)
        descend(agent, iter([batch]), optimizer)
        shares.append(actions.double().mean(1))
    return torch.stack(shares, 1)

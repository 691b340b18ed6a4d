"""Short trainings of the package's own MF-Q, whose networks and tables are then measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.data.stateless_replay import Batch
from mfmarl.data.sweeps import Order, SweepDataModule
from mfmarl.environments import GaussianSqueeze, Ising
from mfmarl.exploration import EpsilonGreedy
from mfmarl.mean_field import chosen
from mfmarl.theory.approximation import Values
from mfmarl.theory.toy import learned_table

SAMPLES = 64  # of a gradient step on batches drawn elsewhere than from a data module
TABLE_OF_REWARDS = torch.from_numpy(learned_table(1, learning_rate=1.0))  #: `[5, 2]`, as of `learned_table`.


@dataclass(frozen=True)
class Players:
    """What MF-Q asks of a game, its agents and their actions; the batches that are handed to it bring the rewards."""

    agents: int
    actions: int = 2
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Never asked for."""
        raise NotImplementedError


@lru_cache(maxsize=1)
def squeeze_networks(agents: int, seeds: tuple[int, ...], steps: int) -> tuple[MFQ, ReplayDataModule]:
    """MF-Q's networks after a short training on Gaussian Squeeze, and the data module that played.

    Settings are the calibrated ones of reproduce/gaussian_squeeze.py: learning rate 1e-3, epsilon from 1 to 0.005 over
    a fifth of the steps, rewards times 0.01, discount 0.95.
    """
    game = GaussianSqueeze(agents)
    exploration = EpsilonGreedy(1.0, 0.005, max(1, steps // 5))
    agent = MFQ(game, seeds, learning_rate=1e-3, reward_scale=0.01, exploration=exploration)
    data = ReplayDataModule(game, seeds, steps=steps, evaluations=1)
    optimizer = agent.configure_optimizers()
    for experience in data.train_dataloader():
        agent.learn(experience, [optimizer])
    return agent, data


def network_values(agent: MFQ, who: Tensor, own: Tensor) -> Values:
    """Q(a^j, .) of agents j `who` `[seeds, batch]` with own actions `own` `[seeds, batch]`.

    A function of mean actions `[seeds, batch, ..., D]`, giving `[seeds, batch, ...]`.
    """

    def values(actions: Tensor) -> Tensor:
        shape = actions.shape[:-1]
        flat = actions.reshape(len(who), -1, actions.shape[-1])
        each = flat.shape[1] // who.shape[1]
        all_values: Tensor = agent.network(who.repeat_interleave(each, 1), flat)
        return chosen(all_values, own.repeat_interleave(each, 1)).reshape(shape)

    return values


@lru_cache(maxsize=4)
def ising_tables(
    size: int,
    temperatures: tuple[float, ...],
    seeds: tuple[int, ...],
    sweeps: int,
    order: Order = "checkerboard",
) -> TabularMFQ:
    """MF-Q's tables after some sweeps of the Ising model, exploration falling ten times faster than by default."""
    game = Ising(size)
    agent = TabularMFQ(game, seeds, temperatures=temperatures, decay=1e-2)
    data = SweepDataModule(game, seeds, temperatures=temperatures, steps=sweeps, evaluations=1, order=order)
    learn(agent, data, sweeps)
    return agent


def learn(agent: TabularMFQ, data: SweepDataModule, sweeps: int) -> None:
    """Play so many sweeps and learn from each transition."""
    for transition in data.play(agent, sweeps):
        agent.learn(transition)


def fill_with_rewards(agent: TabularMFQ) -> None:
    """Set the table of every spin to the rewards, which learning keeps, for lambda = 1 and no field."""
    agent.q_table[:] = TABLE_OF_REWARDS


def descend(agent: MFQ, batches: Iterator[Batch], optimizer: torch.optim.Optimizer) -> None:
    """MF-Q's gradient steps on batches that were drawn elsewhere than from its data module."""
    agent.learn(lambda _policy: batches, [optimizer])


def slow_down(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    """Let the learning rate fall linearly over the second half of training."""
    optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - done) + 0.002)

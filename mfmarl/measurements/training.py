"""Short trainings of the package's own MF-Q. The resulting networks and tables are then measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.data.stateless_replay import Batch
from mfmarl.data.sweeps import SweepDataModule
from mfmarl.environments import GaussianSqueeze, Ising
from mfmarl.exploration import EpsilonGreedy
from mfmarl.mean_field import chosen
from mfmarl.theory.approximation import Values
from mfmarl.theory.toy import learned_table

SAMPLES = 64  # samples per gradient step on batches that do not come from a data module
TABLE_OF_REWARDS = torch.from_numpy(learned_table(1, learning_rate=1.0))  #: `[5, 2]`, as in `learned_table`.


@dataclass(frozen=True)
class Players:
    """A game of which MF-Q only uses the numbers of agents and actions; batches made elsewhere bring the rewards."""

    agents: int
    actions: int = 2
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Never called."""
        raise NotImplementedError


@lru_cache(maxsize=1)
def squeeze_networks(agents: int, seeds: tuple[int, ...], steps: int) -> tuple[MFQ, ReplayDataModule]:
    """Train MF-Q's networks briefly on Gaussian Squeeze; return the agent and the data module that played.

    The settings are the calibrated ones of reproduce/gaussian_squeeze.py: learning rate 1e-3, epsilon from 1 to 0.005
    over a fifth of the steps, rewards times 0.01, discount 0.95.
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
    """Return Q(a^j, .) as a function from mean actions `[seeds, batch, ..., D]` to values `[seeds, batch, ...]`.

    Args:
        agent: trained agent.
        who: agents j, `[seeds, batch]`.
        own: their actions a^j, `[seeds, batch]`.
    """

    def values(actions: Tensor) -> Tensor:
        shape = actions.shape[:-1]
        flat = actions.reshape(len(who), -1, actions.shape[-1])
        each = flat.shape[1] // who.shape[1]
        all_values: Tensor = agent.network(who.repeat_interleave(each, 1), flat)
        return chosen(all_values, own.repeat_interleave(each, 1)).reshape(shape)

    return values


@lru_cache(maxsize=4)
def ising_tables(size: int, temperatures: tuple[float, ...], seeds: tuple[int, ...], sweeps: int) -> TabularMFQ:
    """Train MF-Q's tables for some sweeps of the Ising model; exploration falls ten times faster than by default."""
    game = Ising(size)
    agent = TabularMFQ(game, seeds, temperatures=temperatures, decay=1e-2)
    data = SweepDataModule(game, seeds, temperatures=temperatures, steps=sweeps, evaluations=1)
    learn(agent, data, sweeps)
    return agent


def learn(agent: TabularMFQ, data: SweepDataModule, sweeps: int) -> None:
    """Play a number of sweeps and learn from each transition."""
    for transition in data.play(agent, sweeps):
        agent.learn(transition)


def fill_with_rewards(agent: TabularMFQ) -> None:
    """Set the table of every spin to the rewards for lambda = 1 without a field; learning does not change them."""
    agent.q_table[:] = TABLE_OF_REWARDS


def descend(agent: MFQ, batches: Iterator[Batch], optimizer: torch.optim.Optimizer) -> None:
    """Take MF-Q's gradient steps on batches that do not come from its data module."""
    agent.learn(lambda _policy: batches, [optimizer])


def slow_down(optimizer: torch.optim.Optimizer, rate: float, done: float) -> None:
    """Set the learning rate after the share `done` of training; it falls linearly over the second half."""
    optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - done) + 0.002)

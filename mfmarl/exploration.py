"""Exploration from action values: epsilon-greedy or Boltzmann, with schedules over joint steps.

Both use one uniform draw per agent and step, so that a run's random numbers can be drawn in advance.
"""

from dataclasses import dataclass
from math import exp
from typing import Protocol

import torch
from torch import Tensor

from mfmarl import arguments
from mfmarl.arguments import check_fields
from mfmarl.mean_field import boltzmann_policy


class Exploration(Protocol):
    """Interface of an exploration strategy."""

    def temperature(self, step: int) -> float:
        """Temperature T of the policy (Eq. 12) at joint step `step`; 0 means greedy apart from the exploration."""
        ...

    def choose(self, values: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose actions `[...]` int64 from action values `[..., D]` and uniform draws `[...]` in [0, 1)."""
        ...


def check_exploration(exploration: object, *needed: str) -> None:
    """Raise ValueError unless `exploration` is an Exploration that also has the attributes `needed`."""
    lacking = [name for name in ("temperature", "choose", *needed) if not hasattr(exploration, name)]
    if lacking or isinstance(exploration, type):
        without = f", which lacks {', '.join(lacking)}" if lacking else ""
        raise ValueError(
            f"exploration must be one such as EpsilonGreedy(1.0, 0.05, 2000), got {exploration!r}{without}"
        )


@dataclass(frozen=True)
class EpsilonGreedy:
    """A uniformly random action with probability epsilon, else the best; epsilon falls linearly, then stays constant.

    Args:
        start: epsilon at step 0, in [0, 1].
        end: epsilon from step `steps` on, in [0, 1].
        steps: joint steps over which epsilon falls, at least 1. 1: our choice.

    Raises:
        ValueError: a value outside its range.
    """

    start: float
    end: float
    steps: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        arguments.probability("epsilon start", self.start)
        arguments.probability("epsilon end", self.end)
        arguments.number("epsilon steps", self.steps, "at least 1 and finite", lambda steps: steps >= 1)

    def epsilon(self, step: int) -> float:
        """Probability of a random action at joint step `step`."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)

    def temperature(self, step: int) -> float:
        """Always 0: apart from the exploration the policy is greedy."""
        return 0.0

    def choose(self, values: Tensor, uniform: Tensor, step: int) -> Tensor:
        """See Exploration."""
        epsilon, best = self.epsilon(step), values.argmax(-1)
        return best if epsilon == 0 else _random(uniform, epsilon, values.shape[-1]).where(uniform < epsilon, best)

    def explore(self, uniform: Tensor, step: int, actions: int) -> Tensor:
        """Random actions of the agents that explore, -1 for the others: `[...]` int64 from uniform draws `[...]`.

        An agent explores if its draw is below epsilon; the draw divided by epsilon selects one of the `actions`.
        """
        epsilon = self.epsilon(step)
        if epsilon == 0:
            return torch.full_like(uniform, -1, dtype=torch.int64)
        return _random(uniform, epsilon, actions).where(uniform < epsilon, -1)


@dataclass(frozen=True)
class Boltzmann:
    """The policy of Eq. 12 at temperature `exp(-decay * step) * start + end`, in units of the action values.

    This is the schedule of FMQ (Kapetanakis & Kudenko 2002); `decay` 0 with `end` 0 holds it constant.

    Args:
        start: part of the temperature that decays, positive.
        decay: rate of decay per joint step, at least 0. 0: our choice.
        end: limit of the temperature, at least 0. 0: our choice.

    Raises:
        ValueError: a value outside its range.
    """

    start: float
    decay: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        arguments.positive("Boltzmann start temperature", self.start)
        arguments.non_negative("Boltzmann decay", self.decay)
        arguments.non_negative("Boltzmann end", self.end)

    def temperature(self, step: int) -> float:
        """Temperature at joint step `step`."""
        return exp(-self.decay * step) * self.start + self.end

    def choose(self, values: Tensor, uniform: Tensor, step: int) -> Tensor:
        """See Exploration."""
        return sample(boltzmann_policy(values, self.temperature(step)), uniform)


def _random(uniform: Tensor, epsilon: float, actions: int) -> Tensor:
    """Uniformly random actions `[...]` int64 where `uniform` is below epsilon, arbitrary actions elsewhere."""
    return (uniform * (actions / epsilon)).long().clamp_(max=actions - 1)


def sample(policy: Tensor, uniform: Tensor) -> Tensor:
    """Sample actions `[...]`: invert the distribution function of `policy` `[..., D]` at `uniform` `[...]`."""
    below = policy.cumsum(-1) <= uniform.unsqueeze(-1)
    return below.sum(-1).clamp_(max=policy.shape[-1] - 1)

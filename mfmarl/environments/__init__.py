"""Games as batched tensors, without learning. Stateless ones are functions; Battle keeps its engine."""

from typing import Protocol

import torch
from torch import Tensor

from mfmarl.environments.battle.game import Battle
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.environments.ising import Ising
from mfmarl.environments.matrix_game import MatrixGame

__all__ = ["Battle", "Environment", "Game", "GaussianSqueeze", "Ising", "MatrixGame", "pays_each_agent"]


class Game(Protocol):
    """What a job needs to know of any game."""

    @property
    def agents(self) -> int:
        """N, the number of agents."""
        ...


class Environment(Game, Protocol):
    """A repeated game without a state. It pays all agents a common reward, or each its own, as a minority game does."""

    @property
    def actions(self) -> int:
        """D, the number of actions of each agent."""
        ...

    @property
    def draws(self) -> int:
        """How many uniform draws one joint step's reward takes; 0 for a deterministic game."""
        ...

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Reward of joint actions.

        Args:
            actions: `[..., agents]` int64 in 0 .. D-1.
            noise: `[..., draws]` uniform in [0, 1).

        Returns:
            `[...]` float64, the common reward; or `[..., agents]`, the reward of each agent.
        """
        ...


def pays_each_agent(environment: Environment) -> bool:
    """Whether a game pays each agent its own reward, in place of a common one.

    Raises:
        ValueError: its rewards have neither shape.
    """
    agents = environment.agents
    reward = environment.reward(torch.zeros(2, agents, dtype=torch.int64), torch.zeros(2, environment.draws))
    shape = list(getattr(reward, "shape", ()))
    if shape not in ([2], [2, agents]):
        name, allowed = type(environment).__name__, f"[2], a common reward, or [2, {agents}], one an agent"
        raise ValueError(f"environment: reward of {name} for 2 seeds must be {allowed}, got {shape}")
    return shape == [2, agents]

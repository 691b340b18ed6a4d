"""Games as batched tensors, without learning. Stateless ones are functions; Battle keeps its engine."""

from typing import Protocol

from torch import Tensor

from mfmarl.environments.battle.game import Battle
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.environments.ising import Ising
from mfmarl.environments.matrix_game import MatrixGame

__all__ = ["Battle", "Environment", "Game", "GaussianSqueeze", "Ising", "MatrixGame"]


class Game(Protocol):
    """What a job needs to know of any game."""

    @property
    def agents(self) -> int:
        """N, the number of agents."""
        ...


class Environment(Game, Protocol):
    """A repeated game with a common reward: stateless, and the same reward for every agent."""

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
            `[...]` float64.
        """
        ...

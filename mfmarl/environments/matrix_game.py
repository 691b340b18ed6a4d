"""Repeated two-agent matrix games with a common reward, on which the FMQ family is tested.

Kapetanakis & Kudenko 2002; Matignon, Laurent & Le Fort-Piat, *Independent reinforcement learners in cooperative
Markov games: a survey regarding coordination problems*, Knowledge Engineering Review 27(1), 2012.
"""

from dataclasses import dataclass
from math import inf, isfinite

import torch
from torch import Tensor

from mfmarl.arguments import check_fields

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MatrixGame:
    """The first agent chooses a row and the second a column; both receive the matrix entry.

    Args:
        payoff: square matrix of finite rewards, at least 2 x 2.
        other: second matrix of the same size; each reward is drawn from the two matrices with equal probability. None:
            rewards are deterministic.
        agents: number of agents, always 2.

    Raises:
        ValueError: a matrix is not square or has an entry that is not finite, the matrices have different sizes, or the
            number of agents is not 2.
    """

    payoff: Matrix
    other: Matrix | None = None
    agents: int = 2

    def __post_init__(self) -> None:
        check_fields(self)
        if self.agents != 2:
            raise ValueError(f"a matrix game has 2 agents, got {self.agents}")
        for name in ("payoff", "other"):
            matrix = getattr(self, name)
            size = len(self.payoff)
            if matrix is not None and (size < 2 or [len(row) for row in matrix] != [size] * size):
                raise ValueError(f"{name} must be a square matrix of at least 2 actions like payoff, got {matrix}")
            if matrix is not None and not all(isfinite(entry) for row in matrix for entry in row):
                raise ValueError(f"{name} must have finite entries, got {matrix}")

    @property
    def actions(self) -> int:
        """Number of actions of each agent: the number of rows and of columns."""
        return len(self.payoff)

    @property
    def draws(self) -> int:
        """Number of uniform draws for one reward: 1 if there is a second matrix, else 0."""
        return 0 if self.other is None else 1

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Return the reward, `[...]` float64, of joint actions `[..., 2]` int64 with uniform `noise` `[..., draws]`."""
        row, column = actions.unbind(-1)
        reward = self._entries(self.payoff, actions.device)[row, column]
        if self.other is None:
            return reward
        return torch.where(noise[..., 0] < 0.5, reward, self._entries(self.other, actions.device)[row, column])

    def expected(self) -> Tensor:
        """Return the expected reward of each joint action, `[rows, columns]` float64."""
        device = torch.device("cpu")
        payoff = self._entries(self.payoff, device)
        return payoff if self.other is None else (payoff + self._entries(self.other, device)) / 2

    def _entries(self, matrix: Matrix, device: torch.device) -> Tensor:
        return torch.tensor(matrix, dtype=torch.float64, device=device)


CLIMBING = MatrixGame(((11, -30, 0), (-30, 7, 6), (0, 0, 5)))
PARTIALLY_STOCHASTIC_CLIMBING = MatrixGame(
    ((11, -30, 0), (-30, 14, 6), (0, 0, 5)), ((11, -30, 0), (-30, 0, 6), (0, 0, 5))
)
STOCHASTIC_CLIMBING = MatrixGame(((10, 5, 8), (5, 14, 12), (5, 5, 10)), ((12, -65, -8), (-65, 0, 0), (-5, -5, 0)))


def penalty(k: float) -> MatrixGame:
    """Return the penalty game `[[10, 0, k], [0, 2, 0], [k, 0, 10]]`.

    Raises:
        ValueError: k is not finite or is above 0.
    """
    if not -inf < k <= 0:
        raise ValueError(f"penalty k must be at most 0, and finite, got {k}")
    return MatrixGame(((10, 0, k), (0, 2, 0), (k, 0, 10)))

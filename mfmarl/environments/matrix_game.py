"""Repeated two-agent matrix games with a common reward, the test bed of the FMQ family.

Kapetanakis & Kudenko 2002; Matignon, Laurent & Le Fort-Piat, *Independent reinforcement learners in cooperative
Markov games: a survey regarding coordination problems*, Knowledge Engineering Review 27(1), 2012.
"""

from dataclasses import dataclass
from math import inf, isfinite

import torch
from torch import Tensor

from mfmarl.custom import check_fields

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class MatrixGame:
    """Both agents receive the entry of the row that the first and the column that the second chose.

    Args:
        payoff: square matrix of finite rewards.
        other: a second matrix; where it differs, each entry is drawn from the two with equal probability.
        agents: 2, who choose the row and the column.

    Raises:
        ValueError: a matrix that is not square, or has an entry that is not finite; two of different size; or another
            number of agents.
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
        """Number of rows, and of columns."""
        return len(self.payoff)

    @property
    def draws(self) -> int:
        """One where the reward is stochastic."""
        return 0 if self.other is None else 1

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Reward of joint actions `[..., 2]` int64 with `noise` `[..., draws]`: `[...]` float64."""
        row, column = actions.unbind(-1)
        reward = self._entries(self.payoff, actions.device)[row, column]
        if self.other is None:
            return reward
        return torch.where(noise[..., 0] < 0.5, reward, self._entries(self.other, actions.device)[row, column])

    def expected(self) -> Tensor:
        """Expected reward of each joint action, `[rows, columns]` float64."""
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
    """The penalty game `[[10, 0, k], [0, 2, 0], [k, 0, 10]]` with k finite and at most 0.

    Raises:
        ValueError: another k.
    """
    if not -inf < k <= 0:
        raise ValueError(f"penalty k must be at most 0, and finite, got {k}")
    return MatrixGame(((10, 0, k), (0, 2, 0), (k, 0, 10)))

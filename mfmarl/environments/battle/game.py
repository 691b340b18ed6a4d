"""The game of Battle (Yang et al. 2018, Section 5.3 and appendix C.3) and the random start of a round."""

from dataclasses import dataclass
from math import isqrt, sqrt
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from mfmarl.arguments import check_fields

RADIUS = 6  #: cells that an agent sees in every direction; also the agent's own row and column in its view.
VIEW = (13, 13, 7)  #: rows y and columns x around the agent, and the planes named below.
WALL, OWN, OWN_HP, OWN_MINIMAP, ENEMY, ENEMY_HP, ENEMY_MINIMAP = range(VIEW[2])
FEATURES = 34  #: 10 bits of the id, last action one-hot, last reward, x and y divided by the map's size.
ACTIONS = 21  #: 0 .. 12 moves within 2 cells, row by row (6 stays); 13 .. 20 attacks on the cells around, row by row.

LARGEST_SEED = 2**31 - 2  # largest seed of the engine's generator, in which seeds 0 and 1 are the same

LONGEST = 10**9  # maximum number of steps of a round


@dataclass(frozen=True)
class Battle:
    """A battle: the armies start in two blocks on every second cell, with 7 free columns between the blocks.

    The number of columns of a block is the largest divisor of `agents` that is at most its square root. The map is the
    smallest of even size on which each army takes at most 4% of the cells (40 x 40 with 64 agents: the paper) and both
    blocks fit: 16 for 8 agents per army, 60 for 144, 80 for 256 (our choice, the paper gives no sizes).

    Args:
        agents: number of agents N of one army, at most 384, because the engine has other rules on larger maps. The
            longer side of a block must be at most twice the shorter. 64: the paper, and 8, 144 and 256.
        max_steps: length of a round in steps if no army is annihilated, at least 1. 400: the paper.

    Raises:
        ValueError: a value is out of range.
    """

    agents: int = 64
    max_steps: int = 400

    def __post_init__(self) -> None:
        check_fields(self)
        if not (_is_whole(self.agents) and 1 <= self.agents <= 384):
            raise ValueError(f"agents must be in 1 .. 384 a side, got {self.agents}")
        columns, rows = self.block
        if rows > 2 * columns:
            raise ValueError(f"agents must fill a block of sides within 1 : 2, got {self.agents} = {columns} x {rows}")
        if not (_is_whole(self.max_steps) and 1 <= self.max_steps <= LONGEST):
            raise ValueError(f"max_steps must be at least 1, a whole number up to {LONGEST}, got {self.max_steps}")

    @property
    def block(self) -> tuple[int, int]:
        """Number of columns and of rows of an army at the start."""
        columns = next(n for n in range(isqrt(self.agents), 0, -1) if self.agents % n == 0)
        return columns, self.agents // columns

    @property
    def map_size(self) -> int:
        """Side of the square map, including the walls around it."""
        columns, _ = self.block  # there are at most twice as many rows, so columns alone decide whether blocks fit
        side = max(5 * sqrt(self.agents), 4 * columns + 8)
        return 2 * -int(-side // 2)

    def cells(self) -> NDArray[np.int32]:
        """Return the first cells x, y of the left and of the right army, slot by slot, `[2, agents, 2]` int32."""
        columns, rows = self.block
        middle = self.map_size // 2
        y = middle - rows + 2 * np.arange(rows)
        blocks = [
            np.stack(np.meshgrid(start + 2 * np.arange(columns), y, indexing="ij"), -1).reshape(-1, 2)
            for start in (middle - 3 - 2 * columns, middle + 3)
        ]
        return np.stack(blocks).astype(np.int32)


@dataclass(frozen=True)
class Start:
    """Everything in a round that is random except the actions.

    Args:
        seed: seed of the order of the attacks, in 2 .. 2^31 - 2.
        left: army on the left, 0 or 1.
        first: army that moves first, 0 or 1. The order favours one army, so evaluate with both orders.

    Raises:
        ValueError: a value is out of range.
    """

    seed: int
    left: int
    first: int

    def __post_init__(self) -> None:
        check_fields(self)
        if not 2 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"seed must be in 2 .. {LARGEST_SEED}, got {self.seed}")
        for name in ("left", "first"):
            if getattr(self, name) not in (0, 1):
                raise ValueError(f"{name} must be army 0 or 1, got {getattr(self, name)}")

    @classmethod
    def draw(cls, generator: Generator, left: int | None = None, first: int | None = None) -> "Start":
        """Draw a start. Three numbers are always drawn, even if `left` or `first` is given."""
        seed = int(torch.randint(2, LARGEST_SEED + 1, (), generator=generator))
        drawn_left, drawn_first = torch.randint(2, (2,), generator=generator).tolist()
        return cls(seed, drawn_left if left is None else left, drawn_first if first is None else first)


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral)

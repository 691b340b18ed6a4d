"""Experience: what a gradient step sees, and the buffer it is drawn from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Samples for one gradient step; a sample is one agent's transition in a stateless game.

    Samples come in groups, one a joint step: with B samples from G joint steps, samples
    `[g * B / G, (g + 1) * B / G)` are of joint step g.
    """

    agent: Tensor  #: `[seeds, B]` int64, the agent j.
    action: Tensor  #: `[seeds, B]` int64, its action a^j.
    reward: Tensor  #: `[seeds, B]` float32, its reward r^j, unscaled.
    mean_action: Tensor | None  #: `[seeds, B, D]` the mean action abar^j of its neighbours (Eq. 11).
    joint_action: Tensor | None  #: `[seeds, G, N]` int64, the actions of all agents.


class ReplayBuffer:
    """The last `capacity` joint steps of every seed, one named tensor `[seeds, capacity, ...]` a column.

    Args:
        capacity: in joint steps, at least 1.
        seeds: S.
        columns: name to the shape of one step's entry and its type.
        device: where the columns lie.
    """

    def __init__(
        self,
        capacity: int,
        seeds: int,
        columns: Mapping[str, tuple[tuple[int, ...], torch.dtype]],
        device: torch.device | str = "cpu",
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 joint step, got {capacity}")
        self.capacity = capacity
        self.seeds = seeds
        self.added = 0
        self._columns = {
            name: torch.empty((seeds, capacity, *shape), dtype=dtype, device=device)
            for name, (shape, dtype) in columns.items()
        }
        self._first = torch.arange(seeds, device=device).unsqueeze(-1) * capacity

    def __len__(self) -> int:
        return self.length_after(0)

    def length_after(self, pushes: int) -> int:
        """How many joint steps it holds once so many more are stored."""
        return min(self.added + pushes, self.capacity)

    def push(self, **entries: Tensor) -> None:
        """Store one joint step, in place of the oldest when full: an entry `[seeds, ...]` for each column."""
        position = self.added % self.capacity
        for name, column in self._columns.items():
            column[:, position] = entries[name]
        self.added += 1

    def rows(self, step: Tensor) -> Tensor:
        """Where joint steps `step` `[seeds, n]` int64, in 0 .. len - 1, of each seed lie in the columns."""
        return step if self.seeds == 1 else step + self._first

    def steps(self, column: str, rows: Tensor) -> Tensor:
        """Entries `[seeds, n, ...]` of the joint steps at `rows` `[seeds, n]`."""
        values = self._columns[column].flatten(0, 1)
        return values.index_select(0, rows.reshape(-1)).view(*rows.shape, *values.shape[1:])

    def elements(self, column: str, places: Tensor) -> Tensor:
        """Entries `[seeds, n, ...]` of a column of one an agent, at `places` `[seeds, n]`: agents * row + agent."""
        values = self._columns[column].flatten(0, 2)
        return values.index_select(0, places.reshape(-1)).view(*places.shape, *values.shape[1:])

    def state_dict(self) -> dict[str, Any]:
        """What is stored so far, as tensors and ints."""
        return {"added": self.added, **{name: column[:, : len(self)] for name, column in self._columns.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`'s return."""
        self.added = state["added"]
        for name, column in self._columns.items():
            column[:, : len(self)] = state[name]

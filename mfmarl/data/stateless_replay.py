"""Experience in stateless games: minibatches, and the replay buffer from which they are drawn."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Samples for one gradient step; a sample is one agent's transition in a stateless game.

    Samples are grouped by joint step: of B samples from G joint steps, samples `[g * B / G, (g + 1) * B / G)` are from
    joint step g.
    """

    agent: Tensor  #: `[seeds, B]` int64, the agent j.
    action: Tensor  #: `[seeds, B]` int64, its action a^j.
    reward: Tensor  #: `[seeds, B]` float32, its reward r^j, unscaled.
    mean_action: Tensor | None  #: `[seeds, B, D]` the mean action abar^j of its neighbours (Eq. 11).
    joint_action: Tensor | None  #: `[seeds, G, N]` int64, the actions of all agents.


class ReplayBuffer:
    """Replay buffer of the last `capacity` joint steps of every seed, with columns `[seeds, capacity, ...]`.

    Args:
        capacity: number of joint steps, at least 1.
        seeds: S, the number of seeds.
        columns: for each column's name, shape and type of the entry of one step.
        device: device of the columns.
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
        """Number of joint steps in the buffer after `pushes` more."""
        return min(self.added + pushes, self.capacity)

    def push(self, **entries: Tensor) -> None:
        """Store one joint step, with an entry `[seeds, ...]` for each column; it replaces the oldest when full."""
        position = self.added % self.capacity
        for name, column in self._columns.items():
            column[:, position] = entries[name]
        self.added += 1

    def rows(self, step: Tensor) -> Tensor:
        """Rows, counted over all seeds, of each seed's joint steps `step` `[seeds, n]` int64 in 0 .. len - 1."""
        return step if self.seeds == 1 else step + self._first

    def steps(self, column: str, rows: Tensor) -> Tensor:
        """Entries `[seeds, n, ...]` of the joint steps at `rows` `[seeds, n]`."""
        values = self._columns[column].flatten(0, 1)
        return values.index_select(0, rows.reshape(-1)).view(*rows.shape, *values.shape[1:])

    def elements(self, column: str, places: Tensor) -> Tensor:
        """Entries `[seeds, n, ...]` of a column with one per agent, at `places` `[seeds, n]`, agents * row + agent."""
        values = self._columns[column].flatten(0, 2)
        return values.index_select(0, places.reshape(-1)).view(*places.shape, *values.shape[1:])

    def state_dict(self) -> dict[str, Any]:
        """All stored joint steps, as tensors and ints."""
        return {"added": self.added, **{name: column[:, : len(self)] for name, column in self._columns.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state returned by `state_dict`.

        Raises:
            ValueError: the capacity has room for fewer joint steps, or for more although older ones were replaced.
        """
        first = next(iter(self._columns))
        stored, added = state[first].shape[1], state["added"]
        if stored != min(added, self.capacity):
            allowed = f"at least {stored}" if stored == added else f"the {stored}"
            raise ValueError(f"capacity must be {allowed} joint steps of the saved buffer, got {self.capacity}")
        self.added = added
        for name, column in self._columns.items():
            column[:, : len(self)] = state[name]

"""Experience of one army in Battle: transitions of its agents, stored as states of the whole battle.

A transition is an agent's (o, a, r, o'), where o consists of view, features and mean action (Yang et al. 2018, Eq. 11
over the agent's own army, Section 5.3, or over another neighbourhood). The observations of 64 agents take 300 kB per
step. The state of the battle takes 1.4 kB, from which samples are rebuilt exactly
(`mfmarl.environments.battle.observation`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfmarl.environments.battle.game import (
    ACTIONS,
    FEATURES,
    VIEW,
    Battle,
)
from mfmarl.environments.battle.observation import (
    ID_BITS,
    LAST_REWARD,
    Excerpt,
    Observation,
    State,
    compact,
    excerpt,
    rebuild,
)
from mfmarl.mean_field import action_counts, frequencies


class BattleBatch(NamedTuple):
    """B transitions, each of one agent."""

    view: Tensor  #: `[B, 13, 13, 7]` float32.
    feature: Tensor  #: `[B, 34]` float32.
    mean_action: Tensor  #: `[B, 21]` float32, of the previous step, which the agent saw; zero in a round's first step.
    action: Tensor  #: `[B]` int64.
    reward: Tensor  #: `[B]` float32, unscaled.
    next_view: Tensor  #: `[B, 13, 13, 7]` float32, zero where terminal.
    next_feature: Tensor  #: `[B, 34]` float32, zero where terminal.
    next_mean_action: Tensor  #: `[B, 21]` float32, of this step, also where terminal.
    terminal: Tensor  #: `[B]` bool: the agent died in this step or the enemy was annihilated; False at the time-out.


class ArmyReplay:
    """Replay buffer of one army. It stores joint steps: the transitions of all living agents in a step of a battle.

    A transition is terminal if the agent died in the step, or the enemy was annihilated, which ends the battle. It is
    not terminal at the time-out: the state after the last step is stored, to bootstrap from.

    A round of several battles in lock step is stored by `push` after every step and `end` after the last; its
    transitions can be sampled once it has ended. The round adds one joint step for every step of every battle, and
    the final state of each battle. When there are more than `capacity` transitions, the oldest joint steps are
    dropped; battles of one round count as older the lower their index.

    Memory grows with the number of stored steps, by a quarter at a time. With 64 agents per army a joint step takes
    1.8 kB, however many live: 5 x 10^5 transitions take 18 MB while all live, and 60 MB if a quarter lives.

    Args:
        game: the game.
        capacity: maximum number of transitions, at least those of one joint step. 5 x 10^5: appendix C.3.
        army: the army whose transitions are stored, 0 or 1.
        device: device that stores the steps and rebuilds samples.
        stores_mean_actions: whether to store the mean actions given to `push` and `end`, 84 bytes per agent and joint
            step. False: they are computed from the actions of living agents, as by the neighbourhood `Army()`.

    Raises:
        ValueError: a value outside its range.
    """

    def __init__(
        self,
        game: Battle,
        capacity: int = 500_000,
        army: int = 0,
        device: torch.device | str = "cpu",
        *,
        stores_mean_actions: bool = False,
    ) -> None:
        if capacity < game.agents:
            raise ValueError(f"capacity must be at least the {game.agents} transitions of a joint step, got {capacity}")
        if army not in (0, 1):
            raise ValueError(f"army must be 0 or 1, got {army}")
        self.game, self._map_size = game, game.map_size
        self.capacity = capacity
        self.army = army
        self.stores_mean_actions = stores_mean_actions
        self._entries = torch.empty(0, dtype=torch.int64, device=device)  # number of the joint step * agents + slot
        self._steps = _JointSteps(game.agents, device, stores_mean_actions)
        self._round: list[_Step] = []  # steps of the current round
        shapes = {"views": VIEW, "features": (FEATURES,), "alive": (), "ids": ()}
        self._shapes = {field: (2, game.agents, *shape) for field, shape in shapes.items()}  # of one battle

    def __len__(self) -> int:
        """Number of transitions that can be sampled."""
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Memory allocated for the stored steps, in bytes."""
        return self._entries.nbytes + self._steps.nbytes

    def push(self, observed: Observation, actions: Tensor, rewards: Tensor, mean_action: Tensor | None = None) -> None:
        """Add a copy of a step of the current round.

        Args:
            observed: observations of both armies before the step.
            actions: actions as given to `Battles.step`, `[battles, 2, agents]` int64.
            rewards: rewards as returned by it, `[battles, 2, agents]` float32.
            mean_action: mean actions that the army saw, `[battles, agents, 21]` float32; given if and only if they
                are stored.

        Raises:
            ValueError: a tensor has another shape or type, an action of a living agent is outside 0 .. 20, the first
                step of a round is missing, or a round begins before `end`.
        """
        seen = self._excerpt(observed, "push")
        shape = observed.alive.shape
        for name, entry, dtype in (("actions", actions, torch.int64), ("rewards", rewards, torch.float32)):
            if entry.dtype != dtype or entry.shape != shape:
                raise ValueError(f"{name} must be {dtype} {list(shape)}, got {entry.dtype} {list(entry.shape)}")
        mean = self._checked(mean_action, len(observed.alive), "push")
        action = np.where(seen.features[:, self.army, :, -1] > 0, actions.cpu().numpy()[:, self.army], 0)
        if action.view(np.uint64).max() >= ACTIONS:  # negative actions become larger than all others
            outside = action[(action < 0) | (action >= ACTIONS)]
            raise ValueError(f"actions must be in 0 .. {ACTIONS - 1}, got {outside[0]}")
        self._round.append(_Step(*seen, action.astype(np.uint8), rewards.cpu().numpy()[:, self.army].copy(), *mean))

    def end(self, observed: Observation, mean_action: Tensor | None = None) -> None:
        """End the round and store it. Battles in which both armies live in `observed` have timed out.

        Args:
            observed: observations of both armies after the last step.
            mean_action: mean actions that the army would see next, `[battles, agents, 21]` float32; given if and only
                if they are stored.

        Raises:
            ValueError: an observation has another shape, or there was no `push`.
        """
        seen = self._excerpt(observed, "end")
        mean = self._checked(mean_action, len(observed.alive), "end")
        last = self._round[-1]
        steps = [*self._round, _Step(*seen, np.zeros_like(last.action), np.zeros_like(last.reward), *mean)]
        self._round = []
        columns = {name: np.stack(column, 1) for name, column in _columns(steps).items()}
        state = compact(Excerpt(columns.pop("features"), columns.pop("hp")), observed.ids, self._map_size)
        self._store({**state._asdict(), **{name: torch.from_numpy(column) for name, column in columns.items()}})

    def sample(self, uniform: Tensor) -> BattleBatch:
        """Draw transitions with equal probability, with replacement.

        Args:
            uniform: uniform draws in [0, 1), `[B]` floats; u selects transition floor(u * len), the oldest being 0.

        Raises:
            ValueError: the draws have another shape or are out of range, or nothing is stored.
        """
        if uniform.dim() != 1 or not uniform.is_floating_point():
            raise ValueError(f"uniform must be floats [B], got {uniform.dtype} {list(uniform.shape)}")
        return self.transitions(self.numbers(uniform))

    def numbers(self, uniform: Tensor) -> Tensor:
        """Draw numbers of transitions with equal probability, with replacement.

        Args:
            uniform: uniform draws in [0, 1), `[...]` floats on the CPU; u selects transition floor(u * len), counted
                from the oldest.

        Returns:
            Numbers `[...]` int64, on the device of the buffer.

        Raises:
            ValueError: the draws are out of range, or nothing is stored.
        """
        if not ((uniform >= 0) & (uniform < 1)).all():
            raise ValueError(f"uniform must be in [0, 1), got {uniform.min():g} .. {uniform.max():g}")
        if not len(self):
            raise ValueError("sample: nothing is stored, end a round first")
        numbers = (uniform.to(self._entries.device, torch.float64) * len(self)).long()
        return numbers.clamp_(max=len(self) - 1)

    @property
    def slots(self) -> Tensor:
        """The agent of each transition, oldest first: `[len]` int64, its place in the army."""
        return self._entries % self.game.agents

    @property
    def rewards(self) -> Tensor:
        """Reward of each transition, oldest first: `[len]` float32."""
        return self._steps.rewards(self._entries // self.game.agents).gather(1, self.slots.unsqueeze(1)).squeeze(1)

    def transitions(self, numbers: Tensor) -> BattleBatch:
        """Look up transitions by their numbers `[B]` int64; 0 is the oldest that is stored."""
        device, samples = self._entries.device, len(numbers)
        entry = self._entries[numbers.to(device)]
        step, slot = entry // self.game.agents, (entry % self.game.agents).repeat(2)
        column = self._steps.take(torch.cat([step, step + 1]))
        state = State(*[column[name] for name in State._fields])
        army = torch.full_like(slot, self.army)
        views, features = rebuild(state, army, slot, self._map_size)
        if self.stores_mean_actions:
            means = column["mean_action"][torch.arange(2 * samples, device=device), slot]
        else:
            means = frequencies(column["counts"])
        sample, slot = torch.arange(samples, device=device), slot[:samples]
        return BattleBatch(
            views[:samples],
            features[:samples],
            means[:samples],
            column["action"][sample, slot].long(),
            column["reward"][sample, slot],
            views[samples:],
            features[samples:],
            means[samples:],
            state.cells[samples + sample, self.army, slot, 0] == 0,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """All stored steps, including those of an unfinished round."""
        columns = _columns(self._round)
        unfinished = {f"round.{name}": torch.from_numpy(np.stack(column)) for name, column in columns.items()}
        return {"entries": self._entries, **self._steps.state_dict(), **unfinished}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state returned by `state_dict`: the same draws then give the same samples.

        Raises:
            ValueError: the state has more transitions than `capacity`, armies of another size, or mean actions where
                this buffer has none, or the reverse.
        """
        if len(state["entries"]) > self.capacity:
            raise ValueError(f"state must be of at most {self.capacity} transitions, got {len(state['entries'])}")
        self._steps.load_state_dict(state)
        self._entries = state["entries"].to(self._entries.device, copy=True)
        columns = [state[name].cpu() for name in (f"round.{field}" for field in _Step._fields) if name in state]
        self._round = [_Step(*(entry.numpy().copy() for entry in step)) for step in zip(*columns, strict=True)]

    def _excerpt(self, observed: Observation, name: str) -> Excerpt:
        """Check that `observed` may come next in the round, and copy the parts to be stored."""
        battles = len(self._round[0].action) if self._round else len(observed.alive)
        for field, entry in zip(observed._fields, observed, strict=True):
            if entry.shape != (battles, *self._shapes[field]):
                raise ValueError(f"observed.{field} must be {[battles, *self._shapes[field]]}, got {list(entry.shape)}")
        seen = excerpt(observed)
        # Once all battles have ended in annihilation the state looks like a start, but it is given to `end`.
        starts = not seen.features[..., ID_BITS:LAST_REWARD].any()
        if name == "push" and self._round and starts:
            raise ValueError("push: another round begins, end the last one first")
        if not self._round and (name == "end" or not starts or not seen.features[..., -1].any()):
            raise ValueError(f"{name}: a round must be stored by push from its first step on")
        return seen

    def _checked(self, mean_action: Tensor | None, battles: int, name: str) -> list[NDArray[np.float32]]:
        """Check a mean action; return a copy to be stored, or nothing if mean actions are not stored."""
        shape = [battles, self.game.agents, ACTIONS]
        allowed = f"torch.float32 {shape}" if self.stores_mean_actions else "none"
        got = "none" if mean_action is None else f"{mean_action.dtype} {list(mean_action.shape)}"
        if got != allowed:
            raise ValueError(f"{name}: mean_action must be {allowed}, got {got}")
        return [] if mean_action is None else [mean_action.cpu().numpy().copy()]

    def _store(self, played: dict[str, Tensor]) -> None:
        """Store a whole round: columns `[battles, steps + 1, ...]`; there are no actions in the last step."""
        alive = played["cells"][..., 0] > 0
        own = alive[:, :, self.army]
        playing = alive.any(-1).all(-1)
        acting = own & playing.unsqueeze(-1)
        acting[:, -1] = False
        if not self.stores_mean_actions:
            counts = torch.zeros(*playing.shape, ACTIONS, dtype=torch.int16)
            counts[:, 1:] = action_counts(played["action"].long(), ACTIONS, acting, counts.dtype)[:, :-1]
            played = {**played, "counts": counts}
        kept = playing.clone()  # includes the state after the last step
        kept[:, 1:] |= playing[:, :-1]
        added = acting[kept].flatten().nonzero().squeeze(-1) + self._steps.end * self.game.agents
        self._entries = self._newest(torch.cat([self._entries, added.to(self._entries.device)]))
        first = int(self._entries[0]) // self.game.agents
        self._steps.append({name: column[kept] for name, column in played.items()}, first)

    def _newest(self, entries: Tensor) -> Tensor:
        """The newest of the ascending `entries`: whole joint steps, at most `capacity` transitions."""
        excess = len(entries) - self.capacity
        if excess <= 0:
            return entries
        cut = (entries[excess - 1] // self.game.agents + 1) * self.game.agents
        return entries[int(torch.searchsorted(entries, cut)) :].clone()


class _Step(NamedTuple):
    """A step of the current round."""

    features: NDArray[np.float32]  #: `[battles, 2, agents, 34]`, as in `Excerpt`.
    hp: NDArray[np.float32]  #: `[battles, 2, agents]`, as in `Excerpt`.
    action: NDArray[np.uint8]  #: `[battles, agents]`, actions of the stored army, 0 for the dead.
    reward: NDArray[np.float32]  #: `[battles, agents]`, rewards of the stored army.
    mean_action: NDArray[np.float32] | None = None  #: `[battles, agents, 21]`, of the stored army, if stored.


def _columns(steps: Sequence[_Step]) -> dict[str, list[NDArray[Any]]]:
    """The fields of steps as lists, by name; empty if there are no steps."""
    columns = zip(_Step._fields, zip(*steps, strict=True), strict=False)
    return {name: list(column) for name, column in columns if column[0] is not None}


class _JointSteps:
    """Ring buffer of the joint steps `begin` .. `end` - 1, numbered from the first ever stored. It grows as needed."""

    def __init__(self, agents: int, device: torch.device | str, stores_mean_actions: bool) -> None:
        shapes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "cells": ((2, agents, 2), torch.uint8),
            "hp": ((2, agents), torch.float32),
            "last_action": ((2, agents), torch.uint8),
            "last_reward": ((2, agents), torch.float32),
            "left": ((), torch.uint8),
            "action": ((agents,), torch.uint8),
            "reward": ((agents,), torch.float32),
        }
        if stores_mean_actions:
            shapes["mean_action"] = ((agents, ACTIONS), torch.float32)
        else:
            shapes["counts"] = ((ACTIONS,), torch.int16)
        self.begin = self.end = 0
        self._columns = {
            name: torch.empty((0, *shape), dtype=dtype, device=device) for name, (shape, dtype) in shapes.items()
        }

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self._columns.values())

    @property
    def _size(self) -> int:
        return len(self._columns["left"])

    def append(self, rows: Mapping[str, Tensor], begin: int) -> None:
        """Add `rows`, columns `[n, ...]`, and drop all joint steps before `begin`."""
        end, device = self.end + len(rows["left"]), self._columns["left"].device
        if not end:
            return
        fresh = torch.arange(max(self.end, begin), end, device=device)
        stay = torch.arange(begin, max(self.end, begin), device=device)
        size = self._size
        if end - begin > size:
            size = max(end - begin, size * 5 // 4)
        for name, column in self._columns.items():
            if size > len(column):
                grown = column.new_empty(size, *column.shape[1:])
                if len(stay):
                    grown[stay % size] = column[stay % len(column)]
                self._columns[name] = grown
            self._columns[name][fresh % size] = rows[name][len(rows[name]) - len(fresh) :].to(column.device)
        self.begin, self.end = begin, end

    def rewards(self, steps: Tensor) -> Tensor:
        """Rewards `[n, agents]` of joint `steps` `[n]`."""
        return self._columns["reward"].index_select(0, steps % self._size)

    def take(self, steps: Tensor) -> dict[str, Tensor]:
        """Columns `[n, ...]` of joint `steps` `[n]`."""
        rows = steps % self._size
        return {name: column.index_select(0, rows) for name, column in self._columns.items()}

    def state_dict(self) -> dict[str, Tensor]:
        held = torch.arange(self.begin, self.end)
        columns = {name: column[held % max(self._size, 1)] for name, column in self._columns.items()}
        return {"steps": torch.tensor([self.begin, self.end]), **columns}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        begin, end = state["steps"].tolist()
        for name, column in self._columns.items():
            if state[name].shape != (end - begin, *column.shape[1:]) or state[name].dtype != column.dtype:
                expected = f"{column.dtype} {[end - begin, *column.shape[1:]]}"
                raise ValueError(
                    f"state must hold {name} as {expected}, got {state[name].dtype} {list(state[name].shape)}"
                )
        self._columns = {name: column.new_empty(0, *column.shape[1:]) for name, column in self._columns.items()}
        self.begin = self.end = begin
        self.append(state, begin)

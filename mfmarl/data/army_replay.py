"""Experience of one army in Battle: transitions of its agents, stored as states of the whole battle.

A transition is an agent's (o, a, r, o') with o the view, the features and the mean action (Yang et al. 2018, Eq. 11
with the agent's own army for its neighbours, Section 5.3, or another neighbourhood). What 64 agents observe takes
300 kB a step; the state they observe it in takes 1.4 kB, from which a sample is rebuilt bit by bit
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
    mean_action: Tensor  #: `[B, 21]` float32, acted under: of the step before; zero in the first of a round.
    action: Tensor  #: `[B]` int64.
    reward: Tensor  #: `[B]` float32, unscaled.
    next_view: Tensor  #: `[B, 13, 13, 7]` float32, zero where terminal.
    next_feature: Tensor  #: `[B, 34]` float32, zero where terminal.
    next_mean_action: Tensor  #: `[B, 21]` float32, of this step, where terminal too.
    terminal: Tensor  #: `[B]` bool: the agent died in this step or the enemy was annihilated. Not the time-out.


class ArmyReplay:
    """The last transitions of one army, stored in joint steps: of one battle in one step, those of all living agents.

    An agent's transition ends its experience if it died in the step or the enemy was annihilated, which ends the
    battle. At the time-out it does not: the state after the last step is kept to bootstrap from.

    A round of several battles in lock step is stored by `push` after every step and `end` after the last; its
    transitions can be sampled once it has ended. It leaves one joint step for every step of every battle, and the
    state that the battle ended in. When there are more than `capacity` transitions the oldest joint steps go; of
    battles in one round, the first counts as the older.

    Memory grows with what is stored, by a quarter at a time. With 64 agents a side a joint step takes 1.8 kB, whoever
    lives: 5 x 10^5 transitions are 18 MB while all do, and 60 MB where a quarter does.

    Args:
        game: what is played.
        capacity: in transitions, at least one joint step's. 5 x 10^5: appendix C.3.
        army: whose transitions, 0 or 1.
        device: where they are stored, and samples rebuilt.
        stores_mean_actions: store the mean actions that `push` and `end` are given, 84 bytes an agent of a joint step.
            False: they are counted again from the actions of the living, as the neighbourhood `Army()` finds them.

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
        self._round: list[_Step] = []  # of the round that is played
        shapes = {"views": VIEW, "features": (FEATURES,), "alive": (), "ids": ()}
        self._shapes = {field: (2, game.agents, *shape) for field, shape in shapes.items()}  # of a battle

    def __len__(self) -> int:
        """How many transitions can be sampled."""
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Memory that is held for what is stored, in bytes."""
        return self._entries.nbytes + self._steps.nbytes

    def push(self, observed: Observation, actions: Tensor, rewards: Tensor, mean_action: Tensor | None = None) -> None:
        """Add a step of the round that is played, copied.

        Args:
            observed: what both armies observed before the step.
            actions: `[battles, 2, agents]` int64, as `Battles.step` took them.
            rewards: `[battles, 2, agents]` float32, as it gave them.
            mean_action: `[battles, agents, 21]` float32, what the army acted under; given if it is to be stored.

        Raises:
            ValueError: a tensor of another shape or type; an action out of 0 .. 20 of who observes; a round that is
                not stored from its first step on; or one that begins before `end`.
        """
        seen = self._excerpt(observed, "push")
        shape = observed.alive.shape
        for name, entry, dtype in (("actions", actions, torch.int64), ("rewards", rewards, torch.float32)):
            if entry.dtype != dtype or entry.shape != shape:
                raise ValueError(f"{name} must be {dtype} {list(shape)}, got {entry.dtype} {list(entry.shape)}")
        mean = self._checked(mean_action, len(observed.alive), "push")
        action = np.where(seen.features[:, self.army, :, -1] > 0, actions.cpu().numpy()[:, self.army], 0)
        if action.view(np.uint64).max() >= ACTIONS:  # of a negative one it is past all others
            outside = action[(action < 0) | (action >= ACTIONS)]
            raise ValueError(f"actions must be in 0 .. {ACTIONS - 1}, got {outside[0]}")
        self._round.append(_Step(*seen, action.astype(np.uint8), rewards.cpu().numpy()[:, self.army].copy(), *mean))

    def end(self, observed: Observation, mean_action: Tensor | None = None) -> None:
        """End the round and store it. Battles in which both armies live in `observed` have timed out.

        Args:
            observed: what both armies observe after the last step.
            mean_action: `[battles, agents, 21]` float32, what the army would act under; given if it is to be stored.

        Raises:
            ValueError: an observation of another shape, or before the first `push`.
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
        """Transitions drawn with equal probability, with replacement.

        Args:
            uniform: `[B]` floats in [0, 1): u takes transition floor(u * len) of all, the oldest first.

        Raises:
            ValueError: draws of another shape or out of range, or nothing is stored.
        """
        if uniform.dim() != 1 or not uniform.is_floating_point():
            raise ValueError(f"uniform must be floats [B], got {uniform.dtype} {list(uniform.shape)}")
        return self.transitions(self.numbers(uniform))

    def numbers(self, uniform: Tensor) -> Tensor:
        """Numbers of transitions drawn with equal probability, with replacement.

        Args:
            uniform: `[...]` floats in [0, 1), on the CPU: u takes transition floor(u * len) of all, the oldest first.

        Returns:
            `[...]` int64, where the transitions are stored.

        Raises:
            ValueError: draws out of range, or nothing is stored.
        """
        if not ((uniform >= 0) & (uniform < 1)).all():
            raise ValueError(f"uniform must be in [0, 1), got {uniform.min():g} .. {uniform.max():g}")
        if not len(self):
            raise ValueError("sample: nothing is stored, end a round first")
        numbers = (uniform.to(self._entries.device, torch.float64) * len(self)).long()
        return numbers.clamp_(max=len(self) - 1)

    @property
    def slots(self) -> Tensor:
        """Whose each transition is, the oldest first: `[len]` int64, places in the army."""
        return self._entries % self.game.agents

    @property
    def rewards(self) -> Tensor:
        """Reward of each transition, the oldest first: `[len]` float32."""
        return self._steps.rewards(self._entries // self.game.agents).gather(1, self.slots.unsqueeze(1)).squeeze(1)

    def transitions(self, numbers: Tensor) -> BattleBatch:
        """Transitions by number, `[B]` int64: 0 is the oldest that is stored."""
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
        """What is stored, and what `push` left of an unfinished round."""
        columns = _columns(self._round)
        unfinished = {f"round.{name}": torch.from_numpy(np.stack(column)) for name, column in columns.items()}
        return {"entries": self._entries, **self._steps.state_dict(), **unfinished}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict`'s return: the same draws give the same samples.

        Raises:
            ValueError: a state of more transitions than `capacity`, of other armies, or with other mean actions.
        """
        if len(state["entries"]) > self.capacity:
            raise ValueError(f"state must be of at most {self.capacity} transitions, got {len(state['entries'])}")
        self._steps.load_state_dict(state)
        self._entries = state["entries"].to(self._entries.device, copy=True)
        columns = [state[name].cpu() for name in (f"round.{field}" for field in _Step._fields) if name in state]
        self._round = [_Step(*(entry.numpy().copy() for entry in step)) for step in zip(*columns, strict=True)]

    def _excerpt(self, observed: Observation, name: str) -> Excerpt:
        """Check that `observed` may come next in the round, and copy what is stored of it."""
        battles = len(self._round[0].action) if self._round else len(observed.alive)
        for field, entry in zip(observed._fields, observed, strict=True):
            if entry.shape != (battles, *self._shapes[field]):
                raise ValueError(f"observed.{field} must be {[battles, *self._shapes[field]]}, got {list(entry.shape)}")
        seen = excerpt(observed)
        # The all-dead state of a round whose battles all ended in annihilation looks like a start, but is no `push`.
        starts = not seen.features[..., ID_BITS:LAST_REWARD].any()
        if name == "push" and self._round and starts:
            raise ValueError("push: another round begins, end the last one first")
        if not self._round and (name == "end" or not starts or not seen.features[..., -1].any()):
            raise ValueError(f"{name}: a round must be stored by push from its first step on")
        return seen

    def _checked(self, mean_action: Tensor | None, battles: int, name: str) -> list[NDArray[np.float32]]:
        """What is stored of a mean action: nothing, or a copy."""
        shape = [battles, self.game.agents, ACTIONS]
        allowed = f"torch.float32 {shape}" if self.stores_mean_actions else "none"
        got = "none" if mean_action is None else f"{mean_action.dtype} {list(mean_action.shape)}"
        if got != allowed:
            raise ValueError(f"{name}: mean_action must be {allowed}, got {got}")
        return [] if mean_action is None else [mean_action.cpu().numpy().copy()]

    def _store(self, played: dict[str, Tensor]) -> None:
        """Store a whole round: columns `[battles, steps + 1, ...]`, the last step not acted in."""
        alive = played["cells"][..., 0] > 0
        own = alive[:, :, self.army]
        playing = alive.any(-1).all(-1)
        acting = own & playing.unsqueeze(-1)
        acting[:, -1] = False
        if not self.stores_mean_actions:
            counts = torch.zeros(*playing.shape, ACTIONS, dtype=torch.int16)
            counts[:, 1:] = action_counts(played["action"].long(), ACTIONS, acting, counts.dtype)[:, :-1]
            played = {**played, "counts": counts}
        kept = playing.clone()  # and the state after the last step
        kept[:, 1:] |= playing[:, :-1]
        added = acting[kept].flatten().nonzero().squeeze(-1) + self._steps.end * self.game.agents
        self._entries = self._newest(torch.cat([self._entries, added.to(self._entries.device)]))
        first = int(self._entries[0]) // self.game.agents
        self._steps.append({name: column[kept] for name, column in played.items()}, first)

    def _newest(self, entries: Tensor) -> Tensor:
        """The newest of `entries`, which ascend: whole joint steps and at most `capacity`."""
        excess = len(entries) - self.capacity
        if excess <= 0:
            return entries
        cut = (entries[excess - 1] // self.game.agents + 1) * self.game.agents
        return entries[int(torch.searchsorted(entries, cut)) :].clone()


class _Step(NamedTuple):
    """A step of the round that is played."""

    features: NDArray[np.float32]  #: `[battles, 2, agents, 34]`, and
    hp: NDArray[np.float32]  #: `[battles, 2, agents]`, of the `Excerpt`.
    action: NDArray[np.uint8]  #: `[battles, agents]`, of the army whose transitions these are; 0 of its dead.
    reward: NDArray[np.float32]  #: `[battles, agents]`, of that army.
    mean_action: NDArray[np.float32] | None = None  #: `[battles, agents, 21]`, of that army, if it is stored.


def _columns(steps: Sequence[_Step]) -> dict[str, list[NDArray[Any]]]:
    """What the steps hold, by name; nothing of no steps."""
    columns = zip(_Step._fields, zip(*steps, strict=True), strict=False)
    return {name: list(column) for name, column in columns if column[0] is not None}


class _JointSteps:
    """Joint steps `begin` .. `end` - 1, counted from the first ever stored: a ring that grows as it must."""

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
        """Add `rows`, columns `[n, ...]`, and forget all before joint step `begin`."""
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

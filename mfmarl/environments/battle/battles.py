"""Battle (Yang et al. 2018, Section 5.3 and appendix C.3): two armies of equal agents on the grid of MAgent.

The rules are those of MAgent2's engine. An agent has 10 hp and regains 0.1 per step. It sees the cells within a radius
of 6. In a step it either moves to a cell within a radius of 2 or attacks one of the 8 cells around it; a hit costs an
enemy 2 hp. The reward of a step is -0.005, plus -0.1 for an attack, plus 0.2 for an attack that hits, or plus 5 instead
of 0.2 for a hit that kills. An agent that dies gets -0.1 instead of all these, or +0.1 if it hit an enemy in that step,
because the engine adds the bonus of 0.2 last.

`Battles` plays several battles in lock step. A round is a pure function of its `Start` and of the actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from mfmarl.arguments import integer
from mfmarl.environments.battle.engine import Engine, Memory
from mfmarl.environments.battle.game import (
    ACTIONS,
    FEATURES,
    VIEW,
    Battle,
    Start,
)
from mfmarl.environments.battle.observation import Observation, Outcome, Units


class Battles:
    """Several battles played in lock step; a battle that is over waits for the others.

    To play a round, call `reset`, then `observe` and `step` in turn until all battles are done. An agent keeps its
    index for the whole round, even when others die.

    The views and features that `observe` returns share memory with the engine. They change at the next `observe` and
    at no other time, so a transition can be stored after its `step`. Everything else that is returned is a copy.

    A copy, by pickle or deepcopy, plays the round so far again in engines of its own. Call its `observe` next, as after
    a step.

    Args:
        game: the game to play.
        battles: number of battles, at least 1.

    Raises:
        ValueError: battles is not a whole number of at least 1.
    """

    def __init__(self, game: Battle, battles: int = 1) -> None:
        self.game = game
        self.battles = battles = integer("battles", battles, 1)
        self._shape = (battles, 2, game.agents)
        self._memory = Memory.allocate(self._shape, VIEW, FEATURES)
        self._engines = [Engine(game.map_size, self._memory[battle]) for battle in range(battles)]
        self._cells = game.cells()
        self._starts: tuple[Start, ...] = ()
        self._log = np.zeros((game.max_steps, *self._shape), dtype=np.uint8)
        self._steps = np.zeros(battles, dtype=np.int64)
        self._done = np.zeros(battles, dtype=np.bool_)
        self._observed = np.zeros(battles, dtype=np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        return {"game": self.game, "battles": self.battles, "round": self.state_dict()}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        Battles.__init__(self, state["game"], state["battles"])
        self.load_state_dict(state["round"])

    def reset(
        self,
        generators: Sequence[Generator],
        left: Sequence[int] | None = None,
        first: Sequence[int] | None = None,
    ) -> None:
        """Begin a round.

        Args:
            generators: one generator per battle, which draws the battle's `Start`.
            left: army on the left in each battle. None: as drawn.
            first: army that moves first in each battle. None: as drawn.

        Raises:
            ValueError: an argument does not have one entry per battle, or an army is not 0 or 1.
        """
        for name, entries in (("generators", generators), ("left", left), ("first", first)):
            if entries is not None and len(entries) != self.battles:
                raise ValueError(f"{name} must have one entry for each of {self.battles} battles, got {len(entries)}")
        drawn = [None] * self.battles
        self.begin([Start.draw(*each) for each in zip(generators, left or drawn, first or drawn, strict=True)])

    def begin(self, starts: Sequence[Start]) -> None:
        """Begin a round from given starts, one per battle.

        Raises:
            ValueError: the number of starts is not the number of battles.
        """
        if len(starts) != self.battles:
            raise ValueError(f"starts must have one entry for each of {self.battles} battles, got {len(starts)}")
        self._starts = ()
        for engine, start in zip(self._engines, starts, strict=True):
            engine.begin(start.seed, start.left, self._cells)
        self._starts = tuple(starts)
        self._steps[:] = 0
        self._log[:] = 0
        self._done[:] = False
        self._observed[:] = False

    def observe(self) -> Observation:
        """Return what the agents observe now. Observations in a battle that ended by annihilation are all zero.

        Raises:
            ValueError: no round has begun.
        """
        self._check_begun("observe")
        for battle, engine in enumerate(self._engines):
            if not self._observed[battle]:
                engine.observe()
                self._observed[battle] = True
        memory = self._memory
        return Observation(
            torch.from_numpy(memory.views),
            torch.from_numpy(memory.features),
            self.alive,
            torch.from_numpy(memory.ids.copy()),
        )

    def step(self, actions: Tensor) -> Outcome:
        """Play one step of all battles.

        Args:
            actions: `[battles, 2, agents]` int64 in 0 .. 20. Actions of dead agents, and in battles that are over, are
                ignored.

        Returns:
            The rewards of the step, who died in it, and which battles are over.

        Raises:
            ValueError: actions have another shape or type or are out of range, `observe` was not called since the last
                step, no round has begun, or all battles are over.
        """
        self._check_begun("step")
        if self._done.all():
            raise ValueError("step: all battles are over, reset first")
        if not self._observed[~self._done].all():
            raise ValueError("step: observe must be called before each step")
        playing, before = ~self._done, self._memory.alive.copy()
        self._play(_checked(actions, before & playing[:, None, None]), playing)
        rewards = np.where(playing[:, None, None], self._memory.rewards, np.float32(0))
        died = before & ~self._memory.alive
        return Outcome(torch.from_numpy(rewards), torch.from_numpy(died), self.done)

    @property
    def alive(self) -> Tensor:
        """Whether each agent is alive, `[battles, 2, agents]` bool."""
        return torch.from_numpy(self._memory.alive.copy())

    @property
    def done(self) -> Tensor:
        """Whether each battle is over, `[battles]` bool."""
        return torch.from_numpy(self._done.copy())

    @property
    def annihilated(self) -> Tensor:
        """Whether each battle is over because an army is dead, `[battles]` bool. Others end after `max_steps` steps."""
        return torch.tensor([engine.annihilated for engine in self._engines])

    @property
    def steps(self) -> Tensor:
        """Number of steps of each battle so far, `[battles]` int64."""
        return torch.from_numpy(self._steps.copy())

    @property
    def survivors(self) -> Tensor:
        """Number of living agents of each army, `[battles, 2]` int64."""
        return self.alive.sum(-1)

    @property
    def kills(self) -> Tensor:
        """Number of enemies that each army has killed, `[battles, 2]` int64. Agents die in no other way."""
        return self.game.agents - self.survivors.flip(-1)

    @property
    def starts(self) -> tuple[Start, ...]:
        """The starts of the round, one per battle; empty before the first round."""
        return self._starts

    def units(self) -> Units:
        """Return the positions and hp of all agents.

        Raises:
            ValueError: no round has begun, or `observe` was not called since the last step.
        """
        self._check_begun("units")
        if not self._observed.all():
            raise ValueError("units: observe must be called first")
        positions = np.stack([engine.positions() for engine in self._engines])
        return Units(torch.from_numpy(positions), torch.from_numpy(self._memory.hp.copy()), self.alive)

    def log(self, battle: int) -> Tensor:
        """Return all actions of a battle so far, `[steps, 2, agents]` uint8, with 0 for the dead."""
        return torch.from_numpy(self._log[: self._steps[battle], battle].copy())

    def state_dict(self) -> dict[str, Tensor]:
        """Return the round so far, begun or not: its starts and actions, from which the engines can replay it."""
        return {
            "starts": torch.tensor([astuple(start) for start in self._starts], dtype=torch.int64).view(-1, 3),
            "steps": self.steps,
            "actions": torch.from_numpy(self._log[: self._steps.max()].copy()),
            "alive": self.alive,
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the round of `state` by playing its actions again. Call `observe` next, as after a step.

        Raises:
            ValueError: the state is from other battles, or this build of the engine ends up with other survivors.
        """
        starts, steps, log = state["starts"], state["steps"], state["actions"]
        begun = self.battles if len(starts) else 0
        if (
            starts.shape != (begun, 3)
            or steps.shape != (self.battles,)
            or log.shape != (int(steps.max()), *self._shape)
            or len(log) > (self.game.max_steps if begun else 0)
        ):
            raise ValueError(f"state must be of {self.battles} battles of {self.game}, got another's")
        if not begun:
            self._starts = ()
            self._steps[:] = 0
            self._done[:] = False
            self._memory.alive[:] = False
            return
        self.begin([Start(*numbers) for numbers in starts.tolist()])
        for step, actions in enumerate(log):
            playing = (steps > step).numpy()
            self._play(_checked(actions.long(), self._memory.alive & playing[:, None, None]), playing)
        if not torch.equal(self.alive, state["alive"]):
            raise ValueError("state does not play again on this build of MAgent2: other agents are alive at its end")

    def _play(self, actions: NDArray[np.uint8], playing: NDArray[np.bool_]) -> None:
        for battle in np.flatnonzero(playing):
            engine = self._engines[battle]
            self._log[self._steps[battle], battle] = actions[battle]
            self._observed[battle] = False
            engine.step(actions[battle], self._starts[battle].first)
            self._steps[battle] += 1
            self._done[battle] = engine.annihilated or self._steps[battle] == self.game.max_steps

    def _check_begun(self, name: str) -> None:
        if not self._starts:
            raise ValueError(f"{name}: no round has begun, reset first")


def _checked(actions: Tensor, acting: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return checked actions for the engine, uint8, with 0 where `acting` `[battles, 2, agents]` is false."""
    if actions.dtype != torch.int64 or actions.shape != acting.shape:
        raise ValueError(
            f"actions must be int64 of shape {list(acting.shape)}, got {actions.dtype} of shape {list(actions.shape)}"
        )
    numbers = np.where(acting, actions.cpu().numpy(), 0)
    if numbers.min() < 0 or numbers.max() >= ACTIONS:
        outside = numbers[(numbers < 0) | (numbers >= ACTIONS)]
        raise ValueError(f"actions must be in 0 .. {ACTIONS - 1}, got {outside[0]}")
    return numbers.astype(np.uint8)

"""Recorded battles: from a start and the actions the engine plays the same round again."""

import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor

from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS, Battle, Start
from mfmarl.environments.battle.observation import Observation, Outcome, Units
from mfmarl.files import atomic

# Type and shape of each array in a file; None stands for a length that depends on the game or the round.
_ARRAYS: dict[str, tuple[type[np.generic], tuple[int | None, ...]]] = {
    "game": (np.int64, (2,)),
    "start": (np.int64, (3,)),
    "actions": (np.uint8, (None, None, None)),
    "alive": (np.bool_, (None, None)),
}
_LARGEST = 2**30  # maximum number of bytes of an array
_DAMAGED = (BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)  # errors of zipfile for a damaged file


@dataclass(frozen=True, eq=False)
class Replay:
    """A recorded round, or the first part of a round.

    Args:
        game: the game that was played.
        start: start of the round.
        actions: actions of all steps, `[steps, 2, agents]` uint8 in 0 .. 20.
        alive: agents alive after the last step, `[2, agents]` bool; `play` checks its result against this.

    Raises:
        ValueError: actions or alive do not fit the game.
    """

    game: Battle
    start: Start
    actions: Tensor
    alive: Tensor

    def __post_init__(self) -> None:
        steps, agents = len(self.actions), self.game.agents
        if self.actions.dtype != torch.uint8 or self.actions.shape != (steps, 2, agents):
            raise ValueError(
                f"actions must be uint8 [steps, 2, {agents}], got {self.actions.dtype} {list(self.actions.shape)}"
            )
        if steps > self.game.max_steps:
            raise ValueError(f"actions must be of at most max_steps = {self.game.max_steps} steps, got {steps}")
        if steps and self.actions.max() >= ACTIONS:
            raise ValueError(f"actions must be in 0 .. {ACTIONS - 1}, got {int(self.actions.max())}")
        if self.alive.dtype != torch.bool or self.alive.shape != (2, agents):
            raise ValueError(f"alive must be bool [2, {agents}], got {self.alive.dtype} {list(self.alive.shape)}")

    @classmethod
    def record(cls, battles: Battles, battle: int = 0) -> "Replay":
        """Return the round of one of the battles so far.

        Raises:
            ValueError: no round has begun.
        """
        if not battles.starts:
            raise ValueError("record: no round has begun, reset first")
        return cls(battles.game, battles.starts[battle], battles.log(battle), battles.alive[battle])

    def seat(self, army: int) -> str:
        """Return the side on which army 0 or 1 began: left or right."""
        return "left" if self.start.left == army else "right"

    def save(self, path: Path) -> None:
        """Write the replay atomically to a compressed npz file. Equal replays give equal bytes."""
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file,
                game=np.array([self.game.agents, self.game.max_steps], dtype=np.int64),
                start=np.array([self.start.seed, self.start.left, self.start.first], dtype=np.int64),
                actions=self.actions.numpy(),
                alive=self.alive.numpy(),
            )

    @classmethod
    def load(cls, path: Path) -> "Replay":
        """Read a file that `save` wrote. Nothing is unpickled.

        Raises:
            ValueError: there is no such file, or it is not a replay.
        """
        if not os.path.isfile(path):
            raise ValueError(f"replay: there is no file {path}")
        try:
            with open(path, "rb") as file:
                _check_headers(file)
                file.seek(0)
                with np.load(file, allow_pickle=False) as content:
                    arrays = {name: content[name] for name in _ARRAYS}
            game, start = Battle(*arrays["game"].tolist()), Start(*arrays["start"].tolist())
            return cls(game, start, torch.from_numpy(arrays["actions"]), torch.from_numpy(arrays["alive"]))
        except (*_DAMAGED, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a replay: {error}") from error


def _check_headers(file: BinaryIO) -> None:
    """Raise ValueError unless the arrays have the right types and shapes and are no larger than the file's contents."""
    with ZipFile(file) as archive:
        for name, (kind, shape) in _ARRAYS.items():
            info = archive.getinfo(f"{name}.npy")
            with archive.open(info) as member:
                np.lib.format.read_magic(member)
                found, _, dtype = np.lib.format.read_array_header_1_0(member)
            fits = len(shape) == len(found) and all(n in (None, m) for n, m in zip(shape, found, strict=True))
            if dtype != kind or not fits:
                raise ValueError(f"{name} is {dtype} {list(found)}")
            size = math.prod(found) * dtype.itemsize
            if size > min(info.file_size, _LARGEST):
                raise ValueError(f"{name} is said to have {size} bytes")


class Frame(NamedTuple):
    """A state of a replayed round; tensors have the shape of one battle, `[1, ...]`."""

    observation: Observation  #: observation, valid until the next frame, see `Battles`.
    units: Units
    outcome: Outcome | None  #: outcome of the step that led to this state; None at the start.


def play(replay: Replay) -> Iterator[Frame]:
    """Yield the states of `replay`, from the start to the state after the last action: steps + 1 frames.

    Raises:
        ValueError: the round takes another course on this build of MAgent2. This is known only after the last frame.
    """
    battles = Battles(replay.game)
    battles.begin([replay.start])
    yield Frame(battles.observe(), battles.units(), None)
    for actions in replay.actions:
        if battles.done.all():
            break
        outcome = battles.step(actions[None].long())
        yield Frame(battles.observe(), battles.units(), outcome)
    if battles.steps.tolist() != [len(replay.actions)] or not torch.equal(battles.alive[0], replay.alive):
        raise ValueError("replay does not play again on this build of MAgent2: it takes another course")

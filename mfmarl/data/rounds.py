"""Base of the data modules of all games: rounds of play as training batches, with evenly spread evaluations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from mfmarl.arguments import check_types
from mfmarl.custom import is_ours
from mfmarl.environments import Game
from mfmarl.seeds import generators, seed_numbers

MOST = 10**12  # of anything that is counted: steps, minibatches, entries of a buffer


def check_choice(policy: object, choice: object, shape: Sequence[int], allowed: Sequence[int]) -> None:
    """Check the actions of a policy that is, or explores by, a custom class; tests cover those of this package.

    Args:
        policy: the policy.
        choice: its actions.
        shape: required shape of the actions.
        allowed: allowed actions, ascending.

    Raises:
        ValueError: the actions are not allowed whole numbers of this shape.
    """
    exploration = getattr(policy, "exploration", policy)
    if is_ours(type(policy)) and is_ours(type(exploration)):
        return
    by = "" if exploration is policy or is_ours(type(exploration)) else f" with {type(exploration).__name__}"
    said = f"act of {type(policy).__name__}{by} must give whole numbers in {allowed[0]} .. {allowed[-1]}, {list(shape)}"
    if not isinstance(choice, Tensor) or choice.is_floating_point() or choice.dtype == torch.bool:
        raise ValueError(f"{said}, got {choice.dtype if isinstance(choice, Tensor) else type(choice).__name__}")
    if choice.shape != torch.Size(shape):
        raise ValueError(f"{said}, got the shape {list(choice.shape)}")
    if choice.numel() and not torch.isin(choice, torch.tensor(allowed, device=choice.device)).all():
        raise ValueError(f"{said}, got {int(choice.min())} .. {int(choice.max())}")


class RoundsDataModule(pl.LightningDataModule):
    """Rounds of play with evenly spread evaluations.

    A training batch is a round: a callable that takes a policy, plays with it, and yields training data. An epoch ends
    with an evaluation. A subclass defines `rounds` and `evaluate`, and extends the state by anything else that its
    play depends on.

    Args:
        environment: the game.
        seeds: seeds. Each has its own generator, so that its stream does not depend on the others.
        steps: total number of steps in the game's unit: joint steps, sweeps, or rounds of self-play.
        evaluations: number of evaluations, evenly spread; must divide `steps`.

    Raises:
        ValueError: an argument out of its range.
    """

    environment: Any  #: the game; a subclass names its type.
    divides_rounds: ClassVar[tuple[str, ...]] = ()  #: further attributes on which the lengths of rounds depend.

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Check the types of all arguments except the seeds, which `seed_numbers` checks."""
        check_types(cls, {**dict(zip(("environment",), arguments, strict=False)), **named})
        return super().__new__(cls)

    def __init__(self, environment: Game, seeds: Sequence[int], *, steps: int, evaluations: int) -> None:
        super().__init__()
        self.seeds = seed_numbers(seeds)
        check_positive(steps=steps, evaluations=evaluations)
        if steps % evaluations:
            raise ValueError(f"evaluations must divide steps, got {evaluations} and {steps}")
        self.environment = environment
        self.steps, self.evaluations = steps, evaluations
        self.steps_played = 0
        self.generators = {"training": generators(seeds, "training")}

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}({self.environment}, seeds {list(self.seeds)}, {self.steps_played} of {self.steps} "
            f"steps played, {self.evaluations} evaluations)"
        )

    __repr__ = __str__

    def rounds(self) -> Sequence[Callable[[Any], Any]]:
        """The rounds of one epoch."""
        raise NotImplementedError

    def goes_with(self) -> dict[str, str]:
        """What must be equal when training resumes, since Lightning counts epochs and rounds, not steps; as text."""
        divides = {name: str(getattr(self, name)) for name in self.divides_rounds}
        return {"steps / evaluations": str(self.steps // self.evaluations), **divides}

    def evaluate(self, policy: Any) -> dict[str, Tensor]:
        """Scores of the policy by name, `[runs]` float64 each."""
        raise NotImplementedError

    def train_dataloader(self) -> "Calls":
        """The rounds of one epoch."""
        return Calls(self.rounds())

    def val_dataloader(self) -> "Calls":
        """One evaluation."""
        return Calls([self.evaluate])

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on: generators and steps played."""
        return {
            "steps_played": self.steps_played,
            "generators": {stream: [one.get_state() for one in own] for stream, own in self.generators.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        self.steps_played = state_dict["steps_played"]
        for stream, own in self.generators.items():
            for generator, state in zip(own, state_dict["generators"][stream], strict=True):
                generator.set_state(state.cpu())


class Calls(Sequence[Any]):
    """Rounds or evaluations as a sized sequence. Since it is not a DataLoader, Lightning neither prefetches nor shards.

    Lightning saves how many were handed out, so that an interrupted epoch resumes with the next one.
    """

    def __init__(self, calls: Sequence[Any]) -> None:
        self._calls = calls
        self._handed_out = 0
        self._first = 0  # where the next iteration starts

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, index: Any) -> Any:
        return self._calls[index]

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, 0
        for number in range(first, len(self)):
            self._handed_out = number + 1
            yield self._calls[number]

    def state_dict(self) -> dict[str, int]:
        """The number of calls handed out in this epoch."""
        return {"handed_out": self._handed_out}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Start the next iteration where the saved one stopped, or from the beginning if it was complete."""
        self._first = state_dict["handed_out"] % len(self)


class OnDevice(Protocol):
    """A policy that computes on a device."""

    @property
    def device(self) -> torch.device:
        """The device of the policy."""
        ...


class Buffer(Protocol):
    """A store of experience that can be saved."""

    def state_dict(self) -> dict[str, Any]:
        """The stored experience."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        ...


PolicyT = TypeVar("PolicyT", bound=OnDevice)
BufferT = TypeVar("BufferT", bound=Buffer)


class LateBuffer(Generic[PolicyT, BufferT]):
    """A replay buffer created once the policy is known, which determines its columns and device.

    A state loaded earlier is kept and restored then.

    Args:
        make: function that creates the buffer for a policy.
    """

    def __init__(self, make: Callable[[PolicyT], BufferT]) -> None:
        self._make = make
        self._buffer: BufferT | None = None
        self._saved: dict[str, Any] | None = None

    def of(self, policy: PolicyT) -> BufferT:
        """The buffer, created for `policy` at the first call."""
        if self._buffer is None:
            self._buffer = self._make(policy)
            if self._saved is not None:
                self._buffer.load_state_dict(self._saved)
                self._saved = None
        return self._buffer

    def state_dict(self) -> dict[str, Any] | None:
        """The state of the buffer; None if nothing is stored yet."""
        return self._saved if self._buffer is None else self._buffer.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Restore the state returned by `state_dict`."""
        self._buffer, self._saved = None, state


def check_positive(**arguments: Any) -> None:
    """Raise ValueError, with the argument's name, unless all arguments are whole numbers from 1 to `MOST`."""
    for name, value in arguments.items():
        if not isinstance(value, Integral):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
        if int(value) > MOST:
            raise ValueError(f"{name} must be at most {MOST}, got {value}")


def cut(steps: int, length: int) -> list[int]:
    """Divide `steps` into pieces of `length`; the last one may be shorter."""
    whole, rest = divmod(steps, length)
    return [length] * whole + [rest] * bool(rest)

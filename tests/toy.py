"""Algorithms that go wrong, given to jobs as tests/toy.py:Class."""

import os
import signal
import sys
from asyncio import CancelledError
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import IL
from mfmarl.data.stateless_replay import Batch
from mfmarl.data.sweeps import Transition


class Breaks(IL):
    """Raises at its first evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        raise RuntimeError("the toy broke")


class Dies(IL):
    """Is killed at its first evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Exits(IL):
    """Ends the process at its first evaluation, as if all were well."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        sys.exit(0)


class Leaves(IL):
    """Ends the process at its first evaluation, past whoever would ask why."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        os._exit(0)


class Thinks(IL):
    """Thinks for ever from its first evaluation on, and reports nothing meanwhile."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        Path("thinks").touch()
        while True:
            signal.pause()


class NoText(Exception):  # noqa: N818 - its name says what it lacks
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Raises(IL):
    """Raises something that is no Exception at its first evaluation."""

    raised: BaseException = CancelledError("no more")

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        raise self.raised


class RaisesNoText(Raises):
    """Raises what has no text."""

    raised = NoText()


class EvaluationStops(Raises):
    """Raises what a Trainer takes for the end of the data."""

    raised = StopIteration()


class LearningStops(IL):
    """Raises what a Trainer takes for the end of the data, while it learns."""

    def losses(self, batch: Batch) -> list[Tensor]:
        return super().losses(batch) if self.step < 50 else next(iter([]))


class TrainerStops(IL):
    """Tells its Trainer to stop after the first evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        super().validation_step(evaluation, batch_idx)
        self.trainer.should_stop = True


class Doubles(IL):
    """Changes the type that all tensors have which are made without one."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        super().validation_step(evaluation, batch_idx)
        torch.set_default_dtype(torch.float64)


class Terminated(IL):
    """Is asked to end at its first evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class Announced(IL):
    """Gets the signals with which Slurm announces an end, at every evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR2)
        super().validation_step(evaluation, batch_idx)


class InfiniteLoss(IL):
    """Its loss is infinite from joint step 50 on."""

    def losses(self, batch: Batch) -> list[Tensor]:
        return [loss * (float("inf") if self.step >= 50 else 1.0) for loss in super().losses(batch)]


class NoScore(IL):
    """The last seed's reward of greedy play is no number."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        super().validation_step(evaluation, batch_idx)
        self.scores["greedy_reward"][-1] = float("nan")


class NoTable(TabularMFQ):
    """A value of one spin is no number."""

    def learn(self, transition: Transition) -> None:
        super().learn(transition)
        self.q_table[0, 0, 1, 2, 4, 1] = float("nan")


class NoAgent:
    """Not an Agent."""

"""Algorithms that go wrong, given to jobs as tests/toy.py:Class."""

import os
import signal
import sys
from collections.abc import Callable

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
    """Its reward of greedy play is no number."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        super().validation_step(evaluation, batch_idx)
        self.scores["greedy_reward"] = self.scores["greedy_reward"] * float("nan")


class NoTable(TabularMFQ):
    """A value of one spin is no number."""

    def learn(self, transition: Transition) -> None:
        super().learn(transition)
        self.q_table[0, 0, 1, 2, 4, 1] = float("nan")


class NoAgent:
    """Not an Agent."""

"""Algorithms that go wrong, given to jobs as tests/toy.py:Class."""

import os
import signal

from mfmarl.algorithms.q_learning import IL
from mfmarl.data.stateless import Evaluation


class Breaks(IL):
    """Raises at its first evaluation."""

    def validation_step(self, evaluation: Evaluation, batch_idx: int) -> None:
        raise RuntimeError("the toy broke")


class Dies(IL):
    """Is killed at its first evaluation."""

    def validation_step(self, evaluation: Evaluation, batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class NoAgent:
    """Not an Agent."""

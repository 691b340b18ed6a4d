"""Algorithms that go wrong, given to jobs as tests/toy.py:Class."""

import os
import signal
from collections.abc import Callable

from torch import Tensor

from mfmarl.algorithms.q_learning import IL


class Breaks(IL):
    """Raises at its first evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        raise RuntimeError("the toy broke")


class Dies(IL):
    """Is killed at its first evaluation."""

    def validation_step(self, evaluation: Callable[..., dict[str, Tensor]], batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class NoAgent:
    """Not an Agent."""

"""SIGTERM, as of `kill`, `timeout` or a scheduler: work stops at once, and resumes from its last checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ANNOUNCEMENTS = (signal.SIGTERM, signal.SIGUSR2)  # of Slurm, that it will end a task: see `slurm_task`


class Terminated(SystemExit):
    """SIGTERM arrived. Unless somebody catches it, the process ends with the exit code that shells give it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated where SIGTERM arrives meanwhile. A handler that somebody else has set stays.

    Lightning's own handler, which would let the process end with code 0, calls the one that was there before.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def die_of_sigterm() -> None:
    """Let SIGTERM end this process at once, also while Lightning has a handler of its own."""
    signal.signal(signal.SIGTERM, _die)


def _raise(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def _die(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)

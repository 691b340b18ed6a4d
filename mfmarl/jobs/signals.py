"""SIGTERM, as of `kill`, `timeout` or a scheduler: work stops at once, and resumes from its last checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ANNOUNCEMENTS = (signal.SIGTERM, signal.SIGUSR2)  # of Slurm, that it will end a task: see `slurm_task`


class Terminated(SystemExit):
    """SIGTERM arrived. Unless somebody catches it, the process ends with the exit code that shells give it."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def passed_on(to: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Hand what would stop this process to `to` meanwhile, and stop after it. A signal that is ignored stays so.

    It is for a process that waits for another, which is to stop first; SIGHUP, of a terminal that closes, is handed
    on as SIGTERM.

    Raises:
        KeyboardInterrupt: SIGINT arrived, and `to` and what is done meanwhile have ended.
        Terminated: so did SIGTERM or SIGHUP.
    """
    arrived: list[signal.Signals] = []

    def hand_on(signum: int, frame: FrameType | None) -> None:
        arrived.append(signal.SIGINT if signum == signal.SIGINT else signal.SIGTERM)
        to(arrived[-1])

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, hand_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        raise KeyboardInterrupt if arrived[0] is signal.SIGINT else Terminated


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

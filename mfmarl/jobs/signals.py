"""Handling of SIGTERM from `kill`, `timeout` or a scheduler: work stops at once and can resume from a checkpoint."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ANNOUNCEMENTS = (signal.SIGTERM, signal.SIGUSR2)  # by which Slurm announces that it will end a task, see `slurm_task`


class Terminated(SystemExit):
    """SIGTERM arrived. If not caught, the process exits with the code that shells use for this signal."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def passed_on(to: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Pass signals that would stop this process to `to` inside the block, and stop at its end.

    For a process that waits for another one, which should stop first. SIGHUP, sent when a terminal closes, is passed on
    as SIGTERM. Ignored signals stay ignored.

    Raises:
        KeyboardInterrupt: SIGINT arrived; raised at the end of the block.
        Terminated: SIGTERM or SIGHUP arrived; raised at the end of the block.
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
    """Raise Terminated when SIGTERM arrives inside the block, unless another handler is already set.

    Lightning's own handler would let the process exit with code 0, but calls the handler that was set before it.
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
    """Let SIGTERM kill this process at once, even while Lightning's own handler is set."""
    signal.signal(signal.SIGTERM, _die)


def _raise(signum: int, frame: FrameType | None) -> None:
    raise Terminated


def _die(signum: int, frame: FrameType | None) -> None:
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)

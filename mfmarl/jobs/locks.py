"""One call at a time in a folder: others see who works there. The lock of a process that is gone binds nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mfmarl.files import host, write_text

LOCK, HOLDER = ".lock", ".holder"


class HeldError(ValueError):
    """Another process works in the folder. The message says which."""


@contextmanager
def locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes out of `directory` meanwhile.

    Args:
        directory: the folder, which is made if need be. The file .lock stays there: to remove it would be a race.
        wait: until whoever holds it is done.

    Raises:
        HeldError: another process holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise HeldError(f"{directory.name} is being worked on by {holder(directory)}") from error
    try:
        write_text(f"process {os.getpid()} on {host()}", directory / HOLDER)
        yield
    finally:
        (directory / HOLDER).unlink(missing_ok=True)
        lock.release()


def holder(directory: Path) -> str:
    """Which process holds the lock of `directory`, as far as it has said so."""
    try:
        return (directory / HOLDER).read_text(encoding="utf-8")
    except OSError:
        return "another process"

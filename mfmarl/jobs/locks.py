"""Locks that let only one process work in a folder, and show which. A lock ends with its process."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mfmarl.files import host, write_text
from mfmarl.jobs.console import say

WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EISDIR, errno.ELOOP)
LOCK, HOLDER = ".lock", ".holder"
SAID_SECONDS = 3.0  # of waiting until a message names the holder; writing a table takes less


class HeldError(ValueError):
    """Another process is working in the folder. The message says which."""


@contextmanager
def locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of `directory` inside the block.

    Args:
        directory: the folder, created if needed. The file .lock stays there, since removing it would be a race.
        wait: wait until the lock is free, with a message that names its holder if this takes long.

    Raises:
        HeldError: another process holds the lock, and `wait` is False.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=SAID_SECONDS if wait else 0)
    except Timeout as error:
        held = f"{directory.name} is being worked on by {holder(directory)}"
        if not wait:
            raise HeldError(held) from error
        say(f"{held}; waiting for it", sys.stderr)
        lock.acquire()
    try:
        write_text(f"process {os.getpid()} on {host()}", directory / HOLDER)
        yield
    finally:
        (directory / HOLDER).unlink(missing_ok=True)
        lock.release()


def check_lockable(directory: Path) -> None:
    """Raise ValueError if the existing folder `directory` is on a file system without locks."""
    path = directory / LOCK
    try:
        with open(path, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # another process holds it
        return
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise ValueError(f"out: {path} cannot be locked: {error.strerror}; name another out") from error


def holder(directory: Path) -> str:
    """A description of the process that holds the lock of `directory`, if it has written one."""
    try:
        return (directory / HOLDER).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "another process"

"""One call at a time in a folder: others see who works there. The lock of a process that is gone binds nobody."""

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
SAID_SECONDS = 3.0  # of waiting, after which it is said for whom: a table is written sooner


class HeldError(ValueError):
    """Another process works in the folder. The message says which."""


@contextmanager
def locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes out of `directory` meanwhile.

    Args:
        directory: the folder, which is made if need be. The file .lock stays there: to remove it would be a race.
        wait: until whoever holds it is done; who that is is said if it takes long.

    Raises:
        HeldError: another process holds it.
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
    """Raise ValueError, one line, if `directory`, which is there, lies on a file system without locks."""
    path = directory / LOCK
    try:
        with open(path, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # somebody holds it
        return
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise ValueError(f"out: {path} cannot be locked: {error.strerror}; name another --out") from error


def holder(directory: Path) -> str:
    """Which process holds the lock of `directory`, as far as it has said so."""
    try:
        return (directory / HOLDER).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "another process"

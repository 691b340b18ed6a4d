"""Calls a script's function and turns what ends it into one line and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

from mfmarl.jobs.console import open_streams, say
from mfmarl.jobs.launch import DryRun, JobsFailedError, ShareDone
from mfmarl.jobs.signals import Terminated, terminable

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a spent quota, a file too large
NO_WRITING = (errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE)  # other failures of disks while a script runs


def main(function: Callable[[], object]) -> int:
    """Call a script's `function` and return an exit code.

    The code is 0 on success, 1 if a job failed or a disk is full or gone, 2 for bad input, 130 after Ctrl-C, and 143
    after SIGTERM. Any ValueError counts as bad input and is printed as one line on stderr.
    """
    open_streams()
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see jobs/startup.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["MPLBACKEND"] = "agg"  # no window; a notebook's setting may need packages that are not installed
    try:
        with terminable():
            function()
    except DryRun as listed:
        say(str(listed))
    except ShareDone as done:
        say(str(done))
    except ValueError as error:
        say(f"error: {' '.join(str(error).split())}", sys.stderr)
        return 2
    except JobsFailedError as error:
        say(f"error: {error}", sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (*NO_ROOM, *NO_WRITING):
            raise
        where = f" ({error.filename})" if error.filename else ""
        remedy = "with room again" if error.errno in NO_ROOM else "once that is mended"
        say(f"error: {error.strerror}{where}; {remedy} {same_command()} goes on from here", sys.stderr)
        return 1
    except (KeyboardInterrupt, Terminated) as stopped:
        say(f"\nstopped; {same_command()} goes on from here", sys.stderr)
        return 143 if isinstance(stopped, Terminated) else 130
    return 0


def same_command() -> str:
    """What a user should run to go on: the same command, but without --fresh, which would start over."""
    return "the same command without --fresh" if "--fresh" in sys.argv else "the same command"

"""Imported first by a script: while everything else is imported, Ctrl-C ends it at once, without a traceback.

`mfmarl.scripting.options.main` takes over from here. Where SIGINT is ignored, as in the background, it stays so.

A script that another one runs ends with it, even if that one was killed: its stdin is a pipe that the other holds open,
and when the pipe closes it gets SIGTERM, of which it saves what it can.

Without room for temporary files some of what is imported later would end in a traceback.
"""

import os
import signal
import sys
import threading

ENDS_WITH_STDIN = "MFMARL_ENDS_WITH_STDIN"  # environment variable that says so


def end_with_stdin() -> None:
    """SIGTERM to this process once its stdin is closed."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.environ.pop(ENDS_WITH_STDIN, ""):
    threading.Thread(target=end_with_stdin, daemon=True).start()
import tempfile  # noqa: E402 - Ctrl-C may arrive

try:
    tempfile.gettempdir()
except FileNotFoundError as full:
    sys.exit(f"error: {full.strerror}; with room again the same command goes on from here")

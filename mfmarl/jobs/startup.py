"""Signal handling that scripts import first: Ctrl-C during the other imports ends them at once, without a traceback.

`mfmarl.scripting.main.main` takes over from here. If SIGINT is ignored, as in the background, it stays ignored.

A script that is run by another one ends with it, even if the other is killed: the other holds its stdin open as a pipe,
and when the pipe closes the script gets SIGTERM, upon which it saves what it can.

A full disk is reported here, since without room for temporary files a later import would end in a traceback.
"""

import os
import signal
import sys
import threading

ENDS_WITH_STDIN = "MFMARL_ENDS_WITH_STDIN"  # environment variable set for such a script


def end_with_stdin() -> None:
    """Send SIGTERM to this process once its stdin is closed."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.environ.pop(ENDS_WITH_STDIN, ""):
    threading.Thread(target=end_with_stdin, daemon=True).start()
import tempfile  # noqa: E402 - Ctrl-C may arrive during the import

try:
    tempfile.gettempdir()
except FileNotFoundError as full:
    sys.exit(f"error: {full.strerror}; with room again the same command goes on from here")

"""What is told to a terminal, a pipe or a file; when nobody listens any more, the work goes on."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line to `stream` (default: stdout), or nothing once that cannot be written to.

    A pipe breaks when its reader ends, as in `| head -1`, and a file's disk may be full. A letter that the stream
    does not know, as under LC_ALL=C, is written as its number.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())  # else the interpreter tries once more at its end, and fails
        os.close(nothing)


def open_streams() -> None:
    """Open what was closed of stdin, stdout and stderr, as by `2>&-`: the next file opened would take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))

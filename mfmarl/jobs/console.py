"""Output to a terminal, pipe or file, which may close without stopping the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line to `stream` (default: stdout), or drop it if the stream can no longer be written to.

    A pipe breaks when its reader ends, as in `| head -1`, and a disk may be full. A character that the stream cannot
    encode, e.g. under LC_ALL=C, is written as a backslash escape.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())  # else the interpreter writes again when it exits, and fails
        os.close(nothing)


def counted(number: int, noun: str) -> str:
    """The number with its noun in the right form, e.g. "1 job" and "2 jobs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Format rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def open_streams() -> None:
    """Open the null device for each of stdin, stdout and stderr that is closed, as by `2>&-`.

    Otherwise the next file opened would take its place.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))

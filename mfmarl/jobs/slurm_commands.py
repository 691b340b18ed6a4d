"""Slurm's commands: how they are asked, and what they answer."""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

# States of a task that has ended.
ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
)
# Prefixes of variables that set a user's defaults for Slurm's commands, e.g. which jobs are shown.
HABITS = ("SQUEUE_", "SACCT_", "SCANCEL_")


class SilentError(ValueError):
    """A command of Slurm fails or does not answer."""


class Seen(NamedTuple):
    """A task as `squeue` shows it."""

    task: str
    state: str
    reason: str


def look(arrays: set[str]) -> dict[tuple[str, int], Seen]:
    """The tasks of the given arrays that Slurm still knows, by array and index.

    Raises:
        SilentError: squeue fails.
    """
    how = ("--all", "--noheader", "--array", "--states=all", "--format=%j|%i|%T|%r")
    seen = {}
    for line in ask("squeue", *how, f"--name={','.join(sorted(arrays))}").splitlines():
        array, *shown = line.split("|", 3)
        if array in arrays:  # a line of the site's own may stand among them
            task, state, reason = shown
            seen[array, int(task.partition("_")[2] or 0)] = Seen(task, state, reason)
    return seen


def configuration() -> dict[str, str]:
    """The configuration of the cluster, name to value, as `scontrol show config` prints it.

    Raises:
        SilentError: Slurm does not answer.
    """
    lines = ask("scontrol", "show", "config").splitlines()
    return {name.strip(): value.strip() for name, equals, value in (line.partition("=") for line in lines) if equals}


def ask(*command: str) -> str:
    """Run one of Slurm's commands and return its output.

    Raises:
        SilentError: the command fails.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(HABITS)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SilentError(f"launcher: {command[0]} failed: {error}") from error
    if done.returncode:
        raise SilentError(f"launcher: {command[0]} failed: {last_line(done.stderr)}")
    return done.stdout


def last_line(text: str) -> str:
    """The last line that is not blank."""
    return "".join(last_lines(text, 1))


def last_lines(text: str, count: int) -> list[str]:
    """The last `count` lines that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()][-count:]

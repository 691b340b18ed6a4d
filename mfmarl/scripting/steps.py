"""Scripts one after the other, each a process of its own: what runs, how far all of it is, what became of each.

A script that fails stops no other. What stops this process is handed on to the script that runs, which saves what it
can; the same call then goes on from there, since each script does.
"""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import ClassVar, NamedTuple

from tqdm import tqdm

from mfmarl.jobs.console import say
from mfmarl.jobs.launch import JobsFailedError
from mfmarl.jobs.locks import locked
from mfmarl.jobs.progress import Progress, share_done
from mfmarl.jobs.signals import passed_on
from mfmarl.jobs.startup import ENDS_WITH_STDIN

LOOK_SECONDS = 0.5  # between looks at what a script says


class Step(NamedTuple):
    """A script with its options."""

    script: Path
    words: tuple[str, ...]
    makes: str  #: in words.
    where: Path  #: that its results go to.
    work: int = 100  #: that it is expected to be, e.g. in seconds of a CPU; only ratios count.
    unit: str = ""

    @property
    def name(self) -> str:
        """The call as a command line."""
        return shlex.join(["python", shown(self.script), *self.words])


def module_of(script: Path) -> ModuleType:
    """A script of a checkout as a module of its folder, `reproduce.ising` say, though the checkout is not installed."""
    root = str(script.resolve().parents[1])
    if root not in sys.path:
        sys.path.append(root)
    return importlib.import_module(f"{script.parent.name}.{script.stem}")


class StepProgress(Progress):
    """Progress of all scripts: the share that is done, which script runs, the time that is gone and left."""

    line: ClassVar[str] = "{percentage:3.0f}%  {elapsed} gone, {remaining} left"
    bar_format: ClassVar[str | None] = "{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"

    def __init__(self, steps: Sequence[Step]) -> None:
        self.makes = ""
        super().__init__(steps, ())

    def begin(self, step: Step) -> None:
        """Show which step is next."""
        self.makes = f", now {step.script.stem}: {step.makes}"
        self.show()

    def heard(self, step: Step, line: str) -> None:
        """A line of a script: how far it is, or something else, which is told."""
        share = share_done(line)
        if share is None:
            self.say(f"{step.script.stem}: {line}")
        else:  # of a script that trains first and then lets armies fight, of the first part
            self.update(step, max(round(share * step.work), self.work.get(step.name, 0)))

    def end(self, step: Step) -> None:
        """All of a step is over, done or failed. One that said nothing of its progress was done by an earlier call."""
        if step.name not in self.work:
            self.initial += step.work
        self.work[step.name] = step.work
        self.finished += 1
        self.makes = ""

    def tick(self) -> None:
        """Let the clock of a bar go on."""
        if self.bar is not None:
            self.bar.refresh()

    def state(self) -> str:
        """How many scripts are over, and which runs."""
        return f"{self.finished} of {self.jobs} scripts{self.makes}"


def go_through(steps: Sequence[Step], out: Path, *, here: Callable[[Step], None] | None = None) -> None:
    """Do all steps, and print what ran, how long, and where it lies. Progress goes to stderr.

    Args:
        steps: in this order.
        out: directory of all results; what scripts say is kept in its folder jobs.
        here: does a step in this process; without it each script is a process.

    Raises:
        ValueError: another call does the same in `out`.
        JobsFailedError: some scripts failed; the others were done.
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM arrived.
    """
    rows: list[list[str]] = []
    failures: list[str] = []
    with locked(out / "jobs"), StepProgress(steps) as progress:
        for number, step in enumerate(steps, start=1):
            progress.begin(step)
            began = time.monotonic()
            log = out / "jobs" / f"{number:02d}-{step.script.stem}.log"
            reason = in_its_own(step, log, progress) if here is None else in_this_one(step, log, progress, here)
            if reason:
                failures.append(f"{step.name}: {reason} (see {shown(log)})")
                progress.say(f"failed: {failures[-1]}")
            progress.end(step)
            spent = tqdm.format_interval(time.monotonic() - began)
            rows.append([spent, reason or "done", shown(step.where), step.name])
    say(aligned([["time", "ended", "lies in", "ran"], *rows]))
    if failures:
        parts = [f"{len(failures)} of {len(steps)} scripts failed; the others are done.", *failures]
        raise JobsFailedError("\n".join([*parts, "Run the same command again: what is done is not done again."]))


def shown(path: Path) -> str:
    """A path as a reader would write it: relative to the working directory if it lies there."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def in_its_own(step: Step, log: Path, progress: StepProgress) -> str:
    """Run a script as a process, and hand on to it what would stop this one; why it failed, or nothing.

    It is a session of its own: the Ctrl-C of a terminal reaches it once, through this process. If this one is killed,
    it ends too: see `mfmarl.jobs.startup`. What it says goes to `log`, a file, so that it never waits for a reader; its
    tables lie in files.

    Raises:
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM arrived, and the script has ended.
    """
    running: list[subprocess.Popen[bytes]] = []
    arrived: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        arrived.append(number)
        for each in running:
            each.send_signal(number)

    with passed_on(stop), log.open("wb") as written, log.open(encoding="utf-8", errors="replace") as said:
        command = [sys.executable, str(step.script), *step.words]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=written,
            start_new_session=True,
            env={**os.environ, ENDS_WITH_STDIN: "1"},
        ) as child:
            running.append(child)
            for number in arrived:  # while it began
                child.send_signal(number)
            begun, code = "", None
            while code is None:
                time.sleep(LOOK_SECONDS)
                code = child.poll()  # before the last look
                *lines, begun = (begun + said.read()).split("\n")
                for line in [*lines, begun] if code is not None else lines:
                    if line.strip() and not arrived:
                        progress.heard(step, line.rstrip())
                progress.tick()
    return "" if code == 0 else f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def in_this_one(step: Step, log: Path, progress: StepProgress, do: Callable[[Step], None]) -> str:
    """Do a step in this process; why it failed, or nothing. What went wrong goes to `log`."""
    log.unlink(missing_ok=True)
    progress.update(step, 0)
    try:
        do(step)
    except Exception as error:  # whatever it is, the other steps are done
        log.write_text(traceback.format_exc(), encoding="utf-8")
        return " ".join(str(error).split())
    return ""

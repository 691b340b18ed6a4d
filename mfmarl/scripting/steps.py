"""Scripts one after the other, each a process of its own: what runs, how far all of it is, what became of each.

A script that fails stops no other. Steps of different scripts may run side by side, where they wait for a cluster.
What stops this process is handed on to the scripts that run, which save what they can; the same call then goes on from
there, since each script does.
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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
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
    beside: bool = False  #: it may run beside steps of other scripts that may, too.

    @property
    def name(self) -> str:
        """The call as a command line."""
        return shlex.join(["python", shown(self.script), *self.words])


class Ended(NamedTuple):
    """What became of a step."""

    place: int  #: among the steps.
    reason: str  #: why it failed, or nothing.
    seconds: float  #: that it took.


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
        self.running: list[Step] = []
        super().__init__(steps, ())

    def begin(self, step: Step) -> None:
        """Show that it runs."""
        self.running.append(step)
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
        self.running.remove(step)

    def tick(self) -> None:
        """Let the clock of a bar go on."""
        if self.bar is not None:
            self.bar.refresh()

    def state(self) -> str:
        """How many scripts are over, and which run."""
        now = ", ".join(f"{step.script.stem}: {step.makes}" for step in self.running)
        return f"{self.finished} of {self.jobs} scripts{f', now {now}' if now else ''}"


def go_through(steps: Sequence[Step], out: Path, *, here: Callable[[Step], None] | None = None) -> None:
    """Do all steps, and print what ran, how long, and where it lies. Progress goes to stderr.

    Args:
        steps: in this order, but for those that may run side by side.
        out: directory of all results; what scripts say is kept in its folder jobs.
        here: does a step in this process; without it each script is a process.

    Raises:
        ValueError: another call does the same in `out`.
        JobsFailedError: some scripts failed; the others were done.
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM arrived.
    """
    rows: dict[int, list[str]] = {}
    failures: list[str] = []
    logs = [out / "jobs" / f"{number:02d}-{step.script.stem}.log" for number, step in enumerate(steps, start=1)]
    with locked(out / "jobs"), StepProgress(steps) as progress:
        ended = in_their_own(steps, logs, progress) if here is None else in_this_process(steps, logs, progress, here)
        for place, reason, seconds in ended:
            step = steps[place]
            if reason:
                failures.append(f"{step.name}: {reason} (see {shown(logs[place])})")
                progress.say(f"failed: {failures[-1]}")
            progress.end(step)
            rows[place] = [tqdm.format_interval(seconds), reason or "done", shown(step.where), step.name]
    say(aligned([["time", "ended", "lies in", "ran"], *(rows[place] for place in sorted(rows))]))
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


class Running:
    """A script that runs: its process, what it has said, and since when.

    It is a session of its own: the Ctrl-C of a terminal reaches it once, through this process. If this one is killed,
    it ends too: see `mfmarl.jobs.startup`. What it says goes to `log`, a file, so that it never waits for a reader; its
    tables lie in files.
    """

    def __init__(self, step: Step, log: Path, files: ExitStack) -> None:
        self.began = time.monotonic()
        written = files.enter_context(log.open("wb"))
        self.said = files.enter_context(log.open(encoding="utf-8", errors="replace"))
        self.child = files.enter_context(
            subprocess.Popen(
                [sys.executable, str(step.script), *step.words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=written,
                start_new_session=True,
                env={**os.environ, ENDS_WITH_STDIN: "1"},
            )
        )
        self.begun = ""  # a line whose end it has not said yet

    def look(self) -> tuple[list[str], int | None]:
        """The lines that it has said since the last look, and its exit code once it has ended."""
        code = self.child.poll()  # before the last lines are read
        *lines, self.begun = (self.begun + self.said.read()).split("\n")
        return (lines if code is None else [*lines, self.begun]), code


def in_their_own(steps: Sequence[Step], logs: Sequence[Path], progress: StepProgress) -> Iterator[Ended]:
    """Run each script as a process, and hand on to those that run what would stop this one.

    Raises:
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM arrived, and the scripts have ended.
    """
    waiting = list(range(len(steps)))
    running: dict[int, Running] = {}
    arrived: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        arrived.append(number)
        for each in running.values():
            each.child.send_signal(number)

    with passed_on(stop), ExitStack() as files:
        while running or (waiting and not arrived):
            for place in [each for each in waiting if may_begin(steps, each, {*waiting, *running})]:
                if not arrived:
                    waiting.remove(place)
                    progress.begin(steps[place])
                    running[place] = Running(steps[place], logs[place], files)
                    for number in arrived:  # while it began
                        running[place].child.send_signal(number)
            time.sleep(LOOK_SECONDS)
            for place, script in list(running.items()):
                lines, code = script.look()
                for line in lines:
                    if line.strip() and not arrived:
                        progress.heard(steps[place], line.rstrip())
                if code is not None:
                    del running[place]
                    reason = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                    yield Ended(place, reason if code else "", time.monotonic() - script.began)
            progress.tick()


def may_begin(steps: Sequence[Step], place: int, unfinished: Collection[int]) -> bool:
    """Whether a step waits for none before it: only for those of its own script if both may run beside others."""
    step = steps[place]
    before = (steps[each] for each in unfinished if each < place)
    return all(each.beside and step.beside and each.script != step.script for each in before)


def in_this_process(
    steps: Sequence[Step], logs: Sequence[Path], progress: StepProgress, do: Callable[[Step], None]
) -> Iterator[Ended]:
    """Do each step in this process. What went wrong goes to its log."""
    for place, (step, log) in enumerate(zip(steps, logs, strict=True)):
        progress.begin(step)
        began, reason = time.monotonic(), ""
        log.unlink(missing_ok=True)
        progress.update(step, 0)
        try:
            do(step)
        except Exception as error:  # whatever it is, the other steps are done
            log.write_text(traceback.format_exc(), encoding="utf-8")
            reason = " ".join(str(error).split())
        yield Ended(place, reason, time.monotonic() - began)

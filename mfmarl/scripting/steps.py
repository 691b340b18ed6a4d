"""Run scripts one after the other, each in its own process, with overall progress and a summary.

A script that fails does not stop the others. Steps of different scripts may run side by side if they only wait for a
cluster. A signal that stops this process is passed on to the running scripts, which save what they can; the same call
then resumes, as each script does.
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

from mfmarl.jobs.console import aligned, say
from mfmarl.jobs.launch import JobsFailedError
from mfmarl.jobs.locks import locked
from mfmarl.jobs.progress import Progress, share_done
from mfmarl.jobs.signals import passed_on
from mfmarl.jobs.startup import ENDS_WITH_STDIN
from mfmarl.scripting.main import same_command

LOOK_SECONDS = 0.5  # between two looks at a script's output


class Step(NamedTuple):
    """A script with its options."""

    script: Path
    words: tuple[str, ...]
    makes: str  #: description of the result.
    where: Path  #: folder of the results.
    work: int = 100  #: expected amount of work, e.g. in CPU seconds; only ratios matter.
    unit: str = ""
    beside: bool = False  #: whether it may run side by side with steps of other scripts for which this is set.

    @property
    def name(self) -> str:
        """The call as a command line."""
        return shlex.join(["python", shown(self.script), *self.words])


class Ended(NamedTuple):
    """The outcome of a step."""

    place: int  #: index of the step.
    reason: str  #: reason of its failure; empty on success.
    seconds: float  #: its duration.


def module_of(script: Path) -> ModuleType:
    """Import a script as a module of its folder, e.g. `reproduce.ising`, even if the checkout is not installed."""
    root = str(script.resolve().parents[1])
    if root not in sys.path:
        sys.path.append(root)
    return importlib.import_module(f"{script.parent.name}.{script.stem}")


class StepProgress(Progress):
    """Progress of all scripts: fraction done, running scripts, elapsed and remaining time."""

    line: ClassVar[str] = "{percentage:3.0f}%  {elapsed} gone, {remaining} left"
    bar_format: ClassVar[str | None] = "{percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"

    def __init__(self, steps: Sequence[Step]) -> None:
        self.running: list[Step] = []
        super().__init__(steps, ())

    def begin(self, step: Step) -> None:
        """Show that a step is running."""
        self.running.append(step)
        self.show()

    def heard(self, step: Step, line: str) -> None:
        """Process a line of a script's output: update the progress, or print any other line."""
        share = share_done(line)
        if share is None:
            self.say(f"{step.script.stem}: {line}")
        else:  # never goes back when a second part begins, e.g. fights after training
            self.update(step, max(round(share * step.work), self.work.get(step.name, 0)))

    def end(self, step: Step) -> None:
        """Note that a step is over, done or failed. Without any report, its work counts as done by an earlier call."""
        if step.name not in self.work:
            self.initial += step.work
        self.work[step.name] = step.work
        self.finished += 1
        self.running.remove(step)

    def tick(self) -> None:
        """Update the clock of the bar."""
        if self.bar is not None:
            self.bar.refresh()

    def state(self) -> str:
        """Text that says how many scripts are over and which are running."""
        now = ", ".join(f"{step.script.stem}: {step.makes}" for step in self.running)
        return f"{self.finished} of {self.jobs} scripts{f', now {now}' if now else ''}"


def go_through(steps: Sequence[Step], out: Path, *, here: Callable[[Step], None] | None = None) -> None:
    """Run all steps, and print which ran, for how long, and where their results are. Progress is shown on stderr.

    Args:
        steps: the steps, run in this order except for those that may run side by side.
        out: directory of all results; the output of scripts is kept in `out`/jobs.
        here: function that runs a step in this process. None: each script runs in its own process.

    Raises:
        ValueError: another call is running in `out`.
        JobsFailedError: some scripts failed; the others are done.
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
        raise JobsFailedError("\n".join([*parts, f"Run {same_command()} again: what is done is not done again."]))


def shown(path: Path) -> str:
    """A path for people to read: relative to the working directory if it is inside, else absolute."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)


class Running:
    """A running script: its process, output and starting time.

    The process has its own session, so that Ctrl-C on a terminal reaches it only once, through this process. It ends if
    this process is killed, see `mfmarl.jobs.startup`. Its stderr goes to the file `log`, so that it never waits for a
    reader; its stdout is dropped, since its tables are in files.
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
        self.begun = ""  # an unfinished line

    def look(self) -> tuple[list[str], int | None]:
        """The lines of output since the last look, and the exit code, or None while the script is running."""
        code = self.child.poll()  # must come before reading the last lines
        *lines, self.begun = (self.begun + self.said.read()).split("\n")
        return (lines if code is None else [*lines, self.begun]), code


def in_their_own(steps: Sequence[Step], logs: Sequence[Path], progress: StepProgress) -> Iterator[Ended]:
    """Run each script in its own process, and pass signals that would stop this process on to them.

    Raises:
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM arrived; raised after the scripts have ended.
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
                    for number in arrived:  # that arrived while it started
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
    """Whether a step need not wait for an unfinished earlier step.

    It waits for all of them, except those of other scripts if both steps may run side by side.
    """
    step = steps[place]
    before = (steps[each] for each in unfinished if each < place)
    return all(each.beside and step.beside and each.script != step.script for each in before)


def in_this_process(
    steps: Sequence[Step], logs: Sequence[Path], progress: StepProgress, do: Callable[[Step], None]
) -> Iterator[Ended]:
    """Run each step in this process. The traceback of a failure goes to the step's log."""
    for place, (step, log) in enumerate(zip(steps, logs, strict=True)):
        progress.begin(step)
        began, reason = time.monotonic(), ""
        log.unlink(missing_ok=True)
        progress.update(step, 0)
        try:
            do(step)
        except Exception as error:  # the other steps still run
            log.write_text(traceback.format_exc(), encoding="utf-8")
            reason = " ".join(str(error).split())
        yield Ended(place, reason, time.monotonic() - began)

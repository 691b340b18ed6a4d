"""Progress of all jobs together: a bar on a terminal, otherwise occasional lines, which `share_done` can parse."""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import ClassVar, NoReturn, Protocol, TypeVar

from tqdm import tqdm

from mfmarl.jobs.console import say

LINE_SECONDS = 10.0
SCALED = 1000  # amount of work from which counts are shown as 1.2k or 3.4M
PATIENCE_SECONDS = 2.0  # with `patient`, shorter work shows no bar
AnyProgress = TypeVar("AnyProgress", bound="Progress")


class Counted(Protocol):
    """Something to be done, e.g. a job."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def work(self) -> int:
        """Total amount of work."""

    @property
    def unit(self) -> str:
        """Unit of `work`."""


class Progress:
    """Shows the progress of jobs on stderr.

    Work of earlier calls counts in the bar but not in the rate, so that the time left is right for this call.

    Args:
        jobs: all jobs; work is counted in the unit of the first.
        done: names of jobs that earlier calls finished.
        patient: show a bar only after 2 seconds, also in a notebook, and remove it at the end; write lines only if
            the work takes long.
    """

    line: ClassVar[str] = "{percentage:3.0f}%  {n_fmt} of {total_fmt}{unit}  {rate_fmt}  {remaining} left"
    bar_format: ClassVar[str | None] = None  #: tqdm's own

    def __init__(self, jobs: Sequence[Counted], done: Collection[str], *, patient: bool = False) -> None:
        # Work done so far of each job that has started.
        self.work = {job.name: job.work for job in jobs if job.name in done}
        self.total = sum(job.work for job in jobs)
        self.jobs = len(jobs)
        self.unit = next((job.unit for job in jobs if job.name not in done), "")
        self.finished = len(self.work)
        self.initial = sum(self.work.values())
        self.started = time.monotonic()
        self.patient = patient
        self.last_line = self.started if patient else -math.inf  # else the first report prints a line
        self.stream = sys.stderr
        self.bar: tqdm[NoReturn] | None = None
        in_notebook = type(self.stream).__module__.startswith("ipykernel.")
        if self.stream.isatty() or (patient and in_notebook):
            self.bar = tqdm(
                total=self.total,
                initial=self.initial,
                unit=f" {self.unit}",
                unit_scale=self.total >= SCALED,
                bar_format=self.bar_format,
                file=self.stream,
                delay=PATIENCE_SECONDS if patient else 0,
                leave=not patient,
            )
        if not patient:
            self.show()

    def __enter__(self: AnyProgress) -> AnyProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if not self.patient or self.last_line > self.started:
            self.show()
        if self.bar is not None:
            self.bar.close()

    def update(self, job: Counted, work: int) -> None:
        """Note that `work` of `job` is done in total; its first report counts as work of earlier calls."""
        if job.name not in self.work:
            self.initial += work
        self.work[job.name] = work
        if self.bar is not None or (work and time.monotonic() - self.last_line >= LINE_SECONDS):
            self.last_line = time.monotonic()
            self.show()

    def finish(self, job: Counted) -> None:
        """Note that `job` is over, either done or failed."""
        self.finished += 1
        self.update(job, self.work.get(job.name, 0))

    def say(self, text: str) -> None:
        """Print a message above the bar."""
        if self.bar is not None:
            self.bar.write(text, file=self.stream)
        else:
            say(text, self.stream)

    def state(self) -> str:
        """Text that says how many jobs are over."""
        return f"{self.finished} of {self.jobs} jobs"

    def show(self) -> None:
        """Update the bar, or print a line."""
        done = sum(self.work.values())
        if self.bar is not None:
            self.bar.initial = self.initial
            self.bar.set_postfix_str(self.state(), refresh=False)
            self.bar.update(done - self.bar.n)
            return
        line = tqdm.format_meter(
            done,
            self.total,
            time.monotonic() - self.started,
            initial=self.initial,
            unit=f" {self.unit}",
            unit_scale=self.total >= SCALED,
            bar_format=self.line,
        )
        say(f"{line}  {self.state()}", self.stream)


def share_done(line: str) -> float | None:
    """Fraction of the work that is done, in [0, 1], according to a line of `Progress`; None for any other line."""
    found = re.fullmatch(r" *(\d+)%  .* left  \d+ of \d+ jobs\s*", line)
    return int(found[1]) / 100 if found else None

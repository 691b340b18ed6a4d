"""Jobs in this process, or on processes of their own.

The processes are forked from a server that imports Lightning once, for that takes seconds. It runs nothing
else, so that no thread or GPU is in use when it forks.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from mfmarl.jobs.execution import Hardware, LoggerName
from mfmarl.jobs.folder import folder, found
from mfmarl.jobs.folder import run as run_job
from mfmarl.jobs.job import Job
from mfmarl.jobs.progress import Progress

PRELOADED = "mfmarl.jobs.training"  # Lightning with it; the server of workers ignores one that it cannot import


@dataclass(frozen=True)
class Place:
    """Where and how jobs run: what a worker must know besides the job. See `folder.run`."""

    out: Path
    hardware: Hardware
    checkpoint_seconds: float
    logger: LoggerName

    def folder(self, job: Job) -> Path:
        """The folder of `job`."""
        return folder(job, self.out, self.hardware.precision)

    def found(self, job: Job) -> str:
        """What an earlier call left of `job`, see `folder.found`."""
        return found(job, self.folder(job), self.hardware)

    def run(self, job: Job, progress: Callable[[int], None]) -> None:
        """Do `job`, see `folder.run`."""
        run_job(
            job,
            self.folder(job),
            self.hardware,
            progress,
            checkpoint_seconds=self.checkpoint_seconds,
            logger=self.logger,
        )


def run_here(jobs: Sequence[Job], progress: Progress, place: Place, *, reraise: bool = False) -> dict[str, str]:
    """Do one job after the other in this process; return why jobs failed, by name, or raise the first exception."""
    failures = {}
    for job in jobs:
        try:
            place.run(job, partial(progress.update, job))
        except Exception as error:
            if reraise:
                raise
            failures[job.name] = f"{type(error).__name__}: {error}"
        progress.finish(job)
    return failures


@contextmanager
def started(places: Sequence[Place], *, need_main: bool = True) -> Iterator[list[Worker]]:
    """A worker for each place; those in the list at the end are ended."""
    workers = [Worker(place, need_main=need_main) for place in places]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()  # at any moment: the files of a job are whole
            worker.process.join()


def run(jobs: Sequence[Job], progress: Progress, places: Sequence[Place]) -> dict[str, str]:
    """Do jobs, the first first, on a worker for each place; return why jobs failed, by name."""
    need_main = any(needs_main(job) for job in jobs)
    with started(places[: len(jobs)], need_main=need_main) as workers:
        return share_out(jobs, workers, progress)


def share_out(jobs: Sequence[Job], workers: list[Worker], progress: Progress) -> dict[str, str]:
    """Send jobs to workers, the next one to whoever is free; return why jobs failed, by name.

    A worker that was killed costs the job it was doing, and is replaced in the list.
    """
    waiting = deque(jobs)
    failures = {}
    busy: dict[Any, Worker] = {}
    for worker in workers:
        worker.start(waiting.popleft())
        busy[worker.connection] = worker
    while busy:
        for connection in wait(list(busy)):
            worker = busy[connection]
            job, message = worker.receive()
            if isinstance(message, int):
                progress.update(job, message)
                continue
            if message is not None:
                failures[job.name] = message
            progress.finish(job)
            del busy[connection]
            if not waiting:
                continue
            if worker.process.exitcode is not None:
                workers[workers.index(worker)] = worker = Worker(worker.place, need_main=worker.need_main)
            worker.start(waiting.popleft())
            busy[worker.connection] = worker
    return failures


class Worker:
    """A process that does the jobs it is sent, and ends when this process does.

    Each has a pipe of its own: a queue that all share could be left locked by a worker that is killed.

    Args:
        place: where and how it does them.
        need_main: whether it must import the script first, see `needs_main`.
    """

    def __init__(self, place: Place, *, need_main: bool = True) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([PRELOADED])
        self.place, self.need_main = place, need_main
        self.job: Job | None = None
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=serve, args=(other_end, place), daemon=True)
        # Ctrl-C on a terminal reaches workers too. They are not to see it: this process ends them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with nullcontext() if need_main else main_hidden():
                self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other_end.close()  # the worker alone holds it now, so its death ends our reading

    def start(self, job: Job) -> None:
        """Send it a job."""
        self.job = job
        with suppress(BrokenPipeError):  # `receive` notices a dead worker, and how it ended
            self.connection.send(job)

    def receive(self) -> tuple[Job, int | str | None]:
        """The job, with the work done so far, or None when it is done, or why it failed."""
        assert self.job is not None
        try:
            return self.job, self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            guard = 'it imports this script, whose work must stand under `if __name__ == "__main__":`'
            return self.job, f"its worker ended with exit code {code}" + (f": {guard}" if self.need_main else "")
        hint = ", often for a lack of memory" if -code == signal.SIGKILL else ""
        return self.job, f"its worker was killed by {signal.Signals(-code).name}{hint}"


def needs_main(job: Job) -> bool:
    """Whether a process that is sent the job must have imported the script: it holds something defined there."""
    return b"__main__" in pickle.dumps(job)


@contextmanager
def main_hidden() -> Iterator[None]:
    """Let processes that are started meanwhile not import the script, which then needs no guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def serve(connection: Connection[Any, Any], place: Place) -> None:
    """A worker's main loop: do the jobs that arrive on the connection, and answer with progress and outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        job: Job = connection.recv()
        try:
            place.run(job, connection.send)
        except ValueError as error:
            connection.send(str(error))
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
        else:
            connection.send(None)


def end_with_parent() -> None:
    """End this process as soon as the one that spawned it is gone, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

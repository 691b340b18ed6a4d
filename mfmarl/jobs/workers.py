"""Run jobs in this process, or on worker processes.

Workers are forked from a server that imports Lightning once, since the import takes seconds. The server runs nothing
else, so that no thread or GPU is in use when it forks.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from mfmarl.custom import staying_here
from mfmarl.jobs.execution import Hardware, LoggerName
from mfmarl.jobs.folder import folder, found
from mfmarl.jobs.folder import run as run_job
from mfmarl.jobs.job import Job
from mfmarl.jobs.locks import HeldError
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.signals import ANNOUNCEMENTS, Terminated, die_of_sigterm

LONGEST_TEMPORARY = 70  # bytes: a socket's path may have 107, of which multiprocessing adds 33
HELD_SECONDS = 1.0  # between two looks at a job that another call is running
PRELOADED = "mfmarl.jobs.training"  # imports Lightning; the workers' server ignores a module that it cannot import


@dataclass(frozen=True)
class Place:
    """Where and how a worker runs jobs, see `folder.run`."""

    out: Path
    hardware: Hardware
    checkpoint_seconds: float
    logger: LoggerName
    on_slurm: bool  #: whether workers block Slurm's announcements, see `slurm_task`.

    def folder(self, job: Job) -> Path:
        """The folder of `job`."""
        return folder(job, self.out, self.hardware.precision)

    def found(self, job: Job) -> str:
        """Determine what an earlier call left of `job`, see `folder.found`."""
        return found(job, self.folder(job), self.hardware)

    def run(self, job: Job, progress: Callable[[int], None]) -> None:
        """Run `job`, see `folder.run`."""
        run_job(
            job,
            self.folder(job),
            self.hardware,
            progress,
            checkpoint_seconds=self.checkpoint_seconds,
            logger=self.logger,
        )


def run_here(jobs: Sequence[Job], progress: Progress, place: Place, *, reraise: bool) -> dict[str, str]:
    """Run jobs one after the other in this process.

    Returns:
        The reasons of failures by job name. With `reraise` the first exception is raised instead.
    """
    failures = {}
    waiting = Waiting(jobs, progress)
    while waiting:
        job = waiting.next()
        try:
            place.run(job, partial(progress.update, job))
        except (Terminated, KeyboardInterrupt):
            raise
        except HeldError as held:
            waiting.put_back(job, held)
            continue
        except BaseException as error:
            if reraise and isinstance(error, Exception):
                raise
            failures[job.name] = reason(error)
        progress.finish(job)
    return failures


class Waiting:
    """Queue of jobs, first in first out. Jobs that another call is running are put back at the end and tried again."""

    def __init__(self, jobs: Sequence[Job], progress: Progress) -> None:
        self.jobs = deque(jobs)
        self.progress = progress
        self.held: set[str] = set()  # jobs reported as held by other calls

    def __bool__(self) -> bool:
        return bool(self.jobs)

    def next(self) -> Job:
        """Return the next job, after a pause if it was held when last tried."""
        job = self.jobs.popleft()
        if job.name in self.held:
            time.sleep(HELD_SECONDS)
        return job

    def put_back(self, job: Job, held: HeldError) -> None:
        """Put a held job back at the end of the queue."""
        self.jobs.append(job)
        if job.name not in self.held:
            self.progress.say(f"{held}; waiting for it after the other jobs")
        self.held.add(job.name)


def reason(error: BaseException) -> str:
    """The reason of a failure as text: the message of a ValueError, otherwise type and message."""
    try:
        return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


@contextmanager
def started(places: Sequence[Place], *, need_main: bool) -> Iterator[list[Worker]]:
    """Start a worker for each place, yield them, and kill those that are in the list at the end."""
    workers: list[Worker] = []
    try:
        for place in places:
            workers.append(Worker(place, need_main=need_main))
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()  # safe at any moment: files of jobs are written atomically
            worker.process.join()


def check_temporary_folder() -> None:
    """Raise ValueError if the path of the folder of temporary files is too long for the workers' socket."""
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > LONGEST_TEMPORARY:
        raise ValueError(
            f"TMPDIR: got {folder}, allowed are {LONGEST_TEMPORARY} letters, since workers have a socket there; "
            "set another, or use one worker"
        )


def run(jobs: Sequence[Job], progress: Progress, places: Sequence[Place]) -> dict[str, str]:
    """Run jobs in order on one worker per place; return the reasons of failures by job name."""
    need_main = any(needs_main(job) for job in jobs)
    with started(places[: len(jobs)], need_main=need_main) as workers:
        return share_out(jobs, workers, progress)


def share_out(jobs: Sequence[Job], workers: list[Worker], progress: Progress) -> dict[str, str]:
    """Send each job to the next free worker; return the reasons of failures by job name.

    If a worker is killed, its current job fails and another worker replaces it in the list.
    """
    waiting = Waiting(jobs, progress)
    failures = {}
    busy: dict[Any, Worker] = {}
    for worker in workers:
        worker.start(waiting.next())
        busy[worker.connection] = worker
    while busy:
        for connection in wait(list(busy)):
            worker = busy[connection]
            job, message = worker.receive()
            if isinstance(message, int):
                progress.update(job, message)
                continue
            if isinstance(message, HeldError):
                waiting.put_back(job, message)
            else:
                if message is not None:
                    failures[job.name] = message
                progress.finish(job)
            del busy[connection]
            if not waiting:
                continue
            if worker.process.exitcode is not None:
                workers[workers.index(worker)] = worker = Worker(worker.place, need_main=worker.need_main)
            worker.start(waiting.next())
            busy[worker.connection] = worker
    return failures


class Worker:
    """A process that runs the jobs sent to it, and ends when this process ends.

    Each worker has its own pipe, since a worker that is killed could leave a shared queue locked.

    Args:
        place: where and how it runs jobs.
        need_main: whether it must import the script first, see `needs_main`.
    """

    def __init__(self, place: Place, *, need_main: bool) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([PRELOADED])
        self.place, self.need_main = place, need_main
        self.job: Job | None = None
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=serve, args=(other_end, place), daemon=True)
        start_servers()  # starting the resource tracker further down would unblock signals
        # Ctrl-C on a terminal reaches workers too. They block it, since this process ends them.
        unheard = {signal.SIGINT, *(ANNOUNCEMENTS if place.on_slurm else ())}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
        try:
            with nullcontext() if need_main else main_hidden():
                self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        other_end.close()  # now only the worker holds it, so `recv` ends if the worker dies

    def start(self, job: Job) -> None:
        """Send a job to the worker."""
        self.job = job
        with suppress(BrokenPipeError):  # `receive` notices a dead worker, and how it ended
            self.connection.send(job)

    def receive(self) -> tuple[Job, int | str | HeldError | None]:
        """Wait for the next message.

        Returns:
            The job, and either the work done so far, None if it is done, the reason of its failure, or the HeldError
            because of which it could not start.
        """
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


def start_servers() -> None:
    """Start the server from which workers are forked, and multiprocessing's resource tracker, unless they are running.

    They start in the root folder, since Python looks for modules in the starting folder first, and might find another
    checkout there or a file named like a module. Workers get `sys.path` and working directory of this process.

    The server of the workers ignores SIGINT only once it has loaded Lightning; so it starts with the signal blocked.
    """
    with staying_here():
        os.chdir("/")
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def needs_main(job: Job) -> bool:
    """Whether a job contains something defined in the script, so that a worker must import the script first."""
    return b"__main__" in pickle.dumps(job)


@contextmanager
def main_hidden() -> Iterator[None]:
    """Keep processes started inside from importing the script, which then needs no `__main__` guard."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def serve(connection: Connection[Any, Any], place: Place) -> None:
    """A worker's main loop: run the jobs that arrive on the connection, and answer with progress and outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if place.on_slurm:  # the workers' server may have been started without
        signal.pthread_sigmask(signal.SIG_BLOCK, ANNOUNCEMENTS)
    die_of_sigterm()
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the other process has ended
        while True:
            job: Job = connection.recv()
            outcome: str | HeldError | None = None
            try:
                place.run(job, connection.send)
            except HeldError as held:
                outcome = held
            except BaseException as error:
                outcome = reason(error)
            connection.send(outcome)


def end_with_parent() -> None:
    """End this process as soon as its parent process has ended, for whatever reason."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

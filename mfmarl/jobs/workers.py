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

LONGEST_TEMPORARY = 70  # letters: a socket's path has 107 at most, of which multiprocessing adds 33
HELD_SECONDS = 1.0  # between looks at a job that another call is doing
PRELOADED = "mfmarl.jobs.training"  # Lightning with it; the server of workers ignores one that it cannot import


@dataclass(frozen=True)
class Place:
    """Where and how jobs run: what a worker must know besides the job. See `folder.run`."""

    out: Path
    hardware: Hardware
    checkpoint_seconds: float
    logger: LoggerName
    on_slurm: bool  #: whose announcements workers do not hear, see `slurm_task`.

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


def run_here(jobs: Sequence[Job], progress: Progress, place: Place, *, reraise: bool) -> dict[str, str]:
    """Do one job after the other in this process; return why jobs failed, by name, or raise the first exception."""
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
    """Jobs that wait to be done, the first first. Those that another call is doing come last, and are waited for."""

    def __init__(self, jobs: Sequence[Job], progress: Progress) -> None:
        self.jobs = deque(jobs)
        self.progress = progress
        self.held: set[str] = set()  # what was said to be held by others

    def __bool__(self) -> bool:
        return bool(self.jobs)

    def next(self) -> Job:
        """The next job; some time passes first if it was held when last tried."""
        job = self.jobs.popleft()
        if job.name in self.held:
            time.sleep(HELD_SECONDS)
        return job

    def put_back(self, job: Job, held: HeldError) -> None:
        """Try this job again later."""
        self.jobs.append(job)
        if job.name not in self.held:
            self.progress.say(f"{held}; waiting for it after the other jobs")
        self.held.add(job.name)


def reason(error: BaseException) -> str:
    """Why a job failed. A ValueError says all itself."""
    try:
        return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


@contextmanager
def started(places: Sequence[Place], *, need_main: bool) -> Iterator[list[Worker]]:
    """A worker for each place; those in the list at the end are ended."""
    workers: list[Worker] = []
    try:
        for place in places:
            workers.append(Worker(place, need_main=need_main))
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()  # at any moment: the files of a job are whole
            worker.process.join()


def check_temporary_folder() -> None:
    """Raise ValueError unless workers can have their socket in the folder of temporary files."""
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) > LONGEST_TEMPORARY:
        raise ValueError(
            f"TMPDIR: got {folder}, allowed are {LONGEST_TEMPORARY} letters, since workers have a socket there; "
            "set another, or use one worker"
        )


def run(jobs: Sequence[Job], progress: Progress, places: Sequence[Place]) -> dict[str, str]:
    """Do jobs, the first first, on a worker for each place; return why jobs failed, by name."""
    need_main = any(needs_main(job) for job in jobs)
    with started(places[: len(jobs)], need_main=need_main) as workers:
        return share_out(jobs, workers, progress)


def share_out(jobs: Sequence[Job], workers: list[Worker], progress: Progress) -> dict[str, str]:
    """Send jobs to workers, the next one to whoever is free; return why jobs failed, by name.

    A worker that was killed costs the job it was doing, and is replaced in the list.
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
    """A process that does the jobs it is sent, and ends when this process does.

    Each has a pipe of its own: a queue that all share could be left locked by a worker that is killed.

    Args:
        place: where and how it does them.
        need_main: whether it must import the script first, see `needs_main`.
    """

    def __init__(self, place: Place, *, need_main: bool) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([PRELOADED])
        self.place, self.need_main = place, need_main
        self.job: Job | None = None
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=serve, args=(other_end, place), daemon=True)
        start_servers()  # to start that of resources below would end the blocking
        # Ctrl-C on a terminal reaches workers too. They are not to see it: this process ends them.
        unheard = {signal.SIGINT, *(ANNOUNCEMENTS if place.on_slurm else ())}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, unheard)
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

    def receive(self) -> tuple[Job, int | str | HeldError | None]:
        """The job, with the work done so far, or None when it is done, or why it failed or could not begin."""
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
    """Start the server that workers are forked from, and the tracker of its resources, unless they run.

    They import what lies where they start before anything else: another checkout, or a file that is called as a
    module is. In the root folder lies nothing. A worker gets the path and the working directory of this process.
    """
    with staying_here():
        os.chdir("/")
        resource_tracker.ensure_running()
        forkserver.ensure_running()


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
    if place.on_slurm:  # as the server of workers may not have been told
        signal.pthread_sigmask(signal.SIG_BLOCK, ANNOUNCEMENTS)
    die_of_sigterm()
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the other process is gone
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
    """End this process as soon as the one that spawned it is gone, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

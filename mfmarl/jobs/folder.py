"""A job's folder: the job is done there, resumed where an earlier call stopped, and its rows lie there.

job.json          what the job is (fingerprint, precision) and, once it is done, the time it took
checkpoint.*      the whole state, replay and generators included; gone when done
rows.csv          the result; there only once the job is done
log.txt           what the job printed, warnings and tracebacks included
policy.safetensors  the trained army, of Battle; of seeds that were stacked each in seed-<seed>/
agent.safetensors  the trained agent of another game, if it was to be kept
metrics/          of Lightning's logger, if one was asked for
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Literal

import pandas as pd

from mfmarl.custom import staying_here
from mfmarl.files import atomic, digest, read_csv, remove_partial, told, write_csv, write_json
from mfmarl.jobs.checkpoint import EarlierVersionError
from mfmarl.jobs.computing import computing
from mfmarl.jobs.execution import TIMES, Attempt, Execution, Hardware, LoggerName
from mfmarl.jobs.job import Job
from mfmarl.jobs.locks import HOLDER, LOCK, locked

SAVED = ("policy.safetensors", "agent.safetensors")  # what agents leave, see Agent.file


class CorruptCheckpointError(ValueError):
    """A file that an earlier call left in a job's folder cannot be read."""


def folder(job: Job, out: Path, precision: str) -> Path:
    """The folder of `job` in `out`: with other settings or precision it is another one, and both are kept."""
    own = hashlib.sha256(f"{job.fingerprint} {precision}".encode()).hexdigest()
    return out / "jobs" / f"{job.name}-{own[:8]}"


def run(
    job: Job,
    directory: Path,
    hardware: Hardware | None = None,
    progress: Callable[[int], None] = lambda work: None,
    *,
    checkpoint_seconds: float = Execution.checkpoint_seconds,
    logger: LoggerName = "none",
) -> None:
    """Do `job`, or what is left of it, in its folder `directory`; `read_rows` reads what it gave.

    A run that is killed at any moment and called again gives the rows of an uninterrupted one, bit for bit on
    a CPU. Rows of this very job that lie in the folder are left as they are; those of another are removed.

    Args:
        job: what is to be done.
        directory: where.
        hardware: on what; None: one thread of the CPU.
        progress: is told the work done so far, earlier calls included.
        checkpoint_seconds: least time between two checkpoints.
        logger: of Lightning.

    Raises:
        ValueError: a precision in which the job is not done.
        CorruptCheckpointError: files of an earlier call cannot be read; they are left as they are.
        HeldError: another process does this job.
        Exception: what the job raised; its traceback is in the log.
    """
    hardware = hardware or Hardware()
    job.check_precision(hardware.precision)
    directory = directory.absolute()  # a custom method may go elsewhere
    with locked(directory):
        left = found(job, directory, hardware)
        if left == "rows":
            tidy(job, directory)
            progress(job.work)
            return
        if left == "nothing":
            clear(job, directory)
            progress(0)  # what a job reports first counts as done by earlier calls
        remove_partial(directory)
        finish(
            job,
            Attempt(
                directory,
                hardware,
                lambda done, total: progress(job.work * done // total),
                directory / job.checkpoint_name,
                left == "checkpoint",
                checkpoint_seconds,
                logger,
            ),
        )


def finish(job: Job, attempt: Attempt) -> None:
    """Do what is left of `job`, and write its rows."""
    directory, hardware = attempt.directory, attempt.hardware
    record = {"fingerprint": job.fingerprint, "precision": hardware.precision}
    write_json(record, directory / "job.json")
    with logged(directory / "log.txt"), computing(hardware), staying_here():
        frame = job.do(attempt)
        if job.rows is not None and len(frame) != job.rows:  # a method may have told its Trainer to stop, say
            raise RuntimeError(f"{job.name} ended early: it gave {len(frame)} rows of {job.rows}")
    rows = directory / "rows.csv"
    with atomic(rows) as draft:
        write_csv(frame, draft, keys=job.keys)
        write_json({**record, **attempt.times(), "rows": digest(draft)}, directory / "job.json")
    tidy(job, directory)


def check_place(directory: Path) -> None:
    """Raise ValueError, one line, if something else has the name of a job's folder, or of a file that is written there.

    Of those that are read `found` says more.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: {directory} is no folder: remove it, or name another --out")
    for path in (directory / name for name in (LOCK, HOLDER, "log.txt", *SAVED)):
        if path.exists() and not path.is_file():
            raise ValueError(f"out: {path} is no file: remove it, or name another --out")


def found(job: Job, directory: Path, hardware: Hardware) -> Literal["nothing", "checkpoint", "rows"]:
    """What an earlier call left of this very job in `directory`; touches nothing.

    Raises:
        CorruptCheckpointError: a file cannot be read; one line that says what to do.
    """
    try:
        return _found(job, directory, hardware)
    except FileNotFoundError:  # whoever does the job now has just finished it
        return _found(job, directory, hardware)


def _found(job: Job, directory: Path, hardware: Hardware) -> Literal["nothing", "checkpoint", "rows"]:
    record, rows, checkpoint = (directory / name for name in ("job.json", "rows.csv", job.checkpoint_name))
    if not record.exists():
        return "nothing"
    with readable(record):
        content = json.loads(record.read_text(encoding="utf-8"))
        mine = (content["fingerprint"], content["precision"]) == (job.fingerprint, hardware.precision)
        for kind in TIMES:
            if not math.isfinite(content.get(kind, 0)):
                raise ValueError(f"{kind} is {content[kind]}")
    if mine and rows.exists() and all((directory / name).exists() for name in job.files):
        with readable(rows):
            if content.get("rows") not in (None, digest(rows)):
                raise ValueError("it is not as it was written")
            count = rows.read_bytes().count(b"\n") - 1  # the launcher reads the rows, once
            if job.rows is not None and count != job.rows:
                raise ValueError(f"got {count} rows where {job.rows} were written")
        return "rows"
    if mine and checkpoint.exists():
        with readable(checkpoint):
            job.check_checkpoint(checkpoint)
        return "checkpoint"
    return "nothing"


def read_rows(job: Job, directory: Path) -> pd.DataFrame:
    """The rows of a job that is done. Labels come from the job: a file takes the text "100" for a number."""
    return read_csv(directory / "rows.csv").assign(**job.labels)


def tidy(job: Job, directory: Path) -> None:
    """Remove the checkpoint of a job that is done: a kill may have come between its rows and this."""
    (directory / job.checkpoint_name).unlink(missing_ok=True)


def clear(job: Job, directory: Path) -> None:
    """Remove what a job left in its folder, and nothing else; half-written files go when it begins again."""
    for name in ("rows.csv", job.checkpoint_name, *SAVED, "log.txt", "job.json"):
        remove(directory / name)
    for inner in (directory / "metrics", *directory.glob("seed-*")):
        if inner.is_dir():
            shutil.rmtree(inner)


def remove(path: Path) -> None:
    """Remove a file, or a folder that has its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is read into one line that says what to do."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no file")
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        state = "is of an earlier version" if isinstance(error, EarlierVersionError) else "is damaged"
        reason = told(error)[:200]
        remedy = "remove its folder to do this job again, or pass --fresh to do all jobs again"
        raise CorruptCheckpointError(f"{path} {state}; {remedy} ({reason})") from error


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append to `path` what is printed, warned and logged meanwhile, and the traceback of a failure."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    with (
        open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        # Lightning's own handlers hold the stderr that there was when it was imported.
        earlier = [(logger.handlers, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.handlers, logger.propagate = [logging.StreamHandler(log)], False
        try:
            yield
        except BaseException:
            traceback.print_exc(file=log)
            raise
        finally:
            for logger, (handlers, propagate) in zip(loggers, earlier, strict=True):
                logger.handlers, logger.propagate = handlers, propagate

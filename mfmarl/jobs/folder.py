"""Run a job in its folder, resuming where an earlier call stopped. The folder holds:

job.json            identity of the job (fingerprint, precision) and, once it is done, the time it took
checkpoint.*        whole state, including replay buffers and generators; removed when the job is done
rows.csv            the results; exists only once the job is done
log.txt             output of the job, including warnings and tracebacks
policy.safetensors  trained army of Battle; for stacked seeds one in each seed-<seed>/
agent.safetensors   trained agent of another game, if requested
metrics/            output of Lightning's logger, if requested
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
from mfmarl.jobs.computing import computing, one_at_a_time
from mfmarl.jobs.execution import TIMES, Attempt, Execution, Hardware, LoggerName
from mfmarl.jobs.job import Job
from mfmarl.jobs.locks import HOLDER, LOCK, locked

SAVED = ("policy.safetensors", "agent.safetensors")  # files of trained agents, see Agent.file


class CorruptCheckpointError(ValueError):
    """A file left in a job's folder by an earlier call cannot be read."""


def folder(job: Job, out: Path, precision: str) -> Path:
    """The folder of `job` in `out`. Different settings or precisions have different folders."""
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
    """Run `job`, or the rest of it, in its folder `directory`. Its rows can then be read by `read_rows`.

    Other threads of this process that call it meanwhile wait.

    A run that is killed at any moment and called again gives the rows of an uninterrupted run, bit for bit on a CPU.
    Existing rows of the same job are kept; those of another job are removed.

    Args:
        job: the job to run.
        directory: the job's folder.
        hardware: hardware to run on. None: one thread of the CPU.
        progress: called with the work done so far, including earlier calls.
        checkpoint_seconds: minimum number of seconds between two checkpoints.
        logger: Lightning's logger.

    Raises:
        ValueError: the job does not support the precision.
        CorruptCheckpointError: files of an earlier call cannot be read; they are left unchanged.
        HeldError: another process runs this job.
        Exception: any exception of the job itself; its traceback is in the log.
    """
    hardware = hardware or Hardware()
    job.check_precision(hardware.precision)
    directory = directory.absolute()  # a custom method may change the working directory
    with one_at_a_time, locked(directory):
        left = found(job, directory, hardware)
        if left == "rows":
            tidy(job, directory)
            progress(job.work)
            return
        if left == "nothing":
            clear(job, directory)
            progress(0)  # the first report counts as work of earlier calls
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
    """Run the rest of `job` and write its rows."""
    directory, hardware = attempt.directory, attempt.hardware
    record = {"fingerprint": job.fingerprint, "precision": hardware.precision}
    write_json(record, directory / "job.json")
    with logged(directory / "log.txt"), computing(hardware), staying_here():
        frame = job.do(attempt)
        if job.rows is not None and len(frame) != job.rows:  # e.g. a custom method stopped its Trainer
            raise RuntimeError(f"{job.name} ended early: it gave {len(frame)} rows of {job.rows}")
    rows = directory / "rows.csv"
    with atomic(rows) as draft:
        write_csv(frame, draft, keys=job.keys)
        write_json({**record, **attempt.times(), "rows": digest(draft)}, directory / "job.json")
    tidy(job, directory)


def check_place(directory: Path) -> None:
    """Raise ValueError if a job's folder is not a folder, or a file written in it is not a file.

    Files that are also read are checked by `found`.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: {directory} is no folder: remove it, or name another out")
    for path in (directory / name for name in (LOCK, HOLDER, "log.txt", *SAVED)):
        if path.exists() and not path.is_file():
            raise ValueError(f"out: {path} is no file: remove it, or name another out")


def found(job: Job, directory: Path, hardware: Hardware) -> Literal["nothing", "checkpoint", "rows"]:
    """Determine what an earlier call left of the same job in `directory`. Changes nothing.

    Raises:
        CorruptCheckpointError: a file cannot be read; the message says what to do.
    """
    try:
        return _found(job, directory, hardware)
    except FileNotFoundError:  # another process has just finished the job
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
            count = rows.read_bytes().count(b"\n") - 1  # only the launcher parses the rows
            if job.rows is not None and count != job.rows:
                raise ValueError(f"got {count} rows where {job.rows} were written")
        return "rows"
    if mine and checkpoint.exists():
        with readable(checkpoint):
            job.check_checkpoint(checkpoint)
        return "checkpoint"
    return "nothing"


def read_rows(job: Job, directory: Path) -> pd.DataFrame:
    """The rows of a finished job. Labels are taken from the job, since the text "100" is read as a number."""
    return read_csv(directory / "rows.csv").assign(**job.labels)


def tidy(job: Job, directory: Path) -> None:
    """Remove the checkpoint of a finished job, which remains if a process was killed just after it wrote the rows."""
    (directory / job.checkpoint_name).unlink(missing_ok=True)


def clear(job: Job, directory: Path) -> None:
    """Remove a job's files from its folder, and nothing else. Partial files are removed when the job starts again."""
    for name in ("rows.csv", job.checkpoint_name, *SAVED, "log.txt", "job.json"):
        remove(directory / name)
    for inner in (directory / "metrics", *directory.glob("seed-*")):
        if inner.is_dir():
            shutil.rmtree(inner)


def remove(path: Path) -> None:
    """Remove a file, or a folder in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn any error while `path` is read into a CorruptCheckpointError that says what to do."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise ValueError("it is no file")
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        state = "is of an earlier version" if isinstance(error, EarlierVersionError) else "is damaged"
        reason = told(error)[:200]
        remedy = "remove its folder to do this job again; --fresh of a script does all jobs again"
        raise CorruptCheckpointError(f"{path} {state}; {remedy} ({reason})") from error


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append all output, warnings, log messages and the traceback of a failure inside to `path`."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    with (
        open(path, "a", encoding="utf-8", errors="backslashreplace", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        # Lightning's own handlers keep the stderr of the time when it was imported.
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

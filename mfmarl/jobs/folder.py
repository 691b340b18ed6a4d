"""One job: some seeds of one setting, from its description to its rows, resumed where a call stopped.

A job's folder holds
    job.json          what the job is (fingerprint, precision) and, once it is done, the time it took
    checkpoint.ckpt   the whole state at the end of an epoch, replay and generators included; gone when done
    rows.csv          the result; there only once the job is done
    log.txt           what training printed, warnings and tracebacks included
    policy.safetensors  the trained army, of Battle
    metrics/          of Lightning's logger, if one was asked for
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import torch

from mfmarl import __version__
from mfmarl.environments import Game
from mfmarl.files import read_csv, remove_partial, write_csv, write_json

LoggerName = Literal["none", "csv", "tensorboard"]


class CorruptCheckpointError(ValueError):
    """A file that an earlier call left in a job's folder cannot be read."""


@dataclass(frozen=True)
class Job:
    """Some seeds of one setting, trained together.

    name         of the job's folder, e.g. "calibrated-mf-q-1000-seeds-0-7"
    labels       leading columns of its rows, e.g. {"settings": "appendix", "algorithm": "il", "agents": 100}
    algorithm    a key of ALGORITHMS, or "path/to/file.py:Class"
    environment  what is played, a frozen dataclass
    seeds        one independent run each
    agent        keyword arguments of the algorithm's class
    data         keyword arguments of its data module, `steps` and `evaluations` among them
    conditions   what differs within the stack besides the seed, e.g. ({"temperature": 0.8}, {"temperature": 1.2}):
                 columns of the rows, one run for each condition and seed
    """

    name: str
    labels: Mapping[str, str | int | float]
    algorithm: str
    environment: Game
    seeds: tuple[int, ...]
    agent: Mapping[str, object]
    data: Mapping[str, object]
    conditions: tuple[Mapping[str, float], ...] = ({},)

    @property
    def runs(self) -> list[dict[str, float]]:
        """What names each run of the stack: its condition and its seed."""
        return [{**condition, "seed": seed} for condition in self.conditions for seed in self.seeds]

    @property
    def steps(self) -> int:
        """Joint steps of each run."""
        return int(self.data["steps"])  # type: ignore[call-overload,no-any-return]

    @property
    def evaluations(self) -> int:
        """Evaluations of each run: the rows that it gives."""
        return int(self.data["evaluations"])  # type: ignore[call-overload,no-any-return]

    @property
    def work(self) -> int:
        """Agent-steps in all: the steps of every agent of every run."""
        return self.steps * len(self.runs) * self.environment.agents

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what determines the rows: fields but the name, the file of a custom class, our version.

        Of the package's own code only the version counts, so that results outlive the edit of a comment.
        """
        content = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "name"}
        content["version"] = __version__
        file, _, _ = self.algorithm.rpartition(":")
        if file.endswith(".py"):
            try:
                content["source"] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
            except OSError as error:
                raise ValueError(f"algorithms: cannot read {file}: {error.strerror}") from error
        return hashlib.sha256(json.dumps(canonical(content), sort_keys=True).encode()).hexdigest()


def job_name(*labels: object, seeds: Sequence[int] = ()) -> str:
    """Name of a job: its labels, its lowest and its highest seed if it has any, in letters all file systems take."""
    words = "-".join([*map(str, labels), *(["seeds", str(min(seeds)), str(max(seeds))] if seeds else [])])
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in words)


def folder(job: Job, out: Path, precision: str) -> Path:
    """The folder of `job` in `out`: with other settings or precision it is another one, and both are kept."""
    own = hashlib.sha256(f"{job.fingerprint} {precision}".encode()).hexdigest()
    return out / "jobs" / f"{job.name}-{own[:8]}"


@dataclass(frozen=True)
class Hardware:
    """What a job runs on.

    accelerator  "cpu" or "gpu"
    device       index of the GPU; without meaning on a CPU
    precision    "32", "64" or "bf16-mixed", as Lightning names it; another precision is another job
    threads      of torch, on the CPU
    """

    accelerator: str = "cpu"
    device: int = 0
    precision: str = "32"
    threads: int = 1


def run(
    job: Job,
    directory: Path,
    hardware: Hardware = Hardware(),
    progress: Callable[[int], None] = lambda agent_steps: None,
    *,
    checkpoint_seconds: float = 30.0,
    logger: LoggerName = "none",
) -> pd.DataFrame:
    """Do `job`, or what is left of it, in its folder `directory`; return its rows, by run, then step.

    A run that is killed at any moment and called again gives the rows of an uninterrupted one, bit for bit on
    a CPU. Rows of this very job that lie in the folder are returned as they are; those of another are
    removed. `progress` receives the agent-steps done so far, earlier calls included. A checkpoint is written
    at the end of an epoch when `checkpoint_seconds` have passed since the last one.

    Raises:
        CorruptCheckpointError: files of an earlier call cannot be read; they are left as they are.
        Exception: what training raised; its traceback is in the log.
    """
    # Lightning takes seconds to import: whoever only describes jobs, or hands them to workers, need not wait.
    from mfmarl.jobs.training import train  # noqa: PLC0415

    left = found(job, directory, hardware)
    if left == "rows":
        progress(job.work)
        return read_rows(job, directory)
    if left != "checkpoint":
        clear(directory)
    directory.mkdir(parents=True, exist_ok=True)
    remove_partial(directory)
    record = {"fingerprint": job.fingerprint, "precision": hardware.precision}
    write_json(record, directory / "job.json")
    frame, times = train(
        job,
        directory,
        hardware,
        progress,
        resume=left == "checkpoint",
        checkpoint_seconds=checkpoint_seconds,
        logger=logger,
    )
    write_json({**record, **times}, directory / "job.json")
    write_csv(frame, directory / "rows.csv", keys=[*job.runs[0], "step"])
    (directory / "checkpoint.ckpt").unlink(missing_ok=True)
    return read_rows(job, directory)


def found(job: Job, directory: Path, hardware: Hardware) -> Literal["nothing", "checkpoint", "rows"]:
    """What an earlier call left of this very job in `directory`; touches nothing.

    Raises:
        CorruptCheckpointError: a file cannot be read; one line that says what to do.
    """
    record, rows, checkpoint = (directory / name for name in ("job.json", "rows.csv", "checkpoint.ckpt"))
    if not record.exists():
        return "nothing"
    with readable(record):
        content = json.loads(record.read_text())
        mine = (content["fingerprint"], content["precision"]) == (job.fingerprint, hardware.precision)
    if mine and rows.exists():
        with readable(rows):
            count, expected = len(read_rows(job, directory)), job.evaluations * len(job.runs)
            if count != expected:
                raise ValueError(f"got {count} rows where {expected} were written")
        return "rows"
    if mine and checkpoint.exists():
        with readable(checkpoint):
            check_checkpoint(checkpoint)
        return "checkpoint"
    return "nothing"


def read_rows(job: Job, directory: Path) -> pd.DataFrame:
    """The rows of a job that is done. Labels come from the job: a file takes the text "100" for a number."""
    return read_csv(directory / "rows.csv").assign(**job.labels)


def clear(directory: Path) -> None:
    """Remove what a job left in its folder, and nothing else."""
    for name in ("rows.csv", "checkpoint.ckpt", "log.txt", "job.json", "policy.safetensors"):
        (directory / name).unlink(missing_ok=True)
    if (directory / "metrics").is_dir():
        shutil.rmtree(directory / "metrics")
    remove_partial(directory)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is read into one line that says what to do."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        remedy = "remove its folder to do this job again, or pass --fresh to do all jobs again"
        raise CorruptCheckpointError(f"{path} is damaged; {remedy} ({reason})") from error


def check_checkpoint(path: Path) -> None:
    """Raise some exception unless `path` is a whole checkpoint that loads without unpickling."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"wrong checksum of {damaged}")
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    missing = {"state_dict", "loops", "callbacks"} - set(content)
    if missing:
        raise ValueError(f"it lacks {sorted(missing)}")


def canonical(value: object) -> object:
    """`value` as JSON that is equal exactly if the values are."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: canonical(getattr(value, field.name)) for field in fields(value)}
        return [type(value).__qualname__, content]
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    raise ValueError(f"job: got {value!r}, allowed are dataclasses, mappings, lists, tensors, numbers and text")

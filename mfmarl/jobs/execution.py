"""How jobs run, apart from what they do: where, on what hardware, how often they save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from operator import index
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from mfmarl.custom import check_fields
from mfmarl.files import atomic

Precision = Literal["32", "64", "bf16-mixed", "tf32"]
LoggerName = Literal["none", "csv", "tensorboard", "wandb"]
TIMES = ("wall_seconds", "cpu_seconds")  # of a job, in job.json
MOST_PROCESSES = 4096  # of one machine, threads and GPUs too; more is a slip
MOST_TASKS = 4_000_000  # Slurm's own bound of an array, nearly
MOST_MINUTES = 5_256_000  # ten years
MOST_MEMORY = 2**20  # GiB


@dataclass(frozen=True)
class Execution:
    """How jobs run; changes no result but by rounding.

    Raises:
        ValueError: a value that is not allowed.
    """

    launcher: Literal["local", "slurm"] = "local"
    """Run the jobs on this machine, or submit them to Slurm as tasks of an array, see --slurm-*."""
    workers: int | Literal["auto"] = "auto"
    """How many processes, of each task on Slurm; auto takes one for each core, or one for each GPU, and on Slurm 1."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where networks are trained; auto takes CUDA GPUs if there are any. On Slurm it must be named."""
    devices: int | Literal["auto"] = "auto"
    """How many GPUs, which the workers share evenly; auto takes all, and on Slurm 1 for each task."""
    precision: Precision = "32"
    """Floating point precision of the networks, as Lightning names it. 32 is float32 everywhere; tf32 lets a GPU round
    factors to 10 bits in products and convolutions."""
    threads: int | None = None
    """CPU threads in all, of each task on Slurm, divided among the workers; without it one for each, fastest for small
    networks."""
    fresh: bool = False
    """Start over instead of resuming what an earlier call left."""
    checkpoint_seconds: float = 30.0
    """Least time between two checkpoints of a job; 0 saves one at every evaluation."""
    logger: LoggerName = "none"
    """Lightning's logger, in each job's folder; wandb sends a run a job to the project mfmarl."""
    shard: str | None = None
    """I/N: do the I-th of N shares of the jobs and end, under another scheduler or by hand; the same call without it
    then gathers the results."""
    slurm_partition: str | None = None
    """Partition of Slurm. Without it, as for the next three, its SBATCH_* variables or its own default decide."""
    slurm_account: str | None = None
    """Account of Slurm that pays."""
    slurm_minutes: int | None = None
    """Time limit of a task, 2 or more, after which it is queued again and goes on; without it and SBATCH_TIMELIMIT a
    day."""
    slurm_memory: float | None = None
    """Memory of a task, GiB."""
    slurm_tasks: int = 256
    """How many tasks share the jobs, at most; with fewer jobs than that each has its own."""
    slurm_requeues: int = 20
    """How often a task may be queued again when it is preempted, loses its node, or its time is over."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, kind in get_type_hints(Execution).items():
            object.__setattr__(self, name, plain_number(name, getattr(self, name), kind))
            check_named(name, getattr(self, name), kind)
        within("workers", self.workers, 1, MOST_PROCESSES)
        within("devices", self.devices, 1, MOST_PROCESSES)
        within("threads", self.threads, 1, MOST_PROCESSES)
        within("checkpoint_seconds", self.checkpoint_seconds, 0)
        within("slurm_minutes", self.slurm_minutes, 2, MOST_MINUTES)  # Slurm may announce the end 90 s before
        if self.slurm_memory is not None and not 0 < self.slurm_memory <= MOST_MEMORY:
            raise ValueError(
                f"slurm_memory: got {self.slurm_memory}, allowed is a number above 0, at most {MOST_MEMORY}"
            )
        within("slurm_tasks", self.slurm_tasks, 1, MOST_TASKS)
        within("slurm_requeues", self.slurm_requeues, 0, MOST_TASKS)
        if self.shard is not None:
            share_of(self.shard)
        if self.launcher == "slurm":
            self._check_slurm()
            return
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name.startswith("slurm_") and value != option.default:
                raise ValueError(f"{option.name}: got {value}, which needs --launcher slurm")

    @property
    def uses_gpus(self) -> bool:
        """Whether jobs run on GPUs: by `accelerator`, or where this machine has some."""
        return self.accelerator == "gpu" or (self.accelerator == "auto" and torch.cuda.device_count() > 0)

    def _check_slurm(self) -> None:
        """Raise ValueError for what other launchers allow."""
        if self.shard is not None:
            raise ValueError(f"shard: got {self.shard} with launcher slurm, which deals out the jobs itself")
        if self.accelerator == "auto":
            raise ValueError(
                "accelerator: got auto with launcher slurm, where the GPUs of this machine say nothing; "
                "allowed is cpu or gpu"
            )


@dataclass(frozen=True)
class Hardware:
    """What a job runs on.

    accelerator  "cpu" or "gpu"
    device       index of the GPU; without meaning on a CPU
    precision    "32", "64" or "bf16-mixed", as Lightning names it, or "tf32"; another precision is another job
    threads      of torch, on the CPU
    """

    accelerator: str = "cpu"
    device: int = 0
    precision: str = "32"
    threads: int = 1

    @property
    def torch_device(self) -> torch.device:
        """The same for torch."""
        return torch.device("cuda", self.device) if self.accelerator == "gpu" else torch.device("cpu")

    @property
    def rounds_factors(self) -> bool:
        """Whether products and convolutions of float32 may take their factors in TF32."""
        return self.precision == "tf32"

    @property
    def lightning_precision(self) -> str:
        """The precision for a Trainer, who knows no TF32: its tensors are float32."""
        return "32" if self.rounds_factors else self.precision


def _clocks() -> dict[str, float]:
    return dict(zip(TIMES, (time.monotonic(), time.process_time()), strict=True))


@dataclass
class Attempt:
    """What a job is done with, by one call: where, on what, and what an earlier call left.

    directory           the job's folder
    hardware            what it runs on
    report              is told how much is done, of how much in all, calls before this one included
    checkpoint          where the job saves its state
    resume              whether the checkpoint is there, to go on from
    checkpoint_seconds  least time between two checkpoints
    logger              of Lightning
    """

    directory: Path
    hardware: Hardware
    report: Callable[[int, int], None]
    checkpoint: Path
    resume: bool
    checkpoint_seconds: float
    logger: LoggerName
    _last_save: float = field(init=False, default_factory=time.monotonic)
    _earlier: dict[str, float] = field(init=False, default_factory=lambda: dict.fromkeys(TIMES, 0.0))
    _started: dict[str, float] = field(init=False, default_factory=_clocks)

    def save_is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._last_save >= self.checkpoint_seconds

    @contextmanager
    def saving(self) -> Iterator[Path]:
        """Yield a temporary path; what is written there becomes the checkpoint."""
        with atomic(self.checkpoint) as temporary:
            yield temporary
        self._last_save = time.monotonic()

    def times(self) -> dict[str, float]:
        """Seconds that the job took so far; a checkpoint holds them, so what a kill loses is not counted."""
        now = _clocks()
        return {kind: self._earlier[kind] + now[kind] - self._started[kind] for kind in now}

    def go_on_from(self, times: dict[str, float]) -> None:
        """Count from the `times` of a checkpoint on."""
        self._earlier = {kind: float(times[kind]) for kind in self._earlier}


def share_of(shard: str) -> tuple[int, int]:
    """The numbers of "I/N".

    Raises:
        ValueError: I is not from 1 to N.
    """
    number, slash, count = shard.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"shard: got {shard}, allowed is I/N with I from 1 to N, as 3/8")
    return int(number), int(count)


def check_named(name: str, value: object, kind: Any) -> None:
    """Raise ValueError unless a value is one of those that a Literal in its type names, or the number it may be."""
    kinds = (kind, *get_args(kind))
    named = [each for one in kinds if get_origin(one) is Literal for each in get_args(one)]
    is_number = int in kinds and isinstance(value, int)
    if named and value not in named and not is_number:
        allowed = ", ".join(map(repr, named)) + " or a whole number" * (int in kinds)
        raise ValueError(f"{name}: got {value!r}, allowed is {allowed}")


def plain_number(name: str, value: Any, kind: Any) -> Any:
    """A number of numpy or torch as one of Python, anything else as it is.

    Raises:
        ValueError: a fraction where the type has whole numbers.
    """
    own = next((each for each in (bool, int, float) if each in (kind, *get_args(kind))), None)
    if own is None or value is None or isinstance(value, str):
        return value
    try:
        return index(value) if own is int else own(value)
    except TypeError as error:
        raise ValueError(f"{name}: got {value!r}, allowed is a whole number") from error


def within(name: str, value: float | str | None, least: int, most: float = math.inf) -> None:
    """Raise ValueError if `value` is a number below `least` or above `most`."""
    if isinstance(value, int | float) and not least <= value <= most:
        bound = "" if most == math.inf else f", at most {most}"
        raise ValueError(f"{name}: got {value}, allowed is {least} or more{bound}")

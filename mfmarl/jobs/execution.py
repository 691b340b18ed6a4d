"""How jobs run: where, on what hardware, and how often they save checkpoints."""

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

from mfmarl.arguments import check_fields
from mfmarl.files import atomic

Precision = Literal["32", "64", "bf16-mixed", "tf32"]
LoggerName = Literal["none", "csv", "tensorboard", "wandb"]
TIMES = ("wall_seconds", "cpu_seconds")  # keys of a job's times in job.json
MOST_PROCESSES = 4096  # on one machine, also of threads and GPUs; more is a mistake
MOST_TASKS = 4_000_000  # nearly Slurm's own limit for an array
MOST_MINUTES = 5_256_000  # ten years
MOST_MEMORY = 2**20  # GiB


@dataclass(frozen=True)
class Execution:
    """How jobs run. Results depend on it only through rounding.

    Raises:
        ValueError: a value is not allowed.
    """

    launcher: Literal["local", "slurm"] = "local"
    """Run the jobs on this machine, or submit them to Slurm as an array of tasks; see --slurm-*."""
    workers: int | Literal["auto"] = "auto"
    """Number of worker processes, per task on Slurm. auto: one per GPU; without GPUs one per core, or 1 on Slurm."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Hardware that trains the networks. auto: CUDA GPUs if there are any. Slurm needs cpu or gpu."""
    devices: int | Literal["auto"] = "auto"
    """Number of GPUs, shared evenly by the workers. auto: all GPUs, or 1 per task on Slurm."""
    precision: Precision = "32"
    """Floating-point precision of the networks, named as in Lightning. 32 is float32 everywhere; tf32 lets a GPU round
    the factors of products and convolutions to 10 bits."""
    threads: int | None = None
    """Total number of CPU threads, per task on Slurm, divided among the workers. Default: one per worker, which is
    fastest for small networks."""
    fresh: bool = False
    """Start over instead of resuming the jobs of an earlier call."""
    dry_run: bool = False
    """Only list the jobs, what is done of them, and where the others would run; change no file."""
    checkpoint_seconds: float = 30.0
    """Minimum number of seconds between two checkpoints of a job; 0 saves one at every evaluation."""
    logger: LoggerName = "none"
    """Lightning's logger, which writes to each job's folder; wandb sends one run per job to the project mfmarl."""
    shard: str | None = None
    """I/N: run only the I-th of N shares of the jobs, e.g. one per machine. Afterwards the same call without --shard,
    and without --fresh, collects the results."""
    slurm_partition: str | None = None
    """Slurm partition. Default, also for the account and the memory: Slurm's SBATCH_* variables or its own default."""
    slurm_account: str | None = None
    """Slurm account that is charged."""
    slurm_minutes: int | None = None
    """Time limit of a task in minutes, at least 2; a task that reaches it is requeued and resumes. Default:
    SBATCH_TIMELIMIT, or one day."""
    slurm_memory: float | None = None
    """Memory of a task in GiB."""
    slurm_tasks: int = 256
    """Maximum number of tasks that share the jobs; fewer if they suffice to give each job its own worker."""
    slurm_requeues: int = 20
    """Maximum number of times that a task is requeued after preemption, loss of its node, or its time limit."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, kind in get_type_hints(Execution).items():
            object.__setattr__(self, name, plain_number(name, getattr(self, name), kind))
            check_named(name, getattr(self, name), kind)
        check_range("workers", self.workers, 1, MOST_PROCESSES)
        check_range("devices", self.devices, 1, MOST_PROCESSES)
        check_range("threads", self.threads, 1, MOST_PROCESSES)
        check_range("checkpoint_seconds", self.checkpoint_seconds, 0)
        check_range("slurm_minutes", self.slurm_minutes, 2, MOST_MINUTES)  # Slurm may announce the end 90 s before
        if self.slurm_memory is not None and not 0 < self.slurm_memory <= MOST_MEMORY:
            raise ValueError(
                f"slurm_memory: got {self.slurm_memory}, allowed is a number above 0, at most {MOST_MEMORY}"
            )
        check_range("slurm_tasks", self.slurm_tasks, 1, MOST_TASKS)
        check_range("slurm_requeues", self.slurm_requeues, 0, MOST_TASKS)
        if self.shard is not None:
            share_of(self.shard)
        if self.launcher == "slurm":
            self._check_slurm()
            return
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name.startswith("slurm_") and value != option.default:
                raise ValueError(f"{option.name}: got {value}, which needs launcher slurm")

    @property
    def uses_gpus(self) -> bool:
        """Whether jobs run on GPUs: `accelerator` is gpu, or it is auto and this machine has GPUs."""
        return self.accelerator == "gpu" or (self.accelerator == "auto" and torch.cuda.device_count() > 0)

    def _check_slurm(self) -> None:
        """Raise ValueError for options that Slurm does not allow but other launchers do."""
        if self.shard is not None:
            raise ValueError(f"shard: got {self.shard} with launcher slurm, which deals out the jobs itself")
        if self.accelerator == "auto":
            raise ValueError(
                "accelerator: got auto with launcher slurm, where the GPUs of this machine say nothing; "
                "allowed is cpu or gpu"
            )


@dataclass(frozen=True)
class Hardware:
    """The hardware and precision of a job.

    Attributes:
        accelerator: "cpu" or "gpu".
        device: index of the GPU; ignored on a CPU.
        precision: "32", "64" or "bf16-mixed", as in Lightning, or "tf32". Another precision makes another job.
        threads: number of torch's CPU threads.
    """

    accelerator: str = "cpu"
    device: int = 0
    precision: str = "32"
    threads: int = 1

    @property
    def torch_device(self) -> torch.device:
        """The torch device."""
        return torch.device("cuda", self.device) if self.accelerator == "gpu" else torch.device("cpu")

    @property
    def rounds_factors(self) -> bool:
        """Whether float32 products and convolutions may round their factors to TF32."""
        return self.precision == "tf32"

    @property
    def lightning_precision(self) -> str:
        """The precision for a Lightning Trainer, which has no TF32: its tensors are float32."""
        return "32" if self.rounds_factors else self.precision


def _clocks() -> dict[str, float]:
    return dict(zip(TIMES, (time.monotonic(), time.process_time()), strict=True))


@dataclass
class Attempt:
    """The circumstances in which one call runs a job.

    Attributes:
        directory: the job's folder.
        hardware: hardware that the job runs on.
        report: called with the work done so far, earlier calls included, and the total.
        checkpoint: file to which the job saves its state.
        resume: whether to resume from an existing checkpoint.
        checkpoint_seconds: minimum number of seconds between two checkpoints.
        logger: Lightning's logger.
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
        """Whether the next checkpoint is due."""
        return time.monotonic() - self._last_save >= self.checkpoint_seconds

    @contextmanager
    def saving(self) -> Iterator[Path]:
        """Yield a temporary path; the file written there becomes the checkpoint."""
        with atomic(self.checkpoint) as temporary:
            yield temporary
        self._last_save = time.monotonic()

    def times(self) -> dict[str, float]:
        """Seconds that the job has taken so far.

        They are saved in checkpoints, so work that is lost when a process is killed does not count.
        """
        now = _clocks()
        return {kind: self._earlier[kind] + now[kind] - self._started[kind] for kind in now}

    def go_on_from(self, times: dict[str, float]) -> None:
        """Continue counting from the `times` in a checkpoint."""
        self._earlier = {kind: float(times[kind]) for kind in self._earlier}


def share_of(shard: str) -> tuple[int, int]:
    """The numbers I and N of "I/N".

    Raises:
        ValueError: `shard` has another form, or I is not in 1 .. N.
    """
    number, slash, count = shard.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"shard: got {shard}, allowed is I/N with I from 1 to N, as 3/8")
    return int(number), int(count)


def check_named(name: str, value: object, kind: Any) -> None:
    """Raise ValueError if the type `kind` has a Literal and `value` is neither in it nor an allowed whole number."""
    kinds = (kind, *get_args(kind))
    named = [each for one in kinds if get_origin(one) is Literal for each in get_args(one)]
    is_number = int in kinds and isinstance(value, int)
    if named and value not in named and not is_number:
        allowed = ", ".join(map(repr, named)) + " or a whole number" * (int in kinds)
        raise ValueError(f"{name}: got {value!r}, allowed is {allowed}")


def plain_number(name: str, value: Any, kind: Any) -> Any:
    """Convert a number of numpy or torch to one of Python; return anything else unchanged.

    Raises:
        ValueError: the type `kind` allows only whole numbers, and `value` is not one.
    """
    own = next((each for each in (bool, int, float) if each in (kind, *get_args(kind))), None)
    if own is None or value is None or isinstance(value, str):
        return value
    try:
        return index(value) if own is int else own(value)
    except TypeError as error:
        raise ValueError(f"{name}: got {value!r}, allowed is a whole number") from error


def check_range(name: str, value: float | str | None, least: int, most: float = math.inf) -> None:
    """Raise ValueError if `value` is a number below `least` or above `most`."""
    if isinstance(value, int | float) and not least <= value <= most:
        bound = "" if most == math.inf else f", at most {most}"
        raise ValueError(f"{name}: got {value}, allowed is {least} or more{bound}")

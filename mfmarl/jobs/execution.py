"""How jobs run, apart from what they do: where, on what hardware, how often they save."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from mfmarl.files import atomic

Precision = Literal["32", "64", "bf16-mixed"]
LoggerName = Literal["none", "csv", "tensorboard", "wandb"]


@dataclass(frozen=True)
class Execution:
    """How jobs run; changes no result but by rounding.

    Raises:
        ValueError: a value that is not allowed.
    """

    launcher: Literal["local", "slurm"] = "local"
    """Run the jobs on this machine, or submit them to Slurm (it reads its own SBATCH_* variables)."""
    workers: int | Literal["auto"] = "auto"
    """How many processes; auto takes one for each core, or one for each GPU."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where networks are trained; auto takes CUDA GPUs if there are any."""
    devices: int | Literal["auto"] = "auto"
    """How many GPUs, one worker on each; auto takes all."""
    precision: Precision = "32"
    """Floating point precision of the networks, as Lightning names it."""
    threads: int | None = None
    """CPU threads in all, divided among the workers; without it one for each, fastest for small networks."""
    fresh: bool = False
    """Start over instead of resuming what an earlier call left."""
    checkpoint_seconds: float = 30.0
    """Least time between two checkpoints of a job; 0 saves one at every evaluation."""
    logger: LoggerName = "none"
    """Lightning's logger, in each job's folder; wandb sends a run a job to the project mfmarl."""

    def __post_init__(self) -> None:
        at_least("workers", self.workers, 1)
        at_least("devices", self.devices, 1)
        at_least("threads", self.threads, 1)
        at_least("checkpoint_seconds", self.checkpoint_seconds, 0)


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

    @property
    def torch_device(self) -> torch.device:
        """The same for torch."""
        return torch.device("cuda", self.device) if self.accelerator == "gpu" else torch.device("cpu")


def _clocks() -> dict[str, float]:
    return {"wall_seconds": time.monotonic(), "cpu_seconds": time.process_time()}


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
    _earlier: dict[str, float] = field(init=False, default_factory=lambda: {"wall_seconds": 0.0, "cpu_seconds": 0.0})
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


def at_least(name: str, value: float | str | None, least: int) -> None:
    """Raise ValueError if `value` is a number below `least`."""
    if isinstance(value, int | float) and not value >= least:
        raise ValueError(f"{name}: got {value}, allowed is {least} or more")

"""One job on one Lightning Trainer: its scores are recorded, its state saved, its progress reported."""

from __future__ import annotations

import logging
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from torch import Tensor

from mfmarl.algorithms import algorithm_class
from mfmarl.files import atomic

if TYPE_CHECKING:
    from mfmarl.jobs.folder import Hardware, Job, LoggerName


def train(
    job: Job,
    directory: Path,
    hardware: Hardware,
    progress: Callable[[int], None],
    *,
    resume: bool,
    checkpoint_seconds: float,
    logger: LoggerName,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """The rows of `job` and the seconds it took; with `resume`, from its folder's checkpoint on.

    What is printed, warned and logged meanwhile goes to the folder's log.txt.
    """
    checkpoint = directory / "checkpoint.ckpt"
    agents = len(job.runs) * job.environment.agents
    recorder = CurveRecorder()
    checkpointer = Checkpointer(checkpoint, checkpoint_seconds)
    threads = torch.get_num_threads()
    torch.set_num_threads(hardware.threads)
    try:
        with logged(directory / "log.txt"):
            module = algorithm_class(job.algorithm)(job.environment, job.seeds, **job.agent)
            data = module.data_module(job.environment, job.seeds, **job.data)
            trainer = pl.Trainer(
                accelerator=hardware.accelerator,
                devices=[hardware.device] if hardware.accelerator == "gpu" else 1,
                precision=hardware.precision,  # type: ignore[arg-type]
                max_epochs=job.evaluations,
                limit_val_batches=1,
                num_sanity_val_steps=0,
                callbacks=[recorder, checkpointer, ProgressReporter(lambda steps: progress(steps * agents))],
                logger=lightning_logger(logger, directory),
                log_every_n_steps=1,
                default_root_dir=directory,
                plugins=[LightningEnvironment()],  # else a job on Slurm gets Lightning's own requeueing
                use_distributed_sampler=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                fit(trainer, module, data, checkpoint if resume else None)
            module.save(directory)
    finally:
        torch.set_num_threads(threads)
    return recorder.frame(job.labels, job.runs), checkpointer.times()


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoint: Path | None) -> None:
    """`Trainer.fit`, but Ctrl-C stays a KeyboardInterrupt: Lightning exits and ignores the next one."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
        raise


class CurveRecorder(pl.Callback):
    """Keeps the scores of every evaluation, and writes their means over seeds to Lightning's logger.

    The state is tensors, ints, lists and dicts alone, so that a checkpoint loads without unpickling.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []  # joint steps played at each evaluation
        self.scores: dict[str, list[Tensor]] = {}  # one float64 tensor [runs] an evaluation

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record an evaluation; validation is over by now."""
        scores: Mapping[str, Tensor] = pl_module.scores  # type: ignore[assignment]
        self.steps.append(steps_played(trainer))
        for column, values in scores.items():
            self.scores.setdefault(column, []).append(values.detach().to("cpu", torch.float64).clone())
        if trainer.logger is not None:
            trainer.logger.log_metrics({name: float(v.mean()) for name, v in scores.items()}, self.steps[-1])

    def frame(self, labels: Mapping[str, object], runs: Sequence[Mapping[str, float]]) -> pd.DataFrame:
        """The rows of the job: the labels, what names the run, step and the scores, ordered by run, then step."""
        index = {name: [run[name] for run in runs for _ in self.steps] for name in runs[0]}
        scores = {name: torch.stack(values, dim=-1).flatten().tolist() for name, values in self.scores.items()}
        steps = self.steps * len(runs)
        return pd.DataFrame({**labels, **index, "step": steps, **scores}, index=range(len(steps)))

    def state_dict(self) -> dict[str, Any]:
        """All evaluations so far."""
        return {"steps": list(self.steps), "scores": {k: torch.stack(v) for k, v in self.scores.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`'s return."""
        self.steps = list(state_dict["steps"])
        self.scores = {column: list(values) for column, values in state_dict["scores"].items()}


class Checkpointer(pl.Callback):
    """Saves all state at the end of an epoch if `seconds` have passed since the last save.

    It comes after `CurveRecorder`, whose rows of the epoch must be in the checkpoint. It also adds up the
    time the job took: its state holds the time until the save, so what a kill loses is not counted.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        self.earlier = {"wall_seconds": 0.0, "cpu_seconds": 0.0}
        self.started = {"wall_seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        self.last_save = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if it is time."""
        if time.monotonic() - self.last_save >= self.seconds:
            with atomic(self.path) as temporary:
                trainer.save_checkpoint(temporary)
            self.last_save = time.monotonic()

    def times(self) -> dict[str, float]:
        """Seconds that the job took so far, the calls that it was resumed in added up."""
        now = {"wall_seconds": time.monotonic(), "cpu_seconds": time.process_time()}
        return {kind: self.earlier[kind] + now[kind] - self.started[kind] for kind in now}

    def state_dict(self) -> dict[str, Any]:
        """The time so far."""
        return self.times()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`'s return."""
        self.earlier = {kind: float(state_dict[kind]) for kind in self.earlier}


class ProgressReporter(pl.Callback):
    """Calls `report` with the joint steps so far: at the start, every `seconds` at most, and at the end."""

    def __init__(self, report: Callable[[int], None], seconds: float = 0.5) -> None:
        self.report = report
        self.seconds = seconds
        self.last_report = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report what earlier calls did."""
        self.report(steps_played(trainer))

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Report, if it is time."""
        if time.monotonic() - self.last_report >= self.seconds:
            self.last_report = time.monotonic()
            self.report(steps_played(trainer))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report that all is done."""
        self.report(steps_played(trainer))


def steps_played(trainer: pl.Trainer) -> int:
    """Joint steps that the trainer's data module has played so far."""
    return int(trainer.datamodule.steps_played)  # type: ignore[attr-defined]


def lightning_logger(name: LoggerName, directory: Path) -> Any:
    """Lightning's logger of that name, writing to `directory`/metrics, a new version for each call."""
    loggers = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}
    return False if name == "none" else loggers[name](save_dir=directory, name="metrics")


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append to `path` what is printed, warned and logged meanwhile, and the traceback of a failure."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    with open(path, "a", encoding="utf-8", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
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

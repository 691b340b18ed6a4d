"""Training on one Lightning Trainer: scores are recorded, state saved, progress reported."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from mfmarl.algorithms import agent_of_seeds
from mfmarl.algorithms.agent import Agent
from mfmarl.data.rounds import RoundsDataModule
from mfmarl.environments import Game
from mfmarl.jobs.checkpoint import LAYOUT
from mfmarl.jobs.execution import Attempt, LoggerName


def train(
    algorithm: type[Agent],
    environment: Game,
    seeds: Sequence[int],
    agent: Mapping[str, Any],
    data: Mapping[str, Any],
    attempt: Attempt,
    *,
    keep: bool,
) -> CurveRecorder:
    """Train some seeds together, from the attempt's checkpoint on if there is one.

    Args:
        algorithm: what learns.
        environment: the game.
        seeds: one independent run each.
        agent: keyword arguments of `algorithm`.
        data: keyword arguments of its data module.
        attempt: where and on what.
        keep: write the trained agent too; Battle's armies are written always.

    Returns:
        The scores of every evaluation. What is worth keeping besides is in the attempt's directory.
    """
    module = agent_of_seeds(algorithm, environment, seeds, **agent)
    for step in (module.training_step, module.validation_step):
        setattr(module, step.__name__, to_its_end(step))
    rounds = module.data_module(environment, seeds, **data)
    recorder = CurveRecorder()
    trainer = as_told(
        accelerator=attempt.hardware.accelerator,
        devices=[attempt.hardware.device] if attempt.hardware.accelerator == "gpu" else 1,
        precision=attempt.hardware.lightning_precision,
        max_epochs=rounds.evaluations,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        callbacks=[recorder, Checkpointer(attempt), ProgressReporter(attempt.report)],
        logger=lightning_logger(attempt.logger, attempt.directory),
        log_every_n_steps=1,
        default_root_dir=attempt.directory,
        plugins=[LightningEnvironment()],  # else a job on Slurm gets Lightning's own requeueing
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    fit(trainer, module, rounds, attempt.checkpoint if attempt.resume else None)
    if attempt.logger == "wandb":
        trainer.logger.experiment.finish()  # type: ignore[union-attr] # else the next job's run is this one
    if keep or module.always_saved:
        module.save(attempt.directory)
    return recorder


def as_told(**arguments: Any) -> pl.Trainer:
    """A Trainer of these arguments and Lightning's defaults, whatever PL_TRAINER_MAX_STEPS and its like say."""
    said = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("PL_TRAINER_")}
    try:
        return pl.Trainer(**arguments)
    finally:
        os.environ.update(said)


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoint: Path | None) -> None:
    """`Trainer.fit`, but Ctrl-C stays a KeyboardInterrupt: Lightning exits and ignores the next one."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    # RANK or SLURM_PROCID may say that this is another rank, and loggers would keep quiet.
    rank, rank_zero_only.rank = rank_zero_only.rank, 0  # type: ignore[attr-defined]
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
        raise
    finally:
        rank_zero_only.rank = rank  # type: ignore[attr-defined]


def to_its_end(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of training or evaluation that raises RuntimeError for StopIteration, which ends it in silence elsewhere.

    As of `next` in a custom method: Lightning takes it for the end of the data, and what was not learned or measured
    would be missing in the rows.
    """

    @wraps(step)
    def whole(*given: object) -> Any:
        try:
            return step(*given)
        except StopIteration as error:
            raise RuntimeError(f"StopIteration in {step.__name__}") from error

    return whole


class CurveRecorder(pl.Callback):
    """Keeps the scores of every evaluation, seed by seed; the agent logs their means.

    The state is tensors, ints, lists and dicts alone, so that a checkpoint loads without unpickling.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []  # joint steps played at each evaluation
        self.scores: dict[str, list[Tensor]] = {}  # float64 [seeds], of lattices [conditions, seeds]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record an evaluation; validation is over by now.

        Raises:
            FloatingPointError: a score is NaN or infinite.
        """
        scores: Mapping[str, Tensor] = pl_module.scores  # type: ignore[assignment]
        played = rounds_of(trainer).steps_played
        self.steps.append(played)
        for column, values in scores.items():
            if not values.isfinite().all():
                raise FloatingPointError(f"{column} is NaN or infinite at the evaluation after step {played}")
            self.scores.setdefault(column, []).append(values.detach().to("cpu", torch.float64).clone())

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
    """Saves all state at the end of an epoch, if it is time.

    It comes after `CurveRecorder`, whose rows of the epoch must be in the checkpoint.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, if it is time."""
        if self.attempt.save_is_due():
            with self.attempt.saving() as temporary:
                trainer.save_checkpoint(temporary)

    def state_dict(self) -> dict[str, Any]:
        """The time so far, and by what layout the checkpoint is to be read."""
        return {**self.attempt.times(), "layout": LAYOUT}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`'s return."""
        self.attempt.go_on_from(state_dict)


class ProgressReporter(pl.Callback):
    """Calls `report` with the steps so far and in all: at the start, every `seconds` at most, and at the end."""

    def __init__(self, report: Callable[[int, int], None], seconds: float = 0.5) -> None:
        self.report = report
        self.seconds = seconds
        self.last_report = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report what earlier calls did."""
        self.report(rounds_of(trainer).steps_played, rounds_of(trainer).steps)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Report, if it is time."""
        if time.monotonic() - self.last_report >= self.seconds:
            self.last_report = time.monotonic()
            self.report(rounds_of(trainer).steps_played, rounds_of(trainer).steps)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report that all is done."""
        self.report(rounds_of(trainer).steps_played, rounds_of(trainer).steps)


def rounds_of(trainer: pl.Trainer) -> RoundsDataModule:
    """The trainer's data module."""
    return cast(RoundsDataModule, trainer.datamodule)  # type: ignore[attr-defined]


def lightning_logger(name: LoggerName, directory: Path) -> Any:
    """Lightning's logger of that name, writing to `directory`/metrics, a new version for each call."""
    if name == "wandb":
        (directory / "metrics").mkdir(exist_ok=True)
        return WandbLogger(name=directory.name, project="mfmarl", save_dir=directory / "metrics")
    loggers = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}
    return False if name == "none" else loggers[name](save_dir=directory, name="metrics")

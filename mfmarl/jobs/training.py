"""Training by a Lightning Trainer, with recording of scores, checkpoints and progress reports."""

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
    """Train several seeds together, resuming from the attempt's checkpoint if there is one.

    Args:
        algorithm: class of the agent.
        environment: the game.
        seeds: seeds, with one independent run each.
        agent: keyword arguments of `algorithm`.
        data: keyword arguments of its data module.
        attempt: folder and hardware.
        keep: save the trained agent to the attempt's folder; armies of Battle are always saved.

    Returns:
        The recorder with the scores of all evaluations.
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
        plugins=[LightningEnvironment()],  # else Lightning requeues jobs on Slurm itself
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    fit(trainer, module, rounds, attempt.checkpoint if attempt.resume else None)
    if attempt.logger == "wandb":
        trainer.logger.experiment.finish()  # type: ignore[union-attr] # else the next job continues this run
    if keep or module.always_saved:
        module.save(attempt.directory)
    return recorder


def as_told(**arguments: Any) -> pl.Trainer:
    """A Trainer with these arguments, ignoring environment variables such as PL_TRAINER_MAX_STEPS."""
    said = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("PL_TRAINER_")}
    try:
        return pl.Trainer(**arguments)
    finally:
        os.environ.update(said)


def fit(trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoint: Path | None) -> None:
    """Call `Trainer.fit`, but raise KeyboardInterrupt on Ctrl-C: Lightning would exit, and ignore the next Ctrl-C."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    # RANK or SLURM_PROCID may give this process another rank, on which loggers write nothing.
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
    """Wrap a step so that a stray StopIteration, e.g. from `next` in a custom method, becomes a RuntimeError.

    Lightning would take it for the end of the data, and the rest of the training or evaluation would be missing.
    """

    @wraps(step)
    def whole(*given: object) -> Any:
        try:
            return step(*given)
        except StopIteration as error:
            raise RuntimeError(f"StopIteration in {step.__name__}") from error

    return whole


class CurveRecorder(pl.Callback):
    """Records the scores of every evaluation by seed; the agent logs their means.

    The state consists of tensors, ints, lists and dicts, so that a checkpoint loads without unpickling.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []  # joint steps played at each evaluation
        self.scores: dict[str, list[Tensor]] = {}  # float64 [seeds], or [conditions, seeds] for lattices

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record an evaluation; validation has already ended.

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
        """The rows of the job, ordered by run, then step: labels, keys of the run, step, and scores."""
        index = {name: [run[name] for run in runs for _ in self.steps] for name in runs[0]}
        scores = {name: torch.stack(values, dim=-1).flatten().tolist() for name, values in self.scores.items()}
        steps = self.steps * len(runs)
        return pd.DataFrame({**labels, **index, "step": steps, **scores}, index=range(len(steps)))

    def state_dict(self) -> dict[str, Any]:
        """All evaluations so far."""
        return {"steps": list(self.steps), "scores": {k: torch.stack(v) for k, v in self.scores.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        self.steps = list(state_dict["steps"])
        self.scores = {column: list(values) for column, values in state_dict["scores"].items()}


class Checkpointer(pl.Callback):
    """Saves a checkpoint at the end of an epoch, if one is due.

    It must come after `CurveRecorder`, so that the checkpoint contains the scores of the epoch.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save a checkpoint if one is due."""
        if self.attempt.save_is_due():
            with self.attempt.saving() as temporary:
                trainer.save_checkpoint(temporary)

    def state_dict(self) -> dict[str, Any]:
        """The times so far, and the layout of the checkpoint."""
        return {**self.attempt.times(), "layout": LAYOUT}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        self.attempt.go_on_from(state_dict)


class ProgressReporter(pl.Callback):
    """Calls `report` with the steps done and their total: at the start, at the end, and at most twice a second."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self.report = report
        self.last_report = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the work of earlier calls."""
        self.report(rounds_of(trainer).steps_played, rounds_of(trainer).steps)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Report if the last report is long enough ago."""
        if time.monotonic() - self.last_report >= 0.5:
            self.last_report = time.monotonic()
            self.report(rounds_of(trainer).steps_played, rounds_of(trainer).steps)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the end."""
        self.report(rounds_of(trainer).steps_played, rounds_of(trainer).steps)


def rounds_of(trainer: pl.Trainer) -> RoundsDataModule:
    """The trainer's data module."""
    return cast(RoundsDataModule, trainer.datamodule)  # type: ignore[attr-defined]


def lightning_logger(name: LoggerName, directory: Path) -> Any:
    """Lightning's logger of that name, which writes to `directory`/metrics, as a new version in each call."""
    if name == "wandb":
        (directory / "metrics").mkdir(exist_ok=True)
        return WandbLogger(name=directory.name, project="mfmarl", save_dir=directory / "metrics")
    loggers = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}
    return False if name == "none" else loggers[name](save_dir=directory, name="metrics")

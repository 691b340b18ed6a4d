"""What the benchmarks share."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable

import pandas as pd
import pytorch_lightning as pl
import torch


def show(title: str, rows: list[dict[str, object]]) -> None:
    """Print a table as soon as it is there."""
    print(title)
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.2f}".format), "\n", flush=True)


def alone(function: Callable[..., dict[str, object]], *arguments: object) -> dict[str, object]:
    """Call a function in a process of its own, so that its memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return pool.apply(function, arguments)


def fit(module: pl.LightningModule, data: pl.LightningDataModule) -> float:
    """Seconds of CPU time of an epoch under Lightning's Trainer, without the Trainer's start."""
    clock = Clock()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data)
    return clock.ended - clock.started


class Clock(pl.Callback):
    """Takes the time of training, from the first batch to the end of validation."""

    started = ended = 0.0

    def on_train_start(self, *_: object) -> None:
        """Training begins."""
        self.started = time.process_time()

    def on_train_end(self, *_: object) -> None:
        """Training is over."""
        self.ended = time.process_time()

"""What the benchmarks share."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytorch_lightning as pl
import torch
from against import Case, compare, replace_rows


class Asked(NamedTuple):
    """What the command line asks for."""

    tables: Sequence[str]  #: that are measured and printed.
    out: Path | None  #: that they go to.

    def record(self, table: str, rows: Mapping[str, Mapping[str, str]]) -> None:
        """Write a table, its rows and columns by name, in place of what the file has of it; the other tables stay."""
        if self.out is not None:
            cells = [(table, row, column, value) for row, columns in rows.items() for column, value in columns.items()]
            replace_rows(pd.DataFrame(cells, columns=["table", "row", "column", "value"]), ["table"], self.out)


def asked(
    description: str | None,
    tables: Sequence[str],
    arguments: Sequence[str] | None = None,
    compared: Mapping[str, Case] | None = None,
) -> Asked:
    """Which of the tables to measure, and where they go; without --out a benchmark only prints.

    With --against it compares the cases of `compared` instead, and ends.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="CSV of all tables, in which those that are measured are replaced")
    parser.add_argument("--tables", nargs="+", default=tables, choices=tables, help="default all")
    if compared:
        parser.add_argument("--against", metavar="COMMIT", help="compare with a commit, in place of all else")
        parser.add_argument("--pairs", type=int, default=7, help="how many measurements of each, default 7")
        parser.add_argument("--cases", nargs="+", default=list(compared), choices=list(compared), help="default all")
    given = parser.parse_args(arguments)
    if compared and given.against:
        chosen = {name: compared[name] for name in given.cases}
        try:
            compare(Path(sys.argv[0]).stem, chosen, given.against, given.pairs, given.out)
        except ValueError as error:
            parser.error(str(error))
        parser.exit()
    return Asked(given.tables, given.out)


def digits(number: object, count: int) -> str:
    """A number with so many digits that count, written out."""
    return f"{float(f'{float(str(number)):.{count}g}'):.10g}"


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

"""Speed and memory of the Ising model: `python benchmarks/ising.py [--out FILE]` prints the tables.

Updates of spins a second on one thread: 21 temperatures and 16 seeds of the 20 x 20 lattice in one batch, as the script
measures them, under Lightning's Trainer and in a bare loop; what of the time goes into random numbers; and the memory
of a lattice of 1024 x 1024. Both tables go to --out, where docs/speed.md has them from: benchmarks/speed.csv.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from measuring import alone, asked, digits, fit, show

from mfmarl.algorithms import algorithm_class
from mfmarl.algorithms.lattice import LatticeAgent
from mfmarl.data.sweeps import SweepDataModule
from mfmarl.environments.ising import Ising
from mfmarl.scripting.provenance import cpu_model

NAMES = {"tabular-mf-q": "MF-Q", "metropolis": "Metropolis"}
TEMPERATURES = [0.6 + 1.4 * index / 20 for index in range(21)]
SEEDS = 16
SWEEPS = 200
MEASURE_EVERY = 10
REPEATS = 5  # the best of so many counts: what else the machine does only adds
CASES = [("tabular-mf-q", order) for order in ("checkerboard", "simultaneous", "released-code")]
CASES += [("metropolis", "checkerboard")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    given = asked(__doc__, ("ising", "ising-large"), arguments)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread\n")
    if "ising" in given.tables:
        speeds = [speed(name, order) for name, order in CASES]
        show("Million updates a second, 21 temperatures, 16 seeds, 20 x 20", speeds)
        rows = {f"{NAMES[name]}, {order}": cells(row) for (name, order), row in zip(CASES, speeds, strict=True)}
        given.record("ising", rows)
    if "ising-large" in given.tables:
        found = [alone(large, name) for name in NAMES]
        show("1024 x 1024, one seed, one temperature", found)
        given.record("ising-large", {NAMES[str(row["method"])]: large_cells(row) for row in found})


def cells(row: Mapping[str, object]) -> dict[str, str]:
    """A row of `speed`, of the bare loop, as docs/speed.md shows it."""
    share = str(row["random numbers"]).removesuffix(" of the time")
    return {"million updates a second": digits(row["bare loop"], 2), "share for random numbers": share}


def large_cells(row: Mapping[str, object]) -> dict[str, str]:
    """A row of `large` as docs/speed.md shows it."""
    numbers = {name: digits(row[name], 2) for name in ("million updates a second", "peak MB")}
    return {**numbers, "processor": cpu_model()}


def speed(name: str, order: str) -> dict[str, object]:
    """Updates a second, and the share of random numbers in the time of the bare loop."""
    updates = len(TEMPERATURES) * SEEDS * Ising().agents * SWEEPS / 1e6
    loop = min(bare(name, order) for _ in range(REPEATS))
    trainer = min(lightning(name, order) for _ in range(REPEATS))
    random = min(draws(name, order) for _ in range(REPEATS))
    return {
        "method": name,
        "order": order,
        "bare loop": updates / loop,
        "Lightning": updates / trainer,
        "random numbers": f"{random / loop:.0%} of the time",
    }


def bare(name: str, order: str) -> float:
    """Seconds of a loop without Lightning."""
    agent, data = parts(name, order)
    started = time.process_time()
    for play in data.train_dataloader():
        agent.training_step(play, 0)
    agent.validation_step(data.evaluate, 0)
    return time.process_time() - started


def lightning(name: str, order: str) -> float:
    """Seconds of `Trainer.fit`."""
    return fit(*parts(name, order))


def draws(name: str, order: str) -> float:
    """Seconds of the random numbers alone."""
    _, data = parts(name, order)
    started = time.process_time()
    for _ in range(SWEEPS):
        data.draws()
    return time.process_time() - started


def large(name: str) -> dict[str, object]:
    """Updates a second and peak memory of the whole process on a lattice of 1024 x 1024."""
    size, sweeps = 1024, 10
    game = Ising(size)
    agent = cast(type[LatticeAgent], algorithm_class(name, "lattice"))(game, [0], temperatures=[1.0])
    data = SweepDataModule(game, [0], temperatures=[1.0], steps=sweeps, evaluations=1)
    started = time.process_time()
    agent.training_step(partial(data.play, steps=sweeps), 0)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"method": name, "million updates a second": size * size * sweeps / seconds / 1e6, "peak MB": peak}


def parts(name: str, order: Any) -> tuple[LatticeAgent, SweepDataModule]:
    """An agent and its data module with the script's batch."""
    game, seeds = Ising(), range(SEEDS)
    agent = cast(type[LatticeAgent], algorithm_class(name, "lattice"))(game, seeds, temperatures=TEMPERATURES)
    data = SweepDataModule(
        game,
        seeds,
        temperatures=TEMPERATURES,
        steps=SWEEPS,
        evaluations=1,
        order=order,
        measure_every=MEASURE_EVERY,
    )
    return agent, data


if __name__ == "__main__":
    main()

"""The Ising model: mean field Q-learning against Metropolis sampling and exact physics (appendix C.2).

Without options it runs MF-Q in three orders of updates and MCMC on 20 x 20 spins over temperature, their training at
two temperatures, and lattices of 8, 16 and 32 around the critical point; and writes to results/ising

    equilibrium.csv, summary.csv    time means of every run; means over seeds beside the exact energy
    training.csv                    order parameter and error of Q against sweeps
    crossings.csv                   critical temperatures from the crossing of Binder's cumulants
    snapshots.csv                   spins as text
    references.csv                  Onsager, mean field and Kaufman
    order_parameter, energy, training, binder, spins (.png, .pdf), ordering.gif

Temperatures are the paper's tau, half of the physical one: the critical point is 1 / ln(1 + sqrt 2) = 1.1346.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mfmarl.environments.ising import Ising
from mfmarl.environments.ising_arguments import checked_size, temperature_tuple
from mfmarl.evaluation.intervals import bootstrap_interval
from mfmarl.files import write_csv
from mfmarl.jobs.job import TrainingJob, job_name
from mfmarl.jobs.launch import launch
from mfmarl.scripting.options import (
    Options,
    known_methods,
    main,
    named_once,
    parse,
)
from mfmarl.scripting.provenance import write_provenance
from mfmarl.scripting.results import read_result, report, updated
from mfmarl.scripting.settings import (
    arguments_of,
    seed_blocks,
    sourced,
    sources,
)
from mfmarl.statistical_physics import (
    CRITICAL_TEMPERATURE,
    crossings,
    cumulants,
    kaufman_energy,
    mean_field_magnetisation,
    onsager_energy,
    onsager_magnetisation,
)

OUT = Path("results/ising")
METHODS = {"mf-q": "tabular-mf-q", "mcmc": "metropolis"}
ORDERS = ("checkerboard", "simultaneous", "released-code")
KEYS = ["method", "order", "size"]
RUN = [*KEYS, "temperature", "seed"]


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters. The appendix gives only the form of the schedule, the figures of the paper the sizes."""

    temperatures: tuple[float, ...] = sourced(
        (
            *(0.6, 0.7, 0.8, 0.9, 1.0, 1.05, 1.075, 1.1, 1.125, 1.15, 1.175),
            *(1.2, 1.25, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0),
        ),
        "ours: the range of the paper's figure, dense around the transition",
    )
    learning_rate: float = sourced(0.1, "ours")
    start_temperature: float = sourced(2.0, "ours: exploration starts so far above tau")
    decay: float = sourced(5e-4, "ours: appendix C.2 says exponential; faster leaves stripes in the ordered phase")
    steps: int = sourced(40_000, "ours: sweeps")
    evaluations: int = sourced(20, "ours")
    burn_in: float = sourced(0.5, "ours: share of the sweeps that is not averaged over")
    measure_every: int = sourced(10, "ours: sweeps")
    start: str = sourced("random", "ours; MCMC starts from all spins up, which needs not find its order first")
    seed_count: int = sourced(16, "ours")
    seeds_a_job: int = sourced(16, "ours: seeds trained as one stack; changes no result")


EQUILIBRIUM = Settings()
TRAINING = replace(EQUILIBRIUM, temperatures=(0.8, 1.2), steps=10_000, evaluations=100, measure_every=1)
SIZE = 20  # the paper

# The domain walls of released-code hardly move: only slow cooling through its transition at tau = 2 lets it order.
SLOW = replace(EQUILIBRIUM, decay=3e-4, steps=50_000)

# Binder's cumulants of two sizes cross at the critical point. A fit needs temperatures within 1.6 / L of it.
WIDE = (1.03, 1.055, 1.08, 1.105, 1.13, 1.155, 1.18, 1.205, 1.23)
NARROW = (1.08, 1.0925, 1.105, 1.1175, 1.13, 1.1425, 1.155, 1.1675, 1.18)
CUMULANTS = {8: WIDE, 16: tuple(sorted({*WIDE, *NARROW})), 32: NARROW}

SNAPSHOT_TEMPERATURES = (0.9, 1.2, 2.0)  # the paper
SNAPSHOT_STEPS = 4000
FILM_SIZE, FILM_TEMPERATURE, FILM_FRAMES, FILM_STEPS = 64, 0.9, 80, 25

QUICK = replace(
    EQUILIBRIUM, temperatures=(0.6, 0.8, 1.0, 1.1, 1.2, 1.4, 2.0), decay=1e-2, steps=2000, evaluations=10, seed_count=2
)


@dataclass(frozen=True)
class IsingOptions(Options):
    """Options of this script."""

    settings: list[str] = field(default_factory=lambda: ["appendix"])
    """The settings to run: appendix, the only ones."""
    algorithms: list[str] = field(default_factory=list)
    """Of mf-q and mcmc, or path/to/file.py:Class for one of your own; without it those two."""
    out: Path = OUT
    """Directory of the results."""
    agents: list[int] = field(default_factory=list)
    """Number of spins of the lattice, the square of an even number; without it 400."""
    orders: list[str] = field(default_factory=lambda: list(ORDERS))
    """Orders of updates of MF-Q: checkerboard, simultaneous, released-code."""
    temperatures: list[float] = field(default_factory=list)
    """Temperatures tau at which to compare; without it those of the settings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.settings != ["appendix"]:
            raise ValueError(f"settings: got {', '.join(self.settings)}, allowed is appendix")
        known_methods("algorithms", self.algorithms, METHODS)
        if unknown := [order for order in self.orders if order not in ORDERS]:
            raise ValueError(f"orders: got {', '.join(unknown)}, allowed are {', '.join(ORDERS)}")
        for name in ("orders", "temperatures"):
            named_once(name, getattr(self, name))
        if self.temperatures:
            temperature_tuple(self.temperatures)
        if len(self.agents) > 1 or any(agents < 16 or isqrt(agents) ** 2 != agents for agents in self.agents):
            raise ValueError(f"agents: got {self.agents}, allowed is one square of an even number, at least 16")
        checked_size(self.size, 4, even=True)  # its checkerboard

    @property
    def size(self) -> int:
        """L of the lattice on which methods are compared."""
        return isqrt(self.agents[0]) if self.agents else SIZE


def run(arguments: Sequence[str] | None = None) -> None:
    """What the command line asks for."""
    options = parse(IsingOptions, arguments)
    if options.quick and options.out == OUT:
        options = replace(options, out=Path("results/quick/ising"))
    if not options.figures_only:
        train(options)
        write_csv(snapshots(options), options.out / "snapshots.csv", keys=["kind", *KEYS, "temperature", "step", "row"])
    draw(options)


def train(options: IsingOptions) -> None:
    """Run all jobs and write what they found."""
    jobs: dict[str, list[TrainingJob]] = {}
    settings: dict[str, dict[str, object]] = {}
    for cell in cells(options):
        jobs.setdefault(cell.part, []).extend(cell.jobs(options))
        settings.setdefault(cell.part, {})[f"{cell.order}, {cell.size} x {cell.size}"] = sources(cell.settings)
    every = [job for some in jobs.values() for job in some]
    rows = dict(zip((job.name for job in every), launch(every, options.out, options), strict=True))
    for part, some in jobs.items():
        table = pd.concat([rows[job.name] for job in some]).drop(columns="part")
        path, keys = options.out / f"{part}.csv", [*RUN, "step"]
        if part == "equilibrium":
            table, keys = averaged(table), RUN
        write_csv(updated(path, table, KEYS), path, keys=keys)
        write_provenance(some, options, settings[part], part)


def cells(options: IsingOptions) -> Iterator[Cell]:
    """Everything that is run, by method, order, size and settings."""
    methods = options.algorithms or list(METHODS)
    base = QUICK if options.quick else EQUILIBRIUM
    training = replace(base, temperatures=TRAINING.temperatures) if options.quick else TRAINING
    compared = replace(base, temperatures=tuple(options.temperatures) or base.temperatures)
    for method in methods:
        for order in options.orders if method == "mf-q" else ("checkerboard",):
            yield Cell("training", method, order, options.size, training)
            slow = order == "released-code" and not options.quick
            settings = replace(SLOW, temperatures=compared.temperatures) if slow else compared
            yield Cell("equilibrium", method, order, options.size, settings)
        for size, temperatures in CUMULANTS.items() if not options.quick and "checkerboard" in options.orders else ():
            if size != options.size:
                yield Cell("equilibrium", method, "checkerboard", size, replace(EQUILIBRIUM, temperatures=temperatures))


@dataclass(frozen=True)
class Cell:
    """One method, order and size, at all temperatures of its settings."""

    part: str
    method: str
    order: str
    size: int
    settings: Settings

    def jobs(self, options: Options) -> Iterator[TrainingJob]:
        """The jobs of its seeds, `seeds_a_job` of them as one stack."""
        labels: dict[str, str | int | float]
        labels = {"part": self.part, "method": self.method, "order": self.order, "size": self.size}
        algorithm, settings = METHODS.get(self.method, self.method), self.settings
        agent = arguments_of(algorithm, vars(settings), "lattice")
        data = {name: getattr(settings, name) for name in ("temperatures", "steps", "evaluations", "measure_every")}
        data |= {"order": self.order, "start": "up" if self.method == "mcmc" else settings.start}
        conditions = tuple({"temperature": temperature} for temperature in settings.temperatures)
        for block in seed_blocks(options.seed, options.seeds or settings.seed_count, settings.seeds_a_job):
            name = job_name(*labels.values(), seeds=block)
            yield TrainingJob(name, labels, algorithm, Ising(self.size), block, agent, data, conditions)


def averaged(rows: pd.DataFrame) -> pd.DataFrame:
    """Time means of every run, without the burn-in."""
    last = rows.groupby(RUN)["step"].transform("max")
    kept = rows[rows["step"] > EQUILIBRIUM.burn_in * last]
    columns = ["order_parameter", "sublattice_order_parameter", "energy"]
    columns += ["squared_magnetisation", "fourth_magnetisation"]
    return kept.groupby(RUN, as_index=False)[columns].mean()


def snapshots(options: IsingOptions) -> pd.DataFrame:
    """Lattices as text, a line a row of spins: at the paper's temperatures, and one that orders while it learns."""
    # torch and Lightning take seconds to import.
    from mfmarl.algorithms.lattice import LatticeAgent, Metropolis, TabularMFQ  # noqa: PLC0415
    from mfmarl.data.sweeps import SweepDataModule  # noqa: PLC0415

    steps = SNAPSHOT_STEPS // (10 if options.quick else 1)
    still, film = Ising(SIZE), Ising(FILM_SIZE)
    agents: list[tuple[str, str, LatticeAgent, int, int]] = [
        (
            "equilibrium",
            "mf-q",
            TabularMFQ(still, [options.seed], temperatures=SNAPSHOT_TEMPERATURES, decay=4e-3),
            1,
            steps,
        ),
        ("equilibrium", "mcmc", Metropolis(still, [options.seed], temperatures=SNAPSHOT_TEMPERATURES), 1, steps),
        (
            "ordering",
            "mf-q",
            TabularMFQ(film, [options.seed], temperatures=(FILM_TEMPERATURE,), decay=4e-3),
            FILM_FRAMES,
            FILM_STEPS,
        ),
    ]
    lines = []
    for kind, method, agent, frames, sweeps in agents:
        size, temperatures = agent.environment.size, agent.temperatures
        start: Literal["random", "up"] = "up" if method == "mcmc" else "random"
        data = SweepDataModule(
            agent.environment, agent.seeds, temperatures=temperatures, steps=frames * sweeps, evaluations=1, start=start
        )
        for frame in range(1, frames + 1):
            agent.training_step(partial(data.play, steps=sweeps), 0)
            for temperature, lattice in zip(temperatures, data.spins[:, 0].tolist(), strict=True):
                where = {"kind": kind, "method": method, "order": "checkerboard", "size": size}
                where |= {"temperature": temperature, "step": frame * sweeps}
                for row, spins in enumerate(lattice):
                    lines.append({**where, "row": row, "spins": "".join("+" if spin > 0 else "-" for spin in spins)})
    return pd.DataFrame(lines)


def draw(options: IsingOptions) -> None:
    """The tables beside the exact values, and all figures."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    table = read_result(options.out / "equilibrium.csv", RUN)
    if options.size not in set(table["size"]):
        raise ValueError(f"agents: got {options.size**2}, but the results are of {sorted(set(table['size'] ** 2))}")
    truth = references(table)
    summary = summarise(table)
    found = crossing_temperatures(table)
    write_csv(truth, options.out / "references.csv", keys=["curve", "size", "temperature"])
    write_csv(summary, options.out / "summary.csv", keys=[*KEYS, "temperature"])
    files = ["equilibrium.csv", "training.csv", "summary.csv", "references.csv", "snapshots.csv"]
    pictures, learning = (read_result(options.out / f"{name}.csv", KEYS) for name in ("snapshots", "training"))
    infinite = truth["size"].isna()
    compared, learning = table[table["size"] == options.size], learning[learning["size"] == options.size]
    drawn = {
        "order_parameter": figures.order_parameter(compared, truth[infinite], CRITICAL_TEMPERATURE),
        "energy": figures.energy(table, truth[~infinite], CRITICAL_TEMPERATURE),
        "training": figures.training(learning),
        "spins": figures.spins(pictures[pictures["kind"] == "equilibrium"]),
    }
    if len(found):
        write_csv(found, options.out / "crossings.csv", keys=["method", "sizes"])
        files.append("crossings.csv")
        around = table[table["size"].isin(CUMULANTS) & table["temperature"].between(min(WIDE), max(WIDE))]
        around = around[around["order"] == "checkerboard"]
        drawn["binder"] = figures.binder(cumulants(around), found, CRITICAL_TEMPERATURE)
        print(found.to_string(index=False, float_format="{:.5f}".format), "\n")
    films = pictures[pictures["kind"] == "ordering"]
    frames = np.array([lattice(lines) for _, lines in films.groupby("step")], dtype=np.int8)
    captions = [
        f"MF-Q, tau = {FILM_TEMPERATURE:g}, sweep {step}, order parameter {abs(frame.mean()):.2f}"
        for step, frame in zip(sorted(set(films["step"])), frames, strict=True)
    ]
    figures.animation(frames, captions, options.out / "ordering.gif")
    report(summary, options.out, [*files, "ordering.gif"], drawn)


def references(table: pd.DataFrame) -> pd.DataFrame:
    """Exact curves: Onsager's and the mean field's of the infinite lattice, Kaufman's energy of each size."""
    measured = table["temperature"]
    temperatures = np.unique([*measured, *np.linspace(measured.min(), measured.max(), 281)])
    infinite = {
        "Onsager, infinite lattice": (onsager_magnetisation(temperatures), onsager_energy(temperatures)),
        "mean field": (np.array([mean_field_magnetisation(each) for each in temperatures]), np.nan),
    }
    curves = [
        pd.DataFrame({"curve": name, "temperature": temperatures, "order_parameter": order, "energy": energy})
        for name, (order, energy) in infinite.items()
    ]
    for size in sorted(set(table["size"])):
        energy = kaufman_energy(int(size), temperatures)
        columns = {"curve": "Kaufman, finite lattice", "size": size, "temperature": temperatures, "energy": energy}
        curves.append(pd.DataFrame(columns))
    return pd.concat(curves)[["curve", "size", "temperature", "order_parameter", "energy"]]


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds with 95% intervals, and how many standard errors the energy is from Kaufman's."""
    rows = []
    for _, runs in table.groupby([*KEYS, "temperature"]):
        row: dict[str, Any] = {**runs[[*KEYS, "temperature"]].iloc[0], "n": len(runs)}
        for column in ("order_parameter", "energy"):
            interval = bootstrap_interval(runs[column], generator=np.random.default_rng(0))
            row |= {column: interval.estimate, f"{column}_low": interval.low, f"{column}_high": interval.high}
        exact = kaufman_energy(int(row["size"]), float(row["temperature"]))
        error = runs["energy"].std() / np.sqrt(len(runs))
        deviation = (runs["energy"].mean() - exact) / error if error > 0 else np.nan
        rows.append({**row, "exact_energy": exact, "standard_errors": deviation})
    return pd.DataFrame(rows)


def crossing_temperatures(table: pd.DataFrame) -> pd.DataFrame:
    """Where the Binder cumulants of two sizes cross, for those that were run around the critical point."""
    found = []
    for (small, large), temperatures in {(8, 16): WIDE, (16, 32): NARROW}.items():
        both = table[table["size"].isin((small, large)) & table["temperature"].isin(temperatures)]
        both = both[both["order"] == "checkerboard"]
        if both.groupby("method")["size"].nunique().eq(2).all() and len(both):
            found.append(crossings(both))
    return pd.concat(found) if found else pd.DataFrame()


def lattice(lines: pd.DataFrame) -> list[list[int]]:
    """Spins of a snapshot from its lines of text."""
    return [[1 if spin == "+" else -1 for spin in line] for line in lines.sort_values("row")["spins"]]


if __name__ == "__main__":
    raise SystemExit(main(run))

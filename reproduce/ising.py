"""The Ising model: mean field Q-learning against Metropolis sampling and exact physics (appendix C.2).

Without options the script runs MF-Q and independent Q-learning (IL) in three orders of updates, and MCMC, on 20 x 20
spins over a range of temperatures. It records their training at a few temperatures, and runs MF-Q and MCMC on lattices
of side 8, 16 and 32 around the critical point. It writes to results/ising:

    equilibrium.csv, summary.csv    time means of every run; means over seeds beside the exact energy
    training.csv                    order parameter and error of Q against sweeps
    crossings.csv                   critical temperatures from the crossing of Binder cumulants
    snapshots.csv                   spins as text, of the median of several runs or of a single run
    frames.csv                      ordering lattices at several temperatures, one picture per row, four spins per digit
    references.csv                  Onsager, mean field and Kaufman
    order_parameter, energy, training, binder, spins (.png, .pdf), ordering.gif

A custom method, `--algorithms mf-q path/to/file.py:Class`, runs in the orders named by `--orders` and gets its own rows
and lines. It is a subclass of LatticeAgent; see examples/my_ising_method.py.

Temperatures are the paper's tau, half the physical temperature: the critical point is 1 / ln(1 + sqrt 2) = 1.1346.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mfmarl.environments.ising import LARGEST_SIZE, Ising
from mfmarl.environments.ising_arguments import temperature_tuple
from mfmarl.evaluation.intervals import bootstrap_interval, interval_columns
from mfmarl.files import write_csv
from mfmarl.jobs.console import say
from mfmarl.jobs.job import Label, TrainingJob, job_name
from mfmarl.jobs.snapshots import SnapshotJob
from mfmarl.scripting.guards import check_update
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, known_methods, known_names, named_once, parse
from mfmarl.scripting.results import Section, do, read_result, report, update, with_baselines
from mfmarl.scripting.settings import arguments_of, seed_blocks, sourced, sources, values
from mfmarl.scripting.tables import read_provenance
from mfmarl.statistical_physics import (
    CRITICAL_TEMPERATURE,
    DEGREE,
    crossings,
    cumulants,
    fits,
    kaufman_energy,
    mean_field_magnetisation,
    onsager_energy,
    onsager_magnetisation,
)

OUT = Path("results/ising")
METHODS = {"mf-q": "tabular-mf-q", "il": "tabular-il", "mcmc": "metropolis"}
PICTURED = ("mf-q", "mcmc")
ORDERS = ("checkerboard", "simultaneous", "released-code")
KEYS = ["method", "order", "size"]
RUN = [*KEYS, "temperature", "seed"]
DRAWN = ["temperature", "seed", "order_parameter", "energy"]
PICTURE = ["kind", *KEYS, "temperature", "step"]


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters. The appendix gives only the form of the schedule, the paper's figures only the sizes."""

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
    burn_in: float = sourced(0.5, "ours: share of the sweeps that is not averaged over", script=True)
    measure_every: int = sourced(10, "ours: sweeps")
    start: str = sourced("random", "ours; MCMC starts from all spins up, which is ordered already")
    seed_count: int = sourced(16, "ours", script=True)
    seeds_a_job: int = sourced(16, "ours: seeds trained as one stack; changes no result", script=True)


EQUILIBRIUM = Settings()
TRAINING = replace(EQUILIBRIUM, temperatures=(0.8, 1.2), steps=10_000, evaluations=100, measure_every=1)
SIZE = 20  # the paper

# Under released-code, domain walls hardly move: only slow cooling through its transition at tau = 2 orders the lattice.
SLOW = replace(EQUILIBRIUM, decay=3e-4, steps=50_000)
# IL has its transition there too. Both are trained there and beyond, in separate cells, so that the runs at other
# temperatures stay the same.
TRAINING_THERE = replace(TRAINING, temperatures=(2.0,))
BEYOND = (2.1, 2.2, 2.3, 2.4)

# The Binder cumulants of two sizes cross at the critical point. A fit needs temperatures within 1.6 / L of it.
WIDE = (1.03, 1.055, 1.08, 1.105, 1.13, 1.155, 1.18, 1.205, 1.23)
NARROW = (1.08, 1.0925, 1.105, 1.1175, 1.13, 1.1425, 1.155, 1.1675, 1.18)
CUMULANTS = {8: WIDE, 16: tuple(sorted({*WIDE, *NARROW})), 32: NARROW}
WINDOWS = {(8, 16): WIDE, (16, 32): NARROW}  # temperatures of the fit for two sizes

# Pictures: the median run at the temperatures of the paper, and a film of one lattice that orders while it learns.
SNAPSHOTS = replace(EQUILIBRIUM, temperatures=(0.9, 1.2, 2.0), decay=4e-3, steps=4000, evaluations=1)
FILM = replace(EQUILIBRIUM, temperatures=(0.9,), decay=4e-3, steps=2000, evaluations=80, seed_count=1)
FILM_SIZE = 64

# The lattices with a slider on the report page: more temperatures around the transition, fewer pictures than a film.
FRAMES = replace(FILM, temperatures=(0.6, 0.8, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 1.75, 2.0), evaluations=25)

SETTINGS = {"appendix": EQUILIBRIUM}
QUICK = replace(
    EQUILIBRIUM, temperatures=(0.6, 0.8, 1.0, 1.1, 1.2, 1.4, 2.0), decay=1e-2, steps=2000, evaluations=10, seed_count=2
)
QUICK_SNAPSHOTS = replace(SNAPSHOTS, steps=400)
QUICK_FRAMES = replace(FRAMES, temperatures=(0.6, 1.1, 2.0), steps=400, evaluations=4)


@dataclass(frozen=True)
class IsingOptions(Options):
    """Options of this script."""

    settings: list[str] = field(default_factory=lambda: ["appendix"])
    """Names of the settings to run; only appendix exists."""
    algorithms: list[str] = field(default_factory=list)
    """Algorithms among mf-q, il and mcmc, or path/to/file.py:Class for a custom one. Default: these three."""
    out: Path = OUT
    """Directory of the results."""
    agents: list[int] = field(default_factory=list)
    """Number of spins of the lattice, the square of an even number. Default: 400."""
    orders: list[str] = field(default_factory=lambda: list(ORDERS))
    """Orders of updates of all methods but mcmc: checkerboard, simultaneous, released-code. Pictures show only the
    first."""
    temperatures: list[float] = field(default_factory=list)
    """Temperatures tau at which methods are compared. Default: those of the settings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known_names("settings", self.settings, SETTINGS)
        known_methods("algorithms", self.algorithms, METHODS)
        known_names("orders", self.orders, ORDERS)
        for name in ("orders", "temperatures"):
            named_once(name, getattr(self, name))
        if self.temperatures:
            temperature_tuple(self.temperatures)
        sizes = [isqrt(max(agents, 0)) for agents in self.agents]
        if len(sizes) > 1 or any(
            not 4 <= size <= LARGEST_SIZE or size % 2 or [size**2] != self.agents for size in sizes
        ):
            asked = f"one square of an even number, at least 16, at most {LARGEST_SIZE**2}"
            raise ValueError(f"agents: got {self.agents}, allowed is {asked}")  # a checkerboard

    @property
    def size(self) -> int:
        """Side length L of the lattice on which methods are compared."""
        return isqrt(self.agents[0]) if self.agents else SIZE


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(IsingOptions, arguments)
    if not options.figures_only:
        train(options)
    draw(options)


def train(options: IsingOptions) -> None:
    """Run all jobs and update their tables."""
    every = list(cells(options))
    sections = []
    for part in ("training", "equilibrium", "snapshots", "frames"):
        some = [cell for cell in every if cell.part == part]
        settings: dict[str, object] = {cell.called: sources(cell.settings) for cell in some}
        if part == "equilibrium" and any(cell.size in CUMULANTS for cell in some):
            settings["crossings"] = binder_fit()
        if some:
            sections.append(Section(part, [job for cell in some for job in cell.jobs(options)], settings))
    for section in sections:
        if section.name in ("training", "equilibrium"):
            check_update(options.out / f"{section.name}.csv", section.jobs, [*KEYS, "temperature"], options)
    done = {
        section.name: rows.drop(columns="part") for section, rows in zip(sections, do(sections, options), strict=True)
    }
    update(options.out / "training.csv", done["training"], replacing=RUN, keys=[*RUN, "step"])
    update(options.out / "equilibrium.csv", averaged(done["equilibrium"], every), replacing=RUN, keys=RUN)
    if "snapshots" in done:
        of_one = {"seed": options.seed, "runs": 1}
        snapshots = done["snapshots"].fillna(of_one).astype(dict.fromkeys(of_one, int))
        update(options.out / "snapshots.csv", snapshots, replacing=["kind", *KEYS], keys=[*PICTURE, "row"])
    if "frames" in done:
        frames = pictures(done["frames"])
        update(options.out / "frames.csv", frames, replacing=KEYS, keys=[*KEYS, "temperature", "step"])


def cells(options: IsingOptions) -> Iterator[Cell]:
    """All cells to run, by method, order, size and settings."""
    methods = options.algorithms or list(METHODS)
    [base] = options.chosen(SETTINGS, QUICK).values()
    training = replace(base, temperatures=TRAINING.temperatures) if options.quick else TRAINING
    compared = replace(base, temperatures=tuple(options.temperatures) or base.temperatures)
    for method in methods:
        for order in ("checkerboard",) if method == "mcmc" else options.orders:
            yield Cell("training", method, order, options.size, training)
            slow = order == "released-code" and not options.quick
            settings = replace(SLOW, temperatures=compared.temperatures) if slow else compared
            chosen = f"tau-{min(options.temperatures)}-to-{max(options.temperatures)}" if options.temperatures else ""
            yield Cell("equilibrium", method, order, options.size, settings, at=chosen)
            if slow or (method in ("il", "mcmc") and not options.quick):
                yield Cell("training", method, order, options.size, TRAINING_THERE, at="tau-2")
                if not options.temperatures:
                    hot = replace(settings, temperatures=BEYOND)
                    yield Cell("equilibrium", method, order, options.size, hot, at="above-tau-2")
        crossed = method != "il" and "checkerboard" in options.orders and not options.quick
        for size, temperatures in CUMULANTS.items() if crossed else ():
            if size != options.size:
                yield Cell("equilibrium", method, "checkerboard", size, replace(EQUILIBRIUM, temperatures=temperatures))
    pictured = [method for method in methods if method in PICTURED and "checkerboard" in options.orders]
    for method in pictured:
        stills = QUICK_SNAPSHOTS if options.quick else SNAPSHOTS
        yield Cell("snapshots", method, "checkerboard", SIZE, stills, kind="equilibrium")
    if "mf-q" in pictured:
        yield Cell("snapshots", "mf-q", "checkerboard", FILM_SIZE, FILM, kind="ordering")
        frames = QUICK_FRAMES if options.quick else FRAMES
        yield Cell("frames", "mf-q", "checkerboard", FILM_SIZE, frames, kind="ordering")


@dataclass(frozen=True)
class Cell:
    """One method, order and size, at all temperatures of its settings.

    Snapshots have a `kind`; their number of seeds is that of their settings, whatever --seeds says.

    `at` names the temperatures if another cell has the remaining ones.
    """

    part: str
    method: str
    order: str
    size: int
    settings: Settings
    kind: str = ""
    at: str = ""

    @property
    def called(self) -> str:
        """Name in provenance.json: order, size and `at`."""
        return ", ".join(filter(None, [self.order, f"{self.size} x {self.size}", self.at]))

    def jobs(self, options: Options) -> Iterator[TrainingJob]:
        """The jobs of the cell, each of which trains `seeds_a_job` seeds as one stack."""
        labels: dict[str, Label] = {"part": self.part, **({"kind": self.kind} if self.kind else {})}
        labels |= {"method": self.method, "order": self.order, "size": self.size}
        algorithm, settings = METHODS.get(self.method, self.method), self.settings
        start = "up" if self.method == "mcmc" else settings.start
        numbers = {**values(settings), "order": self.order, "start": start}
        agent, data = arguments_of(algorithm, numbers, "lattice", options.method)
        conditions = tuple({"temperature": temperature} for temperature in settings.temperatures)
        job = SnapshotJob if self.kind else TrainingJob
        count = settings.seed_count if self.kind else options.seeds or settings.seed_count
        for block in seed_blocks(options.seed, count, settings.seeds_a_job):
            name = job_name(*labels.values(), *filter(None, [self.at]), seeds=block)
            yield job(name, labels, algorithm, Ising(self.size), block, agent, data, conditions)


def averaged(rows: pd.DataFrame, cells: Iterable[Cell]) -> pd.DataFrame:
    """Time means of every run, without the burn-in of its cell."""
    shares = {
        (cell.method, cell.order, cell.size, temperature): cell.settings.burn_in
        for cell in cells
        if cell.part == "equilibrium"
        for temperature in cell.settings.temperatures
    }
    burn_in = [shares[run] for run in rows[[*KEYS, "temperature"]].itertuples(index=False, name=None)]
    last = rows.groupby(RUN)["step"].transform("max")
    kept = rows[rows["step"] > burn_in * last]
    columns = ["order_parameter", "sublattice_order_parameter", "energy"]
    columns += ["squared_magnetisation", "fourth_magnetisation"]
    return kept.groupby(RUN, as_index=False)[columns].mean()


def pictures(lines: pd.DataFrame) -> pd.DataFrame:
    """One row per lattice: spins from the top left, four per hexadecimal digit, the first in the highest bit; 1: up."""
    rows = []
    for keys, picture in lines.groupby([*KEYS, "temperature", "step"]):
        bits = "".join(picture.sort_values("row")["spins"]).replace("+", "1").replace("-", "0")
        rows.append([*keys, f"{int(bits, 2):0{len(bits) // 4}x}"])
    return pd.DataFrame(rows, columns=[*KEYS, "temperature", "step", "spins"])


def draw(options: IsingOptions) -> None:
    """Write the tables with the exact values, and draw all figures."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    table, training = (
        with_baselines(read_result(options.out / name, KEYS, numbers), options.out / name, options, KEYS, "method")
        for name, numbers in (("equilibrium.csv", DRAWN), ("training.csv", [*DRAWN, "step"]))
    )
    if "q_error" not in training.columns:  # no method learned
        training["q_error"] = np.nan
    if options.size not in set(table["size"]):
        raise ValueError(f"agents: got {options.size**2}, but the results are of {sorted(set(table['size'] ** 2))}")
    truth, summary, pairs = references(table), summarise(table), list(pairs_of_sizes(table))
    write_csv(truth, options.out / "references.csv", keys=["curve", "size", "temperature"])
    write_csv(summary, options.out / "summary.csv", keys=[*KEYS, "temperature"])
    files = ["equilibrium.csv", "training.csv", "summary.csv", "references.csv"]
    infinite = truth["size"].isna()
    compared = table[table["size"] == options.size]
    # The other runs have a different energy.
    in_equilibrium = table["method"].eq("mcmc") | (table["order"].eq("checkerboard") & table["method"].ne("il"))
    drawn = {
        "order_parameter": figures.order_parameter(compared, truth[infinite], CRITICAL_TEMPERATURE, sweeps(options)),
        "training": figures.training(training[training["size"] == options.size]),
    }
    if in_equilibrium.any():
        drawn["energy"] = figures.energy(table[in_equilibrium], truth[~infinite], CRITICAL_TEMPERATURE)
    if (options.out / "snapshots.csv").exists():
        snapshots = read_result(options.out / "snapshots.csv", [*PICTURE, "runs", "row", "spins"])
        drawn["spins"] = figures.spins(snapshots[snapshots["kind"] == "equilibrium"])
        files.append("snapshots.csv")
        ordering = snapshots[snapshots["kind"] == "ordering"]
        if len(ordering):
            film(ordering, options.out / "ordering.gif")
            files.append("ordering.gif")
    if pairs:
        found, fitted = (pd.concat([of_pair(each) for each in pairs]) for of_pair in (crossings, fits))
        write_csv(found, options.out / "crossings.csv", keys=["method", "sizes"])
        files.append("crossings.csv")
        around = table[table["size"].isin(CUMULANTS) & table["temperature"].between(min(WIDE), max(WIDE))]
        around = around[(around["order"] == "checkerboard") & around["method"].isin(found["method"])]
        drawn["binder"] = figures.binder(cumulants(around), fitted, found, CRITICAL_TEMPERATURE)
        say(found.to_string(index=False, float_format="{:.5f}".format) + "\n")
    report(summary, options.out, files, drawn)


def sweeps(options: IsingOptions) -> dict[str, int]:
    """Number of sweeps of an equilibrium run by order of updates, from provenance.json."""
    known = {}
    for call in read_provenance(options.out / "provenance.json").get("equilibrium", []):
        for name, settings in call["settings"].items():
            order, _, size = name.partition(", ")
            if size == f"{options.size} x {options.size}":
                known[order] = settings["steps"]["value"]
    return known


def film(snapshots: pd.DataFrame, path: Path) -> None:
    """Save the film of a lattice that orders while it learns."""
    from mfmarl.figures.ising_spins import animation, lattice  # noqa: PLC0415 - seaborn takes seconds to import

    frames, captions = [], []
    for (temperature, step), lines in snapshots.groupby(["temperature", "step"]):
        frame = lattice(lines, f"sweep {step}")
        frames.append(frame)
        captions.append(f"MF-Q, tau = {temperature:g}, sweep {step}, order parameter {abs(frame.mean()):.2f}")
    animation(np.array(frames), captions, path)


def references(table: pd.DataFrame) -> pd.DataFrame:
    """Exact curves: Onsager and mean field for the infinite lattice, and Kaufman's energy for each size."""
    measured = table["temperature"]
    low, high = measured.min(), measured.max()
    if low == high:
        low, high = 0.95 * low, 1.05 * high
    temperatures = np.unique([*measured, *np.linspace(low, high, 281)])
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
    """Means over seeds with 95% intervals, and the distance of the energy from Kaufman's in standard errors."""
    rows = []
    for _, runs in table.groupby([*KEYS, "temperature"]):
        row: dict[str, Any] = {**runs[[*KEYS, "temperature"]].iloc[0], "n": len(runs)}
        for column in ("order_parameter", "energy"):
            row |= interval_columns(column, bootstrap_interval(runs[column], generator=np.random.default_rng(0)))
        exact = kaufman_energy(int(row["size"]), float(row["temperature"]))
        error = runs["energy"].std() / np.sqrt(len(runs))
        deviation = (runs["energy"].mean() - exact) / error if error > 0 else np.nan
        rows.append({**row, "exact_energy": exact, "standard_errors": deviation})
    return pd.DataFrame(rows)


def binder_fit() -> dict[str, object]:
    """Parameters of the fit that finds crossings, with their sources."""
    fitted = {f"temperatures of {small} and {large}": list(within) for (small, large), within in WINDOWS.items()}
    return {
        "degree": {"value": DEGREE, "source": "ours: of the polynomials fitted to Binder's cumulants"},
        **{name: {"value": value, "source": "ours: within 1.6 / L of tau_c"} for name, value in fitted.items()},
    }


def pairs_of_sizes(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """For each pair of sizes, the runs around the critical point, where their Binder cumulants cross."""
    for (small, large), temperatures in WINDOWS.items():
        both = table[table["size"].isin((small, large)) & table["temperature"].isin(temperatures)]
        both = both[both["order"] == "checkerboard"]
        both = both.groupby("method").filter(lambda runs: runs["size"].nunique() == 2)
        if len(both):
            yield both


if __name__ == "__main__":
    raise SystemExit(main(run))

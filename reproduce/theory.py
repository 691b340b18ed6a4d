"""Measure the paper's mathematics and toy example: appendix B (TH-1), D (TH-2), D.1 (TH-3), and the 3 x 3 torus.

Without options the script does every measurement of the table below, in a few minutes, and writes tables, figures,
README numbers and provenance to results/theory.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from mfmarl.files import write_text
from mfmarl.jobs.job import job_name
from mfmarl.measurements.job import MeasurementJob
from mfmarl.measurements.rows import COLUMNS, KEYS, against_exact
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, known_names, parse
from mfmarl.scripting.pages.theory import with_numbers
from mfmarl.scripting.results import Section, do, read_result, report
from mfmarl.scripting.tables import write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUT = Path("results/theory")
Sizes = dict[str, object]


class Measurement(NamedTuple):
    """A measurement: its table <file>.csv, its function in mfmarl/measurements, and its sizes."""

    file: str
    function: str
    full: Sizes
    quick: Sizes


SQUEEZE: Sizes = {"agents": 100, "seeds": 32, "steps": 8000}
QUICK_SQUEEZE: Sizes = {"agents": 20, "seeds": 3, "steps": 500}
TABLES: Sizes = {"size": 20, "seeds": 16, "sweeps": 4000}
QUICK_TABLES: Sizes = {"size": 4, "seeds": 3, "sweeps": 300}
TEMPERATURES = (0.6, 0.8, 0.9, 1.0, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.05, 2.2, 2.4, 2.7, 3.0)

# All sizes are our choice; the measurements say which values the paper fixes.
MEASUREMENTS: dict[str, Measurement] = {
    "bounds": Measurement("approximation", "approximation.bounds", {"draws": 150}, {"draws": 20}),
    "growth": Measurement(
        "approximation",
        "approximation.growth",
        {"neighbours": (1, 2, 4, 8, 16, 32, 64, 128), "draws": 2000},
        {"neighbours": (1, 4, 16), "draws": 100},
    ),
    "pairwise": Measurement(
        "approximation",
        "approximation.pairwise",
        {"agents": (2, 3, 5, 10, 20, 50, 70, 90, 100, 110, 120, 150, 200, 250, 300, 350, 400, 500, 700, 1000)},
        {"agents": (2, 10, 100, 300)},
    ),
    "squeeze": Measurement(
        "approximation", "approximation.squeeze", {**SQUEEZE, "draws": 200}, {**QUICK_SQUEEZE, "draws": 20}
    ),
    "ising": Measurement("approximation", "approximation.ising", TABLES, QUICK_TABLES),
    "thresholds": Measurement("contraction", "contraction.thresholds", {}, {}),
    "constants": Measurement("contraction", "contraction.constants", {}, {}),
    "factors": Measurement(
        "contraction",
        "contraction.factors",
        {"temperatures": TEMPERATURES, "curve": 121, "size": 32, "seeds": 20, "sweeps": 400},
        {"temperatures": (0.8, 1.3, 2.2, 3.0), "curve": 23, "size": 12, "seeds": 3, "sweeps": 100},
    ),
    "cycles": Measurement("contraction", "contraction.cycles", {"sweeps": 3000}, {"sweeps": 600}),
    "portraits": Measurement("contraction", "contraction.portraits", {"steps": 24}, {"steps": 24}),
    "squeeze thresholds": Measurement(
        "contraction",
        "squeeze_contraction.thresholds",
        {"agents": (10, 100, 1000), "dampings": (1.0, 0.5, 0.1)},
        {"agents": (10, 100), "dampings": (1.0, 0.5)},
    ),
    "bifurcation": Measurement(
        "contraction",
        "squeeze_contraction.bifurcation",
        {"agents": 100, "temperatures": 120, "dampings": (1.0, 0.5)},
        {"agents": 100, "temperatures": 12, "dampings": (1.0, 0.5)},
    ),
    "squeeze networks": Measurement("contraction", "squeeze_contraction.networks", SQUEEZE, QUICK_SQUEEZE),
    "ising tables": Measurement("contraction", "contraction.ising_tables_contract", TABLES, QUICK_TABLES),
    "noise": Measurement(
        "learning",
        "stationary.noise",
        {"rates": (0.01, 0.03, 0.1, 0.3, 1.0), "seeds": 8, "visits": 1000},
        {"rates": (0.1, 1.0), "seeds": 3, "visits": 100},
    ),
    "value gap": Measurement(
        "learning",
        "stationary.value_gap",
        {"temperatures": (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 5.0), "curve": 100, "seeds": 8, "visits": 500},
        {"temperatures": (0.3, 1.0, 3.0), "curve": 20, "seeds": 3, "visits": 50},
    ),
    "best response": Measurement(
        "learning",
        "stationary.best_response",
        {"agents": 100, "crowds": ("low", "even", "high"), "rate": 1e-4, "updates": 4000, "seeds": 64},
        {"agents": 100, "crowds": ("low", "even", "high"), "rate": 1e-4, "updates": 100, "seeds": 3},
    ),
    "patience": Measurement(
        "learning",
        "stationary.patience",
        {"agents": 100, "runs": ((3e-3, 4000, 224), (1e-3, 4000, 32), (3e-4, 4000, 32), (3e-3, 16_000, 32))},
        {"agents": 100, "runs": ((1e-3, 100, 3),)},
    ),
    "markov game": Measurement(
        "learning",
        "markov_game.markov_game",
        {"seeds": 8, "updates": 8000, "evaluations": 20},
        {"seeds": 3, "updates": 300, "evaluations": 3},
    ),
    "assumption": Measurement("learning", "markov_game.assumption", {}, {}),
    "herding": Measurement(
        "learning", "congestion.herding", {"dampings": (1.0, 0.5, 0.3, 0.1)}, {"dampings": (1.0, 0.5)}
    ),
    "glie": Measurement(
        "learning",
        "glie.glie",
        {"size": 4, "seeds": 16, "steps": 100_000, "evaluations": 16},
        {"size": 4, "seeds": 4, "steps": 500, "evaluations": 5},
    ),
    "glie, exact values": Measurement(
        "learning",
        "glie.exact_values",
        {"size": 4, "seeds": 16, "steps": 10_000, "evaluations": 13},
        {"size": 4, "seeds": 4, "steps": 500, "evaluations": 5},
    ),
    "congestion": Measurement(
        "learning",
        "congestion.congestion",
        {"agents": 100, "temperatures": (0.1, 0.2, 0.3, 0.4, 0.47, 0.6, 1.0), "seeds": 8, "steps": 1000},
        {"agents": 30, "temperatures": (0.2, 0.7), "seeds": 3, "steps": 200},
    ),
    "table values": Measurement("toy", "toy.table_values", {}, {}),
    "times": Measurement("toy", "toy.times", {"runs": 4000}, {"runs": 200}),
    "shares": Measurement(
        "toy",
        "toy.shares",
        {"temperatures": (0.5, 1.0, 2.0), "runs": 60, "sweeps": 400},
        {"temperatures": (1.0,), "runs": 20, "sweeps": 50},
    ),
    "from zero": Measurement("toy", "toy.learning", {"runs": 1000, "sweeps": 300}, {"runs": 100, "sweeps": 100}),
    "one table": Measurement("toy", "toy.one_table", {"sweeps": 1000}, {"sweeps": 1000}),
}
FILES = ("approximation", "contraction", "learning", "toy")


@dataclass(frozen=True)
class TheoryOptions(Options):
    """Options of this script. Each measurement runs on one CPU core."""

    settings: list[str] = field(default_factory=lambda: ["full"])
    """Names of the sizes to measure; only full exists, besides --quick."""
    out: Path = OUT
    """Directory of the results."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known_names("settings", self.settings, ["full"])
        for name in ("algorithms", "agents"):
            if getattr(self, name):
                raise ValueError(f"{name}: got {getattr(self, name)}, which this script does not use")
        for name, only in (("accelerator", ("auto", "cpu")), ("precision", ("32",)), ("logger", ("none",))):
            if getattr(self, name) not in only:
                raise ValueError(f"{name}: got {getattr(self, name)}, allowed is {only[-1]}")


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(TheoryOptions, arguments)
    if not options.figures_only:
        measure(options)
    draw(options)


def measure(options: TheoryOptions) -> None:
    """Do all measurements and write their rows, one file per subject."""
    given = {"seeds": options.seeds, "seed": options.seed or None, "quick": options.quick or None}
    for name, value in given.items():
        if options.committed and value is not None and (options.out / "toy.csv").exists():
            raise ValueError(f"{name}: got {value}, but {options.out} is committed; name another --out")
    cpu = replace(options, accelerator="cpu")
    sections = []
    for file in FILES:
        some = jobs(file, options)
        sections.append(Section(file, some, {job.name: {"value": job.sizes, "source": "ours"} for job in some}))
    rows = do(sections, cpu)
    for name, found in zip(FILES, rows, strict=True):
        write_table(found, options.out / f"{name}.csv", KEYS)


def jobs(file: str, options: TheoryOptions) -> list[MeasurementJob]:
    """The measurements whose rows go to `file`."""
    found = []
    for name, measurement in MEASUREMENTS.items():
        sizes = dict(measurement.quick if options.quick else measurement.full)
        if options.seeds is not None and "seeds" in sizes:
            sizes["seeds"] = options.seeds
        if measurement.file == file:
            function = f"mfmarl.measurements.{measurement.function}"
            found.append(MeasurementJob(job_name(file, name), function, options.seed, sizes))
    return found


def draw(options: TheoryOptions) -> None:
    """Write the numbers of the README and draw all figures."""
    frames = {name: read_result(options.out / f"{name}.csv", COLUMNS[:3], COLUMNS[3:]) for name in FILES}
    together = pd.concat(frames.values())
    files = [f"{name}.csv" for name in FILES]
    readme = options.out / "README.md"
    if readme.exists():
        write_text(with_numbers(readme.read_text(encoding="utf-8"), together), readme)
        files.append(readme.name)
    report(against_exact(together), options.out, files, drawn(frames))


def drawn(frames: dict[str, pd.DataFrame]) -> dict[str, Figure]:
    """All figures by name."""
    from mfmarl.figures import theory, theory_learning  # noqa: PLC0415 - seaborn takes seconds to import

    return {
        "remainder": theory.remainder(frames["approximation"]),
        "contraction_factor": theory.factors(frames["contraction"]),
        "bifurcation": theory.bifurcation(frames["contraction"]),
        "phase_portraits": theory.portraits(frames["contraction"]),
        "learning_errors": theory_learning.errors(frames["learning"]),
        "noise_floor": theory_learning.noise_floor(frames["learning"]),
        "herding": theory_learning.herding(frames["learning"]),
        "toy_tables": theory_learning.toy_tables(frames["toy"]),
        "toy_times": theory_learning.toy_times(frames["toy"]),
    }


if __name__ == "__main__":
    raise SystemExit(main(run))

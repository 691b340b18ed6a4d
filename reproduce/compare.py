"""Compare results with the committed ones: the same to the last digit, alike, or different by a test.

    python reproduce/gaussian_squeeze.py --settings calibrated --agents 100 --seeds 8 --out results/mine
    python reproduce/compare.py --results results/mine

What both have in common is compared: final scores of runs by ranks, estimates by their intervals, with Holm's
correction for all tests. Runs of other seeds (`--seed 1000`) are independent of the committed ones; runs of the same
seeds begin alike, so that a test of them is cautious. The exit code is 1 if something differs.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

import shlex
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mfmarl.claims.wording import number, p_of
from mfmarl.evaluation.agreement import COLUMNS, compare_estimates, compare_runs
from mfmarl.evaluation.comparisons import holm
from mfmarl.evaluation.verdicts import ALPHA
from mfmarl.files import check_writable, write_csv
from mfmarl.jobs.console import aligned, say
from mfmarl.scripting.main import main
from mfmarl.scripting.options import parse
from mfmarl.scripting.tables import check_numbers, read_calls, read_table

RESULTS = Path(__file__).resolve().parents[1] / "results"


class Runs(NamedTuple):
    """Tables with a row per run or evaluation, and the scores to compare."""

    files: str  #: pattern within the folder of a task.
    scores: tuple[str, ...]
    some_have: tuple[str, ...] = ()  #: scores of some methods alone.

    def compare(self, table: pd.DataFrame, committed: pd.DataFrame) -> pd.DataFrame:
        """See `compare_runs`."""
        return compare_runs(table, committed, (*self.scores, *self.some_have))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        return ("seed", *self.scores)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that hold numbers."""
        return (*self.scores, *self.some_have)


class Estimates(NamedTuple):
    """Tables with a row per estimate and its interval."""

    files: str
    keys: tuple[str, ...]
    quantity: str
    ends: tuple[str, str] = ("low", "high")

    def compare(self, table: pd.DataFrame, committed: pd.DataFrame) -> pd.DataFrame:
        """See `compare_estimates`."""
        return compare_estimates(table, committed, self.keys, self.quantity, *self.ends)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        return (*self.keys, *self.numbers)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that hold numbers."""
        return (self.quantity, *self.ends)


REWARDS = ("greedy_reward", "sampled_reward")
TASKS: dict[str, tuple[Runs | Estimates, ...]] = {
    "gaussian_squeeze": (
        Runs("curves.csv", REWARDS),
        Runs("*/study.csv", REWARDS),
        Runs("scaling/curves.csv", REWARDS),
    ),
    "ising": (
        Runs("equilibrium.csv", ("order_parameter", "energy")),
        Runs("training.csv", ("order_parameter",), some_have=("q_error",)),
        Estimates("crossings.csv", ("method", "sizes"), "estimate"),
    ),
    "battle": (
        Runs("curves.csv", ("reward", "kills")),
        Runs("*/curves.csv", ("reward", "kills")),
        Estimates("pairings.csv", ("agents", "evaluation", "algorithm", "opponent"), "wins", ("wins_low", "wins_high")),
    ),
    "matrix_games": (Estimates("table.csv", ("part", "game", "algorithm", "exploration", "steps"), "share"),),
    "theory": tuple(
        Estimates(f"{name}.csv", ("claim", "quantity", "setting"), "value")
        for name in ("approximation", "contraction", "learning", "toy")
    ),
}


@dataclass
class CompareOptions:
    """Options of this script."""

    results: Path | None = None
    """Directory of the results to compare: of one script, or of all."""
    against: Path = RESULTS
    """Directory of the results, of all scripts, to compare them with. Default: the committed ones."""
    out: Path | None = None
    """File that gets all comparisons as CSV. Default: none is written."""

    def __post_init__(self) -> None:
        if self.results is None or not self.results.is_dir():
            raise ValueError(f"results: got {self.results}, allowed is a directory of results")
        if not self.against.is_dir():
            raise ValueError(f"against: got {self.against}, allowed is a directory of results")
        if self.out is not None:
            if self.out.is_dir():
                raise ValueError(f"out: got {self.out}, allowed is a file")
            check_writable(self.out.parent)

    @property
    def folders(self) -> dict[str, Path]:
        """The folder of each task in `results`.

        Raises:
            ValueError: there is none.
        """
        home = self.results or Path()
        found = {task: home / task for task in TASKS if (home / task).is_dir()}
        if not found and (task := task_of(home)):
            found = {task: home}
        if not found:
            raise ValueError(
                f"results: {home} is no folder of a script, whose provenance.json names it, nor one of all"
            )
        return found


def task_of(folder: Path) -> str | None:
    """The task of a folder, by the script that its provenance.json names last."""
    path = folder / "provenance.json"
    calls = read_calls(path, "results")
    try:
        scripts = [Path(word).stem for call in calls for word in shlex.split(call["command"])[1:2]]
    except ValueError as error:
        raise ValueError(f"results: {path} is damaged: restore it ({error})") from error
    return next((script for script in reversed(scripts) if script in TASKS), None)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(CompareOptions, arguments)
    parts = list(comparisons(options))
    if not parts:
        raise ValueError(f"results: {options.results} has nothing in common with {options.against}")
    compared = pd.concat(parts, ignore_index=True)
    compared["p"] = holm(compared["p"])
    for table, rows in compared.groupby("table", sort=False):
        say(f"{table}\n{shown(rows)}\n")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_csv(compared, options.out, keys=["table", "cell", "quantity"])
    say(told(compared))
    if differing(compared).any():
        raise SystemExit(1)


def comparisons(options: CompareOptions) -> Iterator[pd.DataFrame]:
    """Compare each table that both directories have; tables with nothing in common are left out."""
    for task, folder in options.folders.items():
        for kind in TASKS[task]:
            for path in sorted(folder.glob(kind.files)):
                committed = options.against / task / path.relative_to(folder)
                if committed.exists():
                    rows = compare(kind, path, committed)
                    if len(rows):
                        yield rows.assign(table=str(Path(task) / path.relative_to(folder)))[["table", *COLUMNS]]


def compare(kind: Runs | Estimates, path: Path, committed: Path) -> pd.DataFrame:
    """Compare two tables.

    Raises:
        ValueError: a table is damaged.
    """
    tables = []
    for argument, each in (("results", path), ("against", committed)):
        table = read_table(each, kind.columns, argument)
        check_numbers(table, [name for name in kind.numbers if name in table], each, argument)
        tables.append(table)
    try:
        return kind.compare(*tables)
    except ValueError as error:
        raise ValueError(f"results: {path} cannot be compared with {committed}: {error}") from error


def differing(compared: pd.DataFrame) -> pd.Series[bool]:
    """Which comparisons show a difference."""
    return compared["p"] < ALPHA


def shown(rows: pd.DataFrame) -> str:
    """A table of comparisons, of estimates only those that differ, and how many others there are."""
    of_runs = bool((rows[["runs", "committed_runs"]] > 1).to_numpy().any())
    listed = rows if of_runs else rows[differing(rows)]
    lines = [["cell", "score", "runs", "committed runs", "same seeds", "mean", "committed mean", ""]]
    for row in listed.to_dict("records"):
        counts = [f"{row[name]}" for name in ("runs", "committed_runs", "same")]
        lines.append(
            [row["cell"], row["quantity"], *counts, number(row["value"]), number(row["committed"]), judged(row)]
        )
    if of_runs:
        return aligned(lines)
    text = f"{aligned([[*line[:2], *line[5:]] for line in lines])}\n" if len(listed) else ""
    return f"{text}{len(rows)} estimates: {tally(rows)}"


def judged(row: Mapping[Hashable, Any]) -> str:
    """The result of a comparison in words."""
    if row["same"] == row["runs"]:
        return "the same"
    if isnan(row["p"]):
        return "not tested"
    return f"{'differs' if row['p'] < ALPHA else 'alike'}, {p_of(row['p'])}"


def tally(compared: pd.DataFrame) -> str:
    """How many comparisons have which result."""
    same, tested, apart = compared["same"].eq(compared["runs"]), compared["p"].notna(), differing(compared)
    counts = {
        "the same to the last digit": same.sum(),
        "alike": (tested & ~apart).sum(),
        "different": apart.sum(),
        "not tested, for want of runs or of an interval": (~same & ~tested).sum(),
    }
    return ", ".join(f"{count} {result}" for result, count in counts.items() if count)


def told(compared: pd.DataFrame) -> str:
    """The result of all comparisons in a sentence."""
    apart = compared[differing(compared)]
    names = "; ".join(f"{row.table}, {row.cell}: {row.quantity}" for row in apart.itertuples())
    tests = f" (p: Holm's for {compared['p'].notna().sum()} tests)" if compared["p"].notna().any() else ""
    return f"All {len(compared)} comparisons: {tally(compared)}{tests}." + (f" Different: {names}." if names else "")


if __name__ == "__main__":
    raise SystemExit(main(run))

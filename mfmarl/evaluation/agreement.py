"""Whether two tables of the same experiment agree, e.g. from two machines.

On machines of one kind they are equal to the last digit. On others rounding differs, and a difference of one digit
grows in training until runs of one seed have no more in common than runs of two. So where numbers differ, a test says
whether they differ by more than chance.
"""

import math
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from mfmarl.evaluation.comparisons import rank_test
from mfmarl.evaluation.intervals import FEWEST, tail_mean
from mfmarl.evaluation.tables import require_columns

COLUMNS = ("cell", "quantity", "runs", "committed_runs", "same", "value", "committed", "p")


def compare_runs(table: pd.DataFrame, committed: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """Compare the final scores of every cell that two tables of runs have in common.

    The columns of `committed` before `seed` name a cell. With a column `step`, a final score is the mean of the last
    tenth of the evaluations; cells of other steps are not in common. Seeds that both tables have make the test
    cautious, since their runs begin alike.

    Args:
        table: one row per run, or per evaluation of a run.
        committed: a table with the same columns, in any order; columns that only one has are not compared.
        scores: columns to compare; one that a cell has in neither table, or as NaN throughout, is left out.

    Returns:
        One row per cell and score:

        - cell: the values that name the cell; quantity: the score;
        - runs, committed_runs: number of runs;
        - same: number of seeds in both tables whose rows are equal to the last digit, in the columns of both;
        - value, committed: mean final score;
        - p: of `rank_test`; NaN if all runs of `table` are the same, or if there are fewer than 3 on a side.

    Raises:
        ValueError: `table` lacks a column that names a row, or has two rows of one name; or some runs lack a score.
    """
    require_columns("committed", committed, ["seed"])
    keys = list(committed.columns[: committed.columns.get_loc("seed")])
    row = [*keys, "seed", *(["step"] if "step" in committed else [])]
    require_columns("table", table, row)
    if twice := [named(each) for each in table.loc[table.duplicated(row), row].to_numpy().tolist()]:
        raise ValueError(f"table must have one row of {', '.join(row)}, got two of {twice[0]}")
    theirs = dict(list(committed.groupby(keys)))
    rows = []
    for key, own in table.groupby(keys):
        other = theirs.get(key)
        if other is None or steps_of(own) != steps_of(other):
            continue
        runs, earlier = dict(list(own.groupby("seed"))), dict(list(other.groupby("seed")))
        same = sum(equal(run, earlier[seed]) for seed, run in runs.items() if seed in earlier)
        for score in scores:
            ends, earlier_ends = finals(runs.values(), score), finals(earlier.values(), score)
            if np.isnan([*ends, *earlier_ends]).all():
                continue
            if np.isnan([*ends, *earlier_ends]).any():
                raise ValueError(f"{score} must be a number in all runs of {named(key)}, got NaN in some")
            tested = same < len(runs) and min(len(runs), len(earlier)) >= FEWEST
            p = rank_test(ends, earlier_ends) if tested else math.nan
            means = (float(np.mean(ends)), float(np.mean(earlier_ends)))
            rows.append((named(key), score, len(runs), len(earlier), same, *means, p))
    return pd.DataFrame(rows, columns=COLUMNS)


def compare_estimates(
    table: pd.DataFrame, committed: pd.DataFrame, keys: Sequence[str], quantity: str, low: str, high: str
) -> pd.DataFrame:
    """Compare the estimates that two tables have in common, each with a 95% interval.

    Args:
        table: one row per estimate.
        committed: a table with the same columns.
        keys: columns that name an estimate.
        quantity: column of the estimate.
        low: column of the lower end of its interval.
        high: column of the upper end.

    Returns:
        One row per estimate, as from `compare_runs`: `same` is 1 or 0, runs and committed_runs are 1, and p is that of
        the difference, taken as normal with the widths of both intervals; NaN if it is the same, or has no interval.

    Raises:
        ValueError: a table lacks a column.
    """
    columns = [*keys, quantity, low, high]
    require_columns("table", table, columns)
    require_columns("committed", committed, columns)
    both = table[columns].merge(committed[columns], on=list(keys), suffixes=("", "_committed"))
    rows = []
    for row in both.to_dict("records"):
        value, other = row[quantity], row[f"{quantity}_committed"]
        widths = [row[f"{high}{suffix}"] - row[f"{low}{suffix}"] for suffix in ("", "_committed")]
        error = math.hypot(*widths) / 2 / stats.norm.ppf(0.975)
        same = value == other or (math.isnan(value) and math.isnan(other))
        p = math.nan if same or not error > 0 else float(2 * stats.norm.sf(abs(value - other) / error))
        rows.append((named([row[key] for key in keys]), quantity, 1, 1, int(same), value, other, p))
    return pd.DataFrame(rows, columns=COLUMNS)


def steps_of(rows: pd.DataFrame) -> tuple[Hashable, ...]:
    """The steps at which the runs of a cell were evaluated."""
    return tuple(sorted(set(rows["step"]))) if "step" in rows else ()


def equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether all numbers of two runs are equal, in the columns that both have."""
    ordered = [frame.sort_values("step") if "step" in frame else frame for frame in (one, other)]
    own, theirs = (frame.select_dtypes("number") for frame in ordered)
    both = own.columns.intersection(theirs.columns)
    return np.array_equal(own[both].to_numpy(np.float64), theirs[both].to_numpy(np.float64), equal_nan=True)


def finals(runs: Iterable[pd.DataFrame], score: str) -> list[float]:
    """The final score of each run, NaN if it has none."""
    ordered = [run.sort_values("step") if "step" in run else run for run in runs]
    return [tail_mean(run[score].to_numpy(np.float64)) if score in run else math.nan for run in ordered]


def named(key: object) -> str:
    """The values that name a cell, as text."""
    return ", ".join(map(str, key)) if isinstance(key, (tuple, list)) else str(key)

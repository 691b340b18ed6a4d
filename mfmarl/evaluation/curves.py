"""Selects rows of learning curves (one row per evaluation of a run): the ends of runs, and runs of equal length."""

import pandas as pd

from mfmarl.evaluation.final_scores import SETTING_KEYS
from mfmarl.evaluation.tables import require_columns


def last_rows(curves: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run.

    Args:
        curves: one row per evaluation, with the columns settings, algorithm, agents, seed and step.

    Raises:
        ValueError: a column is missing.
    """
    return curves[curves["step"] == _last_step(curves)]


def longest_runs(curves: pd.DataFrame) -> pd.DataFrame:
    """The runs of each setting that are as long as its longest run, so that figures compare seeds at the same steps.

    Args:
        curves: as in `last_rows`.

    Raises:
        ValueError: a column is missing.
    """
    last = _last_step(curves)
    return curves[last == curves.assign(last=last).groupby([*SETTING_KEYS])["last"].transform("max")]


def last_tenth(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last tenth of steps.

    Args:
        rows: rows of runs of one length, with a column `step`.
    """
    late: pd.DataFrame = rows[rows["step"] > 0.9 * rows["step"].max()]
    return late


def _last_step(curves: pd.DataFrame) -> pd.Series:
    """The last step of the run, for each row."""
    require_columns("curves", curves, [*SETTING_KEYS, "seed", "step"])
    return curves.groupby([*SETTING_KEYS, "seed"])["step"].transform("max")

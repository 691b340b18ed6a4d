"""Selects rows of learning curves (one row per evaluation of a run): the ends of runs, and runs of equal length."""

import pandas as pd

from mfmarl.evaluation.final_scores import GROUP
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
    return curves[last == curves.assign(last=last).groupby([*GROUP])["last"].transform("max")]


def _last_step(curves: pd.DataFrame) -> pd.Series:
    """The last step of the run, for each row."""
    require_columns("curves", curves, [*GROUP, "seed", "step"])
    return curves.groupby([*GROUP, "seed"])["step"].transform("max")

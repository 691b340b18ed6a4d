"""Final scores of the runs of stateless games, as shares of the optimum."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mfmarl.evaluation.intervals import (
    bootstrap_interval,
    interval_columns,
    proportion_interval,
    steps_to_threshold,
    tail_mean,
)
from mfmarl.evaluation.tables import require_columns

TIMED_AGENTS = 1_000_000  # agents of Gaussian Squeeze from which a full run takes hours, so short runs are only timed
SETTING_KEYS = ("settings", "algorithm", "agents")  # the columns that identify a setting in curves.csv


def final_scores(
    curves: pd.DataFrame, optimum: Mapping[int, float], *, share: float = 0.1, by: Sequence[str] = SETTING_KEYS
) -> pd.DataFrame:
    """Final scores of every run as shares of the optimum G*, and the steps to reach 0.9 G*.

    Args:
        curves: one row per evaluation, with the columns `by`, agents, seed, step (joint steps),
            greedy_reward and sampled_reward (both G(x), unscaled).
        optimum: G* for each number of agents in `curves`.
        share: share of the evaluations, the last ones, whose mean is the final score. 0.1: our choice.
        by: columns that identify a setting.

    Returns:
        One row per run, sorted by `by` and seed, with the columns `by`, seed, and

        - greedy, sampled: tail mean of the reward of greedy and of sampled play, divided by G*;
        - steps_to_0.9: joint steps at the first evaluation whose greedy reward is at least 0.9 G*, or NaN.

    Raises:
        ValueError: a column or an optimum is missing, a step occurs twice in a run, or there are no rows.
    """
    require_columns("curves", curves, [*by, "agents", "seed", "step", "greedy_reward", "sampled_reward"])
    rows = []
    for key, run in curves.sort_values("step").groupby([*by, "seed"], sort=True):
        labels = dict(zip([*by, "seed"], key, strict=True))
        best = optimum_of(optimum, int(run["agents"].iloc[0]))
        greedy = run["greedy_reward"].to_numpy(np.float64) / best
        sampled = run["sampled_reward"].to_numpy(np.float64) / best
        scores = {
            "greedy": tail_mean(greedy, share),
            "sampled": tail_mean(sampled, share),
            "steps_to_0.9": steps_to_threshold(run["step"], greedy, 0.9),
        }
        rows.append(labels | scores)
    return pd.DataFrame(rows)


def summarise(
    curves: pd.DataFrame,
    optimum: Mapping[int, float],
    *,
    by: Sequence[str] = SETTING_KEYS,
) -> pd.DataFrame:
    """Final scores of every setting as shares of the optimum G*, with 95% intervals over seeds.

    A row depends only on its own runs, so omitting settings from `curves` does not change the others.

    Args:
        curves: as in `final_scores`.
        optimum: as in `final_scores`.
        by: as in `final_scores`.

    Returns:
        One row per setting, sorted by `by`, with the columns `by` and

        - n: number of seeds;
        - greedy, greedy_low, greedy_high: mean over seeds of the final greedy reward divided by G*, with its
          bootstrap interval (ends are NaN if n is 1 or 2);
        - sampled, sampled_low, sampled_high: the same for sampled play;
        - above_0.5, above_0.5_low, above_0.5_high: share of seeds whose final greedy reward exceeds 0.5 G*,
          with its exact interval; and above_0.9, above_0.9_low, above_0.9_high;
        - reached_0.9: number of seeds with at least one evaluation at or above 0.9 G*;
        - steps_to_0.9: median joint steps that those seeds needed; NaN if there are none.

    Raises:
        ValueError: as `final_scores`, `bootstrap_interval` and `proportion_interval`.
    """
    rows = []
    scores = final_scores(curves, optimum, by=by)
    for key, runs in scores.groupby(list(by), sort=True):
        row = dict(zip(by, key, strict=True)) | {"n": len(runs)}
        for column in ("greedy", "sampled"):
            row |= interval_columns(column, bootstrap_interval(runs[column], generator=np.random.default_rng(0)))
        for level in (0.5, 0.9):
            successes = int((runs["greedy"] > level).sum())
            row |= interval_columns(f"above_{level}", proportion_interval(successes, len(runs)))
        needed = runs["steps_to_0.9"].dropna()
        row["reached_0.9"] = len(needed)
        row["steps_to_0.9"] = float(needed.median()) if len(needed) else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def optimum_of(optimum: Mapping[int, float], agents: int) -> float:
    """G* for a number of agents.

    Raises:
        ValueError: G* is missing or not positive.
    """
    if agents not in optimum:
        raise ValueError(f"optimum lacks agents = {agents}; it has {sorted(optimum)}")
    if not optimum[agents] > 0:
        raise ValueError(f"optimum for agents = {agents} must be positive, got {optimum[agents]}")
    return float(optimum[agents])

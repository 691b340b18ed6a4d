"""From scores of independent runs to estimates with intervals.

Runs are few and their scores often two-peaked, so every estimate comes with an interval. The stratified
bootstrap follows Agarwal et al. 2021, *Deep Reinforcement Learning at the Edge of the Statistical Precipice*:
runs are drawn with replacement within each task. Shares of runs get Wilson's score interval (1927). A final
score is the mean of a run's last evaluations, never its peak, because runs oscillate.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Array], Array]
"""Reduces the last two axes: [..., runs, tasks] -> [...]."""

RESAMPLES = 10_000  # our choice: the expanded percentiles of 5 runs lie at the outer thousandths
GROUP = ("settings", "algorithm", "agents")  # the columns that name one setting in curves.csv


class Interval(NamedTuple):
    """A point estimate and the ends of its interval; the ends are NaN where the data cannot give one."""

    estimate: float
    low: float
    high: float


class Band(NamedTuple):
    """A mean curve [steps] and the ends of its pointwise interval [steps]."""

    estimate: Array
    low: Array
    high: Array


def final_scores(
    curves: pd.DataFrame, optimum: Mapping[int, float], *, share: float = 0.1, by: Sequence[str] = GROUP
) -> pd.DataFrame:
    """One row a run: its final scores as shares of the optimum G*, and how fast it came near.

    Args:
        curves: one row an evaluation, with the columns `by`, agents, seed, step (joint steps),
            greedy_reward and sampled_reward (both G(x), unscaled).
        optimum: G* for each number of agents in `curves`.
        share: the last part of the evaluations whose mean is the final score (0.1: our choice).
        by: the columns that name one setting.

    Returns:
        A frame sorted by `by` and seed, with the columns `by`, seed, and

        - greedy, sampled: tail mean of the reward of greedy and of sampled play, over G*;
        - steps_to_0.9: joint steps at the first evaluation whose greedy reward is at least 0.9 G*, or NaN.

    Raises:
        ValueError: a column or an optimum is missing, a step occurs twice in a run, or there are no rows.
    """
    required = {*by, "agents", "seed", "step", "greedy_reward", "sampled_reward"}
    missing = sorted(required - set(curves.columns))
    if missing:
        raise ValueError(f"curves lacks the columns {missing}; it has {list(curves.columns)}")
    if curves.empty:
        raise ValueError("curves has no rows; it must hold at least one evaluation")
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
    share: float = 0.1,
    confidence: float = 0.95,
    seed: int = 0,
    by: Sequence[str] = GROUP,
) -> pd.DataFrame:
    """One row a setting: final scores over the optimum G*, with intervals over the seeds.

    A row depends on its own runs and on `seed` alone: settings left out of `curves` do not change the others.

    Args:
        curves: as in `final_scores`.
        optimum: as in `final_scores`.
        share: as in `final_scores`.
        by: as in `final_scores`.
        confidence: of every interval.
        seed: of the bootstrap's generator.

    Returns:
        A frame sorted by `by`, with the columns `by` and

        - n: number of seeds;
        - greedy, greedy_low, greedy_high: mean over seeds of the final greedy reward over G*, with its
          bootstrap interval (NaN ends when n = 1);
        - sampled, sampled_low, sampled_high: the same of sampled play;
        - above_0.5, above_0.5_low, above_0.5_high: share of seeds whose final greedy reward exceeds 0.5 G*,
          with its Wilson interval; and above_0.9, above_0.9_low, above_0.9_high;
        - reached_0.9: number of seeds with at least one evaluation at or above 0.9 G*;
        - steps_to_0.9: median over those seeds of the joint steps they needed; NaN if there are none.

    Raises:
        ValueError: as `final_scores`, `bootstrap_interval` and `proportion_interval`.
    """
    rows = []
    scores = final_scores(curves, optimum, share=share, by=by)
    for key, runs in scores.groupby(list(by), sort=True):
        row = dict(zip(by, key, strict=True)) | {"n": len(runs)}
        for column in ("greedy", "sampled"):
            generator = np.random.default_rng(seed)
            row |= interval_columns(
                column, bootstrap_interval(runs[column], confidence=confidence, generator=generator)
            )
        for level in (0.5, 0.9):
            successes = int((runs["greedy"] > level).sum())
            row |= interval_columns(f"above_{level}", proportion_interval(successes, len(runs), confidence))
        needed = runs["steps_to_0.9"].dropna()
        row["reached_0.9"] = len(needed)
        row["steps_to_0.9"] = float(needed.median()) if len(needed) else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def bootstrap_interval(
    scores: ArrayLike,
    statistic: Statistic | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    *,
    generator: np.random.Generator,
) -> Interval:
    """A statistic of all scores with its percentile interval from the stratified bootstrap.

    Args:
        scores: [runs] or [runs, tasks]. Runs are resampled within each task, tasks independently.
        statistic: `mean` (the default), `median`, `interquartile_mean` or any other `Statistic`.
        confidence: between 0 and 1, exclusive.
        resamples: number of bootstrap resamples.
        generator: the only source of randomness.

    Returns:
        (estimate, low, high). The percentiles are expanded for few runs (Hesterberg 2015, *What Teachers Should
        Know about the Bootstrap*): the plain ones hold the mean of 5 normal runs in 84% of cases instead of 95%.
        With a single run the ends are NaN: one run says nothing about the spread. If all runs agree the interval
        has zero width, however few they are.

    Raises:
        ValueError: scores are empty, not finite or of another rank; confidence lies outside (0, 1).
    """
    check_confidence(confidence)
    table = _table("scores", scores)
    reduce = mean if statistic is None else statistic
    estimate = float(reduce(table))
    runs, tasks = table.shape
    if runs == 1:
        return Interval(estimate, math.nan, math.nan)
    drawn = generator.integers(0, runs, size=(resamples, runs, tasks))
    resampled = reduce(table[drawn, np.arange(tasks)])
    low, high = np.quantile(resampled, expanded_percentiles(confidence, runs))
    return Interval(estimate, float(low), float(high))


def bootstrap_band(
    curves: ArrayLike, confidence: float = 0.95, resamples: int = RESAMPLES, *, generator: np.random.Generator
) -> Band:
    """The mean curve and its pointwise percentile interval; whole runs are resampled.

    Takes [runs, steps], every run evaluated at the same steps, and returns three arrays [steps], whose ends
    are NaN with a single run. The rest is as in `bootstrap_interval`.

    Raises:
        ValueError: curves are empty, not finite or of another rank; confidence lies outside (0, 1).
    """
    check_confidence(confidence)
    table = _table("curves", curves)
    runs, steps = table.shape
    estimate = table.mean(axis=0)
    if runs == 1:
        return Band(estimate, np.full(steps, math.nan), np.full(steps, math.nan))
    counts = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples)
    low, high = np.quantile(counts @ table / runs, expanded_percentiles(confidence, runs), axis=0)
    return Band(estimate, low, high)


def proportion_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The share successes / n with Wilson's score interval: within [0, 1] and never of zero width.

    Raises:
        ValueError: n is not positive, successes lie outside 0..n, or confidence outside (0, 1).
    """
    check_confidence(confidence)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n = {n}, got {successes}")
    interval = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(interval.low), float(interval.high))


def tail_mean(values: ArrayLike, share: float = 0.1) -> float:
    """Mean of the last `share` of values [evaluations], rounded to a whole number of them, at least one.

    Raises:
        ValueError: values are empty or not one-dimensional, or share lies outside (0, 1].
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"values must be one-dimensional and not empty, got shape {array.shape}")
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    return float(array[-max(1, round(share * array.size)) :].mean())


def steps_to_threshold(steps: ArrayLike, values: ArrayLike, threshold: float) -> float:
    """The step of the first evaluation whose value is at least the threshold; NaN if there is none.

    A run may fall below the threshold again afterwards: the final score says whether it stayed.

    Raises:
        ValueError: steps and values [evaluations] differ in shape, are empty, or steps do not increase.
    """
    at, array = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if at.shape != array.shape or at.ndim != 1 or not at.size:
        raise ValueError(f"steps and values must have one shape [evaluations], got {at.shape}, {array.shape}")
    if not (np.diff(at) > 0).all():
        raise ValueError(f"steps must increase, got {at.tolist()}")
    reached = np.flatnonzero(array >= threshold)
    return float(at[reached[0]]) if reached.size else math.nan


def mean(scores: Array) -> Array:
    """Mean over runs and tasks: [..., runs, tasks] -> [...]."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def median(scores: Array) -> Array:
    """Median over runs and tasks: [..., runs, tasks] -> [...]."""
    return np.asarray(np.median(scores, axis=(-2, -1)))


def interquartile_mean(scores: Array) -> Array:
    """Mean of the middle half of all scores, a whole quarter (rounded down) cut off at each end."""
    ordered = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = ordered.shape[-1] // 4
    return np.asarray(ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1))


def optimum_of(optimum: Mapping[int, float], agents: int) -> float:
    """G* for this number of agents; ValueError if it is missing or not positive."""
    if agents not in optimum:
        raise ValueError(f"optimum lacks agents = {agents}; it has {sorted(optimum)}")
    if not optimum[agents] > 0:
        raise ValueError(f"optimum for agents = {agents} must be positive, got {optimum[agents]}")
    return float(optimum[agents])


def expanded_percentiles(confidence: float, runs: int) -> tuple[float, float]:
    """The percentiles to take for an interval that is as wide as Student's where the resamples are normal."""
    width = math.sqrt(runs / (runs - 1)) * stats.t.ppf((1 + confidence) / 2, runs - 1)
    return float(stats.norm.cdf(-width)), float(stats.norm.cdf(width))


def interval_columns(name: str, interval: Interval) -> dict[str, float]:
    """An interval as the columns of a table: name, name_low and name_high."""
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _table(name: str, values: ArrayLike) -> Array:
    """[runs] or [runs, columns] -> finite [runs, columns]."""
    array = np.asarray(values, np.float64)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{name} must be of shape [runs] or [runs, columns] and not empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} values that are not")
    return array.reshape(len(array), -1)


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless the confidence lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, exclusive, got {confidence}")

"""Estimates with intervals from scores of independent runs.

Runs are few and their scores often bimodal, so every estimate comes with an interval. The stratified bootstrap follows
Agarwal et al. 2021, *Deep Reinforcement Learning at the Edge of the Statistical Precipice*: runs are drawn with
replacement within each task. Shares of runs get the exact interval of Clopper and Pearson (1934). One or two runs get
no interval. A final score is the mean of a run's last evaluations, never its peak, because runs oscillate.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Array], Array]
"""A function that reduces the last two axes: [..., runs, tasks] -> [...]."""

CONFIDENCE = 0.95  # confidence level of the intervals in tables and figures: our choice
FEWEST = 3  # minimum runs for an interval: our choice, since two say almost nothing about their spread
FEW = 5  # up to so many runs figures mark an interval as a guess, and curves show single runs instead: our choice
RESAMPLES = 10_000  # our choice: the expanded percentiles of 5 runs are in the outer thousandths


class Interval(NamedTuple):
    """A point estimate and the ends of its interval, which are NaN if the data do not suffice for an interval."""

    estimate: float
    low: float
    high: float


class Band(NamedTuple):
    """A mean curve [steps] and the ends of its pointwise interval [steps]."""

    estimate: Array
    low: Array
    high: Array


def with_ends(value: str, low: str, high: str) -> str:
    """Format an estimate and its ends: "0.80 [0.68, 0.89]".

    The ends are omitted if there are none, or if both print as the same number: they then add nothing, because the
    value is certain to the digits shown or all runs are alike.
    """
    return value if low == high or "nan" in low else f"{value} [{low}, {high}]"


def mean(scores: Array) -> Array:
    """Mean over runs and tasks: [..., runs, tasks] -> [...]."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def bootstrap_interval(
    scores: ArrayLike,
    statistic: Statistic = mean,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    *,
    generator: np.random.Generator,
) -> Interval:
    """A statistic of all scores with its percentile interval from the stratified bootstrap.

    Args:
        scores: scores, [runs] or [runs, tasks]. Runs are resampled within each task, independently for each task.
        statistic: statistic to estimate from the scores. Default: their mean.
        confidence: confidence level in (0, 1).
        resamples: number of bootstrap resamples.
        generator: the only source of randomness.

    Returns:
        (estimate, low, high). The percentiles are expanded for few runs (Hesterberg 2015, *What Teachers Should
        Know about the Bootstrap*): plain percentiles cover the mean of 5 normal runs in 84% of cases instead of 95%.
        With fewer than `FEWEST` runs the ends are NaN. If all runs agree, the interval has zero width, however few
        they are.

    Raises:
        ValueError: scores are empty, not finite or have another rank; confidence is outside (0, 1).
    """
    check_confidence(confidence)
    table = _table("scores", scores)
    estimate = float(statistic(table))
    runs, tasks = table.shape
    if runs < FEWEST:
        return Interval(estimate, math.nan, math.nan)
    drawn = generator.integers(0, runs, size=(resamples, runs, tasks))
    resampled = statistic(table[drawn, np.arange(tasks)])  # [resamples, runs, tasks] -> [resamples]
    low, high = np.quantile(resampled, expanded_percentiles(confidence, runs))
    return Interval(estimate, float(low), float(high))


def bootstrap_band(
    curves: ArrayLike, confidence: float = 0.95, resamples: int = RESAMPLES, *, generator: np.random.Generator
) -> Band:
    """The mean curve and its pointwise percentile interval, from whole runs that are resampled.

    Args:
        curves: scores [runs, steps], where all runs are evaluated at the same steps.
        confidence: as in `bootstrap_interval`.
        resamples: as in `bootstrap_interval`.
        generator: as in `bootstrap_interval`.

    Returns:
        Three arrays [steps]; the ends are NaN with fewer than `FEWEST` runs.

    Raises:
        ValueError: curves are empty, not finite or have another rank; confidence is outside (0, 1).
    """
    check_confidence(confidence)
    table = _table("curves", curves)
    runs, steps = table.shape
    estimate = table.mean(axis=0)
    if runs < FEWEST:
        return Band(estimate, np.full(steps, math.nan), np.full(steps, math.nan))
    # Counts [resamples, runs] of how often each run is drawn; their product with the curves gives the mean curves.
    counts = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples)
    low, high = np.quantile(counts @ table / runs, expanded_percentiles(confidence, runs), axis=0)
    return Band(estimate, low, high)


def proportion_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The share successes / n with its exact interval (Clopper and Pearson 1934).

    The interval covers any true share with at least this confidence. It is within [0, 1] and never has zero width. Its
    ends are NaN if n is less than `FEWEST`.

    Raises:
        ValueError: n is not positive, successes are outside 0..n, or confidence is outside (0, 1).
    """
    check_confidence(confidence)
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n = {n}, got {successes}")
    if n < FEWEST:
        return Interval(successes / n, math.nan, math.nan)
    interval = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    return Interval(successes / n, float(interval.low), float(interval.high))


def tail_mean(values: ArrayLike, share: float = 0.1) -> float:
    """Mean of the last `share` of values [evaluations], rounded to a whole number of values, at least one.

    Raises:
        ValueError: values are empty or not one-dimensional, or share is outside (0, 1].
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"values must be one-dimensional and not empty, got shape {array.shape}")
    return float(array[-_tail(share, array.size) :].mean())


def steps_to_threshold(steps: ArrayLike, values: ArrayLike, threshold: float) -> float:
    """The step of the first evaluation whose value is at least the threshold; NaN if there is none.

    The run may fall below the threshold again later; see `steps_to_stay`.

    Raises:
        ValueError: steps and values [evaluations] differ in shape, are empty, or steps do not increase.
    """
    at, array = _evaluations(steps, values)
    reached = np.flatnonzero(array >= threshold)
    return float(at[reached[0]]) if reached.size else math.nan


def steps_to_stay(steps: ArrayLike, values: ArrayLike, threshold: float, share: float = 0.1) -> float:
    """The step of the evaluation from which on all values are at least the threshold.

    It is infinite unless these are at least the last `share` of the evaluations, as many as `tail_mean` averages.

    Raises:
        ValueError: as in `steps_to_threshold` and `tail_mean`.
    """
    at, array = _evaluations(steps, values)
    below = np.flatnonzero(~(array >= threshold))
    first = int(below[-1]) + 1 if below.size else 0
    return float(at[first]) if first <= at.size - _tail(share, at.size) else math.inf


def expanded_percentiles(confidence: float, runs: int) -> tuple[float, float]:
    """The percentiles that make an interval as wide as Student's if the resamples are normal.

    The spread of resamples of n runs is too small by the factor sqrt((n - 1) / n), and Student's t is wider than the
    normal distribution.
    """
    width = math.sqrt(runs / (runs - 1)) * stats.t.ppf((1 + confidence) / 2, runs - 1)
    return float(stats.norm.cdf(-width)), float(stats.norm.cdf(width))


def interval_columns(name: str, interval: Interval) -> dict[str, float]:
    """An interval as the columns of a table: name, name_low and name_high."""
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _tail(share: float, evaluations: int) -> int:
    """The number of evaluations in the last `share` of them."""
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    return max(1, round(share * evaluations))


def _evaluations(steps: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    """Check the steps and values of a run, and return them as arrays."""
    at, array = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    if at.shape != array.shape or at.ndim != 1 or not at.size:
        raise ValueError(f"steps and values must have one shape [evaluations], got {at.shape}, {array.shape}")
    if not (np.diff(at) > 0).all():
        raise ValueError(f"steps must increase, got {at.tolist()}")
    return at, array


def _table(name: str, values: ArrayLike) -> Array:
    """Check a finite table, [runs] or [runs, columns], and return it as [runs, columns]."""
    array = np.asarray(values, np.float64)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"{name} must be of shape [runs] or [runs, columns] and not empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {np.count_nonzero(~np.isfinite(array))} values that are not")
    return array.reshape(len(array), -1)


def check_confidence(confidence: float) -> None:
    """Check that a confidence level is in (0, 1).

    Raises:
        ValueError: the confidence is outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, exclusive, got {confidence}")

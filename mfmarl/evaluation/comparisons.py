"""Nonparametric tests of whether two groups of runs differ, and the number of runs that would decide.

A group consists of the runs of a method. Ranks are used because scores may be bimodal or infinite ("never"). Armies
that met each other are compared by permuting their labels. p-values are two-sided unless stated otherwise.
"""

import math
from itertools import chain, combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mfmarl.evaluation.intervals import (
    CONFIDENCE,
    FEWEST,
    RESAMPLES,
    Array,
    Interval,
    check_confidence,
    expanded_percentiles,
)

ENUMERATED = 20_000  # up to this number all relabellings are tried; beyond it this many are drawn: our choice
POWER = 0.8  # power of the tests for which `..._needed` computes numbers of runs
TINY = 1e-9  # rounding error of a mean: absolute for shares, relative for values with units
TINY_ALONE = 1e-12  # absolute rounding error of a mean near 0, where a relative tolerance is useless
EACH_UP_TO = 200  # runs; above it numbers are tried in steps of 2%, to save time: our choice
MOST = 10_000  # runs; larger numbers are reported as out of reach (NaN)


def superiority(one: ArrayLike, other: ArrayLike) -> float:
    """Probability that a run of `one` has a larger score than a run of `other`; a tie counts half.

    Args:
        one: scores [runs] of the first group, which may be infinite.
        other: scores [runs] of the second group, likewise.

    Returns:
        Probability in [0, 1]; 1/2 if the groups are alike.

    Raises:
        ValueError: a group is empty or contains NaN.
    """
    first, second = _group("one", one), _group("other", other)
    larger, equal = first[:, None] > second, first[:, None] == second
    return float((larger + equal / 2).mean())


def superiority_interval(one: ArrayLike, other: ArrayLike, *, generator: np.random.Generator) -> Interval:
    """`superiority` with a 95% bootstrap interval that resamples both groups.

    The ends are NaN if a group has fewer than `FEWEST` runs.

    Raises:
        ValueError: a group is empty or contains NaN.
    """
    first, second = _group("one", one), _group("other", other)
    table = (first[:, None] > second) + (first[:, None] == second) / 2
    return two_way_interval(table, generator=generator)


def two_way_interval(
    table: ArrayLike, confidence: float = 0.95, resamples: int = RESAMPLES, *, generator: np.random.Generator
) -> Interval:
    """Mean of a table with its bootstrap interval; rows and columns are resampled independently (Owen 2007).

    Args:
        table: a value for each pair of runs, [runs of one side, runs of the other].
        confidence: confidence level in (0, 1).
        resamples: number of bootstrap resamples.
        generator: the only source of randomness.

    Returns:
        (estimate, low, high). The percentiles are expanded for the shorter side, as in `bootstrap_interval`. The ends
        are NaN if a side has fewer than `FEWEST` runs.

    Raises:
        ValueError: the table is empty, not finite or has another rank; confidence is outside (0, 1).
    """
    check_confidence(confidence)
    numbers = np.asarray(table, np.float64)
    if numbers.ndim != 2 or not numbers.size or not np.isfinite(numbers).all():
        raise ValueError(f"table must be [rows, columns], finite and not empty, got shape {numbers.shape}")
    estimate, (rows, columns) = float(numbers.mean()), numbers.shape
    if min(rows, columns) < FEWEST:
        return Interval(estimate, math.nan, math.nan)
    left = generator.multinomial(rows, np.full(rows, 1 / rows), size=resamples) / rows
    right = generator.multinomial(columns, np.full(columns, 1 / columns), size=resamples) / columns
    means = ((left @ numbers) * right).sum(axis=1)
    low, high = np.quantile(means, expanded_percentiles(confidence, min(rows, columns)))
    return Interval(estimate, float(low), float(high))


def rank_test(one: ArrayLike, other: ArrayLike) -> float:
    """p-value of the Wilcoxon-Mann-Whitney test.

    It is exact, also with ties, if all relabellings can be tried; otherwise it uses the normal approximation.

    Raises:
        ValueError: a group is empty or contains NaN.
    """
    first, second = _group("one", one), _group("other", other)
    if math.comb(len(first) + len(second), len(first)) > ENUMERATED:
        # scipy's normal approximation is 0 / 0 if all are equal
        both = np.concatenate([first, second])
        return 1.0 if (both == both[0]).all() else float(_mann_whitney(first, second))
    ranks = stats.rankdata(np.concatenate([first, second]))
    return _share_as_far(ranks, len(first))


def exchange_test(table: ArrayLike, first: int, *, generator: np.random.Generator) -> float:
    """p-value of a permutation test for two methods whose armies all met.

    If the methods are alike, any `first` of the armies could have been those of the first method. The test compares the
    first method's lead with its lead under other labels. An army's lead over all others sums, over its group, to the
    group's lead over the other group, because leads within a group cancel.

    Args:
        table: mean result per round of a against b at [a, b], [armies, armies]. The diagonal is ignored.
        first: number of armies of the first method, which come first.
        generator: draws relabellings if there are too many to try all.

    Raises:
        ValueError: the table is not square or not finite off its diagonal, or a method has no army.
    """
    numbers = np.array(table, np.float64)
    if numbers.ndim != 2 or numbers.shape[0] != numbers.shape[1] or not 0 < first < len(numbers):
        raise ValueError(f"table must be [armies, armies] with armies of both, got {numbers.shape} and {first}")
    np.fill_diagonal(numbers, 0)
    if not np.isfinite(numbers).all():
        raise ValueError("table must be finite: all armies must have met")
    lead = numbers - numbers.T  # leads within a group cancel
    return _share_as_far(lead.sum(axis=1), first, generator)


def seat_test(wins: ArrayLike, rounds: ArrayLike, *, generator: np.random.Generator) -> tuple[float, float, float]:
    """Permutation test of whether the seat matters; rounds of each pair are reassigned to its two seats at random.

    Win rates over few rounds differ by chance alone, so the difference is compared with the one expected by chance.

    Args:
        wins: number of wins in each seat, [pairs, 2].
        rounds: number of rounds in each seat, [pairs, 2], at least 1.
        generator: the only source of randomness.

    Returns:
        - the difference between the win rates of the two seats, its absolute value averaged over pairs;
        - the exact expectation of that difference if the seat has no effect;
        - the one-sided p-value from `ENUMERATED` assignments.

    Raises:
        ValueError: an argument is not [pairs, 2], or a pair has no round in a seat or more wins than rounds.
    """
    won, played = np.asarray(wins, np.int64), np.asarray(rounds, np.int64)
    if won.shape != played.shape or won.ndim != 2 or won.shape[1] != 2 or not len(won):
        raise ValueError(f"wins and rounds must be [pairs, 2], got {won.shape} and {played.shape}")
    if (played < 1).any() or (won < 0).any() or (won > played).any():
        raise ValueError("rounds must be at least 1 in each seat, and wins from 0 to as many")

    def apart(left: NDArray[np.int64]) -> Array:
        return np.asarray(np.abs(left / played[:, 0] - (total - left) / played[:, 1]))

    total, of_all = won.sum(1), played.sum(1)
    least, most = np.maximum(total - played[:, 1], 0), np.minimum(total, played[:, 0])
    expected = 0.0
    for left in range(int(most.max()) + 1):
        possible = (least <= left) & (left <= most)
        chance = stats.hypergeom.pmf(left, of_all, total, played[:, 0])
        expected += float((apart(np.full_like(total, left)) * chance * possible).sum() / len(total))
    seen = float(apart(won[:, 0]).mean())
    dealt = generator.hypergeometric(total, of_all - total, played[:, 0], size=(ENUMERATED, len(total)))
    as_far = sum(float(apart(each).mean()) >= seen - TINY for each in dealt)
    return seen, expected, (1 + as_far) / (1 + ENUMERATED)


def holm(p_values: ArrayLike) -> Array:
    """Correct p-values [comparisons] for multiple comparisons (Holm 1979). NaN entries stay NaN and do not count.

    Raises:
        ValueError: p-values are not one-dimensional or are outside [0, 1].
    """
    given = np.asarray(p_values, np.float64)
    if given.ndim != 1 or ((given < 0) | (given > 1)).any():
        raise ValueError(f"p_values must be [comparisons] in [0, 1], got {given.tolist()}")
    adjusted = np.full(len(given), math.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(given[order] * (len(order) - np.arange(len(order)))))
    return adjusted


def runs_needed_by_ranks(chance: float, alpha: float = 0.05) -> float:
    """Number of runs per group with which `rank_test` detects a `superiority` with power 80% (Noether 1987).

    Args:
        chance: the superiority.
        alpha: significance level of the test.

    Returns:
        Number of runs, at least `FEWEST`; NaN if it exceeds `MOST`, e.g. for a chance of 1/2.
    """
    distance = abs(chance - 0.5)
    return _within_reach(_quantiles(alpha) ** 2 / (6 * distance**2) if distance else math.inf)


def runs_needed_of_mean(interval: Interval, n: int, bound: float) -> float:
    """Number of runs with which the 95% interval of a mean excludes a bound in 80% of cases.

    The width of the interval is extrapolated from that of n runs.

    Args:
        interval: 95% interval of the mean of n runs.
        n: number of runs.
        bound: value that the interval shall exclude.

    Returns:
        Number of runs, more than n; NaN if the interval has no ends, the estimate equals the bound, or the number
        exceeds `MOST`.
    """
    distance = abs(interval.estimate - bound)
    if not math.isfinite(interval.low) or not distance:
        return math.nan
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    error = (interval.high - interval.low) / 2 / z
    runs = _within_reach(n * (_quantiles(1 - CONFIDENCE) * error / distance) ** 2)
    return max(runs, n + 1)  # this order preserves NaN


def runs_needed_of_share(share: float, bound: float, confidence: float = 0.95) -> float:
    """Number of runs with which the exact interval of a share excludes a bound in 80% of cases.

    Args:
        share: probability that a run succeeds.
        bound: share that the interval shall exclude.
        confidence: confidence level of the interval in (0, 1).

    Returns:
        Number of runs, at least `FEWEST`, in steps of 2% above 200; NaN if the share equals the bound, or the number
        exceeds `MOST`.

    Raises:
        ValueError: confidence is outside (0, 1).
    """
    check_confidence(confidence)
    if share == bound:
        return math.nan
    if share < bound:
        share, bound = 1 - share, 1 - bound
    n = FEWEST
    while n <= MOST:
        # The interval of k successes excludes the bound if P(k or more successes | bound) < (1 - confidence) / 2.
        rare = stats.binom.sf(np.arange(n + 1) - 1, n, bound) < (1 - confidence) / 2
        if rare.any() and stats.binom.sf(int(rare.argmax()) - 1, n, share) >= POWER:
            return float(n)
        n += 1 if n < EACH_UP_TO else n // 50
    return math.nan


def armies_needed(table: ArrayLike, advantage: float, alpha: float = 0.05) -> float:
    """Number of armies per side with which a pairing's mean differs significantly from even in 80% of cases.

    The variance of the table is split into the parts due to each side's armies, which fall like 1/n, and the part due
    to single pairs, which falls like 1/n^2.

    Args:
        table: mean score of each pair of armies, [armies of one side, armies of the other].
        advantage: difference from an even score to be detected, e.g. 0.1 for 60 to 40.
        alpha: significance level of the test.

    Returns:
        Number of armies; NaN if a side has fewer than `FEWEST` armies, or the number exceeds `MOST`.
    """
    numbers = np.asarray(table, np.float64)
    rows, columns = numbers.shape
    if min(rows, columns) < FEWEST:
        return math.nan
    by_row, by_column = numbers.mean(axis=1), numbers.mean(axis=0)
    rest = numbers - by_row[:, None] - by_column + numbers.mean()
    pair = float((rest**2).sum() / ((rows - 1) * (columns - 1)))
    sides = max(0.0, by_row.var(ddof=1) - pair / columns) + max(0.0, by_column.var(ddof=1) - pair / rows)
    wanted = (advantage / _quantiles(alpha)) ** 2  # largest sufficient variance of the mean
    return _within_reach((sides + math.sqrt(sides**2 + 4 * wanted * pair)) / (2 * wanted))


def _group(name: str, scores: ArrayLike) -> Array:
    """Check scores [runs], which may be infinite but not NaN."""
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or not array.size or np.isnan(array).any():
        raise ValueError(f"{name} must be [runs] without NaN and not empty, got shape {array.shape}")
    return array


def _mann_whitney(first: Array, second: Array) -> float:
    """The p-value by the normal approximation, from ranks, since scipy does not accept infinite scores everywhere."""
    ranks = stats.rankdata(np.concatenate([first, second]))
    return float(stats.mannwhitneyu(ranks[: len(first)], ranks[len(first) :], method="asymptotic").pvalue)


def _share_as_far(values: Array, first: int, generator: np.random.Generator | None = None) -> float:
    """Share of relabellings in which the first group's mean is at least as far from the overall mean as in the data."""
    every = math.comb(len(values), first)
    chosen: NDArray[np.intp]
    if every <= ENUMERATED or generator is None:
        flat = chain.from_iterable(combinations(range(len(values)), first))
        chosen = np.fromiter(flat, np.intp, every * first).reshape(every, first)
    else:
        drawn = generator.random((ENUMERATED, len(values))).argsort(axis=1)[:, :first]
        chosen = np.concatenate([np.arange(first)[None], drawn])  # includes the actual labels
    away = np.abs(values[chosen].mean(axis=1) - values.mean())
    observed = abs(values[:first].mean() - values.mean())
    return float((away >= observed * (1 - TINY) - TINY_ALONE).mean())


def _quantiles(alpha: float) -> float:
    """The difference, in standard errors, that a test at level alpha detects with power `POWER`."""
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))


def _within_reach(runs: float) -> float:
    """Round up to whole runs, at least `FEWEST`; NaN above `MOST`."""
    return float(max(FEWEST, math.ceil(runs))) if runs <= MOST else math.nan

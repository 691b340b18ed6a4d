"""Are two groups of runs alike? Tests that need no distribution, and how many runs would tell.

A group is the runs of a method. Ranks serve where scores are two-peaked or infinite ("never"); armies that met each
other are compared by exchanging their labels. All p-values are two-sided.
"""

import math
from itertools import chain, combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mfmarl.evaluation.intervals import (
    FEWEST,
    RESAMPLES,
    Array,
    Interval,
    check_confidence,
    expanded_percentiles,
)

ENUMERATED = 20_000  # relabellings up to which all are tried; beyond, as many are drawn: our choice
POWER = 0.8  # with which the runs named by `..._needed` would decide
TINY = 1e-9  # rounding of a mean, in its own units; relative to it where values have units of their own
TINY_ALONE = 1e-12  # the same of a mean that is 0 but for rounding, where a relative tolerance is none
EACH_UP_TO = 200  # runs; of more only every fiftieth part is tried, for time: our choice
MOST = 10_000  # runs; more are said to be out of reach (NaN)


def superiority(one: ArrayLike, other: ArrayLike) -> float:
    """The chance that a run of `one` has a larger score than one of `other`, a tie counting half.

    Args:
        one: scores [runs] of the first group, which may be infinite.
        other: those of the second.

    Returns:
        Between 0 and 1; 1/2 if the groups are alike.

    Raises:
        ValueError: a group is empty or holds NaN.
    """
    first, second = _group("one", one), _group("other", other)
    larger, equal = first[:, None] > second, first[:, None] == second
    return float((larger + equal / 2).mean())


def superiority_interval(
    one: ArrayLike,
    other: ArrayLike,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    *,
    generator: np.random.Generator,
) -> Interval:
    """`superiority` with its bootstrap interval, both groups resampled; NaN ends if one has fewer than `FEWEST` runs.

    Raises:
        ValueError: a group is empty or holds NaN; confidence lies outside (0, 1).
    """
    first, second = _group("one", one), _group("other", other)
    table = (first[:, None] > second) + (first[:, None] == second) / 2
    return two_way_interval(table, confidence, resamples, generator=generator)


def two_way_interval(
    table: ArrayLike, confidence: float = 0.95, resamples: int = RESAMPLES, *, generator: np.random.Generator
) -> Interval:
    """The mean of a table with its interval, rows and columns resampled on their own (Owen 2007).

    Args:
        table: [runs of one, runs of the other], a number for each pair.
        confidence: between 0 and 1, exclusive.
        resamples: number of bootstrap resamples.
        generator: the only source of randomness.

    Returns:
        (estimate, low, high); the percentiles are expanded for the shorter side, as in `bootstrap_interval`. The ends
        are NaN if a side has fewer than `FEWEST` runs.

    Raises:
        ValueError: the table is empty, not finite or of another rank; confidence lies outside (0, 1).
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
    """p-value of Wilcoxon, Mann and Whitney: exact, with ties, where relabellings can be tried; else by the normal law.

    Raises:
        ValueError: a group is empty or holds NaN.
    """
    first, second = _group("one", one), _group("other", other)
    if math.comb(len(first) + len(second), len(first)) > ENUMERATED:
        # scipy's normal law is 0 / 0 where all are equal
        both = np.concatenate([first, second])
        return 1.0 if (both == both[0]).all() else float(_mann_whitney(first, second))
    ranks = stats.rankdata(np.concatenate([first, second]))
    return _share_as_far(ranks, len(first))


def exchange_test(table: ArrayLike, first: int, *, generator: np.random.Generator) -> float:
    """p-value for two methods whose armies all met: would other armies, labelled as the first's, have won as much?

    If the methods are alike, any `first` of the armies could have been the first method's. What an army earned against
    all others sums up to what its group did against the other, but for what is divided within groups.

    Args:
        table: [armies, armies]; at [a, b] the mean of a round for a against b. The diagonal is not read.
        first: number of armies of the first method, which stand first.
        generator: draws relabellings where there are too many to try all.

    Raises:
        ValueError: the table is not square or not finite off its diagonal, or a method has no army.
    """
    numbers = np.array(table, np.float64)
    if numbers.ndim != 2 or numbers.shape[0] != numbers.shape[1] or not 0 < first < len(numbers):
        raise ValueError(f"table must be [armies, armies] with armies of both, got {numbers.shape} and {first}")
    np.fill_diagonal(numbers, 0)
    if not np.isfinite(numbers).all():
        raise ValueError("table must be finite: all armies must have met")
    lead = numbers - numbers.T  # what lies within a group cancels out
    return _share_as_far(lead.sum(axis=1), first, generator)


def seat_test(wins: ArrayLike, rounds: ArrayLike, *, generator: np.random.Generator) -> tuple[float, float, float]:
    """Does it matter in which of two seats a pair plays? Rounds of each pair are dealt out to its seats anew.

    Shares of few rounds differ by chance alone, so their difference says nothing without what chance would give.

    Args:
        wins: [pairs, 2], in each seat.
        rounds: [pairs, 2], in each seat; at least 1.
        generator: the only source of randomness.

    Returns:
        How far the two seats' shares of wins lie apart, the mean over pairs; how far they would if the seat were
        nothing, exactly; and the p-value, one-sided, from `ENUMERATED` deals.

    Raises:
        ValueError: the two are not [pairs, 2], or a pair has no round in a seat, or more wins than rounds.
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
    """p-values [comparisons] that hold for all comparisons together (Holm 1979); NaN ones are no comparisons.

    Raises:
        ValueError: they are not one-dimensional or lie outside [0, 1].
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
    """Runs a group with which `rank_test` sees a `superiority` in 80% of cases (Noether 1987).

    Args:
        chance: the superiority.
        alpha: of the test.

    Returns:
        The number, at least `FEWEST`; NaN beyond `MOST`, as where the chance is 1/2.
    """
    distance = abs(chance - 0.5)
    return _within_reach(_quantiles(alpha) ** 2 / (6 * distance**2) if distance else math.inf)


def runs_needed_of_mean(interval: Interval, n: int, bound: float, confidence: float = 0.95) -> float:
    """Runs with which an interval as wide as that of n runs, but for n, lies on one side of the bound in 80% of cases.

    Args:
        interval: of a mean.
        n: runs behind it.
        bound: what the interval is to leave out.
        confidence: of the interval, between 0 and 1, exclusive.

    Returns:
        The number, more than n; NaN if the interval has no ends, the estimate is the bound, or beyond `MOST`.
    """
    distance = abs(interval.estimate - bound)
    if not math.isfinite(interval.low) or not distance:
        return math.nan
    z = float(stats.norm.ppf((1 + confidence) / 2))
    error = (interval.high - interval.low) / 2 / z
    runs = _within_reach(n * (_quantiles(1 - confidence) * error / distance) ** 2)
    return max(runs, n + 1)  # in this order: NaN stays


def runs_needed_of_share(share: float, bound: float, confidence: float = 0.95) -> float:
    """Runs with which the exact interval leaves out the bound in 80% of cases, if `share` of runs succeed.

    Args:
        share: of runs that succeed.
        bound: what the interval is to leave out, another share.
        confidence: of the interval, between 0 and 1, exclusive.

    Returns:
        The number, at least `FEWEST`, in steps of 2% from 200 on; NaN if the share is the bound, or beyond `MOST`.

    Raises:
        ValueError: confidence lies outside (0, 1).
    """
    check_confidence(confidence)
    if share == bound:
        return math.nan
    if share < bound:
        share, bound = 1 - share, 1 - bound
    n = FEWEST
    while n <= MOST:
        # The interval of k successes leaves out the bound if so many are rarer under it than (1 - confidence) / 2.
        rare = stats.binom.sf(np.arange(n + 1) - 1, n, bound) < (1 - confidence) / 2
        if rare.any() and stats.binom.sf(int(rare.argmax()) - 1, n, share) >= POWER:
            return float(n)
        n += 1 if n < EACH_UP_TO else n // 50
    return math.nan


def armies_needed(table: ArrayLike, advantage: float, alpha: float = 0.05) -> float:
    """Armies a side with which a pairing's mean is told from even in 80% of cases.

    Args:
        table: [armies of one, armies of the other], what each pair of armies scored. Its variance is split into what
            each side's armies bring and what is peculiar to a pair; the former falls with n, the latter with n^2.
        advantage: what is to be seen, over an even score, e.g. 0.1 for 60 to 40.
        alpha: of the test.

    Returns:
        The number; NaN if a side has fewer than `FEWEST` armies, or beyond `MOST`.
    """
    numbers = np.asarray(table, np.float64)
    rows, columns = numbers.shape
    if min(rows, columns) < FEWEST:
        return math.nan
    by_row, by_column = numbers.mean(axis=1), numbers.mean(axis=0)
    rest = numbers - by_row[:, None] - by_column + numbers.mean()
    pair = float((rest**2).sum() / ((rows - 1) * (columns - 1)))
    sides = max(0.0, by_row.var(ddof=1) - pair / columns) + max(0.0, by_column.var(ddof=1) - pair / rows)
    wanted = (advantage / _quantiles(alpha)) ** 2  # the variance of the mean that is small enough
    return _within_reach((sides + math.sqrt(sides**2 + 4 * wanted * pair)) / (2 * wanted))


def _group(name: str, scores: ArrayLike) -> Array:
    """Scores [runs], infinite ones among them, but no NaN."""
    array = np.asarray(scores, np.float64)
    if array.ndim != 1 or not array.size or np.isnan(array).any():
        raise ValueError(f"{name} must be [runs] without NaN and not empty, got shape {array.shape}")
    return array


def _mann_whitney(first: Array, second: Array) -> float:
    """The p-value by the normal law, from ranks: scipy takes no infinite scores for numbers everywhere."""
    ranks = stats.rankdata(np.concatenate([first, second]))
    return float(stats.mannwhitneyu(ranks[: len(first)], ranks[len(first) :], method="asymptotic").pvalue)


def _share_as_far(values: Array, first: int, generator: np.random.Generator | None = None) -> float:
    """The share of relabellings whose first group's mean lies as far from that of all as the data's."""
    every = math.comb(len(values), first)
    chosen: NDArray[np.intp]
    if every <= ENUMERATED or generator is None:
        flat = chain.from_iterable(combinations(range(len(values)), first))
        chosen = np.fromiter(flat, np.intp, every * first).reshape(every, first)
    else:
        drawn = generator.random((ENUMERATED, len(values))).argsort(axis=1)[:, :first]
        chosen = np.concatenate([np.arange(first)[None], drawn])  # the data's own is one of them
    away = np.abs(values[chosen].mean(axis=1) - values.mean())
    observed = abs(values[:first].mean() - values.mean())
    return float((away >= observed * (1 - TINY) - TINY_ALONE).mean())


def _quantiles(alpha: float) -> float:
    """How many standard errors a difference must measure to be seen with the power above at this alpha."""
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))


def _within_reach(runs: float) -> float:
    """Whole runs, at least `FEWEST`; NaN beyond `MOST`."""
    return float(max(FEWEST, math.ceil(runs))) if runs <= MOST else math.nan

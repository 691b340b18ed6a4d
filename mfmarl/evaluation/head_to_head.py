"""Comparison of two methods whose armies all met: share of rounds won by the first, with interval and p-value."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mfmarl.evaluation.comparisons import exchange_test, holm, two_way_interval
from mfmarl.evaluation.intervals import FEWEST, Array, Interval, interval_columns
from mfmarl.evaluation.rounds import ROUND_KEYS, both_sides, met, with_points


class Comparison(NamedTuple):
    """Result of the armies of one side against those of the other."""

    interval: Interval  #: mean over all pairs of armies; its interval resamples the armies of both sides.
    n: int  #: number of armies of the side with fewer.
    p: float  #: p-value of `exchange_test`; NaN if a side has fewer than `FEWEST` armies.


def compare_armies(table: Array, first: int) -> Comparison:
    """Compare the armies of two sides: mean result with its 95% interval, and a test of whether the sides are alike.

    Interval and test draw from a generator with seed 0, so equal tables give equal numbers.

    Args:
        table: results `[armies, armies]`, as returned by `mfmarl.evaluation.rounds.met`.
        first: number of armies of the first side, which come first.

    Raises:
        ValueError: a side has no army, or some armies never met.
    """
    block = table[:first, first:]
    interval = two_way_interval(block, generator=np.random.default_rng(0))
    n = min(block.shape)
    p = exchange_test(table, first, generator=np.random.default_rng(0)) if n >= FEWEST else math.nan
    return Comparison(interval, n, p)


def head_to_head(rounds: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Compare pairs of methods in a table of rounds.

    Args:
        rounds: table of rounds as described in `mfmarl.evaluation.rounds`, in which each method also fights itself.
        pairs: pairs of methods. Pairs that did not meet get no rows.

    Returns:
        One row per pair, number of agents and evaluation, in this order, with the columns agents, evaluation,
        algorithm, opponent, and

        - seeds: number of seeds of the side with fewer;
        - points, points_low, points_high: share of rounds that `algorithm` wins, draws counting half, with its 95%
          interval, which resamples the seeds of both sides;
        - p: p-value of `exchange_test`, corrected for all rows (Holm).

        Ends and p are NaN with fewer than FEWEST seeds.

    Raises:
        ValueError: `rounds` is not a valid table of rounds.
    """
    sides = with_points(both_sides(rounds))
    rows, p_values = [], []
    for key, group in sides.groupby([*ROUND_KEYS], sort=True):
        for algorithm, opponent in pairs:
            table, first = met(group, [algorithm], [opponent], "points")
            block = table[:first, first:]
            if not block.size or np.isnan(block).any():
                continue
            interval, seeds, p = compare_armies(table, first)
            p_values.append(p)
            row = dict(zip(ROUND_KEYS, key, strict=True)) | {"algorithm": algorithm, "opponent": opponent}
            rows.append(row | {"seeds": seeds} | interval_columns("points", interval))
    columns = [*ROUND_KEYS, "algorithm", "opponent", "seeds", "points", "points_low", "points_high"]
    return pd.DataFrame(rows, columns=columns).assign(p=holm(p_values))

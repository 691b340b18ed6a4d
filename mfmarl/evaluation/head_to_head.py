"""Two methods whose armies all met: the share of rounds that the first wins, its interval and its p-value."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mfmarl.evaluation.comparisons import exchange_test, holm, two_way_interval
from mfmarl.evaluation.intervals import FEWEST, Array, Interval, interval_columns
from mfmarl.evaluation.rounds import GROUP, both_sides, met, with_points


class Comparison(NamedTuple):
    """What the armies of one side did to those of the other."""

    interval: Interval  #: of the mean over all pairs of armies, both sides' armies resampled.
    n: int  #: armies of the side with fewer.
    p: float  #: armies' labels exchanged; NaN with fewer than `FEWEST` armies of a side.


def compare_armies(table: Array, first: int) -> Comparison:
    """The mean of what one side's armies did to the other's, its 95% interval, and whether the sides are alike.

    Both draw from the generator of seed 0, so that equal tables give equal numbers.

    Args:
        table: [armies, armies], as `mfmarl.evaluation.rounds.met` has it.
        first: number of armies of the first side, which stand first.

    Raises:
        ValueError: a side has no army, or some armies never met.
    """
    block = table[:first, first:]
    interval = two_way_interval(block, generator=np.random.default_rng(0))
    n = min(block.shape)
    p = exchange_test(table, first, generator=np.random.default_rng(0)) if n >= FEWEST else math.nan
    return Comparison(interval, n, p)


def head_to_head(rounds: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """One row a pair, number of agents and evaluation, in this order.

    Args:
        rounds: a table of rounds, see `mfmarl.evaluation.rounds`; each method has fought itself, too.
        pairs: of methods; those that did not meet have no rows.

    Returns:
        agents, evaluation, algorithm, opponent; seeds, those of the side with fewer; points: the share of rounds that
        `algorithm` wins, draws counting half, points_low and points_high, its 95% interval, both sides' seeds
        resampled; p: armies' labels exchanged, Holm's for all rows. Ends and p are NaN with fewer than FEWEST seeds.

    Raises:
        ValueError: no table of rounds.
    """
    sides = with_points(both_sides(rounds))
    rows, p_values = [], []
    for key, group in sides.groupby([*GROUP], sort=True):
        for algorithm, opponent in pairs:
            table, first = met(group, [algorithm], [opponent], "points")
            block = table[:first, first:]
            if not block.size or np.isnan(block).any():
                continue
            interval, seeds, p = compare_armies(table, first)
            p_values.append(p)
            row = dict(zip(GROUP, key, strict=True)) | {"algorithm": algorithm, "opponent": opponent, "seeds": seeds}
            rows.append(row | interval_columns("points", interval))
    columns = [*GROUP, "algorithm", "opponent", "seeds", "points", "points_low", "points_high"]
    return pd.DataFrame(rows, columns=columns).assign(p=holm(p_values))

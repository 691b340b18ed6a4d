"""Tidy rows: each has one number, what it measures, its interval, and the exact value if there is one."""

from collections.abc import Sequence
from math import nan
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mfmarl.evaluation.intervals import bootstrap_interval, proportion_interval

COLUMNS = ["claim", "quantity", "setting", "value", "low", "high", "n", "exact"]
KEYS = ["claim", "quantity", "setting"]

Row: TypeAlias = dict[str, object]
Setting: TypeAlias = dict[str, Any]
"""Text and numbers that distinguish a row from others of its quantity; the functions here take them as keywords."""


def row(
    claim: str,
    quantity: str,
    value: float,
    *,
    exact: float = nan,
    low: float = nan,
    high: float = nan,
    n: int = 1,
    **setting: str | float,
) -> Row:
    """Return one row. Its setting is written as "name=value; name=value".

    Args:
        claim: TH-1, TH-2, TH-3 or toy.
        quantity: name of the quantity.
        value: measured value, or the exact value if nothing has to be measured.
        exact: exact value; NaN if it is not known.
        low: lower end of the 95% interval; NaN without an interval.
        high: upper end of the 95% interval; NaN without an interval.
        n: number of independent measurements.
        **setting: text and numbers that distinguish this row from others of the quantity; underscores in names become
            spaces.
    """
    text = "; ".join(f"{name.replace('_', ' ')}={_text(what)}" for name, what in setting.items())
    values = (claim, quantity, text, float(value), float(low), float(high), n, float(exact))
    return dict(zip(COLUMNS, values, strict=True))


def mean_row(claim: str, quantity: str, scores: Sequence[float], *, exact: float = nan, **setting: str | float) -> Row:
    """Return a row with the mean of independent scores and its bootstrap interval."""
    interval = bootstrap_interval(scores, resamples=2000, generator=np.random.default_rng(0))
    return row(
        claim, quantity, interval.estimate, exact=exact, low=interval.low, high=interval.high, n=len(scores), **setting
    )


def share_row(claim: str, quantity: str, successes: int, n: int, *, exact: float = nan, **setting: str | float) -> Row:
    """Return a row with a share of independent runs and its exact interval."""
    interval = proportion_interval(successes, n)
    return row(claim, quantity, interval.estimate, exact=exact, low=interval.low, high=interval.high, n=n, **setting)


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as a frame."""
    return pd.DataFrame(rows, columns=COLUMNS)


def against_exact(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each quantity with a known exact value, the number of rows and the largest difference from it."""
    known = frame.dropna(subset="exact")
    lines = known.assign(difference=(known["value"] - known["exact"]).abs()).groupby(["claim", "quantity"], sort=True)
    return lines.agg(rows=("value", "size"), largest_difference=("difference", "max")).reset_index()


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"

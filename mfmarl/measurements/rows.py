"""Tidy rows: one number each, what it is of, how sure it is, and what is exact."""

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
"""What tells a row from others of its quantity, for the last arguments of the functions here: text and numbers."""


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
    """One row; the setting is written "name=value; name=value", numbers so that they read back.

    Args:
        claim: TH-1, TH-2, TH-3 or toy.
        quantity: what the value is.
        value: measured, or the exact one itself where nothing need be measured.
        exact: what it should be; NaN if nobody knows.
        low: end of the 95% interval; NaN without one.
        high: the other end.
        n: number of independent measurements.
        **setting: what tells this row from others of the quantity; underscores become spaces.
    """
    text = "; ".join(f"{name.replace('_', ' ')}={_text(what)}" for name, what in setting.items())
    values = (claim, quantity, text, float(value), float(low), float(high), n, float(exact))
    return dict(zip(COLUMNS, values, strict=True))


def mean_row(claim: str, quantity: str, scores: Sequence[float], *, exact: float = nan, **setting: str | float) -> Row:
    """The mean of independent scores with its bootstrap interval."""
    interval = bootstrap_interval(scores, resamples=2000, generator=np.random.default_rng(0))
    return row(
        claim, quantity, interval.estimate, exact=exact, low=interval.low, high=interval.high, n=len(scores), **setting
    )


def share_row(claim: str, quantity: str, successes: int, n: int, *, exact: float = nan, **setting: str | float) -> Row:
    """A share of independent runs with its exact interval."""
    interval = proportion_interval(successes, n)
    return row(claim, quantity, interval.estimate, exact=exact, low=interval.low, high=interval.high, n=n, **setting)


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a frame."""
    return pd.DataFrame(rows, columns=COLUMNS)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"

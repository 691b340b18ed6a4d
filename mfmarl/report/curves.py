"""Learning curves for the page: every run, with numbers rounded to the precision of a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Curves:
    """Description of a table of learning curves.

    Args:
        name: name of the table in the page.
        title: title for readers.
        facets: columns with the conditions of a run, with their labels; one value of each is shown at a time.
        metrics: columns that can be drawn, with their labels.
        x: label of the column `step`.
        method: column with the name of the method.
        first: value of each facet that is shown first. Default: the smallest.
    """

    name: str
    title: str
    facets: Mapping[str, str]
    metrics: Mapping[str, str]
    x: str
    method: str = "algorithm"
    first: Mapping[str, Any] = field(default_factory=dict)


def drawable(table: pd.DataFrame, curves: Curves) -> dict[str, Any]:
    """Convert a table of curves for JSON.

    Args:
        table: table with one row per evaluation, with the columns of `curves`, `seed` and `step`.
        curves: description of the table.

    Returns:
        name, title and x of `curves`; `facets`: label and values of each; `metrics`: label of each; `methods`: label,
        colour and dash of each; `steps`: distinct lists of steps; `runs`: for each run the indices of its facets'
        values, of its method and of its steps, its seed, and one list of numbers per metric, null for missing numbers.

    Raises:
        ValueError: a column is missing.
    """
    from mfmarl.figures.style import MCMC, looks  # noqa: PLC0415 - seaborn takes seconds to import

    keys = [*curves.facets, curves.method, "seed"]
    if missing := [name for name in (*keys, "step", *curves.metrics) if name not in table.columns]:
        raise ValueError(f"{curves.name} lacks the columns {missing}")
    values = {facet: in_order(table[facet], curves.first.get(facet)) for facet in curves.facets}
    known = looks(map(str, table[curves.method])) | ({"mcmc": MCMC} if "mcmc" in set(table[curves.method]) else {})
    methods = list(known)
    rounded = table.assign(**{metric: shortened(table[metric].to_numpy(float)) for metric in curves.metrics})
    steps: dict[tuple[int, ...], int] = {}
    runs = []
    for key, run in rounded.sort_values([*keys, "step"], kind="stable").groupby(keys, sort=False):
        *where, method, seed = key
        grid = steps.setdefault(tuple(map(int, run["step"])), len(steps))
        numbers = [[None if np.isnan(y) else y for y in run[metric].tolist()] for metric in curves.metrics]
        places = [values[facet].index(value) for facet, value in zip(curves.facets, where, strict=True)]
        runs.append([places, methods.index(str(method)), grid, int(str(seed)), numbers])
    return {
        "name": curves.name,
        "title": curves.title,
        "x": curves.x,
        "facets": [
            {"label": label, "values": [str(value) for value in values[facet]]}
            for facet, label in curves.facets.items()
        ],
        "metrics": list(curves.metrics.values()),
        "methods": [{"label": look.label, "colour": look.colour, "dash": dash(look.line)} for look in known.values()],
        "steps": [list(grid) for grid in steps],
        "runs": runs,
    }


def shortened(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Round values so that the largest keeps four significant digits; a plot of 1000 pixels shows no more."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    digits = 3 - floor(log10(largest)) if largest > 0 else 0
    return np.round(values, digits) + 0.0  # no -0


def in_order(column: pd.Series, first: object = None) -> list[Any]:
    """The distinct values, sorted, with `first` moved to the front; the appendix's settings come first by name."""
    return sorted(column.unique().tolist(), key=lambda value: (value != first, value))


def dash(line: str | tuple[float, Sequence[float]]) -> str:
    """Convert a line style of matplotlib to plotly.js."""
    return "solid" if isinstance(line, str) else ",".join(f"{2 * length:g}px" for length in line[1])

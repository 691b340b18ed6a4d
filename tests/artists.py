"""What a panel of a figure holds, read back as numbers: lines, bands, bars and segments, all of them and no more."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from numpy.typing import NDArray

from mfmarl.evaluation.intervals import bootstrap_band

Array = NDArray[np.float64]


def across(y: float) -> list[list[float]]:
    """A line from side to side."""
    return [[0, 1], [y, y]]


def upright(x: float) -> list[list[float]]:
    """A line from bottom to top."""
    return [[x, x], [0, 1]]


def lines(axes: Axes) -> list[Array]:
    """Each line and row of dots, `[2, points]`, x above y."""
    return [np.array([line.get_xdata(), line.get_ydata()], float) for line in axes.get_lines()]


def bands(axes: Axes) -> list[Array]:
    """Each band, `[3, points]`: x, low and high."""
    found = []
    for band in axes.collections:
        if isinstance(band, PolyCollection):
            for path in band.get_paths():
                corners = np.asarray(path.vertices, float)
                at = np.unique(corners[:, 0])
                ends = [(x, corners[corners[:, 0] == x, 1].min(), corners[corners[:, 0] == x, 1].max()) for x in at]
                found.append(np.array(ends).T)
    return found


def segments(axes: Axes) -> list[Array]:
    """Each segment of `vlines` and `hlines` that can be seen, `[2, 2]`, x above y."""
    collections = [each for each in axes.collections if isinstance(each, LineCollection)]
    found = [np.asarray(path.vertices, float).T for each in collections for path in each.get_paths()]
    return [each for each in found if np.isfinite(each).all()]


def boxes(axes: Axes) -> list[Array]:
    """Each bar and shaded span, `[2, 2]`: its sides in x and its ends in y."""
    corners = [patch.get_path().transformed(patch.get_patch_transform()).vertices for patch in axes.patches]
    return [np.sort([np.asarray(each, float).min(0), np.asarray(each, float).max(0)], 0).T for each in corners]


def bars_of(rows: pd.DataFrame, x: str) -> list[Any]:
    """The segments of the intervals of rows that have one: upright at `x`, from low to high."""
    measured = rows.dropna(subset=["low", "high"])
    return [[[at, at], [low, high]] for at, low, high in measured[[x, "low", "high"]].to_numpy(float)]


def curve_of(table: pd.DataFrame) -> tuple[list[Any], list[Any]]:
    """The lines and the bands of a table [seeds, x]: of up to 5 seeds a line each beside the mean, else a band."""
    x, seeds = table.columns.to_numpy(float), table.to_numpy(float)
    mean = [x, seeds.mean(axis=0)]
    if len(seeds) <= 5:
        return [mean, *([x, seed] for seed in seeds if len(seeds) > 1)], []
    band = bootstrap_band(table, generator=np.random.default_rng(0))  # the one that figures start always anew
    return [mean], [[x, band.low, band.high]]


def check_curves(axes: Axes, tables: Iterable[pd.DataFrame], further: Iterable[Any] = ()) -> None:
    """The panel holds the curves of the tables [seeds, x], the further lines, and nothing else."""
    drawn = [curve_of(table) for table in tables]
    check(lines(axes), [*further, *(line for of_table, _ in drawn for line in of_table)])
    check(bands(axes), [band for _, of_table in drawn for band in of_table])


def check(found: Sequence[Array], expected: Iterable[Any]) -> None:
    """Every artist is one that was expected, and each of these is there once."""
    left = list(found)
    for each in expected:
        wanted = np.asarray(each, float)
        same = [
            index
            for index, drawn in enumerate(left)
            if drawn.shape == wanted.shape and np.allclose(drawn, wanted, rtol=1e-9, atol=1e-12, equal_nan=True)
        ]
        assert same, f"not drawn: {wanted.tolist()}"
        del left[same[0]]
    assert not left, f"drawn, but not expected: {[each.tolist() for each in left]}"


def check_view(axes: Axes, *, least: float = 0.5) -> None:
    """The panel shows all of what is measured in it, which fills at least that share of its height and width."""
    dots = np.concatenate([np.concatenate([each.T for each in lines(axes)]), *(each.T for each in segments(axes))])
    dots = dots[np.isfinite(dots).all(1)]
    for values, limits, scale in ((dots[:, 0], axes.get_xlim(), axes.get_xscale()),
                                  (dots[:, 1], axes.get_ylim(), axes.get_yscale())):  # fmt: skip
        low, high = min(limits), max(limits)
        assert low - 1e-9 <= values.min()
        assert values.max() <= high + 1e-9
        if scale == "linear":
            assert values.max() - values.min() >= least * (high - low)

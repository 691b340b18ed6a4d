"""Where the Ising model orders, told by small lattices: cumulants and their crossings.

Binder 1981, *Finite size scaling analysis of Ising model block distribution functions*: the cumulant
U = 1 - <m^4> / (3 <m^2>^2) falls from 2/3 in the ordered phase to 0 in the disordered one, the steeper the larger
the lattice, so that the curves U(tau) of two sizes cross near the critical temperature tau_c. At tau_c U tends to
0.61069 on a square torus (Kamieniarz and Blöte 1993, *Universal ratio of magnetization moments in two-dimensional
Ising models*). Temperatures are the paper's tau, half the physical ones: tau_c = 1 / ln(1 + sqrt 2) = 1.1346.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from mfmarl.arguments import integer
from mfmarl.evaluation.intervals import RESAMPLES, Array, Interval, bootstrap_interval
from mfmarl.evaluation.tables import require_columns

CELL = ["method", "size", "temperature"]
MOMENTS = ["squared_magnetisation", "fourth_magnetisation"]
DEGREE = 4  # of the polynomials that are fitted: our choice, see `crossings`
GRID = 513  # temperatures among which a crossing is sought; between them the curves are taken as straight
MISSED = 0.05  # our choice: with more resamples than this lacking a crossing, the interval is not known


def binder_cumulant(squared: Array, fourth: Array) -> Array:
    """U = 1 - <m^4> / (3 <m^2>^2); both moments are averaged over the seeds before the ratio is taken.

    Args:
        squared: [..., seeds], the time mean of m^2 in each run.
        fourth: [..., seeds], the time mean of m^4 in each run.

    Returns:
        U [...]; NaN where m^2 is zero in every run.

    Raises:
        ValueError: the shapes differ, or there are no seeds.
    """
    if squared.shape != fourth.shape or not squared.ndim or not squared.shape[-1]:
        raise ValueError(
            f"squared and fourth must have one shape [..., seeds] with seeds, got {squared.shape} and {fourth.shape}"
        )
    second = squared.mean(axis=-1)
    return np.asarray(1 - fourth.mean(axis=-1) / (3 * np.where(second > 0, second, math.nan) ** 2))


def cumulants(
    equilibrium: pd.DataFrame, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One row a method, size and temperature: the cumulant U with its bootstrap interval over the seeds.

    A row depends on its own runs and on `seed` alone.

    Args:
        equilibrium: one row a run, with the columns method, size, temperature, seed, squared_magnetisation and
            fourth_magnetisation (time means of m^2 and m^4); one order of updates a method.
        confidence: of every interval.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap's generator.

    Returns:
        A frame sorted by method, size and temperature, with these columns and n (number of seeds), cumulant, low
        and high. The ends are NaN when n = 1.

    Raises:
        ValueError: a column is missing, there are no rows, a moment is not finite, a seed occurs twice at one
            temperature, or confidence lies outside (0, 1).
    """
    rows = []
    for cell, runs in _checked(equilibrium).groupby(CELL, sort=True):
        moments = runs[MOMENTS].to_numpy(np.float64)[:, None]
        rows.append((*cell, len(runs), *_bootstrap(moments, _only_cell, confidence, resamples, seed)))
    return pd.DataFrame(rows, columns=[*CELL, "n", "cumulant", "low", "high"])


def crossings(
    equilibrium: pd.DataFrame,
    *,
    between: tuple[float, float] = (0.0, math.inf),
    degree: int = DEGREE,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """One row a method and pair of consecutive sizes: the temperature at which their cumulants cross.

    To the cumulants of each size a polynomial in tau is fitted by least squares. The temperatures have equal
    weights: weights 1 / error^2 would let the ordered phase, where the errors vanish, decide the fit, and be
    infinite where all runs agree. The crossing is where the larger lattice's curve falls through the smaller
    one's, within the temperatures that both have; of several such roots the steepest, as chance makes the curves
    touch where both are flat. Every run is independent of every other, over temperatures and sizes too: a resample
    draws the seeds of each size and temperature on their own.

    Args:
        equilibrium: as in `cumulants`.
        between: the temperatures to use, ends included; the default is all of them. A polynomial follows U near
            tau_c only. Fitted to the exact moments of L = 4 and 8 at 9 temperatures within tau_c +- w, quartics
            shift the crossing by 0.0003 for w = 0.2, -0.001 for 0.3 and -0.02 for 0.5, cubics by -0.007 for 0.2;
            the same shifts, in units of 1 / L, come with w in units of 1 / L.
        degree: of the polynomials (DEGREE = 4, our choice: see `between`).
        confidence: of every interval.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap's generator.

    Returns:
        A frame sorted by method and sizes, with the columns method, sizes ("8, 16"), estimate, low, high and n
        (number of seeds at each temperature); no rows for a method of one size.

        - If the curves do not cross, estimate, low and high are NaN.
        - If more than 5% of the resamples do not cross, low and high are NaN. Fewer count as crossings at that end
          of the temperatures beyond which the curves would cross.
        - If n = 1, low and high are NaN. With few seeds the interval holds the crossing more often than it says,
          for its percentiles are those of a mean of n runs, whereas n runs at every temperature decide a crossing.

    Raises:
        ValueError: as `cumulants`; or degree is no whole number of at least 1, a size has fewer than degree + 1
            temperatures, two sizes have no range of temperatures in common, or the numbers of seeds differ.
    """
    rows = []
    for method, (small, large), cells in _pairs(equilibrium, between, degree):
        small_at, large_at = map(_temperatures, cells)
        finder = _CrossingFinder(small_at, large_at, degree)
        moments = _by_cell(pd.concat(cells))
        interval = _bootstrap(moments, finder, confidence, resamples, seed)
        rows.append((method, f"{small}, {large}", *interval, len(moments)))
    return pd.DataFrame(rows, columns=["method", "sizes", "estimate", "low", "high", "n"])


def fits(
    equilibrium: pd.DataFrame,
    *,
    between: tuple[float, float] = (0.0, math.inf),
    degree: int = DEGREE,
    points: int = 101,
) -> pd.DataFrame:
    """The polynomials whose crossing `crossings` finds: for each method and pair of consecutive sizes both curves.

    Args:
        equilibrium: as in `cumulants`.
        between: as in `crossings`.
        degree: as in `crossings`.
        points: of a curve, from the lowest of its size's temperatures to the highest. 101: our choice, for a figure.

    Returns:
        A frame sorted by method, sizes, size and temperature, with the columns method, sizes ("8, 16"), size,
        temperature and cumulant.

    Raises:
        ValueError: as `crossings`, but for numbers of seeds that differ.
    """
    curves = []
    for method, sizes, cells in _pairs(equilibrium, between, degree):
        for size, cell in zip(sizes, cells, strict=True):
            at = _temperatures(cell)
            sought = np.linspace(at.min(), at.max(), points)
            measured = [binder_cumulant(*runs[MOMENTS].to_numpy(np.float64).T) for _, runs in cell.groupby(CELL)]
            pair = f"{sizes[0]}, {sizes[1]}"
            columns = {"method": method, "sizes": pair, "size": size, "temperature": sought}
            curves.append(pd.DataFrame({**columns, "cumulant": np.array(measured) @ _fit(at, sought, degree)}))
    return pd.concat(curves) if curves else pd.DataFrame(columns=["method", "sizes", "size", "temperature", "cumulant"])


def _pairs(
    equilibrium: pd.DataFrame, between: tuple[float, float], degree: int
) -> Iterator[tuple[str, tuple[int, int], list[pd.DataFrame]]]:
    """Each method and pair of consecutive sizes, with the runs of both sizes that are used.

    Raises:
        ValueError: as `fits`.
    """
    degree = integer("degree", degree, 1)
    table = _checked(equilibrium)
    used = table[table["temperature"].between(*between)]
    for method, sizes in table.groupby("method", sort=True)["size"].unique().items():
        for pair in pairwise(sorted(sizes)):
            cells = [used[(used["method"] == method) & (used["size"] == size)] for size in pair]
            for temperatures in map(_temperatures, cells):
                if len(temperatures) <= degree:
                    raise ValueError(
                        f"equilibrium must have at least {degree + 1} temperatures of each size for degree {degree},"
                        f" got {temperatures.tolist()}"
                    )
            yield str(method), pair, cells


def _temperatures(cell: pd.DataFrame) -> Array:
    """Those at which a size was measured, sorted."""
    return np.unique(cell["temperature"].to_numpy(np.float64))


def _fit(temperatures: Array, at: Array, degree: int) -> Array:
    """[temperatures, at]: takes cumulants at the temperatures to the least-squares polynomial at `at`."""
    centre, width = temperatures.mean(), np.ptp(temperatures)
    known = np.vander((temperatures - centre) / width, degree + 1)
    sought = np.vander((at - centre) / width, degree + 1)
    return np.asarray((sought @ np.linalg.pinv(known)).T)


class _CrossingFinder:
    """From the cumulants of two sizes [..., small's then large's temperatures] to their crossing [...].

    A least-squares fit is linear in what it fits: one matrix takes all cumulants to the difference of the two
    polynomials, large minus small, at the temperatures `at`.
    """

    def __init__(self, small: Array, large: Array, degree: int) -> None:
        low, high = max(small.min(), large.min()), min(small.max(), large.max())
        if not low < high:
            raise ValueError(f"two sizes must have a range of temperatures in common, got {small} and {large}")
        self.at = np.linspace(low, high, GRID)
        self.difference = np.concatenate([-_fit(small, self.at, degree), _fit(large, self.at, degree)])

    def __call__(self, cumulants: Array) -> Array:
        """NaN where there is no crossing: everywhere, if a larger share than MISSED has none."""
        gap: Array = cumulants @ self.difference
        # Where the larger lattice falls below the smaller between two temperatures, and by how much it falls.
        drop = np.where((gap[..., :-1] >= 0) & (gap[..., 1:] < 0), gap[..., :-1] - gap[..., 1:], 0.0)
        left = drop.argmax(axis=-1)[..., None]
        # Between the two the gap is taken as straight.
        above, below = (np.take_along_axis(gap, index, axis=-1)[..., 0] for index in (left, left + 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            root: Array = self.at[left[..., 0]] + (self.at[1] - self.at[0]) * above / (above - below)
        # No crossing: where the larger lattice lies above, the curves would cross beyond the high end, else the low.
        found = (drop > 0).any(axis=-1)
        if 1 - found.mean() > MISSED:
            return np.full(found.shape, math.nan)
        return np.where(found, root, np.where(gap.mean(axis=-1) > 0, self.at[-1], self.at[0]))


def _only_cell(cumulants: Array) -> Array:
    """[..., 1] -> [...]."""
    return cumulants[..., 0]


def _bootstrap(
    moments: Array, reduce: Callable[[Array], Array], confidence: float, resamples: int, seed: int
) -> Interval:
    """The interval of reduce(U [..., cells]) -> [...], over the runs of moments [runs, cells, 2].

    Numbers of runs are drawn, so both moments of a run are drawn together. Each cell is drawn on its own.
    """
    runs, cells, _ = moments.shape

    def statistic(drawn: Array) -> Array:
        chosen = moments[drawn.astype(np.intp), np.arange(cells)].swapaxes(-3, -2)
        return reduce(binder_cumulant(chosen[..., 0], chosen[..., 1]))

    numbers = np.repeat(np.arange(runs)[:, None], cells, axis=1)
    generator = np.random.default_rng(seed)
    interval = bootstrap_interval(numbers, statistic, confidence, resamples, generator=generator)
    return Interval(*[math.nan] * 3) if math.isnan(interval.estimate) else interval


def _by_cell(table: pd.DataFrame) -> Array:
    """The moments [runs, cells, 2] of a sorted table whose cells have equally many runs.

    Raises:
        ValueError: their numbers of runs differ.
    """
    counts = table.groupby(CELL).size()
    if counts.min() < counts.max():
        raise ValueError(
            f"equilibrium must have equally many seeds at all temperatures of two sizes,"
            f" got {counts.min()} at {counts.idxmin()} and {counts.max()} at {counts.idxmax()}"
        )
    return table[MOMENTS].to_numpy(np.float64).reshape(len(counts), -1, 2).swapaxes(0, 1)


def _checked(equilibrium: pd.DataFrame) -> pd.DataFrame:
    """The table sorted by method, size, temperature and seed.

    Raises:
        ValueError: as `cumulants`.
    """
    require_columns("equilibrium", equilibrium, [*CELL, "seed", *MOMENTS])
    wrong = ~np.isfinite(equilibrium[MOMENTS].to_numpy(np.float64)).all(axis=1)
    if wrong.any():
        raise ValueError(f"equilibrium must have finite moments, got {equilibrium[wrong].iloc[0].to_dict()}")
    twice = equilibrium.duplicated([*CELL, "seed"])
    if twice.any():
        run = equilibrium.loc[twice, [*CELL, "seed"]].iloc[0].to_dict()
        raise ValueError(f"equilibrium must have each seed once at a temperature (one order a method), got twice {run}")
    return equilibrium.sort_values([*CELL, "seed"])

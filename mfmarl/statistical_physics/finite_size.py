"""The critical temperature of the Ising model, estimated from small lattices by crossings of cumulants.

The cumulant U = 1 - <m^4> / (3 <m^2>^2) falls from 2/3 in the ordered phase to 0 in the disordered phase (Binder 1981,
*Finite size scaling analysis of Ising model block distribution functions*). It falls more steeply on larger lattices,
so the curves U(tau) of two sizes cross near the critical temperature tau_c. At tau_c, U tends to 0.61069 on a square
torus (Kamieniarz and Blöte 1993, *Universal ratio of magnetization moments in two-dimensional Ising models*).
Temperatures are the paper's tau, half the physical temperature: tau_c = 1 / ln(1 + sqrt 2) = 1.1346.
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
DEGREE = 4  # degree of the fitted polynomials: our choice, see `crossings`
GRID = 513  # number of temperatures in the search for a crossing; the curves are taken as straight between them
MISSED = 0.05  # largest share of resamples without a crossing for which there is still an interval: our choice


def binder_cumulant(squared: Array, fourth: Array) -> Array:
    """Return U = 1 - <m^4> / (3 <m^2>^2); both moments are averaged over the seeds before the ratio is taken.

    Args:
        squared: time mean of m^2 in each run, [..., seeds].
        fourth: time mean of m^4 in each run, [..., seeds].

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
    """Return the cumulant U of each method, size and temperature, with its bootstrap interval over the seeds.

    A row of the result depends only on its own runs and on `seed`.

    Args:
        equilibrium: one row per run, with the columns method, size, temperature, seed, squared_magnetisation and
            fourth_magnetisation (time means of m^2 and m^4); one order of updates per method.
        confidence: confidence of every interval, in (0, 1).
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap's generator.

    Returns:
        A frame sorted by method, size and temperature, with these columns and n (number of seeds), cumulant, low
        and high. The ends of the interval, low and high, are NaN if n is 1 or 2.

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
    """Return the temperature at which cumulants cross, for each method and pair of consecutive sizes.

    A polynomial in tau is fitted to the cumulants of each size by least squares. The temperatures have equal weights:
    with weights 1 / error^2 the ordered phase, where the errors vanish, would decide the fit, and weights would be
    infinite where all runs agree. The crossing is the temperature at which the larger lattice's curve falls through the
    smaller one's, within the range of temperatures of both. Of several such roots the steepest is taken, because random
    errors make the curves touch where both are flat. All runs are independent, also over temperatures and sizes, so a
    resample draws the seeds of each size and temperature separately.

    Args:
        equilibrium: as in `cumulants`.
        between: range of the temperatures to use, ends included; the default is all of them. A polynomial follows U
            only near tau_c. Fitted to the exact moments of L = 4 and 8 at 9 temperatures within tau_c +- w, quartics
            shift the crossing by 0.0003 for w = 0.2, -0.001 for 0.3 and -0.02 for 0.5, and cubics by -0.007 for 0.2.
            The shifts are the same for other sizes if they and w are in units of 1 / L.
        degree: degree of the polynomials (DEGREE = 4, our choice: see `between`).
        confidence: confidence of every interval, in (0, 1).
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap's generator.

    Returns:
        A frame sorted by method and sizes, with the columns method, sizes ("8, 16"), estimate, low, high and n
        (number of seeds at each temperature). A method with one size has no rows.

        - If the curves do not cross, estimate, low and high are NaN.
        - If more than 5% of the resamples do not cross, low and high are NaN. If at most 5% do not cross, each of them
          counts as a crossing at the end of the range beyond which its curves would cross.
        - If n is 1 or 2, low and high are NaN. With few seeds the interval contains the crossing more often than its
          confidence says: its percentiles are those of a mean of n runs, but a crossing depends on n runs at every
          temperature.

    Raises:
        ValueError: as in `cumulants`; or degree is not a whole number of at least 1, a size has fewer than degree + 1
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
    """Return the polynomials that `crossings` fits: both curves of each method and pair of consecutive sizes.

    Args:
        equilibrium: as in `cumulants`.
        between: as in `crossings`.
        degree: as in `crossings`.
        points: number of points of a curve, from the lowest to the highest temperature of its size. 101: our choice,
            for a figure.

    Returns:
        A frame sorted by method, sizes, size and temperature, with the columns method, sizes ("8, 16"), size,
        temperature and cumulant.

    Raises:
        ValueError: as in `crossings`, except that numbers of seeds may differ.
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
    """Yield each method and pair of consecutive sizes, with the runs of both sizes that are used.

    Raises:
        ValueError: as in `fits`.
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
    """Return the temperatures of one size, sorted."""
    return np.unique(cell["temperature"].to_numpy(np.float64))


def _fit(temperatures: Array, at: Array, degree: int) -> Array:
    """Return the matrix [temperatures, at] that maps cumulants at `temperatures` to their least-squares fit at `at`."""
    centre, width = temperatures.mean(), np.ptp(temperatures)
    known = np.vander((temperatures - centre) / width, degree + 1)
    sought = np.vander((at - centre) / width, degree + 1)
    return np.asarray((sought @ np.linalg.pinv(known)).T)


class _CrossingFinder:
    """Maps cumulants of two sizes, [..., temperatures of the small size and then of the large], to crossings [...].

    A least-squares fit is linear in its data, so one matrix maps all cumulants to the difference of the two
    polynomials, large minus small, at the temperatures `at`.
    """

    def __init__(self, small: Array, large: Array, degree: int) -> None:
        low, high = max(small.min(), large.min()), min(small.max(), large.max())
        if not low < high:
            raise ValueError(f"two sizes must have a range of temperatures in common, got {small} and {large}")
        self.at = np.linspace(low, high, GRID)
        self.difference = np.concatenate([-_fit(small, self.at, degree), _fit(large, self.at, degree)])

    def __call__(self, cumulants: Array) -> Array:
        """Return the crossings; all are NaN if a larger share than MISSED has no crossing."""
        gap: Array = cumulants @ self.difference
        # Intervals in which the larger lattice falls below the smaller, and by how much it falls.
        drop = np.where((gap[..., :-1] >= 0) & (gap[..., 1:] < 0), gap[..., :-1] - gap[..., 1:], 0.0)
        left = drop.argmax(axis=-1)[..., None]
        # The gap is taken as straight between two temperatures.
        above, below = (np.take_along_axis(gap, index, axis=-1)[..., 0] for index in (left, left + 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            root: Array = self.at[left[..., 0]] + (self.at[1] - self.at[0]) * above / (above - below)
        # Without a crossing: if the larger lattice is above, the curves would cross beyond the high end, else the low.
        found = (drop > 0).any(axis=-1)
        if 1 - found.mean() > MISSED:
            return np.full(found.shape, math.nan)
        return np.where(found, root, np.where(gap.mean(axis=-1) > 0, self.at[-1], self.at[0]))


def _only_cell(cumulants: Array) -> Array:
    """Remove the last dimension, of size 1: [..., 1] to [...]."""
    return cumulants[..., 0]


def _bootstrap(
    moments: Array, reduce: Callable[[Array], Array], confidence: float, resamples: int, seed: int
) -> Interval:
    """Return the bootstrap interval over runs of a function `reduce` of U.

    `moments` is [runs, cells, 2], and `reduce` maps U [..., cells] to [...].
    The bootstrap draws the numbers of runs, so both moments of a run are drawn together. Each cell is drawn separately.
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
    """Return the moments [runs, cells, 2] of a sorted table whose cells all have the same number of runs.

    Raises:
        ValueError: the numbers of runs differ.
    """
    counts = table.groupby(CELL).size()
    if counts.min() < counts.max():
        raise ValueError(
            f"equilibrium must have equally many seeds at all temperatures of two sizes,"
            f" got {counts.min()} at {counts.idxmin()} and {counts.max()} at {counts.idxmax()}"
        )
    return table[MOMENTS].to_numpy(np.float64).reshape(len(counts), -1, 2).swapaxes(0, 1)


def _checked(equilibrium: pd.DataFrame) -> pd.DataFrame:
    """Return the table sorted by method, size, temperature and seed.

    Raises:
        ValueError: as in `cumulants`.
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

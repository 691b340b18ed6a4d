"""Cumulants and crossings against enumeration, exact transfer matrices and the published critical cumulant."""

import itertools
import math
from collections.abc import Callable
from functools import cache, reduce

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from mfmarl.evaluation.intervals import Array
from mfmarl.statistical_physics.finite_size import binder_cumulant, crossings, cumulants, fits

CRITICAL = 1 / math.log(1 + math.sqrt(2))
UNIVERSAL = 0.6106900  # Kamieniarz and Blöte 1993: U at the critical point of an infinite square torus
WINDOW = tuple(np.linspace(1.04, 1.26, 9).tolist())


@cache
def exact_moments(size: int, temperature: float) -> tuple[float, float]:
    """<m^2>, <m^4> of the torus, from the transfer matrix of a row as a power series in the field.

    tr T(f)^L = Z(f), whose term in f^k is Z <M^k> / k!; a row's term of T(f) is T(0) (row's M)^k / k!.
    """
    rows = np.array(list(itertools.product((-1.0, 1.0), repeat=size)))
    coupling = 1 / (2 * temperature)  # of a bond, in the stationary law
    within = np.exp(coupling * (rows * np.roll(rows, 1, axis=1)).sum(axis=1))
    bonds = np.exp(coupling * rows @ rows.T) * within
    bonds /= bonds.sum(axis=1).max()
    transfer = [bonds * (rows.mean(axis=1) / size) ** k / math.factorial(k) for k in range(5)]

    def product(left: list[Array], right: list[Array]) -> list[Array]:
        return [np.sum([left[j] @ right[k - j] for j in range(k + 1)], axis=0) for k in range(5)]

    half = reduce(product, [transfer] * (size // 2))
    rest = product(half, transfer) if size % 2 else half
    partition, second, fourth = (
        math.factorial(k) * sum(float((half[j] * rest[k - j].T).sum()) for j in range(k + 1)) for k in (0, 2, 4)
    )
    return second / partition, fourth / partition


def exact_cumulant(size: int, temperature: float) -> float:
    second, fourth = exact_moments(size, temperature)
    return float(binder_cumulant(np.array([second]), np.array([fourth])))


@cache
def exact_crossing(small: int, large: int) -> float:
    return float(brentq(lambda t: exact_cumulant(large, t) - exact_cumulant(small, t), 1.0, 1.3, xtol=1e-6))


def table(rows: Callable[[int, float, int], tuple[float, float]], seeds: int, sizes: tuple[int, ...]) -> pd.DataFrame:
    """equilibrium.csv of mcmc, with the moments rows(size, temperature, seed)."""
    columns = ["method", "size", "temperature", "seed", "squared_magnetisation", "fourth_magnetisation"]
    cells = itertools.product(sizes, WINDOW, range(seeds))
    return pd.DataFrame([("mcmc", *cell, *rows(*cell)) for cell in cells], columns=columns)


def noisy(generator: np.random.Generator, spread: float = 0.03) -> Callable[[int, float, int], tuple[float, float]]:
    """Runs about the exact moments; their m^2 and m^4 go up and down together, as in a simulation."""

    def row(size: int, temperature: float, seed: int) -> tuple[float, float]:
        second, fourth = exact_moments(size, temperature)
        first, other = generator.normal(size=2) * spread
        return second * (1 + first), fourth * (1 + 1.8 * first + 0.3 * other)

    return row


def drawn(curve: Callable[[int, float, int], float]) -> Callable[[int, float, int], tuple[float, float]]:
    """Moments with the cumulant curve(size, temperature, seed)."""
    return lambda size, temperature, seed: (1.0, 3 * (1 - curve(size, temperature, seed)))


@pytest.mark.parametrize("temperature", [0.7, CRITICAL, 2.0])
def test_transfer_matrix_is_the_enumeration(temperature: float) -> None:
    spins = np.array(list(itertools.product((-1, 1), repeat=9))).reshape(-1, 3, 3)
    bonds = sum((spins * np.roll(spins, 1, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    weights = np.exp(bonds / (2 * temperature))
    for moment, power in zip(exact_moments(3, temperature), (2, 4), strict=True):
        assert moment == pytest.approx(np.average(spins.mean(axis=(1, 2)) ** power, weights=weights), rel=1e-12)


def test_cumulant_of_known_laws() -> None:
    assert binder_cumulant(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == pytest.approx(2 / 3)  # m = +-1
    assert binder_cumulant(np.array([0.2]), np.array([3 * 0.2**2])) == pytest.approx(0, abs=1e-12)  # m is normal
    assert binder_cumulant(np.array([0.5, 1.0]), np.array([0.3, 1.0])) == pytest.approx(1 - 0.65 / (3 * 0.75**2))
    assert np.isnan(binder_cumulant(np.zeros((2, 3)), np.zeros((2, 3)))).all()


def test_cumulant_at_the_critical_point_tends_to_the_published_one() -> None:
    sizes = np.array([4.0, 6.0, 8.0])
    exact = [exact_cumulant(int(size), CRITICAL) for size in sizes]
    assert exact[0] > exact[1] > exact[2] > UNIVERSAL
    exponents = [0, 1.75, 2]  # the leading corrections of the two-dimensional model
    corrections = np.stack([sizes**-exponent for exponent in exponents], axis=1)
    assert np.linalg.solve(corrections, exact)[0] == pytest.approx(UNIVERSAL, abs=5e-4)


def test_interval_of_a_cumulant_is_that_of_a_ratio_of_paired_means() -> None:
    data = table(noisy(np.random.default_rng(0)), 400, (4,))
    data = data[data["temperature"] == WINDOW[4]]
    row = cumulants(data, resamples=4000).iloc[0]
    second, fourth = data["squared_magnetisation"], data["fourth_magnetisation"]
    ratio = fourth.mean() / (3 * second.mean() ** 2)
    slope = ratio * (fourth / fourth.mean() - 2 * second / second.mean())  # the delta method
    assert row["cumulant"] == pytest.approx(1 - ratio)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.96 * slope.std() / 20, rel=0.05)
    assert row["low"] < row["cumulant"] < row["high"]
    assert row["n"] == 400


def test_cumulants_of_exact_moments() -> None:
    data = table(lambda size, temperature, _: exact_moments(size, temperature), 3, (3, 4))
    found = cumulants(data.sample(frac=1, random_state=0), resamples=10)
    assert list(zip(found["size"], found["temperature"], strict=True)) == list(itertools.product((3, 4), WINDOW))
    expected = [exact_cumulant(*cell) for cell in itertools.product((3, 4), WINDOW)]
    for column in ("cumulant", "low", "high"):
        assert found[column].tolist() == pytest.approx(expected)


def test_crossings_of_exact_moments() -> None:
    found = crossings(table(lambda size, temperature, _: exact_moments(size, temperature), 3, (8, 3, 4)), resamples=10)
    assert found["sizes"].tolist() == ["3, 4", "4, 8"]
    expected = [exact_crossing(3, 4), exact_crossing(4, 8)]
    for column in ("estimate", "low", "high"):
        assert found[column].tolist() == pytest.approx(expected, abs=2e-4)
    assert found["n"].tolist() == [3, 3]
    assert expected[0] < expected[1] < CRITICAL


@pytest.mark.parametrize("degree", [3, 5])
def test_crossing_is_the_steepest_fall(degree: int) -> None:
    def curve(size: int, temperature: float, seed: int) -> float:  # falls at 1.06 and, steeper, at 1.2; rises at 1.1
        gap = 30 * (temperature - 1.06) * (temperature - 1.1) * (temperature - 1.2)
        return 0.5 - (temperature - 1.1) - gap * (size == 16)

    data = table(drawn(curve), 1, (8, 16))
    assert crossings(data, degree=degree)["estimate"].item() == pytest.approx(1.2, abs=1e-5)
    assert crossings(data, degree=degree, between=(1.0, 1.18))["estimate"].item() == pytest.approx(1.06, abs=1e-5)


@pytest.mark.parametrize("degree", [1, 4])
def test_fits_cross_where_crossings_are(degree: int) -> None:
    data = table(lambda size, temperature, _: exact_moments(size, temperature), 3, (3, 4, 8))
    curves = fits(data, degree=degree, points=4001).set_index("temperature")
    found = crossings(data, degree=degree, resamples=10).set_index("sizes")["estimate"]
    assert set(curves["sizes"]) == set(found.index) == {"3, 4", "4, 8"}
    for sizes, pair in curves.groupby("sizes"):
        small, large = (pair.loc[pair["size"] == int(size), "cumulant"] for size in str(sizes).split(", "))
        gap = large - small
        crossing = gap.index[(gap >= 0) & (gap.shift(-1) < 0)]
        assert np.abs(crossing - found[sizes]).min() < 1e-4


def test_a_fit_through_as_many_temperatures_as_it_has_terms_meets_the_cumulants() -> None:
    data = table(lambda size, temperature, _: exact_moments(size, temperature), 3, (3, 4))
    at = sorted(set(data["temperature"]))[:5]
    used = data[data["temperature"].isin(at)]
    known = cumulants(used, resamples=10).set_index(["size", "temperature"])["cumulant"]
    for size, curve in fits(used, points=10_001).groupby("size"):
        for temperature in at:
            nearest = curve.iloc[(curve["temperature"] - temperature).abs().argmin()]
            assert nearest["cumulant"] == pytest.approx(known[size, temperature], abs=1e-4)
    assert fits(used[used["size"] == 3]).empty
    with pytest.raises(ValueError, match=r"degree must be an integer of at least 1, got 0"):
        fits(used, degree=0)
    with pytest.raises(ValueError, match=r"must have at least 6 temperatures of each size for degree 5"):
        fits(used, degree=5)


def test_crossing_of_sizes_with_other_temperatures() -> None:
    data = table(drawn(lambda size, temperature, _: 0.6 - size * (temperature - 1.14) / 10), 1, (8, 16))
    kept = data[~((data["size"] == 8) & data["temperature"].isin([WINDOW[0], WINDOW[5]]))]
    assert crossings(kept)["estimate"].item() == pytest.approx(1.14, abs=1e-6)


def test_by_default_all_temperatures_are_used_and_a_curve_has_101_points() -> None:
    data = table(drawn(lambda size, temperature, _: 0.6 - size * (temperature - 1.14) / 10), 1, (8, 16))
    cold = data.assign(temperature=data["temperature"] - 0.5)
    assert crossings(cold)["estimate"].item() == pytest.approx(0.64, abs=1e-6)
    curves = fits(cold).groupby("size")["temperature"]
    assert curves.size().tolist() == [101, 101]
    assert (curves.min().tolist(), curves.max().tolist()) == (
        [cold["temperature"].min()] * 2,
        [cold["temperature"].max()] * 2,
    )


def test_curves_that_do_not_cross_give_nan() -> None:
    apart = table(drawn(lambda size, temperature, _: 0.6 - temperature / 10 + size / 100), 3, (8, 16))
    rising = table(drawn(lambda size, temperature, _: 0.6 + size * (temperature - 1.14) / 10), 3, (8, 16))
    for data in (apart, rising):
        assert crossings(data, resamples=10)[["estimate", "low", "high"]].isna().all(axis=None)
    assert crossings(apart[apart["size"] == 8]).empty


def test_interval_is_not_given_where_only_the_resamples_cross() -> None:
    def curve(size: int, temperature: float, seed: int) -> float:  # a gap of one sign, and noise that cancels
        return 0.5 + size * 1e-6 + (0.05 if seed % 2 else -0.05)

    row = crossings(table(drawn(curve), 20, (8, 16)), degree=8, resamples=500).iloc[0]
    assert row[["estimate", "low", "high"]].isna().all()


def test_resamples_that_do_not_cross() -> None:
    def row(crossing: float, spread: float) -> "pd.Series[float]":
        offsets = iter(np.random.default_rng(0).normal(size=10_000) * spread)
        curve = drawn(lambda size, temperature, _: 0.5 - size * (temperature - crossing) / 10 + next(offsets))
        return crossings(table(curve, 8, (8, 16)), resamples=2000).iloc[0]

    few = row(1.22, 0.04)
    assert min(WINDOW) < few["low"] < few["estimate"] < few["high"] == max(WINDOW)
    few = row(1.06, 0.08)
    assert min(WINDOW) == few["low"] < few["estimate"] < few["high"] < max(WINDOW)
    many = row(1.22, 0.06)
    assert min(WINDOW) < many["estimate"] < max(WINDOW)
    assert many[["low", "high"]].isna().all()


def test_each_size_and_temperature_is_resampled_on_its_own() -> None:
    shifted = table(
        drawn(lambda size, temperature, seed: 0.5 - size * (temperature - 1.14) / 10 + seed / 500), 6, (8, 16)
    )
    row = crossings(shifted, resamples=2000).iloc[0]
    assert row["estimate"] == pytest.approx(1.14, abs=1e-6)
    assert row["high"] - row["low"] > 1e-3  # if all cells shared the drawn seeds, the shifts would cancel


def test_single_seed_has_no_interval() -> None:
    data = table(noisy(np.random.default_rng(0)), 1, (4, 8))
    for found in (cumulants(data), crossings(data)):
        assert found[["low", "high"]].isna().all(axis=None)
        assert found.iloc[:, 2:].notna().any(axis=None)
    assert crossings(data)["estimate"].notna().all()


def test_rows_depend_on_their_own_runs_and_the_seed_alone() -> None:
    data = table(noisy(np.random.default_rng(0)), 4, (3, 4, 8))
    other = pd.concat([data, data.assign(method="mf-q")]).sample(frac=1, random_state=0)
    for estimate in (cumulants, crossings):
        alone = estimate(data, resamples=100)
        together = estimate(other, resamples=100)
        pd.testing.assert_frame_equal(together[together["method"] == "mcmc"].reset_index(drop=True), alone)
        assert not estimate(data, resamples=100, seed=1)["low"].equals(alone["low"])
    last = crossings(data[data["size"] > 3], resamples=100).iloc[0]
    pd.testing.assert_series_equal(last, crossings(data, resamples=100).iloc[1], check_names=False)


def test_bad_input_is_refused() -> None:
    data = table(noisy(np.random.default_rng(0)), 2, (4, 8))
    for estimate in (cumulants, crossings):
        with pytest.raises(ValueError, match=r"lacks the columns .*'seed'"):
            estimate(data.drop(columns="seed"))
        with pytest.raises(ValueError, match="no rows"):
            estimate(data.iloc[:0])
        with pytest.raises(ValueError, match="finite"):
            estimate(data.assign(fourth_magnetisation=math.nan))
        with pytest.raises(ValueError, match="finite"):
            estimate(data.assign(squared_magnetisation=[math.inf, *data["squared_magnetisation"].iloc[1:]]))
        with pytest.raises(ValueError, match="each seed once"):
            estimate(pd.concat([data, data.iloc[:1]]))
        with pytest.raises(ValueError, match="each seed once"):
            estimate(pd.concat([data, data]))
        with pytest.raises(ValueError, match="confidence"):
            estimate(data, confidence=95)
    with pytest.raises(ValueError, match=r"equally many seeds .* got 1 at .* and 2 at"):
        crossings(data.iloc[1:])
    with pytest.raises(ValueError, match=r"at least 5 temperatures .* got \[1\.04, 1\.06"):
        crossings(data, between=(0, 1.07))
    with pytest.raises(ValueError, match=r"at least 5 temperatures .* got \[\]"):
        crossings(data, between=(3, 2))
    with pytest.raises(ValueError, match="degree must be an integer of at least 1, got 0"):
        crossings(data, degree=0)
    with pytest.raises(ValueError, match="degree must be an integer of at least 1, got nan"):
        crossings(data, degree=math.nan)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="in common"):
        crossings(
            pd.concat([data[data["size"] == 4], data[data["size"] == 8].assign(temperature=data["temperature"] + 1)])
        )
    touching = data["temperature"] - WINDOW[0] + WINDOW[-1]
    with pytest.raises(ValueError, match="in common"):
        crossings(pd.concat([data[data["size"] == 4], data.assign(temperature=touching)[data["size"] == 8]]))
    for second, fourth in ((np.ones(2), np.ones(3)), (np.ones(()), np.ones(())), (np.ones((2, 0)), np.ones((2, 0)))):
        with pytest.raises(ValueError, match=r"one shape \[..., seeds\]"):
            binder_cumulant(second, fourth)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 20])
def test_interval_of_a_crossing_covers_it(seeds: int) -> None:
    generator, truth = np.random.default_rng(0), exact_crossing(4, 8)
    found = [crossings(table(noisy(generator), seeds, (4, 8)), resamples=1000).iloc[0] for _ in range(300)]
    covered = np.mean([row["low"] <= truth <= row["high"] for row in found])
    assert covered == pytest.approx(0.975, abs=0.025 + 0.025)  # two standard errors beyond [0.95, 1]
    error = np.mean([row["estimate"] for row in found]) - truth
    assert abs(error) < 3 * np.std([row["estimate"] for row in found]) / math.sqrt(300)

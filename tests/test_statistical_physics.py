"""The Ising model's ground truth against transfer matrices, Markov chains, series and published values."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import product
from math import atanh, comb, nan, sqrt
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import fsolve

from mfmarl.statistical_physics.enumeration import enumerate_states, synchronous_correlation
from mfmarl.statistical_physics.exact import (
    CRITICAL_TEMPERATURE,
    critical_temperature,
    kaufman_energy,
    onsager_energy,
    onsager_magnetisation,
)
from mfmarl.statistical_physics.mean_field_theory import mean_field_iteration, mean_field_magnetisation

Array = NDArray[np.float64]
TEMPERATURES = [0.15, 0.5, 0.9, CRITICAL_TEMPERATURE, 1.2, 2.0, 7.0, 300.0]


def transfer_matrix_energy(size: int, temperature: float) -> float:
    """Energy a site of the L x L torus from `Z = trace(T^L)`, with the derivative of T by hand."""
    rows = np.array(list(product((-1, 1), repeat=size)))
    within = (rows * np.roll(rows, 1, 1)).sum(1)
    bonds = (within[:, None] + within[None, :]) / 2 + rows @ rows.T
    matrix = np.exp((bonds - bonds.max()) / (2 * temperature))
    power = np.linalg.matrix_power(matrix, size - 1)
    return -float(np.trace(power @ (bonds * matrix)) / np.trace(power @ matrix)) / size


def adjacency(size: int) -> NDArray[np.int64]:
    """How often two sites of the torus neighbour each other, `[N, N]`, found without rolling anything."""
    neighbours = np.zeros((size * size, size * size), dtype=np.int64)
    for row, column in product(range(size), repeat=2):
        for step in (1, size - 1):
            neighbours[size * row + column, size * ((row + step) % size) + column] += 1
            neighbours[size * row + column, size * row + (column + step) % size] += 1
    return neighbours


THREE = adjacency(3)
EVERY = np.array(list(product((-1, 1), repeat=9)))
"""All states of the 3 x 3 torus, `[512, 9]`; the first site is the highest bit of the index."""


def stationary(matrix: Array) -> Array:
    """The distribution that a Markov chain's `matrix` [from, to] leaves as it is."""
    equations = np.vstack([matrix.T - np.eye(len(matrix)), np.ones(len(matrix))])
    solution: Array = np.linalg.lstsq(equations, np.append(np.zeros(len(matrix)), 1.0), rcond=None)[0]
    return solution


def test_critical_temperature_is_half_the_physical_one() -> None:
    assert abs(2 * CRITICAL_TEMPERATURE - 2.269185314213022) < 1e-15
    assert critical_temperature(3.0) == pytest.approx(3 * CRITICAL_TEMPERATURE, rel=1e-15)


def test_magnetisation_as_published_and_as_its_low_temperature_series() -> None:
    assert onsager_magnetisation(1.0) == pytest.approx(0.911319, abs=1e-6)  # physical temperature 2
    for temperature in (0.2, 0.25, 0.3):
        u = np.exp(-2 / temperature)
        series = 1 - 2 * u**2 - 8 * u**3 - 34 * u**4 - 152 * u**5 - 714 * u**6 - 3472 * u**7
        assert onsager_magnetisation(2 * temperature, 2.0) == pytest.approx(series, abs=1e5 * u**8 + 1e-15)


def test_magnetisation_vanishes_from_the_critical_point_on_with_exponent_one_eighth() -> None:
    for coupling in (1.0, 0.37):
        critical = critical_temperature(coupling)
        assert onsager_magnetisation(critical, coupling) == 0.0
        assert onsager_magnetisation(np.array([1.0001, 2.0, 1e9]) * critical, coupling).tolist() == [0.0] * 3
        ratio = onsager_magnetisation(critical * (1 - 1e-8), coupling) / onsager_magnetisation(
            critical * (1 - 1e-6), coupling
        )
        assert ratio == pytest.approx(100**-0.125, rel=1e-5)
    assert [onsager_magnetisation(temperature) for temperature in (1e-320, 1e-5, 1e300)] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 1.3, 2.0, 10.0])
def test_infinite_lattice_as_the_double_integral(temperature: float) -> None:
    x = 1 / temperature
    angle = 2 * np.pi * np.arange(600) / 600
    cosines = np.cos(angle)[:, None] + np.cos(angle)[None, :]
    integrand = (2 * np.sinh(x) - cosines) * np.cosh(x) / (np.cosh(x) ** 2 - np.sinh(x) * cosines)
    assert onsager_energy(temperature) == pytest.approx(-integrand.mean(), abs=1e-12)


def test_infinite_lattice_in_its_limits() -> None:
    assert onsager_energy(CRITICAL_TEMPERATURE) == pytest.approx(-sqrt(2), abs=1e-13)
    assert onsager_energy(critical_temperature(0.7), 0.7) == pytest.approx(-0.7 * sqrt(2), abs=1e-13)
    energies: list[Callable[[float], float]] = [onsager_energy, partial(kaufman_energy, 6), partial(kaufman_energy, 64)]
    for energy in energies:
        assert energy(1e-320) == energy(0.01) == pytest.approx(-2, abs=1e-15)
        assert -1e-59 < energy(1e300) < 0
        assert energy(0.1) == pytest.approx(-2 + 8 * np.exp(-40.0), abs=1e-15)
        for hot in (999.0, 1001.0, 1e8, 1e18):
            assert energy(hot) == pytest.approx(-2 * np.tanh(1 / (2 * hot)) - 1 / (2 * hot**3), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("size", "energy"),  # Heiko Bauke, Tina's Random Number Generator Library, the test of generators by Wolff's method
    [
        (8, -1.4915891074397066),
        (12, -1.4659608164862789),
        (16, -1.4530648528134771),
        (20, -1.4453094678058525),
        (24, -1.4401334960573388),
        (64, -1.4239383898330109),
    ],
)
def test_torus_at_the_critical_point_as_published(size: int, energy: float) -> None:
    assert kaufman_energy(size, CRITICAL_TEMPERATURE) == pytest.approx(energy, abs=1e-12)
    for step in (-1e-9, 1e-9):
        assert kaufman_energy(size, CRITICAL_TEMPERATURE + step) == pytest.approx(energy, abs=1e-7)


@pytest.mark.parametrize("size", [4, 6, 8])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_torus_as_its_transfer_matrix(size: int, temperature: float) -> None:
    assert kaufman_energy(size, temperature) == pytest.approx(transfer_matrix_energy(size, temperature), abs=1e-11)


@pytest.mark.parametrize("temperature", [*TEMPERATURES, 999.0, 1001.0, 1e6])
def test_smallest_torus_as_its_states(temperature: float) -> None:
    energy = enumerate_states(4).means(temperature).energy
    assert kaufman_energy(4, temperature) == pytest.approx(energy, rel=1e-9, abs=0)
    assert kaufman_energy(4, temperature) == pytest.approx(energy, rel=0, abs=1e-12)


def test_large_torus_as_the_infinite_lattice_away_from_the_critical_point() -> None:
    temperatures = np.array([0.05, 0.2, 0.4, 0.7, 0.9, 1.5, 2.0, 10.0, 100.0])
    for size in (64, 128):
        assert kaufman_energy(size, temperatures) == pytest.approx(onsager_energy(temperatures), abs=1e-11)


@pytest.mark.parametrize(
    "function", [onsager_magnetisation, onsager_energy, lambda tau, coupling=1.0: kaufman_energy(20, tau, coupling)]
)
def test_floats_give_floats_arrays_arrays_and_the_coupling_is_a_unit(function: Callable[..., Any]) -> None:
    temperatures = np.array([[0.5, 0.9, 1.1], [1.2, 3.0, 80.0]])
    values = function(temperatures)
    assert values.shape == (2, 3)
    assert [type(function(t)) for t in (1, 1.0, np.float64(1.0))] == [float] * 3
    for index, temperature in np.ndenumerate(temperatures):
        assert function(float(temperature)) == pytest.approx(values[index], rel=1e-14)
    unit = 1.0 if function is onsager_magnetisation else 2.5
    assert function(2.5 * temperatures, 2.5) == pytest.approx(unit * values, rel=1e-12)


def test_states_of_the_four_by_four_torus_as_published() -> None:
    states = enumerate_states(4)
    published = {32: 2, 24: 32, 20: 64, 16: 424, 12: 1728, 8: 6688, 4: 13568, 0: 20524}
    for bonds in range(-32, 33):
        assert states.counts[states.bonds == bonds].sum() == published.get(abs(bonds), 0)
    for up in range(17):
        assert states.counts[states.spins == 2 * up - 16].sum() == comb(16, up)
    assert np.all(states.bonds[np.abs(states.spins) == 16] == 32)


def test_states_of_the_three_by_three_torus_one_by_one() -> None:
    expected = Counter((int(state @ THREE @ state) // 2, int(state.sum())) for state in EVERY)
    states = enumerate_states(3)
    found = zip(states.bonds.tolist(), states.spins.tolist(), states.counts.tolist(), strict=True)
    assert {(bonds, spins): count for bonds, spins, count in found} == expected


@pytest.mark.parametrize(("field", "coupling", "temperature"), [(0.0, 1.0, 1.1), (0.3, 0.7, 0.9), (-0.2, -0.5, 0.6)])
def test_law_of_the_states_is_that_of_single_site_heat_bath(field: float, coupling: float, temperature: float) -> None:
    up = 1 / (1 + np.exp(-(2 * field + coupling * EVERY @ THREE) / temperature))
    chain = np.zeros((512, 512))
    for site in range(9):
        bit = 1 << (8 - site)
        for state in range(512):
            chain[state, state | bit] += up[state, site] / 9
            chain[state, state & ~bit] += (1 - up[state, site]) / 9
    law = stationary(chain)
    reward = EVERY * (field + coupling / 2 * EVERY @ THREE)
    m = EVERY.mean(1)
    states = enumerate_states(3, field, coupling)
    means = states.means(temperature)
    assert means.energy == pytest.approx(-law @ reward.mean(1), abs=1e-11)
    assert means.order_parameter == pytest.approx(law @ np.abs(m), abs=1e-11)
    assert means.squared_magnetisation == pytest.approx(law @ m**2, abs=1e-11)
    assert means.fourth_magnetisation == pytest.approx(law @ m**4, abs=1e-11)
    probabilities = states.probabilities(temperature)
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-14)
    assert probabilities @ states.magnetisations == pytest.approx(law @ m, abs=1e-11)


def test_frozen_states_are_one_or_two() -> None:
    assert enumerate_states(4).means(0.02) == (1.0, -2.0, 1.0, 1.0)
    states = enumerate_states(4, -0.5)
    assert states.probabilities(0.02)[states.spins == -16].item() == 1.0
    assert states.means(0.02).energy == -2.5


@pytest.mark.parametrize(("temperature", "coupling"), [(0.4, 1.0), (1.1, 1.0), (3.0, 1.0), (1.1, 0.6)])
def test_synchronous_law_is_that_of_its_chain(temperature: float, coupling: float) -> None:
    sums = EVERY @ THREE
    up = 1 / (1 + np.exp(-coupling * sums / temperature))
    chain = np.prod(np.where(EVERY[None] == 1, up[:, None], 1 - up[:, None]), axis=2)
    following = chain @ EVERY
    expected = stationary(chain) @ (following * sums).mean(1)
    assert synchronous_correlation(3, temperature, coupling) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("temperature", [0.05, *TEMPERATURES])
def test_synchronous_correlation_is_the_ordinary_energy_on_an_even_torus(temperature: float) -> None:
    correlation = synchronous_correlation(4, temperature)
    assert correlation == pytest.approx(-2 * enumerate_states(4).means(temperature).energy, abs=1e-13)
    assert correlation == pytest.approx(-2 * kaufman_energy(4, temperature), abs=1e-11)
    assert synchronous_correlation(4, 1.7 * temperature, 1.7) == pytest.approx(correlation, abs=1e-13)


@pytest.mark.parametrize("m", [1e-5, 1e-3, 0.1, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("coupling", [1.0, 0.3])
def test_mean_field_solution_as_the_inverse_of_its_equation(m: float, coupling: float) -> None:
    temperature = 2 * coupling * m / atanh(m)
    assert mean_field_magnetisation(temperature, 0.0, coupling) == pytest.approx(m, rel=1e-8 + 1e-15 / m**2)
    for hotter in (1.01, 1.5, 50.0):
        field = hotter * temperature * atanh(m) - 2 * coupling * m
        assert mean_field_magnetisation(hotter * temperature, field, coupling) == pytest.approx(m, rel=1e-8)
        assert mean_field_magnetisation(hotter * temperature, -field, coupling) == pytest.approx(-m, rel=1e-8)


def test_mean_field_solution_is_the_largest_and_right_in_the_limits() -> None:
    grid = np.linspace(-1, 1, 20001)
    for temperature, field in product((0.3, 1.0, 1.9, 2.5), (0.0, 0.05, -0.05, 3.0)):
        excess = np.tanh((field + 2 * grid) / temperature) - grid
        roots = grid[:-1][np.sign(excess[:-1]) != np.sign(excess[1:])]
        largest = roots.min() if field < 0 else roots.max()
        assert mean_field_magnetisation(temperature, field) == pytest.approx(largest, abs=2.1e-4)
    assert [mean_field_magnetisation(tau) for tau in (2.0, 2.1, 1e300)] == [0.0] * 3
    assert [mean_field_magnetisation(1e-300, field) for field in (0.0, 1.0, -1.0)] == [1.0, 1.0, -1.0]
    assert mean_field_magnetisation(1e20, 1e20) == pytest.approx(np.tanh(1.0), rel=1e-12)
    assert 0 < mean_field_magnetisation(2.0 - 1e-14) < 1e-6
    assert mean_field_magnetisation(1e300, 1e-300) == 0, "h / tau is below the least float"


@pytest.mark.parametrize(("temperature", "field"), [(0.5, 0.0), (1.8, 0.0), (2.5, 0.0), (1.2, 0.4), (1.2, -0.4)])
def test_mean_field_iteration_of_a_uniform_field_is_the_uniform_solution(temperature: float, field: float) -> None:
    means = mean_field_iteration(torch.full((2, 5, 5), field), temperature, 1.1)
    expected = mean_field_magnetisation(temperature, float(torch.tensor(field)), 1.1)
    assert means.dtype == torch.float64
    assert means.numpy() == pytest.approx(np.full((2, 5, 5), expected), abs=1e-10)


def test_mean_field_iteration_site_by_site() -> None:
    fields = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    neighbours = adjacency(4)
    means = mean_field_iteration(fields, 2.6, 1.1)
    for field, found in zip(fields.reshape(3, 16).numpy(), means.reshape(3, 16).numpy(), strict=True):
        solution = fsolve(lambda m, h=field: np.tanh((h + 0.55 * neighbours @ m) / 2.6) - m, np.zeros(16), xtol=1e-13)
        assert found == pytest.approx(solution, abs=1e-10)


def test_mean_field_iteration_stays_on_the_side_it_starts_on() -> None:
    field = torch.full((4, 4), -0.1)
    high = mean_field_iteration(field, 1.0, start=torch.ones(4, 4))
    assert high.min() > 0.9
    assert mean_field_iteration(field, 1.0).max() < -0.9


def test_mean_field_iteration_of_two_lattices_is_each_lattices_own() -> None:
    """By default each starts on its field's side, and goes on until the slower one has settled."""
    two = torch.tensor([0.1, -0.1], dtype=torch.float64).view(2, 1, 1).expand(2, 3, 3)
    high, low = (mean_field_magnetisation(1.0, field) for field in (0.1, -0.1))
    assert mean_field_iteration(two, 1.0).mean((1, 2)).tolist() == pytest.approx([high, low], abs=1e-10)
    one_settled = torch.tensor([0.0, 0.3], dtype=torch.float64).view(2, 1, 1).expand(2, 3, 3)
    found = mean_field_iteration(one_settled, 3.0, start=torch.zeros(2, 3, 3)).mean((1, 2)).tolist()
    assert found == pytest.approx([0, mean_field_magnetisation(3.0, 0.3)], abs=1e-10)
    assert mean_field_iteration(ZERO, 3.0, start=ZERO, max_iterations=1).tolist() == ZERO.tolist()


def test_mean_field_iteration_says_when_it_does_not_converge() -> None:
    staggered = 1.0 - 2.0 * (torch.arange(4).view(4, 1) + torch.arange(4)).remainder(2)
    with pytest.raises(RuntimeError, match=r"within max_iterations = 200: the last change was 1\.92"):
        mean_field_iteration(torch.zeros(4, 4), 1.0, start=staggered, max_iterations=200)


ZERO = torch.zeros(4, 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *[
            (lambda f=function, t=temperature: f(t), f"temperature must be positive and finite, got {temperature}")
            for temperature in (0.0, -1.0, nan, float("inf"))
            for function in (
                onsager_magnetisation,
                onsager_energy,
                lambda t: kaufman_energy(4, t),
                mean_field_magnetisation,
                lambda t: mean_field_iteration(ZERO, t),
                lambda t: enumerate_states(3).means(t),
                lambda t: enumerate_states(3).probabilities(t),
                lambda t: synchronous_correlation(3, t),
            )
        ],
        *[
            (lambda f=function, c=coupling: f(c), f"coupling must be positive and finite, got {coupling}")
            for coupling in (0.0, -1.0, nan)
            for function in (
                critical_temperature,
                lambda c: onsager_magnetisation(1.0, c),
                lambda c: onsager_energy(1.0, c),
                lambda c: kaufman_energy(4, 1.0, c),
                lambda c: mean_field_magnetisation(1.0, 0.0, c),
                lambda c: mean_field_iteration(ZERO, 1.0, c),
                lambda c: synchronous_correlation(3, 1.0, c),
            )
        ],
        *[
            (lambda s=size: kaufman_energy(s, 1.0), f"size must be an even integer of at least 4, got {size!r}")
            for size in (2, 5, 0, -4, 4.0, True)
        ],
        *[
            (lambda f=function, s=size: f(s), f"size must be an integer of at least 3 and at most 4, got {size!r}")
            for size in (2, 5, 3.0, True)
            for function in (enumerate_states, lambda s: synchronous_correlation(s, 1.0))
        ],
        (lambda: onsager_energy(np.array([1.0, -2.0, 0.0])), "temperature must be positive and finite, got -2.0"),
        (lambda: enumerate_states(3, nan), "field must be finite, got nan"),
        (lambda: enumerate_states(3, 0.0, nan), "coupling must be finite, got nan"),
        (lambda: mean_field_magnetisation(1.0, nan), "field must be finite, got nan"),
        (lambda: mean_field_iteration(ZERO * nan, 1.0), "field must be finite"),
        (lambda: mean_field_iteration(torch.eye(4) / torch.eye(4).T, 1.0), "field must be finite"),
        (lambda: mean_field_iteration(torch.zeros(0, 3, 3), 1.0), "L at least 3, got shape [0, 3, 3]"),
        (lambda: mean_field_iteration(ZERO, 1.0, start=2 * torch.eye(4)), "start must be in [-1, 1]"),
        (lambda: mean_field_iteration(ZERO, 1.0, tolerance=1.0), "tolerance must be between 0 and 1, got 1.0"),
        (lambda: mean_field_iteration(torch.zeros(4, 3), 1.0), "L at least 3, got shape [4, 3]"),
        (lambda: mean_field_iteration(torch.zeros(2, 2), 1.0), "L at least 3, got shape [2, 2]"),
        (lambda: mean_field_iteration(torch.zeros(3), 1.0), "L at least 3, got shape [3]"),
        (lambda: mean_field_iteration(ZERO, 1.0, start=torch.zeros(3, 3)), "shape [4, 4], got [3, 3]"),
        (lambda: mean_field_iteration(ZERO, 1.0, start=ZERO + 2), "start must be in [-1, 1], got a value of size 2"),
        (lambda: mean_field_iteration(ZERO, 1.0, tolerance=0.0), "tolerance must be between 0 and 1, got 0.0"),
        (
            lambda: mean_field_iteration(ZERO, 1.0, max_iterations=0),
            "max_iterations must be an integer of at least 1, got 0",
        ),
        (lambda: mean_field_iteration(ZERO, 1.0, max_iterations=nan), "of at least 1, got nan"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        call()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)

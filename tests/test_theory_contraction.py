"""TH-2, contraction: graphs worked by hand, norms by enumeration, thresholds from both sides, slopes by differences."""

from collections.abc import Callable
from itertools import product
from math import atanh, cos, exp, log, pi, sqrt, tanh
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from mfmarl.environments import GaussianSqueeze
from mfmarl.theory import (
    SUFFICIENT,
    contraction_temperature,
    critical_temperature,
    dobrushin_influence,
    dobrushin_temperature,
    fixed_points,
    flip_temperature,
    iterate,
    iterate_number,
    largest_slope,
    lipschitz_constants,
    mean_number_map,
    measured_factor,
    period,
    policy_map_radius,
    several_temperature,
    sharp_values,
    softmax_jacobian,
    spin_factors,
    sufficient_temperature,
)
from mfmarl.theory.contraction import LOWEST, Order, _largest_temperature, _numbers, _plainly_contracting
from mfmarl.theory.graphs import GRAPHS, colours, complete, grid, path, ring, star, torus
from mfmarl.theory.softmax import Constant

Array = NDArray[np.float64]
PENNIES = np.array([[0.0, 1.0], [-1.0, 0.0]])
ORDERS = get_args(Order)


def starts(agents: int, count: int = 3) -> Array:
    return np.random.default_rng(0).uniform(-1, 1, (count, agents))


# Graphs


def test_graphs_by_hand() -> None:
    assert path(3).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert ring(3).tolist() == complete(3).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert star(2).tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert grid(2, 2).sum(1).tolist() == [2, 2, 2, 2]
    assert torus(3)[4].nonzero()[0].tolist() == [1, 3, 5, 7]
    assert path(1).tolist() == complete(1).tolist() == [[0]]
    assert star(1).tolist() == path(2).tolist()
    assert grid(1, 3).tolist() == grid(3, 1).tolist() == path(3).tolist()
    assert [len(graph()) for graph in GRAPHS.values()] == [16, 25, 12, 10, 10, 10, 16]
    for graph in GRAPHS.values():
        assert (graph() == graph().T).all()


@pytest.mark.parametrize(
    ("graph", "count"),
    [
        *[(torus(4), 2), (torus(3), 3), (torus(5), 3), (torus(6), 2), (ring(6), 2), (ring(7), 3)],
        *[(star(5), 2), (complete(4), 4), (path(1), 1), (grid(3, 5), 2), (PENNIES, 2)],
    ],
)
def test_colours_hold_no_neighbours_and_are_as_few_as_can_be(graph: Array, count: int) -> None:
    groups = colours(graph)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(graph)))
    assert len(groups) == count
    for group in groups:
        assert not graph[np.ix_(group, group)].any()


# Spins on a graph


@pytest.mark.parametrize(
    ("graph", "radius"),
    [
        (torus(3), 4),
        (torus(4), 4),
        (ring(5), 2),
        (complete(7), 6),
        (star(9), 3),
        (path(4), 2 * cos(pi / 5)),
        (grid(3, 2), 2 * cos(pi / 4) + 2 * cos(pi / 3)),
        (path(1), 0),
        (path(2), 1),
        (PENNIES, 1),
    ],
)
def test_critical_temperature_is_half_the_spectral_radius(graph: Array, radius: float) -> None:
    assert critical_temperature(graph) == pytest.approx(radius / 2, abs=1e-9)
    assert critical_temperature(graph, -3.0) == pytest.approx(1.5 * radius, abs=1e-9)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("order", ORDERS)
def test_play_forgets_its_start_above_the_critical_temperature_and_orders_below(name: str, order: Order) -> None:
    graph = GRAPHS[name]()
    critical = critical_temperature(graph)
    above = iterate(graph, 1.05 * critical, starts(len(graph)), order, sweeps=600)[-1]
    assert np.abs(above).max() < 1e-8
    below = iterate(graph, 0.9 * critical, np.full(len(graph), 0.01), order, sweeps=2000)
    assert below[-1].min() > 0.05
    assert period(below) == 1
    # The state is one of self-consistent means.
    expected = np.tanh(graph @ below[-1] / 2 / (0.9 * critical))
    assert below[-1] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("damping", [1.0, 0.7, 0.3])
@pytest.mark.parametrize(
    ("graph", "coupling", "expected"),
    [
        (path(2), 1.0, lambda d: 0.5),  # nu = 1/2: damping does not help
        (path(2), -1.0, lambda d: 0.5),  # nor here, where one plays up and the other down
        (complete(3), -1.0, lambda d: max(0.5, d / (2 - d))),  # nu = -1 and twice 1/2
        (PENNIES, 1.0, lambda d: 0.5 * sqrt(d / (2 - d))),  # nu = +-i/2
    ],
)
def test_critical_temperature_under_damping(
    graph: Array, coupling: float, expected: Callable[[float], float], damping: float
) -> None:
    critical = critical_temperature(graph, coupling, damping)
    assert critical == pytest.approx(expected(damping), abs=1e-9)
    start = 1e-3 * starts(len(graph), 1)[0]
    for temperature, settles in ((1.02 * critical, True), (0.98 * critical, False)):
        play = iterate(graph, temperature, start, damping=damping, coupling=coupling, sweeps=4000)
        assert (np.abs(play[-1]).max() < 1e-6) == settles


def test_matching_pennies_are_not_calmed_by_damping_below_its_own_threshold() -> None:
    assert critical_temperature(PENNIES, damping=0.3) == pytest.approx(0.21004, abs=1e-5)
    assert period(iterate(PENNIES, 0.25, [0.3, 0.4], damping=0.3)) == 1
    assert period(iterate(PENNIES, 0.2, [0.3, 0.4], damping=0.3)) != 1


def test_one_sweep_by_hand_in_every_order() -> None:
    """A path of two at tau = 1/2: m_j <- tanh(m_k)."""
    together = iterate(path(2), 0.5, [0.3, 0.8], "synchronous", sweeps=1)
    assert together == pytest.approx(np.array([[0.3, 0.8], [tanh(0.8), tanh(0.3)]]), abs=1e-15)
    in_turn = np.array([[0.3, 0.8], [tanh(0.8), tanh(tanh(0.8))]])
    for order in ("one-at-a-time", "colour-by-colour"):
        assert iterate(path(2), 0.5, [0.3, 0.8], order, sweeps=1) == pytest.approx(in_turn, abs=1e-15)
    damped = iterate(path(2), 0.5, [0.3, 0.8], "one-at-a-time", damping=0.25, coupling=-2.0, sweeps=1)[1]
    first = 0.75 * 0.3 - 0.25 * tanh(2 * 0.8)
    assert damped.tolist() == pytest.approx([first, 0.75 * 0.8 - 0.25 * tanh(2 * first)], abs=1e-15)
    assert iterate(path(2), 0.5, [0.3, 0.8]).shape == (1001, 2)


def test_site_without_neighbours_goes_to_even_play() -> None:
    for order in ORDERS:
        assert iterate(path(1), 1.0, [0.7], order, sweeps=1).tolist() == [[0.7], [0.0]]


def test_measured_factor_is_the_eigenvalue_and_its_square_one_colour_at_a_time() -> None:
    tau = 2.5
    for graph, radius in ((torus(4), 4.0), (star(4), 2.0), (path(2), 1.0), (complete(3), 2.0)):
        factor = radius / 2 / tau
        found = measured_factor(iterate(graph, tau, np.full(len(graph), 0.4), "synchronous"))
        assert found == pytest.approx(factor, rel=1e-3)
    for graph, radius in ((torus(4), 4.0), (star(4), 2.0), (ring(6), 2.0)):
        found = measured_factor(iterate(graph, tau, np.full(len(graph), 0.4), "colour-by-colour"))
        assert found == pytest.approx((radius / 2 / tau) ** 2, rel=2e-3)
    damped = measured_factor(iterate(torus(4), tau, np.full(16, 0.4), "synchronous", damping=0.5))
    assert damped == pytest.approx(0.5 + 0.5 * 0.8, rel=1e-3)
    assert np.isnan(measured_factor(np.zeros((10, 3))))


def test_cycles_below_the_threshold() -> None:
    """Anti-coordination and a staggered start alternate, matching pennies turns; one colour at a time both rest."""
    staggered = np.array([1 - 2 * ((j // 4 + j % 4) % 2) for j in range(16)]) * 0.5
    assert period(iterate(torus(4), 1.0, staggered, "synchronous")) == 2
    assert period(iterate(torus(4), 1.0, staggered, "one-at-a-time")) == 1
    same = np.full(16, 0.5)
    assert period(iterate(torus(4), 1.0, same, "synchronous", coupling=-1.0)) == 2
    assert period(iterate(torus(4), 1.0, same, "colour-by-colour", coupling=-1.0)) == 1
    assert period(iterate(torus(4), 1.0, same, "synchronous", coupling=-1.0, damping=0.3)) == 1
    # Damping calms what alternates above 2 d / (2 - d) of half the critical temperature only.
    flips = 2 * 0.3 / (2 - 0.3)
    for start, coupling in ((same, -1.0), (staggered, 1.0)):
        for temperature, expected in ((1.02 * flips, 1), (0.98 * flips, 2), (0.2, 2), (0.05, 2)):
            play = iterate(torus(4), temperature, start, coupling=coupling, damping=0.3, sweeps=3000)
            assert period(play) == expected
    pair, lower = np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5 * 0.3 / (2 - 0.3)
    for temperature, expected in ((1.02 * lower, 1), (0.98 * lower, 2)):
        assert period(iterate(pair, temperature, [0.5, 0.5], coupling=-1.0, damping=0.3, sweeps=3000)) == expected
    pennies = iterate(PENNIES, 0.25, [0.3, 0.4], "synchronous")
    assert period(pennies) == 4
    # One player after the other turn as well, and come to rest above the threshold.
    assert period(iterate(PENNIES, 0.25, [0.3, 0.4], "one-at-a-time")) != 1
    assert period(iterate(PENNIES, 0.6, [0.3, 0.4], "synchronous")) == 1


def test_period_of_what_does_not_repeat_is_zero() -> None:
    assert period(np.arange(20.0)) == 0
    assert period(np.array([0.0, 1.0, 2.0] * 8)) == 3
    assert period(np.ones((16, 2, 3))) == 1
    assert period(np.ones(16), tolerance=0.0) == 1
    assert period(np.tile([0.0, 1.5e-9], 10)) == 2, "differences above 1e-9 count"
    assert period(np.tile(np.arange(8.0), 3)) == 8
    assert period(np.tile(np.arange(9.0), 3)) == 0


def test_measured_factor_by_hand() -> None:
    """The geometric mean over the second half of the steps that are above the smallest distance."""
    assert measured_factor([1, 0.9, 0.8, 0.4, 0.1, 0.01, 0]) == pytest.approx(sqrt(0.01 / 0.4))
    assert measured_factor([1, 0.5, 0.25, 0.125, 0]) == pytest.approx(0.125 / 0.25)
    assert measured_factor([1, 0.5, 0.25, 0.125, 1e-10, 0]) == pytest.approx(0.125 / 0.25), "rounding"
    assert measured_factor([1, 0.5, 0.25, 0.125, 1.5e-10, 0]) == pytest.approx(sqrt(1.5e-10 / 0.25))
    assert np.isnan(measured_factor([1, 0.5, 0.25, 0]))


def test_spin_factors_as_slopes_of_the_maps() -> None:
    """d/ds tanh(2 lambda s m / T) at s = 0, 0, and d/dm tanh(2 lambda m / T) at m = 0."""
    m, tau, coupling, h = 0.6, 1.7, 1.3, 1e-6
    own = tanh(2 * coupling * h * m / tau) / h
    following = tanh(2 * coupling * h / tau) / h
    assert spin_factors(m, tau, coupling) == pytest.approx((own, 0.0, following), rel=1e-9)
    assert spin_factors(-m, tau, coupling).own_relaxed == pytest.approx(own, rel=1e-9)
    assert spin_factors(1.0, 1.0, degree=2) == (1.0, 0.0, 1.0)


# Sampled spins


def test_dobrushin_influence_by_enumeration() -> None:
    for degree, tau, coupling in product((1, 2, 3, 4, 5, 6), (0.5, 2.0), (1.0, -0.7)):
        largest = 0.0
        for others in product((-1, 1), repeat=degree - 1):
            up, down = (1 / (1 + exp(-coupling * (sum(others) + spin) / tau)) for spin in (1, -1))
            largest = max(largest, abs(up - down))
        assert dobrushin_influence(degree, tau, coupling) == pytest.approx(largest, abs=1e-12)
    assert dobrushin_influence(0, 1.0) == 0


def test_dobrushin_temperature_is_where_influences_add_up_to_one() -> None:
    assert dobrushin_temperature(torus(4)) == pytest.approx(1 / atanh(0.5), rel=1e-12)
    assert dobrushin_temperature(torus(4)) == pytest.approx(1.8204784532536746, rel=1e-12)
    assert dobrushin_temperature(ring(5), -4.0) == dobrushin_temperature(path(2)) == 0
    for graph in (torus(3), complete(4), star(7), star(6), grid(3, 3)):
        tau = dobrushin_temperature(graph, 2.0)
        sums = [degree * dobrushin_influence(int(degree), tau, 2.0) for degree in graph.sum(1)]
        assert max(sums) == pytest.approx(1, abs=1e-12)
    assert dobrushin_temperature(star(7)) > critical_temperature(star(7)), "one hub is enough to break the condition"


# The softmax and its constants


def test_softmax_jacobian_as_differences_and_its_norms() -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        values, temperature, step = generator.normal(size=5), 0.7, 1e-6

        def policy(q: Array, t: float = temperature) -> Array:
            weights = np.exp(q / t)
            return np.asarray(weights / weights.sum())

        columns = [(policy(values + step * e) - policy(values - step * e)) / (2 * step) for e in np.eye(5)]
        found = softmax_jacobian(policy(values), temperature)
        assert found == pytest.approx(np.stack(columns, -1), abs=1e-8)
        for order in (1, 2, np.inf):
            assert np.linalg.norm(found, order) <= 1 / (2 * temperature) + 1e-12


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_norms_are_attained_between_two_actions_and_smaller_at_even_play(order: float) -> None:
    pair = softmax_jacobian([0.5, 0.5, 0.0, 0.0], 0.25)
    assert np.linalg.norm(pair, order) == pytest.approx(1 / (2 * 0.25), abs=1e-12)
    for count in (2, 3, 10):
        even = softmax_jacobian(np.full(count, 1 / count), 0.25)
        expected = 1 / count if order == 2 else 2 * (count - 1) / count**2
        assert np.linalg.norm(even, order) == pytest.approx(expected / 0.25, abs=1e-12)
        inside = np.eye(count)[0] - np.eye(count)[1]
        assert even @ inside == pytest.approx(inside / (count * 0.25), abs=1e-12)


@pytest.mark.parametrize("measured", get_args(Constant))
def test_every_constant_is_sharp(measured: Constant) -> None:
    """The example has the constant, by its own definition, and the slope K_s / T of its map at even play."""
    lipschitz = 3.0
    values = sharp_values(lipschitz, measured)
    even, step = np.array([0.5, 0.5]), 1e-5
    inside = np.array([1.0, -1.0])
    change = (values(even + step * inside) - values(even - step * inside)) / (2 * step)
    if measured == "fraction":
        found = np.abs(change).max()  # a step along (1, -1) moves the fraction by 1
    elif measured == "l2 operator":
        found = float(np.linalg.norm(change)) / sqrt(2)
    else:
        found = np.abs(change).max() / (2 if measured == "l1 per action" else sqrt(2))
    assert found == pytest.approx(lipschitz, rel=1e-9)

    def policy(mean_action: Array, temperature: float) -> Array:
        weights = np.exp(values(mean_action) / temperature)
        return np.asarray(weights / weights.sum(-1, keepdims=True))

    threshold = sufficient_temperature(lipschitz, measured)
    assert threshold == pytest.approx(SUFFICIENT[measured] * 3)
    response = (policy(even + step * inside, threshold) - policy(even - step * inside, threshold)) / (2 * step)
    assert response == pytest.approx(inside, abs=1e-8), "slope 1: neither contracting nor not"
    for temperature, settles in ((1.1 * threshold, True), (0.9 * threshold, False)):
        mean_action = np.array([0.6, 0.4])
        for _ in range(400):
            mean_action = policy(mean_action, temperature)
        assert (abs(mean_action[0] - 0.5) < 1e-6) == settles


def test_no_random_q_contracts_worse_than_its_constants_say() -> None:
    generator = np.random.default_rng(2)
    for _ in range(300):
        count = int(generator.integers(2, 6))
        jacobian = generator.normal(size=(count, count))
        policy = generator.dirichlet(np.full(count, 0.5))
        constants = lipschitz_constants(jacobian)
        inside = generator.normal(size=count)
        inside -= inside.mean()
        moved = softmax_jacobian(policy, 1.0) @ jacobian @ inside
        two, one = np.linalg.norm(moved) / np.linalg.norm(inside), np.abs(moved).sum() / np.abs(inside).sum()
        assert two <= SUFFICIENT["l2 operator"] * constants.l2_operator + 1e-12
        assert two <= SUFFICIENT["l2 per action"] * constants.l2_per_action + 1e-12
        assert one <= SUFFICIENT["l1 per action"] * constants.l1_per_action + 1e-12


def test_lipschitz_constants_by_hand() -> None:
    """Q_0 = 3 abar_0 - abar_1, Q_1 = 5: along (1, -1) Q_0 moves by 4: 4/2 in l1, 4/sqrt 2 in l2."""
    constants = lipschitz_constants([[3.0, -1.0], [5.0, 5.0]])
    assert constants == pytest.approx((4 / sqrt(2), 2.0, 4 / sqrt(2)))
    assert lipschitz_constants(np.ones((7, 3, 3))).l2_operator == pytest.approx(np.zeros(7), abs=1e-12)


def test_policy_map_radius_of_identical_agents_and_by_differences() -> None:
    """On identical agents of two actions with Q(up) = c abar_up it is the slope p (1 - p) c / T, from all to all."""
    jacobian, policy = np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([0.3, 0.7])
    found = policy_map_radius(np.tile(policy, (4, 1)), np.tile(jacobian, (4, 1, 1)), 2.0)
    assert found == pytest.approx(0.3 * 0.7 * 3 / 2, rel=1e-9)
    pair = policy_map_radius(np.tile(policy, (2, 1)), np.tile(jacobian, (2, 1, 1)), 2.0)
    assert pair == pytest.approx(0.3 * 0.7 * 3 / 2, rel=1e-9)
    # Ising on the complete graph: lambda rho / (2 tau) with Q = +-(lambda/2) (N - 1) (2 abar_up - 1).
    reward = (5 - 1) / 2 * np.array([[1.0, -1.0], [-1.0, 1.0]])
    even = np.full((5, 2), 0.5)
    assert policy_map_radius(even, np.tile(reward, (5, 1, 1)), 3.0) == pytest.approx(
        critical_temperature(complete(5)) / 3.0, rel=1e-9
    )


def test_policy_map_radius_of_many_agents_as_of_the_whole_matrix() -> None:
    generator = np.random.default_rng(0)
    policies, jacobians = generator.dirichlet(np.ones(4), size=60), generator.normal(size=(60, 4, 4))
    blocks = softmax_jacobian(policies, 0.5) @ jacobians / 59
    whole = np.block([[np.zeros((4, 4)) if j == k else blocks[j] for k in range(60)] for j in range(60)])
    expected = np.abs(np.linalg.eigvals(whole)).max()
    assert policy_map_radius(policies, jacobians, 0.5) == pytest.approx(expected, rel=1e-9)
    assert policy_map_radius(np.eye(4)[np.zeros(60, int)], jacobians, 0.5) == 0, "nobody moves"


# Gaussian Squeeze


@pytest.mark.parametrize("agents", [10, 100, 1000])
def test_slope_of_the_mean_number_map_as_differences(agents: int) -> None:
    game, y, step = GaussianSqueeze(agents), np.linspace(0.1, 8.9, 30), 1e-6
    for temperature in (2.0, 50.0):
        mean, slope = mean_number_map(game, y, temperature)
        up, down = (mean_number_map(game, y + sign * step, temperature)[0] for sign in (1, -1))
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-6)
        assert ((mean >= 0) & (mean <= 9)).all()


def test_mean_number_map_by_hand() -> None:
    """Two agents, two actions: Q(a) = G(a + y), G(x) = x exp(-(x - 1)^2)."""
    game = GaussianSqueeze(2, mu=1.0, sigma=1.0, actions=2)
    low, high = 0.5 * exp(-0.25), 1.5 * exp(-0.25)
    up = exp(high / 0.3) / (exp(high / 0.3) + exp(low / 0.3))
    assert mean_number_map(game, 0.5, 0.3)[0] == pytest.approx(up, rel=1e-12)
    crossing = brentq(lambda y: (y + 1) * exp(-(y**2)) - y * exp(-((y - 1) ** 2)), 0, 5)
    assert mean_number_map(game, crossing, 0.3)[0] == pytest.approx(0.5, abs=1e-9)


def test_numbers_are_iterated_as_the_map_says() -> None:
    game, start = GaussianSqueeze(100), np.array([1.0, 5.0])
    together = iterate_number(game, 20.0, start)
    assert together.shape == (1001, 2)
    assert together[:2] == pytest.approx(np.array([start, mean_number_map(game, start, 20.0)[0]]), abs=1e-12)
    first, second = iterate_number(game, 20.0, start, damping=0.3, steps=2)[1:]
    assert first == pytest.approx(0.7 * start + 0.3 * mean_number_map(game, start, 20.0)[0], abs=1e-12)
    assert second == pytest.approx(0.7 * first + 0.3 * mean_number_map(game, first, 20.0)[0], abs=1e-12)


@pytest.mark.parametrize("damping", [1.0, 0.5])
def test_flip_temperature_from_both_sides(damping: float) -> None:
    game = GaussianSqueeze(100)
    flip = flip_temperature(game, damping)
    (point,) = fixed_points(game, flip)
    assert mean_number_map(game, point, flip)[1] == pytest.approx(1 - 2 / damping, rel=1e-6)
    rests = iterate_number(game, 1.05 * flip, point + 0.01, damping=damping, steps=3000)
    cycles = iterate_number(game, 0.95 * flip, point + 0.01, damping=damping, steps=3000)
    assert (period(rests, 8, 1e-7), period(cycles, 8, 1e-7)) == (1, 2)


def test_contraction_temperature_from_both_sides() -> None:
    game = GaussianSqueeze(100)
    critical = contraction_temperature(game)
    assert largest_slope(game, 1.001 * critical) < 1 < largest_slope(game, 0.999 * critical)
    assert flip_temperature(game) <= critical
    assert contraction_temperature(GaussianSqueeze(10)) == flip_temperature(GaussianSqueeze(10)) == 0
    assert largest_slope(GaussianSqueeze(10), 0.1) < 1


@pytest.mark.parametrize("damping", [0.95, 0.5])
def test_contraction_temperature_under_damping_from_both_sides(damping: float) -> None:
    """At T_c the damped slope 1 - d + d F' is 1 or -1 somewhere, and inside (-1, 1) everywhere above."""
    game, y = GaussianSqueeze(100), np.linspace(0, 9, 20_001)
    critical = contraction_temperature(game, damping)
    for temperature, contracts in ((1.002 * critical, True), (0.998 * critical, False)):
        slope = 1 - damping + damping * mean_number_map(game, y, temperature)[1]
        assert (np.abs(slope).max() < 1) == contracts
    assert flip_temperature(game, damping) <= critical < contraction_temperature(game)


def test_what_happens_in_a_narrow_band_of_temperatures_is_found() -> None:
    found = _largest_temperature(GaussianSqueeze(100), 1.0, lambda temperature: 0.56 < temperature < 0.6)
    assert found == pytest.approx(0.6, rel=1e-9)
    assert _largest_temperature(GaussianSqueeze(100), 1.0, lambda temperature: False) == 0


def test_temperatures_are_sought_down_to_the_lowest() -> None:
    game = GaussianSqueeze(100)
    lowest = LOWEST * _plainly_contracting(game)
    found = _largest_temperature(game, 1.0, lambda temperature: temperature < 2 * lowest)
    assert found == pytest.approx(2 * lowest, rel=1e-9)
    assert _largest_temperature(game, 1.0, lambda temperature: temperature < lowest / 2) == 0


NOTHING_PAYS = GaussianSqueeze(2, mu=1000.0, sigma=1.0, actions=2)


@pytest.mark.parametrize(
    "game",
    [GaussianSqueeze(100), GaussianSqueeze(10), GaussianSqueeze(30, 40.0, 0.5), GaussianSqueeze(3, 0.0, 2.0, 4)],
)
def test_contraction_is_plain_by_half_the_range_of_actions_times_the_steepest_reward(game: GaussianSqueeze) -> None:
    """(N - 1) (D - 1) / 2 times the largest |G'| over all totals, here by differences, and one percent more."""
    total, step = np.linspace(0, game.agents * (game.actions - 1), 200_001), 1e-6
    up, down = ((x := total + sign * step) * np.exp(-(((x - game.mu) / game.sigma) ** 2)) for sign in (1, -1))
    steepest = np.abs(up - down).max() / (2 * step)
    expected = (game.agents - 1) * (game.actions - 1) / 2 * steepest * 1.01
    assert _plainly_contracting(game) == pytest.approx(expected, rel=1e-3)
    assert largest_slope(game, _plainly_contracting(game)) < 1


def test_play_that_nothing_pays_is_uniform_at_every_temperature() -> None:
    assert _plainly_contracting(NOTHING_PAYS) == 1
    assert contraction_temperature(NOTHING_PAYS) == several_temperature(NOTHING_PAYS) == 0
    assert fixed_points(NOTHING_PAYS, 0.1).tolist() == [0.5], "one of the numbers looked at, told once"


@pytest.mark.parametrize(
    ("game", "all_inside"),
    [
        (GaussianSqueeze(100), False),
        (GaussianSqueeze(20_000), False),
        (GaussianSqueeze(100, 400.0, 20.0), True),
        (GaussianSqueeze(100, 400.0, 9.0), True),
        (GaussianSqueeze(30, 140.0, 0.5), True),
    ],
)
def test_numbers_lie_as_close_as_they_are_said_to(game: GaussianSqueeze, all_inside: bool) -> None:
    """100 in a sigma within 8 sigma of mu for every own action, two in an action around the best, 2000 in all."""
    others, largest = game.agents - 1, game.actions - 1
    numbers = _numbers(game)
    assert (numbers[0], numbers[-1]) == (0, largest)
    gaps = np.diff(numbers)
    assert 0 < gaps.min() <= gaps.max() <= largest / 2000 * (1 + 1e-9)

    def furthest(totals: Array) -> float:
        y = totals[(totals >= 0) & (totals <= largest * others)] / others
        above = np.searchsorted(numbers, y)
        nearest = np.minimum(numbers[above] - y, y - numbers[np.maximum(above - 1, 0)])
        return float(np.abs(nearest).max()) * others

    window = game.mu + game.sigma * np.linspace(-8, 8, 3201)
    for action in range(game.actions):
        assert furthest(window - action) <= game.sigma / 200 * (1 + 1e-6)
    best = (game.mu + sqrt(game.mu**2 + 2 * game.sigma**2)) / 2  # where G' = 0
    assert furthest(best + np.arange(-2 * game.actions, 2 * game.actions) / 2) < 1e-9
    if all_inside:
        windows = game.actions * 1601 if game.sigma < largest else 1601 + largest * 100 / game.sigma
        assert len(numbers) <= 2001 + windows + 200 + 4 * game.actions


def test_largest_slope_is_finer_than_the_numbers_looked_at() -> None:
    game, temperature = GaussianSqueeze(100), 30.0
    for damping in (1.0, 0.6):

        def slopes(y: Array, d: float = damping) -> Array:
            return np.abs(1 - d + d * mean_number_map(game, y, temperature)[1])

        coarse = np.linspace(0, 9, 9001)
        best = coarse[slopes(coarse).argmax()]
        fine = slopes(np.linspace(max(best - 1e-3, 0), min(best + 1e-3, 9), 20_001)).max()
        assert largest_slope(game, temperature, damping) == pytest.approx(fine, rel=1e-9)
    assert largest_slope(game, temperature) == largest_slope(game, temperature, 1.0)


def test_numbers_are_looked_at_closely_whatever_the_game() -> None:
    """Largest slopes and fixed points as on a grid of 200 000 numbers, for many agents and for a narrow G."""
    games = ((GaussianSqueeze(20_000), 3000.0), (GaussianSqueeze(20_000), 0.5), (GaussianSqueeze(30, 40.0, 0.05), 2.0))
    for game, temperature in games:
        y = np.linspace(0, 9, 200_001)
        gap = mean_number_map(game, y, temperature)[0] - y
        slope = np.abs(mean_number_map(game, y, temperature)[1])
        assert largest_slope(game, temperature) == pytest.approx(slope.max(), rel=2e-3)
        crossings = y[:-1][np.sign(gap[:-1]) != np.sign(gap[1:])]
        assert fixed_points(game, temperature) == pytest.approx(crossings, abs=5e-5)


def test_fixed_points_that_come_in_close_pairs_are_told_apart() -> None:
    """Just below the T at which the second and third appear they lie within one step of any grid."""
    game = GaussianSqueeze(1000)
    several = several_temperature(game)
    first, second, third = fixed_points(game, several * (1 - 1e-9))
    assert 0 < second - first < 1e-4 < third - first
    assert len(fixed_points(game, several * (1 + 1e-9))) == 1


def test_all_temperatures_have_the_rewards_unit() -> None:
    """G scales with x: mu, sigma and N - 1 twice as large double T, as do numbers seen by twice the agents."""
    small = GaussianSqueeze(41, mu=40.0, sigma=20.0)
    assert contraction_temperature(small) > 0
    few = contraction_temperature(GaussianSqueeze(2, mu=1.0, sigma=1.0, actions=2))
    slope = max(largest_slope(GaussianSqueeze(2, mu=1.0, sigma=1.0, actions=2), t) for t in (1.01 * few, 2 * few, 9.0))
    assert slope < 1


@pytest.mark.slow
def test_a_thousand_agents_contract_to_worthless_play() -> None:
    game = GaussianSqueeze(1000)
    critical = contraction_temperature(game)
    (point,) = fixed_points(game, critical * 1.01)
    assert point == pytest.approx(4.5, abs=1e-6)
    assert float(game._squeeze(round(point * 1000))) < 1e-150
    several = several_temperature(game)
    assert len(fixed_points(game, 0.99 * several)) == 3
    assert flip_temperature(game) < several < critical / 50


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torus(2), "size must be an integer of at least 3, got 2"),
        (lambda: ring(2), "agents must be an integer of at least 3, got 2"),
        (lambda: star(0), "leaves must be an integer of at least 1, got 0"),
        (lambda: critical_temperature(np.ones((2, 3))), "adjacency must be [N, N]"),
        (lambda: critical_temperature(np.eye(3)), "adjacency must be 0 on its diagonal"),
        (lambda: critical_temperature([[0, 1], [1, 2]]), "adjacency must be 0 on its diagonal, got [0.0, 2.0]"),
        (lambda: critical_temperature([1.0, 2.0]), "adjacency must be [N, N] with N at least 1, got shape [2]"),
        (lambda: critical_temperature(np.zeros((2, 2, 2))), "adjacency must be [N, N]"),
        (lambda: critical_temperature(np.zeros((0, 0))), "adjacency must be [N, N] with N at least 1"),
        (lambda: softmax_jacobian([1.5, -0.5], 1.0), "policy must be a distribution"),
        (lambda: softmax_jacobian(1.0, 1.0), "policy must be a distribution"),
        (lambda: softmax_jacobian(np.zeros((0, 2)), 1.0), "policy must be a distribution"),
        (lambda: policy_map_radius(np.full((3, 2), 0.5), np.ones((2, 2, 2)), 1.0), "got (3, 2), (2, 2, 2)"),
        (lambda: critical_temperature(np.array([[0, np.inf], [1, 0]])), "adjacency must be finite"),
        (lambda: critical_temperature(ring(3), float("nan")), "coupling must be a finite real number, got nan"),
        (lambda: iterate(ring(3), 0.0, np.zeros(3)), "temperature must be positive and finite, got 0.0"),
        (lambda: iterate(ring(3), 1.0, np.zeros(4)), "start must be [..., N] with N = 3, got shape [4]"),
        (lambda: iterate(ring(3), 1.0, [0, np.nan, 0]), "start must be finite"),
        (lambda: iterate(ring(3), 1.0, np.zeros(3), "backwards"), "order must be one of synchronous, one-at-a-time"),  # type: ignore[arg-type]
        (lambda: iterate(ring(3), 1.0, np.zeros(3), damping=0.0), "damping must be in (0, 1], got 0.0"),
        (lambda: iterate(ring(3), 1.0, np.zeros(3), sweeps=-1), "sweeps must be an integer of at least 0, got -1"),
        (lambda: critical_temperature(ring(3), None), "coupling must be a finite real number, got None"),  # type: ignore[arg-type]
        (lambda: critical_temperature(ring(3), True), "coupling must be a finite real number, got True"),
        (lambda: critical_temperature([[0, 1], [1]]), "adjacency must be of one shape, got rows of several lengths"),
        (lambda: iterate(ring(3), [[1], [1, 2]], np.zeros(3)), "temperature must be of one shape"),  # type: ignore[arg-type]
        (lambda: period(np.zeros(20), 4, -1.0), "tolerance must be at least 0 and finite, got -1.0"),
        (lambda: period(np.zeros(20), 4, float("nan")), "tolerance must be at least 0 and finite, got nan"),
        (lambda: period(np.zeros(20), 4, "a"), "tolerance must be at least 0 and finite, got 'a'"),  # type: ignore[arg-type]
        (lambda: period(np.zeros((20, 0)), 4), "with at least one number a step, got shape [20, 0]"),
        (lambda: period(1.0), "states must be [steps, ...] with at least one number a step, got shape []"),
        (lambda: sufficient_temperature(1.0, ["x"]), "measured must be one of fraction, l2 operator"),  # type: ignore[arg-type]
        (lambda: lipschitz_constants(np.ones((0, 0))), "[..., D, D] with D at least 1, got shape [0, 0]"),
        (lambda: period(np.zeros(5)), "states must have at least 2 longest = 16 steps, got shape [5]"),
        (lambda: spin_factors(1.5, 1.0), "mean must be in [-1, 1], got 1.5"),
        (lambda: dobrushin_influence(-1, 1.0), "degree must be an integer of at least 0, got -1"),
        (lambda: dobrushin_temperature(2 * ring(3)), "adjacency must be of zeros and ones"),
        (lambda: softmax_jacobian([0.5, 0.6], 1.0), "policy must be a distribution"),
        (lambda: softmax_jacobian([0.5, 0.5], -1.0), "temperature must be positive and finite, got -1.0"),
        (lambda: sufficient_temperature(-1.0, "fraction"), "lipschitz must be at least 0 and finite, got -1.0"),
        (lambda: sufficient_temperature(1.0, "l3"), "measured must be one of fraction, l2 operator"),  # type: ignore[arg-type]
        (lambda: lipschitz_constants(np.ones(3)), "jacobian must be [..., D, D] with D at least 1, got shape [3]"),
        (lambda: policy_map_radius(np.ones((1, 2)), np.ones((1, 2, 2)), 1.0), "[N, D] and [N, D, D] with N at least 2"),
        (
            lambda: critical_temperature(np.array([[0, 1j], [1j, 0]])),
            "adjacency must be of real numbers, got complex128",
        ),
        (lambda: critical_temperature("a"), "adjacency must be of real numbers"),
        (lambda: critical_temperature(ring(3), damping=2.0), "damping must be in (0, 1], got 2.0"),
        (lambda: iterate(ring(3), [1.0, 2.0], np.zeros(3)), "temperature must be positive and finite, got shape [2]"),  # type: ignore[arg-type]
        (lambda: measured_factor([]), "states must be [steps, ...] with at least one step, got shape [0]"),
        (lambda: measured_factor(2.0), "states must be [steps, ...] with at least one step, got shape []"),
        (lambda: measured_factor([1.0, np.nan]), "states must be finite"),
        (lambda: spin_factors(0.5, [1.0, 2.0]), "temperature must be positive and finite, got shape [2]"),  # type: ignore[arg-type]
        (lambda: spin_factors("a", 1.0), "mean must be in [-1, 1], got 'a'"),  # type: ignore[arg-type]
        (lambda: spin_factors(0.5, 1.0, degree=-1), "degree must be an integer of at least 0, got -1"),
        (lambda: spin_factors(0.5, 1.0, degree=2.5), "degree must be an integer of at least 0, got 2.5"),  # type: ignore[arg-type]
        (lambda: mean_number_map(GaussianSqueeze(5), 9.5, 1.0), "number must be in [0, 9], got 9.5 to 9.5"),
        (lambda: mean_number_map(GaussianSqueeze(5), np.nan, 1.0), "number must be finite"),
        (lambda: mean_number_map(GaussianSqueeze(5), 1.0, [1.0]), "temperature must be positive and finite, got shape"),  # type: ignore[arg-type]
        (lambda: iterate_number(GaussianSqueeze(5), 1.0, [1.0, -0.1]), "start must be in [0, 9], got -0.1 to 1"),
        (lambda: iterate_number(GaussianSqueeze(5), 1.0, np.nan), "start must be finite"),
        (lambda: iterate_number(GaussianSqueeze(5), 1.0, 1.0, steps=-1), "steps must be an integer of at least 0"),
        (lambda: fixed_points(GaussianSqueeze(5), [1.0]), "temperature must be positive and finite, got shape [1]"),  # type: ignore[arg-type]
        (lambda: flip_temperature("a"), "game must be a GaussianSqueeze, got 'a'"),  # type: ignore[arg-type]
        (lambda: flip_temperature(GaussianSqueeze(5), "a"), "damping must be in (0, 1], got 'a'"),  # type: ignore[arg-type]
        (lambda: contraction_temperature(GaussianSqueeze(5, sigma=1.0, actions=99)), "at most 62 actions, or sigma of"),
        (lambda: softmax_jacobian([0.5, 0.5], [1.0, 2.0]), "temperature must be positive and finite, got shape [2]"),  # type: ignore[arg-type]
        (lambda: flip_temperature(GaussianSqueeze(10), 1.5), "damping must be in (0, 1], got 1.5"),
    ],
)
def test_bad_input_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        call()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_onsagers_point_lies_below_both_sufficient_temperatures() -> None:
    onsager = 1 / log(1 + sqrt(2))
    assert onsager < dobrushin_temperature(torus(4)) < critical_temperature(torus(4))

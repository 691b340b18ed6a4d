"""TH-3, what a learner should find: by hand, by enumeration, by simulation of the definitions."""

from collections.abc import Callable
from itertools import product
from math import exp, log, sqrt, tanh
from statistics import NormalDist

import numpy as np
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.theory import (
    MarkovGame,
    StationarySite,
    averages_value_gap,
    best_response_values,
    boltzmann_value_gap,
    congestion_rewards,
    coupled_game,
    equilibria,
    expected_visits,
    glie_temperature,
    has_global_optima,
    herding_amplitude,
    herding_temperature,
    literal_q_values,
    nash_q_values,
    noise_floor,
    reward_deviations,
)


@pytest.mark.parametrize(("p", "degree", "coupling"), [(0.8, 4, 1.0), (0.25, 3, -2.0), (1.0, 1, 0.5), (0.5, 2, 1.0)])
def test_stationary_site_by_enumeration_of_its_neighbours(p: float, degree: int, coupling: float) -> None:
    site = StationarySite(p, degree, coupling)
    for action, value in zip((-1, 1), site.values, strict=True):
        mean = square = 0.0
        for spins in product((-1, 1), repeat=degree):
            weight = float(np.prod([p if spin == 1 else 1 - p for spin in spins]))
            reward = coupling / 2 * action * sum(spins)
            mean += weight * reward
            square += weight * reward**2
        assert value == pytest.approx(mean, abs=1e-12)
        assert site.reward_variance == pytest.approx(square - mean**2, abs=1e-12)
    assert StationarySite(0.8).values == pytest.approx((-1.2, 1.2))  # q = 4 (2 p - 1) = 2.4 apart
    assert StationarySite(0.8).reward_variance == pytest.approx(0.64)


def test_noise_floor_is_the_variance_of_the_recursion() -> None:
    """The recursion v <- (1 - alpha)^2 v + alpha^2 Var(r) comes to rest there."""
    for alpha in (0.01, 0.1, 0.5, 1.0):
        v = 0.0
        for _ in range(5000):
            v = (1 - alpha) ** 2 * v + alpha**2 * 3.0
        assert noise_floor(alpha, 3.0) == pytest.approx(v, rel=1e-9)
    assert noise_floor(1.0, 3.0) == 3.0


def test_boltzmann_value_gap_of_two_actions_and_of_many() -> None:
    for gap, tau in ((2.4, 1.0), (1.0, 0.1), (0.0, 1.0)):
        assert boltzmann_value_gap([1.0, 1.0 - gap], tau) == pytest.approx(gap / (1 + exp(gap / tau)), rel=1e-12)
    values = np.array([[1.0, 0.0, -1.0], [5.0, 5.0, 2.0]])
    policy = np.exp(values / 0.7) / np.exp(values / 0.7).sum(-1, keepdims=True)
    assert boltzmann_value_gap(values, 0.7) == pytest.approx(values.max(-1) - (policy * values).sum(-1), rel=1e-12)
    assert boltzmann_value_gap([1e6, 0.0], 1e-3) == 0


def test_averages_lose_what_two_normal_variables_in_the_wrong_order_do() -> None:
    """Of two actions the difference is normal: the worse one looks better with probability Phi(-q / its deviation)."""
    for gap, deviations, visits in ((1.0, (2.0, 3.0), 5), (0.3, (0.1, 4.0), 1), (0.0, (1.0, 1.0), 7)):
        spread = sqrt((deviations[0] ** 2 + deviations[1] ** 2) / visits)
        expected = gap * NormalDist().cdf(-gap / spread)
        assert averages_value_gap([0.5, 0.5 + gap], deviations, visits) == pytest.approx(expected, abs=1e-6)
    assert averages_value_gap([3.0], [1.0], 1) == 0
    assert averages_value_gap([0, 1], [1, 1], 10_000) == pytest.approx(0, abs=1e-15)


def test_averages_of_several_actions_as_drawn() -> None:
    values, deviations, visits = np.array([0.0, 1.0, 1.2, -2.0]), np.array([1.0, 3.0, 0.5, 4.0]), 6
    drawn = np.random.default_rng(0).normal(values, deviations, size=(100_000, visits, 4)).mean(1)
    lost = (values.max() - values)[drawn.argmax(1)]
    assert averages_value_gap(values, deviations, visits) == pytest.approx(lost.mean(), abs=4 * lost.std() / 316)


def test_best_response_values_by_enumeration() -> None:
    game = GaussianSqueeze(4, mu=3.0, sigma=2.0, actions=3)
    policies = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.1, 0.8, 0.1]])
    expected = np.zeros(3)
    for joint in product(range(3), repeat=3):
        weight = float(np.prod([policies[k, a] for k, a in enumerate(joint)]))
        x = np.arange(3.0) + sum(joint)
        expected += weight * x * np.exp(-(((x - 3) / 2) ** 2))
    assert best_response_values(game, policies) == pytest.approx(expected, abs=1e-13)
    squares = np.zeros(3)
    for joint in product(range(3), repeat=3):
        weight = float(np.prod([policies[k, a] for k, a in enumerate(joint)]))
        x = np.arange(3.0) + sum(joint)
        squares += weight * (x * np.exp(-(((x - 3) / 2) ** 2)) - expected) ** 2
    assert reward_deviations(game, policies) == pytest.approx(np.sqrt(squares), abs=1e-13)
    assert reward_deviations(game, np.eye(3)[0]).tolist() == [0, 0, 0], "whoever always does the same"
    shared = best_response_values(game, policies[0])
    assert shared == pytest.approx(best_response_values(game, np.tile(policies[0], (3, 1))), abs=1e-14)
    # Even play of all, own action even too, is the game's own uniform play.
    assert best_response_values(GaussianSqueeze(100), np.full(10, 0.1)).mean() == pytest.approx(
        GaussianSqueeze(100).uniform_play_reward(), rel=1e-12
    )


def test_coupled_game_by_hand() -> None:
    game = coupled_game()
    assert game.reward[0, 0].tolist() == [1, 0.875, 0.75, 0.625, 0.5]  # none, one, ... of four others on action 1
    assert game.reward[0, 1].tolist() == game.reward[1, 0].tolist() == [0] * 5
    assert game.reward[1, 1].tolist() == [1, 1.25, 1.5, 1.75, 2]
    assert game.transition[0, :, 1].tolist() == pytest.approx([0.25, 0.35, 0.45, 0.55, 0.65, 0.75])


def test_nash_q_values_by_hand() -> None:
    """All play the state's number: v0 = 1 + (3 v0 + v1)/8, v1 = 2 + (v0 + 3 v1)/8, so v0 = 7/3 and v1 = 11/3."""
    (equilibrium,) = equilibria(coupled_game())
    assert equilibrium.actions.tolist() == [[0] * 5, [1] * 5]
    assert equilibrium.values == pytest.approx(np.array([[7 / 3] * 5, [11 / 3] * 5]), abs=1e-12)
    q = nash_q_values(coupled_game())
    assert q[0, 0, 0] == pytest.approx(7 / 3)
    assert q[1, 1, 4] == pytest.approx(11 / 3)
    # The odd one out in state 0: no reward, one of five on 1, P(s' = 1) = 0.35.
    assert q[0, 1, 0] == pytest.approx((0.65 * 7 / 3 + 0.35 * 11 / 3) / 2)
    assert has_global_optima(coupled_game(), q)


def test_nash_q_values_solve_bellmans_equation_under_equilibrium_play() -> None:
    for agents, discount in ((2, 0.0), (3, 0.9), (5, 0.5)):
        game = coupled_game(agents, discount)
        q = nash_q_values(game)
        next_value = np.array([q[0, 0, 0], q[1, 1, agents - 1]])
        assert q == pytest.approx(game.backup(next_value), abs=1e-9)


def test_backup_by_hand() -> None:
    """One agent, two states, action 1 moves to state 1: Q = r + gamma v(s')."""
    reward = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    transition = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    game = MarkovGame(reward, transition, 0.5)
    assert game.backup([10.0, 20.0]).tolist() == [[[6.0], [12.0]], [[8.0], [14.0]]]
    # Its optimum: always 1, v1 = 4 / (1 - 1/2) = 8, v0 = 2 + 4 = 6.
    assert nash_q_values(game).tolist() == pytest.approx(np.array([[[4.0], [6.0]], [[6.0], [8.0]]]))
    assert literal_q_values(game) == pytest.approx(nash_q_values(game), abs=1e-12), "alone, there is no mean action"


def test_a_game_may_be_written_as_lists() -> None:
    lists = MarkovGame([[[1.0], [2.0]], [[3.0], [4.0]]], [[[1, 0], [0, 1]]] * 2, 0.5)  # type: ignore[arg-type]
    assert nash_q_values(lists).tolist() == pytest.approx(np.array([[[4.0], [6.0]], [[6.0], [8.0]]]))


def test_literal_q_values_solve_their_own_equation_and_not_nashs() -> None:
    game = coupled_game()
    literal = literal_q_values(game)
    best = literal.max(1)
    for s, a, k in product((0, 1), (0, 1), range(5)):
        up = 0.25 + 0.1 * (k + a)
        expected = game.reward[s, a, k] + 0.5 * ((1 - up) * best[0, k] + up * best[1, k])
        assert literal[s, a, k] == pytest.approx(expected, abs=1e-12)
    # All on 0: v0 = 1 + (3 v0 + v1)/8 and v1 = 1 + (13 v0 + 7 v1)/40, whoever chooses 1 alone moves P to 0.35.
    v0, v1 = np.linalg.solve([[1 - 0.375, -0.125], [-0.325, 1 - 0.175]], [1, 1])
    assert literal[[0, 1], [0, 1], 0] == pytest.approx([v0, v1])
    assert np.abs(literal - nash_q_values(game)).max() > 0.4
    undiscounted = coupled_game(5, 0.0)
    assert literal_q_values(undiscounted) == pytest.approx(nash_q_values(undiscounted))


def test_equilibria_of_a_coordination_game_and_the_best_of_them() -> None:
    """Two agents, one state, paid 1 or 2 for agreeing on 0 or 1: both are equilibria, 1 is better for all."""
    reward = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    game = MarkovGame(reward, np.ones((1, 3, 1)), 0.5)
    assert sorted(one.actions.tolist() for one in equilibria(game)) == [[[0, 0]], [[1, 1]]]
    assert nash_q_values(game)[0, 1, 1] == pytest.approx(4)
    assert has_global_optima(game, nash_q_values(game))


def test_games_without_a_common_best_are_refused() -> None:
    """Anti-coordination pays the two agents differently; the congestion game has no global optimum."""
    reward = np.array([[[0.0, 3.0], [1.0, 0.0]]])
    with pytest.raises(ValueError, match="pure equilibrium that is best for all, got 2 equilibria"):
        nash_q_values(MarkovGame(reward, np.ones((1, 3, 1)), 0.0))
    others = np.arange(5) / 4
    congestion = np.stack([others, 1 - others])[None]
    assert not has_global_optima(MarkovGame(congestion, np.ones((1, 6, 1)), 0.0), congestion)
    one_of_two = np.concatenate([congestion, np.stack([1 - others, others])[None]])
    assert not has_global_optima(MarkovGame(one_of_two, np.full((2, 6, 2), 0.5), 0.0), one_of_two)


def test_glie_and_the_visits_that_it_leaves() -> None:
    assert glie_temperature(0) == pytest.approx(2 / log(2))
    assert glie_temperature(100_000) == pytest.approx(0.1737, abs=1e-4)
    by_hand = sum(1 / (1 + exp(3.0 / glie_temperature(t))) for t in range(50))
    assert expected_visits(3.0, 50) == pytest.approx(by_hand, rel=1e-12)
    # The harmonic series at gap = scale; a series of limit at most pi^2/6 at gap = 2 scale.
    assert expected_visits(2.0, 10**6) - expected_visits(2.0, 10**5) == pytest.approx(log(10), abs=1e-4)
    assert expected_visits(4.0, 10**6) - expected_visits(4.0, 10**5) < 1e-5
    assert expected_visits(0.0, 10) == 5
    assert expected_visits(1e6, 10) < 1e-300
    assert expected_visits(1.0, 0) == 0


def test_congestion_by_hand() -> None:
    assert congestion_rewards([0, 0, 1, 1, 1]).tolist() == [0.75, 0.75, 0.5, 0.5, 0.5]
    assert congestion_rewards([[1, 1], [0, 1]]).tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("damping", [1.0, 0.5, 0.1])
def test_herding_begins_where_play_no_longer_settles(damping: float) -> None:
    threshold = herding_temperature(damping)
    for temperature, settles in ((1.05 * threshold, True), (0.95 * threshold, False)):
        m = 0.1
        for _ in range(3000):
            m = (1 - damping) * m - damping * tanh(m / (2 * temperature))
        assert (abs(m) < 1e-6) == settles
    assert herding_temperature() == 0.5


def test_herding_amplitude_is_where_the_cycle_closes() -> None:
    for temperature in (0.05, 0.2, 0.4, 0.49):
        m = herding_amplitude(temperature)
        assert m == pytest.approx(tanh(m / (2 * temperature)), abs=1e-9)
        assert m > 0.1
    assert herding_amplitude(0.5) == herding_amplitude(7.0) == 0
    assert herding_amplitude(0.01) == pytest.approx(1)
    assert herding_amplitude(float(np.nextafter(0.5, 0))) < 1e-6, "sqrt(3 (1 - 2 T)) close to T = 1/2"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StationarySite(1.5), "probability must be in [0, 1], got 1.5"),
        (lambda: StationarySite(0.5, 0), "degree must be an integer of at least 1, got 0"),
        (lambda: StationarySite(0.5, 2.5), "degree must be an integer of at least 1, got 2.5"),  # type: ignore[arg-type]
        (lambda: StationarySite(0.5, True), "degree must be an integer of at least 1, got True"),
        (lambda: StationarySite("a"), "probability must be in [0, 1], got 'a'"),  # type: ignore[arg-type]
        (lambda: MarkovGame([[[1.0], [np.nan]]], [[[1], [1]]], 0.5), "reward must be finite"),  # type: ignore[arg-type]
        (lambda: MarkovGame([[["a"], ["b"]]], [[[1], [1]]], 0.5), "reward must be of real numbers"),  # type: ignore[arg-type]
        (
            lambda: has_global_optima(coupled_game(), np.ones(3)),
            "q_values must be [2, 2, 5] like reward, got shape [3]",
        ),
        (lambda: coupled_game().backup(np.ones(3)), "next_value must be [S] or [S, N], got shape [3]"),
        (lambda: boltzmann_value_gap([1.0, 2.0], [1.0]), "temperature must be positive and finite, got shape [1]"),  # type: ignore[arg-type]
        (lambda: boltzmann_value_gap([], 1.0), "values must be [..., D] with D at least 1, got shape [0]"),
        (lambda: expected_visits(1.0, 1.5), "steps must be an integer of at least 0, got 1.5"),  # type: ignore[arg-type]
        (lambda: noise_floor(0.0, 1.0), "learning_rate must be in (0, 1], got 0.0"),
        (lambda: noise_floor(0.1, -1.0), "variance must be at least 0 and finite, got -1.0"),
        (lambda: boltzmann_value_gap([1.0, 2.0], 0.0), "temperature must be positive and finite, got 0.0"),
        (lambda: best_response_values(GaussianSqueeze(3), np.ones(4)), "opponents must be [10] or [2, 10], got [4]"),
        (lambda: best_response_values(GaussianSqueeze(3), np.ones(10)), "opponents must be a distribution"),
        (lambda: reward_deviations(GaussianSqueeze(3), np.ones(10)), "opponents must be a distribution"),
        (lambda: averages_value_gap([1, 2], [1], 3), "values and deviations must be [D] both, got shapes [2], [1]"),
        (lambda: averages_value_gap([1, 2], [1, 0], 3), "deviations must be positive, got 0"),
        (lambda: averages_value_gap([1, 2], [1, 1], 0), "visits must be an integer of at least 1, got 0"),
        (lambda: coupled_game(1), "agents must be an integer of at least 2, got 1"),
        (lambda: coupled_game(discount=1.0), "discount must be in [0, 1), got 1.0"),
        (lambda: MarkovGame(np.ones((2, 3, 2)), np.ones((2, 3, 2)), 0.5), "reward must be [states, 2, agents]"),
        (lambda: MarkovGame(np.ones((1, 2, 0)), np.ones((1, 1, 1)), 0.5), "reward must be [states, 2, agents]"),
        (lambda: MarkovGame(np.ones((0, 2, 2)), np.ones((0, 3, 0)), 0.5), "reward must be [states, 2, agents]"),
        (lambda: congestion_rewards(1), "actions must be 0 or 1 of at least 2 agents, got shape []"),
        (lambda: MarkovGame(np.ones((1, 2, 2)), np.ones((1, 2, 1)), 0.5), "transition must be [1, 3, 1] like reward"),
        (lambda: MarkovGame(np.ones((1, 2, 2)), np.ones((1, 3, 1)) / 2, 0.5), "transition must be a distribution"),
        (lambda: equilibria(coupled_game(10)), "at most 262144 profiles, got 2^20"),
        (lambda: equilibria(None), "game must be a MarkovGame, got None"),  # type: ignore[arg-type]
        (lambda: nash_q_values("a"), "game must be a MarkovGame, got 'a'"),  # type: ignore[arg-type]
        (lambda: literal_q_values(None), "game must be a MarkovGame, got None"),  # type: ignore[arg-type]
        (lambda: has_global_optima(None, np.zeros((2, 2, 5))), "game must be a MarkovGame, got None"),  # type: ignore[arg-type]
        (lambda: equilibria(coupled_game(3), -1.0), "tolerance must be at least 0 and finite, got -1.0"),
        (lambda: equilibria(coupled_game(3), float("nan")), "tolerance must be at least 0 and finite, got nan"),
        (lambda: equilibria(coupled_game(3), "a"), "tolerance must be at least 0 and finite, got 'a'"),  # type: ignore[arg-type]
        (lambda: congestion_rewards([[1, 0], [1]]), "actions must be of one shape, got rows of several lengths"),
        (lambda: congestion_rewards("ab"), "actions must be of real numbers, got <U2"),
        (lambda: glie_temperature(-1), "step must be an integer of at least 0, got -1"),
        (lambda: glie_temperature(1, 0.0), "scale must be positive and finite, got 0.0"),
        (lambda: expected_visits(-1.0, 5), "gap must be at least 0 and finite, got -1.0"),
        (lambda: congestion_rewards([1]), "actions must be 0 or 1 of at least 2 agents, got shape [1]"),
        (lambda: congestion_rewards([0, 2]), "actions must be 0 or 1"),
        (lambda: herding_temperature(0.0), "damping must be in (0, 1], got 0.0"),
        (lambda: herding_amplitude(-1.0), "temperature must be positive and finite, got -1.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        call()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)

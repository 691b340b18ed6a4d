"""Games against brute force, closed forms and enumeration."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, product
from math import exp, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mfmarl.environments import Environment, GaussianSqueeze, MatrixGame
from mfmarl.environments.matrix_game import (
    CLIMBING,
    PARTIALLY_STOCHASTIC_CLIMBING,
    STOCHASTIC_CLIMBING,
    penalty,
)

NO_NOISE = torch.empty(0)
CLIMBING_GAME = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]  # Matignon, Laurent & Le Fort-Piat 2012


def squeeze(total: int, mu: float, sigma: float) -> float:
    """`G(x)` of appendix C.1 in Python's own floats."""
    return total * exp(-((total - mu) ** 2) / sigma**2)


@pytest.mark.parametrize("agents", [100, 500, 1000])
def test_the_optimum_is_that_of_all_sums(agents: int) -> None:
    rewards = [squeeze(total, 400, 200) for total in range(9 * agents + 1)]
    best, reward = GaussianSqueeze(agents).optimum()
    assert best == rewards.index(max(rewards)) == 445
    assert reward == pytest.approx(max(rewards), rel=1e-12)
    assert reward == pytest.approx(423.0326, abs=5e-5)


@given(st.integers(2, 30), st.floats(-50, 300), st.floats(0.3, 300), st.integers(2, 10))
def test_the_optimum_is_that_of_all_sums_whatever_the_game(agents: int, mu: float, sigma: float, actions: int) -> None:
    best, reward = GaussianSqueeze(agents, mu, sigma, actions).optimum()
    rewards = [squeeze(total, mu, sigma) for total in range(agents * (actions - 1) + 1)]
    assert reward == pytest.approx(rewards[best], rel=1e-9, abs=1e-300)
    assert reward >= max(rewards) * (1 - 1e-9)


@given(st.integers(2, 12), st.floats(-10, 60), st.floats(0.5, 50), st.integers(0, 2**31))
def test_reward_is_the_formula(agents: int, mu: float, sigma: float, number: int) -> None:
    joint = torch.randint(10, (2, 3, agents), generator=torch.Generator().manual_seed(number))
    found = GaussianSqueeze(agents, mu, sigma).reward(joint, NO_NOISE)
    assert found.dtype == torch.float64
    expected = [[squeeze(sum(actions), mu, sigma) for actions in rows] for rows in joint.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-300)


def test_reward_by_hand_at_a_thousand_agents() -> None:
    game = GaussianSqueeze(1000)
    joint = torch.zeros(3, 1000, dtype=torch.int64)
    joint[0, :400] = 1  # x = mu: G = 400
    joint[1, :300] = 2  # x = mu + sigma: G = 600 / e
    joint[2] = 9  # x = 9000: underflows to 0
    torch.testing.assert_close(game.reward(joint), torch.tensor([400.0, 600 * exp(-1), 0.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("agents", "mu", "sigma", "actions"), [(2, 5.0, 3.0, 10), (3, 400.0, 200.0, 10), (5, 2.0, 1.0, 3), (7, 3.0, 0.5, 2)]
)
def test_uniform_play_is_the_mean_over_all_joint_actions(agents: int, mu: float, sigma: float, actions: int) -> None:
    rewards = [squeeze(sum(joint), mu, sigma) for joint in product(range(actions), repeat=agents)]
    found = GaussianSqueeze(agents, mu, sigma, actions).uniform_play_reward()
    assert found == pytest.approx(sum(rewards) / len(rewards), rel=1e-12)


def uniform_play_in_whole_numbers(game: GaussianSqueeze) -> float:
    """E[G] of uniform play from the whole numbers of joint actions that have each sum."""
    ways = [1]  # one agent more in each pass
    for _ in range(game.agents):
        below = [0, *accumulate(ways)]
        ways = [below[min(x + 1, len(ways))] - below[max(x - 9, 0)] for x in range(len(ways) + 9)]
    shares = [float(Fraction(count, 10**game.agents)) for count in ways]
    return sum(share * squeeze(x, game.mu, game.sigma) for x, share in enumerate(shares))


@pytest.mark.parametrize(("agents", "expected"), [(100, 413.4755), (500, 2.6046e-28)])
def test_uniform_play_of_the_paper(agents: int, expected: float) -> None:
    exact = uniform_play_in_whole_numbers(GaussianSqueeze(agents))
    assert exact == pytest.approx(expected, rel=1e-4)
    assert GaussianSqueeze(agents).uniform_play_reward() == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("agents", [2, 20, 100])
@pytest.mark.parametrize("mu", [-300.0, -10.0, 0.0, 200.0, 900.0, 1000.0, 3000.0])
@pytest.mark.parametrize("sigma", [0.5, 8.0, 50.0, 1000.0])
def test_uniform_play_where_what_pays_is_rare_or_out_of_reach(agents: int, mu: float, sigma: float) -> None:
    game = GaussianSqueeze(agents, mu, sigma)
    assert game.uniform_play_reward() == pytest.approx(uniform_play_in_whole_numbers(game), rel=1e-10, abs=1e-300)


def test_scaled_keeps_mu_and_sigma_in_proportion() -> None:
    assert GaussianSqueeze.scaled(1000) == GaussianSqueeze(1000)
    assert GaussianSqueeze.scaled(1_000_000) == GaussianSqueeze(1_000_000, mu=400_000.0, sigma=200_000.0)
    best, reward = GaussianSqueeze.scaled(10_000).optimum()
    # Scaled by s, the peak and its reward are s times those of the paper's game.
    assert best == round((4000 + sqrt(4000**2 + 2 * 2000**2)) / 2)
    assert reward == pytest.approx(4230.32, rel=1e-4)


@pytest.mark.parametrize(
    ("game", "expected"),
    [
        (CLIMBING, CLIMBING_GAME),
        (PARTIALLY_STOCHASTIC_CLIMBING, CLIMBING_GAME),
        (STOCHASTIC_CLIMBING, CLIMBING_GAME),
        (penalty(-100), [[10, 0, -100], [0, 2, 0], [-100, 0, 10]]),
    ],
)
def test_matrix_games_pay_what_is_published(game: MatrixGame, expected: list[list[float]]) -> None:
    assert (game.agents, game.actions) == (2, 3)
    assert game.expected().tolist() == expected
    joint = torch.cartesian_prod(torch.arange(3), torch.arange(3)).view(3, 3, 2)
    draws = ((torch.arange(1000) + 0.5) / 1000).view(-1, 1, 1, 1).expand(-1, 3, 3, game.draws)
    rewards = game.reward(joint.expand(1000, -1, -1, -1), draws)
    assert rewards.dtype == torch.float64
    torch.testing.assert_close(rewards.mean(0), torch.tensor(expected, dtype=torch.float64))


def test_rows_are_the_first_agents_and_one_draw_decides_between_the_matrices() -> None:
    game = MatrixGame(((1, 2), (3, 4)), ((1, 2), (3, 40)))
    joint = torch.tensor([[0, 1], [1, 0], [1, 1], [1, 1], [1, 1]])
    noise = torch.tensor([[0.9], [0.9], [0.0], [0.4999], [0.5]])
    assert game.reward(joint, noise).tolist() == [2, 3, 4, 4, 40]
    assert replace(game, other=None).reward(joint, NO_NOISE).tolist() == [2, 3, 4, 4, 4]


@pytest.mark.parametrize(
    ("game", "draws"), [(GaussianSqueeze(5), 0), (CLIMBING, 0), (STOCHASTIC_CLIMBING, 1), (penalty(0), 0)]
)
def test_a_game_takes_any_leading_shape(game: Environment, draws: int) -> None:
    assert game.draws == draws
    for shape in ((), (4,), (2, 3, 4)):
        rewards = game.reward(torch.zeros(*shape, game.agents, dtype=torch.int64), torch.zeros(*shape, draws))
        assert rewards.shape == shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianSqueeze(1), "agents must be from 2 to 10000000, got 1"),
        (lambda: GaussianSqueeze.scaled(0), "agents must be from 2 to 10000000, got 0"),
        (lambda: GaussianSqueeze(10, sigma=0.0), r"sigma must be from 1e-15 to 1e\+15, got 0.0"),
        (lambda: GaussianSqueeze(10, sigma=-1.0), "sigma must be from 1e-15 to .*, got -1.0"),
        (lambda: GaussianSqueeze(10, sigma=float("nan")), "sigma must be from 1e-15 to .*, got nan"),
        (lambda: GaussianSqueeze(10, mu=float("inf")), r"mu must be from -1e\+15 to 1e\+15, got inf"),
        (lambda: GaussianSqueeze(10, actions=1), "actions must be at least 2, got 1"),
        (lambda: GaussianSqueeze(10, draws=-3), "draws must be 0, the reward is deterministic, got -3"),
        (lambda: GaussianSqueeze(10.5), "agents must be a whole number, got 10.5"),  # type: ignore[arg-type]
        (lambda: GaussianSqueeze(10, actions=float("nan")), "actions must be a whole number, got nan"),  # type: ignore[arg-type]
        (lambda: GaussianSqueeze(10, draws=0.5), "draws must be a whole number, got 0.5"),  # type: ignore[arg-type]
        (lambda: MatrixGame(((1, 2), (3, 4)), agents=3), "a matrix game has 2 agents, got 3"),
        (lambda: MatrixGame(((1,),)), "payoff must be a square matrix of at least 2 actions.*"),
        (lambda: MatrixGame(((1, 2, 3), (4, 5, 6))), r"payoff must be .*, got \(\(1, 2, 3\), \(4, 5, 6\)\)"),
        (lambda: MatrixGame(((1, 2), (3, 4)), ((1, 2),)), r"other must be a square matrix .*, got \(\(1, 2\),\)"),
        (lambda: MatrixGame(((1, 2), (3,))), r"payoff must be a square matrix .*, got \(\(1, 2\), \(3,\)\)"),
        (lambda: replace(CLIMBING, other=((1, 2), (3, 4))), r"other must be a square matrix .* like payoff, got .*"),
        (lambda: MatrixGame(((1, 2), (float("nan"), 4))), r"payoff must have finite entries, got .*nan, 4.*"),
        (lambda: replace(CLIMBING, other=((float("inf"),) * 3,) * 3), "other must have finite entries, got .*"),
        (lambda: penalty(1.0), "penalty k must be at most 0, and finite, got 1.0"),
        (lambda: penalty(float("nan")), "penalty k must be at most 0, and finite, got nan"),
        (lambda: penalty(float("-inf")), "penalty k must be at most 0, and finite, got -inf"),
    ],
)
def test_games_that_cannot_be_are_refused(make: Callable[[], Environment], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


def test_the_ends_of_what_is_allowed_are_allowed() -> None:
    for mu, sigma in ((1e15, 1e15), (-1e15, 1e-15)):
        assert GaussianSqueeze(2, mu, sigma).squeeze(torch.zeros(1, dtype=torch.float64)).tolist() == [0]
    assert GaussianSqueeze(10_000_000).optimum() == GaussianSqueeze(1000).optimum()
    assert penalty(0).expected()[0, 2] == 0

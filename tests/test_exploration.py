"""Schedules at given steps, and frequencies of actions over an even grid of uniform draws, which are exact."""

from collections.abc import Callable
from math import exp, nan
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration, check_exploration, sample
from mfmarl.mean_field import boltzmann_policy

GRID = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
LARGEST = 1 - 2.0**-24  # the largest float32 that torch.rand returns


def frequencies(exploration: Exploration, values: list[float], step: int) -> Tensor:
    """Share of each action over all draws of the grid."""
    rows = torch.tensor(values, dtype=torch.float64).expand(len(GRID), -1)
    chosen = exploration.choose(rows, GRID, step)
    assert chosen.dtype == torch.int64
    return torch.bincount(chosen, minlength=len(values)).double() / len(GRID)


@pytest.mark.parametrize(
    ("step", "epsilon"), [(0, 1.0), (1, 0.9905), (50, 0.525), (99, 0.0595), (100, 0.05), (101, 0.05), (10**9, 0.05)]
)
def test_epsilon_falls_linearly_then_stays(step: int, epsilon: float) -> None:
    schedule = EpsilonGreedy(1.0, 0.05, 100)
    assert schedule.epsilon(step) == pytest.approx(epsilon, abs=1e-12)
    assert schedule.temperature(step) == 0


def test_epsilon_without_a_length_is_the_end_from_step_one_on() -> None:
    assert [EpsilonGreedy(0.1, 0.01).epsilon(step) for step in (0, 1, 2)] == pytest.approx([0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    ("step", "temperature"), [(0, 1001.0), (1, 1 + 1000 * exp(-0.006)), (500, 1 + 1000 * exp(-3)), (10**6, 1.0)]
)
def test_boltzmann_temperature_decays_to_its_end(step: int, temperature: float) -> None:
    # FMQ's schedule, exp(-s t) * max_temp + min_temp, with s = 0.006, max_temp = 1000, min_temp = 1.
    assert Boltzmann(1000.0, 0.006, 1.0).temperature(step) == pytest.approx(temperature, rel=1e-12)
    assert Boltzmann(2.5).temperature(step) == 2.5


@pytest.mark.parametrize("step", [0, 5, 10])
def test_epsilon_greedy_draws_each_action_as_often_as_it_should(step: int) -> None:
    epsilon = 0.8 - 0.06 * step
    expected = torch.full((4,), epsilon / 4, dtype=torch.float64)
    expected[2] += 1 - epsilon
    found = frequencies(EpsilonGreedy(0.8, 0.2, 10), [0.0, 1.0, 5.0, -3.0], step)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_epsilon_zero_is_greedy_and_one_is_uniform() -> None:
    assert frequencies(EpsilonGreedy(0.0, 0.0), [0.0, 2.0, 1.0], 0).tolist() == [0, 1, 0]
    uniform = frequencies(EpsilonGreedy(1.0, 1.0), [0.0, 2.0, 1.0], 0)
    torch.testing.assert_close(uniform, torch.full_like(uniform, 1 / 3), rtol=0, atol=2e-5)


@pytest.mark.parametrize("step", [0, 100, 2000])
def test_boltzmann_draws_each_action_as_often_as_its_policy_says(step: int) -> None:
    values = [0.0, 1.0, 0.5, -2.0, 1.0]
    temperature = 3 * exp(-0.01 * step) + 0.2
    weights = [exp(value / temperature) for value in values]
    expected = torch.tensor([weight / sum(weights) for weight in weights], dtype=torch.float64)
    found = frequencies(Boltzmann(3.0, 0.01, 0.2), values, step)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_a_draw_below_epsilon_explores_and_says_which_action() -> None:
    draws = torch.tensor([0.0, 0.12, 0.13, 0.26, 0.49, 0.5, 0.99])
    half = EpsilonGreedy(0.5, 0.5)
    assert half.explore(draws, 0, 4).tolist() == [0, 0, 1, 2, 3, -1, -1]
    assert half.choose(torch.tensor([0.0, 9.0, 0.0, 0.0]).expand(7, -1), draws, 0).tolist() == [0, 0, 1, 2, 3, 1, 1]
    assert EpsilonGreedy(1.0, 1.0).explore(draws, 0, 4).tolist() == [0, 0, 0, 1, 1, 2, 3]
    nobody = EpsilonGreedy(0.0, 0.0).explore(draws, 0, 4)
    assert (nobody.tolist(), nobody.dtype) == ([-1] * 7, torch.int64)


def test_sample_inverts_the_distribution_function() -> None:
    policy = torch.tensor([0.25, 0.0, 0.5, 0.25])
    draws = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, LARGEST])
    assert sample(policy.expand(6, -1), draws).tolist() == [0, 0, 2, 2, 3, 3]
    short = torch.tensor([0.25, 0.25, 0.4999]).view(1, 1, 3).expand(2, 1, 3)  # as rounding may leave it
    assert sample(short, torch.tensor([[LARGEST], [0.3]])).tolist() == [[2], [1]]


@pytest.mark.parametrize(
    "choose",
    [
        lambda values, uniform: sample(boltzmann_policy(values, 1.0), uniform),
        lambda values, uniform: EpsilonGreedy(0.3, 0.3).choose(values, uniform, 0),
        lambda values, uniform: EpsilonGreedy(1.0, 1.0).choose(values, uniform, 0),
    ],
)
@pytest.mark.parametrize("actions", [2, 3, 7, 10])
def test_actions_are_in_range_at_both_ends_of_the_draw(
    choose: Callable[[Tensor, Tensor], Tensor], actions: int
) -> None:
    uniform = torch.tensor([0.0, 2.0**-24, 0.3 - 2.0**-25, 0.3, LARGEST]).expand(8, -1)
    chosen = choose(torch.zeros(8, 5, actions), uniform)
    assert chosen.shape == (8, 5)
    assert chosen.min() == 0
    assert chosen.max() <= actions - 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonGreedy(1.1, 0.1), r"epsilon start must be in \[0, 1\], got 1.1"),
        (lambda: EpsilonGreedy(0.1, -0.5), r"epsilon end must be in \[0, 1\], got -0.5"),
        (lambda: EpsilonGreedy(0.1, float("nan")), r"epsilon end must be in \[0, 1\], got nan"),
        (lambda: EpsilonGreedy(0.1, 0.1, 0), "epsilon steps must be at least 1 and finite, got 0"),
        (lambda: EpsilonGreedy(0.1, 0.1, cast(Any, nan)), "epsilon steps must be at least 1 and finite, got nan"),
        (lambda: Boltzmann(0.0), "Boltzmann start temperature must be positive and finite, got 0.0"),
        (lambda: Boltzmann(-1.0), "Boltzmann start temperature must be positive and finite, got -1.0"),
        (lambda: Boltzmann(1.0, -0.1), "Boltzmann decay must be at least 0 and finite, got -0.1"),
        (lambda: Boltzmann(1.0, 0.1, -2.0), "Boltzmann end must be at least 0 and finite, got -2.0"),
        (lambda: EpsilonGreedy(0.1, 0.1, "2"), "steps must be a whole number, got '2'"),  # type: ignore[arg-type]
        (lambda: Boltzmann("1"), "start must be a number, got '1'"),  # type: ignore[arg-type]
    ],
)
def test_values_out_of_range_are_refused(make: Callable[[], Exploration], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize("none", [0.1, EpsilonGreedy])
def test_what_cannot_explore_is_refused(none: object) -> None:
    with pytest.raises(ValueError, match=r"^exploration must be one such as EpsilonGreedy\(1\.0, 0\.05, 2000\), got "):
        check_exploration(none)
    check_exploration(Boltzmann(1.0))
    with pytest.raises(ValueError, match=r"^exploration must be one such as .*, got Boltzmann"):
        check_exploration(Boltzmann(1.0), "explore")

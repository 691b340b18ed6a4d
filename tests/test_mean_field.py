"""Equations 10 to 12 against numbers worked by hand, loops, and limits."""

from collections.abc import Callable
from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mfmarl.mean_field import (
    action_counts,
    boltzmann_policy,
    boltzmann_value,
    frequencies,
    mean_action,
    mean_action_of_others,
    mean_field_value,
    mean_policy,
    simplex_points,
)

FLOAT64 = torch.empty(0, dtype=torch.float64)


def one_hot_mean(joint: list[int], agent: int, actions: int) -> list[float]:
    """Eq. 11 as it is printed: the one-hot actions of the neighbours added up in a loop, over their number."""
    mean = [0.0] * actions
    neighbours = [other for other in range(len(joint)) if other != agent]
    for other in neighbours:
        mean[joint[other]] += 1 / len(neighbours)
    return mean


@st.composite
def joint_actions(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Joint actions `[seeds, steps, agents]` and the number of actions."""
    seeds, steps, agents, actions = (draw(st.integers(low, high)) for low, high in ((1, 3), (1, 3), (2, 6), (1, 5)))
    numbers = st.integers(0, actions - 1)
    count = seeds * steps * agents
    flat = draw(st.lists(numbers, min_size=count, max_size=count))
    return torch.tensor(flat).view(seeds, steps, agents), actions


@given(joint_actions())
def test_mean_action_is_equation_11(case: tuple[Tensor, int]) -> None:
    joint, actions = case
    totals = action_counts(joint, actions, dtype=torch.float64)
    assert totals.shape == (*joint.shape[:-1], actions)
    means = mean_action(joint, totals.unsqueeze(-2), joint.shape[-1])
    for row, mean in zip(joint.flatten(0, 1).tolist(), means.flatten(0, 1), strict=True):
        expected = [one_hot_mean(row, agent, actions) for agent in range(len(row))]
        torch.testing.assert_close(mean, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(means.sum(-1), torch.ones_like(means[..., 0]))
    assert means.min() >= 0
    assert torch.equal(mean_action_of_others(joint, actions), means.float())


def test_mean_action_by_hand_for_some_agents_with_totals_of_their_own() -> None:
    # Agents that played 0 and 2, among four that played 0, 0, 1, 2 and among four that played 2, 2, 2, 1.
    own = torch.tensor([[0, 2]])
    total = torch.tensor([[[2.0, 1.0, 1.0], [0.0, 1.0, 3.0]]])
    expected = torch.tensor([[[1 / 3, 1 / 3, 1 / 3], [0.0, 1 / 3, 2 / 3]]])
    torch.testing.assert_close(mean_action(own, total, 4), expected)
    assert total.tolist() == [[[2.0, 1.0, 1.0], [0.0, 1.0, 3.0]]], "what was passed in must not change"


def test_mean_policy_is_the_expectation_of_equation_11() -> None:
    policies = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    policies /= policies.sum(-1, keepdim=True)
    for seed in range(2):
        expected = torch.zeros(3, 4, dtype=torch.float64)
        # Every joint action of the three agents, weighted by its probability.
        for joint in torch.cartesian_prod(*[torch.arange(4)] * 3).tolist():
            probability = torch.stack([policies[seed, agent, action] for agent, action in enumerate(joint)]).prod()
            means = [one_hot_mean(joint, agent, 4) for agent in range(3)]
            expected += probability * torch.tensor(means, dtype=torch.float64)
        torch.testing.assert_close(mean_policy(policies)[seed], expected)


@pytest.mark.parametrize(
    ("values", "temperature", "policy"),
    [
        ([0.0, log(3)], 1.0, [0.25, 0.75]),  # e^0 : e^ln 3 = 1 : 3
        ([0.0, 2 * log(3), 4 * log(3)], 2.0, [1 / 13, 3 / 13, 9 / 13]),
        ([-5.0, -4.0], 1.0, [1 / (1 + exp(1)), exp(1) / (1 + exp(1))]),
        ([1.0, 3.0, 3.0, 2.0], 0.0, [0.0, 0.5, 0.5, 0.0]),
        ([7.0, 7.0, 7.0], 0.0, [1 / 3] * 3),
        ([0.0, 1.0, 0.5], 1e-46, [0.0, 1.0, 0.0]),  # a T that float32 takes for 0
        ([1e30, -1e30, 3.0], 1e30, [exp(1) / (exp(1) + 1 + exp(-1)), exp(-1) / (exp(1) + 1 + exp(-1)), 0.24472847]),
        ([-400.0, 1.0, 400.0], 1e9, [1 / 3] * 3),
        ([3e38, -3e38, 0.0], 1e-30, [1.0, 0.0, 0.0]),
        ([1000.0, 999.0], 1e-6, [1.0, 0.0]),
    ],
)
def test_boltzmann_policy_is_equation_12(values: list[float], temperature: float, policy: list[float]) -> None:
    torch.testing.assert_close(boltzmann_policy(torch.tensor(values), temperature), torch.tensor(policy))


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=6), st.floats(0, 1e300))
def test_rows_of_a_policy_sum_to_one_and_prefer_what_is_worth_more(values: list[float], temperature: float) -> None:
    rows = torch.tensor([values, values[::-1]], dtype=torch.float64)
    policy = boltzmann_policy(rows, temperature)
    torch.testing.assert_close(policy.sum(-1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(policy[1], policy[0].flip(-1))
    assert policy.min() >= 0
    order = rows[0].argsort()
    assert (policy[0, order].diff() >= 0).all()


def test_a_policy_has_the_gradient_of_softmax() -> None:
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(boltzmann_policy(values, 0.7), (values / 0.7).softmax(-1))
    assert torch.autograd.gradcheck(lambda tensor: boltzmann_policy(tensor, 0.7), (values,))


def test_points_of_the_simplex_are_drawn_evenly() -> None:
    uniform = torch.rand(50_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = simplex_points(uniform)
    torch.testing.assert_close(points.sum(-1), torch.ones(50_000, dtype=torch.float64))
    # Of D = 3 the share of points of which an entry is above t is (1 - t)^2, that entry being Beta(1, 2).
    for t in (0.1, 0.5, 0.9):
        assert (points > t).double().mean(0).tolist() == pytest.approx([(1 - t) ** 2] * 3, abs=0.01)
    assert simplex_points(torch.tensor([0.5])).tolist() == [1]


def test_values_by_hand() -> None:
    values = torch.tensor([[0.0, log(3)], [2.0, 2.0]])
    # Eq. 10 under the policy (1/4, 3/4), at T = 1; the maximum at T = 0.
    policy = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    torch.testing.assert_close(mean_field_value(policy, values), torch.tensor([0.75 * log(3), 2.0]))
    torch.testing.assert_close(boltzmann_value(values, 1.0), torch.tensor([0.75 * log(3), 2.0]))
    torch.testing.assert_close(boltzmann_value(values, 0.0), torch.tensor([log(3), 2.0]))
    torch.testing.assert_close(boltzmann_value(values, 1e9), torch.tensor([log(3) / 2, 2.0]))


def test_the_living_are_counted_and_their_frequencies_are_zero_where_nobody_is() -> None:
    actions = torch.tensor([[[2, 0, 2, 1]], [[1, 1, 0, 0]], [[0, 2, 0, 0]]])
    alive = torch.tensor([[[True, True, True, False]], [[False] * 4], [[False, True, False, False]]])
    counts = action_counts(actions, 3, alive)
    assert counts.tolist() == [[[1.0, 0.0, 2.0]], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]
    whatever = torch.tensor([0, 7]), 1, torch.tensor([True, False])  # what the dead chose is not looked at
    assert action_counts(*whatever).tolist() == [1.0]
    torch.testing.assert_close(
        frequencies(counts), torch.tensor([[[1 / 3, 0.0, 2 / 3]], [[0.0] * 3], [[0.0, 0.0, 1.0]]])
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_action(torch.tensor([0]), torch.ones(1, 2), 1), "agents must be at least 2, .* got 1"),
        (lambda: mean_action(torch.tensor([0]), torch.ones(1, 2), float("nan")), "agents must be .* got nan"),  # type: ignore[arg-type]
        (lambda: mean_action_of_others(torch.tensor([0]), 2), "agents must be at least 2, .* got 1"),
        (lambda: mean_policy(torch.ones(3, 1, 4)), "agents must be at least 2, .* got 1"),
        (lambda: boltzmann_policy(torch.zeros(2), -0.5), "temperature must be at least 0, got -0.5"),
        (lambda: boltzmann_value(torch.zeros(2), -0.5), "temperature must be at least 0, got -0.5"),
        (lambda: boltzmann_value(torch.zeros(2), float("nan")), "temperature must be at least 0, got nan"),
    ],
)
def test_what_the_equations_do_not_define_is_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        call()

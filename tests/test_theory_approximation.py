"""TH-1, the remainder of the mean field approximation: worked by hand, by other derivatives, by enumeration."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product
from math import sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfmarl.environments import GaussianSqueeze
from mfmarl.theory import (
    hessian,
    mean_neighbour_action,
    pairwise_fit,
    remainder,
    remainder_bound,
    remainder_terms,
    secant_curvature,
    simplex_gap,
    tangential_norm,
)

torch_double = torch.float64


def one_hot(*actions: int, count: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(actions), count).double()


def quadratic(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda action: torch.einsum("...i,ij,...j->...", action, matrix, action) / 2


def smooth(action: Tensor) -> Tensor:
    weights = torch.arange(1.0, action.shape[-1] + 1, dtype=action.dtype)
    return torch.sin(3 * (action * weights).sum(-1)) + (action**3).sum(-1)


def drawn(*shape: int, count: int, seed: int = 0) -> Tensor:
    actions = torch.randint(count, shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.one_hot(actions, count).double()


def test_of_half_the_square_by_hand() -> None:
    """Q = |x|^2 / 2, three neighbours on actions 0, 0, 1: abar = (2/3, 1/3), e = 1/2 - 5/18 = 2/9."""
    neighbours = one_hot(0, 0, 1, count=2)
    values = quadratic(torch.eye(2, dtype=torch_double))
    assert mean_neighbour_action(neighbours).tolist() == pytest.approx([2 / 3, 1 / 3])
    assert remainder(values, neighbours).item() == pytest.approx(2 / 9, abs=1e-15)
    assert simplex_gap(mean_neighbour_action(neighbours)).item() == pytest.approx(4 / 9, abs=1e-15)
    # R_k = |delta_k|^2: 2/9, 2/9 and 8/9.
    assert remainder_terms(values, neighbours).tolist() == pytest.approx([2 / 9, 2 / 9, 8 / 9], abs=1e-14)
    bound = remainder_bound(torch.eye(2, dtype=torch_double), mean_neighbour_action(neighbours))
    assert bound.item() == pytest.approx(2 / 9, abs=1e-15), "attained"
    assert secant_curvature(values, neighbours).item() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_of_a_quadratic_is_half_the_trace_against_the_covariance(count: int) -> None:
    matrix = torch.randn(count, count, generator=torch.Generator().manual_seed(count), dtype=torch_double)
    matrix = matrix + matrix.T
    neighbours = drawn(50, 6, count=count)
    mean = mean_neighbour_action(neighbours)
    covariance = torch.diag_embed(mean) - mean.unsqueeze(-1) * mean.unsqueeze(-2)
    expected = torch.einsum("ij,bji->b", matrix, covariance) / 2
    error = remainder(quadratic(matrix), neighbours)
    torch.testing.assert_close(error, expected, rtol=0, atol=1e-12)
    assert (error.abs() <= remainder_bound(matrix, mean) + 1e-12).all()
    torch.testing.assert_close(hessian(quadratic(matrix), mean), matrix.expand(50, count, count))


def test_one_neighbour_or_unanimous_ones_leave_nothing() -> None:
    for neighbours in (one_hot(2, count=4), one_hot(1, 1, 1, count=4)):
        assert remainder(smooth, neighbours).item() == pytest.approx(0, abs=1e-15)
        assert secant_curvature(smooth, neighbours).item() == 0
        assert simplex_gap(mean_neighbour_action(neighbours)).item() == 0
        assert remainder_bound(torch.eye(4, dtype=torch_double), mean_neighbour_action(neighbours)).item() == 0


def test_a_linear_or_constant_q_leaves_nothing() -> None:
    neighbours = drawn(20, 5, count=3)
    weights = torch.tensor([1.0, -2.0, 5.0], dtype=torch_double)

    def linear(action: Tensor) -> Tensor:
        return (action * weights).sum(-1)

    def constant(action: Tensor) -> Tensor:
        return action.sum(-1) * 0 + 7

    for values in (linear, constant):
        assert remainder(values, neighbours).abs().max() < 1e-14
        assert remainder_terms(values, neighbours).abs().max() < 1e-14
        assert hessian(values, neighbours.mean(-2)).abs().max() == 0


def test_terms_average_to_twice_the_remainder_and_lie_within_the_papers_bound() -> None:
    neighbours = drawn(200, 4, count=5)
    terms = remainder_terms(smooth, neighbours)
    torch.testing.assert_close(terms.mean(-1), 2 * remainder(smooth, neighbours), rtol=0, atol=1e-12)
    # |sin''| <= 9 |w|^2, w = 1 .. 5, and |(x^3)''| <= 6 on the simplex.
    assert terms.abs().max() <= 2 * (9 * 55 + 6)


def test_of_convex_values_no_term_is_negative() -> None:
    neighbours = drawn(100, 6, count=4)
    assert (remainder_terms(lambda action: action.exp().sum(-1), neighbours) >= -1e-14).all()


def test_hessian_as_finite_differences() -> None:
    point = torch.tensor([0.2, 0.5, 0.3], dtype=torch_double)
    found = hessian(smooth, point)
    step = 1e-4
    for i, j in product(range(3), repeat=2):
        total = 0.0
        for s, t in product((1, -1), repeat=2):
            moved = point.clone()
            moved[i] += s * step
            moved[j] += t * step
            total += s * t * smooth(moved).item()
        assert found[i, j].item() == pytest.approx(total / (4 * step * step), abs=1e-4)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_derivatives_where_the_caller_has_turned_them_off(off: Callable[[], AbstractContextManager[None]]) -> None:
    """Q = |x|^2 / 2 of a network's weight: R_k = |delta_k|^2, and the Hessian is the unit matrix."""
    weight = torch.ones((), dtype=torch_double, requires_grad=True)

    def values(action: Tensor) -> Tensor:
        return weight * action.square().sum(-1) / 2

    with off():
        neighbours = one_hot(0, 0, 1, count=2)
        assert remainder_terms(values, neighbours).tolist() == pytest.approx([2 / 9, 2 / 9, 8 / 9], abs=1e-14)
        assert hessian(values, neighbours.mean(-2)).tolist() == [[1, 0], [0, 1]]
        assert secant_curvature(values, neighbours).item() == pytest.approx(1, abs=1e-14)


def test_tangential_norm_forgets_directions_that_leave_the_simplex() -> None:
    ones = torch.ones(3, 3, dtype=torch_double)
    assert tangential_norm(ones).item() == pytest.approx(0, abs=1e-14)
    assert tangential_norm(torch.eye(3, dtype=torch_double) + 5 * ones).item() == pytest.approx(1, abs=1e-14)
    # Of two actions (1, -1) / sqrt 2 is the only direction: (a - 2 b + c) / 2.
    assert tangential_norm(torch.tensor([[4.0, 1.0], [1.0, -8.0]])).item() == pytest.approx(3, abs=1e-6)
    assert tangential_norm(torch.eye(1)).item() == 0


@pytest.mark.parametrize("count", [2, 3, 10])
def test_bound_is_attained_and_at_most_what_even_play_gives(count: int) -> None:
    everyone = torch.eye(count, dtype=torch_double)
    bound = remainder_bound(3 * everyone, everyone.mean(0)).item()
    assert bound == pytest.approx(1.5 * (1 - 1 / count), abs=1e-14)
    assert remainder(lambda action: 1.5 * action.square().sum(-1), everyone).item() == pytest.approx(bound, abs=1e-14)


def test_gap_grows_with_the_number_of_neighbours() -> None:
    """E(1 - |abar|^2) = (1 - |p|^2)(1 - 1/n), by enumeration of n draws from p = (0.5, 0.3, 0.2)."""
    policy = np.array([0.5, 0.3, 0.2])
    for n in (1, 2, 4):
        expected = 0.0
        for actions in product(range(3), repeat=n):
            gap = simplex_gap(mean_neighbour_action(one_hot(*actions, count=3))).item()
            expected += float(np.prod(policy[list(actions)])) * gap
        assert expected == pytest.approx((1 - policy @ policy) * (1 - 1 / n), abs=1e-14)


def test_kink_has_no_hessian_but_a_secant_curvature() -> None:
    """Q = |x_0 - 1/2|, two neighbours apart: e = 1/2, 1 - |abar|^2 = 1/2, secant curvature 2; the Hessian is 0."""
    neighbours = one_hot(0, 1, count=2)

    def kink(action: Tensor) -> Tensor:
        return (action[..., 0] - 0.5).abs()

    assert remainder(kink, neighbours).item() == 0.5
    assert secant_curvature(kink, neighbours).item() == 2.0
    assert hessian(kink, torch.tensor([0.3, 0.7])).abs().max() == 0
    # Nearer to a corner of three actions the kink weighs no less.
    assert secant_curvature(kink, one_hot(0, 0, 0, 1, count=2)).item() == pytest.approx(2 * (0.5 - 0.25) / (3 / 8))


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.float32, torch.float64])
def test_one_hot_actions_of_every_type_are_the_same_actions(kind: torch.dtype) -> None:
    """Neighbours on 0, 0, 1 of two actions, Q = |x|^2 / 2: e = 2/9, as by hand above."""
    actions = one_hot(0, 0, 1, count=2).to(kind)

    def values(action: Tensor) -> Tensor:
        return action.square().sum(-1) / 2

    for neighbours in (actions, actions.numpy(), actions.tolist()):
        assert remainder(values, neighbours).item() == pytest.approx(2 / 9, abs=1e-6)
        assert remainder_terms(values, neighbours).tolist() == pytest.approx([2 / 9, 2 / 9, 8 / 9], abs=1e-6)
        assert secant_curvature(values, neighbours).item() == pytest.approx(1, abs=1e-6)


def test_only_the_symmetric_part_of_a_hessian_matters() -> None:
    """Of H = (1, 3; -1, 1) the quadratic form is (x_0 + x_1)^2, constant on the simplex."""
    skew = torch.tensor([[1.0, 3.0], [-1.0, 1.0]], dtype=torch_double)
    for whole in (skew, skew.T, skew + 2 * torch.tensor([[0.0, 1.0], [-1.0, 0.0]])):
        assert tangential_norm(whole).item() == pytest.approx(0, abs=1e-12)  # of (1, -1)/sqrt 2: (1 - 3 + 1 + 1)/2
    upper = torch.tensor([[0.0, 2.0], [0.0, 0.0]], dtype=torch_double)  # x'Hx = 2 x_0 x_1: (1, -1)/sqrt 2 gives -1
    assert tangential_norm(upper).item() == tangential_norm(upper.T).item() == pytest.approx(1, abs=1e-12)
    assert remainder_bound(upper, torch.tensor([0.5, 0.5])).item() == pytest.approx(0.25, abs=1e-7)
    neighbours = one_hot(0, 1, count=2)
    assert remainder(quadratic(upper), neighbours).abs().item() == pytest.approx(0.25, abs=1e-12), "attained"


def test_hessians_of_integers_and_of_numpy() -> None:
    assert tangential_norm(torch.tensor([[4, 1], [1, -8]])).item() == pytest.approx(3, abs=1e-6)
    assert tangential_norm(np.array([[4, 1], [1, -8]])).item() == pytest.approx(3, abs=1e-6)
    assert remainder_bound(np.eye(2), np.array([0.5, 0.5])).item() == pytest.approx(0.25, abs=1e-12)
    assert simplex_gap(torch.tensor([0, 1])).item() == 0


def test_floats_of_sixteen_bits_are_widened_and_leading_shapes_broadcast() -> None:
    for kind in (torch.float16, torch.bfloat16):
        assert tangential_norm(torch.diag(torch.tensor([1.0, -1.0], dtype=kind))).item() == pytest.approx(0, abs=1e-7)
    bound = remainder_bound(torch.eye(2).expand(4, 1, 2, 2), torch.full((3, 2), 0.5))
    assert bound.tolist() == [[0.25] * 3] * 4
    assert remainder_bound(torch.eye(2).expand(3, 2, 2), torch.full((4, 3, 2), 0.5)).shape == (4, 3)
    assert remainder_bound(torch.eye(2).expand(3, 2, 2), torch.full((1, 2), 0.5)).shape == (3,)
    assert mean_neighbour_action(np.array([[0, 1], [1, 0]])).dtype == torch.float32
    assert mean_neighbour_action(np.array([[0.0, 1.0]])).dtype == torch.float64
    assert mean_neighbour_action([[1], [1]]).tolist() == [1], "a single action"


def test_every_quadratic_of_two_actions_attains_the_bound() -> None:
    """Inside a line it has one curvature; with three actions the same matrices leave room."""
    generator = torch.Generator().manual_seed(5)
    ratios: dict[int, list[float]] = {2: [], 3: []}
    for count, found in ratios.items():
        for seed in range(20):
            matrix = torch.randn(count, count, generator=generator, dtype=torch_double)
            symmetric = matrix + matrix.T

            def quadratic(action: Tensor, of: Tensor = symmetric) -> Tensor:
                return torch.einsum("...i,ij,...j->...", action, of, action) / 2

            neighbours = drawn(1, 5, count=count, seed=seed)
            mean = mean_neighbour_action(neighbours)
            if simplex_gap(mean).item() > 0:
                error = remainder(quadratic, neighbours).abs()
                found.append((error / remainder_bound(symmetric, mean)).item())
    assert ratios[2] == pytest.approx([1] * len(ratios[2]), abs=1e-9)
    assert min(ratios[3]) < 0.9


def test_a_q_that_knows_nothing_of_its_argument_leaves_nothing() -> None:
    """No derivative is recorded of any of these: they are zero."""
    neighbours, bias = drawn(5, 4, count=3), torch.ones((), requires_grad=True)

    def zero(action: Tensor) -> Tensor:
        return torch.zeros(action.shape[:-1])

    def biased(action: Tensor) -> Tensor:
        return torch.ones(action.shape[:-1]) * bias

    for values in (zero, biased):
        assert hessian(values, neighbours.mean(-2)).tolist() == torch.zeros(5, 3, 3).tolist()
        assert remainder_terms(values, neighbours).abs().max() == 0
        assert remainder(values, neighbours).abs().max() == 0


def brute_force_fit(game: GaussianSqueeze, own_action: int) -> float:
    """Least squares on the indicators of every other agent's action, over all joint actions."""
    others = game.agents - 1
    joint = np.array(list(product(range(game.actions), repeat=others)))
    reward = game.squeeze(torch.from_numpy(joint.sum(1) + own_action).double()).numpy()
    design = np.concatenate([np.eye(game.actions)[joint[:, k]] for k in range(others)], axis=1)
    fitted = design @ np.linalg.lstsq(design, reward, rcond=None)[0]
    return 1 - float(((reward - fitted) ** 2).sum() / ((reward - reward.mean()) ** 2).sum())


@pytest.mark.parametrize("own_action", [0, 2, 3])
@pytest.mark.parametrize("agents", [2, 3, 5])
def test_pairwise_fit_as_least_squares_over_all_joint_actions(agents: int, own_action: int) -> None:
    game = GaussianSqueeze(agents, mu=4.0, sigma=2.5, actions=4)
    assert pairwise_fit(game, own_action) == pytest.approx(brute_force_fit(game, own_action), abs=1e-11)


def test_pairwise_fit_of_two_agents_is_perfect_and_of_many_far_from_it() -> None:
    assert pairwise_fit(GaussianSqueeze(2), 5) == pytest.approx(1, abs=1e-12)
    assert pairwise_fit(GaussianSqueeze(5), np.int64(4)) == pairwise_fit(GaussianSqueeze(5), 4)  # type: ignore[arg-type]
    assert pairwise_fit(GaussianSqueeze(1000), 4) < 1e-3
    # Almost linear over what can be reached: each agent's share adds up.
    assert pairwise_fit(GaussianSqueeze(20, mu=0.0, sigma=1e6), 0) == pytest.approx(1, abs=1e-6)


@pytest.mark.skipif(np.finfo(np.longdouble).minexp > -4000, reason="needs floats of a wider range than float64")
def test_pairwise_fit_of_a_thousand_agents_as_in_wider_floats() -> None:
    """One agent after the other by running sums, in floats in which nothing underflows."""
    agents, own = 1000, 4

    def even(count: int) -> NDArray[np.longdouble]:
        law = np.ones(1, np.longdouble)
        for _ in range(count):
            law = sum(np.pad(law, (a, 9 - a)) for a in range(10)) / np.longdouble(10)  # type: ignore[assignment]
        return law

    total = np.arange(9 * (agents - 1) + 1).astype(np.longdouble) + own
    reward = total * np.exp(-(((total - 400) / 200) ** 2))
    rest = even(agents - 2)
    law = sum(np.pad(rest, (a, 9 - a)) for a in range(10)) / np.longdouble(10)
    mean = (law * reward).sum()
    conditional = np.array([(rest * reward[a : a + len(rest)]).sum() for a in range(10)])
    expected = (agents - 1) * ((conditional - mean) ** 2).mean() / (law * (reward - mean) ** 2).sum()
    assert pairwise_fit(GaussianSqueeze(agents), own) == pytest.approx(float(expected), rel=1e-9)


def test_pairwise_fit_where_squares_of_rewards_underflow() -> None:
    """E G^2 is 1e-200 and less here: a game whose rewards are all 1e-300 times as large has the same fit."""
    far = pairwise_fit(GaussianSqueeze(4, mu=160.0, sigma=6.0), 1)
    # G is then so steep that the largest sum alone counts: E h_k^2 = 1/1000^2 (9/10), Var G = 1/1000 (999/1000).
    steep = 3 * (1 / 100**2) * (1 / 10) * (9 / 10) / (1 / 1000 * 999 / 1000)
    assert far == pytest.approx(steep, rel=0.05)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_neighbour_action(torch.ones(3)), "neighbours must be [..., n, D]"),
        (lambda: mean_neighbour_action(torch.zeros(0, 3)), "with n at least 1, got shape [0, 3]"),
        (lambda: remainder(smooth, torch.full((2, 2), 0.5)), "neighbours must be one-hot"),
        (lambda: remainder(smooth, torch.ones(2, 2)), "neighbours must be one-hot"),
        (lambda: remainder(smooth, [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), "neighbours must be one-hot"),
        (lambda: tangential_norm(torch.ones(2, 3)), "hessian must be [..., D, D], got shape [2, 3]"),
        (lambda: remainder(smooth, "ab"), "neighbours must be of real numbers, got <U2"),
        (lambda: remainder(smooth, None), "neighbours must be of real numbers, got object"),  # type: ignore[arg-type]
        (lambda: remainder(smooth, [[1, 0], [1]]), "neighbours must be of one shape, got rows of several lengths"),
        (lambda: remainder("f", torch.eye(2)), "values must be a function of actions, got 'f'"),  # type: ignore[arg-type]
        (lambda: remainder(lambda _: 1.0, torch.eye(2)), "[2] here, got float"),  # type: ignore[arg-type, return-value]
        (lambda: remainder_terms(lambda a: a, torch.eye(2)), "[] here, got shape [2]"),
        (lambda: hessian(smooth, "x"), "points must be of real numbers, got <U1"),
        (lambda: hessian(smooth, 1.0), "points must be [..., D] with D at least 1, got shape []"),
        (lambda: hessian(lambda a: a, torch.ones(3)), "values must give a tensor [...] for actions [..., D], [] here"),
        (
            lambda: remainder_bound(torch.eye(2).expand(4, 2, 2), torch.full((3, 2), 0.5)),
            "hessian and mean_action must have leading shapes that fit, got [4], [3]",
        ),
        *[
            (
                lambda h=one, m=other: remainder_bound(torch.eye(2).expand(*h, 2, 2), torch.full((*m, 2), 0.5)),
                "must have leading shapes that fit",
            )
            for one, other in (((5, 4), (6, 4)), ((2,), (3,)))
        ],
        (lambda: remainder(smooth, [[1, 1], [1, 0]]), "neighbours must be one-hot"),
        (lambda: hessian(smooth, torch.zeros(0)), "points must be [..., D] with D at least 1, got shape [0]"),
        (lambda: tangential_norm(torch.zeros(0, 0)), "hessian must be [..., D, D], got shape [0, 0]"),
        (lambda: simplex_gap([1.5, -0.5]), "mean_action must be a distribution"),
        (lambda: simplex_gap([[0.5, 0.5], [0.7, 0.7]]), "mean_action must be a distribution"),
        (lambda: tangential_norm(torch.tensor(2.0)), "hessian must be [..., D, D], got shape []"),
        (lambda: tangential_norm(torch.full((2, 2), torch.nan)), "hessian must be finite"),
        (lambda: tangential_norm(torch.ones(2, 2) * 1j), "hessian must be of real numbers"),
        (lambda: remainder_bound(torch.tensor(2.0), torch.tensor([1.0])), "hessian must be [..., D, D], got shape []"),
        (lambda: remainder_bound(torch.eye(2), torch.tensor(1.0)), "mean_action must be a distribution"),
        (lambda: hessian(smooth, torch.tensor([torch.nan, 1.0])), "points must be finite"),
        (lambda: pairwise_fit("a", 1), "game must be a GaussianSqueeze, got 'a'"),  # type: ignore[arg-type]
        (lambda: pairwise_fit(GaussianSqueeze(5), 1.0), "own_action must be an integer from 0 to 9, got 1.0"),  # type: ignore[arg-type]
        (lambda: simplex_gap(torch.tensor([0.7, 0.7])), "mean_action must be a distribution"),
        (lambda: remainder_bound(torch.eye(2), torch.tensor([1.0])), "must have one D, got 2, 1"),
        (lambda: pairwise_fit(GaussianSqueeze(5), 10), "own_action must be an integer from 0 to 9, got 10"),
        (lambda: pairwise_fit(GaussianSqueeze(5), True), "own_action must be an integer from 0 to 9, got True"),
        (lambda: pairwise_fit(GaussianSqueeze(5000), 0), "got 5000 agents"),
    ],
)
def test_bad_input_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        call()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_bound_holds_for_a_smooth_network_with_the_largest_hessian_on_the_way() -> None:
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(4, 8, generator=generator, dtype=torch_double)
    second = torch.randn(8, generator=generator, dtype=torch_double) / sqrt(8)

    def network(action: Tensor) -> Tensor:
        return torch.tanh(action @ first) @ second

    neighbours = drawn(30, 5, count=4, seed=1)
    mean = mean_neighbour_action(neighbours)
    along = torch.linspace(0, 1, 41, dtype=torch_double).view(-1, 1, 1, 1)
    points = torch.lerp(mean.unsqueeze(-2).expand_as(neighbours), neighbours, along)
    largest = tangential_norm(hessian(network, points)).amax((0, -1))
    error = remainder(network, neighbours)
    assert (error.abs() <= largest / 2 * simplex_gap(mean) + 1e-12).all()
    assert (remainder_terms(network, neighbours).abs().amax(-1) <= 2 * largest + 1e-12).all()

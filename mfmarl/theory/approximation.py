"""TH-1: the error of the mean field approximation (Eqs. 5 to 8 and appendix B of Yang et al. 2018).

The state and the agent's own action are fixed, so Q is a function of one action out of D, one-hot or relaxed to the
simplex. Let n be the number of neighbours, abar their mean action and `delta_k = a^k - abar`. The approximation drops
the remainder

`e = (1/n) sum_k Q(a^k) - Q(abar) = (1/2n) sum_k R_k`;

the first-order terms vanish because the deltas add up to zero. The paper shows `|R_k| <= 2 M` for an M-smooth Q. All
directions from abar to the a^k lie inside the simplex, so only the tangential Hessian `P H P`, `P = I - 1 1'/D`,
matters. Let M_t be its largest norm on the lines from abar to the a^k. Then

`|e| <= (M_t / 2) (1 - |abar|^2) <= (M_t / 2) (1 - 1/D)`.

`Q(x) = (M/2) |x|^2` attains the first bound. The bounds do not depend on n.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mfmarl.arguments import integer, real_tensor
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.theory.squeeze import squeeze_game

Values: TypeAlias = Callable[[Tensor], Tensor]
"""Q of Eq. 5 at a fixed state and own action, a function from actions `[..., D]` to values `[...]`."""

SMALLEST_PROBABILITY = 1e-290
LARGEST_LOGARITHM = 177.0  # the fourth power of its exponential is still within float64's range


def mean_neighbour_action(neighbours: Tensor | ArrayLike) -> Tensor:
    """Return the mean action abar of Eq. 6.

    Args:
        neighbours: one-hot actions of n neighbours, `[..., n, D]`: floats, integers or bools of torch or numpy.
            Integers and bools become torch's default float.

    Returns:
        Mean action `[..., D]`.

    Raises:
        ValueError: the neighbours are not one-hot, or there are none.
    """
    return _one_hot(neighbours).mean(-2)


def remainder(values: Values, neighbours: Tensor | ArrayLike) -> Tensor:
    """Return the remainder that Eq. 8 drops, `e = (1/n) sum_k Q(a^k) - Q(abar)`.

    Args:
        values: the function Q.
        neighbours: one-hot actions `[..., n, D]`, as in `mean_neighbour_action`.

    Returns:
        The remainder e, `[...]`; at least 0 for a convex Q.

    Raises:
        ValueError: as in `mean_neighbour_action`, or the values have another shape.
    """
    actions = _one_hot(neighbours)
    return _at(values, actions).mean(-1) - _at(values, actions.mean(-2))


def remainder_terms(values: Values, neighbours: Tensor | ArrayLike) -> Tensor:
    """Return the terms of Eq. 7, `R_k = 2 [Q(a^k) - Q(abar) - grad Q(abar) . delta_k]`; their mean is `2 e`.

    Arguments and errors are as in `remainder`.

    Returns:
        The terms R, `[..., n]`.
    """
    actions = _one_hot(neighbours)
    with _differentiable():
        mean = actions.mean(-2).detach().clone().requires_grad_()
        at_mean = _at(values, mean)
        slope = _gradient(at_mean, mean)
    delta = actions - mean.detach().unsqueeze(-2)
    first_order = (delta * slope.unsqueeze(-2)).sum(-1)
    return 2 * (_at(values, actions) - at_mean.unsqueeze(-1) - first_order).detach()


def hessian(values: Values, points: Tensor | ArrayLike) -> Tensor:
    """Return the second derivatives of Q, `[..., D, D]`, at `points` `[..., D]`, by automatic differentiation.

    For a ReLU network they are 0 almost everywhere although it is not linear; use `secant_curvature` instead.

    Raises:
        ValueError: the points have another shape or are not finite, or the values have another shape.
    """
    where = real_tensor("points", points)
    if where.dim() < 1 or not where.shape[-1]:
        raise ValueError(f"points must be [..., D] with D at least 1, got shape {list(where.shape)}")
    with _differentiable():
        at = where.detach().clone().requires_grad_()
        gradient = _gradient(_at(values, at), at, create_graph=True)
        return torch.stack([_gradient(component, at) for component in gradient.unbind(-1)], -2).detach()


def tangential_norm(hessian: Tensor | ArrayLike) -> Tensor:
    """Return M_t `[...]`, the spectral norm of `P H P` with `P = I - 1 1'/D`, for Hessians H `[..., D, D]`.

    Eq. 25 takes the eigenvalues of all directions, but directions that leave the simplex do not matter. Nor does the
    antisymmetric part of H, because `x' H x = x' (H + H') x / 2`; H is made symmetric first.

    Raises:
        ValueError: the Hessian has another shape or is not finite.
    """
    matrix = real_tensor("hessian", hessian)
    if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2] or not matrix.shape[-1]:
        raise ValueError(f"hessian must be [..., D, D], got shape {list(matrix.shape)}")
    size = matrix.shape[-1]
    projection = torch.eye(size, dtype=matrix.dtype, device=matrix.device) - 1 / size
    symmetric = (matrix + matrix.mT) / 2
    eigenvalues: Tensor = torch.linalg.eigvalsh(projection @ symmetric @ projection)
    return eigenvalues.abs().amax(-1)


def simplex_gap(mean_action: Tensor | ArrayLike) -> Tensor:
    """Return `1 - |abar|^2 = (1/n) sum_k |delta_k|^2`, `[...]`, for mean actions abar `[..., D]`.

    It ranges from 0 to `1 - 1/D`. For n independent neighbours with one policy p its mean is `(1 - |p|^2) (1 - 1/n)`,
    which grows with n.

    Raises:
        ValueError: the mean action is not a distribution.
    """
    mean = real_tensor("mean_action", mean_action)
    total = mean.sum(-1)
    is_one = torch.isclose(total, torch.ones_like(total), atol=1e-4).all()
    if mean.dim() < 1 or not ((mean >= -1e-6).all() and is_one):
        raise ValueError("mean_action must be a distribution in the last dimension, got one that is not")
    return (1 - mean.square().sum(-1)).clamp(min=0)


def remainder_bound(hessian: Tensor | ArrayLike, mean_action: Tensor | ArrayLike) -> Tensor:
    """Return the bound `(M_t / 2) (1 - |abar|^2)` on the size of `remainder`.

    Args:
        hessian: Hessian `[..., D, D]` of a quadratic Q; for another Q, the Hessian with the largest M_t between abar
            and the a^k.
        mean_action: mean action abar `[..., D]`; leading dimensions are broadcast.

    Returns:
        The bound `[...]`.

    Raises:
        ValueError: the shapes do not fit, the Hessian is not finite, or the mean action is not a distribution.
    """
    largest, gap = tangential_norm(hessian), simplex_gap(mean_action)
    sizes = np.shape(hessian)[-1], np.shape(mean_action)[-1]
    if sizes[0] != sizes[1]:
        raise ValueError(f"hessian and mean_action must have one D, got {sizes[0]}, {sizes[1]}")
    leading = list(largest.shape), list(gap.shape)
    if any(1 != one != other != 1 for one, other in zip(leading[0][::-1], leading[1][::-1], strict=False)):
        raise ValueError(f"hessian and mean_action must have leading shapes that fit, got {leading[0]}, {leading[1]}")
    return largest / 2 * gap


def secant_curvature(values: Values, neighbours: Tensor | ArrayLike) -> Tensor:
    """Return `2 |e| / (1 - |abar|^2)`, `[...]`: the smallest M_t for which the bound holds; 0 if all neighbours agree.

    It replaces M_t for a Q that is not M-smooth, and grows without limit as abar approaches a kink of Q. Arguments and
    errors are as in `remainder`.
    """
    gap = simplex_gap(mean_neighbour_action(neighbours))
    error = remainder(values, neighbours)
    return torch.where(gap > 0, 2 * error.abs() / gap.clamp(min=torch.finfo(gap.dtype).tiny), torch.zeros_like(gap))


def pairwise_fit(game: GaussianSqueeze, own_action: int) -> float:
    """Return the R^2 of the best pairwise fit to the reward, Eq. 5, when all others play uniformly at random.

    Eq. 5 replaces `Q^j(s, a)` by a mean of functions of pairs (a^j, a^k). With a^j fixed, the best such mean is the
    first order of the analysis of variance, `E G + sum_k (E[G | a^k] - E G)`. It explains `sum_k Var(E[G | a^k])` of
    Var G. The distributions of sums are computed by convolution, so the result is exact.

    Args:
        game: the game, whose reward depends on the sum of all actions.
        own_action: own action a^j, from 0 to D - 1.

    Returns:
        R^2 in [0, 1]; 1 if the reward does not vary.

    Raises:
        ValueError: the own action is out of range, or there are so many agents that the probabilities of sums with a
            notable reward underflow.
    """
    own = integer("own_action", own_action, 0, squeeze_game(game).actions - 1)
    others = game.agents - 1
    weight = _uniform_sum(others, game.actions)
    reward = _rewards_in_unit(game, own, weight)
    mean = float(weight @ reward)
    variance = float(weight @ (reward - mean) ** 2)
    # Given a^k, the others' sum is a^k plus the sum of n - 1 actions.
    rest = _uniform_sum(others - 1, game.actions)
    conditional = np.array([rest @ reward[action : action + len(rest)] for action in range(game.actions)])
    explained = others * float(((conditional - mean) ** 2).mean())
    return 1.0 if variance == 0 else min(explained / variance, 1.0)


def _one_hot(neighbours: Tensor | ArrayLike) -> Tensor:
    """Return neighbours `[..., n, D]` as floats. Raise ValueError unless they are one-hot."""
    actions = real_tensor("neighbours", neighbours)
    if actions.dim() < 2 or actions.shape[-2] < 1 or actions.shape[-1] < 1:
        raise ValueError(f"neighbours must be [..., n, D] with n at least 1, got shape {list(actions.shape)}")
    if not (((actions == 0) | (actions == 1)).all() and (actions.sum(-1) == 1).all()):
        raise ValueError("neighbours must be one-hot in the last dimension, got rows that are not")
    return actions


def _at(values: Values, actions: Tensor) -> Tensor:
    """Return Q `[...]` at actions `[..., D]`. Raise ValueError if `values` returns something else."""
    if not callable(values):
        raise ValueError(f"values must be a function of actions, got {values!r}")
    found: object = values(actions)
    if not isinstance(found, Tensor) or found.shape != actions.shape[:-1]:
        got = f"shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(
            f"values must give a tensor [...] for actions [..., D], {list(actions.shape[:-1])} here, got {got}"
        )
    return found


@contextmanager
def _differentiable() -> Iterator[None]:
    """Record derivatives even if the caller has turned this off; otherwise they would all be 0."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _gradient(values: Tensor, at: Tensor, *, create_graph: bool = False) -> Tensor:
    """Return the derivative of the sum of `values`; 0 if they do not depend on `at`, like the slope of a linear Q."""
    if not values.requires_grad:
        return torch.zeros_like(at)
    (slope,) = torch.autograd.grad(
        values.sum(), at, retain_graph=True, create_graph=create_graph, materialize_grads=True
    )
    return slope


def _rewards_in_unit(game: GaussianSqueeze, own_action: int, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return G at each sum of the others, scaled so that the G that contributes most to E[G^2] is 1.

    G^2 itself underflows at N = 1000, where G is 1e-179 at the mean sum of uniform play.
    """
    total = own_action + np.arange(len(weight), dtype=np.float64)
    with np.errstate(divide="ignore"):
        logarithm = np.log(total) + game.exponent(total)
        contribution = logarithm + np.log(weight) / 2
    where = int(contribution.argmax())
    if weight[where] < SMALLEST_PROBABILITY:
        raise ValueError(
            f"game must pay at sums that floats give a probability under uniform play, got {game.agents} agents"
            f" with mu {game.mu:g} and sigma {game.sigma:g}"
        )
    # Sums beyond the cap have probability 0 in float64.
    return np.asarray(np.exp(np.minimum(logarithm - contribution[where], LARGEST_LOGARITHM)))


def _uniform_sum(count: int, actions: int) -> NDArray[np.float64]:
    """Return the distribution of the sum of `count` uniform draws from 0 .. D-1, `[count (D-1) + 1]`.

    Direct convolution of positive numbers keeps their relative precision far into the tails; a plain Fourier
    transform does not.
    """
    distribution, power = np.ones(1), np.full(actions, 1 / actions)
    while count:
        if count % 2:
            distribution = np.convolve(distribution, power)
        count //= 2
        if count:
            power = np.convolve(power, power)
    return distribution

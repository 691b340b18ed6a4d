"""TH-1: what the mean field approximation leaves out (Eqs. 5 to 8 and appendix B of Yang et al. 2018).

State and own action are fixed, so that Q is a function of one action of D, one-hot or relaxed to the simplex. With n
neighbours, their mean action abar and `delta_k = a^k - abar`, what is dropped is

`e = (1/n) sum_k Q(a^k) - Q(abar) = (1/2n) sum_k R_k`,

for the deltas add up to zero and the first order with them. The paper shows `|R_k| <= 2 M` for an M-smooth Q. Only
directions inside the simplex are ever reached, so the tangential Hessian `P H P`, `P = I - 1 1'/D`, decides. With
M_t the largest of its norms on the way from abar to the a^k,

`|e| <= (M_t / 2) (1 - |abar|^2) <= (M_t / 2) (1 - 1/D)`,

which `(M/2) |x|^2` attains. There is no n in it.
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
"""Q of Eq. 5 at a fixed state and own action: actions `[..., D]` to values `[...]`."""

SMALLEST_PROBABILITY = 1e-290
LARGEST_LOGARITHM = 177.0  # its exponential to the fourth power is still a float


def mean_neighbour_action(neighbours: Tensor | ArrayLike) -> Tensor:
    """Mean action abar of Eq. 6: one-hot actions `[..., n, D]` to their mean `[..., D]`.

    Actions may be floats, integers or bools, in torch or numpy; what are no floats become torch's default float.

    Raises:
        ValueError: neighbours that are not one-hot, or none of them.
    """
    return _one_hot(neighbours).mean(-2)


def remainder(values: Values, neighbours: Tensor | ArrayLike) -> Tensor:
    """What Eq. 8 drops, `e = (1/n) sum_k Q(a^k) - Q(abar)`.

    Args:
        values: Q.
        neighbours: `[..., n, D]` one-hot, as of `mean_neighbour_action`.

    Returns:
        e `[...]`; positive for a convex Q.

    Raises:
        ValueError: as `mean_neighbour_action`, or values of another shape.
    """
    actions = _one_hot(neighbours)
    return _at(values, actions).mean(-1) - _at(values, actions.mean(-2))


def remainder_terms(values: Values, neighbours: Tensor | ArrayLike) -> Tensor:
    """`R_k = 2 [Q(a^k) - Q(abar) - grad Q(abar) . delta_k]` of Eq. 7, whose mean is `2 e`.

    Arguments and errors as of `remainder`.

    Returns:
        R `[..., n]`.
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
    """Second derivatives of Q at `points` `[..., D]`: `[..., D, D]`, by automatic differentiation.

    Of a ReLU network they are 0 almost everywhere, although it is not linear: see `secant_curvature`.

    Raises:
        ValueError: points of another shape, or not finite, or values of another shape.
    """
    where = real_tensor("points", points)
    if where.dim() < 1 or not where.shape[-1]:
        raise ValueError(f"points must be [..., D] with D at least 1, got shape {list(where.shape)}")
    with _differentiable():
        at = where.detach().clone().requires_grad_()
        gradient = _gradient(_at(values, at), at, create_graph=True)
        return torch.stack([_gradient(component, at) for component in gradient.unbind(-1)], -2).detach()


def tangential_norm(hessian: Tensor | ArrayLike) -> Tensor:
    """M_t, the spectral norm of `P H P` with `P = I - 1 1'/D` and H made symmetric: `[..., D, D]` to `[...]`.

    Eq. 25 takes all eigenvalues; those of directions that leave the simplex do not matter. Nor does the part of a
    matrix that is not symmetric: `x' H x = x' (H + H') x / 2`.

    Raises:
        ValueError: a Hessian of another shape, or that is not finite.
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
    """`1 - |abar|^2 = (1/n) sum_k |delta_k|^2`: `[..., D]` to `[...]`, from 0 to `1 - 1/D`.

    With n independent neighbours of one policy p its mean is `(1 - |p|^2) (1 - 1/n)`, which grows with n.

    Raises:
        ValueError: a mean action that is no distribution.
    """
    mean = real_tensor("mean_action", mean_action)
    total = mean.sum(-1)
    is_one = torch.isclose(total, torch.ones_like(total), atol=1e-4).all()
    if mean.dim() < 1 or not ((mean >= -1e-6).all() and is_one):
        raise ValueError("mean_action must be a distribution in the last dimension, got one that is not")
    return (1 - mean.square().sum(-1)).clamp(min=0)


def remainder_bound(hessian: Tensor | ArrayLike, mean_action: Tensor | ArrayLike) -> Tensor:
    """`(M_t / 2) (1 - |abar|^2)`, within which e of `remainder` lies.

    Args:
        hessian: `[..., D, D]`: of a quadratic Q, or any one with the largest M_t between abar and the a^k.
        mean_action: abar `[..., D]`; leading dimensions are broadcast.

    Returns:
        The bound `[...]`.

    Raises:
        ValueError: shapes that do not fit, a Hessian that is not finite, or a mean action that is no distribution.
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
    """`2 |e| / (1 - |abar|^2)`, the least M_t of which the bound holds; 0 where all neighbours agree.

    Of a Q that is not M-smooth it takes the place of M_t, and grows without limit as abar nears a kink.
    Arguments and errors as of `remainder`; returns `[...]`.
    """
    gap = simplex_gap(mean_neighbour_action(neighbours))
    error = remainder(values, neighbours)
    return torch.where(gap > 0, 2 * error.abs() / gap.clamp(min=torch.finfo(gap.dtype).tiny), torch.zeros_like(gap))


def pairwise_fit(game: GaussianSqueeze, own_action: int) -> float:
    """R^2 of the best pairwise fit to the reward, Eq. 5, while all others play uniformly at random.

    Eq. 5 replaces `Q^j(s, a)` by a mean of functions of pairs (a^j, a^k). With a^j fixed the best of those is the
    first order of the analysis of variance, `E G + sum_k (E[G | a^k] - E G)`, which explains
    `sum_k Var(E[G | a^k])` of Var G. Distributions of sums are found by convolution, so the result is exact.

    Args:
        game: whose reward depends on the sum of all actions.
        own_action: a^j, from 0 to D - 1.

    Returns:
        R^2 in [0, 1]; 1 where the reward does not vary.

    Raises:
        ValueError: an own action out of range, or so many agents that the probabilities of sums that pay underflow.
    """
    own = integer("own_action", own_action, 0, squeeze_game(game).actions - 1)
    others = game.agents - 1
    weight = _uniform_sum(others, game.actions)
    reward = _rewards_in_unit(game, own, weight)
    mean = float(weight @ reward)
    variance = float(weight @ (reward - mean) ** 2)
    # Given a^k the others' sum is a^k and the sum of n - 1 more.
    rest = _uniform_sum(others - 1, game.actions)
    conditional = np.array([rest @ reward[action : action + len(rest)] for action in range(game.actions)])
    explained = others * float(((conditional - mean) ** 2).mean())
    return 1.0 if variance == 0 else min(explained / variance, 1.0)


def _one_hot(neighbours: Tensor | ArrayLike) -> Tensor:
    """Neighbours `[..., n, D]` as floats, or a ValueError."""
    actions = real_tensor("neighbours", neighbours)
    if actions.dim() < 2 or actions.shape[-2] < 1 or actions.shape[-1] < 1:
        raise ValueError(f"neighbours must be [..., n, D] with n at least 1, got shape {list(actions.shape)}")
    if not (((actions == 0) | (actions == 1)).all() and (actions.sum(-1) == 1).all()):
        raise ValueError("neighbours must be one-hot in the last dimension, got rows that are not")
    return actions


def _at(values: Values, actions: Tensor) -> Tensor:
    """Q at actions `[..., D]`, `[...]`, or a ValueError."""
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
    """Derivatives are recorded, even where the caller has turned that off: else they would all be 0."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def _gradient(values: Tensor, at: Tensor, *, create_graph: bool = False) -> Tensor:
    """Derivative of the sum of `values`; 0 of what does not depend on `at`, such as a slope of a linear Q."""
    if not values.requires_grad:
        return torch.zeros_like(at)
    (slope,) = torch.autograd.grad(
        values.sum(), at, retain_graph=True, create_graph=create_graph, materialize_grads=True
    )
    return slope


def _rewards_in_unit(game: GaussianSqueeze, own_action: int, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """G at each sum of the others, in a unit that keeps what dominates E[G^2] at 1.

    G^2 itself underflows at N = 1000, where uniform play earns 1e-180.
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
    # Beyond the cap lie sums whose probability is 0 in floats.
    return np.asarray(np.exp(np.minimum(logarithm - contribution[where], LARGEST_LOGARITHM)))


def _uniform_sum(count: int, actions: int) -> NDArray[np.float64]:
    """Distribution of the sum of `count` uniform draws from 0 .. D-1: `[count (D-1) + 1]`.

    Direct convolution of positive numbers keeps their relative precision far into the tails, as a Fourier transform
    does not.
    """
    distribution, power = np.ones(1), np.full(actions, 1 / actions)
    while count:
        if count % 2:
            distribution = np.convolve(distribution, power)
        count //= 2
        if count:
            power = np.convolve(power, power)
    return distribution

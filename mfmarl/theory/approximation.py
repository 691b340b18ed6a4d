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

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfmarl.environments.gaussian_squeeze import GaussianSqueeze

Values: TypeAlias = Callable[[Tensor], Tensor]
"""Q of Eq. 5 at a fixed state and own action: actions `[..., D]` to values `[...]`."""

SMALLEST_PROBABILITY = 1e-290
LARGEST_LOGARITHM = 177.0  # its exponential to the fourth power is still a float


def mean_neighbour_action(neighbours: Tensor) -> Tensor:
    """Mean action abar of Eq. 6: one-hot actions `[..., n, D]` to their mean `[..., D]`.

    Raises:
        ValueError: neighbours that are not one-hot, or none of them.
    """
    if neighbours.dim() < 2 or neighbours.shape[-2] < 1 or neighbours.shape[-1] < 1:
        raise ValueError(f"neighbours must be [..., n, D] with n at least 1, got shape {list(neighbours.shape)}")
    if not (((neighbours == 0) | (neighbours == 1)).all() and (neighbours.sum(-1) == 1).all()):
        raise ValueError("neighbours must be one-hot in the last dimension, got rows that are not")
    return neighbours.mean(-2)


def remainder(values: Values, neighbours: Tensor) -> Tensor:
    """What Eq. 8 drops, `e = (1/n) sum_k Q(a^k) - Q(abar)`.

    Args:
        values: Q.
        neighbours: `[..., n, D]` one-hot, floating.

    Returns:
        e `[...]`; positive for a convex Q.

    Raises:
        ValueError: as `mean_neighbour_action`.
    """
    mean = mean_neighbour_action(neighbours)
    return values(neighbours).mean(-1) - values(mean)


def remainder_terms(values: Values, neighbours: Tensor) -> Tensor:
    """`R_k = 2 [Q(a^k) - Q(abar) - grad Q(abar) . delta_k]` of Eq. 7, whose mean is `2 e`.

    Arguments and errors as of `remainder`.

    Returns:
        R `[..., n]`.
    """
    mean = mean_neighbour_action(neighbours).detach().requires_grad_()
    at_mean = values(mean)
    (slope,) = torch.autograd.grad(at_mean.sum(), mean, materialize_grads=True)
    delta = neighbours - mean.detach().unsqueeze(-2)
    first_order = (delta * slope.unsqueeze(-2)).sum(-1)
    return 2 * (values(neighbours) - at_mean.unsqueeze(-1) - first_order).detach()


def hessian(values: Values, points: Tensor) -> Tensor:
    """Second derivatives of Q at `points` `[..., D]`: `[..., D, D]`, by automatic differentiation.

    Of a ReLU network they are 0 almost everywhere, although it is not linear: see `secant_curvature`.
    """
    at = points.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(values(at).sum(), at, create_graph=True)
    rows: list[Tensor] = []
    for component in gradient.unbind(-1):
        if not component.requires_grad:  # a linear Q
            rows.append(torch.zeros_like(at))
            continue
        rows += torch.autograd.grad(component.sum(), at, retain_graph=True, materialize_grads=True)
    return torch.stack(rows, -2).detach()


def tangential_norm(hessian: Tensor) -> Tensor:
    """M_t, the spectral norm of `P H P` with `P = I - 1 1'/D`: symmetric `[..., D, D]` to `[...]`.

    Eq. 25 takes all eigenvalues; those of directions that leave the simplex do not matter.
    """
    if hessian.dim() < 2 or hessian.shape[-1] != hessian.shape[-2]:
        raise ValueError(f"hessian must be [..., D, D], got shape {list(hessian.shape)}")
    size = hessian.shape[-1]
    projection = torch.eye(size, dtype=hessian.dtype, device=hessian.device) - 1 / size
    eigenvalues: Tensor = torch.linalg.eigvalsh(projection @ hessian @ projection)
    return eigenvalues.abs().amax(-1)


def simplex_gap(mean_action: Tensor) -> Tensor:
    """`1 - |abar|^2 = (1/n) sum_k |delta_k|^2`: `[..., D]` to `[...]`, from 0 to `1 - 1/D`.

    With n independent neighbours of one policy p its mean is `(1 - |p|^2) (1 - 1/n)`, which grows with n.
    """
    total = mean_action.sum(-1)
    if not ((mean_action >= -1e-6).all() and torch.isclose(total, torch.ones_like(total), atol=1e-4).all()):
        raise ValueError("mean_action must be a distribution in the last dimension, got one that is not")
    return (1 - mean_action.square().sum(-1)).clamp(min=0)


def remainder_bound(hessian: Tensor, mean_action: Tensor) -> Tensor:
    """`(M_t / 2) (1 - |abar|^2)`, within which e of `remainder` lies.

    Args:
        hessian: `[..., D, D]` symmetric: of a quadratic Q, or any one with the largest M_t between abar and the a^k.
        mean_action: abar `[..., D]`; leading dimensions are broadcast.

    Returns:
        The bound `[...]`.

    Raises:
        ValueError: shapes that do not fit, or a mean action that is no distribution.
    """
    if hessian.shape[-1] != mean_action.shape[-1]:
        raise ValueError(f"hessian and mean_action must have one D, got {hessian.shape[-1]}, {mean_action.shape[-1]}")
    return tangential_norm(hessian) / 2 * simplex_gap(mean_action)


def secant_curvature(values: Values, neighbours: Tensor) -> Tensor:
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
    if type(own_action) is not int or not 0 <= own_action < game.actions:
        raise ValueError(f"own_action must be an integer from 0 to {game.actions - 1}, got {own_action!r}")
    others = game.agents - 1
    weight = _uniform_sum(others, game.actions)
    reward = _rewards_in_unit(game, own_action, weight)
    mean = float(weight @ reward)
    variance = float(weight @ (reward - mean) ** 2)
    # Given a^k the others' sum is a^k and the sum of n - 1 more.
    rest = _uniform_sum(others - 1, game.actions)
    conditional = np.array([rest @ reward[action : action + len(rest)] for action in range(game.actions)])
    explained = others * float(((conditional - mean) ** 2).mean())
    return 1.0 if variance == 0 else min(explained / variance, 1.0)


def _rewards_in_unit(game: GaussianSqueeze, own_action: int, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """G at each sum of the others, in a unit that keeps what dominates E[G^2] at 1.

    G^2 itself underflows at N = 1000, where uniform play earns 1e-180.
    """
    total = own_action + np.arange(len(weight), dtype=np.float64)
    with np.errstate(divide="ignore"):
        logarithm = np.log(total) - ((total - game.mu) / game.sigma) ** 2
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

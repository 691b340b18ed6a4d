"""TH-2: the meaning and consequences of the Lipschitz constant K of Proposition 1 (appendix D of Yang et al. 2018).

The derivative of the policy of Eq. 12 in Q is `S(p) / T` with `S(p) = diag(p) - p p'`. The norms of S are at most 1/2.
So the map abar -> policy contracts for T above K/2 to K, depending on what K measures, see SUFFICIENT. The paper's K
is the Lipschitz constant of Q in the agent's *own* relaxed action at a fixed abar. But the algorithm iterates
(a^k)_k -> abar -> policy, so K must be the constant in abar. T > K/2 asks for a *high* temperature. GLIE, which lets T
go to 0, contradicts it for every K > 0.
"""

from collections.abc import Callable
from math import sqrt
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator, eigs

from mfmarl.arguments import Array, distributions, non_negative, positive, real_array

LARGEST_DENSE = 200  # maximum number of rows of a matrix for which all eigenvalues are computed
Constant = Literal["fraction", "l2 operator", "l1 per action", "l2 per action"]

#: Temperature divided by K above which the map contracts, by what K measures; all are sharp, see `sharp_values`.
#: `fraction`: two actions; change of each Q per unit of the fraction of neighbours that act up (the proof's K/2).
#: `l2 operator`: spectral norm of dQ/dabar on directions inside the simplex.
#: `l1 per action`, `l2 per action`: change of each Q(a, .) per unit of the l1 or l2 norm of abar.
SUFFICIENT: dict[Constant, float] = {
    "fraction": 1 / 2,
    "l2 operator": 1 / 2,
    "l1 per action": 1.0,
    "l2 per action": 1 / sqrt(2),
}


def softmax_jacobian(policy: ArrayLike, temperature: float) -> Array:
    """Return the derivative of the policy of Eq. 12 in Q, `(diag(p) - p p') / T`.

    Its l1, l2 and l-infinity norms are at most 1/(2T), which is attained if two actions have probability 1/2 each. At
    the uniform policy the l2 norm is 1/(DT) and the others are `2 (D - 1) / (D^2 T)`; on directions inside the simplex
    all three are 1/(DT).

    Args:
        policy: policy p, `[..., D]`.
        temperature: temperature T, positive.

    Returns:
        The derivative, `[..., D, D]`.

    Raises:
        ValueError: the policy is not a distribution, or the temperature is not positive.
    """
    temperature, p = positive("temperature", temperature), distributions("policy", policy)
    diagonal = np.eye(p.shape[-1]) * p[..., None, :]
    return np.asarray((diagonal - p[..., :, None] * p[..., None, :]) / temperature)


class LipschitzConstants(NamedTuple):
    """Possible meanings of K in Proposition 1, computed from the derivative of Q in abar; each `[...]`."""

    l2_operator: Array
    l1_per_action: Array
    l2_per_action: Array


def lipschitz_constants(jacobian: ArrayLike) -> LipschitzConstants:
    """Return the Lipschitz constants at one or more points; K is their maximum over all points.

    Only directions inside the simplex count. If g is the gradient of one action's Q, its constant is
    `(max g - min g) / 2` per unit of the l1 norm, and `|P g|` with `P = I - 1 1'/D` per unit of the l2 norm.

    Args:
        jacobian: derivative `dQ(a)/dabar(b)`, `[..., D, D]`, with D at least 1.

    Raises:
        ValueError: the derivative has another shape or is not finite.
    """
    matrix = real_array("jacobian", jacobian)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or not matrix.shape[-1]:
        raise ValueError(f"jacobian must be [..., D, D] with D at least 1, got shape {list(matrix.shape)}")
    tangential = matrix - matrix.mean(-1, keepdims=True)
    return LipschitzConstants(
        np.linalg.norm(tangential, 2, axis=(-2, -1)),
        np.asarray(np.ptp(matrix, axis=-1).max(-1) / 2),
        np.linalg.norm(tangential, axis=-1).max(-1),
    )


def sufficient_temperature(lipschitz: float, measured: Constant) -> float:
    """Return the temperature above which the map abar -> policy contracts.

    Args:
        lipschitz: Lipschitz constant K, at least 0.
        measured: what K measures, a key of SUFFICIENT.

    Raises:
        ValueError: the constant is negative, or `measured` is unknown.
    """
    if measured not in get_args(Constant):
        raise ValueError(f"measured must be one of {', '.join(get_args(Constant))}, got {measured!r}")
    return SUFFICIENT[measured] * non_negative("lipschitz", lipschitz)


def sharp_values(lipschitz: float, measured: Constant) -> Callable[[Array], Array]:
    """Return a Q of two actions that has exactly this K and loses contraction exactly at the sufficient temperature.

    It is `Q(abar) = (c, -c) (abar_0 - abar_1)`; at even play the policy follows abar with slope c / T.

    Returns:
        A function from abar `[..., 2]` to Q `[..., 2]`.
    """
    slope = sufficient_temperature(lipschitz, measured)

    def values(mean_action: Array) -> Array:
        difference = slope * (mean_action[..., 0] - mean_action[..., 1])
        return np.stack([difference, -difference], -1)

    return values


def policy_map_radius(policies: ArrayLike, jacobians: ArrayLike, temperature: float) -> float:
    """Return the spectral radius of the map from all agents' policies to their responses.

    Since `abar^j = sum_{k != j} p_k / (N - 1)`, it is the spectral radius of the matrix whose block (j, k) is
    `S(p_j) J_j / (T (N - 1))` for k != j and 0 for k = j. If it is below 1, play near these policies converges, even
    where a bound does not guarantee it.

    Args:
        policies: policies p, `[N, D]`, with N at least 2.
        jacobians: derivative J of each agent's Q at its abar, `dQ(a)/dabar(b)`, `[N, D, D]`.
        temperature: temperature T, positive.

    Raises:
        ValueError: the shapes do not fit, or an argument is out of range.
    """
    p, jacobian = real_array("policies", policies), real_array("jacobians", jacobians)
    agents, actions = p.shape if p.ndim == 2 else (0, 0)
    if agents < 2 or jacobian.shape != (agents, actions, actions):
        raise ValueError(
            f"policies and jacobians must be [N, D] and [N, D, D] with N at least 2, got {p.shape}, {jacobian.shape}"
        )
    blocks = softmax_jacobian(p, temperature) @ jacobian / (agents - 1)
    if agents * actions > LARGEST_DENSE and blocks.any():
        return _largest_eigenvalue(blocks)
    whole = np.broadcast_to(blocks[:, :, None, :], (agents, actions, agents, actions)).copy()
    whole[np.arange(agents), :, np.arange(agents), :] = 0
    return float(np.abs(np.linalg.eigvals(whole.reshape(agents * actions, -1))).max())


def _largest_eigenvalue(blocks: Array) -> float:
    """Return the spectral radius by Arnoldi's iteration, which only needs block j times the sum of others' vectors."""
    agents, actions, _ = blocks.shape

    def product(vector: Array) -> Array:
        v = vector.reshape(agents, actions)
        return np.asarray((blocks @ (v.sum(0) - v)[..., None]).ravel())

    matrix = LinearOperator((agents * actions,) * 2, matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).normal(size=agents * actions)  # any start will do: it affects only the rounding
    return float(np.abs(eigs(matrix, k=4, v0=start, return_eigenvectors=False)).max())

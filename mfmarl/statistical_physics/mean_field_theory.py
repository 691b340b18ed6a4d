"""Mean field theory of the Ising model: Eqs. 30 and 31 of Yang et al. 2018, appendix C.2, with their slips mended.

The printed equations give a probability where a mean spin is meant, under the opposite sign of the energy, and their
field carries the spin itself. From the heat bath `P(a_j = 1) = 1 / (1 + exp(-(2 h_j + lambda sum_k a_k) / tau))`
follows `m_j = tanh((h_j + (lambda / 2) sum_k m_k) / tau)`. It orders below tau = 2 lambda, which is far above the
exact critical point 1.1346 lambda. `temperature` is tau of the paper, half the physical temperature.
"""

from math import copysign, tanh

import torch
from scipy.optimize import brentq
from torch import Tensor

from mfmarl.arguments import integer
from mfmarl.environments.ising_arguments import checked_coupling, checked_finite, temperature_array

SATURATED = 40.0  # tanh(y) is 1 in float64 from y = 20 on
SMALLEST = 1e-9  # the least argument of tanh that rounding leaves distinct from 0 just below tau = 2 lambda


def mean_field_magnetisation(temperature: float, field: float = 0.0, coupling: float = 1.0) -> float:
    """The solution of `m = tanh((h + 2 lambda m) / tau)` that is largest in size and has the sign of h.

    Without a field it is the positive one of the two, or 0 from tau = 2 lambda on.

    Args:
        temperature: tau, positive.
        field: h. 0: the paper.
        coupling: lambda, positive. 1: the paper.

    Returns:
        m in [-1, 1].

    Raises:
        ValueError: a temperature or coupling that is not positive and finite, or a field that is not finite.
    """
    temperature_array(temperature)
    checked_finite("field", field)
    checked_coupling(coupling)
    strength = abs(field)

    def excess(argument: float) -> float:
        """Falls with `argument` y = (h + 2 lambda m) / tau, and is 0 where `m = tanh(y)` agrees with it."""
        return (strength + 2 * coupling * tanh(argument)) / argument - temperature

    lowest = max(strength / temperature, SMALLEST if strength == 0 else 0.0)
    if lowest > SATURATED or excess(SATURATED) >= 0:
        return copysign(1.0, field) if field else 1.0
    if not (lowest > 0 and excess(lowest) > 0):  # no order, and what the coupling adds to the field is rounded off
        return tanh(field / temperature)
    argument: float = brentq(excess, lowest, SATURATED, xtol=1e-300, rtol=1e-15, maxiter=1000)
    return copysign(tanh(argument), field) if field else tanh(argument)


def mean_field_iteration(
    field: Tensor,
    temperature: float,
    coupling: float = 1.0,
    start: Tensor | None = None,
    tolerance: float = 1e-12,
    max_iterations: int = 100_000,
) -> Tensor:
    """Eq. 31 mended, `m_j <- tanh((h_j + (lambda / 2) sum_k m_k) / tau)` on the torus, all sites at once.

    A reference for users, for fields that differ from site to site; our results use `mean_field_magnetisation`, the
    solution of one field for all.

    Args:
        field: `[..., L, L]`, h_j of each site; L at least 3.
        temperature: tau, positive.
        coupling: lambda, positive. 1: the paper.
        start: m_j to begin with, `[..., L, L]` in [-1, 1]. By default each lattice starts from all 1, or from all
            -1 where its field is negative on average: from there the iteration is monotone and ends in the solution
            with the largest, or smallest, m_j everywhere.
        tolerance: the iteration ends when no m_j changes by more than this; near tau = 2 lambda, where changes are
            slow, m_j may then be further from the solution. 1e-12: our choice.
        max_iterations: at least 1. 100 000: our choice.

    Returns:
        m_j, `[..., L, L]` float64.

    Raises:
        ValueError: an argument that is not as said here.
        RuntimeError: no convergence within `max_iterations`, as from a staggered start, which goes on flipping.
    """
    temperature_array(temperature)
    checked_coupling(coupling)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, got {tolerance}")
    integer("max_iterations", max_iterations, 1)
    if field.dim() < 2 or field.shape[-1] != field.shape[-2] or field.shape[-1] < 3 or not field.numel():
        raise ValueError(f"field must be [..., L, L] with L at least 3, got shape {list(field.shape)}")
    if not field.isfinite().all():
        raise ValueError("field must be finite, got an infinity or NaN")
    field = field.double()
    if start is None:
        means = torch.where(field.mean((-2, -1), keepdim=True) < 0, -1.0, 1.0).double().expand(field.shape)
    elif start.shape != field.shape:
        raise ValueError(f"start must have the field's shape {list(field.shape)}, got {list(start.shape)}")
    elif not (start.abs() <= 1).all():
        raise ValueError(f"start must be in [-1, 1], got a value of size {start.abs().max():g}")
    else:
        means = start.double()
    for _ in range(max_iterations):
        # The sum over the four neighbours of each site.
        neighbours = sum((means.roll(step, axis) for step in (1, -1) for axis in (-1, -2)), torch.zeros_like(means))
        following = torch.tanh((field + coupling / 2 * neighbours) / temperature)
        change = (following - means).abs().max()
        means = following
        if change <= tolerance:
            return means
    raise RuntimeError(
        f"mean field iteration did not converge within max_iterations = {max_iterations}: "
        f"the last change was {change:.3g}, tolerance {tolerance:.3g}"
    )

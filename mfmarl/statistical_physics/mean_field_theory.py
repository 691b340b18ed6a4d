"""Mean field theory of the Ising model: Eqs. 30 and 31 of Yang et al. 2018, appendix C.2, corrected.

The printed equations give a probability instead of a mean spin, have the wrong sign of the energy, and include the spin
itself in its field. The heat bath `P(a_j = 1) = 1 / (1 + exp(-(2 h_j + lambda sum_k a_k) / tau))` gives
`m_j = tanh((h_j + (lambda / 2) sum_k m_k) / tau)`. This equation has an ordered solution below tau = 2 lambda, far
above the exact critical point 1.1346 lambda. `temperature` is the paper's tau, half the physical temperature.
"""

from math import copysign, tanh

import torch
from scipy.optimize import brentq
from torch import Tensor

from mfmarl.arguments import integer
from mfmarl.environments.ising_arguments import checked_coupling, checked_finite, temperature_array

SATURATED = 40.0  # tanh(y) is 1 in float64 for y >= 20
SMALLEST = 1e-9  # smallest argument of tanh that rounding leaves distinct from 0 just below tau = 2 lambda


def mean_field_magnetisation(temperature: float, field: float = 0.0, coupling: float = 1.0) -> float:
    """Return the solution of `m = tanh((h + 2 lambda m) / tau)` that has the sign of h and the largest |m|.

    Without a field it is the positive solution, or 0 for tau >= 2 lambda.

    Args:
        temperature: temperature tau, positive.
        field: external field h. 0: the paper.
        coupling: coupling lambda, positive. 1: the paper.

    Returns:
        The mean spin m, in [-1, 1].

    Raises:
        ValueError: the temperature or coupling is not positive and finite, or the field is not finite.
    """
    temperature_array(temperature)
    checked_finite("field", field)
    checked_coupling(coupling)
    strength = abs(field)

    def excess(argument: float) -> float:
        """Return `(|h| + 2 lambda tanh(y)) / y - tau`, which falls with y and is 0 at a solution `m = tanh(y)`."""
        return (strength + 2 * coupling * tanh(argument)) / argument - temperature

    lowest = max(strength / temperature, SMALLEST if strength == 0 else 0.0)
    if lowest > SATURATED or excess(SATURATED) >= 0:
        return copysign(1.0, field) if field else 1.0
    if not (lowest > 0 and excess(lowest) > 0):  # no order, or the coupling's share of the field is below rounding
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
    """Solve the corrected Eq. 31 by iterating `m_j <- tanh((h_j + (lambda / 2) sum_k m_k) / tau)`, all sites at once.

    The sites form a torus. The function is a reference for users whose fields differ from site to site. Our results use
    `mean_field_magnetisation`, the solution for one field at all sites.

    Args:
        field: external field h_j of each site, `[..., L, L]`, with L at least 3.
        temperature: temperature tau, positive.
        coupling: coupling lambda, positive. 1: the paper.
        start: first m_j, `[..., L, L]` in [-1, 1]. By default each lattice starts from all 1, or from all -1 if its
            field is negative on average; then the iteration is monotone and converges to the solution with the largest,
            or smallest, m_j everywhere.
        tolerance: the iteration ends when no m_j changes by more than this. Near tau = 2 lambda changes are slow, so
            m_j may be further than this from the solution. 1e-12: our choice.
        max_iterations: maximum number of iterations, at least 1. 100 000: our choice.

    Returns:
        The mean spins m_j, `[..., L, L]` float64.

    Raises:
        ValueError: an argument is not as described here.
        RuntimeError: the iteration does not converge within `max_iterations`; a staggered start, for example, flips
            forever.
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

"""Exact solutions of the square-lattice Ising ferromagnet without a field, on the infinite lattice and on a torus.

Onsager, *Crystal Statistics I*, Physical Review 65, 117 (1944); Kaufman, *Crystal Statistics II*, Physical Review 76,
1232 (1949); Yang, *The Spontaneous Magnetization of a Two-Dimensional Ising Model*, Physical Review 85, 808 (1952).

`temperature` is tau of Yang et al. 2018, appendix C.2. The stationary law there is
`exp((lambda / 2) sum_bonds a_j a_k / tau)`, so tau is half the physical temperature T of the textbooks (J = lambda = 1,
k_B = 1): their `2 J / T` is `lambda / tau` here. Energies are those of Eq. 28 per site: -2 lambda in the ground state.
"""

from math import log, sqrt
from typing import TypeVar, cast

import numpy as np
from scipy.special import ellipkm1

from mfmarl.arguments import Array
from mfmarl.environments.ising_arguments import check_size, checked_coupling, temperature_array

Numbers = TypeVar("Numbers", float, Array)

CRITICAL_TEMPERATURE = 1 / log(1 + sqrt(2))
"""Critical temperature tau_c = 1.1346 at coupling 1, where `sinh(1 / tau) = 1`; the physical temperature is 2.2692."""


def critical_temperature(coupling: float = 1.0) -> float:
    """Return the critical temperature of the infinite lattice, tau_c = `coupling / ln(1 + sqrt 2)`.

    Raises:
        ValueError: the coupling is not positive and finite.
    """
    return checked_coupling(coupling) * CRITICAL_TEMPERATURE


def onsager_magnetisation(temperature: Numbers, coupling: float = 1.0) -> Numbers:
    """Return the spontaneous magnetisation per site: `(1 - sinh(lambda / tau)^-4)^(1/8)` below tau_c, else 0.

    Args:
        temperature: temperature tau, a float or an array `[...]`; positive.
        coupling: coupling lambda, positive. 1: the paper.

    Returns:
        A float or an array `[...]`, like `temperature`.

    Raises:
        ValueError: the temperature or coupling is not positive and finite.
    """
    ratio = _ratio(temperature, coupling)
    power = -np.expm1(-4 * np.log(np.sinh(ratio)))
    ordered = np.asarray(temperature) < critical_temperature(coupling)
    return _as_given(temperature, np.where(ordered, np.maximum(power, 0.0), 0.0) ** 0.125)


def onsager_energy(temperature: Numbers, coupling: float = 1.0) -> Numbers:
    """Return the energy per site of the infinite lattice, to about 1e-12 lambda.

    It is `u = -lambda coth(x) (1 + (2 / pi) k' K(k))` with `x = lambda / tau` and `k' = 2 tanh(x)^2 - 1`. K is the
    complete elliptic integral of modulus k, `k^2 = 1 - k'^2`. At tau_c, where K is infinite, u is -sqrt 2 lambda.

    Args:
        temperature: temperature tau, a float or an array `[...]`; positive.
        coupling: coupling lambda, positive. 1: the paper.

    Returns:
        A float or an array `[...]`, like `temperature`.

    Raises:
        ValueError: the temperature or coupling is not positive and finite.
    """
    ratio = _ratio(temperature, coupling)
    # scipy's ellipkm1 takes k'^2 = 1 - k^2, so no digits are lost near tau_c, where k' is 0.
    complement = 2 * np.tanh(ratio) ** 2 - 1
    integral = ellipkm1(np.maximum(complement**2, np.finfo(np.float64).tiny))
    energy = -(1 + 2 / np.pi * complement * integral) / np.tanh(ratio)
    return _as_given(temperature, coupling * _hot(ratio, energy, squares=1.0))


def kaufman_energy(size: int, temperature: Numbers, coupling: float = 1.0) -> Numbers:
    """Return the exact energy per site of the L x L torus, to about 1e-12 lambda.

    Let `x = lambda / tau`, `cosh(g_l) = cosh(x)^2 / sinh(x) - cos(pi l / L)` for l = 1 .. 2 L - 1, and
    `g_0 = x + ln(tanh(x / 2))`, which is positive below tau_c and negative above. Then

    `Z = (2 sinh x)^(L^2 / 2) (Z1 + Z2 + Z3 + Z4) / 2`,

    where Z1 and Z2 are the products of `2 cosh(L g_l / 2)` and of `2 sinh(L g_l / 2)` over odd l, and Z3 and Z4 are
    those over even l. The energy is `u = -(lambda / L^2) d ln Z / d(x / 2)`, differentiated term by term.

    Args:
        size: side L, even and at least 4.
        temperature: temperature tau, a float or an array `[...]`; positive.
        coupling: coupling lambda, positive. 1: the paper.

    Returns:
        A float or an array `[...]`, like `temperature`.

    Raises:
        ValueError: the size is not allowed, or the temperature or coupling is not positive and finite.
    """
    check_size(size, 4, even=True)
    ratio = _ratio(temperature, coupling)
    slope = _log_derivative(size, ratio.reshape(-1, 1)).reshape(ratio.shape)
    energy = -1 / np.tanh(ratio) - slope / size**2
    return _as_given(temperature, coupling * _hot(ratio, energy, squares=1.5 if size == 4 else 1.0))


def _ratio(temperature: float | Array, coupling: float) -> Array:
    """Return `x = lambda / tau` `[...]`, clipped to 1e-60 .. 30. Results do not change beyond, but would overflow."""
    temperatures = temperature_array(temperature)
    checked_coupling(coupling)
    with np.errstate(over="ignore"):
        return np.clip(coupling / temperatures, 1e-60, 30.0)


def _hot(ratio: Array, energy: Array, squares: float) -> Array:
    """Replace `energy` `[...]` by its high-temperature series where x is so small that terms of order 1 / x cancel.

    With `t = tanh(x / 2)` the series is `-2 t - 4 n t^3`, up to terms of order t^5. `squares` n is the number per site
    of closed polygons of four bonds: the unit squares and, on the 4 x 4 torus, also the straight lines around it.
    """
    t = np.tanh(ratio / 2)
    return np.where(ratio < 1e-3, -2 * t - 4 * squares * t**3, energy)


def _log_derivative(size: int, ratio: Array) -> Array:
    """Return `d ln(Z1 + Z2 + Z3 + Z4) / d(x / 2)`, `[n]`, for x `[n, 1]`."""
    sinh = np.sinh(ratio)
    angle = np.pi * np.arange(1, 2 * size) / size
    # (cosh g - 1) / 2, without the cancellation of cosh(x)^2 / sinh(x) - cos near tau_c
    half = ((sinh - 1) ** 2 / sinh + 2 * np.sin(angle / 2) ** 2) / 2
    exponent = size * np.arcsinh(np.sqrt(half))  # L g / 2
    slope = size * np.cosh(ratio) * (1 - sinh**-2) / (2 * np.sqrt(half * (1 + half)))
    odd, even = slice(0, None, 2), slice(1, None, 2)
    log_z1, slope_z1 = _product_of_cosh(exponent[:, odd], slope[:, odd])
    log_z2, slope_z2 = _product_of_sinh(exponent[:, odd], slope[:, odd])
    log_z3, slope_z3 = _product_of_cosh(exponent[:, even], slope[:, even])
    log_z4, slope_z4 = _product_of_sinh(exponent[:, even], slope[:, even])
    # l = 0: the sinh changes sign at tau_c, where Z4 has a derivative but its logarithm has none.
    signed = size * np.arcsinh((sinh - 1) / np.sqrt(2 * sinh))[:, 0]
    slope_0 = size * (1 + 1 / sinh[:, 0])
    zero = np.abs(signed)
    cosh_0, sinh_0 = 1 + np.exp(-2 * zero), np.copysign(-np.expm1(-2 * zero), signed)
    # d ln(sum of Z) is the mean of d ln Z with weights Z, all divided by the largest Z so that none overflows.
    logs = np.stack([log_z1, log_z2, log_z3 + zero, log_z4 + zero])
    weights = np.exp(logs - logs.max(0))
    parts = weights * np.stack([np.ones_like(zero), np.ones_like(zero), cosh_0, sinh_0])
    derivatives = parts * np.stack([slope_z1, slope_z2, slope_z3, slope_z4])
    derivatives += weights * slope_0 * np.stack([0 * zero, 0 * zero, sinh_0, cosh_0])
    return cast(Array, derivatives.sum(0) / parts.sum(0))


def _product_of_cosh(exponent: Array, slope: Array) -> tuple[Array, Array]:
    """Return the logarithm of the product of `2 cosh(y)` over the last dimension, and its derivative.

    Args:
        exponent: y, positive.
        slope: derivative of y.
    """
    logs = exponent + np.log1p(np.exp(-2 * exponent))
    return logs.sum(-1), (slope * np.tanh(exponent)).sum(-1)


def _product_of_sinh(exponent: Array, slope: Array) -> tuple[Array, Array]:
    """Return the same as `_product_of_cosh`, for `2 sinh(y)`."""
    logs = exponent + np.log(-np.expm1(-2 * exponent))
    return logs.sum(-1), (slope / np.tanh(exponent)).sum(-1)


def _as_given(temperature: Numbers, values: Array) -> Numbers:
    """Return `values` as a float if `temperature` is a number."""
    return cast(Numbers, values if np.ndim(temperature) else values.item())

"""Checks of the Ising model's arguments: size, temperature, coupling and field."""

from collections.abc import Iterable
from math import isfinite
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST_TEMPERATURE, LARGEST_TEMPERATURE = 1e-30, 1e30  # tau, and energies divided by tau, are in float32's range


def check_size(size: Any, smallest: int, largest: int | None = None, *, even: bool = False) -> None:
    """Raise ValueError unless the size L of a torus is an integer from `smallest` to `largest`, and even if `even`."""
    is_one = isinstance(size, Integral) and not isinstance(size, bool)
    if not is_one or size < smallest or (largest is not None and size > largest) or (even and size % 2):
        asked = f"{'an even' if even else 'an'} integer of at least {smallest}"
        asked += "" if largest is None else f" and at most {largest}"
        raise ValueError(f"size must be {asked}, got {size!r}")


def temperature_array(temperature: ArrayLike) -> NDArray[np.float64]:
    """Return temperatures `[...]` as float64. A ValueError names the first that is not positive and finite."""
    temperatures = np.asarray(temperature, dtype=np.float64)
    wrong = temperatures[~((temperatures > 0) & np.isfinite(temperatures))]
    if wrong.size:
        raise ValueError(f"temperature must be positive and finite, got {wrong.flat[0]}")
    return temperatures


def temperature_tuple(temperatures: Iterable[Any], argument: str = "temperatures") -> tuple[float, ...]:
    """Return the temperatures of a simulation as floats.

    Raises:
        ValueError: there are no temperatures, or one is not a number from 1e-30 to 1e30.
    """
    asked = f"{argument} must be numbers, at least one, from {SMALLEST_TEMPERATURE:g} to {LARGEST_TEMPERATURE:g}"
    try:
        given = tuple(temperatures)
        if any(isinstance(value, str | bytes) for value in given):
            raise TypeError("text is no number")
        values = tuple(float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{asked}, got {temperatures!r}") from error
    if not values or not all(SMALLEST_TEMPERATURE <= value <= LARGEST_TEMPERATURE for value in values):
        raise ValueError(f"{asked}, got {list(values)}")
    return values


def checked_coupling(coupling: float) -> float:
    """Return the coupling of a ferromagnet. Raise ValueError unless it is positive and finite."""
    if not (coupling > 0 and isfinite(coupling)):
        raise ValueError(f"coupling must be positive and finite, got {coupling}")
    return coupling


def checked_finite(name: str, value: float) -> float:
    """Return `value`. Raise a ValueError that calls it `name` unless it is finite."""
    if not isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return value

"""What the Ising model asks of a size, a temperature, a coupling and a field."""

from collections.abc import Iterable
from math import isfinite
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST_TEMPERATURE, LARGEST_TEMPERATURE = 1e-30, 1e30  # float32 still holds energies divided by it, and itself


def check_size(size: Any, smallest: int, largest: int | None = None, *, even: bool = False) -> None:
    """Raise ValueError unless the size L of a torus is an integer from `smallest` to `largest`, even where asked."""
    is_one = isinstance(size, Integral) and not isinstance(size, bool)
    if not is_one or size < smallest or (largest is not None and size > largest) or (even and size % 2):
        asked = f"{'an even' if even else 'an'} integer of at least {smallest}"
        asked += "" if largest is None else f" and at most {largest}"
        raise ValueError(f"size must be {asked}, got {size!r}")


def temperature_array(temperature: ArrayLike) -> NDArray[np.float64]:
    """Temperatures `[...]` as float64, or a ValueError that names the first that is not positive and finite."""
    temperatures = np.asarray(temperature, dtype=np.float64)
    wrong = temperatures[~((temperatures > 0) & np.isfinite(temperatures))]
    if wrong.size:
        raise ValueError(f"temperature must be positive and finite, got {wrong.flat[0]}")
    return temperatures


def temperature_tuple(temperatures: Iterable[Any], argument: str = "temperatures") -> tuple[float, ...]:
    """The temperatures of spins that learn or are sampled, as floats.

    Raises:
        ValueError: there is none, or one that is no number, or not from 1e-30 to 1e30.
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
    """The coupling of a ferromagnet, or a ValueError."""
    if not (coupling > 0 and isfinite(coupling)):
        raise ValueError(f"coupling must be positive and finite, got {coupling}")
    return coupling


def checked_finite(name: str, value: float) -> float:
    """`value`, or a ValueError that calls it `name`."""
    if not isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    return value

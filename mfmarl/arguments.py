"""Checks of arguments: numbers, whole numbers, arrays. Each returns the argument as one type, or raises ValueError."""

from collections.abc import Callable
from math import inf
from operator import index
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def number(
    name: str, value: Any, asked: str = "a finite real number", holds: Callable[[float], bool] = lambda _: True
) -> float:
    """One finite real number of which `holds`, or a ValueError: `name` must be `asked`."""
    array = _as_array(name, value)
    if not array.ndim and array.dtype.kind in "iuf" and np.isfinite(array) and holds(float(array)):
        return float(array)
    raise ValueError(f"{name} must be {asked}, got {f'shape {list(array.shape)}' if array.ndim else repr(value)}")


def positive(name: str, value: Any) -> float:
    """One positive and finite number, or a ValueError."""
    return number(name, value, "positive and finite", lambda x: x > 0)


def non_negative(name: str, value: Any) -> float:
    """One finite number of at least 0, or a ValueError."""
    return number(name, value, "at least 0", lambda x: x >= 0)


def probability(name: str, value: Any) -> float:
    """One number in [0, 1], or a ValueError."""
    return number(name, value, "in [0, 1]", lambda x: 0 <= x <= 1)


def rate(name: str, value: Any) -> float:
    """One number in (0, 1], as of a damping or a learning rate, or a ValueError."""
    return number(name, value, "in (0, 1]", lambda x: 0 < x <= 1)


def integer(name: str, value: Any, least: int, most: float = inf) -> int:
    """A whole number of any type but bool, or a ValueError."""
    asked = f"of at least {least}" if most == inf else f"from {least} to {most}"
    message = f"{name} must be an integer {asked}, got {value!r}"
    try:
        whole = index(value)
    except TypeError:
        raise ValueError(message) from None
    if isinstance(value, bool) or not least <= whole <= most:
        raise ValueError(message)
    return whole


def real_array(name: str, value: Any) -> Array:
    """Finite real numbers as float64, or a ValueError."""
    array = _of_real_numbers(name, value)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got an infinity or NaN")
    return array.astype(np.float64)


def real_tensor(name: str, value: Any) -> Tensor:
    """Finite real numbers as a tensor of floats, or a ValueError.

    Integers, bools and floats of fewer than 32 bits become torch's default float.
    """
    if isinstance(value, Tensor):
        tensor = value
        if tensor.is_complex():
            raise ValueError(f"{name} must be of real numbers, got {tensor.dtype}")
    else:
        array = _of_real_numbers(name, value)
        tensor = torch.from_numpy(array.astype(np.float64) if array.dtype.itemsize > 8 else array.copy())
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.get_default_dtype())
    if not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite, got an infinity or NaN")
    return tensor


def distributions(name: str, value: Any) -> Array:
    """Distributions in the last dimension as float64, or a ValueError."""
    array = real_array(name, value)
    if array.ndim < 1 or not array.size or (array < 0).any() or not np.allclose(array.sum(-1), 1):
        raise ValueError(f"{name} must be a distribution in the last dimension, got one that is not")
    return array


def _of_real_numbers(name: str, value: Any) -> NDArray[Any]:
    """An array of real numbers of any type, or a ValueError."""
    array = _as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be of real numbers, got {array.dtype}")
    return array


def _as_array(name: str, value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be of one shape, got rows of several lengths") from None

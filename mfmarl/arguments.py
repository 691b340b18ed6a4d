"""Checks of numbers and arrays. Each returns the argument converted to one type, or raises ValueError."""

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
    """Return `value` as a float. Raise ValueError ("`name` must be `asked`") unless it is finite and `holds` of it."""
    array = _as_array(name, value)
    if not array.ndim and array.dtype.kind in "iuf" and np.isfinite(array) and holds(float(array)):
        return float(array)
    raise ValueError(f"{name} must be {asked}, got {f'shape {list(array.shape)}' if array.ndim else repr(value)}")


def positive(name: str, value: Any) -> float:
    """Return `value` as a float. Raise ValueError unless it is positive and finite."""
    return number(name, value, "positive and finite", lambda x: x > 0)


def non_negative(name: str, value: Any) -> float:
    """Return `value` as a float. Raise ValueError unless it is at least 0 and finite."""
    return number(name, value, "at least 0 and finite", lambda x: x >= 0)


def probability(name: str, value: Any) -> float:
    """Return `value` as a float. Raise ValueError unless it is in [0, 1]."""
    return number(name, value, "in [0, 1]", lambda x: 0 <= x <= 1)


def rate(name: str, value: Any) -> float:
    """Return `value`, such as a damping or a learning rate, as a float. Raise ValueError unless it is in (0, 1]."""
    return number(name, value, "in (0, 1]", lambda x: 0 < x <= 1)


def discount(name: str, value: Any) -> float:
    """Return `value`, gamma, as a float. Raise ValueError unless it is in [0, 1)."""
    return number(name, value, "in [0, 1)", lambda x: 0 <= x < 1)


def integer(name: str, value: Any, least: int, most: float = inf) -> int:
    """Return `value` as an int. Raise ValueError unless it is a whole number, no bool, from `least` to `most`."""
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
    """Return `value` as an array of float64. Raise ValueError unless it consists of finite real numbers."""
    array = _of_real_numbers(name, value)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got an infinity or NaN")
    return array.astype(np.float64)


def real_tensor(name: str, value: Any) -> Tensor:
    """Return `value` as a tensor of floats. Raise ValueError unless it consists of finite real numbers.

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
    """Return `value` as an array of float64. Raise ValueError unless its last dimension holds distributions."""
    array = real_array(name, value)
    if array.ndim < 1 or not array.size or (array < 0).any() or not np.allclose(array.sum(-1), 1):
        raise ValueError(f"{name} must be a distribution in the last dimension, got one that is not")
    return array


def _of_real_numbers(name: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array. Raise ValueError unless it consists of real numbers, of any type."""
    array = _as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be of real numbers, got {array.dtype}")
    return array


def _as_array(name: str, value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} must be of one shape, got rows of several lengths") from None

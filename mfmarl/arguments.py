"""Checks of arguments: numbers and arrays, each returned in one type, and the types that constructors declare."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from math import inf
from operator import index
from types import NoneType, UnionType
from typing import Any, Literal, SupportsFloat, SupportsIndex, Union, get_args, get_origin, get_type_hints

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


def constructor_type(cls: type, name: str) -> Any:
    """The declared type of a constructor's keyword argument; Any if there is none."""
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if constructor is not None and name in inspect.signature(constructor).parameters:
            try:
                return get_type_hints(constructor).get(name, Any)
            except (NameError, AttributeError, TypeError, SyntaxError):  # imported for type checkers only, or no type
                return Any
    return Any


def check_types(cls: type, values: Mapping[str, object]) -> None:
    """Raise ValueError if an argument's type contradicts its declaration, e.g. text for a number or one for several.

    Only numbers, text, None, tuples of these, and games are told apart. Constructors check ranges and whole numbers.

    Args:
        cls: class whose constructor declares the types.
        values: arguments by name.
    """
    for name, value in values.items():
        declared = constructor_type(cls, name)
        allowed = _a_game(declared, value) if name == "environment" else _other_than(declared, value)
        if allowed:
            raise ValueError(f"{name} must be {allowed}, got {' '.join(repr(value).split())[:200]}")


def check_fields(instance: Any) -> None:
    """Raise ValueError if the type of a dataclass field contradicts its declaration, see `check_types`."""
    check_types(type(instance), {each.name: getattr(instance, each.name) for each in fields(instance) if each.init})


def _a_game(declared: Any, value: object) -> str:
    """A description of the allowed game if `value` is not one; else empty."""
    if isinstance(declared, type) and is_dataclass(declared):
        return "" if isinstance(value, declared) else f"an instance of {declared.__name__}"
    is_one = not isinstance(value, type) and hasattr(value, "agents")
    return "" if is_one else "a game such as GaussianSqueeze(agents=100)"


_NUMBER = (SupportsFloat, SupportsIndex)  # includes numbers of numpy and torch
_TAKEN: dict[Any, tuple[Any, ...]] = {int: _NUMBER, float: _NUMBER, bool: _NUMBER, str: (str,), NoneType: (NoneType,)}
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", NoneType: "None"}


def _other_than(declared: Any, value: object) -> str:
    """A description of the declared type if `value` certainly does not fit it; else empty."""
    origin, inner = get_origin(declared), get_args(declared)
    if origin in (Union, UnionType, Literal):
        kinds = dict.fromkeys(type(each) for each in inner) if origin is Literal else inner
        others = [_other_than(kind, value) for kind in kinds]
        return " or ".join(others) if all(others) else ""
    if origin is tuple:
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
        items = value if isinstance(value, tuple | list) else ()
        wrong = not several or any(_other_than(inner[0], item) for item in items)
        return f"several, each {_WORDS.get(inner[0], 'several again')}" if wrong else ""
    never = bool | type if declared is int else type
    fits = declared not in _TAKEN or (isinstance(value, _TAKEN[declared]) and not isinstance(value, never))
    return "" if fits else _WORDS[declared]

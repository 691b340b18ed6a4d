"""Conversion of values to plain data and back, for JSON and for checkpoints that load without unpickling.

Numbers, text and lists stay unchanged. A tuple, mapping, dataclass or class becomes a mapping with one of the keys
`tuple`, `mapping`, `dataclass` and `class`. A class is stored by its name, a custom one as `path/to/file.py:Class`;
the reader must supply a custom class.

Trained agents and armies are safetensors files of weights, with such plain data as JSON in the header.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mfmarl.custom import ClassNeededError, name_in_file
from mfmarl.files import atomic, told

# Our own classes that occur in arguments. Files hold only the class name, so that a module may move.
_MODULES = {
    "GaussianSqueeze": "mfmarl.environments.gaussian_squeeze",
    "Ising": "mfmarl.environments.ising",
    "MatrixGame": "mfmarl.environments.matrix_game",
    "Battle": "mfmarl.environments.battle.game",
    "EpsilonGreedy": "mfmarl.exploration",
    "Boltzmann": "mfmarl.exploration",
    "Army": "mfmarl.data.neighbourhood",
    "Graph": "mfmarl.data.neighbourhood",
    "Neighbourhood": "mfmarl.data.neighbourhood",
    "Noise": "mfmarl.data.neighbourhood",
}


def encode(value: object) -> Any:
    """Convert `value` to None, booleans, numbers, text, and lists and mappings of these.

    Raises:
        ValueError: `value` contains something that cannot be converted.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, np.bool_ | np.ndarray):
        return value.tolist()
    if isinstance(value, list | range):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"mapping": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, type):
        return {"class": class_name(value)}
    if is_dataclass(value):
        check_told_by_fields(value)
        content = {each.name: encode(getattr(value, each.name)) for each in fields(value) if each.init}
        return {"dataclass": class_name(type(value)), "fields": content}
    raise ValueError(
        f"value must be a number, text, a list, tuple or mapping, a class or a dataclass instance, got {value!r}"
    )


def check_told_by_fields(value: object) -> None:
    """Raise ValueError if the value's class extends a dataclass with an `__init__` of its own."""
    cls = type(value)
    maker = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if "__dataclass_fields__" not in vars(maker):
        raise ValueError(f"{cls.__name__} must be a dataclass itself: what its own __init__ takes is no field of it")


def decode(plain: Any, custom: Callable[[str], type]) -> Any:
    """Inverse of `encode`.

    Args:
        plain: an encoded value.
        custom: returns the custom class of a name, see `given_class`. Files named in `plain` are not run.

    Raises:
        ValueError: `plain` is not an encoded value, or `custom` raises ValueError.
    """
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    inner = partial(decode, custom=custom)
    if isinstance(plain, list):
        return [inner(item) for item in plain]
    match plain:
        case {"tuple": items}:
            return tuple(inner(item) for item in items)
        case {"mapping": pairs}:
            return {inner(key): inner(item) for key, item in pairs}
        case {"class": name}:
            return _named(name, custom)
        case {"dataclass": name, "fields": content}:
            return _named(name, custom)(**{key: inner(item) for key, item in content.items()})
    raise ValueError(f"value: got {plain!r}, which stands for nothing")


def classes_in(value: object) -> list[type]:
    """The classes in `value` that `encode` stores by name."""
    if isinstance(value, type):
        return [value]
    if isinstance(value, list | tuple):
        return [cls for item in value for cls in classes_in(item)]
    if isinstance(value, Mapping):
        return classes_in([*value.keys(), *value.values()])
    if is_dataclass(value):
        return [type(value), *classes_in([getattr(value, each.name) for each in fields(value)])]
    return []


def class_name(cls: type) -> str:
    """The name of a class in files: its own if it is one of ours, path/to/file.py:Class if it is custom.

    Raises:
        ValueError: the class is not defined at the top level of a file.
    """
    if _MODULES.get(cls.__name__) == cls.__module__:
        return cls.__name__
    try:
        name = name_in_file(cls)
    except (TypeError, OSError) as error:
        raise ValueError(f"class {cls.__qualname__} must be written in a file, got one of {cls.__module__}") from error
    if cls.__qualname__ != cls.__name__:
        raise ValueError(f"class {cls.__qualname__} must be at the top of its file, not inside another")
    return name


def _named(name: str, custom: Callable[[str], type]) -> type:
    if name not in _MODULES:
        return custom(name)
    found: type = getattr(import_module(_MODULES[name]), name)
    return found


def write_weights(path: str | Path, what: str, about: Mapping[str, object], weights: Mapping[str, Tensor]) -> None:
    """Atomically write a safetensors file.

    Args:
        path: the file to write.
        what: kind of content: policy or agent.
        about: description of the content, any JSON object.
        weights: tensors by name.
    """
    apart = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    with atomic(Path(path)) as temporary:
        save_file(apart, temporary, metadata={what: json.dumps(about)})


def read_weights(
    path: str | Path, what: str, device: torch.device | str = "cpu"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file written by `write_weights`, without unpickling or running anything.

    Args:
        path: the file to read.
        what: required kind of content: policy or agent.
        device: device to which the caller will move the weights; only its existence is checked here.

    Returns:
        The description and the weights, which are on the CPU.

    Raises:
        ValueError: the file is missing, damaged or of another kind, or the device does not exist.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{what}: its path must be text or a Path, got {path!r}")
    if not os.path.isfile(path):
        raise ValueError(f"{what}: there is no file {path}")
    check_device(device)
    with understood(path, what), safe_open(path, "pt", device="cpu") as file:
        held = file.metadata() or {}
        if what not in held:
            raise ValueError(f"it holds {' and '.join(held) or 'nothing'} in place of {what}")
        about = json.loads(held[what])
        if not isinstance(about, dict):
            raise ValueError(f"its header must be an object, got {type(about).__name__}")
        return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict


def check_device(device: torch.device | str) -> None:
    """Raise ValueError unless the device is available."""
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ImportError) as error:
        reason = "there is no CUDA here" if str(device).startswith("cuda") else str(error).splitlines()[0]
        raise ValueError(f"device: got {device}, but {reason}") from error


def check_finite(module: nn.Module) -> None:
    """Raise ValueError if a parameter or table, e.g. one read from a file, is NaN or infinite."""
    if (name := not_finite(module)) is not None:
        raise ValueError(f"{name} is NaN or infinite")


def not_finite(module: nn.Module) -> str | None:
    """The name of a parameter or table that contains NaN or infinity; None if there is none.

    Minus infinity is allowed in a table, as the maximum of rewards where nothing was tried yet.
    """
    for name, parameter in module.named_parameters():
        if not parameter.detach().isfinite().all():
            return name
    for name, table in module.named_buffers():
        if not (table.isfinite() | table.isneginf()).all():
            return name
    return None


@contextmanager
def understood(path: str | Path, what: str) -> Iterator[None]:
    """Turn any error while a file is interpreted into a ValueError of one line."""
    try:
        yield
    except ClassNeededError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{what}: {path} is no {what}: {told(error)}") from error

"""Values as plain data, which JSON and a checkpoint that is loaded without unpickling can hold, and back.

Numbers, text and lists stay what they are. A tuple, a mapping, a dataclass and a class become a mapping with one of
the keys `tuple`, `mapping`, `dataclass` and `class`. A class is told by its name, and a custom one by
`path/to/file.py:Class`; to find that one again its file is run.
"""

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from mfmarl.custom import class_in_file, is_in_file, name_in_file

# Our own classes that arguments are made of. Files hold the name alone, so that a module may move.
_MODULES = {
    "GaussianSqueeze": "mfmarl.environments.gaussian_squeeze",
    "Ising": "mfmarl.environments.ising",
    "MatrixGame": "mfmarl.environments.matrix_game",
    "Battle": "mfmarl.environments.battle.game",
    "EpsilonGreedy": "mfmarl.exploration",
    "Boltzmann": "mfmarl.exploration",
}


def encode(value: object) -> Any:
    """`value` as None, booleans, numbers, text, and lists and mappings of them.

    Raises:
        ValueError: it holds something else.
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
        content = {each.name: encode(getattr(value, each.name)) for each in fields(value) if each.init}
        return {"dataclass": class_name(type(value)), "fields": content}
    raise ValueError(
        f"value must be a number, text, a list, tuple or mapping, a class or a dataclass instance, got {value!r}"
    )


def decode(plain: Any) -> Any:
    """What `encode` made `plain` of.

    Raises:
        ValueError: it is of nothing, or names a class that is not there.
    """
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    if isinstance(plain, list):
        return [decode(item) for item in plain]
    match plain:
        case {"tuple": items}:
            return tuple(decode(item) for item in items)
        case {"mapping": pairs}:
            return {decode(key): decode(item) for key, item in pairs}
        case {"class": name}:
            return named_class(name)
        case {"dataclass": name, "fields": content}:
            return named_class(name)(**{key: decode(item) for key, item in content.items()})
    raise ValueError(f"value: got {plain!r}, which stands for nothing")


def class_name(cls: type) -> str:
    """What a file calls a class: its name if it is in the table, path/to/file.py:Class if it is custom.

    Raises:
        ValueError: a class that no file holds at its top.
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


def named_class(name: str) -> type:
    """The class of a name that `class_name` gave.

    Raises:
        ValueError: there is none.
    """
    if name in _MODULES:
        found: type = getattr(import_module(_MODULES[name]), name)
        return found
    if not is_in_file(name):
        raise ValueError(f"class must be one of {', '.join(_MODULES)} or path/to/file.py:Class, got {name!r}")
    return custom_class("class", name, object)


def custom_class(what: str, name: str, base: type) -> type:
    """As `class_in_file`; a file that runs or was imported is not run again, so that its class stays one.

    Raises:
        ValueError: there is no such class.
    """
    path, _, own = name.rpartition(":")
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        found = getattr(module, own, None) if file and Path(file).name == Path(path).name else None
        if isinstance(found, type) and issubclass(found, base) and Path(str(file)).resolve() == Path(path).resolve():
            return found
    return class_in_file(what, name, base)

"""Custom classes, named path/to/file.py:Class."""

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TypeVar

Base = TypeVar("Base")

FILE_MODULE = "mfmarl_custom_"  #: how the modules of such files are called; no import finds them.


def is_in_file(name: str) -> bool:
    """Whether a name is that of a class in a file."""
    path, colon, _ = name.rpartition(":")
    return bool(colon) and path.endswith(".py")


def class_in_file(what: str, name: str, base: type[Base]) -> type[Base]:
    """The class that `path/to/file.py:Class` names; the file is run.

    Args:
        what: is looked for, for errors.
        name: of the class.
        base: of the class.

    Raises:
        ValueError: a file that is not there or does not load, or no such class in it.
    """
    path, _, class_name = name.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"{what} {name!r}: there is no file {path}")
    module_name = f"{FILE_MODULE}{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{what} {name!r}: {path} does not load: {reason}") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        allowed = f"{base.__module__}.{base.__qualname__}"
        raise ValueError(f"{what} {name!r}: {class_name} must be a subclass of {allowed} in {path}")
    return found


def constructor_keywords(cls: type) -> dict[str, bool]:
    """The keyword arguments of a constructor of games or agents, and of those that it hands its `**` on to.

    Args:
        cls: its constructor takes a game and seeds first.

    Returns:
        By name, whether it must be given. What the class names in `refuses` is left out.
    """
    named: dict[str, bool] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        _, *parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        place = 0
        for one in parameters:
            place += one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
            if one.kind is one.KEYWORD_ONLY or (one.kind is one.POSITIONAL_OR_KEYWORD and place > 2):
                named.setdefault(one.name, one.default is one.empty)
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return {name: needed for name, needed in named.items() if name not in getattr(cls, "refuses", ())}


def name_in_file(cls: type) -> str:
    """The name of a class by its file, from which `class_in_file` finds it."""
    return f"{inspect.getfile(cls)}:{cls.__name__}"

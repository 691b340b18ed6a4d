"""Custom classes, named path/to/file.py:Class."""

import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TypeVar

Base = TypeVar("Base")


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
    module_name = f"mfmarl_custom_{Path(path).stem}"
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


def name_in_file(cls: type) -> str:
    """The name of a class by its file, from which `class_in_file` finds it."""
    return f"{inspect.getfile(cls)}:{cls.__name__}"

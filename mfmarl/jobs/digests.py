"""Digests of the code of custom classes, by which a job tells edited code from the code that it has run.

A class is identified by its bases, attributes and functions, and by the file that defines it with the modules that the
file imports from beside it; a class of a notebook or of the prompt has no file. A function is its bytecode and the
values that it was given: defaults, closure and globals. Installed packages are only named.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cached_property, partial
from pathlib import Path
from types import BuiltinFunctionType, CodeType, EllipsisType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from mfmarl.custom import KNOWN, name_without_place, sources

# Values that their text identifies.
_TOLD_BY_TEXT = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    Path,
    EllipsisType,
    type(None),
    np.generic,
    np.dtype,
    torch.dtype,
    torch.device,
)
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_DEEPEST = 100  # of values in values; what lies deeper is not looked at


def sources_of(classes: Iterable[type]) -> dict[str, str]:
    """Digests by name of the code of classes and their base classes, except those of the packages in KNOWN."""
    found: dict[str, str] = {}
    for base in dict.fromkeys(base for cls in classes for base in cls.__mro__):
        if base.__module__.partition(".")[0] in KNOWN:
            continue
        try:
            file = Path(inspect.getfile(base))
            beside = sources(file)
        except (TypeError, OSError):
            beside, own = {}, ""
        else:
            own = beside.pop(file.name)
        name = name_without_place(base)
        found |= {name: _digest([found.get(name), own, Identification().of_class(base)]), **beside}
    return dict(sorted(found.items()))


class Identification:
    """Identifies values by plain data whose text is the same in every process.

    Args:
        seen: ids of what is being identified, since functions, classes and containers may refer to each other.
    """

    def __init__(self, seen: Iterable[int] = ()) -> None:
        self.seen = set(seen)
        self.depth = 0

    def of(self, value: object) -> object:
        """The identification of a value; of one of which nothing else is known, its type."""
        if isinstance(value, _TOLD_BY_TEXT):
            return [type(value).__qualname__, repr(value)]
        if id(value) in self.seen or self.depth > _DEEPEST:
            return getattr(value, "__qualname__", type(value).__qualname__)
        self.seen.add(id(value))
        self.depth += 1
        found = self.inside(value)
        self.depth -= 1
        return found

    def inside(self, value: Any) -> object:
        """The identification of a value that may contain others."""
        if isinstance(value, FunctionType):
            return self.of_function(value)
        if isinstance(value, type):
            return value.__qualname__ if is_installed(value.__module__) else self.of_class(value)
        if isinstance(value, CodeType):
            return self.of_code(value)
        if isinstance(value, tuple | list):
            return [self.of(each) for each in value]
        if isinstance(value, set | frozenset):
            return sorted(repr(Identification(self.seen).of(each)) for each in value)
        if isinstance(value, Mapping):
            return [(self.of(key), self.of(each)) for key, each in value.items()]
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            return [str(value.dtype), value.shape, _digest(value.tobytes())]
        if isinstance(value, torch.Tensor):
            return of_tensor(value)
        if isinstance(value, ModuleType):
            return value.__name__
        if isinstance(value, BuiltinFunctionType):
            return [value.__module__, value.__qualname__]
        if isinstance(value, Enum):
            return [type(value).__qualname__, value.name, self.of(value.value)]
        if isinstance(value, property):
            return [self.of(each) for each in (value.fget, value.fset)]
        if isinstance(value, classmethod | staticmethod):
            return self.of(value.__func__)
        if isinstance(value, MethodType):
            return [self.of(value.__func__), self.of(value.__self__)]
        if isinstance(value, cached_property):
            return self.of(value.func)
        if isinstance(value, partial):
            return [self.of(each) for each in (value.func, value.args, value.keywords)]
        if "__wrapped__" in getattr(value, "__dict__", {}):
            return self.of(value.__wrapped__)
        if is_dataclass(value):
            own = [(each.name, self.of(getattr(value, each.name, None))) for each in fields(value)]
            return [self.of(type(value)), own]
        return type(value).__qualname__

    def of_class(self, cls: type) -> object:
        """The identification of a class: its bases, and its attributes other than those that Python adds."""
        self.seen.add(id(cls))
        own = {name: each for name, each in vars(cls).items() if not name.startswith("__") or callable(each)}
        bases = [self.of(base) for base in cls.__bases__]
        return [cls.__qualname__, bases, [(name, self.of(each)) for name, each in sorted(own.items())]]

    def of_function(self, function: FunctionType) -> object:
        """The identification of a function: its code, defaults, closure, and the globals that it names.

        One of an installed package may be a decorator around other code, which is then in its closure.
        """
        around = [self.of(each) for each in closure(function)]
        known = function.__globals__
        if is_installed(str(known.get("__name__", ""))):
            return [function.__module__, function.__qualname__, around]
        names = sorted(names_of_globals(function.__code__) & set(known))
        given = [self.of(each) for each in (function.__defaults__, function.__kwdefaults__)]
        return [self.of_code(function.__code__), given, around, [(name, self.of(known[name])) for name in names]]

    def of_code(self, code: CodeType) -> object:
        """The identification of what code does and how it is called."""
        called = code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_varnames
        caught = getattr(code, "co_exceptiontable", b"")  # Python 3.11 or newer
        return [code.co_code.hex(), caught.hex(), called, code.co_names, [self.of(each) for each in code.co_consts]]


def of_tensor(tensor: torch.Tensor) -> object:
    """The identification of a tensor; of one that cannot be read, e.g. a quantized one, its type alone."""
    try:
        content = tensor.detach().cpu().to_dense().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
    except (RuntimeError, NotImplementedError):
        return [str(tensor.dtype), str(tensor.layout), tuple(tensor.shape)]
    return [str(tensor.dtype), str(tensor.layout), tuple(tensor.shape), _digest(content)]


def is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to an installed package, whose code no one edits between two calls."""
    if module.partition(".")[0] in KNOWN:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and file.startswith(_INSTALLED)


def names_of_globals(code: CodeType) -> set[str]:
    """The names that code, and the functions inside it, look up outside of themselves."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(names_of_globals(each) for each in code.co_consts if isinstance(each, CodeType)))


def closure(function: FunctionType) -> Iterator[Any]:
    """The values that a function has from the functions around it, as far as they are bound."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet, e.g. the class itself
            continue


def _digest(content: object) -> str:
    """SHA-256 of bytes, or of the text of anything else."""
    return hashlib.sha256(content if isinstance(content, bytes) else repr(content).encode()).hexdigest()

"""Digests of the code of custom classes, by which a job tells edited code from the code that it has run.

A class is identified by its attributes and functions, and by the file that defines it with the modules that the file
imports from beside it; a class of a notebook or of the prompt has no file. A function is its bytecode and the values
that it was given: defaults, closure and globals.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

from mfmarl.custom import KNOWN, name_without_place, sources
from mfmarl.jobs.job import canonical


def sources_of(classes: Iterable[type]) -> dict[str, str]:
    """Digests by name of the code of classes and their base classes, except those of the packages in KNOWN."""
    found: dict[str, str] = {}
    for base in sorted({base for cls in classes for base in cls.__mro__ if not is_known(base.__module__)}, key=str):
        try:
            file = Path(inspect.getfile(base))
            beside = sources(file)
        except (TypeError, OSError):
            beside, own = {}, ""
        else:
            own = beside.pop(file.name)
        found |= {name_without_place(base): digest([own, Identification().of(base)]), **beside}
    return found


def digest(content: object) -> str:
    """SHA-256 of the text of `content`."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def is_known(module: str) -> bool:
    """Whether a module belongs to a package in KNOWN, whose code no one edits between two calls."""
    return module.partition(".")[0] in KNOWN


class Identification:
    """Identifies classes, functions and plain values by text that is the same in every process."""

    def __init__(self) -> None:
        self.seen: set[int] = set()  # functions and classes may refer to each other

    def of(self, value: object) -> object:
        """The identification of a class, function or value; of an object that is none of these, its type."""
        if isinstance(value, FunctionType | type):
            if id(value) in self.seen or (isinstance(value, type) and is_known(value.__module__)):
                return value.__qualname__
            self.seen.add(id(value))
            return self.of_function(value) if isinstance(value, FunctionType) else self.of_class(value)
        if isinstance(value, CodeType):
            return [value.co_code, value.co_names, [self.of(each) for each in value.co_consts]]
        if isinstance(value, frozenset | set):
            return sorted(repr(self.of(each)) for each in value)
        if isinstance(value, bytes | complex):
            return repr(value)
        if isinstance(value, property):
            return [self.of(each) for each in (value.fget, value.fset)]
        if isinstance(value, classmethod | staticmethod | MethodType):
            return self.of(value.__func__)
        if isinstance(value, partial):
            return [self.of(each) for each in (value.func, value.args, value.keywords)]
        if "__wrapped__" in getattr(value, "__dict__", {}):
            return self.of(value.__wrapped__)  # type: ignore[attr-defined]
        try:
            return canonical(value)
        except ValueError:
            return type(value).__qualname__

    def of_class(self, cls: type) -> object:
        """The identification of a class's own attributes, other than those that Python adds."""
        its = {name: each for name, each in vars(cls).items() if not name.startswith("__") or callable(each)}
        return [cls.__qualname__, [(name, self.of(each)) for name, each in sorted(its.items())]]

    def of_function(self, function: FunctionType) -> object:
        """The identification of a function: its code, defaults, closure, and the globals that it names.

        One of a package in KNOWN may be a decorator around other code, which is then in its closure.
        """
        around = [self.of(each) for each in closure(function)]
        code, known = function.__code__, function.__globals__
        if is_known(str(known.get("__name__", ""))):
            return [function.__qualname__, around]
        names = sorted({name for each in nested(code) for name in each.co_names} & set(known))
        values = [(name, self.of(known[name])) for name in names]
        return [self.of(code), self.of(function.__defaults__), self.of(function.__kwdefaults__), around, values]


def nested(code: CodeType) -> Iterator[CodeType]:
    """Code, and the code of the functions inside it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from nested(each)


def closure(function: FunctionType) -> Iterator[Any]:
    """The values that a function has from the functions around it, as far as they are bound."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet, e.g. the class itself
            continue

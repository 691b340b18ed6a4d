"""Custom classes, named path/to/file.py:Class, the modules beside such a file, and what constructors take."""

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, Literal, SupportsFloat, SupportsIndex, TypeVar, Union, get_args, get_origin, get_type_hints

Base = TypeVar("Base")

FILE_MODULE = "mfmarl_custom_"  #: begins the names of the modules of such files; no import finds them.
LOADED_FROM = "__mfmarl_sources__"  #: the attribute of such a module that tells the `sources` it was made from.
# Packages whose code counts in a job by its version, or not at all.
KNOWN = {"mfmarl", "torch", "pytorch_lightning", "lightning_fabric", "numpy", *sys.stdlib_module_names} - {"__main__"}


def is_in_file(name: str) -> bool:
    """Whether a name is that of a class in a file."""
    path, colon, _ = name.rpartition(":")
    return bool(colon) and path.endswith(".py")


def class_in_file(what: str, name: str, base: type[Base]) -> type[Base]:
    """The class that `path/to/file.py:Class` names; the file is run, and may import modules that lie beside it.

    A file that has not changed since, nor any module beside it that it imports, is not run again.

    Args:
        what: is looked for, for errors.
        name: of the class.
        base: of the class.

    Raises:
        ValueError: a file that is not there or does not load, no such class in it, or a module beside it that another
            module of this process has the name of.
    """
    path, _, class_name = name.rpartition(":")
    if not os.path.isfile(path):
        raise ValueError(f"{what} {name!r}: there is no file {path}")
    make_importable(what, name, Path(path))
    try:
        module = module_of_file(path)
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and type(error) is not SystemExit:
            raise  # a signal arrived, see `jobs.signals`
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{what} {name!r}: {path} does not load: {reason}") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        allowed = f"{base.__module__}.{base.__qualname__}"
        raise ValueError(f"{what} {name!r}: {class_name} must be a subclass of {allowed} in {path}")
    return found


def module_of_file(path: str) -> ModuleType:
    """The module that a file makes; the file is run, unless it was and nothing that it rests on has changed."""
    contents = sources(Path(path))
    place = hashlib.sha256(os.fsencode(Path(path).resolve())).hexdigest()[:8]
    name = f"{FILE_MODULE}{place}_{Path(path).stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, LOADED_FROM, None) == contents:
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with staying_here():
        spec.loader.exec_module(module)
    setattr(module, LOADED_FROM, contents)
    return module


def name_without_place(cls: type) -> str:
    """Module and name of a class; of one in a file the same wherever the file lies."""
    module = cls.__module__
    if module.startswith(FILE_MODULE):
        module = FILE_MODULE + module.removeprefix(FILE_MODULE).partition("_")[2]
    return f"{module}.{cls.__qualname__}"


@contextmanager
def staying_here() -> Iterator[None]:
    """Come back to the working directory of now at the end, wherever the block has gone.

    It is held by itself, not by its name: it may have been removed, or lie where nobody may look.
    """
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def is_ours(thing: Any) -> bool:
    """Whether a class or function is of this package."""
    return str(thing.__module__).startswith("mfmarl.")


def make_importable(what: str, name: str, path: Path) -> None:
    """Let the file that `name` names import the modules beside it.

    Raises:
        ValueError: an import of one of them would find another module.
    """
    beside = helpers(path)
    folders = {str(folder) for folder in roots(path)} if beside else set()
    sys.path += sorted(folders - set(sys.path))
    for module, file in beside.items():
        spec = importlib.util.find_spec(module) if "." not in module else None
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve() != file:
            raise ValueError(f"{what} {name!r}: it imports {file}, but {spec.origin} has that name too; rename one")


def helpers(path: Path) -> dict[str, Path]:
    """The modules beside a file that it imports, anywhere in it, and those that they import: name to file.

    Of a package that it imports, all. A file that does not parse has none; who loads it is told so.
    """
    found: dict[str, Path] = {}
    waiting = [path.resolve()]
    while waiting:
        file = waiting.pop()
        for module, its in imported(file):
            if module not in found and its != path.resolve():
                found[module] = its
                waiting.append(its)
    return dict(sorted(found.items()))


def imported(path: Path) -> Iterator[tuple[str, Path]]:
    """The modules that a file imports from beside it."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except SyntaxError:
        return
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    # `from . import a` and `from .a import b` are of a package, whose folder the file lies in.
    relative = any(isinstance(node, ast.ImportFrom) and node.level for node in nodes)
    tops = {name.partition(".")[0] for name in names} - KNOWN
    for root in roots(path):
        for top in tops:
            if (root / f"{top}.py").is_file():
                yield top, root / f"{top}.py"
            elif (root / top / "__init__.py").is_file():
                yield from package(root / top)
    if relative and (path.parent / "__init__.py").is_file():
        yield from package(top_package(path.parent))


def package(folder: Path) -> Iterator[tuple[str, Path]]:
    """The modules of a package."""
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), file


def roots(path: Path) -> list[Path]:
    """Where the imports of a file are looked for: its folder and, of a file in a package, that of the package."""
    folder = path.resolve().parent
    return [folder, top_package(folder).parent] if (folder / "__init__.py").is_file() else [folder]


def top_package(folder: Path) -> Path:
    """The outermost package that a package lies in."""
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder


def sources(path: Path) -> dict[str, str]:
    """SHA-256 of a file and of the modules beside it that it imports, by name."""
    files = {path.name: path, **helpers(path)}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


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


def constructor_type(cls: type, name: str) -> Any:
    """The type of a keyword argument as the constructor that names it declares it; Any if it declares none."""
    for base in cls.__mro__:
        constructor = vars(base).get("__init__")
        if constructor is not None and name in inspect.signature(constructor).parameters:
            try:
                return get_type_hints(constructor).get(name, Any)
            except (NameError, AttributeError, TypeError, SyntaxError):  # imported for type checkers alone, or no type
                return Any
    return Any


def check_types(cls: type, values: Mapping[str, object]) -> None:
    """Raise ValueError for a value of another type than its constructor declares: text for a number, one for several.

    Told apart are numbers, text, None and tuples of them, and games. Ranges, and which numbers, a constructor checks.

    Args:
        cls: the class.
        values: arguments by name.
    """
    for name, value in values.items():
        declared = constructor_type(cls, name)
        allowed = _a_game(declared, value) if name == "environment" else _other_than(declared, value)
        if allowed:
            raise ValueError(f"{name} must be {allowed}, got {' '.join(repr(value).split())[:200]}")


def check_fields(instance: Any) -> None:
    """Raise ValueError for a field of a dataclass of another type than it declares, see `check_types`."""
    check_types(type(instance), {each.name: getattr(instance, each.name) for each in fields(instance) if each.init})


def _a_game(declared: Any, value: object) -> str:
    """What a game is, if `value` is none or another one; else nothing."""
    if isinstance(declared, type) and is_dataclass(declared):
        return "" if isinstance(value, declared) else f"an instance of {declared.__name__}"
    is_one = not isinstance(value, type) and hasattr(value, "agents")
    return "" if is_one else "a game such as GaussianSqueeze(agents=100)"


_NUMBER = (SupportsFloat, SupportsIndex)  # of numpy and torch too
_TAKEN: dict[Any, tuple[Any, ...]] = {int: _NUMBER, float: _NUMBER, bool: _NUMBER, str: (str,), NoneType: (NoneType,)}
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text", NoneType: "None"}


def _other_than(declared: Any, value: object) -> str:
    """What is declared, in words, if `value` is surely something else; else nothing."""
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


def name_in_file(cls: type) -> str:
    """The name of a class by its file, from which `class_in_file` finds it."""
    return f"{inspect.getfile(cls)}:{cls.__name__}"


def with_its_file(cls: type) -> list[type]:
    """A class that was found by its file, and all others that the file names."""
    return [cls, *(each for each in vars(sys.modules[cls.__module__]).values() if isinstance(each, type))]


def text_name(cls: type) -> str:
    """The name by its file, or, of a class in a notebook, that of its module: for people, not to find it by."""
    try:
        return name_in_file(cls)
    except (TypeError, OSError):
        return f"{cls.__module__}.{cls.__qualname__}"


class ClassNeededError(ValueError):
    """A file needs a custom class that was not given."""


def check_classes(classes: object) -> None:
    """Raise ValueError unless it is a list of classes."""
    if isinstance(classes, type):
        raise ValueError(f"classes must be a list of classes, got a class: classes=[{classes.__name__}]")
    if not isinstance(classes, Sequence) or not all(isinstance(each, type) for each in classes):
        raise ValueError(f"classes must be a list of classes, got {classes!r}")


def given_class(what: str, path: str | Path, needed: str, classes: Sequence[type], hint: str = "") -> type:
    """The class that a file needs, which may have come from anywhere: one of those given, never run from its path.

    Args:
        what: the file is of, for the error.
        path: of the file.
        needed: the name of the class in it.
        classes: that were given.
        hint: where else it can be given, for the error.

    Raises:
        ClassNeededError: it is not among those given.
    """
    own = needed.rpartition(":")[2].rpartition(".")[2]
    for cls in classes:
        if cls.__name__ == own:
            return cls
    raise ClassNeededError(
        f"{what}: {path} needs the class {needed}, which must be given: in Python by classes=[{own}]{hint}"
    )

"""Custom classes named path/to/file.py:Class, and the modules that such files import."""

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

Base = TypeVar("Base")

FILE_MODULE = "mfmarl_custom_"  #: prefix of the module names given to such files; no import finds them.
LOADED_FROM = "__mfmarl_sources__"  #: attribute of such a module that holds the `sources` it was loaded from.
# Packages whose source code does not identify a job; their version may.
KNOWN = {"mfmarl", "torch", "pytorch_lightning", "lightning_fabric", "numpy", *sys.stdlib_module_names} - {"__main__"}


def is_in_file(name: str) -> bool:
    """Whether a name has the form path/to/file.py:Class."""
    path, colon, _ = name.rpartition(":")
    return bool(colon) and path.endswith(".py")


def class_in_file(what: str, name: str, base: type[Base]) -> type[Base]:
    """Return the class named `path/to/file.py:Class`.

    The file is run, and may import modules beside it. It is run again only if it, or one of these modules, has changed.

    Args:
        what: what the class is used as, for error messages.
        name: path/to/file.py:Class.
        base: required base class.

    Raises:
        ValueError: the file is missing or does not load, has no such class, or imports a module from beside it that
            has the name of another module.
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
    """Run a file and return its module; an earlier module is reused if all its `sources` are unchanged."""
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
    """Module and name of a class; for a class in a file they do not depend on the file's folder."""
    module = cls.__module__
    if module.startswith(FILE_MODULE):
        module = FILE_MODULE + module.removeprefix(FILE_MODULE).partition("_")[2]
    return f"{module}.{cls.__qualname__}"


@contextmanager
def staying_here() -> Iterator[None]:
    """Restore the working directory at the end of the block.

    It is held by a file descriptor instead of its path, since it may have been removed or its parents be unreadable.
    """
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def is_ours(thing: Any) -> bool:
    """Whether a class or function belongs to this package."""
    return str(thing.__module__).startswith("mfmarl.")


def make_importable(what: str, name: str, path: Path) -> None:
    """Let the file `path`, named in `name`, import the modules beside it.

    Raises:
        ValueError: importing one of them would find another module of the same name.
    """
    beside = helpers(path)
    folders = {str(folder) for folder in roots(path)} if beside else set()
    sys.path += sorted(folders - set(sys.path))
    for module, file in beside.items():
        spec = importlib.util.find_spec(module) if "." not in module else None
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve() != file:
            raise ValueError(f"{what} {name!r}: it imports {file}, but {spec.origin} has that name too; rename one")


def helpers(path: Path) -> dict[str, Path]:
    """Modules that a file imports from beside it, directly or indirectly: name to file.

    An imported package counts with all its modules. A file that does not parse has none; loading it reports the error.
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
    """Yield name and file of each module that a file imports directly from beside it."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except SyntaxError:
        return
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    # `from . import a` and `from .a import b` import from the package that contains the file.
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
    """Yield name and file of each module of a package."""
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), file


def roots(path: Path) -> list[Path]:
    """Folders searched for a file's imports: its own and, for a file in a package, the one that holds the package."""
    folder = path.resolve().parent
    return [folder, top_package(folder).parent] if (folder / "__init__.py").is_file() else [folder]


def top_package(folder: Path) -> Path:
    """The folder of the outermost package that contains the package in `folder`."""
    while (folder.parent / "__init__.py").is_file():
        folder = folder.parent
    return folder


def sources(path: Path) -> dict[str, str]:
    """SHA-256 of a file and of the modules that it imports from beside it, by name."""
    files = {path.name: path, **helpers(path)}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def name_in_file(cls: type) -> str:
    """The name path/to/file.py:Class of a class, which `class_in_file` accepts."""
    return f"{inspect.getfile(cls)}:{cls.__name__}"


def with_its_file(cls: type) -> list[type]:
    """A class loaded from a file, and all classes in that file's namespace."""
    return [cls, *(each for each in vars(sys.modules[cls.__module__]).values() if isinstance(each, type))]


def text_name(cls: type) -> str:
    """A class's name for people to read: path/to/file.py:Class, or module.Class if it is not defined in a file."""
    try:
        return name_in_file(cls)
    except (TypeError, OSError):
        return f"{cls.__module__}.{cls.__qualname__}"


class ClassNeededError(ValueError):
    """A file needs a custom class that was not given."""


def check_classes(classes: object) -> None:
    """Raise ValueError unless `classes` is a list of classes."""
    if isinstance(classes, type):
        raise ValueError(f"classes must be a list of classes, got a class: classes=[{classes.__name__}]")
    if not isinstance(classes, Sequence) or not all(isinstance(each, type) for each in classes):
        raise ValueError(f"classes must be a list of classes, got {classes!r}")


def given_class(what: str, path: str | Path, needed: str, classes: Sequence[type], hint: str = "") -> type:
    """Return the custom class that a saved file needs, chosen among the given ones by name.

    The file may come from anywhere, so the code that it names is never run.

    Args:
        what: what the file holds, for the error message.
        path: the saved file.
        needed: name of the class as the file gives it.
        classes: classes to choose from.
        hint: how else the class can be given, for the error message.

    Raises:
        ClassNeededError: no given class has this name.
    """
    own = needed.rpartition(":")[2].rpartition(".")[2]
    for cls in classes:
        if cls.__name__ == own:
            return cls
    raise ClassNeededError(
        f"{what}: {path} needs the class {needed}, which must be given: in Python by classes=[{own}]{hint}"
    )

"""Settings of the scripts, i.e. values with their sources, and their selection as arguments of an algorithm.

    @dataclass(frozen=True)
    class Settings:
        learning_rate: float = sourced(1e-4, "appendix C.3")
        seed_count: int = sourced(5, "ours", script=True)

The learning rate is an argument of algorithms. The number of seeds is used by the script itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from mfmarl.algorithms.constructors import check_taken, constructor_keywords, keywords_of
from mfmarl.arguments import constructor_type
from mfmarl.custom import is_in_file
from mfmarl.scripting.options import allowed

if TYPE_CHECKING:
    from mfmarl.algorithms import Kind
    from mfmarl.algorithms.agent import Agent


def sourced(value: Any, source: str, *, script: bool = False) -> Any:
    """Create a field of a settings dataclass.

    Args:
        value: the default.
        source: source of the default, e.g. "appendix C.1".
        script: whether the script itself uses the field. All others are arguments of algorithms or data modules.
    """
    return dataclasses.field(default=value, metadata={"source": source, "script": script})


def sources(settings: Any) -> dict[str, Any]:
    """Every value of a settings dataclass with its source, for provenance.json."""
    return {field.name: _sourced_value(settings, field) for field in dataclasses.fields(settings)}


def values(settings: Any) -> dict[str, object]:
    """Values of the fields of a settings dataclass, by name, without those that the script itself uses."""
    fields = dataclasses.fields(settings)
    return {field.name: getattr(settings, field.name) for field in fields if not field.metadata["script"]}


def arguments_of(
    algorithm: str,
    values: Mapping[str, object],
    kind: Kind = "stateless",
    method: Mapping[str, object] | None = None,
) -> tuple[dict[str, object], dict[str, object]]:
    """Select from `values` the keyword arguments of an algorithm and those of its data module.

    Settings serve all algorithms of a kind, so a value that only other algorithms take is left out. A value that none
    takes is an error: a typo, or a field that should be marked `script=True`.

    Args:
        algorithm: a key of ALGORITHMS, or path/to/file.py:Class.
        values: values by name.
        kind: kind of games that the algorithm must play.
        method: values of the option --method, which override `values` for a custom algorithm; others ignore it.

    Returns:
        The keyword arguments of the algorithm, and those of its data module.

    Raises:
        ValueError: the algorithm is unknown or for other games, no algorithm takes one of `values`, or a custom
            algorithm does not take one of `method`, takes it with another type, or lacks a required argument.
    """
    from mfmarl.algorithms import ALGORITHMS, algorithm_class  # noqa: PLC0415 - Lightning takes seconds to import

    cls = algorithm_class(algorithm, kind, "algorithms")
    classes = [cls, *(algorithm_class(name, kind) for name in ALGORITHMS[kind])]
    known = {name for each in classes for own in keywords_of(each) for name in own}
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"settings: got {', '.join(unknown)}, which no algorithm and no data module takes")
    agent, data = keywords_of(cls)
    if is_in_file(algorithm):
        values = {**values, **{name: _typed(cls, name, value) for name, value in (method or {}).items()}}
        if lacking := [name for name, needed in agent.items() if needed and name not in values]:
            raise ValueError(f"method: {cls.__name__} needs {lacking[0]}, give --method.{lacking[0]}")
    return {k: v for k, v in values.items() if k in agent}, {k: v for k, v in values.items() if k in data}


def seed_blocks(first: int, count: int, together: int) -> list[tuple[int, ...]]:
    """Divide `count` seeds, starting at `first`, into blocks of at most `together`, one per job."""
    last = first + count
    return [tuple(range(start, min(start + together, last))) for start in range(first, last, together)]


def _typed(cls: type[Agent], name: str, value: object) -> object:
    """Convert a value of the option --method to the type declared by the constructor of a class or its data module."""
    check_taken(cls, [name], "method.")
    kind = constructor_type(cls if name in constructor_keywords(cls) else cls.data_module, name)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{name}", type=kind)
    try:
        parsed: object = parser.parse_object({name: value})[name]
        if isinstance(parsed, Namespace):
            raise ValueError(f"method.{name}: got {value}, allowed are numbers, text and lists of them")
        return parsed
    except ArgumentError as error:
        raise ValueError(f"method.{name}: got {value}, allowed is {allowed(kind)}") from error


def _sourced_value(settings: Any, field: dataclasses.Field[Any]) -> dict[str, object]:
    value = getattr(settings, field.name)
    source = field.metadata["source"] if value == field.default else f"ours, in place of {field.default}"
    return {"value": value, "source": source}

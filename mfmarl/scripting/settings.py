"""Settings of the scripts: values with their sources, and the arguments that an algorithm takes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mfmarl.custom import constructor_keywords

if TYPE_CHECKING:
    from mfmarl.algorithms import Kind


def sourced(value: Any, source: str) -> Any:
    """A field of a settings dataclass: its value, and where the value comes from."""
    return dataclasses.field(default=value, metadata={"source": source})


def sources(settings: Any) -> dict[str, object]:
    """Every value of a settings dataclass with its source, for provenance.json."""
    return {field.name: _sourced_value(settings, field) for field in dataclasses.fields(settings)}


def arguments_of(algorithm: str, values: Mapping[str, object], kind: Kind = "stateless") -> dict[str, object]:
    """Those of ``values`` that the constructor of an algorithm names, or one that it hands its ``**`` on to.

    Args:
        algorithm: a key of ALGORITHMS, or path/to/file.py:Class.
        values: name to value.
        kind: of games that the algorithm must play.

    Raises:
        ValueError: an unknown algorithm, or one for other games.
    """
    from mfmarl.algorithms import algorithm_class  # noqa: PLC0415 - Lightning takes seconds to import

    return _named(algorithm_class(algorithm, kind), values)


def data_arguments_of(algorithm: str, values: Mapping[str, object], kind: Kind = "stateless") -> dict[str, object]:
    """Those of ``values`` that the constructor of an algorithm's data module names; arguments as of `arguments_of`."""
    from mfmarl.algorithms import algorithm_class  # noqa: PLC0415 - Lightning takes seconds to import

    return _named(algorithm_class(algorithm, kind).data_module, values)


def seed_blocks(first: int, count: int, together: int) -> list[tuple[int, ...]]:
    """``count`` seeds from ``first`` on, in blocks of at most ``together``, each to be one job."""
    last = first + count
    return [tuple(range(start, min(start + together, last))) for start in range(first, last, together)]


def _named(of: type, values: Mapping[str, object]) -> dict[str, object]:
    named = constructor_keywords(of)
    return {name: value for name, value in values.items() if name in named}


def _sourced_value(settings: Any, field: dataclasses.Field[Any]) -> dict[str, object]:
    value = getattr(settings, field.name)
    source = field.metadata["source"] if value == field.default else f"ours, in place of {field.default}"
    return {"value": value, "source": source}

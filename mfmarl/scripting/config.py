"""YAML files of options, read as the words of a command line: a file takes what the command line takes, and no more."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import yaml

DEEPEST = 50  # brackets within each other: what reads them calls itself for each
MOST_BYTES = 1_000_000  # of a file: a device such as /dev/zero never ends
TRUE, FALSE, NULL = {"true", "yes", "on"}, {"false", "no", "off"}, {"null", "~", ""}


class AsItStands(yaml.SafeDumper):
    """Writes each text as it stood in a file, where quotes would make texts of numbers."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]


def spelled_out(
    options: type, arguments: Sequence[str], types: Mapping[str, Any], allowed: Callable[[Any], str]
) -> list[str]:
    """The arguments with those of their --config files before them, so that what is written out wins.

    Args:
        options: a dataclass.
        arguments: of a command line.
        types: of its fields.
        allowed: says a type in words.

    Raises:
        ValueError: a file that cannot be read, or something in it that no option takes; one line.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config", action="append", default=[])
    try:
        known, others = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise ValueError(f"config: {error.message}") from error
    fields = {field.name: field for field in dataclasses.fields(options)}
    words: list[str] = []
    for file in known.config:
        for key, value in content(Path(file)).items():
            name = key.replace("-", "_")
            if name not in fields:
                raise ValueError(f"config: {file} names {key}, which is no option")
            try:
                words += spelled(name, value, fields[name], types[name])
            except ValueError as error:
                got = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).strip()
                raise ValueError(f"{name}: got {got or 'nothing'}, allowed is {allowed(types[name])}") from error
    return [*words, *others]


def content(file: Path) -> dict[str, Any]:
    """What a YAML file holds, each scalar as the text that stands there; nothing of an empty file.

    Raises:
        ValueError: it cannot be read, is too long, no YAML, or no mapping of names.
    """
    try:
        with open(file, "rb") as opened:
            text = opened.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        if depth(text.decode()) > DEEPEST:
            raise ValueError(f"it has more than {DEEPEST} lists within each other")
        if repeats(text.decode()):
            raise ValueError("it repeats a part by an alias such as *name; write that out")
        found = yaml.load(text.decode(), Loader=NamedOnce)
    except OSError as error:
        raise ValueError(f"config: cannot read {file}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also no UTF-8, or a path with a null byte
        raise ValueError(f"config: {str(file)!r} is no YAML: {' '.join(str(error).split())}") from error
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"config: {file} must map names of options to values")
    return found


class NamedOnce(yaml.BaseLoader):
    """Each scalar is the text that stands there, and each name of a mapping stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node.

        Raises:
            ValueError: a name stands twice, in whichever spelling.
        """
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name, count in Counter(name.replace("-", "_") for name in names).items():
            if count > 1:
                raise ValueError(f"it names {name} {count} times")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def depth(text: str) -> int:
    """How many brackets are open at most."""
    return max(accumulate((letter in "[{") - (letter in "]}") for letter in text), default=0)


def repeats(text: str) -> bool:
    """Whether YAML repeats a part by an alias: some lines of them stand for more than any memory holds, or for ever."""
    try:
        return any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text))
    except yaml.YAMLError:  # whoever reads it says so, or takes it for text
        return False


def spelled(name: str, value: Any, field: dataclasses.Field[Any], kind: Any) -> list[str]:
    """The words of one option.

    Raises:
        ValueError: no such words.
    """
    flag = f"--{name.replace('_', '-')}"
    if typing.get_origin(kind) is dict:
        return of_mapping(flag, value)
    if typing.get_origin(kind) is list:
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) and item not in NULL and not is_option(item) for item in items):
            raise ValueError
        if not items and callable(field.default_factory) and field.default_factory():
            raise ValueError
        return [flag, *items] if items else []
    if not isinstance(value, str):
        raise ValueError
    if kind is bool:
        if value.lower() not in TRUE | FALSE:
            raise ValueError
        return [flag] if value.lower() in TRUE else []
    if value in NULL:
        if type(None) not in typing.get_args(kind):
            raise ValueError
        return []
    return [f"{flag}={value}"]


def is_option(word: str) -> bool:
    """Whether a command line would take a word for an option of its own; a negative number is none."""
    try:
        float(word)
    except ValueError:
        return word.startswith("-")
    return False


def of_mapping(flag: str, value: Any) -> list[str]:
    """The words of options below `flag`, as --method.slowness=0.3.

    Raises:
        ValueError: they are no mapping.
    """
    if not isinstance(value, dict):
        raise ValueError
    words = []
    for key, item in value.items():
        text = item if isinstance(item, str) else yaml.dump(item, Dumper=AsItStands, default_flow_style=True).strip()
        words.append(f"{flag}.{key}={text}")
    return words

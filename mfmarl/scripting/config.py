"""YAML files of options, converted to command-line arguments, so that both allow exactly the same options."""

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

DEEPEST = 50  # nesting depth of brackets, since the parser is recursive
MOST_BYTES = 1_000_000  # size of a file, since a device such as /dev/zero never ends
TRUE, FALSE, NULL = {"true", "yes", "on"}, {"false", "no", "off"}, {"null", "~", ""}


class AsItStands(yaml.SafeDumper):
    """Writes each scalar as in the file, without quotes, which would turn numbers into text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]


def spelled_out(
    options: type, arguments: Sequence[str], types: Mapping[str, Any], allowed: Callable[[Any], str]
) -> list[str]:
    """Insert the options of --config files before the other arguments, which therefore override them.

    Args:
        options: dataclass of the options.
        arguments: command-line arguments.
        types: types of the fields of `options`, by name.
        allowed: function that describes a type in words.

    Returns:
        The command-line arguments without --config.

    Raises:
        ValueError: a file cannot be read, or contains an unknown option or a value that is not allowed.
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
    """Read a YAML file as a mapping, with each scalar as the text in the file. An empty file gives an empty mapping.

    Raises:
        ValueError: the file cannot be read, is too long, is not YAML, or is not a mapping.
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
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also not UTF-8, or a path with a null byte
        raise ValueError(f"config: {str(file)!r} is no YAML: {' '.join(str(error).split())}") from error
    if found in (None, ""):
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"config: {file} must map names of options to values")
    return found


class NamedOnce(yaml.BaseLoader):
    """Loads each scalar as text, and refuses mappings that contain a name twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct the mapping of a node.

        Raises:
            ValueError: a name occurs twice, with either of - and _.
        """
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name, count in Counter(name.replace("-", "_") for name in names).items():
            if count > 1:
                raise ValueError(f"it names {name} {count} times")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def depth(text: str) -> int:
    """Maximum nesting depth of the brackets in `text`."""
    return max(accumulate((letter in "[{") - (letter in "]}") for letter in text), default=0)


def repeats(text: str) -> bool:
    """Whether YAML text contains an alias. A few lines of aliases can expand beyond any memory, or endlessly."""
    try:
        return any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text))
    except yaml.YAMLError:  # its reader reports this, or takes it as text
        return False


def spelled(name: str, value: Any, field: dataclasses.Field[Any], kind: Any) -> list[str]:
    """Convert one option to command-line arguments.

    Raises:
        ValueError: the value is not allowed.
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
    """Whether a command line would read a word as an option; a negative number is not an option."""
    try:
        float(word)
    except ValueError:
        return word.startswith("-")
    return False


def of_mapping(flag: str, value: Any) -> list[str]:
    """Convert a mapping to command-line arguments below `flag`, such as --method.slowness=0.3.

    Raises:
        ValueError: `value` is not a mapping.
    """
    if not isinstance(value, dict):
        raise ValueError
    words = []
    for key, item in value.items():
        text = item if isinstance(item, str) else yaml.dump(item, Dumper=AsItStands, default_flow_style=True).strip()
        words.append(f"{flag}.{key}={text}")
    return words

"""Options common to all scripts, and parsing of command lines and YAML files.

A script adds its own options and defaults in a subclass:

    @dataclass(frozen=True)
    class IsingOptions(Options):
        out: Path = Path("results/ising")
        \"\"\"Directory of the results.\"\"\"
        sweeps: int = 1000
        \"\"\"Sweeps of each chain.\"\"\"

    def run(arguments: Sequence[str] | None = None) -> None:
        options = parse(IsingOptions, arguments)
        if not options.figures_only:
            train(options)
        draw(options)

    if __name__ == "__main__":
        raise SystemExit(main(run))

`mfmarl.scripting.main` has `main`, and `mfmarl.scripting.results` the building blocks of `train` and `draw`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from docstring_parser import parse_from_object
from jsonargparse import ArgumentError, ArgumentParser

from mfmarl.custom import is_in_file
from mfmarl.files import check_writable
from mfmarl.jobs.console import say
from mfmarl.jobs.execution import Execution, check_range
from mfmarl.scripting.config import DEEPEST, depth, repeats, spelled_out
from mfmarl.scripting.tables import check_places
from mfmarl.seeds import MOST_SEEDS

LAST_SEED = 2**60  # the three streams of every seed below fit into a generator's seed

AnySettings = TypeVar("AnySettings")


@dataclass(frozen=True)
class Options(Execution):
    """Options of every script. Raises ValueError, with a message of one line, if a value is not allowed."""

    settings: list[str] = field(default_factory=lambda: ["appendix"])
    """Names of the settings to run."""
    quick: bool = False
    """Run everything (or only --settings) at a reduced size that takes about a minute; without --out, results go to
    results/quick/."""
    algorithms: list[str] = field(default_factory=list)
    """Names of algorithms, or path/to/file.py:Class for a custom one. Default: the algorithms of the paper."""
    method: dict[str, Any] = field(default_factory=dict)
    """Constructor arguments of the custom classes among --algorithms, e.g. --method.slowness 0.3."""
    agents: list[int] = field(default_factory=list)
    """Numbers of agents. Default: those of the paper."""
    seeds: int | None = None
    """Number of seeds. Default: the number in the settings."""
    seed: int = 0
    """The first seed; the others count up from it."""
    out: Path = Path("results")
    """Directory of the results."""
    extend: bool = False
    """Allow settings, sizes, methods and rounds that the committed tables do not have yet."""
    figures_only: bool = False
    """Only redraw the figures from the tables in --out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("seeds", self.seeds, 1, MOST_SEEDS)
        check_range("seed", self.seed, 0)
        if self.seed + (self.seeds or 1) > LAST_SEED:
            raise ValueError(f"seed: got {self.seed}, allowed is less than 2^60")
        for name in ("settings", "algorithms", "agents"):
            named_once(name, getattr(self, name))
        if self.method and not any(map(is_in_file, self.algorithms)):
            raise ValueError(f"method: got {', '.join(self.method)}, but --algorithms names no path/to/file.py:Class")
        for name, value in self.method.items():
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ValueError(f"method.{name}: got {value!r}, which provenance.json cannot hold: {error}") from error
        not_used(self, "figures_only", "dry_run")
        check_writable(self.out)
        check_places(self.out)

    @property
    def committed(self) -> bool:
        """Whether results go to the script's own folder, whose tables are committed; see `guards.check_update`."""
        own, out = self.home().resolve(), self.out.resolve()
        return out == own or own in out.parents

    @classmethod
    def home(cls) -> Path:
        """The folder of the script's committed results, in the checkout that contains the script.

        The path is relative if the working directory is the checkout, or if the script is not in reproduce/.
        """
        file = sys.modules[cls.__module__].__file__
        checkout = Path(file).resolve().parents[1] if file and Path(file).parent.name == "reproduce" else Path.cwd()
        return cls.out if checkout == Path.cwd() else checkout / cls.out

    def chosen(
        self,
        settings: Mapping[str, AnySettings],
        quick: AnySettings,
        quick_sizes: Mapping[str, AnySettings] = MappingProxyType({}),
    ) -> dict[str, AnySettings]:
        """The settings to run, by name: those of --settings, or the quick ones with --quick.

        Args:
            settings: all settings.
            quick: settings for --quick without --settings.
            quick_sizes: settings for --quick with --settings, by the name in --settings.

        Raises:
            ValueError: some of --settings have no quick size.
        """
        if not self.quick:
            return {name: settings[name] for name in self.settings}
        if self.settings == default_of(next(each for each in dataclasses.fields(self) if each.name == "settings")):
            return {"quick": quick}
        if without := [name for name in self.settings if name not in quick_sizes]:
            raise ValueError(f"settings: got {', '.join(without)}, which --quick does not use")
        return {f"quick-{name}": quick_sizes[name] for name in self.settings}


CONFIG = "YAML file with any of these options, which it precedes."


class Dataclass(Protocol):
    """What all dataclasses are."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


AnyOptions = TypeVar("AnyOptions", bound=Dataclass)


def parse(options: type[AnyOptions], arguments: Sequence[str] | None = None) -> AnyOptions:
    """Parse options from `arguments` (default: the command line), --config FILE.yaml, and the class's defaults.

    Lists are written `--agents 100 500`. `--print_config` prints YAML that reads back to the same options. The default
    of `Options.out` is results/NAME, or with --quick results/quick/NAME, both in the script's checkout.

    Args:
        options: dataclass of the options. --help begins with the first paragraph of its module's docstring.
        arguments: command-line arguments. None: those of the process.

    Raises:
        ValueError: an option or YAML key is unknown, or a value is not allowed; the message is one line.
        SystemExit: with code 0, after --help and --print_config.
    """
    summary = (sys.modules[options.__module__].__doc__ or options.__doc__ or "").strip().split("\n\n")[0]
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description=summary)
    parser.add_argument("--config", action="config", help=CONFIG)
    types, docs = typing.get_type_hints(options), field_docs(options)
    what: Any = parser
    how: Any = parser
    if issubclass(options, Execution):
        what, how = parser.add_argument_group("what to run"), parser.add_argument_group("how to run it")
    executed = {option.name for option in dataclasses.fields(Execution)}
    for option in dataclasses.fields(options):
        add_option(how if option.name in executed else what, option, types[option.name], docs.get(option.name, ""))
    words = sys.argv[1:] if arguments is None else arguments
    with_config = spelled_out(options, words, types, allowed)
    check_text(with_config)
    try:
        values = parsed(parser, with_config)
    except ArgumentError as error:
        raise ValueError(in_our_words(str(error), types)) from error
    values.pop("config", None)
    given = options(**values)
    names_out = any(re.match("--out($|=)", word) for word in words)
    if isinstance(given, Options) and given.out == type(given).out and not names_out:
        own = given.home()
        given = dataclasses.replace(given, out=own.parent / "quick" / own.name if given.quick else own)
    return given


def parsed(parser: Any, words: Sequence[str]) -> dict[str, Any]:
    """Parse arguments to values by name. --help and --print_config print through `say`, so that a pipe may close."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            return dict(vars(parser.parse_args(words)))
    except SystemExit:
        say(printed.getvalue().rstrip("\n"))
        raise


def by_option(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each argument with the name of the option that it belongs to; for `--a=b` yield only b."""
    option = "arguments"
    for word in words:
        flag, equals, value = word.partition("=")
        if flag.startswith("--"):
            option = flag[2:].replace("-", "_")
        yield option, value if equals and flag.startswith("--") else word


def check_text(words: Sequence[str]) -> None:
    """Raise ValueError for an argument that is not UTF-8, nests brackets too deeply, or has an alias in --method."""
    for option, text in by_option(words):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{option}: got {text!r}, allowed is text in UTF-8") from error
        if depth(text) > DEEPEST:
            raise ValueError(f"{option}: got {text[:40]}..., allowed are {DEEPEST} lists within each other")
        if option.partition(".")[0] == "method" and repeats(text):
            raise ValueError(f"{option}: got {text[:40]}, allowed are values without an alias such as *name")


def add_option(parser: Any, option: dataclasses.Field[Any], kind: Any, text: str) -> None:
    """Add a field as an option, spelled --a-name or, as in YAML, --a_name."""
    flags = [f"--{name}" for name in dict.fromkeys([option.name.replace("_", "-"), option.name])]
    default = default_of(option)
    if kind is bool and default is False:
        parser.add_argument(*flags, action="store_true", help=text)
    elif typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        parser.add_argument(*flags, type=item, nargs="+", default=default, help=text)
    elif names := [name for each in typing.get_args(kind) for name in typing.get_args(each)]:  # or None
        parser.add_argument(*flags, type=kind, default=default, help=text, metavar="{" + ",".join(names) + "}")
    else:
        parser.add_argument(*flags, type=kind, default=default, help=text)


def field_docs(options: type[object]) -> dict[str, str]:
    """The docstrings under the fields of a class and its base classes, by name."""
    docs: dict[str, str] = {}
    for one in reversed(options.__mro__):
        if dataclasses.is_dataclass(one):
            docs |= {param.arg_name: param.description or "" for param in parse_from_object(one).params}
    return docs


def in_our_words(message: str, types: dict[str, Any]) -> str:
    """Shorten jsonargparse's message to one line; for a bad value, say what was got and what is allowed."""
    line = " ".join(message.split())
    unknown = re.match(r"(?:error: )?[Uu]nrecognized arguments: --([\w-]+)", line)
    if unknown is not None:
        near = difflib.get_close_matches(unknown[1].replace("-", "_"), types, n=1)
        return f"{line}; " + (f"did you mean --{near[0].replace('_', '-')}?" if near else "--help lists all options")
    bad_value = re.match(r'Parser key "(\w+)".* (?:Got|Given) value: (.*)$', line)
    if bad_value is None or bad_value[1] not in types:
        return line
    return f"{bad_value[1]}: got {bad_value[2]}, allowed is {allowed(types[bad_value[1]])}"


def allowed(kind: Any) -> str:
    """Describe a field's type in words."""
    if typing.get_origin(kind) is Literal:
        return " or ".join(str(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return "a list, each " + allowed(typing.get_args(kind)[0])
    if typing.get_origin(kind) is dict:
        return "a mapping of names to values"
    if typing.get_args(kind):
        return " or ".join(allowed(one) for one in typing.get_args(kind))
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        Path: "a path",
        type(None): "null",
    }
    return words.get(kind) or str(getattr(kind, "__name__", kind))


def named_once(name: str, values: Sequence[object]) -> None:
    """Raise ValueError if a value occurs twice."""
    if len(set(values)) < len(values):
        raise ValueError(f"{name}: got {values}, each may be named once")


def known_names(name: str, values: Sequence[str], known: Collection[str]) -> None:
    """Raise ValueError for a value that is not in `known`."""
    if unknown := [value for value in values if value not in known]:
        allowed = f"allowed {'is' if len(known) == 1 else 'are'} {', '.join(known)}"
        raise ValueError(f"{name}: got {', '.join(unknown)}, {allowed}")


def known_methods(name: str, values: Sequence[str], known: Collection[str]) -> None:
    """Raise ValueError for a value that is neither in `known` nor of the form path/to/file.py:Class."""
    for value in values:
        if value not in known and not is_in_file(value):
            raise ValueError(f"{name}: got {value}, allowed are {', '.join(known)} or path/to/file.py:Class")


def not_used(options: Options, mode: str, *names: str) -> None:
    """Raise ValueError if the option `mode` is on and one of `names`, which it does not use, is not at its default."""
    if getattr(options, mode):
        for name, value in changed(options, names):
            raise ValueError(f"{name}: got {value}, which --{mode.replace('_', '-')} does not use")


def used_with(options: Options, mode: str, *names: str) -> None:
    """Raise ValueError if the option `mode` is off and one of `names`, which it alone uses, is not at its default."""
    if not getattr(options, mode):
        for name, value in changed(options, names):
            raise ValueError(f"{name}: got {value}, which --{mode.replace('_', '-')} alone uses")


def changed(options: Options, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names and values of those options among `names` that are not at their defaults."""
    for option in dataclasses.fields(options):
        value = getattr(options, option.name)
        if option.name in names and value != default_of(option):
            yield option.name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def default_of(option: dataclasses.Field[Any]) -> Any:
    """The default of a field."""
    return option.default_factory() if callable(option.default_factory) else option.default

"""Every default is the number that its source gives: tests/defaults.csv names each beside the source, and none is left.

The table is typed from the sources: of appendix C of the paper it holds every hyper-parameter. A line is a class or
settings, an argument, its default as Python writes it, and where it comes from.
"""

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.data.army_replay import ArmyReplay
from mfmarl.environments import GaussianSqueeze
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.ising import Ising
from mfmarl.exploration import Boltzmann, EpsilonGreedy
from mfmarl.jobs.execution import Execution
from reproduce import battle, gaussian_squeeze, ising, matrix_games, theory

TABLE = pd.read_csv(Path(__file__).parent / "defaults.csv", dtype=str, keep_default_na=False)
SCRIPTS = (battle, gaussian_squeeze, ising, matrix_games)


def constructors() -> dict[str, type]:
    """Every class whose defaults are listed, by name: whoever defines a constructor of a method or its data module."""
    leaves = [cls for names in ALGORITHMS.values() for cls in map(algorithm_class, names)]
    leaves += [cls.data_module for cls in leaves]  # type: ignore[misc]
    further = [EpsilonGreedy, Boltzmann, GaussianSqueeze, Ising, Battle, ArmyReplay, Execution]
    ours = [cls for leaf in [*leaves, *further] for cls in leaf.__mro__ if cls.__module__.startswith("mfmarl.")]
    return {f"{cls.__module__}:{cls.__name__}": cls for cls in ours if "__init__" in vars(cls)}


def settings() -> dict[str, Any]:
    """Every settings of a script, by name: the class of its defaults, or settings that replace some of them."""
    found = {}
    for module in SCRIPTS:
        for name, value in vars(module).items():
            if isinstance(value, module.Settings) or (isinstance(value, type) and issubclass(value, module.Settings)):
                found[f"{module.__name__}:{name}"] = value
    return found


CONSTRUCTORS, SETTINGS = constructors(), settings()
SIZES: dict[str, Any] = {module.__name__: module for module in (*SCRIPTS, theory)}  # constants beside the settings
MEASURED, STUDIED = "reproduce.theory:MEASUREMENTS", "reproduce.gaussian_squeeze:STUDIES"


def defaults(name: str) -> dict[str, Any]:
    """What a constructor, or settings, sets where nobody says otherwise."""
    if name in CONSTRUCTORS:
        parameters = inspect.signature(CONSTRUCTORS[name]).parameters.values()
        return {each.name: each.default for each in parameters if each.default is not each.empty}
    chosen = SETTINGS[name]
    if isinstance(chosen, type):
        own = vars(chosen).get("__annotations__", {})
        return {field.name: field.default for field in dataclasses.fields(chosen) if field.name in own}
    return changed(chosen)


def changed(settings: Any) -> dict[str, Any]:
    """What differs from the defaults of their class."""
    own, usual = (
        {each.name: getattr(of, each.name) for each in dataclasses.fields(of)} for of in (settings, type(settings)())
    )
    return {name: value for name, value in own.items() if value != usual[name]}


def listed(name: str) -> pd.DataFrame:
    return TABLE[TABLE["class"] == name]


@pytest.mark.parametrize("name", [*CONSTRUCTORS, *SETTINGS])
def test_each_default_is_that_of_the_table(name: str) -> None:
    rows = listed(name)
    expected = dict(zip(rows["argument"], rows["default"], strict=True))
    assert len(expected) == len(rows)
    assert {argument: repr(value) for argument, value in defaults(name).items()} == expected


def test_the_table_names_nothing_else() -> None:
    assert set(TABLE["class"]) <= {*CONSTRUCTORS, *SETTINGS, *SIZES, MEASURED, STUDIED}


@pytest.mark.parametrize("name", SIZES)
def test_each_size_of_a_script_is_that_of_the_table(name: str) -> None:
    rows = listed(name)
    found = {constant: repr(getattr(SIZES[name], constant)) for constant in rows["argument"]}
    assert found == dict(zip(rows["argument"], rows["default"], strict=True))
    assert len(found) == len(rows) > 0


def test_each_size_of_a_measurement_is_that_of_the_table() -> None:
    rows = listed(MEASURED)
    sizes = {
        f"{name}, {size}": getattr(of, size) for name, of in theory.MEASUREMENTS.items() for size in ("full", "quick")
    }
    assert {name: repr(size) for name, size in sizes.items()} == dict(
        zip(rows["argument"], rows["default"], strict=True)
    )


def test_each_cell_of_a_study_is_that_of_the_table() -> None:
    rows = listed(STUDIED)
    found = {}
    for name, chosen in gaussian_squeeze.STUDIES.items():
        for labels, settings in chosen.cells(chosen.algorithms):
            found[f"{name}: {', '.join(map(str, labels.values()))}"] = repr(changed(settings))
    assert found == dict(zip(rows["argument"], rows["default"], strict=True))


@pytest.mark.parametrize("name", [name for name, cls in CONSTRUCTORS.items() if cls is not Execution])
def test_each_source_stands_in_the_docstring(name: str) -> None:
    text = inspect.getdoc(CONSTRUCTORS[name]) or ""
    for row in listed(name).to_dict("records"):
        entry = re.search(rf"^ *{row['argument']}: .*?(?=^ *\w+: |^ *\*\*|^$|\Z)", text, re.DOTALL | re.MULTILINE)
        said = " ".join((entry.group() if entry else text).split())
        assert row["source"] in said or row["source"] == "ours", row


@pytest.mark.parametrize("name", [name for name, chosen in SETTINGS.items() if isinstance(chosen, type)])
def test_each_source_is_that_of_the_settings(name: str) -> None:
    sources = {field.name: field.metadata["source"] for field in dataclasses.fields(SETTINGS[name])}
    for row in listed(name).to_dict("records"):
        assert sources[row["argument"]].startswith(row["source"]), row

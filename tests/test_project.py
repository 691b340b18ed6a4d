"""The project's files agree with each other."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.support import constraints, pins

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
DIRECT = [Requirement(line) for line in [*PROJECT["dependencies"], *chain(*EXTRAS.values())]]


def test_every_constraint_is_one_exact_version() -> None:
    for line in constraints():
        assert re.fullmatch(r"==[\w.]+", str(line.specifier)), line


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_lie_in_the_ranges_of_pyproject(python: str) -> None:
    pinned = pins(python)
    for requirement in DIRECT:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_what_the_dependencies_need_is_pinned_too() -> None:
    pinned = pins(f"{sys.version_info.major}.{sys.version_info.minor}")
    elsewhere = {"submitit", "wandb", *(Requirement(line).name for line in EXTRAS["docs"])}  # not in `test`
    waiting = [requirement for requirement in DIRECT if requirement.name not in elsewhere]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"constraints.txt lacks {name}"
        if str(requirement) in seen or not SpecifierSet(f"=={pinned[name]}").contains(metadata.version(name)):
            continue  # another version than the pinned one may need other packages
        seen.add(str(requirement))
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)


def test_environment_yml_agrees_with_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    python, pip, packages = environment["dependencies"]
    assert python.startswith("python=")
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))
    assert pip == "pip"
    assert packages == {"pip": ["-c constraints.txt", "-e .[test]"]}
    assert "test" in EXTRAS


def test_supported_pythons_are_the_same_everywhere() -> None:
    prefix = "Programming Language :: Python :: "
    classifiers = [line for line in PROJECT["classifiers"] if line.startswith(prefix)]
    assert classifiers == [prefix + python for python in PYTHONS]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(8, 16) if allowed.contains(f"3.{minor}")] == PYTHONS
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + PYTHONS[0].replace(".", "")


def test_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def imported(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("folder", ["mfmarl", "reproduce"])
def test_every_import_is_declared(folder: str) -> None:
    needed = [Requirement(line).name for line in PROJECT["dependencies"] + EXTRAS["slurm"]]
    modules = {{"PyYAML": "yaml", "pillow": "PIL"}.get(name, name).replace("-", "_") for name in needed}
    modules |= {"mfmarl", "reproduce", *sys.stdlib_module_names}
    for path in (ROOT / folder).rglob("*.py"):
        assert set(imported(path)) <= modules, path

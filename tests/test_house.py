"""Where everything lives: every file in a room, imports lead downwards, nothing heavy where it is not used."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from mfmarl.jobs import workers

ROOT = Path(__file__).parents[1]

# Each room and its floor. A room imports from rooms on lower floors, and from itself.
FLOORS = {
    "reproduce": 9,
    "mfmarl.scripting": 8,
    "mfmarl.report": 8,
    "mfmarl.tournament": 8,
    "mfmarl.measurements": 8,
    "mfmarl.jobs": 7,
    "mfmarl.algorithms": 6,
    "mfmarl.policies": 5,
    "mfmarl.claims": 4,
    "mfmarl.values": 4,
    "mfmarl.networks": 3,
    "mfmarl.data": 3,
    "mfmarl.statistical_physics": 3,
    "mfmarl.theory": 3,
    "mfmarl.figures": 2,
    "mfmarl.environments": 2,
    "mfmarl.exploration": 2,
    "mfmarl.evaluation": 1,
    "mfmarl.mean_field": 1,
    "mfmarl.seeds": 1,
    "mfmarl.files": 1,
    "mfmarl.custom": 1,
    "mfmarl.arguments": 1,
    "mfmarl": 0,  # mfmarl/__init__.py alone
}
FILES = sorted([*ROOT.glob("mfmarl/**/*.py"), *ROOT.glob("reproduce/**/*.py")])
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}


def room(module: str) -> str:
    """The room of a module: the longest name in the table that it is or lies in."""
    for name in sorted(FLOORS, key=len, reverse=True):
        if module == name or (name != "mfmarl" and module.startswith(f"{name}.")):
            return name
    raise AssertionError(f"{module} is in no room: name its floor in FLOORS, or move it into a room")


def imports(source: str) -> Iterator[str]:
    """The modules of ours that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "imports are absolute"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            yield from inner
            if node.module in MODULES and len(inner) < len(node.names):
                yield node.module


def named(source: str) -> Iterator[str]:
    """The modules of ours that a source names in a string, to import them later."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in set(MODULES) - {"mfmarl"}:
            yield str(node.value)


def upward(module: str, source: str) -> list[str]:
    """The imports of a module that do not lead down or stay in its room. The table of public names may name any."""
    own = room(module)
    others = [*imports(source), *(named(source) if own != "mfmarl" else ())]
    return [each for each in others if room(each) != own and FLOORS[room(each)] >= FLOORS[own]]


@pytest.mark.parametrize("module", MODULES)
def test_every_file_is_in_a_room_and_imports_downwards(module: str) -> None:
    assert upward(module, MODULES[module].read_text()) == []


def test_there_is_no_circle() -> None:
    graph = {module: set(imports(path.read_text())) for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_wrong_arrows_are_seen() -> None:
    assert upward("mfmarl.data.rounds", "from mfmarl.jobs.launch import launch") == ["mfmarl.jobs.launch"]
    assert upward("mfmarl.data.rounds", "def f():\n    import mfmarl.networks.stacked") == ["mfmarl.networks.stacked"]
    assert upward("mfmarl.tournament.duel", "from mfmarl import scripting") == ["mfmarl.scripting"]
    assert upward("mfmarl.data.rounds", "later = {'name': 'mfmarl.jobs.launch'}") == ["mfmarl.jobs.launch"]
    assert upward("mfmarl.data.rounds", "from mfmarl.seeds import generators") == []
    with pytest.raises(AssertionError, match=r"mfmarl\.utils is in no room"):
        room("mfmarl.utils")


def test_the_table_of_layers_in_contributing_is_this_one() -> None:
    rows = re.findall(r"^\| (\d) \| (.+?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    paths = [(path, int(floor)) for floor, names in rows for path in re.findall("`(.+?)`", names)]
    told = {path.removesuffix(".py").strip("/").replace("/", "."): floor for path, floor in paths}
    expected = {name: floor for name, floor in FLOORS.items() if name != "mfmarl"}
    assert {name if name in FLOORS else f"mfmarl.{name}": floor for name, floor in told.items()} == expected


def test_rooms_say_their_purpose_and_few_modules_stand_alone() -> None:
    packages = [path.parent for path in ROOT.glob("mfmarl/**/__init__.py")]
    for package in packages:
        assert ast.get_docstring(ast.parse((package / "__init__.py").read_text())), package
    assert len([*ROOT.glob("mfmarl/*.py")]) <= 9


def loaded(statement: str) -> set[str]:
    """The modules that a fresh process has loaded after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import mfmarl", {"torch", "pandas", "matplotlib"}),
        ("import mfmarl.figures", {"torch", "pytorch_lightning"}),
        ("import mfmarl.evaluation.ratings, mfmarl.evaluation.final_scores", {"torch", "matplotlib"}),
        ("import mfmarl.evaluation.verdicts, mfmarl.evaluation.comparisons", {"torch", "matplotlib"}),
        ("from mfmarl.algorithms.q_learning import MFQ", {"magent2"}),
        ("from mfmarl.algorithms.lattice import TabularMFQ", {"magent2"}),
        ("from mfmarl.jobs.launch import launch", {"magent2", "pytorch_lightning"}),
        (
            "from mfmarl import GaussianSqueeze, TrainingJob\n"
            "TrainingJob('job', {}, 'il', GaussianSqueeze(4), (0,), {}, {'steps': 1, 'evaluations': 1}).fingerprint",
            {"magent2", "pytorch_lightning"},
        ),
        ("from mfmarl.data.army_replay import ArmyReplay", {"magent2"}),
    ],
)
def test_nothing_heavy_is_loaded_where_it_is_not_used(statement: str, absent: set[str]) -> None:
    assert loaded(statement) & absent == set()


def test_what_workers_preload_can_be_imported() -> None:
    """Their server ignores what it cannot import: workers would then be slow to start, and nobody would know why."""
    assert importlib.import_module(workers.PRELOADED).__name__ == workers.PRELOADED

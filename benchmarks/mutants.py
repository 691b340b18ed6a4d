"""How many changes of the code the tests notice: `python benchmarks/mutants.py` (`make mutants`) prints a table.

A mutant is the package with one small change that should matter: a number, a sign, a comparison, a condition, a mean
for a sum, a call left out. Each runs in a copy of the checkout, against the fast tests of its module alone. One that
passes them all is printed: either a test is missing, or it changes nothing that anybody could see. Before the table,
the tests that killed something are run without any mutant, and must pass.

    python benchmarks/mutants.py --sample 30 --groups data figures
    python benchmarks/mutants.py --only mfmarl/exploration.py

The choice of the mutants is fixed by --seed. Linux and macOS.
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
GROUPS = {
    "equations": (
        *("mfmarl/mean_field.py", "mfmarl/exploration.py", "mfmarl/algorithms", "mfmarl/networks", "mfmarl/theory"),
        *("mfmarl/statistical_physics", "mfmarl/measurements", "mfmarl/arguments.py"),
    ),
    "data": ("mfmarl/data", "mfmarl/seeds.py"),
    "environments": ("mfmarl/environments",),
    "jobs": ("mfmarl/jobs", "mfmarl/files.py", "mfmarl/custom.py", "mfmarl/values.py", "mfmarl/policies.py"),
    "evaluation": ("mfmarl/evaluation", "mfmarl/tournament"),
    "figures": ("mfmarl/figures",),
    "scripting": ("mfmarl/scripting", "mfmarl/claims", "mfmarl/report", "mfmarl/__init__.py", "reproduce"),
}
# The tests of a module are those that import it. Of some that is too few: what else tests them.
FURTHER = {
    "mfmarl/algorithms": ("defaults", "mean_field_methods"),
    **dict.fromkeys(
        ("mfmarl/algorithms/agent.py", "mfmarl/algorithms/descent.py"),
        ("algorithm_equations", "plain_layers", "custom_mistakes", "wrong_types", "front_door", "algorithms"),
    ),
    "mfmarl/algorithms/battle.py": ("custom_mistakes",),
    "mfmarl/algorithms/fitting.py": ("plain_layers", "custom_armies", "lightning", "algorithms"),
    "mfmarl/algorithms/saved.py": ("custom_mistakes",),
    "mfmarl/arguments.py": ("theory_toy", "theory_learning", "theory_contraction", "battle_driver"),
    "mfmarl/theory/squeeze.py": ("theory_contraction", "theory_approximation"),
    "mfmarl/custom.py": ("custom_mistakes",),
    "mfmarl/data": ("defaults", "wrong_types"),
    "mfmarl/data/battle_round.py": ("battle_rounds", "self_play", "duel"),
    "mfmarl/data/metrics.py": ("data_stateless", "self_play"),
    "mfmarl/data/neighbourhood.py": ("data_stateless", "neighbourhood_battle"),
    "mfmarl/data/rounds.py": ("data_stateless", "data_sweeps", "custom_mistakes"),
    "mfmarl/data/self_play.py": ("battle_stack", "custom_mistakes"),
    "mfmarl/data/stacked_self_play.py": ("battle_stack",),
    "mfmarl/data/transfer.py": ("gpu", "stand_in"),
    "mfmarl/exploration.py": ("defaults",),
    "mfmarl/data/stateless.py": ("custom_mistakes",),
    "mfmarl/data/stateless_replay.py": ("neighbourhood",),
    "mfmarl/data/sweeps.py": ("custom_mistakes",),
    "mfmarl/environments": ("defaults", "wrong_types"),
    "mfmarl/environments/gaussian_squeeze.py": ("environments",),
    "mfmarl/environments/ising_arguments.py": ("statistical_physics",),
    "mfmarl/evaluation": ("committed_figures",),
    "mfmarl/evaluation/tables.py": ("figures", "evaluation"),
    "mfmarl/figures": ("figures_numbers", "committed_figures"),
    "mfmarl/figures/theory": ("figures_theory",),
    "mfmarl/figures/film.py": ("figures_battle_film", "figures_ising"),
    "mfmarl/figures/gaussian_squeeze": ("figures",),
    "mfmarl/figures/matrix_games.py": ("matrix_games", "figures"),
    "mfmarl/figures/style.py": ("figures", "figures_ising", "figures_battle"),
    "mfmarl/jobs/armies.py": ("battle_script",),
    "mfmarl/jobs/checkpoint.py": ("jobs_folder", "lightning", "faults"),
    "mfmarl/jobs/console.py": ("faults", "launch"),
    "mfmarl/jobs/listing.py": ("launch", "all_script"),
    "mfmarl/jobs/signals.py": ("faults", "launch", "steps"),
    "mfmarl/jobs/slurm_task.py": ("faults",),
    "mfmarl/jobs/snapshots.py": ("ising_script",),
    "mfmarl/jobs/startup.py": ("steps", "faults"),
    "mfmarl/jobs/training.py": ("lightning", "faults"),
    "mfmarl/jobs/workers.py": ("front_door",),
    "mfmarl/measurements": ("theory_measurements", "theory_committed", "theory_script"),
    "mfmarl/networks/stacked.py": ("algorithm_equations",),
    "mfmarl/scripting": ("scripting", "options", "gaussian_squeeze_script", "defaults"),
    "mfmarl/scripting/pages": ("pages",),
    "mfmarl/theory": ("theory_measurements",),
    "mfmarl/theory/approximation.py": ("theory_approximation",),
    "mfmarl/theory/arguments.py": ("theory_approximation", "theory_contraction", "theory_learning", "theory_toy"),
    "mfmarl/theory/learning.py": ("theory_learning",),
    "mfmarl/tournament": ("duel", "tournament", "tournament_jobs", "custom_armies"),
    "mfmarl/tournament/duel.py": ("neighbourhood_battle",),
    "mfmarl/values.py": ("policies", "lightning", "front_door", "custom_armies", "faults"),
    "reproduce": ("defaults", "all_script", "committed_figures", "faults"),
}
# They start processes or train long: whoever is killed without them is killed sooner.
SLOW = ("committed_figures", "algorithms", "lightning", "duel", "launch", "faults", "recording", "theory_measurements")
PATIENCE = 900  # seconds for the tests of one mutant: who needs more has hung, and is noticed
PRELOADED = ("torch", "pytorch_lightning", "pandas", "matplotlib.pyplot", "seaborn", "scipy.stats")

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult},
    **{ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
NAMES = {"min": "max", "mean": "sum", "argmax": "argmin", "all": "any", "low": "high", "floor": "ceil", "log": "exp"}
NAMES |= {other: name for name, other in NAMES.items() if other not in ("sum", "exp")}
# How a figure looks, what is said while work goes on, how long a solver goes on, and zip's guard: no number that
# anybody reads.
COSMETIC = {
    *("strict", "xtol", "xatol", "maxiter"),
    *("linewidth", "markersize", "markeredgewidth", "alpha", "fontsize", "zorder", "shade", "strength", "size"),
    *("handlelength", "xytext", "pad", "aspect", "shrink", "width_ratios", "height_ratios", "nbins", "bbox_to_anchor"),
    *("fraction", "height", "labelspacing", "columnspacing", "figsize", "flush", "help", "subs", "loc", "color"),
    *("edgecolors", "frameon", "ncols", "visible", "clip_on", "mininterval", "dynamic_ncols", "smoothing", "leave"),
}


@dataclass(frozen=True)
class Mutant:
    """One change: characters `start` to `end` of a file become `text`."""

    file: str
    line: int
    start: int
    end: int
    before: str
    text: str

    def __str__(self) -> str:
        """Where, and from what to what."""
        return f"{self.file}:{self.line}: {' '.join(self.before.split())}  ->  {' '.join(self.text.split())}"


def main() -> None:
    """Choose mutants, run their tests, print who lived and a table."""
    parser = argparse.ArgumentParser(description="How many changes of the code the tests notice.")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=[*GROUPS])
    parser.add_argument("--sample", type=int, default=30, help="mutants of a group")
    parser.add_argument("--only", nargs="+", default=[], help="files: all of their mutants, or the sample if fewer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print the mutants and their tests, and run nothing")
    parser.add_argument("--fast", action="store_true", help="without the slow tests: they may notice some of who lives")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    chosen = []
    for group in options.groups:
        files = [file for file in sources(GROUPS[group]) if not options.only or file in options.only]
        mutants = [mutant for file in files for mutant in mutants_of(file)]
        sample = generator.sample(mutants, min(options.sample, len(mutants)))
        chosen += [(group, mutant) for mutant in sorted(sample, key=lambda mutant: (mutant.file, mutant.start))]
    if options.list:
        for _, mutant in chosen:
            print(mutant, *files_testing(mutant.file, fast=options.fast))
        return
    run(chosen, fast=options.fast)


def run(chosen: Sequence[tuple[str, Mutant]], *, fast: bool) -> None:
    """Run all, and print what became of them."""
    for name in PRELOADED:  # once: a mutant's process is forked from this one
        importlib.import_module(name)
    tests = {mutant.file: files_testing(mutant.file, fast=fast) for _, mutant in chosen}  # those that are there now
    rows, killers = [], set()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        files = subprocess.check_output(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, text=True)
        for file in filter(None, files.split("\0")):
            if (ROOT / file).is_file():
                (copy / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, copy / file)
        git = ["git", "-C", str(copy), "-c", "user.name=mutants", "-c", "user.email=mutants@localhost"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "whole"]):
            subprocess.run([*git, *words], check=True)  # provenance asks for a commit
        if failing := outcome(copy, ["tests/test_files.py"]):
            sys.exit(f"no test can be run here: {failing}")
        for number, (group, mutant) in enumerate(chosen, 1):
            original = (copy / mutant.file).read_text()
            (copy / mutant.file).write_text(original[: mutant.start] + mutant.text + original[mutant.end :])
            began = time.monotonic()
            killer = outcome(copy, tests[mutant.file]) if tests[mutant.file] else ""
            (copy / mutant.file).write_text(original)
            killers |= {killer} if "::" in killer else set()
            rows.append({"group": group, "mutants": 1, "killed": bool(killer)})
            word = "killed" if killer else "LIVED "
            print(f"{number}/{len(chosen)} {word} {time.monotonic() - began:4.0f} s  {mutant}  {killer}", flush=True)
        if failing := outcome(copy, sorted(killers)) if killers else "":
            sys.exit(f"fails without any mutant: {failing}")
    table = pd.DataFrame(rows).groupby("group", sort=False).sum()
    table.loc["all"] = table.sum()
    print(table.assign(percent=100 * table["killed"] / table["mutants"]).to_string(float_format="{:.1f}".format))


def sources(places: Sequence[str]) -> list[str]:
    """The files of these folders and files, relative to the checkout."""
    found = [
        path for place in places for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def files_testing(file: str, *, fast: bool) -> list[str]:
    """The test files that import a module, and further ones, those first that import the least, slow ones last."""
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    further = {name for place, names in FURTHER.items() if file.startswith(place) for name in names}
    found = {}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        imported = imports(path)
        if module in imported or path.stem.removeprefix("test_") in further:
            found[f"tests/{path.name}"] = len(imported)
    slow = [f"tests/test_{name}.py" for name in SLOW]
    if fast and not set(found) <= set(slow):
        found = {name: count for name, count in found.items() if name not in slow}
    return sorted(found, key=lambda name: (name in slow or name.endswith("_script.py"), found[name], name))


@functools.cache
def imports(path: Path) -> set[str]:
    """The modules of ours that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if (ROOT / f"{name.replace('.', '/')}.py").exists() or is_package(name)}


def is_package(name: str) -> bool:
    """Whether a module of ours is a folder."""
    return (ROOT / name.replace(".", "/") / "__init__.py").exists()


def outcome(copy: Path, tests: Sequence[str]) -> str:
    """The first test that fails in `copy`: "" if none does, "timeout" if they do not end."""
    told = copy.parent / "failed.txt"
    told.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _test(copy, tests, told)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end(child)  # workers that a mutant left
            code = os.waitstatus_to_exitcode(status)
            return (
                ""
                if code in (0, pytest.ExitCode.NO_TESTS_COLLECTED)
                else told.read_text()
                if told.exists()
                else f"exit code {code}"
            )
        time.sleep(0.05)
    _end(child)
    os.waitpid(child, 0)
    return "timeout"


def _end(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _test(copy: Path, tests: Sequence[str], told: Path) -> None:
    """Run tests in this process, and end it."""
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    sys.dont_write_bytecode = True  # a mutant may be as long as the original, and as old
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(quiet, stream)
    code: int = 1
    try:
        names = ["-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly"]
        code = pytest.main([*names, *tests], plugins=[_Teller(told)])
    finally:
        os._exit(int(code))


class _Teller:
    """Writes down which test failed."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.told.write_text(report.nodeid)


def mutants_of(file: str) -> Iterator[Mutant]:
    """All mutants of a file."""
    source = (ROOT / file).read_text()
    tree = ast.parse(source)
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line.encode()))
    octets = source.encode()

    def place(line: int, column: int) -> int:
        return len(octets[: begins[line - 1] + column].decode())

    for node, text in changes(tree):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
        yield Mutant(file, node.lineno, start, end, source[start:end], text)


def changes(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Nodes below one, and what each becomes."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        children = value if isinstance(value, list) else [value]
        if isinstance(node, ast.Dict):
            named = zip(node.keys, children, strict=True)
            children = [child for key, child in named if not (isinstance(key, ast.Constant) and key.value in COSMETIC)]
        for child in children:
            if isinstance(child, ast.AST) and not _says_nothing(child):
                yield from _changed(child)
                yield from changes(child)


def _says_nothing(node: ast.AST) -> bool:
    """Whether what a node says is a message, a type, or a look."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.keyword) and (node.arg or "") in COSMETIC:
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "page":  # how tall it is
        return True
    if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[1], ast.Tuple):  # dashes and gaps
        return ast.unparse(node.elts[0]) == "0"
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).endswith("TypeAlias"):
        return True
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Literal", "Callable", "ClassVar"):
        return True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)  # a docstring


def _changed(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """The changes of one node itself."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield node, str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield node, repr(node.value + 1 if isinstance(node.value, int) else 2 * node.value or 1.0)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield node, _text(ast.Compare(node.left, [COMPARISONS[type(node.ops[0])]()], node.comparators))
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not _holds_text(node):
        yield node, _text(ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
    elif isinstance(node, ast.BoolOp):
        yield node, _text(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield node, _text(node.operand)
    elif isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield node.test, f"(not {_text(node.test)})"
    elif isinstance(node, ast.Attribute | ast.Name) and (old := _name(node)) in NAMES and _is_read(node):
        changed = ast.unparse(node).removesuffix(old) + NAMES[old]
        yield node, changed
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield node, "pass"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield) and node.value.value is not None:
        yield node, "yield"


def _text(node: ast.AST) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


def _name(node: ast.Attribute | ast.Name) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id


def _is_read(node: ast.Attribute | ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _holds_text(node: ast.BinOp) -> bool:
    """Whether it joins text or paths, or is a type: the change would end in a TypeError that no test could miss."""
    sides = [side for side in ast.walk(node) if isinstance(side, ast.Constant | ast.JoinedStr)]
    text = any(isinstance(side, ast.JoinedStr) or isinstance(side.value, str) for side in sides)
    return text or (isinstance(node.op, ast.BitOr) and "None" in ast.unparse(node))


if __name__ == "__main__":
    main()

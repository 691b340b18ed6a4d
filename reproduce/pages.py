"""Update the numbers in README.md and the other pages from the committed tables.

python reproduce/pages.py          # write
python reproduce/pages.py --check  # exit with code 1 and name the pages that do not agree with the tables

Generated passages stand between two comments with their name; see mfmarl/scripting/documents.py. Numbers within the
text of results/theory/README.md stand between two comments with their row; see mfmarl/scripting/pages/theory.py. All
other text is handwritten. The passages named `claims` are written by reproduce/claims.py. A link whose text is a symbol
ends with the symbol's line number.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mfmarl.files import write_text
from mfmarl.jobs.console import say
from mfmarl.scripting.documents import fill
from mfmarl.scripting.main import main
from mfmarl.scripting.options import parse
from mfmarl.scripting.pages import battle, gaussian_squeeze, ising, matrix_games, settings, speed, theory, times
from mfmarl.scripting.pages.code import with_lines
from mfmarl.scripting.steps import module_of

ROOT = Path(__file__).parents[1]
GPU_COUNTS = ROOT / "tests/gpu_counts.csv"  # depends on the code, not on a run
TASKS = {
    "gaussian_squeeze": gaussian_squeeze.passages,
    "ising": ising.passages,
    "battle": battle.passages,
    "matrix_games": matrix_games.passages,
}


def passages(root: Path) -> dict[str, Mapping[str, str]]:
    """Write the text of every passage from the tables in a checkout, by page and name."""
    results = root / "results"
    pages: dict[str, Mapping[str, str]] = {
        "README.md": {"times": times.of_all(results), "hardware": times.hardware(results)},
        "docs/settings.md": settings_of_scripts(),
        "docs/speed.md": {
            **speed.speed(root / "benchmarks/speed.csv"),
            **speed.against(root / "benchmarks/against.csv"),
        },
        "docs/cluster.md": {
            **speed.scaling(root / "benchmarks/scaling.csv"),
            **speed.gpu(GPU_COUNTS),
            "committed": times.in_all(results),
        },
        "results/theory/README.md": {"times": times.of_task(results, "theory")},
    }
    for task, of_task in TASKS.items():
        own = {**of_task(results / task), "times": times.of_task(results, task)}
        pages[f"results/{task}/README.md"] = own
    return pages


def settings_of_scripts() -> dict[str, str]:
    """The passages of docs/settings.md, from the other scripts of this folder."""
    squeeze_script, ising_script, battle_script = (
        module_of(Path(__file__).with_name(f"{task}.py")) for task in ("gaussian_squeeze", "ising", "battle")
    )
    orders = {"checkerboard": ising_script.EQUILIBRIUM, "released-code": ising_script.SLOW}
    return {
        "gaussian-squeeze": settings.side_by_side(squeeze_script.SETTINGS),
        "ising": settings.side_by_side(orders),
        "ising-runs": settings.runs(ising_script.cells(ising_script.IsingOptions())),
        "battle": settings.side_by_side(battle_script.SETTINGS),
    }


def written(root: Path) -> list[Path]:
    """The handwritten pages, including those with generated passages."""
    return [
        *(root / name for name in ("README.md", "CONTRIBUTING.md")),
        *sorted(root.glob("docs/*.md")),
        *sorted(root.glob("results/*/README.md")),
    ]


def filled(root: Path) -> dict[Path, str]:
    """The new text of every page: passages and numbers from the tables, current line numbers in links to code."""
    texts = passages(root)
    pages = {}
    for path in written(root):
        page = fill(path.read_text(encoding="utf-8"), texts.get(path.relative_to(root).as_posix(), {}))
        if path.parent == root / "results/theory":
            page = theory.with_numbers(page, theory.read_rows(path.parent))
        pages[path] = with_lines(path, page)
    return pages


@dataclass
class PagesOptions:
    """Options of this script."""

    check: bool = False
    """Write nothing; exit with code 1 if a page does not agree with the tables."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(PagesOptions, arguments)
    stale = {path: text for path, text in filled(ROOT).items() if path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        if not options.check:
            write_text(text, path)
        say(f"{'differs' if options.check else 'written'}: {path.relative_to(ROOT)}")
    if options.check and stale:
        raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main(run))

"""Today's code against another commit's: the same measurement by each, turn about, in CPU time on one thread.

`python benchmarks/gaussian_squeeze.py --against COMMIT` and `python benchmarks/battle.py --against COMMIT` compare the
cases of their tables AGAINST, by functions of the same name in the benchmarks of both commits. Each commit computes in
one process, which sets what its jobs set. A pair is one measurement of each; a ratio above 1 is a gain.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
KEYS = ["case", "commit"]


class Case(NamedTuple):
    """One measurement: seconds a unit of work, by `MEASURES[measure]` with these arguments."""

    unit: str  #: of work, whose number a second is written, or "round", whose seconds are.
    measure: str
    arguments: tuple[Any, ...]


def compare(script: str, cases: Mapping[str, Case], commit: str, pairs: int, out: Path | None) -> None:
    """Print the cases of a script as they are done, and put them into the table `out`.

    Raises:
        ValueError: no such commit, or fewer pairs than 1.
    """
    from mfmarl.scripting.provenance import cpu_model  # noqa: PLC0415 - the worker must not import today's package

    if pairs < 1:
        raise ValueError(f"pairs must be at least 1, got {pairs}")
    with tempfile.TemporaryDirectory() as folder:
        tree = check_out(commit, Path(folder))
        with worker(tree, script) as before, worker(ROOT, script) as now:
            for name, case in cases.items():
                for measure in (before, now):  # buffers fill, kernels are made
                    measure(case)
                times = [(before(case), now(case)) for _ in range(pairs)]
                ratios = [earlier / later for earlier, later in times]
                row = {
                    "case": name,
                    "commit": commit,
                    "before": shown(median(time for time, _ in times), case.unit),
                    "now": shown(median(time for _, time in times), case.unit),
                    "unit": "CPU seconds a round" if case.unit == "round" else f"{case.unit} a CPU second",
                    "ratio": f"{median(ratios):.2f}",
                    "least": f"{min(ratios):.2f}",
                    "most": f"{max(ratios):.2f}",
                    "pairs": str(pairs),
                    "processor": cpu_model(),
                }
                print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
                if out is not None:
                    replace_rows(pd.DataFrame([row]), KEYS, out)


def shown(seconds: float, unit: str) -> str:
    """A time as the table has it."""
    return f"{seconds:.1f}" if unit == "round" else f"{1 / seconds:.0f}"


def replace_rows(new: pd.DataFrame, keys: Sequence[str], out: Path) -> None:
    """Write rows to a CSV file where its first of these keys stood, or at its end; the others of these keys go."""
    from mfmarl.files import write_text  # noqa: PLC0415

    held = pd.read_csv(out, dtype=str, keep_default_na=False) if out.exists() else new[:0]
    again = pd.MultiIndex.from_frame(held[[*keys]]).isin(pd.MultiIndex.from_frame(new[[*keys]]))
    before = (~again).cumprod().astype(bool)
    write_text(pd.concat([held[before], new, held[~again & ~before]]).to_csv(index=False), out)


def check_out(commit: str, folder: Path) -> Path:
    """The files of a commit of this repository, in a folder.

    Raises:
        ValueError: there is none of this name.
    """
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=False)
    if archive.returncode:
        raise ValueError(f"against must be a commit of this repository, got {commit}")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


@contextlib.contextmanager
def worker(tree: Path, script: str) -> Iterator[Callable[[Case], float]]:
    """A process that measures with the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, __file__, str(tree), script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def measure(case: Case) -> float:
            print(json.dumps(case), file=asked, flush=True)
            answer = answers.readline()
            if not answer:
                raise RuntimeError(f"{tree} does not measure {case}")
            return float(answer)

        yield measure
        asked.close()


def serve(tree: Path, script: str) -> None:
    """Answer each case on standard input by its seconds on standard output."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the code prints is not an answer
    sys.path[:0] = [str(tree / "benchmarks")]
    import torch  # noqa: PLC0415

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    benchmark = importlib.import_module(script)
    with as_in_a_job():
        for line in sys.stdin:
            case = Case(*json.loads(line))
            print(MEASURES[case.measure](benchmark, *case.arguments), file=answers)


def as_in_a_job() -> contextlib.AbstractContextManager[None]:
    """What the checkout's jobs compute under, where it has a module for that."""
    try:
        computing = importlib.import_module("mfmarl.jobs.computing").computing
        hardware = importlib.import_module("mfmarl.jobs.execution").Hardware
    except ImportError:
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[None] = computing(hardware())
    return context


def rate(benchmark: ModuleType, function: str, seeds: int, *arguments: Any) -> float:
    """Seconds a joint step and seed, of a function that gives joint steps a second."""
    return 1 / (seeds * float(getattr(benchmark, function)(*arguments)))


def battle_round(
    benchmark: ModuleType, agents: int, settings: str, name: str, precision: str, epsilon: float | None
) -> float:
    """Seconds of the next full round of an agent, which is made at the first call."""
    key = (agents, settings, name, precision, epsilon)
    if key not in _AT_PLAY:
        exploration = importlib.import_module("mfmarl.exploration")
        game = benchmark.Battle
        with patch.object(benchmark, "Battle", lambda _: game(agents)):
            agent, data = benchmark.parts(settings, name)
        if epsilon is not None:
            agent.exploration = exploration.EpsilonGreedy(epsilon, epsilon)
        _AT_PLAY.clear()
        _AT_PLAY[key] = agent, data
    return float(benchmark.one_round(*_AT_PLAY[key], precision)["all"])


_AT_PLAY: dict[Sequence[Any], tuple[Any, Any]] = {}
MEASURES: dict[str, Callable[..., float]] = {"rate": rate, "battle_round": battle_round}

if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("error: no script of its own; use --against of battle.py or gaussian_squeeze.py", file=sys.stderr)
        raise SystemExit(2)
    serve(Path(sys.argv[1]), sys.argv[2])

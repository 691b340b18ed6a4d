"""Speed and memory of Battle: `python benchmarks/battle.py [--out FILE]` prints the tables.

Seconds of CPU time of a full round, 64 against 64 for 400 steps, on one thread, and what they are spent on: under the
settings of the released code and those of the appendix, beside a plain PyTorch program. Memory with a full replay
buffer. The arithmetic of a round, which bounds its time from below. The tables go to --out: docs/speed.md has them
from benchmarks/speed.csv.
"""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from against import Case
from battle_peer import peer_times
from measuring import alone, asked, digits, show
from torch.utils.flop_counter import FlopCounterMode

from mfmarl.algorithms import algorithm_class
from mfmarl.algorithms.battle import BattleAgent
from mfmarl.data.army_replay import ArmyReplay
from mfmarl.data.self_play import SelfPlay
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle
from mfmarl.evaluation.names import NAMES
from mfmarl.exploration import EpsilonGreedy
from mfmarl.scripting.provenance import cpu_model

CASES: dict[str, dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "released-code": {
        "mf-q": (
            "battle-mf-q",
            {"exploration": EpsilonGreedy(0.0, 0.0), "double_q": True, "learns_terminal": False},
            {"batch_size": 64, "samples_per_update": 32, "capacity": 80_000},
        ),
        "ac": ("battle-released-ac", {}, {}),
    },
    "appendix": {name: (f"battle-{name}", {}, {}) for name in ("mf-q", "mf-ac")},
}
TFLOP, GFLOPS, AT_BEST = "TFLOP a round", "GFLOP/s in large products", "seconds at that rate"
PEER = "MF-Q, released-code, float32: a plain PyTorch program"
REPEATS = 3  # the best of so many rounds counts: what else the machine does only adds
SHOWN = (
    ("mf-q", "released-code", "32"),
    ("mf-q", "released-code", "bf16-mixed"),
    ("ac", "released-code", "32"),
    ("ac", "released-code", "bf16-mixed"),
    ("mf-q", "appendix", "bf16-mixed"),
    ("mf-ac", "appendix", "bf16-mixed"),
)
PARTS: dict[str, list[tuple[type, str]]] = {
    "engine": [(Battles, "observe"), (Battles, "step"), (Battles, "reset")],
    "acting": [(BattleAgent, "act")],
    "storing": [(ArmyReplay, "push"), (ArmyReplay, "end")],
    "minibatches": [(ArmyReplay, "numbers"), (ArmyReplay, "transitions")],
}

# Training of the committed results: bf16-mixed, the appendix's settings. Epsilon falls from 1 to 0.05, and the less is
# drawn at random, the more a network chooses.
AGAINST = {
    f"{NAMES[name]}, {size} against {size}{'' if epsilon is None else f', epsilon {epsilon:g}'}": Case(
        "round", "battle_round", (size, "appendix", name, "bf16-mixed", epsilon)
    )
    for size in (64, 144, 256)
    for name, epsilon in (("mf-q", 1.0), ("mf-q", 0.05), ("mf-ac", None))
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    given = asked(__doc__, ("battle-memory", "battle", "battle-arithmetic"), arguments, AGAINST)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"torch {torch.__version__}, one thread, seconds of CPU time a round\n")
    # Memory first: a process begins with the peak of the one that started it.
    if "battle-memory" in given.tables:
        peaks = [alone(memory, name) for name in ("mf-q", "mf-ac")]
        show("Memory under the settings of the appendix", peaks)
        given.record("battle-memory", {NAMES[str(row["algorithm"])]: memory_cells(row) for row in peaks})
    if "battle" in given.tables:
        rows = [round_times(settings, name, precision) for name, settings, precision in SHOWN]
        show("Rounds", rows)
        peer = peer_times()
        show(PEER, [peer])
        measured = {row_name(*key): cells(row) for key, row in zip(SHOWN, rows, strict=True)}
        given.record("battle", {**measured, PEER: cells(peer)})
    if "battle-arithmetic" in given.tables:
        bounds = [arithmetic(*key) for key in SHOWN]
        show("Arithmetic of a round", bounds)
        given.record(
            "battle-arithmetic", {row_name(*key): bound_cells(row) for key, row in zip(SHOWN, bounds, strict=True)}
        )


def row_name(name: str, settings: str, precision: str) -> str:
    """A case in words."""
    return f"{NAMES[name]}, {settings}, {'float32' if precision == '32' else precision}"


def cells(row: Mapping[str, object]) -> dict[str, str]:
    """A row of `round_times` as docs/speed.md shows it."""
    seconds = {part: f"{row[part]:.{2 if part == 'storing' else 1}f}" for part in (*PARTS, "learning", "all")}
    return {**seconds, "processor": cpu_model()}


def memory_cells(row: Mapping[str, object]) -> dict[str, str]:
    """A row of `memory` as docs/speed.md shows it."""
    return {
        "stored transitions": str(row["stored"]),
        **{name: digits(row[name], 2) for name in ("replay MB", "peak MB")},
    }


def bound_cells(row: Mapping[str, object]) -> dict[str, str]:
    """A row of `arithmetic` as docs/speed.md shows it."""
    numbers = {name: digits(row[name], 2) for name in (TFLOP, GFLOPS, AT_BEST)}
    return {**numbers, "processor": cpu_model()}


def round_times(settings: str, name: str, precision: str) -> dict[str, object]:
    """Seconds of a full round in all and by what they are spent on, in the best of several."""
    agent, data = parts(settings, name)
    rounds = [one_round(agent, data, precision) for _ in range(REPEATS)]
    best = dict(min(rounds, key=lambda times: times["all"]))
    best["learning"] = best["all"] - sum(best[part] for part in PARTS)
    row: dict[str, object] = {"settings": settings, "algorithm": name, "precision": precision}
    return row | {part: best[part] for part in (*PARTS, "learning", "all")}


def one_round(agent: BattleAgent, data: SelfPlay, precision: str) -> dict[str, float]:
    """Play and learn from a round, as Lightning does: under autocast without a cache if the precision is mixed."""
    times: dict[str, float] = defaultdict(float)
    with (
        timed(times, type(agent)),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed", cache_enabled=False),
    ):
        started = time.process_time()
        agent.training_step(data.play, 0)
        times["all"] = time.process_time() - started
    assert int(data.battles.steps) == data.environment.max_steps, "a full round"
    return times


@contextmanager
def timed(times: dict[str, float], agent: type[BattleAgent]) -> Iterator[None]:
    """Add up the CPU time that each part takes. What a part calls of another counts as its own."""
    inside: list[str] = []

    def watched(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if inside:
                return function(*arguments, **named)
            inside.append(part)
            started = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                times[part] += time.process_time() - started
                inside.pop()

        return call

    with ExitStack() as stack:
        for part, methods in PARTS.items():
            for owner, name in methods:
                of = agent if owner is BattleAgent else owner
                stack.enter_context(patch.object(of, name, watched(part, getattr(of, name))))
        yield


def arithmetic(name: str, settings: str, precision: str) -> dict[str, object]:
    """The operations of a full round, counted as torch makes them, and how long this core's fastest would take."""
    with FlopCounterMode(display=False) as counted:
        one_round(*parts(settings, name), precision)
    operations, rate = counted.get_total_flops(), fastest(torch.float32 if precision == "32" else torch.bfloat16)
    row: dict[str, object] = {"algorithm": name, "settings": settings, "precision": precision}
    return row | {TFLOP: operations / 1e12, GFLOPS: rate / 1e9, AT_BEST: operations / rate}


def fastest(kind: torch.dtype) -> float:
    """Operations a second of CPU time in products of large matrices, the best of several."""
    size = 2048
    one, other = torch.ones(size, size, dtype=kind), torch.ones(size, size, dtype=kind)
    seconds = []
    for _ in range(REPEATS + 1):
        started = time.process_time()
        torch.mm(one, other)
        seconds.append(time.process_time() - started)
    return 2 * size**3 / min(seconds)


def memory(name: str) -> dict[str, object]:
    """Peak memory of a process that trains until its replay buffer has been full for some rounds."""
    agent, data = parts("appendix", name)
    replay = data.make_replay(agent, data.capacity)
    while len(replay) < data.capacity - data.environment.agents:
        data.play_and_store(agent, replay)
    with patch.object(data, "_replay", SimpleNamespace(of=lambda _: replay)):
        agent.training_step(data.play, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"algorithm": name, "stored": len(replay), "replay MB": replay.nbytes / 2**20, "peak MB": peak}


def parts(settings: str, name: str) -> tuple[Any, Any]:
    """An agent, whose optimizer it finds without a Trainer, and its data module."""
    algorithm, agent_arguments, data_arguments = CASES[settings][name]
    cls: Any = algorithm_class(algorithm, "battle")
    agent = cls(Battle(64), (0,), **agent_arguments)
    optimizer = agent.configure_optimizers()
    agent.optimizers = lambda use_pl_optimizer: optimizer
    return agent, cls.data_module(Battle(64), (0,), steps=2000, evaluations=100, **data_arguments)


if __name__ == "__main__":
    main()

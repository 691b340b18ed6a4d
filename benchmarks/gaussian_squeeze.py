"""Speed and memory of Gaussian Squeeze: `python benchmarks/gaussian_squeeze.py [--out FILE]` prints the tables.

Joint steps a second of CPU time on one thread, under Lightning's Trainer and in a bare loop of the same play and the
same gradient steps; what stacking seeds gains; memory over a long run; and a joint step with a million agents. The
first two, `--tables gaussian-squeeze`, go to --out, where docs/speed.md has them from: benchmarks/speed.csv.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import psutil
import torch
from against import Case
from measuring import alone, asked, digits, fit, show
from torch.optim import Optimizer

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.stateless import StatelessAgent
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.names import NAMES

Row = Mapping[str, object]
ORDER = ("il", "fmq", "rec-fmq", "mf-q", "ac", "mf-ac", "maac")
SECONDS = 0.7  # each measurement takes about so long
REPEATS = 5  # the best of so many counts: what else the machine does only adds

AGAINST = {
    **{
        f"{NAMES[name]}, N = 1000, one seed": Case("joint steps", "rate", ("lightning", 1, name, 1000, 1, 300))
        for name in ("il", "mf-q", "mf-ac")
    },
    **{
        f"{NAMES[name]}, N = 1000, 16 stacked seeds": Case("joint steps", "rate", ("bare", 16, name, 1000, 16, 200))
        for name in ("il", "mf-q", "mf-ac")
    },
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print all tables."""
    given = asked(__doc__, ("gaussian-squeeze", "memory"), arguments, AGAINST)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread\n")
    if "gaussian-squeeze" in given.tables:
        speeds = [speed(name, agents) for agents in (100, 500, 1000) for name in ALGORITHMS["stateless"]]
        show("Joint steps a second", speeds)
        small = [stacking(name, 100) for name in ALGORITHMS["stateless"] if name != "maac"]
        show("Sixteen stacked seeds, N = 100", small)
        large = [stacking(name, 1000) for name in ("il", "mf-q", "mf-ac")]
        show("Sixteen stacked seeds, N = 1000", large)
        given.record("gaussian-squeeze", cells(speeds, small, large))
    if "memory" in given.tables:
        show("Memory over a run of MF-Q, N = 1000", [alone(long_run)])
        show("A million agents", [alone(million, name) for name in ("il", "mf-q")])


def cells(*tables: Sequence[Row]) -> dict[str, dict[str, str]]:
    """The rows of `speed`, and of `stacking` with 100 and with 1000 agents, as one table."""
    speeds, small, large = tables
    rows: dict[str, dict[str, str]] = {NAMES[name]: {} for name in ORDER}
    for row in speeds:
        rows[NAMES[str(row["algorithm"])]][f"N = {row['agents']}"] = digits(row["Lightning"], 3)
    for stacked, agents, gain in ((small, 100, "gain"), (large, 1000, "gain at N = 1000")):
        for row in stacked:
            columns = rows[NAMES[str(row["algorithm"])]]
            columns |= {f"16 seeds, N = {agents}": digits(row["16 seeds"], 3), gain: digits(row["gain"], 2)}
    return rows


def speed(name: str, agents: int) -> dict[str, object]:
    """One seed under the Trainer and in a bare loop; the overhead compares the same number of steps."""
    steps = 50 * max(1, round(SECONDS * bare(name, agents, 1, 100) / 50))
    turns = [(bare(name, agents, 1, steps), lightning(name, agents, 1, steps)) for _ in range(REPEATS)]
    loop, trainer = (max(rates) for rates in zip(*turns, strict=True))
    return {"algorithm": name, "agents": agents, "bare loop": loop, "Lightning": trainer, "overhead": loop / trainer}


def stacking(name: str, agents: int) -> dict[str, object]:
    """Throughput, joint steps a second times seeds, of 1 and of 16 seeds."""
    throughput = {}
    for seeds in (1, 16):
        steps = 50 * max(1, round(SECONDS * bare(name, agents, seeds, 100) / 50))
        throughput[seeds] = max(bare(name, agents, seeds, steps) for _ in range(REPEATS)) * seeds
    return {
        "algorithm": name,
        "1 seed": throughput[1],
        "16 seeds": throughput[16],
        "gain": throughput[16] / throughput[1],
    }


def long_run() -> dict[str, object]:
    """Resident memory after a quarter and at the end of a run that has long filled its replay buffer."""
    agent, data = parts("mf-q", 1000, 1, steps=8000)
    optimizers = optimizers_of(agent)
    memory = []
    for _ in range(4):
        agent.learn(lambda policy: data.play(policy, 2000), optimizers)
        memory.append(psutil.Process().memory_info().rss / 2**20)
    return {"steps": 8000, "MB after a quarter": memory[0], "MB at the end": memory[-1]}


def million(name: str) -> dict[str, object]:
    """Time of a joint step and of its gradient step, and peak memory, with 10^6 agents."""
    agents, steps = 1_000_000, 10
    agent, data = parts(name, agents, 1, steps, samples_per_update=agents)
    optimizers = optimizers_of(agent)
    started = time.process_time()
    agent.learn(lambda policy: data.play(policy, steps), optimizers)
    seconds = (time.process_time() - started) / steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"algorithm": name, "seconds a joint step": seconds, "peak MB": peak}


def bare(name: str, agents: int, seeds: int, steps: int) -> float:
    """Joint steps a second of a loop without Lightning."""
    agent, data = parts(name, agents, seeds, steps)
    optimizers = optimizers_of(agent)
    started = time.process_time()
    for play in data.train_dataloader():
        agent.learn(play, optimizers)
    for evaluate in data.val_dataloader():
        agent.validation_step(evaluate, 0)
    return steps / (time.process_time() - started)


def lightning(name: str, agents: int, seeds: int, steps: int) -> float:
    """Joint steps a second of `Trainer.fit`."""
    return steps / fit(*parts(name, agents, seeds, steps))


def parts(name: str, agents: int, seeds: int, steps: int, **data: Any) -> tuple[StatelessAgent, ReplayDataModule]:
    """An agent and its data module with the defaults, which are the appendix's; MAAC as the script runs it."""
    if name == "maac":
        data["agents_per_joint_step"] = next(n for n in (1, 2, 4, 5, 8, 10, 20) if n >= agents / 50)
    game = GaussianSqueeze.scaled(agents) if agents > 1000 else GaussianSqueeze(agents)
    module = ReplayDataModule(game, range(seeds), steps=steps, evaluations=1, evaluation_steps=5, **data)
    cls = cast(type[StatelessAgent], algorithm_class(name, "stateless"))
    return cls(game, range(seeds)), module


def optimizers_of(agent: StatelessAgent) -> list[Optimizer]:
    """What Lightning would make of `configure_optimizers`."""
    optimizers = agent.configure_optimizers()
    return optimizers if isinstance(optimizers, list) else [optimizers]  # type: ignore[list-item]


if __name__ == "__main__":
    main()

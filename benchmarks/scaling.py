"""How long all results take on many workers: `python benchmarks/scaling.py` prints a table.

With `--out benchmarks` it also writes the table and its figure there, where the committed ones lie.

The jobs are those that results/*/provenance.json records, each with the time it took there (`compute_seconds`), for 5,
20 and 100 seeds: the seeds of a setting come in stacks of the recorded size, and a seed takes the same time in each.
They are dealt out as `--launcher slurm` does, by their times in place of their sizes: first all trainings and
measurements, then the duels of the trained armies, whose number does not depend on the seeds. A worker starts up once
in each phase; that time is measured, and the wait for a cluster's nodes is not in it.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from measuring import show

from mfmarl.jobs.workers import PRELOADED
from mfmarl.scripting.provenance import compute_seconds

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = (5, 20, 100)
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
REPEATS = 3  # the best of so many starts counts: what else the machine does only adds


class Setting(NamedTuple):
    """What is trained alike but for the seed.

    name     of its jobs, without the seeds
    together seeds of a job, at most
    seconds  of a seed
    """

    name: str
    together: int
    seconds: float


def main() -> None:
    """Print the table; with --out also write and draw it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, help="folder that gets scaling.csv and scaling.png; default: none")
    out = parser.parse_args().out
    if out is not None and not out.is_dir():
        parser.error(f"out: got {out}, allowed is a folder")
    settings, once, duels = recorded()
    start = start_up()
    rows = [row(settings, once, duels, seeds, workers, start) for seeds in SEEDS for workers in WORKERS]
    show(f"All results on many workers, each of which takes {start:.1f} s to start", rows)
    if out is not None:
        table = pd.DataFrame(rows)
        table.round(3).to_csv(out / "scaling.csv", index=False)
        draw(table, out / "scaling.png")


def recorded() -> tuple[list[Setting], dict[str, float], dict[str, float]]:
    """The settings with seeds, and the seconds of other jobs and of duels, by name."""
    seeded: dict[str, list[tuple[int, float]]] = defaultdict(list)
    once, duels = {}, {}
    for path in sorted(RESULTS.glob("*/provenance.json")):
        for name, seconds in compute_seconds(path.parent).items():
            stack = re.fullmatch(r"(.+)-seeds-(\d+)-(\d+)", name)
            if stack:
                seeded[f"{path.parent.name}: {stack[1]}"].append((int(stack[3]) - int(stack[2]) + 1, seconds))
            elif name.startswith("duel-"):
                duels[name] = seconds
            else:
                once[name] = seconds
    settings = []
    for name, stacks in seeded.items():
        together = max(count for count, _ in stacks)
        if together < 100:
            seconds = sum(seconds for _, seconds in stacks) / sum(count for count, _ in stacks)
            settings.append(Setting(name, together, seconds))
        else:  # the thousand runs of a matrix game, whatever the seeds of the others
            once |= {name: sum(seconds for _, seconds in stacks)}
    return settings, once, duels


def row(
    settings: list[Setting],
    once: dict[str, float],
    duels: dict[str, float],
    seeds: int,
    workers: int,
    start: float,
) -> dict[str, object]:
    """A line of the table."""
    jobs = dict(once)
    for setting in settings:
        for first in range(0, seeds, setting.together):
            count = min(setting.together, seeds - first)
            jobs[f"{setting.name}-seeds-{first}-{first + count - 1}"] = count * setting.seconds
    total = sum(jobs.values()) + sum(duels.values())
    seconds, bound = 0.0, []
    for phase in (jobs, duels):
        longest = max(phase, key=lambda name: phase[name])
        taken = makespan(list(phase.values()), workers)
        seconds += start + taken
        bound.append(longest.partition("-seeds-")[0] if taken <= phase[longest] else "all jobs together")
    return {
        "seeds": seeds,
        "workers": workers,
        "core_hours": total / 3600,
        "hours": seconds / 3600,
        "times_faster": (total + 2 * start) / seconds,
        "training_bound_by": bound[0],
        "tournament_bound_by": bound[1],
    }


def makespan(seconds: list[float], workers: int) -> float:
    """When the last worker is done, the longest jobs first, each to the worker with the least so far."""
    loads = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        loads[loads.index(min(loads))] += each
    return max(loads)


def start_up() -> float:
    """Seconds of CPU time that a worker's process takes until it can train."""
    times = []
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", f"import {PRELOADED}"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw hours over workers, a line for each number of seeds, beside what they were if nothing bounded them."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of the backend

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for number, (seeds, some) in enumerate(table.groupby("seeds")):
        axes.plot(some["workers"], some["hours"], marker="o", color=f"C{number}", label=f"{seeds} seeds")
        axes.plot(some["workers"], some["core_hours"] / some["workers"], color=f"C{number}", linestyle=":")
    axes.set(
        xscale="log", yscale="log", xlabel="workers", ylabel="hours", title="All results (dotted: core-hours / workers)"
    )
    axes.set_xticks(WORKERS, [str(each) for each in WORKERS])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    main()

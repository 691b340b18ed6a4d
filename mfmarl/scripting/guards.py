"""Refusals before jobs start: what they would write does not match what a table already holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from mfmarl.custom import is_in_file
from mfmarl.jobs.job import Job, TrainingJob
from mfmarl.scripting.options import Options
from mfmarl.scripting.tables import read_calls, read_table


def check_update(
    path: Path, jobs: Sequence[Job], cell: Sequence[str], options: Options, numbers: Sequence[str] = ()
) -> None:
    """Refuse jobs whose rows do not match those already in the table for the same cell; called before the jobs start.

    Other seeds of a cell stay in the table, so fewer seeds delete nothing; another number of steps or evaluations and
    another precision are refused. A table that counts runs instead of naming seeds needs at least as many runs as
    before. The table in the script's own folder is committed: it refuses custom methods and, without --extend, new
    cells.

    Args:
        path: the table.
        jobs: jobs whose rows will be written to the table.
        cell: columns that identify runs that differ only in the seed.
        options: options of the call.
        numbers: further columns that the table must have, see `results.read_result`; a table of another script lacks
            them.

    Raises:
        ValueError: jobs are refused, or the table is of another script; the message suggests another --out.
    """
    if not path.exists():
        return
    held = read_table(path, [*cell, *numbers])
    check_provenance(path, jobs, options)
    check_code(path, [job for job in jobs if isinstance(job, TrainingJob)])
    for key, own in planned(jobs).groupby(list(cell)):
        name = ", ".join(map(str, key))
        if options.committed and own["custom"].any():
            custom = own["algorithm"].iloc[0]
            raise ValueError(f"algorithms: got {custom}, but {path} is committed; name another --out")
        earlier = held[(held[list(cell)] == list(key)).all(axis=1)]
        if earlier.empty and options.committed and not options.extend:
            raise ValueError(f"out: {path} is committed and holds no {name}; name another --out, or --extend it")
        if "seed" not in held.columns and (most := earlier["runs"].max()) > own["seed"].nunique():
            raise ValueError(f"seeds: {path} counts {most} runs of {name}: make as many, or name another --out")
        if "step" in held.columns:
            budgets = set(earlier.groupby("seed")["step"].agg(["max", "count"]).itertuples(index=False, name=None))
            for steps, evaluations in budgets - {(own["step"].iloc[0], own["evaluations"].iloc[0])}:
                raise ValueError(
                    f"out: {path} holds {name} with {steps} steps and {evaluations} evaluations, and this call would "
                    f"bring {own['step'].iloc[0]} and {own['evaluations'].iloc[0]}; name another --out"
                )


def check_provenance(path: Path, jobs: Sequence[Job], options: Options) -> None:
    """Refuse jobs whose like, by provenance.json, were done for this table in another precision or with other --method.

    Raises:
        ValueError: a job is refused; the message suggests another --out.
    """
    given = json.loads(json.dumps(options.method))
    calls = read_calls(path.parent / "provenance.json")
    done = [(call, known) for call in calls for known in call["jobs"].values()]
    for job, (call, known) in product(jobs, done):
        if known.get("labels") != dict(job.labels):
            continue
        held = f"{path} holds {', '.join(map(str, job.labels.values()))}"
        precision = known.get("precision", options.precision)
        if precision != options.precision:
            raise ValueError(
                f"precision: {held} in {precision}, and this call would bring {options.precision}; "
                f"pass --precision {precision}, or name another --out"
            )
        method = {name: each["value"] for name, each in call["settings"].get("method", {}).items()}
        if isinstance(job, TrainingJob) and is_in_file(job.algorithm) and method != given:
            raise ValueError(
                f"method: {held} with {told_method(method)}, and this call would bring {told_method(given)}; "
                "name another --out"
            )


def check_code(path: Path, jobs: Sequence[TrainingJob]) -> None:
    """Refuse a custom method that was edited since other seeds than those of the jobs were trained for this table.

    Raises:
        ValueError: such a seed; the message suggests to train it again, or another --out.
    """
    latest: dict[tuple[str, int], object] = {}
    for call in read_calls(path.parent / "provenance.json"):
        for known in (known for known in call["jobs"].values() if "code" in known):
            latest |= {(repr(known["labels"]), seed): known["code"] for seed in known["seeds"]}
    again = {(repr(dict(job.labels)), seed) for job in jobs for seed in job.seeds}
    for job in jobs:
        own = repr(dict(job.labels))
        others = {seed: code for (labels, seed), code in latest.items() if labels == own and (own, seed) not in again}
        now = job.code if others else {}
        if edited := [seed for seed, code in others.items() if code != now]:
            raise ValueError(
                f"algorithms: {job.algorithm} was edited since seed {edited[0]} of {path} was trained; "
                "train that seed too, or name another --out"
            )


def told_method(method: Mapping[str, object]) -> str:
    """The values of --method in words."""
    return ", ".join(f"{name} {value}" for name, value in method.items()) or "no --method"


def planned(jobs: Sequence[Job]) -> pd.DataFrame:
    """One row per run of the jobs: its labels, its length, and whether its method is custom."""
    rows = [
        {
            **job.labels,
            **run,
            "step": job.steps,
            "evaluations": job.evaluations,
            "custom": is_in_file(job.algorithm),
        }
        for job in jobs
        if isinstance(job, TrainingJob)
        for run in job.runs
    ]
    return pd.DataFrame(rows)

"""What --dry-run prints: all jobs, how much of them is done, and where the others would run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqdm import tqdm

from mfmarl.jobs import slurm
from mfmarl.jobs.console import aligned, counted
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.job import Job
from mfmarl.jobs.workers import Place

STATES = {"rows": "done", "checkpoint": "goes on from its checkpoint", "nothing": "begins"}


def listing(
    jobs: Sequence[Job],
    states: Mapping[str, str],
    places: Sequence[Place],
    execution: Execution,
    limits: Mapping[str, str] | None = None,
) -> str:
    """A table of all jobs, and below it their number and where those that are not done would run.

    Args:
        jobs: all jobs, in any order.
        states: what earlier calls have left of each job by its name, see `folder.found`.
        places: one place for each worker.
        execution: how to run the jobs.
        limits: configuration of the cluster, see `slurm.check`. None: the jobs would run on this machine.
    """
    ordered = sorted(jobs, key=lambda job: -job.work)
    rows = [[job.name, f"{amount(job.work)} {job.unit}", STATES[states[job.name]]] for job in ordered]
    left = [job for job in ordered if states[job.name] != "rows"]
    counts = f"{counted(len(jobs), 'job')}, {len(jobs) - len(left)} of them done"
    if left:
        where = here(places, len(left)) if limits is None else on_slurm(left, places, execution, limits)
        counts += f"; the others are {work_of(left)}, on {where}"
    return "\n".join([aligned([["job", "work", "state"], *rows]), counts])


def work_of(jobs: Sequence[Job]) -> str:
    """The sum of the jobs' work in each unit, in words."""
    units = dict.fromkeys(job.unit for job in jobs)
    return ", ".join(f"{amount(sum(job.work for job in jobs if job.unit == unit))} {unit}" for unit in units)


def amount(number: int) -> str:
    """A number as the progress bar writes it, e.g. 10.6G."""
    return tqdm.format_sizeof(number) if number >= 1000 else str(number)


def here(places: Sequence[Place], jobs: int) -> str:
    """This machine's part in doing so many jobs."""
    hardware = places[0].hardware
    count = min(len(places), jobs)
    gpus = counted(len({each.hardware.device for each in places[:count]}), "GPU")
    kind = gpus if hardware.accelerator == "gpu" else "CPUs"
    threads = f"{counted(hardware.threads, 'thread')} each"
    return f"{counted(count, 'worker')} of this machine ({kind}, {threads})"


def on_slurm(jobs: Sequence[Job], places: Sequence[Place], execution: Execution, limits: Mapping[str, str]) -> str:
    """The array that these jobs would be, with what each of its tasks asks for."""
    tasks, places = slurm.dealt_out(jobs, places, execution, limits)
    asked = slurm.parameters("", places, execution)
    words = [counted(asked["cpus_per_task"], "CPU")]
    words += [counted(asked["gpus_per_node"], "GPU")] if "gpus_per_node" in asked else []
    words += [f"{name} {asked[name]}" for name in ("mem", "partition", "account") if name in asked]
    words.append(f"at most {asked['time']} minutes")
    return f"Slurm: {counted(len(tasks), 'task')}, each with {', '.join(words)}"

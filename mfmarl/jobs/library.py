"""Train from Python with `train`: in a script, in a notebook, or at the prompt.

from mfmarl import GaussianSqueeze, MFQ, train
curves = train(MFQ, GaussianSqueeze(agents=100), seeds=range(8), steps=8000, evaluations=40, learning_rate=1e-3)
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import pandas as pd

from mfmarl.algorithms import ALGORITHMS, BASES, Kind, agent_of_seeds, algorithm_class
from mfmarl.algorithms.constructors import divided
from mfmarl.arguments import integer
from mfmarl.custom import (
    FILE_MODULE,
    is_in_file,
    is_ours,
    name_in_file,
    staying_here,
)
from mfmarl.data.rounds import check_positive
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.environments import Battle, Environment, Game, Ising
from mfmarl.environments.ising_arguments import temperature_tuple
from mfmarl.jobs.armies import keep_all, seeds_together
from mfmarl.jobs.computing import one_at_a_time
from mfmarl.jobs.digests import sources_of
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.folder import folder
from mfmarl.jobs.job import CustomJob, Label, TrainingJob, job_name
from mfmarl.jobs.launch import launch
from mfmarl.seeds import seed_numbers
from mfmarl.values import class_name, classes_in, encode

if TYPE_CHECKING:
    from mfmarl.algorithms.agent import Agent

SEEDS_TOGETHER = 8  # trained as one stack, for any number of workers, so that jobs stay the same


@overload
def train(
    algorithm: type[Agent] | str,
    environment: Game,
    seeds: Iterable[int],
    *,
    steps: int,
    evaluations: int,
    out: str | Path | None = None,
    execution: Execution | None = None,
    keep: Literal[False] = ...,
    **arguments: Any,
) -> pd.DataFrame: ...


@overload
def train(
    algorithm: type[Agent] | str,
    environment: Game,
    seeds: Iterable[int],
    *,
    steps: int,
    evaluations: int,
    out: str | Path | None = None,
    execution: Execution | None = None,
    keep: Literal[True],
    **arguments: Any,
) -> tuple[pd.DataFrame, list[Any]]: ...


def train(
    algorithm: type[Agent] | str,
    environment: Game,
    seeds: Iterable[int],
    *,
    steps: int,
    evaluations: int,
    out: str | Path | None = None,
    execution: Execution | None = None,
    keep: bool = False,
    **arguments: Any,
) -> pd.DataFrame | tuple[pd.DataFrame, list[Any]]:
    """Train an algorithm on a game, and return its learning curves.

    Results are those of a `TrainingJob`: a seed gives the same rows however seeds are stacked or distributed.

    Args:
        algorithm: a class, either of this package or a custom one, which may be defined in the calling script or
            notebook; or a name, either `path/to/file.py:Class` or one like `mf-q`, which means MFQ, TabularMFQ or
            BattleMFQ depending on the game.
        environment: the game, a dataclass.
        seeds: seeds, with one independent run each; the runs train side by side. On a CPU, seeds of Battle train one
            after the other. On a GPU, 16 seeds of a Battle method of this package are stacked, which changes rounding;
            with a custom method each seed is a job of its own.
        steps: length of each run in joint steps, sweeps of an Ising lattice, or rounds of Battle.
        evaluations: number of evaluations of each run, evenly spread; must divide `steps`.
        out: folder that keeps results, so that the same call resumes where it stopped, and returns at once when all
            is done. Each job has its folder and log in `out`/jobs; armies of Battle are copied to `out`/policies. A
            custom class is identified by its code and the plain values that it names, so that an edit of either trains
            anew. None: nothing is kept.
        execution: how to run: workers, device, precision. None: in this process.
        keep: return the trained agents too; the rows do not change. With `out` their files stay in the jobs' folders.
        **arguments: keyword arguments of the constructors of the algorithm and its data module.

    Returns:
        One row per evaluation and run: algorithm, agents, temperature (Ising only), seed, step, and scores. With
        `keep`, the rows and the trained agents: one for every eight seeds, listed in its `seeds`; in Battle one per
        seed.

    Raises:
        ValueError: an argument is not allowed; the message is one line that says what is.
        JobsFailedError: a job failed on a worker. If it failed in this process, its exception is raised unchanged.
    """
    kind = check_game(environment)
    cls, name = found(algorithm, kind)
    numbers = seed_numbers(seeds)
    execution = Execution(workers=1) if execution is None else execution
    if not isinstance(out, str | Path | None):
        raise ValueError(f"out must be a path or None, got {out!r}")
    if not isinstance(execution, Execution):
        raise ValueError(f"execution must be an Execution such as Execution(workers=2), got {execution!r}")
    if execution.dry_run:
        raise ValueError("execution: got dry_run, which only the scripts offer")
    unread = {"neighbourhood", "stored_mean_action"} & set(arguments)
    if unread and not getattr(cls, "uses_mean_action", True):
        raise ValueError(f"{min(unread)}: got one for {cls.__name__}, which sees no mean action: leave it out")
    agent, data = divided(cls, {**arguments, "steps": steps, "evaluations": evaluations})
    conditions: tuple[Mapping[str, float], ...] = ({},)
    if kind == "lattice":
        # A single temperature may be given as a number.
        temperatures = temperature_tuple(np.atleast_1d(agent["temperatures"]))
        if len(set(temperatures)) < len(temperatures):
            raise ValueError(f"temperatures must be distinct, got {list(temperatures)}")
        conditions = tuple({"temperature": each} for each in temperatures)
        agent |= {"temperatures": temperatures}
        data |= {"temperatures": temperatures}
    with one_at_a_time, staying_here():
        check_made(cls, environment, numbers[:1], agent, data)
    labels: dict[str, Label] = {"algorithm": label_of(cls), "agents": environment.agents}
    classes = [cls, *classes_in([environment, *arguments.values()])]
    sources = sources_of(classes)

    def job(block: tuple[int, ...]) -> TrainingJob:
        what = (job_name(*labels.values(), seeds=block), labels, name, environment, block, agent, data, conditions)
        if not sources:
            return TrainingJob(*what, keep)
        return CustomJob(*what, keep, cls=None if is_in_file(name) else cls, sources=sources)

    if keep:
        check_kept(cls, {"environment": environment, **agent})
    if out is None and execution.logger in ("csv", "tensorboard"):
        raise ValueError(f"execution: got logger {execution.logger}, whose files lie in out: give one")
    execution = checked_execution(execution, classes[is_in_file(name) :])
    with kept(out) as directory:
        together = seeds_together(cls, execution) if kind == "battle" else SEEDS_TOGETHER
        jobs = [job(numbers[first : first + together]) for first in range(0, len(numbers), together)]
        rows = pd.concat(launch(jobs, directory, execution, interactive=True))
        for job_done in jobs if out is not None and kind == "battle" else ():
            keep_all(job_done, folder(job_done, directory, execution.precision), directory)
        trained = [one for each in jobs if keep for one in trained_by(each, directory, execution.precision, classes)]
    rows = rows.sort_values(jobs[0].keys, ignore_index=True)
    return (rows, trained) if keep else rows


def check_game(environment: object) -> Kind:
    """The kind of a game: stateless, lattice or battle.

    Raises:
        ValueError: `environment` is not a game.
    """
    if isinstance(environment, type) or not is_dataclass(environment):
        got = f"the class {environment.__name__}" if isinstance(environment, type) else repr(environment)
        raise ValueError(f"environment must be a dataclass such as GaussianSqueeze(agents=100), got {got}")
    if isinstance(environment, Ising):
        return "lattice"
    if isinstance(environment, Battle):
        return "battle"
    needed = ("agents", "actions", "draws", "reward")
    lacking = [each for each in needed if not hasattr(environment, each)]
    if lacking:
        raise ValueError(f"environment must have {', '.join(needed)}; {environment!r} lacks {', '.join(lacking)}")
    game = cast(Environment, environment)
    check_positive(agents=game.agents, actions=game.actions)
    integer("environment: draws", game.draws, 0)
    return "stateless"


def found(algorithm: type[Agent] | str, kind: Kind) -> tuple[type[Agent], str]:
    """The class and the name of an algorithm.

    Raises:
        ValueError: there is no such algorithm, or it does not play such games.
    """
    if isinstance(algorithm, str):
        called = {label_of(algorithm_class(name)): name for name in ALGORITHMS[kind]}
        name = called.get(algorithm, algorithm)
        return algorithm_class(name, kind), name
    if not isinstance(algorithm, type):
        raise ValueError(" ".join(f"algorithm must be a class or a name, got {algorithm!r}".split()))
    if getattr(algorithm, "kind", None) != kind:
        base = BASES[kind].partition(":")[2]
        raise ValueError(f"algorithm: {algorithm.__name__} does not play such a game, allowed are subclasses of {base}")
    if not hasattr(algorithm, "data_module"):
        raise ValueError(f"algorithm: {algorithm.__name__} names no data_module, as ReplayingAgent does: extend that")
    if algorithm.__module__.startswith(FILE_MODULE):
        return algorithm, name_in_file(algorithm)
    place = f"{algorithm.__module__}:{algorithm.__qualname__}"
    return algorithm, next((known for known, its in ALGORITHMS[kind].items() if its == place), place)


def label_of(cls: type[Agent]) -> str:
    """Label of an algorithm in the rows: the paper's name, or the name of a custom class."""
    return str(vars(cls).get("called", cls.__name__))


def check_made(
    cls: type[Agent],
    environment: Game,
    seeds: tuple[int, ...],
    agent: Mapping[str, Any],
    data: Mapping[str, Any],
) -> None:
    """Create the agent and its data module once, so that bad arguments are refused before any folder or worker exists.

    Raises:
        ValueError: an argument is not allowed, or training would make no gradient step.
    """
    agent_of_seeds(cls, environment, seeds, **agent)
    module = cls.data_module(environment, seeds, **data)
    if isinstance(module, ReplayDataModule) and not module.gradient_steps:
        samples = module.steps * module.environment.agents
        raise ValueError(
            f"steps: got {module.steps}, in which nothing would be learned: {module.environment.agents} agents see "
            f"{samples} transitions, and a gradient step is due every {module.samples_per_update} (samples_per_update)"
        )


def checked_execution(execution: Execution, classes: Iterable[type]) -> Execution:
    """Return `execution`, with a single worker if other processes cannot import one of `classes`, e.g. of a notebook.

    Raises:
        ValueError: several workers, or Slurm, are requested in this case.
    """
    stray = [cls.__qualname__ for cls in classes if not findable(cls)]
    if not stray:
        return execution
    if execution.launcher == "local" and execution.workers in (1, "auto"):
        return replace(execution, workers=1)
    asked = f"workers {execution.workers}" if execution.launcher == "local" else f"launcher {execution.launcher}"
    raise ValueError(
        f"execution: got {asked}, but other processes cannot import {stray[0]}, which this script or notebook "
        "defines: move it to a module, or leave workers at 1"
    )


def findable(cls: type) -> bool:
    """Whether other processes can import a class, i.e. it is not defined in this script, a notebook or a function."""
    module = cls.__module__
    return module != "__main__" and not module.startswith(FILE_MODULE) and "<locals>" not in cls.__qualname__


def check_kept(cls: type[Agent], arguments: Mapping[str, Any]) -> None:
    """Raise ValueError unless a file can hold a trained agent of this class, so that `keep` can return it."""
    try:
        if not is_ours(cls):
            class_name(cls)
        encode(arguments)
    except ValueError as error:
        raise ValueError(f"keep: no file can hold a trained {cls.__name__}: {error}") from error


def trained_by(job: TrainingJob, out: Path, precision: str, classes: Sequence[type]) -> list[Any]:
    """Load the trained agents of a job: a Policy for each seed of Battle, one Agent for other games."""
    # Imported here since Lightning takes seconds to import, as in `TrainingJob.do`.
    from mfmarl.algorithms.saved import load_agent  # noqa: PLC0415
    from mfmarl.policies import Policy  # noqa: PLC0415

    load = Policy.load if isinstance(job.environment, Battle) else load_agent
    return [load(folder(job, out, precision) / file, classes=classes) for file in job.files]


@contextmanager
def kept(out: str | Path | None) -> Iterator[Path]:
    """Yield the directory `out`, or a temporary one if it is None."""
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="mfmarl-") as directory:
        yield Path(directory)

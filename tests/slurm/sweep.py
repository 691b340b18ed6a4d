"""A script as those in reproduce/, of jobs so long that something can happen to them: python -m tests.slurm.sweep."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from mfmarl.environments import GaussianSqueeze
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.launch import launch
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, parse

STEPS = 100  # between two evaluations


@dataclass(frozen=True)
class SweepOptions(Options):
    """Options of this script."""

    evaluations: int = 5
    """Of each job."""
    jobs: int = 2
    """How many; the later ones are shorter."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Do the jobs."""
    options = parse(SweepOptions, arguments)
    launch(sweep(options), options.out, options)


def sweep(options: SweepOptions) -> list[TrainingJob]:
    """The jobs."""
    game = GaussianSqueeze(agents=20)
    size = {"batch_size": 20, "samples_per_update": 100, "block_steps": 10}
    return [
        TrainingJob(
            f"job-{number}",
            {"number": number},
            "mf-q",
            game,
            (number,),
            {},
            {"steps": STEPS * evaluations, "evaluations": evaluations, **size},
        )
        for number, evaluations in enumerate(range(options.evaluations, options.evaluations - options.jobs, -1))
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell hands it to background jobs ignored
    raise SystemExit(main(run))

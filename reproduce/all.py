"""Run all experiments one after the other, then make the verdicts, the pages and the report.

python reproduce/all.py                  # reproduce all committed results: days on one core
python reproduce/all.py --quick          # each experiment at a small size, in minutes, to results/quick
python reproduce/all.py --figures-only   # figures, tables, README.md, pages and report, from the committed CSV files

The experiments are those of `CALLS` in mfmarl/scripting/calls.py. Options that say how jobs run are passed on to
every script: `--launcher slurm --slurm-partition normal` submits the whole paper to a cluster, all tasks at once. After
an interruption the same command resumes; a script that fails does not stop the others. The script ends with a summary
of what ran, for how long, and where the results are.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from mfmarl.files import check_writable
from mfmarl.jobs import slurm
from mfmarl.jobs.console import say
from mfmarl.jobs.execution import Execution, check_range
from mfmarl.jobs.launch import DryRun, available
from mfmarl.scripting.calls import CALLS, Call, seconds
from mfmarl.scripting.main import main
from mfmarl.scripting.options import parse
from mfmarl.scripting.steps import Step, go_through, module_of
from mfmarl.scripting.tables import check_places

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
SEEDED = ("gaussian_squeeze", "ising", "battle")  # seeds of matrix games are runs; theory sets its own
ON_CPUS = ("theory",)
NOT_ON_CPUS = ("devices", "precision", "logger")  # options that are not passed on to its script
FILM = ("mf-ac-64-seed-0", "ac-64-seed-0")  # the armies in the committed film


@dataclass(frozen=True)
class AllOptions(Execution):
    """Options of this script. Those of `Execution` are passed on to the experiments."""

    accelerator: Literal["auto", "cpu", "gpu"] = "cpu"
    """Hardware that trains the networks. The committed results used cpu; auto: CUDA GPUs if there are any."""
    precision: Literal["32", "64", "bf16-mixed", "tf32"] = "32"
    """Floating-point precision of the networks, named as in Lightning. With 32, Battle keeps bf16-mixed, in which its
    committed armies were trained."""
    quick: bool = False
    """Run each experiment at a reduced size, all in minutes. Without --out, results go to results/quick."""
    figures_only: bool = False
    """Only remake figures, tables, pages and report from the existing CSV files."""
    seeds: int | None = None
    """Number of seeds of Gaussian Squeeze, Ising and Battle; needs a custom --out. Default: the number of each
    experiment."""
    out: Path | None = None
    """Directory of all results, with one folder per task. Default: the directory of the committed results."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("seeds", self.seeds, 1)
        if self.shard is not None:
            raise ValueError(f"shard: got {self.shard}, which only single scripts offer")
        if self.precision == "64":
            raise ValueError("precision: got 64, which Battle does not offer; allowed are 32, tf32 and bf16-mixed")
        for name in ("quick", "dry_run"):
            if getattr(self, name) and self.figures_only:
                raise ValueError(f"{name} and figures_only: got both, allowed is one of them")
        check_writable(self.results)
        check_places(self.results)
        if self.committed and self.seeds is not None:
            raise ValueError(f"seeds: got {self.seeds}, but {self.results} is committed; name another --out")

    @property
    def results(self) -> Path:
        """The directory of all results."""
        return self.out or (RESULTS / "quick" if self.quick else RESULTS)

    @property
    def committed(self) -> bool:
        """Whether results go to the directory of the committed ones."""
        return self.results.resolve() == RESULTS

    def to(self, task: str) -> list[str]:
        """Command-line words that say where an experiment's script puts its results."""
        return [] if self.committed else ["--out", str(self.results / task)]

    def how(self, task: str) -> list[str]:
        """Command-line words that say how an experiment's script runs its jobs."""
        words = ["--quick"] * self.quick
        if self.seeds is not None and task in SEEDED:
            words += ["--seeds", str(self.seeds)]
        for option in fields(Execution):
            value = "cpu" if option.name == "accelerator" and task in ON_CPUS else getattr(self, option.name)
            if value != option.default and not (task in ON_CPUS and option.name in NOT_ON_CPUS):
                flag = f"--{option.name.replace('_', '-')}"
                words += [flag] if value is True else [flag, str(value)]
        return words


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(AllOptions, arguments)
    if not options.figures_only:
        places = available(options.results, options)
        if options.launcher == "slurm":
            slurm.check([], places[0], options)
    if options.figures_only and not any(redrawn(options)):
        raise ValueError(f"figures_only: there are no tables in {options.results}; run without --figures-only first")
    if options.dry_run:
        list_jobs(options)
        return
    go_through(steps(options), options.results, here=call if options.figures_only else None)
    if options.quick:
        left = dict.fromkeys(call.makes for call in CALLS if call.quick is None)
        say(f"\nleft out of --quick: {'; '.join(left)}")


def list_jobs(options: AllOptions) -> None:
    """Print the jobs of all experiments, and run none of them."""
    for each in experiments(options):
        if "--replay" not in each.words:
            say(f"{each.name}: {each.makes}")
            try:
                module_of(each.script).run(list(each.words))
            except DryRun as listed:
                say(f"{listed}\n")


def steps(options: AllOptions) -> list[Step]:
    """All scripts in order. The handwritten pages describe only the committed results."""
    results = options.results
    elsewhere = () if options.committed else ("--results", str(results))
    last = [
        step("claims", elsewhere, "a verdict on each claim", results / "claims.csv"),
        *([step("pages", (), "numbers of README.md and the pages", ROOT / "README.md")] if options.committed else []),
        step("report", elsewhere, "the report page", results / "index.html"),
    ]
    return [*(redrawn(options) if options.figures_only else experiments(options)), *last]


def step(
    script: str, words: Sequence[str], makes: str, where: Path, work: float = 100, *, beside: bool = False
) -> Step:
    """Make the step that calls a script of this folder with its options."""
    return Step(ROOT / "reproduce" / f"{script}.py", tuple(words), makes, where, max(1, round(work)), beside=beside)


def experiments(options: AllOptions) -> Iterator[Step]:
    """The experiments of `CALLS` except repeated tournaments; with --quick, those that have a quick form."""
    for each in CALLS:
        words = each.quick if options.quick else each.command
        if words is not None and "--only" not in words:
            given = [*words.split(), *options.how(each.task), *options.to(each.task)]
            where = options.results / each.task / each.folder
            work = 100 if options.quick else seconds(RESULTS, each)[0]
            yield step(each.task, given, each.makes, where, work, beside=options.launcher == "slurm")
    if not options.quick:
        given = ["--replay", *FILM, *options.to("battle")]
        yield step("battle", given, "the film of a battle", options.results / "battle/replays")


def redrawn(options: AllOptions) -> Iterator[Step]:
    """Steps that redraw the figures of every existing table, and the film."""
    for each in dict.fromkeys(
        each._replace(command=in_place(each), makes="", jobs="", quick=None, claims="") for each in CALLS
    ):
        where = options.results / each.task / each.folder
        if any(where.glob("*.csv")):
            words = [*each.command.split(), "--figures-only", *options.to(each.task)]
            yield step(each.task, words, "tables and figures", where)
    film = options.results / "battle/replays" / "-v-".join(FILM)
    if film.with_suffix(".npz").exists():
        given = ["--replay", os.path.relpath(film), *options.to("battle")]
        yield step("battle", given, "the film of a battle", film.parent)


def in_place(each: Call) -> str:
    """The option that selects a study instead of the learning curves."""
    return "".join(re.findall(r"--study \S+|--scale-target", each.command))


def call(each: Step) -> None:
    """Call a script's function `run` in this process, so that libraries load once and no drawing process is left."""
    with open(os.devnull, "w", encoding="utf-8") as nothing, redirect_stdout(nothing):
        module_of(each.script).run(list(each.words))


if __name__ == "__main__":
    raise SystemExit(main(run))

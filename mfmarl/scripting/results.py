"""From jobs to results: run jobs, update a table, read it again, and report.

A script first trains, then draws. This example shows both steps:

    def train(options: ToyOptions) -> None:
        section = Section("appendix", [job(options, seed) for seed in range(5)], sources(APPENDIX))
        check_update(options.out / "curves.csv", section.jobs, ["algorithm"], options)
        [rows] = do([section], options)
        update(options.out / "curves.csv", rows, replacing=["algorithm", "seed"], keys=["algorithm", "seed", "step"])


    def draw(options: ToyOptions) -> None:
        rows = read_result(options.out / "curves.csv", ["algorithm", "seed", "step"])
        report(rows, options.out, ["curves.csv"], {"curves": toy_figure(rows)})
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from pandas.api.types import is_numeric_dtype

from mfmarl.custom import is_in_file
from mfmarl.evaluation.intervals import with_ends
from mfmarl.files import remove_abandoned
from mfmarl.jobs.console import say
from mfmarl.jobs.job import Job, TrainingJob
from mfmarl.jobs.launch import launch
from mfmarl.jobs.locks import locked
from mfmarl.scripting.options import Options
from mfmarl.scripting.provenance import write_provenance
from mfmarl.scripting.tables import read_calls, read_provenance, read_table, write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Section(NamedTuple):
    """Jobs that provenance.json lists together."""

    name: str
    jobs: Sequence[Job]
    settings: Mapping[str, object]  #: values of the settings with their sources, any JSON object.


def do(sections: Sequence[Section], options: Options) -> list[pd.DataFrame]:
    """Run all jobs, record each section in provenance.json, and return the rows of each section."""
    given = {name: {"value": value, "source": f"--method.{name}"} for name, value in options.method.items()}
    of_method = {"method": given} if given else {}
    read_provenance(options.out / "provenance.json")
    rows = iter(launch([job for section in sections for job in section.jobs], options.out, options))
    for section in sections:
        write_provenance(section.jobs, options, {**section.settings, **of_method}, section.name)
    return [pd.concat(islice(rows, len(section.jobs))) for section in sections]


def update(path: Path, rows: pd.DataFrame, *, replacing: Sequence[str], keys: Sequence[str]) -> None:
    """Write `rows` to the table at `path`; they replace earlier rows that agree with one of them in `replacing`.

    Args:
        path: the table.
        rows: new rows.
        replacing: columns to compare.
        keys: columns that sort and identify all rows.
    """
    with locked(path.parent / "jobs", wait=True):
        if path.exists():
            earlier = read_table(path, replacing)
            new = pd.MultiIndex.from_frame(rows[list(replacing)])
            rows = pd.concat([earlier[~pd.MultiIndex.from_frame(earlier[list(replacing)]).isin(new)], rows])
        write_table(rows, path, keys)


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
        numbers: further columns that the table must have, see `read_result`; a table of another script lacks them.

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


def with_baselines(
    rows: pd.DataFrame, path: Path, options: Options, cell: Sequence[str], method: str = "algorithm"
) -> pd.DataFrame:
    """Add the committed rows of baselines to the rows of a table that contains custom methods.

    Args:
        rows: rows of the table.
        path: the table, in --out.
        options: options of the call.
        cell: columns that identify runs that differ only in the seed.
        method: the column of `cell` that names the method.

    Returns:
        `rows`, and committed rows of other methods whose other columns of `cell` and last step equal those of a custom
        method. With --quick nothing is added, since no committed runs are so short.
    """
    theirs = options.home() / path.relative_to(options.out)
    custom = rows[rows[method].map(lambda name: is_in_file(str(name)))]
    if custom.empty or options.committed or options.quick or not theirs.exists():
        return rows
    known = read_table(theirs, cell)
    own = pd.MultiIndex.from_frame(rows[list(cell)])
    known = known[~pd.MultiIndex.from_frame(known[list(cell)]).isin(own)]
    alike = [column for column in cell if column != method]

    def conditions(frame: pd.DataFrame) -> pd.MultiIndex:
        columns = frame[alike]
        if "step" in frame.columns:
            columns = columns.assign(last=frame.groupby(list(cell))["step"].transform("max"))
        return pd.MultiIndex.from_frame(columns)

    return pd.concat([rows, known[conditions(known).isin(conditions(custom))]], ignore_index=True)


def read_result(path: Path, columns: Sequence[str], numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Read the table at `path`.

    Args:
        path: the table.
        columns: columns that it must have.
        numbers: further columns, which must contain numbers since they are drawn.

    Raises:
        ValueError: the table does not exist yet, is empty, or is damaged.
    """
    if not path.exists():
        raise ValueError(f"figures_only: there is no {path} yet; run without --figures-only first")
    rows = read_table(path, [*columns, *numbers])
    remedy = "restore it, or remove it to make it again"
    if rows.empty:
        raise ValueError(f"out: {path} has no rows: {remedy}")
    if texts := [name for name in numbers if not is_numeric_dtype(rows[name])]:
        raise ValueError(f"out: {path} has text among the numbers of {', '.join(texts)}: {remedy}")
    return rows


def report(table: pd.DataFrame, out: Path, files: Sequence[str], drawn: Mapping[str, Figure]) -> None:
    """Save the figures in `out`, print the table, and list the written files."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    remove_abandoned(out)  # with --figures-only this has not been done yet
    for name, figure in drawn.items():
        figures.save(figure, out / name)
    say(with_intervals(table).to_string(index=False, float_format="{:.6g}".format, na_rep=""))
    say("\nwritten:")
    for name in [*files, *(f"{name}.{kind}" for name in drawn for kind in ("png", "pdf"))]:
        say(f"  {(out / name).absolute()}")


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Format a table for reading: `x`, `x_low` and `x_high` become one column, as `with_ends` has it to two digits."""
    shown = table.copy()
    for name in [column.removesuffix("_low") for column in table.columns if str(column).endswith("_low")]:
        rows = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = [with_ends(*(f"{number:.2f}" for number in row)) for row in rows]
        shown = shown.drop(columns=[f"{name}_low", f"{name}_high"])
    return shown

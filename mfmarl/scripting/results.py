"""From jobs to results: do the jobs, bring a table up to date, read it again, report.

A script trains, then draws. Only what stands in the middle of each step is its own:

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

from collections.abc import Mapping, Sequence
from itertools import islice
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
from mfmarl.scripting.tables import read_provenance, read_table, write_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Section(NamedTuple):
    """Jobs that provenance.json lists together."""

    name: str
    jobs: Sequence[Job]
    settings: Mapping[str, object]  #: the numbers with their sources, any JSON.


def do(sections: Sequence[Section], options: Options) -> list[pd.DataFrame]:
    """Do all jobs, enter each section in provenance.json, and return the rows of each."""
    given = {name: {"value": value, "source": f"--method.{name}"} for name, value in options.method.items()}
    of_method = {"method": given} if given else {}
    read_provenance(options.out / "provenance.json")
    rows = iter(launch([job for section in sections for job in section.jobs], options.out, options))
    for section in sections:
        write_provenance(section.jobs, options, {**section.settings, **of_method}, section.name)
    return [pd.concat(islice(rows, len(section.jobs))) for section in sections]


def update(path: Path, rows: pd.DataFrame, *, replacing: Sequence[str], keys: Sequence[str]) -> None:
    """Write `rows` to the table at `path`, in place of its rows that agree with one of them in `replacing`.

    Args:
        path: of the table.
        rows: that are new.
        replacing: columns.
        keys: the columns that the rows are sorted by, which tell all rows apart.
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
    """Refuse jobs, before they begin, whose rows are no match for those that the table holds of the same cell.

    Seeds of a cell that were trained alike stand side by side, so that fewer seeds delete nothing; another budget or
    precision is refused. A table that counts runs in place of naming seeds takes as many or more. What lies in the
    script's own folder is committed: custom methods are refused there, and cells that it lacks without --extend.

    Args:
        path: of the table.
        jobs: whose rows are to go there.
        cell: the columns that name what is trained alike, but for the seed.
        options: of the call.
        numbers: columns besides that the table has, see `read_result`; one of another script lacks them.

    Raises:
        ValueError: such jobs, or a table of another script; one line that names --out as the way.
    """
    if not path.exists():
        return
    held = read_table(path, [*cell, *numbers])
    check_precision(path, jobs, options)
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


def check_precision(path: Path, jobs: Sequence[Job], options: Options) -> None:
    """Raise ValueError for jobs whose like, by provenance.json, were done in another precision for this table."""
    sections = read_provenance(path.parent / "provenance.json")
    done = [job for calls in sections.values() for call in calls for job in call["jobs"].values()]
    for job in jobs:
        for known in done:
            precision = known.get("precision", options.precision)
            if known.get("labels") == dict(job.labels) and precision != options.precision:
                name = ", ".join(map(str, job.labels.values()))
                raise ValueError(
                    f"precision: {path} holds {name} in {precision}, and this call would bring {options.precision}; "
                    f"pass --precision {precision}, or name another --out"
                )


def planned(jobs: Sequence[Job]) -> pd.DataFrame:
    """A row a run of the jobs: what names it, how long it is, and whether its method is custom."""
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
    """The rows of a table and, where they hold custom methods, the committed rows of the baselines beside them.

    Args:
        rows: of the table.
        path: of the table, in --out.
        options: of the call.
        cell: the columns that name what is trained alike, but for the seed.
        method: the one of them that names the method.

    Returns:
        `rows`, and the committed rows of methods that `rows` do not hold, where all other columns of `cell` and the
        last step are those of a custom method. Rows of --quick stay alone: no committed ones are so short.
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
    """The rows at `path`.

    Args:
        path: of the table.
        columns: that it has.
        numbers: columns besides that hold numbers, which are drawn.

    Raises:
        ValueError: there are none yet, or they are not as they were written.
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
    """Save the figures in `out`, print the table, and name the files that were written."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    remove_abandoned(out)  # with --figures-only nobody has yet
    for name, figure in drawn.items():
        figures.save(figure, out / name)
    say(with_intervals(table).to_string(index=False, float_format="{:.6g}".format, na_rep=""))
    say("\nwritten:")
    for name in [*files, *(f"{name}.{kind}" for name in drawn for kind in ("png", "pdf"))]:
        say(f"  {(out / name).absolute()}")


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table for a reader: `x`, `x_low` and `x_high` become one column, as `with_ends` has it to two digits."""
    shown = table.copy()
    for name in [column.removesuffix("_low") for column in table.columns if str(column).endswith("_low")]:
        rows = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = [with_ends(*(f"{number:.2f}" for number in row)) for row in rows]
        shown = shown.drop(columns=[f"{name}_low", f"{name}_high"])
    return shown

"""From jobs to results: run jobs, update a table, read it again, and report.

A script first trains, then draws. This example shows both steps, with `check_update` from `mfmarl.scripting.guards`:

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

from mfmarl.custom import is_in_file
from mfmarl.evaluation.intervals import with_ends
from mfmarl.files import remove_abandoned
from mfmarl.jobs.console import say
from mfmarl.jobs.job import Job
from mfmarl.jobs.launch import launch
from mfmarl.jobs.locks import locked
from mfmarl.scripting.options import Options
from mfmarl.scripting.provenance import write_provenance
from mfmarl.scripting.tables import check_numbers, read_provenance, read_table, write_table

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
    if rows.empty:
        raise ValueError(f"out: {path} has no rows: restore it, or remove it to make it again")
    check_numbers(rows, numbers, path)
    return rows


def report(table: pd.DataFrame, out: Path, files: Sequence[str], drawn: Mapping[str, Figure]) -> None:
    """Save the figures in `out`, print the table, and list the written files."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    remove_abandoned(out)  # with --figures-only this has not been done yet
    for name, figure in drawn.items():
        figures.save(figure, out / name)
    say(merge_intervals(table).to_string(index=False, float_format="{:.6g}".format, na_rep=""))
    say("\nwritten:")
    for name in [*files, *(f"{name}.{kind}" for name in drawn for kind in ("png", "pdf"))]:
        say(f"  {(out / name).absolute()}")


def merge_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Format a table for reading: `x`, `x_low` and `x_high` become one column, as `with_ends` has it to two digits."""
    shown = table.copy()
    for name in [column.removesuffix("_low") for column in table.columns if str(column).endswith("_low")]:
        rows = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = [with_ends(*(f"{number:.2f}" for number in row)) for row in rows]
        shown = shown.drop(columns=[f"{name}_low", f"{name}_high"])
    return shown

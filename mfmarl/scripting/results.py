"""From jobs to results: do the jobs, bring a table up to date, read it again, report.

A script trains, then draws. Only what stands in the middle of each step is its own:

    def train(options: ToyOptions) -> None:
        section = Section("appendix", [job(options, seed) for seed in range(5)], sources(APPENDIX))
        [rows] = do([section], options)
        update(options.out / "curves.csv", rows, replacing=["algorithm"], keys=["algorithm", "seed", "step"])


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

from mfmarl.files import read_csv, write_csv
from mfmarl.jobs.job import Job
from mfmarl.jobs.launch import launch
from mfmarl.scripting.options import Options
from mfmarl.scripting.provenance import write_provenance

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
    if path.exists():
        earlier = read_csv(path)
        new = pd.MultiIndex.from_frame(rows[list(replacing)])
        rows = pd.concat([earlier[~pd.MultiIndex.from_frame(earlier[list(replacing)]).isin(new)], rows])
    write_csv(rows, path, keys=keys)


def read_result(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows at `path`.

    Raises:
        ValueError: there are none yet, or if they lack one of the columns.
    """
    if not path.exists():
        raise ValueError(f"figures_only: there is no {path} yet; run without --figures-only first")
    rows = read_csv(path)
    if absent := [column for column in columns if column not in rows.columns]:
        raise ValueError(f"figures_only: {path} lacks the columns {absent}; run without --figures-only first")
    return rows


def report(table: pd.DataFrame, out: Path, files: Sequence[str], drawn: Mapping[str, Figure]) -> None:
    """Save the figures in `out`, print the table, and name the files that were written."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    for name, figure in drawn.items():
        figures.save(figure, out / name)
    print(with_intervals(table).to_string(index=False, float_format="{:.6g}".format))
    print("\nwritten:")
    for name in [*files, *(f"{name}.{kind}" for name in drawn for kind in ("png", "pdf"))]:
        print(f"  {out / name}")


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table for a reader: `x`, `x_low` and `x_high` become one column, "0.80 [0.68, 0.89]"."""
    shown = table.copy()
    for name in [column.removesuffix("_low") for column in table.columns if str(column).endswith("_low")]:
        rows = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in rows]
        shown = shown.drop(columns=[f"{name}_low", f"{name}_high"])
    return shown

"""What the scripts in reproduce/ share: settings with sources, arguments for algorithms, result files, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mfmarl.files import read_csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def updated(path: Path, rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The rows of an earlier call at ``path`` with ``rows`` in place of those that agree with them in ``keys``."""
    if not path.exists():
        return rows
    earlier = read_csv(path)
    again = pd.MultiIndex.from_frame(earlier[list(keys)]).isin(pd.MultiIndex.from_frame(rows[list(keys)]))
    return pd.concat([earlier[~again], rows])


def read_result(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows at ``path``. Raises ValueError if there are none yet, or if they lack one of the columns."""
    if not path.exists():
        raise ValueError(f"figures_only: there is no {path} yet; run without --figures-only first")
    rows = read_csv(path)
    if absent := [column for column in columns if column not in rows.columns]:
        raise ValueError(f"figures_only: {path} lacks the columns {absent}; run without --figures-only first")
    return rows


def report(table: pd.DataFrame, out: Path, files: Sequence[str], drawn: Mapping[str, Figure]) -> None:
    """Save the figures in ``out``, print the table and what was written."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    for name, figure in drawn.items():
        figures.save(figure, out / name)
    print(with_intervals(table).to_string(index=False, float_format="{:.6g}".format))
    print("\nwritten:")
    for name in [*files, *(f"{name}.{kind}" for name in drawn for kind in ("png", "pdf"))]:
        print(f"  {out / name}")


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table for a reader: ``x``, ``x_low`` and ``x_high`` become one column, "0.80 [0.68, 0.89]"."""
    shown = table.copy()
    for name in [column.removesuffix("_low") for column in table.columns if str(column).endswith("_low")]:
        rows = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in rows]
        shown = shown.drop(columns=[f"{name}_low", f"{name}_high"])
    return shown

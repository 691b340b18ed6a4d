"""Tables, lists and numbers in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mfmarl.evaluation.intervals import with_ends
from mfmarl.evaluation.tables import only


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Make a table with one line per row; bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def bullets(sentences: Iterable[str]) -> str:
    """Make a list with one item per entry of `sentences`."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def one(frame: pd.DataFrame, **columns: object) -> dict[str, Any]:
    """The only row with the given values in the given columns.

    Raises:
        ValueError: there is no such row, or there are several.
    """
    rows = only(frame, **columns).to_dict("records")
    if len(rows) != 1:
        raise ValueError(f"table must have one row of {columns}, got {len(rows)}")
    return {str(name): value for name, value in rows[0].items()}


def with_interval(row: "Mapping[str, Any] | pd.Series[Any]", column: str, form: str = ".2f") -> str:
    """Format a value and its interval as in `with_ends`."""
    return with_ends(*(f"{row[name]:{form}}" for name in (column, f"{column}_low", f"{column}_high")))


def span(values: Iterable[float], form: str = ".2f") -> str:
    """Format the smallest and largest value, "0.63 to 0.92", or one number if both print the same."""
    held = list(values)
    low, high = f"{min(held):{form}}", f"{max(held):{form}}"
    return low if low == high else f"{low} to {high}"

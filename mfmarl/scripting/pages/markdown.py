"""Tables, lists and numbers as a Markdown page has them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from mfmarl.evaluation.intervals import with_ends
from mfmarl.evaluation.tables import only


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, a line a row; a bar within a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def bullets(sentences: Iterable[str]) -> str:
    """A list, a sentence or some to each point."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def one(frame: pd.DataFrame, **columns: object) -> dict[str, Any]:
    """The one row that has these values.

    Raises:
        ValueError: none has them, or several have.
    """
    rows = only(frame, **columns).to_dict("records")
    if len(rows) != 1:
        raise ValueError(f"table must have one row of {columns}, got {len(rows)}")
    return {str(name): value for name, value in rows[0].items()}


def with_interval(row: "Mapping[str, Any] | pd.Series[Any]", column: str, form: str = ".2f") -> str:
    """A value and its interval, as `with_ends` has them."""
    return with_ends(*(f"{row[name]:{form}}" for name in (column, f"{column}_low", f"{column}_high")))


def span(values: Iterable[float], form: str = ".2f") -> str:
    """The least and the largest value, "0.63 to 0.92", or the one that both print as."""
    held = list(values)
    low, high = f"{min(held):{form}}", f"{max(held):{form}}"
    return low if low == high else f"{low} to {high}"

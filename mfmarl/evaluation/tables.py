"""What every table must have before anything is computed from it, and some of its rows."""

from collections.abc import Iterable

import pandas as pd


def require_columns(name: str, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Check that a table has rows and these columns.

    Args:
        name: what the error calls the table.
        table: any.
        columns: which it must have; it may have others.

    Raises:
        ValueError: columns are missing, or there are no rows.
    """
    missing = [column for column in dict.fromkeys(columns) if column not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks the columns {missing}; it has {list(table.columns)}")
    if table.empty:
        raise ValueError(f"{name} has no rows; it must hold at least one")


def only(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The rows that have these values."""
    for name, value in columns.items():
        frame = frame[frame[name] == value]
    return frame

"""Checks of a table's columns, selection of rows, and the setting of a measurement."""

from collections.abc import Iterable

import pandas as pd


def require_columns(name: str, table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Check that a table has rows and the required columns.

    Args:
        name: name of the table in the error message.
        table: the table.
        columns: required columns; the table may have others.

    Raises:
        ValueError: columns are missing, or there are no rows.
    """
    missing = [column for column in dict.fromkeys(columns) if column not in table.columns]
    if missing:
        raise ValueError(f"{name} lacks the columns {missing}; it has {list(table.columns)}")
    if table.empty:
        raise ValueError(f"{name} has no rows; it must hold at least one")


def only(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """The rows that have the given values in the given columns."""
    for name, value in columns.items():
        frame = frame[frame[name] == value]
    return frame


def setting_of(text: object) -> dict[str, str]:
    """The parts of a measurement's setting by name.

    Args:
        text: the setting as `mfmarl.measurements.rows.row` writes it, "name=value; name=value". An empty setting, which
            is NaN when read from a file, has no parts.
    """
    if not isinstance(text, str) or not text:
        return {}
    return dict(part.split("=", 1) for part in text.split("; "))

"""Result files that later calls read again. Tables are written with a checksum, and refused if it does not match.

SHA256SUMS has one line per table, in the format of `sha256sum -c SHA256SUMS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from mfmarl.files import atomic, digest, read_csv, told, write_csv, write_text

SUMS = "SHA256SUMS"
WRITTEN = (".csv", ".json", ".png", ".pdf", ".gif", ".md", ".safetensors")
CALL = ("command", "date", "settings", "versions", "commit", "hardware", "total", "jobs")  # keys in provenance.json
FOLDERS = ("jobs", "policies", "replays")


def write_table(frame: pd.DataFrame, path: Path, keys: Sequence[str]) -> None:
    """Write `frame` as `write_csv` does, and its checksum to SHA256SUMS.

    If the process is killed, the old or the new table remains, with the checksums of both.
    """
    sums = read_sums(path.parent)
    with atomic(path) as draft:
        write_csv(frame, draft, keys=keys)
        new = digest(draft)
        write_sums({**sums, path.name: [*sums.get(path.name, []), new]}, path.parent)
    write_sums({**sums, path.name: [new]}, path.parent)


def read_table(path: Path, columns: Sequence[str], argument: str = "out") -> pd.DataFrame:
    """Read the table at `path`.

    Args:
        path: the table.
        columns: columns that it must have.
        argument: the script's option that named the table's folder, for messages.

    Raises:
        ValueError: the table is damaged or lacks one of `columns`; the message says what to do.
    """
    before = read_sums(path.parent).get(path.name, [])
    try:
        # Another call may be writing: first the checksums of both tables, then the table, then only its own checksum.
        found = digest(path)
        known = before + read_sums(path.parent).get(path.name, [])
        if known and found not in known:
            raise ValueError(f"it is not as {SUMS} says; if that is meant, remove its line there")
        rows = read_csv(path)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise ValueError(
            f"{argument}: {path} is damaged: restore it, or remove it to make it again ({told(error)[:200]})"
        ) from error
    if absent := [column for column in dict.fromkeys(columns) if column not in rows.columns]:
        raise ValueError(f"{argument}: {path} lacks the columns {absent}: restore it, or name another --{argument}")
    return rows


def check_numbers(rows: pd.DataFrame, columns: Iterable[str], path: Path, argument: str = "out") -> None:
    """Check the columns of a table that must hold numbers.

    Args:
        rows: the table.
        columns: its columns to check.
        path: where the table was read.
        argument: as in `read_table`.

    Raises:
        ValueError: a column contains text; the message says what to do.
    """
    if texts := [name for name in columns if not is_numeric_dtype(rows[name])]:
        found = f"{path} has text among the numbers of {', '.join(texts)}"
        raise ValueError(f"{argument}: {found}: restore it, or remove it to make it again")


def read_provenance(path: Path, argument: str = "out") -> dict[str, list[dict[str, Any]]]:
    """The sections of provenance.json by name, each a list of calls; empty if the file does not exist.

    Args:
        path: the file.
        argument: as in `read_table`.

    Raises:
        ValueError: the file is damaged; the message says what to do.
    """
    if not path.exists():
        return {}
    try:
        sections: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(sections, allow_nan=False, ensure_ascii=False).encode()  # it must be possible to write it again
        for call in (call for calls in sections.values() for call in calls):
            if absent := [name for name in CALL if name not in call]:
                raise ValueError(f"a call lacks {', '.join(absent)}")
            if not all(isinstance(record["fingerprint"], str) for record in call["jobs"].values()):
                raise TypeError("a job has no fingerprint")
    except (ValueError, OSError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{argument}: {path} is damaged: restore it, or remove it ({told(error)[:200]})") from error
    return sections


def read_calls(path: Path, argument: str = "out") -> list[dict[str, Any]]:
    """The calls of all sections of provenance.json, see `read_provenance`."""
    return [call for calls in read_provenance(path, argument).values() for call in calls]


def check_places(out: Path) -> None:
    """Raise ValueError if a result file is not a file, or a result folder is not a folder."""
    for path in sorted(path for pattern in ("*.*", "*/*.*") for path in out.glob(pattern)):
        if path.suffix in WRITTEN and not path.is_file() and path.parent.name != "jobs":
            raise ValueError(f"out: {path} is no file: remove it, or name another --out")
    for path in (out / name for name in FOLDERS):
        if path.exists() and not path.is_dir():
            raise ValueError(f"out: {path} is no folder: remove it, or name another --out")
    read_sums(out)


def read_sums(directory: Path) -> dict[str, list[str]]:
    """Checksums by file name; a file has two if a call was killed while writing it.

    Raises:
        ValueError: SHA256SUMS is damaged; the message says what to do.
    """
    file = directory / SUMS
    sums: dict[str, list[str]] = {}
    try:
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            checksum, _, name = line.partition("  ")
            if not (re.fullmatch("[0-9a-f]{64}", checksum) and name):
                raise ValueError(f"a line is {line[:80]!r}")
            sums.setdefault(name, []).append(checksum)
    except (ValueError, OSError) as error:
        raise ValueError(f"out: {file} is damaged: restore it, or remove it ({told(error)[:200]})") from error
    return sums


def write_sums(sums: dict[str, list[str]], directory: Path) -> None:
    """Write SHA256SUMS."""
    lines = [f"{each}  {name}\n" for name, checksums in sorted(sums.items()) for each in dict.fromkeys(checksums)]
    write_text("".join(lines), directory / SUMS)

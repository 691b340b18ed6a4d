"""Result files: a kill leaves either the old file or the new one, and equal data give equal bytes."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil

LONGEST_PART = 255  # bytes of one name in a path, on most file systems
LONGEST_PATH = 4096 - 1024 if platform.system() == "Linux" else 1024 - 400  # bytes; the rest is for files below


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; what is written there becomes `path` at the end.

    The temporary path has the suffix of `path`, by which some libraries choose a format. If the block raises, the
    temporary file is removed and `path` is left unchanged. Files left by a killed process are removed at the next call.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}@{host()}.partial{path.suffix}")
    _remove_if_abandoned(path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"))
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # a full disk is reported without a file name
        raise


def remove_partial(directory: Path) -> None:
    """Remove all temporary files in `directory`. No other process may be writing there."""
    for partial in directory.glob(".*.partial*"):
        partial.unlink(missing_ok=True)


def remove_abandoned(directory: Path) -> None:
    """Remove the temporary files anywhere below `directory` whose writer, a process of this machine, has ended."""
    _remove_if_abandoned(directory.rglob(".*.partial*"))


def _remove_if_abandoned(partials: Iterable[Path]) -> None:
    for partial in partials:
        writer = re.search(r"\.(\d+)@([\w-]+)\.partial", partial.name)
        if writer and writer[2] == host() and not psutil.pid_exists(int(writer[1])):
            partial.unlink(missing_ok=True)


def host() -> str:
    """The name of this machine, in characters allowed in file names."""
    return re.sub(r"[^\w-]", "-", platform.node())


def write_text(text: str, path: Path) -> None:
    """Atomically write `text` as UTF-8 with its line ends unchanged."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode())


def write_csv(frame: pd.DataFrame, path: Path, keys: Sequence[str] = ()) -> None:
    r"""Atomically write `frame` without its index, with rows sorted by the columns `keys`.

    Floats are written with the fewest digits that read back exactly, lines end in "\n", and a missing value is empty.
    Frames with the same rows, in any order, give the same bytes.

    Raises:
        ValueError: a key is not a column, or two rows agree in all keys.
    """
    missing = [key for key in keys if key not in frame.columns]
    if missing:
        raise ValueError(f"keys: got {missing}, allowed are the columns {list(frame.columns)}")
    if keys:
        repeated = frame.duplicated(list(keys))
        if repeated.any():
            first = frame.loc[repeated, list(keys)].iloc[0].to_dict()
            raise ValueError(f"keys: {list(keys)} must tell all rows apart, but two rows have {first}")
        frame = frame.sort_values(list(keys), kind="stable")
    write_text(frame.to_csv(index=False, lineterminator="\n"), path)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a file written by `write_csv`; floats are exactly those written."""
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    floats = list(frame.select_dtypes("float").columns)
    # Some versions of pandas round the last digit, others warn about the option that prevents it.
    text = pd.read_csv(path, usecols=floats, dtype=str)
    return frame.assign(**{name: [*map(float, text[name])] for name in floats})


def write_json(content: Mapping[str, object], path: Path) -> None:
    """Atomically write `content` as indented JSON with its keys in order.

    Raises:
        ValueError: a value is NaN or infinite.
    """
    write_text(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", path)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def told(error: BaseException) -> str:
    """Type and message of an exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def check_writable(directory: Path) -> None:
    """Check that `directory` can be written to, or created, with room in its path for jobs' folders. Changes nothing.

    Raises:
        ValueError: the path is not allowed, or not writable.
    """
    existing = directory.absolute()
    if "\0" in str(directory):
        raise ValueError(f"out: got {str(directory)!r}, allowed is a path without a null byte")
    longest, length = max(len(os.fsencode(part)) for part in existing.parts), len(os.fsencode(existing))
    if longest > LONGEST_PART or length > LONGEST_PATH:
        raise ValueError(
            f"out: got {str(directory)[:40]}... of {length} bytes, {longest} of them one name, allowed are at most "
            f"{LONGEST_PATH}, and {LONGEST_PART} a name"
        )
    while not os.path.lexists(existing) and existing != existing.parent:  # a link may lead nowhere
        existing = existing.parent
    if not existing.is_dir():
        raise ValueError(f"out: cannot write to {directory}: {existing} is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"out: cannot write to {directory}: no permission to write in {existing}")

"""Result files: exact, ordered, whole."""

import errno
import math
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfmarl import files
from mfmarl.files import (
    LONGEST_PART,
    LONGEST_PATH,
    atomic,
    check_writable,
    host,
    read_csv,
    remove_abandoned,
    remove_partial,
    write_csv,
    write_json,
    write_text,
)


def test_atomic_replaces_the_file_only_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file.v2.txt"
    path.write_text("old")
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_leaves_the_file_and_no_litter_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def stop_half_way() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_before_anything_is_written_is_raised_as_it_is(tmp_path: Path) -> None:
    """Only a system's error that names no file gets the name of this one."""

    def fail(error: Exception) -> None:
        with atomic(tmp_path / "file"):
            raise error

    for error in (ValueError("stop"), OSError(errno.ENOENT, "no such file", "other"), OSError("no number")):
        said = str(error)
        with pytest.raises(type(error)) as raised:
            fail(error)
        assert raised.value is error
        assert (str(error), getattr(error, "filename", None)) == (said, "other" if "other" in said else None)
    with pytest.raises(OSError, match=r"no room: '.*file'$"):
        fail(OSError(errno.ENOSPC, "no room"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_on_disk_before_it_takes_the_place_of_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine that loses its power may leave an empty one."""
    synced: list[int] = []
    replace, sync = os.replace, os.fsync

    def note(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    def check(draft: Path, final: Path) -> None:
        assert draft.stat().st_ino in synced
        replace(draft, final)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", check)
    write_text("new", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("remove", [remove_partial, remove_abandoned])
def test_what_somebody_else_removes_meanwhile_is_no_error(
    remove: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in ("glob", "rglob"):
        monkeypatch.setattr(Path, name, lambda folder, _: [folder / f".page.{gone.pid}@{host()}.partial.html"])
    remove(tmp_path)


def test_what_a_kill_leaves_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    (tmp_path / ".checkpoint.123.partial.ckpt").touch()
    (tmp_path / ".checkpoint.ckpt.123.partial").touch()  # as earlier versions named it
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_a_kill_left_of_a_file_goes_when_the_file_is_written_again(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    page = tmp_path / "page[1].html"
    stays = [f".{page.stem}.{os.getppid()}@{host()}.partial.html", f".other.{gone.pid}@{host()}.partial.html"]
    for name in (f".{page.stem}.{gone.pid}@{host()}.partial.html", *stays):
        (tmp_path / name).touch()
    write_text("new", page)
    assert {path.name for path in tmp_path.iterdir()} == {page.name, *stays}


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_floats_read_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    write_csv(pd.DataFrame({"x": values}), path)
    read = read_csv(path)["x"].to_numpy(dtype=float)
    assert read.tobytes() == np.array(values).tobytes()


def test_csv_bytes_are_those_written_by_hand_whatever_the_order_of_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["b", "a", "a"], "step": [1, 10, 9], "x": [0.1, math.nan, 1 / 3]})
    by_hand = b"name,step,x\na,9,0.3333333333333333\na,10,\nb,1,0.1\n"
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        write_csv(frame.iloc[order], tmp_path / "f.csv", keys=["name", "step"])
        assert (tmp_path / "f.csv").read_bytes() == by_hand


def test_words_for_nothing_are_text_and_what_is_empty_is_missing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["NA", "None", "nan", None], "x": [1.5, math.nan, math.inf, 0.1]})
    write_csv(frame, tmp_path / "f.csv")
    read = read_csv(tmp_path / "f.csv")
    assert read["name"].fillna("missing").tolist() == ["NA", "None", "nan", "missing"]
    assert read["x"].fillna(-1.0).tolist() == [1.5, -1.0, math.inf, 0.1]


def test_keys_must_be_columns_and_tell_rows_apart(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 1], "b": [2.0, 3.0]})
    with pytest.raises(ValueError, match=r"keys: got \['c'\]"):
        write_csv(frame, tmp_path / "f.csv", keys=["c"])
    with pytest.raises(ValueError, match="must tell all rows apart"):
        write_csv(frame, tmp_path / "f.csv", keys=["a"])
    assert list(tmp_path.iterdir()) == []


def test_json_keeps_the_order_and_refuses_what_is_no_json(tmp_path: Path) -> None:
    write_json({"b": 1, "a": [0.1], "τ": "一"}, tmp_path / "f.json")
    written = '{\n  "b": 1,\n  "a": [\n    0.1\n  ],\n  "τ": "一"\n}\n'
    assert (tmp_path / "f.json").read_bytes() == written.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": math.inf}, tmp_path / "f.json")


@pytest.mark.usefixtures("patience")
def test_a_directory_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / "new" / "folder")
    with pytest.raises(ValueError, match="is not a directory"):
        check_writable(tmp_path / "file" / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("target", ["nothing", "link"])
def test_a_link_that_leads_nowhere_is_not_writable(target: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match="link is not a directory"):
        check_writable(tmp_path / "link" / "folder")


def test_a_path_may_be_as_long_as_the_system_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for what lies below it."""
    longest = {}
    for name in ("Linux", "Darwin"):
        monkeypatch.setattr("platform.system", lambda name=name: name)
        longest[name] = runpy.run_path(files.__file__)["LONGEST_PATH"]
    assert longest == {"Linux": 3072, "Darwin": 624}, "of 4096 and 1024"
    assert os.pathconf(tmp_path, "PC_NAME_MAX") >= LONGEST_PART == 255
    check_writable(tmp_path / (255 * "a"))
    with pytest.raises(ValueError, match=r"^out: got /.* of \d+ bytes, 256 of them one name, .*, and 255 a name$"):
        check_writable(tmp_path / (256 * "a"))
    room = LONGEST_PATH - len(str(tmp_path))
    below = tmp_path / ("/a" * (room // 2) + "a" * (room % 2))[1:]
    check_writable(below)
    with pytest.raises(ValueError, match=rf" of {LONGEST_PATH + 1} bytes, .* allowed are at most {LONGEST_PATH}, and"):
        check_writable(below.with_name(below.name + "a"))


@pytest.mark.parametrize("mode", [0o500, 0o600])
def test_a_directory_that_takes_no_files_is_not_writable(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To make a file in it one must write and enter; whoever may do anything is asked as the owner."""
    monkeypatch.setattr(os, "access", lambda path, asked: os.stat(path).st_mode >> 6 & asked == asked)
    check_writable(tmp_path / "new")
    tmp_path.chmod(mode)
    with pytest.raises(ValueError, match=r"^out: cannot write to .*new: no permission to write in "):
        check_writable(tmp_path / "new")
    tmp_path.chmod(0o700)

"""Result files: exact, ordered, whole."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfmarl.files import atomic, check_writable, host, read_csv, remove_partial, write_csv, write_json, write_text


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


def test_keys_must_be_columns_and_tell_rows_apart(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 1], "b": [2.0, 3.0]})
    with pytest.raises(ValueError, match=r"keys: got \['c'\]"):
        write_csv(frame, tmp_path / "f.csv", keys=["c"])
    with pytest.raises(ValueError, match="must tell all rows apart"):
        write_csv(frame, tmp_path / "f.csv", keys=["a"])
    assert list(tmp_path.iterdir()) == []


def test_json_keeps_the_order_and_refuses_what_is_no_json(tmp_path: Path) -> None:
    write_json({"b": 1, "a": [0.1]}, tmp_path / "f.json")
    assert (tmp_path / "f.json").read_text() == '{\n  "b": 1,\n  "a": [\n    0.1\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": math.inf}, tmp_path / "f.json")


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

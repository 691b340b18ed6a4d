"""What benchmarks write: the tables of docs/speed.md, each its own part of one file."""

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "benchmarks/speed.csv"
MEASURED: dict[str, dict[str, Any]] = {
    "gaussian_squeeze": {
        "speed": lambda name, agents: {"algorithm": name, "agents": agents, "Lightning": 1234.5},
        "stacking": lambda name, _: {"algorithm": name, "16 seeds": 98765.4, "gain": 6.54},
    },
    "ising": {"speed": lambda *_: {"bare loop": 38.61, "random numbers": "15% of the time"}},
    "battle": {
        "round_times": lambda settings, name, _: {
            **dict.fromkeys(("engine", "acting", "storing", "minibatches", "learning", "all"), 1.234),
            "algorithm": name,
            **({"released code": 1.9} if settings == "released-code" else {}),
        }
    },
}
VALUES = {
    "gaussian_squeeze": {"1230", "98800", "6.5"},
    "ising": {"39", "15%"},
    "battle": {"1.2", "1.23", "13.3 to 15.4", "1.9"},
}


@pytest.fixture(params=MEASURED)
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A benchmark that measures nothing."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module(f"benchmarks.{request.param}")
    for name, function in MEASURED[request.param].items():
        monkeypatch.setattr(module, name, function)
    monkeypatch.setattr(module, "alone", lambda *_: {})
    monkeypatch.setattr(module.torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(module.torch, "set_flush_denormal", lambda _: None, raising=False)
    return module


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_a_benchmark_writes_its_part_of_the_committed_table_and_no_other(benchmark: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "speed.csv"
    shutil.copy(COMMITTED, out)
    benchmark.main(["--out", str(out)])
    before, after = read(COMMITTED), read(out)
    names = ["table", "row", "column"]
    pd.testing.assert_frame_equal(before[names], after[names])
    script = benchmark.__name__.rpartition(".")[2]
    own = before["table"] == script.replace("_", "-")
    assert set(after[own]["value"]) == VALUES[script]
    pd.testing.assert_frame_equal(before[~own], after[~own])


def test_without_out_a_benchmark_only_prints(benchmark: ModuleType, tmp_path: Path) -> None:
    before = COMMITTED.read_bytes()
    benchmark.main([])
    assert COMMITTED.read_bytes() == before


def test_a_new_file_gets_the_one_table(benchmark: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    benchmark.main(["--out", str(out)])
    committed = read(COMMITTED)
    own = read(out)
    assert own["row"].tolist() == committed[committed["table"] == own["table"][0]]["row"].tolist()

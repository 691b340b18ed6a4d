"""What benchmarks write: the tables of docs/speed.md, each its own part of one file."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from mfmarl.environments.battle.game import Battle
from tests.pages import commands

ROOT = Path(__file__).parents[1]
COMMITTED = ROOT / "benchmarks/speed.csv"
AGAIN = "make it again: python benchmarks/scaling.py --out benchmarks"
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
        },
        "peer_times": lambda: dict.fromkeys(("engine", "acting", "storing", "minibatches", "learning", "all"), 1.234),
        "arithmetic": lambda *_: dict.fromkeys(
            ("TFLOP a round", "GFLOP/s in large products", "seconds at that rate"), 1.234
        ),
    },
}
TABLES = {
    "gaussian_squeeze": ["gaussian-squeeze"],
    "ising": ["ising", "ising-large"],
    "battle": ["battle", "battle-memory", "battle-arithmetic"],
}
ALONE = {"million updates a second": 25.27, "stored": 499968, "replay MB": 19.6, "peak MB": 529.42}  # in a process
VALUES = {
    "gaussian_squeeze": {"1230", "98800", "6.5"},
    "ising": {"39", "15%", "25", "530", "Any CPU"},
    "battle": {"1.2", "1.23", "20", "530", "499968", "Any CPU"},
}


@pytest.fixture(params=MEASURED)
def benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A benchmark that measures nothing."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module(f"benchmarks.{request.param}")
    for name, function in MEASURED[request.param].items():
        monkeypatch.setattr(module, name, function)
    monkeypatch.setattr(module, "alone", lambda _, name="": {"algorithm": name, "method": name, **ALONE})
    monkeypatch.setattr(module, "cpu_model", lambda: "Any CPU", raising=False)
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
    own = before["table"].isin(TABLES[script])
    assert set(after[own]["value"]) == VALUES[script]
    pd.testing.assert_frame_equal(before[~own], after[~own])


def test_without_out_a_benchmark_only_prints(benchmark: ModuleType, tmp_path: Path) -> None:
    before = COMMITTED.read_bytes()
    benchmark.main([])
    assert COMMITTED.read_bytes() == before


def test_a_new_file_gets_its_tables_alone(benchmark: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    benchmark.main(["--out", str(out)])
    committed, names = read(COMMITTED), ["table", "row", "column"]
    own = read(out)
    assert {*map(tuple, own[names].to_numpy())} == {
        *map(tuple, committed[committed["table"].isin(own["table"])][names].to_numpy())
    }


def test_one_table_is_measured_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("benchmarks.ising")
    monkeypatch.setattr(module, "speed", lambda *_: pytest.fail("it was not asked for"))
    monkeypatch.setattr(module, "alone", lambda _, name: {"method": name, **ALONE})
    module.main(["--tables", "ising-large", "--out", str(tmp_path / "mine.csv")])
    assert set(read(tmp_path / "mine.csv")["table"]) == {"ising-large"}


def test_products_are_counted_as_multiplications_and_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that multiplies [2, 3] by [3, 4] takes 2 * 2 * 3 * 4 operations."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("benchmarks.battle")
    monkeypatch.setattr(module, "parts", lambda *_: (None, None))
    monkeypatch.setattr(module, "one_round", lambda *_: module.torch.ones(2, 3) @ module.torch.ones(3, 4))
    monkeypatch.setattr(module, "fastest", lambda kind: 96.0 if kind == module.torch.float32 else 480.0)
    assert module.arithmetic("il", "appendix", "32")["seconds at that rate"] == 0.5
    assert module.arithmetic("il", "appendix", "bf16-mixed")["TFLOP a round"] == pytest.approx(48e-12)


def test_memory_is_measured_with_a_full_replay_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("benchmarks.battle")
    monkeypatch.setattr(module, "Battle", lambda _: Battle(8, 30))
    monkeypatch.setitem(module.CASES["appendix"], "il", ("battle-il", {}, {"capacity": 500, "batch_size": 16}))
    found = module.memory("il")
    assert 500 - 8 <= found["stored"] <= 500
    assert 0 < found["replay MB"] < found["peak MB"]


def test_against_a_commit_is_told_by_medians_of_pairs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    against = importlib.import_module("against")
    # Seconds of each measurement, the first of which counts for nothing.
    before, now = iter([99.0, 4.0, 6.0, 5.0]), iter([99.0, 2.0, 2.0, 4.0])
    trees = {against.ROOT: now}

    @contextmanager
    def worker(tree: Path, script: str) -> Iterator[Callable[[object], float]]:
        yield lambda case: next(trees.get(tree, before))

    monkeypatch.setattr(against, "worker", worker)
    monkeypatch.setattr(against, "check_out", lambda commit, folder: folder)
    out = tmp_path / "against.csv"
    out.write_text("case,commit,ratio\nanother,abc,1.00\nround,abc,9.00\n")
    against.compare("battle", {"round": against.Case("round", "battle_round", ())}, "abc", 3, out)
    kept, row = read(out).to_dict("records")
    assert kept["case"] == "another"
    assert (row["case"], row["before"], row["now"]) == ("round", "5.0", "2.0")
    assert (row["ratio"], row["least"], row["most"], row["pairs"]) == ("2.00", "1.25", "3.00", "3")
    assert "ratio 2.00" in capsys.readouterr().out


def test_against_no_commit_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("benchmarks.battle")
    for arguments, message in (
        (["--against", "no-such-commit"], "against must be a commit of this repository, got no-such-commit"),
        (["--against", "HEAD", "--pairs", "0"], "pairs must be at least 1, got 0"),
    ):
        with pytest.raises(SystemExit) as ended:
            module.main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


def test_the_calls_of_the_page_measure_the_rows_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    rows: list[tuple[str, str, str]] = []

    def compare(_: str, cases: Mapping[str, object], commit: str, pairs: int, out: Path | None) -> None:
        assert out == Path("benchmarks/against.csv")
        rows.extend((case, commit, str(pairs)) for case in cases)

    monkeypatch.setattr("measuring.compare", compare)
    for words in commands((ROOT / "docs/speed.md").read_text()):
        if "--against" in words:
            with pytest.raises(SystemExit) as ended:
                importlib.import_module(words[1].removesuffix(".py").replace("/", ".")).main(words[2:])
            assert not ended.value.code
    assert rows == [
        *read(ROOT / "benchmarks/against.csv")[["case", "commit", "pairs"]].itertuples(index=False, name=None)
    ]


def test_the_peer_plays_and_learns_from_whole_transitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    module = importlib.import_module("benchmarks.battle_peer")
    monkeypatch.setattr(module, "STEPS", 3)
    peer = module.Peer()
    start = [each.detach().clone() for each in peer.network.parameters()]
    times = peer.round()
    assert (times["steps"], times["transitions"]) == (3, 3 * 64)
    assert {*module.PARTS} < set(times)
    stored = {name: values[: 3 * 64].reshape(3, 64, *values.shape[1:]) for name, values in peer.replay.columns.items()}
    for name in ("view", "feature", "mean"):
        assert (stored[f"next_{name}"][:2] == stored[name][1:]).all(), "nobody died: what came after is what was next"
        assert not stored[f"next_{name}"][2].any(), "the round was over"
    assert stored["goes_on"].tolist() == [[1.0] * 64] * 2 + [[0.0] * 64]
    assert stored["mean"][1:].sum(-1) == pytest.approx(1)
    assert stored["reward"].min() >= -0.2
    assert any((one != other).any() for one, other in zip(start, peer.network.parameters(), strict=True))


def scaling(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("scaling")


def test_core_hours_are_those_of_the_committed_times(monkeypatch: pytest.MonkeyPatch) -> None:
    module = scaling(monkeypatch)
    committed = pd.read_csv(ROOT / "benchmarks/scaling.csv")
    assert list(dict.fromkeys(committed["seeds"])) == [*module.SEEDS]
    for seeds, rows in committed.groupby("seeds"):
        now = module.row(*module.recorded(), seeds, 1, 0.0)["core_hours"]
        assert set(rows["core_hours"]) == {round(now, 3)}, AGAIN


def test_hours_on_many_workers_are_those_of_the_committed_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the digits of docs/cluster.md. What a start took is what one worker takes, less core-hours, in two phases."""
    module = scaling(monkeypatch)
    committed = pd.read_csv(ROOT / "benchmarks/scaling.csv")
    assert {*committed["workers"]} == {*module.WORKERS}
    recorded = module.recorded()
    alone = committed[committed["workers"] == 1]
    start = float((alone["hours"] - alone["core_hours"]).mean()) * 3600 / 2
    for row in committed.to_dict("records"):
        now = module.row(*recorded, row["seeds"], row["workers"], start)
        assert now["hours"] == pytest.approx(row["hours"], abs=0.05), AGAIN
        for name in ("training_bound_by", "tournament_bound_by"):
            assert now[name] == row[name], AGAIN


def test_the_time_on_many_workers_is_written_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = scaling(monkeypatch)
    monkeypatch.setattr(module, "start_up", lambda: 2.0)
    before = (ROOT / "benchmarks/scaling.csv").read_bytes()
    monkeypatch.setattr("sys.argv", ["scaling.py"])
    module.main()
    assert "core_hours" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["scaling.py", "--out", str(tmp_path)])
    module.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scaling.csv", "scaling.png"]
    assert (ROOT / "benchmarks/scaling.csv").read_bytes() == before
    monkeypatch.setattr("sys.argv", ["scaling.py", "--out", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2


def test_the_worker_of_comparisons_is_no_script(capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run([sys.executable, ROOT / "benchmarks/against.py", "--help"], check=False)
    assert done.returncode == 2
    assert capfd.readouterr().err == "error: no script of its own; use --against of battle.py or gaussian_squeeze.py\n"


def test_mutants_are_of_every_file_and_each_has_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    mutants = importlib.import_module("mutants")
    grouped = sorted(file for places in mutants.GROUPS.values() for file in mutants.sources(places))
    every = [path for folder in ("mfmarl", "reproduce") for path in (ROOT / folder).rglob("*.py")]
    assert grouped == sorted(str(path.relative_to(ROOT)) for path in every)
    for file in grouped:
        assert mutants.files_testing(file, fast=False) or not [*mutants.mutants_of(file)], file

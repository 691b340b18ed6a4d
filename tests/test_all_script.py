"""All scripts by one command: which, with what options, where they write, and figures from tables alone."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.options import Options
from mfmarl.scripting.pages.times import CALLS
from mfmarl.scripting.steps import Step
from reproduce import all as script
from tests.support import draws_as_committed

ROOT = Path(__file__).parents[1]
NO_TRAINING = ("claims", "pages", "report")


def trains(step: Step) -> bool:
    return step.script.stem not in NO_TRAINING and "--replay" not in step.words


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"quick": True},
        {"launcher": "slurm", "slurm_partition": "normal", "slurm_tasks": 8, "workers": 2},
        {"accelerator": "gpu", "devices": 4, "precision": "tf32", "logger": "csv"},
        {"seeds": 3, "threads": 2, "fresh": True, "quick": True},
    ],
    ids=lambda given: " ".join(given) or "none",
)
def test_every_script_takes_what_is_handed_on(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    asked: list[Options] = []

    class ReachedError(Exception):
        """A command was not refused."""

    def launch(jobs: object, out: Path, options: Options) -> None:
        asked.append(options)
        raise ReachedError

    monkeypatch.setattr(scripting_results, "launch", launch)
    every = [each for each in script.steps(script.AllOptions(**given)) if trains(each)]
    for each in every:
        with pytest.raises(ReachedError):
            importlib.import_module(f"reproduce.{each.script.stem}").run(list(each.words))
    assert {each.script.stem for each in every} == {call.task for call in CALLS}
    assert len({each.name for each in every}) == len(every)
    for each, options in zip(every, asked, strict=True):
        for name, value in given.items():
            if each.script.stem == "theory" and name in script.NOT_ON_CPUS:
                assert options.accelerator == "cpu"
            elif name != "seeds" or each.script.stem in script.SEEDED:
                assert getattr(options, name) == value, (each.name, name)
        if each.script.stem == "battle" and not options.quick and "precision" not in given:
            assert options.precision == "bf16-mixed"


def test_options_of_a_file_are_handed_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.yaml").write_text(f"workers: 2\nseeds: 3\nthreads: 4\nout: {tmp_path / 'all'}\n")
    asked: list[list[Step]] = []
    monkeypatch.setattr(script, "go_through", lambda steps, *_, **__: asked.append(steps))
    script.run(["--config", str(tmp_path / "my.yaml"), "--threads", "1"])
    script.run(["--workers", "2", "--seeds", "3", "--threads", "1", "--out", str(tmp_path / "all")])
    assert asked[0] == asked[1]
    assert {"--workers", "--seeds", "--threads"} <= set(asked[0][0].words)
    (tmp_path / "my.yaml").write_text("rounds: 3\n")
    with pytest.raises(ValueError, match=r"my\.yaml names rounds, which is no option"):
        script.run(["--config", str(tmp_path / "my.yaml")])


def test_all_scripts_run_in_order_and_the_report_last() -> None:
    every = [each.script.stem for each in script.steps(script.AllOptions())]
    assert every[-3:] == [*NO_TRAINING]
    assert set(every) == {path.stem for path in (ROOT / "reproduce").glob("*.py")} - {"all"}


def test_on_a_cluster_all_tasks_are_sent_at_once() -> None:
    for launcher in ("local", "slurm"):
        beside = {each.beside for each in script.steps(script.AllOptions(launcher=launcher)) if trains(each)}
        assert beside == {launcher == "slurm"}


@pytest.mark.parametrize(
    ("given", "home"),
    [({"quick": True}, ROOT / "results/quick"), ({"out": Path("/x")}, Path("/x"))],
    ids=["quick", "out"],
)
def test_elsewhere_no_script_is_left_to_its_committed_results(
    given: dict[str, Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "check_writable", lambda _: None)
    for each in script.steps(script.AllOptions(**given)):
        option = "--results" if each.script.stem in NO_TRAINING else "--out"
        place = Path(each.words[each.words.index(option) + 1])
        assert place == home or home in place.parents
        assert each.where == home or home in each.where.parents
        assert each.script.stem != "pages"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--quick --figures-only", "quick and figures_only: got both"),
        ("--shard 1/8", "shard: got 1/8, which only single scripts offer"),
        ("--precision 64", "precision: got 64, which Battle does not offer"),
        ("--precision tf32", "precision: got tf32, which needs a GPU"),
        (f"--seeds 3 --out {ROOT / 'results'}", "seeds: got 3, but .*results is committed"),
        ("--seeds 0", "seeds: got 0, allowed is 1 or more"),
        ("--slurm-partition normal", "slurm_partition: got normal, which needs --launcher slurm"),
        ("--rounds 3", "rounds"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "go_through", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(ValueError, match=message):
        script.run(["--out", str(tmp_path), *words.split()])


def test_figures_only_makes_the_same_bytes_from_the_tables_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    for name in ("matrix_games/table.csv", "matrix_games/provenance.json"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "results" / name, out / name)
    (tmp_path / "README.md").write_text("<!-- begin: claims -->\n<!-- end: claims -->\n")
    made = []
    for _ in range(2):
        script.run(["--figures-only", "--out", str(out)])
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "jobs" not in path.parts]
        made.append({path: path.read_bytes() for path in files})
    assert made[0] == made[1]
    assert {"success_rates.png", "table.csv", "claims.csv", "index.html"} <= {path.name for path in made[0]}
    figure = "matrix_games/success_rates.png"
    if draws_as_committed():
        assert (out / figure).read_bytes() == (ROOT / "results" / figure).read_bytes()
    assert (tmp_path / "README.md").read_text() == "<!-- begin: claims -->\n<!-- end: claims -->\n"
    assert "reproduce/matrix_games.py --figures-only --out" in capsys.readouterr().out


def test_quick_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "go_through", lambda *_, **__: None)
    script.run(["--quick", "--out", str(tmp_path)])
    assert "left out of --quick: " in capsys.readouterr().out


@pytest.mark.slow
def test_quick_goes_through_and_writes_nowhere_else(tmp_path: Path) -> None:
    status = ["git", "status", "--short"]
    before = subprocess.run(status, cwd=ROOT, check=True, capture_output=True).stdout
    command = [sys.executable, "reproduce/all.py", "--quick", "--out", str(tmp_path / "all")]
    called = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert called.returncode == 0, called.stderr[-3000:]
    table, left_out = called.stdout.split("\n\n")
    ended = [line.split()[1] for line in table.splitlines()[1:]]
    assert ended == ["done"] * (sum(call.quick is not None for call in CALLS) + 2)  # and verdicts and report
    assert left_out.startswith("left out of --quick: ")
    assert [path.name for path in tmp_path.iterdir()] == ["all"]
    assert (tmp_path / "all/index.html").exists()
    assert subprocess.run(status, cwd=ROOT, check=True, capture_output=True).stdout == before

"""All scripts by one command: which, with what options, where they write, and figures from tables alone."""

import ast
import importlib
import re
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mfmarl.jobs import slurm
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.calls import CALLS, seconds
from mfmarl.scripting.options import Options
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
        {"quick": True},
        {"launcher": "slurm", "slurm_partition": "normal", "slurm_tasks": 8, "workers": 2},
        {"accelerator": "gpu", "devices": 4, "precision": "tf32", "logger": "csv"},
        {"seeds": 3, "threads": 2, "fresh": True, "quick": True},
    ],
    ids=" ".join,
)
def test_every_script_takes_what_is_handed_on(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    elsewhere: dict[str, Any] = {"out": tmp_path} if "precision" in given else {}  # committed rows keep theirs
    asked: list[Options] = []

    class ReachedError(Exception):
        """A command was not refused."""

    def launch(jobs: object, out: Path, options: Options) -> None:
        asked.append(options)
        raise ReachedError

    monkeypatch.setattr(scripting_results, "launch", launch)
    every = [each for each in script.steps(script.AllOptions(**given, **elsewhere)) if trains(each)]
    for each in every:
        with pytest.raises(ReachedError):
            importlib.import_module(f"reproduce.{each.script.stem}").run(list(each.words))
    assert {each.script.stem for each in every} == {call.task for call in CALLS}
    assert len({each.name for each in every}) == len(every)
    for each, options in zip(every, asked, strict=True):
        for name, value in given.items():
            if each.script.stem == "theory" and name in ("accelerator", *script.NOT_ON_CPUS):
                assert options.accelerator == "cpu"
            elif name != "seeds" or each.script.stem in script.SEEDED:
                assert getattr(options, name) == value, (each.name, name)
        if each.script.stem == "battle" and not options.quick and "precision" not in given:
            assert options.precision == ("32" if options.agents == [8] else "bf16-mixed"), "as the committed rows"
        if each.script.stem == "theory":
            assert not {"--devices", "--precision", "--logger"} & {*each.words}


def test_options_of_a_file_are_handed_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.yaml").write_text(f"workers: 2\nseeds: 3\nthreads: 4\nout: {tmp_path / 'all'}\n")
    asked: list[list[Step]] = []

    def go(steps: list[Step], out: Path, here: object) -> None:
        assert (out, here) == (tmp_path / "all", None)
        asked.append(steps)

    monkeypatch.setattr(script, "go_through", go)
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
    assert set(every) == {path.stem for path in (ROOT / "reproduce").glob("*.py")} - {"all", "compare"}
    quick, figures = (script.steps(script.AllOptions(quick=how, figures_only=not how)) for how in (True, False))
    assert [each.script.stem for each in figures][-3:] == [*NO_TRAINING]
    for steps, films in ((script.steps(script.AllOptions()), 1), (figures, 1), (quick, 0)):
        assert sum("--replay" in each.words for each in steps) == films


def test_the_work_of_a_script_is_what_it_took_and_all_are_alike_where_they_are_small() -> None:
    took = [each.work for each in script.steps(script.AllOptions()) if trains(each)]
    known = [round(seconds(ROOT / "results", call)[0]) for call in CALLS if "--only" not in call.command]
    assert took == [max(1, each) for each in known]
    assert max(known) > 10_000
    assert {each.work for each in script.steps(script.AllOptions(quick=True))} == {100}


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"^out: "):
        script.AllOptions(out=tmp_path / "file")
    (tmp_path / "all/claims.csv").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"claims\.csv is no file"):
        script.AllOptions(out=tmp_path / "all")


@pytest.mark.parametrize("launcher", ["slurm", "local"])
def test_a_cluster_is_asked_for_before_anything_runs(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(script, "go_through", lambda *_, **__: asked.append("scripts"))
    monkeypatch.setattr(slurm, "check", lambda *_: asked.append("cluster"))
    script.run(["--launcher", launcher, "--workers", "1", "--out", str(tmp_path)])
    assert asked == (["cluster"] if launcher == "slurm" else []) + ["scripts"]


def test_a_dry_run_lists_the_jobs_of_each_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "none"
    script.run(["--dry-run", "--quick", "--workers", "2", "--accelerator", "cpu", "--out", str(out)])
    parts = capsys.readouterr().out.strip().split("\n\n")
    every = [
        step for step in script.steps(script.AllOptions(quick=True, dry_run=True, workers=2, out=out)) if trains(step)
    ]
    assert len(parts) == len(every) > 5
    for part, step in zip(parts, every, strict=True):
        lines = part.splitlines()
        assert lines[0] == f"{step.name}: {step.makes}"
        assert "--dry-run" in step.words
        assert lines[1].split() == ["job", "work", "state"]
        assert re.match(rf"{len(lines) - 3} jobs?, 0 of them done; the others are .* of this machine", lines[-1])
    assert not out.exists()


@pytest.mark.parametrize("path", sorted((ROOT / "reproduce").glob("*.py")), ids=lambda path: path.stem)
def test_a_script_says_what_it_is_and_can_be_stopped_while_it_loads(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    for name, imported in (("a module", False), ("__main__", True)):
        with monkeypatch.context() as patch:
            patch.setattr(signal, "getsignal", lambda _: None)  # nothing is changed here
            patch.delitem(sys.modules, "mfmarl.jobs.startup", raising=False)
            if imported:
                with pytest.raises(SystemExit) as ended:
                    runpy.run_path(str(path), run_name=name)
                assert ended.value.code == 0
            else:
                runpy.run_path(str(path), run_name=name)
            assert ("mfmarl.jobs.startup" in sys.modules) == imported
    first, second, *_ = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")
    told = " ".join(capsys.readouterr().out.split())
    assert " ".join(first.split()) in told
    assert " ".join(second.split())[:60] not in told


def test_on_a_cluster_all_tasks_are_sent_at_once() -> None:
    for launcher in ("local", "slurm"):
        every = script.steps(script.AllOptions(launcher=launcher))
        assert {each.beside for each in every if trains(each)} == {launcher == "slurm"}
        assert not any(each.beside for each in every if not trains(each))


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
        ("--dry-run --figures-only", "dry_run and figures_only: got both"),
        ("--shard 1/8", "shard: got 1/8, which only single scripts offer"),
        ("--precision 64", "precision: got 64, which Battle does not offer"),
        ("--precision tf32", "precision: got tf32, which needs a GPU"),
        (f"--seeds 3 --out {ROOT / 'results'}", "seeds: got 3, but .*results is committed"),
        ("--seeds 0", "seeds: got 0, allowed is 1 or more"),
        ("--slurm-partition normal", "slurm_partition: got normal, which needs launcher slurm"),
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


def test_figures_only_of_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^figures_only: there are no tables in .*typo; run without --figures-only"):
        script.run(["--figures-only", "--out", str(tmp_path / "typo")])
    assert not (tmp_path / "typo").exists()


def test_quick_says_what_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "go_through", lambda *_, **__: None)
    script.run(["--quick", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert told.startswith("\nleft out of --quick: ")
    assert {*told.strip().removeprefix("left out of --quick: ").split("; ")} == {
        call.makes for call in CALLS if call.quick is None
    }


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

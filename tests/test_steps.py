"""Scripts one after the other: stubs that end, fail, or wait to be stopped."""

import io
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.jobs import progress as jobs_progress
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.launch import JobsFailedError
from mfmarl.jobs.locks import HeldError, locked
from mfmarl.jobs.progress import Progress, share_done
from mfmarl.jobs.signals import Terminated
from mfmarl.scripting import steps as steps_module
from mfmarl.scripting.steps import Running, Step, StepProgress, go_through, may_begin, module_of

pytestmark = pytest.mark.usefixtures("patience")
ROOT = Path(__file__).parents[1]
DRIVER = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell hands it to background jobs ignored
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this one
from mfmarl.scripting.main import main
from mfmarl.scripting.steps import Step, go_through

out = Path(sys.argv[1])
every = [Step(out / f"{name}.py", (), "a stub", out, beside=name.startswith("waits")) for name in sys.argv[2:]]
raise SystemExit(main(lambda: go_through(every, out)))
"""
STUBS = {
    "ends": "from pathlib import Path; Path(__file__).with_suffix('.done').touch()",
    "after": "from pathlib import Path; Path(__file__).with_suffix('.done').touch()",
    "fails": r"import sys; print('\n\nno luck', file=sys.stderr, end=''); sys.exit(3)",  # and no end of the line
    "waits": """
import signal, sys, time
from pathlib import Path
def save(number, _):
    with Path(__file__).with_suffix('.saved').open('a') as saved:
        print(signal.Signals(number).name, file=saved)
    time.sleep(1)
    sys.exit(128 + number)
signal.signal(signal.SIGINT, save)
signal.signal(signal.SIGTERM, save)
Path(__file__).with_suffix('.began').touch()
time.sleep(600)
""",
    "outlives": "import mfmarl.jobs.startup\n",
    "says": """
import sys
from pathlib import Path
for number in range(2000):
    print(f"line {number}", file=sys.stderr)
Path(__file__).with_suffix('.done').touch()
""",
}
STUBS["after"] = f"{STUBS['outlives']}{STUBS['after']}"  # it ends by itself, though its stdin stays open
STUBS["outlives"] += STUBS["waits"]
STUBS["waits_too"] = STUBS["waits"]
MEETS = """
import sys, time
from pathlib import Path
Path(__file__).with_suffix('.met').touch()
while not all(Path(__file__).with_name(f'{name}.met').exists() for name in sys.argv[1:]):
    time.sleep(0.05)
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name, text in STUBS.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "driver.py").write_text(DRIVER)
    return tmp_path


def driven(out: Path, *names: str) -> "subprocess.Popen[str]":
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(out / "driver.py"), str(out), *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )


def test_a_script_that_fails_stops_no_other(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JobsFailedError) as failed:
        go_through([Step(out / f"{name}.py", (), "a stub", out) for name in ("ends", "fails", "after")], out)
    assert (out / "after.done").exists()
    first, *rest = str(failed.value).splitlines()
    assert first == "1 of 3 scripts failed; the others are done."
    assert "fails.py: exit code 3 (see " in rest[0]
    told = capsys.readouterr()
    assert "fails: no luck" in told.err
    assert [line.split()[1] for line in told.out.splitlines()[1:]] == ["done", "exit", "done"]
    assert (out / "jobs/02-fails.log").read_text() == "\n\nno luck"
    said = told.err.splitlines()
    assert [line for line in said if line.startswith(("fails: ", "failed: "))] == [
        "fails: no luck",
        f"failed: {rest[0]}",
    ]
    assert "100%" in said[-1]
    assert said[-1].endswith("3 of 3 scripts")


def test_the_table_tells_how_long_each_took(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0] + 65.0 * (out / "ends.done").exists())
    go_through([Step(out / "ends.py", (), "", out)], out)
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "01:05"

    def do(step: Step) -> None:
        now[0] += 3605.0

    go_through([Step(out / f"{name}.py", (), "", out) for name in ("ends", "after")], out, here=do)
    told = capsys.readouterr()
    assert [line.split()[0] for line in told.out.splitlines()[1:]] == ["1:00:05", "1:00:05"]
    assert " 50%  1:00:05 gone, 1:00:05 left  1 of 2 scripts, now after: " in told.err.splitlines()


def test_a_script_that_a_signal_ended_has_failed(out: Path) -> None:
    (out / "killed.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(JobsFailedError, match=r"killed\.py: ended by SIGKILL"):
        go_through([Step(out / "killed.py", (), "a stub", out)], out)


def test_what_fails_in_this_process_stops_no_other_step(out: Path) -> None:
    done = []

    def do(step: Step) -> None:
        if step.script.stem == "fails":
            raise ZeroDivisionError("no\nluck")
        done.append(step.script.stem)

    with pytest.raises(JobsFailedError, match=r"fails\.py: no luck \(see "):
        go_through([Step(out / f"{name}.py", (), "", out) for name in ("ends", "fails", "after")], out, here=do)
    assert done == ["ends", "after"]
    assert "ZeroDivisionError" in (out / "jobs/02-fails.log").read_text()
    go_through([Step(out / f"{name}.py", (), "", out) for name in ("ends", "fails")], out, here=lambda _: None)
    assert not (out / "jobs/02-fails.log").exists(), "it is of the last call"


@pytest.mark.parametrize(
    ("number", "code", "saved"),
    [(signal.SIGINT, 130, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 143, "SIGTERM")],
)
def test_a_signal_is_passed_on_once_and_stops_all(out: Path, number: int, code: int, saved: str) -> None:
    process = driven(out, "ends", "waits", "after")
    while not (out / "waits.began").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as a terminal does
    _, told = process.communicate()
    assert process.returncode == code
    assert (out / "waits.saved").read_text() == f"{saved}\n"
    assert not (out / "after.done").exists()
    assert told.splitlines()[-1] == "stopped; the same command goes on from here"
    assert told.count("stopped") == 1
    assert "Traceback" not in told


def test_a_script_ends_with_the_one_that_runs_it(out: Path) -> None:
    process = driven(out, "outlives", "after")
    while not (out / "outlives.began").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.communicate()
    while not (out / "outlives.saved").exists():
        time.sleep(0.05)
    assert (out / "outlives.saved").read_text() == "SIGTERM\n"
    assert not (out / "after.done").exists()


def test_a_signal_reaches_all_that_run_side_by_side(out: Path) -> None:
    process = driven(out, "waits", "waits_too", "after")
    while not all((out / f"{name}.began").exists() for name in ("waits", "waits_too")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert process.returncode == 143
    assert [(out / f"{name}.saved").read_text() for name in ("waits", "waits_too")] == ["SIGTERM\n"] * 2
    assert not (out / "after.done").exists()
    assert told.splitlines()[-1] == "stopped; the same command goes on from here"


def test_a_signal_that_arrives_while_a_script_begins_reaches_it(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(Running):
        """A script that has begun, but is not yet known to be running."""

        def __init__(self, step: Step, log: Path, files: ExitStack) -> None:
            super().__init__(step, log, files)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(steps_module, "Running", Interrupted)
    with pytest.raises(Terminated):
        go_through([Step(out / "waits.py", (), "", out)], out)


def test_steps_side_by_side_keep_the_order_of_the_table(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "other", "last"):
        (out / f"{name}.py").write_text(MEETS)
    meeting = [Step(out / f"{name}.py", ("one", "other"), "", out, beside=True) for name in ("one", "other")]
    again = Step(out / "one.py", (), "", out, beside=True)
    go_through([*meeting, again, Step(out / "last.py", ("one", "other", "last"), "", out)], out)
    told = [line.split()[5:] for line in capsys.readouterr().out.splitlines()[1:]]
    assert [len(words) for words in told] == [2, 2, 0, 3]


def test_a_step_waits_for_its_own_script_and_for_all_that_run_alone() -> None:
    steps = [Step(Path(f"{name}.py"), (), "", Path(), beside=True) for name in ("squeeze", "squeeze", "ising")]
    steps += [Step(Path(f"{name}.py"), (), "", Path()) for name in ("film", "report")]
    unfinished = {0, 1, 2, 3, 4}
    begun = []
    while unfinished:
        begun.append([place for place in sorted(unfinished) if may_begin(steps, place, unfinished)])
        unfinished -= {begun[-1][0]}
    assert begun == [[0, 2], [1, 2], [2], [3], [4]]


def test_a_closed_pipe_stops_nothing(out: Path) -> None:
    process = driven(out, "says", "after")
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    assert process.wait() == 0
    assert (out / "says.done").exists()
    assert (out / "after.done").exists()
    assert len((out / "jobs/01-says.log").read_text().splitlines()) == 2000


def test_one_call_at_a_time(out: Path) -> None:
    with locked(out / "jobs"), pytest.raises(HeldError):
        go_through([Step(out / "ends.py", (), "a stub", out)], out)
    assert not (out / "ends.done").exists()


def test_progress_is_that_of_all_scripts(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    long, short = Step(out / "long.py", (), "much", out, 300), Step(out / "short.py", (), "little", out, 100)
    with StepProgress([long, short]) as progress:
        progress.begin(long)
        progress.heard(long, " 50%  4000 of 8000 agent-steps  ? agent-steps/s  ? left  1 of 2 jobs")
        now[0] = 60.0
        progress.heard(long, "100%  8000 of 8000 agent-steps  67 agent-steps/s  00:00 left  2 of 2 jobs")
        progress.heard(long, "  0%  0 of 80 rounds  ? rounds/s  ? left  0 of 2 jobs")  # it lets armies fight, say
        progress.heard(long, "Slurm: task 7 waits: PartitionDown")
        progress.end(long)
        progress.begin(short)
    told = capsys.readouterr().err.splitlines()
    assert "  0%  00:00 gone, ? left  0 of 2 scripts, now long: much" in told
    assert " 75%  01:00 gone, 00:40 left  0 of 2 scripts, now long: much" in told
    assert "long: Slurm: task 7 waits: PartitionDown" in told
    assert told[-1] == " 75%  01:00 gone, 00:40 left  1 of 2 scripts, now short: little"


def test_a_terminal_gets_one_bar(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    one, other = Step(out / "one.py", (), "much", out), Step(out / "other.py", (), "little", out)
    with StepProgress([one, other]) as progress:
        progress.begin(one)
        progress.end(one)
        progress.begin(other)
        before = len(stream.getvalue())
        progress.tick()
        assert len(stream.getvalue()) > before
    shown = stream.getvalue().split("\r")[-1]
    assert shown.startswith(" 50%|")
    assert shown.rstrip().endswith("1 of 2 scripts, now other: little")


def test_a_line_of_progress_is_read_back(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_progress, "LINE_SECONDS", 0.0)
    data = {"steps": 200, "evaluations": 2}
    job = TrainingJob("job", {}, "il", GaussianSqueeze(2), (0,), {}, data)
    with Progress([job], []) as progress:
        progress.update(job, job.work // 4)
        progress.finish(job)
    lines = capsys.readouterr().err.splitlines()
    assert [share_done(line) for line in lines] == [0.0, 0.25, 0.25, 0.25]
    assert [line.split()[-4] for line in lines] == ["0", "0", "1", "1"], "jobs that are over"
    assert share_done("written: 50% of it") is None


def test_a_script_is_imported_from_a_checkout_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    folder = tmp_path / "scripts_of_a_checkout"
    folder.mkdir()
    for name in ("one", "other"):
        (folder / f"{name}.py").write_text(f"SAYS = {name!r}\n")
    assert [module_of(folder / f"{name}.py").SAYS for name in ("one", "other")] == ["one", "other"]
    assert sys.path.count(str(tmp_path.resolve())) == 1

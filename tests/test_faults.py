"""Faults by their kind: how a run ends when something outside it goes wrong, and what it says."""

import errno
import io
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any, TextIO

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from matplotlib.figure import Figure
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mfmarl import figures
from mfmarl.algorithms.frequency_maximum import RecFMQ
from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import IL
from mfmarl.algorithms.saved import load_agent
from mfmarl.custom import staying_here
from mfmarl.environments import GaussianSqueeze, Ising
from mfmarl.environments.battle.recorded import Replay
from mfmarl.figures import film
from mfmarl.files import digest, host
from mfmarl.jobs import workers
from mfmarl.jobs.armies import army_file, kept_seeds, policy_path, trained_seeds
from mfmarl.jobs.console import say
from mfmarl.jobs.execution import Hardware
from mfmarl.jobs.folder import folder, found
from mfmarl.jobs.job import TrainingJob, job_name
from mfmarl.jobs.launch import JobsFailedError, ShareDone, available, launch, report
from mfmarl.jobs.library import train
from mfmarl.jobs.locks import check_lockable, locked
from mfmarl.jobs.signals import Terminated, passed_on, terminable
from mfmarl.networks.battle import BattleNetwork
from mfmarl.policies import Acting, Policy
from mfmarl.scripting import tables
from mfmarl.scripting.main import main
from mfmarl.scripting.results import merge_intervals
from reproduce import all as all_script
from reproduce import battle, gaussian_squeeze
from tests.test_launch import TOY, job, options
from tests.test_policies import ABOUT

# A script of jobs as those in reproduce/ are, with the number of workers on its command line.
SCRIPT = """
import signal
import sys
from pathlib import Path
from queue import Queue
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell hands it to background jobs ignored
sys.path.insert(0, {root!r})
from mfmarl.jobs.console import say
from tests.test_launch import job, launch, main, options

def run():
    launch({jobs}, Path(sys.argv[1]), options(workers=int(sys.argv[2]), checkpoint_seconds=0))
    say("a table")

if __name__ == "__main__":
    raise SystemExit(main(run))
"""
LONG = '[job("a", steps=2000), job("b", "mf-q", steps=2000)]'
SHORT = '[job("a"), job("b")]'


def script(tmp_path: Path, jobs: str) -> list[str]:
    """The command of a script that does so many jobs in tmp_path/out, without the number of workers."""
    file = tmp_path / "script.py"
    file.write_text(SCRIPT.format(root=str(TOY.parents[1]), jobs=jobs))
    return [sys.executable, str(file), str(tmp_path / "out")]


def rows(out: Path, jobs: Sequence[TrainingJob]) -> list[bytes]:
    return [(folder(each, out, "32") / "rows.csv").read_bytes() for each in jobs]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The rows of the long jobs."""
    out, jobs = tmp_path_factory.mktemp("whole"), [job("a", steps=2000), job("b", "mf-q", steps=2000)]
    launch(jobs, out, options())
    return rows(out, jobs)


@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [
        pytest.param(signal.SIGTERM, 143, 1, marks=pytest.mark.slow),
        (signal.SIGINT, 130, 2),
        pytest.param(signal.SIGTERM, 143, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, 1, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_script_says_so_and_goes_on_from_its_checkpoint(
    number: signal.Signals, code: int, workers: int, uninterrupted: list[bytes], tmp_path: Path
) -> None:
    jobs = [job("a", steps=2000), job("b", "mf-q", steps=2000)]
    process = subprocess.Popen([*script(tmp_path, LONG), str(workers)], stderr=subprocess.PIPE, text=True)
    checkpoint = folder(jobs[0], tmp_path / "out", "32") / "checkpoint.ckpt"
    while not checkpoint.exists():
        assert process.poll() is None, "it ended without a checkpoint"
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == code
    assert error.endswith("\nstopped; the same command goes on from here\n")
    assert "Traceback" not in error
    assert found(jobs[0], checkpoint.parent, Hardware()) == "checkpoint"
    launch(jobs, tmp_path / "out", options())
    assert rows(tmp_path / "out", jobs) == uninterrupted


def test_ctrl_c_while_the_workers_load_is_one_line(tmp_path: Path) -> None:
    """On a terminal it reaches the whole group of processes, among them the server that loads Lightning for workers."""
    command = [*script(tmp_path, LONG), "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    parent = psutil.Process(process.pid)
    while not any("forkserver" in " ".join(child.cmdline()) for child in parent.children()):
        assert process.poll() is None, "it ended without workers"
        time.sleep(0.01)
    time.sleep(0.3)  # until it loads
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.endswith("\nstopped; the same command goes on from here\n")
    assert "Traceback" not in error


@pytest.mark.slow
def test_nobody_has_to_listen(tmp_path: Path) -> None:
    """The readers of both streams are gone before the script writes, or the streams are closed."""
    jobs = [job("a"), job("b")]
    launch(jobs, tmp_path / "heard", options())
    command = script(tmp_path, SHORT)
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.call([*command, "2"], stdout=writer, stderr=writer) == 0
    assert rows(tmp_path / "out", jobs) == rows(tmp_path / "heard", jobs)
    command[2] = str(tmp_path / "closed")
    assert subprocess.call(["bash", "-c", '"$@" >&- 2>&- <&-', "bash", *command, "1"]) == 0
    assert rows(tmp_path / "closed", jobs) == rows(tmp_path / "heard", jobs)


STREAMS = """
import os, sys
from mfmarl.jobs.console import open_streams
open_streams()
print("heard by nobody")
print("nor this", file=sys.stderr)
assert sys.stdin.read() == ""
sys.stdin = sys.stdout = sys.stderr = None
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(file, str(file > 2).encode())
"""


def test_no_file_takes_the_place_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STREAMS, str(tmp_path / "first")]
    path = {**os.environ, "PYTHONPATH": str(TOY.parents[1])}
    assert subprocess.call(["bash", "-c", '"$@" >&- 2>&- <&-', "bash", *command], env=path) == 0
    assert (tmp_path / "first").read_text() == "True"


def signalled(*numbers: signal.Signals) -> None:
    """This process gets these."""
    for number in numbers:
        os.kill(os.getpid(), number)


def test_signals_are_handled_as_before_when_the_work_is_over() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(Terminated), terminable():
            signalled(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
        handlers = [signal.getsignal(number) for number in numbers]
        handed_on: list[signal.Signals] = []
        with pytest.raises(Terminated), passed_on(handed_on.append):
            signalled(signal.SIGHUP, signal.SIGTERM)
        assert handed_on == [signal.SIGTERM]
        assert [signal.getsignal(number) for number in numbers] == handlers
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_nobody_has_to_listen_to_what_a_script_prints_and_ends() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(TOY.parents[1] / "reproduce/matrix_games.py"), "--print_config"]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    "name", ["queue.py", *(pytest.param(each, marks=pytest.mark.slow) for each in ("socket.py", "mfmarl/__init__.py"))]
)
def test_workers_import_nothing_that_lies_where_the_script_is_called(name: str, tmp_path: Path) -> None:
    """A file that is called as a module is, or another checkout."""
    here = tmp_path / "here"
    (here / name).parent.mkdir(parents=True)
    (here / name).write_text("raise SystemError")
    ended = subprocess.run([*script(tmp_path, SHORT), "2"], cwd=here, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_letters_that_a_stream_does_not_know_are_written_as_numbers() -> None:
    """As of a terminal under LC_ALL=C, or of a folder whose name is no text."""
    for encoding, text, written in (("ascii", "τ = 1", rb"\u03c4 = 1"), ("utf-8", "/\udcff", rb"/\udcff")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        say(text, stream)
        assert stream.buffer.getvalue() == written + b"\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_method_that_exits_is_a_failed_job(workers: int, tmp_path: Path) -> None:
    jobs = [job("exits", f"{TOY}:Exits"), job("good")]
    with pytest.raises(JobsFailedError, match=r"1 of 2 jobs failed; the others are done\.\nexits: SystemExit: 0"):
        launch(jobs, tmp_path, options(workers=workers))
    assert rows(tmp_path, jobs[1:])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("algorithm", "message"), [("Raises", "CancelledError: no more"), ("RaisesNoText", r"NoText \(see ")]
)
def test_whatever_a_method_raises_is_a_failed_job(algorithm: str, message: str, workers: int, tmp_path: Path) -> None:
    jobs = [job("raises", f"{TOY}:{algorithm}", steps=400), job("good")]
    with pytest.raises(JobsFailedError, match=rf"^1 of 2 jobs failed; the others are done\.\nraises: {message}"):
        launch(jobs, tmp_path, options(workers=workers))
    assert rows(tmp_path, jobs[1:])


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("EvaluationStops", "RuntimeError: StopIteration in validation_step"),
        ("LearningStops", "RuntimeError: StopIteration in training_step"),
        ("TrainerStops", "RuntimeError: stops ended early: it gave 2 rows of 20"),
    ],
)
def test_a_method_that_ends_before_its_end_is_a_failed_job(algorithm: str, message: str, tmp_path: Path) -> None:
    """Lightning takes StopIteration for the end of the data, and would say nothing."""
    stops = job("stops", f"{TOY}:{algorithm}")
    with pytest.raises(JobsFailedError, match=message):
        launch([stops], tmp_path, options())
    assert not (folder(stops, tmp_path, "32") / "rows.csv").exists()


def test_what_a_method_or_a_notebook_sets_in_torch_changes_no_other_job(tmp_path: Path) -> None:
    """As the type of all tensors that are made without one."""
    launch([job("good")], tmp_path / "alone", options())
    try:
        launch([job("first", f"{TOY}:Doubles", steps=400), job("good")], tmp_path / "after", options())
        assert torch.get_default_dtype() == torch.float32
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        launch([job("good")], tmp_path / "within", options())
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert rows(tmp_path / "after", [job("good")]) == rows(tmp_path / "alone", [job("good")])
    assert rows(tmp_path / "within", [job("good")]) == rows(tmp_path / "alone", [job("good")])


WANDERS = """
import os
from mfmarl.algorithms.q_learning import IL

os.chdir("/")

class Wanders(IL):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        os.chdir("/")

    def losses(self, batch):
        os.chdir("/")
        return super().losses(batch)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_method_that_leaves_its_working_directory_changes_nothing(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where its file is found nor where results go, both of which were named from here."""
    monkeypatch.chdir(tmp_path)
    Path("wanders.py").write_text(WANDERS)
    jobs = [replace(job("a", "wanders.py:Wanders"), keep=True), job("b", "wanders.py:Wanders"), job("c")]
    launch(jobs, Path("out"), options(workers=workers, checkpoint_seconds=0, logger="csv"))
    assert Path.cwd() == tmp_path
    launch([job("a")], tmp_path / "others", options())
    assert rows(Path("out"), jobs[:1]) == [
        each.replace(b"il,", b"wanders.py:Wanders,") for each in rows(Path("others"), [job("a")])
    ]
    assert {path.name for path in Path("out").iterdir()} == {"jobs"}
    assert len(list(Path("out").rglob("rows.csv"))) == len(list(Path("out").rglob("metrics.csv"))) == 3
    curves = train("wanders.py:Wanders", GaussianSqueeze(5), [0], steps=200, evaluations=2, out="trained")
    assert len(curves) == 2
    assert Path.cwd() == tmp_path
    assert (tmp_path / "trained" / "jobs").is_dir()


def test_a_removed_working_directory_is_come_back_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    number = here.stat().st_ino
    here.rmdir()
    with staying_here():
        os.chdir("/")
    assert os.stat(".").st_ino == number
    number_open = len(os.listdir("/dev/fd"))
    with staying_here():
        pass
    assert len(os.listdir("/dev/fd")) == number_open


def test_sigterm_while_the_file_of_a_method_loads_is_no_fault_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    assert main(lambda: launch([job("a", f"{tmp_path}/slow.py:Slow")], tmp_path / "out", options())) == 143
    assert capsys.readouterr().err == "\nstopped; the same command goes on from here\n"
    monkeypatch.setattr(sys, "argv", ["script.py", "--fresh"])
    assert main(lambda: launch([job("a", f"{tmp_path}/slow.py:Slow")], tmp_path / "out", options())) == 143
    assert capsys.readouterr().err == "\nstopped; the same command without --fresh goes on from here\n"


def test_a_report_of_failures_counts_what_is_done(tmp_path: Path) -> None:
    jobs = [job("one", f"{TOY}:Breaks"), job("other", f"{TOY}:Breaks", seeds=(3,))]
    with pytest.raises(JobsFailedError, match=r"^2 of 2 jobs failed\.\n"):
        launch(jobs, tmp_path, options())
    with pytest.raises(JobsFailedError, match=r"^1 of 1 job failed\.\n"):
        launch(jobs[:1], tmp_path, options())


def test_a_report_of_many_failures_shows_the_logs_of_the_first_alone(tmp_path: Path) -> None:
    """And none of a job that had no time to write one."""
    jobs = [job(name, f"{TOY}:Breaks", seeds=(seed,)) for seed, name in enumerate("abcde")]
    with pytest.raises(JobsFailedError) as failed:
        launch(jobs, tmp_path, options())
    lines = str(failed.value).splitlines()
    assert [line[:2] for line in lines if re.match("[a-e]: ", line)] == ["a:", "b:", "c:", "d:", "e:"]
    assert lines.count("    RuntimeError: the toy broke") == 3
    (folder(jobs[0], tmp_path, "32") / "log.txt").unlink()
    (folder(jobs[1], tmp_path, "32") / "log.txt").write_text("\n".join(map(str, range(40))))
    place = available(tmp_path, options())[0]
    told = report({"a": "lost", "b": "lost"}, jobs, place, fresh=False).splitlines()
    assert told[1] == "a: lost", "there is no log to see"
    assert told[2].startswith("b: lost (see ")
    assert told[3:-1] == [f"    {number}" for number in range(28, 40)], "the last dozen of lines"
    assert told[-1] == "Make the same call again to resume. With 'fresh' all jobs start over."
    told = report({"a": "lost"}, jobs, place, fresh=True).splitlines()
    assert told[-1] == "Make the same call without 'fresh' to resume. With 'fresh' all jobs start over."


def test_a_worker_that_ends_is_a_failed_job(tmp_path: Path) -> None:
    """Of a class in a file, of which no script has to be imported: there is nothing to say of guards."""
    jobs = [job("leaves", f"{TOY}:Leaves"), job("good"), job("last")]
    with pytest.raises(JobsFailedError, match=r"\nleaves: its worker ended with exit code 0 \(see "):
        launch(jobs, tmp_path, options(workers=2))
    assert rows(tmp_path, jobs[1:])


def test_sigterm_to_a_worker_is_a_failed_job(tmp_path: Path) -> None:
    jobs = [job("terminated", f"{TOY}:Terminated"), job("good"), job("last")]
    with pytest.raises(JobsFailedError, match="terminated: its worker was killed by SIGTERM"):
        launch(jobs, tmp_path, options(workers=2))
    assert rows(tmp_path, jobs[1:])


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("InfiniteLoss", "FloatingPointError: network.* is NaN or infinite after step 60, 12 gradient steps into"),
        ("NoScore", "FloatingPointError: greedy_reward is NaN or infinite at the evaluation after step 20"),
    ],
)
def test_what_is_not_finite_ends_the_job_where_it_appears(algorithm: str, message: str, tmp_path: Path) -> None:
    broken = job("broken", f"{TOY}:{algorithm}")
    with pytest.raises(JobsFailedError, match=message):
        launch([broken], tmp_path, options())
    assert not (folder(broken, tmp_path, "32") / "rows.csv").exists()


def test_a_table_that_is_not_finite_ends_the_job_where_it_appears(tmp_path: Path) -> None:
    """The spins of a lattice go on, as if nothing were wrong."""
    at = {"temperatures": (1.0,)}
    data = {**at, "steps": 4, "evaluations": 2, "measure_every": 1}
    broken = TrainingJob("broken", {}, f"{TOY}:NoTable", Ising(4), (0,), at, data, ({"temperature": 1.0},))
    with pytest.raises(JobsFailedError, match="FloatingPointError: q_table is NaN or infinite after step 2, "):
        launch([broken], tmp_path, options())


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_another_call_does_is_left_to_it_while_others_are_done(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mfmarl.jobs.workers.HELD_SECONDS", 0.05)
    jobs = [job("held", steps=400), job("free"), job("also-free")]
    held, free = (folder(each, tmp_path, "32") for each in jobs[:2])
    held.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        with locked(held):
            launched = pool.submit(launch, jobs, tmp_path, options(workers=workers))
            while not (free / "rows.csv").exists():
                time.sleep(0.01)
            with pytest.raises(ValueError, match=f"{held.name} is being worked on by process {os.getpid()} on "):
                launch(jobs[:1], tmp_path, options(fresh=True))
            assert not launched.done()
            assert not (held / "rows.csv").exists()
        assert [len(frame) for frame in launched.result(timeout=60)] == [20, 20, 20]
    message = f"{held.name} is being worked on by process {os.getpid()} on "
    assert capfd.readouterr().err.count(message) == 1, "said once"


def test_who_waits_for_a_lock_says_for_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: Queue[tuple[str, TextIO]] = Queue()
    monkeypatch.setattr("mfmarl.jobs.locks.SAID_SECONDS", 0.01)
    monkeypatch.setattr("mfmarl.jobs.locks.say", lambda *words: said.put(words))

    def wait() -> None:
        with locked(tmp_path, wait=True):
            pass

    with ThreadPoolExecutor() as pool:
        with locked(tmp_path):
            waits = pool.submit(wait)
            text, where = said.get(timeout=60)
            assert not futures.wait([waits], timeout=0.2).done
        waits.result(timeout=60)
    assert text == f"{tmp_path.name} is being worked on by process {os.getpid()} on {host()}; waiting for it"
    assert where is sys.stderr


def test_the_lock_of_a_process_that_is_gone_does_not_bind(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from queue import Queue
from mfmarl.jobs.library import train
from mfmarl.jobs.locks import check_lockable, locked
with locked(Path({str(tmp_path)!r})):
    os._exit(9)
"""
    assert subprocess.call([sys.executable, "-c", code]) == 9
    assert (tmp_path / ".holder").exists()
    with locked(tmp_path):
        pass
    assert not (tmp_path / ".holder").exists()


def test_what_killed_calls_left_half_written_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "jobs").mkdir()
    writers = (f"{gone.pid}@{host()}", f"{os.getppid()}@{host()}", f"{gone.pid}@other-host")
    files = [tmp_path / place / f".curves.{writer}.partial.csv" for writer in writers for place in (".", "jobs")]
    for file in files:
        file.touch()
    launch([job("a")], tmp_path, options())
    assert [file.exists() for file in files] == [False] * 2 + [True] * 4
    files[0].touch()  # as of a kill while tables are written, when all jobs are done
    launch([job("a")], tmp_path, options())
    assert not files[0].exists()


def test_what_a_killed_call_left_of_a_figure_goes_with_the_next_that_draws(squeeze: Path, tmp_path: Path) -> None:
    out = shutil.copytree(squeeze, tmp_path / "out")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    partial = out / f".learning_curves.{gone.pid}@{host()}.partial.png"
    partial.touch()
    assert main(lambda: gaussian_squeeze.run([*TOY_SQUEEZE, "--figures-only", "--out", str(out)])) == 0
    assert not partial.exists()


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"agents": 10**12}, "agents must be from 2 to 10000000, got 1000000000000"),
        ({"agents": 100, "mu": 1e200}, r"mu must be from -1e\+15 to 1e\+15, got 1e\+200"),
        ({"agents": 100, "mu": float("nan")}, "mu must be from"),
        ({"agents": 100, "sigma": float("inf")}, r"sigma must be from 1e-15 to 1e\+15, got inf"),
        ({"agents": 100, "sigma": 1e-320}, r"sigma must be from 1e-15 to 1e\+15, got 1e-320"),
    ],
)
def test_games_at_the_edge_are_refused(game: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianSqueeze(**game)  # type: ignore[arg-type]


def test_the_narrowest_squeeze_is_a_game() -> None:
    game = GaussianSqueeze(100, sigma=1e-15)
    assert game.optimum() == (400, 400.0)
    assert game.uniform_play_reward() == pytest.approx(GaussianSqueeze(100, sigma=0.01).uniform_play_reward())


def test_uniform_play_of_many_agents_needs_memory_in_proportion() -> None:
    """At N = 20 thousand the sum is close to normal, and its expected G to that integral in closed form."""
    agents = 20_000
    game = GaussianSqueeze(agents, mu=4.5 * agents, sigma=2 * agents**0.5)
    mean, variance, sigma2 = 4.5 * agents, 8.25 * agents, game.sigma**2
    normal = mean / (1 + 2 * variance / sigma2) ** 0.5
    tracemalloc.start()
    assert game.uniform_play_reward() == pytest.approx(normal, rel=1e-4)
    assert tracemalloc.get_traced_memory()[1] < 200 * 9 * agents
    tracemalloc.stop()


def test_one_seed_has_no_interval_in_a_table() -> None:
    table = pd.DataFrame({"n": [1, 4], "x": [0.5, 0.5], "x_low": [math.nan, 0.25], "x_high": [math.nan, 0.75]})
    assert merge_intervals(table)["x"].tolist() == ["0.50", "0.50 [0.25, 0.75]"]


def test_one_seed_is_drawn() -> None:
    """Errors of Q over decades, of which one run reaches zero."""
    one = {"method": "mf-q", "order": "checkerboard", "size": 4, "temperature": 1.0, "seed": 0}
    rows = [{**one, "step": step, "order_parameter": 1.0, "q_error": q} for step, q in ((1, 1.0), (2, 1e-3), (3, 0.0))]
    figure = figures.training(pd.DataFrame(rows))
    assert figure.axes[1].get_ylim() == (0, 1.5)


@pytest.mark.parametrize("side", [402, 406, 410, 414, 427])
def test_a_film_has_whole_pixels(side: int) -> None:
    """Some versions of matplotlib cut what is behind the point: 402 / 100 * 100 is 401.99."""
    figure, _ = film.canvas(side, heading=0)
    width, height = figure.get_size_inches() * figure.dpi
    assert (int(width), int(height)) == (side, side)


def test_a_logger_writes_whatever_rank_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.utilities.rank_zero.rank_zero_only.rank", 3)
    launch([job("a")], tmp_path, options(logger="csv"))
    assert len(list(tmp_path.rglob("metrics.csv"))) == 1


def test_a_job_is_trained_as_it_says_whatever_the_environment_says_of_trainers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [alone] = launch([job("a")], tmp_path / "alone", options())
    monkeypatch.setenv("PL_TRAINER_MAX_STEPS", "1")
    monkeypatch.setenv("PL_TRAINER_GRADIENT_CLIP_VAL", "1e-6")
    [told] = launch([job("a")], tmp_path / "told", options())
    pd.testing.assert_frame_equal(told, alone)
    assert os.environ["PL_TRAINER_MAX_STEPS"] == "1"


def test_a_script_draws_whatever_backend_a_notebook_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://not_installed.backend")
    assert main(lambda: None) == 0
    assert os.environ["MPLBACKEND"] == "agg"


def damaged(damage: str, path: Path) -> None:
    """Do to a result file what disks, editors and hasty scripts do."""
    text = path.read_text()
    path.unlink()
    if damage == "a directory":
        path.mkdir()
        return
    path.write_bytes(
        {
            "empty": b"",
            "cut": text[: len(text) // 2].encode(),
            "cut by rows": "".join(text.splitlines(keepends=True)[: len(text.splitlines()) // 2]).encode(),
            "garbled": b"\xff\xfe\x00" + text.encode()[7:],
            "a column renamed": text.replace("algorithm", "method").replace('"fingerprint"', '"print"').encode(),
            "a value changed": text.replace("1", "2", 1).encode(),
        }[damage]
    )


DAMAGES = ("empty", "cut", "cut by rows", "garbled", "a column renamed", "a value changed")


@pytest.fixture(scope="module")
def squeeze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of Gaussian Squeeze at toy size."""
    out = tmp_path_factory.mktemp("squeeze")
    assert main(lambda: gaussian_squeeze.run([*TOY_SQUEEZE, "--out", str(out)])) == 0
    return out


TOY_SQUEEZE = [
    "--quick",
    "--algorithms",
    "il",
    "--agents",
    "10",
    "--seeds",
    "1",
    "--workers",
    "1",
    "--accelerator",
    "cpu",
]


def squeeze_with(damage: str, name: str, squeeze: Path, tmp_path: Path) -> Path:
    """A file of a copy of results, after it was damaged."""
    file = shutil.copytree(squeeze, tmp_path / "out") / name
    damaged(damage, file)
    return file


def error_before_training(
    out: Path, more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a call in `out` ends with, which must be one line and before a job begins."""
    monkeypatch.setattr("mfmarl.scripting.results.launch", lambda *_: pytest.fail("it begins"))
    assert main(lambda: gaussian_squeeze.run([*TOY_SQUEEZE, "--out", str(out), *more])) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("more", [[], ["--figures-only"]])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_found_before_training(
    damage: str,
    more: list[str],
    squeeze: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = squeeze_with(damage, "curves.csv", squeeze, tmp_path)
    error = error_before_training(file.parent, more, monkeypatch, capsys)
    assert error.startswith(f"error: out: {file} is damaged: restore it, or remove it to make it again (")


@pytest.mark.parametrize("damage", ["empty", "cut", "garbled", "a column renamed", "a directory"])
def test_a_damaged_provenance_is_found_before_training(
    damage: str, squeeze: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = squeeze_with(damage, "provenance.json", squeeze, tmp_path)
    error = error_before_training(file.parent, [], monkeypatch, capsys)
    assert error.startswith(f"error: out: {file} is ")


@pytest.mark.parametrize("within", ["[" * 100_000, '"\\ud800"', "NaN", "1e999"])
def test_what_no_provenance_could_hold_again_is_found_before_training(
    within: str, squeeze: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shutil.copytree(squeeze, tmp_path / "out") / "provenance.json"
    file.write_text(file.read_text().replace('"cores": ', f'"clock": {within}, "cores": '))
    error = error_before_training(file.parent, [], monkeypatch, capsys)
    assert error.startswith(f"error: out: {file} is damaged: restore it, or remove it (")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"greedy_reward": "good"}, "has text among the numbers of greedy_reward"),
        ({"step": "10 a"}, "has text among the numbers of step"),
        ({}, "has no rows"),
    ],
)
def test_a_table_without_checksum_that_cannot_be_drawn_is_named(
    damage: dict[str, str], said: str, squeeze: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shutil.copytree(squeeze, tmp_path / "out") / "curves.csv"
    (tmp_path / "out" / "SHA256SUMS").unlink()
    rows = pd.read_csv(file)
    (rows.assign(**damage) if damage else rows[:0]).to_csv(file, index=False)
    assert main(lambda: gaussian_squeeze.run(["--figures-only", "--out", str(tmp_path / "out")])) == 2
    assert capsys.readouterr().err == f"error: out: {file} {said}: restore it, or remove it to make it again\n"


def test_a_table_of_another_task_is_found_before_training(
    squeeze: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Battle and Gaussian Squeeze both have a curves.csv, whose rows the same columns name."""
    out = shutil.copytree(squeeze, tmp_path / "out")
    before = (out / "curves.csv").read_bytes()
    monkeypatch.setattr("mfmarl.scripting.results.launch", lambda *_: pytest.fail("it begins"))
    assert main(lambda: battle.run(["--quick", "--agents", "2", "--out", str(out)])) == 2
    said = (
        f"error: out: {out / 'curves.csv'} lacks the columns ['reward', 'kills']: restore it, or name another --out\n"
    )
    assert capsys.readouterr().err == said
    assert (out / "curves.csv").read_bytes() == before


PLACES = {
    "curves.csv": "is no file",
    "learning_curves.png": "is no file",
    "policies/mf-q-4-seed-0.safetensors": "is no file",
    "jobs": "is no folder",
    "policies": "is no folder",
    "replays": "is no folder",
    "SHA256SUMS": "is damaged",
}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (gaussian_squeeze.run, TOY_SQUEEZE),
        (gaussian_squeeze.run, [*TOY_SQUEEZE, "--figures-only"]),
        (battle.run, ["--replay", "rush", "random"]),
        (all_script.run, ["--quick"]),
    ],
)
@pytest.mark.parametrize("name", PLACES)
def test_a_folder_in_the_place_of_a_file_or_a_file_in_that_of_a_folder_is_found_first(
    name: str, run: Callable[[list[str]], None], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / name
    place.parent.mkdir(exist_ok=True)
    if PLACES[name] == "is no folder":
        place.touch()
    else:
        place.mkdir()
    assert main(lambda: run([*words, "--out", str(tmp_path)])) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: out: {place} {PLACES[name]}: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("more", [[], ["--figures-only"]])
@pytest.mark.parametrize("damage", ["cut", "garbled", "a directory"])
def test_damaged_checksums_are_found_before_training(
    damage: str,
    more: list[str],
    squeeze: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = squeeze_with(damage, "SHA256SUMS", squeeze, tmp_path)
    error = error_before_training(file.parent, more, monkeypatch, capsys)
    assert error.startswith(f"error: out: {file} is damaged: restore it, or remove it (")


def test_a_full_disk_is_one_line_and_with_room_again_the_same_command_finishes(
    squeeze: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a quota: the system takes no more than some bytes a file, too few for the figure."""
    out = shutil.copytree(squeeze, tmp_path / "out")
    figure, most = out / "learning_curves.png", resource.getrlimit(resource.RLIMIT_FSIZE)
    drawn = figure.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(drawn) // 2, most[1]))
    try:
        code = main(lambda: gaussian_squeeze.run([*TOY_SQUEEZE, "--out", str(out)]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    remedy, both = "with room again the same command goes on from here", re.escape(str(figure.with_suffix("")))
    assert code == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(rf"error: File too large \({both}\.(png|pdf)\); {remedy}", error)  # written together
    assert figure.read_bytes() == drawn
    assert not list(out.rglob(".*.partial*"))
    figure.unlink()
    assert main(lambda: gaussian_squeeze.run([*TOY_SQUEEZE, "--out", str(out)])) == 0
    assert figure.read_bytes() == drawn


@pytest.mark.parametrize("tenths", range(1, 10))
def test_a_disk_that_is_full_anywhere_in_a_figure_is_said_to_be(tenths: int, tmp_path: Path) -> None:
    """Its PDF holds fonts, and is longer than its PNG."""
    figure = Figure(figsize=(0.4, 0.4))
    figure.text(0, 0, "letters")
    png, pdf = (file.stat().st_size for file in figures.save(figure, tmp_path / "room"))
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (png + (pdf - png) * tenths // 10, most[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            figures.save(figure, tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert {file.name for file in tmp_path.iterdir()} == {"room.png", "room.pdf"}


@pytest.mark.parametrize("fault", [errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_disk_that_takes_nothing_more_is_one_line(fault: int, capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        raise OSError(fault, os.strerror(fault), "/some/table.csv")

    assert main(write) == 1
    said = "once that is mended the same command goes on from here"
    assert capsys.readouterr().err == f"error: {os.strerror(fault)} (/some/table.csv); {said}\n"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        main(lambda: Path("nowhere").read_text())


@pytest.mark.parametrize("damage", ["empty", "cut", "cut by rows", "garbled", "a value changed", "a directory"])
def test_damaged_rows_of_a_job_are_found(damage: str, tmp_path: Path) -> None:
    launch([job("a")], tmp_path, options())
    damaged(damage, folder(job("a"), tmp_path, "32") / "rows.csv")
    with pytest.raises(ValueError, match=r"rows.csv is damaged; remove its folder to do this job again"):
        launch([job("a")], tmp_path, options())


@pytest.mark.parametrize("time", ["a minute", None, [1.0], math.nan])
def test_damaged_times_of_a_job_are_found(time: object, tmp_path: Path) -> None:
    launch([job("a")], tmp_path, options())
    record = folder(job("a"), tmp_path, "32") / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "cpu_seconds": time}))
    with pytest.raises(ValueError, match=r"job.json is damaged; remove its folder to do this job again"):
        launch([job("a")], tmp_path, options())


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize(
    ("name", "is_read"),
    [(name, False) for name in ("log.txt", ".lock", ".holder", "policy.safetensors")]
    + [(name, True) for name in ("rows.csv", "job.json", "checkpoint.ckpt")],
)
def test_what_is_no_file_in_the_folder_of_a_job_is_found_first(
    name: str, is_read: bool, make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder, or a pipe in which nothing ever is. What is read only to go on does not hinder `--fresh`."""
    launch([job("a")], tmp_path, options())
    whole, place = rows(tmp_path, [job("a")]), folder(job("a"), tmp_path, "32")
    (place / "rows.csv").unlink()
    (place / name).unlink(missing_ok=True)
    make(place / name)
    capsys.readouterr()
    assert main(lambda: launch([job("a")], tmp_path, options())) == 2
    said = f"{place / name} is damaged; " if is_read else f"out: {place / name} is no file: remove it, or name another "
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert main(lambda: launch([job("a")], tmp_path, options(fresh=True))) == (0 if is_read else 2)
    assert not is_read or rows(tmp_path, [job("a")]) == whole


@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_in_the_place_of_the_folder_of_a_job_is_found_first(fresh: bool, tmp_path: Path) -> None:
    place = folder(job("a"), tmp_path, "32")
    place.parent.mkdir()
    place.touch()
    with pytest.raises(ValueError, match=rf"^out: {re.escape(str(place))} is no folder: remove it, or name another "):
        launch([job("a"), job("b")], tmp_path, options(fresh=fresh))
    assert [each.name for each in place.parent.iterdir()] == [place.name]


@pytest.mark.parametrize("fault", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_one_line(fault: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some that are shared by the nodes of a cluster: without locks two calls would do the same job."""

    def fails(*_: object) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr("fcntl.flock", fails)
    said = f"out: {tmp_path}/jobs/.lock cannot be locked: {os.strerror(fault)}; name another out"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        launch([job("a")], tmp_path, options())


def test_who_looks_for_locks_takes_none(tmp_path: Path) -> None:
    with locked(tmp_path):
        check_lockable(tmp_path)
    check_lockable(tmp_path)
    with locked(tmp_path / "and" / "below"):
        (tmp_path / "and" / "below" / ".holder").unlink()  # as somebody who tidies up
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("killed_at", ["the table", "its checksum"])
def test_a_kill_between_a_table_and_its_checksum_is_no_damage(
    killed_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, path = pd.DataFrame({"x": [1.5, 2.5]}), tmp_path / "t.csv"
    tables.write_table(frame, path, ["x"])
    replace_file, write_sums = os.replace, tables.write_sums
    written: list[None] = []

    def kill_at_the_table(draft: Path, final: Path) -> None:
        if final == path:
            raise KeyboardInterrupt
        replace_file(draft, final)

    def kill_at_the_checksum(*given: Any) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(write_sums(*given))

    with monkeypatch.context() as patch:
        if killed_at == "the table":
            patch.setattr(os, "replace", kill_at_the_table)
        else:
            patch.setattr(tables, "write_sums", kill_at_the_checksum)
        with pytest.raises(KeyboardInterrupt):
            tables.write_table(frame + 1, path, ["x"])
    assert tables.read_table(path, ["x"])["x"].tolist() == ([1.5, 2.5] if killed_at == "the table" else [2.5, 3.5])
    tables.write_table(frame, path, ["x"])
    assert subprocess.call(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path) == 0


def test_a_table_that_another_call_writes_meanwhile_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its checksum was read."""
    frame, path = pd.DataFrame({"x": [1.5, 2.5]}), tmp_path / "t.csv"
    tables.write_table(frame, path, ["x"])

    def digest_of_a_new_one(file: Path) -> str:
        monkeypatch.setattr(tables, "digest", digest)
        tables.write_table(frame + 1, path, ["x"])
        return digest(file)

    monkeypatch.setattr(tables, "digest", digest_of_a_new_one)
    assert tables.read_table(path, ["x"])["x"].tolist() == [2.5, 3.5]


def test_committed_tables_are_as_they_were_written() -> None:
    sums = sorted((TOY.parents[1] / "results").rglob("SHA256SUMS"))
    assert len(sums) >= 7
    for file in sums:
        assert subprocess.call(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=file.parent) == 0


def test_workers_say_when_their_socket_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "a" * 70)
    with pytest.raises(ValueError, match=r"^TMPDIR: got /tmp/a+, allowed are 70 letters"):
        launch([job("a"), job("b")], tmp_path, options(workers=2))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "a" * 65)
    workers.check_temporary_folder()


def test_no_room_for_temporary_files_is_one_line(tmp_path: Path) -> None:
    """As some of what a script imports asks where they are: no file may have a byte, as on a full disk."""
    script = TOY.parents[1] / "reproduce/matrix_games.py"
    command = ["bash", "-c", 'ulimit -f 0; "$@"', "bash", sys.executable, "-B", str(script), "--help"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: No usable temporary directory found in [")
    assert ended.stderr.endswith("]; with room again the same command goes on from here\n")
    assert ended.stderr.count("\n") == 1


def test_a_worker_that_cannot_start_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of temporary files is full: what was started before is ended, and it is one line."""
    started: list[workers.Worker] = []

    class Fails(workers.Worker):
        def __init__(self, *given: Any, **named: Any) -> None:
            if started:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), tempfile.gettempdir())
            super().__init__(*given, **named)
            started.append(self)

    monkeypatch.setattr(workers, "Worker", Fails)
    assert main(lambda: launch([job("a"), job("b")], tmp_path, options(workers=2))) == 1
    assert started[0].process.exitcode == -signal.SIGKILL
    monkeypatch.undo()
    launch([job("a"), job("b")], tmp_path, options(workers=2))


def test_a_method_of_a_long_path_has_a_folder() -> None:
    name = job_name("appendix", "/some/where/" * 30 + "file.py:Class", 100, seeds=(0, 7))
    assert len(name) < 200
    assert name.startswith("appendix-_some_where_")
    assert name.endswith("file.py_Class-100-seeds-0-7")


def test_no_name_has_more_bytes_than_a_file_system_takes() -> None:
    """A letter may be four bytes; an unfinished file has its own name and those of its process and its machine."""
    name = job_name("appendix", f"/一/{'一' * 80}.py:{'二' * 80}", 100, seeds=(0, 7))
    assert len(name.encode()) <= 200
    long = policy_path(Path("out"), 128, f"{'一' * 80}.py:{'二' * 80}", 2**60)
    assert len(f".{long.stem}.4194304@{'h' * 64}.partial{long.suffix}".encode()) <= 255
    assert long == policy_path(Path("out"), 128, f"elsewhere/{'一' * 80}.py:{'二' * 80}", 2**60)
    assert policy_path(Path("out"), 8, "a" * 110, 0).name == f"{'a' * 110}-8-seed-0.safetensors", "whole"
    assert policy_path(Path("out"), 8, "a" * 111, 0).name == f"{'a' * 40}...{'a' * 60}-8-seed-0.safetensors"


def test_armies_are_found_whatever_letters_their_method_has(tmp_path: Path) -> None:
    for name, seed in (("my[1].py:A*", 3), ("my[1].py:A*", 20), ("my[1].py:A*B", 7), ("mf-q", 5)):
        file = policy_path(tmp_path, 8, name, seed)
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (tmp_path / "policies" / "mf-q-8-seed-best.safetensors").touch()
    assert kept_seeds(tmp_path, 8, "my[1].py:A*") == [3, 20]
    assert kept_seeds(tmp_path, 8, "mf-q") == trained_seeds(tmp_path, 8, "mf-q") == [5]
    assert kept_seeds(tmp_path, 64, "mf-q") == kept_seeds(tmp_path / "nowhere", 8, "mf-q") == []
    with pytest.raises(ValueError, match=r"^opponents: there is no .*mf-q-64-seed-0.safetensors; train mf-q first$"):
        trained_seeds(tmp_path, 64, "mf-q")
    assert army_file("mf-q-8-seed-5", tmp_path / "nowhere", tmp_path) == str(policy_path(tmp_path, 8, "mf-q", 5))
    assert army_file("rush", tmp_path) == "rush"
    with pytest.raises(ValueError, match=r"^replay: got il, allowed are .*, a file, or the name of one in .*policies$"):
        army_file("il", tmp_path)


@pytest.fixture
def army(tmp_path: Path) -> Path:
    """The file of an army that has learned nothing."""
    file = tmp_path / "army.safetensors"
    network = BattleNetwork(False, torch.Generator())
    Policy(network, Acting("epsilon", 0.05), ABOUT, uses_mean_action=False).save(file)
    return file


def test_a_film_whose_name_would_be_too_long_is_refused_before_the_battle(
    army: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfmarl.tournament.films.record", lambda *_: pytest.fail("it is played"))
    long = army.rename(tmp_path / f"{'a' * 200}.safetensors")
    assert main(lambda: battle.run(["--replay", str(long), "rush", "--out", str(tmp_path / "out")])) == 2
    said = f"error: replay: armies: got {long.stem}-v-rush, of 207 bytes, allowed are 160; rename a file\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / "out").exists()


def test_an_army_is_no_agent_nor_an_agent_an_army(army: Path, tmp_path: Path) -> None:
    IL(GaussianSqueeze(5), [0]).save(tmp_path)
    with pytest.raises(ValueError, match=r"^agent: .* is no agent: ValueError: it holds policy in place of agent$"):
        load_agent(army)
    with pytest.raises(ValueError, match=r"^policy: .* is no policy: ValueError: it holds agent in place of policy$"):
        Policy.load(tmp_path / "agent.safetensors")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_table_that_is_not_finite_is_refused_where_it_is_loaded(value: float, tmp_path: Path) -> None:
    """But that of a maximum, which starts at minus infinity, is."""
    agent = TabularMFQ(Ising(4), [0], temperatures=[1.0])
    agent.q_table[0, 0, 1, 2] = value
    agent.save(tmp_path)
    with pytest.raises(ValueError, match=r"^agent: .* is no agent: ValueError: q_table is NaN or infinite$"):
        load_agent(tmp_path / "agent.safetensors")
    RecFMQ(GaussianSqueeze(5), [0]).save(tmp_path)
    assert load_agent(tmp_path / "agent.safetensors").state_dict()["best"].isneginf().all()


def test_an_army_or_agent_that_is_not_finite_is_refused_where_it_is_loaded(army: Path, tmp_path: Path) -> None:
    agent = IL(GaussianSqueeze(5), [0])
    agent.save(tmp_path)
    for file, load in ((army, Policy.load), (tmp_path / "agent.safetensors", load_agent)):
        load(file)
        weights = load_file(file)
        with safe_open(file, "pt") as opened:
            about = opened.metadata()
        name = next(name for name, value in weights.items() if value.is_floating_point() and "target" not in name)
        weights[name].view(-1)[0] = math.nan
        save_file(weights, file, about)
        with pytest.raises(
            ValueError, match=rf"^(policy|agent): .* is no (policy|agent): ValueError: {name} is NaN or"
        ):
            load(file)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_a_device_that_is_not_there_is_named(army: Path) -> None:
    with pytest.raises(ValueError, match=r"^device: got cuda, but there is no CUDA here$"):
        Policy.load(army, device="cuda")
    others: list[Any] = ["sofa", "", [], None]
    for device in others:
        with pytest.raises(ValueError, match=rf"^device: got {re.escape(str(device))}, but "):
            Policy.load(army, device=device)


@pytest.mark.parametrize("device", ["cpu:0", torch.device("cpu", 0)])
def test_a_device_may_have_a_number(device: str | torch.device, army: Path, tmp_path: Path) -> None:
    """The library that reads the file knows no such CPU."""
    IL(GaussianSqueeze(5), [0]).save(tmp_path)
    assert next(Policy.load(army, device=device).network.parameters()).device.type == "cpu"
    assert load_agent(tmp_path / "agent.safetensors", device).device.type == "cpu"


def test_a_neighbourhood_that_is_none_is_refused(army: Path) -> None:
    weights = load_file(army)
    with safe_open(army, "pt") as opened:
        about = json.loads(opened.metadata()["policy"])
    save_file(weights, army, {"policy": json.dumps({**about, "neighbourhood": "next door"})})
    with pytest.raises(ValueError, match="is no policy: ValueError: neighbourhood must be a Neighbourhood, got 'next"):
        Policy.load(army)


def test_a_recording_that_claims_terabytes_is_refused_by_its_size(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 2, 8)})
    file = tmp_path / "huge.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in (("game", [8, 400]), ("start", [0, 0, 0])):
            content = io.BytesIO()
            np.save(content, np.array(array, dtype=np.int64))
            archive.writestr(f"{name}.npy", content.getvalue())
        archive.writestr("actions.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"huge.npz is not a replay: actions is said to have 16000000000000 bytes"):
        Replay.load(file)


def test_ctrl_c_while_a_script_is_loading_ends_it_without_a_traceback() -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # as on a terminal
    loads = f"{code}; import mfmarl.jobs.startup, os; os.kill(os.getpid(), signal.SIGINT)"
    assert subprocess.run([sys.executable, "-c", loads], check=False, capture_output=True).stderr == b""
    for file in sorted((TOY.parents[1] / "reproduce").glob("*.py")):
        imports = [line.strip() for line in file.read_text().splitlines() if re.match(r" *(import|from) ", line)]
        assert imports[1].startswith("import mfmarl.jobs.startup"), f"{file.name}, after __future__"


def test_a_path_that_is_none_and_a_device_without_its_package_are_one_line(army: Path) -> None:
    with pytest.raises(ValueError, match=r"^policy: its path must be text or a Path, got None$"):
        Policy.load(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^device: got hpu, but "):
        Policy.load(army, device="hpu")


@pytest.mark.parametrize(("shard", "done"), [("1/1000000000000", 1), ("1000000000000/1000000000000", 0)])
def test_shares_without_number_need_no_memory(shard: str, done: int, tmp_path: Path) -> None:
    with pytest.raises(ShareDone, match=f"is done: {done} of the jobs"):
        launch([job("a"), job("b")], tmp_path, replace(options(), shard=shard))

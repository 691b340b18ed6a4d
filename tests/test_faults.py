"""Faults by their kind: how a run ends when something outside it goes wrong, and what it says."""

import math
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from mfmarl import figures
from mfmarl.environments import GaussianSqueeze
from mfmarl.figures import film
from mfmarl.files import host
from mfmarl.jobs.execution import Hardware
from mfmarl.jobs.folder import folder, found
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.launch import JobsFailedError, launch
from mfmarl.jobs.locks import locked
from mfmarl.scripting.options import main
from mfmarl.scripting.results import with_intervals
from tests.test_launch import TOY, job, options

# A script of jobs as those in reproduce/ are, with the number of workers on its command line.
SCRIPT = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell hands it to background jobs ignored
sys.path.insert(0, {root!r})
from mfmarl.scripting.options import main
from mfmarl.scripting.results import with_intervals
from tests.test_launch import job, launch, main, options
from mfmarl.jobs.console import say

def run():
    launch({jobs}, Path(sys.argv[1]), options(workers=int(sys.argv[2]), checkpoint_seconds=0))
    say("a table")

if __name__ == "__main__":
    raise SystemExit(main(run))
"""
LONG = '[job("a", steps=3000), job("b", "mf-q", steps=3000)]'
SHORT = '[job("a"), job("b")]'


def script(tmp_path: Path, jobs: str) -> list[str]:
    """The command of a script that does so many jobs in tmp_path/out, without the number of workers."""
    file = tmp_path / "script.py"
    file.write_text(SCRIPT.format(root=str(TOY.parents[1]), jobs=jobs))
    return [sys.executable, str(file), str(tmp_path / "out")]


def rows(out: Path, jobs: Sequence[TrainingJob]) -> list[bytes]:
    return [(folder(each, out, "32") / "rows.csv").read_bytes() for each in jobs]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_script_says_so_and_goes_on_from_its_checkpoint(
    number: signal.Signals, code: int, workers: int, tmp_path: Path
) -> None:
    jobs = [job("a", steps=3000), job("b", "mf-q", steps=3000)]
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
    launch(jobs, tmp_path / "whole", options())
    assert rows(tmp_path / "out", jobs) == rows(tmp_path / "whole", jobs)


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_has_to_listen(workers: int, tmp_path: Path) -> None:
    """The readers of both streams are gone before the script writes, or the streams are closed."""
    jobs = [job("a"), job("b")]
    launch(jobs, tmp_path / "heard", options())
    command = [*script(tmp_path, SHORT), str(workers)]
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.call(command, stdout=writer, stderr=writer) == 0
    assert rows(tmp_path / "out", jobs) == rows(tmp_path / "heard", jobs)
    command[2] = str(tmp_path / "closed")
    assert subprocess.call(["bash", "-c", '"$@" >&- 2>&- <&-', "bash", *command]) == 0
    assert rows(tmp_path / "closed", jobs) == rows(tmp_path / "heard", jobs)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_method_that_exits_is_a_failed_job(workers: int, tmp_path: Path) -> None:
    jobs = [job("exits", f"{TOY}:Exits"), job("good")]
    with pytest.raises(JobsFailedError, match=r"1 of 2 jobs failed; the others are done\.\nexits: SystemExit: 0"):
        launch(jobs, tmp_path, options(workers=workers))
    assert rows(tmp_path, jobs[1:])


def test_a_report_of_failures_counts_what_is_done(tmp_path: Path) -> None:
    jobs = [job("one", f"{TOY}:Breaks"), job("other", f"{TOY}:Breaks", seeds=(3,))]
    with pytest.raises(JobsFailedError, match=r"^2 of 2 jobs failed\.\n"):
        launch(jobs, tmp_path, options())
    with pytest.raises(JobsFailedError, match=r"^1 of 1 job failed\.\n"):
        launch(jobs[:1], tmp_path, options())


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


def test_the_lock_of_a_process_that_is_gone_does_not_bind(tmp_path: Path) -> None:
    code = f"""
import math
import os
from pathlib import Path
from mfmarl.jobs.locks import locked
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


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ({"agents": 10**12}, "agents must be from 2 to 10000000, got 1000000000000"),
        ({"agents": 100, "mu": 1e200}, r"mu must be from -1e\+15 to 1e\+15, got 1e\+200"),
        ({"agents": 100, "mu": float("nan")}, "mu must be from"),
        ({"agents": 100, "sigma": float("inf")}, r"sigma must be positive and at most 1e\+15, got inf"),
    ],
)
def test_games_at_the_edge_are_refused(game: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianSqueeze(**game)  # type: ignore[arg-type]


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
    assert with_intervals(table)["x"].tolist() == ["0.50", "0.50 [0.25, 0.75]"]


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


def test_a_script_draws_whatever_backend_a_notebook_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://not_installed.backend")
    assert main(lambda: None) == 0
    assert os.environ["MPLBACKEND"] == "agg"

"""One job: what its rows hold, how it resumes, what it refuses."""

import json
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.exploration import EpsilonGreedy
from mfmarl.jobs.execution import Execution, Hardware
from mfmarl.jobs.folder import CorruptCheckpointError, folder, found, run
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.launch import launch
from tests.support import done

TOY = Path(__file__).with_name("toy.py")


def job(algorithm: str = "il", seeds: tuple[int, ...] = (0, 1), steps: int = 200, **changes: Any) -> TrainingJob:
    fields: dict[str, Any] = {
        "name": "a-job",
        "labels": {"settings": "toy", "algorithm": algorithm, "code": "007"},
        "environment": GaussianSqueeze(agents=20),
        "agent": {"learning_rate": 1e-3},
        "data": {
            "steps": steps,
            "evaluations": 10,
            "batch_size": 20,
            "samples_per_update": 100,
            "block_steps": 10,
        },
    }
    return TrainingJob(algorithm=algorithm, seeds=seeds, **(fields | changes))


def test_rows_are_one_a_seed_and_evaluation_with_labels_first(tmp_path: Path) -> None:
    reports: list[int] = []
    rows = done(job(), tmp_path, progress=reports.append)
    scores = ["greedy_reward", "sampled_reward", "training_reward"]
    assert list(rows.columns) == ["settings", "algorithm", "code", "seed", "step", *scores]
    assert rows["seed"].tolist() == [0] * 10 + [1] * 10
    assert rows["step"].tolist() == list(range(20, 201, 20)) * 2
    assert set(rows["code"]) == {"007"}
    assert rows[scores].notna().all(axis=None)
    assert rows[scores].gt(0).all(axis=None)
    assert (reports[0], reports[-1], job().work) == (0, 200 * 2 * 20, 200 * 2 * 20)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "job.json", "log.txt", "rows.csv"]


def test_seeds_apart_give_the_bytes_of_seeds_together(tmp_path: Path) -> None:
    together = done(job(seeds=(3, 5)), tmp_path / "together")
    apart = [done(job(seeds=(seed,)), tmp_path / str(seed)) for seed in (3, 5)]
    assert together.to_csv(index=False) == pd.concat(apart).to_csv(index=False)
    assert not apart[0]["training_reward"].equals(apart[1]["training_reward"])


@pytest.mark.parametrize("algorithm", ["il", "rec-fmq", "mf-ac"])
def test_a_stopped_run_goes_on_to_the_bytes_of_a_whole_one(
    algorithm: str, tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]
) -> None:
    this = job(algorithm, agent={})
    run(this, tmp_path / "whole")
    for evaluations in (3, 7):
        stop(this, tmp_path / "stopped", evaluations)
    reports: list[int] = []
    run(this, tmp_path / "stopped", progress=reports.append)
    assert (reports[0], reports[-1]) == (this.work * 7 // 10, this.work)
    assert (tmp_path / "stopped/rows.csv").read_bytes() == (tmp_path / "whole/rows.csv").read_bytes()
    assert not (tmp_path / "stopped/checkpoint.ckpt").exists()


def test_ctrl_c_stays_a_keyboard_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while Lightning trains, which ends the process and leaves the next Ctrl-C ignored."""
    from mfmarl.jobs.training import ProgressReporter  # noqa: PLC0415 - takes seconds

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressReporter, "on_train_batch_end", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(job(), tmp_path)
        assert signal.getsignal(signal.SIGINT) is handler


KILLED = """
import signal
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from mfmarl.jobs.training import ProgressReporter
from test_jobs_folder import job, run

def on_train_batch_end(self, trainer, *_):
    if trainer.current_epoch == 4:
        Path(sys.argv[1]).with_name("waits").touch()
        signal.pause()

ProgressReporter.on_train_batch_end = on_train_batch_end
run(job(), Path(sys.argv[1]), checkpoint_seconds=0)
"""


def test_kill_9_and_the_same_again_gives_the_bytes_of_a_whole_run(tmp_path: Path) -> None:
    script = KILLED.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "killed")], cwd=TOY.parents[1])
    while not (tmp_path / "waits").exists():
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert found(job(), tmp_path / "killed", Hardware()) == "checkpoint"
    run(job(), tmp_path / "killed")
    run(job(), tmp_path / "whole")
    assert (tmp_path / "killed/rows.csv").read_bytes() == (tmp_path / "whole/rows.csv").read_bytes()
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        ".lock",
        "job.json",
        "log.txt",
        "rows.csv",
    ]


def test_a_checkpoint_that_a_kill_left_beside_the_rows_is_removed(tmp_path: Path) -> None:
    def killed_after_the_rows() -> Path:
        checkpoint = folder(job(), tmp_path, "32") / "checkpoint.ckpt"
        checkpoint.write_bytes(b"whatever")
        return checkpoint

    (rows,) = launch([job()], tmp_path, Execution(workers=1))
    left = killed_after_the_rows()
    (again,) = launch([job()], tmp_path, Execution(workers=1))
    assert not left.exists()
    assert again.equals(rows)
    run(job(), killed_after_the_rows().parent)
    assert not left.exists()


def test_rows_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    first = done(job(), tmp_path)
    before = (tmp_path / "rows.csv").stat().st_mtime_ns
    pd.testing.assert_frame_equal(done(job(), tmp_path), first)
    assert (tmp_path / "rows.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "other",
    [
        job(seeds=(0, 2)),
        job(agent={"learning_rate": 2e-3}),
        job(environment=GaussianSqueeze(agents=20, sigma=100.0)),
        job(data={**job().data, "batch_size": 10}),
    ],
    ids=["seeds", "agent", "environment", "data"],
)
def test_another_job_in_the_same_folder_starts_afresh(other: TrainingJob, tmp_path: Path) -> None:
    run(other, tmp_path / "folder")
    assert found(job(), tmp_path / "folder", Hardware()) == "nothing"
    run(job(), tmp_path / "folder")
    run(job(), tmp_path / "empty")
    assert (tmp_path / "folder/rows.csv").read_bytes() == (tmp_path / "empty/rows.csv").read_bytes()


def test_the_fingerprint_tells_what_determines_the_result(tmp_path: Path) -> None:
    assert replace(job(), name="other").fingerprint == job().fingerprint
    custom = job(f"{tmp_path / 'mine.py'}:Mine")
    (tmp_path / "mine.py").write_text("first")
    first = custom.fingerprint
    (tmp_path / "mine.py").write_text("second")
    assert custom.fingerprint != first
    run(job(), tmp_path / "a")
    assert found(job(), tmp_path / "a", Hardware(precision="64")) == "nothing"
    with pytest.raises(ValueError, match="allowed are dataclasses"):
        _ = job(agent={"rule": lambda: 0}).fingerprint


def test_what_its_fields_do_not_tell_apart_has_no_fingerprint() -> None:
    class Faded(EpsilonGreedy):
        def __init__(self, rate: float) -> None:
            super().__init__(0.5, 0.5)
            vars(self)["rate"] = rate

    with pytest.raises(ValueError, match=r"^Faded must be a dataclass itself"):
        _ = job(agent={"exploration": Faded(0.1)}).fingerprint


def test_a_number_of_numpy_is_the_number_that_it_is() -> None:
    own = {"rate": 0.5, "width": 8, "double_q": True}
    of_numpy = {"rate": np.float32(0.5), "width": np.int64(8), "double_q": np.bool_(True)}
    assert job(agent=of_numpy).fingerprint == job(agent=own).fingerprint
    assert job(agent={**own, "rate": np.float32(0.1)}).fingerprint != job(agent={**own, "rate": 0.1}).fingerprint


def test_another_version_of_the_package_is_another_job(monkeypatch: pytest.MonkeyPatch) -> None:
    before = job().fingerprint
    monkeypatch.setattr("mfmarl.jobs.job.__version__", "0.0.0")
    assert job().fingerprint != before


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "job.json"])
def test_damaged_files_are_refused_in_one_line_and_left_alone(
    damage: str, tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]
) -> None:
    stop(job(), tmp_path, 5)
    path = tmp_path / "checkpoint.ckpt"
    content = path.read_bytes()
    middle = len(content) // 2
    damages = {
        "empty": b"",
        "text": b"no checkpoint",
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
    }
    if damage in damages:
        path.write_bytes(damages[damage])
    else:
        (tmp_path / "job.json").write_text("{")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CorruptCheckpointError, match=r"is damaged; .*--fresh") as refused:
        run(job(), tmp_path)
    assert "\n" not in str(refused.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_failure_is_raised_and_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the toy broke"):
        run(job(f"{TOY}:Breaks"), tmp_path)
    assert "RuntimeError: the toy broke" in (tmp_path / "log.txt").read_text()


def test_nothing_of_lightnings_talk_reaches_the_user(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(job(), tmp_path, logger="csv")
    assert capfd.readouterr() == ("", "")
    assert [str(one.message) for one in caught if not re.search("LeafSpec|srun", str(one.message))] == []
    logged = pd.read_csv(next(tmp_path.glob("metrics/*/metrics.csv")))
    assert "greedy_reward" in logged.columns
    assert json.loads((tmp_path / "job.json").read_text())["wall_seconds"] > 0

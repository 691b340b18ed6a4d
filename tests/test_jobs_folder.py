"""One job: what its rows hold, how it resumes, what it refuses."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from mfmarl.environments import GaussianSqueeze
from mfmarl.exploration import EpsilonGreedy
from mfmarl.jobs.checkpoint import check_checkpoint
from mfmarl.jobs.execution import Attempt, Execution, Hardware
from mfmarl.jobs.folder import CorruptCheckpointError, folder, found, logged, run
from mfmarl.jobs.job import Job, TrainingJob, job_name
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


@pytest.mark.parametrize(
    "where",
    [
        "mfmarl.jobs.training.ProgressReporter.on_train_batch_end",
        "mfmarl.algorithms.q_learning.IL.configure_optimizers",
    ],
)
def test_ctrl_c_stays_a_keyboard_interrupt(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while Lightning trains or prepares to, which ends the process and leaves the next Ctrl-C ignored."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
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
    (tmp_path / "killed/.checkpoint.123.partial.ckpt").touch()  # as of a kill while it was written
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
    reports: list[int] = []
    pd.testing.assert_frame_equal(done(job(), tmp_path, progress=reports.append), first)
    assert (tmp_path / "rows.csv").stat().st_mtime_ns == before
    assert reports == [job().work]


@pytest.mark.parametrize(
    ("algorithm", "unit"),
    [
        ("mf-ac", "agent-steps"),
        ("tabular-mf-q", "spin updates"),
        ("battle-released-ac", "agent-rounds"),
        ("examples/my_ising_method.py:Glauber", "spin updates"),
    ],
)
def test_the_work_of_a_training_is_counted_in_the_unit_of_its_class(algorithm: str, unit: str) -> None:
    path = str(Path(__file__).parents[1] / algorithm) if ".py:" in algorithm else algorithm
    assert job(path).unit == unit


def test_rows_of_an_earlier_version_have_no_checksum_and_are_counted(tmp_path: Path) -> None:
    """As far as the job knows how many there are."""

    class Counts(Job):
        name, labels, unit, work, rows, keys = "counts", {}, "counts", 1, None, ["number"]

        def description(self) -> dict[str, object]:
            return {}

        def do(self, attempt: Attempt) -> pd.DataFrame:
            return pd.DataFrame({"number": range(3)})

    def without_checksum(directory: Path) -> None:
        record = json.loads((directory / "job.json").read_text())
        del record["rows"]
        (directory / "job.json").write_text(json.dumps(record))

    for each in (job(), Counts()):
        directory = tmp_path / each.name
        run(each, directory)
        without_checksum(directory)
        assert found(each, directory, Hardware()) == "rows"
        table = directory / "rows.csv"
        table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    assert found(Counts(), tmp_path / "counts", Hardware()) == "rows"
    with pytest.raises(CorruptCheckpointError, match=r"is damaged; .*got 19 rows where 20 were written\)$"):
        found(job(), tmp_path / "a-job", Hardware())


def test_nothing_of_a_job_that_was_stopped_goes_on_as_another(
    tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]
) -> None:
    stop(job(seeds=(0, 2)), tmp_path / "folder", 3)
    for inner in ("metrics/version_0", "seed-2"):
        (tmp_path / "folder" / inner).mkdir(parents=True)
    (tmp_path / "folder/log.txt").write_text("of the other")
    assert found(job(), tmp_path / "folder", Hardware()) == "nothing"
    run(job(), tmp_path / "folder")
    run(job(), tmp_path / "empty")
    left, alone = ({path.name for path in (tmp_path / name).iterdir()} for name in ("folder", "empty"))
    assert left == alone
    assert "of the other" not in (tmp_path / "folder/log.txt").read_text()
    assert (tmp_path / "folder/rows.csv").read_bytes() == (tmp_path / "empty/rows.csv").read_bytes()


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


def test_the_fingerprint_tells_tensors_classes_and_paths_but_not_the_order_of_names() -> None:
    def told(value: object) -> str:
        return job(agent={"value": value, "rate": 0.5}).fingerprint

    others = [torch.tensor([1, 2]), torch.tensor([1, 3]), torch.tensor([1.0, 2.0]), GaussianSqueeze, EpsilonGreedy]
    assert len({told(value) for value in [*others, Path("a"), Path("b")]}) == 7
    assert told(torch.tensor([1, 2])) == told(torch.tensor([1, 2]))
    assert told(Path("a")) == told("a")
    assert job(agent={"rate": 0.5, "value": None}).fingerprint == told(None)


def test_a_name_is_whole_up_to_200_letters() -> None:
    assert job_name("a" * 200) == "a" * 200
    assert job_name("a" * 201) == f"{'a' * 40}...{'a' * 60}"


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


def test_a_checkpoint_of_an_earlier_version_is_refused_as_such(
    tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]
) -> None:
    stop(job(), tmp_path, 3)
    checkpoint = tmp_path / "checkpoint.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["callbacks"]["Checkpointer"]["layout"] = 3
    torch.save(content, checkpoint)
    said = r"ckpt is of an earlier version; .*--fresh.* \(.*: its layout is 3, this version reads 4\)$"
    with pytest.raises(CorruptCheckpointError, match=said):
        run(job(), tmp_path)
    for name in ("callbacks", "loops"):
        del content[name]
    torch.save(content, checkpoint)
    with pytest.raises(CorruptCheckpointError, match=r"is damaged; .* it lacks \['callbacks', 'loops'\]\)$"):
        run(job(), tmp_path)


class Opens:
    """What is called when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("opened"),)


def test_nothing_in_a_checkpoint_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "loops": {}, "callbacks": {"Checkpointer": {"layout": 4}}}, "good")
    check_checkpoint(Path("good"))
    torch.save({"state_dict": {}, "loops": Opens(), "callbacks": {"Checkpointer": {"layout": 4}}}, "bad")
    with pytest.raises(Exception, match="Weights only load failed"):
        check_checkpoint(Path("bad"))
    assert not Path("opened").exists()
    assert zipfile.is_zipfile("bad")


def attempt(directory: Path) -> Attempt:
    return Attempt(directory, Hardware(), lambda *_: None, directory / "checkpoint.ckpt", False, 30.0, "none")


def test_a_checkpoint_is_due_so_long_after_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = int(time.monotonic())
    now, begun, due = [0.0], attempt(tmp_path), []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for now[0] in (start, start + 29, start + 600):
        due.append(begun.save_is_due())
    with begun.saving() as temporary:
        temporary.write_text("state")
        assert not begun.checkpoint.exists()
    assert begun.checkpoint.read_text() == "state"
    for now[0] in (start + 629, start + 630):
        due.append(begun.save_is_due())
    assert due == [False, False, True, False, True]


def test_the_times_of_earlier_calls_are_in_the_checkpoint_and_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mfmarl.jobs.training import Checkpointer  # noqa: PLC0415 - takes seconds

    wall, cpu = [100.0], [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: wall[0])
    monkeypatch.setattr(time, "process_time", lambda: cpu[0])
    first = Checkpointer(attempt(tmp_path))
    wall[0], cpu[0] = 107.0, 12.0
    saved = first.state_dict()
    assert saved == {"wall_seconds": 7.0, "cpu_seconds": 2.0, "layout": 4}
    second = Checkpointer(attempt(tmp_path))
    second.load_state_dict(saved)
    wall[0], cpu[0] = 110.0, 13.0
    assert second.attempt.times() == {"wall_seconds": 10.0, "cpu_seconds": 3.0}


def test_progress_is_told_twice_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    from mfmarl.jobs.training import ProgressReporter  # noqa: PLC0415 - takes seconds

    now, told = [100.0], list[tuple[int, int]]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reporter = ProgressReporter(lambda *done: told.append(done))
    for step, now[0] in enumerate((100.25, 100.5, 100.75, 101.0, 101.25), 1):
        trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(steps_played=step, steps=6))
        reporter.on_train_batch_end(trainer)
    assert told == [(2, 6), (4, 6)]
    reporter.on_train_end(trainer, trainer)
    assert told[-1] == (5, 6)


@dataclass(frozen=True)
class Calls(Job):
    """Notes when it begins and ends, and calls a function in between."""

    name: str
    notes: list[str]
    call: Callable[[], None] = lambda: None
    labels: dict[str, Any] = field(default_factory=dict)
    unit = "calls"
    work = 1
    rows = 1
    keys: ClassVar[list[str]] = ["seed"]

    def description(self) -> dict[str, object]:
        return {"name": self.name}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        self.notes.append(f"{self.name} begins")
        self.call()
        self.notes.append(f"{self.name} ends")
        return pd.DataFrame({"seed": [0]})


def test_threads_take_turns_and_a_job_may_do_another(tmp_path: Path) -> None:
    notes: list[str] = []
    other = threading.Thread(target=lambda: run(Calls("other", notes), tmp_path / "other"))

    def meanwhile() -> None:
        other.start()
        run(Calls("inner", notes), tmp_path / "inner")
        other.join(1)  # which it cannot end in

    streams = sys.stdout, sys.stderr
    run(Calls("outer", notes, meanwhile), tmp_path / "outer")
    other.join()
    turns = ["outer begins", "inner begins", "inner ends", "outer ends", "other begins", "other ends"]
    assert notes == turns
    assert (sys.stdout, sys.stderr) == streams


def test_a_line_is_in_the_log_as_soon_as_it_is_printed(tmp_path: Path) -> None:
    with logged(tmp_path / "log.txt"):
        print("here")
        assert (tmp_path / "log.txt").read_text() == "here\n"


def test_a_failure_is_raised_and_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the toy broke"):
        run(job(f"{TOY}:Breaks"), tmp_path)
    assert "RuntimeError: the toy broke" in (tmp_path / "log.txt").read_text()


def test_nothing_of_lightnings_talk_reaches_the_user(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(job(), tmp_path, logger="csv")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == [], "which a logger of the user's own would hear"
    log = (tmp_path / "log.txt").read_text()
    assert "GPU available" in log
    assert not re.search("Epoch|Params", log), "neither bars nor tables"
    assert [str(one.message) for one in caught if not re.search("LeafSpec|srun", str(one.message))] == []
    logged = pd.read_csv(next(tmp_path.glob("metrics/*/metrics.csv")))
    assert "greedy_reward" in logged.columns
    assert json.loads((tmp_path / "job.json").read_text())["wall_seconds"] > 0

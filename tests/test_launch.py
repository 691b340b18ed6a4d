"""Many jobs: on one process or several, failures, what is refused before anything is touched."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.jobs import slurm, workers
from mfmarl.jobs.console import aligned
from mfmarl.jobs.execution import Hardware
from mfmarl.jobs.folder import folder, found, run
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.launch import DryRun, JobsFailedError, available, cores, launch, runner
from mfmarl.jobs.locks import HeldError
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.workers import Place, Waiting, Worker
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options
from mfmarl.scripting.provenance import write_provenance

TOY = Path(__file__).with_name("toy.py")


def job(name: str, algorithm: str = "il", seeds: tuple[int, ...] = (0, 1), steps: int = 200) -> TrainingJob:
    return TrainingJob(
        name=name,
        labels={"algorithm": algorithm},
        algorithm=algorithm,
        environment=GaussianSqueeze(agents=20),
        seeds=seeds,
        agent={},
        data={
            "steps": steps,
            "evaluations": 10,
            "batch_size": 20,
            "samples_per_update": 100,
            "block_steps": 10,
        },
    )


def options(**changes: Any) -> Options:
    fields: dict[str, Any] = {"accelerator": "cpu", "workers": 1}
    return Options(**(fields | changes))


def written(directory: Path) -> dict[str, bytes]:
    """Every result file below `directory`."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("rows.csv"))}


def test_one_process_or_two_give_the_same_bytes_in_the_order_of_jobs(tmp_path: Path) -> None:
    jobs = [job("small"), job("large", "mf-q", steps=400), job("other", "mf-ac", seeds=(2,))]
    one = launch(jobs, tmp_path / "one", options())
    two = launch(jobs, tmp_path / "two", options(workers=2))
    assert written(tmp_path / "one") == written(tmp_path / "two")
    assert len(written(tmp_path / "one")) == 3
    for first, second, of in zip(one, two, jobs, strict=True):
        pd.testing.assert_frame_equal(first, second)
        assert set(first["algorithm"]) == {of.algorithm}
        assert set(first["seed"]) == set(of.seeds)


@pytest.mark.parametrize("names", [["one", "one"], ["one", "two/three"]])
def test_each_job_has_a_folder_of_its_own(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^jobs: got the names {re.escape(str(names))}, each must be different"):
        launch([job(name) for name in names], tmp_path, options())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("workers", [1, 2])
def test_progress_goes_to_the_end_with_the_jobs(
    workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launch([job("a"), job("b")], tmp_path, options(workers=workers))
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("100%  16.0k of 16.0k agent-steps  ")
    assert last.endswith("  2 of 2 jobs")
    with pytest.raises(JobsFailedError):
        launch([job("breaks", f"{TOY}:Breaks"), job("c")], tmp_path, options(workers=workers))
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("  2 of 2 jobs"), "over, if not done"


def test_jobs_that_are_held_come_last_and_are_asked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("mfmarl.jobs.workers.HELD_SECONDS", 7.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    jobs = [job("held"), job("free")]
    with Progress(jobs, set()) as progress:
        waiting = Waiting(jobs, progress)
        for number, name in enumerate(("held", "free", "held", "held")):
            assert (waiting.next().name, slept) == (name, [7.0] * max(0, number - 1))
            if name == "held":
                waiting.put_back(jobs[0], HeldError("held is being worked on by us"))
        assert waiting
    said = "held is being worked on by us; waiting for it after the other jobs"
    assert capsys.readouterr().err.splitlines().count(said) == 1


def test_cells_are_aligned() -> None:
    assert aligned([["a", "bb", "c"], ["aaa", "b", ""]]) == "a    bb  c\naaa  b"


def files(directory: Path) -> dict[str, bytes]:
    """Every file below `directory`."""
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_a_dry_run_lists_the_jobs_and_changes_nothing(
    tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]
) -> None:
    jobs = [job("done"), job("begun", steps=400), job("new", steps=800)]
    with pytest.raises(DryRun) as listed:
        launch(jobs, tmp_path / "none", options(workers=8, dry_run=True))
    assert not (tmp_path / "none").exists()
    assert str(listed.value).endswith(
        "\n3 jobs, 0 of them done; the others are 56.0k agent-steps, on 3 workers of this machine (CPUs, 1 thread each)"
    )
    launch(jobs[:1], tmp_path, options())
    stop(jobs[1], folder(jobs[1], tmp_path, "32"), 3)
    before = files(tmp_path)
    with pytest.raises(DryRun) as listed:
        launch(jobs, tmp_path, options(dry_run=True))
    assert str(listed.value).splitlines() == [
        "job    work               state",
        "new    32.0k agent-steps  begins",
        "begun  16.0k agent-steps  goes on from its checkpoint",
        "done   8.00k agent-steps  done",
        "3 jobs, 1 of them done; the others are 48.0k agent-steps, on 1 worker of this machine (CPUs, 1 thread each)",
    ]
    with pytest.raises(DryRun, match=r"\ndone  8.00k agent-steps  begins\n1 job, 0 of them done"):
        launch(jobs[:1], tmp_path, options(dry_run=True, fresh=True))
    with pytest.raises(DryRun, match=r"\ndone  8.00k agent-steps  done\n1 job, 1 of them done$"):
        launch(jobs[:1], tmp_path, options(dry_run=True))
    with pytest.raises(ValueError, match=r"nobody"):
        launch([job("new", "nobody")], tmp_path, options(dry_run=True))
    assert files(tmp_path) == before


def test_a_dry_run_for_slurm_says_what_each_task_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "check", lambda *_: {"MaxArraySize": "1001"})
    monkeypatch.setattr(slurm, "submit", lambda *_: pytest.fail("it was submitted"))
    given = {"launcher": "slurm", "workers": 3, "dry_run": True}
    jobs = [job(str(number)) for number in range(8)]
    with pytest.raises(DryRun, match=r", on Slurm: 3 tasks, each with 3 CPUs, at most 1440 minutes$"):
        launch(jobs, tmp_path, options(**given))
    more = {"accelerator": "gpu", "slurm_partition": "short", "slurm_memory": 1.5, "slurm_minutes": 30}
    asked = "1 task, each with 2 CPUs, 1 GPU, mem 1536M, partition short, at most 30 minutes"
    with pytest.raises(DryRun, match=f", on Slurm: {asked}$"):
        launch(jobs[:2], tmp_path, options(**given, **more))
    assert list(tmp_path.iterdir()) == []


def test_a_script_prints_a_dry_run_and_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lambda: launch([job("a")], tmp_path, options(dry_run=True))) == 0
    assert capsys.readouterr().out.startswith("job  work               state\na    8.00k agent-steps  begins\n1 job, ")


def test_this_process_does_what_would_be_left_to_one_worker(tmp_path: Path) -> None:
    def by(jobs: int, places: int) -> Any:
        how = options(workers=places)
        do = runner([job(str(number)) for number in range(jobs)], available(tmp_path, how), how, None, reraise=False)
        assert isinstance(do, partial)
        return do.func

    assert by(1, 1) is by(3, 1) is by(1, 3) is workers.run_here
    assert by(2, 2) is by(3, 2) is workers.run


def test_largest_jobs_go_first(tmp_path: Path) -> None:
    small, large, middle = (job(name, steps=steps) for name, steps in (("small", 200), ("large", 600), ("middle", 400)))
    launch([small, large, middle], tmp_path, options())
    finished = sorted((path.stat().st_mtime_ns, path.parent) for path in tmp_path.rglob("rows.csv"))
    assert [path for _, path in finished] == [folder(each, tmp_path, "32") for each in (large, middle, small)]


def test_what_is_done_is_not_done_again_unless_fresh(tmp_path: Path) -> None:
    jobs = [job("a"), job("b")]
    launch(jobs[:1], tmp_path, options())
    rows = folder(jobs[0], tmp_path, "32") / "rows.csv"
    first = rows.stat().st_mtime_ns
    launch(jobs, tmp_path, options())
    assert rows.stat().st_mtime_ns == first
    launch(jobs, tmp_path, options(fresh=True))
    assert rows.stat().st_mtime_ns > first


def test_other_settings_and_precision_are_done_beside_and_what_is_done_stays(tmp_path: Path) -> None:
    one, longer = job("a"), job("a", steps=400)
    (first,) = launch([one], tmp_path, options())
    before = written(tmp_path)
    launch([longer], tmp_path, options())
    launch([one], tmp_path, options(precision="64"))
    after = written(tmp_path)
    assert len(after) == 3
    assert after.items() > before.items()
    stamp = (folder(one, tmp_path, "32") / "rows.csv").stat().st_mtime_ns
    (again,) = launch([one], tmp_path, options())
    pd.testing.assert_frame_equal(again, first)
    assert (folder(one, tmp_path, "32") / "rows.csv").stat().st_mtime_ns == stamp


@pytest.mark.usefixtures("patience")
def test_failures_do_not_stop_the_others_and_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that dies is replaced: there are more jobs than workers, and the smallest are done last."""
    jobs = [
        job("dies", f"{TOY}:Dies", steps=600),
        job("breaks", f"{TOY}:Breaks", steps=500),
        *(job(f"good-{seed}", seeds=(seed,)) for seed in range(3)),
    ]
    assert main(lambda: launch(jobs, tmp_path, options(workers=2))) == 1
    report = capsys.readouterr().err
    assert "2 of 5 jobs failed" in report
    assert "dies: its worker was killed by SIGKILL, often for a lack of memory" in report
    assert "breaks: RuntimeError: the toy broke" in report
    assert 'raise RuntimeError("the toy broke")' in report, "the end of the log"
    assert str(folder(jobs[1], tmp_path, "32") / "log.txt") in report
    assert "With 'fresh' all jobs start over." in report
    assert {tmp_path / rows for rows in written(tmp_path)} == {
        folder(good, tmp_path, "32") / "rows.csv" for good in jobs[2:]
    }


def test_a_failure_in_this_process_is_reported_too(tmp_path: Path) -> None:
    with pytest.raises(JobsFailedError, match="1 of 2 jobs failed"):
        launch([job("breaks", f"{TOY}:Breaks"), job("good")], tmp_path, options())
    assert [tmp_path / rows for rows in written(tmp_path)] == [folder(job("good"), tmp_path, "32") / "rows.csv"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("nonsense", "mf-ac"),
        (f"{TOY}:NoAgent", "subclass of mfmarl.algorithms.agent.Agent"),
        (f"{TOY}:Missing", "Missing"),
        (f"{TOY}.py:Missing", "cannot read"),
    ],
)
def test_unknown_algorithms_are_refused_with_nothing_touched(
    algorithm: str, message: str, workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [job("good"), job("bad", algorithm)]
    assert main(lambda: launch(jobs, tmp_path / "out", options(workers=workers))) == 2
    refusal = capsys.readouterr().err
    assert message in refusal
    assert refusal.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": {"lr": 1}}, "lr: IL and its data module take no such argument, allowed are .*, batch_size, "),
        ({"agent": {"batch_size": 20}}, "batch_size: IL takes no such argument"),
        ({"data": {"steps": 8, "evaluations": 1, "hidden": None}}, "hidden: ReplayDataModule takes no such argument"),
        ({"data": {"steps": 8}}, "evaluations: IL needs this argument"),
    ],
)
def test_arguments_that_nothing_takes_are_refused_before_any_job_begins(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        launch([job("good"), replace(job("bad"), **changes)], tmp_path / "out", options())
    assert list(tmp_path.iterdir()) == []


def test_the_folder_may_be_text(tmp_path: Path) -> None:
    (rows,) = launch([job("one")], str(tmp_path), options())
    assert len(rows) == 20


def test_a_damaged_checkpoint_is_refused_before_any_job_begins(tmp_path: Path) -> None:
    damaged = folder(job("b"), tmp_path, "32")
    run(job("b"), damaged)
    (damaged / "rows.csv").unlink()
    (damaged / "checkpoint.ckpt").write_bytes(b"no checkpoint")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(lambda: launch([job("a"), job("b")], tmp_path, options())) == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    launch([job("a"), job("b")], tmp_path, options(fresh=True))
    assert len(written(tmp_path)) == 2


def test_hardware_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(ValueError, match="devices: got 3 with accelerator gpu, but this machine offers 2"):
        available(tmp_path, options(accelerator="gpu", devices=3))
    with pytest.raises(ValueError, match="devices: got 2, which counts GPUs"):
        available(tmp_path, options(accelerator="cpu", devices=2))
    with pytest.raises(ValueError, match="devices: got 2, but 1 workers use at most one each; allowed is up to 1"):
        available(tmp_path, options(accelerator="gpu", devices=2))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"launcher: .*(submitit|sbatch)"):
        launch([job("a")], tmp_path / "out", options(launcher="slurm"))
    with pytest.raises(ValueError, match="is not a directory"):
        launch([job("a")], TOY / "below", Options())


def test_devices_become_workers_and_threads_are_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("mfmarl.jobs.launch.cores", lambda: 5)
    gpus = [place.hardware for place in available(tmp_path, Options())]
    assert gpus == [Hardware("gpu", 0), Hardware("gpu", 1)]
    gpus = [place.hardware for place in available(tmp_path, Options(workers=3, precision="64"))]
    assert gpus == [Hardware("gpu", index, "64") for index in (0, 1, 0)]
    gpus = [place.hardware for place in available(tmp_path, Options(workers=5, devices=2, accelerator="gpu"))]
    assert gpus == [Hardware("gpu", index) for index in (0, 1, 0, 1, 0)]
    for threads, each in ((7, 2), (2, 1)):
        cpus = [place.hardware for place in available(tmp_path, options(workers=3, threads=threads))]
        assert cpus == [Hardware("cpu", 0, threads=each)] * 3
    assert [place.hardware for place in available(tmp_path, options(workers="auto"))] == [Hardware("cpu")] * 5


@pytest.mark.parametrize("there", [{"tensorboard"}, {"tensorboardX"}, {"wandb"}, set()])
def test_a_logger_needs_its_package(there: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of TensorBoard there are two, of which either will do."""
    monkeypatch.setattr("mfmarl.jobs.launch.find_spec", lambda name: name in there or None)
    for logger, needed in (("tensorboard", {"tensorboard", "tensorboardX"}), ("wandb", {"wandb"})):
        if there & needed:
            available(tmp_path, options(logger=logger))
        else:
            with pytest.raises(ValueError, match=f"^logger: {logger} needs the package {logger}: pip install "):
                available(tmp_path, options(logger=logger))
    available(tmp_path, options(logger="csv"))


def test_cores_are_those_that_this_process_may_use_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    of = {0: {1, 4}}  # 0 stands for the process that asks
    monkeypatch.setattr(os, "sched_getaffinity", of.__getitem__, raising=False)
    assert cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    assert cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


def test_a_task_on_slurm_has_workers_of_its_own_whatever_is_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)

    def hardware(**how: Any) -> list[Hardware]:
        return [place.hardware for place in available(tmp_path, Options(launcher="slurm", **how))]

    assert hardware(accelerator="cpu") == [Hardware("cpu")]
    assert hardware(accelerator="cpu", workers=2, threads=4) == [Hardware("cpu", threads=2)] * 2
    assert hardware(accelerator="gpu") == [Hardware("gpu", 0)]
    assert hardware(accelerator="gpu", devices=2) == [Hardware("gpu", 0), Hardware("gpu", 1)]
    assert hardware(accelerator="gpu", workers=3) == [Hardware("gpu", 0)] * 3
    with pytest.raises(ValueError, match=r"accelerator: got auto with launcher slurm, .* allowed is cpu or gpu"):
        hardware()


LAUNCHED = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell hands it to background jobs ignored
sys.path.insert(0, {tests!r})
from test_launch import job, launch, main, options
if __name__ == "__main__":
    jobs = [job("a", steps=3000), job("b", "mf-q", steps=3000), job("thinks", {toy!r}, steps=3000)]
    raise SystemExit(main(lambda: launch(jobs, Path(sys.argv[1]), options(workers=3, checkpoint_seconds=0))))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9)])
def test_workers_end_with_the_script_and_the_next_call_goes_on(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    jobs = [job("a", steps=3000), job("b", "mf-q", steps=3000)]
    (tmp_path / "script.py").write_text(LAUNCHED.format(tests=str(TOY.parent), toy=f"{TOY}:Thinks"))
    path = {**os.environ, "PYTHONPATH": str(TOY.parents[1])}
    script = subprocess.Popen([sys.executable, tmp_path / "script.py", tmp_path / "out"], cwd=tmp_path, env=path)
    folders = [folder(each, tmp_path / "out", "32") for each in jobs]
    while not all(each.exists() for each in (tmp_path / "thinks", *(each / "checkpoint.ckpt" for each in folders))):
        assert script.poll() is None, "it ended without checkpoints"
        time.sleep(0.01)
    family = psutil.Process(script.pid).children(recursive=True)
    script.send_signal(number)
    assert script.wait() == code
    _, alive = psutil.wait_procs(family, timeout=30)
    for each in alive:
        each.kill()
    assert alive == [], "though one was thinking"
    left = {found(each, directory, Hardware()) for each, directory in zip(jobs, folders, strict=True)}
    assert left == {"checkpoint"}
    launch(jobs, tmp_path / "out", options())
    launch(jobs, tmp_path / "whole", options())
    assert written(tmp_path / "out") == written(tmp_path / "whole")


def test_workers_do_not_see_the_ctrl_c_of_the_terminal(tmp_path: Path) -> None:
    """It reaches the whole group of processes; a worker goes on, until the one that started it ends it."""
    worker = Worker(Place(tmp_path, Hardware(), 30.0, "none", on_slurm=False), need_main=False)
    try:
        worker.start(job("a"))
        interrupted = False
        while (outcome := worker.receive()[1]) is not None:
            assert isinstance(outcome, int), outcome
            if not interrupted:
                os.kill(worker.process.pid or 0, signal.SIGINT)
                interrupted = True
        assert interrupted
        worker.start(job("b"))
        while (outcome := worker.receive()[1]) is not None:
            assert isinstance(outcome, int), outcome
    finally:
        worker.process.kill()
        worker.process.join()
    assert len(written(tmp_path)) == 2


def test_progress_counts_earlier_calls_but_not_in_the_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [500.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    jobs = [job("done"), job("resumed"), job("new")]  # 8000 agent-steps each
    with Progress(jobs, {"done"}) as progress:
        for work, seconds in ((4000, 500.0), (5000, 501.0), (6000, 509.0), (8000, 510.0)):
            now[0] = seconds
            progress.update(jobs[1], work)
        progress.finish(jobs[1])
    lines = capsys.readouterr().err.splitlines()
    assert [line[:5] for line in lines] == [" 33% ", " 50% ", " 67% ", " 67% "], "one in ten seconds, and the last"
    assert lines[-1] == " 67%  16.0k of 24.0k agent-steps  400 agent-steps/s  00:20 left  2 of 3 jobs"


@pytest.mark.parametrize(("work", "shown"), [(999, "999"), (1000, "1.00k")])
def test_thousands_are_shortened(
    work: int, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = SimpleNamespace(name="one", work=work, unit="rounds")
    with Progress([one], set()) as progress:
        progress.update(one, 500)
    assert f"500 of {shown}rounds" in capsys.readouterr().err.replace(" rounds", "rounds")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress([one], {"one"}) as progress:
        progress.say("something else")
    assert f"| {shown}/{shown} [" in stream.getvalue()
    assert "something else\n" in stream.getvalue()
    assert stream.getvalue().endswith("1 of 1 jobs]\n"), "the bar stays above what is printed next"


@pytest.mark.parametrize(("patient", "shown"), [(False, True), (True, False)])
def test_a_terminal_gets_a_bar_at_once_but_for_somebody_at_a_prompt(
    patient: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress([job("short")], set(), patient=patient):
        assert ("0%|" in stream.getvalue()) == shown


def sections_of(out: Path) -> dict[str, list[dict[str, Any]]]:
    return dict(json.loads((out / "provenance.json").read_text()))


def test_provenance_says_what_was_run_and_adds_up(tmp_path: Path) -> None:
    jobs, here = [job("a"), job("b", seeds=(5,))], options(out=tmp_path)
    launch(jobs, tmp_path, here)
    write_provenance(jobs, here, {"learning_rate": [1e-5, "appendix C.1"]})
    write_provenance(jobs[:1], here, {}, "other")
    sections = sections_of(tmp_path)
    (call,), (other,) = sections["run"], sections["other"]
    assert set(other["jobs"]) == {"a"}
    assert call["settings"] == {"learning_rate": [1e-5, "appendix C.1"]}
    assert {"python", "torch", "pytorch-lightning", "mfmarl"} <= set(call["versions"])
    assert call["hardware"]["cores"] >= 1
    assert list(call["jobs"]) == ["a", "b"]
    assert [each["fingerprint"] for each in call["jobs"].values()] == [each.fingerprint for each in jobs]
    for each in jobs:
        record = call["jobs"][each.name]
        assert (record["labels"], record["seeds"], record["precision"]) == (each.labels, list(each.seeds), "32")
    for kind in ("wall_seconds", "cpu_seconds"):
        assert call["total"][kind] == pytest.approx(sum(each[kind] for each in call["jobs"].values()), abs=0.2)


def test_a_job_that_an_earlier_version_recorded_in_fewer_words_stays_with_its_call(tmp_path: Path) -> None:
    jobs, here = [job("a")], options(out=tmp_path)
    launch(jobs, tmp_path, here)
    write_provenance(jobs, here, {"of": "the first call"})
    sections = sections_of(tmp_path)
    for name in ("labels", "seeds", "precision"):
        del sections["run"][0]["jobs"]["a"][name]
    (tmp_path / "provenance.json").write_text(json.dumps(sections))
    write_provenance(jobs, here, {"of": "a call that found all done"})
    assert sections_of(tmp_path) == sections


def test_provenance_keeps_each_job_with_the_call_that_did_it(tmp_path: Path) -> None:
    jobs, here = [job("a"), job("b", seeds=(5,)), job("c")], options(out=tmp_path)
    launch(jobs[:2], tmp_path, here)
    write_provenance(jobs[:2], here, {"of": "the first call"})
    (first,) = sections_of(tmp_path)["run"]
    write_provenance(jobs[:2], here, {"of": "a call that found all done"})
    assert sections_of(tmp_path)["run"] == [first]
    launch(jobs, tmp_path, here)
    write_provenance(jobs, here, {"of": "the second call"})
    again, second = sections_of(tmp_path)["run"]
    assert again == first
    assert (second["settings"], list(second["jobs"])) == ({"of": "the second call"}, ["c"])
    longer = job("b", seeds=(5,), steps=400)
    launch([longer], tmp_path, here)
    write_provenance([longer], here, {"of": "a call with other settings"})
    kept, _, third = sections_of(tmp_path)["run"]
    assert list(kept["jobs"]) == ["a"]
    assert kept["total"]["cpu_seconds"] == kept["jobs"]["a"]["cpu_seconds"]
    assert third["jobs"]["b"]["fingerprint"] == longer.fingerprint

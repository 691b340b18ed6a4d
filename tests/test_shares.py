"""Jobs dealt out: --shard, and what a task of Slurm does with its share, where there need be no Slurm."""

import json
import os
import pickle
import re
import stat
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any, Literal

import pandas as pd
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.jobs import slurm, slurm_commands
from mfmarl.jobs.execution import Execution, Hardware
from mfmarl.jobs.folder import folder
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.launch import ShareDone, launch
from mfmarl.jobs.locks import locked
from mfmarl.jobs.progress import Progress
from mfmarl.jobs.shares import shares
from mfmarl.jobs.slurm_task import Share, reported
from mfmarl.jobs.workers import Place
from mfmarl.scripting.main import main
from tests.test_launch import TOY, job, options, written

pytestmark = pytest.mark.usefixtures("patience")


def on_slurm(out: Path) -> Place:
    return Place(out, Hardware(), 30.0, "none", on_slurm=True)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a task of Slurm."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")


def test_the_largest_jobs_go_first_each_to_the_share_with_the_least_work() -> None:
    jobs = [job(f"{steps}", steps=steps) for steps in (300, 800, 500, 400, 600)]
    dealt = shares(jobs, 2)
    assert [[each.name for each in share] for share in dealt] == [["800", "400"], ["600", "500", "300"]]
    assert shares(jobs[::-1], 2) == dealt, "in whatever order they come"
    assert shares(jobs[:1], 2) == [jobs[:1], []]


def test_shards_share_the_jobs_and_the_same_call_without_gathers_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [job(f"job-{seed}", seeds=(seed,)) for seed in range(3)]
    launch(jobs, tmp_path / "whole", options())
    for number, count in ((1, 2), (2, 1)):
        shard = options(shard=f"{number}/2")
        assert main(partial(launch, jobs, tmp_path / "out", shard)) == 0
        message = f"share {number}/2 is done: {count} of the jobs; when all are, the same call without shard"
        assert message in capsys.readouterr().out
    assert written(tmp_path / "out") == written(tmp_path / "whole")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("rows.csv")}
    rows = launch(jobs, tmp_path / "out", options())
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    pd.testing.assert_frame_equal(pd.concat(rows), pd.concat(launch(jobs, tmp_path / "whole", options())))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shard": "3/2"}, "shard: got 3/2, allowed is I/N with I from 1 to N"),
        ({"shard": "0/2"}, "shard: got 0/2"),
        ({"shard": "half"}, "shard: got half"),
        ({"shard": "1/2", "launcher": "slurm", "accelerator": "cpu"}, "shard: got 1/2 with launcher slurm"),
        ({"slurm_partition": "gpu"}, "slurm_partition: got gpu, which needs launcher slurm"),
        ({"slurm_minutes": 1}, "slurm_minutes: got 1, allowed is 2 or more"),
        ({"slurm_memory": 0.0}, "slurm_memory: got 0.0, allowed is a number above 0"),
        ({"slurm_minutes": 10**30, "launcher": "slurm"}, "slurm_minutes: got 1000.*, at most 5256000"),
        ({"slurm_memory": 1e300, "launcher": "slurm"}, r"slurm_memory: got 1e\+300, .*, at most 1048576"),
        ({"slurm_tasks": 10**30, "launcher": "slurm"}, "slurm_tasks: got 1000.*, at most 4000000"),
        ({"slurm_tasks": 0}, "slurm_tasks: got 0, allowed is 1 or more"),
        ({"slurm_requeues": -1}, "slurm_requeues: got -1, allowed is 0 or more"),
        *(({name: n}, f"{name}: got {n}, .*") for name in ("workers", "devices", "threads") for n in (0, 4097)),
        ({"workers": 4097}, "workers: got 4097, allowed is 1 or more, at most 4096"),
        ({"checkpoint_seconds": -1.0}, "checkpoint_seconds: got -1.0, allowed is 0 or more"),
        ({"workers": "many"}, "workers: got 'many', allowed is 'auto' or a whole number"),
        ({"launcher": "cloud"}, "launcher: got 'cloud', allowed is 'local', 'slurm'"),
        ({"precision": "16"}, "precision: got '16', allowed is '32', '64', 'bf16-mixed', 'tf32'"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Execution(**given)


def test_the_least_and_the_most_that_messages_allow_is_taken() -> None:
    for number in (1, 4096):
        Execution(workers=number, devices=number, threads=number, checkpoint_seconds=0)
    how: dict[str, Any] = {"launcher": "slurm", "accelerator": "cpu"}
    Execution(**how, slurm_minutes=2, slurm_tasks=1, slurm_requeues=0, slurm_memory=1e-9)
    Execution(**how, slurm_minutes=5_256_000, slurm_tasks=4_000_000, slurm_memory=1_048_576)


def test_gpus_are_used_where_some_are_or_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {}
    names: tuple[Literal["auto", "cpu", "gpu"], ...] = ("auto", "cpu", "gpu")
    for count in (0, 1):
        monkeypatch.setattr("torch.cuda.device_count", lambda count=count: count)
        used[count] = [Execution(accelerator=name).uses_gpus for name in names]
    assert used == {0: [False, False, True], 1: [True, False, True]}


@pytest.mark.usefixtures("task")
def test_a_task_does_its_share_and_says_what_failed(tmp_path: Path) -> None:
    good, breaks = job("good"), job("breaks", f"{TOY}:Breaks")
    (tmp_path / "jobs" / "slurm").mkdir(parents=True)
    failures = Share((good, breaks), (on_slurm(tmp_path),), 0)()
    assert failures == {"breaks": "RuntimeError: the toy broke"}
    assert reported(tmp_path, "7_2")["good"] >= 0
    launch([good], tmp_path / "here", options())
    submitted, here = (folder(good, out, "32") / "rows.csv" for out in (tmp_path, tmp_path / "here"))
    assert submitted.read_bytes() == here.read_bytes()


@pytest.mark.usefixtures("task")
def test_a_task_works_where_it_was_submitted_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out" / "jobs" / "slurm").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    share = Share((job("a"),), (on_slurm(Path("out")),), 0)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert share() == {}
    assert len(written(tmp_path / "out")) == 1


@pytest.mark.usefixtures("task")
def test_workers_do_not_hear_what_slurm_announces(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "slurm").mkdir(parents=True)
    announced = job("announced", f"{TOY}:Announced")
    assert Share((announced,), (on_slurm(tmp_path),), 0)() == {}
    assert len(pd.read_csv(folder(announced, tmp_path, "32") / "rows.csv")) == 20


@pytest.mark.usefixtures("task")
def test_a_task_that_was_queued_again_too_often_or_has_too_few_gpus_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    places = tuple(Place(tmp_path, Hardware("gpu", index), 30.0, "none", on_slurm=True) for index in range(2))
    with pytest.raises(ValueError, match="devices: got 2, but torch finds 1 GPUs in this task"):
        Share((job("a"),), places, 3)()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "4")
    with pytest.raises(ValueError, match="slurm_requeues: queued again 4 times, allowed is 3"):
        Share((job("a"),), (on_slurm(tmp_path),), 3)()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + 70 * "x")
    with pytest.raises(ValueError, match=r"TMPDIR: got /tmp/x+, allowed are 70 letters"):
        Share((job("a"),), (on_slurm(tmp_path),), 3)()
    assert list(tmp_path.iterdir()) == []


def command(folder: Path, name: str, script: str) -> None:
    """Put a stand-in for one of Slurm's commands into a folder."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


def says(commands: Path, *scripts: str) -> None:
    """A stand-in for squeue that runs one script after the other, and goes on with the last."""
    cases = " ".join(f"{number}) {script} ;;" for number, script in enumerate(scripts[:-1], 1))
    count = f"echo >> {commands}/asked; case $(wc -l < {commands}/asked | tr -d ' ')"
    command(commands, "squeue", f"{count} in {cases} *) {scripts[-1]} ;; esac")


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH, for stand-ins of Slurm's commands."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "bin"


def recorded(out: Path, *jobs: TrainingJob) -> None:
    """As if an earlier call had submitted these jobs in an array of one task."""
    (out / "jobs" / "slurm").mkdir(parents=True)
    tasks = {"tasks": [[folder(each, out, "32").name for each in jobs]]}
    (out / "jobs" / "slurm" / "mfmarl-abc.json").write_text(json.dumps(tasks))


def test_tasks_of_an_earlier_call_are_those_that_slurm_has_not_ended(tmp_path: Path, commands: Path) -> None:
    place, mine, other = on_slurm(tmp_path), job("mine"), job("other")
    recorded(tmp_path, mine)
    command(commands, "squeue", "echo 'mfmarl-abc|12|RUNNING|None'")
    assert slurm.alive([mine, other], place) == [slurm.Task("mfmarl-abc", 0, [mine], "12", "RUNNING")]
    assert slurm.alive([other], place) == []
    command(commands, "squeue", "echo 'mfmarl-abc|12|TIMEOUT|None'")
    assert slurm.alive([mine, other], place) == []
    assert (tmp_path / "jobs" / "slurm" / "mfmarl-abc.json").exists()
    assert slurm.alive([mine, other], place, tidy=True) == []
    assert not (tmp_path / "jobs" / "slurm" / "mfmarl-abc.json").exists()


def test_a_task_that_is_about_to_end_is_not_taken_for_one_that_runs(
    tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(slurm, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    place, mine = on_slurm(tmp_path), job("mine")
    recorded(tmp_path, mine)
    says(commands, *["echo 'mfmarl-abc|12|COMPLETING|None'"] * 2, "echo 'mfmarl-abc|12|CANCELLED|None'")
    assert slurm.settled([mine], Progress([mine], set()), place) == []
    said = "Slurm: task 12 of an earlier call is about to end, which is waited for"
    assert capsys.readouterr().err.splitlines().count(said) == 1
    assert slept == [slurm.POLL_SECONDS] * 2
    assert not (tmp_path / "jobs" / "slurm" / "mfmarl-abc.json").exists()


def test_what_cannot_be_submitted_is_refused(tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    place, one, how = on_slurm(tmp_path), job("one"), Execution(launcher="slurm", accelerator="cpu")
    command(commands, "sbatch", "")
    command(commands, "scontrol", "echo 'Configuration data'; echo 'MinJobAge    = 300 sec'; echo 'Of = a=b'")
    assert slurm.check([one], place, how) == {"MinJobAge": "300 sec", "Of": "a=b"}
    recorded(tmp_path, one)
    command(commands, "squeue", "echo 'mfmarl-abc|12|RUNNING|None'")
    slurm.check([one], place, how)
    with pytest.raises(ValueError, match=r"^fresh: an array .* waits for them, and scancel --name=mfmarl-abc ends"):
        slurm.check([one], place, replace(how, fresh=True))
    slurm.check([job("other")], place, replace(how, fresh=True))
    own = type("Own", (GaussianSqueeze,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    of_the_script = replace(one, name="own", environment=own(20))
    with pytest.raises(ValueError, match=r"^launcher: got slurm, but tasks cannot import what own holds: move it"):
        slurm.check([one, of_the_script], place, how)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"^launcher: got slurm, but there is no sbatch on this machine"):
        slurm.check([one], place, how)


def test_slurm_is_asked_without_the_options_of_its_user(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(commands, "squeue", "env; cat")
    for name in ("SQUEUE_STATES", "SACCT_FORMAT", "SCANCEL_INTERACTIVE", "SLURM_CONF"):
        monkeypatch.setenv(name, "mine")
    asked = slurm_commands.ask("squeue")
    assert "SLURM_CONF=mine" in asked
    assert not re.search("^(SQUEUE|SACCT|SCANCEL)_", asked, re.MULTILINE)


def test_what_slurm_says_of_this_very_job_is_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_CONF", "SLURM_MEM_PER_CPU", "SBATCH_QOS"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert slurm.of_this_job() == []
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert sorted(slurm.of_this_job()) == ["SLURM_JOB_ID", "SLURM_MEM_PER_CPU"]


@pytest.mark.parametrize("when", ["settled", "submit", "watch"])
def test_ctrl_c_cancels_arrays_at_any_moment(
    when: str, tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    earlier, new = job("earlier"), job("new")
    recorded(tmp_path, earlier)
    command(commands, "squeue", "echo 'mfmarl-abc|12|RUNNING|None'")
    command(commands, "scancel", f'echo "$@" > {tmp_path}/cancelled')
    monkeypatch.setattr(slurm, "submit", lambda *_: [])
    monkeypatch.setattr(slurm, when, interrupted)
    jobs = [earlier, new]
    with pytest.raises(KeyboardInterrupt):
        slurm.run(jobs, Progress(jobs, set()), [on_slurm(tmp_path)], Execution(), {})
    if when == "settled":
        assert not (tmp_path / "cancelled").exists()
    else:
        names = (tmp_path / "cancelled").read_text().removeprefix("--name=").strip().split(",")
        assert len(names) == 2
        assert "mfmarl-abc" in names


def test_what_an_earlier_call_submitted_is_waited_for_and_its_record_then_goes(
    tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    jobs = [job("one"), job("other", steps=400)]
    recorded(tmp_path, *jobs)
    launch(jobs, tmp_path, options())
    command(commands, "squeue", "echo 'mfmarl-abc|12|RUNNING|None'")
    with Progress(jobs, set()) as progress:
        assert slurm.run(jobs, progress, [on_slurm(tmp_path)], Execution(), {}) == {}
    assert progress.work == {each.name: each.work for each in jobs}
    assert progress.finished == 2
    assert not list((tmp_path / "jobs" / "slurm").glob("*.json"))
    assert "Slurm: an earlier call has submitted mfmarl-abc, which is waited for" in capsys.readouterr().err


def test_who_submits_in_a_folder_waits_for_whoever_does(
    tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes it well if that one finds the array done, and removes its record."""
    said: Queue[str] = Queue()
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    monkeypatch.setattr("mfmarl.jobs.locks.SAID_SECONDS", 0.01)
    monkeypatch.setattr("mfmarl.jobs.locks.say", lambda text, _: said.put(text))
    one = job("one")
    recorded(tmp_path, one)
    launch([one], tmp_path, options())
    command(commands, "squeue", f"echo 'mfmarl-abc|12|RUNNING|None'; rm -f {tmp_path}/jobs/slurm/mfmarl-abc.json")
    with Progress([one], set()) as progress, ThreadPoolExecutor() as pool:
        with locked(tmp_path / "jobs" / "slurm"):
            waits = pool.submit(slurm.run, [one], progress, [on_slurm(tmp_path)], Execution(), {})
            assert said.get(timeout=60).endswith("; waiting for it")
        assert waits.result(timeout=60) == {}
    recorded_again = tmp_path / "again"
    recorded(recorded_again, one)
    command(commands, "squeue", f"rm {recorded_again}/jobs/slurm/mfmarl-abc.json")
    assert slurm.alive([one], on_slurm(recorded_again), tidy=True) == []


def test_what_tasks_wait_for_is_said_once_and_those_that_are_done_are_not_waited_for(
    tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    slept: list[float] = []
    monkeypatch.setattr(slurm, "LOST_SECONDS", 0.0)
    done, late = job("done"), job("late", seeds=(5,))
    launch([done], tmp_path, options())
    recorded(tmp_path / "other", done, late)
    silent = "echo squeue: error >&2; echo no controller >&2; exit 1"

    def both(first: str, second: str) -> str:
        return f"echo 'mfmarl-abc|12_0|{first}'; echo 'mfmarl-abc|12_1|{second}'"

    says(
        commands,
        *[silent] * 2,
        *[both("RUNNING|None", "PENDING|(Nodes|Down)")] * 2,
        both("RUNNING|Odd", "PENDING|Priority"),
        both("COMPLETED|None", "CANCELLED|None"),
    )
    command(commands, "sacct", "echo FAILED")  # which is asked only for what squeue does not tell
    tasks = [
        slurm.Task("mfmarl-abc", index, [each], f"12_{index}", "PENDING") for index, each in enumerate((done, late))
    ]
    capsys.readouterr()
    monkeypatch.setattr(slurm, "time", SimpleNamespace(sleep=slept.append, monotonic=time.monotonic))
    with Progress([done, late], set()) as progress:
        failures = slurm.watch(tasks, progress, on_slurm(tmp_path))
    assert failures == {"late": "its task 12_1 on Slurm ended: CANCELLED"}
    assert progress.finished == 2
    assert slept == [slurm.POLL_SECONDS] * 6, "before each look"
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith(("Slurm", "launcher"))] == [
        "launcher: squeue failed: no controller; asking again",
        "Slurm: task 12_1 waits: (Nodes|Down)",
    ]


def test_a_task_that_never_began_is_lost_too(tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "LOST_SECONDS", 0.0)
    command(commands, "sacct", "echo FAILED")
    one = job("one")
    with Progress([one], set()) as progress:
        failures = slurm.look_at(slurm.Task("mfmarl-abc", 0, [one]), None, progress, on_slurm(tmp_path))
    assert failures == {"one": "its task None on Slurm ended: unknown to Slurm"}
    assert progress.work == {"one": 0}


def test_a_task_says_itself_what_failed_and_rows_may_come_later(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    fails, late, place = job("fails"), job("late"), on_slurm(tmp_path)
    recorded(tmp_path, fails, late)
    said = tmp_path / "jobs" / "slurm" / "12_0_result.pkl"
    said.write_bytes(pickle.dumps(("success", {"fails": "RuntimeError: no luck"})))
    ended = slurm_commands.Seen("12", "COMPLETED", "None")
    task = slurm.Task("mfmarl-abc", 0, [fails, late], "12", "RUNNING")
    with Progress([fails, late], set()) as progress:
        assert slurm.look_at(task, ended, progress, place) == {}
        launch([late], tmp_path, options())
        assert slurm.look_at(task, ended, progress, place) == {"fails": "RuntimeError: no luck"}
    assert (task.waiting, progress.finished) == ([], 2)
    said.write_bytes(pickle.dumps(("error", "Traceback (most recent call last):\n  File\nValueError: no room\n")))
    task = slurm.Task("mfmarl-abc", 0, [fails], "12", "RUNNING")
    assert slurm.look_at(task, ended, Progress([fails], set()), place) == {"fails": "ValueError: no room"}


def test_a_task_tells_how_much_is_done(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    one = job("one")
    recorded(tmp_path, one)
    (tmp_path / "jobs" / "slurm" / "12_progress.json").write_text(json.dumps({"one": 70}))
    task = slurm.Task("mfmarl-abc", 0, [one], "12", "RUNNING")
    folder(one, tmp_path, "32").mkdir()
    (folder(one, tmp_path, "32") / "rows.csv").touch()  # but what says of which job they are comes late
    with Progress([one], set()) as progress:
        assert slurm.look_at(task, slurm_commands.Seen("12", "RUNNING", "None"), progress, on_slurm(tmp_path)) == {}
    assert (progress.work, task.waiting) == ({"one": 70}, [one])


@pytest.mark.parametrize("name", ["50%", "a\\b", "a\nb"])
def test_a_folder_that_slurm_would_write_otherwise_is_refused(name: str, tmp_path: Path, commands: Path) -> None:
    pytest.importorskip("submitit")
    command(commands, "sbatch", "")
    with pytest.raises(ValueError, match=r"out: got '.*', but Slurm takes no %, \\ or line break there"):
        slurm.check([job("a")], on_slurm(tmp_path / name), Execution(launcher="slurm", accelerator="cpu"))


def test_a_task_that_slurm_has_forgotten_is_lost(
    tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(slurm, "LOST_SECONDS", 0.1)
    lost = job("lost")
    recorded(tmp_path, lost)
    (tmp_path / "jobs" / "slurm" / "12_0_log.err").write_text("1\n2\n3\n4\nslurmstepd: error: killed\n\n")
    fails_once = f"test -e {tmp_path}/asked || {{ touch {tmp_path}/asked; echo no controller >&2; exit 1; }}"
    command(commands, "squeue", fails_once)
    command(commands, "sacct", "echo OUT_OF_MEMORY")
    with Progress([lost], set()) as progress:
        tasks = [slurm.Task("mfmarl-abc", 0, [lost], "12", "RUNNING")]
        failures = slurm.watch(tasks, progress, on_slurm(tmp_path))
    assert failures["lost"].startswith("its task 12 on Slurm ended: OUT_OF_MEMORY; ")
    assert failures["lost"].endswith("12_0_log.err ends: 3 | 4 | slurmstepd: error: killed")
    assert "launcher: squeue failed: no controller; asking again" in capsys.readouterr().err


@pytest.mark.parametrize(("state", "over"), [("RUNNING", False), ("PENDING", False), ("CANCELLED", True)])
def test_only_a_task_that_has_ended_is_lost(
    state: str, over: bool, tmp_path: Path, commands: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "LOST_SECONDS", 0.0)
    command(commands, "sacct", f"echo {state}")
    one = job("one")
    task = slurm.Task("mfmarl-abc", 0, [one], "12", "RUNNING")
    with Progress([one], set()) as progress:
        failures = slurm.look_at(task, slurm_commands.Seen("12", state, "None"), progress, on_slurm(tmp_path))
    assert (list(failures) == ["one"]) == over
    assert task.state == state


@pytest.fixture
def submits(tmp_path: Path, commands: Path) -> Callable[[str], None]:
    """Sets what a stand-in for sbatch does, where submitit finds a cluster."""
    pytest.importorskip("submitit")
    command(commands, "srun", "")
    (tmp_path / "jobs" / "slurm").mkdir(parents=True)
    return partial(command, commands, "sbatch")


CLUSTER = {"AccountingStorageType": "accounting_storage/slurmdbd", "MinJobAge": "300 sec", "MaxArraySize": "1001"}


def test_what_is_submitted_is_on_record(
    tmp_path: Path, submits: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, record = tmp_path / "told", tmp_path / "jobs/slurm/mfmarl-abc.json"
    submits(f'cp {record} {tmp_path}/before.json; {{ cat "$1"; env; }} > {told}; echo "Submitted batch job 77"')
    for name in ("SBATCH_PARTITION", "SBATCH_ACCOUNT", "SBATCH_WAIT", "SLURM_MEM_PER_CPU", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "mine")
    jobs = [job(f"{steps}", steps=steps) for steps in (300, 800, 500, 400, 600)]
    places, how = [on_slurm(tmp_path)] * 2, Execution(launcher="slurm", accelerator="cpu", slurm_partition="short")
    with Progress(jobs, set()) as progress:
        tasks = slurm.submit("mfmarl-abc", jobs, progress, places, how, CLUSTER)
    assert [[each.name for each in task.waiting] for task in tasks] == [["800"], ["600", "300"], ["500", "400"]]
    assert [(task.array, task.index, task.task) for task in tasks] == [
        ("mfmarl-abc", index, f"77_{index}") for index in range(3)
    ]
    names = [[folder(each, tmp_path, "32").name for each in task.waiting] for task in tasks]
    assert json.loads(record.read_text()) == {"id": "77", "tasks": names}
    assert json.loads((tmp_path / "before.json").read_text()) == {"tasks": names}, "if this process dies meanwhile"
    lines = told.read_text().splitlines()
    for line in (
        "--job-name=mfmarl-abc",
        "--array=0-2%3",
        "--partition=short",
        "--requeue",
        "--signal=USR2@30",
        "--time=1440",
        "--cpus-per-task=2",
    ):
        assert f"#SBATCH {line}" in lines
    assert "SBATCH_ACCOUNT=mine" in lines, "no option goes before it"
    assert not [line for line in lines if re.match("(SBATCH_PARTITION|SBATCH_WAIT|SLURM_[A-Z_]+)=mine", line)]
    assert os.environ["SBATCH_PARTITION"] == "mine"
    err = capsys.readouterr().err
    assert "Slurm: 5 jobs in 3 tasks, array 77 (mfmarl-abc)" in err
    assert "no accounting" not in err
    with Progress(jobs, set()) as progress:
        slurm.submit("mfmarl-abc", jobs[:1], progress, places, how, CLUSTER)
    assert "#SBATCH --cpus-per-task=1" in told.read_text(), "a worker without a job needs none"


@pytest.mark.parametrize(("limit", "tasks"), [({"slurm_tasks": 2}, 2), ({}, 3), ({"largest": "1"}, 1)])
def test_there_are_no_more_tasks_than_are_asked_for_or_a_cluster_takes(
    limit: dict[str, Any],
    tasks: int,
    tmp_path: Path,
    submits: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    submits('echo "Submitted batch job 77"')
    jobs = [job(f"job-{seed}", seeds=(seed,)) for seed in range(5)]
    cluster = {**CLUSTER, "AccountingStorageType": "(null)", "MaxArraySize": limit.pop("largest", "1001")}
    how = Execution(launcher="slurm", accelerator="cpu", **limit)
    with Progress(jobs, set()) as progress:
        assert len(slurm.submit("mfmarl-abc", jobs, progress, [on_slurm(tmp_path)] * 2, how, cluster)) == tasks
    assert "Slurm: no accounting here; why a task ended is known for 300 sec after it" in capsys.readouterr().err


def test_what_sbatch_refuses_is_not_on_record(tmp_path: Path, submits: Callable[[str], None]) -> None:
    submits('echo "sbatch: error: invalid partition specified: short" >&2; exit 1')
    how = Execution(launcher="slurm", accelerator="cpu")
    with (
        Progress([job("a")], set()) as progress,
        pytest.raises(ValueError, match=r"sbatch refused: .*invalid partition"),
    ):
        slurm.submit("mfmarl-abc", [job("a")], progress, [on_slurm(tmp_path)], how, CLUSTER)
    assert not list((tmp_path / "jobs/slurm").glob("*.json"))


def test_an_array_whose_id_sbatch_does_not_tell_is_cancelled(
    tmp_path: Path, commands: Path, submits: Callable[[str], None]
) -> None:
    submits('echo "all is well"')
    command(commands, "scancel", f'echo "$*" > {tmp_path}/cancelled')
    how = Execution(launcher="slurm", accelerator="cpu")
    with (
        Progress([job("a")], set()) as progress,
        pytest.raises(ValueError, match=r'^launcher: Could not make sense of sbatch output "all is well'),
    ):
        slurm.submit("mfmarl-abc", [job("a")], progress, [on_slurm(tmp_path)], how, CLUSTER)
    assert (tmp_path / "cancelled").read_text() == "--name=mfmarl-abc\n"
    assert not list((tmp_path / "jobs/slurm").glob("*.json"))


def test_a_line_of_the_sites_own_among_the_tasks_is_no_task(commands: Path) -> None:
    command(commands, "squeue", "echo 'Maintenance | tonight'; echo 'mfmarl-abc|12_3|RUNNING|None'; echo")
    assert slurm_commands.look({"mfmarl-abc"}) == {("mfmarl-abc", 3): slurm_commands.Seen("12_3", "RUNNING", "None")}


def test_a_share_that_started_over_is_gathered_without_starting_over(tmp_path: Path) -> None:
    with pytest.raises(ShareDone, match=r"the same call without shard and fresh gathers them$"):
        launch([job("a")], tmp_path, options(shard="1/1", fresh=True))


def test_an_option_goes_before_slurms_own_variable(tmp_path: Path) -> None:
    how = Execution(launcher="slurm", accelerator="gpu", slurm_memory=1.5, slurm_minutes=30, slurm_partition="short")
    places = [Place(tmp_path, Hardware("gpu", index, threads=2), 30.0, "none", on_slurm=True) for index in (0, 1, 0)]
    given = slurm.parameters("name", places, how)
    assert (given["gpus_per_node"], given["cpus_per_task"], given["mem"], given["time"]) == (2, 6, "1536M", 30)
    assert given["partition"] == "short"
    assert "account" not in given
    little = replace(how, slurm_memory=0.0001)
    assert slurm.parameters("name", places, little)["mem"] == "1M", "0 would be all there is"
    assert "gpus_per_node" not in slurm.parameters("name", [on_slurm(tmp_path)], how)

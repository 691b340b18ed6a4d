"""What scripts share: who takes which setting, and the way from jobs to a table and provenance.json."""

import json
import subprocess
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import psutil
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.files import digest, host, read_csv, write_json
from mfmarl.jobs.job import TrainingJob
from mfmarl.jobs.locks import locked
from mfmarl.scripting import guards, provenance, results, tables
from mfmarl.scripting.options import Options
from mfmarl.scripting.provenance import command, commit, write_provenance
from mfmarl.scripting.results import Section, do, update
from mfmarl.scripting.settings import arguments_of, seed_blocks, sourced, sources, values
from mfmarl.scripting.tables import read_sums

EXAMPLE = str(Path(__file__).parents[1] / "examples/my_method.py") + ":HystereticMFQ"


@dataclass(frozen=True)
class Settings:
    """Of a toy."""

    learning_rate: float = sourced(1e-3, "the paper")
    actor_learning_rate: float = sourced(1e-4, "the paper")
    steps: int = sourced(8, "ours")
    seed_count: int = sourced(5, "ours", script=True)


def test_a_setting_goes_to_the_agent_or_to_its_data_module() -> None:
    assert arguments_of("il", values(Settings())) == ({"learning_rate": 1e-3}, {"steps": 8})
    assert arguments_of("mf-ac", values(Settings())) == ({"actor_learning_rate": 1e-4}, {"steps": 8})
    assert sources(Settings(steps=9))["steps"] == {"value": 9, "source": "ours, in place of 8"}
    assert sources(Settings())["seed_count"] == {"value": 5, "source": "ours"}


@pytest.mark.parametrize(
    ("algorithm", "kind", "typo"),
    [("il", "stateless", "learning_rte"), ("metropolis", "lattice", "seed_count"), ("battle-il", "battle", "rounds")],
)
def test_a_setting_that_nobody_takes_is_refused(algorithm: str, kind: str, typo: str) -> None:
    with pytest.raises(ValueError, match=f"^settings: got {typo}, which no algorithm and no data module takes$"):
        arguments_of(algorithm, {"steps": 8, typo: 1}, kind)  # type: ignore[arg-type]


def test_seeds_are_trained_so_many_at_a_time() -> None:
    assert seed_blocks(3, 5, 2) == [(3, 4), (5, 6), (7,)]
    assert seed_blocks(0, 4, 2) == [(0, 1), (2, 3)]


def test_a_custom_class_takes_what_it_names() -> None:
    mine = f"{Path(__file__).parents[1]}/examples/my_method.py:HystereticMFQ"
    agent, _ = arguments_of(mine, {"learning_rate": 1e-3, "slowness": 0.1})
    assert agent == {"learning_rate": 1e-3, "slowness": 0.1}
    with pytest.raises(ValueError, match="got slowness"):
        arguments_of("mf-q", {"slowness": 0.1})


@pytest.mark.parametrize("algorithm", ["fmq", "rec-fmq"])
def test_no_discount_for_methods_that_are_defined_without_one(algorithm: str) -> None:
    agent, _ = arguments_of(algorithm, {"discount": 0.95, "learning_rate": 1e-3})
    assert agent == {"learning_rate": 1e-3}
    assert arguments_of("il", {"discount": 0.95})[0] == {"discount": 0.95}


def test_sections_are_done_together_and_entered_apart(tmp_path: Path) -> None:
    def job(seed: int) -> TrainingJob:
        agent, data = arguments_of("il", {"steps": 8, "evaluations": 2})
        return TrainingJob(f"il-{seed}", {"algorithm": "il"}, "il", GaussianSqueeze(4), (seed,), agent, data)

    sections = [Section("first", [job(0), job(1)], {"of": 1}), Section("second", [job(2)], {"of": 2})]
    first, second = do(sections, Options(out=tmp_path, workers=1, accelerator="cpu"))
    assert (first["seed"].tolist(), second["seed"].tolist()) == ([0, 0, 1, 1], [2, 2])
    entered = json.loads((tmp_path / "provenance.json").read_text())
    assert {name: sorted(call["jobs"]) for name, (call,) in entered.items()} == {
        "first": ["il-0", "il-1"],
        "second": ["il-2"],
    }
    assert entered["second"][0]["settings"] == {"of": 2}


def test_options_of_a_custom_class_are_in_provenance(tmp_path: Path) -> None:
    agent, data = arguments_of(EXAMPLE, {"steps": 8, "evaluations": 2}, method={"slowness": 0.3})
    job = TrainingJob("own", {"algorithm": EXAMPLE}, EXAMPLE, GaussianSqueeze(4), (0,), agent, data)
    options = Options(out=tmp_path, workers=1, accelerator="cpu", algorithms=[EXAMPLE], method={"slowness": 0.3})
    do([Section("first", [job], {"of": 1})], options)
    (call,) = json.loads((tmp_path / "provenance.json").read_text())["first"]
    assert call["settings"] == {"of": 1, "method": {"slowness": {"value": 0.3, "source": "--method.slowness"}}}


def test_new_rows_take_the_place_of_those_that_agree_with_them(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for algorithm, seeds in (("b", [0, 1, 2]), ("a", [0, 1]), ("b", [1])):
        rows = pd.DataFrame({"algorithm": algorithm, "seed": seeds, "n": len(seeds)})
        update(path, rows, replacing=["algorithm"], keys=["algorithm", "seed"])
    assert read_csv(path).to_numpy().tolist() == [["a", 0, 2], ["a", 1, 2], ["b", 1, 1]]
    assert read_sums(tmp_path) == {"table.csv": [digest(path)]}


def test_a_kill_between_a_table_and_its_checksum_leaves_it_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    tables.write_table(pd.DataFrame({"n": [1]}), path, ["n"])
    write = tables.write_sums

    def killed(sums: dict[str, list[str]], directory: Path) -> None:
        if read_csv(path)["n"].tolist() == [2]:
            raise KeyboardInterrupt
        write(sums, directory)

    monkeypatch.setattr(tables, "write_sums", killed)
    with pytest.raises(KeyboardInterrupt):
        tables.write_table(pd.DataFrame({"n": [2]}), path, ["n"])
    assert tables.read_table(path, ["n"])["n"].tolist() == [2]


@pytest.mark.parametrize("line", [f"{'0' * 64}  ", "0  table.csv", f"{'0' * 64} table.csv"])
def test_a_line_that_is_no_checksum_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"SHA256SUMS is damaged: restore it, or remove it \(ValueError: a line is "):
        read_sums(tmp_path)


def test_each_job_in_provenance_has_a_fingerprint(tmp_path: Path) -> None:
    call: dict[str, object] = dict.fromkeys(tables.CALL)
    good, path = {"fingerprint": "0"}, tmp_path / "provenance.json"
    path.write_text(json.dumps({"run": [{**call, "jobs": {"a": good}}, {**call, "jobs": {}}]}))
    assert list(tables.read_provenance(path)["run"][0]["jobs"]) == ["a"]
    path.write_text(json.dumps({"run": [{**call, "jobs": {"a": good, "b": {"fingerprint": 3}}}]}))
    with pytest.raises(ValueError, match=r"damaged: restore it, or remove it \(TypeError: a job has no fingerprint\)$"):
        tables.read_provenance(path)


def test_a_folder_in_jobs_may_have_any_name(tmp_path: Path) -> None:
    (tmp_path / "jobs/my.csv").mkdir(parents=True)
    tables.check_places(tmp_path)
    (tmp_path / "study/my.csv").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"study/my\.csv is no file"):
        tables.check_places(tmp_path)


def test_who_writes_waits_for_who_does(tmp_path: Path) -> None:
    rows = pd.DataFrame({"algorithm": ["a"], "seed": [0]})
    path, options = tmp_path / "table.csv", Options(out=tmp_path)
    with futures.ThreadPoolExecutor() as pool:
        with locked(tmp_path / "jobs"):
            waiting = [
                pool.submit(update, path, rows, replacing=["algorithm"], keys=["seed"]),
                pool.submit(write_provenance, [], options, {}),
            ]
            for each in waiting:
                with pytest.raises(futures.TimeoutError):
                    each.result(timeout=0.3)
        for each in waiting:
            each.result(timeout=60)
    assert len(read_csv(path)) == 1


def test_damaged_provenance_is_refused_before_jobs_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "launch", lambda *_: pytest.fail("it begins"))
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(ValueError, match=r"provenance\.json is damaged"):
        do([], Options(out=tmp_path))


def test_a_table_that_counts_runs_takes_as_many_or_more(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    tables.write_table(pd.DataFrame({"algorithm": "il", "order": [1, 2], "runs": [3, 5]}), path, ["order"])

    def job(runs: int) -> TrainingJob:
        data = {"steps": 8, "evaluations": 2}
        return TrainingJob("il", {"algorithm": "il"}, "il", GaussianSqueeze(4), tuple(range(runs)), {}, data)

    options = Options(out=tmp_path)
    guards.check_update(path, [job(5)], ["algorithm"], options)
    with pytest.raises(ValueError, match=r"counts 5 runs of il: make as many, or name another --out$"):
        guards.check_update(path, [job(4)], ["algorithm"], options)


def test_rows_of_another_precision_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    tables.write_table(pd.DataFrame({"algorithm": ["il"], "seed": [0], "step": [8]}), path, ["seed"])
    data = {"steps": 8, "evaluations": 1}
    job, other = (
        TrainingJob(name, {"algorithm": name}, name, GaussianSqueeze(4), (0,), {}, data) for name in ("il", "mf-q")
    )
    record = {"fingerprint": "", "labels": {"algorithm": "il"}, "precision": "bf16-mixed"}
    call = {**dict.fromkeys(tables.CALL), "settings": {}, "jobs": {"il": record, "earliest": {"fingerprint": ""}}}
    write_json({"appendix": [call]}, tmp_path / "provenance.json")
    guards.check_update(path, [job, other], ["algorithm"], Options(out=tmp_path, precision="bf16-mixed"))
    guards.check_update(path, [other], ["algorithm"], Options(out=tmp_path))
    with pytest.raises(
        ValueError,
        match=r"^precision: .*table\.csv holds il in bf16-mixed, and this call would bring 32; pass --precision",
    ):
        guards.check_update(path, [other, job], ["algorithm"], Options(out=tmp_path))


def test_rows_of_a_custom_method_with_other_arguments_are_refused(tmp_path: Path) -> None:
    path, name = tmp_path / "table.csv", "mine.py:Mine"
    tables.write_table(pd.DataFrame({"algorithm": [name], "seed": [0], "step": [8]}), path, ["seed"])
    mine, il = (
        TrainingJob(each, {"algorithm": each}, each, GaussianSqueeze(4), (1,), {}, {"steps": 8, "evaluations": 1})
        for each in (name, "il")
    )
    records = {each: {"fingerprint": "", "labels": {"algorithm": each}} for each in (name, "il")}
    held = {"method": {"widths": {"value": [1, 2], "source": "--method.widths"}}}
    call = {**dict.fromkeys(tables.CALL), "settings": held, "jobs": records}
    write_json({"appendix": [call]}, tmp_path / "provenance.json")

    def check(job: TrainingJob, method: dict[str, Any]) -> None:
        guards.check_update(path, [job], ["algorithm"], Options(out=tmp_path, algorithms=[name], method=method))

    check(mine, {"widths": (1, 2)})
    check(il, {})
    with pytest.raises(
        ValueError, match=r"holds mine\.py:Mine with widths \[1, 2\], .* would bring widths \[1, 3\]; name"
    ):
        check(mine, {"widths": (1, 3)})
    with pytest.raises(ValueError, match=r"^method: .* and this call would bring no --method; name another --out$"):
        check(mine, {})


def test_seeds_of_a_custom_method_from_before_an_edit_are_not_mixed_with_others(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.py", tmp_path / "out"
    name = f"{file}:Mine"
    data = {"steps": 40, "evaluations": 1, "batch_size": 4, "samples_per_update": 4}

    def train(*seeds: int) -> None:
        options = Options(out=out, algorithms=[name], workers=1, accelerator="cpu")
        job = TrainingJob(f"seeds-{seeds}", {"algorithm": name}, name, GaussianSqueeze(4), seeds, {}, data)
        guards.check_update(out / "table.csv", [job], ["algorithm"], options)
        [rows] = results.do([results.Section("run", [job], {})], options)
        results.update(out / "table.csv", rows, replacing=["algorithm", "seed"], keys=["algorithm", "seed", "step"])

    file.write_text("from mfmarl import IL\nclass Mine(IL):\n    pass\n")
    train(0, 1)
    train(2)
    file.write_text("from mfmarl import IL\nclass Mine(IL):\n    edited = True\n")
    with pytest.raises(
        ValueError, match=r"^algorithms: .*mine\.py:Mine was edited since seed 1 of .*table\.csv was trained"
    ):
        train(0, 2)
    train(0, 1, 2)
    train(3)
    train(0, 1)


def test_a_script_tells_its_table_and_the_files_that_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    abandoned = tmp_path / f".table.{ended.pid}@{host()}.partial.csv"
    abandoned.touch()
    figure = plt.figure()
    table = pd.DataFrame({"n": [4], "x": [0.5], "x_low": [0.25], "x_high": [0.75], "y": [1 / 3]})
    results.report(table, tmp_path, ["table.csv"], {"one": figure})
    plt.close(figure)
    assert not abandoned.exists()
    assert (tmp_path / "one.png").exists()
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["n", "x", "y"],
        ["4", "0.50", "[0.25,", "0.75]", "0.333333"],
        [],
        ["written:"],
        *([str(tmp_path / name)] for name in ("table.csv", "one.png", "one.pdf")),
    ]


def test_provenance_names_the_commit_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("no checkout")
    found = commit()
    assert found is not None
    assert len(str(found["id"])) == 40
    monkeypatch.setenv("GIT_DIR", "/another/repository/.git")  # as a hook of git does
    assert commit() == found


def test_a_checkout_that_is_not_ours_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site/mfmarl"
    (package / "scripting").mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "scripting/provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert commit() is None, "no checkout at all"
    own = ["git", "-C", str(tmp_path / "site"), "-c", "user.name=toy", "-c", "user.email=toy@localhost"]

    def git(*words: str) -> str:
        return subprocess.check_output([*own, *words], text=True).strip()

    (package / "__init__.py").touch()
    (package.parent / "other.txt").touch()
    git("init", "--quiet")
    git("add", "other.txt")
    git("commit", "--quiet", "--message", "theirs")
    assert commit() is None
    git("add", ".")
    git("commit", "--quiet", "--message", "ours")
    assert commit() == {"id": git("rev-parse", "HEAD"), "dirty": False}
    (package / "__init__.py").write_text("changed = True\n")
    assert commit() == {"id": git("rev-parse", "HEAD"), "dirty": True}


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = psutil.virtual_memory().total / 2**30
    assert provenance.hardware()["memory_gib"] == pytest.approx(gib, abs=0.0501)
    assert provenance.hardware()["memory_gib"] == round(gib, 1)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "processor\t: 0\nmodel name\t: A chip\n")
    assert provenance.cpu_model() == "A chip"

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    for processor, told in (("", "arm64"), ("arm", "arm")):
        monkeypatch.setattr("platform.processor", lambda found=processor: found)
        assert provenance.cpu_model() == told


def test_times_of_jobs_are_added_and_those_of_the_cpu_are_told_where_there_is_no_gpu(tmp_path: Path) -> None:
    call: dict[str, object] = {**dict.fromkeys(tables.CALL), "hardware": {"gpus": []}}
    jobs: dict[str, dict[str, object]] = {
        "b": {"wall_seconds": 1.26, "cpu_seconds": 3.0, "fingerprint": "0"},
        "a": {"fingerprint": "0"},
    }
    whole = provenance.with_jobs(call, jobs)
    assert whole["total"] == {"wall_seconds": 1.3, "cpu_seconds": 3.0}
    assert list(whole["jobs"]) == ["a", "b"]
    told = {"one": {"b": jobs["b"]}, "two": {"c": {**jobs["b"], "wall_seconds": 2.0}}}
    gpus: dict[str, list[str]] = {"one": [], "two": ["H100"]}
    path = tmp_path / "provenance.json"
    path.write_text(
        json.dumps({name: [{**call, "hardware": {"gpus": gpus[name]}, "jobs": own}] for name, own in told.items()})
    )
    assert provenance.compute_seconds(tmp_path) == {"b": 3.0, "c": 2.0}


def test_options_of_a_custom_class_reach_it_and_no_other() -> None:
    method: dict[str, object] = {"slowness": 1, "batch_size": 3, "learning_rate": 0.5}
    agent, data = arguments_of(EXAMPLE, {"steps": 8, "learning_rate": 0.1}, method=method)
    assert agent == {"slowness": 1.0, "learning_rate": 0.5}
    assert isinstance(agent["slowness"], float)
    assert data == {"steps": 8, "batch_size": 3}
    assert arguments_of("mf-q", {"steps": 8}, method=method) == ({}, {"steps": 8})


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"slowness": "fast"}, "method.slowness: got fast, allowed is a number"),
        ({"slownes": 1}, "method.slownes: HystereticMFQ and its data module take no such argument, allowed are .*"),
        ({"exploration": {"start": 1.0}}, "method.exploration: got .*, allowed .*"),
        ({"steps": 1}, "method.steps: HystereticMFQ and its data module take no such argument, allowed are .*"),
    ],
)
def test_wrong_options_of_a_custom_class_are_refused(method: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        arguments_of(EXAMPLE, {"steps": 8}, method=method)


def test_what_a_custom_class_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from mfmarl import MFQ\n\nclass Mine(MFQ):\n    def __init__(self, environment, seeds, *, needed, **more):\n"
        "        super().__init__(environment, seeds, **more)\n"
    )
    with pytest.raises(ValueError, match=r"^method: Mine needs needed, give --method.needed$"):
        arguments_of(f"{tmp_path / 'mine.py'}:Mine", {})
    assert arguments_of(f"{tmp_path / 'mine.py'}:Mine", {}, method={"needed": "anything"})[0] == {"needed": "anything"}


def test_the_command_is_told_as_it_could_be_called_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "reproduce/a script.py"), "--out", "here"])
    assert command() == "python 'reproduce/a script.py' --out here"
    monkeypatch.setattr("sys.argv", [""])  # at a prompt
    assert command() == "python ''"

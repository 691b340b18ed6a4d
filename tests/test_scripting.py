"""What scripts share: who takes which setting, and the way from jobs to a table and provenance.json."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.files import read_csv
from mfmarl.jobs.job import TrainingJob
from mfmarl.scripting.options import Options
from mfmarl.scripting.provenance import command, commit
from mfmarl.scripting.results import Section, do, update
from mfmarl.scripting.settings import arguments_of, sourced, sources, values

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


def test_provenance_names_the_commit_of_this_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("no checkout")
    found = commit()
    assert found is not None
    assert len(str(found["id"])) == 40
    monkeypatch.setenv("GIT_DIR", "/another/repository/.git")  # as a hook of git does
    assert commit() == found


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

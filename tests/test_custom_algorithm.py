"""A custom method: a file, and its name on the command line."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import torch

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.battle import BattleMFQ
from mfmarl.algorithms.constructors import constructor_keywords
from mfmarl.algorithms.q_learning import MFQ
from mfmarl.custom import helpers, name_in_file, name_without_place, with_its_file
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import GaussianSqueeze
from mfmarl.environments.battle.game import Battle
from mfmarl.jobs.job import Job, TrainingJob
from mfmarl.jobs.library import train
from mfmarl.scripting import results
from reproduce import gaussian_squeeze, ising, matrix_games
from tests.support import done

EXAMPLES = Path(__file__).parents[1] / "examples"
EXAMPLE = f"{EXAMPLES / 'my_method.py'}:HystereticMFQ"
BATTLE_EXAMPLE = f"{EXAMPLES / 'my_battle_method.py'}:HystereticBattleMFQ"


def job(algorithm: str, **agent: object) -> TrainingJob:
    data = {"steps": 60, "evaluations": 3, "batch_size": 16, "samples_per_update": 10}
    return TrainingJob("a-job", {"algorithm": algorithm}, algorithm, GaussianSqueeze(10), (0, 1), agent, data)


def test_known_names_are_their_classes() -> None:
    assert set(ALGORITHMS["stateless"]) == {"il", "fmq", "rec-fmq", "maac", "ac", "mf-q", "mf-ac"}
    for kind, known in ALGORITHMS.items():
        for name, place in known.items():
            cls = algorithm_class(name)
            assert f"{cls.__module__}:{cls.__name__}" == place
            assert algorithm_class(name, kind) is cls


@pytest.mark.parametrize(
    ("example", "kind", "base"), [(EXAMPLE, "stateless", MFQ), (BATTLE_EXAMPLE, "battle", BattleMFQ)]
)
def test_the_examples_are_methods_short_enough_to_show(example: str, kind: str, base: type) -> None:
    file, _, name = example.rpartition(":")
    found = algorithm_class(example, kind)  # type: ignore[arg-type] # str, not Literal
    assert issubclass(found, base)
    assert found.__name__ == name
    assert len(Path(file).read_text().splitlines()) < 50  # how to run it included


def test_it_trains_as_a_job_and_takes_arguments_of_its_own(tmp_path: Path) -> None:
    bad_news: dict[str, object] = {"learning_rate": 0.1, "start_bias": 50.0}  # rewards are far below that
    slow, even = (
        done(job(EXAMPLE, slowness=slowness, **bad_news), tmp_path / str(slowness)) for slowness in (0.1, 1.0)
    )
    plain = done(job("mf-q", **bad_news), tmp_path / "plain")
    scores = ["greedy_reward", "sampled_reward", "training_reward"]
    # With bad news taken as fast as good news it is MF-Q.
    pd.testing.assert_frame_equal(even[scores], plain[scores])
    assert not slow[scores].equals(plain[scores])


def test_a_job_of_train_tells_the_code_of_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[Job] = []

    def spied(these: Sequence[Job], *_: object, **__: object) -> list[pd.DataFrame]:
        jobs.extend(these)
        return [pd.DataFrame({"seed": [0], "step": [0]})]

    monkeypatch.setattr("mfmarl.jobs.library.launch", spied)
    train(EXAMPLE, GaussianSqueeze(10), [0], steps=500, evaluations=1)
    told = jobs[0].description()
    assert any("my_method" in name for name in cast(dict[str, str], told["sources"]))
    assert not {"source", "helpers"} & set(told)


def test_the_example_weighs_bad_news_less() -> None:
    make: Callable[..., Any] = algorithm_class(EXAMPLE, "stateless")
    module = make(GaussianSqueeze(10), [0, 1], slowness=0.2, discount=0.0)
    plain = MFQ(GaussianSqueeze(10), [0, 1], discount=0.0)
    own = torch.Generator().manual_seed(0)
    agent, action = (torch.randint(10, (2, 6), generator=own) for _ in range(2))
    mean = torch.rand(2, 6, 10, generator=own)
    for reward, factor in ((100.0, 1.0), (-100.0, 0.2)):
        batch = (agent, action, torch.full((2, 6), reward), mean, None)
        [loss], [of_plain] = (method.losses(Batch(*batch)) for method in (module, plain))
        torch.testing.assert_close(loss, factor * of_plain)


def test_the_battle_example_weighs_bad_news_less() -> None:
    make: Callable[..., Any] = algorithm_class(BATTLE_EXAMPLE, "battle")
    module, plain = make(Battle(4), [0], slowness=0.2), BattleMFQ(Battle(4), [0])
    own = torch.Generator().manual_seed(0)
    views, features, means = (torch.rand(12, *shape, generator=own) for shape in ((13, 13, 7), (34,), (21,)))
    action, terminal = torch.randint(21, (6,), generator=own), torch.tensor([True, False] * 3)
    for reward, factor in ((100.0, 1.0), (-100.0, 0.2)):
        before, after = ((views[half], features[half], means[half]) for half in (slice(6), slice(6, 12)))
        batch = BattleBatch(*before, action, torch.full((6,), reward), *after, terminal)
        torch.testing.assert_close(module.loss(batch), factor * plain.loss(batch))


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (None, "no-such", "algorithm must be one of il, fmq, rec-fmq, maac, ac, mf-q, mf-ac or .*, got 'no-such'"),
        (None, "", "algorithm must be one of il, .* or path/to/file.py:Class, got ''"),
        (None, "{file}", "algorithm must be one of .* or path/to/file.py:Class, got '.*mine.py'"),
        (None, "mine:Mine", "algorithm must be one of .* or path/to/file.py:Class, got 'mine:Mine'"),
        (None, "{file}:Mine", "algorithm '.*mine.py:Mine': there is no file .*mine.py"),
        ("", "{file}:Mine", "algorithm '.*': Mine must be a subclass of .*[.]StatelessAgent in .*mine.py"),
        ("class Mine: pass", "{file}:Mine", "algorithm '.*': Mine must be a subclass of .*[.]StatelessAgent in .*"),
        ("def Mine(): pass", "{file}:Mine", "algorithm '.*': Mine must be a subclass of .*[.]StatelessAgent in .*"),
        ("x = 1 / 0", "{file}:Mine", "algorithm '.*': .*mine.py does not load: ZeroDivisionError: division by zero"),
        ("import no_such_module", "{file}:Mine", ".*mine.py does not load: ModuleNotFoundError: No module .*"),
        ("raise RuntimeError('a\\nb')", "{file}:Mine", ".*mine.py does not load: RuntimeError: a b"),
        ("raise SystemExit(3)", "{file}:Mine", ".*mine.py does not load: SystemExit: 3"),
        ("class Mine(:", "{file}:Mine", ".*mine.py does not load: SyntaxError: invalid syntax .*"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    content: str | None, name: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=f"^{message}$") as raised:
        algorithm_class(name.format(file=file), "stateless")
    assert len(str(raised.value).splitlines()) == 1


HELPED = """
from mfmarl.algorithms.q_learning import MFQ

class Mine(MFQ):
    def losses(self, batch):
        import {name}
        return [{name}.rate() * each for each in super().losses(batch)]
"""


def helped(folder: Path, name: str, rate: float) -> str:
    """A method whose file imports a module beside it, which imports another one."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(HELPED.format(name=name))
    (folder / f"{name}.py").write_text(f"import {name}_too\ndef rate():\n    return {name}_too.RATE\n")
    (folder / f"{name}_too.py").write_text(f"RATE = {rate}\n")
    return f"{folder / 'mine.py'}:Mine"


def test_a_module_beside_the_file_is_imported_and_counts(tmp_path: Path) -> None:
    name = helped(tmp_path, "helper_of_mine", 1.0)
    arguments: dict[str, object] = {"learning_rate": 0.1}
    with_help = job(name, **arguments)
    scores = ["greedy_reward", "sampled_reward", "training_reward"]
    rows = done(with_help, tmp_path / "own")[scores]
    pd.testing.assert_frame_equal(rows, done(job("mf-q", **arguments), tmp_path / "plain")[scores])
    before = with_help.fingerprint
    helped(tmp_path, "helper_of_mine", 0.5)
    assert with_help.fingerprint != before, "a helper's helper was edited"
    helped(tmp_path, "helper_of_mine", 1.0)
    (tmp_path / "not_imported.py").write_text("1")
    assert with_help.fingerprint == before


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    names = []
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        text = f"from mfmarl import MFQ\nclass Mine(MFQ):\n    number = {number}\nclass Only{number}:\n    pass\n"
        (tmp_path / folder / "mine.py").write_text(text)
        names.append(f"{tmp_path / folder / 'mine.py'}:Mine")
    classes: list[Any] = [algorithm_class(name, "stateless") for name in names]
    assert [cls.number for cls in classes] == [0, 1]
    assert [name_in_file(cls) for cls in classes] == names
    assert [{each.__name__ for each in with_its_file(cls)} for cls in classes] == [
        {"Mine", "MFQ", "Only0"},
        {"Mine", "MFQ", "Only1"},
    ]
    assert [vars(sys.modules[cls.__module__])["Mine"] for cls in classes] == classes
    # Wherever the folder lies: what tells jobs apart does not name it.
    assert {name_without_place(cls) for cls in classes} == {"mfmarl_custom_mine.Mine"}
    assert name_without_place(MFQ) == "mfmarl.algorithms.q_learning.MFQ"


def test_a_file_is_run_again_only_if_it_or_what_it_imports_has_changed(tmp_path: Path) -> None:
    name = helped(tmp_path, "helper_of_three", 1.0)
    first = algorithm_class(name, "stateless")
    assert algorithm_class(name, "stateless") is first
    helped(tmp_path, "helper_of_three", 2.0)
    second = algorithm_class(name, "stateless")
    assert second is not first
    file = tmp_path / "mine.py"
    text = file.read_text()
    file.write_text(f"{text}raise RuntimeError('halfway')\n")
    for _ in range(2):  # what failed is no module to come back to
        with pytest.raises(ValueError, match="does not load: RuntimeError: halfway"):
            algorithm_class(name, "stateless")
    file.write_text(text)
    assert issubclass(algorithm_class(name, "stateless"), MFQ)


def test_two_modules_of_one_name_are_not_confused(tmp_path: Path) -> None:
    algorithm_class(helped(tmp_path / "one", "helper_of_two", 1.0), "stateless")
    algorithm_class(helped(tmp_path / "one", "helper_of_two", 2.0), "stateless")
    with pytest.raises(
        ValueError, match=r"^algorithm '.*two/mine.py:Mine': it imports .*two/helper_of_two.*, but .*one"
    ):
        algorithm_class(helped(tmp_path / "two", "helper_of_two", 1.0), "stateless")


@pytest.mark.usefixtures("patience")
def test_all_of_a_package_counts(tmp_path: Path) -> None:
    (tmp_path / "lab" / "inner").mkdir(parents=True)
    for path in ("__init__.py", "inner/__init__.py", "inner/rates.py"):
        (tmp_path / "lab" / path).write_text("")
    (tmp_path / "lab/method.py").write_text("import torch\nfrom .inner import rates")
    (tmp_path / "beside.py").write_text("import lab.inner.rates\nimport torch")
    everything = {"lab", "lab.inner", "lab.inner.rates", "lab.method"}
    assert set(helpers(tmp_path / "beside.py")) == everything
    assert set(helpers(tmp_path / "lab/method.py")) == everything - {"lab.method"}
    assert helpers(tmp_path / "lab/inner/rates.py") == {}, "it imports none"
    (tmp_path / "lab/inner/rates.py").write_text("import lab.method")
    assert set(helpers(tmp_path / "lab/inner/rates.py")) == everything - {"lab.inner.rates"}
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/alone.py").write_text("import beside")
    assert helpers(tmp_path / "folder/alone.py") == {}, "beside is not beside it"
    (tmp_path / "beside.py").write_text("import (")
    assert helpers(tmp_path / "beside.py") == {}


class Plain:
    """As a method of this package: a game and seeds, then keywords."""

    def __init__(self, environment: object, seeds: object, *, needed: int, given: int = 1) -> None:
        pass


class More(Plain):
    """Hands on what it does not take itself."""

    def __init__(self, environment: object, seeds: object, own: float = 2.0, **general: Any) -> None:
        pass


class Refuses(More):
    """Has the constructor of its base, but for one argument."""

    refuses = ("given",)


class Shut(Plain):
    """Hands nothing on."""

    def __init__(self, environment: object, seeds: object, *, only: int) -> None:
        pass


def test_the_keywords_of_a_constructor_are_its_own_and_those_it_hands_on() -> None:
    assert constructor_keywords(Plain) == {"needed": True, "given": False}
    assert constructor_keywords(More) == {"own": False, "needed": True, "given": False}
    assert constructor_keywords(Refuses) == {"own": False, "needed": True}
    assert constructor_keywords(Shut) == {"only": True}


COMMITTED = [
    (gaussian_squeeze.run, ["--settings", "calibrated", "--algorithms", "il", "--agents", "100", "--seeds", "8"]),
    (ising.run, ["--algorithms", "mcmc", "--orders", "checkerboard"]),
    (matrix_games.run, ["--algorithms", "rec-fmq"]),
]


@pytest.mark.parametrize(("script", "arguments"), COMMITTED)
def test_jobs_of_this_package_keep_the_fingerprints_of_the_committed_results(
    script: Callable[[list[str]], None], arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, str] = {}

    def note(jobs: list[TrainingJob], *_: object) -> None:
        asked.update({one.name: one.fingerprint for one in jobs})
        raise InterruptedError

    monkeypatch.setattr(results, "launch", note)
    with pytest.raises(InterruptedError):
        script([*arguments, "--out", str(tmp_path)])
    name = script.__module__.rpartition(".")[2]
    sections = json.loads((Path(__file__).parents[1] / f"results/{name}/provenance.json").read_text())
    calls = [call["jobs"] for section in sections.values() for call in section]
    recorded = {name: job["fingerprint"] for jobs in calls for name, job in jobs.items() if name in asked}
    assert recorded
    assert recorded == {name: asked[name] for name in recorded}

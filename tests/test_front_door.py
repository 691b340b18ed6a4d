"""The front door: the public names, and `train` and `fight`."""

import ast
import io
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property, partial, wraps
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import mfmarl
from mfmarl import (
    IL,
    MFQ,
    Battle,
    BattleAgent,
    BattleMFQ,
    EpsilonGreedy,
    Execution,
    GaussianSqueeze,
    Ising,
    Metropolis,
    Policy,
    TabularMFQ,
    TrainingJob,
    fight,
    launch,
    train,
)
from mfmarl.custom import class_in_file
from mfmarl.data.neighbourhood import Noise
from mfmarl.jobs import progress
from mfmarl.jobs.digests import Identification, sources_of
from mfmarl.jobs.progress import Progress
from mfmarl.tournament.fights import AnyArmy

ROOT = Path(__file__).parents[1]
SMALL: dict[str, Any] = {"steps": 40, "evaluations": 2, "batch_size": 8, "samples_per_update": 20}
GAME = GaussianSqueeze(5)


@dataclass
class Point:
    """A value of a class's own."""

    x: int = 0


class Mapped(Point):
    """Another."""

    def __len__(self) -> int:
        return self.x


FACTOR = 3


def test_every_name_is_there_and_has_its_type() -> None:
    stub = ast.parse((ROOT / "mfmarl/__init__.pyi").read_text())
    typed = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == mfmarl._PLACES  # type: ignore[attr-defined]
    for name in typed:
        assert getattr(mfmarl, name) is getattr(sys.modules[mfmarl._PLACES[name]], name)  # type: ignore[attr-defined]
        assert name in dir(mfmarl)
    assert set(mfmarl.__all__) == {"__version__", *typed}  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^module 'mfmarl' has no attribute 'nothing'$"):
        mfmarl.nothing  # type: ignore[attr-defined] # noqa: B018


def test_it_gives_the_rows_of_the_same_job(tmp_path: Path) -> None:
    rows = train(MFQ, GAME, range(2), learning_rate=0.1, **SMALL)
    job = TrainingJob("job", {"algorithm": "mf-q", "agents": 5}, "mf-q", GAME, (0, 1), {"learning_rate": 0.1}, SMALL)
    pd.testing.assert_frame_equal(rows, launch([job], tmp_path, Execution(workers=1))[0])
    pd.testing.assert_frame_equal(rows, train("mf-q", GAME, [1, 0], learning_rate=0.1, **SMALL))
    assert [*rows.columns[:4]] == ["algorithm", "agents", "seed", "step"]


def test_workers_change_no_row_and_need_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from mfmarl import *\n"
        f"rows = train(IL, GaussianSqueeze(5), range(10), execution=Execution(workers=2), **{SMALL})\n"
        "rows.to_csv('rows.csv', index=False)\nprint('once')\n"
    )
    command, path = [sys.executable, str(script)], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr
    rows = train(IL, GAME, range(10), **SMALL)
    assert (tmp_path / "rows.csv").read_text() == rows.to_csv(index=False)


def test_ising_rows_carry_temperature_and_seed() -> None:
    rows = train(TabularMFQ, Ising(4), range(2), temperatures=[0.8, 2.0], steps=4, evaluations=2)
    assert [*rows.columns[:5]] == ["algorithm", "agents", "temperature", "seed", "step"]
    assert rows[["temperature", "seed", "step"]].to_numpy().tolist() == [
        [temperature, seed, step] for temperature in (0.8, 2.0) for seed in (0, 1) for step in (2, 4)
    ]
    assert set(train("mcmc", Ising(4), [3], temperatures=2.0, steps=2, evaluations=1)["algorithm"]) == {"mcmc"}


def test_battle_trains_seed_by_seed_and_its_armies_fight(tmp_path: Path) -> None:
    rows = train("mf-q", Battle(2, max_steps=5), range(2), steps=2, evaluations=1, out=tmp_path)
    assert rows[["algorithm", "seed"]].to_numpy().tolist() == [["mf-q", 0], ["mf-q", 1]]
    army = tmp_path / "policies/mf-q-2-seed-1.safetensors"
    game = Battle(2, max_steps=5)
    rounds = fight(army, "rush", rounds=4, environment=game)
    ways = set(zip(rounds["seat"], rounds["first"], strict=True))
    assert ways == {*product(("left", "right"), ("yes", "no"))}
    pd.testing.assert_frame_equal(rounds, fight(mfmarl.Policy.load(army), "rush", rounds=4, environment=game))
    assert not {"seed", "opponent"} & {*rounds.columns}
    trained = mfmarl.Policy.load(army)
    alone = mfmarl.Policy(trained.network, trained.acting, {"agents": 1}, uses_mean_action=True)
    assert len(fight(alone, "rush")) == 8
    for one, other, agents in ((trained, alone, 2), (alone, trained, 1), ("rush", trained, 2)):
        rounds = fight(one, other, 1)  # without a game that of the first of the two that knows one
        assert rounds[["survivors", "opponent_survivors"]].max(axis=None) == agents


@pytest.mark.parametrize(
    ("army", "evaluation", "message"),
    [
        ("rush", "twice", "evaluation must be greedy or sampled, got 'twice'"),
        ("x", "greedy", "army must be the file.*"),
    ],
)
def test_fights_of_nobody_are_refused(army: AnyArmy, evaluation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        fight(army, "random", evaluation=evaluation)


class Counted(MFQ):
    """Counts how often it is trained."""

    times = SimpleNamespace(trained=0)  # plain values of a class would tell it apart

    def __init__(self, environment: Any, seeds: Any, slowness: float = 1.0, **general: Any) -> None:
        super().__init__(environment, seeds, **general)
        self.slowness = slowness

    def configure_optimizers(self) -> torch.optim.Optimizer:
        Counted.times.trained += 1
        return super().configure_optimizers()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    Counted.times.trained = 0
    first, again, other = (
        train(Counted, GAME, [0], out=tmp_path, slowness=slowness, **SMALL) for slowness in (1.0, 1.0, 2.0)
    )
    assert Counted.times.trained == 2
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, other)
    assert set(first["algorithm"]) == {"Counted"}


@dataclass(frozen=True)
class Half:
    """Pays for half of the agents."""

    agents: int
    actions: int = 2
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return -(actions.double().mean(-1) - 0.5).abs()


def test_a_custom_game_is_played() -> None:
    rows = train(IL, Half(4), range(2), **SMALL)
    assert set(rows["greedy_reward"]) <= {-0.5, -0.25, 0.0}


class Hasty(MFQ):
    """Says of one argument no default."""

    def __init__(self, environment: Any, seeds: Any, *, haste: float, **general: Any) -> None:
        super().__init__(environment, seeds, **general)


def bad(*arguments: Any, **more: Any) -> Callable[[], pd.DataFrame]:
    return lambda: train(*arguments, **({"steps": 4, "evaluations": 2} | more))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            bad(MFQ, GAME, range(2), learning_rat=1),
            "learning_rat: MFQ and its data module take no such argument, .*damping",
        ),
        (bad(MFQ, GAME, range(2), evaluations=3), "evaluations must divide steps, got 3 and 4"),
        (
            bad(MFQ, GAME, range(2), learning_rate=-1.0, samples_per_update=5),
            "learning_rate must be positive and finite, got -1.0",
        ),
        (
            bad(MFQ, GAME, [1]),
            r"steps: got 4, in which nothing would be learned: 5 agents see 20 .* every 500 \(samples_",
        ),
        (bad(MFQ, GAME, 8), r"seeds must be several numbers, such as range\(8\), got 8"),
        (bad(MFQ, GAME, [0.5]), r"seeds must be whole numbers, got \[0.5\]"),
        (bad(MFQ, GAME, [1, 1]), "seeds must be distinct"),
        (bad(MFQ, GaussianSqueeze, [1]), r"environment must be a dataclass such as .*, got the class GaussianSqueeze"),
        (bad(MFQ, Battle(2), [1]), "algorithm: MFQ does not play such a game, allowed are subclasses of BattleAgent"),
        (bad(MFQ, Execution(), [1]), "environment must have agents, actions, draws, reward; .* lacks agents, actions"),
        (bad(Half, GAME, [1]), "algorithm: Half does not play such a game, allowed are subclasses of StatelessAgent"),
        (bad(7, GAME, [1]), "algorithm must be a class or a name, got 7"),
        (bad(MFQ(GAME, [1]), GAME, [1]), r"algorithm must be a class or a name, got MFQ\("),
        (bad(BattleAgent, Battle(2), [1]), "algorithm: BattleAgent names no data_module"),
        (bad(MFQ, GAME, [1], learning_rate="1e-3"), "learning_rate must be a number, got '1e-3'"),
        (bad(MFQ, GAME, [1], discount="0.9"), "discount must be a number, got '0.9'"),
        (bad(TabularMFQ, Ising(4), [1], temperatures=(2, 2)), r"temperatures must be distinct, got \[2.0, 2.0\]"),
        (bad(MFQ, Half(3, actions=0), [1]), "actions must be at least 1, got 0"),
        (bad("mf-p", GAME, [1]), "algorithm must be one of il, .*, got 'mf-p'"),
        (bad(TabularMFQ, Ising(4), [1]), "temperatures: TabularMFQ needs this argument"),
        (bad(Hasty, GAME, [1]), "haste: Hasty needs this argument"),
        (bad(IL, GAME, [1], neighbourhood=Noise()), "neighbourhood: got one for IL, which sees no mean action"),
        (bad(TabularMFQ, Ising(4), [1], neighbourhood=Noise()), "neighbourhood: TabularMFQ and its data module take"),
        (bad(Metropolis, Ising(4), [1], temperatures=-1), "temperatures must be numbers, at least one, from 1e-30"),
        (bad(Metropolis, Ising(4), [1], temperatures="1"), "temperatures must be numbers, at least one, from 1e-30"),
        (bad(Metropolis, Ising(4), [1], temperatures=["1"]), "temperatures must be numbers, at least one, from 1e-30"),
        (
            bad(MFQ, GAME, [1], samples_per_update=5, execution=Execution(logger="csv")),
            "execution: got logger csv, whose files lie in out",
        ),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as raised:
        call()
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("change", [{"discount": "0.9"}, {"steps": 5}])
def test_what_is_refused_leaves_no_folder(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^(discount|evaluations) must "):
        train(MFQ, GAME, [0], **{**SMALL, **change}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_class_that_workers_cannot_find_runs_here_or_is_refused() -> None:
    class Inner(IL):
        pass

    with pytest.raises(ValueError, match=r"^execution: got workers 2, but other processes .*Inner, which"):
        train(Inner, GAME, [0], execution=Execution(workers=2), **SMALL)
    rows = train(Inner, GAME, range(9), execution=Execution(accelerator="cpu"), **SMALL)  # of nine seeds: two jobs
    plain = train(IL, GAME, range(9), **SMALL).assign(algorithm="Inner")
    pd.testing.assert_frame_equal(rows, plain)
    assert [*rows.index] == [*range(9 * 2)]


def test_at_a_prompt_the_code_of_a_class_tells_it_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(body: str) -> type:
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(f"class Mine:\n    def act(self, x, by={body}):\n        return x + {body}", scope)
        return scope["Mine"]  # type: ignore[no-any-return]

    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    one, again, other = (sources_of([made(body)]) for body in ("1", "1", "2"))
    assert one == again != other


@pytest.mark.parametrize(
    "body",
    [
        "def act(self): return {}",
        "def act(self): return [(lambda: {})() for _ in range(2)]",
        "def act(self): return self.by_{}",
        "def act(self, by={}): return by",
        "def act(self, *, by={}): return by",
        "act = property(lambda self: {})",
        "act = classmethod(lambda self: {})",
        "act = staticmethod(lambda: {})",
        "act = {}",
        "act = [{}, max]",
        "act = {{'a': {}, 'f': max}}",
        "act = {{{}, 'a'}}",
        "act = {{'of': {{{}, 'a'}}}}",
        "act = [lambda: {}]",
        "act = range({})",
        "act = torch.tensor({})",
        "act = torch.eye({}).to_sparse()",
        "act = np.array([{}])",
        "act = (torch.relu, torch.tanh)[{} - 1]",
        "act = (math, torch)[{} - 1]",
        "act = (torch.float32, torch.float64)[{} - 1]",
        "act = Enum('Kind', {{'A': {}}}).A",
        "act = made({}).__get__(1)",
        "act = made(1).__get__({})",
        "act = Point({})",
        "act = (Point, Mapped)[{} - 1]",
        "class act((Point, Mapped)[{} - 1]): pass",
        "act = cached_property(lambda self: {})",
        "def act(self, x): return x[..., {}]",
        "def act(self, of): return of in {{{}, 'a'}}",
        "def act(self): return b'{}'",
        "def act(self, by={}, f=max): pass",
        "act = made({})",
        "act = wraps(print)(made({}))",
        "act = cache(made({}))",
        "act = no_grad()(made({}))",
        "act = (no_grad, enable_grad)[{} - 1]()(made(1))",
        "act = partial(made, max, {})",
        "class act:\n        by = {}",
    ],
)
def test_code_is_told_apart_by_all_that_it_does(body: str) -> None:
    def told(number: int) -> object:
        def made(by: int) -> Callable[[], int]:
            return lambda: by

        names: list[Any] = [
            made,
            wraps,
            cache,
            partial,
            cached_property,
            torch.no_grad,
            torch.enable_grad,
            Point,
            Mapped,
            Enum,
        ]
        scope = {"__name__": "mine", "np": np, "torch": torch, "math": math, **{each.__name__: each for each in names}}
        exec(f"class Mine:\n    {body.format(number)}", scope)
        return Identification().of(vars(scope["Mine"])["act"])

    assert told(1) == told(1) != told(2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def act(self, a): pass", "def act(self, *a): pass"),
        ("def act(self, a): pass", "def act(self, a, /): pass"),
        ("def act(self, *, a, b): return a", "def act(self, *, b, a): return a"),
        (
            "def act(self):\n        try: self.a()\n        except OSError: pass\n        else: self.b()",
            "def act(self):\n        try: self.a(); self.b()\n        except OSError: pass",
        ),
    ],
)
def test_code_is_told_apart_by_how_it_is_called_and_what_it_catches(one: str, other: str) -> None:
    def told(body: str) -> object:
        scope: dict[str, Any] = {"__name__": "mine"}
        exec(f"class Mine:\n    {body}", scope)
        return Identification().of(vars(scope["Mine"])["act"])

    assert told(one) == told(one) != told(other)


@pytest.mark.parametrize("name", ["agents", "pandas", "unused"])
def test_a_global_that_code_does_not_name_does_not_tell_it_apart(name: str) -> None:
    """An attribute may have its name."""

    def told(value: object) -> object:
        scope: dict[str, Any] = {"__name__": "mine", name: value}
        exec("class Mine:\n    def act(self): return self.environment.agents + self.pandas", scope)
        return Identification().of(scope["Mine"])

    assert told(1) == told(2)


CODE = """
import sys
sys.modules["__main__"].__dict__.pop("__file__", None)
import numpy as np
import pandas as pd
from pandas import DataFrame, read_csv
from mfmarl.jobs.digests import sources_of
class A:
    pass
class B:
    def of(self): return A
class Mine:
    either = {A, B, "a", "b"}
    def act(self): return read_csv, DataFrame, pd, {A, B}, Mine
class Mine(Mine):
    pass
print(sources_of([Mine]))
"""


def test_a_class_is_told_alike_in_every_process() -> None:
    def told(seed: str) -> str:
        path = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
        return subprocess.run([sys.executable, "-c", CODE], env=path, capture_output=True, text=True, check=True).stdout

    first = told("1")
    assert "__main__.Mine" in first
    assert told("2") == first


def test_whatever_a_class_names_it_is_told() -> None:
    class Unreadable:
        def __repr__(self) -> str:
            raise AttributeError

    itself: list[Any] = []
    itself.append(itself)
    chain: Any = 1
    for _ in range(2000):
        chain = [chain]
    odd = [itself, chain, Unreadable(), torch.empty(2, device="meta")]
    cls = type("Mine", (), {f"at_{number}": each for number, each in enumerate(odd)})
    assert sources_of([cls]) == sources_of([cls])


def test_one_class_of_a_file_is_told_apart_by_the_values_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(by: int) -> type:
        class Mine:
            step = 1

            def act(self) -> int:
                return by * FACTOR

            def twice(self) -> int:
                return 2 * self.act() + len(Mine.__name__)

        return Mine

    one, first = made(1), sources_of([made(1)])
    assert sources_of([one]) == first
    assert sources_of([made(2)]) != first
    monkeypatch.setattr(one, "step", 2)
    assert sources_of([one]) != first
    monkeypatch.setattr(one, "step", 1)
    assert sources_of([one]) == first
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 4)
    assert sources_of([one]) != first


def test_the_file_of_a_custom_game_and_the_modules_beside_it_tell_jobs_apart(tmp_path: Path) -> None:
    def found(best: str, more: str = "") -> dict[str, str]:
        (tmp_path / "game_best.py").write_text(f"BEST = {best}")
        (tmp_path / "game.py").write_text(f"from game_best import BEST\nclass Game:\n    best = BEST\n{more}")
        return sources_of([class_in_file("game", f"{tmp_path / 'game.py'}:Game", object)])

    first = found("3")
    assert set(first) == {"mfmarl_custom_game.Game", "game_best"}
    assert found("3") == first
    assert found("4") != first
    assert found("3", "# edited") != first


def test_a_script_of_own_games_needs_a_guard_and_is_told_so(tmp_path: Path) -> None:
    script = (
        "from dataclasses import dataclass\nfrom pathlib import Path\n"
        "from mfmarl import Execution, GaussianSqueeze, TrainingJob, launch\n"
        "@dataclass(frozen=True)\nclass Own(GaussianSqueeze):\n    pass\n"
        "data = {'steps': 2, 'evaluations': 1, 'samples_per_update': 4}\n"
        "games = {'a': GaussianSqueeze(4), 'b': Own(4)}\n"
        "jobs = [TrainingJob(name, {'algorithm': 'il'}, 'il', games[name], (0,), {}, data) for name in games]\n"
        "if %s: launch(jobs, Path('out'), Execution(workers=2, accelerator='cpu'))\n"
    )

    def ended(guard: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "script.py").write_text(script % guard)
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "script.py"]
        return subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False, timeout=120)

    unguarded = ended("True")
    assert unguarded.returncode == 1
    told = 'exit code 1: it imports this script, whose work must stand under `if __name__ == "__main__":`'
    assert told in unguarded.stderr
    guarded = ended("__name__ == '__main__'")
    assert guarded.returncode == 0, guarded.stderr


def test_an_exception_is_raised_as_it_is() -> None:
    class Broken(IL):
        def observe(self, actions: Tensor, reward: Tensor) -> None:
            raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match=r"^here$"):
        train(Broken, GAME, [0], **SMALL)


def test_progress_is_shown_to_the_patient_only_of_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    job = TrainingJob("job", {}, "il", GAME, (0,), {}, SMALL)
    with Progress([job], [], patient=True) as bar:
        bar.update(job, 100)
    assert stream.getvalue() == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with Progress([job], [], patient=True) as bar:
        bar.update(job, 100)
        monkeypatch.setattr(progress, "LINE_SECONDS", 60.0)
        bar.update(job, 200)
    assert [line[:5] for line in stream.getvalue().splitlines()] == [" 50% ", "100% "], "and how it ends"
    assert "50%  100 of 200 agent-steps" in stream.getvalue()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda loss: loss[0],
            r"losses must be a list of 1, .* an optimizer, got a tensor \[2\] without",
        ),
        (lambda loss: loss * 2, r"losses must be a list of 1, .*, got a list of 2"),
        (lambda loss: [loss[0].mean()], r"losses: number 0 must be of shape \[2\], a loss a seed, got \[\]"),
        (lambda loss: [1.0], r"losses: number 0 must be of shape \[2\], a loss a seed, got float"),
        (lambda loss: [loss[0].detach()], "losses: number 0 must depend on what is trained"),
    ],
)
def test_wrong_losses_are_refused_in_one_line(made: Callable[[Any], Any], message: str) -> None:
    class Wrong(MFQ):
        def losses(self, batch: Any) -> Any:
            return made(super().losses(batch))

    with pytest.raises(ValueError, match=f"^{message}"):
        train(Wrong, GAME, range(2), **SMALL)


def test_a_wrong_loss_of_battle_is_refused() -> None:
    class Wrong(BattleMFQ):
        def loss(self, batch: Any) -> Tensor:
            return super().loss(batch).view(1)

    with pytest.raises(ValueError, match=r"^losses: number 0 must be a scalar, got \[1\]$"):
        train(Wrong, Battle(8, max_steps=20), [0], steps=1, evaluations=1)


def test_equations_refuse_what_they_are_not_defined_for() -> None:
    values = torch.zeros(2, 3)
    for function in (mfmarl.boltzmann_policy, mfmarl.boltzmann_value):
        for temperature in (-1.0, float("nan")):
            with pytest.raises(ValueError, match=rf"^temperature must be at least 0, got {temperature}$"):
                function(values, temperature)
    with pytest.raises(ValueError, match=r"^agents must be at least 2, since .*, got 1$"):
        mfmarl.mean_action(torch.zeros(1, dtype=torch.int64), torch.ones(1, 3), agents=1)
    with pytest.raises(ValueError, match=r"^agents must be at least 2, since .*, got 1$"):
        mfmarl.mean_policy(torch.ones(1, 3))


class Nudged(MFQ):
    """A custom class in a file."""


@pytest.mark.parametrize("cls", [MFQ, Nudged])
def test_trained_agents_are_returned_on_request(cls: type[MFQ], tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"steps": 20, "evaluations": 2, "learning_rate": 1e-2, "samples_per_update": 8}
    game = GaussianSqueeze(8, 36.0, 18.0)
    rows, agents = train(cls, game, range(10), keep=True, **arguments)
    assert rows.equals(train(cls, game, range(10), **arguments))
    assert [agent.seeds for agent in agents] == [tuple(range(8)), (8, 9)]
    assert all(type(agent) is cls for agent in agents)
    start = cls(game, range(8), learning_rate=1e-2)
    assert not torch.equal(agents[0].network.identity, start.network.identity)
    _, again = train(cls, game, range(10), keep=True, out=tmp_path, **arguments)
    assert torch.equal(again[1].network.identity, agents[1].network.identity)


def test_trained_armies_and_spins_are_returned_on_request() -> None:
    _, [army] = train("mf-q", Battle(8), [0], steps=1, evaluations=1, keep=True)
    assert isinstance(army, Policy)
    _, [spins] = train("mf-q", Ising(4), [0, 1], temperatures=(1.0,), steps=4, evaluations=1, keep=True)
    assert spins.q_table.any()


@pytest.mark.parametrize(
    ("algorithm", "game", "more"),
    [(MFQ, GAME, SMALL), (BattleMFQ, Battle(2), {"steps": 1, "evaluations": 1}), ("ac", GAME, SMALL)],
)
def test_what_an_algorithm_refuses_is_refused_before_there_are_folders(
    algorithm: Any, game: Any, more: dict[str, Any], tmp_path: Path
) -> None:
    rate = "actor_learning_rate" if algorithm == "ac" else "learning_rate"
    with pytest.raises(ValueError, match=f"^{rate} must be positive and finite, got -1.0$"):
        train(algorithm, game, [0], out=tmp_path / "out", **{**more, rate: -1.0})
    assert not (tmp_path / "out").exists()


def test_what_no_file_could_hold_is_refused_before_training() -> None:
    class Local(MFQ):
        """Inside a function."""

    class Locally(EpsilonGreedy):
        """Likewise."""

    def kept(cls: type[MFQ], **more: Any) -> None:
        train(cls, GaussianSqueeze(8), [0], steps=4, evaluations=1, samples_per_update=8, keep=True, **more)

    with pytest.raises(ValueError, match=r"keep: no file can hold a trained Local: class .*Local must be at the top"):
        kept(Local)
    with pytest.raises(ValueError, match=r"keep: no file can hold a trained MFQ: .*Locally must be at the top"):
        kept(MFQ, exploration=Locally(0.5, 0.1))

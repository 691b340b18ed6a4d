"""Mistakes of those who write a method, a network or a call of their own: one line each, and nothing silent."""

import warnings
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from mfmarl import (
    AC,
    MFQ,
    Battle,
    BattleAC,
    BattleIL,
    BattleMFQ,
    Boltzmann,
    EpsilonGreedy,
    Execution,
    GaussianSqueeze,
    Ising,
    LatticeAgent,
    Neighbourhood,
    Policy,
    ReplayDataModule,
    TabularMFQ,
    load_agent,
    train,
)
from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.actor_critic import MAAC
from mfmarl.algorithms.descent import check_independent
from mfmarl.algorithms.q_learning import IL
from mfmarl.algorithms.stateless import StatelessAgent
from mfmarl.data.neighbourhood import Graph, Noise
from mfmarl.networks.stacked import Copies
from mfmarl.tournament.fights import fight
from tests.support import same

GAME = GaussianSqueeze(10)
SHORT: dict[str, Any] = {"steps": 20, "evaluations": 2, "batch_size": 10, "samples_per_update": 50}


def test_a_constructor_that_forgets_its_parents_is_told() -> None:
    class Forgets(MFQ):
        def __init__(self, *_: Any, **__: Any) -> None:
            self.mine = 1

    class CallsTorchAlone(MFQ):
        def __init__(self, *_: Any, **__: Any) -> None:
            nn.Module.__init__(self)

    for cls in (Forgets, CallsTorchAlone):
        with pytest.raises(
            ValueError, match=rf"^{cls.__name__}.__init__ must call super\(\).__init__\(environment, seeds"
        ):
            train(cls, GAME, [0], **SHORT)


def test_a_network_of_another_width_is_told_what_it_gets() -> None:
    class Narrow(MFQ):
        def make_network(self, *_: Any) -> nn.Module:
            return Copies(lambda: nn.Linear(7, 10), 10, self.start_generators)

    with pytest.raises(
        ValueError, match=r"^network must take \[10, 20\], one-hot ids and then the features, but: mat1"
    ):
        train(Narrow, GAME, [0], **SHORT)


def squeeze(choose: Callable[[Tensor], Any]) -> type[IL]:
    class Mine(IL):
        def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Any:
            return choose(super().act(mean_action, uniform, step))

    return Mine


@pytest.mark.parametrize(
    ("choose", "got"),
    [
        (lambda actions: actions + 10, r"got 1\d \.\. 1\d"),
        (lambda actions: actions - 20, r"got -\d+ \.\. -\d+"),
        (lambda actions: actions.double(), "got torch.float64"),
        (lambda actions: actions > 5, "got torch.bool"),
        (lambda actions: actions[:1], r"got the shape \[1, 10\]"),
        (lambda actions: None, "got NoneType"),
    ],
)
def test_actions_that_are_none(choose: Callable[[Tensor], Any], got: str) -> None:
    with pytest.raises(ValueError, match=rf"^act of Mine must give whole numbers in 0 \.\. 9, \[2, 10\], {got}$"):
        train(squeeze(choose), GAME, [0, 1], **SHORT)


def test_actions_of_an_exploration_that_are_none() -> None:
    class Beyond(EpsilonGreedy):
        def choose(self, values: Tensor, uniform: Tensor, step: int) -> Tensor:
            return super().choose(values, uniform, step) + 10

    with pytest.raises(
        ValueError, match=r"^act of IL with Beyond must give whole numbers in 0 \.\. 9, \[2, 10\], got 1\d"
    ):
        train(IL, GAME, [0, 1], exploration=Beyond(0.1, 0.1), **SHORT)


def test_random_actions_of_an_army_that_are_none() -> None:
    class Beyond(EpsilonGreedy):
        def explore(self, uniform: Tensor, step: int, actions: int) -> Tensor:
            return torch.full_like(uniform, actions, dtype=torch.int64)

    with pytest.raises(
        ValueError, match=r"^act of BattleMFQ with Beyond must give .* 0 \.\. 20, \[\d+\], got 21 \.\. 21$"
    ):
        train(BattleMFQ, Battle(4), [0], steps=1, evaluations=1, exploration=Beyond(1.0, 0.1))


def test_greedy_actions_that_are_none() -> None:
    class Mine(IL):
        def act_greedily(self, mean_action: Tensor | None) -> Tensor:
            return super().act_greedily(mean_action) + 10

    with pytest.raises(
        ValueError, match=r"^act of Mine must give whole numbers in 0 \.\. 9, \[2, 10\], got 1\d \.\. 1\d$"
    ):
        train(Mine, GAME, [0, 1], **SHORT)


@pytest.mark.parametrize("spin", [0, 3])
def test_spins_that_are_none(spin: int) -> None:
    class Mine(TabularMFQ):
        def act(self, site: Tensor, neighbours: Tensor, own: Tensor, uniform: Tensor, step: int) -> Tensor:
            return torch.full_like(own, spin)

    with pytest.raises(
        ValueError, match=rf"^act of Mine must give whole numbers in -1 \.\. 1, .*, got {spin} \.\. {spin}$"
    ):
        train(Mine, Ising(4), [0], steps=2, evaluations=1, temperatures=[1.0])


def test_one_action_for_a_whole_army() -> None:
    class Mine(BattleMFQ):
        def act(self, army: int, view: Tensor, feature: Tensor, mean: Tensor, uniform: Tensor, step: int) -> Tensor:
            return torch.zeros(1, dtype=torch.int64)

    with pytest.raises(
        ValueError, match=r"^act of Mine must give whole numbers in 0 \.\. 20, \[4\], got the shape \[1\]$"
    ):
        train(Mine, Battle(4), [0], steps=1, evaluations=1)


def test_mf_q_without_the_mean_action() -> None:
    class Blind(MFQ):
        uses_mean_action = False

    with pytest.raises(ValueError, match=r"^uses_mean_action of Blind must be True, got False: without it extend IL$"):
        Blind(GaussianSqueeze(4), (0,))


def test_one_network_made_outside_for_all_seeds() -> None:
    network = nn.Linear(10, 10)
    generators = [torch.Generator(), torch.Generator()]
    with pytest.raises(ValueError, match=r"^make must build a new network at every call, got the same one twice$"):
        Copies(lambda: network, 10, generators)


@pytest.mark.parametrize("name", ["neighbourhood", "stored_mean_action"])
def test_a_neighbourhood_that_a_method_never_reads(name: str) -> None:
    value: Any = Noise() if name == "neighbourhood" else "noise"
    with pytest.raises(ValueError, match=f"^{name}: got one for IL, which sees no mean action: leave it out$"):
        train(IL, GAME, [0], **SHORT, **{name: value})


class Wide(MFQ):
    """Its network gives two numbers more than there are actions."""

    def make_network(self, *_: Any) -> nn.Module:
        return Copies(lambda: nn.Linear(20, 12), 10, self.start_generators)


class Narrow(AC):
    """Its critic gives one number less."""

    def make_critic(self, *_: Any) -> nn.Module:
        return Copies(lambda: nn.Linear(10, 9), 10, self.start_generators)


class Counts(nn.Module):
    """Gives one number more than Battle has actions."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(34, 22)

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        values: Tensor = self.layer(feature)
        return values


class WideArmy(BattleAC):
    """Its networks are those."""

    def make_network(self) -> nn.Module:
        return Counts()


@pytest.mark.parametrize(
    ("cls", "game", "shapes"),
    [
        (Wide, GAME, r"\[1, 10, 10\], a number an action, got \[1, 10, 12\]"),
        (Narrow, GAME, r"\[1, 10, 10\], a number an action, got \[1, 10, 9\]"),
        (WideArmy, Battle(4, max_steps=10), r"\[4, 21\], a number an action, got \[4, 22\]"),
    ],
)
def test_a_network_that_gives_other_numbers_than_actions(cls: Any, game: Any, shapes: str) -> None:
    few = {"steps": 1, "evaluations": 1} if isinstance(game, Battle) else SHORT
    with pytest.raises(ValueError, match=f"^network must give {shapes}$"):
        train(cls, game, [0], **few)


def bad(function: Any, *arguments: Any, **named: Any) -> Callable[[], object]:
    """A call whose types are wrong on purpose."""
    return partial(function, *arguments, **named)


class StillArmy(BattleMFQ):
    """Stays where it is."""

    def act(self, army: int, view: Tensor, feature: Tensor, mean: Tensor, uniform: Tensor, step: int) -> Tensor:
        return torch.full((len(view),), 6)


class Untold:
    """An exploration that is no dataclass."""

    def temperature(self, step: int) -> float:
        return 0.0

    def choose(self, values: Tensor, uniform: Tensor, step: int) -> Tensor:
        return values.argmax(-1)


EPSILON = r"^exploration must be one such as EpsilonGreedy\(1\.0, 0\.05, 2000\), got "
WIDTHS = r"^hidden must be widths such as \(32, 32\), or None for a table, got 32$"
CLASSES = r"^classes must be a list of classes, got a class: classes=\[Wide\]$"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (bad(train, MFQ, GAME, [0], **{**SHORT, "steps": "10"}), r"^steps must be a whole number, got '10'$"),
        (bad(train, MFQ, GAME, [0], **{**SHORT, "steps": 20.0}), r"^steps must be a whole number .*, got 20\.0$"),
        (bad(MFQ, GAME, [0], exploration=0.1), f"{EPSILON}0.1, which lacks temperature, choose$"),
        (bad(train, MFQ, GAME, [0], **SHORT, exploration=Untold()), r"^exploration: got .*, allowed are dataclasses"),
        (bad(MFQ, GAME, [0], exploration=EpsilonGreedy), f"{EPSILON}<class"),
        (
            bad(BattleMFQ, Battle(4), [0], exploration=Boltzmann(1.0)),
            f"{EPSILON}Boltzmann.*, which lacks explore$",
        ),
        (bad(MFQ, GAME, [0], hidden=32), WIDTHS),
        (bad(AC, GAME, [0], hidden=32), WIDTHS),
        (bad(MFQ, GAME, 2), r"^seeds must be several numbers, such as range\(8\), got 2$"),
        (bad(ReplayDataModule, GAME, 2, **SHORT), r"^seeds must be several numbers, such as range\(8\), got 2$"),
        (bad(Execution, precision="16"), r"^precision: got '16', allowed is '32', '64', 'bf16-mixed', 'tf32'$"),
        (bad(Execution, workers="2"), r"^workers: got '2', allowed is 'auto' or a whole number$"),
        (bad(Execution, workers=np.int64(0)), r"^workers: got 0, allowed is 1 or more, at most 4096$"),
        (bad(Execution, workers=2.0), r"^workers: got 2\.0, allowed is a whole number$"),
        (bad(Execution, threads=np.int64(-1)), r"^threads: got -1, allowed is 1 or more, at most 4096$"),
        (bad(Execution, threads=np.float32(2.5)), r"^threads: got .*2\.5.*, allowed is a whole number$"),
        (bad(Execution, checkpoint_seconds=np.float32("nan")), r"^checkpoint_seconds: got nan, allowed is 0 or more$"),
        (bad(Execution, checkpoint_seconds=torch.tensor(-1)), r"^checkpoint_seconds: got -1\.0, allowed is 0 or more$"),
        (bad(MFQ, GAME, range(10**12)), r"^seeds must be at most 100000, got more$"),
        (bad(MFQ, GAME, count()), r"^seeds must be at most 100000, got more$"),
        (
            bad(Graph, ((float("nan"),), (0,))),
            r"^neighbours of agent 0 must be distinct numbers in 0 \.\. 1, .*\[nan\]$",
        ),
        (bad(Graph, ((1.0,), (0,))), r"^neighbours of agent 0 must be distinct numbers in 0 \.\. 1, .*\[1\.0\]$"),
        (bad(train, MFQ, GAME, [0], execution="local", **SHORT), r"^execution must be an Execution such as"),
        (bad(load_agent, "nothing", classes=Wide), CLASSES),
        (bad(MFQ.load_from_checkpoint, "nothing", classes=Wide), CLASSES),
        (bad(Policy.load, "nothing", classes=Wide), CLASSES),
        (bad(fight, "random", "rush", 1, classes=Wide), CLASSES),
        (bad(fight, "random", "rush", 1, classes=["Wide"]), r"^classes must be a list of classes, got \['Wide'\]$"),
    ],
)
def test_values_of_another_type(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_how_to_run_takes_numbers_of_numpy_and_torch() -> None:
    given = Execution(workers=np.int64(2), threads=torch.tensor(4), checkpoint_seconds=np.float32(0.5), fresh=np.True_)  # type: ignore[arg-type]
    assert given == Execution(workers=2, threads=4, checkpoint_seconds=0.5, fresh=True)
    assert [type(each) for each in (given.workers, given.threads, given.checkpoint_seconds, given.fresh)] == [
        int,
        int,
        float,
        bool,
    ]


def test_what_the_constructors_refuse_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=WIDTHS):
        train(MFQ, GAME, [0], out=tmp_path / "out", hidden=32, **SHORT)
    assert not (tmp_path / "out").exists()


def test_a_trained_agent_is_no_army_yet() -> None:
    with pytest.raises(ValueError, match=r"^army must be a Policy, .*, got a BattleIL: save a trained agent"):
        fight(BattleIL(Battle(2), [0]), "random", 1)  # type: ignore[arg-type]


def test_a_kept_agent_is_saved_in_a_folder_that_is_made_and_loaded(tmp_path: Path) -> None:
    _, (agent,) = train(MFQ, GAME, [0, 1], keep=True, **SHORT)
    agent.save(f"{tmp_path}/new/folder")
    again = load_agent(tmp_path / "new/folder/agent.safetensors")
    assert same(again.state_dict(), agent.state_dict())


def test_an_army_is_saved_where_a_text_says(tmp_path: Path) -> None:
    for cls in (BattleAC, StillArmy):
        _, (army,) = train(cls, Battle(4, max_steps=5), [0], steps=1, evaluations=1, keep=True)
        army.save(f"{tmp_path}/{cls.__name__}.safetensors")
        assert same(Policy.load(f"{tmp_path}/{cls.__name__}.safetensors", classes=[cls]).about, army.about)


@pytest.mark.parametrize("precision", ["64", "bf16-mixed"])
@pytest.mark.parametrize("name", sorted(ALGORITHMS["stateless"]))
def test_every_method_trains_in_every_precision(name: str, precision: Any) -> None:
    curves = train(algorithm_class(name), GAME, [0, 1], execution=Execution(workers=1, precision=precision), **SHORT)
    assert len(curves) == 4


def test_what_another_family_calls_is_not_passed_over_in_silence() -> None:
    class Lost(MFQ):
        def loss(self, batch: object) -> None: ...

    class Netless(AC):
        def make_network(self) -> None: ...

    class Own(MFQ):
        def loss(self, batch: object) -> None: ...
        def losses(self, batch: Any) -> list[Tensor]:
            return super().losses(batch)

    with pytest.raises(ValueError, match=r"^Lost: loss is never called, MFQ calls losses$"):
        Lost(GAME, [0])
    with pytest.raises(ValueError, match=r"^Netless: make_network is never called, AC calls make_critic$"):
        Netless(GAME, [0])
    Own(GAME, [0])


def test_a_constructor_that_names_the_game_otherwise_is_refused_before_training() -> None:
    """A saved agent could not be created again."""

    class Renamed(MFQ):
        def __init__(self, game: Any, seeds: Any, **others: Any) -> None:
            super().__init__(game, seeds, **others)

    class Passing(MFQ):
        def __init__(self, *arguments: Any, **others: Any) -> None:
            super().__init__(*arguments, **others)

    with pytest.raises(ValueError, match=r"^Renamed: the constructor must take environment and seeds first, got game$"):
        train(Renamed, GAME, [0], keep=True, **SHORT)
    Passing(GAME, [0])


def test_what_creates_no_network_is_refused() -> None:
    class Missing(IL):
        def make_network(self, *_: Any) -> Any:
            return None

    class Plain(MAAC):
        def make_critic(self, *_: Any) -> Any:
            return torch.nn.Linear(2, 1)

    class Unarmed(BattleMFQ):
        def make_network(self) -> Any:
            return [1]

    with pytest.raises(ValueError, match=r"^make_network of Missing must return a Module, got NoneType$"):
        Missing(GAME, [0])
    with pytest.raises(ValueError, match=r"^make_critic of Plain must return a JointCritic, got Linear$"):
        Plain(GAME, [0])
    with pytest.raises(ValueError, match=r"^make_network of Unarmed must return a Module, got list$"):
        Unarmed(Battle(4), [0])


def test_what_a_method_lacks_is_named() -> None:
    class Idle(StatelessAgent):
        def configure_optimizers(self) -> Any:
            return []

    for name, call in {
        "act": lambda: Idle(GAME, [0]).act(None, torch.zeros(1, 10), 0),
        "act_greedily": lambda: Idle(GAME, [0]).act_greedily(None),
        "losses": lambda: Idle(GAME, [0]).losses(cast(Any, None)),
    }.items():
        with pytest.raises(NotImplementedError, match=rf"^Idle must define {name}$"):
            call()  # type: ignore[no-untyped-call]


def plain_trainer(**changes: Any) -> pl.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(max_epochs=-1, accelerator="cpu", **quiet, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_draws_from_torchs_global_generator_are_warned_of(drop: float) -> None:
    class Dropping(IL):
        def make_network(self, *_: Any) -> torch.nn.Module:
            def make() -> torch.nn.Module:
                return torch.nn.Sequential(torch.nn.Linear(10, 10), torch.nn.Dropout(drop))

            return Copies(make, 10, self.start_generators)

    agent, data = Dropping(GAME, [0]), ReplayDataModule(GAME, [0], **SHORT)
    trainer = plain_trainer()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        trainer.fit(agent, datamodule=data)
    told = [str(each.message) for each in found if "global generator" in str(each.message)]
    assert len(told) == (drop > 0)
    assert all(each.startswith("Dropping draws from torch's global generator, as dropout does") for each in told)


@pytest.mark.parametrize("precision", ["16-true", "bf16-true"])
def test_weights_in_half_precision_are_refused(precision: Any) -> None:
    trainer = plain_trainer(precision=precision)
    with pytest.raises(ValueError, match=rf"^precision must be 32-true, 64-true, .*, got {precision}$"):
        trainer.fit(IL(GAME, [0]), datamodule=ReplayDataModule(GAME, [0], **SHORT))


def test_a_hook_of_lightnings_own_steps_is_refused() -> None:
    class Clipping(MFQ):
        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None: ...

    class Stepping(Clipping):
        def training_step(self, experience: Any, batch_idx: int) -> None: ...

    Stepping(GAME, [0])
    with pytest.raises(
        ValueError, match=r"^Clipping: on_before_optimizer_step is never called, gradient steps are made"
    ):
        Clipping(GAME, [0])


def test_arguments_that_are_no_fields_are_refused_for_they_would_tell_no_jobs_apart(tmp_path: Path) -> None:
    class Faded(Neighbourhood):
        def __init__(self, rate: float) -> None:
            super().__init__()
            vars(self)["rate"] = rate

    with pytest.raises(ValueError, match=r"^Faded must be a dataclass itself"):
        train(MFQ, GAME, [0], neighbourhood=Faded(0.5), out=tmp_path / "out", **SHORT)


def test_seeds_that_share_a_single_number_are_refused() -> None:
    class Shared(MFQ):
        def __init__(self, environment: Any, seeds: Any) -> None:
            super().__init__(environment, seeds)
            self.factor = torch.nn.Parameter(torch.ones(()))

        def losses(self, batch: Any) -> list[Tensor]:
            return [self.factor * super().losses(batch)[0]]

    with pytest.raises(ValueError, match=r"^losses: all seeds share factor"):
        train(Shared, GAME, range(2), steps=600, evaluations=1)


@pytest.mark.parametrize(("seed", "of"), [(0, 1), (0, 2), (1, 0), (1, 2)])
def test_one_seed_that_depends_on_the_part_of_another_is_refused(seed: int, of: int) -> None:
    """Each seed on its own part alone is right, also where a part is not used."""
    parts, mixed = torch.ones(3, 2, requires_grad=True), torch.eye(3)
    named = {"parts": parts, "unused": torch.ones(3, requires_grad=True)}
    assert check_independent([(mixed @ parts)[:, 0] + parts[:, 1]], named)
    mixed[seed, of] = 0.5
    with pytest.raises(ValueError, match=r"^losses: all seeds share parts"):
        check_independent([(mixed @ parts)[:, 0] + parts[:, 1]], named)


def test_a_gradient_of_zero_or_nan_does_not_tell_whether_seeds_share_a_parameter() -> None:
    factor, parts = torch.zeros((), requires_grad=True), torch.ones(3, requires_grad=True)
    named = {"factor": factor, "parts": parts}
    assert not check_independent([parts + factor.square()], named)
    assert not check_independent([torch.nan * parts * factor], named)
    assert check_independent([parts + factor.detach()], named)
    with torch.no_grad():
        factor += 1
    with pytest.raises(ValueError, match=r"^losses: all seeds share factor"):
        check_independent([parts + factor.square()], named)


def test_seeds_that_share_a_parameter_from_the_second_round_on_are_refused() -> None:
    class Late(MFQ):
        def __init__(self, environment: Any, seeds: Any) -> None:
            super().__init__(environment, seeds)
            self.factor = torch.nn.Parameter(torch.ones(()))

        def losses(self, batch: Any) -> list[Tensor]:
            return [(1 + float(self.step > 50) * self.factor) * super().losses(batch)[0]]

    with pytest.raises(ValueError, match=r"^losses: all seeds share factor"):
        train(Late, GAME, range(2), steps=600, evaluations=6)


def test_spins_without_act_say_what_they_lack() -> None:
    class Idle(LatticeAgent): ...

    with pytest.raises(NotImplementedError, match=r"^Idle must define act$"):
        train(Idle, Ising(4), [0], temperatures=1.0, steps=4, evaluations=2)

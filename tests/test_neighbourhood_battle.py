"""Neighbourhoods in Battle: an army learns, and fights wherever it fights, under its own."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Generator, Tensor

from mfmarl import Army, Battle, BattleIL, BattleMFAC, BattleMFQ, Graph, JointStep, Neighbourhood, Noise, fight, train
from mfmarl.algorithms.battle_released import ReleasedMFAC
from mfmarl.custom import class_in_file
from mfmarl.data.army_replay import ArmyReplay
from mfmarl.data.battle_round import play_round
from mfmarl.data.self_play import SelfPlayDataModule
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.recorded import play
from mfmarl.jobs.armies import policy_path
from mfmarl.policies import Acting, Policy
from mfmarl.tournament.jobs import duel_job, lock_steps
from mfmarl.tournament.recording import record
from mfmarl.tournament.schedule import schedule
from mfmarl.values import read_weights
from tests.support import done

GAME = Battle(4, max_steps=12)
RUNNING: dict[str, Any] = {"steps": 2, "evaluations": 1, "batch_size": 8, "samples_per_update": 8}
STAY = 6  # the middle of the 13 moves
EXAMPLE = f"{Path(__file__).parents[1] / 'examples/my_neighbourhood.py'}:ExponentialAverage"
ExponentialAverage = class_in_file("neighbourhood", EXAMPLE, Neighbourhood)
RING = Graph(((3, 1), (0, 2), (1, 3), (2, 0)))


@dataclass(frozen=True)
class Same(Army):
    """Finds what Army does, in another class."""


@dataclass(frozen=True)
class Shaken(Army):
    """Draws a number a battle, and adds it."""

    def draws(self, agents: int, actions: int) -> int:
        return 1

    def mean_action(self, step: JointStep) -> Tensor:
        return super().mean_action(step) + step.uniform.unsqueeze(-1)


@dataclass(frozen=True)
class Points(Neighbourhood):
    """Gives all weight to one action, whatever anybody does."""

    action: int = STAY

    def mean_action(self, step: JointStep) -> Tensor:
        pointed = torch.zeros(*step.actions.shape, step.action_count)
        pointed[..., self.action] = 1
        return pointed


class Follows(BattleMFQ):
    """Takes the action that the mean action is highest at."""

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        return mean_action.argmax(-1)


class Watching(BattleMFQ):
    """Notes what its army acts under, by the round's step."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.acted: list[tuple[Tensor, Tensor]] = []

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        actions = super().act(army, view, feature, mean_action, uniform, step)
        if not army:
            self.acted.append((mean_action, actions))
        return actions


def army_of(out: Path, name: str = "mf-q") -> Path:
    return policy_path(out, GAME.agents, name, 0)


@pytest.mark.parametrize("neighbourhood", [Neighbourhood(), ExponentialAverage(), RING, Noise()])
def test_the_army_learns_from_the_mean_action_that_it_acted_under(neighbourhood: Neighbourhood) -> None:
    agent = Watching(GAME, [0], neighbourhood=neighbourhood)
    data = SelfPlayDataModule(GAME, [0], neighbourhood=neighbourhood, steps=1, evaluations=1, samples_per_update=10**6)
    list(data.play(agent))
    replay = data._replay.of(agent)
    stored = replay.transitions(torch.arange(len(replay)))
    assert torch.equal(stored.mean_action, torch.cat([mean for mean, _ in agent.acted]))
    assert torch.equal(stored.action, torch.cat([actions for _, actions in agent.acted]))
    assert not stored.mean_action[: GAME.agents].any(), "zero in the first step"
    assert all(len(mean) == GAME.agents for mean, _ in agent.acted), "nobody dies in so few steps"
    assert torch.equal(stored.next_mean_action[: -GAME.agents], stored.mean_action[GAME.agents :])
    assert stored.next_mean_action[-GAME.agents :].any(), "known after the last step too"


def test_an_average_goes_on_from_step_to_step_and_anew_in_each_round() -> None:
    slow = ExponentialAverage(rate=0.25)  # type: ignore[call-arg]
    agent = Watching(GAME, [0], neighbourhood=slow)
    data = SelfPlayDataModule(GAME, [0], neighbourhood=slow, steps=2, evaluations=1, samples_per_update=10**6)
    for _ in range(2):
        agent.acted.clear()
        list(data.play(agent))
        mean = None
        for (_, actions), (following, _) in zip(agent.acted, agent.acted[1:], strict=False):
            one_hot = torch.nn.functional.one_hot(actions, 21).float()
            now = (one_hot.sum(0) - one_hot) / (GAME.agents - 1)
            mean = now if mean is None else 0.75 * mean + 0.25 * now
            torch.testing.assert_close(following, mean)


@pytest.mark.parametrize("cls", [BattleMFQ, BattleMFAC, ReleasedMFAC])
def test_what_is_stored_of_another_class_is_what_is_counted_of_army(cls: Any, tmp_path: Path) -> None:
    running = RUNNING if cls is not ReleasedMFAC else {"steps": 2, "evaluations": 1}
    plain = train(cls, GAME, [0], out=tmp_path / "plain", **running)
    same = train(cls, GAME, [0], out=tmp_path / "same", neighbourhood=Same(), **running)
    assert plain.equals(same)
    weights = [next((tmp_path / each / "policies").iterdir()) for each in ("plain", "same")]
    (about, first), (_, second) = (read_weights(path, "policy") for path in weights)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert "neighbourhood" not in about


def test_who_sees_no_mean_action_takes_no_neighbourhood(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^neighbourhood: got one for BattleIL, which sees no mean action"):
        train(BattleIL, GAME, [0], out=tmp_path, neighbourhood=Noise(), **RUNNING)
    assert list(tmp_path.iterdir()) == []


def test_draws_come_after_those_of_the_actions_and_army_0_first() -> None:
    battles, chance, expected = Battles(GAME), Generator().manual_seed(1), Generator().manual_seed(1)
    battles.reset([Generator().manual_seed(0)])
    seen: list[Tensor] = []
    drawn: list[Tensor] = []

    def act(observed: Any, mean_actions: Tensor) -> Tensor:
        seen.append(mean_actions.amax(-1)[0, :, 0] if seen else torch.zeros(2))
        drawn.append(torch.rand(3, generator=chance))
        return torch.full((1, 2, GAME.agents), STAY)

    _, last = play_round(battles, act, neighbourhoods=(Shaken(), Shaken()), generators=[chance])
    for own, following in zip(drawn, [*seen[1:], last.amax(-1)[0, :, 0]], strict=True):
        assert torch.equal(own, torch.rand(3, generator=expected))
        armies = [1 + torch.rand(1, generator=expected) for _ in range(2)]
        assert torch.equal(following, torch.cat(armies))


@pytest.mark.parametrize("neighbourhood", [Noise(), ExponentialAverage(), RING])
def test_a_trained_army_fights_under_the_neighbourhood_of_its_training(
    neighbourhood: Neighbourhood, tmp_path: Path
) -> None:
    train(BattleMFQ, GAME, [0], out=tmp_path, neighbourhood=neighbourhood, **RUNNING)
    army = Policy.load(army_of(tmp_path), classes=[ExponentialAverage])
    assert army.neighbourhood == neighbourhood
    other = Policy(army.network, army.acting, army.about, uses_mean_action=True)
    rows = fight(army_of(tmp_path), "random", 4, environment=GAME, evaluation="sampled", classes=[ExponentialAverage])
    assert rows.equals(fight(army, "random", 4, environment=GAME, evaluation="sampled"))
    means = [means_of(each) for each in (army, other)]
    assert not torch.equal(*means), "army by army"
    assert not means[0][0].any()
    army.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == army_of(tmp_path).read_bytes()


def means_of(army: Policy) -> Tensor:
    """The mean actions that an army acts under in a fight: `[steps, battles, agents, 21]`."""
    seen: list[Tensor] = []

    class Spy(Policy):
        def act(self, *arguments: Any) -> Tensor:
            seen.append(arguments[3])
            return super().act(*arguments)

    random = Acting("epsilon", 1.0)
    spy = Spy(army.network, random, army.about, uses_mean_action=True, neighbourhood=army.neighbourhood)
    fight(spy, "rush", 4, environment=GAME, evaluation="sampled")
    return torch.stack(seen[: GAME.max_steps])


@pytest.mark.parametrize(("neighbourhood", "stays"), [(Points(), True), (Points(0), False), (Army(), False)])
def test_who_follows_the_mean_action_stays_where_it_says_so(
    neighbourhood: Neighbourhood, stays: bool, tmp_path: Path
) -> None:
    train(Follows, GAME, [0], out=tmp_path, neighbourhood=neighbourhood, **RUNNING)
    army = str(army_of(tmp_path, "Follows"))
    film = [*play(record(GAME, (army, army), "sampled", 0, [Follows, Points]))]
    _, second, *later = [frame.units.positions for frame in film]
    assert all(positions.equal(second) for positions in later) == stays


MINE = """
from dataclasses import dataclass

import torch

from mfmarl import BattleMFQ, Neighbourhood


@dataclass(frozen=True)
class Mine(Neighbourhood):
    def mean_action(self, step):
        pointed = torch.zeros(*step.actions.shape, step.action_count)
        pointed[..., 6] = 1
        return pointed


class Stays(BattleMFQ):
    def act(self, army, view, feature, mean_action, uniform, step):
        return mean_action.argmax(-1)


class Plain(BattleMFQ):
    pass
"""


@pytest.mark.parametrize("method", ["Stays", "Plain"])
def test_a_duel_knows_the_neighbourhood_from_the_file_of_the_method(method: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    name = f"{file}:{method}"
    mine: Any = class_in_file("neighbourhood", f"{file}:Mine", Neighbourhood)
    train(name, GAME, [0], out=tmp_path, neighbourhood=mine(), **RUNNING)
    path = army_of(tmp_path, method)
    fixtures = schedule((name, "random"), {name: [0]}, 4)
    job = duel_job([*lock_steps(fixtures)], GAME, lambda *_: path)
    rows = done(job, tmp_path / "job")
    assert job.armies[f"{name} 0"].custom == name
    if method == "Stays":
        assert (rows["reward"] <= -0.005 * rows["steps"]).all(), "who does not move hits nobody"
    first = job.fingerprint
    file.write_text(MINE + "# another\n")
    assert job.fingerprint != first
    with pytest.raises(ValueError, match="needs the class"):
        duel_job([*lock_steps(schedule(("mine", "rush"), {"mine": [0]}, 4))], GAME, lambda *_: path).check()


def test_a_class_must_be_given_and_no_file_is_run_that_a_header_names(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text(Path(EXAMPLE.rpartition(":")[0]).read_text())
    slow: Any = class_in_file("neighbourhood", f"{file}:ExponentialAverage", Neighbourhood)
    train(BattleMFQ, GAME, [0], out=tmp_path, neighbourhood=slow(0.5), **RUNNING)
    file.write_text("raise SystemExit('run')")
    message = rf"^policy: .* needs the class {file}:ExponentialAverage, which must be given: in Python by classes=\["
    for classes in ([], [Points]):
        with pytest.raises(ValueError, match=message):
            fight(army_of(tmp_path), "rush", 1, classes=classes)
    assert Policy.load(army_of(tmp_path), classes=[slow]).neighbourhood == slow(0.5)


@dataclass(frozen=True)
class Undefined(Army):
    """Divides by the number of the living."""

    def mean_action(self, step: JointStep) -> Tensor:
        total = self.total(step).float()
        return (total / total.sum(-1, keepdim=True)).unsqueeze(-2)


@pytest.mark.parametrize(
    ("neighbourhood", "message"),
    [
        ("army", "neighbourhood must be a Neighbourhood such as Graph(...), got 'army'"),
        (Graph(((1,), (0,))), "neighbours must be of 4 agents, got those of 2"),
        (Army(same_step=True), "neighbourhood: same_step must be False in Battle, got True"),
        (Undefined(), "mean_action of Undefined must be finite, got NaN or infinity with 0 agents"),
    ],
)
def test_bad_ones_are_refused_before_training(neighbourhood: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        SelfPlayDataModule(GAME, [0], steps=2, evaluations=1, neighbourhood=neighbourhood)


def test_an_army_on_a_graph_fights_in_its_own_size_alone(tmp_path: Path) -> None:
    train(BattleMFQ, GAME, [0], out=tmp_path, neighbourhood=RING, **RUNNING)
    with pytest.raises(ValueError, match="neighbours must be of 6 agents, got those of 4"):
        fight(army_of(tmp_path), "rush", 1, environment=Battle(6))


def test_agent_and_data_module_must_have_the_same() -> None:
    data = SelfPlayDataModule(GAME, [0], steps=2, evaluations=1, neighbourhood=Noise())
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"neighbourhood of agent and data module must be the same, got Army.* Noise"):
        trainer.fit(BattleMFQ(GAME, [0]), datamodule=data)


def test_one_that_no_file_can_hold_is_refused_before_training() -> None:
    @dataclass(frozen=True)
    class Inside(Army):
        """In a function."""

    with pytest.raises(ValueError, match=r"^neighbourhood: no file can hold it: class .*Inside must be at the top"):
        train(BattleMFQ, GAME, [0], neighbourhood=Inside(), **RUNNING)


def test_a_policy_is_told_a_mean_action_of_each_agent() -> None:
    agent = BattleMFQ(GAME, [0])
    policy = Policy(agent.network, Acting("epsilon", 0.1), {}, uses_mean_action=True)
    seen = (torch.zeros(2, 4, 13, 13, 7), torch.zeros(2, 4, 34), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match=re.escape("mean_action must be [2, 4, 21], got [2, 21]")):
        policy.act(*seen, torch.zeros(2, 21), [Generator(), Generator()], "greedy")


def test_an_unfinished_round_is_saved_with_its_mean_actions() -> None:
    stored = []
    for interrupted in (False, True):
        battles, replay = Battles(GAME), ArmyReplay(GAME, stores_mean_actions=True)
        chance = Generator().manual_seed(3)
        battles.reset([Generator().manual_seed(0)])
        for _ in range(3):
            if interrupted:
                state, replay = replay.state_dict(), ArmyReplay(GAME, stores_mean_actions=True)
                replay.load_state_dict(state)
            observed, actions = battles.observe(), torch.randint(13, (1, 2, 4), generator=chance)
            replay.push(observed, actions, battles.step(actions).rewards, torch.rand(1, 4, 21, generator=chance))
        replay.end(battles.observe(), torch.rand(1, 4, 21, generator=chance))
        stored.append(replay.transitions(torch.arange(12)))
    assert all(map(torch.equal, *stored))
    assert stored[0].mean_action.any(-1).all()


@pytest.mark.parametrize(
    ("stores", "given", "message"),
    [
        (True, None, "push: mean_action must be torch.float32 [1, 4, 21], got none"),
        (True, torch.zeros(1, 21), "push: mean_action must be torch.float32 [1, 4, 21], got torch.float32 [1, 21]"),
        (False, torch.zeros(1, 4, 21), "push: mean_action must be none, got torch.float32 [1, 4, 21]"),
    ],
)
def test_a_replay_is_told_what_it_stores_and_nothing_else(stores: bool, given: Tensor | None, message: str) -> None:
    battles, replay = Battles(GAME), ArmyReplay(GAME, stores_mean_actions=stores)
    battles.reset([Generator().manual_seed(0)])
    observed, actions = battles.observe(), torch.zeros(1, 2, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=re.escape(message)):
        replay.push(observed, actions, battles.step(actions).rewards, given)

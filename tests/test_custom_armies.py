"""Custom methods of Battle play the tournament and the film as they trained."""

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import Generator, Tensor, nn

from mfmarl import Battle, BattleAC, BattleMFQ, EpsilonGreedy, fight, train
from mfmarl.algorithms.battle import BattleAgent
from mfmarl.data.self_play import SelfPlayDataModule
from mfmarl.environments.battle.game import ACTIONS, FEATURES
from mfmarl.environments.battle.recorded import play
from mfmarl.jobs.armies import policy_path
from mfmarl.jobs.job import TrainingJob
from mfmarl.policies import Acting, Policy, Scripted
from mfmarl.tournament.jobs import duel_job, lock_steps
from mfmarl.tournament.recording import record
from mfmarl.tournament.schedule import schedule
from tests.support import done

GAME = Battle(2, max_steps=6)
STAY = 6  # the middle of the 13 moves
RUNNING: dict[str, Any] = {"steps": 2, "evaluations": 1, "batch_size": 4, "samples_per_update": 8}
LAST_STEP = 2  # rounds of self-play that every army here has learned by


class Stays(BattleMFQ):
    """Never moves, whatever it learns."""

    moves: Tensor

    def __init__(self, environment: Battle, seeds: Any, *, still: int = STAY, **like_mfq: Any) -> None:
        super().__init__(environment, seeds, **like_mfq)
        self.register_buffer("moves", torch.tensor([-1]))
        self.aside = nn.Parameter(torch.ones(1))  # beside the network
        self.still = still

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        self.moves[0] = self.still
        assert uniform.shape == (len(view),)
        assert mean_action.shape == (len(view), ACTIONS)
        assert step <= LAST_STEP
        return self.moves.expand(len(view))


class TellsItsArmy(Stays):
    """Acts by the number of the army that it is asked for."""

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        return torch.full((len(view),), army)


class StaysByLogits(BattleAC):
    """Acts by another rule than its baseline, which `acting` states."""

    @property
    def acting(self) -> Acting:
        return Acting("temperature", 1e-4)

    def make_network(self) -> nn.Module:
        return Still(self.uses_mean_action, self.start_generator)


class AtRandom(BattleMFQ):
    """Acts at random, in training too, though its exploration is greedy."""

    @property
    def acting(self) -> Acting:
        return Acting("epsilon", 1.0)


class Still(nn.Module):
    """Prefers to stay."""

    def __init__(self, uses_mean_action: bool, generator: Generator, most: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, ACTIONS)
        with torch.no_grad():
            self.layer.weight.zero_()
            self.layer.bias.zero_()
            self.layer.bias[STAY] = most

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        values: Tensor = self.layer(feature)
        return values


class StaysByNetwork(BattleMFQ):
    """Its network is no other's, and takes an argument of its own."""

    def make_network(self) -> nn.Module:
        return Still(self.uses_mean_action, self.start_generator, most=3.0)


STAYERS: dict[type[BattleAgent], dict[str, Any]] = {
    Stays: {},
    StaysByLogits: {"learning_rate": 1e-9},
    StaysByNetwork: {"learning_rate": 1e-9, "exploration": EpsilonGreedy(0.0, 0.0)},
}


@pytest.mark.parametrize("cls", STAYERS)
def test_who_stays_earns_the_same_in_self_play_tournament_and_film(cls: type[BattleAgent], tmp_path: Path) -> None:
    rows = train(cls, GAME, [0], out=tmp_path, **RUNNING, **STAYERS[cls])
    per_step = -0.005 * GAME.agents
    assert (rows["reward"] / rows["steps"]).tolist() == pytest.approx([per_step])
    army = policy_path(tmp_path, GAME.agents, cls.__name__, 0)
    for evaluation in ("greedy", "sampled"):
        met = fight(army, army, 4, environment=GAME, evaluation=evaluation, classes=[cls])
        assert (met["reward"] / met["steps"]).tolist() == pytest.approx([per_step] * 4)
        filmed = [frame.units.positions for frame in play(record(GAME, (str(army),) * 2, evaluation, 0, [cls]))]
        assert all(positions.equal(filmed[0]) for positions in filmed)


def test_what_is_overridden_last_decides_in_training_too(tmp_path: Path) -> None:
    greedy = EpsilonGreedy(0.0, 0.0)
    seen = {}
    for cls in (AtRandom, BattleMFQ):
        agent: Any = cls(GAME, [0], exploration=greedy)
        views = (torch.zeros(2100, 13, 13, 7), torch.zeros(2100, FEATURES), torch.zeros(2100, ACTIONS))
        actions = agent.act(0, *views, (torch.arange(2100) + 0.5) / 2100, 0)
        seen[cls] = len(actions.unique())
    assert seen == {AtRandom: ACTIONS, BattleMFQ: 1}
    train(AtRandom, GAME, [0], out=tmp_path, exploration=greedy, **RUNNING)
    policy = Policy.load(policy_path(tmp_path, 2, "AtRandom", 0))
    assert policy.acting == Acting("epsilon", 1.0), "plain values need no class"


def test_all_that_a_class_learned_comes_back(tmp_path: Path) -> None:
    train(Stays, GAME, [0], out=tmp_path, still=3, learning_rate=1e-3, **RUNNING)
    path = policy_path(tmp_path, 2, "Stays", 0)
    policy: Any = Policy.load(path, classes=[nn.Linear, Stays])
    assert type(policy).__name__ == "AgentsPolicy"
    assert policy.about == {"algorithm": "Stays", "agents": 2, "seed": 0}
    assert (policy.rounds, policy.agent.still, policy.agent.moves.item()) == (2, 3, 3)
    assert not policy.agent.training
    assert not any(each.requires_grad for each in policy.agent.parameters())
    fresh = Stays(GAME, [0])
    assert not policy.network.head[-1].bias.equal(fresh.network.head[-1].bias)  # type: ignore[index,union-attr]
    policy.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_an_army_of_ones_own_class_that_is_not_finite_is_refused_where_it_is_loaded(tmp_path: Path) -> None:
    train(Stays, GAME, [0], out=tmp_path, **RUNNING)
    path = policy_path(tmp_path, 2, "Stays", 0)
    policy: Any = Policy.load(path, classes=[Stays])
    policy.network.head[-1].bias[0] = torch.nan
    policy.save(path)
    with pytest.raises(ValueError, match=r"^policy: .* is no policy: ValueError: .*head\..*bias is NaN or infinite"):
        Policy.load(path, classes=[Stays])


def test_it_acts_as_the_learner_not_as_the_copy_that_it_trained_against(tmp_path: Path) -> None:
    train(TellsItsArmy, GAME, [0], out=tmp_path, **RUNNING)
    policy = Policy.load(policy_path(tmp_path, 2, "TellsItsArmy", 0), classes=[TellsItsArmy])
    seen = (torch.zeros(1, 2, 13, 13, 7), torch.zeros(1, 2, FEATURES), torch.ones(1, 2, dtype=torch.bool))
    actions = policy.act(*seen, torch.zeros(1, 2, ACTIONS), [Generator()], "greedy")
    assert actions.tolist() == [[0, 0]]
    with pytest.raises(ValueError, match=r"^mean_action must be \[1, 2, 21\], got \[1, 21\]$"):
        policy.act(*seen, torch.zeros(1, ACTIONS), [Generator()], "greedy")


def test_the_living_alone_act_by_draws_of_all(tmp_path: Path) -> None:
    train(Stays, GAME, [0], out=tmp_path, **RUNNING)
    policy = Policy.load(policy_path(tmp_path, 2, "Stays", 0), classes=[Stays])
    alive = torch.tensor([[True, False], [False, False], [True, True]])
    seen = (torch.zeros(3, 2, 13, 13, 7), torch.zeros(3, 2, FEATURES), alive, torch.zeros(3, 2, ACTIONS))
    generators = [Generator().manual_seed(1) for _ in alive]
    assert policy.act(*seen, generators, "sampled").tolist() == [[STAY, 0], [0, 0], [STAY, STAY]]
    torch.rand(2, generator=(drawn := Generator().manual_seed(1)))
    assert all(each.get_state().equal(drawn.get_state()) for each in generators)


def test_the_class_must_be_given(tmp_path: Path) -> None:
    train(Stays, GAME, [0], out=tmp_path, **RUNNING)
    army = str(policy_path(tmp_path, 2, "Stays", 0))
    message = rf"^policy: .* needs the class {__file__}:Stays, which must be given: in Python by classes="
    for call in (
        lambda: fight(army, "rush", 1),
        lambda: record(GAME, (army, "rush"), "greedy", 0),
        lambda: Policy.load(army, classes=[BattleMFQ]),
        lambda: duel(tmp_path, "Stays").check(),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)


def duel(out: Path, name: str) -> Any:
    """The army against rush."""
    fixtures = schedule((name, "rush"), {name: [0]}, 4)
    return duel_job([*lock_steps(fixtures)], GAME, lambda *_: policy_path(out, 2, "Stays", 0))


def test_a_duel_knows_the_class_by_its_file_whose_edit_makes_another_duel(tmp_path: Path) -> None:
    train(Stays, GAME, [0], out=tmp_path, **RUNNING)
    file = tmp_path / "mine.py"
    file.write_text(Path(__file__).read_text())
    job = duel(tmp_path, f"{file}:Stays")
    rows = done(job, tmp_path / "job")
    assert rows["reward"].tolist() == pytest.approx((-0.005 * 2 * rows["steps"]).tolist(), abs=0.31)
    first = job.fingerprint
    file.write_text(Path(__file__).read_text() + "\n# another\n")
    assert duel(tmp_path, f"{file}:Stays").fingerprint != first


def test_what_no_file_can_hold_is_refused_before_training() -> None:
    class Odd(EpsilonGreedy):
        """No file holds a class that is inside a function."""

    agent = {"exploration": Odd(0.5, 0.5)}
    job = TrainingJob("a", {"algorithm": "a"}, f"{__file__}:Stays", GAME, (0,), agent, dict(RUNNING))
    with pytest.raises(ValueError, match=r"^exploration must be plain data to be saved, .*Odd"):
        job.check()
    TrainingJob("a", {"algorithm": "a"}, "battle-mf-q", GAME, (0,), agent, dict(RUNNING)).check()
    job = TrainingJob("a", {"algorithm": "a"}, f"{__file__}:Grows", GAME, (0,), {}, dict(RUNNING))
    with pytest.raises(ValueError, match=r"^algorithm: an army of Grows cannot be stored: .*size mismatch"):
        job.check()


class Grows(Stays):
    """Another network each time it is made."""

    made = 0

    def make_network(self) -> nn.Module:
        Grows.made += 1
        return nn.Linear(FEATURES, Grows.made)


def test_it_is_refused_too_where_a_trainer_of_the_users_own_begins() -> None:
    data = SelfPlayDataModule(GAME, [0], **RUNNING)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"^algorithm: an army of Grows cannot be stored: .*size mismatch"):
        trainer.fit(Grows(GAME, [0]), datamodule=data)
    assert data.steps_played == 0


class Slowly(Acting):
    """A way to act of one's own."""


class ActsSlowly(BattleMFQ):
    """Acts so, by our network."""

    @property
    def acting(self) -> Acting:
        return Slowly("epsilon", 1.0)


class TakesANetwork(BattleMFQ):
    """Puts another network in the place of ours."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.network = Still(True, self.start_generator)


def test_an_army_is_kept_whole_unless_it_is_one_of_our_networks_that_acts_in_one_of_our_ways() -> None:
    kept = {cls: cls(GAME, [0]).kept_whole for cls in (BattleMFQ, AtRandom, ActsSlowly, TakesANetwork)}
    assert kept == {BattleMFQ: False, AtRandom: False, ActsSlowly: True, TakesANetwork: True}


class Biased(BattleMFQ):
    """Reads its network's outputs with a bias that outweighs them."""

    def action_values(self, network: nn.Module, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        values = super().action_values(network, view, feature, mean_action)
        return values + 1e6 * (torch.arange(ACTIONS) == STAY)


class Tosses(BattleMFQ):
    """Chooses between two actions by its draw, from the first round on."""

    heard: ClassVar[set[int]] = set()

    def choose(self, outputs: Tensor, uniform: Tensor, step: int) -> Tensor:
        Tosses.heard.add(step)
        assert outputs.shape == (len(uniform), ACTIONS)
        return (uniform > 0.5).long()


def actions_of(army: Policy | Scripted, evaluation: Any) -> Tensor:
    """Of 400 living agents who see different things."""
    own = torch.Generator().manual_seed(0)
    views, features, mean = (torch.rand(1, 400, *shape, generator=own) for shape in ((13, 13, 7), (34,), (ACTIONS,)))
    alive = torch.ones(1, 400, dtype=torch.bool)
    return army.act(views, features, alive, mean, [torch.Generator().manual_seed(1)], evaluation)[0]


def test_an_army_plays_by_the_values_that_its_class_makes_of_the_networks_outputs(tmp_path: Path) -> None:
    _, [army] = train(Biased, GAME, [0], keep=True, **RUNNING)
    army.save(tmp_path / "army.safetensors")
    again = Policy.load(tmp_path / "army.safetensors", classes=[Biased])
    for each in (army, again):
        assert actions_of(each, "greedy").tolist() == [STAY] * 400
        stayed = (actions_of(each, "sampled") == STAY).double().mean()
        assert 0.9 < stayed < 1  # epsilon is 0.05


def test_an_army_plays_as_its_class_chooses(tmp_path: Path) -> None:
    Tosses.heard.clear()
    _, [army] = train(Tosses, GAME, [0], keep=True, **RUNNING)
    assert Tosses.heard == {0, 1}  # in training too
    sampled = actions_of(army, "sampled")
    assert set(sampled.tolist()) == {0, 1}
    assert Tosses.heard == {0, 1, LAST_STEP}
    assert not torch.equal(actions_of(army, "greedy"), sampled)  # the best action still


@pytest.mark.parametrize("army", ["policy", "custom", "rush"])
def test_an_army_knows_two_ways_to_act(army: str) -> None:
    made = (
        Scripted("rush")
        if army == "rush"
        else train(Stays if army == "custom" else "mf-q", GAME, [0], keep=True, **RUNNING)[1][0]
    )
    with pytest.raises(ValueError, match=r"^evaluation must be greedy or sampled, got 'Greedy'"):
        actions_of(made, "Greedy")


def test_kept_armies_of_a_custom_class_come_back() -> None:
    _, [army] = train(Stays, GAME, [0], keep=True, still=3, **RUNNING)
    assert army.agent.still == 3


def test_the_armies_of_this_package_are_stored_as_ever(tmp_path: Path) -> None:
    train("mf-q", GAME, [0], out=tmp_path, **RUNNING)
    policy = Policy.load(policy_path(tmp_path, 2, "mf-q", 0))
    assert type(policy) is Policy
    pd.testing.assert_frame_equal(
        fight(policy, "rush", 4, environment=GAME), fight(policy, "rush", 4, environment=GAME, classes=[Stays])
    )

"""Seeds of Battle that train as one: each learns what it learns alone, and is saved as if it were alone."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from mfmarl.algorithms import agent_of_seeds, algorithm_class
from mfmarl.algorithms.battle import BattleMFQ
from mfmarl.algorithms.battle_stack import BattleStack, _Learning
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.neighbourhood import Noise
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.scripts import rush
from mfmarl.exploration import EpsilonGreedy
from mfmarl.jobs.armies import keep_all, seeds_together
from mfmarl.jobs.execution import Execution
from mfmarl.jobs.job import Label, TrainingJob
from mfmarl.policies import Policy
from tests.support import done, same, written
from tests.test_custom_armies import StaysByNetwork

GAME = Battle(4, 30)
SEEDS = (0, 1, 2, 3)
STAY = 6  # the middle one of the moves


class Run:
    """Agents and their data module, with an optimizer but no Trainer."""

    def __init__(self, name: str, seeds: tuple[int, ...], game: Battle = GAME, **shared: Any) -> None:
        exploration = {"exploration": EpsilonGreedy(0.5, 0.05, 2)} if name in ("battle-il", "battle-mf-q") else {}
        self.agent = cast(Any, agent_of_seeds(algorithm_class(name), game, seeds, **exploration, **shared))
        self.optimizer = self.agent.configure_optimizers()
        self.agent.optimizers = lambda use_pl_optimizer: self.optimizer
        how: dict[str, Any] = {"steps": 8, "evaluations": 1, "batch_size": 16, "samples_per_update": 8}
        self.data: Any = self.agent.data_module(game, seeds, **how, **shared)
        self.members = self.agent.agents if len(seeds) > 1 else [self.agent]
        self.gradient_steps = 0
        self.optimizer.register_step_post_hook(self._count)

    def play(self, rounds: int) -> "Run":
        for one in self.data.rounds()[:rounds]:
            self.agent.training_step(one, 0)
        return self

    def _count(self, *_: Any) -> None:
        self.gradient_steps += 1


def furthest(one: torch.nn.Module, other: torch.nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((own - its).detach().abs().max()) for own, its in pairs)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("battle-il", "battle-ac")]
    + ["battle-mf-q", "battle-mf-ac"],
)
def test_stacked_seeds_learn_what_each_learns_alone(name: str) -> None:
    stack = Run(name, SEEDS).play(4)
    scores = stack.data.evaluate(stack.agent)
    differences = []
    for place, seed in enumerate(SEEDS):
        alone = Run(name, (seed,))
        start = alone.agent.__class__(GAME, (seed,))
        alone.play(4)
        assert stack.gradient_steps == alone.gradient_steps == 60
        assert {key: [float(each[place])] for key, each in scores.items()} == {
            key: each.tolist() for key, each in alone.data.evaluate(alone.agent).items()
        }
        drawn = [run.data.generators["training"][at].get_state() for run, at in ((stack, place), (alone, 0))]
        assert torch.equal(*drawn)
        assert furthest(alone.agent, start) > 2e-3, "it has learned"
        differences.append(furthest(alone.agent, stack.members[place]))
    print(f"{name}: largest difference of parameters after 60 gradient steps", differences)
    # Where a rounding moves a unit across zero, Adam makes 5e-4 of it and more, as of a start changed by 1e-7; how many
    # seeds that befalls depends on the processor, and 60 steps at a rate of 1e-4 make 6e-3 at most.
    assert sorted(differences)[1] < 1e-6
    assert max(differences) < 6e-3


def test_one_seed_is_no_stack() -> None:
    assert type(agent_of_seeds(BattleMFQ, GAME, (3,))) is BattleMFQ
    assert type(agent_of_seeds(BattleMFQ, GAME, (3, 4))) is BattleStack


def test_who_has_no_minibatch_stays_as_it_is_and_its_optimizer_too() -> None:
    run, alone = Run("battle-mf-q", (0, 1)), Run("battle-mf-q", (0,))
    generator = torch.Generator().manual_seed(0)
    batch = BattleBatch(
        torch.rand(8, 13, 13, 7, generator=generator),
        torch.rand(8, 34, generator=generator),
        torch.rand(8, 21, generator=generator),
        torch.arange(8),
        torch.rand(8, generator=generator),
        torch.rand(8, 13, 13, 7, generator=generator),
        torch.rand(8, 34, generator=generator),
        torch.rand(8, 21, generator=generator),
        torch.arange(8) % 2 == 0,
    )
    learn = _Learning(run.members, run.optimizer)
    learn([batch, batch])
    second = {name: each.clone() for name, each in run.members[1].state_dict().items()}
    learn([batch, None])
    learn([batch, None])
    assert same(dict(run.members[1].state_dict()), second)
    parameter = run.members[1].network.feature.weight
    assert int(run.optimizer.state[parameter]["step"]) == 1
    by_itself = _Learning(alone.members, alone.optimizer)
    for _ in range(3):
        by_itself([batch])
    assert furthest(alone.agent, run.members[0]) < 1e-5


@pytest.mark.parametrize("shared", [{}, {"neighbourhood": Noise()}])
def test_a_battle_that_is_over_waits_and_neither_draws_nor_stores(
    shared: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    game = Battle(4, 80)

    def scripted(army: int, view: Tensor, feature: Tensor, mean: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Army 0 rushes; of army 1 some run about, so that battles end at different steps."""
        if army:
            return torch.where(uniform < 0.5, (uniform * 26).long(), STAY)
        seen = view.reshape(-1, *view.shape[-4:]), feature.reshape(-1, *feature.shape[-2:])
        return rush(*seen).view(uniform.shape)

    def fought(seeds: tuple[int, ...]) -> Run:
        run = Run("battle-mf-q", seeds, game, **shared)
        monkeypatch.setattr(run.agent, "act", scripted)
        return run.play(1)

    stack = fought(SEEDS)
    assert len(set(stack.data.battles.steps.tolist())) > 1
    assert stack.data.battles.annihilated.any()
    for place, seed in enumerate(SEEDS):
        alone = fought((seed,))
        assert same(stack.data.state_dict()["replay"][place], alone.data.state_dict()["replay"])
        drawn = [run.data.generators["training"][at].get_state() for run, at in ((stack, place), (alone, 0))]
        assert torch.equal(*drawn)


def test_a_stack_goes_on_from_its_state_bit_for_bit() -> None:
    whole = Run("battle-mf-q", (0, 1)).play(2)
    first = Run("battle-mf-q", (0, 1)).play(1)
    second = Run("battle-mf-q", (0, 1))
    second.agent.load_state_dict(first.agent.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.data.load_state_dict(first.data.state_dict())
    second.play(1)
    assert same(dict(second.agent.state_dict()), dict(whole.agent.state_dict()))
    assert second.data.state_dict()["owed"] == whole.data.state_dict()["owed"]


def test_a_job_of_several_seeds_leaves_an_army_of_each(tmp_path: Path) -> None:
    how = {"steps": 2, "evaluations": 1, "batch_size": 4, "samples_per_update": 8}
    labels: dict[str, Label] = {"algorithm": "mf-q", "agents": 2}
    job = TrainingJob("stack", labels, "battle-mf-q", Battle(2, 10), (3, 5), {}, how)
    rows = done(job, tmp_path / "job")
    assert rows["seed"].tolist() == [3, 5]
    keep_all(job, tmp_path / "job", tmp_path)
    for seed in (3, 5):
        army = Policy.load(tmp_path / f"policies/mf-q-2-seed-{seed}.safetensors")
        assert army.about == {"algorithm": "BattleMFQ", "agents": 2, "seed": seed}
        alone = TrainingJob("alone", labels, "battle-mf-q", Battle(2, 10), (seed,), {}, how)
        done(alone, tmp_path / "alone")
        known = Policy.load(tmp_path / "alone/policy.safetensors")
        assert furthest(army.network, known.network) < 1e-2, "to rounding, of bfloat16 weights"
    assert set(written(tmp_path / "job")) == {".lock", "job.json", "log.txt", "rows.csv"}


def test_on_a_gpu_sixteen_seeds_are_stacked_where_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, cpu, auto = Execution(accelerator="gpu"), Execution(accelerator="cpu"), Execution()
    released = algorithm_class("battle-released-ac")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert [seeds_together(BattleMFQ, how) for how in (gpu, cpu, auto)] == [16, 1, 1]
    assert [seeds_together(each, gpu) for each in (released, StaysByNetwork)] == [1, 1]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert [seeds_together(BattleMFQ, how) for how in (cpu, auto)] == [1, 16]


@pytest.mark.parametrize("cls", [algorithm_class("battle-released-ac"), StaysByNetwork])
def test_what_cannot_be_stacked_is_refused(cls: Any) -> None:
    with pytest.raises(ValueError, match=rf"^seeds must be one seed for {cls.__name__}, got \[0, 1\]$"):
        agent_of_seeds(cls, GAME, (0, 1))


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_neighbourhood_that_no_file_can_hold_is_refused_before_training(seeds: tuple[int, ...]) -> None:
    class Inside(Noise):
        """No file holds a class that is inside a function."""

    with pytest.raises(ValueError, match=r"^neighbourhood: no file can hold it: .*Inside must be at the top"):
        Run("battle-mf-q", seeds, neighbourhood=Inside()).agent.check_saved()

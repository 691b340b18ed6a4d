"""Every algorithm learns, repeats itself, resumes and stacks."""

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.actor_critic import AC, MAAC
from mfmarl.algorithms.frequency_maximum import FMQ, RecFMQ
from mfmarl.algorithms.optimizers import adam
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.algorithms.stateless import StatelessAgent
from mfmarl.data.neighbourhood import Graph
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Environment, GaussianSqueeze
from mfmarl.environments.matrix_game import CLIMBING, STOCHASTIC_CLIMBING
from mfmarl.exploration import Boltzmann, EpsilonGreedy
from tests.support import same
from tests.test_neighbourhood import Shaken, Slow
from tests.test_own_rewards import Minority

EXAMPLE = f"{Path(__file__).parents[1] / 'examples/my_method.py'}:HystereticMFQ"
NAMES = {**{name: name for name in ALGORITHMS["stateless"]}, "example": EXAMPLE}
ACTOR_CRITICS = ("ac", "mf-ac", "maac")


def make(name: str, game: Environment, seeds: Sequence[int], **agent: Any) -> StatelessAgent:
    cls: Callable[..., Any] = algorithm_class(NAMES[name], "stateless")
    return cast(StatelessAgent, cls(game, seeds, **agent))


def fit(
    module: StatelessAgent,
    data: ReplayDataModule,
    *callbacks: pl.Callback,
    checkpoint: Path | None = None,
) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=data.evaluations,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        logger=False,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)


# Every agent that turns from action 0 to 1 raises the reward, from 0 up to 4.
TOY = GaussianSqueeze(agents=4, mu=4.0, sigma=2.0, actions=2)


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_a_game_of_two_actions(name: str) -> None:
    rates = {"learning_rate": 1e-2}
    if name in ACTOR_CRITICS:
        rates = {"critic_learning_rate": 1e-2, "actor_learning_rate": 2e-2}
    exploration = {"il": EpsilonGreedy(1.0, 0.1, 300), "fmq": Boltzmann(5.0, 0.02, 0.05)}
    shown = {} if name in ACTOR_CRITICS else {"exploration": exploration.get(name, exploration["il"])}
    seeds = range(5)
    discount = {} if name in ("fmq", "rec-fmq") else {"discount": 0.5}
    module = make(name, TOY, seeds, start_bias=1.0, target_rate=0.1, **discount, **rates, **shown)
    mean = torch.full((len(seeds), TOY.agents, TOY.actions), 0.5) if module.uses_mean_action else None
    assert not TOY.reward(module.act_greedily(mean)).any(), "the start must be as bad as can be"
    fit(module, ReplayDataModule(TOY, seeds, steps=500, evaluations=1, batch_size=40, samples_per_update=4))
    # G is 0, 0.1, 0.7, 2.3, 4.0 where 0 to 4 agents choose 1; of 200 seeds each method passes with all.
    assert module.scores["greedy_reward"].min() > 2


SMALL = GaussianSqueeze(agents=7, mu=12.0, sigma=6.0, actions=5)


@dataclass(frozen=True)
class Case:
    """A small run."""

    name: str
    game: Environment = SMALL
    agent: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def make(self, seeds: tuple[int, ...]) -> tuple[StatelessAgent, ReplayDataModule]:
        small = {"steps": 36, "evaluations": 3, "batch_size": 24, "samples_per_update": 7, "capacity": 100}
        data = ReplayDataModule(self.game, seeds, **{**small, "block_steps": 4, "evaluation_steps": 3, **self.data})
        return make(self.name, self.game, seeds, **self.agent), data


CASES = {
    **{name: Case(name) for name in NAMES},
    "table": Case("il", CLIMBING, {"hidden": None, "learning_rate": 0.1}, {"batch_size": None}),
    "table of fmq": Case("fmq", STOCHASTIC_CLIMBING, {"hidden": None, "learning_rate": 0.1}, {"batch_size": None}),
    "table of rec-fmq": Case("rec-fmq", CLIMBING, {"hidden": None, "learning_rate": 0.1}),
    "iterated": Case("mf-q", agent={"fixed_point": "iterated", "exploration": Boltzmann(1.0, 0.01, 0.1)}),
    "same": Case("mf-q", agent={"embedding": "diverse"}, data={"stored_mean_action": "same"}),
    "noise": Case("mf-ac", agent={"embedding": "none"}, data={"stored_mean_action": "noise"}),
    "average": Case("mf-q", data={"neighbourhood": Slow()}),
    "average of the same step": Case("mf-ac", data={"neighbourhood": Slow(same_step=True)}),
    "drawn for each agent": Case("mf-q", data={"neighbourhood": Shaken()}),
    "ring": Case("mf-ac", data={"neighbourhood": Graph(tuple(((j - 1) % 7, (j + 1) % 7) for j in range(7)))}),
    "own rewards": Case("mf-q", Minority(51)),
    "own rewards of fmq": Case("fmq", Minority(51)),
    "own rewards of maac": Case("maac", Minority(51)),
    "grouped": Case("maac", agent={"hidden": (16, 48)}, data={"agents_per_joint_step": 6}),
}
SEEDS = (4, 0, 9)


def state(module: StatelessAgent, data: ReplayDataModule) -> dict[str, Any]:
    """All that a run leaves: parameters, statistics, scores, optimizers, replay and generators."""
    return {
        "module": dict(module.state_dict()),
        "scores": module.scores,
        "optimizers": [optimizer.state_dict()["state"] for optimizer in module.trainer.optimizers],
        "data": data.state_dict(),
    }


class Saving(pl.Callback):
    """Saves a checkpoint after the first epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


class Reseeding(pl.Callback):
    """Draws from the global generators and seeds them, at every round."""

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        for number in (trainer.global_step, 0):
            torch.manual_seed(number)
            random.seed(number)


@dataclass(frozen=True)
class Whole:
    """A case's uninterrupted run of all seeds."""

    case: Case
    start: dict[str, Tensor]
    end: dict[str, Any]
    checkpoint: Path


@pytest.fixture(scope="module", params=CASES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    case, path = CASES[request.param], tmp_path_factory.mktemp("run") / "checkpoint.ckpt"
    before = torch.get_rng_state().tolist(), random.getstate()
    module, data = case.make(SEEDS)
    start = {name: values.clone() for name, values in module.state_dict().items()}
    fit(module, data, Saving(path))
    after = torch.get_rng_state().tolist(), random.getstate()
    assert before == after, "it touched a global generator"
    return Whole(case, start, deepcopy(state(module, data)), path)


def test_it_changes_what_it_should(whole: Whole) -> None:
    for name, values in whole.end["module"].items():
        if name == "_extra_state":  # the step
            continue
        silent = whole.case.agent.get("embedding") == "none" and name.endswith("identity")
        assert torch.equal(values, whole.start[name]) == silent, name
        assert values.dtype == torch.float32


def test_it_repeats_itself_whatever_the_global_generators_do(whole: Whole) -> None:
    module, data = whole.case.make(SEEDS)
    with torch.random.fork_rng():
        fit(module, data, Reseeding())
    assert same(state(module, data), whole.end)


def test_it_resumes_bit_for_bit(whole: Whole) -> None:
    module, data = whole.case.make(SEEDS)
    fit(module, data, checkpoint=whole.checkpoint)
    assert same(state(module, data), whole.end)


@pytest.mark.parametrize("seeds", [(0,), (9, 4)])
def test_a_seed_is_the_same_in_any_stack(whole: Whole, seeds: tuple[int, ...]) -> None:
    module, data = whole.case.make(seeds)
    fit(module, data)
    own = [SEEDS.index(seed) for seed in seeds]
    for name, values in module.state_dict().items():
        there = whole.end["module"][name]
        assert torch.equal(values, there if name == "_extra_state" else there[own]), name
    for name, values in module.scores.items():
        assert torch.equal(values, whole.end["scores"][name][own]), name


def test_seeds_differ(whole: Whole) -> None:
    for name, values in whole.end["module"].items():
        if "." in name and values.any():  # a network's, not the statistics of rewards, which may coincide
            assert len({tuple(part.flatten().tolist()) for part in values}) == len(SEEDS), name
    assert len(set(whole.end["scores"]["training_reward"].tolist())) == len(SEEDS)


def test_the_policy_that_plays_is_of_the_last_update() -> None:
    played: list[int] = []

    class Counting(IL):
        updates = 0

        def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
            played.append(self.updates)
            return super().act(mean_action, uniform, step)

        def losses(self, batch: Batch) -> list[Tensor]:
            self.updates += 1
            return super().losses(batch)

    data = ReplayDataModule(TOY, [0], steps=30, evaluations=1, samples_per_update=3, block_steps=4, evaluation_steps=1)
    fit(Counting(TOY, [0]), data)
    # With 4 samples a step and 3 an update, floor(4 t / 3) updates come before step t; the last entry is evaluation.
    assert played == [4 * step // 3 for step in range(31)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IL(SMALL, [0], discount=1.0), r"discount must be in \[0, 1\), got 1.0"),
        (lambda: IL(SMALL, [0], discount=-0.1), r"discount must be in \[0, 1\), got -0.1"),
        (lambda: IL(SMALL, [0], target_rate=0.0), r"target_rate must be in \(0, 1\], got 0.0"),
        (lambda: AC(SMALL, [0], target_rate=1.5), r"target_rate must be in \(0, 1\], got 1.5"),
        (lambda: AC(SMALL, [0], reward_scale=float("inf")), "reward_scale must be positive and finite, got inf"),
        (lambda: MFQ(SMALL, [0], learning_rate=float("inf")), "learning_rate must be positive and finite, got inf"),
        (lambda: AC(SMALL, [0], reward_scale=0.0), "reward_scale must be positive and finite, got 0.0"),
        (lambda: IL(SMALL, [-1]), r"seeds must be distinct, at least 0 and below 2\^61, got \[-1\]"),
        (
            lambda: IL(SMALL, [2**61]),
            r"seeds must be distinct, at least 0 and below 2\^61, got \[2305843009213693952\]",
        ),
        (lambda: IL(SMALL, [0], learning_rate=0.0), "learning_rate must be positive and finite, got 0.0"),
        (lambda: AC(SMALL, [0], actor_learning_rate=-1.0), "actor_learning_rate must .*, got -1.0"),
        (lambda: AC(SMALL, [0], critic_learning_rate=0.0), "critic_learning_rate must .*, got 0.0"),
        (lambda: adam([nn.Parameter(torch.ones(1))], 0.0, "my_rate"), "my_rate must be positive and finite, got 0.0"),
        (lambda: MAAC(SMALL, [0], hidden=()), r"hidden must name at least one width, got \(\)"),
        (
            lambda: IL(CLIMBING, [0], hidden=None, embedding="none"),
            "embedding must be one-hot for a table .*, got 'none'",
        ),
        (lambda: IL(CLIMBING, [0], hidden=None, learning_rate=0.0), ".* positive and finite, got 0.0"),
        (lambda: FMQ(SMALL, [0], heuristic_weight=-1.0), "heuristic_weight must be at least 0 and finite, got -1.0"),
        (lambda: FMQ(SMALL, [0], heuristic_weight=float("nan")), "heuristic_weight must be .*, got nan"),
        (lambda: FMQ(SMALL, [0], heuristic_weight=float("inf")), "heuristic_weight must be .*, got inf"),
        (lambda: RecFMQ(SMALL, [0], frequency_rate=0.0), r"frequency_rate must be in \(0, 1\], got 0.0"),
        (lambda: RecFMQ(SMALL, [0], frequency_rate=1.1), r"frequency_rate must be in \(0, 1\], got 1.1"),
        (lambda: MFQ(SMALL, [0], fixed_point="twice"), "fixed_point must be one-shot or iterated, got 'twice'"),  # type: ignore[arg-type]
        (lambda: MFQ(SMALL, [0], damping=0.0), r"damping must be in \(0, 1\], got 0.0"),
        (lambda: MFQ(SMALL, [0], damping=1.5), r"damping must be in \(0, 1\], got 1.5"),
        (lambda: MFQ(SMALL, [0], iterations=0), "iterations must be an integer of at least 1, got 0"),
        (lambda: MFQ(SMALL, [0], hidden=None), r"a table \(hidden None\) takes no features, got 5 .*"),
        (lambda: MAAC(SMALL, [0], hidden=(10,)), r"hidden widths must be positive multiples of 16, .*, got \(10,\)"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()

"""Games that pay each agent its own reward: a minority game, from what is stored to what is learned."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mfmarl.algorithms.frequency_maximum import FMQ, RecFMQ
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.environments import GaussianSqueeze, pays_each_agent
from mfmarl.exploration import EpsilonGreedy
from mfmarl.jobs.library import train
from mfmarl.mean_field import action_counts


@dataclass(frozen=True)
class Minority:
    """Pays 1 to each agent that chose the rarer of two actions."""

    agents: int = 5
    actions: int = 2
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """`[..., agents]` to `[..., agents]`."""
        return (action_counts(actions, 2).gather(-1, actions) < self.agents / 2).double()


@pytest.mark.parametrize("batch_size", [None, 30])
def test_each_sample_holds_its_agents_own_reward(batch_size: int | None) -> None:
    game = Minority()
    agent = IL(game, [0, 1], exploration=EpsilonGreedy(1.0, 1.0))
    data = ReplayDataModule(game, [0, 1], steps=20, evaluations=1, batch_size=batch_size, samples_per_update=10)
    agent.uses_joint_action = True
    paid = []
    for play in data.rounds():
        for batch in play(agent):
            assert batch.joint_action is not None
            joint = batch.joint_action.repeat_interleave(batch.agent.shape[1] // batch.joint_action.shape[1], 1)
            counts = (joint == batch.action.unsqueeze(-1)).sum(-1)
            assert torch.equal(batch.reward, (counts <= 2).float())
            paid.append(batch.reward)
    assert 0 < torch.cat(paid, 1).mean() < 1


def test_mean_field_q_learners_share_out_where_all_can_not_win() -> None:
    curves = train(
        MFQ,
        Minority(),
        range(4),
        steps=1000,
        evaluations=2,
        samples_per_update=10,
        batch_size=50,
        capacity=500,
        discount=0.0,
        learning_rate=3e-2,
        exploration=EpsilonGreedy(1.0, 0.01, 500),
    )
    # At most 2 of 5 are in the minority: 0.4 an agent. Drawn at random it is 0.31, and paid in common 0.4 to all.
    assert curves[curves["step"] == 1000]["greedy_reward"].tolist() == [0.4] * 4


def test_scores_are_means_over_agents() -> None:
    game = Minority()
    data = ReplayDataModule(game, [0, 1], steps=3, evaluations=1, evaluation_steps=2)
    agent = IL(game, [0, 1])
    actions = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    agent.act_greedily = lambda mean_action: actions  # type: ignore[method-assign]
    agent.act = lambda mean_action, uniform, step: actions.flip(0)  # type: ignore[method-assign]
    for play in data.rounds():
        list(play(agent))
    scores = {name: values.tolist() for name, values in data.evaluate(agent).items()}
    assert scores == {"greedy_reward": [0.4, 0.0], "sampled_reward": [0.0, 0.4], "training_reward": [0.0, 0.4]}


@pytest.mark.parametrize("cls", [FMQ, RecFMQ])
def test_the_fmq_family_keeps_each_agents_own_best(cls: Any) -> None:
    agent = cls(Minority(3), [0])
    agent.observe(torch.tensor([[0, 1, 1]]), torch.tensor([[1.0, 0.0, 0.0]]))
    assert agent.best[0].tolist() == [[1.0, -torch.inf], [-torch.inf, 0.0], [-torch.inf, 0.0]]


@dataclass(frozen=True)
class PaysActions(Minority):
    """One reward an action."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return action_counts(actions, 3)


@dataclass(frozen=True)
class PaysTheFirst(Minority):
    """Forgets the seeds."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return super().reward(actions, noise)[0]


@pytest.mark.parametrize(("game", "got"), [(PaysActions(), r"\[2, 3\]"), (PaysTheFirst(), r"\[5\]")])
def test_other_rewards_are_refused_before_training(game: Minority, got: str) -> None:
    allowed = r"a tensor \[2\], .* or \[2, 5\], one an agent"
    message = rf"reward of {type(game).__name__} for 2 seeds must be {allowed}, got Tensor {got}"
    with pytest.raises(ValueError, match=message):
        train(IL, game, [0], steps=4, evaluations=1)
    with pytest.raises(ValueError, match=message):
        ReplayDataModule(game, [0], steps=4, evaluations=1)


@dataclass(frozen=True)
class PaysInNumpy(Minority):
    """Gives an array."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return super().reward(actions, noise).numpy()  # type: ignore[return-value]


@dataclass(frozen=True)
class TakesNoNoise(Minority):
    """Forgets an argument."""

    def reward(self, actions: Tensor) -> Tensor:  # type: ignore[override]
        return super().reward(actions, actions)


@dataclass(frozen=True)
class MixesSeeds(Minority):
    """Pays by the mean over all seeds."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return actions.double() - actions.double().mean()


@dataclass(frozen=True)
class CountsAllSeeds(Minority):
    """Pays by how many agents of all seeds chose the same action."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return torch.bincount(actions.flatten(), minlength=2)[actions].double()


@dataclass(frozen=True)
class DrawsByItself(Minority):
    """Pays by torch's global generator."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return torch.rand(actions.shape, dtype=torch.float64)


@dataclass(frozen=True)
class Squeezes(Minority):
    """Loses the seeds where there is one."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return super().reward(actions, noise).squeeze()


@dataclass(frozen=True)
class Rounds(Minority):
    """Changes the noise in place."""

    draws: int = 2

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return super().reward(actions, noise.round_())


@dataclass(frozen=True)
class Sorts(Minority):
    """Sorts the actions in place."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return super().reward(actions.copy_(actions.sort(-1).values), noise)


@dataclass(frozen=True)
class DrawsLess(Minority):
    """Draws no number of numbers."""

    draws: int = -1


@dataclass(frozen=True)
class PaysNothingKnown(Minority):
    """Pays what is no number, but not where all play alike."""

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        paid = super().reward(actions, noise)
        mixed = (actions.amin(-1) != actions.amax(-1)).unsqueeze(-1)
        return paid.where(~mixed, torch.nan)


@pytest.mark.parametrize(
    ("game", "message"),
    [
        (PaysInNumpy(), r"reward of PaysInNumpy for 2 seeds must be a tensor \[2\], .*, got ndarray \[2, 5\]"),
        (TakesNoNoise(), "reward of TakesNoNoise must take actions and noise: too many positional arguments"),
        (MixesSeeds(), "reward of MixesSeeds must be of each seed by itself, got another one for two seeds than for"),
        (CountsAllSeeds(), "reward of CountsAllSeeds must be of each seed by itself, got another one for two seeds"),
        (
            DrawsByItself(),
            "reward of DrawsByItself must be the same for the same actions and noise, got another one at",
        ),
        (Squeezes(), r"reward of Squeezes for 1 seed must be a tensor \[1\], .*, got Tensor \[5\]"),
        (Rounds(), "reward of Rounds must leave actions and noise as they are, got others after the call"),
        (Sorts(), "reward of Sorts must leave actions and noise as they are, got others after the call"),
        (DrawsLess(), "draws must be an integer of at least 0, got -1"),
        (DrawsLess(draws="1"), "draws must be an integer of at least 0, got '1'"),  # type: ignore[arg-type]
    ],
)
def test_a_game_that_cannot_be_played_is_refused_in_one_line(game: Minority, message: str) -> None:
    with pytest.raises(ValueError, match=f"^environment: {message}"):
        train(IL, game, [0], steps=4, evaluations=1)


def test_a_reward_that_is_no_number_is_said_to_be_the_games() -> None:
    data = ReplayDataModule(PaysNothingKnown(), [0], steps=20, evaluations=1, samples_per_update=10)
    agent = IL(PaysNothingKnown(), [0], exploration=EpsilonGreedy(1.0, 1.0))
    [play] = data.rounds()
    message = "^reward of PaysNothingKnown is NaN or infinite in one of the joint steps 1 to 20$"
    with pytest.raises(FloatingPointError, match=message):
        list(play(agent))


def test_two_agents_with_a_common_reward_are_told_from_two_with_their_own() -> None:
    assert not pays_each_agent(GaussianSqueeze(2))
    assert pays_each_agent(Minority(2))

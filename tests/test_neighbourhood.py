"""Neighbourhoods: whose actions count in the mean action, by hand; and what a custom one does to play and learning."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.neighbourhood import Army, Graph, JointStep, Neighbourhood, Noise
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.environments import GaussianSqueeze
from mfmarl.jobs.library import train

GAME = GaussianSqueeze(agents=4, mu=6.0, sigma=3.0, actions=3)
NOTHING = torch.empty(1, 0)


@dataclass(frozen=True)
class Slow(Neighbourhood):
    """An exponential average."""

    rate: float = 0.25

    def mean_action(self, step: JointStep) -> Tensor:
        now = super().mean_action(step)
        return now if step.before is None else step.before.lerp(now, self.rate)


@dataclass(frozen=True)
class Shaken(Neighbourhood):
    """Eq. 11 and a number drawn for each agent, once a joint step."""

    def draws(self, agents: int, actions: int) -> int:
        return agents

    def mean_action(self, step: JointStep) -> Tensor:
        return super().mean_action(step) + step.uniform.unsqueeze(-1)


class Watching(MFQ):
    """MF-Q that notes what it acts under and what it learns from."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.acted: list[tuple[Tensor, Tensor]] = []
        self.evaluated: list[Tensor] = []

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        assert mean_action is not None
        actions = super().act(mean_action, uniform, step)
        self.acted.append((mean_action, actions))
        return actions

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        assert mean_action is not None
        self.evaluated.append(mean_action)
        return super().act_greedily(mean_action)


def watch(neighbourhood: Neighbourhood, steps: int = 12) -> tuple[Watching, list[Any], ReplayDataModule]:
    """A run without replay: minibatch number t holds all agents of joint step t."""
    policy = Watching(GAME, [3, 5], learning_rate=1e-2)
    data = ReplayDataModule(
        GAME, [3, 5], steps=steps, evaluations=1, batch_size=None, block_steps=5, neighbourhood=neighbourhood
    )
    return policy, [batch for play in data.rounds() for batch in play(policy)], data


@pytest.mark.parametrize("neighbourhood", [Neighbourhood(), Slow(), Shaken(), Graph(((1,), (0, 2, 3), (1, 3), (0,)))])
def test_the_agent_learns_from_the_mean_action_that_it_acted_under(neighbourhood: Neighbourhood) -> None:
    policy, batches, _ = watch(neighbourhood)
    for (mean, actions), batch in zip(policy.acted, batches, strict=True):
        assert torch.equal(batch.mean_action, mean)
        assert torch.equal(batch.action, actions)


@pytest.mark.parametrize("neighbourhood", [Neighbourhood(same_step=True), Slow(same_step=True)])
def test_or_from_that_of_the_joint_step_itself_which_it_acts_under_next(neighbourhood: Neighbourhood) -> None:
    policy, batches, _ = watch(neighbourhood)
    assert not torch.equal(policy.acted[0][0], policy.acted[1][0])
    for (following, _), batch in zip(policy.acted[1:], batches[:-1], strict=True):
        assert torch.equal(batch.mean_action, following)


def test_an_average_goes_on_from_step_to_step_and_into_evaluation() -> None:
    policy, _, data = watch(Slow())
    plain = [Neighbourhood().mean_action(JointStep(actions, 3, NOTHING, None)) for _, actions in policy.acted]
    mean = policy.acted[0][0]
    for now, (acted_under, _) in zip(plain, policy.acted[1:], strict=False):
        mean = 0.75 * mean + 0.25 * now
        torch.testing.assert_close(acted_under, mean)
    data.evaluate(policy)
    torch.testing.assert_close(policy.evaluated[0], 0.75 * mean + 0.25 * plain[-1])
    torch.testing.assert_close(data.state_dict()["mean_action"], mean)  # an evaluation leaves no trace


def test_a_graph_counts_neighbours_alone() -> None:
    graph = Graph(((1,), (0, 2), (0, 1, 3), (2,)))
    actions = torch.tensor([[0, 1, 2, 1]])
    mean = graph.mean_action(JointStep(actions, 3, NOTHING, None))
    expected = [[[0, 1, 0], [1 / 2, 0, 1 / 2], [1 / 3, 2 / 3, 0], [0, 0, 1]]]
    torch.testing.assert_close(mean, torch.tensor(expected, dtype=torch.float32))
    alive = torch.tensor([[True, False, True, True]])
    mean = graph.mean_action(JointStep(actions, 3, NOTHING, None, alive))
    expected = [[[0, 0, 0], [1 / 2, 0, 1 / 2], [1 / 2, 1 / 2, 0], [0, 0, 1]]]
    torch.testing.assert_close(mean, torch.tensor(expected, dtype=torch.float32))


def test_a_complete_graph_is_all_others() -> None:
    graph = Graph(tuple(tuple(other for other in range(4) if other != agent) for agent in range(4)))
    step = JointStep(torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]]), 3, torch.empty(2, 0), None)
    assert torch.equal(graph.mean_action(step), Neighbourhood().mean_action(step))


def test_an_army_counts_its_living_and_others_leave_the_agent_out() -> None:
    alive = torch.tensor([[True, True, True, False], [True, True, False, False]])
    step = JointStep(torch.tensor([[0, 1, 1, 2]] * 2), 3, torch.empty(2, 0), None, alive)
    army = Army().mean_action(step)
    torch.testing.assert_close(army, torch.tensor([[[1 / 3, 2 / 3, 0]], [[1 / 2, 1 / 2, 0]]]))
    others = Neighbourhood().mean_action(step)
    torch.testing.assert_close(others[0, :3], torch.tensor([[0, 1, 0], [1 / 2, 1 / 2, 0], [1 / 2, 1 / 2, 0]]))
    torch.testing.assert_close(others[1, :2], torch.tensor([[0.0, 1, 0], [1, 0, 0]]))


def test_noise_takes_its_draws_and_all_else_takes_none() -> None:
    assert Noise().draws(4, 3) == 3
    uniform = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    step = JointStep(torch.zeros(5, 4, dtype=torch.int64), 3, uniform, None)
    torch.testing.assert_close(Noise().total(step).sum(-1), torch.full((5,), 4.0))
    assert Noise().follows_from_total
    assert not Slow().follows_from_total
    assert Neighbourhood().draws(4, 3) == Slow().draws(4, 3) == Graph(((1,), (0,))).draws(2, 3) == 0


def test_train_takes_one_and_it_shows() -> None:
    arguments: dict[str, Any] = {"steps": 40, "evaluations": 2, "learning_rate": 1e-2, "samples_per_update": 8}
    plain = train(MFQ, GAME, range(2), **arguments)
    named = train(MFQ, GAME, range(2), neighbourhood=Neighbourhood(), **arguments)
    slow = train(MFQ, GAME, range(2), neighbourhood=Slow(), **arguments)
    assert plain.equals(named)
    assert not plain.equals(slow)


@dataclass(frozen=True)
class TooFlat(Neighbourhood):
    """Forgets the agents."""

    def mean_action(self, step: JointStep) -> Tensor:
        return super().mean_action(step)[:, 0]


@dataclass(frozen=True)
class DrawsLess(Neighbourhood):
    """Draws no number of numbers."""

    def draws(self, agents: int, actions: int) -> int:
        return -1


@dataclass(frozen=True)
class Nothing(Neighbourhood):
    """Forgets to return."""

    def mean_action(self, step: JointStep) -> Tensor:
        super().mean_action(step)
        return None  # type: ignore[return-value]


@dataclass(frozen=True)
class OfAllSeeds(Neighbourhood):
    """Counts over all seeds."""

    def mean_action(self, step: JointStep) -> Tensor:
        return super().mean_action(step).mean(0, keepdim=True).expand(len(step.actions), -1, -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbourhood": DrawsLess()}, "neighbourhood: draws of DrawsLess must be an integer of at least 0, got -1"),
        (
            {"neighbourhood": Nothing()},
            "mean_action of Nothing must give float32 [2, 4, 3] or [2, 1, 3] for 2 seeds",
        ),
        ({"neighbourhood": OfAllSeeds()}, "mean_action of OfAllSeeds must be of each seed by itself, got another one"),
        ({"neighbourhood": "previous"}, "neighbourhood must be a Neighbourhood such as Graph(...), got 'previous'"),
        ({"neighbourhood": TooFlat()}, "mean_action of TooFlat must give float32 [2, 4, 3] or [2, 1, 3] for 2 seeds"),
        ({"neighbourhood": Graph(((1,), (0,)))}, "neighbours must be of 4 agents, got those of 2"),
        ({"neighbourhood": Slow(), "stored_mean_action": "same"}, "stored_mean_action must be left out with a neigh"),
    ],
)
def test_bad_ones_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ReplayDataModule(GAME, [0], steps=4, evaluations=1, **change)


@pytest.mark.parametrize("neighbours", [((1,), ()), ((1, 1), (0,)), ((1, 2), (0,)), ((1, -1), (0,))])
def test_bad_graphs_are_refused(neighbours: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match=r"neighbours of agent . must be distinct numbers in 0 .. 1, at least one"):
        Graph(neighbours)


@pytest.mark.parametrize("other", [Slow(), Noise(), Army()])
def test_an_iterated_fixed_point_is_of_all_others_alone(other: Neighbourhood) -> None:
    running: dict[str, Any] = {"steps": 4, "evaluations": 1, "samples_per_update": 5, "fixed_point": "iterated"}
    name = type(other).__name__
    with pytest.raises(ValueError, match=rf"fixed_point must be one-shot with {name}\(.*\): iterated is of all others"):
        train(MFQ, GAME, [0], neighbourhood=other, **running)
    train(MFQ, GAME, [0], neighbourhood=Neighbourhood(same_step=True), **running)


def test_noise_stands_for_the_sum_of_all_actions() -> None:
    actions = torch.tensor([[0, 0, 2, 1]])
    step = JointStep(actions, 3, torch.rand(1, 3, generator=torch.Generator().manual_seed(0)), None)
    [given] = Noise().mean_action(step)
    torch.testing.assert_close(given.sum(-1), torch.ones(4))
    own = torch.nn.functional.one_hot(actions[0], 3)
    point = (given * 3 + own) / 4
    torch.testing.assert_close(point, point[:1].expand(4, 3))
    assert (point > 0).all()
    assert given.min() >= -1 / 3

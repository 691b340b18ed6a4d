"""The released actor-critics of Battle: loss and returns by hand, one gradient step a round, the network's form."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from math import log
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from mfmarl.algorithms.battle_released import ReleasedAC, ReleasedMFAC
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.self_play import OnPolicyDataModule, PlayedRound
from mfmarl.environments.battle.game import Battle
from mfmarl.networks.battle_released import ActorCriticPerceptron
from mfmarl.policies import Acting

GAME = Battle(8, 30)
CLASSES = [ReleasedAC, ReleasedMFAC]


def seen(size: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    chance = Generator().manual_seed(seed)
    view, feature, mean = (torch.rand(size, *shape, generator=chance) for shape in ((13, 13, 7), (34,), (21,)))
    return view, feature, mean


class Lookup(nn.Module):
    """Logits and values of two situations, told apart by the feature's first number."""

    def __init__(self) -> None:
        super().__init__()
        # Probabilities 3/4 and 1/4 of actions 0 and 1 in the first situation, 1/2 each in the second.
        logits = torch.full((2, 21), -1e9)
        logits[0, :2], logits[1, :2] = torch.tensor([log(3.0), 0.0]), torch.tensor([0.0, 0.0])
        self.logits, self.values = nn.Parameter(logits), nn.Parameter(torch.tensor([2.0, -1.0]))

    def both(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> tuple[Tensor, Tensor]:
        situation = feature[:, 0].long()
        return self.logits[situation], self.values[situation]


def moves(situations: list[int], actions: list[int]) -> BattleBatch:
    size = len(actions)
    view, feature, mean = torch.zeros(size, 13, 13, 7), torch.zeros(size, 34), torch.zeros(size, 21)
    feature[:, 0] = torch.tensor(situations)
    nothing = torch.zeros(size)
    return BattleBatch(view, feature, mean, torch.tensor(actions), nothing, view, feature, mean, nothing.bool())


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(("entropy_weight", "value_weight"), [(0.08, 0.1), (0.0, 1.0)])
def test_the_loss_by_hand(cls: type[ReleasedAC], entropy_weight: float, value_weight: float) -> None:
    agent: Any = cls(GAME, (0,), entropy_weight=entropy_weight, value_weight=value_weight)
    agent.network = Lookup()
    loss = agent.loss(moves([0, 1], [1, 0]), torch.tensor([5.0, -3.0]))
    entropy = -(0.75 * log(0.75) + 0.25 * log(0.25)), log(2)
    expected = value_weight * (3.0**2 + (-2.0) ** 2) / 2
    expected -= (3.0 * log(0.25) + -2.0 * log(0.5)) / 2 + entropy_weight * sum(entropy) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    loss.backward()
    torch.testing.assert_close(
        agent.network.values.grad, -value_weight * torch.tensor([3.0, -2.0]), msg="the advantage passes no gradient on"
    )
    # d/d logit_0 of the first: (pi_0 A) / 2 less the entropy's part, pi_0 (log pi_0 + H) w / 2.
    wanted = (0.75 * 3.0 + entropy_weight * 0.75 * (log(0.75) + entropy[0])) / 2
    assert agent.network.logits.grad[0, 0].item() == pytest.approx(wanted, rel=1e-4)


def test_the_least_probability_under_the_logarithm_is_a_millionth() -> None:
    agent: Any = ReleasedAC(GAME, (0,), entropy_weight=0.0, value_weight=1.0)
    agent.network = Lookup()
    loss = agent.loss(moves([1], [5]), torch.tensor([2.0]))  # an action that it never takes, advantage 3
    assert loss.item() == pytest.approx(9.0 - 3.0 * log(1e-6), rel=1e-5)


@pytest.mark.parametrize("cls", CLASSES)
def test_actors_draw_from_the_softmax_of_their_logits(cls: type[ReleasedAC]) -> None:
    assert cls(GAME, (0,)).acting == Acting("temperature", 1.0)


class Still:
    """Half of army 0 rushes, so that some die and some do not."""

    device = torch.device("cpu")
    uses_mean_action = False

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        return (uniform * 21).long() if army == 0 else torch.where(uniform < 0.9, 13 + (uniform * 8).long(), 6)

    def playing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def opponent_follows(self) -> None:
        pass


def a_round(seed: int = 0) -> PlayedRound:
    data = OnPolicyDataModule(Battle(32, 200), (seed,), steps=1, evaluations=1)
    (played,) = data.play(Still())
    return played


def test_returns_are_those_of_each_agent_by_itself() -> None:
    played = a_round()
    everything = played.transitions(torch.arange(len(played)))
    agents: dict[tuple[float, ...], list[int]] = {}
    for number, bits in enumerate(everything.feature[:, :10].tolist()):
        agents.setdefault(tuple(bits), []).append(number)  # the features begin with the bits of the id
    assert len(agents) == 32
    lengths = {len(numbers) for numbers in agents.values()}
    assert len(lengths) > 1, "some die"
    last = played.last.tolist()
    assert sorted(last) == sorted(numbers[-1] for numbers in agents.values())
    values = torch.arange(32.0)
    returns = played.returns(values, 0.9)
    assert returns.dtype == torch.float32
    for numbers in agents.values():
        after = values[last.index(numbers[-1])].item()
        for number in reversed(numbers):
            after = everything.reward[number].item() + 0.9 * after
            assert returns[number].item() == pytest.approx(after, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_round_is_one_gradient_step_on_all_of_it(cls: type[ReleasedAC], monkeypatch: pytest.MonkeyPatch) -> None:
    played = a_round()
    at_once, in_parts = cls(GAME, (0,)), cls(GAME, (0,))
    for agent, size in ((at_once, 10**9), (in_parts, 100)):
        monkeypatch.setattr("mfmarl.algorithms.battle_released.TRANSITIONS_AT_ONCE", size)
        optimizer = torch.optim.SGD(agent.network.parameters(), 1e-3)
        for each in agent.network.parameters():
            each.grad = torch.ones_like(each)  # of the round before
        monkeypatch.setattr(agent, "optimizers", lambda use_pl_optimizer, given=optimizer: given, raising=False)

        def experience(policy: object) -> Iterator[PlayedRound]:
            yield played

        agent.training_step(experience, 0)
    start, everything = cls(GAME, (0,)), played.transitions(torch.arange(len(played)))
    last = played.transitions(played.last)
    ends = start.network.both(last.view, last.feature, last.mean_action)[1].detach()
    start.loss(everything, played.returns(ends, 0.95)).backward()  # type: ignore[no-untyped-call]
    for old, new, other in zip(*(agent.network.parameters() for agent in (start, at_once, in_parts)), strict=True):
        assert old.grad is not None
        torch.testing.assert_close(new, old - 1e-3 * old.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(new, other, rtol=1e-4, atol=1e-6)


def test_a_round_is_forgotten_and_the_next_one_drawn_anew() -> None:
    data = OnPolicyDataModule(GAME, (0,), steps=4, evaluations=2)
    (first,), (second,) = data.play(Still()), data.play(Still())
    assert len(first) <= 8 * 30
    state = data.state_dict()
    assert set(state) == {"steps_played", "generators", "scores"}
    (third,) = data.play(Still())
    other = OnPolicyDataModule(GAME, (7,), steps=4, evaluations=2)
    other.load_state_dict(state)
    (again,) = other.play(Still())
    number = torch.arange(20)
    for one, same in zip(third.transitions(number), again.transitions(number), strict=True):
        assert torch.equal(one, same)
    assert not torch.equal(first.transitions(number).action, second.transitions(number).action)


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_the_network_is_the_released_one(uses_mean_action: bool) -> None:
    network = ActorCriticPerceptron(uses_mean_action, Generator().manual_seed(0))
    inputs = seen(5)
    logits, values = network.both(*inputs)
    assert (logits.shape, values.shape) == ((5, 21), (5,))
    assert torch.equal(network(*inputs), logits)
    weight = dict(network.named_parameters())
    hidden = torch.cat(
        [
            inputs[0].flatten(1) @ weight["view.weight"].T,
            inputs[1] @ weight["feature.weight"].T,
        ],
        -1,
    ).relu()
    actor = (hidden @ weight["hidden.weight"].T).relu()
    torch.testing.assert_close(logits, 10 * actor @ weight["logits.weight"].T, rtol=1e-4, atol=1e-4)
    if uses_mean_action:
        mean = (inputs[2] @ weight["mean_action.0.weight"].T).relu() @ weight["mean_action.2.weight"].T
        value = torch.cat([hidden, mean.relu()], -1) @ weight["value.0.weight"].T
        value = value.relu() @ weight["value.2.weight"].T
    else:
        value = actor @ weight["value.weight"].T
    torch.testing.assert_close(values, value.squeeze(-1), rtol=1e-4, atol=1e-4)
    bound = (6 / (1183 + 256)) ** 0.5  # Glorot uniform
    assert 0.99 * bound < weight["view.weight"].abs().max().item() <= bound
    other = network.both(inputs[0], inputs[1], inputs[2].flip(0))
    assert torch.equal(other[0], logits), "the actor does not see the mean action"
    assert torch.equal(other[1], values) is not uses_mean_action


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [("value_weight", 0.0, "positive and finite"), ("entropy_weight", -0.1, "at least 0 and finite")],
)
def test_weights_out_of_range_are_refused(cls: type[ReleasedAC], argument: str, value: float, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument} must be {allowed}, got {value}$"):
        cls(GAME, (0,), **{argument: value})


def test_there_is_no_target_network() -> None:
    with pytest.raises(TypeError, match="target_rate"):
        ReleasedAC(GAME, (0,), target_rate=0.1)


def test_a_lone_survivors_steps_are_steps_of_their_own() -> None:
    replay: Any = SimpleNamespace(
        slots=torch.tensor([0, 1, 1, 1]), rewards=torch.tensor([1.0, 2.0, 3.0, 4.0]), game=Battle(2)
    )
    played = PlayedRound(replay)
    assert played.last.tolist() == [0, 3]
    assert played.returns(torch.tensor([8.0, 16.0]), 0.5).tolist() == [5.0, 2 + 1.5 + 1 + 2.0, 3 + 2 + 4.0, 4 + 8.0]

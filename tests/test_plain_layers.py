"""Networks of plain torch layers: a copy a seed, which starts from its generator; all else is refused."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mfmarl.algorithms.actor_critic import MFAC
from mfmarl.algorithms.battle import BattleMFAC
from mfmarl.algorithms.frequency_maximum import FMQ
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.environments import Battle, GaussianSqueeze
from mfmarl.environments.battle.game import ACTIONS, FEATURES
from mfmarl.jobs.library import train
from mfmarl.networks.stacked import Copies
from mfmarl.seeds import generators, plain_layers_from

GAME = GaussianSqueeze(agents=7, mu=12.0, sigma=6.0, actions=5)
SHORT: dict[str, Any] = {"steps": 40, "evaluations": 2, "samples_per_update": 7, "batch_size": 30}


def layers(inputs: int, outputs: int) -> nn.Module:
    """Of odd widths, with another activation than ours."""
    return nn.Sequential(nn.Linear(inputs, 21), nn.Tanh(), nn.Linear(21, outputs))


class PlainMFQ(MFQ):
    """MF-Q with a copy a seed."""

    def make_network(self, *_: Any) -> nn.Module:
        return Copies(lambda: layers(7 + 5, 5), 7, self.start_generators)


class PlainMFAC(MFAC):
    """MF-AC with a critic a seed."""

    def make_critic(self, *_: Any) -> nn.Module:
        return Copies(lambda: layers(7 + 5, 5), 7, self.start_generators)


class PlainFMQ(FMQ):
    """FMQ, whose network sees no mean action."""

    def make_network(self, *_: Any) -> nn.Module:
        return Copies(lambda: layers(7, 5), 7, self.start_generators)


@pytest.mark.parametrize("cls", [PlainMFQ, PlainMFAC, PlainFMQ])
def test_a_stack_of_copies_is_each_seed_alone(cls: Any) -> None:
    torch.manual_seed(1)
    together = train(cls, GAME, [3, 8, 5], **SHORT)
    for seed in (3, 8, 5):
        torch.manual_seed(seed)  # the global generator does not matter
        alone = train(cls, GAME, [seed], **SHORT)
        assert together[together["seed"] == seed].reset_index(drop=True).equals(alone)
    assert together["training_reward"].nunique() == len(together)


def test_weights_of_a_stack_are_those_alone() -> None:
    def weights(seeds: Sequence[int]) -> list[list[Tensor]]:
        agent = PlainMFQ(GAME, seeds, learning_rate=1e-2)
        data = agent.data_module(GAME, seeds, **SHORT)
        for play in data.rounds():
            agent.learn(play, [agent.configure_optimizers()])
        assert isinstance(agent.network, Copies)
        return [list(copy.parameters()) for copy in agent.network.copies]

    assert all(map(torch.equal, weights([3, 8])[1], weights([8])[0]))


def test_outputs_are_each_copys_own() -> None:
    network = Copies(lambda: layers(4 + 2, 3), 4, generators([0, 1], "start"))
    features = torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(0))
    found = network(None, features)
    for seed in (0, 1):
        expected = network.copies[seed](torch.cat([torch.eye(4), features[seed]], -1))
        torch.testing.assert_close(found[seed], expected)
    agent = torch.tensor([[3, 1], [0, 0]])
    chosen = torch.stack([features[seed, agent[seed]] for seed in (0, 1)])
    torch.testing.assert_close(network(agent, chosen)[1, 0], found[1, 0])
    torch.testing.assert_close(network(agent, chosen)[0], found[0, [3, 1]])


class Shared(IL):
    """One network for all seeds: each would learn from the others' play."""

    def make_network(self, *_: Any) -> nn.Module:
        with plain_layers_from(self.start_generators[0]):
            only = layers(7, 5)
        return Copies(lambda: only, 7, self.start_generators)


class SharedBias(IL):
    """Its network is stacked but for a bias."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.bias = nn.Parameter(torch.zeros(5))

    def losses(self, batch: Any) -> list[Tensor]:
        value = self.network(batch.agent) + self.bias
        return [(batch.reward - value.gather(-1, batch.action.unsqueeze(-1)).squeeze(-1)).square().mean(-1)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Shared, "make must build a new network at every call, got the same one twice"),
        (SharedBias, "losses: all seeds share bias, but each run needs parameters of its own"),
    ],
)
@pytest.mark.parametrize("seeds", [range(2), range(5)])  # five is as long as the bias
def test_seeds_that_share_parameters_are_refused(cls: Any, message: str, seeds: Sequence[int]) -> None:
    with pytest.raises(ValueError, match=message):
        train(cls, GAME, seeds, **SHORT)
    train(cls, GAME, [0], **SHORT)


class FromElsewhere(IL):
    """Its own layer starts from torch's global generator."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.extra = nn.Linear(3, 2)
        with torch.no_grad():
            self.extra.weight.mul_(0.01).add_(1)  # starts that are nearly the same


def test_a_start_from_the_global_generator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"extra.weight of FromElsewhere starts from torch's global generator: make"):
        train(FromElsewhere, GAME, [0], **SHORT)


def test_plain_layers_start_from_the_generator_and_leave_no_trace() -> None:
    def made(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        (own,) = generators([4], "start")
        with plain_layers_from(own):
            first = nn.Linear(3, 2)
        with plain_layers_from(own):
            second = nn.Linear(3, 2)
        assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(seed)))
        return [first.weight, second.weight]

    assert all(map(torch.equal, made(0), made(1)))
    assert not torch.equal(*made(0))


def test_who_draws_from_the_generator_itself_finds_it_untouched() -> None:
    own, other = (generators([4], "start")[0] for _ in range(2))
    with plain_layers_from(own):
        nn.Linear(3, 2)
        drawn = torch.rand(3, generator=own)
    assert torch.equal(drawn, torch.rand(3, generator=other))
    assert torch.equal(own.get_state(), other.get_state())


class Flat(nn.Module):
    """Plain layers on an agent's features in Battle."""

    def __init__(self, uses_mean_action: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, ACTIONS)

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        return self.layer(feature)  # type: ignore[no-any-return]


class FlatMFAC(BattleMFAC):
    """An actor and a critic of plain layers."""

    def make_network(self) -> nn.Module:
        return Flat(self.uses_mean_action, self.start_generator)


def test_in_battle_plain_layers_start_from_the_seed() -> None:
    def made(seed: int, elsewhere: int) -> FlatMFAC:
        torch.manual_seed(elsewhere)
        return FlatMFAC(Battle(8), [seed])

    first, again, other = made(0, 0), made(0, 1), made(1, 0)
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not torch.equal(first.network.layer.weight, other.network.layer.weight)  # type: ignore[union-attr, arg-type]
    assert not torch.equal(first.network.layer.weight, first.critic.layer.weight)  # type: ignore[union-attr, arg-type]

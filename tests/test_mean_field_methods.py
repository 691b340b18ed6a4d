"""A mean field method is not its baseline: the mean action changes what it learns in one step, and what it acts on.

Which methods see the mean action is written down here, not read from the classes.
"""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.battle import BattleAgent, ReplayingAgent
from mfmarl.algorithms.battle_released import ReleasedAC
from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.stateless import StatelessAgent
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.data.stateless_replay import Batch
from mfmarl.data.sweeps import Transition
from mfmarl.environments import GaussianSqueeze
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.ising import Ising
from mfmarl.exploration import Boltzmann

GAME = GaussianSqueeze(agents=3, mu=6.0, sigma=3.0, actions=4)
STATELESS = {"mf-q": "il", "mf-ac": "ac"}
BATTLE = {"battle-mf-q": "battle-il", "battle-mf-ac": "battle-ac", "battle-released-mf-ac": "battle-released-ac"}
OTHERS = {"fmq", "rec-fmq", "maac"}
SAMPLES = 12
FIRST, SECOND = (one_hot(torch.tensor(action), 4).float() for action in (0, 3))  # mean actions far apart


def test_every_method_is_named_here() -> None:
    assert set(ALGORITHMS["stateless"]) == {*STATELESS, *STATELESS.values(), *OTHERS}
    assert set(ALGORITHMS["battle"]) == {*BATTLE, *BATTLE.values()}
    stateless = {name: cast(type[StatelessAgent], algorithm_class(name)) for name in ALGORITHMS["stateless"]}
    assert {name for name, cls in stateless.items() if cls.uses_mean_action} == {*STATELESS}
    assert {name for name, cls in stateless.items() if cls.uses_joint_action} == {"maac"}


# Stateless games.


def an_agent(name: str) -> StatelessAgent:
    rates = {"learning_rate": 0.01} if name in ("mf-q", "il") else {}
    return cast(StatelessAgent, cast(Callable[..., Any], algorithm_class(name))(GAME, (1, 2), **rates))


def q_values(agent: Any, mean_action: Tensor | None) -> Tensor:
    """Q of every agent and action `[seeds, agents, D]`, asked under a mean action `[D]` if any."""
    seen = None if mean_action is None else mean_action.expand(2, 3, 4)
    with torch.no_grad():
        return cast(Tensor, (agent.critic if hasattr(agent, "critic") else agent.network)(None, seen))


def after_a_step(name: str, learned_under: Tensor | None, asked_under: Tensor | None) -> Tensor:
    """Q after one gradient step on a batch whose samples all have one mean action."""
    agent = an_agent(name)
    chance = Generator().manual_seed(4)
    who, action = (torch.randint(most, (2, SAMPLES), generator=chance) for most in (3, 4))
    mean = None if learned_under is None else learned_under.expand(2, SAMPLES, 4)
    batch = Batch(who, action, torch.randn(2, SAMPLES, generator=chance), mean, None)
    optimizers = cast(Any, agent.configure_optimizers())
    agent.learn(lambda policy: iter([batch]), optimizers if isinstance(optimizers, list) else [optimizers])
    return q_values(agent, asked_under)


@pytest.mark.parametrize(("name", "baseline"), STATELESS.items())
def test_one_gradient_step_of_a_stateless_game_depends_on_the_mean_action(name: str, baseline: str) -> None:
    one, other = (after_a_step(name, mean, FIRST) for mean in (FIRST, SECOND))
    assert not torch.allclose(one, other, atol=1e-5)
    assert not torch.allclose(one, after_a_step(baseline, None, None), atol=1e-5)
    assert not torch.allclose(one, after_a_step(name, FIRST, SECOND), atol=1e-5)  # what it says of each differs


@pytest.mark.parametrize("baseline", STATELESS.values())
def test_a_baseline_of_a_stateless_game_has_no_place_for_the_mean_action(baseline: str) -> None:
    mean = {name: parameter for name, parameter in an_agent(baseline).named_parameters() if "feature" in name}
    assert mean == {}


def test_mf_q_acts_on_the_mean_action() -> None:
    agent = cast(Any, algorithm_class("mf-q"))(GAME, (1, 2), exploration=Boltzmann(0.1))
    with torch.no_grad():
        agent.network.features.mul_(30)  # at the start it says little
    draws = torch.linspace(0, 0.99, 50)
    acted = [torch.stack([agent.act(mean.expand(2, 3, 4), draw.expand(2, 3), 0) for draw in draws])
             for mean in (FIRST, SECOND)]  # fmt: skip
    assert not torch.equal(*acted)
    assert not torch.equal(*(agent.act_greedily(mean.expand(2, 3, 4)) for mean in (FIRST, SECOND)))


def trained(name: str, stored: str) -> dict[str, Tensor]:
    """The parameters after some joint steps of play, learned from as the data module hands them on."""
    agent = an_agent(name)
    data = ReplayDataModule(
        GAME, (1, 2), steps=20, evaluations=1, batch_size=12, samples_per_update=6, stored_mean_action=cast(Any, stored)
    )
    optimizers = cast(Any, agent.configure_optimizers())
    for experience in data.train_dataloader():
        agent.learn(experience, optimizers if isinstance(optimizers, list) else [optimizers])
    return {key: parameter.detach() for key, parameter in agent.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(("name", "baseline"), STATELESS.items())
def test_the_data_module_hands_the_mean_action_to_mean_field_methods_alone(name: str, baseline: str) -> None:
    """What is stored as the mean action, Eq. 11's or random numbers, changes what a mean field method learns."""
    for who, changes in ((name, True), (baseline, False)):
        heard, noise = trained(who, "previous"), trained(who, "noise")
        assert all(torch.equal(heard[key], noise[key]) for key in heard) is not changes, who


# Lattices.


def test_the_table_of_a_lattice_learns_and_acts_by_its_neighbours() -> None:
    game = Ising(4)
    site = torch.arange(16).view(1, 1, 16)

    def of(*values: int) -> Tensor:
        return torch.tensor(values, dtype=torch.int8).view(1, 1, -1)

    learned = {}
    for neighbours in (-4, 4):
        agent = TabularMFQ(game, [0], temperatures=[0.1], start_temperature=0.0)
        agent.learn(Transition(site, of(*[neighbours] * 16), of(*[1] * 16), torch.full((1, 1, 16), 2.0)))
        learned[neighbours] = agent
        moved = agent.q_table.view(16, 5, 2).ne(0).nonzero()
        assert moved.tolist() == [[each, (neighbours + 4) // 2, 1] for each in range(16)]
    assert not torch.equal(learned[-4].q_table, learned[4].q_table)
    uniform = torch.full((1, 1, 16), 0.6)  # up only where up is worth more
    for seen in (-4, 4):
        acted = learned[4].act(site, of(*[seen] * 16), of(*[-1] * 16), uniform, 0)
        assert set(acted.flatten().tolist()) == {1 if seen == 4 else -1}


# Battle.


def an_army(name: str) -> BattleAgent:
    agent = cast(BattleAgent, cast(Callable[..., Any], algorithm_class(name))(Battle(2, 10), (0,), learning_rate=1e-3))
    agent.trainer = cast(Any, None)
    return agent


def a_battle_batch(mean: Tensor) -> BattleBatch:
    chance = Generator().manual_seed(6)
    views = [torch.rand(SAMPLES, *shape, generator=chance) for shape in ((13, 13, 7), (34,)) * 2]
    action = torch.randint(21, (SAMPLES,), generator=chance)
    reward, means = torch.randn(SAMPLES, generator=chance), mean.expand(SAMPLES, 21)
    return BattleBatch(
        views[0], views[1], means, action, reward, views[2], views[3], means, torch.zeros(SAMPLES).bool()
    )


MEANS = [one_hot(torch.tensor(action), 21).float() for action in (0, 13)]


def a_battle_step(name: str, mean: Tensor) -> list[Tensor]:
    """What one gradient step on samples of one mean action changes in each parameter that the baseline has too."""
    agent, batch = an_army(name), a_battle_batch(mean)
    optimizer = cast(torch.optim.Optimizer, agent.configure_optimizers())
    if isinstance(agent, ReleasedAC):
        loss = agent.loss(batch, torch.linspace(-1, 1, SAMPLES))
    else:
        loss = cast(ReplayingAgent, agent).loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return [each.detach() for network in (agent.network, getattr(agent, "critic", None)) if network is not None
            for each in network.parameters()]  # fmt: skip


@pytest.mark.parametrize(("name", "baseline"), BATTLE.items())
def test_one_gradient_step_of_battle_depends_on_the_mean_action(name: str, baseline: str) -> None:
    for who, changes in ((name, True), (baseline, False)):
        one, other = (a_battle_step(who, mean) for mean in MEANS)
        assert all(map(torch.equal, one, other)) is not changes, who
    shapes = [[tuple(each.shape) for each in a_battle_step(who, MEANS[0])] for who in (name, baseline)]
    assert shapes[0] != shapes[1]


@pytest.mark.parametrize(("name", "baseline"), BATTLE.items())
def test_the_networks_of_battle_see_the_mean_action(name: str, baseline: str) -> None:
    """All of a method's networks do; in the released code, as its actor does not, its critic alone."""
    for who, sees in ((name, True), (baseline, False)):
        agent = an_army(who)
        batches = [a_battle_batch(mean) for mean in MEANS]
        seen = [(batch.view, batch.feature, batch.mean_action) for batch in batches]
        released = isinstance(agent, ReleasedAC)
        with torch.no_grad():
            for network in filter(None, (agent.network, agent.opponent, getattr(agent, "critic", None))):
                acted = [network(*each) for each in seen]
                assert torch.equal(*acted) is not (sees and not released), who
                if released:
                    assert torch.equal(*(network.both(*each)[1] for each in seen)) is not sees, who

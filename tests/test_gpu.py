"""A round of every method on a GPU, or on a stand-in for one where there is none: nothing lies on the wrong device.

What a round asks of the stand-in is counted and compared with gpu_counts.csv: kernels, copies to the device and to the
host, and how often the host waits, in so many steps of play and so many gradient steps, the second round counting.
`python -m tests.test_gpu` writes the table again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
import torch

from mfmarl.algorithms import ALGORITHMS, agent_of_seeds, algorithm_class
from mfmarl.environments import Battle, GaussianSqueeze, Ising
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW
from mfmarl.exploration import EpsilonGreedy
from mfmarl.networks.battle import BattleNetwork
from mfmarl.policies import Acting, Policy
from mfmarl.tournament.duel import play_to_end
from tests.stand_in import CUDA, Counts, StandIn

TABLE = Path(__file__).with_name("gpu_counts.csv")
STACK = "battle-mf-q, 4 seeds"
METHODS = [(str(kind), name) for kind, names in ALGORITHMS.items() for name in names]
METHODS += [("battle", STACK), ("tournament", "duel")]
MORE_KERNELS = 1.1  # other versions of torch make one operator of several, or several of one
COUNTED = [each.name for each in fields(Counts)]

Parts = dict[str, tuple[int, Counts]]  # "play" and "learn": steps, and what they asked for


@pytest.mark.parametrize(("kind", "name"), METHODS)
def test_a_round_asks_of_the_device_what_the_table_says(kind: str, name: str) -> None:
    table: Any = {(row["method"], row["part"]): row for row in pd.read_csv(TABLE).to_dict("records")}
    for part, (steps, counts) in counted(kind, name).items():
        known = table[name, part]
        assert steps == known["steps"]
        assert counts.kernels <= MORE_KERNELS * known["kernels"], "update gpu_counts.csv if that is meant"
        for column in COUNTED[1:]:
            assert getattr(counts, column) == known[column], f"{part}: {column}; update gpu_counts.csv if that is meant"


def test_the_table_has_a_row_of_each_method_and_no_others() -> None:
    assert set(pd.read_csv(TABLE)["method"]) == {name for _, name in METHODS}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize(("kind", "name"), METHODS[:-1])
def test_a_round_on_a_real_gpu(kind: str, name: str) -> None:
    agent, rounds = on_device(kind, name)
    for play in rounds:
        agent.training_step(play, 0)
    assert all(each.device == CUDA and each.isfinite().all() for each in agent.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_duel_on_a_real_gpu() -> None:
    assert duel(two_armies()) > 0


def test_an_army_acts_alike_where_its_network_has_moved_to() -> None:
    draw = torch.Generator().manual_seed(0)
    seen = torch.rand(1, 8, *VIEW, generator=draw), torch.rand(1, 8, FEATURES, generator=draw)
    alive, mean = torch.ones(1, 8, dtype=torch.bool), torch.rand(1, 8, ACTIONS, generator=draw)
    policy = Policy(BattleNetwork(True, draw), Acting("epsilon", 0.05), {}, uses_mean_action=True)

    def acts() -> list[list[int]]:
        actions: list[list[int]] = policy.act(*seen, alive, mean, [torch.Generator()], "greedy").tolist()
        return actions

    on_cpu = acts()
    with StandIn() as device:
        policy.network.to(CUDA)
        assert acts() == on_cpu
        assert device.counts.kernels > 0
        policy.network.to("cpu")
        assert acts() == on_cpu


def counted(kind: str, name: str) -> Parts:
    """What the second round of a method asks of a stand-in, or a duel of trained armies."""
    with StandIn() as device:
        if kind == "tournament":
            armies = two_armies()
            device.counts = Counts()
            return {"play": (duel(armies), device.counts)}
        agent, rounds = on_device(kind, name)
        agent.training_step(rounds[0], 0)
        if kind == "battle":
            return in_battle(device, agent, rounds[1])
        return elsewhere(device, agent, rounds[1])


def two_armies() -> list[Policy]:
    """Trained for nothing, on the device."""
    return [
        Policy(
            BattleNetwork(True, torch.Generator().manual_seed(seed)).to(CUDA),
            Acting("temperature", 0.1),
            {},
            uses_mean_action=True,
        )
        for seed in (0, 1)
    ]


def duel(armies: list[Policy]) -> int:
    """Two battles between the armies in lock step; how many steps they had."""
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    battles = Battles(Battle(4, 10), 2)
    battles.reset(generators)
    play_to_end(battles, armies, generators, "sampled")
    return int(battles.steps.max())


def on_device(kind: str, name: str) -> tuple[Any, list[Callable[..., Any]]]:
    """A method on the device, with an optimizer but no Trainer, and two rounds."""
    seeds = range(4) if name == STACK else range(1)
    name = name.partition(",")[0]
    cls: Any = algorithm_class(name)
    arguments: dict[str, Any] = {}
    data: dict[str, Any] = {"steps": 20, "evaluations": 2}
    game: Any = GaussianSqueeze(agents=20)
    if kind == "stateless":
        data |= {"batch_size": 10, "samples_per_update": 50, "block_steps": 10}
    elif kind == "lattice":
        game, arguments = Ising(4), {"temperatures": (0.8, 1.2)}
        data |= {"temperatures": (0.8, 1.2)}
    else:
        game, data["steps"] = Battle(4, 10), 2
        if name in ("battle-il", "battle-mf-q"):
            arguments["exploration"] = EpsilonGreedy(0.5, 0.5)
        if "released" not in name:
            data |= {"batch_size": 8, "samples_per_update": 20}
    agent: Any = agent_of_seeds(cls, game, seeds, **arguments).to(CUDA)
    optimizer = agent.configure_optimizers() if kind != "lattice" else None
    agent.optimizers = lambda use_pl_optimizer: optimizer
    module = agent.data_module(game, seeds, **data)
    agent.data = module
    return agent, [*module.rounds(), *module.rounds()]


def in_battle(device: StandIn, agent: Any, round_of: Callable[..., Any]) -> Parts:
    """Apart: the fight with its storing, then all that follows from it."""
    module, fight_of = agent.data, "_fight_all" if len(agent.seeds) > 1 else "play_and_store"
    play = getattr(module, fight_of)
    played: list[Counts] = []

    def counting(*arguments: Any) -> Any:
        device.counts = Counts()
        stored = play(*arguments)
        played.append(device.counts)
        device.counts = Counts()
        return stored

    with patch.object(module, fight_of, counting), steps_counted(agent) as steps:
        agent.training_step(round_of, 0)
    return {"play": (int(module.battles.steps.max()), played[0]), "learn": (steps[0], device.counts)}


def elsewhere(device: StandIn, agent: Any, round_of: Callable[..., Any]) -> Parts:
    """Apart: what the round does until it yields a minibatch, then what is done with it."""
    parts = {"play": Counts(), "learn": Counts()}
    first = agent.data.steps_played

    def watched(policy: Any, **named: Any) -> Iterator[Any]:
        batches = iter(round_of(policy, **named))
        while True:
            device.counts = parts["play"]
            try:
                batch = next(batches)
            except StopIteration:
                return
            device.counts = parts["learn"]
            yield batch

    with steps_counted(agent) as steps:
        agent.training_step(watched, 0)
    played = agent.data.steps_played - first
    return {"play": (played, parts["play"]), "learn": (steps[0] or played, parts["learn"])}


@contextmanager
def steps_counted(agent: Any) -> Iterator[list[int]]:
    """Counts the gradient steps of the agent's first optimizer."""
    steps, optimizers = [0], agent.raw_optimizers() if agent.optimizers(False) is not None else []

    def stepped(*_: Any) -> None:
        steps[0] += 1

    handles = [optimizer.register_step_post_hook(stepped) for optimizer in optimizers[:1]]
    yield steps
    for handle in handles:
        handle.remove()


def main() -> None:
    """Write the table."""
    rows = [
        [name, part, steps, *astuple(counts)]
        for kind, name in METHODS
        for part, (steps, counts) in counted(kind, name).items()
    ]
    pd.DataFrame(rows, columns=["method", "part", "steps", *COUNTED]).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()

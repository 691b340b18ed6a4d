"""Mistakes of those who write a method, a network or a call of their own: one line each, and nothing silent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mfmarl import MFQ, Battle, BattleIL, BattleMFQ, Execution, GaussianSqueeze, Ising, TabularMFQ, load_agent, train
from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.q_learning import IL
from mfmarl.data.neighbourhood import Noise
from mfmarl.networks.stacked import Copies
from mfmarl.tournament.fights import fight
from tests.support import same

GAME = GaussianSqueeze(10)
SHORT: dict[str, Any] = {"steps": 20, "evaluations": 2, "batch_size": 10, "samples_per_update": 50}


def squeeze(choose: Callable[[Tensor], Any]) -> type[IL]:
    class Mine(IL):
        def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Any:
            return choose(super().act(mean_action, uniform, step))

    return Mine


@pytest.mark.parametrize(
    ("choose", "got"),
    [
        (lambda actions: actions + 10, r"got 1\d \.\. 1\d"),
        (lambda actions: actions - 20, r"got -\d+ \.\. -\d+"),
        (lambda actions: actions.double(), "got torch.float64"),
        (lambda actions: actions > 5, "got torch.bool"),
        (lambda actions: actions[:1], r"got the shape \[1, 10\]"),
        (lambda actions: None, "got NoneType"),
    ],
)
def test_actions_that_are_none(choose: Callable[[Tensor], Any], got: str) -> None:
    with pytest.raises(ValueError, match=rf"^act of Mine must give whole numbers in 0 \.\. 9, \[2, 10\], {got}$"):
        train(squeeze(choose), GAME, [0, 1], **SHORT)


@pytest.mark.parametrize("spin", [0, 3])
def test_spins_that_are_none(spin: int) -> None:
    class Mine(TabularMFQ):
        def act(self, site: Tensor, neighbours: Tensor, own: Tensor, uniform: Tensor, step: int) -> Tensor:
            return torch.full_like(own, spin)

    with pytest.raises(
        ValueError, match=rf"^act of Mine must give whole numbers in -1 \.\. 1, .*, got {spin} \.\. {spin}$"
    ):
        train(Mine, Ising(4), [0], steps=2, evaluations=1, temperatures=[1.0])


def test_one_action_for_a_whole_army() -> None:
    class Mine(BattleMFQ):
        def act(self, army: int, view: Tensor, feature: Tensor, mean: Tensor, uniform: Tensor, step: int) -> Tensor:
            return torch.zeros(1, dtype=torch.int64)

    with pytest.raises(
        ValueError, match=r"^act of Mine must give whole numbers in 0 \.\. 20, \[4\], got the shape \[1\]$"
    ):
        train(Mine, Battle(4), [0], steps=1, evaluations=1)


def test_one_network_made_outside_for_all_seeds() -> None:
    network = nn.Linear(10, 10)
    generators = [torch.Generator(), torch.Generator()]
    with pytest.raises(ValueError, match=r"^make must build a new network at every call, got the same one twice$"):
        Copies(lambda: network, 10, generators)


@pytest.mark.parametrize("name", ["neighbourhood", "stored_mean_action"])
def test_a_neighbourhood_that_a_method_never_reads(name: str) -> None:
    value: Any = Noise() if name == "neighbourhood" else "noise"
    with pytest.raises(ValueError, match=f"^{name}: got one for IL, which sees no mean action: leave it out$"):
        train(IL, GAME, [0], **SHORT, **{name: value})


def test_a_trained_agent_is_no_army_yet() -> None:
    with pytest.raises(ValueError, match=r"^army must be a Policy, .*, got a BattleIL: save a trained agent"):
        fight(BattleIL(Battle(2), [0]), "random", 1)  # type: ignore[arg-type]


def test_a_kept_agent_is_saved_in_a_folder_that_is_made_and_loaded(tmp_path: Path) -> None:
    _, (agent,) = train(MFQ, GAME, [0, 1], keep=True, **SHORT)
    agent.save(f"{tmp_path}/new/folder")
    again = load_agent(tmp_path / "new/folder/agent.safetensors")
    assert same(again.state_dict(), agent.state_dict())


@pytest.mark.parametrize("precision", ["64", "bf16-mixed"])
@pytest.mark.parametrize("name", sorted(ALGORITHMS["stateless"]))
def test_every_method_trains_in_every_precision(name: str, precision: Any) -> None:
    curves = train(algorithm_class(name), GAME, [0, 1], execution=Execution(workers=1, precision=precision), **SHORT)
    assert len(curves) == 4

"""What the driver of Battle promises beyond the rules: memory, refusals, interruptions."""

import os
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest
import torch
from torch import Generator, Tensor

from mfmarl.environments.battle import engine as battle_engine
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle, Start
from mfmarl.environments.battle.scripts import rush

STAY = torch.full((1, 2, 2), 6)


def both_rush(battles: Battles) -> Tensor:
    views, features, *_ = battles.observe()
    return torch.stack([rush(views[:, army], features[:, army]) for army in (0, 1)], 1)


def begun(agents: int = 2, **settings: int) -> Battles:
    battles = Battles(Battle(agents, **settings))
    battles.begin([Start(2, 0, 0)])
    return battles


def test_only_views_and_features_are_shared_and_only_until_the_next_observe() -> None:
    battles = begun(8)
    observed = battles.observe()
    copies: list[tuple[Tensor, Tensor]] = []
    while not battles.done.all():
        views, features = observed.views.clone(), observed.features.clone()
        handed = [*observed[2:], *battles.units(), battles.alive, battles.done, battles.steps, battles.log(0)]
        handed += [*battles.step(both_rush(battles)), battles.survivors, battles.kills, *battles.state_dict().values()]
        copies += [(tensor, tensor.clone()) for tensor in handed]
        # Even a step that annihilates leaves the observation that led to it.
        assert observed.views.equal(views)
        assert observed.features.equal(features)
        again = battles.observe()
        assert again.views.data_ptr() == observed.views.data_ptr()
        assert again.features.data_ptr() == observed.features.data_ptr()
        assert not observed.features.equal(features)
        observed = again
    assert all(tensor.equal(copy) for tensor, copy in copies)
    assert battles.annihilated.all()
    assert not observed.views.any()
    assert not observed.features.any()


def test_nothing_that_is_handed_out_reaches_into_the_battles() -> None:
    battles, untouched = begun(8), begun(8)
    while not untouched.done.all():
        actions = both_rush(untouched)
        assert both_rush(battles).equal(actions)
        handed = [*battles.observe()[2:], *battles.units(), battles.alive, battles.done, battles.steps, battles.log(0)]
        handed += [*battles.step(actions.clone()), *battles.state_dict().values()]
        for tensor in handed:
            tensor.fill_(1)
        expected = untouched.step(actions)
        assert battles.alive.equal(untouched.alive)
        assert battles.done.equal(expected.done)
        assert battles.log(0).equal(untouched.log(0))
    battles.observe()
    untouched.observe()
    for entry, expected_entry in zip(battles.units(), untouched.units(), strict=True):
        assert entry.equal(expected_entry)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Battle(0), r"agents must be in 1 \.\. 384 a side, got 0"),
        (lambda: Battle(385), r"agents must be in 1 \.\. 384 a side, got 385"),
        (lambda: Battle(3), "agents must fill a block of sides within 1 : 2, got 3 = 1 x 3"),
        (lambda: Battle(7), "agents must fill a block of sides within 1 : 2, got 7 = 1 x 7"),
        (lambda: Battle(8, max_steps=0), "max_steps must be at least 1, a whole number up to 1000000000, got 0"),
        (lambda: Start(0, 0, 0), r"seed must be in 2 \.\. 2147483646, got 0"),
        (lambda: Start(1, 0, 0), r"seed must be in 2 \.\. 2147483646, got 1"),
        (lambda: Start(2**31 - 1, 0, 0), r"seed must be in 2 \.\. 2147483646, got 2147483647"),
        (lambda: Start("2", 0, 0), "seed must be a whole number, got '2'"),  # type: ignore[arg-type]
        (lambda: Start(2, 2, 0), "left must be army 0 or 1, got 2"),
        (lambda: Start(2, 0, -1), "first must be army 0 or 1, got -1"),
        (lambda: Battles(Battle(2), 0), "battles must be an integer of at least 1, got 0"),
        (lambda: Battles(Battle(2), 1.5), "battles must be an integer of at least 1, got 1.5"),  # type: ignore[arg-type]
        (lambda: Battles(Battle(2)).reset([]), "generators must have one entry for each of 1 battles, got 0"),
        (lambda: Battles(Battle(2)).reset([Generator()], left=[0, 1]), "left must have .* 1 battles, got 2"),
        (lambda: Battles(Battle(2)).reset([Generator()], first=[3]), "first must be army 0 or 1, got 3"),
        (lambda: Battles(Battle(2)).begin([]), "starts must have one entry for each of 1 battles, got 0"),
        (lambda: Battles(Battle(2)).observe(), "observe: no round has begun, reset first"),
        (lambda: Battles(Battle(2)).units(), "units: no round has begun, reset first"),
        (lambda: Battles(Battle(2)).step(STAY), "step: no round has begun, reset first"),
        (lambda: begun().step(STAY), "step: observe must be called before each step"),
        (lambda: begun().units(), "units: observe must be called first"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (STAY[0], r"actions must be int64 of shape \[1, 2, 2\], got torch.int64 of shape \[2, 2\]"),
        (STAY[..., :1], r"actions must be int64 .*, got torch.int64 of shape \[1, 2, 1\]"),
        (STAY.repeat(2, 1, 1), r"actions must be int64 .*, got torch.int64 of shape \[2, 2, 2\]"),
        (STAY.int(), r"actions must be int64 .*, got torch.int32 of shape \[1, 2, 2\]"),
        (STAY.float(), r"actions must be int64 .*, got torch.float32 of shape \[1, 2, 2\]"),
        (STAY + 15, r"actions must be in 0 \.\. 20, got 21"),
        (STAY - 7, r"actions must be in 0 \.\. 20, got -1"),
        (torch.tensor([[[0, 1], [20, 22]]]), r"actions must be in 0 \.\. 20, got 22"),
        (torch.tensor([[[0, 1], [20, -3]]]), r"actions must be in 0 \.\. 20, got -3"),
        (STAY + 256, r"actions must be in 0 \.\. 20, got 262"),
    ],
)
def test_bad_actions_are_refused_and_leave_the_battle_as_it_was(actions: Tensor, message: str) -> None:
    battles = begun()
    battles.observe()
    with pytest.raises(ValueError, match=f"^{message}$"):
        battles.step(actions)
    assert battles.steps.tolist() == [0]
    battles.step(STAY)
    with pytest.raises(ValueError, match=r"^step: observe must be called before each step$"):
        battles.step(STAY)


class Interrupting:
    """The engine's library, that a Ctrl-C interrupts at one call."""

    def __init__(self, library: Any, name: str) -> None:
        self.library, self.name = library, name

    def __getattr__(self, name: str) -> Any:
        if name == self.name:
            raise KeyboardInterrupt
        return getattr(self.library, name)


@pytest.mark.parametrize("call", ["env_set_action", "env_step", "env_get_reward", "gridworld_clear_dead"])
def test_after_an_interrupted_step_only_a_reset_helps(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    battles, untouched = begun(8), begun(8)
    for _ in range(6):
        battles.step(both_rush(battles))
    actions = both_rush(battles)
    with monkeypatch.context() as patch:
        patch.setattr(battle_engine, "_LIBRARY", Interrupting(battle_engine._LIBRARY, call))
        with pytest.raises(KeyboardInterrupt):
            battles.step(actions)
    with pytest.raises(RuntimeError, match="interrupted"):
        battles.observe()
    with pytest.raises(ValueError, match=r"^step: observe must be called before each step$"):
        battles.step(actions)
    battles.begin([Start(2, 0, 0)])
    while not untouched.done.all():
        expected = untouched.step(both_rush(untouched))
        for entry, expected_entry in zip(battles.step(both_rush(battles)), expected, strict=True):
            assert entry.equal(expected_entry)


def test_memory_does_not_grow_over_resets_nor_over_engines() -> None:
    process = psutil.Process()
    battles = Battles(Battle(64))

    def run(times: int) -> int:
        for seed in range(times):
            battles.begin([Start(2 + seed, seed % 2, 0)])
            battles.observe()
            battles.step(torch.full((1, 2, 64), 6))
            Battles(Battle(64, max_steps=1)).begin([Start(2, 0, 0)])
        return process.memory_info().rss

    before = run(100)
    # The agents of one round take some 40 kB: 1000 lost rounds, or engines, would show as 40 MB.
    assert run(1000) - before < 4e6


@pytest.mark.parametrize("threads", [None, "7"])
def test_importing_the_engine_leaves_the_environment_alone(
    threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.delitem(sys.modules, "magent2.c_lib")
    battle_engine._import_magent2()
    assert os.environ.get("OMP_NUM_THREADS") == threads
    assert "magent2.c_lib" in sys.modules

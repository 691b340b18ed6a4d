"""What agents observe, rebuilt from compact states, against what the engine wrote."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle, Start
from mfmarl.environments.battle.observation import (
    NO_ACTION,
    Observation,
    State,
    compact,
    excerpt,
    rebuild,
)
from mfmarl.environments.battle.scripts import random, rush

Play = Callable[[Observation, list[Generator]], Tensor]


def all_random(observed: Observation, chance: list[Generator]) -> Tensor:
    return torch.stack([random(observed.views[:, army], observed.features[:, army], chance) for army in (0, 1)], 1)


def all_rush(observed: Observation, chance: list[Generator]) -> Tensor:
    return torch.stack([rush(observed.views[:, army], observed.features[:, army]) for army in (0, 1)], 1)


def mixed(observed: Observation, chance: list[Generator]) -> Tensor:
    """Every second agent rushes, and every second step the others do too."""
    actions, rushing = all_random(observed, chance), all_rush(observed, chance)
    actions[..., ::2] = rushing[..., ::2]
    return torch.where(torch.rand((), generator=chance[0]) < 0.5, actions, rushing)


def battles_of(game: Battle) -> tuple[Battles, list[Generator]]:
    """Two battles that differ in who stands where and who moves first."""
    battles = Battles(game, 2)
    battles.begin([Start(2 + game.agents, 0, 1), Start(3 + game.agents, 1, 1)])
    return battles, [Generator().manual_seed(seed) for seed in (0, 1)]


def everyone(state: State) -> tuple[State, Tensor, Tensor]:
    """A sample for each agent: states, armies and slots, in the order of an observation's agents."""
    battles, _, agents = state.hp.shape
    each = State(*[column.repeat_interleave(2 * agents, 0) for column in state])
    army = torch.arange(2).repeat_interleave(agents).repeat(battles)
    return each, army, torch.arange(agents).repeat(2 * battles)


def state_of(observed: Observation, map_size: int) -> State:
    return compact(excerpt(observed), observed.ids, map_size)


def bits(floats: Tensor) -> Tensor:
    """By which 0 and -0, or two NaN, differ."""
    return floats.contiguous().view(torch.int32)


def assert_rebuilt(observed: Observation, game: Battle) -> None:
    """Every bit that the engine wrote about anyone."""
    views, features = rebuild(*everyone(state_of(observed, game.map_size)), game.map_size)
    assert bits(views).equal(bits(observed.views.flatten(0, 2)))
    assert bits(features).equal(bits(observed.features.flatten(0, 2)))


@pytest.mark.parametrize("play", [all_random, all_rush, mixed])
@pytest.mark.parametrize("agents", [8, 16, 64])
def test_every_bit_of_whole_rounds_is_rebuilt(agents: int, play: Play) -> None:
    game = Battle(agents)
    battles, chance = battles_of(game)
    every = agents // 8 if play is all_random else 1  # such rounds take 400 steps
    while not battles.done.all():
        observed = battles.observe()
        if int(battles.steps.max()) % every == 0:
            assert_rebuilt(observed, game)
        battles.step(play(observed, chance))
    assert_rebuilt(battles.observe(), game)
    assert (battles.annihilated == (play is not all_random)).all()


@pytest.mark.parametrize("agents", [1, 24, 144, 384])  # the smallest, a map of 2 x 13 cells, the largest
def test_other_sizes_are_rebuilt(agents: int) -> None:
    game = Battle(agents, max_steps=18)
    battles, chance = battles_of(game)
    while not battles.done.all():
        observed = battles.observe()
        if int(battles.steps.max()) % 8 < 2:
            assert_rebuilt(observed, game)
        battles.step(mixed(observed, chance))
    assert_rebuilt(battles.observe(), game)


def test_agents_in_opposite_corners_are_rebuilt() -> None:
    game = Battle(1)
    battles, _ = battles_of(game)
    left, up, down, right = 5, 2, 10, 7
    for moves in ([left, right], [up, down]):
        for _ in range(10):
            observed = battles.observe()
            assert_rebuilt(observed, game)
            battles.step(torch.tensor(moves).view(2, 1).expand(2, 2, 1))
    assert_rebuilt(battles.observe(), game)
    assert battles.units().positions[0, :, 0].tolist() == [[1, 1], [10, 10]]


def test_a_sample_does_not_depend_on_the_others() -> None:
    game = Battle(8)
    battles, chance = battles_of(game)
    for _ in range(10):
        battles.step(mixed(battles.observe(), chance))
    each, army, slot = everyone(state_of(battles.observe(), game.map_size))
    views, features = rebuild(each, army, slot, game.map_size)
    order = torch.randperm(len(army), generator=chance[0])
    shuffled = rebuild(State(*[column[order] for column in each]), army[order], slot[order], game.map_size)
    assert shuffled[0].equal(views[order])
    assert shuffled[1].equal(features[order])
    for sample in (0, 11, 31):
        one = slice(sample, sample + 1)
        view, feature = rebuild(State(*[column[one] for column in each]), army[one], slot[one], game.map_size)
        assert view[0].equal(views[sample])
        assert feature[0].equal(features[sample])


def test_a_state_is_what_the_engine_says_and_what_was_done() -> None:
    game = Battle(8)
    battles, chance = battles_of(game)
    last_action = torch.full((2, 2, 8), NO_ACTION)
    last_reward = torch.zeros(2, 2, 8)
    fell = False
    while not battles.done.any():
        observed = battles.observe()
        state, units = state_of(observed, game.map_size), battles.units()
        assert state.cells.equal(units.positions.clamp(min=0).to(torch.uint8))
        assert (state.hp * 10).equal(units.hp)
        assert state.last_action.equal(last_action.where(units.alive, NO_ACTION).to(torch.uint8))
        assert state.last_reward.equal(last_reward.where(units.alive, 0))
        assert state.left.tolist() == [start.left for start in battles.starts]
        fell |= not bool(units.alive.all())
        last_action = mixed(observed, chance)
        last_reward = battles.step(last_action).rewards
    assert fell


def test_a_state_is_a_copy() -> None:
    battles, _ = battles_of(Battle(8))
    observed = battles.observe()
    state = state_of(observed, 16)
    before = [column.clone() for column in state]
    for entry in observed:
        entry.fill_(1)
    assert all(column.equal(kept) for column, kept in zip(state, before, strict=True))


def test_armies_and_slots_must_be_one_a_sample() -> None:
    battles, _ = battles_of(Battle(8))
    state = state_of(battles.observe(), 16)
    two = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"^army must be int64 \[2\], got torch.int64 \[3\]$"):
        rebuild(state, torch.zeros(3, dtype=torch.int64), two, 16)
    with pytest.raises(ValueError, match=r"^slot must be int64 \[2\], got torch.int32 \[2\]$"):
        rebuild(state, two, two.int(), 16)

"""Battle against MAgent2's own interface, its rules, and what its rules give by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from magent2.gridworld import GridWorld
from torch import Generator, Tensor

from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.engine import Engine, Memory
from mfmarl.environments.battle.game import (
    FEATURES,
    VIEW,
    Battle,
    Start,
)
from mfmarl.environments.battle.observation import Observation
from mfmarl.environments.battle.scripts import random, rush

STAY, UP, RIGHT, FAR_RIGHT, LEFT, FAR_LEFT = 6, 2, 7, 8, 5, 4
HIT_LEFT, HIT_RIGHT, HIT_DOWN = 16, 17, 19


def generators(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


def fight(observed: Observation, chance: list[Generator]) -> Tensor:
    """Army 0 rushes, army 1 plays at random: `[battles, 2, agents]`."""
    views, features = observed.views, observed.features
    return torch.stack([rush(views[:, 0], features[:, 0]), random(views[:, 1], features[:, 1], chance)], 1)


def joint(*armies: list[int]) -> Tensor:
    return torch.tensor([armies])


class Oracle:
    """A battle through MAgent2's Python interface, everything in dictionaries by (army, id)."""

    def __init__(self, game: Battle, start: Start) -> None:
        self.grid, self.first = GridWorld("battle", map_size=game.map_size), start.first
        self.grid.set_seed(start.seed)
        self.grid.reset()
        for army, cells in zip((start.left, 1 - start.left), game.cells(), strict=True):
            self.grid.add_agents(self.grid.get_handles()[army], "custom", pos=cells)

    def by_id(self, read: Callable[[object], np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
        return {
            (army, int(number)): row
            for army, handle in enumerate(self.grid.get_handles())
            for number, row in zip(self.grid.get_agent_id(handle), read(handle).copy(), strict=True)
        }

    def step(self, actions: dict[tuple[int, int], int]) -> tuple[dict[tuple[int, int], np.ndarray], bool]:
        handles = self.grid.get_handles()
        for army in (self.first, 1 - self.first):
            numbers = self.grid.get_agent_id(handles[army])
            self.grid.set_action(
                handles[army], np.array([actions[army, int(number)] for number in numbers], dtype=np.int32)
            )
        over = self.grid.step()
        rewards = self.by_id(self.grid.get_reward)
        self.grid.clear_dead()
        return rewards, over


@pytest.mark.parametrize(
    ("agents", "start"), [(8, Start(2, 1, 0)), (16, Start(77, 0, 1)), (64, Start(2**31 - 2, 0, 0))]
)
def test_a_round_is_the_engines_own(agents: int, start: Start) -> None:
    game, chance = Battle(agents), generators(5)
    battles, oracle = Battles(game), Oracle(game, start)
    battles.begin([start])
    over = False
    while not over:
        observed = battles.observe()
        units = battles.units()
        places = {(army, int(number)): slot for army in (0, 1) for slot, number in enumerate(observed.ids[0, army])}
        views = oracle.by_id(lambda handle: oracle.grid.get_observation(handle)[0])
        features = oracle.by_id(lambda handle: oracle.grid.get_observation(handle)[1])
        positions = oracle.by_id(oracle.grid.get_pos)
        for (army, number), slot in places.items():
            living = (army, number) in views
            assert bool(observed.alive[0, army, slot]) is living
            expected = views[army, number] if living else np.zeros(VIEW, dtype=np.float32)
            assert observed.views[0, army, slot].numpy().tobytes() == expected.tobytes()
            expected = features[army, number] if living else np.zeros(FEATURES, dtype=np.float32)
            assert observed.features[0, army, slot].numpy().tobytes() == expected.tobytes()
            assert units.positions[0, army, slot].tolist() == (positions[army, number].tolist() if living else [-1, -1])
        before = observed.alive
        actions = fight(observed, chance)
        rewards, over = oracle.step({key: int(actions[0, key[0], slot]) for key, slot in places.items()})
        outcome = battles.step(actions)
        for key, slot in places.items():
            assert outcome.rewards[0, key[0], slot] == rewards.get(key, 0)
        assert outcome.died.equal(before & ~battles.alive)
        assert outcome.done.tolist() == [over]
    assert battles.annihilated.all()
    assert battles.survivors[0].min() == 0
    assert battles.kills.tolist() == [[agents - int(battles.survivors[0, 1]), agents - int(battles.survivors[0, 0])]]


def test_ids_are_those_that_the_agents_see_of_themselves_whoever_died() -> None:
    battles, chance = Battles(Battle(16), 2), generators(0, 1)
    battles.reset(chance)
    bits = 2 ** torch.arange(10)
    while not battles.done.any():
        observed = battles.observe()
        seen = (observed.features[..., :10].int() * bits).sum(-1)
        assert seen[observed.alive].equal(observed.ids[observed.alive].long())
        battles.step(fight(observed, chance))
    left = [start.left for start in battles.starts]
    assert [int(ids[army, 0]) for ids, army in zip(observed.ids, left, strict=True)] == [0, 0]
    assert [int(ids[1 - army, 0]) for ids, army in zip(observed.ids, left, strict=True)] == [16, 16]


def play(battles: Battles, *steps: Tensor) -> list[list[float]]:
    """Play the actions, and give the rewards of the last step rounded to 6 digits."""
    for actions in steps:
        battles.observe()
        outcome = battles.step(actions)
    return [[round(reward, 6) for reward in army] for army in outcome.rewards[0].tolist()]


def duel(seed: int = 2) -> Battles:
    """2 against 2; the first agent of army 0 stands to the left of army 1's first."""
    battles = Battles(Battle(2))
    battles.begin([Start(seed, 0, 0)])
    approach = [joint([FAR_RIGHT, STAY], [STAY, STAY])] * 3 + [joint([RIGHT, STAY], [STAY, STAY])]
    play(battles, *approach)
    battles.observe()
    (agent, _), (enemy, _) = battles.units().positions[0].tolist()
    assert agent == [enemy[0] - 1, enemy[1]]
    return battles


def test_rewards_of_moves_and_of_attacks_that_hit_no_enemy() -> None:
    battles = Battles(Battle(2))
    battles.begin([Start(2, 0, 0)])
    assert battles.observe() is not None
    assert battles.units().positions[0].tolist() == [[[1, 4], [1, 6]], [[9, 4], [9, 6]]]
    # a wall, nothing; a move, nothing
    assert play(battles, joint([HIT_LEFT, STAY], [FAR_LEFT, HIT_RIGHT])) == [[-0.105, -0.005], [-0.005, -0.105]]
    # a friend below, who has just come up; a move into the wall
    assert play(battles, joint([STAY, UP], [STAY, STAY])) == [[-0.005, -0.005], [-0.005, -0.005]]
    assert play(battles, joint([HIT_DOWN, LEFT], [STAY, STAY])) == [[-0.105, -0.005], [-0.005, -0.005]]
    battles.observe()
    units = battles.units()
    assert units.positions[0].tolist() == [[[1, 4], [1, 5]], [[7, 4], [9, 6]]]
    assert units.hp.tolist() == [[[10, 10], [10, 10]]]


def test_six_hits_kill_and_the_last_pays() -> None:
    battles = duel()
    hit = joint([HIT_RIGHT, STAY], [STAY, STAY])
    for hp in (8.1, 6.2, 4.3, 2.4, 0.5):
        assert play(battles, hit) == [[0.095, -0.005], [-0.005, -0.005]]
        battles.observe()
        assert battles.units().hp[0, 1, 0] == pytest.approx(hp, abs=1e-5)
    assert play(battles, hit) == [[4.895, -0.005], [-0.1, -0.005]]
    assert battles.alive.tolist() == [[[True, True], [False, True]]]
    assert battles.kills.tolist() == [[1, 0]]
    # What the dead are told to do is ignored, even what no agent can do.
    assert play(battles, joint([HIT_RIGHT, STAY], [99, STAY])) == [[-0.105, -0.005], [0, -0.005]]
    assert battles.log(0)[-1].tolist() == [[HIT_RIGHT, STAY], [0, STAY]]


def test_hp_after_the_last_step_is_that_of_the_step_before_with_its_hits() -> None:
    """The engine cannot be asked any more: of 10 at most each regains 0.1 and loses 2 a hit, and the dead have none."""
    changed = 0
    for seed in range(2, 8):
        battles = Battles(Battle(8))
        battles.begin([Start(seed, 0, 0)])
        while not battles.done.all():
            views, features, *_ = battles.observe()
            before = battles.units().hp[0].double()
            assert not before[~battles.alive[0]].any()
            battles.step(torch.stack([rush(views[:, army], features[:, army]) for army in (0, 1)], 1))
        assert battles.annihilated.all()
        battles.observe()
        after, alive = battles.units().hp[0].double(), battles.alive[0]
        assert not after[~alive].any()
        hits = (torch.clamp(before + 0.1, max=10) - after)[alive] / 2
        torch.testing.assert_close(hits, hits.round(), rtol=0, atol=1e-5)
        assert (hits >= -1e-5).all()
        changed += int((after != before)[alive].sum())
    assert changed


def test_who_dies_keeps_the_bonus_of_a_hit_and_nothing_else() -> None:
    ends = set()
    for seed in range(2, 30):
        battles = duel(seed)
        play(battles, *[joint([HIT_RIGHT, STAY], [STAY, STAY])] * 5)
        battles.observe()
        rewards = play(battles, joint([HIT_RIGHT, STAY], [HIT_LEFT, STAY]))
        battles.observe()
        assert rewards[0] == [4.895, -0.005]
        hit_back = battles.units().hp[0, 0, 0] < 9
        assert rewards[1] == [0.1 if hit_back else -0.1, -0.005]
        ends.add(bool(hit_back))
    assert ends == {False, True}


@pytest.mark.parametrize(("agents", "size"), [(8, 16), (64, 40), (144, 60), (256, 80), (384, 98), (1, 12)])
@pytest.mark.parametrize("left", [0, 1])
def test_all_agents_are_placed(agents: int, size: int, left: int) -> None:
    game = Battle(agents)
    assert game.map_size == size
    battles = Battles(game)
    battles.begin([Start(2, left, 0)])
    observed, units = battles.observe(), battles.units()
    assert battles.survivors.tolist() == [[agents, agents]]
    assert observed.views[..., 6, 6, 1].all()
    cells = units.positions.flatten(0, 2)
    assert len(set(map(tuple, cells.tolist()))) == 2 * agents
    assert cells.min() >= 1
    assert cells.max() <= size - 2
    assert units.positions[0, left, :, 0].max() + 8 == units.positions[0, 1 - left, :, 0].min()


def test_the_papers_army_stands_as_in_the_paper() -> None:
    left, right = Battle(64).cells().tolist()
    assert left == [[x, y] for x in range(1, 16, 2) for y in range(12, 27, 2)]
    assert right == [[x, y] for x in range(23, 38, 2) for y in range(12, 27, 2)]


def test_the_engine_is_not_believed_about_placing() -> None:
    engine = Engine(12, Memory.allocate((1, 2, 2), VIEW, FEATURES)[0])
    with pytest.raises(ValueError, match=r"^blocks: \[2, 1\] agents of the two armies could be placed, not 2 each$"):
        engine.begin(2, 0, np.array([[[1, 4], [1, 6]], [[9, 4], [9, 99]]], dtype=np.int32))


@pytest.mark.parametrize("first", [0, 1])
def test_the_first_army_takes_a_cell_that_both_want(first: int) -> None:
    battles = Battles(Battle(1))
    battles.begin([Start(2, 0, first)])
    play(battles, joint([FAR_RIGHT], [FAR_LEFT]), joint([FAR_RIGHT], [STAY]), joint([RIGHT], [LEFT]))
    battles.observe()
    assert battles.units().positions[0, :, 0, 0].tolist() == ([6, 7] if first == 0 else [5, 6])


def test_seats_and_order_swapped_are_the_same_round_with_the_armies_swapped() -> None:
    battles = Battles(Battle(8), 2)
    battles.begin([Start(9, 0, 1), Start(9, 1, 0)])
    chance = generators(3)
    while not battles.done.any():
        observed = battles.observe()
        for entry in observed:
            assert entry[0].equal(entry[1].flip(0))
        one = fight(Observation(*[entry[:1] for entry in observed]), chance)
        outcome = battles.step(torch.cat([one, one.flip(1)]))
        assert outcome.rewards[0].equal(outcome.rewards[1].flip(0))
    assert battles.annihilated.all()

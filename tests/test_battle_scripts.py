"""Scripted armies against the same rules in plain Python, from where the agents really are."""

from itertools import product

import pytest
import torch
from torch import Generator, Tensor

from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import (
    ACTIONS,
    FEATURES,
    VIEW,
    Battle,
    Start,
)
from mfmarl.environments.battle.scripts import OPPONENTS, random, rush

MOVES = [(x, y) for y, x in product(range(-2, 3), repeat=2) if x * x + y * y <= 4]
ATTACKS = [(x, y) for y, x in product((-1, 0, 1), repeat=2) if (x, y) != (0, 0)]

Cell = tuple[int, int]


def square(offset: Cell) -> int:
    return offset[0] ** 2 + offset[1] ** 2


def minus(one: Cell, other: Cell) -> Cell:
    return one[0] - other[0], one[1] - other[1]


def by_hand(agent: Cell, enemies: dict[Cell, float], taken: set[Cell], size: int) -> int:
    """What `rush` should do, from all enemies and their hp and from the cells that are not free."""
    x, y = agent
    blows = [enemies.get((x + dx, y + dy), float("inf")) for dx, dy in ATTACKS]
    if min(blows) < float("inf"):
        return len(MOVES) + blows.index(min(blows))
    rows = sorted(enemies, key=lambda cell: (cell[1], cell[0]))
    seen = [minus(cell, agent) for cell in rows if square(minus(cell, agent)) <= 36]
    scale = -(-size // 13)
    here = x // scale, y // scale
    cells = sorted({(ex // scale, ey // scale) for ex, ey in enemies} - {here}, key=lambda cell: (cell[1], cell[0]))
    if seen:
        target = min(seen, key=square)
    elif cells:
        target = min((minus(cell, here) for cell in cells), key=square)
    else:
        target = (int(100 * (0.5 - x / size)), int(100 * (0.5 - y / size)))
    distances = [
        10**6 if (dx, dy) != (0, 0) and (x + dx, y + dy) in taken else square(minus(target, (dx, dy)))
        for dx, dy in MOVES
    ]
    return distances.index(min(distances))


@pytest.mark.parametrize(("agents", "opponent"), [(8, "random"), (16, "rush"), (64, "rush")])
def test_rush_does_what_it_says(agents: int, opponent: str) -> None:
    game, chance = Battle(agents), [Generator().manual_seed(1)]
    battles, size = Battles(game), game.map_size
    battles.begin([Start(3, 0, 1)])
    walls: set[Cell] = {
        cell for cell in product(range(-2, size + 2), range(-2, size + 2)) if min(cell) < 1 or max(cell) > size - 2
    }
    kinds = set()
    while not battles.done.any():
        observed, units = battles.observe(), battles.units()
        actions = torch.stack(
            [
                OPPONENTS[name](observed.views[:, army], observed.features[:, army], chance)
                for army, name in enumerate(("rush", opponent))
            ],
            1,
        )
        cells: list[list[Cell]] = [[(x, y) for x, y in army] for army in units.positions[0].tolist()]
        enemies = {cells[1][slot]: float(units.hp[0, 1, slot]) for slot in range(agents) if units.alive[0, 1, slot]}
        for slot in range(agents):
            if units.alive[0, 0, slot]:
                taken = walls | set(cells[0]) | set(cells[1])
                assert actions[0, 0, slot] == by_hand(cells[0][slot], enemies, taken, size)
                kinds.add(int(actions[0, 0, slot]))
        battles.step(actions)
    assert len(kinds) > 10


def test_an_unseen_enemy_in_ones_own_cell_of_the_minimap_is_looked_for_in_the_middle_of_the_map() -> None:
    views, features = torch.zeros(1, 1, *VIEW), torch.zeros(1, 1, FEATURES)
    views[..., 2, 3, 3], views[..., 2, 3, 6] = 2.0, 2.0  # all of both armies are in the cell of row 2, column 3
    features[..., -2:] = torch.tensor([0.3, 0.7])  # x, y: the middle is right and up
    assert rush(views, features).item() == MOVES.index((1, -1))
    features[..., -2:] = torch.tensor([0.1, 0.45])  # far to the right, and a little down
    assert rush(views, features).item() == MOVES.index((2, 0))


def test_an_enemy_at_the_other_end_of_the_map_is_gone_to_and_nobody_on_the_way_is_trodden_on() -> None:
    views = torch.zeros(1, 1, *VIEW)
    views[..., 0, 0, 3], views[..., 12, 12, 6] = 2.0, 1.0  # itself in the first cell of the minimap, they in the last
    views[..., 6, 5, 1] = 1.0  # one of its own behind it
    assert rush(views, torch.zeros(1, 1, FEATURES)).item() == MOVES.index((1, 1))


def test_rush_takes_no_wall_for_a_way() -> None:
    views = torch.zeros(1, 1, *VIEW)
    views[..., 6, 11, 4] = 1.0  # an enemy 5 to the right
    views[..., 7:, :, 0] = 1.0  # a wall below
    for y, x in ((6, 6), (6, 7), (6, 8), (5, 7)):
        views[..., y, x, 1] = 1.0  # its own army on all other cells that are nearer
    assert rush(views, torch.zeros(1, 1, FEATURES)).item() == MOVES.index((0, 0))


def test_rush_annihilates_who_stands_still() -> None:
    battles, chance = Battles(Battle(8), 4), [Generator().manual_seed(seed) for seed in range(4)]
    battles.reset(chance, left=[0, 0, 1, 1], first=[0, 1, 0, 1])
    while not battles.done.all():
        views, features, *_ = battles.observe()
        still = torch.full((4, 8), 6)
        battles.step(torch.stack([rush(views[:, 0], features[:, 0]), still], 1))
    assert battles.survivors.tolist() == [[8, 0]] * 4


def test_random_is_uniform_and_each_battle_has_its_own_stream() -> None:
    views, features = torch.zeros(2, 2100, *VIEW), torch.zeros(2, 2100, FEATURES)

    def draw(*seeds: int) -> Tensor:
        chance = [Generator().manual_seed(seed) for seed in seeds]
        return random(views[: len(seeds)], features[: len(seeds)], chance)

    both = draw(1, 2)
    assert both.dtype == torch.int64
    assert both[:1].equal(draw(1))
    assert both[1:].equal(draw(2))
    assert not both[0].equal(both[1])
    counts = both.flatten().bincount(minlength=ACTIONS)
    assert len(counts) == ACTIONS
    assert counts.min() > 130  # of 200 expected, spread 14
    assert counts.max() < 270

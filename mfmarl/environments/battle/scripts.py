"""Scripted opponents, which choose actions from observations without learning.

All have one signature. They take one army's `views` `[battles, agents, 13, 13, 7]` and `features` `[battles, agents,
34]` and one generator per battle, and return actions `[battles, agents]` int64. Actions of dead agents have no meaning.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from mfmarl.environments.battle.game import (
    ACTIONS,
    ENEMY,
    ENEMY_HP,
    ENEMY_MINIMAP,
    OWN,
    OWN_MINIMAP,
    RADIUS,
    VIEW,
    WALL,
)

Opponent = Callable[[Tensor, Tensor, Sequence[Generator]], Tensor]

# Actions as offsets (y, x), in the engine's order.
MOVES = torch.tensor([(y, x) for y in range(-2, 3) for x in range(-2, 3) if y * y + x * x <= 4])
ATTACKS = torch.tensor([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])

FARTHEST = 10**6  # replaces the squared distance of a cell that does not count; larger than any real one
HUNDREDTHS = 100  # distances to the middle of the map are in hundredths of the map's side


def random(views: Tensor, features: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Choose any of the 21 actions with equal probability; every battle draws for all its agents, dead or alive."""
    agents = views.shape[1]
    return torch.stack([torch.randint(ACTIONS, (agents,), generator=generator) for generator in generators])


def rush(views: Tensor, features: Tensor, generators: Sequence[Generator] = ()) -> Tensor:
    """Attack the weakest adjacent enemy; if there is none, move towards the nearest one.

    The target of a move is the nearest enemy in view; without one, the nearest other square of the minimap that has
    enemies in it; without either, the middle of the map, of which the agent knows only the direction. The agent moves
    to the free cell within reach, its own included, that is nearest to the target. Ties go to the first candidate. No
    generator is used.
    """
    attack, adjacent = _attack(views)
    return torch.where(adjacent, attack + len(MOVES), _move(views, _towards(views, features)))


def _attack(views: Tensor) -> tuple[Tensor, Tensor]:
    """Return the attack `[battles, agents]` on the weakest adjacent enemy, and whether there is one."""
    y, x = (ATTACKS + RADIUS).T
    present = views[..., y, x, ENEMY] > 0
    hp = views[..., y, x, ENEMY_HP].where(present, torch.inf)
    return hp.argmin(-1), present.any(-1)


def _towards(views: Tensor, features: Tensor) -> Tensor:
    """Return the offset (y, x) `[battles, agents, 2]` of the agent's target."""
    grid = torch.cartesian_prod(torch.arange(VIEW[0]), torch.arange(VIEW[1]))
    seen = views[..., ENEMY].flatten(-2) > 0
    near, sees = _nearest(seen, grid.expand(*seen.shape, 2) - RADIUS)
    # Both minimaps have 1 added in the agent's own square; only on its own army's is it surely the largest entry.
    here = views[..., OWN_MINIMAP].flatten(-2).argmax(-1, keepdim=True)
    elsewhere = (views[..., ENEMY_MINIMAP].flatten(-2) > 0).scatter(-1, here, value=False)
    far, knows = _nearest(elsewhere, grid - grid[here])
    middle = (HUNDREDTHS * (0.5 - features[..., [-1, -2]])).long()
    return torch.where(sees[..., None], near, torch.where(knows[..., None], far, middle))


def _nearest(present: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shortest of `offsets` `[..., n, 2]` where `present` `[..., n]` is true, and whether there is one."""
    index = offsets.square().sum(-1).where(present, FARTHEST).argmin(-1)
    return offsets.gather(-2, index[..., None, None].expand(*index.shape, 1, 2)).squeeze(-2), present.any(-1)


def _move(views: Tensor, target: Tensor) -> Tensor:
    """Return the move `[battles, agents]` to the free cell nearest to the offset `target` `[battles, agents, 2]`."""
    y, x = (MOVES + RADIUS).T
    free = (views[..., y, x, :][..., [WALL, OWN, ENEMY]] == 0).all(-1)
    free[..., len(MOVES) // 2] = True  # the agent's own cell
    distance = (target[..., None, :] - MOVES).square().sum(-1)
    return distance.where(free, FARTHEST).argmin(-1)


OPPONENTS: dict[str, Opponent] = {"random": random, "rush": rush}

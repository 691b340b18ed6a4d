"""Scripted armies to fight against: from observations to actions, without learning.

All have one signature: from one army's `views` `[battles, agents, 13, 13, 7]` and `features` `[battles, agents,
34]` and one generator a battle to actions `[battles, agents]` int64. What they choose for the dead means nothing.
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

FARTHEST = 10**6  # in place of the squared distance of a cell that does not count: larger than any
HUNDREDTHS = 100  # of the side of the map: in them an agent counts how far its middle is


def random(views: Tensor, features: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Any of the 21 actions with equal probability; every battle draws for all of its agents, dead or alive."""
    agents = views.shape[1]
    return torch.stack([torch.randint(ACTIONS, (agents,), generator=generator) for generator in generators])


def rush(views: Tensor, features: Tensor, generators: Sequence[Generator] = ()) -> Tensor:
    """Attack the weakest adjacent enemy; if there is none, move towards the nearest one.

    Of the free cells within reach, one's own included, the agent takes that nearest to the nearest enemy in view, or
    else to the nearest other cell of the minimap with enemies in it, or else towards the middle of the map, of which it
    knows the direction alone. The first of equals is taken; no generator is used.
    """
    attack, adjacent = _attack(views)
    return torch.where(adjacent, attack + len(MOVES), _move(views, _towards(views, features)))


def _attack(views: Tensor) -> tuple[Tensor, Tensor]:
    """The attack `[battles, agents]` on the weakest adjacent enemy, and whether there is any."""
    y, x = (ATTACKS + RADIUS).T
    present = views[..., y, x, ENEMY] > 0
    hp = views[..., y, x, ENEMY_HP].where(present, torch.inf)
    return hp.argmin(-1), present.any(-1)


def _towards(views: Tensor, features: Tensor) -> Tensor:
    """Offset (y, x) `[battles, agents, 2]` of where the agent wants to go."""
    grid = torch.cartesian_prod(torch.arange(VIEW[0]), torch.arange(VIEW[1]))
    seen = views[..., ENEMY].flatten(-2) > 0
    near, sees = _nearest(seen, grid.expand(*seen.shape, 2) - RADIUS)
    # On the minimaps, the cell that the agent is in counts 1 more; only on that of its own army is this unmistakable.
    here = views[..., OWN_MINIMAP].flatten(-2).argmax(-1, keepdim=True)
    elsewhere = (views[..., ENEMY_MINIMAP].flatten(-2) > 0).scatter(-1, here, value=False)
    far, knows = _nearest(elsewhere, grid - grid[here])
    middle = (HUNDREDTHS * (0.5 - features[..., [-1, -2]])).long()
    return torch.where(sees[..., None], near, torch.where(knows[..., None], far, middle))


def _nearest(present: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """The shortest of `offsets` `[..., n, 2]` where `present` `[..., n]`; and whether there is one."""
    index = offsets.square().sum(-1).where(present, FARTHEST).argmin(-1)
    return offsets.gather(-2, index[..., None, None].expand(*index.shape, 1, 2)).squeeze(-2), present.any(-1)


def _move(views: Tensor, target: Tensor) -> Tensor:
    """The move `[battles, agents]` to the free cell nearest to the offset `target` `[battles, agents, 2]`."""
    y, x = (MOVES + RADIUS).T
    free = (views[..., y, x, :][..., [WALL, OWN, ENEMY]] == 0).all(-1)
    free[..., len(MOVES) // 2] = True  # one's own cell
    distance = (target[..., None, :] - MOVES).square().sum(-1)
    return distance.where(free, FARTHEST).argmin(-1)


OPPONENTS: dict[str, Opponent] = {"random": random, "rush": rush}

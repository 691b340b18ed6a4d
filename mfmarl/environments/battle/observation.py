"""What agents of Battle observe, as a pure function of where all agents are and how they do.

`excerpt` and `compact` make a `State` of an observation of both armies: with 64 agents a side, 1.4 kB of 620 kB.
`rebuild` gives back what any agent observed in it, bit by bit as the engine of MAgent2 wrote it; the observation
is given in the appendix of Yang et al. 2018 (C.3) and in the engine:

- a view has a wall, the own army and its hp, the enemies and theirs, in a circle of 6 cells around the agent;
- two of its planes are minimaps instead: of each army, the share of its living in each square of the map, of
  ceil(side / 13) cells a side. On both, 1 more marks the square that the agent is in;
- features are the 10 bits of the engine's id, lowest first, the last action one-hot (all zero at the start of a
  round), the last reward, x and y over the side of the map.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfmarl.environments.battle.game import (
    ACTIONS,
    ENEMY,
    ENEMY_MINIMAP,
    FEATURES,
    OWN,
    OWN_HP,
    OWN_MINIMAP,
    RADIUS,
    VIEW,
    WALL,
)

NO_ACTION = ACTIONS  #: the last action of who has not acted yet.

WIDTH = VIEW[1]
SQUARES = VIEW[0] * VIEW[1]  # cells of a view, squares of a minimap
ID_BITS = 10
LAST_REWARD = ID_BITS + ACTIONS
_FROM_LAST = np.arange(ACTIONS, 0, -1, dtype=np.float32)


class Observation(NamedTuple):
    """What all agents observe. `views` and `features` are the memory that the engine writes, see `Battles`."""

    views: Tensor  #: `[battles, 2, agents, 13, 13, 7]` float32, zero for the dead.
    features: Tensor  #: `[battles, 2, agents, 34]` float32, zero for the dead.
    alive: Tensor  #: `[battles, 2, agents]` bool.
    ids: Tensor  #: `[battles, 2, agents]` int32, the engine's: 0 .. N-1 on the left, N .. 2N-1 on the right.


class Outcome(NamedTuple):
    """What a step brought."""

    rewards: Tensor  #: `[battles, 2, agents]` float32, 0 where nobody acted.
    died: Tensor  #: `[battles, 2, agents]` bool, who died in this step, and gets a last reward.
    done: Tensor  #: `[battles]` bool, whose battle is over, with this step or earlier.


class Units(NamedTuple):
    """Where the agents are and how they do."""

    positions: Tensor  #: `[battles, 2, agents, 2]` int32, cells x, y; -1 for the dead.
    hp: Tensor  #: `[battles, 2, agents]` float32 up to 10, to rounding; 0 for the dead.
    alive: Tensor  #: `[battles, 2, agents]` bool.


class State(NamedTuple):
    """All that what agents observe depends on. In a battle ended by annihilation nobody observes: all are as dead."""

    cells: Tensor  #: `[..., 2, agents, 2]` uint8, x and y; 0 for the dead (the border is wall: nobody stands there).
    hp: Tensor  #: `[..., 2, agents]` float32, over 10 as in a view; 0 for the dead.
    last_action: Tensor  #: `[..., 2, agents]` uint8, `NO_ACTION` at the start of a round and for the dead.
    last_reward: Tensor  #: `[..., 2, agents]` float32, 0 at the start of a round and for the dead.
    left: Tensor  #: `[...]` uint8, the army on the left, whose agents have the lower ids.


class Excerpt(NamedTuple):
    """What of an observation tells the `State` that it was written in, copied."""

    features: NDArray[np.float32]  #: `[..., 2, agents, 34]`.
    hp: NDArray[np.float32]  #: `[..., 2, agents]`, as in `State`.


def excerpt(observed: Observation) -> Excerpt:
    """A copy of what `compact` needs of an observation of both armies, `[battles, ...]`."""
    # By numpy, here and in `compact`: torch takes several times as long for so few numbers.
    return Excerpt(observed.features.numpy().copy(), observed.views.numpy()[..., RADIUS, RADIUS, OWN_HP].copy())


def compact(seen: Excerpt, ids: Tensor, map_size: int) -> State:
    """The states in which observations were written, of one step or many.

    Args:
        seen: of the observations, `[battles, ..., 2, agents]`.
        ids: `[battles, 2, agents]`, which the engine gave for the round.
        map_size: side of the map.
    """
    left = (ids.numpy()[:, 0, 0] != 0).astype(np.uint8)
    shape = seen.hp.shape[:-2]
    columns = (
        np.rint(seen.features[..., -2:] * np.float32(map_size)).astype(np.uint8),
        seen.hp,
        (NO_ACTION - seen.features[..., ID_BITS:LAST_REWARD] @ _FROM_LAST).astype(np.uint8),
        seen.features[..., LAST_REWARD].copy(),
        np.broadcast_to(left.reshape(-1, *[1] * (len(shape) - 1)), shape).copy(),
    )
    return State(*map(torch.from_numpy, columns))


def rebuild(state: State, army: Tensor, slot: Tensor, map_size: int) -> tuple[Tensor, Tensor]:
    """What agent `slot[i]` of `army[i]` observed in state i; zero if it was dead or the battle over.

    Args:
        state: of B samples `[B, ...]`.
        army: `[B]` int64, 0 or 1.
        slot: `[B]` int64, in 0 .. agents - 1.
        map_size: side of the map.

    Returns:
        Views `[B, 13, 13, 7]` and features `[B, 34]`, float32.

    Raises:
        ValueError: armies or slots of another shape or type.
    """
    samples, _, agents, _ = state.cells.shape
    for name, index in (("army", army), ("slot", slot)):
        if index.dtype != torch.int64 or index.shape != (samples,):
            raise ValueError(f"{name} must be int64 [{samples}], got {index.dtype} {list(index.shape)}")
    sample = torch.arange(samples, device=army.device)
    own_first = sample.unsqueeze(-1), torch.stack([army, 1 - army], -1)
    hp = state.hp[own_first]
    x, y = (cells.short() for cells in state.cells[own_first].unbind(-1))  # short: half the time of int64 on a CPU
    here_x, here_y = x[sample, 0, slot], y[sample, 0, slot]
    alive = x > 0
    observes = alive[sample, 0, slot] & alive[:, 1].any(-1)
    painted = alive & observes.view(-1, 1, 1)  # who observes nothing is painted nobody, and no border below

    views = hp.new_zeros(samples, SQUARES + 1, VIEW[2])  # the last square takes what is not seen
    _paint_agents(views, x - here_x.view(-1, 1, 1), y - here_y.view(-1, 1, 1), hp, painted)
    side = -(-map_size // WIDTH)
    here = (here_y // side * WIDTH + here_x // side).where(observes, SQUARES)
    _paint_minimaps(views, y // side * WIDTH + x // side, here, painted)
    cell = (here_y.long() * map_size + here_x).where(observes, map_size**2)
    views[:, :SQUARES, WALL] = _all_walls(map_size, cell.device).index_select(0, cell)

    features = hp.new_zeros(samples, FEATURES)
    number = slot + agents * (army != state.left)
    features[:, :ID_BITS] = number.unsqueeze(-1) >> torch.arange(ID_BITS, device=slot.device) & 1
    last_action = state.last_action[sample, army, slot].long().unsqueeze(-1)
    features.scatter_(1, ID_BITS + last_action, 1)  # nobody's is overwritten by the last reward
    features[:, LAST_REWARD] = state.last_reward[sample, army, slot]
    features[:, -2:] = torch.stack([here_x, here_y], -1).to(features.dtype) / map_size
    return views[:, :SQUARES].view(samples, *VIEW), features.masked_fill_(~observes.unsqueeze(-1), 0)


def _paint_agents(views: Tensor, x: Tensor, y: Tensor, hp: Tensor, alive: Tensor) -> None:
    """Agents at `x` and `y` `[B, 2, agents]` from the one who looks, and their `hp`, the own army first."""
    seen = alive & (x * x + y * y <= RADIUS**2)
    square = ((y + RADIUS) * WIDTH + x + RADIUS).where(seen, SQUARES)
    first = torch.arange(OWN, ENEMY + 1, ENEMY - OWN, dtype=square.dtype, device=square.device)
    plane = square * VIEW[2] + first.unsqueeze(-1)
    flat, index = views.flatten(1), plane.flatten(1).long()
    flat.scatter_(1, index, 1)
    flat.scatter_(1, index + OWN_HP - OWN, hp.flatten(1))


def _paint_minimaps(views: Tensor, square: Tensor, here: Tensor, alive: Tensor) -> None:
    """The share of each army in every `square` `[B, 2, agents]`, and 1 more `here` `[B]`, where one looks."""
    counts = views.new_zeros(*alive.shape[:2], SQUARES + 1)
    square = square.where(alive, SQUARES).long()
    counts.scatter_add_(-1, square, counts.new_ones(1).expand(square.shape))
    minimaps = counts / alive.sum(-1, keepdim=True).clamp(min=1)
    here = here.long().view(-1, 1, 1).expand(-1, 2, 1)
    minimaps.scatter_add_(-1, here, minimaps.new_ones(1).expand(here.shape))
    views[..., OWN_MINIMAP], views[..., ENEMY_MINIMAP] = minimaps.unbind(1)


@lru_cache(maxsize=4)
def _all_walls(map_size: int, device: torch.device) -> Tensor:
    """Which cells of a view are border, from each cell of the map, row by row: `[map_size ** 2 + 1, 169]` float32.

    The last row is seen from nowhere: no border.
    """
    y, x = torch.cartesian_prod(*[torch.arange(map_size, device=device)] * 2).unbind(-1)
    walls = _walls(x, y, map_size).flatten(1).to(torch.float32)
    return torch.cat([walls, walls.new_zeros(1, SQUARES)])


def _walls(x: Tensor, y: Tensor, map_size: int) -> Tensor:
    """Which cells seen from `x` and `y` `[B]` are border: `[B, 13, 13]` bool, rows y, columns x."""
    steps = torch.arange(-RADIUS, RADIUS + 1, device=x.device)
    columns, rows = x.view(-1, 1, 1) + steps, y.view(-1, 1, 1) + steps.unsqueeze(-1)
    (border_x, on_x), (border_y, on_y) = (
        ((along == 0) | (along == map_size - 1), (along >= 0) & (along < map_size)) for along in (columns, rows)
    )
    walls = (border_x & on_y) | (border_y & on_x)
    return walls & (steps.square().unsqueeze(-1) + steps.square() <= RADIUS**2)

"""Observations of Battle, computed from a compact state of all agents.

`excerpt` and `compact` reduce an observation of both armies to a `State`: with 64 agents per army, from 620 kB to
1.4 kB. `rebuild` computes any agent's observation from the state, bit for bit as MAgent2's engine wrote it. Yang et al.
2018 (appendix C.3) and the engine define an observation as follows:

- A view shows the walls, the own army and its hp, and the enemies and their hp, within a radius of 6 cells.
- Two further planes of the view are minimaps, one for each army. They divide the map into squares of side
  ceil(side / 13) cells and show the share of the army's living agents in each. On both, 1 is added in the agent's own
  square.
- Features are the 10 bits of the engine's id, lowest first; the last action one-hot (all zero at the start of a
  round); the last reward; and x and y divided by the side of the map.
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

NO_ACTION = ACTIONS  #: last action of an agent that has not acted yet.

WIDTH = VIEW[1]
SQUARES = VIEW[0] * VIEW[1]  # number of cells of a view and of squares of a minimap
ID_BITS = 10
LAST_REWARD = ID_BITS + ACTIONS
_FROM_LAST = np.arange(ACTIONS, 0, -1, dtype=np.float32)


class Observation(NamedTuple):
    """Observations of all agents. `views` and `features` share memory with the engine, see `Battles`."""

    views: Tensor  #: `[battles, 2, agents, 13, 13, 7]` float32, zero for the dead.
    features: Tensor  #: `[battles, 2, agents, 34]` float32, zero for the dead.
    alive: Tensor  #: `[battles, 2, agents]` bool.
    ids: Tensor  #: `[battles, 2, agents]` int32, the engine's ids: 0 .. N-1 on the left, N .. 2N-1 on the right.


class Outcome(NamedTuple):
    """The outcome of a step."""

    rewards: Tensor  #: `[battles, 2, agents]` float32, 0 for agents that did not act.
    died: Tensor  #: `[battles, 2, agents]` bool, agents that died in this step; they get a last reward.
    done: Tensor  #: `[battles]` bool, battles that ended in this step or earlier.


class Units(NamedTuple):
    """Positions and hp of all agents."""

    positions: Tensor  #: `[battles, 2, agents, 2]` int32, cells x, y; -1 for the dead.
    hp: Tensor  #: `[battles, 2, agents]` float32, at most 10 up to rounding; 0 for the dead.
    alive: Tensor  #: `[battles, 2, agents]` bool.


class State(NamedTuple):
    """All data that observations depend on. After an annihilation nobody observes: all agents are stored as dead."""

    cells: Tensor  #: `[..., 2, agents, 2]` uint8, x and y; 0, a cell of the border wall, for the dead.
    hp: Tensor  #: `[..., 2, agents]` float32, hp divided by 10 as in a view; 0 for the dead.
    last_action: Tensor  #: `[..., 2, agents]` uint8, `NO_ACTION` at the start of a round and for the dead.
    last_reward: Tensor  #: `[..., 2, agents]` float32, 0 at the start of a round and for the dead.
    left: Tensor  #: `[...]` uint8, the army on the left; its agents have the lower ids.


class Excerpt(NamedTuple):
    """A copy of the parts of an observation that determine the `State`."""

    features: NDArray[np.float32]  #: `[..., 2, agents, 34]`.
    hp: NDArray[np.float32]  #: `[..., 2, agents]`, as in `State`.


def excerpt(observed: Observation) -> Excerpt:
    """Copy the parts of an observation of both armies that `compact` needs, `[battles, ...]`."""
    # This function and `compact` use numpy: torch takes several times as long for so few numbers.
    return Excerpt(observed.features.numpy().copy(), observed.views.numpy()[..., RADIUS, RADIUS, OWN_HP].copy())


def compact(seen: Excerpt, ids: Tensor, map_size: int) -> State:
    """Return the states in which observations were made, of one step or many.

    Args:
        seen: excerpts of the observations, `[battles, ..., 2, agents]`.
        ids: the engine's ids in this round, `[battles, 2, agents]`.
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
    """Return the observation of agent `slot[i]` of army `army[i]` in state i.

    Args:
        state: states of B samples, `[B, ...]`.
        army: `[B]` int64, 0 or 1.
        slot: `[B]` int64, in 0 .. agents - 1.
        map_size: side of the map.

    Returns:
        Views `[B, 13, 13, 7]` and features `[B, 34]`, float32. They are zero if the agent or all of the other army was
        dead.

    Raises:
        ValueError: army or slot has another shape or type.
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
    painted = alive & observes.view(-1, 1, 1)  # samples that observe nothing get no agents, and below no border

    views = hp.new_zeros(samples, SQUARES + 1, VIEW[2])  # the last square takes everything that is not seen
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
    features.scatter_(1, ID_BITS + last_action, 1)  # for NO_ACTION, the last reward overwrites this 1 below
    features[:, LAST_REWARD] = state.last_reward[sample, army, slot]
    features[:, -2:] = torch.stack([here_x, here_y], -1).to(features.dtype) / map_size
    return views[:, :SQUARES].view(samples, *VIEW), features.masked_fill_(~observes.unsqueeze(-1), 0)


def _paint_agents(views: Tensor, x: Tensor, y: Tensor, hp: Tensor, alive: Tensor) -> None:
    """Draw agents at `x` and `y` `[B, 2, agents]` relative to the observer, and their `hp`, the own army first."""
    seen = alive & (x * x + y * y <= RADIUS**2)
    square = ((y + RADIUS) * WIDTH + x + RADIUS).where(seen, SQUARES)
    first = torch.arange(OWN, ENEMY + 1, ENEMY - OWN, dtype=square.dtype, device=square.device)
    plane = square * VIEW[2] + first.unsqueeze(-1)
    flat, index = views.flatten(1), plane.flatten(1).long()
    flat.scatter_(1, index, 1)
    flat.scatter_(1, index + OWN_HP - OWN, hp.flatten(1))


def _paint_minimaps(views: Tensor, square: Tensor, here: Tensor, alive: Tensor) -> None:
    """Draw the share of each army's agents in every square, plus 1 in the observer's own square `here` `[B]`.

    `square` `[B, 2, agents]` is the square of each agent, the own army first.
    """
    counts = views.new_zeros(*alive.shape[:2], SQUARES + 1)
    square = square.where(alive, SQUARES).long()
    counts.scatter_add_(-1, square, counts.new_ones(1).expand(square.shape))
    minimaps = counts / alive.sum(-1, keepdim=True).clamp(min=1)
    here = here.long().view(-1, 1, 1).expand(-1, 2, 1)
    minimaps.scatter_add_(-1, here, minimaps.new_ones(1).expand(here.shape))
    views[..., OWN_MINIMAP], views[..., ENEMY_MINIMAP] = minimaps.unbind(1)


@lru_cache(maxsize=4)
def _all_walls(map_size: int, device: torch.device) -> Tensor:
    """Return the border cells in the view from each cell of the map, row by row: `[map_size ** 2 + 1, 169]` float32.

    The last row, without border, is for samples that observe nothing.
    """
    y, x = torch.cartesian_prod(*[torch.arange(map_size, device=device)] * 2).unbind(-1)
    walls = _walls(x, y, map_size).flatten(1).to(torch.float32)
    return torch.cat([walls, walls.new_zeros(1, SQUARES)])


def _walls(x: Tensor, y: Tensor, map_size: int) -> Tensor:
    """Return which cells of the view from `x` and `y` `[B]` are border: `[B, 13, 13]` bool, rows y, columns x."""
    steps = torch.arange(-RADIUS, RADIUS + 1, device=x.device)
    columns, rows = x.view(-1, 1, 1) + steps, y.view(-1, 1, 1) + steps.unsqueeze(-1)
    (border_x, on_x), (border_y, on_y) = (
        ((along == 0) | (along == map_size - 1), (along >= 0) & (along < map_size)) for along in (columns, rows)
    )
    walls = (border_x & on_y) | (border_y & on_x)
    return walls & (steps.square().unsqueeze(-1) + steps.square() <= RADIUS**2)

"""One battle on MAgent2's engine (Zheng et al. 2018): a safe wrapper of its C interface, with data in a fixed order.

The engine lists the living agents of an army without gaps, so rows shift up whenever agents die. Here every agent
keeps its *slot* 0 .. agents-1, its place in the army at the start, which is computed from its id. The engine checks
nothing, so the caller must refuse wrong actions.
"""

import ctypes
import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch  # noqa: F401  (imported before magent2, which would otherwise set torch's number of threads)
from numpy.typing import NDArray

from mfmarl.environments.battle.game import OWN_HP, RADIUS

HP = 10.0  # hp of an unhurt agent
ARMIES = (0, 1)


@dataclass(frozen=True)
class Memory:
    """Arrays that engines write, `[battles, 2, agents, ...]` for several engines or `[2, agents, ...]` for one."""

    views: NDArray[np.float32]  #: Views as last observed, `[..., 13, 13, 7]`, 0 for the dead.
    features: NDArray[np.float32]  #: Features as last observed, `[..., 34]`, 0 for the dead.
    hp: NDArray[np.float32]  #: Hp as last observed, 0 for the dead.
    alive: NDArray[np.bool_]
    rewards: NDArray[np.float32]  #: Rewards of the last step, 0 for agents that were dead before it.
    ids: NDArray[np.int32]  #: The engine's ids: 0 .. agents-1 on the left, the next `agents` numbers on the right.

    @classmethod
    def allocate(cls, shape: tuple[int, ...], view: tuple[int, ...], features: int) -> "Memory":
        """Return arrays of zeros.

        Args:
            shape: `(battles, 2, agents)`.
            view: shape of one agent's view.
            features: number of one agent's features.
        """
        single = np.float32
        return cls(
            views=np.zeros((*shape, *view), dtype=single),
            features=np.zeros((*shape, features), dtype=single),
            hp=np.zeros(shape, dtype=single),
            alive=np.zeros(shape, dtype=np.bool_),
            rewards=np.zeros(shape, dtype=single),
            ids=np.zeros(shape, dtype=np.int32),
        )

    def __getitem__(self, battle: int) -> "Memory":
        return Memory(*(getattr(self, field.name)[battle] for field in fields(self)))


class Engine:
    """The engine of one battle. It can be neither copied nor pickled; `Battles` can.

    Args:
        map_size: side of the square map, including its border of walls.
        memory: memory of one battle, to which the engine writes all its output; contiguous.

    Attributes:
        annihilated: whether all agents of an army are dead.
    """

    def __init__(self, map_size: int, memory: Memory) -> None:
        self.annihilated = False
        self._map_size = map_size
        self._views, self._features, self._hp = memory.views, memory.features, memory.hp
        self._alive, self._rewards, self._ids = memory.alive, memory.rewards, memory.ids
        agents = self._agents = memory.alive.shape[1]
        # Buffers that the engine reads and writes in its own order of rows.
        self._actions = np.zeros((2, agents), dtype=np.int32)
        self._row_rewards = np.zeros((2, agents), dtype=np.float32)
        self._row_alive = np.zeros((2, agents), dtype=np.bool_)
        self._row_ids = np.zeros((2, agents), dtype=np.int32)
        self._row_positions = np.zeros((2, agents, 2), dtype=np.int32)
        self._done = ctypes.c_int32()
        self._observation_at = [
            (ctypes.c_void_p * 2)(self._views[army].ctypes.data, self._features[army].ctypes.data) for army in ARMIES
        ]
        self._actions_at, self._rewards_at, self._alive_at, self._ids_at, self._positions_at = (
            [ctypes.c_void_p(rows[army].ctypes.data) for army in ARMIES]
            for rows in (self._actions, self._row_rewards, self._row_alive, self._row_ids, self._row_positions)
        )
        self._interrupted = False
        self._build()

    def begin(self, seed: int, left: int, blocks: NDArray[np.int32]) -> None:
        """Begin a round.

        Args:
            seed: seed of the order of the attacks, in 2 .. 2^31 - 2. In the engine, 0, 1 and no seed give one stream.
            left: army on the left, 0 or 1. Its agents get the lower ids.
            blocks: cells x, y of the left and of the right army, slot by slot, `[2, agents, 2]`.

        Raises:
            ValueError: a cell is not a free cell of the map. The engine itself only logs this and drops the agent.
        """
        if self._interrupted:
            self._build()  # the old engine would run the pending actions of agents that no longer exist
        self._game.set_seed(seed)
        self._game.reset()
        armies = (left, 1 - left)
        for army, cells in zip(armies, blocks, strict=True):
            self._game.add_agents(self._handles[army], "custom", pos=cells)
        agents = self._agents
        placed = [self._game.get_num(handle) for handle in self._handles]
        if placed != [agents, agents]:
            raise ValueError(f"blocks: {placed} agents of the two armies could be placed, not {agents} each")
        for place, army in enumerate(armies):
            self._ids[army] = np.arange(agents) + place * agents
        self._alive[:] = True
        self._rewards[:] = 0
        self.annihilated = False
        self._find_slots()

    def observe(self) -> None:
        """Write views, features and hp of both armies.

        They are zero for dead agents. Views and features are zero for all agents once an army is annihilated.

        Raises:
            RuntimeError: the last step was interrupted halfway, for example by Ctrl-C.
        """
        if self._interrupted:
            raise RuntimeError("a step of this battle was interrupted, and the round cannot go on from there: reset")
        if self.annihilated:
            self._views[:] = 0
            self._features[:] = 0
            return
        for army in ARMIES:
            self._call("env_get_observation", army, self._observation_at[army])
            slots = self._slots[army]
            living = len(slots)
            self._hp[army] = 0
            self._hp[army, slots] = self._views[army, :living, RADIUS, RADIUS, OWN_HP] * np.float32(HP)
            if living < self._agents:
                moved = int(np.argmin(self._alive[army]))  # rows before the first dead agent are already in their slots
                dead = ~self._alive[army]
                for block in (self._views[army], self._features[army]):
                    block[slots[moved:]] = block[moved:living].copy()
                    block[dead] = 0

    def step(self, actions: NDArray[np.uint8], first: int) -> None:
        """Play one step. Write who is alive, the rewards and `annihilated`.

        Agents that die receive their last reward in this step.

        Args:
            actions: actions by slot, `[2, agents]`; those of dead agents are ignored.
            first: army that moves before the other, 0 or 1.
        """
        self._interrupted = True
        for army in (first, 1 - first):
            slots = self._slots[army]
            self._actions[army, : len(slots)] = actions[army, slots]
            self._call("env_set_action", army, self._actions_at[army])
        self._call("env_step", None, ctypes.byref(self._done))
        self._rewards[:] = 0
        died = False
        for army in ARMIES:
            slots = self._slots[army]
            self._call("env_get_reward", army, self._rewards_at[army])
            self._info("alive", army, self._alive_at[army])
            self._rewards[army, slots] = self._row_rewards[army, : len(slots)]
            self._alive[army, slots] = living = self._row_alive[army, : len(slots)]
            died |= not living.all()
        if self._done.value:
            self.annihilated = True
            self._observe_last_hp()
        self._call("gridworld_clear_dead", None)
        if died:
            self._find_slots()
        self._interrupted = False

    def positions(self) -> NDArray[np.int32]:
        """Return the cells x, y of all agents, `[2, agents, 2]`, with -1 for the dead."""
        cells = np.full((*self._alive.shape, 2), -1, dtype=np.int32)
        for army in ARMIES:
            slots = self._slots[army]
            self._info("pos", army, self._positions_at[army])
            cells[army, slots] = self._row_positions[army, : len(slots)]
        return cells

    def _build(self) -> None:
        self._game = _GRID_WORLD("battle", map_size=self._map_size)
        self._handles = self._game.get_handles()
        self._interrupted = False

    def _observe_last_hp(self) -> None:
        """Write the hp of the survivors before the dead are cleared: the engine cannot observe an empty army."""
        views, features = np.empty_like(self._views[0]), np.empty_like(self._features[0])
        at = (ctypes.c_void_p * 2)(views.ctypes.data, features.ctypes.data)
        for army in ARMIES:
            self._call("env_get_observation", army, at)
            slots = self._slots[army]
            self._hp[army, slots] = views[: len(slots), RADIUS, RADIUS, OWN_HP] * np.float32(HP)
        self._hp[~self._alive] = 0

    def _find_slots(self) -> None:
        """Find the slot of each of the engine's rows from the ids that the engine lists."""
        self._slots: list[NDArray[np.intp]] = []
        for army in ARMIES:
            self._info("id", army, self._ids_at[army])
            rows = self._row_ids[army, : int(self._alive[army].sum())]
            self._slots.append((rows - self._ids[army, 0]).astype(np.intp))

    def _call(self, name: str, army: int | None, *arguments: Any) -> None:
        handle = () if army is None else (self._handles[army],)
        getattr(_LIBRARY, name)(self._game.game, *handle, *arguments)

    def _info(self, name: str, army: int, at: ctypes.c_void_p) -> None:
        _LIBRARY.env_get_info(self._game.game, self._handles[army], name.encode(), at)


def _import_magent2() -> tuple[Any, Any]:
    """Return the engine's library and class. Undo the import's change of OMP_NUM_THREADS, which processes inherit."""
    threads = os.environ.get("OMP_NUM_THREADS")
    from magent2.c_lib import _LIB  # noqa: PLC0415
    from magent2.gridworld import GridWorld  # noqa: PLC0415

    if threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    return _LIB, GridWorld


_LIBRARY, _GRID_WORLD = _import_magent2()

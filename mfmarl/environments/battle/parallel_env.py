"""Battle as a PettingZoo environment, with one dictionary entry per agent, for learners of other libraries.

It wraps `Battles` and is several times slower.
"""

import operator
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import EzPickle
from numpy.typing import NDArray
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import BaseWrapper
from pettingzoo.utils.conversions import parallel_to_aec

from mfmarl.arguments import check_types
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import (
    ACTIONS,
    FEATURES,
    VIEW,
    Battle,
)
from mfmarl.environments.battle.observation import LAST_REWARD, Units

ARMIES = ("red", "blue")
_COLOURS = np.array([[200, 30, 30], [30, 60, 200]])  # colours of unhurt agents; hurt agents are paler
_CELL = 8  # pixels

AgentObservation = dict[str, NDArray[np.float32]]


class BattleParallelEnv(ParallelEnv[str, AgentObservation, int], EzPickle):  # type: ignore[misc]
    """Two armies, `red_0 .. red_{N-1}` and `blue_0 .. blue_{N-1}`; it is drawn which of them stands on the left.

    An agent observes `{"view": [13, 13, 7], "features": [34]}` float32 and has 21 actions, see `Observation` and
    `mfmarl.environments.battle.game`. An agent that dies is terminated, with a last observation of zeros. All agents
    are terminated when an army is annihilated; after `max_cycles` steps the living are truncated. A copy, by pickle or
    deepcopy, is a new environment with the same arguments, before its first reset.

    Args:
        agents: number of agents N of one army.
        max_cycles: length of a round in steps if no army is annihilated. A new value counts from the next reset.
        render_mode: None or "rgb_array".

    Raises:
        ValueError: `Battle` does not allow the number of agents or cycles, or the render mode is unknown.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "mfmarl_battle",
        "render_modes": ["rgb_array"],
        "render_fps": 10,
        "is_parallelizable": True,
    }

    def __init__(self, agents: int = 64, max_cycles: int = 400, render_mode: str | None = None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f'render_mode must be None or "rgb_array", got {render_mode!r}')
        check_types(type(self), {"agents": agents, "max_cycles": max_cycles})
        try:
            game = Battle(agents, max_cycles)
        except ValueError as error:
            raise ValueError(str(error).replace("max_steps", "max_cycles")) from error
        EzPickle.__init__(self, agents, max_cycles, render_mode)
        self.render_mode = render_mode
        self.max_cycles = max_cycles
        self.possible_agents = [f"{army}_{agent}" for army in ARMIES for agent in range(agents)]
        self.agents: list[str] = []
        # Bounds of the values that the engine can write; a reward lies between -0.105 and 4.895.
        lowest, highest = np.zeros(FEATURES, dtype=np.float32), np.ones(FEATURES, dtype=np.float32)
        lowest[LAST_REWARD], highest[LAST_REWARD] = -1.0, 5.0
        self._observation_spaces = {
            agent: spaces.Dict(
                {"view": spaces.Box(0.0, 2.0, VIEW, np.float32), "features": spaces.Box(lowest, highest)}
            )
            for agent in self.possible_agents
        }
        self._action_spaces = {agent: spaces.Discrete(ACTIONS) for agent in self.possible_agents}
        self._generator = torch.Generator()
        self._generator.seed()
        self._battles = Battles(game)

    def observation_space(self, agent: str) -> spaces.Dict:
        """Return the observation space of an agent, always the same object."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Discrete:
        """Return the action space of an agent, always the same object."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, AgentObservation], dict[str, dict[str, Any]]]:
        """Begin a round. Without a seed, the generator of the last round goes on. There are no options.

        Raises:
            ValueError: the seed is not a whole number from 0 to 2^63 - 1.
        """
        if seed is not None:
            self._generator.manual_seed(_whole_number("seed", seed, 2**63 - 1))
        game = Battle(self._battles.game.agents, self.max_cycles)
        if game != self._battles.game:
            self._battles = Battles(game)
        self._battles.reset([self._generator])
        self.agents = self.possible_agents[:]
        return self._observations(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, AgentObservation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Play one step.

        Raises:
            ValueError: a living agent has no action, an action is not in 0 .. 20, or a key is not the name of an agent.
        """
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"actions must have one for every living agent, got none for {missing[0]}")
        if unknown := sorted(set(actions) - set(self.possible_agents)):
            raise ValueError(f"actions must be of red_0, blue_0 and so on, got one for {unknown[0]}")
        own = {agent: _whole_number(f"action of {agent}", action, ACTIONS - 1) for agent, action in actions.items()}
        joint = [own.get(agent, 0) for agent in self.possible_agents]
        outcome = self._battles.step(torch.tensor(joint).view(1, 2, -1))
        annihilated, done = bool(self._battles.annihilated), bool(outcome.done)
        everyone = dict(zip(self.possible_agents, outcome.rewards.flatten().tolist(), strict=True))
        died = dict(zip(self.possible_agents, outcome.died.flatten().tolist(), strict=True))
        rewards = {agent: everyone[agent] for agent in self.agents}
        terminations = {agent: died[agent] or annihilated for agent in self.agents}
        truncations = {agent: done and not terminations[agent] for agent in self.agents}
        observations: dict[str, AgentObservation] = self._observations()
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self.agents = [agent for agent in self.agents if not (terminations[agent] or truncations[agent])]
        return observations, rewards, terminations, truncations, infos

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture of the map, `[height, width, 3]` uint8, with render mode "rgb_array", else None."""
        if self.render_mode is None:
            return None
        return picture(self._battles.units(), self._battles.game.map_size)

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _observations(self) -> dict[str, AgentObservation]:
        observed = self._battles.observe()
        views = observed.views.flatten(0, 2).numpy().copy()
        features = observed.features.flatten(0, 2).numpy().copy()
        everyone = {
            agent: {"view": view, "features": feature}
            for agent, view, feature in zip(self.possible_agents, views, features, strict=True)
        }
        return {agent: everyone[agent] for agent in self.agents}


def _whole_number(name: str, value: Any, largest: int) -> int:
    """Return the value as an int.

    Raises:
        ValueError: the value is not a whole number from 0 to `largest`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not 0 <= number <= largest:
        raise ValueError(f"{name} must be a whole number from 0 to {largest}, got {value!r}")
    return number


def picture(units: Units, map_size: int, cell: int = _CELL) -> NDArray[np.uint8]:
    """Draw both armies of the first battle on white, with grey walls: `[map_size * cell, map_size * cell, 3]` uint8."""
    cells = np.full((map_size, map_size, 3), 255, dtype=np.uint8)
    for edge in (0, -1):
        cells[edge] = cells[:, edge] = 128
    for army, colour in enumerate(_COLOURS):
        living = units.alive[0, army]
        x, y = units.positions[0, army][living].T.numpy()
        strength = 0.3 + 0.7 * units.hp[0, army][living, None].numpy().clip(0, 10) / 10
        cells[y, x] = 255 - strength * (255 - colour)
    return cells.repeat(cell, 0).repeat(cell, 1)


def parallel_env(**settings: Any) -> BattleParallelEnv:
    """Return a `BattleParallelEnv` with these arguments; the function has PettingZoo's usual name."""
    return BattleParallelEnv(**settings)


def env(**settings: Any) -> AECEnv[str, AgentObservation, int]:
    """Return a `BattleParallelEnv` whose agents act one after the other; the function has PettingZoo's usual name."""
    return _Refusing(parallel_to_aec(parallel_env(**settings)))


class _Refusing(BaseWrapper[str, AgentObservation, int]):  # type: ignore[misc]
    """Check each action when it is given; `BattleParallelEnv` checks actions only when all agents have one."""

    def step(self, action: int | None) -> None:
        agent = self.agent_selection
        if not (self.terminations[agent] or self.truncations[agent]):
            _whole_number(f"action of {agent}", action, ACTIONS - 1)
        super().step(action)

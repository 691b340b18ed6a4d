"""The games, played on batched tensors. Stateless games are pure functions; Battle runs an engine that has a state."""

from inspect import signature
from typing import Protocol

import torch
from torch import Tensor

from mfmarl.environments.battle.game import Battle
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.environments.ising import Ising
from mfmarl.environments.matrix_game import MatrixGame

__all__ = ["Battle", "Environment", "Game", "GaussianSqueeze", "Ising", "MatrixGame", "pays_each_agent"]


class Game(Protocol):
    """What a job needs to know about any game."""

    @property
    def agents(self) -> int:
        """N, the number of agents."""
        ...


class Environment(Game, Protocol):
    """A repeated game without a state, with one reward for all agents or, as in a minority game, one for each agent."""

    @property
    def actions(self) -> int:
        """D, the number of actions of each agent."""
        ...

    @property
    def draws(self) -> int:
        """Number of uniform draws that the reward of a joint action needs; 0 for a deterministic game."""
        ...

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """Return the reward of joint actions.

        Args:
            actions: `[..., agents]` int64 in 0 .. D-1.
            noise: `[..., draws]` uniform in [0, 1).

        Returns:
            The common reward, `[...]` float64, or the reward of each agent, `[..., agents]`.
        """
        ...


def pays_each_agent(environment: Environment) -> bool:
    """Whether a game pays each agent its own reward instead of a common one.

    Raises:
        ValueError: the rewards have neither of the two shapes, differ from call to call, or depend on another seed's
            actions; or `reward` changes the actions that it is given.
    """
    agents, name = environment.agents, f"environment: reward of {type(environment).__name__}"
    actions, noise = example_actions(agents, environment.actions), example_noise(environment.draws)
    try:
        signature(environment.reward).bind(actions, noise)
    except TypeError as error:
        raise ValueError(f"{name} must take actions and noise: {error}") from error
    given, draws = actions.clone(), noise.clone()
    reward = environment.reward(given, draws)
    if not torch.equal(given, actions) or not torch.equal(draws, noise):
        raise ValueError(f"{name} must leave actions and noise as they are, got others after the call")
    shape = _checked_shape(name, reward, 2, agents)
    if not torch.allclose(reward, environment.reward(actions, noise), equal_nan=True):
        raise ValueError(f"{name} must be the same for the same actions and noise, got another one at the second call")
    alone = [environment.reward(actions[seed : seed + 1], noise[seed : seed + 1]) for seed in (0, 1)]
    for each in alone:
        _checked_shape(name, each, 1, agents)
    if not torch.allclose(reward, torch.cat(alone), equal_nan=True):
        raise ValueError(f"{name} must be of each seed by itself, got another one for two seeds than for each alone")
    return shape == [2, agents]


def _checked_shape(name: str, reward: object, seeds: int, agents: int) -> list[int]:
    shape = list(reward.shape) if isinstance(reward, Tensor) else []
    if not isinstance(reward, Tensor) or shape not in ([seeds], [seeds, agents]):
        allowed = f"a tensor [{seeds}], a common reward, or [{seeds}, {agents}], one an agent"
        got = list(getattr(reward, "shape", ()))
        raise ValueError(
            f"{name} for {seeds} seed{'s' * (seeds > 1)} must be {allowed}, got {type(reward).__name__} {got}"
        )
    return shape


def example_actions(agents: int, actions: int) -> Tensor:
    """Joint actions `[2, agents]` of two seeds, which differ in how often each action is chosen, not in all agents."""
    agent = torch.arange(agents)
    mixed = (agent + 1) % actions
    return torch.stack([mixed, mixed.where(agent >= (agents + 1) // 2, 0)])


def example_noise(draws: int) -> Tensor:
    """Noise `[2, draws]` for two seeds."""
    return torch.tensor([0.25, 0.75]).unsqueeze(-1).repeat(1, draws)

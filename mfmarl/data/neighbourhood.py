"""Neighbourhoods, which define the mean action that an agent sees and learns from: Eq. 11 and beyond.

A neighbourhood is a small frozen dataclass passed to a data module, which uses it in play, for replay, and in
evaluation. It has no state: its previous mean action is passed back to it, and is saved in checkpoints. In Battle each
army has its own neighbourhood, which is saved with the army and used wherever it fights; each round begins with a mean
action of zero. For example, an average over time:

    @dataclass(frozen=True)
    class ExponentialAverage(Neighbourhood):
        rate: float = 0.1

        def mean_action(self, step: JointStep) -> Tensor:
            now = super().mean_action(step)
            return now if step.before is None else step.before.lerp(now, self.rate)
"""

from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from mfmarl.arguments import check_fields, integer
from mfmarl.environments import example_actions
from mfmarl.mean_field import action_counts, frequencies, mean_action, simplex_points


class JointStep(NamedTuple):
    """Input of a mean action. Leading dimensions are seeds, or battles in Battle."""

    actions: Tensor  #: `[..., N]` int64, the last joint action.
    action_count: int  #: D, the number of actions.
    uniform: Tensor  #: `[..., draws]`, uniform draws in [0, 1) from each seed's own generator.
    before: Tensor | None  #: `[..., N, D]`, the previous joint step's mean action; None at the first step.
    alive: Tensor | None = None  #: `[..., N]` bool, whether each agent acted. None: all did, as in all other games.


@dataclass(frozen=True)
class Neighbourhood:
    """Eq. 11 over all other agents, or in Battle all other living agents of the army.

    A subclass overrides the methods in which it differs.

    The class affects the memory of a replay buffer. If it overrides `mean_action`, a joint step takes N D numbers for
    the mean actions, otherwise N + D for the actions and their `total`. In Battle it takes N D numbers for any class
    except `Army`, which needs D.

    Args:
        same_step: learn from the mean action of the joint step itself instead of the one that agents saw when they
            acted. Only in stateless games.
    """

    same_step: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def follows_from_total(self) -> bool:
        """Whether the mean action is that of Eq. 11 with `total` as the sum, i.e. `mean_action` is not overridden."""
        return type(self).mean_action is Neighbourhood.mean_action

    @property
    def is_of_all_others(self) -> bool:
        """Whether the mean action is that of all other agents, i.e. neither `mean_action` nor `total` is overridden."""
        return self.follows_from_total and type(self).total is Neighbourhood.total

    def draws(self, agents: int, actions: int) -> int:
        """Number of uniform draws per joint step."""
        return 0

    def total(self, step: JointStep) -> Tensor:
        """Sum of the one-hot actions of all agents, `[..., D]`."""
        return action_counts(step.actions, step.action_count, step.alive)

    def mean_action(self, step: JointStep) -> Tensor:
        """Mean action of each agent's neighbours, `[..., N, D]` float32, or `[..., 1, D]` if it is the same for all."""
        total = self.total(step).unsqueeze(-2)
        if step.alive is None:
            return mean_action(step.actions, total, step.actions.shape[-1])
        alive = step.alive.unsqueeze(-1).to(total.dtype)
        own = torch.zeros_like(total).expand(*step.actions.shape, -1).scatter(-1, step.actions.unsqueeze(-1), alive)
        return (total - own) / (total.sum(-1, keepdim=True) - alive).clamp(min=1)


@dataclass(frozen=True)
class Noise(Neighbourhood):
    """A control that replaces the mean action by random numbers.

    The sum of all actions is replaced by N p, with p drawn uniformly from the simplex. As in Eq. 11, each agent's own
    action a is subtracted: it sees (N p - a) / (N - 1), whose entries add up to 1 and are at least -1 / (N - 1).
    """

    def draws(self, agents: int, actions: int) -> int:
        """One draw per action."""
        return actions

    def total(self, step: JointStep) -> Tensor:
        """Random numbers that add up to N, `[..., D]`."""
        return simplex_points(step.uniform) * step.actions.shape[-1]


@dataclass(frozen=True)
class Graph(Neighbourhood):
    """Eq. 11 over an agent's neighbours in a graph; in Battle, over the living ones, numbered by place in the army.

    Args:
        neighbours: for each agent, the numbers of its neighbours; the graph may be directed.

    Raises:
        ValueError: an agent has no neighbours or the same one twice, or a number is not that of an agent.
    """

    neighbours: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for agent, own in enumerate(self.neighbours):
            whole = all(isinstance(other, Integral) for other in own)
            if not own or not whole or len(set(own)) < len(own) or min(own) < 0 or max(own) >= len(self.neighbours):
                allowed = f"distinct numbers in 0 .. {len(self.neighbours) - 1}, at least one"
                raise ValueError(f"neighbours of agent {agent} must be {allowed}, got {list(own)}")

    @cached_property
    def edges(self) -> Tensor:
        """All pairs of an agent and one of its neighbours: `[2, edges]` int64."""
        return torch.tensor([(agent, other) for agent, own in enumerate(self.neighbours) for other in own]).T

    def mean_action(self, step: JointStep) -> Tensor:
        """Mean action of each agent's neighbours, `[..., N, D]`; zero if none of them acted."""
        agents, count = len(self.neighbours), step.action_count
        if step.actions.shape[-1] != agents:
            raise ValueError(f"neighbours must be of {step.actions.shape[-1]} agents, got those of {agents}")
        agent, other = self.edges.to(step.actions.device)
        actions = step.actions[..., other]
        acted = torch.ones_like(actions) if step.alive is None else step.alive[..., other]
        counts = torch.zeros(*actions.shape[:-1], agents * count, device=actions.device)
        counts.scatter_add_(-1, agent * count + actions, acted.to(counts.dtype))
        return frequencies(counts.view(*actions.shape[:-1], agents, count))


@dataclass(frozen=True)
class Army(Neighbourhood):
    """The default of Battle: the mean action of all living agents of the army, itself included; the same for all."""

    def total(self, step: JointStep) -> Tensor:
        """Sum of the one-hot actions as whole numbers, `[..., D]` int64."""
        return action_counts(step.actions, step.action_count, step.alive, torch.int64)

    def mean_action(self, step: JointStep) -> Tensor:
        """Mean action of the army, `[..., 1, D]`; zero if no agent acted."""
        return frequencies(self.total(step)).unsqueeze(-2)


def check_neighbourhood(neighbourhood: Neighbourhood, agents: int, actions: int, *, mortal: bool = False) -> None:
    """Raise ValueError unless a neighbourhood returns finite mean actions of the right shape and type, seed by seed.

    Args:
        neighbourhood: the neighbourhood of all agents, or of an army.
        agents: N, the number of agents, or of those in the army.
        actions: D, the number of actions.
        mortal: whether agents may die, as in Battle.
    """
    if not isinstance(neighbourhood, Neighbourhood):
        raise ValueError(f"neighbourhood must be a Neighbourhood such as Graph(...), got {neighbourhood!r}")
    if mortal and neighbourhood.same_step:
        raise ValueError("neighbourhood: same_step must be False in Battle, got True")
    draws = integer(f"neighbourhood: draws of {type(neighbourhood).__name__}", neighbourhood.draws(agents, actions), 0)
    step = JointStep(example_actions(agents, actions), actions, torch.full((2, draws), 0.5), None)
    name = f"neighbourhood: mean_action of {type(neighbourhood).__name__}"
    for living in (agents, 0):
        if mortal:
            step = step._replace(alive=(torch.arange(agents) < living).expand(2, agents))
        found = neighbourhood.mean_action(step)
        allowed = [[2, agents, actions], [2, 1, actions]]
        is_tensor: bool = torch.is_tensor(found)
        if not is_tensor or list(found.shape) not in allowed or found.dtype != torch.float32:
            got = f"{found.dtype} {list(found.shape)}" if is_tensor else type(found).__name__
            several = f"2 {'battles' if mortal else 'seeds'}"
            raise ValueError(f"{name} must give float32 {allowed[0]} or {allowed[1]} for {several}, got {got}")
        if not found.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity with {living if mortal else agents} agents")
        parts = [[each[seed : seed + 1] if isinstance(each, Tensor) else each for each in step] for seed in (0, 1)]
        alone = [neighbourhood.mean_action(JointStep(*part)) for part in parts]  # type: ignore[arg-type]
        if any(each.shape != found[:1].shape for each in alone) or not torch.allclose(found, torch.cat(alone)):
            kind = "battle" if mortal else "seed"
            raise ValueError(f"{name} must be of each {kind} by itself, got another one for two than for each alone")
        step = step._replace(before=found.expand(*allowed[0]))

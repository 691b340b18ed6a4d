"""Whose actions count in the mean action that an agent acts under and learns from, and how: Eq. 11 and beyond.

A neighbourhood is a small frozen dataclass that is handed to a data module, which asks it in play, for what it stores,
and in evaluation alike. It holds no state: what it gave at the joint step before is handed back to it, and is saved
in checkpoints. In Battle each army has its own, which the army's file holds: it acts under it wherever it fights, and
begins each round with a mean action of zero. An average over time is this:

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

from mfmarl.custom import check_fields
from mfmarl.mean_field import action_counts, frequencies, mean_action


class JointStep(NamedTuple):
    """What a mean action is made of. Leading dimensions are seeds, in Battle battles."""

    actions: Tensor  #: `[..., N]` int64, the last joint action.
    action_count: int  #: D, the number of actions.
    uniform: Tensor  #: `[..., draws]`, draws in [0, 1) from each seed's own generator.
    before: Tensor | None  #: `[..., N, D]`, the mean action that was found a joint step ago; None at the first.
    alive: Tensor | None = None  #: `[..., N]` bool, who acted. None: all; they do not die but in Battle.


@dataclass(frozen=True)
class Neighbourhood:
    """Eq. 11 with all others for neighbours, in Battle all living others of the army.

    A subclass overrides what is special about it.

    A data module keeps the last `capacity` joint steps. Of a class that overrides `mean_action` it stores mean actions,
    N D numbers a joint step; of one that does not, what `total` gives, N + D numbers. In Battle it stores N D numbers
    of any class but `Army`, of which D are enough.

    Args:
        same_step: learn from the mean action of the joint step itself, in place of the one that was acted under. In
            stateless games alone.
    """

    same_step: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def follows_from_total(self) -> bool:
        """Whether the mean action is that of Eq. 11, with `total` for the sum: a subclass did not override it."""
        return type(self).mean_action is Neighbourhood.mean_action

    @property
    def is_of_all_others(self) -> bool:
        """Whether the mean action is that of all others as they acted: a subclass changed neither it nor `total`."""
        return self.follows_from_total and type(self).total is Neighbourhood.total

    def draws(self, agents: int, actions: int) -> int:
        """How many uniform draws a joint step takes."""
        return 0

    def total(self, step: JointStep) -> Tensor:
        """The one-hot actions of all agents added up, `[..., D]`."""
        return action_counts(step.actions, step.action_count, step.alive)

    def mean_action(self, step: JointStep) -> Tensor:
        """The mean action of each agent's neighbours, `[..., N, D]` float32, or `[..., 1, D]` if it is one for all."""
        total = self.total(step).unsqueeze(-2)
        if step.alive is None:
            return mean_action(step.actions, total, step.actions.shape[-1])
        alive = step.alive.unsqueeze(-1).to(total.dtype)
        own = torch.zeros_like(total).expand(*step.actions.shape, -1).scatter(-1, step.actions.unsqueeze(-1), alive)
        return (total - own) / (total.sum(-1, keepdim=True) - alive).clamp(min=1)


@dataclass(frozen=True)
class Noise(Neighbourhood):
    """A control: random numbers in place of the mean action.

    N times a point p drawn evenly from the simplex stands for the sum of all actions. Each agent's own action a is
    taken off, as in Eq. 11: it is given (N p - a) / (N - 1), whose entries add up to 1 and are at least -1 / (N - 1).
    """

    def draws(self, agents: int, actions: int) -> int:
        """One an action."""
        return actions

    def total(self, step: JointStep) -> Tensor:
        """Random numbers that add up to N, `[..., D]`."""
        exponential = -torch.log1p(-step.uniform)
        return exponential / exponential.sum(-1, keepdim=True) * step.actions.shape[-1]


@dataclass(frozen=True)
class Graph(Neighbourhood):
    """Eq. 11 over the neighbours in a graph, of those that act: in Battle the living, by their places in the army.

    Args:
        neighbours: of each agent, the numbers of the agents that count for it; a graph may be directed.

    Raises:
        ValueError: an agent without neighbours, one that has one twice, or a number that is no agent's.
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
        """Every pair of an agent and its neighbour: `[2, edges]` int64."""
        return torch.tensor([(agent, other) for agent, own in enumerate(self.neighbours) for other in own]).T

    def mean_action(self, step: JointStep) -> Tensor:
        """Of each agent's neighbours, `[..., N, D]`; zero where none of them acts."""
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
    """Battle's: the mean action of the agent's own army, of its living, itself among them; one for all."""

    def total(self, step: JointStep) -> Tensor:
        """As whole numbers."""
        return action_counts(step.actions, step.action_count, step.alive, torch.int64)

    def mean_action(self, step: JointStep) -> Tensor:
        """Of the army, `[..., 1, D]`; zero if none of it acts."""
        return frequencies(self.total(step)).unsqueeze(-2)


def check_neighbourhood(neighbourhood: Neighbourhood, agents: int, actions: int, *, mortal: bool = False) -> None:
    """Raise ValueError unless a neighbourhood gives mean actions of so many agents and actions.

    Args:
        neighbourhood: of an army, or of all.
        agents: N, of the army.
        actions: D.
        mortal: agents may die, as in Battle.
    """
    if not isinstance(neighbourhood, Neighbourhood):
        raise ValueError(f"neighbourhood must be a Neighbourhood such as Graph(...), got {neighbourhood!r}")
    if mortal and neighbourhood.same_step:
        raise ValueError("neighbourhood: same_step must be False in Battle, got True")
    draws = neighbourhood.draws(agents, actions)
    step = JointStep(torch.zeros(2, agents, dtype=torch.int64), actions, torch.full((2, draws), 0.5), None)
    name = f"neighbourhood: mean_action of {type(neighbourhood).__name__}"
    for living in (agents, 0):
        if mortal:
            step = step._replace(alive=(torch.arange(agents) < living).expand(2, agents))
        found = neighbourhood.mean_action(step)
        allowed = [[2, agents, actions], [2, 1, actions]]
        if list(found.shape) not in allowed or found.dtype != torch.float32:
            raise ValueError(
                f"{name} must give float32 {allowed[0]} or {allowed[1]} for 2 {'battles' if mortal else 'seeds'}, "
                f"got {found.dtype} {list(found.shape)}"
            )
        if not found.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinity with {living if mortal else agents} agents")
        step = step._replace(before=found.expand(*allowed[0]))

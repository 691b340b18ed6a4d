"""The base class of methods for stateless games."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mfmarl.algorithms.agent import Agent, check_discount, check_rate, checked_values
from mfmarl.algorithms.descent import by_autograd, check_independent, descend, follower
from mfmarl.data.stateless import ReplayDataModule, Round
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Environment
from mfmarl.seeds import generators

Gradients = Callable[[Batch], Sequence[Sequence[Tensor | None]]]  #: of each optimizer's parameters.


class StatelessAgent(Agent):
    """All agents of S independent runs, learning a stateless game from minibatches.

    A method defines `act`, `act_greedily`, `losses` and `configure_optimizers`; the rest is here.

    Args:
        environment: the game.
        seeds: the seeds whose runs are stacked in this module.
        discount: gamma, in [0, 1). 0.95: appendix C.1.
        target_rate: tau of the soft target update, in (0, 1]. 0.01: appendix C.1.
        reward_scale: rewards are multiplied by it before they are learned from, positive. 1: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    kind = "stateless"
    data_module = ReplayDataModule
    environment: Environment
    uses_mean_action = False
    uses_joint_action = False
    step: int  #: joint steps played when it last acted, where a method's policy depends on it.

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        discount: float = 0.95,
        target_rate: float = 0.01,
        reward_scale: float = 1.0,
    ) -> None:
        super().__init__(environment, seeds)
        check_discount(discount)
        check_rate("target_rate", target_rate)
        if not reward_scale > 0:
            raise ValueError(f"reward_scale must be positive, got {reward_scale}")
        self.start_generators = generators(seeds, "start")
        self.discount = discount
        self.reward_scale = reward_scale
        self.target_rate = target_rate
        self.step = 0
        self._is_checked = False

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        """Exploring actions.

        Args:
            mean_action: `[seeds, agents, D]` Eq. 11 at the last joint step, where `uses_mean_action`; else None.
            uniform: `[seeds, agents]` draws in [0, 1).
            step: joint steps played so far.

        Returns:
            `[seeds, agents]` int64.
        """
        raise NotImplementedError

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        """Actions `[seeds, agents]` int64 with learning and exploration off (appendix C.1).

        The headline score, `greedy_reward`, plays these, not `act`'s: a class that overrides `act` alone is scored
        by what it inherits here. `sampled_reward` and `training_reward` play `act`.
        """
        raise NotImplementedError

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        """See one joint step as it is played.

        Args:
            actions: `[seeds, agents]` int64.
            reward: unscaled, `[seeds]` float64, or `[seeds, agents]` of a game that pays each agent its own.
        """

    def action_values(self, network: nn.Module, agent: Tensor | None, mean_action: Tensor | None) -> Tensor:
        """What a network gives, `[seeds, batch, D]`, for agents `[seeds, batch]`, or None for all.

        Raises:
            ValueError: a custom network gives another shape.
        """
        batch = self.environment.agents if agent is None else agent.shape[1]
        return checked_values(network(agent, mean_action), [len(self.seeds), batch, self.environment.actions])

    def losses(self, batch: Batch) -> list[Tensor]:
        """One loss `[seeds]` an optimizer, in the order of `configure_optimizers`."""
        raise NotImplementedError

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of a network and its target copy, which follows it after every gradient step."""
        return []

    def get_extra_state(self) -> Tensor:
        """The joint steps played when it last acted, on which exploration depends."""
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        """Continue from `get_extra_state`'s return."""
        self.step = int(state)

    def training_step(self, experience: Round, batch_idx: int) -> None:
        """One round."""
        self.learn(experience, self.raw_optimizers())

    def learn(self, experience: Round, optimizers: Sequence[Optimizer]) -> None:
        """Play a round, and make a gradient step for each minibatch that it yields."""
        follow = follower(self.networks(), self.target_rate)
        gradients = self.gradients_by_hand(optimizers)
        if gradients is None:
            gradients = by_autograd(self.losses, optimizers, [len(self.seeds)], self.check_independent)
        descend(experience(self), gradients, optimizers, follow)

    def gradients_by_hand(self, optimizers: Sequence[Optimizer]) -> Gradients | None:
        """Those of `losses` at a minibatch, without autograd and bit for bit the same; None: autograd finds them."""
        return None

    def inherits(self, cls: type, *names: str) -> bool:
        """Whether these methods of the agent are those of `cls`: neither a subclass nor somebody replaced one."""
        return all(getattr(getattr(self, name), "__func__", None) is getattr(cls, name) for name in names)

    def check_independent(self, losses: Sequence[Tensor]) -> None:
        """Once, of a custom class: raise ValueError if the seeds of a stack share parameters."""
        if self.is_custom and len(self.seeds) > 1 and not self._is_checked:
            check_independent(losses, {name: each for name, each in self.named_parameters() if each.requires_grad})
        self._is_checked = True

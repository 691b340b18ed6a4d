"""The base class of methods for stateless games."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mfmarl import arguments
from mfmarl.algorithms.agent import Agent, checked_values
from mfmarl.algorithms.descent import by_autograd, check_independent, descend, follower
from mfmarl.data.stateless import ReplayDataModule, Round
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Environment
from mfmarl.networks.stacked import AgentNetwork, Embedding
from mfmarl.seeds import generators

Gradients = Callable[[Batch], Sequence[Sequence[Tensor | None]]]  #: from a minibatch to gradients for each optimizer.


class StatelessAgent(Agent):
    """All agents of S independent runs, which learn a stateless game from minibatches.

    A method defines `act`, `act_greedily`, `losses` and `configure_optimizers`.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked in this module.
        discount: gamma, in [0, 1). 0.95: appendix C.1.
        target_rate: rate tau of the soft target update, in (0, 1]. 0.01: appendix C.1.
        reward_scale: positive factor of rewards in learning. 1: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    kind = "stateless"
    data_module = ReplayDataModule
    environment: Environment
    uses_mean_action = False
    uses_joint_action = False
    step: int  #: joint steps played when it last acted, if the method's policy depends on it.

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
        arguments.discount("discount", discount)
        arguments.rate("target_rate", target_rate)
        arguments.positive("reward_scale", reward_scale)
        self.start_generators = generators(seeds, "start")
        self.discount = discount
        self.reward_scale = reward_scale
        self.target_rate = target_rate
        self.step = 0
        self._is_checked = False

    def value_network(self, hidden: Sequence[int] | None, embedding: Embedding, start_bias: float) -> AgentNetwork:
        """Create the network Q(j, a) or, with `uses_mean_action`, Q(j, a, abar) of all seeds; arguments as of IL."""
        return AgentNetwork(
            self.environment.agents,
            self.environment.actions if self.uses_mean_action else 0,
            self.environment.actions,
            hidden,
            self.start_generators,
            embedding=embedding,
            start_bias=start_bias,
        )

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        """Choose exploring actions.

        Args:
            mean_action: mean action at the last joint step (Eq. 11), `[seeds, agents, D]`; None unless
                `uses_mean_action`.
            uniform: uniform draws in [0, 1), `[seeds, agents]`.
            step: joint steps played so far.

        Returns:
            Actions `[seeds, agents]` int64.
        """
        raise NotImplementedError(f"{type(self).__name__} must define act")

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        """Choose actions `[seeds, agents]` int64 with learning and exploration off (appendix C.1).

        The main score, `greedy_reward`, uses these actions, so a class that overrides only `act` is scored by the
        inherited method. `sampled_reward` and `training_reward` use `act`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define act_greedily")

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        """See each joint step as it is played.

        Args:
            actions: actions, `[seeds, agents]` int64.
            reward: unscaled rewards, `[seeds]` float64, or `[seeds, agents]` if the game pays each agent its own.
        """

    def action_values(self, network: nn.Module, agent: Tensor | None, mean_action: Tensor | None) -> Tensor:
        """Outputs `[seeds, batch, D]` of a network for the agents `[seeds, batch]`, or for all if None.

        Raises:
            ValueError: a custom network returns another shape.
        """
        batch = self.environment.agents if agent is None else agent.shape[1]
        return checked_values(network(agent, mean_action), [len(self.seeds), batch, self.environment.actions])

    def losses(self, batch: Batch) -> list[Tensor]:
        """One loss `[seeds]` per optimizer, in the order of `configure_optimizers`."""
        raise NotImplementedError(f"{type(self).__name__} must define losses")

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of a network and its target copy, which follows it after every gradient step."""
        return []

    def get_extra_state(self) -> Tensor:
        """The number of joint steps played when it last acted, on which exploration depends."""
        return torch.tensor(self.step)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the state returned by `get_extra_state`."""
        self.step = int(state)

    def training_step(self, experience: Round, batch_idx: int) -> None:
        """Play a round and learn from it."""
        self.learn(experience, self.raw_optimizers())

    def learn(self, experience: Round, optimizers: Sequence[Optimizer]) -> None:
        """Play a round, and make a gradient step for each minibatch that it yields."""
        follow = follower(self.networks(), self.target_rate)
        gradients = self.gradients_by_hand(optimizers) or self.gradients_by_autograd(optimizers)
        descend(experience(self), gradients, optimizers, follow)

    def gradients_by_autograd(self, optimizers: Sequence[Optimizer]) -> Gradients:
        """A function that computes the gradients of `losses`."""
        return by_autograd(self.losses, optimizers, [len(self.seeds)], self.check_independent)

    def gradients_by_hand(self, optimizers: Sequence[Optimizer]) -> Gradients | None:
        """A function that computes the gradients of `losses` without autograd, bitwise the same; None: use autograd."""
        return None

    def inherits(self, cls: type, *names: str) -> bool:
        """Whether these methods of the agent are those of `cls`, i.e. not overridden or replaced."""
        return all(getattr(getattr(self, name), "__func__", None) is getattr(cls, name) for name in names)

    def check_independent(self, losses: Sequence[Tensor]) -> None:
        """Raise ValueError if the seeds of a custom class share parameters; checked until all gradients have told."""
        if self.is_custom and len(self.seeds) > 1 and not self._is_checked:
            parameters = {name: each for name, each in self.named_parameters() if each.requires_grad}
            self._is_checked = check_independent(losses, parameters)

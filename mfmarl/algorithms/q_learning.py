"""Independent Q-learning (IL), and mean field Q-learning (MF-Q), Algorithm 1 of Yang et al. 2018.

MF-Q minimises `(1/K) sum (y - Q(a^j, abar^j))^2` with `y = r^j + gamma v(s')`, where v is the value of Eq. 10 under the
policy of Eq. 12. IL is the same without abar^j.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mfmarl import arguments
from mfmarl.algorithms.agent import checked_network
from mfmarl.algorithms.optimizers import adam, gradient_descent, trained
from mfmarl.algorithms.stateless import Gradients, StatelessAgent
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Environment
from mfmarl.exploration import EpsilonGreedy, Exploration, check_exploration
from mfmarl.mean_field import boltzmann_policy, boltzmann_value, chosen, mean_policy
from mfmarl.networks.stacked import AgentNetwork, Embedding


class IL(StatelessAgent):
    """Independent Q-learning: all agents share one Q-network, which sees the agent's id but not the other agents.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        learning_rate: Adam's learning rate, or alpha of Eq. 9 for a table. 1e-5: appendix C.1.
        hidden: widths of the hidden layers; two of them make the three-layer MLP of appendix C.1, 32: our choice.
            None: a table, learned by Eq. 9.
        embedding: how the id enters, see AgentNetwork. `one-hot`: our choice.
        start_bias: initial bias of the value of action 0. 0: our choice.
        exploration: exploration strategy, which also sets the temperature T of Eq. 12 for acting and for v.
            Epsilon-greedy: appendix C.1; from 0.1 to 0.01 at once: our choice.
        **general: arguments of StatelessAgent.
    """

    called = "il"

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        learning_rate: float = 1e-5,
        hidden: Sequence[int] | None = (32, 32),
        embedding: Embedding = "one-hot",
        start_bias: float = 0.0,
        exploration: Exploration = EpsilonGreedy(0.1, 0.01),
        **general: Any,
    ) -> None:
        super().__init__(environment, seeds, **general)
        check_exploration(exploration)
        arguments.positive("learning_rate", learning_rate)
        self.learning_rate, self.exploration = learning_rate, exploration
        self.network = checked_network(self.make_network(hidden, embedding, start_bias), self, "make_network")
        self.target = deepcopy(self.network).requires_grad_(False)
        self.is_table = hidden is None

    def make_network(self, hidden: Sequence[int] | None, embedding: Embedding, start_bias: float) -> nn.Module:
        """Create the Q-network of all seeds, with the mean action as an input if `uses_mean_action` is set.

        To use plain torch layers in a subclass, return a Copies.
        """
        return self.value_network(hidden, embedding, start_bias)

    @torch.no_grad()
    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        self.step = step
        return self.exploration.choose(self.preferences(mean_action), uniform, step)

    @torch.no_grad()
    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        return self.preferences(mean_action).argmax(-1)

    def preferences(self, mean_action: Tensor | None) -> Tensor:
        """Values `[seeds, agents, D]` by which exploration chooses: by default the action values."""
        return self.action_values(self.network, None, mean_action)

    def losses(self, batch: Batch) -> list[Tensor]:
        values = self.action_values(self.network, batch.agent, batch.mean_action)
        td_error = self.td_target(batch) - chosen(values, batch.action)
        # For a table, the gradient of half the squared error is minus the TD error, so gradient descent is Eq. 9.
        return [td_error.square().sum(-1) / 2 if self.is_table else td_error.square().mean(-1)]

    @torch.no_grad()
    def td_target(self, batch: Batch) -> Tensor:
        """`y = r^j + gamma v(s')`, `[seeds, batch]`."""
        # The game has no state, so the target network's next values are those where the transition began.
        next_values = self.action_values(self.target, batch.agent, batch.mean_action)
        # v(s') of Eq. 10 under the policy of Eq. 12; with epsilon-greedy play T = 0 and this is the maximum.
        value = boltzmann_value(next_values, self.exploration.temperature(self.step))
        return self.reward_scale * batch.reward + self.discount * value

    def gradients_by_hand(self, optimizers: Sequence[Optimizer]) -> Gradients | None:
        network = self.network
        if not self.inherits(IL, "losses", "action_values") or self.is_table or len(optimizers) != 1:
            return None
        if not isinstance(network, AgentNetwork) or not network.has_gradients_by_hand():
            return None
        parameters, by_autograd = trained(optimizers[0]), self.gradients_by_autograd(optimizers)

        def gradients(batch: Batch) -> Sequence[Sequence[Tensor | None]]:
            target = self.td_target(batch)
            if target.requires_grad:  # a subclass's own
                return by_autograd(batch)
            found = network.squared_error_gradients(batch.agent, batch.mean_action, batch.action, target)
            return [[found.get(parameter) for parameter in parameters]]

        return gradients

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.network, self.target)]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        make = gradient_descent if self.is_table else adam
        return make(self.network.parameters(), self.learning_rate)


class MFQ(IL):
    """Mean field Q-learning: IL whose network also sees the mean action abar^j of the agent's neighbours (Eq. 11).

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        fixed_point: how to find the mean action that the agents see, as Eqs. 11 and 12 depend on each other. `one-shot`
            applies Eq. 11 to the actions of the last joint step, as in Algorithm 1. `iterated` starts there, and
            repeatedly replaces the mean action by the mean of the policies that respond to it.
        damping: weight of the new mean action in an iteration, in (0, 1]. 0.5: our choice.
        iterations: number of iterations of `iterated`, at least 1. 10: our choice.
        **like_il: arguments of IL.

    Raises:
        ValueError: the fixed point is unknown, the damping or number of iterations is out of range, or a subclass sets
            `uses_mean_action` to False.
    """

    called = "mf-q"
    uses_mean_action = True

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        fixed_point: Literal["one-shot", "iterated"] = "one-shot",
        damping: float = 0.5,
        iterations: int = 10,
        **like_il: Any,
    ) -> None:
        if not self.uses_mean_action:
            raise ValueError(f"uses_mean_action of {type(self).__name__} must be True, got False: without it extend IL")
        super().__init__(environment, seeds, **like_il)
        if fixed_point not in ("one-shot", "iterated"):
            raise ValueError(f"fixed_point must be one-shot or iterated, got {fixed_point!r}")
        arguments.rate("damping", damping)
        arguments.integer("iterations", iterations, 1)
        self.fixed_point, self.damping, self.iterations = fixed_point, damping, iterations

    def setup(self, stage: str) -> None:
        """Check that an iterated fixed point is used only with Eq. 11 over all others, which `mean_policy` assumes.

        Raises:
            ValueError: the fixed point is `iterated`, and the neighbourhood is another one.
        """
        neighbourhood = self.trainer.datamodule.neighbourhood  # type: ignore[attr-defined]
        if self.fixed_point == "iterated" and not neighbourhood.is_of_all_others:
            raise ValueError(f"fixed_point must be one-shot with {neighbourhood}: iterated is of all others alone")

    def preferences(self, mean_action: Tensor | None) -> Tensor:
        assert mean_action is not None
        if self.fixed_point == "iterated":
            temperature = self.exploration.temperature(self.step)
            for _ in range(self.iterations):
                # Eq. 12 at the current mean action, then Eq. 11 of the policies; damped, so that it converges.
                policy = boltzmann_policy(super().preferences(mean_action), temperature)
                mean_action = torch.lerp(mean_action, mean_policy(policy), self.damping)
        return super().preferences(mean_action)

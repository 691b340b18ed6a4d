"""Actor-critics: independent (AC), mean field (MF-AC, Algorithm 2 of Yang et al. 2018) and joint-action (MAAC).

Each agent has its own actor; the critic is shared and sees the agent's id (appendix C.1). In a stateless game an actor
has no input, so it consists of logits only: `pi^j = softmax(theta^j)`.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mfmarl import arguments
from mfmarl.algorithms.agent import checked_network
from mfmarl.algorithms.optimizers import adam, trained
from mfmarl.algorithms.stateless import Gradients, StatelessAgent
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Environment
from mfmarl.exploration import sample
from mfmarl.mean_field import boltzmann_policy, chosen, mean_field_value
from mfmarl.networks.stacked import (
    AgentNetwork,
    Embedding,
    JointActionLayer,
    added_up,
    computes_as_written,
    gather_rows,
    pad,
    stacked_uniform,
)


class AC(StatelessAgent):
    """Independent actor-critic: MF-AC without the mean action.

    Critic: `(1/K) sum (y - Q(a^j))^2` with `y = r^j + gamma v(s')`, where v is that of Eq. 10 under the target actor.
    Actor: the loss `-sum_a pi(a) Q_target(a)`, whose gradient is the expectation of Algorithm 2's
    `grad log pi(a) Q_target(a)` over an action a drawn from pi.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        critic_learning_rate: Adam's learning rate for the critic. 1e-3: appendix C.1.
        actor_learning_rate: Adam's learning rate for the actors. 1e-4: appendix C.1.
        hidden: widths of the critic's hidden layers, at least one. (32, 32): our choice.
        embedding: how the id enters the critic, see AgentNetwork. `one-hot`: our choice.
        start_bias: initial bias of the logit and of the critic's value of action 0; in MAAC, whose critic has no
            output per action, of the logit only. 0: our choice.
        **general: arguments of StatelessAgent.
    """

    called = "ac"

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        critic_learning_rate: float = 1e-3,
        actor_learning_rate: float = 1e-4,
        hidden: Sequence[int] = (32, 32),
        embedding: Embedding = "one-hot",
        start_bias: float = 0.0,
        **general: Any,
    ) -> None:
        super().__init__(environment, seeds, **general)
        if not hidden:
            raise ValueError(f"hidden must name at least one width, got {hidden}")
        arguments.positive("critic_learning_rate", critic_learning_rate)
        arguments.positive("actor_learning_rate", actor_learning_rate)
        self.critic_learning_rate, self.actor_learning_rate = critic_learning_rate, actor_learning_rate
        self.critic = checked_network(self.make_critic(hidden, embedding, start_bias), self, "make_critic")
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        self.actor = Actors(environment, self.start_generators, start_bias)
        self.actor_target = deepcopy(self.actor).requires_grad_(False)

    def make_critic(self, hidden: Sequence[int], embedding: Embedding, start_bias: float) -> nn.Module:
        """Create the critic Q of all seeds, with the mean action as an input if `uses_mean_action` is set.

        To use plain torch layers in a subclass, return a Copies.
        """
        return self.value_network(hidden, embedding, start_bias)

    @torch.no_grad()
    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        return sample(boltzmann_policy(self.actor.logits, 1.0), uniform)

    @torch.no_grad()
    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        return self.actor.logits.argmax(-1)

    def losses(self, batch: Batch) -> list[Tensor]:
        next_values = self.next_values(batch)
        values = self.action_values(self.critic, batch.agent, batch.mean_action)
        td_error = self.td_target(batch, next_values) - chosen(values, batch.action)
        return [td_error.square().mean(-1), self.actor_loss(batch, next_values)]

    @torch.no_grad()
    def next_values(self, batch: Batch) -> Tensor:
        """`Q_target`, `[seeds, batch, D]`; without a state, the next values are those where the transition began."""
        return self.action_values(self.critic_target, batch.agent, batch.mean_action)

    @torch.no_grad()
    def td_target(self, batch: Batch, next_values: Tensor) -> Tensor:
        """`y = r^j + gamma v(s')`, `[seeds, batch]`, with v of Eq. 10 under the target actor's policy."""
        value = mean_field_value(self.actor_target(batch.agent), next_values)
        return self.reward_scale * batch.reward + self.discount * value

    def actor_loss(self, batch: Batch, next_values: Tensor) -> Tensor:
        """Loss `[seeds]` whose gradient is that of Algorithm 2 in expectation over the action that it draws."""
        return -mean_field_value(self.actor(batch.agent), next_values).mean(-1)

    def gradients_by_hand(self, optimizers: Sequence[Optimizer]) -> Gradients | None:
        critic = self.critic
        if not self.inherits(AC, "losses", "action_values") or len(optimizers) != len(self.networks()):
            return None
        if not isinstance(critic, AgentNetwork) or not critic.has_gradients_by_hand():
            return None
        of_critic, of_actor = (trained(optimizer) for optimizer in optimizers)
        by_autograd = self.gradients_by_autograd(optimizers)
        actors_too = self.inherits(AC, "actor_loss") and self.actor.has_gradients_by_hand()

        def gradients(batch: Batch) -> Sequence[Sequence[Tensor | None]]:
            next_values = self.next_values(batch)
            target = self.td_target(batch, next_values)
            if next_values.requires_grad or target.requires_grad:  # a subclass's own
                return by_autograd(batch)
            found = critic.squared_error_gradients(batch.agent, batch.mean_action, batch.action, target)
            if actors_too:
                found |= self.actor.policy_gradients(batch.agent, next_values)
                return [[found.get(parameter) for parameter in of] for of in (of_critic, of_actor)]
            actor_loss = self.actor_loss(batch, next_values).sum()
            gradients_of_actor = torch.autograd.grad(actor_loss, of_actor, allow_unused=True)
            return [[found.get(parameter) for parameter in of_critic], gradients_of_actor]

        return gradients

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.critic, self.critic_target), (self.actor, self.actor_target)]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            adam(self.critic.parameters(), self.critic_learning_rate, "critic_learning_rate"),
            adam(self.actor.parameters(), self.actor_learning_rate, "actor_learning_rate"),
        ]


class MFAC(AC):
    """Mean field actor-critic: AC whose critic also sees the mean action abar^j of the agent's neighbours (Eq. 11)."""

    called = "mf-ac"
    uses_mean_action = True


class MAAC(AC):
    """The discrete-action MADDPG of Lowe et al. 2017, whose critic `Q(j, a^1, ..., a^N)` sees every action.

    Critic: as in AC, but in the value of s' each agent's one-hot action is replaced by its target policy, MADDPG's
    relaxation for discrete actions. Actor: `-sum_b pi(b) Q(j, ..., a^j = b, ...)`, with the stored actions of the other
    agents.
    """

    called = "maac"
    uses_joint_action = True
    critic: "JointCritic"
    critic_target: "JointCritic"

    def __init__(self, environment: Environment, seeds: Sequence[int], **like_ac: Any) -> None:
        super().__init__(environment, seeds, **like_ac)
        checked_network(self.critic, self, "make_critic", JointCritic)

    def make_critic(self, hidden: Sequence[int], embedding: Embedding, start_bias: float) -> "JointCritic":
        """Create the critic of all seeds; a subclass's own must be a JointCritic too."""
        agents, actions = self.environment.agents, self.environment.actions
        return JointCritic(agents, actions, hidden, embedding, self.start_generators)

    def losses(self, batch: Batch) -> list[Tensor]:
        assert batch.joint_action is not None
        with torch.no_grad():
            policies = boltzmann_policy(self.actor_target.logits, 1.0)
            value = self.critic_target.value_of_policies(batch.agent, policies)
            td_target = self.reward_scale * batch.reward + self.discount * value
        first = self.critic.first_layer(batch.agent, batch.joint_action)
        critic_loss = (td_target - self.critic.value(first)).square().mean(-1)
        with torch.no_grad():
            values = self.critic.had_it_acted(batch.agent, batch.action, first)
        actor_loss = -mean_field_value(self.actor(batch.agent), values).mean(-1)
        return [critic_loss, actor_loss]


class JointCritic(nn.Module):
    """`Q(j, a^1, ..., a^N)`: an MLP over the agent's one-hot id and the one-hot actions of all agents."""

    def __init__(
        self,
        agents: int,
        actions: int,
        hidden: Sequence[int],
        embedding: Embedding,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        self.network = AgentNetwork(agents, 0, 1, hidden, generators, embedding=embedding)
        self.joint = JointActionLayer(agents, actions, hidden[0], generators)

    def first_layer(self, agent: Tensor, joint: Tensor) -> Tensor:
        """Input of the MLP's first layer.

        Args:
            agent: ids, `[seeds, B]`.
            joint: joint actions, `[seeds, G, N]`; sample i belongs to joint action `i * G // B`.

        Returns:
            `[seeds, B, width]`.
        """
        seen: Tensor = self.joint(joint)
        return self.network.rows(agent) + seen.repeat_interleave(agent.shape[1] // seen.shape[1], 1)

    def value(self, first: Tensor) -> Tensor:
        """Values `[seeds, B]`, given the result of `first_layer`."""
        return self.network.output(first).squeeze(-1)

    def value_of_policies(self, agent: Tensor, policies: Tensor) -> Tensor:
        """Values `[seeds, B]` with row k of `policies` `[seeds, agents, D]` in place of agent k's action."""
        seen = torch.bmm(policies.flatten(1).unsqueeze(1), self.joint.rows)
        return self.value(self.network.rows(agent) + seen)

    def had_it_acted(self, agent: Tensor, action: Tensor, first: Tensor) -> Tensor:
        """Values `[seeds, B, D]` with each possible action of the agent in place of its `action` `[seeds, B]`."""
        own = self.joint.own(agent)
        actions, width = own.shape[2:]
        taken = own.gather(2, action.view(*action.shape, 1, 1).expand(-1, -1, 1, width))
        replaced = (own + (first.unsqueeze(2) - taken)).flatten(1, 2)
        return self.value(replaced).view(*agent.shape, actions)


class Actors(nn.Module):
    """N separate actors: the logits `[seeds, agents, D]` of their policies, which start within 0.01 of zero."""

    def __init__(self, environment: Environment, generators: Sequence[torch.Generator], start_bias: float) -> None:
        super().__init__()
        logits = stacked_uniform((environment.agents, environment.actions), 1e-2, generators)
        logits[..., 0] += float(start_bias)
        self.actions = environment.actions
        self.padded_logits = nn.Parameter(pad(logits))

    @property
    def logits(self) -> Tensor:
        """Logits `[seeds, agents, D]` of all agents."""
        return self.padded_logits[..., : self.actions]

    def forward(self, agent: Tensor) -> Tensor:
        """Policies `[seeds, batch, D]` of the agents `[seeds, batch]`."""
        return boltzmann_policy(gather_rows(self.padded_logits, agent)[..., : self.actions], 1.0)

    def has_gradients_by_hand(self) -> bool:
        """Whether `policy_gradients` may replace autograd, i.e. nothing changes how policies are computed."""
        return computes_as_written(self, Actors)

    @torch.no_grad()
    def policy_gradients(self, agent: Tensor, values: Tensor) -> dict[Tensor, Tensor]:
        """Gradient of `-(1/K) sum_k sum_a pi_k(a) Q_k(a)`, bitwise equal to that of autograd.

        Args:
            agent: ids, `[seeds, K]` int64.
            values: values Q, `[seeds, K, D]`.

        Returns:
            The gradient of each parameter, by parameter.
        """
        table = self.padded_logits
        # Forward, as in `boltzmann_policy` at T = 1.
        logits = gather_rows(table, agent)[..., : self.actions]
        best = logits.amax(-1, keepdim=True)
        weights = (logits - best).exp_()
        total = weights.sum(-1, keepdim=True)
        policy = weights / total
        # Backward through the quotient, the exponential and the maxima.
        gradient = values * (-1 / agent.shape[1])
        through_total = policy.div_(total).mul_(gradient).sum(-1, keepdim=True)
        gradient.div_(total).sub_(through_total).mul_(weights)
        maxima = (logits == best).to(gradient.dtype)
        through_best = maxima.mul(gradient.sum(-1, keepdim=True)).div_(maxima.sum(-1, keepdim=True))
        return {table: added_up(gradient.sub_(through_best), table, agent)}

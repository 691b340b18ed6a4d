"""The four methods of Battle: IL, MF-Q, AC and MF-AC, with a convolutional network shared by the whole army (C.3).

A method plays army 0 and learns from its replayed transitions (o, a, r, o'). Army 1 is played by a copy, which is moved
towards the learner when the learner wins. A mean field method differs from its baseline by one input, the mean action:
the frequencies of the 21 actions that the living agents of its own army, itself included, took at the previous step.
(Eq. 11 is over neighbours, but the paper's Battle has none; the released code also uses the whole army.)

    IL, MF-Q    `(y - Q(o, a, abar))^2`,  `y = r + gamma v(o')`, v of Eq. 10 (max at T = 0)
    AC, MF-AC   `0.1 (y - Q(o, a, abar))^2 - sum_a pi(a | o') Q_target(o', a, abar') - 0.08 H(pi(. | o'))`,
                v(o') of Eq. 10 under the target actor. This is Algorithm 2, whose actor gradient is taken at o' with
                Q_target, but in expectation over the actor's action instead of for one drawn from the target actor.
                The last two terms are left out if the transition is terminal.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mfmarl import arguments
from mfmarl.algorithms.agent import Agent, checked_network, checked_values, created_folder
from mfmarl.algorithms.descent import by_autograd, descend, follower
from mfmarl.algorithms.optimizers import adam
from mfmarl.custom import given_class, is_ours
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.neighbourhood import Army, Neighbourhood
from mfmarl.data.self_play import SelfPlayDataModule, SelfPlayRound
from mfmarl.environments.battle.game import ACTIONS, Battle
from mfmarl.exploration import EpsilonGreedy, check_exploration
from mfmarl.files import told
from mfmarl.mean_field import boltzmann_policy, boltzmann_value, chosen, mean_field_value
from mfmarl.networks.battle import BattleNetwork, weights_cast
from mfmarl.policies import NETWORKS, Acting, Policy, save_agent
from mfmarl.seeds import generators, plain_layers_from
from mfmarl.values import classes_in, decode, encode


class BattleAgent(Agent):
    """An army in self-play. A method defines `acting`, `training_step` and `configure_optimizers`.

    Args:
        environment: the game.
        seeds: one seed; `agent_of_seeds` stacks several.
        learning_rate: Adam's learning rate. 1e-4: appendix C.3.
        discount: gamma, in [0, 1). 0.95: appendix C.3.
        opponent_rate: weight of the learner in an update of the opponent's copy, in (0, 1]. 0.99: released code.
        neighbourhood: definition of the mean action, equal to that of the data module. Army(): released code.

    Raises:
        ValueError: an argument out of its range, or several seeds.
    """

    kind = "battle"
    unit = "agent-rounds"
    uses_mean_action = False
    file = "policy.safetensors"
    always_saved = True
    shared_with_data = (*Agent.shared_with_data, "neighbourhood")
    environment: Battle
    network: nn.Module  #: Q-network or actor, called with view, feature and mean action.
    opponent: nn.Module

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        learning_rate: float = 1e-4,
        discount: float = 0.95,
        opponent_rate: float = 0.99,
        neighbourhood: Neighbourhood = Army(),
    ) -> None:
        super().__init__(environment, seeds)
        if len(seeds) != 1:
            raise ValueError(f"seeds must be one seed for Battle, got {list(seeds)}")
        arguments.positive("learning_rate", learning_rate)
        arguments.discount("discount", discount)
        arguments.rate("opponent_rate", opponent_rate)
        self.learning_rate, self.discount = learning_rate, discount
        self.opponent_rate = opponent_rate
        self.neighbourhood = neighbourhood
        (self.start_generator,) = generators(seeds, "start")
        with plain_layers_from(self.start_generator):
            self.network = checked_network(self.make_network(), self, "make_network")
        self.opponent = _copy(self.network)

    @classmethod
    def can_be_stacked(cls) -> bool:
        """Whether several seeds can be stacked: only for methods of this package that learn from replay."""
        return False

    @classmethod
    def files_of(cls, seeds: Sequence[int]) -> tuple[str, ...]:
        """Paths of the files, one per seed, in the order of seeds; those of a stack are in separate folders."""
        return (cls.file,) if len(seeds) == 1 else tuple(f"seed-{seed}/{cls.file}" for seed in seeds)

    def make_network(self) -> nn.Module:
        """Create a network with the inputs of the method. It is called with view, feature and mean action, see `act`.

        Plain torch layers created here start from this run's generator.
        """
        return BattleNetwork(self.uses_mean_action, self.start_generator)

    @torch.no_grad()
    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose the actions of an army in training, by default according to `acting`.

        Args:
            army: 0, the learner, or 1, its copy.
            view: views of its living agents, `[agents, 13, 13, 7]`.
            feature: features, `[agents, 34]`.
            mean_action: mean actions, `[agents, 21]`.
            uniform: uniform draws in [0, 1), `[agents]`.
            step: rounds of self-play so far.

        Returns:
            Actions `[agents]` int64.
        """
        return self.choose(self.action_values(self.player(army), view, feature, mean_action), uniform, step)

    def choose(self, outputs: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose actions `[...]` int64 in training from outputs `[..., 21]` and uniform draws `[...]` in [0, 1)."""
        return self.acting.choose(outputs, uniform)

    def action_values(self, network: nn.Module, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """Outputs of a network, `[batch, 21]` float32: action values, or logits of an actor.

        Raises:
            ValueError: a custom network returns another shape.
        """
        return checked_values(network(view, feature, mean_action), [len(view), ACTIONS]).float()

    def player(self, army: int) -> nn.Module:
        """The network that chooses an army's actions."""
        return self.opponent if army else self.network

    @property
    def acting(self) -> Acting:
        """How the army acts when it does not act greedily, in training and afterwards."""
        raise NotImplementedError(f"{type(self).__name__} must define acting")

    @property
    def acts_itself(self) -> bool:
        """Whether a custom class overrides `act` or `player`; its armies then always act by `act`, greedily or not."""
        return self._overrides("act", "player")

    @property
    def chooses_itself(self) -> bool:
        """Whether a custom class overrides `choose`; its armies then use it when they do not act greedily."""
        return self._overrides("choose")

    @property
    def kept_whole(self) -> bool:
        """Whether a saved army needs the whole agent and its class to act, not only one of this package's networks."""
        ours = type(self._uncompiled()) in NETWORKS.values() and type(self.acting) is Acting
        return self._overrides("act", "player", "choose", "action_values", "make_network") or not ours

    def _uncompiled(self) -> nn.Module:
        """The network that `torch.compile` wrapped, or the network."""
        network: nn.Module = getattr(self.network, "_orig_mod", self.network)
        return network

    def _overrides(self, *names: str) -> bool:
        return any(not is_ours(getattr(self, name)) for name in names)

    def check_saved(self) -> None:
        """Raise ValueError, before hours of training, unless the army can be saved and loaded again."""
        if not self.kept_whole:
            try:
                encode(self.neighbourhood)
            except ValueError as error:
                raise ValueError(f"neighbourhood: no file can hold it: {error}") from error
            return
        described = self.check_plain()
        given = classes_in(self.arguments)
        custom = partial(given_class, "algorithm", "its file", classes=given)
        try:
            again = type(self)(**{name: decode(value, custom) for name, value in described.items()})
            again.load_state_dict(self.state_dict())
        except Exception as error:
            raise ValueError(f"algorithm: an army of {type(self).__name__} cannot be stored: {told(error)}") from error

    def save(self, directory: str | Path) -> None:
        """Write the trained army to policy.safetensors; `Policy.load` reads it.

        If the class overrides `act`, `player`, `choose`, `action_values` or `make_network`, the file holds all
        parameters and buffers, the constructor's arguments, and the name of the class, which must be given to load it.

        Raises:
            ValueError: no file can hold an argument, or an agent of such a class was not trained by a Trainer.
        """
        about = {"algorithm": type(self).__name__, "agents": self.environment.agents, "seed": self.seeds[0]}
        if self.kept_whole:
            if self._trainer is None:
                raise ValueError(f"save: {type(self).__name__} is told by its Trainer how long it learned, got none")
            save_agent(created_folder(directory) / self.file, self, self.steps_played, about)
            return
        policy = Policy(
            self._uncompiled(),
            self.acting,
            about,
            uses_mean_action=self.uses_mean_action,
            neighbourhood=self.neighbourhood,
        )
        policy.save(created_folder(directory) / self.file)

    def playing(self) -> AbstractContextManager[None]:
        """Context in which a round is played, without learning."""
        if self._overrides("act", "player", "action_values"):
            return nullcontext()
        return weights_cast([self.network, self.opponent])

    def opponent_follows(self) -> None:
        """Move the opponent's copy towards the learner."""
        follower([(self.network, self.opponent)], self.opponent_rate)()


class ReplayingAgent(BattleAgent):
    """An army that learns from replayed minibatches, with target networks. A method defines `networks` and `loss`.

    Args:
        environment: the game.
        seeds: one seed.
        target_rate: rate of the soft target update, in (0, 1]. 0.005: released code, as C.3 gives none.
        **general: arguments of BattleAgent.

    Raises:
        ValueError: an argument out of its range.
    """

    data_module = SelfPlayDataModule

    def __init__(
        self, environment: Battle, seeds: Sequence[int], *, target_rate: float = 0.005, **general: Any
    ) -> None:
        super().__init__(environment, seeds, **general)
        arguments.rate("target_rate", target_rate)
        self.target_rate = target_rate

    @classmethod
    def can_be_stacked(cls) -> bool:
        return is_ours(cls)

    def loss(self, batch: BattleBatch) -> Tensor:
        """Loss of a minibatch, a scalar."""
        raise NotImplementedError(f"{type(self).__name__} must define loss")

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of a network and its target copy, which follows it after every gradient step."""
        raise NotImplementedError(f"{type(self).__name__} must define networks")

    def training_step(self, experience: SelfPlayRound, batch_idx: int) -> None:
        """Play a round of self-play, and make a gradient step for each minibatch that it yields."""
        follow = follower(self.networks(), self.target_rate)
        optimizers = self.raw_optimizers()
        descend(experience(self), by_autograd(lambda batch: [self.loss(batch)], optimizers), optimizers, follow)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the parameters of all networks except targets."""
        return adam((p for network, _ in self.networks() for p in network.parameters()), self.learning_rate)


class BattleIL(ReplayingAgent):
    """Independent Q-learning with epsilon-greedy play, in which each agent learns for itself.

    Args:
        environment: the game.
        seeds: one seed.
        exploration: schedule of epsilon over rounds. From 1 to 0.05 over 2000 rounds: appendix C.3.
        double_q: whether the network, instead of its target copy, selects the action in v(o'). False: our choice; True:
            the released code.
        learns_terminal: whether terminal samples enter the loss. True: the equations; False: the released code.
        **general: arguments of ReplayingAgent.
    """

    called = "il"

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        exploration: EpsilonGreedy = EpsilonGreedy(1.0, 0.05, 2000),
        double_q: bool = False,
        learns_terminal: bool = True,
        **general: Any,
    ) -> None:
        super().__init__(environment, seeds, **general)
        check_exploration(exploration, "explore", "end")
        self.exploration = exploration
        self.double_q, self.learns_terminal = double_q, learns_terminal
        self.target = _copy(self.network)

    @torch.no_grad()
    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Act epsilon-greedily by the schedule, unless a class overrides `acting` or `choose`, which are then used.

        Action values of exploring agents are not needed, and early in training nearly all explore, so that a CPU does
        not compute them.
        """
        # On a GPU it takes longer to find out which agents explore than to compute all values.
        by_schedule = type(self).acting is BattleIL.acting and not self.chooses_itself
        if not by_schedule or view.device.type != "cpu":
            return super().act(army, view, feature, mean_action, uniform, step)
        actions = self.exploration.explore(uniform, step, ACTIONS)
        greedy = actions < 0
        if greedy.any():
            actions[greedy] = self.action_values(
                self.player(army), view[greedy], feature[greedy], mean_action[greedy]
            ).argmax(-1)
        return actions

    def choose(self, outputs: Tensor, uniform: Tensor, step: int) -> Tensor:
        if type(self).acting is not BattleIL.acting:
            return super().choose(outputs, uniform, step)
        return self.exploration.choose(outputs, uniform, step)

    @property
    def acting(self) -> Acting:
        return Acting("epsilon", self.exploration.end)

    def loss(self, batch: BattleBatch) -> Tensor:
        td_target = self.td_target(batch)
        values = self.action_values(self.network, batch.view, batch.feature, batch.mean_action)
        squared_errors = (td_target - chosen(values, batch.action)).square()
        if self.learns_terminal:
            return squared_errors.mean()
        goes_on = ~batch.terminal
        return (squared_errors * goes_on).sum() / goes_on.sum().clamp(min=1)

    @torch.no_grad()
    def td_target(self, batch: BattleBatch) -> Tensor:
        """`y = r + gamma v(o')`, `[batch]`; r if the transition is terminal."""
        after = (batch.next_view, batch.next_feature, batch.next_mean_action)
        next_values = self.action_values(self.target, *after)
        if self.double_q:  # the network selects the action, the target network gives its value
            value = chosen(next_values, self.action_values(self.network, *after).argmax(-1))
        else:
            value = boltzmann_value(next_values, 0.0)
        return batch.reward + self.discount * value * ~batch.terminal

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.network, self.target)]


class BattleMFQ(BattleIL):
    """Mean field Q-learning: IL whose network also sees the mean action."""

    called = "mf-q"
    uses_mean_action = True


class BattleAC(ReplayingAgent):
    """Actor-critic of Algorithm 2 without the mean action, from replay.

    Args:
        environment: the game.
        seeds: one seed.
        temperature: temperature of the actor's softmax, positive. 0.1: appendix C.3.
        entropy_weight: weight of the entropy in the loss, at least 0. 0.08: appendix C.3.
        value_weight: weight of the critic's squared error in the loss, positive. 0.1: appendix C.3.
        **general: arguments of ReplayingAgent.

    Raises:
        ValueError: an argument out of its range.
    """

    called = "ac"

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        temperature: float = 0.1,
        entropy_weight: float = 0.08,
        value_weight: float = 0.1,
        **general: Any,
    ) -> None:
        super().__init__(environment, seeds, **general)
        arguments.positive("temperature", temperature)
        check_weights(entropy_weight, value_weight)
        self.temperature, self.entropy_weight, self.value_weight = temperature, entropy_weight, value_weight
        with plain_layers_from(self.start_generator):
            self.critic = self.make_network()
        self.critic_target, self.actor_target = _copy(self.critic), _copy(self.network)

    @property
    def acting(self) -> Acting:
        return Acting("temperature", self.temperature)

    def loss(self, batch: BattleBatch) -> Tensor:
        after = (batch.next_view, batch.next_feature, batch.next_mean_action)
        next_values = self.next_values(batch)
        td_target = self.td_target(batch, next_values)
        values = self.action_values(self.critic, batch.view, batch.feature, batch.mean_action)
        critic_loss = (td_target - chosen(values, batch.action)).square().mean()
        log_policy = (self.action_values(self.network, *after) / self.temperature).log_softmax(-1)
        policy = log_policy.exp()
        # sum_a pi(a) Q_target(a) + entropy_weight H(pi), at o' as Algorithm 2 has it
        gain = mean_field_value(policy, next_values) - self.entropy_weight * mean_field_value(policy, log_policy)
        return self.value_weight * critic_loss - (gain * ~batch.terminal).mean()

    @torch.no_grad()
    def next_values(self, batch: BattleBatch) -> Tensor:
        """`Q_target(o', a)` for all actions, `[batch, 21]`."""
        after = (batch.next_view, batch.next_feature, batch.next_mean_action)
        return self.action_values(self.critic_target, *after)

    @torch.no_grad()
    def td_target(self, batch: BattleBatch, next_values: Tensor) -> Tensor:
        """`y = r + gamma v(o')`, `[batch]`, with v of Eq. 10 under the target actor's policy; r if terminal."""
        after = (batch.next_view, batch.next_feature, batch.next_mean_action)
        target_policy = boltzmann_policy(self.action_values(self.actor_target, *after), self.temperature)
        return batch.reward + self.discount * mean_field_value(target_policy, next_values) * ~batch.terminal

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        return [(self.critic, self.critic_target), (self.network, self.actor_target)]


class BattleMFAC(BattleAC):
    """Mean field actor-critic: AC whose critic and actor also see the mean action."""

    called = "mf-ac"
    uses_mean_action = True


def check_weights(entropy_weight: float, value_weight: float) -> None:
    """Raise ValueError unless the weights in an actor-critic's loss are in their ranges."""
    arguments.positive("value_weight", value_weight)
    arguments.non_negative("entropy_weight", entropy_weight)


def _copy(network: nn.Module) -> nn.Module:
    return deepcopy(network).requires_grad_(False)

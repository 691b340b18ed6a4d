"""The actor-critics of the released code: on-policy, for comparison with Algorithm 2 (`mfmarl.algorithms.battle`).

Each round of self-play is followed by one gradient step on all transitions of the round at once:

    `-(G - V) log(pi(a) + 1e-6) + 0.1 (G - V)^2 - 0.08 H(pi)`,  `G_t = r_t + gamma G_{t+1}`

No gradient flows through V in the first term. After an agent's last transition, which ends in its death or the end of
the round, G is the V of its last observation.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mfmarl.algorithms.battle import BattleAgent, check_weights
from mfmarl.algorithms.optimizers import adam
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.self_play import BattlePolicy, OnPolicyDataModule, PlayedRound
from mfmarl.environments.battle.game import Battle
from mfmarl.mean_field import chosen
from mfmarl.networks.battle_released import ActorCriticPerceptron
from mfmarl.policies import Acting

TRANSITIONS_AT_ONCE = 2048  # transitions whose gradients are computed together, to bound memory; affects only rounding
SMALLEST = 1e-6  # added to probabilities under the logarithm: released code


class ReleasedAC(BattleAgent):
    """The released code's AC.

    Args:
        environment: the game.
        seeds: one seed.
        entropy_weight: weight of the entropy in the loss, at least 0. 0.08: released code and appendix C.3.
        value_weight: weight of the critic's squared error in the loss, positive. 0.1: released code and appendix C.3.
        **general: arguments of BattleAgent.

    Raises:
        ValueError: an argument out of its range.
    """

    called = "released-ac"
    data_module = OnPolicyDataModule
    network: ActorCriticPerceptron

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        entropy_weight: float = 0.08,
        value_weight: float = 0.1,
        **general: Any,
    ) -> None:
        super().__init__(environment, seeds, **general)
        check_weights(entropy_weight, value_weight)
        self.entropy_weight, self.value_weight = entropy_weight, value_weight

    def make_network(self) -> ActorCriticPerceptron:
        return ActorCriticPerceptron(self.uses_mean_action, self.start_generator)

    @property
    def acting(self) -> Acting:
        return Acting("temperature", 1.0)

    def loss(self, batch: BattleBatch, returns: Tensor) -> Tensor:
        """Loss of a batch, a scalar, given the `returns` G `[B]`."""
        logits, values = self.network.both(batch.view, batch.feature, batch.mean_action)
        policy, advantage = logits.float().softmax(-1), returns - values.float()
        log_policy = (policy + SMALLEST).log()
        entropy = -(policy * log_policy).sum(-1)
        gain = advantage.detach() * chosen(log_policy, batch.action) + self.entropy_weight * entropy
        return (self.value_weight * advantage.square() - gain).mean()

    def training_step(self, experience: Callable[[BattlePolicy], Iterator[PlayedRound]], batch_idx: int) -> None:
        """Play a round of self-play, and make one gradient step on all of it."""
        (optimizer,) = self.raw_optimizers()
        for played in experience(self):
            last = played.transitions(played.last)
            with torch.no_grad():
                _, last_values = self.network.both(last.view, last.feature, last.mean_action)
            returns = played.returns(last_values, self.discount)
            optimizer.zero_grad()
            for numbers in torch.split(torch.arange(len(played), device=self.device), TRANSITIONS_AT_ONCE):
                share = len(numbers) / len(played)
                (share * self.loss(played.transitions(numbers), returns[numbers])).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the parameters of actor and critic."""
        return adam(self.network.parameters(), self.learning_rate)


class ReleasedMFAC(ReleasedAC):
    """The released code's MF-AC, whose critic also sees the mean action, but whose actor does not."""

    called = "released-mf-ac"
    uses_mean_action = True

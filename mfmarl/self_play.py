"""The data module of Battle: rounds of self-play, with replay.

A training batch is a round: called with a policy, it plays a battle to its end, army 0 the learner and army 1 its copy,
stores what army 0 saw and did, and then yields a minibatch for each gradient step that has fallen due.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor

from mfmarl.army_replay import ArmyReplay, BattleBatch, action_counts, frequencies
from mfmarl.data import Calls, check_evaluations, check_positive, generators
from mfmarl.environments.battle import ACTIONS, Battle, Battles
from mfmarl.metrics import MeanByRun

Follows = Literal["higher-reward", "always"]
SCORES = ("reward", "opponent_reward", "kills", "deaths", "wins", "steps")


class BattlePolicy(Protocol):
    """What the data module asks of the agents it lets play."""

    @property
    def device(self) -> torch.device:
        """Where the policy computes."""
        ...

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Actions of an army's living agents, see BattleAgent."""
        ...

    def opponent_follows(self) -> None:
        """The opponent's copy of the policy comes up to it."""
        ...


SelfPlayRound = Callable[[BattlePolicy], Iterator[BattleBatch]]
SelfPlayScores = Callable[[BattlePolicy], dict[str, Tensor]]


class SelfPlayDataModule(pl.LightningDataModule):
    """Rounds of self-play.

    Args:
        environment: the game.
        seeds: one seed, whose generator draws starts, exploration and minibatches.
        steps: rounds in all. 2000: appendix C.3.
        evaluations: how many rows of the learning curve, evenly spread; divides ``steps``.
        batch_size: samples a gradient step; a sample is one agent's transition. 128: appendix C.3.
        samples_per_update: one gradient step for so many transitions stored. 128: our choice.
        capacity: of the replay buffer in transitions. 5 x 10^5: appendix C.3.
        opponent_follows: when the opponent's copy follows the learner: after rounds that the learner wins by the
            total reward of its army (``higher-reward``, the released code), or after every round (``always``).

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        steps: int,
        evaluations: int,
        batch_size: int = 128,
        samples_per_update: int = 128,
        capacity: int = 500_000,
        opponent_follows: Follows = "higher-reward",
    ) -> None:
        super().__init__()
        check_positive(
            steps=steps,
            evaluations=evaluations,
            batch_size=batch_size,
            samples_per_update=samples_per_update,
            capacity=capacity,
        )
        check_evaluations(steps, evaluations)
        if opponent_follows not in get_args(Follows):
            raise ValueError(f"opponent_follows must be higher-reward or always, got {opponent_follows!r}")
        self.environment = environment
        self.steps, self.evaluations = steps, evaluations
        self.batch_size, self.samples_per_update = batch_size, samples_per_update
        self.opponent_follows = opponent_follows
        self.battles = Battles(environment)
        self.capacity = capacity
        self._replay: ArmyReplay | None = None
        self._resumed: dict[str, Tensor] | None = None
        self.steps_played = 0
        self.owed = 0  # transitions stored that no gradient step has been made for
        (self._generator,) = generators(seeds, "training")
        self._metrics = {name: MeanByRun(1) for name in SCORES}

    def train_dataloader(self) -> Calls:
        """One epoch's rounds."""
        return Calls([self.play] * (self.steps // self.evaluations))

    def val_dataloader(self) -> Calls:
        """The means of an epoch's rounds."""
        return Calls([self.scores])

    def play(self, policy: BattlePolicy) -> Iterator[BattleBatch]:
        """Play a round with ``policy`` and its copy, then yield a minibatch for each gradient step that is due."""
        rewards = self._fight(policy)
        survivors = self.battles.survivors[0].tolist()
        won = survivors[0] > survivors[1]
        if self.opponent_follows == "always" or rewards[0] > rewards[1]:
            policy.opponent_follows()
        kills, deaths = (self.environment.agents - count for count in reversed(survivors))
        values = (*rewards.tolist(), kills, deaths, won, int(self.battles.steps))
        for name, value in zip(SCORES, values, strict=True):
            self._metrics[name].update(torch.tensor([float(value)], dtype=torch.float64))
        self.steps_played += 1
        while self.owed >= self.samples_per_update:
            self.owed -= self.samples_per_update
            yield self._replay_for(policy).sample(torch.rand(self.batch_size, generator=self._generator))

    def scores(self, policy: BattlePolicy) -> dict[str, Tensor]:
        """Means ``[1]`` over the rounds since the last call: rewards are totals of an army over a round."""
        means = {name: metric.compute().view(-1) for name, metric in self._metrics.items()}
        for metric in self._metrics.values():
            metric.reset()
        return means

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on: the buffer, the generator, rounds played."""
        return {
            "steps_played": self.steps_played,
            "owed": self.owed,
            "generator": self._generator.get_state(),
            "replay": self._resumed if self._replay is None else self._replay.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from ``state_dict``'s return."""
        self.steps_played, self.owed = state_dict["steps_played"], state_dict["owed"]
        self._generator.set_state(state_dict["generator"].cpu())
        self._replay, self._resumed = None, state_dict["replay"]

    def _fight(self, policy: BattlePolicy) -> Tensor:
        """Play a battle to its end, storing it; the total reward of each army ``[2]`` float64."""
        battles, replay, device = self.battles, self._replay_for(policy), policy.device
        battles.reset([self._generator])
        total = torch.zeros(2, dtype=torch.float64)
        means = torch.zeros(2, ACTIONS)
        while not battles.done.all():
            observed = battles.observe()
            actions = torch.zeros(1, 2, self.environment.agents, dtype=torch.int64)
            draws = torch.rand(2, self.environment.agents, generator=self._generator)
            for army, alive in enumerate(observed.alive[0]):
                seen = (observed.views[0, army], observed.features[0, army], draws[army])
                view, feature, uniform = (each[alive].to(device) for each in seen)
                mean = means[army].to(device).expand(len(view), -1)
                actions[0, army, alive] = policy.act(army, view, feature, mean, uniform, self.steps_played).cpu()
            outcome = battles.step(actions)
            replay.push(observed, actions, outcome.rewards)
            self.owed += int(observed.alive[0, 0].sum())
            total += outcome.rewards[0].sum(-1)
            means = frequencies(action_counts(actions[0], observed.alive[0]))
        replay.end(battles.observe())
        return total

    def _replay_for(self, policy: BattlePolicy) -> ArmyReplay:
        """The buffer, made when the policy first tells where."""
        if self._replay is None:
            self._replay = ArmyReplay(self.environment, self.capacity, device=policy.device)
            if self._resumed is not None:
                self._replay.load_state_dict(self._resumed)
                self._resumed = None
        return self._replay

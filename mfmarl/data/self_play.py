"""The data modules of Battle: rounds of self-play, with and without a replay buffer.

A training batch is a round: called with a policy, it plays a battle to its end, with the learner as army 0 and its copy
as army 1, stores the transitions of army 0, and then yields the training data: minibatches, or the round itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, Protocol, get_args

import torch
from torch import Tensor

from mfmarl.data.army_replay import ArmyReplay, BattleBatch
from mfmarl.data.battle_round import play_round
from mfmarl.data.metrics import MeanByRun
from mfmarl.data.neighbourhood import Army, Neighbourhood, check_neighbourhood
from mfmarl.data.rounds import LateBuffer, RoundsDataModule, check_choice, check_positive
from mfmarl.data.transfer import Transfer
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS, Battle
from mfmarl.environments.battle.observation import Observation, Outcome

Follows = Literal["higher-reward", "always"]
SCORES = ("reward", "opponent_reward", "kills", "deaths", "wins", "steps")


class BattlePolicy(Protocol):
    """Interface of the agents that play."""

    uses_mean_action: bool

    @property
    def device(self) -> torch.device:
        """The device of the policy."""
        ...

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose actions of an army's living agents, see BattleAgent."""
        ...

    def playing(self) -> AbstractContextManager[None]:
        """Context in which a round is played."""
        ...

    def opponent_follows(self) -> None:
        """Move the opponent's copy towards the learner."""
        ...


class SelfPlay(RoundsDataModule):
    """Base of the data modules of self-play. Subclasses define the training data that a round yields.

    Args:
        environment: the game.
        seeds: one seed, whose generator draws initial states, exploration and minibatches.
        steps: total number of rounds. 2000: appendix C.3.
        evaluations: number of rows of the learning curve, evenly spread; must divide `steps`.
        neighbourhood: definition of the mean action, for both armies and for training; the agent must have the same.
            Its draws come from the seed's generator. `Army()`: our choice, as in the released code.
        opponent_follows: when the opponent's copy is moved towards the learner: after rounds in which the learner's
            army has the higher total reward (`higher-reward`, the released code), or after every round (`always`).

    Raises:
        ValueError: an argument out of its range.
    """

    usual_neighbourhood: ClassVar[Neighbourhood] = Army()
    stacked: ClassVar[bool] = False  #: whether several seeds play in lock step.

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        steps: int,
        evaluations: int,
        neighbourhood: Neighbourhood = Army(),
        opponent_follows: Follows = "higher-reward",
    ) -> None:
        super().__init__(environment, seeds, steps=steps, evaluations=evaluations)
        if opponent_follows not in get_args(Follows):
            raise ValueError(f"opponent_follows must be higher-reward or always, got {opponent_follows!r}")
        check_neighbourhood(neighbourhood, environment.agents, ACTIONS, mortal=True)
        self.neighbourhood = neighbourhood
        self.opponent_follows = opponent_follows
        if len(seeds) > 1 and not self.stacked:
            raise ValueError(f"seeds must be one seed for {type(self).__name__}, got {list(seeds)}")
        self.battles = Battles(environment, len(seeds))
        self._generator = self.generators["training"][0]
        self._metrics = {name: MeanByRun(len(seeds)) for name in SCORES}

    def rounds(self) -> list[Callable[[BattlePolicy], Iterator[Any]]]:
        """The rounds of one epoch."""
        return [self.play] * (self.steps // self.evaluations)

    def play(self, policy: BattlePolicy) -> Iterator[Any]:
        """Play a round with `policy` and its copy, then yield the training data."""
        raise NotImplementedError

    def evaluate(self, policy: BattlePolicy) -> dict[str, Tensor]:
        """Mean scores `[seeds]` over the rounds since the last call; rewards are an army's total over a round."""
        means = {name: metric.compute().view(-1) for name, metric in self._metrics.items()}
        for metric in self._metrics.values():
            metric.reset()
        return means

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on, and the scores since the last evaluation."""
        scores = {name: metric.state_dict() for name, metric in self._metrics.items()}
        return {**super().state_dict(), "scores": scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        super().load_state_dict(state_dict)
        for name, metric in self._metrics.items():
            metric.load_state_dict(state_dict["scores"][name])

    def play_and_store(self, policy: BattlePolicy, replay: ArmyReplay) -> int:
        """Play a round to its end, store it, and return its number of transitions of army 0."""
        battles, agents, transfer = self.battles, self.environment.agents, Transfer(policy.device)
        neighbourhood = self._neighbourhood_of(policy)
        battles.reset([self._generator])
        stored = 0

        def act(observed: Observation, mean_actions: Tensor) -> Tensor:
            actions = torch.zeros(1, 2, agents, dtype=torch.int64)
            draws = torch.rand(2, agents, generator=self._generator)
            everyone = (observed.views[0], observed.features[0], mean_actions[0], draws)
            living = [each[army, alive] for army, alive in enumerate(observed.alive[0]) for each in everyone]
            seen = iter(transfer.to_device(living))
            chosen = []
            for army, (view, feature, mean, uniform) in enumerate(zip(seen, seen, seen, seen, strict=True)):
                chosen.append(policy.act(army, view, feature, mean, uniform, self.steps_played))
                check_choice(policy, chosen[-1], (len(view),), range(ACTIONS))
            for army, own in enumerate(transfer.to_host(chosen)):
                actions[0, army, observed.alive[0, army]] = own
            return actions

        def own(mean_actions: Tensor) -> Tensor | None:
            return mean_actions[:, 0] if replay.stores_mean_actions else None

        def store(observed: Observation, actions: Tensor, outcome: Outcome, mean_actions: Tensor) -> None:
            nonlocal stored
            replay.push(observed, actions, outcome.rewards, own(mean_actions))
            stored += int(observed.alive[0, 0].sum())

        with policy.playing():
            rewards, mean_actions = play_round(
                battles, act, store, neighbourhoods=(neighbourhood, neighbourhood), generators=[self._generator]
            )
        replay.end(battles.observe(), own(mean_actions))
        self._conclude([policy], rewards)
        return stored

    def make_replay(self, policy: BattlePolicy, capacity: int) -> ArmyReplay:
        """Create an empty buffer of `capacity` transitions for the policy."""
        stores = type(self._neighbourhood_of(policy)) is not Army
        return ArmyReplay(self.environment, capacity, device=policy.device, stores_mean_actions=stores)

    def _neighbourhood_of(self, policy: BattlePolicy) -> Neighbourhood:
        """The neighbourhood, or `Army()`, without draws and with little memory, if the policy uses no mean action."""
        return self.neighbourhood if policy.uses_mean_action else Army()

    def _conclude(self, policies: Sequence[BattlePolicy], rewards: Tensor) -> None:
        """Record the scores of a round, given the armies' total `rewards` `[seeds, 2]`, and update the opponents."""
        for policy, (own, other) in zip(policies, rewards.tolist(), strict=True):
            if self.opponent_follows == "always" or own > other:
                policy.opponent_follows()
        survivors, kills = self.battles.survivors, self.battles.kills
        wins = survivors[:, 0] > survivors[:, 1]
        values = (*rewards.unbind(1), *kills.unbind(1), wins, self.battles.steps)
        for name, value in zip(SCORES, values, strict=True):
            self._metrics[name].update(value.to(torch.float64))
        self.steps_played += 1


SelfPlayRound = Callable[[BattlePolicy], Iterator[BattleBatch]]


class SelfPlayDataModule(SelfPlay):
    """Self-play with replay: a round yields a minibatch for each gradient step that is due.

    Args:
        environment: the game.
        seeds: one seed.
        batch_size: samples per gradient step; a sample is one agent's transition. 128: appendix C.3.
        samples_per_update: stored transitions per gradient step. 128: our choice.
        capacity: capacity of the replay buffer in transitions. 5 x 10^5: appendix C.3.
        **general: arguments of SelfPlay.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        environment: Battle,
        seeds: Sequence[int],
        *,
        batch_size: int = 128,
        samples_per_update: int = 128,
        capacity: int = 500_000,
        **general: Any,
    ) -> None:
        super().__init__(environment, seeds, **general)
        check_positive(batch_size=batch_size, samples_per_update=samples_per_update, capacity=capacity)
        self.batch_size, self.samples_per_update = batch_size, samples_per_update
        self.capacity = capacity
        self._replay = LateBuffer(self._make_replay)
        self.owed = 0  # stored transitions towards the next gradient step

    def play(self, policy: BattlePolicy) -> Iterator[BattleBatch]:
        """Play a round with `policy` and its copy, then yield a minibatch for each gradient step that is due."""
        replay = self._replay.of(policy)
        due, self.owed = divmod(self.owed + self.play_and_store(policy, replay), self.samples_per_update)
        if due:  # drawn together, so that a GPU is waited for only once
            draws = [torch.rand(self.batch_size, generator=self._generator) for _ in range(due)]
            for numbers in replay.numbers(torch.stack(draws)):
                yield replay.transitions(numbers)

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on, including the buffer."""
        return {**super().state_dict(), "owed": self.owed, "replay": self._replay.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        super().load_state_dict(state_dict)
        self.owed = state_dict["owed"]
        self._replay.load_state_dict(state_dict["replay"])

    def _make_replay(self, policy: BattlePolicy) -> ArmyReplay:
        return self.make_replay(policy, self.capacity)


class PlayedRound:
    """The transitions of army 0 in a whole round, as training data."""

    def __init__(self, replay: ArmyReplay) -> None:
        self._replay = replay
        self._slots, self._rewards = replay.slots, replay.rewards

    def __len__(self) -> int:
        """Number of transitions."""
        return len(self._slots)

    def transitions(self, numbers: Tensor) -> BattleBatch:
        """Look up transitions by their numbers `[B]` int64, in the order of play."""
        return self._replay.transitions(numbers)

    @property
    def last(self) -> Tensor:
        """The number of each agent's last transition: `[agents]` int64."""
        numbers = torch.arange(len(self), device=self._slots.device)
        agents = numbers.new_zeros(self._replay.game.agents)
        return agents.scatter_reduce_(0, self._slots, numbers, "amax")

    def returns(self, last_values: Tensor, discount: float) -> Tensor:
        """`G_t = r_t + gamma G_{t+1}` of each transition: `[len]` float32.

        Args:
            last_values: value of G after each agent's last transition, `[agents]`.
            discount: gamma.
        """
        after, returns = last_values.to(torch.float32).clone(), torch.empty_like(self._rewards)
        for numbers in reversed(torch.arange(len(self), device=after.device).tensor_split(self._step_ends())):
            slots = self._slots[numbers]
            after[slots] = self._rewards[numbers] + discount * after[slots]
            returns[numbers] = after[slots]
        return returns

    def _step_ends(self) -> Tensor:
        """Indices where the transitions of a new joint step begin, i.e. where the place in the army does not rise."""
        return (self._slots.diff() <= 0).nonzero().squeeze(-1).cpu() + 1


class OnPolicyDataModule(SelfPlay):
    """Self-play without replay: a round yields itself, and is then dropped, as for the released actor-critics."""

    def play(self, policy: BattlePolicy) -> Iterator[PlayedRound]:
        """Play a round with `policy` and its copy, then yield it."""
        replay = self.make_replay(policy, self.environment.agents * self.environment.max_steps)
        self.play_and_store(policy, replay)
        yield PlayedRound(replay)

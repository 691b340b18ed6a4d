"""Self-play of several seeds in lock step, each with its own battle, generator and replay buffer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from mfmarl.data.army_replay import ArmyReplay, BattleBatch
from mfmarl.data.battle_round import play_round
from mfmarl.data.rounds import LateBuffer
from mfmarl.data.self_play import BattlePolicy, SelfPlayDataModule
from mfmarl.data.transfer import Transfer
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.observation import Observation, Outcome

MINIBATCHES_AT_ONCE = 16  # minibatches of a seed that a GPU rebuilds together; with 128 samples each they take 20 MB


class StackedPolicy(BattlePolicy, Protocol):
    """Policy for all seeds: `act` is as in BattlePolicy, but with `[seeds, agents, ...]` and including the dead."""

    @property
    def agents(self) -> Sequence[BattlePolicy]:
        """One agent per seed."""
        ...


class StackedSelfPlayDataModule(SelfPlayDataModule):
    """Self-play with replay, of several seeds in lock step.

    Each seed draws, plays and stores the same as if it were alone; a battle that is over waits for the others.

    Args:
        environment: the game.
        seeds: seeds, with one independent run each.
        **general: arguments of SelfPlayDataModule.

    Raises:
        ValueError: an argument out of its range.
    """

    stacked = True

    def __init__(self, environment: Battle, seeds: Sequence[int], **general: Any) -> None:
        super().__init__(environment, seeds, **general)
        self._replays = [LateBuffer(self._make_replay) for _ in seeds]
        self._owed = [0] * len(self.seeds)

    def rounds(self) -> list[Callable[[Any], Any]]:
        """The rounds of one epoch."""
        return [self.play_all] * (self.steps // self.evaluations)

    def play_all(self, policy: StackedPolicy) -> list[Iterator[BattleBatch]]:
        """Play a round of each seed with `policy` and its copy, and return the due minibatches of each seed."""
        replays = [late.of(policy) for late in self._replays]
        stored = self._fight_all(policy, replays)
        runs = []
        for seed, (replay, generator) in enumerate(zip(replays, self.generators["training"], strict=True)):
            due, self._owed[seed] = divmod(self._owed[seed] + stored[seed], self.samples_per_update)
            draws = [torch.rand(self.batch_size, generator=generator) for _ in range(due)]
            runs.append(minibatches(replay, replay.numbers(torch.stack(draws))) if due else iter(()))
        return runs

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on, including the buffers."""
        return {
            **super().state_dict(),
            "owed": list(self._owed),
            "replay": [late.state_dict() for late in self._replays],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        super().load_state_dict({**state_dict, "owed": 0, "replay": None})
        self._owed = list(state_dict["owed"])
        for late, state in zip(self._replays, state_dict["replay"], strict=True):
            late.load_state_dict(state)

    def _fight_all(self, policy: StackedPolicy, replays: Sequence[ArmyReplay]) -> list[int]:
        """Play a round of each seed to its end, store it, and return the numbers of transitions of army 0."""
        battles, agents, generators = self.battles, self.environment.agents, self.generators["training"]
        neighbourhood, transfer = self._neighbourhood_of(policy), Transfer(policy.device)
        battles.reset(generators)
        stored = [0] * len(replays)
        playing: list[int] = []  # seeds whose battles are not over

        def act(observed: Observation, mean_actions: Tensor) -> Tensor:
            playing[:] = (~battles.done).nonzero().flatten().tolist()
            draws = torch.zeros(len(replays), 2, agents)
            for seed in playing:
                draws[seed] = torch.rand(2, agents, generator=generators[seed])
            view, feature, mean, uniform = transfer.to_device([observed.views, observed.features, mean_actions, draws])
            chosen = [
                policy.act(army, view[:, army], feature[:, army], mean[:, army], uniform[:, army], self.steps_played)
                for army in (0, 1)
            ]
            return torch.stack(transfer.to_host(chosen), 1).where(observed.alive, 0)

        def store(observed: Observation, actions: Tensor, outcome: Outcome, mean_actions: Tensor) -> None:
            for seed in playing:
                one = slice(seed, seed + 1)
                rewards = outcome.rewards[one]
                replays[seed].push(part(observed, seed), actions[one], rewards, own(seed, mean_actions))
                stored[seed] += int(observed.alive[seed, 0].sum())

        def own(seed: int, mean_actions: Tensor) -> Tensor | None:
            return mean_actions[seed : seed + 1, 0] if replays[seed].stores_mean_actions else None

        rewards, mean_actions = play_round(
            battles, act, store, neighbourhoods=(neighbourhood, neighbourhood), generators=generators
        )
        observed = battles.observe()
        for seed, replay in enumerate(replays):
            replay.end(part(observed, seed), own(seed, mean_actions))
        self._conclude(policy.agents, rewards)
        return stored


def part(observed: Observation, battle: int) -> Observation:
    """The observation of one of the battles."""
    return Observation(*(each[battle : battle + 1] for each in observed))


def minibatches(replay: ArmyReplay, numbers: Tensor) -> Iterator[BattleBatch]:
    """Yield a minibatch for each row of `numbers` `[steps, B]`; on a GPU many are rebuilt together to save launches."""
    for some in numbers.split(1 if numbers.device.type == "cpu" else MINIBATCHES_AT_ONCE):  # type: ignore[no-untyped-call]
        together = replay.transitions(some.flatten())
        for batch in zip(*(field.view(*some.shape, *field.shape[1:]) for field in together), strict=True):
            yield BattleBatch(*batch)

"""Rounds between two armies that no longer learn, several battles in lock step.

A duel is run as a job like training is: an epoch is a group of rounds between the same two policies, and gives a row
for each of them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Generator, Tensor

from mfmarl.algorithms.agent import Agent
from mfmarl.data.army_replay import action_counts, frequencies
from mfmarl.data.stateless import Calls
from mfmarl.environments.battle.battles import ACTIONS, Battle, Battles
from mfmarl.policies import Evaluation, Policy, Scripted

Rounds = Callable[[Mapping[str, "Policy | Scripted"]], dict[str, Tensor]]
SCORES = ("reward", "opponent_reward", "survivors", "opponent_survivors", "steps")


@dataclass(frozen=True)
class Group:
    """Rounds between two armies that are played in lock step.

    Args:
        army: file of a policy, or name of a script.
        opponent: the same of the other.
        evaluation: how both act.
        rounds: numbers of the rounds, from which the draws of each come.
        left: whether the army stands on the left in each round.
        first: whether its actions are set first.
    """

    army: str
    opponent: str
    evaluation: Evaluation
    rounds: tuple[int, ...]
    left: tuple[bool, ...]
    first: tuple[bool, ...]


class DuelDataModule(pl.LightningDataModule):
    """Plays groups of rounds, one an epoch.

    Args:
        environment: the game.
        seeds: not used: all chance of a round comes from its number.
        steps: how many groups.
        evaluations: as many.
        groups: what is played.

    Raises:
        ValueError: ``steps`` and ``evaluations`` are not the number of groups.
    """

    def __init__(
        self, environment: Battle, seeds: Sequence[int], *, steps: int, evaluations: int, groups: Sequence[Group]
    ) -> None:
        super().__init__()
        if not steps == evaluations == len(groups):
            raise ValueError(f"steps and evaluations must be the {len(groups)} groups, got {steps} and {evaluations}")
        self.environment = environment
        self.groups = groups
        self.battles = max(len(group.rounds) for group in groups)
        self.steps_played = 0

    def train_dataloader(self) -> Calls:
        """One epoch: one group."""
        return Calls([self.play])

    def val_dataloader(self) -> Calls:
        """What the group brought is known by then."""
        return Calls([None])

    def play(self, policies: Mapping[str, Policy | Scripted]) -> dict[str, Tensor]:
        """Play the next group: scores by name, each ``[battles]`` float64, NaN beyond the rounds of the group."""
        group = self.groups[self.steps_played]
        armies = (policies[group.army], policies[group.opponent])
        battles = Battles(self.environment, len(group.rounds))
        generators = [Generator().manual_seed(number) for number in group.rounds]
        battles.reset(generators, [int(not left) for left in group.left], [int(not first) for first in group.first])
        total = fight(battles, armies, generators, group.evaluation)
        self.steps_played += 1
        values = (*total.T, *battles.survivors.T, battles.steps)
        missing = self.battles - len(group.rounds)
        return {
            name: torch.nn.functional.pad(value.double(), (0, missing), value=torch.nan)
            for name, value in zip(SCORES, values, strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        """How many groups have been played."""
        return {"steps_played": self.steps_played}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from ``state_dict``'s return."""
        self.steps_played = state_dict["steps_played"]


def fight(
    battles: Battles, armies: Sequence[Policy | Scripted], generators: Sequence[Generator], evaluation: Evaluation
) -> Tensor:
    """Play a round that has begun to its end.

    Args:
        battles: where it is played.
        armies: the two, 0 first.
        generators: one a battle, from which the armies draw, 0 first in every step.
        evaluation: how both act.

    Returns:
        Total rewards of the armies, ``[battles, 2]`` float64.
    """
    total = torch.zeros(battles.battles, 2, dtype=torch.float64)
    means = torch.zeros(battles.battles, 2, ACTIONS)
    while not battles.done.all():
        observed = battles.observe()
        alive = observed.alive & ~battles.done.view(-1, 1, 1)
        actions = torch.stack(
            [
                policy.act(
                    observed.views[:, army],
                    observed.features[:, army],
                    alive[:, army],
                    means[:, army],
                    generators,
                    evaluation,
                )
                for army, policy in enumerate(armies)
            ],
            1,
        )
        total += battles.step(actions).rewards.sum(-1)
        means = frequencies(action_counts(actions, observed.alive))
    return total


class Duel(Agent):
    """Both armies of a duel.

    Args:
        environment: the game.
        seeds: one, without meaning.
        armies: who plays: the file of a policy and its SHA-256, or the name of a script and nothing.

    Raises:
        ValueError: a file that is not the one it is said to be.
    """

    data_module = DuelDataModule

    def __init__(self, environment: Battle, seeds: Sequence[int], *, armies: Mapping[str, str]) -> None:
        super().__init__(environment, seeds)
        self.armies: dict[str, Policy | Scripted] = {}
        for name, digest in armies.items():
            if digest and not Path(name).is_file():
                raise ValueError(f"armies: there is no file {name}")
            if digest and hashlib.sha256(Path(name).read_bytes()).hexdigest() != digest:
                raise ValueError(f"armies: {name} has changed since the duel was drawn up")
            self.armies[name] = Policy.load(name) if digest else Scripted(name)

    def on_fit_start(self) -> None:
        """Networks go where the Trainer computes."""
        for policy in self.armies.values():
            if isinstance(policy, Policy):
                policy.network.to(self.device)

    def training_step(self, play: Rounds, batch_idx: int) -> None:
        """A group of rounds; nothing is learned."""
        self.scores = play(self.armies)

    def validation_step(self, batch: None, batch_idx: int) -> None:
        """The scores are there."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """None."""
        return []

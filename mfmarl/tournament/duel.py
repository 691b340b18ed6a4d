"""Plays two trained armies against each other, several battles at once, as a job."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import pandas as pd
import torch
from torch import Generator, Tensor

from mfmarl.algorithms import algorithm_class
from mfmarl.custom import is_in_file, sources, with_its_file
from mfmarl.data.battle_round import play_round
from mfmarl.data.neighbourhood import check_neighbourhood
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS, Battle
from mfmarl.environments.battle.observation import Observation
from mfmarl.evaluation.rounds import result_of
from mfmarl.files import digest
from mfmarl.jobs.execution import Attempt
from mfmarl.jobs.job import Job, Label
from mfmarl.policies import Evaluation, Policy, Scripted, class_needed, load_army
from mfmarl.tournament.schedule import Fixture
from mfmarl.values import read_weights


@dataclass(frozen=True)
class ArmyFile:
    """An army: the file of a policy with its SHA-256 digest, or the name of a script.

    Args:
        source: path of the file, or name of the script.
        digest: SHA-256 of the file; empty for a script.
        custom: path/to/file.py:Class of the method, if the army needs a class of that file to act.
    """

    source: str
    digest: str = ""
    custom: str = ""

    @classmethod
    def of_file(cls, path: Path, algorithm: str = "") -> ArmyFile:
        """Make the army from a file; `algorithm` may be path/to/file.py:Class."""
        about = read_weights(path, "policy")[0] if is_in_file(algorithm) else {}
        custom = algorithm if class_needed(about) or "neighbourhood" in about else ""
        return cls(str(path), digest(path), custom)

    @property
    def content(self) -> object:
        """The values that determine how the army acts, independent of the location of its file."""
        if self.custom:
            return [self.digest, self.custom.rpartition(":")[2], sources(Path(self.custom.rpartition(":")[0]))]
        return self.digest or self.source

    def classes(self) -> list[type]:
        """The custom classes that the army needs to act."""
        return with_its_file(algorithm_class(self.custom, "battle")) if self.custom else []

    def load(self, device: torch.device | str = "cpu") -> Policy | Scripted:
        """Load the army, ready to act.

        Raises:
            ValueError: the army's file does not exist, has changed, or cannot act.
        """
        if not self.digest:
            return Scripted(self.source)
        if not os.path.isfile(self.source):
            raise ValueError(f"armies: there is no file {self.source}")
        if digest(Path(self.source)) != self.digest:
            raise ValueError(f"armies: {self.source} has changed since the duel was drawn up")
        return load_army(self.source, device, self.classes())


@dataclass(frozen=True)
class DuelJob(Job):
    """Job that plays all rounds of a pairing.

    Attributes:
        name: name of the job's folder. It has no seeds, because the rows of a pairing replace its earlier rows.
        labels: algorithm, opponent and agents.
        environment: the game.
        blocks: blocks of rounds that are played in lock step, each with one seed pair and evaluation.
        armies: armies by entrant and seed, e.g. {"mf-q 0": ..., "rush 0": ...}.
    """

    name: str
    labels: Mapping[str, Label]
    environment: Battle
    blocks: tuple[tuple[Fixture, ...], ...]
    armies: Mapping[str, ArmyFile]

    unit = "agent-rounds"
    checkpoint_name: ClassVar[str] = "checkpoint.json"
    precisions = ("32",)  #: a lower precision would change which action of a trained network is best.

    @property
    def work(self) -> int:
        """Amount of work: rounds times agents."""
        return self.rows * self.environment.agents

    @property
    def rows(self) -> int:
        """Number of rows, one per round."""
        return sum(len(block) for block in self.blocks)

    @property
    def keys(self) -> list[str]:
        """Columns that identify a row: evaluation, seed pair, then round."""
        return ["evaluation", "seed", "opponent_seed", "round"]

    def description(self) -> dict[str, object]:
        """Description of the pairing. Armies are described by their content, so their files may move."""
        return {
            "labels": self.labels,
            "environment": self.environment,
            "blocks": self.blocks,
            "armies": {name: army.content for name, army in self.armies.items()},
        }

    def check(self) -> None:
        """Raise ValueError unless all armies exist unchanged and can act."""
        for army in self.armies.values():
            army.load()

    def check_checkpoint(self, path: Path) -> None:
        """Raise an exception unless `path` contains the rows of some blocks."""
        content = json.loads(path.read_text(encoding="utf-8"))
        expected = sum(len(block) for block in self.blocks[: content["blocks"]])
        if len(content["rows"]) != expected or not content["times"]:
            raise ValueError(f"got {len(content['rows'])} rows where {expected} were written")

    def do(self, attempt: Attempt) -> pd.DataFrame:
        """Play the rounds; return rows of tournament.csv."""
        armies = {name: army.load(attempt.hardware.torch_device) for name, army in self.armies.items()}
        done, rows = 0, cast(list[dict[str, Any]], [])
        if attempt.resume:
            content = json.loads(attempt.checkpoint.read_text(encoding="utf-8"))
            done, rows = content["blocks"], content["rows"]
            attempt.go_on_from(content["times"])
        attempt.report(len(rows), self.rows)
        for number, block in enumerate(self.blocks[done:], start=done + 1):
            rows += play_block(block, self.environment, armies)
            attempt.report(len(rows), self.rows)
            if attempt.save_is_due() and number < len(self.blocks):
                with attempt.saving() as temporary:
                    temporary.write_text(json.dumps({"blocks": number, "rows": rows, "times": attempt.times()}))
        return pd.DataFrame(rows)


def entrant(algorithm: str, seed: int) -> str:
    """The key of an army in `DuelJob.armies`."""
    return f"{algorithm} {seed}"


def play_block(
    block: Sequence[Fixture], environment: Battle, armies: Mapping[str, Policy | Scripted]
) -> Iterator[dict[str, Any]]:
    """Play rounds of one seed pair and evaluation in lock step, and yield a row of tournament.csv for each.

    The randomness of a round depends only on its number.

    Args:
        block: rounds to play.
        environment: the game.
        armies: armies as in `DuelJob`.
    """
    battles = Battles(environment, len(block))
    generators = [Generator().manual_seed(fixture.round) for fixture in block]
    stands_right = [int(fixture.seat != "left") for fixture in block]
    moves_second = [int(fixture.first != "yes") for fixture in block]
    battles.reset(generators, left=stands_right, first=moves_second)  # index of the army; 1 is the opponent
    of = block[0]
    own, other = armies[entrant(of.algorithm, of.seed)], armies[entrant(of.opponent, of.opponent_seed)]
    rewards = play_to_end(battles, (own, other), generators, cast(Evaluation, of.evaluation))
    played = zip(block, rewards.tolist(), battles.survivors.tolist(), battles.steps.tolist(), strict=True)
    for fixture, (reward, opponent_reward), (survivors, opponent_survivors), steps in played:
        yield {
            "algorithm": fixture.algorithm,
            "opponent": fixture.opponent,
            "seed": fixture.seed,
            "opponent_seed": fixture.opponent_seed,
            "agents": environment.agents,
            "seat": fixture.seat,
            "first": fixture.first,
            "evaluation": fixture.evaluation,
            "round": fixture.round,
            "result": str(result_of(survivors, opponent_survivors)),
            "reward": reward,
            "opponent_reward": opponent_reward,
            "survivors": survivors,
            "opponent_survivors": opponent_survivors,
            "steps": steps,
        }


def play_to_end(
    battles: Battles, armies: Sequence[Policy | Scripted], generators: Sequence[Generator], evaluation: Evaluation
) -> Tensor:
    """Play a round that has been started to its end.

    Args:
        battles: the battles, after `reset`.
        armies: army 0 and army 1, each with its own neighbourhood.
        generators: one random generator per battle. The armies draw from it, army 0 first in every step.
        evaluation: play of both armies, `greedy` or `sampled`.

    Returns:
        Total rewards of the armies, `[battles, 2]` float64.

    Raises:
        ValueError: a neighbourhood is for another number of agents.
    """
    neighbourhoods = [army.neighbourhood for army in armies]
    for neighbourhood in neighbourhoods:
        check_neighbourhood(neighbourhood, battles.game.agents, ACTIONS, mortal=True)

    def act(observed: Observation, mean_actions: Tensor) -> Tensor:
        alive = observed.alive & ~battles.done.view(-1, 1, 1)
        actions = [
            policy.act(
                observed.views[:, army],
                observed.features[:, army],
                alive[:, army],
                mean_actions[:, army],
                generators,
                evaluation,
            )
            for army, policy in enumerate(armies)
        ]
        return torch.stack(actions, 1)

    rewards, _ = play_round(battles, act, neighbourhoods=neighbourhoods, generators=generators)
    return rewards

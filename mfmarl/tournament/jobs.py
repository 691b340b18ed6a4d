"""Jobs of a tournament: one per pairing, which plays battles in lock step and returns rows of the tournament."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from mfmarl.environments.battle.game import Battle
from mfmarl.evaluation.rounds import SCRIPTED
from mfmarl.jobs.job import Label, job_name
from mfmarl.tournament.duel import ArmyFile, DuelJob, entrant
from mfmarl.tournament.schedule import Fixture

LOCK_STEP = 8  # battles played at the same time, so that one call of a network serves all


def check_none_is_lost(
    played: pd.DataFrame, drawn_up: Iterable[tuple[int, Sequence[Fixture]]], *, exactly: bool = False
) -> None:
    """Refuse rounds that would replace a larger number of rounds, or rounds of seeds that they do not have.

    Args:
        played: the existing table of rounds, tournament.csv.
        drawn_up: number of agents per army and scheduled rounds, for each pairing.
        exactly: whether to refuse also any other number of rounds, and pairings that were not played.

    Raises:
        ValueError: rounds would be lost. The message is one line, which names `seeds` or `tournament_rounds`, and
            suggests another `out`.
    """
    for agents, fixtures in drawn_up:
        one, two = fixtures[0].algorithm, fixtures[0].opponent
        earlier = played[(played["algorithm"] == one) & (played["opponent"] == two) & (played["agents"] == agents)]
        for column in ("seed", "opponent_seed"):
            if lost := set(earlier[column]) - {getattr(fixture, column) for fixture in fixtures}:
                raise ValueError(
                    f"seeds: tournament.csv has rounds of {one} v {two} with seeds {sorted(lost)}, which this call "
                    "would replace; play at least those seeds, or choose another folder as out"
                )
        if len(earlier) > len(fixtures) or (exactly and len(earlier) != len(fixtures)):
            raise ValueError(
                f"tournament_rounds: tournament.csv has {len(earlier)} rounds of {one} v {two} with {agents} agents, "
                f"and this call would bring {len(fixtures)}; choose another folder as out"
            )


def lock_steps(fixtures: Sequence[Fixture]) -> Iterator[list[Fixture]]:
    """Divide the fixtures of a pairing into blocks of at most LOCK_STEP = 8, each with one seed pair and evaluation."""

    def key(fixture: Fixture) -> tuple[object, ...]:
        return fixture.evaluation, fixture.seed, fixture.opponent_seed

    for _, group in groupby(sorted(fixtures, key=lambda each: (*map(str, key(each)), each.round)), key):
        same = list(group)
        yield from (same[first : first + LOCK_STEP] for first in range(0, len(same), LOCK_STEP))


def duel_job(
    blocks: Sequence[Sequence[Fixture]], environment: Battle, policy_path: Callable[[str, int], Path]
) -> DuelJob:
    """Make the job that plays all rounds of a pairing.

    Args:
        blocks: blocks of rounds from `lock_steps`.
        environment: the game.
        policy_path: function that gives the file of the army of an algorithm and seed.

    Raises:
        ValueError: an army does not exist.
    """
    armies: dict[str, ArmyFile] = {}
    for block in blocks:
        one = block[0]
        for name, seed in ((one.algorithm, one.seed), (one.opponent, one.opponent_seed)):
            if entrant(name, seed) in armies:
                continue
            path = policy_path(name, seed)
            if name not in SCRIPTED and not path.exists():
                raise ValueError(f"seeds: there is no {path}; train {name} with seed {seed} first")
            armies[entrant(name, seed)] = ArmyFile(name) if name in SCRIPTED else ArmyFile.of_file(path, name)
    one = blocks[0][0]
    labels: dict[str, Label] = {"algorithm": one.algorithm, "opponent": one.opponent, "agents": environment.agents}
    name = job_name("duel", *labels.values())  # without seeds: the rows of a pairing replace its earlier rows
    return DuelJob(name, labels, environment, tuple(tuple(block) for block in blocks), armies)

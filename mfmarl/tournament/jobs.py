"""A tournament as jobs: a pairing is a duel of battles in lock step, and its rows become rows of the tournament."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from mfmarl.environments.battle.game import Battle
from mfmarl.jobs.folder import Job, job_name
from mfmarl.tournament.duel import Group
from mfmarl.tournament.schedule import SCRIPTED, Fixture

LOCK_STEP = 8  # battles that are played side by side, so that one call of a network serves them all


def check_none_is_lost(played: pd.DataFrame, agents: int, fixtures: Sequence[Fixture]) -> None:
    """Raise ValueError if these would replace rounds already played and lack one of their training seeds.

    Args:
        played: tournament.csv as it is.
        agents: of an army.
        fixtures: of a pairing.
    """
    one, two = fixtures[0].algorithm, fixtures[0].opponent
    earlier = played[(played["algorithm"] == one) & (played["opponent"] == two) & (played["agents"] == agents)]
    for column in ("seed", "opponent_seed"):
        if lost := set(earlier[column]) - {getattr(fixture, column) for fixture in fixtures}:
            raise ValueError(
                f"seeds: tournament.csv has rounds of {one} v {two} with seeds {sorted(lost)}, which "
                "this call would replace; play at least those seeds, or name another --out"
            )


def lock_steps(fixtures: Sequence[Fixture]) -> Iterator[list[Fixture]]:
    """The fixtures of a pairing in blocks of one seed pair and evaluation, at most LOCK_STEP = 8 in each."""

    def key(fixture: Fixture) -> tuple[object, ...]:
        return fixture.evaluation, fixture.seed, fixture.opponent_seed

    for _, group in groupby(sorted(fixtures, key=lambda each: (*map(str, key(each)), each.round)), key):
        same = list(group)
        yield from (same[first : first + LOCK_STEP] for first in range(0, len(same), LOCK_STEP))


def duel_job(blocks: Sequence[Sequence[Fixture]], environment: Battle, policy_path: Callable[[str, int], Path]) -> Job:
    """All rounds of a pairing as a job.

    Args:
        blocks: of ``lock_steps``.
        environment: the game.
        policy_path: where the army of an algorithm and seed is.

    Raises:
        ValueError: there is no such army.
    """
    armies: dict[str, str] = {}

    def army(name: str, seed: int) -> str:
        if name in SCRIPTED:
            armies[name] = ""
            return name
        path = policy_path(name, seed)
        if not path.exists():
            raise ValueError(f"seeds: there is no {path}; train {name} with seed {seed} first")
        armies[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return str(path)

    groups = [
        Group(
            army(block[0].algorithm, block[0].seed),
            army(block[0].opponent, block[0].opponent_seed),
            block[0].evaluation,  # type: ignore[arg-type]
            tuple(each.round for each in block),
            tuple(each.seat == "left" for each in block),
            tuple(each.first == "yes" for each in block),
        )
        for block in blocks
    ]
    labels: dict[str, str | int | float] = {
        "algorithm": blocks[0][0].algorithm,
        "opponent": blocks[0][0].opponent,
        "agents": environment.agents,
    }
    data = {"steps": len(groups), "evaluations": len(groups), "groups": groups}
    conditions = tuple({"battle": number} for number in range(max(len(block) for block in blocks)))
    name = job_name("duel", *labels.values())  # whatever the seeds: the rows of a pairing replace its earlier ones
    return Job(name, labels, "duel", environment, (0,), {"armies": armies}, data, conditions)


def tournament_rows(rows: pd.DataFrame, blocks: Sequence[Sequence[Fixture]]) -> pd.DataFrame:
    """The rows of a duel as rows of tournament.csv: what was played joined to what came of it."""
    played = pd.DataFrame(
        {"step": step, "battle": battle, **fixture._asdict()}
        for step, block in enumerate(blocks, start=1)
        for battle, fixture in enumerate(block)
    ).rename(columns={"algorithm": "_", "opponent": "__"})
    table = rows.dropna().drop(columns="seed").merge(played, on=["step", "battle"])
    ahead = table["survivors"] - table["opponent_survivors"]
    table["result"] = ahead.gt(0).map({True: "win", False: "draw"}).mask(ahead.lt(0), "loss")
    counts = ["survivors", "opponent_survivors", "steps"]
    table[counts] = table[counts].astype(int)
    columns = ["algorithm", "opponent", "seed", "opponent_seed", "agents", "seat", "first", "evaluation", "round"]
    return table[[*columns, "result", "reward", "opponent_reward", *counts]]

"""A pairing is played as it was drawn up."""

from pathlib import Path

import pandas as pd
import pytest

from mfmarl.environments.battle.game import Battle
from mfmarl.tournament.jobs import (
    LOCK_STEP,
    duel_job,
    lock_steps,
    tournament_rows,
)
from mfmarl.tournament.schedule import Fixture, schedule

GAME = Battle(4)


def no_policy(algorithm: str, seed: int) -> Path:
    return Path(f"{algorithm}-{seed}.safetensors")


def test_blocks_are_of_one_seed_pair_and_evaluation_and_hold_every_fixture_once() -> None:
    fixtures = schedule(("mf-q", "il"), {"mf-q": [0, 1], "il": [5, 7]}, 50, ("greedy", "sampled"))
    blocks = [*lock_steps(fixtures)]
    assert sorted(fixture for block in blocks for fixture in block) == sorted(fixtures)
    for block in blocks:
        assert len({(each.evaluation, each.seed, each.opponent_seed) for each in block}) == 1
        assert len(block) <= LOCK_STEP == 8
        assert [each.round for each in block] == sorted(each.round for each in block)


def test_a_duel_is_what_was_drawn_up() -> None:
    fixtures = schedule(("rush", "random"), {}, 12, ("greedy", "sampled"))
    blocks = [*lock_steps(fixtures)]
    assert [len(block) for block in blocks] == [8, 4, 8, 4]
    job = duel_job(blocks, GAME, no_policy)
    assert job.labels == {"algorithm": "rush", "opponent": "random", "agents": 4}
    assert job.agent["armies"] == {"rush": "", "random": ""}
    assert len(job.conditions) == 8
    played = [
        (group.army, group.opponent, group.evaluation, number, "left" if left else "right", "yes" if first else "no")
        for group in job.data["groups"]  # type: ignore[attr-defined]
        for number, left, first in zip(group.rounds, group.left, group.first, strict=True)
    ]
    assert sorted(played) == sorted(
        (*each[:2], each.evaluation, each.round, each.seat, each.first) for each in fixtures
    )


def test_an_army_that_is_not_there_is_named() -> None:
    blocks = [schedule(("il", "rush"), {"il": [3]}, 1)]
    with pytest.raises(ValueError, match=r"^seeds: there is no il-3\.safetensors; train il with seed 3 first$"):
        duel_job(blocks, GAME, no_policy)


def test_a_duel_of_more_seeds_has_the_name_of_the_one_whose_rows_it_replaces(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / no_policy("il", seed)).write_text(f"army {seed}")
    small, large = (
        duel_job(
            [*lock_steps(schedule(("il", "rush"), {"il": seeds}, 6))], GAME, lambda *army: tmp_path / no_policy(*army)
        )
        for seeds in ([0, 1], [0, 1, 2])
    )
    assert small.name == large.name == "duel-il-rush-4"
    assert small.fingerprint != large.fingerprint


def test_rows_of_a_duel_join_what_was_played_to_what_came_of_it() -> None:
    def fixture(number: int, seat: str) -> Fixture:
        return Fixture("mf-q", "il", 1, 2, seat, "yes", "greedy", number)

    blocks = [[fixture(0, "left"), fixture(1, "right")], [fixture(2, "left")]]
    labels = {"algorithm": "mf-q", "opponent": "il", "agents": 4, "seed": 0}
    ends = [(0, 1, 3.0, 1.0), (1, 1, 2.0, 2.0), (0, 2, 0.0, 4.0), (1, 2, None, None)]  # the second block has one round
    rows = pd.DataFrame(
        [
            {**labels, "battle": battle, "step": step, "survivors": own, "opponent_survivors": other}
            for battle, step, own, other in ends
        ]
    ).assign(reward=1.5, opponent_reward=-2.5, steps=30.0)
    table = tournament_rows(rows, blocks)
    assert table["round"].tolist() == [0, 1, 2]
    assert table["seat"].tolist() == ["left", "right", "left"]
    assert table["result"].tolist() == ["win", "draw", "loss"]
    assert table["survivors"].tolist() == [3, 2, 0]
    assert table[
        ["algorithm", "opponent", "seed", "opponent_seed", "agents"]
    ].drop_duplicates().to_numpy().tolist() == [["mf-q", "il", 1, 2, 4]]

"""A pairing is played as it was drawn up."""

from pathlib import Path

import pandas as pd
import pytest

from mfmarl.environments.battle.game import Battle
from mfmarl.tournament.duel import ArmyFile
from mfmarl.tournament.jobs import LOCK_STEP, check_none_is_lost, duel_job, lock_steps
from mfmarl.tournament.schedule import schedule

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
    assert job.armies == {"rush 0": ArmyFile("rush"), "random 0": ArmyFile("random")}
    assert (job.rows, job.work) == (24, 96)
    assert sorted(each for block in job.blocks for each in block) == sorted(fixtures)


def test_one_round_is_a_duel() -> None:
    [only] = schedule(("rush", "random"), {}, 1, ("greedy",))
    job = duel_job([[only]], GAME, no_policy)
    assert (job.blocks, list(job.armies)) == (((only,),), ["rush 0", "random 0"])
    check_none_is_lost(pd.DataFrame([only]).assign(agents=4), [(4, [only])], exactly=True)


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


@pytest.mark.parametrize(
    ("seeds", "rounds", "message"),
    [
        ([0, 1], 4, "tournament_rounds: tournament.csv has 12 rounds of il v rush with 4 agents, and .* would bring 8"),
        ([0], 6, r"seeds: tournament.csv has rounds of il v rush with seeds \[1\], which"),
    ],
)
def test_rounds_are_not_replaced_by_fewer(seeds: list[int], rounds: int, message: str) -> None:
    played = pd.DataFrame(schedule(("il", "rush"), {"il": [0, 1]}, 6)).assign(agents=4)
    fewer = schedule(("il", "rush"), {"il": seeds}, rounds)
    check_none_is_lost(played, [(8, fewer)])
    with pytest.raises(ValueError, match=f"^{message}.*; .*choose another folder as out$"):
        check_none_is_lost(played, [(8, fewer), (4, fewer)])


def test_committed_rounds_are_replaced_by_as_many_alone() -> None:
    played = pd.DataFrame(schedule(("il", "rush"), {"il": [0, 1]}, 6)).assign(agents=4)
    more = schedule(("il", "rush"), {"il": [0, 1]}, 8)
    others = [schedule(pair, {"il": [7], "ac": [8]}, 99) for pair in (("il", "ac"), ("ac", "rush"))]
    played = pd.concat([played, *(pd.DataFrame(other).assign(agents=4) for other in others)])
    check_none_is_lost(played, [(4, more)])
    check_none_is_lost(played, [(4, schedule(("il", "rush"), {"il": [0, 1]}, 6))], exactly=True)
    with pytest.raises(ValueError, match="has 12 rounds of il v rush with 4 agents, and this call would bring 16"):
        check_none_is_lost(played, [(4, more)], exactly=True)
    with pytest.raises(ValueError, match="has 0 rounds of il v rush with 8 agents, and this call would bring 16"):
        check_none_is_lost(played, [(8, more)], exactly=True)

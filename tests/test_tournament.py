"""Who plays whom is balanced; the table of rounds reads the same from both sides, and bad tables are refused."""

import math
from collections import Counter
from io import StringIO
from itertools import combinations, product

import pandas as pd
import pytest

from mfmarl.evaluation.rounds import both_sides, by_army
from mfmarl.tournament.schedule import Fixture, pairings, schedule

WAYS = list(product(("left", "right"), ("yes", "no")))
ROUND = {
    "algorithm": "mf-q",
    "opponent": "il",
    "seed": 0,
    "opponent_seed": 1,
    "agents": 64,
    "seat": "left",
    "first": "no",
    "evaluation": "greedy",
    "round": 0,
    "result": "win",
    "reward": 200.0,
    "opponent_reward": -50.0,
    "survivors": 10,
    "opponent_survivors": 3,
    "steps": 120,
}
MIRROR = ROUND | {"opponent": "mf-q"}


def planned(rounds: int, seeds: int, opponent_seeds: int | None = None) -> list[Fixture]:
    """Greedy rounds of mf-q against il, or against itself if that has no seeds."""
    if opponent_seeds is None:
        return schedule(("mf-q", "mf-q"), {"mf-q": range(seeds)}, rounds, ["greedy"])
    return schedule(("mf-q", "il"), {"mf-q": range(seeds), "il": range(opponent_seeds)}, rounds, ["greedy"])


def test_pairings_are_in_the_order_of_the_tables() -> None:
    found = pairings(["random", "your.py:Yours", "ac", "rush", "mf-q", "another.py:It", "il", "mf-ac"])
    order = ["mf-q", "il", "mf-ac", "ac", "another.py:It", "your.py:Yours", "rush", "random"]
    assert found == [(one, two) for k, one in enumerate(order) for two in order[k:]]
    assert pairings(["il"]) == [("il", "il")]
    for wrong in ([], ["il", "il"]):
        with pytest.raises(ValueError, match="entrants must be different names"):
            pairings(wrong)


@pytest.mark.parametrize(
    ("seeds", "opponent_seeds"), [(1, 1), (2, 2), (2, 3), (4, 4), (4, 6), (5, 5), (3, None), (4, None)]
)
def test_rounds_are_spread_evenly(seeds: int, opponent_seeds: int | None) -> None:
    pairs = seeds * (seeds + 1) // 2 if opponent_seeds is None else seeds * opponent_seeds
    for rounds in range(1, 4 * pairs + 6):
        fixtures = planned(rounds, seeds, opponent_seeds)
        assert [fixture.round for fixture in fixtures] == list(range(rounds))
        met: dict[tuple[int, int], list[tuple[str, str]]] = {}
        for fixture in fixtures:
            met.setdefault((fixture.seed, fixture.opponent_seed), []).append((fixture.seat, fixture.first))
        numbers = [len(ways) for ways in met.values()]
        assert len(met) == min(rounds, pairs)
        assert max(numbers) - min(numbers) <= 1
        for ways in met.values():
            counts = [ways.count(way) for way in WAYS]
            assert max(counts) - min(counts) <= 1
            for side in range(2):
                (most, *rest) = Counter(way[side] for way in ways).values()
                assert abs(most - sum(rest)) <= 1


@pytest.mark.parametrize("pairing", [("il", "mf-q"), ("il", "il")])
def test_of_very_many_seeds_only_the_pairs_that_meet_are_listed(pairing: tuple[str, str]) -> None:
    few = schedule(pairing, dict.fromkeys(pairing, range(100)), 20)
    many = schedule(pairing, dict.fromkeys(pairing, range(100_000)), 20)
    assert [(each.seed, each.opponent_seed) for each in many] == [(each.seed, each.opponent_seed) for each in few]


def test_four_rounds_a_seed_pair_balance_everything() -> None:
    for fixtures, pairs in (
        (planned(8 * 15, 3, 5), list(product(range(3), range(5)))),
        (planned(8 * 3, 2), [(0, 0), (0, 1), (1, 1)]),
    ):
        found = Counter((each.seed, each.opponent_seed, each.seat, each.first) for each in fixtures)
        assert found == {(*pair, *way): 2 for pair in pairs for way in WAYS}


@pytest.mark.parametrize(("seeds", "opponent_seeds"), [(4, 4), (3, 6), (8, 8), (5, 3)])
def test_part_of_a_pass_uses_all_runs_in_both_seats(seeds: int, opponent_seeds: int) -> None:
    for rounds in range(1, seeds * opponent_seeds + 1):
        fixtures = planned(rounds, seeds, opponent_seeds)
        for side, number in (("seed", seeds), ("opponent_seed", opponent_seeds)):
            used = Counter(getattr(each, side) for each in fixtures)
            assert max(used.values()) - min(used[run] for run in range(number)) <= 1
            left = Counter(getattr(each, side) for each in fixtures if each.seat == "left")
            first = Counter(getattr(each, side) for each in fixtures if each.first == "yes")
            for run in range(number):
                assert abs(2 * left[run] - used[run]) <= 2
                assert abs(2 * first[run] - used[run]) <= 2


def test_both_seats_and_both_orders_are_played_about_equally_often_whatever_the_number_of_rounds() -> None:
    for rounds in range(1, 60):
        fixtures = planned(rounds, 3, 3)
        assert abs(2 * sum(each.seat == "left" for each in fixtures) - rounds) <= 2
        assert abs(2 * sum(each.first == "yes" for each in fixtures) - rounds) <= 2
    assert {each.first for each in planned(2, 2, 2)} == {"yes", "no"}


def test_a_mirror_match_has_unordered_pairs_and_each_run_against_itself_last() -> None:
    fixtures = planned(10, 4)
    pairs = [(each.seed, each.opponent_seed) for each in fixtures]
    assert set(pairs[:6]) == set(combinations(range(4), 2))
    assert pairs[:4] == [(0, 1), (1, 2), (2, 3), (0, 3)], "around the circle, as in the committed rounds"
    assert pairs[6:] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    left = Counter(each.seed if each.seat == "left" else each.opponent_seed for each in planned(6, 4))
    assert set(left) == {0, 1, 2, 3}
    assert max(left.values()) <= 2  # of three rounds
    assert {pair for each in planned(5, 1) for pair in [(each.seed, each.opponent_seed)]} == {(0, 0)}


def test_a_longer_schedule_begins_with_the_shorter() -> None:
    for seeds, other in ((3, 4), (4, None)):
        assert planned(70, seeds, other)[:33] == planned(33, seeds, other)


def test_evaluations_have_the_same_rounds_and_the_scripted_one_seed() -> None:
    fixtures = schedule(("il", "random"), {"il": [3, 7]}, 6)
    greedy, sampled = fixtures[:6], fixtures[6:]
    assert {each.evaluation for each in greedy} == {"greedy"}
    assert [each._replace(evaluation="sampled") for each in greedy] == sampled
    assert Counter(each.seed for each in greedy) == {3: 3, 7: 3}
    assert {each.opponent_seed for each in fixtures} == {0}
    assert set(Fixture._fields) < set(ROUND)


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        planned(0, 2)
    lacking: list[dict[str, list[int]]] = [{}, {"il": []}, {"il": [1, 1]}]
    for seeds in lacking:
        with pytest.raises(ValueError, match="seeds must be different numbers, at least one, for il, got"):
            schedule(("il", "random"), seeds, 4)


def test_both_sides_of_a_round() -> None:
    own, other = both_sides(pd.DataFrame([ROUND])).to_dict("records")
    assert own == ROUND | {"weight": 1.0}
    assert other == {
        "algorithm": "il",
        "opponent": "mf-q",
        "seed": 1,
        "opponent_seed": 0,
        "agents": 64,
        "seat": "right",
        "first": "yes",
        "evaluation": "greedy",
        "round": 0,
        "result": "loss",
        "reward": -50.0,
        "opponent_reward": 200.0,
        "survivors": 3,
        "opponent_survivors": 10,
        "steps": 120,
        "weight": 1.0,
    }


def test_an_army_s_rounds_are_those_against_all_armies_of_an_opponent() -> None:
    lost = {"result": "loss", "survivors": 1, "reward": -10.0, "opponent_reward": 30.0}
    rows = [ROUND, ROUND | lost | {"opponent_seed": 2}, ROUND | lost | {"round": 1}, ROUND | lost | {"seed": 1}]
    armies = by_army(pd.DataFrame(rows)).set_index(["algorithm", "opponent", "seed"])
    assert set(armies["agents"]) == {64}
    assert set(armies["evaluation"]) == {"greedy"}
    assert armies["wins"].to_dict() == {
        ("mf-q", "il", 0): pytest.approx(1 / 3),
        ("mf-q", "il", 1): 0,
        ("il", "mf-q", 1): pytest.approx(2 / 3),
        ("il", "mf-q", 2): 1,
    }
    assert armies["reward"].to_dict() == {
        ("mf-q", "il", 0): pytest.approx((200 - 10 - 10) / 3),
        ("mf-q", "il", 1): -10,
        ("il", "mf-q", 1): pytest.approx((-50 + 30 + 30) / 3),
        ("il", "mf-q", 2): 30,
    }
    drawn = by_army(pd.DataFrame([ROUND, ROUND | {"round": 1, "result": "draw", "survivors": 3}]))
    assert drawn.set_index("algorithm")["points"].to_dict() == {"il": 0.25, "mf-q": 0.75}
    mirror = by_army(pd.DataFrame([MIRROR]))
    assert mirror[["seed", "wins", "reward"]].to_numpy().tolist() == [[0, 1, 200], [1, 0, -50]]


def test_both_sides_of_a_mirror_match_count_as_one_round() -> None:
    draw = MIRROR | {"round": 1, "survivors": 3, "result": "draw"}
    sides = both_sides(pd.DataFrame([MIRROR, draw]))
    assert sides["weight"].tolist() == [0.5] * 4
    assert sides["result"].tolist() == ["win", "draw", "loss", "draw"]
    assert sides.index.tolist() == [0, 1, 2, 3]
    assert sides["seed"].tolist() == [0, 0, 1, 1]
    assert sides["reward"].tolist() == [200, 200, -50, -50]
    itself = both_sides(pd.DataFrame([MIRROR | {"opponent_seed": 0}]))
    assert itself["result"].tolist() == ["win", "loss"], "as it was written, then from the other side"


def test_both_sides_do_not_depend_on_which_side_a_row_names_first() -> None:
    rows = [ROUND, MIRROR, ROUND | {"round": 1}, ROUND | {"opponent": "random", "opponent_seed": 0}]
    sides = both_sides(pd.DataFrame(rows))
    others = sides.iloc[4:].drop(columns="weight").sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(both_sides(others), sides)
    assert (sides["algorithm"].iloc[:4] == "mf-q").all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"result": "won"}, "result must be one of win, draw, loss, got 'won'"),
        ({"seat": "middle"}, "seat must be one of left, right, got 'middle'"),
        ({"first": True}, "first must be one of yes, no, got True"),
        ({"reward": math.nan}, "rounds must be filled, got reward missing in row 1"),
        ({"opponent": None}, "rounds must be filled, got opponent missing in row 1"),
        ({"opponent_reward": math.inf}, "opponent_reward must be finite numbers"),
        ({"steps": "many"}, "steps must be finite numbers, got object"),
        ({"survivors": 65}, r"survivors must be in 0 .. agents, got \[65, 3\]"),
        ({"opponent_survivors": -1}, r"survivors must be in 0 .. agents, got \[10, -1\]"),
        ({"result": "draw"}, "result must be that of the survivors, got draw with 10 : 3"),
        ({"survivors": 3}, "result must be that of the survivors, got win with 3 : 3"),
        ({"survivors": 2}, "result must be that of the survivors, got win with 2 : 3"),
        ({}, "rounds must hold each round once, got twice .*'round': 0"),
    ],
)
def test_bad_tables_are_refused(change: dict[str, object], message: str) -> None:
    if change:
        change = change | {"round": 1}
    with pytest.raises(ValueError, match=message):
        both_sides(pd.DataFrame([ROUND, ROUND | change]))


def test_rounds_that_lack_something_are_refused() -> None:
    table = pd.DataFrame([ROUND])
    for column in ROUND:
        with pytest.raises(ValueError, match=rf"rounds lacks the columns \['{column}'\]; it has"):
            both_sides(table.drop(columns=column))
    with pytest.raises(ValueError, match="rounds has no rows"):
        both_sides(table.iloc[:0])
    assert len(both_sides(pd.DataFrame([ROUND, ROUND | {"opponent_seed": 2}]))) == 4
    for row in (ROUND, MIRROR):
        with pytest.raises(ValueError, match="each round once"):
            both_sides(both_sides(pd.DataFrame([row])))


def test_rounds_survive_a_file() -> None:
    rows = pd.DataFrame([ROUND, ROUND | {"round": 1, "seat": "right"}])
    sides = both_sides(rows)
    pd.testing.assert_frame_equal(both_sides(pd.read_csv(StringIO(rows.to_csv(index=False)))), sides)
    assert pd.api.types.is_integer_dtype(sides["survivors"])


def test_sides_are_sorted_entrants_in_order_and_seeds_by_value() -> None:
    seeds = {name: [0, 2, 10] for name in ("mf-q", "il", "ac")}
    fixtures = [each for pair in pairings(list(seeds)) for each in schedule(pair, seeds, 18, ["greedy"])]
    ends = {"survivors": 1, "opponent_survivors": 0, "reward": 1.0, "opponent_reward": 0.0, "steps": 9}
    table = pd.DataFrame(fixtures).assign(agents=8, result="win", **ends).sample(frac=1, random_state=0)
    sides = both_sides(table).iloc[: len(table)]
    place = ["mf-q", "il", "ac"].index
    keys = [
        (place(str(row.algorithm)), place(str(row.opponent)), row.seed, row.opponent_seed, row.round)
        for row in sides.itertuples()
    ]
    assert keys == sorted(keys)

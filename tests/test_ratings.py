"""Summaries against tables worked by hand; strengths against closed forms, a published fit and another optimiser."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from mfmarl.evaluation.bradley_terry import UnconnectedError, bradley_terry, strength_among
from mfmarl.evaluation.intervals import Array, bootstrap_interval
from mfmarl.evaluation.ratings import METRICS, PSEUDO_DRAWS, _pair_weights, ratings, summarise_pairings
from mfmarl.evaluation.rounds import both_sides
from mfmarl.tournament.schedule import pairings, schedule

SURVIVORS = {"win": (6, 2), "draw": (3, 3), "loss": (0, 1)}
ENDS = [f"{metric}_{end}" for metric in METRICS for end in ("low", "high")]

# Agresti 2002, Categorical Data Analysis, Section 10.6: Milwaukee, Detroit, Toronto, New York, Boston, Cleveland and
# Baltimore in 1987, wins of the row over the column; and the fit in R's package BradleyTerry2, Baltimore being 0.
BASEBALL = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ],
    np.float64,
)
PUBLISHED = [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0]


def rounds_of(
    pairing: tuple[str, str], results: list[str], seeds: int | dict[str, int] = 1, agents: int = 8
) -> pd.DataFrame:
    """Rounds of a pairing with these results one after the other, spread over the seed pairs as scheduled."""
    number = seeds if isinstance(seeds, dict) else dict.fromkeys(pairing, seeds)
    fixtures = schedule(pairing, {name: range(count) for name, count in number.items()}, len(results), ["greedy"])
    return ended(pd.DataFrame(fixtures).assign(agents=agents, steps=50.0), results)


def ended(table: pd.DataFrame, results: list[str]) -> pd.DataFrame:
    own, other = np.array([SURVIVORS[result] for result in results]).T
    ends = {"survivors": own, "opponent_survivors": other, "reward": 2.0 * own - 5, "opponent_reward": -1.0 * own}
    return table.assign(result=results, **ends)


def only(frame: pd.DataFrame, algorithm: str, opponent: str | None = None) -> dict[str, float]:
    """The one row of the algorithm, and of the opponent if it is given."""
    rows = frame[frame["algorithm"] == algorithm]
    (row,) = (rows if opponent is None else rows[rows["opponent"] == opponent]).to_dict("records")
    return {str(name): value for name, value in row.items()}


def tally(wins: int, draws: int = 0, losses: int = 0) -> list[str]:
    return ["win"] * wins + ["draw"] * draws + ["loss"] * losses


def simulated(
    strengths: dict[str, float], seeds: int, generator: np.random.Generator, *, spread: float = 0.0, rounds: int = 40
) -> pd.DataFrame:
    """A tournament of Bradley-Terry players: log strength of a training run = its algorithm's + normal noise."""
    runs = {name: strength + spread * generator.normal(size=seeds) for name, strength in strengths.items()}
    if "random" in runs:
        runs["random"] = np.full(seeds, strengths["random"])
    tables = []
    for one, two in pairings(list(strengths)):
        count = {name: 1 if name == "random" else seeds for name in (one, two)}
        table = rounds_of((one, two), tally(rounds), count)
        lead = runs[one][table["seed"]] - runs[two][table["opponent_seed"]]
        won = generator.random(rounds) < 1 / (1 + np.exp(-lead))
        tables.append(ended(table, ["win" if each else "loss" for each in won]))
    return pd.concat(tables)


def test_summary_worked_by_hand() -> None:
    table = rounds_of(("mf-q", "il"), tally(5, 2, 1), 2)
    row, other = summarise_pairings(table, resamples=100).to_dict("records")
    assert (row["agents"], row["evaluation"], row["algorithm"], row["opponent"]) == (8, "greedy", "mf-q", "il")
    assert (row["rounds"], row["seed_pairs"]) == (8, 4)
    assert [row[name] for name in ("wins", "draws", "losses")] == [5 / 8, 2 / 8, 1 / 8]
    assert row["published_win_rate"] == 7 / 8
    assert other["published_win_rate"] == 3 / 8
    assert row["reward"] == pytest.approx((5 * 7 + 2 * 1 + 1 * -5) / 8)
    assert row["opponent_reward"] == pytest.approx(-(5 * 6 + 2 * 3) / 8)
    assert row["kills"] == pytest.approx((5 * 6 + 2 * 5 + 1 * 7) / 8)
    assert row["deaths"] == pytest.approx((5 * 2 + 2 * 5 + 1 * 8) / 8)
    assert row["steps"] == 50


def test_wins_by_seat_worked_by_hand() -> None:
    table = rounds_of(("mf-q", "il"), tally(5, 1, 2)).assign(seat=["left"] * 6 + ["right"] * 2)
    row, other = summarise_pairings(table).to_dict("records")
    assert (row["wins_left"], row["wins_right"]) == (5 / 6, 0)
    assert (other["wins_left"], other["wins_right"]) == (1, 0)
    for seeds, pairs in ((2, 4), (3, 8)):
        on_the_right = rounds_of(("mf-q", "il"), tally(5, 1, 2), seeds).assign(seat="right")
        row, _ = summarise_pairings(on_the_right, resamples=50).to_dict("records")
        assert math.isnan(row["wins_left"])
        assert math.isnan(row["wins_left_low"])
        assert row["wins_right"] == row["wins"]
        assert row["seed_pairs"] == pairs
    mirror = summarise_pairings(rounds_of(("il", "il"), tally(3, 1, 2), 3).assign(seat="right"), resamples=50)
    assert mirror["seed_pairs"].tolist() == [6]


def test_wins_by_seat_of_a_mirror_match_are_the_losses_of_the_other_seat() -> None:
    table = rounds_of(("il", "il"), tally(9, 2, 5), 2)
    row = summarise_pairings(table).iloc[0]
    from_left = table["result"].where(table["seat"] == "left", table["result"].map({"win": "loss", "loss": "win"}))
    assert row["wins_left"] == (from_left == "win").mean()
    assert row["wins_right"] == (from_left == "loss").mean()
    assert row["wins_left"] != row["wins_right"]


def test_interval_of_wins_by_seat_is_the_bootstrap_over_the_rounds_of_that_seat() -> None:
    strengths = np.array([0.1, 0.4, 0.5, 0.7, 0.9, 1.0])
    table = rounds_of(("il", "random"), tally(600), 6)
    ahead = np.random.default_rng(2).random(600) < strengths[table["seed"]]
    results = ["win" if won or seat == "right" else "loss" for won, seat in zip(ahead, table["seat"], strict=True)]
    table = ended(table, results)
    row = only(summarise_pairings(table), "il")
    left = table[table["seat"] == "left"]
    shares = (left["result"] == "win").groupby(left["seed"]).mean()
    expected = bootstrap_interval(shares, generator=np.random.default_rng(1))
    assert row["wins_left"] == pytest.approx(expected.estimate)
    assert [row["wins_left_low"], row["wins_left_high"]] == pytest.approx(expected[1:], abs=0.03)
    assert [row[f"wins_right{end}"] for end in ("", "_low", "_high")] == [1, 1, 1]


def test_the_other_direction_is_the_mirror_image() -> None:
    table = simulated({"mf-q": 0.3, "il": 0}, 4, np.random.default_rng(0), spread=1)
    found = summarise_pairings(table, resamples=500)
    row, other = only(found, "mf-q", "il"), only(found, "il", "mf-q")
    mirrored = {"wins": "losses", "draws": "draws", "reward": "opponent_reward", "kills": "deaths", "steps": "steps"}
    for one, two in [*mirrored.items(), *((two, one) for one, two in mirrored.items())]:
        for end in ("", "_low", "_high"):
            assert row[one + end] == pytest.approx(other[two + end])
    assert row["wins_low"] < row["wins"] < row["wins_high"]


def test_summary_of_a_mirror_match_counts_each_round_once() -> None:
    results = ["draw", "win", "draw", "draw", *tally(5, 0, 3)]  # all draws are of seed 0
    table = rounds_of(("il", "il"), results, 3)
    row = summarise_pairings(table, resamples=200).iloc[0]
    assert (row["rounds"], row["seed_pairs"]) == (12, 6)
    assert row[["wins", "draws", "losses"]].tolist() == [3 / 8, 1 / 4, 3 / 8]
    assert row["kills"] == row["deaths"] == pytest.approx((6 * 8 + 3 * 10 + 3 * 15) / 24)
    assert row["reward"] == row["opponent_reward"]
    assert row["wins_low"] < row["wins"] < row["wins_high"]


def test_interval_against_a_scripted_opponent_is_the_bootstrap_over_seeds() -> None:
    generator = np.random.default_rng(3)
    table = rounds_of(("il", "random"), tally(48), 6)
    table = table.assign(reward=generator.normal(size=6)[table["seed"]] + generator.normal(size=48))
    row = only(summarise_pairings(table), "il")
    means = table.groupby("seed")["reward"].mean()
    expected = bootstrap_interval(means, generator=np.random.default_rng(1))
    assert row["reward"] == pytest.approx(expected.estimate)
    close = 0.05 * (expected.high - expected.low)
    assert [row["reward_low"], row["reward_high"]] == pytest.approx(expected[1:], abs=close)


def paired_means(effects: Callable[[int, int], Array], seeds: int, other: int) -> pd.DataFrame:
    """One round a seed pair, whose reward is effects(seeds, other)."""
    table = rounds_of(("mf-q", "il"), tally(seeds * other), {"mf-q": seeds, "il": other})
    return table.assign(reward=effects(seeds, other)[table["seed"], table["opponent_seed"]])


def test_variance_of_the_bootstrap_is_that_of_both_sides_seeds() -> None:
    generator = np.random.default_rng(0)
    own, other = generator.normal(size=40), 2 * generator.normal(size=60)
    row = summarise_pairings(paired_means(lambda _n, _m: own[:, None] + other, 40, 60)).iloc[0]
    error = math.sqrt(own.var() / 40 + other.var() / 60)
    width = 2.0227 * math.sqrt(40 / 39)  # Student's t with 39 degrees of freedom, of standard deviations over n
    assert (row["reward_high"] - row["reward_low"]) / 2 == pytest.approx(width * error, rel=0.05)


def test_variance_of_a_mirror_match_is_that_of_its_seeds() -> None:
    generator = np.random.default_rng(0)
    runs = generator.normal(size=40)
    table = rounds_of(("il", "il"), tally(820), 40)
    table = table.assign(steps=100 + runs[table["seed"]] + runs[table["opponent_seed"]])
    row = summarise_pairings(table, resamples=3000).iloc[0]
    width = 2.0227 * math.sqrt(40 / 39)
    assert (row["steps_high"] - row["steps_low"]) / 2 == pytest.approx(2 * width * runs.std() / math.sqrt(40), rel=0.07)


def test_a_seed_drawn_twice_makes_three_unordered_pairs() -> None:
    weights = _pair_weights({"il": np.array([[2.0, 1.0, 0.0]])}, "il", "il")
    assert weights.tolist() == [[[3, 2, 0], [2, 1, 0], [0, 0, 0]]]


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "other"), [(5, 5), (4, 12)])
def test_two_way_intervals_cover(seeds: int, other: int) -> None:
    generator = np.random.default_rng(0)

    def effects(n: int, m: int) -> Array:
        return generator.normal(size=(n, 1)) + generator.normal(size=m) + 0.5 * generator.normal(size=(n, m))

    found = [summarise_pairings(paired_means(effects, seeds, other), resamples=400).iloc[0] for _ in range(200)]
    covered = np.mean([row["reward_low"] <= 0 <= row["reward_high"] for row in found])
    assert 0.92 <= covered <= 1  # two standard errors below 0.95


def test_no_interval_where_the_seeds_say_nothing() -> None:
    def rows(one: str, two: str, seeds: dict[str, int]) -> pd.DataFrame:
        return summarise_pairings(rounds_of((one, two), tally(8, 2, 6), seeds), resamples=50)

    for fewest in (1, 2):
        for seeds in ({"mf-q": fewest, "il": 4}, {"mf-q": 4, "il": fewest}):
            assert rows("mf-q", "il", seeds)[ENDS].isna().all(axis=None)
            assert rows("mf-q", "il", seeds)["seeds"].tolist() == [fewest, fewest]
    assert rows("mf-q", "il", {"mf-q": 4, "il": 3})["seeds"].tolist() == [3, 3]
    assert rows("il", "rush", {"il": 4})["seeds"].tolist() == [4, 4]  # there are no two rushes
    assert rows("rush", "random", {})[ENDS].isna().all(axis=None)
    assert rows("rush", "random", {})["seeds"].tolist() == [1, 1]
    assert rows("il", "il", {"il": 1})[ENDS].isna().all(axis=None)
    assert rows("il", "random", {"il": 2})[ENDS].isna().all(axis=None)
    assert rows("il", "random", {"il": 3})[ENDS].notna().all(axis=None)
    agreeing = summarise_pairings(rounds_of(("mf-q", "il"), tally(9), 3), resamples=50)
    assert (agreeing["wins_low"] == agreeing["wins_high"]).all()


def test_resamples_without_rounds_are_left_out() -> None:
    table = rounds_of(("mf-q", "il"), ["win", "loss", "win"], 3)
    row = summarise_pairings(table, resamples=50).iloc[0]
    assert row["seed_pairs"] == row["seeds"] == 3
    assert row[ENDS].notna().all()


def test_two_players_have_the_closed_form() -> None:
    for won, drawn, lost in ((30, 10, 5), (40, 0, 0)):
        found = ratings(rounds_of(("mf-q", "ac"), tally(won, drawn, lost)))
        points = won + drawn / 2 + PSEUDO_DRAWS / 2
        odds = points / (won + drawn + lost + PSEUDO_DRAWS - points)
        assert found["rating"].tolist() == [pytest.approx(400 * math.log10(odds), abs=1e-6), 0]
    assert found["rating"][0] == pytest.approx(400 * math.log10(81), abs=1e-6)
    assert found["score"].tolist() == [1, 0]
    assert ratings(rounds_of(("mf-q", "ac"), tally(3, 2, 3)))["score"].tolist() == [0.5, 0.5]
    assert found["rounds"].tolist() == [40, 40]


def test_who_lost_every_round_on_the_scale_is_told_though_it_beat_random() -> None:
    rounds = pd.concat(
        [
            rounds_of(("mf-q", "ac"), tally(40)),
            rounds_of(("mf-q", "random"), tally(40)),
            rounds_of(("ac", "random"), tally(30, 0, 10)),
        ]
    )
    found = ratings(rounds).set_index("algorithm")
    assert found["score_on_scale"].to_dict() == {"mf-q": 1.0, "ac": 0.0, "random": 0.125}
    assert found["score"].to_dict() == {"mf-q": 1.0, "ac": 0.375, "random": 0.125}
    assert ratings(rounds_of(("il", "il"), tally(3)))["score_on_scale"].isna().all()


def test_who_does_not_learn_is_placed_on_the_scale_and_does_not_move_it() -> None:
    learners = rounds_of(("mf-q", "ac"), tally(30, 0, 10))
    lead = 400 * math.log10(30.5 / 10.5)
    for lost in (10, 1000):
        against = [rounds_of((name, "random"), tally(lost)) for name in ("mf-q", "ac")]
        found = ratings(pd.concat([learners, *against]))
        assert found["rating"].tolist()[:2] == pytest.approx([lead, 0], abs=1e-6)
        # Half a point against both: so many rounds at these strengths let expect one point in all.
        below = found["rating"][2]
        expected = [(lost + 1) / (1 + 10 ** ((rating - below) / 400)) for rating in (lead, 0)]
        assert sum(expected) == pytest.approx(1, abs=1e-6)
    alone = ratings(pd.concat([learners, rounds_of(("ac", "rush"), tally(5, 0, 35))]))
    assert only(alone, "rush")["rating"] == pytest.approx(400 * math.log10(35.5 / 5.5), abs=1e-6)
    scripts = ratings(rounds_of(("rush", "random"), tally(40)))
    half = 200 * math.log10(81)
    assert scripts["rating"].tolist() == pytest.approx([half, -half], abs=1e-6)


def test_a_strength_among_others_is_that_which_lets_expect_its_points() -> None:
    generator = np.random.default_rng(0)
    strengths, won, lost = generator.normal(size=(7, 4)) * 3, *generator.exponential(size=(2, 7, 4))
    found = strength_among(won, lost, strengths)
    expected = (won + lost) / (1 + np.exp(strengths - found[:, None]))
    assert expected.sum(axis=1) == pytest.approx(won.sum(axis=1), rel=1e-12)
    assert strength_among(np.array([3.0]), np.array([1.0]), np.array([0.5])) == pytest.approx(0.5 + math.log(3))
    some, none = np.ones((2, 2)), np.array([[0.0, 0.0], [1.0, 1.0]])
    for won, lost in ((none[0], some[0]), (some[0], none[0]), (none, some), (some, none)):
        with pytest.raises(UnconnectedError, match="points must be on both sides"):
            strength_among(won, lost, np.zeros(2))


def test_two_learners_are_anchored_at_their_mean() -> None:
    found = ratings(rounds_of(("mf-q", "il"), tally(30, 0, 10), 2), resamples=50)
    half = 200 * math.log10(30.5 / 10.5)
    assert found["rating"].tolist() == pytest.approx([half, -half], abs=1e-6)


def test_published_fit_of_baseball() -> None:
    strengths = bradley_terry(BASEBALL)
    assert strengths - strengths[-1] == pytest.approx(PUBLISHED, abs=5e-5)
    assert strengths.sum() == pytest.approx(0, abs=1e-12)
    stacked = bradley_terry(np.stack([BASEBALL, BASEBALL.T]))
    assert stacked[0] == pytest.approx(strengths, abs=1e-9)
    assert stacked[1] == pytest.approx(-strengths, abs=1e-9)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_strengths_are_those_of_another_optimiser(scale: float) -> None:
    generator = np.random.default_rng(0)
    points = generator.exponential(size=(6, 6)) ** scale + 1e-3
    np.fill_diagonal(points, 0)

    def loss(strengths: Array) -> float:
        return float((points * np.logaddexp(0, strengths[None] - strengths[:, None])).sum())

    found = bradley_terry(points)
    expected = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-7}).x
    assert found == pytest.approx(expected - expected.mean(), abs=1e-4)


def test_strengths_are_found_again_in_what_they_let_expect() -> None:
    strengths = np.random.default_rng(0).normal(size=(3, 5)) * 3
    strengths -= strengths.mean(axis=1, keepdims=True)
    points = np.random.default_rng(1).integers(1, 9, size=(3, 5, 5)).astype(np.float64)
    points = (points + points.swapaxes(1, 2)) / (1 + np.exp(strengths[:, None, :] - strengths[:, :, None]))
    assert bradley_terry(points) == pytest.approx(strengths, abs=1e-9)


def test_strengths_far_apart_are_found() -> None:
    chain = np.zeros((6, 6))
    for better in range(5):
        chain[better, better + 1], chain[better + 1, better] = 1e4, 0.5
    assert -np.diff(bradley_terry(chain)) == pytest.approx([math.log(2e4)] * 5, rel=1e-6)


def test_undetermined_strengths_are_refused() -> None:
    unbeaten: list[list[list[int]]] = [[[0, 3], [0, 0]], [[1, 0], [0, 1]], [[0, 1, 0], [1, 0, 1], [0, 0, 0]]]
    for table in unbeaten:
        with pytest.raises(ValueError, match="chain from each entrant to each other"):
            bradley_terry(np.array(table, np.float64))
    with pytest.raises(ValueError, match="chain from each entrant to each other"):
        bradley_terry(np.array([[[0, 1], [1, 0]], unbeaten[0]], np.float64))  # one table of several is enough
    wrong: list[Array] = [np.ones((2, 3)), np.ones((2, 2, 3)), np.ones(3)]
    for points in [*wrong, *(np.array([[0, each], [1, 0]], np.float64) for each in (-1, math.nan, math.inf))]:
        with pytest.raises(ValueError, match="finite and not negative"):
            bradley_terry(points)
    apart = pd.concat([rounds_of(("mf-q", "il"), tally(3)), rounds_of(("ac", "random"), tally(3))])
    with pytest.raises(ValueError, match=r"rounds must connect all entrants by pairings, got \[\('ac', 'random'\)"):
        ratings(apart)
    with pytest.raises(ValueError, match=r"rounds must connect all entrants by pairings"):
        ratings(pd.concat([rounds_of((name, "random"), tally(3)) for name in ("mf-q", "il")]))
    with pytest.raises(ValueError, match=r"rounds must connect all entrants by pairings"):
        ratings(pd.concat([rounds_of(("mf-q", "il"), tally(3)), rounds_of(("rush", "random"), tally(3))]))


def test_ratings_find_the_strengths_of_simulated_players() -> None:
    truth = {"mf-q": 1.2, "il": 0.7, "ac": -0.5, "random": 0.0}
    found = ratings(simulated(truth, 2, np.random.default_rng(0), rounds=1000), resamples=20)
    assert found["algorithm"].tolist() == list(truth)
    assert found["rating"].tolist() == pytest.approx(
        [400 / math.log(10) * (each + 0.5) for each in truth.values()], abs=25
    )
    assert found["seeds"].tolist() == [2, 2, 2, 1]
    assert (found["rounds"] == 3000).all()


@pytest.mark.parametrize("other", ["ac", "random"])
def test_interval_of_a_rating_is_that_of_its_pairing(other: str) -> None:
    strengths = {"ac": 0.5, "random": 0} if other == "random" else {"il": 0.5, "ac": 0}
    table = simulated(strengths, 6, np.random.default_rng(1), spread=1, rounds=240)
    rated, opponent = ("random", "ac") if other == "random" else ("il", "ac")
    rating, wins = only(ratings(table), rated), only(summarise_pairings(table), rated, opponent)
    for end in ("", "_low", "_high"):
        won = 240 * wins["wins" + end] + 0.5
        expected = 400 * math.log10(won / (241 - won))
        assert rating["rating" + end] == pytest.approx(expected, abs=0.05)  # ends lie between two resamples


@pytest.mark.slow
def test_intervals_of_ratings_cover() -> None:
    truth, generator = {"mf-q": 0.4, "il": 0.0, "ac": -0.4, "random": 0.0}, np.random.default_rng(0)
    covered = []
    for _ in range(100):
        found = ratings(simulated(truth, 6, generator, spread=0.3, rounds=144), resamples=400)
        for name in ("mf-q", "il", "random"):
            row = only(found, name)
            expected = 400 / math.log(10) * (truth[name] - truth["ac"])
            covered.append(row["rating_low"] <= expected <= row["rating_high"])
    assert 0.92 <= np.mean(covered) < 1


def test_ac_is_the_anchor_and_a_single_seed_has_no_interval() -> None:
    truth = {"mf-q": 1.0, "ac": 0.0, "random": -1.0}
    many, one = (ratings(simulated(truth, seeds, np.random.default_rng(0)), resamples=50) for seeds in (3, 1))
    for found in (many, one):
        assert found.iloc[1][["rating", "rating_low", "rating_high"]].tolist() == [0, 0, 0]
    assert many["rating_low"].notna().all()
    assert (many["rating_low"] <= many["rating"]).all()
    assert one.loc[[0, 2], ["rating_low", "rating_high"]].isna().all(axis=None)


def test_mirror_matches_do_not_change_ratings() -> None:
    table = simulated({"mf-q": 1.0, "il": 0.0, "random": -1.0}, 3, np.random.default_rng(0))
    without = table[table["algorithm"] != table["opponent"]]
    pd.testing.assert_frame_equal(ratings(table, resamples=50), ratings(without, resamples=50))
    alone = ratings(table[(table["algorithm"] == "il") & (table["opponent"] == "il")], resamples=50)
    assert alone["rating"].tolist() == [0]
    assert alone["score"].isna().all()


def test_estimates_do_not_depend_on_side_order_or_names() -> None:
    table = simulated({"mf-q": 0.8, "il": 0.3, "mf-ac": 0.0}, 3, np.random.default_rng(0), spread=0.5)
    turned = both_sides(table).iloc[len(table) :].drop(columns="weight").sample(frac=1, random_state=1)
    renamed = table.replace({"mf-q": "z.py:A", "mf-ac": "a.py:B"})
    for estimate in (ratings, summarise_pairings):
        expected = estimate(table, resamples=100)
        pd.testing.assert_frame_equal(estimate(turned, resamples=100), expected)
        other = estimate(renamed, resamples=100).replace({"z.py:A": "mf-q", "a.py:B": "mf-ac"})
        keys = [name for name in ("algorithm", "opponent") if name in other]
        columns = [name for name in other.columns if not name.endswith(("_low", "_high"))]
        left, right = (frame[columns].sort_values(keys, ignore_index=True) for frame in (expected, other))
        pd.testing.assert_frame_equal(left, right)


def test_rows_depend_on_their_own_rounds_and_the_seed_alone() -> None:
    table = simulated({"mf-q": 0.8, "il": 0.3, "ac": 0.0}, 3, np.random.default_rng(0), spread=0.5)
    more = pd.concat([table.assign(evaluation="sampled", result="draw", survivors=0, opponent_survivors=0), table])
    more = pd.concat([more, table.assign(agents=64)])
    for estimate in (ratings, summarise_pairings):
        alone, together = estimate(table, resamples=100), estimate(more, resamples=100)
        assert list(zip(together["agents"], together["evaluation"], strict=True)) == sorted(
            zip(together["agents"], together["evaluation"], strict=True)
        )
        same = together[(together["agents"] == 8) & (together["evaluation"] == "greedy")].reset_index(drop=True)
        pd.testing.assert_frame_equal(same, alone)
        low = next(name for name in alone.columns if name.endswith("_low"))
        assert not estimate(table, resamples=100, seed=1)[low].equals(alone[low])
    pairing = table[(table["algorithm"] == "mf-q") & (table["opponent"] == "il")]
    rows = summarise_pairings(table, resamples=100)
    rows = rows[(rows["algorithm"] == "mf-q") & (rows["opponent"] == "il")].reset_index(drop=True)
    pd.testing.assert_frame_equal(summarise_pairings(pairing, resamples=100).iloc[:1], rows)


def ranked(table: pd.DataFrame) -> list[str]:
    """Entrants from the highest rating to the lowest."""
    return list(ratings(table, resamples=10).sort_values("rating", ascending=False, kind="stable")["algorithm"])


def test_ratings_have_the_order_of_points_where_all_play_alike() -> None:
    names = ["mf-q", "il", "mf-ac", "ac", "random"]
    for seed in range(5):
        generator = np.random.default_rng(seed)
        strengths = dict(zip(names, generator.normal(size=5).tolist(), strict=True))
        table = simulated(strengths, 2, generator, rounds=32)
        table = table[table["algorithm"] != table["opponent"]]
        sides = both_sides(table)
        points = (sides["result"] == "win").groupby(sides["algorithm"]).sum()
        assert points[ranked(table)].is_monotonic_decreasing
        assert points.nunique() > 2


def test_ratings_allow_for_the_opponents_met() -> None:
    met = [("mf-q", "il", tally(5, 0, 5)), ("il", "ac", tally(9, 0, 1)), ("ac", "random", tally(6, 0, 4))]
    table = pd.concat([rounds_of((one, two), results) for one, two, results in met])
    assert ranked(table)[2:] == ["ac", "random"]
    assert ranked(pd.concat([table, rounds_of(("mf-q", "ac"), tally(10))]))[0] == "mf-q"  # by points il leads


@pytest.mark.parametrize("estimate", [ratings, summarise_pairings])
def test_bad_input_is_refused(estimate: Callable[..., pd.DataFrame]) -> None:
    table = rounds_of(("mf-q", "il"), tally(4))
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        estimate(table, confidence=95)
    with pytest.raises(ValueError, match=r"lacks the columns \['seat'\]"):
        estimate(table.drop(columns="seat"))
    with pytest.raises(ValueError, match="result must be one of win, draw, loss, got 'tie'"):
        estimate(table.replace("win", "tie"))
    with pytest.raises(ValueError, match="got steps missing in row 2"):
        estimate(table.assign(steps=[1, 2, math.nan, 4]))

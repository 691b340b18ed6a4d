"""Rules of verdicts on made-up data, tests between methods against known numbers, and what the pages say."""

import math
import re
import shutil
from dataclasses import asdict, replace
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mfmarl.claims import battle, gaussian_squeeze, ising, theory, wording
from mfmarl.claims.tables import Measured, Tables, best_rewards, smaller
from mfmarl.claims.wording import brief, least_p, listed, most, p_of, percent, verdict_text
from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.comparisons import (
    MOST,
    _within_reach,
    armies_needed,
    exchange_test,
    holm,
    rank_test,
    runs_needed_by_ranks,
    runs_needed_of_mean,
    runs_needed_of_share,
    seat_test,
    superiority,
    superiority_interval,
    two_way_interval,
)
from mfmarl.evaluation.intervals import Array, Interval, bootstrap_interval, proportion_interval, steps_to_stay
from mfmarl.evaluation.rounds import both_sides, met
from mfmarl.evaluation.verdicts import (
    FAILS,
    HOLDS,
    NOT_TESTED,
    UNDECIDED,
    Finding,
    better,
    every,
    judge,
    share_within,
    some,
    within,
)
from mfmarl.scripting.documents import passages
from mfmarl.scripting.main import main
from reproduce import claims

ROOT = Path(__file__).parents[1]
ALL = [HOLDS, FAILS, UNDECIDED, NOT_TESTED]


@pytest.mark.parametrize(
    ("interval", "n", "verdict"),
    [
        (Interval(0.95, 0.91, 0.99), 8, HOLDS),
        (Interval(0.95, 0.9, 1.0), 3, HOLDS),  # both ends are allowed, and three runs enough
        (Interval(0.5, 0.4, 0.6), 8, FAILS),
        (Interval(1.2, 1.1, 1.3), 8, FAILS),
        (Interval(0.92, 0.88, 0.96), 8, UNDECIDED),
        (Interval(0.85, 0.8, 0.9), 8, UNDECIDED),
        (Interval(1.05, 1.0, 1.1), 8, UNDECIDED),
        (Interval(0.95, math.nan, math.nan), 2, UNDECIDED),
        (Interval(0.95, 0.95, 0.95), 1, UNDECIDED),
        (Interval(math.nan, math.nan, math.nan), 0, NOT_TESTED),
    ],
)
def test_an_interval_decides_where_it_lies_on_one_side(interval: Interval, n: int, verdict: str) -> None:
    found = within("a part", "a mean", interval, n, (0.9, 1))
    assert found.verdict == verdict
    assert math.isnan(found.seeds_needed) == (verdict != UNDECIDED)
    if n in (1, 2):
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.seeds_needed == 3


def test_a_finding_says_what_the_claim_allows() -> None:
    sure = Interval(0.95, 0.91, 0.99)
    for allowed, least, most_ in (((0.9, 1), 0.9, 1), ((0.9, math.inf), 0.9, math.nan), ((-math.inf, 1), math.nan, 1)):
        found = within("a part", "a mean", sure, 8, allowed)
        assert (found.least, found.most) == pytest.approx((least, most_), nan_ok=True)
    assert share_within("a part", "a share", 6, 6, (0.5, 1)).least == 0.5
    ahead = better("a part", "a lead", sure, 8, 0.01, 0.25)
    assert (ahead.least, ahead.most) == pytest.approx((0.25, math.nan), nan_ok=True)


def test_the_number_of_seeds_is_that_of_the_bound_that_is_crossed() -> None:
    found = within("a part", "a mean", Interval(0.92, 0.88, 0.96), 8, (0.9, 1))
    assert found.leans == HOLDS
    error = 0.04 / stats.norm.ppf(0.975) * math.sqrt(8)  # of one seed
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found.seeds_needed == math.ceil((z * error / 0.02) ** 2)
    assert within("a part", "a mean", Interval(0.89, 0.85, 0.93), 8, (0.9, 1)).leans == FAILS
    both = within("a part", "a mean", Interval(0.92, 0.82, 1.02), 8, (0.9, 1))
    assert both.seeds_needed == math.ceil((z * 2.5 * error / 0.02) ** 2), "of two bounds the nearer one"
    assert within("a part", "a mean", Interval(0.95, math.nan, math.nan), 5, (0.9, 1)).seeds_needed == 6


def test_an_exact_value_decides_alone() -> None:
    assert within("a part", "a maximum", Interval(0.9, math.nan, math.nan), 1, (0, 1), exact=True).verdict == HOLDS
    assert within("a part", "a maximum", Interval(1.1, math.nan, math.nan), 1, (0, 1), exact=True).verdict == FAILS


@pytest.mark.parametrize(
    ("successes", "n", "verdict", "seeds"),
    [
        (6, 6, HOLDS, math.nan),
        (3, 3, UNDECIDED, 6),
        (5, 5, UNDECIDED, 6),  # 0.025^(1/5) = 0.478 and 0.025^(1/6) = 0.541
        (0, 6, FAILS, math.nan),
        (0, 5, UNDECIDED, 6),
        (12, 24, UNDECIDED, math.nan),  # at the bound itself no number decides
        (2, 2, UNDECIDED, 3),
        (0, 0, NOT_TESTED, math.nan),
    ],
)
def test_most_runs_is_an_exact_share_above_a_half(successes: int, n: int, verdict: str, seeds: float) -> None:
    found = share_within("a part", "a share", successes, n, (0.5, 1))
    assert found.verdict == verdict
    assert found.seeds_needed == pytest.approx(seeds, nan_ok=True)
    assert n == 0 or found.count == successes


@pytest.mark.parametrize(
    ("estimate", "n", "p", "verdict"),
    [
        (0.9, 5, 0.008, HOLDS),
        (0.1, 5, 0.008, FAILS),
        (0.9, 3, 0.04, HOLDS),
        (0.9, 5, 0.05, UNDECIDED),
        (0.9, 2, math.nan, UNDECIDED),
        (math.nan, 0, math.nan, NOT_TESTED),
    ],
)
def test_a_comparison_is_decided_by_its_test(estimate: float, n: int, p: float, verdict: str) -> None:
    found = better("a part", "a share", Interval(estimate, 0.0, 1.0), n, p, 0.5, seeds_needed=26)
    assert found.verdict == verdict
    assert found.seeds_needed == pytest.approx(26 if verdict == UNDECIDED else math.nan, nan_ok=True)
    assert (found.low, found.high) == pytest.approx((math.nan,) * 2 if n == 2 else (0, 1), nan_ok=True)


def test_a_comparison_needs_more_runs_than_it_had_and_a_clean_sweep_has_no_interval() -> None:
    even = Interval(0.6, 0.0, 1.0)
    assert better("a part", "a share", even, 5, 0.5, 0.5, seeds_needed=4).seeds_needed == 6
    assert math.isnan(better("a part", "a share", even, 5, 0.5, 0.5).seeds_needed)
    assert better("a part", "a share", even, 2, math.nan, 0.5).seeds_needed == 3
    swept = better("a part", "a share", Interval(1, 1, 1), 5, 0.008, 0.5)
    assert (swept.verdict, swept.value) == (HOLDS, 1)
    assert math.isnan(swept.low)
    assert math.isnan(swept.high)


def test_verdicts_are_put_together() -> None:
    assert every([HOLDS, HOLDS]) == HOLDS
    assert every([HOLDS, NOT_TESTED]) == NOT_TESTED
    assert every([HOLDS, NOT_TESTED, UNDECIDED]) == UNDECIDED
    assert every(ALL) == FAILS
    assert some(ALL) == HOLDS
    assert some([FAILS, NOT_TESTED]) == NOT_TESTED
    assert some([FAILS, NOT_TESTED, UNDECIDED]) == UNDECIDED
    assert every([]) == some([]) == NOT_TESTED


def undecided(part: str, seeds: float, leans: str = "") -> Finding:
    return Finding(part, "a share", 0.5, 0.1, 0.9, 5, verdict=UNDECIDED, leans=leans, seeds_needed=seeds)


def test_the_verdict_rests_on_the_finding_that_would_decide() -> None:
    holds, fails = (Finding(verdict, "a share", verdict=verdict) for verdict in (HOLDS, FAILS))
    assert judge([[holds], [undecided("a", 9)], [undecided("b", 20)]]) == (UNDECIDED, undecided("b", 20))
    assert judge([[undecided("a", 9)], [fails]]) == (FAILS, fails)
    assert judge([[fails, holds], [undecided("a", 9), holds]])[0] == HOLDS
    # A claim that holds rests on its weakest part, each part on the strongest of what makes it hold.
    far, near = (
        within(part, "loss", Interval(value, value - 0.01, value + 0.01), 9, (-math.inf, 0.1))
        for part, value in (("far", 0.02), ("near", 0.08))
    )
    assert judge([[far], [near]]) == judge([[near], [far]]) == (HOLDS, near)
    assert judge([[far, near]]) == judge([[near, far]]) == (HOLDS, far)
    above, exact = (
        within(part, "share", Interval(value, low, 1.0), 9, (0.9, math.inf), exact=part == "exact")
        for part, value, low in (("above", 0.98, 0.97), ("exact", 0.96, math.nan))
    )
    assert judge([[above], [exact]]) == (HOLDS, exact)
    # one group that fails is enough, and one finding of a group that holds
    groups = [[undecided("a", 9, FAILS)], [undecided("b", 20, FAILS)], [undecided("c", 3, HOLDS)]]
    assert judge(groups)[1].part == "a"
    assert judge([[undecided("a", 9, HOLDS), undecided("b", 20, HOLDS)]])[1].part == "a"
    assert judge([[undecided("a", 9, FAILS), undecided("b", 20, FAILS)]])[1].part == "b"
    assert math.isnan(judge([[undecided("a", 9)], [undecided("b", math.nan)]])[1].seeds_needed)
    with pytest.raises(ValueError, match="at least one finding"):
        judge([])


def test_words_of_a_verdict() -> None:
    assert verdict_text(HOLDS, math.nan) == "**holds**"
    assert verdict_text(UNDECIDED, 26.0) == "**undecided**: 26 seeds would decide"
    assert "more seeds than" in verdict_text(UNDECIDED, math.nan)
    assert most(0.0113) == "0.012"  # at most 0.011 would be wrong
    assert most(0.011) == "0.011"
    told = {0.0476: "p = 0.048", 0.001: "p = 0.001", 0.0015: "p = 0.002", 0.0009: "p < 0.001", 0.999: "p = 0.999"}
    assert {p: p_of(p) for p in told} == told
    assert [p_of(1.0), p_of(math.nan)] == ["p = 1", "no test"]
    tested = [[replace(undecided("a", 1), p=p) for p in (0.02, math.nan)], [replace(undecided("b", 1), p=0.5)]]
    assert [least_p(tested), least_p([[undecided("a", 1)]])] == ["p = 0.020", "no test"]
    assert listed(np.array([math.inf, 20.0, 3.0])) == "3, 20, never"
    assert percent(replace(undecided("a", 1), low=math.nan)) == "50%"


def test_a_verdict_in_brief() -> None:
    row = asdict(replace(undecided("MF-Q", 9), low=0.12345, high=123.4, p=math.nan, n=5))
    assert brief(row) == "MF-Q: a share = 0.5 [0.1235, 123], n = 5"
    assert brief({**row, "low": math.nan, "p": 0.0476, "value": -1e-9}) == "MF-Q: a share = -1e-09, p = 0.048, n = 5"
    assert brief({**row, "n": 0}) == "nothing measured"
    told = {0.00012345: "0.00012", 0.0007654: "0.0007654", 99.94: "99.94", 100.4: "100", -100.4: "-100", 0.0: "0"}
    assert {value: wording.number(value) for value in told} == told


def test_superiority_counts_pairs_and_half_of_the_ties() -> None:
    assert superiority([1, 2, math.inf], [1, math.inf]) == (0.5 + 1 + 1.5) / 6
    generator = np.random.default_rng(0)
    interval = superiority_interval([1, 2, math.inf], [1, 5, math.inf], generator=generator)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == (0.5 + 1 + 1.5 + 1) / 9
    assert math.isnan(superiority_interval([1, 2], [1, 5, 6], generator=generator).low)
    wrong: list[Any] = [[math.nan], [1, math.nan], [], [[1]]]
    for group in wrong:
        with pytest.raises(ValueError, match="one must be"):
            superiority(group, [1])


def test_rank_test_is_exact_and_takes_what_never_happens() -> None:
    assert rank_test([1, 2, 3, 4, 5], [6, 7, 8, 9, math.inf]) == pytest.approx(2 / 252)
    assert rank_test([1, 3, 5], [2, 4, 6]) == pytest.approx(stats.mannwhitneyu([1, 3, 5], [2, 4, 6]).pvalue)
    assert rank_test([math.inf] * 30, [math.inf] * 30) == 1
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=40), generator.normal(0.5, size=40)
    assert rank_test(one, other) == pytest.approx(stats.mannwhitneyu(one, other).pvalue, rel=1e-6)


def league(strengths: list[float]) -> Array:
    """Who wins how often, by the differences of their strengths."""
    lead = np.subtract.outer(strengths, strengths)
    return np.asarray(1 / (1 + np.exp(-lead)))


def test_exchanging_labels_of_armies() -> None:
    generator = np.random.default_rng(0)
    assert exchange_test(league([5, 6, 7, 8, 9, 0, 1, 2, 3, 4]), 5, generator=generator) == pytest.approx(2 / 252)
    assert exchange_test(league([1, 1, 1, 1]), 2, generator=generator) == 1
    table = league([3, 1, 2, 0])
    lead = (table - table.T).sum(axis=1)
    means = [lead[[a, b]].mean() for a in range(4) for b in range(a)]
    expected = np.mean(np.abs(means) >= abs(lead[:2].mean()) - 1e-9)
    assert exchange_test(table, 2, generator=generator) == pytest.approx(expected)
    many = league([*range(10, 20), *range(10)])
    assert exchange_test(many, 10, generator=generator) < 0.001
    with pytest.raises(ValueError, match="must have met"):
        exchange_test(np.full((2, 2), math.nan), 1, generator=generator)
    for shape, first in (((2, 3), 1), ((2,), 1), ((2, 2), 2), ((2, 2), 0)):
        with pytest.raises(ValueError, match=r"^table must be \[armies, armies\] with armies of both, got "):
            exchange_test(np.zeros(shape), first, generator=generator)


def test_seats_differ_by_chance_and_by_more() -> None:
    """Two rounds a seat and two wins: dealt out, they are 2, 1 or 0 on the left in 1, 4 and 1 of 6 ways."""
    seen, chance, p = seat_test([[1, 1]] * 12, [[2, 2]] * 12, generator=np.random.default_rng(0))
    assert (seen, p) == (0, 1)
    assert chance == pytest.approx(1 / 3)
    seen, chance, p = seat_test([[2, 0]] * 3, [[2, 2]] * 3, generator=np.random.default_rng(0))
    assert seen == 1
    assert p == pytest.approx((2 / 6) ** 3, abs=0.005)
    assert seat_test([[3, 5]], [[3, 5]], generator=np.random.default_rng(0)) == (0, 0, 1), "all are won"
    for wins, rounds in (([[1, 1]], [[1]]), ([[2, 0]], [[1, 1]]), ([[0, 0]], [[1, 0]]), ([[-1, 1]], [[2, 2]])):
        with pytest.raises(ValueError, match="rounds must"):
            seat_test(wins, rounds, generator=np.random.default_rng(0))


def test_seats_of_unlike_pairs_are_dealt_out_pair_by_pair() -> None:
    wins, rounds = [[1, 0], [1, 3]], [[1, 2], [4, 3]]
    each = []  # of a pair, how far apart its seats are in every way to choose the rounds of the left one
    for won, played in zip(wins, rounds, strict=True):
        results = [1] * sum(won) + [0] * (sum(played) - sum(won))
        ways = [sum(left) for left in combinations(results, played[0])]
        each.append([abs(left / played[0] - (sum(won) - left) / played[1]) for left in ways])
    seen, chance, found = seat_test(wins, rounds, generator=np.random.default_rng(0))
    deals = [(one + other) / 2 for one, other in product(*each)]
    assert (seen, chance) == pytest.approx(((1 + 3 / 4) / 2, np.mean(deals)))
    assert found == pytest.approx(np.mean([deal >= seen - 1e-9 for deal in deals]), abs=0.01)


def test_holm_is_stepwise_and_skips_what_was_not_compared() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])  # Holm 1979
    np.testing.assert_allclose(holm([0.01, math.nan, 0.5]), [0.02, math.nan, 0.5])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([0, 1]).tolist() == [0, 1]
    wrong: list[Any] = [[0.5, 1.2], [-0.1, 0.5], [[0.5]]]
    for p_values in wrong:
        with pytest.raises(ValueError, match="must be"):
            holm(p_values)


def test_runs_that_would_decide_do_so_as_often_as_is_said() -> None:
    assert runs_needed_of_share(0, 0.1) == 36  # 1 - 0.025^(1/36) is the first below 0.1
    n = int(runs_needed_of_share(0.8, 0.5))
    decided = [k for k in range(n + 1) if proportion_interval(k, n).low > 0.5]
    assert stats.binom.pmf(decided, n, 0.8).sum() >= 0.8
    assert runs_needed_by_ranks(0.9) == math.ceil(7.849 / (6 * 0.16))  # Noether 1987
    assert math.isnan(runs_needed_by_ranks(0.5))
    assert math.isnan(runs_needed_of_mean(Interval(0.5, 0.4, 0.6), 5, 0.5))
    assert math.isnan(runs_needed_of_mean(Interval(0.5, 0.4, 0.6), 5, 0.501)), "out of reach"
    assert runs_needed_of_mean(Interval(0.95, 0.89, 0.955), 8, 0.9) == 9, "more than those that did not decide"
    assert _within_reach(MOST) == MOST
    assert math.isnan(_within_reach(MOST + 0.5))
    assert 368 <= runs_needed_of_share(0, 0.01) <= 1.02 * 368  # likewise, but beyond 200 in steps of a fiftieth
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        runs_needed_of_share(0, 0.1, 95)


def test_armies_that_would_decide() -> None:
    generator = np.random.default_rng(0)
    sides = 0.5 + 0.2 * generator.normal(size=(200, 1)) + 0.1 * generator.normal(size=(1, 200))
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert armies_needed(sides, 0.1) == pytest.approx(z**2 * (0.04 + 0.01) / 0.01, rel=0.15)
    noise = generator.normal(size=(200, 200))  # peculiar to each pair: falls with the square of the armies
    assert armies_needed(noise, 0.1) == pytest.approx(z / 0.1, rel=0.1)
    assert math.isnan(armies_needed(noise[:2], 0.1))
    # Of a small table, by the mean squares of a two-way analysis of variance.
    table = sides[:3, :4] + 0.05 * noise[:3, :4]
    rows, columns = 4 * table.mean(axis=1).var(ddof=1), 3 * table.mean(axis=0).var(ddof=1)
    pair = (11 * table.var(ddof=1) - 2 * rows - 3 * columns) / 6
    n = armies_needed(table, 0.1)
    variance = [((rows - pair) / 4 + (columns - pair) / 3) / count + pair / count**2 for count in (n, n - 1)]
    assert rows > pair < columns
    assert variance[0] <= (0.1 / z) ** 2 < variance[1]


def test_two_way_interval_resamples_both_sides() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, 1)) + np.zeros((1, 60))
    for table in (rows, rows.T):
        interval = two_way_interval(table, generator=np.random.default_rng(1))
        assert interval.estimate == pytest.approx(rows.mean())
        assert (interval.high - interval.low) / 2 == pytest.approx(2 * rows.std() / math.sqrt(60), rel=0.1)
    assert math.isnan(two_way_interval(rows[:2], generator=generator).low)
    for wrong in (rows[0], rows[:0], np.where(rows > 0, rows, math.nan), rows[None]):
        with pytest.raises(ValueError, match=r"^table must be \[rows, columns\], finite and not empty, got shape "):
            two_way_interval(wrong, generator=generator)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
        two_way_interval(rows, 95, generator=generator)
    few = two_way_interval(rows[:4], generator=np.random.default_rng(1))  # columns alike: four runs, and no more
    alone = bootstrap_interval(rows[:4, 0], generator=np.random.default_rng(2))
    assert few.high - few.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_the_step_from_which_a_run_stays() -> None:
    assert steps_to_stay([1, 2, 3, 4], [1.0, 0.5, 0.9, 1.0], 0.9) == 3
    assert steps_to_stay([1, 2], [1.0, 1.0], 0.9) == 1
    assert steps_to_stay([1, 2], [1.0, 0.5], 0.9) == math.inf
    steps = [*range(1, 41)]
    for last, found in ((3, math.inf), (4, 37)):  # a tenth of 40 are 4
        assert steps_to_stay(steps, [0.0] * (40 - last) + [1.0] * last, 0.9) == found
    assert steps_to_stay(steps, [0.0] * 20 + [1.0] * 20, 0.9, share=0.5) == 21
    assert steps_to_stay(steps, [0.0] * 21 + [1.0] * 19, 0.9, share=0.5) == math.inf
    with pytest.raises(ValueError, match=r"share must lie in \(0, 1\], got 0"):
        steps_to_stay(steps, steps, 0.9, share=0)


def tables_of(**frames: pd.DataFrame) -> Tables:
    """Made-up tables, by name with __ for / and without .csv; the others are not there."""
    return Tables(lambda name: frames.get(name.removesuffix(".csv").replace("/", "__")))


def squeeze(shares: dict[tuple[str, str, int], list[float]]) -> Tables:
    """Gaussian Squeeze where each run stands at a share of G* from its second evaluation on."""
    rows = [
        (*key, seed, step, reward := (share if step > 1 else 0) * 423.0314, reward, reward)
        for key, runs in shares.items()
        for seed, share in enumerate(runs)
        for step in range(1, 21)
    ]
    columns = ["settings", "algorithm", "agents", "seed", "step", "greedy_reward", "sampled_reward", "training_reward"]
    return tables_of(gaussian_squeeze__curves=pd.DataFrame(rows, columns=columns))


def test_methods_learn_fail_or_are_not_run() -> None:
    methods = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
    good = squeeze({("calibrated", name, 100): [0.95] * 6 for name in methods})
    assert judge(gaussian_squeeze.near_optimum(good).groups)[0] == HOLDS
    few = squeeze({("calibrated", name, 100): [0.95] * 2 for name in methods})
    assert judge(gaussian_squeeze.near_optimum(few).groups)[0] == UNDECIDED
    missing = squeeze({("calibrated", name, 100): [0.95] * 6 for name in methods[1:]})
    assert judge(gaussian_squeeze.near_optimum(missing).groups)[0] == NOT_TESTED
    bad = squeeze(
        {
            (settings, name, 100): [0.95 if name == "il" else 0.3] * 6
            for name in methods
            for settings in ("appendix", "calibrated")
        }
    )
    assert judge(gaussian_squeeze.near_optimum(bad).groups)[0] == FAILS
    assert judge(gaussian_squeeze.near_optimum(tables_of()).groups)[0] == NOT_TESTED


def test_one_of_the_settings_may_say_what_the_other_does_not() -> None:
    methods = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
    ends = {
        (settings, name, agents): [share] * 6
        for settings, share in (("appendix", 0.3), ("calibrated", 0.95))
        for name, agents in product(methods, (100, 500, 1000))
    }
    cases = (
        (gaussian_squeeze.near_optimum, HOLDS, (FAILS, HOLDS)),
        (gaussian_squeeze.learns_optimum, HOLDS, (FAILS, HOLDS)),
        (gaussian_squeeze.others_fail, FAILS, (HOLDS, FAILS)),
    )
    for measure, both, apart in cases:
        found = measure(squeeze(ends))
        assert judge(found.groups)[0] == both
        assert tuple(found.verdict_of(each) for each in gaussian_squeeze.SETTINGS) == apart
    assert gaussian_squeeze.near_optimum(tables_of()).verdict_of("appendix") == NOT_TESTED


def test_first_touch_is_not_convergence() -> None:
    tables = squeeze({("appendix", "mf-q", 100): [0.95] * 5, ("appendix", "mf-ac", 100): [0.0] * 5})
    curves = tables.read("gaussian_squeeze/curves.csv", [])
    curves.loc[(curves["algorithm"] == "mf-ac") & (curves["step"] == 1), "greedy_reward"] = 423.0  # touched and lost
    ((finding,),) = gaussian_squeeze.converges_faster(tables).groups
    assert (finding.verdict, finding.value) == (HOLDS, 1)
    assert "MF-Q v MF-AC. Appendix: N = 100 5 of 5 (2) v 0 of 5, p = 0.008" in gaussian_squeeze.say_converges_faster(
        gaussian_squeeze.converges_faster(tables), tables
    )


def test_the_error_of_q_in_one_order_of_updates_alone() -> None:
    def curves(cold: float, critical: float) -> Tables:
        keys = [(0.8, cold), (1.2, critical)]
        rows = [
            ("mf-q", "checkerboard", tau, seed, step, error * (1 + seed / 100))
            for tau, error in keys
            for seed in range(5)
            for step in range(1, 11)
        ]
        columns = ["method", "order", "temperature", "seed", "step", "q_error"]
        return tables_of(ising__training=pd.DataFrame(rows, columns=columns))

    for tables, verdict, there in (
        (curves(1e-10, 1e-9), NOT_TESTED, FAILS),  # it may hold in another
        (curves(0.06, 0.27), HOLDS, HOLDS),
        (tables_of(), NOT_TESTED, NOT_TESTED),
    ):
        found = ising.error_grows(tables)
        assert judge(found.groups)[0] == verdict
        assert found.verdict_of("checkerboard order") == there
        assert found.verdict_of("simultaneous order") == NOT_TESTED
    assert ising.transitions(tables_of()).verdict_of("simultaneous order") == NOT_TESTED, "nothing crosses there"


def contraction(threshold: float = 0.5, slope: float = 0.5, torus: float = 2.0, star: float = 1.5) -> Tables:
    """Where a sharp example contracts, over K, and spins on two graphs; the softmax's slope; a sweep's factors."""
    rows = [
        *(("sharp temperature over K", f"K={name}", threshold, 1) for name in ("fraction", "l2 operator")),
        *(("sharp temperature over K", f"K={name} per action", 1.0, 1) for name in ("l1", "l2")),
        ("critical temperature of the mean field map", "graph=torus 4 x 4", torus, 1),  # K/2 is 2, and 4.5
        ("critical temperature of the mean field map", "graph=star, 9 leaves", star, 1),
        *(("largest norm of S", f"norm={name}; policies=drawn, D = 6", slope, 100) for name in ("l1", "l2")),
        *(
            ("factor of a sweep", f"reading={reading}; temperature={tau}", factor, 20)
            for reading, factors in (
                ("mean field map, synchronous", (0.8, 0.98)),
                ("sampled play of MF-Q", (0.9, 0.6)),
            )
            for tau, factor in zip((1.5, 2.05), factors, strict=True)
        ),
    ]
    frame = pd.DataFrame(rows, columns=["quantity", "setting", "value", "n"])
    return tables_of(theory__contraction=frame.assign(low=frame["value"] - 0.01, high=frame["value"] + 0.01))


@pytest.mark.parametrize(
    ("tables", "verdict"),
    [
        (contraction(), HOLDS),
        (contraction(threshold=0.5 + 1e-12), HOLDS),  # a root is found to so many digits
        (contraction(threshold=0.55), FAILS),
        (contraction(slope=0.51), FAILS),
        (contraction(torus=2.01), FAILS),
        (contraction(star=4.49), HOLDS),  # where the bound is not sharp
        (contraction(star=4.51), FAILS),
        (tables_of(), NOT_TESTED),
    ],
    ids=[
        "as proved",
        "a rounded root",
        "a higher threshold",
        "a steeper softmax",
        "torus",
        "star",
        "hotter",
        "no table",
    ],
)
def test_the_bound_of_contraction_is_judged_and_not_sampled_play(tables: Tables, verdict: str) -> None:
    found = theory.contracts(tables)
    assert judge(found.groups)[0] == verdict
    if verdict == HOLDS:
        told = theory.say_contracts(found, tables)
        assert "contracts at each tau measured from 1.5 on" in told
        assert re.search(r"On 2 graphs .* \(star, 9 leaves\) to 1 of it \((torus 4 x 4|2 graphs)\)", told)
        assert all("sampled" not in finding.part for (finding,) in found.groups)


def rounds(seeds: int, strong: str) -> pd.DataFrame:
    """All armies of two algorithms fight each other, two rounds a pair; the strong one's always win."""
    rows = []
    armies = [(name, seed) for name in ("mf-q", "il") for seed in range(seeds)]
    for place, one in enumerate(armies):
        for other in armies[place + 1 :]:
            for number in range(2):
                wins = one[0] == strong if one[0] != other[0] else number == 0
                result = ("win", 10.0, 0.0, 4, 0) if wins else ("loss", 0.0, 10.0, 0, 4)
                rows.append((one[0], other[0], one[1], other[1], 64, "left", "yes", "sampled", number, *result, 30))
    columns = ["algorithm", "opponent", "seed", "opponent_seed", "agents", "seat", "first", "evaluation", "round"]
    columns += ["result", "reward", "opponent_reward", "survivors", "opponent_survivors", "steps"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.parametrize(
    ("seeds", "strong", "verdict"), [(5, "mf-q", HOLDS), (5, "il", FAILS), (3, "mf-q", UNDECIDED), (2, "il", UNDECIDED)]
)
def test_armies_are_compared_by_what_they_did_to_each_other(seeds: int, strong: str, verdict: str) -> None:
    tables = tables_of(battle__tournament=rounds(seeds, strong))
    [wins, lead] = battle.fought(
        tables, [battle.Pairing(64, "sampled", ("mf-q",), ("il",), metric) for metric in ("points", "lead")]
    )
    assert wins.verdict == lead.verdict == verdict
    assert (wins.value, lead.value, wins.n) == ((1, 10, seeds) if strong == "mf-q" else (0, -10, seeds))
    p = 2 / math.comb(2 * seeds, seeds) if seeds > 2 else math.nan
    assert [wins.p, lead.p] == pytest.approx([2 * p, 2 * p], nan_ok=True)  # Holm's for two
    [absent] = battle.fought(tables, [battle.Pairing(64, "sampled", ("mf-ac",), ("ac",))])
    assert absent.verdict == NOT_TESTED


@pytest.mark.parametrize(("of_one", "of_other"), [(3, 2), (2, 3)])
def test_two_armies_of_a_method_are_too_few_for_a_test(of_one: int, of_other: int) -> None:
    table = rounds(3, "mf-q")
    for side in ("", "opponent_"):
        names, seeds = table["opponent" if side else "algorithm"], table[f"{side}seed"]
        table = table[seeds < np.where(names == "mf-q", of_one, of_other)]
    [wins] = battle.fought(tables_of(battle__tournament=table), [battle.Pairing(64, "sampled", ("mf-q",), ("il",))])
    assert (wins.value, wins.n) == (1, 2)
    assert math.isnan(wins.p)


def test_what_both_earn_is_a_mean() -> None:
    tables = tables_of(battle__tournament=rounds(3, "mf-q"))
    assert battle.earned(tables, battle.Pairing(64, "sampled", ("mf-q",), ("il",))) == 5


@pytest.mark.parametrize(("own", "n"), [(3, 3), (2, 2)])
def test_armies_that_would_decide_are_judged_from_64_where_there_are_too_few(own: int, n: int) -> None:
    """Of three armies from their own rounds, of two from those of 64."""
    few, many = rounds(own, "mf-q").assign(agents=8), rounds(3, "mf-q")
    few, many = few.assign(reward=few["reward"] + few.index % 3), many.assign(reward=many["reward"] + many.index % 5)
    both = tables_of(battle__tournament=pd.concat([few, many], ignore_index=True))
    pairing = battle.Pairing(8, "sampled", ("mf-q",), ("il",), "lead")
    [finding], [alone] = (battle.fought(tables, [pairing]) for tables in (both, tables_of(battle__tournament=few)))
    assert (finding.verdict, finding.n) == (UNDECIDED, n)
    assert (finding.seeds_needed == alone.seeds_needed) == (own == 3)


def test_groups_are_compared_by_ranks() -> None:
    """Eight of nine pairs are in order: by chance, or as far on the other side, in 4 of 20 ways."""
    three = ("three", np.array([1.0, 2, 4]), np.array([3.0, 5, 6]))
    two = ("two", np.array([1.0, 2]), np.array([3.0, 0, math.inf]))
    none = ("none", np.array([1.0]), np.array([]))
    never = ("never", np.array([math.inf]), np.array([math.inf]))
    first, few, *untested = smaller("chance", [three, two, none, never])
    assert [first.value, first.n, first.p] == pytest.approx([8 / 9, 3, 0.2])
    assert first.seeds_needed == runs_needed_by_ranks(8 / 9)
    assert [few.value, few.n] == pytest.approx([4 / 6, 2])
    assert math.isnan(few.p)
    assert [finding.verdict for finding in untested] == [NOT_TESTED] * 2
    for finding in smaller("chance", [three, three]):
        assert [finding.p, finding.seeds_needed] == pytest.approx([0.4, runs_needed_by_ranks(8 / 9, 0.05 / 2)])


def test_means_are_compared_by_welchs_interval() -> None:
    one, other = [1.0, 2.0, 6.0], [0.0, 0.5, 0.25, 1.0]
    interval, n = ising.welch(one, other, 0.1)
    error = math.sqrt(np.var(one, ddof=1) / 3 + np.var(other, ddof=1) / 4)
    assert [interval.estimate, n] == pytest.approx([3 - 0.4375, 3])
    assert interval.estimate - interval.low == pytest.approx(interval.high - interval.estimate)
    assert 2 * error < interval.high - interval.estimate < 3 * error  # t at 2.1 degrees of freedom is 2.85
    few, n = ising.welch(one[:2], other)
    assert (few.estimate, n) == (1.5 - 0.4375, 2)
    assert math.isnan(few.low)
    assert ising.welch([], other)[1] == 0


def test_differences_of_order_have_no_sign() -> None:
    rows = pd.DataFrame(
        [(method, "checkerboard", 20, 1.0, seed) for method in ("mf-q", "mcmc") for seed in range(4)],
        columns=["method", "order", "size", "temperature", "seed"],
    )
    ordered = rows["method"].eq("mf-q") * 0.2 + 0.01 * rows["seed"] ** 2
    above, below = (
        ising.largest_difference(
            tables_of(ising__equilibrium=rows.assign(order_parameter=0.5 + sign * ordered)), "mf-q", "checkerboard"
        )
        for sign in (1, -1)
    )
    found = (above.value, above.low, above.high)
    assert (below.value, below.low, below.high) == pytest.approx(found)
    assert above.low < 0.2 < above.high


def test_where_nothing_is_hotter_than_the_released_codes_transition_that_is_said() -> None:
    tables = tables_of(
        ising__equilibrium=pd.DataFrame(
            {"method": "mf-q", "order": "released-code", "temperature": [1.8, 2.0], "order_parameter": [0.9, 0.8]}
        )
    )
    assert "theory says 2, and nothing was measured above 2." in ising.say_transitions(
        ising.transitions(tables), tables
    )


def test_a_table_that_lacks_a_column_is_refused() -> None:
    tables = tables_of(ising__crossings=pd.DataFrame({"method": ["mf-q"]}))
    with pytest.raises(ValueError, match="sizes"):
        ising.transitions(tables)


def test_a_finding_is_found_by_its_part_and_one_that_is_not_there_is_an_error() -> None:
    judged, beside = Finding("judged", "a share"), Finding("beside", "a share")
    found = Measured([[judged]], [beside])
    assert (found["judged"], found["beside"]) == (judged, beside)
    with pytest.raises(KeyError, match=r"nothing was found for 'others'; there is \['judged', 'beside'\]"):
        list(found[name] for name in ("judged", "others"))  # noqa: C400 - as sentences index it


def test_the_best_reward_is_that_of_each_number_of_agents() -> None:
    agents = pd.Series([500, 100, 500])
    assert best_rewards(agents) == {number: GaussianSqueeze(number).optimum()[1] for number in (100, 500)}
    scaled = best_rewards(agents, GaussianSqueeze.scaled)
    assert scaled == {number: GaussianSqueeze.scaled(number).optimum()[1] for number in (100, 500)}


def test_armies_that_met_are_a_table() -> None:
    table = both_sides(rounds(2, "il")).assign(points=lambda frame: frame["result"].eq("win").astype(float))
    found, first = met(table, ["mf-q"], ["il"], "points")
    assert first == 2
    assert found[:2, 2:].tolist() == [[0, 0], [0, 0]]
    assert found[2:, :2].tolist() == [[1, 1], [1, 1]]
    assert found[0, 1] == found[1, 0] == 0.5
    assert math.isnan(found[0, 0])


@cache
def committed() -> tuple[pd.DataFrame, pd.DataFrame]:
    return claims.verdicts(Tables(claims.reader(ROOT / "results")))


def test_every_claim_has_a_verdict_and_a_sentence() -> None:
    table, evidence = committed()
    assert table["id"].tolist() == [
        *(f"GS-{number}" for number in range(1, 5)),
        *(f"IS-{number}" for number in range(1, 4)),
        *(f"BA-{number}" for number in range(1, 5)),
        *(f"TH-{number}" for number in range(1, 4)),
        "TOY-1",
    ]
    assert table["verdict"].isin(ALL).all()
    assert table["sentence"].str.endswith(".").all()
    assert not table["sentence"].str.contains("nan").any()
    for names in table["data"].str.split():
        assert all((ROOT / name).is_file() for name in names)
    few = evidence[evidence["n"] < 3]
    assert set(few[few["judged"] == "yes"]["verdict"]) <= {UNDECIDED, NOT_TESTED} | set(
        few[few["id"].isin(["TH-1", "TH-2", "TOY-1"])]["verdict"]
    )


def test_pages_and_tables_are_what_the_data_say() -> None:
    table, evidence = committed()
    assert claims.stale(table, evidence, ROOT / "results") == []
    assert passages((ROOT / "README.md").read_text())["claims"] == claims.in_brief(table)


@pytest.mark.parametrize(("change", "agrees"), [(1 + 1e-12, True), (1 + 1e-6, False), (math.nan, False)])
def test_tables_agree_but_for_last_digits(change: float, agrees: bool, tmp_path: Path) -> None:
    frame = pd.DataFrame({"part": ["a", "b"], "value": [0.5, 3e-10], "p": [math.nan, 0.04]})
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame.assign(value=frame["value"] * change).to_csv(tmp_path / "other.csv", index=False)
    assert claims.agree(tmp_path / "one.csv", tmp_path / "other.csv") == agrees
    assert not claims.agree(tmp_path / "one.csv", tmp_path / "none.csv")
    frame.assign(part=["a", "c"]).to_csv(tmp_path / "other.csv", index=False)
    assert not claims.agree(tmp_path / "one.csv", tmp_path / "other.csv")


@pytest.mark.parametrize("name", ["a file", "x" * 300, "a file/below", "a folder"])
def test_a_place_where_nothing_can_be_written_is_refused_first(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "verdicts", lambda *_: pytest.fail("it begins"))
    (tmp_path / "a file").touch()
    (tmp_path / "a folder/claims.csv").mkdir(parents=True)
    assert main(lambda: claims.run(["--results", str(ROOT / "results"), "--out", str(tmp_path / name)])) == 2
    assert re.fullmatch("error: out: .*\n", capsys.readouterr().err)


def test_changing_a_table_changes_the_verdict_and_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results"
    monkeypatch.setattr(claims, "RESULTS", out)
    shutil.copytree(ROOT / "results/ising", out / "ising", ignore=lambda *_: {"jobs", "SHA256SUMS"})
    (tmp_path / "README.md").write_text("<!-- begin: claims -->\n<!-- end: claims -->\n")
    claims.run(["--results", str(out)])
    told = capsys.readouterr().out
    assert re.search(r"\nIS-2  both change phase near tau = 1.2\n    \*\*holds\*\*\. Binder's", told)
    files = ("results/claims.csv", "results/evidence.csv", "README.md", "results/ising/README.md")
    assert told.endswith("\nwritten:\n" + "".join(f"  {tmp_path / name}\n" for name in files))
    assert ": both change phase near tau = 1.2 | **holds**" in (tmp_path / "README.md").read_text()
    claims.run(["--results", str(out), "--check"])
    path = out / "ising/crossings.csv"
    table = pd.read_csv(path)
    table[["estimate", "low", "high"]] += 0.5
    table.to_csv(path, index=False)
    with pytest.raises(SystemExit) as stopped:
        claims.run(["--results", str(out), "--check"])
    assert stopped.value.code == 1
    told = capsys.readouterr().err
    assert "claims.csv" in told
    assert "README.md" in told
    claims.run(["--results", str(out)])
    verdict = pd.read_csv(out / "claims.csv").set_index("id")["verdict"]
    assert verdict["IS-2"] == FAILS
    assert ": both change phase near tau = 1.2 | **fails**" in (tmp_path / "README.md").read_text()
    path.unlink()
    claims.run(["--results", str(out)])
    assert pd.read_csv(out / "claims.csv").set_index("id")["verdict"]["IS-2"] == NOT_TESTED


def test_no_page_is_written_but_of_the_committed_results(tmp_path: Path) -> None:
    out = tmp_path / "results/quick"
    pages = [tmp_path / "README.md", tmp_path / "results/README.md", out / "ising/README.md"]
    for page in pages:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<!-- begin: claims -->\n<!-- end: claims -->\n")
    claims.run(["--results", str(out)])
    claims.run(["--out", str(tmp_path / "results")])
    assert {page.read_text() for page in pages} == {"<!-- begin: claims -->\n<!-- end: claims -->\n"}


def test_without_tables_nothing_is_tested(tmp_path: Path) -> None:
    out = tmp_path / "a new/folder"
    claims.run(["--results", str(tmp_path), "--out", str(out)])
    assert set(pd.read_csv(out / "claims.csv")["verdict"]) == {NOT_TESTED}


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="results: got nowhere, allowed is a directory"):
        claims.run(["--results", "nowhere"])


def test_the_folder_of_one_script_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^results: got .*ising, the folder of one script; name the one in which "):
        claims.run(["--results", str(Path(__file__).parents[1] / "results/ising")])


def test_what_equal_actions_earn() -> None:
    """500 agents that all play 1 have the sum 500; 1000 that play 1 have 1000, far beyond the peak."""
    best = 445 * math.exp(-((45 / 200) ** 2))
    assert gaussian_squeeze.equal_actions_share(500) == pytest.approx(500 * math.exp(-0.25) / best, rel=1e-9)
    assert gaussian_squeeze.equal_actions_share(1000) == pytest.approx(1000 * math.exp(-9) / best, rel=1e-9)
    runs = [0.9204] * 5 + [0.96] * 3
    found = gaussian_squeeze.learns_optimum(squeeze({("appendix", "mf-q", 500): runs}))
    assert found["MF-Q, N = 500, appendix, beyond equal actions"].count == 3
    assert found["MF-Q, N = 500, appendix, sampled"].count == 8
    assert found["MF-Q, N = 500, calibrated, sampled"].verdict == NOT_TESTED

"""Estimates and intervals against published numbers, numbers worked by hand, and known distributions."""

import math
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfmarl.evaluation import intervals
from mfmarl.evaluation.curves import last_rows, longest_runs
from mfmarl.evaluation.final_scores import final_scores, optimum_of, summarise


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", Table I, method 5
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_exact_interval_has_the_published_ends(successes: int, n: int, low: float, high: float) -> None:
    interval = intervals.proportion_interval(successes, n)
    assert interval.estimate == successes / n
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(3, 200), st.data(), st.floats(0.5, 0.999))
def test_exact_ends_are_shares_under_which_as_many_are_as_rare(n: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, n))
    share, low, high = intervals.proportion_interval(successes, n, confidence)
    assert 0 <= low <= share <= high <= 1
    assert low < high
    mirrored = intervals.proportion_interval(n - successes, n, confidence)
    assert mirrored.low == pytest.approx(1 - high)
    tail = (1 - confidence) / 2
    if successes:
        assert sum(probability(k, n, low) for k in range(successes, n + 1)) == pytest.approx(tail, rel=1e-6)
    if successes < n:
        assert sum(probability(k, n, high) for k in range(successes + 1)) == pytest.approx(tail, rel=1e-6)


def probability(k: int, n: int, share: float) -> float:
    """Of k successes in n."""
    return math.exp(
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(share)
        + (n - k) * math.log1p(-share)
    )


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        (range(20), 0.1, 18.5),
        ([1, 2, 6], 0.1, 6.0),  # less than one evaluation: the last one
        ([1, 2, 6], 1.0, 3.0),
        (range(100), 0.29, 85.0),  # 0.29 * 100 is 28.999999999999996 in floating point: still 29 evaluations
    ],
)
def test_tail_mean(values: list[float], share: float, expected: float) -> None:
    assert intervals.tail_mean(list(values), share) == expected


def test_steps_to_threshold_is_the_first_evaluation_at_or_above_it() -> None:
    steps, values = [10, 20, 30, 40], [0.0, 0.9, 0.5, 1.0]
    assert intervals.steps_to_threshold(steps, values, 0.9) == 20
    assert intervals.steps_to_threshold(steps, values, 0.95) == 40
    assert math.isnan(intervals.steps_to_threshold(steps, values, 1.1))


@pytest.mark.parametrize("runs", [5, 24])
def test_bootstrap_covers_the_mean_as_often_as_it_says(runs: int) -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(600):
        sample = generator.normal(size=runs)
        interval = intervals.bootstrap_interval(sample, resamples=4000, generator=generator)
        covered += interval.low <= 0 <= interval.high
    # four standard errors of a share of 600 trials; the plain percentiles, without expansion, give 84% at 5 runs
    assert covered / 600 == pytest.approx(0.95, abs=0.036)


def test_bootstrap_of_the_mean_matches_its_standard_error() -> None:
    sample = np.random.default_rng(1).normal(3, 2, size=400)
    interval = intervals.bootstrap_interval(sample, resamples=4000, generator=np.random.default_rng(2))
    assert interval.estimate == sample.mean()
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * sample.std() / 20, rel=0.05)


def test_percentiles_are_as_far_out_as_student_s() -> None:
    """Student's t with 4 degrees of freedom is 2.7764 at 97.5%; resamples of 5 spread too little by sqrt(4 / 5)."""
    low, high = intervals.expanded_percentiles(0.95, 5)
    assert NormalDist().inv_cdf(high) == pytest.approx(2.7764 * math.sqrt(5 / 4), abs=1e-4)
    assert low == pytest.approx(1 - high)


def test_ends_are_left_out_where_they_say_nothing() -> None:
    assert intervals.with_ends("0.80", "0.68", "0.89") == "0.80 [0.68, 0.89]"
    assert intervals.with_ends("0.80", "0.80", "0.80") == intervals.with_ends("0.80", "nan", "nan") == "0.80"


def test_bootstrap_resamples_runs_within_each_task() -> None:
    apart = np.array([[0.0, 100.0]] * 6)  # runs agree within each task: nothing to vary
    interval = intervals.bootstrap_interval(apart, generator=np.random.default_rng(0))
    assert interval == (50.0, 50.0, 50.0)
    pooled = intervals.bootstrap_interval(apart.ravel(), generator=np.random.default_rng(0))
    assert pooled.low < 50 < pooled.high


def test_bootstrap_takes_any_statistic() -> None:
    def median(scores: intervals.Array) -> intervals.Array:
        return np.asarray(np.median(scores, axis=(-2, -1)))

    sample = [0.0, 0.1, 0.2, 0.3, 50.0]
    interval = intervals.bootstrap_interval(sample, median, generator=np.random.default_rng(0))
    assert interval.estimate == 0.2
    assert interval.low <= interval.estimate <= interval.high


@pytest.mark.parametrize("scores", [[0.7], [0.6, 0.8]])
def test_one_or_two_runs_have_no_interval(scores: list[float]) -> None:
    generator = np.random.default_rng(0)
    for interval in (
        intervals.bootstrap_interval(scores, generator=generator),
        intervals.proportion_interval(len(scores), len(scores)),
    ):
        assert interval.estimate in (pytest.approx(0.7), 1)
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
    band = intervals.bootstrap_band([[score, 0.2] for score in scores], generator=generator)
    assert band.estimate.tolist() == pytest.approx([0.7, 0.2])
    assert np.isnan([band.low, band.high]).all()


def test_three_runs_have_an_interval() -> None:
    assert intervals.bootstrap_interval([0, 1, 1], generator=np.random.default_rng(0)).low >= 0
    assert intervals.proportion_interval(3, 3).low == pytest.approx(0.025 ** (1 / 3))


def test_band_is_the_interval_of_each_step() -> None:
    curves = np.random.default_rng(0).normal(size=(200, 3)) * [1, 2, 3]
    band = intervals.bootstrap_band(curves, resamples=4000, generator=np.random.default_rng(1))
    np.testing.assert_allclose(band.estimate, curves.mean(axis=0))
    np.testing.assert_allclose((band.high - band.low) / 2, 1.96 * curves.std(axis=0) / math.sqrt(200), rtol=0.08)


def test_randomness_comes_from_the_generator_alone() -> None:
    sample = [0.0, 0.2, 0.9, 0.4]
    np.random.seed(0)  # noqa: NPY002 - the global stream must not matter
    first = intervals.bootstrap_interval(sample, generator=np.random.default_rng(3))
    np.random.seed(1)  # noqa: NPY002
    assert intervals.bootstrap_interval(sample, generator=np.random.default_rng(3)) == first


def test_summary_of_two_hand_made_settings() -> None:
    summary = summarise(CURVES, {100: 400.0})
    assert summary["algorithm"].tolist() == ["il", "mf-q"]
    il, mf_q = summary.to_dict("records")
    assert il["n"] == 1
    assert math.isnan(il["greedy_low"])
    assert (il["reached_0.9"], il["above_0.5"]) == (0, 0.0)
    assert math.isnan(il["steps_to_0.9"])
    # Seeds end at 1, 0.5 (not above 0.5) and 0.95 of G*; seed 1 reached 0.9 G* at step 10 and fell back.
    assert mf_q["n"] == 3
    assert mf_q["greedy"] == pytest.approx((1 + 0.5 + 0.95) / 3)
    assert mf_q["greedy_low"] < mf_q["greedy"] < mf_q["greedy_high"]
    assert mf_q["sampled"] == pytest.approx(mf_q["greedy"] / 2)
    assert mf_q["above_0.5"] == mf_q["above_0.9"] == pytest.approx(2 / 3)
    assert mf_q["above_0.9_low"] == intervals.proportion_interval(2, 3).low
    assert (mf_q["reached_0.9"], mf_q["steps_to_0.9"]) == (3, 20.0)


def test_a_final_score_is_the_mean_of_the_last_tenth() -> None:
    rows = [("appendix", "il", 4, 0, step, float(step), -float(step)) for step in range(1, 21)]
    [scores] = final_scores(pd.DataFrame(rows, columns=CURVES.columns), {4: 0.5}).to_dict("records")
    assert (scores["greedy"], scores["sampled"], scores["steps_to_0.9"]) == (39, -39, 1)
    assert optimum_of({4: 0.5}, 4) == 0.5
    summary = summarise(pd.DataFrame(rows, columns=CURVES.columns), {4: 0.5})
    assert summary["greedy"].tolist() == [39]


def test_summary_rows_do_not_depend_on_the_order_or_on_other_settings() -> None:
    whole = summarise(CURVES, {100: 400.0})
    shuffled = summarise(CURVES.sample(frac=1, random_state=0), {100: 400.0})
    pd.testing.assert_frame_equal(whole, shuffled, check_exact=True)
    alone = summarise(CURVES[CURVES["algorithm"] == "mf-q"], {100: 400.0})
    pd.testing.assert_frame_equal(whole.iloc[1:].reset_index(drop=True), alone, check_exact=True)


def test_bad_input_is_refused_by_name() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"n must be at least 1, got 0"):
        intervals.proportion_interval(0, 0)
    with pytest.raises(ValueError, match=r"successes must lie between 0 and n = 3, got 4"):
        intervals.proportion_interval(4, 3)
    for confidence in (95, 1.5, 1, 0):
        with pytest.raises(ValueError, match=rf"confidence must lie between 0 and 1, exclusive, got {confidence}"):
            intervals.bootstrap_interval([1, 2], confidence=confidence, generator=generator)
        with pytest.raises(ValueError, match=rf"confidence must lie between 0 and 1, exclusive, got {confidence}"):
            intervals.bootstrap_band([[1, 2]], confidence=confidence, generator=generator)
        with pytest.raises(ValueError, match=rf"confidence must lie between 0 and 1, exclusive, got {confidence}"):
            intervals.proportion_interval(1, 2, confidence)
    with pytest.raises(ValueError, match=r"scores must be of shape .* got shape \(0,\)"):
        intervals.bootstrap_interval([], generator=generator)
    with pytest.raises(ValueError, match=r"scores must be finite"):
        intervals.bootstrap_interval([0.0, math.nan], generator=generator)
    with pytest.raises(ValueError, match=r"values must be one-dimensional and not empty"):
        intervals.tail_mean([])
    for share in (0, 1.5):
        with pytest.raises(ValueError, match=rf"share must lie in \(0, 1\], got {share}"):
            intervals.tail_mean([1.0], share=share)
    with pytest.raises(ValueError, match=r"steps must increase, got \[2.0, 1.0\]"):
        intervals.steps_to_threshold([2, 1], [0, 0], 0.5)
    with pytest.raises(ValueError, match=r"steps must increase, got \[1.0, 1.0\]"):
        intervals.steps_to_threshold([1, 1], [0, 0], 0.5)
    with pytest.raises(ValueError, match=r"steps must increase, got \[1.0, 3.0, 2.0\]"):
        intervals.steps_to_threshold([1, 3, 2], [0, 0, 0], 0.5)
    with pytest.raises(ValueError, match=r"one shape \[evaluations\], got \(2,\), \(1,\)"):
        intervals.steps_to_threshold([1, 2], [0], 0.5)
    with pytest.raises(ValueError, match=r"optimum lacks agents = 100; it has \[500\]"):
        summarise(CURVES, {500: 400.0})
    with pytest.raises(ValueError, match=r"optimum for agents = 100 must be positive, got 0"):
        summarise(CURVES, {100: 0.0})
    with pytest.raises(ValueError, match=r"curves lacks the columns \['seed', 'step'\]"):
        summarise(CURVES.drop(columns=["seed", "step"]), {100: 400.0})
    with pytest.raises(ValueError, match=r"curves has no rows"):
        summarise(CURVES.iloc[:0], {100: 400.0})


def test_the_package_needs_no_torch() -> None:
    code = (
        "import importlib, pkgutil, sys, mfmarl.evaluation as package\n"
        "for module in pkgutil.iter_modules(package.__path__, 'mfmarl.evaluation.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert not {'torch', 'pytorch_lightning', 'matplotlib', 'mfmarl.algorithms'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


CURVES = pd.DataFrame(
    [
        ("calibrated", algorithm, 100, seed, step, reward, reward / 2)
        for algorithm, seed, rewards in (
            ("il", 0, (0.0, 0.0, 100.0)),
            ("mf-q", 0, (0.0, 360.0, 400.0)),
            ("mf-q", 1, (390.0, 0.0, 200.0)),
            ("mf-q", 2, (0.0, 100.0, 380.0)),
        )
        for step, reward in zip((10, 20, 30), rewards, strict=True)
    ],
    columns=["settings", "algorithm", "agents", "seed", "step", "greedy_reward", "sampled_reward"],
)


def test_the_longest_runs_of_each_setting_and_how_each_run_ends() -> None:
    ends = {("a", "il", 4, 0): 30, ("a", "il", 4, 1): 20, ("a", "il", 8, 0): 20, ("b", "il", 4, 0): 10}
    rows = [(*run, step, 100 * step) for run, end in ends.items() for step in range(10, end + 1, 10)]
    curves = pd.DataFrame(rows, columns=["settings", "algorithm", "agents", "seed", "step", "reward"])
    curves = curves.sample(frac=1, random_state=0)
    last = last_rows(curves)
    assert {row[:4]: row[4] for row in last.itertuples(index=False, name=None)} == ends
    long = longest_runs(curves)
    assert {tuple(run) for run in long[["settings", "algorithm", "agents", "seed"]].to_numpy().tolist()} == {
        run for run in ends if run != ("a", "il", 4, 1)
    }
    assert len(long) == 3 + 2 + 1
    for function in (last_rows, longest_runs):
        with pytest.raises(ValueError, match=r"^curves lacks the columns \['agents'\]"):
            function(curves.drop(columns="agents"))

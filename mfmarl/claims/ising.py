"""IS-1 to IS-3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan

import numpy as np
import pandas as pd
from scipy import stats

from mfmarl.claims.tables import Measured, Tables, interval_of
from mfmarl.claims.wording import mean_of, most
from mfmarl.evaluation.curves import last_tenth
from mfmarl.evaluation.intervals import FEWEST, Array, Interval, bootstrap_interval
from mfmarl.evaluation.names import NAMES, in_words
from mfmarl.evaluation.tables import only
from mfmarl.evaluation.verdicts import ALPHA, HOLDS, Finding, every, judge, within
from mfmarl.statistical_physics import CRITICAL_TEMPERATURE

ISING_SIZE = 20  # the paper's lattice
ORDERS = ("checkerboard", "simultaneous", "released-code")
SAME_ORDER = 0.05  # difference up to which two order parameters coincide
NEAR_TRANSITION = (1.1, 1.3)  # "near tau = 1.2"
OWN_CRITICAL = 2.0  # critical tau of the mean field, and so of the released code's order of updates
GROWTH = 0.01  # least growth of the error of Q that counts; rewards reach 2
SMALL = 0.1  # limit of a small error of Q at low tau: our choice


def orders_coincide(tables: Tables) -> Measured:
    """IS-1: MF-Q against MCMC at every temperature, in each order of updates. Not judged: IL."""
    ours, control = ([largest_difference(tables, method, order) for order in ORDERS] for method in ("mf-q", "il"))
    return Measured([ours], control)


def say_orders_coincide(found: Measured, tables: Tables) -> str:
    """The sentence of IS-1."""
    first = found["checkerboard order"]
    told = " and ".join(f"{most(found[f'{order} order'].value)} in the {order} order" for order in ORDERS[1:])
    text = (
        f"Checkerboard order: the two order parameters differ by at most {most(first.value)} at any temperature "
        f"(interval there [{first.low:.3f}, {first.high:.3f}], corrected for all temperatures, {first.n} seeds). "
        f"They differ by up to {told}: the claim holds in {some_orders(found)}."
    )
    control = found["IL, checkerboard order"]
    if control.n:
        text += f" Without the mean action (IL) by {most(control.value)} in the checkerboard order."
    return text


def transitions(tables: Tables) -> Measured:
    """IS-2: the temperature at which the Binder cumulants of 16 x 16 and 32 x 32 spins cross."""
    table = tables.read("ising/crossings.csv", ["method", "sizes", "estimate", "low", "high", "n"])
    findings = []
    for method, name in (("mf-q", "MF-Q"), ("mcmc", "MCMC")):
        row = only(table, method=method, sizes="16, 32")
        interval, n = interval_of(row.rename(columns={"estimate": "value"}))
        findings.append([within(name, "tau at which Binder's cumulants cross", interval, n, NEAR_TRANSITION)])
    return Measured(findings)


def say_transitions(found: Measured, tables: Tables) -> str:
    """The sentence of IS-2."""
    runs = tables.read("ising/equilibrium.csv", ["method", "order", "temperature", "order_parameter"])
    released = only(runs, method="mf-q", order="released-code")
    hottest = released["temperature"].max()
    texts = [f"{each.value:.4f} [{each.low:.4f}, {each.high:.4f}] for {each.part}" for (each,) in found.groups]
    text = f"Binder's cumulants cross at tau = {' and '.join(texts)}; exact is {CRITICAL_TEMPERATURE:.4f}."
    if len(released) and hottest <= 2:
        return f"{text} In the released code's order theory says 2, and nothing was measured above {hottest:g}."
    if len(released):
        medians = released.groupby("temperature")["order_parameter"].median()
        low, high = (medians[medians.index <= 1.8], medians[medians.index >= 2.2])
        ends = f"{low.iloc[-1]:.2f} at {low.index[-1]:g} and {high.iloc[0]:.2f} at {high.index[0]:g}"
        text += f" In the released code's order theory says 2: the median of MF-Q's order parameter is {ends}."
    return text


def error_grows(tables: Tables) -> Measured:
    """IS-3: the error of Q at the end of training, at tau = 1.2 minus that at 0.8, in each order of updates.

    An order in which the error is not small at 0.8 does not count. Further findings are the error at 0.8 alone and, for
    the released code's order, the error at tau = 2, where it has its own critical point, minus that at 0.8.
    """
    curves = q_errors(tables)
    judged, beside = [], []
    for order in ORDERS:
        cold = final_error(curves, order, 0.8)
        error = bootstrap_interval(cold, generator=np.random.default_rng(0)) if len(cold) else Interval(nan, nan, nan)
        small = within(f"{order} order, tau = 0.8", "error of Q", error, len(cold), (-inf, SMALL))
        grown = growth(curves, order, 1.2, f"{order} order")
        judged.append(replace(grown, verdict=every([grown.verdict, small.verdict])))
        beside.append(small)
    own = growth(curves, "released-code", OWN_CRITICAL, "released-code order, its own critical point")
    return Measured([judged], [*beside, own])


def growth(curves: pd.DataFrame, order: str, critical: float, part: str) -> Finding:
    """The error of Q at the temperature `critical` minus that at 0.8, for one order of updates."""
    difference, n = welch(final_error(curves, order, critical), final_error(curves, order, 0.8))
    return within(part, f"error of Q at tau = {critical:g} less that at 0.8", difference, n, (GROWTH, inf))


def say_error_grows(found: Measured, tables: Tables) -> str:
    """The sentences of IS-3."""
    curves = q_errors(tables)
    texts = []
    for order in ORDERS:
        cold, critical = (final_error(curves, order, temperature) for temperature in (0.8, 1.2))
        n = min(len(cold), len(critical))
        texts.append(f"{mean_of(cold)} and {mean_of(critical)} in the {order} order (n = {n})")
    own = final_error(curves, "released-code", OWN_CRITICAL)
    there = f"{mean_of(own)} at its" if len(own) else "not measured at its"
    return (
        f"Q's mean squared error at the end of training at tau = 0.8 and 1.2: "
        f"{', '.join(texts[:-1])}, where rewards are a function of what indexes Q; {texts[-1]}, and {there} own "
        f"critical point, 2. The claim holds in {some_orders(found)}."
    )


def some_orders(found: Measured) -> str:
    """In which orders of updates a claim holds, in words."""
    (findings,) = found.groups
    holding = [finding.part for finding in findings if finding.verdict == HOLDS]
    return f"the {in_words(holding)} alone" if 0 < len(holding) < len(findings) else "all" if holding else "none"


def differences(tables: Tables, method: str, order: str) -> list[Finding]:
    """Absolute differences of order parameters from MCMC, one per temperature, with joint Welch intervals."""
    table = tables.read("ising/equilibrium.csv", ["method", "order", "size", "temperature", "order_parameter"])
    table = table[table["size"] == ISING_SIZE]
    ours, truth = only(table, method=method, order=order), table[table["method"] == "mcmc"]
    both = sorted(set(ours["temperature"]) & set(truth["temperature"]))
    statistic, findings = "largest difference of the order parameters", []
    part = f"{order} order" if method == "mf-q" else f"{NAMES[method]}, {order} order"
    for temperature in both:
        one, other = (
            runs[runs["temperature"] == temperature]["order_parameter"].to_numpy(float) for runs in (ours, truth)
        )
        interval, n = welch(one, other, ALPHA / len(both))
        if interval.estimate < 0:
            interval = Interval(-interval.estimate, -interval.high, -interval.low)
        findings.append(within(part, statistic, interval, n, (-SAME_ORDER, SAME_ORDER)))
    return findings or [Finding(part, statistic)]


def largest_difference(tables: Tables, method: str, order: str) -> Finding:
    """The largest of the differences, with the verdict on all of them together."""
    findings = differences(tables, method, order)
    verdict, _ = judge([finding] for finding in findings)
    return replace(max(findings, key=lambda finding: finding.value), verdict=verdict)


def q_errors(tables: Tables) -> pd.DataFrame:
    """The rows of MF-Q in Ising's training.csv."""
    curves = tables.read("ising/training.csv", ["method", "order", "temperature", "seed", "step", "q_error"])
    return curves[curves["method"] == "mf-q"]


def final_error(curves: pd.DataFrame, order: str, temperature: float) -> Array:
    """The error of Q of each run, averaged over the last tenth of training."""
    late = last_tenth(only(curves, order=order, temperature=temperature))
    return np.array([run["q_error"].mean() for _, run in late.groupby("seed")], np.float64)


def welch(one: Sequence[float] | Array, other: Sequence[float] | Array, alpha: float = ALPHA) -> tuple[Interval, int]:
    """The difference of two means with Welch's interval (ends NaN with fewer than three runs), and the smaller n."""
    n = min(len(one), len(other))
    if n == 0:
        return Interval(nan, nan, nan), 0
    difference = float(np.mean(one) - np.mean(other))
    if n < FEWEST:
        return Interval(difference, nan, nan), n
    ends = stats.ttest_ind(one, other, equal_var=False).confidence_interval(1 - alpha)
    return Interval(difference, float(ends.low), float(ends.high)), n

"""TH-1 to TH-3, and the toy example."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from math import inf

import pandas as pd

from mfmarl.claims.tables import Measured, Tables, interval_of
from mfmarl.claims.wording import most, runs_of
from mfmarl.evaluation.intervals import Interval
from mfmarl.evaluation.tables import setting_of
from mfmarl.evaluation.verdicts import NOT_TESTED, UNDECIDED, Finding, share_within, within
from mfmarl.theory.graphs import GRAPHS

BEST_RESPONSE = 0.1  # loss, divided by best minus worst reward, up to which a response counts as best
TORUS = 2.0  # K/2 of the Ising model with four neighbours, with K per unit of the fraction of up spins
AGREED = 0.99  # share of the toy example's runs that must agree


def remainder_bounded(tables: Tables) -> Measured:
    """TH-1: the largest |R_k| / 2 M among the draws, by kind of Q. Not judged: ReLU networks."""
    groups = []
    for kind in ("tanh network", "convex quadratic", "indefinite quadratic", "|x|^2 / 2"):
        interval, n = interval_of(
            tables.theory("approximation", "largest |R_k| over the paper's 2 M", f"values={kind}")
        )
        groups.append([within(kind, "largest |R_k| over 2 M", interval, n, (-inf, 1), exact=True)])
    groups.sort(key=lambda findings: -findings[0].value)  # the finding nearest to the bound decides
    row = tables.theory("approximation", "GS network: mean |e| over mean Q", "neighbours=uniform play")
    interval, n = interval_of(row)
    beside = within("MF-Q's ReLU networks, even play", "mean |e| over mean Q", interval, n, (-inf, inf))
    return Measured(groups, [replace(beside, verdict=NOT_TESTED)])


def say_remainder_bounded(found: Measured, _: Tables) -> str:
    """The sentence of TH-1."""
    texts = ", ".join(f"{each.part} {each.value:.2f} (n = {each.n})" for (each,) in found.groups)
    relu = found["MF-Q's ReLU networks, even play"]
    return (
        f"Where Q is M-smooth, the largest |R_k| drawn, over 2M: {texts}. ReLU networks are not M-smooth: under even "
        f"play MF-Q's own lose {relu.value:.0%} [{relu.low:.0%}, {relu.high:.0%}] of Q."
    )


def contracts(tables: Tables) -> Measured:
    """TH-2: the parts of the proof for T > K/2, where K is the Lipschitz constant in abar.

    K/2 suffices if the slope of the softmax is at most 1 / (2T), and if, from K/2 on, the examples constructed to be
    sharp contract and play of the mean field map converges on each graph. Not judged: K with the constant taken per
    action, and MF-Q's sampled play, which contracts already at lower temperatures and so does not test K/2.
    """
    sharp = "T over K above which a sharp example contracts"
    one_k = [("fraction", "two actions, K of the fraction"), ("l2 operator", "K the norm of dQ / dabar")]
    per_action = [("l1 per action", "K of each action, l1"), ("l2 per action", "K of each action, l2")]
    found = {
        name: root(part, sharp, tables.theory("contraction", "sharp temperature over K", f"K={name}"))
        for name, part in (*one_k, *per_action)
    }
    norms = [
        root(f"policies drawn, {norm} norm", "largest slope of the softmax, times T", rows)
        for norm in ("l1", "l2")
        for rows in [tables.theory("contraction", "largest norm of S", f"norm={norm}")]
    ]
    groups = [[found[name]] for name, _ in one_k] + [[finding] for finding in norms]
    groups += [[finding] for finding in critical_temperatures(tables)]
    beside = [found[name] for name, _ in per_action]
    for tau, interval, n in contracting(tables)[-1:]:
        part = f"torus, sampled play, tau = {tau:g}, the coldest at which it contracts"
        beside.append(within(part, "factor of a sweep", interval, n, (-inf, 1)))
    return Measured(groups, [replace(finding, verdict=NOT_TESTED) for finding in beside])


def say_contracts(found: Measured, tables: Tables) -> str:
    """The sentence of TH-2."""
    sharp, norm = found["two actions, K of the fraction"], found["policies drawn, l1 norm"]
    text = (
        f"With K the constant in abar: at {norm.n:,} policies drawn the softmax's slope is at most {most(norm.value)} "
        f"/ T, and the sharpest examples contract above T = {sharp.value:.2g} K."
    )
    graphs = critical_temperatures(tables)
    if graphs:
        last = [each.part for each in graphs if each.value == graphs[-1].value]
        where = last[0] if len(last) == 1 else f"{len(last)} graphs"
        text += (
            f" On {len(graphs)} graphs play of the mean field map converges above {graphs[0].value:.2g} of K/2 "
            f"({graphs[0].part}) to {graphs[-1].value:.2g} of it ({where})"
        )
        below = [each for each in by_temperature(tables, "mean field map, synchronous") if each[0] < TORUS]
        for tau, interval, _ in below[-1:]:
            if interval.estimate < 1:
                text += (
                    f"; on the torus, K/2 = {TORUS:g}, below it too, to other fixed points: a sweep leaves "
                    f"{interval.estimate:.2f} of the distance at tau = {tau:g}"
                )
        text += "."
    l1, l2 = (found[f"K of each action, {norm}"] for norm in ("l1", "l2"))
    text += f" K read action by action asks for more: T above {l1.value:.2g} K (l1) or {l2.value:.2g} K (l2)."
    for coldest, _, _ in contracting(tables)[-1:]:
        if coldest < TORUS:
            text += f" Enough, not needed: MF-Q's sampled play contracts at each tau measured from {coldest:g} on."
    row = tables.theory("contraction", "Ising table: T > K/2 asks for tau above", "temperature=0.8")
    if len(row):
        text += f" It is a high temperature: the tables learned at tau = 0.8 ask for {row['value'].iloc[0]:.2f}."
    return text


def critical_temperatures(tables: Tables) -> list[Finding]:
    """The temperature, divided by K/2, from which play of the mean field map converges on each graph, lowest first.

    If agents have different numbers of neighbours, play converges before it contracts in the proof's l1 metric. With d
    neighbours Q is (1/2) d a mean(abar), so K per unit of the fraction of up spins is the largest d.
    """
    rows = tables.theory("contraction", "critical temperature of the mean field map")
    findings = []
    for setting, row in rows.groupby("setting"):
        name = setting_of(setting)["graph"]
        half_k = GRAPHS[name]().sum(0).max() / 2
        interval, n = interval_of(row)
        over = interval._replace(estimate=round(interval.estimate / half_k, 9))
        findings.append(
            within(name, "temperature from which on play converges, over K/2", over, n, (-inf, 1), exact=True)
        )
    return sorted(findings, key=lambda finding: finding.value)


def root(part: str, statistic: str, rows: pd.DataFrame) -> Finding:
    """Whether an exact number is at most 1/2, to nine digits, the accuracy of the root search."""
    interval, n = interval_of(rows)
    rounded = interval._replace(estimate=round(interval.estimate, 9))
    return within(part, statistic, rounded, n, (-inf, 0.5), exact=True)


def contracting(tables: Tables) -> list[tuple[float, Interval, int]]:
    """Temperatures at which MF-Q's sampled play contracts: from the hottest until an interval reaches 1."""
    hottest_first = by_temperature(tables, "sampled play of MF-Q")[::-1]
    return list(takewhile(lambda each: each[1].high < 1, hottest_first))


def by_temperature(tables: Tables, reading: str) -> list[tuple[float, Interval, int]]:
    """Contraction factor of a sweep in one reading: temperature, value with interval, and runs, coldest first."""
    rows = tables.theory("contraction", "factor of a sweep", f"reading={reading}")
    found = [(float(setting_of(setting)["temperature"]), *interval_of(row)) for setting, row in rows.groupby("setting")]
    return sorted(found)


def best_response(tables: Tables) -> Measured:
    """TH-3: the relative loss of the learned response to stationary others. Not judged: the Markov game."""
    groups = []
    for opponents in ("low", "even", "high"):
        rows = tables.theory("learning", "GS: value gap over best less worst", f"opponents={opponents}")
        interval, n = interval_of(rows)
        part = f"Gaussian Squeeze, {opponents} opponents"
        groups.append([within(part, "loss over best less worst reward", interval, n, (-inf, BEST_RESPONSE))])
    beside = []
    for target in ("fresh", "literal"):
        rows = tables.theory(
            "learning", "root mean squared error of Q", f"target={target}", "truth=Nash", "update=8000"
        )
        interval, n = interval_of(rows)
        finding = within(
            f"Markov game, {target} target", "distance of Q to the Nash Q-values", interval, n, (-inf, inf)
        )
        beside.append(replace(finding, verdict=NOT_TESTED))
    return Measured(groups, beside)


def say_best_response(found: Measured, tables: Tables) -> str:
    """The sentence of TH-3, with the reason why the even crowd is the hardest."""
    texts = [
        f"{each.part.split(', ')[1]} {each.value:.1%} [{each.low:.1%}, {each.high:.1%}] (n = {each.n})"
        for (each,) in found.groups
    ]
    text = f"What greedy MF-Q loses, of all there is to lose, against {'; '.join(texts)}; a tenth is allowed."
    spread, deviation, averages = (
        tables.theory("learning", f"GS: {name}", "opponents=even")
        for name in (
            "best less worst E[r | a]",
            "standard deviation of r given a",
            "value gap of averages over best less worst",
        )
    )
    fast = tables.theory(
        "learning", "GS, even opponents: value gap over best less worst", "learning rate=0.003", "updates=4000"
    )
    if all(len(rows) for rows in (spread, deviation, averages, fast)):
        of_fast, n = interval_of(fast)
        text += (
            f" Even opponents leave {spread['value'].iloc[0]:.2f} to lose, in rewards that vary by "
            f"{deviation['value'].iloc[0]:.0f}: averages of them lose {averages['value'].iloc[0]:.1%}. At thirty times "
            f"the learning rate MF-Q loses {of_fast.estimate:.1%} [{of_fast.low:.1%}, {of_fast.high:.1%}] (n = {n})."
        )
    fresh, literal = (found[f"Markov game, {target} target"] for target in ("fresh", "literal"))
    return (
        f"{text} In a solvable Markov game Eq. 10's target ends {fresh.value:.2g} from the Nash Q-values, "
        f"Algorithm 1's literal line {literal.value:.2g}."
    )


def toy_agrees(tables: Tables) -> Measured:
    """TOY-1: the worked update, and the runs that agree for good if agents observe the neighbours that pay them."""
    interval, n = interval_of(tables.theory("toy", "0.82 + 0.1 (2.0 - 0.82)"))
    groups = [[within("worked update", "value after one update of 0.82", interval, n, (0.92, 0.94), exact=True)]]
    shares = [agreeing(tables, order) for order in ("simultaneous", "three-colours", "random-site", "released-code")]
    return Measured([*groups, *([each] for each in shares[:3])], shares[3:])


def say_toy_agrees(found: Measured, _: Tables) -> str:
    """The sentence of TOY-1."""
    update, *shares = (group[0] for group in found.groups)
    texts = ", ".join(f"{each.part} {runs_of(each)}" for each in shares)
    released = found["released-code"]
    open_still = f", which decides nothing about {AGREED:.0%}" if released.verdict == UNDECIDED else ""
    return (
        f"0.82 becomes {update.value:.3f}, printed {update.value:.2f}; the paper prints 0.93. Runs from Q = 0 that "
        f"agree for good: {texts}; paid after the move, as in the released code, {runs_of(released)}{open_still}."
    )


def agreeing(tables: Tables, order: str) -> Finding:
    """The share of runs of the toy example in which all agents agree for good."""
    interval, n = interval_of(tables.theory("toy", "learning from Q = 0: share that agrees for good", f"order={order}"))
    count = 0 if n == 0 else round(interval.estimate * n)
    return share_within(order, "share of runs that agree for good", count, n, (AGREED, inf))

"""Numbers in sentences, rounded so that they never claim more than the data show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil, inf, isnan
from typing import Any

from mfmarl.evaluation.intervals import Array, with_ends
from mfmarl.evaluation.verdicts import UNDECIDED, Finding


def runs_of(finding: Finding) -> str:
    """Format successes: '5 of 24', or 'none run' if there are no runs."""
    return f"{finding.count} of {finding.n}" if finding.n else "none run"


def percent(finding: Finding) -> str:
    """Format a share with its interval, '48% [16, 74]', or without: '48%'; 'not fought' if there are no runs."""
    if not finding.n:
        return "not fought"
    return with_ends(f"{finding.value:.0%}", *(f"{100 * end:.0f}" for end in (finding.low, finding.high)))


def p_of(p: float) -> str:
    """Format a p-value: 'p = 0.048' or 'p < 0.001'; rounded up, so as not to overstate significance."""
    if isnan(p):
        return "no test"
    return "p < 0.001" if p < 0.001 else "p = 1" if p > 0.999 else f"p = {most(p)}"


def least_p(groups: Iterable[Iterable[Finding]]) -> str:
    """The smallest p-value among findings, as text."""
    tested = [finding for group in groups for finding in group if not isnan(finding.p)]
    return p_of(min(finding.p for finding in tested)) if tested else "no test"


def most(value: float) -> str:
    """Format a number rounded up to three digits, for use after 'at most'."""
    return "none" if isnan(value) else f"{ceil(round(value * 1000, 6)) / 1000:.3f}"


def mean_of(scores: Array) -> str:
    """Format a mean to two digits."""
    return f"{scores.mean():.2g}" if len(scores) else "none"


def listed(steps: Array) -> str:
    """Format steps in order, infinite ones as 'never'."""
    return ", ".join("never" if step == inf else f"{step:.0f}" for step in sorted(steps)) or "none"


def brief(row: Mapping[Any, Any]) -> str:
    """Format the finding behind a verdict: 'IL, N = 500: share of runs = 0.84 [0.76, 0.91], n = 96'."""
    if not row["n"]:
        return "nothing measured"
    value = with_ends(*(number(row[name]) for name in ("value", "low", "high")))
    tested = "" if isnan(row["p"]) else f", {p_of(row['p'])}"
    return f"{row['part']}: {row['statistic']} = {value}{tested}, n = {row['n']}"


def number(value: float) -> str:
    """Format a number to four digits, or to two if it is less than half a thousandth."""
    if 0 < abs(value) < 0.0005:
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4g}"


def verdict_text(verdict: str, seeds: float) -> str:
    """Format a verdict, for an undecided claim with the number of seeds that would decide."""
    if verdict != UNDECIDED:
        return f"**{verdict}**"
    return f"**{verdict}**: " + (
        "more seeds than 10,000 would decide" if isnan(seeds) else f"{seeds:.0f} seeds would decide"
    )

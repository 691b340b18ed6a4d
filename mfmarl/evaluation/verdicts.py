"""From estimates to verdicts on a claim: holds, fails, undecided, not tested.

A claim is judged by its findings, one a thing that was measured. Each rule here makes a finding; `every`, `some` and
`judge` put their verdicts together. One or two runs decide nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mfmarl.evaluation.comparisons import runs_needed_of_mean, runs_needed_of_share
from mfmarl.evaluation.intervals import FEWEST, Interval, proportion_interval

HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "fails", "undecided", "not tested"
ALPHA = 0.05  # of a claim's comparisons, all together


@dataclass(frozen=True)
class Statement:
    """What the paper claims, and when that holds."""

    id: str  #: such as GS-1; what stands before the hyphen is the task
    claim: str
    section: str  #: of the paper
    data: str  #: tables that it is judged by, with blanks between them
    rule: str  #: what must be measured for it to hold


@dataclass(frozen=True)
class Finding:
    """One thing that was measured for a claim."""

    part: str  #: what tells it from the claim's others
    statistic: str  #: what the value is
    value: float = math.nan
    low: float = math.nan  #: end of its 95% interval; NaN without one
    high: float = math.nan
    n: int = 0  #: independent runs; of two methods those of the one with fewer
    p: float = math.nan  #: of a comparison, corrected for the claim's others
    verdict: str = NOT_TESTED
    leans: str = ""  #: holds or fails, where the value of an undecided finding points that way
    seeds_needed: float = math.nan  #: runs that would decide what is undecided, at 80% power; NaN: not known
    least: float = math.nan  #: from where on the claim allows the value; NaN: from anywhere
    most: float = math.nan  #: up to where

    @property
    def count(self) -> int:
        """Of a share of runs: how many."""
        return round(self.value * self.n)


def within(
    part: str, statistic: str, interval: Interval, n: int, allowed: tuple[float, float], *, exact: bool = False
) -> Finding:
    """Holds if the whole interval lies in what the claim allows, fails if all of it lies outside.

    Args:
        part: as in `Finding`.
        statistic: as in `Finding`.
        interval: of the value.
        n: independent runs behind it.
        allowed: least and largest value that the claim allows, both included.
        exact: the value has no error, hence no interval, and decides alone.

    Returns:
        The finding; without runs it is not tested.
    """
    least, most = allowed
    finding = Finding(part, statistic, *interval, n, least=_bound(least), most=_bound(most))
    if n == 0 or math.isnan(interval.estimate):
        return finding
    low, high = (interval.estimate, interval.estimate) if exact else (interval.low, interval.high)
    leans = HOLDS if least <= interval.estimate <= most else FAILS
    if not exact and (n < FEWEST or math.isnan(low)):
        needed = float(max(FEWEST, n + 1))
        return replace(finding, low=math.nan, high=math.nan, verdict=UNDECIDED, leans=leans, seeds_needed=needed)
    if low > most or high < least:
        return replace(finding, verdict=FAILS)
    if least <= low and high <= most:
        return replace(finding, verdict=HOLDS)
    needed = runs_needed_of_mean(interval, n, _crossed(finding, allowed))
    return replace(finding, verdict=UNDECIDED, leans=leans, seeds_needed=needed)


def share_within(part: str, statistic: str, successes: int, n: int, allowed: tuple[float, float]) -> Finding:
    """`within` for a share of n runs: its interval is exact, and so is the number of runs that would decide."""
    if n == 0:
        return Finding(part, statistic)
    finding = within(part, statistic, proportion_interval(successes, n), n, allowed)
    if finding.verdict != UNDECIDED or n < FEWEST:
        return finding
    return replace(finding, seeds_needed=runs_needed_of_share(finding.value, _crossed(finding, allowed)))


def better(
    part: str, statistic: str, interval: Interval, n: int, p: float, even: float, seeds_needed: float = math.nan
) -> Finding:
    """The first of two methods is ahead: holds if it is, fails if the second is, undecided if the test cannot tell.

    Args:
        part: as in `Finding`.
        statistic: as in `Finding`.
        interval: of the value.
        n: runs of the method that has fewer.
        p: of the comparison, corrected for the claim's others; NaN if there was none.
        even: the value where neither is ahead.
        seeds_needed: runs a method that would decide.
    """
    if interval.low == interval.high:  # every resample is alike, as after a clean sweep: no interval
        interval = interval._replace(low=math.nan, high=math.nan)
    finding = Finding(part, statistic, *interval, n, p, least=even)
    if n == 0 or math.isnan(interval.estimate):
        return finding
    if n < FEWEST or math.isnan(p):
        needed = float(FEWEST) if math.isnan(seeds_needed) else max(seeds_needed, FEWEST)
        finding = replace(finding, low=math.nan, high=math.nan, p=math.nan)
        return replace(finding, verdict=UNDECIDED, seeds_needed=needed)
    if p < ALPHA:
        return replace(finding, verdict=HOLDS if interval.estimate > even else FAILS)
    return replace(finding, verdict=UNDECIDED, seeds_needed=max(seeds_needed, n + 1))


def every(verdicts: Iterable[str]) -> str:
    """The verdict on a claim all parts of which must hold: one that fails decides, then one that is open."""
    return _first((FAILS, UNDECIDED, NOT_TESTED, HOLDS), verdicts)


def some(verdicts: Iterable[str]) -> str:
    """The verdict on a claim one part of which must hold: one that holds decides, then one that is open."""
    return _first((HOLDS, UNDECIDED, NOT_TESTED, FAILS), verdicts)


def judge(groups: Iterable[Iterable[Finding]]) -> tuple[str, Finding]:
    """The verdict on a claim, and the finding that it rests on.

    Args:
        groups: the claim holds if in every group some finding does.

    Returns:
        The verdict and a finding that has it. A claim that holds rests on its weakest part: of the findings that are
        farthest within what is allowed in their groups, the one that is least far. One that fails rests on the first
        that does. Of undecided findings it is the one whose runs would decide: if some group leans to failing the
        cheapest of these, for one that fails is enough, else the costliest of all; and within a group the cheapest that
        leans to holding, else the costliest.

    Raises:
        ValueError: there are no findings.
    """
    chosen = []
    for findings in map(list, groups):
        verdict = some(finding.verdict for finding in findings)
        alike = [finding for finding in findings if finding.verdict == verdict]
        if alike:
            chosen.append(max(alike, key=_margin) if verdict == HOLDS else _deciding(alike, enough=HOLDS))
    if not chosen:
        raise ValueError("groups must hold at least one finding, got none")
    verdict = every(finding.verdict for finding in chosen)
    if verdict == HOLDS:
        return verdict, min(chosen, key=_margin)
    return verdict, _deciding([finding for finding in chosen if finding.verdict == verdict], enough=FAILS)


def _margin(finding: Finding) -> float:
    """How far the interval, or an exact value, lies within what is allowed."""
    low, high = (finding.value if math.isnan(end) else end for end in (finding.low, finding.high))
    distances = [low - finding.least, finding.most - high]
    return min((distance for distance in distances if not math.isnan(distance)), default=math.inf)


def _bound(end: float) -> float:
    """An end of what is allowed; NaN for one that is infinite."""
    return end if math.isfinite(end) else math.nan


def _deciding(alike: list[Finding], enough: str) -> Finding:
    """Of findings with one verdict the one to be decided first, where one that turns out `enough` decides for all."""
    leaning = [finding for finding in alike if finding.leans == enough]
    return min(leaning, key=_runs) if leaning else max(alike, key=_runs)


def _runs(finding: Finding) -> float:
    """Runs that an undecided finding takes, infinite if that is not known; 0 of others."""
    if finding.verdict != UNDECIDED:
        return 0.0
    return math.inf if math.isnan(finding.seeds_needed) else finding.seeds_needed


def _crossed(finding: Finding, allowed: tuple[float, float]) -> float:
    """The end of what is allowed that the interval crosses; of two the one nearer to the value."""
    least, most = allowed
    crossed = [*([least] if finding.low < least else []), *([most] if finding.high > most else [])]
    return min(crossed, key=lambda bound: abs(bound - finding.value))


def _first(order: tuple[str, ...], verdicts: Iterable[str]) -> str:
    """The first of an order that is among the verdicts; not tested if there are none."""
    given = set(verdicts)
    return next((verdict for verdict in order if verdict in given), NOT_TESTED)

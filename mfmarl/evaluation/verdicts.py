"""Verdicts on claims from estimates: holds, fails, undecided, not tested.

A claim is judged by its findings, one for each measured quantity. Each rule of this module makes a finding; `every`,
`some` and `judge` combine their verdicts. One or two runs decide nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mfmarl.evaluation.comparisons import runs_needed_of_mean, runs_needed_of_share
from mfmarl.evaluation.intervals import FEWEST, Interval, proportion_interval

HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "fails", "undecided", "not tested"
ALPHA = 0.05  # significance level for all comparisons of a claim together


@dataclass(frozen=True)
class Statement:
    """A claim of the paper and the rule by which it holds."""

    id: str  #: such as GS-1; the part before the hyphen is the task
    claim: str
    section: str  #: section of the paper
    data: str  #: tables used to judge the claim, separated by spaces
    rule: str  #: measurement that makes the claim hold


@dataclass(frozen=True)
class Finding:
    """One measured quantity for a claim."""

    part: str  #: distinguishes it from the claim's other findings
    statistic: str  #: description of the value
    value: float = math.nan
    low: float = math.nan  #: lower end of the 95% interval; NaN without one
    high: float = math.nan  #: upper end
    n: int = 0  #: independent runs; for two methods, those of the method with fewer
    p: float = math.nan  #: p-value of a comparison, corrected for the claim's other comparisons
    verdict: str = NOT_TESTED
    leans: str = ""  #: holds or fails, if the value of an undecided finding of `within` points that way
    seeds_needed: float = math.nan  #: runs that would decide an undecided finding, at 80% power; NaN: unknown
    least: float = math.nan  #: smallest value that the claim allows; NaN: no limit
    most: float = math.nan  #: largest value that the claim allows; NaN: no limit

    @property
    def count(self) -> int:
        """The number of runs that make up a share of runs."""
        return round(self.value * self.n)


def within(
    part: str, statistic: str, interval: Interval, n: int, allowed: tuple[float, float], *, exact: bool = False
) -> Finding:
    """Make a finding that holds if the whole interval is in the allowed range, and fails if all of it is outside.

    Args:
        part: as in `Finding`.
        statistic: as in `Finding`.
        interval: the value with its interval.
        n: number of independent runs.
        allowed: smallest and largest value that the claim allows, both inclusive.
        exact: whether the value has no error, hence no interval, and decides alone.

    Returns:
        The finding, which is not tested if there are no runs.
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
    """`within` for a share of n runs, with an exact interval and an exact number of runs that would decide."""
    if n == 0:
        return Finding(part, statistic)
    finding = within(part, statistic, proportion_interval(successes, n), n, allowed)
    if finding.verdict != UNDECIDED or n < FEWEST:
        return finding
    return replace(finding, seeds_needed=runs_needed_of_share(finding.value, _crossed(finding, allowed)))


def better(
    part: str, statistic: str, interval: Interval, n: int, p: float, even: float, seeds_needed: float = math.nan
) -> Finding:
    """Make a finding that holds if the first of two methods is ahead, and fails if the second is.

    It is undecided if the test is not significant. It then leans to neither side: the number of runs that would decide
    is planned for an advantage of a size fixed beforehand, not for the one that was seen.

    Args:
        part: as in `Finding`.
        statistic: as in `Finding`.
        interval: the value with its interval.
        n: number of runs of the method with fewer.
        p: p-value of the comparison, corrected for the claim's other comparisons; NaN if there was no test.
        even: the value at which neither method is ahead.
        seeds_needed: number of runs per method that would decide.
    """
    if interval.low == interval.high:  # all resamples are alike, e.g. if one method won everything: no interval
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
    """The verdict on a claim whose parts must all hold: a failing part decides first, then an open part."""
    return _first((FAILS, UNDECIDED, NOT_TESTED, HOLDS), verdicts)


def some(verdicts: Iterable[str]) -> str:
    """The verdict on a claim of which one part must hold: a holding part decides first, then an open part."""
    return _first((HOLDS, UNDECIDED, NOT_TESTED, FAILS), verdicts)


def judge(groups: Iterable[Iterable[Finding]]) -> tuple[str, Finding]:
    """Judge a claim, and find the finding on which the verdict rests.

    Args:
        groups: groups of findings. The claim holds if at least one finding holds in every group.

    Returns:
        The verdict and a finding with this verdict. A claim that holds rests on its weakest group, represented by the
        finding that is farthest inside the allowed range. A claim that fails rests on the first finding that fails. An
        undecided claim rests on the finding to decide next. If some groups lean to failing, that is the one among them
        that needs the fewest runs, because one failing group is enough; otherwise the one of all groups that needs the
        most. Within a group it is the finding that leans to holding and needs the fewest runs, or, if none leans so,
        the one that needs the most.

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
    """Distance of the interval, or of an exact value, from the limits of the allowed range."""
    low, high = (finding.value if math.isnan(end) else end for end in (finding.low, finding.high))
    distances = [low - finding.least, finding.most - high]
    return min((distance for distance in distances if not math.isnan(distance)), default=math.inf)


def _bound(end: float) -> float:
    """A limit of the allowed range; NaN if it is infinite."""
    return end if math.isfinite(end) else math.nan


def _deciding(alike: list[Finding], enough: str) -> Finding:
    """The finding to decide first among findings with the same verdict, if one with the verdict `enough` decides."""
    leaning = [finding for finding in alike if finding.leans == enough]
    return min(leaning, key=_runs) if leaning else max(alike, key=_runs)


def _runs(finding: Finding) -> float:
    """Number of runs that an undecided finding needs, infinite if unknown; 0 for other findings."""
    if finding.verdict != UNDECIDED:
        return 0.0
    return math.inf if math.isnan(finding.seeds_needed) else finding.seeds_needed


def _crossed(finding: Finding, allowed: tuple[float, float]) -> float:
    """The limit of the allowed range that the interval crosses; if it crosses both, the one nearer to the value."""
    least, most = allowed
    crossed = [*([least] if finding.low < least else []), *([most] if finding.high > most else [])]
    return min(crossed, key=lambda bound: abs(bound - finding.value))


def _first(order: tuple[str, ...], verdicts: Iterable[str]) -> str:
    """The first verdict in `order` that occurs; not tested if there are no verdicts."""
    given = set(verdicts)
    return next((verdict for verdict in order if verdict in given), NOT_TESTED)

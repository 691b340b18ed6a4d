"""Claims as the page shows them: a verdict, what it rests on, and where numbers and their intervals lie."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import NamedTuple

import pandas as pd

VERDICTS = {"holds": "✓", "fails": "✗", "undecided": "?", "not tested": "·"}  # and a sign, for who sees no colours
TASKS = {"GS": "Gaussian Squeeze", "IS": "Ising", "BA": "Battle", "TH": "Theory", "TOY": "Toy example"}
FEW = 5  # runs up to which an interval is drawn as a guess
MOST_DOTS = 120  # of more runs none is drawn

Row = Mapping[Hashable, object]


class Strip(NamedTuple):
    """A line of numbers with an estimate and its interval; positions are shares of its length."""

    left: float  #: the numbers at its ends.
    right: float
    low: float | None
    high: float | None
    estimate: float
    allowed: tuple[float, float] | None  #: from where to where the claim holds; None if it sets no bound here.
    few: bool  #: so few runs that the interval is a guess.


class Finding(NamedTuple):
    """One thing that was measured. What is empty in the table is None, or no text."""

    part: str
    statistic: str  #: what the value is.
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    p: float | None
    verdict: str
    leans: str
    seeds_needed: int | None
    least: float | None  #: from where on the claim allows the value.
    most: float | None  #: up to where.
    judged: bool  #: whether the claim's verdict counts it.

    @property
    def sign(self) -> str:
        """The verdict as one character."""
        return VERDICTS[self.verdict]

    @property
    def marks(self) -> list[float]:
        """The numbers that it shows."""
        return [each for each in (self.value, self.low, self.high, self.least, self.most) if each is not None]

    @property
    def dots(self) -> tuple[int, int]:
        """Runs as dots, full and hollow: of a share of runs those that count and those that do not, else all full."""
        if not self.n or self.n > MOST_DOTS:
            return 0, 0
        full = (
            round(self.n * self.value)
            if self.value is not None and self.statistic.startswith("share of runs")
            else self.n
        )
        return full, self.n - full

    def on(self, ends: tuple[float, float]) -> Strip | None:
        """Its place on a line between two numbers; None where it has no value."""

        def place(value: float) -> float:
            return round((value - ends[0]) / (ends[1] - ends[0]), 4)

        if self.value is None:
            return None
        low, high = (None if each is None else place(each) for each in (self.low, self.high))
        bounds = (0.0 if self.least is None else place(self.least), 1.0 if self.most is None else place(self.most))
        allowed = None if self.least is self.most is None else bounds
        return Strip(*ends, low, high, place(self.value), allowed, self.n is not None and self.n <= FEW)


class Claim(NamedTuple):
    """A claim of the paper."""

    id: str
    claim: str
    section: str
    data: str
    rule: str
    sentence: str
    commands: list[str]  #: that make its rows.
    rests_on: Finding  #: with the claim's verdict.
    findings: list[Finding]

    @property
    def strip(self) -> Strip | None:
        """Where the number lies that the verdict rests on."""
        return self.rests_on.on(self.ends(self.rests_on.statistic))

    @property
    def lines(self) -> list[tuple[Finding, Strip | None]]:
        """Each finding with its strip; those of one statistic have one scale."""
        return [(finding, finding.on(self.ends(finding.statistic))) for finding in self.findings]

    def ends(self, statistic: str) -> tuple[float, float]:
        """From where to where the numbers of a statistic are drawn: shares and chances from 0 to 1.

        What is never negative is drawn from 0 on, or from above it.
        """
        alike = [each.marks for each in (self.rests_on, *self.findings) if each.statistic == statistic]
        marks = [mark for each in alike for mark in each]
        if not marks or statistic.startswith(("share", "chance")):
            return 0.0, 1.0
        room = (max(marks) - min(marks)) / 20 or 1.0
        left = min(marks) - room
        return max(left, 0.0) if min(marks) >= 0 else left, max(marks) + room


def claims(table: pd.DataFrame, evidence: pd.DataFrame) -> list[Claim]:
    """The claims in the order of `TASKS`.

    Args:
        table: claims.csv: id, claim and verdict, and whatever of the other fields of Claim and Finding.
        evidence: evidence.csv: the id of a claim, `judged` (yes or no) and fields of Finding; or nothing.

    Raises:
        ValueError: a column is missing, or a verdict is none.
    """
    if missing := [name for name in ("id", "claim", "verdict") if name not in table.columns]:
        raise ValueError(f"claims lacks the columns {missing}")
    for some in (table, evidence):
        known = set(some["verdict"].dropna()) if "verdict" in some.columns else set()
        if unknown := sorted(known - set(VERDICTS)):
            raise ValueError(f"verdict must be {', '.join(VERDICTS)}, got {unknown}")
    found: dict[str, list[Finding]] = {}
    for row in evidence.to_dict("records"):
        found.setdefault(text(row, "id"), []).append(finding(row))
    rows = table.to_dict("records")
    return sorted((claim(row, found.get(text(row, "id"), [])) for row in rows), key=place)


def claim(row: Row, findings: list[Finding]) -> Claim:
    """A row of claims.csv."""
    return Claim(
        text(row, "id"),
        text(row, "claim"),
        text(row, "section"),
        text(row, "data"),
        text(row, "rule"),
        text(row, "sentence"),
        text(row, "command").split(" && ") if text(row, "command") else [],
        finding(row),
        findings,
    )


def finding(row: Row) -> Finding:
    """A row of evidence.csv, or of claims.csv what its verdict rests on."""
    return Finding(
        text(row, "part"),
        text(row, "statistic"),
        real(row, "value"),
        real(row, "low"),
        real(row, "high"),
        whole(row, "n"),
        real(row, "p"),
        text(row, "verdict") or "not tested",
        text(row, "leans"),
        whole(row, "seeds_needed"),
        real(row, "least"),
        real(row, "most"),
        text(row, "judged") != "no",
    )


def text(row: Row, name: str) -> str:
    """What stands there; empty if nothing does."""
    value = row.get(name)
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def real(row: Row, name: str) -> float | None:
    """A number, if one stands there."""
    return float(text(row, name)) if text(row, name) else None


def whole(row: Row, name: str) -> int | None:
    """A whole number, if one stands there: a column with gaps is read as floats."""
    value = real(row, name)
    return None if value is None else round(value)


def place(claim: Claim) -> tuple[int, str]:
    """By task, then by name."""
    prefix = claim.id.partition("-")[0]
    return (list(TASKS).index(prefix) if prefix in TASKS else len(TASKS), claim.id)


def by_task(found: list[Claim]) -> dict[str, list[Claim]]:
    """The claims of each task, by its title."""
    tasks: dict[str, list[Claim]] = {}
    for each in found:
        prefix = each.id.partition("-")[0]
        tasks.setdefault(TASKS.get(prefix, prefix), []).append(each)
    return tasks


def counted(found: list[Claim]) -> dict[str, int]:
    """How many claims got each verdict that one of them got."""
    counts = Counter(each.rests_on.verdict for each in found)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}

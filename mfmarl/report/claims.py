"""Claims as shown on the page: the verdict, the finding behind it, and positions of numbers and intervals."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from mfmarl.evaluation.intervals import FEW
from mfmarl.evaluation.tables import require_columns
from mfmarl.evaluation.verdicts import FAILS, HOLDS, NOT_TESTED, UNDECIDED, Finding, Statement

SIGNS = {HOLDS: "✓", FAILS: "✗", UNDECIDED: "?", NOT_TESTED: "·"}  # for readers who cannot distinguish the colours
TASKS = {"GS": "Gaussian Squeeze", "IS": "Ising", "BA": "Battle", "TH": "Theory", "TOY": "Toy example"}
MOST_DOTS = 120  # with more runs no dots are drawn

Row = Mapping[Hashable, object]


class Strip(NamedTuple):
    """A number line with an estimate and its interval; positions are shares of its length."""

    left: float  #: number at the left end.
    right: float  #: number at the right end.
    low: float | None
    high: float | None
    estimate: float
    allowed: tuple[float, float] | None  #: range in which the claim holds; None if it sets no bound here.
    few: bool  #: whether there are so few runs that the interval is a guess.


@dataclass(frozen=True)
class Shown(Finding):
    """A finding on the page."""

    judged: bool = True  #: whether it counts for the claim's verdict.

    @property
    def sign(self) -> str:
        """The verdict as one character."""
        return SIGNS[self.verdict]

    @property
    def marks(self) -> list[float]:
        """The numbers to show."""
        numbers = (self.value, self.low, self.high, self.least, self.most)
        return [each for each in numbers if not math.isnan(each)]

    @property
    def dots(self) -> tuple[int, int]:
        """Numbers of full and hollow dots: successes and failures for a share of runs, otherwise all runs are full."""
        if not 0 < self.n <= MOST_DOTS:
            return 0, 0
        counts = self.statistic.startswith("share of runs") and not math.isnan(self.value)
        full = self.count if counts else self.n
        return full, self.n - full

    def on(self, ends: tuple[float, float]) -> Strip | None:
        """The finding on a line between two numbers; None if it has no value."""

        def place(value: float) -> float:
            return round((value - ends[0]) / (ends[1] - ends[0]), 4)

        if math.isnan(self.value):
            return None
        low, high = (None if math.isnan(each) else place(each) for each in (self.low, self.high))
        least, most = math.isnan(self.least), math.isnan(self.most)
        bounds = (0.0 if least else place(self.least), 1.0 if most else place(self.most))
        allowed = None if least and most else bounds
        return Strip(*ends, low, high, place(self.value), allowed, 0 < self.n <= FEW)


@dataclass(frozen=True)
class Card(Statement):
    """A claim of the paper on the page."""

    sentence: str
    commands: list[str]  #: commands that make its rows.
    rests_on: Shown  #: the finding behind the verdict.
    findings: list[Shown]

    @property
    def strip(self) -> Strip | None:
        """The number line of the finding behind the verdict."""
        return self.rests_on.on(self.ends(self.rests_on.statistic))

    @property
    def lines(self) -> list[tuple[Shown, Strip | None]]:
        """Each finding with its strip; findings with the same statistic have the same scale."""
        return [(finding, finding.on(self.ends(finding.statistic))) for finding in self.findings]

    def ends(self, statistic: str) -> tuple[float, float]:
        """The ends of the line for a statistic: 0 and 1 for shares and probabilities.

        For statistics that are never negative, the line begins at 0 or above.
        """
        alike = [each.marks for each in (self.rests_on, *self.findings) if each.statistic == statistic]
        marks = [mark for each in alike for mark in each]
        if not marks or statistic.startswith(("share", "chance")):
            return 0.0, 1.0
        room = (max(marks) - min(marks)) / 20 or 1.0
        left = min(marks) - room
        return max(left, 0.0) if min(marks) >= 0 else left, max(marks) + room


def claims(table: pd.DataFrame, evidence: pd.DataFrame) -> list[Card]:
    """The claims in the order of `TASKS`.

    Args:
        table: claims.csv, with the columns id, claim and verdict, and optionally other fields of Card and Finding.
        evidence: evidence.csv, with the id of a claim, `judged` (yes or no) and fields of Finding; may be empty.

    Raises:
        ValueError: a column or all rows of the claims are missing, or a verdict is unknown.
    """
    require_columns("claims", table, ("id", "claim", "verdict"))
    for some in (table, evidence):
        known = set(some["verdict"].dropna()) if "verdict" in some.columns else set()
        if unknown := sorted(known - set(SIGNS)):
            raise ValueError(f"verdict must be {', '.join(SIGNS)}, got {unknown}")
    found: dict[str, list[Shown]] = {}
    for row in evidence.to_dict("records"):
        found.setdefault(text(row, "id"), []).append(finding(row))
    rows = table.to_dict("records")
    return sorted((card(row, found.get(text(row, "id"), [])) for row in rows), key=place)


def card(row: Row, findings: list[Shown]) -> Card:
    """Make a claim from a row of claims.csv."""
    return Card(
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


def finding(row: Row) -> Shown:
    """Make a finding from a row of evidence.csv or claims.csv. Columns with gaps are read as floats."""
    n = real(row, "n")
    return Shown(
        text(row, "part"),
        text(row, "statistic"),
        real(row, "value"),
        real(row, "low"),
        real(row, "high"),
        0 if math.isnan(n) else round(n),
        real(row, "p"),
        text(row, "verdict") or NOT_TESTED,
        text(row, "leans"),
        real(row, "seeds_needed"),
        real(row, "least"),
        real(row, "most"),
        text(row, "judged") != "no",
    )


def text(row: Row, name: str) -> str:
    """The text in a column; empty if missing."""
    value = row.get(name)
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def real(row: Row, name: str) -> float:
    """The number in a column; NaN if missing."""
    return float(text(row, name)) if text(row, name) else math.nan


def place(claim: Card) -> tuple[int, str]:
    """The sort key of a claim: task, then name."""
    prefix = claim.id.partition("-")[0]
    return (list(TASKS).index(prefix) if prefix in TASKS else len(TASKS), claim.id)


def by_task(found: list[Card]) -> dict[str, list[Card]]:
    """The claims grouped by the title of their task."""
    tasks: dict[str, list[Card]] = {}
    for each in found:
        prefix = each.id.partition("-")[0]
        tasks.setdefault(TASKS.get(prefix, prefix), []).append(each)
    return tasks


def verdict_counts(found: list[Card]) -> dict[str, int]:
    """The number of claims with each verdict that occurs."""
    counts = Counter(each.rests_on.verdict for each in found)
    return {verdict: counts[verdict] for verdict in SIGNS if counts[verdict]}

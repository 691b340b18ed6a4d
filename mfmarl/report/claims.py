"""Claims as the page shows them: a verdict in words, a number, and where its interval and its seeds lie."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import NamedTuple

import pandas as pd

COLUMNS = (
    *("id", "claim", "section", "data", "n", "statistic", "low", "high"),
    *("verdict", "seeds_needed", "sentence", "command"),
)
VERDICTS = {"holds": "✓", "fails": "✗", "undecided": "?", "not tested": "·"}  # and a sign, for who sees no colours
TASKS = {"GS": "Gaussian Squeeze", "IS": "Ising", "BA": "Battle", "TH": "Theory", "TOY": "Toy example"}
BINS = 60  # a strip is so many dots wide; those of one bin are stacked


class Strip(NamedTuple):
    """A line of numbers with an interval and a dot a seed; positions are shares of its length."""

    left: float  #: the numbers at its ends.
    right: float
    low: float | None
    high: float | None
    estimate: float
    dots: list[tuple[float, int]]  #: position, and how many lie below it.

    @property
    def pitch(self) -> float:
        """Pixels from a dot to the one above it: the highest stack is 48 high at most."""
        return round(min(6.0, 48 / max((height + 1 for _, height in self.dots), default=1)), 2)


class Claim(NamedTuple):
    """A row of claims.csv. What is empty there is None, or no text."""

    id: str
    claim: str
    section: str
    data: str
    n: int | None
    statistic: float | None
    low: float | None
    high: float | None
    verdict: str
    seeds_needed: int | None
    sentence: str
    command: str
    seeds: tuple[float, ...] = ()

    @property
    def sign(self) -> str:
        """The verdict as one character."""
        return VERDICTS[self.verdict]

    @property
    def strip(self) -> Strip | None:
        """Where estimate, interval and seeds lie; None where there is no number."""
        if self.statistic is None:
            return None
        marks = [self.statistic, *(each for each in (self.low, self.high, *self.seeds) if each is not None)]
        left, right = (0.0, 1.0) if min(marks) >= 0 and max(marks) <= 1 else (min(marks), max(marks))
        if left == right:
            left, right = left - 1, right + 1

        def place(value: float) -> float:
            return round((value - left) / (right - left), 4)

        low, high = (None if each is None else place(each) for each in (self.low, self.high))
        return Strip(left, right, low, high, place(self.statistic), stacked([place(seed) for seed in self.seeds]))


def claims(table: pd.DataFrame) -> list[Claim]:
    """The rows of claims.csv in their order.

    Args:
        table: with the columns of `COLUMNS`, and maybe `seeds`: the statistic of each seed, spaces between.

    Raises:
        ValueError: a column is missing, or a verdict is none.
    """
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise ValueError(f"claims lacks the columns {missing}")
    if unknown := sorted(set(table["verdict"].dropna()) - set(VERDICTS)):
        raise ValueError(f"verdict must be {', '.join(VERDICTS)}, got {unknown}")
    return [claim(row) for row in table.to_dict("records")]


def claim(row: Mapping[Hashable, object]) -> Claim:
    """One row."""
    found = {str(name): None if empty(value) else value for name, value in row.items()}

    def text(name: str) -> str:
        return str(found[name] or "")

    def real(name: str) -> float | None:
        return None if found[name] is None else float(str(found[name]))

    def whole(name: str) -> int | None:
        return None if found[name] is None else round(float(str(found[name])))

    return Claim(
        text("id"),
        text("claim"),
        text("section"),
        text("data"),
        whole("n"),
        real("statistic"),
        real("low"),
        real("high"),
        text("verdict") or "not tested",
        whole("seeds_needed"),
        text("sentence"),
        text("command"),
        tuple(float(value) for value in str(found.get("seeds") or "").split()),
    )


def empty(value: object) -> bool:
    """Whether a cell has nothing in it."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def by_task(found: list[Claim]) -> dict[str, list[Claim]]:
    """The claims of each task, by its title."""
    tasks: dict[str, list[Claim]] = {}
    for each in found:
        prefix = each.id.partition("-")[0]
        tasks.setdefault(TASKS.get(prefix, prefix), []).append(each)
    return tasks


def counted(found: list[Claim]) -> dict[str, int]:
    """How many claims got each verdict that one of them got."""
    counts = Counter(each.verdict for each in found)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def stacked(places: list[float]) -> list[tuple[float, int]]:
    """Dots that would cover each other lie on top of each other."""
    heights: Counter[int] = Counter()
    dots = []
    for place in sorted(places):
        column = round(place * BINS)
        dots.append((round(column / BINS, 4), heights[column]))
        heights[column] += 1
    return dots

"""Where a claim's numbers come from, and what is found for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan

import numpy as np
import pandas as pd

from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.evaluation.comparisons import holm, rank_test, runs_needed_by_ranks, superiority_interval
from mfmarl.evaluation.final_scores import GROUP, final_scores
from mfmarl.evaluation.intervals import FEWEST, Array, Interval, steps_to_stay
from mfmarl.evaluation.rounds import COLUMNS, both_sides, with_points
from mfmarl.evaluation.tables import require_columns
from mfmarl.evaluation.verdicts import ALPHA, Finding, Statement, better

OPTIMUM_SHARE = 0.9  # of G*: the optimum is learned, or near
Groups = list[list[Finding]]


class Tables:
    """The committed tables; one that is not there has no rows.

    Args:
        reader: gives the rows of a name such as "ising/training.csv", None if there is no such table.
    """

    def __init__(self, reader: Callable[[str], pd.DataFrame | None]) -> None:
        self.reader = reader

    def read(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """The rows of results/<name>.

        Raises:
            ValueError: it lacks one of the columns.
        """
        rows = self.reader(name)
        if rows is None:
            return pd.DataFrame(columns=list(columns))
        if len(rows):
            require_columns(name, rows, columns)
        return rows

    @cached_property
    def squeeze(self) -> pd.DataFrame:
        """Gaussian Squeeze: one row a run, its final scores and the step from which it stays at 0.9 G*."""
        return self.finals("gaussian_squeeze/curves.csv", GROUP)

    def finals(self, name: str, by: Sequence[str]) -> pd.DataFrame:
        """One row a run of Gaussian Squeeze, settings being told apart by the columns `by`."""
        runs = [*by, "seed"]
        curves = self.read(name, [*runs, "step", "greedy_reward", "sampled_reward"])
        if curves.empty:
            return pd.DataFrame(columns=[*runs, "greedy", "sampled", "stays"])
        best = best_rewards(curves["agents"])
        shares = curves.assign(share=curves["greedy_reward"] / curves["agents"].map(best)).sort_values("step")
        stays = [(*key, steps_to_stay(run["step"], run["share"], OPTIMUM_SHARE)) for key, run in shares.groupby(runs)]
        return final_scores(curves, best, by=by).merge(pd.DataFrame(stays, columns=[*runs, "stays"]), on=runs)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """Battle: every round of the tournament as seen from each side."""
        rounds = self.read("battle/tournament.csv", COLUMNS)
        if rounds.empty:
            return rounds.assign(points=[], lead=[])
        sides = both_sides(rounds)
        return with_points(sides).assign(lead=sides["reward"] - sides["opponent_reward"])

    def theory(self, file: str, quantity: str, *setting: str) -> pd.DataFrame:
        """The rows of a measurement in results/theory."""
        rows = self.read(f"theory/{file}.csv", ["quantity", "setting", "value", "low", "high", "n"])
        parts = rows["setting"].fillna("").str.split("; ").map(set)
        return rows[(rows["quantity"] == quantity) & parts.map(set(setting).issubset).astype(bool)]


@dataclass(frozen=True)
class Measured:
    """What was found for a claim: it holds if in every group some finding does. What is beside is told, not judged."""

    groups: Groups
    beside: list[Finding] = field(default_factory=list)

    def __getitem__(self, part: str) -> Finding:
        """The finding of this part, judged or beside.

        Raises:
            KeyError: there is none.
        """
        found = [*(finding for group in self.groups for finding in group), *self.beside]
        for finding in found:
            if finding.part == part:
                return finding
        raise KeyError(f"nothing was found for {part!r}; there is {[finding.part for finding in found]}")


@dataclass(frozen=True)
class Claim(Statement):
    """One claim of the paper and how it is judged."""

    measure: Callable[[Tables], Measured]
    say: Callable[[Measured, Tables], str]


def best_rewards(agents: Iterable[int], game: Callable[[int], GaussianSqueeze] = GaussianSqueeze) -> dict[int, float]:
    """G*, the largest reward of Gaussian Squeeze, for each number of agents that occurs.

    Args:
        agents: numbers of agents, each as often as it may be.
        game: the game of so many; the default is the paper's, with one mu and sigma for all.
    """
    return {number: game(number).optimum()[1] for number in sorted({int(each) for each in agents})}


def interval_of(rows: pd.DataFrame) -> tuple[Interval, int]:
    """Value, ends and n of the one row there is; NaN and 0 if there is none."""
    if rows.empty:
        return Interval(nan, nan, nan), 0
    [row] = rows.to_dict("records")
    return Interval(float(row["value"]), float(row["low"]), float(row["high"])), int(row["n"])


def smaller(statistic: str, parts: Sequence[tuple[str, Array, Array]]) -> list[Finding]:
    """The chance that a number of the first group is smaller than one of the second, compared by ranks, with Holm's.

    Groups that are empty, or none of whose numbers is finite, are not compared.
    """
    compared = [bool(len(one) and len(other) and np.isfinite([*one, *other]).any()) for _, one, other in parts]
    enough = [
        asked and min(len(one), len(other)) >= FEWEST for asked, (_, one, other) in zip(compared, parts, strict=True)
    ]
    p_values = holm([rank_test(one, other) if use else nan for use, (_, one, other) in zip(enough, parts, strict=True)])
    findings = []
    for asked, p, (part, one, other) in zip(compared, p_values, parts, strict=True):
        if not asked:
            findings.append(Finding(part, statistic))
            continue
        interval = superiority_interval(other, one, generator=np.random.default_rng(0))
        needed = runs_needed_by_ranks(interval.estimate, ALPHA / max(1, sum(enough)))
        findings.append(better(part, statistic, interval, min(len(one), len(other)), float(p), 0.5, needed))
    return findings

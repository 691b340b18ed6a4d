"""The tables from which claims are judged, and the findings of a claim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan

import numpy as np
import pandas as pd

from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.evaluation.comparisons import holm, rank_test, runs_needed_by_ranks, superiority_interval
from mfmarl.evaluation.final_scores import SETTING_KEYS, final_scores
from mfmarl.evaluation.intervals import FEWEST, Array, Interval, steps_to_stay
from mfmarl.evaluation.rounds import COLUMNS, both_sides, with_points
from mfmarl.evaluation.tables import require_columns, setting_of
from mfmarl.evaluation.verdicts import ALPHA, Finding, Statement, better, every, judge

OPTIMUM_SHARE = 0.9  # share of G* from which the optimum counts as learned
Groups = list[list[Finding]]


class Tables:
    """The committed tables. A missing table has no rows.

    Args:
        reader: function that returns the table of a name such as "ising/training.csv", or None if it is missing.
    """

    def __init__(self, reader: Callable[[str], pd.DataFrame | None]) -> None:
        self.reader = reader

    def read(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """The rows of results/<name>.

        Raises:
            ValueError: a column is missing.
        """
        rows = self.reader(name)
        if rows is None:
            return pd.DataFrame(columns=list(columns))
        if len(rows):
            require_columns(name, rows, columns)
        return rows

    @cached_property
    def squeeze(self) -> pd.DataFrame:
        """Gaussian Squeeze: one row per run with its final scores and the step from which it stays at 0.9 G*."""
        return self.finals("gaussian_squeeze/curves.csv", SETTING_KEYS)

    @cached_property
    def informed_start(self) -> pd.DataFrame:
        """Gaussian Squeeze: one row per run of the study of actor-critics that start near action 0."""
        return self.finals("gaussian_squeeze/informed_start/study.csv", ("algorithm", "actor_rate", "agents"))

    def finals(self, name: str, by: Sequence[str]) -> pd.DataFrame:
        """Gaussian Squeeze: one row per run of the table `name`, where the columns `by` identify a setting."""
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
        """Battle: every round of the tournament, seen from each side."""
        rounds = self.read("battle/tournament.csv", COLUMNS)
        if rounds.empty:
            return rounds.assign(points=[], lead=[])
        sides = both_sides(rounds)
        return with_points(sides).assign(lead=sides["reward"] - sides["opponent_reward"])

    def theory(self, file: str, quantity: str, *setting: str) -> pd.DataFrame:
        """The rows of a measurement in results/theory whose settings have the given parts, each "name=value"."""
        rows = self.read(f"theory/{file}.csv", ["quantity", "setting", "value", "low", "high", "n"])
        asked = setting_of("; ".join(setting)).items()
        matches = rows["setting"].map(lambda text: asked <= setting_of(text).items()).astype(bool)
        return rows[(rows["quantity"] == quantity) & matches]


@dataclass(frozen=True)
class Measured:
    """The findings for a claim, which holds if at least one finding holds in every group.

    Attributes:
        groups: findings that are judged.
        beside: findings that are reported but not judged.
    """

    groups: Groups
    beside: list[Finding] = field(default_factory=list)

    def __getitem__(self, part: str) -> Finding:
        """The finding with the name `part`, judged or beside.

        Raises:
            KeyError: there is no such finding.
        """
        found = [*(finding for group in self.groups for finding in group), *self.beside]
        for finding in found:
            if finding.part == part:
                return finding
        raise KeyError(f"nothing was found for {part!r}; there is {[finding.part for finding in found]}")

    def verdict_of(self, condition: str) -> str:
        """The verdict by the findings of one condition alone, which their parts name; not tested if there are none."""
        groups = [[finding for finding in group if condition in finding.part.split(", ")] for group in self.groups]
        return every(judge([group])[0] for group in groups if group)


@dataclass(frozen=True)
class Claim(Statement):
    """A claim of the paper with the functions that measure it and write its sentence."""

    measure: Callable[[Tables], Measured]
    say: Callable[[Measured, Tables], str]


def best_rewards(agents: Iterable[int], game: Callable[[int], GaussianSqueeze] = GaussianSqueeze) -> dict[int, float]:
    """G*, the largest reward of Gaussian Squeeze, for each number of agents.

    Args:
        agents: numbers of agents, possibly repeated.
        game: function that makes the game for a number of agents. Default: the paper's, with the same mu and sigma for
            all numbers.
    """
    return {number: game(number).optimum()[1] for number in sorted({int(each) for each in agents})}


def interval_of(rows: pd.DataFrame) -> tuple[Interval, int]:
    """Value, ends and n of a table with one row; NaN and 0 if it has none."""
    if rows.empty:
        return Interval(nan, nan, nan), 0
    [row] = rows.to_dict("records")
    return Interval(float(row["value"]), float(row["low"]), float(row["high"])), int(row["n"])


def smaller(statistic: str, parts: Sequence[tuple[str, Array, Array]]) -> list[Finding]:
    """Compare pairs of groups by the probability that a value of the first is smaller than one of the second.

    p-values are those of `rank_test` with Holm's correction. A part without finite values, or with an empty group, is
    not compared.
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

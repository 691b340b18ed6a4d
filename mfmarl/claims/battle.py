"""BA-1 to BA-4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, nan

import numpy as np
import pandas as pd

from mfmarl.claims.tables import Measured, Tables, smaller
from mfmarl.claims.wording import least_p, listed, p_of, percent
from mfmarl.evaluation.comparisons import armies_needed, holm
from mfmarl.evaluation.head_to_head import compare_armies
from mfmarl.evaluation.intervals import FEWEST, Array, steps_to_stay
from mfmarl.evaluation.names import NAMES
from mfmarl.evaluation.rounds import EVALUATIONS, HIDING, met
from mfmarl.evaluation.tables import only
from mfmarl.evaluation.verdicts import ALPHA, Finding, better

SEAT = 0.5  # difference of win rates between the seats from which it is reported
ADVANTAGE = 0.1  # advantage to detect: 60 to 40 in wins, or this share of both armies' mean reward


def mean_field_wins(tables: Tables) -> Measured:
    """BA-1: MF-Q against IL, and MF-AC against AC, by wins and by reward."""
    pairs = product((("mf-q", "il"), ("mf-ac", "ac")), EVALUATIONS, ("points", "lead"))
    asked = [Pairing(64, evaluation, (one,), (other,), metric) for (one, other), evaluation, metric in pairs]
    return Measured([[finding] for finding in fought(tables, asked)])


def say_mean_field_wins(found: Measured, _: Tables) -> str:
    """The sentence of BA-1."""
    texts = []
    for name in ("MF-Q v IL", "MF-AC v AC"):
        wins, leads = (
            [found[f"{name}, 64 v 64, {play}, {what}"] for play in EVALUATIONS] for what in ("wins", "reward")
        )
        texts.append(
            f"{name} wins {' and '.join(percent(each) for each in wins)}, its lead in reward is "
            f"{' and '.join(f'{each.value:+.0f} [{each.low:+.0f}, {each.high:+.0f}]' for each in leads)}"
        )
    return (
        f"Greedy and sampled play, draws half: {'; '.join(texts)} (least p of {len(found.groups)}: "
        f"{least_p(found.groups)})."
    )


def independent_between(tables: Tables) -> Measured:
    """BA-2: IL against both actor-critics, and MF-Q against IL. Not judged: Q-learners against actor-critics."""
    pairs = product((("il", "ac"), ("il", "mf-ac"), ("mf-q", "il")), EVALUATIONS)
    asked = [Pairing(64, evaluation, (one,), (other,)) for (one, other), evaluation in pairs]
    families = [Pairing(64, evaluation, ("mf-q", "il"), ("mf-ac", "ac")) for evaluation in EVALUATIONS]
    return Measured([[finding] for finding in fought(tables, asked)], fought(tables, families))


def say_independent_between(found: Measured, _: Tables) -> str:
    """The sentence of BA-2."""
    texts = []
    for name in ("IL v AC", "IL v MF-AC", "MF-Q v IL"):
        wins = [found[f"{name}, 64 v 64, {play}, wins"] for play in EVALUATIONS]
        texts.append(f"{name} {' and '.join(f'{percent(each)} ({p_of(each.p)})' for each in wins)}")
    families = [found[f"MF-Q and IL v MF-AC and AC, 64 v 64, {play}, wins"] for play in EVALUATIONS]
    return (
        f"Wins in greedy and sampled play, draws half: {'; '.join(texts)}. Q-learners, MF-Q and IL together, win "
        f"{' and '.join(f'{percent(each)} ({p_of(each.p)})' for each in families)} against both actor-critics."
    )


def rises_faster(tables: Tables) -> Measured:
    """BA-3: the round of self-play from which an army earns more than by hiding. Not judged: sizes other than 64."""
    parts = []
    for agents in (64, 8, 144, 256):
        one, other = (leaves_hiding(tables, name, agents) for name in ("mf-q", "mf-ac"))
        parts.append((f"{agents} v {agents}", one, other))
    statistic = "chance that an army of MF-Q earns more than by hiding from an earlier round on than one of MF-AC"
    [main_finding], others = smaller(statistic, parts[:1]), smaller(statistic, parts[1:])
    return Measured([[main_finding]], others)


def say_rises_faster(found: Measured, tables: Tables) -> str:
    """The sentence of BA-3."""

    def rounds(name: str, agents: int) -> str:
        return listed(leaves_hiding(tables, name, agents))

    others = "; ".join(f"{agents}: {rounds('mf-q', agents)} v {rounds('mf-ac', agents)}" for agents in (8, 144, 256))
    return (
        f"Round of self-play, exploration included, from which to the end an army of 64 earns more than by hiding "
        f"({HIDING:g} an agent), each seed: MF-Q {rounds('mf-q', 64)}, MF-AC {rounds('mf-ac', 64)} "
        f"({p_of(found['64 v 64'].p)}). MF-Q v MF-AC at {others}."
    )


def same_ranking(tables: Tables) -> Measured:
    """BA-4: the pairings of BA-1 and BA-2 at other sizes. The numbers of seeds needed are estimated from 64 v 64."""
    pairs = product((8, 144, 256), (("mf-q", "il"), ("mf-ac", "ac"), ("il", "ac"), ("il", "mf-ac")), EVALUATIONS)
    asked = [Pairing(agents, evaluation, (one,), (other,)) for agents, (one, other), evaluation in pairs]
    return Measured([[finding] for finding in fought(tables, asked)])


def say_same_ranking(found: Measured, tables: Tables) -> str:
    """The sentence of BA-4."""
    sizes = (8, 144, 256)
    counts = ", ".join(f"{found[f'MF-Q v IL, {agents} v {agents}, greedy, wins'].n} at {agents}" for agents in sizes)
    seats = []
    for agents in (144, 256):
        rows = only(tables.rounds, agents=agents, evaluation="greedy", algorithm="mf-q", opponent="il")
        by_seat = rows.groupby("seat")["points"].mean()
        if len(by_seat) == 2 and abs(by_seat["left"] - by_seat["right"]) > SEAT:
            seats.append(f"at {agents} {by_seat['left']:.0%} standing left, {by_seat['right']:.0%} standing right")
    mirror = only(tables.rounds, agents=144, evaluation="greedy", algorithm="mf-ac", opponent="mf-ac")
    text = f"Seeds: {counts}."
    if seats:
        text += f" MF-Q's greedy wins against IL are a matter of the seat: {'; '.join(seats)}."
    if len(mirror):
        text += (
            f" MF-AC's army of 144 earns {mirror['reward'].mean():.0f} a greedy round against itself; hiding earns "
            f"{HIDING * 144:.0f}."
        )
    return text


@dataclass(frozen=True)
class Pairing:
    """Two groups of algorithms whose armies met. The metric is points (a draw is 1/2) or lead (in reward)."""

    agents: int
    evaluation: str
    one: tuple[str, ...]
    other: tuple[str, ...]
    metric: str = "points"

    @property
    def part(self) -> str:
        """The name of the pairing's finding."""
        sides = " v ".join(" and ".join(NAMES[name] for name in names) for names in (self.one, self.other))
        what = "wins" if self.metric == "points" else "reward"
        return f"{sides}, {self.agents} v {self.agents}, {self.evaluation}, {what}"

    def table(self, tables: Tables, agents: int) -> tuple[Array, int]:
        """The results of all armies against all, and the number of armies of the first group."""
        sides = only(tables.rounds, agents=agents, evaluation=self.evaluation)
        return met(sides, self.one, self.other, self.metric)


def fought(tables: Tables, pairings: Sequence[Pairing]) -> list[Finding]:
    """Test for each pairing whether the first group is ahead, with Holm's correction for all pairings."""
    leagues = [pairing.table(tables, pairing.agents) for pairing in pairings]
    compared = [compare_armies(table, first) if 0 < first < len(table) else None for table, first in leagues]
    p_values = holm([nan if each is None else each.p for each in compared])
    findings = []
    for pairing, (table, first), each, p in zip(pairings, leagues, compared, p_values, strict=True):
        statistic = "share of rounds won, draws half" if pairing.metric == "points" else "reward more than the other's"
        if each is None:
            findings.append(Finding(pairing.part, statistic))
            continue
        even, seen = (0.5, ADVANTAGE) if pairing.metric == "points" else (0.0, ADVANTAGE * earned(tables, pairing))
        known, of_first = (table, first) if each.n >= FEWEST else pairing.table(tables, 64)
        needed = nan
        if 0 < of_first < len(known):
            needed = armies_needed(known[:of_first, of_first:], seen, ALPHA / len(pairings))
        findings.append(better(pairing.part, statistic, each.interval, each.n, float(p), even, needed))
    return findings


def earned(tables: Tables, pairing: Pairing) -> float:
    """Reward of an army per round in this pairing, averaged over both sides."""
    sides = only(tables.rounds, agents=pairing.agents, evaluation=pairing.evaluation)
    sides = sides[sides["algorithm"].isin(pairing.one) & sides["opponent"].isin(pairing.other)]
    return float((sides["reward"].mean() + sides["opponent_reward"].mean()) / 2)


def leaves_hiding(tables: Tables, name: str, agents: int) -> Array:
    """`rounds_of_leaving` for an algorithm's armies of this size."""
    curves = tables.read("battle/curves.csv", ["settings", "algorithm", "agents", "seed", "step", "reward"])
    return rounds_of_leaving(only(curves, settings="appendix", algorithm=name, agents=agents), agents)


def rounds_of_leaving(runs: pd.DataFrame, agents: int) -> Array:
    """The round of self-play from which each army earns more than by hiding until the end of its training.

    Args:
        runs: learning curves of one algorithm with the columns seed, step and reward (of an army).
        agents: number of agents per army.

    Returns:
        Round of each run, [seeds]; infinite if the last evaluation is no better than hiding.
    """
    runs = runs.sort_values("step")
    above = np.nextafter(HIDING * agents, inf)
    return np.array([steps_to_stay(run["step"], run["reward"], above) for _, run in runs.groupby("seed")])

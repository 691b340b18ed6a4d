"""Tournaments of trained armies (Yang et al. 2018, Section 5.3): who plays whom, and the table of what came of it.

A table of rounds has one row a round:

- algorithm, opponent, seed, opponent_seed: who played, and from which training runs; rush and random have seed 0;
- agents, evaluation (greedy | sampled): of both armies;
- seat (left | right), first (yes | no): where the algorithm stood, and whether its actions were set first;
- round, result (win | draw | loss: more survivors win), reward, opponent_reward (totals of the army), survivors,
  opponent_survivors, steps.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement, product
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEARNERS = ("mf-q", "il", "mf-ac", "ac")  # in this order; others follow by name, and then the scripted
SCRIPTED = ("rush", "random")
EVALUATIONS = ("greedy", "sampled")
GROUP = ("agents", "evaluation")  # what is never pooled

ENTRANTS = ("algorithm", "opponent")
SIDES = {"algorithm": "opponent", "seed": "opponent_seed", "reward": "opponent_reward"}
SIDES |= {"survivors": "opponent_survivors"}
FLIPS = {
    "seat": {"left": "right", "right": "left"},
    "first": {"yes": "no", "no": "yes"},
    "result": {"win": "loss", "draw": "draw", "loss": "win"},
}
NUMBERS = ("agents", "seed", "opponent_seed", "reward", "opponent_reward", "survivors", "opponent_survivors", "steps")
COLUMNS = (*SIDES, *SIDES.values(), *FLIPS, *GROUP, "round", "steps")


class Fixture(NamedTuple):
    """A round to be played; the fields are columns of the table of rounds."""

    algorithm: str
    opponent: str
    seed: int
    opponent_seed: int
    seat: str
    first: str
    evaluation: str
    round: int


def in_order(entrants: Iterable[str]) -> list[str]:
    """The entrants in the one order of all tables: the paper's, others by name, rush, random."""
    return sorted(set(entrants), key=_place)


def pairings(entrants: Sequence[str]) -> list[tuple[str, str]]:
    """Every unordered pairing (algorithm, opponent) once, each against itself too; the earlier in order comes first.

    Raises:
        ValueError: no entrants, or one of them twice.
    """
    if not entrants or len(set(entrants)) < len(entrants):
        raise ValueError(f"entrants must be different names, at least one, got {list(entrants)}")
    return list(combinations_with_replacement(in_order(entrants), 2))


def schedule(
    pairing: tuple[str, str],
    seeds: Mapping[str, Sequence[int]],
    rounds: int,
    evaluations: Sequence[str] = EVALUATIONS,
) -> list[Fixture]:
    """The rounds of a pairing, the same of each evaluation; there is no chance in them.

    The rounds go over the seed pairs again and again, so that their numbers differ by at most one; a pass meets every
    seed about equally often wherever it is cut off. Within a seed pair the four ways to stand and to move first take
    turns, opposites after each other. Four rounds a seed pair, or a multiple, balance everything exactly; with other
    numbers a round takes the way that its two runs have had least so far. A longer schedule begins with the shorter.

    A mirror match has all unordered seed pairs: as both seats and both orders are played, (i, j) and (j, i) are the
    same fixture. A run against itself is among them, once in (seeds + 1) / 2 rounds and last in a pass: it wins as
    often as it loses, whatever it is worth, but it shows what the policy does in the game it was trained in, and a
    single seed has no other mirror match.

    Args:
        pairing: (algorithm, opponent).
        seeds: of the training runs of each entrant that learns.
        rounds: R, of the pairing in each evaluation.
        evaluations: how both armies choose their actions.

    Returns:
        Fixtures, evaluation by evaluation, numbered 0 .. R - 1 in each.

    Raises:
        ValueError: rounds is not positive, or seeds lacks an entrant, or has none or one twice for it.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    algorithm, opponent = pairing
    own, other = (_seeds_of(name, seeds) for name in pairing)
    pairs = _unordered(own) if algorithm == opponent else _ordered(own, other)
    played: Counter[tuple[object, ...]] = Counter()
    drawn_up = []
    for number in range(rounds):
        seed, opponent_seed = pairs[number % len(pairs)]
        runs = ((algorithm, seed), (opponent, opponent_seed))
        seat, first = min(product(FLIPS["seat"], FLIPS["first"]), key=lambda way: _had(played, runs, way))
        played.update(_kept(runs, (seat, first)))
        drawn_up.append((seed, opponent_seed, seat, first))
    return [
        Fixture(algorithm, opponent, *each, evaluation, number)
        for evaluation in evaluations
        for number, each in enumerate(drawn_up)
    ]


def both_sides(rounds: pd.DataFrame) -> pd.DataFrame:
    """Every round as seen from each side: two rows a round.

    In the second row algorithm and opponent change places with all that is theirs, and seat, first and result with
    them. Means over the rows of an algorithm, or of an algorithm and an opponent, count every round from its side.

    A mirror match gives both rows to the same algorithm, though it is one round. The added column `weight` is 1/2 in
    those rows and 1 in all others: the sum of weights is the number of rounds of an algorithm and an opponent.

    Args:
        rounds: a table of rounds (see the module), any side of a pairing in the place of `algorithm`.

    Returns:
        A frame with the columns of `rounds` and weight: first all rounds sorted, the earlier in order as `algorithm`,
        then the same rounds from the other side.

    Raises:
        ValueError: a column is missing or not filled, there are no rows, a value is not one of those of the module's
            table, survivors exceed agents or belie the result, or a round occurs twice.
    """
    table = _turned_in_order(_checked(rounds))
    entrants = in_order([*table["algorithm"], *table["opponent"]])
    place = {name: number for number, name in enumerate(entrants)}
    order = [*GROUP, "algorithm", "opponent", "seed", "opponent_seed", "round"]
    twice = table.duplicated(order)
    if twice.any():
        raise ValueError(f"rounds must hold each round once, got twice {table.loc[twice, order].iloc[0].to_dict()}")
    table = table.sort_values(order, key=lambda column: column.map(place) if column.name in ENTRANTS else column)
    sides = pd.concat([table, _turned(table, np.ones(len(table), np.bool_))], ignore_index=True)
    return sides.assign(weight=np.where(sides["algorithm"] == sides["opponent"], 0.5, 1.0))


def _place(name: str) -> tuple[int, str]:
    known = (*LEARNERS, None, *SCRIPTED)
    return (known.index(name) if name in known else len(LEARNERS)), name


def _seeds_of(name: str, seeds: Mapping[str, Sequence[int]]) -> list[int]:
    own = [0] if name in SCRIPTED else list(seeds.get(name, ()))
    if not own or len(set(own)) < len(own):
        raise ValueError(f"seeds must be different numbers, at least one, for {name}, got {own}")
    return own


def _ordered(own: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """All (own, other), diagonal by diagonal, so that any stretch holds every seed about equally often."""
    n, m = len(own), len(other)
    return [(own[k % n], other[(k + k // math.lcm(n, m)) % m]) for k in range(n * m)]


def _unordered(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """All {one, other}, neighbours on a circle first, then ever farther ones, and each with itself last."""
    n = len(seeds)
    circle = [(k, (k + far) % n) for far in [*range(1, n // 2 + 1), 0] for k in range(n)]
    pairs = [(min(seeds[j], seeds[k]), max(seeds[j], seeds[k])) for j, k in circle]
    return list(dict.fromkeys(pairs))


def _kept(runs: tuple[tuple[str, int], ...], way: tuple[str, str]) -> list[tuple[object, ...]]:
    """What is counted of a round in which the first of the runs stood and moved that way."""
    seat, first = way
    ways = (way, (FLIPS["seat"][seat], FLIPS["first"][first]))
    own = [(run, side) for run, (one, two) in zip(runs, ways, strict=True) for side in (one, two)]
    return [(runs, way), (runs, seat), (runs, first), *own, (way,), (seat,), (first,)]


def _had(played: Counter[tuple[object, ...]], runs: tuple[tuple[str, int], ...], way: tuple[str, str]) -> list[int]:
    """How often the seed pair, then its two runs, then all have had this way: the least is to be played."""
    both, seat, first, *own, every, every_seat, every_first = (played[each] for each in _kept(runs, way))
    return [both, seat + first, sum(own), every_seat + every_first, every]


def _turned_in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Each round once: the earlier in order as the algorithm; in a mirror match the smaller seed first."""
    mirror = (table["algorithm"] == table["opponent"]).to_numpy()
    later = table["algorithm"].map(_place).to_numpy() > table["opponent"].map(_place).to_numpy()
    return _turned(table, later | (mirror & (table["seed"] > table["opponent_seed"]).to_numpy()))


def _turned(table: pd.DataFrame, turn: NDArray[np.bool_]) -> pd.DataFrame:
    """The table with the rows `turn` as the other side sees them."""
    swapped = {own: table[own].mask(turn, table[other]) for own, other in SIDES.items()}
    swapped |= {other: table[other].mask(turn, table[own]) for own, other in SIDES.items()}
    flipped = {column: table[column].mask(turn, table[column].map(flip)) for column, flip in FLIPS.items()}
    return table.assign(**swapped, **flipped)


def _checked(rounds: pd.DataFrame) -> pd.DataFrame:
    missing = sorted(set(COLUMNS) - set(rounds.columns))
    if missing:
        raise ValueError(f"rounds lacks the columns {missing}; it has {list(rounds.columns)}")
    if rounds.empty:
        raise ValueError("rounds has no rows; it must hold at least one round")
    for column in COLUMNS:
        if rounds[column].isna().any():
            raise ValueError(f"rounds must be filled, got {column} missing in row {rounds[column].isna().argmax()}")
    for column, flip in FLIPS.items():
        unknown = ~rounds[column].isin(list(flip))
        if unknown.any():
            raise ValueError(f"{column} must be one of {', '.join(flip)}, got {rounds.loc[unknown, column].iloc[0]!r}")
    for column in NUMBERS:
        if not (pd.api.types.is_numeric_dtype(rounds[column]) and np.isfinite(rounds[column]).all()):
            raise ValueError(f"{column} must be finite numbers, got {rounds[column].dtype} that are not")
    counts = rounds[["survivors", "opponent_survivors"]]
    outside = ((counts < 0) | counts.gt(rounds["agents"], axis=0)).any(axis=1)
    if outside.any():
        raise ValueError(f"survivors must be in 0 .. agents, got {counts[outside].iloc[0].tolist()}")
    lead = counts["survivors"] - counts["opponent_survivors"]
    wrong = rounds["result"] != np.select([lead > 0, lead < 0], ["win", "loss"], "draw")
    if wrong.any():
        result, survivors = rounds.loc[wrong, "result"].iloc[0], counts[wrong].iloc[0].tolist()
        raise ValueError(f"result must be that of the survivors, got {result} with {survivors[0]} : {survivors[1]}")
    return rounds

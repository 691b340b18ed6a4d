"""The schedule of a tournament of trained armies (Yang et al. 2018, Section 5.3).

The played rounds form the table that is described in `mfmarl.evaluation.rounds`.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement, islice, product
from typing import NamedTuple

from mfmarl.evaluation.rounds import EVALUATIONS, FLIPS, SCRIPTED, in_order


class Fixture(NamedTuple):
    """A round to play; its fields are columns of the table of rounds."""

    algorithm: str
    opponent: str
    seed: int
    opponent_seed: int
    seat: str
    first: str
    evaluation: str
    round: int


def pairings(entrants: Sequence[str]) -> list[tuple[str, str]]:
    """All unordered pairings (algorithm, opponent), including mirror matches; the entrant earlier in order comes first.

    Raises:
        ValueError: there are no entrants, or an entrant occurs twice.
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
    """Schedule the rounds of a pairing, the same for each evaluation. The schedule is deterministic.

    The rounds pass over all seed pairs repeatedly, so the numbers of rounds of two seed pairs differ by at most one. If
    the last pass is incomplete, all seeds have still played about equally often. Within a seed pair, the four
    combinations of seat and first move alternate, each followed by its opposite. With a multiple of four rounds per
    seed pair everything is exactly balanced. Otherwise a round uses the combination that its two runs have had least
    often so far. A longer schedule begins with the shorter one.

    A mirror match has all unordered seed pairs: since both seats and both orders are played, (i, j) and (j, i) are the
    same fixture. A run also meets itself, once in (seeds + 1) / 2 rounds and last in a pass. A run against itself wins
    and loses equally often, which says nothing about its strength. But it shows how the policy behaves in the game in
    which it was trained, and a single seed has no other mirror match.

    Args:
        pairing: (algorithm, opponent).
        seeds: training seeds of each entrant that learns.
        rounds: number R of rounds of the pairing in each evaluation.
        evaluations: ways in which both armies choose their actions. Default: greedy and sampled.

    Returns:
        Fixtures by evaluation, numbered 0 .. R - 1 in each.

    Raises:
        ValueError: rounds is not positive, or seeds has no entry for an entrant, an empty one, or one with a duplicate.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    algorithm, opponent = pairing
    own, other = (_seeds_of(name, seeds) for name in pairing)
    every = _unordered(own) if algorithm == opponent else _ordered(own, other)
    pairs = list(islice(every, rounds))  # with many seeds there are more pairs than rounds
    played: Counter[tuple[object, ...]] = Counter()
    planned = []
    for number in range(rounds):
        seed, opponent_seed = pairs[number % len(pairs)]
        runs = ((algorithm, seed), (opponent, opponent_seed))
        seat, first = min(product(FLIPS["seat"], FLIPS["first"]), key=lambda way: _had(played, runs, way))
        played.update(_kept(runs, (seat, first)))
        planned.append((seed, opponent_seed, seat, first))
    return [
        Fixture(algorithm, opponent, *each, evaluation, number)
        for evaluation in evaluations
        for number, each in enumerate(planned)
    ]


def _seeds_of(name: str, seeds: Mapping[str, Sequence[int]]) -> list[int]:
    """The seeds of an entrant; a script has only seed 0.

    Raises:
        ValueError: there are no seeds, or a seed occurs twice.
    """
    own = [0] if name in SCRIPTED else list(seeds.get(name, ()))
    if not own or len(set(own)) < len(own):
        raise ValueError(f"seeds must be different numbers, at least one, for {name}, got {own}")
    return own


def _ordered(own: Sequence[int], other: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All pairs (own, other), diagonal by diagonal, so that any section contains all seeds about equally often."""
    n, m = len(own), len(other)
    return ((own[k % n], other[(k + k // math.lcm(n, m)) % m]) for k in range(n * m))


def _unordered(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All pairs {one, other}: neighbours on a circle first, then at increasing distance, each with itself last."""
    n = len(seeds)
    for far in [*range(1, n // 2 + 1), 0]:
        for k in range(n // 2 if 2 * far == n else n):  # opposite points on the circle form each pair once
            one, other = seeds[k], seeds[(k + far) % n]
            yield min(one, other), max(one, other)


def _kept(runs: tuple[tuple[str, int], ...], way: tuple[str, str]) -> list[tuple[object, ...]]:
    """The keys to count for a round in which the first run had this combination of seat and first move."""
    seat, first = way
    ways = (way, (FLIPS["seat"][seat], FLIPS["first"][first]))
    own = [(run, side) for run, (one, two) in zip(runs, ways, strict=True) for side in (one, two)]
    return [(runs, way), (runs, seat), (runs, first), *own, (way,), (seat,), (first,)]


def _had(played: Counter[tuple[object, ...]], runs: tuple[tuple[str, int], ...], way: tuple[str, str]) -> list[int]:
    """How often the seed pair, its two runs, and all runs had this combination; the least frequent is played next."""
    both, seat, first, *own, every, every_seat, every_first = (played[each] for each in _kept(runs, way))
    return [both, seat + first, sum(own), every_seat + every_first, every]

"""The schedule of a tournament of trained armies (Yang et al. 2018, Section 5.3): who plays whom, and how.

What comes of it is a table of rounds: `mfmarl.evaluation.rounds` describes it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement, islice, product
from typing import NamedTuple

from mfmarl.evaluation.rounds import EVALUATIONS, FLIPS, SCRIPTED, in_order


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
    """The rounds of a pairing, the same for each evaluation. Nothing in them is random.

    The rounds go over all seed pairs again and again, so the numbers of rounds of two seed pairs differ by at most
    one. Wherever a pass is cut off, every seed has been met about equally often. Within a seed pair the four ways to
    stand and to move first take turns, a way before its opposite. Four rounds a seed pair, or a multiple of four,
    balance everything exactly. With other numbers a round takes the way that its two runs have had least so far. A
    longer schedule begins with the shorter one.

    A mirror match has all unordered seed pairs: as both seats and both orders are played, (i, j) and (j, i) are the
    same fixture. A run also meets itself, once in (seeds + 1) / 2 rounds and last in a pass. A run against itself wins
    and loses equally often, so it says nothing of strength. But it shows what the policy does in the game it was
    trained in, and a single seed has no other mirror match.

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
    every = _unordered(own) if algorithm == opponent else _ordered(own, other)
    pairs = list(islice(every, rounds))  # of very many seeds not all pairs have room
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
    """The seeds of an entrant; a script has 0 alone.

    Raises:
        ValueError: none, or one twice.
    """
    own = [0] if name in SCRIPTED else list(seeds.get(name, ()))
    if not own or len(set(own)) < len(own):
        raise ValueError(f"seeds must be different numbers, at least one, for {name}, got {own}")
    return own


def _ordered(own: Sequence[int], other: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All (own, other), diagonal by diagonal, so that any stretch holds every seed about equally often."""
    n, m = len(own), len(other)
    return ((own[k % n], other[(k + k // math.lcm(n, m)) % m]) for k in range(n * m))


def _unordered(seeds: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All {one, other}, neighbours on a circle first, then ever farther ones, and each with itself last."""
    n = len(seeds)
    for far in [*range(1, n // 2 + 1), 0]:
        for k in range(n // 2 if 2 * far == n else n):  # across the circle each pair comes once
            one, other = seeds[k], seeds[(k + far) % n]
            yield min(one, other), max(one, other)


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

"""What the table of a tournament says: results of each pairing, and one strength for each entrant.

Rounds between the same two runs are no independent evidence about two algorithms: intervals are over training seeds.
Both sides have seeds and every one meets every other, so a resample draws the seeds of each side on their own and
takes a seed pair as often as both of its seeds were drawn (Owen 2007, *The pigeonhole bootstrap*). It counts the
variance of what is peculiar to a seed pair, chance in its rounds too, up to three times: where that outweighs what
the seeds bring, the intervals are too wide.

Strengths are those of `bradley_terry`, among those who learn: rush and random are placed on that scale and do not move
it, since nearly all their rounds end one way, and then a round more or less moves a strength by hundreds of points.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfmarl.evaluation.bradley_terry import UnconnectedError, bradley_terry, strength_among
from mfmarl.evaluation.intervals import (
    FEWEST,
    RESAMPLES,
    Array,
    Interval,
    check_confidence,
    expanded_percentiles,
    interval_columns,
)
from mfmarl.evaluation.rounds import GROUP, SCRIPTED, both_sides, in_order, with_points

SHARES = ("wins", "draws", "losses", "published_win_rate")
MEANS = ("reward", "opponent_reward", "kills", "deaths", "steps")
BY_SEAT = {"wins_left": "rounds_left", "wins_right": "rounds_right"}  # and the rounds that each is a share of
METRICS = (*SHARES, *MEANS, *BY_SEAT)
COUNTS = ("rounds", *BY_SEAT.values())
ELO = 400 / math.log(10)  # points for a factor e of strength: at 400 points more an entrant scores 10 to 1
PSEUDO_DRAWS = 1  # added to each pairing that met, see `ratings`
ANCHOR = "ac"  # our choice: the baseline without a mean field that is never far from the others


def summarise_pairings(
    rounds: pd.DataFrame, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One row an algorithm and opponent, in both directions: results, rewards and kills with intervals over seeds.

    A row depends on its own rounds and on `seed` alone.

    Args:
        rounds: as in `both_sides`.
        confidence: of every interval.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap's generator.

    Returns:
        A frame in order of agents, evaluation, algorithm and opponent, with these columns and

        - rounds, seed_pairs: their numbers; the seed pairs of a mirror match are unordered;
        - seeds: their number on the side with fewer; rush and random have none to count;
        - wins, draws, losses: shares of the rounds;
        - published_win_rate: wins + draws. The published code counts a draw as a win of both armies, so that the two
          rates of a pairing add up to more than 1;
        - reward, opponent_reward: means over rounds of the army's total reward;
        - kills, deaths: means a round, at most agents;
        - steps: mean length of a round;
        - wins_left, wins_right: shares of the rounds in which the algorithm stood there; NaN if it never did. In a
          mirror match one is the losses of the other;
        - the ends of each as <column>_low and <column>_high. The percentiles are expanded as in
          `bootstrap_interval`, for `seeds`; rush and random do not learn and are not resampled.
          Ends are NaN where a side that learns has one or two seeds, and where none learns. If all seed pairs agree the
          interval has zero width, however few they are.

        Every round counts the same. Seen from both sides a mirror match has as many wins as losses.

    Raises:
        ValueError: as `both_sides`; or confidence lies outside (0, 1).
    """
    check_confidence(confidence)
    rows = []
    for key, group in both_sides(rounds).groupby([*GROUP], sort=True):
        for algorithm, opponent, sides in _by_pairing(group):
            seeds = {algorithm: np.unique(sides["seed"]), opponent: np.unique(sides["opponent_seed"])}
            # Sums of every metric over each seed pair: a resample weighs seed pairs, never single rounds.
            sums = _cell_sums(sides, _metrics(sides), seeds[algorithm], seeds[opponent])
            met = np.triu(sums[..., 0]) if algorithm == opponent else sums[..., 0]
            total, totals = sums.sum(axis=(0, 1)), np.zeros((0, sums.shape[-1]))
            row = dict(zip(GROUP, key, strict=True)) | {"algorithm": algorithm, "opponent": opponent}
            numbers = {name: len(each) for name, each in seeds.items()}
            row |= {"rounds": round(total[0]), "seed_pairs": int(np.count_nonzero(met)), "seeds": _fewest(numbers)}
            levels = _percentiles(numbers, confidence)
            if levels is not None:
                drawn = _resample(numbers, resamples, np.random.default_rng(seed))
                totals = np.tensordot(_pair_weights(drawn, algorithm, opponent), sums, 2)
            for column, metric in enumerate(METRICS, start=len(COUNTS)):
                over = COUNTS.index(BY_SEAT.get(metric, "rounds"))
                estimate = total[column] / total[over] if total[over] else math.nan
                some = totals[totals[:, over] > 0]  # a resample without such a round says nothing
                low = high = math.nan
                if levels is not None and len(some):
                    low, high = map(float, np.quantile(some[:, column] / some[:, over], levels))
                row |= interval_columns(metric, Interval(float(estimate), low, high))
            rows.append(row)
    return pd.DataFrame(rows)


def ratings(
    rounds: pd.DataFrame, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """One row an entrant: its Bradley-Terry strength on Elo's scale, with its interval over training seeds.

    Maximum likelihood, a draw being half a win of each; mirror matches say nothing and are left out. The scale is made
    by the rounds of those who learn against each other. Rush and random get the strengths that fit their own rounds
    against them best; without anybody who learns they make the scale. One drawn round (PSEUDO_DRAWS) is added to each
    pairing that met. So an entrant that wins or loses everything has a finite rating, a bound that grows with the
    number of rounds: 400 log10(2 R + 1) after R rounds won of R. For two entrants it is Firth's correction (1993, *Bias
    reduction of maximum likelihood estimates*). Beside tens of rounds it weighs little.

    One number an entrant cannot say that A beats B, B beats C and C beats A: look at `summarise_pairings` too.

    Args:
        rounds: as in `both_sides`.
        confidence: of every interval.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap's generator.

    Returns:
        A frame in order of agents, evaluation and algorithm, with these columns and

        - rating, rating_low, rating_high: 400 log10 of the strength, relative to AC, or to the mean of those who make
          the scale where AC did not play. A resample draws the seeds of every learner once, for all it plays.
          AC itself has 0, 0, 0; all other ends are NaN if any learner has one or two seeds, or if none learns. Where
          `score` is 0 or 1 the rating is a bound, see above;
        - score: points a round, mirror matches left out; NaN if there are no others;
        - rounds, seeds: their numbers; rounds without mirror matches.

        A row depends on the rounds of its agents and evaluation and on `seed` alone.

    Raises:
        ValueError: as `both_sides`; or confidence lies outside (0, 1), or pairings do not connect all who make the
            scale, or rush or random to one of them.
    """
    check_confidence(confidence)
    table = both_sides(rounds)
    rows = []
    for key, group in table.groupby([*GROUP], sort=True):
        league = _League(group)
        levels = _percentiles(league.seeds, confidence)
        points = league.points(_all_once(league.seeds))[0]
        estimate = league.rate(points)
        low = high = np.where(np.array(league.entrants) == ANCHOR, 0.0, math.nan)
        if levels is not None:
            drawn = _resample(league.seeds, resamples, np.random.default_rng(seed))
            low, high = np.quantile(league.rate(league.points(drawn)), levels, axis=0)
        for number, name in enumerate(league.entrants):
            won, lost = float(points[number].sum()), float(points[:, number].sum())
            row = dict(zip(GROUP, key, strict=True)) | {"algorithm": name}
            row |= interval_columns(
                "rating", Interval(float(estimate[number]), float(low[number]), float(high[number]))
            )
            row["score"] = won / (won + lost) if won + lost else math.nan
            row |= {"rounds": round(won + lost), "seeds": league.seeds[name]}
            rows.append(row)
    return pd.DataFrame(rows)


class _League:
    """What the entrants of a group scored, seed pair by seed pair; mirror matches count for the entrants' seeds only.

    Args:
        sides: rows of `both_sides`.
    """

    def __init__(self, sides: pd.DataFrame) -> None:
        self.entrants = in_order(sides["algorithm"])
        numbers = {name: np.unique(sides["seed"][sides["algorithm"] == name]) for name in self.entrants}
        self.seeds = {name: len(each) for name, each in numbers.items()}
        self.won: dict[tuple[str, str], Array] = {}
        for algorithm, opponent, each in _by_pairing(sides):
            if algorithm != opponent:
                points = with_points(each)[["points"]].to_numpy()
                sums = _cell_sums(each, points, numbers[algorithm], numbers[opponent])
                self.won[algorithm, opponent] = sums[..., 0]

    def points(self, drawn: Mapping[str, Array]) -> Array:
        """[resamples, entrants, entrants]: points in rounds against each other."""
        index = {name: number for number, name in enumerate(self.entrants)}
        resamples = max(len(weights) for weights in drawn.values())
        points = np.zeros((resamples, len(index), len(index)))
        for (algorithm, opponent), won in self.won.items():
            weights = _pair_weights(drawn, algorithm, opponent)
            points[:, index[algorithm], index[opponent]] = np.tensordot(weights, won, 2)
        return points

    def rate(self, points: Array) -> Array:
        """Ratings [..., entrants] from points [..., entrants, entrants], to the sixth decimal: so machines agree."""
        met = np.zeros((len(self.entrants),) * 2)
        for algorithm, opponent in self.won:
            met[self.entrants.index(algorithm), self.entrants.index(opponent)] = PSEUDO_DRAWS / 2
        learners = [number for number, name in enumerate(self.entrants) if name not in SCRIPTED]
        scale, points = learners or list(range(len(self.entrants))), points + met
        rated = np.zeros(points.shape[:-1])
        try:
            strengths = bradley_terry(points[..., scale, :][..., scale])
            rated[..., scale] = strengths
            for each in set(range(len(self.entrants))) - set(scale):
                rated[..., each] = strength_among(points[..., each, scale], points[..., scale, each], strengths)
        except UnconnectedError as error:
            raise ValueError(f"rounds must connect all entrants by pairings, got {sorted(self.won)}") from error
        if ANCHOR in self.entrants:
            rated = rated - rated[..., [self.entrants.index(ANCHOR)]]
        return (ELO * rated).round(6)


def _by_pairing(sides: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Algorithm, opponent and their rows of `both_sides`, in order."""
    for algorithm, opponent in product(in_order(sides["algorithm"]), repeat=2):
        rows = sides[(sides["algorithm"] == algorithm) & (sides["opponent"] == opponent)]
        if len(rows):
            yield algorithm, opponent, rows


def _resample(seeds: Mapping[str, int], resamples: int, generator: np.random.Generator) -> dict[str, Array]:
    """How often each seed of each entrant is drawn: [resamples, seeds], or ones [1, seeds] for the scripted."""
    drawn = {}
    for name in in_order(seeds):
        number = seeds[name]
        if name in SCRIPTED:
            drawn[name] = np.ones((1, number))
        else:
            drawn[name] = generator.multinomial(number, np.full(number, 1 / number), size=resamples).astype(np.float64)
    return drawn


def _all_once(seeds: Mapping[str, int]) -> dict[str, Array]:
    """The data themselves as the one resample."""
    return {name: np.ones((1, number)) for name, number in seeds.items()}


def _pair_weights(drawn: Mapping[str, Array], algorithm: str, opponent: str) -> Array:
    """How often each seed pair occurs in a resample: [resamples, seeds of algorithm, seeds of opponent].

    Of a seed drawn c times, a mirror match has c (c + 1) / 2 unordered pairs with itself: a copy with each copy.
    """
    own, other = drawn[algorithm], drawn[opponent]
    weights: Array = own[:, :, None] * other[:, None, :]
    if algorithm == opponent:
        each = np.arange(own.shape[1])
        weights[:, each, each] = own * (own + 1) / 2
    return weights


def _percentiles(seeds: Mapping[str, int], confidence: float) -> tuple[float, float] | None:
    """Which percentiles of the resamples to take, for the learner with fewest seeds; None if that says nothing."""
    return expanded_percentiles(confidence, _fewest(seeds)) if _fewest(seeds) >= FEWEST else None


def _fewest(seeds: Mapping[str, int]) -> int:
    """Seeds of the learner that has fewest, 1 if nobody learns."""
    return min((number for name, number in seeds.items() if name not in SCRIPTED), default=1)


def _cell_sums(sides: pd.DataFrame, values: Array, seeds: NDArray[Any], opponent_seeds: NDArray[Any]) -> Array:
    """Weighted sums of values [rows of sides, columns] over each seed pair: [seeds, opponent_seeds, columns]."""
    rows = pd.Index(seeds).get_indexer(pd.Index(sides["seed"]))
    columns = pd.Index(opponent_seeds).get_indexer(pd.Index(sides["opponent_seed"]))
    sums = np.zeros((len(seeds), len(opponent_seeds), values.shape[1]))
    np.add.at(sums, (rows, columns), values * sides["weight"].to_numpy()[:, None])
    return sums


def _metrics(sides: pd.DataFrame) -> Array:
    """[rows, COUNTS + METRICS]: ones that count the rounds, all and those of each seat, and the metrics of each row."""
    left = (sides["seat"] == "left").to_numpy(np.float64)
    win, draw, loss = ((sides["result"] == result).to_numpy(np.float64) for result in ("win", "draw", "loss"))
    kills, deaths = (sides["agents"] - sides[column] for column in ("opponent_survivors", "survivors"))
    numbers = (sides["reward"], sides["opponent_reward"], kills, deaths, sides["steps"])
    columns = [np.ones(len(sides)), left, 1 - left, win, draw, loss, win + draw]
    columns += [each.to_numpy(np.float64) for each in numbers]
    return np.column_stack([*columns, win * left, win * (1 - left)])

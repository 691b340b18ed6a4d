"""Results of each pairing and a rating of each entrant, from the rounds of a tournament.

Rounds between the same two runs are not independent evidence about two algorithms, so intervals are over training
seeds. Both sides have seeds, and all seeds meet. A resample therefore draws the seeds of each side independently, and
weighs a seed pair by the product of how often its seeds were drawn (Owen 2007, *The pigeonhole bootstrap*). This
bootstrap counts the variance of single seed pairs, including chance in their rounds, up to three times: if it outweighs
the variance due to the seeds, the intervals are too wide.

Ratings are the strengths of `bradley_terry` among learners. Rush and random are placed on the learners' scale without
affecting it: nearly all their rounds end the same way, so that a single round would move a strength by hundreds of
points.
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
from mfmarl.evaluation.rounds import ROUND_KEYS, SCRIPTED, both_sides, in_order, with_points

SHARES = ("wins", "draws", "losses", "published_win_rate")
MEANS = ("reward", "opponent_reward", "kills", "deaths", "steps")
BY_SEAT = {"wins_left": "rounds_left", "wins_right": "rounds_right"}  # a share, and the rounds that it is a share of
METRICS = (*SHARES, *MEANS, *BY_SEAT)
COUNTS = ("rounds", *BY_SEAT.values())
ELO = 400 / math.log(10)  # points for a factor e of strength: an entrant with 400 more points scores 10 to 1
PSEUDO_DRAWS = 1  # drawn rounds added to each pairing that met, see `ratings`
ANCHOR = "ac"  # our choice: a baseline without mean field that is never far from the others


def summarise_pairings(
    rounds: pd.DataFrame, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Results, rewards and kills of every pairing, in both directions, with intervals over seeds.

    A row depends only on its own rounds and on `seed`.

    Args:
        rounds: table of rounds as in `both_sides`.
        confidence: confidence level of every interval.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.

    Returns:
        One row per agents, evaluation, algorithm and opponent, in this order, with these columns and

        - rounds, seed_pairs: numbers of rounds and of seed pairs, which are unordered in a mirror match;
        - seeds: number of seeds of the side with fewer; seeds of rush and random do not count;
        - wins, draws, losses: shares of the rounds;
        - published_win_rate: wins + draws. The published code counts a draw as a win of both armies, so that the two
          rates of a pairing add up to more than 1;
        - reward, opponent_reward: means over rounds of the army's total reward;
        - kills, deaths: means per round, at most agents;
        - steps: mean length of a round;
        - wins_left, wins_right: win rates in the rounds in which the algorithm stood on that side; NaN if there are
          none. In a mirror match the wins on one side are the losses on the other;
        - the ends of each as <column>_low and <column>_high. The percentiles are expanded as in
          `bootstrap_interval`, for `seeds`; rush and random do not learn and are not resampled.
          Ends are NaN if a learning side has one or two seeds, or if no side learns. If all seed pairs agree, the
          interval has zero width, however few they are.

        Every round has the same weight. A mirror match, seen from both sides, has as many wins as losses.

    Raises:
        ValueError: as in `both_sides`; or confidence is outside (0, 1).
    """
    check_confidence(confidence)
    rows = []
    for key, group in both_sides(rounds).groupby([*ROUND_KEYS], sort=True):
        for algorithm, opponent, sides in _by_pairing(group):
            seeds = {algorithm: np.unique(sides["seed"]), opponent: np.unique(sides["opponent_seed"])}
            # Sums of every metric over each seed pair, since a resample weighs seed pairs, not single rounds.
            sums = _cell_sums(sides, _metrics(sides), seeds[algorithm], seeds[opponent])
            met = np.triu(sums[..., 0]) if algorithm == opponent else sums[..., 0]
            total, totals = sums.sum(axis=(0, 1)), np.zeros((0, sums.shape[-1]))
            row = dict(zip(ROUND_KEYS, key, strict=True)) | {"algorithm": algorithm, "opponent": opponent}
            numbers = {name: len(each) for name, each in seeds.items()}
            row |= {"rounds": round(total[0]), "seed_pairs": int(np.count_nonzero(met)), "seeds": _fewest(numbers)}
            levels = _percentiles(numbers, confidence)
            if levels is not None:
                drawn = _resample(numbers, resamples, np.random.default_rng(seed))
                totals = np.tensordot(_pair_weights(drawn, algorithm, opponent), sums, 2)
            for column, metric in enumerate(METRICS, start=len(COUNTS)):
                over = COUNTS.index(BY_SEAT.get(metric, "rounds"))
                estimate = total[column] / total[over] if total[over] else math.nan
                some = totals[totals[:, over] > 0]  # resamples without such rounds have no share
                low = high = math.nan
                if levels is not None and len(some):
                    low, high = map(float, np.quantile(some[:, column] / some[:, over], levels))
                row |= interval_columns(metric, Interval(float(estimate), low, high))
            rows.append(row)
    return pd.DataFrame(rows)


def ratings(
    rounds: pd.DataFrame, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Bradley-Terry rating of every entrant on the Elo scale, with its interval over training seeds.

    Ratings are maximum-likelihood estimates, where a draw is half a win for each side. Mirror matches carry no
    information and are left out. The learners' rounds against each other define the scale. Rush and random get the
    strengths that best fit their own rounds against the learners; without learners they define the scale.

    One drawn round (PSEUDO_DRAWS) is added to each pairing that met. An entrant that wins or loses every round thus has
    a finite rating, which is only a bound and grows with the number of rounds: 400 log10(2 R + 1) after R wins in R
    rounds. For two entrants this is Firth's correction (1993, *Bias reduction of maximum likelihood estimates*). It
    has little weight beside tens of rounds.

    A single number per entrant cannot show that A beats B, B beats C and C beats A; see also `summarise_pairings`.

    Args:
        rounds: table of rounds as in `both_sides`.
        confidence: confidence level of every interval.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap.

    Returns:
        One row per agents, evaluation and algorithm, in this order, with these columns and

        - rating, rating_low, rating_high: 400 log10 of the strength relative to AC, or, if AC did not play, to the mean
          of the entrants that define the scale. A resample draws the seeds of every learner once for all its rounds.
          AC has 0, 0, 0; all other ends are NaN if any learner has one or two seeds, or if none learns;
        - score: points per round without mirror matches; NaN if there are no other rounds;
        - score_on_scale: the same against those who define the scale alone. If it is 0 or 1 the distance of the rating
          from theirs is a bound, see above;
        - rounds, seeds: number of rounds without mirror matches, and number of seeds.

        A row depends only on the rounds with its agents and evaluation, and on `seed`.

    Raises:
        ValueError: as in `both_sides`; or confidence is outside (0, 1), or pairings do not connect all entrants that
            define the scale, or do not connect rush or random to one of them.
    """
    check_confidence(confidence)
    table = both_sides(rounds)
    rows = []
    for key, group in table.groupby([*ROUND_KEYS], sort=True):
        league = _League(group)
        levels = _percentiles(league.seeds, confidence)
        points = league.points(_all_once(league.seeds))[0]
        estimate, met = league.rate(points), points + points.T  # a round gives one point in all
        low = high = np.where(np.array(league.entrants) == ANCHOR, 0.0, math.nan)
        if levels is not None:
            drawn = _resample(league.seeds, resamples, np.random.default_rng(seed))
            low, high = np.quantile(league.rate(league.points(drawn)), levels, axis=0)
        for number, name in enumerate(league.entrants):
            row = dict(zip(ROUND_KEYS, key, strict=True)) | {"algorithm": name}
            row |= interval_columns(
                "rating", Interval(float(estimate[number]), float(low[number]), float(high[number]))
            )
            for score, others in (("score", slice(None)), ("score_on_scale", league.scale)):
                won, all_points = points[number, others].sum(), met[number, others].sum()
                row[score] = float(won / all_points) if all_points else math.nan
            row |= {"rounds": round(met[number].sum()), "seeds": league.seeds[name]}
            rows.append(row)
    return pd.DataFrame(rows)


class _League:
    """Scores of the entrants of a group by seed pair. Mirror matches count only for the number of seeds.

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

    @property
    def scale(self) -> list[int]:
        """Numbers of the entrants that define the scale: the learners, or all if there is none."""
        learners = [number for number, name in enumerate(self.entrants) if name not in SCRIPTED]
        return learners or list(range(len(self.entrants)))

    def points(self, drawn: Mapping[str, Array]) -> Array:
        """Points in rounds against each other, [resamples, entrants, entrants]."""
        index = {name: number for number, name in enumerate(self.entrants)}
        resamples = max(len(weights) for weights in drawn.values())
        points = np.zeros((resamples, len(index), len(index)))
        for (algorithm, opponent), won in self.won.items():
            weights = _pair_weights(drawn, algorithm, opponent)
            points[:, index[algorithm], index[opponent]] = np.tensordot(weights, won, 2)
        return points

    def rate(self, points: Array) -> Array:
        """Ratings [..., entrants] from points [..., entrants, entrants], to six decimals, so that machines agree."""
        met = np.zeros((len(self.entrants),) * 2)
        for algorithm, opponent in self.won:
            met[self.entrants.index(algorithm), self.entrants.index(opponent)] = PSEUDO_DRAWS / 2
        scale, points = self.scale, points + met
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
    """Yield each algorithm and opponent with their rows of `both_sides`, in order."""
    for algorithm, opponent in product(in_order(sides["algorithm"]), repeat=2):
        rows = sides[(sides["algorithm"] == algorithm) & (sides["opponent"] == opponent)]
        if len(rows):
            yield algorithm, opponent, rows


def _resample(seeds: Mapping[str, int], resamples: int, generator: np.random.Generator) -> dict[str, Array]:
    """Draw how often each seed of each entrant occurs: [resamples, seeds], or ones [1, seeds] for scripted armies."""
    drawn = {}
    for name in in_order(seeds):
        number = seeds[name]
        if name in SCRIPTED:
            drawn[name] = np.ones((1, number))
        else:
            drawn[name] = generator.multinomial(number, np.full(number, 1 / number), size=resamples).astype(np.float64)
    return drawn


def _all_once(seeds: Mapping[str, int]) -> dict[str, Array]:
    """The data themselves as the only resample."""
    return {name: np.ones((1, number)) for name, number in seeds.items()}


def _pair_weights(drawn: Mapping[str, Array], algorithm: str, opponent: str) -> Array:
    """How often each seed pair occurs in a resample: [resamples, seeds of algorithm, seeds of opponent].

    In a mirror match, a seed drawn c times forms c (c + 1) / 2 unordered pairs of copies with itself.
    """
    own, other = drawn[algorithm], drawn[opponent]
    weights: Array = own[:, :, None] * other[:, None, :]
    if algorithm == opponent:
        each = np.arange(own.shape[1])
        weights[:, each, each] = own * (own + 1) / 2
    return weights


def _percentiles(seeds: Mapping[str, int], confidence: float) -> tuple[float, float] | None:
    """The percentiles of the resamples for the learner with the fewest seeds; None if it has too few."""
    return expanded_percentiles(confidence, _fewest(seeds)) if _fewest(seeds) >= FEWEST else None


def _fewest(seeds: Mapping[str, int]) -> int:
    """Number of seeds of the learner with the fewest; 1 if there is no learner."""
    return min((number for name, number in seeds.items() if name not in SCRIPTED), default=1)


def _cell_sums(sides: pd.DataFrame, values: Array, seeds: NDArray[Any], opponent_seeds: NDArray[Any]) -> Array:
    """Weighted sums of values [rows of sides, columns] over each seed pair: [seeds, opponent_seeds, columns]."""
    rows = pd.Index(seeds).get_indexer(pd.Index(sides["seed"]))
    columns = pd.Index(opponent_seeds).get_indexer(pd.Index(sides["opponent_seed"]))
    sums = np.zeros((len(seeds), len(opponent_seeds), values.shape[1]))
    np.add.at(sums, (rows, columns), values * sides["weight"].to_numpy()[:, None])
    return sums


def _metrics(sides: pd.DataFrame) -> Array:
    """Columns `[rows, COUNTS + METRICS]`: ones that count rounds, in all and by seat, and the metrics of each row."""
    left = (sides["seat"] == "left").to_numpy(np.float64)
    win, draw, loss = ((sides["result"] == result).to_numpy(np.float64) for result in ("win", "draw", "loss"))
    kills, deaths = (sides["agents"] - sides[column] for column in ("opponent_survivors", "survivors"))
    numbers = (sides["reward"], sides["opponent_reward"], kills, deaths, sides["steps"])
    columns = [np.ones(len(sides)), left, 1 - left, win, draw, loss, win + draw]
    columns += [each.to_numpy(np.float64) for each in numbers]
    return np.column_stack([*columns, win * left, win * (1 - left)])

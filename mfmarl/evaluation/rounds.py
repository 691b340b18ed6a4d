"""The table of rounds between trained armies (Yang et al. 2018, Section 5.3).

It has one row per round, with the columns

- algorithm, opponent, seed, opponent_seed: the two entrants and their training seeds; rush and random have seed 0;
- agents, evaluation (greedy | sampled): the same for both armies;
- seat (left | right), first (yes | no): the algorithm's side, and whether its actions were set first;
- round, result (win | draw | loss: more survivors win), reward, opponent_reward (totals of the army), survivors,
  opponent_survivors, steps.
"""

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mfmarl.evaluation.intervals import Array
from mfmarl.evaluation.tables import require_columns

LEARNERS = ("mf-q", "il", "mf-ac", "ac")  # in this order; custom methods follow by name, then scripts
SCRIPTED = ("rush", "random")
EVALUATIONS = ("greedy", "sampled")
MAX_STEPS = 400  # steps of a round: the paper
STEP_REWARD = -0.005  # for an agent that does not attack: the engine, see environments/battle/battles.py
HIDING = MAX_STEPS * STEP_REWARD  # total reward of an agent that never attacks in a round of full length
ROUND_KEYS = ("agents", "evaluation")  # columns whose values are never pooled
ENTRANTS = ("algorithm", "opponent")
SIDES = {
    "algorithm": "opponent",
    "seed": "opponent_seed",
    "reward": "opponent_reward",
    "survivors": "opponent_survivors",
}  # a column of one side, and the corresponding one of the other side
FLIPS = {
    "seat": {"left": "right", "right": "left"},
    "first": {"yes": "no", "no": "yes"},
    "result": {"win": "loss", "draw": "draw", "loss": "win"},
}  # a value, and the same seen from the other side
NUMBERS = ("agents", "seed", "opponent_seed", "reward", "opponent_reward", "survivors", "opponent_survivors", "steps")
COLUMNS = (*SIDES, *SIDES.values(), *FLIPS, *ROUND_KEYS, "round", "steps")


def in_order(entrants: Iterable[str]) -> list[str]:
    """Sort entrants in the order of all tables: the paper's methods, others by name, rush, random."""
    return sorted(set(entrants), key=_place)


def both_sides(rounds: pd.DataFrame) -> pd.DataFrame:
    """Give every round two rows, one seen from each side.

    In the second row algorithm and opponent are swapped with all their columns, and seat, first and result are
    reversed. Means over the rows of an algorithm, or of an algorithm and opponent, thus see all rounds from its side.

    Both rows of a mirror match belong to the same algorithm, though it is one round. The added column `weight` is 1/2
    in these rows and 1 in all others, so that the sum of weights is the number of rounds.

    Args:
        rounds: table of rounds as described in the module, with either side of a pairing as `algorithm`.

    Returns:
        A frame with the columns of `rounds` and weight: first all rounds, sorted, with the entrant that comes first in
        order as `algorithm`; then the same rounds from the other side.

    Raises:
        ValueError: a column is missing or incomplete, there are no rows, a value is not allowed by the module's
            description, survivors exceed agents or contradict the result, or a round occurs twice.
    """
    table = _turned_in_order(_checked(rounds))
    entrants = in_order([*table["algorithm"], *table["opponent"]])
    place = {name: number for number, name in enumerate(entrants)}
    order = [*ROUND_KEYS, "algorithm", "opponent", "seed", "opponent_seed", "round"]
    twice = table.duplicated(order)
    if twice.any():
        raise ValueError(f"rounds must hold each round once, got twice {table.loc[twice, order].iloc[0].to_dict()}")
    table = table.sort_values(order, key=lambda column: column.map(place) if column.name in ENTRANTS else column)
    sides = pd.concat([table, _turned(table, np.ones(len(table), np.bool_))], ignore_index=True)
    return sides.assign(weight=np.where(sides["algorithm"] == sides["opponent"], 0.5, 1.0))


def by_army(rounds: pd.DataFrame) -> pd.DataFrame:
    """Win rate, points and mean reward of each army against all armies of an opponent.

    Args:
        rounds: table of rounds as described in the module.

    Returns:
        A frame with rows for both sides of each pairing and the columns agents, evaluation, algorithm, opponent, seed,
        wins (share of the rounds), points (the same with a draw as half a win) and reward (mean).
    """
    sides = with_points(both_sides(rounds))
    sides = sides.assign(wins=sides["result"].eq("win").astype(float))
    return sides.groupby([*ROUND_KEYS, *ENTRANTS, "seed"], as_index=False)[["wins", "points", "reward"]].mean()


def with_points(sides: pd.DataFrame) -> pd.DataFrame:
    """Add points to the rows of `both_sides`: 1 for a win, 1/2 for a draw."""
    return sides.assign(points=sides["result"].map({"win": 1.0, "draw": 0.5, "loss": 0.0}))


def result_of(survivors: ArrayLike, opponent_survivors: ArrayLike) -> NDArray[np.str_]:
    """Results of the first side, elementwise: win, draw or loss for more, equally many or fewer survivors."""
    lead = np.subtract(survivors, opponent_survivors)
    return np.select([lead > 0, lead < 0], ["win", "loss"], "draw")


def met(sides: pd.DataFrame, one: Collection[str], other: Collection[str], metric: str) -> tuple[Array, int]:
    """Mean of a metric for all pairs of armies of two groups of algorithms.

    Args:
        sides: rows of `both_sides` with a single number of agents and evaluation.
        one: algorithms of the first group.
        other: algorithms of the second group.
        metric: name of a numeric column.

    Returns:
        - mean of the metric over the rounds of a against b at [a, b], `[armies, armies]`, NaN if they never met; the
          armies of `one` come first;
        - number of armies of `one`.
    """
    names = [*one, *other]
    own = sides[sides["algorithm"].isin(names) & sides["opponent"].isin(names)]
    armies = own[["algorithm", "seed"]].drop_duplicates()
    armies = armies.sort_values(
        ["algorithm", "seed"], key=lambda column: column.map(names.index) if column.name == "algorithm" else column
    )
    index = list(armies.itertuples(index=False, name=None))
    means = own.groupby(["algorithm", "seed", "opponent", "opponent_seed"])[metric].mean()
    table = [[means.get((*army, *enemy), np.nan) for enemy in index] for army in index]
    return np.array(table, np.float64).reshape(len(index), len(index)), int(armies["algorithm"].isin(one).sum())


def _place(name: str) -> tuple[int, str]:
    """The sort key of an entrant."""
    known = (*LEARNERS, None, *SCRIPTED)
    return (known.index(name) if name in known else len(LEARNERS)), name


def _turned_in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Put the entrant that comes first in order as the algorithm; in a mirror match, the smaller seed."""
    mirror = (table["algorithm"] == table["opponent"]).to_numpy()
    later = table["algorithm"].map(_place).to_numpy() > table["opponent"].map(_place).to_numpy()
    return _turned(table, later | (mirror & (table["seed"] > table["opponent_seed"]).to_numpy()))


def _turned(table: pd.DataFrame, turn: NDArray[np.bool_]) -> pd.DataFrame:
    """The table with the rows selected by `turn` seen from the other side."""
    swapped = {own: table[own].mask(turn, table[other]) for own, other in SIDES.items()}
    swapped |= {other: table[other].mask(turn, table[own]) for own, other in SIDES.items()}
    flipped = {column: table[column].mask(turn, table[column].map(flip)) for column, flip in FLIPS.items()}
    return table.assign(**swapped, **flipped)


def _checked(rounds: pd.DataFrame) -> pd.DataFrame:
    """Check a table of rounds and return it unchanged."""
    require_columns("rounds", rounds, COLUMNS)
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
    wrong = rounds["result"] != result_of(rounds["survivors"], rounds["opponent_survivors"])
    if wrong.any():
        result, survivors = rounds.loc[wrong, "result"].iloc[0], counts[wrong].iloc[0].tolist()
        raise ValueError(f"result must be that of the survivors, got {result} with {survivors[0]} : {survivors[1]}")
    return rounds

"""The table of rounds between trained armies (Yang et al. 2018, Section 5.3).

It has one row a round:

- algorithm, opponent, seed, opponent_seed: who played, and from which training runs; rush and random have seed 0;
- agents, evaluation (greedy | sampled): of both armies;
- seat (left | right), first (yes | no): where the algorithm stood, and whether its actions were set first;
- round, result (win | draw | loss: more survivors win), reward, opponent_reward (totals of the army), survivors,
  opponent_survivors, steps.
"""

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mfmarl.evaluation.intervals import Array
from mfmarl.evaluation.tables import require_columns

LEARNERS = ("mf-q", "il", "mf-ac", "ac")  # in this order; others follow by name, and then the scripted
SCRIPTED = ("rush", "random")
EVALUATIONS = ("greedy", "sampled")
MAX_STEPS = 400  # of a round: the paper
STEP_REWARD = -0.005  # of an agent that does not attack: the engine, see environments/battle/battles.py
HIDING = MAX_STEPS * STEP_REWARD  # what an agent that never attacks earns in a round of full length
GROUP = ("agents", "evaluation")  # what is never pooled
ENTRANTS = ("algorithm", "opponent")
SIDES = {
    "algorithm": "opponent",
    "seed": "opponent_seed",
    "reward": "opponent_reward",
    "survivors": "opponent_survivors",
}  # a column of one side, and the same of the other
FLIPS = {
    "seat": {"left": "right", "right": "left"},
    "first": {"yes": "no", "no": "yes"},
    "result": {"win": "loss", "draw": "draw", "loss": "win"},
}  # a value as the other side sees it
NUMBERS = ("agents", "seed", "opponent_seed", "reward", "opponent_reward", "survivors", "opponent_survivors", "steps")
COLUMNS = (*SIDES, *SIDES.values(), *FLIPS, *GROUP, "round", "steps")


def in_order(entrants: Iterable[str]) -> list[str]:
    """The entrants in the one order of all tables: the paper's, others by name, rush, random."""
    return sorted(set(entrants), key=_place)


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


def by_army(rounds: pd.DataFrame) -> pd.DataFrame:
    """What each army wins of its rounds against all armies of an opponent, and earns in them.

    Args:
        rounds: a table of rounds (see the module).

    Returns:
        agents, evaluation, algorithm, opponent, seed, wins (share of the rounds), points (likewise, a draw for half a
        win), reward (mean); both sides of each pairing.
    """
    sides = with_points(both_sides(rounds))
    sides = sides.assign(wins=sides["result"].eq("win").astype(float))
    return sides.groupby([*GROUP, *ENTRANTS, "seed"], as_index=False)[["wins", "points", "reward"]].mean()


def with_points(sides: pd.DataFrame) -> pd.DataFrame:
    """Rows of `both_sides` with the points of each: 1 for a win, 1/2 for a draw."""
    return sides.assign(points=sides["result"].map({"win": 1.0, "draw": 0.5, "loss": 0.0}))


def result_of(survivors: ArrayLike, opponent_survivors: ArrayLike) -> NDArray[np.str_]:
    """Who wins: win, draw or loss of the first, for more, as many or fewer survivors; one for each pair of numbers."""
    lead = np.subtract(survivors, opponent_survivors)
    return np.select([lead > 0, lead < 0], ["win", "loss"], "draw")


def met(sides: pd.DataFrame, one: Collection[str], other: Collection[str], metric: str) -> tuple[Array, int]:
    """What the armies of two groups of algorithms did to each other.

    Args:
        sides: rows of `both_sides`, of one number of agents and one evaluation.
        one: the algorithms of the first group.
        other: those of the second.
        metric: a column of numbers.

    Returns:
        - [armies, armies]: at [a, b] the mean of the metric over the rounds of a against b, NaN if they never met;
          the armies of `one` come first;
        - how many these are.
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
    """The table as it is, once it is known to be one."""
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

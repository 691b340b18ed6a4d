"""The toy example of the main text (its Figure 2): a 3 x 3 torus whose nine agents each choose up or down.

An agent is paid -2, -1, 0, 1 or 2 if it has the direction of 0, 1, 2, 3 or 4 of its neighbours. This is the Ising model
of appendix C.2 with lambda = 1, `r = (a/2) sum_k a^k`. All 512 states are enumerated. This torus has no checkerboard
order, because two colours are not enough; it needs three, (row + column) mod 3.

Greedy play is Eq. 12 for T -> 0 with the learned Q: an agent follows most of its neighbours, and chooses either
direction with probability 1/2 if two are up and two down.
"""

from math import log1p, sqrt
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mfmarl.arguments import Array, integer, non_negative, number, rate
from mfmarl.theory.graphs import torus

ToyOrder = Literal["simultaneous", "three-colours", "random-site"]

SITES = 9
COLOURS = tuple(np.array([r * 3 + c for r in range(3) for c in range(3) if (r + c) % 3 == k]) for k in range(3))


#: Unit of the time to consensus: sweeps of nine decisions, or updates of one site.
UNITS: dict[ToyOrder, str] = {"simultaneous": "sweeps", "three-colours": "sweeps", "random-site": "updates"}


class ConsensusTime(NamedTuple):
    """Mean and standard deviation of the time until all agents agree, in the unit of the order, see UNITS."""

    mean: float
    deviation: float


def states() -> NDArray[np.int64]:
    """Return all states `[512, 9]` of -1 and 1. Site 3 * row + column of state n is up if that bit of n is set."""
    bits = np.arange(2**SITES)[:, None] >> np.arange(SITES) & 1
    return np.asarray(2 * bits - 1)


def transitions(order: ToyOrder, temperature: float = 0.0) -> Array:
    """Return the transition probabilities `[512, 512]` of one sweep or, for `random-site`, of one update.

    Args:
        order: order of the updates. `simultaneous`: all agents at once; `three-colours`: one colour after the other,
            each three agents that are not neighbours; `random-site`: one agent, drawn uniformly.
        temperature: temperature of Eq. 12 with the learned Q; 0 for greedy play.

    Raises:
        ValueError: the order is unknown, or the temperature is negative or not finite.
    """
    _check_order(order)
    up = _up_probabilities(non_negative("temperature", temperature))
    if order == "simultaneous":
        return _acting(up, np.arange(SITES))
    if order == "three-colours":
        first, second, third = (_acting(up, colour) for colour in COLOURS)
        return np.asarray(first @ second @ third)
    return np.asarray(sum(_acting(up, np.array([site])) for site in range(SITES)) / SITES)


def consensus_time(order: ToyOrder) -> ConsensusTime:
    """Return the exact mean and standard deviation of the time to consensus of greedy play.

    The start is uniform over all states. The unit is sweeps, or updates for `random-site`. Consensus is reached from
    every state with probability 1.

    Raises:
        ValueError: the order is unknown.
    """
    greedy = transitions(order)
    open_states = np.flatnonzero(~_agree())
    moves = np.eye(len(open_states)) - greedy[np.ix_(open_states, open_states)]
    first = np.linalg.solve(moves, np.ones(len(open_states)))
    # Over one step, t = 1 + t', so E t^2 = 1 + 2 E t' + E t'^2 with E t' = E t - 1.
    second = np.linalg.solve(moves, 2 * first - 1)
    mean, square = first.sum() / 2**SITES, second.sum() / 2**SITES
    return ConsensusTime(float(mean), sqrt(square - mean**2))


def consensus_probability(order: ToyOrder, steps: int) -> Array:
    """Return the exact probability that greedy play has reached consensus after 0 .. `steps` sweeps or updates.

    The start is uniform over all states, and the unit is that of `consensus_time`.

    Returns:
        Probabilities `[steps + 1]`.

    Raises:
        ValueError: the order is unknown, or the number of steps is negative.
    """
    steps = integer("steps", steps, 0)
    greedy, law = transitions(order), np.full(2**SITES, 0.5**SITES)
    shares = [law[_agree()].sum()]
    for _ in range(steps):
        law = law @ greedy
        shares.append(law[_agree()].sum())
    return np.array(shares)


def consensus_share(order: ToyOrder, temperature: float) -> float:
    """Return the stationary share of time in consensus at temperature tau with the learned Q.

    The stationary law is `P(a) ~ exp(sum_bonds a_j a_k / (2 tau))` if one colour or site acts at a time, and
    `P(a) ~ prod_j cosh(sum_k a_k / (2 tau))` if all act at once (Peretto, Biological Cybernetics 50, 1984). At tau = 0
    the result is the share of starts that end in consensus.

    Raises:
        ValueError: as in `transitions`.
    """
    _check_order(order)
    temperature = non_negative("temperature", temperature)
    if temperature == 0:
        return float(_absorbed(order))
    lattices = states()
    fields = lattices @ torus(3)
    with np.errstate(over="ignore"):  # at very low temperatures
        if order == "simultaneous":
            energy, ties = np.abs(fields).sum(1), np.log1p(np.exp(-np.abs(fields) / temperature)).sum(1)
        else:
            energy, ties = (lattices * fields).sum(1) / 2, np.zeros(len(lattices))
        weights = np.exp((energy - energy.max()) / temperature / 2 + ties)
    return float(weights[_agree()].sum() / weights.sum())


def learned_value(reward: float, visits: int, learning_rate: float = 0.1) -> float:
    """Return Q after n visits with reward r, starting from Q = 0, by Eq. 32: `r (1 - (1 - alpha)^n)`.

    Args:
        reward: reward r of every visit.
        visits: number of visits n, at least 0.
        learning_rate: learning rate alpha, in (0, 1]. 0.1: the paper's numbers.

    Raises:
        ValueError: an argument is out of range.
    """
    alpha = rate("learning_rate", learning_rate)
    return number("reward", reward) * (1 - (1 - alpha) ** integer("visits", visits, 0))


def visits_until(value: float, reward: float, learning_rate: float = 0.1) -> float:
    """Return the number of visits n, not rounded, at which `learned_value` is `value`.

    For the paper's value of 0.82 and reward of 2 it is 5.008.

    Args:
        value: value Q, between 0 (included) and the reward (excluded).
        reward: reward r, not 0; it may be negative.
        learning_rate: learning rate alpha, in (0, 1]. 0.1: the paper's numbers.

    Raises:
        ValueError: an argument is out of range.
    """
    rate("learning_rate", learning_rate)
    number("value", value)
    if not (number("reward", reward) and 0 <= value / reward < 1):
        raise ValueError(f"value must lie between 0 and reward {reward}, got {value}")
    if learning_rate == 1:
        return 0.0 if value == 0 else 1.0
    return log1p(-value / reward) / log1p(-learning_rate)


def learned_table(visits: int, learning_rate: float = 0.1) -> Array:
    """Return an agent's table after n visits of every entry. One visit with learning rate 1 gives the rewards.

    Args:
        visits: number of visits n, at least 0.
        learning_rate: learning rate alpha, in (0, 1]. 0.1: the paper's numbers.

    Returns:
        Table Q `[5, 2]`: rows for 0 to 4 neighbours up, columns for the actions down and up.

    Raises:
        ValueError: an argument is out of range.
    """
    share = np.arange(5) / 4
    rewards = np.stack([2 - 4 * share, 4 * share - 2], -1)
    return np.array([[learned_value(float(r), visits, learning_rate) for r in row] for row in rewards])


def _absorbed(order: ToyOrder) -> float:
    """Return the probability that greedy play ever reaches consensus, from a uniform start over all states."""
    greedy = transitions(order)
    # After 2^40 steps, only starts without a way to consensus are not in it.
    for _ in range(40):
        greedy = greedy @ greedy
    return float(greedy[:, _agree()].sum() / 2**SITES)


def _agree() -> NDArray[np.bool_]:
    return np.asarray(np.abs(states().sum(1)) == SITES)


def _up_probabilities(temperature: float) -> Array:
    """Return the probability that a site which acts chooses up, by state and site, `[512, 9]`."""
    fields = states() @ torus(3)
    if temperature == 0:
        return (np.sign(fields) + 1) / 2
    with np.errstate(over="ignore"):  # at very low temperatures
        return np.asarray((1 + np.tanh(fields / temperature / 2)) / 2)


def _acting(up: Array, sites: NDArray[np.int64]) -> Array:
    """Return the transition probabilities `[512, 512]` when these sites act at once and the others stay as they are."""
    state = np.arange(2**SITES)
    still = (2**SITES - 1) ^ int((1 << sites).sum())
    matrix: Array = ((state[:, None] ^ state) & still == 0).astype(np.float64)
    for site in sites:
        is_up = state >> site & 1 == 1
        matrix *= np.where(is_up, up[:, site, None], 1 - up[:, site, None])
    return matrix


def _check_order(order: ToyOrder) -> None:
    if order not in get_args(ToyOrder):
        raise ValueError(f"order must be one of {', '.join(get_args(ToyOrder))}, got {order!r}")

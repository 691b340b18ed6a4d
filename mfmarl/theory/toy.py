"""The toy example of the main text (its Figure 2): a 3 x 3 torus whose nine agents each choose up or down.

An agent is paid -2, -1, 0, 1 or 2 for the direction of 0, 1, 2, 3 or 4 of its neighbours: the Ising model of appendix
C.2 with lambda = 1, `r = (a/2) sum_k a^k`. All 512 states are enumerated. Two colours are not enough for this torus,
so that the checkerboard order does not exist on it; there are three, (row + column) mod 3.

Greedy play is Eq. 12 at T -> 0 with Q learned: with most neighbours, and either way with even chance where two are up
and two down.
"""

from math import log1p, sqrt
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mfmarl.arguments import integer, non_negative, number, rate
from mfmarl.theory.graphs import torus

Array = NDArray[np.float64]
ToyOrder = Literal["simultaneous", "three-colours", "random-site"]

SITES = 9
COLOURS = tuple(np.array([r * 3 + c for r in range(3) for c in range(3) if (r + c) % 3 == k]) for k in range(3))


#: What times to consensus are counted in: sweeps of nine decisions, or updates of one.
UNITS: dict[ToyOrder, str] = {"simultaneous": "sweeps", "three-colours": "sweeps", "random-site": "updates"}


class ConsensusTime(NamedTuple):
    """Mean and standard deviation of the time until all agents agree, in UNITS of the order."""

    mean: float
    deviation: float


def states() -> NDArray[np.int64]:
    """All states `[512, 9]` of -1 and 1; site 3 row + column of state n is up where that bit of n is set."""
    bits = np.arange(2**SITES)[:, None] >> np.arange(SITES) & 1
    return np.asarray(2 * bits - 1)


def transitions(order: ToyOrder, temperature: float = 0.0) -> Array:
    """Probabilities `[512, 512]` from state to state, in one sweep, or in one update of a random site.

    Args:
        order: who acts when. `simultaneous`: all at once; `three-colours`: three agents that are no neighbours at
            once, colour after colour; `random-site`: one agent, drawn evenly.
        temperature: of Eq. 12 with Q learned; 0 for greedy play.

    Raises:
        ValueError: an unknown order, or a temperature that is negative or not finite.
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
    """Exact mean and standard deviation of the time of greedy play from an even start over all states to consensus.

    In sweeps, for random-site in updates. From every state consensus is reached with probability 1.

    Raises:
        ValueError: an unknown order.
    """
    greedy = transitions(order)
    open_states = np.flatnonzero(~_agree())
    moves = np.eye(len(open_states)) - greedy[np.ix_(open_states, open_states)]
    first = np.linalg.solve(moves, np.ones(len(open_states)))
    # E t^2 = 1 + 2 E t' + E t'^2 over one step, with E t' = E t - 1.
    second = np.linalg.solve(moves, 2 * first - 1)
    mean, square = first.sum() / 2**SITES, second.sum() / 2**SITES
    return ConsensusTime(float(mean), sqrt(square - mean**2))


def consensus_probability(order: ToyOrder, steps: int) -> Array:
    """Exact probability that greedy play from an even start agrees by each of 0 .. `steps` sweeps, or updates.

    Returns:
        `[steps + 1]`.

    Raises:
        ValueError: an unknown order, or a negative number of steps.
    """
    steps = integer("steps", steps, 0)
    greedy, law = transitions(order), np.full(2**SITES, 0.5**SITES)
    shares = [law[_agree()].sum()]
    for _ in range(steps):
        law = law @ greedy
        shares.append(law[_agree()].sum())
    return np.array(shares)


def consensus_share(order: ToyOrder, temperature: float) -> float:
    """Stationary share of time at which all agree, at temperature tau with Q learned; at 0 that of starts that end so.

    One colour or site at a time keeps `P(a) ~ exp(sum_bonds a_j a_k / (2 tau))`; all at once
    `P(a) ~ prod_j cosh(sum_k a_k / (2 tau))` (Peretto, Biological Cybernetics 50, 1984).

    Raises:
        ValueError: as `transitions`.
    """
    _check_order(order)
    temperature = non_negative("temperature", temperature)
    if temperature == 0:
        return float(_absorbed(order))
    lattices = states()
    fields = lattices @ torus(3)
    with np.errstate(over="ignore"):  # of the coldest play
        if order == "simultaneous":
            energy, ties = np.abs(fields).sum(1), np.log1p(np.exp(-np.abs(fields) / temperature)).sum(1)
        else:
            energy, ties = (lattices * fields).sum(1) / 2, np.zeros(len(lattices))
        weights = np.exp((energy - energy.max()) / temperature / 2 + ties)
    return float(weights[_agree()].sum() / weights.sum())


def learned_value(reward: float, visits: int, learning_rate: float = 0.1) -> float:
    """Q after n visits that each pay r, from Q = 0 by Eq. 32: `r (1 - (1 - alpha)^n)`.

    Args:
        reward: r.
        visits: n, at least 0.
        learning_rate: alpha, in (0, 1]. 0.1: the paper's numbers.

    Raises:
        ValueError: an argument out of its range.
    """
    alpha = rate("learning_rate", learning_rate)
    return number("reward", reward) * (1 - (1 - alpha) ** integer("visits", visits, 0))


def visits_until(value: float, reward: float, learning_rate: float = 0.1) -> float:
    """The n, not rounded, at which `learned_value` is `value`: 5.008 for the paper's 0.82 on its way to 2.

    Args:
        value: Q, from 0 up to, but not, the reward.
        reward: r, not 0; a negative one is approached from above.
        learning_rate: alpha, in (0, 1]. 0.1: the paper's numbers.

    Raises:
        ValueError: an argument out of its range.
    """
    rate("learning_rate", learning_rate)
    number("value", value)
    if not (number("reward", reward) and 0 <= value / reward < 1):
        raise ValueError(f"value must lie between 0 and reward {reward}, got {value}")
    if learning_rate == 1:
        return 0.0 if value == 0 else 1.0
    return log1p(-value / reward) / log1p(-learning_rate)


def learned_table(visits: int, learning_rate: float = 0.1) -> Array:
    """An agent's table after so many visits of every entry; after one with learning rate 1 it is the rewards.

    Args:
        visits: at least 0.
        learning_rate: alpha, in (0, 1]. 0.1: the paper's numbers.

    Returns:
        Q `[5, 2]`: 0 to 4 neighbours up; down, up.

    Raises:
        ValueError: an argument out of its range.
    """
    share = np.arange(5) / 4
    rewards = np.stack([2 - 4 * share, 4 * share - 2], -1)
    return np.array([[learned_value(float(r), visits, learning_rate) for r in row] for row in rewards])


def _absorbed(order: ToyOrder) -> float:
    """Probability that greedy play ever agrees, from an even start over all states."""
    greedy = transitions(order)
    # Squared often enough that only states without a way to consensus are left.
    for _ in range(40):
        greedy = greedy @ greedy
    return float(greedy[:, _agree()].sum() / 2**SITES)


def _agree() -> NDArray[np.bool_]:
    return np.asarray(np.abs(states().sum(1)) == SITES)


def _up_probabilities(temperature: float) -> Array:
    """Probability `[512, 9]` that a site that acts turns up."""
    fields = states() @ torus(3)
    if temperature == 0:
        return (np.sign(fields) + 1) / 2
    with np.errstate(over="ignore"):  # of the coldest play
        return np.asarray((1 + np.tanh(fields / temperature / 2)) / 2)


def _acting(up: Array, sites: NDArray[np.int64]) -> Array:
    """Transitions `[512, 512]` when these sites act at once and the others stand still."""
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

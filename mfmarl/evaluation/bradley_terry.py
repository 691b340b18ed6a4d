"""Strengths from results of pairs: Bradley and Terry 1952, *Rank Analysis of Incomplete Block Designs*.

A beats B with probability s_A / (s_A + s_B). A draw counts as half a win of each.
"""

import numpy as np

from mfmarl.evaluation.intervals import Array

# Our choices.
STEPS = 200  # at most, so that the search ends
CONVERGED = 1e-8  # range of a step's entries below which it is the last: the next would be of the order of its square
NO_REACH = 1e-300  # in place of a range of 0, by which nothing can be divided: log(1 + r) / r is 1 there
HALVES = 100  # of an interval: more than a float has digits


class UnconnectedError(ValueError):
    """No chain of wins leads from each entrant to each other, so that a strength is infinite."""


def bradley_terry(points: Array) -> Array:
    """Maximum-likelihood log strengths with mean zero: [..., entrants, entrants] -> [..., entrants].

    Newton's method, each step shortened to log(1 + r) / r of itself, r being the range of its entries: so it cannot
    diverge (Sun and Tran-Dinh 2019, *Generalized self-concordant functions*).

    Args:
        points: at [..., a, b] the points, wins and half the draws, of a against b. From each entrant to each other
            there must be a chain of such as have points against the next, else a strength is infinite.

    Raises:
        UnconnectedError: points lack such a chain.
        ValueError: points are not square, negative, or not finite.
    """
    points = np.asarray(points, np.float64)
    if points.ndim < 2 or points.shape[-1] != points.shape[-2] or not np.isfinite(points).all() or (points < 0).any():
        raise ValueError(f"points must be [..., entrants, entrants], finite and not negative, got {points.shape}")
    entrants = points.shape[-1]
    beats = points > 0  # and after the loop: a chain of wins leads from a to b
    for _ in range(entrants):
        beats = beats | (beats @ beats)
    if not (beats | np.eye(entrants, dtype=np.bool_)).all():
        raise UnconnectedError("points must lead in a chain from each entrant to each other, or a strength is infinite")
    met = points + points.swapaxes(-1, -2)
    strengths = np.zeros(points.shape[:-1])
    for _ in range(STEPS):
        # The chance of a against b, and from it the gradient and the Hessian (negated) of the log likelihood.
        expected = 1 / (1 + np.exp(strengths[..., None, :] - strengths[..., :, None]))
        gradient = (points - met * expected).sum(axis=-1)
        weights = met * expected * expected.swapaxes(-1, -2)
        curvature = weights.sum(axis=-1)[..., None] * np.eye(entrants) - weights
        # Only differences of strengths matter, so the Hessian is singular along equal entries: fill that direction.
        centred = curvature + curvature.max(axis=(-1, -2), keepdims=True) + (entrants == 1)
        step = np.linalg.solve(centred, gradient[..., None])[..., 0]
        # Newton's step, shortened where it is long.
        reach = np.maximum(np.ptp(step, axis=-1, keepdims=True), NO_REACH)
        strengths = strengths + step * np.log1p(reach) / reach
        if reach.max(initial=0) < CONVERGED:
            break
    return np.asarray(strengths - strengths.mean(axis=-1, keepdims=True))


def strength_among(won: Array, lost: Array, strengths: Array) -> Array:
    """The log strength of one more entrant by its rounds against others, whose strengths stay as they are.

    It maximises the likelihood of these rounds: they make its expected points those that it has.

    Args:
        won: its points against each other, [..., others].
        lost: their points against it, [..., others].
        strengths: theirs, [..., others].

    Returns:
        On the scale of `strengths`, [...].

    Raises:
        UnconnectedError: it has no points, or they have none.
    """
    points, against = won.sum(axis=-1), lost.sum(axis=-1)
    if not ((points > 0) & (against > 0)).all():
        raise UnconnectedError("points must be on both sides, or a strength is infinite")
    # Against the weakest alone it would be as strong as `low`, against the strongest alone as `high`.
    odds = np.log(points / against)
    low, high = strengths.min(axis=-1) + odds, strengths.max(axis=-1) + odds
    for _ in range(HALVES):
        middle = (low + high) / 2
        expected = ((won + lost) / (1 + np.exp(strengths - middle[..., None]))).sum(axis=-1)
        low, high = np.where(expected < points, middle, low), np.where(expected < points, high, middle)
    return np.asarray((low + high) / 2)

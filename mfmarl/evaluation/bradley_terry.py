"""Strengths from pairwise results: Bradley and Terry 1952, *Rank Analysis of Incomplete Block Designs*.

A beats B with probability s_A / (s_A + s_B). A draw counts as half a win for each.
"""

import numpy as np

from mfmarl.evaluation.intervals import Array

# Our choices.
STEPS = 200  # limit of Newton's method
CONVERGED = 1e-8  # a step whose entries have a smaller range is the last: the next would be of the order of its square
NO_REACH = 1e-300  # replaces a range of 0 to avoid 0 / 0: log(1 + r) / r is 1 there
HALVES = 100  # bisections of an interval, more than a float has digits


class UnconnectedError(ValueError):
    """A strength is infinite, because not every entrant is linked to every other by a chain of wins."""


def bradley_terry(points: Array) -> Array:
    """Maximum-likelihood log strengths with mean zero: [..., entrants, entrants] -> [..., entrants].

    Newton's method, with each step scaled by log(1 + r) / r, where r is the range of its entries. It therefore cannot
    diverge (Sun and Tran-Dinh 2019, *Generalized self-concordant functions*).

    Args:
        points: points of a against b at [..., a, b]: wins plus half the draws. Every entrant must be linked to every
            other by a chain of entrants with points against the next; otherwise a strength is infinite.

    Raises:
        UnconnectedError: such a chain is missing.
        ValueError: points are not square, negative, or not finite.
    """
    points = np.asarray(points, np.float64)
    if points.ndim < 2 or points.shape[-1] != points.shape[-2] or not np.isfinite(points).all() or (points < 0).any():
        raise ValueError(f"points must be [..., entrants, entrants], finite and not negative, got {points.shape}")
    entrants = points.shape[-1]
    beats = points > 0  # after the loop: a chain of wins leads from a to b
    for _ in range(entrants):
        beats = beats | (beats @ beats)
    if not (beats | np.eye(entrants, dtype=np.bool_)).all():
        raise UnconnectedError("points must lead in a chain from each entrant to each other, or a strength is infinite")
    met = points + points.swapaxes(-1, -2)
    strengths = np.zeros(points.shape[:-1])
    for _ in range(STEPS):
        # The probability that a beats b gives the gradient and the negative Hessian of the log likelihood.
        expected = 1 / (1 + np.exp(strengths[..., None, :] - strengths[..., :, None]))
        gradient = (points - met * expected).sum(axis=-1)
        weights = met * expected * expected.swapaxes(-1, -2)
        curvature = weights.sum(axis=-1)[..., None] * np.eye(entrants) - weights
        # Only differences of strengths matter, so the Hessian is singular along equal entries: fill that direction.
        centred = curvature + curvature.max(axis=(-1, -2), keepdims=True) + (entrants == 1)
        step = np.linalg.solve(centred, gradient[..., None])[..., 0]
        # Newton's step, shortened if it is long.
        reach = np.maximum(np.ptp(step, axis=-1, keepdims=True), NO_REACH)
        strengths = strengths + step * np.log1p(reach) / reach
        if reach.max(initial=0) < CONVERGED:
            break
    return np.asarray(strengths - strengths.mean(axis=-1, keepdims=True))


def strength_among(won: Array, lost: Array, strengths: Array) -> Array:
    """Log strength of an additional entrant from its rounds against others, with the others' strengths fixed.

    The strength maximises the likelihood of these rounds, so its expected points equal its actual points.

    Args:
        won: points of the entrant against each of the others, [..., others].
        lost: points of each of the others against it, [..., others].
        strengths: log strengths of the others, [..., others].

    Returns:
        Log strengths on the same scale, [...].

    Raises:
        UnconnectedError: the entrant has no points, or the others have none.
    """
    points, against = won.sum(axis=-1), lost.sum(axis=-1)
    if not ((points > 0) & (against > 0)).all():
        raise UnconnectedError("points must be on both sides, or a strength is infinite")
    # If all rounds had been against the weakest, the strength would be `low`; against the strongest, `high`.
    odds = np.log(points / against)
    low, high = strengths.min(axis=-1) + odds, strengths.max(axis=-1) + odds
    for _ in range(HALVES):
        middle = (low + high) / 2
        expected = ((won + lost) / (1 + np.exp(strengths - middle[..., None]))).sum(axis=-1)
        low, high = np.where(expected < points, middle, low), np.where(expected < points, high, middle)
    return np.asarray((low + high) / 2)

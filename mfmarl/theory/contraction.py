"""TH-2: when the mean field policy map contracts (Proposition 1 and appendix D of Yang et al. 2018).

Spins on a graph, with the reward (lambda/2) a^j sum_k a^k of Eq. 33, iterate `m_j -> tanh((lambda/2) sum_k m_k /
tau)`. Agents of Gaussian Squeeze whose Q is the reward itself, `Q(a, y) = G(a + (N-1) y)` at a mean number y of the
others, iterate `y -> F(y) = E_pi[a]` with the slope `F'(y) = (N-1) Cov_pi(a, G') / T`.

Contraction says nothing of value: it makes the fixed point unique, which at N = 1000 is uniform play, where G = 0.
"""

from collections.abc import Callable
from functools import lru_cache
from math import atanh, ceil, sqrt, tanh
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar

from mfmarl.arguments import integer, non_negative, number, positive, rate, real_array
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.theory.graphs import checked_adjacency, colours
from mfmarl.theory.squeeze import squeeze_game

Array = NDArray[np.float64]
Order = Literal["synchronous", "one-at-a-time", "colour-by-colour"]

LOWEST = 1e-6  # of the temperature at which contraction is plain: below it no further change of behaviour is sought
RATIO = 1.05  # of temperatures looked at one after the other
REACH = 8  # sigmas from mu beyond which G' is at most 1e-25 of its largest: F is flat there at any T looked at
A_SIGMA = 100  # numbers looked at within one
MOST_NUMBERS = 100_000


class SpinFactors(NamedTuple):
    """What may be called the factor of the policy map of a spin with d neighbours, in three readings."""

    own_relaxed: float  #: the proof's: own relaxed spin -> own policy at a fixed mean m, d lambda |m| / (2 T).
    frozen: float  #: own policy -> own policy while abar is frozen: 0, for Eq. 12 does not ask for the own action.
    following: float  #: abar -> policy -> abar, d lambda / (2 T), what the algorithm iterates.


def spin_factors(mean: float, temperature: float, coupling: float = 1.0, degree: int = 4) -> SpinFactors:
    """The three factors at m = `mean` (the first) and at their largest (the others).

    Args:
        mean: m, in [-1, 1].
        temperature: T, positive.
        coupling: lambda, of either sign. 1: the paper.
        degree: d, at least 0. 4: the paper.

    Raises:
        ValueError: an argument out of its range.
    """
    m = number("mean", mean, "in [-1, 1]", lambda x: -1 <= x <= 1)
    largest = (
        integer("degree", degree, 0) * abs(number("coupling", coupling)) / 2 / positive("temperature", temperature)
    )
    return SpinFactors(largest * abs(m), 0.0, largest)


def critical_temperature(adjacency: ArrayLike, coupling: float = 1.0, damping: float = 1.0) -> float:
    """tau_c = |lambda| rho(A) / 2, rho the spectral radius: above it `m -> tanh((lambda/2) A m / tau)` goes to 0.

    For symmetric or non-negative A it does so from every start and below tau_c from almost none; for other matrices
    tau_c says so of starts near 0. rho is 4 on the torus, 2 on a ring, N - 1 on the complete graph, sqrt n on a star of
    n leaves, 2 cos(pi / (N + 1)) on a path, and the sum of two such on a grid.

    Under damping d, of synchronous play that starts near 0, it is where the largest `|1 - d + d nu / tau|` is 1, nu the
    eigenvalues of (lambda/2) A: the largest `[(1 - d) Re nu + sqrt((1 - d)^2 (Re nu)^2 + d (2 - d) |nu|^2)] / (2 - d)`.
    That is nu where nu > 0, which damping does not help; |nu| d / (2 - d) where nu < 0, as in anti-coordination; and
    |nu| sqrt(d / (2 - d)) where nu is imaginary, as in matching pennies.

    Args:
        adjacency: A `[N, N]`, weights of either sign.
        coupling: lambda, of either sign. 1: the paper.
        damping: d, the weight of the new value, in (0, 1]. 1: all at once.

    Raises:
        ValueError: an adjacency that is not square, finite and 0 on its diagonal, or another argument out of its range.
    """
    nu = number("coupling", coupling) / 2 * np.linalg.eigvals(checked_adjacency(adjacency))
    d = rate("damping", damping)
    kept = (1 - d) * nu.real
    return float((kept + np.sqrt(kept**2 + d * (2 - d) * np.abs(nu) ** 2)).max()) / (2 - d)


def iterate(
    adjacency: ArrayLike,
    temperature: float,
    start: ArrayLike,
    order: Order = "synchronous",
    *,
    damping: float = 1.0,
    coupling: float = 1.0,
    sweeps: int = 1000,
) -> Array:
    """Sweeps of `m_j <- (1 - d) m_j + d tanh((lambda/2) sum_k A_jk m_k / tau)`.

    Args:
        adjacency: A `[N, N]`, weights of either sign.
        temperature: tau, positive.
        start: m `[..., N]`.
        order: `synchronous`: all at once; `one-at-a-time`: site 0 first, each after the one before;
            `colour-by-colour`: groups without neighbours among them, see `colours`.
        damping: d, the weight of the new value, in (0, 1].
        coupling: lambda, of either sign. 1: the paper.
        sweeps: in each of which every site is updated once. 1000: our choice.

    Returns:
        m after 0, 1, ... sweeps, `[sweeps + 1, ..., N]`.

    Raises:
        ValueError: an argument that is not as said here.
    """
    matrix = checked_adjacency(adjacency)
    temperature, coupling = positive("temperature", temperature), number("coupling", coupling)
    damping, sweeps = rate("damping", damping), integer("sweeps", sweeps, 0)
    means = real_array("start", start)
    if means.shape[-1:] != matrix.shape[:1]:
        raise ValueError(f"start must be [..., N] with N = {len(matrix)}, got shape {list(means.shape)}")
    if order == "synchronous":
        groups = [np.arange(len(matrix))]
    elif order == "one-at-a-time":
        groups = [np.array([site]) for site in range(len(matrix))]
    elif order == "colour-by-colour":
        groups = [*colours(matrix)]
    else:
        raise ValueError(f"order must be one of {', '.join(get_args(Order))}, got {order!r}")
    states = np.empty((sweeps + 1, *means.shape))
    states[0] = means
    for sweep in range(1, sweeps + 1):
        for group in groups:
            asked = np.tanh(coupling / 2 * means @ matrix[group].T / temperature)
            means[..., group] += damping * (asked - means[..., group])
        states[sweep] = means
    return states


def period(states: ArrayLike, longest: int = 8, tolerance: float = 1e-9) -> int:
    """The least p for which the last states repeat after p steps; 0 if none up to `longest` does.

    Args:
        states: `[steps, ...]`, at least 2 `longest` steps.
        longest: the longest period looked for, at least 1, and how many of the last states must repeat. 8: our choice.
        tolerance: by which no number of a state may differ from the one p steps before. 1e-9: our choice.

    Raises:
        ValueError: too few states, states that are not finite, or another argument out of its range.
    """
    trail, longest = real_array("states", states), integer("longest", longest, 1)
    tolerance = non_negative("tolerance", tolerance)
    if trail.ndim < 1 or not trail.size:
        raise ValueError(f"states must be [steps, ...] with at least one number a step, got shape {list(trail.shape)}")
    if len(trail) < 2 * longest:
        raise ValueError(f"states must have at least 2 longest = {2 * longest} steps, got shape {list(trail.shape)}")
    last = trail[-longest:]
    for length in range(1, longest + 1):
        if np.abs(last - trail[-longest - length : -length]).max() <= tolerance:
            return length
    return 0


def measured_factor(states: ArrayLike, smallest: float = 1e-10) -> float:
    """The factor a step by which the distance to the last state falls in the end, `|x_t - x*|_2`.

    It is the geometric mean over the second half of the steps at which the distance is above `smallest`; NaN if
    there are fewer than four.

    Args:
        states: `[steps, ...]`, which have come to rest, or whose limit is 0: see `smallest`.
        smallest: distances from there on are rounding.

    Raises:
        ValueError: no states, or states that are not finite.
    """
    trail, smallest = real_array("states", states), positive("smallest", smallest)
    if trail.ndim < 1 or not trail.size:
        raise ValueError(f"states must be [steps, ...] with at least one step, got shape {list(trail.shape)}")
    distance = np.linalg.norm((trail - trail[-1]).reshape(len(trail), -1), axis=1)
    above = int(np.argmax(distance <= smallest))
    if above < 4:
        return float("nan")
    middle = above // 2
    return float((distance[above - 1] / distance[middle]) ** (1 / (above - 1 - middle)))


def dobrushin_influence(degree: int, temperature: float, coupling: float = 1.0) -> float:
    """How far one of d neighbours can move the probability of a spin under heat bath, `P(up) = 1 / (1 + exp(-lambda
    sum_k a^k / tau))`: the largest difference over what the other d - 1 do.

    It is largest where these cancel: `tanh(lambda / (2 tau))` for odd d and `tanh(lambda / tau) / 2` for even d.
    A reference for users: the package's results ask `dobrushin_temperature`, where d of them add up to 1.

    Args:
        degree: d, at least 0.
        temperature: tau, positive.
        coupling: lambda, of either sign. 1: the paper.

    Returns:
        The difference, in [0, 1]; 0 without neighbours.

    Raises:
        ValueError: an argument out of its range.
    """
    degree = integer("degree", degree, 0)
    strength = abs(number("coupling", coupling)) / positive("temperature", temperature)
    if degree == 0:
        return 0.0
    return tanh(strength / 2) if degree % 2 else tanh(strength) / 2


def dobrushin_temperature(adjacency: ArrayLike, coupling: float = 1.0) -> float:
    """The tau above which Dobrushin's condition holds: the influences on no site add up to 1 or more.

    The law of sampled spins is then unique and every order of heat bath updates forgets its start. On the torus,
    2 tanh(lambda / tau) < 1, it is lambda / atanh(1/2) = 1.8205 lambda: below the 2 lambda of the mean field map, above
    the truth 1.1346 lambda. 0 where it holds at every temperature, as on a ring.

    Args:
        adjacency: `[N, N]` of zeros and ones, 0 on its diagonal.
        coupling: lambda, of either sign. 1: the paper.

    Raises:
        ValueError: another adjacency, or a coupling that is not finite.
    """
    matrix = checked_adjacency(adjacency)
    if not np.isin(matrix, (0.0, 1.0)).all():
        raise ValueError("adjacency must be of zeros and ones, got another weight")
    strength = abs(number("coupling", coupling))
    bounds = [0.0]
    for degree in set(matrix.sum(1).astype(int).tolist()):
        if degree % 2 and degree > 1:
            bounds.append(strength / (2 * atanh(1 / degree)))
        elif degree > 2:
            bounds.append(strength / atanh(2 / degree))
    return max(bounds)


def mean_number_map(game: GaussianSqueeze, number: ArrayLike, temperature: float) -> tuple[Array, Array]:
    """F(y) and its slope F'(y) for mean numbers y `[...]` in [0, D - 1] of the other agents.

    Raises:
        ValueError: numbers out of range, or a temperature that is not positive.
    """
    return _answer(game, _checked_numbers("number", number, game), positive("temperature", temperature))


def iterate_number(
    game: GaussianSqueeze, temperature: float, start: ArrayLike, *, damping: float = 1.0, steps: int = 1000
) -> Array:
    """Steps of `y <- (1 - d) y + d F(y)` from `start` `[...]` in [0, D - 1]: `[steps + 1, ...]`.

    Raises:
        ValueError: an argument out of its range.
    """
    begin, temperature = _checked_numbers("start", start, game), positive("temperature", temperature)
    damping, steps = rate("damping", damping), integer("steps", steps, 0)
    states = np.empty((steps + 1, *begin.shape))
    states[0] = begin
    for step in range(steps):
        states[step + 1] = (1 - damping) * states[step] + damping * _answer(game, states[step], temperature)[0]
    return states


def fixed_points(game: GaussianSqueeze, temperature: float) -> Array:
    """All y with F(y) = y that a fine grid tells apart, increasing; there is at least one.

    Args:
        game: whose F.
        temperature: T, positive.

    Returns:
        y `[n]` in [0, D - 1].

    Raises:
        ValueError: another kind of game, one of too many actions for a fine grid, or a temperature out of range.
    """
    grid, temperature = _numbers(squeeze_game(game)), positive("temperature", temperature)

    def gap(y: float) -> float:
        return float(_answer(game, np.asarray(y), temperature)[0]) - y

    gaps = _answer(game, grid, temperature)[0] - grid
    sign, size = np.sign(gaps), np.abs(gaps)
    brackets = [(float(grid[one]), float(grid[one + 1])) for one in np.flatnonzero(sign[:-1] * sign[1:] < 0)]
    # Between numbers of one sign two roots may hide where F comes close to y.
    alike = (sign[:-2] == sign[1:-1]) & (sign[1:-1] == sign[2:]) & (sign[1:-1] != 0)
    for one in np.flatnonzero(alike & (size[1:-1] < size[:-2]) & (size[1:-1] < size[2:])):
        around = (float(grid[one]), float(grid[one + 2]))
        nearest = minimize_scalar(
            lambda y, side=float(sign[one]): side * gap(y), bounds=around, method="bounded", options={"xatol": 1e-12}
        )
        if nearest.fun < 0:
            brackets += [(around[0], nearest.x), (nearest.x, around[1])]
    roots = [brentq(gap, *bracket, rtol=1e-14) for bracket in brackets]
    return np.array(sorted([*roots, *grid[gaps == 0].tolist()]))


def largest_slope(game: GaussianSqueeze, temperature: float, damping: float = 1.0) -> float:
    """Largest `|1 - d + d F'(y)|` over all y in [0, D - 1]: below 1 the map with damping d contracts.

    Args:
        game: whose F.
        temperature: T, positive.
        damping: d, the weight of the new mean number, in (0, 1]. 1: all at once.

    Raises:
        ValueError: as `fixed_points`, or a damping out of range.
    """
    grid, temperature = _numbers(squeeze_game(game)), positive("temperature", temperature)
    d = rate("damping", damping)

    def slopes(y: Array) -> Array:
        return np.asarray(np.abs(1 - d + d * _answer(game, y, temperature)[1]))

    on_grid = slopes(grid)
    best = int(on_grid.argmax())
    around = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)]))
    finer = minimize_scalar(lambda y: -float(slopes(np.asarray(y))), bounds=around, method="bounded")
    return max(float(on_grid[best]), -float(finer.fun))


def contraction_temperature(game: GaussianSqueeze, damping: float = 1.0) -> float:
    """The T of which at all higher ones |1 - d + d F'| < 1 everywhere, so that play converges from every start.

    0 where the map contracts at every temperature, as for N = 10, whose agents cannot reach mu.

    Args:
        game: whose F.
        damping: d, the weight of the new mean number, in (0, 1]. 1: all at once.

    Raises:
        ValueError: a damping out of range.
    """
    d, highest = rate("damping", damping), _plainly_contracting(squeeze_game(game))
    return _largest_temperature(game, highest, lambda t: largest_slope(game, t, d) >= 1)


def flip_temperature(game: GaussianSqueeze, damping: float = 1.0) -> float:
    """The highest T at which a fixed point y* loses its stability to a cycle of period 2 under damping d.

    The damped map has the slope `1 - d + d F'(y*)`, which passes -1 where `F'(y*) = 1 - 2 / d`.

    Args:
        game: whose F.
        damping: d, the weight of the new mean number, in (0, 1].

    Returns:
        T; 0 where none flips.

    Raises:
        ValueError: a damping out of range.
    """
    threshold = 1 - 2 / rate("damping", damping)

    def flips(temperature: float) -> bool:
        return bool(_answer(game, fixed_points(game, temperature), temperature)[1].min() <= threshold)

    # Above the contraction temperature no slope is as low.
    return _largest_temperature(game, contraction_temperature(game, damping), flips)


def several_temperature(game: GaussianSqueeze) -> float:
    """The highest T at which F has more than one fixed point; 0 if it never has.

    At N = 1000 play that earns anything is a fixed point from there down only.

    Raises:
        ValueError: another kind of game, or one of too many actions for a fine grid.
    """
    return _largest_temperature(game, contraction_temperature(game), lambda t: len(fixed_points(game, t)) > 1)


def _answer(game: GaussianSqueeze, number: Array, temperature: float) -> tuple[Array, Array]:
    """`mean_number_map` of arguments that are known to be right."""
    y = number[..., None]
    action = np.arange(game.actions, dtype=np.float64)
    total = action + (game.agents - 1) * y
    closeness = np.exp(game.exponent(total))
    reward = total * closeness
    derivative = closeness * (1 - 2 * total * (total - game.mu) / game.sigma**2)
    with np.errstate(over="ignore"):  # of the coldest play
        policy = np.exp((reward - reward.max(-1, keepdims=True)) / temperature)
    policy /= policy.sum(-1, keepdims=True)
    mean = (policy * action).sum(-1)
    covariance = (policy * (action - mean[..., None]) * derivative).sum(-1)
    return mean, np.asarray((game.agents - 1) * covariance / temperature)


def _checked_numbers(name: str, numbers: ArrayLike, game: GaussianSqueeze) -> Array:
    y, largest = real_array(name, numbers), squeeze_game(game).actions - 1
    if y.size and (y.min() < 0 or y.max() > largest):
        raise ValueError(f"{name} must be in [0, {largest}], got {y.min():g} to {y.max():g}")
    return y


def _plainly_contracting(game: GaussianSqueeze) -> float:
    """A T at which the map contracts: |Cov(a, G')| is at most half the range of a times the largest |G'|.

    In `z = (x - mu) / sigma`, `G' = exp(-z^2) (1 - 2 z^2 - 2 z mu / sigma)`.
    """
    ends = -game.mu / game.sigma, (game.agents * (game.actions - 1) - game.mu) / game.sigma
    z = np.clip(np.linspace(-REACH, REACH, 2 * REACH * A_SIGMA + 1), *ends)
    steepest = np.abs(np.exp(-(z**2)) * (1 - 2 * z**2 - 2 * z * game.mu / game.sigma)).max()
    return float((game.agents - 1) * (game.actions - 1) / 2 * steepest * 1.01) or 1.0


def _largest_temperature(game: GaussianSqueeze, highest: float, happens: Callable[[float], bool]) -> float:
    """The largest T up to `highest` at which something happens, by scan from above and bisection; 0 if none."""
    lowest, above = LOWEST * _plainly_contracting(game), highest
    if above <= 0:
        return 0.0
    while above > lowest:
        below = above / RATIO
        if happens(below):
            while above / below > 1 + 1e-10:
                middle = sqrt(above * below)
                below, above = (middle, above) if happens(middle) else (below, middle)
            return sqrt(above * below)
        above = below
    return 0.0


@lru_cache(maxsize=8)
def _numbers(game: GaussianSqueeze) -> Array:
    """Mean numbers from 0 to D - 1, close to each other where the total of an action is near mu, or near the best.

    Whatever the number of agents, 100 lie in a sigma within 8 sigma of mu, two in an action around the largest G, and
    2000 in all the range, which is enough where F is flat.

    Raises:
        ValueError: a game of too many actions, more than sigma, for a grid of all their windows.
    """
    largest, step = game.actions - 1, game.sigma / A_SIGMA
    window = np.arange(-REACH * A_SIGMA, REACH * A_SIGMA + 1)
    if game.sigma >= largest:
        close = game.mu + step * np.arange(window[0] - ceil(largest / step), window[-1] + 1)
    elif game.actions * len(window) > MOST_NUMBERS:
        most = MOST_NUMBERS // len(window)
        raise ValueError(f"game must have at most {most} actions, or sigma of at least {largest}, got {game.actions}")
    else:
        close = (game.mu - np.arange(game.actions)[:, None] + step * window).ravel()
    far = np.geomspace(game.actions, max(game.sigma, 2 * game.actions), A_SIGMA)
    around = game.peak + np.concatenate([-far, np.arange(-2 * game.actions, 2 * game.actions) / 2, far])
    numbers = np.concatenate([close, around]) / (game.agents - 1)
    inside = numbers[(numbers > 0) & (numbers < largest)]
    return np.unique(np.concatenate([np.linspace(0, largest, 2001), inside]))

"""TH-2: when the mean field policy map contracts (Proposition 1 and appendix D of Yang et al. 2018).

Two maps are studied. Spins on a graph, with the reward (lambda/2) a^j sum_k a^k of Eq. 33, iterate
`m_j -> tanh((lambda/2) sum_k m_k / tau)`. In Gaussian Squeeze, let every agent's Q be the reward itself,
`Q(a, y) = G(a + (N-1) y)`, where the mean number y is the mean action of the others. These agents iterate
`y -> F(y) = E_pi[a]`, with the slope `F'(y) = (N-1) Cov_pi(a, G') / T`.

Contraction makes the fixed point unique but not valuable: at N = 1000 it is uniform play, where G is almost 0.
"""

from collections.abc import Callable
from functools import lru_cache
from math import atanh, ceil, sqrt, tanh
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from mfmarl.arguments import Array, integer, non_negative, number, positive, rate, real_array
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.theory.graphs import checked_adjacency, colours
from mfmarl.theory.squeeze import squeeze_game

Order = Literal["synchronous", "one-at-a-time", "colour-by-colour"]

LOWEST = 1e-6  # lowest temperature of a search, as a share of one at which the map certainly contracts
RATIO = 1.05  # ratio of successive temperatures of a search
REACH = 8  # sigmas from mu beyond which |G'| is at most 1e-25 of its maximum, so that F is flat at any T of a search
A_SIGMA = 100  # grid points per sigma
MOST_NUMBERS = 100_000


class SpinFactors(NamedTuple):
    """Three readings of the contraction factor of the policy map of a spin with d neighbours."""

    own_relaxed: float  #: The proof's map: own relaxed spin -> own policy at a fixed mean m; d lambda |m| / (2 T).
    frozen: float  #: Own policy -> own policy at a fixed abar: 0, because Eq. 12 does not depend on the own action.
    following: float  #: abar -> policy -> abar, the map that the algorithm iterates; d lambda / (2 T).


def spin_factors(mean: float, temperature: float, coupling: float = 1.0, degree: int = 4) -> SpinFactors:
    """Return the three factors of a spin: `own_relaxed` at m = `mean`, the others at their maximum over m.

    Args:
        mean: mean m, in [-1, 1].
        temperature: temperature T, positive.
        coupling: coupling lambda, of either sign. 1: the paper.
        degree: number of neighbours d, at least 0. 4: the paper.

    Raises:
        ValueError: an argument is out of range.
    """
    m = number("mean", mean, "in [-1, 1]", lambda x: -1 <= x <= 1)
    largest = (
        integer("degree", degree, 0) * abs(number("coupling", coupling)) / 2 / positive("temperature", temperature)
    )
    return SpinFactors(largest * abs(m), 0.0, largest)


def critical_temperature(adjacency: ArrayLike, coupling: float = 1.0, damping: float = 1.0) -> float:
    """Return the critical temperature tau_c above which synchronous play `m -> tanh((lambda/2) A m / tau)` goes to 0.

    It is |lambda| rho(A) / 2, where rho is the spectral radius. If A is symmetric or non-negative, play goes to 0 from
    every start above tau_c and from almost no start below it; for other matrices this holds for starts near 0. rho is 4
    on the torus, 2 on a ring, N - 1 on the complete graph, sqrt n on a star of n leaves, 2 cos(pi / (N + 1)) on a path,
    and the sum of two such terms on a grid.

    With damping d, tau_c holds for starts near 0: it is the tau at which the largest `|1 - d + d nu / tau|` is 1, where
    nu runs over the eigenvalues of (lambda/2) A. This is the largest
    `[(1 - d) Re nu + sqrt((1 - d)^2 (Re nu)^2 + d (2 - d) |nu|^2)] / (2 - d)`. The term is nu for nu > 0, so damping
    does not help there; |nu| d / (2 - d) for nu < 0, as in anti-coordination; and |nu| sqrt(d / (2 - d)) for imaginary
    nu, as in matching pennies.

    Args:
        adjacency: matrix A `[N, N]` of weights of either sign.
        coupling: coupling lambda, of either sign. 1: the paper.
        damping: weight d of the new value, in (0, 1]. 1: all at once.

    Raises:
        ValueError: the adjacency is not square, finite and 0 on its diagonal, or another argument is out of range.
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
    """Iterate `m_j <- (1 - d) m_j + d tanh((lambda/2) sum_k A_jk m_k / tau)` for a number of sweeps.

    Args:
        adjacency: matrix A `[N, N]` of weights of either sign.
        temperature: temperature tau, positive.
        start: first m, `[..., N]`.
        order: order of the updates in a sweep. `synchronous`: all sites at once; `one-at-a-time`: one site after the
            other, from site 0 on; `colour-by-colour`: one group of sites that are not neighbours after the other, see
            `colours`.
        damping: weight d of the new value, in (0, 1].
        coupling: coupling lambda, of either sign. 1: the paper.
        sweeps: number of sweeps; a sweep updates every site once. 1000: our choice.

    Returns:
        m after 0, 1, ... sweeps, `[sweeps + 1, ..., N]`.

    Raises:
        ValueError: an argument is not as described here.
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
    """Return the smallest period of the last states, or 0 if there is none up to `longest`.

    Args:
        states: states `[steps, ...]`, with at least 2 `longest` steps.
        longest: longest period to look for, at least 1; also the number of last states that must repeat. 8: our choice.
        tolerance: largest difference between a number of a state and the same number one period earlier. 1e-9: our
            choice.

    Raises:
        ValueError: there are too few states, the states are not finite, or another argument is out of range.
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
    """Return the factor per step by which the distance `|x_t - x*|_2` to the last state x* finally falls.

    It is the geometric mean over the second half of the steps at which the distance is above `smallest`, or NaN if
    there are fewer than four such steps.

    Args:
        states: states `[steps, ...]`, the last of which is at the limit, or much closer to it than `smallest`.
        smallest: distance up to which differences count as rounding.

    Raises:
        ValueError: there are no states, or they are not finite.
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
    """Return the largest influence of one of d neighbours on the probability that a spin is up.

    Under heat bath, `P(up) = 1 / (1 + exp(-lambda sum_k a^k / tau))`. The influence is the largest change of P(up) when
    one neighbour flips. It occurs when the other d - 1 neighbours cancel as far as possible and is
    `tanh(lambda / (2 tau))` for odd d and `tanh(lambda / tau) / 2` for even d. It is a reference for users: the
    package's results use `dobrushin_temperature`, at which d influences add up to 1.

    Args:
        degree: number of neighbours d, at least 0.
        temperature: temperature tau, positive.
        coupling: coupling lambda, of either sign. 1: the paper.

    Returns:
        The influence, in [0, 1]; 0 without neighbours.

    Raises:
        ValueError: an argument is out of range.
    """
    degree = integer("degree", degree, 0)
    strength = abs(number("coupling", coupling)) / positive("temperature", temperature)
    if degree == 0:
        return 0.0
    return tanh(strength / 2) if degree % 2 else tanh(strength) / 2


def dobrushin_temperature(adjacency: ArrayLike, coupling: float = 1.0) -> float:
    """Return the tau above which Dobrushin's condition holds: the influences on each site add up to less than 1.

    Then the law of sampled spins is unique and every order of heat bath updates forgets its start. On the torus the
    condition is 2 tanh(lambda / tau) < 1, and the temperature is lambda / atanh(1/2) = 1.8205 lambda. This lies between
    the 2 lambda of the mean field map and the exact 1.1346 lambda. The temperature is 0 if the condition always holds,
    as on a ring.

    Args:
        adjacency: matrix `[N, N]` of zeros and ones, 0 on its diagonal.
        coupling: coupling lambda, of either sign. 1: the paper.

    Raises:
        ValueError: the adjacency is not as described, or the coupling is not finite.
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
    """Return F(y) and its slope F'(y), both `[...]`, for mean numbers y `[...]` of the other agents in [0, D - 1].

    Raises:
        ValueError: a number is out of range, or the temperature is not positive.
    """
    return _answer(game, _checked_numbers("number", number, game), positive("temperature", temperature))


def iterate_number(
    game: GaussianSqueeze, temperature: float, start: ArrayLike, *, damping: float = 1.0, steps: int = 1000
) -> Array:
    """Iterate `y <- (1 - d) y + d F(y)` from `start` `[...]` in [0, D - 1] and return all y, `[steps + 1, ...]`.

    Raises:
        ValueError: an argument is out of range.
    """
    begin, temperature = _checked_numbers("start", start, game), positive("temperature", temperature)
    damping, steps = rate("damping", damping), integer("steps", steps, 0)
    states = np.empty((steps + 1, *begin.shape))
    states[0] = begin
    for step in range(steps):
        states[step + 1] = (1 - damping) * states[step] + damping * _answer(game, states[step], temperature)[0]
    return states


def fixed_points(game: GaussianSqueeze, temperature: float) -> Array:
    """Return all fixed points F(y) = y that a fine grid separates; there is at least one.

    Args:
        game: the game that defines F.
        temperature: temperature T, positive.

    Returns:
        Fixed points y `[n]` in [0, D - 1], increasing.

    Raises:
        ValueError: the game is of another kind or has too many actions for a fine grid, or the temperature is out of
            range.
    """
    grid, temperature = _numbers(squeeze_game(game)), positive("temperature", temperature)

    def gap(y: float) -> float:
        return float(_answer(game, np.asarray(y), temperature)[0]) - y

    gaps = _answer(game, grid, temperature)[0] - grid
    sign, size = np.sign(gaps), np.abs(gaps)
    brackets = [(float(grid[one]), float(grid[one + 1])) for one in np.flatnonzero(sign[:-1] * sign[1:] < 0)]
    # Two roots may lie between grid points of one sign if |F(y) - y| has a minimum there.
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
    """Return the largest `|1 - d + d F'(y)|` over all y in [0, D - 1]. If it is below 1, the damped map contracts.

    Args:
        game: the game that defines F.
        temperature: temperature T, positive.
        damping: weight d of the new mean number, in (0, 1]. 1: all at once.

    Raises:
        ValueError: as in `fixed_points`, or the damping is out of range.
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
    """Return the T above which |1 - d + d F'| < 1 everywhere, so that play converges from every start.

    It is 0 if the map contracts at every temperature, as for N = 10, where the agents cannot reach mu.

    Args:
        game: the game that defines F.
        damping: weight d of the new mean number, in (0, 1]. 1: all at once.

    Raises:
        ValueError: the damping is out of range.
    """
    d, highest = rate("damping", damping), _plainly_contracting(squeeze_game(game))
    return _largest_temperature(game, highest, lambda t: largest_slope(game, t, d) >= 1)


def flip_temperature(game: GaussianSqueeze, damping: float = 1.0) -> float:
    """Return the highest T at which a fixed point y* loses its stability to a cycle of period 2 under damping d.

    The damped map has the slope `1 - d + d F'(y*)`, which passes -1 where `F'(y*) = 1 - 2 / d`.

    Args:
        game: the game that defines F.
        damping: weight d of the new mean number, in (0, 1].

    Returns:
        The temperature T; 0 if no fixed point flips.

    Raises:
        ValueError: the damping is out of range.
    """
    threshold = 1 - 2 / rate("damping", damping)

    def flips(temperature: float) -> bool:
        return bool(_answer(game, fixed_points(game, temperature), temperature)[1].min() <= threshold)

    # No slope is as low as the threshold above the contraction temperature.
    return _largest_temperature(game, contraction_temperature(game, damping), flips)


def several_temperature(game: GaussianSqueeze) -> float:
    """Return the highest T at which F has more than one fixed point, or 0 if there is none.

    At N = 1000, play with a notable reward is a fixed point only at and below this temperature.

    Raises:
        ValueError: the game is of another kind or has too many actions for a fine grid.
    """
    return _largest_temperature(game, contraction_temperature(game), lambda t: len(fixed_points(game, t)) > 1)


def _answer(game: GaussianSqueeze, number: Array, temperature: float) -> tuple[Array, Array]:
    """Return `mean_number_map` without checking the arguments."""
    y = number[..., None]
    action = np.arange(game.actions, dtype=np.float64)
    total = action + (game.agents - 1) * y
    closeness = np.exp(game.exponent(total))
    reward = total * closeness
    derivative = closeness * (1 - 2 * total * (total - game.mu) / game.sigma**2)
    with np.errstate(over="ignore"):  # at very low temperatures
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
    """Return a T at which the map certainly contracts.

    It follows from |Cov(a, G')| being at most half the range of a times the largest |G'|, with
    `G' = exp(-z^2) (1 - 2 z^2 - 2 z mu / sigma)` and `z = (x - mu) / sigma`.
    """
    ends = -game.mu / game.sigma, (game.agents * (game.actions - 1) - game.mu) / game.sigma
    z = np.clip(np.linspace(-REACH, REACH, 2 * REACH * A_SIGMA + 1), *ends)
    steepest = np.abs(np.exp(-(z**2)) * (1 - 2 * z**2 - 2 * z * game.mu / game.sigma)).max()
    return float((game.agents - 1) * (game.actions - 1) / 2 * steepest * 1.01) or 1.0


def _largest_temperature(game: GaussianSqueeze, highest: float, happens: Callable[[float], bool]) -> float:
    """Return the largest T up to `highest` at which `happens` is true, by a scan from above and bisection; else 0."""
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
    """Return a grid of mean numbers from 0 to D - 1 that is dense where the sum of all actions is near mu or `peak`.

    For any number of agents, the sums of grid points are a hundredth of sigma apart within 8 sigma of mu and half an
    action apart around the largest G. 2000 further points over the whole range are enough where F is flat.

    Raises:
        ValueError: the largest action exceeds sigma, and there are too many actions for a window of grid points each.
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

"""TH-3: the exact results of learning (appendix D.1 and the theorem of the main text of Yang et al. 2018).

The theorem assumes infinite visits, GLIE, and stage games with a global optimum or a saddle point; then MF-Q reaches
the Nash Q-values. Appendix D.1 adds that MF-Q finds a best response against stationary opponents. This module has games
whose values, errors and thresholds are known exactly, to compare with what the package's MF-Q learns in them.
"""

from dataclasses import dataclass
from itertools import product
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from mfmarl.arguments import (
    Array,
    distributions,
    integer,
    non_negative,
    number,
    positive,
    probability,
    rate,
    real_array,
)
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.theory.squeeze import squeeze_game

MOST_PROFILES = 1 << 18


@dataclass(frozen=True)
class StationarySite:
    """One spin with d stationary neighbours, each of which is redrawn at every step and is up with probability p.

    The reward is Eq. 33, `r = (lambda/2) a sum_k a^k`, with the neighbours redrawn after the spin's move. They are
    independent of the neighbours that the spin saw, so `Q(a) = a (lambda/2) d (2 p - 1)`.

    Args:
        probability: probability p that a neighbour is up, in [0, 1].
        degree: number of neighbours d, at least 1. 4: the paper.
        coupling: coupling lambda, of either sign. 1: the paper.

    Raises:
        ValueError: an argument is out of range.
    """

    probability: float
    degree: int = 4
    coupling: float = 1.0

    def __post_init__(self) -> None:
        probability("probability", self.probability)
        integer("degree", self.degree, 1)
        number("coupling", self.coupling)

    @property
    def values(self) -> tuple[float, float]:
        """The exact Q(-1) and Q(1)."""
        up = self.coupling / 2 * self.degree * (2 * self.probability - 1)
        return -up, up

    @property
    def reward_variance(self) -> float:
        """The variance of the reward of either action, `lambda^2 d p (1 - p)`."""
        return self.coupling**2 * self.degree * self.probability * (1 - self.probability)


def noise_floor(learning_rate: float, variance: float) -> float:
    """Return the long-run mean squared error of Q for a constant learning rate, `alpha / (2 - alpha) Var(r)`.

    A constant alpha never removes the noise. With alpha = 1/n the error is Var(r) / n after n visits.

    Args:
        learning_rate: learning rate alpha, in (0, 1].
        variance: variance of the reward, at least 0.

    Raises:
        ValueError: an argument is out of range.
    """
    alpha = rate("learning_rate", learning_rate)
    return alpha / (2 - alpha) * non_negative("variance", variance)


def boltzmann_value_gap(values: ArrayLike, temperature: float) -> Array:
    """Return the loss of the policy of Eq. 12 against a best response, `max Q - sum_a pi(a) Q(a)`.

    For two actions whose values differ by q, it is `q / (1 + exp(q / T))`, which goes to zero only with T.

    Args:
        values: values Q, `[..., D]`.
        temperature: temperature T, positive.

    Returns:
        The loss, `[...]`.

    Raises:
        ValueError: there are no values, the values are not finite, or the temperature is not positive.
    """
    temperature, q = positive("temperature", temperature), real_array("values", values)
    if q.ndim < 1 or not q.shape[-1]:
        raise ValueError(f"values must be [..., D] with D at least 1, got shape {list(q.shape)}")
    behind = q.max(-1, keepdims=True) - q
    with np.errstate(over="ignore"):  # at very low temperatures
        weights = np.exp(-behind / temperature)
    return np.asarray((weights * behind).sum(-1) / weights.sum(-1))


def best_response_values(game: GaussianSqueeze, opponents: ArrayLike) -> Array:
    """Return the exact E[r | a] against stationary opponents; the distribution of their sum is found by convolution.

    Args:
        game: the game, whose reward depends on the sum of all actions.
        opponents: one policy `[D]` that all N - 1 opponents follow, or one policy for each, `[N - 1, D]`.

    Returns:
        The expected reward of each own action, `[D]`.

    Raises:
        ValueError: the policies have another shape or are not distributions.
    """
    distribution, rewards = _met(game, opponents)
    return np.asarray(rewards @ distribution)


def reward_deviations(game: GaussianSqueeze, opponents: ArrayLike) -> Array:
    """Return the exact standard deviation of r given a, `[D]`; arguments and errors as in `best_response_values`."""
    distribution, rewards = _met(game, opponents)
    mean = rewards @ distribution
    return np.asarray(np.sqrt((rewards - mean[:, None]) ** 2 @ distribution))


def averages_value_gap(values: ArrayLike, deviations: ArrayLike, visits: int) -> float:
    """Return the expected loss of taking the action with the largest average reward after n visits of each action.

    The loss is `sum_a (max Q - Q(a)) P(a's average is the largest)`. The averages, which a table learns with
    alpha = 1/n, are taken as independent and normal with standard deviations `s_a / sqrt n`. For two actions whose
    values differ by q, the loss is `q Phi(-q / sqrt((s_0^2 + s_1^2) / n))`.

    Args:
        values: expected rewards Q, `[D]`.
        deviations: standard deviations s of the reward of each action, `[D]`, positive.
        visits: number of visits n, at least 1.

    Raises:
        ValueError: the shapes differ, or an argument is out of range.
    """
    q, deviation = real_array("values", values), real_array("deviations", deviations)
    if q.ndim != 1 or not q.size or deviation.shape != q.shape:
        raise ValueError(f"values and deviations must be [D] both, got shapes {list(q.shape)}, {list(deviation.shape)}")
    if not (deviation > 0).all():
        raise ValueError(f"deviations must be positive, got {deviation.min():g}")
    error = deviation / sqrt(integer("visits", visits, 1))
    z = np.linspace(-9, 9, 20_001)
    # [own action, z, other action]: probability that the other's average is lower.
    below = ndtr((q[:, None, None] + error[:, None, None] * z[:, None] - q) / error)
    own = np.eye(len(q), dtype=bool)[:, None, :]
    largest = np.where(own, 1.0, below).prod(-1) @ np.exp(-(z**2) / 2)
    return float((q.max() - q) @ largest / np.exp(-(z**2) / 2).sum())


@dataclass(frozen=True, eq=False)
class MarkovGame:
    """A Markov game of N identical agents with two actions; others matter only through how many choose action 1.

    Arrays may be given as lists.

    Args:
        reward: reward of an agent that chooses a in state s while k of the N - 1 others choose 1, `[S, 2, N]`.
        transition: probabilities of the next state by state and by the number of all agents that choose 1,
            `[S, N + 1, S]`.
        discount: discount factor gamma, in [0, 1).

    Raises:
        ValueError: the shapes do not fit, a row of transition is not a distribution, or the discount is out of range.
    """

    reward: Array
    transition: Array
    discount: float

    def __post_init__(self) -> None:
        for name in ("reward", "transition"):
            object.__setattr__(self, name, real_array(name, getattr(self, name)))
        states, actions, agents = self.reward.shape if self.reward.ndim == 3 else (0, 0, 0)
        if actions != 2 or not states or not agents:
            raise ValueError(f"reward must be [states, 2, agents], got shape {list(self.reward.shape)}")
        if self.transition.shape != (states, agents + 1, states):
            expected = [states, agents + 1, states]
            raise ValueError(f"transition must be {expected} like reward, got shape {list(self.transition.shape)}")
        distributions("transition", self.transition)
        number("discount", self.discount, "in [0, 1)", lambda gamma: 0 <= gamma < 1)

    @property
    def states(self) -> int:
        """S, the number of states."""
        return int(self.reward.shape[0])

    @property
    def agents(self) -> int:
        """N, the number of agents."""
        return int(self.reward.shape[2])

    def backup(self, next_value: ArrayLike) -> Array:
        """Return `Q(s, a, k) = r + gamma E v(s')`.

        Args:
            next_value: value v `[S]`, or `[S, N]` if it also depends on k.

        Returns:
            The values Q, `[S, 2, N]`.

        Raises:
            ValueError: the values have another shape or are not finite.
        """
        value = real_array("next_value", next_value)
        if value.shape not in ((self.states,), (self.states, self.agents)):
            raise ValueError(f"next_value must be [S] or [S, N], got shape {list(value.shape)}")
        value = np.broadcast_to(value[:, None] if value.ndim == 1 else value, (self.states, self.agents))
        k = np.arange(self.agents)
        following = np.stack([(self.transition[:, k + action] * value.T).sum(-1) for action in (0, 1)], 1)
        return np.asarray(self.reward + self.discount * following)


def coupled_game(agents: int = 5, discount: float = 0.5) -> MarkovGame:
    """Return a game of two states 0 and 1 that rewards choosing the state's own number together with the others.

    The reward is `r = (1 + s) 1{a = s} (1 + abar_s) / 2`, where abar_s is the share of the others that choose s.
    `P(s' = 1)` is 1/4 plus half the share of all agents that choose 1. The game is our choice: its Nash Q-values can be
    found by enumeration.

    Args:
        agents: number of agents N, at least 2. 5: our choice.
        discount: discount factor gamma, in [0, 1). 1/2: our choice.

    Raises:
        ValueError: an argument is out of range.
    """
    agents = integer("agents", agents, 2)
    share = np.arange(agents) / (agents - 1)
    reward = np.zeros((2, 2, agents))
    reward[0, 0] = (1 + 1 - share) / 2
    reward[1, 1] = 2 * (1 + share) / 2
    up = 0.25 + 0.5 * np.arange(agents + 1) / agents
    return MarkovGame(reward, np.broadcast_to(np.stack([1 - up, up], -1), (2, agents + 1, 2)).copy(), discount)


class Equilibrium(NamedTuple):
    """A pure stationary Nash equilibrium: the actions `[S, N]` of all agents, and their values `[S, N]`."""

    actions: NDArray[np.int64]
    values: Array


def equilibria(game: MarkovGame, tolerance: float = 1e-10) -> list[Equilibrium]:
    """Return all pure stationary Nash equilibria, found by enumerating all `2^(N S)` profiles.

    A profile is an equilibrium if no agent gains more than `tolerance` by deviating once in any state. Then no agent
    gains by any other policy either.

    Raises:
        ValueError: there are more than 2^18 profiles, the game is of another kind, or the tolerance is negative.
    """
    tolerance = non_negative("tolerance", tolerance)
    if _markov(game).states * game.agents > log(MOST_PROFILES, 2):
        raise ValueError(f"game must have at most {MOST_PROFILES} profiles, got 2^{game.states * game.agents}")
    found = []
    state = np.arange(game.states)
    joint = np.array(list(product((0, 1), repeat=game.agents)))
    for chosen in product(range(len(joint)), repeat=game.states):
        actions = joint[list(chosen)]
        ones = actions.sum(1)
        others = ones[:, None] - actions
        reward = game.reward[state[:, None], actions, others]
        moves = game.transition[state, ones]
        values = np.linalg.solve(np.eye(game.states) - game.discount * moves, reward)
        gains = []
        for agent in range(game.agents):
            q = game.backup(values[:, agent])
            other = q[state, 1 - actions[:, agent], others[:, agent]]
            gains.append((other - values[:, agent]).max())
        if max(gains) <= tolerance:
            found.append(Equilibrium(actions, values))
    return found


def nash_q_values(game: MarkovGame) -> Array:
    """Return the Nash Q-values `Q(s, a, k)`, `[S, 2, N]`: action a now, against k others on action 1, then equilibrium.

    If there are several equilibria, the one that pays every agent most in every state is taken. It pays all agents
    alike, because exchanging two identical agents gives an equilibrium again.

    Raises:
        ValueError: there is no such equilibrium.
    """
    found = equilibria(game)
    best = [one for one in found if all((one.values >= other.values - 1e-10).all() for other in found)]
    if not best:
        raise ValueError(f"game must have a pure equilibrium that is best for all, got {len(found)} equilibria")
    return game.backup(best[0].values[:, 0])


def has_global_optima(game: MarkovGame, q_values: ArrayLike) -> bool:
    """Whether in every state some joint action gives every agent the largest of all `Q(s, a, k)`.

    Args:
        game: Markov game with S states and N agents.
        q_values: values Q, `[S, 2, N]`.

    Raises:
        ValueError: the game is of another kind, or the values have another shape or are not finite.
    """
    q = real_array("q_values", q_values)
    if q.shape != _markov(game).reward.shape:
        raise ValueError(f"q_values must be {list(game.reward.shape)} like reward, got shape {list(q.shape)}")
    joint = np.array(list(product((0, 1), repeat=game.agents)))
    others = joint.sum(1, keepdims=True) - joint
    return all(bool((q[s][joint, others] >= q[s].max() - 1e-10).all(1).any()) for s in range(game.states))


def literal_q_values(game: MarkovGame) -> Array:
    """Return the limit of MF-Q under Algorithm 1's literal line, which values s' with the mean action of s.

    By this line (abar_- <- abar) the others are assumed to keep their actions in every state, so
    `Q(s, a, k) = r + gamma E max_b Q(s', b, k)`.

    Returns:
        The values Q, `[S, 2, N]`.

    Raises:
        ValueError: the game is of another kind.
    """
    q, change = np.zeros_like(_markov(game).reward), 1.0
    while change > 1e-13 * max(1.0, float(np.abs(q).max())):
        following = game.backup(q.max(1))
        q, change = following, float(np.abs(following - q).max())
    return q


def glie_temperature(step: int, scale: float = 2.0) -> float:
    """Return the temperature `T_t = scale / ln(2 + t)`, under which play is greedy in the limit.

    Args:
        step: step t, at least 0.
        scale: scale in units of Q, positive. 2: our choice.

    Raises:
        ValueError: an argument is out of range.
    """
    return positive("scale", scale) / log(2 + integer("step", step, 0))


def expected_visits(gap: float, steps: int, scale: float = 2.0) -> float:
    """Return the expected number of choices of the worse of two actions under `glie_temperature`.

    It is `sum_t 1 / (1 + (2 + t)^(gap / scale))`, which grows without limit exactly if the gap is at most the scale. So
    infinite visits need a scale of at least the largest gap, and a larger one if a row of the table is reached only by
    several worse choices in succession.

    Args:
        gap: Q of the better action minus Q of the worse, at least 0.
        steps: number of steps, with one choice each, at least 0.
        scale: scale of the temperature, as in `glie_temperature`.

    Raises:
        ValueError: an argument is out of range.
    """
    ratio = non_negative("gap", gap) / positive("scale", scale)
    exponent = np.minimum(np.log(2.0 + np.arange(integer("steps", steps, 0))) * ratio, 700.0)
    return float((1 / (1 + np.exp(exponent))).sum())


def congestion_rewards(actions: ArrayLike) -> Array:
    """Return the rewards of the congestion game: each agent earns the share of the others on the other action.

    The game has no global optimum. At even play every agent earns about 1/2. If all choose the same action, all earn 0;
    if then all switch, all earn 0 again.

    Args:
        actions: actions 0 or 1 of at least 2 agents, `[..., N]`.

    Returns:
        Rewards `[..., N]` in [0, 1].

    Raises:
        ValueError: an action is not 0 or 1, or there are fewer than 2 agents.
    """
    chosen = real_array("actions", actions)
    agents = chosen.shape[-1] if chosen.ndim else 0
    if agents < 2 or not np.isin(chosen, (0, 1)).all():
        raise ValueError(f"actions must be 0 or 1 of at least 2 agents, got shape {list(chosen.shape)}")
    ones = chosen.sum(-1, keepdims=True)
    return np.asarray(np.where(chosen == 1, agents - ones, ones) / (agents - 1))


def herding_temperature(damping: float = 1.0) -> float:
    """Return the T below which synchronous play of the congestion game herds, `d / (2 (2 - d))`.

    All agents respond to the last mean action at once. Let f be the share on action 1 and m = 2 f - 1. Then m moves to
    `(1 - d) m - d tanh(m / (2 T))`, whose slope at even play, `1 - d - d / (2 T)`, is -1 at this T. Without damping T
    is 1/2. If one agent acts at a time, play never herds.

    Args:
        damping: weight d of the new mean, in (0, 1]. 1: all at once.

    Raises:
        ValueError: the damping is out of range.
    """
    d = rate("damping", damping)
    return d / (2 * (2 - d))


def herding_amplitude(temperature: float) -> float:
    """Return |m| of the cycle `m -> -m` to which synchronous play converges, `m = tanh(m / (2 T))`; 0 for T >= 1/2.

    Raises:
        ValueError: the temperature is not positive.
    """
    temperature = positive("temperature", temperature)
    if temperature >= herding_temperature():
        return 0.0

    def excess(m: float) -> float:
        decay = exp(-m / temperature)  # tanh(x) = (1 - exp(-2 x)) / (1 + exp(-2 x))
        return (1 - decay) / (1 + decay) - m

    return float(brentq(excess, 1e-9, 1.0)) if excess(1e-9) > 0 else 0.0


def _met(game: GaussianSqueeze, opponents: ArrayLike) -> tuple[Array, Array]:
    """Return the probabilities `[T]` of the T possible sums of the others, and the rewards `[D, T]` of own actions."""
    squeeze_game(game)
    policies = real_array("opponents", opponents)
    if policies.shape not in ((game.actions,), (game.agents - 1, game.actions)):
        raise ValueError(
            f"opponents must be [{game.actions}] or [{game.agents - 1}, {game.actions}], got {list(policies.shape)}"
        )
    distributions("opponents", policies)
    distribution = np.ones(1)
    for policy in np.broadcast_to(policies, (game.agents - 1, game.actions)):
        distribution = np.convolve(distribution, policy)
    total = np.arange(game.actions)[:, None] + np.arange(len(distribution), dtype=np.float64)
    return distribution, total * np.exp(game.exponent(total))


def _markov(game: MarkovGame) -> MarkovGame:
    """Return the game. Raise ValueError unless it is a Markov game."""
    if not isinstance(game, MarkovGame):
        raise ValueError(f"game must be a MarkovGame, got {game!r}")
    return game

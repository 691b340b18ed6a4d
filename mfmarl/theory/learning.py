"""TH-3: what a learner should find, exactly (appendix D.1 and the theorem of the main text of Yang et al. 2018).

The theorem asks for infinite visits, GLIE, and stage games with a global optimum or a saddle point; MF-Q then reaches
the Nash Q-values. Appendix D.1 adds that against stationary opponents it finds a best response. Here are games in
which values, errors and thresholds can be written down, to set beside what the package's MF-Q learns in them.
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

Array = NDArray[np.float64]

MOST_PROFILES = 1 << 18


@dataclass(frozen=True)
class StationarySite:
    """One spin among d stationary neighbours, each up with probability p and drawn anew at every step.

    It is paid `r = (lambda/2) a sum_k a^k`, Eq. 33, against the neighbours as they are after its move, which tell
    nothing of those that it saw: `Q(a) = a (lambda/2) d (2 p - 1)`.

    Args:
        probability: p, in [0, 1].
        degree: d. 4: the paper.
        coupling: lambda. 1: the paper.

    Raises:
        ValueError: an argument out of its range.
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
        """Exact Q(-1) and Q(1)."""
        up = self.coupling / 2 * self.degree * (2 * self.probability - 1)
        return -up, up

    @property
    def reward_variance(self) -> float:
        """Variance of the reward of either action, `lambda^2 d p (1 - p)`."""
        return self.coupling**2 * self.degree * self.probability * (1 - self.probability)


def noise_floor(learning_rate: float, variance: float) -> float:
    """Mean squared error of Q in the long run at a constant alpha, `alpha / (2 - alpha) Var(r)`.

    With alpha = 1/n it is Var(r) / n after n visits instead: a constant alpha never gets rid of the noise.

    Args:
        learning_rate: alpha, in (0, 1].
        variance: of the reward, at least 0.

    Raises:
        ValueError: an argument out of its range.
    """
    alpha = rate("learning_rate", learning_rate)
    return alpha / (2 - alpha) * non_negative("variance", variance)


def boltzmann_value_gap(values: ArrayLike, temperature: float) -> Array:
    """What the policy of Eq. 12 loses against a best response, `max Q - sum_a pi(a) Q(a)`: `[..., D]` to `[...]`.

    Of two actions q apart it is `q / (1 + exp(q / T))`: it goes to zero with T only.

    Raises:
        ValueError: no values, values that are not finite, or a temperature that is not positive.
    """
    temperature, q = positive("temperature", temperature), real_array("values", values)
    if q.ndim < 1 or not q.shape[-1]:
        raise ValueError(f"values must be [..., D] with D at least 1, got shape {list(q.shape)}")
    behind = q.max(-1, keepdims=True) - q
    with np.errstate(over="ignore"):  # of the coldest play
        weights = np.exp(-behind / temperature)
    return np.asarray((weights * behind).sum(-1) / weights.sum(-1))


def best_response_values(game: GaussianSqueeze, opponents: ArrayLike) -> Array:
    """Exact E[r | a] against stationary opponents, the distribution of their sum found by convolution.

    Args:
        game: whose reward depends on the sum of all actions.
        opponents: one policy `[D]` that all N - 1 follow, or one each `[N - 1, D]`.

    Returns:
        `[D]`, the expected reward of each own action.

    Raises:
        ValueError: policies of another shape, or that are no distributions.
    """
    distribution, rewards = _met(game, opponents)
    return np.asarray(rewards @ distribution)


def reward_deviations(game: GaussianSqueeze, opponents: ArrayLike) -> Array:
    """Exact standard deviation of r given a, `[D]`; arguments and errors as of `best_response_values`."""
    distribution, rewards = _met(game, opponents)
    mean = rewards @ distribution
    return np.asarray(np.sqrt((rewards - mean[:, None]) ** 2 @ distribution))


def averages_value_gap(values: ArrayLike, deviations: ArrayLike, visits: int) -> float:
    """What a learner loses that takes the action of which the average reward is largest, after n visits of each.

    It is `sum_a (max Q - Q(a)) P(a's average is the largest)`, the averages being independent and normal with
    deviation `s_a / sqrt n`: it is what a table learns with alpha = 1/n. Of two actions q apart the sum is
    `q Phi(-q / sqrt((s_0^2 + s_1^2) / n))`.

    Args:
        values: Q, the expected rewards `[D]`.
        deviations: s, standard deviations of the reward of each action `[D]`, positive.
        visits: n, at least 1.

    Raises:
        ValueError: shapes that differ, or an argument out of its range.
    """
    q, deviation = real_array("values", values), real_array("deviations", deviations)
    if q.ndim != 1 or not q.size or deviation.shape != q.shape:
        raise ValueError(f"values and deviations must be [D] both, got shapes {list(q.shape)}, {list(deviation.shape)}")
    if not (deviation > 0).all():
        raise ValueError(f"deviations must be positive, got {deviation.min():g}")
    error = deviation / sqrt(integer("visits", visits, 1))
    z = np.linspace(-9, 9, 20_001)
    # [own action, z, other action]: how sure it is that the other's average lies below.
    below = ndtr((q[:, None, None] + error[:, None, None] * z[:, None] - q) / error)
    own = np.eye(len(q), dtype=bool)[:, None, :]
    largest = np.where(own, 1.0, below).prod(-1) @ np.exp(-(z**2) / 2)
    return float((q.max() - q) @ largest / np.exp(-(z**2) / 2).sum())


@dataclass(frozen=True, eq=False)
class MarkovGame:
    """N identical agents with two actions each; what the others do matters through how many of them choose action 1.

    Arrays may be given as lists.

    Args:
        reward: `[S, 2, N]`, of an agent in state s that chooses a while k of the N - 1 others choose 1.
        transition: `[S, N + 1, S]`, probabilities of the next state when so many of all agents choose 1.
        discount: gamma, in [0, 1).

    Raises:
        ValueError: shapes that do not fit, rows of transition that are no distributions, or a discount out of range.
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
        """`Q(s, a, k) = r + gamma E v(s')`.

        Args:
            next_value: v `[S]`, or `[S, N]` that depends on k as well.

        Returns:
            Q `[S, 2, N]`.

        Raises:
            ValueError: values of another shape, or not finite.
        """
        value = real_array("next_value", next_value)
        if value.shape not in ((self.states,), (self.states, self.agents)):
            raise ValueError(f"next_value must be [S] or [S, N], got shape {list(value.shape)}")
        value = np.broadcast_to(value[:, None] if value.ndim == 1 else value, (self.states, self.agents))
        k = np.arange(self.agents)
        following = np.stack([(self.transition[:, k + action] * value.T).sum(-1) for action in (0, 1)], 1)
        return np.asarray(self.reward + self.discount * following)


def coupled_game(agents: int = 5, discount: float = 0.5) -> MarkovGame:
    """Two states, in which it pays to choose the state's own number together with the others.

    `r = (1 + s) 1{a = s} (1 + abar_s) / 2` with abar_s the share of the others that choose s, and `P(s' = 1) = 1/4 +
    1/2` times the share of all that choose 1. Our choice, of games whose Nash Q-values can be enumerated.

    Args:
        agents: N, at least 2. 5: our choice.
        discount: gamma, in [0, 1). 1/2: our choice.

    Raises:
        ValueError: an argument out of its range.
    """
    agents = integer("agents", agents, 2)
    share = np.arange(agents) / (agents - 1)
    reward = np.zeros((2, 2, agents))
    reward[0, 0] = (1 + 1 - share) / 2
    reward[1, 1] = 2 * (1 + share) / 2
    up = 0.25 + 0.5 * np.arange(agents + 1) / agents
    return MarkovGame(reward, np.broadcast_to(np.stack([1 - up, up], -1), (2, agents + 1, 2)).copy(), discount)


class Equilibrium(NamedTuple):
    """A pure stationary Nash equilibrium: actions `[S, N]` of every agent, and their values `[S, N]`."""

    actions: NDArray[np.int64]
    values: Array


def equilibria(game: MarkovGame, tolerance: float = 1e-10) -> list[Equilibrium]:
    """All pure stationary Nash equilibria, by enumeration of every profile: `2^(N S)` of them.

    A profile is one if no agent gains by deviating once in any state, and none then gains by any other policy.

    Raises:
        ValueError: more than 2^18 profiles, another kind of game, or a tolerance below 0.
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
    """The Nash Q-values `Q(s, a, k)`, `[S, 2, N]`: a now, against k others on action 1, equilibrium from then on.

    Of several equilibria it is the one that pays every agent the most in every state. It pays all alike, for where two
    identical agents change places is an equilibrium, too.

    Raises:
        ValueError: no such equilibrium.
    """
    found = equilibria(game)
    best = [one for one in found if all((one.values >= other.values - 1e-10).all() for other in found)]
    if not best:
        raise ValueError(f"game must have a pure equilibrium that is best for all, got {len(found)} equilibria")
    return game.backup(best[0].values[:, 0])


def has_global_optima(game: MarkovGame, q_values: ArrayLike) -> bool:
    """Whether in every state one joint action gives every agent the largest of all `Q(s, a, k)`.

    Args:
        game: of states S and agents N.
        q_values: Q `[S, 2, N]`.

    Raises:
        ValueError: another kind of game, or values of another shape or not finite.
    """
    q = real_array("q_values", q_values)
    if q.shape != _markov(game).reward.shape:
        raise ValueError(f"q_values must be {list(game.reward.shape)} like reward, got shape {list(q.shape)}")
    joint = np.array(list(product((0, 1), repeat=game.agents)))
    others = joint.sum(1, keepdims=True) - joint
    return all(bool((q[s][joint, others] >= q[s].max() - 1e-10).all(1).any()) for s in range(game.states))


def literal_q_values(game: MarkovGame) -> Array:
    """Where MF-Q goes with Algorithm 1's literal line, which values s' under the mean action of s (abar_- <- abar).

    `Q(s, a, k) = r + gamma E max_b Q(s', b, k)`: the others are taken to go on as they are, in whatever state.

    Returns:
        Q `[S, 2, N]`.

    Raises:
        ValueError: another kind of game.
    """
    q, change = np.zeros_like(_markov(game).reward), 1.0
    while change > 1e-13 * max(1.0, float(np.abs(q).max())):
        following = game.backup(q.max(1))
        q, change = following, float(np.abs(following - q).max())
    return q


def glie_temperature(step: int, scale: float = 2.0) -> float:
    """`T_t = scale / ln(2 + t)`: greedy in the limit.

    Args:
        step: t, at least 0.
        scale: in units of Q, positive. 2: our choice.

    Raises:
        ValueError: an argument out of its range.
    """
    return positive("scale", scale) / log(2 + integer("step", step, 0))


def expected_visits(gap: float, steps: int, scale: float = 2.0) -> float:
    """Expected choices, in so many steps under `glie_temperature`, of an action worth `gap` less than the other.

    They are `sum_t 1 / (1 + (2 + t)^(gap / scale))`: without limit exactly where the gap is at most the scale. So
    infinite visits ask for a scale of at least the largest gap, and of more where a row of the table is reached only by
    several worse choices one after the other.

    Args:
        gap: Q of the better action less that of the worse, at least 0.
        steps: with one choice each, at least 0.
        scale: as in `glie_temperature`.

    Raises:
        ValueError: an argument out of its range.
    """
    ratio = non_negative("gap", gap) / positive("scale", scale)
    exponent = np.minimum(np.log(2.0 + np.arange(integer("steps", steps, 0))) * ratio, 700.0)
    return float((1 / (1 + np.exp(exponent))).sum())


def congestion_rewards(actions: ArrayLike) -> Array:
    """What the congestion game pays each agent: the share of the others on the other action. It has no global optimum.

    At even play everyone earns about 1/2; whoever stays where all are earns 0, and if all leave, all earn 0 again.

    Args:
        actions: `[..., N]`, 0 or 1, of at least 2 agents.

    Returns:
        `[..., N]`, in [0, 1].

    Raises:
        ValueError: other actions, or fewer agents.
    """
    chosen = real_array("actions", actions)
    agents = chosen.shape[-1] if chosen.ndim else 0
    if agents < 2 or not np.isin(chosen, (0, 1)).all():
        raise ValueError(f"actions must be 0 or 1 of at least 2 agents, got shape {list(chosen.shape)}")
    ones = chosen.sum(-1, keepdims=True)
    return np.asarray(np.where(chosen == 1, agents - ones, ones) / (agents - 1))


def herding_temperature(damping: float = 1.0) -> float:
    """The T below which congestion herds when all answer the last mean action at once: `d / (2 (2 - d))`.

    The mean m = 2 f - 1 of the share f on action 1 goes to `-tanh(m / (2 T))`, with weight d: at even play the slope
    `1 - d - d / (2 T)` passes -1 there. 1/2 without damping; one agent at a time never herds.

    Args:
        damping: d, the weight of the new mean, in (0, 1]. 1: all at once.

    Raises:
        ValueError: a damping out of range.
    """
    d = rate("damping", damping)
    return d / (2 * (2 - d))


def herding_amplitude(temperature: float) -> float:
    """|m| of the cycle `m -> -m` that synchronous play falls into, `m = tanh(m / (2 T))`; 0 from T = 1/2 on.

    Raises:
        ValueError: a temperature that is not positive.
    """
    temperature = positive("temperature", temperature)
    if temperature >= herding_temperature():
        return 0.0

    def excess(m: float) -> float:
        decay = exp(-m / temperature)  # tanh(x) = (1 - exp(-2 x)) / (1 + exp(-2 x))
        return (1 - decay) / (1 + decay) - m

    return float(brentq(excess, 1e-9, 1.0)) if excess(1e-9) > 0 else 0.0


def _met(game: GaussianSqueeze, opponents: ArrayLike) -> tuple[Array, Array]:
    """Probabilities `[T]` of what the sum of all others may be, and the reward `[D, T]` of each own action at it."""
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
    """A Markov game, or a ValueError."""
    if not isinstance(game, MarkovGame):
        raise ValueError(f"game must be a MarkovGame, got {game!r}")
    return game

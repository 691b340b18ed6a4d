"""Gaussian Squeeze (Holmesparker, Taylor, Zhan, Tumer 2014), as in Yang et al. 2018, Section 5.1 and appendix C.1."""

from dataclasses import dataclass
from math import exp, log, sqrt
from numbers import Integral
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax
from torch import Tensor

from mfmarl.arguments import check_fields

MOST_AGENTS = 10_000_000  # limit set by sums in a float32 gradient step and by the memory of one machine
LARGEST = 1e15  # sums up to this, and differences between them, are exact in float64
SMALLEST = 1e-15  # its square, and quotients by that square, are within the range of float64

Totals = TypeVar("Totals", float, NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class GaussianSqueeze:
    """N agents share the reward `G(x) = x exp(-(x - mu)^2 / sigma^2)`, where x is the sum of their actions in 0 .. D-1.

    Args:
        agents: number of agents N, from 2 to 10 million.
        mu: target sum, from -1e15 to 1e15. 400: the paper.
        sigma: width of the reward around mu, from 1e-15 to 1e15. 200: the paper.
        actions: number of actions D, at least 2. 10, the actions 0 .. 9: the paper.
        draws: 0, because the reward is deterministic.

    Raises:
        ValueError: a value is out of range, or agents, actions or draws is not a whole number.
    """

    agents: int
    mu: float = 400.0
    sigma: float = 200.0
    actions: int = 10
    draws: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("agents", "actions", "draws"):
            if not isinstance(getattr(self, name), Integral):
                raise ValueError(f"{name} must be a whole number, got {getattr(self, name)}")
        if not 2 <= self.agents <= MOST_AGENTS:
            raise ValueError(f"agents must be from 2 to {MOST_AGENTS}, got {self.agents}")
        if not abs(self.mu) <= LARGEST:
            raise ValueError(f"mu must be from {-LARGEST:g} to {LARGEST:g}, got {self.mu}")
        if not SMALLEST <= self.sigma <= LARGEST:
            raise ValueError(f"sigma must be from {SMALLEST:g} to {LARGEST:g}, got {self.sigma}")
        if self.actions < 2:
            raise ValueError(f"actions must be at least 2, got {self.actions}")
        if self.draws != 0:
            raise ValueError(f"draws must be 0, the reward is deterministic, got {self.draws}")

    @classmethod
    def scaled(cls, agents: int, mu: float = 400.0, sigma: float = 200.0, reference: int = 1000) -> "GaussianSqueeze":
        """Return the game with mu and sigma scaled in proportion to N; the given values hold at `reference` agents."""
        return cls(agents, mu * agents / reference, sigma * agents / reference)

    def reward(self, actions: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return `G(sum_j a^j)`, `[...]` float64, for joint actions `[..., agents]` int64."""
        return self.squeeze(actions.sum(-1).double())

    def squeeze(self, total: Tensor) -> Tensor:
        """Return `G(x)` for sums x, `[...]` float64."""
        return total * torch.exp(self.exponent(total))

    def exponent(self, total: Totals) -> Totals:
        """Return the exponent of G, `-((x - mu) / sigma)^2`, for sums x: a float, or an array or tensor `[...]`."""
        distance = (total - self.mu) / self.sigma
        return -(distance * distance)

    @property
    def peak(self) -> float:
        """The real x > 0 at which G is largest, `(mu + sqrt(mu^2 + 2 sigma^2)) / 2`, where `G'(x) = 0`."""
        return (self.mu + sqrt(self.mu**2 + 2 * self.sigma**2)) / 2

    def optimum(self) -> tuple[int, float]:
        """Return the best attainable sum x* and its reward G*.

        For x > 0, G rises up to `peak` and falls beyond it. So x* is the better of the two integers around `peak`,
        clipped to the sums that N agents can reach.
        """
        largest = self.agents * (self.actions - 1)
        candidates = {min(max(int(self.peak) + step, 0), largest) for step in (0, 1)}
        best = max(candidates, key=self._squeeze)
        return best, self._squeeze(best)

    def uniform_play_reward(self) -> float:
        """Return E[G] when every agent plays uniformly at random, with a relative error below 1e-8.

        For large N, the sums x that pay lie far out in the tail of the distribution p(x). So actions are drawn with
        probabilities proportional to `exp(theta a)`, where theta moves the mean of x to the largest `p(x) G(x)`. A
        Fourier transform gives the distribution q of x under these probabilities, and
        `E[G] = sum_x q(x) exp(-theta x) m^N G(x)`, where m is the mean of `exp(theta a)` over the D actions.
        `exp(-theta x) G(x)`, too, is largest at that mean, so that the transform's rounding is nowhere amplified.
        """
        actions = np.arange(self.actions)

        def tilted(theta: float) -> NDArray[np.float64]:
            probability: NDArray[np.float64] = softmax(theta * actions)
            return probability

        def slope(theta: float) -> float:
            """`x d/dx (log G(x) - theta x)` at the mean of x; it falls in theta, from 1, through 0."""
            x = float(self.agents * (tilted(theta) @ actions))
            return 1 - 2 * x / self.sigma * ((x - self.mu) / self.sigma) - theta * x

        steepest = 700.0  # beyond it a single action has all of the probability
        theta = steepest if slope(steepest) > 0 else float(brentq(slope, -steepest, steepest))
        total = np.arange(self.agents * (self.actions - 1) + 1, dtype=np.float64)
        length = next_fast_len(len(total), real=True)
        distribution = irfft(rfft(tilted(theta), length) ** self.agents, length)[: len(total)].clip(min=0)
        exponent = self.agents * logsumexp(theta * actions - log(self.actions)) - theta * total
        return float((distribution * total * np.exp(exponent + self.exponent(total))).sum())

    def _squeeze(self, total: int) -> float:
        return total * exp(self.exponent(float(total)))

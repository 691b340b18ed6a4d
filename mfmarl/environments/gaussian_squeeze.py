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

from mfmarl.custom import check_fields

MOST_AGENTS = 10_000_000  # whose sums a float32 gradient step and the memory of one machine still bear
LARGEST = 1e15  # up to here sums, and differences from them, are exact in float64
SMALLEST = 1e-15  # whose square, and what is divided by it, float64 holds

Totals = TypeVar("Totals", float, NDArray[np.float64], Tensor)


@dataclass(frozen=True)
class GaussianSqueeze:
    """N agents share the reward `G(x) = x exp(-(x - mu)^2 / sigma^2)` of the sum x of their actions in 0 .. D-1.

    Args:
        agents: N, from 2 to 10 million.
        mu: the sum asked for, within 1e15. 400: the paper.
        sigma: how far x may be from it, from 1e-15 to 1e15. 200: the paper.
        actions: D, at least 2. 10, the actions 0 .. 9: the paper.
        draws: 0, for the reward is deterministic.

    Raises:
        ValueError: a value out of its range, or agents, actions or draws that are no whole number.
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
        """The game with mu and sigma in proportion to N: as given at `reference` agents."""
        return cls(agents, mu * agents / reference, sigma * agents / reference)

    def reward(self, actions: Tensor, noise: Tensor | None = None) -> Tensor:
        """`G(sum_j a^j)`: `[..., agents]` int64 to `[...]` float64."""
        return self.squeeze(actions.sum(-1).double())

    def squeeze(self, total: Tensor) -> Tensor:
        """`G(x)` for sums x `[...]` float64."""
        return total * torch.exp(self.exponent(total))

    def exponent(self, total: Totals) -> Totals:
        """The exponent of G, `-((x - mu) / sigma)^2`, for sums x: a float, or an array or tensor `[...]`."""
        distance = (total - self.mu) / self.sigma
        return -(distance * distance)

    @property
    def peak(self) -> float:
        """The real x > 0 at which G is largest, `(mu + sqrt(mu^2 + 2 sigma^2)) / 2`, where `G'(x) = 0`."""
        return (self.mu + sqrt(self.mu**2 + 2 * self.sigma**2)) / 2

    def optimum(self) -> tuple[int, float]:
        """The best attainable sum x* and its reward G*.

        To the left of `peak` G rises and to the right of it it falls (for x > 0); x* is the better of the two integers
        around it that N agents can reach.
        """
        largest = self.agents * (self.actions - 1)
        candidates = {min(max(int(self.peak) + step, 0), largest) for step in (0, 1)}
        best = max(candidates, key=self._squeeze)
        return best, self._squeeze(best)

    def uniform_play_reward(self) -> float:
        """E[G] when every agent plays uniformly at random; exact but for a relative error below 1e-8.

        Where N is large, G lives far out in the tail of the sum x. So the distribution q of x is found by Fourier
        transform for actions of probability `exp(theta a) / m`, theta such that x is about where `p(x) G(x)` is
        largest, and `E[G] = sum_x q(x) exp(-theta x) m^N G(x)`.
        """
        actions = np.arange(self.actions)
        mean, variance = self.agents * actions.mean(), self.agents * actions.var()
        # Of the product of two Gaussians, the sum's and G's.
        middle = (mean / variance + 2 * self.mu / self.sigma**2) / (1 / variance + 2 / self.sigma**2)
        middle = min(max(middle / self.agents, 0.01), self.actions - 1.01)

        def tilted(theta: float) -> NDArray[np.float64]:
            probability: NDArray[np.float64] = softmax(theta * actions)
            return probability

        theta = float(brentq(lambda theta: tilted(theta) @ actions - middle, -700.0, 700.0))
        total = np.arange(self.agents * (self.actions - 1) + 1, dtype=np.float64)
        length = next_fast_len(len(total), real=True)
        distribution = irfft(rfft(tilted(theta), length) ** self.agents, length)[: len(total)].clip(min=0)
        exponent = self.agents * logsumexp(theta * actions - log(self.actions)) - theta * total
        return float((distribution * total * np.exp(exponent + self.exponent(total))).sum())

    def _squeeze(self, total: int) -> float:
        return total * exp(self.exponent(float(total)))

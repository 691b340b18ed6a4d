"""Gaussian Squeeze (Holmesparker, Taylor, Zhan, Tumer 2014), as in Yang et al. 2018, Section 5.1 and appendix C.1."""

from dataclasses import dataclass
from math import exp, isfinite, sqrt

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianSqueeze:
    """N agents share the reward `G(x) = x exp(-(x - mu)^2 / sigma^2)` of the sum x of their actions in 0 .. 9.

    Args:
        agents: N, at least 2.
        mu: the sum asked for. 400: the paper.
        sigma: how far x may be from it, positive. 200: the paper.

    Raises:
        ValueError: fewer than 2 agents, a sigma that is not positive, or a mu or sigma that is not finite.
    """

    agents: int
    mu: float = 400.0
    sigma: float = 200.0
    actions: int = 10
    draws: int = 0

    def __post_init__(self) -> None:
        if self.agents < 2:
            raise ValueError(f"agents must be at least 2, got {self.agents}")
        if not isfinite(self.mu):
            raise ValueError(f"mu must be finite, got {self.mu}")
        if not (self.sigma > 0 and isfinite(self.sigma)):
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")
        if self.actions < 2:
            raise ValueError(f"actions must be at least 2, got {self.actions}")

    @classmethod
    def scaled(cls, agents: int, mu: float = 400.0, sigma: float = 200.0, reference: int = 1000) -> "GaussianSqueeze":
        """The game with mu and sigma in proportion to N: as given at `reference` agents."""
        return cls(agents, mu * agents / reference, sigma * agents / reference)

    def reward(self, actions: Tensor, noise: Tensor | None = None) -> Tensor:
        """`G(sum_j a^j)`: `[..., agents]` int64 to `[...]` float64."""
        return self.squeeze(actions.sum(-1).double())

    def squeeze(self, total: Tensor) -> Tensor:
        """`G(x)` for sums x `[...]` float64."""
        return total * torch.exp(-(((total - self.mu) / self.sigma) ** 2))

    def optimum(self) -> tuple[int, float]:
        """The best attainable sum x* and its reward G*.

        `G'(x) = 0` at `x = (mu + sqrt(mu^2 + 2 sigma^2)) / 2`, to the left of which G rises and to the right of
        which it falls (for x > 0); x* is the better of the two integers around it that N agents can reach.
        """
        peak = (self.mu + sqrt(self.mu**2 + 2 * self.sigma**2)) / 2
        largest = self.agents * (self.actions - 1)
        candidates = {min(max(int(peak) + step, 0), largest) for step in (0, 1)}
        best = max(candidates, key=self._squeeze)
        return best, self._squeeze(best)

    def uniform_play_reward(self) -> float:
        """Exact E[G] when every agent plays uniformly at random, the distribution of x found by convolution."""
        distribution = torch.ones(1, dtype=torch.float64)
        single = torch.full((self.actions,), 1.0 / self.actions, dtype=torch.float64)
        power, remaining = single, self.agents
        while remaining:
            if remaining % 2:
                distribution = _convolve(distribution, power)
            remaining //= 2
            if remaining:
                power = _convolve(power, power)
        total = torch.arange(len(distribution), dtype=torch.float64)
        return float((distribution * self.squeeze(total)).sum())

    def _squeeze(self, total: int) -> float:
        distance = (total - self.mu) / self.sigma
        return total * exp(-distance * distance)


def _convolve(left: Tensor, right: Tensor) -> Tensor:
    """Direct convolution: products of positive numbers keep their relative precision far into the tails."""
    flipped = right.flip(0).view(1, 1, -1)
    return torch.nn.functional.conv1d(left.view(1, 1, -1), flipped, padding=len(right) - 1).view(-1)

"""A custom exploration that is greedy in the limit and tries every action infinitely often, as the theorem asks."""

from dataclasses import dataclass
from math import log

from torch import Tensor

from mfmarl import MFQ, EpsilonGreedy, GaussianSqueeze, boltzmann_policy, train
from mfmarl.exploration import sample


@dataclass(frozen=True)
class Glie:
    """The policy of Eq. 12 at the temperature `scale / log(2 + step)`."""

    scale: float = 1.0

    def temperature(self, step: int) -> float:
        """The temperature at a joint step, with which MF-Q's target is computed, too (Eq. 10)."""
        return self.scale / log(2 + step)

    def choose(self, values: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Actions `[...]` int64 from action values `[..., D]` and uniform draws `[...]`, the only source of chance."""
        return sample(boltzmann_policy(values, self.temperature(step)), uniform)


if __name__ == "__main__":
    for exploration in (EpsilonGreedy(1.0, 0.01, 400), Glie()):
        curves = train(
            MFQ,
            GaussianSqueeze(100),
            range(4),
            steps=1000,
            evaluations=5,
            learning_rate=1e-3,
            reward_scale=0.01,
            exploration=exploration,
        )
        print(exploration, curves.groupby("step")["greedy_reward"].mean(), sep="\n")

"""A custom neighbourhood: MF-Q acts on, and learns from, an exponential average of mean actions."""

from dataclasses import dataclass

from torch import Tensor

from mfmarl import MFQ, EpsilonGreedy, GaussianSqueeze, Graph, JointStep, Neighbourhood, train


@dataclass(frozen=True)
class ExponentialAverage(Neighbourhood):
    """The mean action of all others, averaged over time."""

    rate: float = 0.1

    def mean_action(self, step: JointStep) -> Tensor:
        """Mean actions `[seeds, agents, D]`; `step.before` has those returned at the previous joint step."""
        now = super().mean_action(step)
        return now if step.before is None else step.before.lerp(now, self.rate)


if __name__ == "__main__":
    game = GaussianSqueeze(20, 80, 40)
    ring = Graph(tuple(((agent - 1) % 20, (agent + 1) % 20) for agent in range(20)))
    for neighbourhood in (Neighbourhood(), ExponentialAverage(), ring):
        curves = train(
            MFQ,
            game,
            range(4),
            steps=1000,
            evaluations=5,
            neighbourhood=neighbourhood,
            learning_rate=1e-2,
            exploration=EpsilonGreedy(1.0, 0.01, 500),
        )
        rewards = curves.groupby("step")["greedy_reward"].mean()
        print(type(neighbourhood).__name__, rewards.round(1).to_dict())

"""A custom game, which rewards agents for agreeing on one of three actions."""

from dataclasses import dataclass

from torch import Tensor

from mfmarl import IL, MFQ, EpsilonGreedy, action_counts, train


@dataclass(frozen=True)
class Consensus:
    """All agents earn the share of the most frequent action, which is 1 if all agree."""

    agents: int
    actions: int = 3
    draws: int = 0  # uniform draws per joint step: none, the reward is deterministic

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        """The common reward `[...]` float64 of actions `[..., agents]` int64.

        Rewards `[..., agents]` would pay each agent its own.
        """
        return action_counts(actions, self.actions).amax(-1).double() / self.agents


if __name__ == "__main__":
    exploration = EpsilonGreedy(1.0, 0.01, 300)
    for method in (IL, MFQ):
        curves = train(
            method, Consensus(20), range(4), steps=1000, evaluations=5, learning_rate=1e-2, exploration=exploration
        )
        print(curves.groupby(["algorithm", "step"])["greedy_reward"].mean())

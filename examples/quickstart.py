"""Train MF-Q on Gaussian Squeeze with four seeds side by side, and print its rewards."""

from mfmarl import MFQ, EpsilonGreedy, GaussianSqueeze, train

game = GaussianSqueeze(agents=500)
explore = EpsilonGreedy(start=1.0, end=0.005, steps=800)
curves = train(
    MFQ, game, range(4), steps=4000, evaluations=20, learning_rate=1e-3, reward_scale=0.01, exploration=explore
)
print(curves.groupby("step")["greedy_reward"].agg(["mean", "min", "max"]))
print(f"best possible: {game.optimum()[1]:.1f}")

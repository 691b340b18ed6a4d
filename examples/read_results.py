"""Read the committed results and draw your own figure."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

RESULTS = Path(__file__).parents[1] / "results"

curves = pd.read_csv(RESULTS / "gaussian_squeeze/curves.csv")
chosen = curves[(curves["settings"] == "calibrated") & curves["algorithm"].isin(["il", "mf-q"])]
above = chosen.assign(learned=chosen["sampled_reward"] > 0.8 * 423.03)
shares = above.pivot_table(values="learned", index="step", columns=["algorithm", "agents"])

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
shares.plot(ax=axes, xlabel="joint steps", ylabel="share of seeds above 0.8 G*, sampled play")
to = Path(sys.argv[1] if len(sys.argv) > 1 else "share_of_seeds.png")
figure.savefig(to)
print(shares.iloc[[0, -1]].T)
print("drawn:", to)

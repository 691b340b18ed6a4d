"""TH-3 measured: infinite visits and GLIE, which the theorem asks for at once, on the Ising model."""

import numpy as np
import pandas as pd
import torch

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.data.sweeps import SweepDataModule
from mfmarl.environments import Ising
from mfmarl.measurements.rows import Setting, mean_row, row, table
from mfmarl.theory.learning import expected_visits, glie_temperature

CLAIM = "TH-3"


def glie(seed: int, *, size: int, seeds: int, steps: int, evaluations: int) -> pd.DataFrame:
    """Shares of a table's rows (site, abar) and entries (row, action) that MF-Q never visits when T_t = 2 / ln(2 + t).

    On the Ising model; and the last sweep in which an entry was visited for the first time, or a spin turned.
    """
    game, numbers = Ising(size), range(seed, seed + seeds)
    agent = TabularMFQ(game, numbers, temperatures=[1.0], start_temperature=0.0)
    data = SweepDataModule(game, numbers, temperatures=[1.0], steps=steps, evaluations=1)
    visited = torch.zeros(agent.q_table.numel(), dtype=torch.bool)
    marks = set(np.unique(np.geomspace(1, steps, evaluations).astype(int)).tolist())
    rows = []
    before = data.spins.flatten(2)[0]
    news = {name: torch.zeros(seeds) for name in ("an entry was new", "a spin turned")}
    for step in range(steps):
        agent.tau.fill_(glie_temperature(step))
        for transition in data.play(agent, 1):
            agent.learn(transition)
            entry = transition.site * 10 + ((transition.neighbours + 4) >> 1) * 2 + (transition.action > 0)
            new = ~visited[entry.flatten()].view(seeds, -1)
            news["an entry was new"][new.any(1)] = step + 1
            visited[entry.flatten()] = True
        spins = data.spins.flatten(2)[0]
        news["a spin turned"][(spins != before).any(1)] = step + 1
        before = spins
        if step + 1 in marks:
            setting = Setting({"sweeps": step + 1, "size": size, "scale": 2.0})
            by_row = visited.view(seeds, -1, 2)
            for name, met in (("entries", by_row.flatten(1)), ("rows", by_row.any(-1))):
                missing = (~met).double().mean(1).tolist()
                rows.append(mean_row(CLAIM, f"GLIE: share of {name} never visited", missing, exact=0.0, **setting))
    for what, last in news.items():
        setting = Setting({"sweeps": steps, "size": size, "scale": 2.0})
        rows.append(mean_row(CLAIM, f"GLIE: last sweep in which {what}", last.tolist(), **setting))
        rows.append(row(CLAIM, f"GLIE: last sweep of all runs in which {what}", float(last.max()), n=seeds, **setting))
    for gap in (1.0, 2.0, 4.0):
        expected = expected_visits(gap, steps)
        setting = Setting({"gap": gap, "steps": steps, "scale": 2.0})
        rows.append(row(CLAIM, "GLIE: expected visits of the worse action", expected, exact=expected, **setting))
    return table(rows)

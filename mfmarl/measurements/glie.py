"""TH-3 measured: infinite visits and GLIE, both of which the theorem assumes, on the Ising model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.data.sweeps import SweepDataModule, Transition
from mfmarl.environments import Ising
from mfmarl.measurements.rows import Row, Setting, mean_row, row, share_row, table
from mfmarl.measurements.training import fill_with_rewards
from mfmarl.theory.learning import expected_visits, glie_temperature

CLAIM = "TH-3"
LATE = 50  # play counts as late after 1 / LATE of the sweeps


def glie(seed: int, *, size: int, seeds: int, steps: int, evaluations: int) -> pd.DataFrame:
    """Measure the shares of table rows (site, abar) and entries (row, action) that MF-Q never visits under GLIE.

    MF-Q plays the Ising model at T_t = 2 / ln(2 + t). Also measured are the last sweep in which an entry was visited
    for the first time or a spin turned, and the difference between the values of the two actions where late play still
    chose the worse one.
    """
    agent, data = _cooled(seed, size, seeds, steps)
    visited = torch.zeros(agent.q_table.numel(), dtype=torch.bool)
    marks = _marks(steps, evaluations)
    rows = []
    before = data.spins.flatten(2)[0]
    news = {name: torch.zeros(seeds) for name in ("an entry was new", "a spin turned")}
    late: list[WorseChoice] = []
    for step in range(steps):
        agent.tau.fill_(glie_temperature(step))
        for transition in data.play(agent, 1):
            if step >= steps // LATE:
                late += worse_choices(transition, agent.q_table)
            agent.learn(transition)
            entry = 2 * agent.row(transition.site, transition.neighbours) + (transition.action > 0)
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
            rows.append(share_row(CLAIM, "GLIE: share of runs in consensus", _agreed(spins), seeds, **setting))
    for what, last in news.items():
        setting = Setting({"sweeps": steps, "size": size, "scale": 2.0})
        rows.append(mean_row(CLAIM, f"GLIE: last sweep in which {what}", last.tolist(), **setting))
        rows.append(row(CLAIM, f"GLIE: last sweep of all runs in which {what}", float(last.max()), n=seeds, **setting))
    for gap in (1.0, 2.0, 4.0):
        expected = expected_visits(gap, steps)
        setting = Setting({"gap": gap, "steps": steps, "scale": 2.0})
        rows.append(row(CLAIM, "GLIE: expected visits of the worse action", expected, exact=expected, **setting))
    return table([*rows, *_late_rows(late, size, seeds, steps)])


def exact_values(seed: int, *, size: int, seeds: int, steps: int, evaluations: int) -> pd.DataFrame:
    """Run the control of `glie`: the same play with tables fixed to the rewards, which learning would not change."""
    agent, data = _cooled(seed, size, seeds, steps)
    fill_with_rewards(agent)
    marks = _marks(steps, evaluations)
    rows = []
    before, last = data.spins.flatten(2)[0], torch.zeros(seeds)
    for step in range(steps):
        agent.tau.fill_(glie_temperature(step))
        for _ in data.play(agent, 1):
            pass
        spins = data.spins.flatten(2)[0]
        last[(spins != before).any(1)] = step + 1
        before = spins
        if step + 1 in marks:
            setting = Setting({"sweeps": step + 1, "size": size, "scale": 2.0})
            name = "GLIE, Q exact: share of runs in consensus"
            rows.append(share_row(CLAIM, name, _agreed(spins), seeds, **setting))
    setting = Setting({"sweeps": steps, "size": size, "scale": 2.0})
    rows.append(mean_row(CLAIM, "GLIE, Q exact: last sweep in which a spin turned", last.tolist(), **setting))
    return table(rows)


class WorseChoice(NamedTuple):
    """A site that acted against most of its neighbours."""

    run: int
    against: int  #: number of neighbours that disagree minus number that agree: 2 or 4.
    gap: float  #: difference between the values of its two actions, as learned by then.


def worse_choices(transition: Transition, q_table: Tensor) -> list[WorseChoice]:
    """Return the worse choices of one update, with tables `[1, seeds, L, L, 5, 2]`."""
    site, neighbours = transition.site.flatten(), transition.neighbours.flatten().long()
    worse = transition.action.flatten() * neighbours < 0
    site, neighbours = site[worse], neighbours[worse]
    down, up = q_table.view(-1, 5, 2)[site, (neighbours + 4) // 2].unbind(-1)
    run = site // q_table[0, 0, ..., 0, 0].numel()
    found = zip(run.tolist(), neighbours.abs().tolist(), (up - down).abs().tolist(), strict=True)
    return [WorseChoice(*one) for one in found]


def _late_rows(late: Sequence[WorseChoice], size: int, seeds: int, steps: int) -> list[Row]:
    setting = Setting({"after": steps // LATE, "sweeps": steps, "size": size})
    expected = seeds * size**2 * (expected_visits(4.0, steps) - expected_visits(4.0, steps // LATE))
    against_all = [one for one in late if one.against == 4]
    name = "GLIE: late choices against"
    rows = [
        row(CLAIM, f"{name} most neighbours", len(late), n=seeds, **setting),
        row(CLAIM, f"{name} all four", len(against_all), n=seeds, **setting),
        row(CLAIM, f"{name} all four, expected in consensus at a gap of 4", expected, exact=expected, **setting),
    ]
    if against_all:
        by_run: dict[int, list[float]] = {}
        for one in against_all:
            by_run.setdefault(one.run, []).append(one.gap)
        gaps = [one.gap for one in against_all]
        means = [float(np.mean(each)) for each in by_run.values()]
        rows += [
            mean_row(CLAIM, "GLIE: learned gap at late choices against all four", means, exact=4.0, **setting),
            row(CLAIM, "GLIE: least learned gap at them", min(gaps), n=len(gaps), **setting),
            row(CLAIM, "GLIE: largest learned gap at them", max(gaps), n=len(gaps), **setting),
        ]
    return rows


def _cooled(seed: int, size: int, seeds: int, steps: int) -> tuple[TabularMFQ, SweepDataModule]:
    game, numbers = Ising(size), range(seed, seed + seeds)
    agent = TabularMFQ(game, numbers, temperatures=[1.0], start_temperature=0.0)
    return agent, SweepDataModule(game, numbers, temperatures=[1.0], steps=steps, evaluations=1)


def _marks(steps: int, evaluations: int) -> set[int]:
    """Return the sweeps at which to measure, evenly spaced on a logarithmic axis."""
    return set(np.unique(np.geomspace(1, steps, evaluations).astype(int)).tolist())


def _agreed(spins: Tensor) -> int:
    """Return the number of lattices `[seeds, L^2]` in consensus."""
    return int((spins.sum(-1).abs() == spins.shape[-1]).sum())

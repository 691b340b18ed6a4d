"""The toy example measured: the package's own MF-Q on the 3 x 3 torus, compared with exact results over 512 states."""

from collections.abc import Sequence
from math import nan

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.data.sweeps import Order, SweepDataModule
from mfmarl.environments import Ising
from mfmarl.measurements.rows import Row, Setting, mean_row, row, share_row, table
from mfmarl.measurements.training import TABLE_OF_REWARDS, fill_with_rewards, learn
from mfmarl.theory.toy import (
    UNITS,
    ToyOrder,
    consensus_probability,
    consensus_share,
    consensus_time,
    learned_value,
    visits_until,
)

CLAIM = "toy"
SHOWN = learned_value(2.0, 5)  # the paper's 0.82
ORDERS: tuple[ToyOrder, ...] = ("simultaneous", "three-colours", "random-site")
GREEDY = 1e-4  # a temperature so low that only ties are random


def table_values(seed: int) -> pd.DataFrame:
    """Check the paper's numbers: the number of visits until Q is 0.82, and the value after that."""
    rows = [
        row(CLAIM, "visits until the paper's 0.82", visits_until(0.82, 2.0), exact=visits_until(0.82, 2.0)),
        row(CLAIM, "value after 5 visits that pay 2", learned_value(2.0, 5), exact=2 * (1 - 0.9**5)),
        row(CLAIM, "value after 6 visits that pay 2", learned_value(2.0, 6), exact=2 * (1 - 0.9**6)),
        row(CLAIM, "0.82 + 0.1 (2.0 - 0.82)", 0.82 + 0.1 * (2.0 - 0.82), exact=0.938),
    ]
    return table(rows)


def times(seed: int, *, runs: int) -> pd.DataFrame:
    """Measure the time to consensus of the package's greedy play with a learned table, by order of updates."""
    rows = []
    for order in ORDERS:
        exact = consensus_time(order)
        agent, data = _learned(order, GREEDY, seed, runs)
        found = _times(agent, data, limit=200, by_update=order == "random-site")
        rows.append(mean_row(CLAIM, f"mean {UNITS[order]} to consensus", found, exact=exact.mean, order=order))
        # The interval of the mean says nothing about the spread.
        spread = float(np.std(found))
        rows.append(row(CLAIM, f"deviation of {UNITS[order]}", spread, exact=exact.deviation, n=runs, order=order))
        if order == "random-site":
            rows.append(row(CLAIM, "mean sweeps to consensus", exact.mean / 9, exact=exact.mean / 9, order=order))
        per_sweep = 9 if order == "random-site" else 1
        reached = consensus_probability(order, 12 * per_sweep)[::per_sweep]
        by_sweep = np.array(found) / per_sweep
        for sweep, probability in enumerate(reached.tolist()):
            agreed = int((by_sweep <= sweep).sum())
            setting = Setting({"order": order, "sweep": sweep})
            rows.append(
                share_row(CLAIM, "probability of consensus by a sweep", agreed, runs, exact=probability, **setting)
            )
    return table(rows)


def shares(seed: int, *, temperatures: Sequence[float], runs: int, sweeps: int) -> pd.DataFrame:
    """Measure the share of time in consensus at tau > 0 with a learned table, by order of updates."""
    rows = []
    for order in ORDERS:
        for tau in temperatures:
            agent, data = _learned(order, tau, seed, runs)
            _play(agent, data, sweeps // 4)
            agreed = torch.zeros(runs, dtype=torch.float64)
            for _ in range(sweeps):
                _play(agent, data, 1)
                agreed += _agree(data.spins)
            exact = consensus_share(order, tau)
            setting = Setting({"order": order, "temperature": tau})
            rows.append(
                mean_row(CLAIM, "share of time in consensus", (agreed / sweeps).tolist(), exact=exact, **setting)
            )
    return table(rows)


def learning(seed: int, *, runs: int, sweeps: int) -> pd.DataFrame:
    """Measure whether greedy MF-Q that learns from Q = 0 agrees for good, and after how many sweeps.

    A run agrees for good if it is in consensus in each of the last 10 sweeps.
    """
    orders: tuple[Order, ...] = (*ORDERS, "released-code")
    rows: list[Row] = []
    for order in orders:
        agent, data = _fresh(order, GREEDY, seed, runs)
        last_open = torch.zeros(runs)
        for sweep in range(1, sweeps + 1):
            learn(agent, data, 1)
            last_open[~_agree(data.spins)] = sweep
        settled = last_open <= sweeps - 10
        found = (last_open[settled] + 1).tolist()
        setting = Setting({"order": order, "sweeps": sweeps})
        rows.append(
            share_row(CLAIM, "learning from Q = 0: share that agrees for good", int(settled.sum()), runs, **setting)
        )
        if found:
            rows.append(mean_row(CLAIM, "learning from Q = 0: sweeps until then", found, **setting))
    return table(rows)


def one_table(seed: int, *, sweeps: int) -> pd.DataFrame:
    """Record the grid and one agent's table at three times of one run.

    All agents act at once and learn from Q = 0 at tau = 1/2 (our choice). The times are the start, the first sweep
    after which an entry of the middle agent's table is the paper's 0.82, and the end after `sweeps` sweeps.

    Raises:
        ValueError: there are so few sweeps that no entry reaches 0.82.
    """
    agent, data = _fresh("simultaneous", 0.5, seed, 1)
    table_of = agent.q_table[0, 0, 1, 1]
    rows = _snapshot(0, data.spins, table_of)
    shown = False
    for sweep in range(1, sweeps + 1):
        learn(agent, data, 1)
        if not shown and bool((table_of - SHOWN).abs().min() < 1e-6):
            shown = True
            rows += _snapshot(sweep, data.spins, table_of)
    if not shown:
        raise ValueError(f"sweeps must be enough for an entry to come by 0.82, got {sweeps}")
    return table([*rows, *_snapshot(sweeps, data.spins, table_of)])


def _snapshot(sweep: int, spins: Tensor, values: Tensor) -> list[Row]:
    rows = [
        row(CLAIM, "one run: spin", spin, sweep=sweep, site=site) for site, spin in enumerate(spins.flatten().tolist())
    ]
    for up, (both, ends) in enumerate(zip(values.tolist(), TABLE_OF_REWARDS.tolist(), strict=True)):
        for action, value, end in zip(("down", "up"), both, ends, strict=True):
            setting = Setting({"sweep": sweep, "neighbours_up": up, "action": action})
            rows.append(row(CLAIM, "one run: Q of the middle agent", value, exact=end, **setting))
    return rows


def _fresh(order: Order, tau: float, seed: int, runs: int) -> tuple[TabularMFQ, SweepDataModule]:
    game, numbers = Ising(3), range(seed, seed + runs)
    agent = TabularMFQ(game, numbers, temperatures=[tau], start_temperature=0.0)
    return agent, SweepDataModule(game, numbers, temperatures=[tau], steps=1, evaluations=1, order=order)


def _learned(order: Order, tau: float, seed: int, runs: int) -> tuple[TabularMFQ, SweepDataModule]:
    agent, data = _fresh(order, tau, seed, runs)
    fill_with_rewards(agent)
    return agent, data


def _agree(spins: Tensor) -> Tensor:
    """Return which of the lattices `[1, runs, 3, 3]` are in consensus, `[runs]` bool."""
    return spins.flatten(2).sum(-1)[0].abs() == 9


def _play(agent: TabularMFQ, data: SweepDataModule, sweeps: int) -> None:
    for _ in data.play(agent, sweeps):
        pass


def _times(agent: TabularMFQ, data: SweepDataModule, *, limit: int, by_update: bool) -> list[float]:
    """Return the number of sweeps, or of single-site updates, until each run is in consensus.

    `limit` is the largest number of sweeps, chosen so that all runs get there.
    """
    spins = data.spins.flatten(2)[0].clone()
    found = torch.where(_agree(data.spins), 0.0, nan)
    clock = 0
    for _ in range(limit):
        for transition in data.play(agent, 1):
            if by_update:
                clock += 1
                spins.view(-1)[transition.site.flatten()] = transition.action.flatten()
                found = torch.where(found.isnan() & (spins.sum(-1).abs() == 9), float(clock), found)
        if not by_update:
            clock += 1
            found = torch.where(found.isnan() & _agree(data.spins), float(clock), found)
        if not found.isnan().any():
            break
    return found.tolist()

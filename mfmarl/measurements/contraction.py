"""TH-2 measured: factors and thresholds of the mean field map, of sampled play, and of the tables that MF-Q learned."""

from collections.abc import Sequence
from functools import partial
from math import nan
from typing import get_args

import numpy as np
import pandas as pd
import torch
from scipy.optimize import bisect, brentq

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.arguments import Array
from mfmarl.environments import Ising
from mfmarl.environments.ising import split
from mfmarl.measurements.rows import Setting, mean_row, row, table
from mfmarl.measurements.training import fill_with_rewards, ising_tables
from mfmarl.statistical_physics import CRITICAL_TEMPERATURE, mean_field_magnetisation
from mfmarl.theory.contraction import (
    Order,
    critical_temperature,
    dobrushin_temperature,
    iterate,
    measured_factor,
    period,
    spin_factors,
)
from mfmarl.theory.graphs import GRAPHS, torus
from mfmarl.theory.softmax import (
    Constant,
    sharp_values,
    softmax_jacobian,
    sufficient_temperature,
)

CLAIM = "TH-2"
DAMPED = 0.3  # weight of the new mean in damped play
COLD = 0.2  # a temperature below all thresholds of damped play
PENNIES = np.array([[0.0, 1.0], [-1.0, 0.0]])
PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


def thresholds(seed: int) -> pd.DataFrame:
    """Measure critical temperatures of graphs from the speed of play; compare the three temperatures of the torus."""
    rows = []
    for name, make in GRAPHS.items():
        graph = make()
        exact = critical_temperature(graph)
        play = iterate(graph, 1.5 * exact, np.full(len(graph), 0.5), sweeps=200)
        found = measured_factor(play) * 1.5 * exact
        rows.append(row(CLAIM, "critical temperature of the mean field map", found, exact=exact, graph=name))
        # On an irregular graph the l1 distance of the proof may grow although play converges.
        influence = 0.5 / exact / 1.5 * graph.sum(0).max()
        rows.append(row(CLAIM, "l1 factor at 1.5 of the critical temperature", influence, graph=name))
    lattice = torus(4)
    # A finite torus eventually forgets its start at every tau > 0; Onsager's point is that of the infinite lattice.
    marks = {
        "mean field map": (critical_temperature(lattice), "any"),
        "Dobrushin's condition": (dobrushin_temperature(lattice), "any"),
        "sampled play (Onsager)": (CRITICAL_TEMPERATURE, "infinite"),
    }
    for name, (tau, size) in marks.items():
        setting = Setting({"reading": name, "size": size})
        rows.append(row(CLAIM, "torus: contraction is sure above", tau, exact=tau, **setting))
    return table(rows)


def constants(seed: int) -> pd.DataFrame:
    """Measure where the sharp examples lose contraction, in units of K, and the norms of the softmax's derivative."""
    rows = []
    for measured in get_args(Constant):
        threshold = brentq(lambda t, how=measured: _slope(how, t) - 1, 0.05, 5.0, xtol=1e-12)
        exact = sufficient_temperature(1.0, measured)
        rows.append(row(CLAIM, "sharp temperature over K", threshold, exact=exact, K=measured))
    generator = np.random.default_rng(seed)
    policies = generator.dirichlet(np.full(6, 0.3), size=20_000)
    for name, order in (("l1", 1), ("l2", 2), ("l-infinity", np.inf)):
        norms = np.linalg.norm(softmax_jacobian(policies, 1.0), order, axis=(-2, -1))
        setting = Setting({"norm": name, "policies": "drawn, D = 6"})
        rows.append(row(CLAIM, "largest norm of S", float(norms.max()), exact=0.5, n=len(norms), **setting))
        even = float(np.linalg.norm(softmax_jacobian(np.full(6, 1 / 6), 1.0), order))
        exact = 1 / 6 if order == 2 else 10 / 36
        rows.append(row(CLAIM, "norm of S at even play", even, exact=exact, norm=name, policies="even, D = 6"))
    return table(rows)


def factors(
    seed: int, *, temperatures: Sequence[float], curve: int, size: int, seeds: int, sweeps: int
) -> pd.DataFrame:
    """Measure the contraction factor of a sweep against tau on the torus: mean field map in two orders, sampled play.

    The exact factors are also given at `curve` temperatures and at tau = 2, where they have their peak.

    Sampled play is MF-Q's own play with tables that are already learned. Two lattices start all up and all down and
    share every random draw. The factor is that by which the share of sites that differ falls.
    """
    rows = []
    lattice = torus(4)
    for tau in temperatures:
        for order, exact in _exact_factors(tau).items():
            found = measured_factor(iterate(lattice, tau, np.full(16, 0.99), order, sweeps=2000))
            setting = Setting({"reading": f"mean field map, {order}", "temperature": tau})
            rows.append(row(CLAIM, "factor of a sweep", found, exact=exact, **setting))
        sampled = [_coupled_factor(tau, size, sweeps, seed + one) for one in range(seeds)]
        rows.append(mean_row(CLAIM, "factor of a sweep", sampled, reading="sampled play of MF-Q", temperature=tau))
    for tau in sorted({*np.linspace(min(temperatures), max(temperatures), curve).tolist(), 2.0}):
        lines = {f"mean field map, {order}": exact for order, exact in _exact_factors(tau).items()}
        lines["the proof's, at the m of play"] = spin_factors(mean_field_magnetisation(tau), tau).own_relaxed
        for reading, exact in lines.items():
            setting = Setting({"reading": reading, "temperature": tau})
            rows.append(row(CLAIM, "factor of a sweep, exact", exact, exact=exact, **setting))
    return table(rows)


def cycles(seed: int, *, sweeps: int) -> pd.DataFrame:
    """Measure the period of play at half the critical temperature, by game, order of updates and damping.

    Damping 0.3 does not stabilise all play. Therefore also measured are the period of damped play at tau = 0.2 and the
    tau below which synchronous play near 0 grows. If play alternates, this is `critical d / (2 - d)`, because the
    alternating mode has the slope `1 - d - d critical / tau`.
    """
    row_of = np.arange(16)
    staggered = 0.5 - (row_of // 4 + row_of % 4) % 2
    games = {
        "coordination": (torus(4), 1.0, np.full(16, 0.5)),
        "coordination, staggered start": (torus(4), 1.0, staggered),
        "anti-coordination": (torus(4), -1.0, np.full(16, 0.5)),
        "matching pennies": (PENNIES, 1.0, np.array([0.3, 0.4])),
    }
    rows = []
    for name, (graph, coupling, start) in games.items():
        half = critical_temperature(graph, coupling) / 2
        for order in get_args(Order):
            for damping, tau in (
                (1.0, half),
                (DAMPED, half),
                (DAMPED, COLD),
            ):
                play = iterate(graph, tau, start, order, damping=damping, coupling=coupling, sweeps=sweeps)
                setting = Setting({"game": name, "order": order, "damping": damping, "temperature": tau})
                rows.append(row(CLAIM, "period of play (0: above 64)", period(play, 64, 1e-7), **setting))
    for damping in (1.0, DAMPED):
        for name in ("matching pennies", "anti-coordination", "coordination, staggered start"):
            graph, coupling, start = games[name]
            exact = critical_temperature(PENNIES, damping=damping)
            if name != "matching pennies":
                exact = critical_temperature(graph, coupling) * damping / (2 - damping)
            grows = partial(_grows, graph, coupling, start, damping)
            found = bisect(lambda t, grows=grows: -1.0 if grows(t) else 1.0, 0.05, 3.0, xtol=1e-6)
            setting = Setting({"game": name, "damping": damping})
            rows.append(row(CLAIM, "synchronous play near 0 settles above", found, exact=exact, **setting))
    return table(rows)


def portraits(seed: int, *, steps: int) -> pd.DataFrame:
    """Record the m of two populations step by step below the threshold, to show the cycles."""
    games = {"coordination": (PAIR, 1.0), "anti-coordination": (PAIR, -1.0), "matching pennies": (PENNIES, 1.0)}
    orders: tuple[Order, ...] = ("synchronous", "one-at-a-time")
    rows = []
    for (name, (graph, coupling)), order in ((game, order) for game in games.items() for order in orders):
        for number, start in enumerate(([0.55, 0.2], [-0.3, 0.4])):
            play = iterate(graph, 0.3, start, order, coupling=coupling, sweeps=steps)
            for step, means in enumerate(play.tolist()):
                for population, value in enumerate(means):
                    setting = Setting(
                        {"game": name, "order": order, "start": number, "step": step, "population": population}
                    )
                    rows.append(row(CLAIM, "phase portrait at tau = 0.3", value, **setting))
    return table(rows)


def ising_tables_contract(seed: int, *, size: int, seeds: int, sweeps: int) -> pd.DataFrame:
    """Measure K / 2 of MF-Q's own tables on the Ising model, by the tau at which they were learned."""
    temperatures = (0.8, 1.2, 2.0)
    agent = ising_tables(size, temperatures, tuple(range(seed, seed + seeds)), sweeps)
    rows = []
    for tau, tables in zip(temperatures, agent.q_table.double(), strict=True):
        # Per unit of the fraction of neighbours up; adjacent entries differ by a quarter.
        k = (tables.diff(dim=-2).abs() * 4).flatten(1)
        setting = Setting({"temperature": tau, "size": size, "sweeps": sweeps})
        asked = (k.amax(1) / 2).tolist()
        rows.append(mean_row(CLAIM, "Ising table: T > K/2 asks for tau above", asked, exact=2.0, **setting))
        rows.append(mean_row(CLAIM, "Ising table: mean K/2", (k.mean(1) / 2).tolist(), exact=2.0, **setting))
    return table(rows)


def _exact_factors(tau: float) -> dict[Order, float]:
    """Return the exact factors of the mean field map on the torus.

    The factor is `(2 / tau) (1 - m^2)`, since tanh'(2 m / tau) = 1 - m^2 at the fixed point; colour by colour it is the
    square.
    """
    m = mean_field_magnetisation(tau)
    slope = 2 / tau * (1 - m * m)
    return {"synchronous": slope, "colour-by-colour": slope**2}


def _grows(graph: Array, coupling: float, start: Array, damping: float, tau: float) -> bool:
    """Whether a small multiple of `start` grows under damped synchronous play."""
    play = iterate(graph, tau, 1e-6 * start, damping=damping, coupling=coupling, sweeps=2000)
    size = np.linalg.norm(play, axis=-1)
    return bool(size[-1] > size[1000] or size[-1] > 1e-3)


def _slope(measured: Constant, temperature: float) -> float:
    """Return the slope at even play of the map abar -> policy of the sharp example with K = 1, by differences."""
    values, step = sharp_values(1.0, measured), 1e-6

    def up(share: float) -> float:
        low, high = values(np.array([1 - share, share]))
        return 1 / (1 + float(np.exp((low - high) / temperature)))

    return (up(0.5 + step) - up(0.5 - step)) / (2 * step)


def _coupled_factor(tau: float, size: int, sweeps: int, seed: int) -> float:
    """Return the factor per sweep by which two lattices under the same draws approach each other.

    It is the geometric mean over the second half of the sweeps until fewer than 1% of the sites differ.
    """
    game = Ising(size)
    agent = TabularMFQ(game, [seed, seed + 1], temperatures=[tau], start_temperature=0.0)
    fill_with_rewards(agent)
    generator = torch.Generator().manual_seed(seed)
    spins = torch.ones(1, 2, size, size, dtype=torch.int8)
    spins[:, 1] = -1
    colours = list(split(spins))
    sites = split(torch.arange(spins.numel()).view(spins.shape))
    apart = []
    for step in range(sweeps):
        for colour in (0, 1):
            neighbours = game.neighbour_sums(colours[1 - colour], colour)
            uniform = torch.rand(1, 1, size, size // 2, generator=generator).expand(1, 2, -1, -1)
            colours[colour] = agent.act(sites[colour], neighbours, colours[colour], uniform, step)
        whole = torch.stack(colours)
        apart.append(float((whole[:, 0, 0] != whole[:, 0, 1]).double().mean()))
    open_sweeps = np.flatnonzero(np.array(apart) >= 0.01)
    last = int(open_sweeps[-1]) if len(open_sweeps) else 0
    first = last // 2
    return nan if last - first < 1 else (apart[last] / apart[first]) ** (1 / (last - first))

"""TH-2 measured: factors and thresholds of the mean field map, of sampled play, and of what MF-Q learned."""

from collections.abc import Sequence
from functools import lru_cache
from math import nan
from typing import get_args

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from torch import Tensor

from mfmarl.algorithms.lattice import TabularMFQ
from mfmarl.algorithms.q_learning import MFQ
from mfmarl.environments import GaussianSqueeze, Ising
from mfmarl.environments.ising import split
from mfmarl.mean_field import boltzmann_policy, mean_policy
from mfmarl.measurements.rows import Row, Setting, mean_row, row, table
from mfmarl.measurements.training import ising_tables, squeeze_networks
from mfmarl.statistical_physics import CRITICAL_TEMPERATURE, mean_field_magnetisation
from mfmarl.theory.contraction import (
    Order,
    contraction_temperature,
    critical_temperature,
    dobrushin_temperature,
    fixed_points,
    flip_temperature,
    iterate,
    iterate_number,
    largest_slope,
    measured_factor,
    period,
    several_temperature,
    spin_factors,
)
from mfmarl.theory.graphs import GRAPHS, torus
from mfmarl.theory.softmax import (
    Constant,
    lipschitz_constants,
    policy_map_radius,
    sharp_values,
    softmax_jacobian,
    sufficient_temperature,
)

CLAIM = "TH-2"
PENNIES = np.array([[0.0, 1.0], [-1.0, 0.0]])
PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


def thresholds(seed: int) -> pd.DataFrame:
    """Critical temperatures of graphs from the speed of play, and the three temperatures of the torus side by side."""
    rows = []
    for name, make in GRAPHS.items():
        graph = make()
        exact = critical_temperature(graph)
        play = iterate(graph, 1.5 * exact, np.full(len(graph), 0.5), sweeps=200)
        found = measured_factor(play) * 1.5 * exact
        rows.append(row(CLAIM, "critical temperature of the mean field map", found, exact=exact, graph=name))
        # On an irregular graph the l1 metric of the proof may grow although play converges.
        influence = 0.5 / exact / 1.5 * graph.sum(0).max()
        rows.append(row(CLAIM, "l1 factor at 1.5 of the critical temperature", influence, graph=name))
    lattice = torus(4)
    marks = {
        "mean field map": critical_temperature(lattice),
        "Dobrushin's condition": dobrushin_temperature(lattice),
        "sampled play (Onsager)": CRITICAL_TEMPERATURE,
    }
    rows += [
        row(CLAIM, "torus: contraction is sure above", tau, exact=tau, reading=name) for name, tau in marks.items()
    ]
    return table(rows)


def constants(seed: int) -> pd.DataFrame:
    """Where the sharp examples lose contraction, over K, and the norms of the softmax's derivative."""
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


def factors(seed: int, *, temperatures: Sequence[float], size: int, seeds: int, sweeps: int) -> pd.DataFrame:
    """The factor of a sweep against tau on the torus: of the mean field map in two orders, and of sampled play.

    Sampled play is MF-Q's own with its tables learned, on two lattices that start all up and all down and share every
    random draw: the factor by which the share of sites that differ falls.
    """
    rows = []
    lattice = torus(4)
    for tau in temperatures:
        m = mean_field_magnetisation(tau)
        # tanh'(2 m / tau) = 1 - m^2 at the fixed point.
        exact = 2 / tau * (1 - m * m)
        orders: tuple[tuple[Order, int], ...] = (("synchronous", 1), ("colour-by-colour", 2))
        for order, power in orders:
            found = measured_factor(iterate(lattice, tau, np.full(16, 0.99), order, sweeps=2000))
            setting = Setting({"reading": f"mean field map, {order}", "temperature": tau})
            rows.append(row(CLAIM, "factor of a sweep", found, exact=exact**power, **setting))
        proof = spin_factors(m, tau)
        setting = Setting({"reading": "the proof's, at the m of play", "temperature": tau})
        rows.append(row(CLAIM, "factor of a sweep", proof.own_relaxed, exact=proof.own_relaxed, **setting))
        sampled = [_coupled_factor(tau, size, sweeps, seed + one) for one in range(seeds)]
        rows.append(mean_row(CLAIM, "factor of a sweep", sampled, reading="sampled play of MF-Q", temperature=tau))
    return table(rows)


def cycles(seed: int, *, sweeps: int) -> pd.DataFrame:
    """The period that play falls into at half the critical temperature, by game, order of updates and damping."""
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
        tau = critical_temperature(graph, coupling) / 2
        for order in get_args(Order):
            for damping in (1.0, 0.3):
                play = iterate(graph, tau, start, order, damping=damping, coupling=coupling, sweeps=sweeps)
                found = period(play, 64, 1e-7)
                setting = Setting({"game": name, "order": order, "damping": damping})
                rows.append(row(CLAIM, "period of play (0: above 64)", found, **setting))
    return table(rows)


def portraits(seed: int, *, steps: int) -> pd.DataFrame:
    """Two populations, m of each, step by step below the threshold: what the cycles look like."""
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


def squeeze_thresholds(seed: int, *, agents: Sequence[int], dampings: Sequence[float]) -> pd.DataFrame:
    """Where the mean number map of Gaussian Squeeze contracts and flips, and what play then earns."""
    rows = []
    for count in agents:
        game = GaussianSqueeze(count)
        contracts, several = contraction_temperature(game), several_temperature(game)
        rows.append(row(CLAIM, "GS: contracts above", contracts, exact=contracts, agents=count))
        rows.append(row(CLAIM, "GS: several fixed points below", several, exact=several, agents=count))
        if contracts:
            (point,) = fixed_points(game, contracts * 1.01)
            earned = float(game.squeeze(torch.tensor(point * count, dtype=torch.float64))) / game.optimum()[1]
            rows.append(row(CLAIM, "GS: mean number just above", point, exact=point, agents=count))
            rows.append(row(CLAIM, "GS: G(N y) / G* just above", earned, exact=earned, agents=count))
            slope = largest_slope(game, contracts * 1.01)
            rows.append(row(CLAIM, "GS: largest slope just above", slope, exact=1 / 1.01, agents=count))
        for damping in dampings:
            flips = flip_temperature(game, damping)
            rows.append(row(CLAIM, "GS: flips to period 2 below", flips, exact=flips, agents=count, damping=damping))
    return table(rows)


def bifurcation(seed: int, *, agents: int, temperatures: int, dampings: Sequence[float]) -> pd.DataFrame:
    """Mean numbers that play visits in the long run against T, from three starts, with and without damping."""
    game = GaussianSqueeze(agents)
    rows = []
    for temperature in np.geomspace(0.3, 60, temperatures).tolist():
        for damping in dampings:
            play = iterate_number(game, temperature, [0.5, 4.0, 8.0], damping=damping, steps=1500)[-8:]
            for number, value in enumerate(sorted(set(play.round(4).flatten().tolist()))):
                setting = Setting({"agents": agents, "temperature": temperature, "damping": damping, "point": number})
                rows.append(row(CLAIM, "GS: mean number in the long run", value, **setting))
    return table(rows)


def squeeze_networks_contract(seed: int, *, agents: int, seeds: int, steps: int) -> pd.DataFrame:
    """K of MF-Q's own networks on Gaussian Squeeze, the T that it asks for, and the T from which play converges."""
    agent, _ = squeeze_networks(agents, tuple(range(seed, seed + seeds)), steps)
    generator = torch.Generator().manual_seed(seed)
    exponential = -torch.log1p(-torch.rand(seeds, agents, 10, generator=generator))
    somewhere = exponential / exponential.sum(-1, keepdim=True)
    found = lipschitz_constants(_jacobians(agent, somewhere).double().numpy())
    even = torch.full((seeds, agents, 10), 0.1)
    locally = lipschitz_constants(_jacobians(agent, even).double().numpy())
    truth = [_network_threshold(agent, one) for one in range(seeds)]
    rows: list[Row] = []
    for name, largest, local in (
        ("l2 operator", found.l2_operator, locally.l2_operator),
        ("l1 per action", found.l1_per_action, locally.l1_per_action),
        ("l2 per action", found.l2_per_action, locally.l2_per_action),
    ):
        how: Constant = name  # type: ignore[assignment]
        k = np.maximum(largest.max(1), local.max(1))
        setting = Setting({"agents": agents, "K": name})
        rows.append(mean_row(CLAIM, "GS network: K", k.tolist(), **setting))
        enough = [sufficient_temperature(float(one), how) for one in k]
        rows.append(mean_row(CLAIM, "GS network: K asks for T above", enough, **setting))
    rows.append(mean_row(CLAIM, "GS network: play converges for T above", truth, agents=agents))
    rows.append(
        row(CLAIM, "GS network: T that it was trained and is judged at", 0.0, exact=0.0, n=seeds, agents=agents)
    )
    return table(rows)


def ising_tables_contract(seed: int, *, size: int, seeds: int, sweeps: int) -> pd.DataFrame:
    """K / 2 of MF-Q's own tables on the Ising model against the tau that they were learned at."""
    temperatures = (0.8, 1.2, 2.0)
    agent = ising_tables(size, temperatures, tuple(range(seed, seed + seeds)), sweeps)
    rows = []
    for tau, tables in zip(temperatures, agent.q_table.double(), strict=True):
        # Per unit of the fraction that is up, neighbouring entries being a quarter apart.
        k = (tables.diff(dim=-2).abs() * 4).flatten(1)
        setting = Setting({"temperature": tau, "size": size, "sweeps": sweeps})
        asked = (k.amax(1) / 2).tolist()
        rows.append(mean_row(CLAIM, "Ising table: T > K/2 asks for tau above", asked, exact=2.0, **setting))
        rows.append(mean_row(CLAIM, "Ising table: mean K/2", (k.mean(1) / 2).tolist(), exact=2.0, **setting))
    return table(rows)


def _slope(measured: Constant, temperature: float) -> float:
    """Slope at even play of the map abar -> policy of the sharp example with K = 1, by differences."""
    values, step = sharp_values(1.0, measured), 1e-6

    def up(share: float) -> float:
        low, high = values(np.array([1 - share, share]))
        return 1 / (1 + float(np.exp((low - high) / temperature)))

    return (up(0.5 + step) - up(0.5 - step)) / (2 * step)


def _coupled_factor(tau: float, size: int, sweeps: int, seed: int) -> float:
    """Factor a sweep by which two lattices under the same draws come together, from the middle to the end."""
    game = Ising(size)
    agent = TabularMFQ(game, [seed, seed + 1], temperatures=[tau], start_temperature=0.0)
    for up in range(5):
        agent.q_table[..., up, 0], agent.q_table[..., up, 1] = 2.0 - up, up - 2.0
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


def _jacobians(agent: MFQ, mean_action: Tensor) -> Tensor:
    """`dQ_j(a)/dabar(b)` of all agents at `mean_action` `[seeds, N, D]`: `[seeds, N, D, D]`."""
    at = mean_action.clone().requires_grad_()
    values = agent.network(None, at)
    rows = [torch.autograd.grad(values[..., a].sum(), at, retain_graph=True)[0] for a in range(values.shape[-1])]
    return torch.stack(rows, -2)


@lru_cache(maxsize=1)
def _temperatures() -> tuple[float, ...]:
    return tuple(np.geomspace(100, 1e-3, 16).tolist())


def _network_threshold(agent: MFQ, seed: int) -> float:
    """The lowest T of a grid from which up play from even policies rests at a point with spectral radius below 1."""
    threshold = _temperatures()[0]
    for temperature in _temperatures():
        radius = _network_radius(agent, seed, temperature)
        if not radius < 1:
            return threshold
        threshold = temperature
    return threshold


def _network_radius(agent: MFQ, seed: int, temperature: float) -> float:
    policies = torch.full((len(agent.seeds), agent.environment.agents, agent.environment.actions), 0.1)
    with torch.no_grad():
        for _ in range(300):
            following = boltzmann_policy(agent.network(None, mean_policy(policies)), temperature)
            change = float((following - policies)[seed].abs().max())
            policies = policies + (following - policies) / 2
            if change < 1e-5:
                break
    if change >= 1e-5:
        return float("inf")
    jacobians = _jacobians(agent, mean_policy(policies))[seed].double().numpy()
    probabilities = policies[seed].double().numpy()
    return policy_map_radius(probabilities / probabilities.sum(-1, keepdims=True), jacobians, temperature)

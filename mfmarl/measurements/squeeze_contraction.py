"""TH-2 measured in Gaussian Squeeze: thresholds of the mean number map, and the K of MF-Q's own networks."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mfmarl.algorithms.q_learning import MFQ
from mfmarl.environments import GaussianSqueeze
from mfmarl.mean_field import boltzmann_policy, mean_action_of_others, mean_policy, simplex_points
from mfmarl.measurements.rows import Row, Setting, mean_row, row, share_row, table
from mfmarl.measurements.training import squeeze_networks
from mfmarl.theory.contraction import (
    contraction_temperature,
    fixed_points,
    flip_temperature,
    iterate_number,
    largest_slope,
    several_temperature,
)
from mfmarl.theory.softmax import Constant, lipschitz_constants, policy_map_radius, sufficient_temperature

CLAIM = "TH-2"
INSIDE = 20  # mean actions per agent, drawn uniformly from the simplex, at which the derivative of Q is taken
HOTTEST, COLDEST = 100.0, 1e-3  # range of temperatures at which the networks' play is examined, in units of Q


def thresholds(seed: int, *, agents: Sequence[int], dampings: Sequence[float]) -> pd.DataFrame:
    """Compute where the mean number map of Gaussian Squeeze contracts and flips, and what play earns there."""
    rows = []
    for count in agents:
        game = GaussianSqueeze(count)
        several = several_temperature(game)
        rows.append(row(CLAIM, "GS: several fixed points below", several, exact=several, agents=count))
        for damping in dampings:
            contracts, flips = contraction_temperature(game, damping), flip_temperature(game, damping)
            setting = Setting({"agents": count, "damping": damping})
            rows.append(row(CLAIM, "GS: contracts above", contracts, exact=contracts, **setting))
            rows.append(row(CLAIM, "GS: flips to period 2 below", flips, exact=flips, **setting))
        contracts = contraction_temperature(game)
        if contracts:
            (point,) = fixed_points(game, contracts * 1.01)
            earned = float(game.squeeze(torch.tensor(point * count, dtype=torch.float64))) / game.optimum()[1]
            rows.append(row(CLAIM, "GS: mean number just above", point, exact=point, agents=count))
            rows.append(row(CLAIM, "GS: G(N y) / G* just above", earned, exact=earned, agents=count))
            slope = largest_slope(game, contracts * 1.01)
            rows.append(row(CLAIM, "GS: largest slope just above", slope, exact=1 / 1.01, agents=count))
    return table(rows)


def bifurcation(seed: int, *, agents: int, temperatures: int, dampings: Sequence[float]) -> pd.DataFrame:
    """Record the mean numbers that play visits in the long run against T, from three starts and by damping."""
    game = GaussianSqueeze(agents)
    rows = []
    for temperature in np.geomspace(0.3, 60, temperatures).tolist():
        for damping in dampings:
            play = iterate_number(game, temperature, [0.5, 4.0, 8.0], damping=damping, steps=1500)[-8:]
            for number, value in enumerate(sorted(set(play.round(4).flatten().tolist()))):
                setting = Setting({"agents": agents, "temperature": temperature, "damping": damping, "point": number})
                rows.append(row(CLAIM, "GS: mean number in the long run", value, **setting))
    return table(rows)


def networks(seed: int, *, agents: int, seeds: int, steps: int) -> pd.DataFrame:
    """Measure the K of MF-Q's own networks, the T that it requires, and the T above which play is locally stable.

    The largest derivative of a ReLU network at a number of points is a lower bound of K.
    """
    agent, data = squeeze_networks(agents, tuple(range(seed, seed + seeds)), steps)
    generator = torch.Generator().manual_seed(seed)
    played = data.state_dict()["previous"]
    last = mean_action_of_others(played, 10)
    points = [*_points((seeds, agents), generator), last]
    found = [lipschitz_constants(_jacobians(agent, point).double().numpy()) for point in points]
    rows: list[Row] = [
        row(CLAIM, "GS network: mean actions at which K was looked for", len(points) * agents, agents=agents)
    ]
    names: dict[Constant, int] = {"l2 operator": 0, "l1 per action": 1, "l2 per action": 2}
    for name, field in names.items():
        k = np.max([each[field].max(1) for each in found], axis=0)
        enough = [sufficient_temperature(float(one), name) for one in k]
        setting = Setting({"agents": agents, "K": name})
        rows.append(mean_row(CLAIM, "GS network: K is at least", k.tolist(), **setting))
        rows.append(mean_row(CLAIM, "GS network: K asks for T above at least", enough, **setting))
    stable = [_stable_above(agent, one) for one in range(seeds)]
    for one, temperature in enumerate(stable):
        rows.append(
            row(CLAIM, "GS network: play is locally stable for T above", temperature, agents=agents, network=one)
        )
    setting = Setting({"agents": agents, "coldest": COLDEST})
    for which, value in (("median", np.median(stable)), ("largest", max(stable))):
        what = f"GS network: play is locally stable for T above, {which}"
        rows.append(row(CLAIM, what, float(value), n=seeds, **setting))
    censored = sum(temperature == COLDEST for temperature in stable)
    rows.append(share_row(CLAIM, "GS network: stable down to the coldest T looked at", censored, seeds, **setting))
    return table(rows)


def _points(shape: tuple[int, int], generator: torch.Generator) -> Iterator[Tensor]:
    """Yield mean actions `[*shape, 10]`: even play, all vertices, a point of every edge, and uniformly drawn points."""
    vertices = torch.eye(10)
    yield torch.full((*shape, 10), 0.1)
    for vertex in vertices:
        yield vertex.expand(*shape, 10)
    for one, other in torch.combinations(torch.arange(10)).tolist():
        weight = torch.rand(*shape, 1, generator=generator)
        yield weight * vertices[one] + (1 - weight) * vertices[other]
    for _ in range(INSIDE):
        yield simplex_points(torch.rand(*shape, 10, generator=generator))


def _jacobians(agent: MFQ, mean_action: Tensor) -> Tensor:
    """Return `dQ_j(a)/dabar(b)` of all agents, `[seeds, N, D, D]`, at `mean_action` `[seeds, N, D]`."""
    at = mean_action.clone().requires_grad_()
    values = agent.network(None, at)
    rows = [torch.autograd.grad(values[..., a].sum(), at, retain_graph=True)[0] for a in range(values.shape[-1])]
    return torch.stack(rows, -2)


def _stable_above(agent: MFQ, seed: int) -> float:
    """Return the T down to which a network's play stays locally stable, or COLDEST if no lower limit is found.

    Play at T is stable if, from even policies, it converges to a point with a spectral radius below 1. The search cools
    play from HOTTEST to the first unstable T of a coarse grid; then bisection finds the change to 1%.
    """
    grid = np.geomspace(HOTTEST, COLDEST, 16).tolist()
    stable = HOTTEST
    for temperature in grid:
        if _radius(agent, seed, temperature) >= 1:
            unstable = temperature
            break
        stable = temperature
    else:
        return COLDEST
    while stable / unstable > 1.01:
        middle = float(np.sqrt(stable * unstable))
        if _radius(agent, seed, middle) < 1:
            stable = middle
        else:
            unstable = middle
    return stable


def _radius(agent: MFQ, seed: int, temperature: float) -> float:
    """Return the spectral radius of the policy map where damped play from even policies converges, else infinity."""
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

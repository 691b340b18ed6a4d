"""TH-1 measured: the remainder against its bounds and against n, in Gaussian Squeeze, and for MF-Q's learned Q."""

from collections.abc import Callable, Sequence
from math import nan, sqrt
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from mfmarl.environments import GaussianSqueeze
from mfmarl.mean_field import simplex_points
from mfmarl.measurements.rows import Row, Setting, mean_row, row, share_row, table
from mfmarl.measurements.training import ising_tables, network_values, squeeze_networks
from mfmarl.theory.approximation import (
    Values,
    hessian,
    mean_neighbour_action,
    pairwise_fit,
    remainder,
    remainder_bound,
    remainder_terms,
    secant_curvature,
    simplex_gap,
    tangential_norm,
)

CLAIM = "TH-1"
NEAR = 0.9  # share of the bound above which |e| counts as near it
AGREED, EVEN = 0.9, 0.2  # a mean action is at a corner if its largest share is at least AGREED, and even up to EVEN
ALONG = 17  # points from abar to each a^k at which the Hessian is taken; the true M_t may be larger for non-quadratics


def bounds(seed: int, *, draws: int) -> pd.DataFrame:
    """Measure |e| / M_t against 1 - |abar|^2 for M-smooth Qs; M_t is the largest at 17 points from abar to each a^k.

    The simplex of two actions is a line, on which every quadratic Q has constant curvature and attains the bound.
    Therefore the results for three or more actions are also given separately.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for kind, make in SMOOTH.items():
        ratios, several, terms = [], [], []
        for draw in range(draws):
            actions = int(torch.randint(2, 11, (), generator=generator))
            count = int(torch.randint(2, 21, (), generator=generator))
            values = make(actions, generator)
            policy = simplex_points(torch.rand(actions, generator=generator, dtype=torch.float64))
            neighbours = _neighbours(policy, count, generator)
            mean = mean_neighbour_action(neighbours)
            curvature, whole = _curvature(values, neighbours)
            gap = float(simplex_gap(mean))
            if gap == 0 or curvature == 0:
                continue
            error = float(remainder(values, neighbours).abs()) / curvature
            setting = Setting({"values": kind, "actions": actions, "neighbours": count, "draw": draw})
            rows.append(row(CLAIM, "|e| over M_t, exact is the bound", error, exact=gap / 2, **setting))
            ratios.append(error / (gap / 2))
            if actions > 2:
                several.append(ratios[-1])
            terms.append(float(remainder_terms(values, neighbours).abs().max()) / (2 * whole))
        rows.append(row(CLAIM, "largest |e| over its bound", max(ratios), exact=1.0, n=len(ratios), values=kind))
        most = max(several)
        name = "largest |e| over its bound, three actions or more"
        rows.append(row(CLAIM, name, most, exact=1.0, n=len(several), values=kind))
        near = sum(ratio > NEAR for ratio in ratios)
        rows.append(share_row(CLAIM, f"share of |e| above {NEAR} of its bound", near, len(ratios), values=kind))
        rows.append(row(CLAIM, "largest |R_k| over the paper's 2 M", max(terms), n=len(terms), values=kind))
    return table(rows)


def growth(seed: int, *, neighbours: Sequence[int], draws: int) -> pd.DataFrame:
    """Measure the mean of e against n for independent, even neighbours. It is exactly (1 - 1/n) tr(H S(p)) / 2."""
    generator = torch.Generator().manual_seed(seed)
    actions = 5
    policy = torch.full((actions,), 1 / actions, dtype=torch.float64)
    covariance = torch.diag(policy) - policy.outer(policy)
    centred = torch.eye(actions, dtype=torch.float64) - 1 / actions
    signs = torch.diag(torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0], dtype=torch.float64))
    rows = []
    for kind, matrix in (("convex", centred), ("curvatures that cancel", signs)):
        for count in neighbours:
            drawn = _neighbours(policy, count, generator, draws)
            error = remainder(_quadratic(matrix), drawn).tolist()
            exact = float((matrix * covariance).sum()) / 2 * (1 - 1 / count)
            rows.append(mean_row(CLAIM, "mean e against n", error, exact=exact, values=kind, neighbours=count))
    return table(rows)


def pairwise(seed: int, *, agents: Sequence[int]) -> pd.DataFrame:
    """Compute the exact R^2 of the best pairwise fit, Eq. 5, to the reward of Gaussian Squeeze under uniform play."""
    rows = []
    for count in agents:
        for own in (0, 4, 9):
            fit = pairwise_fit(GaussianSqueeze(count), own)
            setting = Setting({"agents": count, "own_action": own})
            rows.append(row(CLAIM, "R^2 of the best pairwise fit", fit, exact=fit, **setting))
    return table(rows)


def squeeze(seed: int, *, agents: int, seeds: int, steps: int, draws: int) -> pd.DataFrame:
    """Measure the remainder of MF-Q's own (ReLU) networks on Gaussian Squeeze.

    The remainder compares Q(abar) with Q at the corners of the simplex, where all neighbours choose the same action.
    Also measured is how often training visited such mean actions.
    """
    agent, data = squeeze_networks(agents, tuple(range(seed, seed + seeds)), steps)
    generator = torch.Generator().manual_seed(seed)
    who = torch.randint(agents, (seeds, draws), generator=generator)
    own = torch.randint(10, (seeds, draws), generator=generator)
    values = network_values(agent, who, own)
    played = torch.nn.functional.one_hot(data.state_dict()["previous"], 10).float()
    everyone = torch.arange(agents)
    others = torch.stack([everyone[everyone != j] for j in range(agents)])[who]
    met = torch.stack([joint[index] for joint, index in zip(played, others, strict=True)])
    even = torch.full((10,), 0.1, dtype=torch.float64)
    uniform = _neighbours(even, agents - 1, generator, seeds * draws).float().view(seeds, draws, agents - 1, 10)
    rows = training_mean_actions(data.state_dict()["buffer"]["total"].double() / agents, agents)
    for where, neighbours in (("last play", met), ("uniform play", uniform)):
        error = remainder(values, neighbours).detach()
        mean = mean_neighbour_action(neighbours)
        at_mean = values(mean).detach()
        spread = at_mean.std(1)
        secant = secant_curvature(values, neighbours).detach()
        curvatures = hessian(values, mean)
        largest = tangential_norm(curvatures).amax(1)
        setting = Setting({"neighbours": where, "agents": agents})
        rows += [
            mean_row(CLAIM, "GS network: mean |e|", error.abs().mean(1).tolist(), **setting),
            mean_row(
                CLAIM, "GS network: mean |e| over spread of Q", (error.abs().mean(1) / spread).tolist(), **setting
            ),
            mean_row(
                CLAIM,
                "GS network: mean |e| over mean Q",
                (error.abs() / at_mean.mean(1, True)).mean(1).tolist(),
                **setting,
            ),
            mean_row(CLAIM, "GS network: largest secant curvature", secant.amax(1).tolist(), **setting),
            mean_row(CLAIM, "GS network: largest tangential Hessian", largest.tolist(), **setting),
            mean_row(
                CLAIM,
                "GS network: share of |e| above the Hessian's bound",
                (error.abs() > remainder_bound(curvatures, mean) + 1e-5).double().mean(1).tolist(),
                **setting,
            ),
        ]
    return table(rows)


def training_mean_actions(shares: Tensor, agents: int) -> list[Row]:
    """Measure how often the shares of actions in training, `[seeds, steps, D]`, were even or at a corner."""
    most, which = shares.max(-1)
    at_corner = torch.nn.functional.one_hot(which, shares.shape[-1]) * (most >= AGREED).unsqueeze(-1)
    by_corner = at_corner.double().mean(1)
    favourite = by_corner.amax(1)
    found = {
        f"at most {EVEN} of the agents on an action": (most <= EVEN).double().mean(1),
        f"{AGREED} of the agents on the action met most": favourite,
        f"{AGREED} of the agents on any other action": by_corner.sum(1) - favourite,
    }
    return [
        mean_row(CLAIM, f"GS network: share of training with {name}", share.tolist(), agents=agents)
        for name, share in found.items()
    ]


def ising(seed: int, *, size: int, seeds: int, sweeps: int) -> pd.DataFrame:
    """Measure the remainder of MF-Q's tables on the Ising model; it is 0 if Q(a, .) is linear in abar, as in Eq. 5."""
    temperatures = (0.8, 1.2, 2.0)
    agent = ising_tables(size, temperatures, tuple(range(seed, seed + seeds)), sweeps)
    rows = []
    for tau, tables in zip(temperatures, agent.q_table.double(), strict=True):
        by_seed = tables.view(seeds, -1, 5, 2).movedim(-1, 1).reshape(seeds, -1, 5)
        # With two neighbours up the reward is 0, so Q stays 0 whether the entry is visited or not.
        unvisited = (by_seed == 0) & (torch.arange(5) != 2)
        complete = ~unvisited.any(-1)
        found = table_remainders(by_seed)
        error = found.error.amax(-1)
        whole = [float(e[all_met].max()) for e, all_met in zip(error, complete, strict=True) if all_met.any()]
        setting = Setting({"temperature": tau, "size": size, "sweeps": sweeps})
        for name, scores, exact in (
            ("share of entries never visited", _share(unvisited[..., [0, 1, 3, 4]]), nan),
            ("mean over rows of max |e|", error.mean(1).tolist(), 0.0),
            ("mean over rows of the bound at even play", (found.curvature / 4).mean(1).tolist(), 0.0),
            ("mean over rows of the largest secant curvature", found.secant.amax(-1).mean(1).tolist(), 0.0),
            ("mean over rows of M_t", found.curvature.mean(1).tolist(), 0.0),
        ):
            rows.append(mean_row(CLAIM, f"Ising table: {name}", scores, exact=exact, **setting))
        if whole:
            name = "Ising table: largest |e| where all entries were visited"
            rows.append(mean_row(CLAIM, name, whole, exact=0.0, **setting))
    return table(rows)


class TableRemainders(NamedTuple):
    """Remainders of tables `[..., 5]` of Q(a, .) at 0 to 4 neighbours up, at the three inner entries, `[..., 3]`."""

    error: Tensor  #: |e| `[..., 3]`
    secant: Tensor  #: 2 |e| / (1 - |abar|^2) `[..., 3]`
    curvature: Tensor  #: M_t `[...]`, see `table_remainders`
    bound: Tensor  #: (M_t / 2) (1 - |abar|^2) `[..., 3]`


def table_remainders(tables: Tensor) -> TableRemainders:
    """Return the remainder of tables of two actions and four neighbours, and its bound.

    A table has second differences D2 instead of a Hessian. Along the share f of neighbours that are up,
    `Q'' = 16 D2`, and a unit of f is sqrt 2 long inside the simplex, so `M_t = 8 max |D2|`. The bound is then
    `8 max |D2| f (1 - f)`. It equals |e| if all second differences of the table are equal, and |e| never exceeds it.
    """
    ups = torch.tensor([[k < up for k in range(4)] for up in (1, 2, 3)])
    neighbours = torch.nn.functional.one_hot(ups.long(), 2).double().expand(*tables.shape[:-1], 3, 4, 2)

    def lookup(action: Tensor) -> Tensor:
        up = (action[..., 1] * 4).round().long()
        return tables.gather(-1, up.flatten(tables.dim() - 1)).view(up.shape)

    error, gap = remainder(lookup, neighbours).abs(), simplex_gap(mean_neighbour_action(neighbours))
    curvature = 8 * tables.diff(n=2, dim=-1).abs().amax(-1)
    return TableRemainders(error, secant_curvature(lookup, neighbours), curvature, curvature.unsqueeze(-1) / 2 * gap)


def _share(mask: Tensor) -> list[float]:
    return [float(share) for share in mask.double().flatten(1).mean(1)]


def _neighbours(policy: Tensor, count: int, generator: torch.Generator, draws: int | None = None) -> Tensor:
    """Draw independent one-hot actions, `[draws, count, D]`, or `[count, D]` if `draws` is None."""
    drawn = torch.multinomial(policy, (draws or 1) * count, replacement=True, generator=generator)
    actions = torch.nn.functional.one_hot(drawn, len(policy)).double()
    return actions if draws is None else actions.view(draws, count, len(policy))


def _curvature(values: Values, neighbours: Tensor) -> tuple[float, float]:
    """Return the largest tangential norm and the largest full norm of the Hessian on the lines from abar to the a^k."""
    mean = mean_neighbour_action(neighbours)
    along = torch.linspace(0, 1, ALONG, dtype=torch.float64).view(-1, 1, 1)
    second = hessian(values, torch.lerp(mean.expand_as(neighbours), neighbours, along))
    return float(tangential_norm(second).max()), float(torch.linalg.eigvalsh(second).abs().max())


def _quadratic(matrix: Tensor) -> Values:
    return lambda action: torch.einsum("...i,ij,...j->...", action, matrix, action) / 2


def _tanh_network(actions: int, generator: torch.Generator) -> Values:
    first = torch.randn(actions, 32, generator=generator, dtype=torch.float64)
    second = torch.randn(32, generator=generator, dtype=torch.float64) / sqrt(32)
    return lambda action: torch.tanh(action @ first) @ second


def _convex(actions: int, generator: torch.Generator) -> Values:
    factor = torch.randn(actions, actions, generator=generator, dtype=torch.float64)
    return _quadratic(factor @ factor.T)


def _indefinite(actions: int, generator: torch.Generator) -> Values:
    factor = torch.randn(actions, actions, generator=generator, dtype=torch.float64)
    return _quadratic(factor + factor.T)


def _square(actions: int, generator: torch.Generator) -> Values:
    return _quadratic(torch.eye(actions, dtype=torch.float64))


SMOOTH: dict[str, Callable[[int, torch.Generator], Values]] = {
    "tanh network": _tanh_network,
    "convex quadratic": _convex,
    "indefinite quadratic": _indefinite,
    "|x|^2 / 2": _square,
}

"""The equations of mean field reinforcement learning as pure functions of tensors.

Read this file first. The last dimension is always the action's, of size D; the one before it is the agents'.
Yang et al., *Mean Field Multi-Agent Reinforcement Learning*, ICML 2018, Eqs. 10 to 12.
"""

import torch
from torch import Tensor


def mean_action(own: Tensor, total: Tensor, agents: int) -> Tensor:
    """Mean action of the neighbours of each agent: Eq. 11, the neighbours of j being all other agents.

    `abar^j = (1 / N^j) sum_{k in N(j)} a^k = (total - a^j) / (N - 1)`

    Args:
        own: `[..., n]` int64, the action a^j of each of n agents.
        total: `[..., n or 1, D]`, the one-hot actions of all N agents added up.
        agents: N, at least 2.

    Returns:
        `[..., n, D]`, each row a distribution over actions.

    Raises:
        ValueError: fewer than 2 agents: a single one has no neighbours.
    """
    _check_agents(agents)
    others = total.expand(*own.shape, total.shape[-1]).clone()
    index = own.unsqueeze(-1)
    return others.scatter_add_(-1, index, others.new_full((1,), -1.0).expand(index.shape)).div_(agents - 1)


def mean_action_of_others(actions: Tensor, count: int) -> Tensor:
    """Eq. 11 of a whole joint action, the neighbours of each agent being all others.

    Args:
        actions: `[..., N]` int64, N at least 2.
        count: D, the number of actions.

    Returns:
        `[..., N, D]`, as of `mean_action`.

    Raises:
        ValueError: fewer than 2 agents.
    """
    return mean_action(actions, action_counts(actions, count).unsqueeze(-2), actions.shape[-1])


def mean_policy(policies: Tensor) -> Tensor:
    """Expectation of Eq. 11 when agent k draws a^k from row k of `policies` `[..., N, D]`: `[..., N, D]`.

    Raises ValueError for fewer than 2 agents.
    """
    _check_agents(policies.shape[-2])
    return (policies.sum(-2, keepdim=True) - policies) / (policies.shape[-2] - 1)


def action_counts(actions: Tensor, count: int, alive: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """How many agents chose each action.

    Args:
        actions: `[..., N]` int64.
        count: D, the number of actions.
        alive: `[..., N]` bool, the agents that count. None: all.
        dtype: of the counts. None: torch's default.

    Returns:
        `[..., D]`.
    """
    counts = torch.zeros(*actions.shape[:-1], count, dtype=dtype, device=actions.device)
    if alive is None:
        return counts.scatter_add_(-1, actions, counts.new_ones(1).expand(actions.shape))
    return counts.scatter_add_(-1, actions.where(alive, 0), alive.to(counts.dtype))


def frequencies(counts: Tensor) -> Tensor:
    """Mean action of those whose `action_counts` are `[..., D]`, themselves included: zero if nobody acted.

    Battle's mean action: Eq. 11 over the living of the agent's own army.
    """
    return counts.to(torch.float32) / counts.sum(-1, keepdim=True).clamp(min=1)


def simplex_points(uniform: Tensor) -> Tensor:
    """Mean actions drawn evenly from the simplex, from `uniform` draws `[..., D]` in [0, 1): `[..., D]`."""
    exponential = -torch.log1p(-uniform)
    return exponential / exponential.sum(-1, keepdim=True)


def boltzmann_policy(values: Tensor, temperature: float) -> Tensor:
    """Policy of Eq. 12, `pi(a) = exp(Q(a) / T) / sum_b exp(Q(b) / T)`, over `values` `[..., D]`.

    The printed equation has `exp(-beta Q)`, under which agents minimise reward. `temperature` T is in units of
    Q; T = 0, or too small for the type of `values`, is the limit: greedy, with maximisers that tie equally likely.
    Raises ValueError for a negative temperature.
    """
    _check_temperature(temperature)
    best = values.amax(-1, keepdim=True)
    if temperature < torch.finfo(values.dtype).tiny:
        weights = (values == best).to(values.dtype)
    else:
        weights = ((values - best) / temperature).exp()
    return weights / weights.sum(-1, keepdim=True)


def mean_field_value(policy: Tensor, values: Tensor) -> Tensor:
    """Value of Eq. 10, `v = sum_a pi(a) Q(a)`: two tensors `[..., D]` to `[...]`."""
    return (policy * values).sum(-1)


def boltzmann_value(values: Tensor, temperature: float) -> Tensor:
    """Eq. 10 under the policy of Eq. 12: `[..., D]` to `[...]`. At T = 0 it is the maximum.

    Raises ValueError for a negative temperature.
    """
    _check_temperature(temperature)
    if temperature < torch.finfo(values.dtype).tiny:
        return values.amax(-1)
    return mean_field_value(boltzmann_policy(values, temperature), values)


def chosen(values: Tensor, action: Tensor) -> Tensor:
    """The values at the actions taken, `Q(a)`: `[..., D]` and `[...]` int64 to `[...]`."""
    return values.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def _check_agents(agents: int) -> None:
    if not agents >= 2:
        raise ValueError(f"agents must be at least 2, since the neighbours of an agent are the others, got {agents}")


def _check_temperature(temperature: float) -> None:
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")

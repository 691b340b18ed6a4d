"""The equations of mean field reinforcement learning as pure functions of tensors.

Read this file first. The last dimension always runs over the D actions; the one before it runs over the agents.
Yang et al., *Mean Field Multi-Agent Reinforcement Learning*, ICML 2018, Eqs. 10 to 12.
"""

import torch
from torch import Tensor


def mean_action(own: Tensor, total: Tensor, agents: int) -> Tensor:
    """Return the mean action of each agent's neighbours, Eq. 11. The neighbours of agent j are all other agents.

    `abar^j = (1 / N^j) sum_{k in N(j)} a^k = (total - a^j) / (N - 1)`

    Args:
        own: action a^j of each of n agents, `[..., n]` int64.
        total: sum of the one-hot actions of all N agents, `[..., n or 1, D]`.
        agents: number of all agents N, at least 2.

    Returns:
        Mean actions `[..., n, D]`; each row is a distribution over actions.

    Raises:
        ValueError: there are fewer than 2 agents, and a single agent has no neighbours.
    """
    _check_agents(agents)
    others = total.expand(*own.shape, total.shape[-1]).clone()
    index = own.unsqueeze(-1)
    return others.scatter_add_(-1, index, others.new_full((1,), -1.0).expand(index.shape)).div_(agents - 1)


def mean_action_of_others(actions: Tensor, count: int) -> Tensor:
    """Return the mean action of Eq. 11 for every agent of a joint action. The neighbours of an agent are all others.

    Args:
        actions: joint action `[..., N]` int64, with N at least 2.
        count: number of actions D.

    Returns:
        Mean actions `[..., N, D]`, as in `mean_action`.

    Raises:
        ValueError: there are fewer than 2 agents.
    """
    return mean_action(actions, action_counts(actions, count).unsqueeze(-2), actions.shape[-1])


def mean_policy(policies: Tensor) -> Tensor:
    """Return the expected mean action, Eq. 11, when each agent k draws a^k from its own policy.

    Args:
        policies: policies of N agents over D actions, `[..., N, D]`, with N at least 2.

    Returns:
        Expected mean action of each agent's neighbours, `[..., N, D]`.

    Raises:
        ValueError: there are fewer than 2 agents.
    """
    _check_agents(policies.shape[-2])
    return (policies.sum(-2, keepdim=True) - policies) / (policies.shape[-2] - 1)


def action_counts(actions: Tensor, count: int, alive: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
    """Count the agents that chose each action.

    Args:
        actions: actions of N agents, `[..., N]` int64.
        count: number of actions D.
        alive: agents to count, `[..., N]` bool. None: all.
        dtype: type of the counts. None: torch's default.

    Returns:
        The counts, `[..., D]`.
    """
    counts = torch.zeros(*actions.shape[:-1], count, dtype=dtype, device=actions.device)
    if alive is None:
        return counts.scatter_add_(-1, actions, counts.new_ones(1).expand(actions.shape))
    return counts.scatter_add_(-1, actions.where(alive, 0), alive.to(counts.dtype))


def frequencies(counts: Tensor) -> Tensor:
    """Return the mean action of a group from its `action_counts` `[..., D]`, or zeros if nobody in it acted.

    It is the mean action of Battle: Eq. 11 over all living agents of an agent's own army, the agent included.
    """
    return counts.to(torch.float32) / counts.sum(-1, keepdim=True).clamp(min=1)


def simplex_points(uniform: Tensor) -> Tensor:
    """Turn `uniform` draws `[..., D]` in [0, 1) into mean actions `[..., D]`, uniformly distributed on the simplex."""
    exponential = -torch.log1p(-uniform)
    return exponential / exponential.sum(-1, keepdim=True)


def boltzmann_policy(values: Tensor, temperature: float) -> Tensor:
    """Return the Boltzmann policy of Eq. 12, `pi(a) = exp(Q(a) / T) / sum_b exp(Q(b) / T)`.

    The printed equation has `exp(-beta Q)`, under which agents would minimise their reward.

    Args:
        values: values Q(a) of the D actions, `[..., D]`.
        temperature: T in units of Q, at least 0. If T is 0, or too small for the type of `values`, the policy is
            greedy, and actions that tie for the largest value are equally likely.

    Returns:
        Probabilities of the actions, `[..., D]`.

    Raises:
        ValueError: the temperature is negative.
    """
    _check_temperature(temperature)
    best = values.amax(-1, keepdim=True)
    if temperature < torch.finfo(values.dtype).tiny:
        weights = (values == best).to(values.dtype)
    else:
        weights = ((values - best) / temperature).exp()
    return weights / weights.sum(-1, keepdim=True)


def mean_field_value(policy: Tensor, values: Tensor) -> Tensor:
    """Return the value of Eq. 10, `v = sum_a pi(a) Q(a)`, `[...]`, from `policy` and `values`, both `[..., D]`."""
    return (policy * values).sum(-1)


def boltzmann_value(values: Tensor, temperature: float) -> Tensor:
    """Return the value of Eq. 10 under the policy of Eq. 12, `[...]`, from `values` `[..., D]`.

    At temperature 0 it is the maximum. Raises ValueError if the temperature is negative.
    """
    _check_temperature(temperature)
    if temperature < torch.finfo(values.dtype).tiny:
        return values.amax(-1)
    return mean_field_value(boltzmann_policy(values, temperature), values)


def chosen(values: Tensor, action: Tensor) -> Tensor:
    """Return the values Q(a) of the actions taken, `[...]`, from `values` `[..., D]` and `action` `[...]` int64."""
    return values.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def _check_agents(agents: int) -> None:
    if not agents >= 2:
        raise ValueError(f"agents must be at least 2, since the neighbours of an agent are the others, got {agents}")


def _check_temperature(temperature: float) -> None:
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")

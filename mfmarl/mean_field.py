"""The equations of mean field reinforcement learning as pure functions of tensors.

Read this file first. The last dimension is always the action's, of size D; the one before it is the agents'.
Yang et al., *Mean Field Multi-Agent Reinforcement Learning*, ICML 2018, Eqs. 10 to 12.
"""

import torch
from torch import Tensor


def mean_action(own: Tensor, total: Tensor, agents: int) -> Tensor:
    """Mean action of the neighbours of each agent: Eq. 11, the neighbours of j being all other agents.

    ``abar^j = (1 / N^j) sum_{k in N(j)} a^k = (total - a^j) / (N - 1)``

    Args:
        own: ``[..., n]`` int64, the action a^j of each of n agents.
        total: ``[..., n or 1, D]``, the one-hot actions of all N agents added up.
        agents: N, at least 2.

    Returns:
        ``[..., n, D]``, each row a distribution over actions.
    """
    others = total.expand(*own.shape, total.shape[-1]).clone()
    index = own.unsqueeze(-1)
    return others.scatter_add_(-1, index, others.new_full((1,), -1.0).expand(index.shape)).div_(agents - 1)


def mean_policy(policies: Tensor) -> Tensor:
    """Expectation of Eq. 11 when agent k draws a^k from row k of ``policies`` ``[..., N, D]``: ``[..., N, D]``."""
    return (policies.sum(-2, keepdim=True) - policies) / (policies.shape[-2] - 1)


def action_totals(actions: Tensor, count: int, dtype_of: Tensor) -> Tensor:
    """How many agents chose each action: ``[..., N]`` int64 to ``[..., D]``, D = ``count``, typed as ``dtype_of``."""
    zeros = dtype_of.new_zeros(*actions.shape[:-1], count)
    return zeros.scatter_add_(-1, actions, dtype_of.new_ones(1).expand(actions.shape))


def boltzmann_policy(values: Tensor, temperature: float) -> Tensor:
    """Policy of Eq. 12, ``pi(a) = exp(Q(a) / T) / sum_b exp(Q(b) / T)``, over ``values`` ``[..., D]``.

    The printed equation has ``exp(-beta Q)``, under which agents minimise reward. ``temperature`` T is in units of
    Q; T = 0, or too small for the type of ``values``, is the limit: greedy, with maximisers that tie equally likely.
    """
    best = values.amax(-1, keepdim=True)
    if temperature < torch.finfo(values.dtype).tiny:
        weights = (values == best).to(values.dtype)
    else:
        weights = ((values - best) / temperature).exp()
    return weights / weights.sum(-1, keepdim=True)


def mean_field_value(policy: Tensor, values: Tensor) -> Tensor:
    """Value of Eq. 10, ``v = sum_a pi(a) Q(a)``: two tensors ``[..., D]`` to ``[...]``."""
    return (policy * values).sum(-1)


def boltzmann_value(values: Tensor, temperature: float) -> Tensor:
    """Eq. 10 under the policy of Eq. 12: ``[..., D]`` to ``[...]``. At T = 0 it is the maximum."""
    if temperature < torch.finfo(values.dtype).tiny:
        return values.amax(-1)
    return mean_field_value(boltzmann_policy(values, temperature), values)

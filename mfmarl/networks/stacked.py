"""Networks whose parameters are stacked over seeds, so that S independent runs train as one.

Every parameter is `[seeds, ...]`. Each seed's part is drawn from that seed's own generator and depends only on that
seed's gradient, so a seed trained in a stack is bitwise the same as trained alone (on a CPU). For this, the length of
each seed's part is a multiple of 16, since the fused Adam rounds the remainder beyond whole vectors differently.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mfmarl.seeds import plain_layers_from

Embedding = Literal["one-hot", "diverse", "none"]

VECTOR = 16  # float32 numbers in the widest vector of a CPU
# The functions that autograd calls for the gradients of relu and embedding.
_behind_relu = torch.ops.aten.threshold_backward.default
_added_up_in_rows = torch.ops.aten.embedding_dense_backward.default


class AgentNetwork(nn.Module):
    """A multi-layer perceptron with ReLU that all agents share: `[one-hot id, features] -> hidden -> outputs`.

    The one-hot id is never formed: its product with the first weight matrix is a row of it, `identity`.
    Weights and biases start uniform in `+-1 / sqrt(fan in)`, as in torch.nn.Linear.

    Args:
        agents: N, the number of ids.
        features: F, the number of inputs besides the id; may be 0.
        outputs: number of outputs.
        hidden: widths of the hidden layers. None: the network is a table of outputs over ids, which takes no features
            and starts within 1e-6 of zero so that ties break at random.
        generators: generators of the initial weights, one per seed.
        embedding: how the id enters. `one-hot`: as above, with small initial weights if there are many agents;
            `diverse`: the id's row starts standard normal, as in torch.nn.Embedding; `none`: the id is not an input.
        start_bias: initial bias of output 0, so that it is preferred at first.

    Raises:
        ValueError: `hidden` is not a list of widths, a width is not a multiple of 16, a table has features, or the
            embedding is unknown.
    """

    def __init__(
        self,
        agents: int,
        features: int,
        outputs: int,
        hidden: Sequence[int] | None,
        generators: Sequence[torch.Generator],
        *,
        embedding: Embedding = "one-hot",
        start_bias: float = 0.0,
    ) -> None:
        super().__init__()
        check_widths(hidden)
        if hidden is None and features:
            raise ValueError(f"a table (hidden None) takes no features, got {features} of them: use hidden layers")
        if embedding not in ("one-hot", "diverse", "none"):
            raise ValueError(f"embedding must be one-hot, diverse or none, got {embedding!r}")
        if hidden is None and embedding != "one-hot":
            raise ValueError(f"embedding must be one-hot for a table (hidden None), got {embedding!r}")
        if hidden is not None and (not hidden or any(width < 1 or width % VECTOR for width in hidden)):
            raise ValueError(f"hidden widths must be positive multiples of {VECTOR}, at least one, got {tuple(hidden)}")
        widths = (outputs,) if hidden is None else (*hidden, outputs)
        fan_in = (agents if embedding == "one-hot" else 0) + features
        bound = 1e-6 if hidden is None else 1 / sqrt(max(fan_in, 1))
        if embedding == "none":
            rows = torch.zeros(len(generators), agents, widths[0])
        elif embedding == "diverse":
            rows = _stack(generators, lambda g: torch.randn(agents, widths[0], generator=g))
        else:
            rows = stacked_uniform((agents, widths[0]), bound, generators)
        if hidden is None:
            rows[..., 0] += float(start_bias)
        self.outputs = outputs
        self.identity = nn.Parameter(rows, requires_grad=embedding != "none")
        self.features = nn.Parameter(stacked_uniform((features, widths[0]), bound, generators)) if features else None
        self._names: list[str] = []  # of the layers' parameters, alternately biases and weights
        if hidden is not None:
            self._add_layer("bias_0", stacked_uniform((1, widths[0]), bound, generators))
            for layer, (inputs, width) in enumerate(pairwise(widths), start=1):
                bound = 1 / sqrt(inputs)
                self._add_layer(f"weight_{layer}", pad(stacked_uniform((inputs, width), bound, generators)))
                self._add_layer(f"bias_{layer}", pad(stacked_uniform((1, width), bound, generators)))
            with torch.no_grad():
                self._layers[-1][..., 0] += float(start_bias)

    def forward(self, agent: Tensor | None, features: Tensor | None = None) -> Tensor:
        """Compute the outputs for a batch of agents.

        Args:
            agent: ids, `[seeds, batch]` int64, or None for all agents in order.
            features: features, `[seeds, batch, F]`, or None.

        Returns:
            Outputs `[seeds, batch, outputs]`.
        """
        rows = self.rows(agent)
        if features is not None and self.features is not None:
            rows = torch.baddbmm(rows, features.to(rows.dtype), self.features)
        return self.output(rows)

    def rows(self, agent: Tensor | None) -> Tensor:
        """Contribution of the id to the first layer, `[seeds, batch, width]`; for a table, its outputs."""
        return self.identity if agent is None else gather_rows(self.identity, agent)

    def output(self, rows: Tensor) -> Tensor:
        """Outputs `[seeds, batch, outputs]`, given the input `rows` `[seeds, batch, width]` of the first layer."""
        if not self._layers:
            return rows
        bias, *deeper = self._layers
        layer = rows + bias
        for weight, bias in zip(deeper[::2], deeper[1::2], strict=True):
            layer = torch.baddbmm(bias, layer.relu_(), weight)
        return layer[..., : self.outputs]

    def extra_repr(self) -> str:
        """The sizes, which print(network) shows."""
        seeds, agents, _ = self.identity.shape
        features = 0 if self.features is None else self.features.shape[1]
        hidden = tuple(bias.shape[-1] for bias in self._layers[::2])[:-1] or None
        return f"seeds={seeds}, agents={agents}, features={features}, outputs={self.outputs}, hidden={hidden}"

    def has_gradients_by_hand(self) -> bool:
        """Whether `squared_error_gradients` may replace autograd, i.e. nothing changes how outputs are computed."""
        return computes_as_written(self, AgentNetwork)

    def squared_error_gradients(
        self, agent: Tensor, features: Tensor | None, action: Tensor, target: Tensor
    ) -> dict[Tensor, Tensor]:
        """Gradients of `(1/K) sum_k (y_k - Q(agent_k, features_k)[a_k])^2`, bitwise equal to those of autograd.

        In a small network, autograd's bookkeeping takes as long as the arithmetic. This is the same arithmetic, in the
        same order, without the bookkeeping.

        Args:
            agent: ids, `[seeds, K]` int64.
            features: features, `[seeds, K, F]`, or None.
            action: actions a, `[seeds, K]` int64, which select the output.
            target: targets y, `[seeds, K]`.

        Returns:
            The gradient of each parameter, by parameter.
        """
        with torch.no_grad():
            # Forward, as in `forward`, keeping every layer's input.
            layer = gather_rows(self.identity, agent)
            if self.features is not None and features is not None:
                features = features.to(layer.dtype)
                layer = torch.baddbmm(layer, features, self.features)
            first, *deeper = self._layers
            layer = layer.add_(first)
            weights, biases, inputs = deeper[::2], deeper[1::2], []
            for weight, bias in zip(weights, biases, strict=True):
                inputs.append(layer.relu_())
                layer = torch.baddbmm(bias, inputs[-1], weight)
            chosen = action.unsqueeze(-1)
            error = target.unsqueeze(-1) - layer.gather(-1, chosen)
            # Backward: the squared error depends only on the chosen outputs.
            gradient = torch.zeros_like(layer).scatter_(-1, chosen, error * (-2 / error.shape[1]))
            found: dict[Tensor, Tensor] = {}
            for weight, bias, given in zip(reversed(weights), reversed(biases), reversed(inputs), strict=True):
                found[bias] = gradient.sum(1, keepdim=True)
                found[weight] = torch.bmm(given.transpose(1, 2), gradient)
                gradient = _behind_relu(torch.bmm(gradient, weight.transpose(1, 2)), given, 0)
            found[first] = gradient.sum(1, keepdim=True)
            if self.features is not None and features is not None:
                found[self.features] = torch.bmm(features.transpose(1, 2), gradient)
            return {**found, self.identity: added_up(gradient, self.identity, agent)}

    @property
    def _layers(self) -> list[Tensor]:
        """Biases and weights in turn, as functional_call or pruning has left them; a ParameterList takes longer."""
        own = self._parameters
        layers: list[Any] = [own[name] if name in own else getattr(self, name) for name in self._names]
        return layers

    def _add_layer(self, name: str, values: Tensor) -> None:
        self.register_parameter(name, nn.Parameter(values))
        self._names.append(name)


def computes_as_written(network: nn.Module, cls: type[nn.Module]) -> bool:
    """Whether a network computes exactly what `cls` defines: not a subclass, without hooks, with autocast off."""
    hooks = [network._forward_hooks, network._forward_pre_hooks, network._backward_hooks, network._backward_pre_hooks]
    hooks += [each._backward_hooks for each in network.parameters() if each._backward_hooks]  # of `register_hook`
    ours = type(network) is cls and not any(hooks) and "forward" not in vars(network)
    return ours and not torch.is_autocast_enabled(next(network.parameters()).device.type)


def check_widths(hidden: object) -> None:
    """Raise ValueError unless `hidden` is a list of whole numbers, or None."""
    if hidden is not None and not (isinstance(hidden, list | tuple) and all(isinstance(each, int) for each in hidden)):
        raise ValueError(f"hidden must be widths such as (32, 32), or None for a table, got {hidden!r}")


class Copies(nn.Module):
    """A custom network of plain torch layers instead of an AgentNetwork: one copy per seed, started from its generator.

    As everywhere, a seed trained in a stack is bitwise the same as trained alone. The copies compute one after the
    other, so a stack is slower than with an AgentNetwork.

    Args:
        make: function that creates the network of one seed, from `[batch, agents + F]`, the concatenated one-hot ids
            and features, to `[batch, outputs]`. It is called once per seed.
        agents: N, the number of ids.
        generators: generators of the initial weights, one per seed.

    Raises:
        ValueError: `make` returned the same network twice.
    """

    def __init__(self, make: Callable[[], nn.Module], agents: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.agents = agents
        self.copies = nn.ModuleList()
        for generator in generators:
            with plain_layers_from(generator):
                made = make()
            if any(made is other for other in self.copies):
                raise ValueError("make must build a new network at every call, got the same one twice")
            self.copies.append(made)

    def forward(self, agent: Tensor | None, features: Tensor | None = None) -> Tensor:
        """Compute the outputs for a batch of agents; arguments and return value are as in AgentNetwork.

        Raises:
            ValueError: a copy fails on its input, e.g. for its width.
        """
        like = next(self.parameters())
        ids = torch.eye(self.agents, dtype=like.dtype, device=like.device)
        ids = ids.expand(len(self.copies), -1, -1) if agent is None else ids[agent]
        seen = ids if features is None else torch.cat([ids, features.to(ids.dtype)], -1)
        try:
            return torch.stack([copy(own.clone()) for copy, own in zip(self.copies, seen, strict=True)])
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            got = list(seen.shape[1:])
            raise ValueError(f"network must take {got}, one-hot ids and then the features, but: {error}") from error


class JointActionLayer(nn.Module):
    """A linear layer over the concatenated one-hot actions of all N agents: a row of weights per agent and action.

    Its output is the sum of N rows; another action of one agent changes one row. Neither needs a product of width N D.
    Rows start uniform in `+-1 / sqrt(N D)`, where N D is the fan in.
    """

    def __init__(self, agents: int, actions: int, width: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.actions = actions
        bound = 1 / sqrt(agents * actions)
        self.rows = nn.Parameter(stacked_uniform((agents * actions, width), bound, generators))

    def forward(self, joint: Tensor) -> Tensor:
        """Sums `[seeds, steps, width]` for joint actions `[seeds, steps, agents]`."""
        return _SumOfRows.apply(self.rows, joint, self.actions)  # type: ignore[no-any-return, no-untyped-call]

    def own(self, agent: Tensor) -> Tensor:
        """The rows of all actions of the agents `[seeds, batch]`: `[seeds, batch, actions, width]`."""
        seeds, _, width = self.rows.shape
        rows = self.rows.view(seeds, -1, self.actions * width)
        return gather_rows(rows, agent).view(*agent.shape, self.actions, width)


class _SumOfRows(torch.autograd.Function):
    """Sum of the rows selected by a joint action, with embedding bags for both the forward and the backward pass.

    The gradient of row (k, a) is a sum over the steps in which agent k chose a. These form bags as well, found by
    sorting each agent's actions. Adding up by scatter took three times as long.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor, joint: Tensor, actions: int) -> Tensor:
        seeds, steps, agents = joint.shape
        context.save_for_backward(joint)
        context.actions = actions
        first = torch.arange(agents, device=joint.device) * actions
        first = first + (torch.arange(seeds, device=joint.device) * (agents * actions)).view(-1, 1, 1)
        index = (first + joint).view(seeds * steps, agents)
        return nn.functional.embedding_bag(index, rows.reshape(-1, rows.shape[-1]), mode="sum").view(seeds, steps, -1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (joint,) = context.saved_tensors
        seeds, steps, agents = joint.shape
        gradient = gradients[0].reshape(seeds * steps, -1)
        chosen, order = joint.transpose(1, 2).contiguous().sort(dim=-1, stable=True)
        bag = chosen + torch.arange(seeds * agents, device=joint.device).view(seeds, agents, 1) * context.actions
        sizes = torch.bincount(bag.view(-1), minlength=seeds * agents * context.actions)
        order = order + (torch.arange(seeds, device=joint.device) * steps).view(-1, 1, 1)
        rows = nn.functional.embedding_bag(order.view(-1), gradient, sizes.cumsum(0) - sizes, mode="sum")
        return rows.view(seeds, agents * context.actions, -1), None, None


def gather_rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows `[seeds, batch, width]` at `index` `[seeds, batch]` of a `table` `[seeds, rows, width]`."""
    if torch.is_grad_enabled() and table.requires_grad:
        return _Rows.apply(table, index)  # type: ignore[no-any-return, no-untyped-call]
    return _rows(table, index)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    rows = table.view(-1, table.shape[-1]).index_select(0, _among_all(table, index).view(-1))
    return rows.view(*index.shape, -1)


class _Rows(torch.autograd.Function):
    """An embedding whose gradient takes half the time on a CPU."""

    @staticmethod
    def forward(context: Any, table: Tensor, index: Tensor) -> Tensor:
        context.save_for_backward(table, index)
        return _rows(table, index)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        table, index = context.saved_tensors
        return added_up(gradients[0], table, index), None


def added_up(gradient: Tensor, table: Tensor, index: Tensor) -> Tensor:
    """Gradient of a table, given the gradient of the rows returned by `gather_rows`, or of their first columns."""
    columns, width = gradient.shape[-1], table.shape[-1]
    gradient, index = gradient.view(-1, columns), _among_all(table, index).view(-1)
    if table.device.type == "cpu":  # the same sums as below in half the time
        whole = torch.zeros_like(table)
        whole.view(-1, width)[:, :columns].index_add_(0, index, gradient)
        return whole
    gradient = nn.functional.pad(gradient, (0, width - columns))
    rows: Tensor = _added_up_in_rows(gradient, index, table[..., 0].numel(), -1, False)
    return rows.view_as(table)


def _among_all(table: Tensor, index: Tensor) -> Tensor:
    """Indices of a stacked table's rows, counted over all seeds."""
    seeds, rows, _ = table.shape
    return index if seeds == 1 else index + torch.arange(0, seeds * rows, rows, device=index.device).unsqueeze(-1)


def pad(values: Tensor) -> Tensor:
    """Pad the last dimension of `values` with zeros to a multiple of 16."""
    return nn.functional.pad(values, (0, -values.shape[-1] % VECTOR))


def stacked_uniform(shape: Sequence[int], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw `[seeds, *shape]` uniformly in +-`bound`, each seed's part from its own generator."""
    return _stack(generators, lambda generator: (torch.rand(*shape, generator=generator) * 2 - 1) * bound)


def _stack(generators: Sequence[torch.Generator], draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    return torch.stack([draw(generator) for generator in generators])

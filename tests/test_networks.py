"""Stacked networks against dense ones built from torch.nn, their start, their gradients and their padding."""

from math import sqrt
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mfmarl.algorithms.optimizers import adam
from mfmarl.networks.stacked import (
    AgentNetwork,
    Embedding,
    JointActionLayer,
    added_up,
    gather_rows,
    pad,
    stacked_uniform,
)
from mfmarl.seeds import generators
from tests.stand_in import CUDA, StandIn

EMBEDDINGS = ("one-hot", "diverse", "none")
AGENTS, OUTPUTS = 5, 3


def start(seeds: int = 2) -> list[torch.Generator]:
    return generators(range(seeds), "start")


def dense(network: AgentNetwork, seed: int, features: int) -> nn.Sequential:
    """What one seed's part of `network` is by its docstring: an MLP over the one-hot id and the features."""
    parts = {name: parameter[seed].detach().clone() for name, parameter in network.named_parameters()}
    first = parts["identity"] if not features else torch.cat([parts["identity"], parts["features"]])
    weights = [first, *(parts[name] for name in sorted(parts) if name.startswith("weight"))]
    biases = [parts[name] for name in sorted(parts) if name.startswith("bias")]
    modules: list[nn.Module] = []
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        width = OUTPUTS if number == len(weights) - 1 else weight.shape[1]
        layer = nn.Linear(weight.shape[0], width)
        layer.weight.data, layer.bias.data = weight[:, :width].T.clone(), bias[0, :width].clone()
        modules += [layer, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("features", [0, 4])
@pytest.mark.parametrize("hidden", [(16,), (32, 16), (16, 32, 16)])
def test_network_equals_a_dense_one_over_the_one_hot_id(
    embedding: Embedding, features: int, hidden: tuple[int, ...]
) -> None:
    network = AgentNetwork(AGENTS, features, OUTPUTS, hidden, start(), embedding=embedding)
    agent = torch.tensor([[4, 0, 0, 2], [1, 1, 3, 4]])
    extra = torch.randn(2, 4, features, generator=torch.Generator().manual_seed(1)) if features else None
    weight = torch.randn(2, 4, OUTPUTS, generator=torch.Generator().manual_seed(2))
    outputs = network(agent, extra)
    (outputs * weight).sum().backward()
    assert outputs.shape == (2, 4, OUTPUTS)
    for seed in range(2):
        reference = dense(network, seed, features)
        seen = nn.functional.one_hot(agent[seed], AGENTS).float()
        if extra is not None:
            seen = torch.cat([seen, extra[seed]], 1)
        expected = reference(seen)
        torch.testing.assert_close(outputs[seed], expected)
        (expected * weight[seed]).sum().backward()
        layers = [layer for layer in reference if isinstance(layer, nn.Linear)]
        first = cast(Tensor, layers[0].weight.grad).T
        if embedding == "none":
            assert network.identity.grad is None
        else:
            torch.testing.assert_close(cast(Tensor, network.identity.grad)[seed], first[:AGENTS])
        if network.features is not None:
            torch.testing.assert_close(cast(Tensor, network.features.grad)[seed], first[AGENTS:])
        for number, layer in enumerate(layers[1:], start=1):
            own = cast(Tensor, network.get_parameter(f"weight_{number}").grad)[seed]
            torch.testing.assert_close(own, pad(cast(Tensor, layer.weight.grad).T))
        for number, layer in enumerate(layers):
            own = cast(Tensor, network.get_parameter(f"bias_{number}").grad)[seed, 0]
            torch.testing.assert_close(own, pad(cast(Tensor, layer.bias.grad)))


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("features", [0, 4])
@pytest.mark.parametrize("hidden", [(16,), (32, 16), (16, 32, 16)])
@pytest.mark.parametrize(("seeds", "batch", "dtype"), [(1, 200, torch.float32), (3, 7, torch.float64)])
def test_gradients_by_hand_are_those_of_autograd_bit_for_bit(
    embedding: Embedding, features: int, hidden: tuple[int, ...], seeds: int, batch: int, dtype: torch.dtype
) -> None:
    network = AgentNetwork(AGENTS, features, OUTPUTS, hidden, start(seeds), embedding=embedding).to(dtype)
    draw = torch.Generator().manual_seed(1)
    agent = torch.randint(AGENTS, (seeds, batch), generator=draw)
    action = torch.randint(OUTPUTS, (seeds, batch), generator=draw)
    extra = torch.randn(seeds, batch, features, generator=draw) if features else None
    target = torch.randn(seeds, batch, generator=draw, dtype=dtype)
    error = target - network(agent, extra).gather(-1, action.unsqueeze(-1)).squeeze(-1)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    found = network.squared_error_gradients(agent, extra, action, target)
    expected = torch.autograd.grad(error.square().mean(-1).sum(), trained)
    assert all(torch.equal(found[parameter], own) for parameter, own in zip(trained, expected, strict=True))
    assert any(own.any() for own in expected)


def test_gradients_by_hand_are_not_for_networks_that_are_more_than_their_layers() -> None:
    class Doubled(AgentNetwork):
        def forward(self, *arguments: Any) -> Tensor:
            return 2 * super().forward(*arguments)

    made = [AgentNetwork(AGENTS, 0, OUTPUTS, (16,), start()) for _ in range(4)]
    assert all(network.has_gradients_by_hand() for network in made)
    made[0].register_forward_hook(lambda module, given, output: 2 * output)
    made[1].register_forward_pre_hook(lambda module, given: None)
    made[2].register_full_backward_hook(lambda module, inwards, outwards: None)
    made[3].forward = lambda *arguments: torch.zeros(2, 1, OUTPUTS)  # type: ignore[method-assign]
    made.append(Doubled(AGENTS, 0, OUTPUTS, (16,), start()))
    assert not any(network.has_gradients_by_hand() for network in made)
    with torch.autocast("cpu", torch.bfloat16):
        assert not AgentNetwork(AGENTS, 0, OUTPUTS, (16,), start()).has_gradients_by_hand()


@pytest.mark.parametrize(("features", "hidden"), [(0, None), (0, (16,)), (4, (32, 16))])
def test_a_network_shows_its_sizes(features: int, hidden: tuple[int, ...] | None) -> None:
    shown = repr(AgentNetwork(AGENTS, features, OUTPUTS, hidden, start()))
    assert shown == f"AgentNetwork(seeds=2, agents=5, features={features}, outputs=3, hidden={hidden})"


def test_no_agent_named_means_all_in_order() -> None:
    network = AgentNetwork(AGENTS, 2, OUTPUTS, (16,), start())
    extra = torch.randn(2, AGENTS, 2, generator=torch.Generator().manual_seed(0))
    everyone = torch.arange(AGENTS).expand(2, -1)
    assert torch.equal(network(None, extra), network(everyone, extra))


def test_a_table_is_its_rows() -> None:
    table = AgentNetwork(AGENTS, 0, OUTPUTS, None, start())
    assert [tuple(parameter.shape) for parameter in table.parameters()] == [(2, AGENTS, OUTPUTS)]
    agent = torch.tensor([[3, 3, 0], [1, 4, 2]])
    for seed in range(2):
        assert torch.equal(table(agent)[seed], table.identity[seed, agent[seed]])
    assert 0 < table.identity.abs().max() <= 1e-6
    assert len(set(table.identity.flatten().tolist())) > 2, "ties must break at random"


@pytest.mark.parametrize(
    ("embedding", "features", "hidden", "name", "fan_in"),
    [
        ("one-hot", 10, (64, 32), "identity", 110),
        ("one-hot", 10, (64, 32), "features", 110),
        ("one-hot", 10, (64, 32), "bias_0", 110),
        ("one-hot", 0, (64, 32), "identity", 100),
        ("diverse", 10, (64, 32), "features", 10),
        ("none", 10, (64, 32), "features", 10),
        ("diverse", 0, (64, 32), "bias_0", 1),
        ("one-hot", 10, (64, 32), "weight_1", 64),
        ("one-hot", 10, (64, 32), "bias_1", 64),
        ("one-hot", 10, (64, 32), "weight_2", 32),
        ("one-hot", 10, (64, 32), "bias_2", 32),
    ],
)
def test_weights_start_uniform_within_the_fan_in_bound(
    embedding: Embedding, features: int, hidden: tuple[int, ...], name: str, fan_in: int
) -> None:
    network = AgentNetwork(100, features, 10, hidden, start(8), embedding=embedding)
    values = network.get_parameter(name)[..., : 10 if name.endswith("_2") else 64]
    bound = 1 / sqrt(fan_in)
    # As torch.nn.Linear: all within the bound, and (with 80 numbers or more) spread over it.
    nearly = (1 - 10 / values.numel()) * bound
    assert nearly < values.max() <= bound
    assert -bound <= values.min() < -nearly
    assert abs(values.std().item() / (bound / sqrt(3)) - 1) < 0.2
    assert len({part.sum().item() for part in values}) == 8, "each seed starts elsewhere"


def test_the_other_embeddings_start_standard_normal_or_silent() -> None:
    diverse = AgentNetwork(100, 0, 10, (64,), start(), embedding="diverse").identity
    assert abs(diverse.mean().item()) < 0.05
    assert abs(diverse.std().item() - 1) < 0.05
    none = AgentNetwork(100, 0, 10, (64,), start(), embedding="none")
    assert not none.identity.any()
    assert torch.equal(none(None)[:, :1].expand(-1, 100, -1), none(None)), "agents that cannot be told apart"


@pytest.mark.parametrize("embedding", EMBEDDINGS)
def test_a_seed_starts_the_same_in_any_stack(embedding: Embedding) -> None:
    stacked = AgentNetwork(AGENTS, 4, OUTPUTS, (16, 16), generators([7, 3], "start"), embedding=embedding)
    alone = AgentNetwork(AGENTS, 4, OUTPUTS, (16, 16), generators([3], "start"), embedding=embedding)
    for both, one in zip(stacked.parameters(), alone.parameters(), strict=True):
        assert torch.equal(both[1:], one)


def test_start_bias_raises_output_zero_alone() -> None:
    plain, biased = (AgentNetwork(AGENTS, 0, OUTPUTS, (16,), start(), start_bias=bias) for bias in (0.0, 2.5))
    expected = torch.tensor([2.5, 0.0, 0.0]).expand(2, AGENTS, -1)
    torch.testing.assert_close(biased(None) - plain(None), expected)


def test_padding_stays_zero_while_the_rest_learns() -> None:
    network = AgentNetwork(AGENTS, 2, OUTPUTS, (16, 16), start())
    before = {name: values.detach().clone() for name, values in network.named_parameters()}
    optimizer = adam(network.parameters(), 0.1)
    extra = torch.randn(2, AGENTS, 2, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        optimizer.zero_grad()
        (network(None, extra) - 3).square().sum().backward()
        optimizer.step()
    for name, values in network.named_parameters():
        assert not torch.equal(values, before[name]), name
        assert values[0].numel() % 16 == 0, "the fused optimizer's kernel must end with a seed's part"
    for name in ("weight_2", "bias_2"):
        assert network.get_parameter(name).shape[-1] == 16
        assert not network.get_parameter(name)[..., OUTPUTS:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": None}, r"a table \(hidden None\) takes no features, got 4 of them: use hidden layers"),
        ({"hidden": (20,)}, r"hidden widths must be positive multiples of 16, at least one, got \(20,\)"),
        ({"hidden": (16, 0)}, r"hidden widths must be positive multiples of 16, at least one, got \(16, 0\)"),
        ({"hidden": (-16,)}, r"hidden widths must be positive multiples of 16, at least one, got \(-16,\)"),
        ({"hidden": ()}, r"hidden widths must be positive multiples of 16, at least one, got \(\)"),
        ({"hidden": (16, 16.0)}, r"hidden must be widths such as \(32, 32\), .*, got \(16, 16.0\)"),
        ({"embedding": "onehot"}, "embedding must be one-hot, diverse or none, got 'onehot'"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        AgentNetwork(AGENTS, 4, OUTPUTS, **({"hidden": (16,), "generators": start()} | change))


@st.composite
def joint_actions(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Joint actions `[seeds, steps, agents]` and the number of actions."""
    seeds, steps, agents, actions = (draw(st.integers(1, high)) for high in (3, 4, 4, 4))
    count = seeds * steps * agents
    flat = draw(st.lists(st.integers(0, actions - 1), min_size=count, max_size=count))
    return torch.tensor(flat).view(seeds, steps, agents), actions


def dense_sums(rows: Tensor, joint: Tensor, actions: int) -> Tensor:
    """The product of the concatenated one-hot actions with the weights."""
    return torch.bmm(nn.functional.one_hot(joint, actions).flatten(2).to(rows.dtype), rows)


@given(joint_actions())
def test_joint_action_layer_equals_the_dense_product(case: tuple[Tensor, int]) -> None:
    joint, actions = case
    layer = JointActionLayer(joint.shape[-1], actions, 16, start(len(joint))).double()
    weight = torch.randn(*joint.shape[:2], 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = dense_sums(layer.rows, joint, actions)
    torch.testing.assert_close(layer(joint), expected)
    found, wanted = (torch.autograd.grad((sums * weight).sum(), layer.rows)[0] for sums in (layer(joint), expected))
    torch.testing.assert_close(found, wanted)


def test_joint_action_layer_passes_gradcheck() -> None:
    joint = torch.tensor([[[0, 2, 1], [0, 0, 1]], [[2, 2, 2], [1, 0, 2]]])
    layer = JointActionLayer(3, 3, 4, start()).double()

    def sums(rows: Tensor) -> Tensor:
        return cast(Tensor, torch.func.functional_call(layer, {"rows": rows}, (joint,)))

    assert torch.autograd.gradcheck(sums, (layer.rows.detach().clone().requires_grad_(),))


def test_own_rows_are_those_of_every_action_of_the_agent() -> None:
    layer = JointActionLayer(4, 3, 16, start())
    agent = torch.tensor([[3, 0], [1, 1]])
    own = layer.own(agent)
    assert own.shape == (2, 2, 3, 16)
    for seed in range(2):
        for number, j in enumerate(agent[seed].tolist()):
            assert torch.equal(own[seed, number], layer.rows[seed, j * 3 : (j + 1) * 3])
    bound = 1 / sqrt(4 * 3)
    assert 0.95 * bound < layer.rows.max() <= bound


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31))
def test_gather_rows_is_indexing(seeds: int, rows: int, batch: int, number: int) -> None:
    own = torch.Generator().manual_seed(number)
    table = torch.rand(seeds, rows, 3, generator=own)
    index = torch.randint(rows, (seeds, batch), generator=own)
    expected = torch.stack([table[seed][index[seed]] for seed in range(seeds)])
    assert torch.equal(gather_rows(table, index), expected)


def test_the_gradient_of_a_table_adds_up_its_rows_gradients_on_a_gpu_too() -> None:
    table, index = torch.zeros(2, 5, 16), torch.tensor([[1, 1, 0, 4], [2, 1, 1, 1]])
    gradient = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros_like(table)
    expected[..., :3] = nn.functional.one_hot(index, 5).float().mT @ gradient
    torch.testing.assert_close(added_up(gradient, table, index), expected)
    with StandIn():
        found = added_up(gradient.to(CUDA), table.to(CUDA), index.to(CUDA)).cpu()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("width", "padded"), [(1, 16), (15, 16), (16, 16), (17, 32)])
def test_pad_fills_up_with_zeros_to_a_multiple_of_16(width: int, padded: int) -> None:
    values = pad(torch.ones(2, 3, width))
    assert values.shape == (2, 3, padded)
    assert values.sum() == 2 * 3 * width
    assert values[..., :width].min() == 1


def test_stacked_uniform_draws_from_each_seed_alone() -> None:
    both = stacked_uniform((3, 5), 2.0, generators([4, 9], "start"))
    for number, seed in enumerate((4, 9)):
        drawn = torch.rand(3, 5, generator=generators([seed], "start")[0])
        torch.testing.assert_close(both[number], drawn * 4 - 2)


def test_fused_adam_is_adam() -> None:
    ours, theirs = (nn.Parameter(torch.ones(2, 16, dtype=torch.float64)) for _ in range(2))
    optimizers = adam([ours], 0.01), torch.optim.Adam([theirs], lr=0.01, fused=False, foreach=False)
    scale = torch.arange(32, dtype=torch.float64).view(2, 16)
    for _ in range(10):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = scale * parameter.detach().sin()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)

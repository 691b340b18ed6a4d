"""The network of Battle: its start, its size counted by hand, and what each of its inputs does."""

from math import sqrt

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from mfmarl.networks.battle import BattleNetwork, weights_cast

EYE = (32 * 7 * 9 + 32) + (32 * 32 * 9 + 32) + (32 * 9 * 9 * 256 + 256)  # 13 x 13 cells, less 2 for each convolution
FEATURE = 34 * 32 + 32
MEAN_ACTION = (21 * 64 + 64) + (64 * 32 + 32)
TOP = (128 * 64 + 64) + (64 * 21 + 21)
COUNTS = {
    False: EYE + FEATURE + ((256 + 32) * 128 + 128) + TOP,
    True: EYE + FEATURE + MEAN_ACTION + ((256 + 32 + 32) * 128 + 128) + TOP,
}


def make(uses_mean_action: bool, seed: int = 0) -> BattleNetwork:
    return BattleNetwork(uses_mean_action, Generator().manual_seed(seed))


def inputs(batch: int = 3, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """View, feature and mean action of some agents."""
    chance = Generator().manual_seed(seed)
    view, feature = torch.rand(batch, 13, 13, 7, generator=chance), torch.rand(batch, 34, generator=chance)
    return view, feature, torch.rand(batch, 21, generator=chance).softmax(-1)


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_it_gives_a_number_an_action_for_each_agent(uses_mean_action: bool) -> None:
    network = make(uses_mean_action)
    assert network(*inputs(5)).shape == (5, 21)
    assert network(*inputs(0)).shape == (0, 21)


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_agents_are_told_apart(uses_mean_action: bool) -> None:
    network = make(uses_mean_action)
    together = network(*inputs(4))
    for agent in range(4):
        alone = network(*(each[agent : agent + 1] for each in inputs(4)))
        torch.testing.assert_close(alone[0], together[agent], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_parameters_are_as_many_as_counted_by_hand(uses_mean_action: bool) -> None:
    assert sum(parameter.numel() for parameter in make(uses_mean_action).parameters()) == COUNTS[uses_mean_action]
    assert COUNTS[True] - COUNTS[False] == MEAN_ACTION + 32 * 128


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_the_start_comes_from_the_generator_alone(uses_mean_action: bool) -> None:
    before = torch.get_rng_state()
    first = make(uses_mean_action).state_dict()
    torch.manual_seed(1)
    second, other = make(uses_mean_action).state_dict(), make(uses_mean_action, seed=1).state_dict()
    torch.set_rng_state(before)
    for name, values in first.items():
        assert torch.equal(values, second[name]), name
        assert not torch.equal(values, other[name]), name


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state().tolist()
    make(uses_mean_action=True)
    assert torch.get_rng_state().tolist() == before


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_the_start_fills_its_bounds(uses_mean_action: bool) -> None:
    fans = {"Conv2d(7, 32": 7 * 9, "Conv2d(32, 32": 32 * 9}
    seen = 0
    for module in make(uses_mean_action).modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        fan = next((fan for start, fan in fans.items() if str(module).startswith(start)), 0) or module.weight.shape[1]
        bound = 1 / sqrt(fan)
        assert module.bias is not None
        for values in (module.weight.detach(), module.bias.detach()):
            assert bool((values.abs() <= bound).all())
            assert float(values.max()) > 0.5 * bound, module
            assert float(values.min()) < -0.5 * bound, module
            seen += 1
        assert float(module.weight.detach().std()) == pytest.approx(bound / sqrt(3), rel=0.1)
    assert seen == 2 * (9 if uses_mean_action else 7)


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_every_input_matters_and_the_mean_action_exactly_if_it_is_one(uses_mean_action: bool) -> None:
    network, (view, feature, mean) = make(uses_mean_action), inputs()
    for each in (view, feature, mean):
        each.requires_grad_()
    network(view, feature, mean).square().sum().backward()
    for each in (view, feature):
        assert each.grad is not None
        assert bool((each.grad != 0).any(0).all()), "every number of it"
    if uses_mean_action:
        assert mean.grad is not None
        assert bool((mean.grad != 0).any(0).all())
    else:
        assert mean.grad is None
        assert torch.equal(network(view, feature), network(view, feature, mean))


def test_a_mean_field_network_is_the_baseline_and_one_more_input() -> None:
    baseline, mean_field = make(uses_mean_action=False), make(uses_mean_action=True)
    plain, with_mean = baseline.state_dict(), mean_field.state_dict()
    assert {name for name in with_mean if name not in plain} == {
        f"mean_action.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    wider = {name for name in plain if plain[name].shape != with_mean[name].shape}
    assert wider == {"head.1.weight"}
    shared = {name: values for name, values in plain.items() if name not in wider}
    weight = plain["head.1.weight"]
    columns = torch.cat([weight, torch.zeros(len(weight), 32)], 1)  # blind to the mean action
    mean_field.load_state_dict({**with_mean, **shared, "head.1.weight": columns})
    torch.testing.assert_close(mean_field(*inputs()), baseline(*inputs()))


def test_it_computes_what_it_says() -> None:
    network, (view, feature, mean) = make(uses_mean_action=True), inputs()
    weights: dict[str, Tensor] = network.state_dict()

    def dense(name: str, values: Tensor) -> Tensor:
        return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def convolution(name: str, cells: Tensor) -> Tensor:
        """3 x 3 of `cells` `[batch, rows, columns, channels]`, by shifts."""
        kernel, side = weights[f"{name}.weight"], cells.shape[1] - 2
        shifted = [cells[:, y : y + side, x : x + side] @ kernel[:, :, y, x].T for y in range(3) for x in range(3)]
        return torch.stack(shifted).sum(0) + weights[f"{name}.bias"]

    seen = F.relu(convolution("eye.2", F.relu(convolution("eye.0", view))))
    parts = [dense("eye.5", seen.permute(0, 3, 1, 2).flatten(1)), dense("feature", feature)]
    parts.append(dense("mean_action.2", F.relu(dense("mean_action.0", mean))))
    hidden = F.relu(torch.cat(parts, 1))
    hidden = F.relu(dense("head.1", hidden))
    expected = dense("head.5", F.relu(dense("head.3", hidden)))
    torch.testing.assert_close(network(view, feature, mean), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("uses_mean_action", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_weights_cast_once_give_the_same_bits(uses_mean_action: bool, batch: int) -> None:
    network, plain = make(uses_mean_action), nn.Linear(2, 2)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        expected = network(*inputs(batch))
        with weights_cast([network, plain]):
            assert {each.dtype for each in network.parameters()} == {torch.bfloat16}
            assert plain.weight.dtype == torch.float32, "another's network may do more than products"
            torch.testing.assert_close(network(*inputs(batch)), expected, rtol=0, atol=0)
        torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
        with pytest.raises(KeyboardInterrupt), weights_cast([network]):
            raise KeyboardInterrupt
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    with weights_cast([network]):
        assert {each.dtype for each in network.parameters()} == {torch.float32}, "without autocast as they are"

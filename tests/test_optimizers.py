"""Adam whose kernel is called at once, against torch's own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from mfmarl.algorithms.optimizers import Adam, adam, gradient_descent, step_of

Change = Callable[[torch.optim.Adam, int], object]


def trained(
    make: Callable[..., torch.optim.Adam], change: Change, quick: bool = False
) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Parameters and state after 30 steps on random gradients; two parameters in a group of their own."""
    draw = torch.Generator().manual_seed(0)
    shapes = [(5, 3), (64,), (2, 16, 33), (7,)]
    parameters = [nn.Parameter(torch.randn(shape, generator=draw)) for shape in shapes]
    parameters.append(nn.Parameter(torch.randn(3, generator=draw, dtype=torch.float64)))
    own: dict[str, Any] = {"params": parameters[3:], "lr": 0.03, "betas": (0.5, 0.9), "weight_decay": 0.1, "eps": 0.01}
    groups: list[dict[str, Any]] = [{"params": parameters[:3]}, own]
    optimizer = make(groups, lr=0.01)
    for step in range(30):
        for each in parameters:
            each.grad = torch.randn(each.shape, generator=draw, dtype=each.dtype)
        change(optimizer, step)
        make_step = step_of(optimizer) if quick else optimizer.step
        make_step()
    return [each.detach() for each in parameters], optimizer.state_dict()


def lower_rate(optimizer: torch.optim.Adam, step: int) -> None:
    optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)


def reload(optimizer: torch.optim.Adam, step: int) -> None:
    if step == 10:
        optimizer.load_state_dict(optimizer.state_dict())


def rest(optimizer: torch.optim.Adam, step: int) -> None:
    """Some have no gradient, of those too that are counted together."""
    if step % 3 == 0:
        optimizer.param_groups[1]["params"][0].grad = None
    if step % 2:
        optimizer.param_groups[0]["params"][step % 3].grad = None


@pytest.mark.parametrize("change", [lower_rate, reload, rest])
def test_numbers_and_state_are_those_of_torch(change: Change) -> None:
    expected = trained(partial(torch.optim.Adam, fused=True), change)
    torch.testing.assert_close(trained(Adam, change), expected, rtol=0, atol=0)
    torch.testing.assert_close(trained(Adam, change, quick=True), expected, rtol=0, atol=0)


def test_hooks_and_closures_are_called_once() -> None:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    optimizer = Adam([parameter], lr=0.1)
    called = []
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    optimizer.register_step_post_hook(lambda *_: called.append("after"))

    def closure() -> float:
        called.append("closure")
        return 2.0

    assert optimizer.step(closure) == 2.0
    assert called == ["before", "closure", "after"]


def test_a_quick_step_calls_every_hook_once() -> None:
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    optimizer = Adam([parameter], lr=0.1)
    called: list[Any] = []
    optimizer.register_step_post_hook(lambda *given: called.append(given))
    step_of(optimizer)()
    assert called == [(optimizer, (), {})]
    for register in (register_optimizer_step_pre_hook, register_optimizer_step_post_hook):
        called.clear()
        handle = register(lambda *_: called.append("of any optimizer"))
        step_of(optimizer)()
        handle.remove()
        assert len(called) == 2
    optimizer.register_step_pre_hook(lambda *_: called.append("before"))
    called.clear()
    step_of(optimizer)()
    assert called[0] == "before"
    assert len(called) == 2
    assert optimizer.state[parameter]["step"] == 4


def test_a_step_that_is_not_as_written_is_made() -> None:
    class Counted(Adam):
        def step(self, closure: Any = None) -> Any:
            called.append("own")
            return super().step(closure)

    called: list[str] = []
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.ones(3)
    step_of(Counted([parameter], lr=0.1))()
    step_of(torch.optim.SGD([parameter], lr=0.1))()
    replaced = Adam([parameter], lr=0.1)
    replaced.step = lambda *_: called.append("replaced")  # type: ignore[method-assign]
    step_of(replaced)()
    assert called == ["own", "replaced"]
    assert parameter.max() < 0.9


@pytest.mark.parametrize("make", [adam, gradient_descent])
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_learning_rate_that_is_not_positive_is_refused(make: Callable[..., object], rate: float) -> None:
    with pytest.raises(ValueError, match=f"^actors must be positive and finite, got {rate}$"):
        make([nn.Parameter(torch.ones(3))], rate, "actors")

"""Optimizers: Adam with less overhead around its kernel, and plain gradient descent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from mfmarl.arguments import positive


def adam(parameters: Iterable[nn.Parameter], learning_rate: float, argument: str = "learning_rate") -> Optimizer:
    """Adam (appendix C.1) as one fused kernel, four times as fast as the default on a CPU.

    Args:
        parameters: parameters to train; those that require no gradient are left out.
        learning_rate: learning rate, positive.
        argument: name of the learning rate in the agent's constructor, for error messages.

    Raises:
        ValueError: the learning rate is not positive.
    """
    return Adam(_trainable(parameters), positive(argument, learning_rate))


def gradient_descent(
    parameters: Iterable[nn.Parameter], learning_rate: float, argument: str = "learning_rate"
) -> Optimizer:
    """Plain gradient descent. On half the squared error of a table it is Eq. 9, with alpha the learning rate.

    Arguments and errors are those of `adam`.
    """
    return torch.optim.SGD(_trainable(parameters), lr=positive(argument, learning_rate))


class Adam(torch.optim.Adam):
    """torch's fused Adam, whose kernel is called directly, without torch's dispatching code.

    For the small networks of the stateless games that code takes longer than the kernel. Numbers and state are bitwise
    those of `torch.optim.Adam(..., fused=True)`.

    Args:
        parameters: parameters to train, or dictionaries of parameter groups, which may set lr, betas, eps and
            weight_decay.
        lr: the learning rate.
    """

    def __init__(self, parameters: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(parameters, lr=lr, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make a gradient step of all parameters that have a gradient, and return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_all()
        return loss

    def quick_step(self) -> None:
        """Do the same as `step()`, including hooks, without the cost of torch's profiler label around it."""
        if self._optimizer_step_pre_hooks or _global_optimizer_pre_hooks or _global_optimizer_post_hooks:
            self.step()
            return
        self._step_all()
        for hook in list(self._optimizer_step_post_hooks.values()):
            hook(self, (), {})

    @torch.no_grad()
    def _step_all(self) -> None:
        for group in self.param_groups:
            trained = [each for each in group["params"] if each.grad is not None]
            kinds = {(each.device, each.dtype) for each in trained}
            for kind in kinds:
                alike = trained if len(kinds) == 1 else [each for each in trained if (each.device, each.dtype) == kind]
                self._step(group, alike)

    def _step(self, group: Mapping[str, Any], parameters: list[Tensor]) -> None:
        """Make a gradient step of parameters with the same device and dtype."""
        states = [self.state[each] for each in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        steps = incremented_steps(states)
        torch._fused_adam_(
            parameters,
            [each.grad for each in parameters if each.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            amsgrad=False,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def step_of(optimizer: Optimizer) -> Callable[[], object]:
    """The function that makes an optimizer's step: `quick_step` for an unmodified Adam, else `step`."""
    if type(optimizer) is Adam and "step" not in vars(optimizer):  # a learning rate scheduler replaces `step`
        return optimizer.quick_step
    return optimizer.step


def incremented_steps(states: Sequence[dict[str, Any]]) -> list[Tensor]:
    """Increment the step counters of these states, and return them.

    They are parts of one tensor, so that one addition suffices; separate ones, as from a checkpoint, are merged first.
    """
    whole = states[0]["step"]._base if states else None
    if whole is None or whole.shape != (len(states),) or any(state["step"]._base is not whole for state in states):
        whole = torch.stack([state["step"] for state in states])
        for state, step in zip(states, whole.unbind(), strict=True):
            state["step"] = step
    whole.add_(1)
    return [state["step"] for state in states]


def trained(optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters that an optimizer trains, in its order."""
    return _trainable(each for group in optimizer.param_groups for each in group["params"])


def _trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]

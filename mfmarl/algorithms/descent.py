"""The loop of gradient steps, from losses to gradients, optimizers and target networks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mfmarl.algorithms.optimizers import step_of, trained

BatchT = TypeVar("BatchT")


def descend(
    batches: Iterable[BatchT],
    gradients: Callable[[BatchT], Sequence[Sequence[Tensor | None]]],
    optimizers: Sequence[Optimizer],
    follow: Callable[[], None],
) -> None:
    """Make a gradient step for each minibatch, and then update the target networks.

    Args:
        batches: minibatches; each is requested after the step on the previous one.
        gradients: function from a minibatch to gradients, for each optimizer those of its `trained` parameters, see
            `by_autograd`. All are computed before the first optimizer steps, since an actor's loss may depend on the
            critic before its step.
        optimizers: optimizers in the order of the gradients.
        follow: function that updates the target networks.
    """
    parameters = [trained(optimizer) for optimizer in optimizers]
    steps = [step_of(optimizer) for optimizer in optimizers]
    for batch in batches:
        for step, of, values in zip(steps, parameters, gradients(batch), strict=True):
            for parameter, gradient in zip(of, values, strict=True):
                parameter.grad = None if gradient is None else laid_out_as(parameter, gradient)
            step()
        follow()


def by_autograd(
    losses: Callable[[BatchT], Sequence[Tensor]],
    optimizers: Sequence[Optimizer],
    shape: Sequence[int] = (),
    check: Callable[[Sequence[Tensor]], None] = lambda losses: None,
) -> Callable[[BatchT], list[Sequence[Tensor | None]]]:
    """Gradients of losses for `descend`; None for parameters that a loss does not depend on.

    Args:
        losses: function from a minibatch to one loss per optimizer, a scalar or `[seeds]`. Stacked runs share no
            parameters, so that the gradient of the sum is that of each run.
        optimizers: optimizers in the order of the losses.
        shape: required shape of each loss: `[seeds]`, or empty for a scalar.
        check: additional check of the losses of the first minibatch.

    Returns:
        A function from a minibatch to its gradients. At the first minibatch it raises ValueError unless there is one
        loss of this shape per optimizer.
    """
    parameters = [trained(optimizer) for optimizer in optimizers]
    checked = False

    def gradients(batch: BatchT) -> list[Sequence[Tensor | None]]:
        nonlocal checked
        found = losses(batch)
        if not checked:
            check_losses(found, len(optimizers), shape)
            check(found)
            checked = True
        return [
            torch.autograd.grad(loss.sum(), of, allow_unused=True) for loss, of in zip(found, parameters, strict=True)
        ]

    return gradients


def check_losses(losses: object, optimizers: int, shape: Sequence[int]) -> None:
    """Raise ValueError unless `losses` is a list with one differentiable tensor of this shape per optimizer."""
    allowed = f"a list of {optimizers}, one tensor {list(shape)} an optimizer"
    if not isinstance(losses, list | tuple):
        got = f"a tensor {list(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
        raise ValueError(f"losses must be {allowed}, got {got} without its list")
    if len(losses) != optimizers:
        raise ValueError(f"losses must be {allowed}, got a list of {len(losses)}")
    for number, loss in enumerate(losses):
        if not isinstance(loss, Tensor) or list(loss.shape) != list(shape):
            got = str(list(loss.shape)) if isinstance(loss, Tensor) else type(loss).__name__
            kind = f"of shape {list(shape)}, a loss a seed" if shape else "a scalar"
            raise ValueError(f"losses: number {number} must be {kind}, got {got}")
        if not loss.requires_grad:
            raise ValueError(f"losses: number {number} must depend on what is trained, got one without a gradient")


def check_independent(losses: Sequence[Tensor], parameters: Mapping[str, Tensor]) -> bool:
    """Check that the losses of two seeds do not depend on the same numbers.

    Args:
        losses: losses `[seeds]` of at least two seeds, of which the first two are compared.
        parameters: all trained parameters by name. A seed owns whole parameters, or its part of a `[seeds, ...]`.

    Returns:
        Whether this is sure: a gradient of 0 for both seeds does not tell, nor does one of a loss that is not finite.

    Raises:
        ValueError: two seeds share a parameter.
    """
    if not all(loss.isfinite().all() for loss in losses):
        return False
    seeds, values = len(losses[0]), list(parameters.values())
    reached: set[str] = set()
    told: set[str] = set()
    for loss in losses:
        both = [torch.autograd.grad(loss[seed], values, retain_graph=True, allow_unused=True) for seed in (0, 1)]
        for name, first, second in zip(parameters, *both, strict=True):
            if first is None or second is None:
                continue
            reached.add(name)
            tells = bool(first.any()), bool(second.any())
            if any(tells):
                told.add(name)
            own = first.dim() and len(first) == seeds and not (first[1:].any() or second[:1].any() or second[2:].any())
            if all(tells) and not own:
                raise ValueError(
                    f"losses: all seeds share {name}, but each run needs parameters of its own: "
                    "mfmarl.Copies makes a copy of plain torch layers for each"
                )
    return reached == told


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the memory layout of the parameter, which Adam's fused kernel assumes."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def follower(networks: Iterable[tuple[nn.Module, nn.Module]], rate: float) -> Callable[[], None]:
    """Return a function that moves targets towards their networks: `target <- rate source + (1 - rate) target`.

    Args:
        networks: pairs of a network and its target.
        rate: rate of the update, in (0, 1].
    """
    targets: list[Tensor] = []
    sources: list[Tensor] = []
    for network, target in networks:
        targets += target.parameters()
        sources += network.parameters()
    average = get_ema_multi_avg_fn(1 - rate)  # type: ignore[no-untyped-call]

    def follow() -> None:
        if targets:
            average(targets, sources, None)

    return follow

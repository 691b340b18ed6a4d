"""What all algorithms share: the base class, the loop of gradient steps, target networks, optimizers."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mfmarl.data.rounds import RoundsDataModule
from mfmarl.environments import Game

BatchT = TypeVar("BatchT")


class Agent(pl.LightningModule):
    """What trains as one job: S seeds of a game, under manual optimization, each training batch a round of play.

    Args:
        environment: the game.
        seeds: the seeds whose runs are stacked in this module.
    """

    data_module: ClassVar[type[RoundsDataModule]]  #: plays its game; built like the agent, from game and seeds.
    scores: dict[str, Tensor]  #: `[seeds]` (or `[conditions, seeds]`) float64 a score, after each evaluation.

    def __init__(self, environment: Game, seeds: Sequence[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.environment = environment
        self.seeds = tuple(seeds)
        self.scores = {}

    def validation_step(self, evaluation: Callable[[Any], dict[str, Tensor]], batch_idx: int) -> None:
        """Score the policy as it stands."""
        self.scores = evaluation(self)

    def raw_optimizers(self) -> list[Optimizer]:
        """Those of `configure_optimizers`, without Lightning's wrapper: it costs a third of a small gradient step."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        return cast(list[Optimizer], optimizers if isinstance(optimizers, list) else [optimizers])

    def save(self, directory: Path) -> None:
        """Write to its job's folder, once trained, what is worth keeping besides the rows: here nothing."""


def descend(
    batches: Iterable[BatchT],
    losses: Callable[[BatchT], Sequence[Tensor]],
    optimizers: Sequence[Optimizer],
    follow: Callable[[], None],
    shape: Sequence[int] = (),
) -> None:
    """A gradient step for each minibatch, after which target networks follow.

    Args:
        batches: the minibatches; each is asked for after the step on the one before.
        losses: of a minibatch, one an optimizer, a scalar or `[seeds]`: stacked runs share no parameter, so that the
            gradient of the sum is that of each run.
        optimizers: in the order of the losses.
        follow: moves the target networks.
        shape: that each loss must have: `[seeds]`, or none for a scalar.

    Raises:
        ValueError: the first minibatch's losses are not one an optimizer of this shape.
    """
    checked = False
    parameters = [[each for group in optimizer.param_groups for each in group["params"]] for optimizer in optimizers]
    for batch in batches:
        found = losses(batch)
        if not checked:
            check_losses(found, len(optimizers), shape)
            checked = True
        # All gradients first, then the steps: an actor's loss may depend on the critic as it was.
        gradients: list[Sequence[Tensor | None]] = [
            torch.autograd.grad(loss.sum(), of, allow_unused=True) for loss, of in zip(found, parameters, strict=True)
        ]
        for optimizer, of, values in zip(optimizers, parameters, gradients, strict=True):
            for parameter, gradient in zip(of, values, strict=True):
                parameter.grad = None if gradient is None else laid_out_as(parameter, gradient)
            optimizer.step()
        follow()


def check_losses(losses: object, optimizers: int, shape: Sequence[int]) -> None:
    """Raise ValueError unless `losses` is a list of one tensor of this shape an optimizer, each with a gradient."""
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


def laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in the parameter's order of memory, along which Adam's fused kernel goes through both."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def follower(networks: Iterable[tuple[nn.Module, nn.Module]], rate: float) -> Callable[[], None]:
    """What moves target copies towards their networks: `target <- rate source + (1 - rate) target`.

    Args:
        networks: pairs of a network and its target.
        rate: in (0, 1].
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


def check_rate(name: str, value: float) -> None:
    """Raise ValueError unless the rate of a soft update is in (0, 1]."""
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {value}")


def check_discount(discount: float) -> None:
    """Raise ValueError unless gamma is in [0, 1)."""
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be in [0, 1), got {discount}")


def adam(parameters: Iterable[nn.Parameter], learning_rate: float, argument: str = "learning_rate") -> Optimizer:
    """Adam (appendix C.1) as one fused kernel, four times as fast as the default on a CPU.

    Args:
        parameters: those without gradient are left out.
        learning_rate: positive.
        argument: what the agent's constructor calls the learning rate.

    Raises:
        ValueError: a learning rate that is not positive.
    """
    return torch.optim.Adam(_trainable(parameters), lr=_positive(learning_rate, argument), fused=True)


def gradient_descent(
    parameters: Iterable[nn.Parameter], learning_rate: float, argument: str = "learning_rate"
) -> Optimizer:
    """Plain gradient descent, which on half the squared error of a table is Eq. 9 with alpha the learning rate.

    Arguments and errors as of `adam`.
    """
    return torch.optim.SGD(_trainable(parameters), lr=_positive(learning_rate, argument))


def _trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def _positive(value: float, argument: str) -> float:
    if not value > 0:
        raise ValueError(f"{argument} must be positive, got {value}")
    return value

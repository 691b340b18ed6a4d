"""The base classes of all algorithms."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mfmarl.data.stateless import (
    Evaluation,
    ReplayDataModule,
    Round,
    generators,
)
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Environment, Game


class Agent(pl.LightningModule):
    """What trains as one job: S seeds of a game, under manual optimization, each training batch a round of play.

    Args:
        environment: the game.
        seeds: the seeds whose runs are stacked in this module.
    """

    data_module: ClassVar[type[pl.LightningDataModule]]  #: plays its game; built like the agent, from game and seeds.
    scores: dict[str, Tensor]  #: ``[seeds]`` (or ``[conditions, seeds]``) float64 a score, after each evaluation.

    def __init__(self, environment: Game, seeds: Sequence[int]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.environment = environment
        self.seeds = tuple(seeds)
        self.scores = {}

    def save(self, directory: Path) -> None:
        """Write to its job's folder, once trained, what is worth keeping besides the rows: here nothing."""


class GradientAgent(Agent):
    """All agents of S independent runs, learning a stateless game from minibatches.

    A method defines ``act``, ``act_greedily``, ``losses`` and ``configure_optimizers``; the rest is here.

    Args:
        environment: the game.
        seeds: the seeds whose runs are stacked in this module.
        discount: gamma, in [0, 1). 0.95: appendix C.1.
        target_rate: tau of the soft target update, in (0, 1]. 0.01: appendix C.1.
        reward_scale: rewards are multiplied by it before they are learned from, positive. 1: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    data_module = ReplayDataModule
    environment: Environment
    uses_mean_action = False
    uses_joint_action = False

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        discount: float = 0.95,
        target_rate: float = 0.01,
        reward_scale: float = 1.0,
    ) -> None:
        super().__init__(environment, seeds)
        check_discount(discount)
        if not reward_scale > 0:
            raise ValueError(f"reward_scale must be positive, got {reward_scale}")
        self.start_generators = generators(seeds, "start")
        self.discount = discount
        self.reward_scale = reward_scale
        self._follow = follower(target_rate=target_rate)

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        """Exploring actions.

        Args:
            mean_action: ``[seeds, agents, D]`` Eq. 11 at the last joint step, where ``uses_mean_action``; else None.
            uniform: ``[seeds, agents]`` draws in [0, 1).
            step: joint steps played so far.

        Returns:
            ``[seeds, agents]`` int64.
        """
        raise NotImplementedError

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        """Actions ``[seeds, agents]`` int64 with learning and exploration off (appendix C.1)."""
        raise NotImplementedError

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        """See one joint step as it is played: actions ``[seeds, agents]``, reward ``[seeds]`` float64, unscaled."""

    def losses(self, batch: Batch) -> list[Tensor]:
        """One loss ``[seeds]`` an optimizer, in the order of ``configure_optimizers``."""
        raise NotImplementedError

    def networks(self) -> list[tuple[nn.Module, nn.Module]]:
        """Pairs of a network and its target copy, which follows it after every gradient step."""
        return []

    def training_step(self, experience: Round, batch_idx: int) -> None:
        """One round, with raw optimizers: Lightning's wrapper costs a third of such a small gradient step."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        self.learn(experience, cast(list[Optimizer], optimizers if isinstance(optimizers, list) else [optimizers]))

    def learn(self, experience: Round, optimizers: Sequence[Optimizer]) -> None:
        """Play a round, and make a gradient step for each minibatch that it yields."""
        parameters = [optimizer.param_groups[0]["params"] for optimizer in optimizers]
        targets, sources = paired(self.networks())
        for batch in experience(self):
            gradients = [
                torch.autograd.grad(loss.sum(), of) for loss, of in zip(self.losses(batch), parameters, strict=True)
            ]
            for optimizer, of, values in zip(optimizers, parameters, gradients, strict=True):
                for parameter, gradient in zip(of, values, strict=True):
                    parameter.grad = gradient
                optimizer.step()
            if targets:
                self._follow(targets, sources, None)

    def validation_step(self, evaluation: Evaluation, batch_idx: int) -> None:
        """Score the policy as it stands."""
        self.scores = evaluation(self)


def check_discount(discount: float) -> None:
    """Raise ValueError unless gamma is in [0, 1)."""
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be in [0, 1), got {discount}")


def follower(**rate: float) -> Callable[[list[Tensor], list[Tensor], None], None]:
    """The soft update ``target <- rate source + (1 - rate) target`` of lists of parameters, given the rate by its name.

    Raises:
        ValueError: a rate that is not in (0, 1].
    """
    ((name, value),) = rate.items()
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {value}")
    return get_ema_multi_avg_fn(1 - value)  # type: ignore[no-any-return, no-untyped-call]


def paired(networks: Iterable[tuple[nn.Module, nn.Module]]) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters of the targets, and those that they follow, from pairs of a network and its target."""
    targets: list[Tensor] = []
    sources: list[Tensor] = []
    for network, target in networks:
        targets += target.parameters()
        sources += network.parameters()
    return targets, sources


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

    Arguments and errors as of ``adam``.
    """
    return torch.optim.SGD(_trainable(parameters), lr=_positive(learning_rate, argument))


def _trainable(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def _positive(value: float, argument: str) -> float:
    if not value > 0:
        raise ValueError(f"{argument} must be positive, got {value}")
    return value

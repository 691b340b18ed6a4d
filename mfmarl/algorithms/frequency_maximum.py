"""The Frequency Maximum Q-value heuristic: FMQ, and its recursive form Rec-FMQ.

FMQ: Kapetanakis & Kudenko, *Reinforcement Learning of Coordination in Cooperative Multi-agent Systems*, AAAI 2002.
Rec-FMQ: Matignon, Laurent & Le Fort-Piat 2012 (see environments/matrix_game.py). Both are defined for games that end
after each joint step, so they learn with discount 0.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mfmarl import arguments
from mfmarl.algorithms.q_learning import IL
from mfmarl.environments import Environment
from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration

_LOWEST = -3.0e38  # replaces -inf, whose product with frequency 0 is undefined


class FMQ(IL):
    """IL that explores by `EV(a) = Q(a) + c * freq(a) * best(a)`.

    best(a) is the largest reward that the agent has received for a, and freq(a) is the fraction of its plays of a that
    received it. Temperatures and EV are in units of the unscaled reward.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        heuristic_weight: c, at least 0 and finite. 5: appendix C.1.
        exploration: schedule of the Boltzmann policy. max_temp 1000 and s 0.006: appendix C.1; min_temp 1: the
            FMQ paper.
        **like_il: arguments of IL, except `discount`, which is 0.

    Raises:
        ValueError: a weight out of range, or a discount.
    """

    called = "fmq"
    refuses: ClassVar = ("discount",)  #: arguments of IL that are not allowed.
    best: Tensor  #: `[seeds, agents, D]`, largest reward of each action, -inf before its first play.
    best_count: Tensor  #: `[seeds, agents, D]`, how often this reward was received.
    count: Tensor  #: `[seeds, agents, D]`, how often each action was played.

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        heuristic_weight: float = 5.0,
        exploration: Exploration = Boltzmann(start=1000.0, decay=0.006, end=1.0),
        **like_il: Any,
    ) -> None:
        super().__init__(environment, seeds, exploration=exploration, **without_discount(like_il))
        arguments.non_negative("heuristic_weight", heuristic_weight)
        self.heuristic_weight = heuristic_weight
        shape = (len(seeds), environment.agents, environment.actions)
        for name, start in (("best", float("-inf")), ("best_count", 0.0), ("count", 0.0)):
            self.register_buffer(name, torch.full(shape, start))

    def preferences(self, mean_action: Tensor | None) -> Tensor:
        frequency = self.best_count / self.count.clamp(min=1)
        bonus = frequency * self.best.clamp(min=_LOWEST)
        return super().preferences(None) / self.reward_scale + self.heuristic_weight * bonus

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        played = actions.unsqueeze(-1)
        received = reward.to(self.best.dtype).view(len(reward), -1, 1).expand(played.shape)
        best = self.best.gather(-1, played)
        counted = self.best_count.gather(-1, played)
        counted = counted.masked_fill(received > best, 0.0) + (received >= best)
        self.best.scatter_(-1, played, received.maximum(best))
        self.best_count.scatter_(-1, played, counted)
        self.count.scatter_add_(-1, played, counted.new_ones(1).expand(played.shape))


class RecFMQ(IL):
    """IL that explores by `E(a) = (1 - F(a)) Q(a) + F(a) Qmax(a)`, with F a running estimate of the frequency.

    After action a with reward r: if r > Qmax(a), Qmax(a) becomes r and F(a) becomes 1; if r = Qmax(a), F(a) moves
    towards 1 at rate alpha_f; otherwise F(a) moves towards 0. Qmax and E are in units of the unscaled reward.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        frequency_rate: alpha_f, in (0, 1]. 0.01: appendix C.1.
        exploration: as in IL: epsilon-greedy, appendix C.1; from 0.1 to 0.01 at once: our choice.
        **like_il: arguments of IL, except `discount`, which is 0.

    Raises:
        ValueError: a rate out of range, or a discount.
    """

    called = "rec-fmq"
    refuses: ClassVar = ("discount",)  #: arguments of IL that are not allowed.
    best: Tensor  #: `[seeds, agents, D]`, Qmax, -inf before the action's first play.
    frequency: Tensor  #: `[seeds, agents, D]`, F.

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        frequency_rate: float = 0.01,
        exploration: Exploration = EpsilonGreedy(0.1, 0.01),
        **like_il: Any,
    ) -> None:
        super().__init__(environment, seeds, exploration=exploration, **without_discount(like_il))
        arguments.rate("frequency_rate", frequency_rate)
        self.frequency_rate = frequency_rate
        shape = (len(seeds), environment.agents, environment.actions)
        self.register_buffer("best", torch.full(shape, float("-inf")))
        self.register_buffer("frequency", torch.ones(shape))

    def preferences(self, mean_action: Tensor | None) -> Tensor:
        values = super().preferences(None).to(self.best.dtype) / self.reward_scale
        return values.lerp(self.best, self.frequency).where(self.best.isfinite(), values)

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        played = actions.unsqueeze(-1)
        received = reward.to(self.best.dtype).view(len(reward), -1, 1).expand(played.shape)
        best = self.best.gather(-1, played)
        frequency = self.frequency.gather(-1, played)
        frequency = frequency.lerp((received >= best).to(frequency.dtype), self.frequency_rate)
        self.frequency.scatter_(-1, played, frequency.masked_fill(received > best, 1.0))
        self.best.scatter_(-1, played, received.maximum(best))


def without_discount(arguments: dict[str, Any]) -> dict[str, Any]:
    """Add discount 0 to the arguments.

    Raises:
        ValueError: they already have a discount; the heuristic does not use values of next states.
    """
    if "discount" in arguments:
        raise ValueError(f"discount: got {arguments['discount']}, but FMQ and Rec-FMQ are defined with 0: leave it out")
    return {**arguments, "discount": 0.0}

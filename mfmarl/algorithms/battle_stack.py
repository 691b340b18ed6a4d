"""Several seeds of a method of Battle trained as one, with stacked networks and battles in lock step.

Each seed has its own agent, whose loss is the equation in `mfmarl.algorithms.battle`. For a gradient step their
parameters are stacked, `[seeds, ...]`, and torch.func.vmap maps the loss over them, so that a GPU launches about as
many kernels for all seeds as for one. A seed learns the same as alone, up to rounding.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.optim import Optimizer

from mfmarl.algorithms.agent import Agent
from mfmarl.algorithms.battle import BattleAgent, ReplayingAgent
from mfmarl.algorithms.descent import check_losses, follower, laid_out_as
from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.stacked_self_play import StackedSelfPlayDataModule
from mfmarl.environments.battle.game import Battle

Runs = Callable[["BattleStack"], Sequence[Iterator[BattleBatch]]]


class BattleStack(Agent):
    """Agents of one method and several seeds, created by `agent_of_seeds`.

    Args:
        algorithm: a method of this package that learns from replay.
        environment: the game.
        seeds: seeds, one per agent.
        **arguments: further arguments of the method.

    Raises:
        ValueError: the method cannot be stacked, or refuses its arguments.
    """

    kind = "battle"
    unit = "agent-rounds"
    data_module = StackedSelfPlayDataModule
    always_saved = True
    shared_with_data = ReplayingAgent.shared_with_data
    environment: Battle

    def __init__(
        self, algorithm: type[BattleAgent], environment: Battle, seeds: Sequence[int], **arguments: Any
    ) -> None:
        super().__init__(environment, seeds)
        if not algorithm.can_be_stacked():
            raise ValueError(f"seeds must be one seed for {algorithm.__name__}, got {list(seeds)}")
        self.members = nn.ModuleList(algorithm(environment, (seed,), **arguments) for seed in self.seeds)
        first = self.agents[0]
        self.uses_mean_action, self.neighbourhood = first.uses_mean_action, first.neighbourhood
        self._players: dict[int, dict[str, Tensor]] = {}  # parameters of each army while a round is played

    @property
    def agents(self) -> list[ReplayingAgent]:
        """One agent per seed."""
        return cast(list[ReplayingAgent], list(self.members))

    @torch.no_grad()
    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose the actions in training of one army of each seed, see `BattleAgent.act`.

        Args:
            army: 0 or 1.
            view: views of all its agents, including the dead, `[seeds, agents, 13, 13, 7]`.
            feature: features, `[seeds, agents, 34]`.
            mean_action: mean actions, `[seeds, agents, 21]`.
            uniform: uniform draws in [0, 1), `[seeds, agents]`.
            step: rounds of self-play so far.

        Returns:
            Actions `[seeds, agents]` int64.
        """
        players = [agent.player(army) for agent in self.agents]
        if army not in self._players:
            self._players[army] = _stacked([dict(player.named_parameters()) for player in players])
        outputs = vmap(lambda own, *seen: functional_call(players[0], own, seen))(
            self._players[army], view, feature, mean_action
        )
        return self.agents[0].choose(outputs.float(), uniform, step)

    def training_step(self, experience: Runs, batch_idx: int) -> None:
        """Play a round of self-play of each seed, and make its due gradient steps."""
        self._players = {}
        runs = experience(self)
        self._players = {}
        (optimizer,) = self.raw_optimizers()
        learn = _Learning(self.agents, optimizer)
        for batches in zip_longest(*runs):
            learn(batches)

    def configure_optimizers(self) -> Optimizer:
        """The method's optimizer over the parameters of all seeds; each parameter keeps its own state."""
        optimizers = [agent.configure_optimizers() for agent in self.agents]
        for other in optimizers[1:]:
            for group, more in zip(optimizers[0].param_groups, other.param_groups, strict=True):
                group["params"] += more["params"]
        return optimizers[0]

    def check_saved(self) -> None:
        """Raise ValueError, before training, unless every agent can be saved."""
        for agent in self.agents:
            agent.check_saved()

    def save(self, directory: str | Path) -> None:
        """Write each seed's trained army to seed-<seed>/policy.safetensors."""
        for agent, file in zip(self.agents, BattleAgent.files_of(self.seeds), strict=True):
            agent.save((Path(directory) / file).parent)


class _Learning:
    """Makes gradient steps of all seeds at once.

    Args:
        agents: agents, one per seed.
        optimizer: optimizer over the parameters of all agents.
    """

    def __init__(self, agents: Sequence[ReplayingAgent], optimizer: Optimizer) -> None:
        self.agents, self.optimizer = agents, optimizer
        self.loss = _Loss(agents[0])
        used = {id(each) for pair in agents[0].networks() for network in pair for each in network.parameters()}
        names = [name for name, each in agents[0].named_parameters() if id(each) in used]
        self.parameters: list[dict[str, Tensor]] = [
            {name: agent.get_parameter(name) for name in names} for agent in agents
        ]
        self.trains = {f"agent.{name}": each.requires_grad for name, each in self.parameters[0].items()}
        self.follows = [follower(agent.networks(), agent.target_rate) for agent in agents]
        self.all_follow = follower([pair for agent in agents for pair in agent.networks()], agents[0].target_rate)

    def __call__(self, batches: Sequence[BattleBatch | None]) -> None:
        """Make a gradient step for each seed that has a minibatch."""
        filler = next(batch for batch in batches if batch is not None)  # for the others, whose loss is not used
        fields = zip(*(filler if batch is None else batch for batch in batches), strict=True)
        batch = BattleBatch(*(torch.stack(values) for values in fields))
        stacked = {f"agent.{name}": values for name, values in _stacked(self.parameters).items()}
        trained = {name: each.requires_grad_() for name, each in stacked.items() if self.trains[name]}
        losses = vmap(lambda own, seen: functional_call(self.loss, own, (seen,)))(stacked, batch)
        check_losses([losses], 1, [len(self.agents)])
        gradients = torch.autograd.grad(losses.sum(), list(trained.values()))
        for name, gradient in zip(trained, gradients, strict=True):
            of_each = gradient.contiguous()  # so that the parts of seeds need no copies
            for own, part, its in zip(self.parameters, of_each, batches, strict=True):
                parameter = own[name.removeprefix("agent.")]
                # The optimizer skips parameters without a gradient.
                parameter.grad = None if its is None else laid_out_as(parameter, part)
        self.optimizer.step()
        if all(its is not None for its in batches):
            self.all_follow()
            return
        for follow, its in zip(self.follows, batches, strict=True):
            if its is not None:
                follow()


class _Loss(nn.Module):
    """An agent's loss as a module, so that torch.func can replace its parameters."""

    def __init__(self, agent: ReplayingAgent) -> None:
        super().__init__()
        self.agent = agent

    def forward(self, batch: BattleBatch) -> Tensor:
        """The loss, a scalar."""
        return self.agent.loss(batch)


def _stacked(parameters: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The parameters of all seeds by name, `[seeds, ...]`."""
    with torch.no_grad():
        return {name: torch.stack([own[name] for own in parameters]) for name in parameters[0]}

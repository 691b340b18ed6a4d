"""Trained armies of Battle as safetensors files, with everything needed to play them in the header.

from mfmarl.policies import Policy
policy = Policy.load("results/battle/policies/mf-q-64-seed-0.safetensors")
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Generator, Tensor, nn

from mfmarl.custom import check_classes, given_class, text_name
from mfmarl.data.neighbourhood import Army, Neighbourhood
from mfmarl.data.transfer import Transfer
from mfmarl.environments.battle.game import ACTIONS
from mfmarl.environments.battle.scripts import OPPONENTS
from mfmarl.exploration import EpsilonGreedy, sample
from mfmarl.mean_field import boltzmann_policy
from mfmarl.networks.battle import BattleNetwork
from mfmarl.networks.battle_released import ActorCriticPerceptron
from mfmarl.values import check_finite, decode, encode, read_weights, understood, write_weights

NETWORKS: dict[str, type[nn.Module]] = {each.__name__: each for each in (BattleNetwork, ActorCriticPerceptron)}

Evaluation = Literal["greedy", "sampled"]


@dataclass(frozen=True)
class Acting:
    """How a policy samples actions from its network's outputs when it does not act greedily.

    Args:
        kind: `epsilon` if outputs are action values and a uniformly random action is taken with probability `value`;
            `temperature` if outputs are the logits of Eq. 12 at temperature `value`.
        value: epsilon in [0, 1], or a positive and finite temperature.

    Raises:
        ValueError: the kind is unknown, or the value is outside its range.
    """

    kind: Literal["epsilon", "temperature"]
    value: float

    def __post_init__(self) -> None:
        if self.kind not in ("epsilon", "temperature"):
            raise ValueError(f"kind must be epsilon or temperature, got {self.kind!r}")
        if not (0 <= self.value <= 1 if self.kind == "epsilon" else 0 < self.value < math.inf):
            allowed = "in [0, 1]" if self.kind == "epsilon" else "positive and finite"
            raise ValueError(f"value: {self.kind} must be {allowed}, got {self.value}")

    def choose(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """Choose actions `[...]` int64 from `outputs` `[..., 21]` and uniform draws `[...]` in [0, 1)."""
        if self.kind == "epsilon":
            return EpsilonGreedy(self.value, self.value).choose(outputs, uniform, 0)
        return sample(boltzmann_policy(outputs, self.value), uniform)


class ActingAgent(Protocol):
    """Interface of an agent that is saved as a whole, see `mfmarl.algorithms.battle.BattleAgent`."""

    network: nn.Module
    uses_mean_action: bool
    neighbourhood: Neighbourhood

    @property
    def acting(self) -> Acting:
        """How the trained army acts when it does not act greedily."""
        ...

    @property
    def acts_itself(self) -> bool:
        """Whether the class defines how its army acts, both greedily and not."""
        ...

    @property
    def chooses_itself(self) -> bool:
        """Whether the class defines how actions are chosen from values when not acting greedily."""
        ...

    def action_values(self, network: nn.Module, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """Action values `[batch, 21]` that the class derives from a network's outputs."""
        ...

    def choose(self, outputs: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose actions from values and one uniform draw each, after `step` rounds of self-play."""
        ...

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose actions of an army's living agents in one battle."""
        ...

    def check_plain(self) -> dict[str, Any]:
        """Constructor arguments as plain data."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All parameters and buffers."""
        ...


class Policy:
    """A trained army.

    Args:
        network: network with one output per action. The policy plays with a copy, so that training can go on.
        acting: how to act when not acting greedily.
        about: description of the army: algorithm, agents, seed, and anything else.
        uses_mean_action: whether the network was built to see the mean action.
        neighbourhood: agents whose actions count in the mean action, as in training.
    """

    def __init__(
        self,
        network: nn.Module,
        acting: Acting,
        about: Mapping[str, object],
        *,
        uses_mean_action: bool,
        neighbourhood: Neighbourhood = Army(),
    ) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)
        self._moved: Transfer | None = None  # the last one used
        self.acting = acting
        self.uses_mean_action = uses_mean_action
        self.neighbourhood = neighbourhood if uses_mean_action else Army()
        self.about = dict(about)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.about.items())})"

    def act(
        self,
        views: Tensor,
        features: Tensor,
        alive: Tensor,
        mean_action: Tensor,
        generators: Sequence[Generator],
        evaluation: Evaluation,
    ) -> Tensor:
        """Choose the army's actions in several battles.

        Args:
            views: local views, `[battles, agents, 13, 13, 7]`.
            features: features, `[battles, agents, 34]`.
            alive: whether each agent lives, `[battles, agents]` bool.
            mean_action: mean actions, `[battles, agents, 21]`, see `next_mean_action` in mfmarl/data/battle_round.py.
            generators: one generator per battle; every agent draws from it, dead or alive.
            evaluation: `greedy` or `sampled`.

        Returns:
            Actions `[battles, agents]` int64, 0 for the dead.

        Raises:
            ValueError: the mean action has a wrong shape, or the evaluation is unknown.
        """
        check_evaluation(evaluation)
        check_mean_action(mean_action, alive)
        uniform = torch.stack([torch.rand(alive.shape[1], generator=generator) for generator in generators])[alive]
        transfer = self._transfer()
        seen = transfer.to_device([each[alive] for each in (views, features, mean_action)])
        (outputs,) = transfer.to_host([self.outputs(*seen)])
        actions = torch.zeros(alive.shape, dtype=torch.int64)
        actions[alive] = outputs.argmax(-1) if evaluation == "greedy" else self.choose(outputs, uniform)
        return actions

    def outputs(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """One number per action, `[batch, 21]` float32; greedy play takes the action with the greatest."""
        values: Tensor = self.network(view, feature, mean_action).float()
        return values

    def choose(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """Sample actions `[batch]` int64 from `outputs` and uniform draws `[batch]` in [0, 1)."""
        return self.acting.choose(outputs, uniform)

    def _transfer(self) -> Transfer:
        """Transfer to the device of the network."""
        device = next(self.network.parameters()).device
        if self._moved is None or self._moved.device != device:
            self._moved = Transfer(device)
        return self._moved

    def save(self, path: str | Path) -> None:
        """Write the policy to a file, with weights in bfloat16."""
        cls = type(self.network)
        known = NETWORKS.get(cls.__name__) is cls
        about = {
            "network": cls.__name__ if known else text_name(cls),
            "uses_mean_action": self.uses_mean_action,
            "acting": asdict(self.acting),
            **({} if self.neighbourhood == Army() else {"neighbourhood": encode(self.neighbourhood)}),
            **self.about,
        }
        write_weights(path, "policy", about, {k: v.to(torch.bfloat16) for k, v in self.network.state_dict().items()})

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu", classes: Sequence[type] = ()) -> Policy:
        """Read a policy from a file. Nothing is unpickled, and no code named in the file is run.

        Args:
            path: the file to read.
            device: device of the network.
            classes: custom classes that the file may need; it holds only their names. They are the classes of the
                method, its neighbourhood and other arguments or, for a policy made by hand, of the network, which is
                built as Class(uses_mean_action, generator).

        Raises:
            ValueError: the file is missing, is not a policy, or needs a class that is not among `classes`.
        """
        check_classes(classes)
        about, weights = read_weights(path, "policy", device)
        needed = class_needed(about)
        hint = ", on the command line by --algorithms path/to/file.py:Class"
        find = partial(given_class, "policy", path, classes=classes, hint=hint)
        custom = find(needed) if needed else None
        with understood(path, "policy"):
            if custom is not None and "class" in about:
                return _agents_policy(custom, about, weights, device, find)
            acting = Acting(**about.pop("acting"))
            # The earliest files do not say whether the network sees the mean action, but their weights show it.
            guess = any(key.startswith("mean_action") for key in weights)
            uses_mean_action = bool(about.pop("uses_mean_action", guess))
            neighbourhood = decode(about.pop("neighbourhood", encode(Army())), find)
            if not isinstance(neighbourhood, Neighbourhood):
                raise ValueError(f"neighbourhood must be a Neighbourhood, got {neighbourhood!r}")
            name = about.pop("network", "BattleNetwork")
            network = (custom or NETWORKS[name])(uses_mean_action, Generator())
            network.load_state_dict({key: value.float() for key, value in weights.items()})
            check_finite(network)
        network = network.to(device)
        return cls(network, acting, about, uses_mean_action=uses_mean_action, neighbourhood=neighbourhood)


class AgentsPolicy(Policy):
    """The trained army of a custom method, which acts as the method's class defines.

    Args:
        agent: the trained agent.
        rounds: rounds of self-play that it was trained for, passed to its methods as `step`.
        about: description of the army, see Policy.
    """

    def __init__(self, agent: ActingAgent, rounds: int, about: Mapping[str, object]) -> None:
        super().__init__(
            agent.network,
            agent.acting,
            about,
            uses_mean_action=agent.uses_mean_action,
            neighbourhood=agent.neighbourhood,
        )
        self.agent, self.rounds = agent, rounds
        self.network = agent.network  # with which the agent's own methods compute

    @torch.no_grad()
    def act(
        self,
        views: Tensor,
        features: Tensor,
        alive: Tensor,
        mean_action: Tensor,
        generators: Sequence[Generator],
        evaluation: Evaluation,
    ) -> Tensor:
        """See Policy. If the class overrides `act`, both evaluations are the same."""
        if not self.agent.acts_itself:
            return super().act(views, features, alive, mean_action, generators, evaluation)
        check_evaluation(evaluation)
        check_mean_action(mean_action, alive)
        actions, transfer = torch.zeros(alive.shape, dtype=torch.int64), self._transfer()
        for battle, (living, generator) in enumerate(zip(alive, generators, strict=True)):
            uniform = torch.rand(len(living), generator=generator)
            if living.any():
                seen = (views[battle], features[battle], mean_action[battle], uniform)
                view, feature, mean, draws = transfer.to_device([each[living] for each in seen])
                (own,) = transfer.to_host([self.agent.act(0, view, feature, mean, draws, self.rounds)])
                actions[battle, living] = own
        return actions

    def outputs(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """See Policy; these are the action values that the agent's class derives from its network's outputs."""
        return self.agent.action_values(self.network, view, feature, mean_action)

    def choose(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """See Policy."""
        if self.agent.chooses_itself:
            return self.agent.choose(outputs, uniform, self.rounds)
        return super().choose(outputs, uniform)

    def save(self, path: str | Path) -> None:
        """Write the file, weights as they are."""
        save_agent(path, self.agent, self.rounds, self.about)


def save_agent(path: str | Path, agent: ActingAgent, rounds: int, about: Mapping[str, object]) -> None:
    """Write an army that needs its class to act: all weights and tables, the class's name and constructor arguments.

    Args:
        path: the file to write.
        agent: the trained agent.
        rounds: rounds of self-play that it was trained for.
        about: description of the army, see Policy.

    Raises:
        ValueError: a constructor argument cannot be stored as plain data.
    """
    header = {"class": text_name(type(agent)), "arguments": agent.check_plain(), "rounds": rounds, **about}
    write_weights(path, "policy", header, agent.state_dict())


def _agents_policy(
    cls: type,
    about: dict[str, Any],
    weights: Mapping[str, Tensor],
    device: torch.device | str,
    find: Callable[[str], type],
) -> AgentsPolicy:
    arguments = {name: decode(value, find) for name, value in about.pop("arguments").items()}
    agent = cls(**arguments)
    agent.load_state_dict(weights)
    check_finite(agent)
    del about["class"]
    return AgentsPolicy(agent.to(device).eval().requires_grad_(False), about.pop("rounds"), about)


def class_needed(about: Mapping[str, Any]) -> str:
    """The name of the custom class that the army in a file needs by its header `about`; empty if it needs none."""
    name = str(about.get("class") or about.get("network", "BattleNetwork"))
    return "" if name in NETWORKS else name


def check_evaluation(evaluation: str) -> None:
    """Raise ValueError unless `evaluation` is `greedy` or `sampled`."""
    if evaluation not in get_args(Evaluation):
        raise ValueError(f"evaluation must be {' or '.join(get_args(Evaluation))}, got {evaluation!r}")


def check_mean_action(mean_action: Tensor, alive: Tensor) -> None:
    """Raise ValueError unless there is one mean action per agent."""
    if mean_action.shape[:-1] != alive.shape:
        raise ValueError(f"mean_action must be {[*alive.shape, ACTIONS]}, got {list(mean_action.shape)}")


class Scripted:
    """A scripted army with the same interface as Policy.

    Args:
        name: name of the script: rush or random.
    """

    neighbourhood = Army()

    def __init__(self, name: str) -> None:
        if name not in OPPONENTS:
            raise ValueError(f"name must be one of {', '.join(OPPONENTS)}, got {name!r}")
        self.script = OPPONENTS[name]

    def act(
        self,
        views: Tensor,
        features: Tensor,
        alive: Tensor,
        mean_action: Tensor,
        generators: Sequence[Generator],
        evaluation: Evaluation,
    ) -> Tensor:
        """See Policy; for a script both evaluations are the same."""
        check_evaluation(evaluation)
        return self.script(views, features, generators)


def load_army(source: str, device: torch.device | str = "cpu", classes: Sequence[type] = ()) -> Policy | Scripted:
    """Load an army from a file, or return a scripted army.

    Args:
        source: path of a policy, or name of a script.
        device: device of the network.
        classes: custom classes that the file may need, see `Policy.load`.

    Raises:
        ValueError: `source` is neither a policy nor the name of a script, or needs a class that is not given.
    """
    if source in OPPONENTS:
        return Scripted(source)
    if not os.path.isfile(source):
        raise ValueError(
            f"army must be the file of a policy or {' or '.join(OPPONENTS)}, got {source!r}, which is none"
        )
    return Policy.load(source, device, classes)

"""Trained armies of Battle as files: safetensors, with all that is needed to play them in the header.

from mfmarl.policies import Policy
policy = Policy.load("results/battle/policies/mf-q-64-seed-0.safetensors")
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
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
    """How a policy acts by its network's outputs when it does not act greedily.

    Args:
        kind: `epsilon`: outputs are action values, and with probability `value` any action is taken;
            `temperature`: they are logits of Eq. 12 at the temperature `value`.
        value: of epsilon or of the temperature.

    Raises:
        ValueError: another kind, an epsilon outside [0, 1], or a temperature that is not positive.
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
        """Actions `[...]` int64 from `outputs` `[..., 21]` and one draw `[...]` in [0, 1) each."""
        if self.kind == "epsilon":
            return EpsilonGreedy(self.value, self.value).choose(outputs, uniform, 0)
        return sample(boltzmann_policy(outputs, self.value), uniform)


class ActingAgent(Protocol):
    """What a file asks of an agent that it keeps whole, see `mfmarl.algorithms.battle.BattleAgent`."""

    network: nn.Module
    uses_mean_action: bool
    neighbourhood: Neighbourhood

    @property
    def acting(self) -> Acting:
        """How the trained army acts when not greedily."""
        ...

    @property
    def acts_itself(self) -> bool:
        """Whether the class itself says how its army acts, greedily or not."""
        ...

    @property
    def chooses_itself(self) -> bool:
        """Whether the class itself chooses actions by values when not greedily."""
        ...

    def action_values(self, network: nn.Module, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        """What a network gives as the class reads it, `[batch, 21]`."""
        ...

    def choose(self, outputs: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Actions by values and one draw each, after `step` rounds of self-play."""
        ...

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Actions of an army's living agents in one battle."""
        ...

    def check_plain(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All parameters and buffers."""
        ...


class Policy:
    """A trained army.

    Args:
        network: outputs a number an action.
        acting: how to act when not greedily.
        about: what the army is: algorithm, agents, seed, and whatever else is worth telling.
        uses_mean_action: whether the network was built to see the mean action.
        neighbourhood: whose actions count in the mean action that it acts under, as it learned.
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
        self.network = network.eval().requires_grad_(False)
        self._moved: Transfer | None = None  # the last
        self.acting = acting
        self.uses_mean_action = uses_mean_action
        self.neighbourhood = neighbourhood if uses_mean_action else Army()
        self.about = dict(about)

    def act(
        self,
        views: Tensor,
        features: Tensor,
        alive: Tensor,
        mean_action: Tensor,
        generators: Sequence[Generator],
        evaluation: Evaluation,
    ) -> Tensor:
        """Actions of the army in several battles.

        Args:
            views: `[battles, agents, 13, 13, 7]`.
            features: `[battles, agents, 34]`.
            alive: `[battles, agents]` bool.
            mean_action: `[battles, agents, 21]`, see `next_mean_action` in mfmarl/data/battle_round.py.
            generators: one a battle; every agent draws, dead or alive.
            evaluation: `greedy` or `sampled`.

        Returns:
            `[battles, agents]` int64, 0 for the dead.

        Raises:
            ValueError: a mean action of another shape, or another evaluation.
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
        """A number an action, `[batch, 21]` float32, of which the greatest is played greedily."""
        values: Tensor = self.network(view, feature, mean_action).float()
        return values

    def choose(self, outputs: Tensor, uniform: Tensor) -> Tensor:
        """Actions `[batch]` int64 of sampled play by `outputs` and one draw `[batch]` each."""
        return self.acting.choose(outputs, uniform)

    def _transfer(self) -> Transfer:
        """To where the network computes."""
        device = next(self.network.parameters()).device
        if self._moved is None or self._moved.device != device:
            self._moved = Transfer(device)
        return self._moved

    def save(self, path: str | Path) -> None:
        """Write the file, weights in bfloat16."""
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
        """Read what `save` wrote. Nothing is unpickled, and no code is run that a file names.

        Args:
            path: of the file.
            device: for the network.
            classes: custom classes that may act. A file that needs one holds its name alone: the class of the method,
                of its neighbourhood and other arguments, or, of a policy that was made by hand, of the network, built
                by Class(uses_mean_action, generator).

        Raises:
            ValueError: no such file, one that is no policy, or one that needs a class that is not among `classes`.
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
            # The first files do not say whether the network sees the mean action; its weights do.
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
    """The trained army of a custom method, which acts as the method's class says.

    Args:
        agent: with what it learned.
        rounds: of self-play that it learned by, which `act` is told.
        about: see Policy.
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
        """See Policy. A class that overrides `act` knows one way to act, which both evaluations are."""
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
        """See Policy: what the agent's class makes of its network's outputs."""
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
    """Write an army that only its class can let act: all that it learned, and how the class is called and built.

    Args:
        path: of the file.
        agent: of the class.
        rounds: of self-play that it learned by.
        about: see Policy.

    Raises:
        ValueError: it was built by an argument that is no plain data.
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
    """The name of the custom class without which the army of a file's header cannot act, or nothing."""
    name = str(about.get("class") or about.get("network", "BattleNetwork"))
    return "" if name in NETWORKS else name


def check_evaluation(evaluation: str) -> None:
    """Raise ValueError unless it is a way in which armies act when they no longer learn."""
    if evaluation not in get_args(Evaluation):
        raise ValueError(f"evaluation must be {' or '.join(get_args(Evaluation))}, got {evaluation!r}")


def check_mean_action(mean_action: Tensor, alive: Tensor) -> None:
    """Raise ValueError unless there is one of each agent."""
    if mean_action.shape[:-1] != alive.shape:
        raise ValueError(f"mean_action must be {[*alive.shape, ACTIONS]}, got {list(mean_action.shape)}")


class Scripted:
    """A scripted army with the same interface as Policy.

    Args:
        name: of the script: rush or random.
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
        """See Policy; scripts have one way to act."""
        check_evaluation(evaluation)
        return self.script(views, features, generators)


def load_army(source: str, device: torch.device | str = "cpu", classes: Sequence[type] = ()) -> Policy | Scripted:
    """The army of a file, or the scripted one of that name.

    Args:
        source: the file or the name.
        device: for the network.
        classes: custom classes that may act, see `Policy.load`.

    Raises:
        ValueError: neither a policy's file nor a script's name, or a file that needs another class.
    """
    if source in OPPONENTS:
        return Scripted(source)
    if not os.path.isfile(source):
        raise ValueError(
            f"army must be the file of a policy or {' or '.join(OPPONENTS)}, got {source!r}, which is none"
        )
    return Policy.load(source, device, classes)

"""Trained armies of Battle as files: safetensors, with all that is needed to play them in the header.

from mfmarl.policies import Policy
policy = Policy.load("results/battle/policies/mf-q-64-seed-0.safetensors")
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from mfmarl.custom import class_in_file, is_in_file, name_in_file
from mfmarl.environments.battle.scripts import OPPONENTS
from mfmarl.exploration import EpsilonGreedy, sample
from mfmarl.files import atomic
from mfmarl.mean_field import boltzmann_policy
from mfmarl.networks.battle import BattleNetwork
from mfmarl.networks.battle_released import ActorCriticPerceptron

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


def network_name(network: nn.Module) -> str:
    """What a file calls a network: the class's name, or path/to/file.py:Class of a custom one."""
    cls = type(network)
    return cls.__name__ if NETWORKS.get(cls.__name__) is cls else name_in_file(cls)


def rebuilt(name: str, uses_mean_action: bool, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of that name with these weights.

    A custom class is built as those here are, by Class(uses_mean_action, generator).

    Raises:
        Exception: there is no such class, or it does not fit the weights.
    """
    cls = class_in_file("network", name, nn.Module) if is_in_file(name) else NETWORKS[name]
    network = cls(uses_mean_action, Generator())
    network.load_state_dict(weights)
    return network


def check_loads_again(network: nn.Module, uses_mean_action: bool) -> None:
    """Raise ValueError, before hours of training, for a network whose file could not be loaded."""
    name = network_name(network)
    try:
        rebuilt(name, uses_mean_action, network.state_dict())
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"network: {name} must be made by Class(uses_mean_action, generator), got {reason}") from error


class Policy:
    """A trained army.

    Args:
        network: outputs a number an action.
        acting: how to act when not greedily.
        about: what the army is: algorithm, agents, seed, and whatever else is worth telling.
        uses_mean_action: whether the network was built to see the mean action.
    """

    def __init__(
        self, network: nn.Module, acting: Acting, about: Mapping[str, object], *, uses_mean_action: bool
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.acting = acting
        self.uses_mean_action = uses_mean_action
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
            mean_action: `[battles, 21]` frequencies of the actions of the army's living at the previous step.
            generators: one a battle; every agent draws, dead or alive.
            evaluation: `greedy` or `sampled`.

        Returns:
            `[battles, agents]` int64, 0 for the dead.
        """
        uniform = torch.stack([torch.rand(alive.shape[1], generator=generator) for generator in generators])[alive]
        means = mean_action.unsqueeze(1).expand(*alive.shape, -1)[alive]
        device = next(self.network.parameters()).device
        seen = (each.to(device) for each in (views[alive], features[alive], means))
        outputs = self.network(*seen).float().cpu()
        actions = torch.zeros(alive.shape, dtype=torch.int64)
        actions[alive] = outputs.argmax(-1) if evaluation == "greedy" else self.acting.choose(outputs, uniform)
        return actions

    def save(self, path: Path) -> None:
        """Write the file, weights in bfloat16."""
        weights = {
            name: value.to("cpu", torch.bfloat16).contiguous() for name, value in self.network.state_dict().items()
        }
        about = {
            "network": network_name(self.network),
            "uses_mean_action": self.uses_mean_action,
            "acting": asdict(self.acting),
            **self.about,
        }
        header = {"policy": json.dumps(about)}
        with atomic(path) as temporary:
            save_file(weights, temporary, metadata=header)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Policy:
        """Read what `save` wrote; nothing is unpickled. The file of a custom network is run.

        Raises:
            ValueError: no such file, or one that is no policy.
        """
        if not Path(path).is_file():
            raise ValueError(f"policy: there is no file {path}")
        try:
            with safe_open(path, "pt", device=str(device)) as file:
                about = json.loads(file.metadata()["policy"])
                weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - it is no dict
            acting = Acting(**about.pop("acting"))
            # The first files do not say whether the network sees the mean action; its weights do.
            guess = any(key.startswith("mean_action") for key in weights)
            uses_mean_action = bool(about.pop("uses_mean_action", guess))
            network = rebuilt(about.pop("network", "BattleNetwork"), uses_mean_action, weights)
        except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"policy: {path} is no policy: {reason}") from error
        return cls(network.to(device), acting, about, uses_mean_action=uses_mean_action)


class Scripted:
    """A scripted army with the same interface as Policy.

    Args:
        name: of the script: rush or random.
    """

    def __init__(self, name: str) -> None:
        if name not in OPPONENTS:
            raise ValueError(f"opponent must be one of {', '.join(OPPONENTS)}, got {name!r}")
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
        return self.script(views, features, generators)


def load_army(source: str, device: torch.device | str = "cpu") -> Policy | Scripted:
    """The army of a file, or the scripted one of that name.

    Raises:
        ValueError: neither a policy's file nor a script's name.
    """
    if source in OPPONENTS:
        return Scripted(source)
    if not Path(source).is_file():
        raise ValueError(
            f"army must be the file of a policy or {' or '.join(OPPONENTS)}, got {source!r}, which is none"
        )
    return Policy.load(source, device)

"""Trained agents of stateless games and lattices, loaded again. Battle's armies are policies: `mfmarl.policies`.

from mfmarl.algorithms.saved import load_agent
agent = load_agent("agent.safetensors")
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.agent import Agent
from mfmarl.custom import check_classes, given_class
from mfmarl.values import check_finite, decode, read_weights, understood


def load_agent(path: str | Path, device: torch.device | str = "cpu", classes: Sequence[type] = ()) -> Agent:
    """Read what `Agent.save` wrote. Nothing is unpickled, and no code is run that a file names.

    Args:
        path: of the file.
        device: for the agent.
        classes: custom ones, of the agent and of its arguments, of which the file holds the name alone.

    Raises:
        ValueError: no such file, one that is no agent, or one that needs a class that is not among `classes`.
    """
    check_classes(classes)
    about, weights = read_weights(path, "agent", device)
    with understood(path, "agent"):
        name = about["class"]
        cls = our_class(name)
    custom = partial(given_class, "agent", path, classes=classes)
    cls = cls or custom(name)
    with understood(path, "agent"):
        arguments = {name: decode(value, custom) for name, value in about["arguments"].items()}
        agent: Agent = cls(**arguments)
        agent.load_state_dict(weights)
        check_finite(agent)
    return agent.to(device)


def our_class(name: str) -> type[Agent] | None:
    """The class of this package that a file calls by its name alone, if it is one."""
    keys = (key for places in ALGORITHMS.values() for key, place in places.items() if place.endswith(f":{name}"))
    key = next(keys, None)
    return None if key is None else algorithm_class(key)

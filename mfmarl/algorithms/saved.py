"""Trained agents of stateless games and lattices, loaded again. Battle's armies are policies: `mfmarl.policies`.

from mfmarl.algorithms.saved import load_agent
agent = load_agent("agent.safetensors")
"""

from pathlib import Path

import torch

from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.agent import Agent
from mfmarl.custom import is_in_file
from mfmarl.values import custom_class, decode, read_weights, understood


def load_agent(path: str | Path, device: torch.device | str = "cpu") -> Agent:
    """Read what `Agent.save` wrote; nothing is unpickled. The file of a custom class is run.

    Raises:
        ValueError: no such file, or one that is no agent.
    """
    about, weights = read_weights(path, "agent", device)
    with understood(path, "agent"):
        arguments = {name: decode(value) for name, value in about["arguments"].items()}
        agent: Agent = saved_class(about["class"])(**arguments)
        agent.load_state_dict(weights)
    return agent.to(device)


def saved_class(name: str) -> type[Agent]:
    """The class that a file calls by its name alone, or, if it is custom, by path/to/file.py:Class."""
    if is_in_file(name):
        found: type[Agent] = custom_class("agent", name, Agent)
        return found
    for places in ALGORITHMS.values():
        for key, place in places.items():
            if place.endswith(f":{name}"):
                return algorithm_class(key)
    raise ValueError(f"class must be one of our algorithms or path/to/file.py:Class, got {name!r}")

"""Load trained agents of stateless games and lattices. For armies of Battle see `mfmarl.policies`.

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
    """Load an agent written by `Agent.save`. Nothing is unpickled, and no code named in the file is run.

    The agent is in evaluation mode, in which it was scored: dropout is off. `Trainer.fit` trains it in training mode.

    Args:
        path: the file to read.
        device: device of the agent.
        classes: custom classes of the agent and its arguments; the file holds only their names.

    Raises:
        ValueError: the file is missing, is not an agent, or needs a class that is not among `classes`.
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
    return agent.to(device).eval()


def our_class(name: str) -> type[Agent] | None:
    """The class of this package with this name; None if there is none."""
    keys = (key for places in ALGORITHMS.values() for key, place in places.items() if place.endswith(f":{name}"))
    key = next(keys, None)
    return None if key is None else algorithm_class(key)

"""The algorithms, by the names that scripts and files use."""

import importlib.util
import sys
from pathlib import Path

from mfmarl.agent import Agent
from mfmarl.algorithms.actor_critic import AC, MAAC, MFAC
from mfmarl.algorithms.frequency_maximum import FMQ, RecFMQ
from mfmarl.algorithms.q_learning import IL, MFQ

ALGORITHMS: dict[str, type[Agent]] = {
    "il": IL,
    "fmq": FMQ,
    "rec-fmq": RecFMQ,
    "maac": MAAC,
    "ac": AC,
    "mf-q": MFQ,
    "mf-ac": MFAC,
}


def algorithm_class(name: str) -> type[Agent]:
    """The class behind a name: a key of ALGORITHMS, or ``path/to/file.py:Class`` for a method of one's own.

    Raises:
        ValueError: an unknown name, a file or class that is not there, or a class that is no Agent.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)} or path/to/file.py:Class, got {name!r}")
    if not Path(path).is_file():
        raise ValueError(f"algorithm {name!r}: there is no file {path}")
    module_name = f"mfmarl_custom_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"algorithm {name!r}: {path} does not load: {reason}") from error
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ValueError(f"algorithm {name!r}: {class_name} must be a subclass of mfmarl.agent.Agent in {path}")
    return found

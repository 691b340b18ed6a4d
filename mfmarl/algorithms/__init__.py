"""The algorithms, by the names that scripts and files use."""

import importlib.util
import sys
from pathlib import Path
from typing import Literal

from mfmarl.agent import Agent, GradientAgent
from mfmarl.algorithms.actor_critic import AC, MAAC, MFAC
from mfmarl.algorithms.battle import BattleAC, BattleAgent, BattleIL, BattleMFAC, BattleMFQ
from mfmarl.algorithms.battle_on_policy import ReleasedAC, ReleasedMFAC
from mfmarl.algorithms.frequency_maximum import FMQ, RecFMQ
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.algorithms.tabular import LatticeAgent, Metropolis, TabularMFQ
from mfmarl.duel import Duel

ALGORITHMS: dict[str, type[GradientAgent]] = {
    "il": IL,
    "fmq": FMQ,
    "rec-fmq": RecFMQ,
    "maac": MAAC,
    "ac": AC,
    "mf-q": MFQ,
    "mf-ac": MFAC,
}
LATTICE_ALGORITHMS: dict[str, type[LatticeAgent]] = {
    "tabular-mf-q": TabularMFQ,
    "metropolis": Metropolis,
}
BATTLE_ALGORITHMS: dict[str, type[BattleAgent]] = {
    "battle-il": BattleIL,
    "battle-mf-q": BattleMFQ,
    "battle-ac": BattleAC,
    "battle-mf-ac": BattleMFAC,
    "battle-released-ac": ReleasedAC,
    "battle-released-mf-ac": ReleasedMFAC,
}

Kind = Literal["stateless", "lattice", "battle"]
KINDS: dict[Kind, type[Agent]] = {"stateless": GradientAgent, "lattice": LatticeAgent, "battle": BattleAgent}
KNOWN: dict[str, type[Agent]] = {**ALGORITHMS, **LATTICE_ALGORITHMS, **BATTLE_ALGORITHMS, "duel": Duel}


def algorithm_class(name: str, kind: Kind | None = None) -> type[Agent]:
    """The class behind a name: a key of the tables above, or ``path/to/file.py:Class`` for a method of one's own.

    Args:
        name: of the algorithm.
        kind: of games it must play; None for any.

    Raises:
        ValueError: an unknown name, a file or class that is not there, or a class that plays no such game.
    """
    base: type[Agent] = Agent if kind is None else KINDS[kind]
    known = {key: each for key, each in KNOWN.items() if issubclass(each, base)}
    if name in known:
        return known[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ValueError(f"algorithm must be one of {', '.join(known)} or path/to/file.py:Class, got {name!r}")
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
    if not (isinstance(found, type) and issubclass(found, base)):
        wanted = f"{base.__module__}.{base.__qualname__}"
        raise ValueError(f"algorithm {name!r}: {class_name} must be a subclass of {wanted} in {path}")
    return found

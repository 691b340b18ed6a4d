"""The algorithms, by the names that scripts and files use."""

from typing import Literal

from mfmarl.agent import Agent, GradientAgent
from mfmarl.algorithms.actor_critic import AC, MAAC, MFAC
from mfmarl.algorithms.battle import BattleAC, BattleAgent, BattleIL, BattleMFAC, BattleMFQ
from mfmarl.algorithms.battle_on_policy import ReleasedAC, ReleasedMFAC
from mfmarl.algorithms.frequency_maximum import FMQ, RecFMQ
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.algorithms.tabular import LatticeAgent, Metropolis, TabularMFQ
from mfmarl.custom import class_in_file, is_in_file
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
    if not is_in_file(name):
        raise ValueError(f"algorithm must be one of {', '.join(known)} or path/to/file.py:Class, got {name!r}")
    return class_in_file("algorithm", name, base)

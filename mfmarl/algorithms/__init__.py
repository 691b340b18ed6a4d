"""The algorithms, a file a family, and the names that scripts and result files use for them."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from mfmarl.custom import class_in_file, is_in_file

if TYPE_CHECKING:
    from mfmarl.algorithms.agent import Agent
    from mfmarl.environments import Game

Kind = Literal["stateless", "lattice", "battle"]

# Where each class is. A class is imported once it is asked for, so that a method of one game loads no other game.
ALGORITHMS: dict[Kind, dict[str, str]] = {
    "stateless": {
        "il": "mfmarl.algorithms.q_learning:IL",
        "fmq": "mfmarl.algorithms.frequency_maximum:FMQ",
        "rec-fmq": "mfmarl.algorithms.frequency_maximum:RecFMQ",
        "maac": "mfmarl.algorithms.actor_critic:MAAC",
        "ac": "mfmarl.algorithms.actor_critic:AC",
        "mf-q": "mfmarl.algorithms.q_learning:MFQ",
        "mf-ac": "mfmarl.algorithms.actor_critic:MFAC",
    },
    "lattice": {
        "tabular-il": "mfmarl.algorithms.lattice:TabularIL",
        "tabular-mf-q": "mfmarl.algorithms.lattice:TabularMFQ",
        "metropolis": "mfmarl.algorithms.lattice:Metropolis",
    },
    "battle": {
        "battle-il": "mfmarl.algorithms.battle:BattleIL",
        "battle-mf-q": "mfmarl.algorithms.battle:BattleMFQ",
        "battle-ac": "mfmarl.algorithms.battle:BattleAC",
        "battle-mf-ac": "mfmarl.algorithms.battle:BattleMFAC",
        "battle-released-ac": "mfmarl.algorithms.battle_released:ReleasedAC",
        "battle-released-mf-ac": "mfmarl.algorithms.battle_released:ReleasedMFAC",
    },
}
BASES: dict[Kind | None, str] = {
    "stateless": "mfmarl.algorithms.stateless:StatelessAgent",
    "lattice": "mfmarl.algorithms.lattice:LatticeAgent",
    "battle": "mfmarl.algorithms.battle:BattleAgent",
    None: "mfmarl.algorithms.agent:Agent",
}


def algorithm_class(name: str, kind: Kind | None = None, argument: str = "algorithm") -> "type[Agent]":
    """The class behind a name: a key of the tables above, or `path/to/file.py:Class` for a custom method.

    Args:
        name: of the algorithm.
        kind: of games it must play; None for any.
        argument: what the caller calls the name, for errors.

    Raises:
        ValueError: an unknown name, a file or class that is not there, or a class that plays no such game.
    """
    kinds = [*ALGORITHMS] if kind is None else [kind]
    known = {name: place for each in kinds for name, place in ALGORITHMS[each].items()}
    if name in known:
        return _load(known[name])
    if not is_in_file(name):
        raise ValueError(f"{argument} must be one of {', '.join(known)} or path/to/file.py:Class, got {name!r}")
    return class_in_file(argument, name, _load(BASES[kind]))


def agent_of_seeds(algorithm: "type[Agent]", environment: "Game", seeds: Sequence[int], **arguments: Any) -> "Agent":
    """What trains some seeds of a class as one job: of Battle, where an agent is of one seed, a BattleStack of several.

    Args:
        algorithm: the class.
        environment: the game.
        seeds: one independent run each.
        **arguments: of the class.

    Raises:
        ValueError: what the class refuses, or seeds of Battle that cannot be stacked.
    """
    if algorithm.kind == "battle" and len(seeds) > 1:
        stack: Any = _load("mfmarl.algorithms.battle_stack:BattleStack")
        made: Agent = stack(algorithm, environment, seeds, **arguments)
        return made
    return algorithm(environment, seeds, **arguments)


def _load(place: str) -> "type[Agent]":
    module, _, name = place.partition(":")
    found: type[Agent] = getattr(import_module(module), name)
    return found

"""The algorithms, one file per family, and their names in scripts and result files."""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from mfmarl.custom import class_in_file, is_in_file

if TYPE_CHECKING:
    from mfmarl.algorithms.agent import Agent
    from mfmarl.environments import Game

Kind = Literal["stateless", "lattice", "battle"]

# Module of each class, imported on first use, so that a method of one game does not load the others.
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
    """Return the class of an algorithm.

    Args:
        name: a key of the tables in ALGORITHMS, or `path/to/file.py:Class` for a custom method.
        kind: kind of games that the algorithm must play. None: any.
        argument: the caller's name of this argument, for error messages.

    Raises:
        ValueError: the name is unknown, the file or class does not exist, or the class does not play such games.
    """
    kinds = [*ALGORITHMS] if kind is None else [kind]
    known = {name: place for each in kinds for name, place in ALGORITHMS[each].items()}
    if name in known:
        return _load(known[name])
    if not is_in_file(name):
        raise ValueError(f"{argument} must be one of {', '.join(known)} or path/to/file.py:Class, got {name!r}")
    return class_in_file(argument, name, _load(BASES[kind]))


def agent_of_seeds(algorithm: "type[Agent]", environment: "Game", seeds: Sequence[int], **arguments: Any) -> "Agent":
    """Create the agent that trains several seeds as one job: for several seeds of Battle a BattleStack.

    Args:
        algorithm: class of the agent.
        environment: the game.
        seeds: seeds, with one independent run each.
        **arguments: further arguments of the class.

    Raises:
        ValueError: the class refuses its arguments or does not call `super().__init__`, or seeds of Battle cannot be
            stacked.
    """
    if algorithm.kind == "battle" and len(seeds) > 1:
        stack: Any = _load("mfmarl.algorithms.battle_stack:BattleStack")
        made: Agent = stack(algorithm, environment, seeds, **arguments)
        return made
    agent = algorithm(environment, seeds, **arguments)
    if not hasattr(agent, "seeds"):
        raise ValueError(f"{algorithm.__name__}.__init__ must call super().__init__(environment, seeds, ...)")
    return agent


def _load(place: str) -> "type[Agent]":
    module, _, name = place.partition(":")
    found: type[Agent] = getattr(import_module(module), name)
    return found

"""Whatever a public constructor is given in place of an argument: it is taken, or a ValueError names the argument."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mfmarl import Battle, Boltzmann, EpsilonGreedy, GaussianSqueeze, Ising, MatrixGame, train
from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.custom import constructor_keywords
from mfmarl.data.neighbourhood import Army, Graph, Noise
from mfmarl.environments.battle.parallel_env import BattleParallelEnv
from mfmarl.jobs.execution import Execution

# Of each type one, and what comes from a slip: text for a number, one value for several, a class for an instance.
WRONG: tuple[Any, ...] = (
    "a",
    "",
    None,
    [],
    {},
    object(),
    [None],
    ("a",),
    b"x",
    int,
    Battle,
    float("nan"),
    2.5,
    -1,
    True,
    10**30,
)
GAMES: dict[str, Any] = {"stateless": GaussianSqueeze(10), "lattice": Ising(4), "battle": Battle(4)}
SHORT: dict[str, Any] = {"steps": 2, "evaluations": 1}

bad: Any = partial
Made = tuple[Callable[..., object], list[str]]


def constructors() -> dict[str, Made]:
    """What makes each class when it is given some arguments, and their names."""
    made: dict[str, Made] = {}
    for kind, names in ALGORITHMS.items():
        temperatures = {"temperatures": [1.0]} if kind == "lattice" else {}
        for name in names:
            cls = algorithm_class(name)
            both = {"environment": GAMES[kind], "seeds": [0], **temperatures}
            made[name] = partial(cls, **both), ["environment", "seeds", *constructor_keywords(cls)]
            data = cls.data_module
            made[data.__name__] = (
                partial(data, **both, **SHORT),
                ["environment", "seeds", *constructor_keywords(data)],
            )
    needed: dict[Any, dict[str, Any]] = {
        **{GaussianSqueeze: {"agents": 10}, Ising: {}, MatrixGame: {"payoff": ((1, 2), (3, 4))}, Battle: {}},
        **{EpsilonGreedy: {"start": 0.5, "end": 0.1}, Boltzmann: {"start": 1.0}},
        **{Army: {}, Graph: {"neighbours": ((1,), (0,))}, Noise: {}, BattleParallelEnv: {}, Execution: {}},
    }
    for cls, given in needed.items():
        made[cls.__name__] = partial(cls, **given), [*inspect.signature(cls).parameters]
    return made


CONSTRUCTORS = constructors()


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_wrong_value_is_named_or_taken(name: str) -> None:
    make, arguments = CONSTRUCTORS[name]
    refused = 0
    for argument in arguments:
        for wrong in WRONG:
            said = refusal(partial(make, **{argument: wrong}))
            assert said is None or argument.rpartition("_")[2] in said, f"{argument}={wrong!r}: {said}"
            refused += said is not None
    assert refused or name == "Noise"  # which has no argument


def refusal(make: Callable[[], object]) -> str | None:
    """Why it is refused, if it is."""
    try:
        make()
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (bad(BattleParallelEnv, Battle(8)), "agents must be a whole number, got Battle(agents=8, max_steps=400)"),
        (bad(GaussianSqueeze, "a"), "agents must be a whole number, got 'a'"),
        (bad(EpsilonGreedy, 0.5, None), "end must be a number, got None"),
        (bad(Graph, 5), "neighbours must be several, each several again, got 5"),
        (bad(train, "tabular-mf-q", Battle(4), [0], **SHORT), "algorithm must be one of battle-il"),
        (bad(train, "mf-q", GAMES["stateless"], [0], **SHORT, discount="a"), "discount must be a number, got 'a'"),
        (bad(train, "il", GAMES["stateless"], [0], **SHORT, batch_size="a"), "batch_size must be a whole number or"),
        (bad(train, "il", GAMES["stateless"], [0], steps=10**30, evaluations=1), "steps must be at most 1000000000"),
        (bad(train, "il", GAMES["stateless"], [0], **SHORT, out=3), "out must be a path or None, got 3"),
        (
            bad(algorithm_class("tabular-mf-q"), GAMES["battle"], [0], temperatures=[1.0]),
            "environment must be an instance of Ising",
        ),
        (bad(algorithm_class("mf-q"), GaussianSqueeze, [0]), "environment must be a game such as Gaussian"),
    ],
)
def test_it_says_what_is_allowed(
    call: Callable[[], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="^" + said.replace("(", r"\(").replace(")", r"\)")):
        call()
    assert not [*tmp_path.iterdir()]

"""Whatever a public constructor is given in place of an argument: it is taken, or a ValueError names the argument."""

import inspect
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from mfmarl import Battle, Boltzmann, EpsilonGreedy, GaussianSqueeze, Ising, MatrixGame, train
from mfmarl.algorithms import ALGORITHMS, algorithm_class
from mfmarl.algorithms.constructors import constructor_keywords
from mfmarl.arguments import check_types
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


class Takes:
    """Declares what it takes."""

    def __init__(
        self,
        *,
        count: int = 1,
        rate: float | None = None,
        rates: tuple[float, ...] = (),
        pairs: tuple[tuple[int, ...], ...] = (),
        mode: Literal["fast", 3] = 3,
        flag: bool = True,
    ) -> None:
        pass


class Inherits(Takes):
    """Says nothing of what it hands on."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)


@pytest.mark.parametrize("cls", [Takes, Inherits])
def test_numbers_text_and_several_are_told_apart(cls: type) -> None:
    values: dict[str, list[Any]] = {
        "count": [3, np.int64(3)],
        "rate": [None, 0.5, 1, torch.tensor(0.5)],
        "rates": [(), (1, 0.5), [0.5], range(3), np.ones(2)],
        "pairs": [((1, 2), [3]), []],
        "mode": ["fast", 3],
        "flag": [True, False],
    }
    for name, every in values.items():
        for value in every:
            check_types(cls, {name: value})
    wrong: dict[str, tuple[str, list[Any]]] = {
        "count": ("a whole number", [True, "3", None, int, (3,)]),
        "rate": ("a number or None", ["0.5", float, ()]),
        "rates": ("several, each a number", [0.5, None, "12", b"12", ("1",), (1.0, "1"), [None, 0.5]]),
        "pairs": ("several, each several again", [1, (1, (2,)), ((1,), ("2",))]),
        "mode": ("text or a whole number", [None, (3,)]),
        "flag": ("True or False", ["True", None]),
    }
    for name, (allowed, every) in wrong.items():
        for value in every:
            with pytest.raises(ValueError, match=f"^{name} must be {allowed}, got {re.escape(repr(value))}$"):
                check_types(cls, {name: value})

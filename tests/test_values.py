"""Values as plain data and back, and the classes in them."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from torch import nn

from mfmarl.exploration import EpsilonGreedy
from mfmarl.values import classes_in, decode, encode


@dataclass(frozen=True)
class Own:
    """A class that this package does not know."""

    first: object
    second: object = None


class Faded(EpsilonGreedy):
    """Takes what is no field of it."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate, rate)


OWN = f"{__file__}:Own"
VALUES: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    ("a", "a"),
    (3, 3),
    (0.5, 0.5),
    ([1, "a", None], [1, "a", None]),
    ((1, (2.5,)), {"tuple": [1, {"tuple": [2.5]}]}),
    ({1: (2,)}, {"mapping": [[1, {"tuple": [2]}]]}),
    (EpsilonGreedy, {"class": "EpsilonGreedy"}),
    (Own, {"class": OWN}),
    (Own(1, ["a"]), {"dataclass": OWN, "fields": {"first": 1, "second": ["a"]}}),
    (EpsilonGreedy(1.0, 0.5, 4), {"dataclass": "EpsilonGreedy", "fields": {"start": 1.0, "end": 0.5, "steps": 4}}),
]
AS_OTHERS: list[tuple[Any, Any]] = [
    (np.int64(3), 3),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.array([[1, 2]]), [[1, 2]]),
    (range(2), [0, 1]),
]


@pytest.mark.parametrize(("value", "plain"), VALUES)
def test_values_come_back_from_json(value: Any, plain: Any) -> None:
    assert json.dumps(encode(value)) == json.dumps(plain)
    again = decode(json.loads(json.dumps(plain)), {OWN: Own}.__getitem__)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(("value", "plain"), AS_OTHERS)
def test_what_is_of_numpy_or_a_range_comes_back_as_numbers_and_lists(value: Any, plain: Any) -> None:
    assert json.dumps(encode(value)) == json.dumps(plain)


def test_what_cannot_come_back_is_refused() -> None:
    class Inside:
        """No file holds it at its top."""

    nowhere = type("Nowhere", (), {"__module__": "nowhere"})
    for value, message in (
        (object(), r"^value must be a number, text, a list, tuple or mapping, .*, got <object"),
        ([Inside], r"^class .*Inside must be at the top of its file, not inside another$"),
        ([nowhere], r"^class Nowhere must be written in a file, got one of nowhere$"),
        ([Faded(0.5)], r"^Faded must be a dataclass itself: what its own __init__ takes is no field of it$"),
    ):
        with pytest.raises(ValueError, match=message):
            encode(value)
    with pytest.raises(ValueError, match=r"^value: got \{'odd': 1\}, which stands for nothing$"):
        decode({"odd": 1}, {OWN: Own}.__getitem__)


def test_all_classes_that_are_told_by_name_are_found() -> None:
    value = [Own(1, EpsilonGreedy), ("a", nn.Linear), {nn.ReLU: [Own], "b": 2.0}, 7]
    assert classes_in(value) == [Own, EpsilonGreedy, nn.Linear, nn.ReLU, Own]

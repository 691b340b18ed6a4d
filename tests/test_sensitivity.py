"""The sensitivity study of Battle: who enters, who meets whom, and how rows of rivals are named."""

import pandas as pd
import pytest

from mfmarl.tournament.sensitivity import (
    AGAINST_NOISE,
    CHOICES,
    Rivalry,
    pairings_of_rivals,
    rivals,
    studied,
    with_rivalry,
)


def test_whom_a_choice_does_not_concern_enters_as_it_is() -> None:
    entrants = {name: [choice.entrant(method) for method in ("mf-q", "ac")] for name, choice in CHOICES.items()}
    assert entrants["appendix"] == ["mf-q", "ac"]
    assert entrants["4x-updates"] == ["mf-q-4x-updates", "ac-4x-updates"]
    assert entrants["double-q"] == ["mf-q-double-q", "ac"]
    assert entrants["noise"] == ["mf-q-noise", "ac"]


def test_the_appendix_is_always_studied() -> None:
    assert [choice.name for choice in studied(["noise", "double-q"])] == ["appendix", "double-q", "noise"]
    assert studied() == [*CHOICES.values()]


def test_rivals_make_a_choice_alike_and_noise_has_controls() -> None:
    assert rivals(studied(["noise"])) == {
        ("mf-q", "il"): Rivalry("as in the appendix", "mf-q", "il"),
        ("mf-ac", "ac"): Rivalry("as in the appendix", "mf-ac", "ac"),
        ("mf-q-noise", "il"): Rivalry("fed noise as mean action", "mf-q", "il"),
        ("mf-ac-noise", "ac"): Rivalry("fed noise as mean action", "mf-ac", "ac"),
        ("mf-q", "mf-q-noise"): Rivalry(AGAINST_NOISE, "mf-q", "il"),
        ("mf-ac", "mf-ac-noise"): Rivalry(AGAINST_NOISE, "mf-ac", "ac"),
    }
    assert AGAINST_NOISE not in {each.choice for each in rivals(studied(["double-q"])).values()}


def test_each_rival_meets_itself_too_and_nobody_twice() -> None:
    met = pairings_of_rivals(studied(["double-q"]), ["il", "mf-q", "ac"])
    assert {frozenset(pair) for pair in met} == {
        frozenset(pair)
        for one, other in (("mf-q", "il"), ("mf-q-double-q", "il-double-q"))
        for pair in ((one, one), (one, other), (other, other))
    }
    assert len(met) == 6


def test_rivals_are_named_in_the_order_of_the_choices() -> None:
    known = rivals(studied())
    rows = pd.DataFrame([*known, ("mf-q", "rush")], columns=["algorithm", "opponent"])
    found = with_rivalry(rows.sample(frac=1, random_state=0), known)
    assert [*dict.fromkeys(found["choice"])] == [*(choice.label for choice in CHOICES.values()), AGAINST_NOISE]
    first = found[found["choice"] == "as in the appendix"]
    assert sorted(zip(first["algorithm"], first["method"], first["against"], strict=True)) == [
        ("mf-ac", "mf-ac", "ac"),
        ("mf-q", "mf-q", "il"),
    ]
    noise = found[found["choice"] == "fed noise as mean action"]
    assert sorted(noise[["algorithm", "opponent"]].itertuples(index=False, name=None)) == [
        ("mf-ac-noise", "ac"),
        ("mf-q-noise", "il"),
    ]


@pytest.mark.parametrize("rows", [[], [("mf-q", "rush")]])
def test_of_no_rivals_there_are_no_rows(rows: list[tuple[str, str]]) -> None:
    found = with_rivalry(pd.DataFrame(rows, columns=["algorithm", "opponent"]), rivals(studied()))
    assert [*found] == ["algorithm", "opponent", *Rivalry._fields]
    assert found.empty

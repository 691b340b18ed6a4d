"""The sensitivity study of Battle: whether rankings depend on choices that the paper leaves open.

A choice changes the settings of the methods that it concerns; other methods enter unchanged. The compared methods fight
each other under the same choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from mfmarl.data.neighbourhood import Neighbourhood, Noise
from mfmarl.evaluation.rounds import LEARNERS
from mfmarl.tournament.schedule import pairings


class Choice(NamedTuple):
    """A choice that differs from the appendix's, with its label in figures and the methods that it concerns."""

    name: str
    label: str
    methods: tuple[str, ...]
    changes: Mapping[str, Any] = {}  #: changed values of the settings.
    neighbourhood: Neighbourhood | None = None

    def entrant(self, method: str) -> str:
        """Name of a method's armies under this choice."""
        return f"{method}-{self.name}" if self.name != AS_IT_IS and method in self.methods else method


class Rivalry(NamedTuple):
    """The common choice of two entrants, and their methods."""

    choice: str  #: label of the choice.
    method: str
    against: str


AS_IT_IS, NOISE = "appendix", "noise"
CHOICES = {
    choice.name: choice
    for choice in (
        Choice(AS_IT_IS, "as in the appendix", LEARNERS),
        Choice("4x-updates", "four times the gradient steps", LEARNERS, {"samples_per_update": 32}),
        Choice("always-follows", "the opponent always follows", LEARNERS, {"opponent_follows": "always"}),
        Choice("double-q", "double Q-learning", ("mf-q", "il"), {"double_q": True}),
        Choice("temperature-1", "actors at temperature 1", ("mf-ac", "ac"), {"temperature": 1.0}),
        Choice(NOISE, "fed noise as mean action", ("mf-q", "mf-ac"), neighbourhood=Noise()),
    )
}
RIVALS = (("mf-q", "il"), ("mf-ac", "ac"))
AGAINST_NOISE = "against itself fed noise"  # the control, which involves no other method


def studied(names: Collection[str] = ()) -> list[Choice]:
    """The appendix's own choice, with which others are compared, and the named choices, in order.

    Args:
        names: keys of `CHOICES`. Default: all.
    """
    return [choice for name, choice in CHOICES.items() if name in (AS_IT_IS, *(names or CHOICES))]


def rivals(choices: Iterable[Choice]) -> dict[tuple[str, str], Rivalry]:
    """All pairs of entrants with the same choice and, if noise is among the choices, its controls."""
    named = {choice.name: choice for choice in choices}
    alike = {
        (choice.entrant(method), choice.entrant(against)): Rivalry(choice.label, method, against)
        for choice in named.values()
        for method, against in RIVALS
        if {method, against} & {*choice.methods}
    }
    if NOISE in named:
        for method, against in RIVALS:
            alike[method, named[NOISE].entrant(method)] = Rivalry(AGAINST_NOISE, method, against)
    return alike


def pairings_of_rivals(choices: Iterable[Choice], methods: Collection[str]) -> list[tuple[str, str]]:
    """All pairs of rivals and their mirror matches, which the test of their difference needs.

    Args:
        choices: studied choices.
        methods: methods that take part; pairs with others are left out.
    """
    met = [
        pair
        for pair, known in rivals(choices).items()
        if known.method in methods and (known.choice == AGAINST_NOISE or known.against in methods)
    ]
    return [*dict.fromkeys(pairing for pair in met for pairing in pairings(pair))]


def with_rivalry(rows: pd.DataFrame, known: Mapping[tuple[str, str], Rivalry]) -> pd.DataFrame:
    """Select the rows of rivals and add the columns of `Rivalry`, ordered by choice.

    Args:
        rows: table with the columns algorithm and opponent; rows of other pairs are left out.
        known: rivals as returned by `rivals`, which gives the order of choices.
    """
    pairs = list(zip(rows["algorithm"], rows["opponent"], strict=True))
    rows = rows.loc[[pair in known for pair in pairs]]
    rivalries = [known[pair] for pair in pairs if pair in known]
    columns = pd.DataFrame(rivalries, columns=list(Rivalry._fields), index=rows.index)
    labels = [*dict.fromkeys(each.choice for each in known.values())]
    order = columns["choice"].map(labels.index).sort_values(kind="stable").index
    return pd.concat([rows, columns], axis=1).loc[order]

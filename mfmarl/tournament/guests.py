"""Guests of a tournament: armies of other results that enter it as opponents, and their committed rounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mfmarl.files import read_csv
from mfmarl.jobs.armies import kept_seeds, policy_path, trained_seeds

PAIRING = ["algorithm", "opponent", "agents", "evaluation"]


@dataclass(frozen=True)
class Homes:
    """The folders with the armies of a tournament.

    Attributes:
        out: results of the tournament.
        committed: results whose armies enter if `out` has none of an opponent.
        opponents: names of the entrants that may be guests.
    """

    out: Path
    committed: Path
    opponents: tuple[str, ...] = ()

    def home(self, agents: int, name: str) -> Path:
        """The folder of results from which the armies of this name enter."""
        return self.committed if name in self.opponents and is_guest(self.out, agents, name) else self.out

    def army(self, agents: int, name: str, seed: int) -> Path:
        """The file of an army that enters."""
        return policy_path(self.home(agents, name), agents, name, seed)

    def seeds(self, agents: int, name: str) -> list[int]:
        """The seeds of the existing armies of this name.

        Raises:
            ValueError: there are no such armies, or those of `out` are missing.
        """
        curves = self.out / "curves.csv"
        if is_guest(self.out, agents, name) and curves.exists() and self.home(agents, name) != self.out:
            rows = read_csv(curves)
            if ((rows["algorithm"] == name) & (rows["agents"] == agents)).any():
                raise ValueError(
                    f"opponents: {self.out} has trained {name} with {agents} agents, but its armies are missing: "
                    f"restore them, or train {name} there again"
                )
        return trained_seeds(self.home(agents, name), agents, name)


def is_guest(out: Path, agents: int, name: str) -> bool:
    """Whether an entrant has no armies in this folder of results: it is a script or a committed opponent."""
    return not kept_seeds(out, agents, name)


def with_rounds_of_guests(rounds: pd.DataFrame, committed: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Add the committed rounds of the guests in `rounds` against each other.

    Args:
        rounds: table of rounds, see `mfmarl.evaluation.rounds`.
        committed: table of rounds of the results that the guests come from.
        out: folder of the results that contain `rounds`.

    Returns:
        `rounds`, then the committed rounds of pairings that `rounds` does not contain.
    """
    parts = [rounds]
    for agents in sorted(set(rounds["agents"])):
        some = rounds[rounds["agents"] == agents]
        guests = {name for name in {*some["algorithm"], *some["opponent"]} if is_guest(out, agents, name)}
        both = committed["algorithm"].isin(guests) & committed["opponent"].isin(guests)
        parts.append(committed[both & (committed["agents"] == agents)])
    together = pd.concat(parts, ignore_index=True)
    new = ~pd.MultiIndex.from_frame(together[PAIRING]).isin(pd.MultiIndex.from_frame(rounds[PAIRING]))
    return together[new | (together.index < len(rounds))]

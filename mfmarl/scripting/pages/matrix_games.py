"""Passages of results/matrix_games/README.md with numbers."""

from pathlib import Path

import pandas as pd

from mfmarl.evaluation.intervals import with_ends
from mfmarl.evaluation.names import label
from mfmarl.files import read_csv
from mfmarl.scripting.pages.markdown import table

MET = 0.05  # largest difference from a published rate that counts as met


def passages(results: Path) -> dict[str, str]:
    """Write all passages, by name, from the table in a folder like results/matrix_games."""
    rates = read_csv(results / "table.csv")
    return {"published": published(rates), "agreement": agreement(rates)}


def published(rates: pd.DataFrame) -> str:
    """Table of our success rates beside the published ones."""
    rows = [
        [
            line["game"],
            label(line["algorithm"]),
            line["exploration"],
            line["steps"],
            with_ends(*(f"{line[name]:.1%}" for name in ("share", "low", "high"))),
            f"{line['published']:.1%}",
            line["source"],
        ]
        for line in rates.dropna(subset="published").to_dict("records")
    ]
    return table(["game", "method", "exploration", "steps", "runs that end at the optimum", "published", "where"], rows)


def agreement(rates: pd.DataFrame) -> str:
    """A sentence on the number of published rates that are met."""
    known = rates.dropna(subset="published")
    far = known[(known["share"] - known["published"]).abs() > MET]
    outside = ~known["published"].between(known["low"], known["high"])
    exceptions = ", ".join(
        f"{label(line['algorithm'])} on {line['game']} explored by {line['exploration']} ({line['share']:.0%} against"
        f" {line['published']:.0%})"
        for line in far.to_dict("records")
    )
    return (
        f"{len(known) - len(far)} of {len(known)} published rates are met within {100 * MET:.0f} points, with"
        f" {rates['runs'].min()} runs each; not met: {exceptions}. {outside.sum()} of {len(known)} lie outside the"
        " exact 95% interval of ours."
    )

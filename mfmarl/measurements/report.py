r"""Numbers of a README that come from rows, each between two comments of which the first says which row it is.

`<!-- TH-2; factor of a sweep; reading=sampled play of MF-Q; temperature=1.3; as=.3g -->0.958<!-- end -->`

is the claim, the quantity, what its setting must say, and how to print it. `show=` may be `interval` (the value and
its interval, where it has one), `percent` (the same in percent), `value`, `exact`, `low`, `high` or `n`.
In a table of Markdown `|` is written `\|`.
"""

import re

import pandas as pd

from mfmarl.evaluation.intervals import with_ends

NUMBER = re.compile(r"<!-- (?P<address>[^;>]+; .+?) -->(?P<text>.*?)<!-- end -->", re.DOTALL)
SHOWN = ("interval", "value", "exact", "low", "high", "n", "percent")


def filled_in(readme: str, frame: pd.DataFrame) -> str:
    """The README with every number between its comments written anew.

    Args:
        readme: its text.
        frame: rows of all measurements, see `mfmarl.measurements.rows`.

    Raises:
        ValueError: a comment that names no row, or several, or that says something else wrong.
    """
    return NUMBER.sub(lambda found: f"<!-- {found['address']} -->{number(found['address'], frame)}<!-- end -->", readme)


def number(address: str, frame: pd.DataFrame) -> str:
    """The text for an address like "TH-2; quantity; name=value; show=interval; as=.3g".

    Raises:
        ValueError: as `filled_in`.
    """
    claim, quantity, *details = address.replace("\\|", "|").split("; ")
    shown, form = "interval", ".3g"
    rows = frame[(frame["claim"] == claim) & (frame["quantity"] == quantity)]
    for detail in details:
        name, _, asked = detail.partition("=")
        if name == "show":
            shown = asked
        elif name == "as":
            form = asked
        else:
            rows = rows.loc[[detail in str(setting).split("; ") for setting in rows["setting"]]]
    if len(rows) != 1:
        raise ValueError(f"README must name one row by {address!r}, got {len(rows)}")
    if shown not in SHOWN:
        raise ValueError(f"README: show must be one of {', '.join(SHOWN)}, got {shown!r}")
    row = rows.iloc[0]
    if shown not in ("interval", "percent"):
        return f"{row[shown]:{form}}"
    unit, sign = (100, "%") if shown == "percent" else (1, "")
    value, low, high = (f"{unit * row[name]:{form}}{sign}" for name in ("value", "low", "high"))
    return with_ends(value, low, high)


def against_exact(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a quantity of which the truth is known: how many rows, and how far the worst is from it."""
    known = frame.dropna(subset="exact")
    lines = known.assign(difference=(known["value"] - known["exact"]).abs()).groupby(["claim", "quantity"], sort=True)
    return lines.agg(rows=("value", "size"), largest_difference=("difference", "max")).reset_index()

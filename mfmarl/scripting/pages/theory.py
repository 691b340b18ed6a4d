r"""Numbers of results/theory/README.md. Each is between two comments, the first of which names its row.

`<!-- TH-2; factor of a sweep; reading=sampled play of MF-Q; temperature=1.3; as=.3g -->0.958<!-- end -->`

gives the claim, the quantity, parts of the setting that must match, and the format. `show=` may be `interval` (the
value and, if it has one, its interval), `percent` (the same in percent), `value`, `exact`, `low`, `high` or `n`.
In a Markdown table `|` is written as `\|`.
"""

import re
from pathlib import Path

import pandas as pd

from mfmarl.evaluation.intervals import with_ends
from mfmarl.evaluation.tables import setting_of
from mfmarl.files import read_csv

NUMBER = re.compile(r"<!-- (?P<address>[^;>]+; .+?) -->(?P<text>.*?)<!-- end -->", re.DOTALL)
SHOWN = ("interval", "value", "exact", "low", "high", "n", "percent")


def read_rows(results: Path) -> pd.DataFrame:
    """Read the rows of all tables in a folder like results/theory."""
    return pd.concat([read_csv(path) for path in sorted(results.glob("*.csv"))])


def with_numbers(page: str, frame: pd.DataFrame) -> str:
    """Update every number between comments in a page.

    Args:
        page: text of the page.
        frame: rows of all measurements, see `mfmarl.measurements.rows`.

    Raises:
        ValueError: a comment names no row or several rows, or has an unknown `show`.
    """
    return NUMBER.sub(lambda found: f"<!-- {found['address']} -->{number(found['address'], frame)}<!-- end -->", page)


def number(address: str, frame: pd.DataFrame) -> str:
    """Return the text for an address like "TH-2; quantity; name=value; show=interval; as=.3g".

    Raises:
        ValueError: as in `with_numbers`.
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
            rows = rows.loc[[setting_of(setting).get(name) == asked for setting in rows["setting"]]]
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

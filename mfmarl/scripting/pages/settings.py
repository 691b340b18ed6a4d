"""Tables of docs/settings.md: every hyper-parameter with its source, as provenance.json recorded it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mfmarl.scripting.pages.markdown import table
from mfmarl.scripting.tables import read_provenance

COUNTS = {"seed_count", "full_seed_count", "seeds_a_job", "large_maac", "large_maac_seed_count"}
COUNTS |= {"tournament_rounds", "evaluations"}  # no hyper-parameters


def passages(results: Path) -> dict[str, str]:
    """The passages by name."""
    squeeze = read_provenance(results / "gaussian_squeeze/provenance.json")
    ising = read_provenance(results / "ising/provenance.json")["equilibrium"][0]["settings"]
    battle = read_provenance(results / "battle/provenance.json")
    return {
        "gaussian-squeeze": side_by_side(
            "appendix", "calibrated", *(_of(squeeze, "appendix", -1), _of(squeeze, "calibrated", -1))
        ),
        "ising": side_by_side(
            "checkerboard",
            "released-code",
            *(ising[f"{order}, 20 x 20"] for order in ("checkerboard", "released-code")),
        ),
        "battle": side_by_side(
            "appendix", "released-code", *(_of(battle, "appendix", 0), _of(battle, "released-code", 0))
        ),
    }


def _of(sections: Mapping[str, Any], name: str, call: int) -> Mapping[str, Any]:
    """Of one call: the first of Battle's has no budget of its own, the last of Gaussian Squeeze's all of today's."""
    settings: Mapping[str, Any] = sections[name][call]["settings"]
    return settings


def side_by_side(first: str, second: str, ones: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """A row a setting: its value and source, and what the second settings have in its place."""
    rows = []
    for name in [*ones, *(name for name in others if name not in ones)]:
        if name in COUNTS:
            continue
        here, there = ones.get(name), others.get(name)
        changed = there if there is not None and (here is None or there["value"] != here["value"]) else None
        rows.append(
            [
                f"`{name}`",
                _value(here["value"]) if here else "",
                here["source"] if here else "",
                f"**{_value(changed['value'])}**" if changed else "",
                changed["source"].partition(", in place of")[0] if changed else "",
            ]
        )
    return table(["setting", f"`{first}`", "source", f"`{second}`, where it differs", "source"], rows)


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)

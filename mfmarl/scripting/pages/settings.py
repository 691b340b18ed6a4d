"""Tables of docs/settings.md: every hyper-parameter of the scripts with its source."""

from collections.abc import Iterable, Mapping
from typing import Any

from mfmarl.evaluation.names import NAMES
from mfmarl.scripting.pages.markdown import table
from mfmarl.scripting.settings import sources

COUNTS = {"seed_count", "full_seed_count", "seeds_a_job", "large_maac", "large_maac_seed_count"}
COUNTS |= {"tournament_rounds", "evaluations"}  # not hyper-parameters
PARTS = ("equilibrium", "training", "snapshots", "frames")
OF_A_RUN = ("temperatures", "steps", "decay", "measure_every")  # settings in which the runs of Ising differ


def side_by_side(settings: Mapping[str, Any]) -> str:
    """Table with one row per field: value and source in the first settings, and those in the second if they differ."""
    (first, ones), (second, others) = ((name, sources(each)) for name, each in settings.items())
    rows = []
    for name in [*ones, *(name for name in others if name not in ones)]:
        if name in COUNTS:
            continue
        here, there = ones.get(name, {}), others.get(name, {})
        changed = there if there and (not here or there["value"] != here["value"]) else None
        rows.append(
            [
                f"`{name}`",
                _value(here["value"]) if here else "",
                here.get("source", ""),
                f"**{_value(changed['value'])}**" if changed else "",
                changed["source"].partition(", in place of")[0] if changed else "",
            ]
        )
    return table(["setting", f"`{first}`", "source", f"`{second}`, where it differs", "source"], rows)


def runs(cells: Iterable[Any]) -> str:
    """Table of the cells of the Ising script; cells that differ only by method or order share a row."""
    grouped: dict[tuple[str, ...], dict[str, None]] = {}
    for cell in cells:
        settings = sources(cell.settings)
        what = f"{cell.part}, {cell.kind}" if cell.kind else cell.part
        numbers = [_value(settings[name]["value"]) for name in OF_A_RUN]
        key = (what, f"{cell.size} x {cell.size}", *numbers, str(cell.settings.seed_count))
        order = "" if cell.method == "mcmc" else f" {cell.order}"
        grouped.setdefault(key, {})[f"{NAMES[cell.method]}{order}"] = None
    rows = [[what, ", ".join(methods), *rest] for (what, *rest), methods in sorted(grouped.items(), key=_part)]
    return table(["runs", "methods", "lattice", *(f"`{name}`" for name in OF_A_RUN), "seeds"], rows)


def _part(run: tuple[tuple[str, ...], object]) -> int:
    return PARTS.index(run[0][0].partition(",")[0])


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)

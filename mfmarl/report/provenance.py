"""Where results come from, for the page: provenance.json with equal calls in one line."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Made(NamedTuple):
    """What one command made at one commit on one machine."""

    command: str
    sections: list[str]  #: of provenance.json.
    jobs: int
    hours: float  #: on the clock, of all jobs.
    first: str  #: days, as year-month-day.
    last: str
    commit: str
    dirty: bool
    hardware: str
    versions: str


def made(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Made]:
    """The calls of provenance.json, those of the same command, commit, machine and versions as one."""
    grouped: dict[tuple[object, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for section, calls in sections.items():
        for call in calls:
            key = (call["command"], *commit(call), hardware(call), versions(call))
            grouped.setdefault(key, []).append((section, call))
    return [together(of_section) for of_section in grouped.values()]


def together(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Made:
    """Calls that are alike, each with its section."""
    _, one = calls[0]
    days = sorted(call["date"][:10] for _, call in calls)
    return Made(
        one["command"],
        list(dict.fromkeys(section for section, _ in calls)),
        sum(len(call["jobs"]) for _, call in calls),
        sum(call["total"]["wall_seconds"] for _, call in calls) / 3600,
        days[0],
        days[-1],
        *commit(one),
        hardware(one),
        versions(one),
    )


def commit(call: Mapping[str, Any]) -> tuple[str, bool]:
    """The commit's first digits, and whether the code differed from it."""
    known = call["commit"] or {"id": "unknown", "dirty": False}
    return known["id"][:10], known["dirty"]


def hardware(call: Mapping[str, Any]) -> str:
    """The machine in words."""
    machine = call["hardware"]
    return ", ".join([machine["cpu"], f"{machine['cores']} cores", f"{machine['memory_gib']:g} GiB", *machine["gpus"]])


def versions(call: Mapping[str, Any]) -> str:
    """The packages."""
    return ", ".join(f"{name} {version}" for name, version in call["versions"].items())

"""Provenance of results for the page: provenance.json with equal calls combined."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple


class Made(NamedTuple):
    """The results of one command at one commit on one machine."""

    command: str
    sections: list[str]  #: sections of provenance.json.
    rows: list[str]  #: columns and values that identify its rows: "agents 8, 64"; empty if the file has none.
    jobs: int
    hours: float  #: wall-clock time of all jobs in hours.
    first: str  #: first day, as year-month-day.
    last: str  #: last day.
    commit: str
    dirty: bool
    hardware: str
    versions: str


def made(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Made]:
    """The calls of provenance.json; those with the same command, commit, machine and versions are combined."""
    grouped: dict[tuple[object, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for section, calls in sections.items():
        for call in calls:
            key = (call["command"], *commit(call), hardware(call), versions(call))
            grouped.setdefault(key, []).append((section, call))
    return [together(of_section) for of_section in grouped.values()]


def together(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Made:
    """Combine equal calls, each given with its section."""
    _, one = calls[0]
    days = sorted(call["date"][:10] for _, call in calls)
    return Made(
        one["command"],
        list(dict.fromkeys(section for section, _ in calls)),
        rows([job for _, call in calls for job in call["jobs"].values()]),
        sum(len(call["jobs"]) for _, call in calls),
        sum(call["total"]["wall_seconds"] for _, call in calls) / 3600,
        days[0],
        days[-1],
        *commit(one),
        hardware(one),
        versions(one),
    )


def rows(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The values of each column that identifies rows, then precision and seeds, over all jobs."""
    columns: dict[str, list[Any]] = {}
    for job in jobs:
        named = {**job.get("labels", {}), **({"precision": job["precision"]} if "precision" in job else {})}
        for column, value in named.items():
            columns.setdefault(column, []).append(value)
    told = [
        f"{name} {', '.join(map(str, dict.fromkeys(sorted(values, key=_place))))}" for name, values in columns.items()
    ]
    seeds = {seed for job in jobs for seed in job.get("seeds", [])}
    return [*told, f"seeds {_spans(seeds)}"] if seeds else told


def _spans(numbers: Collection[int]) -> str:
    """Format numbers in order, with consecutive ones combined: "0 to 4, 9"."""
    firsts = sorted(number for number in numbers if number - 1 not in numbers)
    lasts = sorted(number for number in numbers if number + 1 not in numbers)
    return ", ".join(f"{one}" if one == last else f"{one} to {last}" for one, last in zip(firsts, lasts, strict=True))


def _place(value: object) -> tuple[bool, Any]:
    """The sort key of a number or text."""
    return isinstance(value, str), value


def commit(call: Mapping[str, Any]) -> tuple[str, bool]:
    """The first digits of the commit, and whether the code differed from it."""
    known = call["commit"] or {"id": "unknown", "dirty": False}
    return known["id"][:10], known["dirty"]


def hardware(call: Mapping[str, Any]) -> str:
    """The machine in words."""
    machine = call["hardware"]
    return ", ".join([machine["cpu"], f"{machine['cores']} cores", f"{machine['memory_gib']:g} GiB", *machine["gpus"]])


def versions(call: Mapping[str, Any]) -> str:
    """The versions of the packages in words."""
    return ", ".join(f"{name} {version}" for name, version in call["versions"].items())

"""Hyper-parameters of the committed jobs beside the values in the paper's appendix."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any, Literal, NamedTuple

LONGEST_LIST = 4  # longest list that is shown in full; of a longer one only the ends are


class Stated(NamedTuple):
    """A hyper-parameter in the appendix."""

    value: Any  #: as in provenance.json; `FORM` if the appendix gives no number.
    said: str = ""  #: the value in words, if the value alone would say more or less than the appendix.


EARLIER = {"temperature": "boltzmann"}  # names of fields in earlier calls that the current settings do not have

FORM = object()
"""The appendix gives a form but no number, so no value of ours deviates from it."""

# Appendix C of Yang et al. 2018, by task and field.
APPENDIX: dict[str, dict[str, Stated]] = {
    "gaussian_squeeze": {  # C.1
        "learning_rate": Stated(1e-5),
        "critic_learning_rate": Stated(1e-3),
        "actor_learning_rate": Stated(1e-4),
        "target_rate": Stated(0.01),
        "discount": Stated(0.95),
        "batch_size": Stated(200),
        "capacity": Stated(1_000_000),
        "samples_per_update": Stated(500),
        "heuristic_weight": Stated(5.0),
        "frequency_rate": Stated(0.01),
        "fmq_boltzmann": Stated([1000.0, 0.006, 1.0], "max_temp 1000, s 0.006, no end"),
        "boltzmann": Stated(None, "ε-greedy, no schedule"),
        "hidden": Stated([32, 32], "three layers, no widths"),
    },
    "ising": {  # C.2
        "decay": Stated(FORM, "exponential, no rate"),
    },
    "battle": {  # C.3
        "steps": Stated(2000),
        "learning_rate": Stated(1e-4),
        "discount": Stated(0.95),
        "batch_size": Stated(128),
        "capacity": Stated(500_000),
        "epsilon_start": Stated(1.0),
        "epsilon_end": Stated(0.05),
        "temperature": Stated(0.1),
        "entropy_weight": Stated(0.08),
        "value_weight": Stated(0.1),
    },
}

Verdict = Literal["agrees", "deviates", "silent"]
Settings = Mapping[str, Mapping[str, Any]]
"""As in provenance.json: the value and the source of each field."""


class Value(NamedTuple):
    """A value that a hyper-parameter had in some calls."""

    value: str
    source: str
    verdict: Verdict
    jobs: int  #: number of jobs with this value.


class Column(NamedTuple):
    """The settings of some jobs, with equal settings combined."""

    settings: Sequence[Settings]
    jobs: Sequence[int]  #: number of jobs with each of the settings.
    unused: Collection[str] = ()  #: fields that none of the jobs' methods uses.


class Row(NamedTuple):
    """A hyper-parameter."""

    name: str
    appendix: str  #: the appendix's value; empty if it has none.
    cells: list[list[Value]]  #: values in each column: several if calls differ, none if no job has the field.
    blanks: list[str]  #: for each column, why it has no value.


def column(
    calls: Sequence[Mapping[str, Any]],
    parts: Sequence[str],
    unused: Callable[[str], Set[str]],
    today: Settings,
) -> Column:
    """The settings of the jobs of some calls, restricted to the fields that each method uses.

    Args:
        calls: calls in a section of provenance.json.
        parts: names of the settings to select in a call; empty if the call has the same settings for all jobs.
        unused: function that returns the fields that a method does not use, by its name in the labels of jobs.
        today: the current settings of the script. If a value is unchanged, its current source replaces the recorded
            one.
    """
    settings, jobs, without = [], [], []
    for call in calls:
        for part in parts or [""]:
            recorded = _named_now(call["settings"].get(part, {}) if part else call["settings"], today)
            methods = Counter(_method(job) for name, job in call["jobs"].items() if _words(part) in name)
            for method, count in methods.items():
                without.append(unused(method))
                used = {name: each for name, each in recorded.items() if name not in without[-1]}
                settings.append({name: _known_now(each, today.get(name)) for name, each in used.items()})
                jobs.append(count)
    return Column(settings, jobs, frozenset.intersection(*map(frozenset, without)) if without else ())


def _named_now(recorded: Settings, today: Settings) -> Settings:
    return {name if name in today else EARLIER.get(name, name): entry for name, entry in recorded.items()}


def _words(part: str) -> str:
    """The part of a job's name that identifies settings: "checkerboard-20-seeds-" for "checkerboard, 20 x 20"."""
    return re.sub(r" x \d+", "", part).replace(", ", "-") + "-seeds-" if part else ""


def _method(job: Mapping[str, Any]) -> str:
    labels = job.get("labels", {})
    return str(labels.get("algorithm", labels.get("method", "")))


def _known_now(recorded: Mapping[str, Any], today: Mapping[str, Any] | None) -> Mapping[str, Any]:
    same = today is not None and shown(today["value"]) == shown(recorded["value"])
    return today if today is not None and same else recorded


def compared(stated: Mapping[str, Stated], columns: Sequence[Column]) -> list[Row]:
    """Make one row per hyper-parameter, with those in the appendix first.

    Args:
        stated: hyper-parameters in the appendix, by field.
        columns: settings of jobs.

    Raises:
        ValueError: no settings have a field that the appendix states.
    """
    fields = dict.fromkeys(name for column in columns for settings in column.settings for name in settings)
    if unknown := sorted(set(stated) - set(fields)):
        raise ValueError(f"the appendix's {', '.join(unknown)} are no fields of the settings")
    order = [*stated, *(name for name in fields if name not in stated)]
    return [
        Row(
            name,
            appendix(stated.get(name)),
            [cell(name, stated, column) for column in columns],
            ["not used" if name in column.unused else "not recorded" for column in columns],
        )
        for name in order
    ]


def appendix(stated: Stated | None) -> str:
    """The appendix's value in words."""
    return "" if stated is None else stated.said or shown(stated.value)


def cell(name: str, stated: Mapping[str, Stated], column: Column) -> list[Value]:
    """The values of a field in a column, the most frequent first."""
    found: dict[str, Value] = {}
    for settings, jobs in zip(column.settings, column.jobs, strict=True):
        if name in settings:
            value = settings[name]["value"]
            earlier = found[shown(value)].jobs if shown(value) in found else 0
            verdict = judged(value, stated.get(name))
            source = str(settings[name]["source"]).partition(", in place of")[0]  # the appendix's is shown beside it
            found[shown(value)] = Value(shown(value), source, verdict, earlier + jobs)
    return sorted(found.values(), key=lambda each: -each.jobs)


def judged(value: Any, stated: Stated | None) -> Verdict:
    """Compare a value with the appendix's."""
    if stated is None:
        return "silent"
    ours = list(value) if isinstance(value, tuple) else value  # as in provenance.json
    return "agrees" if stated.value is FORM or ours == stated.value else "deviates"


def shown(value: Any) -> str:
    """Format a value for readers; of a long list only the ends are shown."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        several = len(value) > LONGEST_LIST
        return f"{shown(value[0])} … {shown(value[-1])}, {len(value)}" if several else ", ".join(map(shown, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

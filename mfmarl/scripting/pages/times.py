"""Times that the committed results took, from every results/*/provenance.json."""

from pathlib import Path

from mfmarl.evaluation.names import in_words
from mfmarl.scripting.calls import CALLS, Call, command, seconds
from mfmarl.scripting.pages.markdown import table
from mfmarl.scripting.tables import read_provenance


def of_task(results: Path, task: str) -> str:
    """Table of the commands of a task, with the time of the jobs that made the committed results."""
    rows = [
        [f"`{command(call)}`", call.makes, *map(_time, seconds(results, call))] for call in CALLS if call.task == task
    ]
    return table(["command", "makes", "CPU time", "time on the clock"], rows)


def of_all(results: Path) -> str:
    """Table with one row per task: a link to its commands, and the times of all its committed results."""
    rows = []
    for task in dict.fromkeys(call.task for call in CALLS):
        folders = sorted({call.folder for call in CALLS if call.task == task})
        spent = [seconds(results, Call(task, "", "", folder)) for folder in folders]
        page = f"[{task.replace('_', ' ').title()}](results/{task}/README.md#make-it-again)"
        rows.append([page, *(_time(sum(column)) for column in zip(*spent, strict=True))])
    return table(["all results of", "CPU time", "on the clock"], rows)


def in_all(results: Path) -> str:
    """A sentence on the total time of all committed results."""
    folders = dict.fromkeys((call.task, call.folder) for call in CALLS)
    hours = sum(seconds(results, Call(task, "", "", folder))[0] for task, folder in folders) / 3600
    return (
        f"The committed results have from 1 to 96 seeds a setting, and took {hours:.0f} core-hours: the sum of"
        f" [README's table](../README.md#make-the-results-again)."
    )


def hardware(results: Path) -> str:
    """A sentence on the machines that made the committed results."""
    found = {
        (call["hardware"]["cpu"], len(call["hardware"]["gpus"]))
        for path in results.rglob("provenance.json")
        for calls in read_provenance(path).values()
        for call in calls
    }
    names = sorted({cpu.replace("(R)", "") for cpu, _ in found})
    gpus = sum(count for _, count in found)
    return (
        f"Measured on one or two cores ({in_words(names)}) and {gpus or 'no'} GPU, with other work on the same cores,"
        f" which the clock counts and CPU time does not."
    )


def _time(spent: float) -> str:
    return f"{spent / 3600:.1f} h" if spent >= 3600 else f"{max(spent / 60, 1):.0f} min"

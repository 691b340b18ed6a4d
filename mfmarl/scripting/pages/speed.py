"""Tables of docs/speed.md and docs/cluster.md, from the output of benchmarks and GPU tests."""

from pathlib import Path

import pandas as pd

from mfmarl.evaluation.names import in_words
from mfmarl.scripting.pages.markdown import one, table

WORKERS = (16, 64, 256, 512)
GPU = {"kernels": "kernels", "to_device": "copies to it", "to_host": "copies back", "waits": "times the host waits"}


def speed(measured: Path) -> dict[str, str]:
    """Write one passage for each table of benchmarks/speed.csv."""
    cells = pd.read_csv(measured, dtype=str, keep_default_na=False)
    return {str(name): _pivot(some) for name, some in cells.groupby("table", sort=False)}


def against(measured: Path) -> dict[str, str]:
    """Write the passage of docs/speed.md about benchmarks/against.csv."""
    pairs = pd.read_csv(measured, dtype=str, keep_default_na=False)
    columns = ["case", "commit", "before", "now", "unit", "gain", "pairs", "processor"]
    gain = pairs["ratio"] + " [" + pairs["least"] + ", " + pairs["most"] + "]"
    return {"against": table(columns, pairs.assign(gain=gain)[columns].to_numpy().tolist())}


def _pivot(cells: pd.DataFrame) -> str:
    columns, rows = (list(dict.fromkeys(cells[name])) for name in ("column", "row"))
    texts = {(row, column): value for _, row, column, value in cells.itertuples(index=False, name=None)}
    return table(["", *columns], [[row, *(texts.get((row, column), "") for column in columns)] for row in rows])


def scaling(measured: Path) -> dict[str, str]:
    """Write the passages of docs/cluster.md about benchmarks/scaling.csv."""
    runs = pd.read_csv(measured)
    rows: list[list[object]] = []
    totals: list[str] = []
    for seeds, some in runs.groupby("seeds"):
        hours, total = some.set_index("workers")["hours"], f"{some['core_hours'].iloc[0]:.0f}"
        rows.append([seeds, total, *(f"{hours[count]:.1f} h" for count in WORKERS)])
        totals.append(f"{total}{' core-hours' if not totals else ''} with {seeds}{' seeds' if not totals else ''}")
    header = ["seeds", "core-hours", f"{WORKERS[0]} workers", *map(str, WORKERS[1:])]
    return {
        "scaling": table(header, rows),
        "core-hours": f"All results are {in_words(totals)} of every setting.",
        "bounds": bounds(runs),
    }


def bounds(runs: pd.DataFrame) -> str:
    """Sentences on what limits the total time, with few workers and with many."""
    least = min(runs.to_dict("records"), key=lambda row: float(row["hours"]))
    return (
        f"With few workers the sum of all jobs decides how long it takes. With many it is {least['hours']:.1f} hours:"
        f" the longest training, `{least['training_bound_by']}`, and after it the longest duel,"
        f" `{least['tournament_bound_by']}`."
    )


def gpu(counted: Path) -> dict[str, str]:
    """Write the passage of docs/cluster.md about tests/gpu_counts.csv: Battle's MF-Q with one seed and stacked."""
    counts = pd.read_csv(counted)
    parts = {"play": "steps of play and the end of a round", "learn": "gradient steps"}
    rows = []
    for part, what in parts.items():
        for name, seeds in (("battle-mf-q", "one seed"), ("battle-mf-q, 4 seeds", "4 seeds in lock step")):
            row = one(counts, method=name, part=part)
            rows.append([f"{row['steps']} {what}, {seeds}", *(row[each] for each in GPU)])
    return {"gpu": table(["MF-Q in Battle", *GPU.values()], rows)}

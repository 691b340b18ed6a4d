"""Tables of docs/speed.md and docs/cluster.md, from what the benchmarks wrote."""

from pathlib import Path

import pandas as pd

from mfmarl.scripting.pages.markdown import table

WORKERS = (16, 64, 256, 512)


def speed(measured: Path) -> dict[str, str]:
    """A passage for each table of benchmarks/speed.csv."""
    cells = pd.read_csv(measured, dtype=str, keep_default_na=False)
    return {str(name): _pivot(some) for name, some in cells.groupby("table", sort=False)}


def against(measured: Path) -> dict[str, str]:
    """What docs/speed.md says of benchmarks/against.csv."""
    pairs = pd.read_csv(measured, dtype=str, keep_default_na=False)
    columns = ["case", "commit", "before", "now", "unit", "gain", "pairs", "processor"]
    gain = pairs["ratio"] + " [" + pairs["least"] + ", " + pairs["most"] + "]"
    return {"against": table(columns, pairs.assign(gain=gain)[columns].to_numpy().tolist())}


def _pivot(cells: pd.DataFrame) -> str:
    columns, rows = (list(dict.fromkeys(cells[name])) for name in ("column", "row"))
    texts = {(row, column): value for _, row, column, value in cells.itertuples(index=False, name=None)}
    return table(["", *columns], [[row, *(texts.get((row, column), "") for column in columns)] for row in rows])


def scaling(measured: Path) -> dict[str, str]:
    """What docs/cluster.md says of benchmarks/scaling.csv."""
    runs = pd.read_csv(measured)
    rows = []
    for seeds, some in runs.groupby("seeds"):
        hours = some.set_index("workers")["hours"]
        rows.append([seeds, f"{some['core_hours'].iloc[0]:.0f}", *(f"{hours[count]:.1f} h" for count in WORKERS)])
    header = ["seeds", "core-hours", f"{WORKERS[0]} workers", *map(str, WORKERS[1:])]
    return {"scaling": table(header, rows)}

"""The theory's committed rows are made again by their measurements.

Those that take long are made again as slow tests. Their code is held in every run by what it made at the sizes of
--quick, kept in theory_quick.csv. Where a change of it is meant, and the slow tests pass or the committed rows were
made anew, `python -m tests.test_theory_committed` writes that table again.
"""

import platform
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfmarl.files import read_csv, write_csv
from mfmarl.jobs.execution import TIMES
from mfmarl.measurements.job import MeasurementJob
from mfmarl.measurements.rows import KEYS
from mfmarl.scripting.tables import read_provenance
from reproduce.theory import FILES, TheoryOptions, jobs
from tests.support import done

ROOT = Path(__file__).parents[1]
QUICK = Path(__file__).parent / "theory_quick.csv"
SLOW = 4.0  # seconds of the CPU, when what is committed was made
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="sampled play rounds otherwise on another kind of machine"
)


def seconds() -> dict[str, float]:
    """Of the CPU that every job took."""
    calls = [call for made in read_provenance(ROOT / "results/theory/provenance.json").values() for call in made]
    return {name: job[TIMES[1]] for call in calls for name, job in call["jobs"].items()}


def measurements() -> list[Any]:
    """The jobs of the committed rows, each with the file that they are in."""
    return [
        pytest.param(job, file, marks=pytest.mark.slow if seconds()[job.name] > SLOW else (), id=job.name)
        for file in FILES
        for job in jobs(file, TheoryOptions())
    ]


def slow_ones() -> list[MeasurementJob]:
    """Those that take long, at the sizes of --quick."""
    return [job for file in FILES for job in jobs(file, TheoryOptions(quick=True)) if seconds()[job.name] > SLOW]


@pytest.mark.parametrize("job", slow_ones(), ids=lambda job: job.name)
def test_a_long_measurement_makes_the_rows_of_its_quick_size_again(job: MeasurementJob, tmp_path: Path) -> None:
    kept = read_csv(QUICK)
    compare(done(job, tmp_path), kept[kept["job"] == job.name].drop(columns="job"), within=1e-4)


@pytest.mark.parametrize(("job", "file"), measurements())
def test_a_measurement_makes_its_committed_rows_again(job: MeasurementJob, file: str, tmp_path: Path) -> None:
    found, committed = done(job, tmp_path), read_csv(ROOT / f"results/theory/{file}.csv")
    compare(found, committed[committed["quantity"].isin(found["quantity"])], within=1e-6)


def compare(found: pd.DataFrame, before: pd.DataFrame, *, within: float) -> None:
    """Both have the same rows, and in them the same numbers."""
    found, before = (rows.astype({"setting": object}).fillna({"setting": ""}) for rows in (found, before))
    both = found.merge(before, on=KEYS, suffixes=("", "_before"))
    assert len(both) == len(found) == len(before) > 0
    for column in ("value", "low", "high", "n", "exact"):
        again, was = both[column].to_numpy(float), both[f"{column}_before"].to_numpy(float)
        np.testing.assert_allclose(again, was, rtol=within, atol=within / 100, err_msg=column)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        made = [done(job, Path(folder)).assign(job=job.name) for job in slow_ones()]
    write_csv(pd.concat(made), QUICK, keys=["job", *KEYS])

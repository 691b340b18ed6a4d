"""The theory's committed rows are made again by their measurements."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfmarl.files import read_csv
from mfmarl.measurements.job import MeasurementJob
from mfmarl.scripting.provenance import TIMES
from mfmarl.scripting.tables import read_provenance
from reproduce.theory import FILES, TheoryOptions, jobs
from tests.support import done

ROOT = Path(__file__).parents[1]
SLOW = 10.0  # seconds of the CPU, when what is committed was made
KEYS = ["claim", "quantity", "setting"]


def measurements() -> list[Any]:
    """The jobs of the committed rows, each with the file that they are in."""
    calls = [call for made in read_provenance(ROOT / "results/theory/provenance.json").values() for call in made]
    seconds = {name: job[TIMES[1]] for call in calls for name, job in call["jobs"].items()}
    return [
        pytest.param(job, file, marks=pytest.mark.slow if seconds[job.name] > SLOW else (), id=job.name)
        for file in FILES
        for job in jobs(file, TheoryOptions())
    ]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="sampled play rounds otherwise on another kind of machine")
@pytest.mark.parametrize(("job", "file"), measurements())
def test_a_measurement_makes_its_committed_rows_again(job: MeasurementJob, file: str, tmp_path: Path) -> None:
    found, committed = done(job, tmp_path), read_csv(ROOT / f"results/theory/{file}.csv")
    committed = committed[committed["quantity"].isin(found["quantity"])]
    found, committed = (rows.astype({"setting": object}).fillna({"setting": ""}) for rows in (found, committed))
    both = found.merge(committed, on=KEYS, suffixes=("", "_committed"))
    assert len(both) == len(found) == len(committed) > 0
    for column in ("value", "low", "high", "n", "exact"):
        again, before = both[column].to_numpy(float), both[f"{column}_committed"].to_numpy(float)
        np.testing.assert_allclose(again, before, rtol=1e-6, atol=1e-9, err_msg=column)

"""Every committed figure, and every table that is computed from others, is made again.

Pictures have the same bytes. Tables and PDFs hold numbers, whose last digit another processor may round otherwise.
"""

import importlib
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mfmarl.files import read_csv
from mfmarl.scripting.main import main
from mfmarl.scripting.tables import read_sums
from tests.support import draws_as_committed

RESULTS = Path(__file__).parents[1] / "results"
CALLS = {
    "gaussian_squeeze": "",
    "gaussian_squeeze/sensitivity": "--study sensitivity",
    "gaussian_squeeze/exploration": "--study exploration",
    "gaussian_squeeze/informed_start": "--study informed-start",
    "gaussian_squeeze/informed_start_long": "--study informed-start-long",
    "gaussian_squeeze/joint_steps": "--study joint-steps",
    "gaussian_squeeze/fmq_temperature": "--study fmq-temperature",
    "gaussian_squeeze/scaling": "--scale-target",
    "ising": "",
    "battle": "",
    "matrix_games": "",
    "theory": "",
}


@pytest.mark.parametrize(
    "folder", [pytest.param(each, marks=pytest.mark.slow if each in ("battle", "theory") else ()) for each in CALLS]
)
def test_the_measured_tables_make_all_else_again(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    committed, out = RESULTS / folder, tmp_path / folder
    out.mkdir(parents=True)
    for name in ("SHA256SUMS", "provenance.json", *read_sums(committed)):
        shutil.copy(committed / name, out)
    if (committed / "policies").exists():
        (out / "policies").symlink_to(committed / "policies")
    task = folder.split("/", maxsplit=1)[0]
    words = [*CALLS[folder].split(), "--figures-only", "--out", str(tmp_path / task)]
    assert main(lambda: importlib.import_module(f"reproduce.{task}").run(words)) == 0
    told = capsys.readouterr().out
    measured = {"SHA256SUMS", "provenance.json", "README.md", *read_sums(committed)}
    for name in sorted({path.name for path in committed.iterdir() if path.is_file()} - measured):
        assert str(out / name) in told
        if name.endswith(".csv"):
            pd.testing.assert_frame_equal(read_csv(out / name), read_csv(committed / name), rtol=1e-9)
        elif name.endswith(".pdf"):
            assert (out / name).read_bytes().startswith(b"%PDF")
        elif draws_as_committed():
            assert (out / name).read_bytes() == (committed / name).read_bytes(), name


def test_no_folder_of_results_is_left_out() -> None:
    assert {path.parent.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("provenance.json")} == set(CALLS)

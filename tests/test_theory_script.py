"""The script of the paper's mathematics: what it committed, its README's numbers, its figures, and a quick run."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from mfmarl.figures.theory import of_quantity
from mfmarl.files import read_csv
from mfmarl.measurements.report import NUMBER, filled_in
from mfmarl.measurements.rows import COLUMNS, KEYS
from reproduce.theory import FILES, MEASUREMENTS, TheoryOptions, drawn, jobs, run

RESULTS = Path(__file__).parents[1] / "results" / "theory"
CLAIMS = {"approximation": "TH-1", "contraction": "TH-2", "learning": "TH-3", "toy": "toy"}


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return {name: read_csv(RESULTS / f"{name}.csv") for name in FILES}


def test_committed_tables_are_tidy(frames: dict[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        assert list(frame.columns) == COLUMNS
        assert set(frame["claim"]) == {CLAIMS[name]}
        assert not frame.duplicated(KEYS).any()
        measured = frame.dropna(subset="low")
        assert (measured["low"] <= measured["value"] + 1e-12).all()
        assert (measured["value"] <= measured["high"] + 1e-12).all()


def test_numbers_of_the_readme_are_those_of_the_tables(frames: dict[str, pd.DataFrame]) -> None:
    text = (RESULTS / "README.md").read_text()
    assert filled_in(text, pd.concat(frames.values())) == text
    assert len(NUMBER.findall(text)) > 50
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (RESULTS / picture).exists()
        assert (RESULTS / picture).with_suffix(".pdf").exists()


def test_lattices_under_glie_agree_from_sweep_1000_on(frames: dict[str, pd.DataFrame]) -> None:
    """As the README says of all sweeps at which it was looked."""
    for name, looked in (("GLIE: share of runs in consensus", 7), ("GLIE, Q exact: share of runs in consensus", 4)):
        rows = of_quantity(frames["learning"], name)
        late = rows[rows["sweeps"] >= 1000]
        assert len(late) == looked
        assert (late["value"] == 1).all()


def test_every_figure_is_drawn_from_the_tables_and_shown(frames: dict[str, pd.DataFrame]) -> None:
    figures = drawn(frames)
    text = (RESULTS / "README.md").read_text()
    for name, figure in figures.items():
        assert f"({name}.png)" in text
        assert all(axes.has_data() or axes.images for axes in figure.axes)


def test_provenance_says_how_every_table_came_about() -> None:
    sections = json.loads((RESULTS / "provenance.json").read_text())
    assert set(sections) == set(FILES)
    for file, calls in sections.items():
        done = {name: job for call in calls for name, job in call["jobs"].items()}
        asked = jobs(file, TheoryOptions())
        assert {name: job["fingerprint"] for name, job in done.items()} == {job.name: job.fingerprint for job in asked}
        for call in calls:
            assert call["commit"]["dirty"] is False
            assert set(done) <= set(call["settings"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--settings", "calibrated"], "settings: got calibrated, allowed is full"),
        (["--agents", "5"], "agents: got [5], which this script does not use"),
        (["--algorithms", "il"], "algorithms: got ['il'], which this script does not use"),
        (["--logger", "csv"], "logger: got csv, allowed is none"),
        (["--precision", "64"], "precision: got 64, allowed is 32"),
        (["--accelerator", "gpu"], "accelerator: got gpu, allowed is cpu"),
        (["--seeds", "0"], "seeds: got 0, allowed is 1 or more"),
    ],
)
def test_bad_options_are_refused(wrong: list[str], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        run(wrong)
    assert message in str(refused.value)


def test_figures_only_asks_for_tables(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="figures_only: there is no"):
        run(["--figures-only", "--out", str(tmp_path)])


@pytest.mark.slow
def test_a_quick_run_writes_everything_and_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bytes_of = []
    for call in ("one", "two"):
        out = tmp_path / call
        run(["--quick", "--out", str(out), "--seed", "3", "--workers", "1"])
        shown = capsys.readouterr()
        assert f"{len(MEASUREMENTS)} of {len(MEASUREMENTS)} jobs" in shown.err
        assert "critical temperature of the mean field map" in shown.out
        names = sorted(path.name for path in out.iterdir() if path.is_file() and path.name != "provenance.json")
        assert len(names) == len(FILES) + 2 * 9
        bytes_of.append({name: (out / name).read_bytes() for name in names})
    assert bytes_of[0] == bytes_of[1]
    other = tmp_path / "other"
    run(["--quick", "--out", str(other), "--seed", "4", "--workers", "1"])
    assert (other / "toy.csv").read_bytes() != bytes_of[0]["toy.csv"]

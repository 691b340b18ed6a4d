"""The script of the paper's mathematics: what it committed, its README's numbers, its figures, and a quick run."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mfmarl.figures.theory import of_quantity
from mfmarl.files import read_csv
from mfmarl.measurements.rows import COLUMNS, KEYS
from mfmarl.scripting.pages.theory import NUMBER, read_rows, with_numbers
from mfmarl.scripting.results import Section
from reproduce import theory
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


def test_numbers_of_the_readme_are_those_of_the_tables() -> None:
    text = (RESULTS / "README.md").read_text()
    assert with_numbers(text, read_rows(RESULTS)) == text
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


def test_sizes_are_small_when_quick_and_have_as_many_seeds_as_asked_for(tmp_path: Path) -> None:
    for file in FILES:
        own = {f"{file}-{name}": each for name, each in MEASUREMENTS.items() if each.file == file}
        for quick, seeds in ((True, None), (True, 5), (False, 5), (False, None)):
            found = jobs(file, TheoryOptions(out=tmp_path, quick=quick, seeds=seeds, seed=3))
            assert len(found) == len(own)
            for job, each in zip(found, own.values(), strict=True):
                sizes = each.quick if quick else each.full
                changed = {"seeds": seeds} if seeds and "seeds" in sizes else {}
                assert (job.function, job.sizes) == (f"mfmarl.measurements.{each.function}", {**sizes, **changed})
                assert job.seed == 3


def test_rows_go_to_the_file_of_their_subject(
    frames: dict[str, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Section] = []

    def do(sections: list[Section], options: TheoryOptions) -> list[pd.DataFrame]:
        assert options.accelerator == "cpu"
        asked.extend(sections)
        return [frame[::-1] for frame in frames.values()]

    monkeypatch.setattr(theory, "do", do)
    theory.measure(TheoryOptions(out=tmp_path))
    assert [section.name for section in asked] == list(FILES)
    assert sum(len(section.jobs) for section in asked) == len(MEASUREMENTS)
    for section in asked:
        assert section.settings == {job.name: {"value": job.sizes, "source": "ours"} for job in section.jobs}  # type: ignore[attr-defined]
    for name in FILES:
        assert (tmp_path / f"{name}.csv").read_bytes() == (RESULTS / f"{name}.csv").read_bytes()


@pytest.mark.parametrize(("word", "told"), [("seeds=5", "seeds: got 5"), ("seed=1", "seed: got 1"), ("quick", "quick")])
def test_committed_rows_stay_at_their_sizes(word: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(RESULTS.parents[1])
    monkeypatch.setattr(theory, "do", lambda *_: pytest.fail("it begins"))
    with pytest.raises(ValueError, match=rf"^{told}.*, but results/theory is committed; name another --out$"):
        run([f"--{word}", "--out", "results/theory"])


def test_committed_rows_are_measured_again_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    class BeganError(Exception):
        """It was not refused."""

    def do(*_: object) -> None:
        raise BeganError

    monkeypatch.chdir(RESULTS.parents[1])
    monkeypatch.setattr(theory, "do", do)
    with pytest.raises(BeganError):
        run([])


def test_numbers_of_a_readme_are_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FILES:
        shutil.copy(RESULTS / f"{name}.csv", tmp_path)
    monkeypatch.setattr(theory, "drawn", lambda _: {})
    run(["--figures-only", "--out", str(tmp_path)])
    assert "README.md" not in capsys.readouterr().out
    text = (RESULTS / "README.md").read_text()
    (tmp_path / "README.md").write_text(NUMBER.sub(r"<!-- \g<address> -->7<!-- end -->", text))
    run(["--figures-only", "--out", str(tmp_path)])
    assert (tmp_path / "README.md").read_text() == text
    assert str(tmp_path / "README.md") in capsys.readouterr().out


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

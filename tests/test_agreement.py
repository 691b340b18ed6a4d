"""Results of two machines: the same, alike or different, on made-up tables and on the committed ones."""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mfmarl.evaluation.agreement import compare_estimates, compare_runs
from mfmarl.scripting.main import main
from reproduce import compare as script

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"


def runs(ends: dict[tuple[str, int], float], steps: int = 20) -> pd.DataFrame:
    """Runs, by algorithm and seed, whose score is that of the last two of 20 evaluations; before, it is 0."""
    rows = [
        (algorithm, seed, step, end if step > steps - 2 else 0.0)
        for (algorithm, seed), end in ends.items()
        for step in range(1, steps + 1)
    ]
    return pd.DataFrame(rows, columns=["algorithm", "seed", "step", "score"])


def test_runs_are_compared_cell_by_cell() -> None:
    committed = runs({("il", seed): float(seed) for seed in range(6)} | {("mf-q", seed): 1.0 for seed in range(6)})
    mine = runs({("il", seed): float(seed) for seed in range(3)} | {("mf-q", seed): 5.0 for seed in range(4, 8)})
    mine = pd.concat([mine, runs({("other", 0): 1.0})]).sample(frac=1, random_state=0)
    il, mf_q = compare_runs(mine, committed, ["score"]).to_dict("records")
    assert (il["cell"], il["runs"], il["committed_runs"], il["same"]) == ("il", 3, 6, 3)
    assert (il["value"], il["committed"]) == (1.0, 2.5)
    assert math.isnan(il["p"]), "the same needs no test"
    assert (mf_q["cell"], mf_q["runs"], mf_q["same"], mf_q["value"]) == ("mf-q", 4, 0, 5.0)
    assert mf_q["p"] == pytest.approx(2 / math.comb(10, 4) / 2)  # every one of mine above every one of theirs


def test_few_runs_other_steps_and_other_seeds() -> None:
    committed = runs({("il", seed): float(seed) for seed in range(6)})
    few = compare_runs(runs({("il", seed): 9.0 for seed in (0, 1)}), committed, ["score"])
    assert few["p"].isna().all()
    assert few["same"].tolist() == [0]
    longer = compare_runs(runs({("il", seed): 9.0 for seed in range(4)}, steps=40), committed, ["score"])
    assert longer.empty
    elsewhere = compare_runs(runs({("il", seed): seed - 10.0 for seed in range(10, 16)}), committed, ["score"])
    assert elsewhere["same"].tolist() == [0]
    assert elsewhere["p"].tolist() == [1.0]
    once = committed[committed["step"] == 20].drop(columns="step")
    assert compare_runs(once, once, ["score"])["same"].tolist() == [6]
    with pytest.raises(ValueError, match="table lacks the columns"):
        compare_runs(committed.drop(columns="algorithm"), committed, ["score"])


def test_columns_are_found_by_name() -> None:
    """Reversed columns and a column of one's own change nothing."""
    committed = runs({("il", seed): float(seed) for seed in range(6)})
    mine = committed[committed.columns[::-1]].assign(mine=1.0)
    pd.testing.assert_frame_equal(
        compare_runs(mine, committed, ["score"]), compare_runs(committed, committed, ["score"])
    )


def test_a_score_that_a_cell_does_not_have_is_left_out() -> None:
    committed = runs({(name, seed): float(seed) for name in ("il", "mcmc") for seed in range(6)})
    committed["error"] = committed["score"].where(committed["algorithm"] == "il")
    mine = committed.assign(seed=committed["seed"] + 1000)
    compared = compare_runs(mine, committed, ["score", "error"])
    assert list(zip(compared["cell"], compared["quantity"], strict=True)) == [
        ("il", "score"),
        ("il", "error"),
        ("mcmc", "score"),
    ]
    assert compared["p"].tolist() == [1.0] * 3
    alone = compare_runs(mine[mine["algorithm"] == "mcmc"].drop(columns="error"), committed, ["score", "error"])
    assert alone["quantity"].tolist() == ["score"]
    mine.loc[mine["seed"] == 1002, "error"] = math.nan
    with pytest.raises(ValueError, match=r"^error must be a number in all runs of il, got NaN in some$"):
        compare_runs(mine, committed, ["score", "error"])
    with pytest.raises(ValueError, match=r"^table must have one row of algorithm, seed, step, got two of il, 1000, 1$"):
        compare_runs(pd.concat([mine, mine]), committed, ["score"])


def estimates(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "value", "low", "high"])


def test_estimates_are_compared_by_their_intervals() -> None:
    """Ends at 1.96 standard errors: with an error of 3 and one of 4, the difference has one of 5."""
    ends = [1.959963984540054 * error for error in (3, 4)]
    mine = estimates(("a", 10.0, 10 - ends[0], 10 + ends[0]), ("same", 1.0, 0, 2), ("bare", 1.0, math.nan, math.nan))
    theirs = estimates(("a", 0.0, -ends[1], ends[1]), ("same", 1.0, 0, 2), ("bare", 2.0, math.nan, math.nan))
    rows = compare_estimates(mine, theirs, ["name"], "value", "low", "high").set_index("cell")
    assert rows.loc["a", "p"] == pytest.approx(2 * stats.norm.sf(2))
    assert rows["same"].to_dict() == {"a": 0, "same": 1, "bare": 0}
    assert rows["p"].drop("a").isna().all()
    assert compare_estimates(mine[:1], theirs[1:], ["name"], "value", "low", "high").empty


def test_tests_of_runs_alike_are_seldom_significant() -> None:
    generator = np.random.default_rng(0)
    seen = []
    for _ in range(200):
        one, other = ({("il", seed): float(end) for seed, end in enumerate(generator.normal(size=12))} for _ in "12")
        seen.append(compare_runs(runs(one), runs(other), ["score"])["p"].iloc[0] < 0.05)
    assert sum(seen) <= stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.parametrize(
    "tasks", [("matrix_games", "theory"), pytest.param(tuple(script.TASKS), marks=pytest.mark.slow)], ids=len
)
def test_the_committed_results_are_the_same_as_themselves(
    tasks: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in tasks:
        (tmp_path / task).symlink_to(RESULTS / task)
    script.run(["--results", str(tmp_path)])
    text = capsys.readouterr().out
    for task in tasks:
        for kind in script.TASKS[task]:
            for path in (RESULTS / task).glob(kind.files):
                assert str(path.relative_to(RESULTS)) in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("All ")
    assert last.endswith(" comparisons: " + last.split()[1] + " the same to the last digit.")


@pytest.mark.parametrize("task", ["ising", pytest.param("gaussian_squeeze", marks=pytest.mark.slow), "battle"])
def test_committed_runs_under_other_seeds_are_alike(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in script.TASKS[task]:
        for path in (RESULTS / task).glob(kind.files):
            table = pd.read_csv(path)
            if "seed" in table:
                (tmp_path / task / path.relative_to(RESULTS / task)).parent.mkdir(parents=True, exist_ok=True)
                table["seed"] += 1000
                table.to_csv(tmp_path / task / path.relative_to(RESULTS / task), index=False)
    script.run(["--results", str(tmp_path)])
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert " alike" in last
    assert "different" not in last


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The folder of one script with eight seeds of one cell."""
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(RESULTS / "gaussian_squeeze/provenance.json", folder)
    table = pd.read_csv(RESULTS / "gaussian_squeeze/curves.csv")
    cell = table[(table["settings"] == "calibrated") & (table["algorithm"] == "fmq") & (table["agents"] == 1000)]
    cell[cell["seed"] < 8].to_csv(folder / "curves.csv", index=False)
    return folder


def test_the_folder_of_one_script_is_known_by_its_provenance(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.run(["--results", str(mine), "--out", str(tmp_path / "compared.csv")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "gaussian_squeeze/curves.csv"
    assert lines[2].split()[:7] == ["calibrated,", "fmq,", "1000", "greedy_reward", "8", "48", "8"]
    assert lines[2].endswith("the same")
    table = pd.read_csv(tmp_path / "compared.csv")
    assert table["quantity"].tolist() == ["greedy_reward", "sampled_reward"]
    assert table["same"].tolist() == [8, 8]


def test_a_damaged_table_is_named(mine: Path, tmp_path: Path) -> None:
    table = pd.read_csv(mine / "curves.csv", dtype=str)
    table.loc[3, "greedy_reward"] = "oops"
    table.to_csv(mine / "curves.csv", index=False)
    with pytest.raises(ValueError, match=r"^results: .*mine/curves.csv has text among the numbers of greedy_reward: "):
        script.run(["--results", str(mine)])
    table.loc[3, "greedy_reward"] = ""
    table.loc[table.index[-1], "sampled_reward"] = ""
    table.to_csv(mine / "curves.csv", index=False)
    with pytest.raises(ValueError, match=r"^results: .*curves.csv cannot be compared with .*: sampled_reward must"):
        script.run(["--results", str(mine)])
    made = (mine / "provenance.json").read_text()
    (mine / "provenance.json").write_text(made.replace('"command": "python', '"command": "\'python'))
    with pytest.raises(ValueError, match=r"^results: .*mine/provenance.json is damaged: restore it \(No closing"):
        script.run(["--results", str(mine)])


def test_out_is_made_with_its_folders_and_is_no_folder(mine: Path, tmp_path: Path) -> None:
    script.run(["--results", str(mine), "--out", str(tmp_path / "new/sub/compared.csv")])
    assert len(pd.read_csv(tmp_path / "new/sub/compared.csv")) == 2
    with pytest.raises(ValueError, match=r"^out: got .*new, allowed is a file$"):
        script.run(["--results", str(mine), "--out", str(tmp_path / "new")])


def test_what_differs_is_named_and_ends_with_code_1(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(mine / "curves.csv")
    table["greedy_reward"] *= 0.5
    table.to_csv(mine / "curves.csv", index=False)
    with pytest.raises(SystemExit) as ended:
        script.run(["--results", str(mine)])
    assert ended.value.code == 1
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert "1 alike, 1 different (p: Holm's for 2 tests)." in last
    assert last.endswith("Different: gaussian_squeeze/curves.csv, calibrated, fmq, 1000: greedy_reward.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "results: got None, allowed is a directory of results"),
        ("--results {empty}/none", "results: got .*none, allowed is a directory of results"),
        ("--results {empty}", "results: .* is no folder of a script"),
        ("--results {empty} --against {empty}/none", "against: got .*none, allowed is a directory"),
        ("--results {mine} --against {empty}", "results: .*mine has nothing in common with"),
    ],
)
def test_bad_input_is_one_line(
    words: str, message: str, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    given = words.format(empty=tmp_path / "empty", mine=mine).split()
    with pytest.raises(ValueError, match=message):
        script.run(given)
    assert main(lambda: script.run(given)) == 2
    assert capsys.readouterr().err.count("\n") == 1

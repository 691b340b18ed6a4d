"""Matrix games: what was published of FMQ, Rec-FMQ and IL, at reduced size, and the table that says so."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from mfmarl.exploration import Boltzmann, EpsilonGreedy
from mfmarl.files import read_csv
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.main import main
from reproduce import matrix_games
from reproduce.matrix_games import GAMES, KEYS, PUBLISHED, QUICK, Case, MatrixGamesOptions
from tests.support import done

ROOT = Path(__file__).parents[1]
HERE = ["--workers", "1", "--accelerator", "cpu"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What --quick writes: 64 runs of each algorithm on the climbing game."""
    out = tmp_path_factory.mktemp("quick")
    assert main(lambda: matrix_games.run(["--quick", "--out", str(out), *HERE])) == 0
    return out


def test_quick_writes_what_it_says(quick: Path) -> None:
    names = ["SHA256SUMS", "jobs", "provenance.json", "success_rates.pdf", "success_rates.png", "table.csv"]
    assert sorted(path.name for path in quick.iterdir()) == names
    (call,) = json.loads((quick / "provenance.json").read_text())["quick"]
    settings = call["settings"]
    assert settings["learning_rate"] == {"value": 0.1, "source": "thesis, Table 6.4, there of FMQ"}
    assert all(entry["source"] for entry in settings.values())


def test_climbing_as_published(quick: Path) -> None:
    table = read_csv(quick / "table.csv").set_index("algorithm")
    assert set(table["runs"]) == {64}
    shares: dict[str, float] = table["share"].to_dict()  # type: ignore[assignment]
    assert shares["rec-fmq"] > 0.85
    assert shares["fmq"] > 0.95
    # Independent learners find the optimum sometimes, and mostly settle beside it.
    assert 0 < shares["il"] < 0.35
    assert table["published"].to_dict() == {"fmq": 1.0, "il": 0.16, "rec-fmq": 1.0}


def test_figures_only_changes_nothing(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in quick.iterdir() if path.is_file()}
    assert main(lambda: matrix_games.run(["--figures-only", "--out", str(quick)])) == 0
    line = read_csv(quick / "table.csv").set_index("algorithm").loc["il"]
    assert f" {line['share']:.2f} [{line['low']:.2f}, {line['high']:.2f}] " in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in quick.iterdir() if path.is_file()} == before


def test_one_run_is_printed_without_an_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"part": "games", "game": "climbing", "algorithm": "il", "exploration": "T", "steps": 10}
    row = {**line, "runs": 1, "optimal": 1, "share": 1.0, "low": None, "high": None, "published": None, "source": ""}
    pd.DataFrame([row]).to_csv(tmp_path / "table.csv", index=False)
    assert main(lambda: matrix_games.run(["--figures-only", "--out", str(tmp_path)])) == 0
    said = capsys.readouterr().out
    assert " 1.00 " in said
    assert not re.search(r"\bnan\b", said.lower())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "algorithm", "least", "most"),
    [
        ("penalty, k = -100", "il", 0.9, 1.0),
        ("penalty, k = -100", "rec-fmq", 0.95, 1.0),
        ("penalty, k = -100, relabelled", "rec-fmq", 0.95, 1.0),
        ("climbing, partially stochastic", "fmq", 0.9, 1.0),
        ("climbing, stochastic (survey)", "rec-fmq", 0.4, 0.75),
    ],
)
def test_other_games_as_published(game: str, algorithm: str, least: float, most: float, tmp_path: Path) -> None:
    line = Case("games", game, algorithm, replace(QUICK, seed_count=128))
    rows = done(line.job(MatrixGamesOptions()), tmp_path / "job")
    assert least <= matrix_games.table([line], [rows])["share"].item() <= most


def test_the_games_are_those_of_the_papers() -> None:
    climbing = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
    for name in ("climbing", "climbing, partially stochastic", "climbing, stochastic"):
        assert GAMES[name].expected().tolist() == climbing
    # The survey's stochastic game is symmetric, and its optimum and runner-up are those of the others.
    survey = GAMES["climbing, stochastic (survey)"].expected()
    assert torch.equal(survey, survey.T)
    assert survey.tolist() == [[11, -30, 0], [-30, 7, 6], [0, 6, 5]]
    relabelled = GAMES["penalty, k = -100, relabelled"].expected()
    assert torch.equal(relabelled, GAMES["penalty, k = -100"].expected().flip(1))


@pytest.mark.parametrize("game", [name for name, game in GAMES.items() if game.draws])
def test_a_thousand_rewards_tell_the_optimum_from_every_other_joint_action(game: str) -> None:
    play = GAMES[game]
    noise = torch.rand(PUBLISHED.evaluation_steps, 1, generator=torch.Generator().manual_seed(0))
    for row in range(play.actions):
        for column in range(play.actions):
            actions = torch.tensor([row, column]).expand(len(noise), 2)
            mean = pd.Series([play.reward(actions, noise).mean().item()])
            assert matrix_games.reached(play, mean).item() == (row == column == 0)


def test_the_table_counts_runs_that_reach_an_optimum() -> None:
    lines = [
        Case("games", "penalty, k = 0", "il", PUBLISHED, 1.0, "somewhere"),
        Case("games", "climbing", "fmq", PUBLISHED),
    ]
    results = [pd.DataFrame({"greedy_reward": rewards}) for rewards in ([10.0, 2.0, 10.0, 0.0], [7.0, 6.0])]
    first, second = matrix_games.table(lines, results).to_dict("records")
    assert (first["runs"], first["optimal"], first["share"], first["published"]) == (4, 2, 0.5, 1.0)
    assert first["low"] == pytest.approx(0.0676, abs=1e-4)  # the exact interval of 2 in 4
    assert first["high"] == pytest.approx(0.9324, abs=1e-4)
    assert second["optimal"] == 0
    assert pd.isna(second["low"])  # of two runs
    assert pd.isna(second["published"])
    assert second["exploration"] == "T 499 exp(-0.006 t) + 1"


def test_lines_are_those_of_the_committed_table() -> None:
    committed = read_csv(ROOT / "results/matrix_games/table.csv")
    lines = matrix_games.cases(MatrixGamesOptions())
    known = {tuple(row[:-1]): row[-1] for row in committed[[*KEYS, "published"]].to_numpy().tolist()}
    assert {tuple(line.labels.values()) for line in lines} == set(known)
    for line in lines:
        published = math.nan if line.published is None else line.published
        assert published == pytest.approx(known[tuple(line.labels.values())], nan_ok=True)
    for name, parts in (("il", {"games", "temperature"}), ("rec-fmq", {"games", "epsilon"}), ("fmq", {"games"})):
        assert {line.part for line in matrix_games.cases(MatrixGamesOptions(algorithms=[name]))} == parts


def test_fewer_runs_than_the_committed_table_counts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(scripting_results, "launch", lambda *_: pytest.fail("it begins"))
    with pytest.raises(ValueError, match=r"^seeds: .*table\.csv counts 1000 runs of "):
        matrix_games.run(["--seeds", "5", *HERE])


def test_methods_explore_as_their_sources_say() -> None:
    assert PUBLISHED.exploration("rec-fmq") == EpsilonGreedy(0.1, 0.1)
    assert PUBLISHED.exploration("fmq") == Boltzmann(499.0, 0.006, 1.0)
    il = PUBLISHED.exploration("il")
    assert il.temperature(1) / il.temperature(0) == pytest.approx(0.997)


def test_lines_have_different_names_and_every_published_share_a_source() -> None:
    lines = matrix_games.cases(MatrixGamesOptions())
    jobs = [line.job(MatrixGamesOptions()) for line in lines]
    assert len({job.name for job in jobs}) == len(lines)
    assert {len(job.seeds) for job in jobs} == {1000}
    assert all((line.published is None) == (not line.source) for line in lines)
    for line, job in zip(lines, jobs, strict=True):
        assert job.data["evaluation_steps"] == (1000 if GAMES[line.game].draws else 1)
        assert job.data["steps"] == line.labels["steps"]
    main_lines = {(line.game, line.algorithm) for line in lines if line.part == "games"}
    assert set(matrix_games.PUBLISHED_SHARES) <= main_lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algorithms", "mf-q"], "algorithms: got mf-q, allowed are il, fmq, rec-fmq"),
        (["--agents", "3"], "agents: got [3], allowed is 2"),
        (["--settings", "appendix"], "settings: got appendix, allowed is published"),
        (["--figures-only"], "figures_only: there is no"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert main(lambda: matrix_games.run([*arguments, "--out", str(out)])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()

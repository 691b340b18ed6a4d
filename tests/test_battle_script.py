"""The script of Battle at a size that ends in seconds: files, columns, bytes, custom methods, what it refuses."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfmarl.data.neighbourhood import Noise
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.recorded import Replay
from mfmarl.exploration import EpsilonGreedy
from mfmarl.figures.film import Kind
from mfmarl.files import read_csv
from mfmarl.policies import Policy, Scripted
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.main import main
from mfmarl.tournament import fights, films, recording
from mfmarl.tournament.duel import entrant, play_block
from mfmarl.tournament.schedule import Fixture
from mfmarl.tournament.sensitivity import rivals, studied
from reproduce import battle
from reproduce.battle import APPENDIX, SETTINGS, BattleOptions

HERE = ["--workers", "1", "--accelerator", "cpu"]
TABLES = ["curves.csv", "pairings.csv", "ratings.csv", "tournament.csv"]
FIGURES = ["learning_curves", "ratings", "rewards", "win_rate_bars"]
ORDER = ["mf-q", "il", "mf-ac", "ac", "rush", "random"]
ROUNDS = 4
RELEASED = SETTINGS["released-code"]
TOY = Path(__file__).with_name("toy.py")
OWN = f"{TOY.parents[1] / 'examples/my_battle_method.py'}:HystereticBattleMFQ"


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """The quick settings, cut down: rounds of at most 12 steps."""
    small = {"steps": 4, "evaluations": 2, "tournament_rounds": ROUNDS, "batch_size": 8, "samples_per_update": 48}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(battle, "QUICK", replace(battle.QUICK, **small))  # type: ignore[arg-type]
        for module in (battle, fights):
            patch.setattr(module, "Battle", partial(Battle, max_steps=12))
        yield


def arguments(out: Path, *more: str) -> list[str]:
    return ["--quick", "--agents", "4", "--seed", "3", "--out", str(out), *HERE, *more]


def written(directory: Path) -> dict[str, bytes]:
    """Every result file but provenance.json, whose dates differ."""
    files = [*directory.iterdir(), *(directory / "policies").iterdir()]
    return {path.name: path.read_bytes() for path in sorted(files) if path.is_file() and path.suffix != ".json"}


@pytest.fixture(scope="module")
def results(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    assert main(lambda: battle.run(arguments(out))) == 0
    return out


def test_it_writes_what_it_says(results: Path) -> None:
    drawn = [name if name == "ratings" else f"{name}_4" for name in FIGURES]
    expected = [*TABLES, *(f"{name}.{kind}" for name in drawn for kind in ("pdf", "png"))]
    policies = [f"{name}-4-seed-3.safetensors" for name in ORDER[:4]]
    assert sorted(written(results)) == sorted(["SHA256SUMS", *expected, *policies])
    assert sorted(path.name for path in (results / "policies").iterdir()) == sorted(policies)
    assert battle.__doc__ is not None
    for name in [*TABLES, *FIGURES, "policies/"]:
        assert name in battle.__doc__


def test_curves_are_one_row_an_evaluation(results: Path) -> None:
    table = read_csv(results / "curves.csv")
    names = ["settings", "algorithm", "agents", "seed", "step", "reward", "opponent_reward", "kills", "deaths", "wins"]
    assert list(table.columns) == [*names, "steps"]
    keys = {(name, 4, 3, step) for name in ORDER[:4] for step in (2, 4)}
    assert set(table[["algorithm", "agents", "seed", "step"]].itertuples(index=False, name=None)) == keys
    assert len(table) == len(keys)
    assert table.notna().all(axis=None)
    assert table["wins"].between(0, 1).all()
    assert table[["kills", "deaths"]].ge(0).all(axis=None)
    assert table[["kills", "deaths"]].le(4).all(axis=None)
    assert table["steps"].eq(12).all()


def test_the_tournament_is_one_row_a_round(results: Path) -> None:
    table = read_csv(results / "tournament.csv")
    names = ["algorithm", "opponent", "seed", "opponent_seed", "agents", "seat", "first", "evaluation", "round"]
    scores = ["result", "reward", "opponent_reward", "survivors", "opponent_survivors", "steps"]
    assert list(table.columns) == [*names, *scores]
    played = set(table[["algorithm", "opponent"]].itertuples(index=False, name=None))
    pairs = {(one, other) for place, one in enumerate(ORDER[:4]) for other in ORDER[place:]}
    assert played == pairs, "each once, the earlier first, learners against all"
    for _, rounds in table.groupby(["algorithm", "opponent", "evaluation"]):
        assert sorted(rounds["round"]) == list(range(ROUNDS))
        ways = set(rounds[["seat", "first"]].itertuples(index=False, name=None))
        assert ways == {(seat, first) for seat in ("left", "right") for first in ("yes", "no")}
    assert len(table) == len(pairs) * 2 * ROUNDS
    assert set(table["evaluation"]) == {"greedy", "sampled"}
    assert table["seed"].eq(3).all()
    scripted = table["opponent"].isin(["rush", "random"])
    assert table["opponent_seed"].eq(3 * ~scripted).all()
    ahead = table["survivors"] - table["opponent_survivors"]
    assert (table["result"] == ahead.gt(0).map({True: "win", False: "draw"}).mask(ahead < 0, "loss")).all()
    assert table.notna().all(axis=None)
    assert table["steps"].eq(12).all()


def test_summaries_have_every_pairing_and_entrant(results: Path) -> None:
    table = read_csv(results / "pairings.csv")
    pairs = set(table[["evaluation", "algorithm", "opponent"]].itertuples(index=False, name=None))
    met = {(one, other) for one in ORDER for other in ORDER} - {(a, b) for a in ORDER[4:] for b in ORDER[4:]}
    assert pairs == {(evaluation, *pair) for evaluation in ("greedy", "sampled") for pair in met}
    assert set(table["rounds"]) == {ROUNDS}
    rated = read_csv(results / "ratings.csv")
    assert sorted(rated["algorithm"]) == sorted(ORDER * 2)
    assert rated.loc[rated["algorithm"] == "ac", "rating"].eq(0).all()


def test_policies_are_those_that_were_trained(results: Path) -> None:
    acting = {"mf-q": "epsilon", "il": "epsilon", "mf-ac": "temperature", "ac": "temperature"}
    classes = {"mf-q": "BattleMFQ", "il": "BattleIL", "mf-ac": "BattleMFAC", "ac": "BattleAC"}
    for name, kind in acting.items():
        policy = Policy.load(results / f"policies/{name}-4-seed-3.safetensors")
        assert policy.about == {"algorithm": classes[name], "agents": 4, "seed": 3}
        assert policy.acting.kind == kind
        assert policy.acting.value == (0.05 if kind == "epsilon" else 0.1)


def test_provenance_has_the_source_of_every_number(results: Path) -> None:
    sections = json.loads((results / "provenance.json").read_text())
    assert set(sections) == {"quick", "tournament"}
    for (call,) in sections.values():
        assert all(entry["source"] for entry in call["settings"].values())
        assert call["settings"]["learning_rate"] == {"value": 1e-4, "source": "appendix C.3"}
        assert call["settings"]["steps"] == {"value": 4, "source": "ours, in place of 2000"}


def test_epsilon_of_the_curves_is_that_of_their_training() -> None:
    names = [("appendix", "mf-q"), ("appendix", "ac"), ("quick", "il"), ("quick-released-code", "mf-q"), ("quick", OWN)]
    rows = [(*name, 64, 0, step) for name in names for step in (50, 100)]
    curves = pd.DataFrame(rows, columns=["settings", "algorithm", "agents", "seed", "step"])
    found = battle.with_epsilon(pd.concat([curves, curves.iloc[:2].assign(agents=8, step=[10, 20])], ignore_index=True))
    epsilon = found["epsilon"].to_numpy()
    half = (1 + 0.05) / 2
    assert epsilon == pytest.approx(
        np.array([half, 0.05, *[np.nan] * 2, half, 0.05, 0, 0, *[np.nan] * 2, half, 0.05]), nan_ok=True
    )
    assert found.drop(columns="epsilon").equals(pd.concat([curves, found.drop(columns="epsilon").tail(2)]))


def test_figures_only_gives_the_same_bytes(results: Path) -> None:
    before = written(results)
    for path in [*results.glob("*.png"), results / "pairings.csv", results / "ratings.csv"]:
        path.unlink()
    assert main(lambda: battle.run(["--figures-only", "--out", str(results)])) == 0
    assert written(results) == before


@pytest.fixture(scope="module")
def one(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods and seeds, trained and matched in one process."""
    out = tmp_path_factory.mktemp("one")
    play(out)
    return out


def play(out: Path, *algorithms: str, workers: int = 1) -> None:
    """Training and tournament without figures."""
    some = [*(algorithms or ("il", "mf-ac"))]
    options = BattleOptions(
        out=out, quick=True, agents=[4], seed=3, seeds=2, algorithms=some, workers=workers, accelerator="cpu"
    )
    settings = options.adjusted(battle.QUICK)
    drawn_up = battle.tournament(settings, options)
    battle.train("quick", settings, options)
    battle.fight(drawn_up, settings, options)


def test_training_and_tournament_one_at_a_time_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    assert main(lambda: battle.run(arguments(tmp_path, "--only", "training"))) == 0
    assert not (tmp_path / "tournament.csv").exists()
    (tmp_path / "curves.csv").unlink()
    assert main(lambda: battle.run(arguments(tmp_path, "--only", "tournament"))) == 0
    expected = written(results)
    del expected["curves.csv"]
    assert written(tmp_path) == expected


def test_the_released_code_learns_and_enters_no_tournament(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = ["--settings", "released-code", "--agents", "4", "--seeds", "1", "--rounds", "2"]
    assert main(lambda: battle.run(["--out", str(tmp_path), *HERE, *some])) == 0
    table = read_csv(tmp_path / "curves.csv")
    assert set(table["algorithm"]) == set(ORDER[:4])
    assert table["settings"].eq("released-code").all()
    files = ["SHA256SUMS", "curves.csv", "learning_curves_4.pdf", "learning_curves_4.png", "provenance.json"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "jobs") == files
    shown = capsys.readouterr().out
    assert all(name in shown for name in ORDER[:4])


def test_a_battle_is_filmed_and_its_replay_is_filmed_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, write = [], recording.write

    def spied(battle: Replay, path: Path, kind: Kind, *words: Any) -> tuple[Path, Path]:
        told.append(words)
        return write(battle, path, kind, *words)

    monkeypatch.setattr(films, "write", spied)
    out, folder = str(results), results / "replays"
    assert main(lambda: battle.run(["--out", out, "--replay", "mf-q-4-seed-3", "rush", "--seed", "5"])) == 0
    stem = folder / "mf-q-4-seed-3-v-rush-battle-5"
    written = [stem.with_suffix(kind) for kind in (".npz", ".gif")]
    assert capsys.readouterr().out.splitlines() == [f"written: {path}" for path in written]
    assert Replay.load(written[0]).game.agents == 4, "as many as the army was trained with"
    again = tmp_path / "replays" / stem.name
    assert main(lambda: battle.run(["--out", str(tmp_path), "--replay", str(written[0])])) == 0
    assert again.with_suffix(".gif").read_bytes() == written[1].read_bytes()
    shutil.copy(written[0], tmp_path / "renamed.npz")
    assert main(lambda: battle.run(["--out", str(tmp_path), "--replay", str(tmp_path / "renamed")])) == 0
    assert told == [(("MF-Q, seed 3", "rush"), "sampled")] * 2 + [()], "another name tells nothing"
    shutil.rmtree(folder)


def test_seed_pairs_take_turns(one: Path) -> None:
    table = read_csv(one / "tournament.csv")
    both = table[table["algorithm"].eq("il") & table["opponent"].eq("mf-ac") & table["evaluation"].eq("greedy")]
    assert sorted(both[["seed", "opponent_seed"]].itertuples(index=False, name=None)) == [
        (3, 3),
        (3, 4),
        (4, 3),
        (4, 4),
    ]
    mirror = table[table["algorithm"].eq("il") & table["opponent"].eq("il") & table["evaluation"].eq("greedy")]
    assert {(3, 4), (3, 3), (4, 4)} == set(mirror[["seed", "opponent_seed"]].itertuples(index=False, name=None))


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(one: Path, tmp_path: Path) -> None:
    play(tmp_path, workers=2)
    assert written(tmp_path) == written(one)


@pytest.mark.slow
def test_methods_one_after_the_other_give_the_same_bytes(one: Path, tmp_path: Path) -> None:
    for algorithms in (["mf-ac"], ["il"], ["il", "mf-ac"]):
        play(tmp_path, *algorithms)
    assert written(tmp_path) == written(one)


def test_rounds_are_those_that_their_numbers_decide(one: Path) -> None:
    """Of every row, by playing one of them alone."""
    table = read_csv(one / "tournament.csv")
    for index in (0, 5, 17, 30):
        row = table.iloc[index].to_dict()
        armies = {
            entrant(name, seed): Scripted(name)
            if name in ORDER[4:]
            else Policy.load(one / f"policies/{name}-4-seed-{seed}.safetensors")
            for name, seed in ((row["algorithm"], row["seed"]), (row["opponent"], row["opponent_seed"]))
        }
        (again,) = play_block([Fixture(**{name: row[name] for name in Fixture._fields})], Battle(4, 12), armies)
        assert again == row


@pytest.mark.slow
def test_the_tournament_is_played_in_float32_whatever_the_training(tmp_path: Path) -> None:
    options = BattleOptions(
        out=tmp_path, quick=True, agents=[4], seeds=1, algorithms=["il"], workers=1, precision="bf16-mixed"
    )
    settings = options.adjusted(battle.QUICK)
    drawn_up = battle.tournament(settings, options)
    battle.train("quick", settings, options)
    battle.fight(drawn_up, settings, options)
    records = [json.loads(path.read_text()) for path in (tmp_path / "jobs").glob("*/job.json")]
    assert sorted(record["precision"] for record in records) == ["32", "32", "32", "bf16-mixed"]


def test_another_seed_gives_other_numbers(results: Path, tmp_path: Path) -> None:
    settings = battle.QUICK
    options = BattleOptions(out=tmp_path, quick=True, agents=[4], seed=5, algorithms=["il"], workers=1)
    battle.train("quick", settings, options)
    other, one = read_csv(tmp_path / "curves.csv"), read_csv(results / "curves.csv")
    assert other["seed"].eq(5).all()
    one = one[one["algorithm"] == "il"].reset_index(drop=True)
    assert not other["reward"].equals(one["reward"])
    battle.train("quick", settings, replace(options, seed=3))
    both = read_csv(tmp_path / "curves.csv")
    assert set(both["seed"]) == {3, 5}, "trained armies of other seeds stay, and so do their curves"
    pd.testing.assert_frame_equal(both[both["seed"] == 3].reset_index(drop=True), one)


@pytest.mark.slow
def test_a_method_of_ones_own_is_trained_and_fights(tmp_path: Path) -> None:
    own = f"{Path(__file__).parents[1] / 'examples/my_battle_method.py'}:HystereticBattleMFQ"
    out = tmp_path / "results"
    assert main(lambda: battle.run(arguments(out, "--algorithms", own, "il"))) == 0
    table = read_csv(out / "tournament.csv")
    pairs = set(table[["algorithm", "opponent"]].itertuples(index=False, name=None))
    learners = ["il", own]
    expected = {(one, other) for one, other in [("il", "il"), ("il", own), (own, own)]}
    assert pairs == expected | {(one, other) for one in learners for other in ("rush", "random")}
    assert (out / "policies/my_battle_method-HystereticBattleMFQ-4-seed-3.safetensors").is_file()


@pytest.mark.slow
def test_opponents_fight_with_all_their_seeds_and_are_not_trained(one: Path, tmp_path: Path) -> None:
    shutil.copytree(one / "policies", tmp_path / "policies")
    options = BattleOptions(
        out=tmp_path, quick=True, agents=[4], seed=7, seeds=1, algorithms=["ac"], opponents=["il"], workers=1
    )
    settings = options.adjusted(battle.QUICK)
    drawn_up = battle.tournament(settings, options)
    battle.train("quick", settings, options)
    battle.fight(drawn_up, settings, options)
    assert set(read_csv(tmp_path / "curves.csv")["algorithm"]) == {"ac"}
    table = read_csv(tmp_path / "tournament.csv")
    met = table[["algorithm", "opponent"]].drop_duplicates().itertuples(index=False, name=None)
    assert set(met) == {("il", "ac"), ("ac", "ac"), ("ac", "rush"), ("ac", "random")}
    assert set(table.loc[table["algorithm"] == "il", "seed"]) == {3, 4}
    fewer = replace(options, algorithms=["il"], opponents=["ac"], seed=3)
    with pytest.raises(ValueError, match=r"^seeds: .*tournament.csv has rounds of il v ac with seeds \[4\]"):
        battle.tournament(settings, fewer)


def test_opponents_are_committed_armies_unless_the_folder_has_its_own(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TOY.parents[1])
    options = BattleOptions(out=tmp_path, agents=[8], algorithms=["ac"], opponents=["mf-q"], tournament_rounds=4)
    drawn_up = battle.tournament(options.adjusted(APPENDIX), options)
    met = {fixture.seed for _, fixtures in drawn_up for fixture in fixtures if fixture.algorithm == "mf-q"}
    kept = Path("results/battle/policies").glob("mf-q-8-seed-*.safetensors")
    assert met == {int(path.stem.rpartition("-")[2]) for path in kept}, "those of results/battle"
    committed = Path("results/battle/policies/mf-q-8-seed-1.safetensors")
    assert battle.homes(options).army(8, "mf-q", 1) == committed
    assert battle.homes(options).army(8, "ac", 1).is_relative_to(tmp_path), "these are trained"
    own = replace(options, out=one, agents=[4], opponents=["il"])
    assert battle.homes(own).army(4, "il", 3) == one / "policies/il-4-seed-3.safetensors"


def test_lost_armies_are_not_replaced_by_committed_ones(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(one, out)
    for army in (out / "policies").glob("il-*"):
        army.unlink()
    options = BattleOptions(out=out, agents=[4], algorithms=["ac"], opponents=["il"])
    monkeypatch.setattr(BattleOptions, "home", classmethod(lambda cls: one))
    with pytest.raises(
        ValueError,
        match=r"^opponents: .* has trained il with 4 agents, but its armies are missing: restore them, or train",
    ):
        battle.tournament(battle.APPENDIX, options)


def test_armies_of_other_settings_are_not_trained_over(one: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(one, out)
    held = {path.name: path.read_bytes() for path in (out / "policies").iterdir()}
    words = ["--settings", "appendix", "--algorithms", "il", "--agents", "4", "--rounds", "2", "--out", str(out)]
    with pytest.raises(
        ValueError, match=r"^settings: got appendix, but .* holds armies of il with 4 agents of quick; name"
    ):
        battle.run(words)
    assert {path.name: path.read_bytes() for path in (out / "policies").iterdir()} == held


def test_committed_armies_that_were_met_bring_their_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOY.parents[1])
    known = read_csv(Path("results/battle/tournament.csv"))
    met = known[(known["agents"] == 8) & (known["algorithm"] == "mf-q") & known["opponent"].isin(["rush", "il"])]
    rounds = met.assign(algorithm="some/file.py:Mine")
    together = battle.with_committed_rounds(rounds, BattleOptions(out=tmp_path))
    assert set(together["agents"]) == {8}
    pairs = set(together[["algorithm", "opponent"]].itertuples(index=False, name=None))
    assert pairs == {("some/file.py:Mine", "rush"), ("some/file.py:Mine", "il"), ("il", "il"), ("il", "rush")}
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/il-8-seed-0.safetensors").touch()
    own = battle.with_committed_rounds(rounds, BattleOptions(out=tmp_path))
    pd.testing.assert_frame_equal(own, rounds.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--algorithms", OWN, "--opponents", "mf-q"],
            "HystereticBattleMFQ, but results/battle/curves.csv is",
        ),
        (
            ["--rounds", "10", "--precision", "bf16-mixed"],
            "holds appendix, ac, 64 with 2000 steps and 100 evaluations, and this call would",
        ),
        (
            ["--seeds", "2", "--precision", "bf16-mixed"],
            "seeds: tournament.csv has rounds of mf-q v mf-q with seeds [2, 3, 4], which this call",
        ),
        ([], "curves.csv holds appendix, mf-q, 64 in bf16-mixed, and this call would bring 32; pass --precision bf16"),
        (["--agents", "16"], "curves.csv is committed and holds no appendix, ac, 16; name another --out"),
        (
            ["--only", "tournament", "--tournament-rounds", "100"],
            "tournament.csv has 400 rounds of mf-q v mf-q with 64",
        ),
        (["--only", "tournament", "--seeds", "4", "--fresh"], "seeds: tournament.csv has rounds of mf-q v mf-q with "),
    ],
)
def test_committed_rows_are_not_replaced(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(TOY.parents[1])
    monkeypatch.setattr(scripting_results, "launch", lambda *_: pytest.fail("it begins"))
    assert main(lambda: battle.run([*HERE, *arguments])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_quick_and_settings_together_are_the_quick_size_of_those_settings(tmp_path: Path) -> None:
    options = BattleOptions(out=tmp_path, quick=True, settings=["released-code"])
    ((name, settings),) = options.chosen(SETTINGS, battle.QUICK, battle.QUICK_SETTINGS).items()
    assert (name, settings.steps, settings.capacity) == ("quick-released-code", 10, 80_000)
    assert battle.training_job(name, "ac", 8, (0,), settings).algorithm == "battle-released-ac"


def test_jobs_are_what_the_settings_say(tmp_path: Path) -> None:
    job = battle.training_job("appendix", "mf-q", 64, (2,), APPENDIX)
    assert job.agent["exploration"] == EpsilonGreedy(1.0, 0.05, 2000)
    assert (job.agent["learning_rate"], job.agent["discount"]) == (1e-4, 0.95)
    assert (job.data["steps"], job.data["batch_size"], job.data["capacity"]) == (2000, 128, 500_000)
    actor = battle.training_job("appendix", "mf-ac", 64, (2,), APPENDIX)
    assert (actor.agent["temperature"], actor.agent["entropy_weight"], actor.agent["value_weight"]) == (0.1, 0.08, 0.1)
    assert "exploration" not in actor.agent
    changed = BattleOptions(out=tmp_path, rounds=30, tournament_rounds=7, seeds=3).adjusted(APPENDIX)
    assert (changed.steps, changed.evaluations, changed.tournament_rounds, changed.seed_count) == (30, 30, 7, 3)
    assert BattleOptions(out=tmp_path, rounds=330).adjusted(APPENDIX).evaluations == 66
    exploration = battle.training_job("appendix", "il", 64, (2,), changed).agent["exploration"]
    assert exploration == EpsilonGreedy(1.0, 0.05, 30), "epsilon falls over the rounds that there are"
    released = battle.training_job("released-code", "il", 64, (2,), RELEASED)
    assert released.agent["exploration"] == EpsilonGreedy(0.0, 0.0, 2000)
    assert (released.agent["double_q"], released.agent["learns_terminal"]) == (True, False)
    assert (released.data["batch_size"], released.data["samples_per_update"], released.data["capacity"]) == (
        64,
        32,
        80_000,
    )
    actor = battle.training_job("released-code", "mf-ac", 64, (2,), RELEASED)
    assert actor.algorithm == "battle-released-mf-ac"
    assert set(actor.data) == {"steps", "evaluations", "opponent_follows"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--algorithms", "fmq"], "algorithms: got fmq, allowed are mf-q, il, mf-ac, ac or path/to/file.py:Class"),
        (["--algorithms", "mf-q", "metropolis"], "algorithms: got metropolis, allowed are mf-q, "),
        (["--algorithms", "rush"], "algorithms: got rush, allowed are mf-q, "),
        (["--algorithms", f"{TOY}:Dies"], "Dies must be a subclass of mfmarl.algorithms.battle.BattleAgent"),
        (["--agents", "7"], "agents must fill a block of sides within 1 : 2, got 7 = 1 x 7"),
        (["--agents", "64", "0"], "agents must be in 1 .. 384 a side, got 0"),
        (["--agents", "1000"], "agents must be in 1 .. 384 a side, got 1000"),
        (["--rounds", "0"], "rounds: got 0, allowed is 1 or more"),
        (["--rounds", str(10**30)], f"rounds: got {10**30}, allowed is 1 or more, at most 10000000"),
        (["--tournament-rounds", str(10**30)], f"tournament_rounds: got {10**30}, allowed is 1 or more, at most"),
        (["--algorithms", f"{'x' * 300}.py:Mine"], ": there is no file xxx"),
        (["--replay", "x" * 300, "rush"], "replay: got xxx"),
        (["--replay", f"{TOY}", "rush"], "replay: policy: "),
        (["--rounds", "101"], "rounds: got 101, allowed is a multiple of 10"),
        (["--precision", "64"], "precision: got 64, allowed are 32, tf32 and bf16-mixed"),
        (["--opponents", "il"], "opponents: got il, but --algorithms names nobody to fight them"),
        (["--algorithms", "mf-q", "--opponents", "rush"], "opponents: got rush, allowed are mf-q, "),
        (["--algorithms", "mf-q", "--opponents", "mf-q"], "algorithms and opponents: got ['mf-q', 'mf-q'], each may"),
        (["--agents", "4", "--algorithms", "mf-q", "--opponents", "il"], "policies/il-4-seed-0.safetensors; train il"),
        (["--algorithms", "a/x.py:Mine", "b/x.py:Mine"], "got two whose armies would be x-Mine-64-seed-0.safetensors"),
        (["--rounds", "-1"], "rounds: got -1, allowed is 1 or more"),
        (["--tournament-rounds", "0"], "tournament_rounds: got 0, allowed is 1 or more"),
        (["--seeds", "0"], "seeds: got 0, allowed is 1 or more"),
        (["--only", "fight"], "only: got fight, allowed is training or tournament or null"),
        (["--only", "tournament"], "policies/mf-q-64-seed-0.safetensors; train mf-q with seed 0 first"),
        (
            ["--only", "tournament", "--settings", "released-code"],
            "only: got tournament, but the armies of released-code enter none",
        ),
        (["--settings", "calibrated"], "settings: got calibrated, allowed are appendix, released-code"),
        (["--figures-only"], "figures_only: there is no"),
        (["--replay", "rush", "random", "rush"], "replay: got 3 names, allowed are two armies or one replay file"),
        (
            ["--replay", "rush", "nobody"],
            "replay: got nobody, allowed are rush, random, a file, or the name of one in ",
        ),
        (["--replay", "nothing"], "replay: there is no file nothing.npz"),
        (["--replay", "nothing.npz"], "replay: there is no file nothing.npz"),
        (["--replay", "rush", "random", "--quick"], "quick: got True, which --replay does not use"),
        (["--replay", "rush", "random", "--rounds", "9"], "rounds: got 9, which --replay does not use"),
        (["--replay", "rush", "random", "--figures-only"], "figures_only: got True, which --replay does not use"),
        (["--film", "mp4"], "film: got mp4, which --replay alone uses"),
    ],
)
def test_bad_input_is_one_line(
    wrong: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripting_results, "launch", lambda *_: pytest.fail("it begins"))
    out = tmp_path / "results"
    assert main(lambda: battle.run(["--out", str(out), *HERE, *wrong])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_on_gpus_seeds_of_our_methods_share_a_job_and_those_of_a_custom_one_do_not() -> None:
    methods = ["mf-q", "examples/my_battle_method.py:HystereticBattleMFQ"]
    options = battle.BattleOptions(algorithms=methods, accelerator="gpu", out=Path("mine"), agents=[8])
    jobs = battle.training_jobs("appendix", APPENDIX, options)
    assert [(job.labels["algorithm"], job.seeds) for job in jobs] == [
        ("mf-q", (0, 1, 2, 3, 4)),
        *((methods[1], (seed,)) for seed in range(5)),
    ]
    on_cpu = battle.training_jobs("appendix", APPENDIX, replace(options, accelerator="cpu"))
    assert [job.seeds for job in on_cpu] == [(seed,) for seed in range(5) for _ in methods]
    released = battle.SETTINGS["released-code"]
    actors = battle.training_jobs("released-code", released, replace(options, algorithms=["ac", "il"], seeds=None))
    assert {(job.labels["algorithm"], len(job.seeds)) for job in actors} == {("ac", 1), ("il", 5)}


@pytest.fixture(scope="module")
def sensitivity(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study")
    small = replace(battle.STUDY, batch_size=8, samples_per_update=48)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(battle, "STUDY", small)
        battle.run(arguments(out, "--study", "sensitivity", "--seeds", "2", "--rounds", "4"))
    return out / "sensitivity"


def test_the_study_trains_whom_a_choice_concerns(sensitivity: Path) -> None:
    armies = {path.name.partition("-4-seed-")[0] for path in (sensitivity / "policies").iterdir()}
    everyone = {f"{name}{more}" for name in ORDER[:4] for more in ("", "-4x-updates", "-always-follows")}
    some = {"mf-q-double-q", "il-double-q", "mf-ac-temperature-1", "ac-temperature-1", "mf-q-noise", "mf-ac-noise"}
    assert armies == everyone | some
    curves = read_csv(sensitivity / "curves.csv")
    assert set(curves["algorithm"]) == armies
    assert set(curves["settings"]) == {"sensitivity"}
    assert set(curves["seed"]) == {3, 4}


def test_a_choice_changes_what_it_names_and_nothing_else() -> None:
    options = BattleOptions(study="sensitivity", seeds=1)
    jobs = {job.labels["algorithm"]: job for some in battle.study_jobs(battle.STUDY, options).values() for job in some}

    def differ(name: str, method: str) -> dict[str, object]:
        other, plain = (dict(jobs[each].agent) | dict(jobs[each].data) for each in (name, method))
        return {key: value for key, value in other.items() if plain.get(key, "absent") != value}

    for method in battle.METHODS:
        assert jobs[method].agent["learning_rate"] == APPENDIX.learning_rate
        assert differ(f"{method}-4x-updates", method) == {"samples_per_update": 32}
        assert differ(f"{method}-always-follows", method) == {"opponent_follows": "always"}
    assert differ("mf-q-double-q", "mf-q") == differ("il-double-q", "il") == {"double_q": True}
    assert differ("ac-temperature-1", "ac") == differ("mf-ac-temperature-1", "mf-ac") == {"temperature": 1.0}
    assert differ("mf-q-noise", "mf-q") == differ("mf-ac-noise", "mf-ac") == {"neighbourhood": Noise()}


def test_a_study_of_another_length_is_refused_before_it_trains(sensitivity: Path) -> None:
    words = arguments(sensitivity.parent, "--study", "sensitivity", "--seeds", "2", "--rounds", "10")
    before = (sensitivity / "curves.csv").read_bytes()
    with pytest.raises(ValueError, match=r"curves\.csv holds sensitivity, .* with 4 steps and 4 evaluations, and this"):
        battle.run([*words, "--only", "training"])
    assert (sensitivity / "curves.csv").read_bytes() == before


def test_rivals_make_a_choice_alike_and_who_has_none_fights_as_it_is(sensitivity: Path) -> None:
    table = read_csv(sensitivity / "rivals.csv")
    pairs = {(row.algorithm, row.opponent) for row in table.itertuples()}
    assert pairs == set(rivals(studied()))
    assert {("mf-q", "il"), ("mf-q-noise", "il"), ("mf-q-double-q", "il-double-q"), ("mf-ac", "mf-ac-noise")} <= pairs
    assert len(pairs) == 12
    assert (table["seeds"] == 2).all()
    assert table["p"].isna().all()
    rounds = read_csv(sensitivity / "tournament.csv")
    own = rounds[
        (rounds["algorithm"] == "il") & (rounds["opponent"] == "mf-q-noise") & (rounds["evaluation"] == "greedy")
    ]
    points = 1 - own["result"].map({"win": 1.0, "draw": 0.5, "loss": 0.0})
    shown = table.set_index(["algorithm", "opponent", "evaluation"])["points"]
    by_pair = points.groupby([own["seed"], own["opponent_seed"]]).mean()
    assert shown["mf-q-noise", "il", "greedy"] == pytest.approx(by_pair.mean())
    assert (sensitivity / "rivals_4.png").exists()
    assert rounds.groupby(["algorithm", "opponent", "evaluation"]).size().eq(4).all(), "as --quick says"


def test_the_study_may_be_trained_first_and_fight_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = ["--study", "sensitivity", "--algorithms", "mf-ac", "ac", "--seeds", "1", "--rounds", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(battle, "STUDY", replace(battle.STUDY, batch_size=8, samples_per_update=48))
        assert main(lambda: battle.run(arguments(tmp_path, *some, "--only", "training"))) == 0
        told = capsys.readouterr().out
        out = tmp_path / "sensitivity"
        assert "mf-ac-temperature-1" in told
        assert not (out / "tournament.csv").exists()
        before = (out / "curves.csv").read_bytes()
        assert main(lambda: battle.run(arguments(tmp_path, *some, "--only", "tournament"))) == 0
    assert (out / "curves.csv").read_bytes() == before
    assert len(read_csv(out / "rivals.csv")) == 2 * 6, "five choices and against itself fed noise, greedy and sampled"


def test_the_study_of_some_choices_has_these_and_the_appendix_own(tmp_path: Path) -> None:
    options = BattleOptions(study="sensitivity", algorithms=["mf-q", "il"], choices=["noise"], out=tmp_path)
    jobs = battle.study_jobs(battle.STUDY, options)
    entrants = {choice: {job.labels["algorithm"] for job in some} for choice, some in jobs.items()}
    assert entrants == {"appendix": {"mf-q", "il"}, "noise": {"mf-q-noise"}}
    met = {fixture[:2] for _, fixtures in battle.study_tournament(battle.STUDY, options) for fixture in fixtures}
    assert {frozenset(pair) for pair in met if len(set(pair)) == 2} == {
        frozenset(pair) for pair in (("mf-q", "il"), ("mf-q-noise", "il"), ("mf-q", "mf-q-noise"))
    }
    with pytest.raises(ValueError, match="choices: got noise, which --study alone uses"):
        battle.run(["--choices", "noise", "--out", str(tmp_path)])


def test_armies_of_the_appendix_fight_though_those_of_the_released_code_enter_no_tournament(tmp_path: Path) -> None:
    both = BattleOptions(settings=["appendix", "released-code"], only="tournament", out=tmp_path)
    assert both.only == "tournament"


def test_the_study_of_fewer_methods_has_the_rivals_among_them(tmp_path: Path) -> None:
    settings = replace(battle.STUDY, seed_count=1, tournament_rounds=4)
    options = BattleOptions(study="sensitivity", algorithms=["mf-q", "il"], out=tmp_path)
    drawn_up = battle.study_tournament(settings, options)
    assert {name for _, fixtures in drawn_up for fixture in fixtures for name in fixture[:2]} == {
        each for pair, known in rivals(studied()).items() if known.method == "mf-q" for each in pair
    }
    for words, message in {
        "--settings released-code": "which --study does not use",
        "--choices nois": "choices: got nois, allowed are appendix, 4x-updates, ",
        "--algorithms examples/my_battle_method.py:HystereticBattleMFQ": "algorithms: got examples",
        "--replay rush random": "which --study does not use",
        "--choices double-q --algorithms mf-q ac": "algorithms: got mf-q, ac, of which no two are rivals",
    }.items():
        with pytest.raises(ValueError, match=message):
            battle.run(["--study", "sensitivity", "--out", str(tmp_path), *words.split()])


def test_the_control_of_a_method_needs_no_other_method(tmp_path: Path) -> None:
    options = BattleOptions(study="sensitivity", algorithms=["mf-q"], choices=["noise"], out=tmp_path)
    drawn_up = battle.study_tournament(replace(battle.STUDY, seed_count=1, tournament_rounds=4), options)
    met = {fixture[:2] for _, fixtures in drawn_up for fixture in fixtures}
    assert met == {("mf-q", "mf-q"), ("mf-q", "mf-q-noise"), ("mf-q-noise", "mf-q-noise")}


def test_the_studys_figure_is_of_armies_of_its_size(
    sensitivity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("mfmarl.figures.battle_study.sensitivity", lambda *frames: drawn.append(frames))
    monkeypatch.setattr(battle, "report", lambda _, out, files, figures: drawn.append(list(figures)))
    rounds = read_csv(sensitivity / "tournament.csv")
    both = pd.concat([rounds, rounds.assign(agents=8)])
    monkeypatch.setattr(battle, "read_result", lambda *_: both)
    battle.draw_study(BattleOptions(study="sensitivity", out=tmp_path))
    *frames, names = drawn
    assert names == ["rivals_4", "rivals"], "8 agents are what the study has"
    for (table, armies), agents in zip(frames, (4, 8), strict=True):
        assert set(table["agents"]) == set(armies["agents"]) == {agents}

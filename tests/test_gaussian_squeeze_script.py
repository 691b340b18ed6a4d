"""The script of Gaussian Squeeze at toy size: what it writes, that it repeats, its settings, what it refuses."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.final_scores import SETTING_KEYS
from mfmarl.exploration import Boltzmann, EpsilonGreedy
from mfmarl.files import read_csv
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.main import main
from mfmarl.scripting.options import parse
from mfmarl.scripting.results import with_baselines
from reproduce import gaussian_squeeze
from reproduce.gaussian_squeeze import METHODS, QUICK, SETTINGS, STUDIES, GaussianSqueezeOptions
from tests.support import written

ROOT = Path(__file__).parents[1]
HERE = ["--workers", "1", "--accelerator", "cpu"]
TABLES = ["curves.csv", "summary.csv"]
STEPS = (10, 20, 30, 40)
FIGURES = ["learning_curves", "sampled_curves", "final_rewards"]


@pytest.fixture(scope="module")
def toy() -> Iterator[None]:
    """--quick at 40 joint steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaussian_squeeze, "QUICK", replace(QUICK, steps=40, evaluations=4))
        yield


@pytest.fixture(scope="module")
def results(toy: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    assert main(lambda: gaussian_squeeze.run(arguments(out))) == 0
    return out


def arguments(out: Path, *more: str) -> list[str]:
    return ["--quick", "--agents", "10", "20", "--seed", "3", "--out", str(out), *HERE, *more]


def test_it_writes_what_it_says(results: Path) -> None:
    expected = [*TABLES, *(f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png"))]
    assert sorted(written(results)) == sorted(expected)
    table = read_csv(results / "curves.csv")
    keys = {(name, agents, seed, step) for name in METHODS for agents in (10, 20) for seed in (3, 4) for step in STEPS}
    assert set(table[["algorithm", "agents", "seed", "step"]].itertuples(index=False, name=None)) == keys
    assert len(table) == len(keys)
    assert table["settings"].eq("quick").all()
    summary = read_csv(results / "summary.csv")
    assert summary["n"].eq(2).all()
    assert set(summary[["algorithm", "agents"]].itertuples(index=False, name=None)) == {
        (name, agents) for name in METHODS for agents in (10, 20)
    }


def test_provenance_has_the_source_of_every_number(results: Path) -> None:
    ((call,),) = json.loads((results / "provenance.json").read_text()).values()
    assert all(entry["source"] for entry in call["settings"].values())
    assert call["settings"]["target_rate"] == {"value": 0.01, "source": "appendix C.1, there for the actor-critics"}
    assert len(call["jobs"]) == 2 * len(METHODS)
    assert (call["settings"]["large_maac"]["value"], call["settings"]["large_maac_seed_count"]["value"]) == (1000, 5)


@pytest.mark.slow
def test_again_and_figures_only_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    before = written(results)
    assert main(lambda: gaussian_squeeze.run(arguments(tmp_path, "--workers", "2"))) == 0
    assert written(tmp_path) == before
    for name in (*FIGURES, "summary.csv"):
        for path in tmp_path.glob(f"{name}*"):
            path.unlink()
    assert main(lambda: gaussian_squeeze.run(["--figures-only", "--out", str(tmp_path)])) == 0
    assert written(tmp_path) == before


def test_a_method_alone_has_the_rows_it_has_among_others(results: Path, tmp_path: Path) -> None:
    assert main(lambda: gaussian_squeeze.run(arguments(tmp_path, "--algorithms", "mf-q"))) == 0
    alone, together = (read_csv(out / "curves.csv") for out in (tmp_path, results))
    together = together[together["algorithm"] == "mf-q"].reset_index(drop=True)
    assert alone.to_csv() == together.to_csv()


def test_appendix_is_what_the_appendix_states() -> None:
    options = GaussianSqueezeOptions()
    game = GaussianSqueeze(1000)
    jobs = {
        name: gaussian_squeeze.jobs_of({"settings": "appendix"}, name, game, SETTINGS["appendix"], options)[0]
        for name in METHODS
    }
    mf_q, mf_ac = jobs["mf-q"], jobs["mf-ac"]
    assert (mf_q.agent["learning_rate"], mf_q.agent["target_rate"], mf_q.agent["discount"]) == (1e-5, 0.01, 0.95)
    assert (mf_ac.agent["actor_learning_rate"], mf_ac.agent["critic_learning_rate"]) == (1e-4, 1e-3)
    for job in jobs.values():
        assert (job.data["batch_size"], job.data["capacity"], job.data["samples_per_update"]) == (200, 1_000_000, 500)
        assert job.steps * game.agents // 500 == 120_000, "gradient steps"
    assert jobs["rec-fmq"].agent["frequency_rate"] == 0.01
    assert jobs["fmq"].agent["heuristic_weight"] == 5
    assert jobs["fmq"].agent["exploration"] == Boltzmann(1000.0, 0.006, 1.0)
    assert {name for name, job in jobs.items() if "discount" not in job.agent} == {"fmq", "rec-fmq"}


def test_a_run_has_as_many_joint_steps_as_its_updates_take() -> None:
    settings = replace(SETTINGS["appendix"], updates=7, samples_per_update=10, evaluations=5)
    assert [settings.joint_steps(agents) for agents in (3, 7, 70)] == [25, 10, 5], "24, 10 and 1 up to fives"
    assert replace(settings, steps=8).joint_steps(3) == 10
    assert replace(settings, steps=1, evaluations=1, epsilon_share=0.1).exploration("il", 3) == EpsilonGreedy(
        1.0, 0.005, 1
    )


def test_maac_takes_its_samples_from_so_many_actions() -> None:
    """Divisors of 200 samples from 200 N / 10,000 on, or all."""
    shared = {agents: SETTINGS["appendix"].maac_agents_per_joint_step(agents) for agents in (10, 100, 500, 700, 10**6)}
    assert shared == {10: 1, 100: 2, 500: 10, 700: 20, 10**6: 200}
    for name, share in (("maac", 2), ("mf-ac", 1)):
        assert SETTINGS["appendix"].arguments(name, 100)["agents_per_joint_step"] == share


@pytest.mark.parametrize(
    ("algorithm", "agents", "given", "blocks"),
    [
        ("il", 1000, {}, [8]),
        ("il", 1000, {"full": True}, [8, 8, 8]),
        ("maac", 999, {"full": True}, [8, 8, 8]),
        ("maac", 1000, {"full": True}, [1] * 5),
        ("maac", 1000, {"seeds": 6}, [1] * 6),
        ("il", 1000, {"seeds": 9}, [8, 1]),
    ],
)
def test_seeds_are_trained_together_but_for_those_of_large_maac(
    algorithm: str, agents: int, given: dict[str, Any], blocks: list[int], tmp_path: Path
) -> None:
    settings = replace(SETTINGS["calibrated"], seed_count=8)
    options = GaussianSqueezeOptions(out=tmp_path, seed=3, **given)
    jobs = gaussian_squeeze.jobs_of({}, algorithm, GaussianSqueeze(agents), settings, options)
    assert [len(job.seeds) for job in jobs] == blocks
    assert [seed for job in jobs for seed in job.seeds] == list(range(3, 3 + sum(blocks)))


def test_the_largest_sizes_are_timed_and_learn_with_full(tmp_path: Path) -> None:
    def steps(**given: Any) -> dict[str, set[int]]:
        sections = gaussian_squeeze.scaling_sections(GaussianSqueezeOptions(out=tmp_path, scale_target=True, **given))
        assert {job.algorithm for section in sections for job in section.jobs} == {"il", "mf-q"}  # type: ignore[attr-defined]
        return {section.name: {job.steps for job in section.jobs} for section in sections}  # type: ignore[attr-defined]

    learned = {f"{agents} agents": {8000} for agents in (1000, 10_000, 100_000)}
    assert steps() == {**learned, "1000000 agents": {100}}
    assert steps(full=True) == {**learned, "1000000 agents": {8000}}
    assert steps(quick=True) == {"1000 agents": {40}, "10000 agents": {40}}


@pytest.mark.parametrize(("given", "steps"), [({"quick": True}, {1000}), ({}, {4000, 8000})])
def test_a_quick_study_is_small(given: dict[str, Any], steps: set[int], tmp_path: Path) -> None:
    options = GaussianSqueezeOptions(out=tmp_path, study="sensitivity", algorithms=["mf-q-noise"], **given)
    sections = gaussian_squeeze.study_sections(STUDIES["sensitivity"], options)
    jobs: list[Any] = [job for section in sections for job in section.jobs]
    assert {job.steps for job in jobs} == steps
    assert {(job.algorithm, job.labels["algorithm"], job.labels["agents"]) for job in jobs} == {
        ("mf-q", "mf-q-noise", 500)
    }


@pytest.mark.parametrize(("words", "beside"), [([], True), (["--mu", "390"], False)])
def test_baselines_stand_beside_results_of_the_papers_game_alone(
    words: list[str], beside: bool, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def with_baselines(table: pd.DataFrame, path: Path, *_: object) -> pd.DataFrame:
        asked.append(path)
        return table

    monkeypatch.setattr(gaussian_squeeze, "with_baselines", with_baselines)
    monkeypatch.setattr(gaussian_squeeze, "draw_curves", lambda *_: None)
    monkeypatch.setattr(gaussian_squeeze, "check_game", lambda _: None)
    gaussian_squeeze.run(["--figures-only", "--out", str(results), *words])
    assert asked == [results / "curves.csv"] * beside


def test_another_game_needs_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for changed in ({"mu": 390.0}, {"sigma": 190.0}):
        with pytest.raises(ValueError, match=r"^mu and sigma: got .*, which need another out than results/gauss"):
            GaussianSqueezeOptions(**changed)  # type: ignore[arg-type]


def test_runs_of_one_game_are_not_measured_by_another(tmp_path: Path) -> None:
    how = f"--quick --settings calibrated --algorithms il --agents 4 --workers 1 --out {tmp_path}".split()
    gaussian_squeeze.run([*how, "--mu", "8", "--sigma", "4"])
    before = read_csv(tmp_path / "summary.csv")
    for words in (how, ["--figures-only", "--out", str(tmp_path)]):
        with pytest.raises(
            ValueError, match=r"^mu: got 400\.0, but .* holds runs with 8\.0; pass that, or name another"
        ):
            gaussian_squeeze.run(words)
    with pytest.raises(ValueError, match=r"^sigma: got 5\.0, but .* holds runs with 4\.0"):
        gaussian_squeeze.run([*how, "--mu", "8", "--sigma", "5"])
    gaussian_squeeze.run(["--figures-only", "--mu", "8", "--sigma", "4", "--out", str(tmp_path)])
    pd.testing.assert_frame_equal(read_csv(tmp_path / "summary.csv"), before)
    (tmp_path / "provenance.json").unlink()
    with pytest.raises(
        ValueError, match=r"^mu and sigma: got 400\.0 and 200\.0, by which 4 agents earn at most 1\.3\d*, but"
    ):
        gaussian_squeeze.run(["--figures-only", "--out", str(tmp_path)])


def test_times_that_provenance_lacks_are_told(tmp_path: Path) -> None:
    scaled = tmp_path / "scaling"
    scaled.mkdir()
    for name in ("curves.csv", "SHA256SUMS"):
        (scaled / name).write_bytes((ROOT / "results/gaussian_squeeze/scaling" / name).read_bytes())
    with pytest.raises(
        ValueError, match=r"^out: .*scaling/provenance\.json lacks the time of scaled-il-1000-.*: restore it"
    ):
        gaussian_squeeze.run(["--figures-only", "--scale-target", "--out", str(tmp_path)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "cells"),
    [
        ("sensitivity", 32),
        ("exploration", 24),
        ("informed-start", 12),
        ("informed-start-long", 3),
        ("joint-steps", 4),
        ("fmq-temperature", 2),
    ],
)
def test_studies_train_every_cell(toy: None, study: gaussian_squeeze.StudyName, cells: int, tmp_path: Path) -> None:
    words = ["--study", study, "--quick", "--agents", "20", "--out", str(tmp_path), *HERE]
    assert main(lambda: gaussian_squeeze.run(words)) == 0
    out = tmp_path / study.replace("-", "_")
    assert len(read_csv(out / "study.csv")[[*STUDIES[study].keys]].drop_duplicates()) == cells
    assert read_csv(out / "summary.csv")["n"].eq(2).all()
    assert {"study.png", "study.pdf"} < set(written(out))
    assert ("curves.png" in written(out)) == (
        study in ("informed-start", "informed-start-long", "joint-steps", "fmq-temperature")
    )


@pytest.mark.slow
def test_scaling_writes_what_it_says(tmp_path: Path) -> None:
    words = ["--scale-target", "--quick", "--agents", "20", "40", "--out", str(tmp_path), *HERE]
    assert main(lambda: gaussian_squeeze.run(words)) == 0
    out = tmp_path / "scaling"
    assert len(read_csv(out / "curves.csv")[[*SETTING_KEYS]].drop_duplicates()) == 4
    assert {"scaling.png", "scaling.pdf"} < set(written(out))


def test_a_study_varies_what_it_names_and_nothing_else() -> None:
    exploration = {tuple(labels.values()): settings for labels, settings in STUDIES["exploration"].cells(["il", "fmq"])}
    assert len(exploration) == 4 * 2 + 4, "FMQ has discount 0 alone"
    calibrated = SETTINGS["calibrated"]
    assert exploration["il", "epsilon 1 to 0.005", 0.95] == replace(calibrated, seed_count=24)
    il, fmq = (exploration[name, "Boltzmann to 1, FMQ's", 0.0] for name in ("il", "fmq"))
    assert il == fmq == replace(calibrated, boltzmann=(1000.0, 0.006, 1.0), discount=0.0, seed_count=24)
    assert fmq.exploration("fmq", 500) == SETTINGS["appendix"].exploration("fmq", 500), "the appendix's"
    assert il.exploration("il", 500) == Boltzmann(10.0, 0.006, 0.01), "IL chooses by scaled rewards"
    assert calibrated.exploration("fmq", 500) == calibrated.exploration("il", 500) == EpsilonGreedy(1.0, 0.005, 1600)
    starts = [settings for _, settings in STUDIES["informed-start"].cells(["ac"])]
    assert [settings.actor_learning_rate for settings in starts] == [1e-2, 1e-3, 1e-4]
    assert {settings.start_bias for settings in starts} == {4.0}
    fed = {
        labels["algorithm"]: settings for labels, settings in STUDIES["informed-start"].cells(["mf-ac", "mf-ac-noise"])
    }
    assert fed["mf-ac-noise"] == replace(fed["mf-ac"], stored_mean_action="noise")
    appendix = SETTINGS["appendix"]
    long = {labels["algorithm"]: settings for labels, settings in STUDIES["informed-start-long"].cells(["ac", "mf-ac"])}
    assert set(long.values()) == {replace(appendix, start_bias=4.0, seed_count=16)}
    for labels, settings in STUDIES["joint-steps"].cells(["mf-q"]):
        assert settings == replace(appendix, updates=None, steps=settings.steps, seed_count=16)
        assert (
            settings.steps
            == labels["steps"]
            == appendix.joint_steps({60_000: 1000, 600_000: 100}[int(labels["steps"])])
        )
    ends = {labels["min_temp"]: settings for labels, settings in STUDIES["fmq-temperature"].cells(["fmq"])}
    assert ends[1.0] == replace(appendix, seed_count=24)
    assert ends[0.0] == replace(ends[1.0], fmq_boltzmann=(1000.0, 0.006, 0.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            ["--algorithms", "metropolis"],
            "algorithms: got metropolis, allowed are il, fmq, rec-fmq, maac, ac, mf-",
        ),
        (["--agents", "0"], "agents must be"),
        (["--settings", "fast"], "settings: got fast, allowed are appendix, calibrated"),
        (
            ["--study", "all"],
            "study: got all, allowed is sensitivity or exploration or informed-start or informed-start-long "
            "or joint-steps or fmq-temperature",
        ),
        (["--study", "exploration", "--algorithms", "ac"], "algorithms: got ac, allowed are il, fmq, rec-fmq, mf-q"),
        (["--study", "sensitivity", "--settings", "calibrated"], "which --study does not use"),
        (["--study", "exploration", "--scale-target"], "study and scale_target: got both, allowed is one of them"),
        (["--scale-target", "--settings", "calibrated"], "which --scale-target does not use"),
        (["--quick", "--full"], "full: got True, which --quick does not use"),
        (["--sigma", "-1"], "sigma must be"),
        (["--mu=-1e6"], "mu and sigma: got -1000000.0 and 200.0, by which 100 agents never earn anything"),
        (["--sigma", "1e-15", "--mu", "0.5"], "by which 100 agents never earn anything"),
        (["--figures-only"], "figures_only: there is no"),
    ],
)
def test_bad_input_is_one_line(
    wrong: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert main(lambda: gaussian_squeeze.run(["--out", str(out), *HERE, *wrong])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--settings", "calibrated", "--agents", "50"], "curves.csv is committed and holds no calibrated, fmq, 50;"),
        (["--settings", "calibrated", "--algorithms", f"{ROOT}/examples/my_method.py:HystereticMFQ"], "is committed"),
    ],
)
def test_committed_rows_are_not_replaced(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(scripting_results, "launch", lambda *_: pytest.fail("it begins"))
    assert main(lambda: gaussian_squeeze.run([*HERE, *arguments])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "name another --out" in error


@pytest.mark.parametrize("arguments", [[], ["--full"], ["--settings", "calibrated", "--agents", "50", "--extend"]])
def test_committed_cells_may_be_made_again_with_any_seeds_and_extended_when_asked(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(jobs: object, out: Path, *_: object) -> None:
        assert out == Path("results/gaussian_squeeze")
        raise KeyboardInterrupt

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(scripting_results, "launch", begin)
    assert main(lambda: gaussian_squeeze.run([*HERE, *arguments])) == 130


def test_called_from_elsewhere_results_go_to_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(GaussianSqueezeOptions, []).out == ROOT / "results/gaussian_squeeze"
    assert parse(GaussianSqueezeOptions, ["--quick"]).out == ROOT / "results/quick/gaussian_squeeze"
    assert parse(GaussianSqueezeOptions, ["--out", "here"]).out == Path("here")
    assert GaussianSqueezeOptions(out=ROOT / "results/gaussian_squeeze/sensitivity").committed
    assert not GaussianSqueezeOptions(out=tmp_path).committed


def test_fewer_seeds_delete_none_and_another_budget_is_refused(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(results / "curves.csv", tmp_path)
    before = (tmp_path / "curves.csv").read_bytes()
    some = ["--algorithms", "il"]
    assert main(lambda: gaussian_squeeze.run(arguments(tmp_path, *some, "--seeds", "1"))) == 0
    assert (tmp_path / "curves.csv").read_bytes() == before
    monkeypatch.setattr(gaussian_squeeze, "QUICK", replace(gaussian_squeeze.QUICK, steps=20))
    capsys.readouterr()
    assert main(lambda: gaussian_squeeze.run(arguments(tmp_path, *some))) == 2
    error = capsys.readouterr().err
    assert re.search(r"^error: out: .*curves.csv holds quick, il, 10 with 40 steps and 4 eval.*20 and 4; name", error)
    assert (tmp_path / "curves.csv").read_bytes() == before


def test_a_custom_method_is_drawn_beside_the_committed_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    own = f"{ROOT}/examples/my_method.py:HystereticMFQ"
    known = read_csv(Path("results/gaussian_squeeze/curves.csv"))
    like = known[(known["settings"] == "calibrated") & (known["agents"] == 500) & (known["seed"] == 0)]
    rows = pd.concat([like[like["algorithm"] == "mf-q"].assign(algorithm=own), like[like["algorithm"] == "il"]])
    options = GaussianSqueezeOptions(out=tmp_path)
    drawn = with_baselines(rows, tmp_path / "curves.csv", options, SETTING_KEYS)
    assert set(map(tuple, drawn[list(SETTING_KEYS)].drop_duplicates().to_numpy())) == {
        ("calibrated", name, 500) for name in (own, *METHODS)
    }
    assert drawn.loc[drawn["algorithm"] == "il", "seed"].eq(0).all(), "its own rows of IL, not the committed ones"
    assert drawn.loc[drawn["algorithm"] == "mf-q", "seed"].nunique() == 96
    assert drawn.index.is_unique
    short = rows[rows["step"] < rows["step"].max()]
    assert len(with_baselines(short, tmp_path / "curves.csv", options, SETTING_KEYS)) == len(short), "another budget"
    plain = rows[rows["algorithm"] == "il"]
    assert with_baselines(plain, tmp_path / "curves.csv", options, SETTING_KEYS) is plain


def test_quick_and_settings_together_are_the_quick_size_of_those_settings(tmp_path: Path) -> None:
    options = GaussianSqueezeOptions(out=tmp_path, quick=True, settings=["appendix"], algorithms=["mf-ac"])
    (section,) = gaussian_squeeze.curve_sections(options)
    assert section.name == "quick-appendix"
    jobs: list[Any] = [*section.jobs]
    assert {job.data["steps"] for job in jobs} == {1000}
    assert {job.agent["actor_learning_rate"] for job in jobs} == {1e-4}


def test_a_table_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "curves.csv").write_text("settings,algorithm\nquick,il\n")
    assert main(lambda: gaussian_squeeze.run(["--figures-only", "--out", str(tmp_path)])) == 2
    lacking = "curves.csv lacks the columns ['agents', 'seed', 'step', 'greedy_reward', 'sampled_reward']"
    assert f"{lacking}: restore it, or name another --out" in capsys.readouterr().err

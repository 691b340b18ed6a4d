"""The script of the Ising model at a size that ends in seconds: files, bytes, resuming, what it refuses."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from mfmarl.environments import Ising
from mfmarl.figures.ising_spins import lattice
from mfmarl.files import read_csv
from mfmarl.jobs.folder import run as run_job
from mfmarl.jobs.job import Job
from mfmarl.jobs.snapshots import SnapshotJob, median_runs
from mfmarl.jobs.training import ProgressReporter
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.main import main
from mfmarl.scripting.results import Section
from mfmarl.statistical_physics import kaufman_energy, onsager_magnetisation
from reproduce import ising
from reproduce.ising import IsingOptions
from tests.support import done

ROOT = Path(__file__).parents[1]
TEMPERATURES, AROUND, SEEDS = (0.8, 1.2, 2.0), (1.05, 1.1, 1.13, 1.16, 1.2), 2
SHORT: dict[str, Any] = {"steps": 24, "evaluations": 4, "measure_every": 2, "seed_count": SEEDS}
HERE = ["--workers", "1", "--accelerator", "cpu"]
TABLES = ["crossings.csv", "equilibrium.csv", "frames.csv", "references.csv", "snapshots.csv"]
TABLES += ["summary.csv", "training.csv"]
FIGURES = ["binder", "energy", "order_parameter", "spins", "training"]
OF_IL = {("il", order) for order in ("checkerboard", "simultaneous", "released-code")}
HOT, BEYOND = {("mcmc", "checkerboard"), ("mf-q", "released-code"), *OF_IL}, (2.2, 2.4)  # run at and above tau = 2
CELLS = {("mcmc", "checkerboard"), *OF_IL, *(("mf-q", order) for _, order in OF_IL)}


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """All settings of the script, cut down."""
    base = replace(ising.EQUILIBRIUM, temperatures=TEMPERATURES, decay=0.1, **SHORT)
    changes: dict[str, Any] = {
        "EQUILIBRIUM": base,
        "SETTINGS": {"appendix": base},
        "QUICK": replace(base, temperatures=TEMPERATURES[:2]),
        "TRAINING": replace(base, temperatures=(0.8, 1.2), evaluations=6, measure_every=1),
        "TRAINING_THERE": replace(base, temperatures=(2.0,), evaluations=6, measure_every=1),
        "SLOW": replace(base, steps=32),
        "BEYOND": BEYOND,
        "WIDE": AROUND,
        "CUMULANTS": {8: AROUND, 16: AROUND},
        "WINDOWS": {(8, 16): AROUND, (16, 32): AROUND},
        "SNAPSHOTS": replace(ising.SNAPSHOTS, steps=30, measure_every=1, seed_count=4),
        "QUICK_SNAPSHOTS": replace(ising.SNAPSHOTS, steps=3, measure_every=1, seed_count=2),
        "FILM": replace(ising.FILM, steps=12, evaluations=3, measure_every=1),
        "FRAMES": replace(ising.FRAMES, temperatures=(0.8, 2.0), steps=12, evaluations=3, measure_every=1),
        "QUICK_FRAMES": replace(ising.FRAMES, temperatures=(2.0,), steps=4, evaluations=2, measure_every=1),
        "FILM_SIZE": 8,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setattr(ising, name, value)
        yield


def arguments(out: Path, *more: str) -> list[str]:
    return ["--agents", "36", "--seed", "5", "--out", str(out), *HERE, *more]


@pytest.fixture(scope="module")
def results(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes for lattices of 6 x 6, beside those of 8 and 16 around the critical point."""
    out = tmp_path_factory.mktemp("results")
    assert main(lambda: ising.run(arguments(out))) == 0
    return out


def written(directory: Path, pattern: str = "*") -> dict[str, bytes]:
    """Every file of the folder itself."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob(pattern)) if path.is_file()}


def test_it_writes_what_it_says(results: Path) -> None:
    pictures = [f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")]
    expected = sorted([*TABLES, *pictures, "ordering.gif", "provenance.json", "SHA256SUMS"])
    assert list(written(results)) == expected
    assert ising.__doc__ is not None
    for name in [*TABLES, *FIGURES, "ordering.gif"]:
        assert name in ising.__doc__


def runs(table: pd.DataFrame) -> set[tuple[Any, ...]]:
    """What names its runs."""
    columns = ["method", "order", "size", "temperature", "seed"]
    return set(table[columns].itertuples(index=False, name=None))


def test_equilibrium_is_one_row_a_run(results: Path) -> None:
    table = read_csv(results / "equilibrium.csv")
    names = ["method", "order", "size", "temperature", "seed", "order_parameter", "sublattice_order_parameter"]
    assert list(table.columns) == [*names, "energy", "squared_magnetisation", "fourth_magnetisation"]
    compared = {(*cell, 6, *rest) for cell in CELLS for rest in product(TEMPERATURES, (5, 6))}
    critical = {
        (method, "checkerboard", *rest) for method in ("mf-q", "mcmc") for rest in product((8, 16), AROUND, (5, 6))
    }
    hot = {(*cell, 6, *rest) for cell in HOT for rest in product(BEYOND, (5, 6))}
    assert len(table) == len(compared | critical | hot)
    assert runs(table) == compared | critical | hot
    assert table.notna().all(axis=None)
    assert table["order_parameter"].ge(0).all()
    assert table["sublattice_order_parameter"].le(1).all()
    assert table["energy"].between(-2, 2).all()
    assert (table["order_parameter"] <= table["sublattice_order_parameter"] + 1e-12).all()
    assert (table["fourth_magnetisation"] <= table["squared_magnetisation"]).all()


def test_equilibrium_is_the_mean_of_the_jobs_rows_after_the_burn_in(results: Path) -> None:
    table = read_csv(results / "equilibrium.csv")
    for cell in (("mf-q", "released-code", 6), ("mcmc", "checkerboard", 16)):
        (path,) = results.glob(f"jobs/equilibrium-{'-'.join(map(str, cell))}-seeds-5-6-*/rows.csv")
        rows = read_csv(path)
        means = table[(table["method"] == cell[0]) & (table["order"] == cell[1]) & (table["size"] == cell[2])]
        means = means[~means["temperature"].isin(BEYOND)]
        assert len(rows) == 4 * len(means)
        for run in means.to_dict("records"):
            own = rows[(rows["temperature"] == run["temperature"]) & (rows["seed"] == run["seed"])]
            for column in table.columns[5:]:
                late = own[column].tolist()[2:]  # of four evaluations
                assert run[column] == pytest.approx(sum(late) / 2, rel=1e-12)


def test_burn_in_is_that_of_the_cell() -> None:
    of_the_run = {"method": "mf-q", "order": "checkerboard", "size": 8, "temperature": 1.0, "seed": 0}
    others = ("sublattice_order_parameter", "energy", "squared_magnetisation", "fourth_magnetisation")
    means = {"step": [1, 2, 3, 4], "order_parameter": [0.1, 0.2, 0.3, 0.4]}
    rows = pd.DataFrame(
        {**means, **dict.fromkeys(others, [0.0] * 4), **{key: [of] * 4 for key, of in of_the_run.items()}}
    )
    for burn_in, mean in ((0.0, 0.25), (0.5, 0.35), (0.75, 0.4)):
        settings = replace(ising.EQUILIBRIUM, temperatures=(1.0,), burn_in=burn_in)
        cells = [ising.Cell("equilibrium", "mf-q", "checkerboard", 8, settings)]
        assert ising.averaged(rows, cells)["order_parameter"].item() == pytest.approx(mean)


def test_training_is_one_row_an_evaluation(results: Path) -> None:
    table = read_csv(results / "training.csv")
    names = {"method", "order", "size", "temperature", "seed", "step", "order_parameter", "energy", "q_error"}
    assert names <= set(table.columns)
    hot = {(*cell, 6, *rest) for cell in HOT for rest in product((2.0,), (5, 6))}
    assert runs(table) == hot | {(*cell, 6, *rest) for cell in CELLS for rest in product((0.8, 1.2), (5, 6))}
    for _, run in table.groupby(["method", "order", "temperature", "seed"]):
        assert run["step"].tolist() == [4, 8, 12, 16, 20, 24]
    assert (table["q_error"].isna() == (table["method"] == "mcmc")).all()
    assert (table["q_error"].dropna() > 0).all()


def test_exact_curves_go_on_around_one_temperature() -> None:
    for _, curve in ising.references(pd.DataFrame({"temperature": [0.8, 0.8], "size": 4})).groupby("curve"):
        assert (curve["temperature"].min(), curve["temperature"].max()) == pytest.approx((0.76, 0.84))
        assert 0.8 in set(curve["temperature"])


def test_references_and_summary_hold_the_exact_values(results: Path) -> None:
    truth = read_csv(results / "references.csv")
    assert list(truth.columns) == ["curve", "size", "temperature", "order_parameter", "energy"]
    summary = read_csv(results / "summary.csv")
    runs_of_all = read_csv(results / "equilibrium.csv")
    onsager = truth[truth["curve"] == "Onsager, infinite lattice"]
    expected = onsager_magnetisation(onsager["temperature"].to_numpy())
    np.testing.assert_allclose(onsager["order_parameter"], expected, rtol=1e-12)
    finite = truth[truth["curve"] == "Kaufman, finite lattice"]
    assert set(finite["size"]) == {6, 8, 16}
    for size in (6, 8, 16):
        curve = finite[finite["size"] == size]
        exact = kaufman_energy(size, curve["temperature"].to_numpy())
        np.testing.assert_allclose(curve["energy"], exact, rtol=1e-10)
        measured = set(runs_of_all.loc[runs_of_all["size"] == size, "temperature"])
        assert measured <= set(curve["temperature"])
    assert len(summary) == len(runs_of_all) / SEEDS
    assert set(summary["n"]) == {SEEDS}
    for row in summary.to_dict("records"):
        these = runs_of_all
        for name in ("method", "order", "size", "temperature"):
            these = these[these[name] == row[name]]
        energy = these["energy"]
        assert row["energy"] == pytest.approx(energy.mean(), rel=1e-12)
        assert np.isnan([row["order_parameter_low"], row["order_parameter_high"]]).all()  # of two seeds there is none
        exact = kaufman_energy(row["size"], row["temperature"])
        assert row["exact_energy"] == pytest.approx(exact, rel=1e-12)
        error = abs(energy.iloc[0] - energy.iloc[1]) / 2  # of the mean of two
        if error:
            assert row["standard_errors"] * error == pytest.approx(energy.mean() - exact, rel=1e-6)
        else:
            assert np.isnan(row["standard_errors"])


def test_crossings_are_one_row_a_method(results: Path) -> None:
    table = read_csv(results / "crossings.csv")
    assert list(table.columns) == ["method", "sizes", "estimate", "low", "high", "n"]
    assert set(table[["method", "sizes"]].itertuples(index=False, name=None)) == {("mf-q", "8, 16"), ("mcmc", "8, 16")}


def test_other_cells_than_the_committed_ones_are_refused_before_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(scripting_results, "launch", lambda *_: pytest.fail("it begins"))
    with pytest.raises(ValueError, match=r"^out: results/ising/training\.csv is committed and holds no "):
        ising.run(["--agents", "36", *HERE])


def test_one_job_of_a_size_that_is_drawn_has_no_crossings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Section] = {}

    def do(sections: list[Section], *_: object) -> list[pd.DataFrame]:
        asked.update({section.name: section for section in sections})
        raise KeyboardInterrupt

    monkeypatch.setattr(ising, "do", do)
    for agents, quick in ((36, True), (64, True), (36, False)):
        with pytest.raises(KeyboardInterrupt):
            ising.train(options(tmp_path, agents=[agents], quick=quick))
        crossed = {name for name, section in asked.items() if "crossings" in section.settings}
        assert crossed == (set() if (agents, quick) == (36, True) else {"equilibrium"})


def test_sweeps_of_a_run_are_those_that_were_made(results: Path, tmp_path: Path) -> None:
    assert ising.sweeps(IsingOptions(out=results, agents=[36])) == {
        "checkerboard": 24,
        "simultaneous": 24,
        "released-code": 32,
    }
    assert ising.sweeps(IsingOptions(out=results, agents=[64])) == {"checkerboard": 24}
    assert ising.sweeps(IsingOptions(out=tmp_path)) == {}


def test_snapshots_are_lattices_as_text(results: Path) -> None:
    table = read_csv(results / "snapshots.csv")
    where = ["kind", "method", "order", "size", "temperature", "step"]
    assert list(table.columns) == [*where, "seed", "runs", "row", "spins"]
    where = ["kind", "method", "size", "temperature", "step"]
    found = set()
    for key, picture in table.groupby(where):
        size = int(picture["size"].iloc[0])
        assert picture["row"].tolist() == list(range(size))
        assert all(len(line) == size and set(line) <= {"+", "-"} for line in picture["spins"])
        found.add(key)
    still = {("equilibrium", method, 20, tau, 30) for method in ("mf-q", "mcmc") for tau in (0.9, 1.2, 2.0)}
    assert found == still | {("ordering", "mf-q", 8, 0.9, step) for step in (4, 8, 12)}


def test_frames_are_the_lattices_in_hex(results: Path) -> None:
    frames = read_csv(results / "frames.csv")
    assert list(frames.columns) == ["method", "order", "size", "temperature", "step", "spins"]
    assert [*zip(frames["temperature"], frames["step"], strict=True)] == [
        (t, s) for t in (0.8, 2.0) for s in (4, 8, 12)
    ]
    assert set(frames["spins"].str.len()) == {8 * 8 // 4}
    lines = [
        {"method": "mf-q", "order": "checkerboard", "size": 2, "temperature": 1.0, "step": 3, "row": row}
        for row in (1, 0)
    ]
    pictures = ising.pictures(pd.DataFrame(lines).assign(spins=["-+", "+-"]))
    assert pictures["spins"].tolist() == ["9"], "rows from the top, the first spin in the highest bit"


def trained(kind: str, out: Path) -> dict[tuple[str, float], dict[int, float]]:
    """The order parameter of each seed by method and temperature, of snapshots' cells trained on one Trainer."""
    found: dict[tuple[str, float], dict[int, float]] = {}
    for cell in ising.cells(IsingOptions()):
        if (cell.part, cell.kind) == ("snapshots", kind):
            settings = replace(cell.settings, evaluations=1, measure_every=cell.settings.steps)
            (job,) = replace(cell, settings=settings, kind="").jobs(IsingOptions(seed=5, seeds=settings.seed_count))
            for run in done(job, out).to_dict("records"):
                found.setdefault((cell.method, run["temperature"]), {})[run["seed"]] = run["order_parameter"]
    return found


def order_of(lines: pd.DataFrame) -> float:
    return abs(float(lattice(lines, "it").mean(dtype=float)))


def test_a_snapshot_is_where_a_run_of_the_same_seed_stands(results: Path, tmp_path: Path) -> None:
    """On one Trainer, measured once at its end, the picture has the order parameter of the last picture."""
    runs = trained("ordering", tmp_path)
    table = read_csv(results / "snapshots.csv")
    last = table[(table["kind"] == "ordering") & (table["step"] == ising.FILM.steps)]
    assert runs == {("mf-q", 0.9): {5: pytest.approx(order_of(last))}}
    assert set(last["seed"]) == {5}
    assert set(last["runs"]) == {1}


def test_of_several_runs_the_snapshot_is_the_median(results: Path, tmp_path: Path) -> None:
    table = read_csv(results / "snapshots.csv")
    stills = table[table["kind"] == "equilibrium"]
    assert set(stills["runs"]) == {4}
    runs = trained("equilibrium", tmp_path)
    assert len(stills) == len(runs) * 20
    assert any(len(set(orders.values())) == 4 for orders in runs.values())
    for run, orders in runs.items():
        lines = stills[(stills[["method", "temperature"]] == list(run)).all(axis=1)]
        assert set(orders) == {5, 6, 7, 8}
        assert order_of(lines) == pytest.approx(sorted(orders.values())[1])
        (seed,) = set(lines["seed"])
        assert orders[seed] == pytest.approx(order_of(lines))


def test_provenance_has_all_parts_with_the_source_of_every_number(results: Path) -> None:
    sections = json.loads((results / "provenance.json").read_text())
    assert set(sections) == {"equilibrium", "training", "snapshots", "frames"}
    (training,), (equilibrium,), (snapshots,) = (sections[name] for name in ("training", "equilibrium", "snapshots"))
    assert {name: len(job["seeds"]) for name, job in snapshots["jobs"].items()} == {
        "snapshots-equilibrium-mcmc-checkerboard-20-seeds-5-8": 4,
        "snapshots-equilibrium-mf-q-checkerboard-20-seeds-5-8": 4,
        "snapshots-ordering-mf-q-checkerboard-8-seeds-5-5": 1,
    }
    assert snapshots["settings"]["checkerboard, 20 x 20"]["decay"] == {
        "value": 4e-3,
        "source": "ours, in place of 0.0005",
    }
    orders = {"checkerboard", "simultaneous", "released-code"}
    there = {f"{order}, 6 x 6, tau-2" for order in orders}  # of IL, of MCMC in the first and of MF-Q in the last
    assert set(training["settings"]) == {f"{order}, 6 x 6" for order in orders} | there
    assert "checkerboard, 16 x 16" in equilibrium["settings"]
    fit = equilibrium["settings"]["crossings"]
    assert fit["degree"]["value"] == 4
    assert fit["temperatures of 8 and 16"]["value"] == list(AROUND)
    for call in (training, equilibrium, snapshots):
        for name, settings in call["settings"].items():
            assert all(entry["source"] for entry in settings.values())
            assert name == "crossings" or settings["learning_rate"] == {"value": 0.1, "source": "ours"}


@pytest.mark.slow
def test_figures_only_gives_the_same_bytes(results: Path) -> None:
    before = written(results)
    for name in FIGURES:
        (results / f"{name}.png").unlink()
    for name in ("references.csv", "summary.csv", "crossings.csv", "ordering.gif"):
        (results / name).unlink()
    assert main(lambda: ising.run(["--figures-only", "--agents", "36", "--out", str(results)])) == 0
    assert written(results) == before


def options(out: Path, **changes: Any) -> IsingOptions:
    fields: dict[str, Any] = {"quick": True, "agents": [36], "seed": 5, "workers": 1, "accelerator": "cpu"}
    return IsingOptions(out=out, **(fields | changes))


@pytest.fixture(scope="module")
def quick(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Tables of one process, all seeds in one stack."""
    out = tmp_path_factory.mktemp("quick")
    ising.train(options(out))
    return written(out, "*.csv")


def test_quick_leaves_out_the_lattices_around_the_critical_point(quick: dict[str, bytes]) -> None:
    assert list(quick) == ["equilibrium.csv", "frames.csv", "snapshots.csv", "training.csv"]
    lines = quick["equilibrium.csv"].decode().splitlines()
    assert len(lines) == 1 + len(CELLS) * 2 * SEEDS
    assert all(line.split(",")[2] == "6" for line in lines[1:])


@pytest.mark.slow
def test_two_workers_give_the_same_bytes(quick: dict[str, bytes], tmp_path: Path) -> None:
    ising.train(options(tmp_path, workers=2))
    assert written(tmp_path, "*.csv") == quick


def test_seeds_alone_give_the_same_bytes(
    quick: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUICK", "TRAINING"):
        monkeypatch.setattr(ising, name, replace(getattr(ising, name), seeds_a_job=1))
    ising.train(options(tmp_path))
    assert len(list((tmp_path / "jobs").glob("[!.]*"))) == 2 * len(CELLS) * SEEDS + 4, (
        "three of snapshots and one of frames"
    )
    assert written(tmp_path, "*.csv") == quick


def test_methods_one_call_after_the_other_and_again_give_the_same_bytes(
    quick: dict[str, bytes], tmp_path: Path
) -> None:
    for algorithms in (["mcmc"], ["mf-q"], ["mcmc"], []):
        ising.train(options(tmp_path, algorithms=algorithms))
    assert written(tmp_path, "*.csv") == quick


def test_another_seed_gives_other_numbers_and_leaves_other_sizes_alone(quick: dict[str, bytes], tmp_path: Path) -> None:
    few: dict[str, Any] = {"algorithms": ["mcmc"], "seeds": 1}
    ising.train(options(tmp_path, **few))
    one = read_csv(tmp_path / "equilibrium.csv")
    ising.train(options(tmp_path, **few, agents=[64]))
    both = read_csv(tmp_path / "equilibrium.csv")
    pd.testing.assert_frame_equal(both[both["size"] == 6].reset_index(drop=True), one)
    assert set(both["size"]) == {6, 8}
    ising.train(options(tmp_path, **(few | {"seed": 9})))
    other = read_csv(tmp_path / "equilibrium.csv")
    assert set(other.loc[other["size"] == 6, "seed"]) == {5, 9}, "what was trained stays"
    pd.testing.assert_frame_equal(other[other["seed"] == 5].reset_index(drop=True), both)
    assert not other.loc[other["seed"] == 9, "energy"].reset_index(drop=True).equals(one["energy"])


@pytest.mark.parametrize(("method", "order"), [("mf-q", "checkerboard"), ("mf-q", "released-code"), ("mcmc",) * 2])
def test_a_stopped_job_goes_on_to_the_bytes_of_a_whole_one(
    method: str, order: str, tmp_path: Path, stop: Callable[[Job, Path, int], None]
) -> None:
    order = "checkerboard" if method == "mcmc" else order
    (job,) = ising.Cell("equilibrium", method, order, 6, ising.QUICK).jobs(options(tmp_path))
    run_job(job, tmp_path / "whole")
    for evaluations in (1, 3):
        stop(job, tmp_path / "stopped", evaluations)
    reports: list[int] = []
    run_job(job, tmp_path / "stopped", progress=reports.append)
    assert (reports[0], reports[-1]) == (job.work * 3 // 4, job.work)
    assert (tmp_path / "stopped/rows.csv").read_bytes() == (tmp_path / "whole/rows.csv").read_bytes()
    assert not (tmp_path / "stopped/checkpoint.ckpt").exists()


def test_a_stopped_script_goes_on_to_the_same_bytes(
    quick: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = []

    def on_train_batch_end(self: ProgressReporter, trainer: pl.Trainer, *_: object) -> None:
        batches.append(trainer)
        if len(batches) == 11:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProgressReporter, "on_train_batch_end", on_train_batch_end)
        assert main(lambda: ising.train(options(tmp_path, checkpoint_seconds=0.0))) == 130
    assert written(tmp_path) == {}
    assert len(list((tmp_path / "jobs").glob("*/checkpoint.ckpt"))) == 1
    ising.train(options(tmp_path))
    assert written(tmp_path, "*.csv") == quick


def test_jobs_are_what_the_options_say() -> None:
    jobs = [job for cell in ising.cells(IsingOptions()) for job in cell.jobs(IsingOptions())]
    assert len({job.name for job in jobs}) == len(jobs)
    runs = [(*job.labels.values(), each["temperature"]) for job in jobs for each in job.conditions]
    assert len(set(runs)) == len(runs), "no run is of two cells"
    released = {cell.at: cell.settings for cell in ising.cells(IsingOptions()) if cell.order == "released-code"}
    assert released["tau-2"].temperatures == (2.0,)
    assert released["above-tau-2"].temperatures == BEYOND
    assert released["above-tau-2"].decay == ising.SLOW.decay, "cooled as slowly as below"
    for job in jobs:
        assert job.data["start"] == ("up" if job.algorithm == "metropolis" else "random")
        assert job.data["order"] == job.labels["order"]
        assert [each["temperature"] for each in job.conditions] == list(job.data["temperatures"])  # type: ignore[call-overload]
        assert job.agent["temperatures"] == job.data["temperatures"]
        assert ("learning_rate" in job.agent) == (job.algorithm in ("tabular-mf-q", "tabular-il"))
    few = [cell for cell in ising.cells(IsingOptions(temperatures=[2.1, 2.4])) if cell.part == "equilibrium"]
    names = {job.name for cell in few for job in cell.jobs(IsingOptions()) if cell.size == 20}
    assert not names & {job.name for job in jobs}, "other temperatures are other jobs, and provenance.json has both"
    chosen = IsingOptions(quick=True, temperatures=[1.5, 0.7], orders=["simultaneous"], algorithms=["mf-q"], seeds=11)
    cells = {cell.part: cell for cell in ising.cells(chosen) if not cell.kind}
    assert cells["equilibrium"].settings.temperatures == (1.5, 0.7)
    assert cells["training"].settings.temperatures == ising.TRAINING.temperatures
    assert {cell.order for cell in cells.values()} == {"simultaneous"}
    seeds = [job.seeds for job in cells["training"].jobs(chosen)]
    assert seeds == [tuple(range(11))]


GLAUBER = f"{Path(__file__).parents[1] / 'examples/my_ising_method.py'}:Glauber"


def test_orders_hold_for_a_custom_class_which_gets_rows_and_lines_of_its_own(tmp_path: Path) -> None:
    chosen = ["--quick", "--algorithms", GLAUBER, "--orders", "simultaneous", "released-code"]
    ising.run(arguments(tmp_path, *chosen))
    for table in ("training", "equilibrium", "summary"):
        rows = read_csv(tmp_path / f"{table}.csv")
        assert set(rows["method"]) == {GLAUBER}
        assert set(rows["order"]) == {"simultaneous", "released-code"}
    assert (tmp_path / "order_parameter.png").exists()
    assert not (tmp_path / "energy.png").exists()  # in these orders the energy is not that of the equilibrium
    ising.run(arguments(tmp_path, "--quick", "--algorithms", GLAUBER, "--orders", "checkerboard"))
    assert set(read_csv(tmp_path / "training.csv")["order"]) == set(ising.ORDERS)
    assert (tmp_path / "energy.png").exists()


def test_one_method_alone_is_drawn(tmp_path: Path) -> None:
    ising.run(arguments(tmp_path, "--quick", "--algorithms", "mcmc"))
    assert {each.stem for each in tmp_path.glob("*.png")} == {*FIGURES} - {"binder"}


TOY = Path(__file__).with_name("toy.py")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--agents", "225"], "agents: got [225], allowed is one square of an even number, at least 16"),
        (["--agents", "200"], "agents: got [200], allowed is one square of an even number, at least 16"),
        (["--agents", "4"], "agents: got [4], allowed is one square of an even number, at least 16"),
        (["--agents", "64", "100"], "agents: got [64, 100], allowed is one"),
        (["--temperatures", "-1"], "temperatures must be numbers, at least one, from 1e-30 to 1e+30, got [-1.0]"),
        (
            ["--temperatures", "1", "0"],
            "temperatures must be numbers, at least one, from 1e-30 to 1e+30",
        ),
        (["--temperatures", "1e-320"], "temperatures must be numbers, at least one, from 1e-30 to 1e+30, got"),
        (
            ["--agents", str(10**30)],
            f"agents: got [{10**30}], allowed is one square of an even number, at least 16, at",
        ),
        (["--temperatures", "cold"], "temperatures"),
        (["--temperatures", "1", "1"], "temperatures: got [1.0, 1.0], each may be named once"),
        (["--orders", "foo"], "orders: got foo, allowed are checkerboard, simultaneous, released-code"),
        (["--orders", "random-site"], "orders: got random-site, allowed are checkerboard"),
        (["--settings", "calibrated"], "settings: got calibrated, allowed is appendix"),
        (["--algorithms", "nonsense"], "algorithms: got nonsense, allowed are mf-q, il, mcmc or path/to/file.py:Class"),
        (
            ["--algorithms", "ac"],
            "algorithms: got ac, allowed are mf-q, il, mcmc or path/to/file.py:Class",
        ),
        (["--algorithms", "mf-q", "mf-ac"], "got mf-ac, allowed are"),
        (["--algorithms", f"{TOY}:Dies"], "Dies must be a subclass of mfmarl.algorithms.lattice.LatticeAgent"),
        (["--seeds", "0"], "seeds: got 0, allowed is 1 or more"),
        (["--figures-only"], "figures_only: there is no"),
    ],
)
def test_bad_input_is_one_line(
    wrong: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert main(lambda: ising.run(["--out", str(out), *HERE, *wrong])) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_the_median_run_is_told_by_its_order_and_of_two_in_the_middle_it_is_the_smaller() -> None:
    down, even, most = -torch.ones(2, 2), torch.tensor([[1.0, -1], [1, -1]]), torch.tensor([[1.0, 1], [1, -1]])
    lattices = torch.stack([torch.stack([down, even, most, -down]), torch.stack([most, down, -down, even])])
    assert median_runs(lattices) == [2, 0], "their orders are 1, 0, 1/2, 1 and 1/2, 1, 1, 0"
    assert median_runs(lattices[:, :3]) == [2, 1], "1, 0, 1/2 and 1/2, 1, 1"


def test_a_picture_of_one_run_names_no_seed_and_of_two_the_one_that_is_shown(tmp_path: Path) -> None:
    told: dict[tuple[int, ...], Any] = {}
    for seeds in ((5,), (5, 6)):
        at = {"temperatures": (0.8, 2.0)}
        data, conditions = {**at, "steps": 2, "evaluations": 2}, ({"temperature": 0.8}, {"temperature": 2.0})
        one = SnapshotJob(f"of-{len(seeds)}", {}, "tabular-mf-q", Ising(4), seeds, at, data, conditions)
        reports: list[int] = []
        rows = done(one, tmp_path / one.name, progress=reports.append)
        assert [*zip(rows["temperature"], rows["step"], rows["row"], strict=True)] == [
            (temperature, step, row) for temperature in (0.8, 2.0) for step in (1, 2) for row in range(4)
        ]
        told[seeds] = (one.description()["rows"], [name for name in ("seed", "runs") if name in rows])
        assert reports == [0, one.work // 2, one.work]
    assert told == {(5,): ("spins", []), (5, 6): ("spins of the median run", ["seed", "runs"])}

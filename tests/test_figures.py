"""Figures rebuild to the same bytes, say what they show, and refuse frames that they cannot draw."""

import itertools
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mfmarl import figures
from mfmarl.evaluation.final_scores import final_scores, summarise
from mfmarl.evaluation.names import label
from mfmarl.figures import style

OPTIMUM = {100: 423.0326, 500: 423.0326}
UNIFORM = {100: 413.4755, 500: 2.6e-28}


@pytest.mark.parametrize("name", ["curves", "final", "study", "scaling"])
def test_a_figure_rebuilds_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    first = figures.save(draw(name), tmp_path / "first")
    # A reader's own configuration and the global random streams leave no trace.
    with mpl.rc_context({"font.size": 20, "axes.grid": False, "pdf.fonttype": 3}):
        np.random.seed(5)  # noqa: NPY002
        second = figures.save(draw(name), tmp_path / "second")
    assert [path.suffix for path in first] == [".png", ".pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert len(list(tmp_path.iterdir())) == 4  # no drafts are left behind


def test_a_name_with_dots_keeps_them(tmp_path: Path) -> None:
    png, pdf = figures.save(Figure(), tmp_path / "share-above-0.9")
    assert (png.name, pdf.name) == ("share-above-0.9.png", "share-above-0.9.pdf")


def test_a_failed_save_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures.save(Figure(), tmp_path / "figure")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail_at_pdf(_figure: Figure, content: BytesIO, **options: object) -> None:
        content.write(b"half")
        if options["format"] == "pdf":
            raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail_at_pdf)
    with pytest.raises(OSError, match="No space left"):
        figures.save(Figure(), tmp_path / "figure")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_learning_curves_show_each_setting_mean_and_references() -> None:
    curves = curves_frame()
    figure = figures.learning_curves(curves, OPTIMUM, UNIFORM)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "appendix, N = 100\n1k steps, n = 4",
        "appendix, N = 500\n1k steps, n = 4",
        "calibrated, N = 100\n1k steps, n = 4",
        "calibrated, N = 500\n1k steps, n = 3 to 4",  # mf-q lacks a seed there
    ]
    panel = figure.axes[3]
    lines = [np.asarray(line.get_ydata(), float) for line in panel.get_lines()]
    chosen = curves.query("settings == 'calibrated' and agents == 500 and algorithm == 'il'")
    expected = chosen.groupby("step")["greedy_reward"].mean() / OPTIMUM[500]
    assert any(len(line) == len(expected) and np.allclose(line, expected) for line in lines)
    levels = {line[0] for line in lines if len(set(line)) == 1}
    assert {1, UNIFORM[500] / OPTIMUM[500]} <= levels
    assert legend_labels(figure) == [
        *("IL", "MF-Q", "Mine"),
        "optimum G*",
        "uniform play, exact mean",
        "end of the budget",
    ]


@pytest.mark.parametrize("metric", ["greedy_reward", "sampled_reward", "training_reward"])
def test_learning_curves_label_the_metric(metric: str) -> None:
    figure = figures.learning_curves(curves_frame(), OPTIMUM, UNIFORM, metric)
    word = {"greedy_reward": "greedy", "sampled_reward": "sampled", "training_reward": "exploring"}[metric]
    assert word in figure.axes[0].get_ylabel()


def test_one_seed_is_drawn_without_a_band() -> None:
    curves = curves_frame().query("seed == 0 and agents == 100")
    figure = figures.learning_curves(curves, OPTIMUM, UNIFORM)
    assert figure.axes[0].get_title() == "appendix, N = 100\n1k steps, n = 1"
    figures.final_rewards(summarise(curves, OPTIMUM), final_scores(curves, OPTIMUM)).draw_without_rendering()


def test_final_rewards_show_every_seed_and_the_summary() -> None:
    summary, scores = finals()
    figure = figures.final_rewards(summary, scores)
    panel = figure.axes[0]
    drawn = np.concatenate([np.asarray(line.get_xdata(), float) for line in panel.get_lines()])
    shown = summary.query("settings == 'appendix' and agents == 100")
    for column in ("greedy", "greedy_low", "greedy_high", "sampled", "sampled_low", "sampled_high"):
        assert set(shown[column]) <= set(drawn)
    assert set(scores.query("settings == 'appendix' and agents == 100")["greedy"]) <= set(drawn)
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["IL", "MF-Q", "Mine"]


@pytest.mark.parametrize("schedules", [1, 3])
def test_study_says_below_its_last_row_what_is_shown(schedules: int) -> None:
    cell = study_frame().query("schedule == '1 to 0.01'")
    frame = pd.concat([cell.assign(schedule=f"{start} to 0.01") for start in range(schedules)])
    panels = figures.study(frame).axes
    assert len(panels) == 2 * schedules
    assert [bool(axes.get_xlabel()) for axes in panels] == [False] * 2 * (schedules - 1) + [True] * 2


def test_study_draws_whatever_levels_occur() -> None:
    figure = figures.study(study_frame())
    assert [axes.get_title() for axes in figure.axes] == [
        "epsilon 1 to 0.01\n2,000 joint steps (n = 3)",
        "epsilon 1 to 0.01\n8,000 joint steps (n = 3)",
        "epsilon 0.1 to 0.01\n2,000 joint steps (n = 3)",
        "epsilon 0.1 to 0.01\n8,000 joint steps (not run)",
    ]
    assert legend_labels(figure) == [
        "IL",
        "MF-Q, mean action of the previous step",
        "MF-Q, mean action of the same step",
        "MF-Q fed noise",
        "optimum G*",
    ]


def test_scaling_draws_time_and_reward_against_the_number_of_agents() -> None:
    frame = scaling_frame()
    figure = figures.scaling(frame)
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear"]
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    means = frame[frame["algorithm"] == "mf-q"].groupby("agents")["seconds_per_step"].mean()
    lines = [np.asarray(line.get_ydata(), float) for line in figure.axes[0].get_lines()]
    assert any(line.shape == means.shape and np.allclose(line, means) for line in lines)


def test_looks_are_fixed_and_distinct() -> None:
    names = ["il", "fmq", "rec-fmq", "maac", "ac", "mf-q", "mf-ac", "mf-q-noise", "a.py:First", "a.py:Second"]
    found = figures.looks(reversed(names))
    assert list(found) == names
    assert len({look.colour for look in found.values()}) == len(names)
    assert len({look.marker for look in found.values()}) == len(names)
    assert found["a.py:First"].label == "First"
    assert {name: look.label for name, look in found.items()} == {name: label(name) for name in names}
    assert figures.looks(["mf-q"])["mf-q"] == found["mf-q"]


def test_bad_frames_are_refused_by_name() -> None:
    curves = curves_frame()
    with pytest.raises(ValueError, match=r"metric must be one of \['greedy_reward', .* got 'loss'"):
        figures.learning_curves(curves, OPTIMUM, UNIFORM, "loss")
    with pytest.raises(ValueError, match=r"curves lacks the columns \['step'\]"):
        figures.learning_curves(curves.drop(columns="step"), OPTIMUM, UNIFORM)
    with pytest.raises(ValueError, match=r"optimum lacks agents = 500"):
        figures.learning_curves(curves, {100: 1.0}, UNIFORM)
    with pytest.raises(ValueError, match=r"uniform lacks agents = 500"):
        figures.learning_curves(curves, OPTIMUM, {100: 1.0})
    with pytest.raises(ValueError, match=r"il must have all seeds at the same values of step"):
        figures.learning_curves(curves.iloc[1:], OPTIMUM, UNIFORM)
    summary, scores = finals()
    with pytest.raises(ValueError, match=r"scores lacks il with appendix, N = 100"):
        figures.final_rewards(summary, scores.query("algorithm != 'il'"))
    with pytest.raises(ValueError, match=r"frame has no rows"):
        figures.study(study_frame().iloc[:0])
    with pytest.raises(ValueError, match=r"seconds_per_step must be positive, got 0"):
        figures.scaling(scaling_frame().assign(seconds_per_step=0.0))
    with pytest.raises(ValueError, match=r"result lacks the columns \['part', 'game', 'exploration'"):
        figures.success_rates(scaling_frame(), ["penalty"])


def test_no_figure_needs_torch_or_an_algorithm() -> None:
    code = (
        "import importlib, pkgutil, sys, mfmarl.figures as package\n"
        "for module in pkgutil.iter_modules(package.__path__, 'mfmarl.figures.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert not {'torch', 'pytorch_lightning', 'mfmarl.algorithms', 'mfmarl.environments'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent.parent)


def draw(name: str) -> Figure:
    """One small figure of each kind."""
    summary, scores = (frame.query("agents == 500") for frame in finals())
    figure: Figure = {
        "curves": lambda: figures.learning_curves(curves_frame().query("agents == 500"), OPTIMUM, UNIFORM),
        "final": lambda: figures.final_rewards(summary, scores),
        "study": lambda: figures.study(study_frame().query("steps == 2000")),
        "scaling": lambda: figures.scaling(scaling_frame()),
    }[name]()
    return figure


def legend_labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def curves_frame(seeds: int = 4) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    names = ("il", "mf-q", "my/agent.py:Mine")
    keys = itertools.product(("appendix", "calibrated"), names, (100, 500), range(seeds), range(100, 1100, 100))
    frame = pd.DataFrame(list(keys), columns=["settings", "algorithm", "agents", "seed", "step"])
    for metric in ("greedy_reward", "sampled_reward", "training_reward"):
        frame[metric] = generator.uniform(0, 423, size=len(frame))
    absent = "settings == 'calibrated' and agents == 500 and algorithm == 'mf-q' and seed == 3"
    return frame.drop(frame.query(absent).index)


def finals() -> tuple[pd.DataFrame, pd.DataFrame]:
    curves = curves_frame()
    return summarise(curves, OPTIMUM), final_scores(curves, OPTIMUM)


def study_frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    variants = (("il", "-"), ("mf-q", "previous"), ("mf-q", "same"), ("mf-q-noise", "-"))
    cells = (("1 to 0.01", 2000), ("1 to 0.01", 8000), ("0.1 to 0.01", 2000))
    rows = [
        (algorithm, schedule, steps, embedding, stored, seed, generator.uniform())
        for (schedule, steps), embedding, (algorithm, stored), seed in itertools.product(
            cells, ("one-hot", "learned"), variants, range(3)
        )
    ]
    return pd.DataFrame(rows, columns=["algorithm", "schedule", "steps", "embedding", "stored", "seed", "value"])


def scaling_frame() -> pd.DataFrame:
    keys = itertools.product(("il", "mf-q"), (100, 10_000, 1_000_000), range(3))
    frame = pd.DataFrame(list(keys), columns=["algorithm", "agents", "seed"])
    frame["seconds_per_step"] = frame["agents"] * 1e-6 * (1 + frame["seed"])
    frame["reward_share"] = 0.9 - 0.1 * frame["seed"]
    return frame


def test_notes_say_of_few_seeds_only_where_there_are_some() -> None:
    assert style.curve_note([8, 24]) == "mean over n seeds with its 95% bootstrap interval"
    assert style.curve_note([5, 1]) == "mean over n seeds, and each seed as a thin line"
    assert style.curve_note([5, 8]).endswith("or, where n is 5 or less, each seed as a thin line")
    assert style.curve_note([1]) == "one seed each"
    whole = "mean over n seeds with its 95% bootstrap interval"
    assert style.interval_note([6, 24]) == whole
    assert style.interval_note([3, 24]) == f"{whole} (dotted where n is 5 or less)"
    assert style.interval_note([3, 5]) == f"{whole} (dotted as n is 5 or less)"
    assert style.interval_note([2, 8]) == f"{whole} (none where n < 3)"
    assert style.interval_note([1, 4, 8], "bars") == "bars (dotted where n is 5 or less, none where n < 3)"
    assert [style.of_runs(n)["linestyle"] == "-" for n in (5, 6)] == [False, True], "as they say"

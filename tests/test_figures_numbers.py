"""Every artist of a figure is a number of its frame: all lines, dots, bands, bars and intervals, and no others."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mfmarl import figures
from mfmarl.evaluation.intervals import bootstrap_interval
from mfmarl.figures import battle, battle_pairings, battle_study, ising, ising_training, style
from tests import test_figures_battle as battle_frames
from tests import test_figures_battle_study as study_frames
from tests import test_figures_ising as ising_frames
from tests.artists import across, bars_of, boxes, check, check_curves, lines, segments, upright
from tests.test_figures import OPTIMUM, UNIFORM, curves_frame, finals, scaling_frame, study_frame

CRITICAL = ising_frames.CRITICAL


def by_seed(runs: pd.DataFrame, column: str, metric: str) -> pd.DataFrame:
    return runs.pivot_table(index="seed", columns=column, values=metric)


def interval_of(values: Sequence[float]) -> tuple[float, float, float]:
    return bootstrap_interval(values, generator=np.random.default_rng(0))


def runs_at(y: float, values: Sequence[float], ends: tuple[float, float, float], height: float) -> list[Any]:
    """One line of a dot plot: each run, spread over the height, the interval if there is one, and the mean."""
    spread = [y + (place / (len(values) - 1) - 0.5) * height if len(values) > 1 else y for place in range(len(values))]
    estimate, low, high = ends
    return [[values, spread], *([[[low, high], [y, y]]] if math.isfinite(low) else []), [[estimate], [y]]]


@pytest.mark.parametrize("metric", ["greedy_reward", "sampled_reward", "training_reward"])
@pytest.mark.parametrize("seeds", [1, 4, 7])
def test_learning_curves(metric: str, seeds: int) -> None:
    frame = curves_frame(seeds)
    figure = figures.learning_curves(frame, OPTIMUM, UNIFORM, metric)
    keys = itertools.product(("appendix", "calibrated"), (100, 500))
    for axes, (settings, agents) in zip(figure.axes, keys, strict=True):
        panel, best = frame[(frame["settings"] == settings) & (frame["agents"] == agents)], OPTIMUM[agents]
        tables = [by_seed(runs, "step", metric) / best for _, runs in panel.groupby("algorithm")]
        check_curves(axes, tables, [across(1), across(UNIFORM[agents] / best), upright(1000)])
        assert axes.get_ylim() == pytest.approx((-0.04, 1.08))
        assert axes.get_xlim()[0] == 0
    figure.draw_without_rendering()
    assert "1k" in [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    marked = [line for line in figure.axes[0].get_lines() if line.get_marker() in {"o", "s", "<"}]
    assert [line.get_markevery() for line in marked] == [(0, 1)] * 3


def test_budgets_that_differ_are_marked_each() -> None:
    frame = curves_frame().query("settings == 'appendix' and agents == 500")
    short = frame[(frame["algorithm"] != "il") | (frame["step"] <= 600)]
    axes = figures.learning_curves(short, OPTIMUM, UNIFORM).axes[0]
    tables = [by_seed(runs, "step", "greedy_reward") / OPTIMUM[500] for _, runs in short.groupby("algorithm")]
    check_curves(axes, tables, [across(1), across(UNIFORM[500] / OPTIMUM[500]), upright(600), upright(1000)])
    assert axes.get_title() == "appendix, N = 500\n600 or 1k steps, n = 4"


def test_markers_of_long_curves_stand_apart() -> None:
    steps = range(100, 4900, 100)
    keys = itertools.product(("il", "mf-q"), range(2), steps)
    frame = pd.DataFrame(list(keys), columns=["algorithm", "seed", "step"]).assign(settings="appendix", agents=100)
    frame["greedy_reward"] = np.random.default_rng(0).uniform(0, 400, len(frame))
    axes = figures.learning_curves(frame, OPTIMUM, UNIFORM).axes[0]
    marked = [line.get_markevery() for line in axes.get_lines() if line.get_marker() in {"o", "s"}]
    assert marked == [(0, 8), (5, 8)]  # place 5 of 8 looks


def test_final_rewards() -> None:
    summary, scores = finals()
    figure = figures.final_rewards(summary, scores)
    names = ["il", "mf-q", "my/agent.py:Mine"]
    for axes, (settings, agents) in zip(
        figure.axes, itertools.product(("appendix", "calibrated"), (100, 500)), strict=True
    ):
        expected: list[Any] = [upright(1)]
        for y, name in enumerate(names):
            key = f"settings == '{settings}' and agents == {agents} and algorithm == '{name}'"
            (line,), runs = summary.query(key).to_dict("records"), scores.query(key).sort_values("seed")
            for kind, shift in (("greedy", -0.19), ("sampled", 0.19)):
                ends = (line[kind], line[f"{kind}_low"], line[f"{kind}_high"])
                expected += runs_at(y + shift, runs[kind].to_list(), ends, 0.2)
        check(lines(axes), expected)
        assert axes.get_ylim() == (2.5, -0.5)
        assert axes.get_xlim() == (-0.04, 1.16)  # room for the numbers of seeds
        faces = [mark.get_markerfacecolor() for mark in axes.get_lines() if len(mark.get_xdata()) == 1]  # type: ignore[arg-type]
        looks = style.looks(names)
        assert faces == [face for name in names for face in (looks[name].colour, "white")]


def test_final_rewards_of_different_numbers_of_seeds_say_each() -> None:
    summary, scores = (frame.query("agents == 100 and settings == 'appendix'") for frame in finals())
    alike, apart = (figures.final_rewards(summary.assign(n=n), scores) for n in (8, [8, 24, 5]))
    assert [text.get_text() for text in alike.axes[0].texts] == []
    axes = apart.axes[0]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("8", 0), ("24", 1), ("5", 2)]
    assert all(1 < text.get_position()[0] < axes.get_xlim()[1] for text in axes.texts), "in the panel of their line"
    assert [figure.legends[0].get_title().get_text().split(". ")[0] for figure in (alike, apart)] == [
        "Faint dots: the 8 seeds",
        "Faint dots: seeds, their number at the right",
    ]


def test_what_was_not_run_says_so_or_why() -> None:
    summary, scores = finals()
    parts = [frame.query("algorithm == 'il' or agents == 100") for frame in (summary, scores)]
    figure = figures.final_rewards(*parts, absent={"mf-q": "cannot"})
    for axes, told in zip(figure.axes, [[], [("cannot", 1), ("not run", 2)]] * 2, strict=True):
        assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == told


def test_one_run_has_no_interval() -> None:
    summary, scores = (frame.query("agents == 100") for frame in finals())
    one = scores.query("seed == 0")
    ends = [f"{kind}_{end}" for kind in ("greedy", "sampled") for end in ("low", "high")]
    axes = figures.final_rewards(summary.assign(n=1, **dict.fromkeys(ends, math.nan)), one).axes[0]
    assert sorted(line.shape for line in lines(axes)) == [(2, 1)] * 12 + [(2, 2)]  # the optimum alone has two ends
    for dot in (line for line in lines(axes) if line.shape == (2, 1)):
        assert any(dot[1, 0] == pytest.approx(y + shift) for y in range(3) for shift in (-0.19, 0.19))


def test_study() -> None:
    frame = study_frame()
    figure = figures.study(frame)
    places = [("il", "-"), ("mf-q", "previous"), ("mf-q", "same"), ("mf-q-noise", "-")]
    keys = itertools.product(("1 to 0.01", "0.1 to 0.01"), (2000, 8000))
    for axes, (schedule, steps) in zip(figure.axes, keys, strict=True):
        panel = frame[(frame["schedule"] == schedule) & (frame["steps"] == steps)]
        expected: list[Any] = [upright(1), across(0.5)]
        for key, runs in panel.groupby(["algorithm", "stored", "embedding"]):
            algorithm, stored, embedding = map(str, key)
            y = ["one-hot", "learned"].index(embedding) + (places.index((algorithm, stored)) - 1.5) * 0.2
            values = runs.sort_values("seed")["value"].to_list()
            expected += runs_at(y, values, interval_of(values), 0.12)
        check(lines(axes), expected)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["one-hot", "learned"]


def test_scaling() -> None:
    frame = scaling_frame()
    figure = figures.scaling(frame)
    for axes, column in zip(figure.axes, ("seconds_per_step", "reward_share"), strict=True):
        expected: list[Any] = [across(1)] if column == "reward_share" else []
        for place, name in enumerate(("il", "mf-q")):
            aside, means = 1.06 ** (place - 0.5), {}
            for agents, runs in frame[frame["algorithm"] == name].groupby("agents"):
                x, values = float(str(agents)) * aside, runs[column].to_list()
                means[x], low, high = interval_of(values)
                expected += [[[1.08 * x] * len(values), values], [[x, x], [low, high]]]
            expected.append([list(means), list(means.values())])
        check(lines(axes), expected)
    assert figure.axes[1].get_ylim() == (-0.04, 1.08)


def test_success_rates() -> None:
    keys = [("games", "penalty", "il"), ("games", "climbing", "il"), ("games", "climbing", "fmq")]
    keys += [("temperature", "penalty", "il"), ("temperature", "penalty", "il"), ("epsilon", "climbing", "rec-fmq")]
    frame = pd.DataFrame(keys, columns=["part", "game", "algorithm"])
    frame = frame.assign(exploration=["a", "a", "b", "c", "d", "e"], steps=[1000, 1000, 2000, 10, 10, 5000], runs=64)
    frame["share"] = [0.1, 0.2, 0.95, 0.4, 0.5, 0.6]
    frame = frame.assign(
        low=frame["share"] - 0.05, high=frame["share"] + 0.03, published=[0.12, math.nan, 1, 0.3, 0.2, 0.9]
    )
    figure = figures.success_rates(frame, ["climbing", "penalty"])
    looks = list(style.looks(frame["algorithm"]))
    heights = {"games": ["climbing", "penalty"], "temperature": ["c", "d"], "epsilon": ["climbing: e, 5,000"]}
    for axes, (part, names) in zip(figure.axes, heights.items(), strict=True):
        assert [text.get_text() for text in axes.get_yticklabels()] == names
        expected: list[Any] = []
        for row in frame[frame["part"] == part].to_dict("records"):
            aside = (looks.index(row["algorithm"]) - 1) * 0.25 if part == "games" else 0  # of three methods
            name = {"games": row["game"], "temperature": row["exploration"]}.get(part, names[0])
            y = names.index(name) + aside
            expected += [[[row["low"], row["high"]], [y, y]], [[row["share"]], [y]], [[row["published"]], [y]]]
        check(lines(axes), expected)
        assert axes.get_ylim() == (len(names) - 0.5, -0.5)
        assert axes.get_xlim() == (-0.02, 1.02)
    assert figure.legends[0].get_title().get_text() == "n = 64 runs each; bars: 95% interval"
    single = figures.success_rates(frame.assign(runs=1, low=math.nan, high=math.nan), ["climbing", "penalty"])
    assert single.legends[0].get_title().get_text() == "n = 1 run each"


# Ising.


@pytest.mark.parametrize("seeds", [1, 5, 7])
def test_order_parameter(seeds: int) -> None:
    frame, references = ising_frames.equilibrium_frame(seeds=seeds), ising_frames.references_frame()
    figure = ising.order_parameter(frame, references, CRITICAL)
    truth = [[points["temperature"], points["order_parameter"]] for _, points in references.groupby("curve")]
    for axes, order in zip(figure.axes, ising_frames.ORDERS, strict=True):
        learned, mcmc = frame[frame["order"] == order], frame[frame["method"] == "mcmc"]
        curves = [mcmc, *([learned] if order == "checkerboard" else [])]
        tables = [by_seed(runs, "temperature", "order_parameter") for runs in curves]
        metrics = [] if order == "checkerboard" else ["order_parameter", "sublattice_order_parameter"]
        dots = [[learned["temperature"], learned[metric]] for metric in metrics]
        check_curves(axes, tables, [*truth, upright(CRITICAL), *dots])
    check_margins(figure.axes[0], frame["temperature"])
    assert figure.axes[0].get_ylim() == (-0.02, 1.02)


def test_runs_of_independent_learners_are_crosses_in_every_order() -> None:
    frame = ising_frames.equilibrium_frame()
    mine = frame[frame["method"] == "mf-q"].assign(method="il")
    mine["order_parameter"] *= 0.5
    without = ising.order_parameter(frame, ising_frames.references_frame(), CRITICAL)
    figure = ising.order_parameter(pd.concat([frame, mine]), ising_frames.references_frame(), CRITICAL)
    for axes, before, order in zip(figure.axes, without.axes, ising_frames.ORDERS, strict=True):
        crosses = [np.asarray(line.get_xydata()).T for line in axes.get_lines() if line.get_marker() == "x"]
        runs = mine[mine["order"] == order]
        check(crosses, [[runs["temperature"], runs["order_parameter"]]])
        assert len(axes.get_lines()) == len(before.get_lines()) + 1


def test_training_of_independent_learners_is_drawn_run_by_run_in_one_order() -> None:
    frame = ising_frames.training_frame(7)
    mine = frame[frame["method"] == "mf-q"].assign(method="il")
    axes, before = (ising_training.training(rows).axes[0] for rows in (pd.concat([frame, mine]), frame))
    added = len(axes.get_lines()) - len(before.get_lines())
    assert added == 7, "a line a seed of the checkerboard order"


def check_margins(axes: Axes, temperatures: "pd.Series[float]") -> None:
    low, high = temperatures.min(), temperatures.max()
    assert axes.get_xlim() == pytest.approx((low - 0.03 * (high - low), high + 0.03 * (high - low)))


def test_one_temperature_has_room_around_it() -> None:
    frame = ising_frames.equilibrium_frame().query("temperature == 0.8")
    axes = ising.order_parameter(frame, ising_frames.references_frame(), CRITICAL).axes[0]
    assert axes.get_xlim() == pytest.approx((0.75, 0.85))


@pytest.mark.parametrize("seeds", [5, 7])
def test_energy(seeds: int) -> None:
    frame, exact = ising_frames.equilibrium_frame((8, 16), seeds), ising_frames.exact_frame((8, 16))
    figure = ising.energy(frame, exact, CRITICAL)
    for (above, below), size in zip(np.array(figure.axes).reshape(2, 2).T, (8, 16), strict=True):
        truth = exact[exact["size"] == size]
        known = truth.set_index("temperature")["energy"]
        shown = frame[frame["size"] == size].query("order in ('checkerboard', 'random-site')")
        tables = [by_seed(runs, "temperature", "energy") for _, runs in shown.groupby("method")]
        for axes, shift, further in (
            (above, 0, [truth[["temperature", "energy"]].to_numpy().T]),
            (below, 1, [across(0)]),
        ):
            deviations = [table - shift * known[table.columns].to_numpy() for table in tables]
            check_curves(axes, deviations, [*further, upright(CRITICAL)])
        check_margins(above, shown["temperature"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["tau_c =\n1.1346"]
    assert figure.axes[0].texts[0].xy == (CRITICAL, 0.13)  # type: ignore[attr-defined]  # low, where the curves are above


def test_binder() -> None:
    cumulants, fits, crossings = ising_frames.binder_frames()
    figure = ising.binder(cumulants.assign(n=7), fits, crossings, CRITICAL)
    for axes, method in zip(figure.axes, ("mf-q", "mcmc"), strict=False):
        panel = cumulants[cumulants["method"] == method]
        points = [points[["temperature", "cumulant"]].to_numpy().T for _, points in panel.groupby("size")]
        fitted = fits[fits["method"] == method].groupby(["sizes", "size"])
        curves = [curve[["temperature", "cumulant"]].to_numpy().T for _, curve in fitted]
        check(lines(axes), [upright(CRITICAL), *points, *curves])
        joined = {line.get_linestyle() for line in axes.get_lines() if line.get_marker() in ("o", "s", "^")}
        assert joined == {"None"}
        check(segments(axes), bars_of(panel, "temperature"))
    expected: list[Any] = [upright(CRITICAL)]
    for y, row in enumerate(crossings.to_dict("records")):
        expected += [[[row["low"], row["high"]], [y, y]], [[row["estimate"]], [y]]]
    check(lines(figure.axes[-1]), expected)
    assert figure.axes[-1].get_ylim() == (2.5, -0.5)
    assert "n = 7" in figure.legends[0].get_title().get_text()
    assert figure.axes[0].texts[0].xy == (CRITICAL, 0.97)  # type: ignore[attr-defined]


@pytest.mark.parametrize("seeds", [3, 7])
def test_training(seeds: int) -> None:
    frame = ising_frames.training_frame(seeds)
    figure = ising_training.training(frame)
    for (above, below), temperature in zip(np.array(figure.axes).reshape(2, 2).T, (0.8, 1.2), strict=True):
        panel = frame[frame["temperature"] == temperature]
        scattered = panel["order"].isin(["simultaneous", "released-code"])
        runs = [[run["step"], run["order_parameter"]] for _, run in panel[scattered].groupby(["order", "seed"])]
        for axes, metric, rows, further in (
            (above, "order_parameter", panel[~scattered], runs),
            (below, "q_error", panel.dropna(subset="q_error"), []),
        ):
            tables = [by_seed(run, "step", metric) for _, run in rows.groupby(["method", "order"])]
            check_curves(axes, tables, [*further, upright(1000)])
        assert above.get_title() == f"tau = {temperature}, 1,000 sweeps"
        assert above.get_ylim() == (-0.02, 1.02)
        assert above.get_xlim()[0] == 0
    assert "20 x 20 sites" in figure.legends[0].get_title().get_text()
    assert f"n = {seeds}; above, every seed of released-code, simultaneous" in figure.legends[0].get_title().get_text()


# Battle.


@pytest.mark.parametrize("seeds", [1, 4, 7])
@pytest.mark.parametrize("agents", [8, 64])
def test_battle_learning_curves(seeds: int, agents: int) -> None:
    frame = battle_frames.only(battle_frames.curves_frame(seeds), agents=agents)
    frame["epsilon"] = (1 - frame["step"] / 1000).where(frame["algorithm"] == "mf-q")
    figure = battle.learning_curves(frame)
    for (above, middle, below), settings in zip(
        np.array(figure.axes).reshape(3, 2).T, ("appendix", "ours"), strict=True
    ):
        panel = frame[frame["settings"] == settings]
        hiding = [across(-2 * agents)]
        for axes, metric, further in ((above, "reward", hiding), (middle, "kills", []), (below, "epsilon", [])):
            tables = [by_seed(runs, "step", metric) for _, runs in panel.dropna(subset=metric).groupby("algorithm")]
            check_curves(axes, tables, [*further, upright(1000)])
        assert middle.get_ylim() == pytest.approx((-0.04 * agents, 1.06 * agents))
        assert middle.get_xlim()[0] == 0


def test_ratings() -> None:
    frame = battle_frames.ratings_frame()
    names = [*battle_frames.LEARNERS, "rush", "random"]
    for axes, agents in zip(battle.ratings(frame).axes, (8, 64), strict=True):
        expected: list[Any] = [upright(0), across(3.5)]  # AC, and between those who learn and the others
        marks = {}
        for row in frame[frame["agents"] == agents].to_dict("records"):
            y = names.index(row["algorithm"]) + (-0.17 if row["evaluation"] == "greedy" else 0.17)
            ends = [[[row["rating_low"], row["rating_high"]], [y, y]]] if 0 < row["score_on_scale"] < 1 else []
            expected += [*ends, [[row["rating"]], [y]]]
            marks[y] = {0: "<", 1: ">"}.get(
                row["score_on_scale"], style.looks([row["algorithm"]])[row["algorithm"]].marker
            )
        check(lines(axes), expected)
        found = [line for line in axes.get_lines() if len(line.get_xdata()) == 1]  # type: ignore[arg-type]
        assert {line.get_ydata()[0]: line.get_marker() for line in found} == marks  # type: ignore[index]
        assert axes.get_ylim() == (5.5, -0.5)


def test_win_rate_bars() -> None:
    frame = battle_frames.pairings_frame()
    own, script = frame["algorithm"] == frame["opponent"], frame["opponent"].isin(["rush", "random"])
    groups = np.array(battle_pairings.win_rate_bars(frame, battle_frames.armies_frame(frame)).axes).reshape(3, 2)
    for beside, rows in zip(groups, (frame[~own & ~script], frame[own], frame[script]), strict=True):
        names = [text.get_text() for text in beside[0].get_yticklabels()]
        assert beside[0].get_ylim() == (len(names) - 0.5, -0.5)
        for axes, evaluation in zip(beside, ("greedy", "sampled"), strict=True):
            check_bars(axes, rows[rows["evaluation"] == evaluation], names, 0.5, shares_of)
            colours = [bar.get_facecolor()[:3] for bar in battle_frames.bars(axes)]
            shares = [to_rgb(each) for each in (battle_pairings.WIN, battle_pairings.DRAW, battle_pairings.LOSS)]
            assert colours == shares * len(names)


def test_rewards() -> None:
    frame = battle_frames.pairings_frame()
    axes_of = battle_pairings.rewards(frame, battle_frames.armies_frame(frame)).axes
    names = [text.get_text() for text in axes_of[0].get_yticklabels()]
    assert axes_of[0].get_ylim() == (len(names) - 0.5, -0.5)
    for axes, evaluation in zip(axes_of, ("greedy", "sampled"), strict=True):
        check_bars(axes, frame[frame["evaluation"] == evaluation], names, 0, rewards_of)


def check_bars(axes: Axes, rows: pd.DataFrame, names: list[str], middle: float, drawn_of: Callable[..., Any]) -> None:
    """A panel of bars, a line a row: what `drawn_of` says of each row at its height, and an upright line."""
    expected: list[Any] = [upright(middle)]
    bars: list[Any] = []
    for _, row in rows.iterrows():
        more, boxes_of = drawn_of(row, names.index(battle_frames.name_of(row)))
        expected, bars = expected + more, bars + boxes_of
    check(lines(axes), expected)
    check(boxes(axes), bars)


def shares_of(row: "pd.Series[Any]", y: float) -> tuple[list[Any], list[Any]]:
    wins, end, sides = row["wins"], row["wins"] + row["draws"], [y - 0.33, y + 0.33]
    drawn = [[[row["wins_left"]], [y - 0.39]], [[row["wins_right"]], [y + 0.39]]]
    if row["algorithm"] != row["opponent"]:  # a match with itself has as many wins as losses
        drawn += [[[row["wins_low"], row["wins_high"]], [y, y]]] * 2  # black, on white
    return drawn, [[[0, wins], sides], [[wins, end], sides], [[end, 1], sides]]


def rewards_of(row: "pd.Series[Any]", y: float) -> tuple[list[Any], list[Any]]:
    drawn, bars = [], []
    for metric, at in (("reward", y - 0.2), ("opponent_reward", y + 0.2)):
        drawn += [[[row[f"{metric}_low"], row[f"{metric}_high"]], [at + 0.09, at + 0.09]]] * 2  # black, on white
        bars.append([sorted((0, row[metric])), [at - 0.18, at + 0.18]])
    return drawn, bars


# Panels that are compared have one scale.

SCALES: dict[str, tuple[Callable[[], Figure], tuple[int, int], str, str]] = {
    "learning curves": (lambda: figures.learning_curves(curves_frame(), OPTIMUM, UNIFORM), (2, 2), "own", "all"),
    "final rewards": (lambda: figures.final_rewards(*finals()), (2, 2), "all", "all"),
    "study": (lambda: figures.study(study_frame()), (2, 2), "all", "all"),
    "scaling": (lambda: figures.scaling(scaling_frame()), (1, 2), "all", "own"),
    "order parameter": (
        lambda: ising.order_parameter(
            ising_frames.equilibrium_frame(), ising_frames.references_frame(), ising_frames.CRITICAL
        ),
        (1, 3),
        "all",
        "all",
    ),
    "energy": (
        lambda: ising.energy(ising_frames.equilibrium_frame((8, 16)), ising_frames.exact_frame((8, 16)), CRITICAL),
        (2, 2),
        "col",
        "row",
    ),
    "training": (lambda: ising_training.training(ising_frames.training_frame()), (2, 2), "col", "row"),
    "binder": (lambda: ising.binder(*ising_frames.binder_frames(), CRITICAL), (1, 2), "own", "all"),
    "battle": (
        lambda: battle.learning_curves(battle_frames.only(battle_frames.curves_frame(4), agents=8)),
        (2, 2),
        "col",
        "own",
    ),
    "ratings": (lambda: battle.ratings(battle_frames.ratings_frame()), (1, 2), "all", "all"),
    "bars": (
        lambda: battle_pairings.win_rate_bars(*armies_of(battle_frames.pairings_frame())),
        (3, 2),
        "all",
        "row",
    ),
    "rewards": (lambda: battle_pairings.rewards(*armies_of(battle_frames.pairings_frame())), (1, 2), "all", "all"),
    "rivals": (lambda: battle_study.sensitivity(*study_frames.frames()), (1, 2), "all", "all"),
}


def armies_of(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return frame, battle_frames.armies_frame(frame)


@pytest.mark.parametrize("name", SCALES)
def test_panels_that_are_compared_have_one_scale(name: str) -> None:
    make, shape, x, y = SCALES[name]
    grid = np.array(make().axes[: math.prod(shape)]).reshape(shape)
    beside, below = (
        [*zip(one.flat, other.flat, strict=True)] for one, other in ((grid[:, 1:], grid[:, :-1]), (grid[1:], grid[:-1]))
    )
    for panels, alone in ((beside, "row"), (below, "col")):
        for one, other in panels:
            assert one.get_shared_x_axes().joined(one, other) == (x in ("all", alone))
            assert one.get_shared_y_axes().joined(one, other) == (y in ("all", alone))

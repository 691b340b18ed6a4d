"""The figures of the Gaussian Squeeze experiment: learning curves and final rewards."""

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mfmarl.evaluation.final_scores import optimum_of
from mfmarl.evaluation.intervals import Interval
from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.style import (
    LOOKS,
    Look,
    budget_handle,
    by_seed,
    count_label,
    curve_note,
    draw_curve,
    draw_runs,
    handle,
    house_style,
    interval_note,
    legend_below,
    looks,
    mark_budgets,
    optimum_handle,
    page,
    share_axis,
    thousands,
)

METRICS = {
    "greedy_reward": "greedy play, G / G*",
    "sampled_reward": "sampled play, G / G*",
    "training_reward": "exploring play, G / G*",
}


@house_style()
def learning_curves(
    curves: pd.DataFrame,
    optimum: Mapping[int, float],
    uniform: Mapping[int, float],
    metric: str = "greedy_reward",
    *,
    row: str = "settings",
) -> Figure:
    """Reward as a share of the optimum against joint steps: a row of panels for each settings, a column for each N.

    Args:
        curves: one row an evaluation: settings (or `row`), algorithm, agents, seed, step, and the metric (G(x)).
        optimum: G* for each number of agents.
        uniform: exact expected reward of uniform play for each number of agents.
        metric: greedy_reward, sampled_reward or training_reward.
        row: the column of the curves whose values have a row of panels each.

    Raises:
        ValueError: an unknown metric, a missing column, optimum or uniform reward, or seeds of one setting
            that were evaluated at different steps.
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {sorted(METRICS)}, got {metric!r}")
    require_columns("curves", curves, [row, "algorithm", "agents", "seed", "step", metric])
    rows, sizes = list(curves[row].unique()), sorted(curves["agents"].unique())
    styles = looks(curves["algorithm"])
    figure = page(1.1 + 2.45 * len(rows))
    grid = figure.subplots(len(rows), len(sizes), squeeze=False, sharey=True)
    seeds: list[int] = []
    for place, value in enumerate(rows):
        for column, agents in enumerate(sizes):
            panel = curves[(curves[row] == value) & (curves["agents"] == agents)]
            axes = grid[place, column]
            best, chance = optimum_of(optimum, int(agents)), _uniform_of(uniform, int(agents))
            axes.axhline(1, color="black", linestyle="--", linewidth=1)
            axes.axhline(chance / best, color="black", linestyle=":", linewidth=1.2)
            shares = panel.assign(**{metric: panel[metric] / best})
            counts = [_draw_curve(axes, shares, name, look, metric) for name, look in styles.items()]
            drawn = [count for count in counts if count]
            seeds += drawn
            ends = panel.groupby("algorithm")["step"].max()
            mark_budgets(axes, ends)
            budget = " or ".join(thousands(end) for end in sorted(set(ends)))
            below = f"{budget} steps, {count_label(drawn)}" if drawn else "not run"
            axes.set_title(f"{_titled(row, value)}, N = {agents}\n{below}")
            axes.set_ylim(-0.04, 1.08)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter(thousands)
            axes.locator_params(axis="x", nbins=5)
        grid[place, 0].set_ylabel(METRICS[metric])
    for axes in grid[-1]:
        axes.set_xlabel("joint steps")
    references = [
        optimum_handle(),
        Line2D([], [], color="black", linestyle=":", linewidth=1.2, label="uniform play, exact mean"),
        budget_handle(),
    ]
    handles = [*(handle(look) for look in styles.values()), *references]
    legend_below(figure, handles, 5, f"Lines: {curve_note(seeds)}")
    return figure


@house_style()
def final_rewards(
    summary: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    row: str = "settings",
    columns: Sequence[str] = ("agents",),
    absent: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Final reward over G*, greedy beside sampled: every seed, the mean and its interval.

    The number of seeds is in the legend if it is one, else at the right end of each line.

    Args:
        summary: of `mfmarl.evaluation.final_scores.summarise`; the intervals drawn are the table's.
        scores: of `mfmarl.evaluation.final_scores.final_scores`, from the same curves.
        row: the column of both whose values have a row of panels each.
        columns: the columns of both whose values, all combinations that occur, have a column of panels each.
        absent: what stands in place of an algorithm that has no runs in a panel, by algorithm; else "not run".

    Raises:
        ValueError: a missing column, or a setting of the summary without scores.
    """
    kinds = {"greedy": True, "sampled": False}
    panel_keys = [row, *columns]
    ends = [f"{kind}{end}" for kind in kinds for end in ("", "_low", "_high")]
    require_columns("summary", summary, [*panel_keys, "algorithm", "n", *ends])
    require_columns("scores", scores, [*panel_keys, "algorithm", "seed", *kinds])
    rows, sizes = list(summary[row].unique()), sorted(set(map(tuple, summary[list(columns)].to_numpy(object))))
    styles, alike = looks(summary["algorithm"]), len(set(summary["n"])) == 1
    figure = page(1.0 + len(rows) * (0.5 + 0.3 * len(styles)))
    grid = figure.subplots(len(rows), len(sizes), squeeze=False, sharex=True, sharey=True)
    for (value, size), axes in zip(product(rows, sizes), grid.flat, strict=True):
        key = [value, *size]
        panel = summary[(summary[panel_keys] == key).all(axis=1)]
        share_axis(axes, [look.label for look in styles.values()])
        for y, name in enumerate(styles):
            if name not in set(panel["algorithm"]):
                axes.text(0.5, y, absent.get(name, "not run"), ha="center", va="center", fontsize=8, color="0.35")
        for line in panel.to_dict("records"):
            name = str(line["algorithm"])
            same = (scores[[*panel_keys, "algorithm"]] == [*key, name]).all(axis=1)
            runs = scores[same].sort_values("seed")
            if runs.empty:
                where = ", ".join(map(_titled, panel_keys, key))
                raise ValueError(f"scores lacks {name} with {where}, which summary has")
            y = list(styles).index(name)
            for kind, filled in kinds.items():
                interval = Interval(*(float(line[f"{kind}{end}"]) for end in ("", "_low", "_high")))
                shift = -0.19 if filled else 0.19
                draw_runs(axes, y + shift, runs[kind].to_list(), interval, styles[name], height=0.2, filled=filled)
        if not alike:
            _count_rows(axes, dict(zip(map(list(styles).index, panel["algorithm"]), panel["n"], strict=True)))
        first, *others = map(_titled, panel_keys, key)
        axes.set_title(f"{first}, {others[0]}" if len(others) == 1 else f"{first}\n{', '.join(others)}")
    for axes in grid[-1]:
        axes.set_xlabel("final G / G*")
    handles = [handle(Look(f"{kind} play", "0.3", "-", "o"), filled=filled) for kind, filled in kinds.items()]
    handles.append(optimum_handle())
    dots = f"the {summary['n'].iloc[0]} seeds" if alike else "seeds, their number at the right"
    legend_below(figure, handles, 3, f"Faint dots: {dots}. Marks: {interval_note(summary['n'])}")
    return figure


def _count_rows(axes: Axes, counts: Mapping[int, int]) -> None:
    """The number of seeds of each line, inside the panel beyond the optimum."""
    axes.set_xlim(right=1.16)
    for y, n in counts.items():
        axes.text(1.155, y, str(n), ha="right", va="center", fontsize=7.5, color="0.35")


def _titled(column: str, value: Any) -> str:
    """A value in the title of a panel: text stands for itself, a number is named."""
    name = "N" if column == "agents" else column.replace("_", " ")
    return value if isinstance(value, str) else f"{name} = {value:g}"


def _draw_curve(axes: Axes, panel: pd.DataFrame, name: str, look: Look, metric: str) -> int:
    """Mean and band of one algorithm; the number of seeds, 0 if it was not run."""
    runs = panel[panel["algorithm"] == name]
    table = by_seed(runs, "step", metric, name)  # no training reward before the first step
    if table.empty:
        return 0
    every = max(1, table.shape[1] // 6)
    first = list(LOOKS).index(name) * every // len(LOOKS) if name in LOOKS else 0
    draw_curve(axes, table, look, band_opacity=0.15, every=(first, every))  # fainter than elsewhere: many bands overlap
    return len(table)


def _uniform_of(uniform: Mapping[int, float], agents: int) -> float:
    """Expected reward of uniform play for this number of agents.

    Raises:
        ValueError: it is missing.
    """
    if agents not in uniform:
        raise ValueError(f"uniform lacks agents = {agents}; it has {sorted(uniform)}")
    return float(uniform[agents])

"""The figures of Battle: learning curves of self-play, and the ratings of the tournament after it.

The paper's Figure of learning curves shows the total reward alone; an army that hides earns more than one that learns
to fight badly, so kills are drawn below it, and below them how much those explored who did so by epsilon.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mfmarl.evaluation.names import in_words
from mfmarl.evaluation.rounds import EVALUATIONS, HIDING, SCRIPTED, in_order
from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.style import (
    Look,
    budget_handle,
    by_seed,
    count_label,
    curve_note,
    draw_curve,
    handle,
    house_style,
    interval_note,
    legend_below,
    looks,
    mark_budgets,
    name_lines,
    of_runs,
    only_value,
    page,
    thousands,
)


class Metric(NamedTuple):
    """A row of panels."""

    label: str
    height: float


METRICS = {
    "reward": Metric("total reward of the army", 1.7),
    "kills": Metric("kills a round", 1.0),
    "epsilon": Metric("epsilon", 0.55),
}
BOUNDS = {0.0: "<", 1.0: ">"}  # marks of a rating that is a bound, by score
UNEXPLORED = "none: actors draw actions"


def figure_name(name: str, agents: object, usual: int = 64) -> str:
    """Name of a figure's file: it ends in the agents of an army, unless these are as many as usual."""
    return name if agents == usual else f"{name}_{agents}"


@house_style()
def learning_curves(curves: pd.DataFrame) -> Figure:
    """Total reward of the learner's army against the round of self-play, above its kills and what epsilon was.

    A column for each settings, and within one for each length of training. A dashed line is the reward of an army that
    never attacks and loses nobody in a round of full length: agents x 400 x -0.005.

    Args:
        curves: settings, algorithm, agents (of one army, one number), seed, step (rounds played), reward (mean total of
            the army a round since the last row), kills (mean a round). If there is a column epsilon (the share of
            random actions at that step, NaN for who explores otherwise), it is drawn.

    Raises:
        ValueError: a missing column, several numbers of agents, or seeds of one line that have not one row each at the
            same steps.
    """
    require_columns("curves", curves, ["settings", "algorithm", "agents", "seed", "step", "reward", "kills"])
    agents = only_value("curves", curves, "agents", "number of agents")
    curves = curves.assign(rounds=curves.groupby(["settings", "algorithm"])["step"].transform("max"))
    columns = list(curves[["settings", "rounds"]].drop_duplicates().itertuples(index=False, name=None))
    styles, metrics = fighters(curves["algorithm"]), [metric for metric in METRICS if metric in curves.columns]
    hiding = agents * HIDING
    heights = [METRICS[metric].height for metric in metrics]
    figure = page(1.4 + 1.32 * sum(heights))
    grid = figure.subplots(len(metrics), len(columns), squeeze=False, sharex="col", height_ratios=heights)
    counts: list[int] = []
    for panels, (name, rounds) in zip(grid.T, columns, strict=True):
        rows = curves[(curves["settings"] == name) & (curves["rounds"] == rounds)]
        for axes, metric in zip(panels, metrics, strict=True):
            measured = rows.dropna(subset=metric)
            for place, (algorithm, look) in enumerate(styles.items()):
                _draw_line(axes, measured[measured["algorithm"] == algorithm], metric, look, place / len(styles))
            if measured.empty:
                axes.text(0.5, 0.5, UNEXPLORED, transform=axes.transAxes, ha="center", va="center", color="0.35")
            mark_budgets(axes, [rounds])
        above, below = panels[0], panels[1]
        own = rows.groupby("algorithm")["seed"].nunique()
        counts += own.to_list()
        seeds = count_label(own)
        absent = set(styles) - set(rows["algorithm"])
        trained = "" if not absent else f", {in_words(styles[each].label for each in styles if each not in absent)}"
        above.set_title(f"{name}, {agents} v {agents}{trained}\n{rounds:,} rounds, {seeds}")
        above.axhline(hiding, color="black", linestyle="--", linewidth=1, zorder=1.8)
        below.set_ylim(-0.04 * agents, 1.06 * agents)
        if "epsilon" in metrics:
            panels[-1].set_ylim(-0.06, 1.06)
        panels[-1].set_xlim(left=0)
        panels[-1].set_xlabel("rounds of self-play")
        panels[-1].xaxis.set_major_formatter(thousands)
        panels[-1].locator_params(axis="x", nbins=5)
    for axes, metric in zip(grid[:, 0], metrics, strict=True):
        axes.set_ylabel(METRICS[metric].label)
    figure.align_ylabels(list(grid[:, 0]))
    label = f"{np.round(hiding, 1):g}: nobody ever attacks"
    handles: list[Artist] = [handle(look) for look in styles.values()]
    handles += [Line2D([], [], color="black", linestyle="--", linewidth=1, label=label), budget_handle()]
    legend_below(figure, handles, len(handles), f"Lines: {curve_note(counts)}")
    return figure


@house_style()
def ratings(ratings: pd.DataFrame) -> Figure:
    """Elo of every algorithm with its interval, greedy beside sampled: a panel for each number of agents.

    Below a line stand those who do not learn, who are placed on the scale of the others. Who won or lost every round
    against those who make the scale has no interval, but a mark that points to where it may be.

    Args:
        ratings: algorithm, evaluation (greedy, sampled), agents (of one army), rating, rating_low and rating_high (its
            95% interval; none is drawn where they are NaN), score_on_scale (points a round against those who make the
            scale, 0 to 1), seeds (those of random and rush are not printed).

    Raises:
        ValueError: a missing column, an unknown evaluation, or two ratings of one algorithm.
    """
    columns = ["algorithm", "evaluation", "agents", "rating", "rating_low", "rating_high", "score_on_scale", "seeds"]
    require_columns("ratings", ratings, columns)
    evaluations = known_evaluations("ratings", ratings)
    repeated = ratings.duplicated(["algorithm", "evaluation", "agents"])
    if repeated.any():
        first = ratings[repeated].iloc[0]
        several = f"{first['algorithm']}, {first['evaluation']}, agents = {first['agents']}"
        raise ValueError(f"ratings must hold one row an algorithm, evaluation and agents, got several of {several}")
    styles, sizes = fighters(ratings["algorithm"]), sorted(int(size) for size in ratings["agents"].unique())
    learners = [name for name in styles if name not in SCRIPTED]
    figure = page(1.4 + 0.36 * len(styles))
    grid = figure.subplots(1, len(sizes), squeeze=False, sharex=True, sharey=True)[0]
    shifts = dict(zip(EVALUATIONS, (-0.17, 0.17), strict=True)) if len(evaluations) > 1 else {evaluations[0]: 0.0}
    for axes, agents in zip(grid, sizes, strict=True):
        panel = ratings[ratings["agents"] == agents]
        seeds = panel.loc[panel["algorithm"].isin(learners), "seeds"]
        interval = of_runs(seeds.max() if len(seeds) else 0)  # a script is placed by the learners' armies
        axes.axvline(0, color="black", linewidth=0.8, zorder=1.5)
        if 0 < len(learners) < len(styles):
            axes.axhline(len(learners) - 0.5, color="0.6", linewidth=0.8)
        for line in panel.to_dict("records"):
            look = styles[line["algorithm"]]
            y = list(styles).index(line["algorithm"]) + shifts[line["evaluation"]]
            if line["score_on_scale"] not in BOUNDS:
                axes.plot([line["rating_low"], line["rating_high"]], [y, y], color=look.colour, **interval)
            face = look.colour if line["evaluation"] == "greedy" else "white"
            mark = BOUNDS.get(line["score_on_scale"], look.marker)
            axes.plot([line["rating"]], [y], mark, color=look.colour, markerfacecolor=face, markersize=6)
        axes.set_title(f"{agents} v {agents}" + (f" ({count_label(seeds)})" if len(seeds) else ""))
        axes.set_xlabel("Elo, AC = 0" if "ac" in styles else "Elo, mean = 0")
        axes.locator_params(axis="x", nbins=5)
        name_lines(axes, [look.label for look in styles.values()])
    filled = {evaluation: evaluation == "greedy" for evaluation in evaluations}
    handles = [handle(Look(f"{name} play", "0.3", "-", "o"), filled=full) for name, full in filled.items()]
    if ratings["score_on_scale"].isin(BOUNDS).any():
        bounds = {0: "lost every round: there or lower", 1: "won every round: there or higher"}
        found = [bound for bound in bounds if (ratings["score_on_scale"] == bound).any()]
        handles += [handle(Look(bounds[bound], "0.3", "-", BOUNDS[bound]), line=False) for bound in found]
    counts = ratings.loc[ratings["algorithm"].isin(learners), "seeds"]
    note = (
        f"Marks: Elo with its {interval_note(counts, '95% interval')}; n seeds of each learner.\n"
        "400 points: 10 wins to a loss. Those who learn make the scale by their rounds against each other,\n"
        "which alone count for the marks of bounds; rush and random are placed on it"
    )
    legend_below(figure, handles, len(handles), note)
    return figure


def fighters(names: Iterable[str]) -> dict[str, Look]:
    """Looks in the order of the tournament: those who learn, others by name, those who do not learn."""
    names = in_order(names)
    found = looks(names)
    return {name: found[name] for name in names}


def known_evaluations(name: str, frame: pd.DataFrame) -> list[str]:
    """Which of greedy and sampled occur.

    Raises:
        ValueError: any other does.
    """
    if unknown := sorted(set(frame["evaluation"]) - set(EVALUATIONS)):
        raise ValueError(f"{name}: evaluation must be one of {list(EVALUATIONS)}, got {unknown}")
    return [evaluation for evaluation in EVALUATIONS if evaluation in set(frame["evaluation"])]


def _draw_line(axes: Axes, runs: pd.DataFrame, metric: str, look: Look, place: float) -> None:
    """A metric of one algorithm, if it has runs; the first marker stands at that share of their distance."""
    if runs.empty:
        return
    name = f"{runs['algorithm'].iloc[0]}, {runs['settings'].iloc[0]}, agents = {runs['agents'].iloc[0]}"
    table = by_seed(runs, "step", metric, name)
    every = max(1, table.shape[1] // 6)
    draw_curve(axes, table, look, every=(int(place * every), every))

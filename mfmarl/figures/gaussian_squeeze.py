"""The figures of Gaussian Squeeze: learning curves, final rewards, the sensitivity study, scaling in N."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mfmarl.evaluation import Interval, bootstrap_band, bootstrap_interval, optimum_of
from mfmarl.figures.style import (
    FURTHER_LOOKS,
    INTERVAL_NOTE,
    LOOKS,
    WIDTH,
    Look,
    count_label,
    draw_runs,
    handle,
    house_style,
    legend_below,
    looks,
    page,
    require_columns,
    thousands,
)

METRICS = {
    "greedy_reward": "reward G(x) of greedy play",
    "sampled_reward": "reward G(x) of sampled play",
    "training_reward": "reward G(x) while exploring",
}
BOOTSTRAP_SEED = 0
SHARE_LABEL = "final greedy reward as a share of the optimum, G / G*"


@house_style()
def learning_curves(
    curves: pd.DataFrame,
    optimum: Mapping[int, float],
    uniform: Mapping[int, float],
    metric: str = "greedy_reward",
) -> Figure:
    """Reward against joint steps: a row of panels for each settings, a column for each N.

    Args:
        curves: one row an evaluation: settings, algorithm, agents, seed, step, and the metric, in units of G(x).
        optimum: G* for each number of agents.
        uniform: exact expected reward of uniform play for each number of agents.
        metric: greedy_reward, sampled_reward or training_reward.

    Raises:
        ValueError: an unknown metric, a missing column, optimum or uniform reward, or seeds of one setting
            that were evaluated at different steps.
    """
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {sorted(METRICS)}, got {metric!r}")
    require_columns("curves", curves, ["settings", "algorithm", "agents", "seed", "step", metric])
    rows, sizes = list(curves["settings"].unique()), sorted(curves["agents"].unique())
    styles = looks(curves["algorithm"])
    figure = page(1.0 + 2.3 * len(rows))
    shared = len({optimum_of(optimum, int(size)) for size in sizes}) == 1
    grid = figure.subplots(len(rows), len(sizes), squeeze=False, sharey=True if shared else "col")
    for row, settings in enumerate(rows):
        for column, agents in enumerate(sizes):
            panel = curves[(curves["settings"] == settings) & (curves["agents"] == agents)]
            axes = grid[row, column]
            best, chance = optimum_of(optimum, int(agents)), _uniform_of(uniform, int(agents))
            axes.axhline(best, color="black", linestyle="--", linewidth=1)
            axes.axhline(chance, color="black", linestyle=":", linewidth=1.2)
            counts = [_draw_curve(axes, panel, name, look, metric) for name, look in styles.items()]
            drawn = [count for count in counts if count]
            seeds = count_label(drawn) if drawn else "not run"
            axes.set_title(f"{settings}, N = {agents} ({seeds})")
            axes.set_ylim(-0.04 * best, 1.08 * best)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter(thousands)
            axes.locator_params(axis="x", nbins=5)
        grid[row, 0].set_ylabel(METRICS[metric])
    for axes in grid[-1]:
        axes.set_xlabel("joint steps")
    references = [
        Line2D([], [], color="black", linestyle="--", linewidth=1, label="optimum G*"),
        Line2D([], [], color="black", linestyle=":", linewidth=1.2, label="uniform play, exact mean"),
    ]
    handles = [*(handle(look) for look in styles.values()), *references]
    legend_below(figure, handles, 4, f"Lines: {INTERVAL_NOTE}")
    return figure


@house_style()
def final_rewards(summary: pd.DataFrame, scores: pd.DataFrame) -> Figure:
    """Final reward over G*, greedy beside sampled: every seed, the mean and its interval.

    Args:
        summary: of `mfmarl.evaluation.summarise`; the intervals drawn are the table's.
        scores: of `mfmarl.evaluation.final_scores`, from the same curves.

    Raises:
        ValueError: a missing column, or a setting of the summary without scores.
    """
    kinds = {"greedy": True, "sampled": False}
    ends = [f"{kind}{end}" for kind in kinds for end in ("", "_low", "_high")]
    require_columns("summary", summary, ["settings", "algorithm", "agents", "n", *ends])
    require_columns("scores", scores, ["settings", "algorithm", "agents", "seed", *kinds])
    rows, sizes = list(summary["settings"].unique()), sorted(summary["agents"].unique())
    styles = looks(summary["algorithm"])
    figure = page(1.0 + len(rows) * (0.5 + 0.3 * len(styles)))
    grid = figure.subplots(len(rows), len(sizes), squeeze=False, sharex=True, sharey=True)
    for row, settings in enumerate(rows):
        for column, agents in enumerate(sizes):
            axes = grid[row, column]
            panel = summary[(summary["settings"] == settings) & (summary["agents"] == agents)]
            _share_axis(axes, [look.label for look in styles.values()])
            for line in panel.to_dict("records"):
                name = str(line["algorithm"])
                same = (scores[["settings", "agents"]] == [settings, agents]).all(axis=1)
                runs = scores[same & (scores["algorithm"] == name)].sort_values("seed")
                if runs.empty:
                    raise ValueError(f"scores lacks {settings}, {name}, agents = {agents}, which summary has")
                y = list(styles).index(name)
                for kind, filled in kinds.items():
                    interval = Interval(*(float(line[f"{kind}{end}"]) for end in ("", "_low", "_high")))
                    shift = -0.19 if filled else 0.19
                    draw_runs(
                        axes,
                        y + shift,
                        runs[kind].to_list(),
                        interval,
                        styles[name],
                        height=0.2,
                        filled=filled,
                    )
            seeds = count_label(panel["n"]) if len(panel) else "not run"
            axes.set_title(f"{settings}, N = {agents} ({seeds})")
    for axes in grid[-1]:
        axes.set_xlabel("final G / G*")
    handles = [handle(Look(f"{kind} play", "0.3", "-", "o"), filled=filled) for kind, filled in kinds.items()]
    legend_below(figure, handles, 2, f"Faint dots: seeds. Marks: {INTERVAL_NOTE}")
    return figure


@house_style()
def study(frame: pd.DataFrame) -> Figure:
    """The sensitivity study: a row of panels for each exploration schedule, a column for each budget.

    Args:
        frame: one row a run: algorithm (il, mf-q, mf-q-noise, ...), schedule (text), steps (joint steps in
            all), embedding (text), stored (which step's mean action: previous, same, or - for none), seed, value
            (final greedy G / G*). Levels are drawn in order of appearance, budgets in order of size.

    Raises:
        ValueError: a missing column.
    """
    require_columns(
        "frame", frame, ["algorithm", "schedule", "steps", "embedding", "stored", "seed", "value"]
    )
    styles = _variants(frame)
    schedules, budgets = list(frame["schedule"].unique()), sorted(frame["steps"].unique())
    embeddings = list(frame["embedding"].unique())
    step = 0.8 / len(styles)
    figure = page(1.1 + len(schedules) * (0.5 + 0.15 * len(embeddings) * (len(styles) + 1)))
    grid = figure.subplots(len(schedules), len(budgets), squeeze=False, sharex=True, sharey=True)
    for row, schedule in enumerate(schedules):
        for column, budget in enumerate(budgets):
            axes = grid[row, column]
            panel = frame[(frame["schedule"] == schedule) & (frame["steps"] == budget)]
            _share_axis(axes, embeddings)
            for boundary in range(1, len(embeddings)):
                axes.axhline(boundary - 0.5, color="0.75", linewidth=0.8)
            counts = []
            for (algorithm, stored, embedding), runs in panel.groupby(["algorithm", "stored", "embedding"]):
                place = list(styles).index((algorithm, stored))
                y = embeddings.index(embedding) + (place - (len(styles) - 1) / 2) * step
                values = runs.sort_values("seed")["value"].to_list()
                interval = bootstrap_interval(values, generator=np.random.default_rng(BOOTSTRAP_SEED))
                draw_runs(axes, y, values, interval, styles[algorithm, stored], height=0.6 * step)
                counts.append(len(values))
            seeds = count_label(counts) if counts else "not run"
            axes.set_title(f"{schedule}, {budget:,} steps ({seeds})")
        grid[row, 0].set_ylabel("id embedding")
    figure.supxlabel(SHARE_LABEL, fontsize=9)
    handles = [handle(look, line=False) for look in styles.values()]
    legend_below(figure, handles, min(3, len(handles)), f"Faint dots: seeds. Marks: {INTERVAL_NOTE}")
    return figure


@house_style()
def scaling(frame: pd.DataFrame) -> Figure:
    """Time per joint step, final reward and, if measured, memory against the number of agents.

    Args:
        frame: one row a run: algorithm, agents, seed, seconds_per_step, reward_share (final greedy G / G*)
            and perhaps peak_memory_mb (MB). A NaN is a value that was not measured.

    Raises:
        ValueError: a missing column, or a time or memory that is not positive.
    """
    require_columns("frame", frame, ["algorithm", "agents", "seed", "seconds_per_step", "reward_share"])
    panels = {"seconds_per_step": "seconds per joint step", "reward_share": "final greedy G / G*"}
    if "peak_memory_mb" in frame.columns:
        panels["peak_memory_mb"] = "peak memory (MB)"
    styles = looks(frame["algorithm"])
    figure = page(WIDTH / len(panels) + 0.7)
    for axes, (column, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        measured = frame.dropna(subset=column)
        if column != "reward_share":
            if (measured[column] <= 0).any():
                raise ValueError(f"{column} must be positive, got {measured[column].min()}")
            axes.set_yscale("log")
        axes.set_xscale("log")
        for name, look in styles.items():
            _draw_against_size(axes, measured[measured["algorithm"] == name], column, look)
        if column == "reward_share":
            axes.axhline(1, color="black", linestyle="--", linewidth=1)
            axes.set_ylim(-0.04, 1.08)
        axes.set_xlabel("agents N")
        axes.set_ylabel(label)
    handles = [handle(look) for look in styles.values()]
    handles.append(Line2D([], [], color="black", linestyle="--", linewidth=1, label="optimum G*"))
    legend_below(figure, handles, 4, f"Faint dots: seeds. Lines: {INTERVAL_NOTE}")
    return figure


def _draw_curve(axes: Axes, panel: pd.DataFrame, name: str, look: Look, metric: str) -> int:
    """Mean and band of one algorithm; the number of seeds, 0 if it was not run."""
    runs = panel[panel["algorithm"] == name]
    table = runs.pivot(index="seed", columns="step", values=metric)  # noqa: PD010 - pivot_table averages repeats
    if table.empty:
        return 0
    table = table.dropna(axis="columns", how="all")  # no training reward before the first step
    if table.isna().to_numpy().any():
        raise ValueError(f"curves must have all seeds of {name} at the same steps, got gaps in {metric}")
    steps, generator = table.columns.to_numpy(np.float64), np.random.default_rng(BOOTSTRAP_SEED)
    band = bootstrap_band(table, generator=generator)
    every = max(1, len(steps) // 6)
    first = list(LOOKS).index(name) * every // len(LOOKS) if name in LOOKS else 0
    axes.fill_between(steps, band.low, band.high, color=look.colour, alpha=0.18, linewidth=0)
    axes.plot(
        steps,
        band.estimate,
        color=look.colour,
        linestyle=look.line,
        linewidth=1.5,
        marker=look.marker,
        markevery=(first, every),
    )
    return len(table)


def _draw_against_size(axes: Axes, runs: pd.DataFrame, column: str, look: Look) -> None:
    sizes, means = [], []
    for _, group in runs.groupby("agents", sort=True):
        generator = np.random.default_rng(BOOTSTRAP_SEED)
        interval = bootstrap_interval(group[column], generator=generator)
        sizes.append(int(group["agents"].iloc[0]))
        means.append(interval.estimate)
        axes.plot(group["agents"], group[column], ".", color=look.colour, alpha=0.35, markeredgewidth=0)
        if np.isfinite(interval.low):
            axes.plot([sizes[-1]] * 2, [interval.low, interval.high], color=look.colour, linewidth=1.8)
    axes.plot(sizes, means, color=look.colour, linestyle=look.line, marker=look.marker)


def _variants(frame: pd.DataFrame) -> dict[tuple[str, str], Look]:
    """A look for each (algorithm, stored); the first of an algorithm has its own, the rest further ones."""
    styles: dict[tuple[str, str], Look] = {}
    spare = iter(FURTHER_LOOKS[::-1] * len(frame))
    for algorithm, look in looks(frame["algorithm"]).items():
        for index, stored in enumerate(frame.loc[frame["algorithm"] == algorithm, "stored"].unique()):
            label = look.label if stored == "-" else f"{look.label}, mean action of the {stored} step"
            colour, line, marker = next(spare) if index else (look.colour, look.line, look.marker)
            styles[algorithm, stored] = Look(label, colour, line, marker)
    return styles


def _share_axis(axes: Axes, lines: list[str]) -> None:
    """G / G* from 0 to 1 across, one named line of the dot plot for each entry downwards."""
    axes.axvline(1, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(-0.04, 1.08)
    axes.set_yticks(range(len(lines)), lines)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _uniform_of(uniform: Mapping[int, float], agents: int) -> float:
    if agents not in uniform:
        raise ValueError(f"uniform lacks agents = {agents}; it has {sorted(uniform)}")
    return float(uniform[agents])

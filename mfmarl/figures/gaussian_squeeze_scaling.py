"""The figure of Gaussian Squeeze with scaled targets: how cost and reward grow with the number of agents."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.style import (
    SHARE_LABEL,
    Look,
    count_label,
    handle,
    house_style,
    interval_note,
    interval_over_runs,
    legend_below,
    looks,
    of_runs,
    optimum_handle,
    page,
)


@house_style()
def scaling(frame: pd.DataFrame) -> Figure:
    """Time per joint step and final reward against the number of agents.

    Args:
        frame: one row a run: algorithm, agents, seed, seconds_per_step, reward_share (final greedy G / G*).
            A NaN is a value that was not measured.

    Raises:
        ValueError: a missing column, or a time that is not positive.
    """
    require_columns("frame", frame, ["algorithm", "agents", "seed", "seconds_per_step", "reward_share"])
    panels = {"seconds_per_step": "seconds of computing per joint step", "reward_share": SHARE_LABEL}
    styles = looks(frame["algorithm"])
    figure = page(3.8)
    grid = figure.subplots(1, len(panels), sharex=True)
    for axes, (column, label) in zip(grid, panels.items(), strict=True):
        measured = frame.dropna(subset=column)
        if column == "seconds_per_step":
            if (measured[column] <= 0).any():
                raise ValueError(f"{column} must be positive, got {measured[column].min()}")
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xscale("log")
        for index, (name, look) in enumerate(styles.items()):
            aside = 1.06 ** (index - (len(styles) - 1) / 2)  # so that intervals do not hide one another
            _draw_against_size(axes, measured[measured["algorithm"] == name], column, look, aside)
        if column == "reward_share":
            axes.axhline(1, color="black", linestyle="--", linewidth=1)
            axes.set_ylim(-0.04, 1.08)
        axes.set_xlabel("agents N")
        axes.set_ylabel(label)
    counts = frame.groupby(["algorithm", "agents"]).size()
    handles = [*(handle(look) for look in styles.values()), optimum_handle()]
    legend_below(figure, handles, 4, f"Faint dots: seeds. Lines: {interval_note(counts)}; {count_label(counts)}")
    return figure


def _draw_against_size(axes: Axes, runs: pd.DataFrame, column: str, look: Look, aside: float) -> None:
    """Means of one algorithm with their intervals, moved aside by that factor, and every seed beside them."""
    sizes, means = [], []
    for _, group in runs.groupby("agents", sort=True):
        interval = interval_over_runs(group[column].to_list())
        sizes.append(float(group["agents"].iloc[0]) * aside)
        means.append(interval.estimate)
        beside = 1.08 * group["agents"] * aside
        axes.plot(beside, group[column], ".", color=look.colour, alpha=0.5, markeredgewidth=0)
        if np.isfinite(interval.low):
            axes.plot([sizes[-1]] * 2, [interval.low, interval.high], color=look.colour, **of_runs(len(group)))
    axes.plot(sizes, means, color=look.colour, linestyle=look.line, marker=look.marker)

"""The figure of the sensitivity study of Gaussian Squeeze: what decides whether a method finds the optimum."""

import pandas as pd
from matplotlib.figure import Figure

from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.style import (
    FURTHER_LOOKS,
    SHARE_LABEL,
    Look,
    count_label,
    draw_runs,
    handle,
    house_style,
    interval_note,
    interval_over_runs,
    legend_below,
    looks,
    optimum_handle,
    page,
    share_axis,
)


@house_style()
def study(frame: pd.DataFrame) -> Figure:
    """The sensitivity study: a row of panels for each exploration schedule, a column for each budget.

    Args:
        frame: one row a run: algorithm (il, mf-q, mf-q-noise, ...), schedule (text), steps (joint steps in
            all), embedding (text), stored (which step's mean action: previous, same, or - for none), seed,
            value (final greedy G / G*). Levels are drawn in order of appearance, budgets in order of size.

    Raises:
        ValueError: a missing column.
    """
    require_columns("frame", frame, ["algorithm", "schedule", "steps", "embedding", "stored", "seed", "value"])
    styles = _variants(frame)
    schedules, budgets = list(frame["schedule"].unique()), sorted(frame["steps"].unique())
    embeddings = list(frame["embedding"].unique())
    step = 0.8 / len(styles)
    figure = page(1.1 + len(schedules) * (0.65 + 0.15 * len(embeddings) * (len(styles) + 1)))
    grid = figure.subplots(len(schedules), len(budgets), squeeze=False, sharex=True, sharey=True)
    every: list[int] = []
    for row, schedule in enumerate(schedules):
        for column, budget in enumerate(budgets):
            axes = grid[row, column]
            panel = frame[(frame["schedule"] == schedule) & (frame["steps"] == budget)]
            share_axis(axes, embeddings)
            for boundary in range(1, len(embeddings)):
                axes.axhline(boundary - 0.5, color="0.75", linewidth=0.8)
            counts: list[int] = []
            for (algorithm, stored, embedding), runs in panel.groupby(["algorithm", "stored", "embedding"]):
                place = list(styles).index((algorithm, stored))
                y = embeddings.index(embedding) + (place - (len(styles) - 1) / 2) * step
                values = runs.sort_values("seed")["value"].to_list()
                interval = interval_over_runs(values)
                draw_runs(axes, y, values, interval, styles[algorithm, stored], height=0.6 * step)
                counts.append(len(values))
            every += counts
            seeds = count_label(counts) if counts else "not run"
            axes.set_title(f"epsilon {schedule}\n{budget:,} joint steps ({seeds})")
        grid[row, 0].set_ylabel("id embedding")
    for axes in grid[-1]:
        axes.set_xlabel(SHARE_LABEL)
    handles = [*(handle(look, line=False) for look in styles.values()), optimum_handle()]
    legend_below(figure, handles, 2, f"Faint dots: seeds. Marks: {interval_note(every)}")
    return figure


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

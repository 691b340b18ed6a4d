"""The figure of the sensitivity study of Battle: whether a ranking hangs on choices that the paper leaves open."""

import pandas as pd
from matplotlib.figure import Figure

from mfmarl.evaluation.intervals import Interval
from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.battle import known_evaluations
from mfmarl.figures.style import (
    Look,
    count_label,
    draw_runs,
    handle,
    house_style,
    interval_note,
    legend_below,
    looks,
    page,
    share_axis,
)


@house_style()
def sensitivity(table: pd.DataFrame, armies: pd.DataFrame) -> Figure:
    """A panel for each pair of methods, a line in it for each choice: the share of rounds that the first wins.

    Args:
        table: one row a choice, pair and evaluation: choice (text), method, against (of the pair as the paper has it,
            e.g. mf-q and il), evaluation (greedy, sampled), seeds, points, points_low, points_high. Choices are drawn
            in order of appearance.
        armies: one row an army of the first side: choice, method, evaluation, points.

    Raises:
        ValueError: a missing column, or an unknown evaluation.
    """
    ends = ["points", "points_low", "points_high"]
    require_columns("table", table, ["choice", "method", "against", "evaluation", "seeds", *ends])
    require_columns("armies", armies, ["choice", "method", "evaluation", "points"])
    evaluations = known_evaluations("table", table)
    choices = list(table["choice"].unique())
    pairs = list(table[["method", "against"]].drop_duplicates().itertuples(index=False, name=None))
    styles = looks([name for pair in pairs for name in pair])
    figure = page(1.3 + 0.4 * len(choices))
    grid = figure.subplots(1, len(pairs), squeeze=False, sharex=True, sharey=True)
    for axes, (method, against) in zip(grid.flat, pairs, strict=True):
        panel = table[(table["method"] == method) & (table["against"] == against)]
        share_axis(axes, choices, marked=0.5)
        for line in panel.to_dict("records"):
            place = evaluations.index(line["evaluation"])
            y = choices.index(line["choice"]) + (place - (len(evaluations) - 1) / 2) * 0.36
            own = armies[
                (armies[["choice", "method", "evaluation"]] == [line["choice"], method, line["evaluation"]]).all(axis=1)
            ]
            interval = Interval(*(float(line[end]) for end in ends))
            draw_runs(axes, y, own["points"].to_list(), interval, styles[method], height=0.2, filled=place == 0)
        axes.set_title(f"{styles[method].label} against {styles[against].label} ({count_label(panel['seeds'])})")
        axes.set_xlabel("share of rounds won, draws half")
    handles = [
        handle(Look(f"{name} play", "0.3", "-", "o"), filled=not place) for place, name in enumerate(evaluations)
    ]
    note = interval_note(table["seeds"], "share of all rounds with its 95% interval over both sides' seeds")
    legend_below(figure, handles, 2, f"Faint dots: armies. Marks: {note}")
    return figure

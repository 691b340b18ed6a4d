"""The figure of matrix games: success rates beside published ones."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.style import handle, house_style, legend_below, looks, name_lines, page

KEYS = ("part", "game", "algorithm", "exploration", "steps")
COLUMNS = (*KEYS, "runs", "share", "low", "high", "published")


@house_style()
def success_rates(result: pd.DataFrame, games: Sequence[str]) -> Figure:
    """Our shares with their intervals, the published ones as rings; a panel for each part.

    Args:
        result: one row a line: part (games, temperature, epsilon), game, algorithm, exploration, steps, runs, share,
            low, high (the ends of its 95% interval) and published (NaN if there is none).
        games: the order of the games.

    Raises:
        ValueError: a missing column.
    """
    require_columns("result", result, COLUMNS)
    titles = {
        "games": "All games",
        "temperature": "IL by temperature, penalty game, k = -100",
        "epsilon": "Rec-FMQ by epsilon and repetitions",
    }
    styles = looks(result["algorithm"])
    ring: dict[str, Any] = {"marker": "o", "markersize": 9, "markerfacecolor": "none"}  # hides nothing of ours
    parts = {part: _named(result[result["part"] == part], games) for part in titles if part in set(result["part"])}
    counts = [lines["line"].nunique() for lines in parts.values()]
    figure = page(1.2 + 0.42 * len(parts) + 0.28 * sum(counts))
    grid = figure.subplots(len(parts), 1, sharex=True, squeeze=False, height_ratios=counts)
    for axes, (part, lines) in zip(grid[:, 0], parts.items(), strict=True):
        names = list(dict.fromkeys(lines["line"]))
        for row in lines.to_dict("records"):
            look = styles[row["algorithm"]]
            place = list(styles).index(row["algorithm"]) - (len(styles) - 1) / 2
            y = names.index(row["line"]) + (place * 0.75 / len(styles) if part == "games" else 0)
            axes.plot([row["low"], row["high"]], [y, y], "-", color=look.colour, linewidth=2)
            axes.plot([row["share"]], [y], look.marker, color=look.colour)
            axes.plot([row["published"]], [y], color="black", zorder=5, **ring)
        name_lines(axes, names, grid=True)
        axes.set_xlim(-0.02, 1.02)
        axes.set_title(titles[part], loc="left")
    grid[-1, 0].set_xlabel("share of runs that reach the optimal joint action")
    handles = [handle(look, line=False) for look in styles.values()]
    handles.append(Line2D([], [], color="black", linestyle="none", label="published", **ring))
    runs = sorted(set(result["runs"]))
    note = f"n = {' or '.join(map(str, runs))} {'run' if runs == [1] else 'runs'} each"
    note += "; bars: 95% interval" if result["low"].notna().any() else ""
    legend_below(figure, handles, len(handles), note)
    return figure


def _named(lines: pd.DataFrame, games: Sequence[str]) -> pd.DataFrame:
    """The lines of a part with the name that the figure gives each, in the order of `games`."""
    order = {name: place for place, name in enumerate(games)}
    lines = lines.sort_values("game", key=lambda games: games.map(order), kind="stable")
    part = lines["part"].iloc[0]
    if part == "games":
        return lines.assign(line=lines["game"])
    if part == "temperature":
        return lines.assign(line=lines["exploration"])
    steps = lines["steps"].map("{:,}".format)
    return lines.assign(line=lines["game"] + ": " + lines["exploration"] + ", " + steps)

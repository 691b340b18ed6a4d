"""Figures of the paper's mathematics, TH-1 and TH-2: the remainder and its bounds, factors, cycles, thresholds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mfmarl.evaluation.tables import require_columns, setting_of
from mfmarl.figures.style import Line, house_style, interval_note, legend_below, of_runs, page

COLUMNS = ["claim", "quantity", "setting", "value", "low", "high", "n", "exact"]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
MARKERS = "osD^vP"


def of_quantity(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows of a quantity, what its setting says as columns, numbers where they are numbers.

    Raises:
        ValueError: a missing column, or no such rows.
    """
    require_columns("frame", frame, COLUMNS)
    rows = frame[frame["quantity"] == quantity]
    if rows.empty:
        raise ValueError(f"frame has no rows of {quantity!r}; it has {sorted(frame['quantity'].unique())}")
    columns = pd.DataFrame([setting_of(text) for text in rows["setting"]], index=rows.index)
    for name in columns.columns:
        numbers = pd.to_numeric(columns[name], errors="coerce")
        if not numbers.isna().any():
            columns[name] = numbers
    return pd.concat([columns, rows.drop(columns=["claim", "quantity", "setting"])], axis=1)


@house_style()
def remainder(frame: pd.DataFrame) -> Figure:
    """Three panels: |e| / M_t and its bounds, mean e against n, R^2 of the pairwise fit against N.

    Args:
        frame: rows of `mfmarl.measurements.approximation`.
    """
    figure = page(3.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
    points = of_quantity(frame, "|e| over M_t, exact is the bound")
    growth = of_quantity(frame, "mean e against n")
    _draw_remainders(left, points)
    _draw_growth(middle, growth)
    _draw_fits(right, of_quantity(frame, "R^2 of the best pairwise fit"))
    note = (
        f"left: n = {len(points)} draws, M_t the largest of 17 points from abar to each action; middle: lines exact,\n"
        f"marks mean of n = {int(growth['n'].iloc[0])} draws with its 95% interval; right: exact"
    )
    figure.supxlabel(note, fontsize=8)
    return figure


@house_style()
def factors(frame: pd.DataFrame) -> Figure:
    """The factor of a sweep against tau on the torus, in four readings, and the three thresholds."""
    figure = page(3.9)
    axes = figure.subplots()
    rows, curves = of_quantity(frame, "factor of a sweep"), of_quantity(frame, "factor of a sweep, exact")
    readings = [*sorted(curves["reading"].unique()), *sorted(set(rows["reading"]) - set(curves["reading"]))]
    handles = []
    for number, reading in enumerate(readings):
        colour, marker = COLOURS[number], MARKERS[number]
        curve = curves[curves["reading"] == reading].sort_values("temperature")
        part = rows[rows["reading"] == reading].sort_values("temperature")
        if part.empty:
            line: Line = (0, (4, 2))
            axes.plot(curve["temperature"], curve["value"], color=colour, linewidth=1.2, linestyle=line)
            handles.append(Line2D([], [], color=colour, linestyle=line, label=f"{reading} (nothing iterates it)"))
            continue
        if curve.empty:  # joined for the eye
            axes.plot(part["temperature"], part["value"], color=colour, linewidth=0.8, linestyle=(0, (1, 1.5)))
        else:
            axes.plot(curve["temperature"], curve["value"], color=colour, linewidth=1.2)
        _bars(axes, part["temperature"], part, colour, marker, reading)
        look: Line = (0, (1, 1.5)) if curve.empty else "-"
        handles.append(
            Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1.2, linestyle=look, label=reading)
        )
    axes.axhline(1, color="black", linewidth=0.8)
    marks = of_quantity(frame, "torus: contraction is sure above")
    for tau, reading, size in zip(marks["value"], marks["reading"], marks["size"], strict=True):
        axes.axvline(tau, color="0.35", linestyle=":", linewidth=1.2)
        name = reading if size == "any" else f"{reading},\n{size} torus"
        # Dobrushin's line stands close to the next one on its right: its name goes to the left, below that of Onsager.
        crowded = "Dobrushin" in name
        axes.annotate(
            f"{name}\n{tau:.5g}",
            (tau, 2.05 if crowded else 2.42),
            xytext=(-4 if crowded else 4, 0),
            textcoords="offset points",
            fontsize=8,
            va="top",
            ha="right" if crowded else "left",
        )
    axes.set(xlabel="temperature tau", ylabel="factor of a sweep", ylim=(0, 2.5))
    runs = int(rows["n"].max())
    interval = interval_note([runs], "95% interval")
    note = (
        "Marks: measured. Lines: exact, but for the dotted one, which joins the triangles for the eye.\n"
        f"Triangles: means over n = {runs} pairs of lattices with their {interval}"
    )
    legend_below(figure, handles, 2, note)
    return figure


@house_style()
def bifurcation(frame: pd.DataFrame) -> Figure:
    """Mean numbers that Gaussian Squeeze visits in the long run against T, a panel for each damping."""
    rows = of_quantity(frame, "GS: mean number in the long run")
    flips = of_quantity(frame, "GS: flips to period 2 below")
    contracts = of_quantity(frame, "GS: contracts above")
    agents = int(rows["agents"].iloc[0])
    dampings = sorted(rows["damping"].unique(), reverse=True)
    figure = page(3.6)
    grid = figure.subplots(1, len(dampings), squeeze=False, sharey=True)[0]
    handles = [
        Line2D(
            [], [], color=COLOURS[0], marker=".", linestyle="none", label="visited in the long run, from three starts"
        ),
        Line2D([], [], color=COLOURS[1], linestyle="--", label="flips to period 2 below"),
        Line2D([], [], color="black", linestyle=":", label="contracts above"),
    ]
    for axes, damping in zip(grid, dampings, strict=True):
        part = rows[rows["damping"] == damping]
        axes.plot(part["temperature"], part["value"], ".", color=COLOURS[0], markersize=3.5)
        flip = flips[(flips["agents"] == agents) & (flips["damping"] == damping)]
        if not flip.empty:
            axes.axvline(flip["value"].iloc[0], color=COLOURS[1], linestyle="--", linewidth=1.2)
        above = contracts[(contracts["agents"] == agents) & (contracts["damping"] == damping)]
        axes.axvline(above["value"].iloc[0], color="black", linestyle=":", linewidth=1.6)
        axes.set_xscale("log")
        name = "undamped" if damping == 1 else f"damping {damping:g}"
        where = [f"contracts above {above['value'].iloc[0]:.2f}"]
        if not flip.empty:
            where.insert(0, f"flips below {flip['value'].iloc[0]:.2f}")
        axes.set(xlabel="temperature T (units of G)", title=f"N = {agents}, {name}: {', '.join(where)}")
    grid[0].set_ylabel("mean number y")
    legend_below(figure, handles, 3)
    return figure


@house_style()
def portraits(frame: pd.DataFrame) -> Figure:
    """Phase portraits of two populations: a column a game, a row an order of updates."""
    rows = of_quantity(frame, "phase portrait at tau = 0.3")
    orders, games = list(rows["order"].unique()), list(rows["game"].unique())
    figure = page(5.6)
    grid = figure.subplots(len(orders), len(games), squeeze=False, sharex=True, sharey=True)
    for (r, order), (c, game) in ((a, b) for a in enumerate(orders) for b in enumerate(games)):
        axes = grid[r, c]
        part = rows[(rows["order"] == order) & (rows["game"] == game)]
        for number, (_, run) in enumerate(part.groupby("start")):
            both = run.pivot(index="step", columns="population", values="value").sort_index()  # noqa: PD010 - no repeats
            axes.plot(both[0], both[1], "-", color=COLOURS[number], linewidth=0.8, alpha=0.7)
            axes.plot(both[0], both[1], MARKERS[number], color=COLOURS[number], markersize=3)
            axes.plot(both[0].iloc[0], both[1].iloc[0], MARKERS[number], color="black", markersize=6, fillstyle="none")
            tail = both.iloc[-4:]
            axes.plot(tail[0], tail[1], "*", color=COLOURS[number], markersize=10, markeredgecolor="black", zorder=3)
        axes.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal")
        if r == 0:
            axes.set_title(game)
        if c == 0:
            axes.set_ylabel(f"{order}\nmean of population 2")
        if r == len(orders) - 1:
            axes.set_xlabel("mean of population 1")
    handles = [
        Line2D([], [], color="black", marker="o", fillstyle="none", linestyle="none", label="start"),
        Line2D([], [], color=COLOURS[0], marker="o", markersize=3, linewidth=0.8, label="sweep by sweep"),
        Line2D(
            [],
            [],
            color=COLOURS[0],
            marker="*",
            markersize=10,
            markeredgecolor="black",
            linestyle="none",
            label="last 4",
        ),
    ]
    legend_below(figure, handles, 3, "tau = 0.3; two colours: two starts, orange on top where both end")
    return figure


def _draw_remainders(axes: Axes, points: pd.DataFrame) -> None:
    """|e| / M_t of smooth Q against 1 - |abar|², with the exact bound and the paper's."""
    for number, (kind, rows) in enumerate(points.groupby("values", sort=True)):
        axes.plot(
            2 * rows["exact"],
            rows["value"],
            MARKERS[number],
            color=COLOURS[number],
            markersize=3,
            alpha=0.7,
            markeredgewidth=0,
            label=str(kind).replace("^2", "²"),
        )
    gaps = np.array([0.0, 1.0])
    bound = "bound, (1 - |abar|²) / 2"
    axes.plot(gaps, gaps / 2, color="black", linewidth=1.2, zorder=1.5, label=bound)  # beneath those that attain it
    axes.axhline(1, color="black", linestyle="--", linewidth=1, label="from the paper's steps, 1")
    axes.set(
        xlabel="1 - |abar|²",
        ylabel="|e| / M_t",
        xlim=(0, 1),
        ylim=(-0.03, 1.06),
        title="Remainder of smooth Q",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.93), frameon=False, fontsize=7.5, handlelength=1.8)


def _draw_growth(axes: Axes, growth: pd.DataFrame) -> None:
    """Mean e against the number of neighbours: exact as lines, over random draws as marks."""
    for number, (kind, rows) in enumerate(growth.sort_values("neighbours").groupby("values", sort=True)):
        axes.plot(rows["neighbours"], rows["exact"], color=COLOURS[number], linewidth=1.2)
        _bars(axes, rows["neighbours"], rows, COLOURS[number], MARKERS[number], str(kind))
    axes.set_xscale("log", base=2)
    axes.set(xlabel="neighbours n", ylabel="mean e (M_t = 1)", ylim=(-0.06, 0.56), title="More neighbours")
    axes.legend(loc="upper left", frameon=False, fontsize=7.5)


def _draw_fits(axes: Axes, fits: pd.DataFrame) -> None:
    """R² of the best pairwise fit to the reward of Gaussian Squeeze against the number of agents."""
    for number, (own, rows) in enumerate(fits.sort_values("agents").groupby("own action", sort=True)):
        axes.plot(
            rows["agents"],
            rows["value"],
            color=COLOURS[number],
            marker=MARKERS[number],
            markersize=3.5,
            linewidth=1.2,
            label=f"own action {own}",
        )
    axes.set_xscale("log")
    axes.set(
        xlabel="agents N", ylabel="R² of the best pairwise fit", ylim=(-0.03, 1.06), title="Gaussian Squeeze, Eq. 5"
    )
    axes.legend(loc="lower left", frameon=False, fontsize=7.5)


def _bars(axes: Axes, x: "pd.Series[float]", rows: pd.DataFrame, colour: str, marker: str, label: str) -> None:
    """Measured values with their intervals, where they have any."""
    axes.vlines(
        x, rows["low"], rows["high"], color=colour, linewidth=1.5, linestyle=of_runs(rows["n"].max())["linestyle"]
    )
    axes.plot(x, rows["value"], marker, color=colour, markersize=4, label=label)

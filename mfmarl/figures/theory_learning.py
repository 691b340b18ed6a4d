"""Figures of TH-3 and of the toy example: error curves, noise floor, herding; tables, times to consensus."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from mfmarl.figures.style import house_style, interval_note, legend_below, of_runs, page
from mfmarl.figures.theory import COLOURS, MARKERS, of_quantity

ORDERS = ("simultaneous", "three-colours", "random-site", "released-code")
BESIDE = 1.2  # times its learning rate: where the mark of a longer training stands, beside that of a shorter one


@house_style()
def errors(frame: pd.DataFrame) -> Figure:
    """Distance of MF-Q's Q to two exact tables against updates: a panel for each target that it learns from.

    Args:
        frame: rows of `learning.csv` of results/theory.
    """
    rows = of_quantity(frame, "root mean squared error of Q")
    names = {"fresh": "target of Eq. 10: a fresh mean action at s'", "literal": "Algorithm 1's line: the stored one"}
    truths = {"Nash": "to the Nash Q-values", "literal": "to the fixed point of the literal line"}
    figure = page(3.5)
    grid = figure.subplots(1, 2, sharey=True)
    handles = [
        Line2D([], [], color=COLOURS[n], marker=MARKERS[n], label=label) for n, label in enumerate(truths.values())
    ]
    for axes, (target, title) in zip(grid, names.items(), strict=True):
        for number, truth in enumerate(truths):
            part = rows[(rows["target"] == target) & (rows["truth"] == truth)].sort_values("update")
            x = part["update"].to_numpy(np.float64)
            axes.fill_between(x, part["low"], part["high"], color=COLOURS[number], alpha=0.2, linewidth=0)
            axes.plot(x, part["value"], color=COLOURS[number], marker=MARKERS[number], markersize=3.5, linewidth=1.3)
        axes.set_yscale("log")
        axes.set(title=title, xlabel="updates")
    grid[0].set_ylabel("root mean squared error of Q")
    legend_below(figure, handles, 2, f"mean over n = {int(rows['n'].iloc[0])} seeds with its 95% interval")
    return figure


@house_style()
def noise_floor(frame: pd.DataFrame) -> Figure:
    """What remains against stationary others: a table's error against alpha, value gap against T, a network's loss.

    The table learned with alpha = 1/n has no place on the axis of alpha: it is a band across it.
    """
    figure = page(3.8)
    left, middle, right = figure.subplots(1, 3)
    rows = of_quantity(frame, "mean squared error of Q")
    constant = rows[rows["alpha"].astype(str) != "1/n"].copy()
    constant["alpha"] = constant["alpha"].astype(float)
    constant = constant.sort_values("alpha")
    variance = float((constant["exact"] * (2 - constant["alpha"]) / constant["alpha"]).iloc[0])
    alphas = np.geomspace(constant["alpha"].min(), 1, 100)
    left.plot(alphas, alphas / (2 - alphas) * variance, color="black", linewidth=1, label="alpha Var(r) / (2 - alpha)")
    left.vlines(constant["alpha"], constant["low"], constant["high"], color=COLOURS[1], linewidth=1.8)
    left.plot(constant["alpha"], constant["value"], "s", color=COLOURS[1], label="constant alpha, measured")
    for row in rows[rows["alpha"].astype(str) == "1/n"].to_dict("records"):
        label = f"Var(r) / n at n = {int(row['visits'])}"
        left.axhline(float(row["exact"]), color="black", linestyle="--", linewidth=1.2, label=label)
        look = {"color": COLOURS[0], "alpha": 0.35, "linewidth": 0}
        left.axhspan(float(row["low"]), float(row["high"]), label="alpha = 1/n, 95% interval", **look)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set(xlabel="learning rate alpha", ylabel="mean squared error of Q", title="Noise floor of a table")
    left.set_ylim(top=90)
    left.legend(frameon=False, fontsize=8, loc="upper left")
    gaps = of_quantity(frame, "value gap of Eq. 12").sort_values("temperature")
    curve = of_quantity(frame, "value gap of Eq. 12, exact").sort_values("temperature")
    middle.plot(curve["temperature"], curve["value"], color="black", linewidth=1, label="q / (1 + exp(q/T))")
    middle.vlines(gaps["temperature"], gaps["low"], gaps["high"], color=COLOURS[1], linewidth=1.8)
    middle.plot(gaps["temperature"], gaps["value"], "s", color=COLOURS[1], label="measured, table learned")
    middle.set(xlabel="temperature T", ylabel="value lost against a best response", title="Boltzmann policy of a table")
    middle.legend(frameon=False, fontsize=8, loc="lower right")
    fewest, most = _losses(right, frame)
    figure.supxlabel(
        f"marks: means with 95% intervals, where wider than they; n = {int(rows['n'].iloc[0])} seeds (left, middle), "
        f"{fewest} to {most} (right)\n"
        "lines: exact, but for the tenth that TH-3 allows; averages: of the rewards of as many updates",
        fontsize=8,
    )
    return figure


def _losses(axes: Axes, frame: pd.DataFrame) -> tuple[int, int]:
    """What MF-Q's network loses among even opponents of Gaussian Squeeze; how many seeds are behind it, least and most.

    The panel is empty but for the claim's line where a quick run has no such learning rates.
    """
    committed = of_quantity(frame, "GS: value gap over best less worst").query("opponents == 'even'")
    others = of_quantity(frame, "GS, even opponents: value gap over best less worst")
    averages = of_quantity(frame, "GS, even opponents: value gap of averages over best less worst")
    usual = others["updates"].min()
    few, many = others[others["updates"] == usual], others[others["updates"] > usual]
    few = pd.concat([few, committed]).sort_values("learning rate")
    for part, shift, marker, colour in ((few, 1.0, "s", COLOURS[1]), (many, BESIDE, "D", COLOURS[2])):
        if part.empty:
            continue
        updates = int(part["updates"].dropna().iloc[0])
        rate = shift * part["learning rate"]
        axes.vlines(rate, part["low"], part["high"], color=colour, linewidth=1.8)
        axes.plot(rate, part["value"], marker, color=colour, label=f"MF-Q, {updates} updates", linestyle="none")
        exact = averages.loc[averages["updates"] == updates, "exact"].iloc[0]
        axes.axhline(exact, color=colour, linewidth=1.2, label=f"averages, {updates} updates")
    axes.axhline(0.1, color="black", linestyle=":", linewidth=1.2, label="a tenth, allowed")
    axes.set_xscale("log")
    axes.set_ylim(0, max(0.27, 1.5 * float(few["high"].max())))
    axes.set(xlabel="learning rate", ylabel="loss over best less worst", title="Even crowd, networks")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    of_all = pd.concat([others["n"], committed["n"]])
    return int(of_all.min()), int(of_all.max())


@house_style()
def herding(frame: pd.DataFrame) -> Figure:
    """The congestion game: traces at the lowest T, and the swing against T, by order and stored mean action."""
    swings = of_quantity(frame, "congestion: mean swing |m(t+1) - m(t)| / 2")
    traces = of_quantity(frame, "congestion: share on action 1")
    cases = list(swings[["order", "stored"]].drop_duplicates().itertuples(index=False, name=None))
    figure = page(4.6)
    layout = "\n".join(f"{number}s" for number in range(len(cases)))
    panels = figure.subplot_mosaic(layout, width_ratios=[1.4, 1])
    grid, right = [panels[f"{number}"] for number in range(len(cases))], panels["s"]
    handles = []
    for number, ((order, stored), axes) in enumerate(zip(cases, grid, strict=True)):
        part = traces[(traces["order"] == order) & (traces["stored"] == stored)].sort_values("step")
        axes.plot(
            part["step"], part["value"], color=COLOURS[number], linewidth=1.2, marker=MARKERS[number], markersize=2.5
        )
        axes.set_ylim(-0.06, 1.06)
        axes.tick_params(labelbottom=axes is grid[-1])
        axes.set_ylabel("share on 1", fontsize=8)
        axes.set_title(f"{order}, {stored} mean action stored", fontsize=8.5, loc="left")
        look = {"color": COLOURS[number], "marker": MARKERS[number], "linewidth": 1.2}
        handles.append(Line2D([], [], label=f"{order}, {stored}", **look))  # type: ignore[arg-type]
    grid[-1].set_xlabel(f"last joint steps, T = {swings['temperature'].min():g}")
    for number, (order, stored) in enumerate(cases):
        part = swings[(swings["order"] == order) & (swings["stored"] == stored)].sort_values("temperature")
        bars = of_runs(part["n"].max())["linestyle"]
        right.vlines(
            part["temperature"], part["low"], part["high"], color=COLOURS[number], linewidth=1.8, linestyle=bars
        )
        right.plot(part["temperature"], part["value"], color=COLOURS[number], marker=MARKERS[number], linewidth=1.2)
        if part["exact"].max() > 0:
            right.plot(part["temperature"], part["exact"], "x", color="black", markersize=7, zorder=3)
    herds = of_quantity(frame, "congestion: herds below")
    below = float(herds.loc[herds["damping"] == 1, "exact"].iloc[0])
    right.axvline(below, color="black", linestyle=":", linewidth=1.2)
    right.annotate(
        f"herds below\nT = {below:g} (exact)", (below, 0.55), xytext=(4, 0), textcoords="offset points", fontsize=8
    )
    right.set(xlabel="temperature T", ylabel="mean swing of m between steps / 2", ylim=(-0.03, 1.06))
    handles.append(Line2D([], [], color="black", marker="x", linestyle="none", label="exact, infinitely many agents"))
    seeds = int(swings["n"].iloc[0])
    interval = interval_note([seeds], "mean over them with its 95% interval")
    note = f"left: the first of n = {seeds} runs; right: {interval}, where wider than a mark"
    legend_below(figure, handles, 3, note)
    return figure


@house_style()
def toy_tables(frame: pd.DataFrame) -> Figure:
    """The grid and the middle agent's table at three times, as in the paper's Figure 2.

    Args:
        frame: rows of `mfmarl.measurements.toy`.
    """
    spins = of_quantity(frame, "one run: spin")
    tables = of_quantity(frame, "one run: Q of the middle agent")
    sweeps = sorted(spins["sweep"].unique())
    figure = page(3.6)
    grid = figure.subplots(2, len(sweeps), height_ratios=[1, 0.75], squeeze=False)
    for column, sweep in enumerate(sweeps):
        lattice = spins[spins["sweep"] == sweep].sort_values("site")["value"].to_numpy().reshape(3, 3)
        axes = grid[0, column]
        axes.imshow(lattice, cmap="Blues", vmin=-3, vmax=3)
        for r, c in np.ndindex(3, 3):
            axes.text(c, r, "↑" if lattice[r, c] > 0 else "↓", ha="center", va="center", fontsize=15)
        axes.add_patch(_frame(1, 1, "black"))
        axes.set(xticks=[], yticks=[], title=f"after {int(sweep)} sweeps" if sweep else "at the start")
        part = tables[tables["sweep"] == sweep]
        values = part.pivot(index="action", columns="neighbours up", values="value").loc[["up", "down"]]  # noqa: PD010
        below = grid[1, column]
        below.imshow(values.to_numpy(), cmap="RdBu_r", vmin=-2.6, vmax=2.6, aspect="auto")
        for (r, c), value in np.ndenumerate(values.to_numpy()):
            text = f"{value:.2f}".replace("-0.00", "0.00")
            below.text(c, r, text, ha="center", va="center", fontsize=8, color=_ink(value))
            if text == "0.82":
                below.add_patch(_frame(c, r, COLOURS[1]))
        below.set_xticks(range(5), ["0", "1/4", "1/2", "3/4", "1"])
        below.set_yticks([0, 1], ["up", "down"] if column == 0 else ["", ""])
        below.set_xlabel("share of neighbours up")
        for each in (axes, below):
            each.grid(visible=False)
            each.tick_params(length=0)
    figure.supxlabel(
        "all at once, tau = 1/2 (our choice), alpha = 0.1; above: spins, the middle agent framed; below: its Q\n"
        "framed below: the paper's 0.82, 5 visits that paid 2; entries that are met no more stay where they are",
        fontsize=8,
    )
    return figure


@house_style()
def toy_times(frame: pd.DataFrame) -> Figure:
    """Time to consensus by order: greedy play of a learned table, exact and measured, and learning from Q = 0."""
    figure = page(3.7)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    reached = of_quantity(frame, "probability of consensus by a sweep")
    for number, (order, rows) in enumerate(reached.sort_values("sweep").groupby("order", sort=True)):
        left.plot(rows["sweep"], rows["exact"], color=COLOURS[number], linewidth=1.2)
        left.vlines(rows["sweep"], rows["low"], rows["high"], color=COLOURS[number], linewidth=1.5)
        left.plot(rows["sweep"], rows["value"], MARKERS[number], color=COLOURS[number], markersize=4, label=str(order))
    left.set(xlabel="sweeps", ylabel="probability of consensus", ylim=(-0.03, 1.03), title="Greedy play, table learned")
    left.legend(frameon=False, loc="lower right", title="lines: exact; marks: played")
    _time_bars(right, frame)
    figure.supxlabel(
        "random-site: a sweep is nine updates; learning with alpha = 0.1: sweeps until all agree and stay so, of runs"
        "\nthat agree in each of the last 10 of 300 sweeps; released-code: paid after the move, no exact value\n"
        f"95% intervals, n = {int(reached['n'].iloc[0])} runs with the table learned, {_learners(frame)} that learn",
        fontsize=8,
    )
    return figure


def _learners(frame: pd.DataFrame) -> int:
    return int(of_quantity(frame, "learning from Q = 0: share that agrees for good")["n"].iloc[0])


def _time_bars(axes: Axes, frame: pd.DataFrame) -> None:
    played = of_quantity(frame, "mean sweeps to consensus")
    updates = of_quantity(frame, "mean updates to consensus")
    learned = of_quantity(frame, "learning from Q = 0: sweeps until then")
    for place, order in enumerate(ORDERS):
        greedy = played[played["order"] == order]
        if order == "random-site":
            greedy = updates[updates["order"] == order].copy()
            greedy[["value", "low", "high", "exact"]] /= 9
        for offset, part, colour in ((-0.2, greedy, COLOURS[3]), (0.2, learned[learned["order"] == order], COLOURS[4])):
            if part.empty:
                continue
            axes.bar([place + offset], part["value"], 0.36, color=colour, alpha=0.75)
            axes.vlines([place + offset], part["low"], part["high"], color="black", linewidth=1.5)
            exact = part["exact"].iloc[0]
            if np.isfinite(exact):
                axes.hlines(exact, place + offset - 0.22, place + offset + 0.22, color="black", linewidth=1.5)
    axes.set_xticks(range(len(ORDERS)), [order.replace("-", "-\n") for order in ORDERS])
    axes.set(ylabel="sweeps to consensus", title="By order of updates")
    axes.grid(visible=False, axis="x")
    handles = [
        Line2D([], [], color=COLOURS[3], linewidth=6, alpha=0.75, label="table learned"),
        Line2D([], [], color=COLOURS[4], linewidth=6, alpha=0.75, label="learning from Q = 0"),
        Line2D([], [], color="black", linewidth=1.5, label="exact"),
    ]
    axes.legend(handles=handles, frameon=False, loc="upper left", fontsize=8)
    axes.set_ylim(0, float(learned["high"].max()) * 1.3)


def _ink(value: float) -> str:
    """A colour that can be read on the cell of a value."""
    return "white" if abs(value) > 1.6 else "black"


def _frame(column: int, row: int, colour: str) -> Rectangle:
    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=2, zorder=3)

"""The figures of the Ising model at equilibrium: phase transition, energy and the crossing of Binder's cumulants.

A temperature is the paper's tau (appendix C.2): half the physical one, so that tau_c = 1 / ln(1 + sqrt 2) = 1.1346.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from mfmarl.evaluation.intervals import FEW
from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.style import (
    LOOKS,
    MCMC,
    Line,
    Look,
    by_seed,
    count_label,
    curve_note,
    draw_curve,
    handle,
    house_style,
    interval_note,
    legend_below,
    looks,
    name_lines,
    of_runs,
    only_value,
    page,
)

IL = replace(LOOKS["il"], marker="x")  # a circle would look like MCMC's octagon
METHODS = {"mf-q": LOOKS["mf-q"], "mcmc": MCMC, "il": IL}  # and whatever else, see `methods_in`
# When sites act and which neighbours they are paid against, in few words; they always act upon those they saw.
ORDERS = {
    "checkerboard": "checkerboard: one colour at a time,\npaid against the neighbours seen",
    "simultaneous": "simultaneous: all at once,\npaid against those seen",
    "released-code": "released-code: all at once,\npaid against those after",
}
MARKERS = {"mf-q": 3.8, "mcmc": 6.5}  # points: where the methods agree, one shows around the other
COLOUR = LOOKS["mf-q"].colour
DOT: dict[str, Any] = {"color": COLOUR, "linestyle": "", "marker": ".", "markersize": 6, "alpha": 0.6, "mew": 0}
RING: dict[str, Any] = {"color": COLOUR, "linestyle": "", "marker": "s", "markersize": 5.5, "alpha": 0.6, "mew": 0.6}
RING["markerfacecolor"] = "none"
CROSS: dict[str, Any] = {"color": IL.colour, "linestyle": "", "marker": IL.marker, "markersize": 4, "alpha": 0.7}
CURVES: dict[str, Line] = {"Onsager, infinite lattice": "-", "mean field": (0, (1, 1.5))}
SIZE_MARKERS = "os^Dvph"


@house_style()
def order_parameter(
    equilibrium: pd.DataFrame,
    references: pd.DataFrame,
    critical_temperature: float,
    sweeps: Mapping[str, int] = MappingProxyType({}),
) -> Figure:
    """Order parameter against temperature at one lattice size: methods and MCMC, a panel for each order of updates.

    The panel of the checkerboard order is the large one. In the other orders, and of IL in any, runs end on a curve
    or spread below it, of which a mean says little: each run is a dot, or a cross if IL's. Beside a dot a ring is
    MF-Q's sublattice order parameter: it is large and the plain one small where the two sublattices point opposite
    ways.

    Args:
        equilibrium: method, order, size, temperature (tau), seed, order_parameter and sublattice_order_parameter
            (both 0 to 1). The order of mcmc is its own affair: it is drawn in every panel.
        references: curve ("Onsager, infinite lattice" or "mean field"), temperature, order_parameter.
        critical_temperature: tau_c of the infinite lattice.
        sweeps: of a run, by order: printed where they are known.

    Raises:
        ValueError: a missing column, several sizes, an unknown curve or order, or seeds of one method that were not
            measured once at the same temperatures.
    """
    metrics = ["order_parameter", "sublattice_order_parameter"]
    require_columns("equilibrium", equilibrium, ["method", "order", "size", "temperature", "seed", *metrics])
    require_columns("references", references, ["curve", "temperature", "order_parameter"])
    size = only_value("equilibrium", equilibrium, "size", "lattice size")
    methods = methods_in(equilibrium)
    ordered = equilibrium[equilibrium["method"] != "mcmc"]
    orders = [order for order in ORDERS if order in set(ordered["order"])] or ["checkerboard"]
    if unknown := sorted(set(ordered["order"]) - set(ORDERS)):
        raise ValueError(f"equilibrium: order of all but mcmc must be one of {list(ORDERS)}, got {unknown}")
    if unknown := sorted(set(references["curve"]) - set(CURVES)):
        raise ValueError(f"references: curve must be one of {list(CURVES)}, got {unknown}")
    figure = page(4.1)
    widths = [1.7 if order == "checkerboard" else 1 for order in orders]
    grid = figure.subplots(1, len(orders), squeeze=False, sharex=True, sharey=True, width_ratios=widths)[0]
    counts: list[int] = []
    for axes, order in zip(grid, orders, strict=True):
        for curve, points in references.sort_values("temperature").groupby("curve"):
            line = CURVES[str(curve)]
            axes.plot(
                points["temperature"], points["order_parameter"], color="black", linestyle=line, linewidth=0.9, zorder=3
            )
        _draw_critical(axes, critical_temperature)
        counts += _draw_order(axes, equilibrium, order)
        budget = f"\n{sweeps[order]:,} sweeps" if order in sweeps else ""
        axes.set_title(ORDERS[order] + budget)
        axes.set_xlabel("temperature tau")
        axes.locator_params(axis="x", nbins=5)
    _label_critical(grid[0], critical_temperature, height=0.74, away=16)
    grid[0].set_ylabel("order parameter |N_up - N_down| / N")
    grid[0].set_ylim(-0.02, 1.02)
    grid[0].set_xlim(*_margins(equilibrium["temperature"]))
    scattered = bool(set(ordered.loc[ordered["method"] == "mf-q", "order"]) - {"checkerboard"})
    handles = _order_handles(methods, set(references["curve"]), scattered)
    dots = " Dots and crosses: runs, which end on a curve or spread below it." if scattered else ""
    legend_below(
        figure,
        handles,
        min(len(handles), 4),
        f"{size} x {size} sites; {count_label(counts)}.{dots}\nLines: {curve_note(counts)}",
    )
    return figure


@house_style()
def energy(equilibrium: pd.DataFrame, exact: pd.DataFrame, critical_temperature: float) -> Figure:
    """Energy per site against temperature, a column for each lattice size, above its deviation from the exact one.

    MCMC, and MF-Q and whatever else there is in the checkerboard order. The deviation is in units of the energy, with
    the interval of the mean: a band that leaves zero is a bias.

    Args:
        equilibrium: method, order, size, temperature (tau), seed, energy (a site).
        exact: size, temperature, energy of the finite lattice; at least at every temperature that was measured,
            better denser, for the line.
        critical_temperature: tau_c of the infinite lattice.

    Raises:
        ValueError: a missing column or exact energy, nothing to draw, or seeds of one method that were not measured
            once at the same temperatures.
    """
    require_columns("equilibrium", equilibrium, ["method", "order", "size", "temperature", "seed", "energy"])
    require_columns("exact", exact, ["size", "temperature", "energy"])
    drawn = equilibrium[(equilibrium["method"] == "mcmc") | (equilibrium["order"] == "checkerboard")]
    require_columns("equilibrium (mcmc, and others in the checkerboard order)", drawn, [])
    methods = methods_in(drawn)
    sizes = sorted(drawn["size"].unique())
    figure = page(4.9)
    grid = figure.subplots(2, len(sizes), squeeze=False, sharex="col", sharey="row", height_ratios=[2, 1.2])
    every: list[int] = []
    for (above, below), size in zip(grid.T, sizes, strict=True):
        truth = exact[exact["size"] == size].sort_values("temperature")
        above.plot(truth["temperature"], truth["energy"], color="black", linewidth=0.9, zorder=3)
        below.axhline(0, color="black", linewidth=0.9)
        counts = []
        for method, look in reversed(methods.items()):
            runs = drawn[(drawn["method"] == method) & (drawn["size"] == size)]
            if runs.empty:
                continue
            table = by_seed(runs, "temperature", "energy", name_of(runs))
            deviation = table - _at(truth, table.columns.to_numpy(np.float64), int(size))
            for axes, values in ((above, table), (below, deviation)):
                draw_curve(axes, values, look, size=MARKERS.get(method, 5.0))
            counts.append(len(table))
        every += counts
        for axes in (above, below):
            _draw_critical(axes, critical_temperature)
        above.set_title(f"{size} x {size} sites ({count_label(counts)})")
        below.set_xlabel("temperature tau")
        above.set_xlim(*_margins(drawn.loc[drawn["size"] == size, "temperature"]))
    _label_critical(grid[0, 0], critical_temperature, height=0.13)
    grid[0, 0].set_ylabel("energy per site u")
    grid[1, 0].set_ylabel("u - exact u")
    handles = [handle(look) for look in methods.values()]
    handles.append(Line2D([], [], color="black", linewidth=0.9, label="exact, finite lattice"))
    legend_below(figure, handles, 3, f"Lines: {curve_note(every)}")
    return figure


@house_style()
def binder(cumulants: pd.DataFrame, fits: pd.DataFrame, crossings: pd.DataFrame, critical_temperature: float) -> Figure:
    """Binder's cumulant against temperature, a panel for each method, and where the fitted curves of two sizes cross.

    Args:
        cumulants: method, size, temperature (tau), cumulant (1 - <m^4> / 3 <m^2>^2), low and high
            (the ends of its 95% interval). If there is a column n (seeds), it is printed.
        fits: method, sizes (text such as "16, 32"), size, temperature, cumulant: the curves of both sizes of a pair.
        crossings: method, sizes (text such as "16, 32"), estimate, low, high (tau; drawn from above in the order
            given; ends that are NaN are left out).
        critical_temperature: the exact tau_c.

    Raises:
        ValueError: a missing column.
    """
    require_columns("cumulants", cumulants, ["method", "size", "temperature", "cumulant", "low", "high"])
    require_columns("fits", fits, ["method", "sizes", "size", "temperature", "cumulant"])
    require_columns("crossings", crossings, ["method", "sizes", "estimate", "low", "high"])
    methods = methods_in(pd.concat([cumulants[["method"]], crossings[["method"]]]))
    sizes = sorted(cumulants["size"].unique())
    tones = sns.color_palette("viridis_r", len(sizes) + 1).as_hex()[1:]  # the larger the darker
    styles = {
        size: Look(f"{size} x {size} sites", tone, "-", marker)
        for size, tone, marker in zip(sizes, tones, SIZE_MARKERS * len(sizes), strict=False)
    }
    line = of_runs(int(cumulants["n"].min()) if "n" in cumulants.columns else FEW + 1)["linestyle"]
    figure = page(3.9)
    grid = figure.subplots(1, len(methods) + 1, squeeze=False)[0]
    for axes, method in zip(grid, methods, strict=False):
        _draw_critical(axes, critical_temperature)
        for size, look in styles.items():
            points = cumulants[(cumulants["method"] == method) & (cumulants["size"] == size)]
            points = points.sort_values("temperature")
            ends = points["low"], points["high"]
            axes.vlines(points["temperature"], *ends, color=look.colour, linewidth=1.5, linestyle=line)
            axes.plot(points["temperature"], points["cumulant"], look.marker, color=look.colour, markersize=3.5)
            for _, curve in fits[(fits["method"] == method) & (fits["size"] == size)].groupby("sizes"):
                axes.plot(curve["temperature"], curve["cumulant"], color=look.colour, linewidth=1)
        axes.set_title(methods[method].label)
        axes.set_xlabel("temperature tau")
    for axes in grid[1 : len(methods)]:
        axes.sharey(grid[0])
        axes.label_outer()
    grid[0].set_ylabel("Binder cumulant U")
    _label_critical(grid[0], critical_temperature)
    _draw_crossings(grid[-1], crossings, methods, critical_temperature)
    bars = "95% intervals"
    if "n" in cumulants.columns:
        bars = f"{interval_note(cumulants['n'], '95% intervals over seeds')}; {count_label(cumulants['n'])}"
    note = f"Curves: fitted to both sizes of a pair. Bars: {bars}"
    legend_below(figure, [handle(look) for look in styles.values()], len(styles), note)
    return figure


def _draw_order(axes: Axes, equilibrium: pd.DataFrame, order: str) -> list[int]:
    """The order parameter in one order of updates: a curve, or a mark for each run. How many seeds each method has."""
    counts = []
    for method, look in reversed(methods_in(equilibrium).items()):
        runs = equilibrium[equilibrium["method"] == method]
        if method != "mcmc":
            runs = runs[runs["order"] == order]
        if runs.empty:
            continue
        counts.append(runs["seed"].nunique())
        if method == "il":
            axes.plot(runs["temperature"], runs["order_parameter"], **CROSS)
        elif method == "mcmc" or order == "checkerboard":
            opacity = 1 if order == "checkerboard" else 0.35
            table = by_seed(runs, "temperature", "order_parameter", name_of(runs))
            draw_curve(axes, table, look, size=MARKERS.get(method, 5.0), opacity=opacity)
        else:
            if method == "mf-q":
                axes.plot(runs["temperature"], runs["sublattice_order_parameter"], **RING)
            axes.plot(runs["temperature"], runs["order_parameter"], **{**DOT, "color": look.colour})
    return counts


def _order_handles(methods: Mapping[str, Look], curves: AbstractSet[str], scattered: bool) -> list[Line2D]:
    """The legend of `order_parameter`: methods, the marks of MF-Q's runs where they scatter, reference curves."""
    handles = [
        Line2D([], [], label="IL, a run", **CROSS) if name == "il" else handle(look) for name, look in methods.items()
    ]
    if scattered:
        handles.insert(1, Line2D([], [], label="MF-Q, a run", **DOT))
        handles.insert(2, Line2D([], [], label="its sublattices", **RING))
    for curve, line in CURVES.items():
        if curve in curves:
            handles.append(Line2D([], [], color="black", linestyle=line, linewidth=0.9, label=curve))
    return handles


def _draw_crossings(
    axes: Axes, crossings: pd.DataFrame, methods: Mapping[str, Look], critical_temperature: float
) -> None:
    """One line for each crossing, with its interval, beside the exact temperature."""
    _draw_critical(axes, critical_temperature)
    for y, line in enumerate(crossings.to_dict("records")):
        look = methods[line["method"]]
        axes.plot([line["low"], line["high"]], [y, y], color=look.colour, **of_runs(line.get("n", FEW + 1)))
        axes.plot([line["estimate"]], [y], look.marker, color=look.colour, markersize=5.5)
    names = [f"{methods[method].label}: {sizes}" for method, sizes in crossings[["method", "sizes"]].to_numpy()]
    name_lines(axes, names)
    axes.locator_params(axis="x", nbins=4)
    axes.set_title("crossing of two sizes")
    axes.set_xlabel("temperature tau")


def methods_in(frame: pd.DataFrame) -> dict[str, Look]:
    """A look for each method of the frame, in drawing order: MF-Q, MCMC, IL, then others by name."""
    names = set(frame["method"])
    return {**{name: look for name, look in METHODS.items() if name in names}, **looks(names - set(METHODS))}


def name_of(runs: pd.DataFrame) -> str:
    """What errors call runs of one method."""
    return f"{runs['method'].iloc[0]} (orders {sorted(runs['order'].unique())})"


def _at(truth: pd.DataFrame, temperatures: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The exact energies at these temperatures [temperatures].

    Raises:
        ValueError: one is missing.
    """
    known = {round(float(at), 9): float(u) for at, u in truth[["temperature", "energy"]].to_numpy()}
    if absent := [float(at) for at in temperatures if round(float(at), 9) not in known]:
        raise ValueError(f"exact lacks the temperatures {absent} of size {size}")
    return np.array([known[round(float(at), 9)] for at in temperatures])


def _draw_critical(axes: Axes, temperature: float) -> None:
    """The line at tau_c."""
    axes.axvline(temperature, color="0.45", linestyle="--", linewidth=0.9)


def _label_critical(axes: Axes, temperature: float, *, height: float = 0.97, away: float = 4) -> None:
    """The value beside the line at tau_c: below this height of the panel, so many points to the right of the line."""
    axes.annotate(
        f"tau_c =\n{temperature:.4f}",
        (temperature, height),
        xycoords=axes.get_xaxis_transform(),
        xytext=(away, 0),
        textcoords="offset points",
        ha="left",
        va="top",
        color="0.3",
    )


def _margins(values: ArrayLike) -> tuple[float, float]:
    """The range of the values and a little more, which reference curves do not widen."""
    low, high = float(np.min(values)), float(np.max(values))
    margin = 0.03 * (high - low) or 0.05
    return low - margin, high + margin

"""The figure of learning in the Ising model: order parameter and error of Q against the step."""

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.ising import methods_in, name_of
from mfmarl.figures.style import (
    LOOKS,
    MCMC,
    Look,
    budget_handle,
    by_seed,
    count_label,
    curve_note,
    draw_curve,
    draw_seeds,
    handle,
    house_style,
    legend_below,
    mark_budgets,
    only_value,
    page,
    thousands,
)

TRAINED = {  # the mark is the method's, the line the order's; MF-Q has a colour for each order
    "checkerboard": replace(LOOKS["mf-q"], label="MF-Q, checkerboard"),
    "simultaneous": replace(LOOKS["mf-q"], label="MF-Q, simultaneous", colour="#44AA99", line=(0, (5, 1.5))),
    "released-code": replace(LOOKS["mf-q"], label="MF-Q, released-code", colour="#882255", line=(0, (2, 1))),
}
SCATTERED = {"simultaneous", "released-code"}


@house_style()
def training(training: pd.DataFrame) -> Figure:
    """Order parameter, and below it the error of Q, against the step: a column for each temperature.

    In all orders of updates but the checkerboard's, and IL's in any, runs come to order at once, late or not at all, of
    which a mean order parameter says little: each run is a thin line. IL is drawn in the checkerboard order alone: in
    all three it does the same.

    Args:
        training: of one lattice size: method, order, size, temperature (tau), seed, step (sweeps), order_parameter,
            q_error (mean squared error of Q against the reward; missing for mcmc and whoever has no Q).

    Raises:
        ValueError: a missing column, several sizes, nothing to draw, or seeds of one line that were not measured
            once at the same steps.
    """
    columns = ["method", "order", "size", "temperature", "seed", "step", "order_parameter", "q_error"]
    require_columns("training", training, columns)
    size = only_value("training", training, "size", "lattice size")
    lines = _lines_of(training)
    temperatures = sorted(training["temperature"].unique())
    figure = page(4.8)
    grid = figure.subplots(2, len(temperatures), squeeze=False, sharex="col", sharey="row")
    errors: list[float] = []
    counts: list[int] = []
    for (above, below), temperature in zip(grid.T, temperatures, strict=True):
        drawn = [(look, runs[runs["temperature"] == temperature]) for look, runs in lines]
        for place, (look, runs) in enumerate(drawn):
            for axes, metric in ((above, "order_parameter"), (below, "q_error")):
                if runs[metric].notna().any():
                    table = by_seed(runs, "step", metric, name_of(runs))
                    counts.append(len(table))
                    two_peaked = set(runs["order"]) & SCATTERED or set(runs["method"]) == {"il"}
                    if metric == "order_parameter" and two_peaked:
                        draw_seeds(axes, table, look)
                        continue
                    every = max(1, table.shape[1] // 6)
                    band = draw_curve(axes, table, look, every=(place * every // len(lines), every))
                    errors += [*band.estimate, *band.low] if metric == "q_error" else []
        ends = training[training["temperature"] == temperature].groupby(["method", "order"])["step"].max()
        for axes in (above, below):
            mark_budgets(axes, ends)
        above.set_title(f"tau = {float(temperature)}, {' or '.join(f'{end:,}' for end in sorted(set(ends)))} sweeps")
        if absent := [look.label for look, runs in drawn if runs.empty]:
            told = "\n".join(["not run:", *reversed(absent)])
            above.text(0.5, 0.5, told, transform=above.transAxes, ha="center", va="center", fontsize=8, color="0.35")
        above.set_xlim(left=0)
        below.set_xlabel("step (sweeps)")
        below.xaxis.set_major_formatter(thousands)
        below.locator_params(axis="x", nbins=6)
    grid[0, 0].set_ylim(-0.02, 1.02)
    grid[0, 0].set_ylabel("order parameter")
    grid[1, 0].set_ylabel("MSE(Q, reward)")
    _scale_of_errors(grid[1, 0], np.asarray(errors, np.float64))
    scattered = sorted(set(training["order"]) & SCATTERED) + ["IL"] * ("il" in set(training["method"]))
    each = f"; above, every seed of {', '.join(scattered)}" if scattered else ""
    note = f"{size} x {size} sites; {count_label(counts)}{each}.\nLines: {curve_note(counts)}"
    handles = [*(handle(look) for look, _ in reversed(lines)), budget_handle()]
    legend_below(figure, handles, min(len(handles), 3), note)
    return figure


def _lines_of(training: pd.DataFrame) -> list[tuple[Look, pd.DataFrame]]:
    """A look for each line and its runs, in drawing order: MCMC first, MF-Q in the checkerboard order over all.

    Raises:
        ValueError: there is none.
    """
    others = methods_in(training[~training["method"].isin(["mf-q", "mcmc"])])
    lines = [(MCMC, training[training["method"] == "mcmc"])]
    for order, look in reversed(TRAINED.items()):
        runs = training[training["order"] == order]
        for method, own in others.items():
            if method == "il" and order != "checkerboard":
                continue
            style = replace(own, label=f"{own.label}, {order}", line=look.line)
            lines.append((style, runs[runs["method"] == method]))
        lines.append((look, runs[runs["method"] == "mf-q"]))
    lines = [(look, runs) for look, runs in lines if not runs.empty]
    if not lines:
        raise ValueError(f"training must hold mcmc, or another method in one of {list(TRAINED)}")
    return lines


def _scale_of_errors(axes: Axes, errors: NDArray[np.float64]) -> None:
    """Linear from 0, or logarithmic if the errors span decades; what reaches 0 ends in a linear stretch above it."""
    positive = errors[errors > 0]
    if not positive.size or positive.max() < 100 * positive.min():
        if positive.size:
            axes.set_ylim(bottom=0)
        return
    floor = 10 ** np.ceil(np.log10(max(positive.min(), 1e-6 * positive.max())))
    if errors.min() >= floor / 10:
        axes.set_yscale("log")
        return
    axes.set_yscale("symlog", linthresh=floor)
    axes.set_ylim(0, 1.5 * errors.max())
    axes.set_ylabel(f"{axes.get_ylabel()}\nlinear below {floor:g}")

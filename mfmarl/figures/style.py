"""What all figures share: a look per algorithm, the page, the legend, files that rebuild byte for byte."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeAlias

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mfmarl.evaluation.intervals import (
    FEW,
    FEWEST,
    Band,
    Interval,
    bootstrap_band,
    bootstrap_interval,
)
from mfmarl.evaluation.names import NAMES, label
from mfmarl.files import atomic

WIDTH = 9.0  # inches: 9 point text is about 12 pixels high in a README column of 900, and 7 point in print
DOTS_PER_INCH = 200  # twice a README's 900 pixels, for dense screens
BOOTSTRAP_SEED = 0
SHARE_LABEL = "final greedy G / G*"


Line: TypeAlias = Literal["-"] | tuple[float, Sequence[float]]
"""Solid, or (offset, lengths of dashes and gaps in line widths)."""


SURE: dict[str, Any] = {"linestyle": "-", "linewidth": 1.8}
GUESS: dict[str, Any] = {"linestyle": (0, (1, 1.2)), "linewidth": 1.2}
"""How an interval over more runs than `FEW` is drawn, and one over so few."""


@dataclass(frozen=True)
class Look:
    """How an algorithm appears in every figure."""

    label: str
    colour: str
    line: Line
    marker: str


# Colours of Okabe and Ito (2008), told apart with any colour vision; line and marker tell them apart in grey.
LOOKS = {
    "il": Look(NAMES["il"], "#0072B2", "-", "o"),
    "fmq": Look(NAMES["fmq"], "#E69F00", (0, (5, 2)), "v"),
    "rec-fmq": Look(NAMES["rec-fmq"], "#56B4E9", (0, (3, 1, 1, 1)), "^"),
    "maac": Look(NAMES["maac"], "#009E73", (0, (1, 1)), "D"),
    "ac": Look(NAMES["ac"], "#8C510A", (0, (2, 2)), "P"),
    "mf-q": Look(NAMES["mf-q"], "#D55E00", "-", "s"),
    "mf-ac": Look(NAMES["mf-ac"], "#CC79A7", (0, (7, 1.5, 1.5, 1.5)), "X"),
    "mf-q-noise": Look(NAMES["mf-q-noise"], "#6E6E6E", (0, (1, 2)), "d"),
}
# For what is not in the table: colours of Paul Tol's muted scheme that are not close to those above.
FURTHER_LOOKS = (
    ("#332288", (0, (4, 1)), "<"),
    ("#999933", (0, (6, 2, 1, 2)), ">"),
    ("#882255", (0, (2, 1)), "p"),
    ("#44AA99", (0, (8, 2)), "h"),
)
# The simulation that is the truth for learners, not one of them: the length of LOOKS places learning curves' markers.
MCMC = Look(NAMES["mcmc"], "#004488", "-", "8")
# Nor do these learn.
SCRIPTED_STYLES = {
    "rush": Look(NAMES["rush"], "#222222", (0, (4, 2)), "*"),
    "random": Look(NAMES["random"], "#A6A6A6", (0, (1, 1.5)), "H"),
}
# It learns, but is a control of one study: outside LOOKS it moves no marker of the other curves.
FED_NOISE = {"mf-ac-noise": Look(NAMES["mf-ac-noise"], "#7F6A76", (0, (3, 2, 1, 2)), "d")}

BUDGET = Look("end of the budget", "0.45", (0, (1, 2)), "")


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in drawing order: those known as in the tables, then the others by name.

    They are labelled as `mfmarl.evaluation.names` has it.
    """
    unique, known = set(names), LOOKS | FED_NOISE | SCRIPTED_STYLES
    found = {name: look for name, look in known.items() if name in unique}
    for index, name in enumerate(sorted(unique - set(known))):
        colour, line, marker = FURTHER_LOOKS[index % len(FURTHER_LOOKS)]
        found[name] = Look(label(name), colour, line, marker)
    return found


def save(figure: Figure, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write path.png (200 dots an inch) and path.pdf, and return both paths.

    Equal figures give equal bytes: no date and no version goes into the files. A file is complete or absent.
    """
    stem = Path(path)
    undated = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    finals = {kind: stem.with_name(f"{stem.name}.{kind}") for kind in undated}
    with ExitStack() as stack:
        drafts = {kind: stack.enter_context(atomic(final)) for kind, final in finals.items()}
        with house_style():
            settle(figure)
            for kind, unfinished in drafts.items():
                content = BytesIO()  # of a full disk matplotlib's writer of PDF would say something else
                figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=undated[kind])
                unfinished.write_bytes(content.getbuffer())
    return finals["png"], finals["pdf"]


@contextmanager
def house_style() -> Iterator[None]:
    """The look of the page, whatever the reader's own matplotlib configuration says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sns.axes_style("ticks"))
        mpl.rcParams.update(
            {
                "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
                "font.size": 9,
                "axes.titlesize": 9.5,
                "legend.fontsize": 9,
                "legend.title_fontsize": 9,
                "axes.grid": True,
                "axes.axisbelow": True,
                "grid.color": "0.92",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "lines.markersize": 4.5,
                "pdf.fonttype": 42,
            }
        )
        yield


def page(height: float) -> Figure:
    """An empty figure of README width that makes room for whatever is put on it."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def settle(figure: Figure) -> None:
    """Make the layout once, to the sixth decimal: the last digits of the solver differ between runs."""
    figure.set_dpi(DOTS_PER_INCH)  # letters are of whole dots: the layout is of those that are saved
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(float(length), 6) for length in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int, note: str | None = None) -> None:
    """One legend for all panels, below them, with a note on how to read the marks as its title."""
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        title=note,
        handlelength=3.2,
    )


def handle(look: Look, *, line: bool = True, filled: bool = True) -> Line2D:
    """A legend entry for a look."""
    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.line if line else "none",
        marker=look.marker,
        markerfacecolor=look.colour if filled else "white",
        label=look.label,
    )


def optimum_handle() -> Line2D:
    """The legend entry for the line at the optimum."""
    return Line2D([], [], color="black", linestyle="--", linewidth=1, label="optimum G*")


def of_runs(n: int) -> dict[str, Any]:
    """The line of an interval over so many runs."""
    return SURE if n > FEW else GUESS


def curve_note(counts: Iterable[int]) -> str:
    """How `draw_curve` draws curves of so many seeds."""
    counts = set(counts)
    many, few = any(n > FEW for n in counts), any(1 < n <= FEW for n in counts)
    if many and few:
        return (
            f"mean over n seeds, and its 95% bootstrap interval or, where n is {FEW} or less, each seed as a thin line"
        )
    if many:
        return "mean over n seeds with its 95% bootstrap interval"
    return "mean over n seeds, and each seed as a thin line" if few else "one seed each"


def interval_note(counts: Iterable[int], of: str = "mean over n seeds with its 95% bootstrap interval") -> str:
    """What marks and lines are of so many seeds, and how the intervals of few are drawn, where there are such."""
    counts = set(counts)
    where = "as" if max(counts, default=0) <= FEW else "where"
    few = [f"dotted {where} n is {FEW} or less"] if any(FEWEST <= n <= FEW for n in counts) else []
    none = [f"none where n < {FEWEST}"] if any(n < FEWEST for n in counts) else []
    return f"{of} ({', '.join([*few, *none])})" if few or none else of


def interval_over_runs(scores: Sequence[float]) -> Interval:
    """The interval that figures draw: always from the same generator, so that they rebuild exactly."""
    return bootstrap_interval(scores, generator=np.random.default_rng(BOOTSTRAP_SEED))


def by_seed(runs: pd.DataFrame, column: str, metric: str, name: str) -> pd.DataFrame:
    """The metric as [seeds, values of the column] without those at which no seed has it.

    Raises:
        ValueError: a seed has no row, or several, at one of the others; the error calls the runs `name`.
    """
    if runs.duplicated(["seed", column]).any():
        raise ValueError(f"{name} must have one row a seed and {column}, got several")
    table = runs.pivot(index="seed", columns=column, values=metric)  # noqa: PD010 - pivot_table averages repeats
    table = table.dropna(axis="columns", how="all")
    if table.isna().to_numpy().any():
        raise ValueError(f"{name} must have all seeds at the same values of {column}, got gaps in {metric}")
    return table


def draw_curve(
    axes: Axes,
    table: pd.DataFrame,
    look: Look,
    *,
    size: float = 4.5,
    opacity: float = 1.0,
    band_opacity: float = 0.2,
    every: tuple[int, int] = (0, 1),
) -> Band:
    """Draw the mean over the rows of a table [seeds, x] and its 95% band, or each seed where they are `FEW`.

    Args:
        axes: where.
        table: [seeds, x], its columns being x.
        look: of the line and the band.
        size: of the markers, in points.
        opacity: of line and band, 0 to 1.
        band_opacity: of the band, as a share of `opacity`.
        every: (first, step) of the points that have a marker.

    Returns:
        The mean, and from where to where what is drawn around it reaches: the band, always from the same generator, as
        in `interval_over_runs`, or the seeds.
    """
    x, seeds = table.columns.to_numpy(np.float64), table.to_numpy(np.float64)
    if len(seeds) > FEW:
        band = bootstrap_band(table, generator=np.random.default_rng(BOOTSTRAP_SEED))
        axes.fill_between(
            x, band.low, band.high, color=look.colour, alpha=band_opacity * opacity, linewidth=0, zorder=1.5
        )
    else:
        band = Band(seeds.mean(axis=0), seeds.min(axis=0), seeds.max(axis=0))
        if len(seeds) > 1:
            draw_seeds(axes, table, look, opacity=opacity)
    axes.plot(
        x,
        band.estimate,
        color=look.colour,
        alpha=opacity,
        linestyle=look.line,
        linewidth=1.5,
        marker=look.marker,
        markerfacecolor=look.colour,
        markersize=size,
        markevery=every,
    )
    return band


def draw_seeds(axes: Axes, table: pd.DataFrame, look: Look, *, opacity: float = 1.0) -> None:
    """Draw each row of a table [seeds, x] as a thin line."""
    for seed in table.to_numpy(np.float64):
        x = table.columns.to_numpy(np.float64)
        axes.plot(x, seed, color=look.colour, alpha=0.45 * opacity, linewidth=0.6, zorder=1.6)


def draw_runs(
    axes: Axes,
    y: float,
    scores: Sequence[float],
    interval: Interval,
    look: Look,
    *,
    height: float,
    filled: bool = True,
) -> None:
    """One line of a dot plot: every run as a faint dot spread over `height`, their mean and its interval."""
    spread = np.linspace(-height / 2, height / 2, len(scores)) if len(scores) > 1 else np.zeros(1)
    few = len(scores) <= FEW
    axes.plot(scores, y + spread, ".", color=look.colour, alpha=0.7 if few else 0.35, markersize=4, markeredgewidth=0)
    if np.isfinite(interval.low):
        axes.plot([interval.low, interval.high], [y, y], color=look.colour, **of_runs(len(scores)))
    face = look.colour if filled else "white"
    axes.plot([interval.estimate], [y], look.marker, color=look.colour, markerfacecolor=face, markersize=5.5)


def share_axis(axes: Axes, lines: Sequence[str], marked: float = 1) -> None:
    """A share from 0 to 1 across, G / G* say, and a named line of the dot plot for each entry."""
    axes.axvline(marked, color="black", linestyle="--", linewidth=1)
    axes.set_xlim(-0.04, 1.08)
    name_lines(axes, lines)


def name_lines(axes: Axes, names: Sequence[str], *, grid: bool = False) -> None:
    """One line for each name, from above: y = 0, 1 and so on; with a grid, each is drawn across the panel."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=grid, axis="y")


def mark_budgets(axes: Axes, ends: Iterable[float]) -> None:
    """An upright line at the end of each budget of training that occurs, see `budget_handle`."""
    for end in sorted(set(ends)):
        axes.axvline(end, color=BUDGET.colour, linestyle=BUDGET.line, linewidth=1, zorder=1.4)


def budget_handle() -> Line2D:
    """The legend entry for the lines of `mark_budgets`."""
    return Line2D([], [], color=BUDGET.colour, linestyle=BUDGET.line, linewidth=1, label=BUDGET.label)


def count_label(counts: Iterable[int]) -> str:
    """'n = 8' or, if they differ, 'n = 5 to 24'."""
    low, high = min(counts := list(counts)), max(counts)
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def thousands(value: float, _position: int = 0) -> str:
    """Tick text for joint steps: 8000 -> '8k', 1500000 -> '1.5M'."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def only_value(name: str, frame: pd.DataFrame, column: str, noun: str) -> int:
    """The one whole number that a column holds.

    Raises:
        ValueError: there are several; the error calls the frame `name` and the number `noun`.
    """
    values = sorted(int(value) for value in frame[column].unique())
    if len(values) > 1:
        raise ValueError(f"{name} must be of one {noun}, got {values}")
    return values[0]

"""Pictures of the Ising lattice: equilibrium states side by side, and one run as an animation."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.film import canvas, pixels_a_cell, write
from mfmarl.figures.ising import METHODS
from mfmarl.figures.style import WIDTH, house_style, legend_below, page

TONES = {-1: "#12305A", 1: "#F5DEB3"}  # dark and light: apart in grey, in print and with any colour vision
CAPTION_PIXELS = 30


@house_style()
def spins(snapshots: pd.DataFrame) -> Figure:
    """Spin pictures: a row for each method (MF-Q above MCMC), a column for each temperature.

    Args:
        snapshots: method (mf-q, mcmc), temperature (tau), runs (of which the picture is the median), row, spins (a
            lattice row as L characters "+" and "-").

    Raises:
        ValueError: a missing column, an unknown method, or a picture that is not L x L of "+" and "-".
    """
    require_columns("snapshots", snapshots, ["method", "temperature", "runs", "row", "spins"])
    if unknown := sorted(set(snapshots["method"]) - set(METHODS)):
        raise ValueError(f"snapshots: method must be one of {list(METHODS)}, got {unknown}")
    methods = [method for method in METHODS if method in set(snapshots["method"])]
    temperatures = sorted(snapshots["temperature"].unique())
    figure = page(1.0 + len(methods) * (0.4 + 0.92 * WIDTH / max(2, len(temperatures))))
    grid = figure.subplots(len(methods), len(temperatures), squeeze=False)
    for pictures, method in zip(grid, methods, strict=True):
        for axes, temperature in zip(pictures, temperatures, strict=True):
            axes.set(xticks=[], yticks=[])
            if method == methods[0]:
                axes.set_title(f"tau = {float(temperature)}")
            lines = snapshots[(snapshots["method"] == method) & (snapshots["temperature"] == temperature)]
            if lines.empty:
                axes.set_xlabel("not run")
                axes.set_box_aspect(1)
                continue
            sites = lattice(lines, f"snapshots: {method}, tau = {float(temperature)}")
            axes.imshow(sites, cmap=_colours(), vmin=-1, vmax=1, interpolation="none")
            axes.spines[:].set_visible(True)
            axes.set_xlabel(f"order parameter {abs(sites.mean()):.2f}")
        pictures[0].set_ylabel(METHODS[method].label, fontsize=11)
    keys = {1: "spin up, +1", -1: "spin down, -1"}
    counts = " or ".join(map(str, sorted(snapshots["runs"].unique())))
    note = (
        "one run of each"
        if counts == "1"
        else f"each the median, by its order parameter at the end, of n = {counts} runs"
    )
    legend_below(figure, [Patch(facecolor=TONES[s], edgecolor="0.3", label=text) for s, text in keys.items()], 2, note)
    return figure


@house_style()
def animation(
    frames: ArrayLike, captions: Sequence[str], path: str | os.PathLike[str], frames_per_second: int = 12
) -> Path:
    """Write the frames as an animated GIF that plays for ever, and return its path.

    Equal frames and captions give equal bytes. The file is complete or absent. A site is a square of whole
    pixels, the lattice at least 400 across.

    Args:
        frames: spins +-1, [frames, L, L].
        captions: a line above each picture, such as "step 120, order parameter 0.43".
        path: of the file, with or without its ending .gif.
        frames_per_second: 12 is our choice; see `mfmarl.figures.film.write`.

    Raises:
        ValueError: frames of another shape or other values, another number of captions, or frames_per_second
            that is not positive.
    """
    lattices = _checked(frames, captions)
    final = Path(path) if Path(path).suffix == ".gif" else Path(path).with_name(f"{Path(path).name}.gif")
    sites = lattices.shape[-1]
    side = sites * pixels_a_cell(sites)
    figure, axes = canvas(side, CAPTION_PIXELS)
    image = axes.imshow(lattices[0], cmap=_colours(), vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
    text = figure.text(8 / side, 1 - CAPTION_PIXELS / (side + CAPTION_PIXELS) / 2, "", va="center_baseline")

    def show(index: int) -> None:
        image.set_data(lattices[index])
        text.set_text(captions[index])

    write(figure, show, len(lattices), final, frames_per_second)
    return final


def lattice(lines: pd.DataFrame, name: str) -> NDArray[np.int8]:
    """The spins [L, L] of one picture.

    Args:
        lines: row, spins (a lattice row as L characters "+" and "-"); in any order.
        name: what the error calls the picture.

    Raises:
        ValueError: it is not L x L of "+" and "-".
    """
    rows = lines.sort_values("row")["spins"].to_list()
    if {len(row) for row in rows} != {len(rows)} or set("".join(rows)) - {"+", "-"}:
        raise ValueError(f"{name} must be L rows of L characters + and -, got {rows[:2]} and so on")
    return np.array([[1 if spin == "+" else -1 for spin in row] for row in rows], np.int8)


def _colours() -> ListedColormap:
    """Of the spins -1 and +1."""
    return ListedColormap([TONES[-1], TONES[1]])


def _checked(frames: ArrayLike, captions: Sequence[str]) -> NDArray[np.int8]:
    """Spins [frames, L, L].

    Raises:
        ValueError: as `animation`.
    """
    lattices = np.asarray(frames)
    if lattices.ndim != 3 or not lattices.size or lattices.shape[1] != lattices.shape[2]:
        raise ValueError(f"frames must be of shape [frames, L, L] and not empty, got {lattices.shape}")
    if not (np.abs(lattices) == 1).all():
        raise ValueError(f"frames must hold spins +1 and -1, got {np.unique(lattices)[:5].tolist()}")
    if len(captions) != len(lattices):
        raise ValueError(f"captions must be as many as the {len(lattices)} frames, got {len(captions)}")
    return lattices.astype(np.int8)

"""A Battle as a film: two armies of discs and squares that grow pale as they lose hp."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike, NDArray

from mfmarl.figures.film import canvas, pixels_a_cell, write
from mfmarl.figures.style import house_style

ARMIES = ("#0072B2", "#D55E00")  # Okabe and Ito's blue and vermillion: apart with any colour vision
WALL, FLOOR = "#4D4D4D", "#FFFFFF"
FULL_HP = 10.0
SHADES = 5  # blows of 2 that take an agent of full hp down
HEADING_PIXELS = 48  # two lines
HELD_SECONDS = 2  # for which the last picture stays, our choice


@house_style()
def film(
    positions: ArrayLike,
    hp: ArrayLike,
    captions: Sequence[str],
    map_size: int,
    path: str | os.PathLike[str],
    names: tuple[str, str] = ("blue", "orange"),
    frames_per_second: int = 10,
) -> Path:
    """Write a round as an animated GIF that plays for ever, or as an MP4 video, and return its path.

    The ending of the path decides; MP4 needs ffmpeg where matplotlib finds it. The first army is blue discs, the
    second vermillion squares. Each agent is outlined, and the less hp it has the paler it is filled. Above the map
    stand the names and the survivors of the armies, and below these the caption. A cell is a square of whole pixels,
    the map at least 400 across. Equal arguments give equal bytes of a GIF. The file is complete or absent.

    Args:
        positions: [frames, 2, agents, 2] integers: cells x (to the right), y (down); -1 for the dead.
        hp: [frames, 2, agents], 0 to 10, to rounding; that of the dead is ignored.
        captions: one a frame, such as "step 120".
        map_size: cells across, the border of walls included.
        path: of the file, ending in .gif or .mp4.
        names: of the two armies.
        frames_per_second: 10 is our choice; see `mfmarl.figures.film.write`.

    Raises:
        ValueError: another ending, or .mp4 without ffmpeg; positions or hp of another shape or type or outside the
            map; another number of captions; or frames_per_second that is not positive.
    """
    cells, strengths = _checked(positions, hp, captions, map_size)
    pixels = pixels_a_cell(map_size)
    side = pixels * map_size
    figure, axes = canvas(side, HEADING_PIXELS)
    image = axes.imshow(np.zeros((side, side, 3), np.uint8), interpolation="nearest", aspect="auto")
    line = HEADING_PIXELS / 2 / (side + HEADING_PIXELS)
    upper, lower = 1 - line / 2, 1 - 3 * line / 2
    texts = [
        figure.text(8 / side, upper, "", color=ARMIES[0], weight="bold", va="center_baseline"),
        figure.text(1 - 8 / side, upper, "", color=ARMIES[1], weight="bold", va="center_baseline", ha="right"),
        figure.text(0.5, lower, "", color="0.2", va="center_baseline", ha="center"),
    ]
    pictures = _pictures(cells, strengths, map_size, pixels)

    def show(index: int) -> None:
        image.set_data(next(pictures))
        survivors = (cells[index] >= 0).all(-1).sum(-1)
        headings = [f"{name} {count}" for name, count in zip(names, survivors, strict=True)]
        for text, heading in zip(texts, [*headings, captions[index]], strict=True):
            text.set_text(heading)

    write(figure, show, len(cells), Path(path), frames_per_second, HELD_SECONDS)
    return Path(path)


def shade(army: int, strength: float) -> NDArray[np.uint8]:
    """The colour [3] that fills an agent of that share of full hp, in as many shades as blows it can take."""
    steps = np.clip(np.ceil(strength * SHADES - 1e-3), 1, SHADES)
    return _bytes(*(1 + (part - 1) * (steps - 1) / (SHADES - 1) for part in to_rgb(ARMIES[army])))


def _pictures(
    cells: NDArray[np.int64], strengths: NDArray[np.float64], map_size: int, pixels: int
) -> Iterator[NDArray[np.uint8]]:
    """The map in each frame, [side, side, 3]."""
    empty = np.full((map_size, map_size, 3), _bytes(*to_rgb(FLOOR)))
    empty[[0, -1]] = empty[:, [0, -1]] = _bytes(*to_rgb(WALL))
    empty = empty.repeat(pixels, 0).repeat(pixels, 1)
    outlines = [_bytes(*to_rgb(colour)) for colour in ARMIES]
    stamps = _stamps(pixels)
    for places, shares in zip(cells, strengths, strict=True):
        picture = empty.copy()
        for army, (body, inside) in enumerate(stamps):
            for (x, y), share in zip(places[army], shares[army], strict=True):
                if x >= 0:
                    cell = picture[y * pixels : (y + 1) * pixels, x * pixels : (x + 1) * pixels]
                    cell[body] = outlines[army]
                    cell[inside] = shade(army, float(share))
        yield picture


def _stamps(pixels: int) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Of each army, the pixels of a cell that an agent covers and those inside its outline: a disc and a square."""
    offsets = np.abs(np.arange(pixels) - (pixels - 1) / 2)
    radius, line = pixels / 2, max(1, pixels // 8)
    distances = (np.hypot(*np.meshgrid(offsets, offsets)), np.maximum(*np.meshgrid(offsets, offsets)) + 0.08 * pixels)
    return [(distance <= radius, distance <= radius - line) for distance in distances]


def _bytes(red: float, green: float, blue: float) -> NDArray[np.uint8]:
    """A colour of parts in [0, 1] as bytes [3]."""
    return np.array([round(255 * part) for part in (red, green, blue)], np.uint8)


def _checked(
    positions: ArrayLike, hp: ArrayLike, captions: Sequence[str], map_size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cells [frames, 2, agents, 2] and shares of full hp [frames, 2, agents].

    Raises:
        ValueError: as `film`.
    """
    cells, points = np.asarray(positions), np.asarray(hp, np.float64)
    if cells.ndim != 4 or cells.shape[1] != 2 or cells.shape[3] != 2 or not cells.size or cells.dtype.kind not in "iu":
        raise ValueError(
            f"positions must be integers [frames, 2, agents, 2] and not empty, got {cells.dtype} {cells.shape}"
        )
    outside = (cells.min(-1) < 1) | (cells.max(-1) > map_size - 2)
    wrong = outside & ~(cells == -1).all(-1)
    if wrong.any():
        raise ValueError(
            f"positions must be in 1 .. {map_size - 2}, or -1 for the dead, got {cells[wrong][0].tolist()}"
        )
    if points.shape != cells.shape[:3]:
        raise ValueError(f"hp must be of shape {cells.shape[:3]} as the positions, got {points.shape}")
    if not ((points > -1e-3) & (points < FULL_HP + 1e-3)).all():
        raise ValueError(f"hp must be in 0 .. {FULL_HP:g}, got {points.min():g} to {points.max():g}")
    if len(captions) != len(cells):
        raise ValueError(f"captions must be as many as the {len(cells)} frames, got {len(captions)}")
    return cells.astype(np.int64), points / FULL_HP

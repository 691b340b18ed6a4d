"""Films: pictures of whole pixels below a heading, written frame by frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL.Image import Image

from mfmarl.files import atomic

Kind = Literal["gif", "mp4"]

PIXELS = 400  # at least, across a picture


def check_kind(kind: str, name: str = "kind") -> None:
    """Check that a film of this kind can be written here.

    Raises:
        ValueError: another kind, or mp4 without ffmpeg; the error calls it `name`.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"{name} must be {' or '.join(get_args(Kind))}, got {kind!r}")
    if kind == "mp4" and not FFMpegWriter.isAvailable():
        raise ValueError(
            f"{name} must be gif, got 'mp4', which needs the program ffmpeg, and matplotlib does not find it"
        )


def canvas(side: int, heading: int) -> tuple[Figure, Axes]:
    """A figure for square pictures below a heading, and the axes of the pictures; a pixel is a hundredth of an inch.

    Args:
        side: of a picture in pixels.
        heading: pixels above it, for text.
    """
    height = side + heading
    # A little more than whole pixels: writers cut off what is behind the point, and 407 / 100 * 100 is below 407.
    figure = Figure(figsize=((side + 1e-6) / 100, (height + 1e-6) / 100), dpi=100)
    # The pictures a little less: matplotlib before 3.11 would stretch them by a pixel.
    axes = figure.add_axes((0, 0, (side - 1e-6) / (side + 1e-6), (side - 1e-6) / (height + 1e-6)))
    axes.set_axis_off()
    return figure, axes


class OpaqueWriter(PillowWriter):
    """Of a GIF that keeps its colours: some versions of matplotlib hand transparent pictures on, which lose some."""

    def finish(self) -> None:
        """Write the file."""
        pictures: list[Image] = vars(self)["_frames"]
        pictures[:] = [picture.convert("RGB") for picture in pictures]
        super().finish()


def pixels_a_cell(cells: int) -> int:
    """The least number with which so many cells are PIXELS = 400 across, or more."""
    return -(-PIXELS // cells)


def write(
    figure: Figure,
    show: Callable[[int], None],
    frames: int,
    path: Path,
    frames_per_second: int,
    held_seconds: int = 0,
) -> None:
    """Write a film: a GIF that plays for ever, or an MP4 video, as the ending of the path says.

    The file is complete or absent. Equal pictures give equal bytes of a GIF, in which successive pictures that are
    equal are stored as one that is shown longer.

    Args:
        figure: from `canvas`.
        show: makes it the picture of a frame, given its number.
        frames: how many.
        path: of the file, ending in .gif or .mp4.
        frames_per_second: GIF keeps the time of a frame in hundredths of a second.
        held_seconds: for which the last picture stays.

    Raises:
        ValueError: frames_per_second that is not positive, another ending, or .mp4 without ffmpeg.
    """
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second must be positive, got {frames_per_second}")
    kind = path.suffix.removeprefix(".")
    check_kind(kind, "ending of path")
    writer = (FFMpegWriter if kind == "mp4" else OpaqueWriter)(fps=frames_per_second)
    with atomic(path) as unfinished, writer.saving(figure, str(unfinished), 100):
        for index in range(frames):
            show(index)
            writer.grab_frame()
        for _ in range(int(held_seconds * frames_per_second)):
            writer.grab_frame()

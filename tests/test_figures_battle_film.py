"""The films of Battle show every agent of every frame, rebuild to the same bytes, and refuse what is no film."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from mfmarl.figures import battle_film

SCALE = 40  # pixels of a cell on the map of 10 x 10


def test_a_film_shows_every_agent_of_every_frame(tmp_path: Path) -> None:
    positions, hp = round_of_three_frames()
    captions = ["step 0", "step 1", "step 2"]
    path = battle_film.film(positions, hp, captions, 10, tmp_path / "round.gif", ("MF-Q", "IL"))
    assert list(tmp_path.iterdir()) == [path]  # no draft is left behind
    headings = []
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) == 3
        assert film.info["loop"] == 0  # for ever
        for index in range(3):
            film.seek(index)
            assert film.info["duration"] == (100 if index < 2 else 2100)  # milliseconds: the last picture stays
            pixels = np.asarray(film.convert("RGB"))
            headings.append(pixels[:-400].tobytes())
            picture = pixels[-400:].reshape(10, SCALE, 10, SCALE, 3).swapaxes(1, 2)  # [y, x, SCALE, SCALE, 3]
            middle = picture[:, :, SCALE // 2, SCALE // 2]
            for y, x in itertools.product(range(10), range(10)):
                wall = {x, y} & {0, 9}
                expected = hex_bytes(battle_film.WALL if wall else battle_film.FLOOR)
                for army, agent in itertools.product(range(2), range(2)):
                    if positions[index, army, agent].tolist() == [x, y]:
                        expected = battle_film.shade(army, hp[index, army, agent] / 10).tolist()
                        outline = picture[y, x, SCALE // 2]
                        assert hex_bytes(battle_film.ARMIES[army]) in outline.tolist()
                        corner = picture[y, x, 4, 4].tolist() == hex_bytes(battle_film.ARMIES[army])
                        assert corner == (army == 1)  # a disc does not reach there, a square does
                assert middle[y, x].tolist() == expected, (index, x, y)
    assert len(set(headings)) == 3


def test_the_heading_counts_the_survivors(tmp_path: Path) -> None:
    positions, hp = round_of_three_frames()
    with Image.open(battle_film.film(positions, hp, ["", "", ""], 10, tmp_path / "round.gif")) as film:
        headings = []
        for index in range(3):
            film.seek(index)
            headings.append(np.asarray(film.convert("RGB"))[:-400])
    names = (headings[0] != headings[0][0, 0]).any(-1)
    assert names[:, :80].any(), "the first begins at the left edge"
    assert names[:, -80:].any(), "the second ends at the right one"
    left, right = np.array_split(headings[0] != headings[2], 2, axis=1)
    assert right.any()  # where an agent fell
    assert not left.any()
    np.testing.assert_array_equal(headings[0], headings[1])  # they moved only


def test_an_agent_grows_pale_with_every_blow() -> None:
    for army, colour in enumerate(battle_film.ARMIES):
        shades = [battle_film.shade(army, hp / 10).tolist() for hp in (10, 8, 6, 4, 2)]
        assert shades[0] == hex_bytes(colour)
        assert shades[-1] == [255, 255, 255]  # its outline alone
        assert all(sum(pale) > sum(full) for full, pale in itertools.pairwise(shades))
        assert battle_film.shade(army, 0.81).tolist() == shades[0]  # regained, another blow to take
        assert battle_film.shade(army, 0.80001).tolist() == shades[1]  # to rounding


def test_equal_films_are_equal_bytes_and_small(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    cells = np.stack([generator.permutation(38 * 38)[:128] for _ in range(10)])  # all anywhere: the hardest to compress
    positions = np.stack([cells % 38, cells // 38], -1).reshape(10, 2, 64, 2) + 1
    hp = generator.uniform(0.1, 10, (10, 2, 64))
    first, second = (
        battle_film.film(positions, hp, list("0123456789"), 40, tmp_path / name) for name in ("a.gif", "b.gif")
    )
    assert first.read_bytes() == second.read_bytes()
    assert 20 * first.stat().st_size < 3_000_000  # 200 frames


def test_a_failed_film_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions, hp = round_of_three_frames()
    path = battle_film.film(positions[:1], hp[:1], ["old"], 10, tmp_path / "round.gif")
    before = path.read_bytes()
    finish = PillowWriter.finish

    def fail(writer: PillowWriter) -> None:
        finish(writer)
        raise OSError("No space left on device")

    monkeypatch.setattr(PillowWriter, "finish", fail)
    with pytest.raises(OSError, match="No space left"):
        battle_film.film(positions, hp, ["", "", ""], 10, path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")
def test_a_film_can_be_an_mp4(tmp_path: Path) -> None:
    positions, hp = round_of_three_frames()
    path = battle_film.film(positions, hp, ["", "", ""], 10, tmp_path / "round.mp4")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes()[4:8] == b"ftyp"


def test_what_is_no_film_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    positions, hp = round_of_three_frames()
    captions, path = ["", "", ""], tmp_path / "round.gif"
    for wrong in (positions[:, :1], positions[0], positions.astype(float), positions[:0]):
        with pytest.raises(
            ValueError, match=r"positions must be integers \[frames, 2, agents, 2\] and not empty, got "
        ):
            battle_film.film(wrong, hp, captions, 10, path)
    for cell in ([0, 4], [4, 9], [-1, 3], [-2, -2]):
        outside = positions.copy()
        outside[1, 1, 0] = cell
        with pytest.raises(ValueError, match=rf"positions must be in 1 .. 8, or -1 for the dead, got \[{cell[0]}, "):
            battle_film.film(outside, hp, captions, 10, path)
    with pytest.raises(ValueError, match=r"hp must be of shape \(3, 2, 2\) as the positions, got \(3, 2, 1\)"):
        battle_film.film(positions, hp[..., :1], captions, 10, path)
    for factor in (-1, 2, math.nan):
        with pytest.raises(ValueError, match=r"hp must be in 0 .. 10, got "):
            battle_film.film(positions, factor * hp, captions, 10, path)
    with pytest.raises(ValueError, match=r"captions must be as many as the 3 frames, got 1"):
        battle_film.film(positions, hp, [""], 10, path)
    with pytest.raises(ValueError, match=r"frames_per_second must be positive, got 0"):
        battle_film.film(positions, hp, captions, 10, path, frames_per_second=0)
    with pytest.raises(ValueError, match=r"ending of path must be gif or mp4, got 'webm'"):
        battle_film.film(positions, hp, captions, 10, tmp_path / "round.webm")
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ValueError, match=r"ending of path must be gif, got 'mp4', which needs the program ffmpeg"):
        battle_film.film(positions, hp, captions, 10, tmp_path / "round.mp4")
    assert not list(tmp_path.iterdir())


def hex_bytes(colour: str) -> list[int]:
    return [round(255 * part) for part in to_rgb(colour)]


def round_of_three_frames() -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Two against two on a map of 10 x 10: all step, all fight, and one of the second army falls."""
    positions = np.array(
        [
            [[[1, 1], [2, 5]], [[8, 8], [7, 2]]],
            [[[2, 1], [3, 5]], [[6, 8], [4, 5]]],
            [[[2, 2], [3, 5]], [[6, 7], [-1, -1]]],
        ],
        np.int32,
    )
    hp = np.array([[[10, 10], [10, 10]], [[10, 6.1], [10, 2.0]], [[10, 4.2], [8.1, 0]]])
    return positions, hp

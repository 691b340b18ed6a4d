"""The Ising figures draw the numbers of their frames, rebuild to the same bytes, and refuse what they cannot draw."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from PIL import Image

from mfmarl.figures import ising, ising_spins, ising_training, style
from tests.artists import curve_of

CRITICAL = 1 / np.log(1 + np.sqrt(2))
TEMPERATURES = (0.8, 1.0, 1.2, 2.0)
ORDERS = ("checkerboard", "simultaneous", "released-code")
THREE_SITES_UP = ("++-", "---", "--+")


@pytest.mark.parametrize("name", ["order_parameter", "energy", "training", "spins", "binder"])
def test_equal_frames_give_equal_files(name: str, tmp_path: Path) -> None:
    first = style.save(draw(name), tmp_path / "first")
    np.random.seed(5)  # noqa: NPY002
    second = style.save(draw(name), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_order_parameter_has_a_panel_for_each_order() -> None:
    sweeps = {"simultaneous": 40_000, "released-code": 50_000}
    figure = ising.order_parameter(equilibrium_frame(), references_frame(), CRITICAL, sweeps)
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == list(ORDERS)
    last = [axes.get_title().rsplit("\n", 1)[1] for axes in figure.axes]
    assert last == ["paid against the neighbours seen", "40,000 sweeps", "50,000 sweeps"]
    for axes in figure.axes:
        assert CRITICAL in {float(np.ravel(line.get_xdata())[0]) for line in axes.get_lines()}
        assert axes.get_ylim()[0] == pytest.approx(0, abs=0.05)
        assert axes.get_ylim()[1] == pytest.approx(1, abs=0.05)
    assert [text.get_text() for text in figure.axes[0].texts] == ["tau_c =\n1.1346"]
    figure.draw_without_rendering()
    wide, *narrow = (axes.get_position().width for axes in figure.axes)
    assert all(wide > width for width in narrow)
    labels, note = legend(figure)
    looks = ["MF-Q", "MF-Q, a run", "its sublattices", "MCMC"]
    assert labels == [*looks, "Onsager, infinite lattice", "mean field"]
    assert "n = 5" in note
    assert "20 x 20 sites" in note


def test_order_parameter_draws_the_references_as_given() -> None:
    references = references_frame()
    axes = ising.order_parameter(equilibrium_frame(), references, CRITICAL).axes[0]
    for curve, points in references.groupby("curve"):
        assert has_line(axes, points["temperature"], points["order_parameter"]), curve
    assert axes.get_xlim()[1] < references["temperature"].max()  # they do not widen the panel


def test_an_order_that_was_not_run_has_no_panel() -> None:
    frame = equilibrium_frame().query("order not in ('released-code', 'simultaneous')")
    figure = ising.order_parameter(frame, references_frame(), CRITICAL)
    assert len(figure.axes) == 1
    assert not {"MF-Q, a run", "its sublattices"} & {*legend(figure)[0]}
    figure = ising.order_parameter(equilibrium_frame().query("order == 'simultaneous'"), references_frame(), CRITICAL)
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == ["simultaneous"]
    assert "MCMC" not in legend(figure)[0]


def test_energy_draws_means_exact_lines_and_deviations() -> None:
    frame, exact = equilibrium_frame(sizes=(8, 16)), exact_frame((8, 16, 32))
    figure = ising.energy(frame, exact, CRITICAL)
    grid = np.array(figure.axes).reshape(2, 2)
    for (above, below), size in zip(grid.T, (8, 16), strict=True):
        assert above.get_title() == f"{size} x {size} sites (n = 5)"
        truth = exact.query("size == @size")
        assert has_line(above, truth["temperature"], truth["energy"])
        for query in ("method == 'mf-q' and order == 'checkerboard'", "method == 'mcmc'"):
            runs = frame.query(query + " and size == @size")
            assert_drawn(above, runs, "temperature", "energy")
            # The synthetic truth is a formula: the deviation needs no look-up here.
            deviation = runs.assign(energy=runs["energy"] - exact_energy(runs["temperature"], size))
            assert_drawn(below, deviation, "temperature", "energy")
        absent = frame.query("order == 'simultaneous' and size == @size").groupby("temperature")["energy"].mean()
        assert not has_line(above, absent.index, absent)
    assert legend(figure)[0] == ["MF-Q", "MCMC", "exact, finite lattice"]


def test_training_says_what_it_shows() -> None:
    figure = ising_training.training(training_frame())
    figure.draw_without_rendering()
    assert "1k" in [text.get_text() for text in figure.axes[2].get_xticklabels()]
    names = ["MF-Q, checkerboard", "MF-Q, simultaneous", "MF-Q, released-code", "MCMC", "end of the budget"]
    assert legend(figure)[0] == names


def test_a_method_has_one_mark_in_every_figure_and_what_was_not_run_is_named() -> None:
    frame = training_frame()
    mine = frame[frame["method"] == "mf-q"].assign(method="il")
    frame = pd.concat([frame, mine])
    absent = (frame["method"] == "mf-q") & (frame["order"] == "simultaneous") & (frame["temperature"] == 1.2)
    figure = ising_training.training(frame[~absent])
    marks = {line.get_label(): line.get_marker() for line in figure.legends[0].legend_handles if line is not None}  # type: ignore[attr-defined]
    assert {mark for name, mark in marks.items() if str(name).startswith("MF-Q")} == {ising.METHODS["mf-q"].marker}
    assert marks["IL, checkerboard"] == ising.METHODS["il"].marker == ising.CROSS["marker"]
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [[], ["not run:\nMF-Q, simultaneous"], [], []]


@pytest.mark.parametrize("name", ["order_parameter", "energy", "training", "spins", "binder"])
def test_no_legend_and_no_label_of_tau_c_is_cut(name: str) -> None:
    figure = draw(name)
    figure.draw_without_rendering()
    (box,) = (legend.get_window_extent() for legend in figure.legends)
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    for axes in figure.axes:
        for text in axes.texts:
            inside, panel = text.get_window_extent(), axes.get_window_extent()
            assert panel.x0 <= inside.x0 < inside.x1 <= panel.x1


@pytest.mark.parametrize(
    ("errors", "scale"),
    [
        ((1.0, 0.5, 0.4), "linear"),
        ((1.0, 0.1, 0.001), "log"),
        ((1.0, 0.01, 0.0), "symlog"),
        ((0.0, 0.0, 0.0), "linear"),
    ],
)
def test_the_scale_of_errors_has_a_place_for_zero(errors: tuple[float, ...], scale: str) -> None:
    frame = training_frame().query("method == 'mf-q'")
    frame["q_error"] = frame["step"].map(dict(zip((0, 500, 1000), errors, strict=True)))
    axes = ising_training.training(frame).axes[2]
    assert axes.get_yscale() == scale
    assert ("linear below" in axes.get_ylabel()) == (scale == "symlog")
    if scale != "log":
        assert axes.get_ylim()[0] <= 0
    low, high = axes.get_ylim()
    assert low <= min(errors)
    assert high >= max(errors)


def test_spin_pictures_show_the_rows_in_order() -> None:
    snapshots = snapshots_frame()
    figure = ising_spins.spins(snapshots.sample(frac=1, random_state=0))
    grid = np.array(figure.axes).reshape(2, 2)
    assert [axes.get_title() for axes in grid[0]] == ["tau = 0.9", "tau = 2.0"]
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["MF-Q", "MCMC"]
    assert shown(grid[0, 0]).tolist() == [[1, 1, -1], [-1, -1, -1], [-1, -1, 1]]
    assert shown(grid[1, 1]).tolist() == [[1, 1, 1]] * 3
    assert grid[0, 0].get_xlabel() == "order parameter 0.33"  # |3 - 6| / 9
    assert grid[1, 1].get_xlabel() == "order parameter 1.00"
    assert not any(axes.get_xticks().size or axes.get_yticks().size for axes in grid.flat)
    patches = zip(legend(figure)[0], figure.legends[0].get_patches(), strict=True)
    tones = {text: patch.get_facecolor()[:3] for text, patch in patches}
    image = grid[0, 0].get_images()[0]
    for spin, text in ((1, "spin up, +1"), (-1, "spin down, -1")):
        assert image.cmap(image.norm(spin))[:3] == tones[text]


def test_spin_pictures_say_of_how_many_runs_they_are_the_median() -> None:
    def note(runs: int | pd.Series) -> str:
        return ising_spins.spins(snapshots_frame().assign(runs=runs)).legends[0].get_title().get_text()

    assert note(16) == "each the median, by its order parameter at the end, of n = 16 runs"
    assert note(1) == "one run of each"
    assert "of n = 3 or 16 runs" in note(snapshots_frame()["method"].map({"mf-q": 16, "mcmc": 3}))


def test_a_lattice_is_read_from_its_lines_in_any_order() -> None:
    lines = pd.DataFrame({"row": [2, 0, 1], "spins": [THREE_SITES_UP[row] for row in (2, 0, 1)]})
    assert ising_spins.lattice(lines, "mine").tolist() == [[1, 1, -1], [-1, -1, -1], [-1, -1, 1]]
    with pytest.raises(ValueError, match=r"mine must be L rows of L characters \+ and -, got \['\+\+-', '---'\]"):
        ising_spins.lattice(lines[lines["row"] < 2], "mine")


def test_a_picture_that_was_not_taken_says_so() -> None:
    grid = ising_spins.spins(snapshots_frame().query("method == 'mf-q' or temperature < 1")).axes
    assert [axes.get_xlabel() for axes in grid][-1] == "not run"


def test_binder_draws_cumulants_bars_and_crossings() -> None:
    cumulants, fits, crossings = binder_frames()
    figure = ising.binder(cumulants, fits, crossings, CRITICAL)
    assert [axes.get_title() for axes in figure.axes] == ["MF-Q", "MCMC", "crossing of two sizes"]
    for axes, method in zip(figure.axes, ("mf-q", "mcmc"), strict=False):
        bars = [np.asarray(path.vertices, float) for bars in axes.collections for path in bars.get_paths()]
        ends = {(float(bar[0, 1]), float(bar[1, 1])) for bar in bars}
        for _, points in cumulants[cumulants["method"] == method].groupby("size"):
            assert has_line(axes, points["temperature"], points["cumulant"])
            assert set(zip(points["low"], points["high"], strict=True)) <= ends
    last = figure.axes[-1]
    assert [text.get_text() for text in last.get_yticklabels()] == ["MF-Q: 8, 16", "MF-Q: 16, 32", "MCMC: 16, 32"]
    for y, line in enumerate(crossings.itertuples()):
        assert has_line(last, [line.estimate], [y])
        assert has_line(last, [line.low, line.high], [y, y])
    assert all(has_line(axes, [CRITICAL, CRITICAL], [0, 1]) for axes in figure.axes)  # the exact value, bottom to top
    assert legend(figure)[0] == ["8 x 8 sites", "16 x 16 sites", "32 x 32 sites"]


@pytest.mark.parametrize(("n", "dashed"), [(None, False), (5, True), (6, False)])
def test_intervals_of_cumulants_are_dotted_where_they_are_of_few_seeds(n: int | None, dashed: bool) -> None:
    cumulants, fits, crossings = (frame.drop(columns="n", errors="ignore") for frame in binder_frames())
    if n is not None:
        cumulants, crossings = cumulants.assign(n=n), crossings.assign(n=n)
    figure = ising.binder(cumulants, fits, crossings, CRITICAL)
    for bars in figure.axes[0].collections:
        look: Any = bars
        (_, dashes), *_ = look.get_linestyle()
        assert (dashes is not None) == dashed
    ends = [line for line in figure.axes[-1].get_lines() if len(set(np.asarray(line.get_ydata(), float))) == 1]
    intervals = {line.get_linestyle() for line in ends if line.get_marker() in ("None", "")}
    assert intervals == {"--" if dashed else "-"}


def test_an_animation_has_the_spins_of_every_frame(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (7, 30, 30))
    captions = [f"step {step}" for step in range(7)]
    path = ising_spins.animation(frames, captions, tmp_path / "run")
    assert list(tmp_path.iterdir()) == [path]  # no draft is left behind
    assert path.name == "run.gif"
    headings = []
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) == 7
        assert film.info["loop"] == 0  # for ever
        for index, frame in enumerate(frames):
            film.seek(index)
            assert film.info["duration"] == 80  # milliseconds: 1 / 12 s in the format's hundredths
            pixels = np.asarray(film.convert("RGB"))
            side = pixels.shape[1]
            assert side % 30 == 0
            tones = np.array([to_rgb(ising_spins.TONES[spin]) for spin in (-1, 1)])
            expected = np.round(255 * tones[(frame > 0).astype(int)]).astype(np.uint8)
            block = np.ones((side // 30, side // 30, 1), np.uint8)
            np.testing.assert_array_equal(pixels[-side:], np.kron(expected, block))
            headings.append(pixels[:-side].tobytes())
    assert len(set(headings)) == 7  # a caption each
    with Image.open(ising_spins.animation(frames, captions, tmp_path / "slow", frames_per_second=1)) as film:
        assert film.info["duration"] == 1000


def test_equal_animations_are_equal_bytes_and_small(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).choice([-1, 1], (10, 100, 100))  # noise is the hardest to compress
    first, second = (ising_spins.animation(frames, list("0123456789"), tmp_path / name) for name in ("a", "b.gif"))
    assert first.read_bytes() == second.read_bytes()
    assert 6 * first.stat().st_size < 2_000_000  # 60 frames


def test_a_failed_animation_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ising_spins.animation(np.ones((1, 4, 4)), ["old"], tmp_path / "run")
    before = path.read_bytes()
    finish = PillowWriter.finish

    def fail(writer: PillowWriter) -> None:
        finish(writer)
        raise OSError("No space left on device")

    monkeypatch.setattr(PillowWriter, "finish", fail)
    with pytest.raises(OSError, match="No space left"):
        ising_spins.animation(-np.ones((1, 4, 4)), ["new"], tmp_path / "run")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_missing_column_is_refused_by_name() -> None:
    equilibrium, references, exact = equilibrium_frame(), references_frame(), exact_frame((20,))
    cumulants, fits, crossings = binder_frames()
    for column in ("method", "order", "size", "temperature", "seed", "order_parameter", "sublattice_order_parameter"):
        with pytest.raises(ValueError, match=rf"equilibrium lacks the columns \['{column}'\]"):
            ising.order_parameter(equilibrium.drop(columns=column), references, CRITICAL)
    with pytest.raises(ValueError, match=r"references lacks the columns \['curve'\]"):
        ising.order_parameter(equilibrium, references.drop(columns="curve"), CRITICAL)
    with pytest.raises(ValueError, match=r"equilibrium lacks the columns \['energy'\]"):
        ising.energy(equilibrium.drop(columns="energy"), exact, CRITICAL)
    with pytest.raises(ValueError, match=r"exact lacks the columns \['size'\]"):
        ising.energy(equilibrium, exact.drop(columns="size"), CRITICAL)
    with pytest.raises(ValueError, match=r"training lacks the columns \['q_error'\]"):
        ising_training.training(training_frame().drop(columns="q_error"))
    with pytest.raises(ValueError, match=r"snapshots lacks the columns \['spins'\]"):
        ising_spins.spins(snapshots_frame().drop(columns="spins"))
    with pytest.raises(ValueError, match=r"cumulants lacks the columns \['low'\]"):
        ising.binder(cumulants.drop(columns="low"), fits, crossings, CRITICAL)
    with pytest.raises(ValueError, match=r"crossings lacks the columns \['sizes'\]"):
        ising.binder(cumulants, fits, crossings.drop(columns="sizes"), CRITICAL)
    with pytest.raises(ValueError, match=r"fits lacks the columns \['sizes'\]"):
        ising.binder(cumulants, fits.drop(columns="sizes"), crossings, CRITICAL)


def test_frames_that_cannot_be_drawn_are_refused() -> None:
    equilibrium, references, exact = equilibrium_frame(), references_frame(), exact_frame((20,))
    with pytest.raises(ValueError, match=r"equilibrium must be of one lattice size, got \[8, 16\]"):
        ising.order_parameter(equilibrium_frame(sizes=(16, 8)), references, CRITICAL)
    with pytest.raises(ValueError, match=r"order of all but mcmc must be one of \['checkerboard', .* got \['spiral'\]"):
        ising.order_parameter(equilibrium.assign(order="spiral"), references, CRITICAL)
    with pytest.raises(ValueError, match=r"references: curve must be one of .* got \['Bethe'\]"):
        ising.order_parameter(equilibrium, references.assign(curve="Bethe"), CRITICAL)
    with pytest.raises(ValueError, match=r"mf-q \(orders \['checkerboard'\]\) must have all seeds at the same values"):
        ising.energy(equilibrium.iloc[1:], exact, CRITICAL)
    twice = pd.concat([equilibrium, equilibrium.query("method == 'mcmc'").assign(order="checkerboard")])
    with pytest.raises(ValueError, match=r"mcmc \(orders \['checkerboard', 'random-site'\]\) must have one row a seed"):
        ising.energy(twice, exact, CRITICAL)
    with pytest.raises(ValueError, match=r"exact lacks the temperatures \[2.0\] of size 20"):
        ising.energy(equilibrium, exact.query("temperature != 2.0"), CRITICAL)
    with pytest.raises(ValueError, match=r"has no rows"):
        ising.energy(equilibrium.query("order == 'simultaneous'"), exact, CRITICAL)
    with pytest.raises(ValueError, match=r"training must be of one lattice size, got \[10, 20\]"):
        ising_training.training(pd.concat([training_frame(), training_frame().assign(size=10)]))
    with pytest.raises(ValueError, match=r"training must hold mcmc, or another method in one of"):
        ising_training.training(training_frame().assign(method="il", order="spiral"))
    with pytest.raises(ValueError, match=r"method must be one of \['mf-q', 'mcmc', 'il'\], got \['ac'\]"):
        ising_spins.spins(snapshots_frame().assign(method="ac"))
    for spins in ("++x", "++"):
        with pytest.raises(ValueError, match=r"mf-q, tau = 0.9 must be L rows of L characters"):
            ising_spins.spins(snapshots_frame().assign(spins=spins))


def test_frames_that_are_no_film_are_refused(tmp_path: Path) -> None:
    good = np.ones((2, 4, 4))
    with pytest.raises(ValueError, match=r"frames must be of shape \[frames, L, L\] and not empty, got \(2, 4, 5\)"):
        ising_spins.animation(np.ones((2, 4, 5)), ["", ""], tmp_path / "run")
    one_zero = good.copy()
    one_zero[0, 0, 0] = 0
    for wrong in (0 * good, one_zero):
        with pytest.raises(ValueError, match=r"frames must hold spins \+1 and -1, got \[0.0"):
            ising_spins.animation(wrong, ["", ""], tmp_path / "run")
    with pytest.raises(ValueError, match=r"captions must be as many as the 2 frames, got 1"):
        ising_spins.animation(good, [""], tmp_path / "run")
    with pytest.raises(ValueError, match=r"frames_per_second must be positive, got 0"):
        ising_spins.animation(good, ["", ""], tmp_path / "run", frames_per_second=0)
    assert not list(tmp_path.iterdir())


def test_one_seed_is_drawn_without_a_band() -> None:
    figure = ising.order_parameter(equilibrium_frame().query("seed == 0"), references_frame(), CRITICAL)
    assert "n = 1" in legend(figure)[1].rsplit(";", 1)[1]
    figure.draw_without_rendering()


def test_mcmc_looks_like_no_learner() -> None:
    others = [*style.LOOKS.values(), *ising_training.TRAINED.values()]
    assert style.MCMC.colour not in {look.colour for look in others}
    assert style.MCMC.marker not in {look.marker for look in others}
    assert len({look.colour for look in ising_training.TRAINED.values()}) == 3


def assert_drawn(axes: Axes, runs: pd.DataFrame, column: str, metric: str) -> None:
    """The mean and the few seeds are lines of the panel."""
    for x, y in curve_of(runs.pivot_table(index="seed", columns=column, values=metric))[0]:
        assert has_line(axes, x, y)


def has_line(axes: Axes, x: object, y: object) -> bool:
    wanted = np.array([np.asarray(x, float), np.asarray(y, float)])
    drawn = [np.array([line.get_xdata(), line.get_ydata()], float) for line in axes.get_lines()]
    return any(line.shape == wanted.shape and np.allclose(line, wanted) for line in drawn)


def shown(axes: Axes) -> NDArray[np.int8]:
    image = axes.get_images()[0]
    assert isinstance(image, AxesImage)
    assert image.origin == "upper"
    return np.asarray(image.get_array())


def legend(figure: Figure) -> tuple[list[str], str]:
    """Its labels and its note."""
    return [text.get_text() for text in figure.legends[0].get_texts()], figure.legends[0].get_title().get_text()


def draw(name: str) -> Figure:
    """One small figure of each kind."""
    first = equilibrium_frame().query("order not in ('simultaneous', 'released-code')")
    cumulants, fits, crossings = binder_frames()
    figure: Figure = {
        "order_parameter": lambda: ising.order_parameter(first, references_frame(), CRITICAL),
        "energy": lambda: ising.energy(first, exact_frame((20,)), CRITICAL),
        "training": lambda: ising_training.training(training_frame().query("temperature == 0.8")),
        "spins": lambda: ising_spins.spins(snapshots_frame()),
        "binder": lambda: ising.binder(cumulants, fits, crossings, CRITICAL),
    }[name]()
    return figure


def equilibrium_frame(sizes: tuple[int, ...] = (20,), seeds: int = 5) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    pairs = [*(("mf-q", order) for order in ORDERS), ("mcmc", "random-site")]
    keys = [(*pair, *rest) for pair, *rest in itertools.product(pairs, sizes, TEMPERATURES, range(seeds))]
    frame = pd.DataFrame(keys, columns=["method", "order", "size", "temperature", "seed"])
    frame["order_parameter"] = generator.uniform(0, 0.5, len(frame))
    frame["sublattice_order_parameter"] = generator.uniform(0.5, 1, len(frame))
    noise = generator.normal(0, 0.02, len(frame))
    return frame.assign(energy=exact_energy(frame["temperature"], frame["size"]) + noise)


def exact_energy(temperature: "pd.Series[float]", size: "pd.Series[int] | int") -> "pd.Series[float]":
    return -2 + temperature / 2 + 1 / (size * temperature)  # any smooth function


def exact_frame(sizes: tuple[int, ...]) -> pd.DataFrame:
    temperatures = sorted({*TEMPERATURES, *np.linspace(0.5, 2.5, 7)})
    frame = pd.DataFrame(list(itertools.product(sizes, temperatures)), columns=["size", "temperature"])
    return frame.assign(energy=exact_energy(frame["temperature"], frame["size"]))


def references_frame() -> pd.DataFrame:
    """Onsager's spontaneous magnetisation, and a curve in the place of the mean field's."""
    temperatures = np.linspace(0.5, 2.5, 21)
    inner = 1 - np.sinh(1 / np.minimum(temperatures, CRITICAL)) ** -4.0
    curves = {
        "Onsager, infinite lattice": np.maximum(inner, 0) ** 0.125,
        "mean field": np.sqrt(np.maximum(1 - temperatures / 2, 0)),
    }
    return pd.concat(
        pd.DataFrame({"curve": name, "temperature": temperatures, "order_parameter": values})
        for name, values in curves.items()
    )


def training_frame(seeds: int = 3) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    pairs = [*(("mf-q", order) for order in ORDERS), ("mcmc", "random-site")]
    keys = [(*pair, 20, *rest) for pair, *rest in itertools.product(pairs, (0.8, 1.2), range(seeds), (0, 500, 1000))]
    frame = pd.DataFrame(keys, columns=["method", "order", "size", "temperature", "seed", "step"])
    frame["order_parameter"] = generator.uniform(0, 1, len(frame))
    return frame.assign(q_error=generator.uniform(0.1, 1, len(frame))).assign(
        q_error=lambda rows: rows["q_error"].where(rows["method"] == "mf-q")
    )


def snapshots_frame() -> pd.DataFrame:
    pictures = {
        ("mf-q", 0.9): THREE_SITES_UP,
        ("mf-q", 2.0): ("+-+", "-+-", "+-+"),
        ("mcmc", 0.9): ("---", "---", "---"),
        ("mcmc", 2.0): ("+++", "+++", "+++"),
    }
    rows = [(*key, row, spins) for key, picture in pictures.items() for row, spins in enumerate(picture)]
    return pd.DataFrame(rows, columns=["method", "temperature", "row", "spins"]).assign(runs=3)


def binder_frames() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    keys = list(itertools.product(("mf-q", "mcmc"), (8, 16, 32), (1.05, 1.1, 1.15, 1.2)))
    cumulants = pd.DataFrame(keys, columns=["method", "size", "temperature"])
    cumulants["cumulant"] = np.random.default_rng(0).uniform(0.1, 0.6, len(cumulants))
    cumulants = cumulants.assign(low=cumulants["cumulant"] - 0.02, high=cumulants["cumulant"] + 0.03)
    rows = [
        ("mf-q", "8, 16", 1.13, 1.12, 1.15),
        ("mf-q", "16, 32", 1.14, 1.13, 1.145),
        ("mcmc", "16, 32", 1.136, 1.13, 1.14),
    ]
    pairs = [(method, sizes, int(size)) for method, sizes, *_ in rows for size in sizes.split(", ")]
    points = [(*pair, temperature) for pair, temperature in itertools.product(pairs, (1.1, 1.15, 1.2))]
    fits = pd.DataFrame(points, columns=["method", "sizes", "size", "temperature"])
    fits["cumulant"] = np.random.default_rng(1).uniform(0.1, 0.6, len(fits))
    return cumulants, fits, pd.DataFrame(rows, columns=["method", "sizes", "estimate", "low", "high"])


def test_a_method_of_one_s_own_is_drawn_beside_the_others() -> None:
    equilibrium, references, exact = equilibrium_frame(), references_frame(), exact_frame((20,))
    mine = equilibrium.query("method == 'mf-q' and order == 'checkerboard'").assign(method="my/own.py:Mine")
    together = pd.concat([equilibrium, mine])
    for figure in (ising.order_parameter(together, references, CRITICAL), ising.energy(together, exact, CRITICAL)):
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "Mine" in labels
    alone = ising.order_parameter(mine, references, CRITICAL)
    assert alone.legends[0].get_texts()[0].get_text() == "Mine"


def test_a_custom_method_has_a_line_in_each_of_its_orders() -> None:
    equilibrium, frame = equilibrium_frame(), training_frame()
    mine = equilibrium.query("method == 'mf-q'").assign(method="my/own.py:Mine")
    mine["order_parameter"] /= 2
    figure = ising.order_parameter(pd.concat([equilibrium, mine]), references_frame(), CRITICAL)
    assert_drawn(figure.axes[0], mine[mine["order"] == ORDERS[0]], "temperature", "order_parameter")
    for axes, order in zip(figure.axes[1:], ORDERS[1:], strict=True):
        assert has_line(axes, *mine.loc[mine["order"] == order, ["temperature", "order_parameter"]].to_numpy().T)
    learning = frame.query("method == 'mf-q'").assign(method="my/own.py:Mine", order_parameter=0.123)
    figure = ising_training.training(pd.concat([frame, learning]))
    assert len([line for line in figure.axes[0].get_lines() if set(line.get_ydata()) == {0.123}]) == 4 + 3 + 3  # type: ignore[arg-type]
    labels, _ = legend(figure)
    assert {f"Mine, {order}" for order in ORDERS} < set(labels)

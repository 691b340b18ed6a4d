"""Every artist of the figures of the paper's mathematics is a number of the committed tables, and no other is there."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mfmarl.figures import theory, theory_learning
from mfmarl.files import read_csv
from tests.artists import across, bands, bars_of, boxes, check, check_view, lines, segments, upright

RESULTS = Path(__file__).parents[1] / "results" / "theory"


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    return {name: read_csv(RESULTS / f"{name}.csv") for name in ("approximation", "contraction", "learning", "toy")}


def of(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows of a quantity, with a column for each name of their settings, text or number."""
    rows = frame[frame["quantity"] == quantity].reset_index(drop=True)
    assert len(rows)
    for place, text in rows["setting"].fillna("").items():
        for part in filter(None, text.split("; ")):
            name, _, value = part.partition("=")
            rows.loc[place, name] = value
    return rows


def number(rows: pd.DataFrame, *names: str) -> pd.DataFrame:
    return rows.assign(**{name: rows[name].astype(float) for name in names})


def xy(rows: pd.DataFrame, x: str, y: str = "value") -> Any:
    """A line through rows in the order of x."""
    return rows.sort_values(x, kind="stable")[[x, y]].to_numpy(float).T


def labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_setting_becomes_columns() -> None:
    frame = pd.DataFrame(
        [["c", "q", "a=1; b=x", 1.0, 0.5, 1.5, 3, 1.0], ["c", "q", "a=2.5; b=y", 2.0, 1.5, 2.5, 3, 2.0],
         ["c", "other", None, 3.0, 0, 0, 1, 0.0]],
        columns=["claim", "quantity", "setting", "value", "low", "high", "n", "exact"],
    )  # fmt: skip
    rows = theory.of_quantity(frame, "q")
    assert rows["a"].tolist() == [1.0, 2.5]
    assert rows["b"].tolist() == ["x", "y"]
    assert rows["value"].tolist() == [1.0, 2.0]
    assert theory.of_quantity(frame, "other")["value"].tolist() == [3.0]
    with pytest.raises(ValueError, match=r"frame has no rows of 'none'; it has \['other', 'q'\]"):
        theory.of_quantity(frame, "none")


def test_remainder(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["approximation"]
    left, middle, right = theory.remainder(frame).axes
    points = of(frame, "|e| over M_t, exact is the bound")
    clouds = [[2 * rows["exact"], rows["value"]] for _, rows in points.groupby("values")]
    check(lines(left), [*clouds, [[0, 1], [0, 0.5]], across(1)])  # the bound is (1 - |abar|^2) / 2
    assert left.get_xlim() == (0, 1)
    growth = number(of(frame, "mean e against n"), "neighbours")
    groups = [rows for _, rows in growth.groupby("values")]
    check(lines(middle), [xy(rows, "neighbours", y) for rows in groups for y in ("exact", "value")])
    check(segments(middle), [bar for rows in groups for bar in bars_of(rows, "neighbours")])
    fits = number(of(frame, "R^2 of the best pairwise fit"), "agents")
    check(lines(right), [xy(rows, "agents") for _, rows in fits.groupby("own action")])
    for axes in (left, middle, right):
        check_view(axes)


def test_factors(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["contraction"]
    figure = theory.factors(frame)
    (axes,) = figure.axes
    played = number(of(frame, "factor of a sweep"), "temperature")
    exact = number(of(frame, "factor of a sweep, exact"), "temperature")
    marks = of(frame, "torus: contraction is sure above")
    expected = [across(1), *(upright(tau) for tau in marks["value"])]
    expected += [xy(rows, "temperature") for _, rows in exact.groupby("reading")]
    for reading, rows in played.groupby("reading"):
        expected += [xy(rows, "temperature")] * (1 if reading in set(exact["reading"]) else 2)  # joined for the eye
    check(lines(axes), expected)
    check(segments(axes), bars_of(played, "temperature"))
    written = {text.get_text(): text.xy[0] for text in axes.texts}  # type: ignore[attr-defined]
    named = zip(marks["reading"], marks["size"], marks["value"], strict=True)
    placed = {(name if size == "any" else f"{name},\n{size} torus", tau) for name, size, tau in named}
    assert written == {f"{name}\n{tau:.5g}": tau for name, tau in placed}
    assert axes.get_ylim() == (0, 2.5)
    assert all(0 < text.xy[1] < 2.5 for text in axes.texts)  # type: ignore[attr-defined]
    unplayed = [label for label in labels(figure) if label.endswith("(nothing iterates it)")]
    assert len(unplayed) == len(set(exact["reading"]) - set(played["reading"])) > 0
    assert f"over n = {int(played['n'].max())} pairs" in figure.legends[0].get_title().get_text()


def test_bifurcation(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["contraction"]
    rows = number(of(frame, "GS: mean number in the long run"), "temperature", "agents", "damping")
    limits = {
        name: number(of(frame, f"GS: {name}"), "agents", "damping")
        for name in ("flips to period 2 below", "contracts above")
    }
    dampings = sorted(rows["damping"].unique(), reverse=True)
    for axes, damping in zip(theory.bifurcation(frame).axes, dampings, strict=True):
        part = rows[rows["damping"] == damping]
        expected: list[Any] = [part[["temperature", "value"]].to_numpy(float).T]
        places = []
        for each in limits.values():
            at = each[(each["agents"] == rows["agents"].iloc[0]) & (each["damping"] == damping)]
            places += at["value"].tolist()
        check(lines(axes), [*expected, *(upright(value) for value in places)])
        name = "undamped" if damping == 1 else f"damping {damping:g}"
        where = f"flips below {places[0]:.2f}, contracts above {places[1]:.2f}"
        assert axes.get_title() == f"N = {rows['agents'].iloc[0]:g}, {name}: {where}"
        assert axes.get_xscale() == "log"


def test_portraits(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["contraction"]
    rows = number(of(frame, "phase portrait at tau = 0.3"), "step", "population")
    figure = theory.portraits(frame)
    orders, games = list(rows["order"].unique()), list(rows["game"].unique())
    grid = np.array(figure.axes).reshape(len(orders), len(games))
    assert [axes.get_title() for axes in grid[0]] == games
    assert [axes.get_ylabel() for axes in grid[:, 0]] == [f"{order}\nmean of population 2" for order in orders]
    assert [axes.get_xlabel() for axes in grid[-1]] == ["mean of population 1"] * len(games)
    for r, order in enumerate(orders):
        for c, game in enumerate(games):
            part = rows[(rows["order"] == order) & (rows["game"] == game)]
            expected: list[Any] = []
            for _, run in part.groupby("start"):
                path = run.pivot_table(index="step", columns="population", values="value").to_numpy().T
                expected += [path, path, path[:, :1], path[:, -4:]]
            check(lines(grid[r, c]), expected)
            assert not any(text.get_text() for text in (grid[r, c].xaxis.label,)) or r == len(orders) - 1


def test_errors(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["learning"]
    rows = number(of(frame, "root mean squared error of Q"), "update")
    figure = theory_learning.errors(frame)
    for axes, target in zip(figure.axes, ("fresh", "literal"), strict=True):
        groups = [part.sort_values("update") for _, part in rows[rows["target"] == target].groupby("truth")]
        assert len(groups) == 2
        check(lines(axes), [xy(part, "update") for part in groups])
        check(bands(axes), [part[["update", "low", "high"]].to_numpy(float).T for part in groups])
        assert axes.get_yscale() == "log"
        nash = rows[(rows["target"] == target) & (rows["truth"] == "Nash")]
        (blue,) = [line for line in axes.get_lines() if line.get_color() == theory.COLOURS[0]]
        np.testing.assert_allclose(np.asarray(blue.get_ydata(), float), xy(nash, "update")[1])
    assert labels(figure) == ["to the Nash Q-values", "to the fixed point of the literal line"]
    assert f"n = {int(rows['n'].iloc[0])} seeds" in figure.legends[0].get_title().get_text()


def test_noise_floor(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["learning"]
    figure = theory_learning.noise_floor(frame)
    left, middle, right = figure.axes
    rows = of(frame, "mean squared error of Q")
    constant = number(rows[rows["alpha"] != "1/n"], "alpha")
    falling = rows[rows["alpha"] == "1/n"]
    drawn = lines(left)
    check(drawn[1:], [xy(constant, "alpha"), *(across(value) for value in falling["exact"])])
    curve = dict(zip(*drawn[0].tolist(), strict=True))  # alpha / (2 - alpha) Var(r)
    assert max(curve) == 1
    variance = curve[1.0]
    for alpha, exact in constant[["alpha", "exact"]].to_numpy(float):
        assert exact == pytest.approx(alpha / (2 - alpha) * variance, rel=1e-6)
    np.testing.assert_allclose(drawn[0][1], drawn[0][0] / (2 - drawn[0][0]) * variance)
    assert drawn[0][0, 0] == pytest.approx(constant["alpha"].min())
    check(segments(left), bars_of(constant, "alpha"))
    check(boxes(left), [[[0, 1], ends] for ends in falling[["low", "high"]].to_numpy(float)])
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert left.get_ylim()[1] >= constant["high"].max()
    gaps = number(of(frame, "value gap of Eq. 12"), "temperature")
    exact = number(of(frame, "value gap of Eq. 12, exact"), "temperature")
    check(lines(middle), [xy(exact, "temperature"), xy(gaps, "temperature")])
    check(segments(middle), bars_of(gaps, "temperature"))
    # The right panel: 4000 updates at four learning rates, the committed one of the claim's own row, then 16 000.
    even = of(frame, "GS: value gap over best less worst").query("opponents == 'even'")
    even = even.assign(updates=4000)
    slower = of(frame, "GS, even opponents: value gap over best less worst")
    marks = number(pd.concat([even, slower]), "learning rate", "updates").sort_values("learning rate")
    marks.loc[marks["updates"] > 4000, "learning rate"] *= theory_learning.BESIDE
    averages = number(of(frame, "GS, even opponents: value gap of averages over best less worst"), "updates")
    expected: list[Any] = [across(0.1)]
    for updates in (4000, 16_000):
        exact_loss = averages.loc[averages["updates"] == updates, "exact"].iloc[0]
        expected += [xy(marks[marks["updates"] == updates], "learning rate"), across(exact_loss)]
    check(lines(right), expected)
    check(segments(right), bars_of(marks, "learning rate"))
    assert right.get_ylim()[1] >= marks["high"].max()
    note = figure.get_supxlabel()
    assert f"n = {rows['n'].iloc[0]} seeds (left, middle)" in note
    assert f"{marks['n'].astype(int).min()} to {marks['n'].astype(int).max()} (right)" in note


def test_herding(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["learning"]
    figure = theory_learning.herding(frame)
    swings = number(of(frame, "congestion: mean swing |m(t+1) - m(t)| / 2"), "temperature")
    traces = number(of(frame, "congestion: share on action 1"), "step")
    herds = number(of(frame, "congestion: herds below"), "damping")
    *grid, right = sorted(figure.axes, key=lambda axes: axes.get_xlabel().startswith("temperature"))
    cases = list(swings[["order", "stored"]].drop_duplicates().itertuples(index=False, name=None))
    for axes, (order, stored) in zip(grid, cases, strict=True):
        part = traces[(traces["order"] == order) & (traces["stored"] == stored)]
        check(lines(axes), [xy(part, "step")])
        assert axes.get_title(loc="left") == f"{order}, {stored} mean action stored"
        assert axes.get_ylim() == (-0.06, 1.06)
    assert grid[-1].get_xlabel() == f"last joint steps, T = {swings['temperature'].min():g}"
    below = herds.loc[herds["damping"] == 1, "exact"].iloc[0]
    expected: list[Any] = [upright(below)]
    for order, stored in cases:
        part = swings[(swings["order"] == order) & (swings["stored"] == stored)]
        expected.append(xy(part, "temperature"))
        expected += [xy(part, "temperature", "exact")] if part["exact"].max() > 0 else []
    check(lines(right), expected)
    check(segments(right), bars_of(swings, "temperature"))
    assert [(text.get_text(), text.xy[0]) for text in right.texts] == [(f"herds below\nT = {below:g} (exact)", below)]  # type: ignore[attr-defined]
    assert right.get_ylim() == (-0.03, 1.06)


def test_toy_tables(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["toy"]
    figure = theory_learning.toy_tables(frame)
    spins = number(of(frame, "one run: spin"), "sweep", "site")
    values = number(of(frame, "one run: Q of the middle agent"), "sweep")
    sweeps = sorted(spins["sweep"].unique())
    grid = np.array(figure.axes).reshape(2, len(sweeps))
    for (above, below), sweep in zip(grid.T, sweeps, strict=True):
        lattice = spins[spins["sweep"] == sweep].sort_values("site")["value"].to_numpy().reshape(3, 3)
        np.testing.assert_array_equal(np.asarray(above.get_images()[0].get_array()), lattice)
        arrows = {text.get_position(): text.get_text() for text in above.texts}
        assert arrows == {(c, r): "↑" if lattice[r, c] > 0 else "↓" for r in range(3) for c in range(3)}
        check(boxes(above), [[[0.5, 1.5], [0.5, 1.5]]])
        assert above.get_title() == (f"after {int(sweep)} sweeps" if sweep else "at the start")
        part = values[values["sweep"] == sweep]
        table = part.pivot_table(index="action", columns="neighbours up", values="value").loc[["up", "down"]]
        np.testing.assert_array_equal(np.asarray(below.get_images()[0].get_array()), table.to_numpy())
        written = {text.get_position(): text for text in below.texts}
        framed = []
        for r, row in enumerate(table.to_numpy()):
            for c, value in enumerate(row):
                text = f"{value:.2f}".replace("-0.00", "0.00")
                assert written[c, r].get_text() == text
                assert written[c, r].get_color() == ("white" if abs(value) > 1.6 else "black")
                framed += [[[c - 0.5, c + 0.5], [r - 0.5, r + 0.5]]] if text == "0.82" else []
        assert len(written) == table.size == 10
        check(boxes(below), framed)
        assert not any(patch.get_fill() for patch in [*above.patches, *below.patches])  # what is framed can be read
        assert [text.get_text() for text in below.get_xticklabels()] == ["0", "1/4", "1/2", "3/4", "1"]
        for axes in (above, below):
            low, high = axes.get_images()[0].get_clim()
            assert -low == high > np.abs(np.asarray(axes.get_images()[0].get_array(), float)).max()
    assert [text.get_text() for text in grid[1, 0].get_yticklabels()] == ["up", "down"]


def test_toy_times(tables: dict[str, pd.DataFrame]) -> None:
    frame = tables["toy"]
    figure = theory_learning.toy_times(frame)
    left, right = figure.axes
    reached = number(of(frame, "probability of consensus by a sweep"), "sweep")
    groups = [rows for _, rows in reached.groupby("order")]
    check(lines(left), [xy(rows, "sweep", y) for rows in groups for y in ("exact", "value")])
    check(segments(left), bars_of(reached, "sweep"))
    check_view(left)
    sweeps = of(frame, "mean sweeps to consensus").set_index("order")
    updates = of(frame, "mean updates to consensus").set_index("order")[["value", "low", "high", "exact"]] / 9
    learned = of(frame, "learning from Q = 0: sweeps until then").set_index("order")
    orders = ["simultaneous", "three-colours", "random-site", "released-code"]
    assert [text.get_text().replace("\n", "") for text in right.get_xticklabels()] == orders
    expected_boxes, expected_segments = [], []
    greedy = pd.concat([sweeps[sweeps.index != "random-site"], updates])
    for place, order in enumerate(orders):
        for offset, part in ((-0.2, greedy), (0.2, learned)):
            if order in part.index:
                row, x = part.loc[order], place + offset
                expected_boxes.append([[x - 0.18, x + 0.18], [0, row["value"]]])
                expected_segments.append([[x, x], [row["low"], row["high"]]])
                if np.isfinite(row["exact"]):
                    expected_segments.append([[x - 0.22, x + 0.22], [row["exact"]] * 2])
    check(boxes(right), expected_boxes)
    check(segments(right), expected_segments)
    assert right.get_ylim() == pytest.approx((0, 1.3 * learned["high"].max()))
    runs = int(of(frame, "learning from Q = 0: share that agrees for good")["n"].iloc[0])
    assert f"n = {int(reached['n'].iloc[0])} runs with the table learned, {runs} that learn" in str(
        figure.get_supxlabel()
    )

"""The figures of the Battle tournament: who beats whom, and what reward each army gets (paper: win rate and reward)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from mfmarl.evaluation.intervals import FEW
from mfmarl.evaluation.rounds import SCRIPTED, by_army, in_order
from mfmarl.evaluation.tables import require_columns
from mfmarl.figures.battle import fighters, figure_name, known_evaluations
from mfmarl.figures.style import count_label, house_style, legend_below, name_lines, of_runs, only_value, page

# Green and purple of ColorBrewer's PRGn, told apart with any colour vision and close to no algorithm's colour.
WIN, DRAW, LOSS = "#7FBF7B", "#E4E4E4", "#AF8DC3"
GROUPS = ("two algorithms", "against itself", "against scripts")
SHARES = ("wins", "draws", "losses")
BAR = 0.66  # of the distance between two bars
SEATS = {"wins_left": ("<", -0.39), "wins_right": (">", 0.39)}  # their marks, and how far below the bar's middle
SEAT_LOOK: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 4.5, "clip_on": False}
INTERVAL: dict[str, Any] = {"color": "black", "marker": "|"}
ARMY: dict[str, Any] = {"marker": ".", "linestyle": "none", "markersize": 4.2, "markeredgewidth": 0, "clip_on": False}
FIRST, SECOND = "#00441B", "#40004B"  # the armies' dots: PRGn's ends
LANES = {FIRST: -0.17, SECOND: 0.17}  # how far below the bar's middle they are
STACK = 0.08  # of the distance between two bars: from dot to dot where values are alike
GUESSED = f"Dotted intervals: {FEW} seeds or fewer."
ALIKE = 0.01  # of the axis: closer values stand one upon the other, and a smaller bar cannot be seen
SIDES = ("algorithm", "opponent")
KEYS = (*SIDES, "evaluation", "rounds", "seeds")


def tournament_figures(pairings: pd.DataFrame, rounds: pd.DataFrame) -> dict[str, Figure]:
    """The figures of all pairings for each number of agents, by `figure_name`.

    Args:
        pairings: of `mfmarl.evaluation.ratings.summarise_pairings`.
        rounds: the table of rounds that it is of, see `mfmarl.evaluation.rounds`.
    """
    place = {name: number for number, name in enumerate(in_order([*pairings["algorithm"], *pairings["opponent"]]))}
    armies = by_army(rounds)
    drawn: dict[str, Figure] = {}
    for agents, some in pairings.groupby("agents"):
        own = armies[armies["agents"] == agents]
        once = some[some["algorithm"].map(place) <= some["opponent"].map(place)]
        drawn[figure_name("win_rate_bars", agents)] = win_rate_bars(once, own)
        drawn[figure_name("rewards", agents)] = rewards(once, own)
    return drawn


@house_style()
def win_rate_bars(pairings: pd.DataFrame, armies: pd.DataFrame) -> Figure:
    """A bar for every pairing, greedy beside sampled: wins, draws and losses with the 95% interval of the wins.

    Dots in the upper half of a bar are the wins of each army of the first, those in its lower half the wins of each
    army of the second, measured from the right; each where a side has two to five armies. Above stand the pairings of
    two algorithms that learn, below them those of each with itself, and with those who do not learn. Two marks show the
    wins of the first army when it stands left, and when it stands right: where they lie apart, the pairing is decided
    by the seat. A match with itself has as many wins as losses, so neither interval nor dots.

    Args:
        pairings: one row a pairing and evaluation: algorithm, opponent, evaluation (greedy, sampled), rounds, seeds
            (a number, or text such as "8 v 8"), wins, wins_low, wins_high, draws, losses: shares of the rounds, for
            `algorithm`; wins_left and wins_right: shares of the rounds in that seat. Ends that are NaN are left out. If
            there is a column agents, it is printed.
        armies: one row an army, its opponent and evaluation, from both sides of a pairing: algorithm, opponent,
            evaluation, wins (its share of the rounds).

    Raises:
        ValueError: a missing column, an unknown evaluation, a pairing that occurs twice, several numbers of agents, or
            shares that do not sum to 1.
    """
    evaluations = _checked(pairings, ["wins_low", "wins_high", *SHARES, *SEATS])
    wins = _of_armies(armies, "wins")
    _check_shares(pairings)
    lines = _lines(pairings)
    groups = [group for group in GROUPS if group in {_group(*pair) for pair in lines}]
    rows = [[pair for pair in lines if _group(*pair) == group] for group in groups]
    figure = page(1.6 + 0.3 * len(groups) + 0.4 * len(lines))
    heights, kinds = [len(pairs) for pairs in rows], set[str]()
    grid = figure.subplots(
        len(groups), len(evaluations), squeeze=False, sharex=True, sharey="row", height_ratios=heights
    )
    for row, (group, pairs, across) in enumerate(zip(groups, rows, grid, strict=True)):
        for axes, evaluation in zip(across, evaluations, strict=True):
            own = pd.MultiIndex.from_frame(pairings[["algorithm", "opponent"]]).isin(pairs)
            panel = pairings[(pairings["evaluation"] == evaluation) & own]
            for line in panel.to_dict("records"):
                pair = (line["algorithm"], line["opponent"])
                _draw_bar(axes, pairs.index(pair), line)
                if pair[0] != pair[1]:
                    first, second = _both_sides(wins, pair, evaluation)
                    ends, y = (line["wins_low"], line["wins_high"]), pairs.index(pair)
                    kinds |= _draw_interval(axes, y, ends, _fewest({pair[0]: first, pair[1]: second}))
                    for won, colour in ((first, FIRST), ([1 - share for share in second], SECOND)):
                        kinds |= {colour} if _draw_armies(axes, y + LANES[colour], won, ALIKE, colour) else set()
            axes.axvline(0.5, color="0.25", linewidth=0.8, linestyle=(0, (3, 3)), zorder=1.5)  # under the marks
            axes.set_xlim(-0.02, 1.02)
            axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
            name_lines(axes, [lines[pair] for pair in pairs])
            above = "" if row else f"{evaluation} play\n"
            axes.set_title(f"{above}{group}: {_amount(panel)}" if len(panel) else f"{above}{group}: not played")
    for axes in grid[-1]:
        axes.set_xlabel("share of rounds")
    colours = {"first wins": WIN, **({"draw": DRAW} if pairings["draws"].any() else {}), "second wins": LOSS}
    handles: list[Artist] = [Patch(facecolor=colour, label=label) for label, colour in colours.items()]
    spreads = {
        "interval": Line2D([], [], linewidth=1.6, label="95% interval of first's wins", **INTERVAL),
        FIRST: Line2D([], [], color=FIRST, label="upper dots: wins of each army of the first", **ARMY),
        SECOND: Line2D([], [], color=SECOND, label="lower dots: of the second, from the right", **ARMY),
    }
    handles += [each for kind, each in spreads.items() if kind in kinds]
    seats = [
        Line2D([], [], linestyle="", marker=mark, label=f"first wins, standing {seat}", **SEAT_LOOK)
        for (mark, _), seat in zip(SEATS.values(), ("left", "right"), strict=True)
    ]
    note = f"{_sizes(pairings)}{GUESSED if 'guess' in kinds else ''}"
    legend_below(figure, [*handles, *seats], 3, note.rstrip(" .") or None)
    return figure


@house_style()
def rewards(pairings: pd.DataFrame, armies: pd.DataFrame) -> Figure:
    """Average total reward of both armies of every pairing, greedy beside sampled, with its 95% interval.

    Of an algorithm with two to five armies the reward of each is a dot, above the interval. A bar too small to be seen,
    without either, has its value beside it.

    Args:
        pairings: one row a pairing and evaluation: algorithm, opponent, evaluation, rounds, seeds and perhaps agents as
            in `win_rate_bars`; reward, reward_low, reward_high (total of `algorithm`'s army over a round) and
            opponent_reward. An interval of the latter needs opponent_reward_low and opponent_reward_high.
        armies: one row an army, its opponent and evaluation, from both sides of a pairing: algorithm, opponent,
            evaluation, reward (its mean over the rounds).

    Raises:
        ValueError: a missing column, an unknown evaluation, a pairing that occurs twice, or several numbers of agents.
    """
    evaluations = _checked(pairings, ["reward", "reward_low", "reward_high", "opponent_reward"])
    names, lines = fighters([*pairings["algorithm"], *pairings["opponent"]]), _lines(pairings)
    earned, kinds = _of_armies(armies, "reward"), set[str]()
    totals = [*pairings["reward"], *pairings["opponent_reward"], 0]
    alike = ALIKE * (max(totals) - min(totals))
    figure = page(1.5 + 0.4 * len(lines))
    grid = figure.subplots(1, len(evaluations), squeeze=False, sharex=True, sharey=True)[0]
    for axes, evaluation in zip(grid, evaluations, strict=True):
        panel = pairings[pairings["evaluation"] == evaluation]
        for line in panel.to_dict("records"):
            y = list(lines).index((line["algorithm"], line["opponent"]))
            own = dict(zip(SIDES, _both_sides(earned, (line["algorithm"], line["opponent"]), evaluation), strict=True))
            fewest = _fewest({line[side]: some for side, some in own.items()})
            for side, metric, shift in (("algorithm", "reward", -0.2), ("opponent", "opponent_reward", 0.2)):
                colour = names[line[side]].colour
                axes.barh(y + shift, line[metric], height=0.36, color=colour)
                ends = (line.get(f"{metric}_low", math.nan), line.get(f"{metric}_high", math.nan))
                drawn = _draw_interval(axes, y + shift + 0.09, ends, fewest, size=4)
                if _draw_armies(axes, y + shift - 0.07, own[side], alike, "black"):
                    drawn.add("armies")
                if not drawn and abs(line[metric]) < alike:
                    _write_value(axes, y + shift, line[metric], colour)
                kinds |= drawn
        axes.axvline(0, color="black", linewidth=0.8)
        name_lines(axes, list(lines.values()))
        axes.set_title(f"{evaluation} play\n{_amount(panel)}")
        axes.set_xlabel("total reward of the army over a round")
    handles = [Patch(facecolor=look.colour, label=look.label) for look in names.values()]
    marks = {
        "armies": "Dots: armies, each its mean.",
        "interval": "Black lines: 95% intervals.",
        "guess": GUESSED,
    }
    told = " ".join(text for kind, text in marks.items() if kind in kinds)
    note = f"{_sizes(pairings)}Upper bar: the army named first.\n{told}"
    legend_below(figure, handles, len(handles), note.rstrip(".\n"))
    return figure


def _checked(pairings: pd.DataFrame, columns: list[str]) -> list[str]:
    """The evaluations that occur.

    Raises:
        ValueError: a pairing occurs twice in one of them, or there are several numbers of agents.
    """
    require_columns("pairings", pairings, [*KEYS, *columns])
    if "agents" in pairings:
        only_value("pairings", pairings, "agents", "number of agents")
    seen = set()
    for algorithm, opponent, evaluation in pairings[["algorithm", "opponent", "evaluation"]].to_numpy():
        key = (frozenset((algorithm, opponent)), evaluation)
        if key in seen:
            raise ValueError(f"pairings must hold each pairing once, got {algorithm} v {opponent} ({evaluation}) again")
        seen.add(key)
    return known_evaluations("pairings", pairings)


def _check_shares(pairings: pd.DataFrame) -> None:
    """Check that wins, draws and losses are shares that sum to 1.

    Raises:
        ValueError: they are not.
    """
    shares = pairings[list(SHARES)].to_numpy(np.float64)
    wrong = ~(np.isclose(shares.sum(1), 1) & (shares >= 0).all(1))
    if wrong.any():
        raise ValueError(
            f"pairings: wins, draws and losses must be shares that sum to 1, got {shares[wrong][0].tolist()}"
        )


def _of_armies(armies: pd.DataFrame, metric: str) -> dict[tuple[str, str, str], list[float]]:
    """The metric of each army by algorithm, opponent and evaluation."""
    keys = ["algorithm", "opponent", "evaluation"]
    require_columns("armies", armies, [*keys, metric])
    return {
        (str(one), str(other), str(how)): rows[metric].to_list() for (one, other, how), rows in armies.groupby(keys)
    }


def _draw_bar(axes: Axes, y: int, line: Mapping[Any, float]) -> None:
    """The shares of a pairing, and its seats' marks."""
    start = 0.0
    for share, colour in zip(SHARES, (WIN, DRAW, LOSS), strict=True):
        axes.barh(y, line[share], left=start, height=BAR, color=colour)
        start += line[share]
    for share, (mark, shift) in SEATS.items():
        axes.plot([line[share]], [y + shift], mark, **SEAT_LOOK)


def _both_sides(
    armies: Mapping[tuple[str, str, str], list[float]], pair: tuple[str, str], evaluation: str
) -> tuple[list[float], list[float]]:
    """What the armies of the first did against the second, and those of the second against the first."""
    one, other = pair
    return armies.get((one, other, evaluation), []), armies.get((other, one, evaluation), [])


def _fewest(armies: Mapping[str, Sequence[float]]) -> int:
    """Armies of the side that has fewest, scripts left out."""
    return min((len(some) for name, some in armies.items() if name not in SCRIPTED), default=1)


def _draw_interval(axes: Axes, y: float, ends: tuple[float, float], n: int, *, size: float = 6) -> set[str]:
    """An interval over the seeds of both sides, of which there are n or more; what was drawn."""
    if math.isnan(ends[0]):
        return set()
    axes.plot(ends, [y, y], color="white", linewidth=2.6)  # seen on a black bar
    axes.plot(ends, [y, y], markersize=size, **{**of_runs(n), "linewidth": 1.2}, **INTERVAL)
    return {"interval", "guess"} if n <= FEW else {"interval"}


def _draw_armies(axes: Axes, y: float, values: Sequence[float], alike: float, colour: str) -> bool:
    """A dot for each of two to `FEW` armies, those closer than `alike` one upon the other; whether there are any."""
    if not 1 < len(values) <= FEW:
        return False
    heights, ranked = np.full(len(values), y), sorted(range(len(values)), key=values.__getitem__)
    while ranked:
        column = [place for place in ranked if values[place] - values[ranked[0]] < alike]
        heights[column] += STACK * (np.arange(len(column)) - (len(column) - 1) / 2)
        ranked = ranked[len(column) :]
    axes.plot(values, heights, color=colour, **ARMY)
    return True


def _write_value(axes: Axes, y: float, value: float, colour: str) -> None:
    """A value in figures, right of zero or, if it is negative, left of it."""
    side, align = (-3, "right") if value < 0 else (3, "left")
    axes.annotate(
        f"{value:.1f}",
        (value, y),
        (side, 0),
        textcoords="offset points",
        ha=align,
        va="center",
        fontsize=8,
        color=colour,
    )


def _group(algorithm: str, opponent: str) -> str:
    """Which of GROUPS a pairing belongs to."""
    learned, itself, scripted = GROUPS
    if {algorithm, opponent} & set(SCRIPTED):
        return scripted
    return itself if algorithm == opponent else learned


def _lines(pairings: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The pairings with their names: group by group, in the order of the tournament, of the scripts' first."""
    names = fighters([*pairings["algorithm"], *pairings["opponent"]])
    places = {name: place for place, name in enumerate(names)}
    pairs = {(str(one), str(other)) for one, other in pairings[["algorithm", "opponent"]].to_numpy()}

    def place(pair: tuple[str, str]) -> tuple[int, ...]:
        group, own = GROUPS.index(_group(*pair)), [places[name] for name in pair]
        return (group, *(reversed(own) if group == len(GROUPS) - 1 else own))

    ordered = sorted(pairs, key=place)
    return {(one, other): f"{names[one].label} v {names[other].label}" for one, other in ordered}


def _amount(panel: pd.DataFrame) -> str:
    """Seeds and rounds: 'n = 8, 160 rounds a pairing', 'seeds 8 v 1 or 8 v 8, 40 to 320 rounds a pairing'."""
    numeric = pd.api.types.is_numeric_dtype(panel["seeds"])
    seeds = count_label(panel["seeds"]) if numeric else "seeds " + " or ".join(sorted(set(panel["seeds"])))
    rounds = " to ".join(f"{count:,}" for count in sorted({panel["rounds"].min(), panel["rounds"].max()}))
    return f"{seeds}, {rounds} rounds a pairing"


def _sizes(pairings: pd.DataFrame) -> str:
    """The sizes of the armies as a sentence, if they are known."""
    return "{0} v {0} agents. ".format(int(pairings["agents"].iloc[0])) if "agents" in pairings else ""

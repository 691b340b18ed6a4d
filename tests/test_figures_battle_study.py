"""The figure of Battle's study draws the numbers of its tables, and refuses what it cannot draw."""

import numpy as np
import pandas as pd
import pytest

from mfmarl.figures import battle_study

CHOICES = ("as it is", "otherwise")
PAIRS = (("mf-q", "il"), ("mf-ac", "ac"))


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two choices, of which the second concerns the first pair alone; eight armies each."""
    rows, armies, generator = [], [], np.random.default_rng(0)
    for choice, (method, against) in [(CHOICES[0], PAIRS[0]), (CHOICES[0], PAIRS[1]), (CHOICES[1], PAIRS[0])]:
        for evaluation in ("greedy", "sampled"):
            points = generator.uniform(0, 1, 8).round(3)
            own = {"choice": choice, "method": method, "evaluation": evaluation}
            mean = points.mean()
            ends = {"points": mean, "points_low": mean - 0.1, "points_high": mean + 0.1}
            rows.append({**own, "against": against, "seeds": 8, **ends})
            armies += [{**own, "points": each} for each in points]
    return pd.DataFrame(rows), pd.DataFrame(armies)


def test_every_line_has_its_armies_mean_and_interval() -> None:
    table, armies = frames()
    figure = battle_study.sensitivity(table, armies)
    for axes, (method, _) in zip(figure.axes, PAIRS, strict=True):
        drawn = [np.asarray(line.get_xdata()).tolist() for line in axes.get_lines()[1:]]  # the first marks one half
        own = table[table["method"] == method]
        assert len(drawn) == 3 * len(own)
        for place, row in enumerate(own.to_dict("records")):
            same = armies[["choice", "method", "evaluation"]] == [
                row[key] for key in ("choice", "method", "evaluation")
            ]
            dots, ends, mark = drawn[3 * place : 3 * place + 3]
            assert dots == armies.loc[same.all(axis=1), "points"].to_list()
            assert ends == [row["points_low"], row["points_high"]]
            assert mark == [row["points"]]
    assert [axes.get_title() for axes in figure.axes] == ["MF-Q against IL (n = 8)", "MF-AC against AC (n = 8)"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [*CHOICES]


def test_greedy_play_is_filled_and_stands_above_sampled_play_at_its_choice() -> None:
    figure = battle_study.sensitivity(*frames())
    for axes, count in zip(figure.axes, (2, 1), strict=True):
        half, *drawn = axes.get_lines()
        assert np.asarray(half.get_xdata()).tolist() == [0.5, 0.5]
        marks = drawn[2::3]
        heights = [float(np.asarray(mark.get_ydata())[0]) for mark in marks]
        greedy, sampled = heights[::2], heights[1::2]
        assert np.add(greedy, sampled) / 2 == pytest.approx(np.arange(count))
        assert np.subtract(sampled, greedy) == pytest.approx(np.full(count, 0.36)), "the axis runs downwards"
        assert axes.yaxis_inverted()
        for dots, ends, height in zip(drawn[::3], drawn[1::3], heights, strict=True):
            assert np.asarray(dots.get_ydata()).mean() == pytest.approx(height)
            assert np.asarray(ends.get_ydata()).tolist() == [height] * 2
        faces = [mark.get_markerfacecolor() == mark.get_color() for mark in marks]
        assert faces == [True, False] * count
    [legend] = figure.legends
    shown = {line.get_label(): line.get_markerfacecolor() for line in legend.get_lines()}
    assert shown == {"greedy play": "0.3", "sampled play": "white"}


def test_one_pair_is_one_panel() -> None:
    table, armies = frames()
    [axes] = battle_study.sensitivity(table[table["method"] == "mf-q"], armies).axes
    assert axes.get_title() == "MF-Q against IL (n = 8)"


def test_a_frame_without_a_column_or_with_another_play_is_refused() -> None:
    table, armies = frames()
    with pytest.raises(ValueError, match=r"table lacks the columns \['points_low'\]"):
        battle_study.sensitivity(table.drop(columns="points_low"), armies)
    with pytest.raises(ValueError, match=r"armies lacks the columns \['points'\]"):
        battle_study.sensitivity(table, armies.drop(columns="points"))
    with pytest.raises(ValueError, match=r"evaluation must be one of .* got \['best'\]"):
        battle_study.sensitivity(table.assign(evaluation="best"), armies)

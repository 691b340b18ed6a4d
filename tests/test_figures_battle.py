"""The Battle figures draw the numbers of their frames, rebuild to the same bytes, and refuse what they cannot draw."""

import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from mfmarl.figures import battle, battle_pairings, style

LEARNERS = ("mf-q", "il", "mf-ac", "ac")


@pytest.mark.parametrize("name", ["curves", "ratings", "win_rate_bars", "rewards"])
def test_equal_frames_give_equal_files(name: str, tmp_path: Path) -> None:
    first = style.save(draw(name), tmp_path / "first")
    np.random.seed(5)  # noqa: NPY002
    second = style.save(draw(name), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("agents", [8, 64])
def test_learning_curves_say_what_they_show(agents: int) -> None:
    figure = battle.learning_curves(only(curves_frame(), agents=agents))
    grid = np.array(figure.axes).reshape(2, 2)
    assert [axes.get_title() for axes in grid[0]] == {
        8: ["appendix, 8 v 8\n1,000 rounds, n = 4", "ours, 8 v 8\n1,000 rounds, n = 4"],
        64: ["appendix, 64 v 64\n1,000 rounds, n = 4", "ours, 64 v 64\n1,000 rounds, n = 3 to 4"],  # il lacks a seed
    }[agents]
    assert grid[0, 0].get_ylabel() == "total reward of the army"
    assert grid[1, 0].get_ylabel() == "kills a round"
    hiding = agents * 400 * -0.005
    assert legend(figure)[0] == ["MF-Q", "IL", f"{hiding:g}: nobody ever attacks", "end of the budget"]


def test_trainings_of_another_length_have_a_named_column_of_their_own() -> None:
    curves = curves_frame().query("agents == 8 and settings == 'ours' and not (algorithm == 'il' and step > 500)")
    figure = battle.learning_curves(curves)
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "ours, 8 v 8, IL\n500 rounds, n = 4",
        "ours, 8 v 8, MF-Q\n1,000 rounds, n = 4",
    ]
    assert [axes.get_xlim()[1] < 600 for axes in figure.axes[2:]] == [True, False]
    both = pd.concat([curves, curves[curves["algorithm"] == "il"].assign(algorithm="ac")])
    assert battle.learning_curves(both).axes[0].get_title() == "ours, 8 v 8, IL and AC\n500 rounds, n = 4"


def test_who_has_no_epsilon_is_told_so() -> None:
    curves = curves_frame().query("agents == 8").assign(epsilon=0.5)
    curves["epsilon"] = curves["epsilon"].where(curves["settings"] == "appendix")
    figure = battle.learning_curves(curves)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes[4:]] == [[], [battle.UNEXPLORED]]


def test_kills_have_a_scale_of_their_own_where_nobody_explores() -> None:
    curves = curves_frame().query("agents == 8").drop(columns="epsilon", errors="ignore")
    for frame, panels in ((curves, 2), (curves.assign(epsilon=0.5), 3)):
        figure = battle.learning_curves(frame)
        columns = len(figure.axes) // panels
        for axes in figure.axes[columns : 2 * columns]:
            assert axes.get_ylim() == pytest.approx((-0.04 * 8, 1.06 * 8))
        for axes in figure.axes[-columns:]:
            assert (axes.get_xlabel(), axes.get_xlim()[0]) == ("rounds of self-play", 0)


def test_ratings_of_scripts_and_of_winners_alone_are_drawn() -> None:
    frame = ratings_frame()
    scripts = battle.ratings(frame[frame["algorithm"].isin(["rush", "random"])])
    assert [axes.get_title() for axes in scripts.axes] == ["8 v 8", "64 v 64"]
    winners = battle.ratings(frame[frame["score_on_scale"] > 0])
    assert legend(winners)[0] == ["greedy play", "sampled play", "won every round: there or higher"]


def test_one_seed_and_settings_in_which_not_all_were_run_are_drawn() -> None:
    curves = curves_frame().query("seed == 0 and agents == 8 and not (settings == 'ours' and algorithm == 'il')")
    figure = battle.learning_curves(curves)
    figure.draw_without_rendering()
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["appendix, 8 v 8\n1,000 rounds, n = 1", "ours, 8 v 8, MF-Q\n1,000 rounds, n = 1"]


@pytest.mark.parametrize("name", ["curves", "ratings", "win_rate_bars", "rewards"])
def test_legends_are_not_cut(name: str) -> None:
    figure = draw(name)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_ratings_are_dots_with_their_intervals() -> None:
    frame = ratings_frame()
    figure = battle.ratings(frame.sample(frac=1, random_state=0))
    assert [axes.get_title() for axes in figure.axes] == ["8 v 8 (n = 5)", "64 v 64 (n = 3 to 5)"]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["MF-Q", "IL", "MF-AC", "AC", "rush", "random"]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1  # sizes are compared on one scale
    for axes, agents in zip(figure.axes, (8, 64), strict=True):
        for _, line in only(frame, agents=agents).iterrows():
            look, greedy = style.looks([line["algorithm"]])[line["algorithm"]], line["evaluation"] == "greedy"
            y = labels.index(look.label) + (-0.17 if greedy else 0.17)
            assert has_line(axes, line[["rating_low", "rating_high"]], [y, y]) == (0 < line["score_on_scale"] < 1)
            face = [dot.get_markerfacecolor() for dot in axes.get_lines() if has(dot, [line["rating"]], [y])]
            assert face == [look.colour if greedy else "white"]
        assert axes.get_xlabel() == "Elo, AC = 0"
    bounds = ["lost every round: there or lower", "won every round: there or higher"]
    assert legend(figure)[0] == ["greedy play", "sampled play", *bounds]
    without = battle.ratings(frame[frame["algorithm"].isin(["mf-q", "il"])])
    assert without.axes[0].get_xlabel() == "Elo, mean = 0"
    assert legend(without)[0] == ["greedy play", "sampled play"]
    alone = battle.ratings(frame.query("evaluation == 'greedy' and agents == 8"))
    assert has_line(alone.axes[0], [frame["rating"].iloc[0]], [0])  # on its line, not beside it


def test_bars_stand_in_groups() -> None:
    frame = pairings_frame()
    figure = battle_pairings.win_rate_bars(frame.sample(frac=1, random_state=0), armies_frame(frame))
    learned, itself, scripted = np.array(figure.axes).reshape(3, 2)
    names = [[text.get_text() for text in axes.get_yticklabels()] for axes in (learned[0], itself[0], scripted[0])]
    assert names[0] == ["MF-Q v IL", "MF-Q v MF-AC", "MF-Q v AC", "IL v MF-AC", "IL v AC", "MF-AC v AC"]
    assert names[1] == ["MF-Q v MF-Q", "IL v IL", "MF-AC v MF-AC", "AC v AC"]
    assert names[2][:5] == ["MF-Q v rush", "IL v rush", "MF-AC v rush", "AC v rush", "MF-Q v random"]
    for place, evaluation in enumerate(("greedy", "sampled")):
        seeds = "seeds 8 v 8, 3,200 rounds a pairing"
        assert learned[place].get_title() == f"{evaluation} play\ntwo algorithms: {seeds}"
        assert itself[place].get_title() == f"against itself: {seeds}"
        assert scripted[place].get_title() == "against scripts: seeds 8 v 1, 400 rounds a pairing"
    entries = ["first wins", "draw", "second wins", "95% interval of first's wins"]
    assert legend(figure)[0] == [*entries, "first wins, standing left", "first wins, standing right"]
    assert legend(figure)[1] == "64 v 64 agents"
    assert legend(battle_pairings.win_rate_bars(frame.drop(columns="agents"), armies_frame(frame)))[1] == ""
    for axes in figure.axes:
        (middle,) = [line for line in axes.lines if list(line.get_xdata()) == [0.5, 0.5]]  # type: ignore[arg-type]
        marks = [line.get_zorder() for line in axes.lines if line is not middle]
        assert max(bar.get_zorder() for bar in bars(axes)) < middle.get_zorder() < min(marks)
        assert axes.xaxis.get_major_formatter()(0.5) == "50%"


def test_groups_and_evaluations_that_were_not_played_are_left_out_or_say_so() -> None:
    frame = pairings_frame().query("algorithm != opponent").assign(seeds=1)
    frame = frame[(frame["evaluation"] == "greedy") | frame["opponent"].isin(LEARNERS)]
    titles = [axes.get_title() for axes in battle_pairings.win_rate_bars(frame, armies_frame(frame)).axes]
    known = "two algorithms: n = 1, 3,200 rounds a pairing"
    scripted = ["against scripts: n = 1, 400 rounds a pairing", "against scripts: not played"]
    assert titles == [f"greedy play\n{known}", f"sampled play\n{known}", *scripted]


@pytest.mark.parametrize(("armies", "drawn"), [(1, False), (2, True), (5, True), (6, False)])
def test_up_to_five_armies_stand_beside_a_dotted_interval(armies: int, drawn: bool) -> None:
    frame = pairings_frame()
    each = armies_frame(frame, armies)
    each["wins"] = 0.05 + 0.14 * each["seed"] + 0.1 * np.arange(len(each)) / len(each)  # none stands upon another
    each["reward"] = 300 * each["wins"]
    for draw_figure, metric, prefix in (
        (battle_pairings.win_rate_bars, "wins", "wins"),
        (battle_pairings.rewards, "reward", "reward"),
    ):
        figure = draw_figure(frame, each)
        axes = figure.axes[0]
        line = only(frame, algorithm="mf-q", opponent="il", evaluation="greedy").iloc[0]
        place = [text.get_text() for text in axes.get_yticklabels()].index("MF-Q v IL")
        first, second = (
            only(each, algorithm=one, opponent=other, evaluation="greedy")[metric].to_numpy()
            for one, other in (("mf-q", "il"), ("il", "mf-q"))
        )
        second = 1 - second if metric == "wins" else second  # measured from the right
        for own, y in zip((first, second), (-0.17, 0.17) if metric == "wins" else (-0.27, 0.13), strict=True):
            assert has_line(axes, own, [place + y] * armies) == drawn
        at = place if metric == "wins" else place - 0.11
        ends = line[[f"{prefix}_low", f"{prefix}_high"]]
        intervals = [each for each in axes.get_lines() if has(each, ends, [at, at]) and each.get_color() == "black"]
        assert [each.get_linestyle() for each in intervals] == ["--" if armies <= 5 else "-"]  # any dashes
        told = " ".join([*legend(figure)[0], legend(figure)[1]])
        assert "interval" in told
        assert ("Dotted" in told) == (armies <= 5)
        assert ("army of the first" in told or "Dots: armies" in told) == drawn


def test_equal_armies_stand_one_upon_the_other() -> None:
    frame = pairings_frame()
    each = armies_frame(frame, 5)
    each["wins"] = each["seed"].map({0: 0.9, 1: 0.3, 2: 0.9, 3: 0.905, 4: 0.5})
    axes = battle_pairings.win_rate_bars(frame, each).axes[0]
    step, middle = battle_pairings.STACK, -0.17
    assert has_line(axes, [0.9, 0.3, 0.9, 0.905, 0.5], [middle - step, middle, middle, middle + step, middle])


def test_a_reward_too_small_to_be_seen_is_written_beside_zero() -> None:
    frame = pairings_frame().drop(columns=["opponent_reward_low", "opponent_reward_high"])
    frame = frame.assign(reward_low=np.nan, reward_high=np.nan).query("evaluation == 'greedy'")
    frame.loc[(frame["algorithm"] == "mf-q") & (frame["opponent"] == "il"), "reward"] = -0.42
    others = frame[["reward", "opponent_reward"]].abs() < 5
    assert others.to_numpy().sum() == 1
    (axes,) = battle_pairings.rewards(frame, armies_frame(frame, 1)).axes
    assert [text.get_text() for text in axes.texts] == ["-0.4"]


def test_an_interval_without_ends_is_not_drawn_and_not_named() -> None:
    frame = pairings_frame().assign(wins_low=np.nan, wins_high=np.nan)
    figure = battle_pairings.win_rate_bars(frame, armies_frame(frame, 2))
    assert "nterval" not in " ".join([*legend(figure)[0], legend(figure)[1]])


def test_draws_are_named_where_there_were_some() -> None:
    frame = pairings_frame()
    frame = frame.assign(losses=frame["losses"] + frame["draws"], draws=0.0)
    labels = legend(battle_pairings.win_rate_bars(frame, armies_frame(frame)))[0]
    assert labels[:2] == ["first wins", "second wins"]


def test_the_interval_of_a_rating_of_few_armies_is_dotted() -> None:
    frame = ratings_frame().query("agents == 8")
    for seeds, dotted in ((5, True), (6, False)):
        figure = battle.ratings(frame.assign(seeds=np.where(frame["algorithm"].isin(LEARNERS), seeds, 1)))
        lines = [line for line in figure.axes[0].get_lines() if len(set(np.asarray(line.get_ydata(), float))) == 1]
        intervals = [line for line in lines if len(np.asarray(line.get_xdata())) == 2 and line.get_linewidth() > 1]
        assert len(intervals) == 8  # of the learners, for greedy and sampled play; scripts won or lost every round
        assert {line.get_linestyle() for line in intervals} == {"--" if dotted else "-"}  # any dashes
        assert ("dotted" in legend(figure)[1]) == dotted


def test_rewards_are_a_bar_for_each_army() -> None:
    frame = pairings_frame()
    figure = battle_pairings.rewards(frame, armies_frame(frame))
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    for axes, evaluation in zip(figure.axes, ("greedy", "sampled"), strict=True):
        drawn = bars(axes)
        for _, line in only(frame, evaluation=evaluation).iterrows():
            y = names.index(name_of(line))
            for army, reward, place in (("algorithm", "reward", y - 0.2), ("opponent", "opponent_reward", y + 0.2)):
                colour = style.looks([line[army]])[line[army]].colour
                assert has_bar(drawn, place, 0, line[reward], colour)
                assert has_line(axes, line[[f"{reward}_low", f"{reward}_high"]], [place + 0.09, place + 0.09])
    assert legend(figure)[0] == ["MF-Q", "IL", "MF-AC", "AC", "rush", "random"]
    without = frame.drop(columns=["opponent_reward_low", "opponent_reward_high"])
    battle_pairings.rewards(without, armies_frame(frame)).draw_without_rendering()


def test_armies_are_ordered_and_those_that_do_not_learn_look_like_no_other() -> None:
    names = [*LEARNERS, "my/agent.py:Mine", "rush", "random"]
    found = battle.fighters(reversed(names))
    assert list(found) == names
    assert found["my/agent.py:Mine"] == style.looks(["my/agent.py:Mine"])["my/agent.py:Mine"]
    others = [*style.LOOKS.values(), style.MCMC]
    further = {*style.FURTHER_LOOKS}
    for look in style.SCRIPTED_STYLES.values():
        assert look.colour not in {other.colour for other in others} | {colour for colour, _, _ in further}
        assert look.marker not in {other.marker for other in others} | {marker for _, _, marker in further}


def test_a_missing_column_is_refused_by_name() -> None:
    curves, pairings, ratings = curves_frame(), pairings_frame(), ratings_frame()
    armies = armies_frame(pairings)
    for column in ("settings", "algorithm", "agents", "seed", "step", "reward", "kills"):
        with pytest.raises(ValueError, match=rf"curves lacks the columns \['{column}'\]"):
            battle.learning_curves(curves.drop(columns=column))
    for column in (
        "algorithm",
        "evaluation",
        "agents",
        "rating",
        "rating_low",
        "rating_high",
        "score_on_scale",
        "seeds",
    ):
        with pytest.raises(ValueError, match=rf"ratings lacks the columns \['{column}'\]"):
            battle.ratings(ratings.drop(columns=column))
    keys = ("algorithm", "opponent", "evaluation", "rounds", "seeds")
    for column in (*keys, "wins_low", "draws", "wins_left"):
        with pytest.raises(ValueError, match=rf"pairings lacks the columns \['{column}'\]"):
            battle_pairings.win_rate_bars(pairings.drop(columns=column), armies)
    for column in (*keys, "reward", "reward_low", "opponent_reward"):
        with pytest.raises(ValueError, match=rf"pairings lacks the columns \['{column}'\]"):
            battle_pairings.rewards(pairings.drop(columns=column), armies)
    with pytest.raises(ValueError, match=r"armies lacks the columns \['wins'\]"):
        battle_pairings.win_rate_bars(pairings, armies.drop(columns="wins"))
    with pytest.raises(ValueError, match=r"pairings has no rows"):
        battle_pairings.rewards(pairings.iloc[:0], armies)


def test_frames_that_cannot_be_drawn_are_refused() -> None:
    curves, ratings = curves_frame(), ratings_frame()
    with pytest.raises(ValueError, match=r"curves must be of one number of agents, got \[8, 64\]"):
        battle.learning_curves(curves)
    large, small = only(curves, agents=64), only(curves, agents=8)
    with pytest.raises(
        ValueError, match=r"mf-q, ours, agents = 64 must have all seeds at the same values of step, got gaps"
    ):
        battle.learning_curves(large.iloc[:-1])
    with pytest.raises(ValueError, match=r"il, appendix, agents = 8 must have one row a seed and step, got several"):
        battle.learning_curves(pd.concat([small, small.iloc[:1]]))
    with pytest.raises(ValueError, match=r"ratings must hold one row .*, got several of mf-q, greedy, agents = 8"):
        battle.ratings(pd.concat([ratings, ratings.iloc[:1]]))
    with pytest.raises(ValueError, match=r"ratings: evaluation must be one of \['greedy', 'sampled'\], got \['best'\]"):
        battle.ratings(ratings.assign(evaluation="best"))


@pytest.mark.parametrize("figure", ["win_rate_bars", "rewards"])
def test_pairings_that_are_not_of_one_tournament_are_refused(figure: str) -> None:
    pairings = pairings_frame()
    function = partial(getattr(battle_pairings, figure), armies=armies_frame(pairings))
    with pytest.raises(ValueError, match=r"evaluation must be one of .* got \['best'\]"):
        function(pairings.assign(evaluation="best").drop_duplicates(["algorithm", "opponent"]))
    with pytest.raises(ValueError, match=r"pairings must be of one number of agents, got \[8, 64\]"):
        function(pd.concat([pairings, pairings.assign(agents=8)]))
    mirrored = pairings.query("algorithm == 'mf-q' and opponent == 'il'").assign(algorithm="il", opponent="mf-q")
    with pytest.raises(ValueError, match=r"each pairing once, got il v mf-q \(greedy\) again"):
        function(pd.concat([pairings, mirrored]))
    if figure != "rewards":
        for wrong in (pairings.assign(wins=0.9), pairings.assign(wins=-0.5, draws=0.5, losses=1.0)):
            with pytest.raises(ValueError, match=r"wins, draws and losses must be shares that sum to 1, got "):
                function(wrong)


def only(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    return frame[(frame[list(values)] == pd.Series(values)).all(axis=1)]


def has_line(axes: Axes, x: object, y: object) -> bool:
    return any(has(line, x, y) for line in axes.get_lines())


def has(line: Line2D, x: object, y: object) -> bool:
    wanted = np.array([np.asarray(x, float), np.asarray(y, float)])
    drawn = np.array([line.get_xdata(), line.get_ydata()], float)
    return drawn.shape == wanted.shape and np.allclose(drawn, wanted)


def bars(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def has_bar(drawn: list[Rectangle], y: float, start: float, end: float, colour: str) -> bool:
    return any(
        np.allclose([bar.get_y() + bar.get_height() / 2, bar.get_x(), bar.get_x() + bar.get_width()], [y, start, end])
        and bar.get_facecolor()[:3] == to_rgb(colour)
        for bar in drawn
    )


def name_of(line: "pd.Series[float]") -> str:
    return " v ".join(style.looks([str(line[army])])[str(line[army])].label for army in ("algorithm", "opponent"))


def legend(figure: Figure) -> tuple[list[str], str]:
    """Its labels and its note."""
    return [text.get_text() for text in figure.legends[0].get_texts()], figure.legends[0].get_title().get_text()


def draw(name: str) -> Figure:
    """One small figure of each kind."""
    greedy = pairings_frame().query("evaluation == 'greedy' and opponent in @LEARNERS")
    figure: Figure = {
        "curves": lambda: battle.learning_curves(curves_frame().query("agents == 8 and settings == 'ours'")),
        "ratings": lambda: battle.ratings(ratings_frame().query("agents == 64")),
        "win_rate_bars": lambda: battle_pairings.win_rate_bars(greedy, armies_frame(greedy)),
        "rewards": lambda: battle_pairings.rewards(greedy, armies_frame(greedy)),
    }[name]()
    return figure


def curves_frame(seeds: int = 4) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    keys = itertools.product(("appendix", "ours"), ("il", "mf-q"), (8, 64), range(seeds), range(100, 1100, 100))
    frame = pd.DataFrame(list(keys), columns=["settings", "algorithm", "agents", "seed", "step"])
    frame["reward"] = frame["agents"] * generator.uniform(-8, 5, len(frame))
    frame["kills"] = frame["agents"] * generator.uniform(0, 1, len(frame))
    absent = "settings == 'ours' and agents == 64 and algorithm == 'il' and seed == 3"
    return frame.drop(frame.query(absent).index)


def pairings_frame() -> pd.DataFrame:
    """All pairings of the learners, mirror matches too, and those with armies that do not learn."""
    generator = np.random.default_rng(0)
    pairs = [*itertools.combinations_with_replacement(LEARNERS, 2), *itertools.product(LEARNERS, ("rush", "random"))]
    rows = [(*pair, evaluation) for pair, evaluation in itertools.product(pairs, ("greedy", "sampled"))]
    frame = pd.DataFrame(rows, columns=["algorithm", "opponent", "evaluation"])
    learns = frame["opponent"].isin(LEARNERS)
    frame = frame.assign(rounds=np.where(learns, 3200, 400), seeds=np.where(learns, "8 v 8", "8 v 1"), agents=64)
    frame["wins"] = generator.uniform(0.1, 0.6, len(frame))
    frame["draws"] = generator.uniform(0.02, 0.2, len(frame))
    frame["losses"] = 1 - frame["wins"] - frame["draws"]
    frame["wins_left"], frame["wins_right"] = frame["wins"] + 0.1, frame["wins"] - 0.1
    for reward in ("reward", "opponent_reward"):
        frame[reward] = generator.uniform(-200, 300, len(frame))
    for column, width in (("wins", 0.1), ("losses", 0.1), ("reward", 40), ("opponent_reward", 40)):
        for end, sign in (("low", -1), ("high", 1)):
            frame[f"{column}_{end}"] = frame[column] + sign * width * generator.uniform(0.5, 1, len(frame))
    return frame


def armies_frame(pairings: pd.DataFrame, armies: int = 8) -> pd.DataFrame:
    """So many armies of each algorithm, seen from both sides of each pairing; a script has one."""
    sides = pd.concat([pairings, pairings.rename(columns={"algorithm": "opponent", "opponent": "algorithm"})])
    keys = sides[["algorithm", "opponent", "evaluation"]].drop_duplicates().itertuples(index=False, name=None)
    rows = [(*key, seed) for key in keys for seed in range(1 if key[0] in ("rush", "random") else armies)]
    frame = pd.DataFrame(rows, columns=["algorithm", "opponent", "evaluation", "seed"])
    generator = np.random.default_rng(1)
    return frame.assign(wins=generator.uniform(0, 1, len(frame)), reward=generator.uniform(-200, 300, len(frame)))


def ratings_frame() -> pd.DataFrame:
    keys = itertools.product((*LEARNERS, "rush", "random"), ("greedy", "sampled"), (8, 64))
    frame = pd.DataFrame(list(keys), columns=["algorithm", "evaluation", "agents"])
    frame["rating"] = np.random.default_rng(0).uniform(500, 1800, len(frame))
    frame["seeds"] = np.where(frame["algorithm"].isin(LEARNERS), 5, 1)
    frame.loc[(frame["algorithm"] == "ac") & (frame["agents"] == 64), "seeds"] = 3
    frame["score_on_scale"] = frame["algorithm"].map({"random": 0.0}).fillna(0.4)
    frame.loc[(frame["algorithm"] == "rush") & (frame["agents"] == 8), "score_on_scale"] = 1.0
    return frame.assign(rating_low=frame["rating"] - 50, rating_high=frame["rating"] + 70)

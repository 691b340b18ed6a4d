"""Passages of results/battle/README.md with numbers."""

from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfmarl.claims.battle import rounds_of_leaving
from mfmarl.claims.wording import p_of
from mfmarl.evaluation.comparisons import seat_test
from mfmarl.evaluation.curves import last_tenth
from mfmarl.evaluation.intervals import with_ends
from mfmarl.evaluation.names import in_words, label
from mfmarl.evaluation.rounds import EVALUATIONS, HIDING, LEARNERS, MAX_STEPS
from mfmarl.evaluation.tables import only
from mfmarl.evaluation.verdicts import ALPHA
from mfmarl.files import read_csv
from mfmarl.scripting.pages.markdown import bullets, one, span, table

SIZES = (8, 64, 144, 256)
PAIRINGS = (("mf-q", "il"), ("mf-ac", "ac"), ("il", "ac"), ("il", "mf-ac"), ("mf-q", "ac"), ("mf-q", "mf-ac"))
COLUMNS = ("random", "rush", "ac", "mf-ac", "il")
HIDING_TOLERANCE = 1e-3  # rewards are sums of 25,600 numbers in float32
LATE_ROUNDS = 200  # last rounds in which kills of the released code's actor-critics are counted: our choice
ENTROPY_WEIGHT = 0.08  # weight of the actor-critics' entropy bonus: appendix C.3
ATTACK_REWARD = -0.1  # reward of an attack that hits nobody, besides a step's: see environments/battle/battles.py
MOVES, ATTACKS = 13, 8  # numbers of actions, see ACTIONS in environments/battle/game.py


def passages(results: Path) -> dict[str, str]:
    """Write all passages, by name, from the tables in a folder like results/battle."""
    pairings, curves = read_csv(results / "pairings.csv"), read_csv(results / "curves.csv")
    rounds = read_csv(results / "tournament.csv")
    appendix = only(curves, settings="appendix")
    return {
        "wins-64": wins_of_64(pairings),
        "wins-by-size": wins_by_size(pairings),
        "rewards-64": rewards_of_64(pairings),
        "plateau": plateau(appendix),
        "findings": findings(pairings, appendix, rounds),
        "released-code": released_code(only(curves, settings="released-code")),
    }


def wins(pairings: pd.DataFrame, *, ends: bool) -> dict[tuple[int, str, str], str]:
    """Win rates of the first army in greedy and sampled play, by number of agents and names.

    They look like "50% / 60%", or with ends like "50% [40, 60] / 60% [50, 70]".
    """
    texts: dict[tuple[int, str, str], list[str]] = {}
    for line in sorted(pairings.to_dict("records"), key=itemgetter("evaluation")):
        bounds = (f"{100 * line[name]:.0f}" for name in ("wins_low", "wins_high"))
        text = f"{line['wins']:.0%}"
        text = with_ends(text, *bounds) if ends else text
        texts.setdefault((line["agents"], line["algorithm"], line["opponent"]), []).append(text)
    return {pairing: " / ".join(texts) for pairing, texts in texts.items()}


def wins_of_64(pairings: pd.DataFrame) -> str:
    """Table of win rates for every pairing of armies of 64, each pairing once."""
    cells, rows = wins(pairings, ends=True), []
    for place, name in enumerate(LEARNERS):
        others = {*COLUMNS} - {*LEARNERS[: place + 1]}
        rows.append([label(name), *(cells[64, name, other] if other in others else "" for other in COLUMNS)])
    return table(["won, draws not counted, greedy / sampled", *(f"v {label(name)}" for name in COLUMNS)], rows)


def wins_by_size(pairings: pd.DataFrame) -> str:
    """Table of win rates for every pairing of learners at every size."""
    cells = wins(pairings, ends=False)
    rows = [
        [f"{label(first)} v {label(second)}", *(cells[agents, first, second] for agents in SIZES)]
        for first, second in PAIRINGS
    ]
    return table(
        ["won by the first, draws not counted, greedy / sampled", *(f"{agents} v {agents}" for agents in SIZES)], rows
    )


def rewards_of_64(pairings: pd.DataFrame) -> str:
    """Table of the mean total rewards of both sides per round, 64 against 64."""
    rows = []
    for first, second in PAIRINGS:
        cells = [one(pairings, agents=64, algorithm=first, opponent=second, evaluation=each) for each in EVALUATIONS]
        texts = [f"{cell['reward']:.0f} v {cell['opponent_reward']:.0f}" for cell in cells]
        rows.append([f"{label(first)} v {label(second)}", *texts])
    return table(["total reward of a round", *EVALUATIONS], rows)


def plateau(curves: pd.DataFrame) -> str:
    """Table of the rounds from which seeds earn more than by hiding, as in BA-3."""

    def rounds(name: str, agents: int) -> str:
        return span(rounds_of_leaving(only(curves, algorithm=name, agents=agents), agents), ".0f")

    rows = [[label(name), *(rounds(name, agents) for agents in SIZES)] for name in ("mf-q", "il", "mf-ac", "ac")]
    header = "round from which to the end more is earned than by hiding"
    return table([header, *(f"{agents} v {agents}" for agents in SIZES)], rows).replace("inf", "never")


def findings(pairings: pd.DataFrame, curves: pd.DataFrame, rounds: pd.DataFrame) -> str:
    """Sentences about other results in the tables."""
    alike = only(curves, agents=64)
    late = last_tenth(alike)
    means = late.groupby(["algorithm", "seed"])["reward"].mean()
    against = only(pairings, agents=64, opponent="random")
    against = against[against["algorithm"].isin(LEARNERS)]
    others = pairings[pairings["agents"].ne(64) & pairings["opponent"].eq("random")]
    elsewhere = [
        f"with {in_words(sorted(set(some['agents'])))} agents {span(100 * some['wins'], '.0f')}% of {rounds_each}"
        for rounds_each, some in others.groupby("rounds", sort=False)
    ]
    rush = only(rounds, agents=64, opponent="rush")
    rush = rush.assign(won=rush["result"].eq("win"), lost=rush["result"].eq("loss"))
    armies = rush.groupby(["evaluation", "algorithm", "seed"])[["won", "lost"]].sum().reset_index()
    beaten = armies[armies["lost"] > armies["won"]]["evaluation"].value_counts()
    of_mf_ac = sorted(only(armies, evaluation="greedy", algorithm="mf-ac")["won"], reverse=True)
    count = len(only(armies, evaluation="greedy"))
    each = len(rush) // len(armies)
    return bullets(
        [
            f"Each of the four learns to attack and annihilate: in the last tenth of training a seed earns"
            f" {span(means, '.0f')} a round in self-play. Against the random army all four win"
            f" {span(100 * against['wins'], '.0f')}% of {against['rounds'].iloc[0]} rounds a mode of play,"
            f" {in_words(elsewhere)}.",
            f"Self-play on its own is no measure: of {count} armies rush beats {beaten['sampled']} in"
            f" sampled play and {beaten['greedy']} in greedy play. Armies of one algorithm differ as much as algorithms"
            f" do: the {len(of_mf_ac)} of MF-AC won {in_words(of_mf_ac)} of {each} greedy rounds against it.",
            seats(rounds),
            by_seat(rounds),
            mirrors(pairings),
        ]
    )


def seats(rounds: pd.DataFrame) -> str:
    """Sentences on the difference between the win rates of the two seats, and the difference expected by chance."""
    learned = rounds[rounds["agents"].eq(64) & rounds["algorithm"].isin(LEARNERS) & rounds["opponent"].isin(LEARNERS)]
    pair = ["evaluation", "algorithm", "opponent", "seed", "opponent_seed", "seat"]
    shares = learned["result"].eq("win").groupby([learned[name] for name in pair]).agg(["sum", "size"])
    both = shares.unstack("seat")  # noqa: PD010 - two columns each
    names = both.index.get_level_values
    equal = names("algorithm") == names("opponent")
    counts, p_values = both["size"].to_numpy(), []

    def told(some: NDArray[np.bool_]) -> str:
        texts = []
        for play in EVALUATIONS:
            here = both[some & (names("evaluation") == play)]
            seen, chance, p = seat_test(here["sum"], here["size"], generator=np.random.default_rng(0))
            p_values.append(p)
            texts.append(f"{100 * seen:.0f} points in {play} play (chance alone: {100 * chance:.0f})")
        return " and ".join(texts)

    among, between = told(equal), told(~equal)
    plays = len(EVALUATIONS)
    known = max(p_values) < ALPHA
    return (
        f"Where an army stands {'matters' if known else 'was not seen to matter'}: with {counts.min()} to"
        f" {counts.max()} rounds a seat, shares of wins differ between the two seats by {among} in the mean of the"
        f" {equal.sum() // plays} seed pairs of one algorithm, and by {between} in that of the"
        f" {(~equal).sum() // plays} of two ({p_of(max(p_values))}{' in all four' if known else ' or less'}, every"
        f" pair's rounds dealt out to its seats anew)."
    )


def by_seat(rounds: pd.DataFrame) -> str:
    """A sentence that near-even wins of MF-Q against IL in large battles come from the seats, not from parity."""
    pairs = only(rounds, algorithm="mf-q", opponent="il")
    shares = pairs["result"].eq("win").groupby([pairs[name] for name in ("agents", "evaluation", "seat")]).mean()

    def told(agents: int) -> str:
        plays = (
            f"{shares[agents, play, 'left']:.0%} from the left and {shares[agents, play, 'right']:.0%} from the right"
            for play in EVALUATIONS
        )
        return f"with {agents} agents it wins {' ('.join(plays)} in {EVALUATIONS[1]} play)"

    return (
        "Wins of MF-Q against IL near one half in large battles are the seat, not parity: in"
        f" {EVALUATIONS[0]} play {', '.join(told(agents) for agents in (144, 256))}."
    )


def mirrors(pairings: pd.DataFrame) -> str:
    """A sentence on the armies that earn less against themselves than by hiding."""
    own = pairings[pairings["algorithm"] == pairings["opponent"]]
    own = own[own["algorithm"].isin(LEARNERS)]
    poor = own[own["reward"] < HIDING * own["agents"]]
    if poor.empty:
        return "Against itself no army earns less than by hiding."
    texts = [
        f"{label(line['algorithm'])} with {line['agents']} agents in {line['evaluation']} play"
        f" ({line['reward']:.0f}, hiding {HIDING * line['agents']:.0f})"
        for line in poor.to_dict("records")
    ]
    return f"Against itself an army may earn less than by hiding: {', '.join(texts)}."


def released_code(curves: pd.DataFrame) -> str:
    """Sentences on the results of the authors' released code, with one seed per method."""
    q_learners, others = (curves[curves["algorithm"].isin(names)] for names in (("mf-q", "il"), ("ac", "mf-ac")))
    late = others[others["step"] > others["step"].max() - LATE_ROUNDS]
    ends = last_tenth(others)["reward"].mean()
    rounds_a_row = others["step"].min()  # each row is the mean over the rounds since the previous row
    kills = (late["kills"] * rounds_a_row).sum()
    sentences = []
    for name in ("mf-q", "il"):
        runs = only(q_learners, algorithm=name)
        hidden = (runs["reward"] - 64 * HIDING).abs() < HIDING_TOLERANCE
        left = runs[~hidden]
        sentences.append(
            f"{label(name)} earns exactly {64 * HIDING:.0f} in {hidden.sum()} of its {len(runs)} rounds, and kills in"
            f" {(left['kills'] > 0).sum()} of the other {len(left)}"
        )
    return (
        f"The authors' released code, one seed a method: its actor-critics end at {ends:.0f} a round, with"
        f" {kills:.0f} kills in their last {LATE_ROUNDS} rounds together, close to the"
        f" {64 * reward_of_entropy():.0f} of a policy that weighs only the entropy bonus ({ENTROPY_WEIGHT}) against the"
        f" cost of an attack ({-ATTACK_REWARD}). Of its Q-learners {', and '.join(sentences)}."
        f" So few rounds of one seed do not say whether they leave that plateau for good."
    )


def reward_of_entropy() -> float:
    """Reward per round of an agent whose only reward is the cost of attacks, and that learns with the entropy bonus.

    The policy that maximises the mean reward and ENTROPY_WEIGHT times the entropy is softmax(reward / ENTROPY_WEIGHT).
    """
    rewards = np.array([0.0] * MOVES + [ATTACK_REWARD] * ATTACKS)
    chances = np.exp(rewards / ENTROPY_WEIGHT)
    return HIDING + MAX_STEPS * float(chances @ rewards / chances.sum())

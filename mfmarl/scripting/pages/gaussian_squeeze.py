"""Passages of results/gaussian_squeeze/README.md with numbers."""

from math import nan
from pathlib import Path
from typing import Any

import pandas as pd

from mfmarl.claims.gaussian_squeeze import (
    MARGIN,
    METHODS,
    SETTINGS,
    converges_faster,
    equal_actions_share,
    learns_optimum,
    near_optimum,
    others_fail,
    uniform_share,
)
from mfmarl.claims.tables import OPTIMUM_SHARE, Tables, best_rewards
from mfmarl.claims.wording import p_of
from mfmarl.evaluation.comparisons import holm, rank_test, superiority
from mfmarl.evaluation.final_scores import TIMED_AGENTS, final_scores
from mfmarl.evaluation.names import label
from mfmarl.evaluation.tables import only
from mfmarl.files import read_csv
from mfmarl.scripting.pages.markdown import bullets, one, span, table, with_interval

SIZES = (100, 500, 1000)
MF_Q = ("mf-q", "previous")  # algorithm and stored mean action in the sensitivity study
OTHERS = (("il", "-"), ("mf-q", "same"), ("mf-q-noise", "-"))
PRINTED = 0.005  # the least share of G* that two digits show
EQUAL = f"shares below {PRINTED} count as equal"
OPTIMUM = best_rewards(SIZES)


def passages(results: Path) -> dict[str, str]:
    """Write all passages, by name, from the tables in a folder like results/gaussian_squeeze."""
    summary = read_csv(results / "summary.csv")
    curves = final_scores(read_csv(results / "curves.csv"), OPTIMUM)
    return {
        "by-settings": by_settings(Tables(lambda name: read_csv(results.parent / name))),
        "rewards-calibrated": rewards(summary, "calibrated", "greedy"),
        "rewards-appendix": rewards(summary, "appendix", "greedy"),
        "sampled-calibrated": rewards(summary, "calibrated", "sampled"),
        "first-touch": first_touch(summary),
        "findings": findings(summary, curves, read_csv(results / "exploration/study.csv")),
        "informed-start": informed_start(read_csv(results / "informed_start/study.csv")),
        "informed-start-long": informed_start_long(
            read_csv(results / "informed_start_long/study.csv"), read_csv(results / "informed_start_long/summary.csv")
        ),
        "exploration": exploration(read_csv(results / "exploration/summary.csv")),
        "joint-steps": joint_steps(
            read_csv(results / "joint_steps/study.csv"), read_csv(results / "joint_steps/summary.csv")
        ),
        "fmq-temperature": fmq_temperature(
            read_csv(results / "fmq_temperature/study.csv"), read_csv(results / "fmq_temperature/summary.csv")
        ),
        "sensitivity": sensitivity(
            read_csv(results / "sensitivity/study.csv"), read_csv(results / "sensitivity/summary.csv")
        ),
        "scaling": scaling(read_csv(results / "scaling/summary.csv")),
    }


def by_settings(tables: Tables) -> str:
    """Table of the verdicts by the runs with one of the settings alone."""
    claims = {"GS-1": near_optimum, "GS-2": learns_optimum, "GS-3": others_fail, "GS-4": converges_faster}
    rows = []
    for name, measure in claims.items():
        found = measure(tables)
        rows.append([name, *(found.verdict_of(settings) for settings in SETTINGS)])
    return table(["by the runs of one setting alone", *(f"`{settings}`" for settings in SETTINGS)], rows)


def rewards(summary: pd.DataFrame, settings: str, play: str) -> str:
    """Table of final rewards as shares of the optimum, with one row per method."""
    rows = []
    for name in METHODS:
        cells = [one(summary, settings=settings, algorithm=name, agents=agents) for agents in SIZES]
        rows.append([label(name), *(f"{with_interval(cell, play)} n={cell['n']}" for cell in cells)])
    return table([f"`{settings}`, {play} play: final G / G*", *(f"N = {agents}" for agents in SIZES)], rows)


def first_touch(summary: pd.DataFrame) -> str:
    """Table of the step at which greedy play first earns 0.9 of the optimum, and the number of seeds that end there."""
    rows = []
    for settings in ("appendix", "calibrated"):
        for name in ("il", "mf-q", "mf-ac"):
            cells = [one(summary, settings=settings, algorithm=name, agents=agents) for agents in SIZES]
            rows.append([f"`{settings}`", label(name), *(_touch(cell) for cell in cells)])
    header = ["settings", "method", *(f"N = {agents}" for agents in SIZES)]
    return table(header, rows)


def _touch(cell: dict[str, Any]) -> str:
    reached, count = cell["reached_0.9"], cell["n"]
    when = f", median step {cell['steps_to_0.9']:.0f}" if reached else ""
    return f"{reached} of {count}{when}; ends there in {_times(cell, 'above_0.9')}"


def _times(cell: dict[str, Any], share: str) -> int:
    return round(float(cell[share]) * int(cell["n"]))


def findings(summary: pd.DataFrame, scores: pd.DataFrame, study: pd.DataFrame) -> str:
    """Sentences on what the tables say about the claims; `study` is that of exploration."""
    uniform = uniform_share(100)
    fmq, mf_ac = (one(summary, settings="appendix", algorithm="fmq", agents=100)), "mf-ac"
    short = one(summary, settings="calibrated", algorithm=mf_ac, agents=100)
    above = [
        label(name)
        for name in METHODS
        if one(summary, settings="calibrated", algorithm=name, agents=100)["greedy"] > uniform
    ]
    half = {name: one(summary, settings="calibrated", algorithm=name, agents=500) for name in ("il", "mf-q")}
    below = {name: cell["n"] - _times(cell, "above_0.5") for name, cell in half.items()}
    both = [_ends_of_both(summary, agents) for agents in (500, 1000)]
    return bullets(
        [
            f"At N = 100 uniform play alone earns {uniform:.3f} of G* (exact), so that ending close to G* says little."
            f" With the appendix's values {_ends(summary, 'appendix', 100, 'il', 'mf-q')}"
            f" ({_p(scores, 'il', 'mf-q', 100, 'appendix')}), and FMQ is above 0.9 in {_times(fmq, 'above_0.9')} of"
            f" {fmq['n']} seeds."
            f" In the short calibrated runs only {' and '.join(above)} end{'s' * (len(above) == 1)} above uniform play;"
            f" MF-AC's greedy play ends at {short['greedy']:.2f}, its sampled play, still almost uniform, at"
            f" {short['sampled']:.2f}.",
            "At N = 500 and 1000 MF-AC never leaves a uniform start: its samples show no reward. What it does from a"
            " better start is [the first study](#started-near-action-0).",
            f"With the appendix's values a part of the seeds ends above 0.9 of G* at N = 500: {both[0]};"
            f" {_at_equal_actions(scores)}. At N = 1000 it is {both[1]}; with ten times the joint steps"
            " [they learn there too](#as-many-joint-steps).",
            f"Calibrated at N = 500, IL ends below half of G* in {below['il']} of {half['il']['n']} seeds and MF-Q in"
            f" {below['mf-q']} of {half['mf-q']['n']}, though ranks of the final rewards do not tell them apart"
            f" (Mann-Whitney, {_p(scores, 'il', 'mf-q', 500)}). At N = 1000 IL is ahead of MF-Q"
            f" ({_p(scores, 'il', 'mf-q', 1000)}), and FMQ of both ({_p(scores, 'fmq', 'il', 1000)} and"
            f" {_p(scores, 'fmq', 'mf-q', 1000)}).",
            "At calibrated rates FMQ fails by a constant that appendix C.1 leaves open, the end of its Boltzmann"
            " schedule: with 1, as in the FMQ paper, it fails; explored as the other value methods are it does not:"
            " [the second study](#explored-alike). Its lead at N = 1000 goes with its discount, 0:"
            f" {_undiscounted(study)}. At the appendix's rates it fails with"
            " [an end of 0](#where-fmqs-temperature-ends) too.",
        ]
    )


def _ends_of_both(summary: pd.DataFrame, agents: int) -> str:
    cells = {name: one(summary, settings="appendix", algorithm=name, agents=agents) for name in ("il", "mf-q")}
    return " and ".join(f"{label(name)} in {_times(cell, 'above_0.9')} of {cell['n']}" for name, cell in cells.items())


def _at_equal_actions(scores: pd.DataFrame) -> str:
    share = equal_actions_share(500)
    ends = pd.concat(
        [only(scores, settings="appendix", algorithm=name, agents=500)["greedy"] for name in ("il", "mf-q")]
    )
    found = ends[ends > OPTIMUM_SHARE]
    near = (found - share).abs() < MARGIN
    return f"{near.sum()} of these {len(found)} lie within {MARGIN} of {share:.3f}, which all earn by playing 1"


def _undiscounted(study: pd.DataFrame) -> str:
    scores = final_scores(study, OPTIMUM, by=["algorithm", "exploration", "discount", "agents"])
    alike = only(scores, exploration="epsilon 1 to 0.005", discount=0, agents=1000)
    il, fmq = (only(alike, algorithm=name)["greedy"] for name in ("il", "fmq"))
    return (
        f"with the same discount and exploration IL ends at {il.mean():.2f} and FMQ at {fmq.mean():.2f}"
        f" ({p_of(ends_test(il, fmq))})"
    )


def _ends(summary: pd.DataFrame, settings: str, agents: int, first: str, second: str) -> str:
    cells = [one(summary, settings=settings, algorithm=name, agents=agents) for name in (first, second)]
    return f"{label(first)} ends at {cells[0]['greedy']:.3f} and {label(second)} at {cells[1]['greedy']:.3f}"


def _p(scores: pd.DataFrame, first: str, second: str, agents: int, settings: str = "calibrated") -> str:
    ends = [only(scores, settings=settings, algorithm=name, agents=agents)["greedy"] for name in (first, second)]
    return p_of(ends_test(*ends))


def ends_test(first: "pd.Series[float]", second: "pd.Series[float]") -> float:
    """The two-sided p-value of the Mann-Whitney test, to which all that prints as zero is equal; NaN if all does."""
    one, other = (ends.where(ends >= PRINTED, 0.0) for ends in (first, second))
    return rank_test(one, other) if one.any() or other.any() else nan


def informed_start(study: pd.DataFrame) -> str:
    """Actor-critics that start near action 0: final sampled and greedy rewards by N and the actors' learning rate."""
    scores = final_scores(study, OPTIMUM, by=["algorithm", "actor_rate", "agents"])
    names, others = ("maac", "ac", "mf-ac", "mf-ac-noise"), ("ac", "mf-ac-noise")
    cells = {
        (agents, rate): {name: only(cell, algorithm=name) for name in names}
        for (agents, rate), cell in scores.groupby(["agents", "actor_rate"])
    }
    compared = [(ends["mf-ac"]["sampled"], ends[other]["sampled"]) for ends in cells.values() for other in others]
    p_values = map(p_of, holm([ends_test(*runs) for runs in compared]))
    rows = []
    for (agents, rate), ends in cells.items():
        sampled, greedy = (
            [f"{runs[play].mean():.2f}" if len(runs) else "" for runs in ends.values()]
            for play in ("sampled", "greedy")
        )
        tests = [next(p_values) for _ in others]
        runs = span(map(len, filter(len, ends.values())), "d")
        rows.append([agents, f"{rate:g}", *sampled, *tests, *greedy[:3], runs])
    played = [[f"{label(name)}, {play}" for name in names] for play in ("sampled", "greedy")]
    rate = scores["actor_rate"].max()
    learned = [
        f"{label(name)} "
        + " / ".join(_of(cells[agents, rate][name]["greedy"].ge(OPTIMUM_SHARE)) for agents in SIZES[1:])
        for name in names
    ]
    return (
        table(["N", "actors' rate", *played[0], "MF-AC v AC", "MF-AC v fed noise", *played[1][:3], "n"], rows)
        + f"\n\np: Mann-Whitney of sampled play, Holm's for all {len(compared)} comparisons; {EQUAL}."
        + f" With the rate {rate:g} greedy play ends at {OPTIMUM_SHARE:g} of G* or more, N = "
        + f"{' / '.join(map(str, SIZES[1:]))}: {'; '.join(learned)}."
    )


def _of(which: "pd.Series[bool]") -> str:
    """How many of how many."""
    return f"{which.sum()} of {len(which)}"


def informed_start_long(study: pd.DataFrame, summary: pd.DataFrame) -> str:
    """The same start with the appendix's budget: final sampled and greedy rewards by N, MF-AC against AC and noise."""
    scores = final_scores(study, OPTIMUM, by=["algorithm", "updates", "agents"])
    names, others = ("ac", "mf-ac", "mf-ac-noise"), ("ac", "mf-ac-noise")
    cases = [(agents, play) for agents in sorted(set(summary["agents"])) for play in ("sampled", "greedy")]
    runs = [{name: only(scores, algorithm=name, agents=agents)[play] for name in names} for agents, play in cases]
    p_values = map(p_of, holm([ends_test(ends["mf-ac"], ends[other]) for ends in runs for other in others]))
    rows = []
    for agents, play in cases:
        ends = [one(summary, algorithm=name, agents=agents) for name in names]
        shares = [with_interval(end, play) for end in ends]
        rows.append([agents, play, *shares, *(next(p_values) for _ in others), span([end["n"] for end in ends], "d")])
    header = ["N", "play", *(label(name) for name in names), "MF-AC v AC", "MF-AC v fed noise", "n"]
    return table(header, rows) + f"\n\np: Mann-Whitney, Holm's for all {len(cases) * len(others)} comparisons; {EQUAL}."


def exploration(summary: pd.DataFrame) -> str:
    """Value methods with the same explorations and discounts: for each N a table and a summary of it."""
    texts = []
    for agents, cells in summary.groupby("agents"):
        shown = cells.assign(cell=[with_interval(row, "greedy") for _, row in cells.iterrows()])
        schedules = list(dict.fromkeys(cells["exploration"]))
        rows = []
        for (name, discount), some in shown.groupby(["algorithm", "discount"], sort=False):
            means = [one(some, exploration=each)["cell"] for each in schedules]
            rows.append([label(str(name)), f"{discount:g}", *means])
        learners = cells[cells["algorithm"].ne("rec-fmq")]
        hot = learners["exploration"].str.startswith("Boltzmann to 1")
        texts.append(
            table([f"N = {agents}: final G / G*, n = {span(cells['n'], 'd')}", "discount", *schedules], rows)
            + f"\n\nIL, FMQ and MF-Q end at {span(learners[~hot]['greedy'])} of G* where exploration ends at 0 or"
            + f" 0.005, and at {span(learners[hot]['greedy'])} where it ends at temperature 1. Rec-FMQ ends at"
            + f" {span(only(cells, algorithm='rec-fmq')['greedy'])} throughout."
        )
    return "\n\n".join(texts)


def joint_steps(study: pd.DataFrame, summary: pd.DataFrame) -> str:
    """IL and MF-Q with the appendix's values and 1000 agents, by number of joint steps."""
    scores = final_scores(study, OPTIMUM, by=["algorithm", "steps", "agents"])
    rows = []
    for steps, cells in summary.groupby("steps"):
        ends = {name: one(cells, algorithm=name) for name in ("il", "mf-q")}
        runs = [only(scores, algorithm=name, steps=steps)["greedy"] for name in ends]
        above = [f"{_times(end, 'above_0.9')} of {end['n']}" for end in ends.values()]
        means = [with_interval(end, "greedy") for end in ends.values()]
        rows.append([f"{steps:,}", *means, p_of(ends_test(*runs)), *above])
    header = ["joint steps", "IL", "MF-Q", "Mann-Whitney", "IL ends above 0.9 of G*", "MF-Q does"]
    return table(header, rows) + f"\n\nIn the test {EQUAL}."


def fmq_temperature(study: pd.DataFrame, summary: pd.DataFrame) -> str:
    """FMQ with the appendix's values, by the end of its Boltzmann schedule."""
    scores = final_scores(study, OPTIMUM, by=["algorithm", "min_temp", "agents"])
    ends = sorted(set(summary["min_temp"]), reverse=True)
    sizes = sorted(set(summary["agents"]))
    compared = [[only(scores, min_temp=end, agents=agents)["greedy"] for end in ends] for agents in sizes]
    rows = []
    for agents, p in zip(sizes, holm([ends_test(*runs) for runs in compared]), strict=True):
        cells = [one(summary, min_temp=end, agents=agents) for end in ends]
        above = [f"{_times(cell, 'above_0.9')} of {cell['n']}" for cell in cells]
        rows.append([agents, *(with_interval(cell, "greedy", ".3f") for cell in cells), p_of(p), *above])
    shown = [f"min_temp {end:g}" for end in ends]
    header = ["N", *shown, "Mann-Whitney", *(f"{each} ends above 0.9 of G*" for each in shown)]
    return table(header, rows) + f"\n\np: Holm's for all sizes; {EQUAL}."


def sensitivity(study: pd.DataFrame, summary: pd.DataFrame) -> str:
    """IL, MF-Q, and MF-Q with another mean action, by schedule, budget and embedding of the id."""
    methods = [OTHERS[0], MF_Q, *OTHERS[1:]]
    above = _mf_q_above(study)
    rows = []
    for (embedding, schedule, steps), cell in summary.groupby(["embedding", "schedule", "steps"]):
        ends = [one(cell, algorithm=name, stored=stored) for name, stored in methods]
        if embedding == "one-hot":
            rows.append([f"epsilon {schedule}, {steps} steps", *(with_interval(end, "greedy") for end in ends)])
    diverse = only(summary, embedding="diverse")
    found, runs = (diverse["above_0.9"] * diverse["n"]).sum(), diverse["n"].sum()
    same, noise = "MF-Q, mean action of the same step", "MF-Q, noise for the mean action"
    return (
        table(
            [f"one-hot id, n = {span(only(summary, embedding='one-hot')['n'], 'd')}", "IL", "MF-Q", same, noise], rows
        )
        + "\n\n"
        + table(["chance that MF-Q ends above", "IL", same, noise], above)
        + "\n\nA chance of 50%: no difference. p: Mann-Whitney, Holm's for all"
        + f" {len(above) * len(OTHERS)} comparisons."
        + f"\n\nWith a diverse embedding of the id {found:.0f} of {runs} runs end above 0.9 of G*, whatever the method."
    )


def _mf_q_above(study: pd.DataFrame) -> list[list[str]]:
    """For each cell with one-hot ids, the probabilities that MF-Q ends above each other variant, with p-values."""
    keys = ["algorithm", "schedule", "steps", "embedding", "stored", "agents"]
    scores = only(final_scores(study, OPTIMUM, by=keys), embedding="one-hot")
    names, chances, p_values = [], [], []
    for (schedule, steps), cell in scores.groupby(["schedule", "steps"]):
        names.append(f"epsilon {schedule}, {steps} steps")
        ends, *others = (only(cell, algorithm=name, stored=stored)["greedy"] for name, stored in (MF_Q, *OTHERS))
        for other in others:
            chances.append(superiority(ends, other))
            p_values.append(rank_test(ends, other))
    told = [f"{chance:.0%}, {p_of(p)}" for chance, p in zip(chances, holm(p_values), strict=True)]
    return [[name, *told[len(OTHERS) * place :][: len(OTHERS)]] for place, name in enumerate(names)]


def scaling(summary: pd.DataFrame) -> str:
    """Table of shares of the optimum by number of agents, with mu and sigma in proportion to it."""
    sizes = [agents for agents in sorted(set(summary["agents"])) if agents < TIMED_AGENTS]
    rows = [
        [label(name), *(f"{one(summary, algorithm=name, agents=agents)['greedy']:.2f}" for agents in sizes)]
        for name in ("il", "mf-q")
    ]
    return table(["final G / G*, two seeds", *(f"N = {agents:,}" for agents in sizes)], rows)

"""GS-1 to GS-4."""

from __future__ import annotations

from itertools import product
from math import inf

import pandas as pd
import torch

from mfmarl.claims.tables import OPTIMUM_SHARE, Measured, Tables, smaller
from mfmarl.claims.wording import p_of, runs_of
from mfmarl.environments.gaussian_squeeze import GaussianSqueeze
from mfmarl.evaluation.names import NAMES, in_words
from mfmarl.evaluation.rounds import EVALUATIONS
from mfmarl.evaluation.tables import only
from mfmarl.evaluation.verdicts import FAILS, HOLDS, NOT_TESTED, Finding, share_within

METHODS = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
SETTINGS = ("appendix", "calibrated")
ACTOR_RATE = 1e-4  # the appendix's value
FAST_RATE = 0.01  # a hundred times that: the rate at which the informed start of MAAC is told
FED = ("fed the mean action", "fed noise")  # input of the actor-critics, and of the control
MARGIN = 0.005  # of G*, by which a run ends above what equal actions earn
FAILURE_SHARE = 0.5  # share of G* below which learning failed


def near_optimum(tables: Tables) -> Measured:
    """GS-1: six methods at N = 100."""
    return Measured([learned(tables, name, 100) for name in METHODS])


def say_near_optimum(found: Measured, _: Tables) -> str:
    """The sentence of GS-1."""
    counts = "; ".join(f"{NAMES[name]} {of_both(found, name, 100)}" for name in METHODS)
    for_all = [each for each in SETTINGS if all(found[part_of(name, 100, each)].verdict == HOLDS for name in METHODS)]
    alone = (
        f"It holds for all six with {in_words(for_all)}" if for_all else "In neither setting does it hold for all six"
    )
    return (
        f"Runs that end at 0.9 G* or more, appendix / calibrated: {counts}. {alone}. It says little: "
        f"uniform play alone earns {uniform_share(100):.3f} G* there."
    )


def learns_optimum(tables: Tables) -> Measured:
    """GS-2: MF-Q and MF-AC at N = 500 and 1000. Not judged: other starts and the noise control."""
    groups = [learned(tables, name, agents) for agents, name in product((500, 1000), ("mf-q", "mf-ac"))]
    beside = []
    for agents, settings in product((500, 1000), SETTINGS):
        runs = only(tables.squeeze, settings=settings, algorithm="mf-q", agents=agents)
        part = part_of("mf-q", agents, settings)
        beside.append(ends_above(f"{part}, sampled", runs["sampled"]))
        if agents == 500:
            higher = int((runs["greedy"] > equal_actions_share(agents) + MARGIN).sum())
            statistic = "share of runs that end above what equal actions earn"
            beside.append(share_within(f"{part}, beyond equal actions", statistic, higher, len(runs), (0.5, inf)))
    for name, agents in product(("ac", "mf-ac"), (500, 1000)):
        runs = only(tables.informed_start, algorithm=name, agents=agents, actor_rate=ACTOR_RATE)
        for play in EVALUATIONS:
            beside.append(ends_above(f"{NAMES[name]}, N = {agents}, informed start, {play}", runs[play]))
    long = tables.finals("gaussian_squeeze/informed_start_long/study.csv", ("algorithm", "updates", "agents"))
    for agents, play in product((500, 1000), EVALUATIONS):
        runs = only(long, algorithm="mf-ac", agents=agents)
        beside.append(ends_above(f"MF-AC, N = {agents}, informed start, appendix's budget, {play}", runs[play]))
    beside.append(ends_above(f"MF-Q, N = 1000, {MORE_STEPS}", of_more_steps(tables, "mf-q")))
    keys = ("algorithm", "schedule", "steps", "embedding", "stored", "agents")
    study = tables.finals("gaussian_squeeze/sensitivity/study.csv", keys)
    study = study[study["embedding"] == "one-hot"]
    for (schedule, steps), cell in study.groupby(["schedule", "steps"]):
        own, noise = only(cell, algorithm="mf-q", stored="previous"), only(cell, algorithm="mf-q-noise")
        for part, runs in zip(FED, (own, noise), strict=True):
            beside.append(ends_above(f"MF-Q, N = 500, epsilon {schedule}, {steps} steps, {part}", runs["greedy"]))
    return Measured(groups, beside)


def say_learns_optimum(found: Measured, _: Tables) -> str:
    """The sentence of GS-2."""
    both = "; ".join(
        f"{NAMES[name]} {of_both(found, name, 500)} at N = 500, {of_both(found, name, 1000)} at N = 1000"
        for name in ("mf-q", "mf-ac")
    )

    def started(name: str, play: str) -> str:
        return " / ".join(runs_of(found[f"{name}, N = {agents}, informed start, {play}"]) for agents in (500, 1000))

    def budgeted(play: str) -> str:
        parts = (f"MF-AC, N = {agents}, informed start, appendix's budget, {play}" for agents in (500, 1000))
        return " / ".join(runs_of(found[part]) for part in parts)

    def of_mf_q(agents: int, what: str) -> str:
        return " / ".join(runs_of(found[f"{part_of('mf-q', agents, settings)}, {what}"]) for settings in SETTINGS)

    own, noise = ([runs_of(each) for each in found.beside if each.part.endswith(part)] for part in FED)
    cells = ", ".join(f"{one} v {other}" for one, other in zip(own, noise, strict=True)) or "none run"
    return (
        f"Runs that end at 0.9 G* or more, appendix / calibrated: {both}. At N = 500 all playing 1 earn "
        f"{equal_actions_share(500):.3f} G*: {of_mf_q(500, 'beyond equal actions')} runs of MF-Q end more than "
        f"{MARGIN} above that. In sampled play it ends at 0.9 G* in {of_mf_q(500, 'sampled')} at N = 500 and in "
        f"{of_mf_q(1000, 'sampled')} at N = 1000. Started near action 0, with the "
        f"appendix's rate of actors, N = 500 / 1000: sampled play of MF-AC {started('MF-AC', 'sampled')} and of AC, "
        f"which sees no mean action, {started('AC', 'sampled')}; greedy play of MF-AC {started('MF-AC', 'greedy')}. "
        f"With the appendix's budget too, sampled play of MF-AC {budgeted('sampled')}, greedy {budgeted('greedy')}. "
        f"With its values and {MORE_STEPS} at N = 1000, MF-Q {runs_of(found[f'MF-Q, N = 1000, {MORE_STEPS}'])}. "
        f"MF-Q v itself fed noise as its mean action, in each cell of a study at N = 500: {cells}."
    )


MORE_STEPS = "ten times the joint steps"  # of the appendix's settings, where all sizes have equal gradient steps


def of_more_steps(tables: Tables, name: str) -> pd.Series[float]:
    """Final shares of G* of a method at N = 1000 with the appendix's values and the joint steps of N = 100."""
    runs = tables.finals("gaussian_squeeze/joint_steps/study.csv", ("algorithm", "steps", "agents"))
    scores: pd.Series[float] = only(runs, algorithm=name)["greedy"][runs["steps"] == runs["steps"].max()]
    return scores


NEAR_ZERO, AT_ONE = "ends near 0", "ends at temperature 1"  # the ends of the study's explorations


def others_fail(tables: Tables) -> Measured:
    """GS-3: IL, FMQ, Rec-FMQ and MAAC at N = 500 and 1000. Not judged: MF-Q, other explorations and another start."""
    cells = product((500, 1000), ("il", "fmq", "rec-fmq", "maac"), SETTINGS)
    groups = [[failed(tables, name, agents, settings)] for agents, name, settings in cells]
    beside = [failed(tables, "mf-q", agents, settings) for agents, settings in product((500, 1000), SETTINGS)]
    keys = ("algorithm", "exploration", "discount", "agents")
    study = tables.finals("gaussian_squeeze/exploration/study.csv", keys)
    study = study[study["algorithm"].isin(["il", "fmq", "mf-q"])]
    hot = study["exploration"].str.startswith("Boltzmann to 1").astype(bool)
    for agents, (part, end) in product((500, 1000), ((NEAR_ZERO, ~hot), (AT_ONE, hot))):
        runs = study[(study["agents"] == agents) & end]
        count = int((runs["greedy"] > FAILURE_SHARE).sum())
        statistic = "share of runs of IL, FMQ and MF-Q that end above 0.5 G*"
        beside.append(share_within(f"N = {agents}, exploration {part}", statistic, count, len(runs), (-inf, 0.5)))
    for name in ("il", "mf-q"):
        beside.append(fails(f"{NAMES[name]}, N = 1000, {MORE_STEPS}", of_more_steps(tables, name)))
    duels = []
    for agents in (500, 1000):
        runs = only(tables.informed_start, algorithm="maac", agents=agents, actor_rate=FAST_RATE)
        beside.append(fails(f"MAAC, N = {agents}, informed start", runs["greedy"]))
        ours, theirs = (
            only(tables.squeeze, settings="calibrated", agents=agents, algorithm=name)["greedy"]
            for name in ("mf-q", "il")
        )
        duels.append((f"MF-Q v IL, N = {agents}, calibrated", theirs.to_numpy(float), ours.to_numpy(float)))
    return Measured(groups, [*beside, *smaller("chance that a run of MF-Q ends above one of IL", duels)])


def say_others_fail(found: Measured, _: Tables) -> str:
    """The sentence of GS-3."""
    counts = ". ".join(
        f"N = {agents}: "
        + "; ".join(
            f"{NAMES[name]} {of_both(found, name, agents)}" for name in ("il", "fmq", "rec-fmq", "maac", "mf-q")
        )
        for agents in (500, 1000)
    )
    duels = " and ".join(
        f"{duel.value:.0%} ({p_of(duel.p)}) at N = {agents}"
        for agents in (500, 1000)
        if (duel := found[f"MF-Q v IL, N = {agents}, calibrated"]).n
    )

    def explored(part: str) -> str:
        return " / ".join(runs_of(found[f"N = {agents}, exploration {part}"]) for agents in (500, 1000))

    more = " and ".join(
        f"{NAMES[name]} {runs_of(found[f'{NAMES[name]}, N = 1000, {MORE_STEPS}'])}" for name in ("il", "mf-q")
    )
    return (
        f"Runs that end above half of G*, appendix / calibrated. {counts}. With the appendix's values and {MORE_STEPS} "
        f"at N = 1000: {more}. A run of calibrated MF-Q ends above one of IL with chance {duels}. In the study "
        f"{explored(NEAR_ZERO)} runs of IL, FMQ and MF-Q end there where exploration {NEAR_ZERO}, and "
        f"{explored(AT_ONE)} where it {AT_ONE}. Started near action 0, with an actors' rate of {FAST_RATE:g}, MAAC "
        f"{' / '.join(runs_of(found[f'MAAC, N = {agents}, informed start']) for agents in (500, 1000))} "
        "at N = 500 / 1000."
    )


def converges_faster(tables: Tables) -> Measured:
    """GS-4: the step from which a run stays at 0.9 G*, MF-Q against MF-AC, if a run of either method does."""
    parts, groups = [], []
    for settings, agents in product(SETTINGS, (100, 500, 1000)):
        one, other = (
            only(tables.squeeze, settings=settings, agents=agents, algorithm=name)["stays"].to_numpy(float)
            for name in ("mf-q", "mf-ac")
        )
        parts.append((f"{settings}, N = {agents}", one, other))
    statistic = "chance that a run of MF-Q stays at 0.9 G* from an earlier step on than one of MF-AC"
    groups += [[finding] for finding in smaller(statistic, parts)]
    return Measured([group for group in groups if group[0].verdict != NOT_TESTED] or groups)


def say_converges_faster(found: Measured, tables: Tables) -> str:
    """The sentence of GS-4."""
    texts: dict[str, list[str]] = {}
    for (finding,) in found.groups:
        settings, agents = finding.part.split(", N = ")
        ways = []
        for name in ("mf-q", "mf-ac"):
            runs = only(tables.squeeze, settings=settings, agents=int(agents), algorithm=name)["stays"]
            stayed = runs[runs < inf]
            median = f" ({stayed.median():,.0f})" if len(stayed) else ""
            ways.append(f"{len(stayed)} of {len(runs)}{median}")
        texts.setdefault(settings, []).append(f"N = {agents} {' v '.join(ways)}, {p_of(finding.p)}")
    told = ". ".join(f"{settings.capitalize()}: {'; '.join(each)}" for settings, each in texts.items())
    failing = " and ".join(finding.part for (finding,) in found.groups if finding.verdict == FAILS)
    alone = f" It fails in {failing} alone." if failing else ""
    return (
        f"Runs that come to stay at 0.9 G*, and their median joint step, MF-Q v MF-AC. {told}.{alone} At N = 100 "
        f"uniform play alone earns {uniform_share(100):.3f} G*."
    )


def equal_actions_share(agents: int) -> float:
    """The most that agents with equal actions earn, as a share of G*."""
    game = GaussianSqueeze(agents)
    sums = torch.arange(game.actions, dtype=torch.float64) * agents
    return float(game.squeeze(sums).max()) / game.optimum()[1]


def uniform_share(agents: int) -> float:
    """The share of G* that uniform play earns."""
    game = GaussianSqueeze(agents)
    return game.uniform_play_reward() / game.optimum()[1]


def part_of(name: str, agents: int, settings: str) -> str:
    """The name of the finding for a method, a size and settings."""
    return f"{NAMES[name]}, N = {agents}, {settings}"


def learned(tables: Tables, name: str, agents: int) -> list[Finding]:
    """Whether most runs end at the optimum, for each of the settings."""
    runs = {each: only(tables.squeeze, settings=each, algorithm=name, agents=agents) for each in SETTINGS}
    return [ends_above(part_of(name, agents, settings), some["greedy"]) for settings, some in runs.items()]


def ends_above(part: str, scores: pd.Series[float]) -> Finding:
    """Whether most runs end at 0.9 G* or more."""
    count = int((scores >= OPTIMUM_SHARE).sum())
    return share_within(part, "share of runs that end at 0.9 G* or more", count, len(scores), (0.5, inf))


def failed(tables: Tables, name: str, agents: int, settings: str) -> Finding:
    """Whether most runs end at half of G* or less."""
    runs = only(tables.squeeze, settings=settings, algorithm=name, agents=agents)
    return fails(part_of(name, agents, settings), runs["greedy"])


def fails(part: str, scores: pd.Series[float]) -> Finding:
    """Whether most runs end at half of G* or less."""
    count = int((scores > FAILURE_SHARE).sum())
    return share_within(part, "share of runs that end above 0.5 G*", count, len(scores), (-inf, 0.5))


def of_both(found: Measured, name: str, agents: int) -> str:
    """Format successes under the appendix's and the calibrated settings: '5 of 5 / 89 of 96'."""
    return " / ".join(runs_of(found[part_of(name, agents, settings)]) for settings in SETTINGS)

"""Gaussian Squeeze: the learning curves of Yang et al. 2018 (Section 5.1, appendix C.1).

Without options it trains the six methods of the paper with 100, 500 and 1000 agents under two settings, `appendix`
and `calibrated`, and writes curves, tables, figures and provenance to results/gaussian_squeeze. An interrupted run
goes on where it stopped. --study asks what decides the ranking of IL and MF-Q; --scale-target goes to a million agents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from pathlib import Path

import pandas as pd

from mfmarl import figures
from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.final_scores import GROUP, final_scores, summarise
from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration
from mfmarl.files import write_csv
from mfmarl.jobs.job import TrainingJob, job_name
from mfmarl.jobs.launch import launch
from mfmarl.scripting.options import (
    Options,
    main,
    not_used,
    parse,
)
from mfmarl.scripting.provenance import compute_seconds, write_provenance
from mfmarl.scripting.results import read_result, report, updated
from mfmarl.scripting.settings import (
    arguments_of,
    seed_blocks,
    sourced,
    sources,
)

OUT = Path("results/gaussian_squeeze")
METHODS = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
AGENTS = (100, 500, 1000)
LARGE_MAAC = 1000  # agents from which MAAC has fewer seeds, each trained alone: its weights outgrow the cache
LARGE_MAAC_SEEDS = 5


@dataclass(frozen=True)
class Settings:
    """The hyper-parameters: those of appendix C.1, and where it is silent ours."""

    # What the appendix states
    learning_rate: float = sourced(1e-5, "appendix C.1, Q-networks")
    critic_learning_rate: float = sourced(1e-3, "appendix C.1")
    actor_learning_rate: float = sourced(1e-4, "appendix C.1")
    target_rate: float = sourced(0.01, "appendix C.1, there for the actor-critics")
    discount: float = sourced(0.95, "appendix C.1; FMQ and Rec-FMQ are defined with 0")
    batch_size: int = sourced(200, "appendix C.1")
    capacity: int = sourced(1_000_000, "appendix C.1")
    samples_per_update: int = sourced(500, "appendix C.1; a sample is one agent's transition")
    heuristic_weight: float = sourced(5.0, "appendix C.1, c of FMQ")
    frequency_rate: float = sourced(0.01, "appendix C.1, alpha_f of Rec-FMQ")
    # What it leaves open
    updates: int | None = sourced(120_000, "ours: the least at which a learning rate of 1e-5 was seen to learn")
    steps: int | None = sourced(None, "ours: joint steps, in place of updates")
    evaluations: int = sourced(60, "ours")
    epsilon_start: float = sourced(1.0, "ours")
    epsilon_end: float = sourced(0.005, "ours: more hides what is learned, since epsilon adds 4.5 epsilon N to x")
    epsilon_share: float = sourced(0.5, "ours: share of the steps over which epsilon falls")
    temperature: float | None = sourced(None, "appendix C.1: epsilon-greedy; a number explores by Eq. 12 at this T")
    hidden: tuple[int, ...] = sourced((32, 32), "ours; three layers: appendix C.1")
    embedding: str = sourced("one-hot", "ours")
    start_bias: float = sourced(0.0, "ours")
    reward_scale: float = sourced(0.01, "ours: Q stays below 100")
    stored_mean_action: str = sourced("previous", "ours: Algorithm 1 can be read as previous or same")
    fixed_point: str = sourced("one-shot", "Algorithm 1")
    maac_rows: int = sourced(
        10_000, "ours, to spare time: MAAC's samples come from joint steps of so many actions in all"
    )
    evaluation_steps: int = sourced(5, "ours: joint steps of play averaged at an evaluation")
    seed_count: int = sourced(2, "ours")
    full_seed_count: int = sourced(5, "ours: with --full")
    seeds_a_job: int = sourced(8, "ours: seeds trained as one stack; changes no result")

    def joint_steps(self, agents: int) -> int:
        """Length of a run: as many steps as the updates take, up to a multiple of the evaluations."""
        least = self.steps or -(-(self.updates or 1) * self.samples_per_update // agents)
        return -(-least // self.evaluations) * self.evaluations

    def maac_agents_per_joint_step(self, agents: int) -> int:
        """How many of a gradient step's samples share a joint step, so that MAAC sums about ``maac_rows`` rows."""
        least = self.batch_size * agents / self.maac_rows
        return min(
            n
            for n in range(1, self.batch_size + 1)
            if self.batch_size % n == 0 and (n >= least or n == self.batch_size)
        )

    def values(self, agents: int) -> dict[str, object]:
        """All arguments by name, from which an algorithm takes those that its constructor names."""
        fall = max(1, round(self.joint_steps(agents) * self.epsilon_share))
        exploration: Exploration = EpsilonGreedy(self.epsilon_start, self.epsilon_end, fall)
        if self.temperature is not None:
            exploration = Boltzmann(self.temperature)
        return {**dataclasses.asdict(self), "exploration": exploration}


APPENDIX = Settings()

# Few, documented deviations: rates at which a run of 8000 joint steps learns.
CALIBRATED = replace(
    APPENDIX,
    learning_rate=1e-3,
    actor_learning_rate=1e-2,
    updates=None,
    steps=8000,
    evaluations=40,
    epsilon_share=0.2,
    seed_count=8,
    full_seed_count=24,
)

# Actors and critics start near action 0, where rewards are: from a uniform start an actor-critic sees none at N >= 500.
INFORMED_START = replace(CALIBRATED, start_bias=4.0, epsilon_start=0.05)

SETTINGS = {"appendix": APPENDIX, "calibrated": CALIBRATED, "informed-start": INFORMED_START}

# --quick: the calibrated settings at a size that ends within a minute, and a rate that shows something by then.
QUICK = replace(CALIBRATED, learning_rate=3e-3, steps=1000, evaluations=10, seed_count=2)

# --study: what decides the ranking of IL and MF-Q at N = 500.
STUDY_AGENTS = 500
STUDY_SEEDS = 8
STUDY_KEYS = ("algorithm", "schedule", "steps", "embedding", "stored", "agents")
STUDY_SCHEDULES = {
    f"{start} to 0.01 over half": replace(CALIBRATED, epsilon_start=start, epsilon_end=0.01, epsilon_share=0.5)
    for start in (1.0, 0.1)
}
STUDY_STEPS = (4000, 8000)
STUDY_EMBEDDINGS = ("one-hot", "diverse")
STUDY_VARIANTS = {
    ("il", "-"): "previous",
    ("mf-q", "previous"): "previous",
    ("mf-q", "same"): "same",
    ("mf-q-noise", "-"): "noise",
}

# --scale-target: mu, sigma and rewards in proportion to N; as many gradient steps and remembered joint steps at each.
SCALING = replace(CALIBRATED, evaluations=20, evaluation_steps=2, seed_count=2, full_seed_count=2, seeds_a_job=1)
SCALING_AGENTS = (1000, 10_000, 100_000, 1_000_000)
SCALING_MEMORY = 200  # joint steps
TIMED_AGENTS = 1_000_000  # from here on a run takes hours: without --full TIMED_STEPS of it, for its time alone
TIMED_STEPS = 100


def scaled(settings: Settings, agents: int) -> Settings:
    """The settings for so many agents."""
    return replace(
        settings,
        samples_per_update=agents // 2,
        capacity=SCALING_MEMORY * agents,
        reward_scale=CALIBRATED.reward_scale * 1000 / agents,
    )


@dataclass(frozen=True)
class GaussianSqueezeOptions(Options):
    """Options of this script."""

    settings: list[str] = field(default_factory=lambda: ["appendix", "calibrated"])
    """The settings to run: appendix, calibrated or informed-start."""
    out: Path = OUT
    """Directory of the results."""
    full: bool = False
    """As many seeds as the committed results have: 24 of calibrated, 5 of appendix; --seeds goes before."""
    mu: float = 400.0
    """The sum asked for; another than the paper's needs an --out of its own."""
    sigma: float = 200.0
    """How far the sum may be from it; another than the paper's needs an --out of its own."""
    study: bool = False
    """The sensitivity study in place of the learning curves: epsilon, budget, id embedding, stored mean action."""
    scale_target: bool = False
    """Scale mu and sigma with the number of agents; without --agents a thousand to a million of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.settings if name not in SETTINGS]
        if unknown:
            raise ValueError(f"settings: got {', '.join(unknown)}, allowed are {', '.join(SETTINGS)}")
        not_used(self, "quick", "settings", "full")
        not_used(self, "study", "settings", "algorithms", "full")
        not_used(self, "scale_target", "settings")
        if self.study and len(self.agents) > 1:
            raise ValueError(f"agents: got {self.agents}, allowed is one number with --study")
        if self.study and self.scale_target:
            raise ValueError("study and scale_target: got both, allowed is one of them")
        if (self.mu, self.sigma) != (400.0, 200.0) and self.out == OUT:
            raise ValueError(f"mu and sigma: got {self.mu} and {self.sigma}, which need another out than {OUT}")
        for agents in self.agents or AGENTS:
            self.game(agents)

    def game(self, agents: int) -> GaussianSqueeze:
        """The game that so many agents play."""
        if self.scale_target:
            return GaussianSqueeze.scaled(agents, self.mu, self.sigma)
        return GaussianSqueeze(agents, self.mu, self.sigma)


def run(arguments: Sequence[str] | None = None) -> None:
    """What the command line asks for."""
    options = parse(GaussianSqueezeOptions, arguments)
    if options.quick and options.out == OUT:
        options = replace(options, out=Path("results/quick/gaussian_squeeze"))
    if options.study:
        study(replace(options, out=options.out / "study"))
    elif options.scale_target:
        scaling(replace(options, out=options.out / "scaling"))
    else:
        curves(options)


def curves(options: GaussianSqueezeOptions) -> None:
    """The learning curves of the paper, their tables and figures."""
    chosen = {"quick": QUICK} if options.quick else {name: SETTINGS[name] for name in options.settings}
    jobs = {
        name: [
            job
            for agents in options.agents or AGENTS
            for algorithm in options.algorithms or METHODS
            for job in jobs_of({"settings": name}, algorithm, options.game(agents), settings, options)
        ]
        for name, settings in chosen.items()
    }
    table = trained(jobs, chosen, options, options.out / "curves.csv", GROUP)
    games = {agents: options.game(agents) for agents in sorted(set(table["agents"]))}
    optimum = {agents: game.optimum()[1] for agents, game in games.items()}
    uniform = {agents: game.uniform_play_reward() for agents, game in games.items()}
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=GROUP)
    drawn = {
        "learning_curves": figures.learning_curves(table, optimum, uniform),
        "sampled_curves": figures.learning_curves(table, optimum, uniform, metric="sampled_reward"),
        "final_rewards": figures.final_rewards(summary, final_scores(table, optimum)),
    }
    report(summary, options.out, ["curves.csv", "summary.csv"], drawn)


def study(options: GaussianSqueezeOptions) -> None:
    """The sensitivity study: every schedule, budget, embedding and mean action."""
    game = options.game(options.agents[0] if options.agents else STUDY_AGENTS)
    count = 2 if options.quick else STUDY_SEEDS
    grid = product(
        STUDY_SCHEDULES.items(),
        (80, 160) if options.quick else STUDY_STEPS,
        STUDY_EMBEDDINGS,
        STUDY_VARIANTS.items(),
    )
    jobs: dict[str, list[TrainingJob]] = {schedule: [] for schedule in STUDY_SCHEDULES}
    for (schedule, base), steps, embedding, ((label, stored), played) in grid:
        cell = replace(base, steps=steps, embedding=embedding, stored_mean_action=played, seed_count=count)
        labels: dict[str, str | int | float] = {
            "algorithm": label,
            "schedule": schedule,
            "steps": steps,
            "embedding": embedding,
            "stored": stored,
        }
        jobs[schedule] += jobs_of(labels, label.removesuffix("-noise"), game, cell, options)
    table = trained(jobs, STUDY_SCHEDULES, options, options.out / "study.csv", STUDY_KEYS)
    optimum = {game.agents: game.optimum()[1]}
    summary = summarise(table, optimum, by=STUDY_KEYS)
    write_csv(summary, options.out / "summary.csv", keys=STUDY_KEYS)
    scores = final_scores(table, optimum, by=STUDY_KEYS).rename(columns={"greedy": "value"})
    report(summary, options.out, ["study.csv", "summary.csv"], {"study": figures.study(scores)})


def scaling(options: GaussianSqueezeOptions) -> None:
    """Time and reward against the number of agents, mu and sigma in proportion to it."""
    sizes = options.agents or ((1000, 10_000) if options.quick else SCALING_AGENTS)
    base = replace(SCALING, steps=40, evaluations=4, seed_count=1) if options.quick else SCALING
    timed = replace(base, steps=min(base.steps or 0, TIMED_STEPS), evaluations=4)
    games = {agents: options.game(agents) for agents in sizes}
    short = {agents for agents in sizes if agents >= TIMED_AGENTS and not options.full}
    settings = {f"{agents} agents": scaled(timed if agents in short else base, agents) for agents in sizes}
    jobs = {
        name: [
            job
            for algorithm in options.algorithms or ("il", "mf-q")
            for job in jobs_of({"settings": "scaled"}, algorithm, game, settings[name], options)
        ]
        for name, game in zip(settings, games.values(), strict=True)
    }
    table = trained(jobs, settings, options, options.out / "curves.csv", GROUP)
    optimum = {agents: options.game(agents).optimum()[1] for agents in set(table["agents"])}
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=GROUP)
    scores = final_scores(table, optimum).rename(columns={"greedy": "reward_share"})
    steps = table.groupby([*GROUP, "seed"])["step"].max().to_numpy()
    runs = scores[[*GROUP, "seed"]].itertuples(index=False)
    seconds = compute_seconds(options.out)
    scores["seconds_per_step"] = [seconds[job_name(*run[:-1], seeds=run[-1:])] for run in runs] / steps
    scores["reward_share"] = scores["reward_share"].where(steps >= (base.steps or 0))
    report(summary, options.out, ["curves.csv", "summary.csv"], {"scaling": figures.scaling(scores)})


def trained(
    jobs: Mapping[str, Sequence[TrainingJob]],
    settings: Mapping[str, Settings],
    options: GaussianSqueezeOptions,
    path: Path,
    keys: Sequence[str],
) -> pd.DataFrame:
    """The rows at ``path``, those of the jobs of each settings brought up to date; with --figures-only as they are."""
    if not options.figures_only:
        rows = pd.concat(launch([*chain(*jobs.values())], options.out, options))
        write_csv(updated(path, rows, keys), path, keys=[*keys, "seed", "step"])
        for name, chosen in settings.items():
            write_provenance(jobs[name], options, sources(chosen), name)
    return read_result(path, [*keys, "seed", "step"])


def jobs_of(
    labels: Mapping[str, str | int | float],
    algorithm: str,
    game: GaussianSqueeze,
    settings: Settings,
    options: GaussianSqueezeOptions,
) -> list[TrainingJob]:
    """The jobs of one algorithm: its seeds, `seeds_a_job` of them trained as one stack."""
    large_maac = algorithm == "maac" and game.agents >= LARGE_MAAC
    count = settings.full_seed_count if options.full else settings.seed_count
    count = options.seeds or (min(count, LARGE_MAAC_SEEDS) if large_maac else count)
    together = 1 if large_maac else settings.seeds_a_job
    values = settings.values(game.agents)
    data = {name: values[name] for name in ("evaluations", "batch_size", "samples_per_update", "capacity")}
    data |= {name: values[name] for name in ("evaluation_steps", "stored_mean_action")}
    data["steps"] = settings.joint_steps(game.agents)
    data["agents_per_joint_step"] = settings.maac_agents_per_joint_step(game.agents) if algorithm == "maac" else 1
    labels = {**labels, "algorithm": labels.get("algorithm", algorithm), "agents": game.agents}
    if algorithm == "fmq":
        del values["exploration"]  # the appendix gives FMQ a Boltzmann schedule, its class's default
    agent = arguments_of(algorithm, values)
    return [
        TrainingJob(job_name(*labels.values(), seeds=block), labels, algorithm, game, block, agent, data)
        for block in seed_blocks(options.seed, count, together)
    ]


if __name__ == "__main__":
    raise SystemExit(main(run))

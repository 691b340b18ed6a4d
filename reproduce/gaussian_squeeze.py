"""Gaussian Squeeze: the learning curves of Yang et al. 2018 (Section 5.1, appendix C.1).

Without options it trains the six methods of the paper with 100, 500 and 1000 agents under two settings, `appendix`
and `calibrated`, and writes curves, tables, figures and provenance to results/gaussian_squeeze. An interrupted run
goes on where it stopped. --study asks what decides the ranking of IL and MF-Q; --scale-target goes to a million agents.

A custom method, `--algorithms mf-q path/to/file.py:Class`, runs under the same settings and seeds, and gets rows and
lines of its own; it is a subclass of StatelessAgent, see examples/my_method.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import pandas as pd

from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.final_scores import GROUP, final_scores, summarise
from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration
from mfmarl.files import write_csv
from mfmarl.jobs.job import Label, TrainingJob, job_name
from mfmarl.scripting.options import Options, known_names, main, not_used, parse
from mfmarl.scripting.provenance import compute_seconds
from mfmarl.scripting.results import Section, do, read_result, report, update
from mfmarl.scripting.settings import arguments_of, seed_blocks, sourced, sources, values

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
    updates: int | None = sourced(
        120_000, "ours: the least at which a learning rate of 1e-5 was seen to learn", script=True
    )
    steps: int | None = sourced(None, "ours: joint steps, in place of updates")
    evaluations: int = sourced(60, "ours")
    epsilon_start: float = sourced(1.0, "ours", script=True)
    epsilon_end: float = sourced(
        0.005, "ours: more hides what is learned, since epsilon adds 4.5 epsilon N to x", script=True
    )
    epsilon_share: float = sourced(0.5, "ours: share of the steps over which epsilon falls", script=True)
    temperature: float | None = sourced(
        None, "appendix C.1: epsilon-greedy; a number explores by Eq. 12 at this T", script=True
    )
    hidden: tuple[int, ...] = sourced((32, 32), "ours; three layers: appendix C.1")
    embedding: str = sourced("one-hot", "ours")
    start_bias: float = sourced(0.0, "ours")
    reward_scale: float = sourced(0.01, "ours: Q stays below 100")
    stored_mean_action: str = sourced("previous", "ours: Algorithm 1 can be read as previous or same")
    fixed_point: str = sourced("one-shot", "Algorithm 1")
    maac_rows: int = sourced(
        10_000, "ours, to spare time: MAAC's samples come from joint steps of so many actions in all", script=True
    )
    evaluation_steps: int = sourced(5, "ours: joint steps of play averaged at an evaluation")
    seed_count: int = sourced(2, "ours", script=True)
    full_seed_count: int = sourced(5, "ours: with --full", script=True)
    seeds_a_job: int = sourced(8, "ours: seeds trained as one stack; changes no result", script=True)

    def joint_steps(self, agents: int) -> int:
        """Length of a run: as many steps as the updates take, up to a multiple of the evaluations."""
        least = self.steps or -(-(self.updates or 1) * self.samples_per_update // agents)
        return -(-least // self.evaluations) * self.evaluations

    def maac_agents_per_joint_step(self, agents: int) -> int:
        """How many of a gradient step's samples share a joint step, so that MAAC sums about `maac_rows` rows."""
        least = self.batch_size * agents / self.maac_rows
        return min(
            n
            for n in range(1, self.batch_size + 1)
            if self.batch_size % n == 0 and (n >= least or n == self.batch_size)
        )

    def arguments(self, algorithm: str, agents: int) -> dict[str, object]:
        """What algorithms and data modules may take, by name, with `algorithm`'s own exceptions."""
        steps = self.joint_steps(agents)
        exploration: Exploration
        exploration = EpsilonGreedy(self.epsilon_start, self.epsilon_end, max(1, round(steps * self.epsilon_share)))
        if self.temperature is not None:
            exploration = Boltzmann(self.temperature)
        arguments = {**values(self), "steps": steps, "exploration": exploration}
        if algorithm == "fmq":
            del arguments["exploration"]  # the appendix gives FMQ a Boltzmann schedule, its class's default
        arguments["agents_per_joint_step"] = self.maac_agents_per_joint_step(agents) if algorithm == "maac" else 1
        return arguments


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
    """More seeds: 24 of calibrated, 5 of appendix; --seeds overrides this."""
    mu: float = 400.0
    """The sum that is best; another than the paper's needs a custom --out."""
    sigma: float = 200.0
    """How far the sum may be from mu; another than the paper's needs a custom --out."""
    study: bool = False
    """The sensitivity study in place of the learning curves: epsilon, budget, id embedding, stored mean action."""
    scale_target: bool = False
    """Scale mu and sigma with the number of agents; without --agents a thousand to a million of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known_names("settings", self.settings, SETTINGS)
        not_used(self, "quick", "full")
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
    if options.study:
        study(replace(options, out=options.out / "study"))
    elif options.scale_target:
        scaling(replace(options, out=options.out / "scaling"))
    else:
        curves(options)


def curves(options: GaussianSqueezeOptions) -> None:
    """The learning curves of the paper."""
    path = options.out / "curves.csv"
    if not options.figures_only:
        train(curve_sections(options), path, GROUP, options)
    draw_curves(read_result(path, [*GROUP, "seed", "step"]), options)


def study(options: GaussianSqueezeOptions) -> None:
    """The sensitivity study: every schedule, budget, embedding and mean action."""
    path = options.out / "study.csv"
    if not options.figures_only:
        train(study_sections(options), path, STUDY_KEYS, options)
    draw_study(read_result(path, [*STUDY_KEYS, "seed", "step"]), options)


def scaling(options: GaussianSqueezeOptions) -> None:
    """Time and reward against the number of agents, mu and sigma in proportion to it."""
    path = options.out / "curves.csv"
    if not options.figures_only:
        train(scaling_sections(options), path, GROUP, options)
    draw_scaling(read_result(path, [*GROUP, "seed", "step"]), options)


def train(sections: Sequence[Section], path: Path, keys: Sequence[str], options: GaussianSqueezeOptions) -> None:
    """Do the jobs, and bring the table at `path` up to date; `keys` name one setting."""
    update(path, pd.concat(do(sections, options)), replacing=keys, keys=[*keys, "seed", "step"])


def curve_sections(options: GaussianSqueezeOptions) -> list[Section]:
    """Every setting, number of agents and algorithm."""
    return [
        Section(
            name,
            [
                job
                for agents in options.agents or AGENTS
                for algorithm in options.algorithms or METHODS
                for job in jobs_of({"settings": name}, algorithm, options.game(agents), settings, options)
            ],
            sources(settings),
        )
        for name, settings in options.chosen(SETTINGS, QUICK).items()
    ]


def study_sections(options: GaussianSqueezeOptions) -> list[Section]:
    """Every schedule, budget, embedding and mean action, at one number of agents."""
    game = options.game(options.agents[0] if options.agents else STUDY_AGENTS)
    count = 2 if options.quick else STUDY_SEEDS
    sections = []
    for schedule, base in STUDY_SCHEDULES.items():
        jobs: list[TrainingJob] = []
        budgets = (80, 160) if options.quick else STUDY_STEPS
        for steps, embedding, variant in product(budgets, STUDY_EMBEDDINGS, STUDY_VARIANTS.items()):
            (label, stored), played = variant
            cell = replace(base, steps=steps, embedding=embedding, stored_mean_action=played, seed_count=count)
            labels: dict[str, Label] = {"algorithm": label, "schedule": schedule, "steps": steps}
            labels |= {"embedding": embedding, "stored": stored}
            jobs += jobs_of(labels, label.removesuffix("-noise"), game, cell, options)
        sections.append(Section(schedule, jobs, sources(base)))
    return sections


def scaling_sections(options: GaussianSqueezeOptions) -> list[Section]:
    """A section for each number of agents, for its settings are its own."""
    base = scaling_settings(options)
    timed = replace(base, steps=min(base.steps or 0, TIMED_STEPS), evaluations=4)
    sections = []
    for agents in options.agents or ((1000, 10_000) if options.quick else SCALING_AGENTS):
        game = options.game(agents)
        settings = scaled(timed if agents >= TIMED_AGENTS and not options.full else base, agents)
        jobs = [
            job
            for algorithm in options.algorithms or ("il", "mf-q")
            for job in jobs_of({"settings": "scaled"}, algorithm, game, settings, options)
        ]
        sections.append(Section(f"{agents} agents", jobs, sources(settings)))
    return sections


def scaling_settings(options: GaussianSqueezeOptions) -> Settings:
    """The settings of --scale-target before they are scaled."""
    return replace(SCALING, steps=40, evaluations=4, seed_count=1) if options.quick else SCALING


def jobs_of(
    labels: Mapping[str, Label],
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
    labels = {**labels, "algorithm": labels.get("algorithm", algorithm), "agents": game.agents}
    agent, data = arguments_of(algorithm, settings.arguments(algorithm, game.agents))
    return [
        TrainingJob(job_name(*labels.values(), seeds=block), labels, algorithm, game, block, agent, data)
        for block in seed_blocks(options.seed, count, together)
    ]


def draw_curves(table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """The summary and the figures of the learning curves."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = optima(table, options)
    uniform = {agents: options.game(agents).uniform_play_reward() for agents in optimum}
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=GROUP)
    drawn = {
        "learning_curves": figures.learning_curves(table, optimum, uniform),
        "sampled_curves": figures.learning_curves(table, optimum, uniform, metric="sampled_reward"),
        "final_rewards": figures.final_rewards(summary, final_scores(table, optimum)),
    }
    report(summary, options.out, ["curves.csv", "summary.csv"], drawn)


def draw_study(table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """The summary and the figure of the study."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = optima(table, options)
    summary = summarise(table, optimum, by=STUDY_KEYS)
    write_csv(summary, options.out / "summary.csv", keys=STUDY_KEYS)
    scores = final_scores(table, optimum, by=STUDY_KEYS).rename(columns={"greedy": "value"})
    report(summary, options.out, ["study.csv", "summary.csv"], {"study": figures.study(scores)})


def draw_scaling(table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """The summary and the figure of --scale-target. Of runs that were only timed it shows the time alone."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = optima(table, options)
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=GROUP)
    scores = final_scores(table, optimum).rename(columns={"greedy": "reward_share"})
    steps = table.groupby([*GROUP, "seed"])["step"].max().to_numpy()
    runs = scores[[*GROUP, "seed"]].itertuples(index=False)
    seconds = compute_seconds(options.out)
    scores["seconds_per_step"] = [seconds[job_name(*run[:-1], seeds=run[-1:])] for run in runs] / steps
    scores["reward_share"] = scores["reward_share"].where(steps >= (scaling_settings(options).steps or 0))
    report(summary, options.out, ["curves.csv", "summary.csv"], {"scaling": figures.scaling(scores)})


def optima(table: pd.DataFrame, options: GaussianSqueezeOptions) -> dict[int, float]:
    """The largest reward, by number of agents."""
    return {agents: options.game(agents).optimum()[1] for agents in sorted(set(table["agents"]))}


if __name__ == "__main__":
    raise SystemExit(main(run))

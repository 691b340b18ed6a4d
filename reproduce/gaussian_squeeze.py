"""Gaussian Squeeze: the learning curves of Yang et al. 2018 (Section 5.1, appendix C.1).

Without options it trains the six methods of the paper with 100, 500 and 1000 agents under two settings, `appendix`
and `calibrated`, and writes curves, tables, figures and provenance to results/gaussian_squeeze. An interrupted run
goes on where it stopped. --study NAME asks what decides the outcome; --scale-target goes to a million agents.

A custom method, `--algorithms mf-q path/to/file.py:Class`, runs under the same settings and seeds, and gets rows and
lines of its own; it is a subclass of StatelessAgent, see examples/my_method.py.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from mfmarl.algorithms import ALGORITHMS
from mfmarl.claims.tables import best_rewards
from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.final_scores import GROUP, TIMED_AGENTS, final_scores, summarise
from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration
from mfmarl.files import write_csv
from mfmarl.jobs.job import Label, TrainingJob, job_name
from mfmarl.scripting.options import Options, known_methods, known_names, main, not_used, parse
from mfmarl.scripting.provenance import compute_seconds
from mfmarl.scripting.results import Section, check_update, do, read_result, report, update, with_baselines
from mfmarl.scripting.settings import arguments_of, seed_blocks, sourced, sources, values

OUT = Path("results/gaussian_squeeze")
DRAWN = ["agents", "seed", "step", "greedy_reward", "sampled_reward"]
METHODS = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
UNDISCOUNTED = ("fmq", "rec-fmq")  # defined with discount 0
AGENTS = (100, 500, 1000)


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
    fmq_boltzmann: tuple[float, float, float] | None = sourced(
        (1000.0, 0.006, 1.0),
        "appendix C.1, max_temp and s of FMQ; min_temp, which it does not give: the FMQ paper. None: as the others",
        script=True,
    )
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
    boltzmann: tuple[float, float, float] | None = sourced(
        None, "appendix C.1: epsilon-greedy; else max_temp, s and min_temp of Boltzmann", script=True
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
    large_maac: int = sourced(
        1000,
        "ours: agents from which MAAC has fewer seeds, each trained alone, as its weights outgrow the cache",
        script=True,
    )
    large_maac_seed_count: int = sourced(5, "ours: MAAC's seeds from so many agents on, at most", script=True)

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
        arguments = {**values(self), "steps": self.joint_steps(agents)}
        arguments["exploration"] = self.exploration(algorithm, agents)
        arguments["agents_per_joint_step"] = self.maac_agents_per_joint_step(agents) if algorithm == "maac" else 1
        return arguments

    def exploration(self, algorithm: str, agents: int) -> Exploration:
        """How `algorithm` explores: by epsilon, or by Boltzmann with temperatures in units of the unscaled reward."""
        schedule = self.boltzmann
        if algorithm == "fmq" and self.fmq_boltzmann:
            schedule = self.fmq_boltzmann
        if schedule is None:
            falls = max(1, round(self.joint_steps(agents) * self.epsilon_share))
            return EpsilonGreedy(self.epsilon_start, self.epsilon_end, falls)
        unit = 1.0 if algorithm in ("fmq", "rec-fmq") else self.reward_scale  # of the values that it chooses by
        start, decay, end = schedule
        return Boltzmann(unit * start, decay, unit * end)


APPENDIX = Settings()

# Few, documented deviations: rates at which a run of 8000 joint steps learns, one exploration for every value method.
CALIBRATED = replace(
    APPENDIX,
    learning_rate=1e-3,
    fmq_boltzmann=None,
    updates=None,
    steps=8000,
    evaluations=40,
    epsilon_share=0.2,
    seed_count=8,
    full_seed_count=24,
)

SETTINGS = {"appendix": APPENDIX, "calibrated": CALIBRATED}

# --quick: the calibrated settings at a size that ends within a minute, and a rate that shows something by then.
QUICK_SIZE: dict[str, Any] = {"updates": None, "steps": 1000, "evaluations": 10, "seed_count": 2}
QUICK = replace(CALIBRATED, learning_rate=3e-3, **QUICK_SIZE)
QUICK_SETTINGS = {name: replace(settings, **QUICK_SIZE) for name, settings in SETTINGS.items()}

# --scale-target: mu, sigma and rewards in proportion to N; as many gradient steps and remembered joint steps at each.
SCALING = replace(CALIBRATED, evaluations=20, evaluation_steps=2, seed_count=2, full_seed_count=2, seeds_a_job=1)
SCALING_AGENTS = (1000, 10_000, 100_000, 1_000_000)
SCALING_MEMORY = 200  # joint steps
TIMED_STEPS = 100  # without --full, where there are TIMED_AGENTS or more


def scaled(settings: Settings, agents: int) -> Settings:
    """The settings for so many agents."""
    return replace(
        settings,
        samples_per_update=agents // 2,
        capacity=SCALING_MEMORY * agents,
        reward_scale=CALIBRATED.reward_scale * 1000 / agents,
    )


class Cell(NamedTuple):
    """One setting of a study."""

    labels: dict[str, Label]  #: columns of its rows, `algorithm` among them; `agents` follows.
    settings: Settings


class Study(NamedTuple):
    """What --study does: train every cell, and draw their final scores."""

    keys: tuple[str, ...]  #: columns that name a cell.
    agents: tuple[int, ...]
    algorithms: tuple[str, ...]  #: those that end in -noise are fed it in place of the mean action, as controls.
    cells: Callable[[Sequence[str]], Iterator[Cell]]  #: of the algorithms that are named.
    curves: str | None = None  #: a column of its rows that is drawn against joint steps too, panels by the second key.


def sensitivity(algorithms: Sequence[str]) -> Iterator[Cell]:
    """IL and MF-Q by schedule of epsilon, budget, id embedding and mean action; noise in its place is a control."""
    variants = {
        ("il", "-"): "previous",
        ("mf-q", "previous"): "previous",
        ("mf-q", "same"): "same",
        ("mf-q-noise", "-"): "noise",
    }
    for start in (1.0, 0.1):
        schedule = f"{start} to 0.01 over half"
        base = replace(CALIBRATED, epsilon_start=start, epsilon_end=0.01, epsilon_share=0.5)
        for steps, embedding, (variant, played) in product((4000, 8000), ("one-hot", "diverse"), variants.items()):
            algorithm, stored = variant
            labels: dict[str, Label] = {"algorithm": algorithm, "schedule": schedule, "steps": steps}
            labels |= {"embedding": embedding, "stored": stored}
            if algorithm in algorithms:
                seeds = 96 if embedding == "one-hot" else 8  # few with the other, which ends all alike
                cell = replace(base, steps=steps, embedding=embedding, stored_mean_action=played, seed_count=seeds)
                yield Cell(labels, cell)


def exploration(algorithms: Sequence[str]) -> Iterator[Cell]:
    """Every value method under the same explorations and discounts: is it the method that decides, or its exploration?

    FMQ and Rec-FMQ are defined with discount 0 and have no other.
    """
    schedules = {
        "epsilon 1 to 0.005": None,
        "Boltzmann to 0, slow": (1000.0, 0.0017, 0.0),  # as FMQ's, but 1 at half of the run
        "Boltzmann to 0, FMQ's": (1000.0, 0.006, 0.0),
        "Boltzmann to 1, FMQ's": (1000.0, 0.006, 1.0),
    }
    for (name, schedule), discount, algorithm in product(schedules.items(), (0.0, 0.95), algorithms):
        if discount == 0 or algorithm not in UNDISCOUNTED:
            labels: dict[str, Label] = {"algorithm": algorithm, "exploration": name, "discount": discount}
            yield Cell(labels, replace(CALIBRATED, boltzmann=schedule, discount=discount, seed_count=24))


def informed_start(algorithms: Sequence[str]) -> Iterator[Cell]:
    """Actors and critics that start near action 0, where rewards are, by the actors' learning rate.

    From a uniform start an actor-critic with N >= 500 sees no reward.
    """
    base = replace(CALIBRATED, start_bias=4.0, seed_count=48)
    for rate, algorithm in product((1e-2, 1e-3, 1e-4), algorithms):
        stored = "noise" if algorithm.endswith("-noise") else base.stored_mean_action
        cell = replace(base, actor_learning_rate=rate, stored_mean_action=stored)
        yield Cell({"algorithm": algorithm, "actor_rate": rate}, cell)


def informed_start_long(algorithms: Sequence[str]) -> Iterator[Cell]:
    """The same start under the appendix's values, whose budget is 7.5 to 15 times that of the above."""
    base = replace(APPENDIX, start_bias=4.0, seed_count=16)
    for algorithm in algorithms:
        stored = "noise" if algorithm.endswith("-noise") else base.stored_mean_action
        labels: dict[str, Label] = {"algorithm": algorithm, "updates": APPENDIX.updates or 0}
        yield Cell(labels, replace(base, stored_mean_action=stored))


def joint_steps(algorithms: Sequence[str]) -> Iterator[Cell]:
    """The appendix's values with as many joint steps as 100 agents have: for 1000 agents ten times those of `appendix`.

    There runs of all sizes have as many gradient steps, so that the more agents there are the less they play.
    """
    for steps, algorithm in product((APPENDIX.joint_steps(1000), APPENDIX.joint_steps(100)), algorithms):
        cell = replace(APPENDIX, updates=None, steps=steps, seed_count=16)
        yield Cell({"algorithm": algorithm, "steps": steps}, cell)


def fmq_temperature(algorithms: Sequence[str]) -> Iterator[Cell]:
    """FMQ under the appendix's values by min_temp, where its Boltzmann schedule ends: the appendix leaves it open."""
    for end, algorithm in product((1.0, 0.0), algorithms):
        cell = replace(APPENDIX, fmq_boltzmann=(1000.0, 0.006, end), seed_count=24)
        yield Cell({"algorithm": algorithm, "min_temp": end}, cell)


StudyName = Literal[
    "sensitivity", "exploration", "informed-start", "informed-start-long", "joint-steps", "fmq-temperature"
]
STUDIES: dict[StudyName, Study] = {
    "sensitivity": Study(
        ("algorithm", "schedule", "steps", "embedding", "stored", "agents"),
        (500,),
        ("il", "mf-q", "mf-q-noise"),
        sensitivity,
    ),
    "exploration": Study(
        ("algorithm", "exploration", "discount", "agents"), (500, 1000), ("il", "fmq", "rec-fmq", "mf-q"), exploration
    ),
    "informed-start": Study(
        ("algorithm", "actor_rate", "agents"),
        (500, 1000),
        ("maac", "ac", "mf-ac", "mf-ac-noise"),
        informed_start,
        "sampled_reward",
    ),
    "informed-start-long": Study(
        ("algorithm", "updates", "agents"),
        (500, 1000),
        ("ac", "mf-ac", "mf-ac-noise"),
        informed_start_long,
        "greedy_reward",
    ),
    "joint-steps": Study(("algorithm", "steps", "agents"), (1000,), ("il", "mf-q"), joint_steps, "greedy_reward"),
    "fmq-temperature": Study(("algorithm", "min_temp", "agents"), AGENTS, ("fmq",), fmq_temperature, "greedy_reward"),
}


@dataclass(frozen=True)
class GaussianSqueezeOptions(Options):
    """Options of this script."""

    settings: list[str] = field(default_factory=lambda: ["appendix", "calibrated"])
    """The settings to run: appendix or calibrated."""
    algorithms: list[str] = field(default_factory=list)
    """Of il, fmq, rec-fmq, maac, ac, mf-q and mf-ac, or path/to/file.py:Class for a custom one; without it the paper's
    six, all but ac."""
    out: Path = OUT
    """Directory of the results."""
    full: bool = False
    """More seeds: 24 of calibrated, 5 of appendix; --seeds overrides this."""
    mu: float = 400.0
    """The sum that is best; another than the paper's needs a custom --out."""
    sigma: float = 200.0
    """How far the sum may be from mu; another than the paper's needs a custom --out."""
    study: StudyName | None = None
    """In place of the learning curves, what decides the outcome: for IL and MF-Q epsilon, budget, id embedding and
    stored mean action; for value methods their exploration and discount; for actor-critics their start and rate, and
    that start with the appendix's budget; for IL and MF-Q with 1000 agents how many joint steps; for FMQ the end of its
    Boltzmann schedule."""
    scale_target: bool = False
    """Scale mu and sigma with the number of agents; without --agents a thousand to a million of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known_names("settings", self.settings, SETTINGS)
        not_used(self, "quick", "full")
        not_used(self, "study", "settings", "full")
        not_used(self, "scale_target", "settings")
        if self.study:
            known_names("algorithms", self.algorithms, STUDIES[self.study].algorithms)
        else:
            known_methods("algorithms", self.algorithms, ALGORITHMS["stateless"])
        if self.study and self.scale_target:
            raise ValueError("study and scale_target: got both, allowed is one of them")
        if (self.mu, self.sigma) != (400.0, 200.0) and self.committed:
            raise ValueError(f"mu and sigma: got {self.mu} and {self.sigma}, which need another out than {self.home()}")
        for agents in self.agents or AGENTS:
            self.game(agents)

    def game(self, agents: int) -> GaussianSqueeze:
        """The game that so many agents play.

        Raises:
            ValueError: there is none, or none whose rewards are shares of an optimum.
        """
        make = GaussianSqueeze.scaled if self.scale_target else GaussianSqueeze
        game = make(agents, self.mu, self.sigma)
        if not game.optimum()[1] > 0:
            raise ValueError(
                f"mu and sigma: got {self.mu} and {self.sigma}, by which {agents} agents never earn anything"
            )
        return game


def run(arguments: Sequence[str] | None = None) -> None:
    """What the command line asks for."""
    options = parse(GaussianSqueezeOptions, arguments)
    if options.study:
        study(STUDIES[options.study], replace(options, out=options.out / options.study.replace("-", "_")))
    elif options.scale_target:
        scaling(replace(options, out=options.out / "scaling"))
    else:
        curves(options)


def curves(options: GaussianSqueezeOptions) -> None:
    """The learning curves of the paper."""
    path = options.out / "curves.csv"
    if not options.figures_only:
        train(curve_sections(options), path, GROUP, options)
    table = read_result(path, GROUP, DRAWN)
    if (options.mu, options.sigma) == (400.0, 200.0):
        table = with_baselines(table, path, options, GROUP)
    draw_curves(table, options)


def study(chosen: Study, options: GaussianSqueezeOptions) -> None:
    """One study: every cell of it."""
    path = options.out / "study.csv"
    if not options.figures_only:
        train(study_sections(chosen, options), path, chosen.keys, options)
    draw_study(chosen, read_result(path, chosen.keys, DRAWN), options)


def scaling(options: GaussianSqueezeOptions) -> None:
    """Time and reward against the number of agents, mu and sigma in proportion to it."""
    path = options.out / "curves.csv"
    if not options.figures_only:
        train(scaling_sections(options), path, GROUP, options)
    draw_scaling(read_result(path, GROUP, DRAWN), options)


def train(sections: Sequence[Section], path: Path, keys: Sequence[str], options: GaussianSqueezeOptions) -> None:
    """Do the jobs, and bring the table at `path` up to date; `keys` name one setting."""
    check_update(path, [job for section in sections for job in section.jobs], keys, options, DRAWN)
    update(path, pd.concat(do(sections, options)), replacing=[*keys, "seed"], keys=[*keys, "seed", "step"])


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
        for name, settings in options.chosen(SETTINGS, QUICK, QUICK_SETTINGS).items()
    ]


def study_sections(chosen: Study, options: GaussianSqueezeOptions) -> list[Section]:
    """A section for each cell of a study, for its settings are its own."""
    sections = []
    for labels, full in chosen.cells(options.algorithms or chosen.algorithms):
        quick = replace(full, **QUICK_SIZE)
        settings = quick if options.quick else full
        algorithm = str(labels["algorithm"]).removesuffix("-noise")
        jobs = [
            job
            for agents in options.agents or chosen.agents
            for job in jobs_of(labels, algorithm, options.game(agents), settings, options)
        ]
        sections.append(Section(", ".join(map(str, labels.values())), jobs, sources(settings)))
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
    large_maac = algorithm == "maac" and game.agents >= settings.large_maac
    count = settings.full_seed_count if options.full else settings.seed_count
    count = options.seeds or (min(count, settings.large_maac_seed_count) if large_maac else count)
    together = 1 if large_maac else settings.seeds_a_job
    labels = {**labels, "algorithm": labels.get("algorithm", algorithm), "agents": game.agents}
    agent, data = arguments_of(algorithm, settings.arguments(algorithm, game.agents), method=options.method)
    return [
        TrainingJob(job_name(*labels.values(), seeds=block), labels, algorithm, game, block, agent, data)
        for block in seed_blocks(options.seed, count, together)
    ]


def draw_curves(table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """The summary and the figures of the learning curves."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = best_rewards(table["agents"], options.game)
    uniform = uniform_rewards(table, options)
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=GROUP)
    drawn = {
        "learning_curves": figures.learning_curves(table, optimum, uniform),
        "sampled_curves": figures.learning_curves(table, optimum, uniform, metric="sampled_reward"),
        "final_rewards": figures.final_rewards(summary, final_scores(table, optimum)),
    }
    report(summary, options.out, ["curves.csv", "summary.csv"], drawn)


def draw_study(chosen: Study, table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """The summary and the figures of a study."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = best_rewards(table["agents"], options.game)
    summary = summarise(table, optimum, by=chosen.keys)
    write_csv(summary, options.out / "summary.csv", keys=chosen.keys)
    scores = final_scores(table, optimum, by=chosen.keys)
    row = chosen.keys[1]
    if options.study == "sensitivity":
        drawn = {"study": figures.study(scores.rename(columns={"greedy": "value"}))}
    else:
        absent = dict.fromkeys(UNDISCOUNTED, "discount 0 by definition") if "discount" in chosen.keys else {}
        drawn = {"study": figures.final_rewards(summary, scores, row=row, columns=chosen.keys[2:], absent=absent)}
    if chosen.curves:
        uniform = uniform_rewards(table, options)
        drawn["curves"] = figures.learning_curves(table, optimum, uniform, metric=chosen.curves, row=row)
    report(summary, options.out, ["study.csv", "summary.csv"], drawn)


def draw_scaling(table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """The summary and the figure of --scale-target. Of runs that were only timed it shows the time alone."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = best_rewards(table["agents"], options.game)
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=GROUP)
    scores = final_scores(table, optimum).rename(columns={"greedy": "reward_share"})
    steps = table.groupby([*GROUP, "seed"])["step"].max().to_numpy()
    runs = scores[[*GROUP, "seed"]].itertuples(index=False)
    seconds = compute_seconds(options.out)
    scores["seconds_per_step"] = [seconds[job_name(*run[:-1], seeds=run[-1:])] for run in runs] / steps
    scores["reward_share"] = scores["reward_share"].where(steps >= (scaling_settings(options).steps or 0))
    report(summary, options.out, ["curves.csv", "summary.csv"], {"scaling": figures.scaling(scores)})


def uniform_rewards(table: pd.DataFrame, options: GaussianSqueezeOptions) -> dict[int, float]:
    """What uniform play earns in expectation, by number of agents."""
    return {agents: options.game(agents).uniform_play_reward() for agents in sorted(set(table["agents"]))}


if __name__ == "__main__":
    raise SystemExit(main(run))

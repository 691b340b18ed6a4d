"""Gaussian Squeeze: the learning curves of Yang et al. 2018 (Section 5.1, appendix C.1).

Without options the script trains the six methods of the paper with 100, 500 and 1000 agents under two settings,
`appendix` and `calibrated`, and writes curves, tables, figures and provenance to results/gaussian_squeeze. An
interrupted run resumes where it stopped. --study NAME tests which choices decide the outcome; --scale-target goes up to
a million agents.

A custom method, `--algorithms mf-q path/to/file.py:Class`, runs under the same settings and seeds, and gets its own
rows and lines. It is a subclass of StatelessAgent; see examples/my_method.py.
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
from mfmarl.evaluation.final_scores import SETTING_KEYS, TIMED_AGENTS, final_scores, summarise
from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration
from mfmarl.files import write_csv
from mfmarl.jobs.job import Label, TrainingJob, job_name
from mfmarl.scripting.guards import check_update
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, known_methods, known_names, not_used, parse
from mfmarl.scripting.provenance import compute_seconds
from mfmarl.scripting.results import Section, do, read_result, report, update, with_baselines
from mfmarl.scripting.settings import arguments_of, seed_blocks, sourced, sources, values
from mfmarl.scripting.tables import read_calls

OUT = Path("results/gaussian_squeeze")
DRAWN = ["agents", "seed", "step", "greedy_reward", "sampled_reward"]
METHODS = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
UNDISCOUNTED = ("fmq", "rec-fmq")  # defined with discount 0
AGENTS = (100, 500, 1000)
GAME = {"mu": 400.0, "sigma": 200.0}  # Section 5.1


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters from appendix C.1; where it gives none, our choice."""

    # Stated in the appendix
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
    # Left open by the appendix
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
        """Number of joint steps of a run: enough for `updates`, rounded up to a multiple of `evaluations`."""
        least = self.steps or -(-(self.updates or 1) * self.samples_per_update // agents)
        return -(-least // self.evaluations) * self.evaluations

    def maac_agents_per_joint_step(self, agents: int) -> int:
        """Number of samples per joint step in MAAC's gradient steps, so that it sums about `maac_rows` rows."""
        least = self.batch_size * agents / self.maac_rows
        return min(
            n
            for n in range(1, self.batch_size + 1)
            if self.batch_size % n == 0 and (n >= least or n == self.batch_size)
        )

    def arguments(self, algorithm: str, agents: int) -> dict[str, object]:
        """Arguments for algorithms and data modules, by name, with the exceptions for `algorithm`."""
        arguments = {**values(self), "steps": self.joint_steps(agents)}
        arguments["exploration"] = self.exploration(algorithm, agents)
        arguments["agents_per_joint_step"] = self.maac_agents_per_joint_step(agents) if algorithm == "maac" else 1
        return arguments

    def exploration(self, algorithm: str, agents: int) -> Exploration:
        """Exploration of `algorithm`: epsilon-greedy, or Boltzmann with temperatures in units of unscaled rewards."""
        schedule = self.boltzmann
        if algorithm == "fmq" and self.fmq_boltzmann:
            schedule = self.fmq_boltzmann
        if schedule is None:
            falls = max(1, round(self.joint_steps(agents) * self.epsilon_share))
            return EpsilonGreedy(self.epsilon_start, self.epsilon_end, falls)
        unit = 1.0 if algorithm in ("fmq", "rec-fmq") else self.reward_scale  # of the values that actions are chosen by
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

# --quick: the calibrated settings at a size that takes less than a minute, with a rate that shows learning by then.
QUICK_SIZE: dict[str, Any] = {"updates": None, "steps": 1000, "evaluations": 10, "seed_count": 2}
QUICK = replace(CALIBRATED, learning_rate=3e-3, **QUICK_SIZE)
QUICK_SETTINGS = {name: replace(settings, **QUICK_SIZE) for name, settings in SETTINGS.items()}

# --scale-target: mu, sigma and rewards are in proportion to N; gradient steps and stored joint steps are equal for all.
SCALING = replace(CALIBRATED, evaluations=20, evaluation_steps=2, seed_count=2, full_seed_count=2, seeds_a_job=1)
SCALING_AGENTS = (1000, 10_000, 100_000, 1_000_000)
SCALING_MEMORY = 200  # joint steps
TIMED_STEPS = 100  # without --full, for TIMED_AGENTS or more agents


def scaled(settings: Settings, agents: int) -> Settings:
    """Scale the settings to `agents` agents."""
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
    """A study of --study: it trains every cell and draws their final scores."""

    keys: tuple[str, ...]  #: columns that name a cell.
    agents: tuple[int, ...]
    algorithms: tuple[str, ...]  #: names ending in -noise are controls, with noise in place of the mean action.
    cells: Callable[[Sequence[str]], Iterator[Cell]]  #: cells of the named algorithms.
    curves: str | None = None  #: a column to draw against joint steps as well, with panels by the second key.


def sensitivity(algorithms: Sequence[str]) -> Iterator[Cell]:
    """IL and MF-Q by schedule of epsilon, budget, id embedding and mean action. The control replaces it by noise."""
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
                seeds = 96 if embedding == "one-hot" else 8  # few for the other, whose runs all end alike
                cell = replace(base, steps=steps, embedding=embedding, stored_mean_action=played, seed_count=seeds)
                yield Cell(labels, cell)


def exploration(algorithms: Sequence[str]) -> Iterator[Cell]:
    """Every value method with the same explorations and discounts, to separate the method's effect from exploration's.

    FMQ and Rec-FMQ are defined with discount 0 only.
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
    """Actor-critics that start near action 0, where the rewards are, by the actors' learning rate.

    From a uniform start, an actor-critic with N >= 500 sees no reward.
    """
    for rate, algorithm in product((1e-2, 1e-3, 1e-4), algorithms):
        settings = replace(CALIBRATED, actor_learning_rate=rate, seed_count=48)
        yield Cell({"algorithm": algorithm, "actor_rate": rate}, near_action_0(settings, algorithm))


def informed_start_long(algorithms: Sequence[str]) -> Iterator[Cell]:
    """Actor-critics with the same start and the appendix's values, with 7.5 to 15 times the budget."""
    for algorithm in algorithms:
        labels: dict[str, Label] = {"algorithm": algorithm, "updates": APPENDIX.updates or 0}
        yield Cell(labels, near_action_0(replace(APPENDIX, seed_count=16), algorithm))


def near_action_0(settings: Settings, algorithm: str) -> Settings:
    """The settings of an actor-critic that starts near action 0; a control gets noise for the mean action."""
    stored = "noise" if algorithm.endswith("-noise") else settings.stored_mean_action
    return replace(settings, start_bias=4.0, stored_mean_action=stored)


def joint_steps(algorithms: Sequence[str]) -> Iterator[Cell]:
    """The appendix's values with the joint steps of 100 agents: for 1000 agents ten times those of `appendix`.

    In `appendix` the number of gradient steps is the same for all sizes, so more agents play fewer joint steps.
    """
    for steps, algorithm in product((APPENDIX.joint_steps(1000), APPENDIX.joint_steps(100)), algorithms):
        cell = replace(APPENDIX, updates=None, steps=steps, seed_count=16)
        yield Cell({"algorithm": algorithm, "steps": steps}, cell)


def fmq_temperature(algorithms: Sequence[str]) -> Iterator[Cell]:
    """FMQ with the appendix's values by min_temp, the end of its Boltzmann schedule, which the appendix leaves open."""
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
    """Names of the settings to run: appendix or calibrated."""
    algorithms: list[str] = field(default_factory=list)
    """Algorithms among il, fmq, rec-fmq, maac, ac, mf-q and mf-ac, or path/to/file.py:Class for a custom one. Default:
    the paper's six, all but ac."""
    out: Path = OUT
    """Directory of the results."""
    full: bool = False
    """Run more seeds: 24 of calibrated, 5 of appendix; --seeds overrides this."""
    mu: float = GAME["mu"]
    """The best sum of actions. Values other than the paper's need a custom --out."""
    sigma: float = GAME["sigma"]
    """Width of the reward's peak around mu. Values other than the paper's need a custom --out."""
    study: StudyName | None = None
    """Run a study of what decides the outcome, instead of the learning curves. sensitivity: epsilon, budget, id
    embedding and stored mean action of IL and MF-Q. exploration: exploration and discount of value methods.
    informed-start: start and learning rate of actor-critics. informed-start-long: the same start with the appendix's
    budget. joint-steps: number of joint steps of IL and MF-Q with 1000 agents. fmq-temperature: end of FMQ's Boltzmann
    schedule."""
    scale_target: bool = False
    """Scale mu and sigma with the number of agents. Default of --agents: a thousand to a million."""

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
        if not self.is_papers_game and self.committed:
            raise ValueError(f"mu and sigma: got {self.mu} and {self.sigma}, which need another out than {self.home()}")
        for agents in self.agents or AGENTS:
            self.game(agents)

    @property
    def is_papers_game(self) -> bool:
        """Whether mu and sigma are the paper's."""
        return {"mu": self.mu, "sigma": self.sigma} == GAME

    def game(self, agents: int) -> GaussianSqueeze:
        """The game for a number of agents.

        Raises:
            ValueError: a value is out of range, or no sum earns a reward, so that there are no shares of an optimum.
        """
        make = GaussianSqueeze.scaled if self.scale_target else GaussianSqueeze
        game = make(agents, self.mu, self.sigma)
        if not game.optimum()[1] > 0:
            raise ValueError(
                f"mu and sigma: got {self.mu} and {self.sigma}, by which {agents} agents never earn anything"
            )
        return game


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(GaussianSqueezeOptions, arguments)
    folder = options.study.replace("-", "_") if options.study else "scaling" if options.scale_target else ""
    options = replace(options, out=options.out / folder)
    check_game(options)
    if options.study:
        study(STUDIES[options.study], options)
    elif options.scale_target:
        scaling(options)
    else:
        curves(options)


def check_game(options: GaussianSqueezeOptions) -> None:
    """Refuse another mu or sigma than that of the runs in --out, whose rewards mean nothing for another game.

    Raises:
        ValueError: provenance.json names another value.
    """
    calls = read_calls(options.out / "provenance.json")
    for name in GAME:
        held = {call["settings"][name]["value"] for call in calls if name in call["settings"]}
        if others := held - {getattr(options, name)}:
            raise ValueError(
                f"{name}: got {getattr(options, name)}, but {options.out} holds runs with {min(others)}; "
                "pass that, or name another --out"
            )


def with_game(settings: Settings, options: GaussianSqueezeOptions) -> dict[str, object]:
    """Values of the settings and of the game for provenance.json, with their sources."""
    recorded = sources(settings)
    for name, papers in GAME.items():
        value = getattr(options, name)
        recorded[name] = {"value": value, "source": "Section 5.1" if value == papers else f"--{name}"}
    return recorded


def curves(options: GaussianSqueezeOptions) -> None:
    """Train and draw the learning curves of the paper."""
    path = options.out / "curves.csv"
    if not options.figures_only:
        train(curve_sections(options), path, SETTING_KEYS, options)
    table = read_result(path, SETTING_KEYS, DRAWN)
    if options.is_papers_game:
        table = with_baselines(table, path, options, SETTING_KEYS)
    draw_curves(table, options)


def study(chosen: Study, options: GaussianSqueezeOptions) -> None:
    """Train every cell of a study and draw it."""
    path = options.out / "study.csv"
    if not options.figures_only:
        train(study_sections(chosen, options), path, chosen.keys, options)
    draw_study(chosen, read_result(path, chosen.keys, DRAWN), options)


def scaling(options: GaussianSqueezeOptions) -> None:
    """Measure time and reward against the number of agents, with mu and sigma in proportion to it."""
    path = options.out / "curves.csv"
    if not options.figures_only:
        train(scaling_sections(options), path, SETTING_KEYS, options)
    draw_scaling(read_result(path, SETTING_KEYS, DRAWN), options)


def train(sections: Sequence[Section], path: Path, keys: Sequence[str], options: GaussianSqueezeOptions) -> None:
    """Run the jobs and update the table at `path`; the columns `keys` identify a setting."""
    check_update(path, [job for section in sections for job in section.jobs], keys, options, DRAWN)
    update(path, pd.concat(do(sections, options)), replacing=[*keys, "seed"], keys=[*keys, "seed", "step"])


def curve_sections(options: GaussianSqueezeOptions) -> list[Section]:
    """Sections with the jobs of every setting, number of agents and algorithm."""
    return [
        Section(
            name,
            [
                job
                for agents in options.agents or AGENTS
                for algorithm in options.algorithms or METHODS
                for job in jobs_of({"settings": name}, algorithm, options.game(agents), settings, options)
            ],
            with_game(settings, options),
        )
        for name, settings in options.chosen(SETTINGS, QUICK, QUICK_SETTINGS).items()
    ]


def study_sections(chosen: Study, options: GaussianSqueezeOptions) -> list[Section]:
    """One section per cell of a study, because each cell has its own settings."""
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
        sections.append(Section(", ".join(map(str, labels.values())), jobs, with_game(settings, options)))
    return sections


def scaling_sections(options: GaussianSqueezeOptions) -> list[Section]:
    """One section per number of agents, because each has its own settings."""
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
        sections.append(Section(f"{agents} agents", jobs, with_game(settings, options)))
    return sections


def scaling_settings(options: GaussianSqueezeOptions) -> Settings:
    """The settings of --scale-target before scaling."""
    return replace(SCALING, steps=40, evaluations=4, seed_count=1) if options.quick else SCALING


def jobs_of(
    labels: Mapping[str, Label],
    algorithm: str,
    game: GaussianSqueeze,
    settings: Settings,
    options: GaussianSqueezeOptions,
) -> list[TrainingJob]:
    """The jobs of one algorithm, each of which trains `seeds_a_job` seeds as one stack."""
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
    """Write the summary and draw the figures of the learning curves."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = best_of_game(table, options)
    uniform = uniform_rewards(table, options)
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=SETTING_KEYS)
    drawn = {
        "learning_curves": figures.learning_curves(table, optimum, uniform),
        "sampled_curves": figures.learning_curves(table, optimum, uniform, metric="sampled_reward"),
        "final_rewards": figures.final_rewards(summary, final_scores(table, optimum)),
    }
    report(summary, options.out, ["curves.csv", "summary.csv"], drawn)


def draw_study(chosen: Study, table: pd.DataFrame, options: GaussianSqueezeOptions) -> None:
    """Write the summary and draw the figures of a study."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = best_of_game(table, options)
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
    """Write the summary and draw the figure of --scale-target. Runs that were only timed show only their time."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    optimum = best_of_game(table, options)
    summary = summarise(table, optimum)
    write_csv(summary, options.out / "summary.csv", keys=SETTING_KEYS)
    scores = final_scores(table, optimum).rename(columns={"greedy": "reward_share"})
    steps = table.groupby([*SETTING_KEYS, "seed"])["step"].max().to_numpy()
    runs = scores[[*SETTING_KEYS, "seed"]].itertuples(index=False)
    names = [job_name(*run[:-1], seeds=run[-1:]) for run in runs]
    seconds = compute_seconds(options.out)
    if unknown := [name for name in names if name not in seconds]:
        raise ValueError(f"out: {options.out}/provenance.json lacks the time of {unknown[0]}: restore it")
    scores["seconds_per_step"] = [seconds[name] for name in names] / steps
    scores["reward_share"] = scores["reward_share"].where(steps >= (scaling_settings(options).steps or 0))
    report(summary, options.out, ["curves.csv", "summary.csv"], {"scaling": figures.scaling(scores)})


def best_of_game(table: pd.DataFrame, options: GaussianSqueezeOptions) -> dict[int, float]:
    """G*, by number of agents.

    Raises:
        ValueError: the table has a reward above G*, i.e. it is of another game.
    """
    optimum = best_rewards(table["agents"], options.game)
    for agents, most in table.groupby("agents")["greedy_reward"].max().items():
        if most > optimum[int(str(agents))] * (1 + 1e-9):
            raise ValueError(
                f"mu and sigma: got {options.mu} and {options.sigma}, by which {agents} agents earn at most "
                f"{optimum[int(str(agents))]:.6g}, but {options.out} holds {most:.6g}; pass those of its runs"
            )
    return optimum


def uniform_rewards(table: pd.DataFrame, options: GaussianSqueezeOptions) -> dict[int, float]:
    """Expected reward of uniform play, by number of agents."""
    return {agents: options.game(agents).uniform_play_reward() for agents in sorted(set(table["agents"]))}


if __name__ == "__main__":
    raise SystemExit(main(run))

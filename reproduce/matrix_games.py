"""Matrix games: FMQ, Rec-FMQ and IL on repeated two-agent games, compared with published success rates.

A run reaches the optimum if its greedy joint action at the end has the largest expected reward. Without options the
script does 1000 runs of every game and algorithm, and writes results/matrix_games/table.csv: the share of runs that
reached the optimum with its exact 95% interval, and the published share with its source.

Sources. Survey: Matignon, Laurent & Le Fort-Piat, Independent reinforcement learners in cooperative Markov games: a
survey regarding coordination problems, Knowledge Engineering Review 27(1), 2012. Thesis: Matignon, Synthèse d'agents
adaptatifs et coopératifs par apprentissage par renforcement, Université de Franche-Comté, 2008. Games: Kapetanakis &
Kudenko, Reinforcement learning of coordination in cooperative multi-agent systems, AAAI 2002.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path

import pandas as pd

from mfmarl.environments.matrix_game import (
    CLIMBING,
    PARTIALLY_STOCHASTIC_CLIMBING,
    STOCHASTIC_CLIMBING,
    MatrixGame,
    penalty,
)
from mfmarl.evaluation.intervals import proportion_interval
from mfmarl.exploration import Boltzmann, EpsilonGreedy, Exploration
from mfmarl.jobs.job import Label, TrainingJob, job_name
from mfmarl.scripting.guards import check_update
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, known_methods, known_names, parse
from mfmarl.scripting.results import Section, do, read_result, report, update, with_baselines
from mfmarl.scripting.settings import arguments_of, sourced, sources, values

OUT = Path("results/matrix_games")
METHODS = ("il", "fmq", "rec-fmq")
KEYS = ("part", "game", "algorithm", "exploration", "steps")


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of all games. Q starts within 1e-6 of zero and learns with discount 0."""

    learning_rate: float = sourced(0.1, "thesis, Table 6.4, there of FMQ")
    steps: int = sourced(3000, "thesis, Tables 6.1 and 6.4: repetitions of the game, of IL and FMQ")
    start_temperature: float = sourced(5000.0, "survey, table of GLIE strategies: of IL", script=True)
    temperature_factor: float = sourced(
        0.997, "survey, table of GLIE strategies: of IL, at each repetition", script=True
    )
    fmq_start_temperature: float = sourced(499.0, "thesis, Table 6.4", script=True)
    fmq_decay: float = sourced(0.006, "thesis, Table 6.4", script=True)
    fmq_end_temperature: float = sourced(1.0, "thesis, Table 6.4", script=True)
    heuristic_weight: float = sourced(10.0, "thesis, Table 6.4: c of FMQ")
    epsilon: float = sourced(
        0.1,
        "ours, of Rec-FMQ: the most by which two agents stay below the thesis's limit, 1 - (1 - epsilon)^2 = 0.2",
        script=True,
    )
    frequency_rate: float = sourced(0.01, "Yang et al. 2018, appendix C.1: alpha_f of Rec-FMQ")
    rec_fmq_steps: int = sourced(
        10_000,
        "survey, table of games of n agents, there for two: exploration must find (a, a) by chance",
        script=True,
    )
    evaluation_steps: int = sourced(1000, "ours, of stochastic games: see `reached`")
    seed_count: int = sourced(1000, "thesis, Table 6.1; 500 in Table 6.4", script=True)

    def repetitions(self, algorithm: str) -> int:
        """Number of times that `algorithm` plays the game."""
        return self.rec_fmq_steps if algorithm == "rec-fmq" else self.steps

    def exploration(self, algorithm: str) -> Exploration:
        """Exploration of `algorithm`."""
        if algorithm == "rec-fmq":
            return EpsilonGreedy(self.epsilon, self.epsilon)
        if algorithm == "fmq":
            return Boltzmann(self.fmq_start_temperature, self.fmq_decay, self.fmq_end_temperature)
        return Boltzmann(self.start_temperature, -log(self.temperature_factor))

    def exploration_label(self, algorithm: str) -> str:
        """Exploration of `algorithm` as text."""
        if algorithm == "rec-fmq":
            return f"epsilon {self.epsilon:g}"
        if algorithm == "fmq":
            return f"T {self.fmq_start_temperature:g} exp(-{self.fmq_decay:g} t) + {self.fmq_end_temperature:g}"
        return f"T {self.start_temperature:g} x {self.temperature_factor:g}^t"

    def arguments(self, algorithm: str, game: MatrixGame) -> dict[str, object]:
        """Arguments for algorithms and data modules, by name. A custom class explores like IL."""
        return {
            **values(self),
            "hidden": None,
            "discount": 0.0,
            "exploration": self.exploration(algorithm),
            "steps": self.repetitions(algorithm),
            "evaluations": 1,
            "batch_size": None,
            "evaluation_steps": self.evaluation_steps if game.draws else 1,
        }


PUBLISHED = Settings()
SETTINGS = {"published": PUBLISHED}
QUICK = replace(PUBLISHED, rec_fmq_steps=3000, seed_count=64)

# The survey's stochastic climbing game differs from Kapetanakis & Kudenko's in the last row.
SURVEY_STOCHASTIC_CLIMBING = MatrixGame(
    ((10, 5, 8), (5, 14, 12), (8, 12, 10)), ((12, -65, -8), (-65, 0, 0), (-8, 0, 0))
)
# The second agent's actions are in reverse order, so that no rule for ties such as "take the first" helps the agents.
RELABELLED_PENALTY = MatrixGame(((-100, 0, 10), (0, 2, 0), (10, 0, -100)))

GAMES = {
    "penalty, k = 0": penalty(0),
    "penalty, k = -10": penalty(-10),
    "penalty, k = -30": penalty(-30),
    "penalty, k = -100": penalty(-100),
    "penalty, k = -100, relabelled": RELABELLED_PENALTY,
    "climbing": CLIMBING,
    "climbing, partially stochastic": PARTIALLY_STOCHASTIC_CLIMBING,
    "climbing, stochastic": STOCHASTIC_CLIMBING,
    "climbing, stochastic (survey)": SURVEY_STOCHASTIC_CLIMBING,
}
QUICK_GAMES = ("climbing",)

_SURVEY = "survey, table of two-agent games"
_THESIS = "thesis, Table 6.4"
PUBLISHED_SHARES = {
    ("penalty, k = 0", "il"): (1.00, _SURVEY),
    ("penalty, k = 0", "rec-fmq"): (1.00, _SURVEY),
    ("penalty, k = -100", "il"): (0.966, "survey, table of GLIE strategies; 0.97 in that of two-agent games"),
    ("penalty, k = -100", "fmq"): (1.00, _THESIS),
    ("penalty, k = -100", "rec-fmq"): (1.00, _SURVEY),
    ("climbing", "il"): (0.16, _SURVEY),
    ("climbing", "fmq"): (1.00, _THESIS),
    ("climbing", "rec-fmq"): (1.00, _SURVEY),
    ("climbing, partially stochastic", "fmq"): (0.98, _THESIS),
    ("climbing, partially stochastic", "rec-fmq"): (1.00, _SURVEY),
    ("climbing, stochastic (survey)", "fmq"): (0.21, f"{_THESIS}; its matrix taken for the survey's"),
    ("climbing, stochastic (survey)", "rec-fmq"): (0.58, _SURVEY),
}

# Effect of IL's exploration: start temperature and factor, and the published share at k = -100. The survey also has
# (5000, 0.9) with share 0, where the final temperature is too small for float32.
TEMPERATURES = {
    (5000.0, 0.99): 0.617,
    (5000.0, 0.995): 0.84,
    (5000.0, 0.998): 0.7339,
    (500.0, 0.995): 0.853,
    (100.0, 0.995): 0.848,
}
# Effect of Rec-FMQ's exploration, which the available sources do not state: epsilon and repetitions.
EPSILONS = ((0.05, 3000), (0.05, 10_000), (0.1, 3000))
EPSILON_GAMES = ("climbing", "climbing, stochastic (survey)")


@dataclass(frozen=True)
class MatrixGamesOptions(Options):
    """Options of this script."""

    settings: list[str] = field(default_factory=lambda: ["published"])
    """Names of the settings to run; only published exists."""
    out: Path = OUT
    """Directory of the results."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known_names("settings", self.settings, SETTINGS)
        if self.agents not in ([], [2]):
            raise ValueError(f"agents: got {self.agents}, allowed is 2: these games have two agents")
        known_methods("algorithms", self.algorithms, METHODS)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(MatrixGamesOptions, arguments)
    if not options.figures_only:
        train(options)
    draw(options)


def train(options: MatrixGamesOptions) -> None:
    """Run all jobs and update the table."""
    lines = cases(options)
    [(name, settings)] = options.chosen(SETTINGS, QUICK).items()
    jobs = [line.job(options) for line in lines]
    check_update(options.out / "table.csv", jobs, KEYS, options, ["runs", "share"])
    [rows] = do([Section(name, jobs, sources(settings))], options)
    runs = dict(iter(rows.groupby(list(KEYS))))
    found = table(lines, [runs[tuple(line.labels.values())] for line in lines])
    update(options.out / "table.csv", found, replacing=KEYS, keys=KEYS)


def cases(options: Options) -> list[Case]:
    """The rows of the table."""
    [base] = options.chosen(SETTINGS, QUICK).values()
    methods = options.algorithms or METHODS
    lines = [
        Case("games", game, algorithm, base, *PUBLISHED_SHARES.get((game, algorithm), (None, "")))
        for game in (QUICK_GAMES if options.quick else GAMES)
        for algorithm in methods
    ]
    if options.quick:
        return lines
    if "il" in methods:
        for (start, factor), share in TEMPERATURES.items():
            settings = replace(base, start_temperature=start, temperature_factor=factor)
            source = "survey, table of GLIE strategies"
            lines.append(Case("temperature", "penalty, k = -100", "il", settings, share, source))
    if "rec-fmq" in methods:
        for epsilon, steps in EPSILONS:
            settings = replace(base, epsilon=epsilon, rec_fmq_steps=steps)
            lines += [Case("epsilon", game, "rec-fmq", settings) for game in EPSILON_GAMES]
    return lines


@dataclass(frozen=True)
class Case:
    """A row of the table: the game, the algorithm, its settings, and the published share with its source."""

    part: str
    game: str
    algorithm: str
    settings: Settings
    published: float | None = None
    source: str = ""

    @property
    def labels(self) -> dict[str, Label]:
        """The columns that identify the row."""
        exploration, steps = self.settings.exploration_label(self.algorithm), self.settings.repetitions(self.algorithm)
        return dict(zip(KEYS, (self.part, self.game, self.algorithm, exploration, steps), strict=True))

    def job(self, options: Options) -> TrainingJob:
        """The job with all runs of the row as one stack."""
        game = GAMES[self.game]
        seeds = tuple(range(options.seed, options.seed + (options.seeds or self.settings.seed_count)))
        agent, data = arguments_of(self.algorithm, self.settings.arguments(self.algorithm, game), method=options.method)
        name = job_name(*self.labels.values(), seeds=seeds)
        return TrainingJob(name, self.labels, self.algorithm, game, seeds, agent, data)


def table(lines: Sequence[Case], results: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row per case: runs, successes, their share with its 95% interval, and the published share."""
    rows = []
    for line, result in zip(lines, results, strict=True):
        optimal = int(reached(GAMES[line.game], result["greedy_reward"]).sum())
        share, low, high = proportion_interval(optimal, len(result))
        row = {**line.labels, "runs": len(result), "optimal": optimal, "share": share, "low": low, "high": high}
        rows.append({**row, "published": line.published, "source": line.source})
    return pd.DataFrame(rows).astype({"published": float})


def reached(game: MatrixGame, greedy_reward: pd.Series[float]) -> pd.Series[bool]:
    """Find the runs whose greedy joint action is optimal, from their mean rewards at the evaluation.

    In these runs the mean is above the midpoint between the best and the second-best expected reward. In the stochastic
    games of this file the mean of 1000 rewards is on the wrong side with probability below 1e-17 (Hoeffding:
    2 exp(-2 n d^2 / range^2), largest at distance d = 2 with rewards 0 and 14).
    """
    second, best = sorted(set(game.expected().flatten().tolist()))[-2:]
    return greedy_reward.gt((best + second) / 2)


def draw(options: MatrixGamesOptions) -> None:
    """Draw the figure of the table."""
    from mfmarl import figures  # noqa: PLC0415 - seaborn takes seconds to import

    path = options.out / "table.csv"
    rows = read_result(path, [*KEYS, "source"], ["runs", "share", "low", "high", "published"])
    result = with_baselines(rows, path, options, ["part", "game", "algorithm"])
    drawn = {"success_rates": figures.success_rates(result, [*GAMES])}
    shown = result.drop(columns="source").rename(columns={"low": "share_low", "high": "share_high"})
    report(shown, options.out, ["table.csv", "provenance.json"], drawn)


if __name__ == "__main__":
    raise SystemExit(main(run))

"""Battle: self-play of four algorithms in MAgent2, then a tournament of all pairings (appendix C.3).

Without options the script trains IL, MF-Q, AC and MF-AC by 2000 rounds of self-play, 64 against 64. The trained armies
then fight each other, a scripted rush and a random army. The script writes to results/battle:

    curves.csv       learning curves: means over rounds of self-play; rewards are totals of an army over a round
    policies/        trained armies, with weights in bfloat16; mfmarl.policies.Policy.load reads them
    tournament.csv   one row per round of the tournament, which is played in float32
    pairings.csv     win rates, rewards and kills of every pairing, with intervals over training seeds
    ratings.csv      Bradley-Terry ratings on the Elo scale
    replays/         with --replay: battles as films, and as actions from which the engine replays them
    ratings, learning_curves, win_rate_bars, rewards (.png, .pdf); all but ratings per number of agents,
    with that number at the end of the name unless it is 64

--study sensitivity tests whether rankings depend on choices that the paper leaves open, and writes to sensitivity/ in
that folder.

A custom method, `--algorithms path/to/file.py:Class --opponents mf-q`, trains under the same settings, and its armies
fight the named opponents. It is a subclass of BattleAgent; see examples/my_battle_method.py.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product, zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from mfmarl.algorithms import algorithm_class
from mfmarl.algorithms.constructors import constructor_keywords
from mfmarl.custom import is_in_file, with_its_file
from mfmarl.environments.battle.game import Battle
from mfmarl.evaluation.curves import last_rows, longest_runs
from mfmarl.evaluation.final_scores import SETTING_KEYS
from mfmarl.evaluation.head_to_head import head_to_head
from mfmarl.evaluation.ratings import ratings, summarise_pairings
from mfmarl.evaluation.rounds import COLUMNS, SCRIPTED, by_army
from mfmarl.exploration import EpsilonGreedy
from mfmarl.files import write_csv
from mfmarl.jobs.armies import army_file, keep_all, policy_path, seeds_together
from mfmarl.jobs.console import say
from mfmarl.jobs.execution import check_range
from mfmarl.jobs.folder import folder
from mfmarl.jobs.job import Label, TrainingJob, job_name
from mfmarl.scripting.guards import check_update
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, known_methods, known_names, named_once, not_used, parse, used_with
from mfmarl.scripting.results import Section, do, read_result, report, update, with_baselines
from mfmarl.scripting.settings import arguments_of, seed_blocks, sourced, sources, values
from mfmarl.scripting.tables import read_table
from mfmarl.tournament.guests import Homes, with_rounds_of_guests
from mfmarl.tournament.schedule import Fixture, pairings, schedule
from mfmarl.tournament.sensitivity import CHOICES, Choice, pairings_of_rivals, rivals, studied, with_rivalry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUT = Path("results/battle")
DRAWN = ["agents", "seed", "step", "reward", "kills"]
METHODS = {"mf-q": "battle-mf-q", "il": "battle-il", "mf-ac": "battle-mf-ac", "ac": "battle-ac"}
MOST_ROUNDS = 10_000_000  # four months at a second each
RELEASED_METHODS = {**METHODS, "mf-ac": "battle-released-mf-ac", "ac": "battle-released-ac"}


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters from appendix C.3; where it gives none, our choice."""

    methods: ClassVar[Mapping[str, str]] = METHODS
    steps: int = sourced(2000, "appendix C.3: rounds of self-play")
    learning_rate: float = sourced(1e-4, "appendix C.3")
    discount: float = sourced(0.95, "appendix C.3")
    batch_size: int = sourced(128, "appendix C.3")
    capacity: int = sourced(500_000, "appendix C.3: transitions, each of one agent")
    epsilon_start: float = sourced(1.0, "appendix C.3", script=True)
    epsilon_end: float = sourced(0.05, "appendix C.3", script=True)
    temperature: float = sourced(0.1, "appendix C.3: of the actor's softmax")
    entropy_weight: float = sourced(0.08, "appendix C.3")
    value_weight: float = sourced(0.1, "appendix C.3")
    samples_per_update: int = sourced(128, "ours: one gradient step for so many new transitions")
    target_rate: float = sourced(0.005, "released code")
    double_q: bool = sourced(False, "ours: v of Eq. 10")
    opponent_rate: float = sourced(0.99, "released code")
    opponent_follows: str = sourced("higher-reward", "released code")
    evaluations: int = sourced(100, "ours: rows of the learning curve")
    seed_count: int = sourced(5, "ours", script=True)
    tournament_rounds: int = sourced(200, "ours: of a pairing, in greedy and in sampled play each", script=True)

    def arguments(self) -> dict[str, object]:
        """Arguments for algorithms and data modules, by name."""
        return {**values(self), "exploration": EpsilonGreedy(self.epsilon_start, self.epsilon_end, self.steps)}


@dataclass(frozen=True)
class ReleasedCode(Settings):
    """Hyper-parameters of the released code. Its actor-critics learn on-policy; its armies enter no tournament."""

    methods: ClassVar[Mapping[str, str]] = RELEASED_METHODS
    batch_size: int = sourced(64, "released code")
    samples_per_update: int = sourced(32, "released code: two samples drawn for each new transition")
    capacity: int = sourced(80_000, "released code")
    epsilon_start: float = sourced(
        0.0, "released code: its agents ignore the schedule that they are given", script=True
    )
    epsilon_end: float = sourced(0.0, "released code: its agents ignore the schedule that they are given", script=True)
    double_q: bool = sourced(True, "released code")
    learns_terminal: bool = sourced(False, "released code")


APPENDIX, RELEASED_CODE = Settings(), ReleasedCode()
SETTINGS = {"appendix": APPENDIX, "released-code": RELEASED_CODE}
QUICK_SIZE: dict[str, Any] = {"steps": 10, "evaluations": 5, "seed_count": 1, "tournament_rounds": 4}
QUICK = replace(APPENDIX, **QUICK_SIZE)
QUICK_SETTINGS = {name: replace(settings, **QUICK_SIZE) for name, settings in SETTINGS.items()}
FEW_AGENTS = 8  # of --quick and --study

# --study sensitivity; 256: all seed pairs, four ways each. The choices are in mfmarl/tournament/sensitivity.py.
STUDY = replace(APPENDIX, seed_count=8, tournament_rounds=256)
STUDIED = "sensitivity"


@dataclass(frozen=True)
class BattleOptions(Options):
    """Options of this script."""

    settings: list[str] = field(default_factory=lambda: ["appendix"])
    """Names of the settings to run: appendix or released-code."""
    algorithms: list[str] = field(default_factory=list)
    """Algorithms among mf-q, il, mf-ac and ac, or path/to/file.py:Class for a custom one. Default: these four."""
    out: Path = OUT
    """Directory of the results."""
    agents: list[int] = field(default_factory=list)
    """Numbers of agents per army; each has its own tournament. Default: 64."""
    opponents: list[str] = field(default_factory=list)
    """Additional opponents of --algorithms: armies in policies/ of --out, or else committed ones, with all seeds."""
    only: Literal["training", "tournament"] | None = None
    """Only train, or only play the tournament of the armies in policies/. Default: both."""
    rounds: int | None = None
    """Number of rounds of self-play. Default: the number in the settings."""
    tournament_rounds: int | None = None
    """Number of rounds of each pairing, in greedy and in sampled play each. Default: the number in the settings."""
    replay: list[str] = field(default_factory=list)
    """Only play and film one battle of two armies in sampled play. An army is the name of a file in policies/, such as
    mf-q-64-seed-0, a path, rush, or random; --algorithms gives the classes of custom armies. With one name: film that
    replay file again."""
    film: Literal["gif", "mp4"] = "gif"
    """Format of the film of --replay; mp4 needs ffmpeg."""
    study: Literal["sensitivity"] | None = None
    """Only test, with 8 agents, whether rankings depend on the number of gradient steps, double Q, when the opponent
    follows, the actors' temperature, or the content of the mean action."""
    choices: list[str] = field(default_factory=list)
    """Choices of --study besides the appendix's own: 4x-updates, always-follows, double-q, temperature-1, noise.
    Default: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known_names("settings", self.settings, SETTINGS)
        if self.only == "tournament" and all(isinstance(SETTINGS[name], ReleasedCode) for name in self.settings):
            raise ValueError(f"only: got tournament, but the armies of {', '.join(self.settings)} enter none")
        if len(self.replay) > 2:
            raise ValueError(f"replay: got {len(self.replay)} names, allowed are two armies or one replay file")
        not_used(self, "study", "settings", "opponents", "replay")
        not_used(self, "replay", "settings", "quick", "seeds", "opponents", "only", "rounds", "tournament_rounds")
        not_used(self, "replay", "extend", "figures_only", "dry_run", "shard", "fresh")
        used_with(self, "study", "choices")
        used_with(self, "replay", "film")
        if self.study:
            known_names("algorithms", self.algorithms, METHODS)
        known_names("choices", self.choices, CHOICES)
        known_methods("algorithms", self.algorithms, METHODS)
        known_methods("opponents", self.opponents, METHODS)
        self._check_entrants()
        if self.precision == "64":
            raise ValueError("precision: got 64, allowed are 32, tf32 and bf16-mixed")
        check_range("rounds", self.rounds, 1, MOST_ROUNDS)
        check_range("tournament_rounds", self.tournament_rounds, 1, MOST_ROUNDS)
        for agents in self.agents:
            Battle(agents)

    def _check_entrants(self) -> None:
        """Check that each entrant has its own file in policies/."""
        if self.opponents and not self.algorithms:
            raise ValueError(f"opponents: got {', '.join(self.opponents)}, but --algorithms names nobody to fight them")
        named_once("algorithms and opponents", [*self.algorithms, *self.opponents])
        files = [policy_path(self.out, 64, name, 0).name for name in (*self.algorithms, *self.opponents)]
        if len(set(files)) < len(files):
            raise ValueError(f"algorithms: got two whose armies would be {max(files, key=files.count)}; rename a class")

    def adjusted(self, settings: Settings) -> Settings:
        """The settings with the changes that the options make."""
        rounds = self.rounds or settings.steps
        evaluations = next(n for n in range(min(settings.evaluations, rounds), 0, -1) if rounds % n == 0)
        if evaluations < min(rounds, 10, settings.evaluations):
            raise ValueError(f"rounds: got {rounds}, allowed is a multiple of 10, for the rows of the learning curve")
        return replace(
            settings,
            steps=rounds,
            evaluations=evaluations,
            seed_count=self.seeds or settings.seed_count,
            tournament_rounds=self.tournament_rounds or settings.tournament_rounds,
        )


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(BattleOptions, arguments)
    if options.replay:
        film(options)
        return
    if options.study:
        study(replace(options, out=options.out / options.study))
        return
    if not options.figures_only:
        chosen = options.chosen(SETTINGS, QUICK, QUICK_SETTINGS)
        adjusted = {name: options.adjusted(settings) for name, settings in chosen.items()}
        if options.only != "tournament":
            jobs = [job for name, settings in adjusted.items() for job in training_jobs(name, settings, options)]
            check_update(options.out / "curves.csv", jobs, SETTING_KEYS, options, DRAWN)
            check_armies(jobs, options)
        for name, settings in adjusted.items():
            play(name, settings, options)
    draw(options)


def check_armies(jobs: Sequence[TrainingJob], options: BattleOptions) -> None:
    """Refuse to train armies whose like, with other settings, --out holds; a tournament tells them by name alone.

    Raises:
        ValueError: curves.csv has the same algorithm and number of agents with other settings that keep armies.
    """
    path = options.out / "curves.csv"
    if not path.exists():
        return
    held = read_table(path, SETTING_KEYS)
    held = held[~held["settings"].str.endswith("released-code")]
    for job in jobs:
        settings, algorithm, agents = (job.labels[name] for name in ("settings", "algorithm", "agents"))
        alike = held[(held["algorithm"] == algorithm) & (held["agents"] == agents) & (held["settings"] != settings)]
        if not alike.empty and not str(settings).endswith("released-code"):
            raise ValueError(
                f"settings: got {settings}, but {options.out} holds armies of {algorithm} with {agents} agents of "
                f"{alike['settings'].iloc[0]}; name another --out"
            )


def play(name: str, settings: Settings, options: BattleOptions) -> None:
    """Train the armies and play the tournament. Invalid requests are refused before training."""
    fights = options.only != "training" and not isinstance(settings, ReleasedCode)
    drawn_up = tournament(settings, options) if fights else []
    if options.only != "tournament":
        train(name, settings, options)
    if fights:
        fight(drawn_up, settings, options)


def train(name: str, settings: Settings, options: BattleOptions) -> None:
    """Run self-play of every algorithm and seed, and save the trained armies to policies/."""
    jobs = training_jobs(name, settings, options)
    [rows] = do([Section(name, jobs, sources(settings))], options)
    keep_trained(rows, [] if isinstance(settings, ReleasedCode) else jobs, options)


def keep_trained(rows: pd.DataFrame, jobs: Sequence[TrainingJob], options: BattleOptions) -> None:
    """Save learning curves to curves.csv and the armies of the jobs to policies/."""
    update(options.out / "curves.csv", rows, replacing=[*SETTING_KEYS, "seed"], keys=[*SETTING_KEYS, "seed", "step"])
    for job in jobs:
        keep_all(job, folder(job, options.out, options.precision), options.out)


def training_jobs(name: str, settings: Settings, options: BattleOptions) -> list[TrainingJob]:
    """Jobs for self-play of every algorithm and seed; on a GPU one job trains several seeds."""
    blocks = {method: blocks_of(method, settings, options) for method in options.algorithms or METHODS}
    return [
        training_job(name, method, agents, seeds, settings, options.method)
        for agents in sizes(options)
        for some in zip_longest(*blocks.values())
        for method, seeds in zip(blocks, some, strict=True)
        if seeds
    ]


def blocks_of(method: str, settings: Settings, options: BattleOptions) -> list[tuple[int, ...]]:
    """The seeds of an algorithm, grouped by job."""
    algorithm = algorithm_class(settings.methods.get(method, method), "battle", "algorithms")
    return seed_blocks(options.seed, settings.seed_count, seeds_together(algorithm, options))


def training_job(
    name: str,
    method: str,
    agents: int,
    seeds: tuple[int, ...],
    settings: Settings,
    custom: Mapping[str, object] | None = None,
    *,
    entrant: str | None = None,
    more: Mapping[str, object] = MappingProxyType({}),
) -> TrainingJob:
    """The job for self-play of some seeds of one algorithm.

    Args:
        name: name of the settings.
        method: name of the algorithm.
        agents: number of agents per army.
        seeds: seeds that train together.
        settings: hyper-parameters.
        custom: value of the option --method.
        entrant: name of the trained armies, if it differs from the algorithm's.
        more: additional arguments that are not in the settings.
    """
    labels: dict[str, Label] = {"settings": name, "algorithm": entrant or method, "agents": agents}
    algorithm = settings.methods.get(method, method)
    agent, data = arguments_of(algorithm, {**settings.arguments(), **more}, "battle", custom)
    name = job_name(*labels.values(), seeds=seeds)
    return TrainingJob(name, labels, algorithm, Battle(agents), seeds, agent, data)


def tournament(settings: Settings, options: BattleOptions) -> list[tuple[int, list[Fixture]]]:
    """For each number of agents, the rounds of every pairing that involves one of the algorithms."""
    learners = options.algorithms or [*METHODS]
    drawn_up = []
    for agents in sizes(options):
        seeds = dict.fromkeys(learners, seeds_of(settings, options))
        seeds |= {name: homes(options).seeds(agents, name) for name in options.opponents}
        drawn_up += [
            (agents, schedule(pairing, seeds, settings.tournament_rounds))
            for pairing in pairings([*seeds, *SCRIPTED])
            if set(pairing) & set(learners)
        ]
    check_rounds(drawn_up, options)
    return drawn_up


def check_rounds(drawn_up: Sequence[tuple[int, Sequence[Fixture]]], options: BattleOptions) -> None:
    """Refuse rounds that would replace more rounds, or those of other seeds, in tournament.csv."""
    from mfmarl.tournament.jobs import check_none_is_lost  # noqa: PLC0415 - MAgent2 takes seconds to import

    path = options.out / "tournament.csv"
    if path.exists() and (options.committed or not options.fresh):
        check_none_is_lost(read_table(path, COLUMNS), drawn_up, exactly=options.committed and not options.extend)


def fight(drawn_up: Sequence[tuple[int, Sequence[Fixture]]], settings: Settings, options: BattleOptions) -> None:
    """Play the scheduled rounds between the armies in policies/, in float32 whatever their training precision.

    In bf16-mixed the values of an agent's best actions often round to the same number. A trained Q-learner would then
    miss its best action in 7 to 8% of its decisions, an actor in less than 1%.
    """
    from mfmarl.tournament.jobs import duel_job, lock_steps  # noqa: PLC0415 - MAgent2 takes seconds to import

    options = replace(options, precision="32")
    jobs = [
        duel_job([*lock_steps(fixtures)], Battle(agents), partial(homes(options).army, agents))
        for agents, fixtures in drawn_up
    ]
    [rows] = do([Section("tournament", jobs, sources(settings))], options)
    keys = ["algorithm", "opponent", "agents", "evaluation"]
    path = options.out / "tournament.csv"
    update(path, rows, replacing=keys, keys=[*keys, "seed", "opponent_seed", "round"])


def draw(options: BattleOptions) -> None:
    """Write the tables with their intervals, and draw the figures."""
    from mfmarl.figures import battle, battle_pairings  # noqa: PLC0415 - seaborn takes seconds to import

    files: list[str] = []
    drawn: dict[str, Figure] = {}
    fought = (options.out / "tournament.csv").exists()
    if not fought or (options.out / "curves.csv").exists():
        path = options.out / "curves.csv"
        curves = longest_runs(with_baselines(read_result(path, SETTING_KEYS, DRAWN), path, options, SETTING_KEYS))
        shown = last_rows(curves)
        files += ["curves.csv"]
        drawn |= {
            battle.figure_name("learning_curves", agents): battle.learning_curves(some)
            for agents, some in with_epsilon(curves).groupby("agents")
        }
    if fought:
        rounds = with_committed_rounds(read_result(options.out / "tournament.csv", COLUMNS), options)
        table, shown = summarise_pairings(rounds), ratings(rounds)
        write_csv(table, options.out / "pairings.csv", keys=["agents", "evaluation", "algorithm", "opponent"])
        write_csv(shown, options.out / "ratings.csv", keys=["agents", "evaluation", "algorithm"])
        files += ["tournament.csv", "pairings.csv", "ratings.csv"]
        drawn |= {"ratings": battle.ratings(shown), **battle_pairings.tournament_figures(table, rounds)}
    report(shown, options.out, files, drawn)


def with_epsilon(curves: pd.DataFrame) -> pd.DataFrame:
    """Add the share of random actions at each step to the curves; NaN for actors and custom methods."""
    runs = []
    for (name, method, _), rows in curves.groupby([*SETTING_KEYS]):
        settings = SETTINGS.get(str(name).removeprefix("quick-"), APPENDIX)  # --quick keeps their exploration
        cls = algorithm_class(settings.methods[str(method)], "battle") if method in settings.methods else None
        explores = cls is not None and "exploration" in constructor_keywords(cls)
        exploration = EpsilonGreedy(settings.epsilon_start, settings.epsilon_end, int(rows["step"].max()))
        epsilon = [exploration.epsilon(step) if explores else math.nan for step in rows["step"]]
        runs.append(rows.assign(epsilon=epsilon))
    return pd.concat(runs).sort_index()


def with_committed_rounds(rounds: pd.DataFrame, options: BattleOptions) -> pd.DataFrame:
    """Add the committed rounds between those committed armies that take part in `rounds`."""
    path = options.home() / "tournament.csv"
    if options.committed or not path.exists():
        return rounds
    return with_rounds_of_guests(rounds, read_table(path, COLUMNS), options.out)


def study(options: BattleOptions) -> None:
    """For every choice, train the methods that it concerns, then let rivals with the same choice fight."""
    if not options.figures_only:
        settings = options.adjusted(replace(STUDY, **QUICK_SIZE) if options.quick else STUDY)
        drawn_up = study_tournament(settings, options) if options.only != "training" else []
        if not drawn_up and options.only != "training":
            raise ValueError(
                f"algorithms: got {', '.join(options.algorithms)}, of which no two are rivals: IL and MF-Q are, AC and "
                "MF-AC are, and with --choices noise MF-Q and MF-AC each have a control"
            )
        if options.only != "tournament":
            jobs = study_jobs(settings, options)
            sections = [Section(name, some, sources(changed(settings, CHOICES[name]))) for name, some in jobs.items()]
            every = [job for some in jobs.values() for job in some]
            check_update(options.out / "curves.csv", every, SETTING_KEYS, options, DRAWN)
            keep_trained(pd.concat(do(sections, options)), every, options)
        if drawn_up:
            fight(drawn_up, settings, options)
    draw_study(options)


def study_jobs(settings: Settings, options: BattleOptions) -> dict[str, list[TrainingJob]]:
    """The training jobs of each choice that needs any; their label `algorithm` is the entrant."""
    jobs: dict[str, list[TrainingJob]] = {}
    for choice in studied(options.choices):
        own = changed(settings, choice)
        more = {} if choice.neighbourhood is None else {"neighbourhood": choice.neighbourhood}
        for agents, method in product(sizes(options), choice.methods):
            if method in (options.algorithms or METHODS):
                jobs.setdefault(choice.name, []).extend(
                    training_job(STUDIED, method, agents, seeds, own, entrant=choice.entrant(method), more=more)
                    for seeds in blocks_of(method, own, options)
                )
    return jobs


def changed(settings: Settings, choice: Choice) -> Settings:
    """The settings with a choice applied."""
    return replace(settings, **choice.changes)


def study_tournament(settings: Settings, options: BattleOptions) -> list[tuple[int, list[Fixture]]]:
    """For each number of agents, the rounds of every pairing of rivals."""
    met = pairings_of_rivals(studied(options.choices), options.algorithms or [*METHODS])
    seeds = seeds_of(settings, options)
    drawn_up = [
        (agents, schedule(pairing, dict.fromkeys(pairing, seeds), settings.tournament_rounds))
        for agents in sizes(options)
        for pairing in met
    ]
    check_rounds(drawn_up, options)
    return drawn_up


def draw_study(options: BattleOptions) -> None:
    """Write the table of rivals and draw its figure; if armies were only trained, report their learning curves."""
    from mfmarl.figures.battle import figure_name  # noqa: PLC0415 - seaborn takes seconds to import
    from mfmarl.figures.battle_study import sensitivity  # noqa: PLC0415

    path = options.out / "tournament.csv"
    if options.only == "training" and not path.exists():
        curves = read_result(options.out / "curves.csv", SETTING_KEYS, DRAWN)
        report(last_rows(curves), options.out, ["curves.csv"], {})
        return
    rounds, known = read_result(path, COLUMNS), rivals(studied())
    table, armies = head_to_head(rounds, list(known)), by_army(rounds)
    write_csv(table, options.out / "rivals.csv", keys=["agents", "evaluation", "algorithm", "opponent"])
    drawn = {}
    for agents, some in table.groupby("agents"):
        own = armies[armies["agents"] == agents]
        figure = sensitivity(with_rivalry(some, known), with_rivalry(own, known))
        drawn[figure_name("rivals", agents, FEW_AGENTS)] = figure
    report(table, options.out, ["tournament.csv", "rivals.csv"], drawn)


def film(options: BattleOptions) -> None:
    """Save one battle as a film and as a replay file."""
    # MAgent2 and matplotlib take seconds to import.
    from mfmarl.figures.film import check_kind  # noqa: PLC0415
    from mfmarl.tournament import films  # noqa: PLC0415

    check_kind(options.film, "film")
    replays, named = options.out / "replays", [name.removesuffix(".npz") for name in options.replay]
    if len(named) == 1:
        written = films.film_again(f"{named[0]}.npz", replays, options.film)
    else:
        left, right = (army_file(name, options.out, options.home()) for name in named)
        custom = [algorithm_class(name, "battle", "algorithms") for name in options.algorithms if is_in_file(name)]
        classes = [each for cls in custom for each in with_its_file(cls)]
        # None: the game in which the armies were trained.
        game = Battle(sizes(options)[0]) if options.agents or {left, right} <= {*SCRIPTED} else None
        try:
            written = films.film(
                (left, right), replays, options.film, environment=game, seed=options.seed, classes=classes
            )
        except ValueError as error:
            raise ValueError(f"replay: {error}") from error
    for path in written:
        say(f"written: {path.absolute()}")


def homes(options: BattleOptions) -> Homes:
    """The folders of the entrants' files: --out, or the committed results for opponents that --out lacks."""
    return Homes(options.out, options.home(), tuple(options.opponents))


def seeds_of(settings: Settings, options: BattleOptions) -> list[int]:
    """The seeds to train."""
    return list(range(options.seed, options.seed + settings.seed_count))


def sizes(options: BattleOptions) -> list[int]:
    """The number of agents per army in each tournament."""
    return options.agents or [FEW_AGENTS if options.quick or options.study else 64]


if __name__ == "__main__":
    raise SystemExit(main(run))

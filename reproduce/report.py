"""Make the report: one page with every claim and the evidence behind it.

The script writes results/index.html from the committed tables, figures and recordings alone. The page opens from disk
without a network, and is the same, byte for byte, every time it is made. Parts whose files are missing in --results are
left out. Only claims.csv is required; `python reproduce/claims.py` writes it.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mfmarl.algorithms import ALGORITHMS, Kind, algorithm_class
from mfmarl.algorithms.constructors import keywords_of
from mfmarl.claims.tables import best_rewards
from mfmarl.files import check_writable, write_text
from mfmarl.jobs.console import say
from mfmarl.report.claims import by_task, claims, verdict_counts
from mfmarl.report.curves import Curves, drawable
from mfmarl.report.hyperparameters import APPENDIX, Column, column, compared
from mfmarl.report.lattices import orderings
from mfmarl.report.page import as_json, image, render
from mfmarl.report.provenance import made
from mfmarl.scripting.calls import command, training
from mfmarl.scripting.main import main
from mfmarl.scripting.options import parse
from mfmarl.scripting.settings import sources
from mfmarl.scripting.steps import module_of
from mfmarl.scripting.tables import read_provenance, read_table

RESULTS = Path(__file__).resolve().parents[1] / "results"

GREEDY = {"greedy_reward": "greedy G / G*", "sampled_reward": "sampled G / G*"}


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Express rewards of Gaussian Squeeze as shares of the optimum."""
    best = table["agents"].map(best_rewards(table["agents"]))
    return table.assign(**{metric: table[metric] / best for metric in GREEDY})


def by_order(table: pd.DataFrame) -> pd.DataFrame:
    """Ising: repeat MCMC, which has one order of updates and no Q, beside the learners of every order."""
    learners, truth = table[table["method"] != "mcmc"], table[table["method"] == "mcmc"]
    orders = sorted(learners["order"].unique()) or sorted(truth["order"].unique())
    whole = pd.concat([learners, *(truth.assign(order=order) for order in orders)], ignore_index=True)
    return whole.assign(q_error=whole.get("q_error", nan))


class Source(NamedTuple):
    """A table of learning curves in the results."""

    path: str
    curves: Curves
    prepared: Callable[[pd.DataFrame], pd.DataFrame] = pd.DataFrame.copy
    needed: tuple[str, ...] = ()  #: columns that `prepared` needs.

    def read(self, results: Path) -> pd.DataFrame:
        """Read the table from a directory of results and prepare it.

        Raises:
            ValueError: the table is damaged or lacks a column.
        """
        columns = (*self.curves.facets, self.curves.method, "seed", "step", *self.needed)
        return self.prepared(read_table(results / self.path, columns, "results"))


AGENTS = {"agents": "Agents"}
STEPS = "joint steps"
CURVES = [
    Source(
        "gaussian_squeeze/curves.csv",
        Curves("squeeze", "Gaussian Squeeze", {"settings": "Settings", **AGENTS}, GREEDY, STEPS),
        shares,
        (*GREEDY,),
    ),
    Source(
        "battle/curves.csv",
        Curves(
            "battle",
            "Battle, self-play",
            {"settings": "Settings", "agents": "Agents of an army"},
            {"reward": "total reward of an army", "kills": "kills", "deaths": "deaths", "steps": "steps of a round"},
            "rounds of self-play",
            first={"agents": 64},
        ),
    ),
    Source(
        "ising/training.csv",
        Curves(
            "ising",
            "Ising, training",
            {"order": "Order of updates", "temperature": "Temperature τ", "size": "Side of the lattice"},
            {"order_parameter": "order parameter", "q_error": "mean squared error of Q"},
            "sweeps",
            "method",
        ),
        by_order,
    ),
    Source(
        "gaussian_squeeze/exploration/study.csv",
        Curves(
            "exploration",
            "Gaussian Squeeze: which exploration",
            {"exploration": "Exploration", "discount": "Discount", **AGENTS},
            GREEDY,
            STEPS,
        ),
        shares,
        (*GREEDY,),
    ),
    Source(
        "gaussian_squeeze/informed_start/study.csv",
        Curves(
            "start",
            "Gaussian Squeeze: started near action 0",
            {"actor_rate": "Learning rate of the actor", **AGENTS},
            GREEDY,
            STEPS,
        ),
        shares,
        (*GREEDY,),
    ),
    Source(
        "gaussian_squeeze/sensitivity/study.csv",
        Curves(
            "sensitivity",
            "Gaussian Squeeze: budget, embedding, mean action",
            {"schedule": "ε", "steps": "Budget", "embedding": "Embedding of the id", "stored": "Mean action", **AGENTS},
            GREEDY,
            STEPS,
        ),
        shares,
        (*GREEDY,),
    ),
]


class Figure(NamedTuple):
    """A figure of the results with a caption, which is also its alternative text."""

    path: str
    caption: str


STILLS = {  # shown where JavaScript is off
    "curves": [
        Figure(
            "gaussian_squeeze/learning_curves.png",
            "Gaussian Squeeze: greedy reward over the optimum against joint steps, six methods, one panel for 100, 500 "
            "and 1000 agents, the appendix's settings above and calibrated ones below.",
        ),
        Figure(
            "battle/learning_curves.png",
            "Battle: total reward and kills of an army, and epsilon, against rounds of self-play, 64 against 64.",
        ),
        Figure("ising/training.png", "Ising: order parameter and error of Q against sweeps, at tau = 0.8, 1.2 and 2."),
    ],
    "lattice": [
        Figure("ising/spins.png", "Spins of the median run of 16 at τ = 0.9, 1.2 and 2.0, MF-Q above MCMC."),
    ],
}
ISING = [
    Figure(
        "ising/order_parameter.png",
        "Order parameter against temperature in three orders of updates, beside MCMC, Onsager's exact curve and the "
        "mean field's.",
    ),
    Figure("ising/binder.png", "Binder's cumulants of MF-Q and MCMC against temperature, and where they cross."),
]
BATTLE = [
    Figure(
        "battle/win_rate_bars.png",
        "Wins, draws and losses of every pairing of 64 against 64, and the wins of each seat and army.",
    ),
    Figure("battle/ratings.png", "Ratings on Elo's scale, AC at 0, of every algorithm at each number of agents."),
]
THEORY = [
    Figure(
        "theory/remainder.png",
        "TH-1. What the mean field approximation drops of Q, e, against its bound and that of the paper's steps; e "
        "with more neighbours; and the share of Gaussian Squeeze's reward that Eq. 5's pairs explain.",
    ),
    Figure(
        "theory/contraction_factor.png",
        "TH-2. By what factor a sweep of the Boltzmann operator brings two policies together, against temperature.",
    ),
    Figure(
        "theory/bifurcation.png", "TH-2. Gaussian Squeeze: where play settles, against temperature, with two dampings."
    ),
    Figure("theory/phase_portraits.png", "TH-2. Paths of play in games of two populations, below the threshold."),
    Figure("theory/learning_errors.png", "TH-3. Error of Q against updates, where the truth is known."),
    Figure(
        "theory/noise_floor.png",
        "TH-3. Where the error of a table stops, by learning rate; what a Boltzmann policy, and a network among even "
        "opponents, lose.",
    ),
    Figure("theory/herding.png", "TH-3. A congestion game learned with the previous or the same mean action."),
    Figure("theory/toy_tables.png", "TOY-1. The table of one agent of the 3 x 3 torus at three times."),
    Figure("theory/toy_times.png", "TOY-1. How long the 3 x 3 torus takes to agree."),
    Figure("matrix_games/success_rates.png", "Shares of runs that find the best joint action, beside published ones."),
]


class Run(NamedTuple):
    """A column of hyper-parameters that some of the committed jobs used."""

    section: str  #: section of provenance.json.
    settings: str  #: name of the settings in the script.
    parts: tuple[str, ...] = ()  #: parts of the section's settings; empty if it has only one.


class Compared(NamedTuple):
    """Settings to show beside the appendix's."""

    title: str
    path: str  #: folder of the results, and name of the script.
    kind: Kind
    columns: dict[str, Run]


CHECKERBOARD, SIMULTANEOUS, RELEASED = (
    f"{order}, 20 x 20" for order in ("checkerboard", "simultaneous", "released-code")
)
HYPERPARAMETERS = [
    Compared(
        "Gaussian Squeeze (appendix C.1)",
        "gaussian_squeeze",
        "stateless",
        {"run as appendix": Run("appendix", "APPENDIX"), "run as calibrated": Run("calibrated", "CALIBRATED")},
    ),
    Compared(
        "Ising (appendix C.2)",
        "ising",
        "lattice",
        {
            "equilibrium, checkerboard": Run(
                "equilibrium", "EQUILIBRIUM", (CHECKERBOARD, f"{CHECKERBOARD}, above-tau-2")
            ),
            "equilibrium, released-code": Run("equilibrium", "SLOW", (RELEASED, f"{RELEASED}, above-tau-2")),
            "training": Run(
                "training",
                "TRAINING",
                tuple(name + at for at in ("", ", tau-2") for name in (CHECKERBOARD, SIMULTANEOUS, RELEASED)),
            ),
        },
    ),
    Compared(
        "Battle (appendix C.3)",
        "battle",
        "battle",
        {"run as appendix": Run("appendix", "APPENDIX"), "run as released-code": Run("released-code", "RELEASED_CODE")},
    ),
]
USED_WITH = {  # fields of the scripts' settings, by the argument of a method that uses them
    **dict.fromkeys(("epsilon_start", "epsilon_end", "epsilon_share", "boltzmann"), "exploration"),
    "fmq_boltzmann": "heuristic_weight",
}
PROVENANCE = {
    "Gaussian Squeeze": "gaussian_squeeze",
    "Gaussian Squeeze: which exploration": "gaussian_squeeze/exploration",
    "Gaussian Squeeze: started near action 0": "gaussian_squeeze/informed_start",
    "Gaussian Squeeze: started near action 0, with the appendix's budget": "gaussian_squeeze/informed_start_long",
    "Gaussian Squeeze: budget, embedding, mean action": "gaussian_squeeze/sensitivity",
    "Gaussian Squeeze: as many joint steps": "gaussian_squeeze/joint_steps",
    "Gaussian Squeeze: where FMQ's temperature ends": "gaussian_squeeze/fmq_temperature",
    "Gaussian Squeeze: scaling": "gaussian_squeeze/scaling",
    "Ising": "ising",
    "Battle": "battle",
    "Theory and the toy example": "theory",
    "Matrix games": "matrix_games",
}


@dataclass(frozen=True)
class ReportOptions:
    """Options of this script."""

    results: Path = RESULTS
    """Directory of all results, which contains claims.csv."""
    out: Path | None = None
    """File of the page. Default: index.html in --results."""

    def __post_init__(self) -> None:
        if not (self.results / "claims.csv").is_file():
            raise ValueError(f"results: there is no {self.results / 'claims.csv'}; python reproduce/claims.py makes it")
        if self.page.is_dir():
            raise ValueError(f"out: got {self.page}, allowed is a file")
        check_writable(self.page.parent)

    @property
    def page(self) -> Path:
        """The file to write."""
        return self.out or self.results / "index.html"


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(ReportOptions, arguments)
    text = page(options.results)
    options.page.parent.mkdir(parents=True, exist_ok=True)
    write_text(text, options.page)
    say(f"written: {options.page.absolute()}, {len(text.encode()) / 1e6:.1f} MB")


def page(results: Path) -> str:
    """Make the page for a directory of results. Parts whose files are missing are left out."""
    evidence = results / "evidence.csv"
    told = read_table(evidence, ["id", "judged", "verdict"], "results") if evidence.exists() else pd.DataFrame()
    found = claims(read_table(results / "claims.csv", ["id", "claim", "verdict"], "results"), told)
    drawn, fought = curves(results), battles(results)
    content: dict[str, Any] = {
        "tasks": by_task(found),
        "verdicts": verdict_counts(found),
        "stills": {place: figures(results, some) for place, some in STILLS.items()},
        "ising": figures(results, ISING),
        "battle": figures(results, BATTLE),
        "theory": figures(results, THEORY),
        "recordings": [described for described, _ in fought],
        "hyperparameters": hyperparameters(results),
        "provenance": provenance(results),
    }
    described: dict[str, Any] = {"curves": drawn, "battles": [battle for battle, _ in fought]}
    arrays = {f"battle-{number}": positions for number, (_, positions) in enumerate(fought)}
    frames = results / "ising/frames.csv"
    if frames.exists():
        rows = read_table(frames, ["size", "temperature", "step", "spins"], "results")
        described["lattice"], arrays["lattice"] = orderings(rows)
    content["has"] = {"curves": bool(drawn), "lattice": "lattice" in described, "battles": bool(fought)}
    parts = {
        "claims": ("Claims", found),
        "curves": ("Learning curves", drawn),
        "ising": ("Ising", content["ising"] or "lattice" in described),
        "battle": ("Battle", content["battle"] or fought),
        "theory": ("Theory", content["theory"]),
        "hyperparameters": ("Hyper-parameters", content["hyperparameters"]),
        "provenance": ("Provenance", content["provenance"]),
    }
    content["sections"] = {name: title for name, (title, there) in parts.items() if there}
    return render(content, {"data": as_json(described), **arrays} if any(content["has"].values()) else {})


def curves(results: Path) -> list[dict[str, Any]]:
    """All existing tables of learning curves."""
    return [
        {
            **drawable(source.read(results), source.curves),
            "command": "\n".join(map(command, training(str(Path(source.path).parent)))),
        }
        for source in CURVES
        if (results / source.path).exists()
    ]


def battles(results: Path) -> list[tuple[dict[str, Any], bytes]]:
    """All recorded battles, those of 64 against 64 first."""
    # MAgent2 and seaborn take seconds to import.
    from mfmarl.environments.battle.recorded import Replay  # noqa: PLC0415
    from mfmarl.report.battles import watchable  # noqa: PLC0415
    from mfmarl.tournament.films import FILMED, army_files, army_name  # noqa: PLC0415

    found = []
    for path in sorted((results / "battle/replays").glob("*.npz")):
        one, other = army_files(path.stem)
        described, positions = watchable(Replay.load(path), (army_name(one), army_name(other)), FILMED)
        command = f"python reproduce/battle.py --replay {one} {other}"
        found.append(({**described, "command": command}, positions))
    return sorted(found, key=lambda battle: battle[0]["agents"] != 64)


def figures(results: Path, some: Sequence[Figure]) -> list[dict[str, str]]:
    """The figures that exist."""
    return [
        {"source": image(results / figure.path), "caption": figure.caption, "path": f"results/{figure.path}"}
        for figure in some
        if (results / figure.path).exists()
    ]


def hyperparameters(results: Path) -> list[dict[str, Any]]:
    """For each task, its settings beside the appendix's."""
    tables = []
    for title, path, kind, columns in HYPERPARAMETERS:
        sections = read_provenance(results / path / "provenance.json", "results")
        if all(column.section in sections for column in columns.values()):
            found = [made_with(sections[column.section], path, kind, column) for column in columns.values()]
            tables.append({"title": title, "columns": list(columns), "rows": compared(APPENDIX[path], found)})
    return tables


def made_with(calls: Sequence[dict[str, Any]], path: str, kind: Kind, made: Run) -> Column:
    """The hyper-parameters that the jobs of some calls used."""
    script = module_of(Path(__file__).with_name(f"{path}.py"))
    settings = getattr(script, made.settings)
    methods = getattr(settings, "methods", script.METHODS)
    algorithms = methods if isinstance(methods, Mapping) else {}  # otherwise names are the same
    return column(calls, made.parts, lambda name: unused(algorithms.get(name, name), kind), sources(settings))


def unused(algorithm: str, kind: Kind) -> set[str]:
    """Fields of the settings that only other algorithms of this kind use; empty for custom algorithms."""
    if algorithm not in ALGORITHMS[kind]:
        return set()
    taken = {name: set().union(*keywords_of(algorithm_class(name, kind))) for name in ALGORITHMS[kind]}
    others = set().union(*taken.values()) - taken[algorithm]
    return others | {name for name, argument in USED_WITH.items() if argument in others}


def provenance(results: Path) -> list[dict[str, Any]]:
    """For each task, the calls that made its rows."""
    found = {
        title: made(read_provenance(results / path / "provenance.json", "results"))
        for title, path in PROVENANCE.items()
    }
    return [{"title": title, "calls": calls} for title, calls in found.items() if calls]


if __name__ == "__main__":
    raise SystemExit(main(run))

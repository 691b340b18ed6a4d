"""Give a verdict on every claim of the paper, from the committed tables alone.

The script reads results/*/*.csv and writes:

    results/claims.csv      one row per claim: the measurement, the verdict, and a sentence for readers
    results/evidence.csv    one row per finding; the claims' verdicts follow from them
    README.md               the passage `claims` between its comments, also in results/*/README.md; no page is written
                            with another --out or --results

`holds` and `fails` follow from an interval or a test. `undecided` states the number of seeds that would decide at 80%
power. `not tested` means that no table has the necessary rows. One or two seeds decide nothing.
"""

from __future__ import annotations

if __name__ == "__main__":
    import mfmarl.jobs.startup  # noqa: F401 - first of all: Ctrl-C while the rest loads ends without a traceback

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from mfmarl.claims import battle, gaussian_squeeze, ising, theory
from mfmarl.claims.tables import Claim, Tables
from mfmarl.claims.wording import brief, verdict_text
from mfmarl.evaluation.verdicts import NOT_TESTED, UNDECIDED, judge
from mfmarl.files import check_writable, read_csv, write_text
from mfmarl.jobs.console import say
from mfmarl.scripting.calls import behind, command
from mfmarl.scripting.documents import fill, passages
from mfmarl.scripting.main import main
from mfmarl.scripting.options import parse
from mfmarl.scripting.pages.markdown import table
from mfmarl.scripting.tables import check_places, read_table, write_table

RESULTS = Path(__file__).resolve().parents[1] / "results"
TASKS = {"GS": "gaussian_squeeze", "IS": "ising", "BA": "battle", "TH": "theory", "TOY": "theory"}
GS = "results/gaussian_squeeze/curves.csv"
TOURNAMENT = "results/battle/tournament.csv"
LONG_RUNS = "results/gaussian_squeeze/joint_steps/study.csv"
STUDIES = (
    "results/gaussian_squeeze/informed_start/study.csv results/gaussian_squeeze/informed_start_long/study.csv "
    f"results/gaussian_squeeze/sensitivity/study.csv {LONG_RUNS}"
)
CLAIMS = (
    Claim(
        "GS-1",
        "N = 100: all six methods come close to G*",
        "Gaussian Squeeze, learning curves",
        GS,
        "for each method, in one of the settings, most runs end at 0.9 G* or more (exact 95% interval above 1/2)",
        gaussian_squeeze.near_optimum,
        gaussian_squeeze.say_near_optimum,
    ),
    Claim(
        "GS-2",
        "N = 500 and 1000: MF-Q and MF-AC learn the optimum",
        "Gaussian Squeeze, learning curves",
        f"{GS} {STUDIES}",
        "for both methods and sizes, in one of the settings, most runs end at 0.9 G* or more (exact 95% interval)",
        gaussian_squeeze.learns_optimum,
        gaussian_squeeze.say_learns_optimum,
    ),
    Claim(
        "GS-3",
        "N = 500 and 1000: IL, FMQ, Rec-FMQ and MAAC fail",
        "Gaussian Squeeze, learning curves",
        f"{GS} results/gaussian_squeeze/exploration/study.csv results/gaussian_squeeze/informed_start/study.csv "
        f"{LONG_RUNS}",
        "for each method, size and setting most runs end at half of G* or less (exact 95% interval below 1/2)",
        gaussian_squeeze.others_fail,
        gaussian_squeeze.say_others_fail,
    ),
    Claim(
        "GS-4",
        "MF-Q converges faster than MF-AC",
        "Gaussian Squeeze, learning curves",
        GS,
        "in each setting and size where a run comes to stay at 0.9 G*, for a tenth of it or more, MF-Q does earlier "
        "(rank test, Holm)",
        gaussian_squeeze.converges_faster,
        gaussian_squeeze.say_converges_faster,
    ),
    Claim(
        "IS-1",
        "MF-Q's order parameter curve coincides with MCMC's",
        "Ising, order parameter",
        "results/ising/equilibrium.csv",
        "in one order of updates, at every temperature the interval of their difference, Bonferroni's for all, lies "
        f"within {ising.SAME_ORDER}",
        ising.orders_coincide,
        ising.say_orders_coincide,
    ),
    Claim(
        "IS-2",
        "both change phase near tau = 1.2",
        "Ising, order parameter",
        "results/ising/crossings.csv results/ising/equilibrium.csv",
        "in the checkerboard order the 95% intervals of both crossings, of 16 and 32 spins a side, lie in [1.1, 1.3]",
        ising.transitions,
        ising.say_transitions,
    ),
    Claim(
        "IS-3",
        "the error of Q is small at low tau and grows at the critical point",
        "Ising, training",
        "results/ising/training.csv",
        f"in one order of updates the error, over the last tenth, is below {ising.SMALL} at tau = 0.8 and larger at "
        f"1.2, by {ising.GROWTH} or more (95% intervals)",
        ising.error_grows,
        ising.say_error_grows,
    ),
    Claim(
        "BA-1",
        "MF-Q beats IL and MF-AC beats AC, in win rate and in total reward",
        "Battle, win rate and reward",
        TOURNAMENT,
        "both are ahead in both, in greedy and in sampled play (armies' labels exchanged, Holm)",
        battle.mean_field_wins,
        battle.say_mean_field_wins,
    ),
    Claim(
        "BA-2",
        "IL beats AC and MF-AC, and loses to MF-Q",
        "Battle, win rate",
        TOURNAMENT,
        "all three, in greedy and in sampled play (armies' labels exchanged, Holm)",
        battle.independent_between,
        battle.say_independent_between,
    ),
    Claim(
        "BA-3",
        "MF-Q's learning curve rises faster than MF-AC's",
        "Battle, learning curves",
        "results/battle/curves.csv",
        "at 64 v 64 MF-Q earns more than by hiding, to the end of training, from an earlier round on (rank test)",
        battle.rises_faster,
        battle.say_rises_faster,
    ),
    Claim(
        "BA-4",
        "the same ranking at 8, 144 and 256 agents a side",
        "Battle, other sizes",
        TOURNAMENT,
        "MF-Q beats IL, MF-AC beats AC, IL beats both, at each size and in both plays (labels exchanged, Holm)",
        battle.same_ranking,
        battle.say_same_ranking,
    ),
    Claim(
        "TH-1",
        "the remainder of the mean field approximation lies within [-2M, 2M]",
        "appendix B",
        "results/theory/approximation.csv",
        "no remainder drawn, of four kinds of smooth Q, is larger",
        theory.remainder_bounded,
        theory.say_remainder_bounded,
    ),
    Claim(
        "TH-2",
        "the Boltzmann operator contracts for T > K/2, with K read as that of abar",
        "appendix D",
        "results/theory/contraction.csv",
        "the softmax's slope is within 1 / (2T); sharp examples contract, spins on each graph converge, from K/2 on",
        theory.contracts,
        theory.say_contracts,
    ),
    Claim(
        "TH-3",
        "against stationary opponents MF-Q learns a best response",
        "appendix D.1",
        "results/theory/learning.csv",
        "at the lowest of four rates, chosen with all seen, the 95% interval of loss is below a tenth in all crowds",
        theory.best_response,
        theory.say_best_response,
    ),
    Claim(
        "TOY-1",
        "nine agents on a 3 x 3 torus learn to agree, and 0.82 is updated to 0.93",
        "the toy example, Figure 2",
        "results/theory/toy.csv",
        "the update is within 0.01; more than 99% of runs agree for good in three orders paid for what was seen (95%)",
        theory.toy_agrees,
        theory.say_toy_agrees,
    ),
)


def reader(results: Path) -> Callable[[str], pd.DataFrame | None]:
    """Make a function that reads a table of a directory by name, or returns None if there is no such table."""

    def read(name: str) -> pd.DataFrame | None:
        path = results / name
        return read_table(path, [], "results") if path.exists() else None

    return read


def verdicts(tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the table of claims and the table of their findings."""
    claims, evidence = [], []
    for claim in CLAIMS:
        found = claim.measure(tables)
        verdict, rests_on = judge(found.groups)
        sentence = claim.say(found, tables) if verdict != NOT_TESTED else f"Nothing that decides it is in {claim.data}."
        row = {name: getattr(claim, name) for name in ("id", "claim", "section", "data", "rule")}
        row |= {**asdict(rests_on), "seeds_needed": rests_on.seeds_needed if verdict == UNDECIDED else nan}
        claims.append(
            {**row, "verdict": verdict, "sentence": sentence, "command": " && ".join(map(command, behind(claim.id)))}
        )
        judged = [finding for group in found.groups for finding in group]
        for finding, used in [*((each, "yes") for each in judged), *((each, "no") for each in found.beside)]:
            evidence.append({"id": claim.id, "judged": used, **asdict(finding)})
    return pd.DataFrame(claims), pd.DataFrame(evidence)


def in_full(claims: pd.DataFrame) -> str:
    """The table of claims for a task's page, with the rule and the full sentence of each claim."""
    cells = [
        (
            f"{row['id']}: {row['claim']}",
            row["rule"],
            verdict_text(row["verdict"], row["seeds_needed"]),
            row["sentence"],
        )
        for row in claims.to_dict("records")
    ]
    return table(("claim of the paper", "holds if", "verdict", "what the data say"), cells)


def in_brief(claims: pd.DataFrame) -> str:
    """The table of claims for the README, with the one number on which each verdict rests."""
    cells = []
    for row in claims.to_dict("records"):
        page = f"results/{task_of(row['id'])}/README.md"
        cells.append(
            (f"[{row['id']}]({page}): {row['claim']}", verdict_text(row["verdict"], row["seeds_needed"]), brief(row))
        )
    return table(("claim of the paper", "verdict", "it rests on"), cells)


def task_of(claim: str) -> str:
    """The folder of results with the evidence for a claim."""
    return TASKS[claim.split("-", maxsplit=1)[0]]


def pages(out: Path, claims: pd.DataFrame) -> Iterator[tuple[Path, str]]:
    """Pages with a passage `claims`, and their text with that passage filled; none unless results are committed."""
    if out.resolve() != RESULTS:
        return
    texts = {out.parent / "README.md": in_brief(claims)}
    for task, mine in claims.groupby(claims["id"].map(task_of)):
        texts[out / str(task) / "README.md"] = in_full(mine)
    for path, text in texts.items():
        page = path.read_text(encoding="utf-8") if path.is_file() else ""
        if "claims" in passages(page):
            yield path, fill(page, {"claims": text})


def write(claims: pd.DataFrame, evidence: pd.DataFrame, out: Path) -> None:
    """Write both tables with their checksums."""
    write_table(claims, out / "claims.csv", ["id"])
    write_table(evidence, out / "evidence.csv", ["id", "part"])


def stale(claims: pd.DataFrame, evidence: pd.DataFrame, out: Path) -> list[Path]:
    """The tables and pages that do not agree with the data."""
    with TemporaryDirectory() as fresh:
        write(claims, evidence, Path(fresh))
        names = ("claims.csv", "evidence.csv")
        found = [out / name for name in names if not agree(out / name, Path(fresh) / name)]
    return found + [path for path, page in pages(out, claims) if path.read_text(encoding="utf-8") != page]


def agree(one: Path, other: Path) -> bool:
    """Whether two tables agree up to the last digits, which depend on the versions of numpy and scipy.

    The largest differences are in far quantiles of Student's t, which scipy 1.11 computes to 8 digits.
    """
    try:
        pd.testing.assert_frame_equal(read_csv(one), read_csv(other), rtol=1e-7, atol=1e-12)
    except (AssertionError, ValueError, OSError):
        return False
    return True


@dataclass
class ClaimsOptions:
    """Options of this script."""

    results: Path = RESULTS
    """Directory of the tables from which verdicts follow."""
    out: Path | None = None
    """Directory of claims.csv. Default: --results."""
    check: bool = False
    """Write nothing; exit with code 1 if tables or pages are out of date."""

    def __post_init__(self) -> None:
        if not self.results.is_dir():
            raise ValueError(f"results: got {self.results}, allowed is a directory of results")
        if (self.results / "provenance.json").exists():
            raise ValueError(f"results: got {self.results}, the folder of one script; name the one in which it lies")
        if not self.check:
            check_writable(self.out or self.results)
            check_places(self.out or self.results)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the script with command-line arguments."""
    options = parse(ClaimsOptions, arguments)
    out = options.out or options.results
    claims, evidence = verdicts(Tables(reader(options.results)))
    for row in claims.to_dict("records"):
        say(f"{row['id']}  {row['claim']}\n    {verdict_text(row['verdict'], row['seeds_needed'])}. {row['sentence']}")
    if options.check:
        if old := stale(claims, evidence, out):
            say(f"not what the data say: {', '.join(map(str, old))}; run without --check", sys.stderr)
            raise SystemExit(1)
        return
    out.mkdir(parents=True, exist_ok=True)
    write(claims, evidence, out)
    written = [out / "claims.csv", out / "evidence.csv"]
    for path, page in pages(out, claims):
        write_text(page, path)
        written.append(path)
    say("\nwritten:\n" + "\n".join(f"  {path}" for path in written))


if __name__ == "__main__":
    raise SystemExit(main(run))

"""Every command that makes committed results: its options, its jobs, the claims on its rows, and the time it took."""

import re
from pathlib import Path
from typing import NamedTuple

from mfmarl.jobs.execution import TIMES
from mfmarl.scripting.tables import read_provenance


class Call(NamedTuple):
    """A command that reproduces results."""

    task: str  #: folder in results/.
    command: str  #: options of the command.
    makes: str  #: description of the results.
    folder: str = ""  #: folder of provenance.json within that of the task.
    jobs: str = ""  #: regular expression for the names of those of its jobs that no earlier call does.
    quick: str | None = None  #: options in `reproduce/all.py --quick`, which omits the call if None.
    claims: str = ""  #: claims that rest on its rows.


SQUEEZE, BATTLE = "GS-1 GS-2 GS-3 GS-4", "BA-3 BA-4"  # claims; those of 64 against 64 include more
CALLS = (
    Call(
        "gaussian_squeeze",
        "--settings calibrated --full",
        "learning curves, calibrated",
        jobs=r"^calibrated-(?!maac-1000-seeds-[5-7]).*-seeds-(1?\d|2[0-3])-",
        quick="--agents 100 500",
        claims=SQUEEZE,
    ),
    Call(
        "gaussian_squeeze",
        "--settings calibrated --algorithms il mf-q --seeds 96",
        "calibrated, IL and MF-Q to 96 seeds",
        jobs=r"^calibrated-(il|mf-q)-.*-seeds-(2[4-9]|[3-9]\d)-",
        claims=SQUEEZE,
    ),
    Call(
        "gaussian_squeeze",
        "--settings calibrated --algorithms fmq rec-fmq mf-ac --seeds 48",
        "calibrated, FMQ, Rec-FMQ and MF-AC to 48 seeds",
        jobs=r"^calibrated-(fmq|rec-fmq|mf-ac)-.*-seeds-(2[4-9]|[3-9]\d)-",
        claims=SQUEEZE,
    ),
    Call(
        "gaussian_squeeze",
        "--settings calibrated --algorithms maac --agents 1000 --seed 5 --seeds 3",
        "calibrated, 1000 agents, MAAC to 8 seeds",
        jobs="^calibrated-maac-1000-seeds-[5-7]",
        claims="GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --full",
        "learning curves, the appendix's values",
        jobs=r"^appendix-(?!maac-1000-seeds-[5-7]).*-seeds-(0-4|(\d)-\2)$",
        claims=SQUEEZE,
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms il mf-q --agents 500 --seeds 96",
        "appendix, 500 agents, IL and MF-Q to 96 seeds",
        jobs=r"^appendix-(il|mf-q)-500-seeds-(0-7|8-15|16-23|24-31|32-39|40-47|48-55|56-63|64-71|72-79|80-87|88-95)$",
        claims="GS-2 GS-3 GS-4",
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms il mf-q --agents 100 1000 --seed 5 --seeds 43",
        "appendix, 100 and 1000 agents, IL and MF-Q to 48 seeds",
        jobs="^appendix-(il|mf-q)-(100|1000)-seeds-(5-12|13-20|21-28|29-36|37-44|45-47)$",
        claims=SQUEEZE,
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms mf-ac --seeds 8",
        "appendix, MF-AC to 8 seeds",
        jobs="^appendix-mf-ac-.*-seeds-0-7$",
        claims="GS-1 GS-2 GS-4",
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms mf-ac --seed 8 --seeds 16",
        "appendix, MF-AC to 24 seeds",
        jobs="^appendix-mf-ac-.*-seeds-(8-15|16-23)$",
        claims="GS-1 GS-2 GS-4",
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms fmq rec-fmq --seed 5 --seeds 19",
        "appendix, FMQ and Rec-FMQ to 24 seeds",
        jobs="^appendix-(fmq|rec-fmq)-.*-seeds-(5-12|13-20|21-23)$",
        claims="GS-1 GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms maac --agents 100 --seeds 8",
        "appendix, 100 agents, MAAC to 8 seeds",
        jobs="^appendix-maac-.*-seeds-0-7$",
        claims="GS-1",
    ),
    Call(
        "gaussian_squeeze",
        "--settings appendix --algorithms maac --agents 500 1000 --seed 5 --seeds 3",
        "appendix, 500 and 1000 agents, MAAC to 8 seeds",
        jobs="^appendix-maac-(500|1000)-seeds-[5-7]",
        claims="GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--study informed-start --algorithms ac mf-ac mf-ac-noise --seeds 48",
        "actor-critics started near action 0",
        "informed_start",
        "^(ac|mf-ac)-",
        quick="--study informed-start --agents 100",
        claims="GS-2",
    ),
    Call(
        "gaussian_squeeze",
        "--study informed-start --algorithms maac --agents 500 --seeds 8",
        "MAAC started near action 0, 500 agents",
        "informed_start",
        "^maac-.*-500-",
        claims="GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--study informed-start --algorithms maac --agents 1000 --seeds 8",
        "MAAC started near action 0, 1000 agents",
        "informed_start",
        "^maac-.*-1000-",
        claims="GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--study informed-start-long",
        "the same start with the appendix's budget",
        "informed_start_long",
        quick="--study informed-start-long --agents 100",
        claims="GS-2",
    ),
    Call(
        "gaussian_squeeze",
        "--study exploration --seeds 24",
        "value methods explored alike",
        "exploration",
        quick="--study exploration --agents 100",
        claims="GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--study sensitivity",
        "what decides between IL and MF-Q",
        "sensitivity",
        claims="GS-2",
    ),
    Call(
        "gaussian_squeeze",
        "--study joint-steps",
        "1000 agents, with as many joint steps as 100 have",
        "joint_steps",
        quick="--study joint-steps --agents 100",
        claims="GS-2 GS-3",
    ),
    Call(
        "gaussian_squeeze",
        "--study fmq-temperature",
        "FMQ, by where its temperature ends",
        "fmq_temperature",
        quick="--study fmq-temperature --agents 100",
    ),
    Call("gaussian_squeeze", "--scale-target", "up to a million agents", "scaling", quick="--scale-target"),
    Call("ising", "", "every Ising figure, 16 seeds", jobs="-seeds-0-", quick="", claims="IS-1 IS-2 IS-3"),
    Call(
        "ising",
        "--algorithms il mf-q --orders simultaneous released-code --seeds 32",
        "more runs where they are spread",
        jobs="-seeds-16-31$",
        claims="IS-1 IS-2 IS-3",
    ),
    Call(
        "battle",
        "--precision bf16-mixed",
        "self-play of four algorithms, 5 seeds, and their tournament",
        jobs="(appendix|duel)-.*-64(-|$)",
        quick="--rounds 4 --tournament-rounds 2",
        claims=f"BA-1 BA-2 {BATTLE}",
    ),
    Call("battle", "--only tournament", "that tournament again, between the committed armies", jobs="duel-.*-64$"),
    Call(
        "battle",
        "--agents 8 --seeds 3 --tournament-rounds 216",
        "armies of 8, 3 seeds",
        jobs="(appendix|duel)-.*-8(-|$)",
        claims=BATTLE,
    ),
    Call(
        "battle",
        "--agents 144 --rounds 120 --seeds 1 --tournament-rounds 40 --precision bf16-mixed",
        "armies of 144",
        jobs="(appendix|duel)-.*-144(-|$)",
        claims=BATTLE,
    ),
    Call(
        "battle",
        "--agents 256 --rounds 100 --seeds 1 --tournament-rounds 40 --precision bf16-mixed",
        "armies of 256",
        jobs="(appendix|duel)-.*-256(-|$)",
        claims=BATTLE,
    ),
    Call(
        "battle",
        "--settings released-code --rounds 300 --algorithms ac mf-ac --seeds 1 --precision bf16-mixed",
        "the released code's actor-critics",
        jobs="^released-code-(ac|mf-ac)-",
    ),
    Call(
        "battle",
        "--settings released-code --rounds 40 --algorithms il mf-q --seeds 1 --precision bf16-mixed",
        "the released code's Q-learners",
        jobs="^released-code-(il|mf-q)-",
    ),
    Call("matrix_games", "", "the FMQ family against published rates", quick=""),
    Call("theory", "", "the paper's mathematics and its toy example", quick="", claims="TH-1 TH-2 TH-3 TOY-1"),
)


def command(call: Call) -> str:
    """The command line of a call."""
    return f"python reproduce/{call.task}.py {call.command}".strip()


def behind(claim: str) -> list[Call]:
    """The calls whose rows a claim rests on."""
    return [call for call in CALLS if claim in call.claims.split()]


def training(folder: str) -> list[Call]:
    """The calls that make the learning curves in a folder of results."""
    return [
        call for call in CALLS if f"{call.task}/{call.folder}".rstrip("/") == folder and "--only" not in call.command
    ]


def seconds(results: Path, call: Call) -> tuple[float, float]:
    """CPU time and wall-clock time of a call in seconds, summed over all its jobs."""
    sections = read_provenance(results / call.task / call.folder / "provenance.json").values()
    jobs = {name: job for calls in sections for made in calls for name, job in made["jobs"].items()}
    spent = [job for name, job in jobs.items() if re.search(call.jobs, name)]
    wall, cpu = (sum(job[kind] for job in spent) for kind in TIMES)
    return cpu, wall

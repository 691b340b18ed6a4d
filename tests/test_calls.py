"""The commands that make the committed results again: together they make every row, and each claim names its own."""

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from mfmarl.claims.tables import Claim, Tables
from mfmarl.jobs.job import Job
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.calls import CALLS, Call, behind, command, seconds
from mfmarl.scripting.guards import planned
from reproduce import claims

ROOT = Path(__file__).parents[1]
TABLES = {  # where rows name the seed of their run, with the columns that name what was trained
    "gaussian_squeeze/curves.csv": ("settings", "algorithm", "agents"),
    "gaussian_squeeze/exploration/study.csv": ("algorithm", "exploration", "discount", "agents"),
    "gaussian_squeeze/informed_start/study.csv": ("algorithm", "actor_rate", "agents"),
    "gaussian_squeeze/informed_start_long/study.csv": ("algorithm", "updates", "agents"),
    "gaussian_squeeze/joint_steps/study.csv": ("algorithm", "steps", "agents"),
    "gaussian_squeeze/fmq_temperature/study.csv": ("algorithm", "min_temp", "agents"),
    "gaussian_squeeze/sensitivity/study.csv": ("algorithm", "schedule", "steps", "embedding", "stored", "agents"),
    "ising/equilibrium.csv": ("method", "order", "size", "temperature"),
    "ising/training.csv": ("method", "order", "size", "temperature"),
    "battle/curves.csv": ("settings", "algorithm", "agents"),
    "battle/tournament.csv": ("algorithm", "agents"),
}


class ReachedError(Exception):
    """A command was not refused."""


@cache
def runs_of(call: Call) -> pd.DataFrame:
    """A row a run that the command trains."""
    asked: list[Job] = []

    def launch(jobs: Sequence[Job], *_: object) -> None:
        asked.extend(jobs)
        raise ReachedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripting_results, "launch", launch)
        patch.chdir(ROOT)
        with pytest.raises(ReachedError):
            importlib.import_module(f"reproduce.{call.task}").run(call.command.split())
    return planned(asked)


def trained(rows: pd.DataFrame, table: str, calls: Sequence[Call]) -> pd.Series:
    """Whether the run of each row of a table is trained by one of these commands."""
    columns = [*TABLES[table], "seed"]
    task, *folders = Path(table).parent.parts
    runs = [runs_of(call) for call in calls if [call.task, call.folder] == [task, "".join(folders)]]
    known = pd.concat(runs)[columns] if runs else pd.DataFrame(columns=columns)
    return pd.Series(pd.MultiIndex.from_frame(rows[columns]).isin(pd.MultiIndex.from_frame(known)), rows.index)


@cache
def committed(table: str) -> pd.DataFrame | None:
    return claims.reader(ROOT / "results")(table)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "battle/tournament.csv"])
def test_together_they_make_every_committed_run(table: str) -> None:
    rows = committed(table)
    assert rows is not None
    missing = rows[~trained(rows, table, CALLS)]
    assert missing.empty, missing.groupby(list(TABLES[table]))["seed"].agg(["min", "max"])


def reader(calls: Sequence[Call]) -> Callable[[str], pd.DataFrame | None]:
    """The committed tables without the runs that none of these commands trains, and without their battles."""

    def read(table: str) -> pd.DataFrame | None:
        rows = committed(table)
        if rows is None or table not in TABLES:
            return rows
        kept = trained(rows, table, calls)
        if "opponent" in rows.columns:
            opponents = rows[["opponent", "agents", "opponent_seed"]].set_axis(["algorithm", "agents", "seed"], axis=1)
            kept &= trained(opponents, table, calls)
        return rows[kept]

    return read


def told(claim: Claim, calls: Sequence[Call]) -> str:
    """Everything that is said of a claim: its findings and its sentence."""
    tables = Tables(reader(calls))
    found = claim.measure(tables)
    return f"{found} {claim.say(found, tables)}"


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_rests_on_the_rows_of_its_commands(claim: Claim) -> None:
    calls = behind(claim.id)
    assert told(claim, calls) == told(claim, CALLS)
    folders = {Path(file).parent.relative_to("results").as_posix() for file in claim.data.split()}
    assert {f"{call.task}/{call.folder}".rstrip("/") for call in calls} == folders


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "left"),
    [(claim, call) for claim in claims.CLAIMS for call in behind(claim.id) if len(behind(claim.id)) > 1],
    ids=lambda each: each.id if isinstance(each, Claim) else each.command,
)
def test_without_one_of_its_commands_less_is_known_of_a_claim(claim: Claim, left: Call) -> None:
    try:
        without = told(claim, [call for call in behind(claim.id) if call != left])
    except (KeyError, ValueError):  # without these rows there is no sentence
        return
    assert without != told(claim, CALLS)


def test_the_table_of_claims_names_these_commands() -> None:
    table = committed("claims.csv")
    assert table is not None
    for row in table.to_dict("records"):
        assert row["command"].split(" && ") == [command(call) for call in behind(row["id"])]


@pytest.mark.parametrize("task", sorted({call.task for call in CALLS}))
def test_each_job_counts_in_the_time_of_one_command(task: str) -> None:
    calls = [call for call in CALLS if call.task == task and "--only" not in call.command]
    for folder in {call.folder for call in calls}:
        parts = [seconds(ROOT / "results", call)[0] for call in calls if call.folder == folder]
        assert sum(parts) == pytest.approx(seconds(ROOT / "results", Call(task, "", "", folder))[0])

"""What the README says: its commands exist, and the numbers of its tables are those of the committed results."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mfmarl.figures.style import looks
from mfmarl.scripting import results as scripting_results

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def readme_commands() -> Iterator[list[str]]:
    """The words of every command in a fenced block of the README."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", README, re.M | re.S)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|;", line.removeprefix("$ ")):
                try:
                    words = shlex.split(command, comments=True)
                except ValueError:  # an apostrophe in a line of output or of another language
                    continue
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words.pop(0)
                if words:
                    yield words


def is_script(words: list[str]) -> bool:
    return (
        Path(words[0]).name.startswith("python")
        and len(words) > 1
        and re.match(r"(reproduce|benchmarks)/\w+\.py$", words[1]) is not None
    )


@cache
def help_of(script: str) -> str:
    command = [sys.executable, script, "--help"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_readme_quotes_the_main_commands() -> None:
    commands = list(readme_commands())
    assert ["make", "gaussian-squeeze"] in commands
    assert any(is_script(words) and words[1] == "reproduce/gaussian_squeeze.py" for words in commands)


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for words in readme_commands():
        if words[0] == "make":
            wanted = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            assert wanted <= targets, words


def test_scripts_and_options_of_the_readme_exist() -> None:
    for words in filter(is_script, readme_commands()):
        assert (ROOT / words[1]).is_file(), words
        for option in (word for word in words[2:] if word.startswith("--")):
            name = re.escape(option.split("=")[0].removesuffix("+"))
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", help_of(words[1])), f"{option} of {words}"


CELLS = [shlex.split(command) for command in re.findall(r"^\| `(python reproduce/[^`]*)`", README, re.M)]
OF_EXAMPLES = [
    shlex.split(command)
    for path in sorted((ROOT / "examples").glob("*.py"))
    for command in re.findall(r"^python reproduce/.*$", path.read_text().replace("\\\n", " "), re.M)
]
BLOCKS = [words for words in readme_commands() if is_script(words) and words[1].startswith("reproduce")] + OF_EXAMPLES
REDRAWS = {"--figures-only", "--replay"}  # from committed files, to the same bytes
OTHERWISE = {"--print_config", "--config", "--help"}


class ReachedError(Exception):
    """A command was not refused."""


@pytest.mark.parametrize("words", [*BLOCKS, *CELLS], ids=lambda words: " ".join(words[2:5]))
def test_commands_are_not_refused_and_leave_committed_rows_alone(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if (REDRAWS | OTHERWISE) & set(words):
        pytest.skip("it trains nothing")
    monkeypatch.chdir(ROOT)
    begun: list[Path] = []

    def launch(jobs: object, out: Path, *_: object) -> None:
        begun.append(out)
        raise ReachedError

    monkeypatch.setattr(scripting_results, "launch", launch)
    script = importlib.import_module(words[1].removesuffix(".py").replace("/", "."))
    with pytest.raises(ReachedError):
        script.run(words[2:])
    if words in BLOCKS:
        (out,) = begun
        assert not is_tracked(out), "a block is what a reader tries"


def is_tracked(folder: Path) -> bool:
    """Whether files of a folder are committed."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    return bool(subprocess.run(["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True).stdout)


def label(name: str) -> str:
    return looks([name])[name].label


def row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def committed(name: str) -> list[dict[Any, Any]]:
    """The rows of a table in results/, which the README is about unless a reader has written another."""
    path = ROOT / "results" / name
    compare = ["git", "diff", "--quiet", "HEAD", str(path)]
    if shutil.which("git") is None or subprocess.run(compare, cwd=ROOT, check=False, capture_output=True).returncode:
        pytest.skip(f"{path} is not as committed")
    return pd.read_csv(path).to_dict("records")


@pytest.mark.parametrize("settings", ["calibrated", "appendix"])
def test_rewards_of_gaussian_squeeze(settings: str) -> None:
    sizes = (100, 500, 1000)
    cells = {
        (line["algorithm"], line["agents"]): "{greedy:.2f} [{greedy_low:.2f}, {greedy_high:.2f}] n={n}".format(**line)
        for line in committed("gaussian_squeeze/summary.csv")
        if line["settings"] == settings
    }
    table = row([f"`{settings}`: final G / G*", *(f"N = {agents}" for agents in sizes)]) + "|---" * 4 + "|\n"
    for name in ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac"):
        table += row([label(name), *(cells[name, agents] for agents in sizes)])
    assert table in README, f"the README should say\n{table}"


def wins(*, ends: bool) -> dict[tuple[int, str, str], str]:
    """Wins of the first, "50% / 60%" or "50% [40, 60] / 60%" in greedy and sampled play, by agents and names."""
    texts: dict[tuple[int, str, str], list[str]] = {}
    for line in sorted(committed("battle/pairings.csv"), key=itemgetter("evaluation")):
        text = f"{line['wins']:.0%}"
        low, high = 100 * line["wins_low"], 100 * line["wins_high"]
        text += f" [{low:.0f}, {high:.0f}]" if ends and low < high else ""
        texts.setdefault((line["agents"], line["algorithm"], line["opponent"]), []).append(text)
    return {pairing: " / ".join(texts) for pairing, texts in texts.items()}


def test_wins_of_64_against_64() -> None:
    cells, learners, columns = wins(ends=True), ["mf-q", "il", "mf-ac", "ac"], ["random", "rush", "ac", "mf-ac", "il"]
    table = row(["wins, greedy / sampled", *(f"v {label(name)}" for name in columns)]) + "|---" * 6 + "|\n"
    for place, name in enumerate(learners):
        others = {*columns} - {*learners[: place + 1]}
        table += row([label(name), *(cells[64, name, other] if other in others else "" for other in columns)])
    assert table in README, f"the README should say\n{table}"


def test_wins_at_every_size() -> None:
    cells, sizes = wins(ends=False), (8, 64, 144, 256)
    table = row(["wins of the first, greedy / sampled", *(f"{agents} v {agents}" for agents in sizes)])
    table += "|---" * 5 + "|\n"
    pairings = [("mf-q", "il"), ("mf-ac", "ac"), ("il", "ac"), ("il", "mf-ac"), ("mf-q", "ac"), ("mf-q", "mf-ac")]
    for one, other in pairings:
        table += row([f"{label(one)} v {label(other)}", *(cells[agents, one, other] for agents in sizes)])
    assert table in README, f"the README should say\n{table}"


def test_the_code_for_library_users_is_the_quickstart() -> None:
    _, _, code = (ROOT / "examples/quickstart.py").read_text().partition('"""\n\n')
    assert f"```python\n{code}```" in README

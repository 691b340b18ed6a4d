"""What the pages say: commands exist and run, links lead somewhere, numbers are those of the committed results."""

import importlib
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from mfmarl.claims.wording import p_of
from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.names import in_words
from mfmarl.jobs import slurm
from mfmarl.scripting import results as scripting_results
from mfmarl.scripting.pages import markdown, settings, speed
from mfmarl.scripting.pages.battle import reward_of_entropy
from mfmarl.scripting.pages.code import line_of, with_lines
from mfmarl.scripting.pages.gaussian_squeeze import ends_test
from mfmarl.scripting.pages.theory import NUMBER
from mfmarl.scripting.settings import sourced, sources
from mfmarl.statistical_physics import CRITICAL_TEMPERATURE
from reproduce import all as all_script
from reproduce import battle, gaussian_squeeze, ising
from reproduce import pages as script
from tests.pages import PAGES, ROOT, anchors, blocks, cells, commands, is_script, links, pictures

README = (ROOT / "README.md").read_text()
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PAGES}
WORDS = 1350  # of the README: what a reader with two minutes bears


def of_all_pages(kind: str = "blocks") -> list[list[str]]:
    """The distinct commands of ours in all pages, in the order of the pages."""
    read = commands if kind == "blocks" else cells
    found = {tuple(words): None for text in TEXTS.values() for words in read(text) if is_script(words)}
    return [list(words) for words in found]


OF_EXAMPLES = [
    shlex.split(command)
    for path in sorted((ROOT / "examples").glob("*.py"))
    for command in re.findall(r"^python reproduce/.*$", path.read_text().replace("\\\n", " "), re.M)
]
BLOCKS = of_all_pages() + OF_EXAMPLES
CELLS = of_all_pages("cells")
REDRAWS = {"--figures-only", "--replay"}  # from committed files, to the same bytes
OTHERWISE = {"--print_config", "--config", "--help", "--check", "reproduce/compare.py"}


def named(words: list[str]) -> str:
    return " ".join(words[1:6])


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len(re.findall(r"\S*\w\S*", README)) <= WORDS
    first_screen = "\n".join(README.splitlines()[:20])
    assert list(commands(first_screen))[:2] == [["make", "gaussian-squeeze"], ["make", "test"]]


def test_the_readme_says_what_the_headline_score_plays() -> None:
    assert "`act_greedily`" in README


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    for text in TEXTS.values():
        for words in commands(text):
            if words[0] == "make":
                assert set(words[1:]) <= targets, words
        assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets


@pytest.mark.parametrize(
    "words", [words for words in BLOCKS if (REDRAWS | OTHERWISE) & set(words) and "pages.py" not in words[1]], ids=named
)
def test_options_exist_of_commands_that_train_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(words[1].removesuffix(".py").replace("/", "."))
    with pytest.raises(SystemExit):
        module.run(["--help"])
    told = capsys.readouterr().out
    for option in (word for word in words[2:] if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", told), option


class ReachedError(Exception):
    """A command was not refused."""


@pytest.mark.parametrize("words", [*BLOCKS, *CELLS], ids=named)
def test_commands_are_not_refused_and_leave_committed_rows_alone(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if (REDRAWS | OTHERWISE) & set(words) or words[1].startswith("benchmarks"):
        pytest.skip("it trains nothing")
    if {"--only", "tournament", "--out"} <= set(words):
        pytest.skip("the call before it trains its armies")
    monkeypatch.chdir(ROOT)
    begun: list[Path] = []

    def launch(jobs: object, out: Path, *_: object, **__: object) -> None:
        begun.append(out)
        raise ReachedError

    monkeypatch.setattr(scripting_results, "launch", launch)
    monkeypatch.setattr(all_script, "go_through", launch)
    monkeypatch.setattr(slurm, "check", lambda *_: None)
    module = importlib.import_module(words[1].removesuffix(".py").replace("/", "."))
    with pytest.raises(ReachedError):
        module.run(words[2:])
    if words in BLOCKS:
        (out,) = begun
        assert not is_tracked(out), "a block is what a reader tries"


def is_tracked(folder: Path) -> bool:
    """Whether files of a folder are committed."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    return bool(subprocess.run(["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True).stdout)


SMALL = {"--seeds": "1", "--rounds": "2", "--tournament-rounds": "2", "--accelerator": "cpu"}
LARGE = {"--full", "--devices", "--workers", "--launcher", "--slurm-partition", "--slurm-minutes"}  # another machine's


def quick_form(words: list[str], folder: Path) -> list[str]:
    """The command with --quick, its results in a folder, on this machine; Battle with armies of 8."""
    small: list[str] = []
    left = list(words[2:])
    out = folder / "results/alone"
    while left:
        word = left.pop(0)
        given = []
        while left and not left[0].startswith("--") and left[0] != ">":
            given.append(left.pop(0).replace("-64-", "-8-"))
        if word == "--out":
            out = folder / given[0]
        elif word in SMALL:
            small += [word, SMALL[word]]
        elif word == "--agents" and "battle" in words[1]:
            small += [word, "8"]
        elif word not in LARGE and word != ">":
            small += [word, *(str(folder / each) if each.endswith(".yaml") else each for each in given)]
    if "--replay" in small and "battle" in words[1]:
        return [words[1], *small, "--out", str(out)]
    return [words[1], *small, *([] if "--quick" in small else ["--quick"]), "--out", str(out)]


def scenes() -> list[tuple[str, list[list[str]]]]:
    """Commands that build upon each other, in their order: those of a page; those of tables stand alone.

    A tournament that stands alone in a table fights with armies that are there, and here with some that are trained.
    """
    told = [(name, [words for words in commands(text) if is_script(words)]) for name, text in TEXTS.items()]
    alone = [
        (named(words), [[*words[:2], "--only", "training"], words] if "--only" in words else [words])
        for words in CELLS + OF_EXAMPLES
    ]
    return [(name, some) for name, some in told + alone if some]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "some"), scenes(), ids=lambda value: value if isinstance(value, str) else "")
def test_commands_run_in_their_quick_form(name: str, some: list[list[str]], tmp_path: Path) -> None:
    done: set[tuple[str, ...]] = set()
    for words in some:
        if words[1].startswith("benchmarks") or words[1] in ("reproduce/pages.py", "reproduce/all.py"):
            continue  # hours, the test below, and tests/test_all_script.py
        command = quick_form(words, tmp_path)
        if "--figures-only" in command:
            shutil.copytree(ROOT / "results/gaussian_squeeze", tmp_path / "results/alone", dirs_exist_ok=True)
            command.remove("--quick")
        if tuple(command) in done:
            continue
        done.add(tuple(command))
        called = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert called.returncode == 0, (name, command, called.stderr[-2000:])
        if "--print_config" in command:
            (tmp_path / words[-1]).write_text(called.stdout)


@pytest.mark.parametrize("name", ["results/battle/README.md", "docs/custom.md"])
def test_python_of_the_pages_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = blocks(TEXTS[name], "python")
    exec(code, {})


def test_the_code_of_the_readme_is_the_quickstart() -> None:
    _, _, code = (ROOT / "examples/quickstart.py").read_text().partition('"""\n\n')
    assert blocks(README, "python") == [code]


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in links(TEXTS[name]):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), link  # a page, not a folder: a site has no listing
        assert target.is_relative_to(ROOT.resolve()), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("name", TEXTS)
def test_pictures_are_described_for_those_who_cannot_see_them(name: str) -> None:
    for description, picture in pictures(TEXTS[name]):
        assert len(description.split()) >= 12, f"{picture}: {description}"


def test_every_figure_of_a_task_is_shown_or_linked() -> None:
    for task in sorted({path.parent for path in ROOT.glob("results/*/README.md")}):
        text = (task / "README.md").read_text()
        for figure in task.rglob("*.png"):
            own = figure.relative_to(task).as_posix()
            listed = own in links(text) or re.sub(r"_\d+(?=\.png)", "", own) in links(text)  # one of several sizes
            assert listed, f"{task.name}: {own}"


def test_the_page_of_examples_lists_each() -> None:
    files = {path.name for path in (ROOT / "examples").iterdir() if path.suffix in {".py", ".ipynb"}}
    assert files == {link for link in links(TEXTS["examples/README.md"]) if "/" not in link}


def test_the_site_has_every_page() -> None:
    listed = re.findall(r"^ +- (?:Start: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(listed) == sorted(TEXTS)


@cache
def filled_pages() -> dict[Path, str]:
    """All pages with their passages made anew, which a checkout with other results than the committed cannot check."""
    compare = ["git", "diff", "--quiet", "HEAD", "--", "results/**/*.csv", "results/**/*.json", "benchmarks/*.csv"]
    if shutil.which("git") is None or subprocess.run(compare, cwd=ROOT, check=False, capture_output=True).returncode:
        pytest.skip("the results are not as committed")
    return script.filled(ROOT)


@pytest.mark.parametrize("name", [path.relative_to(ROOT).as_posix() for path in script.written(ROOT)])
def test_a_page_says_what_the_tables_say(name: str) -> None:
    assert filled_pages()[ROOT / name] == TEXTS[name], "run reproduce/pages.py"


CHANGES = {
    "results/gaussian_squeeze/summary.csv": ("greedy", "rewards-calibrated"),
    "results/gaussian_squeeze/curves.csv": ("greedy_reward", "findings"),
    "results/gaussian_squeeze/exploration/summary.csv": ("greedy", "exploration"),
    "results/gaussian_squeeze/informed_start/study.csv": ("sampled_reward", "informed-start"),
    "results/gaussian_squeeze/informed_start_long/summary.csv": ("greedy", "informed-start-long"),
    "results/gaussian_squeeze/informed_start_long/study.csv": ("sampled_reward", "informed-start-long"),
    "results/gaussian_squeeze/sensitivity/summary.csv": ("greedy", "sensitivity"),
    "results/gaussian_squeeze/sensitivity/study.csv": ("greedy_reward", "sensitivity"),
    "results/gaussian_squeeze/joint_steps/summary.csv": ("greedy", "joint-steps"),
    "results/gaussian_squeeze/joint_steps/study.csv": ("greedy_reward", "joint-steps"),
    "results/gaussian_squeeze/fmq_temperature/summary.csv": ("greedy", "fmq-temperature"),
    "results/gaussian_squeeze/fmq_temperature/study.csv": ("greedy_reward", "fmq-temperature"),
    "results/gaussian_squeeze/scaling/summary.csv": ("greedy", "scaling"),
    "results/ising/summary.csv": ("order_parameter", "agreement"),
    "results/ising/crossings.csv": ("estimate", "crossings"),
    "results/ising/training.csv": ("q_error", "errors"),
    "results/ising/equilibrium.csv": ("order_parameter", "frozen"),
    "results/battle/pairings.csv": ("wins", "wins-64"),
    "results/battle/curves.csv": ("reward", "released-code"),
    "results/matrix_games/table.csv": ("share", "published"),
}


def test_another_table_makes_another_page(tmp_path: Path) -> None:
    def without_files(folder: str, names: list[str]) -> list[str]:
        return [
            name for name in names if name.endswith((".png", ".pdf", ".gif", ".npz", ".safetensors")) or name == "jobs"
        ]

    shutil.copytree(ROOT / "results", tmp_path / "results", ignore=without_files)
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=without_files)
    before = script.passages(tmp_path)
    for table, (column, _) in CHANGES.items():
        rows = pd.read_csv(tmp_path / table)
        rows[column] = rows[column] * 0.5
        rows.to_csv(tmp_path / table, index=False)
    after = script.passages(tmp_path)
    for table, (_, passage) in CHANGES.items():
        page = "/".join(table.split("/")[:2]) + "/README.md"
        assert before[page][passage] != after[page][passage], passage


def test_numbers_within_the_text_on_theory_follow_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "results/theory/README.md"
    shutil.copytree(ROOT / "results/theory", page.parent, ignore=shutil.ignore_patterns("*.p*"))
    page.write_text(NUMBER.sub(r"<!-- \g<address> -->12345<!-- end -->", TEXTS["results/theory/README.md"]))
    monkeypatch.setattr(script, "passages", lambda _: {})
    monkeypatch.setattr(script, "written", lambda _: [page])
    monkeypatch.setattr(script, "with_lines", lambda _, text: text)
    assert script.filled(tmp_path) == {page: TEXTS["results/theory/README.md"]}


def test_numbers_that_stand_in_sentences() -> None:
    squeeze, ising, battle, games = (
        TEXTS[f"results/{task}/README.md"] for task in ("gaussian_squeeze", "ising", "battle", "matrix_games")
    )
    assert f"G* = {GaussianSqueeze(100).optimum()[1]:.2f}" in squeeze
    assert f"= {CRITICAL_TEMPERATURE:.4f} (physical {2 * CRITICAL_TEMPERATURE:.4f})" in ising
    assert f"its temperature is still {5000 * 0.998**3000:.0f}" in games
    armies = [path.stat().st_size for path in ROOT.glob("results/battle/policies/*")]
    assert f"files of {max(armies) / 1e6:.1f} MB" in battle
    recorded = json.loads((ROOT / "results/battle/provenance.json").read_text())["appendix"][0]["settings"]
    assert f"{recorded['epsilon_end']['value']:.0%} of the time" in battle
    calls = json.loads((ROOT / "results/gaussian_squeeze/provenance.json").read_text())["calibrated"]
    rates = {name: call["settings"]["actor_learning_rate"]["value"] for call in calls for name in call["jobs"]}
    actors = {rate for name, rate in rates.items() if "-maac-" in name or "-mf-ac-" in name}
    assert actors == {1e-4}, "actor-critics stand side by side"
    curves = pd.read_csv(ROOT / "results/battle/curves.csv")
    last = curves.groupby(["settings", "algorithm", "agents"])["step"].max()
    assert (
        f"for {last['released-code', 'ac', 64]} (actor-critics) and {last['released-code', 'il', 64]} rounds" in battle
    )
    stills = pd.read_csv(ROOT / "results/ising/snapshots.csv").query("kind == 'equilibrium'")
    pictures = stills.groupby(["temperature", "method"])["spins"].sum()
    orders = {key: f"{abs(spins.count('+') - spins.count('-')) / len(spins):.2f}" for key, spins in pictures.items()}
    for text, temperature in (("almost uniform, {} and {};", 0.9), ("with large patches, {} and {};", 1.2)):
        assert text.format(*(orders[temperature, method] for method in ("mf-q", "mcmc"))) in ising
    assert f"without order, both {orders[2.0, 'mf-q']}." in ising
    assert orders[2.0, "mf-q"] == orders[2.0, "mcmc"]
    assert f"the median of {stills['runs'].max()}: " in ising
    hours = pd.read_csv(ROOT / "benchmarks/scaling.csv")
    for seeds, some in hours.groupby("seeds"):
        assert re.search(rf"{some['core_hours'].iloc[0]:.0f}( core-hours)? with\s{seeds}\b", TEXTS["docs/cluster.md"])


def test_p_values_never_say_more_than_they_are() -> None:
    low, high = pd.Series([1.0, 2.0, 3.0, 5.0]), pd.Series([4.0, 6.0, 7.0, 8.0, 9.0])
    assert p_of(ends_test(low, high)) == "p = 0.032"  # 4 of 126 ways to choose the first group's ranks
    assert p_of(ends_test(low / 1e4, high / 1e4)) == "no test", "all print as 0.00"
    tiny = pd.Series([1e-9, 1e-8, 1e-7, 1.0])
    assert ends_test(tiny, tiny[::-1] * 1e-90 + pd.Series([0, 0, 0, 1.0])) == 1, "their ranks mean nothing"


def test_who_weighs_only_entropy_against_attacks_seldom_attacks() -> None:
    attack = math.exp(-0.1 / 0.08)  # against 1 of a move; 13 moves and 8 attacks
    share = 8 * attack / (13 + 8 * attack)
    assert reward_of_entropy() == pytest.approx(400 * (-0.005 - 0.1 * share))


def test_tables_and_spans_are_markdown() -> None:
    assert markdown.table(["a", "b"], [[1, 2]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert markdown.span([0.631, 0.92]) == "0.63 to 0.92"
    assert markdown.span([0.631, 0.632]) == "0.63"
    assert in_words([8, 144, 256]) == "8, 144 and 256"
    with pytest.raises(ValueError, match="one row"):
        markdown.one(pd.DataFrame({"a": [1, 1]}), a=1)


def test_an_interval_is_printed_where_its_ends_differ() -> None:
    row = {"share": 0.5, "share_low": 0.4, "share_high": 0.6}
    assert markdown.with_interval(row, "share") == "0.50 [0.40, 0.60]"
    assert markdown.with_interval({**row, "share_low": 0.501, "share_high": 0.502}, "share") == "0.50"
    assert markdown.with_interval({**row, "share_low": math.nan, "share_high": math.nan}, "share") == "0.50"


@dataclass(frozen=True)
class Toy:
    """Settings of a script."""

    rate: float = sourced(0.1, "ours")
    sizes: tuple[int, ...] = sourced((3, 4), "appendix")
    seed_count: int = sourced(5, "ours", script=True)


@dataclass(frozen=True)
class Further(Toy):
    """Settings with a field more."""

    double: bool = sourced(True, "released code")


def test_settings_stand_side_by_side_with_todays_sources() -> None:
    assert settings.side_by_side({"one": Toy(), "two": Further(rate=0.2)}).splitlines()[2:] == [
        "| `rate` | 0.1 | ours | **0.2** | ours |",
        "| `sizes` | 3, 4 | appendix |  |  |",
        "| `double` |  |  | **True** | released code |",
    ]


def test_the_page_of_settings_has_the_scripts_fields_and_every_run_of_ising() -> None:
    text = TEXTS["docs/settings.md"]
    for script_settings in (gaussian_squeeze.APPENDIX, ising.EQUILIBRIUM, battle.APPENDIX):
        for name in set(sources(script_settings)) - settings.COUNTS:
            assert f"| `{name}` |" in text
    for runs in (ising.TRAINING, ising.TRAINING_THERE, ising.FILM, ising.FRAMES):
        assert f"| {', '.join(f'{tau:g}' for tau in runs.temperatures)} | {runs.steps} |" in text
    assert f"| {', '.join(map(str, ising.BEYOND))} | {ising.SLOW.steps} |" in text


def test_what_many_workers_wait_for_is_in_the_quickest_row() -> None:
    rows = [(1, 9.0, "all", "all"), (64, 1.25, "the longest", "the duel")]
    frame = pd.DataFrame(rows, columns=["workers", "hours", "training_bound_by", "tournament_bound_by"])
    assert "With many it is 1.2 hours: the longest training, `the longest`" in speed.bounds(frame)


def test_a_gain_stands_between_its_extremes(tmp_path: Path) -> None:
    (tmp_path / "against.csv").write_text(
        "case,commit,before,now,unit,ratio,least,most,pairs,processor\nIL,abc,600,900,steps,1.50,1.40,1.60,7,Any CPU\n"
    )
    assert speed.against(tmp_path / "against.csv")["against"].splitlines()[-1] == (
        "| IL | abc | 600 | 900 | steps | 1.50 [1.40, 1.60] | 7 | Any CPU |"
    )


def test_a_table_of_speeds_keeps_order_and_gaps(tmp_path: Path) -> None:
    (tmp_path / "speed.csv").write_text("table,row,column,value\nt,b,y,1\nt,b,x,2\nt,a,x,3 to 4\n")
    assert speed.speed(tmp_path / "speed.csv") == {
        "t": markdown.table(["", "y", "x"], [["b", 1, 2], ["a", "", "3 to 4"]])
    }


def test_links_to_code_name_the_line_of_their_symbol(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("X: int = 1\n\n\nclass A:\n    def b(self) -> None: ...\n")
    page = tmp_path / "page.md"
    text = "[`A.b`](code.py) [`X`](code.py#L9) [`code.py`](code.py)"
    assert with_lines(page, text) == "[`A.b`](code.py#L5) [`X`](code.py#L1) [`code.py`](code.py)"
    with pytest.raises(ValueError, match=r"code\.py must define C"):
        line_of("C", tmp_path / "code.py")
    with pytest.raises(ValueError, match=r"page\.md: there is no other\.py"):
        with_lines(page, "[`A`](other.py)")


def test_pages_are_checked_and_only_then_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("old")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "filled", lambda _: {page: "new"})
    with pytest.raises(SystemExit, match="1"):
        script.run(["--check"])
    assert page.read_text() == "old"
    script.run([])
    assert page.read_text() == "new"
    script.run(["--check"])
    with pytest.raises(ValueError, match="chek"):
        script.run(["--chek"])

"""Options from the command line and YAML, and exit codes."""

import dataclasses
import re
import subprocess
import sys
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfmarl.jobs.launch import JobsFailedError
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options, parse


@dataclass(frozen=True)
class ToyOptions(Options):
    """A script's own options."""

    agents: list[int] = field(default_factory=lambda: [100, 500])
    """Numbers of agents of the toy."""
    stored: Literal["previous", "same"] = "previous"
    """Which mean action is stored."""


@dataclass(frozen=True)
class QuickOptions(Options):
    """Options with a default of `out`."""

    out: Path = Path("results/toy")


@dataclass(frozen=True)
class PlainOptions:
    """Options of a script that trains nothing."""

    share: float = 1.0
    """A share."""


def test_defaults_come_from_the_class() -> None:
    assert (Options().seed, Options().seeds, Options().quick, Options().extend) == (0, None, False, False)
    assert parse(ToyOptions, []) == ToyOptions()


def test_every_word_of_the_design_is_an_option() -> None:
    given = """--settings appendix calibrated --algorithms il some/file.py:Mine --agents 10 20
        --seeds 3 --seed 7 --out there --fresh --accelerator cpu --devices 1 --precision 64 --workers 2
        --launcher slurm --slurm-partition long --slurm-account lab --slurm-minutes 60 --slurm-memory 2.5
        --slurm-tasks 8 --slurm-requeues 2
        --logger csv --figures-only --threads 4 --checkpoint-seconds 0 --stored same"""
    options = parse(ToyOptions, given.split())
    assert options == ToyOptions(
        settings=["appendix", "calibrated"],
        algorithms=["il", "some/file.py:Mine"],
        agents=[10, 20],
        seeds=3,
        seed=7,
        out=Path("there"),
        fresh=True,
        accelerator="cpu",
        devices=1,
        precision="64",
        workers=2,
        launcher="slurm",
        slurm_partition="long",
        slurm_account="lab",
        slurm_minutes=60,
        slurm_memory=2.5,
        slurm_tasks=8,
        slurm_requeues=2,
        logger="csv",
        figures_only=True,
        threads=4,
        checkpoint_seconds=0.0,
        stored="same",
    )


def test_quick_has_an_out_of_its_own_unless_one_is_named() -> None:
    assert parse(QuickOptions, ["--quick"]) == QuickOptions(quick=True, out=Path("results/quick/toy"))
    assert parse(QuickOptions, ["--quick", "--out", "there"]).out == Path("there")
    assert parse(QuickOptions, ["--quick", "--out=results/toy"]).out == Path("results/toy")
    assert parse(QuickOptions, []).out == Path("results/toy")


def test_quick_takes_the_place_of_the_settings_or_makes_those_named_small() -> None:
    settings, small = {"a": 1, "b": 2}, {"b": 20}
    assert ToyOptions(settings=["b"]).chosen(settings, 3, small) == {"b": 2}
    assert ToyOptions(quick=True).chosen(settings, 3, small) == {"quick": 3}
    assert ToyOptions(quick=True, settings=["b"]).chosen(settings, 3, small) == {"quick-b": 20}
    with pytest.raises(ValueError, match=r"^settings: got a, which --quick does not use$"):
        ToyOptions(quick=True, settings=["b", "a"]).chosen(settings, 3, small)


def test_only_the_folder_of_the_script_is_committed() -> None:
    for out, committed in (("results/toy", True), ("results/toy/study", True), ("results/toys", False), ("toy", False)):
        assert QuickOptions(out=Path(out)).committed == committed
    assert not parse(QuickOptions, ["--quick"]).committed


def test_a_script_of_another_folder_writes_where_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert QuickOptions.home() == parse(QuickOptions, []).out == Path("results/toy")


@pytest.mark.parametrize("arguments", ["", "--agents 7 --quick --out x/y --seeds 2 --workers 3 --stored same"])
def test_printed_yaml_reads_back(arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(ToyOptions, [*arguments.split(), "--print_config"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    (tmp_path / "f.yaml").write_text(printed)
    assert parse(ToyOptions, ["--config", str(tmp_path / "f.yaml")]) == parse(ToyOptions, arguments.split())


def test_options_of_custom_classes_come_from_the_command_line_and_yaml(tmp_path: Path) -> None:
    algorithms = ["--algorithms", "some/file.py:Mine"]
    given = parse(ToyOptions, [*algorithms, "--method.slowness", "1e-1", "--method.kind=fast"])
    assert given.method == {"slowness": 0.1, "kind": "fast"}
    (tmp_path / "f.yaml").write_text("method: {slowness: 0.1, kind: slow, sizes: [1, 2.5, x y, true], more: {a: 1}}")
    assert parse(ToyOptions, ["--config", str(tmp_path / "f.yaml"), *algorithms]).method == {
        **{"slowness": 0.1, "kind": "slow"},
        **{"sizes": [1, 2.5, "x y", True], "more": {"a": 1}},
    }
    assert ToyOptions(algorithms=["il", "some/file.py:Mine"], method={"slowness": 1}).method == {"slowness": 1}
    with pytest.raises(ValueError, match=r"^method: got slowness, but --algorithms names no"):
        ToyOptions(method={"slowness": 1})


@pytest.mark.parametrize("value", [".nan", "-.inf", "{a: [.inf]}", "!!set {a}"])
def test_arguments_of_custom_classes_that_no_provenance_could_hold_are_one_line(value: str) -> None:
    with pytest.raises(ValueError, match=r"^method\.depth: got .*, which provenance\.json cannot hold: "):
        parse(ToyOptions, ["--algorithms", "some/file.py:Mine", f"--method.depth={value}"])


@pytest.mark.parametrize("words", ["--method.depth=&a [*a]", "--method=&a {depth: *a}"])
def test_values_within_themselves_are_one_line(words: str) -> None:
    with pytest.raises(ValueError, match=r"^method\S*: got .*, allowed are values without an alias such as \*name$"):
        parse(ToyOptions, ["--algorithms", "some/file.py:Mine", words])


def test_a_device_that_never_ends_is_no_file_of_options() -> None:
    with pytest.raises(ValueError, match=r"^config: '/dev/zero' is no YAML: it has more than 1000000 bytes$"):
        parse(ToyOptions, ["--config", "/dev/zero"])


def test_what_is_just_allowed(tmp_path: Path) -> None:
    """The last seed, 50 lists within each other, a file of a million bytes; and the command line itself."""
    assert ToyOptions(seed=2**60 - 1).seed == 2**60 - 1
    with pytest.raises(ValueError, match=r"^seed: got 1152921504606846975, allowed is less than 2\^60$"):
        ToyOptions(seed=2**60 - 1, seeds=2)
    deep = "[" * 50 + "]" * 50
    file = tmp_path / "f.yaml"
    file.write_text(f"method: {{depth: {deep[1:-1]}}}\n# ".ljust(10**6, "x"))
    one = ["--algorithms", "some/file.py:Mine", "--method.depth", deep]
    given = parse(ToyOptions, [*one, f"--config={file}", "--method.width=[1]"])
    assert str(given.method["depth"]) == deep
    assert len(str(parse(ToyOptions, [*one[:2], f"--config={file}"]).method["depth"])) == 98
    assert parse(ToyOptions, ["--algorithms", "x=[]"]).algorithms == ["x=[]"]


def test_without_arguments_they_are_those_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", "--seed", "3"])
    assert parse(ToyOptions) == ToyOptions(seed=3)
    monkeypatch.setattr(sys, "argv", ["script.py", "--share", "0.5"])
    assert parse(PlainOptions) == PlainOptions(0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("share: x", "share: got x, allowed is a number"),
        ("shre: 1", ".*f.yaml names shre, which is no option"),
    ],
)
def test_a_script_that_trains_nothing_has_options_and_files_too(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.yaml"
    with pytest.raises(SystemExit):
        parse(PlainOptions, ["--share", "0.25", "--print_config"])
    file.write_text(capsys.readouterr().out)
    assert parse(PlainOptions, ["--config", str(file)]) == PlainOptions(0.25)
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        parse(PlainOptions, ["--config", str(file)])
    with pytest.raises(ValueError, match=r"^share: got \[{40}\.\.\., allowed are 50 lists within each other$"):
        parse(PlainOptions, ["--share", "[" * 3000])


@pytest.mark.parametrize("word", ["\udcff", "\udcff=1"])
def test_a_word_that_is_no_text_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"^algorithms: got '\\udcff.*', allowed is text in UTF-8$"):
        parse(ToyOptions, ["--algorithms", "il", word])


@pytest.mark.parametrize("flag", ["--agents", "--method.depth"])
def test_values_that_are_too_deep_are_one_line(flag: str) -> None:
    deep = "[" * 3000 + "]" * 3000
    name = flag[2:]
    message = rf"^{re.escape(name)}: got \[{{40}}\.\.\., allowed are 50 lists within each other$"
    for words in ([flag, deep], [f"{flag}={deep}"]):
        with pytest.raises(ValueError, match=message):
            parse(ToyOptions, ["--algorithms", "some/file.py:Mine", *words])


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(yaml.safe_dump({"seeds": 5, "agents": [7], "quick": True}))
    options = parse(ToyOptions, ["--config", str(tmp_path / "f.yaml"), "--seeds", "2"])
    assert (options.seeds, options.agents, options.quick) == (2, [7], True)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ('quick: "false"', {}),
        ("quick: yes", {"quick": True}),
        ("agents: 7", {"agents": [7]}),
        ("algorithms: []", {}),
        ("precision: 64", {"precision": "64"}),
        ("seeds: null", {}),
        ("check-points: 3", "names check-points, which is no option"),
        ("checkpoint-seconds: 3", {"checkpoint_seconds": 3.0}),
        ("quick: 1", "quick: got 1, allowed is true or false"),
        ("quick:", "quick: got nothing, allowed is true or false"),
        ("settings: []", "settings: got [], allowed is a list, each text"),
        ("agents: null", "agents: got null, allowed is a list, each a whole number"),
        ("agents: [[1]]", "agents: got [['1']], allowed is a list, each a whole number"),
        ("out: null", "out: got null, allowed is a path"),
        ("launcher: {a: b}", "launcher: got {a: b}, allowed is local or slurm"),
        ("method: 3", "method: got 3, allowed is a mapping of names to values"),
        ("{}", {}),
        ("- agents", "must map names of options to values"),
        (f"agents: {'[' * 3000}4{']' * 3000}", "is no YAML: it has more than 50 lists within each other"),
        ("agents: " + "- " * 3000, "is no YAML: "),
        ("agents:\n" + "- " * 3000, "is no YAML: maximum recursion depth exceeded"),
        (f"# {'long' * 250_000}", "is no YAML: it has more than 1000000 bytes"),
        ("a: [", "is no YAML: "),
        ("seeds: 1\nquick: true\nseeds: 2", "it names seeds 2 times"),
        ("checkpoint-seconds: 1\ncheckpoint_seconds: 2", "it names checkpoint_seconds 2 times"),
        ("method: {a: {b: 1, b: 2}}", "it names b 2 times"),
        ("agents: &some [7]", {"agents": [7]}),
        ("method:\n  a: &a [1, 1]\n  b: [*a, *a]", "it repeats a part by an alias such as *name"),
        ("algorithms: [il, --quick]", "algorithms: got [il, --quick], allowed is a list, each text"),
        ("algorithms: [il, --seeds=3]", "algorithms: got [il, --seeds=3], allowed is a list, each text"),
        ("settings: -h", "settings: got -h, allowed is a list, each text"),
        ("agents: [-3]", {"agents": [-3]}),
    ],
)
def test_yaml_takes_what_the_command_line_takes(text: str, options: dict[str, Any] | str, tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(text)
    if isinstance(options, str):
        with pytest.raises(ValueError, match=re.escape(options)):
            parse(ToyOptions, ["--config", str(file)])
    else:
        changed = {name: value for name, value in options.items() if name != "quick"}
        found = parse(ToyOptions, [f"--config={file}"])
        assert {name: getattr(found, name) for name in changed} == changed
        assert found.quick == options.get("quick", False)


ANY_YAML = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([field.name for field in dataclasses.fields(ToyOptions)]), ANY_YAML)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_yaml_it_is_an_option_or_one_line(tmp_path: Path, name: str, value: Any) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(yaml.safe_dump({name: value}, allow_unicode=True), encoding="utf-8")
    refusal = None
    try:
        kept = getattr(parse(ToyOptions, ["--config", str(file)]), name)
    except ValueError as error:
        refusal = str(error).replace("-", "_")
    if refusal is not None:
        assert name in refusal or "no YAML" in refusal
        return
    kind = typing.get_type_hints(ToyOptions)[name]
    for one in typing.get_args(kind) if type(None) in typing.get_args(kind) else [kind]:
        if typing.get_origin(one) is Literal:
            assert kept in typing.get_args(one)
        elif isinstance(one, type):
            assert kept is None or isinstance(kept, one)


def test_help_tells_the_docs_of_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(ToyOptions, ["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "Options from the command line and YAML, and exit codes." in printed
    what, how = printed.split("how to run it:")
    for text in ("Numbers of agents of the toy.", "Which mean action is stored.", "The first seed;"):
        assert text in what
    assert "--workers" in how
    with pytest.raises(SystemExit):
        parse(PlainOptions, ["--help"])
    printed = capsys.readouterr().out
    assert "Options from the command line and YAML, and exit codes." in printed
    assert "A share." in printed
    assert "how to run it" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--nonsense 1", "--nonsense"),
        ("--seeds 0", "seeds: got 0, allowed is 1 or more"),
        ("--seeds many", "seeds: got many, allowed is a whole number or null"),
        ("--seed -1", "seed: got -1, allowed is 0 or more"),
        ("--workers 0", "workers: got 0, allowed is 1 or more"),
        (f"--workers {10**30}", f"workers: got {10**30}, allowed is 1 or more, at most 4096"),
        (f"--threads {10**30}", f"threads: got {10**30}, allowed is 1 or more, at most 4096"),
        (f"--seeds {10**30}", f"seeds: got {10**30}, allowed is 1 or more, at most 100000"),
        ("--workers some", "workers: got some, allowed is a whole number or auto"),
        ("--agents 10 x", "agents: got x, allowed is a list, each a whole number"),
        ("--agents 10 10", "agents: got [10, 10], each may be named once"),
        ("--precision 16", "precision: got 16, allowed is 32 or 64 or bf16-mixed or tf32"),
        ("--checkpoint-seconds nan", "checkpoint_seconds: got nan, allowed is a number"),
        ("--checkpoint-seconds -1", "checkpoint_seconds: got -1.0, allowed is 0 or more"),
        ("--method.slowness 1 --algorithms il", "method: got slowness, but --algorithms names no path/to/file.py:"),
        ("--method 3", "method: got 3, allowed is a mapping of names to values"),
        ("--out {file}/below", "is not a directory"),
        (f"--out {'x' * 300}", "300 of them one name, allowed are at most"),
        (f"--out missing/{'x' * 300}", "300 of them one name, allowed are at most"),
        (f"--out {'a/' * 3000}", f"out: got {'a/' * 20}... of "),
        ("--out a\0b", r"out: got 'a\x00b', allowed is a path without a null byte"),
        ("--config a\0b", r"config: 'a\x00b' is no YAML: embedded null byte"),
        ("--config {file}.missing", "No such file or directory"),
        ("--config", "config: expected one argument"),
        (f"--seed {2**60}", "seed: got 1152921504606846976, allowed is less than 2^60"),
        ("--config {unknown}", "typo"),
        ("--config {negative}", "seed: got -3"),
        ("--conf {negative}", "unrecognized arguments: --conf"),
        ("--algo il", "unrecognized arguments: --algo il"),
        ("--algorithm il", "unrecognized arguments: --algorithm il; did you mean --algorithms?"),
        ("--figure_only", "unrecognized arguments: --figure_only; did you mean --figures-only?"),
        ("--colour red", "unrecognized arguments: --colour red; --help lists all options"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "unknown.yaml").write_text("typo: 3\n")
    (tmp_path / "negative.yaml").write_text("seed: -3\n")
    paths = {name: tmp_path / f"{name}.yaml" for name in ("unknown", "negative")}
    given = arguments.format(file=tmp_path / "file", **paths).split()
    before = sorted(tmp_path.rglob("*"))
    assert main(lambda: parse(ToyOptions, given)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message.lower() in captured.err.lower()
    assert sorted(tmp_path.rglob("*")) == before


HELP = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("LOADED", *{name.partition(".")[0] for name in sys.modules})
"""
SCRIPTS = sorted((Path(__file__).parents[1] / "reproduce").glob("[a-z]*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_loads_neither_lightning_nor_magent2_nor_figures(script: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", HELP, str(script)], capture_output=True, text=True, check=True, timeout=120
    )
    text, _, loaded = ended.stdout.rpartition("LOADED")
    assert any(name in text for name in ("--figures-only", "--results", "--check")), (
        "who trains nothing says what it reads"
    )
    assert "mfmarl" in loaded.split()
    assert not {"pytorch_lightning", "lightning_fabric", "magent2", "matplotlib", "seaborn"} & set(loaded.split())


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("two\nlines"), 2), (JobsFailedError("1 of 2 jobs failed"), 1), (KeyboardInterrupt(), 130)],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lambda: raising(error)) == code
    assert capsys.readouterr().err != ""


def test_success_is_0_and_a_bug_is_not_hidden() -> None:
    assert main(lambda: None) == 0
    with pytest.raises(ZeroDivisionError):
        main(lambda: raising(ZeroDivisionError()))

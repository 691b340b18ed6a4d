"""Bad input of every kind to every option of every script: one line that names the option, exit 2, and no file."""

import dataclasses
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import yaml

from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options
from reproduce import battle, gaussian_squeeze, ising, matrix_games, theory

SCRIPTS: dict[str, tuple[Callable[[list[str]], None], type[Options]]] = {
    "battle": (battle.run, battle.BattleOptions),
    "gaussian_squeeze": (gaussian_squeeze.run, gaussian_squeeze.GaussianSqueezeOptions),
    "ising": (ising.run, ising.IsingOptions),
    "matrix_games": (matrix_games.run, matrix_games.MatrixGamesOptions),
    "theory": (theory.run, theory.TheoryOptions),
}
HUGE = str(10**30)
LONG = "x" * 300
NO_NUMBER = ["many", "", " ", "1,5", "[1]", "{a: 1}", "0x1G", "--"]
# Of an option by its type, whatever it means; text is allowed to be anything here.
OF_TYPE: dict[Any, list[str]] = {
    int: [*NO_NUMBER, "1.5", "-1", "1e999", "null"],
    float: [*NO_NUMBER, "nan", "-1", "-1e999", "null"],
    str: [],
    bool: ["maybe"],
    Path: ["{file}", "{file}/below", LONG, f"missing/{LONG}", "a/" * 3000, "\0", "a\0b", "a\udcff"],
    dict: ["3", "text", "[1]"],
}
OF_YAML: dict[Any, list[Any]] = {
    int: ["many", 1.5, -1, [], [1], {}, {"a": 1}, True, "", [[1]]],
    float: ["many", -1, [], [1.0], {}, {"a": 1}, True, "", [[1]]],
    str: [[], {}, {"a": "b"}, [["a"]]],
    bool: [3, "maybe", None, [], {}, ""],
    Path: [None, [], ["a", "b"], {}, {"a": "b"}],
    dict: [3, "text", [], [1], None, True],
}
# Of an option by what it means.
OF_NAME = {
    "settings": ["nonsense", "", "appendix appendix"],
    "algorithms": [
        "nonsense",
        "",
        "mf-q mf-q",
        "missing.py:Class",
        f"{LONG}.py:Class",
        "{file}:Class",
        "{python}:Missing",
        "{python}:",
        "\udcff.py:Class",
        ":",
    ],
    "agents": ["x", "0", "-4", "1.5", "16 16", HUGE, "", "null"],
    "seeds": ["0", HUGE],
    "seed": [HUGE],
    "workers": ["0", HUGE, "4097"],
    "devices": ["0", HUGE],
    "threads": ["0", HUGE],
    "shard": ["x", "0/3", "4/3", "1/", "/2", "1/2/3", "1/0", "-1/2", "1.0/2", ""],
    "slurm_minutes": ["1", "0", HUGE],
    "slurm_memory": ["0", "inf", "1e300"],
    "slurm_tasks": ["0", HUGE],
    "slurm_requeues": [HUGE],
    "mu": ["nan", "inf", "1e308", "-1e308"],
    "sigma": ["nan", "inf", "0", "-1", "1e-320", "1e-16", HUGE],
    "orders": ["nonsense", "", "checkerboard checkerboard"],
    "temperatures": ["0", "-1", "nan", "inf", "1e-320", "1e-31", "1 1", "x", ""],
    "opponents": ["nonsense", "", "mf-q"],
    "rounds": ["0", HUGE],
    "tournament_rounds": ["0", HUGE],
    "replay": ["missing", LONG, "a b c", "{file}", "{file} rush", ""],
    "method": ["{{slowness: 1}}"],
}


class Bad(NamedTuple):
    """One bad input."""

    option: str
    words: list[str]


def bad_inputs(options: type[Options], tmp_path: Path) -> Iterator[Bad]:
    """All of a script's options."""
    names = {"file": tmp_path / "file", "python": tmp_path / "mine.py"}
    types = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        flag, (base, several) = "--" + field.name.replace("_", "-"), plain(types[field.name])
        needed = ["--launcher", "slurm", "--accelerator", "cpu"] if field.name.startswith("slurm_") else []
        optional = type(None) in typing.get_args(types[field.name])
        texts = [
            *OF_NAME.get(field.name, []),
            *(["nonsense", ""] if base is Literal else OF_TYPE[base] * (not several)),
        ]
        if field.name == "mu":
            texts.remove("-1")  # a sum that is never reached, which is a game all the same
        if optional:
            texts = [text for text in texts if text != "null"]
        if types[field.name] == str | None and field.name.startswith("slurm_"):
            texts = []
        for text in dict.fromkeys(texts):
            filled = text if base is Path and "\0" in text else text.format(**names) if "{a" not in text else text
            several_words = filled.split() if several and filled.strip() else [filled]
            yield Bad(field.name, [*needed, flag, *several_words] if several else [*needed, f"{flag}={filled}"])
        values = ["nonsense", [], {}, 7.5, [["a"]]] if base is Literal else OF_YAML[base]
        if several:
            values = [None, {"a": 1}, [[1]], [None]]
        if field.name == "mu":
            values.remove(-1)
        if optional:
            values = [value for value in values if value != ""]  # which is null
        for number, value in enumerate(values):
            path = tmp_path / f"{field.name}-{number}.yaml"
            path.write_text(yaml.safe_dump({field.name: value}))
            yield Bad(field.name, [*needed, "--config", str(path)])
        yield Bad(field.name[:-1] + "q", [flag[:-1] + "q", "1"])  # no such option
    (tmp_path / "no.yaml").write_text("a: [")
    (tmp_path / "list.yaml").write_text("- seeds")
    (tmp_path / "bytes.yaml").write_bytes(b"seeds: \xff")
    (tmp_path / "unknown.yaml").write_text("sedes: 3")
    for file in ("missing.yaml", ".", "", "\0", LONG, "no.yaml", "list.yaml", "bytes.yaml", "unknown.yaml"):
        yield Bad("config", ["--config", file])


def plain(kind: Any) -> tuple[Any, bool]:
    """The one type that an option's values have, and whether it takes several."""
    if typing.get_origin(kind) is list:
        return typing.get_args(kind)[0], True
    kinds = [one for one in typing.get_args(kind) or [kind] if one is not type(None)]
    if typing.get_origin(kind) in (dict, Literal):
        return typing.get_origin(kind), False
    return (Literal if typing.get_origin(kinds[0]) is Literal else kinds[0]), False


class BegunError(Exception):
    """Work would begin now."""


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_bad_input_is_one_line_and_exit_2(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begun(*_: object, **__: object) -> None:
        raise BegunError

    monkeypatch.setattr("mfmarl.jobs.launch.prepare", begun)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "mine.py").touch()
    run, options = SCRIPTS[script]
    given = list(bad_inputs(options, tmp_path))
    before = sorted(tmp_path.rglob("*"))
    wrong = []
    for bad in given:
        out = [] if any(word.startswith("--out") for word in bad.words) else ["--out", "out"]
        try:
            code: object = main(lambda words=[*bad.words, *out]: run(words))  # type: ignore[misc]
        except BaseException as error:
            code = repr(error)
        said = capsys.readouterr()
        lines = said.err.count("\n"), said.out
        named = bad.option in said.err.replace("-", "_")
        if code != 2 or lines != (1, "") or not named:
            wrong.append(f"{bad.words}: {code}, {said.err[:300]!r}")
    with capsys.disabled():
        print(f"\n{script}: {len(given)} bad inputs, {len(given) - len(wrong)} of them one line and exit 2")
    assert not wrong, "\n".join(wrong)
    assert sorted(tmp_path.rglob("*")) == before

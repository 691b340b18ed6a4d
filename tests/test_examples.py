"""Every example runs, and shows what it says."""

import os
import re
import runpy
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mfmarl import Battle, BattleMFQ, train
from mfmarl.custom import class_in_file

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRINTS = {
    "battle_pettingzoo": "BattleMFQ earns",
    "my_battle_method": "opponent_reward",
    "my_exploration": "Glie(scale=1.0)",
    "my_game": "mf-q",
    "my_ising_method": "Glauber    0.8            0.9",
    "my_method": "HystereticMFQ",
    "my_neighbourhood": "ExponentialAverage {200:",
    "my_network": "DenseMFQ",
    "plain_trainer": "the best, loaded again, of seeds (0, 1, 2, 3): ",
    "quickstart": "best possible: 423.0",
    "read_results": "drawn: share_of_seeds.png",
}
LONG = {"quickstart", "my_ising_method", "my_battle_method"}


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES} == set(PRINTS)


@pytest.mark.parametrize(
    "path", [pytest.param(each, marks=[pytest.mark.slow] * (each.stem in LONG), id=each.stem) for each in EXAMPLES]
)
@pytest.mark.filterwarnings("ignore:The number of training batches:UserWarning")
def test_examples(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert PRINTS[path.stem] in capsys.readouterr().out


def test_an_army_that_needs_a_class_plays_in_pettingzoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{ROOT}/examples/my_neighbourhood.py:ExponentialAverage"
    average = class_in_file("class", name, object)()
    train(BattleMFQ, Battle(2, max_steps=4), [0], steps=1, evaluations=1, neighbourhood=average, out=tmp_path)
    (army,) = tmp_path.glob("policies/*.safetensors")
    monkeypatch.setattr(sys, "argv", ["battle_pettingzoo.py", str(army), name])
    runpy.run_path(f"{ROOT}/examples/battle_pettingzoo.py", run_name="__main__")
    assert "BattleMFQ earns" in capsys.readouterr().out


def test_the_notebook_is_stored_with_what_it_shows() -> None:
    path = ROOT / "examples/tour.ipynb"
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    shown = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert [len(outputs) for outputs in shown] == [1] * len(shown)
    assert ["image/png" in outputs[0].data for outputs in shown] == [False, True, False, False]
    texts = [text for outputs in shown for kind, text in outputs[0].data.items() if kind.startswith("text/")]
    assert not [text for text in texts if re.search(r"/(home|root|tmp|work|Users|usr)/|site-packages", text)]
    assert path.stat().st_size < 500_000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(ROOT / "examples/tour.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    streams = [output for output in outputs if output.output_type == "stream"]
    assert all("agent-steps/s" in each.text or not each.text.strip() for each in streams)  # a bar, if it takes long
    text = "".join(output.data["text/plain"] for output in outputs if "data" in output)
    assert "Optimistic" in text
    assert "opponent_reward" in text

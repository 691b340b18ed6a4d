"""The logger of Weights & Biases, by a stand-in: the package is an extra, and its service is elsewhere."""

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.loggers import CSVLogger

from mfmarl import GaussianSqueeze, train
from mfmarl.jobs import launch, training
from mfmarl.jobs.execution import Execution
from mfmarl.scripting.main import main
from mfmarl.scripting.options import Options


def test_a_missing_package_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    assert main(lambda: launch.launch([], tmp_path, Options(logger="wandb", workers=1))) == 2
    assert capsys.readouterr().err == "error: logger: wandb needs the package wandb: pip install wandb\n"


def test_each_job_is_a_run_that_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    class Run:
        def finish(self) -> None:
            said.append("finish")

    class StandIn(CSVLogger):
        def __init__(self, name: str, project: str, save_dir: Path) -> None:
            super().__init__(save_dir, "rows")
            said.append((name.startswith("il-5-seeds-0-0-"), project, save_dir.is_dir()))

        @property
        def experiment(self) -> Any:
            return Run()

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            said.append(step)

        def save(self) -> None: ...

        def finalize(self, status: str) -> None: ...

        def log_hyperparams(self, *_: Any) -> None: ...

    monkeypatch.setattr(launch, "find_spec", lambda name: True)
    monkeypatch.setattr(training, "WandbLogger", StandIn)
    how = Execution(logger="wandb", workers=1)
    train("il", GaussianSqueeze(5), [0], steps=4, evaluations=2, samples_per_update=5, out=tmp_path, execution=how)
    assert said == [(True, "mfmarl", True), 2, 4, "finish"]
    for _ in range(2):  # of a job that goes on in its folder too
        training.lightning_logger("wandb", next((tmp_path / "jobs").glob("il-*")))

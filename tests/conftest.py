"""Conditions of all tests (no display, one thread, deterministic Hypothesis without deadlines), and common fixtures."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import pytest
import torch
from hypothesis import settings

from mfmarl.jobs.execution import Hardware
from mfmarl.jobs.folder import found, run
from mfmarl.jobs.job import Job

matplotlib.use("Agg")
torch.set_num_threads(1)  # the networks are small: more threads are slower
settings.register_profile("mfmarl", deadline=None, derandomize=True)
settings.load_profile("mfmarl")


class StopError(Exception):
    """Raised to stop a job that is running."""


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job, Path, int], None]:
    """A function that runs a job in a directory until the first batch after a number of evaluations.

    The job saves a checkpoint every epoch.
    """
    import pytorch_lightning as pl  # noqa: PLC0415 - takes seconds

    from mfmarl.jobs.training import ProgressReporter  # noqa: PLC0415

    def stop_after(job: Job, directory: Path, evaluations: int) -> None:
        def on_train_batch_end(self: ProgressReporter, trainer: pl.Trainer, *_: object) -> None:
            if trainer.current_epoch == evaluations:
                raise StopError

        with monkeypatch.context() as patch:
            patch.setattr(ProgressReporter, "on_train_batch_end", on_train_batch_end)
            with pytest.raises(StopError):
                run(job, directory, checkpoint_seconds=0)
        assert found(job, directory, Hardware()) == "checkpoint"

    return stop_after


@pytest.fixture
def patience() -> Iterator[None]:
    """Let a test fail that waits for two minutes for another process, a lock or a pipe."""

    def give_up(*_: object) -> None:
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)

"""What --precision means on a GPU: torch's switches as a job finds them, and as they are left. Needs no GPU."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from mfmarl.jobs.execution import Attempt, Execution, Hardware, Precision
from mfmarl.jobs.folder import run
from mfmarl.jobs.job import Job
from mfmarl.jobs.launch import available, launch
from mfmarl.tournament.duel import DuelJob


class Look(Job):
    """Gives as its row how torch computes while it is done."""

    name, labels, unit, work, rows, keys = "look", {}, "looks", 1, 1, ["products"]

    def description(self) -> dict[str, object]:
        return {}

    def do(self, attempt: Attempt) -> pd.DataFrame:
        self.seen = (*switches(), attempt.hardware.lightning_precision)
        if attempt.hardware.threads == 2:
            raise RuntimeError("failed halfway")
        return pd.DataFrame({"products": [1]})


def switches() -> tuple[bool, bool]:
    """Whether TF32 is allowed in products and in convolutions."""
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("precision", "seen"),
    [
        ("32", (False, False, "32")),
        ("64", (False, False, "64")),
        ("bf16-mixed", (False, False, "bf16-mixed")),
        ("tf32", (True, True, "32")),
    ],
)
@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_a_job_rounds_to_tf32_if_it_is_asked_for_by_name_alone(
    precision: str, seen: tuple[bool, bool, str], before: str, tmp_path: Path
) -> None:
    found = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(before)
    outside = switches()
    try:
        job = Look()
        run(job, tmp_path / "done", Hardware("gpu", precision=precision))
        assert job.seen == seen
        assert (torch.get_float32_matmul_precision(), switches()) == (before, outside)
        with pytest.raises(RuntimeError, match="failed halfway"):
            run(job, tmp_path / "failed", Hardware("gpu", precision=precision, threads=2))
        assert job.seen == seen
        assert (torch.get_float32_matmul_precision(), switches()) == (before, outside)
    finally:
        torch.set_float32_matmul_precision(found)


def test_the_device_of_a_job_is_the_cpu_or_a_gpu_by_its_number() -> None:
    assert Hardware().torch_device == torch.device("cpu")
    assert Hardware("gpu").torch_device == torch.device("cuda", 0)
    assert Hardware("gpu", 1).torch_device == torch.device("cuda", 1)


def test_a_tournament_is_played_in_float32() -> None:
    assert DuelJob.precisions == ("32",)
    assert not Hardware("gpu", precision="32").rounds_factors


@pytest.mark.parametrize(
    ("precision", "has", "said"), [("bf16-mixed", False, 1), ("bf16-mixed", True, 0), ("32", False, 0)]
)
def test_a_cpu_without_bfloat16_is_told(
    precision: Precision,
    has: bool,
    said: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has)
    launch([Look()], tmp_path, Execution(precision=precision, workers=1, accelerator="cpu"))
    assert capsys.readouterr().err.count("precision: this CPU has no instructions for bfloat16") == said


def test_tf32_needs_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = r"^precision: got tf32, which needs a GPU; allowed on a CPU is 32, 64 or bf16-mixed$"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ValueError, match=message):
        available(tmp_path, Execution(precision="tf32"))
    with pytest.raises(ValueError, match=message):
        available(tmp_path, Execution(precision="tf32", launcher="slurm", accelerator="cpu"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert [place.hardware.precision for place in available(tmp_path, Execution(precision="tf32"))] == ["tf32"]

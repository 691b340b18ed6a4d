"""What a process that computes sets, is undone, changes no bit, and asks for nothing that its C library has not."""

import ctypes
import os
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mfmarl.jobs import computing
from mfmarl.jobs.execution import Hardware


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What malloc was told, in place of telling it."""
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda name, value: told.append((name, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    return told


def test_freed_memory_is_kept_by_the_names_of_glibcs_malloc_h(said: list[tuple[int, int]]) -> None:
    computing.keep_freed_memory()
    assert dict(said) == {-1: 2**28, -3: 2**25}  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"])
def test_what_the_environment_says_of_malloc_stays(
    name: str, said: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "131072")
    computing.keep_freed_memory()
    assert not said


def test_other_systems_and_c_libraries_are_left_alone(
    said: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())  # as musl
    computing.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(ctypes, "CDLL")
    computing.keep_freed_memory()
    assert not said


def as_set() -> dict[str, Any]:
    """What torch is set to."""
    convolutions = torch.backends.cudnn
    return {
        "threads": torch.get_num_threads(),
        "type": torch.get_default_dtype(),
        "device": torch.get_default_device().type,
        "products": torch.get_float32_matmul_precision(),
        "cudnn": [convolutions.enabled, convolutions.benchmark, convolutions.deterministic, convolutions.allow_tf32],
    }


@pytest.mark.parametrize(("precision", "rounds"), [("32", False), ("tf32", True)])
def test_what_a_job_sets_in_torch_is_undone(
    precision: Any, rounds: bool, said: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_float32_matmul_precision("medium")
    try:
        before = as_set()
        with suppress(RuntimeError), computing.computing(Hardware("gpu", 0, precision, 3)):
            within = as_set()
            raise RuntimeError("it fails halfway")
        assert as_set() == before
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
        torch.set_float32_matmul_precision("highest")
    assert within == {
        "threads": 3,
        "type": torch.float32,
        "device": "cpu",
        "products": "high" if rounds else "highest",
        "cudnn": [True, False, True, rounds],
    }
    assert len(said) == 2
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "16384"

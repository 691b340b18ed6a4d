"""What a process that computes sets changes no bit, and asks for nothing that its C library has not."""

import ctypes
import sys
from types import SimpleNamespace

import pytest

from mfmarl.jobs import computing


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

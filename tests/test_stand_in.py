"""The stand-in for a GPU refuses what CUDA refuses, and counts what a round asks of it."""

from collections.abc import Callable
from dataclasses import astuple

import pytest
import torch

from tests.stand_in import CUDA, MismatchError, StandIn


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: there + here,
        lambda here, there: torch.stack([here, there]),
        lambda here, there: here[there.long()],
        lambda here, there: torch.where(there > 0, there, here),
        lambda here, there: there.index_put_((there.long(),), here),
        lambda here, there: torch.rand(2, generator=torch.Generator(), device=CUDA),
    ],
)
def test_operands_on_two_devices_are_refused(mixed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    with StandIn(), pytest.raises(MismatchError):
        mixed(torch.zeros(2), torch.zeros(2).to(CUDA))


def test_numpy_is_refused() -> None:
    with StandIn(), pytest.raises(TypeError, match="can't convert cuda"):
        torch.zeros(2, device=CUDA).numpy()


@pytest.mark.parametrize(
    ("asked", "counts"),  # kernels, to_device, to_host, waits
    [
        (lambda there: there.view(1, 2)[0], (0, 0, 0, 0)),
        (lambda there: there * 2 + there, (2, 0, 0, 0)),
        (lambda there: torch.arange(3, device=CUDA), (1, 0, 0, 0)),
        (lambda there: torch.zeros(2).to(CUDA), (0, 1, 0, 1)),
        (lambda there: there.copy_(torch.zeros(2), non_blocking=True), (1, 1, 0, 1)),
        (lambda there: there.copy_(torch.empty(2, pin_memory=True), non_blocking=True), (1, 1, 0, 0)),
        (lambda there: there.cpu(), (0, 0, 1, 1)),
        (lambda there: there.tolist(), (0, 0, 1, 1)),
        (lambda there: bool((there > 0).any()), (2, 0, 0, 1)),
        (lambda there: there[there > 0], (2, 0, 0, 1)),
        (lambda there: there[torch.tensor([0])], (1, 1, 0, 1)),
    ],
)
def test_what_is_asked_for_is_counted(
    asked: Callable[[torch.Tensor], object], counts: tuple[int, int, int, int]
) -> None:
    with StandIn() as device:
        there = torch.ones(2).to(CUDA)
        device.counts.to_device = device.counts.waits = 0
        asked(there)
        assert astuple(device.counts) == counts


def test_a_download_into_pinned_memory_is_there_once_it_was_waited_for() -> None:
    with StandIn() as device:
        there, here = torch.ones(2, device=CUDA), torch.empty(2, pin_memory=True).fill_(-1)
        here.copy_(there, non_blocking=True)
        assert here.tolist() == [-1, -1]
        torch.cuda.current_stream(CUDA).synchronize()
        assert here.tolist() == [1, 1]
        assert (device.counts.to_host, device.counts.waits) == (1, 1)

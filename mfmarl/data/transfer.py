"""Transfers between the host and a GPU in a step of play: one copy each way, and one wait."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Transfer:
    """Moves several tensors at once through pinned memory if the device is a GPU; on a CPU it moves nothing.

    Args:
        device: device of a policy.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pinned: dict[torch.dtype, Tensor] = {}

    def to_device(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Copy tensors to the device at once, without waiting.

        All calls use the same pinned memory, so do not call this again before `to_host` has returned something computed
        from these tensors.

        Args:
            tensors: tensors on the host, of one dtype.
        """
        if self.device.type == "cpu":
            return list(tensors)
        sizes = [each.numel() for each in tensors]
        packed = self._memory(sum(sizes), tensors[0].dtype)
        for part, each in zip(torch.split(packed, sizes), tensors, strict=True):
            part.copy_(each.reshape(-1))
        there = packed.to(self.device, non_blocking=True)
        return [part.view(each.shape) for part, each in zip(torch.split(there, sizes), tensors, strict=True)]

    def to_host(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Copy tensors to the host at once, and wait for the copy. The result is valid until the next call.

        Args:
            tensors: tensors on the device.
        """
        if self.device.type == "cpu":
            return list(tensors)
        sizes = [each.numel() for each in tensors]
        there = torch.cat([each.reshape(-1) for each in tensors])
        packed = self._memory(len(there), there.dtype)
        packed.copy_(there, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        return [part.view(each.shape) for part, each in zip(torch.split(packed, sizes), tensors, strict=True)]

    def _memory(self, size: int, dtype: torch.dtype) -> Tensor:
        """Pinned memory for `size` numbers, the same memory in every call."""
        if dtype not in self._pinned or len(self._pinned[dtype]) < size:
            self._pinned[dtype] = torch.empty(size, dtype=dtype, pin_memory=True)
        return self._pinned[dtype][:size]

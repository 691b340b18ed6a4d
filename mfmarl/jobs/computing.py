"""What a process that computes sets: threads, precision, the same bits every time, and what makes it faster."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mfmarl.jobs.execution import Hardware

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 256 << 20  # bytes that are free but not handed back
_MAPPED = 32 << 20  # bytes from which on a block is mapped by itself: as much as glibc comes to by itself


@contextmanager
def computing(hardware: Hardware) -> Iterator[None]:
    """Set torch to the hardware's threads and precision, and to algorithms that give the same bits every time.

    The type and the device that tensors have if nobody says which are torch's own, whatever a notebook or a custom
    method has set, and what this job sets is undone.
    """
    # In bfloat16 oneDNN makes a kernel for each size of batch: 256 agents dying one by one overflow its 1024.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
    keep_freed_memory()
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    kind, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_num_threads(hardware.threads)
    torch.set_float32_matmul_precision("high" if hardware.rounds_factors else "highest")
    convolutions = torch.backends.cudnn.flags(  # whose default is TF32
        enabled=True, benchmark=False, deterministic=True, allow_tf32=hardware.rounds_factors
    )
    try:
        with convolutions:
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.set_num_threads(threads)
        torch.set_default_dtype(kind)
        torch.set_default_device(None if device.type == "cpu" else device)


def keep_freed_memory() -> None:
    """Keep up to 256 MB of freed memory in the process, where the C library is glibc.

    Tensors of some megabytes otherwise go back to the system when they are freed, and each page of the next one is
    fetched anew: half the time of playing 16 stacked seeds of 1000 agents. What MALLOC_TRIM_THRESHOLD_ or
    MALLOC_MMAP_THRESHOLD_ say in the environment stays.
    """
    if not sys.platform.startswith("linux") or {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(os.environ):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _MAPPED)
        set_option(_TRIM_THRESHOLD, _KEPT)

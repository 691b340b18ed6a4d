"""Process-wide settings for computation: threads, precision, determinism and memory allocation."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mfmarl.jobs.execution import Hardware

#: Held by the thread that checks or does a job. Jobs change what all threads of a process share: the output, the
#: working directory, torch's settings and its global generator. A job may do another job.
one_at_a_time = threading.RLock()

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 256 << 20  # bytes of freed memory that the process keeps
_MAPPED = 32 << 20  # bytes from which a block gets a memory map of its own: the most that glibc itself adapts to


@contextmanager
def computing(hardware: Hardware) -> Iterator[None]:
    """Set torch to the hardware's threads and precision and to bitwise deterministic algorithms.

    Inside, the default dtype and device are torch's own, whatever a notebook or a custom method has set. The earlier
    settings of torch are restored afterwards.
    """
    # In bfloat16 oneDNN caches a kernel for each batch size: 256 agents dying one by one overflow its 1024 entries.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
    keep_freed_memory()
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    kind, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_num_threads(hardware.threads)
    torch.set_float32_matmul_precision("high" if hardware.rounds_factors else "highest")
    convolutions = torch.backends.cudnn.flags(  # the default allows TF32
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
    """Let the process keep up to 256 MB of freed memory, if the C library is glibc.

    Otherwise tensors of some megabytes return to the system when freed, and every page of the next tensor is requested
    again, which takes half the time of playing 16 stacked seeds of 1000 agents. Nothing is changed if the environment
    sets MALLOC_TRIM_THRESHOLD_ or MALLOC_MMAP_THRESHOLD_.
    """
    if not sys.platform.startswith("linux") or {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(os.environ):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl does not have it
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, _MAPPED)
        set_option(_TRIM_THRESHOLD, _KEPT)

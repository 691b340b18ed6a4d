"""Randomness: one generator for each seed and stream."""

from collections.abc import Sequence
from typing import Literal

import torch

_STREAMS = ("start", "training", "evaluation")


def generators(seeds: Sequence[int], stream: Literal["start", "training", "evaluation"]) -> list[torch.Generator]:
    """One CPU generator a seed for a stream: the networks' start, play and replay, or evaluation.

    Raises:
        ValueError: no seed, a negative one, or one twice.
    """
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**61 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be distinct, at least 0 and below 2^61, got {list(seeds)}")
    number = _STREAMS.index(stream)
    return [torch.Generator().manual_seed(seed * len(_STREAMS) + number) for seed in seeds]

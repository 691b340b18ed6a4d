"""Randomness: one generator for each seed and stream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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


@contextmanager
def plain_layers_from(generator: torch.Generator) -> Iterator[None]:
    """Let plain torch layers that are made within start from this generator, in place of torch's global one.

    That one is afterwards as it was. Whoever draws from the generator itself finds it as if nothing else had; if nobody
    does, it has gone on, so that the next network starts otherwise.
    """
    before = generator.get_state()
    seed = int(torch.randint(2**62, (), generator=generator))
    after = generator.get_state()
    generator.set_state(before)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
    if torch.equal(generator.get_state(), before):
        generator.set_state(after)

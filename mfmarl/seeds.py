"""Random generators: one for each seed and stream."""

import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Literal

import torch

MOST_SEEDS = 100_000  # in one call; more are probably a mistake, or an infinite iterator
_STREAMS = ("start", "training", "evaluation")


def seed_numbers(seeds: Iterable[int]) -> tuple[int, ...]:
    """Check seeds and return them as a tuple.

    Raises:
        ValueError: `seeds` is a single number, empty or longer than MOST_SEEDS, or its items are not distinct whole
            numbers in [0, 2^61).
    """
    if not isinstance(seeds, Iterable):
        raise ValueError(f"seeds must be several numbers, such as range(8), got {seeds!r}")
    try:
        numbers = tuple(operator.index(seed) for seed in islice(seeds, MOST_SEEDS + 1))
    except TypeError as error:
        raise ValueError(f"seeds must be whole numbers, got {seeds!r}") from error
    if len(numbers) > MOST_SEEDS:
        raise ValueError(f"seeds must be at most {MOST_SEEDS}, got more")
    if not numbers or min(numbers) < 0 or max(numbers) >= 2**61 or len(set(numbers)) < len(numbers):
        raise ValueError(f"seeds must be distinct, at least 0 and below 2^61, got {list(numbers)}")
    return numbers


def generators(seeds: Iterable[int], stream: Literal["start", "training", "evaluation"]) -> list[torch.Generator]:
    """One CPU generator per seed.

    Args:
        seeds: distinct whole numbers in [0, 2^61).
        stream: `start` for the networks' initial weights, `training` for play and replay, or `evaluation`.

    Raises:
        ValueError: the seeds are not allowed, see `seed_numbers`.
    """
    number = _STREAMS.index(stream)
    return [torch.Generator().manual_seed(seed * len(_STREAMS) + number) for seed in seed_numbers(seeds)]


@contextmanager
def plain_layers_from(generator: torch.Generator) -> Iterator[None]:
    """Initialize plain torch layers created inside from `generator` instead of torch's global generator.

    The global generator is restored afterwards. Draws made from `generator` itself are unaffected. If there are none,
    `generator` is advanced at the end, so that the next network starts differently.
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

"""Shares of a list of jobs, for calls or tasks that work apart."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from mfmarl.jobs.job import Job


def shares(jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """Deal jobs out: the largest first, each to the share with the least work so far.

    The same jobs give the same shares, in whatever order they come.

    Args:
        jobs: with different names.
        count: of shares; with fewer jobs some are empty.

    Returns:
        The jobs of each share, the largest first.
    """
    dealt: list[list[Job]] = [[] for _ in range(count)]
    least = [(0, number) for number in range(count)]  # a heap of work and share
    for job in sorted(jobs, key=lambda job: (-job.work, job.name)):
        work, number = heapq.heappop(least)
        dealt[number].append(job)
        heapq.heappush(least, (work + job.work, number))
    return dealt

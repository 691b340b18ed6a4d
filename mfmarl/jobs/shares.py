"""Division of a list of jobs into shares for separate calls or tasks."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from mfmarl.jobs.job import Job


def shares(jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """Divide jobs into shares: each, starting with the largest, goes to the share with the least work so far.

    The result does not depend on the order of the jobs.

    Args:
        jobs: jobs with different names.
        count: number of shares; if there are fewer jobs, some shares are empty.

    Returns:
        The jobs of each share, largest first.
    """
    dealt: list[list[Job]] = [[] for _ in range(count)]
    least = [(0, number) for number in range(count)]  # heap of (work, number of the share)
    for job in sorted(jobs, key=lambda job: (-job.work, job.name)):
        work, number = heapq.heappop(least)
        dealt[number].append(job)
        heapq.heappush(least, (work + job.work, number))
    return dealt

"""Means by seed."""

import pytest
import torch

from mfmarl.metrics import MeanByRun


@pytest.mark.parametrize("seeds", [1, 3])
def test_mean_by_seed_is_the_mean_of_all_that_came(seeds: int) -> None:
    metric = MeanByRun(seeds)
    parts = [torch.rand(seeds, *shape, generator=torch.Generator().manual_seed(0)) for shape in ((4,), (2, 3), (1,))]
    for part in parts:
        metric.update(part)
    for seed, mean in enumerate(metric.compute().view(-1).tolist()):
        numbers = [number for part in parts for number in part[seed].flatten().tolist()]
        assert mean == pytest.approx(sum(numbers) / len(numbers), rel=1e-12)
    metric.reset()
    metric.update(torch.full((seeds, 2), 7.0))
    assert metric.compute().view(-1).tolist() == [7.0] * seeds


def test_it_adds_up_in_float64() -> None:
    metric = MeanByRun(2)
    for value in (1e9, 1.0, -1e9):
        metric.update(torch.full((2, 1), value))
    assert metric.compute().dtype == torch.float64
    assert metric.compute().tolist() == [1 / 3] * 2


def test_it_is_nan_before_the_first_update() -> None:
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert MeanByRun(2).compute().isnan().all()

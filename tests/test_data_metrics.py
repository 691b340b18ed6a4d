"""Means by run: by hand, and the same on two processes as on one."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn
from torchmetrics import Metric

from mfmarl.data.lattice_metrics import Energy, OrderParameter, QError
from mfmarl.data.metrics import MeanByRun
from mfmarl.environments.ising import Ising, split


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


def test_runs_may_be_stacked_by_temperature_and_seed() -> None:
    metric = MeanByRun(2, 3)
    values = torch.arange(24.0).view(2, 3, 2, 2)
    metric.update(values)
    assert torch.equal(metric.compute(), values.double().mean((2, 3)))
    metric.update(torch.zeros(2, 3))
    assert torch.equal(metric.compute(), values.double().sum((2, 3)) / 5)


def test_it_adds_up_in_float64() -> None:
    metric = MeanByRun(2)
    for value in (1e9, 1.0, -1e9):
        metric.update(torch.full((2, 1), value))
    assert metric.compute().dtype == torch.float64
    assert metric.compute().tolist() == [1 / 3] * 2


def test_it_is_nan_before_the_first_update() -> None:
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        assert MeanByRun(2).compute().isnan().all()


def test_a_saved_mean_goes_on_and_leaves_the_state_as_it_was() -> None:
    metric, other, fresh = MeanByRun(2), MeanByRun(2), MeanByRun(2)
    empty = {name: value.clone() for name, value in metric.state_dict().items()}
    metric.update(torch.tensor([[1.0], [5.0]]))
    state = metric.state_dict()
    assert sorted(state) == ["count", "total"]
    other.load_state_dict(state)
    assert other.compute().tolist() == [1.0, 5.0]
    other.update(torch.tensor([[3.0], [7.0]]))
    assert other.compute().tolist() == [2.0, 6.0]
    assert state["total"].tolist() == [1.0, 5.0]
    fresh.load_state_dict(empty)
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        fresh.compute()


def test_error_of_q_is_a_mean_of_squares() -> None:
    metric = QError(2)
    metric.update(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
    assert metric.compute().tolist() == [2.5, 4.5]
    metric.update(torch.tensor([[[-4.0]], [[0.0]]]))
    assert metric.compute().tolist() == [7.0, 3.0]
    assert metric.compute().dtype == torch.float64
    metric.reset()
    metric.update(torch.tensor([[-1.0], [0.5]]))
    assert metric.compute().tolist() == [1.0, 0.25]


UP = torch.ones(4, 4, dtype=torch.int8)
CHEQUERS = (1 - 2 * ((torch.arange(4).view(4, 1) + torch.arange(4)) % 2)).to(torch.int8)
ONE_DOWN = UP.clone()
ONE_DOWN[1, 2] = -1  # an odd site


def test_energy_by_hand() -> None:
    metric = Energy(Ising(4, field=0.5), 3)
    metric.update(*split(torch.stack([UP, CHEQUERS, ONE_DOWN])))
    # One spin down breaks 4 bonds of 32 and turns the mean spin to 14 / 16.
    expected = [-2.5, 2.0, -(24 + 0.5 * 14) / 16]
    assert metric.compute().tolist() == expected
    metric.update(*split(torch.stack([-UP, CHEQUERS, UP])))
    assert metric.compute().tolist() == [-2.0, 2.0, (expected[2] - 2.5) / 2]
    assert (metric.compute().shape, metric.compute().dtype) == ((3,), torch.float64)
    metric.reset()
    metric.update(*split(torch.stack([-UP, UP, UP])))
    assert metric.compute().tolist() == [-1.5, -2.5, -2.5]


def test_order_parameters_by_hand() -> None:
    metric = OrderParameter(1, 3)
    metric.update(*split(torch.stack([-UP, CHEQUERS, -ONE_DOWN]).unsqueeze(0)))
    assert metric.names == (
        "order_parameter",
        "sublattice_order_parameter",
        "squared_magnetisation",
        "fourth_magnetisation",
    )
    m = 7 / 8
    first = torch.tensor([[[1, 0, m]], [[1, 1, (1 + 0.75) / 2]], [[1, 0, m**2]], [[1, 0, m**4]]], dtype=torch.float64)
    assert (metric.compute().shape, metric.compute().dtype) == ((4, 1, 3), torch.float64)
    assert torch.equal(metric.compute(), first)
    metric.update(*split(torch.stack([UP, UP, UP]).unsqueeze(0)))
    assert torch.equal(metric.compute(), (first + 1) / 2), "of |m|, not |mean of m|"
    metric.reset()
    metric.update(*split(torch.stack([CHEQUERS, -UP, UP]).unsqueeze(0)))
    assert metric.compute()[:, 0].tolist() == [[0, 1, 1], [1, 1, 1], [0, 1, 1], [0, 1, 1]]


RUNS, GAME = (2, 3), Ising(6, field=0.3)


def metrics() -> dict[str, Metric]:
    """One of each."""
    return {
        "mean": MeanByRun(*RUNS),
        "q_error": QError(*RUNS),
        "energy": Energy(GAME, *RUNS),
        "order_parameter": OrderParameter(*RUNS),
    }


def updates() -> list[tuple[Tensor, ...]]:
    """Of each metric the arguments of four updates, of one to four values a run."""
    own = torch.Generator().manual_seed(0)
    values = [torch.rand(*RUNS, count, generator=own) for count in (1, 2, 3, 4)]
    lattices = [(2 * torch.randint(2, (*RUNS, 6, 6), generator=own) - 1).to(torch.int8) for _ in values]
    return list(zip(values, *zip(*map(split, lattices), strict=True), strict=True))


def update(metric: Metric, values: Tensor, even: Tensor, odd: Tensor) -> None:
    """With what it takes."""
    metric.update(*((even, odd) if isinstance(metric, Energy | OrderParameter) else (values,)))


def half(rank: int, directory: Path) -> None:
    """What one of two processes does: every other update, then compute twice, reset, and compute of one more."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distributed.init_process_group("gloo", f"file://{directory}/meet", rank=rank, world_size=2)
        found = {}
        for name, metric in metrics().items():
            for arguments in updates()[rank::2]:
                update(metric, *arguments)
            first, second = metric.compute(), metric.compute()
            metric.reset()
            update(metric, *updates()[rank])
            found[name] = torch.stack([first, second, metric.compute()])
        distributed.destroy_process_group()
    torch.save(found, directory / f"{rank}.pt")


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    spawn(half, (tmp_path,), nprocs=2)  # type: ignore[no-untyped-call]
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, metric in metrics().items():
        for arguments in updates():
            update(metric, *arguments)
        every = metric.compute()
        metric.reset()
        for arguments in updates()[:2]:
            update(metric, *arguments)
        expected = torch.stack([every, every, metric.compute()])
        for found in both:
            torch.testing.assert_close(found[name], expected, rtol=1e-14, atol=1e-14)

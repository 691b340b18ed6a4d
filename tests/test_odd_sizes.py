"""Lattices of odd size, which are no checkerboard: their colours, orders, measurements and equilibrium."""

from itertools import product

import pytest
import torch
from torch import Tensor

from mfmarl.algorithms.lattice import Metropolis, TabularMFQ
from mfmarl.data.lattice_metrics import Energy, OrderParameter
from mfmarl.data.sweeps import Order, SweepDataModule, three_colours
from mfmarl.environments.ising import Ising, join
from mfmarl.statistical_physics import enumerate_states

ODD_ORDERS: tuple[Order, ...] = ("simultaneous", "released-code", "random-site", "three-colours")


def around(site: int, size: int) -> list[int]:
    row, column = divmod(site, size)
    return [
        r % size * size + c % size
        for r, c in ((row, column + 1), (row, column - 1), (row + 1, column), (row - 1, column))
    ]


@pytest.mark.parametrize("size", [3, 4, 5, 6, 7, 9, 20])
def test_three_colours_hold_no_neighbours(size: int) -> None:
    colours = three_colours(size)
    assert len(colours) == 3
    assert sorted(torch.cat(colours).tolist()) == list(range(size * size))
    for colour in colours:
        members = set(colour.tolist())
        assert not any(set(around(site, size)) & members for site in members)
    if size % 3 == 0:
        for number, colour in enumerate(colours):
            assert all((site // size + site % size) % 3 == number for site in colour.tolist())


class Follower:
    """Turns to its neighbours' side, and notes who acted and saw what."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []
        self.observed: list[tuple[Tensor, ...]] = []

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        assert site.shape == neighbours.shape == spin.shape == uniform.shape
        self.seen.append((site, neighbours, spin.clone()))
        return (2 * (uniform < 0.5 + neighbours / 10).to(torch.int8) - 1).to(torch.int8)

    def observe(self, *colours: Tensor) -> None:
        self.observed.append(tuple(colour.clone() for colour in colours))


@pytest.mark.parametrize(("size", "order"), [*product((3, 5), ODD_ORDERS), (4, "three-colours"), (6, "three-colours")])
def test_everyone_acts_upon_its_neighbours_and_is_paid_in_its_order(size: int, order: Order) -> None:
    game = Ising(size, field=0.25)
    data = SweepDataModule(game, [0, 5], temperatures=[1.0], steps=4, evaluations=1, order=order)
    policy = Follower()
    spins = data.spins.flatten().tolist()
    for _ in range(4):
        policy.seen.clear()
        transitions = list(data.play(policy, 1))
        acted = torch.cat([transition.site.flatten() for transition in transitions])
        assert len(acted) == 2 * size * size
        if order != "random-site":
            assert sorted(acted.tolist()) == list(range(2 * size * size))
        after = data.spins.flatten().tolist()
        old = list(spins)
        for (_, _, spin), transition in zip(policy.seen, transitions, strict=True):
            flat = (field.flatten().tolist() for field in (transition.site, *transition[1:], spin))
            for site, neighbours, action, reward, was in zip(*flat, strict=True):
                first = site - site % size**2
                beside = [first + other for other in around(site % size**2, size)]
                at_once = order in ("simultaneous", "released-code")
                seen = old if at_once else spins
                assert neighbours == sum(seen[other] for other in beside)
                assert was == seen[site]
                paid = sum(after[other] for other in beside) if order == "released-code" else neighbours
                assert reward == pytest.approx(action * (0.25 + paid / 2))
            for site, action in zip(
                transition.site.flatten().tolist(), transition.action.flatten().tolist(), strict=True
            ):
                spins[site] = action
        assert spins == after
        seen_lattice = policy.observed[-1]
        whole = seen_lattice[0] if size % 2 else join(seen_lattice[0], seen_lattice[1])
        assert whole.flatten().tolist() == after


def test_a_checkerboard_of_odd_size_is_refused() -> None:
    with pytest.raises(
        ValueError, match="order must be three-colours or another for an odd size, got checkerboard for 5"
    ):
        SweepDataModule(Ising(5), [0], temperatures=[1.0], steps=1, evaluations=1)


def test_measurements_of_whole_lattices_by_hand() -> None:
    """One spin of nine is down: m = 7/9, and 4 of 18 bonds are broken, u = -(0.5 m + (18 - 8) / 9)."""
    spins = torch.ones(1, 1, 3, 3, dtype=torch.int8)
    spins[..., 1, 2] = -1
    game = Ising(3, field=0.5)
    assert game.energy(spins).item() == pytest.approx(-(0.5 * 7 / 9 + 10 / 9), abs=1e-14)
    assert game.whole_neighbour_sums(spins)[0, 0].tolist() == [[4, 4, 2], [2, 2, 4], [4, 4, 2]]
    energy, order = Energy(game, 1, 1), OrderParameter(1, 1)
    energy.update(spins)
    order.update(spins)
    assert energy.compute().item() == pytest.approx(-(3.5 + 10) / 9, abs=1e-14)
    assert order.compute().flatten().tolist() == pytest.approx([7 / 9, 7 / 9, (7 / 9) ** 2, (7 / 9) ** 4], abs=1e-14)


def test_whole_lattices_of_even_size_agree_with_their_colours() -> None:
    spins = (2 * torch.randint(2, (5, 6, 6), generator=torch.Generator().manual_seed(0)) - 1).to(torch.int8)
    from mfmarl.environments.ising import split  # noqa: PLC0415

    game = Ising(6, field=0.3, coupling=0.7)
    torch.testing.assert_close(game.energy(spins), game.energy(*split(spins)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", ["three-colours", "random-site"])
def test_equilibrium_on_the_three_by_three_torus_is_the_enumerated_one(order: Order) -> None:
    """Metropolis, 200 lattices: <|m|> and <u> within five standard errors of all 512 states."""
    data = SweepDataModule(Ising(3), range(200), temperatures=[1.5], steps=60, evaluations=1, order=order)
    agent = Metropolis(Ising(3), range(200), temperatures=[1.5])
    list(data.play(agent, 20))
    agent.measured()
    list(data.play(agent, 40))
    exact, found = enumerate_states(3).means(1.5), agent.measured()
    for name in ("order_parameter", "energy"):
        error = found[name].std().item() / 200**0.5
        assert found[name].mean().item() == pytest.approx(getattr(exact, name), abs=5 * error)


@pytest.mark.parametrize("order", ODD_ORDERS)
def test_a_run_of_odd_size_goes_on_where_its_state_was_saved(order: Order) -> None:
    def fresh() -> tuple[TabularMFQ, SweepDataModule]:
        agent = TabularMFQ(Ising(5), [0, 1], temperatures=[0.8, 2.0])
        return agent, SweepDataModule(Ising(5), [0, 1], temperatures=[0.8, 2.0], steps=8, evaluations=1, order=order)

    def play(agent: TabularMFQ, data: SweepDataModule, sweeps: int) -> None:
        for transition in data.play(agent, sweeps):
            agent.learn(transition)

    whole, half = fresh(), fresh()
    play(*whole, 8)
    play(*half, 3)
    agent, data = fresh()
    agent.load_state_dict(half[0].state_dict())
    data.load_state_dict(half[1].state_dict())
    play(agent, data, 5)
    assert torch.equal(data.spins, whole[1].spins)
    assert torch.equal(agent.q_table, whole[0].q_table)

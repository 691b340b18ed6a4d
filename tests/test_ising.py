"""The game of the Ising model against rolls of whole lattices, sums by hand, and every state of the 4 x 4 torus."""

from itertools import product
from math import inf, nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mfmarl.environments.ising import Ising, join, magnetisation, split
from mfmarl.environments.ising_arguments import temperature_tuple
from mfmarl.statistical_physics import enumerate_states


def lattices(*shape: int, number: int = 0) -> Tensor:
    """Spins -1 and 1."""
    draws = torch.randint(2, shape, generator=torch.Generator().manual_seed(number))
    return (2 * draws - 1).to(torch.int8)


def rolled(spins: Tensor) -> Tensor:
    """Sum of the four neighbours of every site `[..., L, L]`."""
    return sum((spins.roll(step, axis) for step in (1, -1) for axis in (-1, -2)), torch.zeros_like(spins))


sizes = st.sampled_from([4, 6, 8, 20])
batches = st.sampled_from([(), (3,), (2, 3)])


@given(sizes, batches)
def test_split_gives_the_two_colours_and_join_undoes_it(size: int, batch: tuple[int, ...]) -> None:
    number = torch.arange(torch.Size([*batch, size, size]).numel()).view(*batch, size, size)
    colours = split(number)
    for colour, sites in enumerate(colours):
        assert sites.shape == (*batch, size, size // 2)
        assert ((sites // size + sites % size) % 2 == colour).all()  # L is even: a whole lattice shifts no colour
        assert (sites // size == number[..., :1] // size).all(), "a row stays a row"
    assert sorted(torch.cat(colours, -1).flatten().tolist()) == list(range(number.numel()))
    assert torch.equal(join(*colours), number)


@given(sizes, batches, st.integers(0, 2**31))
def test_neighbour_sums_are_those_of_rolled_lattices(size: int, batch: tuple[int, ...], number: int) -> None:
    spins = lattices(*batch, size, size, number=number)
    before = spins.clone()
    colours = split(spins)
    for colour in (0, 1):
        sums = Ising(size).neighbour_sums(colours[1 - colour], colour)
        assert sums.dtype == torch.int8
        assert torch.equal(sums, split(rolled(spins))[colour])
    assert torch.equal(join(*colours), before), "what is asked about stays as it is"


def test_neighbour_sums_of_one_spin_among_its_opposites() -> None:
    spins = -torch.ones(6, 6, dtype=torch.int8)
    spins[0, 0] = 1  # even; its neighbours lie across both edges too
    even, odd = split(spins)
    assert (Ising(6).neighbour_sums(odd, 0) == -4).all()
    whole = join(torch.full_like(even, -4), Ising(6).neighbour_sums(even, 1))
    expected = torch.full((6, 6), -4)
    expected[0, 1] = expected[1, 0] = expected[0, 5] = expected[5, 0] = -2
    assert whole.tolist() == expected.tolist()


def test_reward_by_hand() -> None:
    action = torch.tensor([1, -1], dtype=torch.int8).view(2, 1)
    neighbours = torch.tensor([-4, -2, 0, 2, 4], dtype=torch.int8)
    paper = Ising().reward(action, neighbours)
    assert paper.dtype == torch.float32
    assert paper.tolist() == [[-2, -1, 0, 1, 2], [2, 1, 0, -1, -2]]
    other = Ising(4, field=0.5, coupling=3.0).reward(action, neighbours)
    assert other.tolist() == [[-5.5, -2.5, 0.5, 3.5, 6.5], [5.5, 2.5, -0.5, -3.5, -6.5]]


@pytest.mark.parametrize(("field", "coupling"), [(0.0, 1.0), (0.3, 1.0), (-0.7, 0.4)])
def test_energy_is_minus_the_mean_reward_a_bond_counted_once(field: float, coupling: float) -> None:
    spins = lattices(2, 3, 6, 6)
    energy = Ising(6, field, coupling).energy(*split(spins))
    assert (energy.shape, energy.dtype) == ((2, 3), torch.float64)
    for found, lattice in zip(energy.flatten().tolist(), spins.flatten(0, 1).tolist(), strict=True):
        # Eq. 28, from Python's own numbers
        total = 0.0
        for row, column in product(range(6), repeat=2):
            around = [(row - 1, column), ((row + 1) % 6, column), (row, column - 1), (row, (column + 1) % 6)]
            total -= lattice[row][column] * (field + coupling / 2 * sum(lattice[r][c] for r, c in around))
        assert found == pytest.approx(total / 36, rel=1e-12)


def test_energy_of_stripes_chequers_and_one_direction() -> None:
    up = torch.ones(8, 8, dtype=torch.int8)
    chequers = join(up[:, :4], -up[:, :4])
    stripes = torch.where(torch.arange(8).view(8, 1) < 4, up, -up)
    energy = Ising(8, field=0.25).energy(*split(torch.stack([up, -up, chequers, stripes])))
    assert energy.tolist() == [-2.25, -1.75, 2.0, -1.5]


@pytest.mark.parametrize("field", [0.0, 0.3])
def test_all_states_of_the_small_torus_fall_into_the_classes_of_the_enumeration(field: float) -> None:
    bits = torch.arange(2**16).view(-1, 1) >> torch.arange(16) & 1
    colours = split((2 * bits - 1).to(torch.int8).view(-1, 4, 4))
    found = torch.stack([Ising(4, field).energy(*colours), magnetisation(*colours)], -1).numpy().round(9)
    classes, counts = np.unique(found, axis=0, return_counts=True)
    states = enumerate_states(4, field)
    expected = np.stack([states.energies, states.magnetisations, states.counts], -1)
    expected = expected[np.lexsort((expected[:, 1], expected[:, 0].round(9)))]
    np.testing.assert_allclose(np.column_stack([classes, counts]), expected, atol=1e-8)


def test_magnetisation_is_the_mean_spin_of_one_tensor_or_several() -> None:
    spins = lattices(2, 3, 20, 20)
    even, odd = split(spins)
    whole = magnetisation(spins)
    assert (whole.shape, whole.dtype) == ((2, 3), torch.float64)
    assert torch.equal(whole, spins.double().mean((-2, -1)))
    assert torch.equal(magnetisation(even, odd), whole)
    assert torch.equal(magnetisation(odd), odd.double().mean((-2, -1)))
    assert magnetisation(torch.ones(300, 300, dtype=torch.int8)).item() == 1.0


def test_agents_and_actions() -> None:
    assert (Ising().size, Ising().agents, Ising().actions) == (20, 400, 2)
    assert (Ising(3).agents, Ising(6).agents, Ising(4096).agents) == (9, 36, 2**24)
    assert Ising(np.int64(3)) == Ising(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [2, 0, -4, 4.0, 4097, 10**15, True, "8", None])
def test_sizes_that_make_no_torus_of_distinct_neighbours_are_refused(size: object) -> None:
    allowed = r"an integer of at least 3 and at most 4096" if type(size) in (int, float) else "a whole number"
    with pytest.raises(ValueError, match=rf"size must be {allowed}, got "):
        Ising(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("coupling", [0.0, -1.0, inf, nan])
def test_couplings_without_order_are_refused(coupling: float) -> None:
    with pytest.raises(ValueError, match=r"coupling must be positive and finite, got "):
        Ising(coupling=coupling)


@pytest.mark.parametrize("field", [inf, -inf, nan])
def test_fields_without_end_are_refused(field: float) -> None:
    with pytest.raises(ValueError, match=r"field must be finite, got "):
        Ising(field=field)


def test_a_third_action_is_refused() -> None:
    with pytest.raises(ValueError, match="a spin has 2 actions, got 3"):
        Ising(actions=3)


@pytest.mark.parametrize("temperatures", [[], [1.0, 0.0], [-1.0], [nan], [1.0, inf]])
def test_temperatures_must_be_positive(temperatures: list[float]) -> None:
    with pytest.raises(ValueError, match=r"taus must be numbers, at least one, from 1e-30 to 1e\+30, got \["):
        temperature_tuple(temperatures, "taus")


def test_text_among_temperatures_is_refused() -> None:
    with pytest.raises(ValueError, match="temperatures must be numbers"):
        temperature_tuple([1.0, "1"])


def test_temperatures_become_floats() -> None:
    assert temperature_tuple([1, np.float32(0.5)]) == (1.0, 0.5)
    assert all(type(value) is float for value in temperature_tuple(torch.tensor([1.0, 2.0])))

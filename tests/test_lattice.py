"""Mean field Q-learning with tables, and Metropolis: one step by hand, then what they sample against exact physics."""

from itertools import pairwise
from math import exp, tanh
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import chi2
from torch import Tensor

from mfmarl.algorithms.lattice import LatticeAgent, Metropolis, TabularIL, TabularMFQ
from mfmarl.data.sweeps import Order, SweepDataModule, Transition
from mfmarl.environments.ising import Ising, magnetisation, split
from mfmarl.statistical_physics import (
    CRITICAL_TEMPERATURE,
    enumerate_states,
    kaufman_energy,
    onsager_magnetisation,
    synchronous_correlation,
)

SUMS = (-4, -2, 0, 2, 4)


def int8(*values: int) -> Tensor:
    """`[1, 1, n]`."""
    return torch.tensor(values, dtype=torch.int8).view(1, 1, -1)


def fixed_point(game: Ising) -> Tensor:
    """Q where it equals the reward of Eq. 33, `[5, 2]`."""
    return torch.tensor([[action * (game.field + game.coupling / 2 * total) for action in (-1, 1)] for total in SUMS])


def learned(game: Ising, temperatures: list[float], **changes: Any) -> TabularMFQ:
    """MF-Q that has learned and explores no more."""
    agent = TabularMFQ(game, [0], temperatures=temperatures, **({"start_temperature": 0.0} | changes))
    agent.q_table[:] = fixed_point(game)
    return agent


def test_one_transition_moves_one_entry_by_equation_32() -> None:
    agent = TabularMFQ(Ising(4), [0], temperatures=[1.0], learning_rate=0.25)
    agent.q_table[:] = torch.arange(160).view_as(agent.q_table) / 100
    before = agent.q_table.clone()
    site = torch.tensor([[[2 * 4 + 3]]])
    agent.learn(Transition(site, int8(2), int8(-1), torch.tensor([[[5.0]]])))
    entry = (0, 0, 2, 3, 3, 0)  # row 2, column 3; a sum of 2 is the fourth of five, down the first of two
    old = before[entry].item()
    assert agent.q_table[entry].item() == pytest.approx(old + 0.25 * (5.0 - old), rel=1e-6)
    before[entry] = agent.q_table[entry]
    assert torch.equal(agent.q_table, before)
    assert agent.q_error.compute().item() == pytest.approx((5.0 - old) ** 2)


def test_a_turn_of_one_colour_moves_one_entry_of_each_of_its_sites() -> None:
    game = Ising(6, field=0.5)
    agent = TabularMFQ(game, [0, 1], temperatures=[1.0, 2.0], learning_rate=0.1)
    agent.q_table.uniform_(generator=torch.Generator().manual_seed(0))
    data = SweepDataModule(game, [0, 1], temperatures=[1.0, 2.0], steps=1, evaluations=1)
    for transition in data.play(agent, 1):
        table = agent.q_table.clone().view(-1, 5, 2)
        expected, squares = table.clone(), []
        for site, total, action, paid in zip(*(each.flatten().tolist() for each in transition), strict=True):
            old = table[site, SUMS.index(total), (action + 1) // 2]
            squares.append((paid - old.item()) ** 2)
            expected[site, SUMS.index(total), (action + 1) // 2] = 0.9 * old + 0.1 * paid
        agent.learn(transition)
        torch.testing.assert_close(agent.q_table.view(-1, 5, 2), expected, rtol=1e-6, atol=1e-6)
        assert (agent.q_table.view(-1, 5, 2) != table).sum() == 2 * 2 * 18
        assert agent.q_error.compute().mean().item() == pytest.approx(np.mean(squares), rel=1e-5)
        agent.q_error.reset()


def acts(agent: LatticeAgent, chances: list[tuple[int, int, float]], step: int, place: int) -> None:
    """See that spins under sums of neighbours come up with these chances at the agent's `place`-th temperature."""
    for total, spin, chance in chances:
        draws = torch.tensor([chance * (1 - 1e-5), chance * (1 + 1e-5)]).clamp(max=1 - 2**-24)
        tried = draws.expand(len(agent.temperatures), 1, 2)
        site = torch.tensor([[[0, 5]]]).expand_as(tried) + 16 * torch.arange(len(agent.temperatures)).view(-1, 1, 1)
        neighbours, spins = (torch.full_like(tried, value, dtype=torch.int8) for value in (total, spin))
        found = agent.act(site, neighbours, spins, tried.clone(), step)
        assert (found.dtype, found.shape) == (torch.int8, tried.shape)
        happens = [True, chance * (1 + 1e-5) > 1]
        changed = [spin if isinstance(agent, Metropolis) else -1] * 2
        expected = [-old if yes else old for yes, old in zip(happens, changed, strict=True)]
        assert found[place, 0].tolist() == expected, (total, spin, chance)


@pytest.mark.parametrize("step", [0, 1, 100, 5000])
def test_mf_q_acts_by_equation_12_with_a_temperature_that_falls_to_tau(step: int) -> None:
    temperatures = [0.8, 2.5]
    agent = TabularMFQ(Ising(4), [0], temperatures=temperatures, start_temperature=3.0, decay=0.01)
    values = [(-0.3, 1.1), (0.5, 0.25), (0.0, 0.0), (2.0, -1.0), (-1.5, 1.5)]
    agent.q_table[:] = torch.tensor(values)
    for place, tau in enumerate(temperatures):
        temperature = tau + 3.0 * exp(-0.01 * step)
        both = [[exp(value / temperature) for value in pair] for pair in values]
        shares = [up / (down + up) for down, up in both]
        for spin in (-1, 1):
            acts(agent, [(total, spin, share) for total, share in zip(SUMS, shares, strict=True)], step, place)


def test_mf_q_looks_at_the_table_of_the_very_spin() -> None:
    agent = TabularMFQ(Ising(4), [0, 1], temperatures=[1.0, 2.0])
    site = torch.arange(64).view(2, 2, 16)
    wanted = (2 * torch.randint(2, (2, 2, 16), generator=torch.Generator().manual_seed(0)) - 1).to(torch.int8)
    for total in SUMS:
        agent.q_table.fill_(0)
        agent.q_table.view(64, 5, 2)[:, SUMS.index(total), 1] = 1000.0 * wanted.flatten()
        neighbours = torch.full_like(wanted, total)
        assert torch.equal(agent.act(site, neighbours, -wanted, torch.full((2, 2, 16), 0.5), 0), wanted)


@pytest.mark.parametrize(("field", "coupling"), [(0.0, 1.0), (0.3, 0.7)])
@pytest.mark.parametrize("order", ["checkerboard", "simultaneous"])
def test_q_learned_is_the_heat_bath(field: float, coupling: float, order: Order) -> None:
    """In all orders but that of the released code a spin is paid against what it saw, so that Q becomes the reward."""
    game = Ising(4, field, coupling)
    agent = TabularMFQ(game, [0], temperatures=[1.0], learning_rate=1.0, start_temperature=1e9, decay=1e-12)
    play(agent, SweepDataModule(game, [0], temperatures=[1.0], steps=1, evaluations=1, order=order), 250)
    torch.testing.assert_close(agent.q_table, fixed_point(game).expand_as(agent.q_table), rtol=1e-6, atol=1e-6)
    advantage = agent.q_table[..., 1] - agent.q_table[..., 0]
    expected = torch.tensor([2 * field + coupling * total for total in SUMS])
    torch.testing.assert_close(advantage, expected.expand_as(advantage), rtol=1e-6, atol=1e-6)
    agent.start_temperature = 0.0
    shares = [1 / (1 + exp(-(2 * field + coupling * total) / 1.0)) for total in SUMS]
    acts(agent, [(total, 1, share) for total, share in zip(SUMS, shares, strict=True)], 0, 0)


@pytest.mark.parametrize(("field", "coupling"), [(0.0, 1.0), (0.0, 0.3), (0.3, 1.0), (-0.6, 0.3), (2.5, 1.0)])
def test_metropolis_accepts_with_the_chances_of_algorithm_3(field: float, coupling: float) -> None:
    temperatures = [0.7, 1.6]
    agent = Metropolis(Ising(4, field, coupling), [0], temperatures=temperatures)
    for place, tau in enumerate(temperatures):
        chances = [
            (total, spin, min(1.0, exp(-(2 * field + coupling * total) * spin / tau)))
            for total in SUMS
            for spin in (-1, 1)
        ]
        for step in (0, 10_000):
            acts(agent, chances, step, place)


@pytest.mark.parametrize("field", [0.0, 0.3])
@pytest.mark.parametrize("total", [2, 4])
def test_what_has_no_chance_does_not_happen_at_the_lowest_draw_either(field: float, total: int) -> None:
    game, site, lowest = Ising(4, field), torch.zeros(1, 1, 1, dtype=torch.int64), torch.zeros(1, 1, 1)
    for agent in (learned(game, [0.01]), Metropolis(game, [0], temperatures=[0.01])):  # exp(-200) is 0 in float32
        assert agent.act(site, int8(total), int8(1), lowest.clone(), 0).item() == 1
        assert agent.act(site, int8(-total), int8(-1), lowest.clone(), 0).item() == -1


def forget(agent: LatticeAgent) -> None:
    """Measure from here on."""
    agent.order_parameter.reset()
    agent.energy.reset()


def play(agent: LatticeAgent, data: SweepDataModule, sweeps: int) -> None:
    """Let it act and learn."""
    for transition in data.play(agent, sweeps):
        agent.learn(transition)


def sampled(agent: LatticeAgent, order: Order, burn_in: int, samples: int, apart: int, **changes: Any) -> list[Tensor]:
    """Lattices `[lattices, L, L]` after the burn-in and every so many sweeps from there."""
    arguments: dict[str, Any] = {"temperatures": agent.temperatures, "steps": 1, "evaluations": 1, "order": order}
    data = SweepDataModule(agent.environment, agent.seeds, **(arguments | changes))
    lattices = []
    for sweeps in [burn_in] + [apart] * (samples - 1):
        play(agent, data, sweeps)
        lattices.append(data.spins.flatten(0, 1))
    return lattices


def p_value(lattices: Tensor, game: Ising, tau: float) -> float:
    """Of the chi-square test that 4 x 4 lattices `[n, 4, 4]` come from equilibrium, by energy and magnetisation."""
    states = enumerate_states(4, game.field, game.coupling)
    classes = {
        (bonds, spins): place
        for place, (bonds, spins) in enumerate(zip(states.bonds.tolist(), states.spins.tolist(), strict=True))
    }
    whole = lattices.long()
    bonds = (whole * (whole.roll(1, -1) + whole.roll(1, -2))).sum((-2, -1)).tolist()
    found = [classes[key] for key in zip(bonds, whole.sum((-2, -1)).tolist(), strict=True)]
    counts = np.bincount(found, minlength=len(classes))
    expected = len(found) * states.probabilities(tau)
    rare = expected < 10
    counts, expected = (np.append(each[~rare], each[rare].sum()) for each in (counts, expected))
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1))


LATTICES = 1500
"""Independent lattices side by side: as many equal temperatures, which one generator serves."""


@pytest.mark.parametrize(("field", "coupling", "tau"), [(0.0, 1.0, 1.3), (0.15, 0.8, 1.0)])
@pytest.mark.parametrize("order", ["checkerboard", "random-site"])
def test_metropolis_samples_the_states_of_the_small_torus(
    order: Order, field: float, coupling: float, tau: float
) -> None:
    game = Ising(4, field, coupling)
    agent = Metropolis(game, [1], temperatures=[tau] * LATTICES)
    burn_in, apart = (120, 40) if order == "checkerboard" else (40, 20)
    lattices = torch.cat(sampled(agent, order, burn_in, 3, apart))
    assert p_value(lattices, game, tau) > 1e-4
    assert p_value(lattices, game, 1.06 * tau) < 1e-4, "so much it tells apart"


@pytest.mark.parametrize(("field", "coupling", "tau"), [(0.0, 1.0, 1.3), (0.15, 0.8, 1.0)])
def test_mf_q_that_has_learned_samples_the_states_of_the_small_torus(field: float, coupling: float, tau: float) -> None:
    game = Ising(4, field, coupling)
    lattices = torch.cat(sampled(learned(game, [tau] * LATTICES), "checkerboard", 100, 3, 30))
    assert p_value(lattices, game, tau) > 1e-4
    assert p_value(lattices, game, 1.06 * tau) < 1e-4


def test_mf_q_that_learns_from_nothing_comes_to_sample_them() -> None:
    game, tau = Ising(4), 1.3
    agent = TabularMFQ(game, [1], temperatures=[tau] * LATTICES, learning_rate=0.5, decay=0.04)
    lattices = torch.cat(sampled(agent, "checkerboard", 350, 2, 40))
    assert p_value(lattices, game, tau) > 1e-4


def test_at_once_the_colours_are_independent_and_the_correlation_in_time_is_peretto_s() -> None:
    game, tau, sweeps = Ising(4), 1.3, 30
    agent = learned(game, [tau] * LATTICES)
    data = SweepDataModule(game, [0], temperatures=agent.temperatures, steps=1, evaluations=1, order="simultaneous")
    play(agent, data, 100)
    forget(agent)
    in_time = torch.zeros(LATTICES, dtype=torch.float64)
    for transition in data.play(agent, sweeps):
        in_time += (transition.action * transition.neighbours).flatten(1).double().sum(1) / (16 * sweeps)
    exact = synchronous_correlation(4, tau)
    assert exact == pytest.approx(-2 * enumerate_states(4).means(tau).energy)
    assert abs(in_time.mean() - exact) < 4.5 * in_time.std() / LATTICES**0.5
    # Which of the two lattices in time a colour belongs to changes with every sweep: at one time they are strangers.
    energy = agent.energy.compute().flatten()
    assert abs(energy.mean()) < 4.5 * energy.std() / LATTICES**0.5
    assert energy.std() / LATTICES**0.5 < 0.02 * abs(enumerate_states(4).means(tau).energy)


def weiss(tau: float) -> float:
    """The positive solution of m = tanh(2 m / tau)."""
    return float(brentq(lambda m: tanh(2 * m / tau) - m, 0.1, 1))


def test_paid_as_in_the_released_code_mf_q_learns_the_mean_field() -> None:
    """Above the critical point it stays in order, as Weiss says and Onsager does not, from more order or from less."""
    tau, game = 1.4, Ising(12)
    mean = brentq(lambda m: tanh(2 * m / tau) - m, 0.1, 1)
    assert onsager_magnetisation(tau) == 0
    starts = (0.6, mean, 1.0)
    found = {}
    for order in ("released-code", "checkerboard"):
        agent = learned(game, [tau] * 6, learning_rate=0.05)
        for place in range(6) if order == "released-code" else ():
            # what a spin is paid, on the mean, among neighbours of that magnetisation
            agent.q_table[place] = 2 * starts[place // 2] * torch.tensor([-1.0, 1.0])
        data = SweepDataModule(
            game, [0], temperatures=agent.temperatures, steps=1, evaluations=1, order=order, start="up"
        )
        play(agent, data, 500)
        forget(agent)
        play(agent, data, 250)
        found[order] = agent.order_parameter.compute()[0].view(3, 2).mean(1).tolist()
    less, same, more = found["released-code"]
    assert same == pytest.approx(mean, abs=0.01)
    assert less == pytest.approx(mean, abs=0.05)
    assert more == pytest.approx(mean, abs=0.05)
    assert max(found["checkerboard"]) < 0.5


def check_energy(agent: LatticeAgent, burn_in: int, sweeps: int, measure_every: int) -> None:
    """See that its mean energy is Kaufman's within 4 standard errors over lattices, and these are small."""
    data = SweepDataModule(
        agent.environment,
        agent.seeds,
        temperatures=agent.temperatures,
        steps=measure_every,
        evaluations=1,
        start="up",
        measure_every=measure_every,
    )
    play(agent, data, burn_in)
    forget(agent)
    play(agent, data, sweeps)
    energy = agent.energy.compute().flatten()
    exact = kaufman_energy(agent.environment.size, agent.temperatures[0])
    error = energy.std() / len(energy) ** 0.5
    assert error < 0.005 * abs(exact)
    assert abs(energy.mean() - exact) < 4 * error


@pytest.mark.parametrize("tau", [0.9, 1.3])
@pytest.mark.parametrize("method", ["mf-q", "mcmc"])
def test_energy_of_eight_by_eight_is_kaufman_s(method: str, tau: float) -> None:
    game, temperatures = Ising(8), [tau] * 200
    agent = learned(game, temperatures) if method == "mf-q" else Metropolis(game, [2], temperatures=temperatures)
    check_energy(agent, 200, 200, 4)


@pytest.mark.slow
@pytest.mark.parametrize("size", [16, 20])
@pytest.mark.parametrize("tau", [0.9, CRITICAL_TEMPERATURE, 1.4])
@pytest.mark.parametrize("method", ["mf-q", "mcmc"])
def test_energy_of_larger_lattices_is_kaufman_s(method: str, tau: float, size: int) -> None:
    game, temperatures = Ising(size), [tau] * 64
    agent = learned(game, temperatures) if method == "mf-q" else Metropolis(game, [2], temperatures=temperatures)
    check_energy(agent, 2500, 2500, 10)


def test_independent_learning_forgets_which_neighbours_paid() -> None:
    agent = TabularIL(Ising(4), [0], temperatures=[1.0], learning_rate=0.25)
    assert agent.q_table.shape == (1, 1, 4, 4, 1, 2)
    agent.q_table[:] = torch.arange(32).view_as(agent.q_table) / 100
    entry = (0, 0, 2, 3, 0, 1)  # row 2, column 3; up the second of two
    expected, old = agent.q_table.clone(), agent.q_table[entry].item()
    for neighbours, paid in ((-4, 5.0), (2, -1.0)):
        site = torch.tensor([[[2 * 4 + 3]]])
        agent.learn(Transition(site, int8(neighbours), int8(1), torch.tensor([[[paid]]])))
        old += 0.25 * (paid - old)
    expected[entry] = old
    torch.testing.assert_close(agent.q_table, expected)
    sites, uniform = torch.arange(16).view(1, 1, 16), torch.rand(1, 1, 16, generator=torch.Generator().manual_seed(0))
    spin = torch.ones(1, 1, 16, dtype=torch.int8)
    acts = [agent.act(sites, total * spin, spin, uniform, 10**6) for total in SUMS]
    up = uniform < 1 / (1 + torch.exp((agent.q_table[..., 0] - agent.q_table[..., 1]).view(1, 1, 16)))
    assert all(torch.equal(each, 2 * up.to(torch.int8) - 1) for each in acts)


@pytest.mark.parametrize("order", ["checkerboard", "simultaneous", "released-code"])
def test_independent_learning_ends_in_the_mean_field(order: Order) -> None:
    """Each spin is paid `a (lambda / 2) 4 m` on average: `m = tanh(2 m / tau)`, and no order above tau = 2."""
    temperatures = [1.5, 2.5]
    agent = TabularIL(Ising(16), range(4), temperatures=temperatures, start_temperature=0.0)
    agent.q_table[:] = torch.tensor([-2.0, 2.0])  # what all spins up are paid
    data = SweepDataModule(
        Ising(16), range(4), temperatures=temperatures, order=order, start="up", steps=1000, evaluations=1
    )
    for sweeps in (500, 500):
        for transition in data.play(agent, sweeps):
            agent.learn(transition)
        ordered, disordered = agent.measured()["order_parameter"].mean(1).tolist()
    assert ordered == pytest.approx(brentq(lambda m: m - tanh(2 * m / 1.5), 0.1, 1), abs=0.01)
    assert ordered > 10 * disordered
    assert ordered > float(onsager_magnetisation(1.5)) + 0.5, "the lattice itself has no order there"


@pytest.mark.parametrize("method", [TabularMFQ, Metropolis])
def test_what_was_measured_is_a_mean_over_time_and_then_forgotten(method: type[LatticeAgent]) -> None:
    game = Ising(6, field=0.5)
    agent = method(game, [0, 1, 2], temperatures=[1.0, 1.5])
    drawn = 2 * torch.randint(2, (2, 4, 2, 3, 6, 6), generator=torch.Generator().manual_seed(0)) - 1
    for lattices in drawn.to(torch.int8):
        for each in lattices:
            agent.observe(*split(each))
        if isinstance(agent, TabularMFQ):
            agent.learn(Transition(torch.arange(6).view(2, 3, 1), *[torch.ones(2, 3, 1, dtype=torch.int8)] * 3))
        agent.validation_step(lambda policy: policy.measured(), 0)
        names = ["order_parameter", "sublattice_order_parameter", "squared_magnetisation", "fourth_magnetisation"]
        assert list(agent.scores) == [*names, "energy", *["q_error"] * (method is TabularMFQ)]
        m = magnetisation(lattices)
        expected = {"order_parameter": m.abs(), "squared_magnetisation": m**2, "fourth_magnetisation": m**4}
        expected["energy"] = game.energy(*split(lattices))
        for name, values in expected.items():
            assert agent.scores[name].shape == (2, 3)
            torch.testing.assert_close(agent.scores[name], values.mean(0))


@pytest.mark.parametrize("method", [TabularMFQ, Metropolis])
def test_one_run_alone_is_scored_in_the_same_shape(method: type[LatticeAgent]) -> None:
    agent = method(Ising(4), [0], temperatures=[1.0])
    sampled(agent, "checkerboard", 3, 1, 0)
    agent.validation_step(lambda policy: policy.measured(), 0)
    assert {values.shape for values in agent.scores.values()} == {(1, 1)}


def test_start_of_mf_q_and_schedule() -> None:
    agent = TabularMFQ(Ising(), [0, 1], temperatures=[1.0])
    assert agent.q_table.shape == (1, 2, 20, 20, 5, 2)
    assert not agent.q_table.any()
    assert (agent.learning_rate, agent.start_temperature, agent.decay) == (0.1, 2.0, 1e-3)
    assert agent.configure_optimizers() == []
    measured = ("order_parameter.", "energy.", "q_error.")
    own = [name for name in agent.state_dict() if not name.startswith(measured)]
    assert own == ["q_table"], "the rest is made from arguments, or measured"
    # 0.5 (1 + epsilon): as T falls, a small advantage comes to decide.
    agent.q_table[..., 1] = 0.01
    chances = [1 / (1 + exp(-0.01 / (1.0 + 2.0 * exp(-1e-3 * step)))) for step in (0, 1000, 10_000)]
    assert all(first < second for first, second in pairwise(chances))
    site, spin = torch.tensor([[[0], [400]]]), torch.ones(1, 2, 1, dtype=torch.int8)
    for step, chance in zip((0, 1000, 10_000), chances, strict=True):
        for factor, expected in ((1 - 1e-6, 1), (1 + 1e-6, -1)):
            uniform = torch.full((1, 2, 1), chance * factor)
            assert agent.act(site, 0 * spin, spin, uniform, step).flatten().tolist() == [expected] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, r"learning_rate must be in \(0, 1\], got 0.0"),
        ({"learning_rate": 1.5}, r"learning_rate must be in \(0, 1\], got 1.5"),
        ({"start_temperature": -0.1}, "start_temperature must be at least 0 and finite, got -0.1"),
        ({"start_temperature": float("nan")}, "start_temperature must be at least 0 and finite, got nan"),
        ({"decay": 0.0}, "decay must be positive and finite, got 0.0"),
        ({"temperatures": [1e31]}, r"temperatures must be numbers, at least one, from 1e-30 to 1e\+30, got \[1e\+31\]"),
        ({"temperatures": []}, r"temperatures must be numbers, at least one, from 1e-30 to 1e\+30, got \[\]"),
        (
            {"temperatures": [1.0, 0.0]},
            r"temperatures must be numbers, at least one, from .* to .*, got \[1.0, 0.0\]",
        ),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TabularMFQ(Ising(4), [0], **({"temperatures": [1.0]} | changes))


def test_metropolis_needs_positive_temperatures_and_takes_no_learning_rate() -> None:
    with pytest.raises(ValueError, match=r"temperatures must be numbers, .*, got \[-1.0\]"):
        Metropolis(Ising(4), [0], temperatures=[-1.0])
    with pytest.raises(TypeError):
        Metropolis(Ising(4), [0], temperatures=[1.0], learning_rate=0.1)  # type: ignore[call-arg]

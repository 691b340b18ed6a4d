"""Exact means of the Ising model on the 3 x 3 and 4 x 4 torus, by enumeration of all states.

The model is Eq. 28 of Yang et al. 2018, appendix C.2. `temperature` is the paper's tau, half the physical temperature.
If one site acts at a time (heat bath, Algorithm 3), the stationary law is
`P(a) ~ exp((h sum_j a_j + (lambda / 2) sum_bonds a_j a_k) / tau)`: a site considers its own reward, Eq. 33, in which a
bond counts lambda / 2. The printed Eq. 29 has lambda instead of lambda / 2, because Eq. 28 counts each bond from both
ends. If all sites act at once, the law is different: see Peretto, *Collective Properties of Neural Networks: A
Statistical Physics Approach*, Biological Cybernetics 50, 51 (1984).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmarl.arguments import Array
from mfmarl.environments.ising_arguments import check_size, checked_coupling, checked_finite, temperature_array

Integers = NDArray[np.int64]


class Means(NamedTuple):
    """Exact equilibrium means, named like the columns of equilibrium.csv.

    Attributes:
        order_parameter: `<|m|>`, where m is the magnetisation per site.
        energy: mean energy per site `<u>`.
        squared_magnetisation: `<m^2>`.
        fourth_magnetisation: `<m^4>`.
    """

    order_parameter: float
    energy: float
    squared_magnetisation: float
    fourth_magnetisation: float


@dataclass(frozen=True, eq=False)
class States:
    """All 2^(L^2) states of a torus, in C classes of equal energy and magnetisation; made by `enumerate_states`.

    Args:
        size: side L of the torus.
        field: external field h.
        coupling: coupling lambda.
        bonds: sum of `a_j a_k` over the 2 L^2 bonds in each class, `[C]` int64.
        spins: sum of a_j over the L^2 sites in each class, `[C]` int64.
        counts: number of states in each class, `[C]` int64.
    """

    size: int
    field: float
    coupling: float
    bonds: Integers
    spins: Integers
    counts: Integers

    @property
    def energies(self) -> Array:
        """Energy per site `[C]`, Eq. 28 divided by N: `u = -(h sum_j a_j + lambda sum_bonds a_j a_k) / L^2`."""
        return -(self.field * self.spins + self.coupling * self.bonds) / self.size**2

    @property
    def magnetisations(self) -> Array:
        """Magnetisation per site m in [-1, 1], `[C]`."""
        return self.spins / self.size**2

    def probabilities(self, temperature: float) -> Array:
        """Return the probability of each class under the stationary law of single-site dynamics, `[C]`.

        Raises:
            ValueError: the temperature is not positive and finite.
        """
        exponents = self.field * self.spins + self.coupling / 2 * self.bonds
        return _distribution(self.counts, exponents, temperature)

    def means(self, temperature: float) -> Means:
        """Return the exact means at `temperature`.

        Raises:
            ValueError: as in `probabilities`.
        """
        probabilities, m = self.probabilities(temperature), self.magnetisations
        return Means(*(float(probabilities @ values) for values in (np.abs(m), self.energies, m**2, m**4)))


def enumerate_states(size: int, field: float = 0.0, coupling: float = 1.0) -> States:
    """Enumerate all states of the L x L torus.

    Args:
        size: side L, 3 or 4. On a smaller torus two sites would be neighbours twice; a larger torus has too many
            states.
        field: external field h. 0: the paper.
        coupling: coupling lambda, of either sign. 1: the paper.

    Raises:
        ValueError: the size is not 3 or 4, or the field or coupling is not finite.
    """
    check_size(size, 3, 4)
    checked_finite("field", field)
    checked_finite("coupling", coupling)
    lattices = _lattices(size)
    bonds = (lattices * _neighbour_sums(lattices)).sum((1, 2)) // 2  # each bond was counted from both ends
    (bonds, spins), counts = _classes(bonds, lattices.sum((1, 2)))
    return States(size, field, coupling, bonds, spins, counts)


def synchronous_correlation(size: int, temperature: float, coupling: float = 1.0) -> float:
    """Return the stationary `<a_i(t+1) sum_k a_k(t)>` when all sites act at once by heat bath, without a field.

    Peretto's stationary law is `P(a) ~ prod_i cosh((lambda / 2) H_i / tau)` with `H_i = sum_k a_k` over the four
    neighbours, and `<a_i(t+1) | a(t)> = tanh((lambda / 2) H_i / tau)`. On a torus of even size, the sublattices of two
    successive steps form two lattices in the ordinary equilibrium, so the correlation is `-2 u / lambda`, where u is
    the energy per site of that equilibrium.

    It is a reference for the tests and for users who let all sites act at once (order `simultaneous`). None of our
    results uses it.

    Args:
        size: side L, 3 or 4.
        temperature: temperature tau, positive.
        coupling: coupling lambda, positive. 1: the paper.

    Returns:
        The correlation, in [0, 4].

    Raises:
        ValueError: the size is not 3 or 4, or the temperature or coupling is not positive and finite.
    """
    check_size(size, 3, 4)
    temperature_array(temperature)
    checked_coupling(coupling)
    sums = np.abs(_neighbour_sums(_lattices(size)))
    values = np.array([0, 2, 4])
    sites, counts = _classes(*((sums == value).sum((1, 2)) for value in values))
    # A state's weight is a product over its sites, so it depends only on how many have H = 0, +-2 and +-4.
    arguments = coupling / 2 * values / temperature
    log_cosh = arguments + np.log1p(np.exp(-2 * arguments))  # plus a constant, ln 2
    probabilities = _distribution(counts, temperature * log_cosh @ sites, temperature)
    return float(probabilities @ ((values * np.tanh(arguments)) @ sites)) / size**2


def _lattices(size: int) -> Integers:
    """Return all states of -1 and 1, `[2^(L^2), L, L]` int64."""
    bits = np.arange(2 ** (size * size)).reshape(-1, 1) >> np.arange(size * size) & 1
    return (2 * bits - 1).reshape(-1, size, size)


def _neighbour_sums(lattices: Integers) -> Integers:
    """Return the sum of the four nearest neighbours of each site, `[n, L, L]`, for lattices `[n, L, L]`."""
    shifted = (np.roll(lattices, step, axis) for step in (1, -1) for axis in (1, 2))
    return sum(shifted, np.zeros_like(lattices))


def _classes(*labels: Integers) -> tuple[Integers, Integers]:
    """Group K labels `[n]`, all below 500 in size; return their combinations `[K, C]` and the counts of these `[C]`."""
    keys = sum((label * 1000**place for place, label in enumerate(labels)), np.zeros_like(labels[0]))
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return np.stack(labels)[:, first], counts


def _distribution(counts: Integers, exponents: Array, temperature: float) -> Array:
    """Return `counts * exp(exponents / temperature)`, normalised to sum to 1, `[C]`."""
    temperature_array(temperature)
    weights = counts * np.exp((exponents - exponents.max()) / temperature)
    probabilities: Array = weights / weights.sum()
    return probabilities

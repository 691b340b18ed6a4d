"""The Ising model on the 3 x 3 and 4 x 4 torus, state by state: Eq. 28 of Yang et al. 2018, appendix C.2.

`temperature` is tau of the paper, half the physical temperature. Where one site acts at a time (heat bath, Algorithm
3) the law is `P(a) ~ exp((h sum_j a_j + (lambda / 2) sum_bonds a_j a_k) / tau)`: a site weighs its own reward,
Eq. 33, in which a bond counts lambda / 2. Eq. 29 as printed has lambda there, for Eq. 28 counts a bond from both ends.
Where all sites act at once the law is another: Peretto, *Collective Properties of Neural Networks: A Statistical
Physics Approach*, Biological Cybernetics 50, 51 (1984).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfmarl.environments.ising_arguments import check_size, checked_coupling, checked_finite, temperature_array

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


class Means(NamedTuple):
    """Exact equilibrium means, named as the columns of equilibrium.csv.

    Attributes:
        order_parameter: `<|m|>`, m being the magnetisation a site.
        energy: `<u>`, a site.
        squared_magnetisation: `<m^2>`.
        fourth_magnetisation: `<m^4>`.
    """

    order_parameter: float
    energy: float
    squared_magnetisation: float
    fourth_magnetisation: float


@dataclass(frozen=True, eq=False)
class States:
    """All 2^(L^2) states of a torus, in C classes of equal energy and magnetisation; from `enumerate_states`.

    Args:
        size: L.
        field: h.
        coupling: lambda.
        bonds: `[C]` int64, the sum of `a_j a_k` over the 2 L^2 bonds.
        spins: `[C]` int64, the sum of a_j over the L^2 sites.
        counts: `[C]` int64, the number of states of each class.
    """

    size: int
    field: float
    coupling: float
    bonds: Integers
    spins: Integers
    counts: Integers

    @property
    def energies(self) -> Array:
        """Energy a site, Eq. 28 over N: `u = -(h sum_j a_j + lambda sum_bonds a_j a_k) / L^2`, `[C]`."""
        return -(self.field * self.spins + self.coupling * self.bonds) / self.size**2

    @property
    def magnetisations(self) -> Array:
        """Magnetisation a site m in [-1, 1], `[C]`."""
        return self.spins / self.size**2

    def probabilities(self, temperature: float) -> Array:
        """Probability of each class under the stationary law of single-site dynamics, `[C]`, summing to 1.

        Raises:
            ValueError: a temperature that is not positive and finite.
        """
        exponents = self.field * self.spins + self.coupling / 2 * self.bonds
        return _distribution(self.counts, exponents, temperature)

    def means(self, temperature: float) -> Means:
        """Exact means at `temperature`.

        Raises:
            ValueError: as `probabilities`.
        """
        probabilities, m = self.probabilities(temperature), self.magnetisations
        return Means(*(float(probabilities @ values) for values in (np.abs(m), self.energies, m**2, m**4)))


def enumerate_states(size: int, field: float = 0.0, coupling: float = 1.0) -> States:
    """Every state of the L x L torus.

    Args:
        size: L, 3 or 4. On a smaller torus a site would neighbour another twice, a larger has too many states.
        field: h. 0: the paper.
        coupling: lambda, of either sign. 1: the paper.

    Raises:
        ValueError: another size, or a field or coupling that is not finite.
    """
    check_size(size, 3, 4)
    checked_finite("field", field)
    checked_finite("coupling", coupling)
    lattices = _lattices(size)
    bonds = (lattices * _neighbour_sums(lattices)).sum((1, 2)) // 2  # each bond was counted from both ends
    (bonds, spins), counts = _classes(bonds, lattices.sum((1, 2)))
    return States(size, field, coupling, bonds, spins, counts)


def synchronous_correlation(size: int, temperature: float, coupling: float = 1.0) -> float:
    """Stationary `<a_i(t+1) sum_k a_k(t)>` when all sites redraw at once by heat bath, without a field.

    Peretto's stationary law is `P(a) ~ prod_i cosh((lambda / 2) H_i / tau)` with `H_i = sum_k a_k` over the four
    neighbours, and `<a_i(t+1) | a(t)> = tanh((lambda / 2) H_i / tau)`. On an even torus the sublattices of two
    successive steps make up two lattices at the ordinary equilibrium, and the correlation is `-2 u / lambda` of it.

    A reference for users who play all at once (order `simultaneous`), and for the tests; no result of ours uses it.

    Args:
        size: L, 3 or 4.
        temperature: tau, positive.
        coupling: lambda, positive. 1: the paper.

    Returns:
        The correlation, in [0, 4].

    Raises:
        ValueError: another size, or a temperature or coupling that is not positive and finite.
    """
    check_size(size, 3, 4)
    temperature_array(temperature)
    checked_coupling(coupling)
    sums = np.abs(_neighbour_sums(_lattices(size)))
    values = np.array([0, 2, 4])
    sites, counts = _classes(*((sums == value).sum((1, 2)) for value in values))
    # A state's weight is a product over its sites: how many have H = 0, +-2 and +-4 decides it.
    arguments = coupling / 2 * values / temperature
    log_cosh = arguments + np.log1p(np.exp(-2 * arguments))  # but for ln 2, the same for all sites
    probabilities = _distribution(counts, temperature * log_cosh @ sites, temperature)
    return float(probabilities @ ((values * np.tanh(arguments)) @ sites)) / size**2


def _lattices(size: int) -> Integers:
    """All states `[2^(L^2), L, L]` int64 of -1 and 1."""
    bits = np.arange(2 ** (size * size)).reshape(-1, 1) >> np.arange(size * size) & 1
    return (2 * bits - 1).reshape(-1, size, size)


def _neighbour_sums(lattices: Integers) -> Integers:
    """Sum of the four nearest neighbours of each site, `[n, L, L]` to the same."""
    shifted = (np.roll(lattices, step, axis) for step in (1, -1) for axis in (1, 2))
    return sum(shifted, np.zeros_like(lattices))


def _classes(*labels: Integers) -> tuple[Integers, Integers]:
    """The K labels `[n]`, all below 500 in size, grouped: the combinations `[K, C]` and their counts `[C]`."""
    keys = sum((label * 1000**place for place, label in enumerate(labels)), np.zeros_like(labels[0]))
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return np.stack(labels)[:, first], counts


def _distribution(counts: Integers, exponents: Array, temperature: float) -> Array:
    """`counts * exp(exponents / temperature)` normalised, `[C]`."""
    temperature_array(temperature)
    weights = counts * np.exp((exponents - exponents.max()) / temperature)
    probabilities: Array = weights / weights.sum()
    return probabilities

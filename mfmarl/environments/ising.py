"""The Ising model as a game (appendix C.2): spins on a torus, each paid for agreeing with its four neighbours.

Lattices are batched: spins are int8 -1 or +1, `[..., L, L]`; in training, `[temperatures, seeds, L, L]`. For even L
the torus is a checkerboard: all neighbours of a site have the other colour, so one colour can act while the other
stays fixed. Such a lattice can be split by colour into two tensors `[..., L, L/2]`, even (row + column is even) and
odd. A lattice of odd size needs three colours and is not split.

Temperatures are the paper's tau, which is half the physical temperature T of the textbook model. The critical point is
at tau = 1 / ln(1 + sqrt 2) = 1.1346, where T = 2.2692.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mfmarl.arguments import check_fields
from mfmarl.environments.ising_arguments import check_size, checked_coupling, checked_finite

LARGEST_SIZE = 4096  # 17 million spins; for each spin, a run stores a byte, a table of Q and temporary sums


@dataclass(frozen=True)
class Ising:
    """L x L spins with the reward of Eq. 33, `r^j = h a^j + (lambda / 2) a^j sum_k a^k`, over the four neighbours k.

    Args:
        size: side L of the lattice, at least 3, so that neighbours are distinct, and at most 4096. 20: the paper.
        field: external field h. 0: appendix C.2.
        coupling: strength lambda of the coupling, positive, so that spins tend to agree (appendix C.2). 1: the paper.
        actions: number of actions, always 2, down and up: appendix C.2.

    Raises:
        ValueError: an argument is not allowed.
    """

    size: int = 20
    field: float = 0.0
    coupling: float = 1.0
    actions: int = 2

    def __post_init__(self) -> None:
        check_fields(self)
        check_size(self.size, 3, LARGEST_SIZE)
        checked_finite("field", self.field)
        checked_coupling(self.coupling)
        if self.actions != 2:
            raise ValueError(f"a spin has 2 actions, got {self.actions}")

    @property
    def agents(self) -> int:
        """N, the number of spins: L squared."""
        return self.size * self.size

    def reward(self, action: Tensor, neighbours: Tensor) -> Tensor:
        """Return the reward of Eq. 33, `[...]` float32, for spins `[...]` and the sums of their neighbours `[...]`."""
        return action * (self.field + self.coupling / 2 * neighbours)

    def neighbour_sums(self, other: Tensor, colour: int) -> Tensor:
        """Return `sum_k a^k` for the sites of one colour, computed from the spins of the other colour.

        Args:
            other: spins of the other colour, `[..., L, L/2]` int8.
            colour: colour of the sites, 0 for even or 1 for odd.

        Returns:
            The sums, `[..., L, L/2]` int8: -4, -2, 0, 2 or 4.
        """
        pairs = _row_pairs(other)  # the two rows of a pair are shifted by one column against each other
        beside = torch.stack([pairs[..., row, :].roll(1 if row == colour else -1, -1) for row in (0, 1)], -2)
        return beside.view_as(other).add_(other).add_(other.roll(1, -2)).add_(other.roll(-1, -2))

    def whole_neighbour_sums(self, spins: Tensor) -> Tensor:
        """Return `sum_k a^k` for all sites of whole lattices, `[..., L, L]` to `[..., L, L]`; L may be odd."""
        return spins.roll(1, -1).add_(spins.roll(-1, -1)).add_(spins.roll(1, -2)).add_(spins.roll(-1, -2))

    def energy(self, *colours: Tensor) -> Tensor:
        """Return the energy per site, Eq. 28 divided by N. By default it is -2 where all spins agree.

        Args:
            *colours: even and odd sites, `[..., L, L/2]` each, or whole lattices `[..., L, L]`.

        Returns:
            The energy, `[...]` float64.
        """
        if len(colours) == 1:
            counted_twice = colours[0] * self.whole_neighbour_sums(colours[0])
            bonds = counted_twice.flatten(-2).sum(-1, dtype=torch.int32).double() / 2
        else:
            even, odd = colours
            bonds = (even * self.neighbour_sums(odd, 0)).flatten(-2).sum(-1, dtype=torch.int32).double()
        return -(self.field * magnetisation(*colours) + self.coupling / self.agents * bonds)


def split(spins: Tensor) -> tuple[Tensor, Tensor]:
    """Split lattices `[..., L, L]` into their even and their odd sites, `[..., L, L/2]` each."""
    blocks = spins.view(*spins.shape[:-2], spins.shape[-2] // 2, 2, spins.shape[-1] // 2, 2)
    even = torch.stack([blocks[..., 0, :, 0], blocks[..., 1, :, 1]], -2)
    odd = torch.stack([blocks[..., 0, :, 1], blocks[..., 1, :, 0]], -2)
    return even.flatten(-3, -2), odd.flatten(-3, -2)


def join(even: Tensor, odd: Tensor) -> Tensor:
    """Join even and odd sites to whole lattices, the inverse of `split`."""
    even, odd = _row_pairs(even), _row_pairs(odd)
    first = torch.stack([even[..., 0, :], odd[..., 0, :]], -1)
    second = torch.stack([odd[..., 1, :], even[..., 1, :]], -1)
    return torch.stack([first, second], -3).flatten(-2, -1).flatten(-3, -2)


def magnetisation(*spins: Tensor) -> Tensor:
    """Return the mean spin m, `[...]` float64, over the last two dimensions of one or several tensors of one shape."""
    totals = [part.flatten(-2).sum(-1, dtype=torch.int32) for part in spins]
    sites = len(spins) * spins[0].shape[-2] * spins[0].shape[-1]
    return torch.stack(totals).sum(0).double() / sites


def _row_pairs(colour: Tensor) -> Tensor:
    """View `[..., L, L/2]` as `[..., L/2, 2, L/2]`."""
    return colour.view(*colour.shape[:-2], colour.shape[-2] // 2, 2, colour.shape[-1])

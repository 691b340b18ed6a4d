"""Graphs as adjacency matrices `[N, N]` float64; entry (j, k) is 1 if k is a neighbour of j, else 0."""

from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mfmarl.arguments import Array, integer, real_array


def torus(size: int) -> Array:
    """Return a torus of `size` x `size` sites, at least 3 x 3; site row * size + column has four neighbours."""
    size = integer("size", size, 3)
    return _lattice(size, size, wrapped=True)


def grid(rows: int, columns: int) -> Array:
    """Return a grid: a torus without the bonds across its edges. A corner has two neighbours."""
    return _lattice(integer("rows", rows, 1), integer("columns", columns, 1), wrapped=False)


def path(agents: int) -> Array:
    """Return a line of agents. The agents at its ends have one neighbour."""
    return _lattice(1, integer("agents", agents, 1), wrapped=False)


def ring(agents: int) -> Array:
    """Return a closed line of at least 3 agents."""
    agents = integer("agents", agents, 3)
    return _symmetric(agents, ((j, (j + 1) % agents) for j in range(agents)))


def complete(agents: int) -> Array:
    """Return the complete graph: all agents are neighbours of each other, as in Gaussian Squeeze."""
    agents = integer("agents", agents, 1)
    return np.ones((agents, agents)) - np.eye(agents)


def star(leaves: int) -> Array:
    """Return a star: agent 0 is the neighbour of all others, which have no other neighbour."""
    leaves = integer("leaves", leaves, 1)
    return _symmetric(leaves + 1, ((0, leaf) for leaf in range(1, leaves + 1)))


GRAPHS: dict[str, Callable[[], Array]] = {
    "torus 4 x 4": lambda: torus(4),
    "torus 5 x 5": lambda: torus(5),
    "ring of 12": lambda: ring(12),
    "complete, 10": lambda: complete(10),
    "star, 9 leaves": lambda: star(9),
    "path of 10": lambda: path(10),
    "grid 4 x 4": lambda: grid(4, 4),
}


def colours(adjacency: ArrayLike) -> list[NDArray[np.int64]]:
    """Return a proper colouring: groups of sites that are not neighbours of each other and can act together.

    The method is saturation (Brelaz, *New methods to color the vertices of a graph*, CACM 22, 1979). It gives two
    groups where two are enough, and three for tori of size 3 and 5. If the matrix is not symmetric, a bond in either
    direction counts.

    Returns:
        Site numbers of each colour, increasing.
    """
    bonds = checked_adjacency(adjacency) != 0
    bonds |= bonds.T
    colour = np.full(len(bonds), -1)
    degree = bonds.sum(1)
    for _ in range(len(bonds)):
        taken = [set(colour[row].tolist()) - {-1} for row in bonds]
        free = np.flatnonzero(colour < 0).tolist()
        site = max(free, key=lambda j: (len(taken[j]), degree[j], -j))
        colour[site] = min(set(range(len(taken[site]) + 1)) - taken[site])
    return [np.flatnonzero(colour == c).astype(np.int64) for c in range(colour.max() + 1)]


def checked_adjacency(adjacency: ArrayLike) -> Array:
    """Return the matrix as float64. Raise ValueError unless it is square, real, finite and 0 on its diagonal."""
    matrix = real_array("adjacency", adjacency)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"adjacency must be [N, N] with N at least 1, got shape {list(matrix.shape)}")
    if np.diag(matrix).any():
        raise ValueError(f"adjacency must be 0 on its diagonal, got {np.diag(matrix).tolist()}")
    return matrix


def _lattice(rows: int, columns: int, *, wrapped: bool) -> Array:
    def bonds() -> Iterable[tuple[int, int]]:
        for row, column in product(range(rows), range(columns)):
            for below, right in ((row + 1, column), (row, column + 1)):
                if wrapped or (below < rows and right < columns):
                    yield row * columns + column, below % rows * columns + right % columns

    return _symmetric(rows * columns, bonds())


def _symmetric(agents: int, bonds: Iterable[tuple[int, int]]) -> Array:
    adjacency = np.zeros((agents, agents))
    for j, k in bonds:
        adjacency[j, k] = adjacency[k, j] = 1.0
    return adjacency

"""The paper's mathematics as pure functions: appendix B, D and D.1, and the toy example of the main text.

They say what is exact. What the package's own methods learn is handed in, as callables and tables of values.
"""

from mfmarl.theory.approximation import (
    hessian,
    mean_neighbour_action,
    pairwise_fit,
    remainder,
    remainder_bound,
    remainder_terms,
    secant_curvature,
    simplex_gap,
    tangential_norm,
)

__all__ = [
    "hessian",
    "mean_neighbour_action",
    "pairwise_fit",
    "remainder",
    "remainder_bound",
    "remainder_terms",
    "secant_curvature",
    "simplex_gap",
    "tangential_norm",
]

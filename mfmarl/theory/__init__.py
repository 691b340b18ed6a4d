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
from mfmarl.theory.contraction import (
    contraction_temperature,
    critical_temperature,
    dobrushin_influence,
    dobrushin_temperature,
    fixed_points,
    flip_temperature,
    iterate,
    iterate_number,
    largest_slope,
    mean_number_map,
    measured_factor,
    period,
    several_temperature,
    spin_factors,
)
from mfmarl.theory.softmax import (
    SUFFICIENT,
    lipschitz_constants,
    policy_map_radius,
    sharp_values,
    softmax_jacobian,
    sufficient_temperature,
)

__all__ = [
    "SUFFICIENT",
    "contraction_temperature",
    "critical_temperature",
    "dobrushin_influence",
    "dobrushin_temperature",
    "fixed_points",
    "flip_temperature",
    "hessian",
    "iterate",
    "iterate_number",
    "largest_slope",
    "lipschitz_constants",
    "mean_neighbour_action",
    "mean_number_map",
    "measured_factor",
    "pairwise_fit",
    "period",
    "policy_map_radius",
    "remainder",
    "remainder_bound",
    "remainder_terms",
    "secant_curvature",
    "several_temperature",
    "sharp_values",
    "simplex_gap",
    "softmax_jacobian",
    "spin_factors",
    "sufficient_temperature",
    "tangential_norm",
]

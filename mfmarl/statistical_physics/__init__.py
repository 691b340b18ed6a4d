"""Exact and theoretical results for the Ising model of Yang et al. 2018, Section 5.2 and appendix C.2."""

from mfmarl.statistical_physics.enumeration import Means, States, enumerate_states, synchronous_correlation
from mfmarl.statistical_physics.exact import (
    CRITICAL_TEMPERATURE,
    critical_temperature,
    kaufman_energy,
    onsager_energy,
    onsager_magnetisation,
)
from mfmarl.statistical_physics.finite_size import DEGREE, binder_cumulant, crossings, cumulants, fits
from mfmarl.statistical_physics.mean_field_theory import mean_field_iteration, mean_field_magnetisation

__all__ = [
    "CRITICAL_TEMPERATURE",
    "DEGREE",
    "Means",
    "States",
    "binder_cumulant",
    "critical_temperature",
    "crossings",
    "cumulants",
    "enumerate_states",
    "fits",
    "kaufman_energy",
    "mean_field_iteration",
    "mean_field_magnetisation",
    "onsager_energy",
    "onsager_magnetisation",
    "synchronous_correlation",
]

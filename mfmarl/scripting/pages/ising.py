"""Passages of results/ising/README.md with numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mfmarl.claims.ising import (
    ISING_SIZE,
    ORDERS,
    OWN_CRITICAL,
    error_grows,
    final_error,
    orders_coincide,
    transitions,
)
from mfmarl.claims.tables import Tables
from mfmarl.evaluation.names import NAMES
from mfmarl.evaluation.tables import only
from mfmarl.evaluation.verdicts import NOT_TESTED, judge
from mfmarl.files import read_csv
from mfmarl.scripting.pages.markdown import one, table, with_interval
from mfmarl.scripting.tables import read_provenance
from mfmarl.statistical_physics import CRITICAL_TEMPERATURE
from mfmarl.statistical_physics.mean_field_theory import mean_field_magnetisation

AROUND = (1.05, 1.3)  # range of tau around the critical point, where runs settle slowly
FROZEN = 0.05  # distance below the mean field's curve from which a run counts as frozen


def passages(results: Path) -> dict[str, str]:
    """Write all passages, by name, from the tables in a folder like results/ising."""
    summary = only(read_csv(results / "summary.csv"), size=ISING_SIZE)
    every = only(read_csv(results / "summary.csv"), order="checkerboard")
    return {
        "by-order": by_order(Tables(lambda name: read_csv(results.parent / name))),
        "order-parameter": order_parameter(summary),
        "agreement": agreement(summary, every),
        "crossings": crossings(read_csv(results / "crossings.csv"), fit_of(results / "provenance.json")),
        "errors": errors(read_csv(results / "training.csv")),
        "frozen": frozen(read_csv(results / "equilibrium.csv")),
        "control": control(only(read_csv(results / "equilibrium.csv"), size=ISING_SIZE)),
    }


def by_order(tables: Tables) -> str:
    """Table of the verdicts by the runs in one order of updates alone. Crossings were measured in the first alone."""
    claims = {"IS-1": orders_coincide, "IS-3": error_grows}
    rows = [
        [name, *(measure(tables).verdict_of(f"{order} order") for order in ORDERS)] for name, measure in claims.items()
    ]
    crossing = judge(transitions(tables).groups)[0]
    rows.insert(1, ["IS-2", crossing, *[NOT_TESTED] * len(ORDERS[1:])])
    return table(["by the runs in one order alone", *(f"`{order}`" for order in ORDERS)], rows)


def order_parameter(summary: pd.DataFrame) -> str:
    """Table of the order parameter by temperature and order of updates; empty cells if an order was not run."""
    cells = [("mcmc", "checkerboard"), ("mf-q", "checkerboard"), ("il", "checkerboard")]
    cells += [("mf-q", "simultaneous"), ("mf-q", "released-code")]

    def measured(some: pd.DataFrame, method: str, order: str) -> str:
        rows = only(some, method=method, order=order)
        return with_interval(one(rows), "order_parameter", ".3f") if len(rows) else ""

    rows = [
        [f"{temperature:g}", *(measured(some, method, order) for method, order in cells)]
        for temperature, some in summary.groupby("temperature")
    ]
    counts = [sorted(set(only(summary, method=method, order=order)["n"])) for method, order in cells]
    header = [
        f"{NAMES[method]}, {order}, n = {' or '.join(map(str, count))}"
        for (method, order), count in zip(cells, counts, strict=True)
    ]
    how = "Order parameter, mean of n seeds with 95% intervals, 20 x 20 spins."
    return f"{how}\n\n{table(['tau', *header], rows)}"


def agreement(summary: pd.DataFrame, every: pd.DataFrame) -> str:
    """Sentences on the distance of MF-Q from MCMC and from the exact energy, in the checkerboard order."""
    means = only(summary, order="checkerboard").set_index(["temperature", "method"])["order_parameter"]
    differences = (means.xs("mf-q", level=1) - means.xs("mcmc", level=1)).abs()
    near = differences.index.to_series().between(*AROUND)
    energies = only(every, method="mf-q")["standard_errors"].abs()
    others = only(every, method="mcmc")["standard_errors"].abs()
    return (
        f"In the checkerboard order of 20 x 20 spins the order parameters of MF-Q and MCMC differ by at most"
        f" {differences[~near].max():.4f} outside [{AROUND[0]}, {AROUND[1]}] and by at most"
        f" {differences[near].max():.4f} inside it. MF-Q's energies lie within {energies.max():.2f} standard errors"
        f" of Kaufman's exact ones at all"
        f" {len(energies)} temperatures and sizes, MCMC's within {others.max():.2f}."
    )


def control(equilibrium: pd.DataFrame) -> str:
    """Comparison of independent learning with the mean field's curve, MF-Q and MCMC."""
    away = from_mean_field(only(equilibrium, method="il"))
    beside = away.abs().le(FROZEN).groupby("order").agg(["sum", "size"])
    shares = [f"{count} of {n} in the {order} order" for order, count, n in beside.itertuples()]
    medians = equilibrium.groupby(["method", "order", "temperature"])["order_parameter"].median()
    at_once = (medians["il", "released-code"] - medians["mf-q", "released-code"]).abs()
    apart = (medians["il", "checkerboard"] - medians["mf-q", "checkerboard"]).abs()
    truth = (medians["mf-q", "checkerboard"] - medians["mcmc", "checkerboard"]).abs()
    return (
        f"Of IL's runs below tau = {OWN_CRITICAL:g} these end within {FROZEN} of the mean field's curve"
        f" m = tanh(2 m / tau): {', '.join(shares)};"
        f" {(away < -FROZEN).sum()} lie further below it and {(away > FROZEN).sum()} above."
        " Medians of the order parameter (IL's means are moved by the runs far below) in the checkerboard order:"
        f" IL's is up to {apart.max():.2f} (at tau = {apart.idxmax():g}) from MF-Q's,"
        f" which is within {truth.max():.3f} of MCMC's."
        " In the released code's order MF-Q's and IL's medians differ by up to"
        f" {at_once.max():.2f} (at tau = {at_once.idxmax():g})."
    )


def fit_of(provenance: Path) -> Mapping[str, Any]:
    """The parameters of the fit that found the crossings: the degree, and the temperatures by sizes."""
    calls = read_provenance(provenance)["equilibrium"]
    fit: Mapping[str, Any] = [call for call in calls if "crossings" in call["settings"]][-1]["settings"]["crossings"]
    return {name: entry["value"] for name, entry in fit.items()}


def crossings(found: pd.DataFrame, fit: Mapping[str, Any]) -> str:
    """The temperatures at which the Binder cumulants of two sizes cross, and the method that found them."""
    rows = []
    for sizes in ("8, 16", "16, 32"):
        cells = [one(found, method=method, sizes=sizes) for method in ("mf-q", "mcmc")]
        texts = [f"{cell['estimate']:.4f} [{cell['low']:.4f}, {cell['high']:.4f}] n={cell['n']}" for cell in cells]
        rows.append([sizes.replace(", ", " and "), *texts, f"{CRITICAL_TEMPERATURE:.4f}"])
    within = [
        f"{len(at)} temperatures in [{min(at):g}, {max(at):g}] for {name.removeprefix('temperatures of ')}"
        for name, at in fit.items()
        if name != "degree"
    ]
    how = f"The curves that cross are polynomials in tau of degree {fit['degree']}, fitted at {', and '.join(within)}."
    return f"{table(['sizes', 'MF-Q', 'MCMC', 'exact'], rows)}\n\n{how}"


def errors(training: pd.DataFrame) -> str:
    """Table of the mean squared error of Q at the end of training, as in IS-3; cells of untrained orders are empty."""
    curves = only(training, method="mf-q")
    temperatures = sorted(set(curves["temperature"]))
    rows = []
    for order in sorted(set(curves["order"])):
        means = [final_error(curves, order, temperature) for temperature in temperatures]
        rows.append([f"`{order}`", *(f"{each.mean():.2g}" if len(each) else "" for each in means)])
    steps = f"the last tenth of {training['step'].max():,} sweeps"
    return table([f"mean squared error of Q, {steps}", *(f"tau = {each:g}" for each in temperatures)], rows)


def frozen(equilibrium: pd.DataFrame) -> str:
    """A sentence on the number of runs in the released code's order that end below the mean field's curve."""
    away = from_mean_field(only(equilibrium, method="mf-q", order="released-code", size=ISING_SIZE))
    below = (away < -FROZEN).sum()
    return (
        f"Of the {len(away)} runs below tau = {OWN_CRITICAL:g} in the order of the released code {below} end"
        f" {FROZEN} or more below the curve: their domains point both ways, or they are not in order yet."
    )


def from_mean_field(runs: pd.DataFrame) -> "pd.Series[float]":
    """Order parameter minus the mean field's curve for each run below the mean field's transition, by order."""
    runs = runs[runs["temperature"] < OWN_CRITICAL].set_index("order")
    return runs["order_parameter"] - runs["temperature"].map(lambda tau: mean_field_magnetisation(float(tau)))

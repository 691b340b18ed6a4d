"""The rule of each claim on made-up tables of every kind: what bears it out, what refutes it, few runs, and none."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mfmarl.claims import battle, gaussian_squeeze, ising, theory
from mfmarl.claims.tables import Claim, Measured, Tables
from mfmarl.evaluation.verdicts import FAILS, HOLDS, NOT_TESTED, UNDECIDED, judge
from reproduce import claims
from tests.test_claims import contraction, rounds, squeeze, tables_of

METHODS = ("il", "fmq", "rec-fmq", "maac", "mf-q", "mf-ac")
BASELINES = METHODS[:4]
MEAN_FIELD = METHODS[4:]


def ends(share: float, names: tuple[str, ...], sizes: tuple[int, ...], runs: int = 12) -> Tables:
    """Runs of some methods that all end at a share of G*, with calibrated settings and the appendix's."""
    cells = product(("appendix", "calibrated"), names, sizes)
    return squeeze({cell: [share] * runs for cell in cells})


def orders(difference: float, spread: float, seeds: int = 16, **others: float) -> Tables:
    """Order parameters of MF-Q, in each order of updates, and MCMC at two temperatures.

    They are apart by the difference, in some orders another, and each seed by the spread.
    """
    apart = {("mf-q", order): others.get(order, difference) for order in ising.ORDERS} | {("mcmc", "checkerboard"): 0.0}
    rows = [
        (method, order, 20, tau, seed, 0.5 + shift + spread * (seed % 2))
        for (method, order), shift in apart.items()
        for tau in (0.8, 1.2)
        for seed in range(seeds)
    ]
    columns = ["method", "order", "size", "temperature", "seed", "order_parameter"]
    return tables_of(ising__equilibrium=pd.DataFrame(rows, columns=columns))


def crossings(tau: float, half: float, n: int = 16) -> Tables:
    """Binder's cumulants cross at tau, with an interval of this half width."""
    rows = [(method, "16, 32", tau, tau - half, tau + half, n) for method in ("mf-q", "mcmc")]
    columns = ["method", "sizes", "estimate", "low", "high", "n"]
    return tables_of(ising__crossings=pd.DataFrame(rows, columns=columns))


def errors(cold: float, critical: float, runs: int = 5, **others: tuple[float, float]) -> Tables:
    """Q's error at tau = 0.8 and 1.2 in each order of updates, in some orders another."""
    rows = [
        ("mf-q", order, tau, seed, step, error * (1 + seed / 100))
        for order in ising.ORDERS
        for tau, error in zip((0.8, 1.2), others.get(order, (cold, critical)), strict=True)
        for seed in range(runs)
        for step in range(1, 11)
    ]
    columns = ["method", "order", "temperature", "seed", "step", "q_error"]
    return tables_of(ising__training=pd.DataFrame(rows, columns=columns))


def rising(from_round: dict[str, int], seeds: int = 5) -> Tables:
    """Armies of 64 that earn more than by hiding from a round on, one later a seed."""
    rows = [
        ("appendix", name, 64, seed, step, 0.0 if step >= start + seed else -128.0)
        for name, start in from_round.items()
        for seed in range(seeds)
        for step in range(1, 101)
    ]
    columns = ["settings", "algorithm", "agents", "seed", "step", "reward"]
    return tables_of(battle__curves=pd.DataFrame(rows, columns=columns))


def armies(order: str, seeds: int = 5, agents: tuple[int, ...] = (64,)) -> Tables:
    """A tournament in both plays in which each army beats all of the algorithms behind its own, "mf-q il mf-ac ac"."""
    ranks = {name: rank for rank, name in enumerate(order.split())}
    entrants = [(name, seed) for name in ("mf-q", "il", "mf-ac", "ac") for seed in range(seeds)]
    like = rounds(2, "il").iloc[:0]
    rows = []
    for size, play in product(agents, ("greedy", "sampled")):
        for place, (one, seed) in enumerate(entrants):
            for other, opponent in entrants[place + 1 :]:
                for number in range(2):
                    wins = ranks[one] < ranks[other] if one != other else number == 0
                    result = ("win", 10.0, 0.0, 4, 0) if wins else ("loss", 0.0, 10.0, 0, 4)
                    rows.append((one, other, seed, opponent, size, "left", "yes", play, number, *result, 30))
    return tables_of(battle__tournament=pd.DataFrame(rows, columns=like.columns))


def measured(file: str, rows: list[tuple[str, str, float, float, float, int]]) -> Tables:
    """Rows of results/theory."""
    columns = ["quantity", "setting", "value", "low", "high", "n"]
    return tables_of(**{f"theory__{file}": pd.DataFrame(rows, columns=columns)})


def remainders(largest: float) -> Tables:
    kinds = ("tanh network", "convex quadratic", "indefinite quadratic", "|x|^2 / 2")
    quantity = "largest |R_k| over the paper's 2 M"
    return measured("approximation", [(quantity, f"values={kind}", largest, np.nan, np.nan, 100) for kind in kinds])


def losses(even: float, half: float, n: int = 32) -> Tables:
    """What is lost against even opponents; against others nothing."""
    quantity = "GS: value gap over best less worst"
    rows = [(quantity, f"opponents={crowd}", 0.001, 0.0, 0.002, n) for crowd in ("low", "high")]
    return measured("learning", [*rows, (quantity, "opponents=even", even, even - half, even + half, n)])


def toys(update: float, agreeing: float, n: int = 1000) -> Tables:
    quantity = "learning from Q = 0: share that agrees for good"
    orders = ("simultaneous", "three-colours", "random-site", "released-code")
    rows = [(quantity, f"order={order}", agreeing, np.nan, np.nan, n) for order in orders]
    return measured("toy", [("0.82 + 0.1 (2.0 - 0.82)", "", update, np.nan, np.nan, 1), *rows])


Rule = Callable[[Tables], Measured]
CASES: dict[str, tuple[Rule, dict[str, tuple[Tables, str]]]] = {
    "GS-1": (
        gaussian_squeeze.near_optimum,
        {
            "all end near": (ends(0.95, METHODS, (100,)), HOLDS),
            "none does": (ends(0.5, METHODS, (100,)), FAILS),
            "two runs": (ends(0.95, METHODS, (100,), 2), UNDECIDED),
            "at 0.89": (ends(0.89, METHODS, (100,)), FAILS),
        },
    ),
    "GS-2": (
        gaussian_squeeze.learns_optimum,
        {
            "both learn": (ends(0.95, MEAN_FIELD, (500, 1000)), HOLDS),
            "MF-Q alone": (ends(0.95, ("mf-q",), (500, 1000)), NOT_TESTED),
            "neither": (ends(0.1, MEAN_FIELD, (500, 1000)), FAILS),
            "few": (ends(0.95, MEAN_FIELD, (500, 1000), 4), UNDECIDED),
        },
    ),
    "GS-3": (
        gaussian_squeeze.others_fail,
        {
            "all fail": (ends(0.1, BASELINES, (500, 1000)), HOLDS),
            "all learn": (ends(0.95, BASELINES, (500, 1000)), FAILS),
            "few": (ends(0.1, BASELINES, (500, 1000), 3), UNDECIDED),
        },
    ),
    "IS-1": (
        ising.orders_coincide,
        {
            "alike": (orders(0.0, 0.01), HOLDS),
            "apart": (orders(0.2, 0.01), FAILS),
            "apart the other way": (orders(-0.2, 0.01), FAILS),
            "apart in all orders but one": (orders(0.2, 0.01, checkerboard=0.0), HOLDS),
            "too rough": (orders(0.0, 0.5), UNDECIDED),
            "one seed": (orders(0.0, 0.01, 1), UNDECIDED),
        },
    ),
    "IS-2": (
        ising.transitions,
        {
            "near": (crossings(1.13, 0.01), HOLDS),
            "elsewhere": (crossings(2.0, 0.1), FAILS),
            "across the bound": (crossings(1.1, 0.05), UNDECIDED),
            "one run": (crossings(1.13, 0.01, 1), UNDECIDED),
        },
    ),
    "IS-3": (
        ising.error_grows,
        {
            "grows": (errors(0.06, 0.27), HOLDS),
            "is nothing": (errors(1e-10, 1e-9), FAILS),
            "falls": (errors(0.27, 0.06), FAILS),
            "grows, but is not small": (errors(0.6, 0.9), FAILS),
            "in one order alone": (errors(0.0, 0.0, simultaneous=(0.06, 0.27)), HOLDS),
            "small in one order, grows in the others": (errors(0.6, 0.9, checkerboard=(0.0, 0.0)), FAILS),
            "two runs": (errors(0.06, 0.27, 2), UNDECIDED),
        },
    ),
    "BA-1": (
        battle.mean_field_wins,
        {
            "mean field ahead": (armies("mf-q il mf-ac ac", 6), HOLDS),
            "behind": (armies("ac mf-ac il mf-q", 6), FAILS),
            "half of it": (armies("mf-q il ac mf-ac", 6), FAILS),
            "two seeds": (armies("mf-q il mf-ac ac", 2), UNDECIDED),
        },
    ),
    "BA-2": (
        battle.independent_between,
        {
            "between": (armies("mf-q il mf-ac ac"), HOLDS),
            "ahead of MF-Q": (armies("il mf-q mf-ac ac"), FAILS),
            "two seeds": (armies("mf-q il mf-ac ac", 2), UNDECIDED),
        },
    ),
    "BA-3": (
        battle.rises_faster,
        {
            "MF-Q first": (rising({"mf-q": 10, "mf-ac": 50}), HOLDS),
            "MF-AC first": (rising({"mf-q": 50, "mf-ac": 10}), FAILS),
            "together": (rising({"mf-q": 10, "mf-ac": 10}), UNDECIDED),
            "two seeds": (rising({"mf-q": 10, "mf-ac": 50}, 2), UNDECIDED),
        },
    ),
    "BA-4": (
        battle.same_ranking,
        {
            "everywhere": (armies("mf-q il mf-ac ac", 7, (8, 144, 256)), HOLDS),
            "turned over": (armies("ac mf-ac il mf-q", 7, (8, 144, 256)), FAILS),
            "one seed": (armies("mf-q il mf-ac ac", 1, (8, 144, 256)), UNDECIDED),
        },
    ),
    "TH-1": (
        theory.remainder_bounded,
        {"within": (remainders(0.9), HOLDS), "beyond": (remainders(1.01), FAILS)},
    ),
    "TH-2": (
        theory.contracts,
        {"as proved": (contraction(), HOLDS), "a higher threshold": (contraction(threshold=0.55), FAILS)},
    ),
    "TH-3": (
        theory.best_response,
        {
            "little lost": (losses(0.06, 0.02), HOLDS),
            "much": (losses(0.3, 0.05), FAILS),
            "across a tenth": (losses(0.1, 0.05), UNDECIDED),
            "two runs": (losses(0.06, 0.02, 2), UNDECIDED),
        },
    ),
    "TOY-1": (
        theory.toy_agrees,
        {
            "agrees": (toys(0.938, 1.0), HOLDS),
            "another update": (toys(0.9, 1.0), FAILS),
            "half agree": (toys(0.938, 0.5), FAILS),
            "few runs": (toys(0.938, 1.0, 50), UNDECIDED),
        },
    ),
}


@pytest.mark.parametrize(
    ("rule", "tables", "verdict"),
    [
        pytest.param(rule, tables, verdict, id=f"{claim}: {name}")
        for claim, (rule, cases) in CASES.items()
        for name, (tables, verdict) in cases.items()
    ],
)
def test_a_rule_decides_as_the_data_do(rule: Rule, tables: Tables, verdict: str) -> None:
    assert judge(rule(tables).groups)[0] == verdict


@pytest.mark.parametrize(
    ("share", "told"), [(0.996, "996 of 1000, which decides nothing about 99%."), (1, "1000 of 1000.")]
)
def test_the_toy_paid_after_the_move_is_open_only_while_it_is(share: float, told: str) -> None:
    tables = toys(0.938, share)
    assert theory.say_toy_agrees(theory.toy_agrees(tables), tables).endswith(f"as in the released code, {told}")


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.id)
def test_without_a_table_a_claim_is_not_tested(claim: Claim) -> None:
    assert judge(claim.measure(tables_of()).groups)[0] == NOT_TESTED


def test_every_rule_is_tried() -> None:
    measures = {claim.id: claim.measure for claim in claims.CLAIMS}
    assert {name: rule for name, (rule, _) in CASES.items()} == {
        name: rule
        for name, rule in measures.items()
        if name != "GS-4"  # tests/test_claims.py
    }

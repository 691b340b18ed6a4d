"""The toy example: its 512 states against plays of them, against known laws, and its table by hand."""

from collections.abc import Callable
from itertools import product
from math import exp, log
from typing import get_args

import numpy as np
import pytest

from mfmarl.statistical_physics import enumerate_states
from mfmarl.theory import (
    consensus_probability,
    consensus_share,
    consensus_time,
    learned_table,
    learned_value,
    transitions,
    visits_until,
)
from mfmarl.theory.graphs import torus
from mfmarl.theory.toy import COLOURS, UNITS, ToyOrder, states

ORDERS = get_args(ToyOrder)


def neighbours(site: int) -> list[int]:
    row, column = divmod(site, 3)
    beside = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return [r % 3 * 3 + c % 3 for r, c in beside]


def test_states_and_colours() -> None:
    assert states().shape == (512, 9)
    assert states()[0].tolist() == [-1] * 9
    assert states()[5].tolist() == [1, -1, 1, -1, -1, -1, -1, -1, -1]
    assert sorted(np.concatenate(COLOURS).tolist()) == list(range(9))
    for colour in COLOURS:
        assert not torus(3)[np.ix_(colour, colour)].any()
    for site in range(9):
        assert torus(3)[site].nonzero()[0].tolist() == sorted(neighbours(site))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_transitions_are_probabilities_and_consensus_stays(order: ToyOrder, temperature: float) -> None:
    matrix = transitions(order, temperature)
    assert matrix.min() >= 0
    assert matrix.sum(1) == pytest.approx(np.ones(512), abs=1e-12)
    # Up and down are alike.
    assert matrix == pytest.approx(matrix[::-1, ::-1], abs=1e-15)
    if temperature == 0:
        assert matrix[0, 0] == matrix[511, 511] == 1


def test_greedy_moves_from_one_dissenter_by_hand() -> None:
    """Site 0 is up, all others down: it turns down; each neighbour sees 1 of 4 up, a stranger none."""
    for order, expected in (("simultaneous", 1.0), ("three-colours", 1.0), ("random-site", 1 / 9)):
        assert transitions(order, 0.0)[1, 0] == pytest.approx(expected)  # type: ignore[arg-type]
    # Sites 0 and 1 up share neighbour 2, which is then torn, as is nobody else: 0 and 1 see one of four, 2 sees two.
    assert transitions("simultaneous")[3, 0] == pytest.approx(0.5)
    assert transitions("simultaneous")[3, 4] == pytest.approx(0.5)
    # At tau = 1 a site with one of four up turns up with probability 1 / (1 + e^2).
    up = 1 / (1 + exp(2))
    assert transitions("random-site", 1.0)[1, 3] == pytest.approx(up / 9)


def test_colours_act_in_their_order() -> None:
    """Wherever nobody is torn, the sweep is one move: colour 0 first, then 1, then 2, each seeing the last."""
    matrix, certain = transitions("three-colours"), 0
    for number, start in enumerate(states().tolist()):
        spins, torn = list(start), False
        for colour in range(3):
            acting = [site for site in range(9) if (site // 3 + site % 3) % 3 == colour]
            fields = {site: sum(spins[other] for other in neighbours(site)) for site in acting}
            torn |= 0 in fields.values()
            for site, field in fields.items():
                spins[site] = 1 if field > 0 else -1
        if not torn:
            certain += 1
            assert matrix[number, sum(1 << site for site in range(9) if spins[site] == 1)] == 1
    assert certain > 50


@pytest.mark.parametrize("order", ORDERS)
def test_consensus_time_as_played(order: ToyOrder) -> None:
    """Greedy play of 20 000 starts, written down from the rule alone."""
    generator = np.random.default_rng(0)
    spins = 2 * generator.integers(2, size=(20_000, 9)) - 1
    runs, times = np.arange(len(spins)), np.zeros(len(spins))
    groups = {"simultaneous": [list(range(9))], "three-colours": [colour.tolist() for colour in COLOURS]}
    open_runs = np.abs(spins.sum(1)) < 9
    while open_runs.any():
        times[open_runs] += 1
        moves = groups.get(order) or [None]
        for group in moves:
            before = spins.copy()
            if group is None:
                chosen = generator.integers(9, size=len(spins))
                fields = sum(before[runs, np.array([neighbours(s)[k] for s in range(9)])[chosen]] for k in range(4))
                ties = 2 * generator.integers(2, size=len(spins)) - 1
                spins[runs, chosen] = np.where(fields == 0, ties, np.sign(fields))
                continue
            for site in group:
                field = before[:, neighbours(site)].sum(1)
                ties = 2 * generator.integers(2, size=len(spins)) - 1
                spins[:, site] = np.where(field == 0, ties, np.sign(field))
        open_runs = np.abs(spins.sum(1)) < 9
    exact = consensus_time(order)
    assert times.mean() == pytest.approx(exact.mean, abs=4 * exact.deviation / np.sqrt(len(times)))
    assert times.std() == pytest.approx(exact.deviation, rel=0.05)
    assert UNITS[order] == ("updates" if order == "random-site" else "sweeps")
    assert tuple(exact) == (exact.mean, exact.deviation)


@pytest.mark.parametrize("order", ORDERS)
def test_consensus_probability_sums_to_the_mean_time(order: ToyOrder) -> None:
    """E t = sum_t P(not yet at t); nobody has moved at t = 0, when 2 of 512 starts agree."""
    reached = consensus_probability(order, 400)
    assert reached[0] == 2 / 512
    assert (np.diff(reached) >= -1e-15).all()
    assert (1 - reached).sum() == pytest.approx(consensus_time(order).mean, rel=1e-6)
    assert consensus_share(order, 0.0) == pytest.approx(1, abs=1e-9), "no state is trapped"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("temperature", [0.6, 1.0, 3.0])
def test_consensus_share_as_the_chains_own_stationary_law(order: ToyOrder, temperature: float) -> None:
    matrix = transitions(order, temperature)
    for _ in range(25):
        matrix = matrix @ matrix
        matrix /= matrix.sum(1, keepdims=True)
    assert matrix[100, [0, 511]].sum() == pytest.approx(consensus_share(order, temperature), abs=1e-8)


def test_consensus_share_as_the_enumeration_of_statistical_physics() -> None:
    classes = enumerate_states(3)
    for temperature in (0.2, 1.0, 5.0):
        expected = classes.probabilities(temperature)[np.abs(classes.spins) == 9].sum()
        assert consensus_share("random-site", temperature) == pytest.approx(expected, abs=1e-12)
    assert consensus_share("simultaneous", 1e6) == pytest.approx(2 / 512, rel=1e-3)
    assert consensus_share("three-colours", 1e-3) == pytest.approx(1)


@pytest.mark.parametrize("order", ORDERS)
def test_the_coldest_play_agrees_at_all_times(order: ToyOrder) -> None:
    for temperature in (1e-308, 5e-324):
        assert consensus_share(order, temperature) == 1
        assert transitions(order, temperature) == pytest.approx(transitions(order), abs=0)


def test_the_papers_table() -> None:
    """0.82 is the value after five visits that pay 2; the sixth makes it 0.937, which prints as 0.94, not 0.93."""
    assert f"{learned_value(2.0, 5):.2f}" == "0.82"
    assert f"{learned_value(2.0, 6):.2f}" == "0.94"
    assert round(visits_until(0.82, 2.0), 3) == 5.008
    assert f"{0.82 + 0.1 * (2.0 - 0.82):.3f}" == "0.938"
    table = learned_table(5)
    assert table[4].tolist() == pytest.approx([-0.81902, 0.81902])
    assert table[2].tolist() == [0, 0]
    assert table[1].tolist() == pytest.approx([0.40951, -0.40951])
    assert learned_table(0).tolist() == [[0, 0]] * 5
    assert learned_table(1000) == pytest.approx(np.array([[2 - k, k - 2] for k in range(5)]), abs=1e-12)


def test_learned_value_is_the_recursion_and_visits_its_inverse() -> None:
    for reward, alpha in product((2.0, -1.0), (0.1, 0.5, 1.0)):
        value = 0.0
        for visits in range(6):
            assert learned_value(reward, visits, alpha) == pytest.approx(value, abs=1e-14)
            if alpha < 1:
                assert visits_until(value, reward, alpha) == pytest.approx(visits, abs=1e-12)
            value += alpha * (reward - value)
    assert [visits_until(value, 2.0, 1.0) for value in (0.0, 1.0)] == [0, 1], "one visit tells all"
    assert visits_until(1.0, 2.0, 1e-300) == pytest.approx(log(2) * 1e300)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transitions("checkerboard"), "order must be one of simultaneous, three-colours, random-site"),  # type: ignore[arg-type]
        (lambda: consensus_time("up"), "order must be one of simultaneous"),  # type: ignore[arg-type]
        (lambda: transitions("simultaneous", -1.0), "temperature must be at least 0 and finite, got -1.0"),
        (lambda: consensus_share("simultaneous", -1.0), "temperature must be at least 0 and finite, got -1.0"),
        (lambda: consensus_probability("simultaneous", -1), "steps must be an integer of at least 0, got -1"),
        (lambda: learned_value(2.0, -1), "visits must be an integer of at least 0, got -1"),
        (lambda: learned_value(2.0, 1.5), "visits must be an integer of at least 0, got 1.5"),  # type: ignore[arg-type]
        (lambda: learned_table(1.5), "visits must be an integer of at least 0, got 1.5"),  # type: ignore[arg-type]
        (lambda: consensus_share("simultaneous", [1.0]), "temperature must be at least 0 and finite, got shape [1]"),  # type: ignore[arg-type]
        (lambda: learned_value(2.0, 1, 0.0), "learning_rate must be in (0, 1], got 0.0"),
        (lambda: visits_until(2.0, 2.0), "value must lie between 0 and reward 2.0, got 2.0"),
        (lambda: visits_until(1.0, 0.0), "value must lie between 0 and reward 0.0, got 1.0"),
    ],
)
def test_bad_input_is_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        call()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)

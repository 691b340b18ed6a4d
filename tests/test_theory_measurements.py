"""What is measured of the package's own MF-Q: rows, networks as functions, README numbers, small measurements."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mfmarl.algorithms.q_learning import MFQ
from mfmarl.data.sweeps import Transition
from mfmarl.environments import GaussianSqueeze
from mfmarl.evaluation.tables import setting_of
from mfmarl.figures.theory import of_quantity
from mfmarl.mean_field import action_counts, chosen, mean_action
from mfmarl.measurements import (
    approximation,
    congestion,
    contraction,
    glie,
    markov_game,
    squeeze_contraction,
    stationary,
    toy,
)
from mfmarl.measurements.job import MeasurementJob
from mfmarl.measurements.rows import COLUMNS, against_exact, mean_row, row, share_row, table
from mfmarl.measurements.training import ising_tables, network_values, slow_down
from mfmarl.scripting.pages.theory import number, with_numbers
from mfmarl.theory import StationarySite, congestion_rewards, learned_table
from reproduce.theory import MEASUREMENTS

ROOT = Path(__file__).parents[1]


def frame() -> pd.DataFrame:
    return table(
        [
            row("TH-1", "largest |e|", 0.25, exact=0.5, n=7, values="a network", temperature=1.5),
            mean_row("TH-1", "largest |e|", [1.0, 2.0, 3.0], values="a network", temperature=2.0),
            share_row("toy", "T > K/2", 3, 4, order="all at once"),
        ]
    )


def test_rows_are_tidy_and_read_back() -> None:
    rows = frame()
    assert list(rows.columns) == COLUMNS
    assert rows["setting"].tolist()[:2] == ["values=a network; temperature=1.5", "values=a network; temperature=2"]
    assert (rows["value"].iloc[1], rows["n"].iloc[1]) == (2.0, 3)
    assert setting_of(rows["setting"].iloc[0]) == {"values": "a network", "temperature": "1.5"}
    assert setting_of(row("TH-1", "x", 1.0)["setting"]) == setting_of(math.nan) == {}
    assert setting_of(row("TH-1", "x", 1.0, rule="T = 1")["setting"]) == {"rule": "T = 1"}
    assert row("TH-1", "x", 1.0, agents=1000)["n"] == 1
    assert row("TH-1", "x", 1.0, agents=1000, rate=1 / 3)["setting"] == "agents=1000; rate=0.333333"
    assert 1 <= float(rows.loc[1, "low"]) < 2 < float(rows.loc[1, "high"]) <= 3  # type: ignore[arg-type]
    assert (rows.loc[2, "value"], rows.loc[2, "n"]) == (0.75, 4)
    assert np.isnan(mean_row("TH-1", "x", [1.0, 2.0])["low"])  # type: ignore[call-overload]
    wide = of_quantity(rows, "largest |e|")
    assert wide["temperature"].tolist() == [1.5, 2.0]
    assert wide["values"].tolist() == ["a network"] * 2
    with pytest.raises(ValueError, match="frame has no rows of 'unknown'"):
        of_quantity(rows, "unknown")


def test_readme_numbers_are_written_from_the_rows_and_nothing_else_is_touched() -> None:
    text = (
        "# A <!-- a comment --> title; <!-- TH-1; largest |e|; temperature=1.5 -->?<!-- end -->, "
        "<!-- TH-1; largest |e|; temperature=1.5; show=exact; as=.2f -->old\ntext<!-- end -->;\n"
        "<!-- toy; T > K/2; show=percent; as=.0f -->1<!-- end --> <!-- TH-1; largest |e|; temperature=2; as=.1f -->"
        "<!-- end -->"
    )
    filled = with_numbers(text, frame())
    assert filled.startswith("# A <!-- a comment --> title; <!-- TH-1; largest |e|; temperature=1.5 -->0.25<!-- end")
    assert "as=.2f -->0.50<!-- end -->;\n" in filled
    assert "as=.0f -->75% [19%, 99%]<!-- end -->" in filled
    assert "as=.1f -->2.0 [" in filled
    assert with_numbers(filled, frame()) == filled
    assert number(r"TH-1; largest \|e\|; temperature=1.5", frame()) == "0.25", "as it is written in a table"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("TH-1; largest |e|", "README must name one row by 'TH-1; largest |e|', got 2"),
        ("TH-2; largest |e|; temperature=2", "got 0"),
        ("TH-1; nothing; temperature=2; show=n", "got 0"),
        ("TH-1; largest |e|; temperature=2; show=median", "show must be one of interval, value"),
    ],
)
def test_readme_numbers_without_one_row_are_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        number(address, frame())
    assert message in str(refused.value)


def test_against_exact_leaves_out_what_nobody_knows() -> None:
    lines = against_exact(frame())
    assert lines.to_dict("records") == [
        {"claim": "TH-1", "quantity": "largest |e|", "rows": 1, "largest_difference": 0.25}
    ]
    several = table(
        [row("toy", "a", 1.0, exact=1.5), row("TH-1", "b", 2.0, exact=1.0), row("toy", "a", 3.0, exact=3.0)]
    )
    assert against_exact(several).to_numpy().tolist() == [["TH-1", "b", 1, 1.0], ["toy", "a", 2, 0.5]]


def test_the_learning_rate_falls_linearly_over_the_second_half() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=9.0)
    for done, share in ((0.0, 1.0), (0.5, 1.0), (0.75, 0.502), (0.9, 0.202), (1.0, 0.002)):
        slow_down(optimizer, 0.1, done)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * share)


def test_a_measurement_is_one_piece_of_work_and_says_when_it_is_done() -> None:
    job = MeasurementJob("table", "mfmarl.measurements.toy.table_values", 0, {})
    told: list[tuple[int, int]] = []
    rows = job.do(SimpleNamespace(report=lambda *how_far: told.append(how_far)))  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(rows, toy.table_values(0))
    assert told == [(job.work, job.work)] == [(1, 1)]


def test_network_values_are_the_networks_own() -> None:
    agent = MFQ(GaussianSqueeze(5), [0, 1])
    who, own = torch.tensor([[3, 0], [4, 4]]), torch.tensor([[9, 1], [0, 5]])
    points = torch.rand(2, 2, 3, 10, generator=torch.Generator().manual_seed(0))
    found = network_values(agent, who, own)(points)
    assert found.shape == (2, 2, 3)
    for seed in range(2):
        for one in range(2):
            for k in range(3):
                alone = torch.zeros(2, 1, 10)
                alone[seed, 0] = points[seed, one, k]
                expected = agent.network(torch.full((2, 1), int(who[seed, one])), alone)[seed, 0, own[seed, one]]
                assert found[seed, one, k].item() == pytest.approx(expected.item(), abs=1e-6)


def test_remainders_of_a_table_that_has_been_learned_vanish() -> None:
    """With alpha 1 and T endless every entry is the reward itself: linear in the mean action."""
    rows = approximation.ising(0, size=4, seeds=3, sweeps=1500)
    hot = of_quantity(rows, "Ising table: mean over rows of max |e|").set_index("temperature")["value"]
    assert hot[2.0] < hot[0.8]
    assert hot[2.0] < 0.1
    assert ising_tables(4, (0.8, 1.2, 2.0), (0, 1, 2), 1500) is ising_tables(4, (0.8, 1.2, 2.0), (0, 1, 2), 1500)


def test_bounds_hold_and_growth_is_exact() -> None:
    rows = approximation.bounds(3, draws=10)
    points = of_quantity(rows, "|e| over M_t, exact is the bound")
    assert (points["value"] <= points["exact"] + 1e-9).all()
    square = of_quantity(rows, "largest |e| over its bound").set_index("values")["value"]
    assert square["|x|^2 / 2"] == pytest.approx(1, abs=1e-9)
    several = of_quantity(rows, "largest |e| over its bound, three actions or more").set_index("values")
    assert (several["value"] <= square).all()
    near = of_quantity(rows, "share of |e| above 0.9 of its bound").set_index("values")
    assert (several["n"] < near["n"]).any()
    assert near.loc["|x|^2 / 2", "value"] == 1
    growth = of_quantity(approximation.growth(3, neighbours=(1, 4), draws=400), "mean e against n")
    assert growth["value"].to_numpy() == pytest.approx(growth["exact"].to_numpy(), abs=0.03)


def test_thresholds_constants_and_cycles_are_the_exact_ones() -> None:
    together = pd.concat([contraction.thresholds(0), contraction.constants(0)])
    known = together.dropna(subset="exact")
    known = known[known["quantity"] != "largest norm of S"]
    assert known["value"].to_numpy() == pytest.approx(known["exact"].to_numpy(), rel=1e-6)
    largest = of_quantity(together, "largest norm of S")
    assert largest["norm"].to_list() == ["l1", "l2", "l-infinity"]
    assert (largest["n"] == 20_000).all()
    assert largest["value"].between(0.498, 0.5 + 1e-12).all(), "of two actions of probability 1/2 it is 1/2, never more"
    norms = of_quantity(together, "l1 factor at 1.5 of the critical temperature").set_index("graph")["value"]
    assert norms["torus 4 x 4"] == pytest.approx(2 / 3), "where all have four neighbours it is critical at K/2"
    periods = of_quantity(contraction.cycles(0, sweeps=400), "period of play (0: above 64)")
    undamped = periods[periods["damping"] == 1.0]
    found = dict(zip(zip(undamped["game"], undamped["order"], strict=True), undamped["value"], strict=True))
    assert found["matching pennies", "synchronous"] == 4
    assert found["anti-coordination", "synchronous"] == 2
    assert found["coordination, staggered start", "colour-by-colour"] == 1


def test_k_of_a_table_is_the_steepest_entry_per_unit_of_the_fraction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that are linear in the neighbours that are up, of two seeds, with other slopes for each action."""
    slopes = torch.tensor([[1.0, 3.0], [2.0, 0.0]])
    table = torch.arange(5.0).view(5, 1) * slopes.view(2, 1, 2) / 4
    monkeypatch.setattr(contraction, "ising_tables", lambda *_: SimpleNamespace(q_table=table.expand(3, 2, 5, 2)))
    rows = contraction.ising_tables_contract(0, size=4, seeds=2, sweeps=1)
    asked = of_quantity(rows, "Ising table: T > K/2 asks for tau above")
    assert asked["value"].to_list() == pytest.approx([(3 + 2) / 2 / 2] * 3)
    assert asked["temperature"].to_list() == [0.8, 1.2, 2.0]
    assert (asked["exact"] == 2).all(), "the reward changes by 4 from all neighbours down to all up"
    assert of_quantity(rows, "Ising table: mean K/2")["value"].to_list() == pytest.approx([(2 + 1) / 2 / 2] * 3)


def test_sampled_play_forgets_its_start_where_it_is_hot_only() -> None:
    rows = contraction.factors(0, curve=13, temperatures=(0.6, 3.0), size=16, seeds=1, sweeps=60)
    of_the_map = of_quantity(rows, "factor of a sweep").query("reading != 'sampled play of MF-Q'")
    assert len(of_the_map) == 4, "two orders, two temperatures"
    measured = of_the_map.dropna(subset="value")  # play that is at rest at once has no factor
    assert len(measured) >= 3
    assert measured["value"].to_numpy() == pytest.approx(measured["exact"].to_numpy(), abs=1e-3)
    sampled = of_quantity(rows, "factor of a sweep").query("reading == 'sampled play of MF-Q'")
    cold, hot = sampled.sort_values("temperature")["value"]
    assert cold == pytest.approx(1, abs=0.01)
    assert hot < 0.7


def test_noise_floor_and_value_gap_are_the_exact_ones() -> None:
    noise = of_quantity(stationary.noise(0, rates=(0.3, 1.0), seeds=2, visits=60), "mean squared error of Q")
    assert noise["value"].to_numpy() == pytest.approx(noise["exact"].to_numpy(), rel=0.15)
    gap = of_quantity(
        stationary.value_gap(0, curve=5, temperatures=(1.0, 4.0), seeds=2, visits=60), "value gap of Eq. 12"
    )
    assert gap["value"].to_numpy() == pytest.approx(gap["exact"].to_numpy(), rel=0.1)
    assert (noise["n"] == 2).all()
    assert (gap["n"] == 2).all(), "a number a seed"
    assert StationarySite(0.8).reward_variance == pytest.approx(noise["exact"].iloc[1])


def test_counts_of_a_crowds_actions_are_multinomial() -> None:
    """Mean n p and covariance n (diag(p) - p p'), of 20 000 draws."""
    policy, agents = torch.tensor([0.5, 0.2, 0.05, 0.25], dtype=torch.float64), 9
    counts = stationary.totals(policy, (200, 100), agents, torch.Generator().manual_seed(0)).double().flatten(0, 1)
    assert (counts.sum(-1) == agents).all()
    assert counts.mean(0).numpy() == pytest.approx((agents * policy).numpy(), abs=0.05)
    expected = agents * (torch.diag(policy) - policy.outer(policy))
    assert torch.cov(counts.T).numpy() == pytest.approx(expected.numpy(), abs=0.1)


@pytest.mark.parametrize("mean", [1.5, 4.5, 8.0])
def test_a_crowds_policy_has_its_mean_and_is_an_exponential(mean: float) -> None:
    policy = stationary._tilted(mean)
    assert policy.sum() == pytest.approx(1)
    assert policy @ np.arange(10) == pytest.approx(mean)
    assert np.diff(np.log(policy), 2) == pytest.approx(np.zeros(8), abs=1e-9)


def test_answers_to_crowds_that_leave_much_to_lose_are_good_ones() -> None:
    rows = stationary.best_response(0, agents=100, crowds=("low",), rate=3e-3, updates=400, seeds=3)
    values = dict(zip(rows["quantity"], rows["value"].tolist(), strict=True))
    share = values["GS: value gap over best less worst"]
    assert share < 0.15
    assert values["GS: value gap of averages over best less worst"] < 0.01
    lost = share * values["GS: best less worst E[r | a]"]  # in reward
    assert values["GS: value gap of greedy MF-Q"] == pytest.approx(lost)
    patient = stationary.patience(0, agents=100, runs=((1e-3, 30, 3), (1e-3, 60, 3)))
    averages = of_quantity(patient, "GS, even opponents: value gap of averages over best less worst")
    assert averages.sort_values("updates")["value"].is_monotonic_decreasing


def test_a_network_nears_the_truth_of_its_own_target_only() -> None:
    rows = of_quantity(markov_game.markov_game(0, seeds=1, updates=300, evaluations=1), "root mean squared error of Q")
    last = rows[rows["update"] == 300].set_index(["target", "truth"])["value"]
    assert last["fresh", "Nash"] < 0.15 < last["fresh", "literal"]
    assert last["literal", "literal"] < 0.15 < last["literal", "Nash"]


def test_congestion_is_paid_as_its_definition_says() -> None:
    """The reward of the measurement, from mean actions, against the theory's own function."""
    actions = torch.tensor([[0, 0, 1, 1, 1]])
    after = mean_action(actions, action_counts(actions, 2).unsqueeze(-2), 5)
    assert chosen(after, 1 - actions)[0].tolist() == pytest.approx(congestion_rewards([0, 0, 1, 1, 1]).tolist())


def test_herding_begins_at_the_exact_temperature() -> None:
    rows = of_quantity(congestion.herding(0, dampings=(1.0, 0.3)), "congestion: herds below")
    assert rows["value"].to_numpy() == pytest.approx(rows["exact"].to_numpy(), abs=2e-5)
    assert rows["exact"].tolist() == pytest.approx([1 / 2, 0.3 / 3.4])


def test_which_games_have_a_global_optimum() -> None:
    """Congestion has none: for two agents or more no joint action pays all of them 1, as leaving alone would."""
    frame = markov_game.assumption(0)
    found = of_quantity(frame, "every stage game has a global optimum").set_index("game")["value"]
    assert found["congestion"] == 0
    assert (found.drop("congestion") == 1).all()
    assert len(found) == 4
    even = of_quantity(frame, "congestion: even play is paid, over what others do")
    assert even["value"].tolist() == [0.5, 0.5]
    paid = markov_game.stage_games()["congestion"].reward
    assert paid.tolist() == [[[0, 0.25, 0.5, 0.75, 1], [1, 0.75, 0.5, 0.25, 0]]]


def test_table_remainders_by_hand() -> None:
    """Q = 16 f^2 has Q'' = 32 and M_t = 16: e = 16 f (1 - f) = 3, 4, 3 is the bound itself; a linear table has none."""
    share = torch.arange(5).double() / 4
    found = approximation.table_remainders(torch.stack([16 * share**2, 3 - 7 * share]))
    assert found.curvature.tolist() == pytest.approx([16, 0], abs=1e-12)
    assert found.error.tolist()[0] == found.bound.tolist()[0] == pytest.approx([3, 4, 3])
    assert found.secant.tolist()[0] == pytest.approx([16, 16, 16])
    assert found.error[1].abs().max() == found.bound[1].abs().max() == 0
    drawn = torch.randn(500, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    some = approximation.table_remainders(drawn)
    assert (some.error <= some.bound + 1e-12).all()
    assert (some.secant.amax(-1) <= some.curvature + 1e-12).all()


def test_rows_are_visited_where_one_of_their_entries_is() -> None:
    frame = glie.glie(0, size=4, seeds=3, steps=1, evaluations=1)
    entries = of_quantity(frame, "GLIE: share of entries never visited")["value"].item()
    rows = of_quantity(frame, "GLIE: share of rows never visited")["value"].item()
    # In the first sweep every site visits one entry, of one of its five rows: one of ten, and one of five.
    assert (entries, rows) == (pytest.approx(0.9), pytest.approx(0.8))
    assert of_quantity(frame, "GLIE: last sweep of all runs in which an entry was new")["value"].item() == 1


def test_late_choices_are_told_with_the_gap_that_was_learned() -> None:
    """Two lattices of two sites: site 1 acts against four up, site 2 against two down, site 0 with them, 3 in a tie."""
    table = torch.zeros(1, 2, 1, 2, 5, 2)
    table[0, 0, 0, 1, 4] = torch.tensor([-0.38, 2.0])
    table[0, 1, 0, 0, 1] = torch.tensor([1.0, -0.1])
    each = {"site": [0, 1, 2, 3], "neighbours": [4, 4, -2, 0], "action": [1, -1, 1, 1]}
    site, neighbours, action = (torch.tensor(values) for values in each.values())
    transition = Transition(site, neighbours.to(torch.int8), action.to(torch.int8), torch.zeros(4))
    found = glie.worse_choices(transition, table)
    assert [(one.run, one.against) for one in found] == [(0, 4), (1, 2)]
    assert [one.gap for one in found] == pytest.approx([2.38, 1.1])


def test_glie_play_with_exact_values_comes_to_rest() -> None:
    frame = glie.exact_values(0, size=4, seeds=8, steps=400, evaluations=4)
    agreed = of_quantity(frame, "GLIE, Q exact: share of runs in consensus").set_index("sweeps")["value"]
    assert agreed[1] < agreed[400] == 1
    exact = of_quantity(frame, "GLIE, Q exact: last sweep in which a spin turned")["value"].item()
    learned = glie.glie(0, size=4, seeds=8, steps=400, evaluations=4)
    assert exact < of_quantity(learned, "GLIE: last sweep in which a spin turned")["value"].item() / 3
    counts = [
        of_quantity(learned, f"GLIE: late choices against {of}")["value"].item()
        for of in ("most neighbours", "all four")
    ]
    assert counts[0] > counts[1] > 0


def test_where_training_was_by_hand() -> None:
    shares = torch.tensor([[[0.95, 0.05], [0.9, 0.1], [0.05, 0.95], [0.5, 0.5]], [[0.0, 1.0]] * 4], dtype=torch.float64)
    rows = table(approximation.training_mean_actions(shares, 20)).set_index("quantity")["value"]
    name = "GS network: share of training with"
    assert rows[f"{name} 0.9 of the agents on the action met most"] == (0.5 + 1) / 2
    assert rows[f"{name} 0.9 of the agents on any other action"] == (0.25 + 0) / 2
    assert rows[f"{name} at most 0.2 of the agents on an action"] == 0
    even = table(approximation.training_mean_actions(torch.full((1, 3, 10), 0.1).double(), 20))
    assert even["value"].tolist() == [1, 0, 0]


def test_what_damping_does_not_calm() -> None:
    frame = contraction.cycles(0, sweeps=800)
    alternates = of_quantity(frame, "period of play (0: above 64)").query("order == 'synchronous' and damping == 0.3")
    of_game = alternates.set_index(["game", "temperature"])["value"]
    for game in ("anti-coordination", "coordination, staggered start"):
        assert (of_game[game, 1.0], of_game[game, 0.2]) == (1, 2)
    periods = of_quantity(frame, "period of play (0: above 64)").query("game == 'matching pennies' and damping == 0.3")
    found = periods.set_index(["order", "temperature"])["value"]
    assert found["synchronous", 0.25] == 1 != found["synchronous", 0.2]
    settles = of_quantity(frame, "synchronous play near 0 settles above")
    damped = settles[settles["damping"] == 0.3].set_index("game")["exact"]
    assert damped["anti-coordination"] == damped["coordination, staggered start"] == pytest.approx(0.6 / 1.7)
    assert settles["value"].to_numpy() == pytest.approx(settles["exact"].to_numpy(), abs=1e-5)


def test_networks_are_asked_at_corners_edges_and_in_play() -> None:
    """K of a ReLU network is never below what it is at even play, nor T below a half of it."""
    frame = squeeze_contraction.networks(0, agents=6, seeds=3, steps=60)
    asked = of_quantity(frame, "GS network: mean actions at which K was looked for")["value"].item()
    assert asked == 6 * (1 + 10 + 45 + 20 + 1)
    k = of_quantity(frame, "GS network: K is at least").set_index("K")["value"]
    enough = of_quantity(frame, "GS network: K asks for T above at least").set_index("K")["value"]
    assert enough["l2 operator"] == pytest.approx(k["l2 operator"] / 2, rel=1e-5)
    assert enough["l1 per action"] == k["l1 per action"]
    each = of_quantity(frame, "GS network: play is locally stable for T above")["value"]
    median = of_quantity(frame, "GS network: play is locally stable for T above, median")["value"].item()
    assert median == pytest.approx(float(each.median()))
    assert each.max() <= enough["l2 operator"] * 1.01


def test_exact_curves_pass_through_their_peak() -> None:
    frame = contraction.factors(0, temperatures=(1.0, 3.0), curve=5, size=8, seeds=1, sweeps=4)
    curve = of_quantity(frame, "factor of a sweep, exact").query("reading == 'mean field map, synchronous'")
    assert curve["temperature"].tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert curve["value"].tolist()[2:] == pytest.approx([1, 0.8, 2 / 3])
    assert curve["value"].iloc[1] < 1


@pytest.mark.slow
def test_synchronous_play_that_stores_the_paid_mean_action_herds() -> None:
    rows = congestion.congestion(0, agents=20, temperatures=(0.1,), seeds=1, steps=300)
    swing = of_quantity(rows, "congestion: mean swing |m(t+1) - m(t)| / 2").set_index(["order", "stored"])["value"]
    assert swing["synchronous", "same"] > 0.9
    assert swing["ten groups in turn", "same"] < 0.3


def test_the_papers_worked_update() -> None:
    """Of alpha = 0.1 and a reward of 2, as in its figure: 0.2, 0.38, 0.542, 0.6878, 0.81902, 0.937118."""
    rows = toy.table_values(0)
    values = dict(zip(rows["quantity"], rows["value"].tolist(), strict=True))
    assert values == pytest.approx(
        {
            "visits until the paper's 0.82": math.log(1 - 0.82 / 2) / math.log(0.9),
            "value after 5 visits that pay 2": 0.81902,
            "value after 6 visits that pay 2": 0.937118,
            "0.82 + 0.1 (2.0 - 0.82)": 0.938,
        }
    )
    assert rows["exact"].to_list() == pytest.approx(rows["value"].to_list())


def test_toy_example_is_played_as_enumerated() -> None:
    rows = toy.times(0, runs=400)
    for quantity in ("mean sweeps to consensus", "mean updates to consensus"):
        part = of_quantity(rows, quantity)
        assert part["value"].to_numpy() == pytest.approx(part["exact"].to_numpy(), rel=0.15)
    reached = of_quantity(rows, "probability of consensus by a sweep")
    assert reached["value"].to_numpy() == pytest.approx(reached["exact"].to_numpy(), abs=0.1)
    for _, of_order in reached.groupby("order"):
        assert of_order["sweep"].to_list() == list(range(13))
        assert of_order["exact"].iloc[0] == 2 / 2**9, "all up or all down by chance"
        assert of_order["exact"].is_monotonic_increasing
    shares = of_quantity(toy.shares(0, temperatures=(1.0,), runs=40, sweeps=40), "share of time in consensus")
    assert shares["value"].to_numpy() == pytest.approx(shares["exact"].to_numpy(), abs=0.08)


def test_one_table_is_the_committed_one() -> None:
    def values(rows: pd.DataFrame) -> dict[str, float]:
        own = rows[rows["quantity"] == "one run: Q of the middle agent"]
        return dict(zip(own["setting"], own["value"], strict=True))

    again = values(toy.one_table(0, sweeps=int(str(MEASUREMENTS["one table"].full["sweeps"]))))
    assert again == pytest.approx(values(pd.read_csv(ROOT / "results/theory/toy.csv")), abs=1e-6)


def test_one_table_shows_the_papers_value_on_its_way_to_the_reward() -> None:
    rows = of_quantity(toy.one_table(0, sweeps=200), "one run: Q of the middle agent")
    start, middle, end = sorted(rows["sweep"].unique())
    assert (start, end) == (0, 200)
    assert (rows.loc[rows["sweep"] == 0, "value"] == 0).all()
    own = rows["action"].map({"down": -1, "up": 1})
    assert (rows["exact"] == own * (rows["neighbours up"] - 2)).all(), "half of the neighbours' spins' sum"
    shown = rows.loc[rows["sweep"] == middle, "value"]
    assert sum(f"{value:.2f}" == "0.82" for value in shown) == 1
    later = rows[rows["sweep"] == 200]
    assert (later["value"].abs() <= later["exact"].abs() + 1e-6).all()
    reached = {round(float(value), 4) for visits in range(201) for value in learned_table(visits).flatten()}
    assert {round(float(value), 4) for value in later["value"]} <= reached
    with pytest.raises(ValueError, match=r"sweeps must be enough for an entry to come by 0\.82, got 2"):
        toy.one_table(0, sweeps=2)

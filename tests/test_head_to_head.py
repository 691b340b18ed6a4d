"""Two methods whose armies all met: shares, intervals and p-values against counting by hand."""

from itertools import product
from math import comb

import numpy as np
import pandas as pd
import pytest

from mfmarl.evaluation.comparisons import two_way_interval
from mfmarl.evaluation.head_to_head import compare_armies, head_to_head
from mfmarl.evaluation.rounds import result_of


def rounds(wins: dict[tuple[str, str], str], seeds: int, evaluation: str = "greedy") -> pd.DataFrame:
    """A round of every two armies; `wins` says how those of a pair end."""
    rows = []
    for (one, other), result in wins.items():
        for seed, opponent_seed in product(range(seeds), range(seeds)):
            if one == other and seed >= opponent_seed:
                continue
            survivors = {"win": (4, 0), "loss": (0, 4), "draw": (2, 2)}[result]
            rows.append(
                (one, other, seed, opponent_seed, 8, "left", "yes", evaluation, 0, result, 1.0, 1.0, *survivors, 9)
            )
    columns = ["algorithm", "opponent", "seed", "opponent_seed", "agents", "seat", "first", "evaluation", "round"]
    columns += ["result", "reward", "opponent_reward", "survivors", "opponent_survivors", "steps"]
    return pd.DataFrame(rows, columns=columns)


def test_who_wins_every_round_is_ahead_by_as_much_as_labels_can_be() -> None:
    table = rounds({("mf-q", "il"): "win", ("mf-q", "mf-q"): "draw", ("il", "il"): "draw"}, 5)
    [row] = head_to_head(table, [("mf-q", "il")]).to_dict("records")
    assert (row["points"], row["points_low"], row["points_high"], row["seeds"]) == (1, 1, 1, 5)
    assert row["p"] == pytest.approx(2 / comb(10, 5))  # the labels as they are, and all exchanged
    [turned] = head_to_head(table, [("il", "mf-q")]).to_dict("records")
    assert (turned["points"], turned["p"]) == (0, row["p"])


def test_draws_are_half_and_few_seeds_have_no_interval() -> None:
    even = {("mf-q", "il"): "draw", ("mf-q", "mf-q"): "draw", ("il", "il"): "draw"}
    [row] = head_to_head(rounds(even, 2), [("mf-q", "il")]).to_dict("records")
    assert row["points"] == 0.5
    assert pd.isna([row["points_low"], row["points_high"], row["p"]]).all()
    [row] = head_to_head(rounds(even, 4), [("mf-q", "il")]).to_dict("records")
    assert row["p"] == 1


def test_pairs_that_did_not_meet_have_no_rows_and_all_rows_are_compared_together() -> None:
    apart = {("mf-q", "il"): "win", ("mf-q", "mf-q"): "draw", ("il", "il"): "draw"}
    table = pd.concat([rounds(apart, 5, evaluation) for evaluation in ("greedy", "sampled")])
    found = head_to_head(table, [("mf-q", "il"), ("mf-ac", "ac")])
    assert found["evaluation"].to_list() == ["greedy", "sampled"]
    assert found["p"].to_list() == pytest.approx([2 * 2 / comb(10, 5)] * 2)
    assert head_to_head(table, [("mf-ac", "ac")]).empty


def test_three_seeds_are_enough_and_the_side_with_fewer_counts() -> None:
    table = rounds({("mf-q", "il"): "win", ("mf-q", "mf-q"): "draw", ("il", "il"): "draw"}, 3)
    [row] = head_to_head(table, [("mf-q", "il")]).to_dict("records")
    assert row["p"] == pytest.approx(2 / comb(6, 3))
    assert (row["points_low"], row["points_high"]) == (1, 1)
    absent = (table["algorithm"].eq("mf-q") & table["seed"].eq(2)) | (
        table["opponent"].eq("mf-q") & table["opponent_seed"].eq(2)
    )
    [row] = head_to_head(table[~absent], [("mf-q", "il")]).to_dict("records")
    assert row["seeds"] == 2
    assert pd.isna([row["points_low"], row["p"]]).all()


def test_the_interval_is_that_of_the_shares_of_pairs() -> None:
    table = rounds({("mf-q", "il"): "win", ("mf-q", "mf-q"): "draw", ("il", "il"): "draw"}, 6)
    lost = table["algorithm"].eq("mf-q") & table["opponent"].eq("il") & (table["seed"] < table["opponent_seed"])
    loss = {"result": "loss", "survivors": 0, "opponent_survivors": 4}
    table = table.assign(**{name: table[name].mask(lost, value) for name, value in loss.items()})
    [row] = head_to_head(table, [("mf-q", "il")]).to_dict("records")
    won = np.tri(6)  # each army beats those of its seed and of lower ones
    interval = two_way_interval(won, generator=np.random.default_rng(0))
    assert [row["points"], row["points_low"], row["points_high"]] == pytest.approx([21 / 36, *interval[1:]], abs=1e-12)


def test_a_pair_of_which_some_armies_never_met_has_no_row() -> None:
    table = rounds({("mf-q", "il"): "win", ("mf-q", "mf-q"): "draw", ("il", "il"): "draw"}, 4)
    apart = table["algorithm"].eq("mf-q") & table["opponent"].eq("il") & table["seed"].eq(1)
    assert head_to_head(table[~apart | table["opponent_seed"].ne(2)], [("mf-q", "il")]).empty


def test_armies_of_a_side_are_counted_and_two_have_no_test() -> None:
    table = np.array([[np.nan, 1.0, 1.0], [0.0, np.nan, 1.0], [0.0, 0.0, np.nan]])
    found = compare_armies(table, 1)
    assert (found.interval.estimate, found.n) == (1, 1)
    assert np.isnan([found.interval.low, found.interval.high, found.p]).all()
    with pytest.raises(ValueError, match="table must be"):
        compare_armies(table, 3)


def test_more_survivors_win() -> None:
    assert result_of([4, 2, 0], [0, 2, 4]).tolist() == ["win", "draw", "loss"]

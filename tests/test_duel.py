"""Duels: rounds that are functions of their numbers, alone or in lock step, from where the two armies are put."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from mfmarl.environments.battle.battles import Battle, Battles, Start
from mfmarl.environments.battle.scripts import OPPONENTS
from mfmarl.jobs.folder import Job, run
from mfmarl.networks.battle import BattleNetwork
from mfmarl.policies import Acting, Evaluation, Policy, Scripted
from mfmarl.tournament.duel import (
    SCORES,
    Duel,
    DuelDataModule,
    Group,
)

GAME = Battle(4, 30)
LEFT, FIRST = (True, False, True, False), (True, True, False, False)


def learned(seed: int, uses_mean_action: bool = True) -> Policy:
    """An army that has learned nothing, but has preferences."""
    network = BattleNetwork(uses_mean_action, Generator().manual_seed(seed))
    return Policy(network, Acting("temperature", 0.02), {"seed": seed})


ARMIES: dict[str, Policy | Scripted] = {
    "one": learned(1),
    "two": learned(2, uses_mean_action=False),
    "rush": Scripted("rush"),
    "random": Scripted("random"),
}


def group(army: str, opponent: str, *rounds: int, evaluation: Evaluation = "sampled", turn: int = 0) -> Group:
    left, first = (tuple(way[(number + turn) % 4] for number in rounds) for way in (LEFT, FIRST))
    return Group(army, opponent, evaluation, rounds, left, first)


def play(*groups: Group, game: Battle = GAME, armies: Mapping[str, Any] = ARMIES) -> list[dict[str, Tensor]]:
    data = DuelDataModule(game, (0,), steps=len(groups), evaluations=len(groups), groups=groups)
    return [data.play(armies) for _ in groups]


def column(scores: Mapping[str, Tensor], battle: int) -> list[float]:
    return [float(scores[name][battle]) for name in SCORES]


PAIRINGS = [("one", "two"), ("one", "one"), ("two", "random"), ("random", "one"), ("rush", "one")]


@pytest.mark.parametrize(("army", "opponent"), PAIRINGS)
def test_lock_step_is_one_by_one(army: str, opponent: str) -> None:
    (together,) = play(group(army, opponent, 0, 5, 2, 7))
    for battle, number in enumerate((0, 5, 2, 7)):
        (alone,) = play(group(army, opponent, number))
        assert column(together, battle) == column(alone, 0)
    assert len({tuple(column(together, battle)) for battle in range(4)}) > 1


@pytest.mark.parametrize("evaluation", ["greedy", "sampled"])
def test_a_round_is_a_function_of_its_number(evaluation: Evaluation) -> None:
    asked = group("one", "random", 3, 4, evaluation=evaluation)
    before = torch.get_rng_state()
    (first,) = play(asked)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(3)
    again = play(group("two", "rush", 1, 2), asked, asked)[1:]
    torch.set_rng_state(before)
    for scores in again:
        assert all(scores[name].equal(first[name]) for name in SCORES)
    (other,) = play(group("one", "random", 8, 9, evaluation=evaluation, turn=3))
    assert column(other, 0) != column(first, 0)


def test_greedy_and_sampled_play_differ() -> None:
    greedy, sampled = play(*(group("one", "two", 1, 2, evaluation=each) for each in ("greedy", "sampled")))
    assert column(greedy, 0) != column(sampled, 0)


@pytest.mark.parametrize("names", [("rush", "rush"), ("rush", "random")])
def test_scores_are_those_of_the_rounds_played_by_hand(names: tuple[str, str]) -> None:
    game = Battle(4, 60)
    (scores,) = play(group(*names, 6, 1, 4, 3), game=game)
    for battle, number in enumerate((6, 1, 4, 3)):
        chance = [Generator().manual_seed(number)]
        battles = Battles(game)
        battles.begin([Start.draw(chance[0], 1 - LEFT[number % 4], 1 - FIRST[number % 4])])
        total = torch.zeros(2, dtype=torch.float64)
        while not battles.done.all():
            views, features, *_ = battles.observe()
            actions = [OPPONENTS[name](views[:, army], features[:, army], chance) for army, name in enumerate(names)]
            total += battles.step(torch.stack(actions, 1)).rewards[0].double().sum(-1)
        reward, opponent_reward, *counts = column(scores, battle)
        assert (reward, opponent_reward) == pytest.approx(total.tolist(), rel=1e-6)
        assert counts == [*battles.survivors[0].tolist(), int(battles.steps)]
    assert len(set(scores["steps"].tolist())) > 1, "some wait for others"
    assert all(values.dtype == torch.float64 for values in scores.values())


def test_armies_stand_and_move_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Start] = []
    begin = Battles.begin

    def recorded(self: Battles, starts: Sequence[Start]) -> None:
        begun.extend(starts)
        begin(self, starts)

    monkeypatch.setattr(Battles, "begin", recorded)
    for turn in range(4):
        begun.clear()
        play(group("rush", "random", 0, 1, 2, 3, turn=turn))
        ways = [(number + turn) % 4 for number in range(4)]
        assert [start.left == 0 for start in begun] == [LEFT[way] for way in ways]
        assert [start.first == 0 for start in begun] == [FIRST[way] for way in ways]
        assert [start.seed for start in begun] == [
            Start.draw(Generator().manual_seed(number)).seed for number in range(4)
        ]


def test_the_army_that_is_asked_first_is_the_algorithms() -> None:
    (scores,) = play(group("rush", "random", 0, 1, 2, 3), game=Battle(4, 100))
    (turned,) = play(group("random", "rush", 0, 1, 2, 3), game=Battle(4, 100))
    assert (scores["survivors"] > scores["opponent_survivors"]).all()
    assert (turned["survivors"] < turned["opponent_survivors"]).all()
    assert (scores["reward"] > scores["opponent_reward"]).all()


class Spy:
    """Rushes, and keeps what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, ...]] = []

    def act(
        self, views: Tensor, features: Tensor, alive: Tensor, mean_action: Tensor, chance: Sequence[Generator], _: str
    ) -> Tensor:
        script = "rush" if len(chance) % 2 else "random"
        actions = OPPONENTS[script](views, features, chance)
        sees = views[:, :, 6, 6, 1] > 0
        self.calls.append((sees, alive.clone(), mean_action.clone(), actions.clone()))
        return actions


def test_an_army_is_told_who_lives_and_its_own_mean_action() -> None:
    spies = {"spy": Spy(), "other": Spy()}
    play(group("spy", "other", 0, 1, 2, evaluation="greedy"), game=Battle(4, 60), armies=spies)
    for spy in spies.values():
        for number, (sees, alive, means, _) in enumerate(spy.calls):
            expected = torch.zeros(3, 21)
            if number:
                _, before, _, actions = spy.calls[number - 1]
                for battle in range(3):
                    for action in actions[battle][before[battle]].tolist():
                        expected[battle, action] += 1 / int(before[battle].sum())
            playing = alive.any(-1)
            assert alive[playing].equal(sees[playing])
            torch.testing.assert_close(means[playing], expected[playing])
    last = spies["spy"].calls[-1][1].any(-1)
    assert not last.all(), "in a battle that is over nobody acts"


def test_fewer_rounds_than_in_other_groups_leave_nan() -> None:
    both = play(group("rush", "random", 0, 1, 2), group("rush", "random", 1))
    for name, values in both[1].items():
        assert values.shape == (3,)
        assert values[1:].isnan().all()
        assert values[0] == both[0][name][1]
        assert both[0][name].isfinite().all()


@pytest.mark.parametrize(("steps", "evaluations"), [(1, 2), (2, 1), (3, 3)])
def test_every_group_is_an_epoch(steps: int, evaluations: int) -> None:
    groups = [group("rush", "random", 0), group("rush", "random", 1)]
    message = f"^steps and evaluations must be the 2 groups, got {steps} and {evaluations}$"
    with pytest.raises(ValueError, match=message):
        DuelDataModule(GAME, (0,), steps=steps, evaluations=evaluations, groups=groups)


def job(folder: Path, **armies: str) -> Job:
    """Three groups between a learned army and a random one."""
    path = folder / "one.safetensors"
    learned(1).save(path)
    own = {str(path): hashlib.sha256(path.read_bytes()).hexdigest(), "random": ""} | armies
    groups = [group(str(path), "random", *rounds) for rounds in ((0, 1), (2, 3), (4,))]
    data = {"steps": 3, "evaluations": 3, "groups": groups}
    conditions = ({"battle": 0}, {"battle": 1})
    return Job("a-duel", {"algorithm": "one"}, "duel", GAME, (0,), {"armies": own}, data, conditions)


def test_a_stopped_duel_goes_on_to_the_bytes_of_a_whole_one(
    tmp_path: Path, stop: Callable[[Job, Path, int], None]
) -> None:
    this = job(tmp_path)
    rows = run(this, tmp_path / "whole")
    assert list(rows.columns) == ["algorithm", "battle", "seed", "step", *SCORES]
    assert rows[["battle", "step"]].to_numpy().tolist() == [[b, step] for b in (0, 1) for step in (1, 2, 3)]
    assert rows["reward"].isna().tolist() == [False] * 5 + [True]
    loaded = {**ARMIES, "one": Policy.load(tmp_path / "one.safetensors")}
    (second,) = play(group("one", "random", 2, 3), armies=loaded)
    assert rows[rows["step"] == 2][list(SCORES)].to_numpy().tolist() == [column(second, battle) for battle in (0, 1)]
    for evaluations in (1, 2):
        stop(this, tmp_path / "stopped", evaluations)
    run(this, tmp_path / "stopped")
    assert (tmp_path / "stopped/rows.csv").read_bytes() == (tmp_path / "whole/rows.csv").read_bytes()
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["job.json", "log.txt", "rows.csv"]


def test_a_policy_that_changed_is_refused_and_makes_another_job(tmp_path: Path) -> None:
    this = job(tmp_path)
    path = tmp_path / "one.safetensors"
    learned(3).save(path)
    with pytest.raises(ValueError, match=r"^armies: .*one\.safetensors has changed since the duel was drawn up$"):
        run(this, tmp_path / "duel")
    again = job(tmp_path)
    assert again.fingerprint == this.fingerprint
    assert job(tmp_path, **{str(path): "0" * 64}).fingerprint != this.fingerprint
    path.unlink()
    with pytest.raises(ValueError, match=r"^armies: .*one\.safetensors"):
        Duel(GAME, (0,), armies={str(path): "0" * 64})
    with pytest.raises(ValueError, match=r"^opponent must be one of"):
        Duel(GAME, (0,), armies={"stroll": ""})

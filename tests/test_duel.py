"""Duels: rounds that are functions of their numbers, alone or in lock step, from where the two armies are put."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Generator, Tensor

from mfmarl import policies
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle, Start
from mfmarl.environments.battle.scripts import OPPONENTS
from mfmarl.files import digest
from mfmarl.jobs.execution import Execution, Hardware
from mfmarl.jobs.folder import found, run
from mfmarl.jobs.launch import launch
from mfmarl.networks.battle import BattleNetwork
from mfmarl.policies import Acting, Evaluation, Policy, Scripted
from mfmarl.tournament.duel import ArmyFile, DuelJob, entrant, play_block
from mfmarl.tournament.schedule import Fixture
from mfmarl.values import read_weights
from tests.support import done

GAME = Battle(4, 30)
SCORES = ("reward", "opponent_reward", "survivors", "opponent_survivors", "steps")
LEFT, FIRST = (True, False, True, False), (True, True, False, False)


def learned(seed: int, uses_mean_action: bool = True) -> Policy:
    """An army that has learned nothing, but has preferences."""
    network = BattleNetwork(uses_mean_action, Generator().manual_seed(seed))
    return Policy(network, Acting("temperature", 0.02), {"seed": seed}, uses_mean_action=uses_mean_action)


SEATS = ["left" if left else "right" for left in LEFT]
ARMIES: dict[str, Policy | Scripted] = {
    "one": learned(1),
    "two": learned(2, uses_mean_action=False),
    "rush": Scripted("rush"),
    "random": Scripted("random"),
}


def group(
    army: str, opponent: str, *rounds: int, evaluation: Evaluation = "sampled", turn: int = 0
) -> tuple[Fixture, ...]:
    ways = [((number + turn) % 4, number) for number in rounds]
    return tuple(
        Fixture(army, opponent, 0, 0, SEATS[way], "yes" if FIRST[way] else "no", evaluation, number)
        for way, number in ways
    )


def play(
    *groups: tuple[Fixture, ...], game: Battle = GAME, armies: Mapping[str, Any] = ARMIES
) -> list[dict[str, Tensor]]:
    named = {entrant(name, 0): army for name, army in armies.items()}
    played = [[*play_block(block, game, named)] for block in groups]
    return [
        {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in SCORES} for rows in played
    ]


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

    neighbourhood = Scripted.neighbourhood

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
            torch.testing.assert_close(means[playing], expected[playing, None].expand_as(means[playing]))
    last = spies["spy"].calls[-1][1].any(-1)
    assert not last.all(), "in a battle that is over nobody acts"


def job(folder: Path, seed: int = 1) -> DuelJob:
    """Three groups between a learned army and a random one."""
    path = folder / "one.safetensors"
    learned(seed).save(path)
    blocks = tuple(group("one", "random", *rounds) for rounds in ((0, 1), (2, 3), (4,)))
    armies = {"one 0": ArmyFile.of_file(path), "random 0": ArmyFile("random")}
    return DuelJob("a-duel", {"algorithm": "one"}, GAME, blocks, armies)


class StopError(Exception):
    """Raised in the midst of a duel to stop it."""


def stop(this: DuelJob, directory: Path, rounds: int) -> None:
    """Do a duel until so many rounds are played, saving after every block."""

    def progress(work: int) -> None:
        if work == rounds * GAME.agents:
            raise StopError

    with pytest.raises(StopError):
        run(this, directory, progress=progress, checkpoint_seconds=0)


def test_a_stopped_duel_goes_on_to_the_bytes_of_a_whole_one(tmp_path: Path) -> None:
    this = job(tmp_path)
    rows = done(this, tmp_path / "whole")
    assert list(rows.columns) == [*Fixture._fields[:4], "agents", *Fixture._fields[4:], "result", *SCORES]
    assert rows["round"].tolist() == [0, 1, 2, 3, 4]
    assert this.work == 5 * GAME.agents
    loaded = {**ARMIES, "one": Policy.load(tmp_path / "one.safetensors")}
    (second,) = play(group("one", "random", 2, 3), armies=loaded)
    assert rows.loc[2:3, list(SCORES)].to_numpy().tolist() == [column(second, battle) for battle in (0, 1)]
    lead = rows["survivors"] - rows["opponent_survivors"]
    assert rows["result"].tolist() == [{1: "win", 0: "draw", -1: "loss"}[int(sign)] for sign in np.sign(lead)]
    stop(this, tmp_path / "stopped", 4)
    assert found(this, tmp_path / "stopped", Hardware()) == "checkpoint"
    stop(this, tmp_path / "stopped", 5)
    checkpoint = tmp_path / "stopped/checkpoint.json"
    content = json.loads(checkpoint.read_text())
    day = {**content, "times": dict.fromkeys(content["times"], 86400.0)}
    checkpoint.write_text(json.dumps(day))
    reports: list[int] = []
    run(this, tmp_path / "stopped", progress=reports.append)
    assert reports == [4 * GAME.agents, 5 * GAME.agents], "it goes on where it was saved"
    told = json.loads((tmp_path / "stopped/job.json").read_text())
    assert all(told[kind] >= 86400 for kind in day["times"]), "and counts on from the times that were"
    assert (tmp_path / "stopped/rows.csv").read_bytes() == (tmp_path / "whole/rows.csv").read_bytes()
    for name in ("whole", "stopped"):
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [".lock", "job.json", "log.txt", "rows.csv"]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    this = job(tmp_path)
    stop(this, tmp_path / "stopped", 4)
    checkpoint = tmp_path / "stopped/checkpoint.json"
    content = json.loads(checkpoint.read_text())
    for damaged in ("{", json.dumps({**content, "rows": content["rows"][:1]})):
        checkpoint.write_text(damaged)
        with pytest.raises(ValueError, match=r"checkpoint\.json is damaged; .*--fresh"):
            run(this, tmp_path / "stopped")


def test_a_policy_that_changed_is_refused_and_makes_another_job(tmp_path: Path) -> None:
    this = job(tmp_path)
    this.check()
    other = job(tmp_path, seed=3)
    assert other.fingerprint != this.fingerprint
    with pytest.raises(ValueError, match=r"^armies: .*one\.safetensors has changed since the duel was drawn up$"):
        this.check()
    with pytest.raises(ValueError, match=r"^armies: .*one\.safetensors has changed"):
        run(this, tmp_path / "duel")
    (tmp_path / "one.safetensors").unlink()
    with pytest.raises(ValueError, match=r"^armies: there is no file .*one\.safetensors$"):
        this.check()
    with pytest.raises(ValueError, match=r"^name must be one of"):
        ArmyFile("stroll").load()


def test_an_army_that_cannot_act_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    file = tmp_path / "no.safetensors"
    save_file({"weight": torch.zeros(2)}, file, {"kind": "policy"})
    with pytest.raises(ValueError, match=r"no\.safetensors is no policy"):
        ArmyFile(str(file), digest(file)).load()


def test_an_army_is_read_once_when_it_is_checked_and_once_when_it_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this, reads = job(tmp_path), cast(list[object], [])

    def spied(*arguments: Any) -> Any:
        reads.append(arguments[0])
        return read_weights(*arguments)

    monkeypatch.setattr(policies, "read_weights", spied)
    this.check()
    assert len(reads) == 1
    done(this, tmp_path / "duel")
    assert len(reads) == 2


def test_an_army_that_moved_is_the_same_job(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    assert job(tmp_path / "here").fingerprint == job(tmp_path / "there").fingerprint


def test_armies_fight_in_float32(tmp_path: Path) -> None:
    message = r"^precision: got bf16-mixed, allowed for .* is 32$"
    with pytest.raises(ValueError, match=message):
        run(job(tmp_path), tmp_path / "duel", Hardware(precision="bf16-mixed"))
    assert not (tmp_path / "duel").exists()
    with pytest.raises(ValueError, match=message):
        launch([job(tmp_path)], tmp_path / "out", Execution(precision="bf16-mixed", workers=1))
    assert not (tmp_path / "out").exists()

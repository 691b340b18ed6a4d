"""Self-play: what the policy is shown, what is stored, what falls due, and how it goes on from where it stopped."""

import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from mfmarl.data.army_replay import BattleBatch
from mfmarl.data.self_play import SCORES, SelfPlayDataModule
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.observation import Outcome
from mfmarl.environments.battle.scripts import random, rush
from mfmarl.jobs.folder import run
from mfmarl.jobs.job import TrainingJob
from tests.support import done, same

GAME = Battle(8, 30)
STAY = 6


class Spy:
    """Army 0 and 1 follow scripts; keeps all that is asked of them."""

    device = torch.device("cpu")
    uses_mean_action = True

    def __init__(self, *armies: str) -> None:
        self.armies = armies or ("rush", "random")
        self.calls: list[dict[str, Any]] = []
        self.followed: list[int] = []  # after how many calls

    def act(self, army: int, view: Tensor, feature: Tensor, mean_action: Tensor, uniform: Tensor, step: int) -> Tensor:
        chance = Generator().manual_seed(int(uniform.sum() * 1e6))
        scripts: dict[str, Callable[[], Tensor]] = {
            "rush": lambda: rush(view[None], feature[None])[0],
            "random": lambda: random(view[None], feature[None], [chance])[0],
            "stay": lambda: torch.full((len(view),), STAY),
        }
        actions = scripts[self.armies[army]]()
        call = {"army": army, "view": view, "feature": feature, "mean_action": mean_action, "uniform": uniform}
        self.calls.append({key: deepcopy(value) for key, value in {**call, "step": step, "actions": actions}.items()})
        return actions

    def playing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def opponent_follows(self) -> None:
        self.followed.append(len(self.calls))

    def of(self, army: int) -> list[dict[str, Any]]:
        return [call for call in self.calls if call["army"] == army]


def make(game: Battle = GAME, seed: int = 0, **changes: Any) -> SelfPlayDataModule:
    small = {"steps": 8, "evaluations": 2, "batch_size": 5, "samples_per_update": 7, "capacity": 10_000}
    return SelfPlayDataModule(game, (seed,), **{**small, **changes})


def transitions(data: SelfPlayDataModule) -> BattleBatch:
    """All that is stored, in order."""
    replay = data._replay.of(Spy())
    count = len(replay)
    return replay.sample((torch.arange(count, dtype=torch.float64) + 0.5) / count)


def test_what_is_stored_is_what_was_played() -> None:
    data, spy = make(), Spy()
    for _ in range(2):
        list(data.play(spy))
    own, stored = spy.of(0), transitions(data)
    assert len(stored.action) == sum(len(call["actions"]) for call in own)
    assert stored.action.equal(torch.cat([call["actions"] for call in own]))
    for name in ("view", "feature", "mean_action"):
        assert getattr(stored, name).equal(torch.cat([call[name] for call in own])), name
    assert stored.terminal.any()
    assert float(data.evaluate(spy)["reward"]) * 2 == pytest.approx(float(stored.reward.sum()), rel=1e-5)


def test_the_mean_action_is_that_of_the_armys_living_one_step_before() -> None:
    data, spy = make(), Spy()
    lengths = []
    for _ in range(2):
        before = len(spy.of(0))
        list(data.play(spy))
        lengths.append(len(spy.of(0)) - before)
    for army in (0, 1):
        calls = spy.of(army)
        for number, call in enumerate(calls):
            expected = torch.zeros(21)
            if number not in (0, lengths[0]):  # the first step of a round
                earlier = calls[number - 1]["actions"].tolist()
                expected = torch.tensor([earlier.count(action) / len(earlier) for action in range(21)])
            assert call["mean_action"].shape == (len(call["actions"]), 21)
            torch.testing.assert_close(call["mean_action"], expected.expand(len(call["actions"]), 21))
    assert not spy.of(0)[3]["mean_action"][0].equal(spy.of(1)[3]["mean_action"][0])


def test_the_dead_are_not_asked() -> None:
    data, spy = make(Battle(8, 80)), Spy()
    list(data.play(spy))
    counts = {army: [len(call["actions"]) for call in spy.of(army)] for army in (0, 1)}
    assert [count[0] for count in counts.values()] == [8, 8]
    assert counts[1] == sorted(counts[1], reverse=True)
    assert 0 < counts[1][-1] < 8
    for call in spy.calls:
        assert (call["view"][:, 6, 6, 1] > 0).all(), "who is asked sees itself"
        assert call["uniform"].shape == (len(call["actions"]),)
    assert [call["army"] for call in spy.calls] == [0, 1] * (len(spy.calls) // 2)


def test_a_policy_learns_how_many_rounds_were_played_and_its_own_draws() -> None:
    data, spy = make(), Spy()
    for number in range(3):
        before = len(spy.calls)
        list(data.play(spy))
        assert {call["step"] for call in spy.calls[before:]} == {number}
        assert data.steps_played == number + 1
    draws = torch.cat([call["uniform"] for call in spy.calls])
    assert len(set(draws.tolist())) > 0.99 * len(draws)
    assert 0 <= float(draws.min()) < 0.01
    assert 0.99 < float(draws.max()) < 1


@pytest.mark.parametrize("samples_per_update", [7, 100, 450])
def test_a_gradient_step_falls_due_for_so_many_transitions_and_the_rest_is_carried(samples_per_update: int) -> None:
    data, spy = make(samples_per_update=samples_per_update), Spy()
    stored = updates = 0
    for _ in range(4):
        before = len(spy.of(0))
        batches = list(data.play(spy))
        stored += sum(len(call["actions"]) for call in spy.of(0)[before:])
        updates += len(batches)
        assert updates == stored // samples_per_update
        assert data.owed == stored % samples_per_update
        for batch in batches:
            assert batch.view.shape == (5, 13, 13, 7)
            assert batch.terminal.shape == (5,)
    assert updates > 0
    assert stored % samples_per_update > 0


def test_minibatches_come_from_all_that_is_stored() -> None:
    data, spy = make(batch_size=64), Spy()
    batches = list(data.play(spy))
    known = {tuple(row) for row in transitions(data).feature.tolist()}
    drawn = [tuple(row) for batch in batches for row in batch.feature.tolist()]
    assert set(drawn) <= known
    assert len(set(drawn)) > 0.95 * len(known)
    assert not batches[0].feature.equal(batches[1].feature)


def test_rounds_are_played_before_their_minibatches_are_asked_for() -> None:
    data, spy = make(), Spy()
    batches = data.play(spy)
    next(batches)
    assert data.steps_played == 1
    calls = len(spy.calls)
    list(batches)
    assert len(spy.calls) == calls


@pytest.mark.parametrize(
    ("armies", "follows", "expected"),
    [
        (("rush", "stay"), "higher-reward", True),
        (("stay", "rush"), "higher-reward", False),
        (("stay", "stay"), "higher-reward", False),
        (("rush", "stay"), "always", True),
        (("stay", "rush"), "always", True),
        (("stay", "stay"), "always", True),
    ],
)
def test_when_the_opponent_follows(armies: tuple[str, str], follows: str, expected: bool) -> None:
    data, spy = make(opponent_follows=follows), Spy(*armies)
    batches = data.play(spy)
    next(batches)
    calls = len(spy.calls)
    assert spy.followed == [calls] * expected, "once, after the round and before the first gradient step"
    list(batches)
    assert len(spy.followed) == expected
    won = {("rush", "stay"): 1.0, ("stay", "rush"): 0.0, ("stay", "stay"): 0.0}
    assert float(data.evaluate(spy)["wins"]) == won[armies]


def test_scores_are_means_over_the_rounds_since_the_last_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    paid: list[Tensor] = []
    step = Battles.step

    def recorded(self: Battles, actions: Tensor) -> Outcome:
        outcome = step(self, actions)
        paid.append(outcome.rewards[0].double().sum(-1))
        return outcome

    monkeypatch.setattr(Battles, "step", recorded)
    data, spy = make(Battle(8, 40)), Spy()
    for rounds in (3, 2):
        expected = dict.fromkeys(SCORES, 0.0)
        for _ in range(rounds):
            paid.clear()
            list(data.play(spy))
            own, other = data.battles.survivors[0].tolist()
            reward, opponent_reward = torch.stack(paid).sum(0).tolist()
            brought = (reward, opponent_reward, 8 - other, 8 - own, own > other, len(paid))
            expected = {name: sum_ + one for (name, sum_), one in zip(expected.items(), brought, strict=True)}
        scores = data.evaluate(spy)
        assert [*scores] == ["reward", "opponent_reward", "kills", "deaths", "wins", "steps"]
        for name, values in scores.items():
            assert values.shape == (1,)
            assert values.dtype == torch.float64
            assert float(values) == pytest.approx(expected[name] / rounds, rel=1e-6), name
        assert float(scores["kills"]) > float(scores["deaths"])
        assert float(scores["reward"]) > float(scores["opponent_reward"])


def test_epochs_are_the_rounds_between_evaluations() -> None:
    data = make(steps=8, evaluations=2)
    assert len(data.train_dataloader()) == 4
    assert len(data.val_dataloader()) == 1
    assert data.train_dataloader()[3] == data.play
    assert data.train_dataloader().state_dict() == {"handed_out": 0}
    assert data.val_dataloader()[0] == data.evaluate


def played(data: SelfPlayDataModule, rounds: int) -> list[Any]:
    """All that rounds leave: what was asked and answered, and the minibatches."""
    left: list[Any] = []
    for _ in range(rounds):
        spy = Spy()
        batches = [tuple(batch) for batch in data.play(spy)]
        left.append(([tuple(call.values()) for call in spy.calls], batches))
    return left


def test_a_round_is_a_function_of_the_state() -> None:
    capacity = 150
    data = make(capacity=capacity)
    played(data, 3)  # more than the buffer holds
    state = deepcopy(data.state_dict())
    expected = played(data, 2)
    for _ in range(2):
        other = make(capacity=capacity, seed=7)
        other.load_state_dict(deepcopy(state))
        assert same(other.state_dict(), state), "before it has met a policy too"
        with torch.random.fork_rng():
            torch.manual_seed(1)
            before = torch.get_rng_state()
            assert same(played(other, 2), expected)
            assert torch.get_rng_state().equal(before)
        assert same(other.state_dict(), data.state_dict())
    assert not same(played(make(capacity=capacity), 2), expected)


def test_a_state_from_before_the_first_round_is_one_too() -> None:
    data, other = make(), make(seed=3)
    other.load_state_dict(deepcopy(data.state_dict()))
    assert same(played(other, 2), played(data, 2))


@pytest.mark.parametrize("copied", [deepcopy, lambda data: pickle.loads(pickle.dumps(data))])  # noqa: S301
@pytest.mark.parametrize("rounds", [0, 2])
def test_a_copy_plays_on_as_the_original_does(copied: Callable[[Any], Any], rounds: int) -> None:
    data = make()
    played(data, rounds)
    other = copied(data)
    assert same(played(other, 2), played(data, 2))


def test_it_is_shown_as_what_it_is() -> None:
    shown = f"SelfPlayDataModule({GAME}, seeds [0], 0 of 8 steps played, 2 evaluations)"
    assert (repr(make()), str(make())) == (shown, shown)


def test_seeds_differ_and_each_repeats_itself() -> None:
    first, again, other = (played(make(seed=seed), 1) for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"evaluations": 0}, "evaluations must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"samples_per_update": 0}, "samples_per_update must be at least 1, got 0"),
        ({"capacity": 0}, "capacity must be at least 1, got 0"),
        ({"steps": 9}, "evaluations must divide steps, got 2 and 9"),
        ({"opponent_follows": "never"}, "opponent_follows must be higher-reward or always, got 'never'"),
    ],
)
def test_arguments_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make(**changes)


SMALL = Battle(2, 12)  # 12 rounds of at most 24 transitions: more than the buffer holds


def job(algorithm: str, seed: int = 0, **agent: Any) -> TrainingJob:
    data: dict[str, Any] = {"steps": 8, "evaluations": 4, "batch_size": 8, "samples_per_update": 20, "capacity": 60}
    if "released" in algorithm:
        data = {name: data[name] for name in ("steps", "evaluations")}
    data |= {"opponent_follows": "always"}
    labels: dict[str, Any] = {"settings": "toy", "algorithm": algorithm, "agents": 2}
    return TrainingJob("a-job", labels, algorithm, SMALL, (seed,), {"learning_rate": 1e-3, **agent}, data)


FILES = [".lock", "job.json", "log.txt", "policy.safetensors", "rows.csv"]


@pytest.mark.parametrize("algorithm", ["battle-mf-q", "battle-mf-ac", "battle-released-mf-ac"])
def test_a_stopped_run_goes_on_to_the_bytes_of_a_whole_one(
    algorithm: str, tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]
) -> None:
    this = job(algorithm)
    rows = done(this, tmp_path / "whole")
    for evaluations in (1, 3):
        stop(this, tmp_path / "stopped", evaluations)
        assert not (tmp_path / "stopped/policy.safetensors").exists()
    reports: list[int] = []
    run(this, tmp_path / "stopped", progress=reports.append)
    assert (reports[0], reports[-1]) == (this.work * 3 // 4, this.work)
    for name in ("rows.csv", "policy.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert sorted(path.name for path in (tmp_path / "stopped").iterdir()) == FILES
    assert list(rows.columns) == ["settings", "algorithm", "agents", "seed", "step", *SCORES]
    assert rows["step"].tolist() == [2, 4, 6, 8]


def test_a_job_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state().tolist()
    run(job("battle-mf-q"), tmp_path)
    assert torch.get_rng_state().tolist() == before


def test_seeds_give_other_rows_and_other_policies(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(job("battle-il", seed), tmp_path / str(seed))
    for name in ("rows.csv", "policy.safetensors"):
        assert (tmp_path / "0" / name).read_bytes() != (tmp_path / "1" / name).read_bytes()


def test_a_policy_of_another_job_does_not_stay(tmp_path: Path, stop: Callable[[TrainingJob, Path, int], None]) -> None:
    run(job("battle-il", 0), tmp_path)
    stop(job("battle-il", 1), tmp_path, 1)
    assert not (tmp_path / "policy.safetensors").exists()


def test_training_moves_the_learner_and_its_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mfmarl.algorithms.battle import BattleIL  # noqa: PLC0415 - Lightning takes seconds to import

    kept: list[dict[str, Tensor]] = []
    monkeypatch.setattr(BattleIL, "save", lambda self, directory: kept.append(self.state_dict()))
    run(job("battle-il"), tmp_path)
    (end,) = kept
    start = BattleIL(SMALL, (0,)).state_dict()
    assert start.keys() == end.keys()
    for name, values in end.items():
        assert not values.equal(start[name]), name

"""Rounds that are played again: replay files, and states of the driver saved and restored."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle, Start
from mfmarl.environments.battle.observation import Observation
from mfmarl.environments.battle.recorded import Replay, play
from mfmarl.environments.battle.scripts import random, rush


def generators(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


def fight(observed: Observation, chance: list[Generator]) -> Tensor:
    views, features = observed.views, observed.features
    return torch.stack([rush(views[:, 0], features[:, 0]), random(views[:, 1], features[:, 1], chance)], 1)


def frame(battles: Battles) -> list[Tensor]:
    """Everything about the state of the battles, copied."""
    return [entry.clone() for entry in (*battles.observe(), *battles.units(), battles.done, battles.steps)]


def advance(battles: Battles, chance: list[Generator], steps: int) -> list[list[Tensor]]:
    """Fight on for so many steps or until the end: what could be seen at each."""
    seen = []
    while not battles.done.all() and steps > 0:
        outcome = battles.step(fight(battles.observe(), chance))
        seen.append([*frame(battles), *outcome])
        steps -= 1
    return seen


def same(one: list[list[Tensor]], other: list[list[Tensor]]) -> bool:
    return len(one) == len(other) and all(
        left.numpy().tobytes() == right.numpy().tobytes()
        for step, other_step in zip(one, other, strict=True)
        for left, right in zip(step, other_step, strict=True)
    )


@pytest.mark.parametrize("steps", [0, 7, 400])
def test_a_replay_is_the_round_in_every_byte(steps: int, tmp_path: Path) -> None:
    battles, chance = Battles(Battle(16), 2), generators(1, 2)
    battles.reset(chance)
    seen = [frame(battles), *advance(battles, chance, steps)]
    for battle in (0, 1):
        Replay.record(battles, battle).save(tmp_path / "round.npz")
        replay = Replay.load(tmp_path / "round.npz")
        length = int(battles.steps[battle])
        assert len(replay.actions) == length
        assert replay.start == battles.starts[battle]
        frames = 0
        for found, expected in zip(play(replay), seen[: length + 1], strict=True):
            for tensor, recorded in zip((*found.observation, *found.units), expected, strict=False):
                assert tensor[0].numpy().tobytes() == recorded[battle].numpy().tobytes()
            if found.outcome is not None:
                assert [entry[0].tolist() for entry in found.outcome] == [
                    entry[battle].tolist() for entry in expected[-3:]
                ]
            frames += 1
        assert frames == length + 1
    assert battles.done.all() == (steps == 400)


def test_a_replay_file_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    battles, chance = Battles(Battle(64)), generators(1)
    battles.reset(chance)
    advance(battles, chance, 400)
    replay = Replay.record(battles)
    for name in ("one", "two"):
        replay.save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    assert (tmp_path / "one").stat().st_size < replay.actions.numel()


def saved(tmp_path: Path, **changes: object) -> Path:
    arrays: dict[str, object] = {
        "game": np.array([2, 400]),
        "start": np.array([2, 0, 0]),
        "actions": np.full((3, 2, 2), 6, dtype=np.uint8),
        "alive": np.ones((2, 2), dtype=np.bool_),
    }
    game, start, actions, alive = (np.asarray({**arrays, **changes}[name]) for name in arrays)
    path = tmp_path / "changed.npz"
    np.savez(path, game=game, start=start, actions=actions, alive=alive)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.full((3, 2, 2), 21, dtype=np.uint8)}, r"actions must be in 0 \.\. 20, got 21"),
        ({"actions": np.full((3, 2, 3), 6, dtype=np.uint8)}, r"actions must be uint8 \[steps, 2, 2\], got .*"),
        ({"actions": np.full((3, 2, 2), 6)}, r"actions is int64 \[3, 2, 2\]"),
        ({"actions": np.full((3, 2, 2), None)}, r"actions is object \[3, 2, 2\]"),
        ({"game": np.array([2, 2])}, "actions must be of at most max_steps = 2 steps, got 3"),
        ({"game": np.array([2])}, r"game is int64 \[1\]"),
        ({"game": np.array([2, 3, 4])}, r"game is int64 \[3\]"),
        ({"start": np.array([0, 0, 0])}, "seed must be .*"),
        ({"start": np.array([2.0, 0.0, 0.0])}, r"start is float64 \[3\]"),
        ({"alive": np.ones((2, 3), dtype=np.bool_)}, r"alive must be bool \[2, 2\], got torch.bool \[2, 3\]"),
    ],
)
def test_files_that_are_no_replays_are_refused(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    assert list(play(Replay.load(saved(tmp_path, game=np.array([2, 3])))))
    with pytest.raises(ValueError, match=f"changed.npz is not a replay: {message}$"):
        Replay.load(saved(tmp_path, **changes))


def test_a_file_that_says_it_holds_more_than_it_does_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["actions.npy"] = members["actions.npy"].replace(b"(3, 2, 2), }     ", b"(1000000, 2, 2), }")
    with ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"is not a replay: actions is said to have 4000000 bytes$"):
        Replay.load(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 torn", b"\x93NUMPY torn"])
def test_bytes_that_are_no_replay_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "changed.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"changed.npz is not a replay: "):
        Replay.load(path)
    with pytest.raises(ValueError, match=r"^replay: there is no file "):
        Replay.load(tmp_path / "missing.npz")


def test_a_replay_with_any_byte_changed_is_a_replay_or_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    whole, refused = path.read_bytes(), []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            Replay.load(path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > len(whole) // 2
    assert all("is not a replay" in message for message in refused)


def test_a_replay_cut_short_by_its_file_or_by_another_engine_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path)
    torn = path.read_bytes()
    path.write_bytes(torn[: len(torn) // 2])
    with pytest.raises(ValueError, match="is not a replay"):
        Replay.load(path)
    replay = Replay.load(saved(tmp_path, alive=np.array([[True, True], [True, False]])))
    with pytest.raises(ValueError, match=r"^replay does not play again on this build of MAgent2"):
        list(play(replay))
    with pytest.raises(ValueError, match=r"^record: no round has begun, reset first$"):
        Replay.record(Battles(Battle(2)))


@pytest.mark.parametrize("before", [0, 1, 20, 400])
def test_a_resumed_run_is_the_uninterrupted_one(before: int, tmp_path: Path) -> None:
    battles, chance = Battles(Battle(8), 2), generators(1, 2)
    battles.reset(chance)
    advance(battles, chance, before)
    state = {"battles": battles.state_dict(), "chance": [each.get_state() for each in chance]}
    torch.save(state, tmp_path / "checkpoint")

    def rest(battles: Battles, chance: list[Generator]) -> list[list[Tensor]]:
        seen = [frame(battles), *advance(battles, chance, 400)]
        for _ in range(2):
            battles.reset(chance)
            seen += [frame(battles), *advance(battles, chance, 400)]
        return seen

    expected = rest(battles, chance)
    loaded = torch.load(tmp_path / "checkpoint", weights_only=True)
    other, other_chance = Battles(Battle(8), 2), generators(8, 9)
    other.reset(other_chance)
    advance(other, other_chance, 5)
    for generator, saved_state in zip(other_chance, loaded["chance"], strict=True):
        generator.set_state(saved_state)
    other.load_state_dict(loaded["battles"])
    assert same(rest(other, other_chance), expected)


def test_a_state_from_before_the_first_round_is_just_that() -> None:
    battles, fresh = Battles(Battle(2)), Battles(Battle(2))
    battles.reset(generators(0))
    battles.observe()
    battles.step(torch.full((1, 2, 2), 6))
    battles.load_state_dict(fresh.state_dict())
    assert battles.starts == ()
    for name, entry in fresh.state_dict().items():
        assert entry.equal(battles.state_dict()[name])
    with pytest.raises(ValueError, match=r"^observe: no round has begun, reset first$"):
        battles.observe()


def test_states_of_other_battles_are_refused() -> None:
    battles = Battles(Battle(2, max_steps=5))
    battles.begin([Start(2, 0, 0)])
    for _ in range(5):
        battles.observe()
        battles.step(torch.full((1, 2, 2), 6))
    state = battles.state_dict()
    for other in (Battles(Battle(2)), Battles(Battle(2, max_steps=5))):
        other.load_state_dict(state)
        assert other.steps.tolist() == [5]
    for other in (Battles(Battle(2), 2), Battles(Battle(4)), Battles(Battle(2, max_steps=4))):
        with pytest.raises(ValueError, match=r"^state must be of . battles of Battle\(.*\), got another's$"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match=r"^actions must be in 0 \.\. 20, got 21$"):
        battles.load_state_dict({**state, "actions": torch.full_like(state["actions"], 21)})
    with pytest.raises(ValueError, match=r"^state does not play again on this build of MAgent2"):
        battles.load_state_dict({**state, "alive": ~state["alive"]})

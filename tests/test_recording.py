"""Recorded battles: the replay is the battle that the armies fought, a function of the seed, and its film opens."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Generator

from mfmarl.army_replay import action_counts, frequencies
from mfmarl.convolutional import BattleNetwork
from mfmarl.data import generators
from mfmarl.environments.battle import Battle, Battles
from mfmarl.environments.battle_replay import Replay, play
from mfmarl.policies import Acting, Policy, Scripted
from mfmarl.recording import check_kind, record, write

GAME = Battle(8, 25)


@pytest.fixture
def army(tmp_path: Path) -> str:
    network = BattleNetwork(True, Generator().manual_seed(0))
    path = tmp_path / "army.safetensors"
    Policy(network, Acting("temperature", 0.1), {"algorithm": "BattleMFAC", "agents": 8, "seed": 0}).save(path)
    return str(path)


def same(one: Replay, other: Replay) -> bool:
    tensors = ((one.actions, other.actions), (one.alive, other.alive))
    return one.game == other.game and one.start == other.start and all(torch.equal(*pair) for pair in tensors)


def test_a_seed_decides_the_battle(army: str) -> None:
    first, again, other = (record(GAME, (army, "random"), "sampled", seed) for seed in (3, 3, 4))
    assert same(first, again)
    assert not same(first, other)
    assert not same(first, record(GAME, ("random", army), "sampled", 3))
    assert not same(first, record(GAME, (army, "random"), "greedy", 3))


@pytest.mark.parametrize("evaluation", ["greedy", "sampled"])
def test_the_replay_is_what_the_armies_did(army: str, evaluation: Any) -> None:
    replay = record(GAME, (army, "rush"), evaluation, 5)
    policies: list[Policy | Scripted] = [Policy.load(army), Scripted("rush")]
    chance, battles = generators((5,), "evaluation"), Battles(GAME)
    battles.reset(chance)
    assert battles.starts[0] == replay.start
    previous = torch.zeros(2, 21)
    for step in range(len(replay.actions)):
        seen = battles.observe()
        actions = torch.zeros(1, 2, 8, dtype=torch.int64)
        for number, policy in enumerate(policies):
            actions[:, number] = policy.act(
                seen.views[:, number],
                seen.features[:, number],
                seen.alive[:, number],
                previous[None, number],
                chance,
                evaluation,
            )
        assert torch.equal(replay.actions[step].long().where(seen.alive[0], 0), actions[0].where(seen.alive[0], 0)), (
            step
        )
        previous = frequencies(action_counts(actions[0], seen.alive[0]))
        battles.step(actions)
    assert battles.done.all()
    assert torch.equal(replay.alive, battles.alive[0])


def test_the_files_play_and_open(army: str, tmp_path: Path) -> None:
    replay = record(GAME, (army, "rush"), "sampled", 0)
    file, film = write(replay, tmp_path / "new" / "a-v-b", "gif", ("a", "b"))
    assert (file, film) == (tmp_path / "new/a-v-b.npz", tmp_path / "new/a-v-b.gif")
    assert sorted(path.name for path in file.parent.iterdir()) == [film.name, file.name]
    loaded = Replay.load(file)
    assert same(loaded, replay)
    *_, last = play(loaded)
    assert torch.equal(last.units.alive[0], replay.alive)
    with Image.open(film) as picture:
        assert picture.n_frames == len(replay.actions) + 1  # type: ignore[attr-defined]
    assert file.stat().st_size < 5000


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"armies": ("rush",)}, r"armies must be two, got 1"),
        (
            {"armies": ("rush", "nobody")},
            r"armies must be files of policies or random or rush, got 'nobody', .*",
        ),
        ({"evaluation": "both"}, r"evaluation must be greedy or sampled, got 'both'"),
        ({"seed": -1}, r"seed must be in 0 \.\. 2\^61 - 1, got -1"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_played(
    wrong: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfmarl.recording.fight", lambda *_: pytest.fail("it begins"))
    with pytest.raises(ValueError, match=f"^{message}$"):
        record(**{"game": GAME, "armies": ("rush", "random"), "evaluation": "greedy", "seed": 0, **wrong})


def test_a_kind_of_film_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^kind must be gif or mp4, got 'avi'$"):
        check_kind("avi")
    monkeypatch.setattr("mfmarl.recording.FFMpegWriter.isAvailable", lambda: False)
    with pytest.raises(ValueError, match=r"^kind must be gif, got 'mp4', which needs the program ffmpeg"):
        check_kind("mp4")

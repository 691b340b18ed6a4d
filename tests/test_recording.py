"""Recorded battles against a loop by hand, and their files against the battle that was recorded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.animation import FFMpegWriter
from matplotlib.colors import to_rgb
from PIL import Image
from torch import Generator, Tensor

from mfmarl import policies
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.observation import Outcome
from mfmarl.environments.battle.recorded import Replay, play
from mfmarl.environments.battle.scripts import OPPONENTS
from mfmarl.figures.battle_film import ARMIES
from mfmarl.mean_field import boltzmann_policy
from mfmarl.networks.battle import BattleNetwork
from mfmarl.policies import Acting, Evaluation, Policy
from mfmarl.seeds import generators
from mfmarl.tournament import films, recording
from mfmarl.tournament.films import army_files, army_name, film, film_again, recording_name
from mfmarl.tournament.recording import captions, check_kind, record, write
from mfmarl.values import read_weights

GAME = Battle(8, 25)


@pytest.fixture
def army(tmp_path: Path) -> str:
    """The file of an army that has learned nothing, and acts by its mean action above all."""
    network = BattleNetwork(True, Generator().manual_seed(0))
    assert network.mean_action is not None
    for parameter in network.mean_action.parameters():
        parameter.data *= 5
    path = tmp_path / "army" / "army.safetensors"
    path.parent.mkdir()
    Policy(network, Acting("temperature", 0.05), {"agents": 8}, uses_mean_action=True).save(path)
    return str(path)


@pytest.mark.parametrize("pair", ["rush v random", "random v rush", "army v rush", "rush v army", "army v army"])
def test_equal_seeds_give_equal_bytes(pair: str, army: str, tmp_path: Path) -> None:
    one, _, other = pair.replace("army", army).partition(" v ")
    before = torch.get_rng_state()
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        record(GAME, (one, other), "sampled", seed).save(tmp_path / name)
        torch.rand(1)
    torch.set_rng_state(before)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("evaluation", ["greedy", "sampled"])
@pytest.mark.parametrize("own", [0, 1])
def test_a_policy_against_rush_is_a_loop_by_hand(own: int, evaluation: Evaluation, army: str) -> None:
    game = Battle(8, 40)
    replay = record(game, (army, "rush") if own == 0 else ("rush", army), evaluation, 5)
    policy, battles, (chance,) = Policy.load(army), Battles(game), generators((5,), "evaluation")
    battles.reset([chance])
    assert battles.starts == (replay.start,)
    mean, someone_fell = torch.zeros(21), False
    while not battles.done.all():
        views, features, alive, _ = battles.observe()
        living = [agent for agent in range(8) if alive[0, own, agent]]
        uniform = torch.rand(8, generator=chance)[living]
        outputs = policy.network(views[0, own, living], features[0, own, living], mean.expand(len(living), 21))
        if evaluation == "greedy":
            chosen = outputs.argmax(-1)
        else:
            chosen = (boltzmann_policy(outputs, 0.05).cumsum(-1) <= uniform[:, None]).sum(-1)
        actions = torch.zeros(1, 2, 8, dtype=torch.int64)
        actions[0, own, living] = chosen
        actions[:, 1 - own] = OPPONENTS["rush"](views[:, 1 - own], features[:, 1 - own], [chance])
        mean = torch.tensor([chosen.tolist().count(action) for action in range(21)]) / len(living)
        someone_fell |= len(living) < 8
        battles.step(actions)
    assert someone_fell
    assert battles.log(0).equal(replay.actions)
    assert battles.alive[0].equal(replay.alive)


@pytest.mark.parametrize("pair", ["rush v random", "army v rush"])
def test_a_file_plays_again_to_the_bit(pair: str, army: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _, other = pair.replace("army", army).partition(" v ")
    recorded: list[tuple[Battles, Outcome]] = []
    step = Battles.step

    def spied(self: Battles, actions: Tensor) -> Outcome:
        recorded.append((self, step(self, actions)))
        return recorded[-1][1]

    with monkeypatch.context() as patch:
        patch.setattr(Battles, "step", spied)
        file, _ = write(record(GAME, (one, other), "sampled", 1), tmp_path / "films" / "round.1")
    length = len(Replay.load(file).actions)
    battles, outcomes = recorded[0][0], [outcome for _, outcome in recorded[:length]]
    battles.observe()
    frames = list(play(Replay.load(file)))
    assert len(frames) == length + 1
    for frame, outcome in zip(frames[1:], outcomes, strict=True):
        assert frame.outcome is not None
        assert all(found.equal(expected) for found, expected in zip(frame.outcome, outcome, strict=True))
    assert all(found.equal(expected) for found, expected in zip(frames[-1].units, battles.units(), strict=True))
    assert frames[-1].units.alive.sum(-1).equal(battles.survivors)


@pytest.mark.parametrize(
    "kind", ["gif", pytest.param("mp4", marks=pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="no ffmpeg"))]
)
def test_a_film_and_a_replay_lie_side_by_side(kind: Any, tmp_path: Path) -> None:
    replay = record(GAME, ("rush", "random"), "sampled", 0)
    file, moving = write(replay, tmp_path / "all" / "films" / "rush.v.random", kind, ("rush", "random"))
    assert sorted(path.name for path in file.parent.iterdir()) == [f"rush.v.random.{kind}", "rush.v.random.npz"]
    assert Replay.load(file).actions.equal(replay.actions)
    if kind == "mp4":
        assert moving.read_bytes()[4:8] == b"ftyp"
        return
    pixels = 400 // GAME.map_size
    with Image.open(moving) as film:
        assert getattr(film, "n_frames", 1) == len(replay.actions) + 1
        for index, frame in enumerate(play(replay)):
            film.seek(index)
            picture = np.asarray(film.convert("RGB"))[-400:].reshape(16, pixels, 16, pixels, 3)[:, pixels // 2]
            for number, colour in enumerate(ARMIES):
                outline = np.array([round(255 * part) for part in to_rgb(colour)])
                shown = {(int(x), int(y)) for y, x in np.argwhere((picture == outline).all(-1).any(-1))}
                where, alive = frame.units.positions[0, number], frame.units.alive[0, number]
                assert shown == {(x, y) for x, y in where[alive].tolist()}, (index, number)


def test_captions_say_the_play_and_at_the_end_who_wins() -> None:
    replay = record(GAME, ("rush", "random"), "sampled", 2**61 - 1)
    rush, random = replay.alive.sum(-1).tolist()
    assert rush > random
    lines = captions(replay, ("Rush", "Random"), "sampled")
    assert lines[:2] == ["sampled play, step 0", "sampled play, step 1"]
    last = len(replay.actions)
    assert lines[last:] == [f"sampled play, step {last}: Rush wins, {rush} to {random}"]
    turned = Replay(replay.game, replay.start, replay.actions, replay.alive.flip(0))
    assert captions(turned, ("Rush", "Random"))[-1] == f"step {last}: Random wins, {rush} to {random}"
    even = Replay(replay.game, replay.start, replay.actions, torch.ones_like(replay.alive))
    assert captions(even, ("Rush", "Random"))[-1] == f"step {last}: a draw, 8 to 8"


def test_a_film_names_armies_and_their_seats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(recording, "film", lambda *given: told.append(given))
    seats = set()
    for seed in range(4):
        replay = record(GAME, ("rush", "random"), "sampled", seed)
        write(replay, tmp_path / "round", "gif", ("Rush", "Random"), "sampled")
        seats.add(replay.start.left)
        own = ("left", "right") if replay.start.left == 0 else ("right", "left")
        assert told[-1][2] == captions(replay, ("Rush", "Random"), "sampled")
        assert told[-1][5] == (f"Rush, {own[0]}:", f"Random, {own[1]}:")
    assert seats == {0, 1}


def test_what_cannot_be_filmed_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay = record(GAME, ("rush", "random"), "sampled", 0)
    other = Replay(replay.game, replay.start, replay.actions, ~replay.alive)
    with pytest.raises(ValueError, match=r"^replay does not play again on this build of MAgent2"):
        write(other, tmp_path / "films" / "round")
    with pytest.raises(ValueError, match=r"^kind must be gif or mp4, got 'avi'$"):
        write(replay, tmp_path / "films" / "round", "avi")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())

    def fail(file: Any, **arrays: object) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="No space left"):
        write(replay, tmp_path / "films" / "round")
    assert not list((tmp_path / "films").iterdir())


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_is_refused_before_anything_is_played(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Battles, "begin", lambda *_: pytest.fail("it begins"))
    armies = ("gone.safetensors", "rush")
    message = r"^army must be the file of a policy or random or rush, got 'gone.safetensors', which is none$"
    with pytest.raises(ValueError, match=message):
        record(GAME, armies if missing == 0 else (armies[1], armies[0]), "greedy", 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"armies": ("rush",)}, r"armies must be two, got 1"),
        ({"evaluation": "both"}, r"evaluation must be greedy or sampled, got 'both'"),
        ({"seed": -1}, r"seed must be in 0 \.\. 2\^61 - 1, got -1"),
        ({"seed": 2**61}, r"seed must be in 0 \.\. 2\^61 - 1, got 2305843009213693952"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        record(**{"game": GAME, "armies": ("rush", "random"), "evaluation": "greedy", "seed": 0, **wrong})


def test_without_ffmpeg_there_is_no_mp4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ValueError, match=r"^kind must be gif, got 'mp4', which needs the program ffmpeg"):
        check_kind("mp4")


def test_armies_are_named_by_their_files() -> None:
    assert army_files("mf-q-64-seed-0-v-rush") == ("mf-q-64-seed-0", "rush")
    assert army_files("ac-64-seed-1-v-il-64-seed-2-battle-3") == ("ac-64-seed-1", "il-64-seed-2")
    assert army_files(recording_name(("some/folder/il-8-seed-0.safetensors", "random"), 7)) == ("il-8-seed-0", "random")
    assert [army_name(name) for name in ("mf-ac-64-seed-12", "rush", "Mine")] == ["MF-AC, seed 12", "rush", "Mine"]
    with pytest.raises(ValueError, match="got film, allowed is one-v-other"):
        army_files("film")


def test_a_film_is_named_after_its_armies_and_made_again_from_its_recording(tmp_path: Path) -> None:
    file, moving = film(("rush", "random"), tmp_path / "films", environment=GAME, seed=3)
    assert (file, moving) == tuple(tmp_path / f"films/rush-v-random-battle-3.{ending}" for ending in ("npz", "gif"))
    assert Replay.load(file).actions.equal(record(GAME, ("rush", "random"), "sampled", 3).actions)
    again = film_again(str(file), str(tmp_path / "again"))
    assert [path.read_bytes() for path in again] == [file.read_bytes(), moving.read_bytes()]


def test_a_film_reads_each_army_once(army: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []

    def spied(*arguments: Any) -> Any:
        read.append(arguments[0])
        return read_weights(*arguments)

    monkeypatch.setattr(policies, "read_weights", spied)
    film((army, army), tmp_path / "films", environment=GAME)
    assert read == [army, army]


@pytest.mark.parametrize("pair", ["army v rush", "rush v army"])
def test_a_film_has_as_many_agents_as_the_army_was_trained_with(
    pair: str, army: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[Battle] = []

    def spied(game: Battle, *_: object) -> Replay:
        played.append(game)
        return record(GAME, ("rush", "random"), "sampled", 0)

    monkeypatch.setattr(films, "record", spied)
    one, _, other = pair.replace("army", army).partition(" v ")
    film((one, other), tmp_path)
    assert played == [Battle(8)]


def test_what_has_too_long_a_name_is_not_filmed(army: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "record", lambda *_: pytest.fail("it is played"))
    long = Path(army).rename(tmp_path / f"{'a' * 154}.safetensors")
    with pytest.raises(ValueError, match=r"^armies: got a+-v-rush, of 161 bytes, allowed are 160; rename a file$"):
        film((str(long), "rush"), tmp_path)
    replay = tmp_path / f"{'b' * 161}.npz"
    record(GAME, ("rush", "random"), "sampled", 0).save(replay)
    with pytest.raises(ValueError, match=r"^replay: got b+, of 161 bytes, allowed are 160; rename a file$"):
        film_again(replay, tmp_path)

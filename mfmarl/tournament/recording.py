"""Recordings: battles between two trained armies, each kept as a file that plays again, and as a film.

from mfmarl.environments import Battle
from mfmarl.tournament.recording import record, write
replay = record(Battle(64), ("results/battle/policies/mf-q-64-seed-0.safetensors", "rush"), "sampled", seed=0)
write(replay, "results/battle/replays/mf-q-v-rush", "gif", ("MF-Q", "rush"))
"""

import os
from collections.abc import Sequence
from pathlib import Path

from mfmarl.custom import check_classes
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.recorded import Replay, play
from mfmarl.figures.battle_film import film
from mfmarl.figures.film import Kind, check_kind
from mfmarl.policies import Evaluation, check_evaluation, load_army
from mfmarl.seeds import generators
from mfmarl.tournament.duel import fight

__all__ = ["Kind", "check_kind", "record", "write"]


def record(
    game: Battle, armies: tuple[str, str], evaluation: Evaluation, seed: int, classes: Sequence[type] = ()
) -> Replay:
    """Play a battle to its end and record it.

    Equal arguments give equal recordings on one machine. On another machine a network's last digits may choose another
    action; a recording plays again everywhere.

    Args:
        game: what is played, whatever number of agents the armies were trained with.
        armies: files of policies, or names of scripts: rush or random.
        evaluation: how both act, `greedy` or `sampled`; scripts act one way only.
        seed: of the start (who stands left, who moves first) and of all that the armies draw; in 0 .. 2^61 - 1.
        classes: custom methods whose armies only their class can let act, and custom neighbourhoods.

    Raises:
        ValueError: armies that are not two, one that is neither a policy nor a script or whose class was not given,
            another evaluation, or a seed out of its range. It is raised before anything is played.
    """
    if len(armies) != 2:
        raise ValueError(f"armies must be two, got {len(armies)}")
    check_evaluation(evaluation)
    if not 0 <= seed < 2**61:
        raise ValueError(f"seed must be in 0 .. 2^61 - 1, got {seed}")
    check_classes(classes)
    policies = [load_army(name, classes=classes) for name in armies]
    battles, chance = Battles(game), generators((seed,), "evaluation")
    battles.reset(chance)
    fight(battles, policies, chance, evaluation)
    return Replay.record(battles)


def write(
    replay: Replay,
    path: str | os.PathLike[str],
    kind: Kind = "gif",
    names: tuple[str, str] = ("blue", "orange"),
    evaluation: Evaluation | None = None,
) -> tuple[Path, Path]:
    """Write a recording and its film, and return their paths: `path`.npz and `path`.gif or `path`.mp4.

    The battle is played again for the film, before anything is written. The film has a picture of the start and one
    after each step. Above it stand the names, seats and survivors of the armies, how they act and the step; at the end
    who wins. Each file is complete or absent; folders are made as needed.

    Args:
        replay: the recording.
        path: of both files, without their endings.
        kind: of the film; mp4 needs ffmpeg.
        names: of the two armies in the film.
        evaluation: how both acted, `greedy` or `sampled`; a recording does not hold it. None leaves it out.

    Raises:
        ValueError: another kind, mp4 without ffmpeg, or a recording that takes another course on this build of MAgent2.
    """
    check_kind(kind)
    units = [frame.units for frame in play(replay)]
    stem = Path(path)
    file, moving = (stem.with_name(f"{stem.name}.{ending}") for ending in ("npz", kind))
    file.parent.mkdir(parents=True, exist_ok=True)
    replay.save(file)
    film(
        [each.positions[0].numpy() for each in units],
        [each.hp[0].numpy() for each in units],
        captions(replay, names, evaluation),
        replay.game.map_size,
        moving,
        (f"{names[0]}, {replay.seat(0)}:", f"{names[1]}, {replay.seat(1)}:"),
    )
    return file, moving


def captions(replay: Replay, names: tuple[str, str], evaluation: Evaluation | None = None) -> list[str]:
    """A line for the start and for each step of a recording; the last one says who won, by more survivors."""
    play_of = f"{evaluation} play, " if evaluation else ""
    one, other = replay.alive.sum(-1).tolist()
    outcome = "a draw" if one == other else f"{names[0] if one > other else names[1]} wins"
    lines = [f"{play_of}step {step}" for step in range(len(replay.actions) + 1)]
    return [*lines[:-1], f"{lines[-1]}: {outcome}, {max(one, other)} to {min(one, other)}"]

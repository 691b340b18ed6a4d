"""Recordings of battles between two armies, saved as a file that the engine can replay, and as a film.

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
from mfmarl.policies import Evaluation, check_evaluation
from mfmarl.seeds import generators
from mfmarl.tournament.duel import play_to_end
from mfmarl.tournament.fights import AnyArmy, loaded

__all__ = ["Kind", "check_kind", "record", "write"]


def record(
    game: Battle, armies: tuple[AnyArmy, AnyArmy], evaluation: Evaluation, seed: int, classes: Sequence[type] = ()
) -> Replay:
    """Play a battle to its end and record it.

    Equal arguments give equal recordings on the same machine. On another machine rounding in a network may change an
    action, but an existing recording can be replayed everywhere.

    Args:
        game: the game. Its number of agents may differ from that of the armies' training.
        armies: loaded armies, paths of policies, or names of scripts: rush or random.
        evaluation: play of both armies, `greedy` or `sampled`; scripts act in only one way.
        seed: seed in 0 .. 2^61 - 1 of the start (who stands left, who moves first) and of all draws of the armies.
        classes: classes of custom methods that override `act` or `make_network`, and custom neighbourhoods.

    Raises:
        ValueError: there are not two armies, an army is neither a policy nor a script, its class is missing, the
            evaluation is unknown, or the seed is out of range. It is raised before anything is played.
    """
    if len(armies) != 2:
        raise ValueError(f"armies must be two, got {len(armies)}")
    check_evaluation(evaluation)
    if not 0 <= seed < 2**61:
        raise ValueError(f"seed must be in 0 .. 2^61 - 1, got {seed}")
    check_classes(classes)
    policies = [loaded(army, classes) for army in armies]
    battles, chance = Battles(game), generators((seed,), "evaluation")
    battles.reset(chance)
    play_to_end(battles, policies, chance, evaluation)
    return Replay.record(battles)


def write(
    replay: Replay,
    path: str | os.PathLike[str],
    kind: Kind = "gif",
    names: tuple[str, str] = ("blue", "orange"),
    evaluation: Evaluation | None = None,
) -> tuple[Path, Path]:
    """Write a recording and its film, and return their paths: `path`.npz and `path`.gif or `path`.mp4.

    The battle is replayed for the film before anything is written. The film has one picture of the start and one after
    each step. The caption shows the names, sides and survivors of the armies, their play and the step, and at the end
    the winner. Each file is either complete or absent. Missing folders are created.

    Args:
        replay: the recording.
        path: path of both files, without extension.
        kind: format of the film, gif or mp4; mp4 needs ffmpeg.
        names: names of the two armies in the film.
        evaluation: play of both armies, `greedy` or `sampled`, which a recording does not contain. None: not shown.

    Raises:
        ValueError: the kind is unknown, ffmpeg is missing for mp4, or the replay differs from the recording on this
            build of MAgent2.
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
    """One caption for the start and one for each step of a recording; the last one names the winner by survivors."""
    play_of = f"{evaluation} play, " if evaluation else ""
    one, other = replay.alive.sum(-1).tolist()
    outcome = "a draw" if one == other else f"{names[0] if one > other else names[1]} wins"
    lines = [f"{play_of}step {step}" for step in range(len(replay.actions) + 1)]
    return [*lines[:-1], f"{lines[-1]}: {outcome}, {max(one, other)} to {min(one, other)}"]

"""Films of battles between two armies, and of existing recordings; the files are named after the armies.

from mfmarl.tournament.films import film
film(("results/battle/policies/mf-q-64-seed-0.safetensors", "rush"), "results/battle/replays")
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.recorded import Replay
from mfmarl.evaluation.names import label
from mfmarl.figures.film import Kind, check_kind
from mfmarl.policies import Evaluation, load_army
from mfmarl.tournament.fights import game_of
from mfmarl.tournament.recording import record, write

FILMED: Evaluation = "sampled"  # play in all films of this module, and in all recordings that it names
LONGEST_NAME = 160  # bytes of a recording's name; the temporary name during writing is longer


def film(
    armies: tuple[str, str],
    folder: str | Path,
    kind: Kind = "gif",
    *,
    environment: Battle | None = None,
    seed: int = 0,
    classes: Sequence[type] = (),
) -> tuple[Path, Path]:
    """Play one battle of two armies in sampled play, and write a recording and a film.

    Args:
        armies: paths of policies, or names of scripts: rush or random.
        folder: folder for both files.
        kind: format of the film, gif or mp4; mp4 needs ffmpeg.
        environment: the game. None: with the number of agents with which the first army trained, or else the second.
        seed: as in `mfmarl.tournament.recording.record`.
        classes: as in `mfmarl.tournament.recording.record`.

    Returns:
        Paths of the recording, `recording_name`.npz, and of the film, the same name with the extension of its kind.

    Raises:
        ValueError: the kind is unknown, ffmpeg is missing for mp4, the armies' names make a file name that is too long,
            or `record` refuses the arguments. It is raised before anything is played.
    """
    check_kind(kind)
    loaded = (load_army(armies[0], classes=classes), load_army(armies[1], classes=classes))
    name = recording_name(armies, seed)
    _check_name("armies", name)
    battle = record(game_of(loaded) if environment is None else environment, loaded, FILMED, seed, classes)
    return _write(battle, Path(folder) / name, kind)


def film_again(replay: str | Path, folder: str | Path, kind: Kind = "gif") -> tuple[Path, Path]:
    """Film an existing recording, and write a copy of it beside the film.

    Args:
        replay: path of the recording. The film names the armies if the file is named one-v-other.npz or
            one-v-other-battle-N.npz.
        folder: folder for both files.
        kind: format of the film, as in `film`.

    Returns:
        Paths of both files, named like `replay`.

    Raises:
        ValueError: the kind is unknown, ffmpeg is missing for mp4, or the file is missing, is not a recording or has a
            name that is too long.
    """
    check_kind(kind)
    battle, name = Replay.load(Path(replay)), Path(replay).stem
    _check_name("replay", name)
    return _write(battle, Path(folder) / name, kind)


def recording_name(armies: tuple[str, str], seed: int) -> str:
    """The file name of a recording without extension: one-v-other for seed 0, one-v-other-battle-N for other seeds."""
    return "-v-".join(Path(army).stem for army in armies) + (f"-battle-{seed}" if seed else "")


def army_files(name: str) -> tuple[str, str]:
    """The two armies in a recording, from its name.

    Args:
        name: file name without extension, as made by `recording_name`.

    Returns:
        For each army, the name of its file without extension, or of its script.

    Raises:
        ValueError: the name is not one of `recording_name`.
    """
    one, _, other = name.partition("-battle-")[0].partition("-v-")
    if not one or not other:
        raise ValueError(f"replay: got {name}, allowed is one-v-other or one-v-other-battle-N")
    return one, other


def army_name(file: str) -> str:
    """An army's name for readers, e.g. "MF-Q, seed 0" for mf-q-64-seed-0."""
    trained = re.fullmatch(r"(.+)-\d+-seed-(\d+)", file)
    name = trained[1] if trained else file
    return f"{label(name)}, seed {trained[2]}" if trained else label(name)


def _write(battle: Replay, path: Path, kind: Kind) -> tuple[Path, Path]:
    """Write a recording and its film, which states the armies and their play if the name contains the armies."""
    try:
        one, other = army_files(path.name)
    except ValueError:
        return write(battle, path, kind)
    return write(battle, path, kind, (army_name(one), army_name(other)), FILMED)


def _check_name(argument: str, name: str) -> None:
    if (length := len(os.fsencode(name))) > LONGEST_NAME:
        raise ValueError(f"{argument}: got {name}, of {length} bytes, allowed are {LONGEST_NAME}; rename a file")

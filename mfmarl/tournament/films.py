"""Films of battles between two armies, named after them; and of their recordings again.

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

FILMED: Evaluation = "sampled"  # play of every battle that is filmed here, so of every recording that is named here
LONGEST_NAME = 160  # bytes of a recording's name: while it is written its name is longer still


def film(
    armies: tuple[str, str],
    folder: str | Path,
    kind: Kind = "gif",
    *,
    environment: Battle | None = None,
    seed: int = 0,
    classes: Sequence[type] = (),
) -> tuple[Path, Path]:
    """Play one battle of two armies in sampled play, and write a file that plays again and a film.

    Args:
        armies: files of policies, or names of scripts: rush or random.
        folder: of both files.
        kind: of the film, gif or mp4; mp4 needs ffmpeg.
        environment: the game. None: of as many agents as the first army, else the second, trained with.
        seed: as in `mfmarl.tournament.recording.record`.
        classes: likewise.

    Returns:
        The paths: `recording_name`.npz, and the same name with the ending of the film.

    Raises:
        ValueError: another kind, mp4 without ffmpeg, names of armies that make one that is too long, or what `record`
            refuses. It is raised before anything is played.
    """
    check_kind(kind)
    trained = [load_army(army, classes=classes) for army in armies]
    name = recording_name(armies, seed)
    _check_name("armies", name)
    battle = record(game_of(trained) if environment is None else environment, armies, FILMED, seed, classes)
    return _write(battle, Path(folder) / name, kind)


def film_again(replay: str | Path, folder: str | Path, kind: Kind = "gif") -> tuple[Path, Path]:
    """Film a recording again, and write it beside the film.

    Args:
        replay: the file, one-v-other.npz or one-v-other-battle-N.npz if the film is to name the armies.
        folder: of both files.
        kind: as in `film`.

    Returns:
        The paths of both files, named as `replay` is.

    Raises:
        ValueError: another kind, mp4 without ffmpeg, a file that is none or no recording, or whose name is too long.
    """
    check_kind(kind)
    battle, name = Replay.load(Path(replay)), Path(replay).stem
    _check_name("replay", name)
    return _write(battle, Path(folder) / name, kind)


def recording_name(armies: tuple[str, str], seed: int) -> str:
    """The name of a recording, without an ending: one-v-other, of another seed than 0 one-v-other-battle-N."""
    return "-v-".join(Path(army).stem for army in armies) + (f"-battle-{seed}" if seed else "")


def army_files(name: str) -> tuple[str, str]:
    """Who fights in a recording of that `recording_name`.

    Returns:
        Of each army the name of its file, without its ending, or of a script.

    Raises:
        ValueError: another name.
    """
    one, _, other = name.partition("-battle-")[0].partition("-v-")
    if not one or not other:
        raise ValueError(f"replay: got {name}, allowed is one-v-other or one-v-other-battle-N")
    return one, other


def army_name(file: str) -> str:
    """An army's name for a reader: mf-q-64-seed-0 is MF-Q, seed 0."""
    trained = re.fullmatch(r"(.+)-\d+-seed-(\d+)", file)
    name = trained[1] if trained else file
    return f"{label(name)}, seed {trained[2]}" if trained else label(name)


def _write(battle: Replay, path: Path, kind: Kind) -> tuple[Path, Path]:
    """Write a recording and its film, which says who fights and how if the name does."""
    try:
        one, other = army_files(path.name)
    except ValueError:
        return write(battle, path, kind)
    return write(battle, path, kind, (army_name(one), army_name(other)), FILMED)


def _check_name(argument: str, name: str) -> None:
    if (length := len(os.fsencode(name))) > LONGEST_NAME:
        raise ValueError(f"{argument}: got {name}, of {length} bytes, allowed are {LONGEST_NAME}; rename a file")

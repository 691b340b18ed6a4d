"""Recorded battles for the page: played again by the engine, and where everyone stood as bytes."""

import re
from typing import Any

import numpy as np

from mfmarl.environments.battle.recorded import Replay, play
from mfmarl.evaluation.names import label
from mfmarl.figures.battle_film import ARMIES

HP_UNIT = 0.1  # what an agent recovers in a step


def watchable(replay: Replay, armies: tuple[str, str], mode: str) -> tuple[dict[str, Any], bytes]:
    """A recording as a description and as bytes.

    Args:
        replay: the recording.
        armies: names of army 0 and army 1.
        mode: how they chose their actions: `greedy` or `sampled`.

    Returns:
        The description: `agents`, `map` (cells across), `steps`, `mode`, and of each of the two `armies` its `name`,
        `colour`, `seat`, whether it moves `first`, and its `survivors`; and bytes `[3, 2, agents, steps + 1]`: x, y and
        hp in tenths, all 0 for the dead. Agents lie before frames: who stands still is told in few bytes.

    Raises:
        ValueError: the round takes another course on this build of MAgent2.
    """
    frames = []
    for frame in play(replay):
        units = frame.units
        living = units.alive[0].numpy()
        cells = np.moveaxis(units.positions[0].numpy(), -1, 0)  # [2, armies, agents]
        hp = np.clip(np.rint(units.hp[0].numpy() / HP_UNIT), 1, 255)
        frames.append(np.where(living, np.stack([*cells, hp]), 0).astype(np.uint8))
    survivors = replay.alive.sum(-1).tolist()
    described = {
        "agents": replay.game.agents,
        "map": replay.game.map_size,
        "steps": len(replay.actions),
        "mode": mode,
        "armies": [
            {
                "name": name,
                "colour": ARMIES[army],
                "seat": replay.seat(army),
                "first": replay.start.first == army,
                "survivors": survivors[army],
            }
            for army, name in enumerate(armies)
        ],
    }
    return described, np.stack(frames, -1).tobytes()


def army_files(stem: str) -> tuple[str, str]:
    """Who fights, from the name that `reproduce/battle.py --replay` gives a recording: one-v-other[-battle-N].

    Returns:
        Of each army the name of its file, without its ending, or of a script.

    Raises:
        ValueError: another name.
    """
    one, _, other = stem.partition("-battle-")[0].partition("-v-")
    if not one or not other:
        raise ValueError(f"replay: got {stem}, allowed is one-v-other or one-v-other-battle-N")
    return one, other


def army_name(file: str) -> str:
    """An army's name for a reader: mf-q-64-seed-0 is MF-Q, seed 0."""
    trained = re.fullmatch(r"(.+)-\d+-seed-(\d+)", file)
    name = trained[1] if trained else file
    return f"{label(name)}, seed {trained[2]}" if trained else label(name)

"""Recorded battles for the page: the engine replays them, and the positions of all agents become bytes."""

from typing import Any

import numpy as np

from mfmarl.environments.battle.recorded import Replay, play
from mfmarl.figures.battle_film import ARMIES

HP_UNIT = 0.1  # hit points that an agent recovers per step


def watchable(replay: Replay, armies: tuple[str, str], mode: str) -> tuple[dict[str, Any], bytes]:
    """Convert a recording to a description and bytes.

    Args:
        replay: the recording.
        armies: names of army 0 and army 1.
        mode: play of both armies: `greedy` or `sampled`.

    Returns:
        - the description: `agents`, `map` (side length in cells), `steps`, `mode`, and for each of the two `armies` its
          `name`, `colour`, `seat`, whether it moves `first`, and its `survivors`;
        - bytes `[3, 2, agents, steps + 1]`: x, y and hp in tenths, all 0 for the dead. The step is the last axis,
          because agents that stand still then compress well.

    Raises:
        ValueError: the replay differs from the recording on this build of MAgent2.
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

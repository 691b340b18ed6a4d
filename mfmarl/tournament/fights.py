"""`fight`: rounds between two armies, outside any tournament.

from mfmarl import fight
rounds = fight("results/battle/policies/mf-q-64-seed-0.safetensors", "rush", rounds=8)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from mfmarl.custom import check_classes
from mfmarl.environments.battle.game import Battle
from mfmarl.jobs.computing import computing
from mfmarl.jobs.execution import Hardware
from mfmarl.policies import Evaluation, Policy, Scripted, check_evaluation, load_army
from mfmarl.tournament.duel import entrant, play_block
from mfmarl.tournament.jobs import lock_steps
from mfmarl.tournament.schedule import schedule

AnyArmy = Policy | Scripted | str | Path


def fight(
    army: AnyArmy,
    opponent: AnyArmy,
    rounds: int = 8,
    *,
    environment: Battle | None = None,
    evaluation: Evaluation = "greedy",
    classes: Sequence[type] = (),
) -> pd.DataFrame:
    """Play rounds of Battle between two trained or scripted armies.

    The armies alternate their sides and who moves first, so a multiple of four rounds is fair. The same call gives the
    same rows, because the randomness of a round depends only on its number.

    Args:
        army: a `Policy`, the path of its file, or the name of a script: `rush` or `random`.
        opponent: the opponent, likewise.
        rounds: number of rounds.
        environment: the game. None: with the number of agents with which the army trained, or else the opponent.
        evaluation: play of both armies: `greedy`, or `sampled` as at the end of training.
        classes: custom classes that an army's file may need, see `Policy.load`.

    Returns:
        One row per round with the columns agents, seat, first, evaluation, round, result (of `army`), reward,
        opponent_reward, survivors, opponent_survivors, steps.

    Raises:
        ValueError: an army is invalid or its class is missing, there are no rounds, or the evaluation is unknown.
    """
    check_evaluation(evaluation)
    check_classes(classes)
    armies = [loaded(each, classes) for each in (army, opponent)]
    environment = game_of(armies) if environment is None else environment
    # Different names, because in the schedule a mirror match alternates sides differently.
    names = ("army", "opponent")
    fixtures = schedule(names, {name: [0] for name in names}, rounds, [evaluation])
    playing = {entrant(name, 0): each for name, each in zip(names, armies, strict=True)}
    rows = []
    with torch.no_grad(), computing(Hardware()):
        for block in lock_steps(fixtures):
            rows += [*play_block(block, environment, playing)]
    return pd.DataFrame(rows).drop(columns=["algorithm", "opponent", "seed", "opponent_seed"])


def game_of(armies: Sequence[Policy | Scripted]) -> Battle:
    """Battle with the number of agents with which the first trained army trained; 64 if all are scripts."""
    trained = [each.about["agents"] for each in armies if isinstance(each, Policy) and "agents" in each.about]
    return Battle(int(str(trained[0]))) if trained else Battle()


def loaded(army: AnyArmy, classes: Sequence[type]) -> Policy | Scripted:
    """Return the army itself if it is loaded; else load it.

    Raises:
        ValueError: it is no army, or its class is not among `classes`.
    """
    if not isinstance(army, Policy | Scripted | str | Path):
        raise ValueError(
            f"army must be a Policy, the file of one, rush or random, got a {type(army).__name__}: save a trained "
            "agent by agent.save(folder), and Policy.load its file"
        )
    return army if isinstance(army, Policy | Scripted) else load_army(str(army), classes=classes)

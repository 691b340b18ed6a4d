"""What an army's replay refuses, and how it says so."""

import pytest
import torch
from torch import Generator

from mfmarl.data.army_replay import ArmyReplay
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle

GAME = Battle(8)


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^capacity must be at least the 8 transitions of a joint step, got 7$"):
        ArmyReplay(GAME, 7)
    with pytest.raises(ValueError, match=r"^army must be 0 or 1, got 2$"):
        ArmyReplay(GAME, army=2)


def test_what_is_not_the_next_step_of_a_round() -> None:
    replay, battles = ArmyReplay(GAME), Battles(GAME)
    battles.reset([Generator().manual_seed(0)])
    observed, stay, paid = battles.observe(), torch.full((1, 2, 8), 6), torch.zeros(1, 2, 8)
    with pytest.raises(ValueError, match=r"^end: a round must be stored by push from its first step on$"):
        replay.end(observed)
    with pytest.raises(ValueError, match=r"^actions must be torch.int64 \[1, 2, 8\], got torch.int32 \[1, 2, 8\]$"):
        replay.push(observed, stay.int(), paid)
    with pytest.raises(ValueError, match=r"^rewards must be torch.float32 \[1, 2, 8\], got torch.float32 \[1, 8\]$"):
        replay.push(observed, stay, paid[:, 0])
    for wrong in (21, -1, 256):
        with pytest.raises(ValueError, match=rf"^actions must be in 0 .. 20, got {wrong}$"):
            replay.push(observed, torch.zeros_like(stay).where(torch.arange(8) < 7, wrong), paid)
    with pytest.raises(
        ValueError, match=r"^observed.views must be \[1, 2, 8, 13, 13, 7\], got \[1, 2, 4, 13, 13, 7\]$"
    ):
        replay.push(observed._replace(views=observed.views[:, :, :4]), stay, paid)
    replay.push(observed, stay, paid)
    with pytest.raises(ValueError, match=r"^push: another round begins, end the last one first$"):
        replay.push(observed, stay, paid)
    others = Battles(GAME, 2)
    others.reset([Generator().manual_seed(0)] * 2)
    with pytest.raises(
        ValueError, match=r"^observed.views must be \[1, 2, 8, 13, 13, 7\], got \[2, 2, 8, 13, 13, 7\]$"
    ):
        replay.end(others.observe())
    battles.step(stay)
    observed = battles.observe()
    with pytest.raises(ValueError, match=r"^push: a round must be stored by push from its first step on$"):
        ArmyReplay(GAME).push(observed, stay, paid)
    replay.end(observed)
    assert len(replay) == 8


def test_draws_of_another_shape_or_range() -> None:
    replay, battles = ArmyReplay(GAME), Battles(GAME)
    with pytest.raises(ValueError, match=r"^sample: nothing is stored, end a round first$"):
        replay.sample(torch.zeros(1))
    battles.reset([Generator().manual_seed(0)])
    stay = torch.full((1, 2, 8), 6)
    replay.push(battles.observe(), stay, battles.step(stay).rewards)
    replay.end(battles.observe())
    with pytest.raises(ValueError, match=r"^uniform must be floats \[B\], got torch.int64 \[1\]$"):
        replay.sample(torch.zeros(1, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^uniform must be floats \[B\], got torch.float32 \[1, 1\]$"):
        replay.sample(torch.zeros(1, 1))
    for outside in (1.0, -0.25):
        with pytest.raises(ValueError, match=rf"^uniform must be in \[0, 1\), got 0.* {outside:g}$|{outside:g} .. 0$"):
            replay.sample(torch.tensor([0.0, outside]))

"""Rounds of Battle as a whole: what decides them, in lock step and alone, and how they end."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from mfmarl.data.battle_round import play_round
from mfmarl.data.neighbourhood import Army, JointStep
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS, Battle, Start
from mfmarl.environments.battle.observation import Observation
from mfmarl.environments.battle.scripts import random, rush


def generators(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


def fight(observed: Observation, chance: list[Generator]) -> Tensor:
    """Army 0 rushes, army 1 plays at random: `[battles, 2, agents]`."""
    views, features = observed.views, observed.features
    return torch.stack([rush(views[:, 0], features[:, 0]), random(views[:, 1], features[:, 1], chance)], 1)


def rounds(battles: Battles, chance: list[Generator], count: int) -> list[bytes]:
    """All that comes out of whole rounds in which both armies rush."""
    out = []
    for _ in range(count):
        battles.reset(chance)
        while not battles.done.all():
            views, features, *_ = battles.observe()
            outcome = battles.step(torch.stack([rush(views[:, army], features[:, army]) for army in (0, 1)], 1))
            out.append(views.numpy().tobytes() + outcome.rewards.numpy().tobytes())
    return out


def test_a_generator_decides_a_round() -> None:
    battles = Battles(Battle(8))
    first = rounds(battles, generators(4), 3)
    assert rounds(battles, generators(4), 3) == first
    assert rounds(Battles(Battle(8)), generators(4), 3) == first
    assert rounds(battles, generators(5), 3) != first
    assert rounds(battles, generators(4), 1) * 3 != first


def test_armies_act_under_a_mean_action_an_agent_of_zeros_at_first() -> None:
    battles, seen = Battles(Battle(4, 3), 2), list[Tensor]()

    def act(observed: Observation, mean_actions: Tensor) -> Tensor:
        seen.append(mean_actions)
        return torch.zeros(2, 2, 4, dtype=torch.int64)

    battles.reset(generators(0, 1))
    play_round(battles, act, neighbourhoods=(Army(), Army()), generators=generators(0, 1))
    assert [tuple(each.shape) for each in seen] == [(2, 2, 4, ACTIONS)] * 3
    assert [float(each.sum()) for each in seen] == [0.0, 16.0, 16.0]


def test_a_neighbourhood_is_shown_what_was_acted_under_and_nothing_at_first() -> None:
    shown = list[Tensor | None]()

    class Watching(Army):
        def mean_action(self, step: JointStep) -> Tensor:
            shown.append(step.before)
            return super().mean_action(step)

    battles = Battles(Battle(4, 3))
    battles.reset(generators(0))

    def act(observed: Observation, mean_actions: Tensor) -> Tensor:
        return torch.full((1, 2, 4), 6)

    play_round(battles, act, neighbourhoods=(Watching(), Army()), generators=generators(0))
    assert shown[0] is None
    stayed = torch.eye(ACTIONS)[6].expand(1, 4, -1)
    assert [torch.equal(each, stayed) for each in shown[1:] if each is not None] == [True, True]


def test_global_randomness_plays_no_part() -> None:
    first = rounds(Battles(Battle(8)), generators(4), 1)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert rounds(Battles(Battle(8)), generators(4), 1) == first


def test_the_seed_alone_changes_the_attacks() -> None:
    hp = set()
    for seed in (2, 3, 4, 5):
        battles = Battles(Battle(16))
        battles.begin([Start(seed, 0, 0)])
        while not battles.done.any():
            views, features, *_ = battles.observe()
            battles.step(torch.stack([rush(views[:, army], features[:, army]) for army in (0, 1)], 1))
        hp.add((int(battles.steps), tuple(battles.alive.flatten().tolist())))
    assert len(hp) > 1


def test_starts_are_drawn_alike_whether_or_not_seats_are_given() -> None:
    free, forced = generators(1, 1)
    for _ in range(20):
        drawn, given = Start.draw(free), Start.draw(forced, left=1, first=0)
        assert given == Start(drawn.seed, 1, 0)
        assert torch.equal(free.get_state(), forced.get_state())
    assert Start.draw(generators(0)[0]) == Start(1656678990, 1, 0), "as in the committed results"
    starts = [Start.draw(free) for _ in range(400)]
    assert len({start.seed for start in starts}) == 400
    for name in ("left", "first"):
        assert sum(getattr(start, name) for start in starts) == pytest.approx(200, abs=50)
    battles = Battles(Battle(2), 4)
    battles.reset(generators(1, 2, 3, 4), left=[0, 0, 1, 1], first=[0, 1, 0, 1])
    assert [(start.left, start.first) for start in battles.starts] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [start.seed for start in battles.starts] == [Start.draw(each).seed for each in generators(1, 2, 3, 4)]


def test_battles_in_lock_step_are_battles_alone() -> None:
    together, chance = Battles(Battle(8), 4), generators(0, 1, 2, 3)
    alone, own = [Battles(Battle(8)) for _ in range(4)], [generators(seed) for seed in range(4)]
    together.reset(chance)
    for battle in range(4):
        alone[battle].reset(own[battle])
    ended = set()
    while not together.done.all():
        observed = together.observe()
        singles = [battles.observe() for battles in alone]
        for name, entry in observed._asdict().items():
            assert entry.equal(torch.cat([getattr(single, name) for single in singles])), name
        playing = ~together.done
        actions = fight(observed, chance)
        outcome = together.step(actions)
        for battle in range(4):
            # The others' opponents go on drawing too, as those in lock step do.
            other = fight(singles[battle], own[battle])
            if not playing[battle]:
                ended.add(battle)
                assert not outcome.rewards[battle].any()
                assert not outcome.died[battle].any()
                continue
            single = alone[battle].step(other)
            for name, entry in outcome._asdict().items():
                assert entry[battle].equal(getattr(single, name)[0]), name
    assert 1 <= len(ended) <= 3
    assert together.steps.equal(torch.cat([battles.steps for battles in alone]))
    assert together.survivors.equal(torch.cat([battles.survivors for battles in alone]))
    together.observe()
    for battles in alone:
        battles.observe()
    assert together.units().hp.equal(torch.cat([battles.units().hp for battles in alone]))
    assert together.units().hp.max() > 0


def test_a_copy_in_the_middle_of_a_round_goes_on_alike() -> None:
    battles, chance = Battles(Battle(4, 40), 2), generators(0, 1)
    battles.reset(chance)
    for _ in range(15):
        battles.step(fight(battles.observe(), chance))
    copied = deepcopy(battles)
    assert copied.observe().views.equal(battles.observe().views)
    actions = fight(battles.observe(), chance)
    assert copied.step(actions).rewards.equal(battles.step(actions).rewards)
    assert copied.log(0).equal(battles.log(0))


def test_the_clock_ends_a_round_that_no_one_wins() -> None:
    battles = Battles(Battle(2, max_steps=3), 2)
    battles.reset(generators(0, 1))
    for step in range(3):
        assert battles.done.tolist() == [False, False]
        battles.observe()
        outcome = battles.step(torch.full((2, 2, 2), 6))
        assert battles.steps.tolist() == [step + 1] * 2
    assert outcome.done.tolist() == [True, True]
    assert battles.annihilated.tolist() == [False, False]
    assert battles.observe().views[..., 6, 6, 1].all()
    with pytest.raises(ValueError, match=r"^step: all battles are over, reset first$"):
        battles.step(torch.full((2, 2, 2), 6))

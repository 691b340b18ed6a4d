"""Transitions of an army against what the engine showed and paid, kept on the side."""

import io
from collections.abc import Sequence

import pytest
import torch
from scipy.stats import chisquare
from torch import Generator, Tensor

from mfmarl.data.army_replay import ArmyReplay, BattleBatch
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import ACTIONS, Battle
from mfmarl.environments.battle.observation import Observation
from mfmarl.environments.battle.scripts import random, rush
from mfmarl.mean_field import action_counts, frequencies


def choose(observed: Observation, chance: Sequence[Generator]) -> Tensor:
    """Army 0 rushes, half of army 1 too, the others play at random; who observes nothing asks for action 99."""
    views, features = observed.views, observed.features
    actions = torch.stack([rush(views[:, army], features[:, army]) for army in (0, 1)], 1)
    actions[:, 1, ::2] = random(views[:, 1], features[:, 1], chance)[:, ::2]
    return actions.where(views[..., 6, 6, 1] > 0, 99)


class Side:
    """Rounds of two battles that a replay stores, and all that they should leave, joint step by joint step."""

    def __init__(self, game: Battle, army: int = 0, seed: int = 0) -> None:
        self.battles, self.army = Battles(game, 2), army
        self.chance = [Generator().manual_seed(2 * seed + battle) for battle in (0, 1)]
        self.steps: list[list[BattleBatch]] = []  # of all rounds, each transition without the first dimension
        self.paid = 0.0

    def play(self, replay: ArmyReplay, pause: int | None = None) -> None:
        """A round; with `pause` only its first steps, which `resume` goes on from."""
        self.battles.reset(self.chance)
        self.shown: list[tuple[Tensor, ...]] = []  # views, features, alive and who observes, step by step
        self.done: list[tuple[Tensor, Tensor, Tensor]] = []  # actions, rewards and what battles took the step
        self.resume(replay, pause)

    def resume(self, replay: ArmyReplay, pause: int | None = None) -> None:
        battles, army = self.battles, self.army
        while not battles.done.all():
            if pause == int(battles.steps.max()):
                return
            observed = self.observe()
            actions, playing = choose(observed, self.chance), ~battles.done
            rewards = battles.step(actions).rewards
            # Each one different, to tell transitions apart.
            rewards = rewards + self.paid + 0.5 * torch.arange(rewards.numel()).view(rewards.shape)
            self.paid += rewards.numel()
            self.done.append((actions[:, army].clone(), rewards[:, army].clone(), playing))
            replay.push(observed, actions, rewards)
            for gone in (actions, rewards, observed.alive, observed.ids):
                gone.zero_()
        replay.end(self.observe())
        for battle in (0, 1):
            self.steps += self.transitions(battle)

    def observe(self) -> Observation:
        observed = self.battles.observe()
        observes = observed.alive & ~self.battles.annihilated.view(2, 1, 1)
        entries = observed.views, observed.features, observed.alive, observes
        self.shown.append(tuple(entry[:, self.army].clone() for entry in entries))
        return observed

    def transitions(self, battle: int) -> list[list[BattleBatch]]:
        """Of each joint step of the round, those of all living agents."""
        out: list[list[BattleBatch]] = []
        mean = torch.zeros(21)
        for step, (actions, rewards, playing) in enumerate(self.done):
            if not playing[battle]:
                break
            views, features, alive, _ = (entry[battle] for entry in self.shown[step])
            next_views, next_features, _, goes_on = (entry[battle] for entry in self.shown[step + 1])
            living = [slot for slot in range(len(alive)) if alive[slot]]
            acted = [int(actions[battle, slot]) for slot in living]
            next_mean = torch.tensor([acted.count(action) for action in range(21)]) / len(acted)
            after = next_views, next_features, next_mean.expand(len(alive), -1), ~goes_on
            out.append(
                [
                    BattleBatch(
                        views[slot],
                        features[slot],
                        mean,
                        actions[battle, slot],
                        rewards[battle, slot],
                        *[entry[slot] for entry in after],
                    )
                    for slot in living
                ]
            )
            mean = next_mean
        return out

    def expected(self, capacity: int | None = None) -> BattleBatch:
        """The transitions of the newest joint steps of at most `capacity`, the oldest first."""
        kept = list(self.steps)
        while capacity is not None and sum(map(len, kept)) > capacity:
            del kept[0]
        return BattleBatch(*map(torch.stack, zip(*[each for step in kept for each in step], strict=True)))


def contents(replay: ArmyReplay) -> BattleBatch:
    """Everything that can be sampled, the oldest first."""
    return replay.sample((torch.arange(len(replay), dtype=torch.float64) + 0.5) / len(replay))


def assert_equal(batch: BattleBatch, expected: BattleBatch) -> None:
    for name, entry in batch._asdict().items():
        assert entry.dtype == getattr(expected, name).dtype, name
        assert entry.equal(getattr(expected, name)), name


@pytest.mark.parametrize("army", [0, 1])
@pytest.mark.parametrize(("agents", "max_steps"), [(8, 400), (8, 11), (16, 20), (2, 1)])
def test_it_gives_back_what_the_engine_showed_and_paid(agents: int, max_steps: int, army: int) -> None:
    game = Battle(agents, max_steps)
    side, replay = Side(game, army), ArmyReplay(game, army=army)
    for _ in range(3):
        side.play(replay)
    assert len(replay) == sum(map(len, side.steps))
    assert_equal(contents(replay), side.expected())


def test_a_transition_ends_with_a_death_or_the_enemys_end_and_not_with_the_clock() -> None:
    deaths = survivals = clocks = 0
    for max_steps in (400, 11):
        game = Battle(8, max_steps)
        for army in (0, 1):
            side, replay = Side(game, army), ArmyReplay(game, army=army)
            side.play(replay)
            terminal = contents(replay).terminal
            survivors, annihilated = side.battles.survivors[:, army], side.battles.annihilated
            deaths += int((8 - survivors).sum())
            survivals += int(survivors[annihilated].sum())
            clocks += int(survivors[~annihilated].sum())
            assert int(terminal.sum()) == int((8 - survivors).sum()) + int(survivors[annihilated].sum())
            batch = contents(replay)
            assert not batch.next_view[terminal].any()
            assert not batch.next_feature[terminal].any()
            assert (batch.next_view[~terminal][:, 6, 6, 1] == 1).all()
    assert min(deaths, survivals, clocks) > 0


def test_the_next_observation_is_the_same_agents_next_one() -> None:
    game = Battle(16)
    side, replay = Side(game, army=1), ArmyReplay(game, army=1)
    side.play(replay)
    batch = contents(replay)
    bits = 2 ** torch.arange(10.0)
    agent, following = batch.feature[:, :10] @ bits, batch.next_feature[:, :10] @ bits
    goes_on = ~batch.terminal
    assert following[goes_on].equal(agent[goes_on])
    assert batch.next_feature[goes_on][:, 10:31].argmax(-1).equal(batch.action[goes_on])
    assert len(set(agent.tolist())) == 32  # in the two battles the army stands on either side
    assert 0 < int(batch.terminal.sum()) < len(replay)


@pytest.mark.parametrize(("agents", "capacity"), [(8, 8), (8, 50), (8, 333), (8, 2000), (1, 1), (1, 40)])
def test_beyond_capacity_the_oldest_joint_steps_go(agents: int, capacity: int) -> None:
    game = Battle(agents, 30)
    side, replay = Side(game), ArmyReplay(game, capacity)
    for _ in range(8):
        side.play(replay)
        expected = side.expected(capacity)
        assert len(replay) == len(expected.reward) <= capacity
        assert_equal(contents(replay), expected)
    assert sum(map(len, side.steps)) > capacity


def test_memory_is_what_is_stored_and_a_quarter_more_at_most() -> None:
    game = Battle(8, 30)
    side, replay = Side(game), ArmyReplay(game, 500)
    most = 0
    for _ in range(12):
        side.play(replay)
        stored = sum(column.nbytes for name, column in replay.state_dict().items() if name != "steps")
        most = max(most, stored)
        assert stored <= replay.nbytes <= 1.25 * most
    assert len(replay) > 400


def test_every_transition_is_drawn_equally_often() -> None:
    game = Battle(8, 30)
    side, replay = Side(game), ArmyReplay(game)
    side.play(replay)
    chance, number = Generator().manual_seed(0), {}
    for place, reward in enumerate(side.expected().reward.tolist()):
        number[reward] = place
    assert len(number) == len(replay)
    drawn = torch.zeros(len(replay))
    for _ in range(20):
        batch = replay.sample(torch.rand(1000, generator=chance))
        for reward in batch.reward.tolist():
            drawn[number[reward]] += 1
    assert len(set(map(len, side.steps))) > 1  # joint steps of different size, whose agents must count the same
    assert chisquare(drawn.numpy()).pvalue > 0.01


def test_a_draw_is_a_place_among_the_transitions() -> None:
    game = Battle(8, 5)
    side, replay = Side(game), ArmyReplay(game)
    side.play(replay)
    expected, draws = side.expected(), torch.tensor([0.0, 1 - 2**-24, 0.5, 0.0], dtype=torch.float32)
    place = torch.tensor([0, len(replay) - 1, len(replay) // 2, 0])
    assert_equal(replay.sample(draws), BattleBatch(*[entry[place] for entry in expected]))
    assert replay.sample(torch.tensor([1 - 2**-53], dtype=torch.float64)).reward == expected.reward[-1]
    assert [len(entry) for entry in replay.sample(torch.zeros(0))] == [0] * 9


@pytest.mark.parametrize(("rounds", "pause"), [(0, 0), (0, 3), (2, 0), (5, 4)])
def test_a_loaded_replay_goes_on_like_the_original(rounds: int, pause: int) -> None:
    game = Battle(8, 30)
    side, original = Side(game), ArmyReplay(game, 600)
    for _ in range(rounds):
        side.play(original)
    side.play(original, pause)
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    file.seek(0)
    copy = ArmyReplay(game, 600)
    copy.load_state_dict(torch.load(file, weights_only=True))
    twin = Side(game)
    for _ in range(rounds):
        twin.play(ArmyReplay(game))
    twin.play(ArmyReplay(game), pause)
    draws = torch.rand(40, generator=Generator().manual_seed(3))
    if rounds:
        assert_equal(copy.sample(draws), original.sample(draws))
    for each, replay in ((side, original), (twin, copy)):
        if pause:
            each.resume(replay)
        each.play(replay)
    assert_equal(copy.sample(draws), original.sample(draws))
    assert_equal(contents(copy), contents(original))
    assert_equal(contents(original), side.expected(600))
    for name, column in original.state_dict().items():
        assert copy.state_dict()[name].equal(column), name


def test_a_state_does_not_change_with_what_comes_later() -> None:
    game = Battle(8, 30)
    side, replay = Side(game), ArmyReplay(game, 300)
    side.play(replay)
    state = replay.state_dict()
    before = {name: column.clone() for name, column in state.items()}
    other = ArmyReplay(game, 300)
    other.load_state_dict(state)
    for grows in (replay, other):
        side.play(grows)
    assert all(column.equal(before[name]) for name, column in state.items())


def test_actions_are_counted_over_the_living() -> None:
    actions, alive = torch.tensor([[3, 3, 20, 0], [99, 5, 5, -7]]), torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0]]).bool()
    counts = action_counts(actions, ACTIONS, alive, torch.int64)
    assert counts.nonzero().tolist() == [[0, 3], [0, 20]]
    assert counts[0, [3, 20]].tolist() == [2, 1]
    assert frequencies(counts).equal(counts / torch.tensor([[3], [1]]))


def test_a_state_of_another_replay_is_refused() -> None:
    game = Battle(8, 30)
    side, replay = Side(game), ArmyReplay(game)
    side.play(replay)
    with pytest.raises(ValueError, match=rf"^state must be of at most 9 transitions, got {len(replay)}$"):
        ArmyReplay(game, 9).load_state_dict(replay.state_dict())
    full = ArmyReplay(game, len(replay))
    full.load_state_dict(replay.state_dict())
    Side(game).play(exact := ArmyReplay(game, len(replay)))
    assert len(full) == len(exact) == len(replay)
    with pytest.raises(ValueError, match=r"^state must hold cells as torch.uint8 \[\d+, 2, 16, 2\], got .* 2, 8, 2\]$"):
        ArmyReplay(Battle(16)).load_state_dict(replay.state_dict())

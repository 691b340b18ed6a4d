"""What is played, stored and drawn, against a scripted policy and plain Python."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from mfmarl.data.stateless import ReplayDataModule
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import GaussianSqueeze
from mfmarl.seeds import generators, plain_layers_from, seed_numbers


@dataclass(frozen=True)
class Numbering:
    """Pays a joint action's number in base D, so that a reward tells which joint action it was for."""

    agents: int
    actions: int
    draws: int = 0

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        return (actions * self.actions ** torch.arange(self.agents)).sum(-1).double()


@dataclass(frozen=True)
class Lottery:
    """Pays its first draw plus its second, which is halved."""

    agents: int = 3
    actions: int = 2
    draws: int = 2

    def reward(self, actions: Tensor, noise: Tensor) -> Tensor:
        assert noise.shape == (*actions.shape[:-1], 2)
        return noise[..., 0].double() + noise[..., 1].double() / 2


@dataclass
class Scripted:
    """Plays the joint actions `[seeds, steps, agents]` it is given, over and over, and notes all it is told."""

    script: Tensor
    greedy: int = 0
    uses_mean_action: bool = True
    uses_joint_action: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seen: list[tuple[int, Tensor | None, Tensor]] = field(default_factory=list)
    seen_greedily: list[Tensor | None] = field(default_factory=list)
    observed: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        self.seen.append((step, mean_action, uniform))
        return self.script[:, step % self.script.shape[1]]

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        self.seen_greedily.append(mean_action)
        return torch.full_like(self.script[:, 0], self.greedy)

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        self.observed.append((actions, reward))


def script(game: Numbering, seeds: int, steps: int) -> Tensor:
    """Joint actions, no two of a seed the same."""
    own = torch.Generator().manual_seed(0)
    numbers = torch.stack([torch.randperm(game.actions**game.agents, generator=own)[:steps] for _ in range(seeds)])
    return numbers.unsqueeze(-1) // game.actions ** torch.arange(game.agents) % game.actions


def played(data: ReplayDataModule, policy: Any, rounds: int | None = None) -> Iterator[tuple[int, Batch]]:
    """Each minibatch of the first rounds of an epoch, or all of them, and the joint steps played when it came."""
    for play in list(data.train_dataloader())[:rounds]:
        for batch in play(policy):
            yield data.steps_played, batch


def means(joint: Tensor, actions: int) -> Tensor:
    """Eq. 11 by loops: `[agents]` to `[agents, D]`."""
    rows = torch.zeros(len(joint), actions)
    for j in range(len(joint)):
        for k in range(len(joint)):
            if k != j:
                rows[j, joint[k]] += 1 / (len(joint) - 1)
    return rows


@pytest.mark.parametrize("agents", [2, 7, 100, 499, 500, 501, 1000, 1700])
@pytest.mark.parametrize("block_steps", [7, 50])
def test_there_is_one_update_for_every_500_samples(agents: int, block_steps: int) -> None:
    game = GaussianSqueeze(agents)
    data = ReplayDataModule(game, [0], steps=60, evaluations=1, batch_size=2, block_steps=block_steps)
    policy = Scripted(torch.zeros(1, 60, agents, dtype=torch.int64), uses_mean_action=False)
    came = [steps for steps, _ in played(data, policy)]
    # Update number k is due as soon as 500 k samples, one an agent and step, are there.
    due = [next(step for step in range(1, 61) if step * agents >= 500 * k) for k in range(1, 60 * agents // 500 + 1)]
    assert came == due
    assert data.gradient_steps == len(due)
    assert [step for step, *_ in policy.seen] == list(range(60))


@pytest.mark.parametrize("stored", ["previous", "same"])
@pytest.mark.parametrize("game", [Numbering(5, 3), Numbering(2, 300)])
@pytest.mark.parametrize("group", [1, 4, 12])
def test_minibatches_hold_what_was_played(stored: Any, game: Numbering, group: int) -> None:
    agents, capacity, steps = game.agents, 6, 20
    lines = script(game, 2, steps)
    data = ReplayDataModule(
        game,
        [0, 1],
        steps=steps,
        evaluations=1,
        batch_size=12,
        samples_per_update=agents // 2,  # several after most steps
        capacity=capacity * agents + agents - 1,
        agents_per_joint_step=group,
        stored_mean_action=stored,
        block_steps=7,
    )
    before = torch.cat([data.state_dict()["previous"].unsqueeze(1), lines], 1)
    when = [{int(code): step for step, code in enumerate(game.reward(lines[seed], lines))} for seed in range(2)]
    for now, batch in played(data, Scripted(lines)):
        assert batch.agent.shape == batch.action.shape == batch.reward.shape == (2, 12)
        assert batch.mean_action is not None
        assert batch.joint_action is not None
        assert batch.joint_action.shape == (2, 12 // group, agents)
        for seed in range(2):
            for sample in range(12):
                step, j = when[seed][int(batch.reward[seed, sample])], int(batch.agent[seed, sample])
                assert max(now - capacity, 0) <= step < now
                assert batch.action[seed, sample] == lines[seed, step, j]
                assert torch.equal(batch.joint_action[seed, sample // group], lines[seed, step])
                source = lines[seed, step] if stored == "same" else before[seed, step]
                torch.testing.assert_close(batch.mean_action[seed, sample], means(source, game.actions)[j])


@pytest.mark.parametrize("group", [1, 2])
def test_all_stored_steps_and_all_agents_are_drawn_equally_often(group: int) -> None:
    game = Numbering(4, 3)
    lines = script(game, 1, 40)
    data = ReplayDataModule(
        game,
        [0],
        steps=40,
        evaluations=1,
        batch_size=8000,
        samples_per_update=160,
        capacity=8 * 4,
        agents_per_joint_step=group,
    )
    [(_, batch)] = played(data, Scripted(lines))
    codes = game.reward(lines[0, -8:], lines).float()
    shares = torch.stack([(batch.reward == code).float().mean() for code in codes])
    # Standard error of a share of 1/8 among 4000 joint steps: 0.005; of 1/4 among 8000 samples: 0.005.
    torch.testing.assert_close(shares, torch.full((8,), 1 / 8), rtol=0, atol=0.025)
    shares = torch.bincount(batch.agent[0], minlength=4) / 8000
    torch.testing.assert_close(shares, torch.full((4,), 1 / 4), rtol=0, atol=0.025)


def test_without_replay_each_step_is_learned_from_once_by_every_agent() -> None:
    game = Numbering(4, 3)
    lines = script(game, 2, 15)
    data = ReplayDataModule(game, [0, 1], steps=15, evaluations=1, batch_size=None, block_steps=4)
    batches = list(played(data, Scripted(lines)))
    assert [now for now, _ in batches] == list(range(1, 16))
    assert data.gradient_steps == 15
    for now, batch in batches:
        assert batch.agent.tolist() == [[0, 1, 2, 3]] * 2
        assert torch.equal(batch.action, lines[:, now - 1])
        assert torch.equal(batch.reward, game.reward(lines[:, now - 1], lines).float().view(2, 1).expand(-1, 4))
        assert batch.joint_action is not None
        assert torch.equal(batch.joint_action, lines[:, now - 1 : now])


def test_an_action_beyond_a_byte_comes_back() -> None:
    game = Numbering(2, 257)
    policy = Scripted(torch.full((1, 3, 2), 256))
    data = ReplayDataModule(game, [0], steps=3, evaluations=1, batch_size=4, samples_per_update=2, capacity=1)
    batches = [batch for _, batch in played(data, policy)]
    assert len(batches) == 3
    for batch in batches:
        assert (batch.action == 256).all()
        assert batch.joint_action is not None
        assert (batch.joint_action == 256).all()
    assert data.capacity == 1, "a joint step is stored whole"


def test_a_policy_gets_only_what_it_uses() -> None:
    game = Numbering(4, 3)
    policy = Scripted(script(game, 1, 10), uses_mean_action=False, uses_joint_action=False)
    data = ReplayDataModule(game, [0], steps=10, evaluations=1, batch_size=4, samples_per_update=8)
    for _, batch in played(data, policy):
        assert batch.mean_action is None
        assert batch.joint_action is None
    data.evaluate(policy)
    assert all(mean is None for _, mean, _ in policy.seen)
    assert all(mean is None for mean in policy.seen_greedily)


@pytest.mark.parametrize("stored", ["previous", "noise"])
def test_what_an_action_was_chosen_under_is_what_is_learned_from(stored: Any) -> None:
    game = Numbering(4, 3)
    policy = Scripted(script(game, 2, 20))
    data = ReplayDataModule(
        game, [0, 1], steps=20, evaluations=1, batch_size=6, samples_per_update=4, stored_mean_action=stored
    )
    for _, batch in played(data, policy):
        assert batch.mean_action is not None
        for seed in range(2):
            for sample in range(6):
                code = batch.reward[seed, sample]
                [step] = (game.reward(policy.script[seed], code) == code).nonzero().flatten().tolist()
                seen = policy.seen[step][1]
                assert seen is not None
                assert torch.equal(batch.mean_action[seed, sample], seen[seed, batch.agent[seed, sample]])


def test_noise_is_even_over_the_simplex_and_says_nothing_of_what_was_played() -> None:
    game = Numbering(4, 3)
    lines = torch.zeros(1, 3000, 4, dtype=torch.int64)
    policy = Scripted(lines)
    data = ReplayDataModule(game, [0], steps=3000, evaluations=1, batch_size=1, stored_mean_action="noise")
    list(played(data, policy))
    totals = torch.stack([mean[0] * 3 for _, mean, _ in policy.seen[1:] if mean is not None])
    totals[..., 0] += 1  # the agent's own action 0, which Eq. 11 takes away
    torch.testing.assert_close(totals[:, :1].expand(-1, 4, -1), totals)
    shares = totals[:, 0] / 4
    assert shares.min() > -1e-6
    torch.testing.assert_close(shares.sum(-1), torch.ones(2999))
    # Even over the simplex of three: mean 1/3, variance 1/18 of each share, and P(share < 1/2) = 1 - (1/2)^2.
    torch.testing.assert_close(shares.mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.02)
    torch.testing.assert_close(shares.var(0), torch.full((3,), 1 / 18), rtol=0.1, atol=0)
    torch.testing.assert_close((shares < 0.5).float().mean(0), torch.full((3,), 0.75), rtol=0, atol=0.04)


def test_mean_actions_in_play_are_those_of_the_step_before() -> None:
    game = Numbering(4, 3)
    policy = Scripted(script(game, 2, 10))
    data = ReplayDataModule(game, [0, 1], steps=10, evaluations=1, block_steps=3, stored_mean_action="same")
    before = torch.cat([data.state_dict()["previous"].unsqueeze(1), policy.script], 1)
    list(played(data, policy))
    for step, mean, _ in policy.seen:
        assert mean is not None
        for seed in range(2):
            torch.testing.assert_close(mean[seed], means(before[seed, step], 3))
    for step, (actions, reward) in enumerate(policy.observed):
        assert torch.equal(actions, policy.script[:, step])
        assert torch.equal(reward, game.reward(actions, actions))


@pytest.mark.parametrize("block_steps", [1, 7, 50])
def test_the_policy_of_the_last_update_plays(block_steps: int) -> None:
    @dataclass
    class Counting(Scripted):
        """Plays how many updates there have been."""

        updates: int = 0

        def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
            return torch.full_like(self.script[:, 0], self.updates)

    policy = Counting(torch.zeros(1, 1, 3, dtype=torch.int64))
    data = ReplayDataModule(
        Numbering(3, 50), [0], steps=40, evaluations=1, samples_per_update=4, block_steps=block_steps
    )
    for _ in played(data, policy):
        policy.updates += 1
    assert policy.updates == 40 * 3 // 4
    assert [int(actions[0, 0]) for actions, _ in policy.observed] == [step * 3 // 4 for step in range(40)]


def test_the_games_draws_are_not_the_policys() -> None:
    policy = Scripted(torch.zeros(2, 40, 3, dtype=torch.int64))
    data = ReplayDataModule(Lottery(), [0, 1], steps=40, evaluations=1)
    list(played(data, policy))
    data.evaluate(policy)
    for (*_, uniform), (_, reward) in zip(policy.seen, policy.observed, strict=False):
        assert uniform.shape == (2, 3)
        drawn = uniform.double()
        pairs = drawn.unsqueeze(-1) + drawn.unsqueeze(-2) / 2
        assert not (pairs == reward.view(2, 1, 1)).any()
    rewards = torch.stack([reward for _, reward in policy.observed])
    # The mean of the first draw plus half the second is 3/4, its standard error over 80 rewards 0.04.
    assert abs(rewards.mean() - 0.75) < 0.15
    assert len(set(rewards.flatten().tolist())) == 80


def test_a_seeds_stream_does_not_depend_on_its_stack() -> None:
    game = Numbering(4, 3)
    lines = script(game, 1, 30)

    def record(seeds: list[int], own: int) -> list[Tensor]:
        policy = Scripted(lines.expand(len(seeds), -1, -1))
        data = ReplayDataModule(
            game, seeds, steps=30, evaluations=1, batch_size=4, samples_per_update=6, stored_mean_action="noise"
        )
        found = [data.state_dict()["previous"][own]]
        for _, batch in played(data, policy):
            found += [value[own] for value in batch if value is not None]
        data.evaluate(policy)
        return found + [
            value[own] for _, mean, uniform in policy.seen for value in (mean, uniform) if value is not None
        ]

    stacked, alone, other = record([8, 5, 2], 1), record([5], 0), record([8], 0)
    assert len(stacked) == len(alone) > 100
    assert all(torch.equal(a, b) for a, b in zip(stacked, alone, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(alone[-20:], other[-20:], strict=True))


def test_evaluation_does_not_disturb_training_and_draws_anew_each_time() -> None:
    game = Numbering(4, 3)

    def record(evaluations: int) -> tuple[list[Tensor], list[Tensor]]:
        policy = Scripted(script(game, 1, 30))
        data = ReplayDataModule(game, [0], steps=16, evaluations=1, batch_size=4, samples_per_update=6, block_steps=2)
        found, evaluated = [], []
        for play in data.train_dataloader():
            for batch in play(policy):
                found += [value for value in batch if value is not None]
            found += [uniform for *_, uniform in policy.seen]
            for _ in range(evaluations):
                policy.seen.clear()
                data.training_reward.update(torch.zeros(1, 1))
                data.evaluate(policy)
                evaluated.append(torch.stack([uniform for *_, uniform in policy.seen]))
            policy.seen.clear()
        return found, evaluated

    (without, _), (with_them, evaluated) = record(0), record(2)
    assert all(torch.equal(a, b) for a, b in zip(without, with_them, strict=True))
    assert len({part.sum().item() for part in evaluated}) == 4


def test_scores_are_the_means_of_the_rewards_played() -> None:
    game = Numbering(4, 3)
    policy = Scripted(script(game, 2, 11), greedy=2)
    data = ReplayDataModule(game, [0, 1], steps=10, evaluations=2, evaluation_steps=4)
    for play in data.train_dataloader():
        list(play(policy))
    scores = data.evaluate(policy)
    assert list(scores) == ["greedy_reward", "sampled_reward", "training_reward"]
    assert scores["greedy_reward"].tolist() == [2 + 6 + 18 + 54] * 2
    rewards = game.reward(policy.script, policy.script)
    torch.testing.assert_close(scores["sampled_reward"], rewards[:, 5])
    torch.testing.assert_close(scores["training_reward"], rewards[:, :5].mean(1))
    assert len(policy.observed) == 5, "evaluation is not observed"
    # Both kinds of play go on from the last joint action of training.
    for seen in ([mean for _, mean, _ in policy.seen[5:]], policy.seen_greedily):
        assert len(seen) == 4
        assert seen[0] is not None
        torch.testing.assert_close(seen[0], torch.stack([means(joint, 3) for joint in policy.script[:, 4]]))
    assert policy.seen_greedily[1] is not None
    assert (policy.seen_greedily[1] == torch.tensor([0.0, 0.0, 1.0])).all()
    for play in data.train_dataloader():
        list(play(policy))
    torch.testing.assert_close(data.evaluate(policy)["training_reward"], rewards[:, 5:10].mean(1))


def test_the_global_generator_is_neither_used_nor_touched() -> None:
    @dataclass
    class Reseeding(Scripted):
        number: int = 0

        def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
            torch.manual_seed(self.number + step)
            return super().act(mean_action, uniform, step)

    def record(policy: Scripted) -> list[Tensor]:
        data = ReplayDataModule(Numbering(4, 3), [0], steps=30, evaluations=1, batch_size=4, samples_per_update=6)
        found = [value for _, batch in played(data, policy) for value in batch if value is not None]
        data.evaluate(policy)
        return found + [uniform for *_, uniform in policy.seen]

    lines = script(Numbering(4, 3), 1, 31)
    before = torch.get_rng_state()
    plain = record(Scripted(lines))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        for number in (1, 1000):
            reseeded = record(Reseeding(lines, number=number))
            assert all(torch.equal(a, b) for a, b in zip(plain, reseeded, strict=True))


@pytest.mark.parametrize("batch_size", [6, None])
@pytest.mark.parametrize("stored", ["previous", "same", "noise"])
@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_a_restored_module_goes_on_like_the_original(batch_size: int | None, stored: Any, rounds: int) -> None:
    game = Numbering(4, 3)

    def make(seeds: list[int]) -> ReplayDataModule:
        return ReplayDataModule(
            game,
            seeds,
            steps=40,
            evaluations=1,
            batch_size=batch_size,
            samples_per_update=6,
            capacity=12 * 4,
            stored_mean_action=stored,
            block_steps=1,
        )

    def rest(data: ReplayDataModule) -> list[Tensor]:
        policy = Scripted(lines)
        found = [value for _, batch in played(data, policy, 10 - rounds) for value in batch if value is not None]
        found += [value for _, mean, uniform in policy.seen for value in (mean, uniform) if value is not None]
        return found + list(data.evaluate(policy).values())

    lines = script(game, 2, 41)
    original = make([3, 4])
    list(played(original, Scripted(lines), rounds))
    if rounds == 4:
        original.evaluate(Scripted(lines))
    file = io.BytesIO()
    torch.save(original.state_dict(), file)
    file.seek(0)
    restored = make([8, 9])  # seeds of its own must not show
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.steps_played == 4 * rounds
    both = rest(original), rest(restored)
    assert len(both[0]) > 20
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))
    assert original.steps_played == restored.steps_played == 40


@pytest.mark.parametrize(
    ("agents", "steps", "evaluations", "block_steps", "expected"),
    [
        (10, 100, 2, 20, [[20, 20, 10]]),
        (10, 100, 5, 50, [[20]]),
        (10, 190, 1, 20, [[20, 20, 20, 20], [20, 20, 20, 20], [20, 10]]),
        (500_000, 12, 2, 50, [[4, 2]]),  # no more than 2^21 draws in a block
        (3_000_000, 4, 2, 50, [[1, 1]]),
    ],
)
def test_an_epoch_is_cut_into_rounds(
    agents: int, steps: int, evaluations: int, block_steps: int, expected: list[list[int]]
) -> None:
    data = ReplayDataModule(GaussianSqueeze(agents), [0], steps=steps, evaluations=evaluations, block_steps=block_steps)
    rounds = data.train_dataloader()
    assert len(rounds) == len(expected)
    assert [play.keywords["blocks"] for play in rounds] == expected
    assert len(data.val_dataloader()) == 1


def test_streams_differ_between_seeds_and_uses() -> None:
    drawn = {
        tuple(torch.rand(4, generator=generator).tolist())
        for stream in ("start", "training", "evaluation")
        for generator in generators(range(20), stream)
    }
    assert len(drawn) == 60
    own = [generators([7], stream)[0].initial_seed() for stream in ("start", "training", "evaluation")]
    assert own == [21, 22, 23], "those of the committed results"


def test_layers_of_no_two_generators_start_alike() -> None:
    starts = set()
    for generator in generators(range(60), "start"):
        with plain_layers_from(generator):
            starts.add(torch.rand(()).item())
    assert len(starts) == 60


def test_the_largest_seed_is_below_two_to_the_sixty_first() -> None:
    assert seed_numbers([0, 2**61 - 1]) == (0, 2**61 - 1)
    with pytest.raises(
        ValueError, match=r"seeds must be distinct, at least 0 and below 2\^61, got \[0, 2305843009213693952\]"
    ):
        seed_numbers([0, 2**61])


def test_arguments_are_kept_as_they_were_given() -> None:
    """100 agents store 10 thousand joint steps and draw the numbers of 209 at once; attributes are the arguments."""
    data = ReplayDataModule(GaussianSqueeze(100), [0], steps=10, evaluations=1, capacity=1_000_000, block_steps=5000)
    assert (data.capacity, data.block_steps) == (1_000_000, 5000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"evaluations": -1}, "evaluations must be at least 1, got -1"),
        ({"evaluations": 7}, "evaluations must divide steps, got 7 and 20"),
        ({"samples_per_update": 0}, "samples_per_update must be at least 1, got 0"),
        ({"capacity": 0}, "capacity must be at least 1, got 0"),
        ({"block_steps": 0}, "block_steps must be at least 1, got 0"),
        ({"evaluation_steps": 0}, "evaluation_steps must be at least 1, got 0"),
        ({"agents_per_joint_step": 0}, "agents_per_joint_step must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"agents_per_joint_step": 3}, "batch_size must be None or a multiple of .*, got 200 and 3"),
        ({"stored_mean_action": "next"}, "stored_mean_action must be previous, same or noise, got 'next'"),
        ({"seeds": []}, r"seeds must be distinct, at least 0 and below 2\^61, got \[\]"),
        ({"seeds": [1, -2]}, r"seeds must be distinct, at least 0 and below 2\^61, got \[1, -2\]"),
        ({"seeds": [1, 1]}, r"seeds must be distinct, at least 0 and below 2\^61, got \[1, 1\]"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    make: Callable[..., ReplayDataModule] = ReplayDataModule
    with pytest.raises(ValueError, match=f"^{message}$"):
        make(GaussianSqueeze(10), **({"seeds": [0], "steps": 20, "evaluations": 2} | change))

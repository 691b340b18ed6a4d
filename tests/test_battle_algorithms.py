"""The four methods of Battle: losses worked by hand, what a gradient step moves, how they act, and that they learn."""

from collections.abc import Callable, Iterator, Sequence
from math import log
from typing import Any, cast

import pytest
import torch
from torch import Generator, Tensor, nn

from mfmarl.algorithms import algorithm_class
from mfmarl.algorithms.battle import BattleAC, BattleAgent, BattleIL
from mfmarl.data.army_replay import BattleBatch
from mfmarl.environments.battle.game import Battle
from mfmarl.exploration import EpsilonGreedy

GAME = Battle(2, 10)
NAMES = ["battle-il", "battle-mf-q", "battle-ac", "battle-mf-ac"]
VALUES, ACTOR_CRITICS = NAMES[:2], NAMES[2:]


def make(name: str, seed: int = 0, **arguments: Any) -> Any:
    cls = cast(Callable[..., BattleAgent], algorithm_class(name, "battle"))
    return cls(GAME, (seed,), **arguments)


class Table(nn.Module):
    """A network whose outputs are looked up: the row is view + feature + mean action, each by its first number."""

    def __init__(self, *rows: dict[int, float], other: float = 0.0) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([[row.get(action, other) for action in range(21)] for row in rows]))

    def forward(self, view: Tensor, feature: Tensor, mean_action: Tensor) -> Tensor:
        return self.rows[(view[:, 0, 0, 0] + feature[:, 0] + mean_action[:, 0]).long()]


def batch(
    action: Sequence[int], reward: Sequence[float], terminal: Sequence[bool], states: Sequence[tuple[int, int]]
) -> BattleBatch:
    """Transitions between pairs of `states`, rows of a Table; the number is split over the three inputs."""

    def seen(numbers: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        size = len(numbers)
        view, feature, mean = torch.zeros(size, 13, 13, 7), torch.zeros(size, 34), torch.zeros(size, 21)
        for sample, number in enumerate(numbers):
            view[sample, 0, 0, 0], feature[sample, 0], mean[sample, 0] = number & 4, number & 2, number & 1
        return view, feature, mean

    before, after = zip(*states, strict=True)
    view, feature, mean = seen(before)
    return BattleBatch(
        view, feature, mean, torch.tensor(action), torch.tensor(reward), *seen(after), torch.tensor(terminal)
    )


def with_tables(agent: Any, **tables: Table) -> Any:
    """The agent with tables for networks."""
    for name, table in tables.items():
        assert name in dict(agent.named_children())
        setattr(agent, name, table)
    return agent


# One transition goes from state 0 to 7 by action 3, another ends in state 6 by action 4.
STEP = batch([3, 4], [0.5, 5.0], [False, True], [(0, 7), (1, 6)])
NONE: dict[int, float] = {}
ONLINE = Table({3: 1.35, 4: 90.0}, {4: 4.0, 3: 90.0}, NONE, NONE, NONE, NONE, {1: 50.0}, {9: 2.0})
TARGET = Table({3: 70.0}, {4: 70.0}, NONE, NONE, NONE, NONE, {1: 60.0}, {5: 3.0, 9: 1.0}, other=-1.0)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    ("double_q", "expected"),
    [
        (False, ((0.5 + 0.95 * 3.0 - 1.35) ** 2 + (5.0 - 4.0) ** 2) / 2),  # Eq. 10 at T = 0: the target's maximum
        (True, ((0.5 + 0.95 * 1.0 - 1.35) ** 2 + (5.0 - 4.0) ** 2) / 2),  # what the target says of action 9
    ],
)
def test_the_loss_of_q_learning_by_hand(name: str, double_q: bool, expected: float) -> None:
    agent = with_tables(make(name, double_q=double_q), network=ONLINE, target=TARGET)
    ONLINE.zero_grad()
    loss = agent.loss(STEP)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    following = 3.0 if not double_q else 1.0
    wanted = torch.zeros(8, 21)
    wanted[0, 3] = -(0.5 + 0.95 * following - 1.35)  # d/dQ of the mean of two squares
    wanted[1, 4] = -(5.0 - 4.0)
    assert ONLINE.rows.grad is not None
    torch.testing.assert_close(ONLINE.rows.grad, wanted, rtol=1e-5, atol=1e-6)
    assert TARGET.rows.grad is None


def test_the_released_code_leaves_terminal_transitions_out_of_the_loss() -> None:
    agent = with_tables(make("battle-il", learns_terminal=False), network=ONLINE, target=TARGET)
    assert agent.loss(STEP).item() == pytest.approx((0.5 + 0.95 * 3.0 - 1.35) ** 2, rel=1e-5)
    ended = STEP._replace(terminal=torch.tensor([True, True]))
    assert agent.loss(ended).item() == 0.0


def test_the_discount_is_the_one_given() -> None:
    agent = with_tables(make("battle-il", discount=0.5), network=ONLINE, target=TARGET)
    assert agent.loss(STEP).item() == pytest.approx(((0.5 + 0.5 * 3.0 - 1.35) ** 2 + 1) / 2, rel=1e-5)


# Softmax at temperature 0.1: the actor takes action 0 in 3 of 4 cases, else action 1; its target either as often.
ACTOR = Table({3: 80.0}, {4: 80.0}, NONE, NONE, NONE, NONE, {1: 0.0}, {0: 0.1 * log(3), 1: 0.0}, other=-100.0)
ACTOR_TARGET = Table({3: 80.0}, {4: 80.0}, NONE, NONE, NONE, NONE, {1: 0.0}, {0: 0.0, 1: 0.0}, other=-100.0)
CRITIC = Table({3: 0.4, 4: 90.0}, {4: 4.0, 3: 90.0}, NONE, NONE, NONE, NONE, {1: 50.0}, {0: 77.0, 1: 77.0})
CRITIC_TARGET = Table({3: 70.0}, {4: 70.0}, NONE, NONE, NONE, NONE, {1: 60.0}, {0: 4.0, 1: 0.0}, other=-9.0)
ENTROPY = -(0.75 * log(0.75) + 0.25 * log(0.25))


def actor_critic(name: str, **arguments: Any) -> Any:
    for table in (ACTOR, ACTOR_TARGET, CRITIC, CRITIC_TARGET):
        table.zero_grad()
    tables = {"network": ACTOR, "actor_target": ACTOR_TARGET, "critic": CRITIC, "critic_target": CRITIC_TARGET}
    return with_tables(make(name, **arguments), **tables)


@pytest.mark.parametrize("name", ACTOR_CRITICS)
@pytest.mark.parametrize(("entropy_weight", "value_weight"), [(None, None), (0.5, 2.0), (0.0, 0.1)])
def test_the_loss_of_actor_critics_by_hand(name: str, entropy_weight: float | None, value_weight: float | None) -> None:
    given = {"entropy_weight": entropy_weight, "value_weight": value_weight}
    agent = actor_critic(name, **{key: value for key, value in given.items() if value is not None})
    entropy = 0.08 if entropy_weight is None else entropy_weight
    value = 0.1 if value_weight is None else value_weight
    loss = agent.loss(STEP)
    critic_error = 0.5 + 0.95 * (0.5 * 4.0 + 0.5 * 0.0) - 0.4  # v of Eq. 10 under the target actor
    gain = 0.75 * 4.0 + entropy * ENTROPY  # at o', with Q_target; none where terminal
    expected = value * (critic_error**2 + (5.0 - 4.0) ** 2) / 2 - gain / 2
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    wanted = torch.zeros(8, 21)
    wanted[0, 3], wanted[1, 4] = -value * critic_error, -value * (5.0 - 4.0)
    assert CRITIC.rows.grad is not None
    torch.testing.assert_close(CRITIC.rows.grad, wanted, rtol=1e-5, atol=1e-6)
    # d/d logit of sum pi (Q - w log pi), half a sample's: pi (f - mean of f) / temperature.
    worth = [4.0 - entropy * log(0.75), 0.0 - entropy * log(0.25)]
    mean = 0.75 * worth[0] + 0.25 * worth[1]
    wanted = torch.zeros(8, 21)
    wanted[7, 0], wanted[7, 1] = (-p * (f - mean) / 0.1 / 2 for p, f in zip((0.75, 0.25), worth, strict=True))
    assert ACTOR.rows.grad is not None
    torch.testing.assert_close(ACTOR.rows.grad, wanted, rtol=1e-4, atol=1e-5)
    assert ACTOR_TARGET.rows.grad is None
    assert CRITIC_TARGET.rows.grad is None


def test_the_temperature_divides_the_logits() -> None:
    agent = actor_critic("battle-ac", temperature=0.2, entropy_weight=0.0)
    first = 3**0.5 / (3**0.5 + 1)
    error = 0.5 + 0.95 * 2.0 - 0.4
    assert agent.loss(STEP).item() == pytest.approx(0.1 * (error**2 + 1) / 2 - first * 4.0 / 2, rel=1e-5)


def random_batch(size: int = 12, seed: int = 0) -> BattleBatch:
    chance = Generator().manual_seed(seed)

    def seen() -> tuple[Tensor, Tensor, Tensor]:
        shapes = ((13, 13, 7), (34,), (21,))
        view, feature, mean = (torch.rand(size, *shape, generator=chance) for shape in shapes)
        return view, feature, mean

    action, reward = torch.randint(21, (size,), generator=chance), torch.rand(size, generator=chance)
    return BattleBatch(*seen(), action, reward, *seen(), torch.rand(size, generator=chance) < 0.4)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_with_networks_is_that_of_a_few_lines(name: str) -> None:
    agent, moves = make(name), random_batch()
    for index, (_, target) in enumerate(agent.networks()):
        for parameter in target.parameters():  # so that a network is not taken for its target
            parameter.add_(0.01 * torch.rand(parameter.shape, generator=Generator().manual_seed(index)))
    loss = 0.0
    for i in range(len(moves.action)):
        now = [each[i : i + 1] for each in (moves.view, moves.feature, moves.mean_action)]
        after = [each[i : i + 1] for each in (moves.next_view, moves.next_feature, moves.next_mean_action)]
        on = 0.0 if moves.terminal[i] else 1.0
        action, reward = int(moves.action[i]), float(moves.reward[i])
        if name in VALUES:
            y = reward + 0.95 * on * agent.target(*after).max().item()
            loss += (y - agent.network(*now)[0, action].item()) ** 2 / len(moves.action)
        else:
            q_target = agent.critic_target(*after)[0]
            pi, old_pi = ((net(*after)[0] / 0.1).softmax(0) for net in (agent.network, agent.actor_target))
            y = reward + 0.95 * on * (old_pi @ q_target).item()
            loss += 0.1 * (y - agent.critic(*now)[0, action].item()) ** 2 / len(moves.action)
            loss -= on * (pi @ q_target - 0.08 * (pi * pi.log()).sum()).item() / len(moves.action)
    assert moves.terminal.any()
    assert agent.loss(moves).item() == pytest.approx(loss, rel=1e-3)


def weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def learn(agent: Any, batches: Sequence[BattleBatch], monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient step for each of the batches, without a Trainer."""
    optimizer = agent.configure_optimizers()
    monkeypatch.setattr(agent, "optimizers", lambda use_pl_optimizer: optimizer, raising=False)

    def experience(policy: object) -> Iterator[BattleBatch]:
        assert policy is agent
        yield from batches

    agent.training_step(experience, 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_step_moves_online_networks_and_targets_follow(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make(name, target_rate=0.25)
    opponent, pairs = weights(agent.opponent), agent.networks()
    assert len(pairs) == (1 if name in VALUES else 2)
    before = [(weights(network), weights(target)) for network, target in pairs]
    for online, target in before:
        assert all(map(torch.equal, online, target)), "a target starts as a copy"
    learn(agent, [random_batch()], monkeypatch)
    for (network, target), (old, old_target) in zip(pairs, before, strict=True):
        new = weights(network)
        for one, earlier in zip(new, old, strict=True):
            assert not torch.equal(one, earlier)
            assert float((one - earlier).abs().max()) == pytest.approx(1e-4, rel=0.02)  # Adam's first step
        for one, earlier, now in zip(weights(target), old_target, new, strict=True):
            torch.testing.assert_close(one, 0.75 * earlier + 0.25 * now, rtol=1e-6, atol=1e-9)
    assert all(map(torch.equal, weights(agent.opponent), opponent))
    assert not any(parameter.requires_grad for _, target in pairs for parameter in target.parameters())
    assert not any(parameter.requires_grad for parameter in agent.opponent.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_targets_follow_after_every_gradient_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    twice, once = make(name, target_rate=1.0), make(name, target_rate=1.0)
    batches = [random_batch(), random_batch(seed=1)]
    learn(twice, batches, monkeypatch)
    optimizer = once.configure_optimizers()
    for each in batches:
        optimizer.zero_grad()
        once.loss(each).backward()
        optimizer.step()
        for network, target in once.networks():
            target.load_state_dict(network.state_dict())
    for (network, target), (other, _) in zip(twice.networks(), once.networks(), strict=True):
        assert all(map(torch.equal, weights(network), weights(other)))
        assert all(map(torch.equal, weights(target), weights(network)))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_learned_where_no_gradient_step_is_due(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = make(name)
    before = weights(agent)
    learn(agent, [], monkeypatch)
    assert all(map(torch.equal, weights(agent), before))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("rate", "given"), [(0.99, {}), (0.3, {"opponent_rate": 0.3})])
def test_the_opponent_becomes_nearly_the_learner(name: str, rate: float, given: dict[str, Any]) -> None:
    agent, other = make(name, **given), make(name, seed=1)
    assert all(map(torch.equal, weights(agent.network), weights(agent.opponent))), "it starts as a copy"
    agent.opponent.load_state_dict(other.network.state_dict())
    learner = weights(agent.network)
    agent.opponent_follows()
    for one, new, old in zip(weights(agent.opponent), learner, weights(other.network), strict=True):
        torch.testing.assert_close(one, rate * new + (1 - rate) * old, rtol=1e-5, atol=1e-8)
    assert all(map(torch.equal, weights(agent.network), learner))


def asked(agents: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    moves = random_batch(agents)
    return moves.view, moves.feature, moves.mean_action


@pytest.mark.parametrize("name", VALUES)
def test_each_agent_is_epsilon_greedy_for_itself(name: str) -> None:
    agent = make(name)
    agent.opponent.load_state_dict(make(name, seed=3).network.state_dict())
    seen = asked()
    best = [network(*seen).argmax(-1).tolist() for network in (agent.network, agent.opponent)]
    assert best[0] != best[1]
    uniform = torch.tensor([0.02, 0.3, 0.524, 0.5255, 0.76, 0.999])
    for army in (0, 1):
        everything = agent.act(army, *seen, uniform, 0)  # epsilon 1
        assert everything.tolist() == [int(u * 21) for u in uniform.tolist()]
        assert everything.dtype == torch.int64
        half = agent.act(army, *seen, uniform, 1000)  # epsilon (1 + 0.05) / 2
        explored = [int(u / 0.525 * 21) for u in uniform[:3].tolist()]
        assert half.tolist() == [*explored, *best[army][3:]]
        late = agent.act(army, *seen, uniform, 5000).tolist()
        assert late == [int(0.02 / 0.05 * 21), *best[army][1:]]
    assert agent.acting.kind == "epsilon"
    assert agent.acting.value == 0.05


def test_who_explores_is_not_asked_of_the_network() -> None:
    agent, seen = make("battle-mf-q"), asked()
    calls: list[Tensor] = []
    agent.network.register_forward_hook(lambda module, inputs, outputs: calls.append(inputs[1]))
    uniform = torch.tensor([0.02, 0.3, 0.524, 0.5255, 0.76, 0.999])
    agent.act(0, *seen, uniform, 0)
    assert not calls, "epsilon is 1"
    agent.act(0, *seen, uniform, 1000)
    (features,) = calls
    assert torch.equal(features, seen[1][3:])


@pytest.mark.parametrize("name", ACTOR_CRITICS)
def test_actors_draw_from_the_softmax_at_their_temperature(name: str) -> None:
    agent = make(name, temperature=0.02)
    agent.opponent.load_state_dict(make(name, seed=3).network.state_dict())
    seen, uniform = asked(), torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 0.999])
    expected = []
    for army, network in enumerate((agent.network, agent.opponent)):
        below = (network(*seen) / 0.02).softmax(-1).cumsum(-1)
        expected.append([int((row <= u).sum()) for row, u in zip(below, uniform, strict=True)])
        for step in (0, 5000):
            assert agent.act(army, *seen, uniform, step).tolist() == expected[army]
    assert expected[0] != expected[1]
    assert (agent.acting.kind, agent.acting.value) == ("temperature", 0.02)


@pytest.mark.parametrize("name", NAMES)
def test_only_mean_field_methods_act_and_learn_by_the_mean_action(name: str) -> None:
    agent = make(name)
    view, feature, mean = asked()
    outputs = [agent.network(view, feature, each) for each in (mean, mean.flip(0))]
    assert agent.uses_mean_action is name.startswith("battle-mf")
    assert torch.equal(*outputs) is not agent.uses_mean_action
    moves = random_batch()
    others = [moves._replace(**{field: getattr(moves, field).flip(0)}) for field in ("mean_action", "next_mean_action")]
    losses = [agent.loss(each).item() for each in (moves, *others)]
    assert len(set(losses)) == (3 if agent.uses_mean_action else 1)


def test_a_round_is_played_by_weights_of_autocasts_type_unless_a_class_acts_itself() -> None:
    class Acts(BattleIL):
        def act(self, *given: Any) -> Tensor:
            return super().act(*given)

    for cls, kind in ((BattleIL, torch.bfloat16), (Acts, torch.float32)):
        agent = cls(GAME, (0,))
        with torch.autocast("cpu", torch.bfloat16), agent.playing():
            for network in (agent.network, agent.opponent):
                assert {each.dtype for each in network.parameters()} == {kind}


RIGHT = torch.tensor([2, 7, 13, 20])  # in each of four situations


def bandit(where: str, seed: int, size: int = 24) -> tuple[BattleBatch, Tensor]:
    """Situations that one input alone tells, an action in each and whether it is right; and what would be right."""
    chance = Generator().manual_seed(seed)

    def seen(situation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        view, feature, mean = torch.zeros(size, 13, 13, 7), torch.zeros(size, 34), torch.zeros(size, 21)
        for sample, number in enumerate(situation.tolist()):
            if where == "view":
                view[sample, 3 * number : 3 * number + 4, :, 4] = 1
            else:
                mean[sample, 5 * number] = 1
        return view, feature, mean

    now, after = (torch.randint(4, (size,), generator=chance) for _ in range(2))
    action = torch.randint(21, (size,), generator=chance)
    action = torch.where(torch.rand(size, generator=chance) < 0.5, RIGHT[now], action)
    reward, terminal = (action == RIGHT[now]).float(), torch.rand(size, generator=chance) < 0.1
    return BattleBatch(*seen(now), action, reward, *seen(after), terminal), RIGHT[now]


@pytest.mark.parametrize(
    ("name", "where", "steps"),
    [
        ("battle-il", "view", 80),
        pytest.param("battle-mf-q", "mean_action", 200, marks=pytest.mark.slow),
        ("battle-ac", "view", 80),
        pytest.param("battle-mf-ac", "mean_action", 160, marks=pytest.mark.slow),
    ],
)
def test_it_learns_what_to_do_in_each_situation(
    name: str, where: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    explores: dict[str, Any] = {"entropy_weight": 0.3} if name in ACTOR_CRITICS else {}
    agent = make(name, discount=0.0, learning_rate=2e-3, target_rate=0.1, **explores)
    shown, right = bandit(where, 10**6)

    def share() -> float:
        outputs = agent.network(shown.view, shown.feature, shown.mean_action)
        return float((outputs.argmax(-1) == right).float().mean())

    assert share() < 0.5
    learn(agent, [bandit(where, seed)[0] for seed in range(steps)], monkeypatch)
    assert share() == 1.0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"discount": 1.0}, r"discount must be in \[0, 1\), got 1.0"),
        ({"discount": -0.1}, r"discount must be in \[0, 1\), got -0.1"),
        ({"target_rate": 0.0}, r"target_rate must be in \(0, 1\], got 0.0"),
        ({"opponent_rate": 1.5}, r"opponent_rate must be in \(0, 1\], got 1.5"),
    ],
)
def test_arguments_out_of_range_are_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make(name, **arguments)


@pytest.mark.parametrize("name", ACTOR_CRITICS)
@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("temperature", 0.0, "positive and finite"),
        ("temperature", float("nan"), "positive and finite"),
        ("value_weight", -1.0, "positive and finite"),
        ("value_weight", 0.0, "positive and finite"),
        ("entropy_weight", -0.1, "at least 0 and finite"),
    ],
)
def test_weights_of_actor_critics_out_of_range_are_refused(
    name: str, argument: str, value: float, allowed: str
) -> None:
    with pytest.raises(ValueError, match=f"^{argument} must be {allowed}, got {value}$"):
        make(name, 0, **{argument: value})


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_alone(name: str) -> None:
    cls = cast(Callable[..., BattleAgent], algorithm_class(name, "battle"))
    with pytest.raises(ValueError, match=r"^seeds must be one seed for Battle, got \[1, 2\]$"):
        cls(GAME, (1, 2))
    with pytest.raises(ValueError, match=r"^seeds must be distinct, at least 0"):
        cls(GAME, (-1,))
    with pytest.raises(ValueError, match=r"^learning_rate must be positive and finite, got 0\.0$"):
        make(name, learning_rate=0.0)


def test_the_settings_are_those_of_the_appendix() -> None:
    il, ac = BattleIL(GAME, (0,)), BattleAC(GAME, (0,))
    assert (il.learning_rate, il.discount, il.exploration) == (1e-4, 0.95, EpsilonGreedy(1.0, 0.05, 2000))
    assert (ac.temperature, ac.entropy_weight, ac.value_weight) == (0.1, 0.08, 0.1)
    assert il.configure_optimizers().param_groups[0]["lr"] == 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_the_start(name: str) -> None:
    first, second, other = weights(make(name)), weights(make(name)), weights(make(name, seed=1))
    assert all(map(torch.equal, first, second))
    assert not any(map(torch.equal, first, other))

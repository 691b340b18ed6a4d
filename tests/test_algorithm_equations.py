"""Every algorithm of a stateless game follows its equations."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from math import exp
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from mfmarl.algorithms.actor_critic import AC, MAAC, MFAC, Actors, JointCritic
from mfmarl.algorithms.descent import by_autograd, descend, laid_out_as
from mfmarl.algorithms.frequency_maximum import FMQ, RecFMQ
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.algorithms.stateless import StatelessAgent
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import GaussianSqueeze
from mfmarl.environments.matrix_game import CLIMBING
from mfmarl.exploration import Boltzmann, EpsilonGreedy
from mfmarl.mean_field import boltzmann_policy, mean_field_value, mean_policy
from mfmarl.networks.stacked import AgentNetwork
from mfmarl.seeds import generators

# One gradient step against the formulas.

GAME = GaussianSqueeze(agents=3, actions=4)
GENERAL: dict[str, Any] = {"discount": 0.9, "target_rate": 0.25, "reward_scale": 0.5, "hidden": (16, 16)}
GROUP = 3  # samples a joint step


def a_batch(*, samples: int = 12) -> Batch:
    own = torch.Generator().manual_seed(5)
    joint = torch.randint(4, (2, samples // GROUP, 3), generator=own)
    agent = torch.randint(3, (2, samples), generator=own)
    action = joint.repeat_interleave(GROUP, 1).gather(2, agent.unsqueeze(-1)).squeeze(-1)
    mean = torch.rand(2, samples, 4, generator=own)
    return Batch(agent, action, torch.randn(2, samples, generator=own) * 4, mean / mean.sum(-1, keepdim=True), joint)


def samples_of(batch: Batch) -> Iterator[tuple[int, int, Any, int, int, float]]:
    """Each sample: seed, number, what the networks are asked (agent and mean action), agent, action, reward."""
    for seed in range(batch.agent.shape[0]):
        for number in range(batch.agent.shape[1]):
            j, a = int(batch.agent[seed, number]), int(batch.action[seed, number])
            yield seed, number, (batch.agent, batch.mean_action), j, a, float(batch.reward[seed, number])


def train_on(module: StatelessAgent, *batches: Batch) -> None:
    """A round of `batches`."""
    optimizers = cast(Any, module.configure_optimizers())
    module.learn(lambda policy: iter(batches), optimizers if isinstance(optimizers, list) else [optimizers])


def follows(
    module: StatelessAgent, before: StatelessAgent, gradients: list[tuple[nn.Module, float, list[Tensor]]]
) -> None:
    """Check that Adam's first step with those `gradients` of a module's networks led from `before` to `module`.

    And that the targets then moved by `target_rate`, 0.25.
    """
    for (network, target), (old, old_target), (copy, rate, of) in zip(
        module.networks(), before.networks(), gradients, strict=True
    ):
        assert copy is old
        parameters = [parameter for parameter in old.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=rate, fused=False, foreach=False)
        for parameter, gradient in zip(parameters, of, strict=True):
            parameter.grad = gradient
        optimizer.step()
        for new, expected in zip(network.parameters(), old.parameters(), strict=True):
            torch.testing.assert_close(new, expected, rtol=1e-5, atol=1e-6)
        targets = zip(target.parameters(), old_target.parameters(), old.parameters(), strict=True)
        assert not any(parameter.requires_grad for parameter in target.parameters())
        for new, was, source in targets:
            torch.testing.assert_close(new, 0.75 * was + 0.25 * source, rtol=1e-5, atol=1e-6)


def apart(module: StatelessAgent) -> StatelessAgent:
    """Move the targets away from their networks and the policies from uniform; return a copy of all."""
    with torch.no_grad():
        for _, target in module.networks():
            for parameter in target.parameters():
                parameter.mul_(1.5)
        if isinstance(module, AC):  # from policies that are all but uniform to some that differ
            module.actor.padded_logits.mul_(100)
            module.actor_target.padded_logits.mul_(-100)
    return deepcopy(module)


def softmax(values: list[float], temperature: float = 1.0) -> list[float]:
    weights = [exp(value / temperature) for value in values]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("make", [IL, MFQ, FMQ, RecFMQ])
@pytest.mark.parametrize("exploration", [EpsilonGreedy(0.5, 0.5), Boltzmann(2.0, 0.01)])
def test_q_learning_steps_along_its_loss(make: type[IL], exploration: Any) -> None:
    general = {name: value for name, value in GENERAL.items() if name != "discount" or make in (IL, MFQ)}
    module = make(GAME, (1, 2), exploration=exploration, learning_rate=0.01, **general)
    before = cast(IL, apart(module))
    batch = a_batch()
    if not module.uses_mean_action:
        batch = batch._replace(mean_action=None)
    module.act(torch.full((2, 3, 4), 0.25) if module.uses_mean_action else None, torch.zeros(2, 3), step=50)
    train_on(module, batch)
    gamma = 0.0 if issubclass(make, FMQ | RecFMQ) else 0.9
    loss = torch.zeros(())
    for seed, i, asked, _, action, reward in samples_of(batch):
        q_next = before.target(*asked)[seed, i].tolist()
        if isinstance(exploration, Boltzmann):  # T = 2 exp(-0.01 * 50) when the round was played
            policy = softmax(q_next, 2 * exp(-0.5))
            value = sum(p * q for p, q in zip(policy, q_next, strict=True))
        else:
            value = max(q_next)
        loss = loss + (0.5 * reward + gamma * value - before.network(*asked)[seed, i, action]) ** 2 / 12
    gradients = list(torch.autograd.grad(loss, list(before.network.parameters())))
    follows(module, before, [(before.network, 0.01, gradients)])


def policy_gradient(logits: Tensor, asked: list[tuple[int, int, list[float]]]) -> Tensor:
    """Gradient of the actors' loss by the policy gradient theorem: a sample is (seed, agent, Q of each action).

    d/d theta_b of sum_a pi(a) Q(a) is pi(b) (Q(b) - sum_a pi(a) Q(a)).
    """
    gradient = torch.zeros(2, 3, 16)
    for seed, agent, values in asked:
        policy = softmax(logits[seed, agent].tolist())
        mean = sum(p * q for p, q in zip(policy, values, strict=True))
        for b in range(4):
            gradient[seed, agent, b] -= policy[b] * (values[b] - mean) / 12
    return gradient


EXPLORATIONS: list[dict[str, Any]] = [{"exploration": EpsilonGreedy(0.5, 0.5)}, {"exploration": Boltzmann(2.0, 0.01)}]


@pytest.mark.parametrize(
    ("make", "own"), [(make, own) for make in (IL, MFQ, FMQ, RecFMQ) for own in EXPLORATIONS] + [(AC, {}), (MFAC, {})]
)
def test_learning_by_hand_is_learning_by_autograd_bit_for_bit(
    make: type[StatelessAgent], own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    general = {name: value for name, value in GENERAL.items() if name not in getattr(make, "refuses", ())}
    by_hand, plain = (make(GAME, (0, 1), **own, **general) for _ in range(2))
    optimizers = cast(Any, by_hand.configure_optimizers())
    assert by_hand.gradients_by_hand(optimizers if isinstance(optimizers, list) else [optimizers]) is not None
    monkeypatch.setattr(plain, "gradients_by_hand", lambda optimizers: None)
    for module in (by_hand, plain):
        train_on(module, *[a_batch() for _ in range(5)])
    for mine, other in zip(by_hand.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_what_changes_the_loss_is_learned_by() -> None:
    class Hinted(IL):
        def losses(self, batch: Batch) -> list[Tensor]:
            return [2 * loss for loss in super().losses(batch)]

    class Valued(IL):
        def action_values(self, network: nn.Module, agent: Tensor | None, mean_action: Tensor | None) -> Tensor:
            return super().action_values(network, agent, mean_action) + 1

    class Fixed(IL):
        def td_target(self, batch: Batch) -> Tensor:
            return torch.zeros_like(batch.reward)

    for make in (Hinted, Valued):
        module = make(GAME, (0,))
        assert module.gradients_by_hand([module.configure_optimizers()]) is None
    maac = MAAC(GAME, (0,))
    assert maac.gradients_by_hand(maac.configure_optimizers()) is None
    table = IL(GAME, (0,), hidden=None)
    assert table.gradients_by_hand([table.configure_optimizers()]) is None
    changed = IL(GAME, (0,))
    changed.losses = lambda batch: []  # type: ignore[method-assign]
    assert changed.gradients_by_hand([changed.configure_optimizers()]) is None
    # A target of one's own goes through the same gradient.
    own = Fixed(GAME, (0,))
    gradients = own.gradients_by_hand([own.configure_optimizers()])
    batch = Batch(*[cast(Tensor, each)[:1] for each in a_batch()])
    assert gradients is not None
    expected = torch.autograd.grad(own.losses(batch)[0].sum(), list(own.network.parameters()), allow_unused=True)
    for found, its in zip(gradients(batch)[0], expected, strict=True):
        assert found is not None
        assert torch.equal(found, its)


class Residual(IL):
    """With a target that depends on what is trained, as in residual gradients."""

    def td_target(self, batch: Batch) -> Tensor:
        return self.action_values(self.network, batch.agent, batch.mean_action).mean(-1)


class ResidualCritic(AC):
    """The same in the value of the next step, which the actors' loss has too."""

    def next_values(self, batch: Batch) -> Tensor:
        return self.action_values(self.critic, batch.agent, batch.mean_action)


class ResidualTarget(AC):
    """The same in the critic's target alone."""

    def td_target(self, batch: Batch, next_values: Tensor) -> Tensor:
        return self.action_values(self.critic, batch.agent, batch.mean_action).mean(-1)


@pytest.mark.parametrize("make", [Residual, ResidualCritic, ResidualTarget])
def test_a_target_that_depends_on_what_is_trained_is_differentiated(make: type[StatelessAgent]) -> None:
    module = make(GAME, (0, 1))
    found = module.configure_optimizers()
    optimizers = cast(Any, found if isinstance(found, list) else [found])
    by_hand, plain = module.gradients_by_hand(optimizers), module.gradients_by_autograd(optimizers)
    assert by_hand is not None
    batch = a_batch()._replace(mean_action=None)
    for mine, other in zip(by_hand(batch), plain(batch), strict=True):
        for one, its in zip(mine, other, strict=True):
            assert torch.equal(cast(Tensor, one), cast(Tensor, its))


def test_a_hook_of_a_parameter_is_called() -> None:
    module = IL(GAME, (0, 1))
    optimizers = [module.configure_optimizers()]
    assert module.gradients_by_hand(optimizers) is not None
    cast(Tensor, module.network.bias_1).register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
    assert module.gradients_by_hand(optimizers) is None
    (found,) = module.gradients_by_autograd(optimizers)(a_batch()._replace(mean_action=None))
    zero = [
        name
        for (name, _), each in zip(module.network.named_parameters(), found, strict=True)
        if not cast(Tensor, each).any()
    ]
    assert zero == ["bias_1"]


def test_a_network_computes_with_the_parameters_that_it_is_called_with() -> None:
    network = AgentNetwork(3, 4, 4, (16, 16), generators([0], "start"))
    agent, features = torch.arange(3).expand(1, 3), torch.ones(1, 3, 4)
    before = network(agent, features)
    other = {name: torch.zeros_like(each) for name, each in network.named_parameters()}
    assert not torch.func.functional_call(network, other, (agent, features)).any()
    assert torch.equal(network(agent, features), before)
    prune.custom_from_mask(network, "weight_1", torch.zeros_like(cast(Tensor, network.weight_1)))  # type: ignore[no-untyped-call]
    prune.custom_from_mask(network, "weight_2", torch.zeros_like(cast(Tensor, network.weight_2)))  # type: ignore[no-untyped-call]
    biases = cast(Tensor, network.bias_2)[..., :4].expand(1, 3, 4)
    torch.testing.assert_close(network(agent, features), biases)
    network.load_state_dict({name: torch.ones_like(each) for name, each in network.state_dict().items()}, assign=True)
    assert torch.equal(network.output(torch.zeros(1, 1, 16)), torch.ones(1, 1, 4))


@pytest.mark.parametrize("scale", [1.0, 3000.0])
@pytest.mark.parametrize(("seeds", "batch", "dtype"), [(1, 200, torch.float32), (3, 7, torch.float64)])
def test_the_actors_gradient_by_hand_is_that_of_autograd_bit_for_bit(
    scale: float, seeds: int, batch: int, dtype: torch.dtype
) -> None:
    actor = Actors(GaussianSqueeze(agents=20), generators(range(seeds), "start"), 0.0).to(dtype)
    with torch.no_grad():
        actor.padded_logits.mul_(scale)[:, :5] = 0.5  # all are the largest
    draw = torch.Generator().manual_seed(1)
    agent = torch.randint(20, (seeds, batch), generator=draw)
    values = torch.randn(seeds, batch, 16, generator=draw, dtype=dtype)[..., :10]
    (expected,) = torch.autograd.grad(-mean_field_value(actor(agent), values).mean(-1).sum(), [actor.padded_logits])
    assert torch.equal(actor.policy_gradients(agent, values)[actor.padded_logits], expected)
    assert expected.any()


def test_a_parameter_that_no_loss_depends_on_stays() -> None:
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([used, idle], lr=0.1)

    def losses(batch: float) -> list[Tensor]:
        return [batch * used.sum()]

    descend([1.0, 2.0], by_autograd(losses, [optimizer]), [optimizer], lambda: None)
    torch.testing.assert_close(used.detach(), torch.tensor([0.7, 0.7]))
    assert idle.grad is None
    assert idle.tolist() == [1.0, 1.0]


def test_a_gradient_is_laid_out_as_its_parameter() -> None:
    parameter, gradient = torch.zeros(2, 3), torch.arange(6.0).view(3, 2).t()
    found = laid_out_as(parameter, gradient)
    assert torch.equal(found, gradient)
    assert found.stride() == parameter.stride() != gradient.stride()
    assert laid_out_as(parameter, found) is found


def test_what_changes_the_critics_loss_is_learned_by() -> None:
    class Doubled(AC):
        def losses(self, batch: Batch) -> list[Tensor]:
            return [2 * loss for loss in super().losses(batch)]

    own, plain = Doubled(GAME, (0, 1)), AC(GAME, (0, 1))
    assert own.gradients_by_hand(own.configure_optimizers()) is None
    assert plain.gradients_by_hand(plain.configure_optimizers()) is not None
    assert plain.gradients_by_hand(plain.configure_optimizers()[:1]) is None
    plain.critic.register_forward_hook(lambda module, given, output: 2 * output)
    assert plain.gradients_by_hand(plain.configure_optimizers()) is None


def test_what_changes_the_actors_loss_is_learned_by() -> None:
    class Doubled(AC):
        def actor_loss(self, batch: Batch, next_values: Tensor) -> Tensor:
            return 2 * super().actor_loss(batch, next_values)

    hooked = AC(GAME, (0, 1))
    hooked.actor.register_forward_hook(lambda module, given, output: output.square())
    hooked.actor.register_parameter("idle", nn.Parameter(torch.ones(2)))
    for own in (Doubled(GAME, (0, 1)), hooked):
        gradients = own.gradients_by_hand(own.configure_optimizers())
        assert gradients is not None
        expected = torch.autograd.grad(own.losses(a_batch())[1].sum(), own.actor.padded_logits)
        logits, *idle = gradients(a_batch())[1]
        assert torch.equal(cast(Tensor, logits), expected[0])
        assert idle == [None] * (own is hooked)


@pytest.mark.parametrize("make", [AC, MFAC])
def test_actor_critics_step_along_their_losses(make: type[AC]) -> None:
    module = make(GAME, (1, 2), critic_learning_rate=0.01, actor_learning_rate=0.02, **GENERAL)
    before = cast(AC, apart(module))
    batch = a_batch()
    if not module.uses_mean_action:
        batch = batch._replace(mean_action=None)
    train_on(module, batch)
    loss = torch.zeros(())
    asked = []
    for seed, i, ask, agent, action, reward in samples_of(batch):
        values = before.critic_target(*ask)[seed, i].tolist()
        policy = softmax(before.actor_target.logits[seed, agent].tolist())
        value = sum(p * q for p, q in zip(policy, values, strict=True))
        loss = loss + (0.5 * reward + 0.9 * value - before.critic(*ask)[seed, i, action]) ** 2 / 12
        asked.append((seed, agent, values))
    critic = list(torch.autograd.grad(loss, list(before.critic.parameters())))
    actor = [policy_gradient(before.actor.logits, asked)]
    follows(module, before, [(before.critic, 0.01, critic), (before.actor, 0.02, actor)])


def joint_value(critic: JointCritic, seed: int, agent: int, joint: Tensor) -> Tensor:
    """Q of MAAC's critic as a dense network over the one-hot id and the N rows `joint` `[N, D]` of actions."""
    parts = {name: parameter[seed] for name, parameter in critic.named_parameters()}
    hot = nn.functional.one_hot(torch.tensor(agent), 3).float()
    layer = torch.cat([hot, joint.flatten()]) @ torch.cat([parts["network.identity"], parts["joint.rows"]])
    layer = (layer + parts["network.bias_0"][0]).relu()
    layer = (layer @ parts["network.weight_1"] + parts["network.bias_1"][0]).relu()
    return (layer @ parts["network.weight_2"] + parts["network.bias_2"][0])[0]


def test_maac_steps_along_its_losses() -> None:
    module = MAAC(GAME, (1, 2), critic_learning_rate=0.01, actor_learning_rate=0.02, **GENERAL)
    before = cast(MAAC, apart(module))
    batch = a_batch()
    train_on(module, batch)
    loss = torch.zeros(())
    asked = []
    for seed, i, _, agent, _, reward in samples_of(batch):
        joint = nn.functional.one_hot(cast(Tensor, batch.joint_action)[seed, i // GROUP], 4).float()
        policies = torch.tensor([softmax(row) for row in before.actor_target.logits[seed].tolist()])
        value = joint_value(before.critic_target, seed, agent, policies).item()
        loss = loss + (0.5 * reward + 0.9 * value - joint_value(before.critic, seed, agent, joint)) ** 2 / 12
        values = []
        for instead in range(4):
            changed = joint.clone()
            changed[agent] = nn.functional.one_hot(torch.tensor(instead), 4)
            values.append(joint_value(before.critic, seed, agent, changed).item())
        asked.append((seed, agent, values))
    critic = list(torch.autograd.grad(loss, list(before.critic.parameters())))
    actor = [policy_gradient(before.actor.logits, asked)]
    follows(module, before, [(before.critic, 0.01, critic), (before.actor, 0.02, actor)])


def test_a_table_learns_by_equation_9() -> None:
    module = IL(CLIMBING, [0], hidden=None, learning_rate=0.1, discount=0.5, target_rate=1.0)
    for network in (module.network, module.target):
        network.identity.data = torch.tensor([[[1.0, 2.0, 0.0], [3.0, 5.0, 0.0]]])
    # y = 10 + 0.5 * 2 = 11 for agent 0, action 0; y = -2 + 0.5 * 5 = 0.5 for agent 1, action 1.
    played = Batch(torch.tensor([[0, 1]]), torch.tensor([[0, 1]]), torch.tensor([[10.0, -2.0]]), None, None)
    train_on(module, played)
    expected = torch.tensor([[[0.9 * 1 + 0.1 * 11, 2.0, 0.0], [3.0, 0.9 * 5 + 0.1 * 0.5, 0.0]]])
    torch.testing.assert_close(module.network.identity.data, expected)
    torch.testing.assert_close(module.target.identity.data, expected)
    # Once more: agent 0 has v = 2 still, agent 1 has v = 4.55.
    train_on(module, played)
    expected[0, 0, 0] = 0.9 * 2.0 + 0.1 * 11
    expected[0, 1, 1] = 0.9 * 4.55 + 0.1 * (-2 + 0.5 * 4.55)
    torch.testing.assert_close(module.network.identity.data, expected)


# The statistics of the FMQ family.


def a_play(steps: int = 60) -> list[tuple[Tensor, Tensor]]:
    """Joint actions and rewards of two seeds, each reward from a few numbers so that they come again."""
    own = torch.Generator().manual_seed(2)
    rewards = torch.tensor([-3.0, -1.5, 0.0, 2.5, 4.0], dtype=torch.float64)
    return [
        (torch.randint(4, (2, 3), generator=own), rewards[torch.randint(5, (2,), generator=own)]) for _ in range(steps)
    ]


def test_fmq_explores_by_q_and_the_frequency_of_the_best_reward() -> None:
    module = FMQ(GAME, (1, 2), heuristic_weight=5.0, reward_scale=0.5)
    values = module.network(None).detach() / 0.5
    received: dict[tuple[int, int, int], list[float]] = {}
    for actions, reward in a_play():
        expected = values.clone()
        for (seed, agent, action), rewards in received.items():
            expected[seed, agent, action] += 5 * rewards.count(max(rewards)) / len(rewards) * max(rewards)
        torch.testing.assert_close(module.preferences(None), expected)
        assert torch.equal(module.act_greedily(None), expected.argmax(-1))
        module.observe(actions, reward)
        for seed in range(2):
            for agent in range(3):
                received.setdefault((seed, agent, int(actions[seed, agent])), []).append(float(reward[seed]))


def test_fmq_by_hand() -> None:
    module = FMQ(CLIMBING, [0], heuristic_weight=10.0, hidden=None)
    for reward in (5.0, 7.0, 7.0, 3.0):  # the best is 7, received in 2 of 4 plays of action 1
        module.observe(torch.tensor([[1, 2]]), torch.tensor([reward], dtype=torch.float64))
    expected = torch.tensor([[[0.0, 35.0, 0.0], [0.0, 0.0, 35.0]]])
    torch.testing.assert_close(module.preferences(None), expected, rtol=0, atol=1e-4)
    blind = FMQ(CLIMBING, [0], heuristic_weight=0.0, hidden=None)
    blind.observe(torch.tensor([[1, 2]]), torch.tensor([5.0], dtype=torch.float64))
    assert torch.equal(blind.preferences(None), blind.network(None))


def test_rec_fmq_weighs_q_and_the_best_reward_by_its_frequency() -> None:
    module = RecFMQ(GAME, (1, 2), frequency_rate=0.1, reward_scale=0.5)
    values = module.network(None).detach() / 0.5
    best: dict[tuple[int, int, int], float] = {}
    frequency: dict[tuple[int, int, int], float] = {}
    for actions, reward in a_play():
        expected = values.clone()
        for key, largest in best.items():
            expected[key] = (1 - frequency[key]) * values[key] + frequency[key] * largest
        torch.testing.assert_close(module.preferences(None), expected)
        module.observe(actions, reward)
        for seed in range(2):
            for agent in range(3):
                key, r = (seed, agent, int(actions[seed, agent])), float(reward[seed])
                if key not in best or r > best[key]:
                    best[key], frequency[key] = r, 1.0
                elif r == best[key]:
                    frequency[key] = 0.9 * frequency[key] + 0.1
                else:
                    frequency[key] = 0.9 * frequency[key]
    assert len(best) == 2 * 3 * 4


def test_the_fmq_family_learns_with_discount_zero() -> None:
    assert [make(GAME, [0]).discount for make in (FMQ, RecFMQ)] == [0, 0]
    for make in (FMQ, RecFMQ):
        with pytest.raises(ValueError, match=r"^discount: got 0\.95, .* leave it out$"):
            make(GAME, [0], discount=0.95)


# Eqs. 11 and 12 as a fixed point.


def an_iterated(iterations: int) -> MFQ:
    exploration = Boltzmann(0.05)
    return MFQ(GAME, (1, 2), fixed_point="iterated", iterations=iterations, damping=0.3, exploration=exploration)


def test_iterating_approaches_a_mean_action_that_answers_itself() -> None:
    mean = a_batch().mean_action
    assert mean is not None
    mean = mean[:, :3]
    residuals = []
    for iterations in (1, 2, 4, 8, 16, 32, 64):
        values = an_iterated(iterations).preferences(mean)
        answer = an_iterated(iterations).network(None, mean_policy(boltzmann_policy(values, 0.05)))
        residuals.append((answer - values).abs().max().item())
    assert residuals[0] > 1e-3
    assert residuals[-1] < 1e-6
    assert all(later < 0.95 * earlier for earlier, later in pairwise(residuals[:-1]))


def test_an_iteration_is_a_damped_step_and_one_shot_takes_none() -> None:
    module = an_iterated(2)
    start = torch.tensor([0.7, 0.1, 0.1, 0.1]).expand(2, 3, 4)
    mean = start
    for _ in range(2):
        policy = (module.network(None, mean) / 0.05).softmax(-1)
        others = torch.stack([policy[:, [k for k in range(3) if k != j]].mean(1) for j in range(3)], 1)
        mean = 0.7 * mean + 0.3 * others
    torch.testing.assert_close(module.preferences(start), module.network(None, mean))
    assert torch.equal(MFQ(GAME, (1, 2)).preferences(start), module.network(None, start))
    falling = Boltzmann(0.05, decay=1.0)  # and nothing was played yet
    given: dict[str, Any] = {"fixed_point": "iterated", "iterations": 2, "damping": 0.3, "exploration": falling}
    assert torch.equal(MFQ(GAME, (1, 2), **given).preferences(start), module.preferences(start))
    assert torch.equal(start, torch.tensor([0.7, 0.1, 0.1, 0.1]).expand(2, 3, 4))


def test_actor_critics_play_their_policies() -> None:
    module = MFAC(GAME, (1, 2), start_bias=1.5)
    assert module.actor.logits.shape == (2, 3, 4)
    assert 0.009 < MFAC(GAME, (1, 2)).actor.logits.abs().max() <= 0.01
    policy = torch.tensor([softmax(row) for row in module.actor.logits.flatten(0, 1).tolist()]).view(2, 3, 4)
    draws = (torch.arange(1000) + 0.5) / 1000
    chosen = torch.stack([module.act(None, draw.expand(2, 3), 0) for draw in draws])
    shares = nn.functional.one_hot(chosen, 4).float().mean(0)
    torch.testing.assert_close(shares, policy, rtol=0, atol=2e-3)
    assert not module.act_greedily(None).any()
    assert (policy[..., 0] > 0.5).all()

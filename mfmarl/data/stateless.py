"""The data module of stateless games: plays with the policy it is handed, stores what happened, yields minibatches."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from mfmarl.data.metrics import MeanByRun
from mfmarl.data.rounds import LateBuffer, RoundsDataModule, check_positive, cut
from mfmarl.data.stateless_replay import Batch, ReplayBuffer
from mfmarl.environments import Environment
from mfmarl.mean_field import action_counts, mean_action
from mfmarl.seeds import generators

StoredMeanAction = Literal["previous", "same", "noise"]
Round = Callable[["Policy"], Iterator[Batch]]

BLOCKS_A_ROUND = 4
_UNIFORMS_A_BLOCK = 1 << 21  # bounds a block of uniform draws to 8 MB a seed


class Policy(Protocol):
    """What the data module asks of the agents it lets play."""

    uses_mean_action: bool
    uses_joint_action: bool

    @property
    def device(self) -> torch.device:
        """Where the policy computes."""
        ...

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        """Exploring actions `[seeds, agents]` int64, given Eq. 11's `[seeds, agents, D]` and a draw an agent."""
        ...

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        """Actions `[seeds, agents]` int64 with learning and exploration off."""
        ...

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        """See one joint step: `[seeds, agents]` int64 and `[seeds]` float64."""
        ...


class ReplayDataModule(RoundsDataModule):
    """Rounds of play of a stateless game, with replay.

    A training batch is a round: called with a policy it plays up to 4 `block_steps` joint steps and yields a
    minibatch for each gradient step that falls due. An epoch lies between two evaluations.

    Args:
        environment: the game.
        seeds: the seeds that train side by side. Each has a generator of its own, so that its stream does not
            depend on the others.
        steps: joint steps in all.
        evaluations: how many times to evaluate, evenly spread; divides `steps`.
        batch_size: samples a gradient step; a sample is one agent's transition. 200: appendix C.1. None: no replay,
            each joint step is learned from once, just after it is played.
        samples_per_update: one gradient step for so many samples played. 500: appendix C.1.
        capacity: of the replay buffer in samples. 10^6: appendix C.1.
        agents_per_joint_step: how many of the samples come from one joint step; divides `batch_size`. 1: our
            choice; more make a critic of joint actions cheaper.
        stored_mean_action: which mean action is stored with a^j, and thus learned from. `previous`: that of
            the joint step before, which the choice started from; `same`: of the same joint step; `noise`: a
            control, random numbers in place of the mean action in play and in learning.
        block_steps: joint steps whose random numbers are drawn together, 50: our choice; four such blocks make a round,
            so that Lightning's cost is below a tenth.
        evaluation_steps: joint steps of greedy and of sampled play at an evaluation, 10: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    environment: Environment

    def __init__(
        self,
        environment: Environment,
        seeds: Sequence[int],
        *,
        steps: int,
        evaluations: int,
        batch_size: int | None = 200,
        samples_per_update: int = 500,
        capacity: int = 1_000_000,
        agents_per_joint_step: int = 1,
        stored_mean_action: StoredMeanAction = "previous",
        block_steps: int = 50,
        evaluation_steps: int = 10,
    ) -> None:
        super().__init__(environment, seeds, steps=steps, evaluations=evaluations)
        check_positive(
            samples_per_update=samples_per_update,
            capacity=capacity,
            agents_per_joint_step=agents_per_joint_step,
            block_steps=block_steps,
            evaluation_steps=evaluation_steps,
        )
        if batch_size is not None and (batch_size < 1 or batch_size % agents_per_joint_step):
            raise ValueError(
                f"batch_size must be None or a positive multiple of agents_per_joint_step, "
                f"got {batch_size} and {agents_per_joint_step}"
            )
        if stored_mean_action not in ("previous", "same", "noise"):
            raise ValueError(f"stored_mean_action must be previous, same or noise, got {stored_mean_action!r}")
        self.batch_size = batch_size
        self.samples_per_update = samples_per_update
        self.capacity = max(capacity // environment.agents, 1)
        self.agents_per_joint_step = agents_per_joint_step
        self.stored_mean_action = stored_mean_action
        draws = environment.agents + environment.draws
        self.block_steps = max(1, min(block_steps, _UNIFORMS_A_BLOCK // draws))
        self.evaluation_steps = evaluation_steps
        self.training_reward = MeanByRun(len(seeds))
        self.generators["evaluation"] = generators(seeds, "evaluation")
        self._previous = (self._uniforms("training", environment.agents) * environment.actions).long()
        self._buffer = LateBuffer(self._make_buffer)

    def rounds(self) -> list[Round]:
        """The rounds of one epoch, each up to `BLOCKS_A_ROUND` blocks of joint steps."""
        blocks = cut(self.steps // self.evaluations, self.block_steps)
        starts = range(0, len(blocks), BLOCKS_A_ROUND)
        return [partial(self.play_blocks, blocks=blocks[first : first + BLOCKS_A_ROUND]) for first in starts]

    def play_blocks(self, policy: Policy, blocks: Sequence[int]) -> Iterator[Batch]:
        """One round: play so many joint steps, block by block."""
        for steps in blocks:
            yield from self.play(policy, steps)

    def play(self, policy: Policy, steps: int) -> Iterator[Batch]:
        """Play `steps` joint steps with `policy`, yielding a minibatch whenever a gradient step is due."""
        buffer = self._buffer.of(policy)
        agents, actions = self.environment.agents, self.environment.actions
        self._previous = self._previous.to(policy.device)
        uniform = self._uniforms("training", steps, agents + self.environment.draws).to(policy.device)
        due = [self._updates(self.steps_played + step + 1) for step in range(steps)]
        draws = self._minibatch_uniforms(sum(due)).to(policy.device)
        noise = self._noise("training", steps).to(policy.device) if self._is_noise(policy) else None
        rewards = []
        for step in range(steps):
            before = self._previous
            total, mean = self._mean_action(policy, before, noise, step)
            action = policy.act(mean, uniform[:, step, :agents], self.steps_played)
            reward = self.environment.reward(action, uniform[:, step, agents:])
            policy.observe(action, reward)
            entries = {"action": action, "reward": reward}
            if total is not None:
                if self.stored_mean_action == "same":
                    before, total = action, action_counts(action, actions)
                entries |= {"before": before, "total": total}
            buffer.push(**entries)
            rewards.append(reward)
            self._previous = action
            self.steps_played += 1
            if due[step]:
                draw, draws = draws[:, : due[step]], draws[:, due[step] :]
                yield from self._minibatches(policy, buffer, draw)
        self.training_reward.update(torch.stack(rewards, 1).cpu())

    def evaluate(self, policy: Policy) -> dict[str, Tensor]:
        """Mean reward `[seeds]` of greedy play, of sampled play, and of training since the last evaluation.

        Greedy and sampled play both go on from the last joint action of training, learning switched off.
        """
        agents = self.environment.agents
        noise = None
        if self._is_noise(policy):
            noise = self._noise("evaluation", self.evaluation_steps).to(policy.device)
        uniform = self._uniforms("evaluation", self.evaluation_steps, agents + self.environment.draws)
        uniform = uniform.to(policy.device)
        scores = {}
        for name in ("greedy_reward", "sampled_reward"):
            previous, metric = self._previous.to(policy.device), MeanByRun(len(self.generators["training"]))
            for step in range(self.evaluation_steps):
                _, mean = self._mean_action(policy, previous, noise, step)
                if name == "greedy_reward":
                    previous = policy.act_greedily(mean)
                else:
                    previous = policy.act(mean, uniform[:, step, :agents], self.steps_played)
                metric.update(self.environment.reward(previous, uniform[:, step, agents:]).unsqueeze(1).cpu())
            scores[name] = metric.compute().view(-1)
        scores["training_reward"] = self.training_reward.compute().view(-1)
        self.training_reward.reset()
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on: buffer, generators, the last joint action, steps played, rewards so far."""
        return {
            **super().state_dict(),
            "previous": self._previous,
            "buffer": self._buffer.state_dict(),
            "training_reward": self.training_reward.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from `state_dict`'s return."""
        super().load_state_dict(state_dict)
        self._previous = state_dict["previous"]
        self._buffer.load_state_dict(state_dict["buffer"])
        self.training_reward.load_state_dict(state_dict["training_reward"])

    def _make_buffer(self, policy: Policy) -> ReplayBuffer:
        """An empty buffer with the columns that the policy learns from.

        With the mean action these are the two that Eq. 11 is rebuilt from: the agents' actions `before` and their
        `total`.
        """
        agents, actions = self.environment.agents, self.environment.actions
        kind = torch.uint8 if actions <= 256 else torch.int64
        columns = {"action": ((agents,), kind), "reward": ((), torch.float32)}
        if policy.uses_mean_action:
            columns |= {"before": ((agents,), kind), "total": ((actions,), torch.float32)}
        capacity = 1 if self.batch_size is None else min(self.capacity, self.steps)
        return ReplayBuffer(capacity, len(self.generators["training"]), columns, policy.device)

    def _updates(self, step: int) -> int:
        """Gradient steps due after joint step number `step` (from 1)."""
        if self.batch_size is None:
            return 1
        agents = self.environment.agents
        return step * agents // self.samples_per_update - (step - 1) * agents // self.samples_per_update

    def _minibatch_uniforms(self, updates: int) -> Tensor:
        """`[seeds, updates, joint steps + samples]`: what picks the joint steps, then the agents."""
        size = self.batch_size or 0
        return self._uniforms("training", updates, size // self.agents_per_joint_step + size)

    def _minibatches(self, policy: Policy, buffer: ReplayBuffer, uniform: Tensor) -> Iterator[Batch]:
        """A minibatch for each row of `uniform` `[seeds, updates, ...]`, looked up together to save time."""
        seeds, updates, _ = uniform.shape
        agents, size = self.environment.agents, self.batch_size
        if size is None:
            agent = torch.arange(agents, device=uniform.device).repeat(seeds, 1)
            group = agent.new_zeros(seeds, 1)
        else:
            groups = size // self.agents_per_joint_step
            group = (uniform[..., :groups] * len(buffer)).long().view(seeds, -1)
            agent = (uniform[..., groups:] * agents).long().view(seeds, -1)
        group_rows = buffer.rows(group)
        rows = group_rows.repeat_interleave(agent.shape[1] // group.shape[1], 1)
        mean = None
        if policy.uses_mean_action:
            own = buffer.elements("before", rows, agent).long()
            mean = mean_action(own, buffer.steps("total", rows), agents)
        whole = Batch(
            agent=agent,
            action=buffer.elements("action", rows, agent).long(),
            reward=buffer.steps("reward", rows),
            mean_action=mean,
            joint_action=buffer.steps("action", group_rows).long() if policy.uses_joint_action else None,
        )
        if updates == 1:
            yield whole
            return
        parts = [[None] * updates if field is None else field.chunk(updates, 1) for field in whole]
        for fields in zip(*parts, strict=True):
            yield Batch(*fields)

    def _mean_action(
        self, policy: Policy, previous: Tensor, noise: Tensor | None, step: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Totals `[seeds, D]` of the last joint action, or of `noise`, and Eq. 11 from them; None if unused."""
        if not policy.uses_mean_action:
            return None, None
        total = action_counts(previous, self.environment.actions) if noise is None else noise[:, step]
        return total, mean_action(previous, total.unsqueeze(1), self.environment.agents)

    def _is_noise(self, policy: Policy) -> bool:
        return policy.uses_mean_action and self.stored_mean_action == "noise"

    def _noise(self, stream: str, steps: int) -> Tensor:
        """Totals `[seeds, steps, D]` that say nothing: N times a point drawn evenly from the simplex."""
        exponential = -torch.log1p(-self._uniforms(stream, steps, self.environment.actions))
        return exponential / exponential.sum(-1, keepdim=True) * self.environment.agents

    def _uniforms(self, stream: str, *shape: int) -> Tensor:
        """Draws in [0, 1), `[seeds, *shape]`, each seed's from its own generator."""
        return torch.stack([torch.rand(*shape, generator=generator) for generator in self.generators[stream]])

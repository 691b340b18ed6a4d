"""The data module: plays the game with the policy it is handed, stores what happened, and yields minibatches."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from mfmarl.data.lattice_metrics import MeanByRun
from mfmarl.data.stateless_replay import Batch, ReplayBuffer
from mfmarl.environments import Environment
from mfmarl.mean_field import action_totals, mean_action

StoredMeanAction = Literal["previous", "same", "noise"]
Round = Callable[["Policy"], Iterator[Batch]]
Evaluation = Callable[["Policy"], dict[str, Tensor]]

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
        """Exploring actions ``[seeds, agents]`` int64, given Eq. 11's ``[seeds, agents, D]`` and a draw an agent."""
        ...

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        """Actions ``[seeds, agents]`` int64 with learning and exploration off."""
        ...

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        """See one joint step: ``[seeds, agents]`` int64 and ``[seeds]`` float64."""
        ...


class ReplayDataModule(pl.LightningDataModule):
    """Rounds of play of a stateless game, with replay.

    A training batch is a round: called with a policy it plays up to 4 ``block_steps`` joint steps and yields a
    minibatch for each gradient step that falls due. An epoch lies between two evaluations.

    Args:
        environment: the game.
        seeds: the seeds that train side by side. Each has a generator of its own, so that its stream does not
            depend on the others.
        steps: joint steps in all.
        evaluations: how many times to evaluate, evenly spread; divides ``steps``.
        batch_size: samples a gradient step; a sample is one agent's transition. 200: appendix C.1. None: no replay,
            each joint step is learned from once, just after it is played.
        samples_per_update: one gradient step for so many samples played. 500: appendix C.1.
        capacity: of the replay buffer in samples. 10^6: appendix C.1.
        agents_per_joint_step: how many of the samples come from one joint step; divides ``batch_size``. 1: our
            choice; more make a critic of joint actions cheaper.
        stored_mean_action: which mean action is stored with a^j, and thus learned from. ``previous``: that of
            the joint step before, which the choice started from; ``same``: of the same joint step; ``noise``: a
            control, random numbers in place of the mean action in play and in learning.
        block_steps: joint steps whose random numbers are drawn together, 50: our choice; four such blocks make a round,
            so that Lightning's cost is below a tenth.
        evaluation_steps: joint steps of greedy and of sampled play at an evaluation, 10: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

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
        super().__init__()
        check_positive(
            steps=steps,
            evaluations=evaluations,
            samples_per_update=samples_per_update,
            capacity=capacity,
            agents_per_joint_step=agents_per_joint_step,
            block_steps=block_steps,
            evaluation_steps=evaluation_steps,
        )
        check_evaluations(steps, evaluations)
        if batch_size is not None and (batch_size < 1 or batch_size % agents_per_joint_step):
            raise ValueError(
                f"batch_size must be None or a positive multiple of agents_per_joint_step, "
                f"got {batch_size} and {agents_per_joint_step}"
            )
        if stored_mean_action not in ("previous", "same", "noise"):
            raise ValueError(f"stored_mean_action must be previous, same or noise, got {stored_mean_action!r}")
        self.environment = environment
        self.steps, self.evaluations = steps, evaluations
        self.batch_size = batch_size
        self.samples_per_update = samples_per_update
        self.capacity = max(capacity // environment.agents, 1)
        self.agents_per_joint_step = agents_per_joint_step
        self.stored_mean_action = stored_mean_action
        draws = environment.agents + environment.draws
        self.block_steps = max(1, min(block_steps, _UNIFORMS_A_BLOCK // draws))
        self.evaluation_steps = evaluation_steps
        self.steps_played = 0
        self.training_reward = MeanByRun(len(seeds))
        self._training = generators(seeds, "training")
        self._evaluating = generators(seeds, "evaluation")
        self._previous = (self._uniforms(self._training, environment.agents) * environment.actions).long()
        self._buffer: ReplayBuffer | None = None
        self._resumed: dict[str, Any] | None = None

    def train_dataloader(self) -> "Calls":
        """One epoch's rounds."""
        blocks = cut(self.steps // self.evaluations, self.block_steps)
        starts = range(0, len(blocks), BLOCKS_A_ROUND)
        return Calls([partial(self.rounds, blocks=blocks[first : first + BLOCKS_A_ROUND]) for first in starts])

    def val_dataloader(self) -> "Calls":
        """One evaluation."""
        return Calls([self.evaluate])

    def rounds(self, policy: Policy, blocks: Sequence[int]) -> Iterator[Batch]:
        """One round: play so many joint steps, block by block."""
        for steps in blocks:
            yield from self.play(policy, steps)

    def play(self, policy: Policy, steps: int) -> Iterator[Batch]:
        """Play ``steps`` joint steps with ``policy``, yielding a minibatch whenever a gradient step is due."""
        buffer = self._buffer_for(policy)
        agents, actions = self.environment.agents, self.environment.actions
        self._previous = self._previous.to(policy.device)
        uniform = self._uniforms(self._training, steps, agents + self.environment.draws).to(policy.device)
        due = [self._updates(self.steps_played + step + 1) for step in range(steps)]
        draws = self._minibatch_uniforms(sum(due)).to(policy.device)
        noise = self._noise(self._training, steps).to(policy.device) if self._is_noise(policy) else None
        rewards = []
        for step in range(steps):
            previous = self._previous
            total, mean = self._mean_action(policy, previous, noise, step)
            chosen = policy.act(mean, uniform[:, step, :agents], self.steps_played)
            reward = self.environment.reward(chosen, uniform[:, step, agents:])
            policy.observe(chosen, reward)
            if total is not None and self.stored_mean_action == "same":
                previous, total = chosen, action_totals(chosen, actions, uniform)
            buffer.push(action=chosen, reward=reward, neighbour=previous, total=total)  # type: ignore[arg-type]
            rewards.append(reward)
            self._previous = chosen
            self.steps_played += 1
            if due[step]:
                draw, draws = draws[:, : due[step]], draws[:, due[step] :]
                yield from self._minibatches(policy, buffer, draw)
        self.training_reward.update(torch.stack(rewards, 1).cpu())

    def evaluate(self, policy: Policy) -> dict[str, Tensor]:
        """Mean reward ``[seeds]`` of greedy play, of sampled play, and of training since the last evaluation.

        Greedy and sampled play both go on from the last joint action of training, learning switched off.
        """
        agents = self.environment.agents
        noise = None
        if self._is_noise(policy):
            noise = self._noise(self._evaluating, self.evaluation_steps).to(policy.device)
        uniform = self._uniforms(self._evaluating, self.evaluation_steps, agents + self.environment.draws)
        uniform = uniform.to(policy.device)
        scores = {}
        for name in ("greedy_reward", "sampled_reward"):
            previous, metric = self._previous.to(policy.device), MeanByRun(len(self._training))
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
        """Everything that play depends on: buffer, generators, the last joint action, steps played."""
        return {
            "steps_played": self.steps_played,
            "previous": self._previous,
            "training": [generator.get_state() for generator in self._training],
            "evaluating": [generator.get_state() for generator in self._evaluating],
            "buffer": self._resumed if self._buffer is None else self._buffer.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from ``state_dict``'s return."""
        self.steps_played = state_dict["steps_played"]
        self._previous = state_dict["previous"]
        for name, own in (("training", self._training), ("evaluating", self._evaluating)):
            for generator, state in zip(own, state_dict[name], strict=True):
                generator.set_state(state.cpu())
        self._buffer, self._resumed = None, state_dict["buffer"]

    def _buffer_for(self, policy: Policy) -> ReplayBuffer:
        """The buffer, made when the policy first tells what it needs and where."""
        if self._buffer is None:
            agents, actions = self.environment.agents, self.environment.actions
            kind = torch.uint8 if actions <= 256 else torch.int64
            columns = {"action": ((agents,), kind), "reward": ((), torch.float32)}
            if policy.uses_mean_action:
                columns |= {"neighbour": ((agents,), kind), "total": ((actions,), torch.float32)}
            capacity = 1 if self.batch_size is None else min(self.capacity, self.steps)
            self._buffer = ReplayBuffer(capacity, len(self._training), columns, policy.device)
            if self._resumed is not None:
                self._buffer.load_state_dict(self._resumed)
                self._resumed = None
        return self._buffer

    def _updates(self, step: int) -> int:
        """Gradient steps due after joint step number ``step`` (from 1)."""
        if self.batch_size is None:
            return 1
        agents = self.environment.agents
        return step * agents // self.samples_per_update - (step - 1) * agents // self.samples_per_update

    def _minibatch_uniforms(self, updates: int) -> Tensor:
        """``[seeds, updates, joint steps + samples]``: what picks the joint steps, then the agents."""
        size = self.batch_size or 0
        return self._uniforms(self._training, updates, size // self.agents_per_joint_step + size)

    def _minibatches(self, policy: Policy, buffer: ReplayBuffer, uniform: Tensor) -> Iterator[Batch]:
        """A minibatch for each row of ``uniform`` ``[seeds, updates, ...]``, looked up together to save time."""
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
            own = buffer.elements("neighbour", rows, agent).long()
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
        """Totals ``[seeds, D]`` of the last joint action, or of ``noise``, and Eq. 11 from them; None if unused."""
        if not policy.uses_mean_action:
            return None, None
        typed = torch.empty(0, device=previous.device)
        total = action_totals(previous, self.environment.actions, typed) if noise is None else noise[:, step]
        return total, mean_action(previous, total.unsqueeze(1), self.environment.agents)

    def _is_noise(self, policy: Policy) -> bool:
        return policy.uses_mean_action and self.stored_mean_action == "noise"

    def _noise(self, own: Sequence[torch.Generator], steps: int) -> Tensor:
        """Totals ``[seeds, steps, D]`` that say nothing: N times a point drawn evenly from the simplex."""
        exponential = -torch.log1p(-self._uniforms(own, steps, self.environment.actions))
        return exponential / exponential.sum(-1, keepdim=True) * self.environment.agents

    def _uniforms(self, own: Sequence[torch.Generator], *shape: int) -> Tensor:
        return torch.stack([torch.rand(*shape, generator=generator) for generator in own])


class Calls(Sequence[Any]):
    """Rounds or evaluations as a sized sequence that is no DataLoader: Lightning neither prefetches nor shards it."""

    def __init__(self, calls: Sequence[Any]) -> None:
        self._calls = calls

    def __len__(self) -> int:
        return len(self._calls)

    def __getitem__(self, index: Any) -> Any:
        return self._calls[index]


_STREAMS = ("start", "training", "evaluation")


def generators(seeds: Sequence[int], stream: Literal["start", "training", "evaluation"]) -> list[torch.Generator]:
    """One CPU generator a seed for a stream: the networks' start, play and replay, or evaluation.

    Raises:
        ValueError: no seed, a negative one, or one twice.
    """
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**61 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be distinct, at least 0 and below 2^61, got {list(seeds)}")
    number = _STREAMS.index(stream)
    return [torch.Generator().manual_seed(seed * len(_STREAMS) + number) for seed in seeds]


def check_positive(**arguments: int) -> None:
    """Raise ValueError, naming the argument, unless all are at least 1."""
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def check_evaluations(steps: int, evaluations: int) -> None:
    """Raise ValueError unless the evaluations are evenly spread over the steps."""
    if steps % evaluations:
        raise ValueError(f"evaluations must divide steps, got {evaluations} and {steps}")


def cut(steps: int, length: int) -> list[int]:
    """``steps`` in pieces of ``length``, the last one perhaps shorter."""
    whole, rest = divmod(steps, length)
    return [length] * whole + [rest] * bool(rest)

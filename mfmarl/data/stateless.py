"""The data module of stateless games, which plays with a policy, stores the joint steps, and yields minibatches."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from mfmarl.data.metrics import MeanByRun
from mfmarl.data.neighbourhood import JointStep, Neighbourhood, Noise, check_neighbourhood
from mfmarl.data.rounds import LateBuffer, RoundsDataModule, check_choice, check_positive, cut
from mfmarl.data.stateless_replay import Batch, ReplayBuffer
from mfmarl.environments import Environment, pays_each_agent
from mfmarl.mean_field import mean_action
from mfmarl.seeds import generators

StoredMeanAction = Literal["previous", "same", "noise"]
Round = Callable[["StatelessPolicy"], Iterator[Batch]]

NAMED: dict[str, Neighbourhood] = {  # neighbourhoods by their names in settings, see `stored_mean_action`
    "previous": Neighbourhood(),
    "same": Neighbourhood(same_step=True),
    "noise": Noise(),
}
BLOCKS_A_ROUND = 4
_UNIFORMS_A_BLOCK = 1 << 21  # bounds a block of uniform draws to 8 MB per seed


class StatelessPolicy(Protocol):
    """Interface of the agents that play."""

    uses_mean_action: bool
    uses_joint_action: bool

    @property
    def device(self) -> torch.device:
        """The device of the policy."""
        ...

    def act(self, mean_action: Tensor | None, uniform: Tensor, step: int) -> Tensor:
        """Choose exploring actions `[seeds, agents]` int64 from mean actions `[seeds, agents, D]` and uniform draws."""
        ...

    def act_greedily(self, mean_action: Tensor | None) -> Tensor:
        """Choose actions `[seeds, agents]` int64 with learning and exploration off."""
        ...

    def observe(self, actions: Tensor, reward: Tensor) -> None:
        """See one joint step: actions `[seeds, agents]` int64, rewards `[seeds]` float64 or `[seeds, agents]`."""
        ...


class Samples(NamedTuple):
    """Indices of minibatches, `[seeds, n]` int64 each, with n the number of samples or, for `steps`, of joint steps."""

    agent: Tensor  #: the agent j.
    steps: Tensor  #: row of each joint step in the replay buffer.
    rows: Tensor  #: row of each sample's joint step in the replay buffer.
    places: Tensor  #: index of each sample's agent in a column with one entry per agent.


class ReplayDataModule(RoundsDataModule):
    """Rounds of play of a stateless game, with replay.

    A training batch is a round: called with a policy, it plays up to 4 `block_steps` joint steps and yields a
    minibatch for each gradient step that is due. An epoch ends with an evaluation.

    Args:
        environment: the game.
        seeds: seeds that train side by side. Each has its own generator, so that its stream does not depend on the
            others.
        steps: total number of joint steps.
        evaluations: number of evaluations, evenly spread; must divide `steps`.
        batch_size: samples per gradient step; a sample is one agent's transition. 200: appendix C.1. None: no replay;
            each joint step is learned from once, just after it is played.
        samples_per_update: samples played per gradient step. 500: appendix C.1.
        capacity: capacity of the replay buffer in samples. 10^6: appendix C.1.
        agents_per_joint_step: samples drawn from one joint step; must divide `batch_size`. 1: our choice; more make a
            critic of joint actions cheaper.
        neighbourhood: definition of the mean action in play, training and evaluation. None: the neighbourhood named by
            `stored_mean_action`.
        stored_mean_action: name of a neighbourhood. `previous`: Eq. 11 over all others, learning from the mean action
            of the previous joint step, which the agents saw when they acted; `same`: learning from that of the same
            joint step instead; `noise`: a control, with random numbers as the mean action in play and in learning.
        block_steps: joint steps whose random numbers are drawn together. 50: our choice; four such blocks make a round,
            so that Lightning's overhead is below a tenth.
        evaluation_steps: joint steps of greedy play, and of sampled play, in an evaluation. 10: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    environment: Environment
    usual_neighbourhood: ClassVar[Neighbourhood] = NAMED["previous"]
    divides_rounds = ("block_steps",)

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
        neighbourhood: Neighbourhood | None = None,
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
        if batch_size is not None:
            check_positive(batch_size=batch_size)
        if batch_size is not None and batch_size % agents_per_joint_step:
            raise ValueError(
                "batch_size must be None or a multiple of agents_per_joint_step, "
                f"got {batch_size} and {agents_per_joint_step}"
            )
        if stored_mean_action not in NAMED:
            raise ValueError(f"stored_mean_action must be previous, same or noise, got {stored_mean_action!r}")
        if neighbourhood is None:
            neighbourhood = NAMED[stored_mean_action]
        elif stored_mean_action != "previous":
            raise ValueError(f"stored_mean_action must be left out with a neighbourhood, got {stored_mean_action!r}")
        else:
            check_neighbourhood(neighbourhood, environment.agents, environment.actions)
        self._pays_each_agent = pays_each_agent(environment)
        self.batch_size = batch_size
        self.samples_per_update = samples_per_update
        self.capacity = capacity
        self.agents_per_joint_step = agents_per_joint_step
        self.neighbourhood = neighbourhood
        self.block_steps = block_steps
        self.evaluation_steps = evaluation_steps
        self.training_reward = MeanByRun(len(seeds))
        self.generators["evaluation"] = generators(seeds, "evaluation")
        self._previous = (self._uniforms("training", environment.agents) * environment.actions).long()
        self._mean: Tensor | None = None  # the mean action last seen
        self._buffer = LateBuffer(self._make_buffer)

    def rounds(self) -> list[Round]:
        """The rounds of one epoch, each of up to `BLOCKS_A_ROUND` blocks of joint steps."""
        drawn = self.environment.agents + self.environment.draws
        longest = max(1, min(self.block_steps, _UNIFORMS_A_BLOCK // drawn))
        blocks = cut(self.steps // self.evaluations, longest)
        starts = range(0, len(blocks), BLOCKS_A_ROUND)
        return [partial(self.play_blocks, blocks=blocks[first : first + BLOCKS_A_ROUND]) for first in starts]

    def play_blocks(self, policy: StatelessPolicy, blocks: Sequence[int]) -> Iterator[Batch]:
        """Play one round, in blocks of so many joint steps."""
        for steps in blocks:
            yield from self.play(policy, steps)

    def play(self, policy: StatelessPolicy, steps: int) -> Iterator[Batch]:
        """Play `steps` joint steps with `policy`, and yield a minibatch whenever a gradient step is due."""
        buffer = self._buffer.of(policy)
        agents = self.environment.agents
        self._previous = self._previous.to(policy.device)
        uniform = self._uniforms("training", steps, agents + self.environment.draws).to(policy.device)
        to_act, to_pay = (part.unbind(1) for part in torch.split(uniform, [agents, self.environment.draws], -1))
        due = [self._updates(self.steps_played + step + 1) for step in range(steps)]
        samples = self._samples(buffer, due, policy.device)
        noise = self._noise(policy, "training", steps).unbind(1)
        rewards = []
        for step in range(steps):
            seen = self._seen(self._previous, noise[step], self._mean)
            stored, mean = self._mean_action(policy, seen)
            action = policy.act(mean, to_act[step], self.steps_played)
            check_choice(policy, action, (len(self.seeds), agents), range(self.environment.actions))
            reward = self.environment.reward(action, to_pay[step])
            policy.observe(action, reward)
            if self.neighbourhood.same_step:
                stored, _ = self._mean_action(policy, self._seen(action, noise[step], mean))
            buffer.push(action=action, reward=reward, **stored)
            rewards.append(reward)
            self._previous, self._mean = action, mean
            self.steps_played += 1
            if due[step]:
                yield from self._minibatches(policy, buffer, next(samples), due[step])
        self.training_reward.update(self._finite(torch.stack(rewards, 1).cpu()))

    def _finite(self, rewards: Tensor) -> Tensor:
        """The rewards `[seeds, steps, ...]` of the steps just played.

        Raises:
            FloatingPointError: one is NaN or infinite.
        """
        if not rewards.isfinite().all():
            first = self.steps_played - rewards.shape[1] + 1
            name = type(self.environment).__name__
            raise FloatingPointError(
                f"reward of {name} is NaN or infinite in one of the joint steps {first} to {self.steps_played}"
            )
        return rewards

    def evaluate(self, policy: StatelessPolicy) -> dict[str, Tensor]:
        """Mean reward `[seeds]` of greedy play, of sampled play, and of training since the last evaluation.

        If a game pays each agent its own reward, this is the mean over agents. Greedy and sampled play both start from
        the last joint action of training, with learning switched off.
        """
        agents = self.environment.agents
        noise = self._noise(policy, "evaluation", self.evaluation_steps)
        uniform = self._uniforms("evaluation", self.evaluation_steps, agents + self.environment.draws)
        uniform = uniform.to(policy.device)
        scores = {}
        for name in ("greedy_reward", "sampled_reward"):
            previous, metric = self._previous.to(policy.device), MeanByRun(len(self.generators["training"]))
            mean = self._mean
            for step in range(self.evaluation_steps):
                _, mean = self._mean_action(policy, self._seen(previous, noise[:, step], mean))
                if name == "greedy_reward":
                    previous = policy.act_greedily(mean)
                else:
                    previous = policy.act(mean, uniform[:, step, :agents], self.steps_played)
                check_choice(policy, previous, (len(self.seeds), agents), range(self.environment.actions))
                metric.update(self.environment.reward(previous, uniform[:, step, agents:]).unsqueeze(1).cpu())
            scores[name] = metric.compute().view(-1)
        scores["training_reward"] = self.training_reward.compute().view(-1)
        self.training_reward.reset()
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on: buffer, generators, steps, last actions and mean action; and the rewards."""
        return {
            **super().state_dict(),
            "previous": self._previous,
            "mean_action": self._mean,
            "buffer": self._buffer.state_dict(),
            "training_reward": self.training_reward.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        super().load_state_dict(state_dict)
        self._previous, self._mean = state_dict["previous"], state_dict["mean_action"]
        self._buffer.load_state_dict(state_dict["buffer"])
        self.training_reward.load_state_dict(state_dict["training_reward"])

    def _make_buffer(self, policy: StatelessPolicy) -> ReplayBuffer:
        """Create an empty buffer with the columns that the policy learns from.

        For the mean action these are the agents' previous actions `before` and their `total`, from which Eq. 11 is
        computed, or the mean action itself if the neighbourhood overrides it.
        """
        agents, actions = self.environment.agents, self.environment.actions
        kind = torch.uint8 if actions <= 256 else torch.int64
        rewards: tuple[int, ...] = (agents,) if self._pays_each_agent else ()
        columns: dict[str, tuple[tuple[int, ...], torch.dtype]]
        columns = {"action": ((agents,), kind), "reward": (rewards, torch.float32)}
        if policy.uses_mean_action and self.neighbourhood.follows_from_total:
            columns |= {"before": ((agents,), kind), "total": ((actions,), torch.float32)}
        elif policy.uses_mean_action:
            columns["mean_action"] = ((agents, actions), torch.float32)
        stored = max(self.capacity // self.environment.agents, 1)
        capacity = 1 if self.batch_size is None else min(stored, self.steps)
        return ReplayBuffer(capacity, len(self.generators["training"]), columns, policy.device)

    @property
    def gradient_steps(self) -> int:
        """Total number of minibatches that all steps yield."""
        if self.batch_size is None:
            return self.steps
        return self.steps * self.environment.agents // self.samples_per_update

    def _updates(self, step: int) -> int:
        """Gradient steps due after joint step number `step` (from 1)."""
        if self.batch_size is None:
            return 1
        agents = self.environment.agents
        return step * agents // self.samples_per_update - (step - 1) * agents // self.samples_per_update

    def _samples(self, buffer: ReplayBuffer, due: Sequence[int], device: torch.device) -> Iterator[Samples]:
        """Sample the minibatches that will be due after each of the next joint steps, together to save time."""
        agents, size = self.environment.agents, self.batch_size or 0
        groups = size // self.agents_per_joint_step
        # Draw first the joint steps, among those that will be stored by then, and then the agents.
        uniform = self._uniforms("training", sum(due), groups + size)
        stored = [buffer.length_after(step) for step, updates in enumerate(due, start=1) for _ in range(updates)]
        uniform[..., :groups] *= torch.tensor(stored).unsqueeze(-1)
        uniform[..., groups:] *= agents
        group, agent = (part.flatten(1) for part in torch.split(uniform.to(device).long(), [groups, size], -1))
        if self.batch_size is None:  # all agents in the last joint step
            groups, size = 1, agents
            agent = torch.arange(agents, device=device).repeat(len(self.seeds), len(due))
            group = agent.new_zeros(len(self.seeds), len(due))
        steps = rows = buffer.rows(group)
        if groups < size:
            rows = steps.repeat_interleave(size // groups, 1)
        whole = Samples(agent, steps, rows, torch.add(agent, rows, alpha=agents))
        updates = [each for each in due if each]
        widths = [[each * (groups if part is steps else size) for each in updates] for part in whole]
        split = [torch.split(part, own, 1) for part, own in zip(whole, widths, strict=True)]
        return (Samples(*parts) for parts in zip(*split, strict=True))

    def _minibatches(
        self, policy: StatelessPolicy, buffer: ReplayBuffer, samples: Samples, updates: int
    ) -> Iterator[Batch]:
        """Yield `updates` minibatches, looked up together to save time."""
        agent, steps, rows, places = samples
        mean = None
        if policy.uses_mean_action and self.neighbourhood.follows_from_total:
            own = buffer.elements("before", places).long()
            mean = mean_action(own, buffer.steps("total", rows), self.environment.agents)
        elif policy.uses_mean_action:
            mean = buffer.elements("mean_action", places)
        whole = Batch(
            agent=agent,
            action=buffer.elements("action", places).long(),
            reward=buffer.elements("reward", places) if self._pays_each_agent else buffer.steps("reward", rows),
            mean_action=mean,
            joint_action=buffer.steps("action", steps).long() if policy.uses_joint_action else None,
        )
        if updates == 1:
            yield whole
            return
        parts = [[None] * updates if field is None else field.chunk(updates, 1) for field in whole]
        for fields in zip(*parts, strict=True):
            yield Batch(*fields)

    def _seen(self, actions: Tensor, uniform: Tensor, before: Tensor | None) -> JointStep:
        """The input of the neighbourhood."""
        before = None if before is None else before.to(actions.device)
        return JointStep(actions, self.environment.actions, uniform, before)

    def _mean_action(self, policy: StatelessPolicy, seen: JointStep) -> tuple[dict[str, Tensor], Tensor | None]:
        """The buffer's entries for a mean action, and the mean action `[seeds, agents, D]`, or None if unused."""
        if not policy.uses_mean_action:
            return {}, None
        if self.neighbourhood.follows_from_total:
            total = self.neighbourhood.total(seen)
            mean = mean_action(seen.actions, total.unsqueeze(1), self.environment.agents)
            return {"before": seen.actions, "total": total}, mean
        mean = self.neighbourhood.mean_action(seen).expand(*seen.actions.shape, -1)
        return {"mean_action": mean}, mean

    def _noise(self, policy: StatelessPolicy, stream: str, steps: int) -> Tensor:
        """The neighbourhood's uniform draws, `[seeds, steps, draws]`."""
        draws = self.neighbourhood.draws(self.environment.agents, self.environment.actions)
        return self._uniforms(stream, steps, draws * policy.uses_mean_action).to(policy.device)

    def _uniforms(self, stream: str, *shape: int) -> Tensor:
        """Uniform draws in [0, 1), `[seeds, *shape]`, each seed's from its own generator."""
        return torch.stack([torch.rand(*shape, generator=generator) for generator in self.generators[stream]])

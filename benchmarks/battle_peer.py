"""A peer for Battle's speed: what a plain PyTorch program of the authors' design takes for a round.

A round is of MF-Q, 64 against 64, in float32. The program has MAgent2's own GridWorld, the network of this package,
torch's own Adam, whole observations in NumPy arrays, and the settings of the released code: 800 gradient steps of 64
for 400 steps of play, double Q-learning, a soft target update after each. `benchmarks/battle.py` measures it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from magent2.environments.battle_v4 import parallel_env
from torch import Tensor, nn

from mfmarl.environments.battle.game import ACTIONS, FEATURES, VIEW
from mfmarl.networks.battle import BattleNetwork

SIDE = 40  # of the map, where battle_v4 sets up 64 against 64
STEPS = 400
BATCH, CAPACITY, SAMPLES_PER_UPDATE = 64, 80_000, 32
LEARNING_RATE, DISCOUNT, TARGET_RATE = 1e-4, 0.95, 0.005
REPEATS = 3
PARTS = ("engine", "acting", "storing", "minibatches", "learning")

Times = dict[str, float]


class Replay:
    """Transitions of single agents, whole: what is seen after one is stored again with it."""

    def __init__(self) -> None:
        shapes = {"view": VIEW, "feature": (FEATURES,), "mean": (ACTIONS,)}
        self.columns = {
            f"{when}{name}": np.zeros((CAPACITY, *shape), np.float32)
            for when in ("", "next_")
            for name, shape in shapes.items()
        }
        self.columns |= {name: np.zeros(CAPACITY, np.float32) for name in ("reward", "goes_on")}
        self.columns["action"] = np.zeros(CAPACITY, np.int64)
        self.added = 0

    def push(self, entries: Mapping[str, np.ndarray]) -> None:
        """Store entries `[n, ...]` of each column, in place of the oldest."""
        count = len(entries["action"])
        where = np.arange(self.added, self.added + count) % CAPACITY
        for name, values in entries.items():
            self.columns[name][where] = values
        self.added += count

    def sample(self, generator: np.random.Generator) -> dict[str, Tensor]:
        """A minibatch."""
        chosen = generator.integers(min(self.added, CAPACITY), size=BATCH)
        return {name: torch.from_numpy(values[chosen]) for name, values in self.columns.items()}


class Peer:
    """Self-play of MF-Q: army 0 learns, army 1 is played by a copy of it."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.network: nn.Module = BattleNetwork(uses_mean_action=True, generator=generator)
        self.target = deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE)
        self.battle = parallel_env(SIDE, STEPS, minimap_mode=True, extra_features=True).unwrapped
        self.grid, self.armies = self.battle.env, self.battle.handles
        self.replay, self.generator = Replay(), np.random.default_rng(0)
        self.times: Times = {}

    def round(self) -> Times:
        """Play and learn: seconds by part, and how many steps and transitions there were."""
        self.times = defaultdict(float)
        steps, transitions = self.play()
        for _ in range(transitions // SAMPLES_PER_UPDATE):
            with self.timed("minibatches"):
                batch = self.replay.sample(self.generator)
            with self.timed("learning"):
                self.learn(batch)
        return {**self.times, "all": sum(self.times.values()), "steps": steps, "transitions": transitions}

    def play(self) -> tuple[int, int]:
        """One round, to its end: steps, and transitions of army 0 that were stored."""
        self.grid.reset()
        self.battle.generate_map()
        means = [np.zeros(ACTIONS, np.float32)] * 2
        before: dict[str, np.ndarray] = {}
        added, steps, over = self.replay.added, 0, False
        while steps < STEPS and not over:
            steps += 1
            actions = []
            for army, handle in enumerate(self.armies):
                with self.timed("engine"):
                    view, feature = self.grid.get_observation(handle)
                    ids = self.grid.get_agent_id(handle)
                mean = np.tile(means[army], (len(ids), 1))
                with self.timed("acting"), torch.no_grad():
                    values = self.network(*(torch.from_numpy(each) for each in (view, feature, mean)))
                    actions.append(values.argmax(-1).numpy())
                if army == 0:
                    with self.timed("storing"):
                        seen = {"view": view.copy(), "feature": feature.copy(), "mean": mean}
                        if before:
                            self.store(before, ids, seen)
                        before = {**seen, "action": actions[0], "ids": ids.copy()}
            with self.timed("engine"):
                for handle, chosen in zip(self.armies, actions, strict=True):
                    self.grid.set_action(handle, chosen.astype(np.int32))
                over = self.grid.step()
                before["reward"] = self.grid.get_reward(self.armies[0]).copy()
                alive = [self.grid.get_alive(handle) for handle in self.armies]
                self.grid.clear_dead()
            means = [
                np.bincount(chosen[living], minlength=ACTIONS).astype(np.float32) / np.float32(max(living.sum(), 1))
                for chosen, living in zip(actions, alive, strict=True)
            ]
        with self.timed("storing"):
            self.store(before, before["ids"][:0], {name: before[name][:0] for name in ("view", "feature", "mean")})
        return steps, self.replay.added - added

    def store(self, before: Mapping[str, np.ndarray], ids: np.ndarray, after: Mapping[str, np.ndarray]) -> None:
        """Push the transitions of all who acted, to what those of `ids` see now; the others have died."""
        place = {number: index for index, number in enumerate(ids)}
        found = np.array([place.get(number, -1) for number in before["ids"]])
        entries = {name: before[name] for name in ("view", "feature", "mean", "action", "reward")}
        for name, values in after.items():
            entries[f"next_{name}"] = np.zeros_like(before[name])
            entries[f"next_{name}"][found >= 0] = values[found[found >= 0]]
        self.replay.push({**entries, "goes_on": (found >= 0).astype(np.float32)})

    def learn(self, batch: Mapping[str, Tensor]) -> None:
        """A gradient step of double Q-learning, and the target network follows."""
        after = batch["next_view"], batch["next_feature"], batch["next_mean"]
        with torch.no_grad():
            best = self.network(*after).argmax(-1, keepdim=True)
            value = self.target(*after).gather(-1, best).squeeze(-1)
            wanted = batch["reward"] + DISCOUNT * batch["goes_on"] * value
        values = self.network(batch["view"], batch["feature"], batch["mean"])
        error = wanted - values.gather(-1, batch["action"].unsqueeze(-1)).squeeze(-1)
        loss = (error.square() * batch["goes_on"]).sum() / batch["goes_on"].sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for target, source in zip(self.target.parameters(), self.network.parameters(), strict=True):
                target.lerp_(source, TARGET_RATE)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the CPU time to that of the part."""
        started = time.process_time()
        yield
        self.times[part] += time.process_time() - started


def peer_times() -> dict[str, object]:
    """Seconds of a round in all and by what they are spent on, in the best of several."""
    peer = Peer()
    rounds = [peer.round() for _ in range(REPEATS)]
    best = min(rounds, key=lambda times: times["all"])
    return {**best}

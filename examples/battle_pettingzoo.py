"""Let a trained army play red in PettingZoo, against random agents and against a script.

The army's file, by default a committed one, may be followed by the custom classes that it needs:

    python examples/battle_pettingzoo.py ARMY.safetensors examples/my_battle_method.py:HystereticBattleMFQ
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mfmarl import Policy
from mfmarl.custom import class_in_file
from mfmarl.data.battle_round import next_mean_action
from mfmarl.environments.battle.game import ACTIONS
from mfmarl.environments.battle.parallel_env import AgentObservation, BattleParallelEnv, parallel_env
from mfmarl.policies import Scripted

ARMY = Path(__file__).parents[1] / "results/battle/policies/mf-q-8-seed-0.safetensors"


class Commander:
    """Chooses actions for a trained or scripted army of one colour, and keeps the mean action that its policy needs."""

    def __init__(self, army: Policy | Scripted, colour: str, env: BattleParallelEnv, seed: int) -> None:
        self.army = army
        self.agents = [agent for agent in env.possible_agents if agent.startswith(colour)]
        self.spaces = env.observation_space(self.agents[0])
        self.before: Tensor | None = None
        self.generator = torch.Generator().manual_seed(seed)

    def act(self, observations: dict[str, AgentObservation]) -> dict[str, int]:
        """Actions of the living agents."""
        alive = torch.tensor([[agent in observations for agent in self.agents]])
        views, features = (self.stacked(observations, key) for key in ("view", "features"))
        chance, hood = [self.generator], self.army.neighbourhood
        mean_action = torch.zeros(*alive.shape, ACTIONS) if self.before is None else self.before
        actions = self.army.act(views, features, alive, mean_action, chance, "greedy")
        self.before = next_mean_action(hood, actions, alive, self.before, chance)
        everyone = dict(zip(self.agents, actions[0].tolist(), strict=True))
        return {agent: action for agent, action in everyone.items() if agent in observations}

    def stacked(self, observations: dict[str, AgentObservation], key: str) -> Tensor:
        """Observations of all agents, zero for the dead, `[1, agents, ...]`."""
        shape = self.spaces[key].shape or ()
        nothing = np.zeros(shape, np.float32)
        return torch.from_numpy(np.stack([observations.get(each, {key: nothing})[key] for each in self.agents]))[None]


def play(army: Policy, opponent: Scripted, seed: int) -> tuple[float, float]:
    """Play a round and return the total rewards of both armies."""
    env = parallel_env(agents=int(str(army.about["agents"])))
    observations, _ = env.reset(seed=seed)
    red, blue = Commander(army, "red", env, seed), Commander(opponent, "blue", env, seed + 1)
    totals = {"red": 0.0, "blue": 0.0}
    while env.agents:
        observations, rewards, _, _, _ = env.step(red.act(observations) | blue.act(observations))
        for agent, reward in rewards.items():
            totals[agent.split("_")[0]] += reward
    return totals["red"], totals["blue"]


if __name__ == "__main__":
    path, *names = sys.argv[1:] or [str(ARMY)]
    trained = Policy.load(path, classes=[class_in_file("class", name, object) for name in names])
    for name in ("random", "rush"):
        for number in range(2):
            own, other = play(trained, Scripted(name), number)
            print(f"{trained.about['algorithm']} earns {own:.1f}, {name} {other:.1f}")

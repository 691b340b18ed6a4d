"""The PettingZoo face of Battle under PettingZoo's own tests, and against the battles behind it."""

import copy
import pickle
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.utils.env_checker import data_equivalence
from pettingzoo.utils import wrappers
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.wrappers import BaseParallelWrapper

from mfmarl.environments.battle import parallel_env as battle_pettingzoo
from mfmarl.environments.battle.battles import Battles
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.observation import Units
from mfmarl.environments.battle.parallel_env import BattleParallelEnv, picture
from mfmarl.environments.battle.scripts import rush

with warnings.catch_warnings():
    # Its package of tests imports games of its own, which tell of a new way to make them.
    warnings.filterwarnings("ignore", "The old environment creation API", DeprecationWarning)
    from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test

SEEDS = range(5)


class Seeded(BattleParallelEnv):
    """The environment with another seed than PettingZoo's tests ask for."""

    def __init__(self, seed: int, agents: int = 8, max_cycles: int = 400) -> None:
        super().__init__(agents, max_cycles)
        self.seed = seed

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        for index, agent in enumerate(self.possible_agents):
            self.action_space(agent).seed(self.seed + index)
        return super().reset(self.seed, options)


@pytest.mark.parametrize("seed", SEEDS)
def test_pettingzoos_tests_pass(seed: int) -> None:
    parallel_api_test(Seeded(seed), num_cycles=200)
    parallel_seed_test(lambda: Seeded(seed), num_cycles=50)


@pytest.mark.parametrize("seed", SEEDS)
def test_pettingzoos_test_of_the_rounds_length_passes(seed: int) -> None:
    def parallel_env(max_cycles: int) -> Seeded:
        return Seeded(seed, 64, max_cycles)

    max_cycles_test(
        SimpleNamespace(parallel_env=parallel_env, env=lambda max_cycles: parallel_to_aec(parallel_env(max_cycles)))
    )


def test_the_module_is_what_pettingzoo_expects_of_one() -> None:
    max_cycles_test(battle_pettingzoo)


def rushing(env: BattleParallelEnv, observations: dict[str, Any]) -> dict[str, int]:
    views = torch.from_numpy(np.stack([observations[agent]["view"] for agent in env.agents]))
    features = torch.from_numpy(np.stack([observations[agent]["features"] for agent in env.agents]))
    return dict(zip(env.agents, rush(views[None], features[None])[0].tolist(), strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_round_is_that_of_the_battles(seed: int) -> None:
    env, battles = BattleParallelEnv(agents=8), Battles(Battle(8))
    observations, _ = env.reset(seed=seed)
    battles.reset([torch.Generator().manual_seed(seed)])
    names = np.array(env.possible_agents).reshape(2, 8)
    while env.agents:
        observed = battles.observe()
        actions = rushing(env, observations)
        joint = torch.tensor([[[actions.get(name, 0) for name in army] for army in names]])
        for name in env.agents:
            army, slot = (int(entry[0]) for entry in np.nonzero(names == name))
            assert observations[name]["view"].tobytes() == observed.views[0, army, slot].numpy().tobytes()
            assert observations[name]["features"].tobytes() == observed.features[0, army, slot].numpy().tobytes()
            assert env.observation_space(name).contains(observations[name])
        acted = env.agents
        observations, rewards, terminations, truncations, infos = env.step(actions)
        outcome = battles.step(joint)
        for name in acted:
            army, slot = (int(entry[0]) for entry in np.nonzero(names == name))
            assert rewards[name] == outcome.rewards[0, army, slot].item()
            assert terminations[name] == (outcome.died[0, army, slot] or outcome.done[0])
        assert list(observations) == list(rewards) == list(truncations) == list(infos) == acted
        assert not any(truncations.values())
    assert battles.done.all()


def test_a_seed_decides_the_rounds_that_follow() -> None:
    first, second = BattleParallelEnv(agents=8), BattleParallelEnv(agents=8)
    rounds = []
    for env in (first, second):
        starts = [env.reset(seed=3)[0], env.reset()[0], env.reset()[0], env.reset(seed=3)[0]]
        rounds.append((starts, [start.seed for start in env._battles.starts]))
    assert data_equivalence(rounds[0], rounds[1])
    seeds = set()
    for seed in SEEDS:
        first.reset(seed=seed)
        seeds.add(first._battles.starts[0].seed)
    first.reset()
    seeds.add(first._battles.starts[0].seed)
    assert len(seeds) == len(SEEDS) + 1


def test_without_a_seed_no_two_environments_play_alike() -> None:
    starts = set()
    for _ in range(3):
        env = BattleParallelEnv(agents=2)
        env.reset()
        starts.add(env._battles.starts[0].seed)
    assert len(starts) > 1


def test_spaces_and_metadata_are_what_the_engine_can_write_and_pettingzoo_asks() -> None:
    env = BattleParallelEnv(agents=2)
    view, features = (env.observation_space("red_0")[name] for name in ("view", "features"))
    assert isinstance(view, Box)
    assert isinstance(features, Box)
    assert (view.low.min(), view.high.max()) == (0, 2)
    assert (features.low[-3], features.high[-3]) == (-1, 5), "the last reward"
    assert np.delete(features.low, -3).tolist() == [0] * 33
    assert np.delete(features.high, -3).tolist() == [1] * 33
    assert env.metadata["is_parallelizable"] is True


def test_the_living_are_truncated_when_time_is_up_and_observations_are_copies() -> None:
    env = BattleParallelEnv(agents=2, max_cycles=7)
    env.max_cycles = 2
    first, _ = env.reset(seed=0)
    kept = {agent: {name: array.copy() for name, array in entry.items()} for agent, entry in first.items()}
    for step in (1, 2):
        last, _, terminations, truncations, _ = env.step(dict.fromkeys(env.agents, 2))
        assert not any(terminations.values())
        assert set(truncations.values()) == {step == 2}
    assert env.agents == []
    for agent, entry in kept.items():
        for name, array in entry.items():
            assert first[agent][name].tobytes() == array.tobytes() != last[agent][name].tobytes()
            first[agent][name] += 1  # writable, and nobody else's


def test_the_picture_shows_walls_and_both_armies() -> None:
    env = BattleParallelEnv(agents=8, render_mode="rgb_array")
    env.reset(seed=1)
    shown = env.render()
    assert shown is not None
    assert shown.shape == (128, 128, 3)
    assert shown.dtype == np.uint8
    cells = shown[::8, ::8]
    assert (shown.reshape(16, 8, 16, 8, 3) == cells[:, None, :, None]).all()
    assert (cells[[0, -1]] == 128).all()
    assert (cells[:, [0, -1]] == 128).all()
    units = env._battles.units()
    for army, colour in enumerate([(200, 30, 30), (30, 60, 200)]):
        assert sorted(map(tuple, np.argwhere((cells == colour).all(-1)).tolist())) == sorted(
            (y, x) for x, y in units.positions[0, army].tolist()
        )
    assert (cells == 255).all(-1).sum() == 14 * 14 - 16
    assert BattleParallelEnv(agents=2).render() is None


def test_an_agent_is_as_pale_as_it_is_hurt() -> None:
    places = torch.tensor([[[[1, 1], [2, 1], [3, 1]], [[1, 2], [2, 2], [-1, -1]]]], dtype=torch.int32)
    hp = torch.tensor([[[10.0, 5.0, 0.5], [0.5, 10.0, 0.0]]])
    cells = picture(Units(places, hp, hp > 0), 5, cell=1)
    shares = [1, 0.65, 0.335]  # three tenths and, of the rest, as much as is left of 10
    assert cells[1, 1:4, 0].tolist() == [int(255 - share * (255 - 200)) for share in shares]
    assert cells[2, 1:4, 2].tolist() == [int(255 - 0.335 * (255 - 200)), 200, 255]


def test_hurt_agents_are_paler_and_the_dead_are_gone() -> None:
    env = BattleParallelEnv(agents=8, render_mode="rgb_array")
    observations, _ = env.reset(seed=1)
    colours = []
    while env.agents:
        observations, *_ = env.step(rushing(env, observations))
        shown = env.render()
        assert shown is not None
        cells = shown[::8, ::8][1:-1, 1:-1].reshape(-1, 3)
        colours += [tuple(cell) for cell in cells.tolist()]
        units = int(env._battles.survivors.sum())
        assert (cells != 255).any(-1).sum() == units
    assert len(set(colours)) > 10
    assert min(colour[0] for colour in colours) == 30


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^render_mode must be None or "rgb_array", got \'human\'$'):
        BattleParallelEnv(render_mode="human")
    with pytest.raises(ValueError, match=r"^agents must be in 1 \.\. 384 a side, got 0$"):
        BattleParallelEnv(agents=0)
    env = BattleParallelEnv(agents=2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"^actions must have one for every living agent, got none for blue_1$"):
        env.step(dict.fromkeys(env.agents[:-1], 6))
    with pytest.raises(ValueError, match=r"^action of red_0 must be a whole number from 0 to 20, got 21$"):
        env.step(dict.fromkeys(env.agents, 21))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
def test_a_copy_plays_the_same_rounds(copied: Callable[[Any], Any]) -> None:
    env = BattleParallelEnv(agents=8, max_cycles=5, render_mode="rgb_array")
    env.reset(seed=9)
    other = copied(env)
    assert (other.possible_agents, other.max_cycles, other.render_mode) == (env.possible_agents, 5, "rgb_array")
    assert data_equivalence(env.reset(seed=3), other.reset(seed=3))
    actions = dict.fromkeys(env.agents, 4)
    assert data_equivalence(env.step(actions), other.step(actions))


def test_numbers_of_numpy_are_numbers() -> None:
    one, other = BattleParallelEnv(agents=2), BattleParallelEnv(agents=2)
    assert data_equivalence(one.reset(seed=3), other.reset(seed=np.uint8(3)))  # type: ignore[arg-type]
    assert data_equivalence(
        one.step(dict.fromkeys(one.agents, 20)),
        other.step(dict.fromkeys(other.agents, np.int64(20))),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("wrong", [1.5, 2.0, "3", -1, None, 10**30])
def test_what_is_no_number_is_refused_in_both_styles(wrong: Any) -> None:
    parallel, aec = BattleParallelEnv(agents=2), battle_pettingzoo.env(agents=2)
    for env in (parallel, aec):
        if wrong is not None:
            with pytest.raises(ValueError, match=r"^seed must be a whole number from 0 to 9223372036854775807, got"):
                env.reset(seed=wrong)
        env.reset(seed=0)
    with pytest.raises(ValueError, match=r"^action of red_0 must be a whole number from 0 to 20, got"):
        parallel.step(dict.fromkeys(parallel.agents, wrong))
    with pytest.raises(ValueError, match=r"^action of red_0 must be a whole number from 0 to 20, got"):
        aec.step(wrong)  # at once, not when all have acted
    for agent in aec.possible_agents:
        assert aec.agent_selection == agent
        aec.step(0)
    with pytest.raises(ValueError, match=r"^actions must be of red_0, blue_0 and so on, got one for green_0"):
        parallel.step({**dict.fromkeys(parallel.agents, 0), "green_0": 0})


def test_pettingzoos_wrappers_wrap_it() -> None:
    wrapped = BaseParallelWrapper(BattleParallelEnv(agents=4, max_cycles=3, render_mode="rgb_array"))
    parallel_api_test(wrapped, num_cycles=20)
    aec = wrappers.OrderEnforcingWrapper(wrappers.AssertOutOfBoundsWrapper(battle_pettingzoo.env(agents=4)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Observation", UserWarning)  # it is a dictionary, which is unusual
        api_test(aec, num_cycles=30)

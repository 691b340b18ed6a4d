"""Policies as files: what they keep, what they refuse, and how they act."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from mfmarl.algorithms.battle import BattleMFQ
from mfmarl.custom import class_in_file
from mfmarl.environments.battle.game import Battle
from mfmarl.environments.battle.scripts import random, rush
from mfmarl.networks.battle import BattleNetwork
from mfmarl.networks.battle_released import ActorCriticPerceptron
from mfmarl.policies import Acting, Policy, Scripted, load_army

ABOUT = {"algorithm": "BattleMFQ", "agents": 3, "seed": 7}


def make(uses_mean_action: bool = True, seed: int = 0, acting: Acting = Acting("epsilon", 0.05)) -> Policy:  # noqa: B008
    return Policy(
        BattleNetwork(uses_mean_action, Generator().manual_seed(seed)), acting, ABOUT, uses_mean_action=uses_mean_action
    )


def observed(battles: int = 2, agents: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views, features, who lives and mean actions."""
    chance = Generator().manual_seed(4)
    views = torch.rand(battles, agents, 13, 13, 7, generator=chance)
    features, means = (torch.rand(battles, *shape, generator=chance) for shape in ((agents, 34), (agents, 21)))
    alive = torch.ones(battles, agents, dtype=torch.bool)
    alive[0, 1] = False
    return views, features, alive, means


def chance(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


def outputs(policy: Policy) -> Tensor:
    """What the network says of every agent, one at a time: `[battles, agents, 21]`."""
    views, features, alive, means = observed()
    rows = [
        policy.network(views[battle, agent, None], features[battle, agent, None], means[battle, agent, None])
        for battle in range(2)
        for agent in range(3)
    ]
    return torch.cat(rows).view(*alive.shape, 21)


@pytest.mark.parametrize("uses_mean_action", [False, True])
@pytest.mark.parametrize("acting", [Acting("epsilon", 0.05), Acting("temperature", 0.1)])
def test_a_file_keeps_all_but_digits(uses_mean_action: bool, acting: Acting, tmp_path: Path) -> None:
    policy = make(uses_mean_action, acting=acting)
    policy.save(tmp_path / "policy.safetensors")
    loaded = Policy.load(tmp_path / "policy.safetensors")
    assert loaded.acting == acting
    assert loaded.about == ABOUT
    before, after = policy.network.state_dict(), loaded.network.state_dict()
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert after[name].dtype == torch.float32
        assert after[name].equal(values.bfloat16().float()), "rounded to bfloat16"
        assert not after[name].equal(values)
    torch.testing.assert_close(outputs(loaded), outputs(policy), rtol=0, atol=0.01)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "policy.safetensors").read_bytes()


def test_a_compiled_network_is_saved_as_it_is_without_the_compiler(tmp_path: Path) -> None:
    plain, compiled = (BattleMFQ(Battle(4), [7]) for _ in range(2))
    compiled.network = cast(nn.Module, torch.compile(compiled.network, backend="eager"))
    for agent, folder in ((plain, "plain"), (compiled, "compiled")):
        agent.save(tmp_path / folder)
    assert (tmp_path / "plain" / plain.file).read_bytes() == (tmp_path / "compiled" / compiled.file).read_bytes()


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_the_form_of_the_network_is_kept(uses_mean_action: bool, tmp_path: Path) -> None:
    network = ActorCriticPerceptron(uses_mean_action, Generator().manual_seed(0))
    Policy(network, Acting("temperature", 1.0), ABOUT, uses_mean_action=uses_mean_action).save(
        tmp_path / "p.safetensors"
    )
    loaded = Policy.load(tmp_path / "p.safetensors")
    assert isinstance(loaded.network, ActorCriticPerceptron)
    assert loaded.about == ABOUT
    for name, values in network.state_dict().items():
        assert loaded.network.state_dict()[name].equal(values.bfloat16().float())


def test_equal_policies_are_equal_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make(seed=seed).save(tmp_path / name)
    first, second, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second
    assert first != other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_file_is_plain_safetensors_of_two_bytes_a_weight(tmp_path: Path) -> None:
    make().save(tmp_path / "policy")
    weights = load_file(tmp_path / "policy")
    assert {values.dtype for values in weights.values()} == {torch.bfloat16}
    with safe_open(tmp_path / "policy", "pt") as file:
        header = file.metadata()
    assert json.loads(header["policy"]) == {
        "network": "BattleNetwork",
        "uses_mean_action": True,
        "acting": {"kind": "epsilon", "value": 0.05},
        **ABOUT,
    }
    count = sum(values.numel() for values in weights.values())
    assert 2 * count < (tmp_path / "policy").stat().st_size < 2 * count + 5000


def test_loading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    make().save(tmp_path / "policy")
    before = torch.get_rng_state().tolist()
    Policy.load(tmp_path / "policy")
    assert torch.get_rng_state().tolist() == before


def test_a_policy_does_not_learn(tmp_path: Path) -> None:
    make().save(tmp_path / "policy")
    for policy in (make(), Policy.load(tmp_path / "policy")):
        assert not any(parameter.requires_grad for parameter in policy.network.parameters())
        assert not policy.network.training


def test_a_policy_is_shown_as_whose_it_is() -> None:
    assert repr(make()) == "Policy(algorithm='BattleMFQ', agents=3, seed=7)"


def test_a_policy_of_a_network_in_training_leaves_it_in_training() -> None:
    network = BattleNetwork(True, Generator().manual_seed(0))
    policy = Policy(network, Acting("epsilon", 0.1), ABOUT, uses_mean_action=True)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    before = outputs(policy)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert outputs(policy).equal(before)


@pytest.mark.parametrize("uses_mean_action", [False, True])
def test_greedy_play_takes_the_best_action_of_each_living_agent(uses_mean_action: bool) -> None:
    policy = make(uses_mean_action)
    views, features, alive, means = observed()
    actions = policy.act(views, features, alive, means, chance(0, 1), "greedy")
    expected = outputs(policy).argmax(-1)
    assert expected[0, 1] != 0
    expected[0, 1] = 0  # the dead
    assert actions.dtype == torch.int64
    assert actions.tolist() == expected.tolist()
    alive[:] = False
    assert policy.act(views, features, alive, means, chance(0, 1), "greedy").tolist() == [[0] * 3] * 2


@pytest.mark.parametrize(("kind", "value"), [("epsilon", 0.6), ("temperature", 0.02)])
def test_sampled_play_uses_one_draw_of_the_battles_generator_for_every_agent(kind: str, value: float) -> None:
    policy = make(acting=Acting(kind, value))  # type: ignore[arg-type]
    views, features, alive, means = observed()
    found = policy.act(views, features, alive, means, own := chance(5, 6), "sampled")
    values = outputs(policy)
    expected = torch.zeros(2, 3, dtype=torch.int64)
    for battle, generator in enumerate(chance(5, 6)):
        for agent, uniform in enumerate(torch.rand(3, generator=generator).tolist()):
            row = values[battle, agent]
            if kind == "epsilon":
                action = int(uniform / value * 21) if uniform < value else int(row.argmax())
            else:
                action = int(((row / value).softmax(0).cumsum(0) <= uniform).sum())
            expected[battle, agent] = action
        assert own[battle].get_state().equal(generator.get_state()), "the dead draw too"
    expected[0, 1] = 0
    assert found.tolist() == expected.tolist()
    greedy = policy.act(views, features, alive, means, own := chance(5, 6), "greedy")
    assert not greedy.equal(found)
    drawn = chance(5)
    torch.rand(3, generator=drawn[0])
    assert own[0].get_state().equal(drawn[0].get_state()), "greedy play draws as many"


def test_how_often_sampled_play_takes_what() -> None:
    uniform = (torch.arange(21000) + 0.5) / 21000
    row = torch.zeros(21)
    row[4] = 0.3
    share = Acting("epsilon", 0.42).choose(row.expand(21000, 21), uniform).bincount(minlength=21) / 21000
    expected = torch.full((21,), 0.02)
    expected[4] += 0.58
    torch.testing.assert_close(share, expected, rtol=0, atol=2e-4)
    share = Acting("temperature", 0.1).choose(row.expand(21000, 21), uniform).bincount(minlength=21) / 21000
    torch.testing.assert_close(share, (row / 0.1).softmax(0), rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", ["rush", "random"])
def test_scripts_act_as_they_do(name: str) -> None:
    views, features, alive, means = observed()
    found = Scripted(name).act(views, features, alive, means, chance(1, 2), "greedy")
    expected = rush(views, features) if name == "rush" else random(views, features, chance(1, 2))
    assert found.equal(expected)


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^name must be one of random, rush, got 'mf-q'$"):
        Scripted("mf-q")


class Evil:
    """Leaves a trace if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def weights(*, without: Sequence[str] = (), **more: Tensor) -> dict[str, Tensor]:
    state = make().network.state_dict()
    return {**{name: values for name, values in state.items() if name not in without}, **more}


GOOD = json.dumps({"acting": {"kind": "epsilon", "value": 0.05}, **ABOUT})
WRONG: dict[str, tuple[dict[str, Tensor] | None, dict[str, str] | None]] = {
    "no header": (None, None),
    "another header": (None, {"format": "pt"}),
    "no JSON": (None, {"policy": "{"}),
    "a list": (None, {"policy": "[]"}),
    "no acting": (None, {"policy": json.dumps(ABOUT)}),
    "acting of another kind": (None, {"policy": json.dumps({"acting": {"kind": "boldly", "value": 1}})}),
    "acting of more words": (None, {"policy": json.dumps({"acting": {"kind": "epsilon", "value": 1, "x": 2}})}),
    "a weight missing": ({"without": ["feature.bias"]}, {"policy": GOOD}),  # type: ignore[dict-item]
    "a weight of another shape": ({"feature.bias": torch.zeros(3)}, {"policy": GOOD}),
    "a weight too many": ({"tail.bias": torch.zeros(3)}, {"policy": GOOD}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_safetensors_of_something_else_are_refused_in_one_line(wrong: str, tmp_path: Path) -> None:
    changes, header = WRONG[wrong]
    save_file(weights(**(changes or {})), tmp_path / "file", metadata=header)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^policy: .*file is no policy: ") as refused:
        Policy.load(tmp_path / "file")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("wrong", ["missing", "folder", "empty", "text", "cut", "pickle"])
def test_files_that_are_no_policy_are_refused_in_one_line(wrong: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "file", tmp_path / "trace"
    if wrong == "folder":
        path.mkdir()
    elif wrong == "pickle":
        torch.save(Evil(trace), path)
    elif wrong == "cut":
        make().save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif wrong != "missing":
        path.write_text("no policy" if wrong == "text" else "")
    message = "there is no file .*file" if wrong in ("missing", "folder") else ".*file is no policy: "
    with pytest.raises(ValueError, match=f"^policy: {message}") as refused:
        Policy.load(path)
    assert "\n" not in str(refused.value)
    assert not trace.exists()


@pytest.mark.parametrize(("kind", "value"), [("epsilon", -0.1), ("epsilon", 1.1), ("temperature", 0.0)])
def test_chances_and_temperatures_are_in_their_ranges(kind: str, value: float) -> None:
    allowed = {"epsilon": r"in \[0, 1\]", "temperature": "positive and finite"}[kind]
    with pytest.raises(ValueError, match=rf"^value: {kind} must be {allowed}, got {value}"):
        Acting(kind, value)  # type: ignore[arg-type] # str, not Literal


OWN = """
from pathlib import Path

from mfmarl.networks.battle import BattleNetwork
from torch import nn

Path(__file__).with_name("trace").touch()

class Mine(BattleNetwork):
    def __init__(self, uses_mean_action, generator):
        super().__init__(uses_mean_action, generator)
        self.bias = nn.Parameter(self.head[-1].bias.detach() + 2)
"""


def test_a_network_that_a_file_names_is_not_run_but_must_be_given(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    cls = class_in_file("network", f"{tmp_path / 'own.py'}:Mine", nn.Module)
    network: Any = cast(Any, cls)(False, Generator().manual_seed(0))
    Policy(network, Acting("epsilon", 0.1), ABOUT, uses_mean_action=False).save(tmp_path / "policy")
    (tmp_path / "trace").unlink()
    with pytest.raises(ValueError, match=r"^policy: .*policy needs the class .*own.py:Mine, which") as bad:
        Policy.load(tmp_path / "policy")
    assert "classes=[Mine], on the command line by --algorithms path/to/file.py:Class" in str(bad.value)
    assert not (tmp_path / "trace").exists()
    loaded: Any = Policy.load(tmp_path / "policy", classes=[cls]).network
    assert type(loaded) is cls
    torch.testing.assert_close(loaded.bias, network.bias.detach(), rtol=1e-2, atol=0)


def test_classes_are_a_list_of_classes(tmp_path: Path) -> None:
    make().save(tmp_path / "policy")
    one: Any = nn.Linear
    with pytest.raises(ValueError, match=r"^classes must be a list of classes, got a class: classes=\[Linear\]$"):
        Policy.load(tmp_path / "policy", classes=one)
    others: list[Any] = [5, ["Linear"], [nn.Linear, "Linear"]]
    for classes in others:
        with pytest.raises(ValueError, match=r"^classes must be a list of classes, got "):
            Policy.load(tmp_path / "policy", classes=classes)
    Policy.load(tmp_path / "policy", classes=[nn.Linear, nn.ReLU])


def test_files_that_do_not_say_are_guessed_from_their_weights(tmp_path: Path) -> None:
    for uses in (False, True):
        make(uses_mean_action=uses).save(tmp_path / "policy")
        weights = load_file(tmp_path / "policy")
        with safe_open(tmp_path / "policy", "pt") as file:
            about = json.loads(file.metadata()["policy"])
        assert about.pop("uses_mean_action") == uses
        save_file(weights, tmp_path / "old", metadata={"policy": json.dumps(about)})
        assert Policy.load(tmp_path / "old").uses_mean_action == uses


def test_an_army_is_a_file_or_a_script(tmp_path: Path) -> None:
    make().save(tmp_path / "policy")
    assert isinstance(load_army(str(tmp_path / "policy")), Policy)
    assert isinstance(load_army("rush"), Scripted)
    with pytest.raises(ValueError, match=r"^army must be the file of a policy or random or rush, got 'nobody'"):
        load_army("nobody")

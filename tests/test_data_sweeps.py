"""Who acts when and what it is paid, against lattices in plain Python; streams, resuming, what is refused."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from mfmarl.algorithms.lattice import LatticeAgent, Metropolis, TabularMFQ
from mfmarl.data.sweeps import (
    Order,
    Start,
    SweepDataModule,
    Transition,
)
from mfmarl.environments.ising import Ising, join

ORDERS: tuple[Order, ...] = get_args(Order)
GAME = Ising(6, field=0.25, coupling=0.5)
TEMPERATURES, SEEDS = (1.0, 1.5), (3, 0, 7)
LATTICES = len(TEMPERATURES) * len(SEEDS)


@dataclass
class Noting:
    """Goes along with its neighbours more often than not, and notes all it is told."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seen: list[tuple[Tensor, Tensor, Tensor, Tensor, int]] = field(default_factory=list)
    acted: list[Tensor] = field(default_factory=list)
    observed: list[tuple[Tensor, ...]] = field(default_factory=list)

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        self.seen.append((site, neighbours.clone(), spin.clone(), uniform.clone(), step))
        self.acted.append((2 * (uniform < 0.5 + neighbours / 10).to(torch.int8) - 1).to(torch.int8))
        return self.acted[-1].clone()

    def observe(self, *colours: Tensor) -> None:
        self.observed.append(tuple(colour.clone() for colour in colours))


def module(order: Order = "checkerboard", **changes: Any) -> SweepDataModule:
    arguments: dict[str, Any] = {"temperatures": TEMPERATURES, "steps": 20, "evaluations": 2}
    return SweepDataModule(GAME, SEEDS, order=order, **(arguments | changes))


def numbers(lattices: Tensor) -> dict[int, int]:
    """Spins by number of the site in `[temperatures, seeds, L, L]`, flattened."""
    return dict(enumerate(lattices.flatten().tolist()))


def around(site: int, size: int = GAME.size) -> list[int]:
    """Numbers of the four neighbours of a site."""
    first, row, column = site - site % size**2, site % size**2 // size, site % size
    beside = [(row, (column + 1) % size), (row, (column - 1) % size)]
    beside += [((row + 1) % size, column), ((row - 1) % size, column)]
    return [first + r * size + c for r, c in beside]


def reward(action: int, neighbours: int) -> float:
    """Eq. 33."""
    return action * (GAME.field + GAME.coupling / 2 * neighbours)


def listed(*tensors: Tensor) -> Iterator[tuple[Any, ...]]:
    """Their numbers, one tuple an entry."""
    return zip(*(tensor.flatten().tolist() for tensor in tensors), strict=True)


def check_transition(transition: Transition, site: Tensor, neighbours: Tensor, action: Tensor) -> None:
    """It tells what was seen and done, in tensors of the kinds that it promises."""
    assert [each.dtype for each in transition] == [torch.int64, torch.int8, torch.int8, torch.float32]
    assert {each.shape for each in transition} == {site.shape}
    assert site.shape[:2] == (len(TEMPERATURES), len(SEEDS))
    for told, true in zip(transition, (site, neighbours, action), strict=False):
        assert torch.equal(told, true)


@pytest.mark.parametrize("order", ["checkerboard", "random-site"])
@pytest.mark.parametrize("start", get_args(Start))
def test_in_turn_each_spin_sees_and_is_paid_against_its_neighbours_as_they_are(order: Order, start: Start) -> None:
    data, policy = module(order, start=start), Noting()
    spins = numbers(data.spins)
    turns = 0
    for turn, transition in enumerate(data.play(policy, 3)):
        site, neighbours, spin, _, _ = policy.seen[turn]
        check_transition(transition, site, neighbours, policy.acted[turn])
        for number, sum_seen, own in listed(site, neighbours, spin):
            assert own == spins[number]
            assert sum_seen == sum(spins[other] for other in around(number))
        for number, sum_seen, action, paid in listed(*transition):
            assert paid == reward(action, sum_seen)
            spins[number] = action
        turns += 1
    assert turns == 3 * {"checkerboard": 2, "random-site": GAME.agents}[order]
    assert spins == numbers(data.spins), "who did not act stood still"


def test_on_a_checkerboard_the_colours_act_in_turn() -> None:
    policy = Noting()
    for turn, transition in enumerate(module().play(policy, 2)):
        row, column = transition.site % GAME.agents // GAME.size, transition.site % GAME.size
        assert ((row + column) % 2 == turn % 2).all()
        assert len(set(transition.site.flatten().tolist())) == LATTICES * GAME.agents / 2
    assert [step for *_, step in policy.seen] == [0, 0, 1, 1]


@pytest.mark.parametrize("order", ["simultaneous", "released-code"])
def test_at_once_both_colours_see_the_old_neighbours(order: Order) -> None:
    data, policy = module(order), Noting()
    spins = numbers(data.spins)
    play = data.play(policy, 3)
    for sweep in range(3):
        transitions = next(play), next(play)
        after: dict[int, int] = {}
        for turn, transition in zip((2 * sweep, 2 * sweep + 1), transitions, strict=True):
            site, neighbours, spin, _, step = policy.seen[turn]
            assert step == sweep
            check_transition(transition, site, neighbours, policy.acted[turn])
            for number, sum_seen, own in listed(site, neighbours, spin):
                assert own == spins[number]
                assert sum_seen == sum(spins[other] for other in around(number))
            after.update(listed(transition.site, transition.action))
        assert sorted(after) == sorted(spins), "everyone acts once"
        paid_against = spins if order == "simultaneous" else after
        for transition in transitions:
            for number, _, action, paid in listed(*transition):
                assert paid == reward(action, sum(paid_against[other] for other in around(number)))
        spins = after
    assert next(play, None) is None
    assert spins == numbers(data.spins)


def test_random_sites_are_drawn_evenly_and_apart_from_what_decides() -> None:
    data, policy = module("random-site"), Noting()
    sweeps = 40
    site = torch.stack([transition.site for transition in data.play(policy, sweeps)], -1)
    number = torch.arange(LATTICES).view(len(TEMPERATURES), len(SEEDS), 1)
    assert torch.equal(site // GAME.agents, number.expand_as(site)), "of its own lattice"
    place = (site % GAME.agents).flatten()
    counts = torch.bincount(place, minlength=GAME.agents).double()
    statistic = ((counts - sweeps * LATTICES) ** 2 / (sweeps * LATTICES)).sum().item()
    assert 1e-4 < chi2.sf(statistic, GAME.agents - 1) < 1 - 1e-4  # each site once a sweep would be too even
    uniform = torch.stack([draws for *_, draws, _ in policy.seen], -1).flatten()
    both = torch.stack([place, uniform])
    assert abs(torch.corrcoef(both)[0, 1].item()) < 4 / place.numel() ** 0.5
    neighbouring = site[..., 1:] == site[..., :-1]
    assert neighbouring.double().mean().item() == pytest.approx(1 / GAME.agents, rel=0.5)


@pytest.mark.parametrize("order", ORDERS)
def test_draws_are_uniform_and_no_two_the_same(order: Order) -> None:
    policy = Noting()
    for _ in module(order).play(policy, 4):
        pass
    uniform = torch.cat([draws.flatten() for *_, draws, _ in policy.seen])
    assert uniform.numel() == 4 * LATTICES * GAME.agents
    assert len(set(uniform.tolist())) >= uniform.numel() - 2  # of 2^24 values
    assert (uniform >= 0).all()
    assert (uniform < 1).all()
    counts = uniform.histc(16, 0, 1)
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum().item()
    assert chi2.sf(statistic, 15) > 1e-4


def test_starts() -> None:
    up, drawn = module(start="up").spins, module(start="random").spins
    assert (up.shape, up.dtype) == ((len(TEMPERATURES), len(SEEDS), 6, 6), torch.int8)
    assert (up == 1).all()
    assert torch.equal(module().spins, drawn), "the default"
    assert set(drawn.flatten().tolist()) == {-1, 1}
    flat = drawn.view(LATTICES, -1).double()
    assert abs(flat.mean().item()) < 4 / flat.numel() ** 0.5
    between = (flat @ flat.T / GAME.agents).fill_diagonal_(0)
    assert between.abs().max() < 0.8, "no two lattices alike, none another's opposite"


@pytest.mark.parametrize("order", ORDERS)
def test_lattices_are_measured_after_every_so_many_sweeps(order: Order) -> None:
    data, policy = module(order, measure_every=3), Noting()
    played = []
    for sweeps in (2, 4, 1, 1, 1):
        for _ in data.play(policy, sweeps):
            pass
        played.append((data.steps_played, len(policy.observed)))
        if data.steps_played % 3 == 0:
            assert torch.equal(join(*policy.observed[-1]), data.spins)
    assert played == [(2, 0), (6, 2), (7, 2), (8, 2), (9, 3)]


@pytest.mark.parametrize(("round_steps", "rounds"), [(4, [4, 4, 2]), (5, [5, 5]), (100, [10])])
def test_rounds_make_up_an_epoch(round_steps: int, rounds: list[int]) -> None:
    data, policy = module(round_steps=round_steps), Noting()
    lengths = []
    for play in data.train_dataloader():
        before = data.steps_played
        for _ in play(policy):
            pass
        lengths.append(data.steps_played - before)
    assert lengths == rounds
    assert list(data.val_dataloader()) == [data.evaluate]


def agent(method: type[LatticeAgent], seeds: tuple[int, ...] = SEEDS) -> LatticeAgent:
    return method(GAME, seeds, temperatures=TEMPERATURES)


def trained(learner: LatticeAgent, data: SweepDataModule, steps: int) -> dict[str, Tensor]:
    """All that a run leaves; spins and table are `[temperatures, seeds, ...]`."""
    for transition in data.play(learner, steps):
        learner.learn(transition)
    return {"spins": data.spins, **learner.state_dict()}


CASES = [(TabularMFQ, order) for order in ORDERS] + [(Metropolis, "checkerboard"), (Metropolis, "random-site")]


@pytest.mark.parametrize(("method", "order"), CASES)
def test_a_seed_alone_is_that_seed_in_a_stack(method: type[LatticeAgent], order: Order) -> None:
    stack = agent(method)
    together = trained(stack, module(order), 12)
    own = [name for name in together if "." not in name]  # not the metrics, whose means are compared below
    measured = stack.measured()
    for place, seed in enumerate(SEEDS):
        single = agent(method, (seed,))
        data = SweepDataModule(GAME, (seed,), temperatures=TEMPERATURES, steps=20, evaluations=2, order=order)
        alone = trained(single, data, 12)
        assert alone.keys() == together.keys()
        for name in own:
            assert torch.equal(alone[name][:, 0], together[name][:, place])
        for name, values in single.measured().items():
            assert torch.equal(values[:, 0], measured[name][:, place])
    for name in own:
        lattices = together[name].flatten(0, 1)
        for first in range(LATTICES):
            for second in range(first):
                assert not torch.equal(lattices[first], lattices[second])


@pytest.mark.parametrize(("method", "order"), CASES)
def test_a_run_goes_on_where_its_state_was_saved(method: type[LatticeAgent], order: Order) -> None:
    whole_agent, whole = agent(method), module(order, measure_every=2)
    first_agent, first = agent(method), module(order, measure_every=2)
    trained(first_agent, first, 5)
    file = io.BytesIO()
    torch.save([first_agent.state_dict(), first.state_dict()], file)
    trained(first_agent, first, 3)  # what comes after the save does not count
    file.seek(0)
    learner_state, state = torch.load(file, weights_only=True)
    second_agent, second = agent(method), module(order, measure_every=2, start="up")
    second_agent.load_state_dict(learner_state)
    second.load_state_dict(state)
    assert second.steps_played == 5
    went_on = trained(second_agent, second, 7)
    uninterrupted = trained(whole_agent, whole, 12)
    for name, values in uninterrupted.items():
        assert torch.equal(went_on[name], values)
    # and in the objects that were saved from
    first_agent.load_state_dict(learner_state)
    first.load_state_dict(state)
    for name, values in trained(first_agent, first, 7).items():
        assert torch.equal(values, uninterrupted[name])


@pytest.mark.parametrize(("method", "order"), CASES)
def test_the_global_generator_is_neither_used_nor_moved(method: type[LatticeAgent], order: Order) -> None:
    left = []
    for number in (1, 2):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        left.append(trained(agent(method), module(order), 4))
        assert torch.equal(torch.get_rng_state(), before)
    for name, values in left[0].items():
        assert torch.equal(values, left[1][name])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"order": "at-random"},
            "order must be one of checkerboard, simultaneous, released-code, random-site, three-colours, got 'at",
        ),
        ({"start": "down"}, "start must be one of random, up, got 'down'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"evaluations": 0}, "evaluations must be at least 1, got 0"),
        ({"evaluations": 3}, "evaluations must divide steps, got 3 and 20"),
        ({"measure_every": 0}, "measure_every must be at least 1, got 0"),
        ({"measure_every": 11}, "measure_every must be at most the 10 sweeps of an evaluation, got 11"),
        ({"round_steps": -1}, "round_steps must be at least 1, got -1"),
        ({"temperatures": ()}, r"temperatures must be numbers, at least one, from 1e-30 to 1e\+30, got \[\]"),
        (
            {"temperatures": (1.0, -1.0)},
            r"temperatures must be numbers, at least one, from .* to .*, got \[1.0, -1.0\]",
        ),
    ],
)
def test_bad_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**changes)


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,)])
def test_bad_seeds_are_refused(seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="seeds must be distinct"):
        SweepDataModule(GAME, seeds, temperatures=TEMPERATURES, steps=2, evaluations=1)

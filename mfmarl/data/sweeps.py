"""The data module of lattices, in which every spin acts once per sweep, in a given order, and is paid a reward.

The order determines what mean field Q-learning converges to:

`checkerboard`    The sites of one colour act while those of the other stay fixed, so a spin is paid against the same
                    neighbours that it saw. Once Q is learned, this is the heat bath, whose equilibrium is that of the
                    Ising model.
`simultaneous`    All spins act at once and are paid against the neighbours that they saw: the synchronous heat bath.
                    The two colours are then independent of each other, and so are their magnetisations.
`released-code`   All spins act at once and are paid against their neighbours after the move, as in the authors'
                    published code. The reward then depends on moves that a spin cannot know, so it learns a mean field.
`random-site`     One site at a time acts, drawn uniformly from all N, N times per sweep: Algorithm 3, slow.
`three-colours`   As `checkerboard`, with the three colours that a torus of odd size needs: (row + column) mod 3 if L is
                    a multiple of 3. A checkerboard needs an even size.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from mfmarl.data.rounds import RoundsDataModule, check_choice, check_positive, cut
from mfmarl.environments.ising import Ising, join, split
from mfmarl.environments.ising_arguments import temperature_tuple

Order = Literal["checkerboard", "simultaneous", "released-code", "random-site", "three-colours"]
Start = Literal["random", "up"]


class Transition(NamedTuple):
    """Experience of spins that acted together; each field is `[temperatures, seeds, ...]`."""

    site: Tensor  #: int64, index of the site in the flattened `[temperatures, seeds, L, L]`.
    neighbours: Tensor  #: int8, sum of the four neighbours that the spin saw, four times the mean action.
    action: Tensor  #: int8, -1 or 1.
    reward: Tensor  #: float32, Eq. 33.


class SpinPolicy(Protocol):
    """Interface of the policy that sets the spins."""

    @property
    def device(self) -> torch.device:
        """The device of the policy."""
        ...

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose new spins. All tensors have the same shape `[temperatures, seeds, ...]`.

        Args:
            site: sites, int64, as in Transition.
            neighbours: sums of neighbours, int8, as in Transition.
            spin: current spins, int8.
            uniform: uniform draws in [0, 1), float32.
            step: sweeps so far.

        Returns:
            New spins, int8, -1 or 1.
        """
        ...

    def observe(self, *colours: Tensor) -> None:
        """See the lattices after a sweep.

        Args:
            *colours: even and odd sites, each `[temperatures, seeds, L, L/2]` int8; for odd L one tensor
                `[temperatures, seeds, L, L]`.
        """
        ...


class Measuring(Protocol):
    """A policy that measures the lattices that it observes."""

    def measured(self) -> dict[str, Tensor]:
        """Means of the measurements since the last call: name to `[temperatures, seeds]` float64."""
        ...


Sweeps = Callable[[SpinPolicy], Iterator[Transition]]


class SweepDataModule(RoundsDataModule):
    """Sweeps over a batch of lattices `[temperatures, seeds, L, L]`.

    A training batch is a round: called with a policy, it makes up to `round_steps` sweeps and yields a transition for
    each group of spins that act together. An epoch ends with an evaluation.

    Args:
        environment: the game.
        seeds: seeds. Each has its own generator, so that its stream does not depend on the other seeds; it does depend
            on the number of temperatures.
        temperatures: temperatures; only their number matters here, the policy uses the values.
        steps: total number of sweeps; every spin acts once per sweep.
        evaluations: number of evaluations, evenly spread; must divide `steps`.
        order: order in which spins act and are paid, see above. `checkerboard`: our choice.
        start: `random` spins, or all `up`, an ordered state. `random`: our choice.
        measure_every: sweeps between two measurements. 1: our choice.
        round_steps: sweeps per round. 100: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    environment: Ising
    divides_rounds = ("round_steps",)

    def __init__(
        self,
        environment: Ising,
        seeds: Sequence[int],
        *,
        temperatures: Sequence[float],
        steps: int,
        evaluations: int,
        order: Order = "checkerboard",
        start: Start = "random",
        measure_every: int = 1,
        round_steps: int = 100,
    ) -> None:
        super().__init__(environment, seeds, steps=steps, evaluations=evaluations)
        check_positive(measure_every=measure_every, round_steps=round_steps)
        if measure_every > steps // evaluations:
            limit = steps // evaluations
            raise ValueError(f"measure_every must be at most the {limit} sweeps of an evaluation, got {measure_every}")
        for name, value, allowed in (("order", order, get_args(Order)), ("start", start, get_args(Start))):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if order == "checkerboard" and environment.size % 2:
            raise ValueError(
                f"order must be three-colours or another for an odd size, got {order} for {environment.size}"
            )
        self.order = order
        self.measure_every, self.round_steps = measure_every, round_steps
        self.temperatures = temperature_tuple(temperatures)
        self._lattices = (len(self.temperatures), len(seeds))
        self._colours = [(1 - 2 * draws.lt(0.5 if start == "random" else 0)).to(torch.int8) for draws in self.draws()]
        self._sites: list[Tensor] = []

    @property
    def spins(self) -> Tensor:
        """The lattices, `[temperatures, seeds, L, L]` int8."""
        return self._colours[0].clone() if self._is_whole else join(*self._colours)

    def rounds(self) -> list[Sweeps]:
        """The rounds of one epoch."""
        return [partial(self.play, steps=steps) for steps in cut(self.steps // self.evaluations, self.round_steps)]

    def evaluate(self, policy: Measuring) -> dict[str, Tensor]:
        """Means `[temperatures, seeds]` of the policy's measurements since the last call."""
        return policy.measured()

    def play(self, policy: SpinPolicy, steps: int) -> Iterator[Transition]:
        """Make `steps` sweeps with `policy`, and yield a transition for each group of spins that act together."""
        if not self._sites:
            self._to(policy.device)
        sweeps = {
            "checkerboard": self._in_turn,
            "random-site": self._site_by_site,
            "three-colours": self._colour_by_colour,
        }
        sweep = sweeps.get(self.order, self._at_once)
        for _ in range(steps):
            yield from sweep(policy)
            self.steps_played += 1
            if self.steps_played % self.measure_every == 0:
                policy.observe(*self._colours)

    def state_dict(self) -> dict[str, Any]:
        """Everything that play depends on, including the spins."""
        return {**super().state_dict(), "spins": self.spins}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        super().load_state_dict(state_dict)
        self._colours = self._split(state_dict["spins"])

    def _act(self, policy: SpinPolicy, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor) -> Tensor:
        action = policy.act(site, neighbours, spin, uniform, self.steps_played)
        check_choice(policy, action, spin.shape, (-1, 1))
        return action

    def _in_turn(self, policy: SpinPolicy) -> Iterator[Transition]:
        for colour, (spin, uniform) in enumerate(zip(self._colours, self.draws(policy.device), strict=True)):
            neighbours = self.environment.neighbour_sums(self._colours[1 - colour], colour)
            action = self._act(policy, self._sites[colour], neighbours, spin, uniform)
            self._colours[colour] = action
            yield Transition(self._sites[colour], neighbours, action, self.environment.reward(action, neighbours))

    def _at_once(self, policy: SpinPolicy) -> Iterator[Transition]:
        before = self._neighbours()
        seen = zip(self._sites, before, self._colours, self.draws(policy.device), strict=True)
        self._colours = [self._act(policy, *one) for one in seen]
        paid = self._neighbours() if self.order == "released-code" else before
        for site, neighbours, action, other in zip(self._sites, before, self._colours, paid, strict=True):
            yield Transition(site, neighbours, action, self.environment.reward(action, other))

    def _site_by_site(self, policy: SpinPolicy) -> Iterator[Transition]:
        size, agents = self.environment.size, self.environment.agents
        spins = self.spins.flatten(-2)
        first = torch.arange(spins[..., 0].numel(), device=spins.device).view(self._lattices) * agents
        attempts = (self._flat_draws(spins.device).movedim(-1, 0) for _ in range(2))
        for where, uniform in zip(*attempts, strict=True):
            site = (where * agents).long()
            neighbours = spins.gather(-1, self._beside(site)).sum(-1, dtype=torch.int8)
            spin = spins.gather(-1, site.unsqueeze(-1)).squeeze(-1)
            action = self._act(policy, first + site, neighbours, spin, uniform)
            spins.scatter_(-1, site.unsqueeze(-1), action.unsqueeze(-1))
            yield Transition(first + site, neighbours, action, self.environment.reward(action, neighbours))
        self._colours = self._split(spins.view(*self._lattices, size, size))

    def _colour_by_colour(self, policy: SpinPolicy) -> Iterator[Transition]:
        size, agents = self.environment.size, self.environment.agents
        spins, draws = self.spins.flatten(-2), self._flat_draws(policy.device)
        first = torch.arange(spins[..., 0].numel(), device=spins.device).view(*self._lattices, 1) * agents
        for colour in three_colours(size):
            site = colour.to(spins.device)
            neighbours = spins[..., self._beside(site)].sum(-1, dtype=torch.int8)
            action = self._act(policy, first + site, neighbours, spins[..., site], draws[..., site])
            spins[..., site] = action
            yield Transition(first + site, neighbours, action, self.environment.reward(action, neighbours))
        self._colours = self._split(spins.view(*self._lattices, size, size))

    def _beside(self, site: Tensor) -> Tensor:
        """The four neighbours `[..., 4]` of sites `[...]` of a lattice."""
        size = self.environment.size
        row, column = site // size, site % size
        around = [row * size + (column + 1) % size, row * size + (column - 1) % size]
        around += [(row + 1) % size * size + column, (row - 1) % size * size + column]
        return torch.stack(around, -1)

    def _neighbours(self) -> list[Tensor]:
        if self._is_whole:
            return [self.environment.whole_neighbour_sums(self._colours[0])]
        even, odd = self._colours
        return [self.environment.neighbour_sums(odd, 0), self.environment.neighbour_sums(even, 1)]

    @property
    def _is_whole(self) -> bool:
        """Whether the lattices have an odd size, hence no two colours; `_colours` then has one tensor."""
        return self.environment.size % 2 == 1

    def _split(self, spins: Tensor) -> list[Tensor]:
        return [spins] if self._is_whole else list(split(spins))

    def draws(self, device: torch.device | None = None) -> Tensor:
        """One uniform draw per spin, each seed's from its own generator.

        Returns:
            Draws by colour `[2, temperatures, seeds, L, L/2]`; for odd L `[1, temperatures, seeds, L, L]`.
        """
        size = self.environment.size
        shape = (1, self._lattices[0], size, size) if self._is_whole else (2, self._lattices[0], size, size // 2)
        return torch.stack([torch.rand(shape, generator=one) for one in self.generators["training"]], 2).to(device)

    def _flat_draws(self, device: torch.device) -> Tensor:
        """Draws as of `draws`, as `[temperatures, seeds, N]`."""
        return self.draws(device).movedim(0, 2).reshape(*self._lattices, -1)

    def _to(self, device: torch.device) -> None:
        self._colours = [spins.to(device) for spins in self._colours]
        size = self.environment.size
        count = self._lattices[0] * self._lattices[1] * size * size
        self._sites = self._split(torch.arange(count, device=device).view(*self._lattices, size, size))


def three_colours(size: int) -> list[Tensor]:
    """Colour an L x L torus with three colours such that neighbours differ; return the sites of each colour, int64.

    A site's colour is the sum of the colours of its row and its column in a 3-coloured ring of L sites, mod 3.
    """
    ring = torch.arange(size)
    ring = ring % 3 if size % 3 == 0 else torch.where(ring == size - 1, 2 * (size % 2) + (1 - size % 2), ring % 2)
    colour = (ring.unsqueeze(1) + ring).flatten() % 3
    return [(colour == one).nonzero().squeeze(-1) for one in range(3)]

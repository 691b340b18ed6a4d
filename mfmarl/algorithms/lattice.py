"""Methods for lattices: tabular mean field Q-learning (Eq. 32), and Metropolis sampling (Algorithm 3) for comparison.

MF-Q is stateless and has a separate table `Q^j(a^j, abar^j)` for every spin, where abar^j, the mean of four neighbours
at the last time step, takes five values:

`Q^j(a^j, abar^j) <- Q^j(a^j, abar^j) + alpha [r^j - Q^j(a^j, abar^j)]`                                        (32)

Spins are chosen by Eq. 12, `pi(a) = exp(Q(a) / T) / sum_b exp(Q(b) / T)`, with T falling to tau. If the reward of
Eq. 33 is paid against the neighbours that were seen, the learned Q has `Q(1) - Q(-1) = 2 h + lambda sum_k a^k`, so that
`pi(1) = 1 / (1 + exp(-(2 h + lambda sum_k a^k) / tau))`, which is the heat bath at the physical temperature 2 tau.
"""

from collections.abc import Sequence
from math import exp

import torch
from torch import Tensor

from mfmarl import arguments
from mfmarl.algorithms.agent import Agent
from mfmarl.data.lattice_metrics import Energy, OrderParameter, QError
from mfmarl.data.sweeps import SweepDataModule, Sweeps, Transition
from mfmarl.environments.ising import Ising
from mfmarl.environments.ising_arguments import temperature_tuple


class LatticeAgent(Agent):
    """Base class of methods that set the spins of lattices `[temperatures, seeds, L, L]`, and measure them.

    A method defines `act` of SpinPolicy, and `learn` if it learns.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        temperatures: temperatures tau in the paper's convention, with one run of every seed at each.

    Raises:
        ValueError: a temperature is not positive.
    """

    kind = "lattice"
    unit = "spin updates"
    data_module = SweepDataModule
    shared_with_data = ("environment", "seeds", "temperatures")
    environment: Ising
    tau: Tensor

    def __init__(self, environment: Ising, seeds: Sequence[int], *, temperatures: Sequence[float]) -> None:
        super().__init__(environment, seeds)
        self.temperatures = temperature_tuple(temperatures)
        self.register_buffer("tau", torch.tensor(self.temperatures).unsqueeze(1), persistent=False)
        runs = (len(self.temperatures), len(seeds))
        self.order_parameter, self.energy = OrderParameter(*runs), Energy(environment, *runs)

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        """See SpinPolicy."""
        raise NotImplementedError(f"{type(self).__name__} must define act")

    def learn(self, transition: Transition) -> None:
        """Learn from a transition of spins that acted together."""

    def observe(self, *colours: Tensor) -> None:
        """Measure the lattices, see SpinPolicy."""
        self.order_parameter.update(*colours)
        self.energy.update(*colours)

    def measured(self) -> dict[str, Tensor]:
        """Means of the measurements since the last call: name to `[temperatures, seeds]` float64."""
        runs = (len(self.temperatures), len(self.seeds))
        means = self.order_parameter.compute().view(-1, *runs)
        scores = {
            **dict(zip(self.order_parameter.names, means, strict=True)),
            "energy": self.energy.compute().view(runs),
        }
        self.order_parameter.reset()
        self.energy.reset()
        return scores

    def training_step(self, sweeps: Sweeps, batch_idx: int) -> None:
        """Play a round and learn from it; each transition counts as a gradient step."""
        learned = 0
        for transition in sweeps(self):
            self.learn(transition)
            learned += 1
        self.count_steps(learned)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """No optimizers, since a table needs no gradient."""
        return []

    def by_temperature(self, values: Tensor, like: Tensor) -> Tensor:
        """Reshape `values` `[temperatures, 1]` to as many dimensions as `like` `[temperatures, seeds, ...]`."""
        return values.view(-1, *[1] * (like.dim() - 1))


class TabularIL(LatticeAgent):
    """Independent Q-learning with a table for every spin: Eq. 32 without the mean action, a control for MF-Q.

    `Q^j(a^j) <- Q^j(a^j) + alpha [r^j - Q^j(a^j)]`: a spin learns the average reward of each action, regardless of what
    its neighbours do.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked.
        temperatures: temperatures tau.
        learning_rate: alpha, in (0, 1]. 0.1: our choice.
        start_temperature: initial excess of the temperature T of exploration over tau, at least 0. 2: our choice.
        decay: rate per sweep in `T = tau + start_temperature exp(-decay t)`, positive. 1e-3: our choice.

    Raises:
        ValueError: an argument out of its range.
    """

    called = "il"
    mean_actions: int = 1  #: number of mean actions in the table.
    q_table: Tensor  #: `[temperatures, seeds, L, L, mean_actions, 2]`; the last dimension is the actions -1 and 1.

    def __init__(
        self,
        environment: Ising,
        seeds: Sequence[int],
        *,
        temperatures: Sequence[float],
        learning_rate: float = 0.1,
        start_temperature: float = 2.0,
        decay: float = 1e-3,
    ) -> None:
        super().__init__(environment, seeds, temperatures=temperatures)
        arguments.rate("learning_rate", learning_rate)
        arguments.non_negative("start_temperature", start_temperature)
        arguments.positive("decay", decay)
        self.learning_rate, self.start_temperature, self.decay = learning_rate, start_temperature, decay
        runs = (len(self.temperatures), len(seeds))
        lattice = (environment.size, environment.size)
        self.register_buffer("q_table", torch.zeros(*runs, *lattice, self.mean_actions, 2))
        self.q_error = QError(*runs)

    def row(self, site: Tensor, neighbours: Tensor) -> Tensor:
        """Index of a site's row `Q(.)` among all rows of the table, int64."""
        return site

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Choose spins by Boltzmann exploration, Eq. 12."""
        # As a complex number, both actions' values take one lookup, and index_select is three times as fast as take.
        both = torch.view_as_complex(self.q_table).view(-1).index_select(0, self.row(site, neighbours).view(-1))
        advantage = (both.imag - both.real).view(site.shape)
        temperature = self.tau + self.start_temperature * exp(-self.decay * step)
        up = uniform < advantage.div_(self.by_temperature(temperature, advantage)).sigmoid_()
        return up.to(torch.int8).mul_(2).sub_(1)

    def learn(self, transition: Transition) -> None:
        """Update the table by Eq. 32."""
        table, reward = self.q_table.view(-1), transition.reward.view(-1)
        row = self.row(transition.site, transition.neighbours)
        entry = torch.add(transition.action > 0, row, alpha=2).view(-1)
        value = table.index_select(0, entry)
        error = reward - value
        self.q_error.update(error)
        table.scatter_(0, entry, value.add_(error, alpha=self.learning_rate))

    def measured(self) -> dict[str, Tensor]:
        """Means as in LatticeAgent, and `q_error`, the mean of `(r - Q)^2` before the update."""
        scores = super().measured()
        scores["q_error"] = self.q_error.compute().view(scores["energy"].shape)
        self.q_error.reset()
        return scores


class TabularMFQ(TabularIL):
    """Mean field Q-learning with a table for every spin, Eq. 32: independent Q-learning that sees the mean action.

    Its arguments are those of TabularIL.
    """

    called = "mf-q"
    mean_actions = 5  #: for the sums -4, -2, 0, 2, 4 of the neighbours.

    def row(self, site: Tensor, neighbours: Tensor) -> Tensor:
        """Index of a site's row `Q(., abar)` among all rows of the table, int64, in a new tensor."""
        return torch.add((neighbours + 4) >> 1, site, alpha=5)


class Metropolis(LatticeAgent):
    """Algorithm 3: a flip is accepted with probability `min(1, exp(-(2 h + lambda sum_k a^k) a^j / tau))`.

    It learns nothing. As printed, the algorithm flips one site at a time (order `random-site`). The sites of one colour
    may also flip together (`checkerboard`), since none is another's neighbour; the equilibrium is the same.
    """

    called = "mcmc"

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        """Flip each spin or not."""
        if self.environment.field:
            aligned = spin * (2 * self.environment.field + self.environment.coupling * neighbours)
            flip = uniform < aligned.neg_().div_(self.by_temperature(self.tau, aligned)).exp_()
            return torch.where(flip, -spin, spin)
        # A flip can be refused only if spin * neighbours is 2 or 4, i.e. if most of the four neighbours are aligned.
        cost = self.environment.coupling / self.tau
        two, four = (self.by_temperature((-cost * count).exp(), uniform) for count in (2, 4))
        bearable = (uniform < two).view(torch.int8) + (uniform < four).view(torch.int8)
        refused = (spin * neighbours).gt_(bearable.mul_(2))
        return spin * refused.mul_(2).sub_(1)

"""torchmetrics Metrics of lattices for stacked runs: mean order parameter, energy, and error of Q."""

import torch
from torch import Tensor

from mfmarl.data.metrics import MeanByRun
from mfmarl.environments.ising import Ising, magnetisation


class QError(MeanByRun):
    """Mean squared error of Q as a prediction of the reward, over agents and time: `[*runs]` float64."""

    def update(self, error: Tensor) -> None:
        """Add the errors `r - Q`, `[*runs, ...]`."""
        self._add(error.square())


class Energy(MeanByRun):
    """Energy per site of lattices (Eq. 28 divided by N), averaged over time: `[*runs]` float64."""

    def __init__(self, environment: Ising, *runs: int) -> None:
        super().__init__(*runs)
        self.environment = environment

    def update(self, *colours: Tensor) -> None:
        """Add lattices split by colour, each `[*runs, L, L/2]` int8, or whole ones `[*runs, L, L]`."""
        self._add(self.environment.energy(*colours))


class OrderParameter(MeanByRun):
    """Order parameter `xi = |N_up - N_down| / N = |m|` of lattices and related moments, averaged over time.

    `compute` returns `[4, *runs]` float64, in the order of `names`: `|m|`; the mean of the `|m|` of the two colours,
    which does not depend on their relative sign (`|m|` again if there are no two colours); and m^2 and m^4, for the
    Binder cumulant.
    """

    names = ("order_parameter", "sublattice_order_parameter", "squared_magnetisation", "fourth_magnetisation")

    def __init__(self, *runs: int) -> None:
        super().__init__(len(self.names), *runs)

    def update(self, *colours: Tensor) -> None:
        """Add lattices split by colour, each `[*runs, L, L/2]` int8, or whole ones `[*runs, L, L]`."""
        mean = magnetisation(*colours)
        by_colour = torch.stack([magnetisation(colour).abs() for colour in colours]).mean(0)
        self._add(torch.stack([mean.abs(), by_colour, mean**2, mean**4]))

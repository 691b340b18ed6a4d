"""A custom method for the Ising model: Glauber dynamics, the heat bath with which MF-Q's equilibrium is compared."""

from torch import Tensor, int8

from mfmarl import Ising, LatticeAgent, TabularMFQ, train


class Glauber(LatticeAgent):
    """Draws every spin from the Ising model's distribution given its neighbours, without learning."""

    def act(self, site: Tensor, neighbours: Tensor, spin: Tensor, uniform: Tensor, step: int) -> Tensor:
        """New spins -1 or 1: up with probability `1 / (1 + exp(-(2 h + lambda sum_k a^k) / tau))`."""
        advantage = 2 * self.environment.field + self.environment.coupling * neighbours
        up = uniform < (advantage / self.by_temperature(self.tau, uniform)).sigmoid()
        return up.to(int8) * 2 - 1


if __name__ == "__main__":
    game, temperatures = Ising(16), (0.8, 1.1, 2.0)
    learned = train(TabularMFQ, game, range(4), temperatures=temperatures, steps=2000, evaluations=4, decay=1e-2)
    sampled = train(Glauber, game, range(4), temperatures=temperatures, steps=2000, evaluations=4)
    for curves in (learned, sampled):
        print(curves[curves["step"] == 2000].groupby(["algorithm", "temperature"])["order_parameter"].mean())

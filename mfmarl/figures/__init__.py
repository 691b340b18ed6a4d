"""From result files to figures: frames in, matplotlib figures out; `save` writes them. Needs no torch.

One file a subject; `style` holds what they share: palette, legend, dot plots, files; `film` what moves.
"""

from mfmarl.figures.gaussian_squeeze import final_rewards, learning_curves
from mfmarl.figures.gaussian_squeeze_scaling import scaling
from mfmarl.figures.gaussian_squeeze_study import study
from mfmarl.figures.ising import binder, energy, order_parameter
from mfmarl.figures.ising_spins import animation, lattice, spins
from mfmarl.figures.ising_training import training
from mfmarl.figures.matrix_games import success_rates
from mfmarl.figures.style import Look, looks, save

__all__ = [
    "Look",
    "animation",
    "binder",
    "energy",
    "final_rewards",
    "lattice",
    "learning_curves",
    "looks",
    "order_parameter",
    "save",
    "scaling",
    "spins",
    "study",
    "success_rates",
    "training",
]

"""From result files to figures: frames in, matplotlib figures out; `save` writes them. Needs no torch.

One file a subject: `style` (palette, legends, files), `gaussian_squeeze` (the figures of that task).
"""

from mfmarl.figures.gaussian_squeeze import final_rewards, learning_curves, scaling, study
from mfmarl.figures.style import Look, looks, save

__all__ = ["Look", "final_rewards", "learning_curves", "looks", "save", "scaling", "study"]

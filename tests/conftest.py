"""What every test runs under: no display, one thread, and Hypothesis without clocks or chance."""

import matplotlib
import torch
from hypothesis import settings

matplotlib.use("Agg")
torch.set_num_threads(1)  # the networks are small: threads cost more than they bring
settings.register_profile("mfmarl", deadline=None, derandomize=True)
settings.load_profile("mfmarl")

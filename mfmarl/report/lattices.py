"""Lattices that order while they learn, for the page: frames.csv of the Ising script as bits."""

from typing import Any

import numpy as np
import pandas as pd

from mfmarl.statistical_physics import CRITICAL_TEMPERATURE, onsager_magnetisation


def orderings(frames: pd.DataFrame) -> tuple[dict[str, Any], bytes]:
    """The frames as a description and as bytes.

    Args:
        frames: columns size, temperature, step and spins (hex, four spins a digit from the top left on); every
            temperature at the same steps.

    Returns:
        The description: `size`, `temperatures`, `steps`, `onsager` (|m| of the infinite lattice at each temperature)
        and `critical`, its transition; and bits `[temperatures, steps, size, size]`, 1 is up.

    Raises:
        ValueError: frames of several sizes, or not of every temperature at every step.
    """
    sizes, temperatures, steps = (sorted(set(frames[name])) for name in ("size", "temperature", "step"))
    if len(sizes) != 1:
        raise ValueError(f"frames must be of one size, got {sizes}")
    if len(frames) != len(temperatures) * len(steps) or frames.duplicated(["temperature", "step"]).any():
        raise ValueError(f"frames must be of {len(temperatures)} temperatures at {len(steps)} steps each")
    described = {
        "size": int(sizes[0]),
        "temperatures": temperatures,
        "steps": steps,
        "onsager": [round(float(m), 4) for m in onsager_magnetisation(np.array(temperatures))],
        "critical": round(CRITICAL_TEMPERATURE, 4),
    }
    spins = frames.sort_values(["temperature", "step"])["spins"]
    return described, b"".join(map(bytes.fromhex, spins))

"""Lattices that order while they learn, for the page: frames.csv of the Ising script converted to bits."""

from typing import Any

import numpy as np
import pandas as pd

from mfmarl.statistical_physics import CRITICAL_TEMPERATURE, onsager_magnetisation


def orderings(frames: pd.DataFrame) -> tuple[dict[str, Any], bytes]:
    """Convert frames to a description and bytes.

    Args:
        frames: table with the columns size, temperature, step and spins (hexadecimal, four spins per digit from the top
            left), with the same steps for every temperature.

    Returns:
        - the description: `size`, `temperatures`, `steps`, `onsager` (|m| of the infinite lattice at each temperature)
          and `critical`, its critical temperature;
        - bits `[temperatures, steps, size, size]`, where 1 is up.

    Raises:
        ValueError: frames have several sizes, or do not cover every temperature at every step.
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

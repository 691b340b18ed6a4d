"""Gaussian Squeeze as an argument of the theory's functions."""

from mfmarl.environments.gaussian_squeeze import GaussianSqueeze


def squeeze_game(game: GaussianSqueeze) -> GaussianSqueeze:
    """Gaussian Squeeze, or a ValueError."""
    if not isinstance(game, GaussianSqueeze):
        raise ValueError(f"game must be a GaussianSqueeze, got {game!r}")
    return game

"""The check of an argument that must be Gaussian Squeeze."""

from mfmarl.environments.gaussian_squeeze import GaussianSqueeze


def squeeze_game(game: GaussianSqueeze) -> GaussianSqueeze:
    """Return the game. Raise ValueError unless it is Gaussian Squeeze."""
    if not isinstance(game, GaussianSqueeze):
        raise ValueError(f"game must be a GaussianSqueeze, got {game!r}")
    return game

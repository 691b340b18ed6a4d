"""What the scripts in reproduce/ share."""

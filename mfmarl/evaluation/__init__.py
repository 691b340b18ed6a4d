"""From tables of results to estimates, intervals and ratings; needs no torch."""

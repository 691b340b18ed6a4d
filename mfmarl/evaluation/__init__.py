"""From tables of results to estimates, intervals and ratings; pandas and numpy alone."""
